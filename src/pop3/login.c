/* From parameters to a session: see login.h. */
#include "pop3/login.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "auth/login.h"
#include "base/log.h"
#include "net/tls.h"

#define INITIAL_MAX 255         /* RFC 5034 section 4: a command with its initial response, CRLF included */
#define RESPONSE_MAX (128 << 10)

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
static int by_pass(struct pop3_conn *c, const struct login *l, struct err *e)
{
	bool pipelining = c->caps.have & POP3_CAP_PIPELINING;
	int utf8, r = 1;

	if (!l->g->secure)
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
			return login_refused(l, "USER", "", e);
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
			return login_refused(l, "USER", "", e);
		if (rp <= 0 && e)
			*e = pass;
		if (rp < 0)
			return -1;
		r = rp;
	} else {
		r = pop3_status(c, NULL, e);
	}
	return r < 0 ? -1 : r == 0 ? login_refused(l, "USER/PASS", "", e) : 0;
}

/* APOP (RFC 1939 section 7): MD5 over timestamp and password. Only when the person names it. */
static int by_apop(struct pop3_conn *c, const struct login *l, struct err *e)
{
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
	return r < 0 ? -1 : r == 0 ? login_refused(l, "APOP", "", e) : 0;
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

/* login_link.say */
static int say(void *arg, const char *line, bool last, struct err *e)
{
	(void)last;
	return pop3_send(arg, "%s", line) < 0 ? err_set(e, ERR_LOCAL, "out of memory") : 0;
}

/* login_link.hear */
static int hear(void *arg, struct slice *text, struct err *e)
{
	return pop3_challenge(arg, text, e);
}

/* AUTH (RFC 5034). */
static int by_sasl(struct pop3_conn *c, const struct login *l, const struct sasl_params *sp, const char *mech, const char *offered, struct err *e)
{
	const struct login_link link = { .arg = c, .say = say, .hear = hear };
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
		r = login_rounds(l, s, mech, r == 0, &out, &link, e);
out:
	pop3_secret(c, false, NULL);
	sasl_free(s);
	strbuf_release(&out);
	return r;
}

/* What to offer the chooser: the server's list; without CAPA the SASL names that the person gave, since that is all there is to go by. */
static const char *offered_names(const struct pop3_conn *c, const struct login_given *g, struct strbuf *out)
{
	if (c->caps.known)
		return c->caps.sasl;
	for (size_t i = 0; i < SASL_ALLOW_MAX && g->auth[i]; i++)
		if (strcasecmp(g->auth[i], "USER") != 0 && strcasecmp(g->auth[i], "APOP") != 0)
			strbuf_printf(out, "%s%s", out->len ? " " : "", g->auth[i]);
	return c->disabled & POP3_CAP_SASL ? "" : strbuf_str(out);
}

/* Without SASL: what the person's list says, in its order; USER and PASS when there is no list. */
static int without_sasl(struct pop3_conn *c, const struct login *l, struct err *e)
{
	const char *const *auth = l->g->auth;

	for (size_t i = 0; i < SASL_ALLOW_MAX && auth[i]; i++) {
		if (strcasecmp(auth[i], "APOP") == 0 && c->apop[0])
			return by_apop(c, l, e);
		if (strcasecmp(auth[i], "USER") == 0)
			return by_pass(c, l, e);
	}
	return login_named(l->g, "APOP") ? by_apop(c, l, e) : by_pass(c, l, e);
}

/* Take the best way in. */
static int authenticate(struct pop3_conn *c, const struct login *l, struct err *e)
{
	struct strbuf names = STRBUF_INIT(1024);
	struct sasl_params sp;
	const char *offered = offered_names(c, l->g, &names), *mech = NULL;
	bool own = login_named(l->g, "USER") || login_named(l->g, "APOP"); /* POP3's own ways */
	struct err why = ERR_INIT;
	int r;

	login_sasl(l, c->s, &sp);
	if (*offered)
		mech = sasl_choose(&sp, offered, &why);
	if (mech)
		r = by_sasl(c, l, &sp, mech, offered, e);
	else if ((own || !l->g->auth[0]) && l->has_password && (!*offered || (c->caps.have & POP3_CAP_USER) || own))
		r = without_sasl(c, l, e);
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

/* Open and log in. */
int pop3_login(struct pop3_conn *c, const struct pop3_params *p, const char *user, struct net_stats *stats, struct err *e)
{
	const struct login_given g = {
		.service = "pop",
		.dial = &p->dial,
		.user = p->user,
		.as = user,
		.secret = &p->secret,
		.token_command = p->token_command,
		.auth = p->auth,
		.secure = p->secure,
	};
	struct login l = { 0 };
	bool tls;
	int r = -1;

	memset(c, 0, sizeof(*c));
	if (login_gather(&l, &g, e) < 0) {
		err_in(e, "%s", p->what);
		goto out;
	}
	if (pop3_open(c, &p->dial, p->disabled, p->what, p->remembered, stats, e) < 0)
		goto out;
	tls = stream_find(c->s, &tls_ops) != NULL;
	c->blank = &l.blank;
	login_blank_trace(&l, c->s);
	r = authenticate(c, &l, e);
	if (r < 0) {
		if (p->remembered)
			p->remembered->known = false; /* perhaps it is that which no longer holds */
		pop3_close(c);
		err_in(e, "%s", p->what);
	} else {
		c->blank = NULL;
		login_blank_trace(NULL, c->s);
	}
	if (r == 0 && p->remembered && tls && c->caps.known)
		*p->remembered = c->caps;
out:
	login_release(&l);
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
