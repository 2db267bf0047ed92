/* Write-back started early: see syncer.h. */
#include "base/syncer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/proc.h"

#define END_MS 50 /* how long its end is waited for */

/*
 * The process: each byte that comes is a wish. It holds nothing else open, or others would wait for its end. The directory it opens anew: an error in write-back is told
 * once to each open file, and fork shares those, so that what we were told here nobody would tell the caller.
 */
static void __attribute__((noreturn)) serve(int fd, int dirfd)
{
	int own = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char wishes[4096];
	ssize_t n;

	if (own < 0 || dup2(fd, 0) < 0 || dup2(own, 1) < 0)
		_exit(1);
	proc_close_from(2);
	while ((n = read(0, wishes, sizeof(wishes))) > 0 || (n < 0 && errno == EINTR))
		if (n > 0 && syncfs(1) < 0)
			break;
	_exit(0);
}

/* Start the process. */
static void start(struct syncer *s, int dirfd)
{
	int fd[2];

	s->never = true;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) < 0)
		return;
	s->pid = proc_fork();
	if (s->pid == 0)
		serve(fd[1], dirfd);
	close(fd[1]);
	if (s->pid < 0) {
		s->pid = 0;
		close(fd[0]);
		return;
	}
	s->fd = fd[0];
	s->never = false;
}

void syncer_kick(struct syncer *s, int dirfd)
{
	if (s->pid == 0 && !s->never)
		start(s, dirfd);
	if (s->never)
		return;
	if (send(s->fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EAGAIN && errno != EINTR) {
		log_debug("no early write-back: its process has died");
		s->never = true;
	}
}

void syncer_release(struct syncer *s)
{
	if (s->pid == 0)
		return;
	shutdown(s->fd, SHUT_WR);
	if (wait_fd(s->fd, WAIT_READ, clock_in(END_MS), NULL) > 0) /* it closed its end */
		while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
			;
	close(s->fd);
	*s = (struct syncer){ 0 };
}
