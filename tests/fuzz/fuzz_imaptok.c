/*
 * The words of IMAP, and each of the ways to read on from one. Byte 0 picks how much each read brings, byte 1 whether brackets are tokens and the limits narrow; then one byte
 * before each response says by which calls it is read. The tokens do not depend on the split, texts stay in their limits, every call takes something or fails, and a dead link stays dead.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "imap/tok.h"

/* Stop here, so that the fuzzer keeps the input. */
static void must(bool ok)
{
	if (!ok)
		abort();
}

/* Read a literal as a stream, and leave the last half. */
static int as_body(struct imap_lexer *x, struct imap_tok *t, struct strbuf *out, struct err *e)
{
	struct stream *s;
	char buf[7];
	uint64_t got = 0;
	ssize_t r = 1;

	if (imap_tok_body(x, t, &s, e) < 0)
		return -1;
	while (got < t->size / 2 && r > 0) {
		r = stream_read(s, buf, 1, e);
		must(r < 0 || r == 1);
		if (r > 0)
			must(strbuf_putc(out, buf[0]) == 0);
		got++;
	}
	return r < 0 ? -1 : imap_tok_drain(x, e);
}

/* One token as text, its value read in the way that `how` says. */
static int show(struct imap_lexer *x, struct imap_tok *t, unsigned how, struct strbuf *out, struct err *e)
{
	struct slice s;

	strbuf_printf(out, "%c%d", t->spaced ? ' ' : '_', (int)t->kind);
	must(t->text.n <= (t->kind == IMAP_TOK_QUOTED ? x->limits.string : x->limits.atom));
	must(t->size <= x->limits.body);
	if (t->kind == IMAP_TOK_EOL)
		return 0;
	if (how & 1)
		return imap_tok_skip(x, t, e);
	if ((how & 2) && (t->kind == IMAP_TOK_LITERAL || t->kind == IMAP_TOK_QUOTED || t->kind == IMAP_TOK_NIL))
		return as_body(x, t, out, e);
	if (t->kind >= IMAP_TOK_OPEN)
		return 0;
	if (imap_tok_string(x, t, "x", &s, e) < 0)
		return -1;
	must(s.p != NULL && s.n <= x->limits.string + x->limits.atom);
	return strbuf_putsl(out, s);
}

/* One response, by the calls that `how` says. */
static int response(struct imap_lexer *x, unsigned how, bool brackets, struct strbuf *out, struct err *e)
{
	struct uidset v = UIDSET_INIT;
	struct imap_tok t = { .kind = IMAP_TOK_ATOM };
	struct slice s;
	int r = 0;

	switch (how >> 2 & 3) {
	case 1:
		r = imap_tok_text(x, &s, e);
		if (r == 0)
			must(strbuf_putsl(out, s) == 0 && !memchr(s.p, '\n', s.n) && !memchr(s.p, '\0', s.n));
		return r;
	case 2:
		r = imap_tok_set(x, &v, e);
		must(v.n <= x->limits.ranges);
		for (size_t i = 0; r == 0 && i < v.n; i++) {
			must(v.a[i].first >= 1 && v.a[i].first <= v.a[i].last && (i == 0 || v.a[i].first - 1 > v.a[i - 1].last));
			strbuf_printf(out, "%u:%u,", v.a[i].first, v.a[i].last);
		}
		uidset_release(&v);
		break;
	case 3:
		return imap_tok_skip_line(x, e);
	default:
		break;
	}
	while (r == 0 && t.kind != IMAP_TOK_EOL) {
		int c = how & 16 ? imap_tok_peek(x, e) : 0;

		if (c < 0)
			return -1;
		must(c != ' ' && c != '\t');
		r = imap_tok_next(x, brackets, &t, e);
		if (r == 0)
			r = show(x, &t, how, out, e);
	}
	return r;
}

/* All responses as text. */
static int all(const uint8_t *p, size_t n, size_t step, unsigned how, struct strbuf *out)
{
	struct stream *s = memstream_new(p, n, step, NULL);
	struct arena a = ARENA_INIT(1 << 20);
	struct imap_lexer x;
	struct bufin in;
	struct err e = ERR_INIT;
	struct imap_tok t;
	int r;

	must(s && bufin_init(&in, s, &e) == 0);
	imap_lexer_init(&x, &in, &a);
	if (how & 2)
		x.limits = (struct imap_limits){ .atom = 9, .string = 12, .line = 80, .set = 20, .ranges = 3, .body = 50, .skip = 20, .depth = 2 };
	while ((r = imap_tok_begin(&x, &e)) > 0) {
		unsigned by = (unsigned char)in.buf[in.pos];

		r = response(&x, by, how & 1, out, &e);
		if (r < 0)
			break;
		must(!x.mid && !x.dead);
		strbuf_putc(out, '\n');
		arena_reset(&a);
	}
	must(x.dead && x.scratch.cap <= 1 << 22);
	must(r == 0 || ((e.kind == ERR_PROTO || e.kind == ERR_TEMP) && e.text[0]));
	must(imap_tok_next(&x, true, &t, NULL) == -1 && imap_tok_begin(&x, NULL) == -1 && imap_tok_peek(&x, NULL) == -1);
	imap_lexer_release(&x);
	arena_release(&a);
	bufin_release(&in);
	stream_free(s);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct strbuf a = STRBUF_INIT(1 << 26), b = STRBUF_INIT(1 << 26);

	if (n < 2)
		return 0;
	must(all(p + 2, n - 2, 0, p[1], &a) == all(p + 2, n - 2, 1 + p[0] % 32, p[1], &b));
	must(!a.failed && !b.failed);
	must((p[1] & 2) || (a.len == b.len && memcmp(strbuf_str(&a), strbuf_str(&b), a.len) == 0));
	strbuf_release(&a);
	strbuf_release(&b);
	return 0;
}
