/* Account URLs and store specs (RFC 1738 style, RFC 2384 for POP3): pop3s://user;auth=SCRAM-SHA-256@host:port */
#ifndef CONFIG_URL_H
#define CONFIG_URL_H

#include "base/arena.h"
#include "base/err.h"

struct url {
	const char *scheme; /* "pop3s", "pop3", "imaps", "imap", "maildir", "mbox" */
	const char *user;   /* percent-decoded; NULL none */
	const char *auth;   /* NULL none */
	const char *host;   /* without brackets; NULL for local specs */
	const char *port;   /* digits; NULL: the scheme's default */
	const char *path;   /* maildir:, mbox: as written */
};

/* Strings live in the arena. A password in the URL is an error (it would show up in process lists). */
int url_parse(const char *text, struct arena *a, struct url *out, struct err *e);
/* Does the text look like a URL or store spec at all (and not a name)? */
bool url_like(const char *text);

#endif
