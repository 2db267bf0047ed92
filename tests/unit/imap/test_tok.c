/* The words of IMAP, whatever the split. */
#include "../../lib/unit.h"

#include "imap/tok.h"

#define W(s) s, sizeof(s) - 1

struct lex {
	struct stream *s;
	struct bufin in;
	struct arena a;
	struct imap_lexer x;
};

static void lex_open(struct lex *l, const void *wire, size_t n, size_t step)
{
	struct err e = ERR_INIT;

	l->s = memstream_new(wire, n, step, NULL);
	assert_non_null(l->s);
	assert_int_equal(bufin_init(&l->in, l->s, &e), 0);
	l->a = (struct arena)ARENA_INIT(1 << 22);
	imap_lexer_init(&l->x, &l->in, &l->a);
}

static void lex_close(struct lex *l)
{
	imap_lexer_release(&l->x);
	arena_release(&l->a);
	bufin_release(&l->in);
	stream_free(l->s);
}

/* A token as text: a blank before it where there was one. 0, -1. */
static int show(struct lex *l, const struct imap_tok *t, struct strbuf *out, struct err *e)
{
	static const char marks[] = { [IMAP_TOK_OPEN] = '(', [IMAP_TOK_CLOSE] = ')', [IMAP_TOK_BRACKET] = '[', [IMAP_TOK_UNBRACKET] = ']', [IMAP_TOK_EOL] = '$' };
	struct slice s;

	strbuf_puts(out, t->spaced ? " " : "");
	switch (t->kind) {
	case IMAP_TOK_ATOM:
	case IMAP_TOK_NIL:
	case IMAP_TOK_QUOTED:
		assert_int_equal(imap_tok_string(&l->x, t, "x", &s, e), 0);
		assert_true(slice_eq(s, t->text));
		strbuf_putc(out, t->kind == IMAP_TOK_ATOM ? '<' : t->kind == IMAP_TOK_NIL ? '0' : '"');
		strbuf_putsl(out, s);
		strbuf_putc(out, t->kind == IMAP_TOK_ATOM ? '>' : t->kind == IMAP_TOK_NIL ? '0' : '"');
		return 0;
	case IMAP_TOK_LITERAL:
		if (imap_tok_string(&l->x, t, "x", &s, e) < 0)
			return -1;
		strbuf_printf(out, "%s{%llu}", t->binary ? "~" : "", (unsigned long long)t->size);
		strbuf_putsl(out, s);
		return 0;
	default:
		strbuf_putc(out, marks[t->kind]);
		return 0;
	}
}

/* All tokens. What the last call returned. */
static int show_all(struct lex *l, bool brackets, struct strbuf *out, struct err *e)
{
	struct imap_tok t;
	int r;

	for (;;) {
		r = imap_tok_begin(&l->x, e);
		if (r <= 0)
			break;
		do {
			if (imap_tok_next(&l->x, brackets, &t, e) < 0 || show(l, &t, out, e) < 0) {
				r = -1;
				break;
			}
		} while (t.kind != IMAP_TOK_EOL);
		if (r < 0)
			break;
		assert_false(l->x.mid);
	}
	assert_true(l->x.dead);
	assert_int_equal(imap_tok_begin(&l->x, NULL), -1);
	assert_int_equal(imap_tok_next(&l->x, brackets, &t, NULL), -1);
	return r;
}

static const struct {
	const char *wire;
	size_t n;
	bool brackets;
	const char *shown;
} toks[] = {
	{ W(""), false, "" },
	{ W("\r\n"), false, "$" },
	{ W("\n"), false, "$" },
	{ W("a\r\nb\nc \r\n"), false, "<a>$<b>$<c> $" },
	{ W("* OK done\r\n"), false, "<*> <OK> <done>$" },
	{ W("  *\t OK  \r\n"), false, " <*> <OK> $" },
	{ W("* 1 FETCH (UID 7 FLAGS (\\Seen $x))\r\n"), false, "<*> <1> <FETCH> (<UID> <7> <FLAGS> (<\\Seen> <$x>))$" },
	{ W("BODY[HEADER.FIELDS (\"DATE\" FROM)]<0> NIL\r\n"), true, "<BODY>[<HEADER.FIELDS> (\"DATE\" <FROM>)]<<0>> 0NIL0$" },
	{ W("[Gmail]/Trash $Has]Bracket\r\n"), false, "<[Gmail]/Trash> <$Has]Bracket>$" },
	{ W("[]a[b]\r\n"), true, "[]<a>[<b>]$" },
	{ W("nil NIL Nil NILS\r\n"), false, "0nil0 0NIL0 0Nil0 <NILS>$" },
	{ W("\"\" \"a b\" \"\\\"\\\\\" \"\\a\"\r\n"), false, "\"\" \"a b\" \"\"\\\" \"a\"$" },
	{ W("\"gr\xc3\xbc\xc3\x9f\" gr\xc3\xbc\xc3\x9f \xff\r\n"), false, "\"gr\xc3\xbc\xc3\x9f\" <gr\xc3\xbc\xc3\x9f> <\xff>$" },
	{ W("\"\t\x01\x7f(){%*]\"\r\n"), false, "\"\t\x01\x7f(){%*]\"$" },
	{ W("a\"b\"c(d)\r\n"), false, "<a>\"b\"<c>(<d>)$" },
	{ W("{4+}\r\n)\r\n\n {0+}\r\n~{2}\r\n\r\n\r\n"), false, "{4})\r\n\n {0}~{2}\r\n$" },
	{ W("{3}\nabc~\n~a ~\r\n"), false, "{3}abc<~>$<~a> <~>$" },
	{ W("x{1}\r\n)y\r\n"), false, "<x>{1})<y>$" },
	{ W("{00000000000000000003}\r\nabc\r\n"), false, "{3}abc$" },
	{ W("a%*+\\}=:;',.?/!@#$^&-_`|>\r\n"), false, "<a%*+\\}=:;',.?/!@#$^&-_`|>>$" },
};

static void test_tokens(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(toks); i++) {
		for (size_t step = 0; step <= toks[i].n; step++) {
			struct strbuf out = STRBUF_INIT(4096);
			struct err e = ERR_INIT;
			struct lex l;

			lex_open(&l, toks[i].wire, toks[i].n, step);
			assert_int_equal(show_all(&l, toks[i].brackets, &out, &e), 0);
			assert_string_equal(strbuf_str(&out), toks[i].shown);
			lex_close(&l);
			strbuf_release(&out);
		}
	}
}

static const struct {
	const char *wire;
	size_t n;
	enum err_kind kind;
	const char *says;
} wrong[] = {
	{ W("a\0b\r\n"), ERR_PROTO, "0x00" },
	{ W("\0"), ERR_PROTO, "0x00" },
	{ W("a \x01\r\n"), ERR_PROTO, "0x01" },
	{ W("\x7f\r\n"), ERR_PROTO, "0x7f" },
	{ W("a\rb\r\n"), ERR_PROTO, "CR in the middle" },
	{ W("\r\r\n"), ERR_PROTO, "CR in the middle" },
	{ W("\"a\0b\"\r\n"), ERR_PROTO, "NUL byte" },
	{ W("\"a\r\n\"\r\n"), ERR_PROTO, "line end" },
	{ W("\"a\n\"\r\n"), ERR_PROTO, "line end" },
	{ W("\"a\\\r\n\"\r\n"), ERR_PROTO, "line end" },
	{ W("\"a\\\0\"\r\n"), ERR_PROTO, "NUL byte" },
	{ W("{}\r\n\r\n"), ERR_PROTO, "no proper size" },
	{ W("{+}\r\n\r\n"), ERR_PROTO, "no proper size" },
	{ W("{-1}\r\n\r\n"), ERR_PROTO, "no proper size" },
	{ W("{1++}\r\n\r\n"), ERR_PROTO, "no proper size" },
	{ W("{1 }\r\n\r\n"), ERR_PROTO, "no proper size" },
	{ W("{5\r\nhello\r\n"), ERR_PROTO, "no proper size" },
	{ W("{5}hello\r\n"), ERR_PROTO, "line end behind its size" },
	{ W("{5}\rhello\r\n"), ERR_PROTO, "line end behind its size" },
	{ W("{4294967296}\r\n"), ERR_PROTO, "announces 4294967296 bytes" },
	{ W("{9223372036854775808}\r\n"), ERR_PROTO, "announces 9223372036854775808 bytes" },
	{ W("{18446744073709551615}\r\n"), ERR_PROTO, "announces 18446744073709551615 bytes" },
	{ W("{18446744073709551616}\r\n"), ERR_PROTO, "no proper size" },
	{ W("{18446744073709551619}\r\nabc\r\n"), ERR_PROTO, "no proper size" },
	{ W("{000000000000000000000000000000000000000000000000000003}\r\nabc\r\n"), ERR_PROTO, "no proper size" },
	{ W("{65537}\r\n"), ERR_PROTO, "string of more than 65536" },
	{ W("a"), ERR_TEMP, "in the middle of a response" },
	{ W("a\r"), ERR_TEMP, "in the middle of a response" },
	{ W("a "), ERR_TEMP, "in the middle of a response" },
	{ W("\"a"), ERR_TEMP, "in the middle of a response" },
	{ W("\"a\\"), ERR_TEMP, "in the middle of a response" },
	{ W("{"), ERR_TEMP, "in the middle of a response" },
	{ W("{3}"), ERR_TEMP, "in the middle of a response" },
	{ W("{3}\r\nab"), ERR_TEMP, "in the middle of a response" },
	{ W("~"), ERR_TEMP, "in the middle of a response" },
};

static void test_wrong(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(wrong); i++) {
		for (size_t step = 0; step <= wrong[i].n; step++) {
			struct strbuf out = STRBUF_INIT(4096);
			struct err e = ERR_INIT;
			struct lex l;

			lex_open(&l, wrong[i].wire, wrong[i].n, step);
			assert_int_equal(show_all(&l, false, &out, &e), -1);
			assert_int_equal(e.kind, wrong[i].kind);
			assert_non_null(strstr(e.text, wrong[i].says));
			lex_close(&l);
			strbuf_release(&out);
		}
	}
}

/* A long run of c between two texts. */
static void long_wire(struct strbuf *b, const char *before, char c, size_t n, const char *after)
{
	strbuf_clear(b);
	strbuf_puts(b, before);
	memset(strbuf_room(b, n), c, n);
	strbuf_added(b, n);
	strbuf_puts(b, after);
}

/* Read it to its end: 0, or the error's kind and text. */
static int read_long(const struct strbuf *b, size_t step, struct err *e)
{
	struct strbuf out = STRBUF_INIT(4 << 20);
	struct lex l;
	int r;

	lex_open(&l, b->s, b->len, step);
	r = show_all(&l, false, &out, e);
	assert_true(l.x.scratch.cap <= 2 << 20);
	lex_close(&l);
	strbuf_release(&out);
	return r;
}

static void test_limits(void **state)
{
	static const size_t steps[] = { 0, 1, 4096, 65535 };
	struct strbuf b = STRBUF_INIT(4 << 20);

	(void)state;
	for (size_t i = 0; i < COUNT(steps); i++) {
		struct err e = ERR_INIT;

		long_wire(&b, "a ", 'x', 4096, "\r\n");
		assert_int_equal(read_long(&b, steps[i], &e), 0);
		long_wire(&b, "a ", 'x', 4097, "\r\n");
		assert_int_equal(read_long(&b, steps[i], &e), -1);
		assert_non_null(strstr(e.text, "word of more than 4096"));
		long_wire(&b, "a \"", 'x', 65536, "\"\r\n");
		assert_int_equal(read_long(&b, steps[i], &e), 0);
		long_wire(&b, "a \"", 'x', 65537, "\"\r\n");
		assert_int_equal(read_long(&b, steps[i], &e), -1);
		assert_non_null(strstr(e.text, "string of more than 65536"));
		long_wire(&b, "a {65536}\r\n", 'x', 65536, "\r\n");
		assert_int_equal(read_long(&b, steps[i], &e), 0);
		long_wire(&b, "a", ' ', (1 << 20) - 2, "\n");
		assert_int_equal(read_long(&b, steps[i], &e), 0);
		long_wire(&b, "a", ' ', 1 << 20, "\n");
		assert_int_equal(read_long(&b, steps[i], &e), -1);
		assert_non_null(strstr(e.text, "response of more than 1048576"));
		long_wire(&b, "a", '(', 2 << 20, "");
		assert_int_equal(read_long(&b, steps[i], &e), -1);
		assert_non_null(strstr(e.text, "response of more than 1048576"));
	}
	strbuf_release(&b);
}

/* What is skipped, and what stands behind it. */
static const struct {
	const char *wire;
	size_t n;
	const char *next, *says;
} skipped[] = {
	{ W("a b\r\n"), "b", NULL },
	{ W("NIL b\r\n"), "b", NULL },
	{ W("\"x)\" b\r\n"), "b", NULL },
	{ W("{3}\r\n)\r\n b\r\n"), "b", NULL },
	{ W("() b\r\n"), "b", NULL },
	{ W("(a (b (c \"d(\" {2}\r\n()) NIL) x[1]) b\r\n"), "b", NULL },
	{ W("((((((((((((((((x)))))))))))))))) b\r\n"), "b", NULL },
	{ W("(((((((((((((((((x))))))))))))))))) b\r\n"), NULL, "more than 16 parentheses" },
	{ W(")\r\n"), NULL, "too early" },
	{ W("\r\n"), NULL, "too early" },
	{ W("(a\r\n"), NULL, "too early" },
	{ W("({67108865}\r\n"), NULL, "more than 67108864 bytes that nobody" },
};

static void test_skip(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(skipped); i++) {
		for (size_t step = 0; step <= skipped[i].n; step++) {
			struct err e = ERR_INIT;
			struct imap_tok t;
			struct lex l;
			int r;

			lex_open(&l, skipped[i].wire, skipped[i].n, step);
			assert_int_equal(imap_tok_begin(&l.x, &e), 1);
			assert_int_equal(imap_tok_next(&l.x, false, &t, &e), 0);
			r = imap_tok_skip(&l.x, &t, &e);
			assert_int_equal(r, skipped[i].says ? -1 : 0);
			if (r == 0) {
				assert_int_equal(imap_tok_next(&l.x, false, &t, &e), 0);
				assert_true(slice_eqs(t.text, skipped[i].next));
			} else {
				assert_int_equal(e.kind, ERR_PROTO);
				assert_non_null(strstr(e.text, skipped[i].says));
			}
			lex_close(&l);
		}
	}
}

/* The rest of a response; b is the one behind it. */
static const struct {
	const char *wire;
	size_t n;
} lines[] = {
	{ W("\r\nb\r\n") },
	{ W("\nb\n") },
	{ W(" \"unclosed (( \r \0\r\nb\r\n") },
	{ W("x {3}\r\na\nb\r\nb\r\n") },
	{ W("x {3+}\na\nb{0}\r\n ~{1}\r\n\n) \r\nb\r\n") },
	{ W("{2}\r\n\r\n\nb\r\n") },
	{ W("x} {} {a}\r\nb\r\n") },
	{ W("a very long line that has something like {5} in it, and whose end says {99999999999999999999999}\r\nb\r\n") },
	{ W("a line that is longer than what is kept of its end, and has a literal {4}\r\n{9}\n\r\nb\r\n") },
};

static void test_skip_line(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(lines); i++) {
		for (size_t step = 0; step <= lines[i].n; step++) {
			struct err e = ERR_INIT;
			struct imap_tok t;
			struct lex l;

			lex_open(&l, lines[i].wire, lines[i].n, step);
			assert_int_equal(imap_tok_begin(&l.x, &e), 1);
			assert_int_equal(imap_tok_skip_line(&l.x, &e), 0);
			assert_false(l.x.mid);
			assert_int_equal(imap_tok_begin(&l.x, &e), 1);
			assert_int_equal(imap_tok_next(&l.x, false, &t, &e), 0);
			assert_true(slice_eqs(t.text, "b"));
			lex_close(&l);
		}
	}
}

static const struct {
	const char *wire;
	size_t n;
	const char *text; /* NULL: an error */
} texts[] = {
	{ W("\r\n"), "" },
	{ W("\n"), "" },
	{ W("  \t a  b \r\n"), "a  b " },
	{ W(" [X] {5}\r\n"), "[X] {5}" },
	{ W("a\rb\r\r\n"), "a\rb\r" },
	{ W("\x1b]0;x\x07\n"), "\x1b]0;x\x07" },
	{ W("a\0b\r\n"), NULL },
	{ W("abc"), NULL },
};

static void test_text(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		for (size_t step = 0; step <= texts[i].n; step++) {
			struct err e = ERR_INIT;
			struct slice s;
			struct lex l;

			lex_open(&l, texts[i].wire, texts[i].n, step);
			assert_int_equal(imap_tok_begin(&l.x, &e), 1);
			assert_int_equal(imap_tok_text(&l.x, &s, &e), texts[i].text ? 0 : -1);
			if (texts[i].text) {
				assert_true(slice_eqs(s, texts[i].text));
				assert_int_equal(imap_tok_begin(&l.x, &e), 0);
			}
			lex_close(&l);
		}
	}
}

static const struct {
	const char *wire, *set, *says;
} sets[] = {
	{ "1\r\n", "1", NULL },
	{ "1,2,3\r\n", "1:3", NULL },
	{ "  3:1,7 \r\n", "1:3,7", NULL },
	{ "1 2 4 5 9\r\n", "1:2,4:5,9", NULL },
	{ "5 4 3 1\r\n", "1,3:5", NULL },
	{ "9,7,7,1:8,4294967295\r\n", "1:9,4294967295", NULL },
	{ "4294967294:4294967295,1\r\n", "1,4294967294:4294967295", NULL },
	{ "4294967295,1:4294967295,4294967295\r\n", "1:4294967295", NULL },
	{ "1\t,\t2\r\n", NULL, "none" },
	{ "0001:010\r\n", "1:10", NULL },
	{ "1 (MODSEQ 5)\r\n", "1", NULL },
	{ "0\r\n", NULL, "none" },
	{ "1,0\r\n", NULL, "none" },
	{ "1,\r\n", NULL, "none" },
	{ "1:\r\n", NULL, "none" },
	{ "1:*\r\n", NULL, "none" },
	{ "*\r\n", NULL, "none" },
	{ "4294967296\r\n", NULL, "none" },
	{ "99999999999999999999999999999999999\r\n", NULL, "none" },
	{ "18446744073709551617\r\n", NULL, "none" },
	{ "-1\r\n", NULL, "none" },
	{ "1,2", NULL, "in the middle" },
};

static void test_sets(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(sets); i++) {
		size_t n = strlen(sets[i].wire);

		for (size_t step = 0; step <= n; step++) {
			struct strbuf out = STRBUF_INIT(4096);
			struct uidset v = UIDSET_INIT;
			struct err e = ERR_INIT;
			struct lex l;
			int r;

			lex_open(&l, sets[i].wire, n, step);
			assert_int_equal(imap_tok_begin(&l.x, &e), 1);
			r = imap_tok_set(&l.x, &v, &e);
			assert_int_equal(r, sets[i].set ? 0 : -1);
			for (size_t k = 0; k < v.n; k++)
				strbuf_printf(&out, v.a[k].first == v.a[k].last ? "%s%u" : "%s%u:%u", k ? "," : "", v.a[k].first, v.a[k].last);
			if (r == 0)
				assert_string_equal(strbuf_str(&out), sets[i].set);
			else
				assert_non_null(strstr(e.text, sets[i].says));
			uidset_release(&v);
			strbuf_release(&out);
			lex_close(&l);
		}
	}
}

/* A million numbers, in the worst order: more than a line may have. */
static void test_big_set(void **state)
{
	struct strbuf b = STRBUF_INIT(16 << 20);
	struct uidset v = UIDSET_INIT;
	struct err e = ERR_INIT;
	struct lex l;

	(void)state;
	for (unsigned i = 1000000; i > 0; i--)
		strbuf_printf(&b, " %u", 2 * i);
	strbuf_puts(&b, "\r\n");
	assert_false(b.failed);
	lex_open(&l, b.s, b.len, 0);
	assert_int_equal(imap_tok_begin(&l.x, &e), 1);
	assert_int_equal(imap_tok_set(&l.x, &v, &e), 0);
	assert_int_equal(v.n, 1000000);
	assert_int_equal(v.a[0].first, 2);
	lex_close(&l);
	uidset_clear(&v);
	lex_open(&l, b.s, b.len, 0);
	l.x.limits.ranges = 999999;
	assert_int_equal(imap_tok_begin(&l.x, &e), 1);
	assert_int_equal(imap_tok_set(&l.x, &v, &e), -1);
	assert_int_equal(e.kind, ERR_PROTO);
	lex_close(&l);
	uidset_clear(&v);
	lex_open(&l, b.s, b.len, 0);
	l.x.limits.set = 100;
	assert_int_equal(imap_tok_begin(&l.x, &e), 1);
	assert_int_equal(imap_tok_set(&l.x, &v, &e), -1);
	assert_non_null(strstr(e.text, "more than 100 bytes"));
	lex_close(&l);
	uidset_release(&v);
	strbuf_release(&b);
}

/* A body is just its bytes; what is left of it is drained; cut off it never ends cleanly. */
static void test_body(void **state)
{
	static const char wire[] = "{11}\r\nab\0\r\n)\r\n{9}) b\r\n";
	const size_t head = 6;

	(void)state;
	for (size_t i = 0; i < sizeof(wire) * 16; i++) {
		size_t cut = i / 16, step = i % 4, leave = i / 4 % 4 * 4, got = 0;
		struct err e = ERR_INIT;
		struct imap_tok t;
		struct stream *s;
		struct lex l;
		char buf[5];
		ssize_t r = 1;

		if (cut < head)
			continue;
		lex_open(&l, wire, cut, step);
		assert_int_equal(imap_tok_begin(&l.x, &e), 1);
		assert_int_equal(imap_tok_next(&l.x, false, &t, &e), 0);
		assert_int_equal(t.kind, IMAP_TOK_LITERAL);
		assert_int_equal(t.size, 11);
		assert_int_equal(imap_tok_body(&l.x, &t, &s, &e), 0);
		while (got < leave && r > 0) {
			r = stream_read(s, buf, sizeof(buf), &e);
			if (r > 0) {
				assert_memory_equal(buf, wire + head + got, (size_t)r);
				got += (size_t)r;
			}
		}
		stream_free(s);
		if (cut < head + 11 && r > 0)
			r = imap_tok_drain(&l.x, &e);
		if (cut < head + 11) {
			assert_int_equal(r, -1);
			assert_int_equal(e.kind, ERR_TEMP);
			assert_non_null(strstr(e.text, "in the middle of a message"));
			assert_int_equal(stream_read(s, buf, sizeof(buf), &e), -1);
		} else if (cut == sizeof(wire) - 1) {
			assert_int_equal(imap_tok_drain(&l.x, &e), 0);
			assert_int_equal(imap_tok_next(&l.x, false, &t, &e), 0);
			assert_int_equal(t.kind, IMAP_TOK_CLOSE);
		}
		lex_close(&l);
	}
}

/* A literal that nobody read is our mistake, and doesn't become tokens. */
static void test_unread(void **state)
{
	struct err e = ERR_INIT;
	struct imap_tok t;
	struct lex l;

	(void)state;
	lex_open(&l, W("{2}\r\na\r\nb\r\n"), 0);
	assert_int_equal(imap_tok_begin(&l.x, &e), 1);
	assert_int_equal(imap_tok_next(&l.x, false, &t, &e), 0);
	assert_int_equal(imap_tok_next(&l.x, false, &t, &e), -1);
	assert_int_equal(e.kind, ERR_BUG);
	assert_true(l.x.dead);
	lex_close(&l);
}

static enum err_kind fail_with;
static int fills;

/* Fails once at the asked-for call. */
static int failing_fill(void *arg, struct bufin *in, bool body, struct slice *have, struct err *e)
{
	assert_false(body);
	if (fills++ == *(int *)arg)
		return err_set(e, fail_with, "failed");
	return bufin_more(in, have, e);
}

/* Before the first byte a time-out or a signal changes nothing; anywhere else, and with other failures, the link is lost. */
static void test_failing_reads(void **state)
{
	static const enum err_kind kinds[] = { ERR_TIMEOUT, ERR_CANCEL, ERR_TEMP };

	(void)state;
	for (size_t k = 0; k < COUNT(kinds); k++) {
		for (int at = 0; at < 4; at++) {
			struct err e = ERR_INIT;
			struct imap_tok t;
			struct lex l;
			bool lives = kinds[k] != ERR_TEMP;

			lex_open(&l, W("a\r\nb\r\n"), 1);
			l.x.fill = failing_fill;
			l.x.fill_arg = &at;
			fills = 0;
			fail_with = kinds[k];
			if (at == 0) {
				assert_int_equal(imap_tok_begin(&l.x, &e), -1);
				assert_int_equal(e.kind, kinds[k]);
				assert_int_equal(l.x.dead, !lives);
			}
			assert_int_equal(imap_tok_begin(&l.x, &e), at > 0 || lives ? 1 : -1);
			assert_int_equal(imap_tok_next(&l.x, false, &t, &e), at > 1 || (at == 0 && lives) ? 0 : -1);
			if (at > 1)
				assert_int_equal(imap_tok_next(&l.x, false, &t, &e), at == 2 ? -1 : 0);
			if (at == 1 || at == 2) {
				assert_int_equal(e.kind, kinds[k]);
				assert_true(l.x.dead);
			}
			if (at == 3) {
				assert_int_equal(imap_tok_begin(&l.x, &e), -1);
				assert_int_equal(e.kind, kinds[k]);
				assert_int_equal(l.x.dead, !lives);
			}
			lex_close(&l);
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_skip),
		cmocka_unit_test(test_skip_line),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_sets),
		cmocka_unit_test(test_big_set),
		cmocka_unit_test(test_body),
		cmocka_unit_test(test_unread),
		cmocka_unit_test(test_failing_reads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
