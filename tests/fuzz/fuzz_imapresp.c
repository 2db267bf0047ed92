/*
 * What an IMAP server says. Byte 0 picks how much each read brings, byte 1 how bodies are read (bits 0-3) and whether the limits are narrow (bit 4). Whatever comes: what is read does
 * not depend on the split, numbers are in range, memory has its bounds (imapdump.c holds the reader to its contract), and all ends.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/imapdump.h"

static const struct imap_limits narrow = {
	.atom = 16, .string = 24, .line = 120, .set = 40, .ranges = 4, .body = 60, .skip = 30, .depth = 3,
};

/* Stop here, so that the fuzzer keeps the input. */
static void must(bool ok)
{
	if (!ok)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct strbuf a = STRBUF_INIT(1 << 28), b = STRBUF_INIT(1 << 28);
	const struct imap_limits *limits;
	size_t piece;
	int r;

	if (n < 2)
		return 0;
	piece = p[1] & 15;
	limits = p[1] & 16 ? &narrow : NULL;
	r = imapdump_all(&a, p + 2, n - 2, 0, piece, limits);
	must(imapdump_all(&b, p + 2, n - 2, 1 + p[0] % 32, piece, limits) == r);
	if (r < 0 && limits) {
		/* of two limits that are passed, the split decides which is met first */
		strbuf_cut(&a, (size_t)(strstr(a.s, "ERROR ") - a.s));
		strbuf_cut(&b, (size_t)(strstr(b.s, "ERROR ") - b.s));
	}
	must(a.len == b.len && memcmp(strbuf_str(&a), strbuf_str(&b), a.len) == 0);
	strbuf_release(&a);
	strbuf_release(&b);
	return 0;
}
