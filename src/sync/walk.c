/*
 * A fetch: the source's listing is walked through against the base, and what each message calls for is done, slice by slice; what is listed no more is
 * forgotten.
 */
#include <stdlib.h>
#include <string.h>

#include "sync/fetch_p.h"

#define SLICE 16384 /* messages planned at a time: memory does not grow with the mailbox */
#define SURE_KEY 10 /* shorter UIDLs ("1", "2") are given again by some servers to other mail */

static int load_failure(void *arg, const struct failure *f, struct err *e)
{
	struct fetch *g = arg;
	struct earlier x = { .next = runs_future(f->next, g->x.policy.now, FAILURE_PAUSE_MAX), .tries = f->tries ? f->tries : 1,
			     .suspect = f->kind == ERR_TEMP || f->kind == ERR_TIMEOUT || f->kind == ERR_PROTO };

	if (f->folder != g->folder.id)
		return 0;
	x.key = arena_slice(&g->failed_keys, f->key);
	if (!x.key.p || vec_push(&g->failed, x) < 0)
		return err_set(e, ERR_LOCAL, "out of memory");
	return 0;
}

static int by_key(const void *a, const void *b)
{
	return slice_cmp(((const struct earlier *)a)->key, ((const struct earlier *)b)->key);
}

/* Have the failures of earlier runs at hand, by key. */
int walk_load_failures(struct fetch *g, struct err *e)
{
	arena_reset(&g->failed_keys);
	vec_clear(&g->failed);
	if (failures_each(g->db, load_failure, g, e) < 0)
		return -1;
	if (g->failed.n > 0)
		qsort(g->failed.a, g->failed.n, sizeof(*g->failed.a), by_key);
	return 0;
}

/* The message's failure of an earlier run, or NULL. */
static struct earlier *earlier_failure(struct fetch *g, struct slice key)
{
	struct earlier want = { .key = key }, *x;

	if (g->failed.n == 0 || key.n == 0)
		return NULL;
	x = bsearch(&want, g->failed.a, g->failed.n, sizeof(want), by_key);
	if (x)
		x->seen = true;
	return x;
}

/* What the base has of a listed message. */
struct met {
	struct pair p;  /* by its key; id 0: none */
	unsigned tries; /* that failed */
	bool held;      /* it is for the next run */
	bool later;     /* it is for another session of this run */
};

/*
 * A message that only its content could tell from one that came earlier in this run is not read a second time in it. There are servers that change a header with each
 * reading: with one that confirms no removal the same mail would come again in session after session.
 */
static bool is_held(const struct fetch *g, const struct pair *p, unsigned acts)
{
	return p->id > g->x.earlier && p->gone == 0 && !p->pending && acts & PLAN_COPY;
}

/* One listed message against the base, by the planner. The acts, or -1. */
static int plan_listed(struct fetch *g, const struct store_msg *m, struct met *met, struct err *e)
{
	struct plan_msg pm = { .left = { .present = true, .size = m->size } };
	struct earlier *before = earlier_failure(g, m->key);
	struct pair *p = &met->p;
	unsigned acts;
	int rc = 0;

	memset(met, 0, sizeof(*met));
	/* Pairs of this session can't be meant: keys that are listed twice come as empty ones. */
	if (m->key.n > 0 && g->claims.max > 0)
		rc = pairs_by_left(g->db, g->folder.id, m->key, p, e);
	if (rc < 0)
		return -1;
	if (rc == 0)
		p->id = 0;
	else if (!p->pending)
		/*
		 * A key that is there again after its message was gone is no proof either: there are servers that give the same to two messages. Nor is one whose message may
		 * have been removed.
		 */
		pm.base = (struct plan_base){ .exists = true, .sure = m->key.n >= SURE_KEY && p->gone == 0 && !p->asked, .gone = p->gone != 0, .made = p->made };
	if (before)
		pm.retry_at = before->next;
	met->tries = before ? before->tries : 0;
	acts = plan_message(&g->x.policy, &pm);
	met->held = p->id != 0 && is_held(g, p, acts);
	if (met->held)
		return PLAN_NOTHING;
	if (!before || !before->suspect || !(acts & PLAN_COPY))
		return (int)acts;
	if (exec_leaves_out(&g->x, m->key))
		return PLAN_WAIT;
	met->later = !g->suspects_turn;
	return met->later ? PLAN_WAIT : (int)acts;
}

/*
 * First walk: which pairs of the base does the source still hold? Needed before content is compared or a pair called gone. A key that does not prove enough claims
 * nothing: the message it names now may be another, and the pair's own be listed elsewhere. A dry run, which reads nothing, believes it.
 */
int walk_claim(struct fetch *g, struct err *e)
{
	struct store_msg m;
	struct met met;
	int rc;

	if (g->src->ops->list_start(g->src, e) < 0)
		return -1;
	while ((rc = g->src->ops->list_next(g->src, &m, e)) == 1) {
		int acts = plan_listed(g, &m, &met, e);

		if (acts < 0)
			return -1;
		if (met.p.id != 0 && !met.p.pending && (!(acts & PLAN_COPY) || (g->p->dry_run && met.p.gone == 0)))
			claims_set(&g->claims, met.p.id);
		g->doubt |= met.p.id != 0 && met.p.asked;
		if (met.p.id != 0 && met.p.gone != 0)
			g->again++;
	}
	return rc;
}

/* A message that is told by its content alone stays unread: which pair of the base it stands for, nobody knows. */
static void note_unread(struct fetch *g, uint64_t size)
{
	if (!g->unread || size < g->unread_size)
		g->unread_size = size;
	g->unread = true;
}

/* What is to be done with a listed message. *w is filled when there is something to do: 1, else 0, -1. */
static int consider(struct fetch *g, const struct store_msg *m, struct arena *a, struct work *w, struct err *e)
{
	struct met met;
	int acts = plan_listed(g, m, &met, e);

	if (acts < 0)
		return -1;
	g->unsure |= m->key.n > 0 && m->key.n < SURE_KEY;
	if (acts & (PLAN_SKIP | PLAN_WAIT) || (g->p->dry_run && acts & PLAN_COPY && m->key.n == 0))
		note_unread(g, m->size);
	g->held += met.held;
	g->later += met.later;
	if (acts == PLAN_NOTHING)
		return 0;
	*w = (struct work){ .num = m->num, .size = m->size, .acts = (unsigned)acts, .tries = met.tries };
	w->known = acts & PLAN_COPY && !met.p.pending ? met.p.id : 0;
	w->reused = w->known != 0 && met.p.gone != 0;
	w->unsure = acts & PLAN_COPY && (w->known != 0 || m->key.n < SURE_KEY);
	w->doubtful = w->known != 0 && met.p.asked;
	w->pair = acts & PLAN_COPY ? 0 : met.p.id;
	w->key = arena_slice(a, m->key);
	if (m->key.n > 0 && !w->key.p)
		return err_set(e, ERR_LOCAL, "out of memory");
	return 1;
}

/* A message larger than max-size: named, remembered for `status`, left where it is. The caller ends the transaction. */
static int skip(struct fetch *g, const struct work *w, struct err *e)
{
	struct failure f = { .folder = g->folder.id, .key = w->key, .kind = ERR_NONE, .reason = SLICE_LIT("larger than max-size"), .size = w->size,
			     .tries = 1, .since = g->x.policy.now };

	g->totals->skipped++;
	fetch_tell_planned(g, ACTION_SKIP, w->key, w->size);
	if (g->p->dry_run || w->key.n == 0 || w->tries > 0)
		return 0;
	if (!db_in_transaction(g->db) && db_begin(g->db, e) < 0)
		return -1;
	return failures_put(g->db, &f, e);
}

/* Name what the plan leaves out, in one transaction. */
static int skip_slice(struct fetch *g, const struct work *w, size_t n, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		if (w[i].acts & PLAN_SKIP)
			rc = clock_check(e) < 0 ? -1 : skip(g, &w[i], e);
	}
	if (rc < 0)
		db_rollback(g->db);
	else if (db_in_transaction(g->db))
		rc = db_commit(g->db, e);
	return rc;
}

/* What a dry run says instead of doing it. What the base knows by its key would be read to be removed, and most likely be what was delivered. */
static void tell_plan(struct fetch *g, const struct work *w)
{
	bool known = w->known && !w->reused;

	if (w->acts & PLAN_COPY && !known) {
		g->totals->pulled++;
		fetch_tell_planned(g, ACTION_PULL, w->key, w->size);
	}
	if (w->acts & PLAN_REMOVE_LEFT || known) {
		g->totals->deleted++;
		fetch_tell_planned(g, ACTION_DELETE, w->key, w->size);
	}
}

/* Do (or tell) a slice of the plan. */
static int do_slice(struct fetch *g, struct work *w, size_t n, struct err *e)
{
	if (n == 0)
		return 0;
	if (skip_slice(g, w, n, e) < 0)
		return -1;
	if (g->p->dry_run) {
		for (size_t i = 0; i < n; i++)
			tell_plan(g, &w[i]);
		return 0;
	}
	if (fetch_open_target(g, e) < 0)
		return -1;
	if (exec_copy(&g->x, w, n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (w[i].acts == PLAN_NOTHING && w[i].pair == 0)
			note_unread(g, w[i].size); /* it failed */
	if (g->p->purge_after > 0) /* how many were removed is wanted now */
		return exec_remove(&g->x, w, n, e);
	for (size_t i = 0; i < n; i++)
		if (w[i].acts & PLAN_REMOVE_LEFT && w[i].pair != 0 && worklist_put(&g->removals, &w[i], e) < 0)
			return -1;
	return 0;
}

/* Mark at the source what is to be removed there. */
int walk_remove(struct fetch *g, struct err *e)
{
	struct arena a = ARENA_INIT(SLICE * (STORE_KEY_MAX + 64));
	struct work *w;
	ssize_t n;

	if (g->removals.n == 0)
		return 0;
	w = calloc(SLICE, sizeof(*w));
	if (!w)
		return err_set(e, ERR_LOCAL, "out of memory");
	worklist_rewind(&g->removals);
	while ((n = worklist_take(&g->removals, w, SLICE, &a, e)) > 0) {
		if (exec_remove(&g->x, w, (size_t)n, e) < 0) {
			n = -1;
			break;
		}
		arena_reset(&a);
	}
	free(w);
	arena_release(&a);
	return n < 0 ? -1 : 0;
}

/* How many removals, at most, a piece of work may lead to. */
static size_t may_remove(const struct fetch *g, const struct work *w)
{
	return w->acts & PLAN_REMOVE_LEFT || (w->acts & PLAN_COPY && g->x.policy.keep == KEEP_AGE);
}

/* How many messages may still be removed in this session before that is made final. */
static size_t removals_left(const struct fetch *g)
{
	uint64_t most = g->p->purge_after;

	if (most == 0 || g->at_once || g->p->dry_run)
		return SIZE_MAX;
	return most > g->x.fresh ? (size_t)(most - g->x.fresh) : 0;
}

/*
 * Second walk: plan and do, slice by slice. Ends early when purge_after messages are to be made final. What was removed before, and is there again, does not
 * count: with a source that removes nothing the same messages would be all that is ever looked at.
 */
int walk_work(struct fetch *g, struct err *e)
{
	struct work *w = calloc(SLICE, sizeof(*w));
	struct arena a = ARENA_INIT(SLICE * (STORE_KEY_MAX + 64));
	/* Suspects are asked for one by one: what comes behind it is the end of each then, and tells whether it was whole. */
	size_t n = 0, removals = 0, most = g->suspects_turn && !g->p->dry_run ? 1 : SLICE;
	struct store_msg m;
	int rc = -1;

	if (!w)
		return err_set(e, ERR_LOCAL, "out of memory");
	if (g->src->ops->list_start(g->src, e) < 0)
		goto out;
	while ((rc = g->src->ops->list_next(g->src, &m, e)) == 1) {
		rc = consider(g, &m, &a, &w[n], e);
		if (rc < 0)
			goto out;
		if (rc == 1)
			removals += may_remove(g, &w[n]);
		n += (size_t)rc;
		if (n < most && removals < removals_left(g))
			continue;
		if (do_slice(g, w, n, e) < 0) {
			rc = -1;
			goto out;
		}
		n = removals = 0;
		arena_reset(&a);
		if (removals_left(g) == 0) {
			g->more = true;
			break;
		}
	}
	if (rc >= 0)
		rc = do_slice(g, w, n, e);
out:
	free(w);
	arena_release(&a);
	return rc;
}

struct forgetting {
	struct fetch *g;
	VEC(int64_t) ids;
};

/* May a message that was not read be this pair's, under another name? Stored without its CRs it is up to half as large. */
static bool may_be_unread(const struct fetch *g, const struct pair *p)
{
	return g->unread && p->size >= g->unread_size / 2;
}

/* Collect pairs that no listed message stands for. */
static int collect_gone(void *arg, const struct pair *p, struct err *e)
{
	struct forgetting *f = arg;
	struct plan_msg m = { .base = { .exists = true, .sure = true, .made = p->made } };

	if (may_be_unread(f->g, p) || claims_has(&f->g->claims, p->id) || !(plan_message(&f->g->x.policy, &m) & PLAN_FORGET))
		return 0;
	if (f->g->p->dry_run) {
		fetch_tell_planned(f->g, ACTION_FORGET, p->left, p->size);
		return 0;
	}
	if (vec_push(&f->ids, p->id) < 0)
		return err_set(e, ERR_LOCAL, "out of memory");
	return 0;
}

/* Failures of messages that the source holds no more are of no interest. */
static int drop_stale_failures(struct fetch *g, struct err *e)
{
	for (size_t i = 0; i < g->failed.n; i++) {
		if (g->failed.a[i].seen)
			continue;
		if (!db_in_transaction(g->db) && db_begin(g->db, e) < 0)
			return -1;
		if (failures_clear(g->db, g->folder.id, false, g->failed.a[i].key, e) < 0) {
			db_rollback(g->db);
			return -1;
		}
	}
	return db_in_transaction(g->db) ? db_commit(g->db, e) : 0;
}

/* Mark the pairs whose message has left the source. */
int walk_forget_gone(struct fetch *g, struct err *e)
{
	struct forgetting f = { .g = g };
	int rc = -1;

	if (g->more || g->info.partial)
		return 0;
	if (!g->p->dry_run && drop_stale_failures(g, e) < 0)
		return -1;
	if (g->base.max_id == 0)
		return 0;
	if (pairs_present(g->db, g->folder.id, collect_gone, &f, e) < 0)
		goto out;
	rc = 0;
	if (f.ids.n == 0)
		goto out;
	rc = db_begin(g->db, e);
	for (size_t i = 0; rc == 0 && i < f.ids.n; i++)
		rc = pairs_gone(g->db, f.ids.a[i], f.ids.a[i], g->x.policy.now, e);
	/* Not yet when removals are to come: they renew what is about to be purged. */
	if (rc == 0 && g->x.removed.n == 0 && pairs_purge_gone(g->db, g->x.policy.now - GONE_KEPT, e) < 0)
		rc = -1;
	if (rc == 0)
		rc = db_commit(g->db, e);
	else
		db_rollback(g->db);
out:
	vec_release(&f.ids);
	return rc;
}
