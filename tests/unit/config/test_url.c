#include "../../lib/unit.h"

#include "config/url.h"

static void good_urls(void **state)
{
	static const struct {
		const char *text, *scheme, *user, *auth, *host, *port, *put;
	} rows[] = {
		{ "pop3s://jane@pop.example.org", "pop3s", "jane", NULL, "pop.example.org", NULL, "pop3s://jane@pop.example.org" },
		{ "POP3S://jane@Pop.Example.ORG:0995/", "pop3s", "jane", NULL, "pop.example.org", "995", "pop3s://jane@pop.example.org:995" },
		{ "pop3://pop.example.org", "pop3", NULL, NULL, "pop.example.org", NULL, "pop3://pop.example.org" },
		{ "pop3://jane%40example.org@pop.example.org:110", "pop3", "jane@example.org", NULL, "pop.example.org", "110",
		  "pop3://jane@example.org@pop.example.org:110" },
		{ "pop3://jane@example.org@pop.example.org", "pop3", "jane@example.org", NULL, "pop.example.org", NULL,
		  "pop3://jane@example.org@pop.example.org" },
		{ "pop3s://jane;AUTH=SCRAM-SHA-256@h", "pop3s", "jane", "SCRAM-SHA-256", "h", NULL, "pop3s://jane@h" },
		{ "pop3s://jane;auth=*@h", "pop3s", "jane", NULL, "h", NULL, "pop3s://jane@h" },
		{ "pop3s://jane;auth=+APOP@h", "pop3s", "jane", "APOP", "h", NULL, "pop3s://jane@h" },
		{ "pop3s://a%3Ab%25%2f@[::1]:1", "pop3s", "a:b%/", NULL, "::1", "1", "pop3s://a%3Ab%25%2F@[::1]:1" },
		{ "pop3s://[2001:DB8::1]", "pop3s", NULL, NULL, "2001:db8::1", NULL, "pop3s://[2001:db8::1]" },
		{ "imaps://jane@192.0.2.1:993", "imaps", "jane", NULL, "192.0.2.1", "993", "imaps://jane@192.0.2.1:993" },
		{ "pop3s://gr\xc3\xbc\xc3\x9f@h", "pop3s", "gr\xc3\xbc\xc3\x9f", NULL, "h", NULL, "pop3s://gr%C3%BC%C3%9F@h" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct arena a = { 0 };
		struct err e = ERR_INIT;
		struct strbuf b = STRBUF_INIT(1000);
		struct url u, again;

		if (url_parse(rows[i].text, &a, &u, &e) < 0)
			fail_msg("%s: %s", rows[i].text, e.text);
		assert_string_equal(u.scheme, rows[i].scheme);
		assert_string_equal(u.user ? u.user : "-", rows[i].user ? rows[i].user : "-");
		assert_string_equal(u.auth ? u.auth : "-", rows[i].auth ? rows[i].auth : "-");
		assert_string_equal(u.host, rows[i].host);
		assert_string_equal(u.port ? u.port : "-", rows[i].port ? rows[i].port : "-");
		assert_null(u.password);
		assert_int_equal(url_put(&b, u.scheme, u.user, u.host, u.port), 0);
		assert_string_equal(strbuf_str(&b), rows[i].put);
		/* what we write reads as the same */
		assert_int_equal(url_parse(strbuf_str(&b), &a, &again, &e), 0);
		assert_string_equal(again.host, u.host);
		assert_string_equal(again.user ? again.user : "-", u.user ? u.user : "-");
		strbuf_release(&b);
		arena_release(&a);
	}
}

static void bad_urls(void **state)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{ "", "this is no URL" },
		{ "pop.example.org", "this is no URL" },
		{ "http://h", "'http:' is not known" },
		{ "pop3s:h", "'//' must follow 'pop3s:'" },
		{ "pop3s://", "the host is missing" },
		{ "pop3s://jane@", "the host is missing" },
		{ "pop3s://jane@h:0", "no number from 1 to 65535" },
		{ "pop3s://jane@h:65536", "no number from 1 to 65535" },
		{ "pop3s://jane@h:", "no number from 1 to 65535" },
		{ "pop3s://jane@h:1x", "no number from 1 to 65535" },
		{ "pop3s://jane@h/INBOX", "nothing may follow" },
		{ "pop3s://jane@h?x=y", "nothing may follow" },
		{ "pop3s://jane@::1", "stands in brackets" },
		{ "pop3s://jane@[::1", "'[' without ']'" },
		{ "pop3s://jane@[::g]", "is no IPv6 address" },
		{ "pop3s://jane@h$(id)", "is no host name" },
		{ "pop3s://jane@-oProxyCommand", "is no host name" },
		{ "pop3s://jane@a..b", "is no host name" },
		{ "pop3s://jane@m\xc3\xbcller.example", "xn--" },
		{ "pop3s://ja%0ane@h", "a bad %XX or a control character" },
		{ "pop3s://ja%zz@h", "a bad %XX or a control character" },
		{ "pop3s://ja%4@h", "a bad %XX or a control character" },
		{ "pop3s://jane;foo=bar@h", "only ;auth=MECHANISM may follow" },
		{ "pop3s://jane;auth=@h", "only ;auth=MECHANISM may follow" },
		{ "pop3s://jane;auth=+@h", "mechanism in the URL" },
		{ "maildir:", "'maildir:' needs a path" },
		{ "mbox:", "'mbox:' needs a path" },
		{ "socks5://:pw@h", "a password without a user" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct arena a = { 0 };
		struct err e = ERR_INIT;
		struct url u;

		assert_int_equal(url_parse(rows[i].text, &a, &u, &e), -1);
		assert_int_equal(e.kind, ERR_CONF);
		if (!strstr(e.text, rows[i].says))
			fail_msg("%s: '%s' does not say '%s'", rows[i].text, e.text, rows[i].says);
		arena_release(&a);
	}
}

static void password_is_refused_and_not_shown(void **state)
{
	static const char *const rows[] = { "pop3s://jane:s3cret@h", "pop3s://jane:s3cret@h:99999", "pop3s://:s3cret@h", "pop3s://jane:s3cret;auth=PLAIN@h$" };
	struct arena a = { 0 };
	struct url u;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct err e = ERR_INIT;

		assert_int_equal(url_parse(rows[i], &a, &u, &e), -1);
		assert_non_null(strstr(e.text, "password can't stand in a URL"));
		assert_null(strstr(e.text, "s3cret"));
	}
	arena_release(&a);
}

static void proxies_and_specs(void **state)
{
	struct arena a = { 0 };
	struct err e = ERR_INIT;
	struct url u;

	(void)state;
	assert_int_equal(url_parse("socks5://me:p%3Aw@proxy:1081", &a, &u, &e), 0);
	assert_string_equal(u.user, "me");
	assert_string_equal(u.password, "p:w");
	assert_string_equal(u.port, "1081");
	assert_int_equal(url_parse("maildir:~/Mail/in: out", &a, &u, &e), 0);
	assert_string_equal(u.scheme, "maildir");
	assert_string_equal(u.path, "~/Mail/in: out");
	assert_null(u.host);
	assert_true(url_like("mbox:x"));
	assert_true(url_like("./x"));
	assert_false(url_like("isp"));
	arena_release(&a);
}

static void loopback(void **state)
{
	static const struct {
		const char *host;
		bool is;
	} rows[] = {
		{ "localhost", true }, { "127.0.0.1", true }, { "127.9.9.9", true }, { "::1", true },
		{ "128.0.0.1", false }, { "localhost.example.org", false }, { "::2", false }, { "127.0.0.1.example.org", false }, { "", false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_int_equal(url_loopback(rows[i].host), rows[i].is);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_urls), cmocka_unit_test(bad_urls), cmocka_unit_test(password_is_refused_and_not_shown),
		cmocka_unit_test(proxies_and_specs), cmocka_unit_test(loopback),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
