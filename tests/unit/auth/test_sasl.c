/* The choice of a mechanism, exact bytes of the small ones, and SCRAM against a server of our own, honest or lying. */
#include "../../lib/unit.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#ifdef HAVE_GSASL
#include <gsasl.h>
#endif

#include "auth/b64.h"
#include "auth/sasl.h"
#include "net/tls.h"

/* In place of the net layer's: what the link binds by. */
static const char *bind_type;
static const char bind_data[] = "\x01\xffthe channel\x80";

size_t tls_binding(struct stream *s, const char *type, unsigned char *out, size_t cap)
{
	assert_non_null(s);
	assert_true(cap >= sizeof(bind_data));
	if (!bind_type || strcmp(type, bind_type) != 0)
		return 0;
	memcpy(out, bind_data, sizeof(bind_data));
	return sizeof(bind_data);
}

/* ---- the choice ---- */

enum { PW = 1, TOK = 2, CERT = 4, SEC = 8, EXP = 16, UNI = 32 };

#define ALL "SCRAM-SHA-1 SCRAM-SHA-256 SCRAM-SHA-1-PLUS SCRAM-SHA-256-PLUS EXTERNAL OAUTHBEARER XOAUTH2 CRAM-MD5 PLAIN LOGIN"

/* want: the mechanism, or part of the error. */
static const struct {
	const char *offered;
	int have;
	const char *allow[3];
	const char *want, *error;
} choices[] = {
	{ ALL, PW | SEC | EXP, { 0 }, "SCRAM-SHA-256-PLUS", 0 },
	{ ALL, PW | SEC | UNI, { 0 }, "SCRAM-SHA-256-PLUS", 0 },
	{ ALL, PW | SEC, { 0 }, "SCRAM-SHA-256", 0 },
	{ ALL, PW, { 0 }, "SCRAM-SHA-256", 0 },
	{ ALL, PW | SEC | EXP | CERT, { 0 }, "SCRAM-SHA-256-PLUS", 0 },
	{ ALL, SEC | EXP | CERT, { 0 }, "EXTERNAL", 0 },
	{ ALL, TOK | SEC | EXP, { 0 }, "OAUTHBEARER", 0 },
	{ ALL, TOK | PW | CERT | SEC | EXP, { 0 }, "OAUTHBEARER", 0 },
	{ "SCRAM-SHA-1-PLUS SCRAM-SHA-256 PLAIN", PW | SEC | EXP, { 0 }, "SCRAM-SHA-1-PLUS", 0 },
	{ "SCRAM-SHA-1-PLUS SCRAM-SHA-1 PLAIN", PW | SEC, { 0 }, "SCRAM-SHA-1", 0 },
	{ "scram-sha-1 plain", PW | SEC, { 0 }, "SCRAM-SHA-1", 0 },
	{ "LOGIN PLAIN CRAM-MD5", PW | SEC, { 0 }, "CRAM-MD5", 0 },
	{ "LOGIN PLAIN CRAM-MD5", PW, { 0 }, "CRAM-MD5", 0 },
	{ "LOGIN PLAIN", PW | SEC, { 0 }, "PLAIN", 0 },
	{ "  LOGIN\t", PW | SEC, { 0 }, "LOGIN", 0 },
	{ "XOAUTH2 PLAIN", TOK | SEC, { 0 }, "XOAUTH2", 0 },
	{ "EXTERNAL PLAIN", PW | CERT | SEC, { 0 }, "EXTERNAL", 0 },
	{ "XOAUTH2 PLAIN", PW | SEC, { 0 }, "PLAIN", 0 },
	/* the person's list, in any case and order */
	{ ALL, PW | SEC | EXP, { "plain" }, "PLAIN", 0 },
	{ ALL, PW | SEC | EXP, { "Login", "Plain" }, "PLAIN", 0 },
	{ ALL, PW | SEC | EXP, { "SCRAM-SHA-256" }, "SCRAM-SHA-256", 0 },
	{ ALL, PW | SEC | EXP, { "USER", "LOGIN" }, "LOGIN", 0 },
	/* nothing fits */
	{ "", PW | SEC, { 0 }, 0, "offers none; allowed: all" },
	{ 0, PW | SEC, { 0 }, 0, "offers none" },
	{ "GSSAPI NTLM", PW | SEC, { 0 }, 0, "offers GSSAPI NTLM" },
	{ "USER APOP", PW | SEC, { 0 }, 0, "offers USER APOP" },
	{ "PLAINX XPLAIN", PW | SEC, { 0 }, 0, "no login method fits" },
	{ "PLAIN LOGIN", PW, { 0 }, 0, "use TLS" },
	{ "XOAUTH2", TOK, { 0 }, 0, "use TLS" },
	{ "PLAIN", PW | SEC, { "SCRAM-SHA-1", "CRAM-MD5" }, 0, "allowed: SCRAM-SHA-1 CRAM-MD5 (PLAIN would do" },
	{ "XOAUTH2 OAUTHBEARER", PW | SEC, { 0 }, 0, "token-command" },
	{ "PLAIN", TOK | PW | SEC, { 0 }, 0, "needs a password and no token-command" },
	{ "PLAIN", SEC, { 0 }, 0, "needs a password" },
	{ "EXTERNAL", PW | SEC, { 0 }, 0, "client certificate" },
	{ "SCRAM-SHA-1-PLUS", PW | SEC, { 0 }, 0, "needs TLS 1.3" },
	{ "SCRAM-SHA-1-PLUS PLAIN", PW, { 0 }, 0, "use TLS" },
};

static void test_choose(void **state)
{
	struct strbuf password = STRBUF_SECRET(64), token = STRBUF_SECRET(64);
	struct stream link = { 0 };

	(void)state;
	strbuf_puts(&password, "p");
	strbuf_puts(&token, "t");
	for (size_t i = 0; i < COUNT(choices); i++) {
		int have = choices[i].have;
		struct sasl_params p = { .user = "u",
					 .password = have & PW ? &password : NULL,
					 .token = have & TOK ? &token : NULL,
					 .certificate = have & CERT,
					 .secure = have & SEC,
					 .stream = &link };
		struct err e = ERR_INIT;
		const char *got;

		bind_type = have & EXP ? "tls-exporter" : have & UNI ? "tls-unique" : NULL;
		memcpy(p.allow, choices[i].allow, sizeof(choices[i].allow));
		got = sasl_choose(&p, choices[i].offered, &e);
		if (choices[i].want) {
			if (!got || strcmp(got, choices[i].want) != 0)
				fail_msg("row %zu: %s %s", i, got ? got : "nothing", e.text);
		} else {
			if (got || e.kind != ERR_AUTH || !strstr(e.text, choices[i].error))
				fail_msg("row %zu: %s %s", i, got ? got : "nothing", e.text);
		}
	}
	strbuf_release(&password);
	strbuf_release(&token);
}

/* A full list, with no NULL behind it, and an offer of terminal escapes. */
static void test_choose_limits(void **state)
{
	struct strbuf password = STRBUF_SECRET(64);
	struct sasl_params p = { .user = "u", .password = &password, .secure = true };
	struct err e = ERR_INIT;
	char offered[4096];

	(void)state;
	strbuf_puts(&password, "p");
	for (int i = 0; i < SASL_ALLOW_MAX; i++)
		p.allow[i] = "SCRAM-SHA-256-PLUS";
	memset(offered, 'A', sizeof(offered) - 1);
	offered[sizeof(offered) - 1] = '\0';
	memcpy(offered, "\033[2J", 4);
	assert_null(sasl_choose(&p, offered, &e));
	assert_null(strchr(e.text, '\033'));
	strbuf_release(&password);
}

static void test_names(void **state)
{
	static const char *const shown[] = { "PLAIN", "login", "XOAUTH2", "OAUTHBEARER", "USER" };
	static const char *const hidden[] = { "SCRAM-SHA-1", "CRAM-MD5", "EXTERNAL", "APOP", "", "PLAINX" };
	size_t n = 0;

	(void)state;
	while (sasl_names()[n])
		n++;
	assert_int_equal(n, 12);
	assert_string_equal(sasl_names()[0], "SCRAM-SHA-256-PLUS");
	assert_string_equal(sasl_names()[n - 1], "USER");
	for (size_t i = 0; i < COUNT(shown); i++)
		assert_true(sasl_plaintext(shown[i]));
	for (size_t i = 0; i < COUNT(hidden); i++)
		assert_false(sasl_plaintext(hidden[i]));
}

/* ---- exact bytes ---- */

/* Responses to challenges, decoded; a NUL is written "|", ^A "^". NULL ends; first: an initial response. */
static const struct {
	const char *mech, *authzid;
	bool first;
	const char *talk[6]; /* challenge (plain text), response, ... */
} talks[] = {
	{ "PLAIN", NULL, true, { "", "|jane|s,e=c" } },
	{ "plain", "boss", true, { "", "boss|jane|s,e=c" } },
	{ "LOGIN", NULL, false, { "Username:", "jane", "Password:", "s,e=c" } },
	{ "LOGIN", NULL, false, { "User Name\001", "jane", "whatever", "s,e=c" } },
	{ "CRAM-MD5", NULL, false, { "<1896.697170952@postoffice.reston.mci.net>", "jane 683d28d7448ffe8080b8ff6352e1d490" } },
	{ "EXTERNAL", NULL, true, { "", "" } },
	{ "EXTERNAL", "boss", true, { "", "boss" } },
	{ "XOAUTH2", NULL, true, { "", "user=jane^auth=Bearer ya29.tok==^^" } },
	{ "XOAUTH2", NULL, true, { "", "user=jane^auth=Bearer ya29.tok==^^", "{\"status\":\"400\"}", "" } },
	{ "OAUTHBEARER", NULL, true, { "", "n,a=jane,^host=h.example^port=993^auth=Bearer ya29.tok==^^" } },
	{ "OAUTHBEARER", "b,=", true, { "", "n,a=b=2C=3D,^host=h.example^port=993^auth=Bearer ya29.tok==^^",
					"{\"status\":\"invalid_token\"}", "^" } },
};

static struct strbuf good_password, good_token;

static struct sasl_params good_params(const char *authzid)
{
	return (struct sasl_params){ .user = "jane", .authzid = authzid, .password = &good_password,
				     .host = "h.example", .port = "993", .certificate = true, .secure = true };
}

static int setup(void **state)
{
	(void)state;
	good_password = (struct strbuf)STRBUF_SECRET(64);
	good_token = (struct strbuf)STRBUF_SECRET(64);
	strbuf_puts(&good_password, "s,e=c");
	strbuf_puts(&good_token, "ya29.tok==");
	bind_type = NULL;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	strbuf_release(&good_password);
	strbuf_release(&good_token);
	return 0;
}

/* Say a challenge in plain text, expect a response in plain text. */
static void expect(struct sasl *s, const char *challenge, const char *response)
{
	struct strbuf in = STRBUF_INIT(8192), out = STRBUF_SECRET(8192), plain = STRBUF_SECRET(8192);
	struct err e = ERR_INIT;

	b64_encode(slice_str(challenge), &in);
	if (sasl_step(s, strbuf_slice(&in), &out, &e) != 1)
		fail_msg("%s", e.text);
	assert_int_equal(b64_decode(strbuf_slice(&out), &plain), 0);
	for (size_t i = 0; i < plain.len; i++)
		plain.s[i] = (char)(plain.s[i] == '\0' ? '|' : plain.s[i] == '\001' ? '^' : plain.s[i]);
	assert_string_equal(strbuf_str(&plain), response);
	strbuf_release(&in);
	strbuf_release(&out);
	strbuf_release(&plain);
}

static void test_talks(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(talks); i++) {
		struct sasl_params p = good_params(talks[i].authzid);
		struct strbuf out = STRBUF_SECRET(8192);
		struct err e = ERR_INIT;
		struct sasl *s;
		size_t k = 0;
		bool failed;

		if (strstr(talks[i].mech, "OAUTH"))
			p.token = &good_token;
		s = sasl_new(&p, talks[i].mech, talks[i].mech, &e);
		if (!s)
			fail_msg("row %zu: %s", i, e.text);
		assert_int_equal(sasl_client_first(s), talks[i].first);
		/* OK before we have spoken is no OK */
		assert_int_equal(sasl_finish(s, SLICE_LIT(""), &e), -1);
		assert_int_equal(e.kind, ERR_PROTO);
		assert_string_equal(sasl_failure(s), "");
		for (; talks[i].talk[k]; k += 2)
			expect(s, talks[i].talk[k], talks[i].talk[k + 1]);
		failed = strstr(talks[i].mech, "OAUTH") && k == 4;
		assert_string_equal(sasl_failure(s), failed ? talks[i].talk[2] : "");
		assert_int_equal(sasl_finish(s, SLICE_LIT(""), &e), failed ? -1 : 0);
		/* one challenge too many; OAuth takes an error once */
		if (!strstr(talks[i].mech, "OAUTH") || failed) {
			assert_int_equal(sasl_step(s, SLICE_LIT("eA=="), &out, &e), -1);
			assert_int_equal(e.kind, ERR_PROTO);
			assert_int_equal(out.len, 0);
		}
		sasl_free(s);
		strbuf_release(&out);
	}
}

/* RFC 2195 section 2. */
static void test_cram_vector(void **state)
{
	struct strbuf password = STRBUF_SECRET(64);
	struct sasl_params p = { .user = "tim", .password = &password };
	struct err e = ERR_INIT;
	struct strbuf out = STRBUF_SECRET(256);
	struct sasl *s;

	(void)state;
	strbuf_puts(&password, "tanstaaftanstaaf");
	s = sasl_new(&p, "CRAM-MD5", "CRAM-MD5", &e);
	assert_non_null(s);
	strbuf_release(&password); /* a copy was taken */
	assert_int_equal(sasl_step(s, SLICE_LIT("PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+"), &out, &e), 1);
	assert_string_equal(strbuf_str(&out), "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw");
	strbuf_release(&out);
	sasl_free(s);
}

/* Challenges that are refused. */
static void test_bad_challenges(void **state)
{
	struct sasl_params p = good_params(NULL);
	struct strbuf big = STRBUF_INIT(65536), out = STRBUF_SECRET(8192);
	struct err e = ERR_INIT;
	struct sasl *s;
	size_t sizes[] = { 2048, 40000 };

	(void)state;
	s = sasl_new(&p, "CRAM-MD5", "", &e);
	assert_non_null(s);
	assert_int_equal(sasl_step(s, SLICE_LIT(""), &out, &e), -1);
	assert_int_equal(sasl_step(s, SLICE_LIT("not base64"), &out, &e), -1);
	assert_non_null(strstr(e.text, "not base64"));
	for (size_t i = 0; i < 2; i++) {
		strbuf_clear(&big);
		while (big.len < sizes[i])
			strbuf_puts(&big, "AAAA");
		err_clear(&e);
		assert_int_equal(sasl_step(s, strbuf_slice(&big), &out, &e), -1);
		assert_int_equal(e.kind, ERR_PROTO);
		assert_non_null(strstr(e.text, "acceptable"));
	}
	assert_int_equal(out.len, 0);
	sasl_free(s);
	strbuf_release(&big);
	strbuf_release(&out);
}

/* The error of an OAuth server is printable and of bounded length; one without text is still one. */
static void test_failure(void **state)
{
	struct sasl_params p = good_params(NULL);
	struct strbuf out = STRBUF_SECRET(8192), big = STRBUF_INIT(16384), coded = STRBUF_INIT(16384);
	struct err e = ERR_INIT;
	struct sasl *s;

	(void)state;
	p.token = &good_token;
	for (int round = 0; round < 2; round++) {
		s = sasl_new(&p, "XOAUTH2", "XOAUTH2", &e);
		assert_non_null(s);
		assert_int_equal(sasl_step(s, SLICE_LIT(""), &out, &e), 1);
		strbuf_clear(&out);
		while (round == 0 && big.len < 6000)
			strbuf_puts(&big, "{\"status\":\"401\",\033[2J");
		strbuf_clear(&coded);
		b64_encode(round ? SLICE_LIT("") : strbuf_slice(&big), &coded);
		assert_int_equal(sasl_step(s, strbuf_slice(&coded), &out, &e), 1);
		assert_int_equal(out.len, 0);
		assert_true(strlen(sasl_failure(s)) > 0 && strlen(sasl_failure(s)) < 512);
		assert_null(strchr(sasl_failure(s), '\033'));
		assert_int_equal(sasl_finish(s, SLICE_LIT(""), &e), -1);
		sasl_free(s);
	}
	strbuf_release(&out);
	strbuf_release(&big);
	strbuf_release(&coded);
}

/* What can't be sent is refused before anything is. want: part of the error. */
static const struct {
	const char *mech, *user, *authzid, *password, *token;
	size_t password_len;
	bool secure;
	enum err_kind kind;
	const char *want;
} refusals[] = {
	{ "PLAIN", "u", NULL, "p\0q", NULL, 3, true, ERR_CONF, "NUL" },
	{ "LOGIN", "u", NULL, "p\0q", NULL, 3, true, ERR_CONF, "NUL" },
	{ "SCRAM-SHA-256", "u", NULL, "p\0q", NULL, 3, true, ERR_CONF, "NUL" },
	{ "PLAIN", "u", NULL, "p", NULL, 1, false, ERR_AUTH, "use TLS" },
	{ "LOGIN", "u", NULL, "p", NULL, 1, false, ERR_AUTH, "use TLS" },
	{ "XOAUTH2", "u", NULL, NULL, "t", 0, false, ERR_AUTH, "use TLS" },
	{ "OAUTHBEARER", "u", NULL, NULL, "t", 0, false, ERR_AUTH, "use TLS" },
	{ "PLAIN", "u", NULL, "", NULL, 0, true, ERR_CONF, "no password" },
	{ "PLAIN", "u", NULL, NULL, NULL, 0, true, ERR_CONF, "no password" },
	{ "XOAUTH2", "u", NULL, "p", NULL, 1, true, ERR_CONF, "no access token" },
	{ "EXTERNAL", "u", NULL, "p", NULL, 1, true, ERR_CONF, "no client certificate" },
	{ "PLAIN", "", NULL, "p", NULL, 1, true, ERR_CONF, "no user name" },
	{ "SCRAM-SHA-1", NULL, NULL, "p", NULL, 1, true, ERR_CONF, "no user name" },
	{ "XOAUTH2", "u\001auth=", NULL, NULL, "t", 0, true, ERR_CONF, "control character" },
	{ "PLAIN", "u", "z\n", "p", NULL, 1, true, ERR_CONF, "control character" },
	{ "XOAUTH2", "u", NULL, NULL, "t\001\001", 0, true, ERR_CONF, "access token holds" },
	{ "XOAUTH2", "u", NULL, NULL, "t x", 0, true, ERR_CONF, "access token holds" },
	{ "OAUTHBEARER", "u", NULL, NULL, "t\r", 0, true, ERR_CONF, "access token holds" },
	{ "SCRAM-SHA-256-PLUS", "u", NULL, "p", NULL, 1, true, ERR_CONF, "no channel binding" },
	{ "APOP", "u", NULL, "p", NULL, 1, true, ERR_BUG, "no SASL mechanism" },
	{ "NTLM", "u", NULL, "p", NULL, 1, true, ERR_BUG, "no SASL mechanism" },
};

static void test_refusals(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(refusals); i++) {
		struct strbuf password = STRBUF_SECRET(64), token = STRBUF_SECRET(64);
		struct sasl_params p = { .user = refusals[i].user, .authzid = refusals[i].authzid,
					 .secure = refusals[i].secure };
		struct err e = ERR_INIT;

		if (refusals[i].password) {
			strbuf_put(&password, refusals[i].password, refusals[i].password_len);
			p.password = &password;
		}
		if (refusals[i].token) {
			strbuf_puts(&token, refusals[i].token);
			p.token = &token;
		}
		assert_null(sasl_new(&p, refusals[i].mech, refusals[i].mech, &e));
		if (e.kind != refusals[i].kind || !strstr(e.text, refusals[i].want))
			fail_msg("row %zu: %s", i, e.text);
		strbuf_release(&password);
		strbuf_release(&token);
	}
}

/* ---- SCRAM against a server ---- */

enum lie { HONEST, WRONG_PROOF, NO_PROOF, FOREIGN_NONCE, SHORT_NONCE, FEW_ROUNDS, MANY_ROUNDS, ERROR_FINAL };

struct server {
	const EVP_MD *md;
	enum lie lie;
	char header[256], bare[512], first[512], nonce[128];
	char final[128]; /* "v=..." */
};

static const unsigned char salt[] = "0123456789abcde";

/* base64 text of bytes into a buffer. */
static void code(char *out, size_t size, const void *p, size_t n)
{
	struct strbuf b = STRBUF_INIT(4096);

	assert_int_equal(b64_encode(slice_of(p, n), &b), 0);
	assert_true(b.len < size);
	memcpy(out, strbuf_str(&b), b.len + 1);
	strbuf_release(&b);
}

/* Bytes of base64 text. */
static size_t uncode(void *out, size_t size, struct slice text)
{
	struct strbuf b = STRBUF_INIT(4096);
	size_t n;

	assert_int_equal(b64_decode(text, &b), 0);
	n = b.len;
	assert_true(n < size);
	memcpy(out, strbuf_str(&b), n + 1);
	strbuf_release(&b);
	return n;
}

/* Read the client's first message, answer (base64 in out). */
static void server_first(struct server *sv, struct slice message, struct strbuf *out)
{
	char text[768], salt64[64], rounds[16] = "4096";
	char *bare, *r;

	uncode(text, sizeof(text), message);
	bare = strchr(text, ',');
	assert_non_null(bare);
	bare = strchr(bare + 1, ',');
	assert_non_null(bare);
	bare++;
	snprintf(sv->header, sizeof(sv->header), "%.*s", (int)(bare - text), text);
	snprintf(sv->bare, sizeof(sv->bare), "%s", bare);
	r = strstr(bare, ",r=");
	assert_non_null(r);
	snprintf(sv->nonce, sizeof(sv->nonce), "%s%s", r + 3, sv->lie == SHORT_NONCE ? "" : "server+part");
	if (sv->lie == FOREIGN_NONCE)
		sv->nonce[3] = (char)(sv->nonce[3] == 'A' ? 'B' : 'A');
	if (sv->lie == FEW_ROUNDS)
		snprintf(rounds, sizeof(rounds), "1");
	if (sv->lie == MANY_ROUNDS)
		snprintf(rounds, sizeof(rounds), "4000000000");
	code(salt64, sizeof(salt64), salt, sizeof(salt));
	snprintf(sv->first, sizeof(sv->first), "r=%s,s=%s,i=%s", sv->nonce, salt64, rounds);
	b64_encode(slice_str(sv->first), out);
}

/* Check the client's proof as RFC 5802 section 3 says; sets the final message. Returns whether the password was right. */
static bool server_final(struct server *sv, struct slice message, const char *password, const char *bound, size_t n)
{
	unsigned char salted[64], client[64], stored[64], key[64], sig[64], proof[64];
	unsigned size = (unsigned)EVP_MD_get_size(sv->md);
	char text[1024], auth[3072], c64[512], v64[128];
	unsigned char input[512];
	char *p;

	uncode(text, sizeof(text), message);
	p = strstr(text, ",p=");
	assert_non_null(p);
	*p = '\0';
	assert_int_equal(uncode(proof, sizeof(proof), slice_str(p + 3)), size);
	memcpy(input, sv->header, strlen(sv->header));
	memcpy(input + strlen(sv->header), bound, n);
	code(c64, sizeof(c64), input, strlen(sv->header) + n);
	snprintf(auth, sizeof(auth), "c=%s,r=%s", c64, sv->nonce);
	assert_string_equal(text, auth);
	snprintf(auth, sizeof(auth), "%s,%s,%s", sv->bare, sv->first, text);
	PKCS5_PBKDF2_HMAC(password, (int)strlen(password), salt, sizeof(salt), 4096, sv->md, (int)size, salted);
	HMAC(sv->md, salted, (int)size, (const unsigned char *)"Client Key", 10, client, NULL);
	EVP_Digest(client, size, stored, NULL, sv->md, NULL);
	HMAC(sv->md, stored, (int)size, (const unsigned char *)auth, strlen(auth), sig, NULL);
	for (unsigned i = 0; i < size; i++)
		sig[i] ^= proof[i];
	HMAC(sv->md, salted, (int)size, (const unsigned char *)"Server Key", 10, key, NULL);
	HMAC(sv->md, key, (int)size, (const unsigned char *)auth, strlen(auth), stored, NULL);
	if (sv->lie == WRONG_PROOF)
		stored[size - 1] ^= 1;
	code(v64, sizeof(v64), stored, size);
	snprintf(sv->final, sizeof(sv->final), sv->lie == ERROR_FINAL ? "e=other-error" : "v=%s", v64);
	return memcmp(sig, client, size) == 0;
}

/* how the final message travels */
enum way { CHALLENGE, FINAL_DATA, TWICE };

/* One conversation. Returns 0 when the client is content; the header goes to *sv. */
static int converse(struct server *sv, const struct sasl_params *p, const char *mech, const char *offered, enum way way,
		    const char *bound, size_t bound_len, struct err *e)
{
	struct sasl *s = sasl_new(p, mech, offered, e);
	struct strbuf out = STRBUF_SECRET(8192), in = STRBUF_INIT(8192), fin = STRBUF_INIT(256);
	int rc = -1;

	if (!s)
		fail_msg("%s", e->text);
	assert_true(sasl_client_first(s));
	assert_int_equal(sasl_step(s, SLICE_LIT(""), &out, e), 1);
	server_first(sv, strbuf_slice(&out), &in);
	strbuf_clear(&out);
	/* a server that says OK at once has proved nothing */
	assert_int_equal(sasl_finish(s, SLICE_LIT(""), e), -1);
	err_clear(e);
	if (sasl_step(s, strbuf_slice(&in), &out, e) != 1)
		goto out;
	assert_true(server_final(sv, strbuf_slice(&out), "s,e=c", bound, bound_len));
	b64_encode(slice_str(sv->final), &fin);
	strbuf_clear(&out);
	if (way != FINAL_DATA) {
		if (sv->lie != NO_PROOF && sasl_step(s, strbuf_slice(&fin), &out, e) != 1)
			goto out;
		assert_int_equal(out.len, 0);
		if (sv->lie == HONEST) { /* and no challenge more */
			struct err other = ERR_INIT;

			assert_int_equal(sasl_step(s, strbuf_slice(&fin), &out, &other), -1);
		}
	}
	rc = sasl_finish(s, sv->lie == NO_PROOF || way == CHALLENGE ? SLICE_LIT("") : strbuf_slice(&fin), e);
out:
	sasl_free(s);
	strbuf_release(&out);
	strbuf_release(&in);
	strbuf_release(&fin);
	return rc;
}

static void test_scram_lies(void **state)
{
	static const struct {
		enum lie lie;
		enum err_kind kind;
		const char *want;
	} rows[] = {
		{ HONEST, ERR_NONE, "" },
		{ WRONG_PROOF, ERR_AUTH, "proof is wrong" },
		{ NO_PROOF, ERR_AUTH, "without proving" },
		{ FOREIGN_NONCE, ERR_PROTO, "nonce" },
		{ SHORT_NONCE, ERR_PROTO, "nonce" },
		{ FEW_ROUNDS, ERR_PROTO, "1 iterations" },
		{ MANY_ROUNDS, ERR_PROTO, "4000000000 iterations" },
		{ ERROR_FINAL, ERR_AUTH, "other-error" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		for (int sha256 = 0; sha256 < 2; sha256++) {
			for (int way = CHALLENGE; way <= TWICE; way++) {
				struct server sv = { .md = sha256 ? EVP_sha256() : EVP_sha1(), .lie = rows[i].lie };
				struct sasl_params p = good_params("a=b,c");
				struct err e = ERR_INIT;
				const char *mech = sha256 ? "SCRAM-SHA-256" : "SCRAM-SHA-1";
				int rc = converse(&sv, &p, mech, mech, (enum way)way, "", 0, &e);

				if (rc != (rows[i].kind ? -1 : 0) || e.kind != rows[i].kind ||
				    !strstr(e.text, rows[i].want))
					fail_msg("row %zu way %d: %d %s", i, way, rc, e.text);
				assert_string_equal(sv.header, "n,a=a=3Db=2Cc,");
			}
		}
	}
}

/* The flag of RFC 5802 section 6, seen by the server. */
static void test_scram_flags(void **state)
{
	static const struct {
		const char *link, *mech, *offered, *header;
	} rows[] = {
		{ "tls-exporter", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256-PLUS SCRAM-SHA-256", "p=tls-exporter,," },
		{ "tls-unique", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256-PLUS", "p=tls-unique,," },
		{ "tls-unique", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-1-PLUS", "p=tls-unique,," },
		{ "tls-exporter", "SCRAM-SHA-256", "SCRAM-SHA-256 PLAIN", "y,," },
		{ "tls-exporter", "SCRAM-SHA-1", NULL, "y,," },
		{ "tls-exporter", "SCRAM-SHA-1", "X-PLUS SCRAM-PLUSX", "y,," },
		/* -PLUS was offered but left out by the person's list, or has a hash that we don't know: "y" would be refused */
		{ "tls-exporter", "SCRAM-SHA-256", "SCRAM-SHA-256 SCRAM-SHA-256-PLUS", "n,," },
		{ "tls-exporter", "SCRAM-SHA-256", "SCRAM-SHA-256 scram-sha3-512-plus", "n,," },
		{ NULL, "SCRAM-SHA-256", "SCRAM-SHA-256 SCRAM-SHA-256-PLUS", "n,," },
		{ NULL, "SCRAM-SHA-256", "SCRAM-SHA-256", "n,," },
	};
	struct stream link = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		bool sha256 = strstr(rows[i].mech, "256") != NULL, plus = strstr(rows[i].mech, "PLUS") != NULL;
		struct server sv = { .md = sha256 ? EVP_sha256() : EVP_sha1() };
		struct sasl_params p = good_params(NULL);
		struct err e = ERR_INIT;

		bind_type = rows[i].link;
		p.stream = &link;
		if (converse(&sv, &p, rows[i].mech, rows[i].offered, CHALLENGE, bind_data, plus ? sizeof(bind_data) : 0,
			     &e) < 0)
			fail_msg("row %zu: %s", i, e.text);
		assert_string_equal(sv.header, rows[i].header);
	}
	bind_type = NULL;
}

#ifdef HAVE_GSASL
/* What GNU SASL's servers ask: they know the password, and bind by what the link has. */
static int oracle_asks(Gsasl *ctx, Gsasl_session *session, Gsasl_property prop)
{
	char coded[64];

	(void)ctx;
	if (prop == GSASL_PASSWORD)
		return gsasl_property_set(session, prop, "p\xc3\xa4ss,=");
	if (!bind_type || prop != (strcmp(bind_type, "tls-unique") == 0 ? GSASL_CB_TLS_UNIQUE : GSASL_CB_TLS_EXPORTER))
		return GSASL_NO_CALLBACK;
	code(coded, sizeof(coded), bind_data, sizeof(bind_data));
	return gsasl_property_set(session, prop, coded);
}

/* Talk to GNU SASL's server of a mechanism; whether both are content. */
static bool oracle_agrees(Gsasl *ctx, const struct sasl_params *p, const char *mech, const char *offered)
{
	struct strbuf out = STRBUF_SECRET(8192);
	struct err e = ERR_INIT;
	struct sasl *s = sasl_new(p, mech, offered, &e);
	Gsasl_session *server;
	char *said = NULL;
	int rc = GSASL_NEEDS_MORE;
	bool ok;

	assert_non_null(s);
	assert_int_equal(gsasl_server_start(ctx, mech, &server), GSASL_OK);
	if (!sasl_client_first(s))
		rc = gsasl_step64(server, "", &said);
	for (int turn = 0; rc == GSASL_NEEDS_MORE && turn < 4; turn++) {
		strbuf_clear(&out);
		assert_int_equal(sasl_step(s, slice_str(said), &out, &e), 1);
		gsasl_free(said);
		said = NULL;
		rc = gsasl_step64(server, strbuf_str(&out), &said);
	}
	ok = rc == GSASL_OK && sasl_finish(s, slice_str(said), &e) == 0;
	gsasl_free(said);
	gsasl_finish(server);
	sasl_free(s);
	strbuf_release(&out);
	return ok;
}

/* Another's servers, as judges. */
static void test_oracle(void **state)
{
	static const struct {
		const char *link, *mech, *offered;
		bool agrees;
	} rows[] = {
		{ "tls-exporter", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256-PLUS", true },
		{ "tls-unique", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-1-PLUS", true },
		/* the server can bind, but somebody took -PLUS out of its offer: found out */
		{ "tls-exporter", "SCRAM-SHA-256", "SCRAM-SHA-256", false },
		{ "tls-exporter", "SCRAM-SHA-256", "SCRAM-SHA-256 SCRAM-SHA-256-PLUS", true },
		{ NULL, "SCRAM-SHA-1", "SCRAM-SHA-1", true },
		{ NULL, "CRAM-MD5", "CRAM-MD5", true },
	};
	struct strbuf password = STRBUF_SECRET(64);
	struct stream link = { 0 };
	struct sasl_params p = { .user = "a,b=\xc3\xa4", .password = &password, .stream = &link };
	Gsasl *ctx;

	(void)state;
	assert_int_equal(gsasl_init(&ctx), GSASL_OK);
	gsasl_callback_set(ctx, oracle_asks);
	strbuf_puts(&password, "p\xc3\xa4ss,=");
	for (size_t i = 0; i < COUNT(rows); i++) {
		bind_type = rows[i].link;
		if (oracle_agrees(ctx, &p, rows[i].mech, rows[i].offered) != rows[i].agrees)
			fail_msg("row %zu", i);
	}
	bind_type = NULL;
	strbuf_release(&password);
	gsasl_done(ctx);
}
#endif

/* A whole token of 64 KiB goes through, a secret beyond all limits does not. */
static void test_long(void **state)
{
	struct strbuf token = STRBUF_SECRET(200000), out = STRBUF_SECRET(131072);
	struct sasl_params p = good_params(NULL);
	struct err e = ERR_INIT;
	struct sasl *s;

	(void)state;
	while (token.len < 65536)
		strbuf_puts(&token, "abcdefgh");
	p.token = &token;
	s = sasl_new(&p, "OAUTHBEARER", "", &e);
	assert_non_null(s);
	assert_int_equal(sasl_step(s, SLICE_LIT(""), &out, &e), 1);
	assert_true(out.len > 65536 / 3 * 4);
	sasl_free(s);
	strbuf_release(&out);
	out = (struct strbuf)STRBUF_SECRET(1000);
	s = sasl_new(&p, "XOAUTH2", "", &e);
	assert_non_null(s);
	assert_int_equal(sasl_step(s, SLICE_LIT(""), &out, &e), -1);
	assert_int_equal(out.len, 0);
	sasl_free(s);
	while (token.len < 150000)
		strbuf_puts(&token, "abcdefgh");
	assert_null(sasl_new(&p, "XOAUTH2", "", &e));
	assert_non_null(strstr(e.text, "too long"));
	strbuf_release(&token);
	strbuf_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_choose),
		cmocka_unit_test(test_choose_limits),
		cmocka_unit_test(test_names),
		cmocka_unit_test_setup_teardown(test_talks, setup, teardown),
		cmocka_unit_test(test_cram_vector),
		cmocka_unit_test_setup_teardown(test_bad_challenges, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failure, setup, teardown),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test_setup_teardown(test_scram_lies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_scram_flags, setup, teardown),
#ifdef HAVE_GSASL
		cmocka_unit_test(test_oracle),
#endif
		cmocka_unit_test_setup_teardown(test_long, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
