/*
 * Messages of a side that the base has not, by content: what is about to be copied to that side may be there already (a state file that came from a backup, another
 * program at work), and must not be doubled.
 */
#ifndef SYNC_TWINS_H
#define SYNC_TWINS_H

#include "base/vec.h"
#include "mail/digest.h"

struct twin {
	unsigned char digest[DIGEST_SIZE];
	size_t row;      /* whatever the caller calls it by */
	bool taken;
};

struct twins {
	VEC(struct twin) a;
};

int twins_add(struct twins *t, const unsigned char digest[DIGEST_SIZE], size_t row, struct err *e);
void twins_sort(struct twins *t); /* all are added */

/* One that has this content and was not taken yet; it is taken now. NULL: none. */
struct twin *twins_take(struct twins *t, const unsigned char digest[DIGEST_SIZE]);

void twins_release(struct twins *t);

#endif
