/* What is asked before it is done: is a message that is to come here already, and is what is to be removed at the server what is gone here? */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "sync/act_p.h"
#include "sync/candidates.h"
#include "sync/proof.h"

/* The folder of a row of the base. */
static struct box *box_of(struct twoway *g, int64_t folder)
{
	for (size_t i = 0; i < g->boxes.n; i++)
		if (g->boxes.a[i].f->base.id == folder)
			return &g->boxes.a[i];
	return NULL;
}

int act_find_elsewhere(struct twoway *g, struct box *b, const struct joined *row, struct work *w, struct err *e)
{
	struct elsewhere *x;
	struct pair p;
	int rc;

	if (!row->told.has_object || row->told.size == 0 || !g->side[RIGHT]->ops->stage_again)
		return 0;
	for (int64_t after = 0; (rc = pairs_by_object(g->db, row->told.object, after, &p, e)) == 1; after = p.id) {
		struct box *other = box_of(g, p.folder);

		if (!other || other == b || (!box_there(other, RIGHT) && !other->create[RIGHT]) || other->remove[RIGHT] || p.right.n == 0 || p.told.size == 0 || !p.told.has_mid || !candidates_alike(&p.told, &row->told))
			continue;
		x = arena_new(&b->join.arena, struct elsewhere, 1);
		if (!x)
			return twoway_no_memory(e);
		*x = (struct elsewhere){ .folder = other->f->right, .key = arena_slice(&b->join.arena, p.right), .as = { .size = p.back ? 0 : p.size, .raw = p.raw }, .told = p.told };
		memcpy(x->as.digest, p.digest, sizeof(x->as.digest));
		if (!x->key.p)
			return twoway_no_memory(e);
		w->elsewhere = x;
		return 0;
	}
	return rc;
}

int act_doubt_elsewhere(struct twoway *g, struct work *w, size_t n, struct err *e)
{
	struct proofs ps = { 0 };
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct proof p = { .num = w[i].num, .tag = i };

		if (w[i].elsewhere)
			rc = vec_push(&ps.a, p) < 0 ? twoway_no_memory(e) : 0;
	}
	if (rc == 0 && g->side[LEFT]->ops->idents)
		rc = proofs_ask(g->side[LEFT], &ps, e);
	for (size_t i = 0; i < ps.a.n; i++) {
		struct work *one = &w[ps.a.a[i].tag];
		const struct told *now = &ps.a.a[i].now;

		if (ps.a.a[i].end == PROOF_NONE || !now->has_mid || memcmp(now->mid, one->elsewhere->told.mid, sizeof(now->mid)) != 0)
			one->elsewhere = NULL;
	}
	vec_release(&ps.a);
	return rc;
}

int act_put_off(struct twoway *g, struct box *b, struct work *w, const struct staged *st, struct err *e)
{
	struct pair p;
	int rc = 0;

	for (size_t i = 0; g->p->one_way && rc == 0 && i < g->boxes.n; i++)
		if (g->boxes.a[i].unseen && g->boxes.a[i].f->base.id != 0)
			rc = pairs_by_digest(g->db, g->boxes.a[i].f->base.id, st->digest, false, 0, &p, e);
	if (rc != 1)
		return rc;
	log_debug("a message may have been moved, and waits");
	b->kept[LEFT] = true;
	w->acts = PLAN_NOTHING;
	return 1;
}

/* What a side said of a pair's message. Of the right the base knows the Message-ID of what came from there; of what we put there the server may have made another. */
static struct told told_at(int side, const struct pair *p)
{
	struct told t = p->told;

	if (side == LEFT) {
		t.has_mid &= !p->back || t.date != 0; /* that is what we put there; what the server made of it has yet to be told */
		return t;
	}
	t = (struct told){ .has_mid = t.has_mid && p->back };
	memcpy(t.mid, p->told.mid, sizeof(t.mid));
	return t;
}

int act_find_strangers(struct twoway *g, int side, struct work *w, size_t n, struct strangers *out, struct err *e)
{
	struct proofs ps = { 0 };
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct proof p = { .num = w[i].num, .tag = i };
		struct pair pair;

		rc = pairs_by_id(g->db, w[i].pair, &pair, e);
		if (rc <= 0)
			continue;
		p.told = told_at(side, &pair);
		p.ours = pair.back == (side == LEFT);
		rc = vec_push(&ps.a, p) < 0 ? twoway_no_memory(e) : 0;
	}
	if (rc == 0)
		rc = proofs_ask(g->side[side], &ps, e);
	for (size_t i = 0; rc == 0 && i < ps.a.n; i++) {
		const struct proof *p = &ps.a.a[i];
		struct work *one = &w[p->tag];

		if (side == LEFT)
			one->told = p->end == PROOF_SAME ? p->now : p->told;
		if (p->end != PROOF_OTHER)
			continue;
		one->acts = PLAN_NOTHING;
		rc = vec_push(&out->pairs, one->pair) < 0 ? twoway_no_memory(e) : 0;
	}
	vec_release(&ps.a);
	return rc;
}

int act_note_strangers(struct twoway *g, struct box *b, int side, const struct strangers *s, struct err *e)
{
	char *stamp = box_remembered(b, side), text[ERR_TEXT_MAX], name[160];

	if (s->pairs.n == 0)
		return 0;
	err_printable(name, sizeof(name), box_name(b, side), strlen(box_name(b, side)));
	snprintf(text, sizeof(text), "'%s': %s has given the numbers (UIDs) of %zu messages that were deleted %s to others: those were left alone; the next run looks at "
		 "the whole folder anew", name, side == LEFT ? twoway_left(g) : "the server", s->pairs.n, twoway_at(g, !side));
	twoway_warn(g, text);
	if (db_begin(g->db, e) < 0)
		return -1;
	for (size_t i = 0; i < s->pairs.n; i++)
		if (pairs_drop(g->db, s->pairs.a[i], e) < 0)
			goto fail;
	b->distrusted[side] = true;
	look_distrust(stamp, sizeof(b->f->base.left_stamp));
	if (folders_stamp(g->db, b->f->base.id, b->f->base.left_stamp, b->f->base.right_stamp, e) < 0)
		goto fail;
	return db_commit(g->db, e);
fail:
	db_rollback(g->db);
	return -1;
}
