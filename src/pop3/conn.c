/* Commands out, replies in: see conn.h. */
#include "pop3/conn.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/tls.h"
#include "net/trace.h"

#define OUT_MAX (256 << 10)    /* commands queued at once; OAuth responses are the longest */
#define TEXT_SHOWN 200         /* bytes of a server's text in an error */
#define LAST_WORDS_MS 1000     /* a server that takes nothing any more may have said why */
#define LISTING_RATE 10        /* bytes a second: some servers hash every message for a listing */
#define LOGIN_DELAY_UNKNOWN 60 /* seconds, when the server asks for a pause and doesn't say how long */

/* A new wait begins. */
static void arm(struct pop3_conn *c)
{
	stream_set_deadline(c->s, clock_in(c->timeout));
}

/* The link is lost, or can't be understood any more: nothing may be said on it. */
static int dead(struct pop3_conn *c)
{
	c->dead = true;
	return -1;
}

/* Foreign text as an error shows it. */
static const char *shown(struct slice text, char out[TEXT_SHOWN + 1])
{
	return err_printable(out, TEXT_SHOWN + 1, text.p ? text.p : "", text.n);
}

/* Text of the server that may be shown: none of it holds the secret that it was told. */
static struct slice tellable(struct pop3_conn *c, struct slice text)
{
	return blank_text(c->blank, text, &c->blanked);
}

/* Queue a command. */
int pop3_send(struct pop3_conn *c, const char *fmt, ...)
{
	size_t from = c->out.len;
	va_list ap;

	va_start(ap, fmt);
	strbuf_vprintf(&c->out, fmt, ap);
	va_end(ap);
	if (!c->out.failed && (memchr(strbuf_str(&c->out) + from, '\r', c->out.len - from) ||
			       memchr(strbuf_str(&c->out) + from, '\n', c->out.len - from) ||
			       memchr(strbuf_str(&c->out) + from, '\0', c->out.len - from))) {
		strbuf_cut(&c->out, from);
		return -1;
	}
	if (strbuf_puts(&c->out, "\r\n") < 0) {
		strbuf_cut(&c->out, from);
		c->out.failed = false;
		return -1;
	}
	c->piled |= c->flying++ > 0;
	return 0;
}

/* A line was answered. */
static void landed(struct pop3_conn *c)
{
	c->flying -= c->flying > 0; /* the greeting answers nothing */
	c->piled &= c->flying > 0;
}

/* What stands behind the keyword, if the line begins with it as a word. */
static bool reply_word(struct slice line, const char *word, struct slice *rest)
{
	size_t n = strlen(word);

	if (!slice_istarts(line, word) || (line.n > n && isalnum((unsigned char)line.p[n])))
		return false;
	*rest = slice_trim(slice_of(line.p + n, line.n - n));
	return true;
}

/* What the server said before it closed the connection tells more than that nothing can be sent. */
static int unsent(struct pop3_conn *c, struct err *e)
{
	struct err why = ERR_INIT;
	struct slice line, text;
	char buf[TEXT_SHOWN + 1];

	if (e && e->kind != ERR_TIMEOUT && !c->in_body) {
		stream_set_deadline(c->s, clock_in(LAST_WORDS_MS));
		if (bufin_line(&c->in, POP3_LINE_MAX, &line, NULL, &why) == 1 && reply_word(line, "-ERR", &text))
			err_set(e, ERR_TEMP, "the server closed the connection and says \"%s\"", shown(tellable(c, text), buf));
	}
	return dead(c);
}

/* Hand what is queued to the stream, which may hold it back until its flush. */
static int put_out(struct pop3_conn *c, struct err *e)
{
	int r;

	if (c->dead)
		return err_set(e, ERR_TEMP, "the connection is lost");
	if (c->out.len == 0)
		return 0;
	arm(c);
	r = stream_write(c->s, c->out.s, c->out.len, e);
	strbuf_clear(&c->out);
	return r < 0 ? unsent(c, e) : 0;
}

/* Send what is queued. */
int pop3_flush(struct pop3_conn *c, struct err *e)
{
	if (put_out(c, e) < 0)
		return -1;
	return stream_flush(c->s, e) < 0 ? unsent(c, e) : 0;
}

/* Begin or end what the trace must not show. */
int pop3_secret(struct pop3_conn *c, bool on, struct err *e)
{
	int r = put_out(c, e);

	if (c->s)
		trace_secret(c->s, on);
	return r;
}

/* A line was cut off by the end of the stream, or the stream ended before one. */
static int lost(struct pop3_conn *c, struct err *e)
{
	err_set(e, ERR_TEMP, "the server closed the connection");
	return dead(c);
}

/* What a response code (RFC 2449 section 8, RFC 3206, RFC 6856) makes of a refusal. */
static const struct {
	const char *code;
	enum err_kind kind;
} codes[] = {
	{ "LOGIN-DELAY", ERR_TEMP },
	{ "IN-USE", ERR_BUSY },
	{ "SYS/TEMP", ERR_TEMP },
	{ "SYS/PERM", ERR_UNAVAIL },
	{ "AUTH", ERR_AUTH },
	{ "UTF8", ERR_REFUSED },
};

/* Whether the text begins with the code in brackets; a code may go on behind a slash. */
static bool has_code(struct slice text, const char *code)
{
	size_t n = strlen(code);

	return text.n >= n + 2 && text.p[0] == '[' && (text.p[n + 1] == ']' || text.p[n + 1] == '/') &&
	       slice_istarts(slice_of(text.p + 1, n), code);
}

/* An error out of the text behind -ERR. */
static void refusal(const struct pop3_conn *c, struct slice text, struct err *e)
{
	char buf[TEXT_SHOWN + 1];
	enum err_kind kind = ERR_REFUSED;
	bool delay = has_code(text, "LOGIN-DELAY");

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (has_code(text, codes[i].code))
			kind = codes[i].kind;
	if (text.n > 0)
		err_set(e, kind, "the server says \"%s\"", shown(text, buf));
	else
		err_set(e, kind, "the server refuses and gives no reason");
	if (e && delay)
		e->retry_after = c->caps.login_delay > 0 ? c->caps.login_delay : LOGIN_DELAY_UNKNOWN;
}

/* A line that is no reply: say what it looks like. */
static int no_reply(struct pop3_conn *c, struct slice line, struct err *e)
{
	char buf[TEXT_SHOWN + 1];

	err_set(e, ERR_PROTO, "the server doesn't speak POP3: instead of +OK or -ERR it says \"%s\"", shown(line, buf));
	if (slice_istarts(line, "* OK") || slice_istarts(line, "* PREAUTH"))
		err_hint(e, "that is an IMAP server: check port and scheme");
	else if (slice_starts(line, "220"))
		err_hint(e, "that is an SMTP or FTP server: check port and scheme");
	return dead(c);
}

/* One reply line: 1 +OK, 0 -ERR, 2 "+ challenge" where that is possible, -1. */
static int reply(struct pop3_conn *c, bool challenge, struct slice *text, struct err *e)
{
	struct slice line, rest;
	bool crlf;
	int r;

	if (pop3_flush(c, e) < 0)
		return -1;
	if (c->in_body) {
		err_set(e, ERR_BUG, "a reply is read while a message body is not yet");
		return dead(c);
	}
	arm(c);
	pace_begin(&c->pace);
	r = bufin_line(&c->in, POP3_LINE_MAX, &line, &crlf, e);
	if (r == 0)
		return lost(c, e);
	if (r < 0) {
		if (e && e->kind == ERR_TIMEOUT) {
			err_set(e, ERR_TIMEOUT, "the server did not answer within %d seconds", c->timeout / 1000);
			if (c->piled)
				err_hint(e, "if that happens each time: the server may offer PIPELINING and not do it; disable-extensions = {PIPELINING} does without");
		}
		return dead(c);
	}
	landed(c);
	c->lf_only = !crlf;
	r = reply_word(line, "+OK", &rest) ? 1 : reply_word(line, "-ERR", &rest) ? 0 : -1;
	if (r < 0 && challenge && line.n >= 1 && line.p[0] == '+' && (line.n == 1 || line.p[1] == ' ')) {
		rest = slice_trim(slice_of(line.p + 1, line.n - 1));
		r = 2;
	}
	if (r < 0)
		return no_reply(c, tellable(c, line), e);
	if (r == 0) {
		rest = tellable(c, rest);
		refusal(c, rest, e);
	}
	if (text)
		*text = rest;
	return r;
}

/* A status line. */
int pop3_status(struct pop3_conn *c, struct slice *text, struct err *e)
{
	return reply(c, false, text, e);
}

/* A status line, or a challenge. */
int pop3_challenge(struct pop3_conn *c, struct slice *text, struct err *e)
{
	return reply(c, true, text, e);
}

/* Read on. */
int pop3_fill(struct pop3_conn *c, uint64_t min_rate, struct slice *have, struct err *e)
{
	int r;

	c->pace.timeout = c->timeout;
	r = pace_fill(&c->pace, &c->in, min_rate, have, e);
	return r < 0 ? dead(c) : r;
}

/* Read over the rest of a line that is too long; what it began with stays in c->cut. */
static int overlong(struct pop3_conn *c, uint64_t *budget, struct slice *line, struct err *e)
{
	struct slice have = { 0 };
	uint64_t seen = 0;

	bufin_avail(&c->in, &have, e); /* at hand: the caller has looked */
	*line = slice_of(c->cut, have.n < sizeof(c->cut) ? have.n : sizeof(c->cut));
	memcpy(c->cut, have.p, line->n);
	for (;;) {
		const char *lf = memchr(have.p, '\n', have.n);
		size_t n = lf ? (size_t)(lf - have.p) + 1 : have.n;
		int r;

		bufin_take(&c->in, n);
		seen += n;
		if (seen > *budget || seen > POP3_OVERLONG_MAX) {
			err_set(e, ERR_PROTO, "the server sends a line of more than %llu bytes", (unsigned long long)seen);
			return dead(c);
		}
		if (lf)
			break;
		r = pop3_fill(c, LISTING_RATE, &have, e);
		if (r < 0)
			return -1;
		if (r == 0)
			return lost(c, e);
	}
	*budget -= seen;
	return 2;
}

/* The next line of a multi-line reply. */
int pop3_multi(struct pop3_conn *c, size_t max, uint64_t *budget, struct slice *line, struct err *e)
{
	size_t seen = 0;
	struct slice have;
	const char *lf = NULL;

	if (c->dead)
		return err_set(e, ERR_TEMP, "the connection is lost");
	have = slice_of(c->in.buf + c->in.pos, bufin_pending(&c->in));
	while (!lf) {
		size_t look = have.n < max ? have.n : max;

		lf = look > seen ? memchr(have.p + seen, '\n', look - seen) : NULL;
		if (!lf && have.n >= max)
			return overlong(c, budget, line, e);
		seen = look;
		if (!lf) {
			int r = pop3_fill(c, LISTING_RATE, &have, e);

			if (r < 0)
				return -1;
			if (r == 0)
				return lost(c, e);
		}
	}
	line->p = have.p;
	line->n = (size_t)(lf - have.p);
	bufin_take(&c->in, line->n + 1);
	if (line->n + 1 > *budget) {
		err_set(e, ERR_PROTO, "the server's listing does not end");
		return dead(c);
	}
	*budget -= line->n + 1;
	if (line->n > 0 && line->p[line->n - 1] == '\r')
		line->n--;
	if (line->n > 0 && line->p[0] == '.') {
		if (line->n == 1)
			return 0;
		line->p++;
		line->n--;
	}
	return 1;
}

/* Take over a stream. */
int pop3_attach(struct pop3_conn *c, struct stream *s, int timeout, unsigned disabled_caps, const char *what, struct err *e)
{
	*c = (struct pop3_conn){
		.s = s,
		.out = STRBUF_SECRET(OUT_MAX),
		.blanked = STRBUF_INIT(2 * POP3_LINE_MAX),
		.caps = { .expire = -1 },
		.timeout = timeout > 0 ? timeout : 60000,
		.disabled = disabled_caps,
		.what = what ? what : "pop3",
	};
	if (bufin_init(&c->in, s, e) < 0) {
		pop3_close(c);
		return -1;
	}
	return 0;
}

/*
 * The timestamp that APOP hashes with the password (RFC 1939 section 7). It must be a msg-id in the strict sense: the attack that finds passwords through
 * MD5 collisions needs octets that no msg-id holds.
 */
static void find_timestamp(struct slice text, char out[256])
{
	const char *lt = memchr(text.p, '<', text.n), *gt = NULL;
	size_t n, at = 0;

	out[0] = '\0';
	if (lt)
		gt = memchr(lt, '>', text.n - (size_t)(lt - text.p));
	if (!gt)
		return;
	n = (size_t)(gt - lt) + 1;
	if (n > 255)
		return;
	for (size_t i = 1; i < n - 1; i++) {
		unsigned char ch = (unsigned char)lt[i];

		if (ch == '@' && at == 0)
			at = i;
		else if (ch <= ' ' || ch >= 0x7f || strchr("<>()@,;:\\\"", ch) || (strchr("[]", ch) && at == 0))
			return;
	}
	if (at < 2 || at == n - 2)
		return;
	memcpy(out, lt, n);
	out[n] = '\0';
}

/* The first line that the server says. */
int pop3_greeting(struct pop3_conn *c, struct err *e)
{
	struct slice text;
	int r = pop3_status(c, &text, e);

	if (r < 0)
		return err_in(e, "greeting");
	if (r == 0) {
		if (e && e->kind == ERR_REFUSED)
			e->kind = ERR_UNAVAIL;
		return err_in(e, "greeting");
	}
	err_printable(c->greeting, sizeof(c->greeting), text.p, text.n);
	find_timestamp(text, c->apop);
	if (bufin_pending(&c->in) > 0) {
		/* Whatever it is, it would be taken for the answer to the first command. */
		err_set(e, ERR_PROTO, "the server says more than one line before it is asked anything");
		return dead(c);
	}
	return 0;
}

/* A failure of STLS: nothing else is said on this link. */
static int no_stls(struct pop3_conn *c, const char *why, struct err *e)
{
	err_set(e, ERR_CERT, "can't encrypt the connection: %s; nothing was sent", why);
	err_hint(e, "use pop3s:// if the server has it; somebody between here and the server may be removing STLS");
	return dead(c);
}

/* STLS (RFC 2595 section 4). All that was said before is forgotten: anybody could have said it. */
static int start_tls(struct pop3_conn *c, const struct dial_params *d, struct err *e)
{
	char why[ERR_TEXT_MAX];
	struct slice text;
	int r;

	if (c->caps.known && !(c->caps.have & POP3_CAP_STLS))
		return no_stls(c, "the server does not offer STLS", e);
	pop3_send(c, "STLS");
	r = pop3_status(c, &text, e);
	if (r < 0)
		return err_in(e, "STLS");
	if (r == 0) {
		char buf[TEXT_SHOWN + 1];

		snprintf(why, sizeof(why), "the server refuses STLS (\"%s\")", shown(text, buf));
		return no_stls(c, why, e);
	}
	if (bufin_pending(&c->in) > 0)
		return no_stls(c, "there are bytes behind the server's answer to STLS, which somebody may have injected", e);
	c->s = dial_start_tls(c->s, d, e);
	c->in.s = c->s;
	if (!c->s)
		return dead(c);
	c->caps = (struct pop3_caps){ .expire = -1 };
	c->greeting[0] = c->apop[0] = '\0';
	return 0;
}

/* All of pop3_open but its error's place and the closing on failure. */
static int open_steps(struct pop3_conn *c, const struct dial_params *d, const struct pop3_caps *remembered, struct err *e)
{
	bool known = remembered && remembered->known;

	if (pop3_greeting(c, e) < 0)
		return -1;
	if (d->security == DIAL_STARTTLS) {
		if (!known && pop3_capa(c, e) < 0)
			return -1;
		if (start_tls(c, d, e) < 0)
			return -1;
	}
	if (known && stream_find(c->s, &tls_ops)) {
		c->caps = *remembered;
		c->caps.have &= ~c->disabled;
		return 0;
	}
	return pop3_capa(c, e);
}

/* From parameters to a connection that may be logged in. */
int pop3_open(struct pop3_conn *c, const struct dial_params *d, unsigned disabled_caps, const char *what, const struct pop3_caps *remembered,
	      struct net_stats *stats, struct err *e)
{
	struct stream *s;

	memset(c, 0, sizeof(*c));
	s = dial(d, stats, e);
	if (!s || pop3_attach(c, s, d->timeout, disabled_caps, what, e) < 0)
		return err_in(e, "%s", what);
	if (open_steps(c, d, remembered, e) < 0) {
		pop3_close(c);
		return err_in(e, "%s", what);
	}
	return 0;
}

/* Drop the link. */
void pop3_close(struct pop3_conn *c)
{
	bufin_release(&c->in);
	strbuf_release(&c->out);
	strbuf_release(&c->blanked);
	stream_free(c->s);
	c->s = NULL;
	c->dead = true;
}
