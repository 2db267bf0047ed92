/*
 * Waiting for what a server tells by itself: IDLE (RFC 2177), and what comes without any command
 * (NOTIFY, RFC 5465; EXISTS and the like between two commands).
 *
 *   imap_idle_begin        nothing is waited for
 *   imap_idle_take         when the descriptor is readable (stream_fd), and while i->more
 *   imap_idle_end          before any other command
 */
#ifndef IMAP_IDLE_H
#define IMAP_IDLE_H

#include "imap/conn.h"

enum imap_idling {
	IMAP_IDLE_OFF,
	IMAP_IDLE_ASKED, /* the server's "+" has not come yet: nothing may be sent, DONE neither */
	IMAP_IDLE_ON,
};

struct imap_idle {
	enum imap_idling state;
	uint32_t tag;
	msec_t since;   /* begun, or last seen alive by it: clock_now */
	bool heard;     /* something came since then, whatever */
	bool more;      /* imap_idle_take left something at hand; true too after other commands were read */
};

/* With nothing of the caller's in flight. -1. */
int imap_idle_begin(struct imap_conn *c, struct imap_idle *i, struct err *e);

/*
 * Read what is at hand, no more than a bounded number of responses (i->more: there may be others). A
 * response that has begun is read to its end, for which c->timeout counts. Data goes to on; its -1 is
 * returned. Works while no IDLE is on as well.
 *
 * 1; 0 the server has ended IDLE, or refused it (*e: then it said NO or BAD); -1 the link is lost, or on
 * failed. A server that does not say "+" within c->timeout is lost.
 */
int imap_idle_take(struct imap_conn *c, struct imap_idle *i, imap_on *on, void *arg, struct err *e);

/*
 * DONE, and read to its end. 1; 0 the server refuses to have idled (*e); -1. Off already: 1 at once. Data
 * goes to on, whose first error is returned when all has been read.
 */
int imap_idle_end(struct imap_conn *c, struct imap_idle *i, imap_on *on, void *arg, struct err *e);

#endif
