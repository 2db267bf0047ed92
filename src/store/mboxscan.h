/* Walk an mbox file message by message, streaming: for recovery, for tests, and for reading an mbox later. */
#ifndef STORE_MBOXSCAN_H
#define STORE_MBOXSCAN_H

#include <stdint.h>

#include "mail/digest.h"
#include "store/mbox.h"

struct mboxscan_msg {
	int64_t offset, length;            /* of the whole record: From_ line to the end of the empty line before the next */
	unsigned char digest[DIGEST_SIZE]; /* the message's identity: see struct mboxkey in mboxform.h */
};

/*
 * From offset `from` (0 or the start of a record; empty lines there are passed over) as if the file ended at `to` (MBOXSCAN_END: where it does end); cb returns 0
 * to go on, anything else ends the walk and is returned. A file that doesn't start with "From " is ERR_LOCAL "no mbox".
 */
#define MBOXSCAN_END INT64_MAX
int mboxscan(int fd, enum mbox_variant v, int64_t from, int64_t to, int (*cb)(void *arg, const struct mboxscan_msg *m), void *arg, struct err *e);

#endif
