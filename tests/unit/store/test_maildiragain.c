/* A message that another folder of the Maildir holds is staged from there: one file with two names, or a copy of it; never something else. */
#include "../../lib/unit.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "box.h"
#include "mail/flags.h"
#include "store/maildir.h"

#define TEXT "Subject: x\n\nbody\n"
#define OTHER "Subject: x\n\nBODY\n"
#define DATE 1500000000

static int no_links; /* errno of each link */
static struct {
	int reads; /* of this file: let so many pass, then fail with EIO, once; -1 never */
	ino_t ino;
	int writes; /* errno of each; 0 */
	int syncs;  /* likewise */
} fail;
static struct {
	ino_t ino;
	unsigned files, whole; /* how often that file was synced, or all of its file system */
} synced;

/* The file system's word. */
int linkat(int from, const char *name, int to, const char *dest, int flags)
{
	static int (*real)(int, const char *, int, const char *, int);

	if (no_links) {
		errno = no_links;
		return -1;
	}
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "linkat");
	return real(from, name, to, dest, flags);
}

ssize_t read(int fd, void *p, size_t n)
{
	static ssize_t (*real)(int, void *, size_t);
	struct stat st;

	if (fail.reads >= 0 && fstat(fd, &st) == 0 && st.st_ino == fail.ino && fail.reads-- == 0) {
		errno = EIO;
		return -1;
	}
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "read");
	return real(fd, p, n);
}

ssize_t write(int fd, const void *p, size_t n)
{
	static ssize_t (*real)(int, const void *, size_t);

	if (fail.writes) {
		errno = fail.writes;
		return -1;
	}
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "write");
	return real(fd, p, n);
}

/* The disk is not what is tested. */
int fsync(int fd)
{
	struct stat st;

	synced.files += fstat(fd, &st) == 0 && st.st_ino == synced.ino;
	errno = fail.syncs;
	return fail.syncs ? -1 : 0;
}

int syncfs(int fd)
{
	(void)fd;
	synced.whole++;
	errno = fail.syncs;
	return fail.syncs ? -1 : 0;
}

struct rig {
	char *dir;
	struct store *s;
	struct err e;
};

static const char *at(struct rig *r, const char *name)
{
	return path_in(path_in(r->dir, "tree"), name);
}

/* "A" has a message that arrived long ago, and "B" is open. */
static void start(struct rig *r)
{
	static const char *const dirs[] = { "", "A", "A/cur", "A/new", "A/tmp", "B", "B/cur", "B/new", "B/tmp" };
	struct maildir_params p = { .layout = MAILDIR_NESTED };
	const struct timespec old[2] = { { .tv_sec = DATE }, { .tv_sec = DATE } };
	struct box_info info;

	no_links = 0;
	fail.reads = -1;
	fail.writes = fail.syncs = 0;
	*r = (struct rig){ .dir = scratch_make() };
	for (size_t i = 0; i < COUNT(dirs); i++)
		assert_int_equal(mkdir(at(r, dirs[i]), 0700), 0);
	file_write(at(r, "A/cur/1.a:2,FS"), TEXT, strlen(TEXT));
	file_write(at(r, "A/new/2.b"), "longer than " TEXT, strlen("longer than " TEXT));
	assert_int_equal(utimensat(AT_FDCWD, at(r, "A/cur/1.a:2,FS"), old, 0), 0);
	p.path = at(r, "");
	r->s = maildir_new(&p, &r->e);
	assert_non_null(r->s);
	assert_int_equal(r->s->ops->open_box(r->s, "B", BOX_WRITE, &info, &r->e), 0);
}

static void stop(struct rig *r)
{
	store_free(r->s);
	scratch_remove(r->dir);
}

/* What the base says of a message of these bytes. */
static struct staged known(const char *text, const char *lf)
{
	struct digest *d = digest_new(NULL);
	struct staged as = { .size = strlen(text), .raw = true };

	assert_non_null(d);
	assert_int_equal(digest_put(d, lf, strlen(lf)), 0);
	assert_int_equal(digest_end(d, as.digest), 0);
	digest_free(d);
	return as;
}

static int again(struct rig *r, const char *folder, const char *key, uint64_t flags, int64_t date, struct staged *out)
{
	struct store_meta meta = { .flags = flags, .date = date };
	const struct staged as = known(TEXT, TEXT);

	return r->s->ops->stage_again(r->s, folder, slice_str(key), &as, &meta, out, &r->e);
}

/* Harden and publish; the file in that directory of B, which is then the only one. */
static void deliver(struct rig *r, struct staged *st, const char *part, const char *letters, struct stat *out)
{
	char name[600];

	assert_int_equal(r->s->ops->harden(r->s, st, 1, &r->e), 0);
	assert_int_equal(dir_count(at(r, "B/cur")) + dir_count(at(r, "B/new")), 0);
	assert_int_equal(r->s->ops->publish(r->s, st, 1, &r->e), 0);
	snprintf(name, sizeof(name), "B/%s/%s%s", part, st->key, letters);
	assert_int_equal(stat(at(r, name), out), 0);
	assert_int_equal(dir_count(at(r, "B/cur")) + dir_count(at(r, "B/new")), 1);
	assert_int_equal(dir_count(at(r, "B/tmp")), 0);
	assert_int_equal(file_size(at(r, name)), (long)strlen(TEXT));
}

static void one_file_with_two_names(void **state)
{
	static const struct { int64_t date; uint64_t flags; const char *part, *letters; } rows[] = {
		{ DATE, 0, "new", "" }, { 0, FLAG_SEEN | FLAG_ANSWERED, "cur", ":2,RS" },
	};
	const struct staged as = known(TEXT, TEXT);
	struct stat a, b;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct staged st;
		struct rig r;

		start(&r);
		assert_int_equal(again(&r, "A", "1.a", rows[i].flags, rows[i].date, &st), 1);
		assert_true(st.size == as.size && st.raw && memcmp(st.digest, as.digest, sizeof(st.digest)) == 0 && st.hint[0] == '\0');
		/* in tmp/ it must not look as if nobody had touched it for years */
		assert_int_equal(stat(at(&r, "A/cur/1.a:2,FS"), &a), 0);
		assert_true(a.st_atime > DATE + 1000 && a.st_mtime == DATE);
		deliver(&r, &st, rows[i].part, rows[i].letters, &b);
		assert_true(a.st_ino == b.st_ino && b.st_nlink == 2 && b.st_mtime == DATE);
		stop(&r);
	}
}

/* Where the file system can't link, or it arrived at another time: a file of its own. */
static void copies(void **state)
{
	static const struct { int error; int64_t date, want; } rows[] = {
		{ EXDEV, DATE, DATE }, { EPERM, DATE, DATE }, { EMLINK, 0, DATE }, { 0, DATE + 7, DATE + 7 },
	};
	struct stat a, b;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct strbuf text = STRBUF_INIT(4096);
		struct staged st;
		char name[600];
		struct rig r;

		start(&r);
		no_links = rows[i].error;
		assert_int_equal(again(&r, "A", "1.a", 0, rows[i].date, &st), 1);
		deliver(&r, &st, "new", "", &b);
		assert_int_equal(stat(at(&r, "A/cur/1.a:2,FS"), &a), 0);
		assert_true(a.st_ino != b.st_ino && b.st_nlink == 1);
		assert_int_equal(b.st_mtime, rows[i].want);
		snprintf(name, sizeof(name), "B/new/%s", st.key);
		assert_true(file_read(at(&r, name), &text));
		assert_string_equal(strbuf_str(&text), TEXT);
		strbuf_release(&text);
		stop(&r);
	}
}

/* Nothing is staged of what is not there, or is not what it was; and that is no error. */
static void is_not_there(void **state)
{
	static const struct { const char *folder, *key; } rows[] = {
		{ "A", "3.c" }, { "A", "2.b" }, { "A", "link" }, { "A", "pipe" }, { "Gone", "1.a" }, { "../tree/A", "1.a" }, { "A", "" },
	};
	struct staged st;
	struct rig r;

	(void)state;
	start(&r);
	assert_int_equal(symlink("1.a:2,FS", at(&r, "A/cur/link:2,")), 0);
	assert_int_equal(mkfifo(at(&r, "A/cur/pipe:2,"), 0600), 0);
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_int_equal(again(&r, rows[i].folder, rows[i].key, 0, DATE, &st), 0);
	assert_int_equal(dir_count(at(&r, "B/tmp")), 0);
	stop(&r);
}

/* Nor of a file to which somebody else has written, however it was to be taken over; whatever its line ends are. */
static void is_something_else(void **state)
{
	static const struct { const char *text, *lf, *now; } rows[] = {
		{ TEXT, TEXT, OTHER },
		{ "a: b\r\n\r\nc\nd\r\n", "a: b\n\nc\nd\n", "a: b\r\n\r\nC\nd\r\n" }, /* kept as it came, or as somebody else's program writes them */
		{ "a: b\n\nc\r", "a: b\n\nc\r", "a: b\n\nc\n" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		for (int link = 0; link < 2; link++) {
			const struct staged as = known(rows[i].text, rows[i].lf);
			struct store_meta meta = { .flags = 0 };
			struct staged st;
			struct rig r;

			start(&r);
			no_links = link ? 0 : EXDEV;
			file_write(at(&r, "A/cur/1.a:2,FS"), rows[i].text, strlen(rows[i].text));
			assert_int_equal(r.s->ops->stage_again(r.s, "A", slice_str("1.a"), &as, &meta, &st, &r.e), 1);
			assert_int_equal(dir_count(at(&r, "B/tmp")), 1);
			file_write(at(&r, "A/cur/1.a:2,FS"), rows[i].now, strlen(rows[i].now));
			assert_int_equal(r.s->ops->stage_again(r.s, "A", slice_str("1.a"), &as, &meta, &st, &r.e), 0);
			assert_int_equal(dir_count(at(&r, "B/tmp")), 1);
			stop(&r);
		}
	}
}

/* Of a file that can't be read nothing is staged, wherever reading ends; what can't be written is an error. */
static void cannot_be_read(void **state)
{
	struct staged st;
	struct stat a;
	struct rig r;

	(void)state;
	/* digested, and copied: each until its end is read */
	for (int reads = 0; reads < 4; reads++) {
		start(&r);
		no_links = EXDEV;
		assert_int_equal(stat(at(&r, "A/cur/1.a:2,FS"), &a), 0);
		fail.ino = a.st_ino;
		fail.reads = reads;
		assert_int_equal(again(&r, "A", "1.a", 0, DATE, &st), 0);
		assert_int_equal(fail.reads, -1);
		assert_int_equal(dir_count(at(&r, "B/tmp")), 0);
		/* and the store is as before */
		assert_int_equal(again(&r, "A", "1.a", 0, DATE, &st), 1);
		deliver(&r, &st, "new", "", &a);
		stop(&r);
	}
	start(&r);
	no_links = EXDEV;
	fail.writes = ENOSPC;
	assert_int_equal(again(&r, "A", "1.a", 0, DATE, &st), -1);
	fail.writes = 0;
	assert_true(strstr(r.e.text, "No space left") && r.e.span == SPAN_ACCT);
	assert_int_equal(dir_count(at(&r, "B/tmp")), 0);
	stop(&r);
}

#define MANY 60

/* Whoever wrote the file may not have waited for the disk: harden does, of one as of many, before it is seen. */
static void is_durable(void **state)
{
	static struct staged st[MANY];
	struct stat a;
	struct rig r;

	(void)state;
	for (size_t n = 1; n <= MANY; n = n < 3 ? n + 1 : n + MANY - 3) {
		start(&r);
		assert_int_equal(stat(at(&r, "A/cur/1.a:2,FS"), &a), 0);
		synced.ino = a.st_ino;
		for (size_t i = 0; i < n; i++)
			assert_int_equal(again(&r, "A", "1.a", 0, DATE, &st[i]), 1);
		synced.files = synced.whole = 0;
		fail.syncs = EIO;
		assert_int_equal(r.s->ops->harden(r.s, st, n, &r.e), -1);
		r.s->ops->abandon(r.s);
		fail.syncs = 0;
		for (size_t i = 0; i < n; i++)
			assert_int_equal(again(&r, "A", "1.a", 0, DATE, &st[i]), 1);
		synced.files = synced.whole = 0;
		assert_int_equal(r.s->ops->harden(r.s, st, n, &r.e), 0);
		assert_true(synced.files == n || (synced.whole == 1 && n >= 16));
		assert_int_equal(r.s->ops->publish(r.s, st, n, &r.e), 0);
		assert_int_equal(stat(at(&r, "A/cur/1.a:2,FS"), &a), 0);
		assert_int_equal(a.st_nlink, n + 1);
		stop(&r);
	}
}

/* With few descriptors, some are put on disk, and closed, early. */
static int with_few(struct rig *r)
{
	static struct staged st[MANY];
	const struct rlimit few = { 40, 40 };
	struct box_info info;

	if (setrlimit(RLIMIT_NOFILE, &few) < 0)
		return errno == EPERM ? 77 : 1; /* valgrind keeps the hard limit for itself */
	if (r->s->ops->open_box(r->s, "B", BOX_WRITE, &info, &r->e) < 0)
		return 2;
	for (size_t i = 0; i < MANY; i++)
		if (again(r, "A", "1.a", 0, DATE, &st[i]) != 1)
			return 3;
	if (r->s->ops->harden(r->s, st, MANY, &r->e) < 0 || synced.files < MANY - 12)
		return 4;
	return r->s->ops->publish(r->s, st, MANY, &r->e) < 0 || dir_count(at(r, "B/new")) != MANY ? 5 : 0;
}

static void few_descriptors(void **state)
{
	struct stat a;
	struct rig r;
	int status;
	pid_t pid;

	(void)state;
	start(&r);
	assert_int_equal(stat(at(&r, "A/cur/1.a:2,FS"), &a), 0);
	synced.ino = a.st_ino;
	synced.files = 0;
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		_exit(with_few(&r));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	stop(&r);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* What was staged so is dropped as any other, and the first file stays. */
static void is_dropped(void **state)
{
	struct staged st, other;
	struct stat a;
	struct rig r;

	(void)state;
	start(&r);
	assert_int_equal(again(&r, "A", "1.a", 0, DATE, &st), 1);
	assert_int_equal(again(&r, "A", "1.a", 0, DATE, &other), 1);
	assert_string_not_equal(st.key, other.key);
	r.s->ops->unstage(r.s, &st);
	assert_int_equal(stat(at(&r, "A/cur/1.a:2,FS"), &a), 0);
	assert_int_equal(a.st_nlink, 2);
	r.s->ops->abandon(r.s);
	assert_int_equal(stat(at(&r, "A/cur/1.a:2,FS"), &a), 0);
	assert_int_equal(a.st_nlink, 1);
	assert_int_equal(dir_count(at(&r, "B/tmp")), 0);
	stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_file_with_two_names), cmocka_unit_test(copies), cmocka_unit_test(is_not_there), cmocka_unit_test(is_something_else),
		cmocka_unit_test(cannot_be_read), cmocka_unit_test(is_durable), cmocka_unit_test(few_descriptors), cmocka_unit_test(is_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
