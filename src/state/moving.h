/*
 * Moves at a migration's target that are under way: noted before they are begun, as there are targets where that takes two steps. What is left of one that came to no end is known by it.
 */
#ifndef STATE_MOVING_H
#define STATE_MOVING_H

#include "base/slice.h"
#include "state/db.h"

struct moving {
	int64_t from, to;    /* folders */
	struct slice right;  /* by which the right has it in from */
};

/* Inside a transaction. One that is noted already may go elsewhere now. */
int moving_put(struct db *db, const struct moving *m, struct err *e);
int moving_drop(struct db *db, int64_t from, struct slice right, struct err *e);

/* cb returns 0, or -1 with *e; it may not change notes. The slice is valid during the call. */
int moving_each(struct db *db, int (*cb)(void *arg, const struct moving *m, struct err *e), void *arg, struct err *e);

#endif
