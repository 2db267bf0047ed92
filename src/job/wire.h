/*
 * What a worker tells its parent, over a pipe: records of length (4 bytes: of what follows it), type (1 byte), and fields, each encoded by itself (numbers as
 * 8 bytes little-endian, strings with a 4-byte length). No structs, no pointers; a record is at most WIRE_MAX bytes, and one that doesn't decode is an error.
 */
#ifndef JOB_WIRE_H
#define JOB_WIRE_H

#include "base/log.h"
#include "base/strbuf.h"
#include "sync/event.h"

#define WIRE_MAX 16384
#define WIRE_TEXT 3072 /* bytes of a string; longer ones are cut, between characters */

/* -1: no memory, or the buffer's limit; nothing of the record is in it then. */
int wire_put_event(struct strbuf *out, const struct event *ev);
int wire_put_log(struct strbuf *out, enum log_level level, const char *context, const char *text);

struct wire_sink {
	struct event_sink events;
	log_sink *log;
	void *log_arg;
};

/* Hand every whole record in *in to the sinks and drop it from *in. -1 (ERR_BUG) when the stream is no records: what came before was handed on. */
int wire_take(struct strbuf *in, const struct wire_sink *sinks, struct err *e);

#endif
