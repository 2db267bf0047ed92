/*
 * A configuration file to parameter structs of the layers below. Everything that is wrong is reported in one go, each with file:line, what is wrong and what is
 * allowed; nothing is run then.
 */
#ifndef CONFIG_LOAD_H
#define CONFIG_LOAD_H

#include "base/arena.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "store/maildir.h"
#include "store/mbox.h"
#include "store/pop3store.h"
#include "sync/plan.h"

enum config_store { CONFIG_POP3, CONFIG_MAILDIR, CONFIG_MBOX };

/* An account or a local store, named, or made of a spec ("maildir:~/Mail/in") that stands in a job. */
struct config_end {
	const char *name;       /* as the person wrote it */
	enum config_store kind;
	bool is_account;
	struct pop3store_params pop3;
	struct maildir_params maildir;
	struct mbox_params mbox;
	const char *url;        /* accounts: normalised, without password, for texts: "pop3s://jane@pop.example.org:995" */
	const char *file;       /* where it was defined; NULL for specs and ad hoc ones */
	int line;
};

enum config_mode { CONFIG_FETCH };

struct config_job {
	const char *name;
	enum config_mode mode;
	const struct config_end *left, *right; /* source, target */
	int64_t every;                         /* seconds; 0: not scheduled */
	struct plan_policy policy;             /* .now is filled in by the runner */
	const char *folder;                    /* target folder, "" its own box */
	uint32_t flags;
	unsigned purge_after;
	const char *on_new;                    /* command; NULL none */
	const char *file;
	int line;
};

struct config {
	struct arena arena;         /* everything lives here */
	struct config_end *ends;    /* accounts and named stores */
	size_t n_ends;
	struct config_job *jobs;
	size_t n_jobs;
	const char *path;
};

/*
 * path NULL: $XDG_CONFIG_HOME/mailhaul/mailhaul.conf, ~/.config/mailhaul/mailhaul.conf, /etc/mailhaul.conf, the first that exists.
 * -1: *e has the first problem and how many there are, *problems (max 64 KiB) one line each, the format for a person: "FILE:LINE: text".
 */
int config_load(const char *path, struct config *out, struct strbuf *problems, struct err *e);
/* Is there a file at one of the default places? Its path (static), or NULL. */
const char *config_find(void);
void config_release(struct config *c);

/* A job without a configuration file: `mailhaul fetch A B`. c may hold a loaded configuration whose accounts A and B can name, or be empty (zeroed). */
struct config_adhoc_opts {
	const char *keep, *max_size, *folder; /* as in a fetch section; NULL: the default */
};
int config_adhoc(struct config *c, const char *a, const char *b, const struct config_adhoc_opts *opts, struct config_job *out, struct err *e);

/* An account by name or URL (`info`, `list`). */
const struct config_end *config_account(struct config *c, const char *name, struct err *e);
const struct config_job *config_job(const struct config *c, const char *name);

#endif
