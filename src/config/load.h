/*
 * A configuration file to parameter structs of the layers below. Everything that is wrong is reported in one go, each with file:line, what is wrong and what is
 * allowed; nothing is run then.
 */
#ifndef CONFIG_LOAD_H
#define CONFIG_LOAD_H

#include "base/arena.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "base/vec.h"
#include "store/imapstore.h"
#include "store/maildir.h"
#include "store/mbox.h"
#include "store/pop3store.h"
#include "sync/engine.h"

enum config_store { CONFIG_POP3, CONFIG_IMAP, CONFIG_MAILDIR, CONFIG_MBOX };

/* An account or a local store, named, or made of a spec ("maildir:~/Mail/in") that stands in a job. */
struct config_end {
	const char *name;       /* as the person wrote it */
	enum config_store kind;
	bool is_account;
	unsigned connections;   /* of an account: how many jobs may use it at once */
	struct pop3store_params pop3;
	struct imapstore_params imap;
	struct maildir_params maildir;
	struct mbox_params mbox;
	const char *url;        /* normalised, without password, for texts: "pop3s://jane@pop.example.org:995", "maildir:/home/jane/Mail" */
	const char *file;       /* where it was defined; NULL for specs and ad hoc ones */
	int line;
	uint64_t mark;          /* of what its section says (config_job_same); 0: it has none */
};

#define CONFIG_GATHER_MS 200 /* the default of `gather` */

enum config_mode { CONFIG_FETCH, CONFIG_SYNC, CONFIG_MIGRATE };

struct config_job {
	const char *name;
	/* ad hoc: what it was called by versions that went by how the paths were written; NULL: the same */
	const char *former;
	enum config_mode mode;
	const struct config_end *left, *right; /* source, target; of a sync remote, local */
	int64_t every;                         /* seconds; 0: not scheduled */
	int64_t deadline, stall;               /* seconds that a run may take, and that it may do nothing; 0 no limit */
	int64_t gather;                        /* ms, of a two-way job: see job/watcher.c */
	const char *const *idle;               /* folders to be told of at once; n_idle 0: not said */
	size_t n_idle;
	const char *on_new, *on_change;        /* commands; NULL none */
	bool unconfined;                       /* no sandbox */
	int64_t on_timeout;                    /* seconds that each may take */
	uint64_t rate;                         /* bytes a second for each connection; 0 no limit */
	uint64_t budget;                       /* bytes for each server within BUDGET_SECONDS (sync/budget.h); 0 no limit */
	/* CONFIG_FETCH */
	struct plan_policy policy;             /* .now is filled in by the runner */
	const char *folder;                    /* target folder, "" its own box */
	uint32_t flags;
	unsigned purge_after;
	/* CONFIG_SYNC, CONFIG_MIGRATE; state, now and what a person asks of one run are filled in by the runner */
	struct sync_params sync;
	const char *file;
	int line;
	uint64_t mark;                         /* as config_end.mark */
};

struct config {
	struct arena arena;         /* everything lives here */
	struct config_end *ends;    /* accounts and named stores */
	size_t n_ends;
	struct config_job *jobs;
	size_t n_jobs;
	unsigned parallel, parallel_per_host; /* jobs at once; 0: nothing is said, as there is no file */
	bool unconfined;            /* no sandbox, where a job does not say it */
	const char *path;
	VEC(char *) secrets;        /* strings of the arena that are wiped before it goes */
};

#define CONFIG_PROBLEMS_MAX (64 * 1024) /* a fit limit for `problems` */

/*
 * path NULL: $XDG_CONFIG_HOME/mailhaul/mailhaul.conf, ~/.config/mailhaul/mailhaul.conf, /etc/mailhaul.conf, the first that exists.
 * -1: *e has the first problem and how many there are, *problems (max 64 KiB, may be NULL) one line each, the format for a person: "FILE:LINE: text".
 * The kind is ERR_CONF, or ERR_PERM when nothing but modes and owners of files is wrong. *out is empty then, and may be released all the same.
 */
int config_load(const char *path, struct config *out, struct strbuf *problems, struct err *e);

/* The same for a text in memory that says it is the file `name` with mode 0600. */
int config_load_text(const char *name, struct slice text, struct config *out, struct strbuf *problems, struct err *e);

/* Is there a file at one of the default places? Its path (static), or NULL. */
const char *config_find(void);

void config_release(struct config *c); /* wipes secrets; a zeroed struct is fine */

struct config_adhoc_opts {
	const char *keep, *max_size, *folder; /* as in a fetch section; NULL: the default. They live as long as the job */
};

/*
 * A job without a configuration file: `mailhaul fetch A B`, `mailhaul sync A B`, `mailhaul migrate A B`. c may hold a loaded configuration whose accounts A and B can name, or be empty (zeroed);
 * the job lives as long as c. Its name is derived from what A and B stand for, so the same places give the same job, whatever links lead to them. A path that is not absolute
 * begins at the current directory. The password of a URL comes from ~/.netrc when it has one, else it is asked for. opts are for fetch and migrate (which has
 * no keep), and may be NULL.
 */
int config_adhoc(struct config *c, enum config_mode mode, const char *a, const char *b, const struct config_adhoc_opts *opts, struct config_job *out, struct err *e);

/* How an account is reached, and what opens it; NULL for a local store. */
struct dial_params *config_dial(struct config_end *end);
struct secret_params *config_secret(struct config_end *end);

/* An account by name or URL (`info`, `list`). */
const struct config_end *config_account(struct config *c, const char *name, struct err *e);
const struct config_job *config_job(const struct config *c, const char *name); /* NULL: there is none */

/* Do two configurations say the same of a job, and of all that it uses? */
bool config_job_same(const struct config_job *a, const struct config_job *b);

/* Whether a job joins two trees (sync, migrate), by job->sync. */
bool config_two_way(const struct config_job *job);

/* "; did you mean 'X'?" for a name that no job has, or "". Lives in c. */
const char *config_near_job(struct config *c, const char *name);

#endif
