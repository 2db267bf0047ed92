/* Commands out, and what is known of those in flight: see conn.h. */
#include <stdio.h>
#include <string.h>

#include "imap/conn.h"
#include "net/trace.h"

#define QUOTED_MAX 1000     /* longer strings go as literals: some servers' lines are short */
#define LAST_WORDS_MS 1000  /* a server that takes nothing any more may have said why */
#define HALF (IMAP_FLIGHT_MAX - IMAP_COMMAND_MAX)

/* The link is lost, or can't be understood any more: nothing may be said on it. */
int imap_dead(struct imap_conn *c)
{
	c->dead = true;
	return -1;
}

/* Bytes that were ever queued. */
uint64_t imap_queued(const struct imap_conn *c)
{
	return c->put + c->out.len;
}

/* ---- what flies ---- */

/* The i-th of the ring. */
static struct imap_flight *flight(const struct imap_conn *c, size_t i)
{
	return &c->fly[(c->fly_first + i) % IMAP_FLYING_MAX];
}

/* Commands whose end has not come. */
static size_t flying(const struct imap_conn *c)
{
	return c->fly_n - c->fly_over;
}

/* The same without our own. */
size_t imap_flying(const struct imap_conn *c)
{
	return flying(c) - c->fly_own;
}

/*
 * May another command go? Once the window was full it must empty a little: so that many leave in
 * one TLS record.
 */
bool imap_may_send(struct imap_conn *c)
{
	if (c->fly_bytes > HALF || c->fly_n >= IMAP_FLYING_MAX)
		c->full = true;
	else if (c->fly_bytes <= HALF / 4 * 3 && c->fly_n <= IMAP_FLYING_MAX / 4 * 3)
		c->full = false;
	return flying(c) == 0 || !c->full;
}

/* The command that flies before it is complete; NULL: none. It is the last. */
static struct imap_flight *open_flight(const struct imap_conn *c)
{
	struct imap_flight *f = c->fly_n > 0 ? flight(c, c->fly_n - 1) : NULL;

	return f && f->end == UINT64_MAX && !f->over ? f : NULL;
}

/* What a command weighs. */
static uint64_t weight(const struct imap_flight *f)
{
	return f->end == UINT64_MAX || f->append ? 0 : f->end - f->begin;
}

/* A command has begun to fly; where it ends is still open. */
static int take_off(struct imap_conn *c, struct err *e)
{
	if (c->fly_n >= IMAP_FLYING_MAX)
		return err_set(e, ERR_BUG, "more than %d commands are in flight", IMAP_FLYING_MAX);
	*flight(c, c->fly_n++) =
		(struct imap_flight){ .tag = c->last_tag, .begin = c->began, .end = UINT64_MAX };
	return 0;
}

/* It has ended. */
void imap_land(struct imap_conn *c, struct imap_flight *f)
{
	f->over = true;
	c->fly_over++;
	c->fly_bytes -= weight(f);
	if (f->own)
		c->fly_own--;
	while (c->fly_n > 0 && flight(c, 0)->over) {
		c->fly_first = (c->fly_first + 1) % IMAP_FLYING_MAX;
		c->fly_n--;
		c->fly_over--;
	}
}

/* The command of a tag of the wire; NULL when none such flies. */
struct imap_flight *imap_flight_of(const struct imap_conn *c, struct slice tag)
{
	uint64_t n;

	if (!slice_starts(tag, "A") || !slice_u64(slice_of(tag.p + 1, tag.n - 1), UINT32_MAX, &n))
		return NULL;
	for (size_t i = 0; i < c->fly_n; i++)
		if (flight(c, i)->tag == n)
			return flight(c, i)->over ? NULL : flight(c, i);
	return NULL;
}

/* ---- commands ---- */

/* Begin a command. */
void imap_start(struct imap_conn *c)
{
	if (c->building) {
		c->spoilt = true; /* two at once */
		return;
	}
	c->building = true;
	c->spoilt = false;
	c->began = imap_queued(c);
	c->messages = 0;
	c->last_tag++;
	if (strbuf_printf(&c->out, "A%u ", c->last_tag) < 0)
		c->spoilt = true;
}

/* Add text. */
static void put(struct imap_conn *c, const char *fmt, va_list ap)
	__attribute__((format(printf, 2, 0)));
static void put(struct imap_conn *c, const char *fmt, va_list ap)
{
	size_t from = c->out.len, n;
	const char *p;

	if (strbuf_vprintf(&c->out, fmt, ap) < 0)
		c->spoilt = true;
	p = strbuf_str(&c->out) + from;
	n = c->out.len - from;
	if (memchr(p, '\r', n) || memchr(p, '\n', n) || memchr(p, '\0', n))
		c->spoilt = true;
}

/* Add text to the command. */
void imap_put(struct imap_conn *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put(c, fmt, ap);
	va_end(ap);
}

/* Whether a string can stand in quotes. */
static bool quotable(const struct imap_conn *c, struct slice s)
{
	if (s.n > QUOTED_MAX)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		unsigned char ch = (unsigned char)s.p[i];

		if (ch < 0x20 || ch == 0x7f || (ch >= 0x80 && !c->utf8))
			return false;
	}
	return true;
}

/* Whether a literal needs the server's "+" first (RFC 7888). */
bool imap_literal_waits(const struct imap_conn *c, uint64_t size)
{
	return !(c->caps.have & IMAP_CAP_LITERAL_PLUS) &&
		!((c->caps.have & IMAP_CAP_LITERAL_MINUS) && size <= IMAP_LITERAL_MINUS);
}

/* Add a string to the command. */
void imap_astring(struct imap_conn *c, struct slice s)
{
	if (quotable(c, s)) {
		strbuf_putc(&c->out, '"');
		for (size_t i = 0; i < s.n; i++) {
			if (s.p[i] == '"' || s.p[i] == '\\')
				strbuf_putc(&c->out, '\\');
			strbuf_putc(&c->out, s.p[i]);
		}
		strbuf_putc(&c->out, '"');
	} else if (memchr(s.p, '\0', s.n)) {
		c->spoilt = true; /* no IMAP string holds one */
	} else {
		bool waits = imap_literal_waits(c, s.n);

		strbuf_printf(&c->out, "{%zu%s}\r\n", s.n, waits ? "" : "+");
		if (waits && vec_push(&c->stops, imap_queued(c)) < 0)
			c->spoilt = true;
		strbuf_putsl(&c->out, s);
	}
	if (c->out.failed)
		c->spoilt = true;
}

/* Stop no more before `to`. */
void imap_drop_stops(struct imap_conn *c, uint64_t to)
{
	size_t n = 0;

	while (n < c->stops.n && c->stops.a[n] <= to)
		n++;
	c->stops.n -= n;
	if (n > 0)
		memmove(c->stops.a, c->stops.a + n, c->stops.n * sizeof(*c->stops.a));
}

/* Forget the command that is being built. */
void imap_undo(struct imap_conn *c)
{
	c->building = c->spoilt = false;
	if (c->began < c->put) {
		imap_dead(c); /* the server has its beginning */
		return;
	}
	strbuf_cut(&c->out, (size_t)(c->began - c->put));
	c->out.failed = false;
	while (c->stops.n > 0 && c->stops.a[c->stops.n - 1] > c->began)
		c->stops.n--;
	if (open_flight(c))
		imap_land(c, open_flight(c));
}

/* Enter an APPEND before it is complete. */
int imap_enter(struct imap_conn *c, struct err *e)
{
	if (take_off(c, e) < 0)
		return -1;
	flight(c, c->fly_n - 1)->append = true;
	return 0;
}

/* End a command. */
int imap_end(struct imap_conn *c, uint32_t *tag, struct err *e)
{
	struct imap_flight *open = open_flight(c);
	uint64_t n;

	if (!c->building)
		return err_set(e, ERR_BUG, "a command ends that was not begun");
	if (strbuf_puts(&c->out, "\r\n") < 0 || c->spoilt) {
		imap_undo(c);
		return err_set(e, ERR_CONF,
			"the command can't be sent: it is too long, or holds a line end or a NUL");
	}
	n = imap_queued(c) - c->began;
	if (!open) {
		if (flying(c) > 0 && c->fly_bytes + n > IMAP_FLIGHT_MAX) {
			imap_undo(c);
			return err_set(e, ERR_BUG, "commands of more than %d bytes are in flight",
				IMAP_FLIGHT_MAX);
		}
		if (take_off(c, e) < 0) {
			imap_undo(c);
			return -1;
		}
		open = flight(c, c->fly_n - 1);
	}
	open->end = imap_queued(c);
	c->fly_bytes += weight(open);
	c->building = false;
	if (tag)
		*tag = c->last_tag;
	return 0;
}

/* A whole command. */
int imap_send(struct imap_conn *c, uint32_t *tag, struct err *e, const char *fmt, ...)
{
	va_list ap;

	imap_start(c);
	va_start(ap, fmt);
	put(c, fmt, ap);
	va_end(ap);
	return imap_end(c, tag, e);
}

/* A command whose end nobody waits for. */
int imap_send_own(struct imap_conn *c, struct err *e, const char *fmt, ...)
{
	va_list ap;

	imap_start(c);
	va_start(ap, fmt);
	put(c, fmt, ap);
	va_end(ap);
	if (imap_end(c, NULL, e) < 0)
		return -1;
	flight(c, c->fly_n - 1)->own = true;
	c->fly_own++;
	return 0;
}

/* What the server said before it closed the connection tells more than that nothing can be sent. */
static void last_words(struct imap_conn *c, struct err *e)
{
	struct err why = ERR_INIT;
	uint32_t tag;

	if (c->reading || c->rd.x.mid)
		return;
	c->timeout = LAST_WORDS_MS;
	c->patience = LAST_WORDS_MS;
	while (imap_read(c, &tag, &why) >= 0)
		;
	if (e && c->resp.kind == IMAP_UNTAGGED && c->resp.cond == IMAP_BYE)
		*e = why;
}

/* Something could not be sent. */
int imap_unsent(struct imap_conn *c, struct err *e)
{
	if (e && e->kind == ERR_TIMEOUT)
		err_set(e, ERR_TIMEOUT, "the server took nothing for %d seconds",
			c->timeout / 1000);
	else if (!c->dead)
		last_words(c, e);
	return imap_dead(c);
}

/* Hand to the stream what may go: no further than the next stop. */
int imap_put_out(struct imap_conn *c, struct err *e)
{
	uint64_t to = c->stops.n > 0 ? c->stops.a[0] : imap_queued(c);
	size_t n = (size_t)(to - c->put);
	int r;

	if (c->dead)
		return err_set(e, ERR_TEMP, "the connection is lost");
	if (n == 0)
		return 0;
	stream_set_deadline(c->s, clock_in(c->timeout));
	r = stream_write(c->s, c->out.s, n, e);
	strbuf_shift(&c->out, n);
	c->put = to;
	return r < 0 ? imap_unsent(c, e) : 0;
}

/* Send what is queued. */
int imap_flush(struct imap_conn *c, struct err *e)
{
	if (imap_put_out(c, e) < 0)
		return -1;
	return stream_flush(c->s, e) < 0 ? imap_unsent(c, e) : 0;
}

/* Begin or end what the trace must not show. */
int imap_secret(struct imap_conn *c, bool on, struct err *e)
{
	int r = imap_put_out(c, e);

	if (c->s)
		trace_secret(c->s, on);
	return r;
}
