/* Message bodies, and many commands in flight: see msg.h. */
#include "pop3/msg.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define BODY_RATE 100 /* bytes a second */
#define DRAIN_MAX (64 << 20) /* bytes that are read over for the sake of what comes behind */
#define IN_FLIGHT_MAX 65536 /* bytes of commands that any server's socket takes while we don't read */

/* "TOP 2147483648 0" and its CRLF */
static_assert(POP3_WINDOW * 18 < IN_FLIGHT_MAX, "RETRs and TOPs in flight");
static_assert(POP3_DELE_WINDOW * 17 < IN_FLIGHT_MAX, "DELEs in flight");

/* Where in a line the next byte stands. */
enum place { PLACE_MID, PLACE_CR, PLACE_START };

struct body {
	struct stream s;
	struct pop3_conn *c;
	uint64_t num;
	enum place place;
	bool lf;      /* lines end in LF alone */
	bool done;
	bool bare;    /* the last line so far was "." behind a bare LF: what a server that can't keep to CRLF ends with */
};

/* The stream ended or failed before the message did. */
static ssize_t cut_off(struct body *b, int r, struct err *e)
{
	bool timeout = r < 0 && e && e->kind == ERR_TIMEOUT;

	b->c->dead = true;
	if (r == 0)
		err_set(e, ERR_TEMP, "connection lost in the middle of message %llu", (unsigned long long)b->num);
	else
		err_in(e, "in the middle of message %llu", (unsigned long long)b->num);
	if (timeout && b->bare)
		err_hint(e, "the server seems to end the message with a bare LF and a dot, which POP3 does not allow");
	return -1;
}

/*
 * At the start of a line: is it the end of the message? 1: yes, and it is taken; 0: no, a stuffed dot, if there is one, is taken; -1. Reads on while what is
 * there could be either.
 */
static int at_start(struct body *b, struct slice have, struct err *e)
{
	while (have.p[0] == '.') {
		size_t end = b->lf && have.n >= 2 && have.p[1] == '\n' ? 2 : have.n >= 3 && memcmp(have.p, ".\r\n", 3) == 0 ? 3 : 0;
		int r;

		if (end > 0) {
			bufin_take(&b->c->in, end);
			return 1;
		}
		if (have.n >= 3 || (have.n == 2 && have.p[1] != '\r')) {
			bufin_take(&b->c->in, 1);
			return 0;
		}
		r = pop3_fill(b->c, BODY_RATE, &have, e);
		if (r <= 0)
			return (int)cut_off(b, r, e);
	}
	return 0;
}

/* The first dot of the n bytes at p that follows the end of a line, or NULL. Dots are rare: to look for them is faster than to look for ends of lines. */
static const char *find_dot(const struct body *b, const char *p, size_t n)
{
	const char *dot = p;

	while ((dot = memchr(dot, '.', n - (size_t)(dot - p)))) {
		if (dot - p >= 1 && dot[-1] == '\n' && (b->lf || (dot - p >= 2 && dot[-2] == '\r')))
			return dot;
		dot++;
	}
	return NULL;
}

/* How many of the n bytes at p may be given out before the next start of a line with a dot; keeps b->place. At least one. */
static size_t run_length(struct body *b, const char *p, size_t n)
{
	const char *dot;
	size_t run;

	if (b->place == PLACE_CR && p[0] == '\n') {
		b->place = PLACE_START; /* its CR went out with the bytes before */
		return 1;
	}
	dot = find_dot(b, p, n);
	run = dot ? (size_t)(dot - p) : n;
	if (p[run - 1] == '\n' && (b->lf || (run >= 2 && p[run - 2] == '\r')))
		b->place = PLACE_START;
	else
		b->place = !b->lf && p[run - 1] == '\r' ? PLACE_CR : PLACE_MID;
	return run;
}

/* stream_ops.read: runs of bytes between stuffed dots. */
static ssize_t body_read(struct stream *s, void *buf, size_t n, struct err *e)
{
	struct body *b = (struct body *)s;
	struct slice have;
	size_t run;
	int r;

	if (b->done || n == 0)
		return 0;
	if (b->c->dead)
		return err_set(e, ERR_TEMP, "connection lost in the middle of message %llu", (unsigned long long)b->num);
	for (;;) {
		have = slice_of(b->c->in.buf + b->c->in.pos, bufin_pending(&b->c->in));
		if (have.n > 0)
			break;
		r = pop3_fill(b->c, BODY_RATE, &have, e);
		if (r <= 0)
			return cut_off(b, r, e);
	}
	if (b->place == PLACE_START) {
		r = at_start(b, have, e);
		if (r < 0)
			return -1;
		if (r > 0) {
			b->done = true;
			return 0;
		}
		b->place = PLACE_MID;
		return body_read(s, buf, n, e); /* not deeper: the place has changed */
	}
	run = run_length(b, have.p, have.n < n ? have.n : n);
	memcpy(buf, have.p, run);
	b->bare = run >= 4 && memcmp(have.p + run - 3, ".\r\n", 3) == 0 && have.p[run - 4] == '\n';
	bufin_take(&b->c->in, run);
	return (ssize_t)run;
}

/* stream_ops.free: the next reply stands behind the end of this body. Where that is far away, or nowhere, another connection is had sooner. */
static void body_free(struct stream *s)
{
	struct body *b = (struct body *)s;
	msec_t until = clock_in(b->c->timeout);
	uint64_t left = DRAIN_MAX;
	char buf[4096];

	while (!b->done && !b->c->dead) {
		ssize_t n = body_read(s, buf, sizeof(buf), NULL);

		if (n < 0)
			break;
		if ((uint64_t)n > left || clock_now() > until)
			b->c->dead = true;
		left -= (uint64_t)n;
	}
	b->c->in_body = false;
	free(b);
}

static const struct stream_ops body_ops = {
	.name = "pop3 body",
	.read = body_read,
	STREAM_READ_ONLY,
	.free = body_free,
};

/* The body behind the +OK that was just read. */
struct stream *pop3_body(struct pop3_conn *c, uint64_t num, struct err *e)
{
	struct body *b = calloc(1, sizeof(*b));

	if (!b) {
		c->dead = true;
		err_set(e, ERR_LOCAL, "out of memory");
		return NULL;
	}
	b->s.ops = &body_ops;
	b->c = c;
	b->num = num;
	b->place = PLACE_START;
	b->lf = c->lf_only;
	c->in_body = true;
	return &b->s;
}

/* Announce messages. */
int pop3_retr_start(struct pop3_pipe *p, struct pop3_conn *c, const uint64_t *nums, size_t n, struct err *e)
{
	*p = (struct pop3_pipe){ .c = c, .n = n, .window = c->caps.have & POP3_CAP_PIPELINING ? POP3_WINDOW : 1 };
	if (n == 0)
		return 0;
	p->nums = n <= SIZE_MAX / sizeof(*nums) ? malloc(n * sizeof(*nums)) : NULL;
	if (!p->nums) {
		p->n = 0;
		return err_set(e, ERR_LOCAL, "out of memory");
	}
	memcpy(p->nums, nums, n * sizeof(*nums));
	return 0;
}

/* Announce messages of which the headers are wanted. */
int pop3_top_start(struct pop3_pipe *p, struct pop3_conn *c, const uint64_t *nums, size_t n, struct err *e)
{
	int rc = pop3_retr_start(p, c, nums, n, e);

	p->top = true;
	return rc;
}

/* Is it time for more commands? In handfuls, so that many leave in one TLS record; but early, so that the line never runs dry. */
static bool wants_more(size_t flying, size_t window)
{
	return flying + (window > POP3_HANDFUL ? POP3_HANDFUL : window) <= window;
}

/* Keep the window filled. Behind the last message goes a STAT: its answer looks like no other (RFC 1939 section 5), so that one that belongs elsewhere is seen. */
static int refill(struct pop3_pipe *p, struct err *e)
{
	size_t flying = p->sent - p->got;

	if (!wants_more(flying, p->window))
		return 0;
	for (; p->sent < p->n && flying < p->window; p->sent++, flying++)
		if (pop3_send(p->c, p->top ? "TOP %llu 0" : "RETR %llu", (unsigned long long)p->nums[p->sent]) < 0)
			return err_set(e, ERR_LOCAL, "out of memory");
	if (p->sent == p->n && p->n > 0 && !p->fence_sent && flying < p->window) {
		p->fence_sent = true;
		if (pop3_send(p->c, "STAT") < 0)
			return err_set(e, ERR_LOCAL, "out of memory");
	}
	return 0;
}

/*
 * The STAT was refused, or answered in another way than before: some servers can't answer a second one. LIST of one message is answered with its number, which a line of
 * mail is unlikely to be.
 */
static int second_fence(struct pop3_pipe *p, struct err *e)
{
	const unsigned long long last = p->nums[p->n - 1];
	struct slice text;
	uint64_t n, size;
	int r;

	if (pop3_send(p->c, "LIST %llu", last) < 0)
		return err_set(e, ERR_LOCAL, "out of memory");
	r = pop3_status(p->c, &text, e);
	if (r < 0)
		return err_in(e, "behind message %llu", last);
	if (r > 0 && slice_u64(slice_word(&text), UINT64_MAX, &n) && slice_u64(slice_word(&text), UINT64_MAX, &size) && n == last) {
		p->c->stat_plain = false;
		return 0;
	}
	p->c->dead = true;
	return err_set(e, ERR_PROTO, "behind message %llu: the server answers neither STAT nor LIST as it should, so some message ended too early, perhaps at a line with a dot"
		       " that the server should have stuffed", last);
}

/* The answer to the STAT: the end of what was read. 0, -1. */
static int read_fence(struct pop3_pipe *p, struct err *e)
{
	struct err refused = ERR_INIT;
	struct slice text;
	uint64_t n;
	int r;

	if (p->n == 0 || p->fence_got)
		return 0;
	if (refill(p, e) < 0)
		return -1;
	p->fence_got = true;
	r = pop3_status(p->c, &text, &refused);
	if (r >= 0 && !p->c->stat_plain)
		return 0;
	if (r > 0 && slice_u64(slice_word(&text), UINT64_MAX, &n) && slice_u64(slice_word(&text), UINT64_MAX, &n))
		return 0;
	if (r >= 0)
		return second_fence(p, e);
	if (e)
		*e = refused;
	return err_in(e, "behind message %llu", (unsigned long long)p->nums[p->n - 1]);
}

/* Is anything still to come? */
bool pop3_retr_flying(const struct pop3_pipe *p)
{
	return p->sent > p->got || p->fence_sent != p->fence_got;
}

/* The next of the messages. */
int pop3_retr_next(struct pop3_pipe *p, size_t *i, struct stream **body, struct err *e)
{
	int r;

	*body = NULL;
	if (p->c->in_body)
		return err_set(e, ERR_BUG, "the message before is not yet read");
	if (p->got == p->n)
		return read_fence(p, e);
	if (refill(p, e) < 0)
		return -1;
	*i = p->got;
	r = pop3_status(p->c, NULL, e);
	if (r < 0)
		return err_in(e, "message %llu", (unsigned long long)p->nums[p->got]);
	p->got++;
	if (r == 0) {
		if (e)
			e->span = SPAN_MSG;
		return err_in(e, "message %llu", (unsigned long long)p->nums[*i]);
	}
	*body = pop3_body(p->c, p->nums[*i], e);
	return *body ? 1 : -1;
}

/* Forget the messages. */
void pop3_retr_end(struct pop3_pipe *p)
{
	if (p->c && pop3_retr_flying(p))
		p->c->dead = true;
	free(p->nums);
	*p = (struct pop3_pipe){ 0 };
}

/* Mark many. */
int pop3_dele(struct pop3_conn *c, const uint64_t *nums, size_t n, void (*done)(void *arg, uint64_t num, const struct err *why), void *arg, struct err *e)
{
	size_t window = c->caps.have & POP3_CAP_PIPELINING ? POP3_DELE_WINDOW : 1, sent = 0;

	for (size_t got = 0; got < n; got++) {
		struct err why = ERR_INIT;
		int r;

		if (wants_more(sent - got, window))
			for (; sent < n && sent - got < window; sent++)
				if (pop3_send(c, "DELE %llu", (unsigned long long)nums[sent]) < 0) {
					c->dead = true;
					return err_set(e, ERR_LOCAL, "out of memory");
				}
		r = pop3_status(c, NULL, &why);
		if (r < 0) {
			if (e)
				*e = why;
			return err_in(e, "removing message %llu", (unsigned long long)nums[got]);
		}
		why.span = SPAN_MSG;
		if (r == 0)
			err_in(&why, "removing message %llu", (unsigned long long)nums[got]);
		done(arg, nums[got], r > 0 ? NULL : &why);
	}
	return 0;
}
