/*
 * Marks: a line that another program put into the header of a copy, so as to find that copy again: mbsync's "X-TUID: " with twelve letters, offlineimap's
 * "X-OfflineIMAP: " with two numbers. It is no part of the message: copies that differ in nothing else are the same.
 */
#ifndef MAIL_MARK_H
#define MAIL_MARK_H

#include <stdbool.h>

#include "base/slice.h"

#define MARK_MAX 64
#define MARK_TUID 22 /* bytes of mbsync's line in wire form */

/* A message that streams by, its lines ending in LF. Zeroed at its start. */
struct marks {
	bool over;      /* the header is */
	bool inside;    /* a line that is none */
	size_t held;    /* of a line that may be one */
	char line[MARK_MAX];
};

/* The next piece of the text: a mark, whole and with its LF, or what is none. False: all of *in was taken. A piece is valid until the next call. */
bool marks_next(struct marks *m, struct slice *in, struct slice *piece, bool *is_mark);

/* At the end of the text: what is still held, perhaps nothing. It is no mark. */
struct slice marks_end(struct marks *m);

#endif
