#include "sync/join.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fiber.h"
#include "base/log.h"
#include "sync/proof.h"

#define CHECK_EVERY 4096 /* messages between two looks for a signal, */
#define TURN_EVERY 1024   /* and between two turns */

/* What one side shows of a message of the base. */
struct join_seen {
	int64_t pair;
	struct slice key;
	struct slice other;  /* the other side's key, of one that is in the base */
	uint64_t flags, base;
	struct told told;
	bool present;
};

static int out_of_memory(struct err *e)
{
	return err_set(e, ERR_LOCAL, "out of memory: too many messages have changed at once");
}

static struct told told_by(const struct store_msg *m)
{
	struct told t = { .size = m->size, .date = m->date, .has_object = m->has_object, .has_mid = m->has_mid };

	memcpy(t.object, m->object, sizeof(t.object));
	memcpy(t.mid, m->mid, sizeof(t.mid));
	return t;
}

/* A look on its way along the base. */
struct along {
	struct join *j;
	enum pair_side side;
	struct store *s;
	struct db *db;
	int64_t folder;
	struct roll *l;
	size_t at;           /* in the listing, of which the base is walked in the same order; or pairs that were looked up */
	bool settled;        /* the listing has each message once */
	size_t fresh;        /* so many of those before it are new: they have come to its begin */
};

/* The pair's key on a side. */
static struct slice key_of(const struct pair *p, enum pair_side side)
{
	return side == PAIR_LEFT ? p->left : p->right;
}

/* A message that the base has: is it otherwise than there? m NULL: it is gone. */
static int compare(struct along *a, const struct pair_key *k, const struct listed *m, struct err *e)
{
	struct join *j = a->j;
	struct join_seen s = { .pair = k->id, .base = k->flags, .present = m != NULL };
	struct pair p;
	int rc;

	if (m && a->side == PAIR_LEFT && m->told.date != 0 && !k->dated &&
	    vec_push(&j->told, ((struct join_told){ .pair = k->id, .told = m->told })) < 0)
		return out_of_memory(e);
	if (m && m->flags == k->flags)
		return 0;
	if (m) {
		s.flags = m->flags;
		s.told = m->told;
	}
	rc = pairs_by_id(a->db, k->id, &p, e);
	if (rc != 1)
		return rc < 0 ? -1 : err_set(e, ERR_BUG, "a pair is gone while it is looked at");
	s.key = arena_slice(&j->arena, key_of(&p, a->side));
	s.other = arena_slice(&j->arena, key_of(&p, a->side == PAIR_LEFT ? PAIR_RIGHT : PAIR_LEFT));
	if (!s.key.p || !s.other.p)
		return out_of_memory(e);
	return vec_push(&j->sides[a->side], s) < 0 ? out_of_memory(e) : 0;
}

/* The base has not the message that the look has come to. */
static void is_new(struct along *a)
{
	a->l->at.a[a->fresh++] = a->l->at.a[a->at];
}

/* How many bytes two keys have in common at the front. */
static size_t common(struct slice a, struct slice b)
{
	const size_t n = a.n < b.n ? a.n : b.n;
	size_t i = 0;

	for (uint64_t x, y; i + sizeof(x) <= n; i += sizeof(x)) {
		memcpy(&x, a.p + i, sizeof(x));
		memcpy(&y, b.p + i, sizeof(y));
		if (x != y)
			break;
	}
	while (i < n && a.p[i] == b.p[i])
		i++;
	return i;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Where the digits from there on end. */
static size_t digits_end(struct slice s, size_t at)
{
	while (at < s.n && is_digit(s.p[at]))
		at++;
	return at;
}

/* Keys in the order in which stores give them: numbers in them count as numbers (UIDs, times in a Maildir's names). */
static int in_order(struct slice a, struct slice b)
{
	const size_t i = common(a, b);
	const bool number = i > 0 && is_digit(a.p[i - 1]); /* they differ in it, or just behind it */
	const size_t n = digits_end(a, i), m = digits_end(b, i);

	if (n != m && (number || (n > i && m > i)))
		return n < m ? -1 : 1;
	if (i == a.n || i == b.n)
		return (i < a.n) - (i < b.n);
	return (unsigned char)a.p[i] < (unsigned char)b.p[i] ? -1 : 1;
}

/* Two accounts of the same message: the later counts, but what it does not say is known from the earlier. */
static void merge_listed(struct listed *into, const struct listed *later)
{
	const struct told was = into->told;

	*into = *later;
	proof_keep(&into->told, &was);
}

/* Of what was told twice, once. l: sorted by key. */
static int merge_doubles(struct roll *l, struct err *e)
{
	size_t kept = 0, n = l->at.n;

	for (size_t i = 0; i < n; i++) {
		struct listed was, now;

		if (kept == 0 || !slice_eq(roll_key(l, kept - 1), roll_key(l, i))) {
			l->at.a[kept++] = l->at.a[i];
			continue;
		}
		roll_get(l, kept - 1, &was);
		roll_get(l, i, &now);
		merge_listed(&was, &now);
		if (roll_add(l, &was, e) < 0)
			return -1;
		l->at.a[kept - 1] = l->at.a[--l->at.n];
	}
	l->at.n = kept;
	return 0;
}

/* All that the look tells. */
static int read_listing(struct store *s, struct roll *l, struct err *e)
{
	struct store_msg m;
	int rc;

	while ((rc = s->ops->look_next(s, &m, e)) == 1) {
		const struct listed x = { .key = m.key, .told = told_by(&m), .flags = m.flags, .gone = m.gone };

		if (l->at.n % CHECK_EVERY == 0 && clock_check(e) < 0)
			return -1;
		if (m.key.n == 0)
			return err_set_span(e, ERR_BUG, SPAN_BOX, "a message without a name");
		if (roll_add(l, &x, e) < 0)
			return -1;
	}
	return rc < 0 ? -1 : 0;
}

/* Each message once, in that order. */
static int settle_listing(struct along *a, int (*cmp)(struct slice a, struct slice b), struct err *e)
{
	if (a->settled)
		return 0;
	a->settled = true;
	roll_sort(a->l, cmp);
	return merge_doubles(a->l, e);
}

static int step_along(void *arg, const struct pair_key *k, struct err *e)
{
	struct along *a = arg;
	struct listed m;
	int order = 1;

	if (settle_listing(a, slice_cmp, e) < 0)
		return -1;
	for (; a->at < a->l->at.n && (order = slice_cmp(roll_key(a->l, a->at), k->key)) < 0; a->at++)
		is_new(a);
	if (a->at == a->l->at.n || order != 0)
		return compare(a, k, NULL, e);
	roll_get(a->l, a->at++, &m);
	return compare(a, k, &m, e);
}

/* The pair of a key of that side. 1, 0, -1. */
static int find_pair(const struct along *a, struct slice key, struct pair *out, struct err *e)
{
	return a->side == PAIR_LEFT ? pairs_by_left(a->db, a->folder, key, out, e) : pairs_by_right(a->db, a->folder, key, out, e);
}

/* Pending pairs are not walked: their messages must not count as new. */
static int drop_pending(struct along *a, struct err *e)
{
	struct pairs_summary sum;
	struct roll *l = a->l;
	size_t kept = 0;

	if (pairs_summary(a->db, a->folder, &sum, e) < 0)
		return -1;
	if (!sum.pending)
		return 0;
	for (size_t i = 0; i < l->at.n; i++) {
		struct pair p;
		int rc = find_pair(a, roll_key(l, i), &p, e);

		if (rc < 0)
			return -1;
		if (rc == 0 || !p.pending)
			l->at.a[kept++] = l->at.a[i];
	}
	l->at.n = kept;
	return 0;
}

/* What the store shows of a pair. */
static int take_settled(void *arg, const struct pair_key *k, struct err *e)
{
	struct along *a = arg;
	struct listed x = { .gone = false };
	struct store_msg m;

	if (a->at % TURN_EVERY == 0)
		fiber_turn();
	if (a->at++ % CHECK_EVERY == 0 && clock_check(e) < 0)
		return -1;
	if (!a->s->ops->look_take(a->s, k->key, &m))
		return compare(a, k, NULL, e);
	x.flags = m.flags;
	x.told = told_by(&m);
	return compare(a, k, &x, e);
}

static int take_pending(void *arg, const struct pair *p, struct err *e)
{
	struct along *a = arg;
	struct store_msg m;

	(void)e;
	(void)a->s->ops->look_take(a->s, key_of(p, a->side), &m);
	return 0;
}

/* All that the base has is taken out of the look: what is left there is new, and neither the look nor the base is held in memory. */
static int take_known(struct along *a, struct err *e)
{
	if (pairs_by_key(a->db, a->folder, a->side, take_settled, a, e) < 0)
		return -1;
	a->at = 0;
	return pairs_pending(a->db, a->folder, false, take_pending, a, e) < 0 ? -1 : pairs_pending(a->db, a->folder, true, take_pending, a, e);
}

/* Every message was listed: what the base has and the listing not is gone. */
static int join_all(struct along *a, struct err *e)
{
	if (!a->s->ops->look_take && (drop_pending(a, e) < 0 || pairs_by_key(a->db, a->folder, a->side, step_along, a, e) < 0))
		return -1;
	if (settle_listing(a, in_order, e) < 0) /* the base has nothing of this folder, or nothing that is left in the listing */
		return -1;
	for (; a->at < a->l->at.n; a->at++)
		is_new(a);
	return 0;
}

/* Changes alone were listed: each is looked up. */
static int join_changes(struct along *a, struct err *e)
{
	if (settle_listing(a, in_order, e) < 0)
		return -1;
	for (; a->at < a->l->at.n; a->at++) {
		struct listed m;
		struct pair p;
		int rc;

		roll_get(a->l, a->at, &m);
		rc = find_pair(a, m.key, &p, e);
		if (rc == 1 && !p.pending)
			rc = compare(a, &(struct pair_key){ .id = p.id, .flags = p.flags, .dated = p.told.date != 0 }, m.gone ? NULL : &m, e);
		else if (rc == 0 && !m.gone)
			is_new(a);
		if (rc < 0)
			return -1;
	}
	return 0;
}

/* What is new is kept, and the rest of a listing that is mostly another is let go of. */
static int keep_news(struct along *a, struct err *e)
{
	struct roll *l = a->l, *news = &a->j->news[a->side];
	struct listed m;

	a->j->fresh[a->side] += a->fresh;
	if (news->at.n == 0 && a->fresh > l->at.n / 2) {
		l->at.n = a->fresh;
		roll_release(news);
		*news = *l;
		*l = (struct roll){ 0 };
		return 0;
	}
	l->at.n = a->fresh;
	roll_sort(l, NULL);
	for (size_t i = 0; i < l->at.n; i++) {
		roll_get(l, i, &m);
		if (roll_add(news, &m, e) < 0)
			return -1;
	}
	return 0;
}

int join_side(struct join *j, enum pair_side side, struct store *s, const struct box_info *info, struct db *db, int64_t folder, struct err *e)
{
	struct roll l = { 0 };
	struct along a = { .j = j, .side = side, .s = s, .db = db, .folder = folder, .l = &l };
	int rc = 0;

	if (info->extent == LOOK_SAME)
		return 0;
	j->in_order[side] = info->in_order;
	if (info->extent == LOOK_ALL && s->ops->look_take)
		rc = take_known(&a, e);
	a.at = 0;
	if (rc == 0)
		rc = read_listing(s, &l, e);
	if (rc == 0)
		rc = info->extent == LOOK_ALL ? join_all(&a, e) : join_changes(&a, e);
	if (rc == 0)
		rc = keep_news(&a, e);
	roll_release(&l);
	return rc;
}

static int by_pair(const void *a, const void *b)
{
	const struct join_seen *x = a, *y = b;

	return (x->pair > y->pair) - (x->pair < y->pair);
}

/* One row, of what is known of each side; NULL: as the base says. */
static int put_row(struct join *j, const struct join_seen *l, const struct join_seen *r, struct err *e)
{
	const struct join_seen *any = l ? l : r;
	struct joined row = { .pair = any->pair, .m = { .known = true, .flags = any->base } };

	row.left = l ? l->key : r->other;
	row.right = r ? r->key : l->other;
	row.m.left = row.m.right = (struct plan_sync_side){ .present = true, .flags = any->base };
	if (l)
		row.m.left = (struct plan_sync_side){ .present = l->present, .flags = l->flags, .size = l->told.size, .date = l->told.date };
	if (r)
		row.m.right = (struct plan_sync_side){ .present = r->present, .flags = r->flags, .size = r->told.size, .date = r->told.date };
	if (l)
		row.told = l->told;
	return vec_push(&j->rows, row) < 0 ? out_of_memory(e) : 0;
}

bool join_shows(const struct join *j, enum pair_side side)
{
	return j->sides[side].n > 0 || j->news[side].at.n > 0;
}

void join_forget(struct join *j, enum pair_side side)
{
	vec_clear(&j->sides[side]);
	roll_release(&j->news[side]);
	j->fresh[side] = 0;
}

int join_rows(struct join *j, struct err *e)
{
	size_t l = 0, r = 0, nl = j->sides[PAIR_LEFT].n, nr = j->sides[PAIR_RIGHT].n;
	struct join_seen *left = j->sides[PAIR_LEFT].a, *right = j->sides[PAIR_RIGHT].a;

	if (nl > 0)
		qsort(left, nl, sizeof(*left), by_pair);
	if (nr > 0)
		qsort(right, nr, sizeof(*right), by_pair);
	for (int s = PAIR_LEFT; s <= PAIR_RIGHT; s++)
		roll_sort(&j->news[s], j->in_order[s] ? NULL : in_order);
	while (l < nl || r < nr) {
		int rc;

		if (r == nr || (l < nl && left[l].pair < right[r].pair))
			rc = put_row(j, &left[l++], NULL, e);
		else if (l == nl || right[r].pair < left[l].pair)
			rc = put_row(j, NULL, &right[r++], e);
		else {
			rc = put_row(j, &left[l], &right[r], e);
			l++;
			r++;
		}
		if (rc < 0)
			return -1;
	}
	vec_release(&j->sides[PAIR_LEFT]);
	vec_release(&j->sides[PAIR_RIGHT]);
	return 0;
}

size_t join_count(const struct join *j)
{
	return j->news[PAIR_LEFT].at.n + j->news[PAIR_RIGHT].at.n + j->rows.n;
}

struct joined *join_at(struct join *j, size_t i, struct joined *fresh)
{
	const size_t left = j->news[PAIR_LEFT].at.n, right = j->news[PAIR_RIGHT].at.n;
	const enum pair_side side = i < left ? PAIR_LEFT : PAIR_RIGHT;
	struct listed m;

	if (i >= left + right)
		return &j->rows.a[i - left - right];
	roll_get(&j->news[side], side == PAIR_LEFT ? i : i - left, &m);
	*fresh = (struct joined){ .told = m.told };
	*(side == PAIR_LEFT ? &fresh->left : &fresh->right) = m.key;
	*(side == PAIR_LEFT ? &fresh->m.left : &fresh->m.right) = (struct plan_sync_side){ .present = true, .flags = m.flags, .size = m.told.size, .date = m.told.date };
	return fresh;
}

int join_spread(struct join *j, struct err *e)
{
	const size_t all = join_count(j), fresh = all - j->rows.n;
	struct joined *rows, row;

	if (fresh == 0)
		return 0;
	rows = malloc(all * sizeof(*rows));
	if (!rows)
		return out_of_memory(e);
	for (size_t i = 0; i < all; i++)
		rows[i] = *join_at(j, i, &row);
	vec_release(&j->rows);
	j->rows.a = rows;
	j->rows.n = j->rows.cap = all;
	for (int s = PAIR_LEFT; s <= PAIR_RIGHT; s++) /* where their keys stay */
		vec_release(&j->news[s].at);
	return 0;
}

/* The pairs that are no rows yet. */
struct unfolding {
	struct join *j;
	bool shown[2]; /* sides that show them as the base says */
	size_t at;  /* among the rows that looks have made of pairs, which come in the same order */
	size_t end; /* of these */
};

static int unfold_pair(void *arg, const struct pair *p, struct err *e)
{
	struct unfolding *u = arg;
	struct join *j = u->j;
	struct joined row = { .pair = p->id, .m = { .known = true, .flags = p->flags } };

	while (u->at < u->end && j->rows.a[u->at].pair < p->id)
		u->at++;
	if (u->at < u->end && j->rows.a[u->at].pair == p->id)
		return 0;
	for (int s = PAIR_LEFT; s <= PAIR_RIGHT; s++) {
		struct slice *key = s == PAIR_LEFT ? &row.left : &row.right;

		if (!u->shown[s])
			continue;
		*key = arena_slice(&j->arena, key_of(p, (enum pair_side)s));
		if (!key->p)
			return out_of_memory(e);
		*(s == PAIR_LEFT ? &row.m.left : &row.m.right) = (struct plan_sync_side){ .present = true, .flags = p->flags };
	}
	return vec_push(&j->rows, row) < 0 ? out_of_memory(e) : 0;
}

int join_unfold(struct join *j, enum pair_side gone, struct db *db, int64_t folder, struct err *e)
{
	struct unfolding u = { .j = j, .shown = { gone != PAIR_LEFT, gone != PAIR_RIGHT }, .end = j->rows.n };

	for (size_t i = 0; i < u.end; i++) {
		struct joined *row = &j->rows.a[i];

		u.at += row->pair == 0;
		if (row->pair == 0)
			continue;
		*(gone == PAIR_LEFT ? &row->m.left : &row->m.right) = (struct plan_sync_side){ .present = false };
		*(gone == PAIR_LEFT ? &row->left : &row->right) = (struct slice){ 0 };
	}
	return pairs_present(db, folder, unfold_pair, &u, e);
}

int join_whole(struct join *j, struct db *db, int64_t folder, struct err *e)
{
	struct unfolding u = { .j = j, .shown = { true, true }, .end = j->rows.n };

	while (u.at < u.end && j->rows.a[u.at].pair == 0)
		u.at++;
	return pairs_present(db, folder, unfold_pair, &u, e);
}

void join_unite(struct joined *left, const struct joined *right)
{
	left->right = right->right;
	left->m.right = right->m.right;
	left->content = right->content;
}

void join_release(struct join *j)
{
	vec_release(&j->sides[PAIR_LEFT]);
	vec_release(&j->sides[PAIR_RIGHT]);
	roll_release(&j->news[PAIR_LEFT]);
	roll_release(&j->news[PAIR_RIGHT]);
	vec_release(&j->rows);
	vec_release(&j->told);
	arena_release(&j->arena);
}
