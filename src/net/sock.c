/* Happy eyeballs: see sock.h. */
#include "net/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/strbuf.h"

#define ATTEMPT_MS 250 /* RFC 8305 5: Connection Attempt Delay */
#define WHY_MAX 400

/* One address and how far it got. */
struct attempt {
	size_t addr; /* index in the list */
	int fd;      /* -1: not begun, or failed */
	int failure; /* errno */
};

struct race {
	const struct resolved *addrs;
	struct attempt at[RESOLVE_MAX];
	size_t n, begun, open;
	msec_t next; /* when the next attempt is due */
};

/*
 * Order the addresses: families in turn, beginning with that of the first, otherwise as the system
 * sorted them (RFC 8305 4).
 */
static void interleave(struct race *r)
{
	bool taken[RESOLVE_MAX] = { false };
	int want = r->addrs->n > 0 ? r->addrs->a[0].sa.ss_family : AF_UNSPEC;

	r->n = r->addrs->n < RESOLVE_MAX ? r->addrs->n : RESOLVE_MAX;
	for (size_t k = 0; k < r->n; k++) {
		size_t pick = r->n, any = r->n;

		for (size_t i = r->n; i-- > 0;) {
			if (taken[i])
				continue;
			any = i;
			if (r->addrs->a[i].sa.ss_family == want)
				pick = i;
		}
		if (pick == r->n)
			pick = any; /* none of that family is left */
		taken[pick] = true;
		r->at[k] = (struct attempt){ .addr = pick, .fd = -1 };
		want = r->addrs->a[pick].sa.ss_family == AF_INET6 ? AF_INET : AF_INET6;
	}
}

/* The attempt is over. */
static void lose(struct race *r, struct attempt *a, int why)
{
	if (a->fd >= 0) {
		close(a->fd);
		r->open--;
	}
	a->fd = -1;
	a->failure = why;
	r->next = 0; /* the next one need not wait any longer */
}

/* Begin the next attempt. Returns whether it is connected at once. */
static bool begin(struct race *r)
{
	struct attempt *a = &r->at[r->begun++];
	const struct sockaddr_storage *sa = &r->addrs->a[a->addr].sa;

	r->next = clock_in(ATTEMPT_MS);
	a->fd = socket(sa->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (a->fd < 0) {
		lose(r, a, errno);
		return false;
	}
	r->open++;
	if (connect(a->fd, (const struct sockaddr *)sa, r->addrs->a[a->addr].len) == 0)
		return true;
	if (errno != EINPROGRESS && errno != EINTR)
		lose(r, a, errno);
	return false;
}

/*
 * Small commands go out at once; a peer that vanished is noticed within minutes, also while nothing
 * is to be said.
 */
static void tune(int fd)
{
	static const struct {
		int level, name, value;
	} options[] = {
		{ IPPROTO_TCP, TCP_NODELAY, 1 },
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
#ifdef TCP_KEEPIDLE
		{ IPPROTO_TCP, TCP_KEEPIDLE, 120 },
		{ IPPROTO_TCP, TCP_KEEPINTVL, 30 },
		{ IPPROTO_TCP, TCP_KEEPCNT, 5 },
#endif
	};

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		setsockopt(fd, options[i].level, options[i].name, &options[i].value,
			sizeof(options[i].value));
}

/* The same for a connection that does nothing but wait. */
bool sock_stay(int fd)
{
	static const struct {
		int name, value;
	} options[] = {
#ifdef TCP_KEEPIDLE
		{ TCP_KEEPIDLE, 90 },
		{ TCP_KEEPINTVL, 15 },
		{ TCP_KEEPCNT, 4 },
#endif
#ifdef TCP_USER_TIMEOUT
		{ TCP_USER_TIMEOUT, SOCK_GONE_MS },
#endif
	};
	int type;
	socklen_t n = sizeof(type);

	if (getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &type, &n) < 0)
		return false;
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		setsockopt(fd, IPPROTO_TCP, options[i].name, &options[i].value, sizeof(options[i].value));
	return true;
}

/*
 * Wait for the attempts under way, at longest until the next is due. Returns the winner, NULL when
 * there is none yet; -1 in *rc on failure.
 */
static struct attempt *wait_round(struct race *r, msec_t deadline, int *rc, struct err *e)
{
	struct wait_item w[RESOLVE_MAX];
	struct attempt *of[RESOLVE_MAX];
	struct err why = ERR_INIT;
	size_t n = 0;
	msec_t until =
		r->begun < r->n && (deadline == 0 || r->next < deadline) ? r->next : deadline;

	for (size_t i = 0; i < r->begun; i++) {
		if (r->at[i].fd < 0)
			continue;
		of[n] = &r->at[i];
		w[n++] = (struct wait_item){ .fd = r->at[i].fd, .events = WAIT_WRITE };
	}
	if (wait_fds(w, n, until, &why) < 0) {
		if (why.kind == ERR_TIMEOUT && until != deadline)
			return NULL; /* time for the next attempt */
		*e = why;
		*rc = -1;
		return NULL;
	}
	for (size_t i = 0; i < n; i++) {
		int failure = 0;
		socklen_t len = sizeof(failure);

		if (w[i].ready == 0)
			continue;
		if (getsockopt(of[i]->fd, SOL_SOCKET, SO_ERROR, &failure, &len) < 0)
			failure = errno;
		if (failure == 0)
			return of[i];
		lose(r, of[i], failure);
	}
	return NULL;
}

/* "192.0.2.1: Connection refused; 2001:db8::1: no answer" */
static void explain(const struct race *r, struct strbuf *out)
{
	for (size_t i = 0; i < r->n; i++) {
		const struct attempt *a = &r->at[i];
		char host[64], buf[128];
		const struct sockaddr *sa = (const struct sockaddr *)&r->addrs->a[a->addr].sa;

		if (getnameinfo(sa, r->addrs->a[a->addr].len, host, sizeof(host), NULL, 0,
			    NI_NUMERICHOST) != 0)
			snprintf(host, sizeof(host), "?");
		strbuf_printf(out, "%s%s: %s", i ? "; " : "", host,
			a->failure ? strerror_r(a->failure, buf, sizeof(buf)) :
			i < r->begun ? "no answer" : "not tried");
	}
}

/* Did all attempts fail in one of these ways? */
static bool all_failed(const struct race *r, int failure, int or_failure)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->at[i].failure != failure && r->at[i].failure != or_failure)
			return false;
	return r->n > 0;
}

/* The error of a lost race, naming each address. */
static void lost(const struct race *r, const char *what, struct err *e)
{
	struct strbuf why = STRBUF_INIT(WHY_MAX);
	bool late = e->kind == ERR_TIMEOUT;

	explain(r, &why);
	if (late)
		err_set(e, ERR_TIMEOUT, "can't connect to %s in time: %s", what, strbuf_str(&why));
	else
		err_set(e, ERR_UNAVAIL, "can't connect to %s: %s", what,
			r->n ? strbuf_str(&why) : "it has no address");
	strbuf_release(&why);
	if (all_failed(r, ECONNREFUSED, ECONNREFUSED))
		err_hint(e, "nothing listens there: is it the right port, and is the server running?");
	else if (all_failed(r, ENETUNREACH, EHOSTUNREACH))
		err_hint(e, "is this machine on the network?");
	else if (late)
		err_hint(e, "the server is down, or a firewall keeps it from answering");
}

/* Connect to whichever address answers first. */
int sock_connect(const struct resolved *addrs, const char *what, msec_t deadline, struct err *e)
{
	struct race r = { .addrs = addrs };
	struct attempt *winner = NULL;
	struct err why = ERR_INIT;
	int rc = 0, fd = -1;

	interleave(&r);
	while (rc == 0 && !winner) {
		if (r.begun < r.n && (r.open == 0 || clock_now() >= r.next)) {
			if (begin(&r))
				winner = &r.at[r.begun - 1];
		} else if (r.open > 0) {
			winner = wait_round(&r, deadline, &rc, &why);
		} else {
			break;
		}
		if (rc == 0)
			rc = clock_check(&why);
	}
	if (rc == 0 && winner) {
		fd = winner->fd;
		winner->fd = -1;
		tune(fd);
	}
	for (size_t i = 0; i < r.begun; i++)
		if (r.at[i].fd >= 0)
			close(r.at[i].fd);
	if (fd >= 0)
		return fd;
	if (rc == 0 || why.kind == ERR_TIMEOUT)
		lost(&r, what, &why);
	else
		err_in(&why, "connect to %s", what);
	if (e)
		*e = why;
	return -1;
}

/* Resolve and connect. */
int sock_dial(const char *host, const char *port, msec_t deadline, struct err *e)
{
	struct resolved addrs;
	char what[300];

	if (resolve(host, port, &addrs, deadline, e) < 0)
		return -1;
	snprintf(what, sizeof(what), "'%s' port %s", host, port);
	return sock_connect(&addrs, what, deadline, e);
}
