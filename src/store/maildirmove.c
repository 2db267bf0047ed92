/* Moves of messages to another folder: renames. A file keeps its name, but for the UID of another program in it; new/ stays new/. The new name is on disk before the old one is given up there. */
#include "store/maildir_p.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"

/* One message that was moved. */
struct moved {
	uint64_t num;
	char key[MAILDIR_UNIQUE_MAX + 1];
};

struct moving {
	struct maildir_dirs to;
	struct maildir_files there; /* what they hold at first */
	struct maildir_words words;
	uint32_t used; /* letters there */
	VEC(struct moved) done;
	bool cur, fresh; /* from and to these */
};

/* Give a message's file its place there; a name that means another message there, in whatever directory and with whatever flags, is none for it. -1 with errno */
static int give(struct maildir *m, struct moving *w, size_t i, const char *add, const char *del, char key[MAILDIR_UNIQUE_MAX + 1])
{
	struct slice unique = maildir_file_unique(&m->files, i);
	char spelled[NAME_MAX + 1], bare[NAME_MAX + 1], fresh[192], dest[NAME_MAX + 1 + sizeof(fresh)];
	const char *name = maildir_file_name(&m->files, i);
	size_t n = unique.n;
	int to = m->files.a.a[i].in_cur ? w->to.cur : w->to.fresh;
	size_t other;

	if (add[0] || del[0]) {
		if (!maildir_new_info(slice_str(name), unique, add, del, spelled)) {
			errno = ENAMETOOLONG;
			return -1;
		}
		name = spelled;
	}
	if (maildir_without_uid(name, &n, bare, sizeof(bare)))
		name = bare;
	if (maildir_files_find(&w->there, slice_of(name, n), &other)) {
		maildir_new_name(m, fresh, sizeof(fresh));
		snprintf(dest, sizeof(dest), "%s%s", fresh, name + n);
		name = dest;
		n = strlen(fresh);
	}
	if (maildir_give(m, i, to, name, n, key) < 0)
		return -1;
	/* two that differed in the UID alone must not be called the same there */
	if (name == bare)
		maildir_files_put(&w->there, slice_str(key), strlen(key), true, 0, NULL);
	return 0;
}

/* Move one: 0 it is there (or gone: without a key), 1 it can't be moved (e says why), -1. */
static int move_one(struct maildir *m, struct moving *w, size_t i, char key[MAILDIR_UNIQUE_MAX + 1], struct err *e)
{
	key[0] = '\0';
	for (int tries = 0; tries < MAILDIR_TRIES; tries++) {
		bool in_cur = m->files.a.a[i].in_cur, linked = m->files.a.a[i].linked;
		char add[MAILDIR_INFO_MAX], del[MAILDIR_INFO_MAX];
		struct stat st;
		int rc;

		if (m->files.a.a[i].gone)
			return 0;
		if (maildir_is_twin(m, i, "moved", e))
			return 1;
		if (maildir_words_carry(&m->words, &w->words, w->used, slice_str(maildir_file_name(&m->files, i)),
		                        maildir_file_unique(&m->files, i), add, del, e) < 0)
			return -1;
		if (fstatat(maildir_dir_of(m, i), maildir_file_name(&m->files, i), &st, AT_SYMLINK_NOFOLLOW) == 0 && give(m, w, i, add, del, key) == 0) {
			*(in_cur ? &w->cur : &w->fresh) = true;
			maildir_files_drop(&m->files, i);
			if (linked)
				w->cur = w->fresh = true;
			return linked ? maildir_remove_links(m, i, &st, e) : 0;
		}
		if (errno != ENOENT)
			return maildir_fail_file(m, i, "move", e);
		rc = maildir_locate_again(m, i, &st, e);
		if (rc < 0)
			return e && e->span == SPAN_MSG ? 1 : -1;
	}
	err_set_span(e, ERR_TEMP, SPAN_MSG, "a message in %s is renamed again and again", m->at.s);
	return 1;
}

/* Have it on disk: the new names first. */
static int sync_moves(struct maildir *m, const struct moving *w, struct err *e)
{
	if ((w->cur && fs_sync(w->to.cur, "cur/ of the other folder", e) < 0) || (w->fresh && fs_sync(w->to.fresh, "new/ of the other folder", e) < 0) ||
	    (w->cur && fs_sync(m->cur, "cur/", e) < 0) || (w->fresh && fs_sync(m->fresh, "new/", e) < 0))
		return err_in(e, "%s", m->at.s);
	return 0;
}

static int move_all(struct maildir *m, struct moving *w, const uint64_t *nums, size_t n,
                    void (*done)(void *arg, uint64_t num, struct slice key, const struct err *why), void *arg, struct err *e)
{
	const struct maildir_dirs d = { m->fresh, m->cur };

	/* only the directories show whether a unique name is unique */
	if (n > 0 && m->files.pass == 0 && maildir_files_read(m, &d, &m->files, NULL, NULL, e) < 0)
		return -1;
	maildir_files_clear(&w->there);
	if (n > 0 && maildir_files_read(m, &w->to, &w->there, NULL, NULL, e) < 0)
		return -1;
	w->used = maildir_letters_used(&w->there);
	for (size_t k = 0; k < n; k++) {
		struct moved x = { .num = nums[k] };
		struct err why = ERR_INIT;
		size_t i = 0;
		int rc;

		if (clock_check(e) < 0 || maildir_file_of(m, nums[k], &i, e) < 0)
			return -1;
		rc = move_one(m, w, i, x.key, &why);
		if (rc < 0) {
			if (e)
				*e = why;
			return -1;
		}
		if (rc > 0 && x.key[0] == '\0')
			done(arg, nums[k], (struct slice){ 0 }, &why);
		else if (vec_push(&w->done, x) < 0)
			return err_set(e, ERR_LOCAL, "out of memory");
	}
	if (sync_moves(m, w, e) < 0)
		return -1;
	for (size_t k = 0; k < w->done.n; k++)
		done(arg, w->done.a[k].num, slice_str(w->done.a[k].key), NULL);
	return 0;
}

/* store_ops.move */
int maildir_move(struct store *s, const uint64_t *nums, size_t n, const char *folder, struct keyword_view *there,
                 void (*done)(void *arg, uint64_t num, struct slice key, const struct err *why), void *arg, struct err *e)
{
	struct maildir *m = maildir_of(s);
	struct strbuf box = STRBUF_INIT(16384), at = STRBUF_INIT(65536);
	struct moving w = { .to = { -1, -1 }, .words = { .dir = -1, .view = there } };
	int rc;

	if (m->cur < 0)
		return err_set(e, ERR_BUG, "maildir: no box is open");
	rc = maildir_box_path(m, folder, &box, e);
	if (rc == 0) {
		w.to.cur = maildir_open_part(m, m->root, box.s, "cur", false, e);
		rc = w.to.cur < 0 ? -1 : 0;
	}
	if (rc == 0) {
		w.to.fresh = maildir_open_part(m, m->root, box.s, "new", true, e);
		rc = w.to.fresh < 0 ? -1 : 0;
	}
	if (rc == 0 && there) {
		w.words.dir = fs_open_beneath(m->root, box.s, O_RDONLY | O_DIRECTORY, 0, e);
		rc = w.words.dir < 0 || strbuf_printf(&at, "%s/%s", m->path, box.s) < 0 ? err_in(e, "%s", m->path) : 0;
		w.words.at = at.s;
	}
	if (rc == 0)
		rc = maildir_words_read(&w.words, e);
	if (rc == 0)
		rc = move_all(m, &w, nums, n, done, arg, e);
	strbuf_release(&box);
	strbuf_release(&at);
	maildir_close_fd(&w.words.dir);
	maildir_close_fd(&w.to.cur);
	maildir_close_fd(&w.to.fresh);
	vec_release(&w.done);
	maildir_files_release(&w.there);
	if (rc < 0)
		maildir_of_box(e);
	maildir_close(s);
	return rc;
}
