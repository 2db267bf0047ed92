/* What headers of a maildrop tell, read by TOP or, where that can't be, by RETR: see pop3store_p.h. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "store/pop3store_p.h"

#define CHUNK 16384

/* Of a body that is read through this to its end: its header, up to and with the empty line. */
struct head_only {
	struct stream s;
	struct stream *whole;
	bool text;  /* this line holds something */
	bool over;
};

/* How much of these bytes belongs to the header. */
static size_t head_part(struct head_only *h, const char *p, size_t n)
{
	size_t i;

	for (i = 0; i < n && !h->over; i++) {
		if (p[i] == '\n') {
			h->over = !h->text;
			h->text = false;
		} else {
			h->text |= p[i] != '\r';
		}
	}
	return i;
}

static ssize_t head_read(struct stream *s, void *buf, size_t n, struct err *e)
{
	struct head_only *h = (struct head_only *)s;
	ssize_t got;

	while ((got = stream_read(h->whole, buf, n, e)) > 0) {
		size_t part = head_part(h, buf, (size_t)got);

		if (part > 0)
			return (ssize_t)part;
	}
	return got;
}

static const struct stream_ops head_ops = {
	.name = "header",
	.read = head_read,
	STREAM_READ_ONLY,
	.free = stream_no_shut,
};

static int cmp_num(const void *a, const void *b)
{
	const struct pop3head *x = a, *y = b;

	return (x->num > y->num) - (x->num < y->num);
}

/* Of the same message what tells more comes first. */
static int cmp_head(const void *a, const void *b)
{
	const struct pop3head *x = a, *y = b;
	int rc = cmp_num(a, b);

	return rc != 0 ? rc : (x->size < y->size) - (x->size > y->size);
}

/* What came since in order, too. */
static void sort_heads(struct pop3store *t)
{
	size_t kept = 0;

	if (t->sorted == t->heads.n)
		return;
	qsort(t->heads.a, t->heads.n, sizeof(*t->heads.a), cmp_head);
	for (size_t i = 0; i < t->heads.n; i++)
		if (kept == 0 || t->heads.a[kept - 1].num != t->heads.a[i].num)
			t->heads.a[kept++] = t->heads.a[i];
	t->heads.n = t->sorted = kept;
}

const struct pop3head *pop3head_known(struct pop3store *t, uint64_t num)
{
	const struct pop3head want = { .num = (uint32_t)num };

	sort_heads(t);
	return num > UINT32_MAX || t->heads.n == 0 ? NULL : bsearch(&want, t->heads.a, t->heads.n, sizeof(want), cmp_num);
}

uint64_t pop3head_size(const struct pop3store *t, const struct pop3head *h)
{
	const struct pop3key *k = h->size == 0 && t->sizes == POP3_SIZES_TRUE ? pop3keys_num(&t->keys, h->num) : NULL;

	return k ? k->size : h->size;
}

bool pop3head_has_top(const struct pop3store *t)
{
	const struct pop3_conn *c = &t->conn;

	return !(c->disabled & POP3_CAP_TOP) && (!c->caps.known || c->caps.have & POP3_CAP_TOP);
}

/* What the reader along has seen. */
static void take_ident(struct pop3store *t, struct pop3head *out, bool whole)
{
	struct ident id;

	ident_tapped(t->ident, &id);
	out->has_mid = id.has_mid;
	memcpy(out->mid, id.mid, IDENT_MID);
	out->size = whole ? id.size : 0;
	out->mark = id.mark;
	out->date = id.date;
}

/* Read what came of one message. */
static int read_one(struct pop3store *t, uint64_t num, bool whole, struct stream *body, struct pop3head *out, struct err *e)
{
	struct head_only head = { .s = { .ops = &head_ops }, .whole = ident_tap(t->ident, body) };
	struct stream *s = status_tap(t->status, &head.s);
	char buf[CHUNK];
	ssize_t n;
	bool had;

	while ((n = stream_read(s, buf, sizeof(buf), e)) > 0)
		;
	if (status_tapped(t->status, out->digest, &had, n < 0 ? NULL : e) < 0 || n < 0)
		return -1;
	out->num = (uint32_t)num;
	take_ident(t, out, whole);
	return 0;
}

/* Read what was announced. */
static int read_all(struct pop3store *t, const uint64_t *nums, bool whole, struct err *e)
{
	int rc = 1;

	while (rc == 1) {
		struct pop3head h;
		struct stream *body = NULL;
		struct err why = ERR_INIT;
		size_t i = 0;

		if (clock_check(e) < 0) {
			rc = -1;
			break;
		}
		rc = pop3_retr_next(&t->pipe, &i, &body, &why);
		if (rc == 1)
			rc = read_one(t, nums[i], whole, body, &h, &why) < 0 ? -1 : vec_push(&t->heads, h) < 0 ? err_set(&why, ERR_LOCAL, "out of memory") : 1;
		else if (rc < 0 && why.span == SPAN_MSG)
			rc = 1; /* refused */
		stream_free(body);
		if (rc < 0 && e)
			*e = why;
	}
	return rc;
}

int pop3head_learn(struct pop3store *t, const uint64_t *nums, size_t n, bool whole, struct err *e)
{
	VEC(uint64_t) ask = { 0 };
	int rc = 0;

	if (!t->ident)
		t->ident = ident_reader_new(e);
	if (t->ident && !t->status)
		t->status = status_reader_new(e);
	pop3_retr_end(&t->pipe); /* in the midst of what was wanted the link is dead now, and need_open says so */
	if (!t->status || pop3store_need_open(t, e) < 0)
		return -1;
	for (size_t i = 0; rc == 0 && i < n; i++) {
		const struct pop3head *h = pop3head_known(t, nums[i]);

		if ((!h || (whole && h->size == 0)) && vec_push(&ask, nums[i]) < 0)
			rc = err_set(e, ERR_LOCAL, "out of memory");
	}
	if (rc == 0 && ask.n > 0) {
		t->read = true;
		rc = whole ? pop3_retr_start(&t->pipe, &t->conn, ask.a, ask.n, e) : pop3_top_start(&t->pipe, &t->conn, ask.a, ask.n, e);
		if (rc == 0)
			rc = read_all(t, ask.a, whole, e);
		pop3_retr_end(&t->pipe);
	}
	vec_release(&ask);
	if (rc < 0 && e && !whole && err_link_lost(e))
		err_hint(e, "if that happens each time: the server may not be able to give all headers; disable-extensions = {TOP} does without");
	return rc < 0 ? pop3store_fail(t, e) : 0;
}

/* Read those whole of which nothing is known; sizes: of which the size is not. */
static int learn_rest(struct pop3store *t, const uint64_t *nums, size_t n, bool sizes, struct err *e)
{
	VEC(uint64_t) rest = { 0 };
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		const struct pop3head *h = pop3head_known(t, nums[i]);

		if ((sizes ? h && pop3head_size(t, h) == 0 : !h) && vec_push(&rest, nums[i]) < 0)
			rc = err_set(e, ERR_LOCAL, "out of memory");
	}
	if (rc == 0)
		rc = pop3head_learn(t, rest.a, rest.n, true, e);
	vec_release(&rest);
	return rc;
}

/* Does LIST say the size of this message, if it was read whole? */
static void judge_size(struct pop3store *t, const struct pop3head *h)
{
	const struct pop3key *k = h && h->size > 0 ? pop3keys_num(&t->keys, h->num) : NULL;

	if (!k || k->size == 0 || t->sizes != POP3_SIZES_UNKNOWN)
		return;
	t->sizes = h->size == k->size ? POP3_SIZES_TRUE : POP3_SIZES_LIES;
	if (t->sizes == POP3_SIZES_LIES)
		log_debug("%s: message %llu has %llu bytes, not %llu: the server's sizes are of no use", t->login.what, (unsigned long long)h->num, (unsigned long long)h->size,
			  (unsigned long long)k->size);
}

static ssize_t tap_read(struct stream *s, void *buf, size_t n, struct err *e)
{
	struct pop3tap *tap = (struct pop3tap *)s;
	struct pop3head h = { .num = (uint32_t)tap->num };
	ssize_t got = stream_read(tap->ident, buf, n, e);

	if (got == 0 && n > 0 && tap->num > 0) {
		take_ident(tap->t, &h, true);
		judge_size(tap->t, &h);
		if (h.size > 0 && vec_push(&tap->t->heads, h) < 0)
			log_debug("out of memory: message %llu will be asked about", (unsigned long long)h.num);
		tap->num = 0;
	}
	return got;
}

static void tap_free(struct stream *s)
{
	stream_free(((struct pop3tap *)s)->body);
}

static const struct stream_ops tap_ops = {
	.name = "pop3",
	.read = tap_read,
	STREAM_READ_ONLY,
	.free = tap_free,
};

struct stream *pop3head_tap(struct pop3store *t, uint64_t num, struct stream *body)
{
	if (!t->ident)
		t->ident = ident_reader_new(NULL);
	if (!t->ident)
		return body; /* it will be asked about */
	t->tap = (struct pop3tap){ .s = { .ops = &tap_ops }, .body = body, .ident = ident_tap(t->ident, body), .t = t, .num = num };
	return &t->tap.s;
}

/* Servers count in ways of their own, a line end as one byte for instance, and then in all messages: the smallest of these tells. */
static int try_sizes(struct pop3store *t, const uint64_t *nums, size_t n, struct err *e)
{
	uint64_t num = 0, size = 0;

	for (size_t i = 0; i < n && t->sizes == POP3_SIZES_UNKNOWN; i++)
		judge_size(t, pop3head_known(t, nums[i]));
	for (size_t i = 0; i < n; i++) {
		const struct pop3key *k = pop3keys_num(&t->keys, nums[i]);

		if (k && k->size > 0 && (size == 0 || k->size < size)) {
			num = nums[i];
			size = k->size;
		}
	}
	if (num == 0 || t->sizes != POP3_SIZES_UNKNOWN)
		return 0;
	if (pop3head_learn(t, &num, 1, true, e) < 0)
		return -1;
	judge_size(t, pop3head_known(t, num));
	return 0;
}

int pop3head_idents(struct pop3store *t, const uint64_t *nums, size_t n, struct err *e)
{
	if (n == 0)
		return 0;
	if (pop3head_has_top(t) && pop3head_learn(t, nums, n, false, e) < 0)
		return -1;
	if (learn_rest(t, nums, n, false, e) < 0 || try_sizes(t, nums, n, e) < 0)
		return -1;
	return learn_rest(t, nums, n, true, e);
}
