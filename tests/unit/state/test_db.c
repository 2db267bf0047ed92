/* The base's file: made private and whole, held by one, never taken for empty when it is damaged. */
#include "../../lib/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "state/pairs.h"
#include "state/runs.h"
#include "state/trashed.h"

#define SOURCE "pop3:jane@pop.example.org"

static char *dir;
static char path[4096];

static unsigned syncs; /* times that the disk was waited for. SQLite takes these from the program, which comes before the C library */

int fsync(int fd)
{
	syncs++;
	return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	syncs++;
	return (int)syscall(SYS_fdatasync, fd);
}

static unsigned writes; /* likewise of pages, or of what stands before one */

ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at)
{
	writes++;
	return (ssize_t)syscall(SYS_pwrite64, fd, bytes, n, at);
}

static int setup(void **state)
{
	(void)state;
	dir = scratch_make();
	snprintf(path, sizeof(path), "%s/job.db", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	scratch_remove(dir);
	return 0;
}

static struct db *open_db(enum db_how how)
{
	struct err e = ERR_INIT;
	struct db *db = NULL;

	if (db_open(path, how, SOURCE, &db, &e) < 0)
		fail_msg("db_open: %s", e.text);
	return db;
}

/* It must not open; the error's kind, and text that it must hold. */
static void refused(enum db_how how, const char *source, enum err_kind kind, const char *text)
{
	struct err e = ERR_INIT;
	struct db *db = NULL;

	if (db_open(path, how, source, &db, &e) == 0)
		fail_msg("it opened, though: %s", text);
	assert_int_equal(e.kind, kind);
	if (!strstr(e.text, text))
		fail_msg("'%s' is not in '%s'", text, e.text);
	assert_null(db);
}

static void add_pairs(struct db *db, unsigned from, unsigned n)
{
	struct err e = ERR_INIT;
	char left[64], right[64], hint[64];

	for (unsigned i = from; i < from + n; i++) {
		struct pair p = { .folder = 1, .pending = i % 10 == 9, .size = 1000 + i, .made = 1700000000 + i,
				  .gone = i % 7 == 3 ? 1700001000 + i : 0 };

		snprintf(left, sizeof(left), "uid-%u-%u", i, i * 7919);
		snprintf(right, sizeof(right), "1700000000.M%uP1Q1.host", i);
		snprintf(hint, sizeof(hint), "hint %u", i);
		p.left = slice_str(left);
		p.right = slice_str(right);
		p.hint = slice_str(hint);
		for (unsigned k = 0; k < sizeof(p.digest); k++)
			p.digest[k] = (unsigned char)(i * 31 + k * (i + 1));
		if (pairs_add(db, &p, &e) < 0)
			fail_msg("pairs_add: %s", e.text);
	}
}

/* A file with something of everything. */
static void make_filled(unsigned n)
{
	struct db *db = open_db(DB_RUN);
	struct run_row r = { .started = 1, .ended = 2, .pulled = 3 };
	struct failure f = { .folder = 1, .key = SLICE_LIT("uid-of-a-failure"), .kind = ERR_REFUSED, .reason = SLICE_LIT("no"), .tries = 1 };
	struct folder_row folder;
	struct err e = ERR_INIT;

	assert_int_equal(db_begin(db, &e), 0);
	assert_int_equal(folders_get(db, "", "", &folder, &e), 0);
	assert_int_equal(folder.id, 1);
	assert_int_equal(folders_stamp(db, folder.id, "stamp", "made", &e), 0);
	add_pairs(db, 0, n);
	assert_int_equal(failures_put(db, &f, &e), 0);
	assert_int_equal(db_commit(db, &e), 0);
	assert_int_equal(runs_add(db, &r, &e), 0);
	db_close(db);
}

static int one_line(void *arg, const struct pair *p, struct err *e)
{
	struct strbuf *b = arg;

	(void)e;
	strbuf_printf(b, "%lld %.*s %d ", (long long)p->id, (int)p->left.n, p->left.p, p->pending);
	for (size_t i = 0; i < sizeof(p->digest); i++)
		strbuf_printf(b, "%02x", p->digest[i]);
	strbuf_putc(b, '\n');
	return 0;
}

/*
 * What decides about mail, as text: which messages are known, pending, gone. -1 when the base says that it can't be read. All this stands in an index, too, by which damage
 * shows; not so when a message came, which way, and what flags it had.
 */
static int dump(struct db *db, struct strbuf *b, struct err *e)
{
	struct pair p;
	char left[64];

	strbuf_clear(b);
	if (pairs_present(db, 1, one_line, b, e) < 0)
		return -1;
	for (int64_t id = 1; id < 200; id++) {
		int rc = pairs_by_id(db, id, &p, e);

		if (rc < 0 || (rc == 1 && p.pending && one_line(b, &p, e) < 0))
			return -1;
	}
	for (unsigned i = 3; i < 200; i += 7) {
		int rc;

		snprintf(left, sizeof(left), "uid-%u-%u", i, i * 7919);
		rc = pairs_by_left(db, 1, slice_str(left), &p, e);
		if (rc < 0)
			return -1;
		if (rc == 1)
			strbuf_printf(b, "%u gone %lld\n", i, (long long)p.gone);
	}
	return 0;
}

static void write_file(const char *name, const void *p, size_t n)
{
	struct err e = ERR_INIT;
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(fs_write_all(fd, p, n, name, &e), 0);
	close(fd);
}

static void read_file(const char *name, struct strbuf *b)
{
	struct err e = ERR_INIT;

	strbuf_clear(b);
	if (fs_read_file(name, b, &e) < 0)
		fail_msg("%s", e.text);
}

/* The names in the directory, but for the lock's. */
static unsigned files(void)
{
	DIR *d = opendir(dir);
	unsigned n = 0;
	struct dirent *x;

	assert_non_null(d);
	while ((x = readdir(d)))
		n += x->d_name[0] != '.' && !strstr(x->d_name, ".lock");
	closedir(d);
	return n;
}

static void is_private(const char *suffix)
{
	char name[5000];
	struct stat st;

	snprintf(name, sizeof(name), "%s%s", path, suffix);
	assert_int_equal(stat(name, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

/* A value by SQL, past our own code. */
static int64_t ask(const char *sql)
{
	sqlite3 *h;
	sqlite3_stmt *s;
	int64_t v = -1;

	assert_int_equal(sqlite3_open_v2(path, &h, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(h, sql, -1, &s, NULL), SQLITE_OK);
	if (sqlite3_step(s) == SQLITE_ROW)
		v = sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	sqlite3_close(h);
	return v;
}

static void new_file(void **state)
{
	mode_t old = umask(0);
	struct err e = ERR_INIT;
	struct db *db;

	(void)state;
	syncs = 0;
	db = open_db(DB_RUN);
	assert_int_equal(syncs, 2); /* of the file, which is whole then, and of its name */
	assert_false(db_empty(db));
	assert_false(db_in_transaction(db));
	assert_int_equal(db_begin(db, &e), 0);
	assert_true(db_in_transaction(db));
	add_pairs(db, 0, 3);
	assert_int_equal(db_commit(db, &e), 0);
	is_private("");
	is_private("-wal");
	is_private("-shm");
	is_private(".lock");
	db_close(db);
	umask(old);
	assert_int_equal(files(), 1);
	assert_int_equal(ask("PRAGMA user_version"), 7);
	assert_int_equal(ask("PRAGMA application_id"), 0x6d61686c);
	assert_int_equal(ask("SELECT count(*) FROM pair"), 3);
	assert_int_equal(ask("SELECT journal_mode = 'wal' FROM pragma_journal_mode"), 1);
	db_close(NULL);
}

static void mode_is_mended(void **state)
{
	(void)state;
	make_filled(1);
	assert_int_equal(chmod(path, 0644), 0);
	db_close(open_db(DB_RUN));
	is_private("");
}

static void rollback(void **state)
{
	struct err e = ERR_INIT;
	struct db *db = open_db(DB_RUN);

	(void)state;
	assert_int_equal(db_begin(db, &e), 0);
	add_pairs(db, 0, 3);
	db_rollback(db);
	db_rollback(db);
	assert_int_equal(db_begin(db, &e), 0);
	add_pairs(db, 3, 2);
	assert_int_equal(db_commit(db, &e), 0);
	/* closing rolls back */
	assert_int_equal(db_begin(db, &e), 0);
	add_pairs(db, 5, 3);
	db_close(db);
	assert_int_equal(ask("SELECT count(*) FROM pair"), 2);
}

/* Run a function in a child that then waits to be killed, or ends; its pid. */
static pid_t apart(void (*fn)(void), bool stays)
{
	int go[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe(go), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		fn();
		if (write(go[1], "x", 1) != 1)
			_exit(1);
		if (stays)
			pause();
		_exit(0);
	}
	close(go[1]);
	assert_int_equal(read(go[0], &c, 1), 1);
	close(go[0]);
	if (!stays)
		waitpid(pid, NULL, 0);
	return pid;
}

static void hold_open(void)
{
	struct err e = ERR_INIT;
	struct db *db = open_db(DB_RUN);

	if (db_begin(db, &e) < 0)
		_exit(1);
	add_pairs(db, 0, 5);
	if (db_commit(db, &e) < 0 || db_begin(db, &e) < 0)
		_exit(1);
	add_pairs(db, 5, 5); /* and not committed */
}

static void one_run_at_a_time(void **state)
{
	struct err e = ERR_INIT;
	struct db *db = NULL;
	uint64_t n;
	char pid[32];
	pid_t other;

	(void)state;
	assert_int_equal(db_holder(path), 0);
	assert_int_equal(db_last_end(path), 0);
	other = apart(hold_open, true);
	snprintf(pid, sizeof(pid), "%ld", (long)other);
	refused(DB_RUN, SOURCE, ERR_BUSY, pid);
	refused(DB_RUN_ADOPT, SOURCE, ERR_BUSY, pid);
	assert_int_equal(db_holder(path), other);
	/* one may look meanwhile, and sees what is committed */
	db = open_db(DB_LOOK);
	assert_false(db_empty(db));
	assert_int_equal(pairs_present_count(db, 1, &n, &e), 0);
	assert_int_equal(n, 4);
	db_close(db);
	/* the lock dies with its process */
	kill(other, SIGKILL);
	waitpid(other, NULL, 0);
	assert_int_equal(db_holder(path), 0);
	db = open_db(DB_RUN);
	assert_int_equal(pairs_present_count(db, 1, &n, &e), 0);
	assert_int_equal(n, 4);
	db_touch(db);
	db_close(db);
	assert_true(db_last_end(path) > 1700000000);
}

static void looking_changes_nothing(void **state)
{
	struct strbuf before = STRBUF_INIT(1 << 24), after = STRBUF_INIT(1 << 24);
	struct err e = ERR_INIT;
	struct folder_row folder;
	struct failure f;
	struct run_row r;
	struct pair p;
	struct pairs_summary sum;
	char reason[10];
	uint64_t a, b;
	int64_t next;
	struct db *db = open_db(DB_LOOK);

	(void)state;
	/* nothing is there: an empty base, and nothing is made */
	assert_true(db_empty(db));
	assert_int_equal(folders_get(db, "", "", &folder, &e), 0);
	assert_int_equal(folder.id, 0);
	assert_int_equal(pairs_by_left(db, 0, SLICE_LIT("x"), &p, &e), 0);
	assert_int_equal(pairs_summary(db, 0, &sum, &e), 0);
	assert_int_equal(failures_get(db, 0, false, SLICE_LIT("x"), &f, &e), 0);
	assert_int_equal(failures_count(db, &a, &b, &next, &e), 0);
	assert_int_equal(runs_last(db, &r, &e), 0);
	assert_int_equal(pause_get(db, &next, reason, sizeof(reason), &e), 0);
	db_close(db);
	assert_int_equal(files(), 0);
	make_filled(50);
	read_file(path, &before);
	db = open_db(DB_LOOK);
	assert_false(db_empty(db));
	assert_int_equal(pairs_present_count(db, 1, &a, &e), 0);
	assert_true(a > 0);
	db_close(db);
	read_file(path, &after);
	assert_int_equal(before.len, after.len);
	assert_memory_equal(before.s, after.s, before.len);
	assert_int_equal(files(), 1);
	assert_int_equal(db_open(path, DB_LOOK, NULL, &db, &e), 0);
	db_close(db);
	strbuf_release(&before);
	strbuf_release(&after);
}

static void a_run_without_changes_writes_nothing(void **state)
{
	struct strbuf before = STRBUF_INIT(1 << 24), after = STRBUF_INIT(1 << 24);
	struct stat a, b;

	(void)state;
	make_filled(50);
	read_file(path, &before);
	assert_int_equal(stat(path, &a), 0);
	db_close(open_db(DB_RUN));
	db_close(open_db(DB_RUN_ADOPT));
	assert_int_equal(stat(path, &b), 0);
	read_file(path, &after);
	assert_int_equal(before.len, after.len);
	assert_memory_equal(before.s, after.s, before.len);
	assert_int_equal(a.st_mtim.tv_sec, b.st_mtim.tv_sec);
	assert_int_equal(a.st_mtim.tv_nsec, b.st_mtim.tv_nsec);
	assert_int_equal(a.st_ino, b.st_ino);
	assert_int_equal(files(), 1);
	strbuf_release(&before);
	strbuf_release(&after);
}

static void commit_and_die(void)
{
	struct err e = ERR_INIT;
	struct db *db = open_db(DB_RUN);

	if (db_begin(db, &e) < 0)
		_exit(1);
	add_pairs(db, 1000, 5);
	if (db_commit(db, &e) < 0)
		_exit(1);
}

/* What the seal says of when the file was last read through; -1: there is none. */
static int64_t sealed(void)
{
	const char *lock = scratch_path(dir, "job.db.lock");
	struct strbuf b = STRBUF_INIT(4096);
	const char *last;
	int64_t when = -1;

	read_file(lock, &b);
	last = strrchr(strbuf_str(&b), ' ');
	if (last)
		when = strtoll(last, NULL, 10);
	strbuf_release(&b);
	return when;
}

/* The seal says that the file was read through at this time. */
static void seal(int64_t when)
{
	const char *lock = scratch_path(dir, "job.db.lock");
	struct strbuf b = STRBUF_INIT(4096);
	const char *last;

	assert_true(sealed() >= 0);
	read_file(lock, &b);
	last = strrchr(strbuf_str(&b), ' ');
	strbuf_cut(&b, (size_t)(last + 1 - b.s));
	strbuf_printf(&b, "%lld\n", (long long)when);
	write_file(lock, b.s, b.len);
	strbuf_release(&b);
}

/* A file that is as the last run left it is not read through each time. */
static void read_through_once(void **state)
{
	int64_t before = clock_wall() - 100;
	struct err e = ERR_INIT;
	struct db *db;
	struct stat a, b;
	const char *lock = scratch_path(dir, "job.db.lock");

	(void)state;
	make_filled(5);
	seal(before);
	assert_int_equal(stat(lock, &a), 0);
	db_close(open_db(DB_RUN));
	db_close(open_db(DB_LOOK));
	assert_int_equal(sealed(), before);
	/* when the last run ended is not when the seal was made */
	db = open_db(DB_RUN);
	assert_int_equal(db_begin(db, &e), 0);
	add_pairs(db, 2000, 1);
	assert_int_equal(db_commit(db, &e), 0);
	db_close(db);
	assert_int_equal(stat(lock, &b), 0);
	assert_int_equal(a.st_mtim.tv_sec, b.st_mtim.tv_sec);
	assert_int_equal(a.st_mtim.tv_nsec, b.st_mtim.tv_nsec);
	/* after a day it is */
	seal(clock_wall() - 86401);
	db_close(open_db(DB_RUN));
	assert_true(sealed() >= before + 100);
	/* and after a run that died */
	seal(before);
	apart(commit_and_die, false);
	assert_int_equal(sealed(), before);
	seal(before);
	db_close(open_db(DB_RUN));
	assert_true(sealed() < 0 || sealed() >= before + 100);
	assert_int_equal(ask("SELECT count(*) FROM pair"), 11);
}

/* One that was there, and is lost, is not replaced by an empty one unless the job can do without; a run that died before it was made has left no trace of one. */
static void lost(void **state)
{
	const char *lock = scratch_path(dir, "job.db.lock");

	(void)state;
	write_file(lock, "", 0);
	make_filled(5);
	assert_int_equal(unlink(path), 0);
	refused(DB_RUN, SOURCE, ERR_LOCAL, "was lost");
	refused(DB_RUN, SOURCE, ERR_LOCAL, "job.db.lock");
	refused(DB_DRY_RUN, SOURCE, ERR_LOCAL, "was lost");
	db_close(open_db(DB_LOOK));
	assert_int_equal(access(path, F_OK), -1);
	db_close(open_db(DB_RUN_ANEW));
	db_close(open_db(DB_DRY_RUN));
	db_close(open_db(DB_RUN));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(unlink(lock), 0);
	db_close(open_db(DB_DRY_RUN));
	db_close(open_db(DB_RUN));
}

/* A large one, too, that was damaged since. */
static void large_and_torn(void **state)
{
	struct strbuf b = STRBUF_INIT(64 << 20);
	struct err e = ERR_INIT;
	struct db *db = open_db(DB_RUN);
	size_t at;

	(void)state;
	assert_int_equal(db_begin(db, &e), 0);
	add_pairs(db, 0, 49000);
	assert_int_equal(db_commit(db, &e), 0);
	db_close(db);
	seal(clock_wall());
	read_file(path, &b);
	assert_true(b.len > 8 << 20);
	at = b.len / 2 / 4096 * 4096;
	memset(b.s + at, 0xff, 512);
	write_file(path, b.s, b.len);
	refused(DB_RUN, SOURCE, ERR_LOCAL, "damaged");
	refused(DB_LOOK, SOURCE, ERR_LOCAL, "damaged");
	strbuf_release(&b);
}

static void other_files(void **state)
{
	static const char text[] = "dear diary, this is no database at all, but it is long enough to be taken for one by somebody careless.\n";
	struct strbuf b = STRBUF_INIT(1 << 20);
	sqlite3 *h;

	(void)state;
	write_file(path, text, sizeof(text));
	refused(DB_RUN, SOURCE, ERR_LOCAL, "restore it");
	refused(DB_LOOK, SOURCE, ERR_LOCAL, "restore it");
	read_file(path, &b);
	assert_int_equal(b.len, sizeof(text));
	assert_memory_equal(b.s, text, sizeof(text));
	/* an empty file is not one of ours: ours are made whole or not at all */
	write_file(path, "", 0);
	refused(DB_RUN, SOURCE, ERR_LOCAL, "restore it");
	refused(DB_LOOK, SOURCE, ERR_LOCAL, "restore it");
	/* another program's */
	unlink(path);
	assert_int_equal(sqlite3_open(path, &h), SQLITE_OK);
	assert_int_equal(sqlite3_exec(h, "CREATE TABLE t(x)", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(h);
	refused(DB_RUN, SOURCE, ERR_LOCAL, "another program");
	refused(DB_LOOK, SOURCE, ERR_LOCAL, "another program");
	assert_int_equal(ask("SELECT count(*) FROM sqlite_schema"), 1);
	strbuf_release(&b);
}

/* What has a name of ours, or of the directory, and can't be used as that: local trouble, not unsafe modes; and each says what to do. */
static void names_in_the_way(void **state)
{
	static const enum db_how hows[] = { DB_RUN, DB_LOOK };
	char lock[5000];

	(void)state;
	snprintf(lock, sizeof(lock), "%s.lock", path);
	for (size_t i = 0; i < COUNT(hows); i++) {
		assert_int_equal(mkdir(path, 0700), 0);
		refused(hows[i], SOURCE, ERR_LOCAL, "is a directory, not a regular file (move it away");
		rmdir(path);
		assert_int_equal(symlink("elsewhere", path), 0);
		refused(hows[i], SOURCE, ERR_LOCAL, "is a symbolic link, not a regular file (move it away");
		assert_int_equal(access(scratch_path(dir, "elsewhere"), F_OK), -1);
		unlink(path);
		assert_int_equal(mkfifo(path, 0600), 0);
		refused(hows[i], SOURCE, ERR_LOCAL, "pipe or socket, not a regular file (move it away");
		unlink(path);
	}
	assert_int_equal(access(lock, F_OK), -1); /* nothing was begun */
	assert_int_equal(mkdir(lock, 0700), 0);
	refused(DB_RUN, SOURCE, ERR_LOCAL, "--state-dir names another directory");
	rmdir(lock);
	/* the directory is a file */
	write_file(path, "", 0);
	snprintf(path + strlen(path), sizeof(path) - strlen(path), "/inner.db");
	for (size_t i = 0; i < COUNT(hows); i++)
		refused(hows[i], SOURCE, ERR_LOCAL, "Not a directory (the state directory and the files in it must be");
}

/* As another user: 77 is for a file that is somebody else's, the rest is what this machine doesn't let us do. */
static void directories_of_all(void **state)
{
	static const mode_t open_to[] = { 0777, 0720, 0702 };

	(void)state;
	db_close(open_db(DB_RUN));
	for (size_t i = 0; i < COUNT(open_to); i++) {
		assert_int_equal(chmod(dir, open_to[i]), 0);
		refused(DB_RUN, SOURCE, ERR_PERM, "chmod go-w");
		db_close(open_db(DB_LOOK));
	}
	assert_int_equal(chmod(dir, 01777), 0);
	db_close(open_db(DB_RUN));
	assert_int_equal(chmod(dir, 0755), 0);
	db_close(open_db(DB_RUN));
}

static void other_users(void **state)
{
	static const enum db_how hows[] = { DB_RUN, DB_LOOK };
	const uid_t nobody = 65534;
	struct stat st;

	(void)state;
	if (geteuid() != 0)
		skip();
	db_close(open_db(DB_RUN));
	assert_int_equal(chmod(dir, 01777), 0);
	assert_int_equal(seteuid(nobody), 0);
	if (stat(dir, &st) < 0) {
		assert_int_equal(seteuid(0), 0);
		skip(); /* the scratch directory lies where nobody may go */
	}
	refused(DB_RUN, SOURCE, ERR_PERM, "belongs to another user (run as that user");
	refused(DB_LOOK, SOURCE, ERR_LOCAL, "must be this user's to read and write");
	assert_int_equal(seteuid(0), 0);
	/* one that may be read by all may be looked at */
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(seteuid(nobody), 0);
	db_close(open_db(DB_LOOK));
	assert_int_equal(seteuid(0), 0);
	/* a directory that may not be written, then not even be entered */
	unlink(path);
	unlink(scratch_path(dir, "job.db.lock"));
	assert_int_equal(chmod(dir, 0755), 0);
	assert_int_equal(seteuid(nobody), 0);
	refused(DB_RUN, SOURCE, ERR_LOCAL, "must be this user's to read and write");
	db_close(open_db(DB_LOOK)); /* there is no base yet */
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(chmod(dir, 0700), 0);
	assert_int_equal(seteuid(nobody), 0);
	for (size_t i = 0; i < COUNT(hows); i++)
		refused(hows[i], SOURCE, ERR_LOCAL, "must be this user's to read and write");
	assert_int_equal(seteuid(0), 0);
}

static void versions(void **state)
{
	(void)state;
	make_filled(5);
	ask("PRAGMA user_version = 8");
	refused(DB_RUN, SOURCE, ERR_LOCAL, "newer mailhaul");
	refused(DB_LOOK, SOURCE, ERR_LOCAL, "newer mailhaul");
	ask("PRAGMA user_version = 0");
	refused(DB_RUN, SOURCE, ERR_LOCAL, "restore it");
	ask("PRAGMA user_version = 7");
	db_close(open_db(DB_RUN));
	assert_int_equal(ask("SELECT count(*) FROM pair"), 5);
}

/* As before the sixth version. */
static void with_made(void)
{
	ask("CREATE INDEX pair_made ON pair(folder, made) WHERE gone = 0 AND NOT pending");
}

/* As before the fifth version. */
static void without_told(void)
{
	static const char *const columns[] = { "told_size", "told_date", "mid", "object" };

	with_made();
	ask("DROP INDEX pair_object");
	ask("DROP TABLE trashed");
	for (size_t i = 0; i < COUNT(columns); i++) {
		char sql[64];

		snprintf(sql, sizeof(sql), "ALTER TABLE pair DROP COLUMN %s", columns[i]);
		ask(sql);
	}
}

/* A file as the first version wrote it is brought up to date by a run, with all that it knew. */
static void first_version(void **state)
{
	static const char *const back[] = {
		"DROP INDEX pair_right", "ALTER TABLE pair DROP COLUMN flags", "ALTER TABLE pair DROP COLUMN back",
		"ALTER TABLE run DROP COLUMN pushed", "ALTER TABLE run DROP COLUMN flagged",
		"ALTER TABLE run DROP COLUMN deleted_left",
		("CREATE TABLE old(folder INTEGER NOT NULL, key TEXT NOT NULL, kind INTEGER NOT NULL, reason TEXT NOT NULL, size INTEGER NOT NULL,"
		 "  tries INTEGER NOT NULL, since INTEGER NOT NULL, next INTEGER NOT NULL, PRIMARY KEY(folder, key)) WITHOUT ROWID"),
		"INSERT INTO old SELECT folder, key, kind, reason, size, tries, since, next FROM failure", "DROP TABLE failure",
		"ALTER TABLE old RENAME TO failure", "DROP TABLE keyword", "PRAGMA user_version = 1",
	};
	struct strbuf before = STRBUF_INIT(65536), after = STRBUF_INIT(65536);
	struct err e = ERR_INIT;
	struct failure f;
	struct run_row r;
	struct db *db;

	(void)state;
	make_filled(5);
	db = open_db(DB_LOOK);
	assert_int_equal(dump(db, &before, &e), 0);
	db_close(db);
	without_told();
	for (size_t i = 0; i < COUNT(back); i++)
		ask(back[i]);
	refused(DB_LOOK, SOURCE, ERR_LOCAL, "the next run will bring it up to date");
	db = open_db(DB_RUN);
	assert_int_equal(dump(db, &after, &e), 0);
	assert_string_equal(strbuf_str(&before), strbuf_str(&after));
	assert_int_equal(failures_get(db, 1, false, SLICE_LIT("uid-of-a-failure"), &f, &e), 1);
	assert_int_equal(f.tries, 1);
	assert_int_equal(runs_last(db, &r, &e), 1);
	assert_int_equal(r.pulled, 3);
	assert_int_equal(r.pushed, 0);
	db_close(db);
	assert_int_equal(ask("PRAGMA user_version"), 7);
	strbuf_release(&before);
	strbuf_release(&after);
}

/* One of the fourth does not know what the left says of a message: nothing is believed to be known of it. */
static void fourth_version(void **state)
{
	struct pair p;
	struct db *db;
	struct err e = ERR_INIT;

	(void)state;
	make_filled(5);
	without_told();
	ask("PRAGMA user_version = 4");
	db = open_db(DB_RUN);
	assert_int_equal(pairs_by_left(db, 1, SLICE_LIT("uid-1-7919"), &p, &e), 1);
	assert_true(p.told.size == 0 && p.told.date == 0 && !p.told.has_mid && !p.told.has_object);
	assert_int_equal(p.made, 1700000001);
	assert_int_equal(trashed_expire(db, 1, &e), 0);
	db_close(db);
	assert_int_equal(ask("PRAGMA user_version"), 7);
}

/* One of the fifth has an index more, and stamps of Maildirs that promised less. */
static void fifth_version(void **state)
{
	(void)state;
	make_filled(5);
	with_made();
	ask("INSERT INTO folder VALUES(7, 'a', 'a', '12 3 4 500 0 -1 3', 'x.y 0 -1 3')");
	ask("UPDATE pair SET folder = 7, flags = 5 WHERE id = 1");
	ask("PRAGMA user_version = 5");
	db_close(open_db(DB_RUN));
	assert_int_equal(ask("SELECT count(*) FROM folder WHERE id = 7 AND left_stamp = '12 3 4 500 0 -1 3' AND right_stamp = 'x.y - - -'"), 1);
	assert_int_equal(ask("SELECT count(*) FROM folder WHERE id = 1 AND left_stamp = 'stamp' AND right_stamp = 'made'"), 1);
	assert_int_equal(ask("PRAGMA user_version"), 7);
	assert_int_equal(ask("SELECT count(*) FROM sqlite_schema WHERE name = 'pair_made'"), 0);
	assert_int_equal(ask("SELECT count(*) FROM pair"), 5);
}

/* One of the second knows no keywords: its two-way folders are looked at once more, by stamps that still show what keys mean. */
static void second_version(void **state)
{
	(void)state;
	make_filled(5);
	without_told();
	ask("DROP TABLE keyword");
	ask("ALTER TABLE run DROP COLUMN deleted_left");
	ask("DELETE FROM folder");
	ask("INSERT INTO folder VALUES(7, 'a', 'a', '12 3 4 500 0 -1 3', 'x.y 0 -1 3')");
	ask("INSERT INTO folder VALUES(8, 'b', 'b', '', '12 3 4 500 - - -')");
	ask("INSERT INTO folder VALUES(9, 'c', 'c', '12 3 4 500 0 -1 3', '')"); /* of a fetch */
	ask("INSERT INTO folder VALUES(10, 'd', 'd', 'one', 'two words')");
	ask("UPDATE pair SET folder = id % 5 + 6, flags = 5");
	ask("UPDATE pair SET flags = NULL WHERE folder = 9");
	ask("PRAGMA user_version = 2");
	refused(DB_LOOK, SOURCE, ERR_LOCAL, "the next run will bring it up to date");
	db_close(open_db(DB_RUN));
	assert_int_equal(ask("PRAGMA user_version"), 7);
	assert_int_equal(ask("SELECT count(*) FROM folder WHERE id = 7 AND left_stamp = '12 3 4 500 - - -' AND right_stamp = 'x.y - - -'"), 1);
	assert_int_equal(ask("SELECT count(*) FROM folder WHERE id = 8 AND left_stamp = '' AND right_stamp = '12 3 4 500 - - -'"), 1);
	assert_int_equal(ask("SELECT count(*) FROM folder WHERE id = 9 AND left_stamp = '12 3 4 500 0 -1 3' AND right_stamp = ''"), 1);
	assert_int_equal(ask("SELECT count(*) FROM folder WHERE id = 10 AND left_stamp = 'one' AND right_stamp = 'two words'"), 1);
	assert_int_equal(ask("SELECT count(*) FROM pair WHERE flags = 5"), 4);
	assert_int_equal(ask("SELECT count(*) FROM keyword"), 0);
}

static void other_sources(void **state)
{
	static const char other[] = "pop3:joe@pop.example.org";
	struct err e = ERR_INIT;
	struct db *db;

	(void)state;
	make_filled(5);
	refused(DB_RUN, other, ERR_CONF, SOURCE);
	refused(DB_RUN, other, ERR_CONF, other);
	refused(DB_RUN, other, ERR_CONF, "--same-source");
	refused(DB_LOOK, other, ERR_CONF, SOURCE);
	assert_int_equal(db_open(path, DB_LOOK, NULL, &db, &e), 0);
	db_close(db);
	db = open_db(DB_RUN);
	assert_int_equal(db_begin(db, &e), 0);
	assert_int_equal(sides_apart_put(db, &e), 0);
	assert_int_equal(db_commit(db, &e), 0);
	db_close(db);
	db = open_db(DB_RUN);
	assert_int_equal(sides_apart(db, &e), 1);
	db_close(db);
	assert_int_equal(db_open(path, DB_RUN_ADOPT, other, &db, &e), 0);
	assert_int_equal(sides_apart(db, &e), 0);
	db_close(db);
	assert_int_equal(ask("SELECT count(*) FROM pair"), 5);
	refused(DB_RUN, SOURCE, ERR_CONF, other);
	assert_int_equal(db_open(path, DB_RUN, other, &db, &e), 0);
	db_close(db);
}

/* The person's own links in the way to the directory are fine. */
static void linked_directory(void **state)
{
	char real[4096], old[4096];

	(void)state;
	snprintf(real, sizeof(real), "%s/real", dir);
	memcpy(old, path, sizeof(old));
	assert_int_equal(mkdir(real, 0700), 0);
	assert_int_equal(symlink("real", scratch_path(dir, "link")), 0);
	snprintf(path, sizeof(path), "%s/link/job.db", dir);
	make_filled(3);
	db_close(open_db(DB_LOOK));
	db_close(open_db(DB_RUN));
	snprintf(path, sizeof(path), "%s/real/job.db", dir);
	assert_int_equal(ask("SELECT count(*) FROM pair"), 3);
}

/* The file as it is now opens with the same content, or is refused with what to do. */
static void same_or_refused(const struct strbuf *good, const char *what, size_t at)
{
	static const enum db_how hows[] = { DB_LOOK, DB_RUN };
	struct strbuf now = STRBUF_INIT(1 << 24);

	for (size_t i = 0; i < COUNT(hows); i++) {
		struct err e = ERR_INIT;
		struct db *db = NULL;

		if (db_open(path, hows[i], SOURCE, &db, &e) == 0) {
			if (db_empty(db))
				fail_msg("%s at %zu: taken for an empty base", what, at);
			if (dump(db, &now, &e) == 0) {
				if (now.len != good->len || memcmp(now.s, good->s, now.len) != 0)
					fail_msg("%s at %zu: other content, and nobody says so", what, at);
				db_close(db);
				continue;
			}
			db_close(db);
		}
		if (!strstr(e.text, path))
			fail_msg("%s at %zu: which file? '%s'", what, at, e.text);
		if (e.kind != ERR_LOCAL || (!strstr(e.text, "restore it") && !strstr(e.text, "newer") && !(hows[i] == DB_LOOK && strstr(e.text, "older"))))
			fail_msg("%s at %zu: what is to be done? '%s'", what, at, e.text);
	}
	strbuf_release(&now);
}

static void damaged_anywhere(void **state)
{
	static const unsigned char flips[] = { 0xff, 0x01, 0x80 };
	struct strbuf file = STRBUF_INIT(1 << 24), good = STRBUF_INIT(1 << 24);
	struct err e = ERR_INIT;
	struct db *db;

	(void)state;
	make_filled(150);
	db = open_db(DB_LOOK);
	assert_int_equal(dump(db, &good, &e), 0);
	db_close(db);
	assert_true(good.len > 5000);
	read_file(path, &file);
	assert_true(file.len > 10 * 4096);
	/* the header byte by byte, the rest at every 512th, and between them */
	for (size_t at = 0; at < file.len; at = at < 100 ? at + 1 : at / 512 * 512 + (at % 512 < 100 ? 256 + at / 512 % 200 : 512))
		for (size_t k = 0; k < COUNT(flips); k++) {
			file.s[at] = (char)((unsigned char)file.s[at] ^ flips[k]);
			write_file(path, file.s, file.len);
			same_or_refused(&good, "a flipped byte", at);
			file.s[at] = (char)((unsigned char)file.s[at] ^ flips[k]);
		}
	/* a sector of zeros, as a disk that was not written gives it */
	for (size_t at = 0; at < file.len; at += 512) {
		char sector[512];

		memcpy(sector, file.s + at, 512);
		memset(file.s + at, 0, 512);
		write_file(path, file.s, file.len);
		same_or_refused(&good, "a zeroed sector", at);
		memcpy(file.s + at, sector, 512);
	}
	for (size_t at = 0; at < file.len; at = at < 128 ? at + 1 : at < 512 ? 512 : at + 512) {
		write_file(path, file.s, at);
		same_or_refused(&good, "truncated", at);
	}
	write_file(path, file.s, file.len);
	db_close(open_db(DB_RUN));
	strbuf_release(&file);
	strbuf_release(&good);
}

/* After a crash, with all that was committed still in the WAL: a torn WAL gives an earlier state or an error, never half a transaction. */
static void torn_wal(void **state)
{
	struct strbuf main_file = STRBUF_INIT(1 << 24), wal = STRBUF_INIT(1 << 24);
	char name[5000], shm[5000];

	(void)state;
	make_filled(20);
	apart(commit_and_die, false);
	snprintf(name, sizeof(name), "%s-wal", path);
	snprintf(shm, sizeof(shm), "%s-shm", path);
	read_file(path, &main_file);
	read_file(name, &wal);
	assert_true(wal.len > 0);
	for (size_t at = 0; at <= wal.len; at += 512) {
		struct err e = ERR_INIT;
		struct db *db = NULL;

		write_file(path, main_file.s, main_file.len);
		write_file(name, wal.s, at);
		unlink(shm);
		if (db_open(path, DB_RUN, SOURCE, &db, &e) == 0) {
			uint64_t n;

			assert_int_equal(pairs_present_count(db, 1, &n, &e), 0);
			if (n != 15 && n != 20)
				fail_msg("WAL cut at %zu: %llu pairs", at, (unsigned long long)n);
			if (at == wal.len)
				assert_int_equal(n, 20);
			db_close(db);
		} else if (!strstr(e.text, "restore it")) {
			fail_msg("WAL cut at %zu: %s", at, e.text);
		}
	}
	strbuf_release(&main_file);
	strbuf_release(&wal);
}

/* The disk is full: an error each time, and what was committed before is there. */
static void full_disk(void **state)
{
	(void)state;
	for (rlim_t limit = 0; limit < 200000; limit += limit < 20000 ? 1500 : 17000) {
		unsigned done = 0;
		int status, go[2];
		pid_t pid;

		assert_int_equal(pipe(go), 0);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			struct rlimit rl = { limit, limit };
			struct err e = ERR_INIT;
			struct db *db = NULL;

			signal(SIGXFSZ, SIG_IGN);
			setrlimit(RLIMIT_FSIZE, &rl);
			if (db_open(path, DB_RUN, SOURCE, &db, &e) < 0)
				_exit(e.kind == ERR_LOCAL && !strstr(e.text, "damaged") ? 10 : 1);
			for (unsigned i = 0; i < 1000; i++) {
				struct pair p = { .folder = 1, .right = SLICE_LIT("r"), .made = 1 };

				if (db_begin(db, &e) < 0 || pairs_add(db, &p, &e) < 0) {
					db_rollback(db);
					break;
				}
				if (db_commit(db, &e) < 0)
					break;
				if (write(go[1], "x", 1) != 1)
					_exit(2);
			}
			if (e.kind != ERR_LOCAL || strstr(e.text, "damaged"))
				_exit(3);
			/* still good for reading */
			if (pairs_present_count(db, 1, &(uint64_t){ 0 }, &e) < 0)
				_exit(4);
			db_close(db);
			_exit(11);
		}
		close(go[1]);
		for (char c; read(go[0], &c, 1) == 1;)
			done++;
		close(go[0]);
		waitpid(pid, &status, 0);
		assert_true(WIFEXITED(status));
		if (WEXITSTATUS(status) != 10 && WEXITSTATUS(status) != 11)
			fail_msg("with %llu bytes: status %d", (unsigned long long)limit, WEXITSTATUS(status));
		db_close(open_db(DB_RUN));
		assert_int_equal(ask("SELECT count(*) FROM pair"), done);
		if (WEXITSTATUS(status) == 10)
			assert_int_equal(done, 0);
		for (size_t i = 0; i < 4; i++) {
			static const char *const suffixes[] = { "", "-wal", "-shm", ".lock" };
			char name[5000];

			snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
			unlink(name);
		}
	}
}

/* What is committed is on disk, each time: removals at the source stand on it. */
static void commits_wait_for_the_disk(void **state)
{
	struct err e = ERR_INIT;
	struct db *db = open_db(DB_RUN);

	(void)state;
	for (int i = 0; i < 5; i++) {
		struct pair p = { .folder = 1, .right = SLICE_LIT("r"), .made = 1 };
		unsigned before = syncs;

		assert_int_equal(db_begin(db, &e), 0);
		assert_int_equal(pairs_add(db, &p, &e), 0);
		assert_int_equal(db_commit(db, &e), 0);
		assert_true(syncs > before);
	}
	db_close(db);
}

/* What need not last by itself comes to the disk with what must, and when the file is closed. */
static void light_commits_wait_for_no_disk(void **state)
{
	struct err e = ERR_INIT;
	struct db *db = open_db(DB_RUN);
	unsigned before;

	(void)state;
	assert_int_equal(db_begin(db, &e), 0);
	add_pairs(db, 0, 1);
	assert_int_equal(db_commit(db, &e), 0);
	for (int round = 0; round < 2; round++) {
		before = syncs;
		for (unsigned i = 0; i < 3; i++) {
			assert_int_equal(db_begin_light(db, &e), 0);
			add_pairs(db, 1 + 4 * (unsigned)round + i, 1);
			assert_int_equal(db_commit(db, &e), 0);
		}
		assert_int_equal(syncs, before);
		if (round == 1)
			break;
		assert_int_equal(db_begin(db, &e), 0);
		add_pairs(db, 4, 1);
		assert_int_equal(db_commit(db, &e), 0);
		assert_int_equal(syncs, before + 1);
	}
	db_close(db);
	assert_int_equal(syncs, before + 2); /* the -wal, then the file */
	assert_int_equal(ask("SELECT count(*) FROM pair"), 8);
}

/* A large transaction writes no page twice: not before its commit. */
static void each_page_once(void **state)
{
	struct err e = ERR_INIT;
	struct db *db = open_db(DB_RUN);

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		writes = 0;
		assert_int_equal(db_begin(db, &e), 0);
		add_pairs(db, i * 10000, 10000);
		assert_true(writes < 100);
		assert_int_equal(db_commit(db, &e), 0);
		assert_true(writes > 500);
	}
	db_close(db);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(new_file), T(mode_is_mended), T(rollback), T(one_run_at_a_time), T(looking_changes_nothing),
		T(a_run_without_changes_writes_nothing), T(read_through_once), T(lost), T(large_and_torn), T(other_files), T(names_in_the_way), T(directories_of_all), T(other_users), T(versions), T(first_version), T(second_version), T(fourth_version), T(fifth_version),
		T(other_sources), T(linked_directory), T(damaged_anywhere), T(torn_wal), T(full_disk),
		T(commits_wait_for_the_disk), T(light_commits_wait_for_no_disk), T(each_page_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
