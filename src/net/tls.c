/*
 * TLS by OpenSSL over any stream: see tls.h. What the certificate says and what is wrong with it is
 * in tlscert.c.
 */
#include "net/tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "base/fs.h"
#include "net/tlscert.h"
#include "net/tlsmem.h"

#define HELD_MAX 16384    /* what a write holds back: one full record */
#define READ_AHEAD 65536  /* what one read of the layer below may bring */
#define SECRET_FILE_MAX (256 * 1024)

struct tls {
	struct stream s;
	SSL_CTX *ctx;
	BIO_METHOD *method;
	BIO *bio;
	SSL *ssl;
	struct err low; /* why the layer below failed, to be told instead of OpenSSL's words */
	bool below_ended;     /* end of file below */
	bool missed_cert;     /* the server asked for a client certificate, and there is none */
	bool up;              /* handshake done, certificate accepted */
	bool broken;          /* a write failed: nothing may follow it */
	bool offered;         /* a session */
	struct tls_check check;
	struct tls_memory *memory; /* borrowed */
	SSL_SESSION *fresh;   /* came before the certificate was accepted */
	struct strbuf key;
	size_t held;
	char out[HELD_MAX];
};

/*
 * OpenSSL has a new session: with TLS 1.3 when a ticket comes, after the handshake. Again a copy is
 * kept.
 */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
	struct tls *t = SSL_get_app_data(ssl);
	SSL_SESSION *copy = SSL_SESSION_dup(session);

	if (!copy)
		return 0;
	if (t->up) {
		tls_memory_put(t->memory, &t->key, copy);
	} else {
		SSL_SESSION_free(t->fresh);
		t->fresh = copy;
	}
	return 0;
}

/*
 * BIO: read from the stream below. A time-out or a signal leaves the session usable: the read may
 * be tried again.
 */
static int bio_read(BIO *b, char *buf, int n)
{
	struct tls *t = BIO_get_data(b);
	ssize_t r;

	BIO_clear_retry_flags(b);
	if (n <= 0)
		return 0;
	r = stream_read(t->s.next, buf, (size_t)n, &t->low);
	if (r < 0 && (t->low.kind == ERR_TIMEOUT || t->low.kind == ERR_CANCEL))
		BIO_set_retry_read(b);
	if (r == 0)
		t->below_ended = true;
	return (int)r;
}

/*
 * BIO: write to the stream below, all of it. How much of a failed write went out is unknown, so
 * there is no retry.
 */
static int bio_write(BIO *b, const char *buf, int n)
{
	struct tls *t = BIO_get_data(b);

	BIO_clear_retry_flags(b);
	if (n <= 0)
		return 0;
	return stream_write(t->s.next, buf, (size_t)n, &t->low) < 0 ? -1 : n;
}

/* BIO: the two questions that matter. */
static long bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
	struct tls *t = BIO_get_data(b);

	(void)num;
	(void)ptr;
	switch (cmd) {
	case BIO_CTRL_FLUSH:
		return stream_flush(t->s.next, &t->low) < 0 ? -1 : 1;
	case BIO_CTRL_EOF:
		return t->below_ended;
	default:
		return 0;
	}
}

/* Put OpenSSL on top of the stream below. */
static int make_bio(struct tls *t)
{
	t->method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "stream");
	if (!t->method || !BIO_meth_set_read(t->method, bio_read) ||
		!BIO_meth_set_write(t->method, bio_write) ||
		!BIO_meth_set_ctrl(t->method, bio_ctrl))
		return -1;
	t->bio = BIO_new(t->method);
	if (!t->bio)
		return -1;
	BIO_set_data(t->bio, t);
	BIO_set_init(t->bio, 1);
	SSL_set_bio(t->ssl, t->bio, t->bio);
	return 0;
}

/* OpenSSL's reason for what just failed. */
static const char *reason(void)
{
	const char *r = ERR_reason_error_string(ERR_peek_last_error());

	return r ? r : "unknown error";
}

/* Whoever asks for a pass phrase gets none: nobody may be there to type it. */
static int no_passphrase(char *buf, int size, int rwflag, void *arg)
{
	(void)buf;
	(void)size;
	(void)rwflag;
	(void)arg;
	return -1;
}

/*
 * The server asks for a client certificate and none is set. Many only ask and do without; should
 * the handshake fail, this is why.
 */
static int on_cert_request(SSL *ssl, X509 **cert, EVP_PKEY **key)
{
	struct tls *t = SSL_get_app_data(ssl);

	(void)cert;
	(void)key;
	t->missed_cert = true;
	return 0;
}

/* The private key, from a file that nobody else can read. */
static int load_key(SSL_CTX *ctx, const char *path, struct err *e)
{
	struct strbuf pem = STRBUF_SECRET(SECRET_FILE_MAX);
	EVP_PKEY *key = NULL;
	BIO *b = NULL;
	int rc = fs_read_secret(path, &pem, e);

	if (rc == 0) {
		b = BIO_new_mem_buf(strbuf_str(&pem), (int)pem.len);
		key = b ? PEM_read_bio_PrivateKey(b, NULL, no_passphrase, NULL) : NULL;
		if (!key)
			rc = err_set(e, ERR_CONF,
				"client-key '%s': no PEM private key without a pass phrase: %s",
				path, reason());
		else if (SSL_CTX_use_PrivateKey(ctx, key) != 1)
			rc = err_set(e, ERR_CONF,
				"client-key '%s' doesn't belong to the client certificate: %s",
				path, reason());
	}
	EVP_PKEY_free(key);
	BIO_free(b);
	strbuf_release(&pem);
	return rc;
}

/* Our own certificate, when we have one. */
static int load_client(SSL_CTX *ctx, const struct tls_params *p, struct err *e)
{
	if (!p->client_cert) {
		SSL_CTX_set_client_cert_cb(ctx, on_cert_request);
		return 0;
	}
	if (SSL_CTX_use_certificate_chain_file(ctx, p->client_cert) != 1)
		return err_set(e, ERR_CONF, "client-cert '%s': no certificate in PEM form: %s",
			p->client_cert, reason());
	return load_key(ctx, p->client_key ? p->client_key : p->client_cert, e);
}

/* Whom to believe. */
static int load_authorities(SSL_CTX *ctx, const struct tls_params *p, struct err *e)
{
	if (!p->ca_file) {
		if (SSL_CTX_set_default_verify_paths(ctx) != 1)
			return err_set(e, ERR_CONF,
				"can't load the system's certificate authorities: %s", reason());
		return 0;
	}
	if (SSL_CTX_load_verify_file(ctx, p->ca_file) != 1)
		return err_set(e, ERR_CONF, "ca-file '%s': no certificate in PEM form: %s",
			p->ca_file, reason());
	/*
	 * whom the person names is believed, also an authority below the root or the server itself
	 */
	X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ctx), X509_V_FLAG_PARTIAL_CHAIN);
	return 0;
}

/* The context: versions, authorities, sessions. */
static int make_ctx(struct tls *t, const struct tls_params *p, struct err *e)
{
	SSL_CTX *ctx = t->ctx = SSL_CTX_new(TLS_client_method());

	if (!ctx)
		return err_set(e, ERR_LOCAL, "can't set up TLS: %s", reason());
	if (SSL_CTX_set_min_proto_version(
		    ctx, p->min_version >= 13 ? TLS1_3_VERSION : TLS1_2_VERSION) != 1)
		return err_set(e, ERR_CONF, "this machine's OpenSSL refuses tls-min");
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_default_read_buffer_len(ctx, READ_AHEAD);
	if (t->memory) {
		SSL_CTX_set_session_cache_mode(
			ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
		SSL_CTX_sess_set_new_cb(ctx, on_session);
	} else {
		SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	}
	if (load_authorities(ctx, p, e) < 0 || load_client(ctx, p, e) < 0)
		return -1;
	tls_check_install(&t->check, ctx);
	return 0;
}

/* The connection: which name to ask for and to insist on. */
static int make_ssl(struct tls *t, struct err *e)
{
	SSL_SESSION *session;

	t->ssl = SSL_new(t->ctx);
	if (!t->ssl || make_bio(t) < 0)
		return err_set(e, ERR_LOCAL, "can't set up TLS: %s", reason());
	SSL_set_app_data(t->ssl, t);
	if (tls_check_expect(&t->check, t->ssl) < 0)
		return err_set(e, ERR_CONF, "'%s' is no name that a certificate could hold",
			t->check.host);
	session = tls_memory_get(t->memory, &t->key);
	if (session)
		t->offered = SSL_set_session(t->ssl, session) == 1; /* if it doesn't, the handshake is a full one */
	SSL_SESSION_free(session);
	return 0;
}

/* An alert of the peer that is about our certificate. In TLS 1.3 it comes with the first read. */
static bool is_client_cert_alert(const struct tls *t, int why)
{
	switch (why) {
	case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
		return t->missed_cert; /* RFC 5246 7.4.6 */
	case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
	case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
	case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
	case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
		return true;
	default:
		return false;
	}
}

/* Failures that mean: both ends can't agree on something safe enough. */
static bool is_policy(int why)
{
	switch (why) {
	case SSL_R_UNSUPPORTED_PROTOCOL:
	case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
	case SSL_R_TLSV1_ALERT_INSUFFICIENT_SECURITY:
	case SSL_R_DH_KEY_TOO_SMALL:
	case SSL_R_UNSAFE_LEGACY_RENEGOTIATION_DISABLED:
	case SSL_R_WRONG_SIGNATURE_TYPE:
		return true;
	default:
		return false;
	}
}

/* Failures that mean: these bytes are no TLS at all. */
static bool is_not_tls(int why)
{
	switch (why) {
	case SSL_R_WRONG_VERSION_NUMBER:
	case SSL_R_WRONG_SSL_VERSION:
	case SSL_R_HTTP_REQUEST:
	case SSL_R_HTTPS_PROXY_REQUEST:
	case SSL_R_PACKET_LENGTH_TOO_LONG:
	case SSL_R_RECORD_LENGTH_MISMATCH:
		return true;
	default:
		return false;
	}
}

/* Our certificate was refused, or is missed. */
static int client_cert_refused(const struct tls *t, struct err *e)
{
	if (SSL_get_certificate(t->ssl))
		return err_set(
			e, ERR_CERT, "the server refused our client certificate: %s", reason());
	err_set(e, ERR_CERT, "the server wants a client certificate: %s", reason());
	return err_hint(e, "set client-cert and client-key");
}

/* Before a call of OpenSSL whose failure has to be understood: no old reasons. */
static void begin_call(struct tls *t)
{
	ERR_clear_error();
	t->low.kind = ERR_NONE;
}

/*
 * Why the last call of OpenSSL failed, in the words of whoever knows best. `rc` is what it
 * returned.
 */
static int tls_failed(struct tls *t, int rc, struct err *e)
{
	int code = SSL_get_error(t->ssl, rc), why = ERR_GET_REASON(ERR_peek_last_error());

	if (t->low.kind != ERR_NONE) {
		if (e)
			*e = t->low;
		err_clear(&t->low);
		return -1;
	}
	if (t->below_ended)
		return err_set(e, ERR_TEMP,
			t->up ? "connection closed without TLS close"
			      : "connection closed by the server");
	if (code == SSL_ERROR_ZERO_RETURN)
		return err_set(e, ERR_TEMP, "connection closed by the server");
	if (is_client_cert_alert(t, why))
		return client_cert_refused(t, e);
	return err_set(e, ERR_TEMP, "connection damaged: %s", reason());
}

/* Why the handshake failed. */
static int handshake_failed(struct tls *t, int rc, struct err *e)
{
	int why = ERR_GET_REASON(ERR_peek_last_error());
	bool low = t->low.kind != ERR_NONE || t->below_ended;

	if (tls_check_failed(&t->check, e))
		return -1;
	if (low || is_client_cert_alert(t, why)) {
		tls_failed(t, rc, e);
		err_in(e, "TLS handshake with '%s'", t->check.host);
		if (t->below_ended)
			err_hint(e, "does it speak TLS on this port?");
		return -1;
	}
	if (is_not_tls(why)) {
		err_set(e, ERR_PROTO, "'%s' doesn't speak TLS on this port", t->check.host);
		return err_hint(e, "pop3s and imaps are TLS from the start; pop3 and imap begin in "
			"clear and switch; is it the right port?");
	}
	if (is_policy(why)) {
		err_set(e, ERR_CERT, "'%s' offers no TLS that is good enough: %s", t->check.host,
			reason());
		return err_hint(e, "tls-min");
	}
	return err_set(e, ERR_PROTO, "TLS handshake with '%s': %s", t->check.host, reason());
}

/* Shake hands and judge the certificate, also that of a resumed session. */
static int handshake(struct tls *t, struct err *e)
{
	int rc;

	begin_call(t);
	rc = SSL_connect(t->ssl);
	if (rc != 1) {
		handshake_failed(t, rc, e);
		ERR_clear_error();
		return -1;
	}
	if (tls_check_final(&t->check, t->ssl, e) < 0)
		return -1;
	t->up = true;
	if (t->offered)
		tls_memory_used(t->memory, SSL_session_reused(t->ssl));
	if (t->fresh)
		tls_memory_put(t->memory, &t->key, t->fresh);
	t->fresh = NULL;
	return 0;
}

/* Write n bytes as records. */
static int write_out(struct tls *t, const void *buf, size_t n, struct err *e)
{
	size_t done = 0;
	int rc;

	if (t->broken)
		return err_set(e, ERR_TEMP, "connection lost: an earlier write did not finish");
	begin_call(t);
	rc = SSL_write_ex(t->ssl, buf, n, &done);
	if (rc == 1 && done == n)
		return 0;
	t->broken = true;
	tls_failed(t, rc, e);
	ERR_clear_error();
	return -1;
}

/* Send what was held back. */
static int write_held(struct tls *t, struct err *e)
{
	size_t n = t->held;
	int rc;

	if (n == 0)
		return 0;
	t->held = 0;
	rc = write_out(t, t->out, n, e);
	explicit_bzero(t->out, n);
	return rc;
}

/* stream_ops.read */
static ssize_t tls_read(struct stream *s, void *buf, size_t n, struct err *e)
{
	struct tls *t = (struct tls *)s;
	size_t got = 0;
	int rc;

	begin_call(t);
	rc = SSL_read_ex(t->ssl, buf, n, &got);
	if (rc == 1)
		return (ssize_t)got;
	if (SSL_get_error(t->ssl, rc) == SSL_ERROR_ZERO_RETURN)
		return 0;
	tls_failed(t, rc, e);
	ERR_clear_error();
	return -1;
}

/* stream_ops.write: small pieces are gathered into one record. */
static int tls_write(struct stream *s, const void *buf, size_t n, struct err *e)
{
	struct tls *t = (struct tls *)s;

	if (n > sizeof(t->out) - t->held && write_held(t, e) < 0)
		return -1;
	if (n >= sizeof(t->out))
		return write_out(t, buf, n, e);
	memcpy(t->out + t->held, buf, n);
	t->held += n;
	return 0;
}

/* stream_ops.flush */
static int tls_flush(struct stream *s, struct err *e)
{
	return write_held((struct tls *)s, e);
}

/* stream_ops.shut: close_notify; the peer's is not waited for. */
static void tls_shut(struct stream *s)
{
	struct tls *t = (struct tls *)s;

	if (!t->broken && write_held(t, NULL) == 0 && SSL_shutdown(t->ssl) < 0)
		t->broken = true;
	ERR_clear_error();
	err_clear(&t->low);
}

/* stream_ops.free */
static void tls_free(struct stream *s)
{
	struct tls *t = (struct tls *)s;

	SSL_free(t->ssl); /* frees the BIO as well */
	SSL_CTX_free(t->ctx);
	BIO_meth_free(t->method);
	SSL_SESSION_free(t->fresh);
	tls_check_release(&t->check);
	strbuf_release(&t->key);
	explicit_bzero(t->out, sizeof(t->out));
	free(t);
}

const struct stream_ops tls_ops = {
	.name = "TLS",
	.read = tls_read,
	.write = tls_write,
	.flush = tls_flush,
	.shut = tls_shut,
	.free = tls_free,
};

/* TLS over a stream. */
struct stream *tls_over(struct stream *below, const struct tls_params *p, struct err *e)
{
	struct tls *t = calloc(1, sizeof(*t));

	if (!t) {
		err_set(e, ERR_LOCAL, "out of memory");
		stream_free(below);
		return NULL;
	}
	t->s = (struct stream){ .ops = &tls_ops, .next = below };
	t->memory = p->memory;
	t->key.max = TLS_KEY_MAX;
	if (tls_memory_key(&t->key, p) < 0)
		t->memory = NULL; /* too long to compare: no resumption */
	if (tls_check_init(&t->check, p, e) == 0 && make_ctx(t, p, e) == 0 && make_ssl(t, e) == 0 &&
		handshake(t, e) == 0)
		return &t->s;
	if (t->memory) /* should the session be the reason, the next try is without */
		tls_memory_clear(t->memory);
	ERR_clear_error();
	stream_free(&t->s);
	return NULL;
}

/* Facts of the connection. */
int tls_info(struct stream *s, struct tls_info *out)
{
	struct tls *t = (struct tls *)stream_find(s, &tls_ops);
	X509 *cert = t ? SSL_get0_peer_certificate(t->ssl) : NULL;

	memset(out, 0, sizeof(*out));
	if (!cert)
		return -1;
	snprintf(out->version, sizeof(out->version), "%s", SSL_get_version(t->ssl));
	snprintf(out->cipher, sizeof(out->cipher), "%s", SSL_get_cipher_name(t->ssl));
	out->resumed = SSL_session_reused(t->ssl);
	out->pinned = t->check.n_pins > 0;
	tlscert_info(cert, out);
	return 0;
}

/*
 * tls-unique (RFC 5929 3.1): the first Finished of the handshake; without the extended master
 * secret it binds nothing.
 */
static size_t binding_unique(SSL *ssl, unsigned char *out, size_t cap)
{
	unsigned char buf[EVP_MAX_MD_SIZE];
	size_t n;

	if (SSL_version(ssl) != TLS1_2_VERSION || SSL_get_extms_support(ssl) != 1)
		return 0;
	/* the client is first in a full handshake, the server in a resumed one */
	n = SSL_session_reused(ssl) ? SSL_get_peer_finished(ssl, buf, sizeof(buf))
				    : SSL_get_finished(ssl, buf, sizeof(buf));
	if (n == 0 || n > sizeof(buf) || n > cap)
		return 0;
	memcpy(out, buf, n);
	return n;
}

/* Channel binding. */
size_t tls_binding(struct stream *s, const char *type, unsigned char *out, size_t cap)
{
	static const char label[] = "EXPORTER-Channel-Binding"; /* RFC 9266 2 */
	struct tls *t = (struct tls *)stream_find(s, &tls_ops);

	if (!t)
		return 0;
	if (strcmp(type, "tls-unique") == 0)
		return binding_unique(t->ssl, out, cap);
	if (strcmp(type, "tls-server-end-point") == 0)
		return tlscert_end_point(SSL_get0_peer_certificate(t->ssl), out, cap);
	if (strcmp(type, "tls-exporter") != 0 || SSL_version(t->ssl) != TLS1_3_VERSION || cap < 32)
		return 0;
	if (SSL_export_keying_material(t->ssl, out, 32, label, sizeof(label) - 1, NULL, 0, 0) != 1)
		return 0;
	return 32;
}
