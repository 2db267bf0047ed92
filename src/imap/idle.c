/* IDLE: see idle.h. */
#include "imap/idle.h"
#include "imap/refusal.h"

#define AT_ONCE 1000 /* responses */

/* Ask for it. */
int imap_idle_begin(struct imap_conn *c, struct imap_idle *i, struct err *e)
{
	if (i->state != IMAP_IDLE_OFF)
		return err_set(e, ERR_BUG, "IDLE is begun twice");
	if (imap_send(c, &i->tag, e, "IDLE") < 0 || imap_flush(c, e) < 0)
		return -1;
	*i = (struct imap_idle){ .state = IMAP_IDLE_ASKED, .tag = i->tag, .since = clock_now(), .more = true };
	return 0;
}

/* The end of a command that can be no other than IDLE. 0, with *e if it was refused; -1. */
static int over(struct imap_conn *c, struct imap_idle *i, uint32_t ended, struct err *e)
{
	if (i->state == IMAP_IDLE_OFF || ended != i->tag) {
		err_set(e, ERR_BUG, "the end of another command came while IDLE was on");
		return imap_dead(c);
	}
	i->state = IMAP_IDLE_OFF;
	if (c->resp.cond != IMAP_OK)
		imap_refusal(&c->resp, ERR_REFUSED, "the server says", e);
	return 0;
}

/* What was read. 1 there may be more, 0 IDLE is over, -1. */
static int take_one(struct imap_conn *c, struct imap_idle *i, int got, uint32_t ended, imap_on *on, void *arg, struct err *e)
{
	i->heard = true;
	if (got == IMAP_GOT_PLUS && i->state == IMAP_IDLE_ASKED)
		i->state = IMAP_IDLE_ON;
	else if (got == IMAP_GOT_DATA && on(arg, &c->resp, e) < 0)
		return -1;
	else if (got == IMAP_GOT_END && ended != 0)
		return over(c, i, ended, e);
	return 1;
}

/* What is at hand. */
int imap_idle_take(struct imap_conn *c, struct imap_idle *i, imap_on *on, void *arg, struct err *e)
{
	uint32_t ended;

	i->more = true;
	for (int n = 0; n < AT_ONCE; n++) {
		int got = imap_glance(c, &ended, e), rc;

		if (got < 0)
			return -1;
		if (got == 0) {
			i->more = false;
			break;
		}
		rc = take_one(c, i, got, ended, on, arg, e);
		if (rc <= 0)
			return rc;
	}
	if (i->state != IMAP_IDLE_ASKED || clock_now() < i->since + c->timeout)
		return 1;
	err_set(e, ERR_TIMEOUT, "the server did not answer IDLE within %d seconds", c->timeout / 1000);
	return imap_dead(c);
}

/* Leave it. */
int imap_idle_end(struct imap_conn *c, struct imap_idle *i, imap_on *on, void *arg, struct err *e)
{
	struct err first = ERR_INIT, why = ERR_INIT;
	msec_t until = clock_in(c->timeout);
	bool done = false;
	int rc = 1;

	while (i->state != IMAP_IDLE_OFF) {
		struct err second = ERR_INIT;
		uint32_t ended;
		int got;

		if (i->state == IMAP_IDLE_ON && !done) {
			if (imap_say(c, "DONE", e) < 0)
				return -1;
			done = true;
		}
		/* it may go on with news, but not for ever */
		if (clock_now() >= until) {
			err_set(e, ERR_TIMEOUT, "the server did not end IDLE within %d seconds", c->timeout / 1000);
			return imap_dead(c);
		}
		got = imap_read(c, &ended, e);
		if (got < 0)
			return -1;
		rc = take_one(c, i, got, ended, on, arg, got == IMAP_GOT_END ? &why : &second);
		if (c->dead) {
			if (e)
				*e = why;
			return -1;
		}
		if (rc < 0 && first.kind == ERR_NONE)
			first = second;
	}
	i->more = true;
	if (first.kind != ERR_NONE || why.kind != ERR_NONE) {
		if (e)
			*e = first.kind != ERR_NONE ? first : why;
		return first.kind != ERR_NONE ? -1 : 0;
	}
	return 1;
}
