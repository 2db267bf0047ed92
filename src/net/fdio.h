/*
 * Reading and writing of non-blocking descriptors within a deadline: what the lowest layers
 * (fdstream, tunnel) share.
 */
#ifndef NET_FDIO_H
#define NET_FDIO_H

#include <stdbool.h>

#include "base/strbuf.h"
#include "net/stream.h"

/* What is taken from a peer that must be heard before it takes more, and is not read yet. */
#define FDIO_KEPT_MAX (4u << 20)

struct fdio {
	int rfd, wfd; /* the same for a socket; non-blocking */
	msec_t deadline;
	struct net_stats *stats; /* may be NULL */
	bool asked;  /* written since the last wait for the peer */
	bool broken; /* a write stopped half way: nothing may follow it */
	bool closed; /* the peer's direction, as a write saw: the read that is told of it comes later */
	struct strbuf kept; /* came while a write waited; to be read before anything else */
	size_t kept_at;     /* up to there it was */
};

void fdio_init(struct fdio *io, int rfd, int wfd, struct net_stats *stats);
void fdio_release(struct fdio *io); /* what it kept; the descriptors are the owner's */

/* Make fd non-blocking. */
int fdio_nonblock(int fd, struct err *e);

/*
 * One read: 1..n bytes, 0 at the end, -1 (ERR_TIMEOUT, ERR_CANCEL, ERR_TEMP "connection lost:
 * ...").
 */
ssize_t fdio_read(struct fdio *io, void *buf, size_t n, struct err *e);

/*
 * All n bytes or -1; after a failure every later write fails. While the peer takes nothing, what it
 * says is kept for fdio_read: else both would wait for the other to read, once all buffers between
 * them are full. Nothing is made of it before it is read, so that no time matters.
 */
int fdio_write(struct fdio *io, const void *buf, size_t n, struct err *e);

#endif
