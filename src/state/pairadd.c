/*
 * Pairs that are added. A statement costs as much as what it does, so those of a transaction wait for each other, and go into the table several at once: at the latest before
 * any other statement, which so finds them there, and before the commit.
 */
#include "state/pairs_p.h"

#include <string.h>

#include "state/db_p.h"

/* "OR FAIL": what makes it fail undoes the transaction anyway; and it spares the journal that would be needed to undo this statement alone. */
#define INSERT "INSERT OR FAIL INTO pair(folder, left, right, hint, pending, raw, size, digest, made, gone, back, flags, told_size, told_date, mid, object, id) VALUES"
#define ROW "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
#define PARAMETERS 17
#define MANY 64 /* statements: then what they change doesn't fit into the usual memory */
#define ROWS_4 ROW "," ROW "," ROW "," ROW
#define ROWS_16 ROWS_4 "," ROWS_4 "," ROWS_4 "," ROWS_4
_Static_assert(PAIRS_AT_ONCE == 16, "as many as ROWS_16 has");

int pairs_know_ids(struct db *db, struct err *e)
{
	sqlite3_stmt *s;

	if (db->pair_known)
		return 0;
	s = db_stmt(db, "SELECT coalesce(max(id), 0) FROM pair", e);
	if (!s || db_step(db, s, "look at the pairs", e) != 1)
		return -1;
	db->pair = sqlite3_column_int64(s, 0);
	sqlite3_reset(s);
	db->pair_known = true;
	return 0;
}

static void bind_eight(sqlite3_stmt *s, int i, bool has, const unsigned char v[8], sqlite3_destructor_type lasts)
{
	if (has)
		sqlite3_bind_blob(s, i, v, 8, lasts);
	else
		sqlite3_bind_null(s, i);
}

static void bind_told(sqlite3_stmt *s, int at, const struct told *t, sqlite3_destructor_type lasts)
{
	sqlite3_bind_int64(s, at, (sqlite3_int64)t->size);
	sqlite3_bind_int64(s, at + 1, t->date);
	bind_eight(s, at + 2, t->has_mid, t->mid, lasts);
	bind_eight(s, at + 3, t->has_object, t->object, lasts);
}

void told_bind(sqlite3_stmt *s, int at, const struct told *t)
{
	bind_told(s, at, t, SQLITE_TRANSIENT);
}

static void bind_text(sqlite3_stmt *s, int i, struct slice v)
{
	sqlite3_bind_text(s, i, v.p ? v.p : "", (int)v.n, SQLITE_STATIC);
}

/* One row, by the parameters behind `at`. All is bound as it lies there: it lasts until the statement was run. */
static void bind_pair(sqlite3_stmt *s, int at, const struct pair *p)
{
	sqlite3_bind_int64(s, at + 1, p->folder);
	bind_text(s, at + 2, p->left);
	bind_text(s, at + 3, p->right);
	if (p->pending)
		bind_text(s, at + 4, p->hint);
	else
		sqlite3_bind_null(s, at + 4);
	sqlite3_bind_int(s, at + 5, p->pending);
	sqlite3_bind_int(s, at + 6, p->raw);
	sqlite3_bind_int64(s, at + 7, (sqlite3_int64)p->size);
	sqlite3_bind_blob(s, at + 8, p->digest, (int)sizeof(p->digest), SQLITE_STATIC);
	sqlite3_bind_int64(s, at + 9, p->made);
	sqlite3_bind_int64(s, at + 10, p->gone);
	sqlite3_bind_int(s, at + 11, p->back);
	if (p->two_way)
		sqlite3_bind_int64(s, at + 12, (sqlite3_int64)p->flags);
	else
		sqlite3_bind_null(s, at + 12);
	bind_told(s, at + 13, &p->told, SQLITE_STATIC);
	sqlite3_bind_int64(s, at + 17, p->id);
}

static int insert(struct db *db, const struct pair *p, size_t n, struct err *e)
{
	sqlite3_stmt *s = db_stmt_beside(db, n == PAIRS_AT_ONCE ? INSERT ROWS_16 : INSERT ROW, e);

	if (!s)
		return -1;
	for (size_t i = 0; i < n; i++)
		bind_pair(s, (int)i * PARAMETERS, &p[i]);
	return db_step(db, s, "add a pair", e) < 0 ? -1 : 0;
}

int pairs_put(struct db *db, struct err *e)
{
	const size_t n = db->adding.n;
	int rc = 0;

	db->adding.n = 0;
	if (n == PAIRS_AT_ONCE) {
		if (++db->adding.full == MANY)
			db_cache(db, true);
		rc = insert(db, db->adding.a, n, e);
	}
	for (size_t i = 0; n < PAIRS_AT_ONCE && rc == 0 && i < n; i++)
		rc = insert(db, &db->adding.a[i], 1, e);
	arena_reset(&db->adding.words);
	return rc;
}

void pairs_end(struct db *db)
{
	if (db->adding.full >= MANY)
		db_cache(db, false);
	db->adding.n = db->adding.full = 0;
	arena_reset(&db->adding.words);
}

/* A copy that lasts until the pairs are put into the table. */
static struct pair kept(struct arena *a, const struct pair *p)
{
	struct pair own = *p;

	own.left = arena_slice(a, p->left);
	own.right = arena_slice(a, p->right);
	own.hint = p->pending ? arena_slice(a, p->hint) : (struct slice){ "", 0 };
	return own;
}

int pairs_add(struct db *db, struct pair *p, struct err *e)
{
	struct pair *own = &db->adding.a[db->adding.n];

	if (pairs_know_ids(db, e) < 0)
		return -1;
	p->id = db->pair + 1;
	if (!db->in_txn) {
		if (insert(db, p, 1, e) < 0)
			return -1;
	} else {
		*own = kept(&db->adding.words, p);
		if (!own->left.p || !own->right.p || !own->hint.p)
			return err_set(e, ERR_LOCAL, "out of memory");
		db->adding.n++;
		if (db->adding.n == PAIRS_AT_ONCE && pairs_put(db, e) < 0)
			return -1;
	}
	db->pair++;
	return 0;
}
