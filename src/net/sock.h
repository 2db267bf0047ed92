/* TCP: every address of a host is tried, IPv6 and IPv4 in turn, the next 250 ms after the last while none has answered (RFC 8305). */
#ifndef NET_SOCK_H
#define NET_SOCK_H

#include <stdbool.h>

#include "base/clock.h"
#include "base/err.h"
#include "net/resolve.h"

/* A connected non-blocking close-on-exec fd with TCP_NODELAY and keep-alive, or -1: ERR_UNAVAIL (past the deadline ERR_TIMEOUT) naming each address and why. */
int sock_connect(const struct resolved *addrs, const char *what, msec_t deadline, struct err *e);

/*
 * For a connection that waits for hours, and whose end is to be noticed all the same: a peer, or a way to it, that is gone is known for gone SOCK_GONE_MS after the last word, whether we had said
 * something or not; and what stands between keeps the way open. What is no TCP connection (a tunnel) is left as it is: false.
 */
#define SOCK_GONE_MS 150000
bool sock_stay(int fd);

/* Connect to the first of host's addresses that answers: resolve + sock_connect. */
int sock_dial(const char *host, const char *port, msec_t deadline, struct err *e);

#endif
