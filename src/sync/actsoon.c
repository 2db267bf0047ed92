/* What is pulled next is told to the left ahead of time, so that many folders with little in each cost no wait each: store_ops.soon. */
#include <stdlib.h>
#include <string.h>

#include "sync/act_p.h"

#define BOXES_MAX 1024  /* of a hint, and their messages: the left keeps a note of each */
#define KEYS_MAX 16384

/* A name that the left gives a message wherever it is, and the folder of the hint where it was met. */
struct named {
	unsigned char object[IDENT_OBJECT];
	size_t box;
};

struct hint {
	VEC(struct soon) boxes;
	VEC(struct slice) keys; /* of all boxes, in their order */
	VEC(struct named) named;
};

static void hint_release(struct hint *h)
{
	vec_release(&h->boxes);
	vec_release(&h->keys);
	vec_release(&h->named);
}

/* A message that is to be pulled. 1; 0 perhaps it is here already, in another folder, and then it is not; -1. */
static int add_message(struct twoway *g, struct hint *h, const struct joined *row, struct soon *x, bool *sized)
{
	struct named named = { .box = h->boxes.n };
	struct pair p;

	if (row->told.has_object && row->told.size > 0 && g->side[RIGHT]->ops->stage_again) {
		memcpy(named.object, row->told.object, sizeof(named.object));
		if (pairs_by_object(g->db, row->told.object, 0, &p, NULL) != 0)
			return 0;
		if (vec_push(&h->named, named) < 0)
			return -1;
	}
	if (vec_push(&h->keys, row->left) < 0)
		return -1;
	x->n++;
	x->bytes += row->m.left.size;
	*sized &= row->m.left.size > 0;
	return 1;
}

/* The next folder. 1 it is one for the hint, or the left has nothing to do with it; 0 it is none: here the hint ends; -1 as well. */
static int add_box(struct twoway *g, struct hint *h, struct box *b)
{
	struct soon x = { .folder = box_name(b, LEFT), .how = twoway_how(g, LEFT), .keywords = &b->view[LEFT] };
	struct plan_sync_policy policy;
	bool sized = true;
	int rc = 1;

	if (b->failed || b->stays || !b->work || b->remove[RIGHT])
		return 1;
	if (b->remove[LEFT] || join_count(&b->join) - b->join.rows.n > act_slice(g))
		return 0;
	decide_policy(g, b, &policy);
	for (size_t i = 0, n = join_count(&b->join); rc == 1 && i < n; i++) {
		struct joined fresh, *row = join_at(&b->join, i, &fresh);
		unsigned acts = decide_row(g, b, &policy, row).acts;

		if (acts & (PLAN_COPY_BACK | PLAN_FLAG_LEFT | PLAN_REMOVE_LEFT) || h->keys.n > KEYS_MAX)
			return 0;
		if (acts & PLAN_COPY)
			rc = add_message(g, h, row, &x, &sized);
	}
	if (!sized)
		x.bytes = 0;
	return rc == 1 && x.n > 0 && vec_push(&h->boxes, x) < 0 ? -1 : rc;
}

static int by_object(const void *a, const void *b)
{
	const struct named *x = a, *y = b;
	int c = memcmp(x->object, y->object, sizeof(x->object));

	return c ? c : (x->box > y->box) - (x->box < y->box);
}

/* What an earlier folder of the hint brings is here by then: how many can go together? */
static size_t without_doubles(struct hint *h)
{
	size_t n = h->boxes.n;

	if (h->named.n > 0)
		qsort(h->named.a, h->named.n, sizeof(*h->named.a), by_object);
	for (size_t i = 1; i < h->named.n; i++) {
		const struct named *x = &h->named.a[i - 1], *y = &h->named.a[i];

		if (x->box != y->box && y->box < n && memcmp(x->object, y->object, sizeof(x->object)) == 0)
			n = y->box;
	}
	return n;
}

/* The hint's last folder, if it came behind the first n: is it beyond the budget? What comes ahead of time can't be left. Then it is no part of the hint. */
static bool too_dear(struct hint *h, size_t n, uint64_t *left)
{
	const struct soon *x = h->boxes.n > n ? &h->boxes.a[n] : NULL;

	if (!x)
		return false;
	if (x->bytes > 0 && x->bytes <= *left) {
		*left -= x->bytes;
		return false;
	}
	h->keys.n -= x->n;
	h->boxes.n--;
	return true;
}

size_t act_soon(struct twoway *g, size_t from)
{
	uint64_t left = g->p->budget ? budget_left(g->p->budget) : 0;
	struct hint h = { 0 };
	size_t at[BOXES_MAX + 1], to = from, n;
	const struct slice *keys;

	if (!g->side[LEFT]->ops->soon)
		return g->boxes.n;
	while (to < g->boxes.n && h.boxes.n < BOXES_MAX) {
		at[h.boxes.n] = to;
		n = h.boxes.n;
		if (add_box(g, &h, &g->boxes.a[to]) != 1 || (g->p->budget && too_dear(&h, n, &left)))
			break;
		to++;
	}
	n = without_doubles(&h);
	if (n < h.boxes.n)
		to = at[n];
	keys = h.keys.a;
	for (size_t i = 0; i < n; i++) {
		h.boxes.a[i].keys = keys;
		keys += h.boxes.a[i].n;
	}
	g->side[LEFT]->ops->soon(g->side[LEFT], h.boxes.a, n);
	hint_release(&h);
	return to > from ? to : from + 1;
}
