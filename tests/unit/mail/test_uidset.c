/* Sets of UIDs: against tables, and against a plain array of bits under random changes. */
#include "../../lib/unit.h"

#include "mail/uidset.h"

#define BITS 80 /* UIDs 1 to 79 of the model */

/* A set from its text; "" for the empty one. */
static struct uidset set_of(const char *text)
{
	struct uidset s = UIDSET_INIT;

	if (text[0])
		assert_int_equal(uidset_parse(slice_str(text), 1000, &s, NULL), 0);
	return s;
}

/* A set has the text that is expected, and is well-formed: sorted, and nothing touches. */
static void must_be(const struct uidset *s, const char *text)
{
	struct strbuf out = STRBUF_INIT(4096);
	size_t at = 0;

	assert_int_equal(uidset_print(s, &at, 4096, &out), 0);
	assert_int_equal(at, s->n);
	assert_string_equal(strbuf_str(&out), text);
	for (size_t i = 0; i < s->n; i++) {
		assert_true(s->a[i].first > 0 && s->a[i].first <= s->a[i].last);
		assert_true(i == 0 || (uint64_t)s->a[i - 1].last + 1 < s->a[i].first);
	}
	strbuf_release(&out);
}

static void parse(void **state)
{
	static const struct {
		const char *text, *set; /* NULL: refused */
	} rows[] = {
		{ "1", "1" },
		{ "4294967295", "4294967295" },
		{ "1:4294967295", "1:4294967295" },
		{ "4294967295:1", "1:4294967295" },
		{ "5:3", "3:5" },
		{ "7:7", "7" },
		{ "1,2,3", "1:3" },
		{ "1,3,5", "1,3,5" },
		{ "5,3,1", "1,3,5" },
		{ "3,2,1", "1:3" },
		{ "1:5,3:9,2", "1:9" },
		{ "10:20,12,15:18,1", "1,10:20" },
		{ "9,1:10,5", "1:10" },
		{ "4294967294,4294967295", "4294967294:4294967295" },
		{ "4294967295,1", "1,4294967295" },
		{ "1,1,1", "1" },
		{ "", NULL },
		{ "0", NULL },
		{ "0:5", NULL },
		{ "5:0", NULL },
		{ "01", NULL },
		{ "1:02", NULL },
		{ "*", NULL },
		{ "1:*", NULL },
		{ "*:1", NULL },
		{ "4294967296", NULL },
		{ "1:4294967296", NULL },
		{ "99999999999999999999999999", NULL },
		{ "1,", NULL },
		{ ",1", NULL },
		{ "1,,2", NULL },
		{ ",", NULL },
		{ ":", NULL },
		{ "1:", NULL },
		{ ":1", NULL },
		{ "1:2:3", NULL },
		{ "1 ", NULL },
		{ " 1", NULL },
		{ "1, 2", NULL },
		{ "-1", NULL },
		{ "+1", NULL },
		{ "1;2", NULL },
		{ "a", NULL },
		{ "1a", NULL },
		{ "$", NULL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct uidset s = set_of("50");
		struct err e = ERR_INIT;
		int rc = uidset_parse(slice_str(rows[i].text), 10, &s, &e);

		if (!rows[i].set) {
			assert_int_equal(rc, -1);
			assert_int_equal(e.kind, ERR_PROTO);
			must_be(&s, "50");
		} else {
			struct uidset want = set_of(rows[i].set);

			assert_int_equal(rc, 0);
			assert_int_equal(uidset_add(&want, 50, NULL), 0);
			assert_true(uidset_equal(&s, &want));
			uidset_release(&want);
			uidset_clear(&s);
			assert_int_equal(uidset_parse(slice_str(rows[i].text), 10, &s, NULL), 0);
			must_be(&s, rows[i].set);
		}
		uidset_release(&s);
	}
	/* the slice ends where it ends */
	{
		struct uidset s = UIDSET_INIT;

		assert_int_equal(uidset_parse(slice_of("12345", 2), 10, &s, NULL), 0);
		must_be(&s, "12");
		assert_int_equal(uidset_parse(slice_of("1\0", 2), 10, &s, NULL), -1);
		uidset_release(&s);
	}
}

static void parse_is_bounded(void **state)
{
	struct uidset s = UIDSET_INIT;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(uidset_parse(slice_str("1,3,5"), 3, &s, &e), 0);
	assert_int_equal(uidset_parse(slice_str("7,9,11,13"), 3, &s, &e), -1);
	assert_int_equal(e.kind, ERR_PROTO);
	assert_int_equal(uidset_parse(slice_str("7"), 0, &s, &e), -1);
	must_be(&s, "1,3,5");
	assert_int_equal(uidset_parse(slice_str("1:4294967295"), 1, &s, &e), 0);
	assert_int_equal(s.n, 1);
	assert_true(uidset_count(&s) == 4294967295U);
	uidset_release(&s);
}

/* Descending, the worst order: a hundred thousand ranges are no matter of seconds. */
static void parse_many_descending(void **state)
{
	struct strbuf text = STRBUF_INIT(1 << 21);
	struct uidset s = UIDSET_INIT;

	(void)state;
	for (uint32_t uid = 200000; uid > 0; uid -= 2)
		strbuf_printf(&text, uid == 2 ? "%u" : "%u,", uid);
	assert_false(text.failed);
	assert_int_equal(uidset_parse(strbuf_slice(&text), 100000, &s, NULL), 0);
	assert_int_equal(s.n, 100000);
	assert_true(uidset_has(&s, 2) && uidset_has(&s, 200000) && !uidset_has(&s, 3));
	uidset_release(&s);
	strbuf_release(&text);
}

static void add(void **state)
{
	static const struct {
		const char *before;
		uint32_t first, last;
		const char *after;
	} rows[] = {
		{ "", 1, 1, "1" },
		{ "", 1, UINT32_MAX, "1:4294967295" },
		{ "5", 5, 5, "5" },
		{ "5", 6, 6, "5:6" },
		{ "5", 4, 4, "4:5" },
		{ "5", 7, 7, "5,7" },
		{ "5", 3, 3, "3,5" },
		{ "5,7", 6, 6, "5:7" },
		{ "5:9", 6, 8, "5:9" },
		{ "5:9", 1, 20, "1:20" },
		{ "1,3,5,7,9", 2, 8, "1:9" },
		{ "1,3,5,7,9", 3, 7, "1,3:7,9" },
		{ "1,10,20", 11, 18, "1,10:18,20" },
		{ "1,10,20", 11, 19, "1,10:20" },
		{ "10,20", 1, 9, "1:10,20" },
		{ "10,20", 1, 8, "1:8,10,20" },
		{ "4294967295", 1, 1, "1,4294967295" },
		{ "4294967295", 4294967294, 4294967294, "4294967294:4294967295" },
		{ "1:4294967295", 7, 7, "1:4294967295" },
		{ "1:4294967295", 4294967295, 4294967295, "1:4294967295" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct uidset s = set_of(rows[i].before);

		assert_int_equal(uidset_add_range(&s, rows[i].first, rows[i].last, NULL), 0);
		must_be(&s, rows[i].after);
		uidset_release(&s);
	}
}

static void take_away(void **state)
{
	static const struct {
		const char *before;
		uint32_t first, last;
		const char *after;
	} rows[] = {
		{ "", 1, UINT32_MAX, "" },
		{ "5", 5, 5, "" },
		{ "5", 4, 4, "5" },
		{ "5", 6, 6, "5" },
		{ "5:9", 5, 5, "6:9" },
		{ "5:9", 9, 9, "5:8" },
		{ "5:9", 7, 7, "5:6,8:9" },
		{ "5:9", 6, 8, "5,9" },
		{ "5:9", 1, 4294967295, "" },
		{ "1:4294967295", 1, 1, "2:4294967295" },
		{ "1:4294967295", 4294967295, 4294967295, "1:4294967294" },
		{ "1:4294967295", 2, 4294967294, "1,4294967295" },
		{ "1,3,5,7,9", 3, 7, "1,9" },
		{ "1:3,5:7,9:11", 2, 10, "1,11" },
		{ "1:3,5:7,9:11", 4, 8, "1:3,9:11" },
		{ "1:3,5:7,9:11", 6, 6, "1:3,5,7,9:11" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct uidset s = set_of(rows[i].before);

		assert_int_equal(uidset_remove_range(&s, rows[i].first, rows[i].last, NULL), 0);
		must_be(&s, rows[i].after);
		uidset_release(&s);
	}
}

static void two_sets(void **state)
{
	static const struct {
		const char *a, *b, *both, *without, *common;
	} rows[] = {
		{ "", "", "", "", "" },
		{ "1:5", "", "1:5", "1:5", "" },
		{ "", "1:5", "1:5", "", "" },
		{ "1:5", "1:5", "1:5", "", "1:5" },
		{ "1:5", "6:9", "1:9", "1:5", "" },
		{ "6:9", "1:5", "1:9", "6:9", "" },
		{ "1:9", "3,5,7", "1:9", "1:2,4,6,8:9", "3,5,7" },
		{ "3,5,7", "1:9", "1:9", "", "3,5,7" },
		{ "1:3,7:9", "2:8", "1:9", "1,9", "2:3,7:8" },
		{ "1,3,5", "2,4,6", "1:6", "1,3,5", "" },
		{ "1:10,20:30", "5:25,28", "1:30", "1:4,26:27,29:30", "5:10,20:25,28" },
		{ "2,4,100:200", "1:4294967295", "1:4294967295", "", "2,4,100:200" },
		{ "1:4294967295", "2,4294967295", "1:4294967295", "1,3:4294967294", "2,4294967295" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct uidset a = set_of(rows[i].a), b = set_of(rows[i].b);

		assert_int_equal(uidset_unite(&a, &b, NULL), 0);
		must_be(&a, rows[i].both);
		uidset_release(&a);
		a = set_of(rows[i].a);
		assert_int_equal(uidset_subtract(&a, &b, NULL), 0);
		must_be(&a, rows[i].without);
		uidset_release(&a);
		a = set_of(rows[i].a);
		assert_int_equal(uidset_intersect(&a, &b, NULL), 0);
		must_be(&a, rows[i].common);
		must_be(&b, rows[i].b);
		/* with itself */
		assert_int_equal(uidset_unite(&b, &b, NULL), 0);
		assert_int_equal(uidset_intersect(&b, &b, NULL), 0);
		must_be(&b, rows[i].b);
		assert_int_equal(uidset_subtract(&b, &b, NULL), 0);
		must_be(&b, "");
		uidset_release(&a);
		uidset_release(&b);
	}
}

/* Numbers from a seed, so that a failure comes again. */
static uint32_t draw(uint32_t *seed, uint32_t below)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed % below;
}

/* A set holds just the UIDs that are true in the model. */
static void same_as(const struct uidset *s, const bool model[BITS])
{
	struct uidset_iter it = { .set = s };
	uint32_t uid, count = 0, highest = 0;

	for (uint32_t u = 1; u < BITS; u++) {
		assert_int_equal(uidset_has(s, u), model[u]);
		if (!model[u])
			continue;
		assert_true(uidset_next(&it, &uid));
		assert_int_equal(uid, u);
		highest = u;
		count++;
	}
	assert_false(uidset_next(&it, &uid));
	assert_false(uidset_has(s, BITS));
	assert_false(uidset_has(s, UINT32_MAX));
	assert_int_equal(uidset_count(s), count);
	assert_int_equal(uidset_max(s), highest);
	for (size_t i = 0; i < s->n; i++)
		assert_true(i == 0 || s->a[i - 1].last + 1 < s->a[i].first);
}

static void random_changes(void **state)
{
	bool model[2][BITS] = { { false } };
	struct uidset s[2] = { UIDSET_INIT, UIDSET_INIT };
	uint32_t seed = 20261124;

	(void)state;
	for (int step = 0; step < 20000; step++) {
		uint32_t which = draw(&seed, 2), what = draw(&seed, 40), first = 1 + draw(&seed, BITS - 1);
		uint32_t last = first + draw(&seed, what % 2 ? 3 : BITS - first);
		bool *m = model[which], *other = model[!which];

		if (last >= BITS)
			last = BITS - 1;
		if (what < 34) {
			bool in = what < 18;

			assert_int_equal(in ? uidset_add_range(&s[which], first, last, NULL) :
			                 uidset_remove_range(&s[which], first, last, NULL), 0);
			for (uint32_t u = first; u <= last; u++)
				m[u] = in;
		} else if (what < 36) {
			assert_int_equal(uidset_unite(&s[which], &s[!which], NULL), 0);
			for (uint32_t u = 1; u < BITS; u++)
				m[u] = m[u] || other[u];
		} else if (what < 38) {
			assert_int_equal(uidset_subtract(&s[which], &s[!which], NULL), 0);
			for (uint32_t u = 1; u < BITS; u++)
				m[u] = m[u] && !other[u];
		} else {
			assert_int_equal(uidset_intersect(&s[which], &s[!which], NULL), 0);
			for (uint32_t u = 1; u < BITS; u++)
				m[u] = m[u] && other[u];
		}
		same_as(&s[which], m);
		assert_int_equal(uidset_equal(&s[0], &s[1]), memcmp(model[0], model[1], BITS) == 0);
	}
	uidset_release(&s[0]);
	uidset_release(&s[1]);
}

static void one_by_one(void **state)
{
	struct uidset s = UIDSET_INIT;
	struct uidset_iter it = { .set = &s };
	uint32_t uid = 7;

	(void)state;
	assert_false(uidset_next(&it, &uid));
	assert_int_equal(uidset_max(&s), 0);
	assert_true(uidset_count(&s) == 0);
	for (uint32_t u = 1; u <= 1000; u++)
		assert_int_equal(uidset_add(&s, u, NULL), 0);
	assert_int_equal(s.n, 1);
	assert_int_equal(uidset_remove(&s, 500, NULL), 0);
	must_be(&s, "1:499,501:1000");
	uidset_clear(&s);
	must_be(&s, "");
	/* the last UIDs there are, and no step beyond */
	assert_int_equal(uidset_add_range(&s, UINT32_MAX - 1, UINT32_MAX, NULL), 0);
	it = (struct uidset_iter){ .set = &s };
	assert_true(uidset_next(&it, &uid) && uid == UINT32_MAX - 1);
	assert_true(uidset_next(&it, &uid) && uid == UINT32_MAX);
	assert_false(uidset_next(&it, &uid));
	uidset_release(&s);
	must_be(&s, "");
}

/* Pieces are as long as they may be, hold whole ranges, and together the set. */
static void print_in_pieces(void **state)
{
	struct uidset s = UIDSET_INIT, again = UIDSET_INIT;
	uint32_t seed = 7;

	(void)state;
	for (int i = 0; i < 500; i++) {
		uint32_t first = 1 + draw(&seed, UINT32_MAX - 100);

		assert_int_equal(uidset_add_range(&s, first, first + draw(&seed, 2) * 9, NULL), 0);
	}
	for (size_t max = UIDSET_RANGE_TEXT; max < 700; max += 13) {
		size_t at = 0, pieces = 0;

		uidset_clear(&again);
		while (at < s.n) {
			struct strbuf out = STRBUF_INIT(2000);
			struct slice piece;

			strbuf_puts(&out, "UID FETCH ");
			assert_int_equal(uidset_print(&s, &at, max, &out), 0);
			piece = slice_of(out.s + 10, out.len - 10);
			assert_true(piece.n > 0 && piece.n <= max);
			assert_true(at == s.n || piece.n + 1 + UIDSET_RANGE_TEXT > max);
			assert_int_equal(uidset_parse(piece, 1000, &again, NULL), 0);
			strbuf_release(&out);
			pieces++;
		}
		assert_true(uidset_equal(&s, &again));
		assert_true(pieces > 1);
	}
	uidset_release(&s);
	uidset_release(&again);
}

static void print_limits(void **state)
{
	struct uidset s = set_of("4294967290:4294967295,1,3:4");
	struct strbuf out = STRBUF_INIT(20);
	size_t at = 0;

	(void)state;
	/* the widest range fits into what the header says */
	uidset_clear(&s);
	assert_int_equal(uidset_add_range(&s, 4000000000U, UINT32_MAX, NULL), 0);
	assert_int_equal(uidset_print(&s, &at, UIDSET_RANGE_TEXT, &out), -1);
	assert_int_equal(at, 0);
	assert_int_equal(out.len, 0);
	strbuf_release(&out);
	out = (struct strbuf)STRBUF_INIT(UIDSET_RANGE_TEXT);
	assert_int_equal(uidset_print(&s, &at, UIDSET_RANGE_TEXT, &out), 0);
	assert_int_equal(at, 1);
	assert_string_equal(strbuf_str(&out), "4000000000:4294967295");
	/* nothing left: nothing said */
	assert_int_equal(uidset_print(&s, &at, UIDSET_RANGE_TEXT, &out), 0);
	assert_int_equal(out.len, UIDSET_RANGE_TEXT);
	strbuf_release(&out);
	uidset_release(&s);
}

static void in_order(void **state)
{
	static const struct {
		const char *text;
		uint64_t max;
		const char *uids; /* NULL: refused */
	} rows[] = {
		{ "304,319:320", 3, "304 319 320 " },
		{ "3956:3958", 3, "3956 3957 3958 " },
		{ "4:2", 3, "2 3 4 " },
		{ "9,1,5", 3, "9 1 5 " },
		{ "9,5:6,1", 10, "9 5 6 1 " },
		{ "1,1", 2, "1 1 " },
		{ "4294967295", 1, "4294967295 " },
		{ "4294967294:4294967295,1", 3, "4294967294 4294967295 1 " },
		{ "1:3", 2, NULL },
		{ "1,2,3", 2, NULL },
		{ "1:4294967295", 4294967294, NULL },
		{ "1:4294967295,1:4294967295", 4294967295, NULL },
		{ "1", 0, NULL },
		{ "", 10, NULL },
		{ "1,x", 10, NULL },
		{ "1:*", 10, NULL },
		{ "0", 10, NULL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct strbuf out = STRBUF_INIT(1000);
		struct err e = ERR_INIT;
		struct uidseq q;
		uint64_t count = 0;
		uint32_t uid;
		int rc = uidseq_init(&q, slice_str(rows[i].text), rows[i].max, &e);

		assert_int_equal(rc, rows[i].uids ? 0 : -1);
		if (rc < 0) {
			assert_int_equal(e.kind, ERR_PROTO);
			continue;
		}
		for (; uidseq_next(&q, &uid); count++)
			strbuf_printf(&out, "%u ", uid);
		assert_string_equal(strbuf_str(&out), rows[i].uids);
		assert_true(q.count == count);
		assert_false(uidseq_next(&q, &uid));
		strbuf_release(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse),
		cmocka_unit_test(parse_is_bounded),
		cmocka_unit_test(parse_many_descending),
		cmocka_unit_test(add),
		cmocka_unit_test(take_away),
		cmocka_unit_test(two_sets),
		cmocka_unit_test(random_changes),
		cmocka_unit_test(one_by_one),
		cmocka_unit_test(print_in_pieces),
		cmocka_unit_test(print_limits),
		cmocka_unit_test(in_order),
	};

	return cmocka_run_group_tests_name("mail/uidset", tests, NULL, NULL);
}
