/* See peer.h. */
#include "../../lib/unit.h"

#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/sock.h"

#define LIFE_S 60 /* no child outlives a test that hangs */

/* A listening socket. */
int listen_local(int backlog, char port[8])
{
	struct sockaddr_in sa = { .sin_family = AF_INET };
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(fd, backlog), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	snprintf(port, 8, "%u", ntohs(sa.sin_port));
	return fd;
}

/* Start the child. */
void peer_start(struct peer *p, peer_fn *fn, void *arg)
{
	int fd = listen_local(16, p->port);

	fflush(NULL);
	p->pid = fork();
	assert_true(p->pid >= 0);
	if (p->pid == 0) {
		signal(SIGTERM, SIG_DFL);
		signal(SIGPIPE, SIG_IGN);
		alarm(LIFE_S);
		for (int nth = 0;; nth++) {
			int c = accept(fd, NULL, NULL);

			if (c < 0)
				_exit(1);
			fn(c, nth, arg);
			close(c);
		}
	}
	close(fd);
}

/* End the child. */
void peer_stop(struct peer *p)
{
	kill(p->pid, SIGKILL);
	assert_int_equal(waitpid(p->pid, NULL, 0), p->pid);
}

/* Connect. */
struct stream *peer_dial(const struct peer *p)
{
	struct err e = ERR_INIT;
	int fd = sock_dial("127.0.0.1", p->port, clock_in(10000), &e);
	struct stream *s;

	if (fd < 0)
		fail_msg("%s", e.text);
	s = fdstream_new(fd, NULL, &e);
	assert_non_null(s);
	stream_set_deadline(s, clock_in(10000));
	return s;
}

/* In the child: send. */
void peer_send(int fd, const void *p, size_t n)
{
	const char *at = p;

	while (n > 0) {
		ssize_t w = write(fd, at, n);

		if (w <= 0)
			_exit(2);
		at += w;
		n -= (size_t)w;
	}
}

/* In the child: receive. */
void peer_recv(int fd, void *p, size_t n)
{
	char *at = p;

	while (n > 0) {
		ssize_t r = read(fd, at, n);

		if (r <= 0)
			_exit(3);
		at += r;
		n -= (size_t)r;
	}
}

struct step {
	struct stream s;
	size_t step;
};

static ssize_t step_read(struct stream *s, void *buf, size_t n, struct err *e)
{
	size_t step = ((struct step *)s)->step;

	return stream_read(s->next, buf, n < step ? n : step, e);
}

static int step_write(struct stream *s, const void *buf, size_t n, struct err *e)
{
	return stream_write(s->next, buf, n, e);
}

static int step_flush(struct stream *s, struct err *e)
{
	(void)s;
	(void)e;
	return 0;
}

static void step_shut(struct stream *s)
{
	(void)s;
}

static void step_free(struct stream *s)
{
	free(s);
}

static const struct stream_ops step_ops = {
	.name = "step",
	.read = step_read,
	.write = step_write,
	.flush = step_flush,
	.shut = step_shut,
	.free = step_free,
};

/* Put the layer on top. */
struct stream *step_over(struct stream *below, size_t step)
{
	struct step *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	*t = (struct step){ .s = { .ops = &step_ops, .next = below }, .step = step };
	return &t->s;
}
