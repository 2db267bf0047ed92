/*
 * The base of one job: one SQLite file (WAL; a commit that returned has survived a power cut, but for db_begin_light), mode 0600, and beside it FILE.lock, whose
 * holder runs the job; the lock dies with its process. The lock file's mtime is when the job last ended, so that a run in which nothing changed writes nothing.
 *
 * A file that is not as the last run left it (seal.h) is read through before it is used. One that is damaged, of a newer version, or of another mailbox is an error that says how to go on; it is never replaced by an empty one.
 */
#ifndef STATE_DB_H
#define STATE_DB_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/slice.h"

struct db;
struct sqlite3_stmt;

enum db_how {
	DB_RUN,         /* take the lock, create when there never was one */
	DB_RUN_ANEW,    /* the same, also when it was lost: the job finds out by itself what both sides hold */
	DB_RUN_ADOPT,   /* the same, and take over a file that was written for another source */
	DB_LOOK,        /* no lock, no writes; a missing file is an empty base */
	DB_DRY_RUN,     /* the same, but one that was lost is an error, as it is for DB_RUN */
};

/*
 * path: absolute, its directory exists. source: what identifies the mailbox on the left ("pop3:jane@pop.example.org"); NULL: not checked, of one that is looked at.
 * ERR_BUSY when another process runs the job (text names its pid).
 */
int db_open(const char *path, enum db_how how, const char *source, struct db **out, struct err *e);
void db_close(struct db *db); /* NULL is fine; an open transaction is rolled back */

/* Of one that is looked at: there is no file yet. */
bool db_empty(const struct db *db);

/* Most pairs of a folder are about to change in one transaction: keep more of the file in memory meanwhile; or (false) no more than usual. */
void db_cache(struct db *db, bool much);

/* Note that a run has ended now (the lock file's mtime). */
void db_touch(struct db *db);
/* When a run last ended, seconds since 1970; 0 never. Needs no open db. */
int64_t db_last_end(const char *path);
/* The pid that runs the job at path now; 0 none. */
pid_t db_holder(const char *path);

/* begin is immediate; commit returns after the WAL is on disk. Nested begins are a bug. */
int db_begin(struct db *db, struct err *e);
/*
 * For what nothing stands on that is done before the next commit that waits, and that is found out again if it is lost: commit does not wait for the disk. With that other commit, or when
 * the file is closed, by the last who has it open, it is there, too; a power failure before that takes it, and all such behind it. What kills a process alone takes nothing.
 */
int db_begin_light(struct db *db, struct err *e);
int db_commit(struct db *db, struct err *e);
void db_rollback(struct db *db); /* nothing when no transaction is open */
bool db_in_transaction(const struct db *db);

/* For the files of this layer. A statement is prepared once for each sql (whose pointer must be constant) and reset here. */
struct sqlite3_stmt *db_stmt(struct db *db, const char *sql, struct err *e);
int db_fail(struct db *db, const char *doing, struct err *e); /* SQLite's last error as ERR_LOCAL; -1 */
int db_step(struct db *db, struct sqlite3_stmt *s, const char *doing, struct err *e); /* 1 row, 0 done (reset), -1 */
struct slice db_column(struct sqlite3_stmt *s, int i); /* a text, valid until the statement moves on */
void db_bind(struct sqlite3_stmt *s, int i, struct slice v); /* a parameter, copied; an empty text whatever its pointer, never NULL */
/* Run a statement that gives no rows, and whose n parameters are numbers. */
int db_change(struct db *db, const char *sql, const int64_t *v, int n, const char *doing, struct err *e);

#endif
