/* A limit on bytes a second: that it holds, for both directions, and that its own waiting is nobody else's fault. */
#include "../../lib/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "net/throttle.h"

#define RATE 100000
#define BYTES 40000 /* at that rate 400 ms */
#define PIECE 16384 /* at most this goes at once, before the rate counts */
#define TAKES ((msec_t)(BYTES - PIECE) * 1000 / RATE)

static char bytes[BYTES];

/* A limited stream over one end of a socket pair; *other is the other end. */
static struct stream *over_socket(int *other, uint64_t rate, msec_t deadline)
{
	struct err e = ERR_INIT;
	int fds[2];
	struct stream *s;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	s = fdstream_new(fds[0], NULL, &e);
	assert_non_null(s);
	s = throttle_over(s, rate, &e);
	assert_non_null(s);
	stream_set_deadline(s, deadline);
	*other = fds[1];
	return s;
}

/* Read n bytes. */
static int take(struct stream *s, size_t n, struct err *e)
{
	char buf[4096];

	while (n > 0) {
		ssize_t r = stream_read(s, buf, n < sizeof(buf) ? n : sizeof(buf), e);

		if (r <= 0)
			return -1;
		n -= (size_t)r;
	}
	return 0;
}

static void reads_are_limited(void **state)
{
	struct err e = ERR_INIT;
	struct stream *s = throttle_over(memstream_new(bytes, BYTES, 0, NULL), RATE, &e);
	msec_t start = clock_now();

	(void)state;
	assert_int_equal(take(s, BYTES, &e), 0);
	assert_true(clock_now() - start >= TAKES);
	assert_int_equal(stream_read(s, bytes, 1, &e), 0);
	stream_free(s);
}

static void writes_are_limited(void **state)
{
	struct strbuf out = STRBUF_INIT(2 * BYTES);
	struct err e = ERR_INIT;
	struct stream *s;
	msec_t start = clock_now();

	(void)state;
	for (size_t i = 0; i < BYTES; i++)
		bytes[i] = (char)('a' + i % 26);
	s = throttle_over(memstream_new("", 0, 0, &out), RATE, &e);
	assert_int_equal(stream_write(s, bytes, BYTES, &e), 0);
	assert_int_equal(stream_flush(s, &e), 0);
	assert_true(clock_now() - start >= TAKES);
	assert_int_equal(out.len, BYTES);
	assert_memory_equal(out.s, bytes, BYTES);
	stream_free(s);
	strbuf_release(&out);
}

/* Half in each direction takes as long as all in one. */
static void both_ways_together(void **state)
{
	struct strbuf out = STRBUF_INIT(2 * BYTES);
	struct err e = ERR_INIT;
	struct stream *s = throttle_over(memstream_new(bytes, BYTES, 0, &out), RATE, &e);
	msec_t start = clock_now();

	(void)state;
	for (int i = 0; i < 4; i++) {
		assert_int_equal(take(s, BYTES / 8, &e), 0);
		assert_int_equal(stream_write(s, bytes, BYTES / 8, &e), 0);
	}
	assert_true(clock_now() - start >= TAKES);
	stream_free(s);
	strbuf_release(&out);
}

/* What takes longer than the deadline only because of us succeeds. */
static void the_deadline_moves_on(void **state)
{
	int other;
	struct stream *s = over_socket(&other, THROTTLE_MIN, clock_in(250));
	struct err e = ERR_INIT;
	msec_t start = clock_now();

	(void)state;
	assert_int_equal(write(other, bytes, 10240), 10240);
	if (take(s, 10240, &e) < 0)
		fail_msg("%s", e.text);
	assert_true(clock_now() - start > 500);
	assert_int_equal(stream_write(s, bytes, 5000, &e), 0);
	stream_free(s);
	close(other);
}

/* And a peer that says nothing is not waited for longer. */
static void a_silent_peer(void **state)
{
	int other;
	struct stream *s = over_socket(&other, RATE, clock_in(50));
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(take(s, 1, &e), -1);
	assert_int_equal(e.kind, ERR_TIMEOUT);
	stream_free(s);
	close(other);
}

static void on_alarm(int sig)
{
	(void)sig;
	clock_cancel_now(SIGTERM);
}

/* A signal ends the wait, which would be long. */
static void a_signal_ends_it(void **state)
{
	struct strbuf out = STRBUF_INIT(1 << 20);
	struct err e = ERR_INIT;
	struct stream *s = throttle_over(memstream_new("", 0, 0, &out), THROTTLE_MIN, &e);
	struct sigaction sa = { .sa_handler = on_alarm };
	static char much[1 << 18];
	msec_t start = clock_now();

	(void)state;
	assert_int_equal(clock_cancel_init(&e), 0);
	sigaction(SIGALRM, &sa, NULL);
	alarm(1);
	assert_int_equal(stream_write(s, much, sizeof(much), &e), -1); /* 25 s */
	assert_int_equal(e.kind, ERR_CANCEL);
	assert_true(clock_now() - start < 20000);
	clock_cancel_clear();
	stream_free(s);
	strbuf_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_are_limited), cmocka_unit_test(writes_are_limited), cmocka_unit_test(both_ways_together),
		cmocka_unit_test(the_deadline_moves_on), cmocka_unit_test(a_silent_peer), cmocka_unit_test(a_signal_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
