/* Host names to addresses, within a deadline: getaddrinfo(3) runs in a child process that is killed when time is up. */
#ifndef NET_RESOLVE_H
#define NET_RESOLVE_H

#include <sys/socket.h>

#include "base/clock.h"
#include "base/err.h"

#define RESOLVE_MAX 32

struct resolved {
	size_t n;
	struct {
		struct sockaddr_storage sa;
		socklen_t len;
	} a[RESOLVE_MAX]; /* in the system's order (RFC 6724) */
};

/* A literal IPv4 or IPv6 address ("[::1]" too) needs no child. ERR_NOHOST: no such name (retryable ones of the resolver are ERR_TEMP). */
int resolve(const char *host, const char *port, struct resolved *out, msec_t deadline, struct err *e);

#endif
