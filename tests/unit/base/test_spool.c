#include "../../lib/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/spool.h"

static char byte_at(size_t i)
{
	return (char)(i * 31 + i / 251);
}

static void fill(struct spool *s, size_t total, size_t step)
{
	struct err e = ERR_INIT;
	char buf[256];

	for (size_t at = 0; at < total;) {
		size_t n = total - at < step ? total - at : step;

		for (size_t i = 0; i < n; i++)
			buf[i] = byte_at(at + i);
		assert_int_equal(spool_write(s, buf, n, &e), 0);
		at += n;
	}
	assert_int_equal(s->size, total);
}

static void compare(struct spool *s, size_t total, size_t step)
{
	struct err e = ERR_INIT;
	size_t at = 0;
	char buf[256];
	ssize_t n;

	spool_rewind(s);
	while ((n = spool_read(s, buf, step, &e)) > 0)
		for (ssize_t i = 0; i < n; i++, at++)
			assert_int_equal(buf[i], byte_at(at));
	assert_int_equal(n, 0);
	assert_int_equal(at, total);
	assert_int_equal(spool_read(s, buf, step, &e), 0);
}

static void every_size_and_split(void **state)
{
	static const size_t limits[] = { 0, 1, 7, 64 }, steps[] = { 1, 3, 64, 200 };

	(void)state;
	for (size_t l = 0; l < COUNT(limits); l++)
		for (size_t w = 0; w < COUNT(steps); w++) {
			struct spool s = SPOOL_INIT(limits[l]);

			for (size_t total = 0; total < 210; total += total < 70 ? 1 : 23) {
				fill(&s, total, steps[w]);
				assert_true(s.mem.len <= limits[l]);
				if (s.fd < 0)
					assert_true(total <= limits[l]);
				for (size_t r = 0; r < COUNT(steps); r++)
					compare(&s, total, steps[r]);
				spool_clear(&s);
				assert_int_equal(s.size, 0);
				compare(&s, 0, 1);
			}
			spool_release(&s);
			assert_int_equal(s.fd, -1);
		}
}

static void small_needs_no_file(void **state)
{
	struct spool s = SPOOL_INIT(100);
	struct err e = ERR_INIT;

	(void)state;
	s.dir = "/nonexistent/directory";
	fill(&s, 100, 9);
	assert_int_equal(s.fd, -1);
	compare(&s, 100, 50);
	/* one more would spill, and can't: it says so and loses nothing */
	assert_int_equal(spool_write(&s, "x", 1, &e), -1);
	assert_int_equal(e.kind, ERR_LOCAL);
	assert_non_null(strstr(e.text, "/nonexistent/directory"));
	compare(&s, 100, 50);
	spool_release(&s);
}

static void the_file_is_private(void **state)
{
	char *dir = scratch_make();
	struct spool s = SPOOL_INIT(4);
	struct stat st;

	(void)state;
	s.dir = dir;
	fill(&s, 50, 50);
	assert_true(s.fd >= 0);
	assert_int_equal(fstat(s.fd, &st), 0);
	assert_int_equal(st.st_nlink, 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(fcntl(s.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(rmdir(dir), 0); /* nothing lies in it */
	spool_clear(&s);
	assert_int_equal(fstat(s.fd, &st), 0);
	assert_int_equal(st.st_size, 0);
	spool_release(&s);
	free(dir);
}

static void full_disk(void **state)
{
	struct spool s = SPOOL_INIT(10);
	struct err e = ERR_INIT;
	struct rlimit old, small;
	char block[64];
	int rc;

	(void)state;
	memset(block, 0, sizeof(block));
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 100;
	fill(&s, 80, 16);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	rc = spool_write(&s, block, sizeof(block), &e); /* a part of it fits */
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(rc, -1);
	assert_int_equal(e.kind, ERR_LOCAL);
	assert_non_null(strstr(e.text, fs_tmpdir(NULL)));
	assert_non_null(strstr(e.text, "TMPDIR names another directory"));
	compare(&s, 80, 7);
	/* and it goes on where it was */
	for (size_t i = 0; i < 40; i++)
		block[i] = byte_at(80 + i);
	assert_int_equal(spool_write(&s, block, 40, &e), 0);
	compare(&s, 120, 11);
	spool_release(&s);
}

/* Pieces that come through the buffer, past it and across its ends, while more is written. */
static void pieces_of_a_large_file(void **state)
{
	static const size_t steps[] = { 1, 100, 96, 16383, 16384, 40000, 5, 16380 };
	struct spool s = SPOOL_INIT(1000);
	struct err e = ERR_INIT;
	static char buf[40000];
	size_t total = 150000, at = 0;

	(void)state;
	fill(&s, total, 250);
	for (size_t i = 0; at + steps[i % COUNT(steps)] <= total; i++) {
		size_t n = steps[i % COUNT(steps)];

		assert_int_equal(spool_take(&s, buf, n, &e), 1);
		for (size_t k = 0; k < n; k++)
			assert_int_equal(buf[k], byte_at(at + k));
		at += n;
		if (total < 400000) {
			buf[0] = byte_at(total);
			assert_int_equal(spool_write(&s, buf, 1, &e), 0);
			total++;
		}
	}
	assert_true(at > 100000);
	assert_int_equal(spool_take(&s, buf, total - at + 1, &e), -1); /* it ends in their midst */
	assert_int_equal(spool_take(&s, buf, 1, &e), 0);
	spool_rewind(&s);
	assert_int_equal(spool_take(&s, buf, 10, &e), 1);
	spool_clear(&s);
	buf[0] = 'x'; /* what was read ahead is of the old bytes */
	for (int i = 0; i < 2000; i++)
		assert_int_equal(spool_write(&s, buf, 1, &e), 0);
	assert_int_equal(spool_take(&s, buf, 10, &e), 1);
	assert_int_equal(buf[5], 'x');
	spool_release(&s);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_size_and_split),
		cmocka_unit_test(small_needs_no_file),
		cmocka_unit_test(the_file_is_private),
		cmocka_unit_test(full_disk),
		cmocka_unit_test(pieces_of_a_large_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
