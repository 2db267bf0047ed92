/* The executor: see exec.h. The order of a group's steps is here; how messages are read into it, in execcopy.c; what is done to those that are there, in execchange.c. */
#include "sync/exec_p.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "mail/flags.h"
#include "mail/status.h"
#include "state/pairs.h"
#include "state/runs.h"
#include "sync/engine.h"

void exec_step(struct exec *x, const char *what)
{
	int *n = x->steps ? x->steps : &x->step;

	++*n;
	log_debug("step %d: %s", *n, what);
	if (*n == x->stop_at)
		_exit(100);
}

int exec_init(struct exec *x, struct err *e)
{
	if (x->two_way)
		x->reader = ident_reader_new(e);
	return x->two_way && !x->reader ? -1 : 0;
}

int exec_make_room(struct exec *x, size_t n, struct err *e)
{
	if (n > EXEC_GROUP_MESSAGES)
		n = EXEC_GROUP_MESSAGES;
	if (n <= x->room)
		return 0;
	if (x->n > 0)
		return err_set(e, ERR_BUG, "a group that was left behind");
	free(x->items);
	free(x->staged);
	x->items = calloc(n, sizeof(*x->items));
	x->staged = calloc(n, sizeof(*x->staged));
	x->room = x->items && x->staged ? n : 0;
	return x->room == 0 ? err_set(e, ERR_LOCAL, "out of memory") : 0;
}

/* Free what publish said of single messages. */
static void forget_refusals(const struct exec_group *g)
{
	for (size_t i = 0; i < g->n; i++) {
		free(g->staged[i].refused);
		g->staged[i].refused = NULL;
	}
}

void exec_release(struct exec *x)
{
	if (x->n > 0)
		x->dst->ops->abandon(x->dst);
	forget_refusals(&x->sent);
	free(x->items);
	free(x->staged);
	free(x->sent.items);
	free(x->sent.staged);
	ident_reader_free(x->reader);
	x->reader = NULL;
	status_reader_free(x->status);
	x->status = NULL;
	vec_release(&x->removed);
	vec_release(&x->left_out);
	x->items = NULL;
	x->staged = NULL;
	x->sent = (struct exec_group){ 0 };
	x->n = x->room = x->sent_room = 0;
}

void exec_tell_message(struct exec *x, enum event_action action, struct slice key, uint64_t size)
{
	char uid[ERR_TEXT_MAX];
	struct event ev = { .type = EVENT_MESSAGE, .job = x->job, .action = action, .folder = x->folder_name, .right = x->right_name, .size = size };

	ev.sides = x->sides;
	if (x->two_way) /* a removal changes the source, anything else the target */
		ev.at = x->back == (action == ACTION_DELETE) ? AT_RIGHT : AT_LEFT;
	ev.uid = err_printable(uid, sizeof(uid), key.p, key.n);
	event_put(x->sink, &ev);
}

/*
 * Notes on single messages share a transaction, the group's if one comes by: each commit waits for the disk. How many wait, and for how long, is bounded, as a
 * process can be killed; exec_copy leaves none behind.
 */
int exec_begin_note(struct exec *x, struct err *e)
{
	if (db_in_transaction(x->db))
		return 0;
	x->noted = 0;
	x->noting = clock_now();
	return db_begin(x->db, e);
}

int exec_end_note(struct exec *x, struct err *e)
{
	x->noted++;
	if (x->noted < EXEC_GROUP_MESSAGES && clock_now() - x->noting < EXEC_GROUP_MS)
		return 0;
	return db_commit(x->db, e);
}

/* A message that can't be had, or not delivered, while the others can: note it for a later try, tell it, go on. */
int exec_item_failed(struct exec *x, const struct work *w, const struct err *why, struct err *e)
{
	return exec_item_failed_for(x, w, why, exec_pause(w->tries), e);
}

int64_t exec_pause(unsigned tries)
{
	int64_t pause = ENGINE_FAILURE_PAUSE;

	for (unsigned i = 0; i < tries && pause < FAILURE_PAUSE_MAX; i++)
		pause *= 2;
	return pause < FAILURE_PAUSE_MAX ? pause : FAILURE_PAUSE_MAX;
}

int exec_note_failure(struct exec *x, const struct failure *f, struct err *e)
{
	if (exec_begin_note(x, e) < 0)
		return -1;
	if (failures_put(x->db, f, e) < 0) {
		db_rollback(x->db);
		return -1;
	}
	return exec_end_note(x, e);
}

int exec_item_failed_for(struct exec *x, const struct work *w, const struct err *why, int64_t pause, struct err *e)
{
	int64_t now = x->policy.now;
	struct failure f = { .folder = x->folder, .back = x->back, .key = w->key, .kind = why->kind, .reason = slice_str(why->text), .size = w->size, .tries = w->tries + 1,
			     .since = now };
	char uid[ERR_TEXT_MAX];
	struct event ev = { .type = EVENT_ERROR, .job = x->job, .folder = x->folder_name, .kind = why->kind, .span = SPAN_MSG, .text = why->text,
			    .size = w->size, .uid = err_printable(uid, sizeof(uid), w->key.p, w->key.n) };

	x->totals->failed++;
	event_put(x->sink, &ev);
	if (w->key.n == 0)
		return 0;
	f.next = now + pause;
	return exec_note_failure(x, &f, e);
}

struct recover_list {
	VEC(struct recovery) r;
	VEC(int64_t) ids;
	struct arena arena;
};

/* Keep a pending pair's names beyond the walk. */
static int collect_pending(void *arg, const struct pair *p, struct err *e)
{
	struct recover_list *l = arg;
	struct recovery r = { .key = arena_str(&l->arena, p->back ? p->left : p->right), .hint = arena_str(&l->arena, p->hint) };
	unsigned char *digest = arena_new(&l->arena, unsigned char, sizeof(p->digest));

	if (!r.key || !r.hint || !digest)
		return err_set(e, ERR_LOCAL, "out of memory");
	memcpy(digest, p->digest, sizeof(p->digest));
	r.digest = digest;
	if (vec_push(&l->r, r) < 0 || vec_push(&l->ids, p->id) < 0)
		return err_set(e, ERR_LOCAL, "out of memory");
	return 0;
}

/* Does the base know another message by the key that the target gives this one? 1, 0, -1. */
static int is_taken(struct exec *x, struct slice key, struct err *e)
{
	struct pair other;

	return x->back ? pairs_by_left(x->db, x->folder, key, &other, e) : pairs_by_right(x->db, x->folder, key, &other, e);
}

/* A delivery of an earlier group or run is there, by the key that the target gave it. */
static int arrived(struct exec *x, int64_t pair, struct slice key, struct err *e)
{
	return pairs_arrive(x->db, pair, x->back ? PAIR_LEFT : PAIR_RIGHT, key, e);
}

/* What came of one delivery of an earlier run. One that the target took for another message is none. */
static int apply_one(struct exec *x, int64_t pair, const struct recovery *r, struct err *e)
{
	bool late = x->dst->ops->caps & STORE_LATE_KEYS;
	int taken = r->found && late ? is_taken(x, r->now, e) : 0;

	if (taken < 0)
		return -1;
	if (!r->found || taken)
		return pairs_drop(x->db, pair, e);
	return late ? arrived(x, pair, r->now, e) : pairs_settle(x->db, pair, e);
}

/* Settle what was found, drop what was not, in one transaction. */
static int apply_recovery(struct exec *x, const struct recover_list *l, struct err *e)
{
	if (db_begin(x->db, e) < 0)
		return -1;
	for (size_t i = 0; i < l->ids.n; i++) {
		if (apply_one(x, l->ids.a[i], &l->r.a[i], e) < 0) {
			db_rollback(x->db);
			return -1;
		}
	}
	return db_commit(x->db, e);
}

/* Deal with what an earlier run left pending. there: the target's folder is. */
static int recover(struct exec *x, bool there, struct err *e)
{
	struct recover_list l = { 0 };
	int rc = -1;

	if (pairs_pending(x->db, x->folder, x->back, collect_pending, &l, e) < 0)
		goto out;
	rc = 0;
	if (l.r.n == 0)
		goto out;
	exec_step(x, "recover");
	if (there)
		rc = x->dst->ops->recover(x->dst, l.r.a, l.r.n, e);
	if (rc == 0) {
		exec_step(x, "apply recovery");
		rc = apply_recovery(x, &l, e);
	}
	if (rc == 0)
		x->unsettled_first = 0;
	log_debug("%zu deliveries of an interrupted run looked up", l.r.n);
out:
	vec_release(&l.r);
	vec_release(&l.ids);
	arena_release(&l.arena);
	return rc;
}

int exec_recover(struct exec *x, struct err *e)
{
	return recover(x, true, e);
}

int exec_recover_none(struct exec *x, struct err *e)
{
	return recover(x, false, e);
}

/* The pairs that the last groups left pending are known to be published. */
int exec_settle_pairs(struct exec *x, struct err *e)
{
	return x->unsettled_first == 0 ? 0 : pairs_settle_all(x->db, x->folder, x->unsettled_first, x->unsettled_last, e);
}

/*
 * A pair under this key stands for other content (the server gave the key again): it loses the key, but not its place in the base. Its message may be listed under
 * another key, and is then known by its content.
 */
int exec_take_key(struct exec *x, const struct work *w, struct err *e)
{
	struct pair old;
	int rc;

	if (w->key.n == 0 || x->claims->max == 0) /* a listing gives each key once: only pairs of earlier sessions can have it */
		return 0;
	rc = pairs_by_left(x->db, x->folder, w->key, &old, e);
	return rc == 1 ? pairs_unkey(x->db, old.id, e) : rc;
}

uint64_t exec_agreed(const struct exec *x, const struct work *w)
{
	const uint64_t refused = x->dst->keywords ? x->dst->keywords->refused : 0;

	return (w->agreed & ~refused) | (w->was & refused);
}

/*
 * What a pending pair says: no more than what is certain however this ends. A target that names its messages only when they are there may also refuse their keywords then; and
 * that the other side has one which the base has not is no harm.
 */
static uint64_t agreed_before(const struct exec *x, const struct work *w)
{
	return exec_agreed(x, w) & (x->dst->ops->caps & STORE_LATE_KEYS ? FLAGS_ALL : FLAGS_EVERY);
}

/* The group's transaction: the last groups' pairs settled, this one's added as pending, and what was noted on the way. */
static int journal(struct exec *x, struct err *e)
{
	if (exec_begin_note(x, e) < 0)
		return -1;
	if (exec_settle_pairs(x, e) < 0 || (x->before_note && x->before_note(x->before_note_arg, e) < 0) || (x->budget && budget_note(x->budget, e) < 0))
		goto fail;
	for (size_t i = 0; i < x->n; i++) {
		const struct staged *st = &x->staged[i];
		struct work *w = x->items[i].w;
		struct pair p = { .folder = x->folder, .left = w->key, .right = slice_str(st->key), .hint = slice_str(st->hint), .pending = true,
				  .raw = st->raw, .size = st->size, .made = x->policy.now, .back = x->back, .two_way = x->two_way, .flags = agreed_before(x, w),
				  .told = x->items[i].told };

		if (x->back) {
			p.left = slice_str(st->key);
			p.right = w->key;
		}
		memcpy(p.digest, st->digest, sizeof(p.digest));
		if (exec_take_key(x, w, e) < 0 || pairs_add(x->db, &p, e) < 0)
			goto fail;
		if (w->tries > 0 && failures_clear(x->db, x->folder, x->back, w->key, e) < 0)
			goto fail;
		x->items[i].pair = p.id;
	}
	if (db_commit(x->db, e) < 0)
		return -1;
	x->unsettled_first = 0;
	return 0;
fail:
	db_rollback(x->db);
	return -1;
}

/*
 * Some servers keep one copy of a message in a folder, and take a second for the first. That one has its pair: were both to share it, whatever became of one would be done to the
 * other. The second stays where it is, as one that was refused.
 */
static int refuse_second(const struct exec *x, struct staged *st, struct err *e)
{
	st->refused = calloc(1, sizeof(*st->refused));
	if (!st->refused)
		return err_set(e, ERR_LOCAL, "out of memory");
	err_set_span(st->refused, ERR_REFUSED, SPAN_MSG, "the server keeps one copy of a message in a folder, and has this one there already; %s are two", event_place(x->sides, x->back));
	err_hint(st->refused, "nothing is lost if one of the two is deleted");
	return 0;
}

/* The pairs of a group that has been published to a target which names its messages only then. What it refused is no pair, and noted as a failure. */
static int settle_published(struct exec *x, const struct exec_group *g, struct err *e)
{
	int rc = exec_begin_note(x, e);

	for (size_t i = 0; rc == 0 && i < g->n; i++) {
		struct staged *st = &g->staged[i];

		if (!st->refused)
			rc = is_taken(x, slice_str(st->key), e);
		if (rc == 1)
			rc = refuse_second(x, st, e);
		if (rc < 0)
			break;
		if (st->refused)
			rc = pairs_drop(x->db, g->items[i].pair, e);
		else
			rc = arrived(x, g->items[i].pair, slice_str(st->key), e);
		if (rc == 0 && !st->refused && exec_agreed(x, g->items[i].w) != agreed_before(x, g->items[i].w))
			rc = pairs_flags(x->db, g->items[i].pair, exec_agreed(x, g->items[i].w), e);
	}
	if (rc < 0) {
		db_rollback(x->db);
		return -1;
	}
	for (size_t i = 0; rc == 0 && i < g->n; i++)
		if (g->staged[i].refused)
			rc = exec_item_failed(x, g->items[i].w, g->staged[i].refused, e);
	if (rc == 0 && db_in_transaction(x->db))
		rc = db_commit(x->db, e);
	return rc;
}

/* The group is where it belongs: tell it. */
static int published(struct exec *x, const struct exec_group *g, struct err *e)
{
	bool late = x->dst->ops->caps & STORE_LATE_KEYS;

	exec_step(x, "published");
	if (late && settle_published(x, g, e) < 0)
		return -1;
	if (!late) {
		if (x->unsettled_first == 0)
			x->unsettled_first = g->items[0].pair;
		x->unsettled_last = g->items[g->n - 1].pair;
	}
	for (size_t i = 0; i < g->n; i++) {
		struct work *w = g->items[i].w;

		if (g->staged[i].refused)
			continue;
		w->pair = g->items[i].pair;
		if (x->back)
			x->totals->pushed++;
		else
			x->totals->pulled++;
		x->named += w->key.n > 0 && w->known == 0;
		x->reused += w->reused;
		x->doubtful += w->doubtful;
		exec_tell_message(x, x->back ? ACTION_PUSH : ACTION_PULL, w->key, g->staged[i].size);
	}
	return 0;
}

/* The target broke off: at one of those that it was sent, and did not answer. What had arrived all the same is found by exec_recover, and is no failure then. */
static void suspect_sent(struct exec *x, const struct exec_group *g, const struct err *broken)
{
	struct err why = *broken, second = ERR_INIT;

	if (!x->two_way || !(err_link_lost(broken) || broken->kind == ERR_PROTO))
		return;
	err_in(&why, "the connection breaks when this message is sent");
	for (size_t i = 0; i < g->n; i++)
		if (g->staged[i].unanswered && exec_suspect(x, g->items[i].w, &why, &second) < 0) {
			log_debug("not noted: %s", second.text);
			return;
		}
}

static void note_seen(void *arg, uint64_t num, const struct ident *id)
{
	bool *seen = arg;

	(void)num;
	(void)id;
	*seen = true;
}

/* A message at which a session broke before counts as taken only when it is seen to be there: a server that said so before it had read all would have been believed. */
static int see_alone(struct exec *x, struct err *e)
{
	struct staged *st = &x->staged[0];
	struct store_msg m = { 0 };
	bool seen = false;
	int rc;

	if (x->n != 1 || st->refused || !x->dst->ops->idents || !exec_goes_alone(x, x->items[0].w))
		return 0;
	rc = x->dst->ops->find(x->dst, slice_str(st->key), 0, &m, e);
	if (rc > 0)
		rc = x->dst->ops->idents(x->dst, &m.num, 1, false, note_seen, &seen, e);
	if (rc < 0) {
		st->unanswered = true;
		return -1;
	}
	if (seen)
		return 0;
	st->refused = calloc(1, sizeof(*st->refused));
	if (!st->refused)
		return err_set(e, ERR_LOCAL, "out of memory");
	err_set_span(st->refused, ERR_PROTO, SPAN_MSG, "the server said that it took the message, but it is not there");
	return 0;
}

/* The group that is staged. */
static struct exec_group staged_group(const struct exec *x)
{
	return (struct exec_group){ .items = x->items, .staged = x->staged, .n = x->n };
}

/* The next group is begun. */
static void begin_group(struct exec *x)
{
	x->n = 0;
	x->bytes = 0;
}

/* Publishing failed, of one group or of both that were on their way: their pairs stay pending. */
static int publish_failed(struct exec *x, const struct err *broken)
{
	struct exec_group g = staged_group(x);

	if (broken) {
		suspect_sent(x, &x->sent, broken);
		suspect_sent(x, &g, broken);
	}
	forget_refusals(&x->sent);
	forget_refusals(&g);
	x->sent.n = 0;
	x->dst->ops->abandon(x->dst);
	begin_group(x);
	return -1;
}

int exec_land_group(struct exec *x, struct err *e)
{
	int rc;

	if (x->sent.n == 0)
		return 0;
	if (x->dst->ops->land(x->dst, e) < 0)
		return publish_failed(x, e);
	rc = published(x, &x->sent, e);
	forget_refusals(&x->sent);
	x->sent.n = 0;
	return rc;
}

/* Have the target take the group; the one before it has arrived then. */
static int launch(struct exec *x, struct err *e)
{
	struct exec_group g = staged_group(x), free_one = x->sent;
	size_t room = x->room;
	int rc;

	if (x->dst->ops->launch(x->dst, x->staged, x->n, e) < 0)
		return publish_failed(x, e);
	rc = exec_land_group(x, e);
	if (rc < 0 && x->n == 0)
		return -1; /* both */
	x->sent = g;
	x->items = free_one.items;
	x->staged = free_one.staged;
	x->room = x->sent_room;
	x->sent_room = room;
	begin_group(x);
	if (rc == 0 && x->room < room)
		rc = exec_make_room(x, room, e);
	return rc;
}

/* Both halves at once. */
static int publish(struct exec *x, struct err *e)
{
	struct exec_group g = staged_group(x);
	int rc;

	if (x->dst->ops->publish(x->dst, x->staged, x->n, e) < 0 || see_alone(x, e) < 0)
		return publish_failed(x, e);
	rc = published(x, &g, e);
	forget_refusals(&g);
	if (rc < 0)
		x->dst->ops->abandon(x->dst);
	begin_group(x);
	return rc;
}

/* Make the group durable: the order of these steps is the promise. */
int exec_send_group(struct exec *x, struct err *e)
{
	struct store *dst = x->dst;
	bool behind = dst->ops->launch && !(x->n > 0 && exec_goes_alone(x, x->items[x->n - 1].w));

	if (x->n == 0)
		return 0;
	if (!behind && exec_land_group(x, e) < 0)
		return publish_failed(x, NULL);
	exec_step(x, "harden");
	if (dst->ops->harden(dst, x->staged, x->n, e) < 0)
		goto fail;
	exec_step(x, "journal");
	if (journal(x, e) < 0)
		goto fail;
	exec_step(x, "publish");
	x->most = x->most < EXEC_GROUP_MESSAGES / 2 ? 2 * x->most : EXEC_GROUP_MESSAGES;
	return behind ? launch(x, e) : publish(x, e);
fail:
	dst->ops->abandon(dst);
	begin_group(x);
	return -1;
}

int exec_send_last(struct exec *x, struct err *e)
{
	struct err second = ERR_INIT;

	if (exec_send_group(x, e) == 0)
		return 0;
	if (exec_land_group(x, &second) < 0)
		log_debug("and what was on its way did not arrive: %s", second.text);
	return -1;
}

int exec_flush_group(struct exec *x, struct err *e)
{
	return exec_send_last(x, e) < 0 ? -1 : exec_land_group(x, e);
}

int exec_settle_now(struct exec *x, bool light, struct err *e)
{
	if (x->unsettled_first == 0)
		return 0;
	exec_step(x, "settle");
	if ((light ? db_begin_light(x->db, e) : db_begin(x->db, e)) < 0)
		return -1;
	if (exec_settle_pairs(x, e) < 0) {
		db_rollback(x->db);
		return -1;
	}
	if (db_commit(x->db, e) < 0)
		return -1;
	x->unsettled_first = 0;
	return 0;
}

void exec_settle(struct exec *x)
{
	struct err why = ERR_INIT;

	if (exec_settle_now(x, true, &why) < 0)
		log_debug("what was published could not be settled: %s", why.text);
}
