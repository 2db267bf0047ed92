/* The words of IMAP: see tok.h. */
#include "imap/tok.h"

#include <stdlib.h>
#include <string.h>

#include "base/vec.h"

#define LITERAL_HEAD_MAX 32   /* "{18446744073709551615+}" is 23 */
#define SCRATCH_KEPT 65536    /* what the scratch buffer may hold on to between responses */

static const struct stream_ops body_ops;

/* Over a bufin. */
void imap_lexer_init(struct imap_lexer *x, struct bufin *in, struct arena *a)
{
	*x = (struct imap_lexer){ .in = in, .a = a, .limits = IMAP_LIMITS_DEFAULT };
	x->body.s.ops = &body_ops;
	x->body.x = x;
}

/* Free what is its own. */
void imap_lexer_release(struct imap_lexer *x)
{
	strbuf_release(&x->scratch);
	x->dead = true;
}

/* The link can't be used any more; *e says why. */
static int dead(struct imap_lexer *x)
{
	x->dead = true;
	return -1;
}

/* What is left of a connection that is lost. */
static int still_dead(struct err *e)
{
	return err_set(e, ERR_TEMP, "the connection is lost");
}

/* It ended inside of something. */
static int lost(struct imap_lexer *x, const char *where, struct err *e)
{
	err_set(e, ERR_TEMP, "the server closed the connection in the middle of a %s", where);
	return dead(x);
}

/* Read more behind what is at hand. 1, 0, -1; nothing is decided. */
static int fill(struct imap_lexer *x, bool body, struct slice *have, struct err *e)
{
	return x->fill ? x->fill(x->fill_arg, x->in, body, have, e) : bufin_more(x->in, have, e);
}

/* What is at hand, without reading. */
static struct slice at_hand(const struct imap_lexer *x)
{
	return slice_of(x->in->buf + x->in->pos, bufin_pending(x->in));
}

/* More of a response, which must come. 0, -1. */
static int more(struct imap_lexer *x, struct slice *have, struct err *e)
{
	int r;

	if (x->dead)
		return still_dead(e);
	r = fill(x, false, have, e);
	if (r < 0)
		return dead(x);
	return r > 0 ? 0 : lost(x, "response", e);
}

/* At least n bytes at hand; n is small. 0, -1. */
static int need(struct imap_lexer *x, size_t n, struct slice *have, struct err *e)
{
	*have = at_hand(x);
	while (have->n < n)
		if (more(x, have, e) < 0)
			return -1;
	return 0;
}

/* Take n bytes of the line. */
static int take(struct imap_lexer *x, size_t n, struct err *e)
{
	bufin_take(x->in, n);
	x->line_used += n;
	if (x->line_used <= x->limits.line)
		return 0;
	err_set(e, ERR_PROTO, "the server sends a response of more than %zu bytes", x->limits.line);
	return dead(x);
}

/* The first byte of a response. */
int imap_tok_begin(struct imap_lexer *x, struct err *e)
{
	struct slice have;

	if (x->dead)
		return still_dead(e);
	if (x->mid || x->open_literal) {
		err_set(e, ERR_BUG, "a response is begun before the one before it was read");
		return dead(x);
	}
	if (x->scratch.cap > SCRATCH_KEPT)
		strbuf_release(&x->scratch);
	x->line_used = x->set_used = x->skip_used = 0;
	have = at_hand(x);
	if (have.n == 0) {
		struct err why = ERR_INIT;
		int r = fill(x, false, &have, &why);

		if (r <= 0 && why.kind != ERR_TIMEOUT && why.kind != ERR_CANCEL)
			x->dead = true;
		if (r < 0 && e)
			*e = why;
		if (r <= 0)
			return r;
	}
	x->mid = true;
	return 1;
}

/* The next byte behind blanks, which are taken: *have begins with it. 0, -1. */
static int past_blanks(struct imap_lexer *x, bool *blanks, struct slice *have, struct err *e)
{
	*blanks = false;
	for (;;) {
		size_t n = 0;

		if (need(x, 1, have, e) < 0)
			return -1;
		while (n < have->n && (have->p[n] == ' ' || have->p[n] == '\t'))
			n++;
		if (n == 0)
			return 0;
		*blanks = true;
		if (take(x, n, e) < 0)
			return -1;
	}
}

/* Whether a literal still waits for its reader, which would be our mistake. */
static int no_open_literal(struct imap_lexer *x, struct err *e)
{
	if (x->dead)
		return still_dead(e);
	if (!x->open_literal && x->body.left == 0)
		return 0;
	err_set(e, ERR_BUG, "a literal was not read");
	return dead(x);
}

/* Look ahead. */
int imap_tok_peek(struct imap_lexer *x, struct err *e)
{
	struct slice have;
	bool blanks;

	if (no_open_literal(x, e) < 0 || past_blanks(x, &blanks, &have, e) < 0)
		return -1;
	return (unsigned char)have.p[0];
}

/* Whether c is not part of an atom. '{' ends one too: what is glued to it would be read as a literal's size, never as bytes of an atom that a message could choose. */
static bool ends_atom(char c, bool brackets)
{
	unsigned char u = (unsigned char)c;

	return u <= ' ' || u == 0x7f || u == '(' || u == ')' || u == '"' || u == '{' || (brackets && (u == '[' || u == ']'));
}

/* An atom that begins with what is at hand. */
static int atom(struct imap_lexer *x, bool brackets, struct imap_tok *t, struct err *e)
{
	struct slice have = at_hand(x);
	size_t n = 0;

	for (;;) {
		while (n < have.n && n <= x->limits.atom && !ends_atom(have.p[n], brackets))
			n++;
		if (n > x->limits.atom) {
			err_set(e, ERR_PROTO, "the server sends a word of more than %zu bytes", x->limits.atom);
			return dead(x);
		}
		if (n < have.n)
			break;
		if (more(x, &have, e) < 0)
			return -1;
	}
	if (n == 0) {
		err_set(e, ERR_PROTO, "the server sends the byte 0x%02x where it has no place", (unsigned)(unsigned char)have.p[0]);
		return dead(x);
	}
	t->text = slice_of(have.p, n);
	t->kind = slice_ieqs(t->text, "NIL") ? IMAP_TOK_NIL : IMAP_TOK_ATOM;
	return take(x, n, e);
}

/* How many bytes stand before the next that has a meaning in a quoted string. */
static size_t quoted_run(struct slice have)
{
	size_t n = 0;

	while (n < have.n && have.p[n] != '"' && have.p[n] != '\\' && have.p[n] != '\r' && have.p[n] != '\n' && have.p[n] != '\0')
		n++;
	return n;
}

/* Put bytes of a string to the scratch buffer. */
static int keep(struct imap_lexer *x, const char *p, size_t n, struct err *e)
{
	if (strbuf_put(&x->scratch, p, n) == 0)
		return 0;
	if (x->scratch.len + n > x->scratch.max)
		err_set(e, ERR_PROTO, "the server sends a string of more than %zu bytes", x->scratch.max);
	else
		err_set(e, ERR_LOCAL, "out of memory");
	return dead(x);
}

/* A quoted string that has an escape in it, or is not at hand as a whole. Its opening quote is taken. */
static int quoted_pieces(struct imap_lexer *x, struct imap_tok *t, struct err *e)
{
	struct slice have;

	strbuf_clear(&x->scratch);
	x->scratch.max = x->limits.string;
	for (;;) {
		size_t n;
		char c;

		if (need(x, 1, &have, e) < 0)
			return -1;
		n = quoted_run(have);
		if (n > 0) {
			if (keep(x, have.p, n, e) < 0 || take(x, n, e) < 0)
				return -1;
			continue;
		}
		c = have.p[0];
		if (c == '"')
			break;
		if (c == '\\') {
			if (need(x, 2, &have, e) < 0)
				return -1;
			c = have.p[1];
			if (c != '\r' && c != '\n' && c != '\0') {
				if (keep(x, &c, 1, e) < 0 || take(x, 2, e) < 0)
					return -1;
				continue;
			}
		}
		err_set(e, ERR_PROTO, "the server sends a quoted string with %s in it", c == '\0' ? "a NUL byte" : "a line end");
		return dead(x);
	}
	t->text = strbuf_slice(&x->scratch);
	return take(x, 1, e);
}

/* A quoted string. */
static int quoted(struct imap_lexer *x, struct imap_tok *t, struct err *e)
{
	struct slice have;
	size_t n;

	t->kind = IMAP_TOK_QUOTED;
	if (take(x, 1, e) < 0)
		return -1;
	have = at_hand(x);
	n = quoted_run(have);
	if (n == have.n || have.p[n] != '"' || n > x->limits.string)
		return quoted_pieces(x, t, e);
	t->text = slice_of(have.p, n);
	return take(x, n + 1, e);
}

/* How long the size of a literal in braces is, up to where the closing brace should be. */
static size_t literal_head(struct slice have, size_t n)
{
	while (n < have.n && n < LITERAL_HEAD_MAX && ((have.p[n] >= '0' && have.p[n] <= '9') || have.p[n] == '+'))
		n++;
	return n;
}

/* The size of a literal, before whose brace stand `tilde` bytes (0 or 1). */
static int literal(struct imap_lexer *x, size_t tilde, struct imap_tok *t, struct err *e)
{
	struct slice have = at_hand(x), digits;
	char buf[2 * LITERAL_HEAD_MAX];
	size_t n = tilde + 1;

	while ((n = literal_head(have, n)) == have.n)
		if (more(x, &have, e) < 0)
			return -1;
	digits = slice_of(have.p + tilde + 1, n - tilde - 1);
	if (digits.n > 0 && digits.p[digits.n - 1] == '+')
		digits.n--;
	if (have.p[n] != '}' || !slice_u64(digits, UINT64_MAX, &t->size)) {
		err_set(e, ERR_PROTO, "the server sends a literal of no proper size: \"%s\"", err_printable(buf, sizeof(buf), have.p, n + 1));
		return dead(x);
	}
	n++;
	if (need(x, n + 1, &have, e) < 0 || (have.p[n] == '\r' && need(x, n + 2, &have, e) < 0))
		return -1;
	if (t->size > x->limits.body) {
		err_set(e, ERR_PROTO, "the server announces %llu bytes in one piece; at most %llu are taken", (unsigned long long)t->size,
			(unsigned long long)x->limits.body);
		return dead(x);
	}
	if (have.p[n] == '\r' && have.p[n + 1] == '\n') {
		n++;
	} else if (have.p[n] != '\n') {
		err_set(e, ERR_PROTO, "the server sends a literal without a line end behind its size");
		return dead(x);
	}
	t->kind = IMAP_TOK_LITERAL;
	t->binary = tilde > 0;
	x->open_literal = true;
	x->literal = t->size;
	return take(x, n + 1, e);
}

/* The end of the line. */
static int eol(struct imap_lexer *x, struct imap_tok *t, struct err *e)
{
	struct slice have = at_hand(x);
	size_t n = 1;

	if (have.p[0] == '\r') {
		if (need(x, 2, &have, e) < 0)
			return -1;
		if (have.p[1] != '\n') {
			err_set(e, ERR_PROTO, "the server sends a CR in the middle of a line");
			return dead(x);
		}
		n = 2;
	}
	t->kind = IMAP_TOK_EOL;
	x->mid = false;
	return take(x, n, e);
}

/* A token of one byte. */
static int single(struct imap_lexer *x, enum imap_tok_kind kind, struct imap_tok *t, struct err *e)
{
	t->kind = kind;
	return take(x, 1, e);
}

/* The next token. */
int imap_tok_next(struct imap_lexer *x, bool brackets, struct imap_tok *t, struct err *e)
{
	struct slice have;

	*t = (struct imap_tok){ .kind = IMAP_TOK_EOL };
	if (no_open_literal(x, e) < 0 || past_blanks(x, &t->spaced, &have, e) < 0)
		return -1;
	switch (have.p[0]) {
	case '\r':
	case '\n':
		return eol(x, t, e);
	case '(':
		return single(x, IMAP_TOK_OPEN, t, e);
	case ')':
		return single(x, IMAP_TOK_CLOSE, t, e);
	case '"':
		return quoted(x, t, e);
	case '{':
		return literal(x, 0, t, e);
	case '~':
		if (need(x, 2, &have, e) < 0)
			return -1;
		if (have.p[1] == '{')
			return literal(x, 1, t, e);
		break;
	case '[':
	case ']':
		if (brackets)
			return single(x, have.p[0] == '[' ? IMAP_TOK_BRACKET : IMAP_TOK_UNBRACKET, t, e);
		break;
	default:
		break;
	}
	return atom(x, brackets, t, e);
}

/* Memory for words is out, or more than a response may have. */
static int no_room(struct imap_lexer *x, struct err *e)
{
	err_set(e, ERR_PROTO, "the server sends a response that takes too much memory");
	return dead(x);
}

/* The bytes of a small literal. */
static int literal_string(struct imap_lexer *x, struct slice *out, struct err *e)
{
	size_t size = (size_t)x->literal, got = 0;
	struct slice have;
	char *p;

	if (x->literal > x->limits.string) {
		err_set(e, ERR_PROTO, "the server sends a string of more than %zu bytes", x->limits.string);
		return dead(x);
	}
	p = arena_alloc(x->a, size + 1, 1);
	if (!p)
		return no_room(x, e);
	while (got < size) {
		size_t n;

		if (need(x, 1, &have, e) < 0)
			return -1;
		n = have.n < size - got ? have.n : size - got;
		memcpy(p + got, have.p, n);
		got += n;
		if (take(x, n, e) < 0)
			return -1;
	}
	x->open_literal = false;
	*out = slice_of(p, size);
	return 0;
}

/* A string in any of its forms. */
int imap_tok_string(struct imap_lexer *x, const struct imap_tok *t, const char *what, struct slice *out, struct err *e)
{
	switch (t->kind) {
	case IMAP_TOK_ATOM:
	case IMAP_TOK_NIL:
	case IMAP_TOK_QUOTED:
		*out = arena_slice(x->a, t->text);
		return out->p ? 0 : no_room(x, e);
	case IMAP_TOK_LITERAL:
		return literal_string(x, out, e);
	default:
		err_set(e, ERR_PROTO, "the server sends a response without %s", what);
		return dead(x);
	}
}

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
		return still_dead(e);
	have = at_hand(x);
	if (have.n == 0) {
		r = fill(x, true, &have, e);
		if (r < 0)
			return dead(x);
		if (r == 0)
			return lost(x, "message", e);
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
		return dead(x);
	}
	*s = &x->body.s;
	return 0;
}

/* Read over n bytes of a literal. */
static int read_over(struct imap_lexer *x, uint64_t *left, bool body, struct err *e)
{
	while (*left > 0) {
		struct slice have = at_hand(x);
		size_t n;

		if (x->dead)
			return still_dead(e);
		if (have.n == 0) {
			int r = fill(x, body, &have, e);

			if (r < 0)
				return dead(x);
			if (r == 0)
				return lost(x, "message", e);
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
		return dead(x);
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
				return dead(x);
			}
			depth++;
			break;
		case IMAP_TOK_CLOSE:
		case IMAP_TOK_EOL:
			if (depth == 0 || t.kind == IMAP_TOK_EOL) {
				err_set(e, ERR_PROTO, "the server sends a response that ends too early");
				return dead(x);
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

	if (no_open_literal(x, e) < 0)
		return -1;
	for (;;) {
		size_t n;

		if (need(x, 1, &have, e) < 0)
			return -1;
		lf = memchr(have.p, '\n', have.n);
		n = lf ? (size_t)(lf - have.p) + 1 : have.n;
		tail_add(&t, have.p, n);
		if (take(x, n, e) < 0)
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

/* The rest of the line. */
int imap_tok_text(struct imap_lexer *x, struct slice *out, struct err *e)
{
	struct slice have, text;
	const char *lf;
	bool blanks;

	if (no_open_literal(x, e) < 0 || past_blanks(x, &blanks, &have, e) < 0)
		return -1;
	strbuf_clear(&x->scratch);
	x->scratch.max = x->limits.line;
	do {
		size_t n;

		if (need(x, 1, &have, e) < 0)
			return -1;
		lf = memchr(have.p, '\n', have.n);
		n = lf ? (size_t)(lf - have.p) + 1 : have.n;
		if (take(x, n, e) < 0 || keep(x, have.p, n, e) < 0)
			return -1;
	} while (!lf);
	text = strbuf_slice(&x->scratch);
	text.n--;
	if (text.n > 0 && text.p[text.n - 1] == '\r')
		text.n--;
	if (memchr(text.p, '\0', text.n)) {
		err_set(e, ERR_PROTO, "the server sends a NUL byte in a text");
		return dead(x);
	}
	x->mid = false;
	*out = arena_slice(x->a, text);
	return out->p ? 0 : no_room(x, e);
}

/* Add a range: to the one before it where it touches it, as in a list of all that there is. 0; -1 when there are too many, or memory is out. */
static int add_range(struct uidset *v, size_t max, uint32_t a, uint32_t b)
{
	struct uidrange g = { a < b ? a : b, a < b ? b : a }, *last = v->n > 0 ? &v->a[v->n - 1] : NULL;

	if (last && last->last == g.first - 1)
		last->last = g.last;
	else if (last && g.last == last->first - 1)
		last->first = g.first;
	else
		return v->n >= max ? -1 : vec_push(v, g);
	return 0;
}

/* By their beginnings. */
static int range_cmp(const void *a, const void *b)
{
	const struct uidrange *x = a, *y = b;

	return (x->first > y->first) - (x->first < y->first);
}

/* Put a set in order: as uidset.h wants it. */
static void set_in_order(struct uidset *v)
{
	size_t i = 1, n = 0;

	while (i < v->n && v->a[i].first > v->a[i - 1].last && v->a[i].first - v->a[i - 1].last > 1)
		i++;
	if (i >= v->n)
		return;
	qsort(v->a, v->n, sizeof(*v->a), range_cmp);
	for (i = 1; i < v->n; i++) {
		if (v->a[i].first <= v->a[n].last || v->a[i].first - v->a[n].last == 1) {
			if (v->a[i].last > v->a[n].last)
				v->a[n].last = v->a[i].last;
		} else {
			v->a[++n] = v->a[i];
		}
	}
	v->n = n + 1;
}

/* Take n bytes of a set. */
static int take_set(struct imap_lexer *x, size_t n, struct err *e)
{
	bufin_take(x->in, n);
	x->set_used += n;
	if (x->set_used <= x->limits.set)
		return 0;
	err_set(e, ERR_PROTO, "the server sends sets of numbers of more than %zu bytes", x->limits.set);
	return dead(x);
}

/* A number of a set; *after is the byte behind it, which is not taken. */
static int set_number(struct imap_lexer *x, uint32_t *out, char *after, struct err *e)
{
	uint64_t v = 0;
	size_t i;

	for (;;) {
		struct slice have;

		if (need(x, 1, &have, e) < 0)
			return -1;
		for (i = 0; i < have.n && have.p[i] >= '0' && have.p[i] <= '9' && v <= UINT32_MAX; i++)
			v = 10 * v + (uint64_t)(have.p[i] - '0');
		*after = i < have.n ? have.p[i] : '\0';
		if (take_set(x, i, e) < 0)
			return -1;
		if (i < have.n)
			break;
	}
	if (v < 1 || v > UINT32_MAX) {
		err_set(e, ERR_PROTO, "the server sends a message number or UID that is none");
		return dead(x);
	}
	*out = (uint32_t)v;
	return 0;
}

/* A set, or several. */
int imap_tok_set(struct imap_lexer *x, struct uidset *v, struct err *e)
{
	struct slice have;
	bool blanks;

	if (no_open_literal(x, e) < 0 || past_blanks(x, &blanks, &have, e) < 0)
		return -1;
	for (;;) {
		uint32_t a, b;
		char after;

		if (set_number(x, &a, &after, e) < 0)
			return -1;
		b = a;
		if (after == ':' && (take_set(x, 1, e) < 0 || set_number(x, &b, &after, e) < 0))
			return -1;
		if (add_range(v, x->limits.ranges, a, b) != 0)
			return no_room(x, e);
		while (after == ' ' || after == '\t') {
			if (take_set(x, 1, e) < 0 || need(x, 1, &have, e) < 0)
				return -1;
			after = have.p[0];
			if (after >= '0' && after <= '9')
				break;
		}
		if (after == ',' && take_set(x, 1, e) < 0)
			return -1;
		if (after != ',' && (after < '0' || after > '9'))
			break;
	}
	set_in_order(v);
	return 0;
}
