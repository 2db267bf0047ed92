/* Lines and runs out of a stream, whatever the pieces it comes in. */
#include "../../lib/unit.h"

#include "net/bufin.h"

static void open_text(struct bufin *in, const void *p, size_t n, size_t step)
{
	struct err e = ERR_INIT;
	struct stream *s = memstream_new(p, n, step, NULL);

	assert_non_null(s);
	assert_int_equal(bufin_init(in, s, &e), 0);
}

static void close_text(struct bufin *in)
{
	stream_free(in->s);
	bufin_release(in);
}

/*
 * One row: bytes, the limit, the lines expected ('+' before those with CRLF, '-' before others),
 * and how it ends.
 */
static const struct {
	const char *wire;
	size_t max;
	const char *lines;
	int end;
	enum err_kind kind;
} rows[] = {
	{ "", 80, "", 0, ERR_NONE },
	{ "a\r\n", 80, "+a|", 0, ERR_NONE },
	{ "a\n", 80, "-a|", 0, ERR_NONE },
	{ "\r\n\n\r\r\n", 80, "+|-|+\r|", 0, ERR_NONE },
	{ "one\r\ntwo\rx\nthree\r\n", 80, "+one|-two\rx|+three|", 0, ERR_NONE },
	{ "one\r\ncut", 80, "+one|", -1, ERR_TEMP },
	{ "\r", 80, "", -1, ERR_TEMP },
	{ "abc\r\nabcd\r\n", 5, "+abc|", -1, ERR_PROTO },
	{ "abcd\n", 5, "-abcd|", 0, ERR_NONE },
	{ "abcde\n", 5, "", -1, ERR_PROTO },
	{ "abcde", 5, "", -1, ERR_PROTO },
	{ "abcd", 5, "", -1, ERR_TEMP },
};

static void test_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		size_t n = strlen(rows[i].wire);

		for (size_t step = 1; step <= n + 1; step++) {
			struct err e = ERR_INIT;
			struct strbuf got = STRBUF_INIT(200);
			struct bufin in;
			struct slice line;
			bool crlf;
			int r;

			open_text(&in, rows[i].wire, n, step);
			while ((r = bufin_line(&in, rows[i].max, &line, &crlf, &e)) == 1) {
				strbuf_putc(&got, crlf ? '+' : '-');
				strbuf_putsl(&got, line);
				strbuf_putc(&got, '|');
			}
			assert_string_equal(strbuf_str(&got), rows[i].lines);
			assert_int_equal(r, rows[i].end);
			assert_int_equal(e.kind, rows[i].kind);
			strbuf_release(&got);
			close_text(&in);
		}
	}
}

/* A line of the largest size, and one byte more; both not at the start of the buffer. */
static void test_longest(void **state)
{
	static char wire[10 + BUFIN_SIZE + BUFIN_SIZE + 1];
	struct err e = ERR_INIT;
	struct bufin in;
	struct slice line;

	(void)state;
	memset(wire, 'x', sizeof(wire));
	memcpy(wire + 8, "\r\n", 2);
	wire[10 + BUFIN_SIZE - 1] = '\n';
	wire[sizeof(wire) - 1] = '\n';
	open_text(&in, wire, sizeof(wire), 0);
	assert_int_equal(bufin_line(&in, BUFIN_SIZE, &line, NULL, &e), 1);
	assert_int_equal(line.n, 8);
	assert_int_equal(bufin_line(&in, 10 * BUFIN_SIZE, &line, NULL, &e), 1);
	assert_int_equal(line.n, BUFIN_SIZE - 1);
	assert_int_equal(bufin_line(&in, 10 * BUFIN_SIZE, &line, NULL, &e), -1);
	assert_int_equal(e.kind, ERR_PROTO);
	assert_string_equal(e.text, "line longer than 65536 bytes");
	close_text(&in);
}

/* Runs of bytes and lines mixed: nothing lost, nothing twice. */
static void test_runs(void **state)
{
	static const char wire[] = "head\r\n0123456789tail\r\n";
	size_t n = sizeof(wire) - 1;

	(void)state;
	for (size_t step = 1; step <= n; step++) {
		struct err e = ERR_INIT;
		struct strbuf body = STRBUF_INIT(64);
		struct bufin in;
		struct slice got;

		open_text(&in, wire, n, step);
		assert_int_equal(bufin_line(&in, 80, &got, NULL, &e), 1);
		assert_true(slice_eqs(got, "head"));
		while (body.len < 10) {
			size_t want = 10 - body.len;

			assert_int_equal(bufin_avail(&in, &got, &e), 1);
			assert_true(got.n > 0);
			if (want > got.n)
				want = got.n;
			strbuf_put(&body, got.p, want);
			bufin_take(&in, want);
		}
		assert_string_equal(strbuf_str(&body), "0123456789");
		assert_int_equal(bufin_line(&in, 80, &got, NULL, &e), 1);
		assert_true(slice_eqs(got, "tail"));
		assert_int_equal(bufin_pending(&in), 0);
		assert_int_equal(bufin_avail(&in, &got, &e), 0);
		assert_int_equal(bufin_avail(&in, &got, &e), 0);
		strbuf_release(&body);
		close_text(&in);
	}
}

static void test_more(void **state)
{
	static char wire[BUFIN_SIZE + 5];
	struct err e = ERR_INIT;
	struct bufin in;
	struct slice got;
	int r;

	(void)state;
	memset(wire, 'm', sizeof(wire));
	wire[3] = 'M';
	open_text(&in, wire, sizeof(wire), 1000);
	assert_int_equal(bufin_avail(&in, &got, &e), 1);
	assert_int_equal(got.n, 1000);
	bufin_take(&in, 3);
	while ((r = bufin_more(&in, &got, &e)) == 1 && got.n < BUFIN_SIZE)
		assert_int_equal(got.p[0], 'M');
	assert_int_equal(r, 1);
	assert_int_equal(got.n, BUFIN_SIZE);
	assert_int_equal(got.p[0], 'M');
	assert_int_equal(bufin_more(&in, &got, &e), -1);
	assert_int_equal(e.kind, ERR_PROTO);
	bufin_take(&in, BUFIN_SIZE - 1);
	assert_int_equal(bufin_more(&in, &got, &e), 1);
	assert_int_equal(got.n, 3);
	assert_int_equal(bufin_more(&in, &got, &e), 0);
	bufin_take(&in, 1000);
	assert_int_equal(bufin_pending(&in), 0);
	close_text(&in);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_runs),
		cmocka_unit_test(test_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
