/* Time, deadlines, cancellation: see clock.h. */
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fiber.h"

#define FEW 15 /* descriptors that are waited for without an allocation */

/*
 * The cancel pipe. A signal that comes just before poll() leaves a byte in it, so that no wakeup is
 * lost. The owner's pid keeps the handler of a child that has just been forked from writing into
 * its parent's pipe.
 */
static struct {
	volatile sig_atomic_t sig, pid, wr;
	int rd;
} cancel = { .wr = -1, .rd = -1 };

static int64_t frozen = -1; /* tests: the wall clock in seconds */

/* Monotonic milliseconds. */
static msec_t read_clock(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (msec_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

msec_t clock_now(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

msec_t clock_boot(void)
{
	return read_clock(CLOCK_BOOTTIME);
}

/* Microseconds since 1970. */
int64_t clock_wall_usec(void)
{
	struct timespec t;

	if (frozen >= 0)
		return frozen * 1000000;
	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Seconds since 1970. */
int64_t clock_wall(void)
{
	return clock_wall_usec() / 1000000;
}

/* The moment in so many milliseconds; never 0, which would mean none. */
msec_t clock_in(msec_t ms)
{
	msec_t now = clock_now();

	if (ms > INT64_MAX - now)
		return INT64_MAX;
	return now + ms > 0 ? now + ms : 1;
}

/* Freeze or thaw the wall clock. */
void clock_test_set(int64_t wall)
{
	frozen = wall;
}

/* Remember the first signal and wake every wait. Only async-signal-safe calls. */
static void on_signal(int sig)
{
	int saved = errno;

	if (cancel.sig == 0)
		cancel.sig = sig;
	if (cancel.wr >= 0 && cancel.pid == getpid()) {
		ssize_t n = write(cancel.wr, "", 1); /* a full pipe is readable already */

		(void)n;
	}
	errno = saved;
}

/* Let on_signal handle a signal, unless it is ignored and shall stay so. */
static int catch_signal(int sig, bool even_ignored)
{
	/* SA_RESTART for the sake of libraries; poll() returns EINTR all the same */
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESTART }, old;

	if (!even_ignored && sigaction(sig, NULL, &old) == 0 && old.sa_handler == SIG_IGN)
		return 0;
	sigemptyset(&sa.sa_mask);
	return sigaction(sig, &sa, NULL);
}

/* Make the pipe anew and install the handlers. The signals are held back meanwhile. */
int clock_cancel_init(struct err *e)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	sigset_t hold, old;
	int fds[2], rc = 0;

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_errno(e, "can't make a pipe");
	sigemptyset(&hold);
	sigaddset(&hold, SIGTERM);
	sigaddset(&hold, SIGINT);
	sigaddset(&hold, SIGHUP);
	sigprocmask(SIG_BLOCK, &hold, &old);
	if (cancel.rd >= 0) {
		close(cancel.rd);
		close(cancel.wr);
	}
	cancel.rd = fds[0];
	cancel.wr = fds[1];
	cancel.pid = getpid();
	if (cancel.sig != 0)
		on_signal(cancel.sig); /* it came before: the new pipe must say so as well */
	sigemptyset(&ignore.sa_mask);
	if (catch_signal(SIGTERM, true) < 0 || catch_signal(SIGINT, true) < 0 ||
	    catch_signal(SIGHUP, false) < 0 || sigaction(SIGPIPE, &ignore, NULL) < 0 ||
	    sigaction(SIGXFSZ, &ignore, NULL) < 0)
		rc = err_errno(e, "can't install signal handlers");
	sigprocmask(SIG_SETMASK, &old, NULL);
	return rc;
}

/* The descriptors are gone. */
void clock_cancel_forget(void)
{
	cancel.rd = cancel.wr = -1;
}

/* Whether a signal came. */
bool clock_cancelled(void)
{
	return cancel.sig != 0;
}

/* The first signal that came. */
int clock_cancel_signal(void)
{
	return cancel.sig;
}

/* The end of the pipe to poll; a child that has not made its own yet must not poll its parent's. */
int clock_cancel_fd(void)
{
	return cancel.pid == getpid() ? cancel.rd : -1;
}

/* As if the signal had come. */
void clock_cancel_now(int sig)
{
	on_signal(sig);
}

/* Forget the signal. */
void clock_cancel_clear(void)
{
	char buf[64];

	while (cancel.rd >= 0 && read(cancel.rd, buf, sizeof(buf)) > 0)
		;
	cancel.sig = 0;
}

/* Fails once a signal came. */
int clock_check(struct err *e)
{
	int sig = cancel.sig;

	if (sig == 0)
		return 0;
	if (sig == SIGINT)
		return err_set(e, ERR_CANCEL, "interrupted");
	return err_set(e, ERR_CANCEL, "stopped by signal %d (%s)", sig, strsignal(sig));
}

/* What poll may wait at most, in its own type. */
static int poll_timeout(msec_t deadline)
{
	msec_t left;

	if (deadline == 0)
		return -1;
	left = deadline - clock_now();
	return left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

/* What became of a descriptor, in our words; errors and hang-ups show in the next read or write. */
static int ready_events(const struct pollfd *p, int wanted)
{
	int ready = 0;

	if (p->revents & POLLIN)
		ready |= WAIT_READ;
	if (p->revents & POLLOUT)
		ready |= WAIT_WRITE;
	if (p->revents & (POLLERR | POLLHUP | POLLNVAL))
		ready |= wanted;
	return ready;
}

/* The one place that waits. p: room for one more than there are. */
static int wait_in(struct pollfd *p, struct wait_item *w, size_t n, msec_t deadline, struct err *e)
{
	p[0] = (struct pollfd){ .fd = clock_cancel_fd(), .events = POLLIN };
	for (size_t i = 0; i < n; i++) {
		p[i + 1] = (struct pollfd){ .fd = w[i].fd };
		if (w[i].events & WAIT_READ)
			p[i + 1].events |= POLLIN;
		if (w[i].events & WAIT_WRITE)
			p[i + 1].events |= POLLOUT;
		w[i].ready = 0;
	}
	for (;;) {
		int timeout = poll_timeout(deadline), got, count = 0;

		if (clock_check(e) < 0)
			return -1;
		got = poll(p, (nfds_t)n + 1, timeout);
		if (got < 0 && errno != EINTR)
			return err_errno(e, "poll");
		if (clock_check(e) < 0)
			return -1;
		for (size_t i = 0; got > 0 && i < n; i++) {
			w[i].ready = ready_events(&p[i + 1], w[i].events);
			if (p[i + 1].revents != 0 && w[i].ready == 0)
				return err_set(e, ERR_BUG, "wait_fds: waiting for nothing");
			count += w[i].ready != 0;
		}
		if (count > 0)
			return count;
		if (deadline != 0 && clock_now() >= deadline)
			return err_set(e, ERR_TIMEOUT, "timed out");
	}
}

/* For several: nearly always for a few. */
static int wait_alone(struct wait_item *w, size_t n, msec_t deadline, struct err *e)
{
	struct pollfd few[FEW + 1], *many;
	int rc;

	if (n <= FEW)
		return wait_in(few, w, n, deadline, e);
	many = calloc(n + 1, sizeof(*many));
	if (!many)
		return err_set(e, ERR_LOCAL, "out of memory");
	rc = wait_in(many, w, n, deadline, e);
	free(many);
	return rc;
}

static bool has_passed(msec_t deadline)
{
	return deadline != 0 && clock_now() >= deadline;
}

/* Take what a wait for both has found. How many of them are ready. */
static int copy_ready(struct wait_item *to, const struct wait_item *from, size_t n)
{
	int count = 0;

	for (size_t i = 0; i < n; i++) {
		to[i].ready = from[i].ready;
		count += to[i].ready != 0;
	}
	return count;
}

int wait_beside(struct wait_item *w, size_t n, msec_t deadline, struct err *e)
{
	struct wait_item few[FEW], *both = few;
	msec_t its_deadline, first = deadline;
	size_t its_n;
	bool its = fiber_waits(&its_n, &its_deadline);
	struct err why = ERR_INIT;
	int rc, count;

	if (n + its_n > FEW && !(both = calloc(n + its_n, sizeof(*both))))
		return err_set(e, ERR_LOCAL, "out of memory");
	if (n > 0)
		memcpy(both, w, n * sizeof(*w));
	if (its)
		fiber_items(both + n);
	if (its_deadline != 0 && (first == 0 || its_deadline < first))
		first = its_deadline;
	rc = wait_alone(both, n + its_n, first, &why);
	count = copy_ready(w, both, n);
	if (its)
		fiber_go_on(both + n);
	if (both != few)
		free(both);
	if (rc < 0 && why.kind != ERR_TIMEOUT) {
		if (e)
			*e = why;
		return -1;
	}
	return count > 0 ? count : has_passed(deadline) ? err_set(e, ERR_TIMEOUT, "timed out") : 0;
}

int wait_fds(struct wait_item *w, size_t n, msec_t deadline, struct err *e)
{
	msec_t its_deadline;
	size_t its;
	int rc;

	if (fiber_inside())
		return fiber_wait(w, n, deadline, e);
	while (fiber_waits(&its, &its_deadline))
		if ((rc = wait_beside(w, n, deadline, e)) != 0)
			return rc;
	return wait_alone(w, n, deadline, e);
}

/* Wait for one. */
int wait_fd(int fd, int events, msec_t deadline, struct err *e)
{
	struct wait_item w = { .fd = fd, .events = events };

	return wait_fds(&w, 1, deadline, e) < 0 ? -1 : w.ready;
}

/* Sleep. */
int wait_until(msec_t deadline, struct err *e)
{
	struct err local = ERR_INIT;

	if (wait_fd(-1, 0, deadline, &local) < 0 && local.kind == ERR_TIMEOUT)
		return 0;
	if (e)
		*e = local;
	return -1;
}
