/* A stream out of memory, for tests and fuzzing: see stream.h. */
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "net/stream.h"

struct memstream {
	struct stream s;
	const char *p; /* borrowed */
	size_t n, step;
	struct strbuf *written;
};

/* stream_ops.read: at most step bytes. */
static ssize_t mem_read(struct stream *s, void *buf, size_t n, struct err *e)
{
	struct memstream *m = (struct memstream *)s;

	(void)e;
	if (n > m->step)
		n = m->step;
	if (n > m->n)
		n = m->n;
	if (n > 0)
		memcpy(buf, m->p, n);
	m->p += n;
	m->n -= n;
	return (ssize_t)n;
}

/* stream_ops.write */
static int mem_write(struct stream *s, const void *buf, size_t n, struct err *e)
{
	struct memstream *m = (struct memstream *)s;

	if (m->written && strbuf_put(m->written, buf, n) < 0)
		return err_set(e, ERR_LOCAL, "out of memory");
	return 0;
}

/* stream_ops.flush */
static int mem_flush(struct stream *s, struct err *e)
{
	(void)s;
	(void)e;
	return 0;
}

/* stream_ops.shut */
static void mem_shut(struct stream *s)
{
	(void)s;
}

/* stream_ops.free */
static void mem_free(struct stream *s)
{
	free(s);
}

static const struct stream_ops mem_ops = {
	.name = "memory",
	.read = mem_read,
	.write = mem_write,
	.flush = mem_flush,
	.shut = mem_shut,
	.free = mem_free,
};

/*
 * A stream that reads the n bytes at p (which must live as long); step 0 means as many as wanted.
 */
struct stream *memstream_new(const void *p, size_t n, size_t step, struct strbuf *written)
{
	struct memstream *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->s.ops = &mem_ops;
	m->p = p;
	m->n = n;
	m->step = step ? step : (size_t)-1;
	m->written = written;
	return &m->s;
}
