/*
 * Bytes over time. Streams stack: fd (socket or tunnel) <- throttle <- TLS <- DEFLATE <- trace; each layer owns the one below it (`next`) and freeing the top
 * frees all. Reads and writes block until done or until the deadline, which lives in the lowest layer only.
 */
#ifndef NET_STREAM_H
#define NET_STREAM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/clock.h"
#include "base/err.h"

struct stream;

struct stream_ops {
	const char *name;
	/* 1..n bytes, 0 at a clean end, -1 with *e. Never blocks while bytes are already at hand in this layer. */
	ssize_t (*read)(struct stream *s, void *buf, size_t n, struct err *e);
	/* All n bytes or -1 (then the stream is good for reading only). A layer may hold bytes back until flush: flush before waiting for an answer. */
	int (*write)(struct stream *s, const void *buf, size_t n, struct err *e);
	int (*flush)(struct stream *s, struct err *e);
	/* Clean end of our direction (close_notify, shutdown); errors are of no interest. */
	void (*shut)(struct stream *s);
	/* Frees this layer only; stream_free walks. */
	void (*free)(struct stream *s);
	/* Lowest layer over a descriptor: the one that it reads. Else NULL. */
	int (*fd)(struct stream *s);
	/* Lowest layer: take the deadline. Others, that only want to know it: hear of it. Else NULL. */
	void (*set_deadline)(struct stream *s, msec_t deadline);
};

/* What one connection did: payload as the lowest layer saw it (TLS included). A turn is a read that had to wait after something had been written: one stand-still for the peer. */
struct net_stats {
	uint64_t in, out;
	uint64_t turns;
};

struct stream {
	const struct stream_ops *ops;
	struct stream *next;
};

ssize_t stream_read(struct stream *s, void *buf, size_t n, struct err *e);
int stream_write(struct stream *s, const void *buf, size_t n, struct err *e);
int stream_flush(struct stream *s, struct err *e);           /* flushes this layer, then those below */
void stream_set_deadline(struct stream *s, msec_t deadline); /* tells each layer, the lowest of which heeds it */
int stream_fd(struct stream *s);                             /* what to poll for something to read, or -1; layers may hold bytes that have been read from it */
void stream_shut(struct stream *s);                          /* top to bottom; bounded by a deadline of 1 s of its own */
void stream_free(struct stream *s);                          /* the whole stack; NULL is fine */
struct stream *stream_find(struct stream *s, const struct stream_ops *ops); /* a layer of that kind, or NULL */

/* For the ops of a layer that is only read (the body of a message); stream_no_shut serves as free, too, where there is nothing to free. */
int stream_cannot_write(struct stream *s, const void *buf, size_t n, struct err *e); /* ERR_BUG */
int stream_no_flush(struct stream *s, struct err *e);
void stream_no_shut(struct stream *s);
#define STREAM_READ_ONLY .write = stream_cannot_write, .flush = stream_no_flush, .shut = stream_no_shut

/* Over a connected, non-blocking file descriptor, which it owns (closed on failure too). stats (may be NULL) must live as long as the stream. */
struct stream *fdstream_new(int fd, struct net_stats *stats, struct err *e);

/* Tests: a stream that reads given bytes at most `step` at a time, then ends; what is written is dropped or collected. step 0: all at once. */
struct strbuf;
struct stream *memstream_new(const void *p, size_t n, size_t step, struct strbuf *written);

#endif
