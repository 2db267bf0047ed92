/* From parameters to a session: see login.h. */
#include "imap/login.h"

#include <string.h>

#include "auth/login.h"
#include "net/tls.h"

#define RESPONSE_MAX (128 << 10)

/* What is at hand while logging in. */
struct way {
	struct imap_conn *c;
	const struct login *l;
	uint32_t tag; /* of AUTHENTICATE */
};

/* login_link.say */
static int say(void *arg, const char *line, struct err *e)
{
	return imap_say(((struct way *)arg)->c, line, e);
}

/* login_link.hear */
static int hear(void *arg, struct slice *text, struct err *e)
{
	struct way *w = arg;

	return imap_challenge(w->c, w->tag, text, e);
}

/*
 * Send AUTHENTICATE, with the initial response if there is one and the server takes it (RFC 4959).
 * 1: it went along; 0: it waits for the server's "+".
 */
static int start(struct way *w, struct sasl *s, const char *mech, struct strbuf *out, struct err *e)
{
	struct imap_conn *c = w->c;
	bool first = sasl_client_first(s), along = first && (c->caps.have & IMAP_CAP_SASL_IR);

	if (first && sasl_step(s, slice_of("", 0), out, e) < 0)
		return -1;
	imap_start(c);
	imap_put(c, "AUTHENTICATE %s%s", mech, along ? " " : "");
	if (along) {
		if (imap_secret(c, true, e) < 0)
			return -1;
		imap_put(c, "%s", out->len ? strbuf_str(out) : "=");
		strbuf_clear(out);
	}
	if (imap_end(c, &w->tag, e) < 0 || imap_secret(c, true, e) < 0 || imap_flush(c, e) < 0)
		return -1;
	return along || !first;
}

/* AUTHENTICATE (RFC 3501 section 6.2.2). */
static int by_sasl(struct way *w, const struct sasl_params *sp, const char *mech, struct err *e)
{
	const struct login_link link = { .arg = w, .say = say, .hear = hear };
	struct strbuf out = STRBUF_SECRET(RESPONSE_MAX);
	struct sasl *s = sasl_new(sp, mech, w->c->caps.auth, e);
	int r;

	if (!s)
		return err_in(e, "login of %s by %s", w->l->user, mech);
	r = start(w, s, mech, &out, e);
	if (r >= 0)
		r = login_rounds(w->l, s, mech, r == 0, &out, &link, e);
	imap_secret(w->c, false, NULL);
	sasl_free(s);
	strbuf_release(&out);
	return r;
}

/* Whether a string can be an argument of LOGIN. */
static bool can_be_said(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '\0' || s.p[i] == '\r' || s.p[i] == '\n')
			return false;
	return true;
}

/* LOGIN (RFC 3501 section 6.2.3). */
static int by_login(struct way *w, struct err *e)
{
	struct imap_conn *c = w->c;
	struct slice user = slice_str(w->l->user), password = strbuf_slice(&w->l->password);
	uint32_t tag;
	int r = -1;

	if (!w->l->g->secure)
		return err_set(e, ERR_AUTH,
			"login of %s: the server takes only a plain password, and the connection is "
			"not encrypted (use imaps://, or imap:// with STARTTLS; or allow-plaintext = "
			"yes if you must)", w->l->user);
	if (user.n == 0)
		return err_set(e, ERR_CONF, "login by LOGIN: no user name was given");
	if (!can_be_said(user) || !can_be_said(password))
		return err_set(e, ERR_CONF,
			"the user name or the password holds a line end or NUL: it can't be sent");
	imap_start(c);
	imap_put(c, "LOGIN ");
	if (imap_secret(c, true, e) == 0) {
		imap_astring(c, user);
		imap_put(c, " ");
		imap_astring(c, password);
		if (imap_end(c, &tag, e) == 0)
			r = imap_flush(c, e);
	}
	if (r == 0 && c->stops.n == 0)
		imap_secret(c, false, NULL); /* all is said; the answer is none */
	if (r == 0)
		r = imap_finish(c, tag, NULL, NULL, NULL, e);
	imap_secret(c, false, NULL);
	return r < 0 ? -1 : r == 0 ? login_refused(w->l, "LOGIN", "", e) : 0;
}

/* Take the best way in. */
static int authenticate(struct imap_conn *c, const struct login *l, struct err *e)
{
	struct way w = { .c = c, .l = l };
	bool command = (!l->g->auth[0] || login_named(l->g, "LOGIN")) && l->has_password &&
		!(c->caps.have & IMAP_CAP_LOGINDISABLED);
	struct sasl_params sp;
	struct err why = ERR_INIT;
	const char *mech = NULL;

	login_sasl(l, c->s, &sp);
	if (c->caps.auth[0])
		mech = sasl_choose(&sp, c->caps.auth, &why);
	if (mech)
		return by_sasl(&w, &sp, mech, e);
	if (command)
		return by_login(&w, e);
	if (c->caps.auth[0]) {
		if (e)
			*e = why;
		return err_in(e, "login of %s", l->user);
	}
	err_set(e, ERR_AUTH, "login of %s: the server offers no SASL mechanisms, and LOGIN %s",
		l->user,
		c->caps.have & IMAP_CAP_LOGINDISABLED ? "is switched off (LOGINDISABLED)" :
			l->has_password ? "is not in the auth list" : "needs a password");
	if (c->caps.have & IMAP_CAP_LOGINDISABLED && !stream_find(c->s, &tls_ops))
		err_hint(e, "use imaps://, or imap:// with STARTTLS");
	return -1;
}

/* Know what the server can now: it said so with its OK, or earlier, or is asked. */
static int refresh(struct imap_conn *c, const struct imap_caps *remembered, struct err *e)
{
	if (c->caps_fresh)
		return 0;
	if (!remembered || !remembered->known)
		return imap_capability(c, e);
	c->caps = *remembered;
	c->caps.have &= ~c->disabled;
	return 0;
}

/* Queue what every session begins with. */
static int introduce(struct imap_conn *c, unsigned enable, struct err *e)
{
	static const char id[] = "ID (\"name\" \"mailhaul\" \"version\" \"" MAILHAUL_VERSION "\")";
	unsigned have = c->caps.have & IMAP_CAP_ENABLE ? c->caps.have : 0;
	bool utf8 = have & IMAP_CAP_UTF8_ACCEPT &&
		    (enable & IMAP_CAP_UTF8_ACCEPT || c->caps.utf8_only);
	const char *modseq = have & enable & IMAP_CAP_QRESYNC ? " QRESYNC" :
			     have & enable & IMAP_CAP_CONDSTORE ? " CONDSTORE" : "";

	if (!(c->caps.have & IMAP_CAP_REV1))
		c->utf8 = true; /* RFC 9051 section 5.1 */
	if (c->caps.have & IMAP_CAP_ID && imap_send_own(c, e, "%s", id) < 0)
		return -1;
	if ((*modseq || utf8) &&
	    imap_send_own(c, e, "ENABLE%s%s", modseq, utf8 ? " UTF8=ACCEPT" : "") < 0)
		return -1;
	if (c->caps.have & IMAP_CAP_NAMESPACE && imap_send_own(c, e, "NAMESPACE") < 0)
		return -1;
	return utf8 ? imap_settle(c, e) : 0;
}

/* From an open connection to a session. */
static int log_in(struct imap_conn *c, const struct imap_params *p, struct login *l,
	const struct login_given *g, bool *gathered, struct err *e)
{
	bool tls = stream_find(c->s, &tls_ops) != NULL;
	struct imap_remembered *mem = tls ? p->remembered : NULL;
	struct imap_caps before = c->caps;

	if (!c->logged_in) {
		if (!*gathered && login_gather(l, g, e) < 0)
			return -1;
		*gathered = true;
		c->caps_fresh = false;
		if (authenticate(c, l, e) < 0) {
			if (p->remembered)
				/* perhaps it is that which no longer holds */
				*p->remembered = (struct imap_remembered){ 0 };
			return -1;
		}
		c->logged_in = true;
		if (refresh(c, mem ? &mem->after : NULL, e) < 0)
			return -1;
	}
	if (introduce(c, p->enable, e) < 0)
		return -1;
	if (mem && !c->preauth)
		*mem = (struct imap_remembered){ .before = before, .after = c->caps };
	return 0;
}

/* Whether the person said where the secret comes from. */
static bool has_source(const struct imap_params *p)
{
	return p->token_command || p->secret.command || p->secret.file || p->secret.literal ||
		p->secret.netrc;
}

/* Open and log in. */
int imap_login(struct imap_conn *c, const struct imap_params *p, struct net_stats *stats,
	struct err *e)
{
	const struct login_given g = {
		.service = "imap",
		.dial = &p->dial,
		.user = p->user ? p->user : "",
		.secret = &p->secret,
		.token_command = p->token_command,
		.auth = p->auth,
		.secure = p->secure,
	};
	struct login l = { 0 };
	/* behind a tunnel there may be nothing to ask for: PREAUTH */
	bool gathered = has_source(p) || !p->dial.tunnel;
	const struct imap_caps *before = p->remembered ? &p->remembered->before : NULL;
	int r = -1;

	*c = (struct imap_conn){ .alert = p->alert, .arg = p->arg };
	if (gathered && login_gather(&l, &g, e) < 0) {
		err_in(e, "%s", p->what);
		goto out;
	}
	if (imap_open(c, &p->dial, p->disabled, p->what, before, stats, e) < 0)
		goto out;
	r = log_in(c, p, &l, &g, &gathered, e);
	if (r < 0) {
		imap_close(c);
		err_in(e, "%s", p->what);
	}
out:
	login_release(&l);
	return r;
}
