/* The memory of tls.c: one session, and the conditions under which it may be taken up again. */
#ifndef NET_TLSMEM_H
#define NET_TLSMEM_H

#include <openssl/ssl.h>

#include "base/strbuf.h"
#include "net/tls.h"

#define TLS_KEY_MAX 8192

/*
 * The conditions: host and everything that is verified, and when the files of those that are believed last changed. -1 when they are too long to compare.
 */
int tls_memory_key(struct strbuf *key, const struct tls_params *p);

/* Keep a session; takes it. */
void tls_memory_put(struct tls_memory *m, const struct strbuf *key, SSL_SESSION *session);

/* A session to offer, which the caller frees, or NULL. m may be NULL. */
SSL_SESSION *tls_memory_get(const struct tls_memory *m, const struct strbuf *key);

/* A session of it was offered: was it taken up? */
void tls_memory_used(struct tls_memory *m, bool resumed);

void tls_memory_clear(struct tls_memory *m);

#endif
