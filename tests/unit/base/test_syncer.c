#include "../../lib/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/syncer.h"

#define DEADLINE 10000

/* What the other process does: it shares this with us. */
static struct {
	atomic_int begun, done; /* calls of syncfs */
	atomic_bool hold;       /* they don't return while this is set */
} *shared;

int __wrap_syncfs(int fd);
int __wrap_syncfs(int fd)
{
	fcntl(fd, F_SETFL, O_NONBLOCK); /* seen by all who share the open file, as its errors are */
	atomic_fetch_add(&shared->begun, 1);
	while (atomic_load(&shared->hold))
		usleep(1000);
	atomic_fetch_add(&shared->done, 1);
	return 0;
}

static bool comes_to(atomic_int *n, int want)
{
	for (msec_t end = clock_in(DEADLINE); clock_now() < end; usleep(500))
		if (atomic_load(n) >= want)
			return true;
	return false;
}

static int start(void **state)
{
	(void)state;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return shared == MAP_FAILED ? -1 : 0;
}

static int stop(void **state)
{
	(void)state;
	return munmap(shared, sizeof(*shared));
}

static bool no_children(void)
{
	return waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD;
}

static void syncs_when_kicked(void **state)
{
	struct syncer s = { 0 };
	int dir = open("/", O_RDONLY | O_DIRECTORY);

	(void)state;
	syncer_release(&s); /* of one that was never used */
	for (int i = 1; i <= 3; i++) {
		syncer_kick(&s, dir);
		assert_true(comes_to(&shared->done, i));
	}
	syncer_release(&s);
	assert_int_equal(s.pid, 0);
	assert_true(no_children());
	syncer_kick(&s, dir); /* and it may be used again */
	assert_true(comes_to(&shared->done, 4));
	syncer_release(&s);
	assert_true(no_children());
	close(dir);
}

/* However often it is asked while it is at work: nobody waits, and one more time will do. */
static void never_waits(void **state)
{
	struct syncer s = { 0 };
	int dir = open("/", O_RDONLY | O_DIRECTORY);
	msec_t begun;

	(void)state;
	atomic_store(&shared->hold, true);
	syncer_kick(&s, dir);
	assert_true(comes_to(&shared->begun, 1));
	for (int i = 0; i < 60; i++)
		syncer_kick(&s, dir);
	assert_int_equal(atomic_load(&shared->begun), 1);
	atomic_store(&shared->hold, false);
	assert_true(comes_to(&shared->done, 2));
	atomic_store(&shared->hold, true);
	for (int i = 0; i < 100000; i++) /* more than a socket holds */
		syncer_kick(&s, dir);
	assert_false(s.never);
	begun = clock_now();
	syncer_release(&s);
	assert_true(clock_now() - begun < DEADLINE); /* the disk may hold it up for longer */
	atomic_store(&shared->hold, false);
	while (waitpid(-1, NULL, 0) > 0)
		;
	close(dir);
}

/* It keeps nothing open, or a peer would not see our end, and cron would wait for its. */
static void holds_nothing(void **state)
{
	struct syncer s = { 0 };
	int dir = open("/", O_RDONLY | O_DIRECTORY), n = 0;
	char path[64];
	DIR *d;

	(void)state;
	syncer_kick(&s, dir);
	assert_true(comes_to(&shared->done, 1));
	snprintf(path, sizeof(path), "/proc/%ld/fd", (long)s.pid);
	d = opendir(path);
	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.' && strtol(e->d_name, NULL, 10) < sysconf(_SC_OPEN_MAX); /* valgrind keeps its own beyond */
	closedir(d);
	assert_int_equal(n, 2);
	syncer_release(&s);
	close(dir);
}

/* The errors of write-back that it is told are told to us as well: its open file is not ours. */
static void keeps_no_errors(void **state)
{
	struct syncer s = { 0 };
	int dir = open("/", O_RDONLY | O_DIRECTORY);

	(void)state;
	syncer_kick(&s, dir);
	assert_true(comes_to(&shared->done, 1));
	assert_int_equal(fcntl(dir, F_GETFL) & O_NONBLOCK, 0);
	syncer_release(&s);
	close(dir);
}

static void dies(void **state)
{
	struct syncer s = { 0 };
	int dir = open("/", O_RDONLY | O_DIRECTORY);

	(void)state;
	syncer_kick(&s, dir);
	assert_true(comes_to(&shared->done, 1));
	assert_int_equal(kill(s.pid, SIGKILL), 0);
	for (msec_t end = clock_in(DEADLINE); !s.never && clock_now() < end; usleep(500))
		syncer_kick(&s, dir);
	assert_true(s.never);
	syncer_kick(&s, dir);
	assert_int_equal(atomic_load(&shared->begun), 1);
	syncer_release(&s);
	assert_true(no_children());
	close(dir);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(syncs_when_kicked, start, stop),
		cmocka_unit_test_setup_teardown(never_waits, start, stop),
		cmocka_unit_test_setup_teardown(holds_nothing, start, stop),
		cmocka_unit_test_setup_teardown(keeps_no_errors, start, stop),
		cmocka_unit_test_setup_teardown(dies, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
