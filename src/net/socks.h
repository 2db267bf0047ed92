/* SOCKS5 (RFC 1928, 1929): the proxy resolves the name. */
#ifndef NET_SOCKS_H
#define NET_SOCKS_H

#include "base/err.h"
#include "net/stream.h"

struct socks_params {
	const char *host, *port;           /* the proxy */
	const char *user, *password;       /* NULL: none */
};

/* Speak SOCKS5 over s (connected to the proxy) until it is connected to host:port. s stays the caller's. */
int socks_connect(struct stream *s, const struct socks_params *p, const char *host, const char *port, struct err *e);

#endif
