/*
 * The executor: does what the planner decided, one step at a time, each journalled before it can be seen. It alone changes stores.
 *
 * Copies go in groups: stage many, harden, commit their pairs as pending, publish; the pairs are settled in the next group's transaction. A message is removed at the
 * source only when its pair is settled: exec_remove refuses any other.
 *
 * A two-way job has two executors, one for each direction: `back` says that the source is the right side.
 */
#ifndef SYNC_EXEC_H
#define SYNC_EXEC_H

#include "base/arena.h"
#include "base/vec.h"
#include "state/pairs.h"
#include "store/store.h"
#include "sync/budget.h"
#include "sync/claims.h"
#include "sync/event.h"
#include "sync/plan.h"

#define EXEC_GROUP_MESSAGES 2048
#define EXEC_GROUP_BYTES (16u * 1024 * 1024)
#define EXEC_GROUP_FIRST 256 /* messages of the first group that another is sent behind: the target has nothing to do until it comes. Each next one may be twice as large */
#define EXEC_GROUP_MS 5000 /* on a slow link: what was read is durable after that long */

/* Where else the target holds a message, and what the base says of it there. */
struct elsewhere {
	const char *folder;
	struct slice key;
	struct staged as;     /* size, digest, raw */
	struct told told;
};

/* One message with something to do. */
struct work {
	uint64_t num;         /* at the source */
	struct slice key;     /* at the source; may be empty */
	uint64_t size;        /* as the source says; 0 unknown */
	unsigned acts;        /* enum plan_act */
	unsigned tries;       /* failed so often before */
	int64_t known;        /* the base has this pair under its key, and only the content will tell whether it is the same message; 0 none */
	int64_t pair;         /* the settled or published pair that stands for it: what makes a removal lawful; 0 none (yet) */
	bool again;           /* its removal was asked for before */
	bool unsure;          /* COPY of a fetch: its key alone does not tell whether it came before */
	bool doubtful;        /* the base has its key as one of a message whose removal was not confirmed */
	bool reused;          /* the base has its key as one of a message that was removed */
	/* Two-way. */
	uint64_t flags;       /* COPY: what the copy gets */
	int64_t date;         /* COPY: when it arrived at the source; 0 unknown */
	uint64_t add, del;    /* FLAG: at the target */
	struct told told;     /* COPY from the left, REMOVE_LEFT: what that says of it */
	const struct elsewhere *elsewhere; /* COPY: it need not be read; NULL: it must be */
	uint64_t agreed, was; /* both sides' flags when all is done: what the base is to say; and what it says now, of a pair */
};

struct exec_item;

/* Messages that are published as one. */
struct exec_group {
	struct exec_item *items;
	struct staged *staged;
	size_t n;
};

struct exec {
	/* Set by the engine. */
	struct store *src, *dst;
	struct db *db;
	int64_t folder;           /* row of the base */
	const char *folder_name;  /* for events */
	const char *right_name;   /* likewise, what the right calls it */
	const char *job;
	struct plan_policy policy;
	uint64_t flags;
	struct budget *budget;    /* of bytes on the wire; NULL: no end to it */
	int stop_at;
	bool two_way, back;
	enum event_sides sides;   /* two-way, for events */
	/* Two-way: a message that was just read may be one that the other side has already. 1: so it is, and all about it is done; 0 no, -1. May be NULL. */
	int (*twin)(void *arg, struct work *w, const struct staged *st, const struct told *told, struct err *e);
	void *twin_arg;
	/* Two-way: something of these works' flags must be in the base at the latest with the pairs that have them; a transaction is open. */
	int (*before_note)(void *arg, struct err *e);
	void *before_note_arg;
	int64_t run;              /* two-way: under this number it is noted what goes to the trash of the source (state/trashed.h); 0: it is not */
	int *steps;               /* counts the steps of all executors of a run; NULL: of this one */
	bool read_is_gone;        /* fetch: what is read and not delivered would not be had again (box_info) */
	bool sized;               /* fetch: the source was asked how large its messages are */
	int64_t earlier;          /* pairs up to this id are of earlier runs */
	const struct event_sink *sink;
	struct event_totals *totals;
	struct claims *claims;
	/* Private. */
	struct exec_item *items;  /* the group */
	struct staged *staged;
	size_t room;              /* for so many; EXEC_GROUP_MESSAGES at most */
	struct exec_group sent;   /* launched, and not landed */
	size_t sent_room;
	size_t most;              /* messages of the group, as large as it may be now */
	struct ident_reader *reader; /* two-way */
	struct status_reader *status; /* fetch, once one is unsure */
	size_t n;
	uint64_t bytes;
	msec_t begun;             /* when the group's first message was staged */
	size_t noted;             /* notes on single messages that wait in the open transaction */
	msec_t noting;            /* since when */
	int64_t unsettled_first, unsettled_last; /* pairs that are published and pending in the base; 0 none */
	VEC(int64_t) removed;     /* pairs whose message the source has marked for removal */
	uint64_t fresh;           /* of these, whose removal was not asked for before */
	unsigned suspects;        /* messages that may be why a session broke: at them it did, or their end was told wrongly; or that came empty. Noted as failures, and asked for after all others */
	VEC(uint64_t) left_out;   /* hashes of the keys of those that did it twice: for the next run */
	uint64_t missed;          /* messages that the source listed and did not give, without a word */
	uint64_t named;           /* copies of messages whose key the base had not: new ones, whatever they hold */
	uint64_t reused;          /* copies of messages under the key of one that was removed */
	uint64_t doubtful;        /* copies of messages under the key of one whose removal was asked for and not confirmed */
	uint64_t nameless_back;   /* of those given back, without a name: they may as well be new ones, with the same bytes */
	uint64_t given_back;      /* in this run: messages that were to be removed before, were gone, and are there again */
	uint64_t done, done_bytes, total;
	msec_t told;              /* when progress was last told */
	int step;
};

/* Tests stop the program before its n-th step; the next run must end as if it had not happened. */
void exec_step(struct exec *x, const char *what);

int exec_init(struct exec *x, struct err *e);
bool exec_leaves_out(const struct exec *x, struct slice key); /* a suspect: not again in this run */
void exec_forget_marks(struct exec *x); /* a new session: what was marked for removal in one that broke is not marked any more */
void exec_release(struct exec *x); /* abandons what is staged */

/* What an earlier run left pending: settle what the target has, drop the pairs of what it has not. */
int exec_recover(struct exec *x, struct err *e);
/* The same when the target's folder is there no more: drop them all. */
int exec_recover_none(struct exec *x, struct err *e);

/*
 * Copy the messages with PLAN_COPY. Items that fail alone are told, and noted by the time this returns, the rest goes on. What is to be removed afterwards keeps PLAN_REMOVE_LEFT with
 * ->pair set; of the others the act is taken away. On -1 what was complete is published as far as possible.
 * With a budget, no more is asked for than it allows by what the messages are said to be long; when it is used up, -1 as by budget_check.
 */
int exec_copy(struct exec *x, struct work *w, size_t n, struct err *e);

/*
 * The same, but the last of them may be on their way when this returns, with their pairs pending: so that something else that is asked of the target need not wait for its answers. exec_land follows,
 * whatever becomes of that, and w lives until then.
 */
int exec_send(struct exec *x, struct work *w, size_t n, struct err *e);
/* What is on its way has arrived; its pairs are settled, and what was noted of single messages is in the base. */
int exec_land(struct exec *x, struct err *e);

/* Two-way: change flags at the target as PLAN_FLAG_LEFT or _RIGHT says, and note in the base what both sides agree on then (->agreed). Of those that were done the act is taken away, and ->was is what the base says now. */
int exec_flags(struct exec *x, struct work *w, size_t n, struct err *e);

/* Mark the messages with PLAN_REMOVE_LEFT (of the executor that goes back: _RIGHT) at the source, or move them to its trash. Nothing but that is final before exec_commit; two-way it may be, and exec_commit follows at once. */
int exec_remove(struct exec *x, const struct work *w, size_t n, struct err *e);

/*
 * Settle all pairs; make removals final and note that in the base. *removed: how many. The source's box is closed if there were any, and also when `finish`
 * says that the source must hear of a good end all the same. Pairs that are gone since before `purge` (0: none) are dropped from the base on the way.
 */
int exec_commit(struct exec *x, bool finish, int64_t purge, uint64_t *removed, struct err *e);

/*
 * The session broke: settle what is known to be published. By the next run a mail reader may have moved or deleted it, and to exec_recover it would look as if it had
 * never come. What can't be settled is left to exec_recover all the same.
 */
void exec_settle(struct exec *x);

#endif
