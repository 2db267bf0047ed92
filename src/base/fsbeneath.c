/* Work beneath a root: see fs.h. */
#include "base/fs_p.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#ifdef HAVE_LINUX_OPENAT2_H
#include <linux/openat2.h>
#endif

#define AGAIN 100      /* times openat2 may say "again" */
#define CHANGED_MAX 32 /* directories that wait for being synced */

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
			fs_close_quietly(at);
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
	for (int i = 0; i < AGAIN; i++) {
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

/* mkdir -p beneath a root. What was changed is noted, as far as that is possible, else made durable at once. */
static int make_beneath(int dirfd, const char *name, mode_t mode, int *changed, size_t *n, struct err *e)
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

		if (mkdirat(at, part, mode) == 0) {
			fd = *n < CHANGED_MAX ? fcntl(at, F_DUPFD_CLOEXEC, 0) : -1;
			if (fd >= 0)
				changed[(*n)++] = fd;
			else
				rc = fs_sync(at, name, e);
		} else if (errno != EEXIST) {
			rc = err_errno(e, "can't make the directory %s", name);
		}
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
		fs_close_quietly(at);
	free(copy);
	return rc;
}

/* Several at once: all are made before any is synced, and a journal writes them in one go. */
int fs_mkdirs_beneath_all(int dirfd, const char *const *names, size_t n, mode_t mode, struct err *e)
{
	int changed[CHANGED_MAX], rc = 0, saved;
	size_t n_changed = 0;

	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = make_beneath(dirfd, names[i], mode, changed, &n_changed, e);
	saved = errno;
	/* also of what was made in vain: who finds it there the next time takes it for durable */
	for (size_t i = 0; i < n_changed; i++) {
		if (fs_sync(changed[i], names[0], rc == 0 ? e : NULL) < 0 && rc == 0) {
			rc = -1;
			saved = errno;
		}
		fs_close_quietly(changed[i]);
	}
	errno = saved;
	return rc;
}

int fs_mkdirs_beneath(int dirfd, const char *name, mode_t mode, struct err *e)
{
	return fs_mkdirs_beneath_all(dirfd, &name, 1, mode, e);
}
