/*
 * What is removed from a Maildir goes to the quarantine (quarantine.h), and comes back from there. Within a file system by a rename; else a copy is made and is on disk,
 * with its name, before the file it is of is removed.
 *
 * A message that comes back has a name that nobody knows: the base would take it for one that is still to be deleted, if an interrupted run had not told it otherwise. The name
 * is always the same for the same message, so that one whose copy came back, and whose removal there was interrupted, is known.
 */
#include "store/maildir_p.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"

#define COPY_CHUNK 65536

/* Is something to be kept of this folder? Then its place is opened. */
int maildir_keep_open(struct maildir *m, const char *folder, bool whole, struct err *e)
{
	struct maildir_keep *k = &m->keep;
	struct maildir_dirs d;

	if (!m->store.quarantine || k->open)
		return 0;
	if (quarantine_put(m->store.quarantine, folder, whole, &k->to, e) < 0)
		return -1;
	d = (struct maildir_dirs){ k->to.fresh, k->to.cur };
	k->open = true;
	maildir_files_clear(&k->there);
	return maildir_files_read(m, &d, &k->there, NULL, NULL, e);
}

void maildir_keep_close(struct maildir *m)
{
	quarantine_box_close(&m->keep.to);
	maildir_files_release(&m->keep.there);
	m->keep = (struct maildir_keep){ .to = QUARANTINE_BOX_INIT };
}

/* Open a message's file; what else may have its name is neither followed nor waited for. -1 with errno */
static int open_message(int dir, const char *name, struct stat *st)
{
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0 || (fstat(fd, st) == 0 && S_ISREG(st->st_mode)))
		return fd;
	close(fd);
	errno = ELOOP;
	return -1;
}

/* Copy bytes and time, all of it on disk. -1 with errno */
static int copy_bytes(int from, int to, const struct stat *st)
{
	const struct timespec times[2] = { { .tv_nsec = UTIME_NOW }, st->st_mtim };
	char *buf = malloc(COPY_CHUNK);
	ssize_t n = buf ? 0 : -1;

	while (buf && (n = fs_read(from, buf, COPY_CHUNK, "", NULL)) > 0)
		if (fs_write_all(to, buf, (size_t)n, "", NULL) < 0) {
			n = -1;
			break;
		}
	if (n == 0 && (futimens(to, times) < 0 || fs_sync(to, "", NULL) < 0))
		n = -1;
	free(buf);
	return (int)n;
}

/* Copy a file: written to tmp/, then given its name in another directory, where it overwrites nothing. -1 with errno */
static int copy_file(struct maildir *m, int from, const char *name, int tmp, int to, const char *dest)
{
	char fresh[192];
	struct stat st;
	int in = open_message(from, name, &st), out, rc = -1, saved;

	if (in < 0)
		return -1;
	maildir_new_name(m, fresh, sizeof(fresh));
	out = openat(tmp, fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (out >= 0) {
		rc = copy_bytes(in, out, &st);
		if (close(out) < 0 && errno != EINTR)
			rc = -1; /* NFS reports a full disk here */
		if (rc == 0)
			rc = maildir_rename_new(tmp, fresh, to, dest);
		saved = errno;
		if (rc < 0)
			unlinkat(tmp, fresh, 0);
		errno = saved;
	}
	saved = errno;
	close(in);
	errno = saved;
	return rc;
}

/* Are both the same file, or equal? An interrupted run made a copy, then. */
static bool same_file(int a, const char *x, int b, const char *y)
{
	struct stat st[2];
	char buf[2][4096];
	int fd[2] = { open_message(a, x, &st[0]), open_message(b, y, &st[1]) };
	bool same = fd[0] >= 0 && fd[1] >= 0 && st[0].st_size == st[1].st_size;
	off_t size = same ? st[0].st_size : 0;

	if (same && st[0].st_ino == st[1].st_ino && st[0].st_dev == st[1].st_dev)
		size = 0;
	for (off_t at = 0; same && at < size; at += (off_t)sizeof(buf[0])) {
		size_t n = size - at < (off_t)sizeof(buf[0]) ? (size_t)(size - at) : sizeof(buf[0]);

		same = fs_pread_all(fd[0], buf[0], n, at, "", NULL) == 0 && fs_pread_all(fd[1], buf[1], n, at, "", NULL) == 0 && memcmp(buf[0], buf[1], n) == 0;
	}
	maildir_close_fd(&fd[0]);
	maildir_close_fd(&fd[1]);
	return same;
}

/* Have it in the quarantine by this name: 0 it is not where it was any more, 1 a copy is there, -1 with errno. */
static int bring(struct maildir *m, int dir, const char *name, bool in_cur, const char *dest)
{
	struct maildir_keep *k = &m->keep;
	int to = in_cur ? k->to.cur : k->to.fresh;

	if (!k->copies && maildir_rename_new(dir, name, to, dest) == 0) {
		m->store.quarantine->kept++;
		return 0;
	}
	if (!k->copies && errno != EXDEV)
		return -1;
	k->copies = true;
	return copy_file(m, dir, name, k->to.tmp, to, dest) < 0 ? -1 : 1;
}

/* Keep a message's file. */
int maildir_keep(struct maildir *m, int dir, const char *name, size_t unique_n, bool in_cur, char copy[NAME_MAX + 1])
{
	struct maildir_keep *k = &m->keep;
	char fresh[192], dest[NAME_MAX + 1 + sizeof(fresh)];
	size_t i, n = unique_n; /* of dest */
	int rc;

	copy[0] = '\0';
	snprintf(dest, sizeof(dest), "%s", name);
	if (maildir_files_find(&k->there, slice_of(name, unique_n), &i) && !k->there.a.a[i].gone) {
		if (same_file(dir, name, k->there.a.a[i].in_cur ? k->to.cur : k->to.fresh, maildir_file_name(&k->there, i))) {
			k->changed_cur = k->changed_fresh = true; /* who made the copy may not have come to sync it */
			return 1;
		}
		/* another message that is called the same */
		maildir_new_name(m, fresh, sizeof(fresh));
		snprintf(dest, sizeof(dest), "%s%s", fresh, name + unique_n);
		n = strlen(fresh);
	}
	/* no two by one name, with whatever flags: they come back by names that are made of it */
	if (maildir_files_put(&k->there, slice_str(dest), n, in_cur, 0, NULL) < 0) {
		errno = ENOMEM;
		return -1;
	}
	rc = bring(m, dir, name, in_cur, dest);
	if (rc < 0) {
		int saved = errno;

		if (maildir_files_find(&k->there, slice_of(dest, n), &i))
			maildir_files_drop(&k->there, i);
		errno = saved;
		return -1;
	}
	*(in_cur ? &k->changed_cur : &k->changed_fresh) = true;
	if (rc > 0)
		snprintf(copy, NAME_MAX + 1, "%.*s", NAME_MAX, dest);
	return rc;
}

/* What is kept is on disk, with its names. */
int maildir_keep_sync(struct maildir *m, struct err *e)
{
	struct maildir_keep *k = &m->keep;

	if ((k->changed_cur && fs_sync(k->to.cur, "cur/ of the quarantine", e) < 0) || (k->changed_fresh && fs_sync(k->to.fresh, "new/ of the quarantine", e) < 0))
		return err_in(e, "%s", m->at.s);
	k->changed_cur = k->changed_fresh = false;
	return 0;
}

/* A copy of what is not removed, after all. */
void maildir_keep_not(struct maildir *m, const char *copy, bool in_cur)
{
	if (copy[0])
		unlinkat(in_cur ? m->keep.to.cur : m->keep.to.fresh, copy, 0);
}

/* ---- back ---- */

/* One that comes back. */
struct back {
	size_t name;   /* offset in names: what it is called there */
	bool in_cur;   /* there, and here */
	bool here, gone; /* it is here; no more there */
	uint64_t size;
	char key[MAILDIR_UNIQUE_MAX + 1];
};

struct coming {
	struct maildir *m;
	const struct quarantine_box *from;
	int64_t run;
	struct strbuf names; /* each NUL-terminated */
	VEC(struct back) a;
	void (*done)(void *arg, struct slice key, uint64_t size, const struct err *why);
	void *arg;
};

#define NAMES_MAX ((size_t)1 << 30)

static int note_name(void *arg, const char *name, bool in_cur, struct err *e)
{
	struct coming *c = arg;
	struct back b = { .name = c->names.len, .in_cur = in_cur };

	if (strbuf_puts(&c->names, name) < 0 || strbuf_putc(&c->names, '\0') < 0 || vec_push(&c->a, b) < 0)
		return err_set(e, ERR_LOCAL, "out of memory");
	return 0;
}

/* The name that a message has when it is back: made of the time of arrival that it has, of the run, and of what it was called. */
static int new_key(struct coming *c, struct slice unique, const struct stat *st, char key[MAILDIR_UNIQUE_MAX + 1], struct err *e)
{
	unsigned char digest[DIGEST_SIZE];
	char hex[DIGEST_HEX];

	if (digest_put(c->m->digest, unique.p, unique.n) < 0 || digest_end(c->m->digest, digest) < 0)
		return err_set(e, ERR_LOCAL, "SHA-256 failed");
	digest_hex(digest, hex);
	snprintf(key, MAILDIR_UNIQUE_MAX + 1, "%lld.R%lldH%.32s.undo", st->st_mtime > 0 ? (long long)st->st_mtime : 0LL, (long long)c->run, hex);
	return 0;
}

/* An error with one message: 1 when the others can go on. */
static int fail_back(const struct coming *c, const char *name, struct err *e)
{
	bool ours = errno == ENOSPC || errno == EDQUOT || errno == EROFS || errno == EIO || errno == ENOMEM || errno == EMFILE || errno == ENFILE;

	err_errno(e, "can't put %s back into %s", name, c->m->at.s);
	if (e)
		e->span = ours ? SPAN_BOX : SPAN_MSG;
	return ours ? -1 : 1;
}

/*
 * Is it still here, as a run was interrupted between its copy and its removal? Then it gets the name that it would have come back by: by its old one it is to be removed.
 * 1, 0, -1 with errno.
 */
static int never_left(struct coming *c, const struct back *b, struct slice unique)
{
	struct maildir *m = c->m;
	const char *there = c->names.s + b->name, *here;
	char dest[MAILDIR_UNIQUE_MAX + 1 + NAME_MAX];
	size_t i;

	if (!maildir_files_find(&m->files, unique, &i) || m->files.a.a[i].gone)
		return 0;
	here = maildir_file_name(&m->files, i);
	if (!same_file(b->in_cur ? c->from->cur : c->from->fresh, there, maildir_dir_of(m, i), here))
		return 0;
	snprintf(dest, sizeof(dest), "%s%s", b->key, here + unique.n);
	return maildir_rename_new(maildir_dir_of(m, i), here, maildir_dir_of(m, i), dest) < 0 ? -1 : 1;
}

/* Put one back: 0, 1 it can't be (e), -1. */
static int back_one(struct coming *c, struct back *b, struct err *e)
{
	struct maildir *m = c->m;
	int from = b->in_cur ? c->from->cur : c->from->fresh, to = b->in_cur ? m->cur : m->fresh;
	const char *name = c->names.s + b->name;
	char dest[MAILDIR_UNIQUE_MAX + 1 + NAME_MAX];
	struct slice unique;
	struct stat st;
	uint32_t flags;
	size_t i;
	int rc;

	if (!maildir_name(slice_str(name), &unique, &flags) || fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return fail_back(c, name, e);
	b->size = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
	if (new_key(c, unique, &st, b->key, e) < 0)
		return -1;
	snprintf(dest, sizeof(dest), "%s%s", b->key, name + unique.n);
	if (maildir_files_find(&m->files, slice_str(b->key), &i)) {
		b->here = true;
		return 0;
	}
	rc = never_left(c, b, unique);
	if (rc != 0) {
		b->here = rc > 0;
		return rc > 0 ? 0 : fail_back(c, name, e);
	}
	if (maildir_rename_new(from, name, to, dest) == 0) {
		b->here = b->gone = true;
		return 0;
	}
	if (errno == EXDEV && copy_file(m, from, name, m->tmp, to, dest) == 0) {
		b->here = true;
		return 0;
	}
	if (errno == EEXIST) {
		b->here = true;
		return 0;
	}
	return fail_back(c, name, e);
}

/* On disk here; then no more there, on disk as well. */
static int settle_back(struct coming *c, struct err *e)
{
	struct maildir *m = c->m;

	if (fs_sync(m->cur, "cur/", e) < 0 || fs_sync(m->fresh, "new/", e) < 0)
		return err_in(e, "%s", m->at.s);
	for (size_t i = 0; i < c->a.n; i++) {
		struct back *b = &c->a.a[i];

		if (b->here && !b->gone && unlinkat(b->in_cur ? c->from->cur : c->from->fresh, c->names.s + b->name, 0) < 0 && errno != ENOENT)
			return err_errno(e, "can't remove %s from the quarantine", c->names.s + b->name);
	}
	if (fs_sync(c->from->cur, "cur/ of the quarantine", e) < 0 || (c->from->fresh >= 0 && fs_sync(c->from->fresh, "new/ of the quarantine", e) < 0))
		return -1;
	for (size_t i = 0; i < c->a.n; i++)
		if (c->a.a[i].here)
			c->done(c->arg, slice_str(c->a.a[i].key), c->a.a[i].size, NULL);
	return 0;
}

static int back_all(struct coming *c, struct err *e)
{
	const struct maildir_dirs d = maildir_dirs_of(c->m);
	int rc = quarantine_messages(c->from, note_name, c, e);

	if (rc == 0)
		rc = maildir_files_read(c->m, &d, &c->m->files, NULL, NULL, e);
	for (size_t i = 0; rc == 0 && i < c->a.n; i++) {
		struct err why = ERR_INIT;

		rc = clock_check(e);
		if (rc == 0)
			rc = back_one(c, &c->a.a[i], &why);
		if (rc > 0) {
			c->done(c->arg, slice_str(c->names.s + c->a.a[i].name), c->a.a[i].size, &why);
			rc = 0;
		} else if (rc < 0 && why.kind != ERR_NONE && e) {
			*e = why;
		}
	}
	/* also when not all are: these are */
	if (c->a.n > 0 && settle_back(c, rc == 0 ? e : NULL) < 0)
		rc = -1;
	return rc;
}

/* store_ops.restore */
int maildir_restore(struct store *s, const struct quarantine_box *from, int64_t run,
                    void (*done)(void *arg, struct slice key, uint64_t size, const struct err *why), void *arg, struct err *e)
{
	struct maildir *m = maildir_of(s);
	struct coming c = { .m = m, .from = from, .run = run, .names = STRBUF_INIT(NAMES_MAX), .done = done, .arg = arg };
	int rc;

	if (m->cur < 0)
		return err_set(e, ERR_BUG, "maildir: no box is open");
	rc = back_all(&c, e);
	strbuf_release(&c.names);
	vec_release(&c.a);
	if (rc < 0)
		maildir_of_box(e);
	maildir_close(s);
	return rc;
}
