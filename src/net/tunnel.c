/* A command as a connection: see tunnel.h. */
#include "net/tunnel.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/proc.h"
#include "base/strbuf.h"
#include "net/fdio.h"

#define COMMAND_MAX 4096
#define GRACE_MS 2000    /* how long the command may take to end */
#define STATUS_MS 1000   /* how long after closing its output its exit status may come */
#define STATUS_TICK 10

struct tunnel {
	struct stream s;
	struct fdio io;
	struct proc proc;
};

/*
 * Whether text may stand in a shell's command line: what occurs in names, addresses and ports, and
 * no option.
 */
static bool is_tame(const char *text)
{
	static const char tame[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-";

	return text[0] && text[0] != '-' && text[strspn(text, tame)] == '\0';
}

/*
 * The host as the command gets it: an IPv6 address without its brackets, which a shell would take
 * for a pattern.
 */
static int bare_host(const char *host, struct strbuf *out)
{
	size_t n = strlen(host);

	if (n > 2 && host[0] == '[' && host[n - 1] == ']')
		return strbuf_put(out, host + 1, n - 2);
	return strbuf_puts(out, host);
}

/* Replace %h, %p and %%. */
static int expand(
	const char *command, const char *host, const char *port, struct strbuf *out, struct err *e)
{
	for (const char *p = command; *p; p++) {
		if (*p != '%') {
			strbuf_putc(out, *p);
			continue;
		}
		switch (*++p) {
		case 'h':
			strbuf_puts(out, host);
			break;
		case 'p':
			strbuf_puts(out, port);
			break;
		case '%':
			strbuf_putc(out, '%');
			break;
		default:
			return err_set(e, ERR_CONF, "tunnel '%.200s': after %% stands h, p or %%",
				command);
		}
	}
	return out->failed ? err_set(e, ERR_CONF, "tunnel: the command is too long") : 0;
}

/*
 * The command closed its output: how did it end? A bad end is an error, since nobody can tell
 * whether all has come.
 */
static ssize_t ended(const struct tunnel *t, struct err *e)
{
	msec_t until = clock_in(STATUS_MS);
	int status;

	while (!proc_ended(&t->proc, &status)) {
		if (clock_now() >= until)
			return 0; /* it lives on and has merely closed its output */
		if (wait_until(clock_in(STATUS_TICK), e) < 0)
			return -1;
	}
	if (!WIFEXITED(status))
		return err_set(e, ERR_TEMP, "tunnel command was killed by signal %d", WTERMSIG(status));
	if (WEXITSTATUS(status) == 0)
		return 0;
	err_set(e, ERR_TEMP, "tunnel command ended with exit status %d", WEXITSTATUS(status));
	return WEXITSTATUS(status) == 127 ? err_hint(e, "command not found") : -1;
}

/* stream_ops.read */
static ssize_t tunnel_read(struct stream *s, void *buf, size_t n, struct err *e)
{
	struct tunnel *t = (struct tunnel *)s;
	ssize_t r = fdio_read(&t->io, buf, n, e);

	return r == 0 ? ended(t, e) : r;
}

/* stream_ops.write: a command that is gone says more by its exit status than a broken pipe does. */
static int tunnel_write(struct stream *s, const void *buf, size_t n, struct err *e)
{
	struct tunnel *t = (struct tunnel *)s;
	struct err why = ERR_INIT, better = ERR_INIT;

	if (fdio_write(&t->io, buf, n, &why) == 0)
		return 0;
	if (why.kind == ERR_TEMP && ended(t, &better) < 0)
		why = better;
	if (e)
		*e = why;
	return -1;
}

/* stream_ops.flush */
static int tunnel_flush(struct stream *s, struct err *e)
{
	(void)s;
	(void)e;
	return 0;
}

/* stream_ops.shut: end of file for the command. */
static void tunnel_shut(struct stream *s)
{
	struct tunnel *t = (struct tunnel *)s;

	if (t->proc.in >= 0)
		close(t->proc.in);
	t->proc.in = -1;
	t->io.wfd = -1;
	t->io.broken = true;
}

/* stream_ops.free */
static void tunnel_free(struct stream *s)
{
	struct tunnel *t = (struct tunnel *)s;

	proc_stop(&t->proc, GRACE_MS);
	fdio_release(&t->io);
	free(t);
}

/* stream_ops.set_deadline */
static void tunnel_set_deadline(struct stream *s, msec_t deadline)
{
	((struct tunnel *)s)->io.deadline = deadline;
}

/* stream_ops.fd */
static int tunnel_fd(struct stream *s)
{
	return ((struct tunnel *)s)->io.rfd;
}

static const struct stream_ops tunnel_ops = {
	.name = "tunnel",
	.read = tunnel_read,
	.write = tunnel_write,
	.flush = tunnel_flush,
	.shut = tunnel_shut,
	.free = tunnel_free,
	.fd = tunnel_fd,
	.set_deadline = tunnel_set_deadline,
};

/* Start the command with its pipes non-blocking. */
static int start(struct tunnel *t, const char *command, struct net_stats *stats, struct err *e)
{
	if (proc_start(&t->proc, command, true, e) < 0)
		return err_in(e, "tunnel");
	fdio_init(&t->io, t->proc.out, t->proc.in, stats);
	if (fdio_nonblock(t->io.rfd, e) < 0 || fdio_nonblock(t->io.wfd, e) < 0) {
		proc_stop(&t->proc, GRACE_MS);
		return -1;
	}
	return 0;
}

/* The command line. */
int tunnel_command(
	const char *command, const char *host, const char *port, struct strbuf *out, struct err *e)
{
	struct strbuf bare = STRBUF_INIT(COMMAND_MAX);
	int rc = -1;

	if (bare_host(host, &bare) < 0)
		err_set(e, ERR_LOCAL, "out of memory");
	else if (!is_tame(strbuf_str(&bare)) || !is_tame(port))
		err_set(e, ERR_CONF, "tunnel: host '%.100s' or port '%.20s' holds characters that "
			"a shell could misread", host, port);
	else
		rc = expand(command, strbuf_str(&bare), port, out, e);
	strbuf_release(&bare);
	return rc;
}

/* A connection through a command. */
struct stream *tunnel_new(const char *command, const char *host, const char *port,
	struct net_stats *stats, struct err *e)
{
	struct strbuf line = STRBUF_INIT(COMMAND_MAX);
	struct tunnel *t = calloc(1, sizeof(*t));
	int rc = -1;

	if (!t)
		err_set(e, ERR_LOCAL, "out of memory");
	else if (tunnel_command(command, host, port, &line, e) == 0)
		rc = start(t, strbuf_str(&line), stats, e);
	strbuf_release(&line);
	if (rc < 0) {
		free(t);
		return NULL;
	}
	t->s.ops = &tunnel_ops;
	return &t->s;
}
