/*
 * A source and a target in memory, rigged to misbehave on order. What they hold is a `struct fake_world` in shared memory, which outlives the store objects and
 * the processes that use them: a test forks a run, lets it die, and looks at what is left.
 *
 * The world keeps its own books. It counts as `lost` each removal of a message that had no durable copy at the target at that moment, and as `misuse` each call
 * that breaks the contract of store.h.
 */
#ifndef TESTS_FAKESTORE_H
#define TESTS_FAKESTORE_H

#include "store/store.h"

#define FAKE_MESSAGES 24000
#define FAKE_COPIES 24000
#define FAKE_STAGED 2100
#define FAKE_CRASH 101 /* exit status of a process that the world stopped */

enum fake_keys {
	FAKE_LONG,     /* as RFC 1939 wants them */
	FAKE_SHORT,    /* stay with their message, but are too short to be trusted */
	FAKE_NUMBER,   /* the message number: given again as soon as a message goes */
	FAKE_NONE,     /* no UIDL */
	FAKE_CHANGING, /* others in each session */
	FAKE_DOUBLE,   /* every third is given to two messages: then it names neither */
	FAKE_KEYS
};

/* A message in the maildrop, or once there. */
struct fake_msg {
	uint32_t content;      /* equal: the same bytes */
	uint32_t size;         /* of the body's filling */
	uint64_t says;         /* the size that the listing gives; 0: the true one */
	bool removed;          /* by a commit of ours */
	bool taken;            /* by somebody else */
	bool marked, read, popped;
	unsigned refuse;       /* so many times it can't be had */
	unsigned refuse_remove;
};

/* A copy at the target. */
struct fake_copy {
	uint32_t content;
	uint32_t name;         /* its key is "fake-NAME" */
	bool durable;          /* a power cut takes the others */
};

enum fake_commit {
	FAKE_COMMIT_OK,
	FAKE_COMMIT_IGNORED,     /* says yes, removes nothing */
	FAKE_COMMIT_LOST_AFTER,  /* removed, but the answer is lost; the next commit is fine */
	FAKE_COMMIT_LOST_BEFORE, /* not removed; the next commit is fine */
};

enum fake_op { FAKE_OP_NONE, FAKE_OP_OPEN, FAKE_OP_STAGE, FAKE_OP_HARDEN, FAKE_OP_PUBLISH, FAKE_OP_RECOVER, FAKE_OPS };

struct fake_world {
	/* The source. */
	struct fake_msg src[FAKE_MESSAGES];
	size_t n_src;
	enum fake_keys keys;
	bool stamps, sizes_unknown;
	size_t batch;            /* lists so many at a time, what was read before a commit no more (Gmail); 0: all */
	bool no_remove;
	enum fake_commit commit;
	uint64_t cut_after_bytes; /* the link breaks once, after so many; 0 never */
	unsigned cut_after_steps; /* the link breaks once, at the n-th answer; 0 never */
	bool cut_again;           /* and then again after as many */
	uint64_t cut_bytes_left;
	unsigned cut_steps_left;
	unsigned session;
	unsigned garbage_behind;  /* what comes behind this body of a session makes no sense, 1 the first; 0 never */
	/* The target. */
	struct fake_copy dst[FAKE_COPIES];
	size_t n_dst;
	enum fake_op fail_op;    /* fails at its fail_at-th call, as a full disk does; once */
	unsigned fail_at, fail_calls;
	unsigned publish_first;  /* of a publish that fails: so many become visible */
	uint32_t reject;         /* the target won't have this content (one message's failure); 0 none */
	bool fat;                /* says of each copy that it is very large: small groups */
	uint32_t names;
	unsigned dropped, dropped_most; /* unstaged since the last publish or abandon */
	/* Dying. */
	unsigned crash_at, steps; /* the process ends at the n-th step inside these stores */
	/* Books. */
	unsigned lost, misuse;
	char why[200];           /* of the first misuse */
	unsigned lists, reads, commits, src_opens, dst_opens, removes;
};

struct fake_world *fake_world_new(void); /* shared, empty, with long keys */
void fake_world_free(struct fake_world *w);
void fake_world_clear(struct fake_world *w);

/* Put a message into the maildrop; its number in the world. */
size_t fake_add(struct fake_world *w, uint32_t content, uint32_t size);
size_t fake_present(const struct fake_world *w); /* messages that are in the maildrop */
size_t fake_copies(const struct fake_world *w, uint32_t content);
void fake_power_cut(struct fake_world *w); /* what was not durable is gone */
void fake_calm(struct fake_world *w);      /* no more cuts, failures, crashes */
void fake_cut_start(struct fake_world *w); /* wind the counters of cut_after_* up */

struct store *fake_source(struct fake_world *w);
struct store *fake_target(struct fake_world *w);

#endif
