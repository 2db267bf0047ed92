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

/* Remove one: 0 it is there no more, 1 it can't be removed (e says why), -1. */
static int remove_one(struct maildir *m, size_t i, struct err *e)
{
	for (int tries = 0; tries < MAILDIR_TRIES; tries++) {
		bool linked = m->files.a.a[i].linked;
		struct stat st;
		int rc;

		if (m->files.a.a[i].gone)
			return 0;
		if (maildir_is_twin(m, i, "removed", e))
			return 1;
		if (fstatat(maildir_dir_of(m, i), maildir_file_name(&m->files, i), &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    (m->trash >= 0 ? to_trash(m, i) : unlinkat(maildir_dir_of(m, i), maildir_file_name(&m->files, i), 0)) == 0) {
			*(m->files.a.a[i].in_cur ? &m->changed_cur : &m->changed_fresh) = true;
			maildir_files_drop(&m->files, i);
			return linked ? maildir_remove_links(m, i, &st, e) : 0;
		}
		if (errno != ENOENT)
			return maildir_fail_file(m, i, m->trash >= 0 ? "move to the trash" : "remove", e);
		rc = maildir_locate_again(m, i, &st, e);
		if (rc < 0)
			return e && e->span == SPAN_MSG ? 1 : -1;
	}
	err_set_span(e, ERR_TEMP, SPAN_MSG, "a message in %s is renamed again and again", m->at.s);
	return 1;
}

/* Remove messages. */
int maildir_remove(struct store *s, const uint64_t *nums, size_t n,
                   void (*done)(void *arg, uint64_t num, const struct err *why), void *arg, struct err *e)
{
	struct maildir *m = maildir_of(s);
	const struct maildir_dirs d = maildir_dirs_of(m);

	if (m->cur < 0)
		return err_set(e, ERR_BUG, "maildir: no box is open");
	if (open_trash(m, e) < 0)
		return maildir_of_box(e);
	/* only the directories show whether a unique name is unique */
	if (n > 0 && m->files.pass == 0 && maildir_files_read(m, &d, &m->files, NULL, NULL, e) < 0)
		return maildir_of_box(e);
	for (size_t k = 0; k < n; k++) {
		struct err why = ERR_INIT;
		size_t i = 0;
		int rc;

		if (clock_check(e) < 0 || maildir_file_of(m, nums[k], &i, e) < 0)
			return -1;
		rc = remove_one(m, i, &why);
		if (rc < 0) {
			if (e)
				*e = why;
			return -1;
		}
		done(arg, nums[k], rc == 0 ? NULL : &why);
	}
	return 0;
}

/* Make removals durable, those of the trash first. */
int maildir_commit(struct store *s, struct err *e)
{
	struct maildir *m = maildir_of(s);
	int rc = 0;

	if (m->cur < 0)
		return err_set(e, ERR_BUG, "maildir: no box is open");
	if (m->trash >= 0 && (m->changed_cur || m->changed_fresh))
		rc = fs_sync(m->trash, "the trash", e);
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
		flags = maildir_flags(m, name);
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
