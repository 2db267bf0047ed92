/* Directories that are watched: see dirwatch.h. */
#include "store/dirwatch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/listen.h"

#define PATHS_MAX ((size_t)256 << 20)
#define ITEMS_MAX 1000000
#define READS_MAX 64 /* of EVENTS_BUF each, in one call */
#define EVENTS_BUF 65536
#define NS 1000000000
#define SETTLED ((int64_t)2 * NS + NS / 20) /* file systems count in up to two seconds */

static const uint32_t remote_magic[] = {
	0x6969 /* nfs */, 0xff534d42 /* cifs */, 0xfe534d42 /* smb2 */, 0x517b /* smb */, 0x65735546 /* fuse: sshfs and the like */, 0x01021997 /* 9p */,
	0x5346414f /* afs */, 0x6b414653 /* kafs */, 0x00c36400 /* ceph */, 0x73757245 /* coda */, 0x7461636f /* ocfs2 */, 0x01161970 /* gfs2 */,
	0x0bd00bd0 /* lustre */, 0x47504653 /* gpfs */, 0x786f4256 /* vboxsf */, 0xbacbacbc /* vmhgfs */, 0x19830326 /* beegfs */,
};

/* A path beneath the root, the root itself, or a path elsewhere. */
static bool full_path(const struct dirwatch *w, const char *path, char out[PATH_MAX])
{
	bool whole = strcmp(path, ".") == 0 || path[0] == '/';
	int n = snprintf(out, PATH_MAX, "%s%s%s", path[0] == '/' ? "" : w->root, whole ? "" : "/", strcmp(path, ".") == 0 ? "" : path);

	return n > 0 && n < PATH_MAX;
}

/* The mark of what is at a path, as the server of a network file system has it now. -1 with errno */
static int take_mark(const struct dirwatch *w, const char *path, bool *is_dir, struct dirwatch_mark *out)
{
	char full[PATH_MAX];
	struct statx x;
	int flags = AT_STATX_FORCE_SYNC;

	if (!full_path(w, path, full)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if (statx(AT_FDCWD, full, flags, STATX_BASIC_STATS, &x) < 0) {
		struct stat st; /* kernels and sandboxes without statx */

		if ((errno != ENOSYS && errno != EPERM) || stat(full, &st) < 0)
			return -1;
		*is_dir = S_ISDIR(st.st_mode);
		*out = (struct dirwatch_mark){ .dev = st.st_dev, .ino = st.st_ino, .size = (uint64_t)st.st_size, .mtime = st.st_mtim.tv_sec * NS + st.st_mtim.tv_nsec,
			.ctime = st.st_ctim.tv_sec * NS + st.st_ctim.tv_nsec };
	} else {
		*is_dir = S_ISDIR(x.stx_mode);
		*out = (struct dirwatch_mark){ .dev = (uint64_t)x.stx_dev_major << 32 | x.stx_dev_minor, .ino = x.stx_ino, .size = x.stx_size,
			.mtime = x.stx_mtime.tv_sec * NS + x.stx_mtime.tv_nsec, .ctime = x.stx_ctime.tv_sec * NS + x.stx_ctime.tv_nsec };
	}
	if (*is_dir)
		out->size = 0;
	return 0;
}

static bool mark_eq(const struct dirwatch_mark *a, const struct dirwatch_mark *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size && a->mtime == b->mtime && a->ctime == b->ctime;
}

/* Would a change from now on show? Times of the future (the clock was wrong once) are as good as old ones. */
static bool is_settled(const struct dirwatch_mark *m)
{
	int64_t now = clock_wall_usec() * 1000;

	return (m->mtime < now - SETTLED || m->mtime > now + SETTLED) && (m->ctime < now - SETTLED || m->ctime > now + SETTLED);
}

const char *dirwatch_path(const struct dirwatch *w, const struct dirwatch_item *item)
{
	return w->now.paths.s + item->path;
}

const struct dirwatch_item *dirwatch_find(const struct dirwatch *w, const char *path)
{
	size_t low = 0, high = w->now.a.n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int c = strcmp(dirwatch_path(w, &w->now.a.a[mid]), path);

		if (c == 0)
			return &w->now.a.a[mid];
		if (c < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

static void table_release(struct dirwatch_table *t)
{
	strbuf_release(&t->paths);
	vec_release(&t->a);
	vec_release(&t->by_wd);
}

int dirwatch_init(struct dirwatch *w, const char *root, struct err *e)
{
	*w = (struct dirwatch)DIRWATCH_INIT;
	w->now.paths.max = PATHS_MAX;
	w->root = strdup(root);
	return w->root ? 0 : err_set(e, ERR_LOCAL, "out of memory");
}

void dirwatch_release(struct dirwatch *w)
{
	if (w->fd >= 0)
		close(w->fd);
	table_release(&w->now);
	free(w->root);
	*w = (struct dirwatch)DIRWATCH_INIT;
}

/* Watch a directory; -1: it can't be. */
static int watch(struct dirwatch *w, const char *path, uint32_t mask)
{
	char full[PATH_MAX];
	int wd;

	if (w->fd < 0 || !full_path(w, path, full))
		return -1;
	wd = inotify_add_watch(w->fd, full, mask | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR);
	if (wd < 0)
		w->why = errno;
	return wd;
}

/* Note one. */
int dirwatch_add(struct dirwatch *w, const char *path, uint32_t mask, int kind, size_t tag, struct err *e)
{
	struct dirwatch_item item = { .path = (uint32_t)w->now.paths.len, .wd = -1, .kind = kind, .tag = tag };
	bool is_dir = false;

	if (mask)
		item.wd = watch(w, path, mask); /* before the mark: what happens between the two shows */
	if (take_mark(w, path, &is_dir, &item.mark) < 0 || (mask && !is_dir)) {
		if (errno != ENOENT && errno != ENOTDIR)
			dirwatch_unread(w);
		return 0;
	}
	item.settled = is_settled(&item.mark);
	item.is_dir = is_dir;
	w->lacking += mask && item.wd < 0;
	if (w->now.a.n >= ITEMS_MAX || strbuf_put(&w->now.paths, path, strlen(path) + 1) < 0 || vec_push(&w->now.a, item) < 0)
		return err_set(e, ERR_LOCAL, "%s: too many directories", w->root);
	return 1;
}

/* A directory that can't be read. */
void dirwatch_unread(struct dirwatch *w)
{
	w->why = errno;
	w->lacking++;
}

static int by_path(const void *a, const void *b, void *paths)
{
	const struct dirwatch_item *x = a, *y = b;

	return strcmp((const char *)paths + x->path, (const char *)paths + y->path);
}

static int by_wd(const void *a, const void *b, void *items)
{
	const struct dirwatch_item *all = items;
	int x = all[*(const size_t *)a].wd, y = all[*(const size_t *)b].wd;

	return x < y ? -1 : x > y;
}

/* Put what was noted in order. */
static int arrange(struct dirwatch_table *t, struct err *e)
{
	if (t->a.n > 0)
		qsort_r(t->a.a, t->a.n, sizeof(*t->a.a), by_path, t->paths.s);
	for (size_t i = 0; i < t->a.n; i++)
		if (t->a.a[i].wd >= 0 && vec_push(&t->by_wd, i) < 0)
			return err_set(e, ERR_LOCAL, "out of memory");
	if (t->by_wd.n > 0)
		qsort_r(t->by_wd.a, t->by_wd.n, sizeof(*t->by_wd.a), by_wd, t->a.a);
	return 0;
}

/* The first place among by_wd that has this descriptor, or where it would be. */
static size_t place_of(const struct dirwatch_table *t, int wd)
{
	size_t low = 0, high = t->by_wd.n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (t->a.a[t->by_wd.a[mid]].wd < wd)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool has_wd(const struct dirwatch_table *t, int wd)
{
	size_t at = place_of(t, wd);

	return at < t->by_wd.n && t->a.a[t->by_wd.a[at]].wd == wd;
}

/* Give up the watches of directories that are not of the tree any more. */
static void unwatch(struct dirwatch *w, const struct dirwatch_table *old)
{
	for (size_t i = 0; i < old->by_wd.n; i++) {
		int wd = old->a.a[old->by_wd.a[i]].wd;

		if (!has_wd(&w->now, wd))
			inotify_rm_watch(w->fd, wd); /* it may be gone by itself */
	}
}

/* What stands in both tables: was it watched all the time (a file: by its directory), or does its mark show that nothing happened? */
static bool same(const struct dirwatch_item *old, const struct dirwatch_item *item, bool complete)
{
	if (!old->is_dir && complete)
		return true;
	if (old->wd >= 0)
		return old->mark.dev == item->mark.dev && old->mark.ino == item->mark.ino;
	return mark_eq(&old->mark, &item->mark) && old->settled;
}

/* Do two tables differ? */
static bool differ(const struct dirwatch_table *old, const struct dirwatch_table *now, bool complete)
{
	bool other = old->a.n != now->a.n;

	for (size_t i = 0; !other && i < now->a.n; i++)
		other = strcmp(old->paths.s + old->a.a[i].path, now->paths.s + now->a.a[i].path) != 0 || old->a.a[i].kind != now->a.a[i].kind ||
			!same(&old->a.a[i], &now->a.a[i], complete);
	return other;
}

/* Is the root there, and what is it? */
static bool look_at_root(const struct dirwatch *w, uint64_t *dev, uint64_t *ino)
{
	struct stat st;

	if (stat(w->root, &st) < 0)
		return false;
	*dev = st.st_dev;
	*ino = st.st_ino;
	return true;
}

static bool is_remote(const char *root)
{
	struct statfs fs;

	if (statfs(root, &fs) < 0)
		return false;
	for (size_t i = 0; i < sizeof(remote_magic) / sizeof(remote_magic[0]); i++)
		if ((uint32_t)fs.f_type == remote_magic[i])
			return true;
	return false;
}

/* Walk the tree anew. */
int dirwatch_scan(struct dirwatch *w, int (*walk)(void *arg, struct dirwatch *w, struct err *e), void *arg, struct err *e)
{
	struct dirwatch_table old = w->now;
	bool was = w->there, complete = dirwatch_complete(w), differs;
	int rc = 0;

	if (w->fd < 0) {
		w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
		if (w->fd < 0)
			w->why = errno;
	}
	w->now = (struct dirwatch_table){ .paths = STRBUF_INIT(PATHS_MAX) };
	w->lacking = 0;
	w->there = look_at_root(w, &w->dev, &w->ino);
	w->remote = w->there && is_remote(w->root);
	if (w->there)
		rc = walk(arg, w, e);
	if (rc == 0)
		rc = arrange(&w->now, e);
	if (rc < 0) {
		/* what is watched is more than what is known, which does no harm: the caller ends */
		table_release(&w->now);
		w->now = old;
		return -1;
	}
	unwatch(w, &old);
	differs = was != w->there || differ(&old, &w->now, complete);
	table_release(&old);
	return differs;
}

/* One event, of each place that has its descriptor: a directory can be mounted twice. */
static void tell(struct dirwatch *w, const struct inotify_event *ev, void (*event)(void *arg, const struct dirwatch_item *item, uint32_t mask, const char *name), void *arg)
{
	if (ev->mask & IN_Q_OVERFLOW) {
		event(arg, NULL, ev->mask, "");
		return;
	}
	for (size_t i = place_of(&w->now, ev->wd); i < w->now.by_wd.n; i++) {
		const struct dirwatch_item *item = &w->now.a.a[w->now.by_wd.a[i]];

		if (item->wd != ev->wd)
			break;
		event(arg, item, ev->mask, ev->len ? ev->name : "");
	}
}

/* Read events. */
int dirwatch_read(struct dirwatch *w, void (*event)(void *arg, const struct dirwatch_item *item, uint32_t mask, const char *name), void *arg, struct err *e)
{
	_Alignas(struct inotify_event) char buf[EVENTS_BUF];

	for (int i = 0; w->fd >= 0 && i < READS_MAX; i++) {
		ssize_t n = read(w->fd, buf, sizeof(buf));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0)
			return err_errno(e, "can't read events of %s", w->root);
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *ev = (const void *)(buf + at);

			tell(w, ev, event, arg);
			at += (ssize_t)(sizeof(*ev) + ev->len);
		}
	}
	return 0;
}

/* Compare. What is gone counts as changed once, and is noted no more by the scan that follows. */
void dirwatch_look(struct dirwatch *w, void (*changed)(void *arg, const struct dirwatch_item *item), void *arg)
{
	for (size_t i = 0; i < w->now.a.n; i++) {
		struct dirwatch_item *item = &w->now.a.a[i];
		struct dirwatch_mark now = { 0 };
		bool is_dir, settled;

		take_mark(w, dirwatch_path(w, item), &is_dir, &now);
		settled = is_settled(&now);
		if (!mark_eq(&now, &item->mark) || !item->settled)
			changed(arg, item);
		item->mark = now;
		item->settled = settled;
	}
}

/* Another root? */
bool dirwatch_root_changed(const struct dirwatch *w)
{
	uint64_t dev, ino;

	if (!look_at_root(w, &dev, &ino))
		return w->there;
	return !w->there || dev != w->dev || ino != w->ino;
}

bool dirwatch_complete(const struct dirwatch *w)
{
	return w->fd >= 0 && w->lacking == 0 && !w->remote;
}

/* How changes are learnt of. */
void dirwatch_how(const struct dirwatch *w, long long interval, struct strbuf *out)
{
	char buf[128];

	if (!w->there) {
		strbuf_printf(out, "waits for %s to be there", w->root);
		return;
	}
	if (w->fd >= 0)
		strbuf_puts(out, "inotify");
	if (dirwatch_complete(w))
		return;
	strbuf_puts(out, w->fd >= 0 ? ", looks every " : "looks every ");
	listen_put_interval(out, interval);
	if (w->fd < 0 && (w->why == EMFILE || w->why == ENFILE))
		strbuf_puts(out, " (no inotify can be had: raise fs.inotify.max_user_instances, or the limit of open files)");
	else if (w->fd < 0)
		strbuf_printf(out, " (no inotify: %s)", strerror_r(w->why, buf, sizeof(buf)));
	else if (w->lacking && w->why == ENOSPC)
		strbuf_printf(out, " (%zu directories can't be watched: raise fs.inotify.max_user_watches)", w->lacking);
	else if (w->lacking)
		strbuf_printf(out, " (%zu directories can't be watched: %s)", w->lacking, strerror_r(w->why, buf, sizeof(buf)));
	else
		strbuf_puts(out, " (a file system of the network tells nothing of what others do)");
}
