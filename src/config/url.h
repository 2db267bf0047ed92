/* Account URLs and store specs (RFC 1738 style, RFC 2384 for POP3): pop3s://user;auth=SCRAM-SHA-256@host:port */
#ifndef CONFIG_URL_H
#define CONFIG_URL_H

#include "base/arena.h"
#include "base/err.h"
#include "base/strbuf.h"

struct url {
	const char *scheme;   /* "pop3s", "pop3", "imaps", "imap", "socks5", "maildir", "mbox" */
	const char *user;     /* percent-decoded; NULL none */
	const char *password; /* socks5 only; NULL none */
	const char *auth;     /* NULL none */
	const char *host;     /* without brackets; NULL for local specs */
	const char *port;     /* digits, 1 to 65535, no leading zero; NULL: the scheme's default */
	const char *path;     /* maildir:, mbox:, as written */
};

/*
 * Strings live in the arena. A password in an account's URL is an error (it would show up in process lists). The text of an error never
 * holds what stands before the '@', which may be a password.
 */
int url_parse(const char *text, struct arena *a, struct url *out, struct err *e);

/* Does the text look like a URL or store spec at all (and not a name)? */
bool url_like(const char *text);

/* A host name (ASCII), an IPv4 address, an IPv6 address with or without brackets: *out is without them, lower case. */
int url_host(struct slice text, struct arena *a, const char **out, struct err *e);

/* Is it this machine without asking anybody: localhost, 127.0.0.0/8, ::1? host as url_host gives it. */
bool url_loopback(const char *host);

/* "pop3s://jane@pop.example.org:995", with what needs it percent-encoded. user may be NULL. */
int url_put(struct strbuf *b, const char *scheme, const char *user, const char *host, const char *port);

#endif
