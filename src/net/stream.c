/* What holds for every stream: see stream.h. */
#include "net/stream.h"

/* The time a clean end may take before the connection is simply closed. */
#define SHUT_MS 1000

/* Read what is there, at least one byte. */
ssize_t stream_read(struct stream *s, void *buf, size_t n, struct err *e)
{
	return s->ops->read(s, buf, n, e);
}

/* Write everything; the layer may hold it back until the flush. */
int stream_write(struct stream *s, const void *buf, size_t n, struct err *e)
{
	return n == 0 ? 0 : s->ops->write(s, buf, n, e);
}

/*
 * Send what the layers hold back, top to bottom, since a layer's flush writes into the one below.
 */
int stream_flush(struct stream *s, struct err *e)
{
	for (; s; s = s->next)
		if (s->ops->flush(s, e) < 0)
			return -1;
	return 0;
}

/* Hand the deadline down to the layer that waits. */
void stream_set_deadline(struct stream *s, msec_t deadline)
{
	for (; s; s = s->next)
		if (s->ops->set_deadline)
			s->ops->set_deadline(s, deadline);
}

/* The descriptor below all. */
int stream_fd(struct stream *s)
{
	while (s && s->next)
		s = s->next;
	return s && s->ops->fd ? s->ops->fd(s) : -1;
}

/* Say good-bye in every layer. */
void stream_shut(struct stream *s)
{
	if (!s)
		return;
	stream_set_deadline(s, clock_in(SHUT_MS));
	for (; s; s = s->next)
		s->ops->shut(s);
}

/* Free the stack. */
void stream_free(struct stream *s)
{
	while (s) {
		struct stream *next = s->next;

		s->ops->free(s);
		s = next;
	}
}

/* The topmost layer of a kind. */
struct stream *stream_find(struct stream *s, const struct stream_ops *ops)
{
	while (s && s->ops != ops)
		s = s->next;
	return s;
}

/* Nothing is written to a layer that is only read. */
int stream_cannot_write(struct stream *s, const void *buf, size_t n, struct err *e)
{
	(void)buf;
	(void)n;
	return err_set(e, ERR_BUG, "a %s can't be written", s->ops->name);
}

/* So there is nothing to flush. */
int stream_no_flush(struct stream *s, struct err *e)
{
	(void)s;
	(void)e;
	return 0;
}

/* And nothing to say at its end. */
void stream_no_shut(struct stream *s)
{
	(void)s;
}
