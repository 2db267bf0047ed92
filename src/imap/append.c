/* Messages to the server: see conn.h. */
#include <stdio.h>
#include <string.h>

#include "imap/conn.h"
#include "imap/refusal.h"
#include "mail/imapdate.h"

#define CHUNK 16384 /* bytes written within one deadline */

/* Begin an APPEND. It flies from now on: a refusal may come before it is complete. */
int imap_append_start(struct imap_conn *c, struct slice mailbox, struct err *e)
{
	imap_start(c);
	imap_put(c, "APPEND ");
	imap_astring(c, mailbox);
	if (!c->spoilt)
		return imap_enter(c, e) < 0 ? (imap_undo(c), -1) : 0;
	imap_undo(c);
	return err_set_span(e, ERR_CONF, SPAN_BOX,
		"the folder's name can't be sent: it is too long, or holds a NUL");
}

/* What stands before a message, to its literal. */
static void put_head(struct imap_conn *c, const struct imap_append *m)
{
	bool waits = imap_literal_waits(c, m->size);
	char date[IMAPDATE_TEXT];

	if (m->flags && *m->flags)
		imap_put(c, " (%s)", m->flags);
	if (m->date != INT64_MIN) {
		imapdate_print(m->date, date);
		imap_put(c, " \"%s\"", date);
	}
	imap_put(c, "%s{%llu%s}", m->utf8 ? " UTF8 (~" : m->binary ? " ~" : " ", (unsigned long long)m->size,
		waits ? "" : "+");
	if (strbuf_puts(&c->out, "\r\n") < 0 ||
	    (waits && vec_push(&c->stops, c->put + c->out.len) < 0))
		c->spoilt = true;
}

/* Put out all that was queued, asking where that is due. 1; 0: refused; -1. */
static int ask(struct imap_conn *c, struct err *e)
{
	while (c->stops.n > 0) {
		uint32_t tag = 0;
		int got = imap_turn(c, &tag, e);

		if (got < 0)
			return -1;
		if (got != IMAP_GOT_END || tag == 0)
			continue;
		/*
		 * it is ours, since no other command of the caller's flies; and OK would have been
		 * an error
		 */
		c->building = c->spoilt = false;
		imap_refusal(&c->resp, ERR_REFUSED, "the server says", e);
		return 0;
	}
	return imap_put_out(c, e) < 0 ? -1 : 1;
}

/* The body is not what was announced. */
static int no_body(struct imap_conn *c, const char *what, uint64_t size, struct err *e)
{
	err_set_span(e, ERR_LOCAL, SPAN_MSG,
		"the message is %s than the %llu bytes that were announced: the connection had "
		"to be closed", what, (unsigned long long)size);
	return imap_dead(c);
}

/* The bytes of a literal. */
static int copy(struct imap_conn *c, struct stream *body, uint64_t size, struct err *e)
{
	char buf[CHUNK];
	uint64_t left = size;
	ssize_t n = 1;

	while (left > 0) {
		n = stream_read(body, buf, left < sizeof(buf) ? (size_t)left : sizeof(buf), e);
		if (n <= 0)
			break;
		stream_set_deadline(c->s, clock_in(c->timeout));
		if (stream_write(c->s, buf, (size_t)n, e) < 0)
			return imap_unsent(c, e);
		left -= (uint64_t)n;
	}
	if (n > 0)
		n = stream_read(body, buf, 1, e);
	if (n < 0) {
		err_in(e, "reading the message");
		return imap_dead(c);
	}
	if (left > 0)
		return no_body(c, "shorter", size, e);
	return n > 0 ? no_body(c, "longer", size, e) : 0;
}

/* One message. */
int imap_append_message(struct imap_conn *c, const struct imap_append *m, struct stream *body,
	struct err *e)
{
	int r;

	if (!c->building || (c->messages > 0 && !(c->caps.have & IMAP_CAP_MULTIAPPEND)) ||
	    (m->utf8 && !(c->enabled & IMAP_CAP_UTF8_ACCEPT)) ||
	    (m->binary && !(c->caps.have & IMAP_CAP_BINARY))) {
		err_set(e, ERR_BUG, "a message is appended where none may be");
		return imap_dead(c);
	}
	put_head(c, m);
	if (c->spoilt) {
		imap_undo(c);
		err_set_span(e, ERR_CONF, SPAN_MSG, "the message's flags can't be sent");
		return c->dead ? -1 : 0;
	}
	if (c->stops.n > 0 && imap_flying(c) > 1) {
		err_set(e, ERR_BUG,
			"a message waits for the server while other commands are in flight");
		return imap_dead(c);
	}
	r = ask(c, e);
	if (r <= 0)
		return r;
	if (copy(c, body, m->size, e) < 0)
		return -1;
	if (m->utf8)
		imap_put(c, ")");
	c->messages++;
	return 1;
}

/* End the command. */
int imap_append_end(struct imap_conn *c, uint32_t *tag, struct err *e)
{
	if (c->messages > 0)
		return imap_end(c, tag, e);
	imap_undo(c);
	return err_set(e, ERR_BUG, "an APPEND without a message");
}
