/* Logging in, against a scripted server: what is said, in what order, and above all what is never said. */
#include "../../lib/unit.h"

#include "script.h"

#define GREET { NULL, "+OK ready <1896.697170952@dbc.mtview.ca.us>\r\n" }
#define NO_CAPA { "CAPA", "-ERR what?\r\n" }
#define CAPA(list) { "CAPA", "+OK\r\n" list ".\r\n" }
#define QUIT { "QUIT", "+OK bye\r\n" }

#define SECRET "AGphbmUANWVjcmV0" /* \0jane\0005ecret */
#define LONG "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" \
	"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define LONG_SECRET \
	"AGphbmUAeHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4" \
	"eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4" \
	"eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eA=="

/* One way in (or not): a script, the parameters that differ, and what must come of it. */
struct row {
	const char *name;
	struct turn turns[12];
	const char *user, *password, *auth[4];
	enum dial_tls security;
	bool insecure;
	int rc;
	enum err_kind kind;
	const char *text;  /* a part of the error */
	const char *heard;
	unsigned disabled;
	uint64_t turns_max; /* stand-stills, 0: any */
	int retry_after;
};

static const struct row rows[] = {
	{ "no CAPA", { GREET, NO_CAPA, { "USER jane", "+OK\r\n" }, { "PASS 5ecret", "+OK in\r\n" }, QUIT },
	  .security = DIAL_PLAIN, .heard = "CAPA|USER jane|PASS 5ecret|QUIT|#", .turns_max = 5 },
	{ "no SASL", { GREET, CAPA("TOP\r\nUSER\r\n"), { "USER jane", "+OK\r\n" }, { "PASS 5ecret", "+OK in\r\n" }, QUIT },
	  .security = DIAL_PLAIN, .heard = "CAPA|USER jane|PASS 5ecret|QUIT|#" },
	{ "pipelined", { GREET, CAPA("PIPELINING\r\n"), { "USER jane", "" }, { "PASS 5ecret", NULL } }, .security = DIAL_PLAIN, .rc = -1, .kind = ERR_TEMP,
	  .text = "closed", .heard = "CAPA|USER jane|PASS 5ecret|#" },
	{ "a blank and UTF-8 in the password", { GREET, NO_CAPA, { "USER jane", "+OK\r\n" }, { "PASS s\xc3\xa9 cret", "+OK\r\n" }, QUIT },
	  .password = "s\xc3\xa9 cret", .security = DIAL_PLAIN, .heard = "CAPA|USER jane|PASS s\xc3\xa9 cret|QUIT|#" },
	{ "SASL PLAIN", { GREET, CAPA("SASL PLAIN\r\n"), { "AUTH PLAIN " SECRET, "+OK\r\n" }, QUIT },
	  .security = DIAL_PLAIN, .heard = "CAPA|AUTH PLAIN " SECRET "|QUIT|#", .turns_max = 4 },
	{ "SASL PLAIN with UTF8", { GREET, CAPA("SASL PLAIN\r\nPIPELINING\r\nUTF8\r\n"), { "UTF8", "+OK\r\n" }, { "AUTH PLAIN " SECRET, "+OK\r\n" }, QUIT },
	  .security = DIAL_PLAIN, .heard = "CAPA|UTF8|AUTH PLAIN " SECRET "|QUIT|#", .turns_max = 4 },
	{ "UTF8 refused", { GREET, CAPA("UTF8\r\nPIPELINING\r\n"), { "UTF8", "-ERR no\r\n" }, { "USER jane", "+OK\r\n" }, { "PASS 5ecret", "+OK\r\n" }, QUIT },
	  .security = DIAL_PLAIN, .heard = "CAPA|UTF8|USER jane|PASS 5ecret|QUIT|#", .turns_max = 4 },
	{ "UTF8 without pipelining", { GREET, CAPA("UTF8\r\n"), { "UTF8", "+OK\r\n" }, { "USER jane", "+OK\r\n" }, { "PASS 5ecret", "+OK\r\n" }, QUIT },
	  .security = DIAL_PLAIN, .heard = "CAPA|UTF8|USER jane|PASS 5ecret|QUIT|#" },
	{ "UTF8 not wanted", { GREET, CAPA("UTF8\r\nSASL PLAIN\r\n"), { "USER jane", "+OK\r\n" }, { "PASS 5ecret", "+OK\r\n" }, QUIT },
	  .security = DIAL_PLAIN, .disabled = POP3_CAP_UTF8 | POP3_CAP_SASL, .heard = "CAPA|USER jane|PASS 5ecret|QUIT|#" },
	{ "response too long to go along", { GREET, CAPA("SASL PLAIN\r\n"), { "AUTH PLAIN", "+ \r\n" }, { LONG_SECRET, "+OK\r\n" }, QUIT },
	  .password = LONG, .security = DIAL_PLAIN, .heard = "CAPA|AUTH PLAIN|" LONG_SECRET "|QUIT|#" },
	{ "OK before the response", { GREET, CAPA("SASL PLAIN\r\n"), { "AUTH PLAIN", "+OK in\r\n" }, { 0 } },
	  .password = LONG, .security = DIAL_PLAIN, .rc = -1, .kind = ERR_AUTH, .text = "before it has seen", .heard = "CAPA|AUTH PLAIN|#" },
	{ "CRAM-MD5", { GREET, CAPA("SASL CRAM-MD5\r\n"), { "AUTH CRAM-MD5", "+ PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+\r\n" },
	  { "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw", "+OK\r\n" }, QUIT }, .user = "tim", .password = "tanstaaftanstaaf",
	  .security = DIAL_PLAIN, .insecure = true, .heard = "CAPA|AUTH CRAM-MD5|dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw|QUIT|#" },
	{ "challenge that is none", { GREET, CAPA("SASL CRAM-MD5\r\n"), { "AUTH CRAM-MD5", "+ %%%\r\n" }, { "*", "-ERR cancelled\r\n" }, { 0 } },
	  .security = DIAL_PLAIN, .rc = -1, .kind = ERR_PROTO, .text = "CRAM-MD5", .heard = "CAPA|AUTH CRAM-MD5|*|#" },
	{ "SASL refused", { GREET, CAPA("SASL PLAIN\r\nUSER\r\n"), { "AUTH PLAIN " SECRET, "-ERR no \x1b[2J way\r\n" }, { 0 } }, .security = DIAL_PLAIN,
	  .rc = -1, .kind = ERR_AUTH, .text = "isp: login of jane by PLAIN: the server says \"no \\x1b[2J way\"", .heard = "CAPA|AUTH PLAIN " SECRET "|#" },
	{ "nothing fits but USER", { GREET, CAPA("SASL GSSAPI\r\nUSER\r\n"), { "USER jane", "+OK\r\n" }, { "PASS 5ecret", "+OK\r\n" }, QUIT },
	  .security = DIAL_PLAIN, .heard = "CAPA|USER jane|PASS 5ecret|QUIT|#" },
	{ "nothing fits", { GREET, CAPA("SASL GSSAPI\r\n"), { 0 } }, .security = DIAL_PLAIN, .rc = -1, .kind = ERR_AUTH, .text = "GSSAPI", .heard = "CAPA|#" },
	{ "named USER", { GREET, CAPA("SASL PLAIN\r\n"), { "USER jane", "+OK\r\n" }, { "PASS 5ecret", "+OK\r\n" }, QUIT },
	  .auth = { "user" }, .security = DIAL_PLAIN, .heard = "CAPA|USER jane|PASS 5ecret|QUIT|#" },
	{ "named PLAIN, no CAPA", { GREET, NO_CAPA, { "AUTH PLAIN " SECRET, "+OK\r\n" }, QUIT },
	  .auth = { "PLAIN" }, .security = DIAL_PLAIN, .heard = "CAPA|AUTH PLAIN " SECRET "|QUIT|#" },
	{ "named CRAM-MD5, not offered", { GREET, CAPA("USER\r\n"), { 0 } },
	  .auth = { "CRAM-MD5" }, .security = DIAL_PLAIN, .rc = -1, .kind = ERR_AUTH, .text = "not in the auth list", .heard = "CAPA|#" },
	{ "APOP", { GREET, CAPA("SASL PLAIN\r\n"), { "APOP mrose c4c9334bac560ecc979e58001b3e22fb", "+OK\r\n" }, QUIT }, .user = "mrose", .password = "tanstaaf",
	  .auth = { "APOP" }, .security = DIAL_PLAIN, .insecure = true, .heard = "CAPA|APOP mrose c4c9334bac560ecc979e58001b3e22fb|QUIT|#" },
	{ "APOP refused", { GREET, NO_CAPA, { "APOP mrose c4c9334bac560ecc979e58001b3e22fb", "-ERR no\r\n" }, { 0 } }, .user = "mrose", .password = "tanstaaf",
	  .auth = { "apop" }, .security = DIAL_PLAIN, .rc = -1, .kind = ERR_AUTH, .text = "APOP", .heard = "CAPA|APOP mrose c4c9334bac560ecc979e58001b3e22fb|#" },
	{ "APOP without timestamp", { { NULL, "+OK <a\xff@b>\r\n" }, NO_CAPA, { 0 } },
	  .auth = { "APOP" }, .security = DIAL_PLAIN, .rc = -1, .kind = ERR_AUTH, .text = "timestamp", .heard = "CAPA|#" },
	{ "APOP or USER", { { NULL, "+OK\r\n" }, NO_CAPA, { "USER jane", "+OK\r\n" }, { "PASS 5ecret", "+OK\r\n" }, QUIT },
	  .auth = { "APOP", "USER" }, .security = DIAL_PLAIN, .heard = "CAPA|USER jane|PASS 5ecret|QUIT|#" },
	/* no password on a link that isn't secure */
	{ "insecure, no CAPA", { GREET, NO_CAPA, { 0 } }, .insecure = true, .security = DIAL_PLAIN, .rc = -1, .kind = ERR_AUTH,
	  .text = "not encrypted", .heard = "CAPA|#" },
	{ "insecure, USER", { GREET, CAPA("USER\r\nPIPELINING\r\n"), { 0 } }, .insecure = true, .security = DIAL_PLAIN, .rc = -1, .kind = ERR_AUTH,
	  .text = "pop3s://", .heard = "CAPA|#" },
	{ "insecure, PLAIN", { GREET, CAPA("SASL PLAIN LOGIN\r\n"), { 0 } }, .insecure = true, .security = DIAL_PLAIN, .rc = -1, .kind = ERR_AUTH,
	  .text = "", .heard = "CAPA|#" },
	{ "insecure, PLAIN and USER", { GREET, CAPA("SASL PLAIN LOGIN\r\nUSER\r\n"), { 0 } }, .insecure = true, .security = DIAL_PLAIN, .rc = -1,
	  .kind = ERR_AUTH, .text = "not encrypted", .heard = "CAPA|#" },
	/* STLS or nothing */
	{ "STLS stripped", { GREET, CAPA("USER\r\nSASL PLAIN\r\n"), { 0 } }, .security = DIAL_STARTTLS, .rc = -1, .kind = ERR_CERT,
	  .text = "does not offer STLS", .heard = "CAPA|#" },
	{ "STLS in an empty list", { GREET, CAPA(""), { 0 } }, .security = DIAL_STARTTLS, .rc = -1, .kind = ERR_CERT, .text = "STLS", .heard = "CAPA|#" },
	{ "STLS refused", { GREET, CAPA("STLS\r\n"), { "STLS", "-ERR \x1b no\r\n" }, { 0 } }, .security = DIAL_STARTTLS, .rc = -1, .kind = ERR_CERT,
	  .text = "refuses STLS (\"\\x1b no\")", .heard = "CAPA|STLS|#" },
	{ "STLS tried without CAPA", { GREET, NO_CAPA, { "STLS", "-ERR no\r\n" }, { 0 } }, .security = DIAL_STARTTLS, .rc = -1, .kind = ERR_CERT,
	  .text = "refuses STLS", .heard = "CAPA|STLS|#" },
	{ "bytes behind the OK", { GREET, CAPA("STLS\r\n"), { "STLS", "+OK\r\n+OK in already\r\n" }, { 0 } }, .security = DIAL_STARTTLS, .rc = -1,
	  .kind = ERR_CERT, .text = "injected", .heard = "CAPA|STLS|#" },
	{ "STLS garbage", { GREET, CAPA("STLS\r\n"), { "STLS", "+OKAY\r\n" }, { 0 } }, .security = DIAL_STARTTLS, .rc = -1,
	  .kind = ERR_PROTO, .text = "STLS", .heard = "CAPA|STLS|#" },
	{ "two greetings", { { NULL, "+OK one\r\n+OK two\r\n" }, { 0 } }, .security = DIAL_STARTTLS, .rc = -1, .kind = ERR_PROTO,
	  .text = "more than one line", .heard = "#" },
	{ "greeting that refuses", { { NULL, "-ERR [SYS/PERM] go away\r\n" }, { 0 } }, .security = DIAL_PLAIN, .rc = -1, .kind = ERR_UNAVAIL,
	  .text = "isp: greeting: the server says \"[SYS/PERM] go away\"", .heard = "#" },
};

/* Run one row. */
static void run(const struct row *r)
{
	const struct turn *const turns[] = { r->turns, NULL };
	struct script s;
	struct pop3_params p;
	struct pop3_conn c;
	struct err e = ERR_INIT;
	struct net_stats stats = { 0 };
	int rc;

	script_start(&s, turns);
	p = script_params(&s);
	p.dial.security = r->security;
	p.disabled = r->disabled;
	p.secure = !r->insecure;
	if (r->user)
		p.user = r->user;
	if (r->password)
		p.secret.literal = r->password;
	memcpy(p.auth, r->auth, sizeof(r->auth));
	rc = pop3_login(&c, &p, NULL, &stats, &e);
	if (rc != r->rc || e.kind != r->kind || !strstr(e.text, r->text ? r->text : ""))
		fail_msg("%s: %d, %s: %s (heard %s)", r->name, rc, err_kind_name(e.kind), e.text, s.heard);
	if (strstr(e.text, p.secret.literal))
		fail_msg("%s: %s", r->name, e.text);
	if (rc == 0) {
		assert_int_equal(pop3_quit(&c, &e), 0);
		if (r->turns_max > 0 && stats.turns > r->turns_max)
			fail_msg("%s: %d stand-stills", r->name, (int)stats.turns);
	}
	assert_true(c.s == NULL);
	script_expect(&s, 1, r->heard);
	script_stop(&s);
}

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		run(&rows[i]);
}

/* What a refusal's text or code makes of the error. */
static void test_refusals(void **state)
{
	static const struct {
		const char *say;
		enum err_kind kind;
		const char *text;
	} says[] = {
		{ "-ERR Authentication failed.\r\n", ERR_AUTH, "login of jane by USER/PASS" },
		{ "-ERR [AUTH] Authentication failed.\r\n", ERR_AUTH, "[AUTH]" },
		{ "-ERR [IN-USE] Mailbox is in use\r\n", ERR_BUSY, "" },
		{ "-ERR maildrop already locked\r\n", ERR_BUSY, "" },
		{ "-ERR Mailbox in use by another session\r\n", ERR_BUSY, "" },
		{ "-ERR Your account has been locked\r\n", ERR_AUTH, "" },
		{ "-ERR [SYS/TEMP] Internal error\r\n", ERR_TEMP, "" },
		{ "-ERR [SYS/PERM] Mailbox corrupted\r\n", ERR_UNAVAIL, "" },
		{ "-ERR [LOGIN-DELAY] minimum time between mail checks\r\n", ERR_TEMP, "" },
		{ "-ERR temporary failure\r\n", ERR_TEMP, "" },
		{ "-ERR too many connections\r\n", ERR_TEMP, "" },
		{ "-ERR [AUTH] Web login required: https://support.example\r\n", ERR_AUTH, "web browser" },
		{ "-ERR Application-specific password required\r\n", ERR_AUTH, "application password" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(says); i++) {
		struct row r = { says[i].say, { GREET, NO_CAPA, { "USER jane", "+OK\r\n" }, { "PASS 5ecret", says[i].say }, { 0 } },
			.security = DIAL_PLAIN, .rc = -1, .kind = says[i].kind, .text = says[i].text, .heard = "CAPA|USER jane|PASS 5ecret|#" };

		run(&r);
	}
}

/* USER and PASS leave together: the answers may come together too, and count as one stand-still. */
static void test_one_flight(void **state)
{
	static const struct turn good[] = { GREET, CAPA("PIPELINING\r\n"), { "USER jane", "" }, { "PASS 5ecret", "+OK\r\n+OK in\r\n" }, QUIT, { 0 } };
	static const struct turn bad[] = { GREET, CAPA("PIPELINING\r\n"), { "USER jane", "" }, { "PASS 5ecret", "-ERR who?\r\n-ERR what?\r\n" }, { 0 } };
	const struct turn *const turns[] = { good, bad, NULL };
	struct script s;
	struct pop3_params p;
	struct pop3_conn c;
	struct err e = ERR_INIT;
	struct net_stats stats = { 0 };

	(void)state;
	script_start(&s, turns);
	p = script_params(&s);
	assert_int_equal(pop3_login(&c, &p, NULL, &stats, &e), 0);
	assert_int_equal(pop3_quit(&c, &e), 0);
	assert_true(stats.turns <= 4);
	assert_int_equal(pop3_login(&c, &p, "joan", &stats, &e), -1); /* the script wants jane */
	assert_int_equal(e.kind, ERR_TEMP);
	script_stop(&s);

	script_start(&s, turns + 1);
	p = script_params(&s);
	assert_int_equal(pop3_login(&c, &p, NULL, NULL, &e), -1);
	assert_int_equal(e.kind, ERR_AUTH);
	assert_non_null(strstr(e.text, "who?"));
	script_expect(&s, 1, "CAPA|USER jane|PASS 5ecret|#");
	script_stop(&s);
}

/* What was learnt without TLS is neither kept nor used. */
static void test_remembered_plain(void **state)
{
	static const struct turn t[] = { GREET, NO_CAPA, { "USER jane", "+OK\r\n" }, { "PASS 5ecret", "+OK\r\n" }, QUIT, { 0 } };
	const struct turn *const turns[] = { t, NULL };
	struct pop3_caps caps = { .known = true, .have = POP3_CAP_PIPELINING | POP3_CAP_SASL, .sasl = "PLAIN" };
	struct script s;
	struct pop3_params p;
	struct pop3_conn c;
	struct err e = ERR_INIT;

	(void)state;
	script_start(&s, turns);
	p = script_params(&s);
	p.remembered = &caps;
	assert_int_equal(pop3_login(&c, &p, NULL, NULL, &e), 0);
	assert_int_equal(pop3_quit(&c, &e), 0);
	script_expect(&s, 1, "CAPA|USER jane|PASS 5ecret|QUIT|#");
	assert_string_equal(caps.sasl, "PLAIN");
	script_stop(&s);
}

/* A secret that can't be a line is refused before anything of it is sent. */
static void test_bad_secrets(void **state)
{
	static const struct turn t[] = { GREET, NO_CAPA, { "USER jane", "+OK\r\n" }, { 0 } };
	static const struct turn u[] = { GREET, NO_CAPA, { 0 } };
	const struct turn *const turns[] = { t, u, NULL };
	struct script s;
	struct pop3_params p;
	struct pop3_conn c;
	struct err e = ERR_INIT;

	(void)state;
	script_start(&s, turns);
	p = script_params(&s);
	p.secret.literal = "s\rDELE 1";
	assert_int_equal(pop3_login(&c, &p, NULL, NULL, &e), -1);
	assert_int_equal(e.kind, ERR_CONF);
	script_expect(&s, 1, "CAPA|USER jane|#");
	p = script_params(&s);
	p.user = "jane\nDELE 1";
	assert_int_equal(pop3_login(&c, &p, NULL, NULL, &e), -1);
	assert_int_equal(e.kind, ERR_CONF);
	script_expect(&s, 2, "CAPA|USER jane|#CAPA|#");
	script_stop(&s);
}

/* A server that says nothing ends in time. */
static void test_silence(void **state)
{
	static const struct turn mute[] = { { "never", "" }, { 0 } };
	static const struct turn t[] = { GREET, { "CAPA", "+OK\r\nTOP\r\n" }, { "never", "" }, { 0 } };
	const struct turn *const turns[] = { mute, t, NULL };
	struct script s;
	struct pop3_params p;
	struct pop3_conn c;
	struct err e = ERR_INIT;
	msec_t start = clock_now();

	(void)state;
	script_start(&s, turns);
	p = script_params(&s);
	p.dial.timeout = 200;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pop3_login(&c, &p, NULL, NULL, &e), -1);
		assert_int_equal(e.kind, ERR_TIMEOUT);
	}
	assert_true(clock_now() - start < 3000);
	script_stop(&s);
}

/* QUIT must be answered by +OK, or nobody knows. */
static void test_quit(void **state)
{
	static const struct turn no[] = { GREET, NO_CAPA, { "USER jane", "+OK\r\n" }, { "PASS 5ecret", "+OK\r\n" }, { "QUIT", "-ERR some left\r\n" }, { 0 } };
	static const struct turn gone[] = { GREET, NO_CAPA, { "USER jane", "+OK\r\n" }, { "PASS 5ecret", "+OK\r\n" }, { "QUIT", NULL }, { 0 } };
	const struct turn *const turns[] = { no, gone, NULL };
	struct script s;
	struct pop3_params p;
	struct pop3_conn c;
	struct err e = ERR_INIT;

	(void)state;
	script_start(&s, turns);
	p = script_params(&s);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pop3_login(&c, &p, NULL, NULL, &e), 0);
		assert_int_equal(pop3_quit(&c, &e), -1);
		assert_int_equal(e.kind, i == 0 ? ERR_REFUSED : ERR_TEMP);
		assert_non_null(strstr(e.text, "QUIT"));
		assert_null(c.s);
	}
	script_stop(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),        cmocka_unit_test(test_refusals), cmocka_unit_test(test_one_flight),
		cmocka_unit_test(test_remembered_plain), cmocka_unit_test(test_bad_secrets), cmocka_unit_test(test_silence),
		cmocka_unit_test(test_quit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
