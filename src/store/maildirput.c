/*
 * Delivery into a Maildir: see store.h for the order of things. Nothing that is there is ever overwritten.
 *
 * Durability: a message's bytes are fsynced while its only name is in tmp/, or it has none; whether that name is durable doesn't matter. After the renames the
 * directories that got the names are synced. tmp/ isn't: should its old entry come back with a crash, it is a stale file that is cleaned up in its time.
 */
#include "store/maildir_p.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "mail/eol.h"
#include "mail/flags.h"

#define SYNCFS_FROM 16       /* as many files are synced by syncfs */
#define SYNCFS_SLOW_MS 1000
#define WRITEBACK_FROM 65536 /* bytes: a file so large is written back by itself */
#define WRITEBACK_SMALL 300  /* smaller ones are by so many */
#define OPEN_MAX 2124        /* staged files kept open: those of a group, and some */
#define OPEN_SPARE 100       /* descriptors left for everything else */
#define NAME_TRIES 100

/* A body on its way into a file. */
struct writer {
	struct maildir_rec *rec;
	struct eol eol;
	bool raw;
	size_t held;      /* bytes in m->out */
	uint64_t flushed; /* bytes in the file */
};

/* A name that nobody else takes. The counter starts anywhere, since process numbers and clocks repeat themselves (containers, restarts). */
void maildir_new_name(struct maildir *m, char *out, size_t size)
{
	int64_t now = clock_wall_usec();

	snprintf(out, size, "%lld.M%lldP%ldQ%lu.%s", (long long)(now / 1000000), (long long)(now % 1000000), m->pid,
	         (unsigned long)m->counter++, m->host);
}

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

/* Since Linux 5.8 syncfs tells of errors in write-back. */
static bool syncfs_tells_errors(void)
{
	int major = 0, minor = 0;
	struct utsname u;

	return uname(&u) == 0 && sscanf(u.release, "%d.%d", &major, &minor) == 2 && (major > 5 || (major == 5 && minor >= 8));
}

/* Is syncfs(2) known to write everything and to report errors? A file system like FUSE may answer without doing a thing. */
static bool knows_syncfs(const struct maildir *m)
{
	struct statfs fs;

	return syncfs_tells_errors() && fstatfs(m->tmp, &fs) == 0 &&
	       (fs.f_type == EXT4_SUPER_MAGIC || fs.f_type == XFS_SUPER_MAGIC || fs.f_type == BTRFS_SUPER_MAGIC);
}

/* It also writes what other programs have left unwritten; where that takes long, it isn't done again. */
static bool may_syncfs(const struct maildir *m)
{
	return !m->slow_syncfs && knows_syncfs(m);
}

/* Many files at once, and their names. */
static int sync_whole(struct maildir *m, struct err *e)
{
	msec_t begun = clock_now();

	/* Errors of write-back since m->tmp was opened are told here: before anything was staged. */
	if (syncfs(m->tmp) < 0)
		return err_errno(e, "%s", m->what.s);
	m->slow_syncfs = m->slow_syncfs || clock_now() - begun > SYNCFS_SLOW_MS;
	return 0;
}

/* Give a file that has no name one. -1 with errno; EEXIST if it is taken. */
int maildir_give_name(int fd, int dir, const char *name)
{
	char path[32];

	/* without privileges since Linux 6.10 */
	if (linkat(fd, "", dir, name, AT_EMPTY_PATH) == 0)
		return 0;
	if (errno == EEXIST)
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return linkat(AT_FDCWD, path, dir, name, AT_SYMLINK_FOLLOW);
}

/* Names for all of them, and all on their way, before the first is waited for: a journal has one commit for them then, not one for each. */
static int start_group(struct maildir *m, size_t from, size_t to, struct err *e)
{
	for (size_t i = from; i < to; i++) {
		struct maildir_rec *r = &m->recs.a[i];

		if (r->fd < 0)
			continue;
		if (!r->named && maildir_give_name(r->fd, m->tmp, r->name) < 0)
			return err_errno(e, "can't make a file in %s/tmp", m->at.s);
		r->named = true;
		fs_writeback(r->fd);
	}
	for (size_t i = from; i < to; i++)
		if (m->recs.a[i].fd >= 0)
			fs_writeback_wait(m->recs.a[i].fd);
	return 0;
}

/*
 * Put the bytes of recs[from..to) on disk. Write-back of large ones was started when they were staged.
 * The one place that knows how a group is synced. Only what syncfs(2) has written may go on without a name: see sync_names.
 */
static int sync_group(struct maildir *m, size_t from, size_t to, struct err *e)
{
	bool whole = to - from >= SYNCFS_FROM && may_syncfs(m);

	if (whole && sync_whole(m, e) < 0) {
		m->lost = true;
		return -1;
	}
	if (!whole && start_group(m, from, to, e) < 0)
		return -1;
	for (size_t i = from; i < to; i++) {
		struct maildir_rec *r = &m->recs.a[i];

		if (r->fd < 0 || !r->named)
			continue; /* without a name its descriptor is all there is of it */
		if (clock_check(e) < 0)
			return -1;
		if (!whole && fs_sync(r->fd, m->what.s, e) < 0) {
			m->lost = true;
			return -1;
		}
		m->open--;
		if (close(r->fd) < 0 && errno != EINTR) {
			r->fd = -1;
			m->lost = true;
			return err_errno(e, "can't write %s", m->what.s); /* NFS reports a full disk here */
		}
		r->fd = -1;
	}
	return 0;
}

/*
 * Can a message be written to a file without a name, which gets its final one by link(2)? It spares the name in tmp/, and what is interrupted leaves nothing behind.
 * Asked once for each box, by doing it; only of file systems of which it is known that such a file is as durable as another, if its name is synced as sync_names does.
 */
static bool try_nameless(struct maildir *m)
{
	char name[sizeof(((struct maildir_rec *)0)->name)];
	struct statfs fs;
	bool works;
	int fd;

	if (fstatfs(m->tmp, &fs) < 0 || (fs.f_type != EXT4_SUPER_MAGIC && fs.f_type != XFS_SUPER_MAGIC))
		return false;
	fd = openat(m->tmp, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	if (fd < 0)
		return false;
	maildir_new_name(m, name, sizeof(name));
	works = maildir_give_name(fd, m->tmp, name) == 0;
	if (works)
		unlinkat(m->tmp, name, 0);
	close(fd);
	return works;
}

/* Put the oldest staged file on disk, to have its descriptor back. */
static int sync_oldest(struct maildir *m, struct err *e)
{
	if (m->first_open >= m->recs.n)
		return 0;
	if (sync_group(m, m->first_open, m->first_open + 1, e) < 0)
		return -1;
	m->first_open++;
	return 0;
}

/* Make room for one more that stays open until it is on disk. */
int maildir_put_one_more(struct maildir *m, struct err *e)
{
	while (m->open >= m->max_open && m->first_open < m->recs.n)
		if (sync_oldest(m, e) < 0)
			return -1;
	return 0;
}

/* A new file for r, in tmp/ or without a name. */
int maildir_new_file(struct maildir *m, struct maildir_rec *r, struct err *e)
{
	if (maildir_put_one_more(m, e) < 0)
		return -1;
	for (int i = 0; i < NAME_TRIES; i++) {
		maildir_new_name(m, r->name, sizeof(r->name));
		r->named = !m->nameless;
		r->fd = m->nameless ? openat(m->tmp, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600) :
				      openat(m->tmp, r->name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (r->fd >= 0) {
			m->open++;
			return 0;
		}
		if ((errno == EMFILE || errno == ENFILE) && m->first_open < m->recs.n) {
			if (sync_oldest(m, e) < 0)
				return -1;
		} else if (errno != EEXIST && errno != EINTR) {
			break;
		}
	}
	return err_errno(e, "can't make a file in %s/tmp", m->at.s);
}

/* Take a file that was staged away again. */
void maildir_drop_file(struct maildir *m, struct maildir_rec *r)
{
	if (r->gone)
		return;
	if (r->fd >= 0)
		m->open--;
	maildir_close_fd(&r->fd);
	if (r->named)
		unlinkat(m->tmp, r->name, 0);
	r->gone = true;
}

/* Bytes into the file. One that may not become as large as that is the trouble of its message alone. */
static int put(struct maildir *m, struct writer *w, const char *p, size_t n, struct err *e)
{
	if (fs_write_all(w->rec->fd, p, n, m->what.s, e) < 0) {
		if (errno == EFBIG && e)
			e->span = SPAN_MSG;
		return -1;
	}
	w->flushed += n;
	return 0;
}

/* Write what is held. */
static int flush(struct maildir *m, struct writer *w, struct err *e)
{
	if (put(m, w, m->out, w->held, e) < 0)
		return -1;
	w->held = 0;
	return 0;
}

/* Copy the file `from` into r's with its line ends as they came. scratch has room for three chunks. */
static int copy_crlf(struct maildir *m, struct writer *w, int from, char *scratch, struct err *e)
{
	if (lseek(from, 0, SEEK_SET) < 0)
		return err_errno(e, "can't read %s", m->what.s);
	w->flushed = 0;
	for (;;) {
		ssize_t n = fs_read(from, scratch, MAILDIR_CHUNK, m->what.s, e);
		size_t k;

		if (n <= 0)
			return (int)n;
		k = eol_to_crlf(scratch, (size_t)n, scratch + MAILDIR_CHUNK);
		if (put(m, w, scratch + MAILDIR_CHUNK, k, e) < 0)
			return -1;
	}
}

/* A bare LF has come: what was written is written again as it came. */
static int restore(struct maildir *m, struct writer *w, struct err *e)
{
	char *scratch = malloc((size_t)3 * MAILDIR_CHUNK);
	struct maildir_rec old = *w->rec;
	int rc = 0;

	if (!scratch)
		return err_set(e, ERR_LOCAL, "out of memory");
	if (w->flushed > 0) {
		rc = maildir_new_file(m, w->rec, e);
		if (rc == 0)
			rc = copy_crlf(m, w, old.fd, scratch, e);
		else
			*w->rec = old;
		if (w->rec->fd != old.fd)
			maildir_drop_file(m, &old);
	}
	for (size_t at = 0; rc == 0 && at < w->held; at += MAILDIR_CHUNK) {
		size_t n = w->held - at < MAILDIR_CHUNK ? w->held - at : MAILDIR_CHUNK, k = eol_to_crlf(m->out + at, n, scratch);

		rc = fs_write_all(w->rec->fd, scratch, k, m->what.s, e);
		w->flushed += k;
	}
	w->held = 0;
	free(scratch);
	return rc;
}

/* Add bytes as they are to what is held. */
static void hold(struct maildir *m, struct writer *w, const char *p, size_t n)
{
	memcpy(m->out + w->held, p, n);
	w->held += n;
}

/* Take a chunk of the body. The digest is of the LF form, whatever is stored. */
static int take_chunk(struct maildir *m, struct writer *w, size_t n, struct err *e)
{
	bool cr = w->eol.cr;
	size_t k = eol_to_lf(&w->eol, m->in, n, m->out + w->held);

	if (digest_put(m->digest, m->out + w->held, k) < 0)
		return err_set(e, ERR_LOCAL, "SHA-256 failed");
	if (w->raw) {
		hold(m, w, m->in, n);
	} else if (w->eol.bare_lf) {
		w->raw = true;
		if (restore(m, w, e) < 0)
			return -1;
		if (cr)
			hold(m, w, "\r", 1);
		hold(m, w, m->in, n);
	} else {
		w->held += k;
	}
	return w->held >= MAILDIR_CHUNK ? flush(m, w, e) : 0;
}

/* Have a file written soon: a large one by itself, small ones together, as that is much cheaper. */
static void start_writeback(struct maildir *m, const struct writer *w)
{
	if (w->flushed >= WRITEBACK_FROM) {
		fs_writeback(w->rec->fd);
	} else if (++m->unwritten >= WRITEBACK_SMALL) {
		m->unwritten = 0;
		if (may_syncfs(m))
			syncer_kick(&m->syncer, m->tmp);
	}
}

/* Stream the body into its file. */
static int take_body(struct maildir *m, struct writer *w, struct stream *body, struct staged *out, struct err *e)
{
	char last;
	ssize_t n;

	while ((n = stream_read(body, m->in, MAILDIR_CHUNK, e)) > 0)
		if (take_chunk(m, w, (size_t)n, e) < 0)
			return -1;
	if (n < 0)
		return -1;
	if (eol_end(&w->eol, &last) > 0) {
		if (digest_put(m->digest, &last, 1) < 0)
			return err_set(e, ERR_LOCAL, "SHA-256 failed");
		if (!w->raw)
			hold(m, w, &last, 1);
	}
	if (w->held > 0 && flush(m, w, e) < 0)
		return -1;
	if (digest_end(m->digest, out->digest) < 0)
		return err_set(e, ERR_LOCAL, "SHA-256 failed");
	out->size = w->flushed;
	out->raw = w->raw;
	start_writeback(m, w);
	return 0;
}

/* Give a file the message's own time of arrival, which is kept nowhere else. Its access time stays new: by that others tell what is stale in tmp/. */
void maildir_set_date(const struct maildir_rec *r, int64_t date)
{
	const struct timespec t[2] = { { .tv_nsec = UTIME_NOW }, { .tv_sec = (time_t)date } };

	if (date != 0 && futimens(r->fd, t) < 0)
		log_debug("can't set the date of %s: %s", r->name, strerror(errno)); /* no reason to refuse the message */
}

/* Write the body to a file that isn't seen yet. */
int maildir_stage(struct store *s, struct stream *body, const struct store_meta *meta, struct staged *out, struct err *e)
{
	struct maildir *m = maildir_of(s);
	struct maildir_rec r = { .fd = -1, .flags = meta->flags };
	struct writer w = { .rec = &r };

	memset(out, 0, sizeof(*out));
	if (m->tmp < 0)
		return err_set(e, ERR_BUG, "maildir: no box is open");
	if (!m->asked_nameless) {
		m->nameless = try_nameless(m);
		m->asked_nameless = true;
	}
	if (maildir_new_file(m, &r, e) < 0)
		return -1;
	if (take_body(m, &w, body, out, e) < 0)
		goto fail;
	maildir_set_date(&r, meta->date);
	if (vec_push(&m->recs, r) < 0) {
		err_set(e, ERR_LOCAL, "out of memory");
		goto fail;
	}
	snprintf(out->key, sizeof(out->key), "%s", r.name);
	return 0;
fail:
	maildir_drop_file(m, &r);
	digest_end(m->digest, out->digest); /* ready for the next */
	return -1;
}

/* Drop one that is staged. */
void maildir_unstage(struct store *s, struct staged *out)
{
	struct maildir *m = maildir_of(s);

	out->dropped = true;
	for (size_t i = m->recs.n; i-- > 0;) {
		if (strcmp(m->recs.a[i].name, out->key) == 0) {
			maildir_drop_file(m, &m->recs.a[i]);
			return;
		}
	}
}

/* Put everything staged on disk. */
int maildir_harden(struct store *s, struct staged *st, size_t n, struct err *e)
{
	struct maildir *m = maildir_of(s);

	uint64_t flags = 0;

	(void)st;
	(void)n;
	if (m->lost)
		return err_set(e, ERR_BUG, "maildir: harden after a failure");
	for (size_t i = 0; i < m->recs.n; i++)
		flags |= m->recs.a[i].gone ? 0 : m->recs.a[i].flags;
	if (maildir_need_letters(m, flags, e) < 0)
		return -1;
	if (sync_group(m, m->first_open, m->recs.n, e) < 0)
		return -1;
	m->first_open = m->recs.n;
	m->unwritten = 0;
	return 0;
}

/* rename(2) that never overwrites, on file systems of all kinds. */
int maildir_rename_new(int from, const char *name, int to, const char *dest)
{
	struct stat st;

	if (renameat2(from, name, to, dest, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	if (linkat(from, name, to, dest, 0) == 0) {
		unlinkat(from, name, 0);
		return 0;
	}
	if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS)
		return -1;
	/* neither: what is left is to look first, under a name that nobody else makes */
	if (fstatat(to, dest, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		errno = EEXIST;
		return -1;
	}
	return renameat(from, name, to, dest);
}

/* What publish has changed. */
struct changed {
	bool fresh, cur; /* directories */
	bool linked;     /* files that had no name */
};

/* Give a message its place: new/NAME, or cur/NAME:2,FLAGS. */
static int publish_one(struct maildir *m, struct maildir_rec *r, struct changed *c, struct err *e)
{
	char letters[MAILDIR_INFO_MAX], full[sizeof(r->name) + sizeof(letters) + 8];
	const char *dest = r->name;
	int to = m->fresh, rc;

	maildir_words_spell(&m->words, r->flags, false, letters);
	if (letters[0]) {
		snprintf(full, sizeof(full), "%s:2,%s", r->name, letters);
		dest = full;
		to = m->cur;
	}
	rc = r->named ? maildir_rename_new(m->tmp, r->name, to, dest) : maildir_give_name(r->fd, to, dest);
	if (rc < 0)
		return err_errno(e, "can't deliver to %s/%s/%s", m->at.s, letters[0] ? "cur" : "new", dest);
	if (!r->named) {
		m->open--;
		maildir_close_fd(&r->fd);
		c->linked = true;
	}
	r->gone = true;
	*(letters[0] ? &c->cur : &c->fresh) = true;
	return 0;
}

/*
 * Have the new names on disk. A file that had none was synced as such, and a power cut would have it cleared away together with its name, unless what it says of its
 * names is written as well. Where there is a journal, it is when the directory is synced; an ext4 without one (or an ext2) looks the same, and there it isn't.
 */
static int sync_names(struct maildir *m, const struct changed *c, struct err *e)
{
	if (c->linked)
		return sync_whole(m, e);
	if ((c->fresh && fs_sync(m->fresh, "new/", e) < 0) || (c->cur && fs_sync(m->cur, "cur/", e) < 0))
		return err_in(e, "%s", m->at.s);
	return 0;
}

/* Have names on disk that another process gave. */
int maildir_put_sync(struct maildir *m, struct err *e)
{
	return sync_names(m, &(struct changed){ .fresh = true, .cur = true, .linked = knows_syncfs(m) }, e);
}

/* Make everything staged visible, and durable where it now is. What was moved before an error stays: recover will find it. */
int maildir_publish(struct store *s, struct staged *st, size_t n, struct err *e)
{
	struct maildir *m = maildir_of(s);
	struct changed c = { 0 };
	int rc = 0;

	(void)st;
	(void)n;
	if (m->lost)
		return err_set(e, ERR_BUG, "maildir: publish after a failure");
	if (m->first_open < m->recs.n)
		return err_set(e, ERR_BUG, "maildir: publish before harden");
	for (size_t i = 0; rc == 0 && i < m->recs.n; i++)
		if (!m->recs.a[i].gone)
			rc = publish_one(m, &m->recs.a[i], &c, e);
	if (sync_names(m, &c, rc == 0 ? e : NULL) < 0)
		rc = -1;
	m->lost = rc < 0;
	if (rc < 0)
		return -1;
	vec_clear(&m->recs);
	m->first_open = 0;
	return 0;
}

/* Drop all that is staged. */
void maildir_abandon(struct store *s)
{
	struct maildir *m = maildir_of(s);

	for (size_t i = 0; i < m->recs.n; i++)
		maildir_drop_file(m, &m->recs.a[i]);
	vec_clear(&m->recs);
	m->first_open = 0;
	m->lost = false;
}

/* Use more descriptors if we may; how many staged files can stay open. */
size_t maildir_put_room(void)
{
	const rlim_t want = OPEN_MAX + OPEN_SPARE;
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) < 0)
		return OPEN_SPARE;
	if (rl.rlim_cur < want && rl.rlim_cur < rl.rlim_max) {
		struct rlimit more = rl;

		more.rlim_cur = rl.rlim_max < want ? rl.rlim_max : want;
		if (setrlimit(RLIMIT_NOFILE, &more) == 0)
			rl = more;
	}
	if (rl.rlim_cur >= want)
		return OPEN_MAX;
	return rl.rlim_cur > 2 * OPEN_SPARE ? (size_t)(rl.rlim_cur - OPEN_SPARE) : (size_t)(rl.rlim_cur / 4 + 1);
}
