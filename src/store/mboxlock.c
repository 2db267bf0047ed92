/*
 * Locks on an mbox: see mboxlock.h. All kinds are tried at once and given back when one can't be had, since to wait for one while holding another
 * is how two programs that lock in different orders block each other.
 */
#include "store/mboxlock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/slice.h"
#include "base/strbuf.h"

#define TIMEOUT 60000   /* ms */
#define STALE 300       /* seconds */
#define STEP_FIRST 50   /* ms between tries, growing */
#define STEP_LAST 250
#define RENEW_EVERY 10000 /* ms */
#define HOST_SIZE 256
#define HOLDER_SIZE 320
#define PID_LIMIT 4194304 /* no process has a larger number (PID_MAX_LIMIT) */

struct mboxlock {
	int fd;           /* the mbox; borrowed */
	char *path;       /* of the mbox */
	char *dot;        /* PATH.lock */
	char *unique;     /* the file that is linked to it */
	int unique_fd;    /* -1: no dotlock is held or tried */
	int timeout, stale;
	bool fcntl_held, dot_held, read;
	msec_t renewed;
	char host[HOST_SIZE];
	char holder[HOLDER_SIZE]; /* who has the lock that we couldn't get */
};

enum { TRY_OK, TRY_BUSY, TRY_ERROR };

/* Try the fcntl lock. */
static int try_fcntl(struct mboxlock *l, struct err *e)
{
	struct flock lk = { .l_type = l->read ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET };

	if (fcntl(l->fd, F_SETLK, &lk) == 0) {
		l->fcntl_held = true;
		return TRY_OK;
	}
	if (errno == EINTR) {
		snprintf(l->holder, sizeof(l->holder), "somebody");
		return TRY_BUSY;
	}
	if (errno != EACCES && errno != EAGAIN) {
		err_errno(e, "can't lock %s", l->path);
		err_hint(e, "where the file system has no fcntl locks: lock = {dotlock}");
		return TRY_ERROR;
	}
	lk.l_type = F_WRLCK;
	if (fcntl(l->fd, F_GETLK, &lk) == 0 && lk.l_type != F_UNLCK && lk.l_pid > 0)
		snprintf(l->holder, sizeof(l->holder), "process %ld (fcntl lock)", (long)lk.l_pid);
	else
		snprintf(l->holder, sizeof(l->holder), "another process (fcntl lock)");
	return TRY_BUSY;
}

/* Read the holder from a dotlock: "pid" or "pid:host". pid 0 when it doesn't say. */
static void read_dotlock(const char *dot, pid_t *pid, char *host, size_t size)
{
	char text[HOST_SIZE + 32];
	int fd = open(dot, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));
	struct slice all, name = { NULL, 0 };
	uint64_t number;
	const char *colon;

	*pid = 0;
	host[0] = '\0';
	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return;
	all = slice_trim(slice_of(text, (size_t)n));
	colon = all.n ? memchr(all.p, ':', all.n) : NULL;
	if (colon) {
		name = slice_of(colon + 1, all.n - (size_t)(colon + 1 - all.p));
		all.n = (size_t)(colon - all.p);
	}
	if (!slice_u64(all, PID_LIMIT, &number) || number == 0)
		return;
	*pid = (pid_t)number;
	err_printable(host, size, name.p, name.n);
}

/* The time of the file system that the lock is on, which need not be our clock: that of our own file, just touched. */
static int64_t lock_clock(const struct mboxlock *l)
{
	struct stat st;

	if (l->unique_fd < 0 || futimens(l->unique_fd, NULL) < 0 || fstat(l->unique_fd, &st) < 0)
		return clock_wall();
	return st.st_mtime;
}

/* Whether the dotlock st, which names pid and host, has been left behind. */
static bool is_stale(const struct mboxlock *l, const struct stat *st, pid_t pid, const char *host)
{
	if (!S_ISREG(st->st_mode))
		return false;
	if (pid > 0 && pid != getpid() && strcmp(host, l->host) == 0 && kill(pid, 0) < 0 && errno == ESRCH)
		return true;
	return lock_clock(l) - st->st_mtime > l->stale;
}

/* Whether a and b are one file, untouched. */
static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/*
 * Take a stale dotlock away. It is renamed and looked at again before it is removed: between our look and the rename another process may have
 * done the same and put its own lock there; that one is put back.
 */
static void break_dotlock(const struct mboxlock *l, const struct stat *judged)
{
	struct strbuf aside = STRBUF_INIT(PATH_MAX);
	struct stat st;

	if (strbuf_printf(&aside, "%s.stale", l->unique) < 0)
		goto out;
	if (lstat(l->dot, &st) < 0 || !same_file(&st, judged) || rename(l->dot, aside.s) < 0)
		goto out;
	if (lstat(aside.s, &st) == 0 && !same_file(&st, judged) && link(aside.s, l->dot) < 0 && errno != EEXIST)
		rename(aside.s, l->dot);
	unlink(aside.s);
out:
	strbuf_release(&aside);
}

/* Make a lock file that says who we are: the one that will be linked to the dotlock, or that itself. On -1 errno tells why. */
static int make_file(struct mboxlock *l, const char *path, struct err *e)
{
	char text[HOST_SIZE + 32];
	int n = snprintf(text, sizeof(text), "%ld:%s", (long)getpid(), l->host), saved;

	l->unique_fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	saved = errno;
	if (l->unique_fd < 0) {
		err_errno(e, "can't make the lock file %s", l->dot);
		if (saved == EACCES || saved == EPERM || saved == EROFS)
			err_hint(e, "the directory must be writable for dotlocks; without them: lock = {fcntl}");
	} else if (fs_write_all(l->unique_fd, text, (size_t)n, l->dot, e) < 0) {
		saved = EIO;
		unlink(path);
		close(l->unique_fd);
		l->unique_fd = -1;
	}
	errno = saved;
	return l->unique_fd < 0 ? -1 : 0;
}

/* Give the unique file's name back; the descriptor is kept where the lock is held, to touch it. */
static void drop_unique(struct mboxlock *l)
{
	if (l->unique_fd < 0)
		return;
	unlink(l->unique);
	if (!l->dot_held) {
		close(l->unique_fd);
		l->unique_fd = -1;
	}
}

/* Link the unique file to the dotlock; 0, or -1 with errno. NFS may lose the answer to link(2): the link count tells. */
static int link_dotlock(const struct mboxlock *l)
{
	struct stat st;
	int rc = link(l->unique, l->dot), saved = errno;

	if (rc < 0 && saved != EEXIST && fstat(l->unique_fd, &st) == 0 && st.st_nlink == 2)
		rc = 0;
	errno = saved;
	return rc;
}

/* Somebody has the dotlock: name them, and take it away if they have left it behind. True when it is worth trying again at once. */
static bool look_at_dotlock(struct mboxlock *l)
{
	char host[HOST_SIZE];
	struct stat st;
	pid_t pid;

	snprintf(l->holder, sizeof(l->holder), "whoever made %.200s", l->dot);
	if (lstat(l->dot, &st) < 0)
		return errno == ENOENT;
	read_dotlock(l->dot, &pid, host, sizeof(host));
	if (pid > 0)
		snprintf(l->holder, sizeof(l->holder), "process %ld%s%.60s (%.200s)", (long)pid, host[0] ? " on " : "", host, l->dot);
	if (!is_stale(l, &st, pid, host))
		return false;
	break_dotlock(l, &st);
	return true;
}

/* We have the dotlock. */
static int dot_taken(struct mboxlock *l)
{
	l->dot_held = true;
	l->renewed = clock_now();
	return TRY_OK;
}

/* Try the dotlock on a file system without hard links: make the file itself. */
static int create_dotlock(struct mboxlock *l, struct err *e)
{
	struct err why = ERR_INIT;

	if (make_file(l, l->dot, &why) == 0)
		return dot_taken(l);
	if (errno == EEXIST) {
		look_at_dotlock(l);
		return TRY_BUSY;
	}
	if (e)
		*e = why;
	return TRY_ERROR;
}

/* Try the dotlock. */
static int try_dotlock(struct mboxlock *l, struct err *e)
{
	struct err cannot = ERR_INIT;
	int why = EEXIST;

	if (make_file(l, l->unique, &cannot) < 0) {
		if (l->read && (errno == EACCES || errno == EPERM || errno == EROFS))
			return TRY_OK;
		if (e)
			*e = cannot;
		return TRY_ERROR;
	}
	/* once more, at once, after a stale one was taken away */
	for (int i = 0; i < 2 && why == EEXIST; i++) {
		if (link_dotlock(l) == 0) {
			dot_taken(l);
			drop_unique(l);
			return TRY_OK;
		}
		why = errno;
		if (why == EEXIST && !look_at_dotlock(l))
			break;
	}
	drop_unique(l);
	if (why == EEXIST)
		return TRY_BUSY;
	if (why == EPERM || why == EOPNOTSUPP || why == ENOSYS || why == EMLINK)
		return create_dotlock(l, e);
	errno = why;
	err_errno(e, "can't make the lock file %s", l->dot);
	return TRY_ERROR;
}

/* Give back what is held, in reverse. Only a dotlock that is still ours is removed: it may have been taken for stale. */
static void let_go(struct mboxlock *l)
{
	struct flock lk = { .l_type = F_UNLCK, .l_whence = SEEK_SET };
	struct stat ours, there;

	if (l->dot_held) {
		if (fstat(l->unique_fd, &ours) == 0 && lstat(l->dot, &there) == 0 && ours.st_dev == there.st_dev &&
		    ours.st_ino == there.st_ino)
			unlink(l->dot);
		close(l->unique_fd);
		l->unique_fd = -1;
		l->dot_held = false;
	}
	if (l->fcntl_held)
		fcntl(l->fd, F_SETLK, &lk);
	l->fcntl_held = false;
}

/* Try all locks, in order. */
static int try_all(struct mboxlock *l, const enum mboxlock_kind *order, struct err *e)
{
	for (int i = 0; i < 2 && order[i] != MBOXLOCK_NONE; i++) {
		int rc = order[i] == MBOXLOCK_FCNTL ? try_fcntl(l, e) : try_dotlock(l, e);

		if (rc != TRY_OK) {
			let_go(l);
			return rc;
		}
	}
	return TRY_OK;
}

/* Try until all locks are held or time is up. */
static int wait_for_all(struct mboxlock *l, const enum mboxlock_kind *order, struct err *e)
{
	msec_t deadline = clock_in(l->timeout), step = STEP_FIRST;

	for (;;) {
		int rc = try_all(l, order, e);
		msec_t now = clock_now();

		if (rc != TRY_BUSY)
			return rc == TRY_OK ? 0 : -1;
		if (now >= deadline) {
			return err_set(e, ERR_TEMP, "%s is locked by %s and wasn't to be had within %g s", l->path, l->holder,
			               l->timeout / 1000.0);
		}
		if (wait_until(now + step < deadline ? now + step : deadline, e) < 0)
			return err_in(e, "waiting for the lock of %s", l->path);
		step = step * 3 / 2 < STEP_LAST ? step * 3 / 2 : STEP_LAST;
	}
}

/* Free without unlocking. */
static void lock_free(struct mboxlock *l)
{
	free(l->path);
	free(l->dot);
	free(l->unique);
	free(l);
}

/* Lock fd at path. */
struct mboxlock *mboxlock_take(const struct mboxlock_params *p, int fd, const char *path, struct err *e)
{
	static const enum mboxlock_kind usual[2] = { MBOXLOCK_FCNTL, MBOXLOCK_DOTLOCK };
	struct mboxlock *l = calloc(1, sizeof(*l));

	if (!l)
		goto memory;
	l->fd = fd;
	l->unique_fd = -1;
	l->read = p->read;
	l->timeout = p->timeout > 0 ? p->timeout : TIMEOUT;
	l->stale = p->stale > 0 ? p->stale : STALE;
	if (gethostname(l->host, sizeof(l->host) - 1) < 0 || !l->host[0])
		snprintf(l->host, sizeof(l->host), "localhost");
	l->path = strdup(path);
	if (!l->path || asprintf(&l->dot, "%s.lock", path) < 0) {
		l->dot = NULL;
		goto memory;
	}
	if (asprintf(&l->unique, "%s.%ld-%llx", l->dot, (long)getpid(), (unsigned long long)clock_wall_usec()) < 0) {
		l->unique = NULL;
		goto memory;
	}
	if (wait_for_all(l, p->order[0] == MBOXLOCK_NONE ? usual : p->order, e) < 0) {
		lock_free(l);
		return NULL;
	}
	return l;
memory:
	if (l)
		lock_free(l);
	err_set(e, ERR_LOCAL, "out of memory");
	return NULL;
}

/* Tell others that the lock isn't stale. */
void mboxlock_renew(struct mboxlock *l)
{
	if (!l->dot_held || clock_now() - l->renewed < RENEW_EVERY)
		return;
	futimens(l->unique_fd, NULL);
	l->renewed = clock_now();
}

/* Unlock. */
void mboxlock_give(struct mboxlock *l)
{
	if (!l)
		return;
	let_go(l);
	lock_free(l);
}
