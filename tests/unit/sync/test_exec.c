/* The executor alone: the order of its steps, what it removes and what it never does, and what is left when a step fails. */
#include "../../lib/unit.h"

#include "../../lib/fakestore.h"
#include "state/pairs.h"
#include "state/runs.h"
#include "sync/engine.h"
#include "sync/exec.h"

#define NOW 1700000000

static struct fake_world *w;
static char *dir;
static struct db *db;
static struct err e;
static struct exec x;
static struct claims claims;
static struct event_totals totals;
static struct work work[16];
static char keys[16][40];
static char steps[400]; /* what the target and the base were asked, in order */

/* The stores, and their calls written down on the way to them. */
static struct store *src, *dst;
static struct store_ops src_spy, dst_spy;
static const struct store_ops *real_src_ops, *real_dst_ops;

static void note(const char *what)
{
	struct err ignored = ERR_INIT;
	struct pairs_summary sum;

	/* and whether the base holds pending pairs at that moment */
	assert_int_equal(pairs_summary(db, 1, &sum, &ignored), 0);
	snprintf(steps + strlen(steps), sizeof(steps) - strlen(steps), "%s%s ", what, sum.pending ? "+" : "");
}

static int spy_harden(struct store *s, struct staged *st, size_t n, struct err *err)
{
	note("harden");
	return real_dst_ops->harden(s, st, n, err);
}

static int spy_publish(struct store *s, struct staged *st, size_t n, struct err *err)
{
	note("publish");
	return real_dst_ops->publish(s, st, n, err);
}

static void spy_abandon(struct store *s)
{
	note("abandon");
	real_dst_ops->abandon(s);
}

static int spy_remove(struct store *s, const uint64_t *nums, size_t n, void (*done)(void *arg, uint64_t num, const struct err *why), void *arg, struct err *err)
{
	note("remove");
	return real_src_ops->remove(s, nums, n, done, arg, err);
}

static int spy_commit(struct store *s, struct err *err)
{
	note("commit");
	return real_src_ops->commit(s, err);
}

static unsigned next_calls;

/* A source that comes to its end too early. */
static int next_stops(struct store *s, size_t *i, struct stream **body, struct err *err)
{
	if (next_calls == 0)
		return 0;
	next_calls--;
	return real_src_ops->next(s, i, body, err);
}

static int setup(void **state)
{
	struct box_info info;
	struct folder_row folder;

	(void)state;
	w = fake_world_new();
	dir = scratch_make();
	e = (struct err)ERR_INIT;
	steps[0] = '\0';
	memset(&totals, 0, sizeof(totals));
	memset(work, 0, sizeof(work));
	assert_int_equal(db_open(scratch_path(dir, "job.db"), DB_RUN, "s", &db, &e), 0);
	assert_int_equal(db_begin(db, &e), 0);
	assert_int_equal(folders_get(db, "", "", &folder, &e), 0);
	assert_int_equal(db_commit(db, &e), 0);
	src = fake_source(w);
	dst = fake_target(w);
	real_src_ops = src->ops;
	real_dst_ops = dst->ops;
	src_spy = *real_src_ops;
	src_spy.remove = spy_remove;
	src_spy.commit = spy_commit;
	src->ops = &src_spy;
	dst_spy = *real_dst_ops;
	dst_spy.harden = spy_harden;
	dst_spy.publish = spy_publish;
	dst_spy.abandon = spy_abandon;
	dst->ops = &dst_spy;
	assert_int_equal(dst->ops->open_box(dst, "", BOX_WRITE, &info, &e), 0);
	assert_int_equal(claims_init(&claims, 0, &e), 0);
	x = (struct exec){ .src = src, .dst = dst, .db = db, .folder = folder.id, .folder_name = "", .job = "job",
			   .policy = { .mode = PLAN_FETCH, .keep = KEEP_NO, .now = NOW }, .totals = &totals, .claims = &claims };
	assert_int_equal(exec_init(&x, &e), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	exec_release(&x);
	claims_release(&claims);
	store_free(src);
	store_free(dst);
	db_close(db);
	fake_world_free(w);
	scratch_remove(dir);
	return 0;
}

/* Put n messages into the box, open it, and have them all to copy and remove. */
static void offer(unsigned n)
{
	struct box_info info;

	for (unsigned i = 0; i < n; i++)
		fake_add(w, i + 1, 30);
	assert_int_equal(src->ops->open_box(src, "", BOX_WRITE, &info, &e), 0);
	for (unsigned i = 0; i < n; i++) {
		snprintf(keys[i], sizeof(keys[i]), "uid-of-message-%08u", i);
		work[i] = (struct work){ .num = i + 1, .key = slice_str(keys[i]), .size = 50, .acts = PLAN_COPY | PLAN_REMOVE_LEFT };
	}
}

static void clean(void)
{
	if (w->misuse)
		fail_msg("%s", w->why);
	assert_int_equal(w->lost, 0);
	assert_false(db_in_transaction(db));
}

static int64_t pair_of(unsigned i, bool *pending)
{
	struct pair p;
	int rc = pairs_by_left(db, 1, slice_str(keys[i]), &p, &e);

	assert_true(rc >= 0);
	if (pending)
		*pending = rc == 1 && p.pending;
	return rc == 1 ? p.id : 0;
}

/* Hardened before the pairs are written, pending before anything is seen, settled before anything is removed. */
static void the_order_is_the_promise(void **state)
{
	uint64_t removed;
	bool pending;

	(void)state;
	offer(3);
	assert_int_equal(exec_copy(&x, work, 3, &e), 0);
	assert_string_equal(steps, "harden publish+ ");
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(work[i].pair, pair_of(i, &pending));
		assert_true(work[i].pair > 0);
		assert_true(pending);
		assert_int_equal(work[i].acts & PLAN_REMOVE_LEFT, PLAN_REMOVE_LEFT);
	}
	assert_int_equal(exec_remove(&x, work, 3, &e), 0);
	assert_string_equal(steps, "harden publish+ remove ");
	assert_int_equal(fake_present(w), 3);
	assert_int_equal(totals.deleted, 0);
	assert_int_equal(exec_commit(&x, false, 0, &removed, &e), 0);
	assert_string_equal(steps, "harden publish+ remove commit ");
	assert_int_equal(removed, 3);
	assert_int_equal(totals.deleted, 3);
	assert_int_equal(totals.pulled, 3);
	assert_int_equal(fake_present(w), 0);
	clean();
}

/* What the source was asked for, and said nothing of, is no success: the folder is to be looked at again. */
static void what_is_not_told_of_is_missed(void **state)
{
	(void)state;
	offer(3);
	src_spy.next = next_stops;
	next_calls = 1;
	assert_int_equal(exec_copy(&x, work, 3, &e), 0);
	assert_int_equal(totals.pulled, 1);
	assert_int_equal(x.missed, 2);
	assert_true(pair_of(0, NULL) > 0 && pair_of(1, NULL) == 0 && pair_of(2, NULL) == 0);
	clean();
}

static bool was_asked(unsigned i)
{
	struct pair p;

	assert_int_equal(pairs_by_left(db, 1, slice_str(keys[i]), &p, &e), 1);
	return p.asked;
}

/* From before a removal is asked for until the source has confirmed it, or refused it, the base says so. */
static void what_is_asked_for_is_noted(void **state)
{
	uint64_t removed;

	(void)state;
	offer(3);
	w->src[1].refuse_remove = 1;
	assert_int_equal(exec_copy(&x, work, 3, &e), 0);
	assert_false(was_asked(0));
	w->cut_steps_left = 2;
	assert_int_equal(exec_remove(&x, work, 3, &e), -1);
	assert_true(was_asked(0));
	assert_true(was_asked(2));
	err_clear(&e);
	w->cut_steps_left = 0;
	exec_forget_marks(&x);
	assert_int_equal(src->ops->open_box(src, "", BOX_WRITE, &(struct box_info){ 0 }, &e), 0);
	assert_int_equal(exec_remove(&x, work, 3, &e), 0);
	assert_true(was_asked(0));
	assert_false(was_asked(1));
	assert_true(was_asked(2));
	assert_int_equal(exec_commit(&x, false, 0, &removed, &e), 0);
	assert_int_equal(removed, 2);
	assert_false(was_asked(0));
	assert_false(was_asked(2));
	clean();
}

/* Pairs that are pending from an earlier group are settled with the next. */
static void groups_settle_each_other(void **state)
{
	bool pending;

	(void)state;
	w->fat = true; /* three make a group */
	offer(7);
	assert_int_equal(exec_copy(&x, work, 7, &e), 0);
	assert_string_equal(steps, "harden publish+ harden+ publish+ harden+ publish+ ");
	for (unsigned i = 0; i < 7; i++) {
		assert_true(pair_of(i, &pending) > 0);
		assert_int_equal(pending, i >= 6);
	}
	clean();
}

/* Without a pair nothing is removed, whatever the acts say. */
static void no_pair_no_removal(void **state)
{
	uint64_t removed;

	(void)state;
	offer(3);
	work[0].acts = PLAN_REMOVE_LEFT;
	work[1].acts = PLAN_NOTHING;
	work[1].pair = 77;
	work[2].acts = PLAN_SKIP;
	assert_int_equal(exec_copy(&x, work, 3, &e), 0);
	assert_int_equal(exec_remove(&x, work, 3, &e), 0);
	assert_int_equal(exec_commit(&x, false, 0, &removed, &e), 0);
	assert_int_equal(removed, 0);
	assert_int_equal(w->removes + w->commits, 0);
	assert_string_equal(steps, "");
	assert_int_equal(w->reads, 0);
	clean();
}

/* One that can't be had loses its acts, is noted, and the others go on. */
static void one_fails(void **state)
{
	struct failure f;
	uint64_t removed;

	(void)state;
	offer(3);
	w->src[1].refuse = 1;
	assert_int_equal(exec_copy(&x, work, 3, &e), 0);
	assert_int_equal(work[1].acts, PLAN_NOTHING);
	assert_int_equal(work[1].pair, 0);
	assert_int_equal(failures_get(db, 1, false, slice_str(keys[1]), &f, &e), 1);
	assert_int_equal(f.tries, 1);
	assert_int_equal(f.next, NOW + ENGINE_FAILURE_PAUSE);
	assert_int_equal(exec_remove(&x, work, 3, &e), 0);
	assert_int_equal(exec_commit(&x, false, 0, &removed, &e), 0);
	assert_int_equal(removed, 2);
	assert_int_equal(totals.failed, 1);
	assert_int_equal(fake_present(w), 1);
	assert_false(w->src[1].removed);
	clean();
}

static void cancel_at_error(void *arg, const struct event *ev)
{
	(void)arg;
	if (ev->type == EVENT_ERROR)
		clock_cancel_now(15);
}

/* Failures wait for company before they are noted, but are, whatever ends the copying. */
static void failures_are_noted(void **state)
{
	static const struct event_sink sink = { .put = cancel_at_error };
	struct failure f;

	for (int how = 0; how < 4; how++) {
		offer(6);
		w->src[0].refuse = w->src[3].refuse = 1;
		switch (how) {
		case 0:
			break;
		case 1:
			w->cut_after_steps = 6; /* want, four times next, and no more */
			fake_cut_start(w);
			break;
		case 2:
			w->fail_op = FAKE_OP_HARDEN;
			w->fail_at = 1;
			break;
		case 3:
			assert_int_equal(clock_cancel_init(&e), 0);
			x.sink = &sink;
			break;
		}
		assert_int_equal(exec_copy(&x, work, 6, &e), how == 0 ? 0 : -1);
		clock_cancel_clear();
		assert_int_equal(totals.failed, how == 3 ? 1 : 2);
		assert_int_equal(failures_get(db, 1, false, slice_str(keys[0]), &f, &e), 1);
		assert_int_equal(failures_get(db, 1, false, slice_str(keys[3]), &f, &e), how < 3);
		assert_int_equal(w->n_dst, how == 0 ? 4 : how == 1 ? 2 : 0);
		clean();
		teardown(state);
		setup(state);
	}
}

/* When the link breaks in the middle, what is complete is published: it need not be read again. */
static void the_link_breaks(void **state)
{
	(void)state;
	offer(4);
	w->cut_after_steps = 4; /* want, next, next, and no third */
	fake_cut_start(w);
	assert_int_equal(exec_copy(&x, work, 4, &e), -1);
	assert_int_equal(e.kind, ERR_TEMP);
	assert_int_equal(w->n_dst, 2);
	assert_int_equal(totals.pulled, 2);
	assert_string_equal(steps, "harden publish+ ");
	assert_true(pair_of(0, NULL) > 0 && pair_of(1, NULL) > 0);
	assert_int_equal(pair_of(2, NULL), 0);
	clean();
}

/*
 * What comes behind a message makes no sense: the message is not delivered, be it the last or not, and noted as one that can't be had. Nor are those of its group:
 * which answer belongs to which is not certain any more.
 */
static void garbage_comes_behind(void **state)
{
	struct failure f;

	(void)state;
	for (unsigned n = 2; n <= 3; n++) {
		fake_world_clear(w);
		claims_release(&claims); /* another session */
		assert_int_equal(claims_init(&claims, 100, &e), 0);
		offer(3);
		w->garbage_behind = n;
		assert_int_equal(exec_copy(&x, work, 3, &e), -1);
		assert_int_equal(e.kind, ERR_PROTO);
		assert_int_equal(w->n_dst, 0);
		assert_int_equal(pair_of(0, NULL), 0);
		assert_int_equal(failures_get(db, 1, false, slice_str(keys[n - 1]), &f, &e), 1);
		assert_int_equal(f.kind, ERR_PROTO);
		assert_int_equal(pair_of(n - 1, NULL), 0);
		assert_int_equal(work[n - 1].pair, 0);
		assert_int_equal(f.next, NOW);
		assert_int_equal(x.suspects, n); /* and of the first time, the one that was awaited */
		clean();
	}
}

/* A refusal between a message and the nonsense proves nothing: it may be a line of the message's rest. */
static void garbage_behind_a_refusal(void **state)
{
	struct failure f;

	(void)state;
	offer(4);
	w->src[1].refuse = 1;
	w->garbage_behind = 2;
	assert_int_equal(exec_copy(&x, work, 4, &e), -1);
	assert_int_equal(e.kind, ERR_PROTO);
	assert_int_equal(w->n_dst, 0);
	assert_int_equal(failures_get(db, 1, false, slice_str(keys[0]), &f, &e), 1);
	assert_int_equal(f.kind, ERR_PROTO);
	assert_int_equal(work[0].pair, 0);
	assert_int_equal(x.suspects, 2);
	clean();
}

/* The message at which the link broke is noted: twice only so, then with a pause that grows where others came. */
static void a_break_has_a_suspect(void **state)
{
	struct failure f;

	(void)state;
	for (unsigned tries = 0; tries < 5; tries++)
		for (unsigned others = 0; others < 2; others++) {
			fake_world_clear(w);
			totals = (struct event_totals){ .pulled = others };
			claims_release(&claims);
			assert_int_equal(claims_init(&claims, 100, &e), 0);
			vec_clear(&x.left_out);
			offer(3);
			work[0].tries = tries;
			w->cut_steps_left = 2;
			assert_int_equal(exec_copy(&x, work, 3, &e), -1);
			assert_int_equal(e.kind, ERR_TEMP);
			assert_int_equal(failures_get(db, 1, false, slice_str(keys[0]), &f, &e), 1);
			assert_int_equal(f.kind, ERR_TEMP);
			assert_int_equal(f.tries, tries < 2 || others ? tries + 1 : 3);
			assert_int_equal(f.next, tries < 2 ? NOW : NOW + (others ? 1 << (tries - 2) : 1) * ENGINE_FAILURE_PAUSE);
			assert_int_equal(exec_leaves_out(&x, slice_str(keys[0])), tries > 0);
			assert_int_equal(totals.failed, tries > 0);
			assert_int_equal(failures_get(db, 1, false, slice_str(keys[1]), &f, &e), 0);
			clean();
		}
}

static void cancel_at_progress(void *arg, const struct event *ev)
{
	(void)arg;
	if (ev->type == EVENT_PROGRESS)
		clock_cancel_now(15);
}

/* A signal is obeyed at once: what is staged is not made durable first, and of the last message nobody knows yet whether it is whole. */
static void cancelled(void **state)
{
	static const struct event_sink sink = { .put = cancel_at_progress };

	(void)state;
	assert_int_equal(clock_cancel_init(&e), 0);
	for (int staged = 0; staged < 2; staged++) {
		steps[0] = '\0';
		offer(2);
		if (staged)
			x.sink = &sink;
		else
			clock_cancel_now(15);
		assert_int_equal(exec_copy(&x, work, 2, &e), -1);
		clock_cancel_clear();
		assert_int_equal(e.kind, ERR_CANCEL);
		assert_int_equal(w->n_dst, 0);
		assert_int_equal(x.n, 0);
		assert_string_equal(steps, staged ? "abandon abandon " : "abandon ");
		assert_int_equal(pair_of(0, NULL), 0);
		clean();
		fake_world_clear(w);
	}
	x.sink = NULL;
}

/* Nothing is in the base when harden fails; when publish fails the base says what is to be looked for. */
static void the_target_fails(void **state)
{
	bool pending;

	(void)state;
	offer(3);
	w->fail_op = FAKE_OP_HARDEN;
	w->fail_at = 1;
	assert_int_equal(exec_copy(&x, work, 3, &e), -1);
	assert_string_equal(steps, "harden abandon ");
	assert_int_equal(pair_of(0, NULL), 0);
	assert_int_equal(work[0].pair, 0);
	steps[0] = '\0';
	fake_calm(w);
	w->fail_op = FAKE_OP_PUBLISH;
	w->fail_at = 1;
	w->publish_first = 2;
	assert_int_equal(exec_copy(&x, work, 3, &e), -1);
	assert_string_equal(steps, "harden publish+ abandon+ ");
	assert_int_equal(work[0].pair, 0); /* nothing that may be removed */
	assert_int_equal(totals.pulled, 0);
	assert_int_equal(w->n_dst, 2);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(pair_of(i, &pending) > 0);
		assert_true(pending);
	}
	/* two are found, one is not */
	fake_calm(w);
	assert_int_equal(exec_recover(&x, &e), 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(pair_of(i, &pending) > 0, i < 2);
		assert_false(pending);
	}
	clean();
}

/* A session that broke settles what it published, and nothing else: of a group whose publish failed nobody knows. */
static void broken_and_settled(void **state)
{
	bool pending;

	(void)state;
	w->fat = true; /* three make a group */
	offer(7);
	w->fail_op = FAKE_OP_PUBLISH;
	w->fail_at = 2;
	assert_int_equal(exec_copy(&x, work, 7, &e), -1);
	assert_int_equal(totals.pulled, 3);
	exec_settle(&x);
	for (unsigned i = 0; i < 6; i++) {
		assert_true(pair_of(i, &pending) > 0);
		assert_int_equal(pending, i >= 3);
	}
	fake_calm(w);
	assert_int_equal(exec_recover(&x, &e), 0);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(pair_of(i, NULL) > 0, i < 3);
	clean();
}

/* Put a pair into the base, for content that message i will have. */
static int64_t known(const char *left, unsigned content, int64_t gone)
{
	struct pair p = { .folder = 1, .left = slice_str(left), .right = SLICE_LIT("r"), .made = 5, .gone = gone };
	struct digest *d = digest_new(&e);
	char body[200];
	int n;

	n = snprintf(body, sizeof(body), "Subject: %u\n\n", content);
	for (unsigned i = 0; i < 30; i++)
		body[n++] = (char)('a' + (content + i) % 26);
	assert_int_equal(digest_put(d, body, (size_t)n), 0);
	assert_int_equal(digest_end(d, p.digest), 0);
	digest_free(d);
	assert_int_equal(db_begin(db, &e), 0);
	assert_int_equal(pairs_add(db, &p, &e), 0);
	assert_int_equal(db_commit(db, &e), 0);
	claims_release(&claims);
	assert_int_equal(claims_init(&claims, p.id, &e), 0);
	x.earlier = p.id;
	return p.id;
}

/* Content that was delivered before is not delivered again, and its pair learns the name. */
static void known_by_content(void **state)
{
	struct pair p;
	int64_t id;

	(void)state;
	id = known("an older name of it", 2, 0);
	offer(3);
	assert_int_equal(exec_copy(&x, work, 3, &e), 0);
	assert_int_equal(work[1].pair, id);
	assert_int_equal(work[1].acts, PLAN_REMOVE_LEFT);
	assert_true(claims_has(&claims, id));
	assert_int_equal(w->n_dst, 2);
	assert_int_equal(totals.pulled, 2);
	assert_int_equal(pair_of(1, NULL), id);
	assert_int_equal(pairs_by_left(db, 1, SLICE_LIT("an older name of it"), &p, &e), 0);
	clean();
}

/* One pair stands for one message: of two twins one is new. */
static void twins(void **state)
{
	int64_t id;

	(void)state;
	id = known("", 1, 0);
	offer(3);
	w->src[1].content = 1;
	assert_int_equal(exec_copy(&x, work, 3, &e), 0);
	assert_int_equal(work[0].pair, id);
	assert_true(work[1].pair > id);
	assert_int_equal(w->n_dst, 2);
	assert_int_equal(fake_copies(w, 1), 1);
	clean();
}

/* Pairs that are claimed by another message, or whose message is gone, don't count where messages have names. */
static void claimed_and_gone(void **state)
{
	int64_t a, b;

	(void)state;
	a = known("claimed by its name", 1, 0);
	b = known("gone since then", 2, 99);
	claims_set(&claims, a);
	offer(2);
	assert_int_equal(exec_copy(&x, work, 2, &e), 0);
	assert_int_equal(w->n_dst, 2);
	assert_true(work[0].pair > b && work[1].pair > b);
	clean();
}

/* Without a name, a message that is as one that is gone was given back: once for each pair, after those that are not gone, and not for those of this run. */
static void gone_and_nameless(void **state)
{
	int64_t gone[2], here;
	struct pair p;

	(void)state;
	gone[0] = known("", 1, 99);
	gone[1] = known("it had a name", 1, 100);
	here = known("", 1, 0);
	offer(5);
	for (unsigned i = 0; i < 5; i++) {
		w->src[i].content = 1;
		work[i].key = SLICE_LIT("");
	}
	for (unsigned i = 0; i < 3; i++)
		w->dst[w->n_dst++] = (struct fake_copy){ .content = 1, .durable = true };
	assert_int_equal(exec_copy(&x, work, 5, &e), 0);
	assert_int_equal(work[0].pair, here);
	assert_int_equal(work[1].pair, gone[0]);
	assert_int_equal(work[2].pair, gone[1]);
	assert_true(!work[0].again && work[1].again && work[2].again);
	assert_int_equal(work[2].acts, PLAN_REMOVE_LEFT);
	assert_int_equal(totals.pulled, 2); /* a fourth and a fifth are new */
	assert_int_equal(x.given_back, 2);
	assert_int_equal(pairs_by_left(db, 1, SLICE_LIT("it had a name"), &p, &e), 0);
	clean();
	/* one of this run */
	teardown(state);
	setup(state);
	known("", 1, 99);
	x.earlier = 0;
	offer(1);
	work[0].key = SLICE_LIT("");
	assert_int_equal(exec_copy(&x, work, 1, &e), 0);
	assert_int_equal(totals.pulled, 1);
	clean();
}

/* The key is that of a pair with other content: the pair loses it, but what it knows stays. */
static void key_of_another(void **state)
{
	struct pair p;
	int64_t id;

	(void)state;
	id = known("uid-of-message-00000000", 50, 0);
	offer(2);
	w->src[1].content = 50;
	work[0].known = id;
	assert_int_equal(exec_copy(&x, work, 2, &e), 0);
	assert_int_equal(w->n_dst, 1);
	assert_int_equal(fake_copies(w, 1), 1);
	assert_true(work[0].pair > id);
	assert_int_equal(pair_of(0, NULL), work[0].pair);
	/* and the other message was known by it */
	assert_int_equal(work[1].pair, id);
	assert_int_equal(pairs_by_left(db, 1, slice_str(keys[1]), &p, &e), 1);
	assert_int_equal(p.id, id);
	clean();
}

/* What a source gives back is removed again, but that is no progress. */
static void given_back(void **state)
{
	int64_t id;
	uint64_t removed;
	struct pair p;

	(void)state;
	id = known("uid-of-message-00000000", 1, 99);
	offer(1);
	work[0].known = id;
	w->dst[w->n_dst++] = (struct fake_copy){ .content = 1, .durable = true };
	assert_int_equal(exec_copy(&x, work, 1, &e), 0);
	assert_int_equal(w->n_dst, 1);
	assert_int_equal(work[0].pair, id);
	assert_int_equal(exec_remove(&x, work, 1, &e), 0);
	assert_int_equal(x.removed.n, 1);
	assert_int_equal(x.fresh, 0);
	assert_int_equal(exec_commit(&x, false, 0, &removed, &e), 0);
	assert_int_equal(pairs_by_left(db, 1, slice_str(keys[0]), &p, &e), 1);
	assert_int_equal(p.gone, NOW);
	clean();
}

static void commit_fails(void **state)
{
	uint64_t removed = 9;
	struct pair p;

	(void)state;
	offer(2);
	assert_int_equal(exec_copy(&x, work, 2, &e), 0);
	assert_int_equal(exec_remove(&x, work, 2, &e), 0);
	w->commit = FAKE_COMMIT_LOST_AFTER;
	assert_int_equal(exec_commit(&x, false, 0, &removed, &e), -1);
	assert_int_equal(removed, 0);
	assert_int_equal(totals.deleted, 0);
	/* nothing is called gone that nobody knows to be */
	assert_int_equal(pairs_by_left(db, 1, slice_str(keys[0]), &p, &e), 1);
	assert_int_equal(p.gone, 0);
	assert_false(p.pending);
	/* in the next session nothing is marked */
	exec_forget_marks(&x);
	assert_int_equal(exec_commit(&x, false, 0, &removed, &e), 0);
	assert_int_equal(w->commits, 1);
	clean();
}

/* A box that wants to hear of a good end hears of it; else a session without removals ends silently. */
static void finish(void **state)
{
	uint64_t removed;

	(void)state;
	offer(1);
	assert_int_equal(exec_commit(&x, false, 0, &removed, &e), 0);
	assert_int_equal(w->commits, 0);
	assert_int_equal(exec_commit(&x, true, 0, &removed, &e), 0);
	assert_int_equal(w->commits, 1);
	assert_int_equal(removed, 0);
	clean();
}

/* Tombstones older than asked go with the removals, but those that are renewed stay. */
static void purged(void **state)
{
	uint64_t removed;
	struct pair p;
	int64_t id;

	(void)state;
	known("long gone", 60, 100);
	known("gone a little", 61, 5000);
	id = known("uid-of-message-00000000", 1, 100);
	offer(1);
	work[0].acts = PLAN_REMOVE_LEFT;
	work[0].pair = id;
	w->dst[w->n_dst++] = (struct fake_copy){ .content = 1, .durable = true }; /* delivered back then */
	assert_int_equal(exec_remove(&x, work, 1, &e), 0);
	assert_int_equal(exec_commit(&x, false, 1000, &removed, &e), 0);
	assert_int_equal(pairs_by_left(db, 1, SLICE_LIT("long gone"), &p, &e), 0);
	assert_int_equal(pairs_by_left(db, 1, SLICE_LIT("gone a little"), &p, &e), 1);
	assert_int_equal(pair_of(0, NULL), id);
	clean();
}

static void claims_of_a_session(void **state)
{
	struct claims c;

	(void)state;
	assert_int_equal(claims_init(&c, 16, &e), 0);
	for (int64_t i = 0; i <= 16; i++) {
		assert_false(claims_has(&c, i));
		claims_set(&c, i);
		assert_true(claims_has(&c, i));
	}
	assert_true(claims_has(&c, 17)); /* of this session */
	claims_set(&c, 17);
	claims_release(&c);
	claims_release(&c);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(the_order_is_the_promise), T(what_is_asked_for_is_noted), T(groups_settle_each_other), T(no_pair_no_removal), T(one_fails),
		T(what_is_not_told_of_is_missed),
		T(failures_are_noted),
		T(the_link_breaks), T(garbage_comes_behind), T(garbage_behind_a_refusal), T(a_break_has_a_suspect), T(cancelled),
		T(the_target_fails),
		T(broken_and_settled), T(known_by_content), T(twins), T(claimed_and_gone), T(gone_and_nameless), T(key_of_another), T(given_back),
		T(commit_fails), T(finish),
		T(purged), T(claims_of_a_session),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
