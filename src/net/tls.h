/*
 * TLS over any stream, by OpenSSL. Verified by default: chain (system store or ca_file) and host name or IP address through X509_VERIFY_PARAM
 * (RFC 6125: no fallback to the common name when names are present), at least TLS 1.2. With fingerprints given the certificate must match one of them
 * and then the chain need not verify (a pin replaces the authority).
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include <stdbool.h>

#include "net/stream.h"

struct tls_memory; /* remembers a session, for resumption in the next connection to the same server by the same process */
struct tls_memory *tls_memory_new(void);
void tls_memory_free(struct tls_memory *m);
struct tls_params;
struct strbuf;
/*
 * The session for another process, to be loaded there for the same *p (whose host is set) while nothing has changed by which it was verified: the caller's care
 * (tls_memory_key in tlsmem.h tells all of it). Its bytes are a secret. Nothing is put out for a session of TLS 1.2, whose bytes would open what was recorded of
 * it. One that was loaded is given out again as long as the server takes it up and half of its time is left: it may be used more than once, and a run that finds
 * nothing new then writes nothing. 0; -1: out is full, or what should be loaded is no session.
 */
int tls_memory_save(const struct tls_memory *m, struct strbuf *out);
int tls_memory_load(struct tls_memory *m, const struct tls_params *p, const void *bytes, size_t n);
bool tls_memory_refused(const struct tls_memory *m); /* the server did not take up what was loaded */

#define TLS_PINS_MAX 8

struct tls_params {
	const char *host;                     /* name or IP address to verify, and SNI when it is a name */
	const char *ca_file;                  /* NULL: the system's */
	const char *client_cert, *client_key; /* PEM; NULL: none */
	const char *pins[TLS_PINS_MAX];       /* sha256 of the whole certificate: 64 hex digits, colons allowed; NULL ends */
	int min_version;                      /* 12 or 13; 0 means 12 */
	struct tls_memory *memory;            /* may be NULL; borrowed */
};

struct tls_info {
	char version[16];       /* "TLSv1.3" */
	char cipher[64];
	char subject[256], issuer[256]; /* printable */
	char names[512];        /* subjectAltNames, printable */
	char fingerprint[65];   /* sha256, lower-case hex */
	char not_before[32], not_after[32]; /* RFC 3339 */
	bool resumed, pinned;
};

/*
 * Handshake over `below` (deadline set by the caller on it). On success the new stream owns `below`; on failure `below` is freed too.
 * ERR_CERT texts say what is wrong with the certificate, show its sha256 fingerprint, and what to do (ca-file, fingerprint).
 * A peer that isn't speaking TLS is told apart (ERR_PROTO with a hint at the port/scheme).
 */
struct stream *tls_over(struct stream *below, const struct tls_params *p, struct err *e);

/* Facts of the TLS layer in the stack s; -1 when there is none. */
int tls_info(struct stream *s, struct tls_info *out);

/*
 * Channel binding data of the TLS layer in s: "tls-exporter" (RFC 9266, TLS 1.3), "tls-unique" (RFC 5929, TLS 1.2 with extended master secret only) or "tls-server-end-point".
 * Returns the length (<= cap) or 0 when that kind isn't to be had.
 */
size_t tls_binding(struct stream *s, const char *type, unsigned char *out, size_t cap);

#define TLS_FILES 4

/* Files and directories that OpenSSL reads without being told: its configuration and modules, the system's authorities. NULL: that one has none. */
void tls_files(const char *out[TLS_FILES]);

extern const struct stream_ops tls_ops;

#endif
