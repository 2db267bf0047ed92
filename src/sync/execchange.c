/* What the executor has done to messages that are there: their flags changed, and those removed that are gone on the other side, with what is noted of them if they go to a trash. */
#include <string.h>

#include "state/pairs.h"
#include "state/trashed.h"
#include "sync/exec_p.h"

/* A call of the store that answers for each message by its num. */
struct removing {
	struct exec *x;
	const struct work *w;
	size_t n, at;
	unsigned act;
	VEC(size_t) flagged;
	VEC(size_t) refused; /* removals */
	VEC(size_t) elsewhere; /* removals that did not go to the trash (store.elsewhere) */
	bool failed; /* out of memory */
};

/* The work that a num belongs to; answers come mostly in the order of the questions. */
static const struct work *answered(struct removing *r, uint64_t num)
{
	for (size_t tried = 0; tried < r->n; tried++, r->at = (r->at + 1) % r->n)
		if (r->w[r->at].num == num && r->w[r->at].acts & r->act)
			return &r->w[r->at];
	return NULL;
}

/* One message could not be changed: told, and tried again in the next run. */
static void tell_refusal(struct exec *x, const struct work *w, const struct err *why)
{
	char uid[ERR_TEXT_MAX];
	struct event ev = { .type = EVENT_ERROR, .job = x->job, .folder = x->folder_name, .kind = why->kind, .span = SPAN_MSG, .text = why->text,
			    .uid = err_printable(uid, sizeof(uid), w->key.p, w->key.n) };

	x->totals->failed++;
	event_put(x->sink, &ev);
}

/* ---- flags ---- */

/* The target's word on one change of flags. */
static void flagged_one(void *arg, uint64_t num, const struct err *why)
{
	struct removing *r = arg;
	const struct work *w = answered(r, num);

	if (!w)
		return;
	if (why)
		tell_refusal(r->x, w, why);
	else
		r->failed |= vec_push(&r->flagged, (size_t)(w - r->w)) < 0;
}

/* Note what both sides agree on now; the act is done. */
static int note_flags(struct exec *x, struct work *w, const size_t *which, size_t n, struct err *e)
{
	if (n == 0)
		return 0;
	exec_step(x, "note flags");
	if (db_begin(x->db, e) < 0)
		return -1;
	if (x->before_note && x->before_note(x->before_note_arg, e) < 0) {
		db_rollback(x->db);
		return -1;
	}
	for (size_t i = 0; i < n; i++) {
		if (pairs_flags(x->db, w[which[i]].pair, exec_agreed(x, &w[which[i]]), e) < 0) {
			db_rollback(x->db);
			return -1;
		}
	}
	if (db_commit(x->db, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		w[which[i]].acts = PLAN_NOTHING;
		w[which[i]].was = exec_agreed(x, &w[which[i]]);
		x->totals->flagged++;
		exec_tell_message(x, ACTION_FLAGS, w[which[i]].key, 0);
	}
	return 0;
}

int exec_flags(struct exec *x, struct work *w, size_t n, struct err *e)
{
	struct removing r = { .x = x, .w = w, .n = n, .act = x->back ? PLAN_FLAG_LEFT : PLAN_FLAG_RIGHT };
	VEC(struct flag_change) changes = { 0 };
	int rc = -1;

	for (size_t i = 0; i < n; i++) {
		struct flag_change c = { .num = w[i].num, .add = w[i].add, .del = w[i].del };

		if (w[i].acts & r.act && vec_push(&changes, c) < 0) {
			err_set(e, ERR_LOCAL, "out of memory");
			goto out;
		}
	}
	rc = 0;
	if (changes.n == 0)
		goto out;
	exec_step(x, "flags");
	rc = x->dst->ops->set_flags(x->dst, changes.a, changes.n, flagged_one, &r, e);
	if (r.failed && rc == 0)
		rc = err_set(e, ERR_LOCAL, "out of memory");
	/* also when the link broke: what was done is done */
	if (note_flags(x, w, r.flagged.a, r.flagged.n, rc == 0 ? e : NULL) < 0)
		rc = -1;
out:
	vec_release(&changes);
	vec_release(&r.flagged);
	return rc;
}

/* ---- removals ---- */

/* The act that stands for a removal at the source. */
static unsigned remove_act(const struct exec *x)
{
	return x->back ? PLAN_REMOVE_RIGHT : PLAN_REMOVE_LEFT;
}

/* The source's word on one removal. */
static void removed_one(void *arg, uint64_t num, const struct err *why)
{
	struct removing *r = arg;
	struct exec *x = r->x;
	const struct work *w = answered(r, num);

	if (!w)
		return;
	if (why) {
		tell_refusal(x, w, why);
		r->failed |= vec_push(&r->refused, (size_t)(w - r->w)) < 0;
		return;
	}
	if (x->src->elsewhere)
		r->failed |= vec_push(&r->elsewhere, (size_t)(w - r->w)) < 0;
	if (vec_push(&x->removed, w->pair) < 0)
		return; /* as if the link broke after it: the next listing tells */
	x->fresh += !w->again;
	exec_tell_message(x, ACTION_DELETE, w->key, w->size);
}

/* Does what is removed at the source go to its trash, and is that noted? */
static bool notes_trash(const struct exec *x)
{
	return x->run > 0 && !x->back && x->src->trash && strcmp(x->src->trash, x->folder_name) != 0;
}

static int note_one(struct exec *x, const struct work *w, const char *trash, struct err *e)
{
	const struct trashed t = { .run = x->run, .folder = x->folder_name, .key = w->key, .trash = trash, .noted = x->policy.now, .told = w->told };

	return trashed_add(x->db, &t, e);
}

/* What is about to go to the trash. */
static int note_trashed(struct exec *x, const struct work *w, size_t n, unsigned act, struct err *e)
{
	exec_step(x, "note what goes to the trash");
	if (db_begin(x->db, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (!(w[i].acts & act) || w[i].pair == 0)
			continue;
		if (note_one(x, &w[i], x->src->trash, e) < 0) {
			db_rollback(x->db);
			return -1;
		}
	}
	return db_commit(x->db, e);
}

/* What has not gone there. */
static int note_not_trashed(struct exec *x, const struct removing *r, struct err *e)
{
	if (r->refused.n + r->elsewhere.n == 0 || !notes_trash(x))
		return 0;
	if (db_begin(x->db, e) < 0)
		return -1;
	for (size_t i = 0; i < r->refused.n; i++)
		if (trashed_drop(x->db, x->run, x->folder_name, r->w[r->refused.a[i]].key, e) < 0)
			goto fail;
	for (size_t i = 0; i < r->elsewhere.n; i++)
		if (note_one(x, &r->w[r->elsewhere.a[i]], TRASHED_ELSEWHERE, e) < 0)
			goto fail;
	return db_commit(x->db, e);
fail:
	db_rollback(x->db);
	return -1;
}

/* Mail that came together is removed together: the last of the pairs from i on whose ids follow each other. Few statements for many pairs. */
static size_t run_end(const int64_t *ids, size_t i, size_t n)
{
	while (i + 1 < n && ids[i + 1] == ids[i] + 1)
		i++;
	return i;
}

/*
 * Note what is about to be asked for, and settle the pairs. Whether a removal has happened is known only when the source confirms its end: until then, and a process may be
 * killed, nobody knows whether the same key still names the same message.
 */
static int note_asked(struct exec *x, const int64_t *pairs, size_t n, struct err *e)
{
	exec_step(x, "note what is to be removed");
	if (db_begin(x->db, e) < 0)
		return -1;
	if (exec_settle_pairs(x, e) < 0)
		goto fail;
	for (size_t i = 0, last; i < n; i = last + 1) {
		last = run_end(pairs, i, n);
		if (pairs_ask(x->db, pairs[i], pairs[last], true, e) < 0)
			goto fail;
	}
	if (db_commit(x->db, e) < 0)
		return -1;
	x->unsettled_first = 0;
	return 0;
fail:
	db_rollback(x->db);
	return -1;
}

/* What the source would not remove is there, as it was. */
static int note_refused(struct exec *x, const struct removing *r, struct err *e)
{
	if (r->refused.n == 0 || x->two_way)
		return 0;
	if (db_begin(x->db, e) < 0)
		return -1;
	for (size_t i = 0; i < r->refused.n; i++) {
		if (pairs_ask(x->db, r->w[r->refused.a[i]].pair, r->w[r->refused.a[i]].pair, false, e) < 0) {
			db_rollback(x->db);
			return -1;
		}
	}
	return db_commit(x->db, e);
}

void exec_forget_marks(struct exec *x)
{
	vec_clear(&x->removed);
	x->fresh = 0;
}

int exec_remove(struct exec *x, const struct work *w, size_t n, struct err *e)
{
	struct removing r = { .x = x, .w = w, .n = n, .act = remove_act(x) };
	VEC(uint64_t) nums = { 0 };
	VEC(int64_t) pairs = { 0 };
	int rc = -1;

	for (size_t i = 0; i < n; i++) {
		if (!(w[i].acts & r.act) || w[i].pair == 0)
			continue;
		if (vec_push(&nums, w[i].num) < 0 || vec_push(&pairs, w[i].pair) < 0) {
			err_set(e, ERR_LOCAL, "out of memory");
			goto out;
		}
	}
	rc = nums.n > 0 && !x->two_way ? note_asked(x, pairs.a, pairs.n, e) : exec_settle_now(x, false, e);
	if (rc < 0)
		goto out;
	if (nums.n == 0)
		goto out;
	if (notes_trash(x) && note_trashed(x, w, n, r.act, e) < 0) {
		rc = -1;
		goto out;
	}
	exec_step(x, "remove");
	x->src->ending = x->two_way;
	rc = x->src->ops->remove(x->src, nums.a, nums.n, removed_one, &r, e);
	x->src->ending = false;
	if (r.failed && rc == 0)
		rc = err_set(e, ERR_LOCAL, "out of memory");
	if (note_not_trashed(x, &r, rc == 0 ? e : NULL) < 0 || note_refused(x, &r, rc == 0 ? e : NULL) < 0)
		rc = -1;
out:
	vec_release(&nums);
	vec_release(&pairs);
	vec_release(&r.refused);
	vec_release(&r.elsewhere);
	return rc;
}

/* The source has confirmed them: neither side of a two-way job holds them any more; a source that is fetched from may give them back. */
static int note_removed(struct exec *x, int64_t purge, struct err *e)
{
	const int64_t *pairs = x->removed.a;
	int rc = db_begin(x->db, e);

	if (rc < 0)
		return -1;
	for (size_t i = 0, last; rc == 0 && i < x->removed.n; i = last + 1) {
		last = x->two_way ? i : run_end(pairs, i, x->removed.n);
		rc = x->two_way ? pairs_drop(x->db, pairs[i], e) : pairs_gone(x->db, pairs[i], pairs[last], x->policy.now, e);
	}
	if (rc == 0 && purge > 0 && pairs_purge_gone(x->db, purge, e) < 0)
		rc = -1;
	if (rc == 0)
		return db_commit(x->db, e);
	db_rollback(x->db);
	return -1;
}

int exec_commit(struct exec *x, bool finish, int64_t purge, uint64_t *removed, struct err *e)
{
	*removed = 0;
	if (exec_settle_now(x, x->removed.n == 0 && !finish, e) < 0)
		return -1;
	if (x->removed.n == 0 && !finish)
		return 0;
	exec_step(x, "commit removals");
	if (x->src->ops->commit(x->src, e) < 0)
		return -1;
	if (x->removed.n == 0)
		return 0;
	exec_step(x, "note removals");
	if (note_removed(x, purge, e) < 0)
		return -1;
	*removed = x->removed.n;
	x->totals->deleted += x->removed.n;
	x->totals->deleted_left += x->back ? 0 : x->removed.n;
	x->totals->trashed += notes_trash(x) ? x->removed.n : 0;
	vec_clear(&x->removed);
	exec_step(x, "done");
	return 0;
}
