#include "../../lib/unit.h"

#include "job/wire.h"

/* What the sinks got, as text. */
struct got {
	struct strbuf text;
	size_t n;
};

static void got_event(void *arg, const struct event *ev)
{
	struct got *g = arg;
	const struct event_totals *t = &ev->totals;
	const struct event_compared *c = &ev->compared;

	g->n++;
	strbuf_printf(&g->text, "E%d %s %lld %d %d %d %d %s %s %s %llu %d %llu %llu %llu %llu %d %d %d %s %d %d", ev->type, ev->job, (long long)ev->time, ev->two_way, ev->one_way,
		      ev->action, ev->at,
		      ev->folder, ev->to, ev->uid, (unsigned long long)ev->size, ev->dry, (unsigned long long)ev->total, (unsigned long long)ev->total_bytes,
		      (unsigned long long)ev->done, (unsigned long long)ev->done_bytes, ev->kind, ev->span, ev->retry_after, ev->text, ev->exit_code, ev->trouble);
	strbuf_printf(&g->text, " %llu %llu %llu %llu %llu %llu %llu %llu %llu %llu %llu %llu %llu %llu %llu %llu %llu %llu %llu %.6f\n", (unsigned long long)t->pulled,
		      (unsigned long long)t->pushed, (unsigned long long)t->deleted, (unsigned long long)t->flagged, (unsigned long long)t->moved,
		      (unsigned long long)t->skipped, (unsigned long long)t->failed, (unsigned long long)t->kept, (unsigned long long)t->bytes_in,
		      (unsigned long long)t->bytes_out, (unsigned long long)t->round_trips, (unsigned long long)t->made, (unsigned long long)t->removed,
		      (unsigned long long)t->deleted_left, (unsigned long long)t->quarantined, (unsigned long long)t->trashed, (unsigned long long)t->run, (unsigned long long)t->restored,
		      (unsigned long long)t->renamed, t->seconds);
	strbuf_cut(&g->text, g->text.len - 1);
	strbuf_printf(&g->text, " V %d %d %d %llu %llu %llu %llu %llu %llu %llu %llu %llu %llu %llu %llu %llu\n", ev->verify, ev->sides, ev->drift, (unsigned long long)c->folders,
		      (unsigned long long)c->left, (unsigned long long)c->right, (unsigned long long)c->same, (unsigned long long)c->missing[0], (unsigned long long)c->missing[1],
		      (unsigned long long)c->content, (unsigned long long)c->flags, (unsigned long long)c->refused, (unsigned long long)c->missing_folders[0],
		      (unsigned long long)c->missing_folders[1], (unsigned long long)c->extra, (unsigned long long)c->left_out);
}

static void got_log(void *arg, enum log_level level, const char *context, const char *text)
{
	struct got *g = arg;

	g->n++;
	strbuf_printf(&g->text, "L%d %s %s\n", level, context, text);
}

static struct wire_sink sinks_of(struct got *g)
{
	g->text = (struct strbuf)STRBUF_INIT(1 << 20);
	g->n = 0;
	return (struct wire_sink){ .events = { .put = got_event, .arg = g }, .log = got_log, .log_arg = g };
}

static const struct event full = {
	.type = EVENT_END, .job = "isp", .time = 1772373907, .two_way = true, .one_way = true, .action = ACTION_RENAME, .at = AT_RIGHT, .folder = "F\xc3\xa9", .to = "Lists/\033[2J\x9b\xff", .uid = "u\033", .size = UINT64_MAX, .dry = true,
	.total = 1, .total_bytes = 2, .done = 3, .done_bytes = 4, .kind = ERR_BUG, .span = SPAN_ACCT, .retry_after = 2147483647, .text = "why", .exit_code = 255, .trouble = true,
	.totals = { .pulled = 5, .pushed = 6, .deleted = 7, .flagged = 8, .moved = 9, .skipped = 10, .failed = 11, .kept = 12, .bytes_in = 13, .bytes_out = 14,
		    .round_trips = 15, .made = 17, .removed = 18, .deleted_left = 19, .quarantined = 20, .run = 21, .restored = 22, .renamed = 23, .trashed = 24, .seconds = 16.25 },
	.verify = true, .sides = SIDES_ONE_WAY, .drift = DRIFT_FOLDER,
	.compared = { .folders = 31, .left = 32, .right = 33, .same = 34, .missing = { 35, 36 }, .content = 37, .flags = 38, .refused = 39, .missing_folders = { 40, 41 }, .extra = 42,
		      .left_out = 43 },
};

/* A stream with everything in it. */
static void fill(struct strbuf *b)
{
	struct event ev = { .type = EVENT_START, .job = "isp", .time = 1 };

	assert_int_equal(wire_put_event(b, &ev), 0);
	assert_int_equal(wire_put_log(b, LOG_WIRE, "isp/INBOX", "> NOOP"), 0);
	assert_int_equal(wire_put_event(b, &full), 0);
	assert_int_equal(wire_put_log(b, LOG_ERROR, "", ""), 0);
}

static const char expected[] =
	"E0 isp 1 0 0 0 0    0 0 0 0 0 0 0 0 0  0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0.000000 V 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
	"L4 isp/INBOX > NOOP\n"
	"E11 isp 1772373907 1 1 10 2 F\xc3\xa9 Lists/\033[2J\x9b\xff u\033 18446744073709551615 1 1 2 3 4 15 2 2147483647 why 255 1 5 6 7 8 9 10 11 12 13 14 15 17 18 19 20 24 21 22 23 16.250000 V 1 2 4 31 32 33 34 35 36 37 38 39 40 41 42 43\n"
	"L0  \n";

/* However the stream is cut, the same records come out. */
static void every_split(void **state)
{
	struct strbuf all = STRBUF_INIT(1 << 16);

	(void)state;
	fill(&all);
	for (size_t step = 1; step <= all.len; step++) {
		struct strbuf in = STRBUF_INIT(2 * WIRE_MAX);
		struct got g;
		struct wire_sink sinks = sinks_of(&g);

		for (size_t at = 0; at < all.len; at += step) {
			strbuf_put(&in, all.s + at, all.len - at < step ? all.len - at : step);
			assert_int_equal(wire_take(&in, &sinks, NULL), 0);
		}
		assert_int_equal(in.len, 0);
		assert_string_equal(strbuf_str(&g.text), expected);
		strbuf_release(&in);
		strbuf_release(&g.text);
	}
	strbuf_release(&all);
}

static void long_texts(void **state)
{
	struct strbuf b = STRBUF_INIT(1 << 16);
	char text[WIRE_TEXT + 100];
	struct got g;
	struct wire_sink sinks = sinks_of(&g);
	struct event ev = { .type = EVENT_ERROR, .job = text, .folder = text, .to = text, .uid = text, .text = text };

	(void)state;
	/* three-byte characters that don't meet the limit */
	memset(text, 'x', sizeof(text));
	for (size_t i = 1; i + 3 < sizeof(text); i += 3)
		memcpy(text + i, "\xe2\x82\xac", 3);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(wire_put_event(&b, &ev), 0);
	assert_true(b.len <= WIRE_MAX);
	assert_int_equal(wire_put_log(&b, LOG_WARN, text, text), 0);
	assert_int_equal(wire_take(&b, &sinks, NULL), 0);
	assert_int_equal(g.n, 2);
	for (const char *p = strstr(g.text.s, "x\xe2"); p; p = strstr(p + 1, "x\xe2")) {
		size_t n = strcspn(p, " \n");

		assert_int_equal(n % 3, 1);
		assert_in_range(n, WIRE_TEXT - 2, WIRE_TEXT);
	}
	strbuf_release(&b);
	strbuf_release(&g.text);
}

/* Values that no field has are put as its limit. */
static void odd_values(void **state)
{
	struct strbuf b = STRBUF_INIT(1 << 16);
	struct got g;
	struct wire_sink sinks = sinks_of(&g);
	struct event ev = { .type = EVENT_END, .time = -1, .exit_code = -1, .retry_after = -5, .totals = { .seconds = -1 } };

	(void)state;
	assert_int_equal(wire_put_event(&b, &ev), 0);
	ev.exit_code = 300;
	ev.totals.seconds = 1e300;
	assert_int_equal(wire_put_event(&b, &ev), 0);
	ev.totals.seconds = __builtin_nan("");
	assert_int_equal(wire_put_event(&b, &ev), 0);
	assert_int_equal(wire_take(&b, &sinks, NULL), 0);
	assert_string_equal(g.text.s, "E11  -1 0 0 0 0    0 0 0 0 0 0 0 0 0  0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0.000000 V 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
				      "E11  -1 0 0 0 0    0 0 0 0 0 0 0 0 0  255 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0.000000 V 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
				      "E11  -1 0 0 0 0    0 0 0 0 0 0 0 0 0  255 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0.000000 V 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n");
	strbuf_release(&b);
	strbuf_release(&g.text);
}

static void no_half_record(void **state)
{
	struct strbuf whole = STRBUF_INIT(1 << 16);

	(void)state;
	wire_put_event(&whole, &full);
	for (size_t max = 0; max < whole.len; max++) {
		struct strbuf b = STRBUF_INIT(max);

		assert_int_equal(wire_put_event(&b, &full), -1);
		assert_int_equal(b.len, 0);
		strbuf_release(&b);
	}
	strbuf_release(&whole);
}

static void malformed(void **state)
{
#define ROW(s) { s, sizeof(s) - 1 }
	static const struct { const char *s; size_t n; } rows[] = {
		ROW("\0\0\0\0"),                                                           /* nothing, not even a type */
		ROW("\xff\xff\xff\xff"),
		ROW("\xfd\x3f\0\0"),                                                       /* one more than fits */
		ROW("\1\0\0\0\0"), ROW("\1\0\0\0\3"), ROW("\1\0\0\0\1"), ROW("\1\0\0\0\2"), /* types; no fields */
		ROW("\x11\0\0\0\2" "\5\0\0\0\0\0\0\0" "\0\0\0\0" "\0\0\0\0"),              /* a level that is none */
		ROW("\x12\0\0\0\2" "\1\0\0\0\0\0\0\0" "\0\0\0\0" "\0\0\0\0" "x"),          /* something left over */
		ROW("\x12\0\0\0\2" "\1\0\0\0\0\0\0\0" "\0\0\0\0" "\2\0\0\0" "x"),          /* longer than the record */
		ROW("\x12\0\0\0\2" "\1\0\0\0\0\0\0\0" "\0\0\0\0" "\xff\xff\xff\xff" "x"),
		ROW("\x12\0\0\0\2" "\1\0\0\0\0\0\0\0" "\0\0\0\0" "\1\0\0\0" "\0"),         /* a NUL in a text */
	};
#undef ROW

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct strbuf b = STRBUF_INIT(1 << 16);
		struct err e = ERR_INIT;
		struct got g;
		struct wire_sink sinks = sinks_of(&g);

		wire_put_log(&b, LOG_INFO, "", "before");
		strbuf_put(&b, rows[i].s, rows[i].n);
		assert_int_equal(wire_take(&b, &sinks, &e), -1);
		assert_int_equal(e.kind, ERR_BUG);
		assert_string_equal(g.text.s, "L2  before\n");
		strbuf_release(&b);
		strbuf_release(&g.text);
	}
}

/* Each number of an event beyond what it may be. */
static void numbers_out_of_range(void **state)
{
	struct strbuf good = STRBUF_INIT(1 << 16);
	size_t refused = 0;

	(void)state;
	wire_put_event(&good, &full);
	for (size_t at = 5; at + 8 <= 5 + 35 * 8; at += 8) {
		struct strbuf b = STRBUF_INIT(1 << 16);
		struct err e = ERR_INIT;
		struct got g;
		struct wire_sink sinks = sinks_of(&g);

		strbuf_put(&b, good.s, good.len);
		memset(b.s + at, 0xff, 8);
		if (wire_take(&b, &sinks, &e) < 0) {
			refused++;
			assert_int_equal(e.kind, ERR_BUG);
			assert_int_equal(g.n, 0);
		}
		strbuf_release(&b);
		strbuf_release(&g.text);
	}
	assert_int_equal(refused, 12); /* type, two_way, one_way, action, at, dry, kind, span, retry_after, exit_code, trouble, untried */
	strbuf_release(&good);
}

/* Whatever bytes come: no crash, and what is taken for a record is one. */
static void garbage(void **state)
{
	struct strbuf good = STRBUF_INIT(1 << 16);
	unsigned seed = 3;

	(void)state;
	fill(&good);
	for (int round = 0; round < 20000; round++) {
		struct strbuf in = STRBUF_INIT(2 * WIRE_MAX);
		struct got g;
		struct wire_sink sinks = sinks_of(&g);
		size_t n = (size_t)rand_r(&seed) % 300;

		if (round % 2) { /* good records with some bytes changed */
			strbuf_put(&in, good.s, good.len);
			for (int k = 0; k < 3; k++)
				in.s[(size_t)rand_r(&seed) % in.len] = (char)rand_r(&seed);
		} else {
			for (size_t i = 0; i < n; i++)
				strbuf_putc(&in, (char)(rand_r(&seed) % 4 ? 0 : rand_r(&seed)));
		}
		if (wire_take(&in, &sinks, NULL) == 0)
			assert_true(in.len < WIRE_MAX);
		assert_true(g.n <= 4 + 300 / 17);
		strbuf_release(&in);
		strbuf_release(&g.text);
	}
	strbuf_release(&good);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_split),
		cmocka_unit_test(long_texts),
		cmocka_unit_test(odd_values),
		cmocka_unit_test(no_half_record),
		cmocka_unit_test(malformed),
		cmocka_unit_test(numbers_out_of_range),
		cmocka_unit_test(garbage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
