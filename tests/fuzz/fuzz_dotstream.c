/*
 * The dot stream. Byte 0 picks how much each read of the wire brings, byte 1 how much the reader takes at a time, byte 2 what the rest is:
 * even: a message, which must come out of its stuffed form as it went in;
 * odd: the wire itself, which must give the same whatever the split (bit 1: lines end in LF alone).
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pop3/msg.h"

#define INPUT_MAX 65536

/* Stop here, so that the fuzzer keeps the input. */
static void must(bool ok)
{
	if (!ok)
		abort();
}

/* Read the body that the wire holds behind its status line. Returns what the last read did: 0 whole, -1 cut. */
static int unstuff(struct slice wire, size_t step, size_t piece, struct strbuf *out, bool *dead)
{
	struct pop3_conn c = { 0 };
	struct err e = ERR_INIT;
	struct stream *b;
	char buf[256];
	ssize_t r = -1;

	must(pop3_attach(&c, memstream_new(wire.p, wire.n, step, NULL), 1000, 0, "fuzz", &e) == 0);
	must(pop3_status(&c, NULL, &e) == 1);
	b = pop3_body(&c, 1, &e);
	must(b != NULL);
	while ((r = stream_read(b, buf, piece, &e)) > 0) {
		must((size_t)r <= piece);
		must(strbuf_put(out, buf, (size_t)r) == 0);
	}
	must(r < 0 || stream_read(b, buf, 1, &e) == 0);
	stream_free(b);
	*dead = c.dead;
	if (r == 0)
		must(pop3_status(&c, NULL, NULL) != 2); /* still readable: no sanitizer finding */
	pop3_close(&c);
	return (int)r;
}

/* The stuffed form of a message that ends in CRLF. */
static void stuff(struct slice msg, struct strbuf *wire)
{
	bool start = true;

	for (size_t i = 0; i < msg.n; i++) {
		if (start && msg.p[i] == '.')
			strbuf_putc(wire, '.');
		strbuf_putc(wire, msg.p[i]);
		start = i > 0 && msg.p[i] == '\n' && msg.p[i - 1] == '\r';
	}
	strbuf_puts(wire, ".\r\n");
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct strbuf wire = STRBUF_INIT(4 * INPUT_MAX), a = STRBUF_INIT(4 * INPUT_MAX), b = STRBUF_INIT(4 * INPUT_MAX);
	size_t step, piece;
	bool dead;

	if (n < 3 || n > INPUT_MAX)
		return 0;
	step = 1 + p[0] % 32;
	piece = 1 + p[1] % 32;
	if (p[2] & 1) {
		bool lost;
		int ra, rb;

		strbuf_puts(&wire, p[2] & 2 ? "+OK\n" : "+OK\r\n");
		strbuf_put(&wire, p + 3, n - 3);
		ra = unstuff(strbuf_slice(&wire), step, piece, &a, &dead);
		rb = unstuff(strbuf_slice(&wire), 0, 256, &b, &lost);
		must(ra == rb && dead == lost && dead == (ra < 0));
	} else {
		strbuf_put(&b, p + 3, n - 3);
		if (n > 3 && (b.len < 2 || memcmp(b.s + b.len - 2, "\r\n", 2) != 0))
			strbuf_puts(&b, "\r\n");
		strbuf_puts(&wire, "+OK\r\n");
		stuff(strbuf_slice(&b), &wire);
		must(unstuff(strbuf_slice(&wire), step, piece, &a, &dead) == 0 && !dead);
	}
	must(slice_eq(strbuf_slice(&a), strbuf_slice(&b)));
	strbuf_release(&wire);
	strbuf_release(&a);
	strbuf_release(&b);
	return 0;
}
