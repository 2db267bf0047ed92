/* Signals that ask for something, and clocks, as descriptors; and what a service tells its manager. */
#include "../../lib/unit.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/sdnotify.h"
#include "job/nudge.h"

/* Wait for so long, and say what came. */
static unsigned wait_for(struct nudger *n, msec_t ms)
{
	struct wait_item w[NUDGE_FDS];
	struct err e = ERR_INIT;

	nudge_fds(n, w);
	if (wait_fds(w, NUDGE_FDS, clock_in(ms), &e) < 0)
		assert_int_equal(e.kind, ERR_TIMEOUT);
	return nudge_take(n, w);
}

static void signals(void **state)
{
	struct nudger n;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(nudge_init(&n, &e), 0);
	assert_int_equal(wait_for(&n, 0) & ~(unsigned)NUDGE_DOUBT, 0);
	kill(getpid(), SIGUSR1);
	kill(getpid(), SIGHUP);
	assert_int_equal(wait_for(&n, 5000) & ~(unsigned)NUDGE_DOUBT, NUDGE_NOW | NUDGE_RELOAD);
	assert_int_equal(wait_for(&n, 0) & ~(unsigned)NUDGE_DOUBT, 0); /* once */
	kill(getpid(), SIGHUP);
	assert_int_equal(wait_for(&n, 5000) & ~(unsigned)NUDGE_DOUBT, NUDGE_RELOAD);
	nudge_release(&n);
	nudge_release(&n);
}

/* nohup's word stands. */
static void ignored(void **state)
{
	struct nudger n;
	struct err e = ERR_INIT;

	(void)state;
	signal(SIGHUP, SIG_IGN);
	assert_int_equal(nudge_init(&n, &e), 0);
	kill(getpid(), SIGHUP);
	assert_int_equal(wait_for(&n, 20) & ~(unsigned)NUDGE_DOUBT, 0);
	nudge_release(&n);
	signal(SIGHUP, SIG_DFL);
}

/* As if the machine had slept: the clocks stand further apart than when they were looked at. */
static void suspended(void **state)
{
	struct nudger n;
	struct err e = ERR_INIT;
	struct wait_item w[NUDGE_FDS];

	(void)state;
	assert_int_equal(nudge_init(&n, &e), 0);
	nudge_fds(&n, w);
	w[0].ready = w[2].ready = 0;
	w[1].ready = WAIT_READ; /* the timer rings */
	assert_int_equal(nudge_take(&n, w), 0);
	n.offset -= 5000;
	assert_int_equal(nudge_take(&n, w), NUDGE_DOUBT);
	assert_int_equal(nudge_take(&n, w), 0);
	n.looked -= 120000; /* the process itself stood still */
	assert_int_equal(nudge_take(&n, w), NUDGE_DOUBT);
	nudge_release(&n);
}

static void manager(void **state)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct sdnotify s;
	char pid[32], got[2048], *dir = scratch_make();
	ssize_t n;
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	(void)state;
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/notify", dir);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	snprintf(pid, sizeof(pid), "%d", getpid());
	setenv("NOTIFY_SOCKET", a.sun_path, 1);
	setenv("WATCHDOG_USEC", "3000000", 1);
	setenv("WATCHDOG_PID", pid, 1);
	sdnotify_init(&s);
	assert_null(getenv("NOTIFY_SOCKET"));
	assert_null(getenv("WATCHDOG_USEC"));
	assert_int_equal(s.watchdog, 1500);
	sdnotify_say(&s, "STATUS=%d of %d", 1, 2);
	n = recv(fd, got, sizeof(got), 0);
	assert_int_equal(n, strlen("STATUS=1 of 2"));
	assert_memory_equal(got, "STATUS=1 of 2", (size_t)n);
	sdnotify_end(&s);
	setenv("WATCHDOG_USEC", "3000000", 1);
	setenv("WATCHDOG_PID", "1", 1); /* another's */
	setenv("NOTIFY_SOCKET", "relative", 1);
	sdnotify_init(&s);
	assert_int_equal(s.fd, -1);
	assert_int_equal(s.watchdog, 0);
	sdnotify_say(&s, "READY=1");
	sdnotify_end(&s);
	close(fd);
	scratch_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(signals), cmocka_unit_test(ignored), cmocka_unit_test(suspended), cmocka_unit_test(manager) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
