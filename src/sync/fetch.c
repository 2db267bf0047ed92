/* A fetch: its sessions, one after the other. See engine.h. */
#include "sync/fetch_p.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mail/digest.h"

#define REPEATS_MAX 3   /* sessions after a break at a server without names, where each begins anew */
#define BARREN_MAX 3    /* sessions in a row that end at a message before anything came, and are not the last: who breaks off more often speaks no POP3 */

/* What the source's stamp stands for: with another policy, or when the oldest message has come of age, the same listing may hold work. */
static void make_stamp(const struct fetch *g, int64_t oldest, char out[256])
{
	const struct plan_policy *p = &g->p->policy;

	out[0] = '\0';
	if (g->info.stamp[0] == '\0')
		return;
	snprintf(out, 256, "%s %d %lld %llu %d %lld", g->info.stamp, (int)p->keep, (long long)p->keep_seconds, (unsigned long long)p->max_size,
		 p->no_remove || g->info.no_remove, (long long)oldest);
}

/* When the oldest message was delivered, as the stamp says that was left. */
static int64_t left_oldest(const struct fetch *g)
{
	const char *last = strrchr(g->folder.left_stamp, ' ');

	return last ? strtoll(last, NULL, 10) : 0;
}

static void warn(struct fetch *g, const char *text)
{
	struct event ev = { .type = EVENT_WARNING, .job = g->p->job, .text = text };

	event_put(g->sink, &ev);
}

/* A warning that must be heard. */
static void warn_of_trouble(struct fetch *g, const char *text)
{
	struct event ev = { .type = EVENT_WARNING, .job = g->p->job, .text = text, .trouble = true };

	event_put(g->sink, &ev);
}

/* What came, or did not, and cannot be told for certain. */
static void tell_doubts(struct fetch *g)
{
	char text[ERR_TEXT_MAX];

	if (g->x.doubtful > 0) {
		snprintf(text, sizeof(text), "the server has other messages under the names of some whose removal it had not confirmed: %llu were delivered. If they are the same"
			 " mail, it changes its messages when they are read, and they come again whenever a removal is not confirmed", (unsigned long long)g->x.doubtful);
		warn_of_trouble(g, text);
	}
	if (g->x.nameless_back > 0) {
		snprintf(text, sizeof(text), "the server gives back messages that it said it had removed, or new ones that are the same to the byte (it has no names for them):"
			 " %llu are not delivered again, and their removal is asked for again", (unsigned long long)g->x.nameless_back);
		warn_of_trouble(g, text);
	} else if (g->x.given_back > 0)
		warn(g, "the server gives back messages that it said it had removed: they are not delivered again, and their removal is asked for again");
}

void fetch_tell_planned(struct fetch *g, enum event_action action, struct slice key, uint64_t size)
{
	char uid[ERR_TEXT_MAX];
	struct event ev = { .type = EVENT_MESSAGE, .job = g->p->job, .folder = g->p->folder, .action = action, .size = size, .dry = g->p->dry_run };

	ev.uid = err_printable(uid, sizeof(uid), key.p, key.n);
	event_put(g->sink, &ev);
}

/* Messages left out by size are named again in each run, without a listing. */
static int tell_skipped(void *arg, const struct failure *f, struct err *e)
{
	struct fetch *g = arg;

	(void)e;
	if (f->kind == ERR_NONE && f->folder == g->folder.id) {
		g->totals->skipped++;
		fetch_tell_planned(g, ACTION_SKIP, f->key, f->size);
	}
	return 0;
}

/* Is there surely nothing to do? Then nothing is listed, opened or written. 1, 0, -1. */
static int nothing_new(struct fetch *g, struct err *e)
{
	const struct plan_policy *p = &g->x.policy;
	char stamp[256];
	uint64_t failed, skipped;
	int64_t next, oldest = left_oldest(g);

	make_stamp(g, oldest, stamp);
	if (stamp[0] == '\0' || strcmp(stamp, g->folder.left_stamp) != 0 || g->base.pending)
		return 0;
	if (failures_count(g->db, &failed, &skipped, &next, e) < 0)
		return -1;
	if (failed > 0 && runs_future(next, p->now, FAILURE_PAUSE_MAX) <= p->now)
		return 0;
	if (p->keep == KEEP_AGE && !p->no_remove && oldest > 0 && oldest + p->keep_seconds <= p->now)
		return 0;
	if (skipped > 0 && failures_each(g->db, tell_skipped, g, e) < 0)
		return -1;
	return 1;
}

#define MADE "made" /* the stamp of a target that was opened; behind it stands what tells its place, but in states of earlier versions */

/* The stamp of this target. */
static int make_target_stamp(const struct fetch *g, char out[256], struct err *e)
{
	unsigned char md[DIGEST_SIZE];
	char hex[DIGEST_HEX];
	struct digest *d;
	int rc;

	snprintf(out, 256, MADE);
	if (!g->p->target)
		return 0;
	d = digest_new(e);
	if (!d)
		return -1;
	rc = digest_put(d, g->p->target, strlen(g->p->target)) < 0 ? -1 : digest_end(d, md);
	digest_free(d);
	if (rc < 0)
		return err_set(e, ERR_BUG, "can't compute a digest");
	digest_hex(md, hex);
	snprintf(out, 256, MADE " %s", hex);
	return 0;
}

/* Mail went elsewhere before: it is known all the same, and a person may have wanted it here. */
static int tell_elsewhere(struct fetch *g, struct err *e)
{
	char text[ERR_TEXT_MAX];
	uint64_t n;

	if (pairs_present_count(g->db, g->folder.id, &n, e) < 0)
		return -1;
	if (n == 0)
		return 0;
	snprintf(text, sizeof(text), "`to` is another than in the last run: mail that was delivered before and is still on the server is not fetched again (%llu message%s)",
		 (unsigned long long)n, n == 1 ? "" : "s");
	warn_of_trouble(g, text);
	return 0;
}

/* Open the target, once: where mail was delivered before, a folder that has vanished (an unmounted disk) is not made anew. */
int fetch_open_target(struct fetch *g, struct err *e)
{
	struct box_info info;
	char *old = g->folder.right_stamp, stamp[256];
	bool elsewhere, made;

	if (g->target_open)
		return 0;
	if (make_target_stamp(g, stamp, e) < 0)
		return -1;
	elsewhere = old[0] != '\0' && strcmp(old, MADE) != 0 && g->p->target && strcmp(old, stamp) != 0;
	made = old[0] != '\0' && !elsewhere && !(g->dst->ops->caps & STORE_MAY_VANISH);
	if (g->dst->ops->open_box(g->dst, g->p->folder, BOX_WRITE | (made ? 0 : BOX_CREATE), &info, e) < 0) {
		if (made && e && e->kind == ERR_LOCAL)
			err_hint(e, "mail was delivered there before: is its disk mounted? To begin a new one, make the directory and `cur` in it");
		return -1;
	}
	g->target_open = true;
	if (elsewhere && tell_elsewhere(g, e) < 0)
		return -1;
	if (old[0] != '\0' && (!g->p->target || strcmp(old, stamp) == 0))
		return 0;
	memcpy(g->folder.right_stamp, stamp, sizeof(stamp));
	if (db_begin(g->db, e) < 0)
		return -1;
	if (folders_stamp(g->db, g->folder.id, g->folder.left_stamp, g->folder.right_stamp, e) < 0) {
		db_rollback(g->db);
		return -1;
	}
	return db_commit(g->db, e);
}

/* exec.before_note: mail comes, of which the stamp does not know when it came. A run that ends before it leaves another stamp must not leave this one. */
static int forget_stamp(void *arg, struct err *e)
{
	struct fetch *g = arg;

	if (g->folder.left_stamp[0] == '\0')
		return 0;
	if (folders_stamp(g->db, g->folder.id, "", g->folder.right_stamp, e) < 0)
		return -1;
	g->folder.left_stamp[0] = '\0';
	return 0;
}

/* The listing and the base agree: the next run needs to look no further than the stamp. */
static int remember_stamp(struct fetch *g, struct err *e)
{
	/* Where keys are given again the same keys may be other messages. */
	bool open = g->removed > 0 || g->more || g->unsure || g->held > 0 || g->later > 0 || g->x.suspects > 0 || g->totals->failed > 0;
	int64_t oldest = 0;
	char stamp[256] = "";

	if (!open && g->p->policy.keep == KEEP_AGE && pairs_oldest(g->db, g->folder.id, &oldest, e) < 0)
		return -1;
	if (!open)
		make_stamp(g, oldest, stamp);
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
static unsigned source_how(const struct fetch *g)
{
	return BOX_WRITE | (g->p->policy.max_size > 0 || g->p->budget || g->p->dry_run || g->suspects_turn ? BOX_SIZES : 0);
}

/* What the box says of itself decides what the planner may ask. */
static void heed_box(struct fetch *g)
{
	if (g->info.no_remove)
		g->x.policy.no_remove = true;
	if (g->info.keyless && g->p->policy.keep != KEEP_NO)
		warn(g, "the server has no UIDL: with `keep` each run must read every message to know which are new");
	else if (g->info.keyless && g->p->dry_run)
		warn(g, "the server has no UIDL: which messages are new is known only once they are read");
}

/* Is more there than the removals of the last session should have left? */
static bool holds_too_many(const struct fetch *g, uint64_t besides)
{
	uint64_t expected = g->had - g->took + besides + g->took / 2;

	return g->took > 0 && !g->info.partial && g->info.messages > expected;
}

/*
 * Is the source one that says it removes messages and does not? Of those that the last session removed most are there still, and the base does not know them by
 * their names: they would be taken for new ones, session after session.
 */
static bool removes_nothing(const struct fetch *g)
{
	return holds_too_many(g, g->again);
}

/*
 * Is it worth while to go on in another session, after one that ended well? A message under the name of one that was removed may be another, or the same with a changed
 * header: that it came is no sign that a box which never shows all has less to show.
 */
static bool made_progress(const struct fetch *g, uint64_t named, uint64_t reused)
{
	if (!g->info.partial)
		return g->x.fresh > 0;
	return g->x.named > named || (!g->info.keyless && g->x.fresh > g->x.reused - reused);
}

/*
 * One session at the source: list, plan, copy, remove, commit. 1: there may be more to do in another session, 0 done, -1.
 */
static int session(struct fetch *g, struct err *e)
{
	struct event ev = { .type = EVENT_FOLDER, .job = g->p->job, .folder = g->p->folder };
	uint64_t named = g->x.named, reused = g->x.reused;
	unsigned suspects = g->x.suspects;
	bool progress;
	int rc;

	g->removed = g->again = g->unread_size = g->held = g->later = 0;
	g->copying = true;
	g->doubt = false;
	g->more = g->unsure = g->unread = false;
	g->totals->skipped = 0;
	exec_forget_marks(&g->x);
	worklist_clear(&g->removals);
	if (g->src->ops->open_box(g->src, "", source_how(g), &g->info, e) < 0)
		return -1;
	heed_box(g);
	g->x.read_is_gone = g->info.read_is_gone;
	g->x.sized = g->info.keyless || source_how(g) & BOX_SIZES;
	if (pairs_summary(g->db, g->folder.id, &g->base, e) < 0)
		return -1;
	rc = nothing_new(g, e);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	if (!g->p->dry_run && g->base.pending) {
		if (fetch_open_target(g, e) < 0 || exec_recover(&g->x, e) < 0 || pairs_summary(g->db, g->folder.id, &g->base, e) < 0)
			return -1;
	}
	if (g->x.earlier < 0)
		g->x.earlier = g->base.max_id;
	claims_release(&g->claims);
	if (claims_init(&g->claims, g->base.max_id, e) < 0 || walk_load_failures(g, e) < 0)
		return -1;
	if (g->base.max_id > 0 && walk_claim(g, e) < 0)
		return -1;
	if (removes_nothing(g)) {
		warn_of_trouble(g, "the server holds more messages than it should after those that it said it had removed (or new ones came); the rest is left for the next run");
		return 0;
	}
	g->at_once = g->doubt || holds_too_many(g, 0);
	ev.total = g->x.total = g->info.messages;
	ev.total_bytes = g->info.bytes;
	if (g->info.messages > 0)
		event_put(g->sink, &ev);
	if (walk_work(g, e) < 0)
		return -1;
	g->copying = false;
	if (walk_remove(g, e) < 0 || walk_forget_gone(g, e) < 0)
		return -1;
	if (g->p->dry_run)
		return 0;
	/* A box that shows itself in batches goes on to the next when the session ends well, removals or not. */
	progress = made_progress(g, named, reused);
	if (exec_commit(&g->x, g->info.partial && progress, g->more ? 0 : g->x.policy.now - GONE_KEPT, &g->removed, e) < 0 || remember_stamp(g, e) < 0)
		return -1;
	g->had = g->info.messages;
	g->took = g->removed;
	g->behind += g->info.partial ? g->had : g->took;
	if ((g->more || g->info.partial) && progress)
		return 1;
	if (g->suspects_turn || (g->later == 0 && g->x.suspects == suspects))
		return 0;
	g->suspects_turn = true;
	return 1;
}

/* The job's folder in the base, made in the first run. */
static int find_folder(struct fetch *g, struct err *e)
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

/*
 * Is another session now worth while, after one that broke? When messages came over it, or when a message that may have broken it is known and will wait. But not when all
 * the mail would come again in it: where messages have no names, and when more came than was ever there.
 */
static bool may_go_on(struct fetch *g, uint64_t pulled, unsigned suspects, const struct err *e)
{
	bool found = g->x.suspects > suspects;

	if (!err_link_lost(e) && !(e->kind == ERR_PROTO && found))
		return false;
	if (g->totals->pulled == pulled)
		return found && ++g->barren <= BARREN_MAX;
	if (g->totals->pulled > g->behind + g->info.messages)
		return false;
	return !g->info.keyless || (g->copying && ++g->repeats <= REPEATS_MAX);
}

/* The session broke: the rest in another. */
static int go_on(struct fetch *g, struct err *e)
{
	struct err why = *e;

	if (!g->copying)
		g->unconfirmed = *e;
	err_in(&why, "going on after");
	warn(g, why.text);
	err_clear(e);
	return 1;
}

int engine_fetch(const struct engine_params *p, struct store *src, struct store *dst, struct db *db, const struct event_sink *sink, struct event_totals *totals,
		 struct err *e)
{
	struct fetch g = { .p = p, .src = src, .dst = dst, .db = db, .sink = sink, .totals = totals, .removals = WORKLIST_INIT,
			   .suspects_turn = p->dry_run };
	msec_t begun = clock_now();
	uint64_t pulled;
	unsigned suspects;
	int rc = -1;

	assert(src->ops->caps & STORE_SOURCE && dst->ops->caps & STORE_TARGET);
	memset(totals, 0, sizeof(*totals));
	if (find_folder(&g, e) < 0)
		return -1;
	g.x = (struct exec){ .src = src, .dst = dst, .db = db, .folder = g.folder.id, .folder_name = p->folder, .right_name = p->folder, .job = p->job, .policy = p->policy,
			     .flags = p->flags, .budget = p->budget, .stop_at = p->stop_at, .earlier = -1, .sink = sink, .totals = totals, .claims = &g.claims, .before_note = forget_stamp, .before_note_arg = &g };
	if (exec_init(&g.x, e) == 0) {
		do {
			pulled = totals->pulled;
			suspects = g.x.suspects;
			rc = session(&g, e);
			if (rc < 0)
				exec_settle(&g.x);
			if (rc < 0 && may_go_on(&g, pulled, suspects, e))
				rc = go_on(&g, e);
			if (totals->pulled > pulled)
				g.barren = 0;
			src->ops->close_box(src);
		} while (rc == 1);
	}
	if (rc == 0 && g.held > 0 && g.unconfirmed.kind != ERR_NONE) {
		*e = g.unconfirmed;
		rc = -1;
	}
	tell_doubts(&g);
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
