/*
 * What logging in has in common, whatever the protocol: the secret, the choice of mechanism, the
 * rounds of SASL, and what to tell a person when it fails.
 *
 *   login_gather    before the server's clock runs: a password command may ask a person
 *   login_sasl      parameters for sasl_choose() and sasl_new(): the strongest that is offered, and
 *                   nothing that reveals a secret on a link that isn't secure
 *   login_rounds    the conversation, over the protocol's own way to say a line and to hear a
 *                   challenge
 *   login_refused   an error that says who, how, what the server said, and what would help
 */
#ifndef AUTH_LOGIN_H
#define AUTH_LOGIN_H

#include "auth/blank.h"
#include "auth/sasl.h"
#include "auth/secret.h"
#include "net/dial.h"

/* What a person gave, borrowed from the protocol's parameters. */
struct login_given {
	const char *service;               /* "pop", "imap" */
	const struct dial_params *dial;
	/* as in the configuration: for the sources of the secret that go by it */
	const char *user;
	const char *as;                    /* who logs in, if another ("recent:jane"); NULL: user */
	/* where its user, host or port are NULL, those above are meant */
	const struct secret_params *secret;
	const char *token_command;         /* OAuth access token; NULL none */
	/* SASL_ALLOW_MAX names, the person's list; NULL first: any but those that must be named */
	const char *const *auth;
	/* plaintext passwords may be sent: TLS, tunnel, loopback, or allow-plaintext */
	bool secure;
};

struct login {
	const struct login_given *g;
	const char *user;                  /* who logs in */
	struct strbuf password, token;     /* secrets: wiped by login_release */
	bool has_password, has_token;
	/* what must not be shown of the server's answers, from here until login_release */
	struct blank blank;
};

/*
 * Get password or token; neither where a client certificate is the credential. *l is all zero
 * before; login_release it after a failure too.
 */
int login_gather(struct login *l, const struct login_given *g, struct err *e);
void login_release(struct login *l);

/* Parameters for the choice, and for the conversation on this stream. They borrow from *l. */
void login_sasl(const struct login *l, struct stream *s, struct sasl_params *out);

/*
 * From here on (or, with NULL, no more) the trace of this stream shows the server's lines without
 * the secret.
 */
void login_blank_trace(const struct login *l, struct stream *s);

/* Blank it in an error's text, which may quote the server. */
void login_blank(const struct login *l, struct err *e);

/* Whether the person's list names a mechanism (any case). */
bool login_named(const struct login_given *g, const char *mech);

/* The protocol's part of the rounds. */
struct login_link {
	void *arg;
	/*
	 * a line of ours, perhaps empty; it goes out at the latest when hear waits. last: nothing but
	 * the server's OK is expected then
	 */
	int (*say)(void *arg, const char *line, bool last, struct err *e);
	/*
	 * 2: a challenge, 1: OK, 0: refused (*e), -1: the link is lost. *text until the next call
	 */
	int (*hear)(void *arg, struct slice *text, struct err *e);
};

/*
 * The rounds behind the line that names the mechanism. held: *out is an initial response that did
 * not go along; the server's first, empty challenge asks for it. *out is secret, empty where
 * nothing is held, and empty after. Where we can't go on, "*" cancels (RFC 4422 section 3.5). 0;
 * -1: *e says who, how and why, with span and kind as of login_refused.
 */
int login_rounds(const struct login *l, struct sasl *s, const char *mech, bool held,
	struct strbuf *out, const struct login_link *link, struct err *e);

/*
 * Make the error of a refused login out of the server's refusal in *e: ERR_AUTH, unless a code or
 * known words say that it is no matter of the password. more ("" for none) is what else the server
 * told. What would help stands behind it: by the server's words, or else by the provider that is
 * known to say no more. Returns -1.
 */
int login_refused(const struct login *l, const char *mech, const char *more, struct err *e);

#endif
