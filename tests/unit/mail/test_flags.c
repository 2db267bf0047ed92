/* Flags and Maildir letters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "mail/flags.h"

static void letters_to_bits(void **state)
{
	static const struct {
		const char *letters;
		int rc;
		uint32_t flags;
	} rows[] = {
		{ "", 0, 0 },
		{ "S", 0, FLAG_SEEN },
		{ "R", 0, FLAG_ANSWERED },
		{ "F", 0, FLAG_FLAGGED },
		{ "T", 0, FLAG_DELETED },
		{ "D", 0, FLAG_DRAFT },
		{ "P", 0, FLAG_FORWARDED },
		{ "SRFTDP", 0, 63 },
		{ "SSS", 0, FLAG_SEEN },
		{ "s", -1, 0 },
		{ "SX", -1, 0 },
		{ "Sa", -1, 0 },
		{ " S", -1, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint32_t flags = 999;

		assert_int_equal(flags_of_letters(slice_str(rows[i].letters), &flags), rows[i].rc);
		assert_int_equal(flags, rows[i].rc < 0 ? 999 : rows[i].flags);
	}
	assert_int_equal(flags_of_letters(slice_of("S\0", 2), &(uint32_t){ 0 }), -1);
}

static void every_set_comes_back(void **state)
{
	(void)state;
	for (uint32_t flags = 0; flags < 64; flags++) {
		char letters[8];
		uint32_t again;

		memset(letters, 'x', sizeof(letters));
		flags_to_letters(flags, letters);
		for (size_t i = 1; i < strlen(letters); i++)
			assert_true(letters[i - 1] < letters[i]);
		assert_int_equal(flags_of_letters(slice_str(letters), &again), 0);
		assert_int_equal(again, flags);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(letters_to_bits),
		cmocka_unit_test(every_set_comes_back),
	};

	return cmocka_run_group_tests_name("mail/flags", tests, NULL, NULL);
}
