/*
 * A fetch as a whole, against rigged stores. What is held to: design.md's promises 1 and 2. Each run is a process of its own, so that it can die anywhere; the
 * mailbox and the target live on in shared memory, the base in its file.
 */
#include "rig.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../lib/fakestore.h"
#include "base/fs.h"
#include "state/pairs.h"
#include "state/runs.h"
#include "sync/engine.h"
#include "sync/exec.h"

#define NOW 1700000000
#define DAY 86400

/* One mailbox, one target, one base. */
struct fixture {
	struct fake_world *w;
	char *dir;
	char db[4096];
	struct engine_params p;
	/* What the last run in this process said. */
	struct said {
		int rc;
		struct err e;
		struct event_totals t;
		unsigned pull, del, skip, forget, errors, warnings;
		uint64_t pairs;
	} *said;
};

static int setup(void **state)
{
	static struct fixture f;

	f = (struct fixture){ .w = fake_world_new(), .dir = scratch_make() };
	snprintf(f.db, sizeof(f.db), "%s/job.db", f.dir);
	f.said = (struct said *)test_malloc(sizeof(*f.said));
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	test_free(f->said);
	fake_world_free(f->w);
	scratch_remove(f->dir);
	return 0;
}

/* Begin anew: an empty world, no base. */
static void fresh(struct fixture *f)
{
	lose_base(f->db);
	fake_world_clear(f->w);
	where[0] = '\0';
	f->p = (struct engine_params){ .job = "job", .folder = "", .policy = { .mode = PLAN_FETCH, .keep = KEEP_NO, .now = NOW } };
}

static void listen_to(void *arg, const struct event *ev)
{
	struct said *said = arg;

	switch (ev->type) {
	case EVENT_MESSAGE:
		said->pull += ev->action == ACTION_PULL;
		said->del += ev->action == ACTION_DELETE;
		said->skip += ev->action == ACTION_SKIP;
		said->forget += ev->action == ACTION_FORGET;
		break;
	case EVENT_ERROR:
		said->errors++;
		break;
	case EVENT_WARNING:
		said->warnings++;
		break;
	default:
		break;
	}
}

/* Run in this process. */
static int run_here(struct fixture *f)
{
	struct said *s = f->said;
	struct event_sink sink = { listen_to, s };
	struct store *src = fake_source(f->w), *dst = fake_target(f->w);
	struct folder_row folder;
	struct db *db = NULL;

	memset(s, 0, sizeof(*s));
	fake_cut_start(f->w);
	s->rc = db_open(f->db, f->p.dry_run ? DB_LOOK : DB_RUN, "fake:job", &db, &s->e);
	if (s->rc == 0)
		s->rc = engine_fetch(&f->p, src, dst, db, &sink, &s->t, &s->e);
	if (db && folders_get(db, "", "", &folder, &s->e) == 0)
		pairs_present_count(db, folder.id, &s->pairs, &s->e);
	store_free(src);
	store_free(dst);
	db_close(db);
	return s->rc;
}

/* Run in a child that may die; its exit status. */
static int run_apart(struct fixture *f)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(run_here(f) < 0 ? 1 : 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Nothing on the way was against the promises or the contract. */
static void check_books(const struct fixture *f)
{
	if (f->w->misuse)
		fail_msg("%s: contract broken: %s", where, f->w->why);
	if (f->w->lost)
		fail_msg("%s: %u removed without a copy", where, f->w->lost);
}

/* Each message that was offered is at the target once. When the policy says so, none is left at the source. */
static void check_delivered(const struct fixture *f, bool emptied)
{
	const struct fake_world *w = f->w;

	check_books(f);
	for (size_t i = 0; i < w->n_src; i++) {
		size_t sure = 0, maybe = 0, have = fake_copies(w, w->src[i].content);

		for (size_t k = 0; k < w->n_src; k++)
			if (w->src[k].content == w->src[i].content) {
				sure += !w->src[k].taken;
				maybe += w->src[k].taken;
			}
		if (have < sure)
			fail_msg("%s: content %u: %zu of %zu were delivered", where, w->src[i].content, have, sure);
		if (have > sure + maybe)
			fail_msg("%s: content %u: %zu copies of %zu messages", where, w->src[i].content, have, sure + maybe);
	}
	if (emptied)
		assert_int_equal(fake_present(w), 0);
}

/* An undisturbed run, to the end. */
static void run_clean(struct fixture *f)
{
	fake_calm(f->w);
	f->p.stop_at = 0;
	if (run_here(f) < 0)
		fail_msg("%s: an undisturbed run failed: %s", where, f->said->e.text);
}

static void fill(struct fixture *f, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		fake_add(f->w, i + 1, 50 + 13 * i);
}

static void fetch_and_remove(void **state)
{
	struct fixture *f = *state;

	fresh(f);
	fill(f, 7);
	run_clean(f);
	check_delivered(f, true);
	assert_int_equal(f->said->t.pulled, 7);
	assert_int_equal(f->said->t.deleted, 7);
	assert_int_equal(f->said->pull, 7);
	assert_int_equal(f->said->del, 7);
	assert_int_equal(f->said->pairs, 0);
	/* more come */
	fill(f, 3);
	run_clean(f);
	check_delivered(f, true);
	assert_int_equal(f->said->t.pulled, 3);
}

static void fetch_and_keep(void **state)
{
	struct fixture *f = *state;

	for (unsigned keys = 0; keys < FAKE_KEYS; keys++) {
		if (keys == FAKE_NUMBER)
			continue;
		fresh(f);
		f->w->keys = keys;
		f->p.policy.keep = KEEP_YES;
		fill(f, 5);
		fake_add(f->w, 3, 76);
		f->w->src[2].size = 76; /* an identical twin */
		run_clean(f);
		check_delivered(f, false);
		assert_int_equal(f->said->t.pulled, 6);
		assert_int_equal(f->said->pairs, 6);
		for (int again = 0; again < 2; again++) {
			run_clean(f);
			assert_int_equal(f->said->t.pulled, 0);
			assert_int_equal(f->said->pairs, 6);
			check_delivered(f, false);
		}
		/* one more, another twin of it, and one that somebody else takes */
		f->w->src[1].taken = true;
		fake_add(f->w, 3, 76);
		run_clean(f);
		assert_int_equal(f->said->t.pulled, 1);
		assert_int_equal(f->said->pairs, 6);
		check_delivered(f, false);
		assert_int_equal(fake_copies(f->w, 3), 3);
		assert_int_equal(fake_present(f->w), 6);
	}
}

/* A run in which nothing is new asks for no listing, opens no target, and leaves the base as it is to the byte. */
static void nothing_new_costs_nothing(void **state)
{
	static const enum plan_keep keeps[] = { KEEP_NO, KEEP_YES, KEEP_AGE };
	struct fixture *f = *state;
	char wal[5000];

	snprintf(wal, sizeof(wal), "%s-wal", f->db);
	for (size_t k = 0; k < COUNT(keeps); k++) {
		struct strbuf before = STRBUF_INIT(1 << 24), after = STRBUF_INIT(1 << 24);
		struct err e = ERR_INIT;
		struct stat a, b;

		fresh(f);
		f->p.policy.keep = keeps[k];
		f->p.policy.keep_seconds = 30 * DAY;
		fill(f, 4);
		run_clean(f);
		run_clean(f); /* with KEEP_NO the stamp of the empty box is learnt here */
		assert_int_equal(fs_read_file(f->db, &before, &e), 0);
		assert_int_equal(stat(f->db, &a), 0);
		f->w->lists = f->w->dst_opens = f->w->reads = f->w->commits = 0;
		run_clean(f);
		assert_int_equal(f->w->lists, 0);
		assert_int_equal(f->w->dst_opens, 0);
		assert_int_equal(f->w->reads, 0);
		assert_int_equal(f->w->commits, 0);
		assert_int_equal(fs_read_file(f->db, &after, &e), 0);
		assert_int_equal(stat(f->db, &b), 0);
		assert_int_equal(before.len, after.len);
		assert_memory_equal(before.s, after.s, before.len);
		assert_int_equal(a.st_mtim.tv_nsec, b.st_mtim.tv_nsec);
		assert_int_equal(access(wal, F_OK), -1);
		strbuf_release(&before);
		strbuf_release(&after);
		/* another policy is another matter */
		f->p.policy.keep = keeps[k] == KEEP_NO ? KEEP_YES : KEEP_NO;
		run_clean(f);
		assert_true(f->w->lists > 0);
		check_delivered(f, f->p.policy.keep == KEEP_NO);
	}
}

static void keep_by_age(void **state)
{
	struct fixture *f = *state;

	for (unsigned keys = 0; keys < FAKE_KEYS; keys++) {
		fresh(f);
		f->w->keys = keys;
		f->p.policy.keep = KEEP_AGE;
		f->p.policy.keep_seconds = 30 * DAY;
		fill(f, 3);
		run_clean(f);
		assert_int_equal(f->said->t.deleted, 0);
		f->p.policy.now = NOW + 10 * DAY;
		fake_add(f->w, 99, 10);
		run_clean(f);
		assert_int_equal(f->said->t.pulled, 1);
		f->p.policy.now = NOW + 30 * DAY - 1;
		run_clean(f);
		assert_int_equal(fake_present(f->w), 4);
		f->p.policy.now = NOW + 30 * DAY;
		run_clean(f);
		assert_int_equal(f->said->t.deleted, 3);
		assert_int_equal(fake_present(f->w), 1);
		f->p.policy.now = NOW + 40 * DAY;
		run_clean(f);
		assert_int_equal(f->said->t.deleted, 1);
		check_delivered(f, true);
	}
}

/* One message, which was refused once; now it may be asked for again. */
static void one_waits(struct fixture *f)
{
	fresh(f);
	f->p.policy.keep = KEEP_AGE;
	f->p.policy.keep_seconds = 30 * DAY;
	fill(f, 1);
	f->w->src[0].refuse = 1;
	assert_int_equal(run_here(f), 0);
	assert_int_equal(f->said->t.failed, 1);
	run_clean(f);
	f->p.policy.now = NOW + ENGINE_FAILURE_PAUSE;
	fake_calm(f->w);
}

static void comes_of_age(struct fixture *f)
{
	f->p.policy.now = NOW + DAY;
	run_clean(f);
	check_delivered(f, false);
	f->p.policy.now = NOW + 32 * DAY;
	run_clean(f);
	check_delivered(f, true);
}

/* A message that was refused, and comes in a run that dies while the listing stays as it was: it comes of age all the same. */
static void keep_by_age_of_one_that_was_late(void **state)
{
	struct fixture *f = *state;
	int status = FAKE_CRASH;

	for (unsigned n = 1; status == FAKE_CRASH; n++) {
		one_waits(f);
		f->w->crash_at = n;
		status = run_apart(f);
		comes_of_age(f);
	}
	assert_int_equal(status, 0);
	/* and the same where the run does not die, but its link breaks behind it */
	for (unsigned cut = 1; cut < 12; cut++) {
		one_waits(f);
		f->w->cut_after_steps = cut;
		run_here(f);
		comes_of_age(f);
	}
}

static void max_size(void **state)
{
	struct fixture *f = *state;

	fresh(f);
	f->p.policy.max_size = 500;
	fake_add(f->w, 1, 10);
	fake_add(f->w, 2, 1000);
	fake_add(f->w, 3, 10);
	run_clean(f);
	assert_int_equal(f->said->t.pulled, 2);
	assert_int_equal(f->said->t.skipped, 1);
	assert_int_equal(f->said->skip, 1);
	assert_int_equal(fake_present(f->w), 1);
	/* named again in each run, even when nothing is listed */
	for (int i = 0; i < 3; i++) {
		run_clean(f);
		assert_int_equal(f->said->t.skipped, 1);
		assert_int_equal(f->said->skip, 1);
		assert_int_equal(f->said->t.failed, 0);
	}
	f->w->lists = 0;
	run_clean(f);
	assert_int_equal(f->w->lists, 0);
	f->p.policy.max_size = 5000;
	run_clean(f);
	assert_int_equal(f->said->t.skipped, 0);
	check_delivered(f, true);
	/* nobody speaks of it any more */
	f->p.policy.max_size = 500;
	run_clean(f);
	run_clean(f);
	assert_int_equal(f->said->skip, 0);
}

/* How many failures `status` would show, with none left out by size; next: as failures_count, or NULL. */
static uint64_t failed_in_base(struct fixture *f, int64_t *next)
{
	uint64_t failed = 0, skipped;
	struct db *db = NULL;
	int64_t when;

	assert_int_equal(db_open(f->db, DB_LOOK, NULL, &db, &f->said->e), 0);
	assert_int_equal(failures_count(db, &failed, &skipped, next ? next : &when, &f->said->e), 0);
	assert_int_equal(skipped, 0);
	db_close(db);
	return failed;
}

/* A message that is refused does not stop the rest; it is tried again after a pause that grows. */
static void failures_wait(void **state)
{
	struct fixture *f = *state;
	int64_t pause = ENGINE_FAILURE_PAUSE;

	fresh(f);
	fill(f, 3);
	f->w->src[1].refuse = 12;
	for (int tries = 0; tries < 12; tries++) {
		run_clean(f);
		assert_int_equal(f->said->t.failed, 1);
		assert_int_equal(f->said->errors, 1);
		assert_int_equal(f->said->t.pulled, tries == 0 ? 2 : 0);
		f->p.policy.now += pause - 1;
		f->w->reads = 0;
		run_clean(f);
		assert_int_equal(f->said->t.failed, 0);
		assert_int_equal(f->w->src[1].refuse, 11 - tries);
		f->p.policy.now += 1;
		pause = pause < 7 * DAY ? 2 * pause : pause;
		pause = pause < 7 * DAY ? pause : 7 * DAY;
	}
	run_clean(f);
	assert_int_equal(f->said->t.pulled, 1);
	check_delivered(f, true);
	/* a target that won't have one message */
	fake_add(f->w, 77, 10);
	fake_add(f->w, 78, 10);
	f->w->reject = 77;
	run_clean(f);
	assert_int_equal(f->said->t.failed, 1);
	assert_int_equal(f->said->t.pulled, 1);
	assert_int_equal(fake_present(f->w), 1);
	f->w->reject = 0;
	f->p.policy.now += 2 * ENGINE_FAILURE_PAUSE;
	f->p.policy.keep = KEEP_YES;
	run_clean(f);
	assert_int_equal(f->said->t.pulled, 1);
	assert_int_equal(failed_in_base(f, NULL), 0); /* it came: though it is there still, nobody needs to be told */
	f->p.policy.keep = KEEP_NO;
	run_clean(f);
	check_delivered(f, true);
	/* a source that won't remove one */
	fake_add(f->w, 80, 10);
	f->w->src[f->w->n_src - 1].refuse_remove = 1;
	run_clean(f);
	assert_int_equal(f->said->t.pulled, 1);
	assert_int_equal(f->said->t.failed, 1);
	run_clean(f);
	assert_int_equal(f->said->t.pulled, 0);
	assert_int_equal(f->said->t.deleted, 1);
	check_delivered(f, true);
}

/* A server that refuses much doesn't make the disk work for each message; nor does one whose messages are met again. */
static void notes_share_commits(void **state)
{
	struct fixture *f = *state;
	int64_t next;

	fresh(f);
	for (unsigned i = 0; i < 1000; i++) {
		fake_add(f->w, i + 1, 10);
		f->w->src[i].refuse = i % 10 > 0;
	}
	run_clean(f);
	syncs = 0;
	for (unsigned i = 0; i < 1000; i++)
		f->w->src[i].refuse = 1;
	f->p.policy.now += 2 * ENGINE_FAILURE_PAUSE;
	run_clean(f);
	assert_int_equal(f->said->t.failed, 900);
	assert_int_equal(f->said->errors, 900);
	assert_true(syncs < 20);
	assert_int_equal(failed_in_base(f, &next), 900);
	assert_int_equal(next, f->p.policy.now + 2 * ENGINE_FAILURE_PAUSE);
	f->p.policy.now = next;
	run_clean(f);
	check_delivered(f, true);
	/* others' names for the same mail */
	fresh(f);
	f->w->keys = FAKE_CHANGING;
	f->p.policy.keep = KEEP_YES;
	for (unsigned i = 0; i < 1000; i++)
		fake_add(f->w, i + 1, 10);
	run_clean(f);
	syncs = 0;
	run_clean(f);
	assert_int_equal(f->said->t.pulled, 0);
	assert_true(syncs < 20);
	check_delivered(f, false);
}

/* Somebody else takes a message that had failed: its failure is forgotten. */
static void stale_failures_go(void **state)
{
	struct fixture *f = *state;

	fresh(f);
	fill(f, 2);
	f->w->src[1].refuse = 1;
	run_clean(f);
	f->w->src[1].taken = true;
	run_clean(f);
	assert_int_equal(failed_in_base(f, NULL), 0);
}

static void purge_after(void **state)
{
	struct fixture *f = *state;

	for (unsigned keys = 0; keys < FAKE_KEYS; keys++)
		for (unsigned keep = 0; keep < 3; keep++)
			for (unsigned n = 1; n < 5; n++) {
				fresh(f);
				f->w->keys = keys;
				f->p.policy.keep = keep;
				f->p.policy.keep_seconds = DAY;
				f->p.purge_after = n;
				fill(f, 8);
				run_clean(f);
				assert_int_equal(f->said->t.pulled, 8);
				check_delivered(f, keep == KEEP_NO);
				if (keep == KEEP_NO)
					assert_int_equal(f->w->commits, (8 + n - 1) / n);
				if (keep == KEEP_AGE) {
					f->p.policy.now += DAY;
					run_clean(f);
					check_delivered(f, true);
					assert_int_equal(f->w->commits, (8 + n - 1) / n);
				}
			}
}

/* With purge_after a run must come to its end whatever fails, and get past it. */
static void purge_after_with_failures(void **state)
{
	struct fixture *f = *state;

	for (unsigned keys = 0; keys < FAKE_KEYS; keys++)
		for (unsigned n = 1; n < 4; n++) {
			fresh(f);
			f->w->keys = keys;
			f->p.purge_after = n;
			fill(f, 6);
			f->w->src[0].refuse = 1000;
			f->w->src[1].refuse_remove = 1000;
			run_clean(f);
			assert_int_equal(f->said->t.pulled, 5);
			assert_true(f->said->t.failed > 0);
			assert_int_equal(fake_present(f->w), 2);
			check_books(f);
			f->w->src[0].refuse = f->w->src[1].refuse_remove = 0;
			f->p.policy.now += 30 * DAY;
			run_clean(f);
			check_delivered(f, true);
		}
}

/* Batches, as Gmail gives them: sessions follow each other until nothing is left, whether messages are removed or only read. */
static void partial_batches(void **state)
{
	struct fixture *f = *state;

	for (unsigned keep = 0; keep < 2; keep++)
		for (size_t batch = 1; batch < 5; batch++) {
			fresh(f);
			f->w->batch = batch;
			f->p.policy.keep = keep;
			fill(f, 7);
			run_clean(f);
			assert_int_equal(f->said->t.pulled, 7);
			check_delivered(f, keep == KEEP_NO);
			run_clean(f);
			assert_int_equal(f->said->t.pulled, 0);
			fake_add(f->w, 50, 10);
			fake_add(f->w, 51, 10);
			run_clean(f);
			check_delivered(f, keep == KEEP_NO);
		}
}

/* The server says yes to QUIT, and removes nothing: each run ends, and nothing is delivered twice as long as messages have names. */
static void removals_ignored(void **state)
{
	static const enum fake_keys told[] = { FAKE_LONG, FAKE_SHORT, FAKE_NUMBER, FAKE_NONE, FAKE_DOUBLE };
	struct fixture *f = *state;

	for (size_t k = 0; k < COUNT(told); k++)
		for (unsigned n = 0; n < 4; n++)
			for (size_t batch = 0; batch < 4; batch += 3) {
				if (batch > 0 && told[k] != FAKE_LONG && told[k] != FAKE_SHORT)
					continue;
				fresh(f);
				f->w->keys = told[k];
				f->w->batch = batch;
				f->w->commit = FAKE_COMMIT_IGNORED;
				f->p.purge_after = n;
				snprintf(where, sizeof(where), "keys %d, purge %u, batch %zu", (int)told[k], n, batch);
				fill(f, 6);
				for (int i = 0; i < 7; i++) {
					run_clean(f);
					if (n == 0 && batch == 0)
						assert_int_equal(f->said->warnings, i > 0);
				}
				check_delivered(f, false);
				assert_int_equal(fake_present(f->w), 6);
				f->w->commit = FAKE_COMMIT_OK;
				f->w->batch = 0;
				run_clean(f);
				check_delivered(f, true);
			}
	/* Under another name in each session what comes back is new: it may be delivered again, but a run ends. */
	for (unsigned n = 0; n < 4; n++) {
		fresh(f);
		f->w->keys = FAKE_CHANGING;
		f->w->commit = FAKE_COMMIT_IGNORED;
		f->p.purge_after = n;
		fill(f, 6);
		run_clean(f);
		check_books(f);
		assert_true(f->said->t.pulled <= 6);
	}
}

/* Without names, what is given back is known by its content, message for message, for as long as it is given back. */
static void given_back_without_names(void **state)
{
	struct fixture *f = *state;

	fresh(f);
	f->w->keys = FAKE_NONE;
	f->w->commit = FAKE_COMMIT_IGNORED;
	fill(f, 5);
	fake_add(f->w, 3, 76);
	f->w->src[2].size = 76; /* a twin */
	run_clean(f);
	assert_int_equal(f->said->t.pulled, 6);
	assert_int_equal(f->said->warnings, 0);
	for (int i = 0; i < 4; i++) {
		f->p.policy.now += 20 * DAY;
		run_clean(f);
		assert_int_equal(f->said->t.pulled, 0);
		assert_int_equal(f->said->t.deleted, 6);
		assert_int_equal(f->said->warnings, 1);
		check_delivered(f, false);
	}
	/* a third of the twins, and new mail: neither was there before */
	fake_add(f->w, 3, 76);
	fake_add(f->w, 9, 20);
	run_clean(f);
	assert_int_equal(f->said->t.pulled, 2);
	check_delivered(f, false);
	assert_int_equal(fake_copies(f->w, 3), 3);
	/* it removes them at last; what comes much later is new, whatever it looks like */
	f->w->commit = FAKE_COMMIT_OK;
	run_clean(f);
	assert_int_equal(f->said->t.pulled, 0);
	check_delivered(f, true);
	run_clean(f);
	assert_int_equal(f->said->warnings, 0);
	f->p.policy.now += 31 * DAY;
	fake_add(f->w, 8, 20);
	run_clean(f);
	fake_add(f->w, 3, 76);
	run_clean(f);
	assert_int_equal(f->said->t.pulled, 1);
	assert_int_equal(f->said->warnings, 0);
	check_delivered(f, true);
	/* twins of which one is removed before the other is looked at */
	for (unsigned n = 0; n < 3; n++) {
		fresh(f);
		f->w->keys = FAKE_NONE;
		f->p.purge_after = n;
		for (unsigned i = 0; i < 5; i++)
			fake_add(f->w, 1, 20);
		run_clean(f);
		assert_int_equal(f->said->t.pulled, 5);
		assert_int_equal(f->said->warnings, 0);
		check_delivered(f, true);
	}
	/* somebody empties the box for a while, and it is kept anyway: nobody gave his word */
	fresh(f);
	f->w->keys = FAKE_NONE;
	f->p.policy.keep = KEEP_YES;
	fill(f, 4);
	run_clean(f);
	for (unsigned i = 0; i < 4; i++)
		f->w->src[i].taken = true;
	run_clean(f);
	assert_int_equal(f->said->pairs, 0);
	for (unsigned i = 0; i < 4; i++)
		f->w->src[i].taken = false;
	run_clean(f);
	assert_int_equal(f->said->t.pulled, 0);
	assert_int_equal(f->said->pairs, 4);
	assert_int_equal(f->said->warnings, 1); /* that each message is read */
	check_delivered(f, false);
}

/* A server that gives the key of a message that is gone to another one. */
static void keys_given_again(void **state)
{
	struct fixture *f = *state;

	fresh(f);
	f->w->keys = FAKE_NUMBER;
	for (uint32_t i = 0; i < 12; i++) {
		fake_add(f->w, i + 1, 20);
		if (i % 3 == 0)
			fake_add(f->w, 100 + i, 30);
		run_clean(f);
		check_delivered(f, true);
	}
	/* kept, and gone in between: the base knows the key as one of a message that left */
	fresh(f);
	f->w->keys = FAKE_NUMBER;
	f->p.policy.keep = KEEP_YES;
	fake_add(f->w, 1, 20);
	run_clean(f);
	f->w->src[0].taken = true;
	run_clean(f);
	fake_add(f->w, 2, 20);
	run_clean(f);
	check_delivered(f, false);
	assert_int_equal(fake_copies(f->w, 2), 1);
	/* one that was left out by size, gone, its number now that of a small one */
	fresh(f);
	f->w->keys = FAKE_NUMBER;
	f->p.policy.max_size = 500;
	fake_add(f->w, 1, 1000);
	run_clean(f);
	run_clean(f);
	f->w->src[0].taken = true;
	fake_add(f->w, 2, 20);
	run_clean(f);
	assert_int_equal(fake_copies(f->w, 2), 1);
}

/* Numbers as keys, removals that were lost, and messages that come and go before the rest: what was delivered is known by its content. */
static void numbers_shift(void **state)
{
	struct fixture *f = *state;

	for (unsigned gone = 0; gone < 16; gone++) {
		/* delivered, but not removed */
		fresh(f);
		f->w->keys = FAKE_NUMBER;
		fill(f, 4);
		f->w->no_remove = true;
		run_clean(f);
		f->w->no_remove = false;
		for (unsigned i = 0; i < 4; i++)
			f->w->src[i].taken = gone & (1u << i);
		run_clean(f);
		check_delivered(f, true);
		for (unsigned c = 1; c <= 4; c++)
			assert_int_equal(fake_copies(f->w, c), 1);
	}
	/* one more stands before them now */
	fresh(f);
	f->w->keys = FAKE_NUMBER;
	fake_add(f->w, 50, 10);
	f->w->src[0].taken = true;
	fill(f, 4);
	f->p.policy.keep = KEEP_YES;
	run_clean(f);
	f->w->src[0].taken = false;
	f->p.policy.keep = KEEP_NO;
	run_clean(f);
	check_delivered(f, true);
	for (unsigned c = 1; c <= 4; c++)
		assert_int_equal(fake_copies(f->w, c), 1);
}

/* The server names everything anew (moved to another machine). What can't be read in that session stays known. */
static void uidl_change_and_unread(void **state)
{
	struct fixture *f = *state;

	/* refused in the session after the change */
	fresh(f);
	f->w->keys = FAKE_CHANGING;
	f->p.policy.keep = KEEP_YES;
	fill(f, 4);
	run_clean(f);
	f->w->src[2].refuse = 1;
	run_clean(f);
	assert_int_equal(f->said->t.failed, 1);
	f->p.policy.now += DAY;
	run_clean(f);
	check_delivered(f, false);
	/* too large by now */
	fresh(f);
	f->w->keys = FAKE_CHANGING;
	f->p.policy.keep = KEEP_YES;
	fill(f, 3);
	fake_add(f->w, 9, 4000);
	run_clean(f);
	f->p.policy.max_size = 1000;
	run_clean(f);
	assert_int_equal(f->said->t.skipped, 1);
	f->p.policy.max_size = 0;
	run_clean(f);
	check_delivered(f, false);
	/* and without names */
	fresh(f);
	f->w->keys = FAKE_NONE;
	f->p.policy.keep = KEEP_YES;
	fake_add(f->w, 9, 4000);
	run_clean(f);
	f->p.policy.max_size = 1000;
	run_clean(f);
	f->p.policy.max_size = 0;
	run_clean(f);
	check_delivered(f, false);
}

/* A mailbox that was empty for a moment, and an old one: what is there again under its name stays known for as long as it is there. */
static void back_again(void **state)
{
	struct fixture *f = *state;

	fresh(f);
	f->p.policy.keep = KEEP_YES;
	fill(f, 4);
	run_clean(f);
	for (unsigned i = 0; i < 4; i++)
		f->w->src[i].taken = true;
	run_clean(f);
	assert_int_equal(f->said->pairs, 0);
	for (unsigned i = 0; i < 4; i++)
		f->w->src[i].taken = false;
	run_clean(f);
	assert_int_equal(f->said->t.pulled, 0);
	assert_int_equal(f->said->pairs, 4);
	f->p.policy.now += 100 * DAY;
	f->w->src[3].taken = true; /* so that tombstones are looked at */
	run_clean(f);
	f->p.policy.now += 100 * DAY;
	fake_add(f->w, 7, 20);
	run_clean(f);
	assert_int_equal(f->said->t.pulled, 1);
	check_delivered(f, false);
}

/* The base does not grow for ever: pairs of messages that were removed long ago go. */
static void base_is_purged(void **state)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;
	struct pair p;
	struct db *db;

	fresh(f);
	fill(f, 3);
	run_clean(f);
	f->p.policy.now += 31 * DAY;
	fake_add(f->w, 9, 10);
	run_clean(f);
	assert_int_equal(db_open(f->db, DB_LOOK, NULL, &db, &e), 0);
	assert_int_equal(pairs_by_left(db, 1, SLICE_LIT("uid-of-message-00000000"), &p, &e), 0);
	assert_int_equal(pairs_by_left(db, 1, SLICE_LIT("uid-of-message-00000003"), &p, &e), 1);
	assert_int_equal(p.gone, NOW + 31 * DAY);
	db_close(db);
}

static void dry_run(void **state)
{
	struct fixture *f = *state;
	char lock[5000];

	snprintf(lock, sizeof(lock), "%s.lock", f->db);
	fresh(f);
	fill(f, 4);
	f->p.policy.max_size = 80;
	f->p.dry_run = true;
	run_clean(f);
	assert_int_equal(f->said->pull, 2);
	assert_int_equal(f->said->t.pulled, 2);
	assert_int_equal(f->said->del, 2);
	assert_int_equal(f->said->skip, 2);
	assert_int_equal(fake_present(f->w), 4);
	assert_int_equal(f->w->n_dst + f->w->reads + f->w->removes + f->w->dst_opens + f->w->commits, 0);
	assert_int_equal(access(f->db, F_OK), -1);
	assert_int_equal(access(lock, F_OK), -1);
	/* with a base, some of it gone, and one delivery pending */
	f->p.dry_run = false;
	f->p.policy.keep = KEEP_YES;
	f->p.policy.max_size = 0;
	run_clean(f);
	f->w->src[0].taken = true;
	fake_add(f->w, 30, 10);
	f->p.stop_at = 5;
	assert_int_equal(run_apart(f), 100);
	f->p.stop_at = 0;
	f->p.dry_run = true;
	run_clean(f);
	assert_int_equal(f->said->forget, 1);
	assert_int_equal(f->said->del, 0);
	f->p.dry_run = false;
	run_clean(f);
	check_delivered(f, false);
}

static void two_runs_at_once(void **state)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;
	struct db *db;
	int go[2];
	pid_t pid;
	char c;

	fresh(f);
	fill(f, 3);
	assert_int_equal(pipe(go), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (db_open(f->db, DB_RUN, "fake:job", &db, &e) < 0 || write(go[1], "x", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	assert_int_equal(read(go[0], &c, 1), 1);
	assert_int_equal(run_here(f), -1);
	assert_int_equal(f->said->e.kind, ERR_BUSY);
	assert_int_equal(f->w->src_opens, 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(go[0]);
	close(go[1]);
	run_clean(f);
	check_delivered(f, true);
}

/* A world drawn at random. Returns whether the source is to be empty in the end. */
static bool random_world(struct fixture *f, uint64_t seed)
{
	struct fake_world *w = f->w;
	unsigned n;

	fresh(f);
	rng = seed;
	n = 1 + below(7);
	for (unsigned i = 0; i < n; i++) {
		uint32_t c = 1 + below(10);

		fake_add(w, c, 20 + 30 * c);
	}
	w->keys = below(FAKE_KEYS);
	w->stamps = below(4) > 0;
	w->fat = below(2);
	w->sizes_unknown = below(4) == 0;
	w->batch = below(4) == 0 && w->keys == FAKE_LONG ? 1 + below(4) : 0;
	w->no_remove = below(8) == 0;
	f->p.policy.keep = below(3) == 0 ? KEEP_YES : KEEP_NO;
	f->p.purge_after = below(3) == 0 ? 1 + below(4) : 0;
	if (f->p.policy.keep != KEEP_NO || w->no_remove)
		w->batch = 0; /* a batch whose end the server did not hear of stays what it is */
	/*
	 * Messages of the very same bytes are told from each other within a session only. Later, one of them under a number that was given before, or after removals
	 * of which nobody knows whether they happened, can't be told from the one that was delivered, and counts as that.
	 */
	for (unsigned i = 0; i < n && (w->keys == FAKE_NUMBER || w->batch > 0 || f->p.purge_after > 0); i++)
		w->src[i].content = 20 + i;
	if (f->p.policy.keep == KEEP_YES && (w->keys == FAKE_NUMBER || w->keys == FAKE_SHORT))
		w->keys = FAKE_LONG;
	snprintf(where, sizeof(where), "seed %llu: %u messages, keys %d, keep %d, purge %u, batch %zu, %s%s%s", (unsigned long long)seed, n, (int)w->keys,
		 (int)f->p.policy.keep, f->p.purge_after, w->batch, w->fat ? "fat " : "", w->no_remove ? "no_remove " : "", w->stamps ? "" : "stampless");
	return f->p.policy.keep == KEEP_NO && !w->no_remove;
}

/*
 * What a broken run may leave, the next ones mend: then new mail comes, and that is fetched as well. Without a name, and under a number that was given before, it
 * must not be the same to the byte as one that was removed: it would count as that, given back.
 */
static void mend_and_check(struct fixture *f, bool emptied)
{
	run_clean(f);
	check_delivered(f, emptied);
	fake_add(f->w, f->w->keys == FAKE_NUMBER || f->w->keys == FAKE_NONE ? 99 : 3, 110);
	run_clean(f);
	check_delivered(f, emptied);
	run_clean(f);
	assert_int_equal(f->said->t.pulled, 0);
	check_delivered(f, emptied);
}

/* How many worlds to draw where less is usual: MAILHAUL_LONG=1 draws many more. */
static unsigned worlds(unsigned usual)
{
	const char *on = getenv("MAILHAUL_LONG");

	return on && strcmp(on, "1") == 0 ? 10 * usual : usual;
}

/* Dead before each step of the executor, without and with the power. */
static void dies_at_each_step(void **state)
{
	struct fixture *f = *state;

	for (uint64_t seed = 1, end = seed + worlds(2); seed < end; seed++)
		for (int power = 0; power < 2; power++)
			for (int n = 1;; n++) {
				bool emptied = random_world(f, seed);
				int status;

				f->p.stop_at = n;
				status = run_apart(f);
				if (power)
					fake_power_cut(f->w);
				if (status != 100) {
					assert_int_equal(status, 0);
					check_delivered(f, emptied);
					break;
				}
				check_books(f);
				mend_and_check(f, emptied);
			}
}

/* Dead at each moment within the stores, and a second time in the run that mends it. */
static void dies_inside_the_stores(void **state)
{
	struct fixture *f = *state;

	for (uint64_t seed = 1000, end = seed + worlds(2); seed < end; seed++)
		for (unsigned n = 1;; n++) {
			bool emptied = random_world(f, seed);
			int status;

			f->w->crash_at = n;
			status = run_apart(f);
			if (status != FAKE_CRASH) {
				assert_int_equal(status, 0);
				break;
			}
			if (seed % 2)
				fake_power_cut(f->w);
			f->w->steps = 0;
			f->w->crash_at = 1 + below(2 * n);
			status = run_apart(f);
			if (seed % 2)
				fake_power_cut(f->w);
			assert_true(status == 0 || status == FAKE_CRASH);
			mend_and_check(f, emptied);
		}
}

/* The link breaks at each answer, or after each so many bytes; once, or again and again. */
static void link_breaks(void **state)
{
	struct fixture *f = *state;

	for (uint64_t seed = 2000, end = seed + worlds(4); seed < end; seed++)
		for (unsigned n = 1; n < 60; n++) {
			bool emptied = random_world(f, seed);

			if (seed % 2)
				f->w->cut_after_steps = n;
			else
				f->w->cut_after_bytes = 31 * n;
			f->w->cut_again = n % 3 == 0;
			run_here(f);
			if (f->said->rc < 0)
				assert_int_equal(f->said->e.kind, ERR_TEMP);
			check_books(f);
			mend_and_check(f, emptied);
		}
}

/* What a session that broke had delivered may be read and deleted before the next run: it is known to have come all the same. */
static void read_after_a_break(void **state)
{
	struct fixture *f = *state;

	fresh(f);
	fill(f, 4);
	f->p.policy.keep = KEEP_YES;
	f->w->fail_op = FAKE_OP_STAGE;
	f->w->fail_at = 3;
	assert_int_equal(run_here(f), -1);
	assert_int_equal(f->said->t.pulled, 2);
	assert_int_equal(f->said->pairs, 2);
	f->w->n_dst = 0;
	run_clean(f);
	assert_int_equal(f->said->pairs, 4);
	assert_int_equal(f->said->t.pulled, 2);
	assert_int_equal(f->w->n_dst, 2);
	check_books(f);
}

/* A source whose every message is followed by nonsense is not logged in to for ever. */
static void garbage_again_and_again(void **state)
{
	struct fixture *f = *state;

	fresh(f);
	fill(f, 30);
	f->w->garbage_behind = 1;
	assert_int_equal(run_here(f), -1);
	assert_int_equal(f->said->e.kind, ERR_PROTO);
	assert_in_range(f->w->src_opens, 2, 5);
	assert_int_equal(f->said->t.failed, 0);
	assert_int_equal(failed_in_base(f, NULL), 2 * f->w->src_opens); /* the one before the nonsense, and the one that should have come instead */
	assert_int_equal(f->w->n_dst, 0);
	check_books(f);
	f->w->garbage_behind = 0;
	f->p.policy.now += 2 * ENGINE_FAILURE_PAUSE;
	run_clean(f);
	check_delivered(f, true);
}

/* The target fails at each call of each kind, a publish after each number of messages. */
static void target_fails(void **state)
{
	struct fixture *f = *state;

	for (uint64_t seed = 3000, end = seed + worlds(3); seed < end; seed++)
		for (unsigned op = FAKE_OP_OPEN; op < FAKE_OPS; op++)
			for (unsigned n = 1;; n++) {
				bool emptied = random_world(f, seed);

				f->w->fail_op = op;
				f->w->fail_at = n;
				f->w->publish_first = below(4);
				if (op == FAKE_OP_RECOVER) {
					f->p.stop_at = 5;
					run_apart(f);
					f->p.stop_at = 0;
				}
				run_here(f);
				if (f->w->fail_calls < n) {
					assert_int_equal(f->said->rc, 0);
					break;
				}
				assert_int_equal(f->said->rc, -1);
				assert_int_equal(f->said->e.kind, ERR_LOCAL);
				assert_non_null(strstr(f->said->e.text, "No space left"));
				check_books(f);
				mend_and_check(f, emptied);
			}
}

/* Nobody knows what became of the removals. */
static void commit_is_lost(void **state)
{
	struct fixture *f = *state;

	for (uint64_t seed = 4000, end = seed + worlds(12); seed < end; seed++)
		for (enum fake_commit c = FAKE_COMMIT_LOST_AFTER; c <= FAKE_COMMIT_LOST_BEFORE; c++) {
			bool emptied = random_world(f, seed);

			f->w->commit = c;
			run_here(f);
			mend_and_check(f, emptied);
		}
}

/* What happens to the mailbox, to the policy and to the clock between two runs. Each content is one message's. */
static void time_passes(struct fixture *f, uint32_t *content)
{
	struct fake_world *w = f->w;

	for (unsigned n = below(4); n > 0; n--) {
		size_t i = fake_add(w, ++*content, below(3) == 0 ? 2000 : below(200));

		w->src[i].refuse = below(8) == 0 ? 1 + below(2) : 0;
		w->src[i].refuse_remove = below(8) == 0;
	}
	for (size_t i = 0; i < w->n_src; i++)
		w->src[i].taken |= !w->src[i].removed && below(12) == 0;
	if (below(4) == 0)
		w->keys = below(2) ? FAKE_LONG : FAKE_CHANGING;
	if (below(3) == 0)
		f->p.policy.keep = below(3);
	if (below(3) == 0)
		f->p.policy.max_size = below(2) ? 500 : 0;
	if (below(3) == 0)
		f->p.purge_after = below(4);
	f->p.policy.now += below(2) ? below(3) * DAY : 60;
}

/* One thing goes wrong in the next run, or nothing. */
static void disturb(struct fixture *f)
{
	struct fake_world *w = f->w;

	fake_calm(w);
	f->p.stop_at = 0;
	switch (below(7)) {
	case 0:
		f->p.stop_at = 1 + (int)below(20);
		break;
	case 1:
		w->crash_at = 1 + below(60);
		break;
	case 2:
		w->cut_after_steps = 1 + below(20);
		w->cut_again = below(2);
		break;
	case 3:
		w->cut_after_bytes = 1 + below(4000);
		break;
	case 4:
		w->fail_op = FAKE_OP_OPEN + below(FAKE_OPS - FAKE_OP_OPEN);
		w->fail_at = 1 + below(3);
		w->publish_first = below(3);
		break;
	case 5:
		w->commit = below(2) ? FAKE_COMMIT_LOST_AFTER : FAKE_COMMIT_LOST_BEFORE;
		break;
	default:
		break;
	}
}

/* Years of mail, with all that may go wrong in any order. */
static void long_life(void **state)
{
	struct fixture *f = *state;

	for (uint64_t seed = 5000, end = seed + worlds(8); seed < end; seed++) {
		uint32_t content = 0;

		fresh(f);
		rng = seed;
		f->w->keys = seed % 4 == 0 ? FAKE_NONE : seed % 4 == 1 ? FAKE_SHORT : FAKE_LONG;
		for (int day = 0; day < 12; day++) {
			snprintf(where, sizeof(where), "seed %llu, day %d", (unsigned long long)seed, day);
			time_passes(f, &content);
			disturb(f);
			run_apart(f);
			if (below(2))
				fake_power_cut(f->w);
			check_books(f);
			for (uint32_t c = 1; c <= content; c++)
				if (fake_copies(f->w, c) > 1)
					fail_msg("%s: content %u is there twice", where, c);
		}
		f->p.policy.keep = KEEP_NO;
		f->p.policy.max_size = 0;
		for (size_t i = 0; i < f->w->n_src; i++)
			f->w->src[i].refuse = f->w->src[i].refuse_remove = 0;
		f->p.policy.now += 8 * DAY;
		run_clean(f);
		check_delivered(f, true);
	}
}

#define MANY (EXEC_GROUP_MESSAGES * 5 / 2)

/* More than one group, and a full disk, a dead link or a dead process between them. */
static void many_groups(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0, end = worlds(8); i < end; i++) {
		fresh(f);
		rng = i;
		f->w->keys = i % FAKE_KEYS;
		f->w->fat = i % 2;
		for (unsigned k = 0, same = f->w->keys == FAKE_NUMBER ? MANY : MANY - 200; k < MANY; k++)
			fake_add(f->w, 1 + k % same, 1 + k % same);
		switch (i % 4) {
		case 0:
			f->p.stop_at = 1 + (int)below(MANY + 20);
			assert_int_equal(run_apart(f), 100);
			break;
		case 1:
			f->w->cut_after_steps = EXEC_GROUP_MESSAGES + below(MANY - EXEC_GROUP_MESSAGES);
			run_here(f);
			break;
		case 2:
			f->w->fail_op = FAKE_OP_PUBLISH;
			f->w->fail_at = 2;
			f->w->publish_first = below(250);
			assert_int_equal(run_here(f), -1);
			break;
		case 3:
			f->w->crash_at = 1 + below(4 * MANY);
			assert_int_equal(run_apart(f), FAKE_CRASH);
			fake_power_cut(f->w);
			break;
		}
		mend_and_check(f, true);
	}
}

static void many_messages(void **state)
{
	struct fixture *f = *state;
	unsigned n = worlds(1) > 1 ? 20000 : 6000;

	for (unsigned keys = 0; keys < 4; keys += 3) {
		fresh(f);
		f->w->keys = keys;
		for (unsigned i = 0; i < n; i++)
			fake_add(f->w, i % (n - 1000) + 1, 1);
		f->p.policy.keep = KEEP_YES;
		f->p.purge_after = 3;
		if (run_here(f) < 0)
			fail_msg("%s", f->said->e.text);
		assert_int_equal(f->said->t.pulled, n);
		assert_int_equal(f->w->n_dst, n);
		check_books(f);
		f->p.purge_after = 0;
		f->p.policy.keep = KEEP_NO;
		run_clean(f);
		assert_int_equal(f->said->t.pulled, 0);
		assert_int_equal(fake_present(f->w), 0);
		assert_true(f->w->dropped_most <= 1);
		check_books(f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fetch_and_remove),
		cmocka_unit_test(fetch_and_keep),
		cmocka_unit_test(nothing_new_costs_nothing),
		cmocka_unit_test(keep_by_age),
		cmocka_unit_test(keep_by_age_of_one_that_was_late),
		cmocka_unit_test(max_size),
		cmocka_unit_test(failures_wait),
		cmocka_unit_test(notes_share_commits),
		cmocka_unit_test(stale_failures_go),
		cmocka_unit_test(purge_after),
		cmocka_unit_test(purge_after_with_failures),
		cmocka_unit_test(partial_batches),
		cmocka_unit_test(removals_ignored),
		cmocka_unit_test(given_back_without_names),
		cmocka_unit_test(keys_given_again),
		cmocka_unit_test(numbers_shift),
		cmocka_unit_test(uidl_change_and_unread),
		cmocka_unit_test(back_again),
		cmocka_unit_test(base_is_purged),
		cmocka_unit_test(dry_run),
		cmocka_unit_test(two_runs_at_once),
		cmocka_unit_test(dies_at_each_step),
		cmocka_unit_test(dies_inside_the_stores),
		cmocka_unit_test(link_breaks),
		cmocka_unit_test(read_after_a_break),
		cmocka_unit_test(garbage_again_and_again),
		cmocka_unit_test(target_fails),
		cmocka_unit_test(commit_is_lost),
		cmocka_unit_test(long_life),
		cmocka_unit_test(many_groups),
		cmocka_unit_test(many_messages),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
