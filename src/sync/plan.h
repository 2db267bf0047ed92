/*
 * The planner: what each message's three trees (base, left, right) and the policy ask for. A pure function: no I/O, no clock, no memory of its own.
 * Left is the source or remote side, right the target or local side.
 */
#ifndef SYNC_PLAN_H
#define SYNC_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum plan_mode { PLAN_FETCH };

enum plan_keep { KEEP_NO, KEEP_YES, KEEP_AGE };

struct plan_policy {
	enum plan_mode mode;
	enum plan_keep keep;
	int64_t keep_seconds; /* KEEP_AGE: counted from our download */
	uint64_t max_size;    /* bytes; 0: no limit */
	bool no_remove;       /* the source must not be asked to remove (Gmail's recent mode) */
	int64_t now;          /* seconds since 1970 */
};

/* What the base knows of a message. */
struct plan_base {
	bool exists;          /* there is a pair: it was delivered, durably */
	bool sure;            /* the key alone proves that it is the same message. Else (short UIDLs, which servers give again; a key that was gone) only its content does */
	bool gone;            /* the source had dropped it: that it is there again is odd */
	int64_t made;         /* when it was delivered, seconds since 1970 */
};

/* What a side shows of it now. */
struct plan_side {
	bool present;
	uint64_t size;        /* 0 unknown */
};

struct plan_msg {
	struct plan_base base;
	struct plan_side left;
	int64_t retry_at;     /* a failure of an earlier run: not before then; 0 none */
};

enum plan_act {
	PLAN_NOTHING = 0,
	PLAN_COPY = 1,        /* left to right; where the content turns out to be in the base, nothing is copied and the planner is asked again, now sure */
	PLAN_REMOVE_LEFT = 2, /* together with COPY: once the copy is durable and its pair committed */
	PLAN_FORGET = 4,      /* the message is gone from the left: mark its pair so */
	PLAN_SKIP = 8,        /* too large: leave it, name it */
	PLAN_WAIT = 16,       /* refused earlier, and not yet time to try again */
};

/* The acts (enum plan_act, or-ed) for one message. */
unsigned plan_message(const struct plan_policy *p, const struct plan_msg *m);

#endif
