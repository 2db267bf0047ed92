#include "../../lib/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"

int __real_fsync(int fd);
ssize_t __real_write(int fd, const void *p, size_t n);
ssize_t __real_read(int fd, void *p, size_t n);
int __real_rename(const char *from, const char *to);
int __wrap_fsync(int fd);
ssize_t __wrap_write(int fd, const void *p, size_t n);
ssize_t __wrap_read(int fd, void *p, size_t n);
int __wrap_rename(const char *from, const char *to);

/* The linker leads the archive's calls here: they are written down, and may fail. */
static struct {
	ino_t synced[32];
	size_t n_synced;
	int fsync_eintr, fsync_errno;
	int write_eintr, write_errno, read_eintr;
	bool short_io; /* one byte at a time */
	bool write_zero;
	int rename_errno;
	size_t synced_before_rename;
	char *last_made; /* what must be there when the first is synced */
	bool too_early;
} sys;

int __wrap_fsync(int fd)
{
	struct stat st;

	if (sys.fsync_eintr-- > 0) {
		errno = EINTR;
		return -1;
	}
	if (sys.fsync_errno) {
		errno = sys.fsync_errno;
		return -1;
	}
	sys.too_early |= sys.last_made && access(sys.last_made, F_OK) < 0;
	if (fstat(fd, &st) == 0 && sys.n_synced < COUNT(sys.synced))
		sys.synced[sys.n_synced++] = st.st_ino;
	return __real_fsync(fd);
}

ssize_t __wrap_write(int fd, const void *p, size_t n)
{
	if (sys.write_eintr-- > 0) {
		errno = EINTR;
		return -1;
	}
	if (sys.write_errno) {
		errno = sys.write_errno;
		return -1;
	}
	if (sys.write_zero)
		return 0;
	return __real_write(fd, p, sys.short_io && n > 1 ? 1 : n);
}

ssize_t __wrap_read(int fd, void *p, size_t n)
{
	if (sys.read_eintr-- > 0) {
		errno = EINTR;
		return -1;
	}
	return __real_read(fd, p, sys.short_io && n > 1 ? 1 : n);
}

int __wrap_rename(const char *from, const char *to)
{
	sys.synced_before_rename = sys.n_synced;
	if (sys.rename_errno) {
		errno = sys.rename_errno;
		return -1;
	}
	return __real_rename(from, to);
}

/* Whether the directory or file of this path was fsynced. */
static bool was_synced(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	for (size_t i = 0; i < sys.n_synced; i++)
		if (sys.synced[i] == st.st_ino)
			return true;
	return false;
}

static char *dir;

static int setup(void **state)
{
	(void)state;
	memset(&sys, 0, sizeof(sys));
	umask(022);
	dir = scratch_make();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	memset(&sys, 0, sizeof(sys));
	scratch_remove(dir);
	return 0;
}

static const char *in(const char *name)
{
	return scratch_path(dir, name);
}

/* Make a file with this text and mode. */
static void make_file(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

/* The text of a file. */
static void assert_file(const char *path, const char *text)
{
	struct strbuf b = STRBUF_INIT(100000);
	struct err e = ERR_INIT;

	assert_int_equal(fs_read_file(path, &b, &e), 0);
	assert_string_equal(strbuf_str(&b), text);
	strbuf_release(&b);
}

/* How many names a directory holds. */
static int names_in(const char *path)
{
	DIR *d = opendir(path);
	int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static void writing_and_reading(void **state)
{
	struct err e = ERR_INIT;
	char buf[32];
	int fd = open(in("f"), O_RDWR | O_CREAT, 0600);

	(void)state;
	assert_int_equal(fs_write_all(fd, "", 0, "f", &e), 0);
	sys.short_io = true;
	sys.write_eintr = 2;
	assert_int_equal(fs_write_all(fd, "0123456789", 10, "f", &e), 0);
	sys.write_zero = true;
	assert_int_equal(fs_write_all(fd, "x", 1, "f", &e), -1); /* no endless loop */
	sys.write_zero = false;
	sys.write_errno = ENOSPC;
	assert_int_equal(fs_write_all(fd, "x", 1, "the spool", &e), -1);
	assert_int_equal(e.kind, ERR_LOCAL);
	assert_string_equal(e.text, "can't write the spool: No space left on device (make room there)");
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	sys.read_eintr = 3;
	assert_int_equal(fs_read(fd, buf, sizeof(buf), "f", &e), 1);
	sys.short_io = false;
	assert_int_equal(fs_read(fd, buf, sizeof(buf), "f", &e), 9);
	assert_int_equal(fs_read(fd, buf, sizeof(buf), "f", &e), 0);
	assert_int_equal(fs_pread_all(fd, buf, 4, 6, "f", &e), 0);
	assert_memory_equal(buf, "6789", 4);
	err_clear(&e);
	assert_int_equal(fs_pread_all(fd, buf, 5, 6, "f", &e), -1);
	assert_string_equal(e.text, "f is too short (ends at byte 10)");
	close(fd);
	assert_int_equal(fs_read(fd, buf, 1, "f", &e), -1);
	assert_int_equal(fs_pread_all(fd, buf, 1, 0, "f", &e), -1);
	assert_int_equal(errno, EBADF);
}

static void syncing(void **state)
{
	struct err e = ERR_INIT;
	int fd = open(in("f"), O_RDWR | O_CREAT, 0600), d = open(dir, O_RDONLY | O_DIRECTORY), p[2];

	(void)state;
	sys.fsync_eintr = 3;
	assert_int_equal(fs_sync(fd, "f", &e), 0);
	assert_true(was_synced(in("f")));
	sys.fsync_errno = EIO;
	assert_int_equal(fs_sync(fd, "f", &e), -1);
	assert_string_equal(e.text, "can't sync f to disk: Input/output error");
	assert_int_equal(fs_sync_dir(d, ".", &e), -1);
	sys.fsync_errno = 0;
	assert_int_equal(pipe(p), 0);
	assert_int_equal(fs_sync(p[0], "a pipe", &e), -1); /* EINVAL is no success */
	assert_int_equal(errno, EINVAL);
	assert_int_equal(fs_sync_dir(d, ".", &e), 0);
	assert_true(was_synced(dir));
	assert_int_equal(mkdir(in("sub"), 0700), 0);
	assert_int_equal(fs_sync_dir(d, "sub", &e), 0);
	assert_true(was_synced(in("sub")));
	assert_int_equal(fs_sync_dir(AT_FDCWD, in("sub"), &e), 0);
	assert_int_equal(fs_sync_dir(d, "none", &e), -1);
	assert_int_equal(fs_sync_dir(d, "f", &e), -1);
	fs_writeback(fd);
	fs_writeback(-1);
	close(fd);
	close(d);
	close(p[0]);
	close(p[1]);
}

static void making_directories(void **state)
{
	struct err e = ERR_INIT;
	struct stat st;

	(void)state;
	assert_int_equal(fs_mkdirs(in("a/b//c/"), 0700, &e), 0);
	assert_int_equal(stat(in("a/b/c"), &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0700);
	/* the entry of each new one is durable: its parent was fsynced */
	assert_true(was_synced(dir) && was_synced(in("a")) && was_synced(in("a/b")));
	sys.n_synced = 0;
	assert_int_equal(fs_mkdirs(in("a/b"), 0700, &e), 0);
	assert_int_equal(sys.n_synced, 0);
	assert_int_equal(fs_mkdirs("/", 0700, &e), 0);
	/* links are the person's to use */
	assert_int_equal(symlink("a/b", in("link")), 0);
	assert_int_equal(fs_mkdirs(in("link/d"), 0755, &e), 0);
	assert_int_equal(stat(in("a/b/d"), &st), 0);
	make_file(in("file"), "", 0600);
	assert_int_equal(fs_mkdirs(in("file/x"), 0700, &e), -1);
	assert_int_equal(e.kind, ERR_LOCAL);
	assert_int_equal(errno, ENOTDIR);
	assert_int_equal(symlink("nowhere", in("dangling")), 0);
	assert_int_equal(fs_mkdirs(in("dangling"), 0700, &e), -1);
	assert_int_equal(fs_mkdirs(in("dangling/x"), 0700, &e), -1);
	assert_non_null(strstr(e.text, "link to nothing"));
	assert_int_equal(fs_mkdirs("relative", 0700, &e), -1);
	assert_int_equal(e.kind, ERR_BUG);
	sys.fsync_errno = EIO;
	assert_int_equal(fs_mkdirs(in("not/durable"), 0700, &e), -1);
}

static void opening_directories(void **state)
{
	struct err e = ERR_INIT;
	int fd = fs_open_dir(dir, &e);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fs_sync(fd, "it", &e), 0); /* no O_PATH */
	close(fd);
	make_file(in("file"), "", 0600);
	assert_int_equal(fs_open_dir(in("file"), &e), -1);
	assert_int_equal(fs_open_dir(in("none"), &e), -1);
	assert_int_equal(errno, ENOENT);
}

/* Names opened beneath a root, with what must come of it. */
static const struct {
	const char *name;
	int flags, error;      /* errno; 0: it opens; -1: ERR_BUG */
	const char *is;        /* the file that was opened, seen from outside the root */
} beneath[] = {
	{ "file", O_RDONLY, 0, "root/file" },
	{ "./file", O_RDONLY, 0, "root/file" },
	{ "sub/file", O_RDONLY, 0, "root/sub/file" },
	{ "sub//./file", O_RDONLY, 0, "root/sub/file" },
	{ "sub", O_RDONLY | O_DIRECTORY, 0, "root/sub" },
	{ "sub/", O_RDONLY, 0, "root/sub" },
	{ ".", O_RDONLY | O_DIRECTORY, 0, "root" },
	{ "..file", O_RDONLY, 0, "root/..file" },
	{ "new", O_WRONLY | O_CREAT | O_EXCL, 0, "root/new" },
	{ "sub/new", O_WRONLY | O_CREAT | O_EXCL, 0, "root/sub/new" },
	{ "file", O_WRONLY | O_CREAT | O_EXCL, EEXIST, NULL },
	{ "none", O_RDONLY, ENOENT, NULL },
	{ "none/file", O_RDONLY, ENOENT, NULL },
	{ "file/x", O_RDONLY, ENOTDIR, NULL },
	{ "file/", O_RDONLY, ENOTDIR, NULL },
	{ "file", O_RDONLY | O_DIRECTORY, ENOTDIR, NULL },
	/* planted links: out of the root, within it, dangling, in the middle, at the end */
	{ "out", O_RDONLY, ELOOP, NULL },
	{ "out", O_WRONLY | O_CREAT, ELOOP, NULL },
	{ "outdir/secret", O_RDONLY, ELOOP, NULL },
	{ "outdir/new", O_WRONLY | O_CREAT | O_EXCL, ELOOP, NULL },
	{ "outdir", O_RDONLY | O_DIRECTORY, ELOOP, NULL },
	{ "outdir/", O_RDONLY | O_DIRECTORY, ELOOP, NULL },
	{ "within", O_RDONLY, ELOOP, NULL },
	{ "withindir/file", O_RDONLY, ELOOP, NULL },
	{ "dangling", O_WRONLY | O_CREAT, ELOOP, NULL },
	{ "sub/up/secret", O_RDONLY, ELOOP, NULL },
	{ "/etc/passwd", O_RDONLY, -1, NULL },
	{ "..", O_RDONLY, -1, NULL },
	{ "../secret", O_RDONLY, -1, NULL },
	{ "sub/../file", O_RDONLY, -1, NULL },
	{ "sub/..", O_RDONLY, -1, NULL },
	{ "", O_RDONLY, -1, NULL },
};

static void plant(void)
{
	assert_int_equal(mkdir(in("root"), 0700), 0);
	assert_int_equal(mkdir(in("root/sub"), 0700), 0);
	assert_int_equal(mkdir(in("outside"), 0700), 0);
	make_file(in("outside/secret"), "secret", 0600);
	make_file(in("root/file"), "file", 0600);
	make_file(in("root/..file"), "dots", 0600);
	make_file(in("root/sub/file"), "sub", 0600);
	assert_int_equal(symlink("../outside/secret", in("root/out")), 0);
	assert_int_equal(symlink(in("outside"), in("root/outdir")), 0);
	assert_int_equal(symlink("file", in("root/within")), 0);
	assert_int_equal(symlink("sub", in("root/withindir")), 0);
	assert_int_equal(symlink("nowhere", in("root/dangling")), 0);
	assert_int_equal(symlink("../../outside", in("root/sub/up")), 0);
}

/* Open all rows; 0, or the first that came out wrong. No assertions: children run it, too. */
static int open_rows(void)
{
	int root = open(in("root"), O_RDONLY | O_DIRECTORY);

	for (size_t i = 0; i < COUNT(beneath); i++) {
		struct err e = ERR_INIT;
		struct stat got, want;
		int fd = fs_open_beneath(root, beneath[i].name, beneath[i].flags, 0640, &e);
		bool ok;

		if (beneath[i].error == 0)
			ok = fd >= 0 && fstat(fd, &got) == 0 &&
			     stat(in(beneath[i].is), &want) == 0 && got.st_ino == want.st_ino &&
			     fcntl(fd, F_GETFD) == FD_CLOEXEC &&
			     (!(beneath[i].flags & O_CREAT) || (got.st_mode & 0777) == 0640);
		else if (beneath[i].error < 0)
			ok = fd == -1 && e.kind == ERR_BUG;
		else
			ok = fd == -1 && errno == beneath[i].error && e.kind == ERR_LOCAL;
		if (fd >= 0)
			close(fd);
		if (!ok) {
			fprintf(stderr, "# '%s': fd %d, %s\n", beneath[i].name, fd, e.text);
			return (int)i + 1;
		}
	}
	close(root);
	return access(in("outside/new"), F_OK) == 0 ? 99 : 0;
}

/* From now on openat2 fails in this process, as in an old kernel or a sandbox. */
static bool forbid_openat2(int error)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = COUNT(code), .filter = code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) < 0)
		return false;
	return syscall(SYS_openat2, -1, "x", NULL, 0) == -1 && errno == error;
}

static void opening_beneath(void **state)
{
	(void)state;
	plant();
	assert_int_equal(open_rows(), 0);
}

static void opening_beneath_without_openat2(void **state)
{
	static const int errors[] = { ENOSYS, EPERM };

	(void)state;
	for (size_t i = 0; i < COUNT(errors); i++) {
		int status;
		pid_t pid;

		plant();
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			_exit(!forbid_openat2(errors[i]) ? 100 : open_rows());
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		if (WEXITSTATUS(status) == 100)
			skip(); /* no seccomp here */
		assert_int_equal(WEXITSTATUS(status), 0);
		scratch_remove(dir);
		dir = scratch_make();
	}
}

static void the_walk_leaks_nothing(void **state)
{
	int before, after, status, root;
	pid_t pid;

	(void)state;
	plant();
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (!forbid_openat2(ENOSYS))
			_exit(100);
		root = open(in("root"), O_RDONLY | O_DIRECTORY);
		before = dup(0);
		close(before);
		for (int i = 0; i < 10; i++) {
			close(fs_open_beneath(root, "sub/file", O_RDONLY, 0, NULL));
			fs_open_beneath(root, "sub/none", O_RDONLY, 0, NULL);
			fs_open_beneath(root, "sub/up/x", O_RDONLY, 0, NULL);
			fs_mkdirs_beneath(root, "sub/a/b", 0700, NULL);
			fs_mkdirs_beneath(root, "sub/file/b", 0700, NULL);
		}
		after = dup(0);
		_exit(before == after ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 100)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void making_directories_beneath(void **state)
{
	struct err e = ERR_INIT;
	struct stat st;
	int root;

	(void)state;
	plant();
	root = open(in("root"), O_RDONLY | O_DIRECTORY);
	assert_int_equal(fs_mkdirs_beneath(root, "x/./y//z", 0750, &e), 0);
	assert_int_equal(stat(in("root/x/y/z"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0750);
	assert_true(was_synced(in("root")));
	assert_true(was_synced(in("root/x")));
	assert_true(was_synced(in("root/x/y")));
	sys.n_synced = 0;
	assert_int_equal(fs_mkdirs_beneath(root, "x/y/", 0750, &e), 0);
	assert_int_equal(sys.n_synced, 0);
	/* also what was made before another could not be */
	assert_int_equal(fs_mkdirs_beneath_all(root, (const char *[]){ "v/w", "file/x" }, 2, 0700, &e), -1);
	assert_int_equal(errno, ENOTDIR);
	assert_true(was_synced(in("root")));
	assert_true(was_synced(in("root/v")));
	assert_int_equal(fs_mkdirs_beneath(root, "outdir/new", 0700, &e), -1);
	assert_int_equal(errno, ELOOP);
	assert_int_equal(fs_mkdirs_beneath(root, "withindir", 0700, &e), -1);
	assert_int_equal(fs_mkdirs_beneath(root, "dangling/x", 0700, &e), -1);
	assert_int_equal(fs_mkdirs_beneath(root, "file/x", 0700, &e), -1);
	assert_int_equal(errno, ENOTDIR);
	assert_int_equal(access(in("outside/new"), F_OK), -1);
	assert_int_equal(fs_mkdirs_beneath(root, "../x", 0700, &e), -1);
	assert_int_equal(e.kind, ERR_BUG);
	assert_int_equal(fs_mkdirs_beneath(root, "/x", 0700, &e), -1);
	assert_int_equal(e.kind, ERR_BUG);
	close(root);
}

/* Each sync of a journal waits for the disk: all is made before the first. */
static void making_several_beneath(void **state)
{
	static const char *const names[] = { "a/b/tmp", "a/b/new", "a/b/cur" }, *const bad[] = { "a/c", "file/x", "a/d" };
	struct err e = ERR_INIT;
	int root;

	(void)state;
	plant();
	root = open(in("root"), O_RDONLY | O_DIRECTORY);
	sys.last_made = strdup(in("root/a/b/cur"));
	assert_int_equal(fs_mkdirs_beneath_all(root, names, COUNT(names), 0700, &e), 0);
	assert_int_equal(access(sys.last_made, F_OK), 0);
	assert_false(sys.too_early);
	assert_true(was_synced(in("root")) && was_synced(in("root/a")) && was_synced(in("root/a/b")));
	free(sys.last_made);
	sys.last_made = NULL;
	sys.n_synced = 0;
	assert_int_equal(fs_mkdirs_beneath_all(root, names, COUNT(names), 0700, &e), 0);
	assert_int_equal(sys.n_synced, 0);
	assert_int_equal(fs_mkdirs_beneath_all(root, bad, COUNT(bad), 0700, &e), -1);
	assert_int_equal(errno, ENOTDIR);
	assert_int_equal(access(in("root/a/d"), F_OK), -1);
	sys.fsync_errno = EIO;
	assert_int_equal(fs_mkdirs_beneath(root, "a/e", 0700, &e), -1);
	sys.fsync_errno = 0;
	close(root);
}

static void replacing(void **state)
{
	struct err e = ERR_INIT;
	struct stat st;

	(void)state;
	assert_int_equal(fs_replace(in("f"), "one", 3, 0600, &e), 0);
	assert_file(in("f"), "one");
	/* first the file, then the rename, then the directory */
	assert_int_equal(sys.synced_before_rename, 1);
	assert_true(was_synced(in("f")));
	assert_int_equal(sys.n_synced, 2);
	assert_true(was_synced(dir));
	umask(077);
	assert_int_equal(fs_replace(in("f"), "two two", 7, 0644, &e), 0);
	assert_file(in("f"), "two two");
	assert_int_equal(stat(in("f"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0644);
	assert_int_equal(fs_replace(in("f"), "", 0, 0, &e), 0);
	assert_file(in("f"), "");
	assert_int_equal(stat(in("f"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	sys.n_synced = 0;
	assert_int_equal(fs_replace_light(in("f"), "three", 5, 0600, &e), 0);
	assert_file(in("f"), "three");
	assert_int_equal(sys.n_synced, 0);
	assert_int_equal(names_in(dir), 1);
	assert_int_equal(fs_replace(in("none/f"), "x", 1, 0600, &e), -1);
	assert_int_equal(errno, ENOENT);
}

static void replacing_in_the_working_directory(void **state)
{
	struct err e = ERR_INIT;
	int back = open(".", O_RDONLY | O_DIRECTORY);

	(void)state;
	assert_int_equal(chdir(dir), 0);
	assert_int_equal(fs_replace("f", "x", 1, 0600, &e), 0);
	assert_int_equal(fchdir(back), 0);
	close(back);
	assert_file(in("f"), "x");
	assert_true(was_synced(dir));
}

static void failed_replacement_changes_nothing(void **state)
{
	static const struct {
		int write, fsync, rename;
	} rows[] = { { ENOSPC, 0, 0 }, { 0, EIO, 0 }, { 0, 0, EXDEV } };

	(void)state;
	make_file(in("f"), "old", 0600);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct err e = ERR_INIT;
		int rc, saved;

		sys.write_errno = rows[i].write;
		sys.fsync_errno = rows[i].fsync;
		sys.rename_errno = rows[i].rename;
		rc = fs_replace(in("f"), "new", 3, 0600, &e);
		saved = errno;
		memset(&sys, 0, sizeof(sys));
		assert_int_equal(rc, -1);
		assert_int_equal(saved, rows[i].write + rows[i].fsync + rows[i].rename);
		assert_int_equal(e.kind, ERR_LOCAL);
		assert_file(in("f"), "old");
		assert_int_equal(names_in(dir), 1);
	}
}

static void reading_files(void **state)
{
	struct strbuf b = STRBUF_INIT(10);
	struct err e = ERR_INIT;

	(void)state;
	make_file(in("ten"), "0123456789", 0644);
	make_file(in("eleven"), "0123456789a", 0644);
	make_file(in("empty"), "", 0644);
	assert_int_equal(fs_read_file(in("empty"), &b, &e), 0);
	assert_int_equal(b.len, 0);
	assert_int_equal(fs_read_file(in("ten"), &b, &e), 0);
	assert_string_equal(b.s, "0123456789");
	strbuf_clear(&b);
	sys.short_io = true;
	sys.read_eintr = 2;
	assert_int_equal(fs_read_file(in("ten"), &b, &e), 0);
	assert_string_equal(b.s, "0123456789");
	strbuf_clear(&b);
	assert_int_equal(fs_read_file(in("eleven"), &b, &e), -1);
	assert_int_equal(e.kind, ERR_LOCAL);
	assert_non_null(strstr(e.text, "is longer than 10 bytes"));
	assert_int_equal(fs_read_file(in("none"), &b, &e), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(fs_read_file(dir, &b, &e), -1);
	assert_int_equal(errno, EISDIR);
	strbuf_release(&b);
	assert_file("/proc/sys/kernel/ostype", "Linux\n"); /* its size says 0 */
}

static void reading_secrets(void **state)
{
	static const mode_t bad[] = { 0640, 0604, 0620, 0602, 0644, 0666, 0610 };
	struct strbuf b = STRBUF_SECRET(100);
	struct err e = ERR_INIT;

	(void)state;
	make_file(in("good"), "sesame", 0600);
	assert_int_equal(fs_read_secret(in("good"), &b, &e), 0);
	assert_string_equal(b.s, "sesame");
	assert_int_equal(chmod(in("good"), 0400), 0);
	strbuf_clear(&b);
	assert_int_equal(fs_read_secret(in("good"), &b, &e), 0);
	strbuf_clear(&b);
	for (size_t i = 0; i < COUNT(bad); i++) {
		make_file(in("bad"), "x", bad[i]);
		err_clear(&e);
		assert_int_equal(fs_read_secret(in("bad"), &b, &e), -1);
		assert_int_equal(e.kind, ERR_PERM);
		assert_non_null(strstr(e.text, "chmod 600 "));
		assert_int_equal(b.len, 0);
	}
	/* our own link is fine; what it leads to is held to the same rules */
	assert_int_equal(symlink("good", in("link")), 0);
	assert_int_equal(symlink("bad", in("badlink")), 0);
	assert_int_equal(symlink("badlink2", in("badlink2")), 0);
	assert_int_equal(fs_read_secret(in("link"), &b, &e), 0);
	assert_string_equal(b.s, "sesame");
	strbuf_clear(&b);
	assert_int_equal(fs_read_secret(in("badlink"), &b, &e), -1);
	assert_int_equal(e.kind, ERR_PERM);
	assert_int_equal(fs_read_secret(in("badlink2"), &b, &e), -1);
	assert_int_equal(fs_read_secret(in("none"), &b, &e), -1);
	assert_int_equal(errno, ENOENT);
	/* neither a FIFO (which holds nobody up) nor a directory */
	assert_int_equal(mkfifo(in("fifo"), 0600), 0);
	assert_int_equal(fs_read_secret(in("fifo"), &b, &e), -1);
	assert_int_equal(e.kind, ERR_PERM);
	assert_int_equal(fs_read_secret(dir, &b, &e), -1);
	assert_int_equal(e.kind, ERR_PERM);
	strbuf_release(&b);
}

static void secrets_of_others(void **state)
{
	struct strbuf b = STRBUF_SECRET(100);
	struct err e = ERR_INIT;

	(void)state;
	if (geteuid() != 0)
		skip(); /* only root can give files away */
	make_file(in("theirs"), "x", 0600);
	assert_int_equal(chown(in("theirs"), 12345, (gid_t)-1), 0);
	assert_int_equal(fs_read_secret(in("theirs"), &b, &e), -1);
	assert_int_equal(e.kind, ERR_PERM);
	assert_non_null(strstr(e.text, "uid 12345"));
	make_file(in("ours"), "x", 0600);
	assert_int_equal(symlink("ours", in("planted")), 0);
	assert_int_equal(lchown(in("planted"), 12345, (gid_t)-1), 0);
	assert_int_equal(fs_read_secret(in("planted"), &b, &e), -1);
	assert_int_equal(e.kind, ERR_PERM);
	assert_non_null(strstr(e.text, "symbolic link"));
	strbuf_release(&b);
}

static void temporary_files(void **state)
{
	struct err e = ERR_INIT;
	struct stat st;
	int fd;

	(void)state;
	fd = fs_tmpfile(dir, &e);
	assert_true(fd >= 0);
	assert_int_equal(names_in(dir), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
	fd = fs_tmpfile(NULL, &e);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(fs_tmpfile(in("none"), &e), -1);
	assert_int_equal(e.kind, ERR_LOCAL);
	assert_non_null(strstr(e.text, "/none"));
}

static void home(void **state)
{
	static const struct {
		const char *path, *want; /* NULL: ERR_CONF */
	} rows[] = {
		{ "~", "/home/jane" },
		{ "~/x/y", "/home/jane/x/y" },
		{ "$HOME", "/home/jane" },
		{ "$HOME/x", "/home/jane/x" },
		{ "$HOMER/x", "$HOMER/x" },
		{ "/a/~/b", "/a/~/b" },
		{ "x~", "x~" },
		{ "", "" },
		{ "~no-such-user-here/x", NULL },
	};
	char *old = getenv("HOME") ? strdup(getenv("HOME")) : NULL, *got;
	struct err e = ERR_INIT;

	(void)state;
	setenv("HOME", "/home/jane", 1);
	for (size_t i = 0; i < COUNT(rows); i++) {
		err_clear(&e);
		got = fs_expand(rows[i].path, &e);
		if (rows[i].want) {
			assert_string_equal(got, rows[i].want);
		} else {
			assert_null(got);
			assert_int_equal(e.kind, ERR_CONF);
		}
		free(got);
	}
	got = fs_expand("~root/x", &e);
	assert_non_null(got);
	assert_int_equal(got[0], '/');
	assert_string_equal(got + strlen(got) - 2, "/x");
	free(got);
	/* without HOME, the password file knows */
	unsetenv("HOME");
	got = fs_expand("~/x", &e);
	if (got)
		assert_int_equal(got[0], '/');
	else
		assert_int_equal(e.kind, ERR_CONF);
	free(got);
	if (old)
		setenv("HOME", old, 1);
	free(old);
}

/* One writing for each place. */
static void real(void **state)
{
	static const struct {
		const char *path, *want; /* beneath the scratch directory */
	} rows[] = {
		{ "", "" }, { "/", "" }, { "/a", "/a" }, { "//a///b/", "/a/b" }, { "/a/./b/.", "/a/b" }, { "/a/../c", "/c" },
		{ "/to_a", "/a" }, { "/to_a/", "/a" }, { "/to_a/x/y", "/a/x/y" }, { "/a/up/z", "/z" }, { "/deep/b", "/a/b" }, { "/deep/../b", "/b" },
		{ "/away/x", "/not/there/x" }, { "/none/../to_a", "/a" },
	};
	struct err e = ERR_INIT;
	char *top = realpath(in(""), NULL), *got, path[4096];

	(void)state;
	assert_non_null(top);
	assert_int_equal(mkdir(in("a"), 0700), 0);
	assert_int_equal(symlink("a", in("to_a")), 0);
	assert_int_equal(symlink("..", in("a/up")), 0);
	snprintf(path, sizeof(path), "%s/to_a/", top);
	assert_int_equal(symlink(path, in("deep")), 0);
	assert_int_equal(symlink("not/there", in("away")), 0);
	assert_int_equal(symlink("round", in("round")), 0);
	for (size_t i = 0; i < COUNT(rows); i++) {
		snprintf(path, sizeof(path), "%s%s", top, rows[i].path);
		got = fs_real(path, &e);
		if (!got || strncmp(got, top, strlen(top)) != 0 || strcmp(got + strlen(top), rows[i].want) != 0)
			fail_msg("%s: %s", rows[i].path, got ? got : e.text);
		free(got);
	}
	got = fs_real("/../.", &e);
	assert_string_equal(got, "/");
	free(got);
	snprintf(path, sizeof(path), "%s/round/x", top);
	assert_null(fs_real(path, &e));
	assert_int_equal(e.kind, ERR_LOCAL);
	free(top);
}

static void locking(void **state)
{
	struct err e = ERR_INIT;
	int ready[2], fd;
	struct stat st;
	pid_t pid, holder = 4711;
	char c;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (fs_lock(in("lock"), NULL, NULL) < 0 || write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_int_equal(stat(in("lock"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(fs_lock(in("lock"), &holder, &e), -1);
	assert_int_equal(e.kind, ERR_BUSY);
	assert_int_equal(holder, pid);
	assert_int_equal(fs_lock(in("lock"), NULL, &e), -1);
	assert_int_equal(kill(pid, SIGKILL), 0); /* however it dies, the lock is free */
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	fd = fs_lock(in("lock"), &holder, &e);
	assert_true(fd >= 0);
	assert_int_equal(holder, 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
	assert_int_equal(symlink("lock", in("link")), 0);
	assert_int_equal(fs_lock(in("link"), &holder, &e), -1);
	assert_int_equal(e.kind, ERR_LOCAL);
	assert_int_equal(fs_lock(in("none/lock"), &holder, &e), -1);
	assert_int_equal(errno, ENOENT);
	close(ready[0]);
	close(ready[1]);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(writing_and_reading),
		T(syncing),
		T(making_directories),
		T(opening_directories),
		T(opening_beneath),
		T(opening_beneath_without_openat2),
		T(the_walk_leaks_nothing),
		T(making_directories_beneath),
		T(making_several_beneath),
		T(replacing),
		T(replacing_in_the_working_directory),
		T(failed_replacement_changes_nothing),
		T(reading_files),
		T(reading_secrets),
		T(secrets_of_others),
		T(temporary_files),
		T(home),
		T(real),
		T(locking),
	};

	setenv("LC_ALL", "C", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
