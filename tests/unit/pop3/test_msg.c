/* The dot stream whatever the split, and commands in flight. */
#include "../../lib/unit.h"

#include "pop3/msg.h"

static struct strbuf written = STRBUF_INIT(1 << 20);

static void attach(struct pop3_conn *c, const void *wire, size_t n, size_t step)
{
	struct err e = ERR_INIT;

	strbuf_clear(&written);
	assert_int_equal(pop3_attach(c, memstream_new(wire, n, step, &written), 1000, 0, "isp", &e), 0);
}

#define W(s) s, sizeof(s) - 1

static const struct {
	const char *wire;
	size_t wire_n;
	const char *body;
	size_t body_n;
} bodies[] = {
	{ W("+OK\r\n.\r\n"), W("") },
	{ W("+OK\r\n\r\n.\r\n"), W("\r\n") },
	{ W("+OK\r\nhello\r\n.\r\n"), W("hello\r\n") },
	{ W("+OK\r\n..\r\n.\r\n"), W(".\r\n") },
	{ W("+OK\r\n...\r\n.\r\n"), W("..\r\n") },
	{ W("+OK\r\na\r\n..b\r\n..\r\n.\r\n"), W("a\r\n.b\r\n.\r\n") },
	{ W("+OK\r\n.x\r\n.\r\n"), W("x\r\n") },
	{ W("+OK\r\n. \r\n.\r\n"), W(" \r\n") },
	{ W("+OK\r\na\r\n.\n.\r\nb\r\n.\r\n"), W("a\r\n\n.\r\nb\r\n") }, /* LF isn't a line end here */
	{ W("+OK\r\na\n.\r\nb\r\n.\r\n"), W("a\n.\r\nb\r\n") },
	{ W("+OK\r\na\n.\nb\r\n.\r\n"), W("a\n.\nb\r\n") },
	{ W("+OK\r\n.\r.\r\n.\r\n"), W("\r.\r\n") },
	{ W("+OK\r\na\r\n.\rb\r\n.\r\n"), W("a\r\n\rb\r\n") },
	{ W("+OK\r\na\r.\r\nb\r\r\n.\r\n"), W("a\r.\r\nb\r\r\n") },
	{ W("+OK\r\na\r\r\n..\r\r\n.\r\n"), W("a\r\r\n.\r\r\n") },
	{ W("+OK\r\n\0a\0\r\n..\0\r\n.\r\n"), W("\0a\0\r\n.\0\r\n") },
	{ W("+OK\r\n\xff\xfe\r\n.\r\n"), W("\xff\xfe\r\n") },
	{ W("+OK\r\na..b.\r\n.\r\n"), W("a..b.\r\n") },
	/* a server that ends lines in LF alone */
	{ W("+OK\n.\n"), W("") },
	{ W("+OK\nhello\n..\n.x\n.\n"), W("hello\n.\nx\n") },
	{ W("+OK\na\r\n..\n.\r\n"), W("a\r\n.\n") },
	{ W("+OK\na\r.\r\nb\n.\n"), W("a\r.\r\nb\n") },
};

/* Read a body to its end in pieces of at most n bytes. */
static int read_all(struct stream *b, size_t n, struct strbuf *out, struct err *e)
{
	char buf[8192];
	ssize_t r;

	while ((r = stream_read(b, buf, n, e)) > 0)
		assert_int_equal(strbuf_put(out, buf, (size_t)r), 0);
	return (int)r;
}

static void test_bodies(void **state)
{
	static const size_t pieces[] = { 1, 2, 3, 5, 8192 };

	(void)state;
	for (size_t i = 0; i < COUNT(bodies); i++) {
		for (size_t k = 0; k < 5 * (bodies[i].wire_n + 1); k++) {
			struct strbuf wire = STRBUF_INIT(4096), got = STRBUF_INIT(4096);
			struct pop3_conn c;
			struct err e = ERR_INIT;
			struct stream *b;
			struct slice text;
			char ch;

			strbuf_put(&wire, bodies[i].wire, bodies[i].wire_n);
			strbuf_puts(&wire, "+OK next\r\n");
			attach(&c, wire.s, wire.len, k / 5 + 1);
			assert_int_equal(pop3_status(&c, NULL, &e), 1);
			b = pop3_body(&c, 1, &e);
			assert_non_null(b);
			assert_int_equal(read_all(b, pieces[k % 5], &got, &e), 0);
			assert_int_equal(stream_read(b, &ch, 1, &e), 0);
			stream_free(b);
			assert_int_equal(got.len, bodies[i].body_n);
			if (got.len > 0)
				assert_memory_equal(got.s, bodies[i].body, got.len);
			assert_int_equal(pop3_status(&c, &text, &e), 1);
			assert_true(slice_eqs(text, "next"));
			pop3_close(&c);
			strbuf_release(&wire);
			strbuf_release(&got);
		}
	}
}

/* Cut anywhere, a body never ends cleanly. */
static void test_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(bodies); i++) {
		size_t status = strcspn(bodies[i].wire, "\n") + 1;

		for (size_t n = status; n < bodies[i].wire_n; n++) {
			struct strbuf got = STRBUF_INIT(4096);
			struct pop3_conn c;
			struct err e = ERR_INIT;
			struct stream *b;

			attach(&c, bodies[i].wire, n, n % 4);
			assert_int_equal(pop3_status(&c, NULL, &e), 1);
			b = pop3_body(&c, 42, &e);
			assert_int_equal(read_all(b, 8192, &got, &e), -1);
			assert_int_equal(e.kind, ERR_TEMP);
			assert_non_null(strstr(e.text, "middle of message 42"));
			assert_true(c.dead);
			assert_true(got.len <= bodies[i].body_n);
			stream_free(b);
			pop3_close(&c);
			strbuf_release(&got);
		}
	}
}

/* Stuffed and unstuffed, random bytes that love dots and line ends come out as they went in. */
static void test_random(void **state)
{
	unsigned seed = 12345;

	(void)state;
	for (int round = 0; round < 3000; round++) {
		struct strbuf wire = STRBUF_INIT(1 << 16), want = STRBUF_INIT(1 << 16), got = STRBUF_INIT(1 << 16);
		struct pop3_conn c;
		struct err e = ERR_INIT;
		struct stream *b;
		bool start = true;
		size_t n = (size_t)(rand_r(&seed) % 60);

		strbuf_puts(&wire, "+OK\r\n");
		for (size_t i = 0; i < n; i++)
			strbuf_putc(&want, "..\r\r\n\n\0x"[rand_r(&seed) % 8]);
		strbuf_puts(&want, "\r\n");
		for (size_t i = 0; i < want.len; i++) {
			if (start && want.s[i] == '.')
				strbuf_putc(&wire, '.');
			strbuf_putc(&wire, want.s[i]);
			start = i > 0 && want.s[i] == '\n' && want.s[i - 1] == '\r';
		}
		strbuf_puts(&wire, ".\r\n");
		attach(&c, wire.s, wire.len, (size_t)(rand_r(&seed) % 9));
		assert_int_equal(pop3_status(&c, NULL, &e), 1);
		b = pop3_body(&c, 1, &e);
		assert_int_equal(read_all(b, (size_t)(rand_r(&seed) % 9) + 1, &got, &e), 0);
		stream_free(b);
		assert_int_equal(got.len, want.len);
		assert_memory_equal(got.s, want.s, want.len);
		assert_false(c.dead);
		pop3_close(&c);
		strbuf_release(&wire);
		strbuf_release(&want);
		strbuf_release(&got);
	}
}

/* A line of megabytes passes through. */
static void test_long_line(void **state)
{
	size_t n = 5 << 20;
	char *wire = malloc(n + 32);
	struct strbuf got = STRBUF_INIT(8 << 20);
	struct pop3_conn c;
	struct err e = ERR_INIT;
	struct stream *b;

	(void)state;
	assert_non_null(wire);
	memset(wire, '.', n);
	memcpy(wire, "+OK\r\n", 5);
	memcpy(wire + n, "\r\n.\r\n", 5);
	attach(&c, wire, n + 5, 0);
	assert_int_equal(pop3_status(&c, NULL, &e), 1);
	b = pop3_body(&c, 1, &e);
	assert_int_equal(read_all(b, 8192, &got, &e), 0);
	assert_int_equal(got.len, n - 5 - 1 + 2);
	stream_free(b);
	pop3_close(&c);
	strbuf_release(&got);
	free(wire);
}

/* Freed early, a body is read over; while it is open nothing else can be read. */
static void test_early_free(void **state)
{
	struct pop3_conn c;
	struct err e = ERR_INIT;
	struct stream *b;
	char ch;

	(void)state;
	attach(&c, W("+OK\r\nabc\r\n..\r\n.\r\n+OK\r\n"), 4);
	assert_int_equal(pop3_status(&c, NULL, &e), 1);
	b = pop3_body(&c, 1, &e);
	assert_int_equal(stream_read(b, &ch, 1, &e), 1);
	assert_int_equal(ch, 'a');
	stream_free(b);
	assert_int_equal(pop3_status(&c, NULL, &e), 1);
	b = pop3_body(&c, 1, &e);
	assert_int_equal(pop3_status(&c, NULL, &e), -1);
	assert_int_equal(e.kind, ERR_BUG);
	stream_free(b);
	pop3_close(&c);
}

static void test_slow_body(void **state)
{
	struct pop3_conn c;
	struct err e = ERR_INIT;
	struct stream *b;
	char buf[16];

	(void)state;
	attach(&c, W("+OK\r\nabc\r\n.\r\n"), 5);
	assert_int_equal(pop3_status(&c, NULL, &e), 1);
	b = pop3_body(&c, 9, &e);
	c.pace.waited = PACE_MS;
	assert_int_equal(stream_read(b, buf, sizeof(buf), &e), -1);
	assert_int_equal(e.kind, ERR_TIMEOUT);
	assert_non_null(strstr(e.text, "message 9"));
	stream_free(b);
	pop3_close(&c);
}

/* Count a word in what was sent. */
static size_t sent(const char *word)
{
	size_t n = 0;

	for (const char *p = strbuf_str(&written); (p = strstr(p, word)); p++)
		n++;
	return n;
}

static void test_retr(void **state)
{
	static const uint64_t nums[] = { 7, 3, 9 };
	static const char wire[] = "+OK\r\nseven\r\n.\r\n-ERR [SYS/TEMP] not now\r\n+OK 5 octets\r\nnine\r\n.\r\n+OK 3 120\r\n";

	(void)state;
	for (int pipelining = 0; pipelining < 2; pipelining++) {
		for (size_t step = 1; step < sizeof(wire); step++) {
			struct pop3_conn c;
			struct pop3_pipe p;
			struct err e = ERR_INIT;
			struct stream *b, *none;
			struct strbuf got = STRBUF_INIT(4096);
			size_t i = 99;

			attach(&c, wire, sizeof(wire) - 1, step);
			c.caps.have = pipelining ? POP3_CAP_PIPELINING : 0;
			assert_int_equal(pop3_retr_start(&p, &c, nums, 3, &e), 0);
			assert_int_equal(pop3_retr_next(&p, &i, &b, &e), 1);
			assert_string_equal(strbuf_str(&written), pipelining ? "RETR 7\r\nRETR 3\r\nRETR 9\r\nSTAT\r\n" : "RETR 7\r\n");
			assert_int_equal(i, 0);
			assert_int_equal(read_all(b, 100, &got, &e), 0);
			stream_free(b);
			assert_int_equal(pop3_retr_next(&p, &i, &b, &e), -1);
			assert_int_equal(i, 1);
			assert_int_equal(e.span, SPAN_MSG);
			assert_int_equal(e.kind, ERR_TEMP);
			assert_non_null(strstr(e.text, "message 3"));
			assert_false(c.dead);
			assert_int_equal(pop3_retr_next(&p, &i, &b, &e), 1);
			assert_int_equal(i, 2);
			assert_int_equal(pop3_retr_next(&p, &i, &none, &e), -1); /* the last is not yet read */
			assert_int_equal(e.kind, ERR_BUG);
			assert_int_equal(i, 2);
			assert_int_equal(read_all(b, 100, &got, &e), 0);
			stream_free(b);
			assert_string_equal(strbuf_str(&got), "seven\r\nnine\r\n");
			assert_int_equal(pop3_retr_flying(&p), pipelining);
			for (int end = 0; end < 2; end++)
				assert_int_equal(pop3_retr_next(&p, &i, &none, &e), 0);
			assert_int_equal(sent("STAT"), 1);
			assert_false(pop3_retr_flying(&p));
			pop3_retr_end(&p);
			assert_false(c.dead);
			pop3_close(&c);
			strbuf_release(&got);
		}
	}
}

/*
 * Behind the last message an answer to STAT must come, from a server that was seen to give one, or then to LIST of that message: else some message ended too early.
 */
static void test_fence(void **state)
{
	static const struct { const char *answer; bool plain; int rc; } rows[] = {
		{ "+OK 1 20\r\n", true, 0 }, { "+OK 1 20 and more\r\n", true, 0 }, { "+OK 20 octets\r\nthe tail\r\n", true, -1 },
		{ "+OK\r\n+OK\r\n", true, -1 }, { "-ERR quoted\r\n.\r\n+OK 1 20\r\n", true, -1 }, { "-ERR busy\r\n+OK 1 20\r\n", true, 0 },
		{ "+OK 5 messages\r\n+OK 1 20 octets\r\n", true, 0 }, { "-ERR busy\r\n+OK 2 20\r\n", true, -1 }, { "-ERR busy\r\n-ERR busy\r\n", true, -1 },
		{ "+OK\r\n", false, 0 }, { "-ERR what?\r\n", false, 0 }, { "nonsense\r\n", false, -1 },
	};
	static const uint64_t nums[] = { 1 };

	(void)state;
	for (size_t k = 0; k < COUNT(rows); k++) {
		struct strbuf wire = STRBUF_INIT(4096), got = STRBUF_INIT(4096);
		struct pop3_conn c;
		struct pop3_pipe p;
		struct err e = ERR_INIT;
		struct stream *b;
		size_t i;

		strbuf_printf(&wire, "+OK\r\nseven\r\n.\r\n%s", rows[k].answer);
		attach(&c, wire.s, wire.len, 0);
		c.stat_plain = rows[k].plain;
		assert_int_equal(pop3_retr_start(&p, &c, nums, 1, &e), 0);
		assert_int_equal(pop3_retr_next(&p, &i, &b, &e), 1);
		assert_int_equal(read_all(b, 100, &got, &e), 0);
		stream_free(b);
		assert_int_equal(pop3_retr_next(&p, &i, &b, &e), rows[k].rc);
		assert_int_equal(e.kind, rows[k].rc < 0 ? ERR_PROTO : ERR_NONE);
		assert_int_equal(c.dead, rows[k].rc < 0);
		pop3_retr_end(&p);
		pop3_close(&c);
		strbuf_release(&got);
		strbuf_release(&wire);
	}
}

/* The window: filled, never overfilled, and refilled by many commands at once, since each flight is a TLS record. */
static void test_window(void **state)
{
	enum { N = 4 * POP3_WINDOW };
	struct strbuf wire = STRBUF_INIT(1 << 20);
	static uint64_t nums[N];
	struct pop3_conn c;
	struct pop3_pipe p;
	struct err e = ERR_INIT;
	size_t flights = 0, before = 0, most = 0;

	(void)state;
	for (size_t i = 0; i < N; i++) {
		nums[i] = i + 1;
		strbuf_printf(&wire, "+OK\r\n%zu\r\n.\r\n", i);
	}
	attach(&c, wire.s, wire.len, 0);
	c.caps.have = POP3_CAP_PIPELINING;
	assert_int_equal(pop3_retr_start(&p, &c, nums, N, &e), 0);
	for (size_t k = 0; k < N; k++) {
		struct stream *b;
		struct strbuf got = STRBUF_INIT(64);
		char want[16];
		size_t i;

		assert_int_equal(pop3_retr_next(&p, &i, &b, &e), 1);
		assert_int_equal(i, k);
		if (p.sent - k > most)
			most = p.sent - k;
		if (p.sent != before)
			flights++;
		before = p.sent;
		assert_int_equal(read_all(b, 64, &got, &e), 0);
		snprintf(want, sizeof(want), "%zu\r\n", k);
		assert_string_equal(strbuf_str(&got), want);
		strbuf_release(&got);
		stream_free(b);
	}
	assert_int_equal(sent("STAT"), 1);
	assert_int_equal(sent("RETR "), N);
	assert_int_equal(most, POP3_WINDOW);
	assert_true(flights <= N / 64);
	pop3_retr_end(&p);
	pop3_close(&c);
	strbuf_release(&wire);
}

/* A message that ends too early, since its server stuffs no dots: what is behind it is no status line, be it the last or not. */
static void test_retr_unstuffed(void **state)
{
	static const uint64_t nums[] = { 1, 2 };

	(void)state;
	for (int last = 0; last < 2; last++) {
		struct pop3_conn c;
		struct pop3_pipe p;
		struct err e = ERR_INIT;
		struct stream *b;
		size_t i;

		attach(&c, W("+OK\r\na\r\n.\r\nb\r\n.\r\n+OK\r\n"), 0);
		c.caps.have = POP3_CAP_PIPELINING;
		assert_int_equal(pop3_retr_start(&p, &c, nums, last ? 1 : 2, &e), 0);
		assert_int_equal(pop3_retr_next(&p, &i, &b, &e), 1);
		stream_free(b);
		assert_int_equal(pop3_retr_next(&p, &i, &b, &e), -1);
		assert_int_equal(e.kind, ERR_PROTO);
		assert_int_equal(e.span, SPAN_ACCT);
		assert_true(c.dead);
		pop3_retr_end(&p);
		pop3_close(&c);
	}
}

/* Given up with answers in flight, the link is dead; a link lost between messages costs the account. */
static void test_retr_lost(void **state)
{
	static const uint64_t nums[] = { 1, 2 };
	struct pop3_conn c;
	struct pop3_pipe p;
	struct err e = ERR_INIT;
	struct stream *b;
	size_t i;

	(void)state;
	attach(&c, W("+OK\r\na\r\n.\r\n"), 0);
	c.caps.have = POP3_CAP_PIPELINING;
	assert_int_equal(pop3_retr_start(&p, &c, nums, 2, &e), 0);
	assert_int_equal(pop3_retr_next(&p, &i, &b, &e), 1);
	stream_free(b);
	assert_int_equal(pop3_retr_next(&p, &i, &b, &e), -1);
	assert_int_equal(e.span, SPAN_ACCT);
	assert_int_equal(e.kind, ERR_TEMP);
	assert_non_null(strstr(e.text, "message 2"));
	pop3_retr_end(&p);
	pop3_close(&c);

	attach(&c, W("+OK\r\na\r\n.\r\n"), 0);
	c.caps.have = POP3_CAP_PIPELINING;
	assert_int_equal(pop3_retr_start(&p, &c, nums, 2, &e), 0);
	assert_int_equal(pop3_retr_next(&p, &i, &b, &e), 1);
	stream_free(b);
	assert_false(c.dead);
	pop3_retr_end(&p);
	assert_true(c.dead);
	pop3_retr_end(&p);
	pop3_close(&c);
}

struct done {
	size_t n, refused;
	uint64_t last;
};

static void on_done(void *arg, uint64_t num, const struct err *why)
{
	struct done *d = arg;

	assert_int_equal(num, d->last + 1);
	d->last = num;
	d->n++;
	if (why) {
		d->refused++;
		assert_int_equal(why->span, SPAN_MSG);
		assert_int_equal(why->kind, ERR_REFUSED);
	}
}

static void test_dele(void **state)
{
	struct strbuf wire = STRBUF_INIT(1 << 20);
	enum { N = 3 * POP3_DELE_WINDOW };
	static uint64_t nums[N];

	(void)state;
	for (size_t i = 0; i < N; i++) {
		nums[i] = i + 1;
		strbuf_puts(&wire, i % 100 == 7 ? "-ERR no\r\n" : "+OK\r\n");
	}
	for (int pipelining = 0; pipelining < 2; pipelining++) {
		struct pop3_conn c;
		struct err e = ERR_INIT;
		struct done d = { 0 };

		attach(&c, wire.s, wire.len, 0);
		c.caps.have = pipelining ? POP3_CAP_PIPELINING : 0;
		assert_int_equal(pop3_dele(&c, nums, N, on_done, &d, &e), 0);
		assert_int_equal(d.n, N);
		assert_int_equal(d.refused, N / 100);
		assert_int_equal(sent("DELE "), N);
		pop3_close(&c);

		d = (struct done){ 0 };
		attach(&c, wire.s, 5 * 6 + 3, 0); /* six answers and a piece */
		c.caps.have = pipelining ? POP3_CAP_PIPELINING : 0;
		assert_int_equal(pop3_dele(&c, nums, N, on_done, &d, &e), -1);
		assert_int_equal(d.n, 6);
		assert_int_equal(e.kind, ERR_TEMP);
		assert_true(c.dead);
		assert_int_equal(sent("DELE "), pipelining ? POP3_DELE_WINDOW : 7);
		pop3_close(&c);
	}
	strbuf_release(&wire);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bodies),     cmocka_unit_test(test_cut),       cmocka_unit_test(test_random),
		cmocka_unit_test(test_long_line),  cmocka_unit_test(test_early_free), cmocka_unit_test(test_slow_body),
		cmocka_unit_test(test_fence),
		cmocka_unit_test(test_retr),       cmocka_unit_test(test_window),    cmocka_unit_test(test_retr_unstuffed),
		cmocka_unit_test(test_retr_lost),
		cmocka_unit_test(test_dele),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	strbuf_release(&written);
	return failed;
}
