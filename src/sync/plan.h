/*
 * The planner: what each message's three trees (base, left, right) and the policy ask for. A pure function: no I/O, no clock, no memory of its own.
 * Left is the source or remote side, right the target or local side.
 */
#ifndef SYNC_PLAN_H
#define SYNC_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum plan_mode { PLAN_FETCH, PLAN_SYNC };

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
	PLAN_COPY_BACK = 32,  /* right to left */
	PLAN_REMOVE_RIGHT = 64,
	PLAN_FLAG_LEFT = 128, /* give it these flags */
	PLAN_FLAG_RIGHT = 256,
	PLAN_PAIR = 512,      /* both sides hold it and the base does not know: one message from now on */
};

/* The acts (enum plan_act, or-ed) for one message of a fetch. */
unsigned plan_message(const struct plan_policy *p, const struct plan_msg *m);

/* Two-way: what may be done to a side. */
struct plan_side_policy {
	bool may_add;      /* messages of the other side are copied to it */
	bool may_remove;   /* what was deleted on the other side is deleted here; else it stays, and is no new message */
	uint64_t can_hold; /* flags that the side knows at all (PERMANENTFLAGS, mail/flags.h): of others its silence means nothing */
	uint64_t may_flag; /* flags that may be changed here: none in a read-only folder */
	uint64_t max_size; /* bytes of a message that is copied to it; 0: no limit */
	int64_t oldest;    /* messages of before then are not copied to it, seconds since 1970; 0: no limit */
};

struct plan_sync_policy {
	struct plan_side_policy left, right;
	bool take_left;    /* what is on the right, durably, with its flags and in the base, is removed at the left */
	uint64_t anew;     /* flags of which the base proves nothing any more, as when both sides meet first: whoever shows one has it, and nobody has taken it away */
	int64_t now;
};

struct plan_sync_side {
	bool present;
	uint64_t flags;
	uint64_t size;     /* 0 unknown */
	int64_t date;      /* when it arrived; 0 unknown */
};

struct plan_sync_msg {
	bool known;        /* the base has it: once both sides did */
	uint64_t flags;    /* in the base */
	struct plan_sync_side left, right;
	int64_t retry_at;  /* a copy that failed in an earlier run: not before then; 0 none */
};

struct plan_sync {
	unsigned acts;               /* enum plan_act, or-ed */
	uint64_t left, right, base;  /* flags when all is done; of the base also without an act */
};

/*
 * What one message asks for. Flags are merged one by one: who differs from the base has changed it. A deletion wins over a change of flags, and only the base
 * can prove one: what is on one side alone and not in the base is new. Limits leave messages out; they never delete.
 */
struct plan_sync plan_sync(const struct plan_sync_policy *p, const struct plan_sync_msg *m);

/* Whether deleting so many of a folder's messages passes the limit (max-delete): more than both, the share and the count. */
struct plan_max_delete {
	bool none;         /* no limit */
	unsigned percent;
	uint64_t count;
};
bool plan_deletes_too_many(const struct plan_max_delete *max, uint64_t deletions, uint64_t messages);

#endif
