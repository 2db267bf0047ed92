/*
 * Take-over: a folder that another program kept in sync until now. What it noted tells which messages are which, and on which flags both sides agreed then. A pair is
 * believed when the messages don't refute it: Message-ID and size are equal, but for a mark (mail/mark.h); or the size is about equal, as these programs lose a CR here
 * and there, and the Message-ID is no other's on either side. All else is left to what adopt.c does without notes.
 *
 * mbsync: its state (store/mbsyncstate.h). offlineimap: the server's UIDs in the files' names (maildir.h: maildir_uid), without flags; its own state is not read.
 *
 * That one side of a pair is gone proves no deletion: these programs keep such pairs for ever when they are set up to copy one way only. It is copied again, and told;
 * only who says --allow-deletions has it deleted.
 */
#ifndef SYNC_TAKEOVER_H
#define SYNC_TAKEOVER_H

#include "sync/candidates.h"
#include "sync/twoway.h"

struct takeover;

/* What there is of a folder that the base knows nothing of; *out NULL: nothing. -1 (SPAN_BOX) where it must not be guessed: the program is at work, or was interrupted. */
int takeover_open(struct twoway *g, struct box *b, struct takeover **out, struct err *e);

/* Bring together what it notes: of all that either side alone shows, just after candidates_learn. */
int takeover_match(struct takeover *t, struct candidates *left, struct candidates *right, void (*unite)(void *arg, struct candidate *l, struct candidate *r),
		   struct err *e);

/* What it notes, and one side alone still has. After all else was brought together, while the candidates' rows are where they were. */
int takeover_missing(struct takeover *t, struct err *e);

void takeover_free(struct takeover *t); /* NULL is fine */

#endif
