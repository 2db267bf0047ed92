/* From parameters to an IMAP session in the authenticated state. */
#ifndef IMAP_LOGIN_H
#define IMAP_LOGIN_H

#include "auth/sasl.h"
#include "auth/secret.h"
#include "imap/conn.h"

/* What an earlier connection learnt: saves round trips, never believed for security. */
struct imap_remembered {
	struct imap_caps before, after; /* login */
	bool told;                      /* `after` came with the login's OK, unasked */
	enum imap_flies flies;
	/* by a connection of this process; what is older is taken for true only until it can be seen */
	bool heard;
};

struct imap_params {
	struct dial_params dial;
	const char *what;            /* "work": the account's name, for error texts */
	const char *user;
	struct secret_params secret; /* the password */
	const char *token_command;   /* OAuth access token; NULL none */
	/* The person's list; NULL first: any. "LOGIN" names both the command and the mechanism. */
	const char *auth[SASL_ALLOW_MAX];
	unsigned disabled;           /* enum imap_cap that must not be used */
	/* plaintext passwords may be sent: TLS, tunnel, loopback, or allow-plaintext */
	bool secure;
	/* IMAP_CAP_QRESYNC, _CONDSTORE, _UTF8_ACCEPT: what to ENABLE where it is offered */
	unsigned enable;
	struct imap_remembered *remembered; /* borrowed, may be NULL; used under TLS only */
	/*
	 * Queues the caller's first commands, which then leave with the login; may be NULL. It is
	 * called where the server is known to take them, and may queue nothing. See c->flew.
	 */
	int (*first)(void *arg, struct imap_conn *c, struct err *e);
	void *first_arg;
	/* as in imap_conn, from the first word that can be believed */
	void (*alert)(void *arg, const char *text);
	void *arg;
};

/*
 * Open and log in: AUTHENTICATE by the strongest mechanism (initial response where SASL-IR is
 * offered), else the LOGIN command where LOGINDISABLED is not and the link is secure. Secrets are
 * wiped before return. ERR_AUTH texts name user, mechanism and what the server said. PREAUTH over
 * TLS from the first byte or through a tunnel is login.
 *
 * Then ID, ENABLE and NAMESPACE are queued: they leave with the caller's first command, and
 * imap_next takes their answers; who wants to see them first calls imap_settle. Only UTF8=ACCEPT is
 * waited for, since the names in the next command depend on it.
 *
 * Where remembered says that the server takes what stands behind a login, and the login is one line
 * (PLAIN, EXTERNAL, LOGIN), they and what `first` queues leave with it. Then c->flew is set, and the
 * caller reads the ends of its commands; if it is not set, nothing of them is in flight, and the
 * caller sends them itself. What the server can must be what was remembered, or what was sent is
 * read over and sent again. Where it isn't known whether the server takes it, a NOOP is put behind
 * the login to see. A server that stumbles over this, or a mechanism that it no longer has, costs a
 * second connection without it; a login that is refused is refused once.
 */
int imap_login(struct imap_conn *c, const struct imap_params *p, struct net_stats *stats,
	struct err *e);

#endif
