#include "sync/engine.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "state/pairs.h"
#include "state/runs.h"
#include "sync/exec.h"
#include "sync/worklist.h"

#define SLICE 16384              /* messages planned at a time: memory does not grow with the mailbox */
#define GONE_KEPT (30 * 86400)   /* seconds a pair is remembered after its message left the source */
#define SUSPECTS_MAX 10          /* sessions that may end at a message that is left out then: who breaks off more often speaks no POP3 */
#define SURE_KEY 10              /* shorter UIDLs ("1", "2") are given again by some servers to other mail */

/* A message that failed, or was left out, in an earlier run. */
struct earlier {
	struct slice key;
	int64_t next;
	unsigned tries;
	bool seen;
};

/* One job on its way. */
struct engine {
	const struct engine_params *p;
	struct store *src, *dst;
	struct db *db;
	const struct event_sink *sink;
	struct event_totals *totals;
	struct folder_row folder;
	struct pairs_summary base;
	struct box_info info;
	struct claims claims;
	struct exec x;
	struct worklist removals; /* of this session, for when all is copied: the line need not stand still for them between two slices */
	bool target_open;
	struct arena failed_keys;
	VEC(struct earlier) failed;
	uint64_t had, took;      /* the last session: messages that were listed, and removed */
	/* This session. */
	uint64_t removed, again;
	bool more;               /* it ended before the listing did */
	bool unsure;             /* some keys are of the kind that is given again */
	bool unread;             /* some messages that only their content can tell were not read... */
	uint64_t unread_size;    /* ...the smallest of them; 0 not known */
};

/* What the source's stamp stands for: with another policy the same listing may hold work. */
static void make_stamp(const struct engine *g, char out[256])
{
	const struct plan_policy *p = &g->p->policy;

	out[0] = '\0';
	if (g->info.stamp[0] == '\0')
		return;
	snprintf(out, 256, "%s %d %lld %llu %d", g->info.stamp, (int)p->keep, (long long)p->keep_seconds, (unsigned long long)p->max_size,
		 p->no_remove || g->info.no_remove);
}

static void warn(struct engine *g, const char *text)
{
	struct event ev = { .type = EVENT_WARNING, .job = g->p->job, .text = text };

	event_put(g->sink, &ev);
}

static void tell_planned(struct engine *g, enum event_action action, struct slice key, uint64_t size)
{
	char uid[ERR_TEXT_MAX];
	struct event ev = { .type = EVENT_MESSAGE, .job = g->p->job, .folder = g->p->folder, .action = action, .size = size, .dry = g->p->dry_run };

	ev.uid = err_printable(uid, sizeof(uid), key.p, key.n);
	event_put(g->sink, &ev);
}

/* Messages left out by size are named again in each run, without a listing. */
static int tell_skipped(void *arg, const struct failure *f, struct err *e)
{
	struct engine *g = arg;

	(void)e;
	if (f->kind == ERR_NONE && f->folder == g->folder.id) {
		g->totals->skipped++;
		tell_planned(g, ACTION_SKIP, f->key, f->size);
	}
	return 0;
}

/* Is there surely nothing to do? Then nothing is listed, opened or written. 1, 0, -1. */
static int nothing_new(struct engine *g, struct err *e)
{
	const struct plan_policy *p = &g->x.policy;
	char stamp[256];
	uint64_t failed, skipped;
	int64_t next;

	make_stamp(g, stamp);
	if (stamp[0] == '\0' || strcmp(stamp, g->folder.left_stamp) != 0 || g->base.pending)
		return 0;
	if (failures_count(g->db, &failed, &skipped, &next, e) < 0)
		return -1;
	if (failed > 0 && next <= p->now)
		return 0;
	if (p->keep == KEEP_AGE && !p->no_remove && g->base.oldest > 0 && g->base.oldest + p->keep_seconds <= p->now)
		return 0;
	if (skipped > 0 && failures_each(g->db, tell_skipped, g, e) < 0)
		return -1;
	return 1;
}

/* Open the target, once: where mail was delivered before, a folder that has vanished (an unmounted disk) is not made anew. */
static int open_target(struct engine *g, struct err *e)
{
	struct box_info info;
	bool made = g->folder.right_stamp[0] != '\0' && !(g->dst->ops->caps & STORE_MAY_VANISH);

	if (g->target_open)
		return 0;
	if (g->dst->ops->open_box(g->dst, g->p->folder, BOX_WRITE | (made ? 0 : BOX_CREATE), &info, e) < 0) {
		if (made && e && e->kind == ERR_LOCAL)
			err_hint(e, "mail was delivered there before: is its disk mounted? To begin a new one, make the directory and `cur` in it");
		return -1;
	}
	g->target_open = true;
	if (g->folder.right_stamp[0] != '\0')
		return 0;
	snprintf(g->folder.right_stamp, sizeof(g->folder.right_stamp), "made");
	if (db_begin(g->db, e) < 0)
		return -1;
	if (folders_stamp(g->db, g->folder.id, g->folder.left_stamp, g->folder.right_stamp, e) < 0) {
		db_rollback(g->db);
		return -1;
	}
	return db_commit(g->db, e);
}

static int load_failure(void *arg, const struct failure *f, struct err *e)
{
	struct engine *g = arg;
	struct earlier x = { .next = f->next, .tries = f->tries ? f->tries : 1 };

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
static int load_failures(struct engine *g, struct err *e)
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
static struct earlier *earlier_failure(struct engine *g, struct slice key)
{
	struct earlier want = { .key = key }, *x;

	if (g->failed.n == 0 || key.n == 0)
		return NULL;
	x = bsearch(&want, g->failed.a, g->failed.n, sizeof(want), by_key);
	if (x)
		x->seen = true;
	return x;
}

/* One listed message against the base, by the planner. *p is its pair by key, with id 0 when there is none. The acts, or -1. */
static int plan_listed(struct engine *g, const struct store_msg *m, struct pair *p, unsigned *tries, struct err *e)
{
	struct plan_msg pm = { .left = { .present = true, .size = m->size } };
	struct earlier *before = earlier_failure(g, m->key);
	int rc = 0;

	memset(p, 0, sizeof(*p));
	/* Pairs of this session can't be meant: keys that are listed twice come as empty ones. */
	if (m->key.n > 0 && g->claims.max > 0)
		rc = pairs_by_left(g->db, g->folder.id, m->key, p, e);
	if (rc < 0)
		return -1;
	if (rc == 0)
		p->id = 0;
	else if (!p->pending)
		/* A key that is there again after its message was gone is no proof either: there are servers that give the same to two messages. */
		pm.base = (struct plan_base){ .exists = true, .sure = m->key.n >= SURE_KEY && p->gone == 0, .gone = p->gone != 0, .made = p->made };
	if (before)
		pm.retry_at = before->next;
	*tries = before ? before->tries : 0;
	return (int)plan_message(&g->x.policy, &pm);
}

/*
 * First walk: which pairs of the base does the source still hold? Needed before content is compared or a pair called gone. A key that does not prove enough claims
 * nothing: the message it names now may be another, and the pair's own be listed elsewhere.
 */
static int claim_known(struct engine *g, struct err *e)
{
	struct store_msg m;
	struct pair p;
	unsigned tries;
	int rc;

	if (g->src->ops->list_start(g->src, e) < 0)
		return -1;
	while ((rc = g->src->ops->list_next(g->src, &m, e)) == 1) {
		int acts = plan_listed(g, &m, &p, &tries, e);

		if (acts < 0)
			return -1;
		if (p.id != 0 && !p.pending && !(acts & PLAN_COPY))
			claims_set(&g->claims, p.id);
		if (p.id != 0 && p.gone != 0)
			g->again++;
	}
	return rc;
}

/* A message that is told by its content alone stays unread: which pair of the base it stands for, nobody knows. */
static void note_unread(struct engine *g, uint64_t size)
{
	if (!g->unread || size < g->unread_size)
		g->unread_size = size;
	g->unread = true;
}

/* What is to be done with a listed message. *w is filled when there is something to do: 1, else 0, -1. */
static int consider(struct engine *g, const struct store_msg *m, struct arena *a, struct work *w, struct err *e)
{
	struct pair p;
	unsigned tries;
	int acts = plan_listed(g, m, &p, &tries, e);

	if (acts < 0)
		return -1;
	g->unsure |= m->key.n > 0 && m->key.n < SURE_KEY;
	if (acts & (PLAN_SKIP | PLAN_WAIT) || (g->p->dry_run && acts & PLAN_COPY && m->key.n == 0))
		note_unread(g, m->size);
	if (acts == PLAN_NOTHING)
		return 0;
	*w = (struct work){ .num = m->num, .size = m->size, .acts = (unsigned)acts, .tries = tries };
	w->known = acts & PLAN_COPY ? p.id : 0;
	w->pair = acts & PLAN_COPY ? 0 : p.id;
	w->key = arena_slice(a, m->key);
	if (m->key.n > 0 && !w->key.p)
		return err_set(e, ERR_LOCAL, "out of memory");
	return 1;
}

/* A message larger than max-size: named, remembered for `status`, left where it is. The caller ends the transaction. */
static int skip(struct engine *g, const struct work *w, struct err *e)
{
	struct failure f = { .folder = g->folder.id, .key = w->key, .kind = ERR_NONE, .reason = SLICE_LIT("larger than max-size"), .size = w->size,
			     .tries = 1, .since = g->x.policy.now };

	g->totals->skipped++;
	tell_planned(g, ACTION_SKIP, w->key, w->size);
	if (g->p->dry_run || w->key.n == 0 || w->tries > 0)
		return 0;
	if (!db_in_transaction(g->db) && db_begin(g->db, e) < 0)
		return -1;
	return failures_put(g->db, &f, e);
}

/* Name what the plan leaves out, in one transaction. */
static int skip_slice(struct engine *g, const struct work *w, size_t n, struct err *e)
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

/* What a dry run says instead of doing it. */
static void tell_plan(struct engine *g, const struct work *w)
{
	if (w->acts & PLAN_COPY) {
		g->totals->pulled++;
		tell_planned(g, ACTION_PULL, w->key, w->size);
	}
	if (w->acts & PLAN_REMOVE_LEFT) {
		g->totals->deleted++;
		tell_planned(g, ACTION_DELETE, w->key, w->size);
	}
}

/* Do (or tell) a slice of the plan. */
static int do_slice(struct engine *g, struct work *w, size_t n, struct err *e)
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
	if (open_target(g, e) < 0)
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
static int remove_all(struct engine *g, struct err *e)
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
static size_t may_remove(const struct engine *g, const struct work *w)
{
	return w->acts & PLAN_REMOVE_LEFT || (w->acts & PLAN_COPY && g->x.policy.keep == KEEP_AGE);
}

/* How many messages may still be removed in this session before that is made final. */
static size_t removals_left(const struct engine *g)
{
	uint64_t most = g->p->purge_after;

	if (most == 0 || g->p->dry_run)
		return SIZE_MAX;
	return most > g->x.fresh ? (size_t)(most - g->x.fresh) : 0;
}

/*
 * Second walk: plan and do, slice by slice. Ends early when purge_after messages are to be made final. What was removed before, and is there again, does not
 * count: with a source that removes nothing the same messages would be all that is ever looked at.
 */
static int work_through(struct engine *g, struct err *e)
{
	struct work *w = calloc(SLICE, sizeof(*w));
	struct arena a = ARENA_INIT(SLICE * (STORE_KEY_MAX + 64));
	size_t n = 0, removals = 0;
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
		if (n < SLICE && removals < removals_left(g))
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
	struct engine *g;
	VEC(int64_t) ids;
};

/* May a message that was not read be this pair's, under another name? Stored without its CRs it is up to half as large. */
static bool may_be_unread(const struct engine *g, const struct pair *p)
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
		tell_planned(f->g, ACTION_FORGET, p->left, p->size);
		return 0;
	}
	if (vec_push(&f->ids, p->id) < 0)
		return err_set(e, ERR_LOCAL, "out of memory");
	return 0;
}

/* Failures of messages that the source holds no more are of no interest. */
static int drop_stale_failures(struct engine *g, struct err *e)
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
static int forget_gone(struct engine *g, struct err *e)
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
		rc = pairs_gone(g->db, f.ids.a[i], g->x.policy.now, e);
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

/* The listing and the base agree: the next run needs to look no further than the stamp. */
static int remember_stamp(struct engine *g, struct err *e)
{
	char stamp[256];

	make_stamp(g, stamp);
	/* Where keys are given again the same keys may be other messages. */
	if (g->removed > 0 || g->more || g->unsure || g->totals->failed > 0)
		stamp[0] = '\0';
	if (strcmp(stamp, g->folder.left_stamp) == 0)
		return 0;
	if (db_begin(g->db, e) < 0)
		return -1;
	if (folders_stamp(g->db, g->folder.id, stamp, g->folder.right_stamp, e) < 0) {
		db_rollback(g->db);
		return -1;
	}
	if (db_commit(g->db, e) < 0)
		return -1;
	memcpy(g->folder.left_stamp, stamp, sizeof(stamp));
	return 0;
}

/* How the source's box must be opened for this policy. */
static unsigned source_how(const struct engine *g)
{
	return BOX_WRITE | (g->p->policy.max_size > 0 || g->p->dry_run ? BOX_SIZES : 0);
}

/* What the box says of itself decides what the planner may ask. */
static void heed_box(struct engine *g)
{
	if (g->info.no_remove)
		g->x.policy.no_remove = true;
	if (g->info.keyless && g->p->policy.keep != KEEP_NO)
		warn(g, "the server has no UIDL: with `keep` each run must read every message to know which are new");
	else if (g->info.keyless && g->p->dry_run)
		warn(g, "the server has no UIDL: which messages are new is known only once they are read");
}

/*
 * Is the source one that says it removes messages and does not? Of those that the last session removed most are there still, and the base does not know them by
 * their names: they would be taken for new ones, session after session.
 */
static bool removes_nothing(const struct engine *g)
{
	uint64_t expected = g->had - g->took + g->again + g->took / 2;

	return g->took > 0 && !g->info.partial && g->info.messages > expected;
}

/*
 * One session at the source: list, plan, copy, remove, commit. 1: there may be more to do in another session, 0 done, -1.
 */
static int session(struct engine *g, struct err *e)
{
	struct event ev = { .type = EVENT_FOLDER, .job = g->p->job, .folder = g->p->folder };
	uint64_t pulled = g->totals->pulled;
	bool progress;
	int rc;

	g->removed = g->again = g->unread_size = 0;
	g->more = g->unsure = g->unread = false;
	g->totals->skipped = 0;
	exec_forget_marks(&g->x);
	worklist_clear(&g->removals);
	if (g->src->ops->open_box(g->src, "", source_how(g), &g->info, e) < 0)
		return -1;
	heed_box(g);
	if (pairs_summary(g->db, g->folder.id, &g->base, e) < 0)
		return -1;
	rc = nothing_new(g, e);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	if (!g->p->dry_run && g->base.pending) {
		if (open_target(g, e) < 0 || exec_recover(&g->x, e) < 0 || pairs_summary(g->db, g->folder.id, &g->base, e) < 0)
			return -1;
	}
	if (g->x.earlier < 0)
		g->x.earlier = g->base.max_id;
	claims_release(&g->claims);
	if (claims_init(&g->claims, g->base.max_id, e) < 0 || load_failures(g, e) < 0)
		return -1;
	if (g->base.max_id > 0 && claim_known(g, e) < 0)
		return -1;
	if (removes_nothing(g)) {
		warn(g, "the server holds more messages than it should after those that it said it had removed (or new ones came); the rest is left for the next run");
		return 0;
	}
	ev.total = g->x.total = g->info.messages;
	ev.total_bytes = g->info.bytes;
	if (g->info.messages > 0)
		event_put(g->sink, &ev);
	if (work_through(g, e) < 0 || remove_all(g, e) < 0 || forget_gone(g, e) < 0)
		return -1;
	if (g->p->dry_run)
		return 0;
	/* A box that shows itself in batches goes on to the next when the session ends well, removals or not. */
	progress = g->totals->pulled > pulled || g->x.fresh > 0;
	if (exec_commit(&g->x, g->info.partial && progress, g->more ? 0 : g->x.policy.now - GONE_KEPT, &g->removed, e) < 0 || remember_stamp(g, e) < 0)
		return -1;
	g->had = g->info.messages;
	g->took = g->removed;
	return (g->more || g->info.partial) && progress;
}

/* The job's folder in the base, made in the first run. */
static int find_folder(struct engine *g, struct err *e)
{
	if (folders_get(g->db, "", g->p->folder, &g->folder, e) < 0)
		return -1;
	if (g->folder.id != 0 || g->p->dry_run)
		return 0;
	if (db_begin(g->db, e) < 0)
		return -1;
	if (folders_get(g->db, "", g->p->folder, &g->folder, e) < 0) {
		db_rollback(g->db);
		return -1;
	}
	return db_commit(g->db, e);
}

/* Is another session now worth while, after one that broke? When messages came over it, or when a message that breaks it is known and will be left out. */
static bool may_go_on(const struct engine *g, uint64_t pulled, unsigned suspects, const struct err *e)
{
	if (err_link_lost(e))
		return g->totals->pulled > pulled;
	return e->kind == ERR_PROTO && g->x.suspects > suspects && g->x.suspects <= SUSPECTS_MAX;
}

/* The session broke: the rest in another. */
static int go_on(struct engine *g, struct err *e)
{
	struct err why = *e;

	err_in(&why, "going on after");
	warn(g, why.text);
	err_clear(e);
	return 1;
}

int engine_fetch(const struct engine_params *p, struct store *src, struct store *dst, struct db *db, const struct event_sink *sink, struct event_totals *totals,
		 struct err *e)
{
	struct engine g = { .p = p, .src = src, .dst = dst, .db = db, .sink = sink, .totals = totals, .removals = WORKLIST_INIT };
	msec_t begun = clock_now();
	uint64_t pulled;
	unsigned suspects;
	int rc = -1;

	assert(src->ops->caps & STORE_SOURCE && dst->ops->caps & STORE_TARGET);
	memset(totals, 0, sizeof(*totals));
	if (find_folder(&g, e) < 0)
		return -1;
	g.x = (struct exec){ .src = src, .dst = dst, .db = db, .folder = g.folder.id, .folder_name = p->folder, .job = p->job, .policy = p->policy,
			     .flags = p->flags, .stop_at = p->stop_at, .earlier = -1, .sink = sink, .totals = totals, .claims = &g.claims };
	if (exec_init(&g.x, e) == 0) {
		do {
			pulled = totals->pulled;
			suspects = g.x.suspects;
			rc = session(&g, e);
			if (rc < 0)
				exec_settle(&g.x);
			if (rc < 0 && may_go_on(&g, pulled, suspects, e))
				rc = go_on(&g, e);
			src->ops->close_box(src);
		} while (rc == 1);
	}
	if (g.x.given_back > 0)
		warn(&g, "the server gives back messages that it said it had removed: they are not delivered again, and their removal is asked for again");
	exec_release(&g.x);
	vec_release(&g.failed);
	arena_release(&g.failed_keys);
	claims_release(&g.claims);
	worklist_release(&g.removals);
	src->ops->close_box(src);
	dst->ops->close_box(dst);
	totals->bytes_in = src->stats.in + dst->stats.in;
	totals->bytes_out = src->stats.out + dst->stats.out;
	totals->round_trips = src->stats.turns + dst->stats.turns;
	totals->seconds = (double)(clock_now() - begun) / 1000.0;
	return rc;
}
