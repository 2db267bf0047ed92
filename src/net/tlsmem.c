/* Sessions remembered: see tlsmem.h. */
#include "net/tlsmem.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/clock.h"

#define SESSION_MAX 49152

/*
 * A session and what it was verified for: it is offered only where the very same would be verified
 * again.
 */
struct tls_memory {
	SSL_SESSION *session;
	struct strbuf key;
	SSL_SESSION *loaded; /* by tls_memory_load */
	bool resumed, refused; /* what came of it */
};

/* When a file was changed, or a directory whose files are those that are believed. */
static void put_stamp(struct strbuf *key, const char *path)
{
	struct stat st;

	if (path && stat(path, &st) == 0)
		strbuf_printf(key, "%llu %lld %lld.%09ld", (unsigned long long)st.st_ino, (long long)st.st_size, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	strbuf_putc(key, '\0');
}

/* A path of OpenSSL, which the environment may name. */
static const char *path_of(const char *env, const char *otherwise)
{
	const char *path = secure_getenv(env);

	return path ? path : otherwise;
}

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
	strbuf_printf(key, "%d ", p->min_version);
	if (p->ca_file) {
		put_stamp(key, p->ca_file);
	} else {
		put_stamp(key, path_of(X509_get_default_cert_file_env(), X509_get_default_cert_file()));
		put_stamp(key, path_of(X509_get_default_cert_dir_env(), X509_get_default_cert_dir()));
	}
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
	m->refused |= m->loaded && !m->resumed;
}

/* Forget all. */
void tls_memory_free(struct tls_memory *m)
{
	if (!m)
		return;
	tls_memory_clear(m);
	SSL_SESSION_free(m->loaded);
	strbuf_release(&m->key);
	free(m);
}

/* Keep a session for the next connection; takes it. */
void tls_memory_put(struct tls_memory *m, const struct strbuf *key, SSL_SESSION *session)
{
	SSL_SESSION_free(m->session);
	m->session = NULL;
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

/* What came of an offer. Only the first is that of what was loaded. */
void tls_memory_used(struct tls_memory *m, bool resumed)
{
	if (!m->loaded || m->resumed || m->refused)
		return;
	m->resumed = resumed;
	m->refused = !resumed;
}

bool tls_memory_refused(const struct tls_memory *m)
{
	return m->refused;
}

/* ---- for another process ---- */

/* Has half of its time gone? */
static bool worn(const SSL_SESSION *s)
{
	return clock_wall() - SSL_SESSION_get_time(s) > (int64_t)SSL_SESSION_get_ticket_lifetime_hint(s) / 2;
}

/* The bytes of what is worth keeping. */
int tls_memory_save(const struct tls_memory *m, struct strbuf *out)
{
	bool same = m->loaded && !m->refused && !(m->resumed && m->session && worn(m->loaded));
	SSL_SESSION *s = same ? m->loaded : m->session;
	unsigned char *at;
	int n;

	if (!s || SSL_SESSION_get_protocol_version(s) < TLS1_3_VERSION || !SSL_SESSION_is_resumable(s))
		return 0;
	n = i2d_SSL_SESSION(s, NULL);
	at = n > 0 ? strbuf_room(out, (size_t)n) : NULL;
	if (!at)
		return -1;
	strbuf_added(out, (size_t)i2d_SSL_SESSION(s, &at));
	return 0;
}

/* Is the certificate that it was verified by still valid? It is not looked at again when the session is taken up. */
static bool outlived(SSL_SESSION *s)
{
	X509 *peer = SSL_SESSION_get0_peer(s);

	return !peer || X509_cmp_current_time(X509_get0_notAfter(peer)) <= 0;
}

/* Take what was kept. */
int tls_memory_load(struct tls_memory *m, const struct tls_params *p, const void *bytes, size_t n)
{
	const unsigned char *at = bytes;
	SSL_SESSION *s = n > 0 && n <= SESSION_MAX ? d2i_SSL_SESSION(NULL, &at, (long)n) : NULL;

	ERR_clear_error();
	if (!s || at != (const unsigned char *)bytes + n || SSL_SESSION_get_protocol_version(s) < TLS1_3_VERSION || outlived(s) || tls_memory_key(&m->key, p) < 0 ||
	    !SSL_SESSION_up_ref(s)) {
		SSL_SESSION_free(s);
		return -1;
	}
	m->session = m->loaded = s;
	return 0;
}
