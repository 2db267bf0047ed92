/* From parameters to a POP3 session in the TRANSACTION state. */
#ifndef POP3_LOGIN_H
#define POP3_LOGIN_H

#include "auth/sasl.h"
#include "auth/secret.h"
#include "pop3/conn.h"

struct pop3_params {
	struct dial_params dial;
	const char *what;            /* "isp": the account's name, for error texts */
	const char *user;
	struct secret_params secret; /* the password */
	const char *token_command;   /* OAuth access token; NULL none */
	const char *auth[SASL_ALLOW_MAX]; /* the person's list; NULL first: any but APOP */
	unsigned disabled;           /* enum pop3_cap that must not be used */
	bool secure;                 /* plaintext passwords may be sent: TLS, tunnel, loopback, or allow-plaintext */
	/* What an earlier connection of this process learnt: saves a round trip, never believed for security. Borrowed, may be NULL. */
	struct pop3_caps *remembered;
};

/*
 * Open and log in: SASL by strength (RFC 5034, initial response where it fits in 255 octets), else USER/PASS (pipelined where PIPELINING is offered), APOP only
 * when named in `auth`. user overrides params->user when not NULL. Secrets are wiped before return. ERR_AUTH texts name user, mechanism and what the server said.
 */
int pop3_login(struct pop3_conn *c, const struct pop3_params *p, const char *user, struct net_stats *stats, struct err *e);

/* QUIT and its answer, then close. -1 when the server did not say +OK: deletions are uncertain. */
int pop3_quit(struct pop3_conn *c, struct err *e);

/* QUIT and close, without waiting for the answer: for sessions that changed nothing. */
void pop3_bye(struct pop3_conn *c);

#endif
