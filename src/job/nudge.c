#include "job/nudge.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define LOOK_S 30          /* at the clocks: after a suspend the timer rings at once */
#define SUSPENDED_MS 2000  /* less was none */
#define STOPPED_MS 15000   /* this much later than the timer should have rung: the process itself stood still */

/* Addresses and links that come and go. What is told is not read, only that something was. */
static int open_routes(void)
{
	struct sockaddr_nl a = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd >= 0 && bind(fd, (const struct sockaddr *)&a, sizeof(a)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static void look_at_clocks(struct nudger *n)
{
	n->looked = clock_now();
	n->offset = clock_boot() - n->looked;
}

int nudge_init(struct nudger *n, struct err *e)
{
	struct itimerspec every = { .it_interval = { .tv_sec = LOOK_S }, .it_value = { .tv_sec = LOOK_S } };
	struct sigaction hup;
	sigset_t set;

	*n = (struct nudger){ .signals = -1, .timer = -1, .routes = open_routes() };
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	if (sigaction(SIGHUP, NULL, &hup) < 0 || hup.sa_handler != SIG_IGN)
		sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	n->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	n->timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (n->signals < 0 || n->timer < 0 || timerfd_settime(n->timer, 0, &every, NULL) < 0) {
		err_errno(e, "signals and a timer to wait for");
		nudge_release(n);
		return -1;
	}
	look_at_clocks(n);
	return 0;
}

void nudge_release(struct nudger *n)
{
	int *fds[] = { &n->signals, &n->timer, &n->routes };

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

void nudge_fds(const struct nudger *n, struct wait_item w[NUDGE_FDS])
{
	w[0] = (struct wait_item){ .fd = n->signals, .events = WAIT_READ };
	w[1] = (struct wait_item){ .fd = n->timer, .events = WAIT_READ };
	w[2] = (struct wait_item){ .fd = n->routes, .events = WAIT_READ };
}

static unsigned take_signals(const struct nudger *n)
{
	struct signalfd_siginfo s;
	unsigned out = 0;

	while (read(n->signals, &s, sizeof(s)) == (ssize_t)sizeof(s))
		out |= s.ssi_signo == SIGHUP ? NUDGE_RELOAD : NUDGE_NOW;
	return out;
}

static void drain(int fd)
{
	char buf[8192];

	while (recv(fd, buf, sizeof(buf), 0) > 0)
		;
}

unsigned nudge_take(struct nudger *n, const struct wait_item w[NUDGE_FDS])
{
	msec_t offset = n->offset, looked = n->looked;
	unsigned out = w[0].ready ? take_signals(n) : 0;
	uint64_t rang;

	if (w[2].ready) {
		drain(n->routes);
		out |= NUDGE_DOUBT;
	}
	if (!w[1].ready)
		return out;
	(void)!read(n->timer, &rang, sizeof(rang));
	look_at_clocks(n);
	if (n->offset - offset > SUSPENDED_MS || n->looked - looked > LOOK_S * 1000 + STOPPED_MS)
		out |= NUDGE_DOUBT;
	return out;
}
