/* What is removed from a Maildir is kept, on this file system or another, and comes back: once, with all that it is. */
#include "../../lib/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "box.h"
#include "mail/flags.h"
#include "store/maildir.h"
#include "store/quarantine.h"

#define OLD 1500000000
#define ALL 3 /* messages of the box */

/* What is asked of the system is written down, and fails on demand. */
static struct {
	char log[8192];      /* "+NAME " renamed or linked to, "f: " a file is synced, "d:DIR " a directory, "-NAME " unlinked */
	bool across;         /* the quarantine is on another file system */
	int fail_write, fail_rename, fail_unlink, fail_dir; /* the last: a sync of a cur/ of the quarantine; let so many pass, then fail once with `err`; -1 never */
	int err;
} sys;

static void note(const char *how, const char *what)
{
	size_t n = strlen(sys.log);

	snprintf(sys.log + n, sizeof(sys.log) - n, "%s%s ", how, what);
}

static bool due(int *count)
{
	if (*count < 0)
		return false;
	if ((*count)-- > 0)
		return false;
	errno = sys.err;
	return true;
}

static const char *path_of(int fd, char out[BOX_PATH])
{
	char link[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, out, BOX_PATH - 1);
	out[n > 0 ? n : 0] = '\0';
	return out;
}

static bool in_quarantine(int fd)
{
	char path[BOX_PATH];

	return strstr(path_of(fd, path), "/quarantine/") != NULL;
}

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_renameat2(int from, const char *old, int to, const char *new, unsigned flags);
int __wrap_renameat2(int from, const char *old, int to, const char *new, unsigned flags);
int __real_linkat(int from, const char *old, int to, const char *new, int flags);
int __wrap_linkat(int from, const char *old, int to, const char *new, int flags);
int __real_unlinkat(int dir, const char *name, int flags);
int __wrap_unlinkat(int dir, const char *name, int flags);
ssize_t __real_write(int fd, const void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n);

int __wrap_fsync(int fd)
{
	char path[BOX_PATH], *p;
	struct stat st;
	int levels = 0;

	path_of(fd, path);
	if (fstat(fd, &st) < 0 || !S_ISDIR(st.st_mode)) {
		note("f:", "");
		return 0;
	}
	for (p = path + strlen(path); p > path && levels < 2; p--)
		levels += p[-1] == '/';
	note("d:", p + 1);
	return strcmp(path + strlen(path) - 4, "/cur") == 0 && in_quarantine(fd) && due(&sys.fail_dir) ? -1 : 0;
}

int __wrap_renameat2(int from, const char *old, int to, const char *new, unsigned flags)
{
	int rc;

	if (due(&sys.fail_rename))
		return -1;
	if (sys.across && in_quarantine(from) != in_quarantine(to)) {
		errno = EXDEV;
		return -1;
	}
	rc = __real_renameat2(from, old, to, new, flags);
	if (rc == 0)
		note("+", new);
	return rc;
}

int __wrap_linkat(int from, const char *old, int to, const char *new, int flags)
{
	if (sys.across && in_quarantine(from) != in_quarantine(to)) {
		errno = EXDEV;
		return -1;
	}
	return __real_linkat(from, old, to, new, flags);
}

int __wrap_unlinkat(int dir, const char *name, int flags)
{
	int rc;

	if (due(&sys.fail_unlink))
		return -1;
	rc = __real_unlinkat(dir, name, flags);
	if (rc == 0)
		note("-", name);
	return rc;
}

ssize_t __wrap_write(int fd, const void *p, size_t n)
{
	return due(&sys.fail_write) ? -1 : __real_write(fd, p, n);
}

/* ---- a Maildir with a quarantine ---- */

struct rig {
	char *dir, path[2 * BOX_PATH], kept[2 * BOX_PATH]; /* kept: of run 12 */
	struct maildir_params params;
	struct quarantine q;
	struct store *s;
	struct box_info info;
	struct err e;
	unsigned done, refused;
	struct err why;
	char keys[1024];
};

static void make_dirs(const char *path)
{
	char copy[3 * BOX_PATH], *slash = copy;

	snprintf(copy, sizeof(copy), "%s", path);
	while ((slash = strchr(slash + 1, '/'))) {
		*slash = '\0';
		mkdir(copy, 0700);
		*slash = '/';
	}
	mkdir(copy, 0700);
}

static void put(const char *dir, const char *name, const char *text)
{
	const struct timespec t[2] = { { .tv_sec = OLD }, { .tv_sec = OLD } };
	const char *path = path_in(dir, name);
	char copy[3 * BOX_PATH], *slash;

	snprintf(copy, sizeof(copy), "%s", path);
	slash = strrchr(copy, '/');
	*slash = '\0';
	make_dirs(copy);
	file_write(path, text, strlen(text));
	assert_int_equal(utimensat(AT_FDCWD, path, t, 0), 0);
}

static void start(struct rig *r, bool across)
{
	*r = (struct rig){ 0 };
	memset(&sys, 0, sizeof(sys));
	sys.fail_write = sys.fail_rename = sys.fail_unlink = sys.fail_dir = -1;
	sys.err = ENOSPC;
	sys.across = across;
	r->dir = scratch_make();
	snprintf(r->path, sizeof(r->path), "%s/Mail", r->dir);
	snprintf(r->kept, sizeof(r->kept), "%s/quarantine/both/12", r->dir);
	r->params.path = r->path;
	r->q = (struct quarantine){ .state_dir = r->dir, .name = "quarantine/both", .run = 12 };
	make_dirs(path_in(r->path, "Box/Sub/cur"));
	make_dirs(path_in(r->path, "Box/tmp"));
	put(r->path, "Box/new/1.a", "a\n");
	put(r->path, "Box/cur/2.b:2,", "b\n");
	put(r->path, "Box/cur/3.c:2,FS", "c\n");
	r->s = maildir_new(&r->params, &r->e);
	assert_non_null(r->s);
	r->s->quarantine = &r->q;
}

static void stop(struct rig *r)
{
	store_free(r->s);
	scratch_remove(r->dir);
	clock_test_set(-1);
}

static bool is(const char *dir, const char *name)
{
	struct stat st;

	return lstat(path_in(dir, name), &st) == 0;
}

/* The file is there, with these bytes, and as old as it was. */
static void holds(const char *dir, const char *name, const char *text)
{
	struct strbuf b = STRBUF_INIT(BOX_BYTES);
	struct stat st;

	if (!file_read(path_in(dir, name), &b))
		fail_msg("no %s/%s", dir, name);
	assert_string_equal(strbuf_str(&b), text);
	strbuf_release(&b);
	assert_int_equal(stat(path_in(dir, name), &st), 0);
	assert_int_equal(st.st_mtime, OLD);
}

static void hear(void *arg, uint64_t num, const struct err *why)
{
	struct rig *r = arg;

	(void)num;
	if (!why) {
		r->done++;
		return;
	}
	assert_int_equal(why->span, SPAN_MSG);
	r->why = *why;
	r->refused++;
}

static void open_box(struct rig *r, const char *folder)
{
	if (r->s->ops->open_box(r->s, folder, BOX_WRITE, &r->info, &r->e) < 0)
		fail_msg("open: %s", r->e.text);
}

/* Remove all messages of a folder. */
static int remove_all(struct rig *r, const char *folder)
{
	uint64_t nums[64];
	struct store_msg m;
	size_t n = 0;
	int rc;

	r->done = r->refused = 0;
	open_box(r, folder);
	assert_int_equal(r->s->ops->list_start(r->s, &r->e), 0);
	while (r->s->ops->list_next(r->s, &m, &r->e) == 1)
		nums[n++] = m.num;
	sys.log[0] = '\0';
	rc = r->s->ops->remove(r->s, nums, n, hear, r, &r->e);
	return rc < 0 ? rc : r->s->ops->commit(r->s, &r->e);
}

static void must_remove(struct rig *r, const char *folder)
{
	if (remove_all(r, folder) < 0)
		fail_msg("remove: %s", r->e.text);
}

static void hear_back(void *arg, struct slice key, uint64_t size, const struct err *why)
{
	struct rig *r = arg;
	size_t n = strlen(r->keys);

	(void)size;
	snprintf(r->keys + n, sizeof(r->keys) - n, "%.*s ", (int)key.n, key.p);
	hear(arg, 0, why);
}

static int restore_box(void *arg, const char *folder, bool whole, const struct quarantine_box *b, struct err *e)
{
	struct rig *r = arg;

	(void)whole;
	if (r->s->ops->folder_create(r->s, folder, 0, e) < 0 || r->s->ops->open_box(r->s, folder, BOX_WRITE, &r->info, e) < 0)
		return -1;
	sys.log[0] = '\0';
	return r->s->ops->restore(r->s, b, 12, hear_back, r, e);
}

static void restore(struct rig *r)
{
	r->done = r->refused = 0;
	r->keys[0] = '\0';
	if (quarantine_boxes(&r->q, 12, restore_box, r, &r->e) < 0)
		fail_msg("restore: %s", r->e.text);
}

static size_t files(const char *dir, const char *box)
{
	char path[3 * BOX_PATH];
	size_t n = 0;
	static const char *const parts[] = { "cur", "new" };

	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s/%s", dir, box, parts[i]);
		n += access(path, F_OK) == 0 ? dir_count(path) : 0;
	}
	return n;
}

/* One thing is noted before the other. */
static void in_order(const char *a, const char *b)
{
	const char *x = strstr(sys.log, a), *y = strstr(sys.log, b);

	if (!x || !y || x > y)
		fail_msg("not %s before %s: %s", a, b, sys.log);
}

/* All of the box is there and no more here, as it was. */
static void all_kept(struct rig *r)
{
	assert_int_equal(r->done, ALL);
	assert_int_equal(r->q.kept, ALL);
	assert_int_equal(files(r->path, "Box"), 0);
	holds(r->kept, "Box/new/1.a", "a\n");
	holds(r->kept, "Box/cur/2.b:2,", "b\n");
	holds(r->kept, "Box/cur/3.c:2,FS", "c\n");
}

/* ---- cases ---- */

static void keeps_what_is_removed(void **state)
{
	struct rig r;

	(void)state;
	start(&r, false);
	must_remove(&r, "Box");
	all_kept(&r);
	/* it is on disk there before it is gone for good here */
	in_order("+1.a ", "d:Box/new ");
	assert_null(strstr(sys.log, "f: "));
	assert_non_null(strstr(sys.log, "d:Box/cur d:Box/new d:Box/cur d:Box/new "));
	stop(&r);
}

static void copies_to_another_file_system(void **state)
{
	struct rig r;

	(void)state;
	start(&r, true);
	must_remove(&r, "Box");
	all_kept(&r);
	assert_int_equal(dir_count(path_in(r.kept, "Box/tmp")), 0);
	in_order("f: ", "+1.a ");
	in_order("+3.c:2,FS ", "d:Box/cur ");
	in_order("d:Box/cur ", "-1.a ");
	in_order("d:Box/new ", "-1.a ");
	in_order("d:Box/new ", "-2.b:2, ");
	stop(&r);
}

/* What can't be kept is not removed; the others are. */
static void removes_nothing_that_is_not_kept(void **state)
{
	static const struct {
		bool across;
		int *fail;
		int err;
	} rows[] = {
		{ false, &sys.fail_rename, ENOSPC }, { false, &sys.fail_rename, EDQUOT }, { false, &sys.fail_rename, EIO }, { true, &sys.fail_write, ENOSPC },
	};
	struct rig r;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		start(&r, rows[i].across);
		sys.err = rows[i].err;
		*rows[i].fail = 1;
		must_remove(&r, "Box");
		assert_int_equal(r.done, ALL - 1);
		assert_int_equal(r.refused, 1);
		assert_non_null(strstr(r.why.text, "quarantine = 0"));
		assert_int_equal(files(r.path, "Box"), 1);
		assert_int_equal(files(r.kept, "Box"), ALL - 1);
		assert_int_equal(dir_count(path_in(r.kept, "Box/tmp")), 0);
		stop(&r);
	}
	/* nor is anything when nobody knows whether the copies are safe */
	start(&r, true);
	sys.err = EIO;
	sys.fail_dir = 0;
	assert_int_equal(remove_all(&r, "Box"), -1);
	assert_int_equal(r.done + r.refused, 0);
	assert_int_equal(files(r.path, "Box"), ALL);
	assert_int_equal(files(r.kept, "Box"), 0);
	stop(&r);
	/* a copy of what then stays is none */
	start(&r, true);
	sys.err = EACCES;
	sys.fail_unlink = 0;
	must_remove(&r, "Box");
	assert_int_equal(r.refused, 1);
	assert_int_equal(r.q.kept, ALL - 1);
	assert_int_equal(files(r.path, "Box") + files(r.kept, "Box"), ALL);
	stop(&r);
}

static void needs_its_place(void **state)
{
	static const char *const at[] = { "quarantine", "quarantine/both", "quarantine/both/12", "quarantine/both/12/Box", "quarantine/both/12/Box/cur" };

	(void)state;
	for (size_t i = 0; i < 2 * COUNT(at); i++) {
		struct rig r;
		char parent[3 * BOX_PATH];

		start(&r, i % 2);
		snprintf(parent, sizeof(parent), "%s", path_in(r.dir, at[i / 2]));
		*strrchr(parent, '/') = '\0';
		make_dirs(parent);
		make_dirs(path_in(r.dir, "elsewhere"));
		if (i % 2 == 0)
			assert_int_equal(symlink(path_in(r.dir, "elsewhere"), path_in(r.dir, at[i / 2])), 0);
		else
			file_write(path_in(r.dir, at[i / 2]), "x", 1);
		assert_int_equal(remove_all(&r, "Box"), -1);
		assert_int_equal(r.e.span, SPAN_BOX);
		assert_non_null(strstr(r.e.text, "quarantine"));
		assert_int_equal(files(r.path, "Box"), ALL);
		assert_int_equal(dir_count(path_in(r.dir, "elsewhere")), 0);
		/* nor is a folder removed then */
		assert_int_equal(r.s->ops->folder_remove(r.s, "Box", ALL, &r.e), -1);
		assert_int_equal(files(r.path, "Box"), ALL);
		assert_int_equal(dir_count(path_in(r.dir, "elsewhere")), 0);
		stop(&r);
	}
}

/* A run was interrupted when it had made copies, or between the two names of one file: it goes on, and each is kept once. */
static void goes_on(void **state)
{
	(void)state;
	for (int across = 0; across < 2; across++) {
		struct rig r;

		start(&r, across);
		put(r.kept, "Box/new/1.a", "a\n");
		put(r.kept, "Box/cur/2.b:2,S", "b\n"); /* the flags have changed since */
		make_dirs(path_in(r.kept, "Box/tmp"));
		assert_int_equal(link(path_in(r.path, "Box/cur/3.c:2,FS"), path_in(r.kept, "Box/cur/3.c:2,FS")), 0);
		must_remove(&r, "Box");
		assert_int_equal(r.done, ALL);
		assert_int_equal(files(r.path, "Box"), 0);
		assert_int_equal(files(r.kept, "Box"), ALL);
		in_order("d:Box/cur ", "-3.c:2,FS ");
		stop(&r);
		/* others that are called the same are others */
		start(&r, across);
		put(r.kept, "Box/new/1.a", "another\n");
		put(r.kept, "Box/cur/2.b:2,FS", "B\n");
		make_dirs(path_in(r.kept, "Box/tmp"));
		must_remove(&r, "Box");
		assert_int_equal(files(r.path, "Box"), 0);
		assert_int_equal(files(r.kept, "Box"), ALL + 2);
		holds(r.kept, "Box/new/1.a", "another\n");
		restore(&r);
		assert_int_equal(r.done, ALL + 2);
		assert_int_equal(files(r.path, "Box"), ALL + 2);
		stop(&r);
	}
}

static void keeps_folders(void **state)
{
	(void)state;
	for (int across = 0; across < 2; across++) {
		struct rig r;

		start(&r, across);
		/* two of one name: neither is lost */
		put(r.path, "Box/new/3.c", "twin\n");
		sys.log[0] = '\0';
		if (r.s->ops->folder_remove(r.s, "Box", ALL + 1, &r.e) < 0)
			fail_msg("%s", r.e.text);
		assert_int_equal(r.q.kept, ALL + 1);
		assert_false(is(r.path, "Box/cur"));
		assert_true(is(r.path, "Box/Sub/cur") && is(r.kept, "Box/.whole"));
		assert_int_equal(files(r.kept, "Box"), ALL + 1);
		assert_false(is(r.kept, "Box/new/3.c") && is(r.kept, "Box/cur/3.c:2,FS"));
		holds(r.kept, "Box/new/1.a", "a\n");
		if (across)
			in_order("d:Box/new ", "-1.a ");
		in_order("d:Box/cur ", "-cur ");
		restore(&r);
		assert_int_equal(r.done, ALL + 1);
		assert_int_equal(files(r.path, "Box"), ALL + 1);
		stop(&r);
		/* not all can be kept: the folder stays, and nothing is in two places */
		start(&r, across);
		*(across ? &sys.fail_write : &sys.fail_rename) = ALL - 1;
		assert_int_equal(r.s->ops->folder_remove(r.s, "Box", ALL, &r.e), -1);
		assert_int_equal(r.e.span, SPAN_BOX);
		assert_non_null(strstr(r.e.text, "quarantine = 0"));
		assert_true(is(r.path, "Box/cur") && is(r.path, "Box/tmp"));
		assert_int_equal(files(r.path, "Box"), across ? ALL : 1);
		assert_int_equal(files(r.kept, "Box"), across ? 0 : ALL - 1);
		stop(&r);
	}
}

static void brings_back(void **state)
{
	(void)state;
	for (int across = 0; across < 2; across++) {
		char first[BOX_PATH];
		struct rig r;

		start(&r, across);
		must_remove(&r, "Box");
		put(r.path, "Box/cur/9.z:2,", "later\n");
		restore(&r);
		assert_int_equal(r.done, ALL);
		assert_int_equal(r.refused, 0);
		assert_int_equal(files(r.path, "Box"), ALL + 1);
		assert_int_equal(files(r.kept, "Box"), 0);
		assert_null(strstr(r.keys, "1.a "));
		snprintf(first, sizeof(first), "Box/new/%.*s", (int)strcspn(r.keys, " "), r.keys); /* new/ comes first */
		holds(r.path, first, "a\n");
		assert_int_equal(dir_count(path_in(r.path, "Box/tmp")), 0);
		if (across)
			in_order("f: ", "d:Box/cur ");
		assert_non_null(strstr(sys.log, "d:Box/cur d:Box/new "));
		/* as if it had been interrupted when one was back: with other flags by now, and in cur/ */
		put(r.kept, "Box/new/1.a", "a\n");
		{
			char seen[BOX_PATH];

			snprintf(seen, sizeof(seen), "Box/cur/%s:2,S", strrchr(first, '/') + 1);
			assert_int_equal(rename(path_in(r.path, first), path_in(r.path, seen)), 0);
			restore(&r);
			assert_int_equal(r.done, 1);
			holds(r.path, seen, "a\n");
		}
		assert_int_equal(files(r.path, "Box"), ALL + 1);
		assert_int_equal(files(r.kept, "Box"), 0);
		in_order("d:Box/cur ", "-1.a ");
		stop(&r);
		/* a run was interrupted when copies, or second names, were there, and nothing was removed yet */
		start(&r, across);
		put(r.kept, "Box/new/1.a", "a\n");
		put(r.kept, "Box/cur/2.b:2,", "b\n");
		assert_int_equal(rename(path_in(r.path, "Box/cur/2.b:2,"), path_in(r.path, "Box/cur/2.b:2,S")), 0);
		assert_int_equal(link(path_in(r.path, "Box/cur/3.c:2,FS"), path_in(r.kept, "Box/cur/3.c:2,FS")), 0);
		put(r.kept, "Box/cur/4.d:2,S", "d\n");
		put(r.path, "Box/cur/4.d:2,S", "another\n");
		restore(&r);
		assert_int_equal(r.done, ALL + 1);
		assert_int_equal(files(r.path, "Box"), ALL + 2);
		assert_int_equal(files(r.kept, "Box"), 0);
		assert_false(is(r.path, "Box/new/1.a") || is(r.path, "Box/cur/2.b:2,S") || is(r.path, "Box/cur/3.c:2,FS"));
		holds(r.path, "Box/cur/4.d:2,S", "another\n");
		stop(&r);
	}
}

/* However the Maildir lays out its folders, the quarantine does it in one way. */
static void any_layout(void **state)
{
	static const struct {
		enum maildir_layout layout;
		const char *inbox, *work;
	} rows[] = { { MAILDIR_NESTED, "INBOX", "Work/2026" }, { MAILDIR_PLUSPLUS, ".", ".Work.2026" }, { MAILDIR_FLAT, "INBOX", "Work.2026" } };
	static const char *const folders[] = { "INBOX", "Work/2026" };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const char *const boxes[] = { rows[i].inbox, rows[i].work };
		struct rig r;

		start(&r, false);
		store_free(r.s);
		r.params.layout = rows[i].layout;
		r.s = maildir_new(&r.params, &r.e);
		assert_non_null(r.s);
		r.s->quarantine = &r.q;
		for (size_t k = 0; k < 2; k++) {
			char name[BOX_PATH];

			assert_int_equal(r.s->ops->folder_create(r.s, folders[k], 0, &r.e), 0);
			snprintf(name, sizeof(name), "%s/cur/7.g:2,S", boxes[k]);
			put(r.path, name, folders[k]);
			must_remove(&r, folders[k]);
			assert_int_equal(files(r.path, boxes[k]), 0);
			snprintf(name, sizeof(name), "%s/cur/7.g:2,S", folders[k]);
			holds(r.kept, name, folders[k]);
		}
		/* gone altogether by now */
		assert_int_equal(r.s->ops->folder_remove(r.s, "Work/2026", 0, &r.e), 0);
		restore(&r);
		assert_int_equal(r.refused, 0);
		for (size_t k = 0; k < 2; k++)
			assert_int_equal(files(r.path, boxes[k]), 1);
		stop(&r);
	}
}

/* One that can't be put back stays where it is, and so do all when there is no room. */
static void does_not_bring_back(void **state)
{
	(void)state;
	for (int across = 0; across < 2; across++) {
		static const int errors[] = { EACCES, ENOSPC };

		for (size_t i = 0; i < COUNT(errors); i++) {
			struct rig r;

			start(&r, across);
			must_remove(&r, "Box");
			sys.err = errors[i];
			*(across ? &sys.fail_write : &sys.fail_rename) = 1;
			r.done = r.refused = 0;
			r.keys[0] = '\0';
			assert_int_equal(quarantine_boxes(&r.q, 12, restore_box, &r, &r.e), i == 0 ? 0 : -1);
			assert_int_equal(r.refused, i == 0);
			assert_int_equal(r.done, i == 0 ? ALL - 1 : 1);
			assert_int_equal(files(r.path, "Box") + files(r.kept, "Box"), ALL);
			assert_int_equal(dir_count(path_in(r.path, "Box/tmp")), 0);
			if (i == 1)
				assert_int_equal(r.e.span, SPAN_BOX);
			restore(&r);
			assert_int_equal(files(r.path, "Box"), ALL);
			stop(&r);
		}
	}
}

static int list_run(void *arg, const struct quarantine_run *q, struct err *e)
{
	char *out = arg;
	size_t n = strlen(out);

	(void)e;
	snprintf(out + n, 256 - n, "%lld:%llu ", (long long)q->run, (unsigned long long)q->messages);
	return 0;
}

static int list_box(void *arg, const char *folder, bool whole, const struct quarantine_box *b, struct err *e)
{
	char *out = arg;
	size_t n = strlen(out);

	(void)b;
	(void)e;
	snprintf(out + n, 256 - n, "%s%s ", folder, whole ? "!" : "");
	return 0;
}

/* The runs that there are, and what else may lie around. */
static void knows_its_runs(void **state)
{
	static const char *const odd[] = { "both/9.gone/Box/cur/1.x", "both/012/Box/cur/1.x", "both/-3/Box/cur/1.x", "both/notes/cur/1.x", "both/.13/Box/cur/1.x" };
	char got[256] = "", boxes[256] = "";
	int64_t last;
	struct rig r;

	(void)state;
	start(&r, false);
	assert_int_equal(quarantine_runs(&r.q, list_run, got, &r.e), 0);
	assert_int_equal(quarantine_last(&r.q, &last, &r.e), 0);
	assert_int_equal(last, 0);
	assert_int_equal(quarantine_expire(&r.q, 1, &r.e), 0);
	assert_int_equal(quarantine_drop(&r.q, 12, &r.e), 0);
	assert_int_equal(quarantine_boxes(&r.q, 12, list_box, boxes, &r.e), 0);
	assert_string_equal(got, "");
	assert_string_equal(boxes, "");
	assert_false(is(r.dir, "quarantine"));
	must_remove(&r, "Box");
	r.q.run = 101;
	put(r.path, "Box/Sub/new/5.e", "e\n");
	make_dirs(path_in(r.path, "Box/Sub/tmp"));
	must_remove(&r, "Box/Sub");
	r.q.run = 102; /* emptied by a person */
	put(r.path, "Box/new/6.f", "f\n");
	must_remove(&r, "Box");
	assert_int_equal(unlink(path_in(r.dir, "quarantine/both/102/Box/new/6.f")), 0);
	for (size_t i = 0; i < COUNT(odd); i++)
		put(path_in(r.dir, "quarantine"), odd[i], "x\n");
	assert_int_equal(symlink(r.kept, path_in(r.dir, "quarantine/both/200")), 0);
	assert_int_equal(quarantine_runs(&r.q, list_run, got, &r.e), 0);
	assert_string_equal(got, "101:1 12:3 ");
	assert_int_equal(quarantine_last(&r.q, &last, &r.e), 0);
	assert_int_equal(last, 102);
	assert_int_equal(quarantine_boxes(&r.q, 101, list_box, boxes, &r.e), 0);
	assert_string_equal(boxes, "Box/Sub ");
	/* what holds something is not dropped */
	assert_int_equal(quarantine_drop(&r.q, 12, &r.e), 0);
	assert_true(is(r.kept, "Box/cur/2.b:2,"));
	assert_int_equal(quarantine_drop(&r.q, 102, &r.e), 0);
	assert_false(is(r.dir, "quarantine/both/102"));
	assert_int_equal(quarantine_drop(&r.q, 200, &r.e), -1);
	assert_true(is(r.kept, "Box/cur/2.b:2,"));
	stop(&r);
}

static void age(const char *path, int64_t when)
{
	const struct timespec t[2] = { { .tv_sec = when }, { .tv_sec = when } };

	assert_int_equal(utimensat(AT_FDCWD, path, t, 0), 0);
}

static void expires(void **state)
{
	struct rig r;

	(void)state;
	start(&r, false);
	must_remove(&r, "Box");
	r.q.run = 13;
	put(r.path, "Box/new/5.e", "e\n");
	must_remove(&r, "Box");
	put(r.dir, "quarantine/both/9.gone/Box/cur/1.x", "x\n");
	put(r.dir, "quarantine/both/notes/1.x", "x\n");
	put(r.dir, "quarantine/other/12/Box/cur/1.x", "x\n");
	put(r.dir, "precious/1.x", "x\n");
	assert_int_equal(symlink(path_in(r.dir, "precious"), path_in(r.kept, "Box/cur/link")), 0);
	assert_int_equal(symlink(path_in(r.dir, "precious"), path_in(r.dir, "quarantine/both/11")), 0);
	age(r.kept, 1000);
	age(path_in(r.dir, "quarantine/both/13"), 2000);
	age(path_in(r.dir, "quarantine/other/12"), 1000);
	sys.log[0] = '\0';
	assert_int_equal(quarantine_expire(&r.q, 1000, &r.e), 0);
	assert_true(is(r.kept, "Box/cur/2.b:2,"));
	assert_false(is(r.dir, "quarantine/both/9.gone"));
	/* a run that goes on after a long time */
	r.q.run = 12;
	put(r.path, "Box/new/6.f", "f\n");
	must_remove(&r, "Box");
	assert_int_equal(quarantine_expire(&r.q, 1001, &r.e), 0);
	assert_true(is(r.kept, "Box/cur/2.b:2,"));
	age(r.kept, 1000);
	assert_int_equal(quarantine_expire(&r.q, 1001, &r.e), 0);
	assert_false(is(r.kept, "") || is(r.dir, "quarantine/both/12.gone"));
	assert_true(is(r.dir, "quarantine/both/13/Box/new/5.e") && is(r.dir, "quarantine/both/notes/1.x") && is(r.dir, "quarantine/other/12/Box/cur/1.x") &&
		    is(r.dir, "precious/1.x") && is(r.dir, "quarantine/both/11"));
	assert_int_equal(quarantine_expire(&r.q, 2001, &r.e), 0);
	assert_false(is(r.dir, "quarantine/both/13"));
	stop(&r);
}

/* The trash is one already: what goes there is not kept twice. */
static void not_beside_a_trash(void **state)
{
	struct rig r;

	(void)state;
	start(&r, false);
	r.s->trash = "Trash";
	must_remove(&r, "Box");
	assert_int_equal(files(r.path, "Trash"), ALL);
	assert_false(is(r.dir, "quarantine"));
	/* but from it, it is removed */
	must_remove(&r, "Trash");
	assert_int_equal(files(r.kept, "Trash"), ALL);
	stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_what_is_removed),
		cmocka_unit_test(copies_to_another_file_system),
		cmocka_unit_test(removes_nothing_that_is_not_kept),
		cmocka_unit_test(needs_its_place),
		cmocka_unit_test(goes_on),
		cmocka_unit_test(keeps_folders),
		cmocka_unit_test(brings_back),
		cmocka_unit_test(any_layout),
		cmocka_unit_test(does_not_bring_back),
		cmocka_unit_test(knows_its_runs),
		cmocka_unit_test(expires),
		cmocka_unit_test(not_beside_a_trash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
