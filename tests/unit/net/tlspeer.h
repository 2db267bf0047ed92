/* Certificates made for the occasion, and a TLS server that speaks by them. */
#ifndef TEST_TLSPEER_H
#define TEST_TLSPEER_H

#include <stdbool.h>

#include <openssl/ssl.h>

#include "peer.h"

/* PEM files NAME.crt and NAME.key in a scratch directory. */
struct pki {
	char *dir;
	EVP_PKEY *key; /* one for all: keys are not what is tested */
	X509 *ca;
};

void pki_make(struct pki *k);
void pki_remove(struct pki *k);

struct cert_spec {
	const char *name;      /* of the file, and the common name */
	const char *alt;       /* subjectAltName as in openssl.cnf, or NULL */
	long from, to;         /* seconds from now */
	enum { BY_CA, BY_SELF, BY_STRANGER } by;
};

void pki_issue(const struct pki *k, const struct cert_spec *c);
const char *pki_path(const struct pki *k, const char *name,
	const char *suffix); /* static buffers, four in turn */
void pki_fingerprint(const struct pki *k, const char *name, char out[65]);

struct tls_peer {
	const struct pki *pki;
	const char *cert; /* name of the certificate shown */
	int version;      /* TLS1_2_VERSION or TLS1_3_VERSION: the only one; 0: both */
	bool want_client; /* a certificate by the CA is required */
	bool no_ems;      /* no extended master secret */
	bool abrupt;      /* ends the connection without close_notify */
	bool greet_late;  /* waits 200 ms before it says anything */
};

/*
 * A peer_fn whose arg is a struct tls_peer. It says "full\n" or "resumed\n", then "exporter
 * HEX\nunique HEX\n", then echoes what it reads, until "quit\n" comes.
 */
void tls_peer_serve(int fd, int nth, void *arg);

#endif
