/* mbsync's state: what is believed of it, and what is not; and who else is at work on it. */
#include "../../lib/unit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mail/flags.h"
#include "store/mbsyncstate.h"

#define HEAD "FarUidValidity 77\nNearUidValidity 88\nMaxPulledUid 9\nMaxPushedUid 8\n\n"

static int parse(const char *text, struct mbsyncstate *s, struct err *e)
{
	char *copy = test_malloc(strlen(text) + 1); /* so that a read beyond the end is seen */
	int rc;

	memcpy(copy, text, strlen(text));
	rc = mbsyncstate_parse(slice_of(copy, strlen(text)), s, e);
	test_free(copy);
	return rc;
}

static void believed(void **state)
{
	struct mbsyncstate s;
	struct err e = ERR_INIT;
	const struct mbsyncstate_entry *m;

	(void)state;
	assert_int_equal(parse(HEAD "5 7 S\n6 4 FRS\n9 8 \n10 9\n4294967294 4294967294 DFPRST\n", &s, &e), 0);
	assert_int_equal(s.far_validity, 77);
	assert_int_equal(s.near_validity, 88);
	assert_int_equal(s.entries.n, 5);
	m = mbsyncstate_find(&s, 4);
	assert_true(m && m->far == 6 && m->flags == (FLAG_FLAGGED | FLAG_ANSWERED | FLAG_SEEN) && !m->expired && !m->far_stub && !m->near_stub);
	m = mbsyncstate_find(&s, 8);
	assert_true(m && m->far == 9 && m->flags == 0);
	m = mbsyncstate_find(&s, 9);
	assert_true(m && m->far == 10 && m->flags == 0);
	m = mbsyncstate_find(&s, 4294967294u);
	assert_true(m && m->flags == FLAGS_ALL);
	assert_null(mbsyncstate_find(&s, 5));
	assert_null(mbsyncstate_find(&s, 0));
	mbsyncstate_release(&s);

	/* what is on one side only, and what is no message; older names and forms */
	assert_int_equal(parse("MasterUidValidity 1\nSlaveUidValidity 2\nMaxPulledUid 9\nMaxExpiredSlaveUid 3\nMaxPushedUid 8\n\n"
			       "5 0 S\n0 7 \n0 8 T\n6 1 >F\n7 2 <\n8 3 ~S\n9 4 XS\n10 4294967295 \n11 0 ^\n", &s, &e), 0);
	assert_int_equal(s.entries.n, 9);
	assert_null(mbsyncstate_find(&s, 0));
	assert_true(mbsyncstate_find(&s, 1)->near_stub && !mbsyncstate_find(&s, 1)->far_stub && mbsyncstate_find(&s, 1)->flags == FLAG_FLAGGED);
	assert_true(mbsyncstate_find(&s, 2)->far_stub);
	assert_true(mbsyncstate_find(&s, 3)->expired && mbsyncstate_find(&s, 4)->expired && mbsyncstate_find(&s, 4)->flags == FLAG_SEEN);
	assert_true(mbsyncstate_find(&s, 7)->far == 0 && mbsyncstate_find(&s, 8)->flags == FLAG_DELETED);
	mbsyncstate_release(&s);
	assert_int_equal(parse(HEAD, &s, &e), 0);
	assert_int_equal(s.entries.n, 0);
	mbsyncstate_release(&s);
}

static void not_believed(void **state)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{ "", "line 1 is where the header ends too early" },
		{ "FarUidValidity 77", "line 1 is where the header ends too early" },
		{ "FarUidValidity 77\n", "line 2 is where the header ends too early" },
		{ "FarUidValidity 77\nMaxPulledUid 9\n\n1 1 S\n", "line 3 is where a UIDVALIDITY is missing" },
		{ "FarUidValidity 0\nNearUidValidity 1\n\n", "line 3 is where a UIDVALIDITY is missing" },
		{ "FarUidValidity 7\nFarUidValidity 8\nNearUidValidity 1\n\n", "line 2 says again what was said" },
		{ "FarUidValidity 7\nMasterUidValidity 8\n\n", "line 2 says again what was said" },
		{ "FarUidValidity 4294967296\n\n", "line 1 is none of a header" },
		{ "FarUidValidity -1\n\n", "line 1 is none of a header" },
		{ "FarUidValidity 1 1\n\n", "line 1 is none of a header" },
		{ "Keywords 5\n\n", "line 1 is not known in a header" },
		{ "1:5 1:5:5\n1 1 S\n", "line 1 is none of a header" },
		{ HEAD "1 1 S", "line 6 has no end" },
		{ HEAD "1 1 S\n2 2", "line 7 has no end" },
		{ HEAD "1\n", "line 6 is none of a message" },
		{ HEAD "\n", "line 6 is none of a message" },
		{ HEAD "1 x\n", "line 6 is none of a message" },
		{ HEAD "1 4294967296 S\n", "line 6 is none of a message" },
		{ HEAD "18446744073709551617 1 S\n", "line 6 is none of a message" },
		{ HEAD "1 1 Q\n", "line 6 has other flags than are known" },
		{ HEAD "1 1 S S\n", "line 6 has other flags than are known" },
		{ HEAD "1 1 \x1b[2J\n", "line 6 has other flags than are known" },
		{ HEAD "0 0 S\n", "line 6 is of no message" },
		{ HEAD "1 1 S\n2 1 S\n", "it names a message twice" },
		{ HEAD "1 1 S\n1 2 S\n", "it names a message twice" },
		{ HEAD "1 1 S\n3 3 S\n1 0 S\n", "it names a message twice" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct err e = ERR_INIT;
		struct mbsyncstate s;

		if (parse(rows[i].text, &s, &e) == 0)
			fail_msg("row %zu is believed", i);
		assert_string_equal(e.text, rows[i].why);
		assert_int_equal(e.span, SPAN_BOX);
		mbsyncstate_release(&s);
	}
}

static void put(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_true(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

/* The first of one process, while another holds the lock. */
static int read_locked(int dir, struct mbsyncstate *s, struct err *e)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int ready[2], done[2], status, rc;
	char c = 0;
	pid_t pid;

	assert_true(pipe(ready) == 0 && pipe(done) == 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int fd = openat(dir, "s.lock", O_WRONLY | O_CREAT, 0600);

		close(done[1]);
		if (fd < 0 || fcntl(fd, F_SETLK, &l) < 0 || write(ready[1], "x", 1) != 1 || read(done[0], &c, 1) < 0)
			_exit(1);
		_exit(0);
	}
	close(done[0]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	rc = mbsyncstate_read(dir, "s", s, e);
	close(done[1]);
	close(ready[0]);
	close(ready[1]);
	assert_true(waitpid(pid, &status, 0) == pid && status == 0);
	return rc;
}

static void from_files(void **state)
{
	char *dir = scratch_make();
	struct err e = ERR_INIT;
	struct mbsyncstate s;
	uint32_t validity;
	int fd;

	(void)state;
	assert_int_equal(chdir(dir), 0);
	fd = open(dir, O_RDONLY | O_DIRECTORY);
	assert_int_equal(mbsyncstate_read(fd, "s", &s, &e), 0);
	put("s", HEAD "5 7 S\n");
	assert_int_equal(mbsyncstate_read(fd, "s", &s, &e), 1);
	assert_int_equal(s.entries.n, 1);
	assert_true(s.changed > 1700000000);
	mbsyncstate_release(&s);

	/* at work; what it left when it came to its end, or to none */
	assert_int_equal(read_locked(fd, &s, &e), -1);
	assert_int_equal(e.kind, ERR_BUSY);
	assert_int_equal(mbsyncstate_read(fd, "s", &s, &e), 1);
	mbsyncstate_release(&s);
	put("s.journal", "4\n");
	assert_int_equal(mbsyncstate_read(fd, "s", &s, &e), 1);
	mbsyncstate_release(&s);
	put("s.new", "");
	assert_int_equal(mbsyncstate_read(fd, "s", &s, &e), -1);
	assert_int_equal(e.kind, ERR_BUSY);
	unlink("s");
	assert_int_equal(mbsyncstate_read(fd, "s", &s, &e), -1);
	assert_int_equal(e.kind, ERR_BUSY);
	unlink("s.new");
	assert_int_equal(mbsyncstate_read(fd, "s", &s, &e), 0);
	unlink("s.journal");

	/* no file */
	put("t", HEAD);
	assert_int_equal(symlink("t", "s"), 0);
	assert_int_equal(mbsyncstate_read(fd, "s", &s, &e), -1);
	assert_string_equal(e.text, "it is no plain file");
	unlink("s");
	assert_int_equal(mkfifo("s", 0600), 0);
	assert_int_equal(mbsyncstate_read(fd, "s", &s, &e), -1);
	assert_string_equal(e.text, "it is no plain file");
	unlink("s");
	assert_int_equal(mkdir("s", 0700), 0);
	assert_int_equal(mbsyncstate_read(fd, "s", &s, &e), -1);
	assert_int_equal(e.kind, ERR_LOCAL);

	assert_int_equal(mbsyncstate_validity(fd, &validity), 0);
	put(".uidvalidity", "1700000000\n12\n");
	assert_int_equal(mbsyncstate_validity(fd, &validity), 1);
	assert_int_equal(validity, 1700000000);
	put(".uidvalidity", "x\n12\n");
	assert_int_equal(mbsyncstate_validity(fd, &validity), 0);
	put(".uidvalidity", "17");
	assert_int_equal(mbsyncstate_validity(fd, &validity), 0);
	close(fd);
	assert_int_equal(chdir("/"), 0);
	scratch_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(believed),
		cmocka_unit_test(not_believed),
		cmocka_unit_test(from_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
