/* Answers in, one by one: see conn.h. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "imap/conn.h"
#include "imap/refusal.h"

#define TEXT_SHOWN 200      /* bytes of a server's text in an error or a warning */
#define TAG_SHOWN 40        /* and of a tag, with its NUL */
#define ANSWER_RATE 10      /* bytes a second of one answer */
#define BODY_RATE 100

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
	c->pace.timeout = c->glancing && !c->rd.x.mid ? 0 : c->timeout;
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
 * Is it the end of the NOOP behind the login? Once what was sent later is answered, that will not be
 * any more. A server that answers it before the login has not waited with it.
 */
static void note_probe(struct imap_conn *c, const struct imap_flight *f)
{
	char tag[16];

	if (c->probe == 0 || f->tag < c->probe)
		return;
	if (f->tag > c->probe) {
		snprintf(tag, sizeof(tag), "A%u", c->probe);
		log_debug("%s: the server has dropped what stood behind the login", tag);
		imap_land(c, imap_flight_of(c, slice_str(tag)));
	} else if (c->flies && f == &c->fly[c->fly_first] && c->resp.cond == IMAP_OK) {
		*c->flies = IMAP_FLIES_YES;
	}
	c->probe = 0;
}

/*
 * The end of a command. One that was not sent completely (its literal was not wanted) can only be
 * refused, and the rest is not sent.
 */
static int ended(struct imap_conn *c, uint32_t *tag, struct err *e)
{
	struct imap_flight *f = imap_flight_of(c, c->resp.tag);
	uint64_t end;
	char buf[TEXT_SHOWN + 1];

	if (!f || f->begin >= c->put) {
		err_set(e, ERR_PROTO, "the server answers a command \"%s\" that it was not given",
			err_printable(buf, TAG_SHOWN, c->resp.tag.p, c->resp.tag.n));
		return imap_dead(c);
	}
	end = f->end < imap_queued(c) ? f->end : imap_queued(c);
	if ((f->end == UINT64_MAX || end > c->put) && c->resp.cond == IMAP_OK) {
		err_set(e, ERR_PROTO,
			"the server says OK to a command of which it has only the beginning");
		return imap_dead(c);
	}
	if (end > c->put) {
		strbuf_shift(&c->out, (size_t)(end - c->put));
		c->put = end;
	}
	imap_drop_stops(c, end);
	note_probe(c, f);
	*tag = f->own ? 0 : f->tag;
	if (f->own && c->resp.cond != IMAP_OK)
		log_debug("A%u: refused: %s", f->tag, shown(c->resp.text, buf));
	imap_land(c, f);
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
	if (r < 0 && why->kind == ERR_TIMEOUT && !c->rd.x.dead && c->greeted && !impatient &&
	    (c->fly_n == c->fly_over || (c->glancing && !begun)))
		return -1; /* it had nothing to say */
	return imap_dead(c);
}

/* The greeting, of which we were ahead. */
static int meet(struct imap_conn *c, struct err *e)
{
	c->ahead = false;
	c->caps_fresh = false;
	if (imap_greeting(c, e) < 0)
		return -1;
	if (c->preauth) {
		err_set(e, ERR_PROTO, "the server says that we are logged in already (PREAUTH)");
		return imap_dead(c);
	}
	if (c->caps_fresh)
		c->greeted_with = c->caps;
	c->caps_fresh = false; /* after the login it is to say it again */
	return 0;
}

/* One response. */
int imap_read(struct imap_conn *c, uint32_t *tag, struct err *e)
{
	struct imap_resp *r = &c->resp;
	struct err why = ERR_INIT;
	int n;

	*tag = 0;
	if (c->ahead && !c->dead && meet(c, e) < 0)
		return -1;
	c->mark = c->taken - bufin_pending(&c->in);
	if (c->dead)
		return err_set(e, ERR_TEMP, "the connection is lost");
	pace_begin(&c->pace);
	c->reading = true;
	n = imap_resp_next(&c->rd, r, &why);
	c->reading = false;
	c->unasked += c->taken - bufin_pending(&c->in) - c->mark;
	if (n <= 0)
		return unread(c, n, &why, e);
	if (c->unasked > IMAP_UNASKED_MAX)
		return talks(c, e);
	if (r->kind == IMAP_TAGGED || r->kind == IMAP_UNTAGGED) {
		r->text = blank_text(c->blank, r->text, &c->blanked);
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
		imap_drop_stops(c, c->put);
	return IMAP_GOT_PLUS;
}

/* One response, if there is any. */
int imap_glance(struct imap_conn *c, uint32_t *tag, struct err *e)
{
	struct err why = ERR_INIT;
	int got;

	c->glancing = true;
	got = imap_read(c, tag, &why);
	c->glancing = false;
	if (got < 0 && !c->dead && why.kind == ERR_TIMEOUT)
		return 0;
	if (got < 0 && e)
		*e = why;
	return got;
}

/* The next answer for a caller. now: if there is one; else it is set to false. */
static enum imap_event next(struct imap_conn *c, bool *now, uint32_t *tag, const struct imap_resp **r,
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
		got = now ? imap_glance(c, &ended, e) : imap_read(c, &ended, e);
		if (got < 0)
			return IMAP_LOST;
		if (got == 0) {
			*now = false;
			return IMAP_DATA;
		}
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

enum imap_event imap_next(struct imap_conn *c, uint32_t *tag, const struct imap_resp **r,
	struct err *e)
{
	return next(c, NULL, tag, r, e);
}

bool imap_next_now(struct imap_conn *c, enum imap_event *ev, uint32_t *tag,
	const struct imap_resp **r, struct err *e)
{
	bool now = true;

	*ev = next(c, &now, tag, r, e);
	return now;
}

/* Hand data on that nobody here waits for. */
static void stray(struct imap_conn *c)
{
	c->strayed |= c->resp.kind != IMAP_UNTAGGED;
	if (c->stray)
		c->stray(c->arg, &c->resp);
}

/* Send and read, where the caller waits for no data. */
int imap_turn(struct imap_conn *c, uint32_t *tag, struct err *e)
{
	int got = imap_flush(c, e) < 0 ? -1 : imap_read(c, tag, e);

	if (got == IMAP_GOT_DATA)
		stray(c);
	return got;
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
	while (c->fly_own > 0)
		if (imap_turn(c, &tag, e) < 0)
			return -1;
	return 0;
}

/* Read to the end of all. */
int imap_drain(struct imap_conn *c, struct err *e)
{
	uint32_t tag;

	while (imap_flying(c) + c->fly_own > 0)
		if (imap_turn(c, &tag, e) < 0)
			return -1;
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
	int got;

	do {
		got = imap_turn(c, &ended, e);
		if (got < 0)
			return -1;
		*text = slice_trim(c->resp.text);
		if (got == IMAP_GOT_PLUS)
			return 2;
	} while (got != IMAP_GOT_END || ended != tag);
	if (c->resp.cond == IMAP_OK)
		return 1;
	imap_refusal(&c->resp, ERR_REFUSED, "the server says", e);
	return 0;
}
