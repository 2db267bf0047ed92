/* The lowest layer: a descriptor, a deadline, and the count of what went over it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/fdio.h"

#define CHUNK 16384 /* kept at once */

struct fdstream {
	struct stream s;
	struct fdio io;
};

/* Whether errno says "not now". */
static bool would_block(void)
{
	return errno == EAGAIN || errno == EWOULDBLOCK; /* the same number on Linux only */
}

/* The peer or the network took the connection away: worth another try. */
static int connection_lost(struct err *e)
{
	char buf[128];

	return err_set(e, ERR_TEMP, "connection lost: %s", strerror_r(errno, buf, sizeof(buf)));
}

/* Make fd non-blocking, so that only wait_fd ever waits. */
int fdio_nonblock(int fd, struct err *e)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return err_errno(e, "fcntl");
	return 0;
}

void fdio_init(struct fdio *io, int rfd, int wfd, struct net_stats *stats)
{
	*io = (struct fdio){ .rfd = rfd, .wfd = wfd, .stats = stats, .kept = STRBUF_INIT(FDIO_KEPT_MAX) };
}

void fdio_release(struct fdio *io)
{
	strbuf_release(&io->kept);
}

/* What was kept. */
static size_t take_kept(struct fdio *io, void *buf, size_t n)
{
	size_t left = io->kept.len - io->kept_at;

	if (n > left)
		n = left;
	memcpy(buf, io->kept.s + io->kept_at, n);
	io->kept_at += n;
	if (io->kept_at == io->kept.len) {
		strbuf_release(&io->kept);
		io->kept_at = 0;
	}
	return n;
}

/* Keep what is there. */
static int keep(struct fdio *io, struct err *e)
{
	char buf[CHUNK];
	size_t room = FDIO_KEPT_MAX - io->kept.len;
	ssize_t r = read(io->rfd, buf, room < sizeof(buf) ? room : sizeof(buf));

	if (r < 0)
		return would_block() || errno == EINTR ? 0 : connection_lost(e);
	if (r == 0)
		io->closed = true;
	else if (strbuf_put(&io->kept, buf, (size_t)r) < 0)
		return err_set(e, ERR_LOCAL, "out of memory");
	if (io->stats)
		io->stats->in += (uint64_t)r;
	return 0;
}

/* Wait until the peer takes more. */
static int wait_to_write(struct fdio *io, struct err *e)
{
	struct wait_item w[2] = { { .fd = io->wfd, .events = WAIT_WRITE }, { .fd = io->rfd, .events = WAIT_READ } };
	bool hear = !io->closed && io->kept.len < FDIO_KEPT_MAX;

	if (wait_fds(w, hear ? 2 : 1, io->deadline, e) < 0)
		return -1;
	return hear && w[1].ready ? keep(io, e) : 0;
}

/*
 * Read once. The descriptor is tried before it is waited for: what has arrived is never late,
 * however long we were busy elsewhere, and a peer that feeds us byte by byte has to make us wait
 * and so meets the deadline.
 */
ssize_t fdio_read(struct fdio *io, void *buf, size_t n, struct err *e)
{
	if (clock_check(e) < 0)
		return -1;
	if (n > SSIZE_MAX)
		n = SSIZE_MAX;
	if (io->kept.len > 0)
		return (ssize_t)take_kept(io, buf, n);
	for (;;) {
		ssize_t r = read(io->rfd, buf, n);

		if (r >= 0) {
			if (io->stats)
				io->stats->in += (uint64_t)r;
			return r;
		}
		if (errno == EINTR)
			continue;
		if (!would_block())
			return connection_lost(e);
		if (io->asked && io->stats)
			io->stats->turns++;
		io->asked = false;
		if (wait_fd(io->rfd, WAIT_READ, io->deadline, e) < 0)
			return -1;
	}
}

/* Write everything. */
int fdio_write(struct fdio *io, const void *buf, size_t n, struct err *e)
{
	const char *p = buf;

	if (io->broken)
		return err_set(e, ERR_TEMP, "connection lost: an earlier write did not finish");
	if (clock_check(e) < 0)
		return -1;
	io->asked = true;
	io->broken = true; /* until the last byte is out */
	while (n > 0) {
		ssize_t w = write(io->wfd, p, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0 && !would_block())
			return connection_lost(e);
		if (w < 0) {
			if (wait_to_write(io, e) < 0)
				return -1;
			continue;
		}
		p += w;
		n -= (size_t)w;
		if (io->stats)
			io->stats->out += (uint64_t)w;
	}
	io->broken = false;
	return 0;
}

/* stream_ops.read */
static ssize_t fd_read(struct stream *s, void *buf, size_t n, struct err *e)
{
	return fdio_read(&((struct fdstream *)s)->io, buf, n, e);
}

/* stream_ops.write */
static int fd_write(struct stream *s, const void *buf, size_t n, struct err *e)
{
	return fdio_write(&((struct fdstream *)s)->io, buf, n, e);
}

/* stream_ops.flush: nothing is held back here. */
static int fd_flush(struct stream *s, struct err *e)
{
	(void)s;
	(void)e;
	return 0;
}

/* stream_ops.shut */
static void fd_shut(struct stream *s)
{
	shutdown(((struct fdstream *)s)->io.wfd, SHUT_WR);
}

/* stream_ops.free */
static void fd_free(struct stream *s)
{
	struct fdstream *f = (struct fdstream *)s;

	close(f->io.rfd);
	fdio_release(&f->io);
	free(f);
}

/* stream_ops.set_deadline */
static void fd_set_deadline(struct stream *s, msec_t deadline)
{
	((struct fdstream *)s)->io.deadline = deadline;
}

/* stream_ops.fd */
static int fd_fd(struct stream *s)
{
	return ((struct fdstream *)s)->io.rfd;
}

static const struct stream_ops fd_ops = {
	.name = "fd",
	.read = fd_read,
	.write = fd_write,
	.flush = fd_flush,
	.shut = fd_shut,
	.free = fd_free,
	.fd = fd_fd,
	.set_deadline = fd_set_deadline,
};

/* A stream over fd; fd is closed on failure too, so that the caller never has to ask. */
struct stream *fdstream_new(int fd, struct net_stats *stats, struct err *e)
{
	struct fdstream *f = calloc(1, sizeof(*f));

	if (!f) {
		err_set(e, ERR_LOCAL, "out of memory");
		close(fd);
		return NULL;
	}
	f->s.ops = &fd_ops;
	fdio_init(&f->io, fd, fd, stats);
	return &f->s;
}
