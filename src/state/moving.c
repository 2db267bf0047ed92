#include "state/moving.h"

#include <sqlite3.h>

int moving_put(struct db *db, const struct moving *m, struct err *e)
{
	sqlite3_stmt *s = db_stmt(db, "INSERT OR REPLACE INTO moving(folder, right, target) VALUES(?1, ?2, ?3)", e);

	if (!s)
		return -1;
	sqlite3_bind_int64(s, 1, m->from);
	db_bind(s, 2, m->right);
	sqlite3_bind_int64(s, 3, m->to);
	return db_step(db, s, "note a move", e) < 0 ? -1 : 0;
}

int moving_drop(struct db *db, int64_t from, struct slice right, struct err *e)
{
	sqlite3_stmt *s = db_stmt(db, "DELETE FROM moving WHERE folder = ?1 AND right = ?2", e);

	if (!s)
		return -1;
	sqlite3_bind_int64(s, 1, from);
	db_bind(s, 2, right);
	return db_step(db, s, "note a move", e) < 0 ? -1 : 0;
}

int moving_each(struct db *db, int (*cb)(void *arg, const struct moving *m, struct err *e), void *arg, struct err *e)
{
	sqlite3_stmt *s;
	int rc;

	if (db_empty(db))
		return 0;
	s = db_stmt(db, "SELECT folder, right, target FROM moving", e);
	if (!s)
		return -1;
	while ((rc = db_step(db, s, "read moves", e)) == 1) {
		const struct moving m = { .from = sqlite3_column_int64(s, 0), .right = db_column(s, 1), .to = sqlite3_column_int64(s, 2) };

		if (cb(arg, &m, e) < 0) {
			sqlite3_reset(s);
			return -1;
		}
	}
	return rc;
}
