/*
 * The messages of an open box: found by key, listed, read. Mail readers rename files at any time, so a name is only a guess: a file that isn't where it was is
 * looked for under its likely names, then in the directories; and only where a reading is exact is it taken for gone.
 */
#include "store/maildir_p.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "mail/eol.h"
#include "mail/flags.h"

#define BODY_CHUNK 32768

/* The open box's directories. */
struct maildir_dirs maildir_dirs_of(const struct maildir *m)
{
	return (struct maildir_dirs){ m->fresh, m->cur };
}

/* Where a file is. */
int maildir_dir_of(const struct maildir *m, size_t i)
{
	return m->files.a.a[i].in_cur ? m->cur : m->fresh;
}

static const char *part_of(const struct maildir *m, size_t i)
{
	return m->files.a.a[i].in_cur ? "cur" : "new";
}

/* The message with this handle. */
int maildir_file_of(struct maildir *m, uint64_t num, size_t *i, struct err *e)
{
	if (m->cur < 0 || num == 0 || num > m->files.a.n)
		return err_set(e, ERR_BUG, "maildir: %llu is no message of an open box", (unsigned long long)num);
	*i = (size_t)(num - 1);
	return 0;
}

/* The flags that a file's name shows. */
uint64_t maildir_flags(const struct maildir *m, size_t i)
{
	struct slice info = slice_str(maildir_file_name(&m->files, i) + m->files.a.a[i].unique_n);
	uint32_t letters = maildir_letters_in(info);

	return maildir_info_flags(info) | (letters ? maildir_words_flags(&m->words, letters) : 0);
}

/* Give letters to keywords that have none. */
int maildir_need_letters(struct maildir *m, uint64_t flags, struct err *e)
{
	const struct maildir_dirs d = maildir_dirs_of(m);

	flags = maildir_words_lacking(&m->words, flags);
	if (flags == 0)
		return 0;
	/* only the file names show which letters others use */
	if (maildir_files_read(m, &d, &m->files, NULL, NULL, e) < 0 || maildir_words_need(&m->words, flags, maildir_letters_used(&m->files), e) < 0)
		return maildir_of_box(e);
	return 0;
}

/* Whether an error of the system concerns the one file only. */
static bool only_this(int error)
{
	return error == EACCES || error == EPERM || error == ELOOP || error == ENAMETOOLONG || error == EEXIST || error == EBUSY || error == EISDIR ||
	       error == EXDEV || error == ETXTBSY;
}

/* An error with one file: 1 when the others can go on. */
int maildir_fail_file(const struct maildir *m, size_t i, const char *what, struct err *e)
{
	bool one = only_this(errno);

	err_errno(e, "can't %s %s/%s/%s", what, m->at.s, part_of(m, i), maildir_file_name(&m->files, i));
	if (e)
		e->span = one ? SPAN_MSG : SPAN_BOX;
	return one ? 1 : -1;
}

/* Try one name. 1 there is a file, 0, -1. */
static int try_name(struct maildir *m, bool in_cur, struct slice key, const char *info, struct stat *st, struct err *e)
{
	char name[2 * NAME_MAX];
	struct slice unique, whole;
	uint32_t flags;
	int n = snprintf(name, sizeof(name), "%.*s%s", (int)key.n, key.p, info);

	if (n < 0 || n > NAME_MAX || fstatat(in_cur ? m->cur : m->fresh, name, st, AT_SYMLINK_NOFOLLOW) < 0 || S_ISDIR(st->st_mode))
		return 0;
	whole = slice_of(name, (size_t)n);
	if (!maildir_name(whole, &unique, &flags))
		return 0;
	return maildir_files_put(&m->files, whole, unique.n, in_cur, st->st_ino, e) < 0 ? -1 : 1;
}

/* Try the names that a message is likely to have. */
static int try_names(struct maildir *m, struct slice key, uint64_t flags, struct stat *st, struct err *e)
{
	char letters[MAILDIR_INFO_MAX], info[MAILDIR_INFO_MAX + 3], seen[MAILDIR_INFO_MAX + 3];
	int rc;

	maildir_words_spell(&m->words, flags, false, letters);
	snprintf(info, sizeof(info), ":2,%s", letters);
	maildir_words_spell(&m->words, flags | FLAG_SEEN, false, letters);
	snprintf(seen, sizeof(seen), ":2,%s", letters);
	rc = try_name(m, true, key, info, st, e);
	if (rc == 0)
		rc = try_name(m, false, key, "", st, e);
	if (rc == 0 && strcmp(info, seen) != 0)
		rc = try_name(m, true, key, seen, st, e);
	if (rc == 0 && flags != 0)
		rc = try_name(m, true, key, ":2,", st, e);
	return rc == 0 ? try_name(m, true, key, "", st, e) : rc;
}

/* Take the most likely name for its own, until it is read: 1, -1. */
static int guess(struct maildir *m, struct slice key, uint64_t flags, size_t *i, struct err *e)
{
	char letters[MAILDIR_INFO_MAX], name[2 * NAME_MAX];
	int n;

	maildir_words_spell(&m->words, flags, false, letters);
	n = snprintf(name, sizeof(name), "%.*s:2,%s", (int)key.n, key.p, letters);
	if (n < 0 || n > NAME_MAX)
		n = snprintf(name, sizeof(name), "%.*s", (int)key.n, key.p);
	if (maildir_files_put(&m->files, slice_of(name, (size_t)n), key.n, true, 0, e) < 0)
		return -1;
	m->files.exact = false;
	return maildir_files_find(&m->files, key, i) ? 1 : err_set(e, ERR_BUG, "maildir: a name that was noted is not there");
}

/* A message that is looked for. */
struct wanted {
	const struct maildir *m;
	struct slice key;
};

/* Whether the last reading hasn't shown it. */
static int not_shown(void *arg, struct err *e)
{
	const struct wanted *w = arg;
	size_t i;

	(void)e;
	return !maildir_files_find(&w->m->files, w->key, &i) || w->m->files.a.a[i].pass != w->m->files.pass;
}

/* Whether the files are known exactly, as they are now. */
static bool is_known(const struct maildir *m)
{
	const struct maildir_dirs d = maildir_dirs_of(m);
	struct maildir_stamp now;

	return m->files.exact && maildir_stamp(&d, &now) == 0 && maildir_stamp_eq(&now, &m->files.stamp);
}

/* Find a message's file: 1 with its place, 0 it is gone, -1. key doesn't point into the list. */
static int locate(struct maildir *m, struct slice key, uint64_t flags, size_t *i, struct stat *st, struct err *e)
{
	const struct maildir_dirs d = maildir_dirs_of(m);
	struct wanted w = { m, key };

	for (int tries = 0; tries < MAILDIR_TRIES; tries++) {
		int rc;

		if (maildir_files_find(&m->files, key, i) && !m->files.a.a[*i].gone) {
			if (fstatat(maildir_dir_of(m, *i), maildir_file_name(&m->files, *i), st, AT_SYMLINK_NOFOLLOW) == 0)
				return 1;
			if (errno != ENOENT) {
				maildir_fail_file(m, *i, "look at", e);
				return -1;
			}
		}
		rc = try_names(m, key, flags, st, e);
		if (rc != 0)
			return rc < 0 || !maildir_files_find(&m->files, key, i) ? -1 : 1;
		if (is_known(m)) {
			if (maildir_files_find(&m->files, key, i))
				maildir_files_drop(&m->files, *i);
			return 0;
		}
		if (maildir_files_read(m, &d, &m->files, not_shown, &w, e) < 0) {
			if (e && e->kind == ERR_TEMP)
				e->span = SPAN_MSG;
			return -1;
		}
	}
	return err_set_span(e, ERR_TEMP, SPAN_MSG, "a message in %s is renamed again and again", m->at.s);
}

/* Find the file of a message that isn't where it was. */
int maildir_locate_again(struct maildir *m, size_t i, struct stat *st, struct err *e)
{
	struct slice unique = maildir_file_unique(&m->files, i);
	char key[NAME_MAX + 1];

	memcpy(key, unique.p, unique.n);
	return locate(m, slice_of(key, unique.n), maildir_flags(m, i), &i, st, e);
}

/* What there is to tell of a message. */
static void tell(const struct maildir *m, size_t i, const struct stat *st, struct store_msg *out)
{
	*out = (struct store_msg){ .num = i + 1, .flags = maildir_flags(m, i) };
	if (!st)
		return;
	out->size = S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0;
	out->date = st->st_mtime;
}

/* The message of a key. */
int maildir_find(struct store *s, struct slice key, uint64_t flags, struct store_msg *out, struct err *e)
{
	struct maildir *m = maildir_of(s);
	struct slice unique;
	struct stat st;
	uint32_t none;
	size_t i;
	int rc;

	if (m->cur < 0)
		return err_set(e, ERR_BUG, "maildir: no box is open");
	if (!maildir_name(key, &unique, &none) || unique.n != key.n)
		return 0; /* no file can be called so */
	if (s->will_read && maildir_files_find(&m->files, key, &i) && !m->files.a.a[i].gone)
		rc = 1;
	else
		rc = s->will_read ? guess(m, key, flags, &i, e) : locate(m, key, flags, &i, &st, e);
	if (rc > 0)
		tell(m, i, s->will_read ? NULL : &st, out);
	return rc;
}

/* A listing is wanted that nothing is missing from. */
static int always(void *arg, struct err *e)
{
	(void)arg;
	(void)e;
	return 1;
}

/* List all. */
int maildir_list_start(struct store *s, struct err *e)
{
	struct maildir *m = maildir_of(s);
	const struct maildir_dirs d = maildir_dirs_of(m);

	if (m->cur < 0)
		return err_set(e, ERR_BUG, "maildir: no box is open");
	m->file_at = 0;
	m->listing = true;
	return is_known(m) ? 0 : maildir_files_read(m, &d, &m->files, always, NULL, e);
}

/* The next of them. */
int maildir_list_msg(struct store *s, struct store_msg *out, struct err *e)
{
	struct maildir *m = maildir_of(s);

	if (!m->listing)
		return err_set(e, ERR_BUG, "maildir: no listing was started");
	while (m->file_at < m->files.a.n) {
		size_t i = m->file_at++;
		struct stat st;

		if (m->files.a.a[i].gone)
			continue;
		if (m->sizes && fstatat(maildir_dir_of(m, i), maildir_file_name(&m->files, i), &st, AT_SYMLINK_NOFOLLOW) < 0) {
			int rc = errno == ENOENT ? maildir_locate_again(m, i, &st, e) : maildir_fail_file(m, i, "look at", e);

			if (rc < 0)
				return -1;
			if (rc == 0)
				continue;
			if (errno != ENOENT)
				memset(&st, 0, sizeof(st));
		}
		tell(m, i, m->sizes ? &st : NULL, out);
		out->key = maildir_file_unique(&m->files, i);
		return 1;
	}
	return 0;
}

/* Announce what will be read. */
int maildir_want(struct store *s, const uint64_t *nums, size_t n, struct err *e)
{
	struct maildir *m = maildir_of(s);
	size_t at;

	vec_clear(&m->wanted);
	m->want_at = 0;
	for (size_t i = 0; i < n; i++) {
		if (maildir_file_of(m, nums[i], &at, e) < 0)
			return -1;
		if (vec_push(&m->wanted, nums[i]) < 0)
			return err_set(e, ERR_LOCAL, "out of memory");
	}
	return 0;
}

/* A message on its way out. */
struct body {
	struct stream s;
	int fd;
	bool cr;
	size_t at, n; /* of out */
	char *what;
	char in[BODY_CHUNK], out[2 * BODY_CHUNK];
};

/* stream_ops.read */
static ssize_t body_read(struct stream *s, void *buf, size_t n, struct err *e)
{
	struct body *b = (struct body *)s;

	if (b->at == b->n) {
		ssize_t got = fs_read(b->fd, b->in, sizeof(b->in), b->what, e);

		if (got < 0 && e)
			e->span = SPAN_MSG;
		if (got <= 0)
			return got;
		b->n = eol_to_wire(&b->cr, b->in, (size_t)got, b->out);
		b->at = 0;
	}
	if (n > b->n - b->at)
		n = b->n - b->at;
	memcpy(buf, b->out + b->at, n);
	b->at += n;
	return (ssize_t)n;
}

/* stream_ops.free */
static void body_free(struct stream *s)
{
	struct body *b = (struct body *)s;

	close(b->fd);
	free(b->what);
	free(b);
}

static const struct stream_ops body_ops = {
	.name = "maildir body",
	.read = body_read,
	STREAM_READ_ONLY,
	.free = body_free,
};

/* The body in an open file, which is closed on failure, too. */
static struct stream *body_new(const struct maildir *m, size_t i, int fd, struct err *e)
{
	struct body *b = malloc(sizeof(*b));

	if (!b || asprintf(&b->what, "%s/%s/%s", m->at.s, part_of(m, i), maildir_file_name(&m->files, i)) < 0) {
		err_set(e, ERR_LOCAL, "out of memory");
		close(fd);
		free(b);
		return NULL;
	}
	b->s = (struct stream){ .ops = &body_ops };
	b->fd = fd;
	b->cr = false;
	b->at = b->n = 0;
	return &b->s;
}

/* Open a message's file: 1, 0 it is gone, -1. What lies there instead of a file (a link, a FIFO) is neither followed nor waited for. */
static int open_file(struct maildir *m, size_t i, int *fd, struct stat *st, struct err *e)
{
	for (int tries = 0; tries < MAILDIR_TRIES; tries++) {
		int rc;

		*fd = openat(maildir_dir_of(m, i), maildir_file_name(&m->files, i), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (*fd >= 0 && fstat(*fd, st) == 0 && S_ISREG(st->st_mode))
			return 1;
		if (*fd >= 0 || errno == ELOOP || errno == ENXIO) {
			maildir_close_fd(fd);
			return err_set_span(e, ERR_LOCAL, SPAN_MSG, "%s/%s/%s is no file, but a link or a device", m->at.s, part_of(m, i),
			                    maildir_file_name(&m->files, i));
		}
		if (errno == EINTR)
			continue;
		if (errno != ENOENT) {
			bool ours = errno == EMFILE || errno == ENFILE || errno == ENOMEM;

			err_errno(e, "can't read %s/%s/%s", m->at.s, part_of(m, i), maildir_file_name(&m->files, i));
			if (e && !ours)
				e->span = SPAN_MSG;
			return -1;
		}
		rc = m->files.a.a[i].gone ? 0 : maildir_locate_again(m, i, st, e);
		if (rc <= 0)
			return rc;
	}
	return err_set_span(e, ERR_TEMP, SPAN_MSG, "a message in %s is renamed again and again", m->at.s);
}

/* The next wanted message. */
int maildir_next(struct store *s, size_t *i, struct stream **body, struct err *e)
{
	struct maildir *m = maildir_of(s);
	struct stat st;
	size_t file = 0;
	int fd, rc;

	*body = NULL;
	if (m->want_at >= m->wanted.n)
		return 0;
	*i = m->want_at++;
	if (maildir_file_of(m, m->wanted.a[*i], &file, e) < 0)
		return -1;
	rc = open_file(m, file, &fd, &st, e);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return 1; /* it is gone */
	s->given.size = (uint64_t)st.st_size;
	s->given.date = st.st_mtime;
	*body = body_new(m, file, fd, e);
	return *body ? 1 : -1;
}
