/* Messages of an open box are removed, or moved to the trash, and flagged: all of it by names, which others may change meanwhile. */
#include "store/maildir_p.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "mail/flags.h"

/* Find the trash, unless it is the open box: m->trash. */
static int open_trash(struct maildir *m, struct err *e)
{
	struct strbuf box = STRBUF_INIT(16384);
	struct maildir_times here, there;
	int rc = 0;

	if (m->trash_asked)
		return 0;
	if (m->store.trash) {
		rc = maildir_box_path(m, m->store.trash, &box, e);
		if (rc == 0)
			rc = maildir_make_box(m, m->root, box.s, e);
		if (rc == 0) {
			m->trash = maildir_open_part(m, m->root, box.s, "cur", false, e);
			rc = m->trash < 0 ? -1 : 0;
		}
		if (rc == 0 && maildir_times(m->cur, "", &here) == 0 && maildir_times(m->trash, "", &there) == 0 && here.dev == there.dev &&
		    here.ino == there.ino)
			maildir_close_fd(&m->trash);
		strbuf_release(&box);
	}
	if (rc < 0)
		return err_in(e, "the trash '%s'", m->store.trash);
	m->trash_asked = true;
	return 0;
}

/*
 * A message's name with other flags. What we don't know among its letters stays, in ASCII order as the Maildir rules want it, and what follows after a comma,
 * too. False when that is too long for a name.
 */
bool maildir_new_info(struct slice name, struct slice unique, const char *add, const char *del, char out[NAME_MAX + 1])
{
	struct slice info = slice_of(name.p + unique.n, name.n - unique.n);
	bool has[256] = { false };
	size_t n = 0;

	if (slice_starts(info, ":2,")) {
		info = slice_of(info.p + 3, info.n - 3);
		for (; info.n > 0 && info.p[0] != ','; info = slice_of(info.p + 1, info.n - 1))
			has[(unsigned char)info.p[0]] = true;
	} else {
		info.n = 0; /* of another kind: there is but one kind with flags */
	}
	for (const char *p = del; *p; p++)
		has[(unsigned char)*p] = false;
	for (const char *p = add; *p; p++)
		has[(unsigned char)*p] = true;
	if (unique.n + 3 + info.n > NAME_MAX)
		return false;
	memcpy(out, unique.p, unique.n);
	n = unique.n;
	memcpy(out + n, ":2,", 3);
	n += 3;
	for (size_t c = 1; c < 256; c++) {
		if (has[c] && n + 1 + info.n > NAME_MAX)
			return false;
		if (has[c])
			out[n++] = (char)c;
	}
	if (info.n > 0)
		memcpy(out + n, info.p, info.n);
	out[n + info.n] = '\0';
	return true;
}

/* Move a file to another directory. */
int maildir_give(struct maildir *m, size_t i, int to, const char *name, size_t unique_n, char unique[MAILDIR_UNIQUE_MAX + 1])
{
	char fresh[192], dest[NAME_MAX + 1 + sizeof(fresh)];

	size_t n = unique_n; /* of dest */

	snprintf(dest, sizeof(dest), "%s", name);
	for (int tries = 0; tries < MAILDIR_TRIES; tries++) {
		if (maildir_rename_new(maildir_dir_of(m, i), maildir_file_name(&m->files, i), to, dest) == 0) {
			snprintf(unique, MAILDIR_UNIQUE_MAX + 1, "%.*s", (int)n, dest);
			return 0;
		}
		if (errno != EEXIST)
			return -1;
		/* a copy of it is there: it gets a name of its own */
		maildir_new_name(m, fresh, sizeof(fresh));
		snprintf(dest, sizeof(dest), "%s%s", fresh, name + unique_n);
		n = strlen(fresh);
	}
	return -1;
}

/* Move a file to the trash, where it is no longer marked as deleted, and letters may mean other keywords: those that mean one here are taken off. 0, -1 with errno. */
static int to_trash(struct maildir *m, size_t i)
{
	struct slice name = slice_str(maildir_file_name(&m->files, i)), part = maildir_file_unique(&m->files, i);
	char kept[NAME_MAX + 1], unique[MAILDIR_UNIQUE_MAX + 1], del[MAILDIR_INFO_MAX];

	maildir_words_spell(&m->words, FLAG_DELETED | FLAGS_KEYWORDS, true, del);
	if (!maildir_new_info(name, part, "", del, kept)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return maildir_give(m, i, m->trash, kept, part.n, unique);
}

/* Remove a message's other names, should a link(2) and unlink(2) of somebody have been cut between. */
int maildir_remove_links(struct maildir *m, size_t i, const struct stat *was, struct err *e)
{
	for (int tries = 0; tries < MAILDIR_TRIES; tries++) {
		struct stat st;
		int rc = maildir_locate_again(m, i, &st, e);

		if (rc <= 0)
			return rc;
		if (st.st_ino != was->st_ino || st.st_dev != was->st_dev)
			return 0;
		if (unlinkat(maildir_dir_of(m, i), maildir_file_name(&m->files, i), 0) < 0 && errno != ENOENT)
			return maildir_fail_file(m, i, "remove", e);
	}
	return 0;
}

/* Nobody knows which of two files was ever elsewhere. */
int maildir_is_twin(const struct maildir *m, size_t i, const char *done, struct err *e)
{
	struct slice unique = maildir_file_unique(&m->files, i);

	if (!m->files.a.a[i].twin)
		return 0;
	err_set_span(e, ERR_LOCAL, SPAN_MSG, "%s: two files are called %.*s, and neither is %s", m->at.s, (int)unique.n, unique.p, done);
	err_hint(e, "give one of them another name");
	return 1;
}

/* A message of which a copy is kept, and that is still to be removed. */
struct copied {
	uint64_t num;
	size_t i;
	ino_t ino;
	bool in_cur;
	char copy[NAME_MAX + 1];
};

#define COPIES_MAX 1000 /* so many are synced together */

/* Have a file no more where it is: 0, 1 a copy is kept and it is still there, -1 with errno. c NULL: of what is to be removed a copy is kept already. */
static int take_away(struct maildir *m, size_t i, struct copied *c)
{
	int dir = maildir_dir_of(m, i);
	const char *name = maildir_file_name(&m->files, i);

	if (m->trash >= 0)
		return to_trash(m, i);
	if (!m->keep.open || !c)
		return unlinkat(dir, name, 0);
	c->in_cur = m->files.a.a[i].in_cur;
	return maildir_keep(m, dir, name, m->files.a.a[i].unique_n, c->in_cur, c->copy);
}

/* An error (errno) with one: 1 when the others can go on, as they can where one can't be kept. */
static int fail_remove(const struct maildir *m, size_t i, bool keeping, struct err *e)
{
	int rc = maildir_fail_file(m, i, m->trash >= 0 ? "move to the trash" : keeping ? "keep a copy of" : "remove", e);

	if (!keeping)
		return rc;
	quarantine_hint(e);
	if (e)
		e->span = SPAN_MSG;
	return 1;
}

/* Remove one: 0 it is there no more, 1 it can't be removed (e says why), 2 a copy is kept (*c), -1. again: that was done; it is removed if it is still that file. */
static int remove_one(struct maildir *m, size_t i, struct copied *c, bool again, struct err *e)
{
	for (int tries = 0; tries < MAILDIR_TRIES; tries++) {
		bool linked = m->files.a.a[i].linked;
		struct stat st;
		int rc;

		if (m->files.a.a[i].gone)
			return 0;
		if (maildir_is_twin(m, i, "removed", e))
			return 1;
		rc = fstatat(maildir_dir_of(m, i), maildir_file_name(&m->files, i), &st, AT_SYMLINK_NOFOLLOW);
		if (rc == 0 && again && st.st_ino != c->ino) {
			err_set_span(e, ERR_TEMP, SPAN_MSG, "a message in %s was replaced by another just now", m->at.s);
			return 1;
		}
		if (rc == 0)
			rc = take_away(m, i, again ? NULL : c);
		if (rc > 0) {
			c->ino = st.st_ino;
			return 2;
		}
		if (rc == 0) {
			*(m->files.a.a[i].in_cur ? &m->changed_cur : &m->changed_fresh) = true;
			maildir_files_drop(&m->files, i);
			return linked ? maildir_remove_links(m, i, &st, e) : 0;
		}
		if (errno != ENOENT)
			return fail_remove(m, i, m->keep.open && !again, e);
		rc = maildir_locate_again(m, i, &st, e);
		if (rc < 0)
			return e && e->span == SPAN_MSG ? 1 : -1;
	}
	err_set_span(e, ERR_TEMP, SPAN_MSG, "a message in %s is renamed again and again", m->at.s);
	return 1;
}

/* What is removed once its copies are safe. */
struct copies {
	VEC(struct copied) a;
	void (*done)(void *arg, uint64_t num, const struct err *why);
	void *arg;
};

/* Remove what copies are kept of. On -1 the copies of what is still there are given up. */
static int remove_copied(struct maildir *m, struct copies *c, struct err *e)
{
	size_t k = 0;
	int rc = c->a.n > 0 ? maildir_keep_sync(m, e) : 0;

	for (; rc == 0 && k < c->a.n; k++) {
		struct copied *one = &c->a.a[k];
		struct err why = ERR_INIT;

		rc = remove_one(m, one->i, one, true, &why);
		if (rc < 0) {
			if (e)
				*e = why;
			break;
		}
		if (rc > 0)
			maildir_keep_not(m, one->copy, one->in_cur);
		else
			m->store.quarantine->kept++;
		c->done(c->arg, one->num, rc == 0 ? NULL : &why);
		rc = 0;
	}
	for (; k < c->a.n; k++)
		maildir_keep_not(m, c->a.a[k].copy, c->a.a[k].in_cur);
	vec_clear(&c->a);
	return rc;
}

static int remove_all(struct maildir *m, const uint64_t *nums, size_t n, struct copies *copies, struct err *e)
{
	for (size_t k = 0; k < n; k++) {
		struct err why = ERR_INIT;
		struct copied c;
		size_t i = 0;
		int rc;

		if (clock_check(e) < 0 || maildir_file_of(m, nums[k], &i, e) < 0)
			return -1;
		rc = remove_one(m, i, &c, false, &why);
		if (rc < 0) {
			if (e)
				*e = why;
			return -1;
		}
		if (rc < 2) {
			copies->done(copies->arg, nums[k], rc == 0 ? NULL : &why);
			continue;
		}
		c.num = nums[k];
		c.i = i;
		if (vec_push(&copies->a, c) < 0) {
			maildir_keep_not(m, c.copy, c.in_cur);
			return err_set(e, ERR_LOCAL, "out of memory");
		}
		if (copies->a.n == COPIES_MAX && remove_copied(m, copies, e) < 0)
			return -1;
	}
	return 0;
}

/* Remove messages. */
int maildir_remove(struct store *s, const uint64_t *nums, size_t n,
                   void (*done)(void *arg, uint64_t num, const struct err *why), void *arg, struct err *e)
{
	struct maildir *m = maildir_of(s);
	const struct maildir_dirs d = maildir_dirs_of(m);
	struct copies copies = { .done = done, .arg = arg };
	int rc;

	if (m->cur < 0)
		return err_set(e, ERR_BUG, "maildir: no box is open");
	if (open_trash(m, e) < 0 || (n > 0 && m->trash < 0 && maildir_keep_open(m, m->folder.s, false, e) < 0))
		return maildir_of_box(e);
	/* only the directories show whether a unique name is unique: now, or when there was a stamp */
	if (n > 0 && m->files.pass == 0 && !m->unchanged && maildir_files_read(m, &d, &m->files, NULL, NULL, e) < 0)
		return maildir_of_box(e);
	rc = remove_all(m, nums, n, &copies, e);
	/* also when not all are: what a copy is kept of is removed, or the copy is */
	if (remove_copied(m, &copies, rc == 0 ? e : NULL) < 0)
		rc = -1;
	vec_release(&copies.a);
	return rc;
}

/* Make removals durable, those of the trash and the quarantine first. */
int maildir_commit(struct store *s, struct err *e)
{
	struct maildir *m = maildir_of(s);
	int rc = 0;

	if (m->cur < 0)
		return err_set(e, ERR_BUG, "maildir: no box is open");
	if (m->trash >= 0 && (m->changed_cur || m->changed_fresh))
		rc = fs_sync(m->trash, "the trash", e);
	if (rc == 0 && m->keep.open)
		rc = maildir_keep_sync(m, e);
	if (rc == 0 && m->changed_cur)
		rc = fs_sync(m->cur, "cur/", e);
	if (rc == 0 && m->changed_fresh)
		rc = fs_sync(m->fresh, "new/", e);
	if (rc < 0)
		err_in(e, "%s", m->at.s);
	maildir_close(s);
	return rc;
}

/* Give a message's file another name in cur/. 0, -1 with errno. */
static int rename_one(struct maildir *m, size_t i, const char *dest)
{
	const char *name = maildir_file_name(&m->files, i);
	struct stat ours, theirs;

	if (m->files.a.a[i].in_cur && strcmp(name, dest) == 0)
		return fstatat(m->cur, name, &ours, AT_SYMLINK_NOFOLLOW);
	if (maildir_rename_new(maildir_dir_of(m, i), name, m->cur, dest) == 0)
		return 0;
	if (errno != EEXIST)
		return -1;
	/* the same file under two names (see remove_links) is brought to one */
	if (fstatat(maildir_dir_of(m, i), name, &ours, AT_SYMLINK_NOFOLLOW) == 0 && fstatat(m->cur, dest, &theirs, AT_SYMLINK_NOFOLLOW) == 0 &&
	    ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev)
		return unlinkat(maildir_dir_of(m, i), name, 0);
	errno = EEXIST;
	return -1;
}

/* Change the flags of one: 0 they are so (or it is gone), 1 they can't be changed (e says why), -1. */
static int flag_one(struct maildir *m, size_t i, const struct flag_change *c, bool *in_cur, bool *in_new, struct err *e)
{
	for (int tries = 0; tries < MAILDIR_TRIES; tries++) {
		char dest[NAME_MAX + 1], plus[MAILDIR_INFO_MAX], minus[MAILDIR_INFO_MAX];
		struct slice name, unique;
		struct stat st;
		uint64_t flags, add = m->words.view ? c->add & ~m->words.view->refused : c->add & FLAGS_ALL;
		int rc;

		if (m->files.a.a[i].gone)
			return 0;
		name = slice_str(maildir_file_name(&m->files, i));
		unique = maildir_file_unique(&m->files, i);
		flags = maildir_flags(m, i);
		if (((flags & ~c->del) | add) == flags && fstatat(maildir_dir_of(m, i), name.p, &st, AT_SYMLINK_NOFOLLOW) == 0)
			return 0;
		maildir_words_spell(&m->words, add, false, plus);
		maildir_words_spell(&m->words, c->del, true, minus);
		errno = ENAMETOOLONG;
		if (maildir_new_info(name, unique, plus, minus, dest) && rename_one(m, i, dest) == 0) {
			*(m->files.a.a[i].in_cur ? in_cur : in_new) = true;
			*in_cur = true;
			return maildir_files_put(&m->files, slice_str(dest), unique.n, true, m->files.a.a[i].ino, e);
		}
		if (errno != ENOENT)
			return maildir_fail_file(m, i, "change the flags of", e);
		rc = maildir_locate_again(m, i, &st, e);
		if (rc < 0)
			return e && e->span == SPAN_MSG ? 1 : -1;
	}
	err_set_span(e, ERR_TEMP, SPAN_MSG, "a message in %s is renamed again and again", m->at.s);
	return 1;
}

/* Change flags. */
int maildir_set_flags(struct store *s, const struct flag_change *c, size_t n,
                      void (*done)(void *arg, uint64_t num, const struct err *why), void *arg, struct err *e)
{
	struct maildir *m = maildir_of(s);
	bool in_cur = false, in_new = false, *ok;
	uint64_t add = 0;
	int rc;

	if (m->cur < 0)
		return err_set(e, ERR_BUG, "maildir: no box is open");
	ok = calloc(n + 1, sizeof(*ok));
	if (!ok)
		return err_set(e, ERR_LOCAL, "out of memory");
	for (size_t k = 0; k < n; k++)
		add |= c[k].add;
	rc = maildir_need_letters(m, add, e);
	for (size_t k = 0; rc == 0 && k < n; k++) {
		struct err why = ERR_INIT;
		size_t i = 0;

		rc = clock_check(e);
		if (rc == 0)
			rc = maildir_file_of(m, c[k].num, &i, e);
		if (rc < 0)
			break;
		rc = flag_one(m, i, &c[k], &in_cur, &in_new, &why);
		ok[k] = rc == 0;
		if (rc < 0 && e)
			*e = why;
		if (rc > 0) {
			done(arg, c[k].num, &why);
			rc = 0;
		}
	}
	/* the new names first */
	if (rc == 0 && in_cur && fs_sync(m->cur, "cur/", e) < 0)
		rc = err_in(e, "%s", m->at.s);
	if (rc == 0 && in_new && fs_sync(m->fresh, "new/", e) < 0)
		rc = err_in(e, "%s", m->at.s);
	for (size_t k = 0; rc == 0 && k < n; k++)
		if (ok[k])
			done(arg, c[k].num, NULL);
	free(ok);
	return rc;
}
