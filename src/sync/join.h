/*
 * The three trees of a folder laid over each other: what looks tell of both sides, against the base. What is as the base says is left out, so that what is held
 * in memory is what has changed.
 */
#ifndef SYNC_JOIN_H
#define SYNC_JOIN_H

#include "base/arena.h"
#include "base/vec.h"
#include "mail/ident.h"
#include "state/pairs.h"
#include "store/store.h"
#include "sync/plan.h"

/* The content of a message that the right holds. */
struct content {
	struct ident id;
	uint64_t size; /* as stored there */
};

/* A message of which one side, or both, show something else than the base. */
struct joined {
	int64_t pair;             /* in the base; 0: the base has it not, and one side alone holds it, or both, as adopt.c has found */
	struct slice left, right; /* keys; empty where that side never held it */
	struct plan_sync_msg m;   /* retry_at is not set */
	bool taken;               /* over from another program, which noted this pair and these flags (takeover.c); the base is to be told */
	bool rekey;               /* the left calls it by this key now, which the base is to be told */
	bool moving;              /* it is part of a move (moves.h), and asks for nothing */
	const struct content *content; /* where adopt.c or lookahead.c has read it; else NULL */
	struct told told;         /* what the left says of it, of one that the base has not, or that it calls by another key now; of what the right alone has, what that says */
};

/* What the left says of a message of the base, the first time since it is there. */
struct join_told {
	int64_t pair;
	struct told told;
};

static inline struct slice joined_key(const struct joined *row, int side)
{
	return side == PAIR_LEFT ? row->left : row->right;
}

static inline const struct plan_sync_side *joined_side(const struct joined *row, int side)
{
	return side == PAIR_LEFT ? &row->m.left : &row->m.right;
}

struct join_seen;

struct join {
	struct arena arena;       /* keys; the base's own are copied, too */
	VEC(struct join_seen) sides[2];
	VEC(struct joined) rows;
	VEC(struct join_told) told;
	uint64_t fresh[2];        /* messages of a side that the base has not */
};

#define JOIN_INIT { .arena = ARENA_INIT((size_t)1 << 32) }

/*
 * Read the look that stands at a box of s to its end. Not for one that is reborn. A message that a listing gives twice counts once, with what was said last; one
 * that is in the base as pending is left alone.
 */
int join_side(struct join *j, enum pair_side side, struct store *s, const struct box_info *info, struct db *db, int64_t folder, struct err *e);

/* Has what was read of a side shown anything that the base has not? */
bool join_shows(const struct join *j, enum pair_side side);

/* A message of a side that the base has not. */
struct join_key {
	struct slice key;
	uint64_t flags;
};

/* Before join_rows: the next of these, from *at on, which begins with 0 and is behind it afterwards; false: there are no more. join_learned: what it is. */
bool join_next_fresh(const struct join *j, enum pair_side side, size_t *at, struct join_key *out);
void join_learned(struct join *j, enum pair_side side, size_t at, const struct content *c);

/* Both sides are read: fill j->rows. A side that was not looked at is as the base says. */
int join_rows(struct join *j, struct err *e);

/* What one side alone holds, and the other alone, is one message: the left's row stands for both. */
void join_unite(struct joined *left, const struct joined *right);

/* Every pair of the folder gets a row, of which that side shows nothing and the other one what it shows, or the base. After join_rows. */
int join_unfold(struct join *j, enum pair_side gone, struct db *db, int64_t folder, struct err *e);

/* Every pair of the folder of which there is no row gets one: both sides are as the base says. After join_rows. */
int join_whole(struct join *j, struct db *db, int64_t folder, struct err *e);

void join_release(struct join *j);

#endif
