/* The netrc file. */
#include "../../lib/unit.h"

#include "auth/netrc.h"

/* Asked for jane at mail.example.org, port 995; want NULL: no entry. */
static const struct {
	const char *text, *want;
} found[] = {
	{ "", NULL },
	{ "\n\n  \t\n", NULL },
	{ "# only a comment", NULL },
	{ "machine mail.example.org login jane password secret", "secret" },
	{ "machine\nmail.example.org\nlogin\njane\npassword\nsecret\n", "secret" },
	{ "machine mail.example.org\r\n\tlogin jane\r\n\tpassword secret\r\n", "secret" },
	{ "machine MAIL.Example.ORG login jane password secret", "secret" },
	{ "machine mail.example.org login Jane password secret", NULL },
	{ "machine mail.example.org password secret", "secret" },
	{ "machine mail.example.org login joe password a machine mail.example.org login jane password b", "b" },
	{ "machine mail.example.org password a machine mail.example.org login jane password b", "a" },
	{ "machine other login jane password a", NULL },
	{ "machine mail.example.orgx login jane password a", NULL },
	{ "machine mail.example login jane password a", NULL },
	{ "default login jane password d", "d" },
	{ "default login joe password d", NULL },
	{ "default password d machine mail.example.org login jane password m", "m" },
	{ "machine mail.example.org login joe password a default password d", "d" },
	{ "default password d1 default password d2", "d1" },
	{ "machine mail.example.org login jane", NULL },
	{ "machine mail.example.org login jane machine mail.example.org login jane password late", "late" },
	{ "machine mail.example.org login jane account \"my bank\" password p", "p" },
	{ "machine mail.example.org user jane passwd p", "p" },
	{ "machine mail.example.org port 995 login jane password p", "p" },
	{ "machine mail.example.org port pop3s login jane password p", "p" },
	{ "machine mail.example.org port 993 login jane password p", NULL },
	{ "machine mail.example.org port imaps login jane password p", NULL },
	{ "machine mail.example.org port 993 password a machine mail.example.org port 995 password b", "b" },
	/* comments: where a keyword may stand, and only there */
	{ "# c machine x\nmachine mail.example.org # c login joe\n login jane password p#p\n", "p#p" },
	{ "machine mail.example.org login jane password #p", "#p" },
	{ "machine mail.example.org login jane password p # password q", "p" },
	{ "#machine mail.example.org password p", NULL },
	/* quotes */
	{ "machine mail.example.org login jane password \"two words\"", "two words" },
	{ "machine mail.example.org login jane password \"a\\\"b\\\\c\"", "a\"b\\c" },
	{ "machine mail.example.org login jane password \"a\\tb\\x\"", "a\tbx" },
	{ "machine mail.example.org login jane password a\\b\"c", "a\\b\"c" },
	{ "machine mail.example.org login \"ja\\ne\" password p", NULL },
	{ "machine mail.example.org login \"j\\ane\" password p", "p" },
	{ "machine \"mail.example.org\" login \"jane\" \"password\" p", "!" },
	{ "machine mail.example.org login jane password \"\"", "" },
	{ "machine mail.example.org login jane password password", "password" },
	{ "machine mail.example.org login jane password \"#\"", "#" },
	{ "machine machine password a machine mail.example.org password b", "b" },
	/* macros are no entries */
	{ "macdef init\nmachine mail.example.org password m\n\nmachine mail.example.org password p", "p" },
	{ "machine mail.example.org macdef init\npassword m\nput \"x\n\npassword p", "p" },
	{ "machine mail.example.org password p\nmacdef init\r\nbinary\r\n\r\nmachine other password q", "p" },
	{ "machine mail.example.org password p macdef last\nbinary", "p" },
};

/* want: the line in the error. */
static const struct {
	const char *text, *want;
} broken[] = {
	{ "login jane", "line 1" },
	{ "\n\nnonsense", "line 3" },
	{ "machine", "line 1" },
	{ "machine mail.example.org\nlogin", "line 2" },
	{ "machine mail.example.org\n\nlogin jane\npassword", "line 4" },
	{ "machine mail.example.org login jane\npassword two hunter2", "line 2" },
	{ "machine mail.example.org password \"hunter2", "line 1" },
	{ "machine mail.example.org\npassword \"hunter2\nlogin jane\"", "line 2" },
	{ "machine mail.example.org password \"hunter2\\", "line 1" },
	{ "machine mail.example.org password \"hunter2\\\"", "line 1" },
	{ "machine mail.example.org password \"hunter2\"x", "line 1" },
	{ "machine mail.example.org password hunter2 macdef", "line 1" },
	{ "macdef", "line 1" },
	{ "macdef x\na\nb\n\nhunter2", "line 5" },
	/* errors don't depend on who asks: this one stands behind the fit */
	{ "machine mail.example.org login jane password hunter2\nmachine x\nhunter2", "line 3" },
};

static void test_found(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(found); i++) {
		struct strbuf b = STRBUF_SECRET(64);
		struct err e = ERR_INIT;
		/* a copy without NUL, so that reading past the end is seen */
		size_t n = strlen(found[i].text);
		char *text = malloc(n + 1);
		int rc;

		assert_non_null(text);
		memcpy(text, found[i].text, n);
		text = realloc(text, n ? n : 1);
		assert_non_null(text);
		rc = netrc_find(slice_of(text, n), "mail.example.org", "995", "jane", &b, &e);
		free(text);
		if (!found[i].want) {
			if (rc != 0)
				fail_msg("row %zu: %d %s", i, rc, e.text);
		} else if (strcmp(found[i].want, "!") == 0) {
			assert_int_equal(rc, -1); /* a quoted word is no keyword */
		} else {
			if (rc != 1)
				fail_msg("row %zu: %d %s", i, rc, e.text);
			assert_string_equal(strbuf_str(&b), found[i].want);
		}
		strbuf_release(&b);
	}
}

static void test_broken(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(broken); i++) {
		struct strbuf b = STRBUF_SECRET(64);
		struct err e = ERR_INIT;

		assert_int_equal(netrc_find(slice_str(broken[i].text), "mail.example.org", NULL, "jane", &b, &e), -1);
		assert_int_equal(e.kind, ERR_CONF);
		if (!strstr(e.text, broken[i].want))
			fail_msg("row %zu: %s", i, e.text);
		assert_null(strstr(e.text, "hunter2"));
		assert_int_equal(b.len, 0);
		strbuf_release(&b);
	}
}

static void test_no_port(void **state)
{
	struct strbuf b = STRBUF_SECRET(64);
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(netrc_find(SLICE_LIT("machine h port 995 password p"), "h", NULL, "u", &b, &e), 0);
	assert_int_equal(netrc_find(SLICE_LIT("machine h password p"), "h", NULL, "u", &b, &e), 1);
	assert_string_equal(strbuf_str(&b), "p");
	strbuf_release(&b);
}

static void test_too_long(void **state)
{
	struct strbuf b = STRBUF_SECRET(4);
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(netrc_find(SLICE_LIT("machine h password hunter2"), "h", NULL, "u", &b, &e), -1);
	assert_null(strstr(e.text, "hunter"));
	strbuf_release(&b);
}

/* Any cut of a good file is read without a crash, and never gives more than the password. */
static void test_cuts(void **state)
{
	static const char text[] = "# c\nmacdef m\nx\n\nmachine h login \"u\\\"\" account a port 110 "
				   "password \"p\\\\q\"\ndefault login u password z\n";

	(void)state;
	for (size_t n = 0; n < sizeof(text); n++) {
		struct strbuf b = STRBUF_SECRET(64);
		struct err e = ERR_INIT;
		char *cut = malloc(n ? n : 1);
		int rc;

		assert_non_null(cut);
		memcpy(cut, text, n);
		rc = netrc_find(slice_of(cut, n), "h", "110", "u\"", &b, &e);
		free(cut);
		if (rc == 1)
			assert_string_equal(strbuf_str(&b), "p\\q");
		else
			assert_int_equal(b.len, 0);
		strbuf_release(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_broken),
		cmocka_unit_test(test_no_port),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_cuts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
