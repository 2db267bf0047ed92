/* Folders, failures, what the last runs did, and pauses. */
#include "base.h"

#include <sqlite3.h>

#include "state/runs.h"

/* Close and open again: what is asked next comes from the disk. */
static void reopen(void)
{
	db_close(db);
	base_open();
}

static void folders(void **state)
{
	struct folder_row a, b, c;
	char longest[300];

	(void)state;
	/* not made outside a transaction */
	assert_int_equal(folders_get(db, "", "Inbox", &a, &e), 0);
	assert_int_equal(a.id, 0);
	assert_int_equal(db_begin(db, &e), 0);
	assert_int_equal(folders_get(db, "", "Inbox", &a, &e), 0);
	assert_int_equal(folders_get(db, "", "Work", &b, &e), 0);
	assert_int_equal(folders_get(db, "", "Inbox", &c, &e), 0);
	assert_true(a.id > 0 && b.id > 0 && a.id != b.id);
	assert_int_equal(c.id, a.id);
	assert_string_equal(a.left_stamp, "");
	assert_string_equal(a.right_stamp, "");
	memset(longest, 'x', sizeof(longest));
	longest[255] = '\0';
	assert_int_equal(folders_stamp(db, a.id, longest, "right", &e), 0);
	assert_int_equal(db_commit(db, &e), 0);
	reopen();
	assert_int_equal(folders_get(db, "", "Inbox", &c, &e), 0);
	assert_int_equal(c.id, a.id);
	assert_string_equal(c.left_stamp, longest);
	assert_string_equal(c.right_stamp, "right");
	assert_int_equal(folders_get(db, "", "Work", &c, &e), 0);
	assert_string_equal(c.left_stamp, "");
}

static int count_each(void *arg, const struct failure *f, struct err *err)
{
	char *keys = arg;

	(void)err;
	snprintf(keys + strlen(keys), 100 - strlen(keys), "%.*s ", (int)f->key.n, f->key.p);
	return 0;
}

static int stop(void *arg, const struct failure *f, struct err *err)
{
	(void)f;
	++*(int *)arg;
	return err_set(err, ERR_BUG, "enough");
}

static void failures(void **state)
{
	struct failure f = { .folder = 1, .key = SLICE_LIT("b"), .kind = ERR_REFUSED, .reason = SLICE_LIT("-ERR no"), .size = UINT64_C(1) << 40, .tries = 1,
			     .since = 100, .next = 4000 };
	struct failure got;
	char keys[100] = "";
	uint64_t failed, skipped;
	int64_t next;
	int n = 0;

	(void)state;
	assert_int_equal(failures_get(db, 1, false, f.key, &got, &e), 0);
	assert_int_equal(failures_count(db, &failed, &skipped, &next, &e), 0);
	assert_int_equal(failed + skipped, 0);
	assert_int_equal(next, 0);
	assert_int_equal(failures_put(db, &f, &e), 0);
	assert_int_equal(failures_get(db, 1, false, f.key, &got, &e), 1);
	assert_int_equal(got.kind, ERR_REFUSED);
	assert_true(slice_eqs(got.reason, "-ERR no"));
	assert_int_equal(got.size, UINT64_C(1) << 40);
	assert_int_equal(got.since, 100);
	assert_int_equal(got.next, 4000);
	/* the second time: since stays, the rest is new */
	f.tries = 2;
	f.since = 200;
	f.next = 8000;
	f.kind = ERR_TEMP;
	assert_int_equal(failures_put(db, &f, &e), 0);
	assert_int_equal(failures_get(db, 1, false, f.key, &got, &e), 1);
	assert_int_equal(got.kind, ERR_TEMP);
	assert_int_equal(got.tries, 2);
	assert_int_equal(got.since, 100);
	assert_int_equal(got.next, 8000);
	/* others: in another folder, left out by size, for the folder itself */
	f.folder = 2;
	f.next = 7000;
	f.since = 50;
	assert_int_equal(failures_put(db, &f, &e), 0);
	f = (struct failure){ .folder = 1, .key = SLICE_LIT("a"), .kind = ERR_NONE, .since = 100 };
	assert_int_equal(failures_put(db, &f, &e), 0);
	f = (struct failure){ .folder = 1, .kind = ERR_PROTO, .since = 300, .next = 9000 };
	assert_int_equal(failures_put(db, &f, &e), 0);
	reopen();
	assert_int_equal(failures_count(db, &failed, &skipped, &next, &e), 0);
	assert_int_equal(failed, 3);
	assert_int_equal(skipped, 1);
	assert_int_equal(next, 7000);
	assert_int_equal(failures_each(db, count_each, keys, &e), 0);
	assert_string_equal(keys, "b a b  ");
	assert_int_equal(failures_each(db, stop, &n, &e), -1);
	assert_int_equal(n, 1);
	assert_int_equal(failures_clear(db, 1, false, SLICE_LIT("b"), &e), 0);
	assert_int_equal(failures_clear(db, 1, false, SLICE_LIT("never there"), &e), 0);
	assert_int_equal(failures_get(db, 1, false, SLICE_LIT("b"), &got, &e), 0);
	assert_int_equal(failures_get(db, 2, false, SLICE_LIT("b"), &got, &e), 1);
	assert_int_equal(failures_get(db, 1, false, SLICE_LIT(""), &got, &e), 1);
}

static void runs(void **state)
{
	struct run_row r = { .started = 10, .ended = 20, .kind = ERR_TIMEOUT, .text = "it took too long", .pulled = 1, .deleted = 2, .failed = 3, .skipped = 4,
			     .bytes_in = UINT64_C(1) << 40, .seconds = 1.5 };
	struct run_row got;
	sqlite3_stmt *s;
	int64_t next;

	(void)state;
	assert_int_equal(runs_last(db, &got, &e), 0);
	assert_int_equal(runs_next(db, &next, &e), 0);
	assert_int_equal(next, 1);
	assert_int_equal(runs_add(db, &r, &e), 0);
	reopen();
	assert_int_equal(runs_last(db, &got, &e), 1);
	assert_int_equal(got.started, 10);
	assert_int_equal(got.ended, 20);
	assert_int_equal(got.kind, ERR_TIMEOUT);
	assert_string_equal(got.text, "it took too long");
	assert_int_equal(got.pulled, 1);
	assert_int_equal(got.deleted, 2);
	assert_int_equal(got.failed, 3);
	assert_int_equal(got.skipped, 4);
	assert_int_equal(got.bytes_in, UINT64_C(1) << 40);
	assert_true(got.seconds > 1.4 && got.seconds < 1.6);
	assert_int_equal(got.id, 1);
	assert_int_equal(runs_next(db, &next, &e), 0);
	assert_int_equal(next, 2);
	/* a number that was taken by those of an older state is passed over */
	r.id = 12;
	r.deleted_left = 5;
	assert_int_equal(runs_add(db, &r, &e), 0);
	assert_int_equal(runs_next(db, &next, &e), 0);
	assert_int_equal(next, 13);
	assert_int_equal(runs_get(db, 12, &got, &e), 1);
	assert_int_equal(got.deleted_left, 5);
	assert_int_equal(runs_get(db, 11, &got, &e), 0);
	r.id = 0;
	/* the last is the last, even when the clock went back; old ones go */
	for (int i = 0; i < 150; i++) {
		r.started = r.ended = 10000 - i;
		r.pulled = (unsigned)i;
		assert_int_equal(runs_add(db, &r, &e), 0);
	}
	assert_int_equal(runs_last(db, &got, &e), 1);
	assert_int_equal(got.pulled, 149);
	s = db_stmt(db, "SELECT count(*) FROM run", &e);
	assert_non_null(s);
	assert_int_equal(db_step(db, s, "count", &e), 1);
	assert_int_equal(sqlite3_column_int(s, 0), 100);
	sqlite3_reset(s);
	assert_false(db_in_transaction(db));
}

static void pauses(void **state)
{
	char reason[40];
	int64_t until;

	(void)state;
	assert_int_equal(pause_get(db, &until, reason, sizeof(reason), &e), 0);
	assert_int_equal(until, 0);
	assert_int_equal(pause_set(db, INT64_C(5000000000), "[LOGIN-DELAY] come back later, and do not say that nobody told you", &e), 0);
	reopen();
	assert_int_equal(pause_get(db, &until, reason, sizeof(reason), &e), 0);
	assert_int_equal(until, INT64_C(5000000000));
	assert_string_equal(reason, "[LOGIN-DELAY] come back later, and do n");
	assert_int_equal(pause_set(db, 7, "another", &e), 0);
	assert_int_equal(pause_get(db, &until, reason, sizeof(reason), &e), 0);
	assert_int_equal(until, 7);
	assert_string_equal(reason, "another");
	assert_int_equal(pause_set(db, 0, "", &e), 0);
	assert_int_equal(pause_get(db, &until, reason, sizeof(reason), &e), 0);
	assert_int_equal(until, 0);
	assert_string_equal(reason, "");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, base_setup, base_teardown)
	const struct CMUnitTest tests[] = { T(folders), T(failures), T(runs), T(pauses) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
