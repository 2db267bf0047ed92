/* Commands out, answers in: see conn.h. */
#include "imap/conn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "imap/refusal.h"
#include "net/trace.h"

#define TEXT_SHOWN 200      /* bytes of a server's text in an error or a warning */
#define TAG_SHOWN 40        /* and of a tag, with its NUL */
#define QUOTED_MAX 1000     /* longer strings go as literals: some servers' lines are short */
#define ANSWER_RATE 10      /* bytes a second of one answer */
#define BODY_RATE 100
#define LAST_WORDS_MS 1000  /* a server that takes nothing any more may have said why */
#define HALF (IMAP_FLIGHT_MAX - IMAP_COMMAND_MAX)

/* The link is lost, or can't be understood any more: nothing may be said on it. */
int imap_dead(struct imap_conn *c)
{
	c->dead = true;
	return -1;
}

/* Bytes that were ever queued. */
static uint64_t queued(const struct imap_conn *c)
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
	return f->end == UINT64_MAX ? 0 : f->end - f->begin;
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
static void land(struct imap_conn *c, struct imap_flight *f)
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
static struct imap_flight *find(const struct imap_conn *c, struct slice tag)
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
	c->began = queued(c);
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
		if (waits && vec_push(&c->stops, queued(c)) < 0)
			c->spoilt = true;
		strbuf_putsl(&c->out, s);
	}
	if (c->out.failed)
		c->spoilt = true;
}

/* Stop no more before `to`. */
static void drop_stops(struct imap_conn *c, uint64_t to)
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
		land(c, open_flight(c));
}

/* Enter it before it is complete. */
int imap_enter(struct imap_conn *c, struct err *e)
{
	return take_off(c, e);
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
	n = queued(c) - c->began;
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
	open->end = queued(c);
	c->fly_bytes += n;
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
	uint64_t to = c->stops.n > 0 ? c->stops.a[0] : queued(c);
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

/* ---- answers ---- */

/* A server that talks on and on. */
static int talks(struct imap_conn *c, struct err *e)
{
	err_set(e, ERR_PROTO, "the server has sent more than %llu MB without answering anything",
		(unsigned long long)(IMAP_UNASKED_MAX >> 20));
	return imap_dead(c);
}

/* imap_lexer.fill: all waiting for the server is done here. */
int imap_fill(void *arg, struct bufin *in, bool body, struct slice *have, struct err *e)
{
	struct imap_conn *c = arg;
	size_t before = bufin_pending(in);
	int r;

	if (!c->reading)
		c->pace.total = 0; /* somebody has use for it */
	else if (c->unasked + (c->taken - c->mark) > IMAP_UNASKED_MAX + BUFIN_SIZE)
		return talks(c, e);
	if (c->pace.total >= c->patience)
		return err_set(e, ERR_TIMEOUT,
			"the server has answered nothing for %d minutes, though it talks",
			(int)(c->patience / 60000));
	c->pace.timeout = c->timeout;
	r = pace_fill(&c->pace, in, body ? BODY_RATE : ANSWER_RATE, have, e);
	c->taken += bufin_pending(in) - before;
	return r;
}

/* Foreign text as a person sees it. */
static const char *shown(struct slice text, char out[TEXT_SHOWN + 1])
{
	return err_printable(out, TEXT_SHOWN + 1, text.p ? text.p : "", text.n);
}

/* Something a person should read (RFC 3501 section 7.1). */
static void alert(const struct imap_conn *c, struct slice text)
{
	char buf[TEXT_SHOWN + 1];

	if (c->clear)
		return;
	if (c->alert)
		c->alert(c->arg, shown(text, buf));
	else
		log_debug("the server alerts: %s", shown(text, buf));
}

/* The server's list of what it can. */
static void take_caps(struct imap_conn *c, struct imap_words words)
{
	imap_caps_begin(&c->caps);
	for (size_t i = 0; i < words.n; i++)
		imap_caps_word(&c->caps, words.a[i]);
	imap_caps_end(&c->caps, c->disabled);
	c->caps_fresh = true;
}

/* ENABLED (RFC 5161). */
static void take_enabled(struct imap_conn *c, struct imap_words words)
{
	size_t n;
	const struct imap_capinfo *t = imap_capinfo(&n);

	for (size_t w = 0; w < words.n; w++)
		for (size_t i = 0; i < n; i++)
			if (slice_ieqs(words.a[w], t[i].name))
				c->enabled |= t[i].bit;
	if (c->enabled & IMAP_CAP_QRESYNC)
		c->enabled |= IMAP_CAP_CONDSTORE;
	if (c->enabled & IMAP_CAP_UTF8_ACCEPT)
		c->utf8 = true;
}

/* NAMESPACE (RFC 2342). A prefix that is too long, or holds a NUL, is none of ours. */
static void take_spaces(struct imap_conn *c, const struct imap_resp *r)
{
	c->spaces_known = true;
	c->nspaces = 0;
	for (size_t i = 0; i < r->n && c->nspaces < IMAP_SPACES_MAX; i++) {
		const struct imap_namespace *from = &r->namespaces[i];
		struct imap_space *to = &c->spaces[c->nspaces];

		if (from->prefix.n >= sizeof(to->prefix) ||
		    (from->prefix.n > 0 && memchr(from->prefix.p, '\0', from->prefix.n)))
			continue;
		*to = (struct imap_space){ .kind = from->kind, .sep = from->sep };
		if (from->prefix.n > 0)
			memcpy(to->prefix, from->prefix.p, from->prefix.n);
		c->nspaces++;
	}
}

/* ID (RFC 2971): name and version. */
static void take_id(struct imap_conn *c, const struct imap_resp *r)
{
	static const char *const keys[] = { "name", "version" };
	size_t at = 0;

	c->server[0] = '\0';
	for (size_t k = 0; k < 2; k++)
		for (size_t i = 0; i < r->n; i++) {
			struct slice v = r->pairs[i].value;

			if (!slice_ieqs(r->pairs[i].key, keys[k]) || v.n == 0 ||
			    at + 2 >= sizeof(c->server))
				continue;
			if (at > 0)
				c->server[at++] = ' ';
			err_printable(c->server + at, sizeof(c->server) - at, v.p, v.n);
			at += strlen(c->server + at);
			break;
		}
}

/* What this layer does with an untagged response; true: no caller needs to see it. */
static bool take(struct imap_conn *c, const struct imap_resp *r)
{
	switch (r->kind) {
	case IMAP_CAPABILITY:
		take_caps(c, r->words);
		return true;
	case IMAP_ENABLED:
		take_enabled(c, r->words);
		return true;
	case IMAP_NAMESPACE:
		take_spaces(c, r);
		return true;
	case IMAP_ID:
		take_id(c, r);
		return true;
	default:
		return false;
	}
}

/* BYE: the server ends the connection (RFC 3501 section 7.1.5). */
static int bye(struct imap_conn *c, struct err *e)
{
	imap_refusal(&c->resp, c->greeted ? ERR_TEMP : ERR_UNAVAIL,
		"the server ends the connection and says", e);
	if (e)
		e->span = SPAN_ACCT;
	return imap_dead(c);
}

/*
 * The end of a command. One that was not sent completely (its literal was not wanted) can only be
 * refused, and the rest is not sent.
 */
static int ended(struct imap_conn *c, uint32_t *tag, struct err *e)
{
	struct imap_flight *f = find(c, c->resp.tag);
	uint64_t end;
	char buf[TEXT_SHOWN + 1];

	if (!f || f->begin >= c->put) {
		err_set(e, ERR_PROTO, "the server answers a command \"%s\" that it was not given",
			err_printable(buf, TAG_SHOWN, c->resp.tag.p, c->resp.tag.n));
		return imap_dead(c);
	}
	end = f->end < queued(c) ? f->end : queued(c);
	if ((f->end == UINT64_MAX || end > c->put) && c->resp.cond == IMAP_OK) {
		err_set(e, ERR_PROTO,
			"the server says OK to a command of which it has only the beginning");
		return imap_dead(c);
	}
	if (end > c->put) {
		strbuf_shift(&c->out, (size_t)(end - c->put));
		c->put = end;
	}
	drop_stops(c, end);
	*tag = f->own ? 0 : f->tag;
	if (f->own && c->resp.cond != IMAP_OK)
		log_debug("A%u: refused: %s", f->tag, shown(c->resp.text, buf));
	land(c, f);
	c->unasked = 0;
	c->pace.total = 0;
	return IMAP_GOT_END;
}

/* Nothing could be read. */
static int unread(struct imap_conn *c, int r, struct err *why, struct err *e)
{
	bool begun = c->rd.x.mid, impatient = c->pace.total >= c->patience;

	if (r == 0)
		err_set(why, ERR_TEMP, "the server closed the connection");
	else if (why->kind == ERR_TIMEOUT && !begun && !impatient)
		err_set(why, ERR_TIMEOUT, "the server did not answer within %d seconds",
			c->timeout / 1000);
	if (e)
		*e = *why;
	if (r < 0 && why->kind == ERR_TIMEOUT && !c->rd.x.dead && flying(c) == 0 && c->greeted &&
	    !impatient)
		return -1; /* it had nothing to say */
	return imap_dead(c);
}

/* One response. */
int imap_read(struct imap_conn *c, uint32_t *tag, struct err *e)
{
	struct imap_resp *r = &c->resp;
	struct err why = ERR_INIT;
	int n;

	*tag = 0;
	c->mark = c->taken - bufin_pending(&c->in);
	if (c->dead)
		return err_set(e, ERR_TEMP, "the connection is lost");
	c->pace.waited = 0;
	c->pace.got = 0;
	c->reading = true;
	n = imap_resp_next(&c->rd, r, &why);
	c->reading = false;
	c->unasked += c->taken - bufin_pending(&c->in) - c->mark;
	if (n <= 0)
		return unread(c, n, &why, e);
	if (c->unasked > IMAP_UNASKED_MAX)
		return talks(c, e);
	if (r->kind == IMAP_TAGGED || r->kind == IMAP_UNTAGGED) {
		if (r->code.kind == IMAP_CODE_CAPABILITY)
			take_caps(c, r->code.words);
		if (r->code.kind == IMAP_CODE_ALERT)
			alert(c, r->text);
	}
	if (r->kind == IMAP_UNTAGGED && r->cond == IMAP_BYE)
		return bye(c, e);
	if (r->kind == IMAP_TAGGED)
		return ended(c, tag, e);
	if (r->kind != IMAP_CONTINUE)
		return take(c, r) ? IMAP_GOT_OURS : IMAP_GOT_DATA;
	if (c->stops.n > 0 && c->put == c->stops.a[0])
		drop_stops(c, c->put);
	return IMAP_GOT_PLUS;
}

/* The next answer for a caller. */
enum imap_event imap_next(struct imap_conn *c, uint32_t *tag, const struct imap_resp **r,
	struct err *e)
{
	uint32_t ended = 0;

	if (r)
		*r = &c->resp;
	if (c->building) {
		err_set(e, ERR_BUG, "an answer is read while a command is being built");
		imap_dead(c);
		return IMAP_LOST;
	}
	for (;;) {
		int got;

		if (imap_flush(c, e) < 0)
			return IMAP_LOST;
		got = imap_read(c, &ended, e);
		if (got < 0)
			return IMAP_LOST;
		if (got == IMAP_GOT_DATA)
			return IMAP_DATA;
		if (got == IMAP_GOT_END && ended != 0)
			break;
		/*
		 * A "+" that nothing waits for is passed over: some servers give it for LITERAL+,
		 * too.
		 */
	}
	if (tag)
		*tag = ended;
	if (c->resp.cond == IMAP_OK)
		return IMAP_DONE;
	imap_refusal(&c->resp, ERR_REFUSED, "the server says", e);
	return IMAP_REFUSED;
}

/* Hand data on that nobody here waits for. */
static void stray(struct imap_conn *c)
{
	if (c->stray)
		c->stray(c->arg, &c->resp);
}

/* Read on to the end of a command. */
int imap_finish(struct imap_conn *c, uint32_t tag, imap_on *on, void *arg,
	const struct imap_resp **r, struct err *e)
{
	struct err first = ERR_INIT;
	const struct imap_resp *resp;
	uint32_t ended = 0;

	if (r)
		*r = &c->resp;
	for (;;) {
		enum imap_event ev = imap_next(c, &ended, &resp, e);

		if (ev == IMAP_LOST)
			return -1;
		if (ev == IMAP_DATA) {
			if (!on)
				stray(c);
			else if (on(arg, resp, &first) < 0)
				on = NULL; /* its first error is what counts */
			continue;
		}
		if (ended != tag) {
			err_set(e, ERR_BUG,
				"the end of another command came while one is waited for");
			return imap_dead(c);
		}
		if (first.kind != ERR_NONE) {
			if (e)
				*e = first;
			return -1;
		}
		return ev == IMAP_DONE;
	}
}

/* Read what our own commands brought. */
int imap_settle(struct imap_conn *c, struct err *e)
{
	uint32_t tag = 0;

	if (imap_flying(c) > 0)
		return err_set(e, ERR_BUG, "commands are in flight while others are waited for");
	while (c->fly_own > 0) {
		int got;

		if (imap_flush(c, e) < 0)
			return -1;
		got = imap_read(c, &tag, e);
		if (got < 0)
			return -1;
		if (got == IMAP_GOT_DATA)
			stray(c);
	}
	return 0;
}

/* ---- AUTHENTICATE ---- */

/* A line outside of commands. */
int imap_say(struct imap_conn *c, const char *line, struct err *e)
{
	if (strpbrk(line, "\r\n") || strbuf_puts(&c->out, line) < 0 ||
	    strbuf_puts(&c->out, "\r\n") < 0) {
		err_set(e, ERR_LOCAL, "the response is too long, or memory is out");
		return imap_dead(c);
	}
	return imap_flush(c, e);
}

/* What the server says to it. */
int imap_challenge(struct imap_conn *c, uint32_t tag, struct slice *text, struct err *e)
{
	uint32_t ended = 0;

	for (;;) {
		int got;

		if (imap_flush(c, e) < 0)
			return -1;
		got = imap_read(c, &ended, e);
		if (got < 0)
			return -1;
		*text = slice_trim(c->resp.text);
		if (got == IMAP_GOT_PLUS)
			return 2;
		if (got == IMAP_GOT_DATA)
			stray(c);
		if (got == IMAP_GOT_END && ended == tag)
			break;
	}
	if (c->resp.cond == IMAP_OK)
		return 1;
	imap_refusal(&c->resp, ERR_REFUSED, "the server says", e);
	return 0;
}
