/* Seals: they hold for a file that nobody has written to since, and for a day. */
#include "../../lib/unit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "state/seal.h"

#define NOW 1700000000

static char *dir;
static char path[4096];
static int lock;

static void write_file(const char *name, const char *data, size_t n)
{
	FILE *f = fopen(name, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

static int setup(void **state)
{
	(void)state;
	dir = scratch_make();
	snprintf(path, sizeof(path), "%s/job.db", dir);
	write_file(path, "content", 7);
	lock = open(scratch_path(dir, "job.db.lock"), O_RDWR | O_CREAT, 0600);
	assert_true(lock >= 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close(lock);
	scratch_remove(dir);
	return 0;
}

/* There is a seal, whether it holds or not. */
static bool sealed(void)
{
	struct stat st;

	assert_int_equal(fstat(lock, &st), 0);
	return st.st_size > 2;
}

static void put(void)
{
	seal_put(lock, path, NOW);
	assert_true(sealed());
}

static bool holds(int64_t now)
{
	int64_t when = 7;
	bool rc = seal_holds(lock, path, now, &when);

	assert_int_equal(when, rc ? NOW : 0);
	return rc;
}

static void touched(void)
{
	struct timespec times[2] = { { 1000, 0 }, { 1000, 0 } };

	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void mode(void)
{
	assert_int_equal(chmod(path, 0400), 0);
}

static void same_bytes(void)
{
	int fd = open(path, O_WRONLY);

	assert_int_equal(pwrite(fd, "c", 1, 0), 1);
	close(fd);
}

static void another(void)
{
	const char *new = scratch_path(dir, "new");

	write_file(new, "content", 7);
	assert_int_equal(rename(new, path), 0);
}

static void gone(void)
{
	assert_int_equal(unlink(path), 0);
}

static void left_behind(void)
{
	write_file(scratch_path(dir, "job.db-wal"), "x", 1);
}

static void garbage(void)
{
	assert_int_equal(pwrite(lock, "\xff\0 12 x", 7, 0), 7);
}

static void cut_off(void)
{
	assert_int_equal(ftruncate(lock, 9), 0);
}

static void broken(void)
{
	seal_break(lock);
}

static void what_breaks_it(void **state)
{
	static void (*const ways[])(void) = { touched, mode, same_bytes, another, left_behind, garbage, cut_off, broken, gone };

	(void)state;
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		put();
		assert_true(holds(NOW));
		ways[i]();
		if (holds(NOW))
			fail_msg("way %zu", i);
		unlink(scratch_path(dir, "job.db-wal"));
	}
}

static void what_does_not(void **state)
{
	struct stat a, b;

	(void)state;
	assert_false(holds(NOW));
	assert_false(seal_was_there(lock));
	assert_int_equal(fstat(lock, &a), 0);
	put();
	write_file(scratch_path(dir, "job.db-wal"), "", 0);
	assert_true(holds(NOW));
	assert_true(holds(NOW + 86399));
	assert_false(holds(NOW + 86400));
	assert_false(holds(NOW - 1));
	/* the mtime of the lock file has another meaning */
	assert_int_equal(fstat(lock, &b), 0);
	assert_int_equal(a.st_mtim.tv_sec, b.st_mtim.tv_sec);
	assert_int_equal(a.st_mtim.tv_nsec, b.st_mtim.tv_nsec);
	seal_break(lock);
	assert_true(seal_was_there(lock));
	assert_int_equal(fstat(lock, &b), 0);
	assert_int_equal(a.st_mtim.tv_nsec, b.st_mtim.tv_nsec);
}

/* Written in the future: it could be written again, and look the same. */
static void too_new(void **state)
{
	struct timespec times[2] = { { 0, UTIME_NOW }, { 0, 0 } };

	(void)state;
	put();
	times[1].tv_sec = (time_t)clock_wall() + 60;
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	seal_put(lock, path, NOW);
	assert_false(sealed());
}

/* Written before and after, within a tick of the clock. */
static void at_once(void **state)
{
	const long parts[] = { 0, 1 };
	struct timespec times[2] = { { 0, UTIME_NOW }, { 0, 0 } };
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	struct stat st;

	(void)state;
	assert_true(fd >= 0);
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(pwrite(fd, "a", 1, 0), 1);
		put();
		assert_true(holds(NOW));
		assert_int_equal(pwrite(fd, "b", 1, 0), 1);
		assert_false(holds(NOW));
	}
	close(fd);
	/* where there are no parts of seconds, it is set back by more than one */
	for (size_t i = 0; i < 2; i++) {
		times[1] = (struct timespec){ .tv_sec = (time_t)clock_wall() - 1, .tv_nsec = parts[i] };
		assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
		put();
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mtim.tv_sec < times[1].tv_sec, parts[i] == 0);
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = { T(what_breaks_it), T(what_does_not), T(too_new), T(at_once) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
