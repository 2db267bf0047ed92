/* A message kept aside. */
#include "base.h"

#include <string.h>

#include "base/strbuf.h"
#include "state/aside.h"

/* Close and open again: what is asked next comes from the disk. */
static void reopen(void)
{
	db_close(db);
	base_open();
}

static void put(const char *const *pieces, size_t n)
{
	const struct aside a = { .folder = 7, .right = SLICE_LIT("12"), .flags = 0x8000000000000005, .date = 1700000000 };

	assert_int_equal(db_begin(db, &e), 0);
	assert_int_equal(aside_put(db, &a, &e), 0);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(aside_write(db, pieces[i], strlen(pieces[i]), &e), 0);
	assert_int_equal(db_commit(db, &e), 0);
}

/* Read so many bytes at a time. */
static void reads(const char *want, size_t step)
{
	struct strbuf b = STRBUF_INIT(4096);
	char buf[64];
	ssize_t n;

	while ((n = aside_read(db, b.len, buf, step, &e)) > 0)
		assert_int_equal(strbuf_put(&b, buf, (size_t)n), 0);
	assert_int_equal(n, 0);
	assert_string_equal(strbuf_str(&b), want);
	strbuf_release(&b);
}

static void kept(void **state)
{
	static const char *const pieces[] = { "Subject: x\r\n", "", "\r\n", "some text", "\r\n" };
	struct aside a;

	(void)state;
	assert_int_equal(aside_get(db, &a, &e), 0);
	put(pieces, COUNT(pieces));
	reopen();
	assert_int_equal(aside_get(db, &a, &e), 1);
	assert_int_equal(a.folder, 7);
	assert_true(slice_eq(a.right, SLICE_LIT("12")) && a.flags == 0x8000000000000005 && a.date == 1700000000 && a.hint.n == 0);
	assert_int_equal(a.size, 25);
	for (size_t step = 1; step <= 30; step++)
		reads("Subject: x\r\n\r\nsome text\r\n", step);
}

static void put_back(void **state)
{
	static const unsigned char digest[32] = "of a content";
	static const char *const pieces[] = { "text" };
	struct aside a;

	(void)state;
	put(pieces, COUNT(pieces));
	assert_int_equal(db_begin(db, &e), 0);
	assert_int_equal(aside_hint(db, SLICE_LIT("1000 5"), digest, &e), 0);
	assert_int_equal(db_commit(db, &e), 0);
	reopen();
	assert_int_equal(aside_get(db, &a, &e), 1);
	assert_true(slice_eq(a.hint, SLICE_LIT("1000 5")) && memcmp(a.digest, digest, sizeof(digest)) == 0);
	assert_int_equal(db_begin(db, &e), 0);
	assert_int_equal(aside_drop(db, &e), 0);
	assert_int_equal(db_commit(db, &e), 0);
	reopen();
	assert_int_equal(aside_get(db, &a, &e), 0);
	reads("", 10);
}

/* A second one would take the place of the first. */
static void one_only(void **state)
{
	static const char *const pieces[] = { "text" };
	const struct aside a = { .folder = 8 };

	(void)state;
	put(pieces, COUNT(pieces));
	assert_int_equal(db_begin(db, &e), 0);
	assert_int_equal(aside_put(db, &a, &e), -1);
	db_rollback(db);
	reads("text", 10);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, base_setup, base_teardown)
	const struct CMUnitTest tests[] = { T(kept), T(put_back), T(one_only) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
