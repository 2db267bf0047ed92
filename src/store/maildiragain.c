/*
 * A message that another folder of the tree holds is staged without its bytes being sent again: a second name for its file, or a copy of it where the file system
 * gives none, or where it arrived at another time here. Its bytes are read before, as others may have written to the file; what can't be read is asked of the server.
 */
#include "store/maildir_p.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "mail/eol.h"

void maildir_again_close(struct maildir *m)
{
	struct maildir_again *a = &m->again;

	free(a->folder);
	a->folder = NULL;
	maildir_close_fd(&a->dirs.cur);
	maildir_close_fd(&a->dirs.fresh);
	maildir_files_release(&a->files);
}

/* Hold the other folder, and know its files. 1; 0 it is not there; -1. */
static int open_other(struct maildir *m, const char *folder, struct err *e)
{
	struct maildir_again *a = &m->again;
	struct strbuf box = STRBUF_INIT(16384);
	struct err why = ERR_INIT;
	int rc = 1;

	if (a->folder && strcmp(a->folder, folder) == 0)
		return 1;
	maildir_again_close(m);
	a->folder = strdup(folder);
	if (!a->folder)
		return err_set(e, ERR_LOCAL, "out of memory");
	if (maildir_box_path(m, folder, &box, &why) < 0)
		rc = 0;
	if (rc > 0)
		a->dirs.cur = maildir_open_part(m, m->root, box.s, "cur", false, &why);
	if (rc > 0 && a->dirs.cur >= 0)
		a->dirs.fresh = maildir_open_part(m, m->root, box.s, "new", false, &why);
	if (rc > 0 && (a->dirs.cur < 0 || a->dirs.fresh < 0))
		rc = 0;
	maildir_files_clear(&a->files);
	if (rc > 0 && maildir_files_read(m, &a->dirs, &a->files, NULL, NULL, &why) < 0)
		rc = 0;
	strbuf_release(&box);
	if (rc > 0)
		return 1;
	maildir_again_close(m);
	if (why.kind == ERR_CANCEL && e)
		*e = why;
	log_debug("what '%s' holds can't be used: %s", folder, why.text);
	return why.kind == ERR_CANCEL ? -1 : 0;
}

/* Open the other folder's file, if it is what the base says. */
static int open_file(struct maildir *m, struct slice key, const struct staged *as, struct stat *st)
{
	const struct maildir_again *a = &m->again;
	size_t i;
	int fd;

	if (!maildir_files_find(&a->files, key, &i))
		return -1;
	fd = openat(a->files.a.a[i].in_cur ? a->dirs.cur : a->dirs.fresh, maildir_file_name(&a->files, i), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd >= 0 && (fstat(fd, st) < 0 || !S_ISREG(st->st_mode) || (as->size != 0 && (uint64_t)st->st_size != as->size)))
		maildir_close_fd(&fd);
	return fd;
}

/* Are a file's bytes still those of the message? They are digested as store_read_idents does it: of one that came with CR CR LF it can't be said, and it is read anew. */
static bool holds(struct maildir *m, int from, const struct staged *as)
{
	unsigned char digest[DIGEST_SIZE];
	struct err why = ERR_INIT;
	struct eol eol = { 0 };
	char last;
	ssize_t n;
	bool ok = true;

	while ((n = fs_read(from, m->in, MAILDIR_CHUNK, m->what.s, &why)) > 0)
		ok &= digest_put(m->digest, m->out, eol_to_lf(&eol, m->in, (size_t)n, m->out)) == 0;
	if (eol_end(&eol, &last) > 0)
		ok &= digest_put(m->digest, &last, 1) == 0;
	ok &= digest_end(m->digest, digest) == 0; /* in any case: ready for the next */
	if (n < 0)
		log_debug("what '%s' holds can't be used: %s", m->again.folder, why.text);
	return n == 0 && ok && memcmp(digest, as->digest, DIGEST_SIZE) == 0;
}

/* Copy the bytes as they are: 1; 0 they can't be read; -1. */
static int copy(struct maildir *m, int from, struct maildir_rec *r, int64_t date, struct err *e)
{
	struct err why = ERR_INIT;
	ssize_t n = 0;
	int rc = 1;

	if (lseek(from, 0, SEEK_SET) < 0)
		return 0;
	if (maildir_new_file(m, r, e) < 0)
		return -1;
	while (rc == 1 && (n = fs_read(from, m->in, MAILDIR_CHUNK, m->what.s, &why)) > 0)
		if (fs_write_all(r->fd, m->in, (size_t)n, m->what.s, e) < 0)
			rc = -1;
	if (n < 0) {
		log_debug("what '%s' holds can't be used: %s", m->again.folder, why.text);
		rc = 0;
	}
	if (rc == 1)
		maildir_set_date(r, date);
	else
		maildir_drop_file(m, r);
	return rc;
}

/* store_ops.stage_again */
int maildir_stage_again(struct store *s, const char *folder, struct slice key, const struct staged *as, const struct store_meta *meta, struct staged *out, struct err *e)
{
	struct maildir *m = maildir_of(s);
	struct maildir_rec r = { .fd = -1, .named = true, .flags = meta->flags };
	const struct timespec now[2] = { { .tv_nsec = UTIME_NOW }, { .tv_nsec = UTIME_OMIT } };
	struct stat st;
	int rc, from;

	if (m->tmp < 0)
		return err_set(e, ERR_BUG, "maildir: no box is open");
	rc = open_other(m, folder, e);
	if (rc <= 0)
		return rc;
	from = open_file(m, key, as, &st);
	if (from < 0)
		return 0;
	if (!holds(m, from, as)) {
		close(from);
		return 0;
	}
	maildir_new_name(m, r.name, sizeof(r.name));
	rc = maildir_put_one_more(m, e) < 0 ? -1 : 1;
	/* what was not read for long is taken for stale in tmp/ */
	if (rc == 1 && ((meta->date != 0 && st.st_mtime != meta->date) || futimens(from, now) < 0 || maildir_give_name(from, m->tmp, r.name) < 0)) {
		rc = copy(m, from, &r, meta->date ? meta->date : st.st_mtime, e);
	} else if (rc == 1) {
		/* whoever wrote it may not have waited for the disk: harden does */
		r.fd = from;
		m->open++;
		from = -1;
	}
	maildir_close_fd(&from);
	if (rc <= 0)
		return rc;
	if (vec_push(&m->recs, r) < 0) {
		maildir_drop_file(m, &r);
		return err_set(e, ERR_LOCAL, "out of memory");
	}
	*out = *as;
	out->size = (uint64_t)st.st_size;
	snprintf(out->key, sizeof(out->key), "%s", r.name);
	out->hint[0] = '\0';
	return 1;
}
