/*
 * From parameters to a session, against scripted servers: what is said, in what order, and above
 * all what is never said.
 */
#include "../../lib/unit.h"

#include <openssl/ssl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../lib/script.h"
#include "../net/tlspeer.h"
#include "base/log.h"
#include "imap/login.h"
#include "net/deflate.h"

#define GREET(caps) { NULL, "* OK [CAPABILITY IMAP4rev1 " caps "] ready\r\n" }
#define HELLO { NULL, "* OK ready\r\n" }
#define CAPS(tag, caps) { tag " CAPABILITY", "* CAPABILITY IMAP4rev1 " caps "\r\n" tag " OK\r\n" }
#define IN(tag, caps) tag " OK [CAPABILITY IMAP4rev1 " caps "] in\r\n"

#define SECRET "AGphbmUANWVjcmV0" /* \0jane\0005ecret */
#define AUTH1 "A1 AUTHENTICATE PLAIN " SECRET

/* One way in (or not): a script, the parameters that differ, and what must come of it. */
struct row {
	const char *name;
	struct turn turns[12];
	const char *user, *password, *token, *auth[4];
	enum dial_tls security;
	bool insecure;
	int rc;
	enum err_kind kind;
	const char *text;  /* a part of the error */
	const char *heard;
	unsigned disabled, enable;
	uint64_t turns_max; /* stand-stills, 0: any */
};

static const struct row rows[] = {
	{ "all that is needed in the greeting and the OK", { GREET("SASL-IR AUTH=PLAIN"), { AUTH1,
	  IN("A1", "MOVE") }, { 0 } },
	  .security = DIAL_PLAIN, .heard = AUTH1 "|A2 LOGOUT|#", .turns_max = 1 },
	{ "nothing in either", { HELLO, CAPS("A1", "AUTH=PLAIN SASL-IR"),
	  { "A2 AUTHENTICATE PLAIN " SECRET, "A2 OK in\r\n" }, CAPS("A3", "MOVE"), { 0 } },
	  .security = DIAL_PLAIN, .heard =
	  "A1 CAPABILITY|A2 AUTHENTICATE PLAIN " SECRET "|A3 CAPABILITY|A4 LOGOUT|#", .turns_max =
	  3 },
	{ "capabilities beside the OK", { GREET("SASL-IR AUTH=PLAIN"),
	  { AUTH1, "* CAPABILITY IMAP4rev1\r\nA1 OK in\r\n" }, { 0 } },
	  .security = DIAL_PLAIN, .heard = AUTH1 "|A2 LOGOUT|#", .turns_max = 1 },
	{ "CAPABILITY refused", { HELLO, { "A1 CAPABILITY", "A1 BAD what?\r\n" },
	  { "A2 LOGIN \"jane\" \"5ecret\"", "A2 OK in\r\n" },
	  { "A3 CAPABILITY", "A3 BAD what?\r\n" }, { 0 } },
	  .security = DIAL_PLAIN, .heard =
	  "A1 CAPABILITY|A2 LOGIN \"jane\" \"5ecret\"|A3 CAPABILITY|A4 LOGOUT|#" },
	{ "neither revision", { { NULL, "* OK [CAPABILITY IMAP4 IMAP2bis] old\r\n" }, { 0 } },
	  .security = DIAL_PLAIN, .rc = -1, .kind = ERR_PROTO,
	  .text = "neither IMAP4rev1", .heard = "#" },
	{ "without SASL-IR", { GREET("AUTH=PLAIN"), { "A1 AUTHENTICATE PLAIN", "+ \r\n" },
	  { SECRET, IN("A1", "") }, { 0 } },
	  .security = DIAL_PLAIN, .heard = "A1 AUTHENTICATE PLAIN|" SECRET "|A2 LOGOUT|#",
	  .turns_max = 2 },
	{ "SASL-IR not wanted", { GREET("AUTH=PLAIN SASL-IR"), { "A1 AUTHENTICATE PLAIN", "+\r\n" },
	  { SECRET, IN("A1", "") }, { 0 } },
	  .security = DIAL_PLAIN, .disabled = IMAP_CAP_SASL_IR, .heard =
	  "A1 AUTHENTICATE PLAIN|" SECRET "|A2 LOGOUT|#" },
	{ "OK before the response", { GREET("AUTH=PLAIN"), { "A1 AUTHENTICATE PLAIN",
	  "A1 OK in\r\n" }, { 0 } },
	  .security = DIAL_PLAIN, .rc = -1, .kind = ERR_AUTH, .text = "before it has seen", .heard =
	  "A1 AUTHENTICATE PLAIN|#" },
	{ "CRAM-MD5", { GREET("SASL-IR AUTH=CRAM-MD5"), { "A1 AUTHENTICATE CRAM-MD5",
	  "+ PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+\r\n" },
	  { "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw", IN("A1", "") }, { 0 } }, .user =
	    "tim", .password = "tanstaaftanstaaf",
	  .security = DIAL_PLAIN, .insecure = true, .heard =
	  "A1 AUTHENTICATE CRAM-MD5|dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw|A2 LOGOUT|#" },
	{ "challenge that is none", { GREET("AUTH=CRAM-MD5"),
	  { "A1 AUTHENTICATE CRAM-MD5", "+ %%%\r\n" }, { "*", "A1 BAD cancelled\r\n" }, { 0 } },
	  .security = DIAL_PLAIN, .rc = -1, .kind = ERR_PROTO, .text = "CRAM-MD5", .heard =
	  "A1 AUTHENTICATE CRAM-MD5|*|#" },
	{ "data amid the rounds", { GREET("AUTH=PLAIN"), { "A1 AUTHENTICATE PLAIN",
	  "* OK hm\r\n+\r\n" }, { SECRET, "* CAPABILITY IMAP4rev1 MOVE\r\nA1 OK\r\n" }, { 0 } },
	  .security = DIAL_PLAIN, .heard = "A1 AUTHENTICATE PLAIN|" SECRET "|A2 LOGOUT|#" },
	{ "SASL refused", { GREET("SASL-IR AUTH=PLAIN"), { AUTH1,
	  "A1 NO [AUTHENTICATIONFAILED] no \x1b[2J way\r\n" }, { 0 } }, .security = DIAL_PLAIN,
	  .rc = -1, .kind = ERR_AUTH, .text =
	  "work: login of jane by PLAIN: the server says \"[AUTHENTICATIONFAILED] no \\x1b[2J way\"", .heard = AUTH1 "|#" },
	{ "SASL refused for now", { GREET("SASL-IR AUTH=PLAIN"),
	  { AUTH1, "A1 NO [UNAVAILABLE] LDAP is down\r\n" }, { 0 } }, .security = DIAL_PLAIN,
	  .rc = -1, .kind = ERR_TEMP, .text = "LDAP", .heard = AUTH1 "|#" },
	{ "thrown out", { GREET("SASL-IR AUTH=PLAIN"), { AUTH1, "* BYE too many failures\r\n" },
	  { 0 } }, .security = DIAL_PLAIN, .rc = -1, .kind = ERR_TEMP,
	  .text = "too many failures", .heard = AUTH1 "|#" },
	{ "XOAUTH2 refused", { GREET("SASL-IR AUTH=XOAUTH2"),
	  { "A1 AUTHENTICATE XOAUTH2 dXNlcj1qYW5lAWF1dGg9QmVhcmVyIHQwa2VuAQE=",
	  "+ eyJzdGF0dXMiOiI0MDEifQ==\r\n" },
	  { "", "A1 NO AUTHENTICATE failed.\r\n" }, { 0 } }, .token = "echo t0ken", .security =
	    DIAL_PLAIN, .rc = -1, .kind = ERR_AUTH, .text = "\"401\"",
	  .heard = "A1 AUTHENTICATE XOAUTH2 dXNlcj1qYW5lAWF1dGg9QmVhcmVyIHQwa2VuAQE=||#" },
	/* LOGIN */
	{ "LOGIN", { GREET(""), { "A1 LOGIN \"jane\" \"5ecret\"", IN("A1", "") }, { 0 } },
	  .security = DIAL_PLAIN, .heard = "A1 LOGIN \"jane\" \"5ecret\"|A2 LOGOUT|#", .turns_max =
	  1 },
	{ "LOGIN with quotes", { GREET(""), { "A1 LOGIN \"jane\" \"a \\\"b\\\\\"", IN("A1", "") },
	  { 0 } }, .password = "a \"b\\", .security = DIAL_PLAIN,
	  .heard = "A1 LOGIN \"jane\" \"a \\\"b\\\\\"|A2 LOGOUT|#" },
	{ "LOGIN with a literal", { GREET("LITERAL+"), { "A1 LOGIN \"jane\" {3+}", "" },
	  { "s\xc3\xa9", IN("A1", "") }, { 0 } }, .password = "s\xc3\xa9", .security = DIAL_PLAIN,
	  .heard = "A1 LOGIN \"jane\" {3+}|s\xc3\xa9|A2 LOGOUT|#", .turns_max = 1 },
	{ "LOGIN with a literal that waits", { GREET(""), { "A1 LOGIN \"jane\" {3}",
	  "+ go on\r\n" }, { "s\xc3\xa9", IN("A1", "") }, { 0 } }, .password = "s\xc3\xa9",
	  .security = DIAL_PLAIN, .heard = "A1 LOGIN \"jane\" {3}|s\xc3\xa9|A2 LOGOUT|#" },
	{ "LOGIN whose literal is refused", { GREET(""), { "A1 LOGIN \"jane\" {3}",
	  "A1 NO never\r\n" }, { 0 } }, .password = "s\xc3\xa9",
	  .security = DIAL_PLAIN, .rc = -1, .kind = ERR_AUTH, .text =
	  "login of jane by LOGIN: the server says \"never\"", .heard = "A1 LOGIN \"jane\" {3}|#" },
	{ "LOGIN refused", { GREET(""), { "A1 LOGIN \"jane\" \"5ecret\"",
	  "A1 NO [ALERT] Application-specific password required\r\n" }, { 0 } }, .security =
	  DIAL_PLAIN,
	  .rc = -1, .kind = ERR_AUTH, .text = "account settings", .heard =
	  "A1 LOGIN \"jane\" \"5ecret\"|#" },
	{ "LOGIN with a line end", { GREET(""), { 0 } }, .password = "a\r\nA2 DELETE INBOX",
	  .security = DIAL_PLAIN, .rc = -1, .kind = ERR_CONF, .text = "line end", .heard = "#" },
	{ "LOGINDISABLED", { GREET("LOGINDISABLED"), { 0 } }, .security = DIAL_PLAIN, .rc = -1,
	  .kind = ERR_AUTH, .text = "LOGINDISABLED", .heard = "#" },
	{ "LOGINDISABLED can't be disabled", { GREET("LOGINDISABLED"), { 0 } }, .disabled =
	  IMAP_CAP_LOGINDISABLED, .security = DIAL_PLAIN, .rc = -1, .kind = ERR_AUTH,
	  .text = "LOGINDISABLED", .heard = "#" },
	{ "nothing fits but LOGIN", { GREET("AUTH=GSSAPI"), { "A1 LOGIN \"jane\" \"5ecret\"",
	  IN("A1", "") }, { 0 } }, .security = DIAL_PLAIN,
	  .heard = "A1 LOGIN \"jane\" \"5ecret\"|A2 LOGOUT|#" },
	{ "nothing fits", { GREET("AUTH=GSSAPI LOGINDISABLED"), { 0 } }, .security = DIAL_PLAIN,
	  .rc = -1, .kind = ERR_AUTH, .text = "GSSAPI", .heard = "#" },
	{ "named LOGIN", { GREET("AUTH=PLAIN AUTH=LOGIN"), { "A1 AUTHENTICATE LOGIN",
	  "+ VXNlcm5hbWU6\r\n" }, { "amFuZQ==", "+ UGFzc3dvcmQ6\r\n" },
	  { "NWVjcmV0", IN("A1", "") }, { 0 } },
	  .auth = { "login" }, .security = DIAL_PLAIN, .heard =
	  "A1 AUTHENTICATE LOGIN|amFuZQ==|NWVjcmV0|A2 LOGOUT|#" },
	{ "named PLAIN, not offered", { GREET(""), { 0 } }, .auth = { "PLAIN" }, .security =
	  DIAL_PLAIN, .rc = -1, .kind = ERR_AUTH, .text = "not in the auth list", .heard = "#" },
	{ "AUTH not wanted", { GREET("AUTH=PLAIN"), { "A1 LOGIN \"jane\" \"5ecret\"", IN("A1",
	  "") }, { 0 } }, .disabled = IMAP_CAP_AUTH, .security = DIAL_PLAIN,
	  .heard = "A1 LOGIN \"jane\" \"5ecret\"|A2 LOGOUT|#" },
	/* no password on a link that isn't secure */
	{ "insecure, LOGIN", { GREET(""), { 0 } }, .insecure = true, .security = DIAL_PLAIN, .rc =
	  -1, .kind = ERR_AUTH, .text = "imaps://", .heard = "#" },
	{ "insecure, PLAIN", { GREET("AUTH=PLAIN AUTH=LOGIN SASL-IR"), { 0 } }, .insecure = true,
	  .security = DIAL_PLAIN, .rc = -1, .kind = ERR_AUTH, .text = "not encrypted", .heard =
	  "#" },
	/* STARTTLS or nothing */
	{ "STARTTLS stripped", { GREET("AUTH=PLAIN SASL-IR"), { 0 } }, .security = DIAL_STARTTLS,
	  .rc = -1, .kind = ERR_CERT, .text = "does not offer STARTTLS", .heard = "#" },
	{ "STARTTLS in no list", { HELLO, { "A1 STARTTLS", "A1 BAD what?\r\n" }, { 0 } },
	  .security = DIAL_STARTTLS, .rc = -1, .kind = ERR_CERT,
	  .text = "STARTTLS is refused: the server says \"what?\"", .heard = "A1 STARTTLS|#" },
	{ "STARTTLS refused", { GREET("STARTTLS"), { "A1 STARTTLS", "A1 NO \x1b no\r\n" }, { 0 } },
	  .security = DIAL_STARTTLS, .rc = -1, .kind = ERR_CERT,
	  .text = "\\x1b no", .heard = "A1 STARTTLS|#" },
	{ "STARTTLS not wanted", { HELLO, { 0 } }, .security = DIAL_STARTTLS, .disabled =
	  IMAP_CAP_STARTTLS, .rc = -1, .kind = ERR_CERT, .text = "STARTTLS", .heard = "#" },
	{ "bytes behind the OK", { GREET("STARTTLS"), { "A1 STARTTLS",
	  "A1 OK go\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n" }, { 0 } }, .security = DIAL_STARTTLS,
	  .rc = -1,
	  .kind = ERR_CERT, .text = "injected", .heard = "A1 STARTTLS|#" },
	{ "STARTTLS garbage", { GREET("STARTTLS"), { "A1 STARTTLS", "+ hm\r\nA2 OK\r\n" }, { 0 } },
	  .security = DIAL_STARTTLS, .rc = -1, .kind = ERR_PROTO, .text = "STARTTLS",
	  .heard = "A1 STARTTLS|#" },
	{ "PREAUTH before STARTTLS", { { NULL,
	  "* PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] in already\r\n" }, { 0 } }, .security =
	  DIAL_STARTTLS, .rc = -1, .kind = ERR_CERT,
	  .text = "PREAUTH", .heard = "#" },
	{ "PREAUTH in clear", { { NULL, "* PREAUTH [CAPABILITY IMAP4rev1] in already\r\n" },
	  { 0 } }, .security = DIAL_PLAIN, .rc = -1, .kind = ERR_AUTH, .text = "PREAUTH", .heard =
	  "#" },
	{ "BYE for a greeting", { { NULL, "* BYE [CONTACTADMIN] go away\r\n" }, { 0 } }, .security =
	  DIAL_PLAIN, .rc = -1, .kind = ERR_UNAVAIL,
	  .text = "work: greeting: the server ends the connection and says \"[CONTACTADMIN] go away\"", .heard = "#" },
	/* what a session begins with: all in the flight of the first command */
	{ "introduction", { GREET("SASL-IR AUTH=PLAIN"), { AUTH1, IN("A1",
	  "ID ENABLE NAMESPACE CONDSTORE QRESYNC UTF8=ACCEPT") },
	  { 0 } }, .enable = IMAP_CAP_QRESYNC | IMAP_CAP_CONDSTORE, .security = DIAL_PLAIN,
	  .heard = AUTH1 "|A2 ID (\"name\" \"mailhaul\" \"version\" \"" MAILHAUL_VERSION "\")|A3 ENABLE QRESYNC|A4 NAMESPACE|A5 LOGOUT|#", .turns_max = 1 },
	{ "CONDSTORE only", { GREET("SASL-IR AUTH=PLAIN"), { AUTH1, IN("A1",
	  "ENABLE CONDSTORE QRESYNC") }, { 0 } }, .enable = IMAP_CAP_QRESYNC | IMAP_CAP_CONDSTORE,
	  .disabled = IMAP_CAP_QRESYNC, .security = DIAL_PLAIN, .heard =
	  AUTH1 "|A2 ENABLE CONDSTORE|A3 LOGOUT|#" },
	{ "without ENABLE", { GREET("SASL-IR AUTH=PLAIN"), { AUTH1, IN("A1",
	  "CONDSTORE QRESYNC UTF8=ACCEPT") }, { 0 } },
	  .enable = IMAP_CAP_QRESYNC | IMAP_CAP_CONDSTORE | IMAP_CAP_UTF8_ACCEPT, .security =
	  DIAL_PLAIN, .heard = AUTH1 "|A2 LOGOUT|#" },
	{ "UTF8=ACCEPT is waited for", { GREET("SASL-IR AUTH=PLAIN"),
	  { AUTH1, IN("A1", "ENABLE UTF8=ACCEPT NAMESPACE") }, { "A2 ENABLE UTF8=ACCEPT", "" },
	  { "A3 NAMESPACE", "* ENABLED UTF8=ACCEPT\r\nA2 OK\r\nA3 OK\r\n" }, { 0 } }, .enable =
	    IMAP_CAP_UTF8_ACCEPT, .security = DIAL_PLAIN,
	  .heard = AUTH1 "|A2 ENABLE UTF8=ACCEPT|A3 NAMESPACE|A4 LOGOUT|#", .turns_max = 2 },
	{ "UTF8=ONLY", { GREET("SASL-IR AUTH=PLAIN"), { AUTH1, IN("A1", "ENABLE UTF8=ONLY") },
	  { "A2 ENABLE UTF8=ACCEPT", "* ENABLED UTF8=ACCEPT\r\nA2 OK\r\n" }, { 0 } },
	  .security = DIAL_PLAIN, .heard = AUTH1 "|A2 ENABLE UTF8=ACCEPT|A3 LOGOUT|#" },
};

/* Parameters of jane. */
static struct imap_params params(const char *port)
{
	return (struct imap_params){
		.dial = { .host = "127.0.0.1", .port = port, .security = DIAL_PLAIN, .timeout =
			5000 },
		.what = "work",
		.user = "jane",
		.secret = { .literal = "5ecret" },
		.secure = true,
	};
}

/* Run one row. */
static void run(const struct row *r)
{
	const struct turn *const turns[] = { r->turns, NULL };
	struct script s = { .together = false };
	struct imap_params p;
	struct imap_conn c;
	struct err e = ERR_INIT;
	struct net_stats stats = { 0 };
	int rc;

	script_start(&s, turns);
	p = params(s.peer.port);
	p.dial.security = r->security;
	p.disabled = r->disabled;
	p.enable = r->enable;
	p.secure = !r->insecure;
	p.token_command = r->token;
	if (r->user)
		p.user = r->user;
	if (r->password)
		p.secret.literal = r->password;
	memcpy(p.auth, r->auth, sizeof(r->auth));
	rc = imap_login(&c, &p, &stats, &e);
	if (rc != r->rc || e.kind != r->kind || !strstr(e.text, r->text ? r->text : ""))
		fail_msg("%s: %d, %s: %s (heard %s)", r->name, rc, err_kind_name(e.kind), e.text,
			s.heard);
	if (strstr(e.text, p.secret.literal))
		fail_msg("%s: %s", r->name, e.text);
	if (r->turns_max > 0 && stats.turns > r->turns_max)
		fail_msg("%s: %d stand-stills", r->name, (int)stats.turns);
	if (rc == 0) {
		assert_true(c.logged_in);
		assert_int_equal(imap_flying(&c), 0);
		imap_bye(&c);
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

/*
 * The first command leaves together with what a session begins with: login and it are two
 * stand-stills.
 */
static void test_one_flight(void **state)
{
	static const struct turn t[] = { GREET("SASL-IR AUTH=PLAIN"),
		{ AUTH1, IN("A1", "ENABLE CONDSTORE NAMESPACE") }, { "A2 ENABLE CONDSTORE", "" },
		{ "A3 NAMESPACE", "" },
		{ "A4 NOOP",
		  "* ENABLED CONDSTORE\r\nA2 OK\r\n* NAMESPACE ((\"\" \"/\")) NIL NIL\r\nA3 OK\r\n* 1 EXISTS\r\nA4 OK\r\n" }, { 0 } };
	const struct turn *const turns[] = { t, NULL };
	struct script s = { .together = false };
	struct imap_params p;
	struct imap_conn c;
	const struct imap_resp *r;
	struct err e = ERR_INIT;
	struct net_stats stats = { 0 };
	uint32_t tag;

	(void)state;
	script_start(&s, turns);
	p = params(s.peer.port);
	p.enable = IMAP_CAP_CONDSTORE;
	assert_int_equal(imap_login(&c, &p, &stats, &e), 0);
	assert_int_equal(imap_send(&c, &tag, &e, "NOOP"), 0);
	assert_int_equal(imap_next(&c, NULL, &r, &e), IMAP_DATA);
	assert_int_equal(r->kind, IMAP_EXISTS);
	assert_int_equal(c.enabled, IMAP_CAP_CONDSTORE);
	assert_int_equal(c.nspaces, 1);
	assert_int_equal(imap_next(&c, NULL, &r, &e), IMAP_DONE);
	assert_true(stats.turns <= 2);
	imap_bye(&c);
	script_stop(&s);
}

/* A server that says nothing ends in time; one that has nothing to say stays. */
static void test_silence(void **state)
{
	static const struct turn mute[] = { { "never", "" }, { 0 } };
	static const struct turn half[] = { GREET("SASL-IR AUTH=PLAIN"), { AUTH1, "" },
		{ "never", "" }, { 0 } };
	static const struct turn late[] = { GREET("SASL-IR AUTH=PLAIN"), { AUTH1, IN("A1", "") },
		{ "A2 NOOP", "* 1 EXISTS\r\nA2 OK\r\n" }, { "A3 NOOP", "* 1 EX" }, { "never", "" },
		{ 0 } };
	const struct turn *const turns[] = { mute, half, late, NULL };
	struct script s = { .together = false };
	struct imap_params p;
	struct imap_conn c;
	struct err e = ERR_INIT;
	msec_t start = clock_now();

	(void)state;
	script_start(&s, turns);
	p = params(s.peer.port);
	p.dial.timeout = 200;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(imap_login(&c, &p, NULL, &e), -1);
		assert_int_equal(e.kind, ERR_TIMEOUT);
	}
	assert_int_equal(imap_login(&c, &p, NULL, &e), 0);
	assert_int_equal(imap_next(&c, NULL, NULL, &e), IMAP_LOST);
	assert_int_equal(e.kind, ERR_TIMEOUT);
	assert_false(c.dead);
	assert_int_equal(imap_send(&c, NULL, &e, "NOOP"), 0);
	assert_int_equal(imap_next(&c, NULL, NULL, &e), IMAP_DATA);
	assert_int_equal(imap_next(&c, NULL, NULL, &e), IMAP_DONE);
	assert_int_equal(imap_send(&c, NULL, &e, "NOOP"), 0);
	assert_int_equal(imap_next(&c, NULL, NULL, &e), IMAP_LOST);
	assert_int_equal(e.kind, ERR_TIMEOUT);
	assert_true(c.dead);
	imap_close(&c);
	assert_true(clock_now() - start < 4000);
	script_stop(&s);
}

/* Behind a tunnel PREAUTH is login, and nobody asks for a password. */
static void test_tunnel(void **state)
{
	struct imap_params p = params("143");
	struct imap_conn c;
	struct err e = ERR_INIT;

	(void)state;
	p.dial.tunnel =
		"printf '* PREAUTH [CAPABILITY IMAP4rev1] in\\r\\n'; read x; printf 'A1 OK\\r\\n'; cat >/dev/null";
	p.secret.literal = NULL;
	assert_int_equal(imap_login(&c, &p, NULL, &e), 0);
	assert_true(c.logged_in && c.preauth);
	assert_int_equal(imap_send(&c, NULL, &e, "NOOP"), 0);
	assert_int_equal(imap_next(&c, NULL, NULL, &e), IMAP_DONE);
	imap_bye(&c);

	p.dial.tunnel = "printf '* OK [CAPABILITY IMAP4rev1] who are you\\r\\n'; cat >/dev/null";
	assert_int_equal(imap_login(&c, &p, NULL, &e), -1);
	assert_int_equal(e.kind, ERR_CONF);
	assert_non_null(strstr(e.text, "no password"));
	assert_null(c.s);
}

/* ---- the trace ---- */

static struct strbuf seen = STRBUF_INIT(1 << 20);

static void sink(void *arg, enum log_level level, const char *context, const char *text)
{
	(void)arg;
	(void)context;
	if (level == LOG_WIRE) {
		strbuf_puts(&seen, text);
		strbuf_putc(&seen, '\n');
	}
}

/* A person may send us a trace: it shows how, never what. */
static void test_trace(void **state)
{
	static const struct {
		struct turn turns[6];
		const char *password, *shows;
	} talks[] = {
		{ { GREET("SASL-IR AUTH=PLAIN"), { AUTH1, "A1 OK in\r\n" }, CAPS("A2", ""), { 0 } },
		  "5ecret", "> A1 AUTHENTICATE PLAIN <secret>\n< <secret>\n> A2 CAPABILITY\n" },
		{ { GREET("AUTH=PLAIN"), { "A1 AUTHENTICATE PLAIN", "+\r\n" },
		  { SECRET, "A1 OK in\r\n" }, CAPS("A2", ""), { 0 } }, "5ecret",
		  "> A1 AUTHENTICATE PLAIN\n< <secret>\n> <secret>\n< <secret>\n> A2 CAPABILITY\n" },
		{ { GREET(""), { "A1 LOGIN \"jane\" \"5ecret\"", "A1 OK in\r\n" }, CAPS("A2", ""),
		  { 0 } }, "5ecret", "> A1 LOGIN <secret>\n< A1 OK in\n> A2 CAPABILITY\n" },
		{ { GREET(""), { "A1 LOGIN \"jane\" {7}", "+\r\n" },
		  { "5ecret\xc3", "A1 OK in\r\n" }, CAPS("A2", ""), { 0 } }, "5ecret\xc3",
		  "> A1 LOGIN <secret>\n" },
		{ { GREET("LITERAL+"), { "A1 LOGIN \"jane\" {7+}", "" },
		  { "5ecret\xc3", "A1 OK in\r\n" }, CAPS("A2", ""), { 0 } }, "5ecret\xc3",
		  "> A1 LOGIN <secret>\n" },
		{ { GREET("SASL-IR AUTH=PLAIN"), { AUTH1, "A1 NO [AUTHENTICATIONFAILED] no\r\n" },
		  { 0 } }, "5ecret", "> A1 AUTHENTICATE PLAIN <secret>\n< <secret>\n" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(talks); i++) {
		const struct turn *const turns[] = { talks[i].turns, NULL };
		struct script s = { .together = false };
		struct imap_params p;
		struct imap_conn c;
		struct err e = ERR_INIT;

		strbuf_clear(&seen);
		script_start(&s, turns);
		p = params(s.peer.port);
		p.dial.trace = true;
		p.secret.literal = talks[i].password;
		log_set_sink(sink, NULL);
		log_set_level(LOG_WIRE);
		imap_login(&c, &p, NULL, &e);
		imap_bye(&c);
		log_set_sink(NULL, NULL);
		log_set_level(LOG_INFO);
		script_stop(&s);
		if (!strstr(strbuf_str(&seen), talks[i].shows) ||
			strstr(strbuf_str(&seen), "5ecret") || strstr(strbuf_str(&seen), SECRET))
			fail_msg("%zu: %s", i, strbuf_str(&seen));
	}
	strbuf_release(&seen);
}

/* ---- TLS, and what is forgotten with it ---- */

#define HEARD_MAX 4096

static struct pki pki;

static int setup_pki(void **state)
{
	(void)state;
	pki_make(&pki);
	pki_issue(&pki, &(struct cert_spec){ .name = "good", .alt = "IP:127.0.0.1", .from = -3600,
		.to = 86400 });
	return 0;
}

static int teardown_pki(void **state)
{
	(void)state;
	pki_remove(&pki);
	return 0;
}

/* What a server says in clear, and what over TLS; want NULL: unasked. */
struct front {
	struct turn clear[4], tls[12];
	const struct turn *again; /* over TLS in all connections but the first; NULL: the same */
	char *heard; /* shared with the child */
};

/* One line. */
static bool hear_tls(SSL *ssl, char *line, size_t size)
{
	size_t n = 0;

	while (n + 1 < size && SSL_read(ssl, line + n, 1) == 1 && line[n] != '\n')
		n++;
	line[n > 0 && line[n] == '\n' ? n - 1 : n] = '\0';
	return n > 0;
}

/* Write down. */
static void note(const struct front *f, const char *text, const char *end)
{
	size_t n = strlen(f->heard);

	snprintf(f->heard + n, HEARD_MAX - n, "%s%s", text, end);
}

static void serve_front(int fd, int nth, void *arg)
{
	struct front *f = arg;
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	char line[1024];
	SSL *ssl;

	for (const struct turn *t = f->clear; t->say; t++) {
		if (t->want)
			peer_recv(fd, line, strlen(t->want) + 2);
		peer_send(fd, t->say, strlen(t->say));
	}
	SSL_CTX_use_certificate_file(ctx, pki_path(&pki, "good", ".crt"), SSL_FILETYPE_PEM);
	SSL_CTX_use_PrivateKey_file(ctx, pki_path(&pki, "good", ".key"), SSL_FILETYPE_PEM);
	ssl = SSL_new(ctx);
	if (!ssl || SSL_set_fd(ssl, fd) != 1 || SSL_accept(ssl) != 1)
		_exit(6);
	for (const struct turn *t = nth > 0 && f->again ? f->again : f->tls; t->want || t->say; t++) {
		if (t->want) {
			if (!hear_tls(ssl, line, sizeof(line)))
				break;
			note(f, line, "|");
			if (strcmp(line, t->want) != 0)
				break;
		}
		if (!t->say) {
			note(f, "", "#");
			SSL_free(ssl);
			SSL_CTX_free(ctx);
			return;
		}
		if (*t->say)
			SSL_write(ssl, t->say, (int)strlen(t->say));
	}
	while (hear_tls(ssl, line, sizeof(line)))
		note(f, line, "|");
	note(f, "", "#");
	SSL_free(ssl);
	SSL_CTX_free(ctx);
}

/* Start it. */
static void front_start(struct front *f, struct peer *peer)
{
	f->heard = mmap(NULL, HEARD_MAX, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(f->heard, MAP_FAILED);
	peer_start(peer, serve_front, f);
}

/* What was heard of n connections. */
static void front_expect(const struct front *f, int n, const char *heard)
{
	for (int i = 0; i < 1000; i++) {
		const volatile char *p = f->heard;
		int ends = 0;

		for (size_t k = 0; p[k]; k++)
			ends += p[k] == '#';
		if (ends >= n)
			break;
		usleep(10000);
	}
	assert_string_equal(f->heard, heard);
}

static int alerted;

static void on_alert(void *arg, const char *text)
{
	(void)arg;
	if (strcmp(text, "true") != 0)
		fail_msg("alert: %s", text);
	alerted++;
}

/*
 * All that was said before TLS is forgotten: capabilities, greeting, alerts, names. The second
 * connection knows the first one's capabilities.
 */
static void test_starttls(void **state)
{
	struct front f = {
		.clear = { { NULL,
			"* OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=CRAM-MD5 LITERAL+] forged\r\n* OK [ALERT] forged\r\n" },
			   { "A1 STARTTLS",
			     "* ENABLED UTF8=ACCEPT\r\n* ID (\"name\" \"forged\")\r\n* OK [ALERT] forged\r\n* NAMESPACE ((\"x\" \"y\")) NIL NIL\r\nA1 OK go\r\n" } },
		.tls = { CAPS("A2", "AUTH=PLAIN SASL-IR"), { "A3 AUTHENTICATE PLAIN " SECRET,
			"* OK [ALERT] true\r\nA3 OK in\r\n" }, { "A4 NOOP", "A4 OK\r\n" },
			 CAPS("A5", "MOVE"), { "A6 LOGOUT", "" } },
	};
	struct peer peer;
	struct imap_params p;
	struct imap_conn c;
	struct imap_remembered mem = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	front_start(&f, &peer);
	p = params(peer.port);
	p.dial.security = DIAL_STARTTLS;
	p.dial.tls.ca_file = pki_path(&pki, "ca", ".crt");
	p.alert = on_alert;
	p.remembered = &mem;
	alerted = 0;
	if (imap_login(&c, &p, NULL, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(alerted, 1);
	assert_string_equal(c.greeting, "");
	assert_string_equal(c.server, "");
	assert_false(c.utf8 || c.enabled || c.spaces_known || c.nspaces);
	assert_int_equal(c.caps.have, IMAP_CAP_REV1 | IMAP_CAP_MOVE);
	assert_true(mem.before.known && mem.after.known && mem.heard && !mem.told);
	assert_int_equal(mem.flies, IMAP_FLIES_YES);
	assert_string_equal(mem.before.auth, "PLAIN");
	assert_int_equal(mem.after.have, IMAP_CAP_REV1 | IMAP_CAP_MOVE);
	imap_bye(&c);
	front_expect(&f, 1,
		"A2 CAPABILITY|A3 AUTHENTICATE PLAIN " SECRET
		"|A4 NOOP|A5 CAPABILITY|A6 LOGOUT|#");
	peer_stop(&peer);
	munmap(f.heard, HEARD_MAX);

	f.tls[0] = (struct turn){ "A2 AUTHENTICATE PLAIN " SECRET, "A2 OK in\r\n" };
	f.tls[1] = (struct turn){ 0 };
	front_start(&f, &peer);
	p.dial.port = peer.port;
	if (imap_login(&c, &p, NULL, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(c.caps.have, IMAP_CAP_REV1 | IMAP_CAP_MOVE);
	imap_bye(&c);
	front_expect(&f, 1, "A2 AUTHENTICATE PLAIN " SECRET "|A3 LOGOUT|#");
	peer_stop(&peer);
	munmap(f.heard, HEARD_MAX);

	/* what no longer holds is forgotten */
	f.tls[0].say = "A2 NO no\r\n";
	front_start(&f, &peer);
	p.dial.port = peer.port;
	assert_int_equal(imap_login(&c, &p, NULL, &e), -1);
	assert_int_equal(e.kind, ERR_AUTH);
	assert_false(mem.before.known || mem.after.known);
	peer_stop(&peer);
	munmap(f.heard, HEARD_MAX);
}

/* PREAUTH over TLS from the first byte is login, though nobody was asked for a password. */
static void test_preauth(void **state)
{
	struct front f = { .tls = { { NULL,
		"* PREAUTH [CAPABILITY IMAP4rev1] by your certificate\r\n" },
		{ "A1 NOOP", "A1 OK\r\n" } } };
	struct peer peer;
	struct imap_params p;
	struct imap_conn c;
	struct err e = ERR_INIT;

	(void)state;
	front_start(&f, &peer);
	p = params(peer.port);
	p.dial.security = DIAL_TLS;
	p.dial.tls.ca_file = pki_path(&pki, "ca", ".crt");
	if (imap_login(&c, &p, NULL, &e) < 0)
		fail_msg("%s", e.text);
	assert_true(c.logged_in);
	assert_int_equal(imap_send(&c, NULL, &e, "NOOP"), 0);
	assert_int_equal(imap_next(&c, NULL, NULL, &e), IMAP_DONE);
	imap_bye(&c);
	front_expect(&f, 1, "A1 NOOP|A2 LOGOUT|#");
	peer_stop(&peer);
	munmap(f.heard, HEARD_MAX);
}

/* ---- what flies behind the login ---- */

#define CAN "IMAP4rev1 SASL-IR AUTH=PLAIN"
#define AFTER CAN " ID NAMESPACE"
#define ID(tag) tag " ID (\"name\" \"mailhaul\" \"version\" \"" MAILHAUL_VERSION "\")"
#define GREETS { NULL, "* OK [CAPABILITY " CAN "] hi\r\n" }
#define OKS(a, b, c) a " OK\r\n" b " OK\r\n" c " OK\r\n"
#define IN_ONE(said) GREETS, { AUTH1, "" }, { ID("A2"), "" }, { "A3 NAMESPACE", "" }, { "A4 NOOP", said }
#define FLIGHT AUTH1 "|" ID("A2") "|A3 NAMESPACE|A4 NOOP|"

/* A login for whose end is waited, the session's first commands, and the caller's NOOP. */
static const struct turn slowly[] = { GREETS, { AUTH1, "A1 OK [CAPABILITY " AFTER "] in\r\n" },
	{ ID("A2"), "" }, { "A3 NAMESPACE", "" }, { "A4 NOOP", OKS("A2", "A3", "A4") },
	{ "A5 LOGOUT", "" }, { 0 } };
#define SLOWLY FLIGHT "A5 LOGOUT|#"

static const struct flown {
	const char *name;
	struct turn tls[12];
	const char *heard;
	enum imap_flies flies, comes; /* what is known before, and after */
	bool untold, flew, lost;
	int rc, links;
	const char *text;
} flown[] = {
	{ "it flies", { IN_ONE("A1 OK [CAPABILITY " AFTER "] in\r\n" OKS("A2", "A3", "A4")),
	    { "A5 LOGOUT", "" } }, SLOWLY, .flies = IMAP_FLIES_YES, .comes = IMAP_FLIES_YES, .flew = true },
	{ "the server is asked what it can", { GREETS, { AUTH1, "" }, { "A2 CAPABILITY", "" },
	    { ID("A3"), "" }, { "A4 NAMESPACE", "" }, { "A5 NOOP",
	      "A1 OK in\r\n* CAPABILITY " AFTER "\r\nA2 OK\r\n" OKS("A3", "A4", "A5") },
	    { "A6 LOGOUT", "" } },
	  AUTH1 "|A2 CAPABILITY|" ID("A3") "|A4 NAMESPACE|A5 NOOP|A6 LOGOUT|#",
	  .flies = IMAP_FLIES_YES, .comes = IMAP_FLIES_YES, .untold = true, .flew = true },
	{ "the same by LOGIN", { { NULL, "* OK [CAPABILITY IMAP4rev1] hi\r\n" },
	    { "A1 LOGIN \"jane\" \"5ecret\"", "" }, { ID("A2"), "" }, { "A3 NAMESPACE", "" },
	    { "A4 NOOP", "A1 OK [CAPABILITY " AFTER "] in\r\n" OKS("A2", "A3", "A4") },
	    { "A5 LOGOUT", "" } },
	  "A1 LOGIN \"jane\" \"5ecret\"|" ID("A2") "|A3 NAMESPACE|A4 NOOP|A5 LOGOUT|#",
	  .flies = IMAP_FLIES_YES, .comes = IMAP_FLIES_YES, .flew = true },
	{ "the server can less now", {
	    IN_ONE("A1 OK [CAPABILITY IMAP4rev1 ID]\r\nA2 OK\r\nA3 BAD what\r\nA4 OK\r\n"),
	    { ID("A5"), "" }, { "A6 NOOP", "A5 OK\r\nA6 OK\r\n" }, { "A7 LOGOUT", "" } },
	  FLIGHT ID("A5") "|A6 NOOP|A7 LOGOUT|#", .flies = IMAP_FLIES_YES, .comes = IMAP_FLIES_YES },
	{ "it tells no more", { IN_ONE("A1 OK in\r\n" OKS("A2", "A3", "A4")),
	    { "A5 CAPABILITY", "* CAPABILITY IMAP4rev1\r\nA5 OK\r\n" }, { "A6 NOOP", "A6 OK\r\n" },
	    { "A7 LOGOUT", "" } }, FLIGHT "A5 CAPABILITY|A6 NOOP|A7 LOGOUT|#", .flies = IMAP_FLIES_YES,
	  .comes = IMAP_FLIES_YES },
	{ "an answer before its time", {
	    IN_ONE("* LIST () \"/\" x\r\nA1 OK [CAPABILITY " AFTER "]\r\n" OKS("A2", "A3", "A4")),
	    { ID("A5"), "" }, { "A6 NAMESPACE", "" }, { "A7 NOOP", OKS("A5", "A6", "A7") },
	    { "A8 LOGOUT", "" } }, FLIGHT ID("A5") "|A6 NAMESPACE|A7 NOOP|A8 LOGOUT|#",
	  .flies = IMAP_FLIES_YES, .comes = IMAP_FLIES_YES },
	{ "refused, once", {
	    IN_ONE("A1 NO wrong\r\nA2 OK\r\nA3 BAD log in\r\nA4 OK\r\n") }, FLIGHT "#",
	  .flies = IMAP_FLIES_YES, .comes = IMAP_FLIES_YES, .rc = -1, .text = "the server says \"wrong\"" },
	{ "it asks for more", { GREETS, { AUTH1, "+ \r\n" } }, FLIGHT "#" SLOWLY,
	  .flies = IMAP_FLIES_YES, .comes = IMAP_FLIES_UNKNOWN, .links = 2 },
	{ "it takes a command for the response", { GREETS, { AUTH1, "" },
	    { ID("A2"), "A1 NO\r\n" }, { "A3 NAMESPACE", "A3 BAD log in\r\n" },
	    { "A4 NOOP", NULL } }, FLIGHT "#" SLOWLY, .flies = IMAP_FLIES_YES, .comes = IMAP_FLIES_UNKNOWN, .links = 2 },
	{ "it closes", { GREETS, { AUTH1, NULL } }, AUTH1 "|#" SLOWLY, .flies = IMAP_FLIES_YES,
	  .comes = IMAP_FLIES_UNKNOWN, .links = 2 },
	{ "seen to fly", { GREETS, { AUTH1, "" },
	    { "A2 NOOP", "A1 OK [CAPABILITY " AFTER "] in\r\nA2 OK\r\n" }, { ID("A3"), "" },
	    { "A4 NAMESPACE", "" }, { "A5 NOOP", OKS("A3", "A4", "A5") }, { "A6 LOGOUT", "" } },
	  AUTH1 "|A2 NOOP|" ID("A3") "|A4 NAMESPACE|A5 NOOP|A6 LOGOUT|#",
	  .flies = IMAP_FLIES_UNKNOWN, .comes = IMAP_FLIES_YES },
	{ "seen to be dropped", { GREETS, { AUTH1, "" },
	    { "A2 NOOP", "A1 OK [CAPABILITY " AFTER "] in\r\n" }, { ID("A3"), "" },
	    { "A4 NAMESPACE", "" }, { "A5 NOOP", OKS("A3", "A4", "A5") }, { "A6 LOGOUT", "" } },
	  AUTH1 "|A2 NOOP|" ID("A3") "|A4 NAMESPACE|A5 NOOP|A6 LOGOUT|#",
	  .flies = IMAP_FLIES_UNKNOWN, .comes = IMAP_FLIES_NO },
	{ "refused, once, with the trial", { GREETS, { AUTH1, "" },
	    { "A2 NOOP", "A1 NO wrong\r\nA2 OK\r\n" } }, AUTH1 "|A2 NOOP|#",
	  .flies = IMAP_FLIES_UNKNOWN, .comes = IMAP_FLIES_YES, .rc = -1, .text = "the server says \"wrong\"" },
	{ "not tried where it is known", { GREETS, { AUTH1, "A1 OK [CAPABILITY " AFTER "] in\r\n" },
	    { ID("A2"), "" }, { "A3 NAMESPACE", "" }, { "A4 NOOP", OKS("A2", "A3", "A4") },
	    { "A5 LOGOUT", "" } }, SLOWLY, .flies = IMAP_FLIES_NO, .comes = IMAP_FLIES_NO },
	{ "closed after the trial", { GREETS, { AUTH1, "" },
	    { "A2 NOOP", "A1 OK [CAPABILITY " AFTER "] in\r\n" }, { ID("A3"), NULL } },
	  AUTH1 "|A2 NOOP|" ID("A3") "|#", .flies = IMAP_FLIES_UNKNOWN, .comes = IMAP_FLIES_NO, .lost = true },
};

/* imap_params.first */
static int first(void *arg, struct imap_conn *c, struct err *e)
{
	return imap_send(c, arg, e, "NOOP");
}

static void fly_one(const struct flown *r)
{
	struct front f = { .again = slowly };
	struct peer peer;
	struct imap_params p;
	struct imap_conn c;
	struct imap_remembered mem = { .flies = r->flies, .told = !r->untold };
	struct slice rest = slice_str(AFTER), word;
	struct err e = ERR_INIT;
	struct net_stats stats = { 0 };
	uint32_t tag, ended;
	int rc;

	while ((word = slice_word(&rest)).n > 0)
		imap_caps_word(&mem.after, word);
	imap_caps_end(&mem.after, 0);
	memcpy(f.tls, r->tls, sizeof(f.tls));
	front_start(&f, &peer);
	p = params(peer.port);
	p.dial.security = DIAL_TLS;
	p.dial.tls.ca_file = pki_path(&pki, "ca", ".crt");
	p.remembered = &mem;
	p.first = first;
	p.first_arg = &tag;
	rc = imap_login(&c, &p, &stats, &e);
	if (rc != r->rc || (rc == 0 && c.flew != r->flew) || (r->text && !strstr(e.text, r->text)))
		fail_msg("%s: %d, %d, %s (heard %s)", r->name, rc, c.flew, e.text, f.heard);
	if (r->flew && stats.turns > 3)
		fail_msg("%s: %d stand-stills", r->name, (int)stats.turns);
	if (rc == 0) {
		if (!c.flew)
			assert_int_equal(imap_send(&c, &tag, &e, "NOOP"), 0);
		rc = imap_next(&c, &ended, NULL, &e);
		if (rc != (r->lost ? IMAP_LOST : IMAP_DONE) || (!r->lost && ended != tag))
			fail_msg("%s: %d %s", r->name, rc, e.text);
		imap_bye(&c);
	}
	front_expect(&f, r->links ? r->links : 1, r->heard);
	if (mem.flies != r->comes)
		fail_msg("%s: %d", r->name, mem.flies);
	assert_int_equal(mem.after.known, r->rc == 0);
	peer_stop(&peer);
	munmap(f.heard, HEARD_MAX);
}

/* The caller's first command leaves with the login where that was seen to work, and nothing is lost where it doesn't. */
static void test_flown(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(flown); i++)
		fly_one(&flown[i]);
}

/* ---- COMPRESS ---- */

/*
 * A server that agrees to COMPRESS, and says something behind it that is compressed (0), or not
 * (1), or refuses (2).
 */
static void serve_compressed(int fd, int nth, void *arg)
{
	static const char greeting[] = "* PREAUTH [CAPABILITY IMAP4rev1 COMPRESS=DEFLATE] hi\r\n",
		ask[] = "A1 COMPRESS DEFLATE\r\n", ok[] = "A1 OK\r\n",
			  more[] = "A1 OK\r\n* 1 EXISTS\r\n", no[] = "A1 NO\r\n", noop[] =
			  "A2 NOOP\r\n", answer[] = "* 2 EXISTS\r\nA2 OK\r\n";
	char buf[64];
	struct stream *s;
	ssize_t n;

	(void)arg;
	peer_send(fd, greeting, sizeof(greeting) - 1);
	peer_recv(fd, buf, sizeof(ask) - 1);
	if (nth == 0)
		peer_send(fd, ok, sizeof(ok) - 1);
	else
		peer_send(fd, nth == 1 ? more : no, nth == 1 ? sizeof(more) - 1 : sizeof(no) - 1);
	s = fdstream_new(dup(fd), NULL, NULL);
	if (s && nth == 0)
		s = deflate_over(s, NULL, NULL);
	if (!s || nth == 1)
		return;
	stream_set_deadline(s, clock_in(5000));
	n = stream_read(s, buf, sizeof(buf), NULL);
	if (n == (ssize_t)sizeof(noop) - 1 && memcmp(buf, noop, sizeof(noop) - 1) == 0)
		stream_write(s, answer, sizeof(answer) - 1, NULL);
	stream_flush(s, NULL);
	stream_free(s);
}

static void test_compress(void **state)
{
	static const int rc[] = { 1, -1, 0 };
	struct peer peer;

	(void)state;
	peer_start(&peer, serve_compressed, NULL);
	for (int i = 0; i < 3; i++) {
		struct dial_params d = { .host = "127.0.0.1", .port = peer.port, .security =
			DIAL_PLAIN, .timeout = 5000 };
		struct imap_conn c = { 0 };
		const struct imap_resp *r;
		struct err e = ERR_INIT;
		struct stream *s = dial(&d, NULL, &e);

		assert_non_null(s);
		assert_int_equal(imap_attach(&c, s, 5000, 0, "work", &e), 0);
		assert_int_equal(imap_greeting(&c, &e), 0);
		assert_int_equal(imap_compress(&c, &d, &e), rc[i]);
		assert_int_equal(c.compressed, rc[i] == 1);
		assert_int_equal(c.dead, rc[i] < 0);
		assert_int_equal(e.kind, rc[i] < 0 ? ERR_PROTO : ERR_NONE);
		if (rc[i] >= 0) {
			assert_int_equal(imap_send(&c, NULL, &e, "NOOP"), 0);
			assert_int_equal(imap_next(&c, NULL, &r, &e), IMAP_DATA);
			assert_int_equal(r->num, 2);
			assert_int_equal(imap_next(&c, NULL, &r, &e), IMAP_DONE);
			assert_int_equal(imap_compress(&c, &d, &e), i == 0 ? 1 : -1);
		}
		imap_close(&c);
	}
	peer_stop(&peer);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),   cmocka_unit_test(test_one_flight),
		cmocka_unit_test(test_silence), cmocka_unit_test(test_tunnel),
		cmocka_unit_test(test_trace),  cmocka_unit_test_setup_teardown(test_starttls,
			setup_pki, teardown_pki),
		cmocka_unit_test_setup_teardown(test_preauth, setup_pki, teardown_pki),
		cmocka_unit_test_setup_teardown(test_flown, setup_pki, teardown_pki),
		cmocka_unit_test(test_compress),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
