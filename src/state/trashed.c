#include "state/trashed.h"

#include <sqlite3.h>

#include "state/pairs_p.h"

/* The first three parameters. */
static void bind_row(sqlite3_stmt *s, int64_t run, const char *folder, struct slice key)
{
	sqlite3_bind_int64(s, 1, run);
	db_bind(s, 2, slice_str(folder));
	db_bind(s, 3, key);
}

int trashed_add(struct db *db, const struct trashed *t, struct err *e)
{
	sqlite3_stmt *s = db_stmt(db, "INSERT OR REPLACE INTO trashed(run, folder, left, trash, noted, state, told_size, told_date, mid, object)"
				      " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)", e);

	if (!s)
		return -1;
	bind_row(s, t->run, t->folder, t->key);
	db_bind(s, 4, slice_str(t->trash));
	sqlite3_bind_int64(s, 5, t->noted);
	sqlite3_bind_int(s, 6, (int)t->state);
	told_bind(s, 7, &t->told);
	return db_step(db, s, "note what goes to the trash", e) < 0 ? -1 : 0;
}

int trashed_mark(struct db *db, int64_t run, const char *folder, struct slice key, enum trashed_state state, struct err *e)
{
	sqlite3_stmt *s = db_stmt(db, "UPDATE trashed SET state = ?4 WHERE run = ?1 AND folder = ?2 AND left = ?3", e);

	if (!s)
		return -1;
	bind_row(s, run, folder, key);
	sqlite3_bind_int(s, 4, (int)state);
	return db_step(db, s, "note what is in the trash", e) < 0 ? -1 : 0;
}

int trashed_drop(struct db *db, int64_t run, const char *folder, struct slice key, struct err *e)
{
	sqlite3_stmt *s = db_stmt(db, "DELETE FROM trashed WHERE run = ?1 AND folder = ?2 AND left = ?3", e);

	if (!s)
		return -1;
	bind_row(s, run, folder, key);
	return db_step(db, s, "note what is in the trash", e) < 0 ? -1 : 0;
}

int trashed_forget(struct db *db, int64_t run, struct err *e)
{
	return db_change(db, "DELETE FROM trashed WHERE run = ?1", &run, 1, "forget what is in the trash", e);
}

int trashed_rename(struct db *db, int64_t id, const char *left, struct err *e)
{
	static const char *const sql[] = { "UPDATE OR REPLACE trashed SET folder = ?2 WHERE folder = (SELECT left FROM folder WHERE id = ?1)",
					   "UPDATE trashed SET trash = ?2 WHERE trash = (SELECT left FROM folder WHERE id = ?1)" };

	for (size_t i = 0; i < sizeof(sql) / sizeof(sql[0]); i++) {
		sqlite3_stmt *s = db_stmt(db, sql[i], e);

		if (!s)
			return -1;
		sqlite3_bind_int64(s, 1, id);
		db_bind(s, 2, slice_str(left));
		if (db_step(db, s, "rename a folder", e) < 0)
			return -1;
	}
	return 0;
}

/* Is anything as old as that? 1, 0, -1. */
static int any_before(struct db *db, int64_t before, struct err *e)
{
	sqlite3_stmt *s = db_stmt(db, "SELECT 1 FROM trashed WHERE noted < ?1 LIMIT 1", e);
	int rc;

	if (!s)
		return -1;
	sqlite3_bind_int64(s, 1, before);
	rc = db_step(db, s, "read what is in the trash", e);
	sqlite3_reset(s);
	return rc;
}

int trashed_expire(struct db *db, int64_t before, struct err *e)
{
	int rc = db_empty(db) ? 0 : any_before(db, before, e);

	if (rc <= 0)
		return rc;
	if (db_begin(db, e) < 0)
		return -1;
	if (db_change(db, "DELETE FROM trashed WHERE noted < ?1", &before, 1, "forget what is in the trash", e) < 0) {
		db_rollback(db);
		return -1;
	}
	return db_commit(db, e);
}

/* A number that a stranger may have put there. */
static enum trashed_state state_of(int n)
{
	return n == TRASHED_ASKED || n == TRASHED_DONE ? (enum trashed_state)n : TRASHED_KEPT;
}

int trashed_each(struct db *db, int64_t run, int (*cb)(void *arg, const struct trashed *t, struct err *e), void *arg, struct err *e)
{
	sqlite3_stmt *s;
	int rc;

	if (db_empty(db))
		return 0;
	s = db_stmt(db, "SELECT folder, left, trash, noted, state, told_size, told_date, mid, object FROM trashed WHERE run = ?1 ORDER BY folder, left", e);
	if (!s)
		return -1;
	sqlite3_bind_int64(s, 1, run);
	while ((rc = db_step(db, s, "read what is in the trash", e)) == 1) {
		struct trashed t = { .run = run, .folder = (const char *)sqlite3_column_text(s, 0), .key = db_column(s, 1),
				     .trash = (const char *)sqlite3_column_text(s, 2), .noted = sqlite3_column_int64(s, 3), .state = state_of(sqlite3_column_int(s, 4)) };

		told_columns(s, 5, &t.told);
		rc = cb(arg, &t, e);
		if (rc != 0) {
			sqlite3_reset(s);
			break;
		}
	}
	return rc < 0 ? -1 : 0;
}

int trashed_runs(struct db *db, int (*cb)(void *arg, const struct trashed_run *r, struct err *e), void *arg, struct err *e)
{
	sqlite3_stmt *s;
	int rc;

	if (db_empty(db))
		return 0;
	s = db_stmt(db, "SELECT run, max(noted), count(*) FROM trashed WHERE state <> 2 GROUP BY run ORDER BY run DESC", e);
	if (!s)
		return -1;
	while ((rc = db_step(db, s, "read what is in the trash", e)) == 1) {
		struct trashed_run r = { .run = sqlite3_column_int64(s, 0), .noted = sqlite3_column_int64(s, 1), .messages = (uint64_t)sqlite3_column_int64(s, 2) };

		rc = cb(arg, &r, e);
		if (rc != 0) {
			sqlite3_reset(s);
			break;
		}
	}
	return rc < 0 ? -1 : 0;
}
