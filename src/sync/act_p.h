/* What the parts of act.c share. */
#ifndef SYNC_ACT_P_H
#define SYNC_ACT_P_H

#include "sync/twoway.h"

/* Pairs whose message was to be removed from a side, which has another under its key. */
struct strangers {
	VEC(int64_t) pairs;
};

/* act.c: so many new messages of a folder are copied together. */
size_t act_slice(const struct twoway *g);

/* Is a message that comes from the left here in another folder already? By the name that the left gives it wherever it is: ->elsewhere then. */
int act_find_elsewhere(struct twoway *g, struct box *b, const struct joined *row, struct work *w, struct err *e);

/*
 * That name may be none, if the server errs: the other folder's file is the message only if its Message-ID is the same as well. That is asked of all of them at once; of what has
 * none nobody can say it, and it is read.
 */
int act_doubt_elsewhere(struct twoway *g, struct work *w, size_t n, struct err *e);

/*
 * A migration: may the message that was staged have come from a folder that could not be looked into? Copied, it would be twice at the target, as where it was it is not removed. 1: it waits for a
 * run that knows; 0, -1.
 */
int act_put_off(struct twoway *g, struct box *b, struct work *w, const struct staged *st, struct err *e);

/* A message is removed for good from a server only when it is the one that is gone on the other side: what is another asks for nothing any more. w: of that side, whose box is open. */
int act_find_strangers(struct twoway *g, int side, struct work *w, size_t n, struct strangers *out, struct err *e);

/* They are new, and no other number of the folder is believed from now on. */
int act_note_strangers(struct twoway *g, struct box *b, int side, const struct strangers *s, struct err *e);

/*
 * What is to be deleted at the source of a migration is seen to be at the target before: a copy of just now, behind the first `before` of w, by its Message-ID, as the target has said that it took
 * it; any other by its content, which is read on both sides, since a Message-ID, a size and a time are no proof that nobody has changed it. What the target does not show so
 * asks for nothing any more, and is told. w: of the left; both boxes are open.
 */
int act_see_kept(struct twoway *g, struct box *b, struct work *w, size_t n, size_t before, struct err *e);

/*
 * Both sides may be two doors to one mailbox (POP3 and IMAP, a host or a user of two names), and then the only copy would go. So of what was not copied just now one message is deleted
 * at the left first, while its text is kept aside in the base; the others follow when the right has it still. If not, it is put back there, by the next run if this one comes to no end
 * (act_put_back), and the error says why nothing else was deleted. The left is open again then, and w has its numbers of now.
 */
int act_try_one(struct twoway *g, struct box *b, struct work *w, size_t n, size_t before, struct err *e);

#endif
