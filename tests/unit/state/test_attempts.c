/* What is known of a job's attempts: it comes back as it was written, also where nothing is, and where somebody else has written. */
#include "../../lib/unit.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "state/attempts.h"

static char *dir;
static char path[4096];

static int setup(void **state)
{
	(void)state;
	dir = scratch_make();
	snprintf(path, sizeof(path), "%s/job.db", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	scratch_remove(dir);
	return 0;
}

static void write_file(const char *text)
{
	FILE *f = fopen(scratch_path(dir, "job.db.attempts"), "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static struct attempts full(void)
{
	struct attempts a = { .started = 1772373907, .since = 2, .last = 3, .next = 4, .tries = 5, .code = 77, .kind = ERR_AUTH, .telling = 6, .n_told = ATTEMPTS_TOLD };

	memset(a.text, 'x', sizeof(a.text) - 1);
	memset(a.salt, 'a', sizeof(a.salt) - 1);
	memset(a.digest, 'b', sizeof(a.digest) - 1);
	for (size_t i = 0; i < ATTEMPTS_TOLD; i++)
		a.told[i] = UINT64_MAX - i;
	return a;
}

static void comes_back(void **state)
{
	struct attempts a = full(), none = { .started = 7 }, got;
	struct stat st[2];

	(void)state;
	attempts_get(path, &got);
	assert_memory_equal(&got, &(struct attempts){ 0 }, sizeof(got));
	assert_int_equal(attempts_put(path, &a, NULL), 0);
	attempts_get(path, &got);
	assert_memory_equal(&got, &a, sizeof(got));
	assert_int_equal(stat(scratch_path(dir, "job.db.attempts"), &st[0]), 0);
	assert_int_equal(st[0].st_mode & 07777, 0600);
	assert_int_equal(attempts_put(path, &none, NULL), 0);
	attempts_get(path, &got);
	assert_memory_equal(&got, &none, sizeof(got));
	assert_int_equal(stat(scratch_path(dir, "job.db.attempts"), &st[1]), 0);
	assert_int_equal(st[0].st_size, st[1].st_size);
	assert_int_equal(st[0].st_ino, st[1].st_ino);
}

static void of_others(void **state)
{
	static const char *const texts[] = { "", "mailhaul attempts 2\nstarted 5\n", "\n\n\n", "started 5\n" };
	struct attempts got;

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		write_file(texts[i]);
		attempts_get(path, &got);
		assert_memory_equal(&got, &(struct attempts){ 0 }, sizeof(got));
	}
	write_file("mailhaul attempts 1\nstarted 5\nsince -3\nlast 99999999999999999999\nnext x\nkind 4711\nfuture 3\ntext a\033[2J\ntold 1 zz 00000000000000ff");
	attempts_get(path, &got);
	assert_int_equal(got.started, 5);
	assert_int_equal(got.since, 0);
	assert_int_equal(got.last, 0);
	assert_int_equal(got.kind, ERR_LOCAL);
	assert_string_equal(got.text, "a\\x1b[2J");
	assert_int_equal(got.n_told, 1);
	assert_int_equal(got.told[0], 255);
}

/* Nowhere to write is an error that says where; a link is not followed. */
static void cannot(void **state)
{
	struct attempts a = full();
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(attempts_put(scratch_path(dir, "no/job.db"), &a, &e), -1);
	assert_non_null(strstr(e.text, "no/job.db.attempts"));
	assert_int_equal(symlink(scratch_path(dir, "elsewhere"), scratch_path(dir, "job.db.attempts")), 0);
	assert_int_equal(attempts_put(path, &a, &e), -1);
}

static void told(void **state)
{
	struct attempts a = { 0 };

	(void)state;
	attempts_tell(&a, 1, 100);
	attempts_tell(&a, 2, 200);
	attempts_tell(&a, 1, 300);
	assert_int_equal(a.n_told, 2);
	assert_int_equal(a.telling, 100);
	assert_true(attempts_was_told(&a, 2));
	assert_false(attempts_was_told(&a, 3));
	for (uint64_t i = 0; i < 100; i++)
		attempts_tell(&a, i, 400);
	assert_int_equal(a.n_told, ATTEMPTS_TOLD);
	assert_true(attempts_was_told(&a, 4711)); /* a flood was told */
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(comes_back), TEST(of_others), TEST(cannot), TEST(told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
