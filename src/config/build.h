/* Typed sections to the parameter structs of the layers below. */
#ifndef CONFIG_BUILD_H
#define CONFIG_BUILD_H

#include "config/load.h"
#include "config/parse.h"

/* All sections to c->ends and c->jobs; what is wrong goes to p. -1: out of memory. */
int build_all(struct config *c, const struct parsed_list *list, struct problems *p, struct err *e);

/* An account: keys as its section gives them, or zeroed but for defaults and the url of an ad hoc one. */
void build_account(struct config *c, const struct parsed *s, struct config_end *out, struct problems *p);

/*
 * The store of a spec "maildir:PATH", "mbox:PATH". cwd: what relative paths begin at, NULL when they are an error. key names what holds the spec,
 * for texts. -1: a problem was noted.
 */
int build_spec(struct config *c, const char *spec, const char *cwd, const char *key, struct place at, struct config_end *out, struct problems *p);

/* "maildir:/path" for texts and for the names of ad hoc jobs. */
const char *build_local_url(struct config *c, enum config_store kind, const char *path);

/* Whether a name of an end is known; the texts list near ones. NULL: a problem was noted. */
const struct config_end *build_find(struct config *c, const char *name, const char *key, struct place at, struct problems *p);

/* Whether a fetch can take mail from that end. -1: a problem was noted. */
int build_check_source(const struct config_end *from, const char *name, struct place at, struct problems *p);

/* Whether a sync can have that end on that side; name as in the configuration. -1: a problem was noted. */
int build_check_side(const struct config_end *end, bool remote, const char *name, struct place at, struct problems *p);

/* Both sides of a sync together: no Maildir within the other. */
void build_check_sides(const struct config_job *job, struct place at, struct problems *p);

/* `rate` and `budget`; which mean something only for a job one of whose sides is a server. */
void build_limits(struct config_job *out, int64_t rate, int64_t budget);
void build_check_limits(const struct parsed *s, const int64_t *rate, const int64_t *budget, const struct config_job *job, struct problems *p);

/* When it is due, and how long a run may take. */
void build_times(struct config_job *out, int64_t every, int64_t deadline, int64_t stall);

/* Whether a path is the other, or lies below it. */
bool build_within(const char *path, const char *other);

/* The path of a local end; NULL: it is none, or an account. */
const char *build_path(const struct config_end *end);

/* A folder's name, INBOX in its one spelling; or a name or role. key: what holds it, for texts. NULL: a problem was noted. */
const char *build_folder_name(struct problems *p, const char *key, const char *text, struct place at);
const char *build_name_or_role(struct problems *p, const char *key, const char *text, struct place at);

/* Which folders a job takes, by its `folders`, and what its folder sections say of them; list is where those stand. */
void build_folders(const struct parsed *s, const struct key_list *folders, const struct parsed_list *list, struct config_job *out, struct problems *p);

/* What the one folder of the source is called at the target; instead of build_folders. */
void build_only_folder(struct config *c, const char *name, struct config_job *out, struct problems *p, struct place at);

/* Whether a migration can have that end on that side. -1: a problem was noted. */
int build_check_migrant(const struct config_end *end, bool source, const char *name, struct place at, struct problems *p);

/* Both sides of a migration together: not one place, nor one within the other. */
void build_check_migrants(const struct config_job *job, struct place at, struct problems *p);

/* A migrate section and the folder sections that it holds. */
void build_migrate(struct config *c, const struct parsed *s, const struct parsed_list *list, struct config_job *out, struct problems *p);

/* What the engine is told, by the keys of a migrate section but for its folders. */
void build_migrate_policy(struct config_job *out, const struct migrate_keys *k);

/* `folder` of a migration: whether the source is one that has but one folder, and what it is to be called then. */
void build_migrate_folder(struct config *c, struct config_job *out, const char *folder, struct place at, struct problems *p);

/* A sync section and the folder sections that it holds; list is where those stand. */
void build_sync(struct config *c, const struct parsed *s, const struct parsed_list *list, struct config_job *out, struct problems *p);

/* What the engine is told, by the keys of a sync section but for its folders. */
void build_sync_policy(struct config_job *out, const struct sync_keys *k);

/* What a section says, with those that it holds: equal for two that say the same, however it is written. */
uint64_t build_mark(const struct parsed *s, const struct parsed_list *list);

/* Policy, folder and the like, by the keys of a fetch section; out->left may be NULL. */
void build_policy(struct config_job *out, const struct fetch_keys *k);

/* Whether the target can have such a folder. */
void build_check_folder(const struct config_end *to, const char *folder, struct place at, struct problems *p);

#endif
