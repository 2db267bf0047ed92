/*
 * The quarantine of a job: what its runs delete here is kept in it for a while. Each run has a directory, STATE_DIR/quarantine/JOB/RUN, which is a tree of Maildirs in the
 * nested layout, by the names that the local side gives its folders: a message keeps its file's name, and so its flags, and its time of arrival, and any mail reader can look
 * at it. All is mode 0700, and beneath STATE_DIR no symbolic link is followed. Whoever changes something in it has the job's lock.
 *
 * A run's directory has the time when something was last put in. One that is to go is first renamed to RUN.gone: half of a run is none.
 */
#ifndef STORE_QUARANTINE_H
#define STORE_QUARANTINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct quarantine {
	const char *state_dir; /* absolute; it is there */
	const char *name;      /* beneath it: "quarantine/JOB" */
	int64_t run;           /* whose deletions are put in */
	uint64_t kept;         /* so many messages have been */
};

/* What is kept of one folder: its directories, held open. */
struct quarantine_box {
	int tmp, fresh, cur;   /* `fresh` is new/ */
};

#define QUARANTINE_BOX_INIT { -1, -1, -1 }

void quarantine_box_close(struct quarantine_box *b);

/* Where messages of a folder are put in this run; made durably if needed. whole: the run removes the folder itself. */
int quarantine_put(struct quarantine *q, const char *folder, bool whole, struct quarantine_box *out, struct err *e);

/* What to do when something can't be kept; behind the text. Returns -1. */
int quarantine_hint(struct err *e);

struct quarantine_run {
	int64_t run;
	int64_t when;          /* seconds since 1970 */
	uint64_t messages;     /* 0: they were put back, or put somewhere else by a person */
};

/* The runs of which something is kept, the latest first. cb returns 0 or -1, or 1 to end it here. Only `state_dir` and `name` are needed, here and below. */
int quarantine_runs(const struct quarantine *q, int (*cb)(void *arg, const struct quarantine_run *r, struct err *e), void *arg, struct err *e);

/* The highest number that a run has there; 0 none. */
int quarantine_last(const struct quarantine *q, int64_t *run, struct err *e);

/* Each folder of a run; none when there is no such run. b is closed after the call. */
int quarantine_boxes(const struct quarantine *q, int64_t run,
		     int (*cb)(void *arg, const char *folder, bool whole, const struct quarantine_box *b, struct err *e), void *arg, struct err *e);

/* Each message of a folder, by its file's name. */
int quarantine_messages(const struct quarantine_box *b, int (*cb)(void *arg, const char *name, bool in_cur, struct err *e), void *arg, struct err *e);

/* Remove what was put in before then. Costs a look when there is nothing of that kind. */
int quarantine_expire(const struct quarantine *q, int64_t before, struct err *e);

/* Remove the directories of a run of which nothing is kept any more; else nothing is done. */
int quarantine_drop(const struct quarantine *q, int64_t run, struct err *e);

#endif
