/* Verify against rigged trees: what differs is found, whatever breaks on the way, and nothing is changed. */
#include "rig.h"

#include "../../lib/faketree.h"
#include "mail/flags.h"
#include "state/pairs.h"
#include "state/runs.h"
#include "sync/engine.h"

#define NOW 1700000000
enum { L, R };

struct fixture {
	struct tree_world *w;
	char *dir;
	char db[4096];
	struct sync_params sync;
	struct verify_params p;
	struct event_totals t;
	struct event_compared c;
	struct err e;
	unsigned errors, warnings, compared, drifts[DRIFT_FOLDER + 1], at[AT_RIGHT + 1];
	char text[1000];
};

static int setup(void **state)
{
	static struct fixture f;

	f = (struct fixture){ .w = tree_world_new(), .dir = scratch_make() };
	snprintf(f.db, sizeof(f.db), "%s/job.db", f.dir);
	f.sync = (struct sync_params){ .job = "job", .now = NOW, .right_name = "maildir:/x" };
	f.p = (struct verify_params){ .job = "job", .sync = &f.sync, .now = NOW };
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	tree_world_free(f->w);
	scratch_remove(f->dir);
	return 0;
}

static void listen_to(void *arg, const struct event *ev)
{
	struct fixture *f = arg;

	f->errors += ev->type == EVENT_ERROR;
	f->warnings += ev->type == EVENT_WARNING;
	f->compared += ev->type == EVENT_COMPARED;
	if (ev->type == EVENT_DRIFT) {
		f->drifts[ev->drift]++;
		f->at[ev->at]++;
	}
	if ((ev->type == EVENT_ERROR || ev->type == EVENT_WARNING || ev->type == EVENT_DRIFT) && ev->text)
		snprintf(f->text, sizeof(f->text), "%s", ev->text);
}

static void try_it(const char *what)
{
	snprintf(where, sizeof(where), "%s", what);
}

static int run(struct fixture *f)
{
	static struct tree_world before;
	struct event_sink sink = { listen_to, f };
	struct store *left = tree_store(f->w, L), *right = tree_store(f->w, R);
	struct db *db = NULL;
	int rc;

	f->errors = f->warnings = f->compared = 0;
	memset(f->drifts, 0, sizeof(f->drifts));
	memset(f->at, 0, sizeof(f->at));
	f->text[0] = '\0';
	f->e = (struct err)ERR_INIT;
	f->w->ops = 0;
	f->w->dead = false;
	before = *f->w;
	assert_int_equal(db_open(f->db, DB_LOOK, NULL, &db, &f->e), 0);
	rc = engine_verify(&f->p, left, right, db, &sink, &f->t, &f->c, &f->e);
	store_free(left);
	store_free(right);
	db_close(db);
	if (f->w->misuse)
		fail_msg("%s: contract broken: %s", where, f->w->why);
	for (int s = L; s <= R; s++) /* nothing was changed */
		assert_memory_equal(before.side[s].f, f->w->side[s].f, sizeof(before.side[s].f));
	return rc;
}

static void run_well(struct fixture *f)
{
	if (run(f) < 0)
		fail_msg("%s: %s", where, f->e.text);
	assert_int_equal(f->errors, 0);
}

/* The summary, and that as much is told. */
static void expect(struct fixture *f, struct event_compared want)
{
	const unsigned missing = (unsigned)(want.missing[L] + want.missing[R]), folders = (unsigned)(want.missing_folders[L] + want.missing_folders[R]);

	run_well(f);
	if (memcmp(&f->c, &want, sizeof(want)) != 0)
		fail_msg("%s: %llu folders, %llu and %llu messages, %llu the same, %llu and %llu missing, %llu content, %llu flags, %llu refused, %llu and %llu folders, %llu extra, %llu out", where,
			 (unsigned long long)f->c.folders, (unsigned long long)f->c.left, (unsigned long long)f->c.right, (unsigned long long)f->c.same, (unsigned long long)f->c.missing[L],
			 (unsigned long long)f->c.missing[R], (unsigned long long)f->c.content, (unsigned long long)f->c.flags, (unsigned long long)f->c.refused,
			 (unsigned long long)f->c.missing_folders[L], (unsigned long long)f->c.missing_folders[R], (unsigned long long)f->c.extra, (unsigned long long)f->c.left_out);
	assert_int_equal(f->drifts[DRIFT_MISSING], missing);
	assert_int_equal(f->drifts[DRIFT_CONTENT], want.content);
	assert_int_equal(f->drifts[DRIFT_FLAGS], want.flags);
	assert_int_equal(f->drifts[DRIFT_REFUSED], want.refused);
	assert_int_equal(f->drifts[DRIFT_FOLDER], folders);
	assert_int_equal(f->compared, want.folders);
}

/* The same on both sides, in three folders. */
static void fill(struct fixture *f)
{
	for (int s = L; s <= R; s++) {
		for (uint32_t i = 1; i <= 12; i++)
			tree_add(f->w, s, i % 3 ? i % 3 == 1 ? "INBOX" : "Work" : "Lists", i, i % 2 ? FLAG_SEEN : 0);
		f->w->side[s].read = f->w->side[s].opened = 0;
	}
}

static struct tree_folder *box(struct fixture *f, int s, const char *name)
{
	return tree_folder(f->w, s, name, false);
}

static void agree(void **state)
{
	struct fixture *f = *state;

	fill(f);
	try_it("by looks");
	expect(f, (struct event_compared){ .folders = 3, .left = 12, .right = 12, .same = 12 });
	/* the server tells all in looks; here the bodies are at hand */
	assert_int_equal(f->w->side[L].opened, 0);
	assert_int_equal(f->w->side[R].read, 12);
	try_it("by bodies");
	f->p.full = true;
	expect(f, (struct event_compared){ .folders = 3, .left = 12, .right = 12, .same = 12 });
	assert_int_equal(f->w->side[L].read, 12);
	/* as was foretold, so that one is read while the next is asked for */
	assert_int_equal(f->w->side[L].foretold, 3);
	assert_int_equal(f->w->side[L].misled, 0);
}

static void differ(void **state)
{
	struct fixture *f = *state;

	fill(f);
	tree_delete(f->w, L, box(f, L, "INBOX"), tree_find(box(f, L, "INBOX"), 1));
	tree_delete(f->w, R, box(f, R, "Work"), tree_find(box(f, R, "Work"), 2));
	tree_flag(f->w, R, box(f, R, "Lists"), tree_find(box(f, R, "Lists"), 3), FLAG_FLAGGED);
	tree_add(f->w, L, "Left", 20, 0);
	tree_add(f->w, R, "Right", 21, 0);
	f->sync.create = SYNC_BOTH;
	for (int full = 0; full < 2; full++) {
		f->p.full = full;
		snprintf(where, sizeof(where), "full %d", full);
		expect(f, (struct event_compared){ .folders = 5, .left = 12, .right = 12, .same = 10, .missing = { 2, 2 }, .flags = 1, .missing_folders = { 1, 1 } });
		assert_int_equal(f->at[AT_LEFT], 3);
		assert_int_equal(f->at[AT_RIGHT], 3);
	}
	try_it("folders stay where they are");
	f->sync.create = SYNC_NONE;
	expect(f, (struct event_compared){ .folders = 5, .left = 12, .right = 12, .same = 10, .missing = { 1, 1 }, .flags = 1, .left_out = 2 });
	try_it("one way");
	f->sync.create = SYNC_RIGHT;
	f->sync.one_way = true;
	expect(f, (struct event_compared){ .folders = 4, .left = 12, .right = 12, .same = 10, .missing = { 0, 2 }, .flags = 1, .missing_folders = { 0, 1 }, .extra = 2 });
	try_it("a side that does not know the flag");
	f->w->side[L].can_hold = FLAG_SEEN;
	f->sync.create = SYNC_BOTH;
	f->sync.one_way = false;
	expect(f, (struct event_compared){ .folders = 5, .left = 12, .right = 12, .same = 10, .missing = { 2, 2 }, .flags = 1, .missing_folders = { 1, 1 } });
	f->w->side[R].can_hold = FLAG_FLAGGED;
	expect(f, (struct event_compared){ .folders = 5, .left = 12, .right = 12, .same = 10, .missing = { 2, 2 }, .missing_folders = { 1, 1 } });
}

/* Twenty of a folder are told by themselves, or all. */
static void named(void **state)
{
	struct fixture *f = *state;

	for (uint32_t i = 1; i <= 30; i++)
		tree_add(f->w, L, "INBOX", i, 0);
	tree_add(f->w, L, "Work", 31, 0);
	tree_folder(f->w, R, "Work", true);
	try_it("named");
	run_well(f);
	assert_int_equal(f->c.missing[R], 31);
	assert_int_equal(f->drifts[DRIFT_MISSING], VERIFY_NAMED + 1);
	f->p.all = true;
	run_well(f);
	assert_int_equal(f->drifts[DRIFT_MISSING], 31);
}

/* Equal messages any number of times, with any flags. */
static void multisets(void **state)
{
	struct fixture *f = *state;

	for (unsigned round = 0; round < 200; round++) {
		unsigned n[2][3][3] = { 0 };
		struct event_compared want = { .folders = 1 };

		rng = round;
		snprintf(where, sizeof(where), "round %u", round);
		tree_world_clear(f->w);
		for (int s = L; s <= R; s++) {
			unsigned many = below(12);

			*(s == L ? &want.left : &want.right) = many;
			for (unsigned i = 0; i < many; i++) {
				unsigned c = below(3), flags = below(3);

				n[s][c][flags]++;
				tree_add(f->w, s, "INBOX", c + 1, flags);
			}
		}
		for (unsigned c = 0; c < 3; c++) {
			unsigned l = 0, r = 0, alike = 0;

			for (unsigned k = 0; k < 3; k++) {
				l += n[L][c][k];
				r += n[R][c][k];
				alike += n[L][c][k] < n[R][c][k] ? n[L][c][k] : n[R][c][k];
			}
			want.same += l < r ? l : r;
			want.flags += (l < r ? l : r) - alike;
			want.missing[R] += l > r ? l - r : 0;
			want.missing[L] += r > l ? r - l : 0;
		}
		f->p.full = round % 2;
		f->p.all = true;
		expect(f, want);
	}
}

/* What runs before noted. */
static void noted(void **state)
{
	struct fixture *f = *state;
	struct folder_row row;
	struct db *db = NULL;
	struct failure refused = { .key = slice_str("5"), .kind = ERR_REFUSED, .reason = slice_str("a virus, they say"), .tries = 1 },
		       large = { .key = slice_str("6"), .kind = ERR_NONE, .reason = slice_str("larger than max-size") };
	struct pair deleted = { .left = slice_str("7"), .right = slice_str("name-7"), .two_way = true };

	fill(f);
	for (uint32_t i = 0; i < 3; i++)
		tree_add(f->w, L, "INBOX", 30 + i, 0); /* 5, 6, 7 */
	assert_int_equal(db_open(f->db, DB_RUN, "fake:job", &db, &f->e), 0);
	assert_int_equal(db_begin(db, &f->e), 0);
	assert_int_equal(folders_get(db, "INBOX", "INBOX", &row, &f->e), 0);
	refused.folder = large.folder = deleted.folder = row.id;
	assert_int_equal(failures_put(db, &refused, &f->e), 0);
	assert_int_equal(failures_put(db, &large, &f->e), 0);
	assert_int_equal(pairs_add(db, &deleted, &f->e), 0);
	assert_int_equal(db_commit(db, &f->e), 0);
	db_close(db);
	try_it("what was deleted there is to be deleted here");
	f->sync.del = SYNC_BOTH;
	expect(f, (struct event_compared){ .folders = 3, .left = 15, .right = 12, .same = 12, .missing = { 0, 1 }, .refused = 1, .left_out = 1 });
	assert_string_equal(f->text, "a virus, they say");
	try_it("what was deleted there stays here");
	f->sync.del = SYNC_RIGHT;
	expect(f, (struct event_compared){ .folders = 3, .left = 15, .right = 12, .same = 12, .refused = 1, .left_out = 2 });
}

static void limits(void **state)
{
	struct fixture *f = *state;
	struct folder_rule rule = { .name = "Work", .max_size = 1, .has_max_size = true };

	fill(f);
	tree_add(f->w, L, "INBOX", 30, 0);
	tree_add(f->w, L, "Work", 31, 0);
	tree_add(f->w, R, "INBOX", 32, 0);
	try_it("a folder's own limit");
	f->sync.folders = (struct folders_params){ .rules = &rule, .n_rules = 1 };
	expect(f, (struct event_compared){ .folders = 3, .left = 14, .right = 13, .same = 12, .missing = { 1, 1 }, .left_out = 1 });
	try_it("the job's limit");
	f->sync.folders.n_rules = 0;
	f->sync.max_size = 1;
	expect(f, (struct event_compared){ .folders = 3, .left = 14, .right = 13, .same = 12, .missing = { 1, 0 }, .left_out = 2 });
}

/* The link breaks at any moment: the answer is the same, and what was read is not read again. */
static void cuts(void **state)
{
	struct fixture *f = *state;
	unsigned ops, broken = 0;

	fill(f);
	for (int full = 0; full < 2; full++) {
		f->p.full = full;
		f->w->cut_at = 0;
		run_well(f);
		ops = f->w->ops;
		for (unsigned n = 1; n <= ops; n++) {
			snprintf(where, sizeof(where), "full %d, cut at %u of %u", full, n, ops);
			f->w->cut_at = n;
			f->w->side[L].read = 0;
			if (run(f) < 0) { /* before there was anything to go on with */
				assert_true(err_link_lost(&f->e));
				if (n >= 8)
					fail_msg("%s: %s, %llu", where, f->e.text, (unsigned long long)f->c.left);
				broken++;
				continue;
			}
			assert_int_equal(f->errors, 0);
			assert_int_equal(f->c.same, 12);
			assert_int_equal(event_compared_drift(&f->c), 0);
			assert_in_range(f->w->side[L].read, full ? 12 : 0, full ? 12 : 0);
			assert_true(f->warnings <= 1);
		}
	}
	assert_in_range(broken, 2, 8);
}

/* One that was listed is not there when it is read: that is told, and nothing is concluded from it. */
static void gone_meanwhile(void **state)
{
	struct fixture *f = *state;

	try_it("gone meanwhile");
	fill(f);
	f->p.full = true;
	f->w->side[L].hide = 5;
	assert_int_equal(run(f), 0);
	assert_int_equal(f->t.failed, 1);
	assert_int_equal(f->errors, 1);
	assert_non_null(strstr(f->text, "compare once more"));
	assert_int_equal(f->c.same, 12);
	assert_int_equal(event_compared_drift(&f->c), 0);
	/* the same here, where nothing else is known of it */
	f->w->side[L].hide = 0;
	f->w->side[R].hide = 5;
	f->p.full = false;
	assert_int_equal(run(f), 0);
	assert_int_equal(f->t.failed, 1);
	assert_int_equal(f->c.same, 11);
	assert_int_equal(f->drifts[DRIFT_MISSING], 1);
}

/* Two folders of the left that would be one at the right: one is not compared, and that is no agreement. */
static void clash(void **state)
{
	struct fixture *f = *state;
	struct folder_rule rule = { .name = "Work", .local = "Lists" };

	try_it("clash");
	fill(f);
	f->sync.folders = (struct folders_params){ .rules = &rule, .n_rules = 1 };
	assert_int_equal(run(f), 0);
	assert_true(f->errors > 0);
	assert_int_equal(f->t.failed, f->errors);
}

static void vanished(void **state)
{
	struct fixture *f = *state;
	struct folder_row row;
	struct db *db = NULL;

	try_it("vanished");
	fill(f);
	f->w->side[R].missing = true;
	assert_int_equal(run(f), -1);
	assert_string_equal(f->e.text, "no root");
	f->w->side[R].missing = false;
	memset(f->w->side[R].f, 0, sizeof(f->w->side[R].f));
	assert_int_equal(db_open(f->db, DB_RUN, "fake:job", &db, &f->e), 0);
	assert_int_equal(db_begin(db, &f->e), 0);
	assert_int_equal(folders_get(db, "INBOX", "INBOX", &row, &f->e), 0);
	assert_int_equal(db_commit(db, &f->e), 0);
	db_close(db);
	assert_int_equal(run(f), -1);
	assert_int_equal(f->e.kind, ERR_LOCAL);
	assert_non_null(strstr(f->e.text, "holds no folders any more"));
	memset(f->w->side[L].f, 0, sizeof(f->w->side[L].f));
	assert_int_equal(run(f), -1);
	assert_int_equal(f->e.kind, ERR_UNAVAIL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(agree), TEST(differ), TEST(named), TEST(multisets), TEST(noted), TEST(limits), TEST(cuts), TEST(gone_meanwhile), TEST(clash), TEST(vanished),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
