/* Events as JSON Lines (RFC 8259, UTF-8): every event has "event", "job", "time"; the rest as doc/mailhaul.1 lists it. */
#ifndef UI_JSONL_H
#define UI_JSONL_H

#include "base/strbuf.h"
#include "sync/event.h"

/* One line with its LF; nothing for PROGRESS. -1: it does not fit, *out is as before (and has failed). */
int jsonl_event(struct strbuf *out, const struct event *ev);
/*
 * A JSON string; bytes that are no UTF-8 become U+FFFD. Controls, and what turns the direction of text or is invisible, are escaped, so that a line can be
 * shown on a terminal as it is. NULL is "".
 */
int jsonl_string(struct strbuf *out, const char *s);
/* Seconds since 1970 as RFC 3339 has it, UTC: "2026-03-01T14:05:07Z", quoted. */
int jsonl_time(struct strbuf *out, int64_t t);

#endif
