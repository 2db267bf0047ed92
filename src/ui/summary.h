/* What jobs did, in words. */
#ifndef UI_SUMMARY_H
#define UI_SUMMARY_H

#include "base/strbuf.h"
#include "sync/event.h"

/*
 * "12 messages fetched, 1 failed": what is not 0. dry: what would be done, and how many bytes are to be fetched (0 not known). What is fetched is deleted on the server only; a
 * two-way job says on -v where; one_way: a migration copies. Returns whether there was anything.
 */
bool summary_totals(struct strbuf *b, const struct event_totals *t, bool two_way, bool one_way, bool dry, uint64_t planned_bytes);

/*
 * Of a verify: "both sides agree: 1,234 messages in 12 folders", or "they differ: 3 missing at the target, 1 with other flags; 1,234 messages in 12 folders are the same"; of one
 * folder only in what it differs ("" not at all).
 */
void summary_verify(struct strbuf *b, const struct event_compared *c, uint64_t failed, enum event_sides sides);
void summary_drift(struct strbuf *b, const struct event_compared *c, enum event_sides sides);

/* "; 3.4 MB, 1.2 s, 7 round trips"; what goes both ways is "3.4 MB in, 1.0 kB out" */
void summary_cost(struct strbuf *b, const struct event_totals *t, bool two_way);

/* What is counted in words is added up. */
void summary_add(struct event_totals *sum, const struct event_totals *t);

#endif
