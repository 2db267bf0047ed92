/*
 * Messages of a side that the base has not, by content: what is about to be copied to that side may be there already (a state file that came from a backup, another
 * program at work), and must not be doubled.
 */
#ifndef SYNC_TWINS_H
#define SYNC_TWINS_H

#include "base/vec.h"
#include "mail/digest.h"
#include "store/store.h"

struct twin {
	unsigned char digest[DIGEST_SIZE];
	size_t row;      /* whatever the caller calls it by */
	bool taken;
};

struct twins {
	VEC(struct twin) a;
};

/*
 * Read these messages of the open box of s, and keep their digests: of num[i] as row[i]. A message that can't be read is passed over: it is no twin then, and what
 * copies it will say why.
 */
int twins_read(struct twins *t, struct store *s, const uint64_t *num, const size_t *row, size_t n, struct err *e);

/* One that has this content and was not taken yet; it is taken now. NULL: none. */
struct twin *twins_take(struct twins *t, const unsigned char digest[DIGEST_SIZE]);

void twins_release(struct twins *t);

#endif
