/*
 * Bytes kept aside: see spool.h. The first size - mem.len bytes lie in the file, the rest in
 * memory, which is at once the small spool that needs no file and the write buffer of the big one.
 */
#include "base/spool.h"

#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/fs.h"

#define AHEAD 16384

static const char what[] = "a temporary file";

/* Bytes that lie in the file. */
static uint64_t in_file(const struct spool *s)
{
	return s->size - s->mem.len;
}

/* Write behind what lies in the file. After an error the next write starts at the same place. */
static int file_write(struct spool *s, const void *p, size_t n, struct err *e)
{
	if (s->fd < 0) {
		s->fd = fs_tmpfile(s->dir, e);
		if (s->fd < 0)
			return -1;
	}
	if (lseek(s->fd, (off_t)in_file(s), SEEK_SET) < 0)
		return err_errno(e, "can't seek in %s", what);
	if (fs_write_all(s->fd, p, n, what, e) == 0)
		return 0;
	err_in(e, "%.200s", fs_tmpdir(s->dir));
	return s->dir ? -1 : err_hint(e, "TMPDIR names another directory");
}

/* Add bytes at the end. */
int spool_write(struct spool *s, const void *p, size_t n, struct err *e)
{
	if (n > INT64_MAX - s->size)
		return err_set(e, ERR_LOCAL, "%s is too large", what);
	if (n > s->mem.max - s->mem.len) {
		if (s->mem.len > 0 && file_write(s, s->mem.s, s->mem.len, e) < 0)
			return -1;
		strbuf_clear(&s->mem);
		if (n >= s->mem.max) {
			if (file_write(s, p, n, e) < 0)
				return -1;
			s->size += n;
			return 0;
		}
	}
	if (strbuf_put(&s->mem, p, n) < 0) {
		s->mem.failed = false; /* the caller may try again: nothing was taken */
		return err_set(e, ERR_LOCAL, "out of memory");
	}
	s->size += n;
	return 0;
}

/* Read from the start again. */
void spool_rewind(struct spool *s)
{
	s->pos = 0;
}

/* Bytes of the file from pos on; n of them lie there. Small pieces come through a buffer. */
static int file_read(struct spool *s, void *p, size_t n, struct err *e)
{
	uint64_t filed = in_file(s), into = s->pos - s->ahead_at;

	if (n >= AHEAD)
		return fs_pread_all(s->fd, p, n, (off_t)s->pos, what, e);
	if (s->pos < s->ahead_at || into > s->ahead_n || n > s->ahead_n - into) {
		s->ahead_n = 0;
		if (!s->ahead && !(s->ahead = malloc(AHEAD)))
			return err_set(e, ERR_LOCAL, "out of memory");
		into = filed - s->pos < AHEAD ? filed - s->pos : AHEAD;
		if (fs_pread_all(s->fd, s->ahead, (size_t)into, (off_t)s->pos, what, e) < 0)
			return -1;
		s->ahead_n = (size_t)into;
		s->ahead_at = s->pos;
		into = 0;
	}
	memcpy(p, s->ahead + into, n);
	return 0;
}

/* The next bytes. */
ssize_t spool_read(struct spool *s, void *p, size_t n, struct err *e)
{
	uint64_t filed = in_file(s);
	uint64_t end = s->pos < filed ? filed : s->size;

	if (n > end - s->pos)
		n = (size_t)(end - s->pos);
	if (n == 0)
		return 0;
	if (s->pos < filed) {
		if (file_read(s, p, n, e) < 0)
			return -1;
	} else {
		memcpy(p, s->mem.s + (s->pos - filed), n);
	}
	s->pos += n;
	return (ssize_t)n;
}

/* The next bytes, all or none. */
int spool_take(struct spool *s, void *p, size_t n, struct err *e)
{
	for (size_t got = 0; got < n;) {
		ssize_t r = spool_read(s, (char *)p + got, n - got, e);

		if (r < 0)
			return -1;
		if (r == 0)
			return got == 0 ? 0 : err_set(e, ERR_LOCAL, "%s is damaged", what);
		got += (size_t)r;
	}
	return 1;
}

/* Empty, the file kept (its blocks are given back). */
void spool_clear(struct spool *s)
{
	if (s->fd >= 0 && ftruncate(s->fd, 0) < 0) {
		close(s->fd); /* a file that can't be emptied is not worth keeping */
		s->fd = -1;
	}
	strbuf_clear(&s->mem);
	s->size = s->pos = s->ahead_n = 0;
}

/* Give everything back. */
void spool_release(struct spool *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	strbuf_release(&s->mem);
	free(s->ahead);
	s->ahead = NULL;
	s->size = s->pos = s->ahead_n = 0;
}
