/* From parameters to an IMAP session in the authenticated state. */
#ifndef IMAP_LOGIN_H
#define IMAP_LOGIN_H

#include "auth/sasl.h"
#include "auth/secret.h"
#include "imap/conn.h"

/*
 * What an earlier connection of this process learnt: saves round trips, never believed for
 * security.
 */
struct imap_remembered {
	struct imap_caps before, after; /* login */
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
	struct imap_remembered *remembered; /* borrowed, may be NULL */
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
 */
int imap_login(struct imap_conn *c, const struct imap_params *p, struct net_stats *stats,
	struct err *e);

#endif
