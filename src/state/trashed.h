/*
 * What the runs of a two-way job have moved to the trash at the left, or taken from one folder of several, for undo to bring it back: one row each. A row is there before its
 * message goes, as who is killed in between could not write it any more; when it does not go after all, the row is dropped.
 */
#ifndef STATE_TRASHED_H
#define STATE_TRASHED_H

#include "state/pairs.h"

enum trashed_state {
	TRASHED_KEPT,
	TRASHED_ASKED, /* an undo was about to move it back: nobody knows whether it has */
	TRASHED_DONE,  /* it was moved back, or is not in the trash any more */
};

/* Its trash, of a message that did not go there, but lost one of the folders that it was in: it is in the others still. */
#define TRASHED_ELSEWHERE ""

/* Of one run no two rows have the same folder and key. */
struct trashed {
	int64_t run;
	const char *folder; /* where it was, as the left calls that now */
	struct slice key;   /* by which it was known there */
	const char *trash;  /* where it went, likewise; or TRASHED_ELSEWHERE */
	int64_t noted;      /* seconds since 1970 */
	enum trashed_state state;
	struct told told;   /* but the size is that with the mark of another program, if it has one */
};

struct trashed_run {
	int64_t run;
	int64_t noted;      /* the last */
	uint64_t messages;  /* that are not done */
};

/* Inside a transaction, all that change something. */
int trashed_add(struct db *db, const struct trashed *t, struct err *e); /* one that is there already is as new */
int trashed_mark(struct db *db, int64_t run, const char *folder, struct slice key, enum trashed_state state, struct err *e);
int trashed_drop(struct db *db, int64_t run, const char *folder, struct slice key, struct err *e);
int trashed_forget(struct db *db, int64_t run, struct err *e);    /* all of a run */
int trashed_rename(struct db *db, int64_t id, const char *left, struct err *e); /* for folders_rename, before it: this row's folder is called so from now on */

/* In its own transaction, if there is something to do: drop what was noted before then. */
int trashed_expire(struct db *db, int64_t before, struct err *e);

/* Walks. cb returns 0, or 1 to end it here, or -1 with *e; it may not change rows. What is borrowed is valid during the call. */
int trashed_each(struct db *db, int64_t run, int (*cb)(void *arg, const struct trashed *t, struct err *e), void *arg, struct err *e); /* by folder and key */
int trashed_runs(struct db *db, int (*cb)(void *arg, const struct trashed_run *r, struct err *e), void *arg, struct err *e); /* that have a row which is not done; the latest first */

#endif
