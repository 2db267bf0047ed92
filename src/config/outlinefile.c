/* The files of a configuration: who may write them, and that each is read once. See outline.h. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "config/outline.h"

/* Note a file; NULL when there are too many. */
static const struct source *new_source(struct outline *o, const char *name, const struct stat *st)
{
	struct source *s = arena_new(o->arena, struct source, 1);

	if (!s || !(s->name = arena_str(o->arena, slice_str(name)))) {
		o->oom = true;
		return NULL;
	}
	s->number = o->n_files;
	s->mode = st ? st->st_mode & 07777U : 0600;
	o->files[o->n_files].source = s;
	o->files[o->n_files].dev = st ? st->st_dev : 0;
	o->files[o->n_files].ino = st ? st->st_ino : 0;
	o->n_files++;
	return s;
}

/* Who may write the file decides what we run: it must be ours or root's, and nobody else's to write. */
static int check_file(const char *path, const struct stat *st, struct err *e)
{
	if (!S_ISREG(st->st_mode))
		return err_set(e, ERR_CONF, "%s is not a regular file", path);
	if (st->st_uid != geteuid() && st->st_uid != 0)
		return err_set(e, ERR_PERM, "%s belongs to another user (uid %u); a configuration must be yours or root's", path, st->st_uid);
	if (st->st_mode & 022) {
		err_set(e, ERR_PERM, "%s can be written by others (mode %04o), who could make mailhaul run commands as you", path, st->st_mode & 07777U);
		return err_hint(e, "chmod go-w %s", path);
	}
	if (st->st_size > OUTLINE_FILE_MAX)
		return err_set(e, ERR_CONF, "%s is larger than %d bytes", path, OUTLINE_FILE_MAX);
	return 0;
}

/* Read an open file, to its end or to the limit. */
static int read_text(int fd, const char *path, struct strbuf *b, struct err *e)
{
	for (;;) {
		void *p = strbuf_room(b, 16384);
		ssize_t got;

		if (!p)
			return err_set(e, ERR_CONF, "%s is larger than %d bytes", path, OUTLINE_FILE_MAX);
		got = fs_read(fd, p, 16384, path, e);
		if (got <= 0)
			return (int)got;
		strbuf_added(b, (size_t)got);
	}
}

/* Has the file been read already? */
static const struct source *read_before(const struct outline *o, const struct stat *st)
{
	for (int i = 0; i < o->n_files; i++)
		if (o->files[i].ino != 0 && o->files[i].ino == st->st_ino && o->files[i].dev == st->st_dev)
			return o->files[i].source;
	return NULL;
}

/* Outline an open file. */
static int outline_fd(struct outline *o, int fd, const char *path, int depth, struct err *e)
{
	struct strbuf text = STRBUF_SECRET(OUTLINE_FILE_MAX + 16384);
	const struct source *file;
	struct stat st;
	int rc = -1;

	if (fstat(fd, &st) < 0) {
		err_errno(e, "can't look at %s", path);
	} else if (check_file(path, &st, e) < 0) {
		;
	} else if (read_before(o, &st)) {
		err_set(e, ERR_CONF, "%s is included a second time; it is read once", path);
	} else if (o->n_files >= OUTLINE_FILES_MAX) {
		err_set(e, ERR_CONF, "more than %d files", OUTLINE_FILES_MAX);
	} else if (read_text(fd, path, &text, e) == 0) {
		rc = 0;
		file = new_source(o, path, &st);
		if (file)
			outline_source(o, file, strbuf_slice(&text), depth);
	}
	strbuf_release(&text);
	return rc;
}

/* Read and outline a file. */
void outline_file(struct outline *o, const char *path, const struct place *from, int depth)
{
	struct err e = ERR_INIT;
	int fd, rc = -1;

	if (depth > OUTLINE_DEPTH_MAX) {
		err_set(&e, ERR_CONF, "includes are nested more than %d deep", OUTLINE_DEPTH_MAX);
	} else {
		do {
			fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
		} while (fd < 0 && errno == EINTR);
		if (fd < 0) {
			err_errno(&e, "can't open %s", path);
			e.kind = ERR_CONF;
		} else {
			rc = outline_fd(o, fd, path, depth, &e);
			close(fd);
		}
	}
	if (rc < 0)
		problem_err(o->problems, from ? *from : (struct place){ NULL, 0 }, &e);
}

/* Outline a text in memory. */
void outline_text(struct outline *o, const char *name, struct slice text)
{
	const struct source *file = new_source(o, name, NULL);

	if (file && text.n > OUTLINE_FILE_MAX)
		problem_add(o->problems, (struct place){ file, 0 }, ERR_CONF, "larger than %d bytes", OUTLINE_FILE_MAX);
	else if (file)
		outline_source(o, file, text, 0);
}
