/* A message's content without its Status lines, in pieces of any size. */
#include "../../lib/unit.h"

#include "mail/status.h"

/* What is hashed of it, and whether lines were left out. */
static const struct { const char *wire, *hashed; bool had; } rows[] = {
	{ "", "", false },
	{ "\r\n", "\n", false },
	{ "Status: RO\r\n\r\nbody\r\n", "\nbody\n", true },
	{ "Subject: a\r\nStatus: O\r\nX-Status: AF\r\nFrom: b\r\n\r\nStatus: R\r\n", "Subject: a\nFrom: b\n\nStatus: R\n", true },
	{ "sTATUS:\r\n  RO\r\n\tx\r\nFrom: b\r\n c\r\n\r\n", "From: b\n c\n\n", true },
	{ "Status : RO\r\nStatu: x\r\nStatuses: y\r\nX-Statu\r\nX\r\n\r\n.\r\n", "Status : RO\nStatu: x\nStatuses: y\nX-Statu\nX\n\n.\n", false },
	{ "Subject: a\r\n Status: RO\r\n\r\n", "Subject: a\n Status: RO\n\n", false },
	{ "Subject: a\nStatus: RO\n\nbody\n", "Subject: a\n\nbody\n", true },
	{ "Subject: a\r\nStat", "Subject: a\nStat", false },
	{ "Subject: a\r\nStatus:", "Subject: a\n", true },
	{ "\r\nStatus: RO\r\nbody\r", "\nStatus: RO\nbody\r", false },
};

static void lines_are_left_out(void **state)
{
	struct err e = ERR_INIT;
	struct status_reader *r = status_reader_new(&e);
	struct digest *d = digest_new(&e);

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		unsigned char want[DIGEST_SIZE], got[DIGEST_SIZE];
		size_t n = strlen(rows[i].wire);

		assert_int_equal(digest_put(d, rows[i].hashed, strlen(rows[i].hashed)), 0);
		assert_int_equal(digest_end(d, want), 0);
		for (size_t piece = 1; piece <= n + 1; piece++) {
			struct stream *s = memstream_new(rows[i].wire, n, 0, NULL), *tap = status_tap(r, s);
			char buf[200];
			size_t have = 0;
			ssize_t k;
			bool had;

			while ((k = stream_read(tap, buf + have, piece, &e)) > 0)
				have += (size_t)k;
			assert_true(have == n && memcmp(buf, rows[i].wire, n) == 0);
			stream_free(tap);
			stream_free(s);
			assert_int_equal(status_tapped(r, got, &had, &e), 0);
			if (memcmp(want, got, sizeof(want)) != 0 || had != rows[i].had)
				fail_msg("row %zu in pieces of %zu", i, piece);
			/* one that is not read to its end is no matter for the next */
			s = memstream_new("Subject: half\r\nStatus: x", 24, 0, NULL);
			assert_true(stream_read(status_tap(r, s), buf, sizeof(buf), &e) > 0);
			stream_free(s);
		}
	}
	status_reader_free(r);
	status_reader_free(NULL);
	digest_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
