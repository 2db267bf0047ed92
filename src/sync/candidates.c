#include "sync/candidates.h"

#include <stdlib.h>
#include <string.h>

#include "base/numset.h"
#include "mail/mark.h"
#include "sync/proof.h"
#include "sync/twins.h"

/* What was told of it before. */
static struct ident ident_of(const struct told *t)
{
	struct ident id = { .size = t->size, .date = t->date, .has_mid = t->has_mid, .has_object = t->has_object };

	memcpy(id.mid, t->mid, sizeof(id.mid));
	memcpy(id.object, t->object, sizeof(id.object));
	return id;
}

int candidates_add(struct candidates *cs, struct box *b, size_t row, struct err *e)
{
	const struct told *told = &b->join.rows.a[row].told;
	struct candidate c = { .box = b, .row = row, .id = ident_of(told) };

	c.told = told->has_mid && told->size != 0 && told->date != 0; /* a look has asked for it */
	return vec_push(&cs->c, c) < 0 ? twoway_no_memory(e) : 0;
}

void candidate_recall(struct candidate *c, const struct pair *p)
{
	static const unsigned char unknown[DIGEST_SIZE];

	c->id = ident_of(&p->told);
	memcpy(c->id.digest, p->digest, DIGEST_SIZE);
	memcpy(c->id.plain, p->digest, DIGEST_SIZE);
	c->id.has_digest = memcmp(p->digest, unknown, DIGEST_SIZE) != 0;
	c->stored = p->size;
	c->told = c->recalled = p->told.size != 0 && p->told.date != 0 && (p->told.has_mid || p->told.has_object);
}

void candidate_read(struct candidate *c, const struct content *content)
{
	c->id = content->id;
	c->stored = content->size;
	c->told = c->marked = true;
}

void candidates_release(struct candidates *cs)
{
	vec_release(&cs->c);
}

static int by_num(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	return (x->num > y->num) - (x->num < y->num);
}

uint64_t candidate_size(const struct candidate *c)
{
	return c->id.size > c->id.mark ? c->id.size - c->id.mark : c->id.size;
}

struct told candidate_told(const struct candidate *c)
{
	return c->told ? proof_told(&c->id) : c->box->join.rows.a[c->row].told;
}

static int by_row(const struct candidate *x, const struct candidate *y)
{
	if (x->box != y->box)
		return x->box < y->box ? -1 : 1;
	return (x->row > y->row) - (x->row < y->row);
}

/* By all that makes two of them the same message, then in the order of the rows. */
static int by_ident(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	uint64_t m = candidate_size(x), n = candidate_size(y);
	int rc;

	if (m != n)
		return m < n ? -1 : 1;
	rc = memcmp(x->id.mid, y->id.mid, IDENT_MID);
	if (rc != 0)
		return rc;
	if (x->id.date != y->id.date)
		return x->id.date < y->id.date ? -1 : 1;
	return by_row(x, y);
}

/* Those that have an object's id, and are not united, come first. */
static int by_object(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	bool m = x->id.has_object && !x->united, n = y->id.has_object && !y->united;
	int rc;

	if (m != n)
		return m ? -1 : 1;
	rc = m ? memcmp(x->id.object, y->id.object, IDENT_OBJECT) : 0;
	return rc != 0 ? rc : by_row(x, y);
}

static bool same_ident(const struct candidate *a, const struct candidate *b)
{
	return candidate_size(a) == candidate_size(b) && memcmp(a->id.mid, b->id.mid, IDENT_MID) == 0 && a->id.date == b->id.date;
}

/* Among sizes without marks, one of which it is not known whether it is such. */
static bool is_among(const struct numset *sizes, uint64_t size, bool told)
{
	return numset_has(sizes, size) || (!told && size > MARK_TUID && numset_has(sizes, size - MARK_TUID));
}

struct candidate *candidates_find(const struct candidates *cs, uint64_t num)
{
	struct candidate key = { .num = num };

	return cs->c.n > 0 ? bsearch(&key, cs->c.a, cs->c.n, sizeof(key), by_num) : NULL;
}

static void tell(void *arg, uint64_t num, const struct ident *id)
{
	struct candidate *c = candidates_find(arg, num);
	struct ident was;

	if (!c)
		return;
	was = c->id;
	c->id = *id;
	if (c->id.date == 0)
		c->id.date = was.date;
	if (!c->id.has_object && was.has_object) {
		c->id.has_object = true;
		memcpy(c->id.object, was.object, sizeof(was.object));
	}
	c->told = true;
}

/* Is that much known of it? */
static bool is_known(const struct candidate *c, enum candidates_how how)
{
	return c->told && (c->id.has_digest || how == LEARN_IDENTS || (how == LEARN_MARKS && c->marked));
}

/* Of all of them, so that nothing need be asked? */
static bool all_known(struct candidates *cs, enum candidates_how how)
{
	for (size_t i = 0; i < cs->c.n; i++) {
		if (!cs->c.a[i].united && !is_known(&cs->c.a[i], how))
			return false;
		cs->c.a[i].num = 0;
	}
	return true;
}

int candidates_learn(struct twoway *g, int side, enum candidates_how how, candidates_fits *fits, void *arg, struct candidates *cs, struct err *e)
{
	struct store *s = g->side[side];
	VEC(uint64_t) nums = { 0 };
	struct box_info info;
	size_t kept = 0;
	struct box *b;
	int rc = -1;

	if (all_known(cs, how))
		return 0;
	b = cs->c.a[0].box;
	if (box_open(g, b, side, twoway_how(g, side), &info, e) < 0)
		return -1;
	for (size_t i = 0; i < cs->c.n; i++) {
		struct candidate c = cs->c.a[i];
		const struct joined *row = &b->join.rows.a[c.row];
		struct store_msg m = { .num = 0 };
		int found;

		if (c.united || is_known(&c, how)) {
			c.num = 0;
			cs->c.a[kept++] = c;
			continue;
		}
		found = s->ops->find(s, joined_key(row, side), joined_side(row, side)->flags, &m, e);
		if (found < 0)
			goto out;
		if (m.size == 0) /* a look may have told it */
			m.size = joined_side(row, side)->size;
		if (m.date == 0)
			m.date = joined_side(row, side)->date;
		if (found == 0 || (fits && !fits(arg, &m)))
			continue;
		c.num = m.num;
		c.stored = m.size;
		c.id.date = m.date;
		c.told = false;
		c.marked = how != LEARN_IDENTS;
		cs->c.a[kept++] = c;
	}
	cs->c.n = kept;
	if (kept > 0)
		qsort(cs->c.a, kept, sizeof(*cs->c.a), by_num);
	for (size_t i = 0; i < kept; i++) {
		if (cs->c.a[i].num != 0 && vec_push(&nums, cs->c.a[i].num) < 0) {
			twoway_no_memory(e);
			goto out;
		}
	}
	if (nums.n == 0)
		rc = 0;
	else if (s->ops->idents && how != LEARN_CONTENTS)
		rc = s->ops->idents(s, nums.a, nums.n, how == LEARN_MARKS, tell, cs, e);
	else /* one that can't be read is no candidate: what copies it will say why */
		rc = store_read_idents(s, nums.a, nums.n, 0, tell, cs, e);
out:
	s->ops->close_box(s);
	vec_release(&nums);
	return rc;
}

/* The same of one box. One that can't be read fails alone. */
static int learn_box(struct twoway *g, int side, enum candidates_how how, candidates_fits *fits, void *arg, struct candidates *cs, struct err *e)
{
	struct err why = ERR_INIT;
	struct box *b = cs->c.a[0].box;

	if (candidates_learn(g, side, how, fits, arg, cs, &why) == 0)
		return 0;
	cs->c.n = 0;
	return box_error(g, b, &why, e);
}

int candidates_learn_each(struct twoway *g, int side, enum candidates_how how, candidates_fits *fits, void *arg, struct candidates *cs, struct err *e)
{
	struct candidates all = { 0 };
	int rc = 0;

	for (size_t i = 0; rc == 0 && cs->c.n > 0 && i < g->boxes.n; i++) {
		struct candidates some = { 0 };

		for (size_t k = 0; rc == 0 && k < cs->c.n; k++)
			if (cs->c.a[k].box == &g->boxes.a[i])
				rc = vec_push(&some.c, cs->c.a[k]) < 0 ? twoway_no_memory(e) : 0;
		if (rc == 0 && some.c.n > 0)
			rc = learn_box(g, side, how, fits, arg, &some, e);
		for (size_t k = 0; rc == 0 && k < some.c.n; k++)
			rc = vec_push(&all.c, some.c.a[k]) < 0 ? twoway_no_memory(e) : 0;
		candidates_release(&some);
	}
	candidates_release(cs);
	*cs = all;
	return rc;
}

int candidates_narrow(struct candidates *cs, int side, const struct candidates *others, struct err *e)
{
	struct numset sizes = { 0 };
	size_t kept = 0;

	for (size_t i = 0; i < others->c.n; i++) {
		if (others->c.a[i].told && !others->c.a[i].united && numset_add(&sizes, candidate_size(&others->c.a[i])) < 0) {
			numset_release(&sizes);
			return twoway_no_memory(e);
		}
	}
	numset_seal(&sizes);
	for (size_t i = 0; sizes.v.n > 0 && i < cs->c.n; i++) {
		struct candidate c = cs->c.a[i];
		uint64_t size = c.told ? candidate_size(&c) : joined_side(&c.box->join.rows.a[c.row], side)->size;

		if (c.united || (size != 0 && !is_among(&sizes, size, c.told && c.marked)))
			continue;
		cs->c.a[i] = cs->c.a[kept];
		cs->c.a[kept++] = c;
	}
	cs->c.n = kept;
	numset_release(&sizes);
	return 0;
}

void candidates_drop_united(struct candidates *cs)
{
	size_t kept = 0;

	for (size_t i = 0; i < cs->c.n; i++)
		if (!cs->c.a[i].united)
			cs->c.a[kept++] = cs->c.a[i];
	cs->c.n = kept;
}

static int by_looks(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	uint64_t m = candidate_size(x), n = candidate_size(y);

	if (m != n)
		return m < n ? -1 : 1;
	return (x->id.date > y->id.date) - (x->id.date < y->id.date);
}

/* Is one of that size and date, or any, among these, which are sorted? */
static bool is_seen(const struct candidates *cs, uint64_t size, int64_t date, bool any)
{
	size_t from = 0, to = cs->c.n;

	while (from < to) {
		size_t mid = from + (to - from) / 2;
		const struct candidate *c = &cs->c.a[mid];

		if (candidate_size(c) < size || (candidate_size(c) == size && !any && c->id.date < date))
			from = mid + 1;
		else
			to = mid;
	}
	return from < cs->c.n && candidate_size(&cs->c.a[from]) == size && (any || cs->c.a[from].id.date == date);
}

void candidates_narrow_alike(struct candidates *cs, struct candidates *others)
{
	size_t kept = 0;

	if (others->c.n > 0)
		qsort(others->c.a, others->c.n, sizeof(*others->c.a), by_looks);
	for (size_t i = 0; i < cs->c.n; i++) {
		const uint64_t size = candidate_size(&cs->c.a[i]);
		const int64_t date = cs->c.a[i].id.date;

		if (is_seen(others, size, date, date == 0) || is_seen(others, size, 0, false))
			cs->c.a[kept++] = cs->c.a[i];
	}
	cs->c.n = kept;
}

static bool has_object(const struct candidates *cs, size_t i)
{
	return i < cs->c.n && cs->c.a[i].id.has_object && !cs->c.a[i].united;
}

static bool has_objects(const struct candidates *cs)
{
	size_t i = 0;

	while (i < cs->c.n && !has_object(cs, i))
		i++;
	return i < cs->c.n;
}

bool candidates_alike(const struct told *a, const struct told *b)
{
	return (a->size == 0 || b->size == 0 || a->size == b->size) && (a->date == 0 || b->date == 0 || a->date == b->date);
}

static bool is_alike(const struct candidate *l, const struct candidate *r)
{
	const struct told was = { .size = r->id.size, .date = r->id.date }, now = candidate_told(l);

	return candidates_alike(&was, &now);
}

size_t candidates_match_objects(struct candidates *left, struct candidates *right, void (*unite)(void *arg, struct candidate *l, struct candidate *r), void *arg)
{
	size_t united = 0;

	if (!has_objects(left) || !has_objects(right))
		return 0;
	qsort(left->c.a, left->c.n, sizeof(*left->c.a), by_object);
	qsort(right->c.a, right->c.n, sizeof(*right->c.a), by_object);
	for (size_t l = 0, r = 0; has_object(left, l) && has_object(right, r);) {
		struct candidate *x = &left->c.a[l], *y = &right->c.a[r];
		int order = memcmp(x->id.object, y->id.object, IDENT_OBJECT);

		if (order == 0 && is_alike(x, y)) {
			unite(arg, x, y);
			united++;
		}
		l += order <= 0;
		r += order >= 0;
	}
	return united;
}

/* Those that are known well enough, and are not united, to the front, in order; how many. */
static size_t sort_known(struct candidates *cs)
{
	size_t n = 0;

	for (size_t i = 0; i < cs->c.n; i++) {
		struct candidate c = cs->c.a[i];

		if (c.united || !c.told || !c.id.has_mid || c.id.date == 0)
			continue;
		cs->c.a[i] = cs->c.a[n];
		cs->c.a[n++] = c;
	}
	if (n > 0)
		qsort(cs->c.a, n, sizeof(*cs->c.a), by_ident);
	return n;
}

/* How many of these are the same as the first, as far as can be told. */
static size_t run_of(const struct candidate *c, size_t most)
{
	size_t n = 1;

	while (n < most && same_ident(&c[0], &c[n]))
		n++;
	return n;
}

/* Are these n of the right the same to the last byte? */
static bool all_equal(const struct candidate *r, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!r[i].id.has_digest || memcmp(r[i].id.plain, r[0].id.plain, DIGEST_SIZE) != 0)
			return false;
	return true;
}

size_t candidates_match(struct candidates *left, struct candidates *right, void (*unite)(void *arg, struct candidate *l, struct candidate *r), void *arg)
{
	size_t l = 0, r = 0, n_left = sort_known(left), n_right = sort_known(right), united = 0;

	while (l < n_left && r < n_right) {
		struct candidate *x = &left->c.a[l], *y = &right->c.a[r];
		size_t n = run_of(x, n_left - l), m = run_of(y, n_right - r);

		if (!same_ident(x, y)) {
			if (by_ident(x, y) < 0)
				l += n;
			else
				r += m;
			continue;
		}
		for (size_t i = 0; n == m && (m == 1 || all_equal(y, m)) && i < n; i++, united++)
			unite(arg, &x[i], &y[i]);
		l += n;
		r += m;
	}
	return united;
}

static int in_order(const void *a, const void *b)
{
	return by_row(a, b);
}

int candidates_match_contents(struct candidates *left, struct candidates *right, void (*unite)(void *arg, struct candidate *l, struct candidate *r), void *arg, struct err *e)
{
	struct twins twins = { 0 };
	int rc = 0;

	if (left->c.n == 0 || right->c.n == 0)
		return 0;
	qsort(left->c.a, left->c.n, sizeof(*left->c.a), in_order);
	qsort(right->c.a, right->c.n, sizeof(*right->c.a), in_order);
	for (size_t i = 0; rc == 0 && i < right->c.n; i++)
		if (right->c.a[i].id.has_digest)
			rc = twins_add(&twins, right->c.a[i].id.plain, i, e);
	twins_sort(&twins);
	for (size_t i = 0; rc == 0 && i < left->c.n; i++) {
		struct candidate *l = &left->c.a[i];
		struct twin *twin = l->id.has_digest ? twins_take(&twins, l->id.plain) : NULL;

		if (!twin && l->id.has_digest && l->id.mark > 0) /* the base may have it with the mark */
			twin = twins_take(&twins, l->id.digest);
		if (twin)
			unite(arg, l, &right->c.a[twin->row]);
	}
	twins_release(&twins);
	return rc;
}
