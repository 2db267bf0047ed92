/* Is what a migration is about to delete at the source at the target, as it is there? See act_p.h. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sync/act_p.h"
#include "sync/exec_p.h"
#include "sync/proof.h"

/* One that is to be deleted. */
struct kept {
	size_t work;
	uint64_t num[2];      /* in the boxes that are open; of the right 0: it is not there */
	bool copied;          /* in this run */
	bool read[2];
	struct ident id[2];
	struct told told;     /* as the base has it */
	bool seen;            /* it is there, as far as was to be seen */
	bool other;           /* something else stands there, or nothing: the base errs */
};

struct kepts {
	VEC(struct kept) a;
	int side;             /* that is being read */
	bool copied;          /* of those */
};

/* What qsort compares by. */
static int by_num(const struct kept *x, const struct kept *y, int side)
{
	return (x->num[side] > y->num[side]) - (x->num[side] < y->num[side]);
}

static int by_left(const void *a, const void *b)
{
	return by_num(a, b, LEFT);
}

static int by_right(const void *a, const void *b)
{
	return by_num(a, b, RIGHT);
}

static void note_ident(void *arg, uint64_t num, const struct ident *id)
{
	struct kepts *ks = arg;
	struct kept key = { .num = { num, num } }, *k;

	k = bsearch(&key, ks->a.a, ks->a.n, sizeof(key), ks->side == LEFT ? by_left : by_right);
	if (!k || k->copied != ks->copied)
		return;
	k->read[ks->side] = true;
	k->id[ks->side] = *id;
}

/* Ask a side about them: about copies of just now what tells them apart, about others all that they hold. */
static int ask(struct twoway *g, struct kepts *ks, int side, bool copied, struct err *e)
{
	struct store *s = g->side[side];
	VEC(uint64_t) nums = { 0 };
	int rc = 0;

	ks->side = side;
	ks->copied = copied;
	if (ks->a.n > 0)
		qsort(ks->a.a, ks->a.n, sizeof(*ks->a.a), side == LEFT ? by_left : by_right);
	for (size_t i = 0; rc == 0 && i < ks->a.n; i++) {
		const struct kept *k = &ks->a.a[i];

		if (k->copied == copied && k->num[RIGHT] != 0 && (side == RIGHT || k->read[RIGHT]) && vec_push(&nums, k->num[side]) < 0)
			rc = twoway_no_memory(e);
	}
	if (rc == 0 && nums.n > 0)
		rc = copied ? s->ops->idents(s, nums.a, nums.n, false, note_ident, ks, e) : store_read_idents(s, nums.a, nums.n, 0, note_ident, ks, e);
	vec_release(&nums);
	return rc;
}

/* Which are meant, and where the right has them. */
static int gather(struct twoway *g, const struct work *w, size_t n, size_t before, struct kepts *out, struct err *e)
{
	struct store *right = g->side[RIGHT];

	for (size_t i = 0; i < n; i++) {
		struct kept k = { .work = i, .num = { w[i].num, 0 }, .copied = i >= before };
		struct store_msg m = { .num = 0 };
		struct pair p;
		int rc;

		if (!(w[i].acts & PLAN_REMOVE_LEFT) || (k.copied && !twoway_tells(g, RIGHT))) /* that is a file which we have just made */
			continue;
		rc = pairs_by_id(g->db, w[i].pair, &p, e);
		if (rc == 1) {
			k.told = p.told;
			rc = right->ops->find(right, p.right, p.flags, &m, e);
		}
		if (rc < 0)
			return -1;
		k.num[RIGHT] = rc == 1 ? m.num : 0;
		if (vec_push(&out->a, k) < 0)
			return twoway_no_memory(e);
	}
	return 0;
}

/* What was asked tells. */
static void judge(struct kept *k)
{
	struct told now;

	if (!k->read[RIGHT]) {
		k->other = k->copied;
		return;
	}
	now = proof_told(&k->id[RIGHT]);
	k->other = proof_is_other(&k->told, &now) && !(k->copied && now.size != 0 && now.size == k->told.size && now.date == k->told.date);
	if (k->copied)
		k->seen = !k->other;
	else
		k->seen = k->read[LEFT] && k->id[LEFT].has_digest && k->id[RIGHT].has_digest && memcmp(k->id[LEFT].plain, k->id[RIGHT].plain, DIGEST_SIZE) == 0;
}

/* Let go of a pair that says what is not so: the next run looks for the message anew. A copy that is not there is a failure, and tried again later. */
static int forget(struct twoway *g, const struct kept *k, const struct work *w, struct err *e)
{
	struct err why = ERR_INIT;

	if (k->copied) {
		err_set_span(&why, ERR_PROTO, SPAN_MSG, "the server said that it took the message, but it is not there");
		err_hint(&why, "it stays at the source");
		if (exec_item_failed(&g->x[RIGHT], w, &why, e) < 0)
			return -1;
	}
	if (!db_in_transaction(g->db) && db_begin(g->db, e) < 0)
		return -1;
	if (pairs_drop(g->db, w->pair, e) == 0)
		return 0;
	db_rollback(g->db);
	return -1;
}

/* What stays for that. */
static void tell_differing(struct twoway *g, struct box *b, uint64_t n)
{
	struct err why = ERR_INIT;
	struct event ev = { .type = EVENT_ERROR, .folder = b->f->left, .kind = ERR_REFUSED, .span = SPAN_BOX, .text = why.text };

	err_set_span(&why, ERR_REFUSED, SPAN_BOX, "%" PRIu64 " message%s not at the target as at the source, and stay%s there", n, n == 1 ? " is" : "s are", n == 1 ? "s" : "");
	err_hint(&why, "`mailhaul verify --full` tells which");
	g->totals->failed += n;
	twoway_put(g, &ev);
}

int act_see_kept(struct twoway *g, struct box *b, struct work *w, size_t n, size_t before, struct err *e)
{
	struct kepts ks = { .side = LEFT };
	uint64_t differing = 0;
	int rc = gather(g, w, n, before, &ks, e);

	if (rc == 0)
		rc = ask(g, &ks, RIGHT, true, e);
	if (rc == 0)
		rc = ask(g, &ks, RIGHT, false, e);
	if (rc == 0)
		rc = ask(g, &ks, LEFT, false, e);
	for (size_t i = 0; rc == 0 && i < ks.a.n; i++) {
		struct kept *k = &ks.a.a[i];

		judge(k);
		if (k->seen)
			continue;
		w[k->work].acts = PLAN_NOTHING;
		differing += !k->copied;
		if (k->other)
			rc = forget(g, k, &w[k->work], e);
	}
	if (db_in_transaction(g->db) && db_commit(g->db, rc < 0 ? NULL : e) < 0)
		rc = -1;
	if (differing > 0)
		tell_differing(g, b, differing);
	vec_release(&ks.a);
	return rc;
}
