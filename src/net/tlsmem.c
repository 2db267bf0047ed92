/* Sessions remembered: see tlsmem.h. */
#include "net/tlsmem.h"

#include <stdlib.h>

/*
 * A session and what it was verified for: it is offered only where the very same would be verified
 * again.
 */
struct tls_memory {
	SSL_SESSION *session;
	struct strbuf key;
};

/* The sum of what is verified. NUL bytes separate, so that no two sums look alike. */
int tls_memory_key(struct strbuf *key, const struct tls_params *p)
{
	const char *parts[] = { p->host, p->ca_file, p->client_cert, p->client_key };

	strbuf_clear(key);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		strbuf_putc(key, parts[i] ? '+' : '-');
		strbuf_puts(key, parts[i] ? parts[i] : "");
		strbuf_putc(key, '\0');
	}
	for (size_t i = 0; i < TLS_PINS_MAX && p->pins[i]; i++) {
		strbuf_puts(key, p->pins[i]);
		strbuf_putc(key, '\0');
	}
	strbuf_printf(key, "%d", p->min_version);
	return key->failed ? -1 : 0;
}

/* An empty memory. */
struct tls_memory *tls_memory_new(void)
{
	struct tls_memory *m = calloc(1, sizeof(*m));

	if (m)
		m->key.max = TLS_KEY_MAX;
	return m;
}

/* Forget. */
void tls_memory_clear(struct tls_memory *m)
{
	SSL_SESSION_free(m->session);
	m->session = NULL;
}

/* Forget all. */
void tls_memory_free(struct tls_memory *m)
{
	if (!m)
		return;
	tls_memory_clear(m);
	strbuf_release(&m->key);
	free(m);
}

/* Keep a session for the next connection; takes it. */
void tls_memory_put(struct tls_memory *m, const struct strbuf *key, SSL_SESSION *session)
{
	tls_memory_clear(m);
	strbuf_clear(&m->key);
	if (strbuf_putsl(&m->key, strbuf_slice(key)) < 0)
		SSL_SESSION_free(session);
	else
		m->session = session;
}

/*
 * A copy of the session to offer, if it was made under the same conditions and its certificate
 * would still do. A copy, since OpenSSL spoils what it was given when a connection ends without
 * ceremony, as mail servers love to do.
 */
SSL_SESSION *tls_memory_get(const struct tls_memory *m, const struct strbuf *key)
{
	X509 *cert;

	if (!m || !m->session || !slice_eq(strbuf_slice(&m->key), strbuf_slice(key)))
		return NULL;
	cert = SSL_SESSION_get0_peer(m->session);
	if (!SSL_SESSION_is_resumable(m->session) || !cert ||
		X509_cmp_current_time(X509_get0_notAfter(cert)) < 0)
		return NULL;
	return SSL_SESSION_dup(m->session);
}
