/*
 * First contact: messages that both sides hold and the base does not know (the first run, a state that was lost or is old) are one message each, if size, Message-ID and
 * time of arrival say so without doubt. They are paired, and no body moves. Where there is doubt the content decides, when one of the two is about to be copied: see
 * twins.h.
 *
 * The same where the server has numbered a folder anew: then the base still tells what both sides held, by the keys of the right, and which flags they agreed on.
 */
#include "sync/twoway.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* A message that one side alone shows. */
struct candidate {
	size_t row;
	uint64_t num;    /* 0: it is gone meanwhile */
	uint64_t stored; /* its size as the store has it */
	bool told, united;
	struct ident id;
};

struct candidates {
	VEC(struct candidate) c;
};

static int by_num(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	return (x->num > y->num) - (x->num < y->num);
}

/* By all that makes two of them the same message, then in the order of the rows. */
static int by_ident(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	int rc;

	if (x->id.size != y->id.size)
		return x->id.size < y->id.size ? -1 : 1;
	rc = memcmp(x->id.mid, y->id.mid, IDENT_MID);
	if (rc != 0)
		return rc;
	if (x->id.date != y->id.date)
		return x->id.date < y->id.date ? -1 : 1;
	return (x->row > y->row) - (x->row < y->row);
}

static bool same_ident(const struct candidate *a, const struct candidate *b)
{
	return a->id.size == b->id.size && memcmp(a->id.mid, b->id.mid, IDENT_MID) == 0 && a->id.date == b->id.date;
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* What one side alone shows. */
static int gather(const struct box *b, int side, struct candidates *out, struct err *e)
{
	for (size_t i = 0; i < b->join.rows.n; i++) {
		const struct joined *row = &b->join.rows.a[i];
		const struct plan_sync_side *s = side == LEFT ? &row->m.left : &row->m.right, *other = side == LEFT ? &row->m.right : &row->m.left;

		if (s->present && !other->present && (row->pair == 0 || b->reborn) && vec_push(&out->c, ((struct candidate){ .row = i })) < 0)
			return twoway_no_memory(e);
	}
	return 0;
}

static void tell(void *arg, uint64_t num, const struct ident *id)
{
	struct candidates *cs = arg;
	struct candidate key = { .num = num }, *c = bsearch(&key, cs->c.a, cs->c.n, sizeof(key), by_num);

	if (!c)
		return;
	c->id = *id;
	c->told = true;
}

/* Read the bodies. One that can't be read is no candidate: what copies it will say why. */
static int read_bodies(struct store *s, const uint64_t *nums, size_t n, struct candidates *cs, struct err *e)
{
	struct ident_reader *r = ident_reader_new(e);
	int rc;

	if (!r)
		return -1;
	rc = s->ops->want(s, nums, n, e) < 0 ? -1 : 1;
	while (rc == 1) {
		struct stream *body = NULL;
		struct err why = ERR_INIT;
		struct ident id = { 0 };
		size_t i = 0;

		if (clock_check(e) < 0) {
			rc = -1;
			break;
		}
		rc = s->ops->next(s, &i, &body, &why);
		if (rc == 1 && body && ident_read(r, body, &id, &why) < 0)
			rc = -1;
		else if (rc == 1 && body) {
			id.date = cs->c.a[i].id.date;
			tell(cs, nums[i], &id);
		}
		stream_free(body);
		if (rc < 0 && why.span == SPAN_MSG)
			rc = 1;
		else if (rc < 0)
			*e = why;
	}
	ident_reader_free(r);
	return rc;
}

/* Learn what tells the candidates of a side apart. whole: by their bodies, wherever they are. */
static int learn(struct twoway *g, struct box *b, int side, bool whole, struct candidates *cs, struct err *e)
{
	struct store *s = g->side[side];
	VEC(uint64_t) nums = { 0 };
	struct box_info info;
	size_t kept = 0;
	int rc = -1;

	if (s->ops->open_box(s, box_name(b, side), g->p->dry_run ? BOX_READ : BOX_WRITE, &info, e) < 0)
		return -1;
	for (size_t i = 0; i < cs->c.n; i++) {
		struct candidate c = cs->c.a[i];
		const struct joined *row = &b->join.rows.a[c.row];
		struct store_msg m = { .num = 0 };
		int found = s->ops->find(s, side == LEFT ? row->left : row->right, side == LEFT ? row->m.left.flags : row->m.right.flags, &m, e);

		if (found < 0)
			goto out;
		if (found == 0)
			continue;
		c.num = m.num;
		c.stored = m.size;
		c.id.date = m.date;
		c.told = false;
		cs->c.a[kept++] = c;
	}
	cs->c.n = kept;
	if (kept > 0)
		qsort(cs->c.a, kept, sizeof(*cs->c.a), by_num);
	for (size_t i = 0; i < kept; i++) {
		if (vec_push(&nums, cs->c.a[i].num) < 0) {
			twoway_no_memory(e);
			goto out;
		}
	}
	if (kept == 0)
		rc = 0;
	else if (s->ops->idents && !whole)
		rc = s->ops->idents(s, nums.a, kept, tell, cs, e);
	else
		rc = read_bodies(s, nums.a, kept, cs, e);
out:
	s->ops->close_box(s);
	vec_release(&nums);
	return rc;
}

/* Of the left's messages only those can be among the right's that are of a size with one of them: the others stand behind the end from now on. */
static int narrow(const struct box *b, struct candidates *left, const struct candidates *right, struct err *e)
{
	VEC(uint64_t) sizes = { 0 };
	size_t kept = 0;

	for (size_t i = 0; i < right->c.n; i++) {
		if (right->c.a[i].told && !right->c.a[i].united && vec_push(&sizes, right->c.a[i].id.size) < 0) {
			vec_release(&sizes);
			return twoway_no_memory(e);
		}
	}
	if (sizes.n > 0)
		qsort(sizes.a, sizes.n, sizeof(*sizes.a), by_size);
	for (size_t i = 0; sizes.n > 0 && i < left->c.n; i++) {
		struct candidate c = left->c.a[i];
		uint64_t size = c.told ? c.id.size : b->join.rows.a[c.row].m.left.size;

		if (c.united || (size != 0 && !bsearch(&size, sizes.a, sizes.n, sizeof(size), by_size)))
			continue;
		left->c.a[i] = left->c.a[kept];
		left->c.a[kept++] = c;
	}
	left->c.n = kept;
	vec_release(&sizes);
	return 0;
}

/* Those that are known well enough to the front, in order; how many. */
static size_t sort_known(struct candidates *cs)
{
	size_t n = 0;

	for (size_t i = 0; i < cs->c.n; i++) {
		struct candidate c = cs->c.a[i];

		if (!c.told || !c.id.has_mid || c.id.date == 0)
			continue;
		cs->c.a[i] = cs->c.a[n];
		cs->c.a[n++] = c;
	}
	if (n > 0)
		qsort(cs->c.a, n, sizeof(*cs->c.a), by_ident);
	return n;
}

/* One message from now on: the left's row stands for both. */
static void unite(struct box *b, struct candidate *l, struct candidate *r)
{
	struct joined *left = &b->join.rows.a[l->row], *right = &b->join.rows.a[r->row];

	l->united = r->united = true;
	b->join.fresh[LEFT]--;
	if (right->pair != 0) {
		right->left = left->left;
		right->m.left = left->m.left;
		right->rekey = true;
		left->m.left.present = false; /* nobody holds this row's message: it is dropped */
		return;
	}
	join_unite(left, right);
	right->m.right.present = false;
	b->join.fresh[RIGHT]--;
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
		if (!r[i].id.has_digest || memcmp(r[i].id.digest, r[0].id.digest, DIGEST_SIZE) != 0)
			return false;
	return true;
}

/* Bring together what is as many times, and the same, on both sides. */
static void match(struct box *b, struct candidates *left, struct candidates *right)
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
		for (size_t i = 0; n == m && all_equal(y, m) && i < n; i++, united++)
			unite(b, &x[i], &y[i]);
		l += n;
		r += m;
	}
	log_debug("%zu messages of '%s' are on both sides already", united, b->f->left);
}

static int by_digest(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	int rc;

	if (x->united != y->united)
		return x->united ? 1 : -1;
	rc = memcmp(x->id.digest, y->id.digest, DIGEST_SIZE);
	return rc != 0 ? rc : (x->row > y->row) - (x->row < y->row);
}

/* Where size, Message-ID and time leave a doubt: by the content, which is read for it. Of all, if the server's sizes are lies: when none is as it should be. */
static int match_contents(struct twoway *g, struct box *b, struct candidates *left, struct candidates *right, struct err *e)
{
	size_t l = 0, r = 0, all = left->c.n, united = 0;

	for (size_t i = 0; i < all; i++)
		united += left->c.a[i].united;
	if (narrow(b, left, right, e) < 0)
		return -1;
	if (left->c.n == 0 && united == 0)
		left->c.n = all;
	if (left->c.n == 0)
		return 0;
	if (learn(g, b, LEFT, true, left, e) < 0)
		return -1;
	qsort(left->c.a, left->c.n, sizeof(*left->c.a), by_digest);
	qsort(right->c.a, right->c.n, sizeof(*right->c.a), by_digest);
	while (l < left->c.n && r < right->c.n && !right->c.a[r].united) {
		struct candidate *x = &left->c.a[l], *y = &right->c.a[r];
		int order = memcmp(x->id.digest, y->id.digest, DIGEST_SIZE);

		if (!x->told || order < 0)
			l++;
		else if (!y->told || order > 0)
			r++;
		else
			unite(b, &left->c.a[l++], &right->c.a[r++]);
	}
	return 0;
}

/* What was read of the right is of use later, too: for the pairs, and to know twins. */
static int note_contents(struct box *b, const struct candidates *right, struct err *e)
{
	for (size_t i = 0; i < right->c.n; i++) {
		const struct candidate *c = &right->c.a[i];
		struct content *content;

		if (!c->told)
			continue;
		content = arena_new(&b->join.arena, struct content, 1);
		if (!content)
			return twoway_no_memory(e);
		memcpy(content->digest, c->id.digest, DIGEST_SIZE);
		content->size = c->stored;
		b->join.rows.a[c->row].content = content;
	}
	return 0;
}

/* Bring together what one side alone shows. */
static int adopt(struct twoway *g, struct box *b, struct err *e)
{
	struct candidates left = { 0 }, right = { 0 };
	size_t kept = 0;
	int rc = 0;

	if (gather(b, LEFT, &left, e) < 0 || gather(b, RIGHT, &right, e) < 0 || learn(g, b, RIGHT, true, &right, e) < 0 ||
	    note_contents(b, &right, e) < 0)
		rc = -1;
	if (rc == 0 && !b->reborn)
		rc = narrow(b, &left, &right, e);
	if (rc == 0 && left.c.n > 0)
		rc = learn(g, b, LEFT, false, &left, e);
	if (rc == 0 && left.c.n > 0) {
		match(b, &left, &right);
		rc = b->reborn ? match_contents(g, b, &left, &right, e) : 0;
	}
	vec_release(&left.c);
	vec_release(&right.c);
	for (size_t i = 0; i < b->join.rows.n; i++) {
		const struct joined *row = &b->join.rows.a[i];

		if (row->pair != 0 || row->m.left.present || row->m.right.present)
			b->join.rows.a[kept++] = *row;
	}
	b->join.rows.n = kept;
	return rc;
}

int adopt_box(struct twoway *g, struct box *b, struct err *e)
{
	if (b->reborn || b->join.fresh[LEFT] == 0 || b->join.fresh[RIGHT] == 0 || !box_there(b, LEFT) || !box_there(b, RIGHT))
		return 0;
	return adopt(g, b, e);
}

/* The pairs of the base as rows, of which the left shows nothing yet. */
struct unfolding {
	struct box *b;
	size_t at;  /* among the rows that the right's look has made of pairs, which come in the same order */
	size_t end; /* of these */
};

static int unfold_pair(void *arg, const struct pair *p, struct err *e)
{
	struct unfolding *u = arg;
	struct join *j = &u->b->join;
	struct joined row = { .pair = p->id };

	while (u->at < u->end && j->rows.a[u->at].pair < p->id)
		u->at++;
	if (u->at < u->end && j->rows.a[u->at].pair == p->id)
		return 0;
	row.right = arena_slice(&j->arena, p->right);
	row.m = (struct plan_sync_msg){ .known = true, .flags = p->flags, .right = { .present = true, .flags = p->flags } };
	return !row.right.p || vec_push(&j->rows, row) < 0 ? twoway_no_memory(e) : 0;
}

static int unfold(struct twoway *g, struct box *b, struct err *e)
{
	struct unfolding u = { .b = b, .end = b->join.rows.n };

	for (size_t i = 0; i < u.end; i++) {
		struct joined *row = &b->join.rows.a[i];

		u.at += row->pair == 0;
		if (row->pair == 0)
			continue;
		row->m.left = (struct plan_sync_side){ .present = false };
		row->left = (struct slice){ 0 };
		/* deleted on the right: what the left still has of it can't be told from other mail, and is new */
		if (!row->m.right.present && vec_push(&b->orphans, row->pair) < 0)
			return twoway_no_memory(e);
	}
	return pairs_present(g->db, b->f->base.id, unfold_pair, &u, e);
}

/*
 * What the base knows, and the left does not show any more: it is gone, or was not brought back from a backup. Nobody can tell which, so a person has to. With
 * --restore it is new on the right; with --allow-deletions it is removed there, but the base lets go of it: should that not be done in this run, it is new as well, rather
 * than in agreement with nothing. How many.
 */
static int count_missing(struct twoway *g, struct box *b, uint64_t *missing, struct err *e)
{
	*missing = 0;
	for (size_t i = 0; i < b->join.rows.n; i++) {
		struct joined *row = &b->join.rows.a[i];

		if (row->pair == 0 || row->m.left.present || !row->m.right.present)
			continue;
		++*missing;
		if (vec_push(&b->orphans, row->pair) < 0)
			return twoway_no_memory(e);
		if (!g->p->restore)
			continue;
		row->pair = 0;
		row->m.known = false;
		b->join.fresh[RIGHT]++;
	}
	return 0;
}

int adopt_reborn(struct twoway *g, struct box *b, struct err *e)
{
	uint64_t missing = 0, held = 0;
	char text[ERR_TEXT_MAX], name[160];

	if (!box_there(b, RIGHT))
		return 0;
	if (unfold(g, b, e) < 0 || pairs_present_count(g->db, b->f->base.id, &held, e) < 0 || adopt(g, b, e) < 0 || count_missing(g, b, &missing, e) < 0)
		return -1;
	err_printable(name, sizeof(name), b->f->left, strlen(b->f->left));
	if (missing > 0 && !g->p->restore && !g->p->allow_deletions) {
		err_set_span(e, ERR_REFUSED, SPAN_BOX,
			     "the server has renumbered '%s', or gone back to an older copy of it (its UIDVALIDITY is another, or its UIDNEXT lower), and %" PRIu64 " of %" PRIu64
			     " messages are not there any more: nothing was changed", name, missing, held);
		return err_hint(e, "to have them uploaded again, run the job by name with --restore; to have them deleted here, too, with --allow-deletions");
	}
	snprintf(text, sizeof(text), "the server has renumbered '%s' (its UIDVALIDITY is another, or its UIDNEXT lower): its messages were recognized", name);
	twoway_warn(g, text);
	b->work = true;
	return 0;
}

/* From now on the left's keys are these. All or nothing. */
int adopt_note(struct twoway *g, struct box *b, struct err *e)
{
	struct folder_row *base = &b->f->base;

	if (!b->reborn)
		return 0;
	if (db_begin(g->db, e) < 0)
		return -1;
	if (pairs_unkey_all(g->db, base->id, e) < 0 || failures_forget(g->db, base->id, false, e) < 0)
		goto fail;
	for (size_t i = 0; i < b->orphans.n; i++)
		if (pairs_drop(g->db, b->orphans.a[i], e) < 0)
			goto fail;
	for (size_t i = 0; i < b->join.rows.n; i++)
		if (b->join.rows.a[i].rekey && pairs_rekey(g->db, b->join.rows.a[i].pair, b->join.rows.a[i].left, e) < 0)
			goto fail;
	look_keys_only(base->left_stamp, sizeof(base->left_stamp), b->stamp[LEFT]);
	look_weaken(base->right_stamp, sizeof(base->right_stamp));
	if (folders_stamp(g->db, base->id, base->left_stamp, base->right_stamp, e) < 0)
		goto fail;
	b->reborn = false;
	return db_commit(g->db, e);
fail:
	db_rollback(g->db);
	return -1;
}
