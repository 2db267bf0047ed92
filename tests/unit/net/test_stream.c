/* Streams over descriptors: deadline, cancellation, ends, turns. */
#include "../../lib/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "net/stream.h"

/* What a busy machine may add to a wait that a signal ends; the deadlines are far beyond it. */
#define BUSY_MS 500

/* A stream over one end of a socket pair; *other is the blocking other end. */
static struct stream *pair(int *other, struct net_stats *stats)
{
	struct err e = ERR_INIT;
	int fds[2];
	struct stream *s;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	s = fdstream_new(fds[0], stats, &e);
	assert_non_null(s);
	*other = fds[1];
	stream_set_deadline(s, clock_in(5000));
	return s;
}

/* After ms, in a child: do something, then end. */
static pid_t later(int ms, int fd, pid_t victim)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		signal(SIGTERM, SIG_DFL);
		usleep((useconds_t)ms * 1000);
		if (fd >= 0 && write(fd, "late", 4) != 4)
			_exit(1);
		if (victim > 0)
			kill(victim, SIGTERM);
		_exit(0);
	}
	return pid;
}

static void reap(pid_t pid)
{
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_read_write_end(void **state)
{
	struct err e = ERR_INIT;
	struct net_stats st = { 0 };
	int fd;
	struct stream *s = pair(&fd, &st);
	char buf[16];

	(void)state;
	assert_int_equal(write(fd, "abcdef", 6), 6);
	assert_int_equal(stream_read(s, buf, 4, &e), 4);
	assert_memory_equal(buf, "abcd", 4);
	assert_int_equal(stream_read(s, buf, sizeof(buf), &e), 2);
	assert_int_equal(stream_write(s, "xyz", 3, &e), 0);
	assert_int_equal(stream_flush(s, &e), 0);
	assert_int_equal(read(fd, buf, sizeof(buf)), 3);
	assert_memory_equal(buf, "xyz", 3);
	close(fd);
	assert_int_equal(stream_read(s, buf, sizeof(buf), &e), 0);
	assert_int_equal(st.in, 6);
	assert_int_equal(st.out, 3);
	assert_int_equal(st.turns, 0);
	stream_free(s);
}

/*
 * A turn is a read that waits after a write; reading on is none, and neither is what was there
 * already.
 */
static void test_turns(void **state)
{
	struct err e = ERR_INIT;
	struct net_stats st = { 0 };
	int fd;
	struct stream *s = pair(&fd, &st);
	char buf[16];

	(void)state;
	for (int i = 1; i <= 2; i++) {
		pid_t pid;

		assert_int_equal(stream_write(s, "a", 1, &e), 0);
		assert_int_equal(stream_write(s, "b", 1, &e), 0);
		pid = later(100, fd, 0);
		assert_int_equal(stream_read(s, buf, sizeof(buf), &e), 4);
		reap(pid);
		assert_int_equal(st.turns, i);
		pid = later(100, fd, 0);
		assert_int_equal(stream_read(s, buf, sizeof(buf), &e), 4);
		reap(pid);
		assert_int_equal(st.turns, i);
	}
	assert_int_equal(stream_write(s, "c", 1, &e), 0);
	assert_int_equal(write(fd, "d", 1), 1);
	assert_int_equal(stream_read(s, buf, sizeof(buf), &e), 1);
	assert_int_equal(st.turns, 2);
	close(fd);
	stream_free(s);
}

/* A peer that takes no more before it is heard is heard; and what it said is there afterwards, in order, with its end. */
static void test_must_be_heard(void **state)
{
	enum { EACH = 100000, ROUNDS = 40, LESS = 20 };
	struct err e = ERR_INIT;
	struct net_stats st = { 0 };
	int fd, status;
	struct stream *s = pair(&fd, &st);
	char *buf = malloc(EACH);
	size_t got = 0;
	ssize_t n;
	pid_t pid;

	(void)state;
	assert_non_null(buf);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		for (int i = 0; i < ROUNDS; i++) {
			if (recv(fd, buf, EACH, MSG_WAITALL) != EACH)
				_exit(1);
			memset(buf, 'a' + i % 26, EACH / LESS);
			if (write(fd, buf, EACH / LESS) != EACH / LESS)
				_exit(2);
			for (size_t k = 0; k < 4 * EACH && i == 0; k += EACH) /* more than fits between us */
				if (write(fd, memset(buf, 'z', EACH), EACH) != EACH)
					_exit(3);
		}
		_exit(0);
	}
	close(fd);
	memset(buf, 'x', EACH);
	for (int i = 0; i < ROUNDS; i++)
		assert_int_equal(stream_write(s, buf, EACH, &e), 0);
	for (int i = 0; i < ROUNDS; i++)
		for (size_t k = 0; k < EACH / LESS + (i == 0 ? 4 * EACH : 0); k += (size_t)n) {
			n = stream_read(s, buf, EACH / LESS - k % (EACH / LESS), &e);
			assert_true(n > 0);
			assert_int_equal(buf[n - 1], k < EACH / LESS ? 'a' + i % 26 : 'z');
			got += (size_t)n;
		}
	assert_int_equal(stream_read(s, buf, 1, &e), 0);
	assert_int_equal(st.in, got);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	stream_free(s);
	free(buf);
}

/* A deadline that passed ends a wait, leaves the stream usable, and does not hide what has come. */
static void test_deadline(void **state)
{
	struct err e = ERR_INIT;
	int fd;
	struct stream *s = pair(&fd, NULL);
	msec_t t = clock_now();
	char buf[8];

	(void)state;
	stream_set_deadline(s, clock_in(50));
	assert_int_equal(stream_read(s, buf, sizeof(buf), &e), -1);
	assert_int_equal(e.kind, ERR_TIMEOUT);
	assert_in_range(clock_now() - t, 49, 1000);
	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(stream_read(s, buf, sizeof(buf), &e), 1);
	close(fd);
	stream_free(s);
}

/* A peer that sends one byte now and then does not move the deadline. */
static void test_slow_peer(void **state)
{
	struct err e = ERR_INIT;
	int fd, bytes = 0;
	struct stream *s = pair(&fd, NULL);
	msec_t t = clock_now();
	char c;
	pid_t pid = fork();

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0) {
		signal(SIGPIPE, SIG_DFL);
		alarm(20);
		while (write(fd, "x", 1) == 1)
			usleep(10000);
		_exit(0);
	}
	stream_set_deadline(s, clock_in(150));
	while (stream_read(s, &c, 1, &e) == 1)
		bytes++;
	assert_int_equal(e.kind, ERR_TIMEOUT);
	assert_in_range(clock_now() - t, 140, 2000);
	assert_true(bytes > 1);
	kill(pid, SIGKILL);
	reap(pid);
	close(fd);
	stream_free(s);
}

/* A write that stops half way bars every later one. */
static void test_full_pipe(void **state)
{
	static char big[4 << 20];
	struct err e = ERR_INIT;
	int fd;
	struct stream *s = pair(&fd, NULL);
	char buf[8];

	(void)state;
	stream_set_deadline(s, clock_in(50));
	assert_int_equal(stream_write(s, big, sizeof(big), &e), -1);
	assert_int_equal(e.kind, ERR_TIMEOUT);
	stream_set_deadline(s, clock_in(2000));
	assert_int_equal(stream_write(s, "x", 1, &e), -1);
	assert_int_equal(e.kind, ERR_TEMP);
	assert_int_equal(write(fd, "ok", 2), 2);
	assert_int_equal(stream_read(s, buf, sizeof(buf), &e), 2);
	close(fd);
	stream_free(s);
}

static void test_lost(void **state)
{
	struct err e = ERR_INIT;
	int fd;
	struct stream *s = pair(&fd, NULL);
	char buf[8];

	(void)state;
	/* unread bytes at close: a reset */
	assert_int_equal(stream_write(s, "x", 1, &e), 0);
	close(fd);
	assert_int_equal(stream_read(s, buf, sizeof(buf), &e), -1);
	assert_int_equal(e.kind, ERR_TEMP);
	assert_non_null(strstr(e.text, "connection lost: "));
	err_clear(&e);
	assert_int_equal(stream_write(s, "y", 1, &e), -1);
	assert_int_equal(e.kind, ERR_TEMP);
	assert_non_null(strstr(e.text, "connection lost: "));
	stream_free(s);
}

static void test_cancel(void **state)
{
	struct err e = ERR_INIT;
	int fd;
	struct stream *s = pair(&fd, NULL);
	msec_t t = clock_now();
	char buf[8];
	pid_t pid = later(50, -1, getpid());

	(void)state;
	assert_int_equal(stream_read(s, buf, sizeof(buf), &e), -1);
	assert_int_equal(e.kind, ERR_CANCEL);
	assert_in_range(clock_now() - t, 45, 50 + BUSY_MS);
	reap(pid);
	/* a flood does not outrun the signal either */
	assert_int_equal(write(fd, "data", 4), 4);
	err_clear(&e);
	assert_int_equal(stream_read(s, buf, sizeof(buf), &e), -1);
	assert_int_equal(e.kind, ERR_CANCEL);
	clock_cancel_clear();
	assert_int_equal(stream_read(s, buf, sizeof(buf), &e), 4);
	close(fd);
	stream_free(s);
}

static void test_shut(void **state)
{
	int fd;
	struct stream *s = pair(&fd, NULL);
	char c;

	(void)state;
	stream_shut(s);
	assert_int_equal(read(fd, &c, 1), 0);
	close(fd);
	stream_free(s);
	stream_shut(NULL);
	stream_free(NULL);
}

static void test_memory(void **state)
{
	static const char text[] = "hello, world";
	size_t n = sizeof(text) - 1;
	struct err e = ERR_INIT;

	(void)state;
	for (size_t step = 0; step <= n + 1; step++) {
		struct strbuf out = STRBUF_INIT(16), in = STRBUF_INIT(64);
		struct stream *s = memstream_new(text, n, step, &out);
		char buf[64];
		ssize_t r;

		assert_non_null(s);
		while ((r = stream_read(s, buf, sizeof(buf), &e)) > 0) {
			assert_true(step == 0 || (size_t)r <= step);
			strbuf_put(&in, buf, (size_t)r);
		}
		assert_int_equal(r, 0);
		assert_string_equal(strbuf_str(&in), text);
		assert_int_equal(stream_write(s, "abc", 3, &e), 0);
		assert_int_equal(stream_write(s, "", 0, &e), 0);
		assert_string_equal(strbuf_str(&out), "abc");
		stream_free(s);
		strbuf_release(&in);
		strbuf_release(&out);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_write_end),
		cmocka_unit_test(test_turns), cmocka_unit_test(test_must_be_heard),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_slow_peer),
		cmocka_unit_test(test_full_pipe),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_shut),
		cmocka_unit_test(test_memory),
	};

	if (clock_cancel_init(NULL) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
