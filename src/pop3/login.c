/* From parameters to a session: see login.h. */
#include "pop3/login.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "net/tls.h"

#define INITIAL_MAX 255         /* RFC 5034 section 4: a command with its initial response, CRLF included */
#define ROUNDS_MAX 16           /* no mechanism has as many */
#define RESPONSE_MAX (128 << 10)
#define SECRET_MS 120000        /* least time for a password command: it may ask a person */

/* What is needed to log in, gathered once. */
struct login {
	struct pop3_conn *c;
	const struct pop3_params *p;
	const char *user;
	struct strbuf password, token;
	bool has_password, has_token;
};

/* Known words in the texts of servers that don't use response codes (or not for everything). The first that fits counts. */
static const struct {
	const char *word, *not_with;
	enum err_kind kind;
	const char *hint;
} words[] = {
	{ "web login required", NULL, ERR_AUTH, "sign in once with a web browser, then try again" },
	{ "via your web browser", NULL, ERR_AUTH, "sign in once with a web browser, then try again" },
	{ "application-specific password", NULL, ERR_AUTH, "make an application password in the provider's account settings and use that" },
	{ "app password", NULL, ERR_AUTH, "make an application password in the provider's account settings and use that" },
	{ "pop access", NULL, ERR_AUTH, "switch POP3 on in the provider's mail settings" },
	{ "not enabled for pop", NULL, ERR_AUTH, "switch POP3 on in the provider's mail settings" },
	{ "lock", "account", ERR_BUSY, NULL },
	{ "in use", NULL, ERR_BUSY, NULL },
	{ "busy", NULL, ERR_BUSY, NULL },
	{ "too many", NULL, ERR_TEMP, NULL },
	{ "try again later", NULL, ERR_TEMP, NULL },
	{ "temporar", NULL, ERR_TEMP, NULL },
};

/* Make a refused login's error of the server's refusal. */
static int refused(const struct login *l, const char *mech, const char *more, struct err *e)
{
	const char *hint = NULL;

	if (!e)
		return -1;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!strcasestr(e->text, words[i].word) || (words[i].not_with && strcasestr(e->text, words[i].not_with)))
			continue;
		if (e->kind == ERR_REFUSED || e->kind == ERR_AUTH)
			hint = words[i].hint;
		if (e->kind == ERR_REFUSED)
			e->kind = words[i].kind;
		break;
	}
	if (e->kind == ERR_REFUSED)
		e->kind = ERR_AUTH;
	e->span = SPAN_ACCT;
	if (*more)
		err_hint(e, "%s", more);
	if (hint)
		err_hint(e, "%s", hint);
	return err_in(e, "login of %s by %s", l->user, mech);
}

/*
 * UTF8 (RFC 6856 section 2.1) makes the server give internationalised messages as they are instead of a surrogate. It is valid only before login. 1: it is queued,
 * and its answer is to be read.
 */
static int queue_utf8(struct pop3_conn *c, struct err *e)
{
	if (!(c->caps.have & POP3_CAP_UTF8))
		return 0;
	if (pop3_send(c, "UTF8") < 0)
		return err_set(e, ERR_LOCAL, "out of memory");
	if (!(c->caps.have & POP3_CAP_PIPELINING)) {
		struct err why = ERR_INIT;

		if (pop3_status(c, NULL, &why) < 0) {
			if (e)
				*e = why;
			return -1;
		}
		return 0;
	}
	return 1;
}

/* The answer to a queued UTF8. A refusal only means that messages may come downgraded. */
static int read_utf8(struct pop3_conn *c, int queued, struct err *e)
{
	struct err why = ERR_INIT;
	int r = queued ? pop3_status(c, NULL, &why) : 1;

	if (r == 0)
		log_debug("UTF8: %s", why.text);
	if (r < 0 && e)
		*e = why;
	return r < 0 ? -1 : 0;
}

/* Queue a line that holds a secret. */
static int send_secret(struct pop3_conn *c, const char *before, const struct strbuf *s, struct err *e)
{
	if (memchr(strbuf_str(s), '\0', s->len))
		return err_set(e, ERR_CONF, "the password holds a NUL, which can't be sent");
	if (pop3_send(c, "%s%s", before, strbuf_str(s)) < 0)
		return err_set(e, ERR_CONF, "the password holds a line end, or is too long: it can't be sent");
	return 0;
}

/* USER and PASS, in one flight where the server takes it. */
static int by_pass(struct login *l, struct err *e)
{
	struct pop3_conn *c = l->c;
	bool pipelining = c->caps.have & POP3_CAP_PIPELINING;
	int utf8, r = 1;

	if (!l->p->secure)
		return err_set(e, ERR_AUTH, "login of %s: the server takes only a plain password, and the connection is not encrypted "
		               "(use pop3s://, or pop3:// with STLS; or allow-plaintext = yes if you must)", l->user);
	utf8 = queue_utf8(c, e);
	if (utf8 < 0)
		return -1;
	if (pop3_send(c, "USER %s", l->user) < 0)
		return err_set(e, ERR_CONF, "the user name can't be sent: it is too long or holds a line end");
	if (!pipelining) {
		r = pop3_status(c, NULL, e);
		if (r < 0)
			return -1;
		if (r == 0)
			return refused(l, "USER", "", e);
	}
	if (pop3_secret(c, true, e) < 0 || send_secret(c, "PASS ", &l->password, e) < 0 || pop3_flush(c, e) < 0) {
		pop3_secret(c, false, NULL);
		return -1;
	}
	pop3_secret(c, false, NULL);
	if (read_utf8(c, utf8, e) < 0)
		return -1;
	if (pipelining) {
		struct err pass = ERR_INIT;
		int rp;

		r = pop3_status(c, NULL, e);
		if (r < 0)
			return -1;
		rp = pop3_status(c, NULL, &pass);
		if (rp >= 0 && r == 0)
			return refused(l, "USER", "", e);
		if (rp <= 0 && e)
			*e = pass;
		if (rp < 0)
			return -1;
		r = rp;
	} else {
		r = pop3_status(c, NULL, e);
	}
	return r < 0 ? -1 : r == 0 ? refused(l, "USER/PASS", "", e) : 0;
}

/* APOP (RFC 1939 section 7): MD5 over timestamp and password. Only when the person names it. */
static int by_apop(struct login *l, struct err *e)
{
	struct pop3_conn *c = l->c;
	EVP_MD_CTX *md;
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	char hex[33];
	bool ok;
	int utf8, r;

	if (!c->apop[0])
		return err_set(e, ERR_AUTH, "login of %s by APOP: the server's greeting holds no proper timestamp "
		               "(choose another mechanism: auth = {\"USER\"})", l->user);
	md = EVP_MD_CTX_new();
	ok = md && EVP_DigestInit_ex(md, EVP_md5(), NULL) == 1 && EVP_DigestUpdate(md, c->apop, strlen(c->apop)) == 1 &&
	     EVP_DigestUpdate(md, strbuf_str(&l->password), l->password.len) == 1 && EVP_DigestFinal_ex(md, sum, &n) == 1 && n == 16;
	EVP_MD_CTX_free(md);
	if (!ok)
		return err_set(e, ERR_LOCAL, "APOP: this system's OpenSSL does no MD5");
	for (size_t i = 0; i < 16; i++)
		snprintf(hex + 2 * i, 3, "%02x", sum[i]);
	utf8 = queue_utf8(c, e);
	if (utf8 < 0 || pop3_secret(c, true, e) < 0)
		return -1;
	r = pop3_send(c, "APOP %s %s", l->user, hex);
	explicit_bzero(hex, sizeof(hex));
	explicit_bzero(sum, sizeof(sum));
	if (r < 0)
		err_set(e, ERR_CONF, "the user name can't be sent: it is too long or holds a line end");
	else
		r = pop3_flush(c, e);
	pop3_secret(c, false, NULL);
	if (r < 0 || read_utf8(c, utf8, e) < 0)
		return -1;
	r = pop3_status(c, NULL, e);
	return r < 0 ? -1 : r == 0 ? refused(l, "APOP", "", e) : 0;
}

/* Queue AUTH, with the initial response if there is one and it is short. 1: it went along; 0: it waits for the server's "+". */
static int queue_auth(struct pop3_conn *c, struct sasl *s, const char *mech, struct strbuf *out, struct err *e)
{
	bool fits;

	if (!sasl_client_first(s))
		return pop3_send(c, "AUTH %s", mech) < 0 ? err_set(e, ERR_LOCAL, "out of memory") : 1;
	if (sasl_step(s, slice_of("", 0), out, e) < 0)
		return -1;
	fits = strlen("AUTH ") + strlen(mech) + 1 + (out->len ? out->len : 1) + 2 <= INITIAL_MAX;
	if (pop3_send(c, "AUTH %s%s%s", mech, fits ? " " : "", !fits ? "" : out->len ? strbuf_str(out) : "=") < 0)
		return err_set(e, ERR_LOCAL, "out of memory");
	if (fits)
		strbuf_clear(out);
	return fits;
}

/* Break the conversation off and read the refusal that answers; the error stands already. */
static int cancel(struct pop3_conn *c)
{
	struct err ignored = ERR_INIT;

	if (pop3_send(c, "*") == 0)
		pop3_status(c, NULL, &ignored);
	return -1;
}

/* The rounds behind AUTH. held: out is the initial response, which the server's first "+" asks for. */
static int rounds(struct login *l, struct sasl *s, const char *mech, bool held, struct strbuf *out, struct err *e)
{
	struct pop3_conn *c = l->c;
	struct slice text;

	for (int i = 0; i < ROUNDS_MAX; i++) {
		int r = pop3_challenge(c, &text, e);

		if (r < 0)
			return -1;
		if (r == 0)
			return refused(l, mech, sasl_failure(s), e);
		if (r == 1 && held)
			return err_set(e, ERR_AUTH, "login of %s by %s: the server says OK before it has seen anything", l->user, mech);
		if (r == 1)
			/* POP3 has no room for data with success: SCRAM's signature came as a challenge. */
			return sasl_finish(s, slice_of("", 0), e) < 0 ? err_in(e, "login of %s by %s", l->user, mech) : 0;
		if (!held) {
			strbuf_clear(out);
			if (sasl_step(s, text, out, e) < 0) {
				err_in(e, "login of %s by %s", l->user, mech);
				return cancel(c);
			}
		}
		held = false;
		if (pop3_send(c, "%s", strbuf_str(out)) < 0)
			return err_set(e, ERR_LOCAL, "out of memory");
		strbuf_clear(out);
	}
	err_set(e, ERR_PROTO, "login of %s by %s: the server asks without end", l->user, mech);
	return cancel(c);
}

/* AUTH (RFC 5034). */
static int by_sasl(struct login *l, const struct sasl_params *sp, const char *mech, const char *offered, struct err *e)
{
	struct pop3_conn *c = l->c;
	struct strbuf out = STRBUF_SECRET(RESPONSE_MAX);
	struct sasl *s = sasl_new(sp, mech, offered, e);
	int utf8, r = -1;

	if (!s)
		return err_in(e, "login of %s by %s", l->user, mech);
	utf8 = queue_utf8(c, e);
	if (utf8 < 0 || pop3_secret(c, true, e) < 0)
		goto out;
	r = queue_auth(c, s, mech, &out, e);
	if (r < 0 || pop3_flush(c, e) < 0 || read_utf8(c, utf8, e) < 0)
		r = -1;
	else
		r = rounds(l, s, mech, r == 0, &out, e);
out:
	pop3_secret(c, false, NULL);
	sasl_free(s);
	strbuf_release(&out);
	return r;
}

/* Whether the person's list names a mechanism. */
static bool named(const struct pop3_params *p, const char *mech)
{
	for (size_t i = 0; i < SASL_ALLOW_MAX && p->auth[i]; i++)
		if (strcasecmp(p->auth[i], mech) == 0)
			return true;
	return false;
}

/* What to offer the chooser: the server's list; without CAPA the SASL names that the person gave, since that is all there is to go by. */
static const char *offered_names(const struct login *l, struct strbuf *out)
{
	const struct pop3_caps *caps = &l->c->caps;

	if (caps->known)
		return caps->sasl;
	for (size_t i = 0; i < SASL_ALLOW_MAX && l->p->auth[i]; i++)
		if (strcasecmp(l->p->auth[i], "USER") != 0 && strcasecmp(l->p->auth[i], "APOP") != 0)
			strbuf_printf(out, "%s%s", out->len ? " " : "", l->p->auth[i]);
	return l->c->disabled & POP3_CAP_SASL ? "" : strbuf_str(out);
}

/* Without SASL: what the person's list says, in its order; USER and PASS when there is no list. */
static int without_sasl(struct login *l, struct err *e)
{
	const struct pop3_params *p = l->p;

	for (size_t i = 0; i < SASL_ALLOW_MAX && p->auth[i]; i++) {
		if (strcasecmp(p->auth[i], "APOP") == 0 && l->c->apop[0])
			return by_apop(l, e);
		if (strcasecmp(p->auth[i], "USER") == 0)
			return by_pass(l, e);
	}
	return named(p, "APOP") ? by_apop(l, e) : by_pass(l, e);
}

/* Take the best way in. */
static int authenticate(struct login *l, struct err *e)
{
	const struct pop3_params *p = l->p;
	struct strbuf names = STRBUF_INIT(1024);
	struct sasl_params sp = {
		.host = p->dial.host,
		.port = p->dial.port,
		.user = l->user,
		.password = l->has_password ? &l->password : NULL,
		.token = l->has_token ? &l->token : NULL,
		.certificate = p->dial.tls.client_cert != NULL,
		.secure = p->secure,
		.stream = l->c->s,
	};
	const char *offered = offered_names(l, &names), *mech = NULL;
	bool plain = !p->auth[0] || named(p, "USER") || named(p, "APOP"); /* ways of POP3's own are allowed */
	struct err why = ERR_INIT;
	int r;

	memcpy(sp.allow, p->auth, sizeof(sp.allow));
	if (*offered)
		mech = sasl_choose(&sp, offered, &why);
	if (mech)
		r = by_sasl(l, &sp, mech, offered, e);
	else if (plain && l->has_password && (!*offered || (l->c->caps.have & POP3_CAP_USER) || named(p, "USER") || named(p, "APOP")))
		r = without_sasl(l, e);
	else if (*offered) {
		if (e)
			*e = why;
		r = err_in(e, "login of %s", l->user);
	} else {
		r = err_set(e, ERR_AUTH, "login of %s: the server offers no SASL mechanisms, and USER/PASS %s", l->user,
		            l->has_password ? "is not in the auth list" : "needs a password");
	}
	strbuf_release(&names);
	return r;
}

/* Get password or token, before the server's clock runs: the command may ask a person. */
static int gather(struct login *l, struct err *e)
{
	const struct pop3_params *p = l->p;
	struct secret_params sp = p->secret;
	msec_t deadline = clock_in(p->dial.timeout > SECRET_MS ? p->dial.timeout : SECRET_MS);

	if (p->token_command) {
		struct secret_params token = { .command = p->token_command, .host = p->dial.host, .user = l->user, .port = p->dial.port };

		l->has_token = true;
		return secret_get(&token, &l->token, deadline, e) < 0 ? err_in(e, "token-command") : 0;
	}
	if (p->dial.tls.client_cert && !sp.command && !sp.file && !sp.literal && !sp.netrc)
		return 0; /* the certificate is the credential: nobody is asked */
	if (!sp.user)
		sp.user = p->user;
	if (!sp.host)
		sp.host = p->dial.host;
	if (!sp.port)
		sp.port = p->dial.port;
	l->has_password = true;
	return secret_get(&sp, &l->password, deadline, e);
}

/* Open and log in. */
int pop3_login(struct pop3_conn *c, const struct pop3_params *p, const char *user, struct net_stats *stats, struct err *e)
{
	struct login l = {
		.c = c,
		.p = p,
		.user = user ? user : p->user,
		.password = STRBUF_SECRET(SECRET_MAX),
		.token = STRBUF_SECRET(SECRET_MAX),
	};
	bool tls;
	int r = -1;

	memset(c, 0, sizeof(*c));
	if (gather(&l, e) < 0) {
		err_in(e, "%s", p->what);
		goto out;
	}
	if (pop3_open(c, &p->dial, p->disabled, p->what, p->remembered, stats, e) < 0)
		goto out;
	tls = stream_find(c->s, &tls_ops) != NULL;
	r = authenticate(&l, e);
	if (r < 0) {
		if (p->remembered)
			p->remembered->known = false; /* perhaps it is that which no longer holds */
		pop3_close(c);
		err_in(e, "%s", p->what);
	} else if (p->remembered && tls && c->caps.known) {
		*p->remembered = c->caps;
	}
out:
	strbuf_release(&l.password);
	strbuf_release(&l.token);
	return r;
}

/* Say goodbye. */
int pop3_quit(struct pop3_conn *c, struct err *e)
{
	int r;

	if (c->dead || c->in_body) {
		err_set(e, ERR_TEMP, "the connection is lost");
		pop3_close(c);
		return -1;
	}
	pop3_send(c, "QUIT");
	r = pop3_status(c, NULL, e);
	if (r > 0)
		stream_shut(c->s);
	pop3_close(c);
	return r > 0 ? 0 : err_in(e, "QUIT");
}

/* Say goodbye to somebody whose answer is of no interest. */
void pop3_bye(struct pop3_conn *c)
{
	if (!c->dead && !c->in_body && pop3_send(c, "QUIT") == 0 && pop3_flush(c, NULL) == 0)
		stream_shut(c->s);
	pop3_close(c);
}
