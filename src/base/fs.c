/* Files made durable, and work beneath a root: see fs.h. */
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#ifdef HAVE_LINUX_OPENAT2_H
#include <linux/openat2.h>
#endif

#define FS_CHUNK 16384 /* bytes of one read of a whole file */
#define FS_AGAIN 100   /* times openat2 may say "again", or a lock change hands under us */

/* Close, and let errno be what it was. */
static void close_quietly(int fd)
{
	int saved = errno;

	if (fd >= 0)
		close(fd);
	errno = saved;
}

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
		if (done <= 0)
			return err_errno(e, "can't write %s", what);
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
	close_quietly(fd);
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
	int saved;

	if (mkdir(path, mode) == 0)
		return sync_parent(path, e);
	saved = errno;
	if (is_dir(path))
		return 0;
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

/* Names beneath a root are relative and never go up. */
static int check_name(const char *name, struct err *e)
{
	const char *p = name;

	if (name[0] == '\0' || name[0] == '/')
		return err_set(e, ERR_BUG, "'%s' is not a name beneath a root", name);
	if (strlen(name) >= PATH_MAX) {
		errno = ENAMETOOLONG;
		return err_errno(e, "%.100s...", name);
	}
	while (*p) {
		size_t n = strcspn(p, "/");

		if (n == 2 && p[0] == '.' && p[1] == '.')
			return err_set(e, ERR_BUG, "'%s' is not a name beneath a root", name);
		p += n;
		p += strspn(p, "/");
	}
	return 0;
}

/* openat of one component, never through a symbolic link: that is ELOOP, whatever the flags. */
static int open_component(int dirfd, const char *name, int flags, mode_t mode)
{
	struct stat st;
	int fd;

	do {
		fd = openat(dirfd, name, flags | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, mode);
	} while (fd < 0 && errno == EINTR);
	if (fd < 0 && errno == ENOTDIR) {
		if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode))
			errno = ELOOP;
		else
			errno = ENOTDIR;
	}
	return fd;
}

/* Cut the first component that is not "." off *rest (which is changed). NULL when none is left. */
static char *next_component(char **rest)
{
	for (;;) {
		char *name = *rest + strspn(*rest, "/");
		size_t n = strcspn(name, "/");

		if (n == 0)
			return NULL;
		*rest = name + n;
		if (**rest == '/')
			*(*rest)++ = '\0';
		if (strcmp(name, ".") != 0)
			return name;
	}
}

/* What openat2 does, one component at a time. */
static int open_walk(int dirfd, const char *name, int flags, mode_t mode)
{
	bool as_dir = name[strlen(name) - 1] == '/';
	char *copy = strdup(name), *rest = copy, *part, *next;
	int at = dirfd, fd = -1;

	if (!copy)
		return -1;
	part = next_component(&rest);
	if (!part)
		fd = open_component(dirfd, ".", flags, mode);
	for (; part; part = next) {
		next = next_component(&rest);
		if (next)
			fd = open_component(at, part, O_RDONLY | O_DIRECTORY | O_PATH, 0);
		else
			fd = open_component(at, part, flags | (as_dir ? O_DIRECTORY : 0), mode);
		if (at != dirfd)
			close_quietly(at);
		at = fd;
		if (fd < 0)
			break;
	}
	free(copy);
	return fd;
}

/* openat2, when the kernel has it and the sandbox lets it through; else the walk. */
static int open_resolved(int dirfd, const char *name, int flags, mode_t mode)
{
#if defined(HAVE_LINUX_OPENAT2_H) && defined(SYS_openat2)
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC | O_NOCTTY),
		.mode = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? mode : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};

	/* EAGAIN: something was renamed while the kernel looked */
	for (int i = 0; i < FS_AGAIN; i++) {
		long fd = syscall(SYS_openat2, dirfd, name, &how, sizeof(how));

		if (fd >= 0)
			return (int)fd;
		if (errno == ENOSYS || errno == EPERM)
			break;
		if (errno != EINTR && errno != EAGAIN)
			return -1;
	}
#endif
	return open_walk(dirfd, name, flags, mode);
}

/* Open beneath a root. */
int fs_open_beneath(int dirfd, const char *name, int flags, mode_t mode, struct err *e)
{
	int fd;

	if (check_name(name, e) < 0)
		return -1;
	fd = open_resolved(dirfd, name, flags, mode);
	if (fd < 0 && (errno == ELOOP || errno == EXDEV)) {
		err_set(e, ERR_LOCAL, "can't open %s: a symbolic link stands in the way", name);
		err_hint(e, "links are not followed here, since anyone could have put one there");
		errno = ELOOP;
		return -1;
	}
	return fd < 0 ? err_errno(e, "can't open %s", name) : fd;
}

/* mkdir -p beneath a root. */
int fs_mkdirs_beneath(int dirfd, const char *name, mode_t mode, struct err *e)
{
	char *copy, *rest, *part;
	int at = dirfd, rc = 0;

	if (check_name(name, e) < 0)
		return -1;
	copy = rest = strdup(name);
	if (!copy)
		return err_set(e, ERR_LOCAL, "out of memory");
	while (rc == 0 && (part = next_component(&rest))) {
		int fd;

		if (mkdirat(at, part, mode) == 0)
			rc = fs_sync(at, name, e);
		else if (errno != EEXIST)
			rc = err_errno(e, "can't make the directory %s", name);
		if (rc < 0)
			break;
		fd = open_component(at, part, O_RDONLY | O_DIRECTORY, 0);
		if (fd < 0) {
			rc = err_errno(e, "can't enter '%s' of the directory %s", part, name);
			break;
		}
		if (at != dirfd)
			close(at);
		at = fd;
	}
	if (at != dirfd)
		close_quietly(at);
	free(copy);
	return rc;
}

/* Write a temporary file beside path and rename it over path. */
static int
replace_by(char *tmp, const char *path, const void *p, size_t n, mode_t mode, struct err *e)
{
	int fd = mkostemp(tmp, O_CLOEXEC), rc;

	if (fd < 0)
		return err_errno(e, "can't make a file beside %s", path);
	rc = fchmod(fd, mode | 0600) < 0 ? err_errno(e, "can't set the mode of %s", tmp) : 0;
	if (rc == 0)
		rc = fs_write_all(fd, p, n, tmp, e);
	if (rc == 0)
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
	return sync_parent(tmp, e);
}

/* Replace a whole file. */
int fs_replace(const char *path, const void *p, size_t n, mode_t mode, struct err *e)
{
	struct strbuf tmp = STRBUF_INIT(PATH_MAX);
	int rc;

	if (strbuf_printf(&tmp, "%s.tmp-XXXXXX", path) < 0)
		rc = err_set(e, ERR_LOCAL, "%.100s...: the path is too long", path);
	else
		rc = replace_by(tmp.s, path, p, n, mode, e);
	strbuf_release(&tmp);
	return rc;
}

/* Read an open file to its end. */
static int read_whole(int fd, const char *path, struct strbuf *b, struct err *e)
{
	for (;;) {
		size_t room = b->max - b->len;
		char one;
		void *p = &one;
		ssize_t got;

		if (room > FS_CHUNK)
			room = FS_CHUNK;
		if (room > 0 && !(p = strbuf_room(b, room)))
			return err_set(e, ERR_LOCAL, "out of memory");
		/* a full buffer is fine, unless one more byte comes */
		got = fs_read(fd, p, room > 0 ? room : 1, path, e);
		if (got <= 0)
			return (int)got;
		if (room == 0)
			return err_set(e, ERR_LOCAL, "%s is longer than %zu bytes", path, b->max);
		strbuf_added(b, (size_t)got);
	}
}

/* Open a file to read it. */
static int open_file(const char *path, int flags)
{
	int fd;

	do {
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | flags);
	} while (fd < 0 && errno == EINTR);
	return fd;
}

/* Read a whole small file. */
int fs_read_file(const char *path, struct strbuf *b, struct err *e)
{
	int fd = open_file(path, 0), rc;

	if (fd < 0)
		return err_errno(e, "can't open %s", path);
	rc = read_whole(fd, path, b, e);
	close_quietly(fd);
	return rc;
}

/*
 * Open a secret; a symbolic link at its end must be ours or root's. O_NONBLOCK, so that a planted
 * FIFO can't hold us.
 */
static int open_secret(const char *path)
{
	int fd = open_file(path, O_NOFOLLOW | O_NONBLOCK);
	struct stat st;

	if (fd >= 0 || errno != ELOOP)
		return fd;
	if (lstat(path, &st) < 0)
		return -1;
	if (S_ISLNK(st.st_mode) && st.st_uid != geteuid() && st.st_uid != 0) {
		errno = ELOOP;
		return -1;
	}
	return open_file(path, O_NONBLOCK);
}

/* Whether an open file may hold a secret. */
static int check_secret(int fd, const char *path, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_errno(e, "can't look at %s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_PERM, "%s is not a regular file", path);
	if (st.st_uid != geteuid() && st.st_uid != 0) {
		err_set(e, ERR_PERM, "%s belongs to another user (uid %u)", path, st.st_uid);
		return err_hint(e, "a secret must be yours or root's");
	}
	if (st.st_mode & 077) {
		err_set(e, ERR_PERM, "%s is open to others (mode %04o)", path, st.st_mode & 07777U);
		return err_hint(e, "chmod 600 %s", path);
	}
	return 0;
}

/* Read a secret. */
int fs_read_secret(const char *path, struct strbuf *b, struct err *e)
{
	int fd = open_secret(path), rc;

	if (fd < 0 && errno == ELOOP) {
		err_set(e, ERR_PERM, "%s is a symbolic link that belongs to another user", path);
		return err_hint(e, "name the file itself");
	}
	if (fd < 0)
		return err_errno(e, "can't open %s", path);
	rc = check_secret(fd, path, e);
	if (rc == 0)
		rc = read_whole(fd, path, b, e);
	close_quietly(fd);
	return rc;
}

/* An anonymous file. */
int fs_tmpfile(const char *dir, struct err *e)
{
	struct strbuf name = STRBUF_INIT(PATH_MAX);
	int fd;

	if (!dir)
		dir = secure_getenv("TMPDIR");
	if (!dir || dir[0] != '/')
		dir = "/tmp";
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
	for (int i = 0; i < FS_AGAIN; i++) {
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
	close_quietly(fd);
	return -1;
}
