/* What is Maildir's own: names, layouts, the order of things on disk, and all that can stand in the way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "box.h"
#include "mail/flags.h"
#include "store/maildir.h"

#define NOW 1700000000

/* What the store asks of the system is written down, and fails on demand. */
static struct {
	char log[8192];      /* f fsync of a file, s syncfs, r rename, l link, d fsync of a directory */
	int fail_write, fail_sync, fail_rename, fail_dir; /* let so many pass, then fail with `err`; -1 never */
	int err;
	int rename_errno, link_errno; /* as on file systems that lack them; 0: real */
	char occupy[2 * BOX_PATH];    /* a directory: each name is taken there just before it is renamed to */
	char plant[BOX_PATH];         /* a symbolic link to this is planted at the next name that is made */
} sys;

static void note(char c)
{
	size_t n = strlen(sys.log);

	if (n + 1 < sizeof(sys.log)) {
		sys.log[n] = c;
		sys.log[n + 1] = '\0';
	}
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

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_syncfs(int fd);
int __real_renameat2(int from, const char *old, int to, const char *new, unsigned flags);
int __wrap_renameat2(int from, const char *old, int to, const char *new, unsigned flags);
int __real_linkat(int from, const char *old, int to, const char *new, int flags);
int __wrap_linkat(int from, const char *old, int to, const char *new, int flags);
ssize_t __real_write(int fd, const void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n);
int __real_openat(int dirfd, const char *name, int flags, mode_t mode);
int __wrap_openat(int dirfd, const char *name, int flags, mode_t mode);

int __wrap_fsync(int fd)
{
	struct stat st;
	bool dir = fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);

	note(dir ? 'd' : 'f');
	if (due(dir ? &sys.fail_dir : &sys.fail_sync))
		return -1;
	return 0; /* the disk is not what is tested */
}

int __wrap_syncfs(int fd)
{
	(void)fd;
	note('s');
	return due(&sys.fail_sync) ? -1 : 0;
}

int __wrap_renameat2(int from, const char *old, int to, const char *new, unsigned flags)
{
	note('r');
	if (sys.occupy[0]) {
		char path[3 * BOX_PATH];

		snprintf(path, sizeof(path), "%s/%s", sys.occupy, new);
		file_write(path, "theirs", 6);
	}
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
	if (sys.link_errno) {
		errno = sys.link_errno;
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
	return __real_openat(dirfd, name, flags, mode);
}

struct rig {
	char dir[BOX_PATH], path[BOX_PATH + 16];
	struct maildir_params params;
	struct store *s;
	struct box_info info;
	struct err e;
};

static void rig_start(struct rig *r)
{
	*r = (struct rig){ 0 };
	memset(&sys, 0, sizeof(sys));
	sys.fail_write = sys.fail_sync = sys.fail_rename = sys.fail_dir = -1;
	scratch_make(r->dir);
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
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
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
		{ "50%", "50%25", ".50%25", "50%25" },
		{ "%2E", "%252E", ".%252E", "%252E" },
		{ "a\nb\x7f", "a%0Ab%7F", ".a%0Ab%7F", "a%0Ab%7F" },
		{ "\xc2\x9bx", "%C2\x9bx", ".%C2\x9bx", "%C2\x9bx" },
		{ "Gr\xc3\xbc\xc3\x9f" "e/\xe6\x97\xa5", "Gr\xc3\xbc\xc3\x9f" "e/\xe6\x97\xa5", ".Gr\xc3\xbc\xc3\x9f" "e.\xe6\x97\xa5",
		  "Gr\xc3\xbc\xc3\x9f" "e.\xe6\x97\xa5" },
		{ "a b~\\:*?", "a b~\\:*?", ".a b~\\:*?", "a b~\\:*?" },
	};
	static const char *const bad[] = { "/", "/a", "a/", "a//b", "//" };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
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
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
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
		{ MAILDIR_NESTED, "cur" }, { MAILDIR_NESTED, "a/tmp" }, { MAILDIR_NESTED, "%" }, { MAILDIR_NESTED, "%2" }, { MAILDIR_NESTED, "%2e" },
		{ MAILDIR_NESTED, "%41" }, { MAILDIR_NESTED, "a%2Fb" }, { MAILDIR_NESTED, "a%00" }, { MAILDIR_NESTED, "a//b" },
		{ MAILDIR_NESTED, "a/" }, { MAILDIR_NESTED, "/a" }, { MAILDIR_NESTED, "a\nb" },
		{ MAILDIR_PLUSPLUS, "Work" }, { MAILDIR_PLUSPLUS, ".." }, { MAILDIR_PLUSPLUS, ".a..b" }, { MAILDIR_PLUSPLUS, "..a" },
		{ MAILDIR_PLUSPLUS, ".a/b" }, { MAILDIR_FLAT, "cur" }, { MAILDIR_FLAT, ".a" }, { MAILDIR_FLAT, "a/b" }, { MAILDIR_FLAT, "a." },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
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
			assert_true(folder[0] == '/' || folder[n - 1] == '/' || strstr(folder, "//"));
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

/* Files are synced before the first rename, directories after the last. */
static void order_on_disk(void **state)
{
	static const size_t sizes[] = { 1, 5, 15, 16, 40, 600 };
	struct rig r;

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t n = sizes[i], renames = 0, syncs;
		struct staged *st = calloc(n, sizeof(*st));
		const char *p;

		assert_non_null(st);
		rig_start(&r);
		rig_open(&r);
		for (size_t k = 0; k < n; k++)
			assert_int_equal(stage_flags(&r, "x\r\n", k % 2 ? FLAG_SEEN : 0, &st[k]), 0);
		assert_null(strpbrk(sys.log, "rl"));
		assert_int_equal(r.s->ops->harden(r.s, st, n, &r.e), 0);
		syncs = strlen(sys.log);
		assert_int_equal(strspn(sys.log, "fs"), syncs);
		if (strchr(sys.log, 's'))
			assert_true(n >= 16 && sys.log[syncs - 1] == 's');
		else
			assert_int_equal(syncs, n);
		assert_int_equal(r.s->ops->publish(r.s, st, n, &r.e), 0);
		for (p = sys.log + syncs; *p == 'r'; p++)
			renames++;
		assert_int_equal(renames, n);
		assert_string_equal(p, n > 1 ? "dd" : "d");
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
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
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

/* The disk is full at any write: an error, and nothing stays. */
static void disk_full(void **state)
{
	struct strbuf big = STRBUF_INIT(1 << 20);
	struct rig r;

	(void)state;
	for (int i = 0; i < 30000; i++)
		strbuf_puts(&big, "a line\r\n");
	strbuf_puts(&big, "\nand a bare LF\r\n");
	rig_start(&r);
	rig_open(&r);
	sys.err = ENOSPC;
	for (int at = 0;; at++) {
		struct staged st;
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

/* The third rename fails: two are there, and the next run finds just these. */
static void rename_fails(void **state)
{
	struct recovery rec[4] = { { 0 } };
	struct staged st[4];
	struct rig r;

	(void)state;
	rig_start(&r);
	rig_open(&r);
	sys.err = ENOSPC;
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(stage_flags(&r, "x\r\n", i % 2 ? FLAG_SEEN : 0, &st[i]), 0);
	assert_int_equal(r.s->ops->harden(r.s, st, 4, &r.e), 0);
	sys.fail_rename = 2;
	assert_int_equal(r.s->ops->publish(r.s, st, 4, &r.e), -1);
	assert_int_equal(r.e.kind, ERR_LOCAL);
	sys.fail_rename = -1;
	r.s->ops->abandon(r.s);
	assert_int_equal(count(&r, "tmp"), 0);
	assert_int_equal(count(&r, "new") + count(&r, "cur"), 2);
	for (size_t i = 0; i < 4; i++)
		rec[i] = (struct recovery){ .key = st[i].key, .hint = st[i].hint, .digest = st[i].digest };
	assert_int_equal(r.s->ops->recover(r.s, rec, 4, &r.e), 0);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(rec[i].found, i < 2);
	rig_stop(&r);
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
	assert_non_null(strstr(sys.log, "d")); /* what is told to be there is durable */
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
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
			struct timespec t[2] = { { .tv_sec = NOW - 3600 * rows[i].atime }, { .tv_sec = NOW - 3600 * rows[i].mtime } };

			join(path, sizeof(path), r.path, "tmp", rows[i].name);
			file_write(path, "x", 1);
			assert_int_equal(utimensat(AT_FDCWD, path, t, 0), 0);
		}
		assert_int_equal(r.s->ops->open_box(r.s, "", BOX_READ, &r.info, &r.e), 0);
		join(path, sizeof(path), r.path, "tmp", "old");
		assert_int_equal(file_size(path), 1); /* only who delivers cleans */
		rig_open(&r);
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
			join(path, sizeof(path), r.path, "tmp", rows[i].name);
			assert_int_equal(file_size(path) >= 0, hours ? rows[i].stays_long : rows[i].stays);
		}
		assert_int_equal(count(&r, "tmp"), hours ? 7 : 6);
		rig_stop(&r);
	}
}

/* With few descriptors, staged files are synced and closed early. In a child: the hard limit can't be raised again. */
static void few_descriptors(void **state)
{
	int status;
	pid_t pid;
	struct rig r;

	(void)state;
	rig_start(&r);
	rig_open(&r);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		const struct rlimit few = { 40, 40 };
		struct staged *st = calloc(300, sizeof(*st));

		if (!st || setrlimit(RLIMIT_NOFILE, &few) < 0 ||
		    r.s->ops->open_box(r.s, "", BOX_WRITE, &r.info, &r.e) < 0)
			_exit(1);
		for (size_t i = 0; i < 300; i++)
			if (stage_flags(&r, "x\r\n", 0, &st[i]) < 0)
				_exit(2);
		if (r.s->ops->harden(r.s, st, 300, &r.e) < 0 || r.s->ops->publish(r.s, st, 300, &r.e) < 0)
			_exit(3);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(count(&r, "new"), 300);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(layouts),
		cmocka_unit_test(foreign_paths),
		cmocka_unit_test(any_folder),
		cmocka_unit_test(long_folders),
		cmocka_unit_test(makes_folders),
		cmocka_unit_test(unique_names),
		cmocka_unit_test(flags_and_modes),
		cmocka_unit_test(order_on_disk),
		cmocka_unit_test(never_overwrites),
		cmocka_unit_test(planted_name),
		cmocka_unit_test(planted_directories),
		cmocka_unit_test(no_maildir),
		cmocka_unit_test(disk_full),
		cmocka_unit_test(sync_fails),
		cmocka_unit_test(rename_fails),
		cmocka_unit_test(recovers),
		cmocka_unit_test(stale_tmp),
		cmocka_unit_test(few_descriptors),
		cmocka_unit_test(cancelled),
	};

	return cmocka_run_group_tests_name("store/maildir", tests, NULL, NULL);
}
