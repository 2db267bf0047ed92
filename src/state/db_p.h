/* What db.c, which opens the base, stmt.c, which works in it, and pairs.c share. */
#ifndef STATE_DB_P_H
#define STATE_DB_P_H

#include <sqlite3.h>

#include "base/arena.h"
#include "base/vec.h"
#include "state/db.h"
#include "state/pairs.h"

#define PAIRS_AT_ONCE 16

struct stmt {
	const char *sql;
	sqlite3_stmt *s;
};

struct db {
	sqlite3 *h;
	char *path, *dir; /* without links */
	int lock;
	bool look, in_txn;
	bool light;           /* what is committed does not wait for the disk (db_begin_light) */
	bool suspect;         /* SQLite has failed */
	int64_t read_through; /* when the whole file was last found sound, seconds since 1970; 0: it must be now */
	bool was_there;       /* a run closed it once, by its lock file (seal.h) */
	bool making; /* it has no name yet */
	bool made;   /* the schema is there */
	VEC(struct stmt) stmts;
	struct {
		struct pair a[PAIRS_AT_ONCE];
		size_t n, full; /* full: so many statements of PAIRS_AT_ONCE were run */
		struct arena words; /* their slices' */
	} adding;  /* pairs of this transaction that are not in the table yet (pairadd.c) */
	bool pair_known;
	int64_t pair;  /* the highest id that a pair has, or had since the file was opened */
};

/* What to do with a file that can't be used; -1. */
int db_damage(const char *path, const char *what, struct err *e);
/* What to do where the system doesn't let us at the files; -1. */
int db_not_ours(struct err *e);

/* One SQL text without results. */
int db_run_sql(struct db *db, const char *sql, const char *doing, struct err *e);
/* A value of the meta table: 1, 0 none, -1. */
int db_meta_get(struct db *db, const char *key, char *out, size_t size, struct err *e);
int db_meta_put(struct db *db, const char *key, const char *value, struct err *e);

/* As db_stmt, which finds all pairs in the table that were added: this one may not. */
struct sqlite3_stmt *db_stmt_beside(struct db *db, const char *sql, struct err *e);

/* Give up the handle and all that hangs on it. */
void db_drop_handle(struct db *db);

#endif
