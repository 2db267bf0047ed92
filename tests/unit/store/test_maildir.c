/* What is Maildir's own: names, layouts, the order of things on disk, and all that can stand in the way. */
#include "../../lib/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/syncer.h"
#include "base/utf8.h"
#include "box.h"
#include "mail/flags.h"
#include "store/maildir.h"

#define NOW 1700000000
#define LINKED 20 /* so many are synced by syncfs, and have no name before */

/* What the store asks of the system is written down, and fails on demand. */
static struct {
	char synced[1024];   /* the directories that were, as "BOX/cur " */
	void (*at_rename)(void);      /* called before the next rename, once */
	char log[8192];      /* f fsync of a file, s syncfs, k syncfs wanted early, e no more, r rename, l link, d fsync of a directory */
	int fail_write, fail_sync, fail_rename, fail_dir, fail_open; /* let so many pass, then fail with `err`; -1 never */
	int err;
	int rename_errno, link_errno; /* as on file systems that lack them; 0: real */
	int empty_errno, nameless_errno; /* of AT_EMPTY_PATH, of O_TMPFILE */
	bool slow_syncfs, btrfs;
	char occupy[2 * BOX_PATH];    /* a directory: each name is taken there just before it is renamed to */
	char plant[BOX_PATH];         /* a symbolic link to this is planted at the next name that is made */
	const char *hide;             /* files whose names begin so are renamed as readdir comes to them, and not shown: in `readings` readings of cur/ */
	int readings;
	char cur[2 * BOX_PATH];       /* where they are */
	const char *moment;           /* when readdir comes to this name ("": to an end), `happen` is called, once */
	void (*happen)(void);
	unsigned invent;              /* so many names are shown that aren't there */
	unsigned shown;               /* entries of directories, to their ends */
} sys;

/* Files without a name are tested where a test asks for them: on a file system that is said to be one that has them. */
static bool nameless;

static int want_nameless(void **state)
{
	(void)state;
	nameless = true;
	return 0;
}

static int want_named(void **state)
{
	(void)state;
	nameless = false;
	return 0;
}

static void note(char c)
{
	size_t n = strlen(sys.log);

	if (n + 1 < sizeof(sys.log)) {
		sys.log[n] = c;
		sys.log[n + 1] = '\0';
	}
}

/* The last two levels of a directory's path. */
static void note_synced(int fd)
{
	char link[64], path[BOX_PATH], *p = path;
	size_t len = strlen(sys.synced), levels = 0;
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	assert_true(n > 0);
	path[n] = '\0';
	for (p = path + n; p > path && levels < 2; p--)
		levels += p[-1] == '/';
	snprintf(sys.synced + len, sizeof(sys.synced) - len, "%s ", levels == 2 ? p + 1 : p);
}

/* Whether it is time to fail. */
static bool due(int *count)
{
	if (*count < 0)
		return false;
	if (*count > 0) {
		--*count;
		return false;
	}
	errno = sys.err;
	return true;
}

int __real_fstatfs(int fd, struct statfs *fs);
int __wrap_fstatfs(int fd, struct statfs *fs);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_syncfs(int fd);
void __real_fs_writeback_wait(int fd);
void __wrap_fs_writeback_wait(int fd);
void __wrap_syncer_kick(struct syncer *s, int dirfd);
void __real_syncer_release(struct syncer *s);
void __wrap_syncer_release(struct syncer *s);
int __real_renameat2(int from, const char *old, int to, const char *new, unsigned flags);
int __wrap_renameat2(int from, const char *old, int to, const char *new, unsigned flags);
int __real_linkat(int from, const char *old, int to, const char *new, int flags);
int __wrap_linkat(int from, const char *old, int to, const char *new, int flags);
ssize_t __real_write(int fd, const void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n);
int __real_openat(int dirfd, const char *name, int flags, mode_t mode);
int __wrap_openat(int dirfd, const char *name, int flags, mode_t mode);

int __wrap_fstatfs(int fd, struct statfs *fs)
{
	int rc = __real_fstatfs(fd, fs);

	if (nameless)
		fs->f_type = sys.btrfs ? BTRFS_SUPER_MAGIC : EXT4_SUPER_MAGIC;
	return rc;
}

int __wrap_fsync(int fd)
{
	struct stat st;
	bool dir = fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);

	note(dir ? 'd' : 'f');
	if (dir)
		note_synced(fd);
	if (due(dir ? &sys.fail_dir : &sys.fail_sync))
		return -1;
	return 0; /* the disk is not what is tested */
}

int __wrap_syncfs(int fd)
{
	(void)fd;
	note('s');
	if (sys.slow_syncfs)
		usleep(1100000);
	return due(&sys.fail_sync) ? -1 : 0;
}

void __wrap_fs_writeback_wait(int fd)
{
	note('w');
	__real_fs_writeback_wait(fd);
}

void __wrap_syncer_kick(struct syncer *s, int dirfd)
{
	(void)s;
	(void)dirfd;
	note('k');
}

void __wrap_syncer_release(struct syncer *s)
{
	note('e');
	__real_syncer_release(s);
}

static void occupy(const char *name)
{
	char path[3 * BOX_PATH];

	if (!sys.occupy[0])
		return;
	snprintf(path, sizeof(path), "%s/%s", sys.occupy, name);
	file_write(path, "theirs", 6);
}

int __wrap_renameat2(int from, const char *old, int to, const char *new, unsigned flags)
{
	note('r');
	if (sys.at_rename) {
		void (*happen)(void) = sys.at_rename;

		sys.at_rename = NULL;
		happen();
	}
	occupy(new);
	if (due(&sys.fail_rename))
		return -1;
	if (sys.rename_errno) {
		errno = sys.rename_errno;
		return -1;
	}
	return __real_renameat2(from, old, to, new, flags);
}

int __wrap_linkat(int from, const char *old, int to, const char *new, int flags)
{
	note('l');
	if (nameless)
		occupy(new);
	if (nameless && due(&sys.fail_rename))
		return -1;
	if (sys.link_errno || (flags & AT_EMPTY_PATH && sys.empty_errno)) {
		errno = sys.link_errno ? sys.link_errno : sys.empty_errno;
		return -1;
	}
	return __real_linkat(from, old, to, new, flags);
}

ssize_t __wrap_write(int fd, const void *p, size_t n)
{
	return due(&sys.fail_write) ? -1 : __real_write(fd, p, n);
}

int __wrap_openat(int dirfd, const char *name, int flags, mode_t mode)
{
	if (sys.plant[0] && (flags & O_CREAT)) {
		assert_int_equal(symlinkat(sys.plant, dirfd, name), 0);
		sys.plant[0] = '\0';
	}
	if ((flags & O_TMPFILE) == O_TMPFILE && (!nameless || sys.nameless_errno)) {
		errno = nameless ? sys.nameless_errno : EOPNOTSUPP;
		return -1;
	}
	if ((flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE) && due(&sys.fail_open))
		return -1;
	return __real_openat(dirfd, name, flags, mode);
}

struct dirent *__real_readdir(DIR *d);
struct dirent *__wrap_readdir(DIR *d);

/* The file system shows a directory while others rename in it. */
struct dirent *__wrap_readdir(DIR *d)
{
	static struct dirent invented;
	struct dirent *entry;

	if (sys.invent > 0) {
		unsigned n = sys.invent--;

		invented.d_type = DT_REG;
		invented.d_ino = n;
		snprintf(invented.d_name, sizeof(invented.d_name), "%u.M%uP1234Q%u.mail.example.org,S=%u:2,FS", 1700000000 + n / 7, n % 1000000, n, n);
		return &invented;
	}
	entry = __real_readdir(d);
	sys.shown++;
	if (sys.moment && strcmp(entry ? entry->d_name : "", sys.moment) == 0) {
		sys.moment = NULL;
		sys.happen();
	}
	while (entry && sys.hide && sys.readings > 0 && strncmp(entry->d_name, sys.hide, strlen(sys.hide)) == 0) {
		char from[3 * BOX_PATH], to[3 * BOX_PATH];

		sys.readings--;
		snprintf(from, sizeof(from), "%s/%s", sys.cur, entry->d_name);
		snprintf(to, sizeof(to), "%s/%s:2,%s", sys.cur, sys.hide, strchr(entry->d_name, 'S') ? "F" : "S");
		assert_int_equal(rename(from, to), 0);
		/* neither the old name nor the new one is shown */
		do {
			entry = __real_readdir(d);
		} while (entry && strncmp(entry->d_name, sys.hide, strlen(sys.hide)) == 0);
	}
	return entry;
}

struct rig {
	char *dir, path[BOX_PATH + 16];
	struct maildir_params params;
	struct store *s;
	struct box_info info;
	struct err e;
};

static void rig_start(struct rig *r)
{
	*r = (struct rig){ 0 };
	memset(&sys, 0, sizeof(sys));
	sys.fail_write = sys.fail_sync = sys.fail_rename = sys.fail_dir = sys.fail_open = -1;
	r->dir = scratch_make();
	snprintf(r->path, sizeof(r->path), "%s/box", r->dir);
	r->params.path = r->path;
	r->s = maildir_new(&r->params, &r->e);
	assert_non_null(r->s);
}

static void rig_open(struct rig *r)
{
	if (r->s->ops->open_box(r->s, "", BOX_WRITE | BOX_CREATE, &r->info, &r->e) < 0)
		fail_msg("open: %s", r->e.text);
	sys.log[0] = '\0';
}

static void rig_stop(struct rig *r)
{
	store_free(r->s);
	scratch_remove(r->dir);
	clock_test_set(-1);
}

static int stage_flags(struct rig *r, const char *text, uint32_t flags, struct staged *out)
{
	const struct store_meta meta = { .received = NOW, .flags = flags };
	struct stream *body = memstream_new(text, strlen(text), 4096, NULL);
	int rc = r->s->ops->stage(r->s, body, &meta, out, &r->e);

	stream_free(body);
	return rc;
}

static void stage(struct rig *r, const char *text, struct staged *out)
{
	if (stage_flags(r, text, 0, out) < 0)
		fail_msg("stage: %s", r->e.text);
}

/* Files in a part of the box. */
static size_t count(struct rig *r, const char *part)
{
	char path[BOX_PATH + 64];

	snprintf(path, sizeof(path), "%s/%s", r->path, part);
	return dir_count(path);
}

static void join(char *out, size_t size, const char *a, const char *b, const char *c)
{
	assert_true((size_t)snprintf(out, size, "%s/%s%s%s", a, b, c[0] ? "/" : "", c) < size);
}

static void names(void **state)
{
	static const struct {
		const char *name, *unique;
		uint32_t flags;
	} rows[] = {
		{ "1700000000.M1P2Q3.host", "1700000000.M1P2Q3.host", 0 },
		{ "1700000000.M1P2Q3.host:2,", "1700000000.M1P2Q3.host", 0 },
		{ "1700000000.M1P2Q3.host:2,FS", "1700000000.M1P2Q3.host", FLAG_FLAGGED | FLAG_SEEN },
		{ "1.x,S=123,W=130:2,RSab", "1.x,S=123,W=130", FLAG_ANSWERED | FLAG_SEEN },
		{ "x:1,S", "x", 0 },
		{ "x:2", "x", 0 },
		{ "x:2,S:2,F", "x", FLAG_SEEN },
		{ "x:2,Sa:F", "x", FLAG_SEEN | FLAG_FLAGGED },
		{ "x:", "x", 0 },
		{ "x", "x", 0 },
		{ "", NULL, 0 },
		{ ".", NULL, 0 },
		{ "..", NULL, 0 },
		{ ".hidden", NULL, 0 },
		{ ":2,S", NULL, 0 },
		{ "a/b", NULL, 0 },
		{ "/", NULL, 0 },
	};
	char big[300];
	struct slice unique;
	uint32_t flags;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_int_equal(maildir_name(slice_str(rows[i].name), &unique, &flags), rows[i].unique != NULL);
		if (rows[i].unique) {
			assert_true(slice_eqs(unique, rows[i].unique));
			assert_int_equal(flags, rows[i].flags);
		}
	}
	assert_false(maildir_name(slice_of("a\0b", 3), &unique, &flags));
	memset(big, 'x', sizeof(big));
	assert_true(maildir_name(slice_of(big, 255), &unique, &flags));
	assert_false(maildir_name(slice_of(big, 256), &unique, &flags));
}

/* UIDs of other programs in names, and names without them. */
static void foreign_uids(void **state)
{
	static const struct {
		const char *name;
		enum maildir_uid kind;
		uint32_t uid;
		const char *without; /* NULL: it has none */
	} rows[] = {
		{ "1.2_3.host,U=12:2,S", MAILDIR_UID_OWN, 12, "1.2_3.host:2,S" },
		{ "1.2_3.host,U=4294967295", MAILDIR_UID_OWN, UINT32_MAX, "1.2_3.host" },
		{ "1.host,U=7,FMD5=7e33429f656f1e6e9d79b29c3f82c57e:2,", MAILDIR_UID_SERVER, 7, "1.host:2," },
		{ "1.host,S=9,U=7,W=10:2,", MAILDIR_UID_OWN, 7, "1.host,S=9,W=10:2," },
		{ "1.host,S=9,W=10:2,", MAILDIR_UID_NONE, 0, NULL },
		{ "1.host,FMD5=7e33429f656f1e6e9d79b29c3f82c57e:2,", MAILDIR_UID_NONE, 0, NULL },
		{ "1.host:2,S,U=7", MAILDIR_UID_NONE, 0, NULL },
		{ "1.host,U=:2,S", MAILDIR_UID_NONE, 0, NULL },
		{ "1.host,U=0:2,S", MAILDIR_UID_NONE, 0, NULL },
		{ "1.host,U=7x:2,S", MAILDIR_UID_NONE, 0, NULL },
		{ "1.host,U=4294967296:2,S", MAILDIR_UID_NONE, 0, NULL },
		{ "1.host,U=7,U=8:2,S", MAILDIR_UID_NONE, 0, NULL },
		{ ",U=7:2,S", MAILDIR_UID_OWN, 7, NULL },
		{ "U=7:2,S", MAILDIR_UID_NONE, 0, NULL },
		{ "x,U", MAILDIR_UID_NONE, 0, NULL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char out[256] = "";
		struct slice unique;
		uint32_t flags, uid = 0;
		size_t n;

		assert_true(maildir_name(slice_str(rows[i].name), &unique, &flags));
		assert_int_equal(maildir_uid(unique, &uid), rows[i].kind);
		assert_int_equal(uid, rows[i].uid);
		n = unique.n;
		assert_int_equal(maildir_without_uid(rows[i].name, &n, out, sizeof(out)), rows[i].without != NULL);
		if (!rows[i].without)
			continue;
		assert_string_equal(out, rows[i].without);
		assert_true(maildir_name(slice_str(out), &unique, &flags) && unique.n == n);
	}
}

static void layouts(void **state)
{
	static const struct {
		const char *folder, *nested, *plus, *flat;
	} rows[] = {
		{ "", ".", ".", "." },
		{ "Work", "Work", ".Work", "Work" },
		{ "Work/2026", "Work/2026", ".Work.2026", "Work.2026" },
		{ "a.b/c", "a.b/c", ".a%2Eb.c", "a%2Eb.c" },
		{ ".", "%2E", ".%2E", "%2E" },
		{ "..", "%2E.", ".%2E%2E", "%2E%2E" },
		{ "../../etc", "%2E./%2E./etc", ".%2E%2E.%2E%2E.etc", "%2E%2E.%2E%2E.etc" },
		{ ".hidden/x", "%2Ehidden/x", ".%2Ehidden.x", "%2Ehidden.x" },
		{ "cur", "%63ur", ".cur", "%63ur" },
		{ "new/tmp", "%6Eew/%74mp", ".new.tmp", "new.tmp" },
		{ "Cur", "Cur", ".Cur", "Cur" },
		{ "a/cur", "a/%63ur", ".a.cur", "a.cur" },
		{ "50%", "50%", ".50%", "50%" },
		{ "50% ab/%4", "50% ab/%4", ".50% ab.%4", "50% ab.%4" },
		{ "%%41%", "%%2541%", ".%%2541%", "%%2541%" },
		{ "%2e", "%252e", ".%252e", "%252e" },
		{ "%2E", "%252E", ".%252E", "%252E" },
		{ "a\nb\x7f", "a%0Ab%7F", ".a%0Ab%7F", "a%0Ab%7F" },
		{ "\xc2\x9bx", "%C2%9Bx", ".%C2%9Bx", "%C2%9Bx" },
		{ "Gr\xc3\xbc\xc3\x9f" "e/\xe6\x97\xa5", "Gr\xc3\xbc\xc3\x9f" "e/\xe6\x97\xa5", ".Gr\xc3\xbc\xc3\x9f" "e.\xe6\x97\xa5",
		  "Gr\xc3\xbc\xc3\x9f" "e.\xe6\x97\xa5" },
		{ "a b~\\:*?", "a b~\\:*?", ".a b~\\:*?", "a b~\\:*?" },
	};
	static const char *const bad[] = { "/", "/a", "a/", "a//b", "//", "a\xff" };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const char *const want[] = { rows[i].nested, rows[i].plus, rows[i].flat };

		for (int layout = 0; layout < 3; layout++) {
			struct strbuf path = STRBUF_INIT(4096), back = STRBUF_INIT(4096);

			assert_int_equal(maildir_folder_path((enum maildir_layout)layout, rows[i].folder, &path, NULL), 0);
			assert_string_equal(strbuf_str(&path), want[layout]);
			assert_int_equal(maildir_path_folder((enum maildir_layout)layout, strbuf_slice(&path), &back), 0);
			assert_string_equal(strbuf_str(&back), rows[i].folder);
			strbuf_release(&path);
			strbuf_release(&back);
		}
	}
	for (size_t i = 0; i < COUNT(bad); i++) {
		for (int layout = 0; layout < 3; layout++) {
			struct strbuf path = STRBUF_INIT(4096);
			struct err e = ERR_INIT;

			assert_int_equal(maildir_folder_path((enum maildir_layout)layout, bad[i], &path, &e), -1);
			assert_int_equal(e.kind, ERR_CONF);
			assert_int_equal(path.len, 0);
			strbuf_release(&path);
		}
	}
}

/* Paths that no folder has. */
static void foreign_paths(void **state)
{
	static const struct {
		enum maildir_layout layout;
		const char *path;
	} rows[] = {
		{ MAILDIR_NESTED, "" }, { MAILDIR_NESTED, ".." }, { MAILDIR_NESTED, "../x" }, { MAILDIR_NESTED, "a/../b" }, { MAILDIR_NESTED, ".x" },
		{ MAILDIR_NESTED, "cur" }, { MAILDIR_NESTED, "a/tmp" }, { MAILDIR_NESTED, "a\xff" }, { MAILDIR_NESTED, "50%25" }, { MAILDIR_NESTED, "%2e" },
		{ MAILDIR_NESTED, "%41" }, { MAILDIR_NESTED, "a%2Fb" }, { MAILDIR_NESTED, "a%00" }, { MAILDIR_NESTED, "a//b" },
		{ MAILDIR_NESTED, "a/" }, { MAILDIR_NESTED, "/a" }, { MAILDIR_NESTED, "a\nb" },
		{ MAILDIR_PLUSPLUS, "Work" }, { MAILDIR_PLUSPLUS, ".." }, { MAILDIR_PLUSPLUS, ".a..b" }, { MAILDIR_PLUSPLUS, "..a" },
		{ MAILDIR_PLUSPLUS, ".a/b" }, { MAILDIR_FLAT, "cur" }, { MAILDIR_FLAT, ".a" }, { MAILDIR_FLAT, "a/b" }, { MAILDIR_FLAT, "a." },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct strbuf folder = STRBUF_INIT(4096);

		if (maildir_path_folder(rows[i].layout, slice_str(rows[i].path), &folder) == 0)
			fail_msg("%s is folder %s", rows[i].path, strbuf_str(&folder));
		assert_int_equal(folder.len, 0);
		strbuf_release(&folder);
	}
}

static uint32_t seed = 12345;

static uint32_t any(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

/* Whatever the name: the path stays beneath the root, is no part of a Maildir, and gives the name back. */
static void any_folder(void **state)
{
	static const char bytes[] = "a.%/curnewtmp2EF:\x01\n~ \xc2\x9b\xff";

	(void)state;
	for (int i = 0; i < 30000; i++) {
		enum maildir_layout layout = (enum maildir_layout)any(3);
		struct strbuf path = STRBUF_INIT(8192), back = STRBUF_INIT(8192);
		char folder[24];
		size_t n = 1 + any(20);

		for (size_t k = 0; k < n; k++)
			folder[k] = bytes[any(sizeof(bytes) - 1)];
		folder[n] = '\0';
		if (maildir_folder_path(layout, folder, &path, NULL) == 0) {
			char *rest = path.s, *part;

			for (const char *p = path.s; *p; p++)
				assert_true((unsigned char)*p >= ' ' && *p != 0x7f);
			assert_int_equal(maildir_path_folder(layout, strbuf_slice(&path), &back), 0);
			assert_string_equal(strbuf_str(&back), folder);
			assert_true(path.s[0] != '/');
			while ((part = strsep(&rest, "/"))) {
				assert_true(part[0] != '\0' && strlen(part) <= 255);
				assert_true(part[0] != '.' || layout == MAILDIR_PLUSPLUS);
				assert_true(strcmp(part, ".") != 0 && strcmp(part, "..") != 0);
				assert_true(strcmp(part, "cur") != 0 && strcmp(part, "new") != 0 && strcmp(part, "tmp") != 0);
			}
		} else {
			assert_true(folder[0] == '/' || folder[n - 1] == '/' || strstr(folder, "//") || !utf8_valid(slice_str(folder)));
		}
		strbuf_release(&path);
		strbuf_release(&back);
	}
}

static void long_folders(void **state)
{
	struct strbuf path = STRBUF_INIT(8192);
	struct err e = ERR_INIT;
	char folder[2000];

	(void)state;
	memset(folder, 'x', sizeof(folder));
	folder[255] = '\0';
	assert_int_equal(maildir_folder_path(MAILDIR_NESTED, folder, &path, &e), 0);
	strbuf_clear(&path);
	assert_int_equal(maildir_folder_path(MAILDIR_PLUSPLUS, folder, &path, &e), -1); /* the dot */
	folder[255] = 'x';
	folder[256] = '\0';
	assert_int_equal(maildir_folder_path(MAILDIR_NESTED, folder, &path, &e), -1);
	assert_int_equal(e.kind, ERR_CONF);
	folder[100] = folder[200] = '/';
	assert_int_equal(maildir_folder_path(MAILDIR_NESTED, folder, &path, &e), 0);
	strbuf_clear(&path);
	assert_int_equal(maildir_folder_path(MAILDIR_FLAT, folder, &path, &e), -1);
	folder[256] = 'x';
	folder[1500] = '\0';
	assert_int_equal(maildir_folder_path(MAILDIR_NESTED, folder, &path, &e), -1);
	for (size_t i = 0; i < 200; i++)
		memcpy(folder + 2 * i, "a/", 2);
	folder[399] = '\0';
	assert_int_equal(maildir_folder_path(MAILDIR_NESTED, folder, &path, &e), -1);
	assert_non_null(strstr(e.text, "levels"));
	memset(folder, '\n', 90);
	folder[90] = '\0';
	assert_int_equal(maildir_folder_path(MAILDIR_NESTED, folder, &path, &e), -1); /* escaped it is too long */
	assert_int_equal(path.len, 0);
	strbuf_release(&path);
}

/* Folders are made where the layout says. */
static void makes_folders(void **state)
{
	struct rig r;

	(void)state;
	for (int layout = 0; layout < 3; layout++) {
		static const char *const dirs[] = { "Work/2026", ".Work.2026", "Work.2026" };
		char path[2 * BOX_PATH], marker[2 * BOX_PATH];
		struct staged st;

		rig_start(&r);
		store_free(r.s);
		r.params.layout = (enum maildir_layout)layout;
		r.s = maildir_new(&r.params, &r.e);
		assert_non_null(r.s);
		assert_int_equal(r.s->ops->open_box(r.s, "Work/2026", BOX_WRITE, &r.info, &r.e), -1);
		assert_int_equal(r.s->ops->open_box(r.s, "Work/2026", BOX_WRITE | BOX_CREATE, &r.info, &r.e), 0);
		stage(&r, "x\r\n", &st);
		assert_int_equal(r.s->ops->harden(r.s, &st, 1, &r.e), 0);
		assert_int_equal(r.s->ops->publish(r.s, &st, 1, &r.e), 0);
		join(path, sizeof(path), r.path, dirs[layout], "new");
		assert_int_equal(dir_count(path), 1);
		join(marker, sizeof(marker), r.path, dirs[layout], "maildirfolder");
		assert_int_equal(file_size(marker), layout == MAILDIR_PLUSPLUS ? 0 : -1);
		assert_int_equal(r.s->ops->open_box(r.s, "Work/2026", BOX_WRITE | BOX_CREATE, &r.info, &r.e), 0); /* and again */
		assert_int_equal(r.s->ops->open_box(r.s, "", BOX_WRITE | BOX_CREATE, &r.info, &r.e), 0);
		assert_int_equal(r.s->ops->open_box(r.s, "a//b", BOX_WRITE | BOX_CREATE, &r.info, &r.e), -1);
		assert_int_equal(r.e.kind, ERR_CONF);
		rig_stop(&r);
	}
}

/* seconds.MusecPpidQn.host, no two the same even when the clock stands still. */
static void unique_names(void **state)
{
	char (*seen)[STORE_KEY_MAX + 1] = calloc(400, sizeof(*seen));
	struct staged st;
	struct rig r;

	(void)state;
	assert_non_null(seen);
	rig_start(&r);
	clock_test_set(NOW);
	for (size_t i = 0; i < 400; i++) {
		long long sec, usec, pid;
		unsigned long q;
		char host[256];

		if (i % 100 == 0) {
			store_free(r.s);
			r.s = maildir_new(&r.params, &r.e);
			assert_non_null(r.s);
			rig_open(&r);
		}
		stage(&r, "x\r\n", &st);
		snprintf(seen[i], sizeof(seen[i]), "%s", st.key);
		assert_int_equal(sscanf(st.key, "%lld.M%lldP%lldQ%lu.%255s", &sec, &usec, &pid, &q, host), 5);
		assert_int_equal(sec, NOW);
		assert_int_equal(pid, getpid());
		assert_null(strpbrk(host, "/:"));
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(seen[k], seen[i]);
	}
	rig_stop(&r);
	free(seen);
}

static void flags_and_modes(void **state)
{
	char path[2 * BOX_PATH];
	struct staged st[3];
	struct stat sb;
	struct rig r;
	mode_t mask = umask(0);

	(void)state;
	rig_start(&r);
	rig_open(&r);
	assert_int_equal(stage_flags(&r, "a\r\n", FLAG_SEEN | FLAG_FLAGGED, &st[0]), 0);
	assert_int_equal(stage_flags(&r, "b\r\n", 0, &st[1]), 0);
	assert_int_equal(stage_flags(&r, "c\r\n", 63, &st[2]), 0);
	assert_int_equal(r.s->ops->harden(r.s, st, 3, &r.e), 0);
	assert_int_equal(r.s->ops->publish(r.s, st, 3, &r.e), 0);
	snprintf(path, sizeof(path), "%s/cur/%s:2,FS", r.path, st[0].key);
	assert_int_equal(stat(path, &sb), 0);
	assert_int_equal(sb.st_mode & 07777, 0600);
	assert_int_equal(sb.st_size, 2);
	snprintf(path, sizeof(path), "%s/new/%s", r.path, st[1].key);
	assert_int_equal(stat(path, &sb), 0);
	assert_int_equal(sb.st_mode & 07777, 0600);
	snprintf(path, sizeof(path), "%s/cur/%s:2,DFPRST", r.path, st[2].key);
	assert_int_equal(file_size(path), 2);
	assert_int_equal(stat(r.path, &sb), 0);
	assert_int_equal(sb.st_mode & 07777, 0700);
	snprintf(path, sizeof(path), "%s/cur", r.path);
	assert_int_equal(stat(path, &sb), 0);
	assert_int_equal(sb.st_mode & 07777, 0700);
	umask(mask);
	rig_stop(&r);
}

/*
 * Files are synced before the first rename, directories after the last. A file without a name is one that syncfs has written, and its link(2) is as well: an ext4
 * without a journal would have the name on disk, and in the file that it has none. Few files get one in tmp/ before they are synced.
 */
static void order_on_disk(void **state)
{
	static const size_t sizes[] = { 1, 5, 15, 16, 40, 600 };
	struct rig r;

	(void)state;
	for (size_t i = 0; i < COUNT(sizes); i++) {
		size_t n = sizes[i], renames = 0, syncs;
		struct staged *st = calloc(n, sizeof(*st));
		const char *p;
		bool whole;

		assert_non_null(st);
		rig_start(&r);
		rig_open(&r);
		for (size_t k = 0; k < n; k++)
			assert_int_equal(stage_flags(&r, "x\r\n", k % 2 ? FLAG_SEEN : 0, &st[k]), 0);
		if (n < 300)
			assert_string_equal(sys.log, nameless ? "l" : ""); /* it was tried whether it can be done */
		assert_int_equal(count(&r, "tmp"), nameless ? 0 : n);
		sys.log[0] = '\0';
		assert_int_equal(r.s->ops->harden(r.s, st, n, &r.e), 0);
		syncs = strlen(sys.log);
		whole = strchr(sys.log, 's');
		if (whole) {
			assert_true(n >= 16);
			assert_string_equal(sys.log, "s");
		} else {
			/* what comes after the first sync of one would be another commit of a journal */
			assert_int_equal(syncs, nameless ? 3 * n : 2 * n);
			for (size_t k = 0; k < syncs; k++)
				assert_int_equal(sys.log[k], k >= syncs - n ? 'f' : k >= syncs - 2 * n ? 'w' : 'l');
		}
		assert_int_equal(count(&r, "tmp"), nameless && whole ? 0 : n);
		assert_int_equal(r.s->ops->publish(r.s, st, n, &r.e), 0);
		for (p = sys.log + syncs; *p == (nameless && whole ? 'l' : 'r'); p++)
			renames++;
		assert_int_equal(renames, n);
		assert_string_equal(p, nameless && whole ? "s" : n > 1 ? "dd" : "d");
		assert_int_equal(count(&r, "tmp"), 0);
		assert_int_equal(count(&r, "new") + count(&r, "cur"), n);
		rig_stop(&r);
		free(st);
	}
}

/* Whatever renaming is like on a file system: what is there is not overwritten. */
static void never_overwrites(void **state)
{
	static const struct {
		int rename_errno, link_errno;
		bool occupied, ok;
	} rows[] = {
		{ 0, 0, false, true },           { 0, 0, true, false },
		{ EINVAL, 0, false, true },      { EINVAL, 0, true, false },
		{ ENOSYS, EPERM, false, true },  { ENOSYS, EPERM, true, false },
		{ EINVAL, EOPNOTSUPP, false, true }, { EINVAL, EOPNOTSUPP, true, false },
		{ EACCES, 0, false, false },     { EINVAL, EACCES, false, false },
	};
	struct rig r;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct bag got = { 0 };
		struct staged st;
		int rc;

		rig_start(&r);
		rig_open(&r);
		stage(&r, "mine\r\n", &st);
		assert_int_equal(r.s->ops->harden(r.s, &st, 1, &r.e), 0);
		sys.rename_errno = rows[i].rename_errno;
		sys.link_errno = rows[i].link_errno;
		if (rows[i].occupied)
			snprintf(sys.occupy, sizeof(sys.occupy), "%s/new", r.path);
		rc = r.s->ops->publish(r.s, &st, 1, &r.e);
		assert_int_equal(rc, rows[i].ok ? 0 : -1);
		maildir_read(r.path, &got);
		assert_int_equal(got.n, rows[i].ok || rows[i].occupied);
		if (got.n > 0)
			assert_string_equal(strbuf_str(&got.a[0]), rows[i].ok ? "mine\n" : "theirs");
		if (!rows[i].ok)
			assert_int_equal(r.e.kind, ERR_LOCAL);
		assert_int_equal(count(&r, "tmp"), !rows[i].ok);
		r.s->ops->abandon(r.s);
		assert_int_equal(count(&r, "tmp"), 0);
		bag_release(&got);
		rig_stop(&r);
	}
}

/* The same of files that have no name before; and where a name can't be given so, it is given by a rename. */
static void nameless_never_overwrites(void **state)
{
	static const struct {
		int empty_errno, nameless_errno, link_errno;
		bool occupied, later, ok;
	} rows[] = {
		{ .ok = true },
		{ .occupied = true },
		{ .empty_errno = ENOENT, .ok = true }, /* no privileges: by /proc */
		{ .empty_errno = ENOENT, .occupied = true },
		{ .nameless_errno = EOPNOTSUPP, .ok = true },
		{ .nameless_errno = EISDIR, .occupied = true },
		{ .link_errno = ENOENT, .ok = true }, /* no /proc either: found out beforehand */
		{ .link_errno = EMLINK, .later = true },
	};
	struct staged st[LINKED];
	struct rig r;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		bool named = rows[i].nameless_errno || (rows[i].link_errno && !rows[i].later);
		struct bag got = { 0 };
		int rc;

		rig_start(&r);
		rig_open(&r);
		sys.empty_errno = rows[i].empty_errno;
		sys.nameless_errno = rows[i].nameless_errno;
		sys.link_errno = rows[i].later ? 0 : rows[i].link_errno;
		for (size_t k = 0; k < LINKED; k++)
			stage(&r, "mine\r\n", &st[k]);
		assert_int_equal(count(&r, "tmp"), named ? LINKED : 0);
		assert_int_equal(r.s->ops->harden(r.s, st, LINKED, &r.e), 0);
		assert_int_equal(count(&r, "tmp"), named ? LINKED : 0);
		sys.link_errno = rows[i].link_errno;
		if (rows[i].occupied)
			snprintf(sys.occupy, sizeof(sys.occupy), "%s/new", r.path);
		rc = r.s->ops->publish(r.s, st, LINKED, &r.e);
		assert_int_equal(rc, rows[i].ok ? 0 : -1);
		maildir_read(r.path, &got);
		assert_int_equal(got.n, rows[i].ok ? LINKED : rows[i].occupied);
		if (got.n > 0)
			assert_string_equal(strbuf_str(&got.a[0]), rows[i].ok ? "mine\n" : "theirs");
		if (!rows[i].ok)
			assert_int_equal(r.e.kind, ERR_LOCAL);
		r.s->ops->abandon(r.s);
		assert_int_equal(count(&r, "tmp"), 0);
		bag_release(&got);
		rig_stop(&r);
	}
}

/* A link planted where a file will be made is not written through. */
static void planted_name(void **state)
{
	struct strbuf b = STRBUF_INIT(100);
	char target[BOX_PATH + 16];
	struct staged st;
	struct rig r;

	(void)state;
	rig_start(&r);
	rig_open(&r);
	snprintf(target, sizeof(target), "%s/target", r.dir);
	file_write(target, "precious", 8);
	assert_true(strlen(target) < sizeof(sys.plant));
	memcpy(sys.plant, target, strlen(target) + 1);
	stage(&r, "x\r\n", &st);
	assert_int_equal(sys.plant[0], '\0'); /* it was used */
	assert_true(file_read(target, &b));
	assert_string_equal(strbuf_str(&b), "precious");
	strbuf_release(&b);
	assert_int_equal(r.s->ops->harden(r.s, &st, 1, &r.e), 0);
	assert_int_equal(r.s->ops->publish(r.s, &st, 1, &r.e), 0);
	assert_int_equal(count(&r, "new"), 1);
	rig_stop(&r);
}

/* A link planted in place of a directory leads nowhere. The person's own link to the Maildir is fine. */
static void planted_directories(void **state)
{
	static const char *const parts[] = { "tmp", "new", "cur" };
	char outside[BOX_PATH + 16], part[2 * BOX_PATH];
	struct rig r;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		rig_start(&r);
		snprintf(outside, sizeof(outside), "%s/outside", r.dir);
		assert_int_equal(mkdir(outside, 0700), 0);
		assert_int_equal(mkdir(r.path, 0700), 0);
		join(part, sizeof(part), r.path, parts[i], "");
		assert_int_equal(symlink(outside, part), 0);
		for (unsigned create = 0; create <= BOX_CREATE; create += BOX_CREATE) {
			assert_int_equal(r.s->ops->open_box(r.s, "", BOX_WRITE | create, &r.info, &r.e), -1);
			assert_int_equal(r.e.kind, ERR_LOCAL);
		}
		assert_int_equal(dir_count(outside), 0);
		rig_stop(&r);
	}
	rig_start(&r); /* a folder's directory */
	snprintf(outside, sizeof(outside), "%s/outside", r.dir);
	assert_int_equal(mkdir(outside, 0700), 0);
	rig_open(&r);
	join(part, sizeof(part), r.path, "Work", "");
	assert_int_equal(symlink(outside, part), 0);
	assert_int_equal(r.s->ops->open_box(r.s, "Work", BOX_WRITE | BOX_CREATE, &r.info, &r.e), -1);
	assert_int_equal(r.s->ops->open_box(r.s, "Work/deeper", BOX_WRITE | BOX_CREATE, &r.info, &r.e), -1);
	assert_int_equal(dir_count(outside), 0);
	rig_stop(&r);
	rig_start(&r);
	snprintf(outside, sizeof(outside), "%s/real", r.dir);
	assert_int_equal(mkdir(outside, 0700), 0);
	assert_int_equal(symlink(outside, r.path), 0);
	rig_open(&r);
	assert_int_equal(dir_count(outside), 3);
	rig_stop(&r);
}

static void no_maildir(void **state)
{
	char part[2 * BOX_PATH];
	struct rig r;

	(void)state;
	rig_start(&r);
	file_write(r.path, "From x\n", 7);
	assert_int_equal(r.s->ops->open_box(r.s, "", BOX_WRITE | BOX_CREATE, &r.info, &r.e), -1);
	assert_int_equal(r.e.kind, ERR_LOCAL);
	assert_non_null(strstr(r.e.text, "mbox:"));
	assert_int_equal(unlink(r.path), 0);
	assert_int_equal(mkdir(r.path, 0700), 0);
	assert_int_equal(r.s->ops->open_box(r.s, "", BOX_WRITE, &r.info, &r.e), -1);
	assert_int_equal(r.e.kind, ERR_LOCAL);
	rig_open(&r);
	join(part, sizeof(part), r.path, "cur", "");
	assert_int_equal(rmdir(part), 0);
	assert_int_equal(r.s->ops->open_box(r.s, "", BOX_WRITE, &r.info, &r.e), -1);
	assert_non_null(strstr(r.e.text, "cur"));
	file_write(part, "", 0);
	assert_int_equal(r.s->ops->open_box(r.s, "", BOX_WRITE | BOX_CREATE, &r.info, &r.e), -1);
	rig_stop(&r);
}

/* How many descriptors we hold. */
static size_t descriptors(void)
{
	return dir_count("/proc/self/fd");
}

/* The disk is full at any write: an error, and nothing stays. */
static void disk_full(void **state)
{
	struct strbuf big = STRBUF_INIT(1 << 20);
	struct staged st;
	struct rig r;
	size_t held;

	(void)state;
	for (int i = 0; i < 30000; i++)
		strbuf_puts(&big, "a line\r\n");
	strbuf_puts(&big, "\nand a bare LF\r\n");
	rig_start(&r);
	rig_open(&r);
	sys.err = ENOSPC;
	for (int at = 0;; at++) {
		int rc;

		sys.fail_write = at;
		rc = stage_flags(&r, big.s, 0, &st);
		if (rc == 0) {
			assert_true(at > 8);
			assert_true(st.raw);
			assert_int_equal(st.size, big.len);
			r.s->ops->unstage(r.s, &st);
			assert_int_equal(count(&r, "tmp"), 0);
			break;
		}
		assert_int_equal(r.e.kind, ERR_LOCAL);
		assert_non_null(strstr(r.e.text, strerror(ENOSPC)));
		assert_non_null(strstr(r.e.text, r.path));
		assert_int_equal(count(&r, "tmp"), 0);
	}
	held = descriptors();
	sys.fail_write = -1;
	sys.fail_open = 1; /* the second file, for the message as it came */
	assert_int_equal(stage_flags(&r, big.s, 0, &st), -1);
	assert_non_null(strstr(r.e.text, strerror(ENOSPC)));
	assert_int_equal(count(&r, "tmp"), 0);
	assert_int_equal(descriptors(), held);
	rig_stop(&r);
	strbuf_release(&big);
}

/* A sync that failed is not asked again: the kernel would say yes. */
static void sync_fails(void **state)
{
	struct staged st[20];
	struct rig r;

	(void)state;
	for (size_t n = 1; n <= 20; n += 19) {
		rig_start(&r);
		rig_open(&r);
		sys.err = EIO;
		for (size_t i = 0; i < n; i++)
			stage(&r, "x\r\n", &st[i]);
		sys.fail_sync = 0;
		assert_int_equal(r.s->ops->harden(r.s, st, n, &r.e), -1);
		assert_int_equal(r.e.kind, ERR_LOCAL);
		assert_non_null(strstr(r.e.text, strerror(EIO)));
		sys.fail_sync = -1;
		assert_int_equal(r.s->ops->harden(r.s, st, n, &r.e), -1);
		assert_int_equal(r.s->ops->publish(r.s, st, n, &r.e), -1);
		assert_int_equal(count(&r, "new"), 0);
		r.s->ops->abandon(r.s);
		assert_int_equal(count(&r, "tmp"), 0);
		stage(&r, "x\r\n", &st[0]);
		assert_int_equal(r.s->ops->harden(r.s, st, 1, &r.e), 0);
		sys.fail_dir = 0;
		assert_int_equal(r.s->ops->publish(r.s, st, 1, &r.e), -1);
		assert_int_equal(r.e.kind, ERR_LOCAL);
		sys.fail_dir = -1;
		assert_int_equal(r.s->ops->publish(r.s, st, 1, &r.e), -1);
		rig_stop(&r);
	}
}

/* Links whose sync failed don't count as durable. */
static void link_sync_fails(void **state)
{
	struct staged st[LINKED];
	struct rig r;

	(void)state;
	rig_start(&r);
	rig_open(&r);
	sys.err = EIO;
	for (size_t i = 0; i < LINKED; i++)
		stage(&r, "x\r\n", &st[i]);
	assert_int_equal(r.s->ops->harden(r.s, st, LINKED, &r.e), 0);
	sys.fail_sync = 0;
	assert_int_equal(r.s->ops->publish(r.s, st, LINKED, &r.e), -1);
	assert_int_equal(r.e.kind, ERR_LOCAL);
	assert_non_null(strstr(r.e.text, strerror(EIO)));
	sys.fail_sync = -1;
	assert_int_equal(r.s->ops->publish(r.s, st, LINKED, &r.e), -1);
	rig_stop(&r);
}

/* The third rename or link fails: two are there, and the next run finds just these. */
static void rename_fails(void **state)
{
	struct recovery rec[LINKED] = { { 0 } };
	struct staged st[LINKED];
	struct rig r;

	(void)state;
	for (size_t n = 4; n <= LINKED; n += LINKED - 4) {
		rig_start(&r);
		rig_open(&r);
		sys.err = ENOSPC;
		for (size_t i = 0; i < n; i++)
			assert_int_equal(stage_flags(&r, "x\r\n", i % 2 ? FLAG_SEEN : 0, &st[i]), 0);
		assert_int_equal(r.s->ops->harden(r.s, st, n, &r.e), 0);
		sys.fail_rename = 2;
		assert_int_equal(r.s->ops->publish(r.s, st, n, &r.e), -1);
		assert_int_equal(r.e.kind, ERR_LOCAL);
		assert_non_null(strstr(r.e.text, strerror(ENOSPC)));
		sys.fail_rename = -1;
		assert_int_equal(r.s->ops->publish(r.s, st, n, &r.e), -1);
		r.s->ops->abandon(r.s);
		assert_int_equal(count(&r, "tmp"), 0);
		assert_int_equal(count(&r, "new") + count(&r, "cur"), 2);
		for (size_t i = 0; i < n; i++)
			rec[i] = (struct recovery){ .key = st[i].key, .hint = st[i].hint, .digest = st[i].digest };
		sys.log[0] = '\0';
		assert_int_equal(r.s->ops->recover(r.s, rec, n, &r.e), 0);
		if (nameless) /* they may be links that were never synced */
			assert_string_equal(sys.log, "s");
		for (size_t i = 0; i < n; i++)
			assert_int_equal(rec[i].found, i < 2);
		rig_stop(&r);
	}
}

/* Mail readers move and flag what we delivered; it is still ours. What isn't there leaves nothing in tmp/, where others' files stay. */
static void recovers(void **state)
{
	static const struct {
		const char *before, *behind;
	} where[] = { { "new", "" }, { "cur", "" }, { "cur", ":2," }, { "cur", ":2,RS" }, { "new", ":2,S" }, { "cur", ":1,x" },
		      { "tmp", "" }, { "tmp", "-not" } };
	char path[2 * BOX_PATH], key[8][64];
	struct recovery rec[8] = { { 0 } };
	struct stat st;
	struct rig r;

	(void)state;
	rig_start(&r);
	rig_open(&r);
	for (size_t i = 0; i < 8; i++) {
		char name[128];

		snprintf(key[i], sizeof(key[i]), "%zu.M1P%zuQ3.host", 9 - i, i);
		rec[i] = (struct recovery){ .key = key[i], .hint = "" };
		snprintf(name, sizeof(name), "%s%s", key[i], where[i].behind);
		join(path, sizeof(path), r.path, where[i].before, name);
		file_write(path, "x\n", 2);
	}
	join(path, sizeof(path), r.path, "new", "9.M1P0Q3.hosts"); /* almost the first */
	file_write(path, "x\n", 2);
	assert_int_equal(r.s->ops->recover(r.s, rec, 8, &r.e), 0);
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(rec[i].found, i < 6);
	assert_non_null(strpbrk(sys.log, "ds")); /* what is told to be there is durable */
	assert_int_equal(count(&r, "tmp"), 1);
	assert_int_equal(count(&r, "new") + count(&r, "cur"), 7);
	join(path, sizeof(path), r.path, "new", key[7]); /* a link is no message */
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(r.s->ops->recover(r.s, rec + 7, 1, &r.e), 0);
	assert_false(rec[7].found);
	assert_int_equal(lstat(path, &st), 0);
	rig_stop(&r);
}

static void stale_tmp(void **state)
{
	static const struct {
		const char *name;
		int mtime, atime; /* hours ago */
		bool stays, stays_long;
	} rows[] = {
		{ "fresh", 0, 0, true, true },         { "35h", 35, 35, true, true },   { "37h", 37, 37, false, true },
		{ "read lately", 90, 1, true, true }, { "written lately", 1, 90, true, true },
		{ "old", 101, 101, false, false },     { ".dot", 101, 101, true, true },
	};
	char path[2 * BOX_PATH];
	struct rig r;

	(void)state;
	for (int hours = 0; hours <= 100; hours += 100) {
		rig_start(&r);
		store_free(r.s);
		r.params.tmp_hours = hours;
		r.s = maildir_new(&r.params, &r.e);
		rig_open(&r);
		join(path, sizeof(path), r.path, "tmp", "dir");
		assert_int_equal(mkdir(path, 0700), 0);
		join(path, sizeof(path), r.path, "tmp", "link");
		assert_int_equal(symlink("old", path), 0);
		clock_test_set(NOW);
		for (size_t i = 0; i < COUNT(rows); i++) {
			struct timespec t[2] = { { .tv_sec = NOW - 3600 * rows[i].atime }, { .tv_sec = NOW - 3600 * rows[i].mtime } };

			join(path, sizeof(path), r.path, "tmp", rows[i].name);
			file_write(path, "x", 1);
			assert_int_equal(utimensat(AT_FDCWD, path, t, 0), 0);
		}
		assert_int_equal(r.s->ops->open_box(r.s, "", BOX_READ, &r.info, &r.e), 0);
		join(path, sizeof(path), r.path, "tmp", "old");
		assert_int_equal(file_size(path), 1); /* only who delivers cleans */
		rig_open(&r);
		for (size_t i = 0; i < COUNT(rows); i++) {
			join(path, sizeof(path), r.path, "tmp", rows[i].name);
			assert_int_equal(file_size(path) >= 0, hours ? rows[i].stays_long : rows[i].stays);
		}
		assert_int_equal(count(&r, "tmp"), hours ? 7 : 6);
		rig_stop(&r);
	}
}

/* Let this process have few descriptors, and the box know: 11 staged files may be open. */
static void have_few(struct rig *r)
{
	const struct rlimit few = { 40, 40 };

	if (setrlimit(RLIMIT_NOFILE, &few) < 0)
		_exit(errno == EPERM ? 77 : 1); /* valgrind keeps the hard limit for itself */
	if (r->s->ops->open_box(r->s, "", BOX_WRITE, &r->info, &r->e) < 0)
		_exit(1);
}

/* A part of a test in a child: the hard limit can't be raised again. */
static void in_child(struct rig *r, int (*part)(struct rig *r))
{
	int status;
	pid_t pid;

	rig_start(r);
	rig_open(r);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		have_few(r);
		sys.log[0] = '\0';
		_exit(part(r));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77) {
		rig_stop(r);
		skip();
	}
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* With few descriptors, staged files are synced and closed early. */
static int many_files(struct rig *r)
{
	struct staged *st = calloc(300, sizeof(*st));

	if (!st)
		return 1;
	for (size_t i = 0; i < 300; i++)
		if (stage_flags(r, "x\r\n", 0, &st[i]) < 0)
			return 2;
	return r->s->ops->harden(r->s, st, 300, &r->e) < 0 || r->s->ops->publish(r->s, st, 300, &r->e) < 0 ? 3 : 0;
}

static void few_descriptors(void **state)
{
	struct rig r;

	(void)state;
	in_child(&r, many_files);
	assert_int_equal(count(&r, "new"), 300);
	rig_stop(&r);
}

/* Groups of all fates, one after the other. In the end nothing is held, and as many files may be open as at first. */
static int all_fates(struct rig *r)
{
	const struct store_ops *ops = r->s->ops;
	size_t before = 0;

	for (unsigned round = 0; round < 60; round++) {
		size_t n = round % 3 == 0 ? 60 : round % 3 == 1 ? 9 : 1;
		struct staged st[60];

		for (size_t i = 0; i < n; i++) {
			if (stage_flags(r, i % 7 ? "x\r\n" : "bare\nLF\r\n", 0, &st[i]) < 0)
				return 2;
			if (round > 0 && descriptors() > before + 11)
				return 3;
		}
		ops->unstage(r->s, &st[any((uint32_t)n)]);
		if (round % 4 == 1)
			sys.fail_write = 0;
		sys.err = ENOSPC;
		if (stage_flags(r, "y\r\n", 0, &st[0]) == 0)
			ops->unstage(r->s, &st[0]);
		sys.fail_write = -1;
		if (round % 5 < 4 && ops->harden(r->s, st, n, &r->e) < 0)
			return 4;
		sys.fail_rename = round % 5 == 2 ? 2 : -1;
		if (round % 5 < 3 && ops->publish(r->s, st, n, &r->e) < 0 && round % 5 != 2)
			return 5;
		sys.fail_rename = -1;
		ops->abandon(r->s);
		if (round % 10 == 9 && ops->open_box(r->s, "", BOX_WRITE, &r->info, &r->e) < 0)
			return 10;
		if (round == 0)
			before = descriptors();
		else if (descriptors() != before)
			return 6;
		if (count(r, "tmp") != 0)
			return 7;
	}
	sys.log[0] = '\0';
	for (size_t i = 0; i < 11; i++) {
		struct staged st;

		if (stage_flags(r, "x\r\n", 0, &st) < 0)
			return 8;
	}
	return strchr(sys.log, 'f') ? 9 : 0;
}

static void descriptors_return(void **state)
{
	struct rig r;

	(void)state;
	in_child(&r, all_fates);
	rig_stop(&r);
}

/* When there are no descriptors, whatever the limit says, staged files give theirs. */
static void none_left(void **state)
{
	struct staged st[2];
	struct rig r;

	(void)state;
	rig_start(&r);
	rig_open(&r);
	stage(&r, "x\r\n", &st[0]);
	sys.log[0] = '\0';
	sys.fail_open = 0;
	sys.err = EMFILE;
	assert_int_equal(stage_flags(&r, "y\r\n", 0, &st[1]), -1);
	assert_non_null(strstr(r.e.text, strerror(EMFILE)));
	assert_string_equal(sys.log, nameless ? "lwf" : "wf");
	sys.fail_open = -1;
	assert_int_equal(r.s->ops->harden(r.s, st, 1, &r.e), 0);
	assert_int_equal(r.s->ops->publish(r.s, st, 1, &r.e), 0);
	assert_int_equal(count(&r, "new"), 1);
	rig_stop(&r);
}

/* A file whose early sync did not come about is not passed over: it is synced with the others. */
static int interrupted_early(struct rig *r)
{
	struct staged st[12];
	size_t synced = 0;

	stage(r, "x\r\n", &st[0]);
	if (r->s->ops->harden(r->s, st, 1, &r->e) < 0)
		return 1;
	r->s->ops->abandon(r->s); /* what comes now is a group of its own */
	sys.log[0] = '\0';
	for (size_t i = 0; i < 11; i++)
		if (stage_flags(r, "x\r\n", 0, &st[i]) < 0)
			return 2;
	if (clock_cancel_init(&r->e) < 0)
		return 3;
	clock_cancel_now(15);
	if (stage_flags(r, "x\r\n", 0, &st[11]) == 0 || r->e.kind != ERR_CANCEL)
		return 4;
	clock_cancel_clear();
	if (r->s->ops->harden(r->s, st, 11, &r->e) < 0 || r->s->ops->publish(r->s, st, 11, &r->e) < 0)
		return 5;
	for (const char *p = sys.log; *p; p++)
		synced += *p == 'f';
	return synced == 11 ? 0 : 6;
}

static void none_passed_over(void **state)
{
	struct rig r;

	(void)state;
	in_child(&r, interrupted_early);
	assert_int_equal(count(&r, "new"), 11);
	rig_stop(&r);
}

/* Stage small messages; how often early write-back was asked for. */
static size_t kicks(struct rig *r, size_t n)
{
	size_t k = 0;

	sys.log[0] = '\0';
	for (size_t i = 0; i < n; i++) {
		struct staged st;

		stage(r, "x\r\n", &st);
	}
	for (const char *p = sys.log; *p; p++)
		k += *p == 'k';
	return k;
}

static void harden_slowly(struct rig *r, bool slow)
{
	sys.slow_syncfs = slow;
	assert_int_equal(r->s->ops->harden(r->s, NULL, 0, &r->e), 0);
	sys.slow_syncfs = false;
	r->s->ops->abandon(r->s);
}

/* Small messages are written 300 at a time, counted from the last sync; not where that is known to be slow. */
static void early_writeback(void **state)
{
	struct strbuf big = STRBUF_INIT(1 << 20);
	struct staged st;
	struct rig r;

	(void)state;
	rig_start(&r);
	rig_open(&r);
	for (int i = 0; i < 20000; i++)
		strbuf_puts(&big, "line\r\n");
	assert_int_equal(kicks(&r, 299), 0);
	stage(&r, big.s, &st); /* by itself */
	assert_null(strchr(sys.log, 'k'));
	assert_int_equal(kicks(&r, 1), 1);
	assert_int_equal(kicks(&r, 600), 2);
	assert_int_equal(kicks(&r, 299), 0);
	harden_slowly(&r, false);
	assert_int_equal(kicks(&r, 299), 0);
	assert_int_equal(kicks(&r, 1), 1);
	harden_slowly(&r, true);
	assert_int_equal(kicks(&r, 700), 0);
	rig_stop(&r);
	assert_int_equal(sys.log[strlen(sys.log) - 1], 'e');
	strbuf_release(&big);
}

/* Not on every file system is such a file as durable as another. */
static void nameless_where_known(void **state)
{
	struct staged st;
	struct rig r;

	(void)state;
	rig_start(&r);
	rig_open(&r);
	sys.btrfs = true;
	stage(&r, "x\r\n", &st);
	assert_int_equal(count(&r, "tmp"), 1);
	rig_open(&r); /* asked anew for each box */
	sys.btrfs = false;
	stage(&r, "x\r\n", &st);
	assert_int_equal(count(&r, "tmp"), 0);
	rig_stop(&r);
}

/* Where it takes long to write all, that is not done again, but for the names of what was linked. */
static void slow_syncfs(void **state)
{
	struct staged st[LINKED];
	struct rig r;

	(void)state;
	rig_start(&r);
	rig_open(&r);
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < LINKED; i++)
			stage(&r, "x\r\n", &st[i]);
		sys.log[0] = '\0';
		sys.slow_syncfs = round == 0;
		assert_int_equal(r.s->ops->harden(r.s, st, LINKED, &r.e), 0);
		assert_int_equal(strcmp(sys.log, "s") == 0, round == 0);
		sys.slow_syncfs = false;
		assert_int_equal(r.s->ops->publish(r.s, st, LINKED, &r.e), 0);
		assert_int_equal(sys.log[strlen(sys.log) - 1], round == 0 ? 's' : 'd');
		assert_int_equal(strchr(sys.log, 'f') != NULL, round == 1);
	}
	assert_int_equal(count(&r, "new"), 2 * LINKED);
	rig_stop(&r);
}

/* A signal ends hardening between two files; nothing is visible, and abandoning leaves nothing. */
static void cancelled(void **state)
{
	struct staged st[3];
	struct rig r;

	(void)state;
	rig_start(&r);
	rig_open(&r);
	for (size_t i = 0; i < 3; i++)
		stage(&r, "x\r\n", &st[i]);
	assert_int_equal(r.s->ops->publish(r.s, st, 3, &r.e), -1); /* nor without it */
	assert_int_equal(r.e.kind, ERR_BUG);
	assert_int_equal(clock_cancel_init(&r.e), 0);
	clock_cancel_now(15);
	assert_int_equal(r.s->ops->harden(r.s, st, 3, &r.e), -1);
	assert_int_equal(r.e.kind, ERR_CANCEL);
	clock_cancel_clear();
	assert_int_equal(count(&r, "new"), 0);
	r.s->ops->abandon(r.s);
	assert_int_equal(count(&r, "tmp"), 0);
	rig_stop(&r);
}

/* The same rig with a tree of a layout, and nothing in it. */
static void rig_tree(struct rig *r, enum maildir_layout layout)
{
	rig_start(r);
	store_free(r->s);
	r->params.layout = layout;
	r->s = maildir_new(&r->params, &r->e);
	assert_non_null(r->s);
	assert_int_equal(mkdir(r->path, 0700), 0);
}

static void make_dir(struct rig *r, const char *path)
{
	char whole[2 * BOX_PATH], *slash;

	join(whole, sizeof(whole), r->path, path, "");
	for (slash = whole + strlen(r->path); (slash = strchr(slash + 1, '/'));) {
		*slash = '\0';
		mkdir(whole, 0700);
		*slash = '/';
	}
	assert_int_equal(mkdir(whole, 0700), 0);
}

/* A file beneath the rig's path; text NULL: none. */
static void put_file(struct rig *r, const char *path, const char *text)
{
	char whole[2 * BOX_PATH];

	join(whole, sizeof(whole), r->path, path, "");
	if (text)
		file_write(whole, text, strlen(text));
	else
		assert_int_equal(unlink(whole), 0);
}

static bool is_there(struct rig *r, const char *path)
{
	char whole[2 * BOX_PATH];
	struct stat st;

	join(whole, sizeof(whole), r->path, path, "");
	return lstat(whole, &st) == 0;
}

static void move_file(struct rig *r, const char *from, const char *to)
{
	char a[2 * BOX_PATH], b[2 * BOX_PATH];

	join(a, sizeof(a), r->path, from, "");
	join(b, sizeof(b), r->path, to, "");
	assert_int_equal(rename(a, b), 0);
}

static void link_to(struct rig *r, const char *target, const char *path)
{
	char whole[2 * BOX_PATH];

	join(whole, sizeof(whole), r->path, path, "");
	assert_int_equal(symlink(target, whole), 0);
}

struct tree_seen {
	char names[4096];
	char stamp[STORE_STAMP_MAX]; /* of the last */
	size_t n;
};

static int see_folder(void *arg, const struct folder_info *f, struct err *e)
{
	struct tree_seen *t = arg;
	size_t n = strlen(t->names);

	(void)e;
	assert_int_equal(f->messages, UINT64_MAX);
	snprintf(t->names + n, sizeof(t->names) - n, "[%s]", f->name);
	memcpy(t->stamp, f->stamp, sizeof(t->stamp));
	t->n++;
	return 0;
}

static bool lists(const struct tree_seen *t, const char *folder)
{
	char name[300];

	snprintf(name, sizeof(name), "[%s]", folder);
	return strstr(t->names, name) != NULL;
}

static struct tree_seen see_tree(struct rig *r)
{
	struct tree_seen t = { .n = 0 };

	if (r->s->ops->folders(r->s, see_folder, &t, &r->e) < 0)
		fail_msg("folders: %s", r->e.text);
	return t;
}

static char warnings[4096];

static void to_warnings(void *arg, enum log_level level, const char *context, const char *text)
{
	size_t n = strlen(warnings);

	(void)arg;
	(void)context;
	if (level == LOG_WARN)
		snprintf(warnings + n, sizeof(warnings) - n, "%s\n", text);
}

/* A Maildir that can't be a folder is mail that nobody looks at: whoever owns it is told, once. */
static void tells_of_maildirs_that_are_no_folders(void **state)
{
	struct rig r;

	(void)state;
	rig_tree(&r, MAILDIR_NESTED);
	make_dir(&r, "INBOX/cur");
	make_dir(&r, ".Sent/cur");
	make_dir(&r, "a/x\n/cur");
	make_dir(&r, "%41/below/cur"); /* no Maildir itself: nobody looks further */
	make_dir(&r, ".notmuch/xapian");
	warnings[0] = '\0';
	log_set_sink(to_warnings, NULL);
	assert_int_equal(see_tree(&r).n, 1);
	assert_non_null(strstr(warnings, "the Maildir '.Sent' is left out: its name can't be a folder's, unless the layout is maildir++\n"));
	assert_non_null(strstr(warnings, "the Maildir 'a/x\\x0a' is left out: its name can't be a folder's\n"));
	assert_null(strstr(warnings, "below"));
	assert_null(strstr(warnings, "notmuch"));
	warnings[0] = '\0';
	see_tree(&r);
	assert_string_equal(warnings, "");
	for (int i = 0; i < 20; i++) {
		char path[32];

		snprintf(path, sizeof(path), ".box%d/cur", i);
		make_dir(&r, path);
	}
	store_free(r.s);
	r.s = maildir_new(&r.params, &r.e);
	assert_non_null(r.s);
	see_tree(&r);
	assert_non_null(strstr(warnings, "and 12 more Maildirs are left out\n"));
	log_set_sink(NULL, NULL);
	rig_stop(&r);
}

static void lists_nested(void **state)
{
	static const char *const folders[] = { "INBOX", "inbox", "Work/2026", "50%", "a/b/c/d/e/f/g", "linked", "odd" };
	struct tree_seen t;
	struct rig r;

	(void)state;
	rig_tree(&r, MAILDIR_NESTED);
	t = see_tree(&r);
	assert_int_equal(t.n, 0);
	make_dir(&r, "cur"); /* the root is no folder */
	make_dir(&r, "new");
	make_dir(&r, "tmp/cur");
	make_dir(&r, "INBOX/cur");
	make_dir(&r, "inbox/cur");
	make_dir(&r, "Work/2026/cur");
	make_dir(&r, "Work/cur.old");
	make_dir(&r, "50%25/cur");
	make_dir(&r, "50%/cur");
	make_dir(&r, ".hidden/cur");
	make_dir(&r, "%41/cur");
	make_dir(&r, "x\n/cur");
	make_dir(&r, "a/b/c/d/e/f/g/cur");
	make_dir(&r, "odd");
	link_to(&r, "../INBOX/cur", "odd/cur");
	put_file(&r, "file", "x");
	link_to(&r, "INBOX", "linked");
	link_to(&r, "..", "circle");
	link_to(&r, "nowhere", "dangling");
	t = see_tree(&r);
	for (size_t i = 0; i < COUNT(folders); i++)
		if (!lists(&t, folders[i]))
			fail_msg("%s is not in %s", folders[i], t.names);
	assert_int_equal(t.n, COUNT(folders));
	/* what is a link is not entered, nor taken for missing */
	for (size_t i = 5; i < 7; i++) {
		const struct look l = { .folder = folders[i], .stamp = "" };
		size_t at;

		assert_int_equal(r.s->ops->look(r.s, &l, 1, BOX_READ, &r.e), 0);
		assert_int_equal(r.s->ops->look_box(r.s, &at, &r.info, &r.e), -1);
		assert_int_equal(r.e.span, SPAN_BOX);
		assert_non_null(strstr(r.e.text, "link"));
	}
	rig_stop(&r);
}

static void lists_plusplus_and_flat(void **state)
{
	struct tree_seen t;
	struct staged st;
	struct rig r;

	(void)state;
	rig_tree(&r, MAILDIR_PLUSPLUS);
	make_dir(&r, ".Work.2026/cur");
	make_dir(&r, ".INBOX/cur");
	make_dir(&r, ".INBOX.Sub/cur");
	make_dir(&r, "..bad/cur");
	make_dir(&r, "plain/cur");
	make_dir(&r, ".empty");
	t = see_tree(&r);
	assert_int_equal(t.n, 2);
	assert_int_equal(r.s->ops->folder_create(r.s, "INBOX", 0, &r.e), 0);
	t = see_tree(&r);
	assert_true(lists(&t, "INBOX") && lists(&t, "Work/2026") && lists(&t, "INBOX/Sub"));
	assert_int_equal(t.n, 3);
	assert_int_equal(r.s->ops->open_box(r.s, "INBOX", BOX_WRITE, &r.info, &r.e), 0);
	stage(&r, "x\r\n", &st);
	assert_int_equal(r.s->ops->harden(r.s, &st, 1, &r.e), 0);
	assert_int_equal(r.s->ops->publish(r.s, &st, 1, &r.e), 0);
	assert_int_equal(count(&r, "new"), 1);
	rig_stop(&r);

	rig_tree(&r, MAILDIR_FLAT);
	make_dir(&r, "cur");
	make_dir(&r, "INBOX/cur");
	make_dir(&r, "Work.2026/cur");
	make_dir(&r, "Work.2026/deeper/cur");
	make_dir(&r, ".hidden/cur");
	t = see_tree(&r);
	assert_true(lists(&t, "INBOX") && lists(&t, "Work/2026"));
	assert_int_equal(t.n, 2);
	rig_stop(&r);
}

static int never(void *arg, const struct folder_info *f, struct err *e)
{
	(void)arg;
	(void)e;
	fail_msg("folder %s", f->name);
	return -1;
}

/* A root that isn't there is no empty tree. */
static void missing_root(void **state)
{
	const struct look l = { .folder = "INBOX", .stamp = "" };
	struct rig r;

	(void)state;
	rig_start(&r);
	for (int file = 0; file < 2; file++) {
		if (file)
			file_write(r.path, "x", 1);
		assert_int_equal(r.s->ops->folders(r.s, never, NULL, &r.e), -1);
		assert_int_equal(r.e.kind, ERR_LOCAL);
		assert_int_equal(r.e.span, SPAN_ACCT);
		assert_non_null(strstr(r.e.text, r.path));
		assert_true(file || strstr(r.e.text, "mounted"));
		assert_int_equal(r.s->ops->look(r.s, &l, 1, BOX_READ, &r.e), -1);
		assert_int_equal(r.e.span, SPAN_ACCT);
		assert_int_equal(r.s->ops->folder_create(r.s, "Work", 0, &r.e), -1);
		assert_int_equal(r.e.kind, ERR_LOCAL);
		assert_int_equal(r.s->ops->folder_remove(r.s, "Work", 9, &r.e), -1);
		assert_int_equal(r.e.span, SPAN_ACCT);
	}
	assert_int_equal(unlink(r.path), 0);
	assert_int_equal(r.s->ops->folder_create(r.s, "", 0, &r.e), 0);
	assert_int_equal(see_tree(&r).n, 0);
	rig_stop(&r);
}

/* A directory is moved from one level to the next while the tree is read. */
static struct rig *moving;

static void move_folder(void)
{
	move_file(moving, "A/x", "B/x");
	move_file(moving, "B/y", "A/y");
}

static void folders_move_meanwhile(void **state)
{
	static const char *const moments[] = { "x", "y", "A", "B", "cur" };
	struct rig r;

	(void)state;
	for (size_t i = 0; i < COUNT(moments); i++) {
		struct tree_seen t;

		rig_tree(&r, MAILDIR_NESTED);
		make_dir(&r, "A/x/cur");
		make_dir(&r, "B/y/cur");
		fs_clock_moves(r.dir);
		moving = &r;
		sys.happen = move_folder;
		sys.moment = moments[i];
		t = see_tree(&r);
		if (strcmp(moments[i], "cur") != 0)
			assert_null(sys.moment);
		sys.moment = NULL;
		assert_int_equal(t.n, 2);
		assert_true(lists(&t, "A/x") || lists(&t, "B/x"));
		assert_true(lists(&t, "A/y") || lists(&t, "B/y"));
		rig_stop(&r);
	}
}

/* What the base would know of a box. */
struct base {
	const char *keys[8];
	size_t n;
	char stamp[STORE_STAMP_MAX];
	int asked;
};

static int base_known(void *arg, const char *folder, int (*each)(void *to, struct slice key, struct err *e), void *to, struct err *e)
{
	struct base *b = arg;

	(void)folder;
	b->asked++;
	for (size_t i = 0; i < b->n; i++)
		if (each(to, slice_str(b->keys[i]), e) < 0)
			return -1;
	return 0;
}

/* Look at a folder: "key:flags key:flags ", sorted. -1 when it can't be looked at. */
static int look_at(struct rig *r, const char *folder, struct base *b, char out[1024])
{
	const struct look l = { .folder = folder, .stamp = b->stamp, .known = base_known, .arg = b };
	char rows[16][128];
	struct store_msg m;
	size_t i, n = 0, len = 0;

	b->asked = 0;
	if (r->s->ops->look(r->s, &l, 1, BOX_READ, &r->e) < 0)
		fail_msg("look: %s", r->e.text);
	out[0] = '\0';
	if (r->s->ops->look_box(r->s, &i, &r->info, &r->e) < 0)
		return -1;
	if (r->info.extent == LOOK_SAME)
		snprintf(out, 1024, "same");
	while (r->s->ops->look_next(r->s, &m, &r->e) > 0) {
		char letters[8];

		flags_to_letters(m.flags, letters);
		assert_true(n < 16);
		snprintf(rows[n++], sizeof(rows[0]), "%.*s:%s ", (int)m.key.n, m.key.p, letters);
	}
	if (r->info.extent == LOOK_ALL)
		assert_int_equal(r->info.messages, n);
	qsort(rows, n, sizeof(rows[0]), (int (*)(const void *, const void *))strcmp);
	for (i = 0; i < n; i++)
		len += (size_t)snprintf(out + len, 1024 - len, "%s", rows[i]);
	memcpy(b->stamp, r->info.stamp, sizeof(b->stamp));
	return 0;
}

static void see(struct rig *r, struct base *b, const char *want)
{
	char got[1024];

	if (look_at(r, "Box", b, got) < 0)
		fail_msg("look: %s", r->e.text);
	assert_string_equal(got, want);
}

/* A folder "Box" with some messages, in a tree. */
static void rig_look(struct rig *r)
{
	rig_tree(r, MAILDIR_NESTED);
	make_dir(r, "Box/cur");
	make_dir(r, "Box/new");
	make_dir(r, "Box/tmp");
	put_file(r, "Box/new/1.a", "a\n");
	put_file(r, "Box/cur/2.b:2,", "b\n");
	put_file(r, "Box/cur/3.c:2,FS", "c\n");
	snprintf(sys.cur, sizeof(sys.cur), "%s/Box/cur", r->path);
}

/* Each kind of change shows in the stamp, also when the times are set back; and what isn't a change doesn't. */
static void stamps(void **state)
{
	static const struct {
		const char *from, *to, *want;
	} rows[] = {
		{ NULL, "Box/tmp/9.x", "same" },
		{ NULL, "Box/note", "same" },
		{ NULL, "Box/new/4.d", "1.a: 2.b: 3.c:FS 4.d: " },
		{ "Box/new/4.d", "Box/cur/4.d:2,S", "1.a: 2.b: 3.c:FS 4.d:S " },
		{ "Box/cur/4.d:2,S", "Box/cur/4.d:2,RS", "1.a: 2.b: 3.c:FS 4.d:RS " },
		{ "Box/cur/4.d:2,RS", "Box/cur/5.e:2,RS", "1.a: 2.b: 3.c:FS 5.e:RS " },
		{ "Box/cur/5.e:2,RS", NULL, "1.a: 2.b: 3.c:FS " },
		{ "Box/new/1.a", "Box/out", "2.b: 3.c:FS " },
		{ "Box/out", "Box/new/1.a", "1.a: 2.b: 3.c:FS " },
	};
	struct base b = { .n = 0 };
	char path[2][2 * BOX_PATH];
	struct tree_seen t;
	struct rig r;

	(void)state;
	rig_look(&r);
	see(&r, &b, "1.a: 2.b: 3.c:FS ");
	assert_string_equal(b.stamp, ""); /* too fresh to be trusted */
	join(path[0], sizeof(path[0]), r.path, "Box/cur", "");
	join(path[1], sizeof(path[1]), r.path, "Box/new", "");
	fs_clock_moves(r.dir);
	see(&r, &b, "1.a: 2.b: 3.c:FS ");
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct timespec was[2][2];

		assert_true(b.stamp[0] != '\0');
		see(&r, &b, "same");
		for (size_t k = 0; k < 2; k++) {
			struct stat st;

			assert_int_equal(stat(path[k], &st), 0);
			was[k][0] = st.st_atim;
			was[k][1] = st.st_mtim;
		}
		fs_clock_moves(r.dir);
		if (!rows[i].from || !rows[i].to)
			put_file(&r, rows[i].from ? rows[i].from : rows[i].to, rows[i].from ? NULL : "x\n");
		else
			move_file(&r, rows[i].from, rows[i].to);
		if (strcmp(rows[i].want, "same") != 0)
			for (size_t k = 0; k < 2; k++)
				assert_int_equal(utimensat(AT_FDCWD, path[k], was[k], 0), 0);
		fs_clock_moves(r.dir);
		see(&r, &b, rows[i].want);
	}
	t = see_tree(&r);
	assert_string_equal(t.stamp, b.stamp);
	/* another directory in its place */
	move_file(&r, "Box", "Box.old");
	make_dir(&r, "Box/cur");
	fs_clock_moves(r.dir);
	see(&r, &b, "");
	/* times of the future say nothing */
	{
		const struct timespec later[2] = { { .tv_sec = clock_wall() + 1000 }, { .tv_sec = clock_wall() + 1000 } };

		assert_int_equal(utimensat(AT_FDCWD, path[0], later, 0), 0);
		see(&r, &b, "");
		assert_string_equal(b.stamp, "");
	}
	rig_stop(&r);
}

/* A file that is renamed just as the directory is read, and not shown, once or several times: it isn't gone. And if nobody can tell, nothing is told. */
static void renamed_while_read(void **state)
{
	struct base b = { .keys = { "1.a", "2.b", "3.c" }, .n = 3 }, stranger = { .keys = { "1.a", "3.c" }, .n = 2 };
	char got[1024];
	struct rig r;

	(void)state;
	for (int readings = 1; readings < 20; readings += readings < 4 ? 1 : 15) {
		rig_look(&r);
		fs_clock_moves(r.dir);
		sys.hide = "2.b";
		sys.readings = readings;
		if (readings < 5) {
			assert_int_equal(look_at(&r, "Box", &b, got), 0);
			assert_non_null(strstr(got, "1.a: 2.b:"));
			assert_int_equal(b.asked, readings + (b.stamp[0] == '\0'));
			assert_int_equal(sys.readings, 0);
		} else {
			assert_int_equal(look_at(&r, "Box", &b, got), -1);
			assert_int_equal(r.e.kind, ERR_TEMP);
			assert_int_equal(r.e.span, SPAN_BOX);
			assert_non_null(strstr(r.e.text, "Box"));
		}
		b.stamp[0] = '\0';
		/* one that the base doesn't know may come later */
		put_file(&r, "Box/cur/0.x:2,", "x");
		put_file(&r, "Box/cur/0.x:2,", NULL);
		sys.readings = 1;
		assert_int_equal(look_at(&r, "Box", &stranger, got), 0);
		assert_string_equal(got, "1.a: 3.c:FS ");
		assert_string_equal(stranger.stamp, "");
		rig_stop(&r);
	}
	/* and what is really gone is told at once */
	rig_look(&r);
	put_file(&r, "Box/cur/2.b:2,", NULL);
	see(&r, &b, "1.a: 3.c:FS ");
	rig_stop(&r);
}

static void to_cur(void)
{
	move_file(moving, "Box/new/1.a", "Box/cur/1.a:2,S");
}

static void to_new(void)
{
	move_file(moving, "Box/cur/2.b:2,", "Box/new/2.b");
}

/* Rename messages for ever; no assertions here: it is a child. */
static void rename_on_and_on(const char *box, size_t n)
{
	static const char *const parts[] = { "new", "cur", "cur", "cur" }, *const infos[] = { "", ":2,S", ":2,FS", ":2," };
	char *form = calloc(n, 1);

	while (form) {
		char from[3 * BOX_PATH], to[3 * BOX_PATH];
		size_t i = any((uint32_t)n);
		uint32_t next = any(4);

		snprintf(from, sizeof(from), "%s/%s/%zu.x%s", box, parts[(size_t)form[i]], i, infos[(size_t)form[i]]);
		snprintf(to, sizeof(to), "%s/%s/%zu.x%s", box, parts[next], i, infos[next]);
		form[i] = (char)next;
		if (rename(from, to) < 0)
			_exit(1);
	}
}

static int many_known(void *arg, const char *folder, int (*each)(void *to, struct slice key, struct err *e), void *to, struct err *e)
{
	(void)folder;
	for (size_t i = 0; i < *(size_t *)arg; i++) {
		char key[32];

		snprintf(key, sizeof(key), "%zu.x", i);
		if (each(to, slice_str(key), e) < 0)
			return -1;
	}
	return 0;
}

/* Against a reader that never rests: a listing taken just so misses messages in one of three readings. */
static void never_loses_sight(void **state)
{
	size_t n = 1000, seen, i;
	char path[2 * BOX_PATH];
	struct store_msg m;
	struct rig r;
	pid_t pid;

	(void)state;
	rig_tree(&r, MAILDIR_NESTED);
	make_dir(&r, "Box/cur");
	make_dir(&r, "Box/new");
	for (i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "Box/new/%zu.x", i);
		put_file(&r, path, "x");
	}
	join(path, sizeof(path), r.path, "Box", "");
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		rename_on_and_on(path, n);
	for (int looks = 0; looks < 40; looks++) {
		const struct look l = { .folder = "Box", .stamp = "", .known = many_known, .arg = &n };

		assert_int_equal(r.s->ops->look(r.s, &l, 1, BOX_READ, &r.e), 0);
		if (r.s->ops->look_box(r.s, &i, &r.info, &r.e) < 0) {
			assert_int_equal(r.e.kind, ERR_TEMP);
			continue;
		}
		for (seen = 0; r.s->ops->look_next(r.s, &m, &r.e) > 0; seen++)
			;
		assert_int_equal(seen, n);
	}
	assert_int_equal(waitpid(pid, NULL, WNOHANG), 0); /* it was at work all the time */
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	rig_stop(&r);
}

/* From new/ to cur/ between the two readings: it is there twice; from cur/ to new/: not at all. */
static void moved_while_read(void **state)
{
	struct base b = { .keys = { "1.a", "2.b", "3.c" }, .n = 3 };
	struct rig r;

	(void)state;
	rig_look(&r);
	moving = &r;
	fs_clock_moves(r.dir);
	sys.happen = to_cur;
	sys.moment = ""; /* of new/ */
	see(&r, &b, "1.a:S 2.b: 3.c:FS ");
	assert_null(sys.moment);
	assert_string_equal(b.stamp, "");
	rig_stop(&r);

	rig_look(&r);
	fs_clock_moves(r.dir);
	sys.happen = to_new;
	sys.moment = "";
	see(&r, &b, "1.a: 2.b: 3.c:FS ");
	assert_null(sys.moment);
	rig_stop(&r);
}

/* Everything in the directories that is no message, or in the place of one. */
static void no_messages(void **state)
{
	struct base b = { .n = 0 };
	struct stream *body;
	char path[2 * BOX_PATH];
	struct store_msg m;
	uint64_t nums[3];
	struct rig r;
	size_t i;

	(void)state;
	rig_look(&r);
	make_dir(&r, "Box/cur/dir");
	put_file(&r, "Box/cur/.dot", "x");
	put_file(&r, "Box/new/:2,S", "x");
	link_to(&r, "/etc/passwd", "Box/cur/4.link:2,S");
	join(path, sizeof(path), r.path, "Box/new/5.fifo", "");
	assert_int_equal(mkfifo(path, 0600), 0);
	see(&r, &b, "1.a: 2.b: 3.c:FS 4.link:S 5.fifo: ");
	assert_int_equal(r.s->ops->open_box(r.s, "Box", BOX_WRITE, &r.info, &r.e), 0);
	assert_int_equal(r.s->ops->find(r.s, slice_str("4.link"), FLAG_SEEN, &m, &r.e), 1);
	nums[0] = m.num;
	assert_int_equal(r.s->ops->find(r.s, slice_str("5.fifo"), 0, &m, &r.e), 1);
	nums[1] = m.num;
	assert_int_equal(r.s->ops->find(r.s, slice_str("1.a"), 0, &m, &r.e), 1);
	nums[2] = m.num;
	assert_int_equal(m.size, 2);
	assert_int_equal(r.s->ops->find(r.s, slice_str("dir"), 0, &m, &r.e), 0);
	assert_int_equal(r.s->ops->find(r.s, slice_str(".dot"), 0, &m, &r.e), 0);
	assert_int_equal(r.s->ops->find(r.s, slice_str("../new/1.a"), 0, &m, &r.e), 0);
	assert_int_equal(r.s->ops->want(r.s, nums, 3, &r.e), 0);
	for (size_t at = 0; at < 2; at++) {
		assert_int_equal(r.s->ops->next(r.s, &i, &body, &r.e), -1);
		assert_int_equal(i, at);
		assert_int_equal(r.e.span, SPAN_MSG);
		assert_non_null(strstr(r.e.text, at ? "5.fifo" : "4.link"));
	}
	assert_int_equal(r.s->ops->next(r.s, &i, &body, &r.e), 1);
	assert_non_null(body);
	stream_free(body);
	rig_stop(&r);
}

static void hear(void *arg, uint64_t num, const struct err *why)
{
	size_t *counts = arg;

	(void)num;
	note(why ? 'x' : 'o');
	if (why)
		assert_int_equal(why->span, SPAN_MSG);
	counts[why ? 1 : 0]++;
}

/* Change one message's flags, which is found by its key. */
static int change(struct rig *r, const char *key, uint32_t seen, uint32_t add, uint32_t del, size_t counts[2])
{
	struct flag_change c = { 0, add, del };
	struct store_msg m;

	counts[0] = counts[1] = 0;
	assert_int_equal(r->s->ops->find(r->s, slice_str(key), seen, &m, &r->e), 1);
	c.num = m.num;
	sys.log[0] = '\0';
	return r->s->ops->set_flags(r->s, &c, 1, hear, counts, &r->e);
}

static void flag_names(void **state)
{
	static const struct {
		const char *from;
		uint32_t add, del;
		const char *to;
	} rows[] = {
		{ "new/x", FLAG_SEEN, 0, "cur/x:2,S" },
		{ "new/x", 0, FLAG_SEEN, "new/x" },
		{ "cur/x", FLAG_DRAFT | FLAG_FORWARDED, 0, "cur/x:2,DP" },
		{ "cur/x:2,", 0, FLAG_SEEN, "cur/x:2," },
		{ "cur/x:2,S", 0, FLAG_SEEN, "cur/x:2," },
		{ "cur/x:2,FS", FLAG_ANSWERED, FLAG_FLAGGED, "cur/x:2,RS" },
		{ "cur/x:2,Sab", FLAG_FLAGGED | FLAG_DELETED, 0, "cur/x:2,FSTab" },
		{ "cur/x:2,baS", 0, FLAG_SEEN, "cur/x:2,ab" },
		{ "cur/x:2,SXz", FLAG_ANSWERED, FLAG_SEEN, "cur/x:2,RXz" },
		{ "cur/x:2,S,W=5:2,S", FLAG_FLAGGED, FLAG_SEEN, "cur/x:2,F,W=5:2,S" },
		{ "cur/x:1,old", FLAG_SEEN, 0, "cur/x:2,S" },
		{ "cur/x,S=12,U=3:2,", FLAG_SEEN, 0, "cur/x,S=12,U=3:2,S" },
		{ "cur/x:2,\xc3\xa9", FLAG_SEEN, 0, "cur/x:2,S\xa9\xc3" },
	};
	size_t counts[2];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char path[BOX_PATH], key[64];
		struct rig r;

		rig_start(&r);
		rig_open(&r);
		put_file(&r, rows[i].from, "x\n");
		snprintf(key, sizeof(key), "%.*s", (int)strcspn(rows[i].from + 4, ":"), rows[i].from + 4);
		assert_int_equal(change(&r, key, 0, rows[i].add, rows[i].del, counts), 0);
		assert_int_equal(counts[0], 1);
		snprintf(path, sizeof(path), "%s", rows[i].to);
		if (!is_there(&r, path))
			fail_msg("%s is not there, made of %s", path, rows[i].from);
		assert_int_equal(count(&r, "cur") + count(&r, "new"), 1);
		rig_stop(&r);
	}
}

/* Renames first, then one sync of each directory, then it is told. */
static void flags_on_disk(void **state)
{
	struct flag_change c[4];
	size_t counts[2] = { 0, 0 };
	struct store_msg m;
	char name[300];
	struct rig r;

	(void)state;
	rig_start(&r);
	rig_open(&r);
	for (size_t i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "%s/%zu.x", i < 2 ? "new" : "cur", i);
		put_file(&r, name, "x\n");
		assert_int_equal(r.s->ops->find(r.s, slice_str(name + 4), 0, &m, &r.e), 1);
		c[i] = (struct flag_change){ m.num, FLAG_SEEN, 0 };
	}
	sys.log[0] = '\0';
	assert_int_equal(r.s->ops->set_flags(r.s, c, 4, hear, counts, &r.e), 0);
	assert_string_equal(sys.log, "rrrrddoooo");
	sys.log[0] = '\0';
	assert_int_equal(r.s->ops->set_flags(r.s, c, 4, hear, counts, &r.e), 0); /* as they are */
	assert_string_equal(sys.log, "oooo");
	assert_int_equal(counts[0], 8);
	/* the sync fails: nothing is told as done */
	sys.err = EIO;
	sys.fail_dir = 0;
	assert_int_equal(change(&r, "0.x", FLAG_SEEN, FLAG_FLAGGED, 0, counts), -1);
	assert_int_equal(counts[0] + counts[1], 0);
	assert_non_null(strstr(r.e.text, r.path));
	sys.fail_dir = -1;
	/* a rename that fails: for this one, or for all */
	sys.err = EACCES;
	sys.fail_rename = 0;
	assert_int_equal(change(&r, "1.x", FLAG_SEEN, FLAG_FLAGGED, 0, counts), 0);
	assert_int_equal(counts[1], 1);
	sys.err = ENOSPC;
	sys.fail_rename = 0;
	assert_int_equal(change(&r, "1.x", FLAG_SEEN, FLAG_FLAGGED, 0, counts), -1);
	assert_int_equal(r.e.kind, ERR_LOCAL);
	assert_int_equal(r.e.span, SPAN_BOX);
	assert_non_null(strstr(r.e.text, strerror(ENOSPC)));
	assert_non_null(strstr(r.e.text, "1.x"));
	sys.fail_rename = -1;
	/* another file has the name */
	put_file(&r, "cur/1.x:2,FS", "theirs\n");
	put_file(&r, "cur/9.y:2,FS", "y\n");
	assert_int_equal(change(&r, "1.x", FLAG_SEEN, FLAG_FLAGGED, 0, counts), 0);
	assert_int_equal(counts[1], 1);
	assert_true(is_there(&r, "cur/1.x:2,S") && is_there(&r, "cur/1.x:2,FS"));
	/* no room in the name */
	memset(name, 'n', sizeof(name));
	memcpy(name, "cur/", 4);
	name[4 + 255] = '\0';
	put_file(&r, name, "x\n");
	assert_int_equal(change(&r, name + 4, 0, FLAG_FLAGGED, 0, counts), 0);
	assert_int_equal(counts[1], 1);
	rig_stop(&r);
}

/* Two files of one unique name: one is the message, always the same. */
static void twins(void **state)
{
	struct base b = { .n = 0 };
	size_t counts[2] = { 0, 0 };
	char a[2 * BOX_PATH], c[2 * BOX_PATH];
	struct store_msg m;
	struct rig r;

	(void)state;
	rig_look(&r);
	put_file(&r, "Box/cur/2.b:2,RS", "another b\n"); /* made later: the higher inode, as a rule */
	{
		struct stat one, two;
		bool first;

		join(a, sizeof(a), r.path, "Box/cur/2.b:2,", "");
		join(c, sizeof(c), r.path, "Box/cur/2.b:2,RS", "");
		assert_int_equal(stat(a, &one), 0);
		assert_int_equal(stat(c, &two), 0);
		first = one.st_ino < two.st_ino;
		see(&r, &b, first ? "1.a: 2.b: 3.c:FS " : "1.a: 2.b:RS 3.c:FS ");
		move_file(&r, first ? "Box/cur/2.b:2," : "Box/cur/2.b:2,RS", "Box/cur/2.b:2,T");
		see(&r, &b, "1.a: 2.b:T 3.c:FS ");
		move_file(&r, "Box/cur/2.b:2,T", "Box/new/2.b");
		see(&r, &b, "1.a: 2.b: 3.c:FS ");
	}
	/* neither is removed: one of them has not been anywhere else */
	assert_int_equal(r.s->ops->open_box(r.s, "Box", BOX_WRITE, &r.info, &r.e), 0);
	assert_int_equal(r.s->ops->find(r.s, slice_str("2.b"), 0, &m, &r.e), 1);
	assert_int_equal(r.s->ops->remove(r.s, &m.num, 1, hear, counts, &r.e), 0);
	assert_int_equal(r.s->ops->commit(r.s, &r.e), 0);
	assert_int_equal(counts[1], 1);
	see(&r, &b, "1.a: 2.b: 3.c:FS ");
	assert_int_equal(dir_count(sys.cur), 2);
	rig_stop(&r);

	/* one file under two names is one message, whose flags can be changed, and which can be removed */
	for (int removed = 0; removed < 2; removed++) {
		rig_look(&r);
		join(a, sizeof(a), r.path, "Box/cur/3.c:2,FS", "");
		join(c, sizeof(c), r.path, removed ? "Box/new/3.c" : "Box/cur/3.c:2,", "");
		assert_int_equal(link(a, c), 0);
		see(&r, &b, "1.a: 2.b: 3.c:FS ");
		assert_int_equal(r.s->ops->open_box(r.s, "Box", BOX_WRITE, &r.info, &r.e), 0);
		if (removed) {
			assert_int_equal(r.s->ops->find(r.s, slice_str("3.c"), FLAG_SEEN | FLAG_FLAGGED, &m, &r.e), 1);
			assert_int_equal(r.s->ops->remove(r.s, &m.num, 1, hear, counts, &r.e), 0);
			assert_int_equal(r.s->ops->commit(r.s, &r.e), 0);
			see(&r, &b, "1.a: 2.b: ");
		} else {
			assert_int_equal(change(&r, "3.c", FLAG_SEEN | FLAG_FLAGGED, 0, FLAG_SEEN | FLAG_FLAGGED, counts), 0);
			assert_int_equal(counts[0], 1);
			see(&r, &b, "1.a: 2.b: 3.c: ");
			assert_int_equal(dir_count(sys.cur), 2);
		}
		rig_stop(&r);
	}
}

/* Of a folder with a stamp each key is one file: as long as it is unchanged, what is removed is not looked for in its directories. Where keys are not, there is no stamp. */
static void removes_without_reading(void **state)
{
	struct base b = { .n = 0 };
	size_t counts[2] = { 0, 0 };
	struct store_msg m;
	struct rig r;
	char a[2 * BOX_PATH], c[2 * BOX_PATH];

	(void)state;
	for (int how = 0; how < 5; how++) { /* 3, 4: what the look has shown is of no moment any more, or nobody says that it is */
		rig_look(&r);
		if (how == 1)
			put_file(&r, "Box/new/2.b", "another b\n");
		join(a, sizeof(a), r.path, "Box/cur/2.b:2,", "");
		join(c, sizeof(c), r.path, "Box/new/2.b", "");
		if (how == 2)
			assert_int_equal(link(a, c), 0);
		fs_clock_moves(r.dir);
		b.n = 0;
		b.stamp[0] = '\0';
		see(&r, &b, "1.a: 2.b: 3.c:FS ");
		assert_int_equal(r.info.stamp[0] != '\0', how == 0 || how >= 3);
		if (r.info.stamp[0] == '\0') { /* nobody says that it is unchanged then */
			rig_stop(&r);
			continue;
		}
		if (how == 3)
			put_file(&r, "Box/cur/4.d:2,", "d\n");
		assert_int_equal(r.s->ops->open_box(r.s, "Box", how >= 3 ? BOX_WRITE : BOX_WRITE | BOX_UNCHANGED, &r.info, &r.e), 0);
		assert_int_equal(r.s->ops->find(r.s, slice_str("2.b"), 0, &m, &r.e), 1);
		sys.shown = 0;
		assert_int_equal(r.s->ops->remove(r.s, &m.num, 1, hear, counts, &r.e), 0);
		assert_int_equal(sys.shown > 0, how == 3);
		assert_int_equal(r.s->ops->commit(r.s, &r.e), 0);
		/* somebody renames it at the same moment */
		assert_int_equal(r.s->ops->open_box(r.s, "Box", BOX_WRITE | BOX_UNCHANGED, &r.info, &r.e), 0);
		assert_int_equal(r.s->ops->find(r.s, slice_str("3.c"), FLAG_SEEN | FLAG_FLAGGED, &m, &r.e), 1);
		move_file(&r, "Box/cur/3.c:2,FS", "Box/cur/3.c:2,T");
		assert_int_equal(r.s->ops->remove(r.s, &m.num, 1, hear, counts, &r.e), 0);
		assert_int_equal(r.s->ops->commit(r.s, &r.e), 0);
		assert_int_equal(dir_count(sys.cur), how == 3);
		rig_stop(&r);
	}
	assert_int_equal(counts[1], 0);
}

/* What a look has read is not read again as long as nothing has changed, for whatever the folder is opened, or looked at once more. Guesses are no knowledge. */
static void reads_once(void **state)
{
	struct base b = { .n = 0 };
	struct store_msg m;
	struct rig r;
	char got[1024];

	(void)state;
	rig_look(&r);
	put_file(&r, "Box/new/2.b", "b\n");
	put_file(&r, "Box/cur/2.b:2,", NULL);
	fs_clock_moves(r.dir);
	see(&r, &b, "1.a: 2.b: 3.c:FS ");
	sys.shown = 0;
	for (int round = 0; round < 2; round++) {
		b.stamp[0] = '\0';
		see(&r, &b, "1.a: 2.b: 3.c:FS ");
		assert_true(b.stamp[0] != '\0');
		assert_int_equal(r.s->ops->open_box(r.s, "Box", round ? BOX_READ | BOX_SIZES : BOX_READ, &r.info, &r.e), 0);
		assert_int_equal(r.info.messages, round ? 3 : 0);
		r.s->will_read = true;
		assert_int_equal(r.s->ops->find(r.s, slice_str("2.b"), FLAG_FLAGGED, &m, &r.e), 1);
		r.s->will_read = false;
		assert_int_equal(m.flags, 0); /* as it is, not as it was guessed */
		r.s->ops->close_box(r.s);
	}
	assert_int_equal(sys.shown, 0);
	/* one that is not there, though it was found */
	assert_int_equal(r.s->ops->open_box(r.s, "Box", BOX_READ, &r.info, &r.e), 0);
	r.s->will_read = true;
	assert_int_equal(r.s->ops->find(r.s, slice_str("9.z"), 0, &m, &r.e), 1);
	r.s->will_read = false;
	r.s->ops->close_box(r.s);
	b.stamp[0] = '\0';
	see(&r, &b, "1.a: 2.b: 3.c:FS ");
	/* another folder, and this one when it has changed */
	make_dir(&r, "Other/cur");
	make_dir(&r, "Other/new");
	put_file(&r, "Other/cur/5.e:2,S", "e\n");
	assert_int_equal(look_at(&r, "Other", &b, got), 0);
	assert_string_equal(got, "5.e:S ");
	b.stamp[0] = '\0';
	see(&r, &b, "1.a: 2.b: 3.c:FS ");
	move_file(&r, "Box/new/2.b", "Box/cur/2.b:2,S");
	assert_int_equal(r.s->ops->open_box(r.s, "Box", BOX_READ, &r.info, &r.e), 0);
	assert_int_equal(r.s->ops->find(r.s, slice_str("2.b"), FLAG_SEEN, &m, &r.e), 1);
	assert_int_equal(m.flags, FLAG_SEEN);
	r.s->ops->close_box(r.s);
	see(&r, &b, "1.a: 2.b:S 3.c:FS ");
	rig_stop(&r);
}

/* A message's date is its file's; while it is in tmp/, others see that it is not old. */
static void dates(void **state)
{
	static const int64_t all[] = { 1, 86400, 1000000000, 4102444800, -5 };
	struct staged st;
	struct rig r;

	(void)state;
	for (size_t i = 0; i < COUNT(all); i++) {
		const struct store_meta meta = { .received = NOW, .date = all[i] };
		struct stream *body = memstream_new("x\r\n\ny\r\n", 7, 1, NULL);
		char path[2 * BOX_PATH];
		struct store_msg m;
		struct stat sb;

		rig_start(&r);
		rig_open(&r);
		assert_int_equal(r.s->ops->stage(r.s, body, &meta, &st, &r.e), 0);
		stream_free(body);
		join(path, sizeof(path), r.path, "tmp", st.key);
		assert_int_equal(stat(path, &sb), nameless ? -1 : 0);
		if (!nameless) {
			assert_int_equal(sb.st_mtim.tv_sec, all[i]);
			assert_true(sb.st_atim.tv_sec > NOW);
		}
		assert_int_equal(r.s->ops->harden(r.s, &st, 1, &r.e), 0);
		assert_int_equal(r.s->ops->publish(r.s, &st, 1, &r.e), 0);
		assert_int_equal(r.s->ops->find(r.s, slice_str(st.key), 0, &m, &r.e), 1);
		assert_int_equal(m.date, all[i]);
		assert_int_equal(m.size, 7);
		rig_stop(&r);
	}
}

static void arrives(void)
{
	put_file(moving, "Box/new/8.late", "late\n");
}

static void removes_folders(void **state)
{
	static const char *const refused[] = { "Box/tmp/9.x", "Box/cur/.dot", "Box/new/sub/x", "Box/cur/link" };
	struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	char path[2 * BOX_PATH];
	struct rig r;

	(void)state;
	/* with the notes of other programs, and what was never delivered */
	rig_look(&r);
	put_file(&r, "Box/dovecot-uidlist", "x");
	put_file(&r, "Box/dovecot.index.log", "x");
	put_file(&r, "Box/.mbsyncstate", "x");
	put_file(&r, "Box/tmp/9.x", "x");
	join(path, sizeof(path), r.path, "Box/tmp/9.x", "");
	assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
	assert_int_equal(r.s->ops->folder_remove(r.s, "Box", 3, &r.e), 0);
	assert_false(is_there(&r, "Box"));
	assert_int_equal(r.s->ops->folder_remove(r.s, "Box", 3, &r.e), 0); /* it is gone */
	rig_stop(&r);
	/* others' files stay, and so does the directory; it is no folder any more */
	rig_look(&r);
	put_file(&r, "Box/notes.txt", "precious");
	make_dir(&r, "Box/Sub/cur");
	assert_int_equal(r.s->ops->folder_remove(r.s, "Box", 3, &r.e), 0);
	assert_true(is_there(&r, "Box/notes.txt") && is_there(&r, "Box/Sub/cur") && !is_there(&r, "Box/cur") && !is_there(&r, "Box/tmp"));
	assert_int_equal(see_tree(&r).n, 1);
	rig_stop(&r);
	/* more than is known: nothing is touched */
	for (size_t i = 0; i < COUNT(refused); i++) {
		rig_look(&r);
		if (i == 2)
			make_dir(&r, refused[i]);
		else if (i == 3)
			link_to(&r, "2.b:2,", refused[i]);
		else
			put_file(&r, refused[i], "x");
		assert_int_equal(r.s->ops->folder_remove(r.s, "Box", 100, &r.e), -1);
		assert_int_equal(r.e.kind, ERR_REFUSED);
		assert_int_equal(r.e.span, SPAN_BOX);
		assert_true(is_there(&r, refused[i]) && is_there(&r, "Box/new/1.a") && is_there(&r, "Box/cur/2.b:2,"));
		rig_stop(&r);
	}
	/* a message comes when all have been counted */
	rig_look(&r);
	moving = &r;
	sys.happen = arrives;
	sys.moment = "3.c:2,FS";
	assert_int_equal(r.s->ops->folder_remove(r.s, "Box", 3, &r.e), -1);
	assert_int_equal(r.e.kind, ERR_REFUSED);
	assert_null(sys.moment);
	assert_true(is_there(&r, "Box/new/8.late") && is_there(&r, "Box/tmp") && is_there(&r, "Box/cur"));
	rig_stop(&r);
}

/* What a delivery of ours had in tmp/ when its process died keeps no folder; what is of a process that lives, or of another host, does. */
static void removes_what_the_dead_left(void **state)
{
	static const struct {
		bool parent;
		const char *counter, *more;
	} living[] = { { true, "3.", "" }, { false, "3.", ".other" }, { false, "3x.", "" }, { false, "", "" } };
	char name[4096], path[2 * BOX_PATH];
	const char *host;
	struct rig r;
	int status, out[2];
	pid_t pid;

	(void)state;
	rig_look(&r);
	assert_int_equal(pipe(out), 0);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		struct staged st;
		struct store *s = maildir_new(&r.params, &r.e);

		if (!s || s->ops->open_box(s, "Box", BOX_WRITE, &r.info, &r.e) < 0)
			_exit(1);
		store_free(r.s);
		r.s = s;
		if (stage_flags(&r, "x\r\n", 0, &st) < 0 || s->ops->harden(s, &st, 1, &r.e) < 0)
			_exit(2);
		_exit(write(out[1], st.key, strlen(st.key) + 1) < 0 ? 3 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_true(read(out[0], name, sizeof(name)) > 0);
	close(out[0]);
	close(out[1]);
	join(path, sizeof(path), r.path, "Box/tmp", name);
	assert_int_equal(access(path, F_OK), 0);
	host = strchr(strchr(name, 'Q'), '.') + 1;
	for (size_t i = 0; i < COUNT(living); i++) {
		char file[8192];

		snprintf(file, sizeof(file), "Box/tmp/1.M2P%ldQ%s%s%s", living[i].parent ? (long)getppid() : (long)pid, living[i].counter, host, living[i].more);
		put_file(&r, file, "x");
		assert_int_equal(r.s->ops->folder_remove(r.s, "Box", 3, &r.e), -1);
		assert_int_equal(r.e.kind, ERR_REFUSED);
		join(path, sizeof(path), r.path, file, "");
		assert_int_equal(unlink(path), 0);
	}
	r.e = (struct err)ERR_INIT;
	assert_int_equal(r.s->ops->folder_remove(r.s, "Box", 3, &r.e), 0);
	assert_false(is_there(&r, "Box"));
	rig_stop(&r);
}

static void trash_names(void **state)
{
	struct base b = { .n = 0 };
	size_t counts[2] = { 0, 0 };
	char got[1024];
	struct store_msg m;
	struct rig r;

	(void)state;
	rig_look(&r);
	r.s->trash = "Trash";
	make_dir(&r, "Trash/cur");
	put_file(&r, "Trash/cur/3.c:2,FS", "another c\n");
	assert_int_equal(r.s->ops->open_box(r.s, "Box", BOX_WRITE, &r.info, &r.e), 0);
	assert_int_equal(r.s->ops->find(r.s, slice_str("3.c"), FLAG_SEEN | FLAG_FLAGGED, &m, &r.e), 1);
	sys.log[0] = '\0';
	assert_int_equal(r.s->ops->remove(r.s, &m.num, 1, hear, counts, &r.e), 0);
	assert_int_equal(r.s->ops->commit(r.s, &r.e), 0);
	assert_string_equal(sys.log + strlen(sys.log) - 3, "odd");
	see(&r, &b, "1.a: 2.b: ");
	assert_int_equal(look_at(&r, "Trash", &b, got), 0);
	assert_int_equal(r.info.messages, 2);
	assert_non_null(strstr(got, "3.c:FS "));
	rig_stop(&r);
}

/* What move told: " KEY" in the order it was told, " -" no key, " !" refused. */
struct carried {
	char told[1024];
	struct err why; /* of the last that was refused */
};

static void hear_moved(void *arg, uint64_t num, struct slice key, const struct err *why)
{
	struct carried *c = arg;
	size_t n = strlen(c->told);

	(void)num;
	note(why ? 'x' : 'o');
	if (why) {
		assert_int_equal(why->span, SPAN_MSG);
		assert_int_equal(key.n, 0);
		c->why = *why;
	}
	snprintf(c->told + n, sizeof(c->told) - n, " %.*s", why || key.n == 0 ? 1 : (int)key.n, why ? "!" : key.n == 0 ? "-" : key.p);
}

/* "Box", of which the messages of these keys are found, and another folder, "To". */
static void rig_move(struct rig *r, const char *const *keys, size_t n, uint64_t *nums)
{
	struct store_msg m;

	rig_look(r);
	make_dir(r, "To/cur");
	make_dir(r, "To/new");
	assert_int_equal(r->s->ops->open_box(r->s, "Box", BOX_WRITE, &r->info, &r->e), 0);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(r->s->ops->find(r->s, slice_str(keys[i]), keys[i][0] == '3' ? FLAG_SEEN | FLAG_FLAGGED : 0, &m, &r->e), 1);
		nums[i] = m.num;
	}
	sys.log[0] = sys.synced[0] = '\0';
	moving = r;
}

/* Move them; as many descriptors are open then as before the box was opened, and no box is. */
static int carry(struct rig *r, const uint64_t *nums, size_t n, struct carried *c)
{
	struct carried none = { .told = "" };
	struct err e = ERR_INIT;
	int rc;

	*c = none;
	rc = r->s->ops->move(r->s, nums, n, "To", NULL, hear_moved, c, &r->e);
	assert_int_equal(r->s->ops->move(r->s, nums, n, "To", NULL, hear_moved, &none, &e), -1);
	assert_int_equal(e.kind, ERR_BUG);
	assert_string_equal(none.told, "");
	return rc;
}

static const char *const all_three[] = { "1.a", "2.b", "3.c" };

static void all_go(void)
{
	put_file(moving, "Box/cur/3.c:2,FS", NULL);
}

/* What can't be moved stays where it is, and is told so; what is gone has no key there. */
static void moves_fail(void **state)
{
	static const int one[] = { EACCES, EPERM, EXDEV, EBUSY }, all[] = { ENOSPC, EIO, EROFS, EDQUOT };
	struct carried c;
	uint64_t nums[3];
	struct rig r;

	(void)state;
	for (size_t i = 0; i < COUNT(one); i++) {
		rig_move(&r, all_three, 3, nums);
		sys.fail_rename = 1;
		sys.err = one[i];
		assert_int_equal(carry(&r, nums, 2, &c), 0);
		assert_string_equal(c.told, " ! 1.a");
		assert_string_equal(sys.log, "rrxddo");
		assert_non_null(strstr(c.why.text, "can't move"));
		assert_non_null(strstr(c.why.text, "2.b"));
		assert_non_null(strstr(c.why.text, strerror(one[i])));
		assert_true(is_there(&r, "Box/cur/2.b:2,") && is_there(&r, "To/new/1.a"));
		rig_stop(&r);
	}
	for (size_t i = 0; i < COUNT(all); i++) {
		rig_move(&r, all_three, 3, nums);
		sys.fail_rename = 1;
		sys.err = all[i];
		assert_int_equal(carry(&r, nums, 3, &c), -1);
		assert_string_equal(c.told, "");
		assert_int_equal(r.e.span, SPAN_BOX);
		assert_non_null(strstr(r.e.text, strerror(all[i])));
		assert_true(is_there(&r, "To/new/1.a") && is_there(&r, "Box/cur/2.b:2,") && is_there(&r, "Box/cur/3.c:2,FS"));
		rig_stop(&r);
	}
	/* removed by somebody at the last moment, or before */
	rig_move(&r, all_three, 3, nums);
	put_file(&r, "Box/cur/2.b:2,", NULL);
	sys.at_rename = all_go;
	assert_int_equal(carry(&r, nums + 1, 2, &c), 0);
	assert_string_equal(c.told, " - -");
	rig_stop(&r);
}

/* The part of what was told from the n-th key on. */
static const char *told_key(const struct carried *c, size_t n)
{
	static char key[300];
	const char *p = c->told;

	for (; n > 0 && p; n--)
		p = strchr(p + 1, ' ');
	assert_non_null(p);
	snprintf(key, sizeof(key), "%.*s", (int)strcspn(p + 1, " "), p + 1);
	return key;
}

/* Whether a file is there and holds this. */
static bool holds(struct rig *r, const char *path, const char *text)
{
	struct strbuf b = STRBUF_INIT(1000);
	char whole[2 * BOX_PATH];
	bool same;

	join(whole, sizeof(whole), r->path, path, "");
	same = file_read(whole, &b) && strcmp(strbuf_str(&b), text) == 0;
	strbuf_release(&b);
	return same;
}

static void same_comes(void)
{
	put_file(moving, "To/cur/2.b:2,", "theirs\n");
}

/* A UID of another program means another message elsewhere; without it two names may be one, and must not be. */
static void moves_without_uids(void **state)
{
	static const char *const names[] = { "Box/cur/4.d,U=9,S=2:2,S", "Box/cur/4.d,U=10,S=2:2,", "Box/new/5.e,U=3,FMD5=00" };
	static const char *const keys[] = { "4.d,U=9,S=2", "4.d,U=10,S=2", "5.e,U=3,FMD5=00" };
	struct carried c;
	uint64_t nums[COUNT(keys)];
	struct store_msg m;
	struct rig r;

	(void)state;
	rig_move(&r, all_three, 0, nums);
	for (size_t i = 0; i < COUNT(keys); i++) {
		put_file(&r, names[i], "d\n");
		assert_int_equal(r.s->ops->find(r.s, slice_str(keys[i]), i == 0 ? FLAG_SEEN : 0, &m, &r.e), 1);
		nums[i] = m.num;
	}
	assert_int_equal(carry(&r, nums, COUNT(keys), &c), 0);
	assert_string_equal(told_key(&c, 0), "4.d,S=2");
	assert_string_not_equal(told_key(&c, 1), "4.d,S=2");
	assert_null(strstr(told_key(&c, 1), "U="));
	assert_string_equal(told_key(&c, 2), "5.e");
	assert_true(is_there(&r, "To/cur/4.d,S=2:2,S") && is_there(&r, "To/new/5.e"));
	rig_stop(&r);
}

/* In some Maildirs names are numbers, which mean others elsewhere: what is there has its name alone, whatever its flags, and stays as it is. */
static void moves_to_taken_names(void **state)
{
	static const char *const taken[] = { "To/new/1.a", "To/cur/1.a:2,S", "To/cur/1.a", "To/cur/3.c:2,FS", "To/cur/3.c:2,", "To/new/3.c" };
	struct carried c;
	uint64_t nums[3];
	struct rig r;

	(void)state;
	for (size_t i = 0; i < COUNT(taken); i++) {
		struct base b = { .n = 0 };
		size_t which = taken[i][7] == '1' ? 0 : 2;
		char got[1024], path[BOX_PATH];

		rig_move(&r, all_three, 3, nums);
		put_file(&r, taken[i], "theirs\n");
		assert_int_equal(carry(&r, nums, 3, &c), 0);
		for (size_t k = 0; k < 3; k++) {
			if (k == which)
				assert_string_not_equal(told_key(&c, k), all_three[k]);
			else
				assert_string_equal(told_key(&c, k), all_three[k]);
		}
		assert_true(holds(&r, taken[i], "theirs\n"));
		snprintf(path, sizeof(path), which ? "To/cur/%s:2,FS" : "To/new/%s", told_key(&c, which));
		assert_true(holds(&r, path, which ? "c\n" : "a\n"));
		assert_int_equal(look_at(&r, "To", &b, got), 0);
		assert_int_equal(r.info.messages, 4);
		assert_int_equal(look_at(&r, "Box", &b, got), 0);
		assert_int_equal(r.info.messages, 0);
		rig_stop(&r);
	}
	/* somebody is faster: once, or always */
	rig_move(&r, all_three, 3, nums);
	sys.at_rename = same_comes;
	assert_int_equal(carry(&r, nums + 1, 1, &c), 0);
	assert_string_not_equal(told_key(&c, 0), "2.b");
	assert_true(holds(&r, "To/cur/2.b:2,", "theirs\n"));
	{
		char path[BOX_PATH];

		snprintf(path, sizeof(path), "To/cur/%s:2,", told_key(&c, 0));
		assert_true(holds(&r, path, "b\n"));
	}
	rig_stop(&r);
	rig_move(&r, all_three, 3, nums);
	snprintf(sys.occupy, sizeof(sys.occupy), "%s/To/cur", r.path);
	assert_int_equal(carry(&r, nums + 1, 1, &c), 0);
	assert_string_equal(c.told, " !");
	assert_true(holds(&r, "Box/cur/2.b:2,", "b\n"));
	rig_stop(&r);
}

/* Names, flags and times are kept, new/ stays new/; the new names are on disk before the old ones are gone from it, and then it is told. */
static void moves_on_disk(void **state)
{
	static const struct {
		size_t from, n;
		const char *told, *log, *synced;
	} rows[] = {
		{ 0, 3, " 1.a 2.b 3.c", "rrrddddooo", "To/cur To/new Box/cur Box/new " },
		{ 0, 1, " 1.a", "rddo", "To/new Box/new " },
		{ 1, 2, " 2.b 3.c", "rrddoo", "To/cur Box/cur " },
		{ 0, 0, "", "", "" },
	};
	static const struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 2000, .tv_nsec = 5 } };
	static const char *const names[] = { "new/1.a", "cur/2.b:2,", "cur/3.c:2,FS" };
	struct carried c;
	uint64_t nums[3];
	struct rig r;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char path[2 * BOX_PATH], to[2 * BOX_PATH];
		size_t held;

		rig_move(&r, all_three, 3, nums);
		r.s->ops->close_box(r.s);
		held = descriptors();
		rig_stop(&r);
		rig_move(&r, all_three, 3, nums);
		for (size_t k = 0; k < 3; k++) {
			join(path, sizeof(path), r.path, "Box", names[k]);
			assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
		}
		assert_int_equal(carry(&r, nums + rows[i].from, rows[i].n, &c), 0);
		assert_string_equal(c.told, rows[i].told);
		assert_string_equal(sys.log, rows[i].log);
		assert_string_equal(sys.synced, rows[i].synced);
		assert_int_equal(descriptors(), held);
		for (size_t k = 0; k < 3; k++) {
			bool moved = k >= rows[i].from && k < rows[i].from + rows[i].n;
			struct stat st;

			join(path, sizeof(path), r.path, "Box", names[k]);
			join(to, sizeof(to), r.path, "To", names[k]);
			assert_int_equal(stat(moved ? to : path, &st), 0);
			assert_int_equal(st.st_mtim.tv_sec, 2000);
			assert_int_equal(st.st_mtim.tv_nsec, 5);
			assert_int_equal(access(moved ? path : to, F_OK), -1);
		}
		rig_stop(&r);
	}
	/* as long as a sync fails, nothing is told */
	for (int i = 0; i < 4; i++) {
		size_t held;

		rig_move(&r, all_three, 3, nums);
		r.s->ops->close_box(r.s);
		held = descriptors();
		rig_stop(&r);
		rig_move(&r, all_three, 3, nums);
		sys.err = EIO;
		sys.fail_dir = i;
		assert_int_equal(carry(&r, nums, 3, &c), -1);
		assert_string_equal(c.told, "");
		assert_int_equal(r.e.span, SPAN_BOX);
		assert_non_null(strstr(r.e.text, strerror(EIO)));
		assert_int_equal(descriptors(), held);
		rig_stop(&r);
	}
}

static void reader_flags(void)
{
	move_file(moving, "Box/cur/2.b:2,", "Box/cur/2.b:2,RS");
}

static void reader_sees(void)
{
	move_file(moving, "Box/new/1.a", "Box/cur/1.a:2,S");
}

/* What readers do meanwhile: the name that it has at last goes along. */
static void moves_while_others_work(void **state)
{
	struct carried c;
	uint64_t nums[3];
	struct rig r;

	(void)state;
	rig_move(&r, all_three, 3, nums);
	reader_flags();
	sys.at_rename = reader_sees;
	assert_int_equal(carry(&r, nums, 3, &c), 0);
	assert_string_equal(c.told, " 1.a 2.b 3.c");
	assert_string_equal(sys.synced, "To/cur Box/cur ");
	assert_true(holds(&r, "To/cur/1.a:2,S", "a\n") && holds(&r, "To/cur/2.b:2,RS", "b\n") && holds(&r, "To/cur/3.c:2,FS", "c\n"));
	rig_stop(&r);
	rig_move(&r, all_three, 3, nums);
	sys.at_rename = reader_flags;
	assert_int_equal(carry(&r, nums + 1, 1, &c), 0);
	assert_string_equal(c.told, " 2.b");
	assert_true(holds(&r, "To/cur/2.b:2,RS", "b\n"));
	rig_stop(&r);
}

/* Two files of one name stay; one file under two names goes, and leaves none behind. */
static void moves_twins(void **state)
{
	struct carried c;
	uint64_t nums[3];
	char a[2 * BOX_PATH], b[2 * BOX_PATH];
	struct rig r;

	(void)state;
	rig_move(&r, all_three, 3, nums);
	put_file(&r, "Box/new/2.b", "another\n");
	assert_int_equal(carry(&r, nums, 3, &c), 0);
	assert_string_equal(c.told, " ! 1.a 3.c");
	assert_non_null(strstr(c.why.text, "two files are called 2.b, and neither is moved"));
	assert_true(holds(&r, "Box/new/2.b", "another\n") && holds(&r, "Box/cur/2.b:2,", "b\n"));
	rig_stop(&r);
	for (int two = 0; two < 2; two++) {
		rig_move(&r, all_three, 3, nums);
		join(a, sizeof(a), r.path, "Box/cur/3.c:2,FS", "");
		join(b, sizeof(b), r.path, "Box/new/3.c", "");
		assert_int_equal(link(a, b), 0);
		if (two) {
			join(b, sizeof(b), r.path, "Box/cur/3.c:2,S", "");
			assert_int_equal(link(a, b), 0);
		}
		assert_int_equal(carry(&r, nums + 2, 1, &c), 0);
		assert_string_equal(c.told, " 3.c");
		assert_string_equal(sys.synced, "To/cur To/new Box/cur Box/new ");
		assert_false(is_there(&r, "Box/cur/3.c:2,FS") || is_there(&r, "Box/new/3.c") || is_there(&r, "Box/cur/3.c:2,S"));
		assert_int_equal(is_there(&r, "To/cur/3.c:2,FS") + is_there(&r, "To/new/3.c") + is_there(&r, "To/cur/3.c:2,S"), 1);
		assert_true(is_there(&r, "Box/new/1.a") && is_there(&r, "Box/cur/2.b:2,"));
		rig_stop(&r);
	}
}

static void other_takes_link(void)
{
	put_file(moving, "Box/other", "another\n");
	move_file(moving, "Box/other", "Box/new/3.c");
}

static void target_goes(void)
{
	char path[2 * BOX_PATH];

	join(path, sizeof(path), moving->path, "To/cur", "");
	assert_int_equal(rmdir(path), 0);
}

/* What somebody puts in the place of its second name is not the message. */
static void moves_one_of_two(void **state)
{
	struct carried c;
	uint64_t nums[3];
	char a[2 * BOX_PATH], b[2 * BOX_PATH];
	struct rig r;

	(void)state;
	rig_move(&r, all_three, 3, nums);
	join(a, sizeof(a), r.path, "Box/cur/3.c:2,FS", "");
	join(b, sizeof(b), r.path, "Box/new/3.c", "");
	assert_int_equal(link(a, b), 0);
	sys.at_rename = other_takes_link;
	assert_int_equal(carry(&r, nums + 2, 1, &c), 0);
	assert_string_equal(c.told, " 3.c");
	assert_true(holds(&r, "To/cur/3.c:2,FS", "c\n") && holds(&r, "Box/new/3.c", "another\n"));
	rig_stop(&r);
}

/* Where there is no folder, or none any more, all stays where it was. */
static void moves_nowhere(void **state)
{
	static const char *const gone[] = { "To/cur", "To" };
	struct carried c;
	uint64_t nums[3];
	char path[2 * BOX_PATH];
	struct rig r;

	(void)state;
	for (size_t i = 0; i < COUNT(gone); i++) {
		rig_move(&r, all_three, 3, nums);
		move_file(&r, gone[i], "elsewhere");
		assert_int_equal(carry(&r, nums, 3, &c), -1);
		assert_string_equal(c.told, "");
		assert_int_equal(r.e.span, SPAN_BOX);
		assert_true(is_there(&r, "Box/new/1.a") && is_there(&r, "Box/cur/2.b:2,"));
		rig_stop(&r);
	}
	/* what is missing of it is made */
	rig_move(&r, all_three, 3, nums);
	join(path, sizeof(path), r.path, "To/new", "");
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(carry(&r, nums, 1, &c), 0);
	assert_string_equal(c.told, " 1.a");
	assert_true(is_there(&r, "To/new/1.a"));
	rig_stop(&r);
	/* removed at the last moment */
	rig_move(&r, all_three, 3, nums);
	sys.at_rename = target_goes;
	assert_int_equal(carry(&r, nums + 1, 1, &c), 0);
	assert_string_equal(c.told, " !");
	assert_true(holds(&r, "Box/cur/2.b:2,", "b\n"));
	rig_stop(&r);
}

/*
 * A folder has its new name on disk before it is without its old one there, and both are so before the store says that it is done: who believed it too early would take
 * the old name for a new one when the power had failed.
 */
static void renames_on_disk(void **state)
{
	static const struct {
		const char *from, *to, *log, *synced;
		int syncs;
	} rows[] = {
		{ "Old/Box", "New/Box", "rdd", "box/New box/Old ", 2 },
		{ "Old/Box", "Old/Lists", "rdd", "box/Old box/Old ", 2 },
		{ "Old/Box", "New/a/b/Box", "ddrdd", "box/New New/a a/b box/Old ", 4 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		/* as long as one of the syncs fails, it is not done */
		for (int fail = 0; fail <= rows[i].syncs; fail++) {
			bool good = fail == rows[i].syncs;
			char path[BOX_PATH];
			struct rig r;
			size_t held;

			rig_tree(&r, MAILDIR_NESTED);
			make_dir(&r, "Old/Box/cur");
			make_dir(&r, "New/cur");
			put_file(&r, "Old/Box/cur/1.a:2,S", "a\n");
			held = descriptors();
			sys.err = EIO;
			sys.fail_dir = good ? -1 : fail;
			assert_int_equal(r.s->ops->folder_rename(r.s, rows[i].from, rows[i].to, &r.e), good ? 0 : -1);
			assert_int_equal(descriptors(), held);
			if (good) {
				assert_string_equal(sys.log + strspn(sys.log, "e"), rows[i].log);
				assert_string_equal(sys.synced, rows[i].synced);
				join(path, sizeof(path), rows[i].to, "cur/1.a:2,S", "");
				assert_true(is_there(&r, path) && !is_there(&r, rows[i].from));
			} else {
				assert_int_equal(r.e.span, SPAN_BOX);
				assert_non_null(strstr(r.e.text, strerror(EIO)));
			}
			rig_stop(&r);
		}
	}
}

/* What a Maildir may lack. */
static void lacks_directories(void **state)
{
	struct base b = { .n = 0 };
	struct rig r;

	(void)state;
	rig_tree(&r, MAILDIR_NESTED);
	make_dir(&r, "Box/cur");
	put_file(&r, "Box/cur/1.a:2,S", "a\n");
	fs_clock_moves(r.dir);
	see(&r, &b, "1.a:S ");
	see(&r, &b, "same");
	assert_int_equal(r.s->ops->open_box(r.s, "Box", BOX_WRITE, &r.info, &r.e), 0);
	assert_true(is_there(&r, "Box/new") && is_there(&r, "Box/tmp"));
	rig_stop(&r);
}

/* As many names as a person's mail has: read in no time, in little memory, each once. */
static void huge(void **state)
{
	const unsigned n = 100000;
	struct rusage before, after;
	const struct look l = { .folder = "Box", .stamp = "" };
	struct store_msg m;
	msec_t begun;
	struct rig r;
	size_t i, seen = 0;

	(void)state;
	rig_look(&r);
	assert_int_equal(getrusage(RUSAGE_SELF, &before), 0);
	begun = clock_now();
	sys.invent = n;
	assert_int_equal(r.s->ops->look(r.s, &l, 1, BOX_READ, &r.e), 0);
	assert_int_equal(r.s->ops->look_box(r.s, &i, &r.info, &r.e), 1);
	assert_int_equal(r.info.messages, n + 3);
	while (r.s->ops->look_next(r.s, &m, &r.e) > 0)
		seen++;
	assert_int_equal(seen, n + 3);
	assert_int_equal(getrusage(RUSAGE_SELF, &after), 0);
	print_message("# %u names: %lld ms, %ld KiB\n", n, (long long)(clock_now() - begun), after.ru_maxrss - before.ru_maxrss);
	assert_true(after.ru_maxrss - before.ru_maxrss < 65536);
	assert_true(clock_now() - begun < 10000); /* nothing in it grows with the square */
	rig_stop(&r);
}

/* Where we may not write, nor read. Root may. */
static void no_permission(void **state)
{
	struct base b = { .n = 0 };
	struct stream *body;
	char path[2 * BOX_PATH];
	struct store_msg m;
	size_t counts[2], i;
	struct rig r;

	(void)state;
	if (geteuid() == 0)
		skip();
	rig_look(&r);
	join(path, sizeof(path), r.path, "Box/cur/3.c:2,FS", "");
	assert_int_equal(chmod(path, 0), 0);
	assert_int_equal(chmod(sys.cur, 0500), 0);
	warnings[0] = '\0';
	log_set_sink(to_warnings, NULL);
	see(&r, &b, "1.a: 2.b: 3.c:FS ");
	log_set_sink(NULL, NULL);
	assert_true(r.info.read_only);
	assert_non_null(strstr(warnings, "/Box can't be written"));
	assert_int_equal(r.s->ops->open_box(r.s, "Box", BOX_READ, &r.info, &r.e), 0);
	assert_true(r.info.read_only);
	assert_int_equal(change(&r, "2.b", 0, FLAG_SEEN, 0, counts), 0);
	assert_int_equal(counts[1], 1);
	assert_int_equal(r.s->ops->find(r.s, slice_str("3.c"), FLAG_SEEN | FLAG_FLAGGED, &m, &r.e), 1);
	assert_int_equal(r.s->ops->want(r.s, &m.num, 1, &r.e), 0);
	assert_int_equal(r.s->ops->next(r.s, &i, &body, &r.e), -1);
	assert_int_equal(r.e.span, SPAN_MSG);
	/* what can't be listed is not left out */
	assert_int_equal(chmod(sys.cur, 0700), 0);
	make_dir(&r, "Closed/Sub/cur");
	join(path, sizeof(path), r.path, "Closed", "");
	assert_int_equal(chmod(path, 0), 0);
	assert_int_equal(r.s->ops->folders(r.s, see_folder, &(struct tree_seen){ .n = 0 }, &r.e), -1);
	assert_non_null(strstr(r.e.text, "Closed"));
	assert_int_equal(chmod(path, 0700), 0);
	rig_stop(&r);
}

#define NAMELESS(test) cmocka_unit_test_setup_teardown(test, want_nameless, want_named)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(foreign_uids),
		cmocka_unit_test(layouts),
		cmocka_unit_test(foreign_paths),
		cmocka_unit_test(any_folder),
		cmocka_unit_test(long_folders),
		cmocka_unit_test(makes_folders),
		cmocka_unit_test(unique_names),
		cmocka_unit_test(flags_and_modes),
		cmocka_unit_test(order_on_disk),
		NAMELESS(order_on_disk),
		cmocka_unit_test(never_overwrites),
		NAMELESS(nameless_never_overwrites),
		cmocka_unit_test(planted_name),
		cmocka_unit_test(planted_directories),
		cmocka_unit_test(no_maildir),
		cmocka_unit_test(disk_full),
		NAMELESS(disk_full),
		cmocka_unit_test(sync_fails),
		NAMELESS(sync_fails),
		cmocka_unit_test(rename_fails),
		NAMELESS(link_sync_fails),
		NAMELESS(rename_fails),
		cmocka_unit_test(recovers),
		cmocka_unit_test(stale_tmp),
		cmocka_unit_test(few_descriptors),
		NAMELESS(few_descriptors),
		cmocka_unit_test(descriptors_return),
		NAMELESS(descriptors_return),
		cmocka_unit_test(none_left),
		NAMELESS(none_left),
		cmocka_unit_test(none_passed_over),
		NAMELESS(none_passed_over),
		NAMELESS(slow_syncfs),
		NAMELESS(early_writeback),
		NAMELESS(nameless_where_known),
		cmocka_unit_test(cancelled),
		NAMELESS(cancelled),
		cmocka_unit_test(tells_of_maildirs_that_are_no_folders),
		cmocka_unit_test(lists_nested),
		cmocka_unit_test(lists_plusplus_and_flat),
		cmocka_unit_test(missing_root),
		cmocka_unit_test(folders_move_meanwhile),
		cmocka_unit_test(stamps),
		cmocka_unit_test(renamed_while_read),
		cmocka_unit_test(never_loses_sight),
		cmocka_unit_test(moved_while_read),
		cmocka_unit_test(no_messages),
		cmocka_unit_test(flag_names),
		cmocka_unit_test(flags_on_disk),
		cmocka_unit_test(twins),
		cmocka_unit_test(removes_without_reading),
		cmocka_unit_test(reads_once),
		cmocka_unit_test(dates),
		NAMELESS(dates),
		cmocka_unit_test(removes_folders),
		cmocka_unit_test(removes_what_the_dead_left),
		cmocka_unit_test(trash_names),
		cmocka_unit_test(moves_on_disk),
		cmocka_unit_test(moves_fail),
		cmocka_unit_test(moves_to_taken_names),
		cmocka_unit_test(moves_without_uids),
		cmocka_unit_test(moves_while_others_work),
		cmocka_unit_test(moves_twins),
		cmocka_unit_test(moves_one_of_two),
		cmocka_unit_test(moves_nowhere),
		cmocka_unit_test(renames_on_disk),
		cmocka_unit_test(lacks_directories),
		cmocka_unit_test(huge),
		cmocka_unit_test(no_permission),
	};

	return cmocka_run_group_tests_name("store/maildir", tests, NULL, NULL);
}
