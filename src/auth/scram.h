/*
 * SCRAM (RFC 5802, RFC 7677) for clients: its three messages as text; base64 on the wire and the choice of mechanism are sasl.c's.
 *
 *   scram_new -> scram_first -> (server-first) scram_reply -> (server-final) scram_verify
 *
 * Why not GNU SASL's: its 2.2.0 answers an error where the flag "y" is due (binding possible, -PLUS not offered), and "n" in its place is
 * what RFC 5802 section 6 forbids, since it hides a -PLUS that was cut out of the server's list; its hashing is four times slower,
 * takes any iteration count, can't be interrupted, and leaves copies of the password in freed memory.
 */
#ifndef AUTH_SCRAM_H
#define AUTH_SCRAM_H

#include "base/err.h"
#include "base/strbuf.h"

/*
 * Fewer rounds than RFC 7677 section 4 asks for would let whoever plays the server guess passwords cheaply (Dovecot refuses them in its own
 * tables too); more than the maximum (2 seconds) are an attack on our processor.
 */
#define SCRAM_ITER_MIN 4096
#define SCRAM_ITER_MAX 10000000
#define SCRAM_BIND_MAX 128 /* bytes of channel binding data */

struct scram_params {
	const char *digest;            /* OpenSSL's name: "SHA1", "SHA256" */
	const char *user;
	const char *authzid;           /* NULL: none */
	const struct strbuf *password;
	char flag;                     /* 'n': we can't bind; 'y': we could, the server can't; 'p': bound */
	const char *bind_type;         /* with 'p': "tls-exporter" */
	struct slice bind_data;        /* with 'p' */
	const char *nonce;             /* NULL: random; tests give that of the RFC */
};

struct scram;

/* Copies what it needs. */
struct scram *scram_new(const struct scram_params *p, struct err *e);
void scram_free(struct scram *s); /* wipes */

/* Each appends its message to out. */
int scram_first(struct scram *s, struct strbuf *out, struct err *e);
int scram_reply(struct scram *s, struct slice server_first, struct strbuf *out, struct err *e);

/* ERR_AUTH unless the server's last message proves that it knows the password too. */
int scram_verify(struct scram *s, struct slice server_final, struct err *e);

#endif
