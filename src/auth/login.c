/* Logging in: see login.h. */
#include "auth/login.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "net/trace.h"

#define ROUNDS_MAX 16    /* no mechanism has as many */
#define SECRET_MS 120000 /* least time for a password command: it may ask a person */

/* ---- the secret ---- */

/* Get password or token from where it is. */
static int gather(struct login *l, const struct login_given *g, struct err *e)
{
	struct secret_params sp = *g->secret;
	msec_t deadline = clock_in(g->dial->timeout > SECRET_MS ? g->dial->timeout : SECRET_MS);

	*l = (struct login){
		.g = g,
		.user = g->as ? g->as : g->user,
		.password = STRBUF_SECRET(SECRET_MAX),
		.token = STRBUF_SECRET(SECRET_MAX),
	};
	if (g->token_command) {
		struct secret_params token = {
			.command = g->token_command,
			.host = g->dial->host,
			.user = l->user,
			.port = g->dial->port,
		};

		l->has_token = true;
		if (secret_get(&token, &l->token, deadline, e) < 0)
			return err_in(e, "token-command");
		return 0;
	}
	if (g->dial->tls.client_cert && !sp.command && !sp.file && !sp.literal && !sp.netrc)
		return 0; /* the certificate is the credential: nobody is asked */
	if (!sp.user)
		sp.user = g->user;
	if (!sp.host)
		sp.host = g->dial->host;
	if (!sp.port)
		sp.port = g->dial->port;
	l->has_password = true;
	return secret_get(&sp, &l->password, deadline, e);
}

/* Get password or token. */
int login_gather(struct login *l, const struct login_given *g, struct err *e)
{
	if (gather(l, g, e) < 0)
		return -1;
	if (blank_set(&l->blank, strbuf_slice(l->has_token ? &l->token : &l->password)) < 0)
		return err_set(e, ERR_LOCAL, "out of memory");
	return 0;
}

/* Forget it. */
void login_release(struct login *l)
{
	blank_release(&l->blank);
	strbuf_release(&l->password);
	strbuf_release(&l->token);
}

/* ---- the secret in what the server says ---- */

/* trace_filter */
static struct slice filter(const void *arg, struct slice line, struct strbuf *room)
{
	return blank_text(arg, line, room);
}

/* Keep it out of the trace. */
void login_blank_trace(const struct login *l, struct stream *s)
{
	trace_blank(s, l ? filter : NULL, l ? &l->blank : NULL);
}

/* Keep it out of an error. */
void login_blank(const struct login *l, struct err *e)
{
	struct strbuf room = STRBUF_INIT(2 * ERR_TEXT_MAX);
	struct slice text;

	if (!e)
		return;
	text = blank_text(&l->blank, slice_str(e->text), &room);
	if (text.p != e->text)
		snprintf(e->text, sizeof(e->text), "%.*s", (int)text.n, text.p);
	strbuf_release(&room);
}

/* ---- the choice ---- */

/* What the mechanisms need. */
void login_sasl(const struct login *l, struct stream *s, struct sasl_params *out)
{
	const struct login_given *g = l->g;

	*out = (struct sasl_params){
		.service = g->service,
		.host = g->dial->host,
		.port = g->dial->port,
		.user = l->user,
		.password = l->has_password ? &l->password : NULL,
		.token = l->has_token ? &l->token : NULL,
		.certificate = g->dial->tls.client_cert != NULL,
		.secure = g->secure,
		.stream = s,
	};
	memcpy(out->allow, g->auth, sizeof(out->allow));
}

/* Whether the person's list names a mechanism. */
bool login_named(const struct login_given *g, const char *mech)
{
	for (size_t i = 0; i < SASL_ALLOW_MAX && g->auth[i]; i++)
		if (strcasecmp(g->auth[i], mech) == 0)
			return true;
	return false;
}

/* ---- refusals ---- */

#define APP_PASSWORD "make an application password in the provider's account settings and use that"

/*
 * Known words in the texts of servers that don't use response codes (or not for everything). The
 * first that fits counts.
 */
static const struct {
	const char *word, *not_with;
	const char *service; /* NULL: any */
	enum err_kind kind;
	const char *hint;
} words[] = {
	{ "web login required", NULL, NULL, ERR_AUTH,
	  "sign in once with a web browser, then try again" },
	{ "via your web browser", NULL, NULL, ERR_AUTH,
	  "sign in once with a web browser, then try again" },
	{ "application-specific password", NULL, NULL, ERR_AUTH, APP_PASSWORD },
	{ "app password", NULL, NULL, ERR_AUTH, APP_PASSWORD },
	{ "authorization code", NULL, NULL, ERR_AUTH,
	  "make an authorization code in the provider's mail settings; it is the password here" },
	{ "basicauthblocked", NULL, NULL, ERR_AUTH,
	  "the provider takes no passwords: set token-command" },
	{ "pop access", NULL, "pop", ERR_AUTH, "switch POP3 on in the provider's mail settings" },
	{ "not enabled for pop", NULL, "pop", ERR_AUTH,
	  "switch POP3 on in the provider's mail settings" },
	{ "imap access", NULL, "imap", ERR_AUTH, "switch IMAP on in the provider's mail settings" },
	{ "not enabled for imap", NULL, "imap", ERR_AUTH,
	  "switch IMAP on in the provider's mail settings" },
	{ "imap is disabled", NULL, "imap", ERR_AUTH,
	  "switch IMAP on in the provider's mail settings" },
	{ "enable imap", NULL, "imap", ERR_AUTH, "switch IMAP on in the provider's mail settings" },
	{ "authenticated but not connected", NULL, "imap", ERR_AUTH,
	  "the account is known but has no mailbox here, or IMAP is switched off for it" },
	{ "lock", "account", NULL, ERR_BUSY, NULL },
	{ "in use", NULL, NULL, ERR_BUSY, NULL },
	{ "busy", NULL, NULL, ERR_BUSY, NULL },
	{ "too many", NULL, NULL, ERR_TEMP, NULL },
	{ "throttled", NULL, NULL, ERR_TEMP, NULL },
	{ "try again later", NULL, NULL, ERR_TEMP, NULL },
	{ "temporar", NULL, NULL, ERR_TEMP, NULL },
};

/*
 * Providers whose refusals don't say what they want. A host fits that is the name, or ends in it
 * behind a dot.
 */
static const struct {
	const char *host, *hint;
	bool password_only; /* not when a token was refused */
} providers[] = {
	{ "gmail.com",
	  "Google takes the account's password no more: " APP_PASSWORD ", or set token-command",
	  true },
	{ "googlemail.com",
	  "Google takes the account's password no more: " APP_PASSWORD ", or set token-command",
	  true },
	{ "outlook.com", "Microsoft takes no passwords here: set token-command", true },
	{ "office365.com", "Microsoft takes no passwords here: set token-command", true },
	{ "hotmail.com", "Microsoft takes no passwords here: set token-command", true },
	{ "yahoo.com", "Yahoo takes the account's password no more: " APP_PASSWORD, true },
	{ "aol.com", "AOL takes the account's password no more: " APP_PASSWORD, true },
	{ "me.com", "iCloud takes the account's password no more: " APP_PASSWORD, true },
	{ "icloud.com", "iCloud takes the account's password no more: " APP_PASSWORD, true },
	{ "fastmail.com", "Fastmail takes the account's password no more: " APP_PASSWORD, true },
	{ "zoho.com",
	  "with two steps on, Zoho wants an application password; IMAP and POP must be switched "
	  "on in its settings", true },
	{ "gmx.net", "POP3 and IMAP must be switched on in the provider's mail settings", false },
	{ "web.de", "POP3 and IMAP must be switched on in the provider's mail settings", false },
	{ "qq.com", "the provider wants an authorization code of its mail settings as the password",
	  true },
	{ "163.com",
	  "the provider wants an authorization code of its mail settings as the password", true },
	{ "126.com",
	  "the provider wants an authorization code of its mail settings as the password", true },
};

/* The provider's peculiarity, or NULL. */
static const char *provider_hint(const struct login *l)
{
	const char *host = l->g->dial->host ? l->g->dial->host : "";
	size_t n = strlen(host);

	for (size_t i = 0; i < sizeof(providers) / sizeof(providers[0]); i++) {
		size_t len = strlen(providers[i].host);

		if (n < len || strcasecmp(host + n - len, providers[i].host) != 0 ||
		    (n > len && host[n - len - 1] != '.'))
			continue;
		return providers[i].password_only && !l->has_password ? NULL : providers[i].hint;
	}
	return NULL;
}

/* Else what was sent is wrong: where it comes from. */
static void source_hint(const struct login *l, struct err *e)
{
	const struct secret_params *s = l->g->secret;

	if (l->has_token)
		err_hint(e, "does token-command give the token of this user?");
	else if (!l->has_password)
		return;
	else if (s->command)
		err_hint(e, "are the user, and the password that password-command gives, right?");
	else if (s->file)
		err_hint(e, "are the user, and the password in password-file, right?");
	else if (s->literal)
		err_hint(e, "are user and password of the account right?");
	else if (s->netrc)
		err_hint(e, "are the user, and the password in the netrc file, right?");
}

/* Make a refused login's error of the server's refusal. */
int login_refused(const struct login *l, const char *mech, const char *more, struct err *e)
{
	struct strbuf room = STRBUF_INIT(2 * ERR_TEXT_MAX);
	const char *hint = NULL;
	struct slice told;

	if (!e)
		return -1;
	login_blank(l, e);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (words[i].service && strcmp(words[i].service, l->g->service) != 0)
			continue;
		if (!strcasestr(e->text, words[i].word) ||
		    (words[i].not_with && strcasestr(e->text, words[i].not_with)))
			continue;
		if (e->kind == ERR_REFUSED || e->kind == ERR_AUTH)
			hint = words[i].hint;
		if (e->kind == ERR_REFUSED)
			e->kind = words[i].kind;
		break;
	}
	if (e->kind == ERR_REFUSED)
		e->kind = ERR_AUTH;
	if (e->kind == ERR_AUTH && !hint)
		hint = provider_hint(l);
	e->span = SPAN_ACCT;
	told = blank_text(&l->blank, slice_str(more), &room);
	if (told.n > 0)
		err_hint(e, "%.*s", (int)told.n, told.p);
	strbuf_release(&room);
	if (hint)
		err_hint(e, "%s", hint);
	else if (e->kind == ERR_AUTH)
		source_hint(l, e);
	return err_in(e, "login of %s by %s", l->user, mech);
}

/* ---- the rounds ---- */

/* Break the conversation off and read the refusal that answers; the error stands already. */
static int cancel(const struct login_link *link)
{
	struct err ignored = ERR_INIT;
	struct slice text;

	if (link->say(link->arg, "*", false, &ignored) == 0)
		link->hear(link->arg, &text, &ignored);
	return -1;
}

/* The conversation. */
int login_rounds(const struct login *l, struct sasl *s, const char *mech, bool held,
	struct strbuf *out, const struct login_link *link, struct err *e)
{
	struct slice text;

	for (int i = 0; i < ROUNDS_MAX; i++) {
		int r = link->hear(link->arg, &text, e);

		if (r < 0)
			return -1;
		if (r == 0)
			return login_refused(l, mech, sasl_failure(s), e);
		if (r == 1 && held)
			return err_set(e, ERR_AUTH,
				"login of %s by %s: the server says OK before it has seen anything",
				l->user, mech);
		if (r == 1)
			/*
			 * Neither POP3 nor IMAP has room for data with success: SCRAM's signature
			 * came as a challenge.
			 */
			return sasl_finish(s, slice_of("", 0), e) < 0 ?
				err_in(e, "login of %s by %s", l->user, mech) : 0;
		if (!held) {
			strbuf_clear(out);
			if (sasl_step(s, text, out, e) < 0) {
				login_blank(l, e);
				err_in(e, "login of %s by %s", l->user, mech);
				return cancel(link);
			}
		}
		held = false;
		r = link->say(link->arg, strbuf_str(out), sasl_said_all(s), e);
		strbuf_clear(out);
		if (r < 0)
			return -1;
	}
	err_set(e, ERR_PROTO, "login of %s by %s: the server asks without end", l->user, mech);
	return cancel(link);
}
