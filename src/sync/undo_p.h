/* An undo's own: what undo.c has for undotrash.c. */
#ifndef SYNC_UNDO_P_H
#define SYNC_UNDO_P_H

#include "base/arena.h"
#include "base/vec.h"
#include "sync/engine.h"
#include "sync/exec.h"

struct undoing {
	const struct undo_params *p;
	struct store *left, *right;
	struct db *db;
	const struct event_sink *sink;
	struct event_totals *totals;
	struct exec x;             /* counts steps, and does nothing else */
	struct arena names;
	VEC(const char *) there;   /* folders of the right */
	int64_t run;
	uint64_t found, trashed;   /* messages to put back; and as in struct undone */
	const char *folder;        /* at hand */
};

int undo_no_memory(struct err *e); /* -1 */
void undo_tell(struct undoing *u, enum event_at at, struct slice key, uint64_t size);
void undo_tell_failure(struct undoing *u, struct slice key, const struct err *why);
/* Does an error end the undo (-1, *e), or is it of the folder at hand alone (0, told)? */
int undo_box_error(struct undoing *u, struct err *why, struct err *e);

/* Rows of the base for one folder. */
struct undo_rows {
	const char *left, *right; /* which: by the name at that side; the other is NULL */
	VEC(int64_t) ids;
};

int undo_find_rows(struct undoing *u, struct undo_rows *r, struct err *e);
int undo_forget(struct undoing *u, const struct undo_rows *r, struct err *e);

/* What the run moved to the trash at the left. */
int undo_trash(struct undoing *u, struct err *e);

#endif
