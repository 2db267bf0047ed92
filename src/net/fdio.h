/*
 * Reading and writing of non-blocking descriptors within a deadline: what the lowest layers
 * (fdstream, tunnel) share.
 */
#ifndef NET_FDIO_H
#define NET_FDIO_H

#include <stdbool.h>

#include "net/stream.h"

struct fdio {
	int rfd, wfd; /* the same for a socket; non-blocking */
	msec_t deadline;
	struct net_stats *stats; /* may be NULL */
	bool asked;  /* written since the last wait for the peer */
	bool broken; /* a write stopped half way: nothing may follow it */
};

/* Make fd non-blocking. */
int fdio_nonblock(int fd, struct err *e);

/*
 * One read: 1..n bytes, 0 at the end, -1 (ERR_TIMEOUT, ERR_CANCEL, ERR_TEMP "connection lost:
 * ...").
 */
ssize_t fdio_read(struct fdio *io, void *buf, size_t n, struct err *e);

/* All n bytes or -1; after a failure every later write fails. */
int fdio_write(struct fdio *io, const void *buf, size_t n, struct err *e);

#endif
