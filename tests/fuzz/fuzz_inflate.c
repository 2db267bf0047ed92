/*
 * Compression over a stream. Byte 0 picks how much each read of the wire brings (value modulo 32; 0: all), byte 1 how much the reader takes at a time, byte 2
 * what the rest is: even: plain bytes, which must come out of their compressed form as they went in, flushed every so often; odd: the wire itself, which must
 * give the same whatever the split. With bit 1 of an odd one the expansion is limited to 4 + value / 4.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "net/deflate.h"

#define INPUT_MAX 32768
#define WINDOW (1U << 20)  /* output over which the expansion is taken */
#define SLACK 64           /* input that may be in hand */
#define RATIO_DEFAULT 1040
#define PIECE_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* Stop here, so that the fuzzer keeps the input. */
static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fuzz_inflate: %s\n", what);
	abort();
}

/* What came out: how much, a running sum of it, and how it ended. */
struct result {
	uint64_t n, sum;
	ssize_t last;
	struct err e;
};

/* Read all, in pieces. */
static void unpack(struct slice wire, size_t step, size_t piece, uint64_t ratio, struct result *res)
{
	static char buf[PIECE_MAX];
	const struct deflate_limits limits = { .ratio = ratio };
	struct stream *m = memstream_new(wire.p, wire.n, step, NULL), *s;

	*res = (struct result){ .sum = 14695981039346656037U, .e = ERR_INIT };
	must(m != NULL, "no memory");
	s = deflate_over(m, &limits, &res->e);
	must(s != NULL, res->e.text);
	while ((res->last = stream_read(s, buf, piece, &res->e)) > 0) {
		must((size_t)res->last <= piece, "more than there was room for");
		for (ssize_t i = 0; i < res->last; i++)
			res->sum = (res->sum ^ (unsigned char)buf[i]) * 1099511628211U;
		res->n += (uint64_t)res->last;
		must(res->n <= (ratio ? ratio : RATIO_DEFAULT) * (wire.n + SLACK) + 2 * (uint64_t)WINDOW, "it grows beyond the limit");
	}
	if (res->last < 0)
		must((res->e.kind == ERR_PROTO || res->e.kind == ERR_TEMP) && res->e.text[0], "an end without a reason");
	else
		must(stream_read(s, buf, 1, &res->e) == 0, "something behind the end");
	stream_free(s);
}

/* The wire as it comes. */
static void as_wire(struct slice wire, size_t step, size_t piece, uint64_t ratio)
{
	struct result a, b;

	unpack(wire, step, piece, ratio, &a);
	unpack(wire, 0, PIECE_MAX, ratio, &b);
	/* where a window ends depends on the pieces: a limit may be met in one and not in the other, unless it is out of reach */
	if (a.n > WINDOW - PIECE_MAX || b.n > WINDOW - PIECE_MAX)
		return;
	must((a.last < 0) == (b.last < 0) && a.e.kind == b.e.kind, "the split changes how it ends");
	/* what a piece held before the damage in it is lost with it */
	must(a.e.kind == ERR_PROTO || (a.n == b.n && a.sum == b.sum), "the split changes what comes out");
}

/* Plain bytes there and back. */
static void as_plain(struct slice plain, size_t step, size_t piece, size_t every)
{
	struct strbuf wire = STRBUF_INIT(8 * INPUT_MAX + 65536);
	struct err e = ERR_INIT;
	struct stream *m = memstream_new("", 0, 0, &wire), *s;
	struct result res;
	uint64_t sum = 14695981039346656037U;

	must(m != NULL, "no memory");
	s = deflate_over(m, NULL, &e);
	must(s != NULL, e.text);
	for (size_t at = 0, some; at < plain.n; at += some) {
		some = plain.n - at < every ? plain.n - at : every;
		must(stream_write(s, plain.p + at, some, &e) == 0 && stream_flush(s, &e) == 0, e.text);
	}
	stream_free(s);
	for (size_t i = 0; i < plain.n; i++)
		sum = (sum ^ (unsigned char)plain.p[i]) * 1099511628211U;
	unpack(strbuf_slice(&wire), step, piece, 0, &res);
	must(res.last == 0, res.e.text);
	must(res.n == plain.n && res.sum == sum, "it came back as something else");
	if (plain.n > 0) {
		/* without the last byte of the last flush it is cut, but all of it has come */
		unpack(slice_of(wire.s, wire.len - 1), step, piece, 0, &res);
		must(res.last < 0 && res.e.kind == ERR_TEMP, "a cut is taken for the end");
		must(res.n == plain.n && res.sum == sum, "a cut takes along what came before it");
	}
	strbuf_release(&wire);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct slice rest;
	size_t step, piece;

	if (n < 3 || n > INPUT_MAX)
		return 0;
	step = p[0] % 32;
	piece = (size_t)1 + (p[1] < 128 ? p[1] : (size_t)16 * (p[1] - 128));
	rest = slice_of(p + 3, n - 3);
	if (p[2] & 1)
		as_wire(rest, step, piece, p[2] & 2 ? 4 + (uint64_t)p[2] / 4 : 0);
	else
		as_plain(rest, step, piece, (size_t)16 + (size_t)p[2] * 16);
	return 0;
}
