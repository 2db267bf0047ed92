/* Compression of both directions: see deflate.h. */
#include "net/deflate.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define IN_SIZE 32768
#define OUT_SIZE 16384
#define WINDOW (1U << 20) /* output bytes over which the ratio is taken */
#define SLACK 64          /* input bytes that zlib may have in hand */
#define RATIO_DEFAULT 1040

struct deflate {
	struct stream s;
	z_stream in, out;
	bool in_made, out_made;
	bool ended;   /* the peer's final block */
	bool whole;   /* what has come ends where a flush does */
	bool dirty;   /* written since the last flush */
	bool broken;  /* a write failed: nothing may follow it */
	uint64_t ratio, win_in, win_out;
	unsigned char inbuf[IN_SIZE], outbuf[OUT_SIZE];
};

/* Whether the last window of output came out of too little. */
static int check_ratio(struct deflate *d, struct err *e)
{
	if (d->win_out < WINDOW)
		return 0;
	if (d->win_out / d->ratio > d->win_in + SLACK)
		return err_set(e, ERR_PROTO,
			"compressed data grows more than %llu times: %llu bytes out of %llu",
			(unsigned long long)d->ratio, (unsigned long long)d->win_out,
			(unsigned long long)d->win_in);
	d->win_in = d->win_out = 0;
	return 0;
}

/* One step of zlib: what comes out of what is at hand. Returns the bytes made or -1. */
static ssize_t inflate_some(struct deflate *d, void *buf, size_t n, struct err *e)
{
	uInt room = n < WINDOW ? (uInt)n : WINDOW, had = d->in.avail_in;
	size_t made;
	int rc;

	d->in.next_out = buf;
	d->in.avail_out = room;
	rc = inflate(&d->in, Z_SYNC_FLUSH);
	made = room - d->in.avail_out;
	/*
	 * A flush ends between blocks and on a byte boundary; zlib tells by data_type: 128 for
	 * "between blocks", the low bits for bits not used yet. A call that changes nothing clears
	 * the 128.
	 */
	if (had > d->in.avail_in || made > 0)
		d->whole = (d->in.data_type & 128) && (d->in.data_type & 63) == 0;
	d->win_in += had - d->in.avail_in;
	d->win_out += made;
	if (rc == Z_MEM_ERROR)
		return err_set(e, ERR_LOCAL, "out of memory");
	if (rc == Z_STREAM_END)
		d->ended = true;
	else if (rc != Z_OK && rc != Z_BUF_ERROR)
		return err_set(e, ERR_PROTO, "compressed data is damaged: %s",
			d->in.msg ? d->in.msg : "unknown error");
	return check_ratio(d, e) < 0 ? -1 : (ssize_t)made;
}

/*
 * stream_ops.read: zlib is asked before the layer below, since it may hold output back that had no
 * room.
 */
static ssize_t deflate_read(struct stream *s, void *buf, size_t n, struct err *e)
{
	struct deflate *d = (struct deflate *)s;
	ssize_t r;

	if (n == 0)
		return 0;
	for (;;) {
		if (!d->ended) {
			r = inflate_some(d, buf, n, e);
			if (r != 0)
				return r;
		}
		if (d->ended)
			return 0; /* whatever follows is not for us */
		r = stream_read(s->next, d->inbuf, sizeof(d->inbuf), e);
		if (r < 0)
			return -1;
		if (r == 0)
			break;
		d->in.next_in = d->inbuf;
		d->in.avail_in = (uInt)r;
	}
	if (!d->whole)
		return err_set(e, ERR_TEMP, "connection closed in the middle of compressed data");
	return 0;
}

/* Run zlib until it has taken everything and, when flushing, given everything. */
static int deflate_some(struct deflate *d, int flush, struct err *e)
{
	if (d->broken)
		return err_set(e, ERR_TEMP, "connection lost: an earlier write did not finish");
	d->broken = true; /* until all is below */
	do {
		size_t made;

		d->out.next_out = d->outbuf;
		d->out.avail_out = sizeof(d->outbuf);
		if (deflate(&d->out, flush) == Z_STREAM_ERROR)
			return err_set(e, ERR_BUG, "deflate: stream error");
		made = sizeof(d->outbuf) - d->out.avail_out;
		if (made > 0 && stream_write(d->s.next, d->outbuf, made, e) < 0)
			return -1;
	} while (d->out.avail_out == 0 || d->out.avail_in > 0);
	d->broken = false;
	return 0;
}

/* stream_ops.write */
static int deflate_write(struct stream *s, const void *buf, size_t n, struct err *e)
{
	struct deflate *d = (struct deflate *)s;
	const unsigned char *p = buf;

	while (n > 0) {
		uInt part = n < WINDOW ? (uInt)n : WINDOW;

		d->out.next_in = (z_const Bytef *)(uintptr_t)p; /* zlib only reads it */
		d->out.avail_in = part;
		d->dirty = true;
		if (deflate_some(d, Z_NO_FLUSH, e) < 0)
			return -1;
		p += part;
		n -= part;
	}
	return 0;
}

/* stream_ops.flush; a second one with nothing between would only add an empty block. */
static int deflate_flush(struct stream *s, struct err *e)
{
	struct deflate *d = (struct deflate *)s;

	if (!d->dirty)
		return 0;
	d->out.avail_in = 0;
	if (deflate_some(d, Z_SYNC_FLUSH, e) < 0)
		return -1;
	d->dirty = false;
	return 0;
}

/* stream_ops.shut: the final block. */
static void deflate_shut(struct stream *s)
{
	struct deflate *d = (struct deflate *)s;

	d->out.avail_in = 0;
	if (!d->broken)
		deflate_some(d, Z_FINISH, NULL);
	d->broken = true; /* nothing can follow the final block */
}

/* stream_ops.free */
static void deflate_free(struct stream *s)
{
	struct deflate *d = (struct deflate *)s;

	if (d->in_made)
		inflateEnd(&d->in);
	if (d->out_made)
		deflateEnd(&d->out);
	free(d);
}

const struct stream_ops deflate_ops = {
	.name = "DEFLATE",
	.read = deflate_read,
	.write = deflate_write,
	.flush = deflate_flush,
	.shut = deflate_shut,
	.free = deflate_free,
};

/* Compression over a stream. */
struct stream *deflate_over(
	struct stream *below, const struct deflate_limits *limits, struct err *e)
{
	struct deflate *d = calloc(1, sizeof(*d));

	if (!d) {
		err_set(e, ERR_LOCAL, "out of memory");
		stream_free(below);
		return NULL;
	}
	d->s = (struct stream){ .ops = &deflate_ops, .next = below };
	d->whole = true;
	d->ratio = limits && limits->ratio ? limits->ratio : RATIO_DEFAULT;
	/* negative window bits: raw, without header and check sum (RFC 4978 3) */
	d->in_made = inflateInit2(&d->in, -15) == Z_OK;
	d->out_made = deflateInit2(&d->out, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -15, 8,
			      Z_DEFAULT_STRATEGY) == Z_OK;
	if (d->in_made && d->out_made)
		return &d->s;
	err_set(e, ERR_LOCAL, "out of memory");
	stream_free(&d->s);
	return NULL;
}
