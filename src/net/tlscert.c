/* Certificates: see tlscert.h. */
#include "net/tlscert.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "base/strbuf.h"

/* RFC 6125: a wildcard is a whole label, and the common name is no name. */
#define HOST_FLAGS (X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT)
#define NAMES_SHOWN 160 /* bytes of names in an error: the text has to hold the advice, too */

/* The value of a hex digit, or -1. */
static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* 64 hex digits, colons between the pairs allowed. */
static int parse_pin(const char *text, unsigned char out[32])
{
	size_t n = 0;

	for (const char *p = text; *p;) {
		int high = hex_value(p[0]), low = high < 0 ? -1 : hex_value(p[1]);

		if (low < 0 || n == 32)
			return -1;
		out[n++] = (unsigned char)(high << 4 | low);
		p += 2;
		if (*p == ':' && p[1])
			p++;
	}
	return n == 32 ? 0 : -1;
}

/* The host as certificates write it; tells names from addresses. */
static int take_host(struct tls_check *c, const char *host)
{
	unsigned char addr[16];
	size_t n = host ? strlen(host) : 0;
	char *zone;

	if (n > 2 && host[0] == '[' && host[n - 1] == ']') {
		host++;
		n -= 2;
	}
	if (n == 0 || n >= sizeof(c->host))
		return -1;
	memcpy(c->host, host, n);
	c->host[n] = '\0';
	zone = strchr(c->host, '%');
	if (zone && strchr(c->host, ':'))
		*zone = '\0'; /* fe80::1%eth0: which interface is no business of the certificate */
	c->is_ip =
		inet_pton(AF_INET, c->host, addr) == 1 || inet_pton(AF_INET6, c->host, addr) == 1;
	n = strlen(c->host);
	if (!c->is_ip && n > 1 && c->host[n - 1] == '.')
		c->host[n - 1] = '\0';
	return 0;
}

/* What will have to hold. */
int tls_check_init(struct tls_check *c, const struct tls_params *p, struct err *e)
{
	memset(c, 0, sizeof(*c));
	c->own_ca = p->ca_file != NULL;
	if (take_host(c, p->host) < 0)
		return err_set(
			e, ERR_CONF, "TLS needs the name of the server, to verify its certificate");
	for (size_t i = 0; i < TLS_PINS_MAX && p->pins[i]; i++) {
		if (parse_pin(p->pins[i], c->pins[c->n_pins++]) < 0)
			return err_set(e, ERR_CONF,
				"fingerprint '%.100s' is not sha256: 64 hex digits are wanted",
				p->pins[i]);
	}
	return 0;
}

/* Give back what is held. */
void tls_check_release(struct tls_check *c)
{
	X509_free(c->leaf);
	X509_free(c->culprit);
	c->leaf = c->culprit = NULL;
}

/* Keep the first reason and the certificates it is about. */
static void blame(struct tls_check *c, X509_STORE_CTX *store, int why)
{
	X509 *leaf = X509_STORE_CTX_get0_cert(store),
	     *culprit = X509_STORE_CTX_get_current_cert(store);

	if (c->why != X509_V_OK)
		return;
	c->why = why;
	if (leaf && X509_up_ref(leaf))
		c->leaf = leaf;
	if (!culprit)
		culprit = leaf;
	if (culprit && X509_up_ref(culprit))
		c->culprit = culprit;
}

/* Whether the certificate is one of the pinned. */
static bool is_pinned(const struct tls_check *c, X509 *cert)
{
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned int n = 0;

	if (!cert || X509_digest(cert, EVP_sha256(), md, &n) != 1 || n != 32)
		return false;
	for (size_t i = 0; i < c->n_pins; i++)
		if (memcmp(md, c->pins[i], 32) == 0)
			return true;
	return false;
}

/*
 * Instead of the chain: the pin. Runs before anything of ours, a client certificate say, has been
 * sent.
 */
static int verify_pin(X509_STORE_CTX *store, void *arg)
{
	struct tls_check *c = arg;

	if (is_pinned(c, X509_STORE_CTX_get0_cert(store))) {
		X509_STORE_CTX_set_error(store, X509_V_OK);
		return 1;
	}
	c->bad_pin = true;
	blame(c, store, X509_V_ERR_CERT_REJECTED);
	X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
	return 0;
}

/* With the chain: OpenSSL verifies, we take notes. */
static int verify_chain(X509_STORE_CTX *store, void *arg)
{
	struct tls_check *c = arg;
	int ok = X509_verify_cert(store), why = X509_STORE_CTX_get_error(store);

	if (ok == 1)
		return 1;
	blame(c, store, why != X509_V_OK ? why : X509_V_ERR_UNSPECIFIED);
	return 0;
}

/* Have every handshake of ctx verified. */
void tls_check_install(struct tls_check *c, SSL_CTX *ctx)
{
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, c->n_pins > 0 ? verify_pin : verify_chain, c);
}

/*
 * Insist on the name or address (RFC 6125: whole-label wildcards, no common name) and ask for the
 * name (SNI, RFC 6066 3: never an address).
 */
int tls_check_expect(struct tls_check *c, SSL *ssl)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

	if (c->is_ip)
		return X509_VERIFY_PARAM_set1_ip_asc(param, c->host) == 1 ? 0 : -1;
	X509_VERIFY_PARAM_set_hostflags(param, HOST_FLAGS);
	if (X509_VERIFY_PARAM_set1_host(param, c->host, 0) != 1 ||
		SSL_set_tlsext_host_name(ssl, c->host) != 1)
		return -1;
	return 0;
}

/* sha256 of the certificate as text. */
static void fingerprint(X509 *cert, char out[65])
{
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned int n = 0;

	out[0] = '\0';
	if (!cert || X509_digest(cert, EVP_sha256(), md, &n) != 1)
		return;
	for (unsigned int i = 0; i < n && i < 32; i++)
		snprintf(out + (size_t)2 * i, 3, "%02x", md[i]);
}

/* A name in one printable line: "CN=x,O=y". */
static void name_text(const X509_NAME *name, char *out, size_t size)
{
	BIO *b = BIO_new(BIO_s_mem());
	char *p = NULL;
	long n = 0;

	if (b && name &&
		X509_NAME_print_ex(
			b, name, 0, XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB) >= 0)
		n = BIO_get_mem_data(b, &p);
	err_printable(out, size, p ? p : "", n > 0 ? (size_t)n : 0);
	BIO_free(b);
}

/* A date as RFC 3339. */
static void date_text(const ASN1_TIME *t, char *out, size_t size)
{
	struct tm tm;

	if (!t || ASN1_TIME_to_tm(t, &tm) != 1 ||
		strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		snprintf(out, size, "?");
}

/* One of the names that a certificate is for. */
static void add_name(struct strbuf *b, const GENERAL_NAME *g)
{
	const char *sep = b->len > 0 ? ", " : "";
	int type = 0;
	const ASN1_STRING *v = GENERAL_NAME_get0_value(g, &type);
	const unsigned char *p =
		v && (type == GEN_DNS || type == GEN_IPADD) ? ASN1_STRING_get0_data(v) : NULL;
	int n = p ? ASN1_STRING_length(v) : 0;
	char addr[INET6_ADDRSTRLEN];

	if (type == GEN_DNS && p)
		strbuf_printf(b, "%s%.*s", sep, n, (const char *)p);
	else if (type == GEN_IPADD && (n == 4 || n == 16) &&
		 inet_ntop(n == 4 ? AF_INET : AF_INET6, p, addr, sizeof(addr)))
		strbuf_printf(b, "%s%s", sep, addr);
}

/* All names that the certificate is for; empty when there are none. */
static void alt_names(X509 *cert, char *out, size_t size)
{
	GENERAL_NAMES *all = cert ? X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL) : NULL;
	struct strbuf b = STRBUF_INIT(4096);

	for (int i = 0; i < sk_GENERAL_NAME_num(all) && !b.failed; i++)
		add_name(&b, sk_GENERAL_NAME_value(all, i));
	GENERAL_NAMES_free(all);
	err_printable(out, size, strbuf_str(&b), b.len);
	strbuf_release(&b);
}

/* What to do about it. */
static int advise(const struct tls_check *c, struct err *e)
{
	char print[65];

	fingerprint(c->leaf, print);
	if (c->why == X509_V_ERR_HOSTNAME_MISMATCH || c->why == X509_V_ERR_IP_ADDRESS_MISMATCH ||
		c->why == X509_V_ERR_CERT_HAS_EXPIRED)
		return err_hint(e, "to trust this very certificate: fingerprint = \"%s\"", print);
	return err_hint(e, "to trust its authority: ca-file = \"FILE\"; to trust this very "
		"certificate: fingerprint = \"%s\"", print);
}

/* It is for someone else. */
static int wrong_host(const struct tls_check *c, struct err *e)
{
	char names[NAMES_SHOWN];

	alt_names(c->leaf, names, sizeof(names));
	if (names[0])
		return err_set(
			e, ERR_CERT, "certificate is not for '%.100s' but for %s", c->host, names);
	name_text(X509_get_subject_name(c->leaf), names, sizeof(names));
	return err_set(e, ERR_CERT, "certificate is not for '%.100s': it names no host or address "
		"(its subject, %s, doesn't count)", c->host, names);
}

/* It is not, or no longer, valid. */
static int wrong_time(const struct tls_check *c, struct err *e)
{
	bool expired = c->why == X509_V_ERR_CERT_HAS_EXPIRED;
	char date[32], who[100];

	date_text(expired ? X509_get0_notAfter(c->culprit) : X509_get0_notBefore(c->culprit), date,
		sizeof(date));
	name_text(X509_get_subject_name(c->culprit), who, sizeof(who));
	return err_set(e, ERR_CERT, "certificate of '%.100s' %s %s%s%s%s", c->host,
		expired ? "expired on" : "is not valid before", date,
		c->culprit == c->leaf ? "" : ": that of its authority ",
		c->culprit == c->leaf ? "" : who,
		expired ? "" : "; is the clock of this machine right?");
}

/* What is wrong, in words. */
static int explain(const struct tls_check *c, struct err *e)
{
	char who[NAMES_SHOWN];

	switch (c->why) {
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		return wrong_host(c, e);
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return wrong_time(c, e);
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
		return err_set(e, ERR_CERT, "certificate of '%.100s' is self-signed", c->host);
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
		name_text(X509_get_issuer_name(c->culprit), who, sizeof(who));
		return err_set(e, ERR_CERT,
			"certificate of '%.100s' is from an authority unknown to %s: %s", c->host,
			c->own_ca ? "ca-file" : "this machine", who);
	default:
		return err_set(e, ERR_CERT, "certificate of '%.100s' is refused: %s", c->host,
			X509_verify_cert_error_string(c->why));
	}
}

/* The certificate's part in a failed handshake. */
bool tls_check_failed(const struct tls_check *c, struct err *e)
{
	char print[65];

	if (c->why == X509_V_OK || !c->leaf || !c->culprit)
		return false;
	if (c->bad_pin) {
		fingerprint(c->leaf, print);
		err_set(e, ERR_CERT,
			"certificate of '%.100s' is not the pinned one: its sha256 is %s", c->host,
			print);
		err_hint(e, "changed by its owner, or someone is in between: ask the owner before "
			"you change fingerprint");
		return true;
	}
	explain(c, e);
	advise(c, e);
	return true;
}

/*
 * What the callbacks saw in a full handshake, checked again where it is cheap, so that a resumed
 * one is held to the same.
 */
int tls_check_final(struct tls_check *c, SSL *ssl, struct err *e)
{
	X509 *cert = SSL_get0_peer_certificate(ssl);
	long result = SSL_get_verify_result(ssl);
	bool ok;

	if (!cert)
		return err_set(e, ERR_CERT, "'%.100s' showed no certificate", c->host);
	if (c->n_pins > 0)
		ok = is_pinned(c, cert);
	else if (c->is_ip)
		ok = result == X509_V_OK && X509_check_ip_asc(cert, c->host, 0) == 1;
	else
		ok = result == X509_V_OK &&
		     X509_check_host(cert, c->host, 0, HOST_FLAGS, NULL) == 1;
	if (ok)
		return 0;
	return err_set(e, ERR_CERT, "certificate of '%.100s' is refused: %s", c->host,
		X509_verify_cert_error_string(result));
}

/* What the certificate says. */
void tlscert_info(X509 *cert, struct tls_info *out)
{
	name_text(X509_get_subject_name(cert), out->subject, sizeof(out->subject));
	name_text(X509_get_issuer_name(cert), out->issuer, sizeof(out->issuer));
	alt_names(cert, out->names, sizeof(out->names));
	fingerprint(cert, out->fingerprint);
	date_text(X509_get0_notBefore(cert), out->not_before, sizeof(out->not_before));
	date_text(X509_get0_notAfter(cert), out->not_after, sizeof(out->not_after));
}

/*
 * The hash of the certificate by the hash of its signature, SHA-256 in place of MD5 and SHA-1 (RFC
 * 5929 4.1).
 */
size_t tlscert_end_point(X509 *cert, unsigned char *out, size_t cap)
{
	int nid = NID_undef;
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned int n = 0;
	const EVP_MD *type;

	if (!cert || X509_get_signature_info(cert, &nid, NULL, NULL, NULL) != 1 || nid == NID_undef)
		return 0; /* a signature without a hash of its own (EdDSA): not defined */
	type = nid == NID_md5 || nid == NID_sha1 ? EVP_sha256() : EVP_get_digestbynid(nid);
	if (!type || X509_digest(cert, type, md, &n) != 1 || n > cap)
		return 0;
	memcpy(out, md, n);
	return n;
}

/* What is read by itself. */
void tls_files(const char *out[TLS_FILES])
{
	out[0] = OPENSSL_info(OPENSSL_INFO_CONFIG_DIR);
	out[1] = OPENSSL_info(OPENSSL_INFO_MODULES_DIR);
	out[2] = X509_get_default_cert_dir();
	out[3] = X509_get_default_cert_file();
}
