/*
 * What mbsync (isync 1.1 to 1.5) notes of a folder that it keeps in sync: which messages of the far side (the server) are which of the near one (a Maildir), and the
 * flags that both had when it last ran. Facts without policy; nothing is ever written. See mbsync(1), SyncState.
 *
 * The file: a header of "Name Number" lines, among them the UIDVALIDITY of both sides, an empty line, and a line "FAR NEAR STATUS+FLAGS" for each message. NEAR is the
 * number behind ",U=" in the file's name (maildir.h: maildir_uid), under the UIDVALIDITY in the first line of .uidvalidity beside it. A UID of 0: that side has it
 * not, or not any more. While mbsync is at work, changes are in NAME.journal and NAME.new, and NAME.lock is locked.
 */
#ifndef STORE_MBSYNCSTATE_H
#define STORE_MBSYNCSTATE_H

#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"
#include "base/vec.h"

#define MBSYNCSTATE_NAME ".mbsyncstate" /* in the folder's directory */

struct mbsyncstate_entry {
	uint32_t far, near;
	uint32_t flags;     /* mail/flags.h */
	bool far_stub, near_stub; /* that is no message, but a placeholder for one that was too large */
	bool expired;       /* MaxMessages: it was removed from the near side alone; or it was never brought there */
};

struct mbsyncstate {
	uint32_t far_validity, near_validity;
	VEC(struct mbsyncstate_entry) entries; /* by near */
	int64_t changed;    /* when the file was, seconds since 1970 */
};

/* Parse it whole; -1 (ERR_LOCAL) when it is not all as it should be, which is where nothing of it may be believed. out is zeroed before, and released after. */
int mbsyncstate_parse(struct slice text, struct mbsyncstate *out, struct err *e);

/*
 * Read a file, beneath a directory or by its whole path (AT_FDCWD). 1; 0 there is none; -1: ERR_BUSY when mbsync is at work on this folder now, or did not come to its
 * end, else why it can't be read (a link is not followed).
 */
int mbsyncstate_read(int dirfd, const char *name, struct mbsyncstate *out, struct err *e);

/* The UIDVALIDITY that a folder's directory has for the UIDs in its files' names. 1; 0 none is noted, or not so that it could be read. */
int mbsyncstate_validity(int dirfd, uint32_t *out);

/* One with this near UID; NULL: none. */
const struct mbsyncstate_entry *mbsyncstate_find(const struct mbsyncstate *s, uint32_t near);

void mbsyncstate_release(struct mbsyncstate *s);

#endif
