/* Folders with their stamps, failures that wait for another try, and what the last runs did. */
#ifndef STATE_RUNS_H
#define STATE_RUNS_H

#include "base/slice.h"
#include "state/db.h"

struct folder_row {
	int64_t id;
	char left_stamp[256], right_stamp[256]; /* "" none: not known to be unchanged */
};

/* Find or add (inside a transaction when it must be added; in DB_LOOK a missing one gets id 0). */
int folders_get(struct db *db, const char *left, const char *right, struct folder_row *out, struct err *e);
int folders_each(struct db *db, int (*cb)(void *arg, int64_t id, const char *left, const char *right, struct err *e), void *arg, struct err *e);
int folders_drop(struct db *db, int64_t id, struct err *e); /* with its pairs, failures and keywords */
int folders_rename(struct db *db, int64_t id, const char *left, const char *right, struct err *e);
int folders_stamp(struct db *db, int64_t id, const char *left_stamp, const char *right_stamp, struct err *e);

#define FAILURE_PAUSE_MAX (7 * 86400)   /* seconds until a failed message is tried again, at most */
#define PAUSE_MAX (7 * 86400)           /* that a server can ask for (see pop3/capa.c, imap/refusal.c) */

/* A time in the future as the state has it. One that lies further away than it can was noted while the clock was wrong: it counts as past. */
int64_t runs_future(int64_t when, int64_t now, int64_t most);

struct failure {
	int64_t folder;
	bool back;          /* on its way from right to left */
	struct slice key;   /* the message at the source; "" for the folder itself */
	enum err_kind kind; /* ERR_NONE: not a failure, left out by max-size */
	struct slice reason;
	uint64_t size;
	unsigned tries;
	int64_t since, next; /* next: not before then */
};

int failures_get(struct db *db, int64_t folder, bool back, struct slice key, struct failure *out, struct err *e); /* 1, 0, -1; slices valid until the next call */
int failures_put(struct db *db, const struct failure *f, struct err *e);
int failures_clear(struct db *db, int64_t folder, bool back, struct slice key, struct err *e);
int failures_forget(struct db *db, int64_t folder, bool back, struct err *e); /* all of a folder in that direction */
int failures_each(struct db *db, int (*cb)(void *arg, const struct failure *f, struct err *e), void *arg, struct err *e);
/* How many stand there, how many are left out by size, and when the first is to be tried again (0 none). */
int failures_count(struct db *db, uint64_t *failed, uint64_t *skipped, int64_t *next, struct err *e);

struct run_row {
	int64_t id;             /* runs_add: 0 for the next */
	int64_t started, ended;
	enum err_kind kind;     /* ERR_NONE: done */
	char text[480];         /* why it stopped */
	uint64_t pulled, pushed, flagged, deleted, failed, skipped, bytes_in;
	uint64_t deleted_left;  /* of those deleted */
	double seconds;
};

int runs_add(struct db *db, const struct run_row *r, struct err *e); /* in its own transaction; keeps the last 100 */
int runs_last(struct db *db, struct run_row *out, struct err *e);    /* 1, 0 none, -1 */
int runs_get(struct db *db, int64_t id, struct run_row *out, struct err *e); /* the same */
/* The number that the next run to be noted gets. One that is interrupted notes nothing: then the next, which ends what it began, has its number. */
int runs_next(struct db *db, int64_t *id, struct err *e);

/* A pause that the server asked for: not before `until`. */
int pause_set(struct db *db, int64_t until, const char *reason, struct err *e); /* until 0 clears */
int pause_get(struct db *db, int64_t *until, char *reason, size_t size, struct err *e); /* until 0: none */

/*
 * What a job has exchanged with one of its servers (side 0: the left one's) since the beginning of a span of time that the caller knows. put: into the transaction that is open,
 * or in one of its own. get: zeroes when nothing was noted.
 */
int traffic_put(struct db *db, int side, int64_t since, uint64_t bytes, struct err *e);
int traffic_get(struct db *db, int side, int64_t *since, uint64_t *bytes, struct err *e);

/* It was seen that the two sides of this job are not one mailbox by two names. put: inside a transaction. */
int sides_apart_put(struct db *db, struct err *e);
int sides_apart(struct db *db, struct err *e); /* 1, 0 nobody knows, -1 */

#endif
