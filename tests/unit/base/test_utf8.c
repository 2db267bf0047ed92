/* Characters in UTF-8: all of them, and what only looks like one. */
#include "../../lib/unit.h"

#include "base/utf8.h"

/* Every character of Unicode comes back, and needs all of its bytes. */
static void all_characters(void **state)
{
	(void)state;
	for (uint32_t c = 0; c <= 0x10ffff; c++) {
		uint32_t again = 0xffffffff;
		char bytes[4];
		size_t len;

		if (c >= 0xd800 && c <= 0xdfff)
			continue;
		len = utf8_give(c, bytes);
		if (len != (c < 0x80 ? 1U : c < 0x800 ? 2U : c < 0x10000 ? 3U : 4U))
			fail_msg("U+%X has %zu bytes", c, len);
		if (len > 1 && utf8_take(bytes, len - 1, &again) != 0)
			fail_msg("U+%X without its end", c);
		if (utf8_take(bytes, len, &again) != len || again != c)
			fail_msg("U+%X comes back as U+%X", c, again);
	}
}

static void malformed(void **state)
{
	static const char *const rows[] = {
		"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2\x41", "\xc2\xc2", "\xe0\x80\x80",
		"\xe0\x9f\xbf", "\xe2\x82", "\xe2\x82\x41", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x80\x80\x80",
		"\xf0\x8f\xbf\xbf", "\xf0\x9f\x98", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xf8\x88\x80\x80\x80",
		"\xfe", "\xff",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint32_t c = 7;
		char text[16];

		assert_int_equal(utf8_take(rows[i], strlen(rows[i]), &c), 0);
		assert_int_equal(c, 7);
		snprintf(text, sizeof(text), "a%sz", rows[i]);
		assert_false(utf8_valid(slice_str(text)));
	}
}

static void well_formed(void **state)
{
	(void)state;
	assert_true(utf8_valid(slice_str(NULL)));
	assert_true(utf8_valid(slice_str("plain")));
	assert_true(utf8_valid(slice_str("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xef\xbf\xbf")));
	assert_true(utf8_valid(slice_of("a\0b", 3)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_characters),
		cmocka_unit_test(malformed),
		cmocka_unit_test(well_formed),
	};

	return cmocka_run_group_tests_name("base/utf8", tests, NULL, NULL);
}
