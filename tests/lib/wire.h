/* What the tests of dialogues share. */
#ifndef TESTS_WIRE_H
#define TESTS_WIRE_H

#include "unit.h"

#include "net/stream.h"

/* No byte of an error text may do anything to a terminal. */
static inline void assert_printable(const char *text)
{
	for (const char *p = text; *p; p++)
		assert_true((unsigned char)*p >= 0x20 && *p != 0x7f);
}

static inline int wire_closed_write(struct stream *s, const void *buf, size_t n, struct err *e)
{
	(void)s;
	(void)buf;
	(void)n;
	return err_set(e, ERR_TEMP, "connection lost: Broken pipe");
}

/* The link's other end is closed from now on; ops: room for what it does then. */
static inline void wire_close(struct stream *s, struct stream_ops *ops)
{
	*ops = *s->ops;
	ops->write = wire_closed_write;
	s->ops = ops;
}

#endif
