/* Waiting for changes in local stores: which hints come of what others do to the files; what becomes of it where inotify tells little or nothing. */
#include "../../lib/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "box.h"
#include "store/dirwatch.h"
#include "store/listen.h"
#include "store/maildir.h"
#include "store/mbox.h"

/* ---- what the kernel is made to say ---- */

static int watches_left = -1; /* -1: as many as there are */
static bool no_inotify, on_nfs;

int __real_inotify_add_watch(int fd, const char *path, uint32_t mask);
int __wrap_inotify_add_watch(int fd, const char *path, uint32_t mask);
int __wrap_inotify_add_watch(int fd, const char *path, uint32_t mask)
{
	if (watches_left == 0) {
		errno = ENOSPC;
		return -1;
	}
	watches_left -= watches_left > 0;
	return __real_inotify_add_watch(fd, path, mask);
}

int __real_inotify_init1(int flags);
int __wrap_inotify_init1(int flags);
int __wrap_inotify_init1(int flags)
{
	if (no_inotify) {
		errno = EMFILE;
		return -1;
	}
	return __real_inotify_init1(flags);
}

int __real_statfs(const char *path, struct statfs *fs);
int __wrap_statfs(const char *path, struct statfs *fs);
int __wrap_statfs(const char *path, struct statfs *fs)
{
	int rc = __real_statfs(path, fs);

	if (on_nfs)
		fs->f_type = 0x6969;
	return rc;
}

static void assert_ok(int rc, struct err e)
{
	if (rc < 0)
		fail_msg("%s", e.text);
}

/* ---- a listener, and what it tells ---- */

struct rig {
	char *dir;
	struct store *s;
	struct listener *l;
	struct err e;
	struct strbuf heard; /* names with blanks between; "*" all */
	unsigned hints;
};

static const char *const job[] = { "Work", "INBOX", "Work/2026" };

static const char *at(struct rig *r, const char *name)
{
	return path_in(path_in(r->dir, "tree"), name);
}

static void on_hint(void *arg, const char *folder)
{
	struct rig *r = arg;

	r->hints++;
	strbuf_printf(&r->heard, "%s%s", r->heard.len ? " " : "", folder ? folder : "*");
}

/* All that is to be told at once. */
static const char *take(struct rig *r)
{
	strbuf_clear(&r->heard);
	assert_ok(r->l->ops->take(r->l, on_hint, r, &r->e), r->e);
	assert_false(r->l->ops->pending(r->l));
	return strbuf_str(&r->heard);
}

/* The same, when the listener wants to be called; but for its look at the root. */
static const char *take_when(struct rig *r)
{
	msec_t when = r->l->ops->when(r->l);

	if (when < clock_in(2000))
		wait_until(when, NULL);
	return take(r);
}

static bool readable(struct rig *r)
{
	struct wait_item w[LISTEN_FDS_MAX];
	size_t n = r->l->ops->fds(r->l, w);

	return n > 0 && wait_fds(w, n, clock_now(), NULL) > 0;
}

static void put(struct rig *r, const char *name)
{
	file_write(at(r, name), "a\n", 2);
}

static void move(struct rig *r, const char *from, const char *to)
{
	assert_int_equal(rename(at(r, from), at(r, to)), 0);
}

static void make_box(struct rig *r, const char *name)
{
	static const char *const parts[] = { "", "/cur", "/new", "/tmp" };
	char path[300];

	for (size_t i = 0; i < COUNT(parts); i++) {
		snprintf(path, sizeof(path), "%s%s", name, parts[i]);
		if (mkdir(at(r, path), 0700) < 0)
			assert_int_equal(errno, EEXIST);
	}
}

static void remove_box(struct rig *r, const char *name)
{
	static const char *const parts[] = { "/cur", "/new", "/tmp", "" };
	char path[300];

	for (size_t i = 0; i < COUNT(parts); i++) {
		snprintf(path, sizeof(path), "%s%s", name, parts[i]);
		assert_int_equal(rmdir(at(r, path)), 0);
	}
}

static void listen_to(struct rig *r, msec_t interval)
{
	const struct listen_params p = { .folders = job, .n = COUNT(job), .interval = interval };

	r->l = listener_new(r->s, &p, &r->e);
	if (!r->l)
		fail_msg("%s", r->e.text);
}

/* A tree of a layout, with one folder that is not synced. */
static void start(struct rig *r, enum maildir_layout layout, msec_t interval)
{
	static const char *const boxes[][4] = {
		[MAILDIR_NESTED] = { "INBOX", "Work", "Work/2026", "Other" },
		[MAILDIR_PLUSPLUS] = { "", ".Work", ".Work.2026", ".Other" },
		[MAILDIR_FLAT] = { "INBOX", "Work", "Work.2026", "Other" },
	};
	struct maildir_params p = { .layout = layout };

	*r = (struct rig){ .dir = scratch_make(), .heard = STRBUF_INIT(65536) };
	make_box(r, "");
	for (size_t i = 0; i < 4; i++)
		make_box(r, boxes[layout][i]);
	if (layout != MAILDIR_PLUSPLUS)
		for (size_t i = 0; i < 3; i++)
			assert_int_equal(rmdir(at(r, i == 0 ? "cur" : i == 1 ? "new" : "tmp")), 0);
	p.path = at(r, "");
	r->s = maildir_new(&p, &r->e);
	assert_non_null(r->s);
	listen_to(r, interval);
}

static void end(struct rig *r)
{
	listener_free(r->l);
	store_free(r->s);
	strbuf_release(&r->heard);
	scratch_remove(r->dir);
	watches_left = -1;
	no_inotify = on_nfs = false;
}

static const char *how(struct rig *r)
{
	strbuf_clear(&r->heard);
	r->l->ops->how(r->l, &r->heard);
	return strbuf_str(&r->heard);
}

/* ---- Maildir ---- */

static void test_mail(void **state)
{
	static const struct {
		enum maildir_layout layout;
		const char *inbox, *work, *below, *other;
	} layouts[] = {
		{ MAILDIR_NESTED, "INBOX", "Work", "Work/2026", "Other" },
		{ MAILDIR_PLUSPLUS, ".", ".Work", ".Work.2026", ".Other" },
		{ MAILDIR_FLAT, "INBOX", "Work", "Work.2026", "Other" },
	};
	char a[300], b[300];
	struct rig r;

	(void)state;
	for (size_t i = 0; i < COUNT(layouts); i++) {
		start(&r, layouts[i].layout, 0);
		assert_string_equal(how(&r), "inotify");
		assert_string_equal(take(&r), "");
		assert_false(readable(&r));

		snprintf(a, sizeof(a), "%s/tmp/1.a", layouts[i].inbox);
		put(&r, a);
		assert_false(readable(&r)); /* nobody looks there */
		snprintf(b, sizeof(b), "%s/new/1.a", layouts[i].inbox);
		move(&r, a, b);
		assert_true(readable(&r));
		assert_string_equal(take(&r), "INBOX");
		assert_string_equal(take(&r), "");
		snprintf(a, sizeof(a), "%s/cur/1.a:2,S", layouts[i].inbox);
		move(&r, b, a);
		assert_string_equal(take(&r), "INBOX");
		snprintf(b, sizeof(b), "%s/cur/1.a:2,FS", layouts[i].inbox);
		move(&r, a, b);
		assert_string_equal(take(&r), "INBOX");
		snprintf(a, sizeof(a), "%s/cur/1.a:2,FS", layouts[i].below);
		move(&r, b, a);
		assert_string_equal(take(&r), "INBOX Work/2026");
		unlink(at(&r, a));
		assert_string_equal(take(&r), "Work/2026");

		snprintf(a, sizeof(a), "%s/cur/.nfs000001", layouts[i].work);
		put(&r, a);
		snprintf(a, sizeof(a), "%s/dovecot-uidlist", layouts[i].work);
		put(&r, a);
		snprintf(a, sizeof(a), "%s/new/1.b", layouts[i].other);
		put(&r, a);
		assert_string_equal(take(&r), "");
		end(&r);
	}
}

static void test_burst(void **state)
{
	char name[64];
	struct rig r;

	(void)state;
	start(&r, MAILDIR_NESTED, 0);
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "%s/new/%d.a", i % 2 ? "INBOX" : "Work", i);
		put(&r, name);
	}
	assert_string_equal(take(&r), "INBOX Work");
	assert_int_equal(r.hints, 2);
	end(&r);
}

static void test_folders(void **state)
{
	struct rig r;

	(void)state;
	start(&r, MAILDIR_NESTED, 0);
	make_box(&r, "Work/2026/Deep");
	assert_string_equal(take(&r), "*");
	move(&r, "Work/2026/Deep", "Work/2026/Deeper");
	assert_string_equal(take(&r), "*");
	remove_box(&r, "Work/2026/Deeper");
	assert_string_equal(take(&r), "*");
	assert_int_equal(mkdir(at(&r, ".notmuch"), 0700), 0);
	assert_int_equal(mkdir(at(&r, "Work/tmp/x"), 0700), 0);
	assert_string_equal(take_when(&r), ""); /* those can't be folders; what was put off is done */
	end(&r);

	/* a folder that becomes one bit by bit, slower than it is looked at */
	start(&r, MAILDIR_PLUSPLUS, 0);
	assert_int_equal(mkdir(at(&r, ".New"), 0700), 0);
	assert_string_equal(take(&r), "*");
	assert_string_equal(take_when(&r), "*"); /* it is watched, and may have become one before that */
	assert_int_equal(mkdir(at(&r, ".New/tmp"), 0700), 0);
	assert_string_equal(take(&r), "");
	assert_int_equal(mkdir(at(&r, ".New/cur"), 0700), 0);
	assert_string_equal(take(&r), "*");
	end(&r);
}

/* What is synced goes away, and comes back by another rename; watches follow. */
static void test_renamed(void **state)
{
	struct rig r;

	(void)state;
	start(&r, MAILDIR_NESTED, 0);
	move(&r, "Work", "Play");
	assert_string_equal(take(&r), "*");
	take_when(&r);
	put(&r, "Play/2026/new/1.a");
	assert_string_equal(take(&r), "");
	make_box(&r, "Work");
	assert_string_equal(take(&r), "*");
	assert_string_equal(take_when(&r), "*");
	put(&r, "Work/new/2.a");
	assert_string_equal(take(&r), "Work");
	end(&r);
}

/* Other folders are synced from now on. */
static void test_others(void **state)
{
	static const char *const others[] = { "Other", "INBOX" };
	struct rig r;

	(void)state;
	start(&r, MAILDIR_NESTED, 0);
	put(&r, "INBOX/new/1.a");
	put(&r, "Work/new/1.a");
	assert_ok(r.l->ops->folders(r.l, others, COUNT(others), &r.e), r.e);
	assert_true(r.l->ops->pending(r.l));
	assert_string_equal(take(&r), "*"); /* they may have changed before they were watched */
	put(&r, "Work/new/2.a");
	assert_string_equal(take(&r), "");
	put(&r, "Other/new/2.a");
	assert_string_equal(take(&r), "Other");
	put(&r, "INBOX/new/2.a");
	assert_ok(r.l->ops->folders(r.l, others, COUNT(others), &r.e), r.e);
	assert_string_equal(take(&r), "INBOX"); /* what was heard before is told */
	end(&r);
}

static void test_root(void **state)
{
	char away[BOX_PATH];
	struct rig r;

	(void)state;
	start(&r, MAILDIR_NESTED, 0);
	snprintf(away, sizeof(away), "%s", path_in(r.dir, "away"));
	assert_int_equal(rename(path_in(r.dir, "tree"), away), 0);
	assert_string_equal(take(&r), "*");
	take_when(&r);
	assert_non_null(strstr(how(&r), "waits for "));
	file_write(path_in(away, "Work/new/1.a"), "a\n", 2);
	assert_string_equal(take(&r), "");
	assert_int_equal(rename(away, path_in(r.dir, "tree")), 0);
	assert_ok(r.l->ops->probe(r.l, &r.e), r.e); /* or when it is due, seconds later */
	assert_true(r.l->ops->pending(r.l));
	assert_string_equal(take_when(&r), "*");
	take_when(&r);
	assert_string_equal(how(&r), "inotify");
	put(&r, "Work/new/2.a");
	assert_string_equal(take(&r), "Work");
	end(&r);
}

/* One who starts without a root waits for it. */
static void test_no_root(void **state)
{
	struct rig r;

	(void)state;
	start(&r, MAILDIR_NESTED, 0);
	listener_free(r.l);
	assert_int_equal(rename(path_in(r.dir, "tree"), path_in(r.dir, "away")), 0);
	listen_to(&r, 0);
	assert_string_equal(take(&r), "");
	assert_int_equal(rename(path_in(r.dir, "away"), path_in(r.dir, "tree")), 0);
	assert_ok(r.l->ops->probe(r.l, &r.e), r.e);
	assert_string_equal(take_when(&r), "*");
	end(&r);
}

/* An overflow is all of them. The kernel's queue holds 16,384 by default; what is told is the same. */
static void test_overflow(void **state)
{
	char a[64], b[64];
	FILE *f = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
	int max = 0;
	struct rig r;

	(void)state;
	if (!f || fscanf(f, "%d", &max) != 1 || max > 100000)
		skip();
	fclose(f);
	start(&r, MAILDIR_NESTED, 0);
	put(&r, "INBOX/cur/0.a");
	for (int i = 0; i <= max / 2 + 10; i++) {
		snprintf(a, sizeof(a), "INBOX/cur/%d.a", i);
		snprintf(b, sizeof(b), "INBOX/cur/%d.a", i + 1);
		move(&r, a, b);
	}
	strbuf_clear(&r.heard);
	do {
		assert_ok(r.l->ops->take(r.l, on_hint, &r, &r.e), r.e);
	} while (readable(&r));
	assert_non_null(strchr(strbuf_str(&r.heard), '*'));
	take_when(&r);
	put(&r, "Work/new/2.a");
	assert_string_equal(take(&r), "Work");
	end(&r);
}

/* ---- mbox ---- */

#define RECORD "From jane@example.org Thu Jan  1 00:00:00 1970\nSubject: x\n\ntext\n\n"

static void append(struct rig *r, const char *name)
{
	FILE *f = fopen(at(r, name), "a");

	assert_non_null(f);
	fputs(RECORD, f);
	fclose(f);
}

static void listen_mbox(struct rig *r, const char *root, msec_t interval)
{
	struct mbox_params p = { .path = root };

	r->s = mbox_new(&p, &r->e);
	assert_non_null(r->s);
	listen_to(r, interval);
}

/* A tree of files: INBOX, Work and Work/2026 are synced, Other is not. */
static void start_mbox(struct rig *r, msec_t interval)
{
	*r = (struct rig){ .dir = scratch_make(), .heard = STRBUF_INIT(65536) };
	assert_int_equal(mkdir(at(r, ""), 0700), 0);
	assert_int_equal(mkdir(at(r, "Work.sbd"), 0700), 0);
	append(r, "INBOX");
	append(r, "Work");
	append(r, "Work.sbd/2026");
	append(r, "Other");
	listen_mbox(r, path_in(r->dir, "tree"), interval);
}

static void test_mbox(void **state)
{
	struct rig r;
	int fd;

	(void)state;
	start_mbox(&r, 0);
	assert_string_equal(how(&r), "inotify");
	assert_string_equal(take(&r), "");
	append(&r, "INBOX");
	assert_string_equal(take(&r), "INBOX");
	append(&r, "Work.sbd/2026");
	append(&r, "Work");
	assert_string_equal(take(&r), "Work Work/2026");
	append(&r, "Other");
	assert_string_equal(take(&r), "");

	/* whoever looks at it, with all locks that there are, tells nothing */
	put(&r, "INBOX.lock");
	put(&r, "INBOX.lck");
	put(&r, "INBOX.lock.123.456.host");
	put(&r, "INBOX.msf");
	put(&r, ".hidden");
	fd = open(at(&r, "INBOX"), O_RDWR);
	assert_true(fd >= 0);
	close(fd);
	unlink(at(&r, "INBOX.lock"));
	unlink(at(&r, "INBOX.lck"));
	assert_string_equal(take(&r), "");

	/* written anew: the place stays, the file is another one, and goes on to be heard */
	for (int i = 0; i < 2; i++) {
		append(&r, "INBOX.lock.1");
		move(&r, "INBOX.lock.1", "INBOX");
		assert_string_equal(take(&r), "INBOX");
		append(&r, "INBOX");
		assert_string_equal(take(&r), "INBOX");
	}
	assert_int_equal(truncate(at(&r, "INBOX"), 0), 0);
	assert_string_equal(take(&r), "INBOX");

	append(&r, "New");
	assert_string_equal(take(&r), "*");
	take_when(&r);
	assert_int_equal(mkdir(at(&r, "Play"), 0700), 0);
	assert_string_equal(take(&r), "*");
	take_when(&r);
	append(&r, "Play/deep");
	assert_string_equal(take(&r), "*");
	take_when(&r);
	unlink(at(&r, "Work.sbd/2026"));
	assert_string_equal(take(&r), "*");
	take_when(&r);
	append(&r, "Work.sbd/2026");
	assert_string_equal(take(&r), "*");
	take_when(&r);
	append(&r, "Work.sbd/2026");
	assert_string_equal(take(&r), "Work/2026");
	end(&r);
}

/* One file that is the inbox, which readers remove when it is empty; beside it are others'. */
static void test_mbox_file(void **state)
{
	char root[BOX_PATH];
	struct rig r;

	(void)state;
	for (int there = 0; there < 2; there++) {
		r = (struct rig){ .dir = scratch_make(), .heard = STRBUF_INIT(65536) };
		assert_int_equal(mkdir(at(&r, ""), 0700), 0);
		snprintf(root, sizeof(root), "%s", at(&r, "jane"));
		if (there)
			append(&r, "jane");
		listen_mbox(&r, root, 0);
		append(&r, "john");
		assert_string_equal(take(&r), "");
		append(&r, "jane");
		assert_string_equal(take(&r), there ? "INBOX" : "*");
		take_when(&r);
		put(&r, "jane.lock");
		append(&r, "jane");
		unlink(at(&r, "jane.lock"));
		assert_string_equal(take(&r), "INBOX");
		unlink(root);
		assert_string_equal(take(&r), "*");
		take_when(&r);
		append(&r, "jane");
		assert_string_equal(take(&r), "*");
		take_when(&r);
		append(&r, "jane");
		assert_string_equal(take(&r), "INBOX");
		end(&r);
	}
}

/* Links of one's own lead to files and directories elsewhere, and in circles. */
static void test_mbox_links(void **state)
{
	struct rig r;

	(void)state;
	start_mbox(&r, 0);
	listener_free(r.l);
	store_free(r.s);
	assert_int_equal(mkdir(path_in(r.dir, "spool"), 0700), 0);
	move(&r, "INBOX", "../spool/jane");
	assert_int_equal(symlink("../spool/jane", at(&r, "INBOX")), 0);
	move(&r, "Work.sbd", "../spool/Work.sbd");
	assert_int_equal(symlink("../spool/Work.sbd", at(&r, "Work.sbd")), 0);
	assert_int_equal(symlink("../tree", at(&r, "../spool/Work.sbd/up")), 0);
	listen_mbox(&r, path_in(r.dir, "tree"), 0);
	append(&r, "../spool/jane");
	append(&r, "../spool/john");
	assert_string_equal(take(&r), "INBOX");
	append(&r, "../spool/Work.sbd/2026");
	assert_string_equal(take(&r), "Work/2026");
	end(&r);
}

static void test_mbox_looks(void **state)
{
	char stamp[STORE_STAMP_MAX];
	struct rig r;

	(void)state;
	no_inotify = true;
	start_mbox(&r, 50);
	clock_test_set(clock_wall() + 10);
	r.l->ops->probe(r.l, &r.e);
	take(&r);
	assert_string_equal(take_when(&r), "");
	append(&r, "Work");
	assert_string_equal(take_when(&r), "Work");
	assert_int_equal(r.l->ops->stamp(r.l, "Work", stamp, &r.e), 1);
	append(&r, "New");
	assert_string_equal(take_when(&r), "*");
	assert_int_equal(r.l->ops->stamp(r.l, "Nowhere", stamp, &r.e), 0);
	clock_test_set(-1);
	end(&r);
}

/* ---- where little is told ---- */

static void test_limit(void **state)
{
	struct rig r;

	(void)state;
	watches_left = 4; /* the root, INBOX, its cur/ and new/, or another folder's */
	start(&r, MAILDIR_NESTED, 50);
	assert_non_null(strstr(how(&r), "inotify, looks every 0.1 s ("));
	assert_non_null(strstr(how(&r), "directories can't be watched: raise fs.inotify.max_user_watches"));
	clock_test_set(clock_wall() + 10);
	r.l->ops->probe(r.l, &r.e);
	take(&r);
	assert_string_equal(take_when(&r), "");
	put(&r, "INBOX/new/1.a");
	assert_string_not_equal(take_when(&r), "");
	watches_left = -1; /* somebody has raised it */
	take_when(&r);
	assert_string_equal(how(&r), "inotify");
	put(&r, "Work/new/1.a");
	assert_string_equal(take(&r), "Work");
	clock_test_set(-1);
	end(&r);
}

static void test_no_inotify(void **state)
{
	struct wait_item w[LISTEN_FDS_MAX];
	struct rig r;

	(void)state;
	no_inotify = true;
	start(&r, MAILDIR_NESTED, 50);
	assert_int_equal(r.l->ops->fds(r.l, w), 0);
	assert_non_null(strstr(how(&r), "looks every 0.1 s (no inotify can be had"));
	clock_test_set(clock_wall() + 10);
	r.l->ops->probe(r.l, &r.e);
	take(&r);
	assert_string_equal(take_when(&r), "");
	put(&r, "Work/new/1.a");
	assert_string_equal(take_when(&r), "Work");
	make_box(&r, "Work/Fresh");
	assert_string_equal(take_when(&r), "*");
	clock_test_set(-1);
	end(&r);
}

static void test_network(void **state)
{
	struct rig r;

	(void)state;
	on_nfs = true;
	start(&r, MAILDIR_NESTED, 50);
	assert_string_equal(how(&r), "inotify, looks every 0.1 s (a file system of the network tells nothing of what others do)");
	put(&r, "Work/new/1.a");
	assert_string_equal(take(&r), "Work"); /* what is done here is told at once */
	end(&r);
}

/* Many changes and walks leave no descriptor and no watch behind. */
static int open_fds(void)
{
	return (int)dir_count("/proc/self/fd");
}

static void test_nothing_grows(void **state)
{
	char info[64], line[256];
	int fds, watches[2] = { 0, 0 };
	struct wait_item w[LISTEN_FDS_MAX];
	struct rig r;

	(void)state;
	start(&r, MAILDIR_NESTED, 0);
	take(&r);
	fds = open_fds();
	for (int k = 0; k < 2; k++) {
		for (int i = 0; k && i < 3; i++) {
			make_box(&r, "Work/Passing");
			take_when(&r);
			remove_box(&r, "Work/Passing");
			take_when(&r);
		}
		r.l->ops->folders(r.l, job, COUNT(job), &r.e);
		take(&r);
		r.l->ops->fds(r.l, w);
		snprintf(info, sizeof(info), "/proc/self/fdinfo/%d", w[0].fd);
		FILE *f = fopen(info, "r");

		while (f && fgets(line, sizeof(line), f))
			watches[k] += strncmp(line, "inotify wd:", 11) == 0;
		fclose(f);
	}
	assert_int_equal(open_fds(), fds);
	assert_int_equal(watches[0], watches[1]);
	assert_int_equal(watches[0], 1 + 4 + 3 * 2); /* the root, four folders, cur/ and new/ of three */
	end(&r);
}

static void test_stamp(void **state)
{
	char stamp[STORE_STAMP_MAX], again[STORE_STAMP_MAX];
	struct rig r;

	(void)state;
	start(&r, MAILDIR_PLUSPLUS, 0);
	assert_int_equal(r.l->ops->stamp(r.l, "INBOX", stamp, &r.e), 0); /* too fresh to tell */
	clock_test_set(clock_wall() + 10);
	assert_int_equal(r.l->ops->stamp(r.l, "INBOX", stamp, &r.e), 1);
	put(&r, "new/1.a");
	clock_test_set(clock_wall() + 10);
	assert_int_equal(r.l->ops->stamp(r.l, "INBOX", again, &r.e), 1);
	assert_string_not_equal(stamp, again);
	assert_int_equal(r.l->ops->stamp(r.l, "Nowhere", again, &r.e), 0);
	clock_test_set(-1);
	end(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mail),
		cmocka_unit_test(test_burst),
		cmocka_unit_test(test_folders),
		cmocka_unit_test(test_renamed),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_root),
		cmocka_unit_test(test_no_root),
		cmocka_unit_test(test_overflow),
		cmocka_unit_test(test_mbox),
		cmocka_unit_test(test_mbox_file),
		cmocka_unit_test(test_mbox_links),
		cmocka_unit_test(test_mbox_looks),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_no_inotify),
		cmocka_unit_test(test_network),
		cmocka_unit_test(test_nothing_grows),
		cmocka_unit_test(test_stamp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
