/*
 * What an append to an mbox leaves behind for the time after a crash, and what is made of it then. A hint says where the record was to go, how long it is,
 * its first bytes, and what stood before the whole group (`anchor`): while that is unchanged, nobody has rewritten the file, and whatever of ours
 * is there is behind it.
 */
#ifndef STORE_MBOXHEAL_H
#define STORE_MBOXHEAL_H

#include <sys/types.h>

#include "store/mbox.h"

#define MBOXHINT_FIRST 256
#define MBOXHINT_ANCHOR 33
#define MBOXHINT_OWN 32 /* a series of patches, a digest: more than that, and a torn message is left where it is */

/*
 * Looks for places where another program's mail may begin. At the start of a line "From " is enough. A program that doesn't look what it appends to may have put
 * its From_ line behind half a line of ours: so within a line too, when a weekday and a time of day follow.
 */
struct mboxwatch {
	bool bol;         /* at the start of a line */
	bool line_start;  /* the match began there */
	unsigned matched; /* bytes of "From " */
	enum { WATCH_NO_FROM, WATCH_FROM, WATCH_DAY, WATCH_DONE } line; /* in this line stands "From ", and a weekday behind it; it was told */
	char last[5];
};

#define MBOXWATCH_INIT { .bol = true }

/* Look at n bytes; returns how many until just behind the first such place, and whether there is one. */
size_t mboxwatch_find(struct mboxwatch *w, const char *p, size_t n, bool *hit);

struct mboxhint {
	uint64_t serial;               /* of the staged message, within its store */
	int64_t base;                  /* the file's length before the group and its padding */
	int64_t offset, length;        /* of the record */
	char anchor[MBOXHINT_ANCHOR];  /* of the bytes before base, hex */
	int64_t own[MBOXHINT_OWN];     /* places in the record that look to mboxwatch like another's mail and are the message's own */
	size_t own_n;
	unsigned char first[MBOXHINT_FIRST];
	size_t first_n;
};

void mboxhint_print(const struct mboxhint *h, char out[STORE_HINT_MAX + 1]);
bool mboxhint_parse(const char *text, struct mboxhint *h);

/* The anchor of a file at base; ERR_LOCAL when it is shorter than base. */
int mboxhint_anchor(int fd, int64_t base, char out[MBOXHINT_ANCHOR], struct err *e);

/*
 * Under lock: cut a torn append back, if it is proven ours (the file ends within the record, its first bytes agree, the message isn't whole, and no other
 * message begins in it); then say which of the pending deliveries are in the file.
 */
int mbox_heal(int fd, enum mbox_variant v, struct recovery *r, size_t n, struct err *e);

#endif
