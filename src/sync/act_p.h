/* What the parts of act.c share. */
#ifndef SYNC_ACT_P_H
#define SYNC_ACT_P_H

#include "sync/twoway.h"

#define ACT_NO_FLAG SIZE_MAX

/* Pairs whose message was to be removed from a side, which has another under its key. */
struct strangers {
	VEC(int64_t) pairs;
};

/* What the base is to say of a message once the flags of both sides are what they shall be. */
struct agreement {
	int64_t pair;
	uint64_t flags, was;
	size_t flag[2];               /* which of todo.flag must have been done first; ACT_NO_FLAG */
};

/* A removal that waits until the other side has the message's flags: both by their places in the lists of todo. */
struct waiting {
	size_t removal, flag;
};

/* What one folder asks for. */
struct todo {
	VEC(struct work) copy[2], flag[2], remove[2]; /* by the side that is changed */
	VEC(size_t) copy_row[2];
	VEC(int64_t) forget;
	VEC(struct agreement) agree;
	VEC(struct waiting) waiting;  /* removals at the left */
	size_t taken_before;          /* so many of those are of what was not copied just now */
};

/* ---- actrow.c ---- */

void act_todo_release(struct todo *t);

/* Does the folder ask for anything at this side? */
bool act_has_work_at(struct box *b, const struct plan_sync_policy *policy, struct twoway *g, int side);

/* Put what these rows ask for into the lists; what the base is to say of them at once it says. Both sides are open, where they have work. */
int act_sort_rows(struct twoway *g, struct box *b, const struct plan_sync_policy *policy, size_t from, size_t to, struct todo *t, struct err *e);

/* What is to become of a message that both sides hold, and the base knows. */
int act_sort_held(struct twoway *g, struct joined *row, const struct plan_sync *plan, struct todo *t, struct err *e);

/* A message that both sides hold already gets its pair, in a transaction that the caller ends; then it is one of the base. */
int act_pair_row(struct twoway *g, const struct box *b, struct joined *row, struct err *e);

/* What was taken over from another program is of the base before anything is done: all or nothing, as its notes count only where the base knows nothing. */
int act_note_taken(struct twoway *g, const struct box *b, struct err *e);

/* ---- act.c ---- */

/* So many new messages of a folder are copied together. */
size_t act_slice(const struct twoway *g);

/* ---- actask.c, actkept.c, acttry.c ---- */

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
