#include "state/runs.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "state/db_p.h"
#include "state/pairs_p.h"
#include "state/trashed.h"

#define RUNS_KEPT 100

static void copy_text(char *out, size_t size, sqlite3_stmt *s, int i)
{
	const char *v = (const char *)sqlite3_column_text(s, i);

	snprintf(out, size, "%s", v ? v : "");
}

int folders_get(struct db *db, const char *left, const char *right, struct folder_row *out, struct err *e)
{
	sqlite3_stmt *s;
	int rc;

	memset(out, 0, sizeof(*out));
	if (db_empty(db))
		return 0;
	s = db_stmt(db, "SELECT id, left_stamp, right_stamp FROM folder WHERE left = ?1 AND right = ?2", e);
	if (!s)
		return -1;
	sqlite3_bind_text(s, 1, left, -1, SQLITE_STATIC);
	sqlite3_bind_text(s, 2, right, -1, SQLITE_STATIC);
	rc = db_step(db, s, "read a folder", e);
	if (rc == 1) {
		out->id = sqlite3_column_int64(s, 0);
		copy_text(out->left_stamp, sizeof(out->left_stamp), s, 1);
		copy_text(out->right_stamp, sizeof(out->right_stamp), s, 2);
		sqlite3_reset(s);
		return 0;
	}
	if (rc < 0 || !db_in_transaction(db))
		return rc;
	s = db_stmt(db, "INSERT INTO folder(left, right) VALUES(?1, ?2) RETURNING id", e);
	if (!s)
		return -1;
	sqlite3_bind_text(s, 1, left, -1, SQLITE_STATIC);
	sqlite3_bind_text(s, 2, right, -1, SQLITE_STATIC);
	if (db_step(db, s, "add a folder", e) != 1)
		return -1;
	out->id = sqlite3_column_int64(s, 0);
	sqlite3_reset(s);
	return 0;
}

/* Change two texts of a folder, that of the left and that of the right. */
static int change_folder(struct db *db, const char *sql, int64_t id, const char *left, const char *right, const char *doing, struct err *e)
{
	sqlite3_stmt *s = db_stmt(db, sql, e);

	if (!s)
		return -1;
	sqlite3_bind_int64(s, 1, id);
	sqlite3_bind_text(s, 2, left, -1, SQLITE_TRANSIENT);
	sqlite3_bind_text(s, 3, right, -1, SQLITE_TRANSIENT);
	return db_step(db, s, doing, e) < 0 ? -1 : 0;
}

int folders_rename(struct db *db, int64_t id, const char *left, const char *right, struct err *e)
{
	if (trashed_rename(db, id, left, e) < 0)
		return -1;
	return change_folder(db, "UPDATE folder SET left = ?2, right = ?3 WHERE id = ?1", id, left, right, "rename a folder", e);
}

int folders_stamp(struct db *db, int64_t id, const char *left_stamp, const char *right_stamp, struct err *e)
{
	return change_folder(db, "UPDATE folder SET left_stamp = ?2, right_stamp = ?3 WHERE id = ?1", id, left_stamp, right_stamp, "stamp a folder", e);
}

int folders_each(struct db *db, int (*cb)(void *arg, int64_t id, const char *left, const char *right, struct err *e), void *arg, struct err *e)
{
	sqlite3_stmt *s;
	int rc;

	if (db_empty(db))
		return 0;
	s = db_stmt(db, "SELECT id, left, right FROM folder ORDER BY id", e);
	if (!s)
		return -1;
	while ((rc = db_step(db, s, "read folders", e)) == 1) {
		if (cb(arg, sqlite3_column_int64(s, 0), (const char *)sqlite3_column_text(s, 1), (const char *)sqlite3_column_text(s, 2), e) < 0) {
			sqlite3_reset(s);
			return -1;
		}
	}
	return rc;
}

int folders_drop(struct db *db, int64_t id, struct err *e)
{
	static const char *const sql[] = { "DELETE FROM pair WHERE folder = ?1", "DELETE FROM failure WHERE folder = ?1", "DELETE FROM keyword WHERE folder = ?1",
					   "DELETE FROM moving WHERE folder = ?1 OR target = ?1", "DELETE FROM folder WHERE id = ?1" };

	if (pairs_know_ids(db, e) < 0)
		return -1;
	for (size_t i = 0; i < sizeof(sql) / sizeof(sql[0]); i++)
		if (db_change(db, sql[i], &id, 1, "drop a folder", e) < 0)
			return -1;
	return 0;
}

int64_t runs_future(int64_t when, int64_t now, int64_t most)
{
	return when - now > most ? 0 : when;
}

#define FAILURE_COLUMNS "folder, back, key, kind, reason, size, tries, since, next"

static void failure_row(sqlite3_stmt *s, struct failure *f)
{
	int kind = sqlite3_column_int(s, 3);

	f->folder = sqlite3_column_int64(s, 0);
	f->back = sqlite3_column_int(s, 1) != 0;
	f->key = db_column(s, 2);
	f->kind = kind >= 0 && kind < ERR_KINDS ? (enum err_kind)kind : ERR_REFUSED;
	f->reason = db_column(s, 4);
	f->size = (uint64_t)sqlite3_column_int64(s, 5);
	f->tries = (unsigned)sqlite3_column_int(s, 6);
	f->since = sqlite3_column_int64(s, 7);
	f->next = sqlite3_column_int64(s, 8);
}

static void bind_key(sqlite3_stmt *s, int64_t folder, bool back, struct slice key)
{
	sqlite3_bind_int64(s, 1, folder);
	sqlite3_bind_int(s, 2, back);
	db_bind(s, 3, key);
}

int failures_get(struct db *db, int64_t folder, bool back, struct slice key, struct failure *out, struct err *e)
{
	sqlite3_stmt *s;
	int rc;

	if (db_empty(db))
		return 0;
	s = db_stmt(db, "SELECT " FAILURE_COLUMNS " FROM failure WHERE folder = ?1 AND back = ?2 AND key = ?3", e);
	if (!s)
		return -1;
	bind_key(s, folder, back, key);
	rc = db_step(db, s, "read a failure", e);
	if (rc == 1)
		failure_row(s, out);
	return rc;
}

int failures_put(struct db *db, const struct failure *f, struct err *e)
{
	sqlite3_stmt *s = db_stmt(db, "INSERT INTO failure(" FAILURE_COLUMNS ") VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
				      " ON CONFLICT(folder, back, key) DO UPDATE SET kind = ?4, reason = ?5, size = ?6, tries = ?7, next = ?9", e);

	if (!s)
		return -1;
	bind_key(s, f->folder, f->back, f->key);
	sqlite3_bind_int(s, 4, (int)f->kind);
	db_bind(s, 5, f->reason);
	sqlite3_bind_int64(s, 6, (sqlite3_int64)f->size);
	sqlite3_bind_int(s, 7, (int)f->tries);
	sqlite3_bind_int64(s, 8, f->since);
	sqlite3_bind_int64(s, 9, f->next);
	return db_step(db, s, "note a failure", e) < 0 ? -1 : 0;
}

int failures_clear(struct db *db, int64_t folder, bool back, struct slice key, struct err *e)
{
	sqlite3_stmt *s = db_stmt(db, "DELETE FROM failure WHERE folder = ?1 AND back = ?2 AND key = ?3", e);

	if (!s)
		return -1;
	bind_key(s, folder, back, key);
	return db_step(db, s, "clear a failure", e) < 0 ? -1 : 0;
}

int failures_forget(struct db *db, int64_t folder, bool back, struct err *e)
{
	const int64_t which[] = { folder, back };

	return db_change(db, "DELETE FROM failure WHERE folder = ?1 AND back = ?2", which, 2, "clear failures", e);
}

int failures_each(struct db *db, int (*cb)(void *arg, const struct failure *f, struct err *e), void *arg, struct err *e)
{
	sqlite3_stmt *s;
	struct failure f;
	int rc;

	if (db_empty(db))
		return 0;
	s = db_stmt(db, "SELECT " FAILURE_COLUMNS " FROM failure ORDER BY since, folder, back, key", e);
	if (!s)
		return -1;
	while ((rc = db_step(db, s, "read failures", e)) == 1) {
		failure_row(s, &f);
		if (cb(arg, &f, e) < 0) {
			sqlite3_reset(s);
			return -1;
		}
	}
	return rc;
}

int failures_count(struct db *db, uint64_t *failed, uint64_t *skipped, int64_t *next, struct err *e)
{
	sqlite3_stmt *s;

	*failed = *skipped = 0;
	*next = 0;
	if (db_empty(db))
		return 0;
	s = db_stmt(db, "SELECT coalesce(sum(kind <> 0), 0), coalesce(sum(kind = 0), 0), coalesce(min(CASE WHEN kind <> 0 THEN next END), 0) FROM failure", e);
	if (!s)
		return -1;
	if (db_step(db, s, "count failures", e) != 1)
		return -1;
	*failed = (uint64_t)sqlite3_column_int64(s, 0);
	*skipped = (uint64_t)sqlite3_column_int64(s, 1);
	*next = sqlite3_column_int64(s, 2);
	sqlite3_reset(s);
	return 0;
}

#define RUN_COLUMNS "id, started, ended, kind, text, pulled, deleted, failed, skipped, bytes_in, seconds, pushed, flagged, deleted_left"

int runs_add(struct db *db, const struct run_row *r, struct err *e)
{
	sqlite3_stmt *s;

	if (db_begin_light(db, e) < 0)
		return -1;
	s = db_stmt(db, "INSERT INTO run(" RUN_COLUMNS ") VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)", e);
	if (!s)
		goto fail;
	if (r->id != 0)
		sqlite3_bind_int64(s, 1, r->id);
	else
		sqlite3_bind_null(s, 1);
	sqlite3_bind_int64(s, 2, r->started);
	sqlite3_bind_int64(s, 3, r->ended);
	sqlite3_bind_int(s, 4, (int)r->kind);
	sqlite3_bind_text(s, 5, r->text, -1, SQLITE_TRANSIENT);
	sqlite3_bind_int64(s, 6, (sqlite3_int64)r->pulled);
	sqlite3_bind_int64(s, 7, (sqlite3_int64)r->deleted);
	sqlite3_bind_int64(s, 8, (sqlite3_int64)r->failed);
	sqlite3_bind_int64(s, 9, (sqlite3_int64)r->skipped);
	sqlite3_bind_int64(s, 10, (sqlite3_int64)r->bytes_in);
	sqlite3_bind_double(s, 11, r->seconds);
	sqlite3_bind_int64(s, 12, (sqlite3_int64)r->pushed);
	sqlite3_bind_int64(s, 13, (sqlite3_int64)r->flagged);
	sqlite3_bind_int64(s, 14, (sqlite3_int64)r->deleted_left);
	if (db_step(db, s, "note the run", e) < 0)
		goto fail;
	s = db_stmt(db, "DELETE FROM run WHERE id <= (SELECT max(id) FROM run) - ?1", e);
	if (!s)
		goto fail;
	sqlite3_bind_int(s, 1, RUNS_KEPT);
	if (db_step(db, s, "drop old runs", e) < 0)
		goto fail;
	return db_commit(db, e);
fail:
	db_rollback(db);
	return -1;
}

/* The row that a query gives: 1, 0 none, -1. */
static int read_run(struct db *db, sqlite3_stmt *s, struct run_row *out, struct err *e)
{
	int rc = db_step(db, s, "read a run", e), kind;

	if (rc != 1)
		return rc;
	out->id = sqlite3_column_int64(s, 0);
	out->started = sqlite3_column_int64(s, 1);
	out->ended = sqlite3_column_int64(s, 2);
	kind = sqlite3_column_int(s, 3);
	out->kind = kind >= 0 && kind < ERR_KINDS ? (enum err_kind)kind : ERR_LOCAL;
	copy_text(out->text, sizeof(out->text), s, 4);
	out->pulled = (uint64_t)sqlite3_column_int64(s, 5);
	out->deleted = (uint64_t)sqlite3_column_int64(s, 6);
	out->failed = (uint64_t)sqlite3_column_int64(s, 7);
	out->skipped = (uint64_t)sqlite3_column_int64(s, 8);
	out->bytes_in = (uint64_t)sqlite3_column_int64(s, 9);
	out->seconds = sqlite3_column_double(s, 10);
	out->pushed = (uint64_t)sqlite3_column_int64(s, 11);
	out->flagged = (uint64_t)sqlite3_column_int64(s, 12);
	out->deleted_left = (uint64_t)sqlite3_column_int64(s, 13);
	sqlite3_reset(s);
	return 1;
}

int runs_last(struct db *db, struct run_row *out, struct err *e)
{
	sqlite3_stmt *s;

	memset(out, 0, sizeof(*out));
	if (db_empty(db))
		return 0;
	s = db_stmt(db, "SELECT " RUN_COLUMNS " FROM run ORDER BY id DESC LIMIT 1", e);
	return s ? read_run(db, s, out, e) : -1;
}

int runs_get(struct db *db, int64_t id, struct run_row *out, struct err *e)
{
	sqlite3_stmt *s;

	memset(out, 0, sizeof(*out));
	if (db_empty(db))
		return 0;
	s = db_stmt(db, "SELECT " RUN_COLUMNS " FROM run WHERE id = ?1", e);
	if (!s)
		return -1;
	sqlite3_bind_int64(s, 1, id);
	return read_run(db, s, out, e);
}

int runs_next(struct db *db, int64_t *id, struct err *e)
{
	sqlite3_stmt *s;

	*id = 1;
	if (db_empty(db))
		return 0;
	s = db_stmt(db, "SELECT coalesce(max(id), 0) + 1 FROM run", e);
	if (!s || db_step(db, s, "number the run", e) != 1)
		return -1;
	*id = sqlite3_column_int64(s, 0);
	sqlite3_reset(s);
	return 0;
}

int pause_set(struct db *db, int64_t until, const char *reason, struct err *e)
{
	sqlite3_stmt *s;

	if (db_begin(db, e) < 0)
		return -1;
	s = db_stmt(db, "DELETE FROM meta WHERE key IN ('pause', 'pause_reason')", e);
	if (!s || db_step(db, s, "clear the pause", e) < 0)
		goto fail;
	if (until > 0) {
		s = db_stmt(db, "INSERT INTO meta(key, value) VALUES('pause', ?1), ('pause_reason', ?2)", e);
		if (!s)
			goto fail;
		sqlite3_bind_int64(s, 1, until);
		sqlite3_bind_text(s, 2, reason, -1, SQLITE_TRANSIENT);
		if (db_step(db, s, "note the pause", e) < 0)
			goto fail;
	}
	return db_commit(db, e);
fail:
	db_rollback(db);
	return -1;
}

int pause_get(struct db *db, int64_t *until, char *reason, size_t size, struct err *e)
{
	sqlite3_stmt *s;
	int rc;

	*until = 0;
	reason[0] = '\0';
	if (db_empty(db))
		return 0;
	s = db_stmt(db, "SELECT CAST(a.value AS INTEGER), b.value FROM meta a JOIN meta b ON b.key = 'pause_reason' WHERE a.key = 'pause'", e);
	if (!s)
		return -1;
	rc = db_step(db, s, "read the pause", e);
	if (rc == 1) {
		*until = sqlite3_column_int64(s, 0);
		copy_text(reason, size, s, 1);
		sqlite3_reset(s);
		rc = 0;
	}
	return rc;
}

/* A row of meta for each side: "SINCE BYTES". */
static const char *traffic_key(int side)
{
	return side == 0 ? "traffic_left" : "traffic_right";
}

int traffic_put(struct db *db, int side, int64_t since, uint64_t bytes, struct err *e)
{
	bool own = !db_in_transaction(db);
	char text[64];

	snprintf(text, sizeof(text), "%lld %llu", (long long)since, (unsigned long long)bytes);
	if (own && db_begin(db, e) < 0)
		return -1;
	if (db_meta_put(db, traffic_key(side), text, e) == 0)
		return own ? db_commit(db, e) : 0;
	if (own)
		db_rollback(db);
	return -1;
}

int traffic_get(struct db *db, int side, int64_t *since, uint64_t *bytes, struct err *e)
{
	char text[64];
	struct slice rest, word;
	uint64_t then;
	int rc;

	*since = 0;
	*bytes = 0;
	if (db_empty(db))
		return 0;
	rc = db_meta_get(db, traffic_key(side), text, sizeof(text), e);
	if (rc <= 0)
		return rc;
	rest = slice_str(text);
	word = slice_word(&rest);
	if (slice_u64(word, INT64_MAX, &then) && slice_u64(slice_word(&rest), UINT64_MAX, bytes))
		*since = (int64_t)then;
	return 0;
}

#define APART "sides_apart"

int sides_apart_put(struct db *db, struct err *e)
{
	return db_meta_put(db, APART, "1", e);
}

int sides_apart(struct db *db, struct err *e)
{
	char text[8];

	return db_empty(db) ? 0 : db_meta_get(db, APART, text, sizeof(text), e);
}
