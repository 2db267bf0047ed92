#include "../../lib/unit.h"

#include "base/slice.h"

static const struct slice nothing = { NULL, 0 };

static void making(void **state)
{
	struct slice s = SLICE_LIT("abc");

	(void)state;
	assert_int_equal(s.n, 3);
	assert_int_equal(slice_str(NULL).n, 0);
	assert_int_equal(slice_str("four").n, 4);
	assert_int_equal(slice_of("a\0b", 3).n, 3);
}

static void equality(void **state)
{
	static const struct {
		const char *a, *b;
		bool eq, ieq, starts, istarts;
	} rows[] = {
		{ "", "", true, true, true, true },
		{ "a", "", false, false, true, true },
		{ "", "a", false, false, false, false },
		{ "abc", "abc", true, true, true, true },
		{ "aBc", "AbC", false, true, false, true },
		{ "abcd", "abc", false, false, true, true },
		{ "ABcd", "abc", false, false, false, true },
		{ "ab", "abc", false, false, false, false },
		{ "x[", "x{", false, false, false, false },  /* differ by 0x20, no letters */
		{ "@", "`", false, false, false, false },
		{ "Z", "z", false, true, false, true },
		{ "\xc4", "\xe4", false, false, false, false }, /* Latin-1 letters stay apart */
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct slice a = slice_str(rows[i].a);

		assert_int_equal(slice_eq(a, slice_str(rows[i].b)), rows[i].eq);
		assert_int_equal(slice_eqs(a, rows[i].b), rows[i].eq);
		assert_int_equal(slice_ieqs(a, rows[i].b), rows[i].ieq);
		assert_int_equal(slice_starts(a, rows[i].b), rows[i].starts);
		assert_int_equal(slice_istarts(a, rows[i].b), rows[i].istarts);
	}
	assert_true(slice_eq(nothing, slice_str("")));
	assert_true(slice_eqs(nothing, NULL));
	assert_true(slice_ieqs(nothing, ""));
	assert_true(slice_eq(slice_of("a\0b", 3), slice_of("a\0b", 3)));
	assert_false(slice_eq(slice_of("a\0b", 3), slice_of("a\0c", 3)));
	assert_false(slice_eqs(slice_of("a\0b", 3), "a"));
}

static void order(void **state)
{
	static const char *const sorted[] = { "", "A", "a", "aa", "ab", "b", "\x80" };

	(void)state;
	for (size_t i = 0; i < COUNT(sorted); i++)
		for (size_t j = 0; j < COUNT(sorted); j++) {
			int c = slice_cmp(slice_str(sorted[i]), slice_str(sorted[j]));

			assert_int_equal((c > 0) - (c < 0), (i > j) - (i < j));
		}
	assert_int_equal(slice_cmp(nothing, slice_str("")), 0);
}

static void trimming(void **state)
{
	static const char *const rows[][2] = {
		{ "", "" }, { " ", "" }, { " \t\r\n", "" }, { "x", "x" },
		{ "\r\n a b \t", "a b" }, { "a\v", "a\v" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_true(slice_eqs(slice_trim(slice_str(rows[i][0])), rows[i][1]));
	assert_int_equal(slice_trim(nothing).n, 0);
}

static void words(void **state)
{
	struct slice rest = slice_str("  one\ttwo \t three\r");

	(void)state;
	assert_true(slice_eqs(slice_word(&rest), "one"));
	assert_true(slice_eqs(slice_word(&rest), "two"));
	assert_true(slice_eqs(slice_word(&rest), "three\r"));
	assert_int_equal(slice_word(&rest).n, 0);
	assert_int_equal(slice_word(&rest).n, 0);
	rest = nothing;
	assert_int_equal(slice_word(&rest).n, 0);
}

static void numbers(void **state)
{
	static const struct {
		const char *s;
		uint64_t max, value;
		bool ok;
	} rows[] = {
		{ "0", 0, 0, true },
		{ "1", 0, 0, false },
		{ "007", 7, 7, true },
		{ "8", 7, 0, false },
		{ "", 9, 0, false },
		{ "+1", 9, 0, false },
		{ "-1", 9, 0, false },
		{ " 1", 9, 0, false },
		{ "1 ", 9, 0, false },
		{ "1x", 99, 0, false },
		{ "0x1", 99, 0, false },
		{ "\xb2", 99, 0, false },
		{ "99", 99, 99, true },
		{ "100", 99, 0, false },
		{ "4294967295", UINT32_MAX, UINT32_MAX, true },
		{ "4294967296", UINT32_MAX, 0, false },
		{ "18446744073709551615", UINT64_MAX, UINT64_MAX, true },
		{ "18446744073709551616", UINT64_MAX, 0, false },
		{ "99999999999999999999999", UINT64_MAX, 0, false },
		{ "00000000000000000000000000000001", 5, 1, true },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint64_t v = 4711;

		assert_int_equal(slice_u64(slice_str(rows[i].s), rows[i].max, &v), rows[i].ok);
		assert_true(v == (rows[i].ok ? rows[i].value : 4711));
	}
}

static void copies(void **state)
{
	char *s = slice_dup(SLICE_LIT("text"));

	(void)state;
	assert_string_equal(s, "text");
	free(s);
	s = slice_dup(nothing);
	assert_string_equal(s, "");
	free(s);
	assert_null(slice_dup(slice_of("a\0b", 3)));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(making),  cmocka_unit_test(equality), cmocka_unit_test(order),
		cmocka_unit_test(trimming), cmocka_unit_test(words),   cmocka_unit_test(numbers),
		cmocka_unit_test(copies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
