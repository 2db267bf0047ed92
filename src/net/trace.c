/* The traffic as a person can read it: see trace.h. */
#include "net/trace.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/slice.h"

#define LINES_MAX 40 /* lines shown per direction change */
#define SHOWN_MAX 400 /* bytes shown of a line */

enum { SENT, RECEIVED };

/* One direction: the line that is being put together, and what has not been shown. */
struct side {
	char line[SHOWN_MAX];
	size_t shown, dropped; /* bytes of the line */
	bool blanked;          /* "<secret>" stands at its end */
	bool begun;
	unsigned lines;        /* since the direction changed */
	uint64_t hidden;       /* bytes of lines beyond the budget */
};

struct trace {
	struct stream s;
	struct side side[2];
	int last;
	bool secret;
	trace_filter *filter;
	const void *arg;
};

static const char marks[2] = { '>', '<' };

/* Tell how much was not shown. */
static void show_hidden(struct trace *t, int dir)
{
	struct side *d = &t->side[dir];

	if (d->hidden > 0)
		log_at(LOG_WIRE, "%c (%llu bytes)", marks[dir], (unsigned long long)d->hidden);
	d->hidden = 0;
}

/* Show the line that has been put together. */
static void show_line(struct trace *t, int dir)
{
	struct side *d = &t->side[dir];
	struct strbuf room = STRBUF_INIT(2 * SHOWN_MAX);
	struct slice line = slice_of(d->line, d->shown);
	int n;

	if (!d->begun)
		return;
	if (line.n > 0 && d->dropped == 0 && d->line[line.n - 1] == '\r')
		line.n--;
	if (dir == RECEIVED && t->filter)
		line = t->filter(t->arg, line, &room);
	n = (int)line.n;
	if (++d->lines > LINES_MAX)
		d->hidden += d->shown + d->dropped + 1;
	else if (d->dropped > 0)
		log_at(LOG_WIRE, "%c %.*s... (%zu bytes more)", marks[dir], n, line.p, d->dropped);
	else
		log_at(LOG_WIRE, "%c %.*s", marks[dir], n, line.p);
	strbuf_release(&room);
	explicit_bzero(d->line, d->shown);
	d->shown = d->dropped = 0;
	d->blanked = d->begun = false;
}

/* Bytes (no LF among them) of the current line. */
static void add(struct side *d, const char *p, size_t n)
{
	size_t room = sizeof(d->line) - d->shown, take = n < room ? n : room;

	memcpy(d->line + d->shown, p, take);
	d->shown += take;
	d->dropped += n - take;
	d->begun = true;
}

/* Take part in what passes. A line is shown when it is complete. */
static void pass(struct trace *t, int dir, const char *p, size_t n)
{
	static const char blank[] = "<secret>";
	struct side *d = &t->side[dir];

	if (!log_on(LOG_WIRE))
		return;
	if (t->last != dir) {
		show_hidden(t, t->last);
		d->lines = 0;
		t->last = dir;
	}
	while (n > 0) {
		const char *lf = memchr(p, '\n', n);
		size_t part = lf ? (size_t)(lf - p) : n;

		if (!t->secret) {
			add(d, p, part);
			d->blanked = false;
		} else if (!d->blanked && (part > 0 || !d->begun)) {
			add(d, blank, sizeof(blank) - 1);
			d->blanked = true;
		}
		if (lf) {
			d->begun = true;
			show_line(t, dir);
			part++;
		}
		p += part;
		n -= part;
	}
}

/* stream_ops.read */
static ssize_t trace_read(struct stream *s, void *buf, size_t n, struct err *e)
{
	ssize_t r = stream_read(s->next, buf, n, e);

	if (r > 0)
		pass((struct trace *)s, RECEIVED, buf, (size_t)r);
	return r;
}

/* stream_ops.write */
static int trace_write(struct stream *s, const void *buf, size_t n, struct err *e)
{
	pass((struct trace *)s, SENT, buf, n);
	return stream_write(s->next, buf, n, e);
}

/* stream_ops.flush: nothing is held back here. */
static int trace_flush(struct stream *s, struct err *e)
{
	(void)s;
	(void)e;
	return 0;
}

/* stream_ops.shut */
static void trace_shut(struct stream *s)
{
	(void)s;
}

/* stream_ops.free: what was begun is shown, too. */
static void trace_free(struct stream *s)
{
	struct trace *t = (struct trace *)s;

	for (int dir = SENT; dir <= RECEIVED; dir++) {
		show_line(t, dir);
		show_hidden(t, dir);
	}
	explicit_bzero(t, sizeof(*t));
	free(t);
}

const struct stream_ops trace_ops = {
	.name = "trace",
	.read = trace_read,
	.write = trace_write,
	.flush = trace_flush,
	.shut = trace_shut,
	.free = trace_free,
};

/* A trace over a stream. */
struct stream *trace_over(struct stream *below, struct err *e)
{
	struct trace *t = calloc(1, sizeof(*t));

	if (!t) {
		err_set(e, ERR_LOCAL, "out of memory");
		stream_free(below);
		return NULL;
	}
	t->s = (struct stream){ .ops = &trace_ops, .next = below };
	return &t->s;
}

/* Filter what was read. */
void trace_blank(struct stream *s, trace_filter *filter, const void *arg)
{
	struct trace *t = (struct trace *)stream_find(s, &trace_ops);

	if (!t)
		return;
	t->filter = filter;
	t->arg = arg;
}

/* Begin or end to blank. */
void trace_secret(struct stream *s, bool on)
{
	struct trace *t = (struct trace *)stream_find(s, &trace_ops);

	if (t)
		t->secret = on;
}
