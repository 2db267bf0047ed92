/* Flags and Maildir letters. */
#include "../../lib/unit.h"

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
	for (size_t i = 0; i < COUNT(rows); i++) {
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

static void imap_names(void **state)
{
	static const struct {
		const char *name;
		uint32_t flag;
	} rows[] = {
		{ "\\Seen", FLAG_SEEN },
		{ "\\Answered", FLAG_ANSWERED },
		{ "\\Flagged", FLAG_FLAGGED },
		{ "\\Deleted", FLAG_DELETED },
		{ "\\Draft", FLAG_DRAFT },
		{ "$Forwarded", FLAG_FORWARDED },
		{ "\\SEEN", FLAG_SEEN },
		{ "\\seen", FLAG_SEEN },
		{ "$FORWARDED", FLAG_FORWARDED },
		{ "$forwarded", FLAG_FORWARDED },
		{ "\\Recent", 0 },
		{ "\\*", 0 },
		{ "\\", 0 },
		{ "", 0 },
		{ "Seen", 0 },
		{ "\\Seen ", 0 },
		{ "\\See", 0 },
		{ "Forwarded", 0 },
		{ "$Junk", 0 },
		{ "$MDNSent", 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_int_equal(flag_of_imap(slice_str(rows[i].name)), rows[i].flag);
	assert_int_equal(flag_of_imap(slice_of("\\Seen", 6)), 0); /* the NUL byte counts */
}

static void imap_lists(void **state)
{
	struct strbuf out = STRBUF_INIT(200);

	(void)state;
	for (uint32_t flags = 0; flags <= FLAGS_ALL; flags++) {
		struct slice rest;
		uint32_t again = 0;

		strbuf_clear(&out);
		strbuf_puts(&out, "STORE ");
		assert_int_equal(flags_to_imap(flags | 64 | 0x80000000, &out), 0);
		rest = slice_of(out.s + 6, out.len - 6);
		assert_true(rest.n >= 2 && rest.p[0] == '(' && rest.p[rest.n - 1] == ')');
		rest = slice_of(rest.p + 1, rest.n - 2);
		while (rest.n > 0) {
			uint32_t flag = flag_of_imap(slice_word(&rest));

			assert_true(flag != 0 && !(again & flag));
			again |= flag;
		}
		assert_int_equal(again, flags);
	}
	assert_string_equal(out.s, "STORE (\\Seen \\Answered \\Flagged \\Deleted \\Draft $Forwarded)");
	strbuf_release(&out);
	for (size_t max = 0; max < 8; max++) {
		out = (struct strbuf)STRBUF_INIT(max);
		assert_int_equal(flags_to_imap(FLAG_SEEN, &out), max < 7 ? -1 : 0);
		assert_string_equal(strbuf_str(&out), max < 7 ? "" : "(\\Seen)");
		strbuf_release(&out);
	}
	assert_int_equal(flags_to_imap(0, &out), 0);
	assert_string_equal(out.s, "()");
	strbuf_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(letters_to_bits),
		cmocka_unit_test(every_set_comes_back),
		cmocka_unit_test(imap_names),
		cmocka_unit_test(imap_lists),
	};

	return cmocka_run_group_tests_name("mail/flags", tests, NULL, NULL);
}
