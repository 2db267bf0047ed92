/*
 * Moves: a message that one side has in another folder now, or under another key in its own, is the same message: it is moved on the other side, too, instead of being
 * deleted there in one folder and copied into another.
 *
 * A local side's message is known by its content, which the base has; a remote side's by what tells candidates apart (candidates.h), which a server keeps in a move, and
 * where that is not enough by its content, which is read. What can't be known again with certainty stays a deletion and a new message.
 */
#ifndef SYNC_MOVES_H
#define SYNC_MOVES_H

#include "sync/twoway.h"

/* Find them, among what all folders' rows say; their rows are `moving` then, and ask for nothing. */
int moves_find(struct twoway *g, struct err *e);

/*
 * Do them. Afterwards a message's row is one of its new folder, with the base's pair; one that could not be moved is copied, or left to the next run,
 * as one is of which nobody knows.
 */
int moves_do(struct twoway *g, struct err *e);

void moves_tell(struct twoway *g); /* what a dry run says instead */
void moves_tell_one(struct twoway *g, const struct move *m, bool dry);

/*
 * movehalf.c, for those three: moves at a migration's target are noted before they are begun, and when they have ended, in a transaction that is open; those of earlier runs that were begun and not
 * ended are found, and are `moving` then, and ended.
 */
int movehalf_note(struct twoway *g, const struct move *m, size_t n, struct err *e);
int movehalf_ended(struct twoway *g, const struct move *m, struct err *e);
int movehalf_find(struct twoway *g, struct err *e);
int movehalf_end(struct twoway *g, struct err *e);
void movehalf_tell(struct twoway *g);

#endif
