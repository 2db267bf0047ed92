#include "job/orphans.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define GRACE_MS 1000
#define CHILDREN_MAX 65536 /* bytes of the list that the kernel has of them */

void orphans_adopt(void)
{
	prctl(PR_SET_CHILD_SUBREAPER, 1L, 0L, 0L, 0L);
}

static bool known(const struct orphans *o, pid_t pid)
{
	for (size_t i = 0; i < o->v.n; i++)
		if (o->v.a[i].pid == pid)
			return true;
	return false;
}

static void take(struct orphans *o, pid_t pid, bool badly)
{
	struct orphan one = { .pid = pid };
	pid_t group = getpgid(pid);

	if (group < 0 || group == getpgrp())
		return; /* one that our caller has started */
	if (badly && getsid(pid) == getsid(0)) {
		kill(-group, SIGTERM);
		kill(-group, SIGCONT); /* a stopped one would not hear it */
		one.kill_at = clock_in(GRACE_MS);
	}
	if (vec_push(&o->v, one) < 0 && one.kill_at != 0)
		kill(-group, SIGKILL);
}

void orphans_take(struct orphans *o, bool badly, bool (*is_known)(const void *arg, pid_t pid), const void *arg)
{
	char path[64], *list = malloc(CHILDREN_MAX + 1), *at, *end;
	ssize_t n = 0;
	size_t len = 0;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%ld/children", (long)getpid());
	fd = list ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	while (fd >= 0 && len < CHILDREN_MAX && (n = read(fd, list + len, CHILDREN_MAX - len)) > 0)
		len += (size_t)n;
	if (fd >= 0)
		close(fd);
	if (list)
		list[len] = '\0';
	for (at = list; at && *at; at = end) {
		pid_t pid = (pid_t)strtol(at, &end, 10);

		if (end == at)
			break;
		while (*end == ' ')
			end++;
		if (pid > 0 && !is_known(arg, pid) && !known(o, pid))
			take(o, pid, badly);
	}
	free(list);
}

/* True once it is reaped, or was by somebody else. */
static bool gone(pid_t pid, int flags)
{
	pid_t got;

	do {
		got = waitpid(pid, NULL, flags);
	} while (got < 0 && errno == EINTR);
	return got != 0;
}

/* It, and what it started. */
static void kill_one(const struct orphan *one)
{
	pid_t group = getpgid(one->pid);

	if (group > 0 && group != getpgrp())
		kill(-group, SIGKILL);
	kill(one->pid, SIGKILL);
}

msec_t orphans_tend(struct orphans *o)
{
	msec_t next = 0;

	for (size_t i = o->v.n; i-- > 0;) {
		struct orphan *one = &o->v.a[i];

		if (gone(one->pid, WNOHANG)) {
			*one = o->v.a[--o->v.n];
			continue;
		}
		if (one->kill_at != 0 && clock_now() >= one->kill_at) {
			kill_one(one);
			one->kill_at = clock_in(GRACE_MS);
		}
		if (one->kill_at != 0 && (next == 0 || one->kill_at < next))
			next = one->kill_at;
	}
	return next;
}

void orphans_end(struct orphans *o)
{
	for (size_t i = 0; i < o->v.n; i++) {
		if (o->v.a[i].kill_at == 0)
			continue;
		kill_one(&o->v.a[i]);
		gone(o->v.a[i].pid, 0);
	}
	vec_release(&o->v);
}
