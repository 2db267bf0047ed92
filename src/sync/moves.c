#include "sync/moves.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "sync/candidates.h"

/* Where a side has a message: a row of a box; box NULL: nowhere that is known. */
struct place {
	struct box *box;
	size_t row;
};

/* A pair of the base that a side, or both, does not show where it was. */
struct trail {
	struct place home, now[2];
	uint64_t size;          /* as the right stores it; or the left, if it was copied to there */
	bool back;              /* so it was */
	struct ident id;        /* of what was found by its content */
	unsigned char digest[DIGEST_SIZE];
};

struct trails {
	VEC(struct trail) t;
	VEC(size_t) lost;       /* of a side, by their content */
};

static struct joined *row_of(struct place p)
{
	return &p.box->join.rows.a[p.row];
}

static struct plan_sync_side *side_of(struct joined *row, int side)
{
	return side == LEFT ? &row->m.left : &row->m.right;
}

static struct slice key_of(const struct joined *row, int side)
{
	return side == LEFT ? row->left : row->right;
}

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
static bool is_fresh(struct joined *row, int side)
{
	return row->pair == 0 && !row->moving && side_of(row, side)->present && !side_of(row, !side)->present;
}

static size_t count_fresh(struct twoway *g, int side)
{
	size_t n = 0;

	for (size_t i = 0; i < g->boxes.n; i++)
		for (size_t k = 0; may_gain(&g->boxes.a[i]) && k < g->boxes.a[i].join.rows.n; k++)
			n += is_fresh(&g->boxes.a[i].join.rows.a[k], side);
	return n;
}

/* ---- finding ---- */

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

			if (row->pair == 0 || (row->m.left.present && row->m.right.present))
				continue;
			rc = pairs_by_id(g->db, row->pair, &p, e);
			if (rc < 0)
				return -1;
			if (rc == 0)
				continue;
			t.size = p.size;
			t.back = p.back;
			memcpy(t.digest, p.digest, DIGEST_SIZE);
			for (int s = LEFT; s <= RIGHT; s++)
				if (side_of(row, s)->present)
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
		row_of(t->now[side])->moving = true;
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

/* Numbers to look up: sizes, or times. */
struct numbers {
	VEC(int64_t) a;
	bool any; /* all are taken for being among them */
};

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static bool is_among(const struct numbers *w, int64_t n)
{
	return w->any || (w->a.n > 0 && bsearch(&n, w->a.a, w->a.n, sizeof(n), by_value));
}

static void sort_numbers(struct numbers *w)
{
	if (w->a.n > 0)
		qsort(w->a.a, w->a.n, sizeof(*w->a.a), by_value);
}

/* Sizes of what was lost: as the store has it, and with line ends that are perhaps longer. */
struct sizes {
	struct numbers own, wire;
};

/* candidates_fits: by its size, which a store need not know */
static bool size_fits(void *arg, const struct store_msg *m)
{
	const struct sizes *w = arg;
	int64_t size = (int64_t)m->size;
	size_t from = 0, to = w->wire.a.n;

	if (size == 0 || is_among(&w->own, size))
		return true;
	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (w->wire.a.a[mid] < size)
			from = mid + 1;
		else
			to = mid;
	}
	return from < w->wire.a.n && w->wire.a.a[from] <= 2 * size;
}

/* candidates_fits: by when it arrived */
static bool date_fits(void *arg, const struct store_msg *m)
{
	return m->date == 0 || is_among(arg, m->date);
}

/* What tells these apart. A folder that can't be read fails alone. */
static int learn(struct twoway *g, int side, bool whole, candidates_fits *fits, void *arg, struct candidates *cs, struct err *e)
{
	struct err why = ERR_INIT;
	struct box *b = cs->c.n > 0 ? cs->c.a[0].box : NULL;

	if (candidates_learn(g, side, whole, fits, arg, cs, &why) == 0)
		return 0;
	cs->c.n = 0;
	return box_error(g, b, &why, e);
}

/* Files of the same content; only those are read that have the size of a lost one. That they are called the same as one proves nothing: names may be mere numbers. */
static int find_by_content(struct twoway *g, int side, struct trails *ts, struct err *e)
{
	struct sizes sizes = { .own = { .any = false } };
	int rc = sort_lost(ts, side, e);

	for (size_t i = 0; rc == 0 && i < ts->lost.n; i++) {
		const struct trail *t = &ts->t.a[ts->lost.a[i]];
		struct numbers *w = t->back ? &sizes.wire : &sizes.own;

		rc = vec_push(&w->a, (int64_t)t->size) < 0 ? twoway_no_memory(e) : 0;
	}
	sort_numbers(&sizes.own);
	sort_numbers(&sizes.wire);
	for (size_t i = 0; rc == 0 && ts->lost.n > 0 && i < g->boxes.n; i++) {
		struct candidates fresh = { 0 };

		rc = gather_fresh(&g->boxes.a[i], side, &fresh, e);
		if (rc == 0)
			rc = learn(g, side, true, size_fits, &sizes, &fresh, e);
		for (size_t k = 0; rc == 0 && k < fresh.c.n; k++)
			if (fresh.c.a[k].told)
				take_trail(ts, side, &fresh.c.a[k]);
		candidates_release(&fresh);
	}
	vec_release(&sizes.own.a);
	vec_release(&sizes.wire.a);
	return rc;
}

/* When what is new at the left arrived there, as far as its looks have told. */
static int gather_dates(struct twoway *g, struct numbers *out, struct err *e)
{
	for (size_t i = 0; i < g->boxes.n; i++) {
		struct box *b = &g->boxes.a[i];

		for (size_t k = 0; may_gain(b) && k < b->join.rows.n; k++) {
			struct joined *row = &b->join.rows.a[k];

			if (!is_fresh(row, LEFT))
				continue;
			out->any |= row->m.left.date == 0;
			if (vec_push(&out->a, row->m.left.date) < 0)
				return twoway_no_memory(e);
		}
	}
	sort_numbers(out);
	return 0;
}

/* What the right holds of the pairs that the left has lost, folder by folder: what arrived when something new did. */
static int learn_held(struct twoway *g, const struct trails *ts, struct candidates *out, struct err *e)
{
	struct numbers dates = { .any = false };
	int rc = gather_dates(g, &dates, e);

	for (size_t i = 0; rc == 0 && i < g->boxes.n; i++) {
		struct candidates held = { 0 };

		for (size_t k = 0; rc == 0 && k < ts->t.n; k++) {
			const struct trail *t = &ts->t.a[k];

			if (t->now[LEFT].box || t->now[RIGHT].box != &g->boxes.a[i])
				continue;
			rc = candidates_add(&held, t->now[RIGHT].box, t->now[RIGHT].row, e);
			if (rc == 0)
				held.c.a[held.c.n - 1].tag = k;
		}
		if (rc == 0)
			rc = learn(g, RIGHT, true, date_fits, &dates, &held, e);
		for (size_t k = 0; rc == 0 && k < held.c.n; k++)
			rc = vec_push(&out->c, held.c.a[k]) < 0 ? twoway_no_memory(e) : 0;
		candidates_release(&held);
	}
	vec_release(&dates.a);
	return rc;
}

/* A remote side's new message is the pair of this trail. */
static void unite(void *arg, struct candidate *l, struct candidate *r)
{
	struct trails *ts = arg;
	struct trail *t = &ts->t.a[r->tag];

	/* in the same folder it may be one that was edited and added anew: it would keep its old text here */
	if (l->box == t->home.box && t->now[RIGHT].box == t->home.box)
		return;
	l->united = r->united = true;
	t->now[LEFT] = (struct place){ l->box, l->row };
	row_of(t->now[LEFT])->moving = true;
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
		if (rc == 0)
			rc = learn(g, LEFT, false, NULL, NULL, &fresh, e);
		for (size_t k = 0; rc == 0 && k < fresh.c.n; k++)
			rc = vec_push(&all.c, fresh.c.a[k]) < 0 ? twoway_no_memory(e) : 0;
		candidates_release(&fresh);
	}
	if (rc == 0)
		candidates_match(&all, &held, unite, ts);
	candidates_release(&held);
	candidates_release(&all);
	return rc;
}

/*
 * Has the left something new in that folder which may be the message already? A move of an earlier run that came to no good end has left it there: it is compared by its
 * content, when one of the two is copied.
 */
static bool may_be_there(const struct trail *t, struct box *to)
{
	for (size_t i = 0; i < to->join.rows.n; i++)
		if (is_fresh(&to->join.rows.a[i], LEFT) && (to->join.rows.a[i].m.left.size == 0 || to->join.rows.a[i].m.left.size == t->id.size))
			return true;
	return false;
}

/* May a side's message go from one folder to the other? */
static bool may_move(struct twoway *g, int side, struct place from, struct place to)
{
	struct plan_sync_policy a, b;

	if (from.box == to.box)
		return true;
	decide_policy(g, from.box, &a);
	decide_policy(g, to.box, &b);
	return (side == LEFT ? a.left.may_remove : a.right.may_remove) && (side == LEFT ? b.left.may_add : b.right.may_add) &&
	       (box_there(to.box, side) || to.box->create[side]);
}

/* What is to be done about a trail whose ends are known. Where the sides have moved it to different folders, the left's counts. */
static int plan_move(struct twoway *g, const struct trail *t, struct err *e)
{
	struct move m = { .home = t->home.box, .home_row = t->home.row, .id = t->id };
	struct place from = t->now[LEFT], to = t->now[RIGHT];
	bool left_stays = from.box == t->home.box; /* or is back there */

	m.side = LEFT;
	if (!left_stays) {
		m.side = RIGHT;
		from = t->now[RIGHT];
		to = t->now[LEFT];
	}
	for (int s = LEFT; s <= RIGHT; s++)
		if (t->now[s].box)
			row_of(t->now[s])->moving = false;
	if (!from.box || !to.box || !may_move(g, m.side, from, to) || (m.side == LEFT && from.box != to.box && may_be_there(t, to.box)))
		return 0;
	m.from = from.box;
	m.from_row = from.row;
	m.to = to.box;
	m.to_row = to.row;
	if (vec_push(&g->moves, m) < 0)
		return twoway_no_memory(e);
	row_of(t->home)->moving = row_of(from)->moving = row_of(to)->moving = true;
	t->home.box->work = from.box->work = to.box->work = true; /* of what will not be moved, after all */
	return 0;
}

static bool is_local(const struct twoway *g, int side)
{
	return !(g->side[side]->ops->caps & STORE_REMOTE);
}

int moves_find(struct twoway *g, struct err *e)
{
	struct trails ts = { 0 };
	int rc = 0;

	if (count_fresh(g, LEFT) + count_fresh(g, RIGHT) == 0)
		return 0;
	rc = gather_trails(g, &ts, e);
	for (int s = RIGHT; rc == 0 && s >= LEFT && ts.t.n > 0; s--) {
		if (count_fresh(g, s) == 0)
			continue;
		if (!is_local(g, s))
			rc = find_by_ident(g, &ts, e);
		else
			rc = find_by_content(g, s, &ts, e);
	}
	for (size_t i = 0; i < ts.t.n; i++)
		if (plan_move(g, &ts.t.a[i], rc == 0 ? e : NULL) < 0)
			rc = -1;
	vec_release(&ts.t);
	vec_release(&ts.lost);
	return rc;
}

/* ---- doing ---- */

static struct joined *move_row(struct box *b, size_t row)
{
	return &b->join.rows.a[row];
}

static int by_route(const void *a, const void *b)
{
	const struct move *x = a, *y = b;

	if (x->side != y->side)
		return x->side - y->side;
	if (x->from != y->from)
		return x->from < y->from ? -1 : 1;
	if (x->to != y->to)
		return x->to < y->to ? -1 : 1;
	return (x->num > y->num) - (x->num < y->num);
}

/* Nothing is done about it in this run, and the next is to see it again. */
static void leave(struct move *m)
{
	for (int s = LEFT; s <= RIGHT; s++)
		m->home->kept[s] = m->from->kept[s] = m->to->kept[s] = true;
}

/*
 * It can't be moved: it is copied. Where it was it is deleted by the next run, as any other message that is gone on one side: when the copy is there, and no guard
 * objects. Were both sides to have moved it, there would be two of it then.
 */
static void give_up(struct move *m)
{
	leave(m);
	if (m->from == m->home && m->from_row == m->home_row)
		move_row(m->to, m->to_row)->moving = false;
}

/* It was moved: its row is one of the new folder now. */
static int arrived(struct move *m, struct err *e)
{
	struct joined *home = move_row(m->home, m->home_row), *from = move_row(m->from, m->from_row), *to = move_row(m->to, m->to_row);
	struct slice key = arena_slice(&m->to->join.arena, m->key);

	if (!key.p)
		return twoway_no_memory(e);
	to->pair = home->pair;
	to->m.known = true;
	to->m.flags = home->m.flags;
	*side_of(to, m->side) = *side_of(from, m->side);
	*(m->side == LEFT ? &to->left : &to->right) = key;
	to->moving = false;
	*from = *home = (struct joined){ .pair = 0 };
	return 0;
}

static int note_moves(struct twoway *g, struct move *m, size_t n, struct err *e)
{
	if (db_begin(g->db, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		const struct joined *to = move_row(m[i].to, m[i].to_row);
		int64_t folder = m[i].to->f->base.id;

		if (m[i].end != MOVE_DONE)
			continue;
		if (pairs_move(g->db, move_row(m[i].home, m[i].home_row)->pair, folder, m[i].side == LEFT ? m[i].key : to->left, m[i].side == LEFT ? to->right : m[i].key,
			       e) < 0 ||
		    failures_clear(g->db, folder, m[i].side == LEFT, key_of(to, !m[i].side), e) < 0) {
			db_rollback(g->db);
			return -1;
		}
	}
	return db_commit(g->db, e);
}

static void tell_move(struct twoway *g, const struct move *m, bool dry)
{
	char uid[ERR_TEXT_MAX];
	struct slice key = key_of(move_row(m->from, m->from_row), m->side);
	struct event ev = { .type = EVENT_MESSAGE, .action = ACTION_MOVE, .folder = m->from->f->left, .to = m->to->f->left, .at = m->side == LEFT ? AT_LEFT : AT_RIGHT,
			    .dry = dry };

	if (m->from == m->to)
		return;
	ev.uid = err_printable(uid, sizeof(uid), key.p, key.n);
	g->totals->moved++;
	twoway_put(g, &ev);
}

/* Moves from one folder to another, of which a store tells. */
struct route {
	struct twoway *g;
	struct move *m;
	size_t n;
	bool failed; /* memory is out */
};

/* What is copied instead needs no word. */
static void tell_refusal(struct twoway *g, const struct move *m, const struct err *why)
{
	struct err e = *why;

	if (m->from == m->home && m->from_row == m->home_row) {
		log_debug("a message is not moved: %s", why->text);
		return;
	}
	err_in(&e, "a message was moved to '%s' on one side and to '%s' on the other, and stays so", m->to->f->left, m->from->f->left);
	twoway_warn(g, e.text);
}

/* store_ops.move's done */
static void told(void *arg, uint64_t num, struct slice key, const struct err *why)
{
	struct route *r = arg;

	for (size_t from = 0, to = r->n; from < to;) {
		size_t mid = from + (to - from) / 2;
		struct move *m = &r->m[mid];

		if (m->num < num) {
			from = mid + 1;
		} else if (m->num > num) {
			to = mid;
		} else {
			m->end = why ? MOVE_REFUSED : key.n > 0 ? MOVE_DONE : MOVE_UNKNOWN;
			m->key = arena_slice(&m->to->join.arena, key);
			r->failed |= key.n > 0 && !m->key.p;
			if (why)
				tell_refusal(r->g, m, why);
			return;
		}
	}
}

/* A message that a remote store says was moved, by the number that it is said to have there. */
struct claim {
	uint64_t num;
	struct move *m;
	bool borne_out;
};

struct claimed {
	VEC(struct claim) a;
};

static int by_claim(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;

	return (x->num > y->num) - (x->num < y->num);
}

static void compare(void *arg, uint64_t num, const struct ident *id)
{
	struct claimed *cs = arg;
	struct claim key = { .num = num }, *c = bsearch(&key, cs->a.a, cs->a.n, sizeof(key), by_claim);

	if (c)
		c->borne_out = !id->has_mid || !c->m->id.has_mid || memcmp(id->mid, c->m->id.mid, IDENT_MID) == 0;
}

/* Servers lie: what is said to be the message must be there, and have its Message-ID. Else whatever became of that one would be done to this. */
static int verify(struct route *r, struct err *e)
{
	struct move *m = r->m;
	struct store *s = r->g->side[m->side];
	struct claimed cs = { 0 };
	VEC(uint64_t) nums = { 0 };
	struct box_info info;
	int rc = s->ops->open_box(s, box_name(m->to, m->side), BOX_WRITE, &info, e);

	for (size_t i = 0; rc >= 0 && i < r->n; i++) {
		struct store_msg x = { .num = 0 };

		if (m[i].end != MOVE_DONE)
			continue;
		rc = s->ops->find(s, m[i].key, 0, &x, e);
		if (rc == 1 && (vec_push(&cs.a, ((struct claim){ .num = x.num, .m = &m[i] })) < 0 || vec_push(&nums, x.num) < 0))
			rc = twoway_no_memory(e);
		else if (rc == 0)
			m[i].end = MOVE_UNKNOWN;
	}
	if (rc >= 0 && cs.a.n > 0) {
		qsort(cs.a.a, cs.a.n, sizeof(*cs.a.a), by_claim);
		rc = s->ops->idents(s, nums.a, nums.n, compare, &cs, e);
	}
	for (size_t i = 0; i < cs.a.n; i++)
		if (rc < 0 || !cs.a.a[i].borne_out)
			cs.a.a[i].m->end = MOVE_UNKNOWN;
	vec_release(&cs.a);
	vec_release(&nums);
	return rc < 0 ? -1 : 0;
}

/* Have the store move what it still has. */
static int travel(struct route *r, struct err *e)
{
	struct move *m = r->m;
	struct twoway *g = r->g;
	struct store *s = g->side[m->side];
	VEC(uint64_t) nums = { 0 };
	struct box_info info;
	struct err why = ERR_INIT;
	size_t n = 0;
	int rc = act_note_keys(g, m->to, m->side, e);

	if (rc < 0 || s->ops->open_box(s, box_name(m->from, m->side), BOX_WRITE, &info, e) < 0)
		return -1;
	for (size_t i = 0; rc >= 0 && i < r->n; i++) {
		struct joined *row = move_row(m[i].from, m[i].from_row);
		struct store_msg x = { .num = 0 };

		rc = s->ops->find(s, key_of(row, m[i].side), side_of(row, m[i].side)->flags, &x, e);
		m[i].num = rc == 1 ? x.num : 0; /* somebody was faster: who knows where it is */
		m[i].end = info.read_only ? MOVE_REFUSED : MOVE_UNKNOWN;
	}
	for (size_t i = 0; rc >= 0 && i < r->n; i++) {
		struct move x = m[i];

		if (x.end == MOVE_REFUSED || x.num == 0)
			continue;
		m[i] = m[n];
		m[n++] = x;
	}
	if (rc >= 0 && n > 0)
		qsort(m, n, sizeof(*m), by_route);
	for (size_t i = 0; rc >= 0 && i < n; i++)
		rc = vec_push(&nums, m[i].num) < 0 ? twoway_no_memory(e) : 0;
	if (rc >= 0 && n > 0) {
		r->n = n;
		rc = s->ops->move(s, nums.a, n, box_name(m->to, m->side), told, r, &why);
		if (rc < 0)
			*e = why;
		else if (r->failed)
			rc = twoway_no_memory(e);
		else if (s->ops->idents)
			rc = verify(r, e);
	}
	s->ops->close_box(s);
	vec_release(&nums);
	return rc < 0 ? -1 : 0;
}

/* All that go from one folder to another. */
static int move_route(struct twoway *g, struct move *m, size_t n, struct err *e)
{
	struct route r = { .g = g, .m = m, .n = n };
	struct err why = ERR_INIT;
	int rc = 0;

	/* what the base is to know of renumbered folders comes first */
	for (size_t i = 0; i < n; i++)
		if ((!m[i].home->failed && adopt_note(g, m[i].home, e) < 0) || (!m[i].from->failed && adopt_note(g, m[i].from, e) < 0) ||
		    (!m[i].to->failed && adopt_note(g, m[i].to, e) < 0))
			return -1;
	for (size_t i = 0; i < n; i++) {
		m[i].end = MOVE_UNKNOWN;
		if (m[i].home->failed || m->from->failed || m->to->failed || m->to->f->base.id == 0)
			m[i].end = MOVE_REFUSED;
		else if (m->from == m->to)
			m[i].end = MOVE_DONE;
		m[i].key = m[i].end == MOVE_DONE ? key_of(move_row(m[i].from, m[i].from_row), m->side) : (struct slice){ 0 };
	}
	if (m->end == MOVE_UNKNOWN) {
		exec_step(&g->x[m->side], "move");
		rc = travel(&r, &why);
		exec_step(&g->x[m->side], "note moves");
	}
	if (rc < 0 && box_error(g, m->from, &why, e) < 0)
		return -1;
	if (note_moves(g, m, n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (m[i].end == MOVE_DONE) {
			tell_move(g, &m[i], false);
			if (arrived(&m[i], e) < 0)
				return -1;
		} else if (m[i].end == MOVE_REFUSED) {
			give_up(&m[i]);
		} else {
			leave(&m[i]);
		}
	}
	return 0;
}

int moves_do(struct twoway *g, struct err *e)
{
	struct move *m = g->moves.a;

	if (g->moves.n > 0)
		qsort(m, g->moves.n, sizeof(*m), by_route);
	for (size_t i = 0, n; i < g->moves.n; i += n) {
		for (n = 1; i + n < g->moves.n && m[i + n].side == m[i].side && m[i + n].from == m[i].from && m[i + n].to == m[i].to;)
			n++;
		if (move_route(g, &m[i], n, e) < 0)
			return -1;
	}
	return 0;
}

void moves_tell(struct twoway *g)
{
	for (size_t i = 0; i < g->moves.n; i++)
		tell_move(g, &g->moves.a[i], true);
}
