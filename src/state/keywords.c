#include "state/keywords.h"

#include <sqlite3.h>

int keyword_rows_each(struct db *db, int64_t folder, int (*cb)(void *arg, const struct keyword_row *r, struct err *e), void *arg, struct err *e)
{
	sqlite3_stmt *s;
	int rc;

	if (db_empty(db))
		return 0;
	s = db_stmt(db, "SELECT place, name, left_letter, right_letter, refused, told FROM keyword WHERE folder = ?1 ORDER BY place", e);
	if (!s)
		return -1;
	sqlite3_bind_int64(s, 1, folder);
	while ((rc = db_step(db, s, "read keywords", e)) == 1) {
		const int refused = sqlite3_column_int(s, 4), told = sqlite3_column_int(s, 5);
		const struct keyword_row r = { .place = (unsigned)sqlite3_column_int(s, 0), .name = db_column(s, 1),
					       .letter = { (char)sqlite3_column_int(s, 2), (char)sqlite3_column_int(s, 3) },
					       .refused = { refused & 1, refused & 2 }, .told = { told & 1, told & 2 } };

		if (cb(arg, &r, e) < 0) {
			sqlite3_reset(s);
			return -1;
		}
	}
	return rc;
}

int keyword_rows_put(struct db *db, int64_t folder, const struct keyword_row *r, struct err *e)
{
	sqlite3_stmt *s = db_stmt(db, "INSERT OR REPLACE INTO keyword(folder, place, name, left_letter, right_letter, refused, told) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)", e);

	if (!s)
		return -1;
	sqlite3_bind_int64(s, 1, folder);
	sqlite3_bind_int64(s, 2, r->place);
	db_bind(s, 3, r->name);
	sqlite3_bind_int(s, 4, r->letter[0]);
	sqlite3_bind_int(s, 5, r->letter[1]);
	sqlite3_bind_int(s, 6, r->refused[0] | r->refused[1] << 1);
	sqlite3_bind_int(s, 7, r->told[0] | r->told[1] << 1);
	return db_step(db, s, "note a keyword", e) < 0 ? -1 : 0;
}
