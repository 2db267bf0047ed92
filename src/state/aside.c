#include "state/aside.h"

#include <sqlite3.h>
#include <string.h>

int aside_put(struct db *db, const struct aside *a, struct err *e)
{
	sqlite3_stmt *s = db_stmt(db, "INSERT INTO aside(id, folder, right, flags, date) VALUES(1, ?1, ?2, ?3, ?4)", e);

	if (!s)
		return -1;
	sqlite3_bind_int64(s, 1, a->folder);
	db_bind(s, 2, a->right);
	sqlite3_bind_int64(s, 3, (int64_t)a->flags);
	sqlite3_bind_int64(s, 4, a->date);
	return db_step(db, s, "keep a message aside", e) < 0 ? -1 : 0;
}

int aside_write(struct db *db, const void *p, size_t n, struct err *e)
{
	sqlite3_stmt *s;

	if (n == 0)
		return 0;
	s = db_stmt(db, "INSERT INTO aside_text(at, bytes) SELECT coalesce(max(at + length(bytes)), 0), ?1 FROM aside_text", e);
	if (!s)
		return -1;
	sqlite3_bind_blob64(s, 1, p, n, SQLITE_TRANSIENT);
	return db_step(db, s, "keep a message aside", e) < 0 ? -1 : 0;
}

int aside_hint(struct db *db, struct slice hint, const unsigned char digest[32], struct err *e)
{
	sqlite3_stmt *s = db_stmt(db, "UPDATE aside SET hint = ?1, digest = ?2", e);

	if (!s)
		return -1;
	db_bind(s, 1, hint);
	sqlite3_bind_blob(s, 2, digest, 32, SQLITE_TRANSIENT);
	return db_step(db, s, "keep a message aside", e) < 0 ? -1 : 0;
}

int aside_drop(struct db *db, struct err *e)
{
	if (db_change(db, "DELETE FROM aside", NULL, 0, "forget a message that was kept aside", e) < 0)
		return -1;
	return db_change(db, "DELETE FROM aside_text", NULL, 0, "forget a message that was kept aside", e);
}

int aside_get(struct db *db, struct aside *out, struct err *e)
{
	sqlite3_stmt *s;
	int rc;

	*out = (struct aside){ .folder = 0 };
	if (db_empty(db))
		return 0;
	s = db_stmt(db, "SELECT folder, right, flags, date, (SELECT coalesce(max(at + length(bytes)), 0) FROM aside_text), hint, digest FROM aside", e);
	rc = s ? db_step(db, s, "read what was kept aside", e) : -1;
	if (rc != 1)
		return rc;
	out->folder = sqlite3_column_int64(s, 0);
	out->right = db_column(s, 1);
	out->flags = (uint64_t)sqlite3_column_int64(s, 2);
	out->date = sqlite3_column_int64(s, 3);
	out->size = (uint64_t)sqlite3_column_int64(s, 4);
	out->hint = db_column(s, 5);
	if (sqlite3_column_bytes(s, 6) == sizeof(out->digest))
		memcpy(out->digest, sqlite3_column_blob(s, 6), sizeof(out->digest));
	return 1;
}

ssize_t aside_read(struct db *db, uint64_t at, void *buf, size_t n, struct err *e)
{
	sqlite3_stmt *s = db_stmt(db, "SELECT at, bytes FROM aside_text WHERE at <= ?1 ORDER BY at DESC LIMIT 1", e);
	size_t from, have;
	int rc;

	if (!s)
		return -1;
	sqlite3_bind_int64(s, 1, (int64_t)at);
	rc = db_step(db, s, "read what was kept aside", e);
	if (rc != 1)
		return rc;
	from = (size_t)(at - (uint64_t)sqlite3_column_int64(s, 0));
	have = (size_t)sqlite3_column_bytes(s, 1);
	if (from >= have)
		n = 0;
	else if (n > have - from)
		n = have - from;
	if (n > 0)
		memcpy(buf, (const char *)sqlite3_column_blob(s, 1) + from, n);
	sqlite3_reset(s);
	return (ssize_t)n;
}
