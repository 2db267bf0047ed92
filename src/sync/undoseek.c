/*
 * Which message of a folder is which of those that an undo looks for: by the key, where messages keep it when they are moved, else by what tells messages apart. One to one.
 */
#include "sync/undoseek_p.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "sync/proof.h"

#define CHECK_EVERY 4096 /* messages between two looks for a signal */

/* A message of the folder that may be one. */
struct hit {
	uint64_t num, flags;
	struct slice key;
	struct told told;
};

typedef VEC(struct hit) hit_list;

/*
 * By what they are brought together, in this order. A store whose bodies are at hand keeps the names of its messages when it moves them. A server may call all the same by its
 * own names: these alone are enough only where nothing was noted of when the message arrived, and no Message-ID tells.
 */
enum by { BY_KEY, BY_OBJECT_AND_DATE, BY_MID_AND_DATE, BY_MID, BY_OBJECT, BY_DATE, BYS };

/* All that makes two the same, and which of the same come first. */
struct mark {
	unsigned char by[24];
	struct slice key;
	uint64_t num;
	size_t at;
};

typedef VEC(struct mark) mark_list;

static bool mark_of(enum by by, const struct told *t, struct slice key, struct mark *out)
{
	if (by == BY_KEY) {
		out->key = key;
		return key.n > 0;
	}
	if (t->size == 0)
		return false;
	memcpy(out->by, &t->size, sizeof(t->size));
	if ((by == BY_OBJECT || by == BY_OBJECT_AND_DATE) && t->has_object)
		memcpy(out->by + 8, t->object, sizeof(t->object));
	else if ((by == BY_MID || by == BY_MID_AND_DATE) && t->has_mid)
		memcpy(out->by + 8, t->mid, sizeof(t->mid));
	else if (by != BY_DATE || t->has_mid)
		return false;
	if (by == BY_DATE || by == BY_MID_AND_DATE || by == BY_OBJECT_AND_DATE)
		memcpy(out->by + 16, &t->date, sizeof(t->date));
	return t->date != 0 || by == BY_OBJECT || by == BY_MID;
}

static int compare(const struct mark *x, const struct mark *y)
{
	int rc = memcmp(x->by, y->by, sizeof(x->by));

	return rc != 0 ? rc : slice_cmp(x->key, y->key);
}

/* Of the same the newest first. */
static int by_mark(const void *a, const void *b)
{
	const struct mark *x = a, *y = b;
	int rc = compare(x, y);

	return rc != 0 ? rc : (x->num < y->num) - (x->num > y->num);
}

/* Bring together, one to one, what is the same in one regard. */
static int match(binned_list *rows, hit_list *hits, enum by by, struct err *e)
{
	mark_list r = { 0 }, h = { 0 };
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < rows->n; i++) {
		struct mark m = { .at = i, .num = i };

		if (rows->a[i]->hit.n == 0 && !(by == BY_OBJECT && rows->a[i]->told.date != 0))
			rc = mark_of(by, &rows->a[i]->told, rows->a[i]->key, &m) && vec_push(&r, m) < 0 ? undo_no_memory(e) : 0;
	}
	for (size_t i = 0; rc == 0 && i < hits->n; i++) {
		struct mark m = { .at = i, .num = hits->a[i].num };

		if (hits->a[i].key.n > 0)
			rc = mark_of(by, &hits->a[i].told, hits->a[i].key, &m) && vec_push(&h, m) < 0 ? undo_no_memory(e) : 0;
	}
	if (rc == 0 && r.n > 0 && h.n > 0) {
		qsort(r.a, r.n, sizeof(*r.a), by_mark);
		qsort(h.a, h.n, sizeof(*h.a), by_mark);
	}
	for (size_t i = 0, k = 0; rc == 0 && i < r.n && k < h.n;) {
		int order = compare(&r.a[i], &h.a[k]);

		if (order == 0) {
			struct binned *row = rows->a[r.a[i].at];
			struct hit *hit = &hits->a[h.a[k].at];

			row->hit = hit->key;
			row->flags = hit->flags;
			hit->key = (struct slice){ 0 };
		}
		i += order <= 0;
		k += order >= 0;
	}
	vec_release(&r);
	vec_release(&h);
	return rc;
}

/* Was a message there already? 1, 0, -1. */
static int was_there(struct bin *b, const struct search *s, struct slice key, struct err *e)
{
	struct pair p;
	int rc = 0;

	for (size_t i = 0; rc == 0 && s->but && i < s->but->ids.n; i++) {
		rc = pairs_by_left(b->u->db, s->but->ids.a[i], key, &p, e);
		if (rc == 1 && p.made > s->since)
			rc = 0;
	}
	return rc;
}

/* The open box's messages, as far as they are of interest. */
static int list(struct bin *b, const struct search *s, hit_list *hits, struct err *e)
{
	struct store_msg m;
	size_t n = 0;
	int rc = b->s->ops->list_start(b->s, e) < 0 ? -1 : 1;

	while (rc == 1) {
		struct hit h;

		if (n++ % CHECK_EVERY == 0 && clock_check(e) < 0)
			return -1;
		rc = b->s->ops->list_next(b->s, &m, e);
		if (rc != 1 || (!s->by_key && !numset_has(&s->sizes, m.size)))
			continue;
		h = (struct hit){ .num = m.num, .flags = m.flags, .key = arena_slice(&b->arena, m.key),
				  .told = { .size = m.size, .date = m.date, .has_object = m.has_object } };
		memcpy(h.told.object, m.object, sizeof(h.told.object));
		if (!h.key.p)
			return undo_no_memory(e);
		rc = was_there(b, s, h.key, e);
		if (rc == 0 && vec_push(hits, h) < 0)
			return undo_no_memory(e);
		rc = rc < 0 ? -1 : 1;
	}
	return rc;
}

static int by_num(const void *a, const void *b)
{
	const struct hit *x = a, *y = b;

	return (x->num > y->num) - (x->num < y->num);
}

/* store_ops.idents' tell */
static void learn(void *arg, uint64_t num, const struct ident *id)
{
	hit_list *hits = arg;
	struct hit key = { .num = num }, *h = bsearch(&key, hits->a, hits->n, sizeof(key), by_num);
	struct told was;

	if (!h)
		return;
	was = h->told;
	h->told = proof_told(id);
	proof_keep(&h->told, &was);
}

static int ask_idents(struct bin *b, hit_list *hits, struct err *e)
{
	VEC(uint64_t) nums = { 0 };
	int rc = 0;

	if (hits->n > 0)
		qsort(hits->a, hits->n, sizeof(*hits->a), by_num);
	for (size_t i = 0; rc == 0 && i < hits->n; i++)
		rc = vec_push(&nums, hits->a[i].num) < 0 ? undo_no_memory(e) : 0;
	if (rc == 0 && nums.n > 0)
		rc = b->s->ops->idents(b->s, nums.a, nums.n, false, learn, hits, e);
	vec_release(&nums);
	return rc;
}

int undoseek(struct bin *b, struct search *s, binned_list *rows, struct err *e)
{
	hit_list hits = { 0 };
	struct box_info info;
	int rc = 0;

	s->by_key |= !b->s->ops->idents;
	for (size_t i = 0; rc == 0 && i < rows->n; i++) {
		rows->a[i]->hit = (struct slice){ 0 };
		rc = rows->a[i]->told.size > 0 && numset_add(&s->sizes, rows->a[i]->told.size) < 0 ? undo_no_memory(e) : 0;
	}
	numset_seal(&s->sizes);
	if (rc == 0)
		rc = b->s->ops->open_box(b->s, s->folder, BOX_WRITE, &info, e);
	if (rc == 0)
		rc = list(b, s, &hits, e);
	if (rc == 0 && !s->by_key)
		rc = ask_idents(b, &hits, e);
	for (enum by by = s->by_key ? BY_KEY : BY_KEY + 1; rc == 0 && by < (s->by_key ? BY_KEY + 1 : BYS); by++)
		rc = match(rows, &hits, by, e);
	b->s->ops->close_box(b->s);
	vec_release(&hits);
	numset_release(&s->sizes);
	return rc;
}
