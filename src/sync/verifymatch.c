/* What is on both sides of a folder, and what is not. See verify_p.h. */
#include "sync/verify_p.h"

#include <stdlib.h>
#include <string.h>

typedef int identity(const struct verify_msg *x, const struct verify_msg *y);

static int digest_cmp(const struct verify_msg *x, const struct verify_msg *y)
{
	return memcmp(x->digest, y->digest, sizeof(x->digest));
}

static int mid_cmp(const struct verify_msg *x, const struct verify_msg *y)
{
	if (x->has_mid != y->has_mid)
		return x->has_mid ? 1 : -1;
	return x->has_mid ? memcmp(x->mid, y->mid, sizeof(x->mid)) : 0;
}

static int ident_cmp(const struct verify_msg *x, const struct verify_msg *y)
{
	return x->size != y->size ? (x->size > y->size) - (x->size < y->size) : mid_cmp(x, y);
}

/* The picked ones first, in the order of an identity; of the same in that of their flags, then of their keys. */
static int order(const struct verify_msg *x, const struct verify_msg *y, identity *same)
{
	size_t m, n;
	int rc;

	if (x->pick != y->pick)
		return x->pick ? -1 : 1;
	rc = same(x, y);
	if (rc != 0)
		return rc;
	if (x->flags != y->flags)
		return x->flags < y->flags ? -1 : 1;
	m = strlen(x->key);
	n = strlen(y->key);
	return m != n ? (m > n) - (m < n) : strcmp(x->key, y->key);
}

static int by_digest(const void *a, const void *b)
{
	return order(a, b, digest_cmp);
}

static int by_mid(const void *a, const void *b)
{
	return order(a, b, mid_cmp);
}

static int by_ident(const void *a, const void *b)
{
	return order(a, b, ident_cmp);
}

/* ---- what is told ---- */

/* Note a difference, as long as they are told one by one. */
static int note(struct verify *v, struct verify_box *b, const struct verify_drift *d, struct err *e)
{
	if (!v->p->all && b->drifts.n >= VERIFY_NAMED)
		return 0;
	return vec_push(&b->drifts, *d) < 0 ? twoway_no_memory(e) : 0;
}

/* One way: has the target flags besides, and is that no difference? It is one if both had them, as the base knows, and the source has them no more. 1, 0, -1. */
static int only_adds(struct verify *v, const struct verify_box *b, const struct verify_msg *l, const struct verify_msg *r, struct err *e)
{
	struct pair p;
	int rc = 0;

	if (!v->one_way || (l->flags & ~r->flags) != 0)
		return 0;
	if (b->f->base.id != 0 && l->key[0] != '\0')
		rc = pairs_by_left(v->db, b->f->base.id, slice_str(l->key), &p, e);
	return rc == 1 ? (p.flags & r->flags & ~l->flags) == 0 : rc == 0 ? 1 : -1;
}

/* Two are the same: have they the same flags, too? */
static int unite(struct verify *v, struct verify_box *b, struct verify_msg *l, struct verify_msg *r, struct err *e)
{
	struct verify_drift d = { .drift = DRIFT_FLAGS, .key = l->key, .size = l->size, .flags = { l->flags, r->flags } };

	int adds;

	l->matched = r->matched = true;
	b->found.same++;
	if (l->flags == r->flags)
		return 0;
	adds = only_adds(v, b, l, r, e);
	if (adds != 0)
		return adds < 0 ? -1 : 0;
	b->found.flags++;
	return note(v, b, &d, e);
}

/* ---- bringing together ---- */

/* How many of the first `most` are the same as the first. */
static size_t run_of(const struct verify_msg *m, size_t most, identity *same)
{
	size_t n = 1;

	while (n < most && same(&m[0], &m[n]) == 0)
		n++;
	return n;
}

/* n of the left and m of the right are the same: first those of the same flags, then the others. */
static int unite_run(struct verify *v, struct verify_box *b, struct verify_msg *l, size_t n, struct verify_msg *r, size_t m, struct err *e)
{
	for (size_t i = 0, k = 0; i < n && k < m;) {
		if (l[i].flags == r[k].flags) {
			if (unite(v, b, &l[i++], &r[k++], e) < 0)
				return -1;
		} else if (l[i].flags < r[k].flags) {
			i++;
		} else {
			k++;
		}
	}
	for (size_t i = 0, k = 0; i < n && k < m;) {
		if (l[i].matched)
			i++;
		else if (r[k].matched)
			k++;
		else if (unite(v, b, &l[i++], &r[k++], e) < 0)
			return -1;
	}
	return 0;
}

/* The picked ones of both sides in order, to the front; how many. */
static size_t sort_picked(struct verify_box *b, int side, int (*by)(const void *, const void *))
{
	size_t n = 0;

	if (b->m[side].n > 0)
		qsort(b->m[side].a, b->m[side].n, sizeof(*b->m[side].a), by);
	while (n < b->m[side].n && b->m[side].a[n].pick)
		n++;
	return n;
}

/* Bring together, one to one, those that are picked and the same. */
static int match(struct verify *v, struct verify_box *b, identity *same, int (*by)(const void *, const void *), struct err *e)
{
	size_t n_left = sort_picked(b, LEFT, by), n_right = sort_picked(b, RIGHT, by);

	for (size_t i = 0, k = 0; i < n_left && k < n_right;) {
		struct verify_msg *l = &b->m[LEFT].a[i], *r = &b->m[RIGHT].a[k];
		size_t n = run_of(l, n_left - i, same), m = run_of(r, n_right - k, same);
		int rc = same(l, r);

		if (rc == 0 && unite_run(v, b, l, n, r, m, e) < 0)
			return -1;
		i += rc <= 0 ? n : 0;
		k += rc >= 0 ? m : 0;
	}
	return 0;
}

enum picking { PICK_READ, PICK_UNREAD, PICK_ANY };

static void pick(struct verify_box *b, int side, enum picking how)
{
	for (size_t i = 0; i < b->m[side].n; i++) {
		struct verify_msg *m = &b->m[side].a[i];

		m->pick = !m->matched && (how == PICK_ANY || m->read == (how == PICK_READ));
	}
}

/* Those whose contents are known by these; what else is only known by what stands in listings and headers is compared by that. */
int verify_match(struct verify *v, struct verify_box *b, struct err *e)
{
	pick(b, LEFT, PICK_READ);
	pick(b, RIGHT, PICK_READ);
	if (match(v, b, digest_cmp, by_digest, e) < 0)
		return -1;
	pick(b, LEFT, PICK_UNREAD);
	pick(b, RIGHT, PICK_ANY);
	if (match(v, b, ident_cmp, by_ident, e) < 0)
		return -1;
	pick(b, LEFT, PICK_ANY);
	pick(b, RIGHT, PICK_UNREAD);
	return match(v, b, ident_cmp, by_ident, e);
}

/* Servers err about sizes, and a mark of another program counts in them: the same Message-ID, or none, on both sides is reason enough to read what is alone. */
bool verify_doubts(struct verify_box *b)
{
	size_t n[2];
	bool any = false;

	for (int s = LEFT; s <= RIGHT; s++) {
		pick(b, s, PICK_ANY);
		n[s] = sort_picked(b, s, by_mid);
		for (size_t i = 0; i < n[s]; i++)
			b->m[s].a[i].pick = false;
	}
	for (size_t i = 0, k = 0; i < n[LEFT] && k < n[RIGHT];) {
		struct verify_msg *l = &b->m[LEFT].a[i], *r = &b->m[RIGHT].a[k];
		int rc = mid_cmp(l, r);

		if (rc != 0) {
			i += rc < 0;
			k += rc > 0;
			continue;
		}
		for (const struct verify_msg first = *l; i < n[LEFT] && mid_cmp(&b->m[LEFT].a[i], &first) == 0; i++)
			b->m[LEFT].a[i].pick = true;
		for (const struct verify_msg first = *r; k < n[RIGHT] && mid_cmp(&b->m[RIGHT].a[k], &first) == 0; k++)
			b->m[RIGHT].a[k].pick = true;
		any = true;
	}
	return any;
}

/* ---- what is left ---- */

/* Both had it, the other side has deleted it, and this one is not to follow. 1, 0, -1. */
static int is_retained(struct verify *v, const struct verify_box *b, int side, const struct verify_msg *m, struct err *e)
{
	struct pair p;

	if (!v->p->sync || v->one_way || b->f->base.id == 0 || twoway_may(v->p->sync->del, side))
		return 0;
	return side == LEFT ? pairs_by_left(v->db, b->f->base.id, slice_str(m->key), &p, e) : pairs_by_right(v->db, b->f->base.id, slice_str(m->key), &p, e);
}

/* One that its side alone has. */
static int alone(struct verify *v, struct verify_box *b, int side, const struct verify_msg *m, bool folder_left_out, struct err *e)
{
	const struct verify_note *n = verify_note_of(v, b, side, m);
	struct verify_drift d = { .drift = DRIFT_MISSING, .at = side == LEFT ? AT_RIGHT : AT_LEFT, .side = side, .key = m->key, .size = m->size };
	int retained;

	if (m->failed && !m->known)
		return 0; /* what it is nobody knows, and that was told */
	if (side == RIGHT && v->one_way) {
		b->found.extra++;
		return 0;
	}
	retained = is_retained(v, b, side, m, e);
	if (retained < 0)
		return -1;
	if (folder_left_out || m->over || (n && n->limit) || retained) {
		b->found.left_out++;
		return 0;
	}
	if (n) {
		d.drift = DRIFT_REFUSED;
		d.text = n->reason;
		b->found.refused++;
	} else {
		b->found.missing[!side]++;
	}
	return note(v, b, &d, e);
}

/* Those of the same Message-ID that are not the same. */
static int match_changed(struct verify *v, struct verify_box *b, struct err *e)
{
	size_t n_left, n_right;

	for (int s = LEFT; s <= RIGHT; s++) {
		pick(b, s, PICK_ANY);
		for (size_t i = 0; i < b->m[s].n; i++)
			b->m[s].a[i].pick = b->m[s].a[i].pick && b->m[s].a[i].has_mid;
	}
	n_left = sort_picked(b, LEFT, by_mid);
	n_right = sort_picked(b, RIGHT, by_mid);
	for (size_t i = 0, k = 0; i < n_left && k < n_right;) {
		struct verify_msg *l = &b->m[LEFT].a[i], *r = &b->m[RIGHT].a[k];
		struct verify_drift d = { .drift = DRIFT_CONTENT, .key = l->key, .size = l->size };
		int rc = mid_cmp(l, r);

		if (rc == 0) {
			l->matched = r->matched = true;
			b->found.content++;
			if (note(v, b, &d, e) < 0)
				return -1;
		}
		i += rc <= 0;
		k += rc >= 0;
	}
	return 0;
}

/* The folder itself, if one side alone has it. *left_out: so it is to be. */
static int folder_alone(struct verify *v, struct verify_box *b, bool *left_out, struct err *e)
{
	const int lacks = b->f->on_left ? RIGHT : LEFT;
	struct verify_drift d = { .drift = DRIFT_FOLDER, .at = lacks == LEFT ? AT_LEFT : AT_RIGHT, .key = "" };

	*left_out = false;
	if (b->f->on_left == b->f->on_right || (lacks == LEFT && v->one_way))
		return 0;
	*left_out = !twoway_may(v->p->sync->create, lacks);
	if (*left_out)
		return 0;
	b->found.missing_folders[lacks]++;
	return note(v, b, &d, e);
}

int verify_rest(struct verify *v, struct verify_box *b, struct err *e)
{
	bool left_out;

	b->found.left = b->m[LEFT].n;
	b->found.right = b->m[RIGHT].n;
	if (folder_alone(v, b, &left_out, e) < 0 || match_changed(v, b, e) < 0)
		return -1;
	for (int s = LEFT; s <= RIGHT; s++) {
		pick(b, s, PICK_ANY);
		sort_picked(b, s, by_mid); /* one that is told many times stands together */
		for (size_t i = 0; i < b->m[s].n; i++)
			if (!b->m[s].a[i].matched && alone(v, b, s, &b->m[s].a[i], left_out, e) < 0)
				return -1;
	}
	return 0;
}
