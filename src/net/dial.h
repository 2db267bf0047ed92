/* From parameters to a connected stream: the only place that knows in what order the layers stand. */
#ifndef NET_DIAL_H
#define NET_DIAL_H

#include "net/deflate.h"
#include "net/socks.h"
#include "net/tls.h"

enum dial_tls { DIAL_TLS, DIAL_STARTTLS, DIAL_PLAIN };

struct dial_params {
	const char *host, *port;   /* host as the person wrote it; port a number */
	enum dial_tls security;    /* DIAL_STARTTLS: the protocol asks, then calls dial_start_tls */
	struct tls_params tls;     /* .host NULL means dial_params.host */
	const char *tunnel;        /* command, or NULL */
	struct socks_params proxy; /* .host NULL: none */
	int timeout;               /* ms for connecting and handshake, and for each later wait */
	uint64_t rate;             /* bytes a second, both ways together, of what follows connecting; 0: no limit (throttle.h) */
	bool trace;
};

/* Resolve, connect (tunnel, proxy), and TLS unless security says otherwise. *stats may be NULL. A deadline of p->timeout is left set. */
struct stream *dial(const struct dial_params *p, struct net_stats *stats, struct err *e);

/*
 * TLS over a stream from dial() whose peer just agreed to STARTTLS/STLS. The caller has checked that nothing is buffered. Takes s in any case
 * (frees it on failure). The trace layer, if any, is put on top again.
 */
struct stream *dial_start_tls(struct stream *s, const struct dial_params *p, struct err *e);

/*
 * Raw DEFLATE over a stream from dial() whose peer just agreed to COMPRESS=DEFLATE (RFC 4978); the rest as with dial_start_tls. The trace shows
 * what the protocol says, not the compressed bytes.
 */
struct stream *dial_start_deflate(struct stream *s, const struct dial_params *p, const struct deflate_limits *limits, struct err *e);

#endif
