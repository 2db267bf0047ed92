/* Which messages were moved on a side: see moves.h. */
#include "sync/moves.h"

#include <stdlib.h>
#include <string.h>

#include "base/numset.h"
#include "sync/candidates.h"
#include "sync/twins.h"

/* A pair of the base that a side, or both, does not show where it was. */
struct trail {
	struct place home, now[2];
	uint64_t size;          /* as the right stores it; or the left, if it was copied to there */
	bool back;              /* so it was */
	struct told told;       /* what the left said of it */
	struct ident id;        /* of what was found by its content */
	unsigned char digest[DIGEST_SIZE];
};

/* What is new in a folder. */
struct arrivals {
	bool known, any;        /* any: of one the size is not known */
	struct numset sizes;    /* at the left */
	struct twins twins;     /* at the right, by its content where adopt.c has read it */
};

struct trails {
	VEC(struct trail) t;
	VEC(size_t) lost;       /* of a side, by their content */
	struct arrivals *at;    /* by the folder's number, when what was moved there is known; NULL before */
};

/*
 * Can mail have left this folder? Its rows must show all that has, by keys that mean something. One that is gone on a side may have another name there now; but not one
 * whose keys on the other are of the past.
 */
static bool may_lose(const struct box *b)
{
	return !b->failed && !(b->reborn && (b->remove[LEFT] || b->remove[RIGHT]));
}

/* And come to it? */
static bool may_gain(const struct box *b)
{
	return !b->failed && !b->remove[LEFT] && !b->remove[RIGHT];
}

/* Is it new on that side alone, and not known again yet? */
static bool is_fresh(const struct joined *row, int side)
{
	return !row->m.known && !row->moving && joined_side(row, side)->present && !joined_side(row, !side)->present;
}

/* Has anything left a folder? */
static bool any_lost(const struct twoway *g)
{
	for (size_t i = 0; i < g->boxes.n; i++) {
		const struct join *j = &g->boxes.a[i].join;

		for (size_t k = 0; k < j->rows.n; k++)
			if (j->rows.a[k].pair != 0 && !(j->rows.a[k].m.left.present && j->rows.a[k].m.right.present))
				return true;
	}
	return false;
}

/* All that is new must be at hand then. */
static int spread_all(struct twoway *g, struct err *e)
{
	for (size_t i = 0; i < g->boxes.n; i++)
		if (join_spread(&g->boxes.a[i].join, e) < 0)
			return -1;
	return 0;
}

static size_t count_fresh(struct twoway *g, int side)
{
	size_t n = 0;

	for (size_t i = 0; i < g->boxes.n; i++)
		for (size_t k = 0; may_gain(&g->boxes.a[i]) && k < g->boxes.a[i].join.rows.n; k++)
			n += is_fresh(&g->boxes.a[i].join.rows.a[k], side);
	return n;
}

/* All pairs that were lost sight of. */
static int gather_trails(struct twoway *g, struct trails *ts, struct err *e)
{
	for (size_t i = 0; i < g->boxes.n; i++) {
		struct box *b = &g->boxes.a[i];

		for (size_t k = 0; may_lose(b) && k < b->join.rows.n; k++) {
			struct joined *row = &b->join.rows.a[k];
			struct trail t = { .home = { b, k } };
			struct pair p;
			int rc;

			if (row->pair == 0 || row->moving || (row->m.left.present && row->m.right.present))
				continue;
			rc = pairs_by_id(g->db, row->pair, &p, e);
			if (rc < 0)
				return -1;
			if (rc == 0)
				continue;
			t.size = p.size;
			t.back = p.back;
			t.told = p.told;
			memcpy(t.digest, p.digest, DIGEST_SIZE);
			for (int s = LEFT; s <= RIGHT; s++)
				if (joined_side(row, s)->present)
					t.now[s] = t.home;
			if (vec_push(&ts->t, t) < 0)
				return twoway_no_memory(e);
		}
	}
	return 0;
}

/* What qsort compares by, which takes no argument of ours. */
static const struct trails *sorting;

static int by_digest(const void *a, const void *b)
{
	size_t x = *(const size_t *)a, y = *(const size_t *)b;
	int rc = memcmp(sorting->t.a[x].digest, sorting->t.a[y].digest, DIGEST_SIZE);

	return rc != 0 ? rc : (x > y) - (x < y);
}

/* Those that a side has lost, by their content. */
static int sort_lost(struct trails *ts, int side, struct err *e)
{
	vec_clear(&ts->lost);
	for (size_t i = 0; i < ts->t.n; i++)
		if (!ts->t.a[i].now[side].box && vec_push(&ts->lost, i) < 0)
			return twoway_no_memory(e);
	sorting = ts;
	if (ts->lost.n > 0)
		qsort(ts->lost.a, ts->lost.n, sizeof(*ts->lost.a), by_digest);
	return 0;
}

/* This new message is one of those lost, if one of its content is still free. */
static void take_trail(struct trails *ts, int side, const struct candidate *c)
{
	size_t from = 0, to = ts->lost.n;

	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (memcmp(ts->t.a[ts->lost.a[mid]].digest, c->id.digest, DIGEST_SIZE) < 0)
			from = mid + 1;
		else
			to = mid;
	}
	for (; from < ts->lost.n; from++) {
		struct trail *t = &ts->t.a[ts->lost.a[from]];

		if (memcmp(t->digest, c->id.digest, DIGEST_SIZE) != 0)
			return;
		if (t->now[side].box)
			continue;
		t->now[side] = (struct place){ c->box, c->row };
		t->id = c->id;
		place_row(t->now[side])->moving = true;
		return;
	}
}

/* What is new in a folder of a side. */
static int gather_fresh(struct box *b, int side, struct candidates *out, struct err *e)
{
	for (size_t k = 0; may_gain(b) && k < b->join.rows.n; k++)
		if (is_fresh(&b->join.rows.a[k], side) && candidates_add(out, b, k, e) < 0)
			return -1;
	return 0;
}

/* Sizes of what was lost: as the store has it, and with line ends that are perhaps longer. */
struct sizes {
	struct numset own, wire;
};

/* candidates_fits: by its size, which a store need not know */
static bool size_fits(void *arg, const struct store_msg *m)
{
	const struct sizes *w = arg;
	uint64_t wire;

	return m->size == 0 || numset_has(&w->own, m->size) || (numset_from(&w->wire, m->size, &wire) && wire - m->size <= m->size);
}

/* When what is new at the left arrived there, as far as its looks have told. */
struct dates {
	struct numset known;
	bool any; /* some did at a time that is not known */
};

/* candidates_fits: by when it arrived */
static bool date_fits(void *arg, const struct store_msg *m)
{
	const struct dates *w = arg;

	return m->date == 0 || w->any || numset_has(&w->known, (uint64_t)m->date);
}

/* Files of the same content; only those are read that have the size of a lost one. That they are called the same as one proves nothing: names may be mere numbers. */
static int find_by_content(struct twoway *g, int side, struct trails *ts, struct err *e)
{
	struct sizes sizes = { 0 };
	int rc = sort_lost(ts, side, e);

	for (size_t i = 0; rc == 0 && i < ts->lost.n; i++) {
		const struct trail *t = &ts->t.a[ts->lost.a[i]];

		rc = numset_add(t->back ? &sizes.wire : &sizes.own, t->size);
		if (rc == 0 && side == LEFT && t->told.size != 0) /* the right may store other line ends */
			rc = numset_add(&sizes.own, t->told.size) < 0 || numset_add(&sizes.wire, t->told.size) < 0 ? -1 : 0;
		if (rc < 0)
			rc = twoway_no_memory(e);
	}
	numset_seal(&sizes.own);
	numset_seal(&sizes.wire);
	for (size_t i = 0; rc == 0 && ts->lost.n > 0 && i < g->boxes.n; i++) {
		struct candidates fresh = { 0 };

		rc = gather_fresh(&g->boxes.a[i], side, &fresh, e);
		if (rc == 0)
			rc = candidates_learn_each(g, side, LEARN_CONTENTS, size_fits, &sizes, &fresh, e);
		for (size_t k = 0; rc == 0 && k < fresh.c.n; k++)
			if (fresh.c.a[k].told)
				take_trail(ts, side, &fresh.c.a[k]);
		candidates_release(&fresh);
	}
	numset_release(&sizes.own);
	numset_release(&sizes.wire);
	return rc;
}

static int gather_dates(struct twoway *g, struct dates *out, struct err *e)
{
	for (size_t i = 0; i < g->boxes.n; i++) {
		struct box *b = &g->boxes.a[i];

		for (size_t k = 0; may_gain(b) && k < b->join.rows.n; k++) {
			const struct joined *row = &b->join.rows.a[k];

			if (!is_fresh(row, LEFT))
				continue;
			out->any |= row->m.left.date == 0;
			if (numset_add(&out->known, (uint64_t)row->m.left.date) < 0)
				return twoway_no_memory(e);
		}
	}
	numset_seal(&out->known);
	return 0;
}

/* What the right holds of a pair that the left has lost, and what the base says of it. */
static int add_held(const struct trails *ts, size_t k, struct candidates *held, struct err *e)
{
	const struct trail *t = &ts->t.a[k];
	struct pair p = { .size = t->size, .told = t->told };
	struct candidate *c;

	if (candidates_add(held, t->now[RIGHT].box, t->now[RIGHT].row, e) < 0)
		return -1;
	memcpy(p.digest, t->digest, DIGEST_SIZE);
	c = &held->c.a[held->c.n - 1];
	candidate_recall(c, &p);
	if (t->told.size != 0 && t->told.date != 0 && c->id.has_digest) /* without a Message-ID, too: its content is known */
		c->told = c->recalled = true;
	c->tag = k;
	return 0;
}

static bool is_held(const struct trail *t)
{
	return !t->now[LEFT].box && t->now[RIGHT].box;
}

/* What the right holds of the pairs that the left has lost: what arrived when something new did. */
static int learn_held(struct twoway *g, const struct trails *ts, struct candidates *out, struct err *e)
{
	struct dates dates = { .any = false };
	int rc = gather_dates(g, &dates, e);

	for (size_t i = 0; rc == 0 && i < ts->t.n; i++)
		if (is_held(&ts->t.a[i]))
			rc = add_held(ts, i, out, e);
	if (rc == 0)
		rc = candidates_learn_each(g, RIGHT, twoway_tells(g, RIGHT) ? LEARN_MARKS : LEARN_CONTENTS, date_fits, &dates, out, e);
	numset_release(&dates.known);
	return rc;
}

/* A remote side's new message is the pair of this trail: so its name says, which stands for its text. */
static void unite(void *arg, struct candidate *l, struct candidate *r)
{
	struct trails *ts = arg;
	struct trail *t = &ts->t.a[r->tag];

	l->united = r->united = true;
	t->now[LEFT] = (struct place){ l->box, l->row };
	place_row(t->now[LEFT])->moving = true;
}

/* So size, Message-ID and time say. */
static void unite_alike(void *arg, struct candidate *l, struct candidate *r)
{
	const struct trails *ts = arg;
	const struct trail *t = &ts->t.a[r->tag];

	/*
	 * in the same folder it may be one that was edited and added anew: it would keep its old text here. Nobody adds to a store without UIDs (POP3), which may name all its
	 * messages anew
	 */
	if (l->box != t->home.box || t->now[RIGHT].box != t->home.box || l->box->info[LEFT].validity == 0)
		unite(arg, l, r);
}

/* So its content says. */
static void unite_proven(void *arg, struct candidate *l, struct candidate *r)
{
	struct trails *ts = arg;

	ts->t.a[r->tag].id = l->id;
	unite(arg, l, r);
}

/* What a remote side has elsewhere now, by the names that it gives to messages wherever they are. */
static int find_by_object(struct twoway *g, struct trails *ts, struct err *e)
{
	struct candidates held = { 0 }, fresh = { 0 };
	int rc = 0;

	for (size_t k = 0; rc == 0 && k < ts->t.n; k++)
		if (is_held(&ts->t.a[k]) && ts->t.a[k].told.has_object)
			rc = add_held(ts, k, &held, e);
	for (size_t i = 0; rc == 0 && held.c.n > 0 && i < g->boxes.n; i++)
		rc = gather_fresh(&g->boxes.a[i], LEFT, &fresh, e);
	if (rc == 0)
		candidates_match_objects(&fresh, &held, unite, ts);
	candidates_release(&held);
	candidates_release(&fresh);
	return rc;
}

/* What has no Message-ID, has it together with others, or is in its own folder by another key: size and time narrow it down, and the content proves it. */
static int find_by_proof(struct twoway *g, struct trails *ts, struct candidates *fresh, struct candidates *held, struct err *e)
{
	int rc;

	candidates_drop_united(fresh);
	candidates_drop_united(held);
	candidates_narrow_alike(fresh, held);
	candidates_narrow_alike(held, fresh);
	rc = candidates_learn_each(g, LEFT, LEARN_CONTENTS, NULL, NULL, fresh, e);
	if (rc == 0 && fresh->c.n > 0)
		rc = candidates_learn_each(g, RIGHT, LEARN_CONTENTS, NULL, NULL, held, e);
	return rc < 0 ? -1 : candidates_match_contents(fresh, held, unite_proven, ts, e);
}

/* What a remote side has elsewhere now. */
static int find_by_ident(struct twoway *g, struct trails *ts, struct err *e)
{
	struct candidates held = { 0 }, all = { 0 };
	int rc = learn_held(g, ts, &held, e);

	for (size_t i = 0; rc == 0 && held.c.n > 0 && i < g->boxes.n; i++) {
		struct candidates fresh = { 0 };

		rc = gather_fresh(&g->boxes.a[i], LEFT, &fresh, e);
		if (rc == 0)
			rc = candidates_narrow(&fresh, LEFT, &held, e);
		for (size_t k = 0; rc == 0 && k < fresh.c.n; k++)
			rc = vec_push(&all.c, fresh.c.a[k]) < 0 ? twoway_no_memory(e) : 0;
		candidates_release(&fresh);
	}
	if (rc == 0)
		rc = candidates_learn_each(g, LEFT, LEARN_MARKS, NULL, NULL, &all, e);
	if (rc == 0) {
		candidates_match(&all, &held, unite_alike, ts);
		rc = find_by_proof(g, ts, &all, &held, e);
	}
	candidates_release(&held);
	candidates_release(&all);
	return rc;
}

static int note_arrivals(struct arrivals *a, const struct box *b, struct err *e)
{
	for (size_t i = 0; i < b->join.rows.n; i++) {
		const struct joined *row = &b->join.rows.a[i];

		if (is_fresh(row, RIGHT) && row->content && twins_add(&a->twins, row->content->id.plain, i, e) < 0)
			return -1;
		if (!is_fresh(row, LEFT))
			continue;
		a->any |= row->m.left.size == 0;
		if (numset_add(&a->sizes, row->m.left.size) < 0)
			return twoway_no_memory(e);
	}
	numset_seal(&a->sizes);
	twins_sort(&a->twins);
	a->known = true;
	return 0;
}

/*
 * Has that side something new in that folder which may be the message already? A move of an earlier run that came to no good end has left it there: it is compared by its
 * content, when one of the two is copied. 1, 0, -1.
 */
static int may_be_there(struct twoway *g, int side, struct trails *ts, const struct trail *t, struct box *to, struct err *e)
{
	struct arrivals *a;

	if (!ts->at)
		ts->at = calloc(g->boxes.n, sizeof(*ts->at));
	if (!ts->at)
		return twoway_no_memory(e);
	a = &ts->at[to - g->boxes.a];
	if (!a->known && note_arrivals(a, to, e) < 0)
		return -1;
	if (side == RIGHT) /* what it shows otherwise adopt.c has found */
		return t->id.has_digest && twins_take(&a->twins, t->id.plain) != NULL;
	return a->any || numset_has(&a->sizes, t->id.size);
}

/* May a side's message go from one folder to the other? */
static bool may_move(struct twoway *g, int side, struct place from, struct place to)
{
	struct plan_sync_policy a, b;

	if (from.box == to.box)
		return true;
	decide_policy(g, from.box, &a);
	decide_policy(g, to.box, &b);
	if (g->p->one_way ? side == LEFT || !a.right.may_add : side == LEFT ? !a.left.may_remove : !a.right.may_remove)
		return false;
	return (side == LEFT ? b.left.may_add : b.right.may_add) &&
	       (box_there(to.box, side) || to.box->create[side]);
}

static bool at_home(const struct trail *t, int side)
{
	return t->now[side].box == t->home.box && t->now[side].row == t->home.row;
}

/* Which side is to follow: where both have moved it, to different folders, the left's counts, unless there it is back where it was. */
static int follower(const struct trail *t)
{
	if (at_home(t, LEFT))
		return LEFT;
	return at_home(t, RIGHT) || t->now[LEFT].box != t->home.box ? RIGHT : LEFT;
}

/* What is to be done about a trail whose ends are known. */
static int plan_move(struct twoway *g, struct trails *ts, const struct trail *t, struct err *e)
{
	int side = follower(t), there = 0;
	struct move m = { .side = side, .home = t->home, .from = t->now[side], .to = t->now[!side], .id = t->id };

	if (!m.from.box || !m.to.box || !may_move(g, side, m.from, m.to))
		return 0;
	if (m.from.box != m.to.box)
		there = may_be_there(g, side, ts, t, m.to.box, e);
	if (there != 0)
		return there < 0 ? -1 : 0;
	if (vec_push(&g->moves, m) < 0)
		return twoway_no_memory(e);
	place_row(m.home)->moving = place_row(m.from)->moving = place_row(m.to)->moving = true;
	m.home.box->work = m.from.box->work = m.to.box->work = true; /* of what will not be moved, after all */
	return 0;
}

/* The right's come first: what is new at the left when they are planned has come there by no move that is understood. */
static int plan_moves(struct twoway *g, struct trails *ts, struct err *e)
{
	for (size_t i = 0; i < ts->t.n; i++)
		for (int s = LEFT; s <= RIGHT; s++)
			if (ts->t.a[i].now[s].box)
				place_row(ts->t.a[i].now[s])->moving = false;
	for (int s = RIGHT; s >= LEFT; s--)
		for (size_t i = 0; i < ts->t.n; i++)
			if (follower(&ts->t.a[i]) == s && plan_move(g, ts, &ts->t.a[i], e) < 0)
				return -1;
	return 0;
}

static bool is_local(const struct twoway *g, int side)
{
	return !twoway_far(g, side);
}

/* Does the left name messages as it likes (POP3)? What it has named anew may have no Message-ID or time by which it is known again. */
static bool may_rename(const struct twoway *g)
{
	for (size_t i = 0; i < g->boxes.n; i++)
		if (g->boxes.a[i].looked[LEFT] && g->boxes.a[i].info[LEFT].validity == 0)
			return true;
	return false;
}

int moves_find(struct twoway *g, struct err *e)
{
	struct trails ts = { 0 };
	const bool lost = any_lost(g);
	int rc = lost ? spread_all(g, e) : 0;

	if (rc == 0)
		rc = movehalf_find(g, e);
	for (size_t i = 0; i < g->boxes.n; i++)
		g->boxes.a[i].unseen = g->boxes.a[i].failed;
	if (rc < 0 || !lost || count_fresh(g, LEFT) + count_fresh(g, RIGHT) == 0)
		return rc;
	rc = gather_trails(g, &ts, e);
	for (int s = RIGHT; rc == 0 && s >= LEFT && ts.t.n > 0; s--) {
		if (count_fresh(g, s) == 0)
			continue;
		if (s == LEFT && !is_local(g, s))
			rc = find_by_object(g, &ts, e) < 0 ? -1 : find_by_ident(g, &ts, e);
		if (rc == 0 && (s == RIGHT || is_local(g, s) || may_rename(g)))
			rc = find_by_content(g, s, &ts, e);
	}
	if (rc == 0)
		rc = plan_moves(g, &ts, e);
	for (size_t i = 0; ts.at && i < g->boxes.n; i++) {
		numset_release(&ts.at[i].sizes);
		twins_release(&ts.at[i].twins);
	}
	free(ts.at);
	vec_release(&ts.t);
	vec_release(&ts.lost);
	return rc;
}
