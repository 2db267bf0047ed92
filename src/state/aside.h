/*
 * A message kept aside: the text of one that is about to be deleted for a trial, and may have to be put back. One at the most. It stays until it is known to be where it belongs, whatever
 * becomes of the run.
 */
#ifndef STATE_ASIDE_H
#define STATE_ASIDE_H

#include "base/slice.h"
#include "state/db.h"

struct aside {
	int64_t folder;
	struct slice right;  /* what the right called it when it was kept */
	uint64_t flags;      /* mail/flags.h, as the folder's pairs have them */
	int64_t date;        /* when it had arrived, seconds since 1970; 0 not known */
	uint64_t size;       /* of its text, in wire form */
	struct slice hint;   /* of one that is being put back: what the target's recover needs; else "" */
	unsigned char digest[32]; /* and of its content */
};

/* Inside a transaction, all that change something. */
int aside_put(struct db *db, const struct aside *a, struct err *e); /* without size, hint and digest. -1 also where there is one */
int aside_write(struct db *db, const void *p, size_t n, struct err *e); /* what follows of its text */
int aside_hint(struct db *db, struct slice hint, const unsigned char digest[32], struct err *e);
int aside_drop(struct db *db, struct err *e);

int aside_get(struct db *db, struct aside *out, struct err *e); /* 1, 0 there is none, -1; slices are valid until the next call */
ssize_t aside_read(struct db *db, uint64_t at, void *buf, size_t n, struct err *e); /* from so many bytes on; 0 at the end */

#endif
