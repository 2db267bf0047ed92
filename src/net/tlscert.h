/*
 * The certificate half of tls.c: what must hold of the server's certificate, what is wrong with it
 * in words, and what it says.
 */
#ifndef NET_TLSCERT_H
#define NET_TLSCERT_H

#include <openssl/ssl.h>

#include "net/tls.h"

#define TLS_HOST_MAX 256

struct tls_check {
	char host[TLS_HOST_MAX]; /* without brackets, zone and final dot */
	bool is_ip, own_ca;
	size_t n_pins;
	unsigned char pins[TLS_PINS_MAX][32];
	X509 *leaf, *culprit; /* of a refused chain */
	int why;              /* X509_V_ERR_... */
	bool bad_pin;
};

int tls_check_init(struct tls_check *c, const struct tls_params *p, struct err *e);
void tls_check_release(struct tls_check *c);

void tls_check_install(struct tls_check *c, SSL_CTX *ctx); /* c must live as long as ctx */
int tls_check_expect(struct tls_check *c, SSL *ssl);       /* host or address, SNI */

/* Whether the handshake failed for the certificate; then *e says why. */
bool tls_check_failed(const struct tls_check *c, struct err *e);

/* Once more after the handshake: a resumed one shows no certificate to the callbacks. */
int tls_check_final(struct tls_check *c, SSL *ssl, struct err *e);

void tlscert_info(X509 *cert, struct tls_info *out); /* subject ... not_after */
size_t tlscert_end_point(X509 *cert, unsigned char *out, size_t cap); /* RFC 5929 4.1 */

#endif
