/* The words of IMAP, one at a time, and the text behind them: see tok.h. */
#include "imap/tok_p.h"

#include <string.h>

#define SCRATCH_KEPT 65536 /* what the scratch buffer may hold on to between responses */

/* Over a bufin. */
void imap_lexer_init(struct imap_lexer *x, struct bufin *in, struct arena *a)
{
	*x = (struct imap_lexer){ .in = in, .a = a, .limits = IMAP_LIMITS_DEFAULT };
}

/* Free what is its own. */
void imap_lexer_release(struct imap_lexer *x)
{
	strbuf_release(&x->scratch);
	x->dead = true;
}

/* What is left of a connection that is lost. */
int imap_tok_still_dead(struct err *e)
{
	return err_set(e, ERR_TEMP, "the connection is lost");
}

/* It ended inside of something. */
int imap_tok_lost(struct imap_lexer *x, const char *where, struct err *e)
{
	err_set(e, ERR_TEMP, "the server closed the connection in the middle of a %s", where);
	return imap_tok_dead(x);
}

/* Read more behind what is at hand. 1, 0, -1; nothing is decided. */
int imap_tok_fill(struct imap_lexer *x, bool body, struct slice *have, struct err *e)
{
	return x->fill ? x->fill(x->fill_arg, x->in, body, have, e) : bufin_more(x->in, have, e);
}

/* More of a response, which must come. 0, -1. */
int imap_tok_more(struct imap_lexer *x, struct slice *have, struct err *e)
{
	int r;

	if (x->dead)
		return imap_tok_still_dead(e);
	r = imap_tok_fill(x, false, have, e);
	if (r < 0)
		return imap_tok_dead(x);
	return r > 0 ? 0 : imap_tok_lost(x, "response", e);
}

/* Take n bytes of the line. */
int imap_tok_take(struct imap_lexer *x, size_t n, struct err *e)
{
	bufin_take(x->in, n);
	x->line_used += n;
	if (x->line_used <= x->limits.line)
		return 0;
	err_set(e, ERR_PROTO, "the server sends a response of more than %zu bytes", x->limits.line);
	return imap_tok_dead(x);
}

/* The first byte of a response. */
int imap_tok_begin(struct imap_lexer *x, struct err *e)
{
	struct slice have;

	if (x->dead)
		return imap_tok_still_dead(e);
	if (x->mid || x->open_literal) {
		err_set(e, ERR_BUG, "a response is begun before the one before it was read");
		return imap_tok_dead(x);
	}
	if (x->scratch.cap > SCRATCH_KEPT)
		strbuf_release(&x->scratch);
	x->line_used = x->set_used = x->skip_used = 0;
	have = imap_tok_at_hand(x);
	if (have.n == 0) {
		struct err why = ERR_INIT;
		int r = imap_tok_fill(x, false, &have, &why);

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
int imap_tok_past_blanks(struct imap_lexer *x, bool *blanks, struct slice *have, struct err *e)
{
	*blanks = false;
	for (;;) {
		size_t n = 0;

		if (imap_tok_need(x, 1, have, e) < 0)
			return -1;
		while (n < have->n && (have->p[n] == ' ' || have->p[n] == '\t'))
			n++;
		if (n == 0)
			return 0;
		*blanks = true;
		if (imap_tok_take(x, n, e) < 0)
			return -1;
	}
}

/* Whether a literal still waits for its reader, which would be our mistake. */
int imap_tok_no_open_literal(struct imap_lexer *x, struct err *e)
{
	if (x->dead)
		return imap_tok_still_dead(e);
	if (!x->open_literal && x->body.left == 0)
		return 0;
	err_set(e, ERR_BUG, "a literal was not read");
	return imap_tok_dead(x);
}

/* Look ahead. */
int imap_tok_peek(struct imap_lexer *x, struct err *e)
{
	struct slice have;
	bool blanks;

	if (imap_tok_no_open_literal(x, e) < 0 || imap_tok_past_blanks(x, &blanks, &have, e) < 0)
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
	struct slice have = imap_tok_at_hand(x);
	size_t n = 0;

	for (;;) {
		while (n < have.n && n <= x->limits.atom && !ends_atom(have.p[n], brackets))
			n++;
		if (n > x->limits.atom) {
			err_set(e, ERR_PROTO, "the server sends a word of more than %zu bytes", x->limits.atom);
			return imap_tok_dead(x);
		}
		if (n < have.n)
			break;
		if (imap_tok_more(x, &have, e) < 0)
			return -1;
	}
	if (n == 0) {
		err_set(e, ERR_PROTO, "the server sends the byte 0x%02x where it has no place", (unsigned)(unsigned char)have.p[0]);
		return imap_tok_dead(x);
	}
	t->text = slice_of(have.p, n);
	t->kind = slice_ieqs(t->text, "NIL") ? IMAP_TOK_NIL : IMAP_TOK_ATOM;
	return imap_tok_take(x, n, e);
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
	return imap_tok_dead(x);
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

		if (imap_tok_need(x, 1, &have, e) < 0)
			return -1;
		n = quoted_run(have);
		if (n > 0) {
			if (keep(x, have.p, n, e) < 0 || imap_tok_take(x, n, e) < 0)
				return -1;
			continue;
		}
		c = have.p[0];
		if (c == '"')
			break;
		if (c == '\\') {
			if (imap_tok_need(x, 2, &have, e) < 0)
				return -1;
			c = have.p[1];
			if (c != '\r' && c != '\n' && c != '\0') {
				if (keep(x, &c, 1, e) < 0 || imap_tok_take(x, 2, e) < 0)
					return -1;
				continue;
			}
		}
		err_set(e, ERR_PROTO, "the server sends a quoted string with %s in it", c == '\0' ? "a NUL byte" : "a line end");
		return imap_tok_dead(x);
	}
	t->text = strbuf_slice(&x->scratch);
	return imap_tok_take(x, 1, e);
}

/* A quoted string. */
static int quoted(struct imap_lexer *x, struct imap_tok *t, struct err *e)
{
	struct slice have;
	size_t n;

	t->kind = IMAP_TOK_QUOTED;
	if (imap_tok_take(x, 1, e) < 0)
		return -1;
	have = imap_tok_at_hand(x);
	n = quoted_run(have);
	if (n == have.n || have.p[n] != '"' || n > x->limits.string)
		return quoted_pieces(x, t, e);
	t->text = slice_of(have.p, n);
	return imap_tok_take(x, n + 1, e);
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
	struct slice have = imap_tok_at_hand(x), digits;
	char buf[2 * LITERAL_HEAD_MAX];
	size_t n = tilde + 1;

	while ((n = literal_head(have, n)) == have.n)
		if (imap_tok_more(x, &have, e) < 0)
			return -1;
	digits = slice_of(have.p + tilde + 1, n - tilde - 1);
	if (digits.n > 0 && digits.p[digits.n - 1] == '+')
		digits.n--;
	if (have.p[n] != '}' || !slice_u64(digits, UINT64_MAX, &t->size)) {
		err_set(e, ERR_PROTO, "the server sends a literal of no proper size: \"%s\"", err_printable(buf, sizeof(buf), have.p, n + 1));
		return imap_tok_dead(x);
	}
	n++;
	if (imap_tok_need(x, n + 1, &have, e) < 0 || (have.p[n] == '\r' && imap_tok_need(x, n + 2, &have, e) < 0))
		return -1;
	if (t->size > x->limits.body) {
		err_set(e, ERR_PROTO, "the server announces %llu bytes in one piece; at most %llu are taken", (unsigned long long)t->size,
			(unsigned long long)x->limits.body);
		return imap_tok_dead(x);
	}
	if (have.p[n] == '\r' && have.p[n + 1] == '\n') {
		n++;
	} else if (have.p[n] != '\n') {
		err_set(e, ERR_PROTO, "the server sends a literal without a line end behind its size");
		return imap_tok_dead(x);
	}
	t->kind = IMAP_TOK_LITERAL;
	t->binary = tilde > 0;
	x->open_literal = true;
	x->literal = t->size;
	return imap_tok_take(x, n + 1, e);
}

/* The end of the line. */
static int eol(struct imap_lexer *x, struct imap_tok *t, struct err *e)
{
	struct slice have = imap_tok_at_hand(x);
	size_t n = 1;

	if (have.p[0] == '\r') {
		if (imap_tok_need(x, 2, &have, e) < 0)
			return -1;
		if (have.p[1] != '\n') {
			err_set(e, ERR_PROTO, "the server sends a CR in the middle of a line");
			return imap_tok_dead(x);
		}
		n = 2;
	}
	t->kind = IMAP_TOK_EOL;
	x->mid = false;
	return imap_tok_take(x, n, e);
}

/* A token of one byte. */
static int single(struct imap_lexer *x, enum imap_tok_kind kind, struct imap_tok *t, struct err *e)
{
	t->kind = kind;
	return imap_tok_take(x, 1, e);
}

/* The next token. */
int imap_tok_next(struct imap_lexer *x, bool brackets, struct imap_tok *t, struct err *e)
{
	struct slice have;

	*t = (struct imap_tok){ .kind = IMAP_TOK_EOL };
	if (imap_tok_no_open_literal(x, e) < 0 || imap_tok_past_blanks(x, &t->spaced, &have, e) < 0)
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
		if (imap_tok_need(x, 2, &have, e) < 0)
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
int imap_tok_no_room(struct imap_lexer *x, struct err *e)
{
	err_set(e, ERR_PROTO, "the server sends a response that takes too much memory");
	return imap_tok_dead(x);
}

/* The bytes of a small literal. */
static int literal_string(struct imap_lexer *x, struct slice *out, struct err *e)
{
	size_t size = (size_t)x->literal, got = 0;
	struct slice have;
	char *p;

	if (x->literal > x->limits.string) {
		err_set(e, ERR_PROTO, "the server sends a string of more than %zu bytes", x->limits.string);
		return imap_tok_dead(x);
	}
	p = arena_alloc(x->a, size + 1, 1);
	if (!p)
		return imap_tok_no_room(x, e);
	while (got < size) {
		size_t n;

		if (imap_tok_need(x, 1, &have, e) < 0)
			return -1;
		n = have.n < size - got ? have.n : size - got;
		memcpy(p + got, have.p, n);
		got += n;
		if (imap_tok_take(x, n, e) < 0)
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
		return out->p ? 0 : imap_tok_no_room(x, e);
	case IMAP_TOK_LITERAL:
		return literal_string(x, out, e);
	default:
		err_set(e, ERR_PROTO, "the server sends a response without %s", what);
		return imap_tok_dead(x);
	}
}

/* The rest of the line. */
int imap_tok_text(struct imap_lexer *x, struct slice *out, struct err *e)
{
	struct slice have, text;
	const char *lf;
	bool blanks;

	if (imap_tok_no_open_literal(x, e) < 0 || imap_tok_past_blanks(x, &blanks, &have, e) < 0)
		return -1;
	strbuf_clear(&x->scratch);
	x->scratch.max = x->limits.line;
	do {
		size_t n;

		if (imap_tok_need(x, 1, &have, e) < 0)
			return -1;
		lf = memchr(have.p, '\n', have.n);
		n = lf ? (size_t)(lf - have.p) + 1 : have.n;
		if (imap_tok_take(x, n, e) < 0 || keep(x, have.p, n, e) < 0)
			return -1;
	} while (!lf);
	text = strbuf_slice(&x->scratch);
	text.n--;
	if (text.n > 0 && text.p[text.n - 1] == '\r')
		text.n--;
	if (memchr(text.p, '\0', text.n)) {
		err_set(e, ERR_PROTO, "the server sends a NUL byte in a text");
		return imap_tok_dead(x);
	}
	x->mid = false;
	*out = arena_slice(x->a, text);
	return out->p ? 0 : imap_tok_no_room(x, e);
}
