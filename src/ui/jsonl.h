/* Events as JSON Lines (RFC 8259, UTF-8): every event has "event", "job", "time"; the rest as doc/mailhaul.1 lists it. */
#ifndef UI_JSONL_H
#define UI_JSONL_H

#include "base/strbuf.h"
#include "sync/event.h"

/* One line with its LF; nothing for PROGRESS. */
int jsonl_event(struct strbuf *out, const struct event *ev);
/* A JSON string; bytes that are no UTF-8 become U+FFFD. */
int jsonl_string(struct strbuf *out, const char *s);

#endif
