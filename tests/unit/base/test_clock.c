#include "../../lib/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#define LONG 30000 /* ms that no test waits out */

/* Whether fd can be read now. */
static bool readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

/* Run f in a child; its return value is the exit status. */
static int in_child(int (*f)(void *), void *arg)
{
	pid_t pid = fork();
	int status = -1;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(f(arg));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int setup(void **state)
{
	(void)state;
	clock_cancel_clear();
	return clock_cancel_init(NULL);
}

static int teardown(void **state)
{
	(void)state;
	clock_cancel_clear();
	clock_test_set(-1);
	return 0;
}

static void the_time(void **state)
{
	msec_t a = clock_now(), b = clock_now();

	(void)state;
	assert_true(a > 0 && b >= a);
	assert_true(clock_wall() > 1600000000);
	clock_test_set(1234567890);
	assert_true(clock_wall() == 1234567890);
	assert_true(clock_wall_usec() == 1234567890000000);
	clock_test_set(0);
	assert_true(clock_wall() == 0);
	clock_test_set(-1);
	assert_true(clock_wall() > 1600000000);
	a = clock_in(1000);
	assert_true(a > b && a <= clock_now() + 1000);
	assert_true(clock_in(INT64_MAX) == INT64_MAX);
	assert_true(clock_in(INT64_MIN) == 1);
}

static void deadlines(void **state)
{
	struct err e = ERR_INIT;
	msec_t start = clock_now(), took;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(wait_fd(fds[0], WAIT_READ, clock_in(30), &e), -1);
	assert_int_equal(e.kind, ERR_TIMEOUT);
	took = clock_now() - start;
	assert_true(took >= 30 && took < LONG);
	/* one that has passed */
	assert_int_equal(wait_fd(fds[0], WAIT_READ, 1, NULL), -1);
	assert_int_equal(wait_fd(-1, 0, clock_in(-5), &e), -1);
	start = clock_now();
	assert_int_equal(wait_until(clock_in(20), &e), 0);
	assert_true(clock_now() - start >= 20);
	/* a ready fd wins over it */
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_int_equal(wait_fd(fds[0], WAIT_READ, 1, &e), WAIT_READ);
	assert_int_equal(wait_fd(fds[0], WAIT_READ, 0, &e), WAIT_READ);
	assert_int_equal(wait_fd(fds[0], WAIT_READ, INT64_MAX, &e), WAIT_READ);
	close(fds[0]);
	close(fds[1]);
}

static void events(void **state)
{
	struct err e = ERR_INIT;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(wait_fd(fds[1], WAIT_WRITE, clock_in(LONG), &e), WAIT_WRITE);
	close(fds[1]); /* the end of the stream is for the next read to tell */
	assert_int_equal(wait_fd(fds[0], WAIT_READ, clock_in(LONG), &e), WAIT_READ);
	close(fds[0]);
	assert_int_equal(pipe(fds), 0);
	close(fds[0]); /* and a broken pipe for the next write */
	assert_int_equal(wait_fd(fds[1], WAIT_WRITE, clock_in(LONG), &e), WAIT_WRITE);
	assert_int_equal(write(fds[1], "x", 1), -1); /* SIGPIPE is ignored */
	assert_int_equal(errno, EPIPE);
	close(fds[1]);
	assert_true(wait_fd(fds[1], WAIT_READ, clock_in(LONG), &e) > 0); /* EBADF is told by read */
}

static void several(void **state)
{
	struct err e = ERR_INIT;
	struct wait_item w[3] = { 0 };
	int a[2], b[2];

	(void)state;
	assert_int_equal(pipe(a), 0);
	assert_int_equal(pipe(b), 0);
	w[0] = (struct wait_item){ .fd = a[0], .events = WAIT_READ };
	w[1] = (struct wait_item){ .fd = -1, .events = WAIT_READ };
	w[2] = (struct wait_item){ .fd = b[0], .events = WAIT_READ, .ready = 99 };
	assert_int_equal(wait_fds(w, 3, clock_in(10), &e), -1);
	assert_int_equal(e.kind, ERR_TIMEOUT);
	assert_int_equal(write(b[1], "x", 1), 1);
	assert_int_equal(wait_fds(w, 3, clock_in(LONG), &e), 1);
	assert_int_equal(w[0].ready, 0);
	assert_int_equal(w[1].ready, 0);
	assert_int_equal(w[2].ready, WAIT_READ);
	assert_int_equal(write(a[1], "x", 1), 1);
	assert_int_equal(wait_fds(w, 3, clock_in(LONG), &e), 2);
	close(a[0]);
	close(a[1]);
	close(b[0]);
	close(b[1]);
}

/* As many as there are: workers, listeners, whatever a caller watches. */
static void many(void **state)
{
	enum { N = 300 };
	struct wait_item w[N];
	struct err e = ERR_INIT;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	for (size_t i = 0; i < N; i++)
		w[i] = (struct wait_item){ .fd = i == N - 1 ? fds[0] : -1, .events = WAIT_READ, .ready = 99 };
	assert_int_equal(wait_fds(w, N, clock_in(10), &e), -1);
	assert_int_equal(e.kind, ERR_TIMEOUT);
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_int_equal(wait_fds(w, N, clock_in(LONG), &e), 1);
	assert_int_equal(w[0].ready, 0);
	assert_int_equal(w[N - 1].ready, WAIT_READ);
	close(fds[0]);
	close(fds[1]);
}

static void a_signal_ends_every_wait(void **state)
{
	static const int sigs[] = { SIGTERM, SIGINT, SIGHUP };
	struct err e = ERR_INIT;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	for (size_t i = 0; i < COUNT(sigs); i++) {
		assert_int_equal(clock_check(&e), 0);
		assert_false(readable(clock_cancel_fd()));
		raise(sigs[i]);
		raise(SIGTERM); /* the first one counts */
		assert_true(clock_cancelled());
		assert_int_equal(clock_cancel_signal(), sigs[i]);
		assert_true(readable(clock_cancel_fd()));
		for (int again = 0; again < 3; again++) {
			err_clear(&e);
			/* even when the fd is ready, or the deadline has passed */
			assert_int_equal(wait_fd(fds[0], WAIT_READ, clock_in(LONG), &e), -1);
			assert_int_equal(e.kind, ERR_CANCEL);
			assert_int_equal(wait_fd(-1, 0, 1, &e), -1);
			assert_int_equal(e.kind, ERR_CANCEL);
		}
		assert_int_equal(wait_until(clock_in(LONG), &e), -1);
		assert_int_equal(e.kind, ERR_CANCEL);
		assert_int_equal(wait_until(clock_in(LONG), NULL), -1);
		assert_int_equal(clock_check(&e), -1);
		clock_cancel_clear();
		assert_false(clock_cancelled());
		assert_int_equal(wait_fd(fds[0], WAIT_READ, clock_in(LONG), &e), WAIT_READ);
	}
	clock_cancel_now(SIGTERM);
	assert_int_equal(clock_check(&e), -1);
	assert_true(readable(clock_cancel_fd()));
	close(fds[0]);
	close(fds[1]);
}

static void a_signal_in_the_middle_of_a_wait(void **state)
{
	struct err e = ERR_INIT;
	int fds[2], status;
	msec_t sent, now;
	pid_t pid;

	(void)state;
	for (int delay = 0; delay <= 40; delay += 20) { /* before poll, and surely in it */
		assert_int_equal(pipe(fds), 0);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			poll(NULL, 0, delay);
			sent = clock_now();
			if (write(fds[1], &sent, sizeof(sent)) != sizeof(sent))
				_exit(1);
			_exit(kill(getppid(), SIGTERM) == 0 ? 0 : 1);
		}
		assert_int_equal(wait_fd(-1, 0, clock_in(LONG), &e), -1);
		now = clock_now();
		assert_int_equal(e.kind, ERR_CANCEL);
		assert_int_equal(read(fds[0], &sent, sizeof(sent)), sizeof(sent));
		assert_true(now - sent < 1000); /* at once; the rest is room for a busy machine */
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		clock_cancel_clear();
		close(fds[0]);
		close(fds[1]);
	}
}

/* A child that has not made its pipe anew: a signal is seen, and the parent hears nothing of it. */
static int child_without_init(void *arg)
{
	(void)arg;
	if (clock_cancel_fd() != -1)
		return 1;
	raise(SIGTERM);
	if (!clock_cancelled())
		return 2;
	return wait_fd(-1, 0, clock_in(LONG), NULL) == -1 ? 0 : 3;
}

/* One that did. */
static int child_with_init(void *arg)
{
	int parents = *(int *)arg;
	struct err e = ERR_INIT;

	if (clock_cancel_init(&e) < 0 || clock_cancelled() || clock_cancel_fd() < 0)
		return 1;
	if (fcntl(clock_cancel_fd(), F_GETFD) != FD_CLOEXEC)
		return 2;
	(void)parents;
	raise(SIGINT);
	if (!readable(clock_cancel_fd()))
		return 3;
	return wait_until(clock_in(LONG), &e) == -1 && e.kind == ERR_CANCEL ? 0 : 4;
}

static void forked(void **state)
{
	int fd = clock_cancel_fd();

	(void)state;
	assert_int_equal(in_child(child_without_init, NULL), 0);
	assert_false(readable(fd));
	assert_int_equal(in_child(child_with_init, &fd), 0);
	assert_false(readable(fd));
	assert_false(clock_cancelled());
	assert_int_equal(wait_until(clock_in(1), NULL), 0);
}

/* A signal that came before fork, or between fork and init, is not lost by init. */
static int child_of_a_cancelled(void *arg)
{
	(void)arg;
	if (clock_cancel_init(NULL) < 0)
		return 1;
	return clock_cancel_signal() == SIGTERM && readable(clock_cancel_fd()) ? 0 : 2;
}

static void cancelled_before_fork(void **state)
{
	(void)state;
	raise(SIGTERM);
	assert_int_equal(in_child(child_of_a_cancelled, NULL), 0);
}

/* Under nohup SIGHUP is ignored and stays so. */
static int child_under_nohup(void *arg)
{
	(void)arg;
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	if (clock_cancel_init(NULL) < 0)
		return 1;
	raise(SIGHUP);
	if (clock_cancelled())
		return 2;
	raise(SIGINT);
	return clock_cancelled() ? 0 : 3;
}

static void nohup(void **state)
{
	(void)state;
	assert_int_equal(in_child(child_under_nohup, NULL), 0);
}

/* A storm of signals fills the pipe and blocks nobody. */
static void many_signals(void **state)
{
	(void)state;
	for (int i = 0; i < 70000; i++)
		clock_cancel_now(SIGTERM);
	assert_true(clock_cancelled());
	clock_cancel_clear();
	assert_false(readable(clock_cancel_fd()));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_time, setup, teardown),
		cmocka_unit_test_setup_teardown(deadlines, setup, teardown),
		cmocka_unit_test_setup_teardown(events, setup, teardown),
		cmocka_unit_test_setup_teardown(several, setup, teardown),
		cmocka_unit_test_setup_teardown(many, setup, teardown),
		cmocka_unit_test_setup_teardown(a_signal_ends_every_wait, setup, teardown),
		cmocka_unit_test_setup_teardown(a_signal_in_the_middle_of_a_wait, setup, teardown),
		cmocka_unit_test_setup_teardown(forked, setup, teardown),
		cmocka_unit_test_setup_teardown(cancelled_before_fork, setup, teardown),
		cmocka_unit_test_setup_teardown(nohup, setup, teardown),
		cmocka_unit_test_setup_teardown(many_signals, setup, teardown),
	};

	signal(SIGHUP, SIG_DFL); /* whatever the starter of the tests ignores */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
