/* Walk an mbox file message by message, streaming: for recovery, for tests, and for reading an mbox later. */
#ifndef STORE_MBOXSCAN_H
#define STORE_MBOXSCAN_H

#include <stdint.h>

#include "mail/digest.h"
#include "store/mbox.h"

struct mboxscan_msg {
	int64_t offset, length;            /* of the whole record: From_ line to the blank line before the next */
	unsigned char record[DIGEST_SIZE]; /* SHA-256 of the record's bytes in the file, as they are */
	unsigned char digest[DIGEST_SIZE]; /* of the message: unquoted by the variant, separator line and blank line left out */
};

/* From offset `from` (0 or the start of a record) to the end; cb returns 0 to go on. A file that doesn't start with "From " is ERR_LOCAL "no mbox". */
int mboxscan(int fd, enum mbox_variant v, int64_t from, int (*cb)(void *arg, const struct mboxscan_msg *m), void *arg, struct err *e);

#endif
