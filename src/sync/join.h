/*
 * The three trees of a folder laid over each other: what looks tell of both sides, against the base. What is as the base says is left out, so that what is held
 * in memory is what has changed. Of what is new that is little until it becomes a row: mostly nobody needs all of it at once.
 */
#ifndef SYNC_JOIN_H
#define SYNC_JOIN_H

#include "base/arena.h"
#include "base/vec.h"
#include "mail/ident.h"
#include "state/pairs.h"
#include "store/store.h"
#include "sync/roll.h"
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
	struct roll news[2];   /* what a side has that the base has not, and that is no row yet; after join_rows in the order in which it is copied */
	bool in_order[2];         /* that in which it was told */
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

/* What was read of a side is forgotten: it is looked at once more. Before join_rows. */
void join_forget(struct join *j, enum pair_side side);

/* Both sides are read: fill j->rows, but for what the base has not. A side that was not looked at is as the base says. */
int join_rows(struct join *j, struct err *e);

/* What the base has not becomes rows, too, and these come first, the left's before the right's, and of each the oldest: whoever compares messages needs them all at once. After join_rows; places of rows are others then. */
int join_spread(struct join *j, struct err *e);

/*
 * All that is new and all rows, in this order: how many, and the i-th. What is no row is put into *fresh, and nobody hears of what is changed there; its keys last as long as the join.
 */
size_t join_count(const struct join *j);
struct joined *join_at(struct join *j, size_t i, struct joined *fresh);

/* What one side alone holds, and the other alone, is one message: the left's row stands for both. */
void join_unite(struct joined *left, const struct joined *right);

/* Every pair of the folder gets a row, of which that side shows nothing and the other one what it shows, or the base. After join_rows. */
int join_unfold(struct join *j, enum pair_side gone, struct db *db, int64_t folder, struct err *e);

/* Every pair of the folder of which there is no row gets one: both sides are as the base says. After join_rows. */
int join_whole(struct join *j, struct db *db, int64_t folder, struct err *e);

void join_release(struct join *j);

#endif
