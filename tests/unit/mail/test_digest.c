/* Digests: the known values of FIPS 180, in pieces, and the same for a message on the wire and on disk. */
#include "../../lib/unit.h"

#include "mail/digest.h"
#include "mail/eol.h"

static void known_values(void **state)
{
	static const struct {
		const char *text, *hex;
	} rows[] = {
		{ "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
		{ "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
		{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
	};
	struct err e = ERR_INIT;
	struct digest *d = digest_new(&e);

	(void)state;
	assert_non_null(d);
	for (size_t i = 0; i < COUNT(rows); i++) {
		for (size_t step = 1; step < 60; step++) {
			unsigned char sum[DIGEST_SIZE], back[DIGEST_SIZE];
			char hex[DIGEST_HEX];

			for (size_t at = 0, n = strlen(rows[i].text); at < n; at += step)
				assert_int_equal(digest_put(d, rows[i].text + at, n - at < step ? n - at : step), 0);
			assert_int_equal(digest_end(d, sum), 0); /* and so ready for the next turn */
			digest_hex(sum, hex);
			assert_string_equal(hex, rows[i].hex);
			assert_true(digest_unhex(hex, strlen(hex), back));
			assert_memory_equal(sum, back, DIGEST_SIZE);
		}
	}
	digest_free(d);
	digest_free(NULL);
}

static void no_hex(void **state)
{
	char good[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
	unsigned char sum[DIGEST_SIZE];

	(void)state;
	assert_true(digest_unhex(good, 64, sum));
	assert_false(digest_unhex(good, 63, sum));
	assert_false(digest_unhex(good, 65, sum));
	assert_false(digest_unhex(good, 0, sum));
	for (size_t i = 0; i < 64; i++) {
		static const char bad[] = "Gg/:@`EF \n";

		for (const char *p = bad; *p; p++) {
			char was = good[i];

			good[i] = *p;
			assert_false(digest_unhex(good, 64, sum));
			good[i] = was;
		}
	}
}

/* The digest of a message as it comes, through eol. */
static void sum_of(struct digest *d, const char *wire, unsigned char sum[DIGEST_SIZE])
{
	struct eol c = { 0 };
	char out[256];

	assert_int_equal(digest_put(d, out, eol_to_lf(&c, wire, strlen(wire), out)), 0);
	assert_int_equal(digest_put(d, out, eol_end(&c, out)), 0);
	assert_int_equal(digest_end(d, sum), 0);
}

static void same_on_wire_and_disk(void **state)
{
	static const struct {
		const char *wire, *disk;
	} rows[] = {
		{ "Subject: x\r\n\r\nhello\r\n", "Subject: x\n\nhello\n" },
		{ "a\r\n.b\r\nno end", "a\n.b\nno end" },
		{ "one\rtwo\r\n\r", "one\rtwo\n\r" },
	};
	struct digest *d = digest_new(NULL);

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		unsigned char a[DIGEST_SIZE], b[DIGEST_SIZE], c[DIGEST_SIZE];

		sum_of(d, rows[i].wire, a);
		sum_of(d, rows[i].disk, b);
		assert_memory_equal(a, b, DIGEST_SIZE);
		sum_of(d, "something else", c);
		assert_memory_not_equal(a, c, DIGEST_SIZE);
	}
	digest_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_values),
		cmocka_unit_test(no_hex),
		cmocka_unit_test(same_on_wire_and_disk),
	};

	return cmocka_run_group_tests_name("mail/digest", tests, NULL, NULL);
}
