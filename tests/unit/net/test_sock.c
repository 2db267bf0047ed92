/* Connecting: dead, mute and living addresses. */
#include "../../lib/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/slice.h"
#include "net/sock.h"
#include "peer.h"

/* A port in network order. */
static in_port_t number(const char *port)
{
	uint64_t n = 0;

	assert_true(slice_u64(slice_str(port), 65535, &n));
	return htons((uint16_t)n);
}

/* Add an IPv4 address to the list. */
static void add(struct resolved *r, const char *addr, const char *port)
{
	struct sockaddr_in *sa = (struct sockaddr_in *)&r->a[r->n].sa;

	memset(sa, 0, sizeof(*sa));
	sa->sin_family = AF_INET;
	sa->sin_port = number(port);
	assert_int_equal(inet_pton(AF_INET, addr, &sa->sin_addr), 1);
	r->a[r->n++].len = sizeof(*sa);
}

/* Add an IPv6 address to the list. */
static void add6(struct resolved *r, const char *addr, const char *port)
{
	struct sockaddr_in6 *sa = (struct sockaddr_in6 *)&r->a[r->n].sa;

	memset(sa, 0, sizeof(*sa));
	sa->sin6_family = AF_INET6;
	sa->sin6_port = number(port);
	assert_int_equal(inet_pton(AF_INET6, addr, &sa->sin6_addr), 1);
	r->a[r->n++].len = sizeof(*sa);
}

/* A port that nobody listens on. */
static void closed_port(char port[8])
{
	close(listen_local(1, port));
}

#define HOLE_FILL 8

/* An address that does not answer: a listening socket whose queue is full. */
struct hole {
	int fd, fill[HOLE_FILL];
	char port[8];
};

static void hole_open(struct hole *h)
{
	struct resolved r = { 0 };

	h->fd = listen_local(0, h->port);
	add(&r, "127.0.0.1", h->port);
	for (int i = 0; i < HOLE_FILL; i++) {
		h->fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		assert_true(h->fill[i] >= 0);
		connect(h->fill[i], (const struct sockaddr *)&r.a[0].sa, r.a[0].len);
	}
}

static void hole_close(struct hole *h)
{
	for (int i = 0; i < HOLE_FILL; i++)
		close(h->fill[i]);
	close(h->fd);
}

/* How many descriptors are open: nothing may leak. */
static int open_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void test_plain(void **state)
{
	struct err e = ERR_INIT;
	struct resolved r = { 0 };
	char port[8];
	int fd = listen_local(4, port), c, value = 0;
	socklen_t len = sizeof(value);

	(void)state;
	add(&r, "127.0.0.1", port);
	c = sock_connect(&r, "test", clock_in(2000), &e);
	assert_true(c >= 0);
	assert_true(fcntl(c, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(c, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(getsockopt(c, IPPROTO_TCP, TCP_NODELAY, &value, &len), 0);
	assert_true(value);
	assert_int_equal(getsockopt(c, SOL_SOCKET, SO_KEEPALIVE, &value, &len), 0);
	assert_true(value);
	close(c);
	c = sock_dial("localhost", port, clock_in(2000), &e);
	assert_true(c >= 0);
	close(c);
	close(fd);
}

static void test_refused(void **state)
{
	struct err e = ERR_INIT;
	struct resolved r = { 0 };
	char port[8];
	int before = open_fds();

	(void)state;
	closed_port(port);
	add(&r, "127.0.0.1", port);
	add(&r, "127.0.0.2", port);
	assert_int_equal(sock_connect(&r, "'mail.example.org' port 995", clock_in(5000), &e), -1);
	assert_int_equal(e.kind, ERR_UNAVAIL);
	assert_string_equal(e.text,
		"can't connect to 'mail.example.org' port 995: 127.0.0.1: Connection refused; 127.0.0.2: Connection refused"
		" (nothing listens there: is it the right port, and is the server running?)");
	assert_int_equal(open_fds(), before);
}

/* Dead addresses cost nothing, a mute one a quarter of a second. */
static void test_race(void **state)
{
	struct err e = ERR_INIT;
	struct resolved r = { 0 };
	struct hole h;
	char dead[8], live[8];
	int fd = listen_local(4, live), c, before;
	struct sockaddr_in peer;
	socklen_t len = sizeof(peer);
	msec_t t;

	(void)state;
	hole_open(&h);
	closed_port(dead);
	before = open_fds();
	add(&r, "127.0.0.1", dead);
	add(&r, "127.0.0.1", h.port);
	for (int i = 1; i <= 5; i++) {
		char addr[16];

		snprintf(addr, sizeof(addr), "127.0.0.%d", i);
		add(&r, addr, dead);
	}
	add(&r, "127.0.0.1", live);
	t = clock_now();
	c = sock_connect(&r, "test", clock_in(10000), &e);
	assert_true(c >= 0);
	assert_in_range(clock_now() - t, 200, 900);
	assert_int_equal(getpeername(c, (struct sockaddr *)&peer, &len), 0);
	assert_int_equal(peer.sin_port, number(live));
	assert_int_equal(open_fds(), before + 1);
	close(c);
	hole_close(&h);
	close(fd);
}

static void test_timeout(void **state)
{
	struct err e = ERR_INIT;
	struct resolved r = { 0 };
	struct hole h;
	char dead[8];
	int before;
	msec_t t;

	(void)state;
	hole_open(&h);
	closed_port(dead);
	before = open_fds();
	add(&r, "127.0.0.1", h.port);
	add(&r, "127.0.0.2", dead);
	t = clock_now();
	assert_int_equal(sock_connect(&r, "'x'", clock_in(400), &e), -1);
	assert_in_range(clock_now() - t, 390, 1500);
	assert_int_equal(e.kind, ERR_TIMEOUT);
	assert_string_equal(e.text,
		"can't connect to 'x' in time: 127.0.0.1: no answer; 127.0.0.2: Connection refused"
		" (the server is down, or a firewall keeps it from answering)");
	assert_int_equal(open_fds(), before);
	hole_close(&h);
}

static void test_cancel(void **state)
{
	struct err e = ERR_INIT;
	struct resolved r = { 0 };
	struct hole h;
	msec_t t;

	(void)state;
	hole_open(&h);
	add(&r, "127.0.0.1", h.port);
	t = clock_now();
	clock_cancel_now(SIGTERM);
	assert_int_equal(sock_connect(&r, "'x'", clock_in(5000), &e), -1);
	assert_int_equal(e.kind, ERR_CANCEL);
	assert_true(clock_now() - t < 500);
	clock_cancel_clear();
	hole_close(&h);
}

/* The families take turns, the first of the list first: seen in the order of the error. */
static void test_order(void **state)
{
	struct err e = ERR_INIT;
	struct resolved r = { 0 };
	char port[8];
	const char *at;

	(void)state;
	closed_port(port);
	add6(&r, "::1", port);
	add6(&r, "::1", "1");
	add(&r, "127.0.0.1", port);
	add(&r, "127.0.0.2", port);
	add(&r, "127.0.0.3", port);
	assert_int_equal(sock_connect(&r, "x", clock_in(5000), &e), -1);
	assert_int_equal(e.kind, ERR_UNAVAIL);
	at = e.text;
	for (const char *const *p = (const char *const[]){ "::1", "127.0.0.1", "::1", "127.0.0.2",
		     "127.0.0.3", NULL };
		*p; p++) {
		at = strstr(at, *p);
		assert_non_null(at);
		at++;
	}
}

static void test_nothing(void **state)
{
	struct err e = ERR_INIT;
	struct resolved r = { 0 };

	(void)state;
	assert_int_equal(sock_connect(&r, "x", clock_in(1000), &e), -1);
	assert_int_equal(e.kind, ERR_UNAVAIL);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_race),
		cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_nothing),
	};

	if (clock_cancel_init(NULL) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
