/*
 * First contact: messages that both sides hold and the base does not know (the first run, a state that was lost or is old) are one message each, if size, Message-ID and
 * time of arrival say so without doubt. They are paired, and no body moves. Where there is doubt the content decides, when one of the two is about to be copied: see
 * twins.h.
 *
 * The same where the server has numbered a folder anew: then the base still tells what both sides held, by the keys of the right, and which flags they agreed on.
 */
#include "sync/takeover.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/numset.h"

/* What one side alone shows. */
static int gather(struct twoway *g, struct box *b, int side, struct candidates *out, struct err *e)
{
	for (size_t i = 0; i < b->join.rows.n; i++) {
		struct joined *row = &b->join.rows.a[i];

		if (!joined_side(row, side)->present || joined_side(row, !side)->present || (row->pair != 0 && !b->reborn))
			continue;
		if (candidates_add(out, b, i, e) < 0)
			return -1;
		if (side == RIGHT && row->pair == 0)
			row->content = lookahead_content(g, b, row->right);
		if (side == RIGHT && row->content)
			candidate_read(&out->c.a[out->c.n - 1], row->content);
	}
	return 0;
}

/* One message from now on: the left's row stands for both. */
static void unite(void *arg, struct candidate *l, struct candidate *r)
{
	struct box *b = arg;
	struct joined *left = &b->join.rows.a[l->row], *right = &b->join.rows.a[r->row];

	l->united = r->united = true;
	b->join.fresh[LEFT]--;
	left->told = candidate_told(l);
	if (right->pair != 0) {
		right->left = left->left;
		right->told = left->told;
		right->m.left = left->m.left;
		right->rekey = true;
		left->m.left.present = false; /* nobody holds this row's message: it is dropped */
		return;
	}
	join_unite(left, right);
	right->m.right.present = false;
	b->join.fresh[RIGHT]--;
}

static int by_digest(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	int rc;

	if (x->united != y->united)
		return x->united ? 1 : -1;
	rc = memcmp(x->id.plain, y->id.plain, DIGEST_SIZE);
	return rc != 0 ? rc : (x->row > y->row) - (x->row < y->row);
}

/* Is the first of these not as large as the server says? 1, 0, -1. */
static int size_is_a_lie(struct twoway *g, const struct candidate *c, struct err *e)
{
	struct candidates one = { 0 };
	int rc = candidates_add(&one, c->box, c->row, e);

	if (rc == 0)
		rc = candidates_learn(g, LEFT, LEARN_CONTENTS, NULL, NULL, &one, e);
	if (rc == 0)
		rc = one.c.n == 1 && one.c.a[0].told && !(c->told && one.c.a[0].id.size == c->id.size);
	candidates_release(&one);
	return rc;
}

/* Where size, Message-ID and time leave a doubt: by the content, which is read for it. Of all, if the server's sizes are lies: when none is as it should be, nor one as it is said. */
static int match_contents(struct twoway *g, struct box *b, struct candidates *left, struct candidates *right, struct err *e)
{
	size_t l = 0, r = 0, all = left->c.n, united = 0;

	for (size_t i = 0; i < all; i++)
		united += left->c.a[i].united;
	if (candidates_narrow(left, LEFT, right, e) < 0)
		return -1;
	if (b->reborn && left->c.n == 0 && united == 0 && all > 0) {
		int lies = size_is_a_lie(g, &left->c.a[0], e);

		if (lies < 0)
			return -1;
		left->c.n = lies ? all : 0;
	}
	if (left->c.n == 0)
		return 0;
	if (twoway_tells(g, RIGHT) && candidates_narrow(right, RIGHT, left, e) < 0)
		return -1;
	for (size_t i = 0; i < right->c.n; i++)
		right->c.a[i].id.has_digest &= !right->c.a[i].recalled;
	if (candidates_learn(g, LEFT, LEARN_CONTENTS, NULL, NULL, left, e) < 0 || candidates_learn(g, RIGHT, LEARN_CONTENTS, NULL, NULL, right, e) < 0)
		return -1;
	qsort(left->c.a, left->c.n, sizeof(*left->c.a), by_digest);
	qsort(right->c.a, right->c.n, sizeof(*right->c.a), by_digest);
	while (l < left->c.n && r < right->c.n && !right->c.a[r].united) {
		struct candidate *x = &left->c.a[l], *y = &right->c.a[r];
		int order = memcmp(x->id.plain, y->id.plain, DIGEST_SIZE);

		if (!x->told || order < 0)
			l++;
		else if (!y->told || order > 0)
			r++;
		else
			unite(b, &left->c.a[l++], &right->c.a[r++]);
	}
	return 0;
}

/*
 * What limits keep from being copied is not compared when it is, nor what another program has left a mark in: so it is now, with what is of its size and about to be
 * copied to where it is already.
 */
static int match_left_out(struct twoway *g, struct box *b, struct candidates *left, struct candidates *right, struct err *e)
{
	struct plan_sync_policy policy;
	size_t n = 0;

	decide_policy(g, b, &policy);
	for (size_t i = 0; i < left->c.n; i++) {
		struct candidate c = left->c.a[i];

		if (!c.united && (c.id.mark > 0 || plan_sync(&policy, &b->join.rows.a[c.row].m).acts & PLAN_SKIP))
			left->c.a[n++] = c;
	}
	left->c.n = n;
	return n > 0 ? match_contents(g, b, left, right, e) : 0;
}

/* What was read of the right is of use later, too: for the pairs, and to know twins. */
static int note_contents(struct box *b, const struct candidates *right, struct err *e)
{
	for (size_t i = 0; i < right->c.n; i++) {
		const struct candidate *c = &right->c.a[i];
		struct content *content;

		if (!c->told || c->recalled || !c->id.has_digest || b->join.rows.a[c->row].content)
			continue;
		content = arena_new(&b->join.arena, struct content, 1);
		if (!content)
			return twoway_no_memory(e);
		*content = (struct content){ .id = c->id, .size = c->stored };
		b->join.rows.a[c->row].content = content;
	}
	return 0;
}

/*
 * Of what is left another program may have put a mark into the copy of a side. It is asked for only now, since a server may have to read the messages for it.
 */
static int match_marked(struct twoway *g, struct box *b, int side, struct candidates *left, struct candidates *right, struct err *e)
{
	struct candidates rest = { 0 }, *mine = side == LEFT ? left : right, *others = side == LEFT ? right : left;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < mine->c.n; i++) {
		struct candidate c = mine->c.a[i];

		c.tag = i;
		if (!c.united && !c.marked && vec_push(&rest.c, c) < 0)
			rc = twoway_no_memory(e);
	}
	if (rc == 0)
		rc = candidates_narrow(&rest, side, others, e);
	if (rc == 0)
		rc = candidates_learn(g, side, LEARN_MARKS, NULL, NULL, &rest, e);
	if (rc == 0)
		candidates_match(side == LEFT ? &rest : left, side == LEFT ? right : &rest, unite, b);
	for (size_t i = 0; i < rest.c.n; i++)
		mine->c.a[rest.c.a[i].tag] = rest.c.a[i];
	candidates_release(&rest);
	return rc;
}

static uint64_t mid_number(const struct ident *id)
{
	uint64_t n = 0;

	memcpy(&n, id->mid, sizeof(id->mid));
	return n;
}

/* What of the left is still alone: Message-IDs, sizes, and the sizes of those without the one. */
struct alone {
	struct numset mids, sizes, nameless;
};

static int note_alone(struct alone *a, const struct candidates *left, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < left->c.n; i++) {
		const struct candidate *c = &left->c.a[i];
		uint64_t size = c->told ? candidate_size(c) : c->box->join.rows.a[c->row].m.left.size;

		if (c->united)
			continue;
		if (c->id.has_mid)
			rc = numset_add(&a->mids, mid_number(&c->id));
		if (rc == 0)
			rc = numset_add(&a->sizes, size);
		if (rc == 0 && !c->id.has_mid)
			rc = numset_add(&a->nameless, size);
	}
	numset_seal(&a->mids);
	numset_seal(&a->sizes);
	numset_seal(&a->nameless);
	return rc < 0 ? twoway_no_memory(e) : 0;
}

/*
 * A right whose bodies are not at hand: those are read that may be what is about to be copied there, so that they are known when it comes by (twins.h). The time of arrival may
 * be another, as may the size, since some servers tell sizes that are lies.
 */
static int read_doubtful(struct twoway *g, struct box *b, const struct candidates *left, const struct candidates *right, struct err *e)
{
	struct candidates doubtful = { 0 };
	struct alone a = { 0 };
	int rc = note_alone(&a, left, e);

	for (size_t i = 0; rc == 0 && i < right->c.n; i++) {
		struct candidate c = right->c.a[i];
		bool may_be = c.id.has_mid ? numset_has(&a.mids, mid_number(&c.id)) || numset_has(&a.nameless, candidate_size(&c)) : numset_has(&a.sizes, candidate_size(&c));

		if (!c.united && may_be && vec_push(&doubtful.c, c) < 0)
			rc = twoway_no_memory(e);
	}
	if (rc == 0)
		rc = candidates_learn(g, RIGHT, LEARN_CONTENTS, NULL, NULL, &doubtful, e);
	if (rc == 0)
		rc = note_contents(b, &doubtful, e);
	candidates_release(&doubtful);
	numset_release(&a.mids);
	numset_release(&a.sizes);
	numset_release(&a.nameless);
	return rc;
}

/* Candidates of the right along the base, both by pair. */
struct recalling {
	struct candidates *cs;
	size_t at;
};

static int64_t pair_of(const struct candidate *c)
{
	return c->box->join.rows.a[c->row].pair;
}

static int by_pair(const void *a, const void *b)
{
	int64_t x = pair_of(a), y = pair_of(b);

	return (x > y) - (x < y);
}

static int recall_pair(void *arg, const struct pair *p, struct err *e)
{
	struct recalling *w = arg;

	(void)e;
	while (w->at < w->cs->c.n && pair_of(&w->cs->c.a[w->at]) < p->id)
		w->at++;
	if (w->at < w->cs->c.n && pair_of(&w->cs->c.a[w->at]) == p->id)
		candidate_recall(&w->cs->c.a[w->at], p);
	return 0;
}

/* What the base says of the right's messages need not be learned. */
static int recall(struct twoway *g, struct box *b, struct candidates *right, struct err *e)
{
	struct recalling w = { .cs = right };

	if (!b->reborn || right->c.n == 0)
		return 0; /* what the base has is no candidate */
	qsort(right->c.a, right->c.n, sizeof(*right->c.a), by_pair);
	return pairs_present(g->db, b->f->base.id, recall_pair, &w, e);
}

/* Bring together what one side alone shows. */
static int adopt(struct twoway *g, struct box *b, struct takeover *t, struct err *e)
{
	struct candidates left = { 0 }, right = { 0 };
	const bool far = twoway_tells(g, RIGHT);
	size_t kept = 0;
	int rc = 0;

	if (lookahead_confirm(g, b, e) < 0 || gather(g, b, LEFT, &left, e) < 0 || gather(g, b, RIGHT, &right, e) < 0 || recall(g, b, &right, e) < 0 ||
	    candidates_learn(g, RIGHT, far ? LEARN_IDENTS : LEARN_CONTENTS, NULL, NULL, &right, e) < 0 || note_contents(b, &right, e) < 0)
		rc = -1;
	else
		candidates_match_objects(&left, &right, unite, b);
	if (rc == 0 && !b->reborn && !t && !far)
		rc = candidates_narrow(&left, LEFT, &right, e);
	if (rc == 0 && left.c.n > 0)
		rc = candidates_learn(g, LEFT, t ? LEARN_MARKS : LEARN_IDENTS, NULL, NULL, &left, e);
	if (rc == 0 && t)
		rc = takeover_match(t, &left, &right, unite, e);
	if (rc == 0 && left.c.n > 0) {
		log_debug("%zu messages of '%s' are on both sides already", candidates_match(&left, &right, unite, b), b->f->left);
		rc = match_marked(g, b, LEFT, &left, &right, e);
		if (rc == 0 && far)
			rc = match_marked(g, b, RIGHT, &left, &right, e);
	}
	if (rc == 0 && far && left.c.n > 0)
		rc = read_doubtful(g, b, &left, &right, e);
	if (rc == 0 && left.c.n > 0)
		rc = b->reborn ? match_contents(g, b, &left, &right, e) : match_left_out(g, b, &left, &right, e);
	if (rc == 0 && t)
		rc = takeover_missing(t, e);
	candidates_release(&left);
	candidates_release(&right);
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
	struct takeover *t;
	int rc;

	if (b->reborn || b->join.fresh[LEFT] == 0 || b->join.fresh[RIGHT] == 0 || !box_there(b, LEFT) || !box_there(b, RIGHT))
		return 0;
	if (takeover_open(g, b, &t, e) < 0)
		return -1;
	rc = adopt(g, b, t, e);
	takeover_free(t);
	return rc;
}

/* The pairs of the base as rows, of which the left shows nothing yet. */
static int unfold(struct twoway *g, struct box *b, struct err *e)
{
	for (size_t i = 0; i < b->join.rows.n; i++) {
		const struct joined *row = &b->join.rows.a[i];

		/* deleted on the right: what the left still has of it can't be told from other mail, and is new */
		if (row->pair != 0 && !row->m.right.present && vec_push(&b->orphans, row->pair) < 0)
			return twoway_no_memory(e);
	}
	return join_unfold(&b->join, PAIR_LEFT, g->db, b->f->base.id, e);
}

int adopt_reborn(struct twoway *g, struct box *b, struct err *e)
{
	if (!box_there(b, RIGHT))
		return 0;
	b->work = true;
	return unfold(g, b, e) < 0 || adopt(g, b, NULL, e) < 0 ? -1 : 0;
}

/*
 * What the base knows, and the left does not show any more, not in another folder either: it is gone, or was not brought back from a backup. Nobody can tell which, so a
 * person has to. With --restore it is new on the right; with --allow-deletions it is removed there, but the base lets go of it: should that not be done in this run, it is
 * new as well, rather than in agreement with nothing. How many, of how many.
 */
static int count_missing(struct twoway *g, struct box *b, uint64_t *missing, uint64_t *held, struct err *e)
{
	*missing = *held = 0;
	for (size_t i = 0; i < b->join.rows.n; i++) {
		struct joined *row = &b->join.rows.a[i];

		*held += row->pair != 0;
		if (row->pair == 0 || row->moving || row->m.left.present || !row->m.right.present)
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

int adopt_missing(struct twoway *g, struct box *b, struct err *e)
{
	uint64_t missing, held;
	char text[ERR_TEXT_MAX], name[160], what[320];

	if (!box_there(b, RIGHT))
		return 0;
	if (count_missing(g, b, &missing, &held, e) < 0)
		return -1;
	err_printable(name, sizeof(name), b->f->left, strlen(b->f->left));
	if (b->distrusted[LEFT])
		snprintf(what, sizeof(what), "given numbers (UIDs) of '%s' to other messages", name);
	else
		snprintf(what, sizeof(what), "renumbered '%s', or gone back to an older copy of it (its UIDVALIDITY is another, or its UIDNEXT lower)", name);
	if (missing > 0 && !g->p->restore && !g->p->allow_deletions && !g->p->one_way) {
		err_set_span(e, ERR_REFUSED, SPAN_BOX, "the server has %s, and %" PRIu64 " of %" PRIu64 " messages are not there any more: nothing was changed", what, missing, held);
		return err_hint(e, "to have them uploaded again, run the job by name with --restore; to have them deleted here, too, with --allow-deletions");
	}
	snprintf(text, sizeof(text), "%s has %s: its messages were recognized", twoway_left(g), what);
	twoway_warn(g, text);
	return 0;
}

static int note_all(struct twoway *g, struct box *b, struct err *e)
{
	struct folder_row *base = &b->f->base;

	if (pairs_unkey_all(g->db, base->id, e) < 0 || failures_forget(g->db, base->id, false, e) < 0)
		return -1;
	for (size_t i = 0; i < b->orphans.n; i++)
		if (pairs_drop(g->db, b->orphans.a[i], e) < 0)
			return -1;
	for (size_t i = 0; i < b->join.rows.n; i++)
		if (b->join.rows.a[i].rekey && pairs_rename(g->db, b->join.rows.a[i].pair, b->join.rows.a[i].left, &b->join.rows.a[i].told, e) < 0)
			return -1;
	look_keys_only(base->left_stamp, sizeof(base->left_stamp), b->stamp[LEFT]);
	look_weaken(base->right_stamp, sizeof(base->right_stamp));
	return folders_stamp(g->db, base->id, base->left_stamp, base->right_stamp, e);
}

/* From now on the left's keys are these. All or nothing. */
int adopt_note(struct twoway *g, struct box *b, struct err *e)
{
	int rc;

	if (!b->reborn)
		return 0;
	db_cache(g->db, true);
	rc = db_begin(g->db, e);
	if (rc == 0 && note_all(g, b, e) < 0) {
		db_rollback(g->db);
		rc = -1;
	}
	if (rc == 0) {
		b->reborn = b->distrusted[LEFT] = false;
		rc = db_commit(g->db, e);
	}
	db_cache(g->db, false);
	return rc;
}
