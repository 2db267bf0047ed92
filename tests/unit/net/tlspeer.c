/* See tlspeer.h. */
#include "../../lib/unit.h"

#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "tlspeer.h"

/* A path in the directory. */
const char *pki_path(const struct pki *k, const char *name, const char *suffix)
{
	char file[256];

	snprintf(file, sizeof(file), "%s%s", name, suffix);
	return scratch_path(k->dir, file);
}

/* Write a file that only we may read. */
static void write_pem(const struct pki *k, const char *name, X509 *cert)
{
	mode_t old = umask(077);
	FILE *f = fopen(pki_path(k, name, ".crt"), "w");

	assert_non_null(f);
	assert_int_equal(PEM_write_X509(f, cert), 1);
	assert_int_equal(fclose(f), 0);
	f = fopen(pki_path(k, name, ".key"), "w");
	assert_non_null(f);
	assert_int_equal(PEM_write_PrivateKey(f, k->key, NULL, NULL, 0, NULL, NULL), 1);
	assert_int_equal(fclose(f), 0);
	umask(old);
}

static void add_ext(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *x;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	x = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(x);
	assert_int_equal(X509_add_ext(cert, x, -1), 1);
	X509_EXTENSION_free(x);
}

static void set_name(X509_NAME *name, const char *cn)
{
	assert_int_equal(X509_NAME_add_entry_by_txt(
				 name, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0),
		1);
}

/* A certificate; issuer NULL: signs itself. */
static X509 *make_cert(const struct pki *k, const struct cert_spec *c, X509 *issuer, bool ca)
{
	static long serial = 1;
	X509 *cert = X509_new();

	assert_non_null(cert);
	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++);
	X509_gmtime_adj(X509_getm_notBefore(cert), c->from);
	X509_gmtime_adj(X509_getm_notAfter(cert), c->to);
	set_name(X509_get_subject_name(cert), c->name);
	if (c->by == BY_STRANGER) {
		X509_NAME *name = X509_NAME_new();

		set_name(name, "Some Stranger");
		X509_set_issuer_name(cert, name);
		X509_NAME_free(name);
	} else {
		X509_set_issuer_name(cert, X509_get_subject_name(issuer ? issuer : cert));
	}
	X509_set_pubkey(cert, k->key);
	add_ext(cert, issuer ? issuer : cert, NID_basic_constraints,
		ca ? "critical,CA:TRUE" : "CA:FALSE");
	if (c->alt)
		add_ext(cert, issuer ? issuer : cert, NID_subject_alt_name, c->alt);
	assert_true(X509_sign(cert, k->key, EVP_sha256()) > 0);
	return cert;
}

/* Key and authority. */
void pki_make(struct pki *k)
{
	static const struct cert_spec ca = {
		.name = "ca", .from = -3600, .to = 3600, .by = BY_SELF
	};

	k->dir = scratch_make();
	k->key = EVP_EC_gen("P-256");
	assert_non_null(k->key);
	k->ca = make_cert(k, &ca, NULL, true);
	write_pem(k, "ca", k->ca);
}

/* Everything away. */
void pki_remove(struct pki *k)
{
	X509_free(k->ca);
	EVP_PKEY_free(k->key);
	scratch_remove(k->dir);
}

/* A server's or client's certificate. */
void pki_issue(const struct pki *k, const struct cert_spec *c)
{
	X509 *cert = make_cert(k, c, c->by == BY_CA ? k->ca : NULL, false);

	write_pem(k, c->name, cert);
	X509_free(cert);
}

/* sha256 of a certificate, lower-case hex. */
void pki_fingerprint(const struct pki *k, const char *name, char out[65])
{
	FILE *f = fopen(pki_path(k, name, ".crt"), "r");
	unsigned char md[32];
	X509 *cert;

	assert_non_null(f);
	cert = PEM_read_X509(f, NULL, NULL, NULL);
	assert_non_null(cert);
	fclose(f);
	assert_int_equal(X509_digest(cert, EVP_sha256(), md, NULL), 1);
	X509_free(cert);
	for (size_t i = 0; i < sizeof(md); i++)
		snprintf(out + 2 * i, 3, "%02x", md[i]);
}

/* Say bytes as hex. */
static void say_hex(SSL *ssl, const char *what, const unsigned char *p, size_t n)
{
	char line[256];
	int at = snprintf(line, sizeof(line), "%s ", what);

	for (size_t i = 0; i < n; i++)
		at += snprintf(line + at, sizeof(line) - (size_t)at, "%02x", p[i]);
	line[at++] = '\n';
	SSL_write(ssl, line, at);
}

static void say_bindings(SSL *ssl)
{
	static const char label[] = "EXPORTER-Channel-Binding";
	unsigned char buf[64];
	size_t n = 0;

	if (SSL_version(ssl) == TLS1_3_VERSION &&
		SSL_export_keying_material(ssl, buf, 32, label, sizeof(label) - 1, NULL, 0, 0) == 1)
		n = 32;
	say_hex(ssl, "exporter", buf, n);
	n = 0;
	if (SSL_version(ssl) == TLS1_2_VERSION)
		n = SSL_session_reused(ssl) ? SSL_get_finished(ssl, buf, sizeof(buf))
					    : SSL_get_peer_finished(ssl, buf, sizeof(buf));
	say_hex(ssl, "unique", buf, n);
}

/* The context, made for the first connection and kept for its session keys. */
static SSL_CTX *server_ctx(const struct tls_peer *t)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (!ctx ||
		SSL_CTX_use_certificate_file(
			ctx, pki_path(t->pki, t->cert, ".crt"), SSL_FILETYPE_PEM) != 1 ||
		SSL_CTX_use_PrivateKey_file(
			ctx, pki_path(t->pki, t->cert, ".key"), SSL_FILETYPE_PEM) != 1)
		_exit(4);
	if (t->version) {
		SSL_CTX_set_min_proto_version(ctx, t->version);
		SSL_CTX_set_max_proto_version(ctx, t->version);
	}
	if (t->no_ems)
		SSL_CTX_set_options(ctx, SSL_OP_NO_EXTENDED_MASTER_SECRET);
	if (t->want_client) {
		if (SSL_CTX_load_verify_file(ctx, pki_path(t->pki, "ca", ".crt")) != 1)
			_exit(5);
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	}
	SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"peer", 4);
	return ctx;
}

/* Echo until "quit\n". */
static void echo(SSL *ssl)
{
	char buf[16384];
	int n;

	while ((n = SSL_read(ssl, buf, sizeof(buf))) > 0) {
		if (n >= 5 && memcmp(buf + n - 5, "quit\n", 5) == 0)
			return;
		if (SSL_write(ssl, buf, n) <= 0)
			return;
	}
}

/* One connection. */
void tls_peer_serve(int fd, int nth, void *arg)
{
	static SSL_CTX *ctx;
	const struct tls_peer *t = arg;
	SSL *ssl;

	if (nth == 0)
		ctx = server_ctx(t);
	ssl = SSL_new(ctx);
	if (!ssl || SSL_set_fd(ssl, fd) != 1)
		_exit(6);
	if (SSL_accept(ssl) == 1) {
		const char *how = SSL_session_reused(ssl) ? "resumed\n" : "full\n";

		if (t->greet_late)
			usleep(200000);
		SSL_write(ssl, how, (int)strlen(how));
		say_bindings(ssl);
		echo(ssl);
		if (!t->abrupt)
			SSL_shutdown(ssl);
	}
	shutdown(fd, SHUT_WR);
	SSL_free(ssl);
	ERR_clear_error();
}
