/* From parameters to a session: see login.h. */
#include "imap/login.h"

#include <string.h>

#include "auth/login.h"
#include "base/log.h"
#include "net/tls.h"

#define RESPONSE_MAX (128 << 10)

/* What is at hand while logging in. */
struct way {
	struct imap_conn *c;
	const struct imap_params *p;
	const struct login *l;
	struct imap_remembered *mem; /* NULL: nothing may be remembered on this link */
	uint32_t tag;                /* of AUTHENTICATE */
	bool plain;                  /* nothing is sent before its time */
	bool behind;                 /* something stands behind the login */
	bool flew;                   /* that is the caller's first commands */
	size_t flying;               /* so many stood behind it, with our own */
	bool refused;                /* by the server */
	bool denied;                 /* for the password */
	bool ahead;                  /* of the greeting */
	bool outdated;               /* it may no longer offer what we took it at its word for */
	struct imap_caps before;     /* what it could before the login, for all that we knew */
};

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
	return utf8;
}

/* ---- what flies behind the login ---- */

/* Queue the session's and the caller's first commands, for what the server could the last time. */
static int fly(struct way *w, struct err *e)
{
	struct imap_conn *c = w->c;

	if (!w->mem->told && imap_send_own(c, e, "CAPABILITY") < 0)
		return -1;
	c->caps = w->mem->after;
	w->flew = true;
	if (introduce(c, w->p->enable, e) < 0 || w->p->first(w->p->first_arg, c, e) < 0)
		return -1;
	w->flying = imap_flying(c) + c->fly_own - 1; /* the login flies as well */
	return 0;
}

/* The login is one line and stands in the queue: put something behind it. */
static int put_behind(struct way *w, struct err *e)
{
	struct imap_conn *c = w->c;
	struct imap_remembered *mem = w->mem;

	if (!mem || w->plain || c->stops.n > 0 || mem->flies == IMAP_FLIES_NO)
		return 0;
	if (mem->flies == IMAP_FLIES_YES && !(w->p->first && mem->after.known))
		return 0;
	if (imap_secret(c, false, e) < 0) /* all is said; the answer is none */
		return -1;
	c->strayed = false;
	w->behind = true;
	if (mem->flies == IMAP_FLIES_YES)
		return fly(w, e);
	if (imap_send_own(c, e, "NOOP") < 0)
		return -1;
	c->probe = c->last_tag;
	c->flies = &mem->flies;
	mem->flies = IMAP_FLIES_NO; /* should it not survive this */
	return 0;
}

/*
 * The login was answered: was it right to take the server for what it was the last time, and has it
 * answered nothing before, as to somebody whom it does not know? Else what flies is of no use. 1, 0,
 * -1.
 */
static int was_right(struct way *w, struct err *e)
{
	struct imap_conn *c = w->c;
	uint32_t tag;

	if (imap_flying(c) + c->fly_own < w->flying) {
		log_debug("the server has answered what stood behind the login before that");
		w->mem->flies = IMAP_FLIES_NO;
		return imap_drain(c, e);
	}
	while (!c->caps_fresh && !c->strayed && c->fly_own > 0) /* the answer to our CAPABILITY */
		if (imap_turn(c, &tag, e) < 0)
			return -1;
	if (c->caps_fresh && !c->strayed && c->caps.have == w->mem->after.have &&
	    c->caps.utf8_only == w->mem->after.utf8_only)
		return 1;
	log_debug("the server can other things than the last time");
	return imap_drain(c, e);
}

/* ---- the login ---- */

/* Note what a refusal was for. */
static void take_refusal(struct way *w, bool refused)
{
	w->refused = refused;
	w->denied = refused && w->c->resp.code.kind == IMAP_CODE_AUTHENTICATIONFAILED;
}

/* login_link.say */
static int say(void *arg, const char *line, bool last, struct err *e)
{
	struct way *w = arg;

	if (imap_say(w->c, line, e) < 0)
		return -1;
	return last ? put_behind(w, e) : 0;
}

/* login_link.hear */
static int hear(void *arg, struct slice *text, struct err *e)
{
	struct way *w = arg;
	int r = imap_challenge(w->c, w->tag, text, e);

	if (r == 2 && w->behind) {
		/* it would take the next command for the response (RFC 3501 section 5.5) */
		err_set(e, ERR_PROTO, "the server asks for more where all was said");
		return imap_dead(w->c);
	}
	take_refusal(w, r == 0);
	return r;
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
	if (imap_end(c, &w->tag, e) < 0 || imap_secret(c, true, e) < 0 ||
	    (along && sasl_one_line(s) && put_behind(w, e) < 0) || imap_flush(c, e) < 0)
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
	struct slice user = slice_str(w->l->user), password = strbuf_slice(&w->l->password), text;
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
		if (imap_end(c, &w->tag, e) == 0 && put_behind(w, e) == 0)
			r = imap_flush(c, e);
	}
	if (r == 0 && c->stops.n == 0)
		imap_secret(c, false, NULL); /* all is said; the answer is none */
	if (r == 0)
		do /* a "+" that nothing waits for is passed over */
			r = imap_challenge(c, w->tag, &text, e);
		while (r == 2);
	imap_secret(c, false, NULL);
	take_refusal(w, r == 0);
	return r < 0 ? -1 : r == 0 ? login_refused(w->l, "LOGIN", "", e) : 0;
}

/* Take the best way in. */
static int authenticate(struct way *w, struct err *e)
{
	struct imap_conn *c = w->c;
	const struct login *l = w->l;
	bool command = (!l->g->auth[0] || login_named(l->g, "LOGIN")) && l->has_password &&
		!(c->caps.have & IMAP_CAP_LOGINDISABLED);
	struct sasl_params sp;
	struct err why = ERR_INIT;
	const char *mech = NULL;

	login_sasl(l, c->s, &sp);
	if (c->caps.auth[0])
		mech = sasl_choose(&sp, c->caps.auth, &why);
	if (mech)
		return by_sasl(w, &sp, mech, e);
	if (command)
		return by_login(w, e);
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

/* Know what the server can now: it said so with its OK, or to this process, or is asked. */
static int refresh(struct imap_conn *c, const struct imap_remembered *mem, struct err *e)
{
	if (c->caps_fresh)
		return 0;
	if (!mem || !mem->heard || !mem->after.known)
		return imap_capability(c, e);
	c->caps = mem->after;
	return 0;
}

/* Make a session of what is logged in. */
static int begin(struct way *w, struct err *e)
{
	struct imap_conn *c = w->c;
	int r = w->flew ? was_right(w, e) : 0;

	if (r != 0) {
		c->flew = r > 0;
		return r < 0 ? -1 : 0;
	}
	if (refresh(c, w->flew ? NULL : w->mem, e) < 0)
		return -1;
	r = introduce(c, w->p->enable, e);
	return r > 0 ? imap_settle(c, e) : r;
}

/* From an open connection to a session. */
static int log_in(struct way *w, struct err *e)
{
	struct imap_conn *c = w->c;
	struct imap_remembered *mem = w->mem;
	bool told = false;

	w->before = c->caps;
	if (!c->logged_in) {
		c->caps_fresh = false;
		if (authenticate(w, e) < 0)
			return -1;
		c->logged_in = true;
		told = c->caps_fresh;
	} else {
		c->caps_fresh = true;
	}
	if (begin(w, e) < 0)
		return -1;
	if (mem && !c->preauth) {
		mem->before = c->greeted_with.known ? c->greeted_with : w->before;
		mem->after = c->caps;
		mem->told = told;
		mem->heard = true;
	}
	return 0;
}

/*
 * May it be our haste that failed? A refusal is the server's word if it was asked in a way that it
 * offers, and if all that stood behind the login was answered, too: then it has taken none of it for
 * something else. That the password is wrong is its word in any case: it need not be told it twice.
 */
static bool hasty(struct way *w, const struct err *why)
{
	struct imap_conn *c = w->c;

	if (!(w->behind || w->ahead) || why->kind == ERR_CANCEL || why->kind == ERR_LOCAL || why->kind == ERR_BUG)
		return false;
	if (w->ahead && !c->greeted && c->resp.cond == IMAP_BYE)
		return false;
	if (w->ahead && w->refused && !w->denied && strcmp(c->greeted_with.auth, w->before.auth) != 0) {
		w->outdated = true;
		return true;
	}
	return !w->refused || (imap_drain(c, NULL) < 0 && !w->denied);
}

/* ---- all of it ---- */

/* Whether the person said where the secret comes from. */
static bool has_source(const struct imap_params *p)
{
	return p->token_command || p->secret.command || p->secret.file || p->secret.literal ||
		p->secret.netrc;
}

/* Open and log in, once. 1: it failed, and another try without haste is due. */
static int attempt(struct way *w, struct login *l, const struct login_given *g, bool *gathered,
	struct net_stats *stats, struct err *e)
{
	const struct imap_params *p = w->p;
	struct imap_conn *c = w->c;
	struct imap_remembered *mem = p->remembered;
	struct err why = ERR_INIT;
	int r;

	*c = (struct imap_conn){ .alert = p->alert, .arg = p->arg };
	if (imap_open(c, &p->dial, p->disabled, p->what, mem && mem->heard ? &mem->before : NULL,
		mem && mem->flies == IMAP_FLIES_YES && !w->plain ? &mem->before : NULL, stats, e) < 0)
		return -1;
	w->ahead = c->ahead;
	w->mem = stream_find(c->s, &tls_ops) ? mem : NULL;
	r = c->logged_in || *gathered ? 0 : login_gather(l, g, &why);
	*gathered |= r == 0 && !c->logged_in;
	if (r == 0) {
		c->blank = &l->blank;
		login_blank_trace(l, c->s);
		r = log_in(w, &why);
		if (r < 0 && why.kind == ERR_PROTO)
			login_blank(l, &why); /* it may quote what was no answer */
	}
	if (r == 0) {
		c->blank = NULL;
		login_blank_trace(NULL, c->s);
		return 0;
	}
	r = hasty(w, &why);
	imap_close(c);
	if (mem)
		/*
		 * Perhaps it is that which no longer holds. A link may be lost for other reasons:
		 * whether the server takes what stands behind a login is tried once more, but not
		 * whether it takes what comes before its greeting.
		 */
		*mem = (struct imap_remembered){ .flies = !r || w->outdated ? mem->flies :
			w->flew && !w->ahead ? IMAP_FLIES_UNKNOWN : IMAP_FLIES_NO };
	if (r)
		log_debug("%s: %s: once more, waiting for each answer", p->what, why.text);
	if (e)
		*e = why;
	err_in(e, "%s", p->what);
	return r ? 1 : -1;
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
	struct way w = { .c = c, .p = p, .l = &l };
	/* behind a tunnel there may be nothing to ask for: PREAUTH */
	bool gathered = has_source(p) || !p->dial.tunnel;
	int r = -1;

	*c = (struct imap_conn){ .alert = p->alert, .arg = p->arg };
	if (gathered && login_gather(&l, &g, e) < 0) {
		err_in(e, "%s", p->what);
		goto out;
	}
	r = attempt(&w, &l, &g, &gathered, stats, e);
	if (r > 0) {
		err_clear(e);
		w = (struct way){ .c = c, .p = p, .l = &l, .plain = true };
		r = attempt(&w, &l, &g, &gathered, stats, e);
	}
out:
	login_release(&l);
	return r < 0 ? -1 : 0;
}
