/* The table of a folder's keywords: names in any case, bits, what is no keyword, what is too much. */
#include "../../lib/unit.h"

#include "mail/keywords.h"

static uint64_t intern(struct keywords *k, const char *name)
{
	uint64_t flag = 1;
	struct err e = ERR_INIT;

	assert_int_equal(keywords_intern(k, slice_str(name), &flag, &e), 0);
	return flag;
}

static void one_for_each_name(void **state)
{
	struct keywords k = { 0 };
	uint64_t junk = intern(&k, "NonJunk"), label = intern(&k, "$Label1");

	(void)state;
	assert_int_equal(junk, keyword_flag(0));
	assert_int_equal(label, keyword_flag(1));
	assert_int_equal(junk & FLAGS_ALL, 0);
	assert_int_equal(intern(&k, "nonjunk"), junk);
	assert_int_equal(intern(&k, "NONJUNK"), junk);
	assert_int_equal(keywords_find(&k, SLICE_LIT("$lAbEl1")), label);
	assert_int_equal(keywords_find(&k, SLICE_LIT("$Label2")), 0);
	assert_int_equal(k.n, 2);
	assert_string_equal(k.name[0], "NonJunk"); /* as seen first */
	keywords_release(&k);
	assert_int_equal(k.n, 0);
}

static void what_is_none(void **state)
{
	static const char *const none[] = { "", "\\Seen", "\\Foo", "$Forwarded", "$forwarded", "\\*", "two words", "a(b", "a)b", "a{b", "a%b", "a*b", "a\"b", "a]b", "a\nb", "a\177b",
					    "caf\xc3\xa9" };
	char big[KEYWORD_NAME_MAX + 2];
	struct keywords k = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT(none); i++)
		assert_int_equal(intern(&k, none[i]), 0);
	memset(big, 'x', sizeof(big));
	big[KEYWORD_NAME_MAX + 1] = '\0';
	assert_int_equal(intern(&k, big), 0);
	assert_int_equal(k.n, 0);
	assert_null(k.spilled);
	big[KEYWORD_NAME_MAX] = '\0';
	assert_int_not_equal(intern(&k, big), 0);
	assert_int_not_equal(intern(&k, "Forwarded"), 0); /* is not $Forwarded */
	assert_int_not_equal(intern(&k, "[a}'&;"), 0);
	keywords_release(&k);
}

/* Each has a bit of its own, none of a flag, and none is the sign of a number; what comes after them has none. */
static void full(void **state)
{
	struct keywords k = { 0 };
	uint64_t all = 0;
	char name[16];

	(void)state;
	for (unsigned i = 0; i < KEYWORDS_MAX; i++) {
		uint64_t flag;

		snprintf(name, sizeof(name), "k%u", i);
		flag = intern(&k, name);
		assert_true(flag != 0 && !(all & flag));
		all |= flag;
	}
	assert_true(all == FLAGS_KEYWORDS);
	assert_true((int64_t)(FLAGS_EVERY) > 0 && !(FLAGS_KEYWORDS & FLAGS_ALL));
	assert_null(k.spilled);
	assert_int_equal(intern(&k, "beyond"), 0);
	assert_int_equal(intern(&k, "more"), 0);
	assert_string_equal(k.spilled, "beyond");
	assert_int_equal(intern(&k, "K7"), keyword_flag(7));
	keywords_release(&k);
}

static void imap_lists(void **state)
{
	struct strbuf out = STRBUF_INIT(100);
	struct keywords k = { 0 };
	uint64_t a = intern(&k, "Aa"), b = intern(&k, "$b");

	(void)state;
	assert_int_equal(keywords_to_imap(&k, 0, &out), 0);
	assert_string_equal(out.s, "()");
	strbuf_clear(&out);
	assert_int_equal(keywords_to_imap(&k, FLAG_SEEN | b | keyword_flag(9), &out), 0);
	assert_string_equal(out.s, "(\\Seen $b)");
	assert_int_equal(keywords_to_imap(&k, a | b, &out), 0);
	assert_string_equal(out.s, "(\\Seen $b)(Aa $b)");
	strbuf_clear(&out);
	assert_int_equal(keywords_to_imap(NULL, FLAG_DRAFT | a, &out), 0);
	assert_string_equal(out.s, "(\\Draft)");
	strbuf_release(&out);
	for (size_t max = 0; max < 9; max++) {
		out = (struct strbuf)STRBUF_INIT(max);
		assert_int_equal(keywords_to_imap(&k, a | b, &out), max < 7 ? -1 : 0);
		assert_string_equal(strbuf_str(&out), max < 7 ? "" : "(Aa $b)");
		strbuf_release(&out);
	}
	keywords_release(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_for_each_name),
		cmocka_unit_test(what_is_none),
		cmocka_unit_test(full),
		cmocka_unit_test(imap_lists),
	};

	return cmocka_run_group_tests_name("mail/keywords", tests, NULL, NULL);
}
