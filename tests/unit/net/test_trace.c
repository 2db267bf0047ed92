/* What the trace shows, and what it must not. */
#include "../../lib/unit.h"

#include "base/log.h"
#include "base/strbuf.h"
#include "net/trace.h"

static struct strbuf seen = STRBUF_INIT(1 << 20);

static void sink(void *arg, enum log_level level, const char *context, const char *text)
{
	(void)arg;
	(void)context;
	assert_int_equal(level, LOG_WIRE);
	strbuf_puts(&seen, text);
	strbuf_putc(&seen, '\n');
}

static int setup(void **state)
{
	(void)state;
	strbuf_clear(&seen);
	log_set_sink(sink, NULL);
	log_set_level(LOG_WIRE);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	log_set_sink(NULL, NULL);
	strbuf_release(&seen);
	return 0;
}

static struct stream *over(const char *says, size_t step)
{
	struct err e = ERR_INIT;
	struct stream *m = memstream_new(says, strlen(says), step, NULL), *s;

	assert_non_null(m);
	s = trace_over(m, &e);
	assert_non_null(s);
	return s;
}

static void say(struct stream *s, const char *text)
{
	assert_int_equal(stream_write(s, text, strlen(text), NULL), 0);
}

static void hear(struct stream *s, size_t n)
{
	char buf[256];

	while (n > 0) {
		ssize_t r = stream_read(s, buf, n < sizeof(buf) ? n : sizeof(buf), NULL);

		assert_true(r > 0);
		n -= (size_t)r;
	}
}

/* A dialogue, in every size of pieces. */
static void test_dialogue(void **state)
{
	static const char reply[] = "+OK ready\r\n+OK\r\n+OK in\r\n";

	(void)state;
	for (size_t step = 1; step < sizeof(reply); step++) {
		struct stream *s = over(reply, step);

		strbuf_clear(&seen);
		hear(s, 11);
		say(s, "CA");
		say(s, "PA\r\nUSER me\r\n");
		say(s, "PASS ");
		trace_secret(s, true);
		say(s, "hun");
		say(s, "ter2");
		trace_secret(s, false);
		say(s, "\r\n");
		hear(s, 5 + 8);
		say(s, "QU");
		stream_free(s);
		assert_string_equal(strbuf_str(&seen),
			"< +OK ready\n> CAPA\n> USER me\n> PASS <secret>\n< +OK\n< +OK in\n> QU\n");
	}
}

/* Secrets with their line ends, and challenges. */
static void test_secret_lines(void **state)
{
	struct stream *s = over("+ Y2hhbGxlbmdl\r\n+OK\r\n", 3);

	(void)state;
	say(s, "AUTH X\r\n");
	trace_secret(s, true);
	hear(s, 16);
	say(s, "cGFzc3dvcmQ=\r\n\r\n");
	trace_secret(s, false);
	hear(s, 5);
	stream_free(s);
	assert_string_equal(
		strbuf_str(&seen), "> AUTH X\n< <secret>\n> <secret>\n> <secret>\n< +OK\n");
}

/* Bodies: some lines, then a count; the budget is new when the direction changes. */
static void test_body(void **state)
{
	struct strbuf wire = STRBUF_INIT(1 << 20);
	struct stream *s;
	size_t lines = 0;

	(void)state;
	for (int i = 0; i < 1000; i++)
		strbuf_puts(&wire, "a line\r\n");
	strbuf_puts(&wire, "+OK\r\n");
	s = over(strbuf_str(&wire), 100);
	say(s, "RETR 1\r\n");
	hear(s, 8000);
	say(s, "QUIT\r\n");
	hear(s, 5);
	stream_free(s);
	for (const char *p = strbuf_str(&seen); (p = strstr(p, "< a line\n")); p++)
		lines++;
	assert_in_range(lines, 10, 100);
	assert_non_null(strstr(strbuf_str(&seen), " bytes)\n> QUIT\n< +OK\n"));
	strbuf_release(&wire);
}

/* Long lines and bytes that a terminal would obey. */
static void test_odd(void **state)
{
	struct strbuf wire = STRBUF_INIT(1 << 16);
	struct stream *s;

	(void)state;
	strbuf_puts(&wire, "\033[2J\r\n");
	for (int i = 0; i < 5000; i++)
		strbuf_putc(&wire, 'x');
	strbuf_puts(&wire, "\r\n");
	s = over(strbuf_str(&wire), 0);
	hear(s, 6 + 5002);
	stream_free(s);
	assert_null(strchr(strbuf_str(&seen), '\033'));
	assert_non_null(strstr(strbuf_str(&seen), "< \\x1b[2J\n"));
	assert_non_null(strstr(strbuf_str(&seen), "bytes more)\n"));
	assert_true(seen.len < 1000);
	strbuf_release(&wire);
}

/* Not asked for: nothing. And no layer, no harm. */
static void test_off(void **state)
{
	struct stream *s = over("+OK\r\n", 0), *plain = memstream_new("", 0, 0, NULL);

	(void)state;
	log_set_level(LOG_DEBUG);
	hear(s, 5);
	stream_free(s);
	assert_int_equal(seen.len, 0);
	trace_secret(plain, true);
	stream_free(plain);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_dialogue, setup, teardown),
		cmocka_unit_test_setup_teardown(test_secret_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(test_body, setup, teardown),
		cmocka_unit_test_setup_teardown(test_odd, setup, teardown),
		cmocka_unit_test_setup_teardown(test_off, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
