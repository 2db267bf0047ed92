/*
 * What looks tell of many messages, held small: some twenty bytes and the key of each. A first run has all that one side holds in memory at once.
 */
#ifndef SYNC_ROLL_H
#define SYNC_ROLL_H

#include "base/err.h"
#include "base/slice.h"
#include "base/vec.h"
#include "state/pairs.h"

struct listed {
	struct slice key;
	struct told told;
	uint64_t flags;
	bool gone;
};

struct roll {
	VEC(unsigned char *) blocks; /* private: all that was ever added */
	size_t used;                 /* private: of the last block */
	VEC(uint32_t) at;            /* where each is; owners may leave some out */
};

/* Add one at the end; what is said of it is copied. */
int roll_add(struct roll *l, const struct listed *m, struct err *e);

/* The i-th as it was added. Its key lasts as long as the roll does. */
void roll_get(const struct roll *l, size_t i, struct listed *out);
struct slice roll_key(const struct roll *l, size_t i);

/* In the order of their keys; of the same key, and where cmp is NULL of all, as they were added. */
void roll_sort(struct roll *l, int (*cmp)(struct slice a, struct slice b));

void roll_release(struct roll *l); /* empty again, and as good as new */

#endif
