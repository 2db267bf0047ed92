/*
 * What POP3 and IMAP share in logging in: the secret's source, the rounds, and the words for a
 * person.
 */
#include "../../lib/unit.h"

#include "auth/login.h"

static const char *const any[SASL_ALLOW_MAX];

/* Parameters of jane with a password. */
static struct login_given given(const struct dial_params *d, const struct secret_params *s)
{
	return (struct login_given){ .service = "imap", .dial = d, .user = "jane", .secret = s,
		.auth = any, .secure = true };
}

static void test_gather(void **state)
{
	struct dial_params d = { .host = "mail.example", .port = "993", .timeout = 1000 };
	struct secret_params s = { .literal = "5ecret" };
	const char *const list[SASL_ALLOW_MAX] = { "plain", "X" };
	struct login_given g = given(&d, &s);
	struct login l = { 0 };
	struct sasl_params sp;
	struct err e = ERR_INIT;

	(void)state;
	g.auth = list;
	assert_int_equal(login_gather(&l, &g, &e), 0);
	login_sasl(&l, NULL, &sp);
	assert_string_equal(strbuf_str(sp.password), "5ecret");
	assert_null(sp.token);
	assert_string_equal(sp.user, "jane");
	assert_string_equal(sp.host, "mail.example");
	assert_string_equal(sp.allow[1], "X");
	assert_true(sp.secure && !sp.certificate);
	assert_true(login_named(&g, "PLAIN") && !login_named(&g, "LOGIN"));
	login_release(&l);
	assert_null(l.password.s);

	l = (struct login){ 0 };
	g.token_command = "echo t0ken";
	g.as = "recent:jane";
	assert_int_equal(login_gather(&l, &g, &e), 0);
	login_sasl(&l, NULL, &sp);
	assert_null(sp.password);
	assert_string_equal(strbuf_str(sp.token), "t0ken");
	assert_string_equal(sp.user, "recent:jane");
	login_release(&l);

	l = (struct login){ 0 };
	g.token_command = "exit 1";
	assert_int_equal(login_gather(&l, &g, &e), -1);
	assert_non_null(strstr(e.text, "token-command"));
	login_release(&l);

	/* the certificate is the credential: nobody is asked, unless a password is named */
	l = (struct login){ 0 };
	g.token_command = NULL;
	s.literal = NULL;
	d.tls.client_cert = "cert.pem";
	assert_int_equal(login_gather(&l, &g, &e), 0);
	assert_false(l.has_password || l.has_token);
	login_sasl(&l, NULL, &sp);
	assert_true(sp.certificate && !sp.password);
	login_release(&l);
}

static const struct {
	const char *service, *host, *says;
	enum err_kind before, kind;
	const char *hint; /* NULL: none */
	bool token;
} refusals[] = {
	{ "imap", "mail.example", "wrong", ERR_REFUSED, ERR_AUTH, NULL, false },
	{ "imap", "mail.example", "wrong", ERR_TEMP, ERR_TEMP, NULL, false },
	{ "imap", "mail.example", "Too many connections", ERR_REFUSED, ERR_TEMP, NULL, false },
	{ "imap", "mail.example", "mailbox locked", ERR_REFUSED, ERR_BUSY, NULL, false },
	{ "imap", "mail.example", "account locked", ERR_REFUSED, ERR_AUTH, NULL, false },
	{ "imap", "imap.gmail.com", "Application-specific password required", ERR_AUTH, ERR_AUTH,
	  "account settings", false },
	{ "imap", "imap.gmail.com", "Please log in via your web browser", ERR_REFUSED, ERR_AUTH,
	  "web browser", false },
	{ "imap", "imap.gmail.com", "Your account is not enabled for IMAP use.", ERR_REFUSED,
	  ERR_AUTH, "switch IMAP on", false },
	{ "pop", "pop.gmail.com", "Your account is not enabled for IMAP use.", ERR_REFUSED,
	  ERR_AUTH, "application password", false },
	{ "pop", "pop.gmail.com", "Your account is not enabled for POP access.", ERR_REFUSED,
	  ERR_AUTH, "switch POP3 on", false },
	{ "imap", "imap.gmail.com", "Invalid credentials (Failure)", ERR_AUTH, ERR_AUTH,
	  "application password", false },
	{ "imap", "imap.gmail.com", "Invalid credentials (Failure)", ERR_AUTH, ERR_AUTH,
	  "token-command", true },
	{ "imap", "IMAP.GMAIL.COM", "Invalid credentials (Failure)", ERR_AUTH, ERR_AUTH,
	  "application password", false },
	{ "imap", "imap.notgmail.com", "Invalid credentials (Failure)", ERR_AUTH, ERR_AUTH, NULL,
	  false },
	{ "imap", "gmail.com.example", "Invalid credentials (Failure)", ERR_AUTH, ERR_AUTH, NULL,
	  false },
	{ "imap", "imap.gmail.com", "temporary failure", ERR_REFUSED, ERR_TEMP, NULL, false },
	{ "imap", "outlook.office365.com", "LOGIN failed.", ERR_REFUSED, ERR_AUTH, "token-command",
	  false },
	{ "imap", "outlook.office365.com", "User is authenticated but not connected.", ERR_REFUSED,
	  ERR_AUTH, "switched off", true },
	{ "imap", "imap.mail.yahoo.com", "[AUTHENTICATIONFAILED] LOGIN Invalid credentials",
	  ERR_AUTH, ERR_AUTH, "application password", false },
	{ "imap", "imap.163.com", "LOGIN Login error", ERR_REFUSED, ERR_AUTH, "authorization code",
	  false },
};

static void test_refusals(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(refusals); i++) {
		struct dial_params d = { .host = refusals[i].host };
		struct secret_params s = { 0 };
		struct login_given g = given(&d, &s);
		struct login l = { .g = &g, .user = "jane", .has_password = !refusals[i].token,
			.has_token = refusals[i].token };
		struct err e = ERR_INIT;
		const char *rest;

		g.service = refusals[i].service;
		err_set_span(&e, refusals[i].before, SPAN_MSG, "the server says \"%s\"",
			refusals[i].says);
		assert_int_equal(login_refused(&l, "PLAIN", "", &e), -1);
		rest = strchr(e.text, '"');
		rest = rest ? strrchr(rest, '"') : NULL;
		assert_non_null(rest);
		if (e.kind != refusals[i].kind || e.span != SPAN_ACCT ||
			strncmp(e.text, "login of jane by PLAIN: ", 24) != 0 ||
		    (refusals[i].hint ? !strstr(rest, refusals[i].hint) : rest[1] != '\0'))
			fail_msg("%zu: %s: %s", i, err_kind_name(e.kind), e.text);
	}
}

/* Where nothing better is known: where what was sent comes from. */
static void test_sources(void **state)
{
	static const struct {
		struct secret_params s;
		const char *hint;
	} rows[] = {
		{ { .command = "pass show x" }, "password-command gives" },
		{ { .file = "/etc/pw" }, "the password in password-file" },
		{ { .literal = "5ecret" }, "user and password of the account" },
		{ { .netrc = true }, "netrc" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct dial_params d = { .host = "mail.example" };
		struct secret_params s = rows[i].s;
		struct login_given g = given(&d, &s);
		struct login l = { .g = &g, .user = "jane", .has_password = true };
		struct err e = ERR_INIT;

		err_set(&e, ERR_REFUSED, "the server says \"wrong\"");
		assert_int_equal(login_refused(&l, "PLAIN", "", &e), -1);
		if (!strstr(e.text, rows[i].hint) || strstr(e.text, "5ecret"))
			fail_msg("%zu: %s", i, e.text);
	}
}

/*
 * A server that says these, one after the other: '+' challenge, 'K' OK, 'N' refused, 'X' the link
 * is lost.
 */
struct fake {
	const char *says[8];
	int n;
	struct strbuf heard;
};

static int fake_say(void *arg, const char *line, bool last, struct err *e)
{
	struct fake *f = arg;

	(void)e;
	strbuf_puts(&f->heard, line);
	strbuf_putc(&f->heard, last ? '.' : '|');
	return 0;
}

static int fake_hear(void *arg, struct slice *text, struct err *e)
{
	struct fake *f = arg;
	const char *says = f->n < 8 && f->says[f->n] ? f->says[f->n] : "X";

	f->n++;
	*text = slice_str(says + 1);
	if (*says == 'N')
		return err_set(e, ERR_REFUSED, "the server says \"%s\"", says + 1), 0;
	if (*says == 'X')
		return err_set(e, ERR_TEMP, "lost");
	return *says == '+' ? 2 : 1;
}

static const struct {
	const char *mech, *says[8];
	bool held;
	int rc;
	enum err_kind kind;
	const char *text, *heard;
} rounds[] = {
	{ "PLAIN", { "K" }, false, 0, ERR_NONE, "", "" },
	{ "PLAIN", { "+", "K" }, true, 0, ERR_NONE, "", "AGphbmUANWVjcmV0." },
	{ "PLAIN", { "K" }, true, -1, ERR_AUTH, "before it has seen", "" },
	{ "PLAIN", { "Nno" }, false, -1, ERR_AUTH, "login of jane by PLAIN: the server says \"no\"",
	  "" },
	{ "PLAIN", { "X" }, false, -1, ERR_TEMP, "lost", "" },
	{ "PLAIN", { "+", "Ncancelled" }, false, -1, ERR_PROTO, "none belongs", "*|" },
	{ "LOGIN", { "+VXNlcm5hbWU6", "+", "K" }, false, 0, ERR_NONE, "", "amFuZQ==|NWVjcmV0." },
	{ "LOGIN", { "+VXNlcm5hbWU6", "K" }, false, -1, ERR_PROTO, "middle", "amFuZQ==|" },
	{ "CRAM-MD5", { "+%%", "Ncancelled" }, false, -1, ERR_PROTO, "base64", "*|" },
	{ "CRAM-MD5", { "+%%", "X" }, false, -1, ERR_PROTO, "base64", "*|" },
};

static void test_rounds(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rounds); i++) {
		struct dial_params d = { .host = "mail.example", .timeout = 1000 };
		struct secret_params s = { .literal = "5ecret" };
		struct login_given g = given(&d, &s);
		struct fake f = { .heard = STRBUF_INIT(4096) };
		const struct login_link link = { .arg = &f, .say = fake_say, .hear = fake_hear };
		struct strbuf out = STRBUF_SECRET(4096);
		struct login l = { 0 };
		struct sasl_params sp;
		struct sasl *sasl;
		struct err e = ERR_INIT;

		memcpy(f.says, rounds[i].says, sizeof(f.says));
		assert_int_equal(login_gather(&l, &g, &e), 0);
		login_sasl(&l, NULL, &sp);
		sasl = sasl_new(&sp, rounds[i].mech, rounds[i].mech, &e);
		assert_non_null(sasl);
		if (sasl_client_first(sasl))
			assert_int_equal(sasl_step(sasl, slice_of("", 0), &out, &e), 1);
		if (!rounds[i].held)
			strbuf_clear(&out); /* it went along */
		if (login_rounds(&l, sasl, rounds[i].mech, rounds[i].held, &out, &link,
			&e) != rounds[i].rc || e.kind != rounds[i].kind ||
		    !strstr(e.text, rounds[i].text) || strcmp(strbuf_str(&f.heard),
		    rounds[i].heard) != 0)
			fail_msg("%zu: %s: %s (heard %s)", i, err_kind_name(e.kind), e.text,
				strbuf_str(&f.heard));
		assert_null(strstr(e.text, "5ecret"));
		sasl_free(sasl);
		login_release(&l);
		strbuf_release(&out);
		strbuf_release(&f.heard);
	}
}

/* An OAuth server tells in a challenge why; we answer it, and the refusal names it. */
static void test_oauth(void **state)
{
	struct dial_params d = { .host = "mail.example", .timeout = 1000 };
	struct secret_params s = { 0 };
	struct login_given g = given(&d, &s);
	struct fake f = { { "+eyJzdGF0dXMiOiI0MDEifQ==", "NAUTHENTICATE failed." }, 0,
		STRBUF_INIT(4096) };
	const struct login_link link = { .arg = &f, .say = fake_say, .hear = fake_hear };
	struct strbuf out = STRBUF_SECRET(4096);
	struct login l = { 0 };
	struct sasl_params sp;
	struct sasl *sasl;
	struct err e = ERR_INIT;

	(void)state;
	g.token_command = "echo t0ken";
	assert_int_equal(login_gather(&l, &g, &e), 0);
	login_sasl(&l, NULL, &sp);
	sasl = sasl_new(&sp, "XOAUTH2", "XOAUTH2", &e);
	assert_non_null(sasl);
	assert_int_equal(sasl_step(sasl, slice_of("", 0), &out, &e), 1);
	assert_int_equal(login_rounds(&l, sasl, "XOAUTH2", false, &out, &link, &e), -1);
	assert_int_equal(e.kind, ERR_AUTH);
	assert_non_null(strstr(e.text, "\"401\""));
	assert_string_equal(strbuf_str(&f.heard), "|");
	sasl_free(sasl);
	login_release(&l);
	strbuf_release(&out);
	strbuf_release(&f.heard);
}

/* A server that asks without end is cancelled. */
static void test_endless(void **state)
{
	struct dial_params d = { .host = "mail.example", .timeout = 1000 };
	struct secret_params s = { .literal = "5ecret" };
	struct login_given g = given(&d, &s);
	struct fake f = { { "+VXNlcg==", "+UGFzcw==", "+", "N" }, 0, STRBUF_INIT(4096) };
	const struct login_link link = { .arg = &f, .say = fake_say, .hear = fake_hear };
	struct strbuf out = STRBUF_SECRET(4096);
	struct login l = { 0 };
	struct sasl_params sp;
	struct sasl *sasl;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(login_gather(&l, &g, &e), 0);
	login_sasl(&l, NULL, &sp);
	sasl = sasl_new(&sp, "LOGIN", "LOGIN", &e);
	assert_int_equal(login_rounds(&l, sasl, "LOGIN", false, &out, &link, &e), -1);
	assert_int_equal(e.kind, ERR_PROTO);
	assert_string_equal(strbuf_str(&f.heard), "amFuZQ==|NWVjcmV0.*|");
	sasl_free(sasl);
	login_release(&l);
	strbuf_release(&out);
	strbuf_release(&f.heard);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gather), cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_sources), cmocka_unit_test(test_rounds),
		cmocka_unit_test(test_oauth), cmocka_unit_test(test_endless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
