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

/* The protocols, in the order of the schema's words. */
static const struct proto {
	const char *name, *port;
	bool imap, starttls;
	const char *other;   /* the same protocol by the other kind of TLS */
	const char *upgrade; /* the command that begins TLS */
} protos[] = {
	[PROTOCOL_POP3S] = { "pop3s", "995", false, false, "pop3", "STLS" },
	[PROTOCOL_POP3] = { "pop3", "110", false, true, "pop3s", "STLS" },
	[PROTOCOL_IMAPS] = { "imaps", "993", true, false, "imap", "STARTTLS" },
	[PROTOCOL_IMAP] = { "imap", "143", true, true, "imaps", "STARTTLS" },
};

/* What the parameters of all protocols hold. */
struct access {
	struct dial_params dial;
	const char *user;
	struct secret_params secret;
	const char *token_command;
	const char *auth[SASL_ALLOW_MAX];
	unsigned disabled;
	bool secure;
};

/* An account in the making. */
struct maker {
	struct config *c;
	const struct parsed *s;
	const struct account_keys *k;
	struct problems *p;
	struct url url;       /* user, host, port, wherever they came from */
	const struct proto *proto;
	bool protocol_known;
	struct access to;
};

/* Note a problem at a key. */
#define at_key(m, field, ...) problem_add((m)->p, parsed_place((m)->s, &(m)->k->field), ERR_CONF, __VA_ARGS__)
#define is_given(m, field) (parsed_given((m)->s, &(m)->k->field) != NULL)

/* The row of a protocol's name, or NULL. */
static const struct proto *proto_of(const char *name)
{
	for (size_t i = 0; i < sizeof(protos) / sizeof(protos[0]); i++)
		if (strcmp(protos[i].name, name) == 0)
			return &protos[i];
	return NULL;
}

/* The port of the protocol that differs from this one in the kind of TLS. */
static const char *other_port(const struct proto *proto)
{
	return proto_of(proto->other)->port;
}

/* The word is 'and url exclude each other'. */
static void not_with_url(struct maker *m, const void *field)
{
	const struct given *g = parsed_given(m->s, field);

	if (g)
		problem_add(m->p, g->at, ERR_CONF, "%s and url exclude each other; the url says it: %s://user@host:port", g->key->name,
			    m->protocol_known ? m->proto->name : "imaps");
}

/* Protocol, server and user by the url. */
static void from_url(struct maker *m)
{
	struct err e = ERR_INIT;
	struct url u = { 0 };
	int rc = -1;

	if (m->k->url)
		rc = url_parse(m->k->url, &m->c->arena, &u, &e);
	if (rc == 0 && proto_of(u.scheme)) {
		m->url = u;
		m->proto = proto_of(u.scheme);
		m->protocol_known = true;
	}
	not_with_url(m, &m->k->host);
	not_with_url(m, &m->k->port);
	not_with_url(m, &m->k->protocol);
	if (!m->k->url)
		return; /* that it is bad was said */
	if (rc < 0) {
		err_in(&e, "url");
		problem_err(m->p, parsed_place(m->s, &m->k->url), &e);
		return;
	}
	if (!m->protocol_known)
		at_key(m, url, "url = %s: is no account; allowed: imaps://user@host, imap://user@host, pop3s://user@host, pop3://user@host", u.scheme);
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

	m->proto = &protos[m->k->protocol];
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
	struct strbuf b = STRBUF_INIT(16384);

	m->proto = &protos[PROTOCOL_POP3S]; /* where it isn't known, something has been said of it: the rest can be checked all the same */
	if (is_given(m, url))
		from_url(m);
	else if (is_given(m, host))
		from_keys(m);
	else
		problem_add(m->p, m->s->at, ERR_CONF, "account %s needs 'url = \"imaps://user@host\"' or \"pop3s://user@host\", or host and user", out->name);
	if (!m->url.user && m->k->user && m->k->user[0])
		m->url.user = m->k->user;
	if (m->url.host && !m->url.user && !is_given(m, user))
		problem_add(m->p, m->s->at, ERR_CONF, "account %s has no user; the url can say it: %s://user@%s", out->name, m->proto->name, m->url.host);
	else if (is_given(m, user) && m->k->user && !m->k->user[0])
		at_key(m, user, "user is empty");
	if (!m->url.port)
		m->url.port = m->proto->port;
	m->to.dial.host = m->url.host;
	m->to.dial.port = m->url.port;
	m->to.user = m->url.user;
	url_put(&b, m->proto->name, m->url.user, m->url.host ? m->url.host : "", m->url.port);
	out->url = arena_str(&m->c->arena, strbuf_slice(&b));
	strbuf_release(&b);
}

/* Keys that only accounts of the other protocol have. */
static void check_protocol(struct maker *m)
{
	for (size_t i = 0; m->protocol_known && i < m->s->n_given; i++) {
		const struct given *g = &m->s->given[i];

		if (g->key->only == (m->proto->imap ? KEY_ONLY_POP3 : KEY_ONLY_IMAP))
			problem_add(m->p, g->at, ERR_CONF, "%s is for %s accounts; this one is %s", g->key->name, m->proto->imap ? "POP3" : "IMAP", m->proto->name);
	}
}

/* TLS or not: what the protocol says, unless a person takes the risk. */
static void make_security(struct maker *m)
{
	struct access *to = &m->to;
	const struct account_keys *k = m->k;
	const struct proto *proto = m->proto;
	bool private = k->tunnel || (m->url.host && url_loopback(m->url.host));

	to->dial.security = proto->starttls ? DIAL_STARTTLS : DIAL_TLS;
	if (k->tls == TLS_IMPLICIT && proto->starttls && m->protocol_known)
		at_key(m, tls, "tls = implicit contradicts %s; write %s for TLS from the first byte (port %s)", proto->name, proto->other, other_port(proto));
	else if (k->tls == TLS_STARTTLS && !proto->starttls && m->protocol_known)
		at_key(m, tls, "tls = starttls contradicts %s; write %s for %s (port %s)", proto->name, proto->other, proto->upgrade, other_port(proto));
	else if (k->tls == TLS_NONE && !proto->starttls && m->protocol_known)
		at_key(m, tls, "tls = none contradicts %s; write %s (port %s)", proto->name, proto->other, other_port(proto));
	else if (k->tls == TLS_NONE && m->url.host && !private && !k->allow_plaintext)
		at_key(m, tls, "tls = none would show password and mail to the network; allowed for this host itself, with a tunnel, or with allow-plaintext = yes");
	if (k->tls == TLS_NONE)
		to->dial.security = DIAL_PLAIN;
	else if (k->allow_plaintext)
		at_key(m, allow_plaintext, "allow-plaintext has no effect without tls = none: TLS is required");
	to->secure = to->dial.security != DIAL_PLAIN || private || k->allow_plaintext;
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
static void make_secret(struct maker *m)
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
	m->to.token_command = k->token_command;
	m->to.secret = (struct secret_params){
		.command = k->password_command, .file = k->password_file, .literal = k->password, .netrc = k->netrc,
		.host = m->to.dial.host, .user = m->to.user, .port = m->to.dial.port,
	};
}

/* Whether the protocol knows a mechanism. USER and APOP are POP3's own. */
static bool protocol_knows(const struct maker *m, const char *mech)
{
	return !m->proto->imap || (strcmp(mech, "USER") != 0 && strcmp(mech, "APOP") != 0);
}

/* Mechanisms, all known to this build. */
static void make_auth(struct maker *m)
{
	const char *const *names = sasl_names();
	const struct key_list url = { &m->url.auth, m->url.auth ? 1 : 0 }, *list = m->url.auth ? &url : &m->k->auth;
	const void *field = m->url.auth ? (const void *)&m->k->url : (const void *)&m->k->auth;
	struct strbuf all = STRBUF_INIT(4096);

	for (size_t i = 0; names[i]; i++)
		if (protocol_knows(m, names[i]))
			strbuf_printf(&all, "%s%s", all.len > 0 ? "|" : "", names[i]);
	if (list->n >= SASL_ALLOW_MAX)
		at_key(m, auth, "more than %d mechanisms", SASL_ALLOW_MAX - 1);
	for (size_t i = 0; i < list->n && i < SASL_ALLOW_MAX - 1; i++) {
		const char *name = NULL;

		for (size_t j = 0; names[j]; j++)
			if (slice_ieqs(slice_str(list->v[i]), names[j]) && protocol_knows(m, names[j]))
				name = names[j];
		if (!name)
			problem_add(m->p, parsed_value_place(m->s, field, i), ERR_CONF, "auth: '%s' is not known; allowed: %s", list->v[i],
				    problem_words(m->p, strbuf_str(&all)));
		m->to.auth[i] = name;
	}
	strbuf_release(&all);
}

/* A capability of the account's protocol. */
struct cap {
	const char *name;
	unsigned bit;
	bool fixed; /* can't be done without */
};

/* Row i of the protocol's table; false behind the last. */
static bool cap_of(const struct maker *m, size_t i, struct cap *out)
{
	size_t n;
	const struct pop3_capinfo *pop = pop3_capinfo(&n);

	if (!m->proto->imap && i < n) {
		*out = (struct cap){ .name = pop[i].name, .bit = pop[i].bit };
		return true;
	}
	if (m->proto->imap) {
		const struct imap_capinfo *imap = imap_capinfo(&n);

		if (i < n) {
			*out = (struct cap){ .name = imap[i].name, .bit = imap[i].bit, .fixed = imap[i].fixed };
			return true;
		}
	}
	return false;
}

/* Capabilities that are not to be used. */
static void make_disabled(struct maker *m)
{
	const struct key_list *list = &m->k->disable_extensions;
	struct strbuf all = STRBUF_INIT(4096);
	struct cap cap;

	for (size_t i = 0; cap_of(m, i, &cap); i++)
		if (!cap.fixed)
			strbuf_printf(&all, "%s%s", all.len > 0 ? "|" : "", cap.name);
	for (size_t i = 0; i < list->n; i++) {
		struct place at = parsed_value_place(m->s, list, i);
		unsigned bit = 0;

		for (size_t j = 0; bit == 0 && cap_of(m, j, &cap); j++)
			if (slice_ieqs(slice_str(list->v[i]), cap.name))
				bit = cap.bit;
		if (bit == 0)
			problem_add(m->p, at, ERR_CONF, "disable-extensions: '%s' is not known%s; allowed: %s", list->v[i],
				    problem_near(m->p, list->v[i], strbuf_str(&all)), problem_words(m->p, strbuf_str(&all)));
		else if (cap.fixed)
			problem_add(m->p, at, ERR_CONF, "disable-extensions: %s can't be done without", cap.name);
		m->to.disabled |= bit;
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
static void make_way(struct maker *m)
{
	struct dial_params *d = &m->to.dial;
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

/* POP3's parameters. */
static void to_pop3(const struct maker *m, struct config_end *out)
{
	struct pop3_params *p = &out->pop3.pop3;
	const struct access *from = &m->to;

	out->kind = CONFIG_POP3;
	out->connections = 1; /* a maildrop is locked by its session (RFC 1939, 8) */
	out->pop3.gmail_recent = m->k->gmail_recent;
	*p = (struct pop3_params){ .dial = from->dial, .what = out->name, .user = from->user, .secret = from->secret, .token_command = from->token_command,
				   .disabled = from->disabled, .secure = from->secure };
	memcpy(p->auth, from->auth, sizeof(p->auth));
}

/* IMAP's parameters. */
static void to_imap(const struct maker *m, struct config_end *out)
{
	struct imap_params *p = &out->imap.imap;
	const struct access *from = &m->to;

	out->kind = CONFIG_IMAP;
	out->connections = (unsigned)m->k->connections;
	out->imap.compress = m->k->compress == COMPRESS_AUTO;
	out->imap.prefix = m->k->prefix && m->k->prefix[0] ? m->k->prefix : NULL;
	*p = (struct imap_params){ .dial = from->dial, .what = out->name, .user = from->user, .secret = from->secret, .token_command = from->token_command,
				   .disabled = from->disabled, .secure = from->secure };
	memcpy(p->auth, from->auth, sizeof(p->auth));
}

/* An account. */
void build_account(struct config *c, const struct parsed *s, struct config_end *out, struct problems *p)
{
	struct maker m = { .c = c, .s = s, .k = s->keys, .p = p };

	out->is_account = true;
	m.to.dial.timeout = (int)(m.k->timeout * 1000);
	make_server(&m, out);
	check_protocol(&m);
	make_way(&m);
	make_security(&m);
	make_tls(&m, &m.to.dial.tls, m.to.dial.security == DIAL_PLAIN);
	make_secret(&m);
	make_auth(&m);
	make_disabled(&m);
	if (m.proto->imap)
		to_imap(&m, out);
	else
		to_pop3(&m, out);
}

/* How an account is reached. */
struct dial_params *config_dial(struct config_end *end)
{
	return end->kind == CONFIG_POP3 ? &end->pop3.pop3.dial : end->kind == CONFIG_IMAP ? &end->imap.imap.dial : NULL;
}

/* What opens it. */
struct secret_params *config_secret(struct config_end *end)
{
	return end->kind == CONFIG_POP3 ? &end->pop3.pop3.secret : end->kind == CONFIG_IMAP ? &end->imap.imap.secret : NULL;
}
