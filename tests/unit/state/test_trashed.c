/* What runs have moved to the trash at the left. */
#include "base.h"

#include <string.h>

#include "base/strbuf.h"
#include "state/runs.h"
#include "state/trashed.h"

/* Close and open again: what is asked next comes from the disk. */
static void reopen(void)
{
	db_close(db);
	base_open();
}

static void add(int64_t run, const char *folder, const char *key, int64_t noted)
{
	struct trashed t = { .run = run, .folder = folder, .key = slice_str(key), .trash = "Bin", .noted = noted,
			     .told = { .size = 100, .date = 1700000000, .has_mid = true, .mid = "\0\1\2\3\4\5\6\xff" } };

	assert_int_equal(db_begin(db, &e), 0);
	assert_int_equal(trashed_add(db, &t, &e), 0);
	assert_int_equal(db_commit(db, &e), 0);
}

static void mark(int64_t run, const char *folder, const char *key, enum trashed_state state)
{
	assert_int_equal(db_begin(db, &e), 0);
	assert_int_equal(trashed_mark(db, run, folder, slice_str(key), state, &e), 0);
	assert_int_equal(db_commit(db, &e), 0);
}

static int put_row(void *arg, const struct trashed *t, struct err *err)
{
	(void)err;
	return strbuf_printf(arg, "%lld %s/%.*s>%s@%lld:%d ", (long long)t->run, t->folder, (int)t->key.n, t->key.p, t->trash, (long long)t->noted, t->state);
}

static int put_run(void *arg, const struct trashed_run *r, struct err *err)
{
	(void)err;
	return strbuf_printf(arg, "%lld@%lld:%llu ", (long long)r->run, (long long)r->noted, (unsigned long long)r->messages);
}

/* All rows of a run, or, of 0, the runs. */
static void holds(int64_t run, const char *want)
{
	struct strbuf b = STRBUF_INIT(4096);

	assert_int_equal(run ? trashed_each(db, run, put_row, &b, &e) : trashed_runs(db, put_run, &b, &e), 0);
	assert_string_equal(strbuf_str(&b), want);
	strbuf_release(&b);
}

static int copy_told(void *arg, const struct trashed *t, struct err *err)
{
	(void)err;
	*(struct told *)arg = t->told;
	return 1;
}

static void rows(void **state)
{
	const struct told other = { .size = 7, .has_object = true, .object = "objects" };
	struct trashed again = { .run = 3, .folder = "F\xc3\xbcr mich/a", .key = SLICE_LIT("12"), .trash = "Bin", .noted = 60, .told = other };
	struct told told;

	(void)state;
	holds(0, "");
	holds(3, "");
	add(3, "INBOX", "9", 50);
	add(3, "F\xc3\xbcr mich/a", "12", 51);
	add(3, "INBOX", "10", 52);
	add(4, "INBOX", "9", 53);
	reopen();
	holds(3, "3 F\xc3\xbcr mich/a/12>Bin@51:0 3 INBOX/10>Bin@52:0 3 INBOX/9>Bin@50:0 ");
	holds(0, "4@53:1 3@52:3 ");
	assert_int_equal(trashed_each(db, 3, copy_told, &told, &e), 0);
	assert_true(told.size == 100 && told.date == 1700000000 && told.has_mid && !told.has_object);
	assert_memory_equal(told.mid, "\0\1\2\3\4\5\6\xff", 8);
	/* a run that was interrupted and done again notes it again */
	mark(3, again.folder, "12", TRASHED_ASKED);
	assert_int_equal(db_begin(db, &e), 0);
	assert_int_equal(trashed_add(db, &again, &e), 0);
	assert_int_equal(db_commit(db, &e), 0);
	holds(3, "3 F\xc3\xbcr mich/a/12>Bin@60:0 3 INBOX/10>Bin@52:0 3 INBOX/9>Bin@50:0 ");
	assert_int_equal(trashed_each(db, 3, copy_told, &told, &e), 0);
	assert_true(told.size == 7 && told.date == 0 && !told.has_mid && told.has_object);
	assert_memory_equal(told.object, "objects", 8);
	assert_int_equal(db_begin(db, &e), 0);
	assert_int_equal(trashed_drop(db, 3, "INBOX", SLICE_LIT("10"), &e), 0);
	assert_int_equal(trashed_drop(db, 5, "INBOX", SLICE_LIT("10"), &e), 0);
	assert_int_equal(db_commit(db, &e), 0);
	holds(3, "3 F\xc3\xbcr mich/a/12>Bin@60:0 3 INBOX/9>Bin@50:0 ");
	holds(4, "4 INBOX/9>Bin@53:0 ");
}

/* One that is done does not count any more, and is forgotten with its run. */
static void states(void **state)
{
	(void)state;
	add(1, "INBOX", "1", 50);
	add(1, "INBOX", "2", 50);
	add(1, "Work", "1", 50);
	add(2, "INBOX", "1", 51);
	mark(1, "INBOX", "1", TRASHED_ASKED);
	mark(1, "Work", "1", TRASHED_DONE);
	reopen();
	holds(1, "1 INBOX/1>Bin@50:1 1 INBOX/2>Bin@50:0 1 Work/1>Bin@50:2 ");
	holds(0, "2@51:1 1@50:2 ");
	mark(1, "INBOX", "1", TRASHED_DONE);
	mark(1, "INBOX", "2", TRASHED_DONE);
	holds(0, "2@51:1 ");
	assert_int_equal(db_begin(db, &e), 0);
	assert_int_equal(trashed_forget(db, 1, &e), 0);
	assert_int_equal(db_commit(db, &e), 0);
	holds(1, "");
	holds(2, "2 INBOX/1>Bin@51:0 ");
}

static void expiry(void **state)
{
	(void)state;
	assert_int_equal(trashed_expire(db, 100, &e), 0);
	add(1, "INBOX", "1", 50);
	add(1, "INBOX", "2", 51);
	add(2, "INBOX", "1", 52);
	assert_int_equal(trashed_expire(db, 50, &e), 0);
	holds(0, "2@52:1 1@51:2 ");
	assert_int_equal(trashed_expire(db, 52, &e), 0);
	holds(0, "2@52:1 ");
	assert_false(db_in_transaction(db));
	assert_int_equal(trashed_expire(db, INT64_MAX, &e), 0);
	holds(0, "");
}

/* Names follow the folders. */
static void renames(void **state)
{
	struct folder_row f[3];

	(void)state;
	assert_int_equal(db_begin(db, &e), 0);
	assert_int_equal(folders_get(db, "Work", "Work", &f[0], &e), 0);
	assert_int_equal(folders_get(db, "Bin", "Bin", &f[1], &e), 0);
	assert_int_equal(folders_get(db, "Other", "Other", &f[2], &e), 0);
	assert_int_equal(db_commit(db, &e), 0);
	add(1, "Work", "1", 50);
	add(1, "Works", "2", 50);
	assert_int_equal(db_begin(db, &e), 0);
	assert_int_equal(folders_rename(db, f[0].id, "Play", "Play", &e), 0);
	assert_int_equal(folders_rename(db, f[1].id, "Trash", "Bin", &e), 0);
	assert_int_equal(folders_rename(db, f[2].id, "Another", "Other", &e), 0);
	assert_int_equal(db_commit(db, &e), 0);
	holds(1, "1 Play/1>Trash@50:0 1 Works/2>Trash@50:0 ");
}

static int stop(void *arg, const struct trashed *t, struct err *err)
{
	(void)t;
	++*(int *)arg;
	return err_set(err, ERR_BUG, "enough");
}

static int stop_runs(void *arg, const struct trashed_run *r, struct err *err)
{
	(void)err;
	*(int64_t *)arg = r->run;
	return 1;
}

/* Walks end where they are told to, and a base that is not there has nothing. */
static void walks(void **state)
{
	struct db *none;
	int64_t run = 0;
	int n = 0;

	(void)state;
	add(1, "INBOX", "1", 50);
	add(1, "INBOX", "2", 50);
	add(7, "INBOX", "1", 50);
	assert_int_equal(trashed_each(db, 1, stop, &n, &e), -1);
	assert_true(n == 1 && e.kind == ERR_BUG);
	assert_int_equal(trashed_runs(db, stop_runs, &run, &e), 0);
	assert_int_equal(run, 7);
	/* and leave nothing behind that a change would wait for */
	mark(1, "INBOX", "1", TRASHED_ASKED);
	assert_int_equal(db_open(scratch_path(dir, "none.db"), DB_LOOK, NULL, &none, &e), 0);
	assert_int_equal(trashed_each(none, 1, stop, &n, &e), 0);
	assert_int_equal(trashed_runs(none, stop_runs, &run, &e), 0);
	assert_int_equal(trashed_expire(none, 100, &e), 0);
	assert_true(n == 1 && run == 7);
	db_close(none);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, base_setup, base_teardown)
	const struct CMUnitTest tests[] = { T(rows), T(states), T(expiry), T(renames), T(walks) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
