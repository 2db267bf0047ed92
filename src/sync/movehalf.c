/*
 * Moves at a migration's target that a run began and did not end: where a move takes two steps (COPY, an mbox) the message may be in both folders then. Each is noted before it is begun; what is
 * proven to be in both is removed where it was.
 */
#include "sync/moves.h"

#include <string.h>

#include "state/moving.h"
#include "sync/candidates.h"

int movehalf_note(struct twoway *g, const struct move *m, size_t n, struct err *e)
{
	if (!g->p->one_way || m->side != RIGHT)
		return 0;
	if (db_begin(g->db, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		const struct moving x = { .from = m[i].from.box->f->base.id, .right = place_row(m[i].from)->right, .to = m[i].to.box->f->base.id };

		if (m[i].end == MOVE_UNKNOWN && moving_put(g->db, &x, e) < 0) {
			db_rollback(g->db);
			return -1;
		}
	}
	return db_commit(g->db, e);
}

int movehalf_ended(struct twoway *g, const struct move *m, struct err *e)
{
	if (!g->p->one_way || m->side != RIGHT || m->end == MOVE_UNKNOWN)
		return 0;
	return moving_drop(g->db, m->from.box->f->base.id, place_row(m->from)->right, e);
}

/* ---- finding them ---- */

static struct box *box_of(struct twoway *g, int64_t folder)
{
	for (size_t i = 0; i < g->boxes.n; i++)
		if (g->boxes.a[i].f->base.id == folder)
			return &g->boxes.a[i];
	return NULL;
}

/* A note of an earlier run. Where a folder can't be looked into it stays. */
static int take_note(void *arg, const struct moving *m, struct err *e)
{
	struct twoway *g = arg;
	struct box *from = box_of(g, m->from), *to = box_of(g, m->to);
	struct half h = { .from = { from, SIZE_MAX }, .to = to };

	if (!from || !to || from->failed || to->failed)
		return 0;
	h.key = arena_slice(&from->join.arena, m->right);
	if (!h.key.p)
		return twoway_no_memory(e);
	for (size_t i = 0; i < from->join.rows.n; i++) {
		const struct joined *row = &from->join.rows.a[i];

		if (row->pair != 0 && row->m.right.present && !row->m.left.present && slice_eq(row->right, h.key))
			h.from.row = i;
	}
	return vec_push(&g->halves, h) < 0 ? twoway_no_memory(e) : 0;
}

static void unite(void *arg, struct candidate *there, struct candidate *held)
{
	struct twoway *g = arg;
	struct half *h = &g->halves.a[held->tag];

	(void)there;
	h->there = true;
	place_row(h->from)->moving = true;
}

/* Those that were to come to this folder: has it what the base does not know, and is the same? */
static int find_in(struct twoway *g, struct box *to, struct err *e)
{
	struct candidates held = { 0 }, there = { 0 };
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < g->halves.n; i++) {
		const struct half *h = &g->halves.a[i];

		if (h->to != to || h->from.row == SIZE_MAX)
			continue;
		rc = candidates_add(&held, h->from.box, h->from.row, e);
		if (rc == 0)
			held.c.a[held.c.n - 1].tag = i;
	}
	for (size_t i = 0; rc == 0 && held.c.n > 0 && i < to->join.rows.n; i++)
		if (to->join.rows.a[i].pair == 0 && to->join.rows.a[i].m.right.present)
			rc = candidates_add(&there, to, i, e);
	if (rc == 0 && there.c.n > 0)
		rc = candidates_learn_each(g, RIGHT, LEARN_CONTENTS, NULL, NULL, &held, e);
	if (rc == 0 && held.c.n > 0)
		rc = candidates_learn_each(g, RIGHT, LEARN_CONTENTS, NULL, NULL, &there, e);
	if (rc == 0)
		rc = candidates_match_contents(&there, &held, unite, g, e);
	candidates_release(&held);
	candidates_release(&there);
	return rc;
}

int movehalf_find(struct twoway *g, struct err *e)
{
	int rc = g->p->one_way ? moving_each(g->db, take_note, g, e) : 0;

	for (size_t i = 0; rc == 0 && g->halves.n > 0 && i < g->boxes.n; i++)
		rc = find_in(g, &g->boxes.a[i], e);
	return rc;
}

/* ---- ending them ---- */

static void tell_end(struct twoway *g, const struct half *h, bool dry)
{
	const struct move m = { .side = RIGHT, .from = h->from, .to = { h->to, 0 } };

	moves_tell_one(g, &m, dry);
}

void movehalf_tell(struct twoway *g)
{
	for (size_t i = 0; i < g->halves.n; i++)
		if (g->halves.a[i].there)
			tell_end(g, &g->halves.a[i], true);
}

/* store_ops.remove's done */
static void removed_one(void *arg, uint64_t num, const struct err *why)
{
	struct twoway *g = arg;

	for (size_t i = 0; i < g->halves.n; i++)
		if (g->halves.a[i].num == num)
			g->halves.a[i].removed = why == NULL;
}

/* Remove what is left of them in a folder. */
static int remove_in(struct twoway *g, struct box *b, struct err *e)
{
	struct store *right = g->side[RIGHT];
	VEC(uint64_t) nums = { 0 };
	struct box_info info;
	int rc = box_open(g, b, RIGHT, BOX_WRITE, &info, e);

	for (size_t i = 0; rc >= 0 && !info.read_only && i < g->halves.n; i++) {
		struct half *h = &g->halves.a[i];
		struct store_msg m = { .num = 0 };

		h->num = 0;
		if (h->from.box != b || !h->there)
			continue;
		rc = right->ops->find(right, h->key, place_row(h->from)->m.right.flags, &m, e);
		h->num = m.num;
		if (rc == 1 && vec_push(&nums, m.num) < 0)
			rc = twoway_no_memory(e);
	}
	if (rc >= 0 && nums.n > 0) {
		exec_step(&g->x[RIGHT], "end moves");
		rc = right->ops->remove(right, nums.a, nums.n, removed_one, g, e) < 0 ? -1 : right->ops->commit(right, e);
	}
	right->ops->close_box(right);
	vec_release(&nums);
	return rc < 0 ? -1 : 0;
}

/* What was removed is no pair any more; of what is not in both folders nothing is left to be known. */
static int note_ended(struct twoway *g, struct err *e)
{
	exec_step(&g->x[RIGHT], "note the end of moves");
	if (db_begin(g->db, e) < 0)
		return -1;
	for (size_t i = 0; i < g->halves.n; i++) {
		struct half *h = &g->halves.a[i];

		if (h->there && !h->removed)
			continue;
		if (moving_drop(g->db, h->from.box->f->base.id, h->key, e) < 0 || (h->removed && pairs_drop(g->db, place_row(h->from)->pair, e) < 0)) {
			db_rollback(g->db);
			return -1;
		}
	}
	return db_commit(g->db, e);
}

int movehalf_end(struct twoway *g, struct err *e)
{
	if (g->halves.n == 0)
		return 0;
	for (size_t i = 0; i < g->boxes.n; i++) {
		struct box *b = &g->boxes.a[i];
		struct err why = ERR_INIT;
		bool any = false;

		for (size_t k = 0; k < g->halves.n; k++)
			any |= g->halves.a[k].from.box == b && g->halves.a[k].there;
		if (any && !b->failed && remove_in(g, b, &why) < 0 && box_error(g, b, &why, e) < 0)
			return -1;
	}
	if (note_ended(g, e) < 0)
		return -1;
	for (size_t i = 0; i < g->halves.n; i++) {
		if (!g->halves.a[i].removed)
			continue;
		tell_end(g, &g->halves.a[i], false);
		*place_row(g->halves.a[i].from) = (struct joined){ .pair = 0 };
	}
	return 0;
}
