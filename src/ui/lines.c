#include "ui/lines.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define FLUSH 32768      /* bytes of lines that are written together */
#define HOLD_MS 100      /* and how old they may get */
#define LINE_BYTES 16384 /* the longest line to err */
#define CHUNK 4096       /* one write: a pipe that is ready takes so much at once (PIPE_BUF), so that no write blocks */

void lines_init(struct lines *l, int out, int err, struct progress *progress)
{
	*l = (struct lines){ .out = out, .err = err, .tty = isatty(out), .progress = progress, .held = STRBUF_INIT(4 * FLUSH) };
}

void lines_release(struct lines *l)
{
	strbuf_release(&l->held);
}

/* Wait until fd takes something. A signal ends that: who stops the program is not kept waiting by output that nobody reads. */
static bool ready_to_write(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	for (;;) {
		int n = poll(&p, 1, 500);

		if (n > 0)
			return true;
		if (n == 0 && clock_cancelled())
			return false;
		if (n < 0 && errno != EINTR)
			return false;
	}
}

/* How much to write at once: whole lines if possible, so that others' lines come between ours, not into them. */
static size_t chunk_of(const char *p, size_t n)
{
	const char *lf;

	if (n <= CHUNK)
		return n;
	lf = memrchr(p, '\n', CHUNK);
	return lf ? (size_t)(lf - p) + 1 : CHUNK;
}

/* All of it, or false with errno. */
static bool write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t done;

		if (!ready_to_write(fd)) {
			errno = EPIPE;
			return false;
		}
		done = write(fd, p, chunk_of(p, n));
		if (done < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (done < 0)
			return false;
		p += done;
		n -= (size_t)done;
	}
	return true;
}

static void write_out(struct lines *l, const char *p, size_t n)
{
	if (l->out_dead || n == 0)
		return;
	if (l->tty)
		progress_clear(l->progress);
	if (!write_all(l->out, p, n)) {
		l->out_dead = true;
		l->out_errno = errno == EPIPE ? 0 : errno;
	}
}

void lines_flush(struct lines *l)
{
	write_out(l, strbuf_str(&l->held), l->held.len);
	strbuf_clear(&l->held);
	l->flushed = clock_now();
}

void lines_flush_if_due(struct lines *l)
{
	if (l->held.len > 0 && (l->tty || l->held.len >= FLUSH || clock_now() - l->flushed >= HOLD_MS))
		lines_flush(l);
}

void lines_vsay(struct lines *l, const char *fmt, va_list ap)
{
	size_t at = l->held.len;

	strbuf_vprintf(&l->held, fmt, ap);
	if (strbuf_putc(&l->held, '\n') < 0) {
		strbuf_cut(&l->held, at); /* no memory for it: what was there is not lost */
		l->held.failed = false;
	}
	lines_flush_if_due(l);
}

void lines_say(struct lines *l, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	lines_vsay(l, fmt, ap);
	va_end(ap);
}

void lines_complain(struct lines *l, const char *fmt, ...)
{
	struct strbuf line = STRBUF_INIT(LINE_BYTES);
	va_list ap;

	lines_flush(l);
	progress_clear(l->progress);
	va_start(ap, fmt);
	strbuf_vprintf(&line, fmt, ap);
	va_end(ap);
	if (strbuf_putc(&line, '\n') == 0 && !l->err_dead && !write_all(l->err, line.s, line.len))
		l->err_dead = true;
	strbuf_release(&line);
}

void lines_put(struct lines *l, struct slice line)
{
	if (line.n < FLUSH) {
		lines_say(l, "%.*s", (int)line.n, line.p);
		return;
	}
	lines_flush(l);
	write_out(l, line.p, line.n);
	write_out(l, "\n", 1);
}

int lines_check(const struct lines *l, struct err *e)
{
	if (!l->out_dead || l->out_errno == 0)
		return 0;
	errno = l->out_errno;
	return err_errno(e, "standard output");
}
