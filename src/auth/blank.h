/*
 * Blanks a secret in what a server says, which may repeat it: as it is, as a quoted string, or in
 * base64 together with what stood around it there.
 */
#ifndef AUTH_BLANK_H
#define AUTH_BLANK_H

#include "base/strbuf.h"

#define BLANK_FORMS 5

/* All zero: nothing is blanked. */
struct blank {
	struct strbuf form[BLANK_FORMS]; /* secret */
	size_t n;
};

/*
 * Look for this one. Of a secret that has less than four bytes only what stands by itself is
 * blanked, since it would be found in other words. -1: out of memory.
 */
int blank_set(struct blank *b, struct slice secret);
void blank_release(struct blank *b);

/*
 * The text, with "***" where the secret was, and where the text breaks off in the midst of it.
 * That is in room, which is cleared before, or the text itself where there is none. b may be NULL.
 */
struct slice blank_text(const struct blank *b, struct slice text, struct strbuf *room);

#endif
