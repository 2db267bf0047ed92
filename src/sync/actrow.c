/* What each row of a folder asks for, sorted into lists: see act_p.h. */
#include <string.h>

#include "sync/act_p.h"

void act_todo_release(struct todo *t)
{
	for (int s = LEFT; s <= RIGHT; s++) {
		vec_release(&t->copy[s]);
		vec_release(&t->copy_row[s]);
		vec_release(&t->flag[s]);
		vec_release(&t->remove[s]);
	}
	vec_release(&t->forget);
	vec_release(&t->agree);
	vec_release(&t->waiting);
}

/* The message of a row on a side that is open. 1, 0 it is not there any more, -1. */
static int find(struct twoway *g, struct joined *row, int side, struct work *w, struct err *e)
{
	const struct plan_sync_side *s = joined_side(row, side);
	struct store_msg m;
	int rc;

	memset(&m, 0, sizeof(m));
	w->key = joined_key(row, side);
	rc = g->side[side]->ops->find(g->side[side], w->key, s->flags, &m, e);
	if (rc != 1)
		return rc;
	w->num = m.num;
	w->size = s->size ? s->size : m.size;
	w->date = s->date ? s->date : m.date;
	w->told = row->told;
	return 1;
}

/* What both sides agree on when one has these flags and the other those; of the rest the base says what it said. */
static uint64_t agree_on(uint64_t a, uint64_t b, uint64_t base)
{
	return (a & b) | (base & (a ^ b));
}

/*
 * A message of the base whose flags differ. Until both sides have what they shall have the base says only what they have in common then, as each run may end anywhere:
 * a flag that one side has not got yet must not look like one that it took away.
 */
static int sort_flags(struct twoway *g, struct joined *row, const struct plan_sync *plan, struct todo *t, struct err *e)
{
	struct agreement a = { .pair = row->pair, .flags = plan->base, .was = row->m.flags, .flag = { ACT_NO_FLAG, ACT_NO_FLAG } };

	for (int s = LEFT; s <= RIGHT; s++) {
		unsigned flag = s == LEFT ? PLAN_FLAG_LEFT : PLAN_FLAG_RIGHT;
		uint64_t now = joined_side(row, s)->flags, other = joined_side(row, !s)->flags, want = s == LEFT ? plan->left : plan->right;
		struct work w = { .pair = row->pair, .acts = flag, .add = want & ~now, .del = now & ~want, .agreed = agree_on(want, other, row->m.flags),
				  .was = row->m.flags };
		int rc;

		if (!(plan->acts & flag))
			continue;
		rc = find(g, row, s, &w, e);
		if (rc <= 0)
			return rc; /* gone meanwhile: the next look tells */
		a.flag[s] = t->flag[s].n;
		if (vec_push(&t->flag[s], w) < 0)
			return twoway_no_memory(e);
	}
	if (plan->base == row->m.flags && !(plan->acts & (PLAN_FLAG_LEFT | PLAN_FLAG_RIGHT)))
		return 0;
	return vec_push(&t->agree, a) < 0 ? twoway_no_memory(e) : 0;
}

int act_pair_row(struct twoway *g, const struct box *b, struct joined *row, struct err *e)
{
	struct pair p = { .folder = b->f->base.id, .left = row->left, .right = row->right, .made = g->p->now, .two_way = true,
			  .flags = row->taken ? row->m.flags : row->m.left.flags & row->m.right.flags, .told = row->told };

	if (row->content) {
		p.size = row->content->size;
		memcpy(p.digest, row->content->id.digest, sizeof(p.digest));
	}
	if (!db_in_transaction(g->db) && db_begin(g->db, e) < 0)
		return -1;
	if (pairs_add(g->db, &p, e) < 0)
		return -1;
	row->pair = p.id;
	row->m.flags = p.flags;
	/* one that failed before on its way here, or there */
	if (look_earlier(g, p.folder, false, row->left) && failures_clear(g->db, p.folder, false, row->left, e) < 0)
		return -1;
	return look_earlier(g, p.folder, true, row->right) ? failures_clear(g->db, p.folder, true, row->right, e) : 0;
}

int act_note_taken(struct twoway *g, const struct box *b, struct err *e)
{
	bool any = false;

	for (size_t i = 0; i < b->join.rows.n; i++) {
		struct joined *row = &b->join.rows.a[i];

		if (!row->taken || row->pair != 0)
			continue;
		if (act_pair_row(g, b, row, e) < 0) {
			db_rollback(g->db);
			return -1;
		}
		any = true;
	}
	if (!any)
		return 0;
	if (db_commit(g->db, e) < 0)
		return -1;
	exec_step(&g->x[RIGHT], "taken over");
	return 0;
}

/* A message that is to be removed from a side. */
static int sort_removal(struct twoway *g, struct joined *row, int side, struct work *w, struct todo *t, struct err *e)
{
	int rc = find(g, row, side, w, e);

	w->acts = side == LEFT ? PLAN_REMOVE_LEFT : PLAN_REMOVE_RIGHT;
	if (rc < 0)
		return -1;
	/* not there: the base needs to know nothing of it any more */
	return (rc == 0 ? vec_push(&t->forget, row->pair) : vec_push(&t->remove[side], *w)) < 0 ? twoway_no_memory(e) : 0;
}

/* A message that both sides hold, and that is not to stay at the left. */
static int sort_taken(struct twoway *g, struct joined *row, const struct plan_sync *plan, struct todo *t, struct err *e)
{
	struct waiting x = { .removal = t->remove[LEFT].n, .flag = t->flag[RIGHT].n };
	struct work w = { .pair = row->pair };

	if (sort_flags(g, row, plan, t, e) < 0 || sort_removal(g, row, LEFT, &w, t, e) < 0)
		return -1;
	if (t->remove[LEFT].n == x.removal || t->flag[RIGHT].n == x.flag)
		return 0;
	return vec_push(&t->waiting, x) < 0 ? twoway_no_memory(e) : 0;
}

int act_sort_held(struct twoway *g, struct joined *row, const struct plan_sync *plan, struct todo *t, struct err *e)
{
	return plan->acts & PLAN_REMOVE_LEFT ? sort_taken(g, row, plan, t, e) : sort_flags(g, row, plan, t, e);
}

/* Put one message's acts into the lists. */
static int sort_row(struct twoway *g, struct box *b, const struct plan_sync_policy *policy, size_t at_row, struct todo *t, struct err *e)
{
	struct joined fresh, *row = join_at(&b->join, at_row, &fresh);
	struct plan_sync plan = decide_row(g, b, policy, row);
	struct work w = { .pair = row->pair, .agreed = plan.base };
	int rc;

	decide_kept(g, b, policy, &row->m, &plan);
	words_watch(b, policy, &row->m);
	if (plan.acts & PLAN_FORGET)
		return vec_push(&t->forget, row->pair) < 0 ? twoway_no_memory(e) : 0;
	if (plan.acts & (PLAN_COPY | PLAN_COPY_BACK)) {
		int from = plan.acts & PLAN_COPY ? LEFT : RIGHT;
		struct earlier *f = look_earlier(g, b->f->base.id, from == RIGHT, joined_key(row, from));

		if (exec_leaves_out(&g->x[!from], joined_key(row, from)))
			return 0;
		w.acts = plan.acts & (PLAN_COPY | PLAN_COPY_BACK | PLAN_REMOVE_LEFT);
		w.flags = from == LEFT ? plan.right : plan.left;
		w.tries = f ? f->tries : 0;
		rc = find(g, row, from, &w, e);
		if (rc == 1 && from == LEFT && act_find_elsewhere(g, b, row, &w, e) < 0)
			return -1;
		if (rc == 1 && (vec_push(&t->copy[!from], w) < 0 || vec_push(&t->copy_row[!from], at_row) < 0))
			return twoway_no_memory(e);
		return rc < 0 ? -1 : 0;
	}
	for (int s = LEFT; s <= RIGHT; s++) {
		unsigned remove = s == LEFT ? PLAN_REMOVE_LEFT : PLAN_REMOVE_RIGHT;

		if (plan.acts & remove && !joined_side(row, !s)->present)
			return sort_removal(g, row, s, &w, t, e);
	}
	if (plan.acts & PLAN_PAIR && act_pair_row(g, b, row, e) < 0)
		return -1;
	return row->pair == 0 ? 0 : act_sort_held(g, row, &plan, t, e);
}

int act_sort_rows(struct twoway *g, struct box *b, const struct plan_sync_policy *policy, size_t from, size_t to, struct todo *t, struct err *e)
{
	for (size_t i = from; i < to; i++) {
		if (sort_row(g, b, policy, i, t, e) < 0) {
			db_rollback(g->db);
			return -1;
		}
	}
	return db_in_transaction(g->db) ? db_commit(g->db, e) : 0;
}

bool act_has_work_at(struct box *b, const struct plan_sync_policy *policy, struct twoway *g, int side)
{
	unsigned mine = side == LEFT ? PLAN_COPY | PLAN_COPY_BACK | PLAN_FLAG_LEFT | PLAN_REMOVE_LEFT : PLAN_COPY | PLAN_COPY_BACK | PLAN_FLAG_RIGHT | PLAN_REMOVE_RIGHT;

	if (policy->take_left)
		mine |= PLAN_PAIR | PLAN_REMOVE_LEFT; /* it is removed at once, when the right was seen to have it */
	for (size_t i = 0, n = join_count(&b->join); i < n; i++) {
		struct joined fresh;

		if (decide_row(g, b, policy, join_at(&b->join, i, &fresh)).acts & mine)
			return true;
	}
	return false;
}
