/*
 * Something that goes on while the process waits for something else: a function on a stack of its own, which reads as any other. There is but one course of events: the two take turns,
 * and only in the waits of clock.h. Where the fiber waits, the process goes on; while that waits, what comes for the fiber is dealt with.
 *
 * For logging in at a second server while the first one thinks, and for reading from several at once. A fiber starts no other.
 */
#ifndef BASE_FIBER_H
#define BASE_FIBER_H

#include "base/clock.h"

struct fiber;

/* Begin: it runs until its first wait. NULL: there is no room, or it is a fiber that asks; then the caller calls run itself, later. */
struct fiber *fiber_start(int (*run)(void *arg, struct err *e), void *arg);

/* Wait until it has come to its end, and free it: what run returned, with its *e. A signal is told to it, too. */
int fiber_join(struct fiber *f, struct err *e);

/* The same, but whatever it waits for fails (ERR_CANCEL). NULL is fine. */
void fiber_cancel(struct fiber *f);

/* For long work between two waits: let those go on for whom there is what they wait for. What that took is added to their deadlines, if it was long: nobody has answered too late who was not heard. False: there is none that waits, or a signal came. */
bool fiber_turn(void);

/* ---- for clock.c ---- */

bool fiber_inside(void);                             /* it is the fiber that waits */
int fiber_wait(struct wait_item *w, size_t n, msec_t deadline, struct err *e); /* let the process go on until there is something, as wait_fds */
bool fiber_waits(size_t *n, msec_t *deadline);       /* do any, while the process does: for so many things, until then (the first of them; 0 none) */
void fiber_items(struct wait_item *w);               /* what they all wait for */
void fiber_go_on(const struct wait_item *w);         /* these of them are ready: let those go on whose they are, or whose deadline has passed */

#endif
