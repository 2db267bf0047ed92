/* Line ends, in every split. */
#include "../../lib/unit.h"

#include "mail/eol.h"

static const struct {
	const char *wire, *lf;
	bool bare;
} rows[] = {
	{ "", "", false },
	{ "\r\n", "\n", false },
	{ "a", "a", false },
	{ "a\r\n", "a\n", false },
	{ "a\r\nb\r\n", "a\nb\n", false },
	{ "a\r\n\r\n\r\nb", "a\n\n\nb", false },
	{ "\r", "\r", false },
	{ "a\r", "a\r", false },
	{ "a\rb\r\n", "a\rb\n", false },
	{ "\r\r\n", "\r\n", false },
	{ "a\r\r\r\nb", "a\r\r\nb", false },
	{ "a\r\r", "a\r\r", false },
	{ "\n", "\n", true },
	{ "a\nb", "a\nb", true },
	{ "a\r\nb\nc\r\n", "a\nb\nc\n", true },
	{ "\n\r", "\n\r", true },
	{ "\r\n\n", "\n\n", true },
	{ "\r\n\r\r\n\n\r", "\n\r\n\n\r", true },
};

#define ROWS COUNT(rows)

/* Convert in pieces of `first` bytes and then `step`; each piece in memory of just its size, so that a sanitizer sees a byte too many. */
static void convert(const char *wire, size_t first, size_t step, char *out, bool *bare)
{
	struct eol c = { 0 };
	size_t n = strlen(wire), len = 0;

	for (size_t at = 0; at < n;) {
		size_t some = at == 0 && first > 0 ? first : step;
		char in[64], *room = test_malloc(some + 1);

		if (some > n - at)
			some = n - at;
		memcpy(in, wire + at, some);
		memset(room, '!', some + 1);
		{
			size_t k = eol_to_lf(&c, in, some, room);

			assert_true(k <= some + 1);
			memcpy(out + len, room, k);
			len += k;
		}
		test_free(room);
		at += some;
	}
	len += eol_end(&c, out + len);
	assert_int_equal(eol_end(&c, out + len), 0);
	out[len] = '\0';
	*bare = c.bare_lf;
}

static void every_split(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS; i++) {
		size_t n = strlen(rows[i].wire);

		for (size_t first = 0; first <= n; first++) {
			for (size_t step = 1; step <= n + 1; step++) {
				char out[64];
				bool bare;

				convert(rows[i].wire, first, step, out, &bare);
				assert_string_equal(out, rows[i].lf);
				assert_int_equal(bare, rows[i].bare);
			}
		}
	}
}

/* What has no bare LF comes back. */
static void and_back(void **state)
{
	char out[64];

	(void)state;
	for (size_t i = 0; i < ROWS; i++) {
		size_t n = eol_to_crlf(rows[i].lf, strlen(rows[i].lf), out);

		out[n] = '\0';
		if (rows[i].bare)
			assert_string_not_equal(out, rows[i].wire);
		else
			assert_string_equal(out, rows[i].wire);
	}
}

/* What the header tells of starting over, for all short messages and splits: converted part restored, the CR held back, the rest as it is. */
static void start_over(void **state)
{
	static const char bytes[] = "\r\na";

	(void)state;
	for (unsigned number = 0; number < 729; number++) {
		char wire[7];
		unsigned rest = number;

		for (size_t i = 0; i < 6; i++, rest /= 3)
			wire[i] = bytes[rest % 3];
		wire[6] = '\0';
		for (size_t step = 1; step <= 6; step++) {
			struct eol c = { 0 };
			char lf[16], again[32];
			size_t len = 0, n, at;
			bool cr = false;

			for (at = 0; at < 6; at += step) {
				size_t k;

				cr = c.cr;
				k = eol_to_lf(&c, wire + at, step < 6 - at ? step : 6 - at, lf + len);
				if (c.bare_lf)
					break;
				len += k;
			}
			if (!c.bare_lf) {
				len += eol_end(&c, lf + len);
				cr = false;
				at = 6;
			}
			n = eol_to_crlf(lf, len, again);
			if (cr)
				again[n++] = '\r';
			memcpy(again + n, wire + at, 6 - at);
			assert_int_equal(n + 6 - at, 6);
			assert_memory_equal(again, wire, 6);
		}
	}
}

/* All short files in all splits: no LF stands alone, nothing but CRs came in, and what has none alone is unchanged. */
static void to_wire(void **state)
{
	static const char bytes[] = "\r\na";

	(void)state;
	for (unsigned number = 0; number < 729; number++) {
		char file[7], want[16];
		unsigned rest = number;
		size_t wanted = 0;

		for (size_t i = 0; i < 6; i++, rest /= 3) {
			file[i] = bytes[rest % 3];
			if (file[i] == '\n' && (i == 0 || file[i - 1] != '\r'))
				want[wanted++] = '\r';
			want[wanted++] = file[i];
		}
		for (size_t step = 1; step <= 6; step++) {
			size_t len = 0;
			bool cr = false;
			char out[16];

			for (size_t at = 0; at < 6; at += step) {
				size_t some = step < 6 - at ? step : 6 - at;
				char *room = test_malloc(2 * some);
				size_t k = eol_to_wire(&cr, file + at, some, room);

				assert_true(k <= 2 * some);
				memcpy(out + len, room, k);
				len += k;
				test_free(room);
			}
			assert_int_equal(len, wanted);
			assert_memory_equal(out, want, wanted);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_split),
		cmocka_unit_test(and_back),
		cmocka_unit_test(start_over),
		cmocka_unit_test(to_wire),
	};

	return cmocka_run_group_tests_name("mail/eol", tests, NULL, NULL);
}
