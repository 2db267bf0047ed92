/* Names to addresses: see resolve.h. */
#include "net/resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/proc.h"
#include "base/slice.h"

#define HOST_MAX 253 /* RFC 1035 3.1, without the final dot */

/*
 * What the child sends: always whole. Parent and child are the same program, so the struct itself
 * may travel.
 */
struct answer {
	int rc, sys; /* of getaddrinfo, and errno for EAI_SYSTEM */
	struct resolved r;
};

/* Add an address unless it is there already. */
static void add_address(struct resolved *r, const struct sockaddr *sa, socklen_t len)
{
	if (r->n >= RESOLVE_MAX || len > sizeof(r->a[0].sa))
		return;
	for (size_t i = 0; i < r->n; i++)
		if (r->a[i].len == len && memcmp(&r->a[i].sa, sa, len) == 0)
			return;
	memcpy(&r->a[r->n].sa, sa, len);
	r->a[r->n].len = len;
	r->n++;
}

/* One getaddrinfo call; adds what it found to *r. */
static int lookup(const char *host, const char *port, int flags, struct resolved *r)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV | flags };
	struct addrinfo *list = NULL;
	int rc = getaddrinfo(host, port, &hints, &list);

	if (rc != 0)
		return rc;
	for (const struct addrinfo *ai = list; ai; ai = ai->ai_next)
		if (ai->ai_family == AF_INET || ai->ai_family == AF_INET6)
			add_address(r, ai->ai_addr, ai->ai_addrlen);
	freeaddrinfo(list);
	return 0;
}

/* An address written as such. */
static bool literal(const char *host, const char *port, struct resolved *out)
{
	char bare[HOST_MAX + 1];
	size_t n = strlen(host);

	if (n > 2 && host[0] == '[' && host[n - 1] == ']') {
		memcpy(bare, host + 1, n - 2);
		bare[n - 2] = '\0';
		host = bare;
	}
	return lookup(host, port, AI_NUMERICHOST, out) == 0 && out->n > 0;
}

/* "localhost" is this machine by definition (RFC 6761 6.3), whatever a resolver would say. */
static bool localhost(const char *host, uint64_t port, struct resolved *out)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6,
		.sin6_port = htons((uint16_t)port),
		.sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };

	if (strcasecmp(host, "localhost") != 0 && strcasecmp(host, "localhost.") != 0)
		return false;
	four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	add_address(out, (const struct sockaddr *)&six, sizeof(six));
	add_address(out, (const struct sockaddr *)&four, sizeof(four));
	return true;
}

/*
 * The child: ask the system's resolver, send the answer, be gone. Runs in a copy of a process with
 * one thread, so it may call anything.
 */
static void __attribute__((noreturn)) child(int fd, const char *host, const char *port)
{
	struct answer a;
	const char *p = (const char *)&a;
	size_t left = sizeof(a);

	memset(&a, 0, sizeof(a));
	/*
	 * AI_ADDRCONFIG spares the question for addresses that this machine could not use; but it
	 * takes no count of loopback addresses, and then a name in /etc/hosts would not be found.
	 */
	a.rc = lookup(host, port, AI_ADDRCONFIG, &a.r);
	if (a.rc != 0 && a.rc != EAI_AGAIN)
		a.rc = lookup(host, port, 0, &a.r);
	a.sys = errno;
	while (left > 0) {
		ssize_t n = write(fd, p, left);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			_exit(1);
		p += n;
		left -= (size_t)n;
	}
	_exit(0);
}

/* Start the child. Returns its pid, *fd to read from. */
static pid_t start_child(const char *host, const char *port, int *fd, struct err *e)
{
	int p[2];
	pid_t pid;

	if (pipe2(p, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_errno(e, "pipe");
	pid = proc_fork();
	if (pid == 0)
		child(p[1], host, port);
	if (pid < 0)
		err_errno(e, "fork");
	close(p[1]);
	if (pid < 0)
		close(p[0]);
	else
		*fd = p[0];
	return pid;
}

/* Collect the child's answer. */
static int read_answer(int fd, struct answer *a, msec_t deadline, struct err *e)
{
	char *p = (char *)a;
	size_t have = 0;

	while (have < sizeof(*a)) {
		ssize_t n = read(fd, p + have, sizeof(*a) - have);

		if (n > 0)
			have += (size_t)n;
		else if (n == 0)
			return err_set(e, ERR_TEMP, "the resolver process died");
		else if (errno == EAGAIN) {
			if (wait_fd(fd, WAIT_READ, deadline, e) < 0)
				return -1;
		} else if (errno != EINTR)
			return err_errno(e, "read");
	}
	return 0;
}

/* The error of a failed look-up. */
static int no_answer(const char *host, const struct answer *a, struct err *e)
{
	char buf[128];

	switch (a->rc) {
	case EAI_SYSTEM:
		return err_set(e, ERR_TEMP, "can't resolve '%s': %s", host,
			strerror_r(a->sys, buf, sizeof(buf)));
	case EAI_AGAIN:
	case EAI_MEMORY:
		err_set(e, ERR_TEMP, "can't resolve '%s': %s", host, gai_strerror(a->rc));
		return err_hint(e, "the name server does not answer");
	case 0:
		return err_set(e, ERR_NOHOST, "host '%s' has no IPv4 or IPv6 address", host);
	default:
		return err_set(e, ERR_NOHOST, "host '%s' not found: %s", host, gai_strerror(a->rc));
	}
}

/* Ask through a child, which is killed when it isn't done in time. */
static int ask(const char *host, const char *port, struct answer *a, msec_t deadline, struct err *e)
{
	int fd = -1, rc;
	pid_t pid = start_child(host, port, &fd, e);

	if (pid < 0)
		return -1;
	rc = read_answer(fd, a, deadline, e);
	close(fd);
	if (rc < 0)
		kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (rc < 0)
		return err_in(e, "resolve '%s'", host);
	return a->rc == 0 && a->r.n > 0 && a->r.n <= RESOLVE_MAX ? 0 : no_answer(host, a, e);
}

/* Addresses of a host. */
int resolve(
	const char *host, const char *port, struct resolved *out, msec_t deadline, struct err *e)
{
	struct answer a;
	uint64_t number;
	size_t n = strlen(host);

	memset(out, 0, sizeof(*out));
	if (!slice_u64(slice_str(port), 65535, &number) || number == 0)
		return err_set(e, ERR_CONF, "'%s' is no port number", port);
	if (n == 0 || n > HOST_MAX + 2)
		return err_set(
			e, ERR_NOHOST, n == 0 ? "host name is empty" : "host name is too long");
	if (n <= HOST_MAX && localhost(host, number, out))
		return 0;
	if (literal(host, port, out))
		return 0;
	memset(&a, 0, sizeof(a));
	if (ask(host, port, &a, deadline, e) < 0)
		return -1;
	*out = a.r;
	return 0;
}
