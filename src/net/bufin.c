/* Buffered reading: see bufin.h. */
#include "net/bufin.h"

#include <stdlib.h>
#include <string.h>

/* Start with an empty buffer over s. */
int bufin_init(struct bufin *in, struct stream *s, struct err *e)
{
	*in = (struct bufin){ .s = s, .buf = malloc(BUFIN_SIZE) };
	if (!in->buf)
		return err_set(e, ERR_LOCAL, "out of memory");
	return 0;
}

/* Free the buffer, wiped: logins may have been answered through it. */
void bufin_release(struct bufin *in)
{
	if (in->buf)
		explicit_bzero(in->buf, BUFIN_SIZE);
	free(in->buf);
	*in = (struct bufin){ 0 };
}

/* How much was read but not taken. */
size_t bufin_pending(const struct bufin *in)
{
	return in->end - in->pos;
}

/* Read once behind what is at hand, making room at the front first. Returns 1, 0 at the end, -1. */
static int fill(struct bufin *in, struct err *e)
{
	ssize_t n;

	if (in->pos == in->end) {
		in->pos = in->end = 0;
	} else if (in->end == BUFIN_SIZE) {
		if (in->pos == 0)
			return err_set(e, ERR_PROTO, "more than %d bytes in one piece", BUFIN_SIZE);
		memmove(in->buf, in->buf + in->pos, in->end - in->pos);
		in->end -= in->pos;
		in->pos = 0;
	}
	if (in->eof)
		return 0;
	n = stream_read(in->s, in->buf + in->end, BUFIN_SIZE - in->end, e);
	if (n < 0)
		return -1;
	if (n == 0) {
		in->eof = true;
		return 0;
	}
	in->end += (size_t)n;
	return 1;
}

/* What is at hand; read when there is nothing. */
int bufin_avail(struct bufin *in, struct slice *out, struct err *e)
{
	int r = in->pos < in->end ? 1 : fill(in, e);

	if (r > 0)
		*out = slice_of(in->buf + in->pos, in->end - in->pos);
	return r;
}

/* Take n bytes of those at hand. */
void bufin_take(struct bufin *in, size_t n)
{
	size_t have = bufin_pending(in);

	in->pos += n < have ? n : have;
}

/* A longer run than is at hand. */
int bufin_more(struct bufin *in, struct slice *out, struct err *e)
{
	int r = fill(in, e);

	if (r > 0)
		*out = slice_of(in->buf + in->pos, in->end - in->pos);
	return r;
}

/* Cut the line of n bytes (with its LF) off the front. */
static void take_line(struct bufin *in, size_t n, struct slice *line, bool *crlf)
{
	const char *p = in->buf + in->pos;
	bool cr = n >= 2 && p[n - 2] == '\r';

	*line = slice_of(p, n - (cr ? 2 : 1));
	if (crlf)
		*crlf = cr;
	in->pos += n;
}

/*
 * The next line. What was searched once is not searched again, so bytes that trickle cost no more
 * than those that flood.
 */
int bufin_line(struct bufin *in, size_t max, struct slice *line, bool *crlf, struct err *e)
{
	size_t seen = 0;

	if (max > BUFIN_SIZE)
		max = BUFIN_SIZE;
	for (;;) {
		size_t have = bufin_pending(in), look = have < max ? have : max;
		const char *p = in->buf + in->pos;
		const char *lf = look > seen ? memchr(p + seen, '\n', look - seen) : NULL;
		int r;

		if (lf) {
			take_line(in, (size_t)(lf - p) + 1, line, crlf);
			return 1;
		}
		if (have >= max)
			return err_set(e, ERR_PROTO, "line longer than %zu bytes", max);
		seen = look;
		r = fill(in, e);
		if (r < 0)
			return -1;
		if (r == 0 && have == 0)
			return 0;
		if (r == 0)
			return err_set(e, ERR_TEMP, "connection closed in the middle of a line");
	}
}
