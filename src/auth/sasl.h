/*
 * SASL (RFC 4422) for clients: which mechanism to take, and its conversation. SCRAM is scram.c; PLAIN, LOGIN, CRAM-MD5, EXTERNAL,
 * OAUTHBEARER (RFC 7628) and XOAUTH2 are small enough to stand in sasl.c. GNU SASL prepares names and passwords beyond ASCII (saslprep.h).
 */
#ifndef AUTH_SASL_H
#define AUTH_SASL_H

#include <stdbool.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "net/stream.h"

#define SASL_ALLOW_MAX 16

struct sasl_params {
	const char *service;      /* "pop", "imap": for mechanisms that name it; none does yet */
	const char *host, *port;  /* for OAUTHBEARER; may be NULL */
	const char *user;
	const char *authzid;      /* NULL: none */
	const struct strbuf *password; /* NULL when there is a token or a certificate */
	const struct strbuf *token;    /* OAuth access token, or NULL */
	bool certificate;         /* a client certificate was given: EXTERNAL makes sense */
	bool secure;              /* the link is TLS, a tunnel, or loopback: plaintext mechanisms may be used */
	struct stream *stream;    /* for channel binding; may be NULL */
	const char *allow[SASL_ALLOW_MAX]; /* the person's `auth` list (any case); NULL first: all but those that must be named */
};

/*
 * The strongest mechanism that is offered (blank-separated names), allowed, and for which we have credentials:
 * SCRAM-SHA-256-PLUS, SCRAM-SHA-1-PLUS, SCRAM-SHA-256, SCRAM-SHA-1, EXTERNAL, OAUTHBEARER, XOAUTH2, CRAM-MD5, PLAIN, LOGIN.
 * With a token only the OAuth ones; with a certificate and no password only EXTERNAL. -PLUS needs channel binding on this link; where the server
 * offers a -PLUS and we cannot bind (or the person leaves -PLUS out of the list), plain SCRAM says so ("n"), and where we could bind but it is not
 * offered, "y" (RFC 5802 section 6).
 * NULL with *e (ERR_AUTH: lists offered and allowed, and what would help) when nothing fits.
 */
const char *sasl_choose(const struct sasl_params *p, const char *offered, struct err *e);

struct sasl;

/*
 * offered as above (SCRAM needs it for its gs2 flag). Copies what it needs from *p, so that the caller may wipe its secrets at once.
 * NULL with ERR_AUTH when mech would show a secret on a link that isn't secure, ERR_CONF when credentials lack or can't be sent by it.
 */
struct sasl *sasl_new(const struct sasl_params *p, const char *mech, const char *offered, struct err *e);
void sasl_free(struct sasl *s); /* wipes; NULL is fine */

bool sasl_client_first(const struct sasl *s); /* it has an initial response */
/* All is said by that, and the server asks for nothing more (those with a token are asked once, when they fail). */
bool sasl_one_line(const struct sasl *s);
/* The response that was made last is the last of all, unless something goes wrong; never so with a token. */
bool sasl_said_all(const struct sasl *s);

/*
 * One step. challenge is the server's base64 text (empty for the initial response); the base64 of our response is appended to *out (marked secret by
 * the caller; 128 KiB hold any). A response of no bytes is an empty line, but "=" as an initial response (RFC 4959, RFC 5034): the caller's part.
 * Returns 1 when a response is to be sent, -1 when the conversation must be broken off (cancel with "*").
 * XOAUTH2/OAUTHBEARER: an error challenge (JSON) is kept for sasl_failure() and answered as the RFC asks; the server then says NO.
 */
int sasl_step(struct sasl *s, struct slice challenge, struct strbuf *out, struct err *e);

/*
 * The server said OK (with final data, base64, or empty): -1 (ERR_AUTH) unless the mechanism agrees that the server proved itself (SCRAM's signature,
 * in a challenge before or in the final data); ERR_PROTO when we had not said all yet.
 */
int sasl_finish(struct sasl *s, struct slice final, struct err *e);

/* What the server told in its error challenge, printable, or "". */
const char *sasl_failure(const struct sasl *s);

/* Is the name one that reveals the password or token to whoever listens (PLAIN, LOGIN, OAuth, USER)? */
bool sasl_plaintext(const char *mech);

/* All names this build knows, strongest first, NULL-terminated (for `info`, `check` and the config's allowed list); includes "USER" and "APOP" which pop3 handles. */
const char *const *sasl_names(void);

#endif
