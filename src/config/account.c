/* Accounts of a configuration: see build.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "config/build.h"
#include "config/url.h"

#define PEM_MAX (1024 * 1024)

/* An account in the making. */
struct maker {
	struct config *c;
	const struct parsed *s;
	const struct account_keys *k;
	struct problems *p;
	struct url url;       /* protocol, user, host, port, wherever they came from */
	bool protocol_known;
};

/* Note a problem at a key. */
#define at_key(m, field, ...) problem_add((m)->p, parsed_place((m)->s, &(m)->k->field), ERR_CONF, __VA_ARGS__)
#define is_given(m, field) (parsed_given((m)->s, &(m)->k->field) != NULL)

/* The word is 'and url exclude each other'. */
static void not_with_url(struct maker *m, const void *field)
{
	const struct given *g = parsed_given(m->s, field);

	if (g)
		problem_add(m->p, g->at, ERR_CONF, "%s and url exclude each other; the url says it: pop3s://user@host:port", g->key->name);
}

/* Protocol, server and user by the url. */
static void from_url(struct maker *m)
{
	struct err e = ERR_INIT;
	struct url u;

	not_with_url(m, &m->k->host);
	not_with_url(m, &m->k->port);
	not_with_url(m, &m->k->protocol);
	if (!m->k->url)
		return; /* that it is bad was said */
	if (url_parse(m->k->url, &m->c->arena, &u, &e) < 0) {
		err_in(&e, "url");
		problem_err(m->p, parsed_place(m->s, &m->k->url), &e);
		return;
	}
	if (strncmp(u.scheme, "imap", 4) == 0)
		at_key(m, url, "IMAP accounts are not in this version; pop3s:// and pop3:// are");
	else if (strncmp(u.scheme, "pop3", 4) != 0)
		at_key(m, url, "url = %s: is no account; allowed: pop3s://user@host, pop3://user@host", u.scheme);
	else {
		m->url = u;
		m->protocol_known = true;
	}
	if (u.user && is_given(m, user))
		at_key(m, user, "the user stands in the url already");
	if (u.auth && is_given(m, auth))
		at_key(m, auth, "the mechanism stands in the url already");
}

/* Protocol, server and user by their own keys. */
static void from_keys(struct maker *m)
{
	char port[24];
	struct err e = ERR_INIT;

	m->url.scheme = m->k->protocol == PROTOCOL_POP3 ? "pop3" : "pop3s";
	m->protocol_known = true;
	if (m->k->host && url_host(slice_str(m->k->host), &m->c->arena, &m->url.host, &e) < 0) {
		err_in(&e, "host");
		problem_err(m->p, parsed_place(m->s, &m->k->host), &e);
	}
	if (m->k->port > 0) {
		snprintf(port, sizeof(port), "%d", (int)m->k->port);
		m->url.port = arena_str(&m->c->arena, slice_str(port));
	}
}

/* Where the account is and who we are there. */
static void make_server(struct maker *m, struct config_end *out)
{
	struct dial_params *d = &out->pop3.pop3.dial;
	struct strbuf b = STRBUF_INIT(16384);

	if (is_given(m, url))
		from_url(m);
	else if (is_given(m, host))
		from_keys(m);
	else
		problem_add(m->p, m->s->at, ERR_CONF, "account %s needs 'url = \"pop3s://user@host\"', or host and user", out->name);
	if (!m->url.user && m->k->user && m->k->user[0])
		m->url.user = m->k->user;
	if (m->url.host && !m->url.user && !is_given(m, user))
		problem_add(m->p, m->s->at, ERR_CONF, "account %s has no user; the url can say it: %s://user@%s", out->name, m->url.scheme, m->url.host);
	else if (is_given(m, user) && m->k->user && !m->k->user[0])
		at_key(m, user, "user is empty");
	if (!m->url.scheme)
		m->url.scheme = "pop3s"; /* something has been said of it: the rest can be checked all the same */
	if (!m->url.port)
		m->url.port = strcmp(m->url.scheme, "pop3") == 0 ? "110" : "995";
	d->host = m->url.host;
	d->port = m->url.port;
	out->pop3.pop3.user = m->url.user;
	url_put(&b, m->url.scheme, m->url.user, m->url.host ? m->url.host : "", m->url.port);
	out->url = arena_str(&m->c->arena, strbuf_slice(&b));
	strbuf_release(&b);
}

/* TLS or not: what the protocol says, unless a person takes the risk. */
static void make_security(struct maker *m, struct config_end *out)
{
	struct pop3_params *pop = &out->pop3.pop3;
	const struct account_keys *k = m->k;
	bool starttls = strcmp(m->url.scheme, "pop3") == 0;
	bool private = k->tunnel || (m->url.host && url_loopback(m->url.host));

	pop->dial.security = starttls ? DIAL_STARTTLS : DIAL_TLS;
	if (k->tls == TLS_IMPLICIT && starttls && m->protocol_known)
		at_key(m, tls, "tls = implicit contradicts pop3; write pop3s for TLS from the first byte (port 995)");
	else if (k->tls == TLS_STARTTLS && !starttls && m->protocol_known)
		at_key(m, tls, "tls = starttls contradicts pop3s; write pop3 for STLS (port 110)");
	else if (k->tls == TLS_NONE && !starttls && m->protocol_known)
		at_key(m, tls, "tls = none contradicts pop3s; write pop3 (port 110)");
	else if (k->tls == TLS_NONE && m->url.host && !private && !k->allow_plaintext)
		at_key(m, tls, "tls = none would show password and mail to the network; allowed for this host itself, with a tunnel, or with allow-plaintext = yes");
	if (k->tls == TLS_NONE)
		pop->dial.security = DIAL_PLAIN;
	else if (k->allow_plaintext)
		at_key(m, allow_plaintext, "allow-plaintext has no effect without tls = none: TLS is required");
	pop->secure = pop->dial.security != DIAL_PLAIN || private || k->allow_plaintext;
}

/* A file that we read, of no secret content. */
static void check_readable(struct maker *m, const void *field, const char *path)
{
	const struct given *g = parsed_given(m->s, field);
	struct stat st;
	struct err e = ERR_INIT;

	if (!path || !g)
		return;
	if (stat(path, &st) < 0 || access(path, R_OK) < 0)
		err_errno(&e, "%s: can't read %s", g->key->name, path);
	else if (!S_ISREG(st.st_mode))
		err_set(&e, ERR_CONF, "%s: %s is not a regular file", g->key->name, path);
	else
		return;
	e.kind = ERR_CONF;
	problem_err(m->p, g->at, &e);
}

/* A file that holds a secret: by the very function that will read it, so there is one rule. */
static void check_secret(struct maker *m, const void *field, const char *path, size_t max)
{
	const struct given *g = parsed_given(m->s, field);
	struct strbuf b = STRBUF_SECRET(max);
	struct err e = ERR_INIT;

	if (path && g && fs_read_secret(path, &b, &e) < 0) {
		if (e.kind != ERR_PERM)
			e.kind = ERR_CONF;
		err_in(&e, "%s", g->key->name);
		problem_err(m->p, g->at, &e);
	}
	strbuf_release(&b);
}

/* A fingerprint as 64 hex digits; NULL when it isn't one. */
static const char *make_pin(struct arena *a, const char *text)
{
	char hex[65];
	size_t n = 0;

	if (strncasecmp(text, "sha256:", 7) == 0)
		text += 7;
	for (; *text; text++) {
		if (*text == ':' && n % 2 == 0 && n > 0 && text[1] != '\0' && text[1] != ':')
			continue;
		if (n == 64 || !strchr("0123456789abcdefABCDEF", *text))
			return NULL;
		hex[n++] = (char)(*text >= 'A' && *text <= 'F' ? *text + 32 : *text);
	}
	return n == 64 ? arena_str(a, slice_of(hex, n)) : NULL;
}

/* What TLS is to hold the server against. */
static void make_tls(struct maker *m, struct tls_params *t, bool off)
{
	const struct account_keys *k = m->k;
	const void *fields[] = { &k->ca_file, &k->fingerprint, &k->client_cert, &k->client_key, &k->tls_min };

	for (size_t i = 0; off && i < sizeof(fields) / sizeof(fields[0]); i++) {
		const struct given *g = parsed_given(m->s, fields[i]);

		if (g)
			problem_add(m->p, g->at, ERR_CONF, "%s has no effect with tls = none", g->key->name);
	}
	t->ca_file = k->ca_file;
	t->client_cert = k->client_cert;
	t->client_key = k->client_key ? k->client_key : k->client_cert;
	t->min_version = k->tls_min == 1 ? 13 : 12;
	if (k->fingerprint.n > TLS_PINS_MAX)
		at_key(m, fingerprint, "more than %d fingerprints", TLS_PINS_MAX);
	for (size_t i = 0; i < k->fingerprint.n && i < TLS_PINS_MAX; i++) {
		t->pins[i] = make_pin(&m->c->arena, k->fingerprint.v[i]);
		if (!t->pins[i])
			problem_add(m->p, parsed_value_place(m->s, &k->fingerprint, i), ERR_CONF,
				    "fingerprint '%.80s' is no SHA-256: 64 hexadecimal digits, with or without colons, as mailhaul info shows them",
				    k->fingerprint.v[i]);
	}
	if (k->fingerprint.n > 0 && k->ca_file)
		at_key(m, ca_file, "ca-file has no effect with fingerprint: a pinned certificate needs no authority");
	if (k->client_key && !is_given(m, client_cert))
		at_key(m, client_key, "client-key without client-cert");
	check_readable(m, &k->ca_file, k->ca_file);
	check_readable(m, &k->client_cert, k->client_cert);
	if (k->client_key)
		check_secret(m, &k->client_key, k->client_key, PEM_MAX);
	else
		check_secret(m, &k->client_cert, k->client_cert && access(k->client_cert, R_OK) == 0 ? k->client_cert : NULL, PEM_MAX);
}

/* A secret that stands in the configuration: nobody else may read that file. */
static void check_private(struct maker *m, const void *field)
{
	const struct given *g = parsed_given(m->s, field);

	if (g && g->at.file && (g->at.file->mode & 077) != 0)
		problem_add(m->p, g->at, ERR_PERM, "%s stands in a file that others can read (mode %04o); chmod 600 %s, or use password-command", g->key->name,
			    g->at.file->mode, g->at.file->name);
}

/* Where the password or token comes from: one place. */
static void make_secret(struct maker *m, struct pop3_params *pop)
{
	const struct account_keys *k = m->k;
	const void *fields[] = { &k->password_command, &k->password_file, &k->password, &k->netrc, &k->token_command };
	const struct given *first = NULL;

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		const struct given *g = parsed_given(m->s, fields[i]);

		if (!g || (fields[i] == &k->netrc && !k->netrc))
			continue;
		if (!g->bad && g->key->type != KEY_BOOL && g->key->type != KEY_PATH && **(const char *const *)fields[i] == '\0')
			problem_add(m->p, g->at, ERR_CONF, "%s is empty", g->key->name);
		if (first)
			problem_add(m->p, g->at.line > first->at.line ? g->at : first->at, ERR_CONF,
				    "%s and %s exclude each other; the secret comes from one place", first->key->name, g->key->name);
		else
			first = g;
	}
	check_private(m, &k->password);
	check_secret(m, &k->password_file, k->password_file, SECRET_MAX);
	pop->token_command = k->token_command;
	pop->secret = (struct secret_params){
		.command = k->password_command, .file = k->password_file, .literal = k->password, .netrc = k->netrc,
		.host = pop->dial.host, .user = pop->user, .port = pop->dial.port,
	};
}

/* Mechanisms, all known to this build. */
static void make_auth(struct maker *m, struct pop3_params *pop)
{
	const char *const *names = sasl_names();
	const struct key_list url = { &m->url.auth, m->url.auth ? 1 : 0 }, *list = m->url.auth ? &url : &m->k->auth;
	const void *field = m->url.auth ? (const void *)&m->k->url : (const void *)&m->k->auth;
	struct strbuf all = STRBUF_INIT(4096);

	for (size_t i = 0; names[i]; i++)
		strbuf_printf(&all, "%s%s", i > 0 ? "|" : "", names[i]);
	if (list->n >= SASL_ALLOW_MAX)
		at_key(m, auth, "more than %d mechanisms", SASL_ALLOW_MAX - 1);
	for (size_t i = 0; i < list->n && i < SASL_ALLOW_MAX - 1; i++) {
		const char *name = NULL;

		for (size_t j = 0; names[j]; j++)
			if (slice_ieqs(slice_str(list->v[i]), names[j]))
				name = names[j];
		if (!name)
			problem_add(m->p, parsed_value_place(m->s, field, i), ERR_CONF, "auth: '%s' is not known; allowed: %s", list->v[i],
				    problem_words(m->p, strbuf_str(&all)));
		pop->auth[i] = name;
	}
	strbuf_release(&all);
}

/* Capabilities that are not to be used. */
static void make_disabled(struct maker *m, struct pop3_params *pop)
{
	size_t n;
	const struct pop3_capinfo *caps = pop3_capinfo(&n);
	const struct key_list *list = &m->k->disable_extensions;
	struct strbuf all = STRBUF_INIT(4096);

	for (size_t i = 0; i < n; i++)
		strbuf_printf(&all, "%s%s", i > 0 ? "|" : "", caps[i].name);
	for (size_t i = 0; i < list->n; i++) {
		unsigned bit = 0;

		for (size_t j = 0; j < n; j++)
			if (slice_ieqs(slice_str(list->v[i]), caps[j].name))
				bit = caps[j].bit;
		if (bit == 0)
			problem_add(m->p, parsed_value_place(m->s, list, i), ERR_CONF, "disable-extensions: '%s' is not known%s; allowed: %s", list->v[i],
				    problem_near(m->p, list->v[i], strbuf_str(&all)), problem_words(m->p, strbuf_str(&all)));
		pop->disabled |= bit;
	}
	strbuf_release(&all);
}

/* Wipe this string at the end. */
static void note_secret(struct maker *m, const char *text)
{
	char *s;

	memcpy(&s, &text, sizeof(s)); /* ours, of the arena: the const is for readers */
	if (vec_push(&m->c->secrets, s) < 0)
		explicit_bzero(s, strlen(s)); /* lost, but not left behind */
}

/* How to get there: tunnel or proxy. */
static void make_way(struct maker *m, struct dial_params *d)
{
	struct err e = ERR_INIT;
	struct url u;

	d->tunnel = m->k->tunnel;
	if (is_given(m, tunnel) && m->k->tunnel && m->k->tunnel[0] == '\0')
		at_key(m, tunnel, "tunnel is empty");
	if (!m->k->proxy)
		return;
	if (is_given(m, tunnel))
		at_key(m, proxy, "proxy and tunnel exclude each other");
	if (strncasecmp(m->k->proxy, "socks5:", 7) != 0) {
		at_key(m, proxy, "proxy: allowed is socks5://[user:password@]host[:port]"); /* the value may hold a password: not shown */
		return;
	}
	if (url_parse(m->k->proxy, &m->c->arena, &u, &e) < 0) {
		err_in(&e, "proxy");
		problem_err(m->p, parsed_place(m->s, &m->k->proxy), &e);
		return;
	}
	d->proxy = (struct socks_params){ .host = u.host, .port = u.port ? u.port : "1080", .user = u.user, .password = u.password };
	if (u.password) {
		check_private(m, &m->k->proxy);
		note_secret(m, u.password);
		note_secret(m, m->k->proxy);
	}
}

/* An account. */
void build_account(struct config *c, const struct parsed *s, struct config_end *out, struct problems *p)
{
	struct maker m = { .c = c, .s = s, .k = s->keys, .p = p };
	struct pop3_params *pop = &out->pop3.pop3;

	out->kind = CONFIG_POP3;
	out->is_account = true;
	out->pop3.gmail_recent = m.k->gmail_recent;
	pop->what = out->name;
	pop->dial.timeout = (int)(m.k->timeout * 1000);
	make_server(&m, out);
	make_way(&m, &pop->dial);
	make_security(&m, out);
	make_tls(&m, &pop->dial.tls, pop->dial.security == DIAL_PLAIN);
	make_secret(&m, pop);
	make_auth(&m, pop);
	make_disabled(&m, pop);
}
