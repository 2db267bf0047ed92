/* Doing what was decided: see twoway.h. What is asked before, of the base and of the server, is in actask.c. */
#include <string.h>

#include "base/log.h"
#include "sync/act_p.h"
#include "sync/twins.h"

#define SLICE 32768 /* new messages that are worked at together: memory hardly grows with the mailbox */

void act_on(struct twoway *g, struct box *b)
{
	for (int s = LEFT; s <= RIGHT; s++) {
		g->x[s].folder = b->f->base.id;
		g->x[s].folder_name = b->f->left;
		g->x[s].right_name = b->f->right;
	}
	g->acting = b;
}

size_t act_slice(const struct twoway *g)
{
	return g->p->slice > 0 ? g->p->slice : SLICE;
}

/* Twins: what a pull brings may be one of the messages that are to be pushed. */
struct pairing {
	struct twoway *g;
	struct box *b;
	struct todo *t;
	struct twins twins;
	const struct plan_sync_policy *policy;
};

/* The copy of a row of the right; NULL: it is not to be copied. */
static struct work *copy_back_of(struct todo *t, size_t row)
{
	size_t from = 0, to = t->copy_row[LEFT].n;

	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (t->copy_row[LEFT].a[mid] == row)
			return &t->copy[LEFT].a[mid];
		if (t->copy_row[LEFT].a[mid] < row)
			from = mid + 1;
		else
			to = mid;
	}
	return NULL;
}

static int pair_twin(void *arg, struct work *w, const struct staged *st, const struct told *told, struct err *e)
{
	struct pairing *m = arg;
	struct todo *t = m->t;
	struct joined *rows = m->b->join.rows.a, *row;
	struct twin *twin = twins_take(&m->twins, st->digest);
	struct work *other;
	struct plan_sync plan;

	if (!twin)
		return act_put_off(m->g, m->b, w, st, e);
	row = &rows[t->copy_row[RIGHT].a[(size_t)(w - t->copy[RIGHT].a)]];
	other = copy_back_of(t, twin->row);
	join_unite(row, &rows[twin->row]);
	row->told = *told;
	plan = plan_sync(m->policy, &row->m);
	if (act_pair_row(m->g, m->b, row, e) < 0 || act_sort_held(m->g, row, &plan, t, e) < 0)
		return -1;
	log_debug("a message that is on both sides already is one from now on");
	w->acts = PLAN_NOTHING;
	if (other)
		other->acts = PLAN_NOTHING;
	return 1;
}

/* What the right alone has, by its content. Where messages come from both sides, adopt.c has read those that it could. */
static int know_twins(struct pairing *m, struct err *e)
{
	for (size_t i = 0; i < m->b->join.rows.n; i++) {
		const struct joined *row = &m->b->join.rows.a[i];

		if (row->pair == 0 && row->content && row->m.right.present && !row->m.left.present && twins_add(&m->twins, row->content->id.plain, i, e) < 0)
			return -1;
	}
	twins_sort(&m->twins);
	return 0;
}

/* Progress is of the whole run, whichever executor copies. */
static void go_on_counting(const struct exec *from, struct exec *to)
{
	to->done = from->done;
	to->done_bytes = from->done_bytes;
}

/*
 * All copies of a folder: what is pulled first, since it may turn out to be here already. The last of them may be on their way: land. But where the right is read next, what was put there has arrived before:
 * its answers would be waited for in any case, and what may be left to do (a message sent once more, the search for one) must not meet those that come from there.
 */
static int send_all(struct twoway *g, struct box *b, const struct plan_sync_policy *policy, struct todo *t, struct err *e)
{
	struct pairing m = { .g = g, .b = b, .t = t, .policy = policy };
	int rc = act_doubt_elsewhere(g, t->copy[RIGHT].a, t->copy[RIGHT].n, e);

	if (rc == 0 && t->copy[RIGHT].n > 0) {
		rc = know_twins(&m, e);
		g->x[RIGHT].twin = pair_twin;
		g->x[RIGHT].twin_arg = &m;
	}
	if (rc == 0)
		rc = exec_send(&g->x[RIGHT], t->copy[RIGHT].a, t->copy[RIGHT].n, e);
	g->x[RIGHT].twin = NULL;
	twins_release(&m.twins);
	go_on_counting(&g->x[RIGHT], &g->x[LEFT]);
	if (rc == 0 && t->copy[LEFT].n > 0)
		rc = exec_land(&g->x[RIGHT], e);
	if (rc == 0)
		rc = exec_send(&g->x[LEFT], t->copy[LEFT].a, t->copy[LEFT].n, e);
	go_on_counting(&g->x[LEFT], &g->x[RIGHT]);
	return rc;
}

/* All copies that were sent have arrived. failed: *e says so already, and what can arrive all the same is to. */
static int land(struct twoway *g, bool failed, struct err *e)
{
	int rc = 0;

	for (int s = RIGHT; s >= LEFT; s--) {
		struct err why = ERR_INIT;

		if (exec_land(&g->x[s], &why) == 0)
			continue;
		if (failed || rc < 0)
			log_debug("and what was on its way did not arrive: %s", why.text);
		else if (e)
			*e = why;
		rc = -1;
	}
	return failed ? -1 : rc;
}

/* What both sides agree on now, unless the base says so already, by what was noted of the flags of one side. */
static int note_agreement(struct twoway *g, const struct todo *t, const struct agreement *a, uint64_t refused, struct err *e)
{
	const uint64_t flags = (a->flags & ~refused) | (a->was & refused);
	uint64_t said = a->was;

	for (int s = RIGHT; s >= LEFT; s--) { /* in the order of noting */
		const struct work *w = a->flag[s] == ACT_NO_FLAG ? NULL : &t->flag[s].a[a->flag[s]];

		if (w && w->acts != PLAN_NOTHING)
			return 0;
		if (w)
			said = w->was;
	}
	if (flags == said)
		return 0;
	return !db_in_transaction(g->db) && db_begin(g->db, e) < 0 ? -1 : pairs_flags(g->db, a->pair, flags, e);
}

/* What changes in the base alone. */
static int note_rest(struct twoway *g, const struct box *b, const struct todo *t, struct err *e)
{
	const uint64_t refused = b->view[LEFT].refused | b->view[RIGHT].refused;

	if (t->forget.n > 0 && db_begin(g->db, e) < 0)
		return -1;
	for (size_t i = 0; i < t->forget.n; i++)
		if (pairs_drop(g->db, t->forget.a[i], e) < 0)
			goto fail;
	for (size_t i = 0; i < t->agree.n; i++)
		if (note_agreement(g, t, &t->agree.a[i], refused, e) < 0)
			goto fail;
	return db_in_transaction(g->db) ? db_commit(g->db, e) : 0;
fail:
	db_rollback(g->db);
	return -1;
}

/* What was copied just now, and is not to stay at the left; but what has not got its flags does. */
static int sort_taken_now(struct todo *t, struct err *e)
{
	for (size_t i = 0; i < t->waiting.n; i++)
		if (t->flag[RIGHT].a[t->waiting.a[i].flag].acts != PLAN_NOTHING)
			t->remove[LEFT].a[t->waiting.a[i].removal].acts = PLAN_NOTHING;
	t->taken_before = t->remove[LEFT].n;
	for (size_t i = 0; i < t->copy[RIGHT].n; i++) {
		struct work w = t->copy[RIGHT].a[i];

		if (!(w.acts & PLAN_REMOVE_LEFT) || w.pair == 0)
			continue;
		w.acts = PLAN_REMOVE_LEFT;
		if (vec_push(&t->remove[LEFT], w) < 0)
			return twoway_no_memory(e);
	}
	return 0;
}

/* Removals at a side: they go by the executor whose source it is. */
static int remove_at(struct twoway *g, struct box *b, int side, struct todo *t, struct err *e)
{
	struct exec *x = &g->x[!side];
	struct strangers strangers = { 0 };
	uint64_t removed;
	int rc = 0;

	if (t->remove[side].n == 0)
		return 0;
	if (twoway_tells(g, side))
		rc = act_find_strangers(g, side, t->remove[side].a, t->remove[side].n, &strangers, e);
	if (rc == 0)
		rc = exec_land(&g->x[side], e);
	if (rc == 0 && side == LEFT && g->p->one_way)
		rc = act_see_kept(g, b, t->remove[side].a, t->remove[side].n, t->taken_before, e);
	exec_forget_marks(x);
	if (rc == 0 && side == LEFT && g->p->one_way)
		rc = act_try_one(g, b, t->remove[side].a, t->remove[side].n, t->taken_before, e);
	if (rc == 0 && (exec_remove(x, t->remove[side].a, t->remove[side].n, e) < 0 || exec_commit(x, false, 0, &removed, e) < 0))
		rc = -1;
	if (rc == 0)
		rc = act_note_strangers(g, b, side, &strangers, e);
	vec_release(&strangers.pairs);
	return rc;
}

/* Before its flags are changed a side is told of what it will be asked then: act_find_strangers. */
static int foretell_strangers(struct twoway *g, int side, const struct todo *t, struct err *e)
{
	struct store *s = g->side[side];
	VEC(uint64_t) nums = { 0 };
	int rc = 0;

	if (!s->ops->idents_soon || t->flag[side].n == 0)
		return 0;
	for (size_t i = 0; rc == 0 && i < t->remove[side].n; i++)
		rc = vec_push(&nums, t->remove[side].a[i].num) < 0 ? twoway_no_memory(e) : 0;
	if (nums.n > 0 && rc == 0)
		s->ops->idents_soon(s, nums.a, nums.n);
	vec_release(&nums);
	return rc;
}

/*
 * Everything that a folder asks for, in the order that loses nothing: copies, flags, removals. To a server the last copies, the flags, and the question whether what is to be removed is what it was
 * leave in one flight: none of them depends on the answer to another. Removals are asked for when all that is answered.
 */
static int do_all(struct twoway *g, struct box *b, const struct plan_sync_policy *policy, struct todo *t, struct err *e)
{
	uint64_t none;

	if (send_all(g, b, policy, t, e) < 0)
		return -1;
	for (int s = RIGHT; s >= LEFT; s--)
		if (foretell_strangers(g, s, t, e) < 0 || exec_flags(&g->x[s], t->flag[s].a, t->flag[s].n, e) < 0)
			return -1;
	if (exec_land(&g->x[RIGHT], e) < 0 || note_rest(g, b, t, e) < 0 || sort_taken_now(t, e) < 0)
		return -1;
	for (int s = RIGHT; s >= LEFT; s--)
		if (remove_at(g, b, s, t, e) < 0)
			return -1;
	if (exec_land(&g->x[LEFT], e) < 0)
		return -1;
	/* what was pulled in the last group is settled now, not in the next run */
	return exec_commit(&g->x[RIGHT], false, 0, &none, e);
}

static int do_todo(struct twoway *g, struct box *b, const struct plan_sync_policy *policy, struct todo *t, struct err *e)
{
	return do_all(g, b, policy, t, e) < 0 ? land(g, true, e) : 0;
}

/* What is new is copied slice by slice, the oldest first; all else is done at once, with the last of these. */
static int do_rows(struct twoway *g, struct box *b, const struct plan_sync_policy *policy, struct todo *t, struct err *e)
{
	const size_t all = join_count(&b->join), fresh = all - b->join.rows.n, slice = act_slice(g);
	size_t at = 0;

	for (; fresh - at > slice; at += slice) {
		if (act_sort_rows(g, b, policy, at, at + slice, t, e) < 0)
			return -1;
		if (land(g, send_all(g, b, policy, t, e) < 0, e) < 0)
			return -1;
		for (int s = LEFT; s <= RIGHT; s++) {
			vec_clear(&t->copy[s]);
			vec_clear(&t->copy_row[s]);
		}
	}
	return act_sort_rows(g, b, policy, at, all, t, e) < 0 ? -1 : do_todo(g, b, policy, t, e);
}

/*
 * What shows later whether keys still mean what they mean now: noted before any pair with such a key is. A run that never comes to its end leaves no other stamp.
 */
static int note_keys(struct twoway *g, struct box *b, int side, const char *stamp, struct err *e)
{
	char *text = box_remembered(b, side);

	if (!twoway_far(g, side) || stamp[0] == '\0' || text[0] != '\0')
		return 0;
	look_keys_only(text, sizeof(b->f->base.left_stamp), stamp);
	if (!db_in_transaction(g->db) && db_begin_light(g->db, e) < 0)
		return -1;
	if (folders_stamp(g->db, b->f->base.id, b->f->base.left_stamp, b->f->base.right_stamp, e) == 0)
		return 0;
	db_rollback(g->db);
	return -1;
}

int act_note_keys(struct twoway *g, struct box *b, int side, struct err *e)
{
	struct store *s = g->side[side];
	struct box_info info;

	if (!(s->ops->caps & STORE_REMOTE) || box_remembered(b, side)[0] != '\0')
		return 0;
	if (box_open(g, b, side, twoway_how(g, side), &info, e) < 0)
		return -1;
	s->ops->close_box(s);
	if (note_keys(g, b, side, info.stamp, e) < 0)
		return -1;
	return db_in_transaction(g->db) ? db_commit(g->db, e) : 0;
}

int act_folders(struct twoway *g, struct err *e)
{
	for (size_t i = 0; i < g->boxes.n; i++) {
		struct box *b = &g->boxes.a[i];
		struct err why = ERR_INIT;

		for (int s = LEFT; s <= RIGHT && !b->failed; s++) {
			if (!b->create[s])
				continue;
			/* one way, made_check looks at what is there */
			if (g->side[s]->ops->folder_create(g->side[s], box_name(b, s), b->f->attrs | (g->p->one_way ? 0 : FOLDER_NEW), &why) == 0) {
				if (!g->p->one_way)
					twoway_tell_tree(g, b, s, ACTION_CREATE);
				continue;
			}
			if (g->p->one_way && (why.kind == ERR_REFUSED || why.kind == ERR_CONF))
				made_hint(b, &why);
			if (box_error(g, b, &why, e) < 0)
				return -1;
		}
	}
	if (g->p->one_way && made_check(g, e) < 0)
		return -1;
	/* only now: a folder that the base has, and a side has not, was removed there */
	for (size_t i = 0; i < g->boxes.n; i++) {
		struct box *b = &g->boxes.a[i];

		if (b->failed || (!box_there(b, LEFT) && !b->create[LEFT]) || (!box_there(b, RIGHT) && !b->create[RIGHT]))
			continue;
		if (b->f->base.id == 0) {
			if (!db_in_transaction(g->db) && db_begin_light(g->db, e) < 0)
				return -1;
			if (folders_get(g->db, b->f->left, b->f->right, &b->f->base, e) < 0) {
				db_rollback(g->db);
				return -1;
			}
		}
		for (int s = LEFT; s <= RIGHT; s++)
			if (b->work && note_keys(g, b, s, b->stamp[s], e) < 0)
				return -1;
		if (b->work && words_note(g, b, e) < 0)
			return -1;
	}
	return db_in_transaction(g->db) ? db_commit(g->db, e) : 0;
}

/* A folder that the other side has no more. */
static int remove_box(struct twoway *g, struct box *b, int side, struct err *e)
{
	if (g->side[side]->ops->folder_remove(g->side[side], box_name(b, side), b->deletions[side], e) < 0)
		return -1;
	if (db_begin(g->db, e) < 0)
		return -1;
	if (folders_drop(g->db, b->f->base.id, e) < 0) {
		db_rollback(g->db);
		return -1;
	}
	g->totals->deleted += b->deletions[side];
	g->totals->deleted_left += side == LEFT ? b->deletions[side] : 0;
	twoway_tell_tree(g, b, side, ACTION_REMOVE);
	b->failed = true; /* it is no more */
	return db_commit(g->db, e);
}

static void tell_copies(struct twoway *g, const struct box *b)
{
	struct event ev = { .type = EVENT_FOLDER, .folder = b->f->left, .total = b->copies };

	if (b->copies > 0)
		twoway_put(g, &ev);
}

int act_box(struct twoway *g, struct box *b, struct err *e)
{
	struct plan_sync_policy policy;
	struct todo t = { 0 };
	uint64_t failed = g->totals->failed, missed = g->x[LEFT].missed + g->x[RIGHT].missed;
	int rc = -1;

	for (int s = LEFT; s <= RIGHT; s++)
		if (b->remove[s])
			return remove_box(g, b, s, e);
	act_on(g, b);
	if (adopt_note(g, b, e) < 0 || act_note_taken(g, b, e) < 0)
		return -1;
	decide_policy(g, b, &policy);
	for (int s = LEFT; s <= RIGHT; s++) {
		/* it had a stamp, or has one now: the look gave none of what was just being changed */
		bool stamped = !b->looked[s] || b->info[s].extent == LOOK_SAME || b->info[s].stamp[0] != '\0';

		if (!act_has_work_at(b, &policy, g, s))
			continue;
		if (box_open(g, b, s, twoway_how(g, s) | (stamped ? BOX_UNCHANGED : 0), &b->info[s], e) < 0)
			goto out;
		b->looked[s] = true;
		/* one that was made just now */
		if (note_keys(g, b, s, b->info[s].stamp, e) < 0 || (db_in_transaction(g->db) && db_commit(g->db, e) < 0))
			goto out;
	}
	if (words_note(g, b, e) < 0)
		goto out;
	decide_policy(g, b, &policy);
	tell_copies(g, b);
	rc = do_rows(g, b, &policy, &t, e);
	if (rc < 0)
		exec_settle(&g->x[RIGHT]);
	words_tell(g, b);
	/* what was refused, or did not come, must be found again by the next look */
	b->failed = g->totals->failed > failed || g->x[LEFT].missed + g->x[RIGHT].missed > missed;
out:
	db_rollback(g->db);
	for (int s = LEFT; s <= RIGHT; s++)
		g->side[s]->ops->close_box(g->side[s]);
	act_todo_release(&t);
	return rc;
}

