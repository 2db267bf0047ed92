/* Strict base64. */
#include "../../lib/unit.h"

#include "auth/b64.h"

/* RFC 4648 section 10, and the letters at the ends of the alphabet. */
static const struct {
	const char *plain, *coded;
} pairs[] = {
	{ "", "" },
	{ "f", "Zg==" },
	{ "fo", "Zm8=" },
	{ "foo", "Zm9v" },
	{ "foob", "Zm9vYg==" },
	{ "fooba", "Zm9vYmE=" },
	{ "foobar", "Zm9vYmFy" },
	{ "\xff\xff\xff\xfb\xef\xbe", "////++++" },
};

static const char *const wrong[] = {
	"Z", "Zg", "Zg=", "Zm9", "Zg===", "=", "==", "====", "=Zg=", "Z===", "Z=g=", "Zg==Zg==", "Zm8=Zm8=", "Zg= ",
	" Zg==", "Zg==\n", "Zm9v\r\n", "Zm 9", "Zh==", "Zm9=", "Z-_v", "Zm9v====", "Zm9\x80", "Zm9*", "Zm9,",
};

static void test_pairs(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(pairs); i++) {
		struct strbuf b = STRBUF_INIT(64);

		assert_int_equal(b64_encode(slice_str(pairs[i].plain), &b), 0);
		assert_string_equal(strbuf_str(&b), pairs[i].coded);
		strbuf_clear(&b);
		assert_int_equal(b64_decode(slice_str(pairs[i].coded), &b), 0);
		assert_string_equal(strbuf_str(&b), pairs[i].plain);
		strbuf_release(&b);
	}
}

static void test_wrong(void **state)
{
	struct strbuf b = STRBUF_INIT(64);

	(void)state;
	for (size_t i = 0; i < COUNT(wrong); i++) {
		strbuf_clear(&b);
		strbuf_puts(&b, "kept");
		if (b64_decode(slice_str(wrong[i]), &b) == 0)
			fail_msg("'%s' was taken for base64", wrong[i]);
		assert_string_equal(strbuf_str(&b), "kept");
	}
	assert_int_equal(b64_decode(slice_of("Zm9\0", 4), &b), -1);
	strbuf_release(&b);
}

/* Every length with every byte there and back, at every place in a group. */
static void test_round(void **state)
{
	unsigned char all[259];

	(void)state;
	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (unsigned char)(i * 7);
	for (size_t n = 0; n <= sizeof(all); n++) {
		struct strbuf coded = STRBUF_INIT(1024), back = STRBUF_INIT(1024);

		assert_int_equal(b64_encode(slice_of(all, n), &coded), 0);
		assert_int_equal(coded.len, (n + 2) / 3 * 4);
		assert_int_equal(b64_decode(strbuf_slice(&coded), &back), 0);
		assert_true(slice_eq(strbuf_slice(&back), slice_of(all, n)));
		strbuf_release(&coded);
		strbuf_release(&back);
	}
}

static void test_full(void **state)
{
	struct strbuf b = STRBUF_INIT(7);

	(void)state;
	strbuf_puts(&b, "x");
	assert_int_equal(b64_encode(slice_str("four"), &b), -1);
	assert_string_equal(strbuf_str(&b), "x");
	b.failed = false;
	assert_int_equal(b64_decode(slice_str("Zm9vYmFyeA=="), &b), -1);
	assert_string_equal(strbuf_str(&b), "x");
	b.failed = false;
	assert_int_equal(b64_decode(slice_str("Zm9vYmFy"), &b), 0);
	assert_string_equal(strbuf_str(&b), "xfoobar");
	strbuf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_round),
		cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
