/* Secrets in what a server says. */
#include "../../lib/unit.h"

#include "auth/b64.h"
#include "auth/blank.h"

static const struct {
	const char *secret, *says, *shown;
} rows[] = {
	{ "5ecret", "", "" },
	{ "5ecret", "all is well", "all is well" },
	{ "5ecret", "5ecret", "***" },
	{ "5ecret", "user jane password 5ecret is wrong, 5ecret!", "user jane password *** is wrong, ***!" },
	{ "5ecret", "5e5ecretcret", "5e***cret" },
	{ "5ecret", "cut off at 5ecr", "cut off at ***" }, /* as a line that is longer than what is shown of it */
	{ "5ecret", "cut off at 5ec", "cut off at 5ec" },
	{ "say \"\\o/\"", "LOGIN jane \"say \\\"\\\\o/\\\"\": no", "LOGIN jane \"***\": no" },
	{ "say \"\\o/\"", "is it say \"\\o/\"?", "is it ***?" },
	{ "pw", "pw is wrong, not powpw or pwd", "*** is wrong, not powpw or pwd" },
	{ "a", "a man, a plan: 'a'", "*** man, *** plan: '***'" },
	{ "", "nothing", "nothing" },
};

static void test_rows(void **state)
{
	struct strbuf room = STRBUF_INIT(1024);
	struct blank b = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct slice got;

		assert_int_equal(blank_set(&b, slice_str(rows[i].secret)), 0);
		got = blank_text(&b, slice_str(rows[i].says), &room);
		if (!slice_eqs(got, rows[i].shown))
			fail_msg("row %zu: %.*s", i, (int)got.n, got.p);
	}
	assert_true(slice_eqs(blank_text(NULL, slice_str("5ecret"), &room), "5ecret"));
	strbuf_release(&room);
	blank_release(&b);
	assert_null(b.form[0].s);
}

/* In base64, behind and before anything. */
static void test_base64(void **state)
{
	struct strbuf plain = STRBUF_INIT(256), says = STRBUF_INIT(512), room = STRBUF_INIT(512);
	struct blank b = { 0 };

	(void)state;
	for (size_t len = 4; len < 10; len++) {
		struct slice secret = slice_of("5ecret\xc3\xa9~?", len);

		assert_int_equal(blank_set(&b, secret), 0);
		for (size_t before = 0; before < 7; before++)
			for (size_t behind = 0; behind < 4; behind++) {
				struct slice got;

				strbuf_clear(&plain);
				strbuf_clear(&says);
				strbuf_put(&plain, "\0jane\0x", before);
				strbuf_putsl(&plain, secret);
				strbuf_put(&plain, "\1\1zz", behind);
				strbuf_puts(&says, "bad response ");
				assert_int_equal(b64_encode(strbuf_slice(&plain), &says), 0);
				strbuf_puts(&says, " of jane");
				got = blank_text(&b, strbuf_slice(&says), &room);
				if (!slice_eqs(got, "bad response *** of jane"))
					fail_msg("%zu, %zu, %zu: %.*s", len, before, behind, (int)got.n, got.p);
			}
	}
	strbuf_release(&plain);
	strbuf_release(&says);
	strbuf_release(&room);
	blank_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows), cmocka_unit_test(test_base64) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
