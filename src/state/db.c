/* Opening the base, and bringing it up to date: see db.h. */
#include "state/db_p.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "state/seal.h"

#define APPLICATION_ID 0x6d61686c      /* "mahl" */
#define BUSY_MS 5000                   /* `status` may be reading */

/* SQL: take a word off the end of a text, with the blank before it. */
#define CHOP(text) "rtrim(rtrim(" text ", replace(" text ", ' ', '')))"
#define CHOP_TWICE(text) CHOP(CHOP(text))
/* Put "-" for the three words that say under which limits both sides agreed. */
#define WEAKEN(stamp) \
	"UPDATE folder SET " stamp " = " CHOP_TWICE(CHOP(stamp)) " || ' - - -' WHERE " stamp " LIKE '% % % %' AND" \
	" EXISTS(SELECT 1 FROM pair WHERE folder = folder.id AND flags IS NOT NULL);"

/* The schema, version by version: a file of version N gets the steps from N on. */
static const char *const migrations[] = {
	"CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE folder(id INTEGER PRIMARY KEY, left TEXT NOT NULL, right TEXT NOT NULL,"
	"  left_stamp TEXT NOT NULL DEFAULT '', right_stamp TEXT NOT NULL DEFAULT '', UNIQUE(left, right));"
	"CREATE TABLE pair(id INTEGER PRIMARY KEY, folder INTEGER NOT NULL, left TEXT NOT NULL, right TEXT NOT NULL,"
	"  hint TEXT, pending INTEGER NOT NULL, raw INTEGER NOT NULL, size INTEGER NOT NULL, digest BLOB NOT NULL,"
	"  made INTEGER NOT NULL, gone INTEGER NOT NULL DEFAULT 0);"
	"CREATE UNIQUE INDEX pair_left ON pair(folder, left) WHERE left <> '';"
	"CREATE INDEX pair_digest ON pair(folder, digest);"
	"CREATE INDEX pair_pending ON pair(folder) WHERE pending;"
	"CREATE INDEX pair_made ON pair(folder, made) WHERE gone = 0 AND NOT pending;"
	"CREATE INDEX pair_gone ON pair(gone) WHERE gone > 0;"
	"CREATE TABLE failure(folder INTEGER NOT NULL, key TEXT NOT NULL, kind INTEGER NOT NULL, reason TEXT NOT NULL, size INTEGER NOT NULL,"
	"  tries INTEGER NOT NULL, since INTEGER NOT NULL, next INTEGER NOT NULL, PRIMARY KEY(folder, key)) WITHOUT ROWID;"
	"CREATE TABLE run(id INTEGER PRIMARY KEY, started INTEGER NOT NULL, ended INTEGER NOT NULL, kind INTEGER NOT NULL, text TEXT NOT NULL,"
	"  pulled INTEGER NOT NULL, deleted INTEGER NOT NULL, failed INTEGER NOT NULL, skipped INTEGER NOT NULL, bytes_in INTEGER NOT NULL,"
	"  seconds REAL NOT NULL);",
	/* Two-way: what both sides agreed on (NULL in a fetch), and copies that go from right to left. */
	"ALTER TABLE pair ADD COLUMN flags INTEGER;"
	"ALTER TABLE pair ADD COLUMN back INTEGER NOT NULL DEFAULT 0;"
	"CREATE UNIQUE INDEX pair_right ON pair(folder, right) WHERE flags IS NOT NULL AND right <> '';"
	"ALTER TABLE failure RENAME TO failure_1;"
	"CREATE TABLE failure(folder INTEGER NOT NULL, back INTEGER NOT NULL, key TEXT NOT NULL, kind INTEGER NOT NULL, reason TEXT NOT NULL, size INTEGER NOT NULL,"
	"  tries INTEGER NOT NULL, since INTEGER NOT NULL, next INTEGER NOT NULL, PRIMARY KEY(folder, back, key)) WITHOUT ROWID;"
	"INSERT INTO failure SELECT folder, 0, key, kind, reason, size, tries, since, next FROM failure_1;"
	"DROP TABLE failure_1;"
	"ALTER TABLE run ADD COLUMN pushed INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE run ADD COLUMN flagged INTEGER NOT NULL DEFAULT 0;",
	/*
	 * Keywords: names for bits of pair.flags. Folders of two-way jobs are looked at once more, since their keywords were not looked at before: of their stamps stays what
	 * shows what keys mean (look_weaken).
	 */
	"CREATE TABLE keyword(folder INTEGER NOT NULL, place INTEGER NOT NULL, name TEXT NOT NULL, left_letter INTEGER NOT NULL, right_letter INTEGER NOT NULL,"
	"  refused INTEGER NOT NULL, told INTEGER NOT NULL, PRIMARY KEY(folder, place)) WITHOUT ROWID;"
	WEAKEN("left_stamp") WEAKEN("right_stamp"),
	/* How many of those that a run deleted were deleted at the left. */
	"ALTER TABLE run ADD COLUMN deleted_left INTEGER NOT NULL DEFAULT 0;",
	/* What the left says of a message, by which it is known again; also of those that went to its trash (trashed.h). */
	"ALTER TABLE pair ADD COLUMN told_size INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE pair ADD COLUMN told_date INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE pair ADD COLUMN mid BLOB;"
	"ALTER TABLE pair ADD COLUMN object BLOB;"
	"CREATE INDEX pair_object ON pair(object) WHERE object IS NOT NULL;"
	"CREATE TABLE trashed(run INTEGER NOT NULL, folder TEXT NOT NULL, left TEXT NOT NULL, trash TEXT NOT NULL, noted INTEGER NOT NULL, state INTEGER NOT NULL,"
	"  told_size INTEGER NOT NULL, told_date INTEGER NOT NULL, mid BLOB, object BLOB, PRIMARY KEY(run, folder, left)) WITHOUT ROWID;"
	"CREATE INDEX trashed_noted ON trashed(noted);",
	/* Each pair was written into it when it was settled and out of it when it was gone; what it was for can be had otherwise (pairs.c: PRESENT). */
	"DROP INDEX IF EXISTS pair_made;"
	/* A stamp of a Maildir says now that each key is one file there (BOX_UNCHANGED): what was stamped before is looked at once more. */
	WEAKEN("right_stamp"),
	/* A message kept aside (aside.h), its text in pieces; moves that are under way (moving.h). */
	"CREATE TABLE IF NOT EXISTS aside(id INTEGER PRIMARY KEY, folder INTEGER NOT NULL, right TEXT NOT NULL, flags INTEGER NOT NULL, date INTEGER NOT NULL,"
	"  hint TEXT NOT NULL DEFAULT '', digest BLOB);"
	"CREATE TABLE IF NOT EXISTS aside_text(at INTEGER PRIMARY KEY, bytes BLOB NOT NULL);"
	"CREATE TABLE IF NOT EXISTS moving(folder INTEGER NOT NULL, right TEXT NOT NULL, target INTEGER NOT NULL, PRIMARY KEY(folder, right)) WITHOUT ROWID;",
};
#define VERSION ((int)(sizeof(migrations) / sizeof(migrations[0])))

/* One number by a query; -1 leaves *out. */
static int one_number(struct db *db, const char *sql, int64_t *out, struct err *e)
{
	sqlite3_stmt *s;
	int rc;

	if (sqlite3_prepare_v2(db->h, sql, -1, &s, NULL) != SQLITE_OK)
		return db_fail(db, "open", e);
	rc = sqlite3_step(s);
	if (rc == SQLITE_ROW)
		*out = sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	return rc == SQLITE_ROW ? 0 : db_fail(db, "open", e);
}

/* Bring an older file to this version's schema, or make a new one; refuse a newer one or a stranger. */
static int migrate(struct db *db, struct err *e)
{
	int64_t version = 0, app = 0, tables = 0;
	char pragma[64];

	if (one_number(db, "PRAGMA user_version", &version, e) < 0 || one_number(db, "PRAGMA application_id", &app, e) < 0 ||
	    one_number(db, "SELECT count(*) FROM sqlite_schema", &tables, e) < 0)
		return -1;
	if (version > VERSION) {
		err_set(e, ERR_LOCAL, "the state file %s is of a newer mailhaul (schema %lld, this one knows %d)", db->path, (long long)version, VERSION);
		return err_hint(e, "run the newer program");
	}
	if (app != APPLICATION_ID && (app != 0 || version != 0 || tables != 0))
		return db_damage(db->path, "it is an SQLite file of another program", e);
	if (version == VERSION) {
		db->made = true;
		return 0;
	}
	if (tables == 0 && !db->making)
		return db_damage(db->path, "it is empty", e); /* ours get their name when they are whole */
	if (version < 1 && tables != 0)
		return db_damage(db->path, "its version is gone", e);
	if (db->look)
		return err_set(e, ERR_LOCAL, "the state file %s is of an older version: the next run will bring it up to date", db->path);
	if (db_begin(db, e) < 0)
		return -1;
	for (int64_t v = version; v < VERSION; v++) {
		if (db_run_sql(db, migrations[v], "make the schema", e) < 0)
			goto fail;
	}
	sqlite3_snprintf(sizeof(pragma), pragma, "PRAGMA user_version = %d", VERSION);
	if (db_run_sql(db, pragma, "make the schema", e) < 0)
		goto fail;
	sqlite3_snprintf(sizeof(pragma), pragma, "PRAGMA application_id = %d", APPLICATION_ID);
	if (db_run_sql(db, pragma, "make the schema", e) < 0)
		goto fail;
	if (db_commit(db, e) < 0)
		return -1;
	db->made = true;
	return 0;
fail:
	db_rollback(db);
	return -1;
}

/* Read every page, unless the file is as the last run has left it. */
static int check_integrity(struct db *db, struct err *e)
{
	sqlite3_stmt *s;
	int rc;

	if (db->read_through != 0)
		return 0;
	if (sqlite3_prepare_v2(db->h, "PRAGMA integrity_check(1)", -1, &s, NULL) != SQLITE_OK)
		return db_fail(db, "check", e);
	rc = sqlite3_step(s);
	if (rc == SQLITE_ROW) {
		const char *text = (const char *)sqlite3_column_text(s, 0);

		rc = text && strcmp(text, "ok") == 0 ? 0 : db_damage(db->path, text ? text : "?", e);
	} else {
		rc = db_fail(db, "check", e);
	}
	sqlite3_finalize(s);
	if (rc == 0)
		db->read_through = clock_wall();
	return rc;
}

/* The file is of this mailbox: two mailboxes may give the same keys to different mail. */
static int check_source(struct db *db, enum db_how how, const char *source, struct err *e)
{
	char have[1024] = "";
	int rc = db_meta_get(db, "source", have, sizeof(have), e);

	if (rc < 0)
		return -1;
	if (rc == 1 && strcmp(have, source) != 0 && how != DB_RUN_ADOPT) {
		err_set(e, ERR_CONF, "the state file %s belongs to %s, and this job now reads %s", db->path, have, source);
		return err_hint(e, "if it is the same mailbox under a new name, run once with --same-source; if not, give the job another name");
	}
	if (rc == 1 && strcmp(have, source) == 0)
		return 0;
	if (db->look)
		return 0;
	if (db_begin(db, e) < 0)
		return -1;
	/* what was seen of two sides (sides_apart) was not seen of these */
	if (db_meta_put(db, "source", source, e) < 0 || db_run_sql(db, "DELETE FROM meta WHERE key = 'sides_apart'", "open", e) < 0) {
		db_rollback(db);
		return -1;
	}
	return db_commit(db, e);
}

static char *beside(const char *path, const char *suffix)
{
	char *s;

	return asprintf(&s, "%s%s", path, suffix) < 0 ? NULL : s;
}

/* Take the job's lock. */
static int take_lock(struct db *db, struct err *e)
{
	char *name = beside(db->path, ".lock");
	pid_t holder = 0;
	int rc = 0;

	if (!name)
		return err_set(e, ERR_LOCAL, "out of memory");
	db->lock = fs_lock(name, &holder, e);
	if (db->lock < 0 && e && e->kind == ERR_BUSY) {
		err_set(e, ERR_BUSY, "another run (process %ld) holds this job", (long)holder);
		rc = -1;
	} else if (db->lock < 0) {
		rc = db_not_ours(e);
	}
	free(name);
	return rc;
}

/* Is the file, which is not open yet, as the last run has left it? Who only looks has no lock. */
static void read_seal(struct db *db)
{
	char *name = db->look ? beside(db->path, ".lock") : NULL;
	int fd = name ? open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : db->lock;

	if (fd >= 0) {
		(void)seal_holds(fd, db->path, clock_wall(), &db->read_through);
		db->was_there = seal_was_there(fd);
	}
	if (name && fd >= 0)
		close(fd);
	free(name);
}

/* What has the state file's name? 1: a file of ours, private now; 0: nothing; -1. Who only looks may look at another user's. */
static int check_file(const struct db *db, struct err *e)
{
	struct stat st;

	if (lstat(db->path, &st) < 0) {
		if (errno == ENOENT)
			return 0;
		err_errno(e, "state file %s", db->path);
		return db_not_ours(e);
	}
	if (!S_ISREG(st.st_mode)) {
		err_set(e, ERR_LOCAL, "the state file %s is %s, not a regular file", db->path,
			S_ISDIR(st.st_mode) ? "a directory" : S_ISLNK(st.st_mode) ? "a symbolic link" : "a device, pipe or socket");
		return err_hint(e, "move it away; if the real one is lost, mail that is still on the server is then fetched again");
	}
	if (!db->look && st.st_uid != geteuid() && geteuid() != 0) {
		err_set(e, ERR_PERM, "the state file %s belongs to another user", db->path);
		return err_hint(e, "run as that user, give it to this one, or name another directory with --state-dir");
	}
	if (!db->look && st.st_mode & 077)
		chmod(db->path, 0600);
	return 1;
}

/* Open the handle with the settings that the promises stand on. */
static int open_handle(struct db *db, const char *path, int flags, struct err *e)
{
	/* one thread, and nobody who asks how much memory is in use: else each small piece is counted under a lock. Without effect from the second handle on */
	sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	if (sqlite3_open_v2(path, &db->h, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_NOFOLLOW, NULL) != SQLITE_OK)
		return db_fail(db, "open", e);
	sqlite3_busy_timeout(db->h, BUSY_MS);
	sqlite3_db_config(db->h, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(db->h, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	db_cache(db, false);
	db->light = false;
	return db_run_sql(db, "PRAGMA cell_size_check = ON; PRAGMA temp_store = FILE; PRAGMA synchronous = FULL", "open", e);
}

/* What an attempt to make the file may have left. */
static void unlink_new(const char *new)
{
	static const char *const suffixes[] = { "", "-journal", "-wal", "-shm" };

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(*suffixes); i++) {
		char *name = beside(new, suffixes[i]);

		if (name)
			unlink(name);
		free(name);
	}
}

/*
 * Make a new file, with mode 0600 whatever the umask says. It is made under another name (here SQLite still keeps a rollback journal, so all is in the file once
 * it is closed) and gets its own when it is whole, and on disk: a file that is there and empty has lost what was in it.
 */
static int make_file(struct db *db, const char *source, struct err *e)
{
	char *new = beside(db->path, ".new");
	int fd = -1, rc = -1;

	if (!new)
		return err_set(e, ERR_LOCAL, "out of memory");
	unlink_new(new);
	fd = open(new, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || fchmod(fd, 0600) < 0) {
		err_errno(e, "can't make the state file %s", db->path);
		db_not_ours(e);
		goto out;
	}
	db->making = true;
	/* until it has its name nothing of it counts: it is synced once, at the end. So all is written now that every new one is to say: whose it is, and that from now on it has a -wal */
	if (open_handle(db, new, SQLITE_OPEN_READWRITE, e) < 0 || db_run_sql(db, "PRAGMA synchronous = OFF", "make", e) < 0 || migrate(db, e) < 0 ||
	    (source && db_meta_put(db, "source", source, e) < 0) || db_run_sql(db, "PRAGMA journal_mode = WAL", "make", e) < 0)
		goto out;
	db_drop_handle(db);
	db->making = false;
	if (fs_sync(fd, db->path, e) < 0)
		goto out;
	if (rename(new, db->path) < 0) {
		err_errno(e, "can't make the state file %s", db->path);
		goto out;
	}
	rc = fs_sync_dir(AT_FDCWD, db->dir, e);
out:
	if (db->h)
		db_drop_handle(db);
	if (fd >= 0)
		close(fd); /* not before SQLite's: its locks would go */
	if (rc < 0)
		unlink_new(new);
	free(new);
	return rc;
}

/* There is no file. Was there one? */
static int never_was(const struct db *db, struct err *e)
{
	if (!db->was_there)
		return 0;
	err_set(e, ERR_LOCAL, "the state file %s was lost: nobody knows any more which mail was fetched", db->path);
	return err_hint(e, "restore it; or, if what is still on the server may be fetched once more, remove %s.lock", db->path);
}

/* Open the file that is there for a run. */
static int open_to_run(struct db *db, struct err *e)
{
	if (open_handle(db, db->path, SQLITE_OPEN_READWRITE, e) < 0)
		return -1;
	return db_run_sql(db, "PRAGMA journal_mode = WAL; PRAGMA foreign_keys = ON", "open", e);
}

/*
 * Open the file that is there to look at it. Where nobody runs, one who may only read would leave an empty -wal behind, which one who may write takes away
 * again; what an interrupted run left in its -wal, on the other hand, is left for the next run.
 */
static int open_to_look(struct db *db, struct err *e)
{
	char *wal = beside(db->path, "-wal");
	bool quiet = wal && access(wal, F_OK) < 0;

	free(wal);
	if (quiet && access(db->dir, W_OK) == 0 && access(db->path, W_OK) == 0)
		return open_handle(db, db->path, SQLITE_OPEN_READWRITE, e) < 0 ? -1 : db_run_sql(db, "PRAGMA query_only = ON", "open", e);
	return open_handle(db, db->path, SQLITE_OPEN_READONLY, e);
}

/* The path with the links in its directory's resolved: SQLite, which is to follow none at the end, would follow none at all. */
static int set_path(struct db *db, const char *path, struct err *e)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");

	if (!dir)
		return err_set(e, ERR_LOCAL, "out of memory");
	db->dir = realpath(dir, NULL);
	if (!db->dir && (errno != ENOENT || !db->look)) {
		err_errno(e, "state directory %s", dir);
		db_not_ours(e);
		free(dir);
		return -1;
	}
	free(dir);
	if (!db->dir)
		db->path = strdup(path); /* nothing is there: an empty base */
	else if (asprintf(&db->path, "%s/%s", strcmp(db->dir, "/") == 0 ? "" : db->dir, slash ? slash + 1 : path) < 0)
		db->path = NULL;
	return db->path ? 0 : err_set(e, ERR_LOCAL, "out of memory");
}

/* Who may put other files in the place of ours? In a directory that is sticky nobody. */
static int check_dir(const struct db *db, struct err *e)
{
	struct stat st;

	if (db->look || !db->dir || stat(db->dir, &st) < 0 || !(st.st_mode & 022) || st.st_mode & S_ISVTX)
		return 0;
	err_set(e, ERR_PERM, "the state directory %s can be written by others (mode %04o)", db->dir, st.st_mode & 07777U);
	return err_hint(e, "chmod go-w %s", db->dir);
}

int db_open(const char *path, enum db_how how, const char *source, struct db **out, struct err *e)
{
	struct db *db = calloc(1, sizeof(*db));
	int there;

	if (!db)
		return err_set(e, ERR_LOCAL, "out of memory");
	db->lock = -1;
	db->look = how == DB_LOOK || how == DB_DRY_RUN;
	if (set_path(db, path, e) < 0 || check_dir(db, e) < 0)
		goto fail;
	there = check_file(db, e);
	if (there < 0)
		goto fail;
	if (db->look) {
		read_seal(db);
		if (!there && how == DB_DRY_RUN && never_was(db, e) < 0)
			goto fail;
		if (!there) {
			*out = db;
			return 0;
		}
		if (open_to_look(db, e) < 0)
			goto fail;
	} else {
		if (take_lock(db, e) < 0)
			goto fail;
		there = check_file(db, e); /* another run may just have made it */
		read_seal(db);
		if (there < 0 || (!there && how == DB_RUN && never_was(db, e) < 0))
			goto fail;
		if ((!there && make_file(db, source, e) < 0) || open_to_run(db, e) < 0)
			goto fail;
	}
	if (migrate(db, e) < 0)
		goto fail;
	if (!db_empty(db) && (check_integrity(db, e) < 0 || (source && check_source(db, how, source, e) < 0)))
		goto fail;
	*out = db;
	return 0;
fail:
	db_close(db);
	return -1;
}

bool db_empty(const struct db *db)
{
	return !db->made;
}

void db_close(struct db *db)
{
	if (!db)
		return;
	if (db->h) {
		db_rollback(db);
		db_drop_handle(db);
	}
	if (db->lock >= 0 && db->suspect && seal_was_there(db->lock))
		seal_break(db->lock);
	else if (db->lock >= 0 && !db->suspect && db->read_through != 0) /* there is a file */
		seal_put(db->lock, db->path, db->read_through);
	vec_release(&db->stmts);
	arena_release(&db->adding.words);
	if (db->lock >= 0)
		close(db->lock);
	free(db->path);
	free(db->dir);
	free(db);
}

void db_cache(struct db *db, bool much)
{
	sqlite3_exec(db->h, much ? "PRAGMA cache_size = -8192" : "PRAGMA cache_size = -1024", NULL, NULL, NULL); /* KiB */
}

void db_touch(struct db *db)
{
	if (db->lock >= 0)
		futimens(db->lock, NULL);
}

int64_t db_last_end(const char *path)
{
	char *name = beside(path, ".lock");
	struct stat st;
	int64_t when = 0;

	if (name && stat(path, &st) == 0 && stat(name, &st) == 0)
		when = (int64_t)st.st_mtime;
	free(name);
	return when;
}

pid_t db_holder(const char *path)
{
	char *name = beside(path, ".lock");
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	pid_t pid = 0;
	int fd = name ? open(name, O_RDWR | O_CLOEXEC | O_NOFOLLOW) : -1;

	if (fd >= 0) {
		if (fcntl(fd, F_GETLK, &fl) == 0 && fl.l_type != F_UNLCK)
			pid = fl.l_pid;
		close(fd);
	}
	free(name);
	return pid;
}
