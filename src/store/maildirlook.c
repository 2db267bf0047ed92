/* What has changed in the folders of a Maildir: see store.h. A folder's stamp spares reading it; what is read is told whole. */
#include "store/maildir_p.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "mail/flags.h"

/* Announce. */
int maildir_look(struct store *s, const struct look *l, size_t n, unsigned how, struct err *e)
{
	struct maildir *m = maildir_of(s);

	(void)how; /* nothing is held between two looks */
	maildir_close(s);
	m->root = maildir_open_root(m, false, e);
	if (m->root < 0)
		return -1;
	m->looks = l;
	m->n_looks = n;
	m->look_at = 0;
	return 0;
}

/* Open the directories of a folder. */
static int open_dirs(struct maildir *m, const char *folder, struct maildir_dirs *d, struct err *e)
{
	struct strbuf box = STRBUF_INIT(16384);
	int rc = maildir_box_path(m, folder, &box, e);

	if (rc == 0)
		rc = maildir_set_at(m, box.s, e);
	if (rc == 0)
		rc = d->cur = maildir_open_part(m, m->root, box.s, "cur", false, e);
	if (rc >= 0) {
		/* what was kept by a program that knows no empty directories (git) has no new/ */
		rc = strbuf_puts(&box, "/new") < 0 ? err_set(e, ERR_LOCAL, "out of memory") : maildir_open_dir(m, m->root, box.s, e);
		d->fresh = rc < 0 ? -1 : rc;
		rc = rc == -1 ? -1 : 0;
	}
	if (rc == 0 && m->words.view) {
		m->words.dir = fs_open_beneath(m->root, strbuf_str(&m->box), O_RDONLY | O_DIRECTORY, 0, e);
		rc = m->words.dir < 0 ? err_in(e, "%s", m->at.s) : 0;
	}
	strbuf_release(&box);
	return rc;
}

/* For one key of the base: whether the directories didn't show it. */
struct absence {
	struct maildir *m;
	const struct look *look;
	bool found; /* one that is absent */
};

/* A key of the base. -1 without an error ends the search. */
static int one_known(void *to, struct slice key, struct err *e)
{
	struct absence *a = to;
	size_t i;

	(void)e;
	a->found = !maildir_files_find(&a->m->files, key, &i) || a->m->files.a.a[i].gone;
	return a->found ? -1 : 0;
}

/* Whether a message of the base is not shown. */
static int any_absent(void *arg, struct err *e)
{
	struct absence *a = arg;

	a->found = false;
	if (!a->look->known)
		return false;
	if (a->look->known(a->look->arg, a->look->folder, one_known, a, e) < 0 && !a->found)
		return -1;
	return a->found;
}

/*
 * What the letters mean, once they were seen: Dovecot gives one to a file before it says what it means, and holds a lock the while. While it does, there is no stamp.
 */
static int look_at_words(struct maildir *m, uint32_t used, bool all, struct box_info *out, struct err *e)
{
	struct maildir_words *w = &m->words;

	w->at = m->at.s;
	if (maildir_words_read(w, e) < 0)
		return -1;
	if (w->view && w->usable && used & ~w->named) {
		if (maildir_words_locked(w))
			out->stamp[0] = '\0';
		else if (maildir_words_read(w, e) < 0)
			return -1;
	}
	maildir_words_tell(w, used, all, out);
	return 0;
}

/* Look at one folder whose directories are open. */
static int look_at(struct maildir *m, const struct look *l, const struct maildir_dirs *d, struct box_info *out, struct err *e)
{
	struct absence a = { .m = m, .look = l };
	int64_t now = maildir_now();
	struct maildir_stamp stamp;
	bool known;

	if (maildir_stamp(d, &stamp) < 0)
		return err_errno(e, "can't look at %s", strbuf_str(&m->at));
	out->read_only = maildir_read_only(d->cur) || (d->fresh >= 0 && maildir_read_only(d->fresh));
	if (out->read_only)
		log_warn("%s can't be written: what the other side has is not brought there", strbuf_str(&m->at));
	maildir_stamp_print(&stamp, now, out->stamp);
	known = maildir_files_resume(&m->files, &stamp);
	if (out->stamp[0] && l->stamp && !l->all && strcmp(out->stamp, l->stamp) == 0) {
		out->extent = LOOK_SAME;
		return look_at_words(m, 0, false, out, e);
	}
	out->stamp[0] = '\0';
	if (!known && maildir_files_read(m, d, &m->files, any_absent, &a, e) < 0)
		return -1;
	/* a reading that isn't exact may have missed what is new; and by a stamp each key is one file */
	if (m->files.exact && !m->files.doubled)
		maildir_stamp_print(&m->files.stamp, m->files.began, out->stamp);
	out->extent = LOOK_ALL;
	out->messages = m->files.live;
	m->looking = true;
	return look_at_words(m, maildir_letters_used(&m->files), true, out, e);
}

/* The next folder. */
int maildir_look_box(struct store *s, size_t *i, struct box_info *out, struct err *e)
{
	struct maildir *m = maildir_of(s);
	struct maildir_dirs d = { -1, -1 };
	int rc;

	memset(out, 0, sizeof(*out));
	m->file_at = 0;
	m->looking = false;
	if (m->root < 0 || !m->looks)
		return err_set(e, ERR_BUG, "maildir: nothing to look at was announced");
	if (m->look_at >= m->n_looks)
		return 0;
	*i = m->look_at++;
	m->words = (struct maildir_words){ .dir = -1, .view = m->looks[*i].keywords };
	rc = open_dirs(m, m->looks[*i].folder, &d, e);
	if (rc == 0)
		rc = look_at(m, &m->looks[*i], &d, out, e);
	maildir_close_fd(&m->words.dir);
	maildir_close_fd(&d.fresh);
	maildir_close_fd(&d.cur);
	if (rc == 0)
		return 1;
	return maildir_of_box(e);
}

/* The next message of the folder. Sizes and dates would cost a call each: find tells them. */
int maildir_look_next(struct store *s, struct store_msg *out, struct err *e)
{
	struct maildir *m = maildir_of(s);
	const struct maildir_files *f = &m->files;

	(void)e;
	while (m->looking && m->file_at < f->a.n) {
		size_t i = m->file_at++;

		if (f->a.a[i].gone || f->a.a[i].taken)
			continue;
		*out = (struct store_msg){ .key = maildir_file_unique(f, i), .flags = maildir_flags(m, i) };
		return 1;
	}
	return 0;
}

/* The message of a key. */
bool maildir_look_take(struct store *s, struct slice key, struct store_msg *out)
{
	struct maildir *m = maildir_of(s);
	struct maildir_files *f = &m->files;
	size_t i;

	if (!m->looking || !maildir_files_find(f, key, &i) || f->a.a[i].gone)
		return false;
	f->a.a[i].taken = true;
	*out = (struct store_msg){ .key = maildir_file_unique(f, i), .flags = maildir_flags(m, i) };
	return true;
}

/* Where other programs keep their notes of a folder. */
int maildir_folder_dir(struct store *s, const char *folder, struct err *e)
{
	struct maildir *m = maildir_of(s);
	struct strbuf box = STRBUF_INIT(16384);
	int root = -1, fd = maildir_box_path(m, folder, &box, e);

	if (fd == 0)
		fd = root = maildir_open_root(m, false, e);
	if (fd >= 0)
		fd = maildir_open_dir(m, root, box.s, e);
	if (fd == MAILDIR_ABSENT)
		err_set(e, ERR_LOCAL, "%s: folder '%s' is gone", m->path, folder);
	maildir_close_fd(&root);
	strbuf_release(&box);
	return fd < 0 ? maildir_of_box(e) : fd;
}
