/* Files made durable, paths, and a lock: see fs.h. */
#include "base/fs_p.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AGAIN 100 /* times that the lock may change hands under us */

/* Write everything. */
int fs_write_all(int fd, const void *p, size_t n, const char *what, struct err *e)
{
	const char *at = p;

	while (n > 0) {
		ssize_t done = write(fd, at, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done == 0)
			errno = ENOSPC; /* or it would be an endless loop */
		if (done <= 0) {
			int why = errno;

			err_errno(e, "can't write %s", what);
			errno = why;
			return -1;
		}
		at += done;
		n -= (size_t)done;
	}
	return 0;
}

/* One read. */
ssize_t fs_read(int fd, void *p, size_t n, const char *what, struct err *e)
{
	ssize_t got;

	do {
		got = read(fd, p, n);
	} while (got < 0 && errno == EINTR);
	return got < 0 ? err_errno(e, "can't read %s", what) : got;
}

/* Read n bytes at an offset. */
int fs_pread_all(int fd, void *p, size_t n, off_t off, const char *what, struct err *e)
{
	char *at = p;

	while (n > 0) {
		ssize_t got = pread(fd, at, n, off);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_errno(e, "can't read %s", what);
		if (got == 0)
			return err_set(e, ERR_LOCAL, "%s is too short (ends at byte %lld)",
			               what, (long long)off);
		at += got;
		off += got;
		n -= (size_t)got;
	}
	return 0;
}

/* fsync. Having failed once the kernel may have dropped the data: a later success means nothing. */
int fs_sync(int fd, const char *what, struct err *e)
{
	int rc;

	do {
		rc = fsync(fd);
	} while (rc < 0 && errno == EINTR);
	return rc < 0 ? err_errno(e, "can't sync %s to disk", what) : 0;
}

/* Make the entries of a directory durable. */
int fs_sync_dir(int dirfd, const char *name, struct err *e)
{
	int fd, rc;

	if (dirfd == AT_FDCWD)
		fd = fs_open_dir(name, e);
	else
		fd = fs_open_beneath(dirfd, name, O_RDONLY | O_DIRECTORY, 0, e);
	if (fd < 0)
		return -1;
	rc = fs_sync(fd, name, e);
	fs_close_quietly(fd);
	return rc;
}

/* Start write-back; a hint, so failure is nothing. */
void fs_writeback(int fd)
{
#ifdef HAVE_SYNC_FILE_RANGE
	(void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
#else
	(void)fd;
#endif
}

/* Wait for what was started. What came of it only fsync tells. */
void fs_writeback_wait(int fd)
{
#ifdef HAVE_SYNC_FILE_RANGE
	(void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE);
#else
	(void)fd;
#endif
}

/* fsync the directory that holds path (which is changed and restored). */
static int sync_parent(char *path, struct err *e)
{
	char *slash = strrchr(path, '/');
	int rc;

	if (!slash)
		return fs_sync_dir(AT_FDCWD, ".", e);
	if (slash == path)
		return fs_sync_dir(AT_FDCWD, "/", e);
	*slash = '\0';
	rc = fs_sync_dir(AT_FDCWD, path, e);
	*slash = '/';
	return rc;
}

/* Whether path is a directory (through symbolic links). */
static bool is_dir(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* mkdir one directory; one that is there is fine. */
static int mkdir_one(char *path, mode_t mode, struct err *e)
{
	struct stat st;
	int saved;

	if (mkdir(path, mode) == 0)
		return sync_parent(path, e);
	saved = errno;
	if (is_dir(path))
		return 0;
	if (saved == EEXIST && stat(path, &st) < 0 && errno == ENOENT) {
		err_set(e, ERR_LOCAL, "%s is a symbolic link to nothing", path);
		err_hint(e, "make the directory that it names, or remove the link");
		errno = ENOENT;
		return -1;
	}
	errno = saved == EEXIST ? ENOTDIR : saved;
	return err_errno(e, "can't make the directory %s", path);
}

/* mkdir -p. */
int fs_mkdirs(const char *path, mode_t mode, struct err *e)
{
	char *copy, *slash;
	int rc = 0;

	if (path[0] != '/')
		return err_set(e, ERR_BUG, "fs_mkdirs: '%s' is not absolute", path);
	if (is_dir(path))
		return 0;
	copy = strdup(path);
	if (!copy)
		return err_set(e, ERR_LOCAL, "out of memory");
	slash = copy;
	while (rc == 0 && (slash = strchr(slash + 1, '/'))) {
		if (slash[-1] == '/')
			continue;
		*slash = '\0';
		rc = mkdir_one(copy, mode, e);
		*slash = '/';
	}
	if (rc == 0 && copy[strlen(copy) - 1] != '/')
		rc = mkdir_one(copy, mode, e);
	free(copy);
	return rc;
}

/* Open a directory that the person named. */
int fs_open_dir(const char *path, struct err *e)
{
	int fd;

	do {
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	} while (fd < 0 && errno == EINTR);
	return fd < 0 ? err_errno(e, "can't open the directory %s", path) : fd;
}

/* Write a temporary file beside path and rename it over path. */
static int
replace_by(char *tmp, const char *path, const void *p, size_t n, mode_t mode, bool lasting, struct err *e)
{
	int fd = mkostemp(tmp, O_CLOEXEC), rc;

	if (fd < 0)
		return err_errno(e, "can't make a file beside %s", path);
	rc = fchmod(fd, mode | 0600) < 0 ? err_errno(e, "can't set the mode of %s", tmp) : 0;
	if (rc == 0)
		rc = fs_write_all(fd, p, n, tmp, e);
	if (rc == 0 && lasting)
		rc = fs_sync(fd, tmp, e);
	if (close(fd) < 0 && rc == 0 && errno != EINTR)
		rc = err_errno(e, "can't write %s", tmp); /* NFS reports a full disk here */
	if (rc == 0 && rename(tmp, path) < 0)
		rc = err_errno(e, "can't rename %s to %s", tmp, path);
	if (rc < 0) {
		int saved = errno;

		unlink(tmp);
		errno = saved;
		return -1;
	}
	return lasting ? sync_parent(tmp, e) : 0;
}

static int replace(const char *path, const void *p, size_t n, mode_t mode, bool lasting, struct err *e)
{
	struct strbuf tmp = STRBUF_INIT(PATH_MAX);
	int rc;

	if (strbuf_printf(&tmp, "%s.tmp-XXXXXX", path) < 0)
		rc = err_set(e, ERR_LOCAL, "%.100s...: the path is too long", path);
	else
		rc = replace_by(tmp.s, path, p, n, mode, lasting, e);
	strbuf_release(&tmp);
	return rc;
}

/* Replace a whole file. */
int fs_replace(const char *path, const void *p, size_t n, mode_t mode, struct err *e)
{
	return replace(path, p, n, mode, true, e);
}

int fs_replace_light(const char *path, const void *p, size_t n, mode_t mode, struct err *e)
{
	return replace(path, p, n, mode, false, e);
}

/* The directory of anonymous files. */
const char *fs_tmpdir(const char *dir)
{
	if (!dir)
		dir = secure_getenv("TMPDIR");
	return dir && dir[0] == '/' ? dir : "/tmp";
}

/* An anonymous file. */
int fs_tmpfile(const char *dir, struct err *e)
{
	struct strbuf name = STRBUF_INIT(PATH_MAX);
	int fd;

	dir = fs_tmpdir(dir);
	do {
		fd = open(dir, O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	} while (fd < 0 && errno == EINTR);
	if (fd >= 0)
		return fd;
	/* not every file system has O_TMPFILE, and they say so in several ways: try the old way */
	if (strbuf_printf(&name, "%s/mailhaul-XXXXXX", dir) < 0) {
		strbuf_release(&name);
		return err_set(e, ERR_LOCAL, "%.100s...: the path is too long", dir);
	}
	fd = mkostemp(name.s, O_CLOEXEC);
	if (fd < 0)
		err_errno(e, "can't make a temporary file in %s", dir);
	else
		unlink(name.s);
	strbuf_release(&name);
	return fd;
}

/* The home directory of us (name empty) or of a user; NULL when unknown. */
static const char *home_of(struct slice name)
{
	const char *home = name.n == 0 ? getenv("HOME") : NULL;
	struct passwd *pw;

	if (home && home[0] == '/')
		return home;
	if (name.n == 0) {
		pw = getpwuid(geteuid());
	} else {
		char *user = slice_dup(name);

		pw = user ? getpwnam(user) : NULL;
		free(user);
	}
	return pw && pw->pw_dir && pw->pw_dir[0] == '/' ? pw->pw_dir : NULL;
}

/* Put the home directory in place of ~, ~user or $HOME. */
char *fs_expand(const char *path, struct err *e)
{
	struct slice user = { NULL, 0 };
	const char *rest = path, *home;
	char *out = NULL;

	if (path[0] == '~') {
		user = slice_of(path + 1, strcspn(path + 1, "/"));
		rest = path + 1 + user.n;
	} else if (strncmp(path, "$HOME", 5) == 0 && (path[5] == '/' || path[5] == '\0')) {
		rest = path + 5;
	}
	home = rest == path ? "" : home_of(user);
	if (!home) {
		if (user.n > 0)
			err_set(e, ERR_CONF, "%s: no such user", path);
		else
			err_set(e, ERR_CONF, "%s: the home directory is unknown (set HOME)", path);
		return NULL;
	}
	if (asprintf(&out, "%s%s", home, rest) < 0) {
		err_set(e, ERR_LOCAL, "out of memory");
		return NULL;
	}
	return out;
}

#define LINKS_MAX 40 /* as the kernel */

/* Put a link's target in front of the rest of a path. */
static int put_in_front(struct strbuf *rest, struct slice target)
{
	char *tail = strbuf_detach(rest);
	int rc = tail ? strbuf_putsl(rest, target) : -1;

	if (rc == 0 && *tail)
		rc = strbuf_putc(rest, '/') < 0 ? -1 : strbuf_puts(rest, tail);
	free(tail);
	return rc;
}

/* Go down into one part of a path; *rest is what is still to come, and has a link's target put in front. *links counts. */
static int step(struct strbuf *real, struct strbuf *rest, int *links)
{
	struct slice name = slice_of(strbuf_str(rest), strcspn(strbuf_str(rest), "/"));
	char target[PATH_MAX];
	size_t before = real->len;
	ssize_t n;

	if (name.n == 2 && memcmp(name.p, "..", 2) == 0) {
		const char *up = strrchr(strbuf_str(real), '/');

		strbuf_cut(real, up ? (size_t)(up - real->s) : 0);
	} else if (name.n > 0 && !slice_eqs(name, ".")) {
		strbuf_putc(real, '/');
		strbuf_putsl(real, name);
	}
	strbuf_shift(rest, name.n + (name.n < rest->len));
	if (real->failed)
		return -1;
	n = real->len > before ? readlink(real->s, target, sizeof(target)) : -1;
	if (n <= 0)
		return 0;
	if ((size_t)n == sizeof(target) || ++*links > LINKS_MAX)
		return -1;
	strbuf_cut(real, target[0] == '/' ? 0 : before);
	return put_in_front(rest, slice_of(target, (size_t)n));
}

/* One writing for each place. */
char *fs_real(const char *path, struct err *e)
{
	struct strbuf real = STRBUF_INIT(PATH_MAX), rest = STRBUF_INIT((size_t)4 * PATH_MAX);
	int links = 0, rc = strbuf_puts(&rest, path);

	while (rc == 0 && rest.len > 0)
		rc = step(&real, &rest, &links);
	if (rc == 0 && real.len == 0)
		rc = strbuf_putc(&real, '/');
	strbuf_release(&rest);
	if (rc == 0)
		return strbuf_detach(&real);
	strbuf_release(&real);
	err_set(e, ERR_LOCAL, "%s: the path is too long, or has too many symbolic links", path);
	return NULL;
}

/* Take the lock of a file. */
int fs_lock(const char *path, pid_t *holder, struct err *e)
{
	struct flock want = { .l_type = F_WRLCK, .l_whence = SEEK_SET }, lk;
	int fd;

	if (holder)
		*holder = 0;
	do {
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW, 0600);
	} while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return err_errno(e, "can't open %s", path);
	/* the holder may let go between the two calls: then it is our turn, but not for ever */
	for (int i = 0; i < AGAIN; i++) {
		if (fcntl(fd, F_SETLK, &want) == 0)
			return fd;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN && errno != EACCES) {
			err_errno(e, "can't lock %s", path);
			goto fail;
		}
		lk = want;
		if (fcntl(fd, F_GETLK, &lk) == 0 && lk.l_type == F_UNLCK)
			continue;
		if (lk.l_type != F_UNLCK && lk.l_pid > 0 && holder)
			*holder = lk.l_pid;
		err_set(e, ERR_BUSY, "%s is locked by process %ld", path, (long)lk.l_pid);
		goto fail;
	}
	err_set(e, ERR_BUSY, "%s is locked by one process after another", path);
fail:
	fs_close_quietly(fd);
	return -1;
}
