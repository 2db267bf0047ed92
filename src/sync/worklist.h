/* Work kept aside for later, in order: in memory while it is little, else in an unlinked file. */
#ifndef SYNC_WORKLIST_H
#define SYNC_WORKLIST_H

#include "base/arena.h"
#include "base/spool.h"
#include "sync/exec.h"

struct worklist {
	struct spool spool;
	uint64_t n;
};

#define WORKLIST_INIT { .spool = SPOOL_INIT(1 << 20) }

int worklist_put(struct worklist *l, const struct work *w, struct err *e);
void worklist_rewind(struct worklist *l);
/* Up to max of the next; their keys are in the arena. How many, 0 at the end, -1. */
ssize_t worklist_take(struct worklist *l, struct work *w, size_t max, struct arena *a, struct err *e);
void worklist_clear(struct worklist *l);
void worklist_release(struct worklist *l);

#endif
