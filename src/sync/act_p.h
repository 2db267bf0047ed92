/* What actask.c has for act.c. */
#ifndef SYNC_ACT_P_H
#define SYNC_ACT_P_H

#include "sync/twoway.h"

/* Pairs whose message was to be removed from a side, which has another under its key. */
struct strangers {
	VEC(int64_t) pairs;
};

/* Is a message that comes from the left here in another folder already? By the name that the left gives it wherever it is: ->elsewhere then. */
int act_find_elsewhere(struct twoway *g, struct box *b, const struct joined *row, struct work *w, struct err *e);

/*
 * That name may be none, if the server errs: the other folder's file is the message only if its Message-ID is the same as well. That is asked of all of them at once; of what has
 * none nobody can say it, and it is read.
 */
int act_doubt_elsewhere(struct twoway *g, struct work *w, size_t n, struct err *e);

/* A message is removed for good from a server only when it is the one that is gone on the other side: what is another asks for nothing any more. w: of that side, whose box is open. */
int act_find_strangers(struct twoway *g, int side, struct work *w, size_t n, struct strangers *out, struct err *e);

/* They are new, and no other number of the folder is believed from now on. */
int act_note_strangers(struct twoway *g, struct box *b, int side, const struct strangers *s, struct err *e);

#endif
