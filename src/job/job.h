/* One job of the configuration, from parameters to stores, state and engine. Runs in a worker process (or, for tests and dry runs, in the caller's). */
#ifndef JOB_JOB_H
#define JOB_JOB_H

#include "config/load.h"
#include "state/runs.h"
#include "sync/event.h"
#include "sync/folders.h"

struct job_params {
	const struct config_job *job;
	const char *state_dir;  /* absolute */
	bool dry_run;
	bool same_source;       /* take over the state of a mailbox that has a new name */
	bool restore, allow_deletions; /* as in sync_params: what the person says of this run of a two-way job */
	bool undo;              /* first put back what a run of a two-way job deleted; undo_run: which, 0 the last of which something can be put back */
	int64_t undo_run;
	bool verify;            /* compare the sides, and do nothing else; verify_full: every body; verify_all: tell every difference */
	bool verify_full, verify_all;
	bool ignore_pause;      /* the person named the job: a pause that the server asked for is not waited out */
	bool settle;            /* as in sync_params: somebody waits for changes */
	int control;            /* of its watcher (watcher.h) */
	bool scheduled;         /* nobody asked for this run: a login that was refused is not tried again yet (refused.h), and a run that is going on is none of our business */
	msec_t not_before;      /* the scheduler waits for that; 0: at once */
	unsigned links[2];      /* connections that the run may have at once to the account of its left and its right end (seats.h); 0: one */
	int stop_at;            /* tests */
	unsigned measure;       /* tests: as in imapstore_params */
};

/*
 * Run it: START, the engine's events, ERROR when it stops, END (with exit_code) in every case. Returns that exit code. Notes the run, and a pause that the server
 * asked for, in the state.
 */
int job_run(const struct job_params *p, const struct event_sink *sink);

/* DIR/NAME and a suffix, the name made one of a file. malloc'd. */
char *job_path(const char *dir, const char *name, const char *suffix, struct err *e);
/* DIR/NAME.db, the name made safe for a file system. malloc'd. */
char *job_state_path(const char *state_dir, const char *job, struct err *e);

/* A store for one end of a job; nothing is connected or opened yet. */
struct store *job_store(const struct config_end *end, struct err *e);

/* What identifies the mailbox in the state: "pop3:jane@pop.example.org", "imap:jane@mail.example.org", "maildir:/home/jane/Mail". */
int job_source(const struct config_end *end, struct strbuf *out);

/* Open the base to look at it only. *path is malloc'd, also on failure, or NULL. */
int job_look(const struct job_params *p, struct db **db, char **path, struct err *e);

/* What `status` and --due need, without the lock. */
struct job_status {
	int64_t last_start, last_end; /* seconds since 1970; 0: never ran */
	int64_t due;            /* by `every`, and after a failure by its pause (due.h), not before the server's pause ends; 0: not scheduled */
	int64_t failing;        /* since when it fails; 0: it does not */
	int64_t retry;          /* when it is tried again; 0: when it is due. Of a login that was refused: when nothing about it changes before */
	unsigned tries;         /* failures in a row */
	bool refused;           /* the last was a refused login */
	char failure[480];      /* what it was */
	int64_t paused_until;   /* 0 no */
	char pause_reason[256];
	pid_t running;          /* 0 no */
	bool has_run;
	struct run_row last;    /* the last run that did something or failed */
	uint64_t held;          /* messages delivered that the source still holds, as far as we know; of a two-way job: that both sides hold */
	uint64_t folders;       /* of a two-way job: in the state */
	uint64_t failed, skipped;
};
int job_status(const struct job_params *p, struct job_status *out, struct err *e);
/* In how many seconds the job is due, where it has no `every` by this one; 0: now. Opens the base only if it must. */
int64_t job_due_in(const struct job_params *p, int64_t every);
/* Is it due for a scheduled run, and not running? 1, 0, -1. Likewise. */
int job_is_due(const struct job_params *p, struct err *e);
/* Each failure and left-out message of the state; folder: where, as the remote side calls it, "" for what has none. */
int job_failures(const struct job_params *p, int (*cb)(void *arg, const char *folder, const struct failure *f, struct err *e), void *arg, struct err *e);

/* A run of a two-way job of which undo can put something back. */
struct job_kept_run {
	int64_t run;
	int64_t when;           /* seconds since 1970 */
	uint64_t messages;      /* that were deleted here, and are in the quarantine */
	uint64_t trashed;       /* that were deleted at the server, and went to the trash there */
};
/* All of them, the latest first. cb returns 0 or -1, or 1 to end it here. */
int job_kept(const struct job_params *p, int (*cb)(void *arg, const struct job_kept_run *r, struct err *e), void *arg, struct err *e);

/* The folders of a two-way job as they are now on both sides and in the base (sync/folders.h); a local side that is not there yet has none. With counts. Changes nothing. */
int job_folders(const struct job_params *p, struct folders *out, void (*warn)(void *arg, const char *text), void *arg, struct err *e);

#endif
