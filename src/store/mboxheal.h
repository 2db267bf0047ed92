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

struct mboxhint {
	uint64_t serial;               /* of the staged message, within its store */
	int64_t base;                  /* the file's length before the group and its padding */
	int64_t offset, length;        /* of the record */
	char anchor[MBOXHINT_ANCHOR];  /* of the bytes before base, hex */
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
