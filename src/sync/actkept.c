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
		rc = copied ? s->ops->idents(s, nums.a, nums.n, false, note_ident, ks, e) : store_read_idents(s, nums.a, nums.n, note_ident, ks, e);
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

/* ---- one before all others ---- */

/* Keep a message of the left aside, as one that may have to come to the right once more. 1; 0 it can't be had, or the right will not take it; -1. */
static int keep_aside(struct twoway *g, const struct work *w, uint64_t flags, struct staged *st, struct err *e)
{
	struct store *left = g->side[LEFT], *right = g->side[RIGHT];
	struct store_meta meta = { .received = g->p->now, .flags = flags, .size_hint = w->size, .date = w->date };
	int rc = left->ops->want(left, &w->num, 1, e) < 0 ? -1 : 1;
	bool kept = false;

	memset(st, 0, sizeof(*st));
	while (rc == 1) {
		struct stream *body = NULL;
		struct err why = ERR_INIT;
		size_t i = 0;

		rc = left->ops->next(left, &i, &body, &why);
		if (rc == 1 && body && !kept) {
			rc = right->ops->stage(right, body, &meta, st, &why) < 0 ? -1 : 1;
			kept = rc == 1;
		}
		stream_free(body);
		if (rc < 0 && why.span == SPAN_MSG)
			rc = 1;
		else if (rc < 0)
			*e = why;
	}
	if (rc == 0 && kept && right->ops->harden(right, st, 1, e) < 0)
		rc = -1;
	return rc < 0 ? -1 : kept;
}

/* Has the right, looked at anew, that message still? 1, 0, -1. */
static int is_there(struct twoway *g, struct box *b, struct slice key, uint64_t flags, struct err *e)
{
	struct store *right = g->side[RIGHT];
	struct kepts ks = { .side = RIGHT, .copied = true };
	struct kept k = { .copied = true };
	struct store_msg m = { .num = 0 };
	struct box_info info;
	int rc = box_open(g, b, RIGHT, BOX_WRITE, &info, e) < 0 ? -1 : right->ops->find(right, key, flags, &m, e);

	if (rc != 1 || !twoway_tells(g, RIGHT))
		return rc;
	k.num[RIGHT] = m.num;
	if (vec_push(&ks.a, k) < 0)
		return twoway_no_memory(e);
	/* a session goes on showing what others have removed until it has told that, behind the answer to a command: so it is the second answer that counts */
	for (int i = 0; rc >= 0 && i < 2; i++) {
		ks.a.a[0].read[RIGHT] = false;
		rc = ask(g, &ks, RIGHT, true, e);
	}
	if (rc == 0)
		rc = ks.a.a[0].read[RIGHT];
	vec_release(&ks.a);
	return rc;
}

/* It is gone at the right, too. */
static int put_back(struct twoway *g, struct staged *st, struct err *e)
{
	struct store *right = g->side[RIGHT];
	struct err why = ERR_INIT;
	bool back;

	exec_step(&g->x[RIGHT], "put back");
	back = right->ops->publish(right, st, 1, &why) == 0 && !st->refused;
	free(st->refused);
	st->refused = NULL;
	err_set_span(e, ERR_CONF, SPAN_BOX, "a message that was deleted at the source is gone at the target, too: both seem to be one mailbox; %s, and nothing else was deleted",
		     back ? "it was put back" : "it could not be put back");
	return err_hint(e, "%s", back ? "take delete-source out of the job" : why.text);
}

/* The left once more, which its commit has closed. */
static int open_again(struct twoway *g, struct box *b, struct work *w, size_t n, struct err *e)
{
	struct store *left = g->side[LEFT];
	struct box_info info;

	if (box_open(g, b, LEFT, BOX_WRITE, &info, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		struct store_msg m = { .num = 0 };
		int rc;

		if (!(w[i].acts & PLAN_REMOVE_LEFT))
			continue;
		rc = left->ops->find(left, w[i].key, 0, &m, e);
		if (rc < 0)
			return -1;
		if (rc == 0)
			w[i].acts = PLAN_NOTHING;
		w[i].num = m.num;
	}
	return 0;
}

/* The smallest that is left. */
static struct work *smallest(struct work *w, size_t n)
{
	struct work *out = NULL;

	for (size_t i = 0; i < n; i++)
		if (w[i].acts & PLAN_REMOVE_LEFT && (!out || w[i].size < out->size))
			out = &w[i];
	return out;
}

int act_try_one(struct twoway *g, struct box *b, struct work *w, size_t n, size_t before, struct err *e)
{
	struct store *right = g->side[RIGHT];
	uint64_t removed = 0;
	struct work *one;
	int known;

	if (!(right->ops->caps & STORE_REMOTE) || before == 0) /* a Maildir or mbox has no second door */
		return 0;
	known = sides_apart(g->db, e);
	if (known != 0)
		return known < 0 ? -1 : 0;
	while (removed == 0 && (one = smallest(w, before)) != NULL) {
		struct staged st;
		struct slice key = { 0 };
		uint64_t flags = 0;
		struct pair p;
		int rc = pairs_by_id(g->db, one->pair, &p, e);

		if (rc == 1) {
			flags = p.flags;
			key = arena_slice(&b->join.arena, p.right);
			rc = key.p ? keep_aside(g, one, flags, &st, e) : twoway_no_memory(e);
		}
		if (rc == 1 && (exec_remove(&g->x[RIGHT], one, 1, e) < 0 || exec_commit(&g->x[RIGHT], false, 0, &removed, e) < 0))
			rc = -1;
		one->acts = PLAN_NOTHING;
		if (rc == 1 && removed > 0) {
			rc = is_there(g, b, key, flags, e);
			if (rc == 0)
				return put_back(g, &st, e);
		}
		right->ops->abandon(right);
		if (rc < 0)
			return -1;
	}
	if (removed > 0 && sides_apart_put(g->db, e) < 0)
		return -1;
	return removed > 0 ? open_again(g, b, w, n, e) : 0;
}
