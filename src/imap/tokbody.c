/* What need not stay in memory: a body as a stream, and what is read over. See tok.h. */
#include "imap/tok_p.h"

#include <string.h>

/* stream_ops.read: the bytes of a literal; of a quoted string, which is at hand. */
static ssize_t body_read(struct stream *s, void *buf, size_t n, struct err *e)
{
	struct imap_body *b = (struct imap_body *)s;
	struct imap_lexer *x = b->x;
	struct slice have;
	int r;

	if (b->text.n > 0) {
		n = n < b->text.n ? n : b->text.n;
		memcpy(buf, b->text.p, n);
		b->text = slice_of(b->text.p + n, b->text.n - n);
		return (ssize_t)n;
	}
	if (b->left == 0 || n == 0)
		return 0;
	if (x->dead)
		return imap_tok_still_dead(e);
	have = imap_tok_at_hand(x);
	if (have.n == 0) {
		r = imap_tok_fill(x, true, &have, e);
		if (r < 0)
			return imap_tok_dead(x);
		if (r == 0)
			return imap_tok_lost(x, "message", e);
	}
	n = n < have.n ? n : have.n;
	n = n < b->left ? n : (size_t)b->left;
	memcpy(buf, have.p, n);
	bufin_take(x->in, n);
	b->left -= n;
	return (ssize_t)n;
}

static const struct stream_ops body_ops = {
	.name = "imap body",
	.read = body_read,
	STREAM_READ_ONLY,
	.free = stream_no_shut, /* it is part of the lexer */
};

/* The value behind a token as a stream. */
int imap_tok_body(struct imap_lexer *x, struct imap_tok *t, struct stream **s, struct err *e)
{
	switch (t->kind) {
	case IMAP_TOK_LITERAL:
		x->body.text = slice_of("", 0);
		x->body.left = x->literal;
		x->open_literal = false;
		break;
	case IMAP_TOK_QUOTED:
		x->body.text = t->text;
		x->body.left = 0;
		t->size = t->text.n;
		break;
	case IMAP_TOK_NIL:
		x->body.text = slice_of("", 0);
		x->body.left = 0;
		break;
	default:
		err_set(e, ERR_PROTO, "the server sends a message without its bytes");
		return imap_tok_dead(x);
	}
	x->body.s.ops = &body_ops;
	x->body.x = x;
	*s = &x->body.s;
	return 0;
}

/* Read over n bytes of a literal. */
static int read_over(struct imap_lexer *x, uint64_t *left, bool body, struct err *e)
{
	while (*left > 0) {
		struct slice have = imap_tok_at_hand(x);
		size_t n;

		if (x->dead)
			return imap_tok_still_dead(e);
		if (have.n == 0) {
			int r = imap_tok_fill(x, body, &have, e);

			if (r < 0)
				return imap_tok_dead(x);
			if (r == 0)
				return imap_tok_lost(x, "message", e);
		}
		n = have.n < *left ? have.n : (size_t)*left;
		bufin_take(x->in, n);
		*left -= n;
	}
	return 0;
}

/* What a body's reader left. */
int imap_tok_drain(struct imap_lexer *x, struct err *e)
{
	x->body.text = slice_of("", 0);
	return read_over(x, &x->body.left, true, e);
}

/* Read over a literal that nobody asked for. */
static int skip_literal(struct imap_lexer *x, struct err *e)
{
	if (x->literal > x->limits.skip - x->skip_used) {
		err_set(e, ERR_PROTO, "the server sends more than %llu bytes that nobody asked for", (unsigned long long)x->limits.skip);
		return imap_tok_dead(x);
	}
	x->skip_used += x->literal;
	x->open_literal = false;
	return read_over(x, &x->literal, false, e);
}

/* Read over one value. */
int imap_tok_skip(struct imap_lexer *x, const struct imap_tok *first, struct err *e)
{
	struct imap_tok t = *first;
	unsigned depth = 0;

	for (;;) {
		switch (t.kind) {
		case IMAP_TOK_LITERAL:
			if (skip_literal(x, e) < 0)
				return -1;
			break;
		case IMAP_TOK_OPEN:
			if (depth == x->limits.depth) {
				err_set(e, ERR_PROTO, "the server sends more than %u parentheses in each other", x->limits.depth);
				return imap_tok_dead(x);
			}
			depth++;
			break;
		case IMAP_TOK_CLOSE:
		case IMAP_TOK_EOL:
			if (depth == 0 || t.kind == IMAP_TOK_EOL) {
				err_set(e, ERR_PROTO, "the server sends a response that ends too early");
				return imap_tok_dead(x);
			}
			depth--;
			break;
		default:
			break;
		}
		if (depth == 0)
			return 0;
		if (imap_tok_next(x, false, &t, e) < 0)
			return -1;
	}
}

/* The last bytes of a line that comes in pieces. */
struct tail {
	char s[LITERAL_HEAD_MAX];
	size_t n;
};

/* Add n bytes to it. */
static void tail_add(struct tail *t, const char *p, size_t n)
{
	size_t keep_n = n >= sizeof(t->s) ? 0 : sizeof(t->s) - n;

	if (n > sizeof(t->s)) {
		p += n - sizeof(t->s);
		n = sizeof(t->s);
	}
	if (t->n > keep_n) {
		memmove(t->s, t->s + (t->n - keep_n), keep_n);
		t->n = keep_n;
	}
	memcpy(t->s + t->n, p, n);
	t->n += n;
}

/* Whether the line, of which t is the end with its line end, ends in a literal's size. */
static bool tail_literal(const struct tail *t, uint64_t *size)
{
	size_t end = t->n - 1, from;

	if (end > 0 && t->s[end - 1] == '\r')
		end--;
	if (end == 0 || t->s[end - 1] != '}')
		return false;
	end--;
	if (end > 0 && t->s[end - 1] == '+')
		end--;
	for (from = end; from > 0 && t->s[from - 1] != '{'; from--)
		;
	return from > 0 && slice_u64(slice_of(t->s + from, end - from), UINT64_MAX, size);
}

/* Read over the rest of a response. */
int imap_tok_skip_line(struct imap_lexer *x, struct err *e)
{
	struct tail t = { .n = 0 };
	struct slice have;
	const char *lf;

	if (imap_tok_no_open_literal(x, e) < 0)
		return -1;
	for (;;) {
		size_t n;

		if (imap_tok_need(x, 1, &have, e) < 0)
			return -1;
		lf = memchr(have.p, '\n', have.n);
		n = lf ? (size_t)(lf - have.p) + 1 : have.n;
		tail_add(&t, have.p, n);
		if (imap_tok_take(x, n, e) < 0)
			return -1;
		if (!lf)
			continue;
		if (!tail_literal(&t, &x->literal))
			break;
		if (skip_literal(x, e) < 0)
			return -1;
		t.n = 0;
	}
	x->mid = false;
	return 0;
}
