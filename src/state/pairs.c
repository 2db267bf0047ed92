#include "state/pairs_p.h"

#include <sqlite3.h>
#include <string.h>

#include "state/db_p.h"

#define COLUMNS "id, folder, left, right, hint, pending, raw, size, digest, made, gone, back, flags, told_size, told_date, mid, object"

/* Those of a folder that are pending, by the index of these few: left to itself SQLite takes that of all. */
#define PENDING "pair INDEXED BY pair_pending WHERE folder = ?1 AND pending"

/*
 * Those of a folder that are settled and not gone. Where there are few folders, the table as it stands, in the order of ids, is read sooner than a part of it in the disorder of
 * the index that the folder stands in.
 */
#define PRESENT(index) " FROM pair " index " WHERE folder = ?1 AND gone = 0 AND NOT pending"
#define PRESENT_OF_FEW PRESENT("NOT INDEXED")
#define PRESENT_OF_MANY PRESENT("INDEXED BY pair_digest")
#define MANY "8"

/* Eight bytes, or nothing. */
static bool column_eight(sqlite3_stmt *s, int i, unsigned char out[8])
{
	const void *p = sqlite3_column_blob(s, i);

	if (!p || sqlite3_column_bytes(s, i) != 8)
		return false;
	memcpy(out, p, 8);
	return true;
}

void told_columns(sqlite3_stmt *s, int at, struct told *out)
{
	*out = (struct told){ .size = (uint64_t)sqlite3_column_int64(s, at), .date = sqlite3_column_int64(s, at + 1) };
	out->has_mid = column_eight(s, at + 2, out->mid);
	out->has_object = column_eight(s, at + 3, out->object);
}

/* The row that stands in s. */
static void row(sqlite3_stmt *s, struct pair *out)
{
	const void *digest = sqlite3_column_blob(s, 8);

	memset(out, 0, sizeof(*out));
	out->id = sqlite3_column_int64(s, 0);
	out->folder = sqlite3_column_int64(s, 1);
	out->left = db_column(s, 2);
	out->right = db_column(s, 3);
	out->hint = db_column(s, 4);
	out->pending = sqlite3_column_int(s, 5) != 0;
	out->asked = !out->pending && sqlite3_column_type(s, 4) != SQLITE_NULL;
	out->raw = sqlite3_column_int(s, 6) != 0;
	out->size = (uint64_t)sqlite3_column_int64(s, 7);
	if (digest && sqlite3_column_bytes(s, 8) == (int)sizeof(out->digest))
		memcpy(out->digest, digest, sizeof(out->digest));
	out->made = sqlite3_column_int64(s, 9);
	out->gone = sqlite3_column_int64(s, 10);
	out->back = sqlite3_column_int(s, 11) != 0;
	out->two_way = sqlite3_column_type(s, 12) != SQLITE_NULL;
	out->flags = (uint64_t)sqlite3_column_int64(s, 12);
	told_columns(s, 13, &out->told);
}

/* One number by the folder. */
static int number(struct db *db, const char *sql, int64_t folder, int64_t *out, struct err *e)
{
	sqlite3_stmt *s = db_stmt(db, sql, e);

	if (!s)
		return -1;
	sqlite3_bind_int64(s, 1, folder);
	if (db_step(db, s, "look at the pairs", e) != 1)
		return -1;
	*out = sqlite3_column_int64(s, 0);
	sqlite3_reset(s);
	return 0;
}

/* Are there many folders? 1, 0, -1. */
static int are_many(struct db *db, struct err *e)
{
	int64_t is = 0;

	if (!db_empty(db) && number(db, "SELECT count(*) + ?1 >= " MANY " FROM (SELECT 1 FROM folder LIMIT " MANY ")", 0, &is, e) < 0)
		return -1;
	return is != 0;
}

/* Step a query for one pair. The statement stays at its row, so that the slices stay valid. */
static int one(struct db *db, sqlite3_stmt *s, struct pair *out, struct err *e)
{
	int rc = db_step(db, s, "read a pair", e);

	if (rc == 1)
		row(s, out);
	return rc;
}

int pairs_by_left(struct db *db, int64_t folder, struct slice left, struct pair *out, struct err *e)
{
	sqlite3_stmt *s;

	if (db_empty(db))
		return 0;
	s = db_stmt(db, "SELECT " COLUMNS " FROM pair WHERE folder = ?1 AND left = ?2 AND left <> ''", e);
	if (!s)
		return -1;
	sqlite3_bind_int64(s, 1, folder);
	db_bind(s, 2, left);
	return one(db, s, out, e);
}

int pairs_by_right(struct db *db, int64_t folder, struct slice right, struct pair *out, struct err *e)
{
	sqlite3_stmt *s;

	if (db_empty(db))
		return 0;
	s = db_stmt(db, "SELECT " COLUMNS " FROM pair WHERE folder = ?1 AND right = ?2 AND flags IS NOT NULL AND right <> ''", e);
	if (!s)
		return -1;
	sqlite3_bind_int64(s, 1, folder);
	db_bind(s, 2, right);
	return one(db, s, out, e);
}

int pairs_by_id(struct db *db, int64_t id, struct pair *out, struct err *e)
{
	sqlite3_stmt *s;

	if (db_empty(db))
		return 0;
	s = db_stmt(db, "SELECT " COLUMNS " FROM pair WHERE id = ?1", e);
	if (!s)
		return -1;
	sqlite3_bind_int64(s, 1, id);
	return one(db, s, out, e);
}

int pairs_by_digest(struct db *db, int64_t folder, const unsigned char digest[32], bool gone, int64_t after, struct pair *out, struct err *e)
{
	sqlite3_stmt *s;

	if (db_empty(db))
		return 0;
	s = db_stmt(db, "SELECT " COLUMNS " FROM pair WHERE folder = ?1 AND digest = ?2 AND (gone > 0) = ?4 AND id > ?3 ORDER BY id LIMIT 1", e);
	if (!s)
		return -1;
	sqlite3_bind_int64(s, 1, folder);
	sqlite3_bind_blob(s, 2, digest, 32, SQLITE_TRANSIENT);
	sqlite3_bind_int64(s, 3, after);
	sqlite3_bind_int(s, 4, gone);
	return one(db, s, out, e);
}

int pairs_by_object(struct db *db, const unsigned char object[8], int64_t after, struct pair *out, struct err *e)
{
	sqlite3_stmt *s;

	if (db_empty(db))
		return 0;
	s = db_stmt(db, "SELECT " COLUMNS " FROM pair WHERE object = ?1 AND id > ?2 AND NOT pending AND gone = 0 ORDER BY id LIMIT 1", e);
	if (!s)
		return -1;
	sqlite3_bind_blob(s, 1, object, 8, SQLITE_TRANSIENT);
	sqlite3_bind_int64(s, 2, after);
	return one(db, s, out, e);
}

int pairs_settle(struct db *db, int64_t id, struct err *e)
{
	return db_change(db, "UPDATE pair SET pending = 0, hint = NULL WHERE id = ?1", &id, 1, "change a pair", e);
}

int pairs_settle_all(struct db *db, int64_t folder, int64_t first, int64_t last, struct err *e)
{
	const int64_t which[] = { folder, first, last };

	/* "OR ROLLBACK" spares the journal that would be needed to undo this statement alone */
	return db_change(db, "UPDATE OR ROLLBACK pair SET pending = 0, hint = NULL WHERE folder = ?1 AND pending AND id BETWEEN ?2 AND ?3", which, 3, "settle pairs", e);
}

int pairs_arrive(struct db *db, int64_t id, enum pair_side side, struct slice key, struct err *e)
{
	sqlite3_stmt *s = db_stmt(db, side == PAIR_LEFT ? "UPDATE pair SET pending = 0, hint = NULL, left = ?2 WHERE id = ?1" :
							  "UPDATE pair SET pending = 0, hint = NULL, right = ?2 WHERE id = ?1", e);

	if (!s)
		return -1;
	sqlite3_bind_int64(s, 1, id);
	db_bind(s, 2, key);
	return db_step(db, s, "settle a pair", e) < 0 ? -1 : 0;
}

int pairs_flags(struct db *db, int64_t id, uint64_t flags, struct err *e)
{
	const int64_t v[] = { id, (int64_t)flags };

	return db_change(db, "UPDATE pair SET flags = ?2 WHERE id = ?1", v, 2, "change a pair", e);
}

int pairs_rekey(struct db *db, int64_t id, struct slice left, struct err *e)
{
	sqlite3_stmt *s = db_stmt(db, "UPDATE pair SET left = ?2, gone = 0, hint = iif(pending, hint, NULL) WHERE id = ?1", e);

	if (!s)
		return -1;
	sqlite3_bind_int64(s, 1, id);
	db_bind(s, 2, left);
	return db_step(db, s, "change a pair", e) < 0 ? -1 : 0;
}

int pairs_move(struct db *db, int64_t id, int64_t folder, struct slice left, struct slice right, int64_t date, struct err *e)
{
	sqlite3_stmt *s = pairs_know_ids(db, e) < 0 ? NULL : db_stmt(db, "UPDATE OR REPLACE pair SET folder = ?2, left = ?3, right = ?4, told_date = iif(?5 < 0, told_date, ?5) WHERE id = ?1", e);

	if (!s)
		return -1;
	sqlite3_bind_int64(s, 1, id);
	sqlite3_bind_int64(s, 2, folder);
	db_bind(s, 3, left);
	db_bind(s, 4, right);
	sqlite3_bind_int64(s, 5, date);
	return db_step(db, s, "move a pair", e) < 0 ? -1 : 0;
}

/* What is not known now is kept. */
#define TELL "told_size = iif(?2 > 0, ?2, told_size), told_date = iif(?3 > 0, ?3, told_date), mid = coalesce(?4, mid), object = coalesce(?5, object)"

int pairs_tell(struct db *db, int64_t id, const struct told *told, struct err *e)
{
	sqlite3_stmt *s = db_stmt(db, "UPDATE pair SET " TELL " WHERE id = ?1", e);

	if (!s)
		return -1;
	sqlite3_bind_int64(s, 1, id);
	told_bind(s, 2, told);
	return db_step(db, s, "change a pair", e) < 0 ? -1 : 0;
}

int pairs_rename(struct db *db, int64_t id, struct slice left, const struct told *told, struct err *e)
{
	sqlite3_stmt *s = db_stmt(db, "UPDATE pair SET left = ?6, " TELL " WHERE id = ?1", e);

	if (!s)
		return -1;
	sqlite3_bind_int64(s, 1, id);
	told_bind(s, 2, told);
	db_bind(s, 6, left);
	return db_step(db, s, "change a pair", e) < 0 ? -1 : 0;
}

/* The hint is of no use once it is settled: there it stands. */
int pairs_ask(struct db *db, int64_t first, int64_t last, bool asked, struct err *e)
{
	const int64_t v[] = { first, last };

	return db_change(db, asked ? "UPDATE OR ROLLBACK pair SET hint = 'asked' WHERE id BETWEEN ?1 AND ?2 AND NOT pending" :
				     "UPDATE OR ROLLBACK pair SET hint = NULL WHERE id BETWEEN ?1 AND ?2 AND NOT pending", v, 2, "change pairs", e);
}

int pairs_unkey(struct db *db, int64_t id, struct err *e)
{
	return db_change(db, "UPDATE pair SET left = '' WHERE id = ?1", &id, 1, "change a pair", e);
}

int pairs_unkey_all(struct db *db, int64_t folder, struct err *e)
{
	return db_change(db, "UPDATE pair SET left = '' WHERE folder = ?1 AND flags IS NOT NULL AND NOT pending", &folder, 1, "change a pair", e);
}

int pairs_gone(struct db *db, int64_t first, int64_t last, int64_t when, struct err *e)
{
	const int64_t v[] = { first, last, when };

	return db_change(db, "UPDATE OR ROLLBACK pair SET gone = ?3, hint = NULL WHERE id BETWEEN ?1 AND ?2", v, 3, "change pairs", e);
}

int pairs_drop(struct db *db, int64_t id, struct err *e)
{
	return pairs_know_ids(db, e) < 0 ? -1 : db_change(db, "DELETE FROM pair WHERE id = ?1", &id, 1, "change a pair", e);
}

int pairs_purge_gone(struct db *db, int64_t before, struct err *e)
{
	sqlite3_stmt *s = pairs_know_ids(db, e) < 0 ? NULL : db_stmt(db, "DELETE FROM pair WHERE gone > 0 AND gone < ?1 RETURNING id", e);
	int n = 0, rc;

	if (!s)
		return -1;
	sqlite3_bind_int64(s, 1, before);
	while ((rc = db_step(db, s, "purge pairs", e)) == 1)
		n++;
	return rc < 0 ? -1 : n;
}

/* Walk the rows of a query with the folder as its first parameter. */
static int walk(struct db *db, const char *sql, int64_t folder, pairs_cb *cb, void *arg, struct err *e)
{
	sqlite3_stmt *s;
	struct pair p;
	int rc;

	if (db_empty(db))
		return 0;
	s = db_stmt(db, sql, e);
	if (!s)
		return -1;
	sqlite3_bind_int64(s, 1, folder);
	while ((rc = one(db, s, &p, e)) == 1) {
		if (cb(arg, &p, e) < 0) {
			sqlite3_reset(s);
			return -1;
		}
	}
	return rc;
}

int pairs_pending(struct db *db, int64_t folder, bool back, pairs_cb *cb, void *arg, struct err *e)
{
	return walk(db, back ? "SELECT " COLUMNS " FROM " PENDING " AND back ORDER BY id" :
			       "SELECT " COLUMNS " FROM " PENDING " AND NOT back ORDER BY id", folder, cb, arg, e);
}

/* Each column costs as much as the walk itself: no more of them than needed. */
int pairs_by_key(struct db *db, int64_t folder, enum pair_side side, pair_keys_cb *cb, void *arg, struct err *e)
{
	sqlite3_stmt *s;
	int rc;

	if (db_empty(db))
		return 0;
	s = db_stmt(db, side == PAIR_LEFT ? "SELECT id, left, flags, told_date <> 0 FROM pair WHERE folder = ?1 AND left <> '' AND flags IS NOT NULL AND NOT pending ORDER BY left" :
					    "SELECT id, right, flags FROM pair WHERE folder = ?1 AND right <> '' AND flags IS NOT NULL AND NOT pending ORDER BY right", e);
	if (!s)
		return -1;
	sqlite3_bind_int64(s, 1, folder);
	while ((rc = db_step(db, s, "read the pairs", e)) == 1) {
		struct pair_key k = { .id = sqlite3_column_int64(s, 0), .key = db_column(s, 1), .flags = (uint64_t)sqlite3_column_int64(s, 2) };

		if (side == PAIR_LEFT)
			k.dated = sqlite3_column_int(s, 3) != 0;
		if (cb(arg, &k, e) < 0) {
			sqlite3_reset(s);
			return -1;
		}
	}
	return rc;
}

int pairs_present(struct db *db, int64_t folder, pairs_cb *cb, void *arg, struct err *e)
{
	int many = are_many(db, e);

	if (many < 0)
		return -1;
	return walk(db, many ? "SELECT " COLUMNS PRESENT_OF_MANY " ORDER BY id" : "SELECT " COLUMNS PRESENT_OF_FEW " ORDER BY id", folder, cb, arg, e);
}

int pairs_summary(struct db *db, int64_t folder, struct pairs_summary *out, struct err *e)
{
	int64_t pending;

	memset(out, 0, sizeof(*out));
	if (db_empty(db))
		return 0;
	if (number(db, "SELECT EXISTS(SELECT 1 FROM " PENDING ")", folder, &pending, e) < 0 ||
	    number(db, "SELECT coalesce(max(id), ?1 * 0) FROM pair", folder, &out->max_id, e) < 0)
		return -1;
	out->pending = pending != 0;
	return 0;
}

int pairs_oldest(struct db *db, int64_t folder, int64_t *made, struct err *e)
{
	int many = are_many(db, e);

	*made = 0;
	if (many < 0)
		return -1;
	return db_empty(db) ? 0 : number(db, many ? "SELECT coalesce(min(made), 0)" PRESENT_OF_MANY : "SELECT coalesce(min(made), 0)" PRESENT_OF_FEW, folder, made, e);
}

/* All but those that are pending or gone, which are never both: by indexes, of which the table need not be read. */
#define COUNT_ALL "SELECT (SELECT count(*) FROM pair) - (SELECT count(*) FROM pair WHERE pending) - (SELECT count(*) FROM pair WHERE gone > 0) - ?1"
#define COUNT_OF \
	"SELECT (SELECT count(*) FROM pair WHERE folder = ?1) - (SELECT count(*) FROM " PENDING ")" \
	" - (SELECT count(*) FROM pair INDEXED BY pair_gone WHERE folder = ?1 AND gone > 0)"

int pairs_total(struct db *db, uint64_t *out, struct err *e)
{
	int64_t n = 0;

	if (!db_empty(db) && number(db, COUNT_ALL, 0, &n, e) < 0)
		return -1;
	*out = n > 0 ? (uint64_t)n : 0;
	return 0;
}

int pairs_present_count(struct db *db, int64_t folder, uint64_t *out, struct err *e)
{
	int64_t n = 0;

	if (!db_empty(db) && number(db, COUNT_OF, folder, &n, e) < 0)
		return -1;
	*out = n > 0 ? (uint64_t)n : 0;
	return 0;
}
