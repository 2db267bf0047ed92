/* Statements and transactions: see db.h. */
#include "state/db_p.h"
#include "state/pairs_p.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Is it damage that SQLite speaks of? Our SQL is constant: where it makes no sense (SQLITE_ERROR), the schema is not what we made. */
static bool damaged(int rc)
{
	rc &= 0xff;
	return rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB || rc == SQLITE_ERROR || rc == SQLITE_SCHEMA;
}

int db_damage(const char *path, const char *what, struct err *e)
{
	err_set(e, ERR_LOCAL, "the state file %s is damaged: %s", path, what);
	return err_hint(e, "nothing was changed; restore it and its -wal from a backup, or move it away to start anew: mail that is still on the server "
			   "is then fetched again");
}

int db_not_ours(struct err *e)
{
	return err_hint(e, "the state directory and the files in it must be this user's to read and write; --state-dir names another directory");
}

int db_fail(struct db *db, const char *doing, struct err *e)
{
	int rc = sqlite3_extended_errcode(db->h), why;

	db->suspect = true;
	if (damaged(rc))
		return db_damage(db->path, sqlite3_errmsg(db->h), e);
	rc &= 0xff;
	err_set(e, rc == SQLITE_BUSY ? ERR_BUSY : ERR_LOCAL, "state %s: %s: %s", db->path, doing, sqlite3_errmsg(db->h));
	why = rc == SQLITE_IOERR ? sqlite3_system_errno(db->h) : 0;
	if (rc == SQLITE_FULL || why == ENOSPC || why == EDQUOT)
		err_hint(e, "make room on that file system");
	else if (why != 0)
		err_hint(e, "%s", strerror(why));
	else if (rc == SQLITE_CANTOPEN || rc == SQLITE_READONLY || rc == SQLITE_PERM)
		db_not_ours(e);
	return -1;
}

int db_run_sql(struct db *db, const char *sql, const char *doing, struct err *e)
{
	if (sqlite3_exec(db->h, sql, NULL, NULL, NULL) != SQLITE_OK)
		return db_fail(db, doing, e);
	return 0;
}

struct sqlite3_stmt *db_stmt(struct db *db, const char *sql, struct err *e)
{
	return db->adding.n > 0 && pairs_put(db, e) < 0 ? NULL : db_stmt_beside(db, sql, e);
}

struct sqlite3_stmt *db_stmt_beside(struct db *db, const char *sql, struct err *e)
{
	struct stmt st = { .sql = sql };

	for (size_t i = 0; i < db->stmts.n; i++) {
		if (db->stmts.a[i].sql == sql) {
			sqlite3_reset(db->stmts.a[i].s);
			return db->stmts.a[i].s;
		}
	}
	if (sqlite3_prepare_v3(db->h, sql, -1, SQLITE_PREPARE_PERSISTENT, &st.s, NULL) != SQLITE_OK) {
		db_fail(db, "prepare", e);
		return NULL;
	}
	if (vec_push(&db->stmts, st) < 0) {
		sqlite3_finalize(st.s);
		err_set(e, ERR_LOCAL, "out of memory");
		return NULL;
	}
	return st.s;
}

int db_step(struct db *db, struct sqlite3_stmt *s, const char *doing, struct err *e)
{
	int rc = sqlite3_step(s);

	if (rc == SQLITE_ROW)
		return 1;
	if (rc != SQLITE_DONE)
		db_fail(db, doing, e);
	sqlite3_reset(s);
	return rc == SQLITE_DONE ? 0 : -1;
}

struct slice db_column(sqlite3_stmt *s, int i)
{
	const void *p = sqlite3_column_text(s, i);

	return slice_of(p, p ? (size_t)sqlite3_column_bytes(s, i) : 0);
}

void db_bind(sqlite3_stmt *s, int i, struct slice v)
{
	sqlite3_bind_text(s, i, v.p ? v.p : "", (int)v.n, SQLITE_TRANSIENT);
}

int db_change(struct db *db, const char *sql, const int64_t *v, int n, const char *doing, struct err *e)
{
	sqlite3_stmt *s = db_stmt(db, sql, e);

	if (!s)
		return -1;
	for (int i = 0; i < n; i++)
		sqlite3_bind_int64(s, i + 1, v[i]);
	return db_step(db, s, doing, e) < 0 ? -1 : 0;
}

int db_meta_get(struct db *db, const char *key, char *out, size_t size, struct err *e)
{
	sqlite3_stmt *s = db_stmt(db, "SELECT value FROM meta WHERE key = ?1", e);
	int rc;

	if (!s)
		return -1;
	sqlite3_bind_text(s, 1, key, -1, SQLITE_STATIC);
	rc = db_step(db, s, "read", e);
	if (rc == 1) {
		const char *v = (const char *)sqlite3_column_text(s, 0);

		snprintf(out, size, "%s", v ? v : "");
		sqlite3_reset(s);
	}
	return rc;
}

int db_meta_put(struct db *db, const char *key, const char *value, struct err *e)
{
	sqlite3_stmt *s = db_stmt(db, "INSERT INTO meta(key, value) VALUES(?1, ?2) ON CONFLICT(key) DO UPDATE SET value = ?2", e);

	if (!s)
		return -1;
	sqlite3_bind_text(s, 1, key, -1, SQLITE_STATIC);
	sqlite3_bind_text(s, 2, value, -1, SQLITE_STATIC);
	return db_step(db, s, "write", e) < 0 ? -1 : 0;
}

/* Does its commit wait for the disk? SQLite wants to know before it begins. */
static int begin(struct db *db, bool waits, struct err *e)
{
	assert(!db->in_txn && !db->look);
	if (db->light == waits) {
		if (db_run_sql(db, waits ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL", "begin", e) < 0)
			return -1;
		db->light = !waits;
	}
	if (db_run_sql(db, "BEGIN IMMEDIATE", "begin", e) < 0)
		return -1;
	db->in_txn = true;
	return 0;
}

int db_begin(struct db *db, struct err *e)
{
	return begin(db, true, e);
}

int db_begin_light(struct db *db, struct err *e)
{
	return begin(db, false, e);
}

int db_commit(struct db *db, struct err *e)
{
	assert(db->in_txn);
	if ((db->adding.n > 0 && pairs_put(db, e) < 0) || db_run_sql(db, "COMMIT", "commit", e) < 0) {
		db_rollback(db);
		return -1;
	}
	db->in_txn = false;
	pairs_end(db);
	return 0;
}

void db_rollback(struct db *db)
{
	if (!db->in_txn)
		return;
	sqlite3_exec(db->h, "ROLLBACK", NULL, NULL, NULL);
	db->in_txn = false;
	pairs_end(db);
}

bool db_in_transaction(const struct db *db)
{
	return db->in_txn;
}

void db_drop_handle(struct db *db)
{
	for (size_t i = 0; i < db->stmts.n; i++)
		sqlite3_finalize(db->stmts.a[i].s);
	vec_clear(&db->stmts);
	sqlite3_close(db->h);
	db->h = NULL;
}
