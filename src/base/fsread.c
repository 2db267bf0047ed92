/* Whole files, and such as hold a secret: see fs.h. */
#include "base/fs_p.h"

#include <fcntl.h>

#define CHUNK 16384 /* bytes of one read */

/* Read an open file to its end. */
static int read_whole(int fd, const char *path, struct strbuf *b, struct err *e)
{
	for (;;) {
		size_t room = b->max - b->len;
		char one;
		void *p = &one;
		ssize_t got;

		if (room > CHUNK)
			room = CHUNK;
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
	fs_close_quietly(fd);
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
	fs_close_quietly(fd);
	return rc;
}
