/*
 * Shows protocol lines (log level WIRE), with secrets blanked: the protocol layer brackets what it must not show by trace_secret(true/false).
 * Bodies are shown as "(N bytes)" runs: lines beyond a budget per direction change are counted, not shown.
 */
#ifndef NET_TRACE_H
#define NET_TRACE_H

#include <stdbool.h>

#include "base/strbuf.h"
#include "net/stream.h"

/* Owns `below`; frees it on failure. */
struct stream *trace_over(struct stream *below, struct err *e);

/* While on, written bytes are shown as "<secret>"; read bytes too (challenges). Finds the trace layer in the stack; nothing when there is none. */
void trace_secret(struct stream *s, bool on);

/* A line that was read as it may be shown: itself, or put into room. */
typedef struct slice trace_filter(const void *arg, struct slice line, struct strbuf *room);

/* From here on pass what was read through a filter first; NULL: no more. arg is borrowed. */
void trace_blank(struct stream *s, trace_filter *filter, const void *arg);

extern const struct stream_ops trace_ops;

#endif
