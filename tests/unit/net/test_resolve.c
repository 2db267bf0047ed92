/* Names to addresses without leaving this machine. */
#include "../../lib/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/resolve.h"

/* The ith address as text, the port in *port. */
static void text(const struct resolved *r, size_t i, char out[INET6_ADDRSTRLEN], int *port)
{
	if (r->a[i].sa.ss_family == AF_INET) {
		const struct sockaddr_in *sa = (const struct sockaddr_in *)&r->a[i].sa;

		assert_non_null(inet_ntop(AF_INET, &sa->sin_addr, out, INET6_ADDRSTRLEN));
		*port = ntohs(sa->sin_port);
	} else {
		const struct sockaddr_in6 *sa = (const struct sockaddr_in6 *)&r->a[i].sa;

		assert_int_equal(r->a[i].sa.ss_family, AF_INET6);
		assert_non_null(inet_ntop(AF_INET6, &sa->sin6_addr, out, INET6_ADDRSTRLEN));
		*port = ntohs(sa->sin6_port);
	}
}

static void no_child_left(void)
{
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void test_direct(void **state)
{
	static const struct {
		const char *host, *first;
		size_t n;
	} rows[] = {
		{ "127.0.0.1", "127.0.0.1", 1 },
		{ "192.0.2.7", "192.0.2.7", 1 },
		{ "::1", "::1", 1 },
		{ "[::1]", "::1", 1 },
		{ "[2001:db8::5]", "2001:db8::5", 1 },
		{ "localhost", "::1", 2 },
		{ "LOCALHOST.", "::1", 2 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct err e = ERR_INIT;
		struct resolved r;
		char addr[INET6_ADDRSTRLEN];
		int port;

		/* a deadline long gone: these need no time at all */
		assert_int_equal(resolve(rows[i].host, "995", &r, 1, &e), 0);
		assert_int_equal(r.n, rows[i].n);
		text(&r, 0, addr, &port);
		assert_string_equal(addr, rows[i].first);
		assert_int_equal(port, 995);
		if (r.n > 1) {
			text(&r, 1, addr, &port);
			assert_string_equal(addr, "127.0.0.1");
			assert_int_equal(port, 995);
		}
	}
}

static void test_bad(void **state)
{
	char longer[300];
	const struct {
		const char *host, *port;
		enum err_kind kind;
	} rows[] = {
		{ "127.0.0.1", "0", ERR_CONF },
		{ "127.0.0.1", "65536", ERR_CONF },
		{ "127.0.0.1", "pop3", ERR_CONF },
		{ "127.0.0.1", "", ERR_CONF },
		{ "", "995", ERR_NOHOST },
		{ longer, "995", ERR_NOHOST },
	};

	(void)state;
	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct err e = ERR_INIT;
		struct resolved r;

		assert_int_equal(resolve(rows[i].host, rows[i].port, &r, clock_in(5000), &e), -1);
		assert_int_equal(e.kind, rows[i].kind);
	}
}

/* A name that can't exist: found out or not, by the deadline there is an answer and no child. */
static void test_unknown(void **state)
{
	struct err e = ERR_INIT;
	struct resolved r;
	msec_t t = clock_now();

	(void)state;
	assert_int_equal(resolve("nothing.invalid", "995", &r, clock_in(1500), &e), -1);
	assert_true(e.kind == ERR_NOHOST || e.kind == ERR_TEMP || e.kind == ERR_TIMEOUT);
	assert_non_null(strstr(e.text, "nothing.invalid"));
	assert_true(clock_now() - t < 2500);
	no_child_left();
}

static void test_deadline(void **state)
{
	struct err e = ERR_INIT;
	struct resolved r;
	msec_t t = clock_now();

	(void)state;
	/*
	 * the child can't be quicker than a deadline that has passed, save by luck: then the name
	 * is not found
	 */
	assert_int_equal(resolve("nothing.invalid", "995", &r, 1, &e), -1);
	assert_true(e.kind == ERR_TIMEOUT || e.kind == ERR_NOHOST || e.kind == ERR_TEMP);
	assert_true(clock_now() - t < 1000);
	no_child_left();
}

static void test_cancel(void **state)
{
	struct err e = ERR_INIT;
	struct resolved r;

	(void)state;
	clock_cancel_now(SIGTERM);
	assert_int_equal(resolve("nothing.invalid", "995", &r, clock_in(5000), &e), -1);
	assert_int_equal(e.kind, ERR_CANCEL);
	clock_cancel_clear();
	no_child_left();
}

/* A name of /etc/hosts goes through the child. */
static void test_child(void **state)
{
	struct err e = ERR_INIT;
	struct resolved r;
	char host[256] = "";

	(void)state;
	assert_int_equal(gethostname(host, sizeof(host) - 1), 0);
	if (resolve(host, "110", &r, clock_in(5000), &e) < 0) {
		assert_true(e.kind == ERR_NOHOST || e.kind == ERR_TEMP || e.kind == ERR_TIMEOUT);
		skip(); /* this machine doesn't know its own name */
	}
	assert_in_range(r.n, 1, RESOLVE_MAX);
	for (size_t i = 0; i < r.n; i++) {
		char addr[INET6_ADDRSTRLEN];
		int port;

		text(&r, i, addr, &port);
		assert_int_equal(port, 110);
	}
	no_child_left();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_direct),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_child),
	};

	if (clock_cancel_init(NULL) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
