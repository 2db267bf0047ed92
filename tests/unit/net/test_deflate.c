/* Compression: every split, every cut, bombs and damage. */
#include "../../lib/unit.h"

#include "base/strbuf.h"
#include "net/deflate.h"

/*
 * What `n` writes of text, each flushed when `flush`, become on the wire; shut ends it when `end`.
 */
static void pack(struct strbuf *wire, const char *const *text, bool flush, bool end)
{
	struct err e = ERR_INIT;
	struct stream *m = memstream_new("", 0, 0, wire), *s;

	assert_non_null(m);
	s = deflate_over(m, NULL, &e);
	assert_non_null(s);
	for (; *text; text++) {
		assert_int_equal(stream_write(s, *text, strlen(*text), &e), 0);
		if (flush)
			assert_int_equal(stream_flush(s, &e), 0);
	}
	assert_int_equal(stream_flush(s, &e), 0);
	if (end)
		stream_shut(s);
	stream_free(s);
}

/* Read all in pieces of `step` from below and `want` above. Returns what the last read did. */
static ssize_t unpack(const void *p, size_t n, size_t step, size_t want,
	const struct deflate_limits *lim, struct strbuf *out, struct err *e)
{
	static char buf[65536];
	struct stream *m = memstream_new(p, n, step, NULL), *s;
	ssize_t r;

	assert_non_null(m);
	s = deflate_over(m, lim, e);
	assert_non_null(s);
	while ((r = stream_read(s, buf, want, e)) > 0)
		strbuf_put(out, buf, (size_t)r);
	stream_free(s);
	return r;
}

static const char *const dialogue[] = { "* OK ready\r\n", "a1 OK\r\n", "* 1 FETCH (FLAGS ())\r\n",
	"a2 OK done done done done\r\n", NULL };
#define DIALOGUE "* OK ready\r\na1 OK\r\n* 1 FETCH (FLAGS ())\r\na2 OK done done done done\r\n"

static void test_splits(void **state)
{
	(void)state;
	for (int mode = 0; mode < 4; mode++) {
		struct strbuf wire = STRBUF_INIT(4096);

		pack(&wire, dialogue, mode & 1, mode & 2);
		for (size_t step = 1; step <= wire.len; step++) {
			for (size_t want = 1; want <= 128; want = want * 2 + 1) {
				struct strbuf out = STRBUF_INIT(4096);
				struct err e = ERR_INIT;

				assert_int_equal(
					unpack(wire.s, wire.len, step, want, NULL, &out, &e), 0);
				assert_string_equal(strbuf_str(&out), DIALOGUE);
				strbuf_release(&out);
			}
		}
		strbuf_release(&wire);
	}
}

/* After each flush everything written so far can be read: the peer is never left waiting. */
static void test_flush(void **state)
{
	struct strbuf wire = STRBUF_INIT(4096), want = STRBUF_INIT(4096);
	struct err e = ERR_INIT;
	struct stream *m = memstream_new("", 0, 0, &wire), *s;

	(void)state;
	assert_non_null(m);
	s = deflate_over(m, NULL, &e);
	assert_non_null(s);
	for (const char *const *t = dialogue; *t; t++) {
		struct strbuf out = STRBUF_INIT(4096);
		size_t len;

		assert_int_equal(stream_write(s, *t, strlen(*t), &e), 0);
		strbuf_puts(&want, *t);
		assert_int_equal(stream_flush(s, &e), 0);
		len = wire.len;
		assert_int_equal(stream_flush(s, &e), 0);
		assert_int_equal(wire.len, len); /* a flush of nothing is nothing */
		assert_int_equal(unpack(wire.s, wire.len, 0, 4096, NULL, &out, &e), 0);
		assert_string_equal(strbuf_str(&out), strbuf_str(&want));
		strbuf_release(&out);
	}
	stream_free(s);
	strbuf_release(&wire);
	strbuf_release(&want);
}

/*
 * An end anywhere but between blocks is a cut; what came before it is not lost. (A block may happen
 * to end on a byte boundary: then all of it is there, and only the empty block of the flush is
 * missing.)
 */
static void test_cut(void **state)
{
	struct strbuf wire = STRBUF_INIT(4096);
	int clean = 0, flushes = 0;

	(void)state;
	pack(&wire, dialogue, true, false);
	for (size_t n = 0; n <= wire.len; n++) {
		struct strbuf out = STRBUF_INIT(4096);
		struct err e = ERR_INIT;
		bool flushed = n == 0 || (n >= 4 && memcmp(wire.s + n - 4, "\0\0\xff\xff", 4) == 0);
		ssize_t r = unpack(wire.s, n, 1, 64, NULL, &out, &e);

		assert_int_equal(strncmp(strbuf_str(&out), DIALOGUE, out.len), 0);
		assert_int_equal(e.kind, r == 0 ? ERR_NONE : ERR_TEMP);
		if (flushed)
			assert_int_equal(r, 0);
		if (r == 0)
			assert_true(out.len == 0 || out.s[out.len - 1] == '\n');
		flushes += flushed;
		clean += r == 0;
		strbuf_release(&out);
	}
	assert_int_equal(flushes, 5);
	assert_in_range(clean, 5, 8);
	strbuf_release(&wire);
}

/* What follows the final block is not data. */
static void test_after_end(void **state)
{
	struct strbuf wire = STRBUF_INIT(4096), out = STRBUF_INIT(4096);
	struct err e = ERR_INIT;

	(void)state;
	pack(&wire, dialogue, true, true);
	strbuf_puts(&wire, "more");
	assert_int_equal(unpack(wire.s, wire.len, 0, 64, NULL, &out, &e), 0);
	assert_string_equal(strbuf_str(&out), DIALOGUE);
	strbuf_release(&wire);
	strbuf_release(&out);
}

static void test_damage(void **state)
{
	struct strbuf out = STRBUF_INIT(4096);
	struct err e = ERR_INIT;

	(void)state;
	/* block type 3 does not exist */
	assert_int_equal(unpack("\x07 garbage", 9, 0, 64, NULL, &out, &e), -1);
	assert_int_equal(e.kind, ERR_PROTO);
	/* plain text where compressed data should be */
	assert_int_equal(unpack("* BYE not compressed\r\n", 22, 0, 64, NULL, &out, &e), -1);
	strbuf_release(&out);
}

#define BIG (8 << 20)

/* n bytes packed: zeros, or text of small entropy. */
static void pack_big(struct strbuf *wire, bool zeros)
{
	struct err e = ERR_INIT;
	struct stream *m = memstream_new("", 0, 0, wire), *s;
	char *big = calloc(1, BIG);
	uint32_t seed = 1;

	assert_non_null(big);
	assert_non_null(m);
	for (size_t i = 0; !zeros && i < BIG; i++) {
		seed = seed * 1664525 + 1013904223;
		big[i] = (char)('a' + (seed >> 28));
	}
	s = deflate_over(m, NULL, &e);
	assert_non_null(s);
	assert_int_equal(stream_write(s, big, BIG, &e), 0);
	assert_int_equal(stream_flush(s, &e), 0);
	stream_free(s);
	free(big);
}

static void test_bomb(void **state)
{
	static const struct {
		bool zeros;
		uint64_t ratio;
		bool ok;
	} rows[] = {
		{ true, 0, true }, /* all that the format can do: allowed unless told otherwise */
		{ true, 100, false },
		{ false, 100, true },
		{ false, 1, false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct strbuf wire = STRBUF_INIT(BIG), out = STRBUF_INIT(BIG);
		struct deflate_limits lim = { .ratio = rows[i].ratio };
		struct err e = ERR_INIT;

		pack_big(&wire, rows[i].zeros);
		assert_int_equal(
			unpack(wire.s, wire.len, 1000, 65536, &lim, &out, &e), rows[i].ok ? 0 : -1);
		assert_int_equal(e.kind, rows[i].ok ? ERR_NONE : ERR_PROTO);
		if (rows[i].ok)
			assert_int_equal(out.len, BIG);
		else
			assert_true(out.len < (2 << 20)); /* it ends soon, not after all */
		strbuf_release(&wire);
		strbuf_release(&out);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_splits),
		cmocka_unit_test(test_flush),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_after_end),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_bomb),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
