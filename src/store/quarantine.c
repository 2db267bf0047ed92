/* What runs delete here is kept for a while: see quarantine.h. How a message gets there, and back, is its store's. */
#include "store/quarantine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/vec.h"
#include "store/maildir.h"

#define WHOLE ".whole"  /* in a folder's directory: the folder itself was removed. No folder's name begins with a dot on disk */
#define GONE ".gone"
#define LEVELS_MAX 80   /* of directories in each other: more than a folder's name has */
#define PATH_ROOM 16384

static const char *const part_names[] = { "tmp", "new", "cur" };

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void quarantine_box_close(struct quarantine_box *b)
{
	close_fd(&b->tmp);
	close_fd(&b->fresh);
	close_fd(&b->cur);
}

int quarantine_hint(struct err *e)
{
	return err_hint(e, "what is deleted here is kept for a while, or it is not deleted: make room in the state directory, or say quarantine = 0");
}

/* A directory stream over an open directory, which stays open; NULL on error. */
static DIR *list(int dirfd, struct err *e)
{
	int fd = fs_open_beneath(dirfd, ".", O_RDONLY | O_DIRECTORY, 0, e);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d && fd >= 0) {
		err_errno(e, "can't list the quarantine");
		close(fd);
	}
	return d;
}

/* The next entry that is no dot file: 1, 0 at the end, -1. */
static int list_next(DIR *d, struct dirent **out, struct err *e)
{
	do {
		errno = 0;
		*out = readdir(d);
	} while (*out && (*out)->d_name[0] == '.');
	if (*out)
		return 1;
	return errno ? err_errno(e, "can't list the quarantine") : 0;
}

static bool is_dir(int dirfd, const char *name)
{
	struct stat st;

	return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

/* The job's directory, or what is in it. -1; with errno ENOENT when it isn't there */
static int open_beneath(const struct quarantine *q, const char *name, struct err *e)
{
	struct strbuf path = STRBUF_INIT(PATH_ROOM);
	int dir = fs_open_dir(q->state_dir, e), fd = -1, saved;

	if (dir < 0)
		return -1;
	if (strbuf_printf(&path, "%s%s%s", q->name, name[0] ? "/" : "", name) < 0)
		err_set(e, ERR_LOCAL, "out of memory");
	else
		fd = fs_open_beneath(dir, path.s, O_RDONLY | O_DIRECTORY, 0, e);
	saved = errno;
	if (fd < 0)
		err_in(e, "%s", q->state_dir);
	close(dir);
	strbuf_release(&path);
	errno = saved;
	return fd;
}

/* The same where it need not be there: -1 without an error then, and *rc 0. */
static int open_if_there(const struct quarantine *q, const char *name, int *rc, struct err *e)
{
	struct err why = ERR_INIT;
	int fd = open_beneath(q, name, &why);

	*rc = fd >= 0 || errno == ENOENT ? 0 : -1;
	if (*rc < 0 && e)
		*e = why;
	return fd;
}

static int open_dir(int dir, const char *name, int *out, struct err *e)
{
	*out = fs_open_beneath(dir, name, O_RDONLY | O_DIRECTORY, 0, e);
	return *out < 0 ? -1 : 0;
}

/* Note that the folder itself goes. */
static int mark_whole(int dir, struct err *e)
{
	int fd = openat(dir, WHOLE, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return errno == EEXIST ? 0 : err_errno(e, "can't make a file");
	close(fd);
	return fs_sync(dir, "a directory", e);
}

/* The directories of a folder, which are there. */
static int open_box(int box, bool whole, struct quarantine_box *out, struct err *e)
{
	int *parts[] = { &out->tmp, &out->fresh, &out->cur };
	int rc = whole ? mark_whole(box, e) : 0;

	for (size_t i = 0; rc == 0 && i < 3; i++)
		rc = open_dir(box, part_names[i], parts[i], e);
	return rc;
}

int quarantine_put(struct quarantine *q, const char *folder, bool whole, struct quarantine_box *out, struct err *e)
{
	struct strbuf path = STRBUF_INIT(PATH_ROOM), box = STRBUF_INIT(PATH_ROOM);
	int dir = fs_open_dir(q->state_dir, e), run = -1, at = -1, rc = dir < 0 ? -1 : 0;

	*out = (struct quarantine_box)QUARANTINE_BOX_INIT;
	if (rc == 0 && (strbuf_printf(&path, "%s/%lld", q->name, (long long)q->run) < 0 || strbuf_printf(&box, "%s/", path.s) < 0))
		rc = err_set(e, ERR_LOCAL, "out of memory");
	if (rc == 0)
		rc = maildir_folder_path(MAILDIR_NESTED, folder, &box, e);
	if (rc == 0)
		rc = maildir_make_parts(dir, box.s, e);
	if (rc == 0)
		rc = open_dir(dir, path.s, &run, e);
	/* a run that was interrupted long ago goes on: its age counts from now */
	if (rc == 0 && futimens(run, NULL) < 0)
		rc = err_errno(e, "can't set the time of %s", path.s);
	if (rc == 0)
		rc = open_dir(dir, box.s, &at, e);
	if (rc == 0)
		rc = open_box(at, whole, out, e);
	if (rc < 0) {
		err_in(e, "the quarantine %s/%s", q->state_dir, q->name);
		quarantine_hint(e);
		quarantine_box_close(out);
	}
	close_fd(&at);
	close_fd(&run);
	close_fd(&dir);
	strbuf_release(&path);
	strbuf_release(&box);
	return rc;
}

/* ---- what is there ---- */

int quarantine_messages(const struct quarantine_box *b, int (*cb)(void *arg, const char *name, bool in_cur, struct err *e), void *arg, struct err *e)
{
	const int dirs[] = { b->fresh, b->cur };

	for (size_t i = 0; i < 2; i++) {
		DIR *d = dirs[i] < 0 ? NULL : list(dirs[i], e);
		struct dirent *entry;
		int rc;

		if (!d && dirs[i] < 0)
			continue;
		if (!d)
			return -1;
		while ((rc = list_next(d, &entry, e)) > 0) {
			struct slice unique;
			uint32_t flags;

			if (!maildir_name(slice_str(entry->d_name), &unique, &flags) || is_dir(dirs[i], entry->d_name))
				continue;
			rc = cb(arg, entry->d_name, i == 1, e);
			if (rc < 0)
				break;
		}
		closedir(d);
		if (rc < 0)
			return -1;
	}
	return 0;
}

/* A walk over the folders of a run. */
struct walk {
	struct strbuf path, folder;
	int levels;
	int (*cb)(void *arg, const char *folder, bool whole, const struct quarantine_box *b, struct err *e);
	void *arg;
};

/* A directory that is a Maildir. */
static int show_box(struct walk *w, int dir, struct err *e)
{
	struct quarantine_box b = QUARANTINE_BOX_INIT;
	struct stat st;
	int rc = 0;

	strbuf_clear(&w->folder);
	if (w->path.len == 0 || maildir_path_folder(MAILDIR_NESTED, strbuf_slice(&w->path), &w->folder) < 0)
		return 0;
	b.cur = fs_open_beneath(dir, "cur", O_RDONLY | O_DIRECTORY, 0, e);
	if (b.cur < 0)
		rc = -1;
	if (rc == 0 && is_dir(dir, "new")) {
		b.fresh = fs_open_beneath(dir, "new", O_RDONLY | O_DIRECTORY, 0, e);
		rc = b.fresh < 0 ? -1 : 0;
	}
	if (rc == 0)
		rc = w->cb(w->arg, strbuf_str(&w->folder), fstatat(dir, WHOLE, &st, AT_SYMLINK_NOFOLLOW) == 0, &b, e);
	quarantine_box_close(&b);
	return rc;
}

static bool is_part(const char *name)
{
	for (size_t i = 0; i < 3; i++)
		if (strcmp(name, part_names[i]) == 0)
			return true;
	return false;
}

/* One directory, and those below it. */
static int walk_dir(struct walk *w, int dir, struct err *e)
{
	DIR *d = ++w->levels > LEVELS_MAX ? NULL : list(dir, e);
	struct dirent *entry;
	size_t n = w->path.len;
	int rc;

	if (!d)
		return w->levels > LEVELS_MAX ? err_set(e, ERR_LOCAL, "the quarantine holds too many directories in each other") : -1;
	rc = is_dir(dir, "cur") ? show_box(w, dir, e) : 0;
	while (rc >= 0 && (rc = list_next(d, &entry, e)) > 0) {
		int sub;

		if (is_part(entry->d_name) || !is_dir(dir, entry->d_name))
			continue;
		if (strbuf_printf(&w->path, "%s%s", n > 0 ? "/" : "", entry->d_name) < 0) {
			rc = err_set(e, ERR_LOCAL, "out of memory");
			break;
		}
		sub = fs_open_beneath(dir, entry->d_name, O_RDONLY | O_DIRECTORY, 0, e);
		rc = sub < 0 ? -1 : walk_dir(w, sub, e);
		close_fd(&sub);
		strbuf_cut(&w->path, n);
	}
	closedir(d);
	w->levels--;
	return rc < 0 ? -1 : 0;
}

int quarantine_boxes(const struct quarantine *q, int64_t run,
		     int (*cb)(void *arg, const char *folder, bool whole, const struct quarantine_box *b, struct err *e), void *arg, struct err *e)
{
	struct walk w = { .path = STRBUF_INIT(PATH_ROOM), .folder = STRBUF_INIT(PATH_ROOM), .cb = cb, .arg = arg };
	char name[32];
	int rc, dir;

	snprintf(name, sizeof(name), "%lld", (long long)run);
	dir = open_if_there(q, name, &rc, e);
	if (dir >= 0)
		rc = walk_dir(&w, dir, e);
	close_fd(&dir);
	strbuf_release(&w.path);
	strbuf_release(&w.folder);
	return rc;
}

static int count_message(void *arg, const char *name, bool in_cur, struct err *e)
{
	(void)name;
	(void)in_cur;
	(void)e;
	++*(uint64_t *)arg;
	return 0;
}

static int count_box(void *arg, const char *folder, bool whole, const struct quarantine_box *b, struct err *e)
{
	(void)folder;
	(void)whole;
	return quarantine_messages(b, count_message, arg, e);
}

/* Is an entry of the job's directory a run's? */
static bool is_run(int dir, const char *name, struct quarantine_run *out)
{
	struct stat st;
	uint64_t n;

	if (!slice_u64(slice_str(name), INT64_MAX, &n) || n == 0 || name[0] == '0' || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
		return false;
	*out = (struct quarantine_run){ .run = (int64_t)n, .when = st.st_mtime };
	return true;
}

static int by_run(const void *a, const void *b)
{
	const struct quarantine_run *x = a, *y = b;

	return (x->run < y->run) - (x->run > y->run);
}

/* Show all that is in the job's directory, which need not be there. */
static int each_entry(const struct quarantine *q, int (*cb)(void *arg, int dir, const char *name, struct err *e), void *arg, struct err *e)
{
	int rc, dir = open_if_there(q, "", &rc, e);
	struct dirent *entry;
	DIR *d;

	if (dir < 0)
		return rc;
	d = list(dir, e);
	rc = d ? 0 : -1;
	while (rc >= 0 && (rc = list_next(d, &entry, e)) > 0)
		rc = cb(arg, dir, entry->d_name, e);
	if (d)
		closedir(d);
	close(dir);
	return rc < 0 ? err_in(e, "the quarantine %s/%s", q->state_dir, q->name) : 0;
}

struct run_list {
	VEC(struct quarantine_run) r;
};

static int note_run(void *arg, int dir, const char *name, struct err *e)
{
	struct run_list *l = arg;
	struct quarantine_run r;

	return is_run(dir, name, &r) && vec_push(&l->r, r) < 0 ? err_set(e, ERR_LOCAL, "out of memory") : 0;
}

/* All runs by their directories, the latest first. */
static int find_runs(const struct quarantine *q, struct run_list *out, struct err *e)
{
	int rc = each_entry(q, note_run, out, e);

	if (rc == 0 && out->r.n > 0)
		qsort(out->r.a, out->r.n, sizeof(*out->r.a), by_run);
	return rc;
}

int quarantine_runs(const struct quarantine *q, int (*cb)(void *arg, const struct quarantine_run *r, struct err *e), void *arg, struct err *e)
{
	struct run_list l = { 0 };
	int rc = find_runs(q, &l, e);

	for (size_t i = 0; rc == 0 && i < l.r.n; i++) {
		rc = quarantine_boxes(q, l.r.a[i].run, count_box, &l.r.a[i].messages, e);
		if (rc == 0 && l.r.a[i].messages > 0)
			rc = cb(arg, &l.r.a[i], e);
	}
	vec_release(&l.r);
	return rc < 0 ? -1 : 0;
}

int quarantine_last(const struct quarantine *q, int64_t *run, struct err *e)
{
	struct run_list l = { 0 };
	int rc = find_runs(q, &l, e);

	*run = rc == 0 && l.r.n > 0 ? l.r.a[0].run : 0;
	vec_release(&l.r);
	return rc;
}

/* ---- what goes ---- */

/* Remove a directory with all that is in it. */
static int remove_tree(int parent, const char *name, int levels, struct err *e)
{
	int dir = levels > LEVELS_MAX ? -1 : fs_open_beneath(parent, name, O_RDONLY | O_DIRECTORY, 0, e), rc = 0;
	struct dirent *entry;
	DIR *d;

	if (dir < 0)
		return levels > LEVELS_MAX ? err_set(e, ERR_LOCAL, "the quarantine holds too many directories in each other") : -1;
	d = list(dir, e);
	if (!d)
		rc = -1;
	while (rc == 0 && d && (errno = 0, entry = readdir(d))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		rc = clock_check(e);
		if (rc == 0 && is_dir(dir, entry->d_name))
			rc = remove_tree(dir, entry->d_name, levels + 1, e);
		else if (rc == 0 && unlinkat(dir, entry->d_name, 0) < 0 && errno != ENOENT)
			rc = err_errno(e, "can't remove a file");
	}
	if (d)
		closedir(d);
	close(dir);
	if (rc == 0 && unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		rc = err_errno(e, "can't remove the directory %s", name);
	return rc;
}

static bool is_gone(const char *name)
{
	size_t digits = strspn(name, "0123456789");

	return digits > 0 && strcmp(name + digits, GONE) == 0;
}

/* Remove a run's directory, which `dir` holds. */
static int remove_run(int dir, int64_t run, struct err *e)
{
	char name[32], gone[40];

	snprintf(name, sizeof(name), "%lld", (long long)run);
	snprintf(gone, sizeof(gone), "%s" GONE, name);
	/* one is there if a removal was interrupted */
	if (is_dir(dir, gone) && remove_tree(dir, gone, 0, e) < 0)
		return -1;
	if (renameat(dir, name, dir, gone) < 0)
		return errno == ENOENT ? 0 : err_errno(e, "can't rename %s", name);
	return remove_tree(dir, gone, 0, e);
}

/* arg: before when. */
static int expire_run(void *arg, int dir, const char *name, struct err *e)
{
	const int64_t *before = arg;
	struct quarantine_run r;

	if (is_gone(name) && is_dir(dir, name))
		return remove_tree(dir, name, 0, e);
	return is_run(dir, name, &r) && r.when < *before ? remove_run(dir, r.run, e) : 0;
}

int quarantine_expire(const struct quarantine *q, int64_t before, struct err *e)
{
	return each_entry(q, expire_run, &before, e);
}

int quarantine_drop(const struct quarantine *q, int64_t run, struct err *e)
{
	uint64_t messages = 0;
	int rc = quarantine_boxes(q, run, count_box, &messages, e), dir;

	if (rc < 0 || messages > 0)
		return rc;
	dir = open_if_there(q, "", &rc, e);
	if (dir < 0)
		return rc;
	rc = remove_run(dir, run, e);
	close(dir);
	return rc;
}
