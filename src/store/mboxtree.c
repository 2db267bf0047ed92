/*
 * The folders of an mbox tree: see store.h. A folder that isn't listed would be taken as removed, and files are replaced while others list them: so the tree is read until two readings agree,
 * unless it has been quiet meanwhile.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "mail/boxname.h"
#include "store/mbox_p.h"

#define FOLDERS_MAX 200000
#define TREE_MAX ((size_t)256 << 20)
#define READINGS 8
#define WAIT_MS 60
#define WARNINGS_MAX 10

struct found {
	const char *folder, *path;
};

struct tree {
	struct mbox *m;
	struct arena arena;
	VEC(struct found) a;
	struct strbuf path, folder;
	struct stat above[BOXNAME_LEVELS + 1]; /* directories on the way down: links may lead in circles */
	size_t depth, unnamable;
	bool quiet;        /* no directory was changed while, or shortly before, it was read */
};

static void leave_out(struct tree *t, const char *name, const char *why)
{
	char shown[ERR_TEXT_MAX / 2];

	if (t->m->told_unnamable || t->unnamable++ >= WARNINGS_MAX)
		return;
	log_warn("%s: '%s' is left out: %s", strbuf_str(&t->path), err_printable(shown, sizeof(shown), name, strlen(name)), why);
}

static int add(struct tree *t, struct err *e)
{
	struct found f = { .folder = arena_str(&t->arena, strbuf_slice(&t->folder)), .path = arena_str(&t->arena, strbuf_slice(&t->path)) };

	if (!f.folder || !f.path || t->a.n >= FOLDERS_MAX || vec_push(&t->a, f) < 0)
		return err_set(e, ERR_LOCAL, "%s: too many folders", t->m->root);
	return 0;
}

/* A Maildir's directories hold no mbox files. */
static bool is_maildir(const struct strbuf *path)
{
	char cur[PATH_MAX];
	int n = snprintf(cur, sizeof(cur), "%s/cur", strbuf_str(path)), k;

	if (n >= (int)sizeof(cur) || !mbox_path_is_dir(cur))
		return false;
	k = snprintf(cur, sizeof(cur), "%s/new", strbuf_str(path));
	return k < (int)sizeof(cur) && mbox_path_is_dir(cur);
}

static int read_dir(struct tree *t, struct err *e);

/* One entry of the directory whose path, and folder name, are in t. */
static int read_entry(struct tree *t, const char *name, struct err *e)
{
	size_t path_n = t->path.len, folder_n = t->folder.len;
	bool is_dir, unnamable;
	struct stat st;
	int rc = 0;

	if (name[0] == '.')
		return 0;
	strbuf_printf(&t->path, "/%s", name);
	if (t->path.failed) {
		strbuf_clear(&t->path);
		return err_set(e, ERR_LOCAL, "%s: a path beneath it is too long", t->m->root);
	}
	is_dir = mbox_path_is_dir(t->path.s);
	if (!is_dir && (lstat(t->path.s, &st) < 0 || (!S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode))))
		goto out;
	if (folder_n > 0)
		strbuf_putc(&t->folder, '/');
	if (!mbox_entry_level(name, is_dir, &t->folder, &unnamable)) {
		strbuf_cut(&t->path, path_n);
		if (unnamable)
			leave_out(t, name, "its name can't be a folder's");
		goto out;
	}
	if (folder_n == 0 && strcasecmp(t->folder.s, "INBOX") == 0)
		memcpy(t->folder.s, "INBOX", 5);
	if (t->folder.failed || t->folder.len > BOXNAME_MAX) {
		strbuf_cut(&t->path, path_n);
		leave_out(t, name, "the name of the folder would be too long");
	} else if (!is_dir) {
		rc = add(t, e);
	} else if (!is_maildir(&t->path)) {
		rc = read_dir(t, e);
	}
out:
	strbuf_cut(&t->path, path_n);
	t->folder.failed = false;
	strbuf_cut(&t->folder, folder_n);
	return rc;
}

/* Whether a directory is one that we are in already. */
static bool is_above(const struct tree *t, const struct stat *st)
{
	for (size_t i = 0; i < t->depth; i++)
		if (t->above[i].st_dev == st->st_dev && t->above[i].st_ino == st->st_ino)
			return true;
	return false;
}

static bool is_quiet(const struct stat *before, const struct stat *after)
{
	int64_t now = clock_wall_usec();

	return before->st_mtim.tv_sec == after->st_mtim.tv_sec && before->st_mtim.tv_nsec == after->st_mtim.tv_nsec &&
	       now - (after->st_mtim.tv_sec * INT64_C(1000000) + after->st_mtim.tv_nsec / 1000) > (after->st_mtim.tv_nsec ? 50000 : 2000000);
}

/* All entries of a directory. What can't be read can't be left out: its folders would seem to be gone. */
static int read_dir(struct tree *t, struct err *e)
{
	struct stat before, after;
	struct dirent *entry;
	DIR *d;
	int rc = 0;

	if (clock_check(e) < 0)
		return -1;
	if (stat(t->path.s, &before) < 0)
		return errno == ENOENT && t->depth > 0 ? 0 : err_errno(e, "can't look at %s", t->path.s);
	if (t->depth > BOXNAME_LEVELS - 1 || is_above(t, &before))
		return 0;
	t->above[t->depth++] = before;
	d = opendir(t->path.s);
	if (!d)
		rc = err_errno(e, "can't list %s", t->path.s);
	while (rc == 0) {
		errno = 0;
		entry = readdir(d);
		if (!entry) {
			rc = errno ? err_errno(e, "can't list %s", t->path.s) : 0;
			break;
		}
		rc = read_entry(t, entry->d_name, e);
	}
	if (d)
		closedir(d);
	t->depth--;
	t->quiet &= rc == 0 && stat(t->path.s, &after) == 0 && is_quiet(&before, &after);
	return rc;
}

static int by_folder(const void *a, const void *b)
{
	const struct found *x = a, *y = b;
	int c = strcmp(x->folder, y->folder);

	return c ? c : strcmp(x->path, y->path);
}

/* Two places may be of one folder ("a/b" and "a.sbd/b", "INBOX" and "inbox"): one counts, the one that is opened by that name. */
static int drop_doubles(struct tree *t, struct err *e)
{
	size_t n = 0;

	for (size_t i = 0; i < t->a.n; i++) {
		struct strbuf path = STRBUF_INIT(PATH_MAX);
		bool other = (i > 0 && strcmp(t->a.a[i - 1].folder, t->a.a[i].folder) == 0) || (i + 1 < t->a.n && strcmp(t->a.a[i + 1].folder, t->a.a[i].folder) == 0);
		int rc = other ? mbox_folder_path(t->m, t->a.a[i].folder, &path, e) : 0;

		if (rc < 0) {
			strbuf_release(&path);
			return -1;
		}
		if (other && rc > 0 && strcmp(path.s, t->a.a[i].path) != 0) {
			if (!t->m->told_unnamable)
				log_warn("%s is left out: %s is the folder of that name", t->a.a[i].path, path.s);
			t->a.a[i].path = NULL;
		}
		strbuf_release(&path);
	}
	for (size_t i = 0; i < t->a.n; i++)
		if (t->a.a[i].path)
			t->a.a[n++] = t->a.a[i];
	t->a.n = n;
	return 0;
}

static int read_tree(struct tree *t, struct err *e)
{
	struct stat st;

	arena_reset(&t->arena);
	vec_clear(&t->a);
	strbuf_clear(&t->path);
	strbuf_clear(&t->folder);
	t->depth = 0;
	t->unnamable = 0;
	t->quiet = true;
	if (strbuf_puts(&t->path, t->m->root) < 0)
		return err_set(e, ERR_LOCAL, "%s: the path is too long", t->m->root);
	if (stat(t->m->root, &st) == 0 && !S_ISDIR(st.st_mode)) {
		strbuf_puts(&t->folder, "INBOX");
		return add(t, e);
	}
	if (read_dir(t, e) < 0)
		return -1;
	if (t->a.n > 0)
		qsort(t->a.a, t->a.n, sizeof(*t->a.a), by_folder);
	return drop_doubles(t, e);
}

/* What the last reading showed, to be compared with the next. */
static uint64_t sum(const struct tree *t)
{
	uint64_t s = t->a.n;

	for (size_t i = 0; i < t->a.n; i++)
		s = s * 31 + slice_hash(slice_str(t->a.a[i].path));
	return s;
}

static int read_surely(struct tree *t, struct err *e)
{
	uint64_t last = 0;

	for (int i = 0; i < READINGS; i++) {
		if (i > 0 && wait_until(clock_in(WAIT_MS), e) < 0)
			return -1;
		if (read_tree(t, e) < 0)
			return -1;
		if (t->quiet || (i > 0 && sum(t) == last)) {
			t->m->told_unnamable = true;
			return 0;
		}
		last = sum(t);
	}
	return err_set(e, ERR_TEMP, "the folders of %s are changed again and again while they are read", t->m->root);
}

/* Count a folder's messages, for who shows them. */
static void count(struct mbox *m, const char *path, struct folder_info *f)
{
	struct err unknown = ERR_INIT;

	m->view = NULL;
	if (mbox_set_path(m, path, &unknown) < 0 || mbox_index_now(m, &unknown) < 0)
		return;
	f->messages = m->index.live;
	f->bytes = (uint64_t)m->index.st.st_size;
}

int mbox_folders(struct store *s, int (*cb)(void *arg, const struct folder_info *f, struct err *e), void *arg, struct err *e)
{
	struct mbox *m = mbox_of(s);
	struct tree t = { .m = m, .arena = ARENA_INIT(TREE_MAX), .path = STRBUF_INIT(PATH_MAX), .folder = STRBUF_INIT(PATH_MAX) };
	struct stat st;
	int rc;

	mbox_close(s);
	if (stat(m->root, &st) < 0 && errno == ENOENT) {
		err_set(e, ERR_LOCAL, "there is no mbox, nor a directory of them, at %s", m->root);
		return err_hint(e, "is its disk not mounted?");
	}
	rc = read_surely(&t, e);
	for (size_t i = 0; rc == 0 && i < t.a.n; i++) {
		struct folder_info f = { .name = t.a.a[i].folder, .messages = UINT64_MAX };

		if (stat(t.a.a[i].path, &st) == 0)
			mbox_stamp(m, &st, f.stamp);
		if (s->counts)
			count(m, t.a.a[i].path, &f);
		rc = cb(arg, &f, e);
	}
	strbuf_release(&t.path);
	strbuf_release(&t.folder);
	vec_release(&t.a);
	arena_release(&t.arena);
	return rc;
}

/* fsync the directory that a path is in. */
static int sync_above(const char *path, struct err *e)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(path, '/');

	snprintf(dir, sizeof(dir), "%.*s", slash && slash > path ? (int)(slash - path) : 1, slash ? path : ".");
	return fs_sync_dir(AT_FDCWD, dir, e);
}

int mbox_folder_create(struct store *s, const char *folder, unsigned attrs, struct err *e)
{
	struct mbox *m = mbox_of(s);
	struct strbuf path = STRBUF_INIT(PATH_MAX);
	int rc, fd = -1;

	(void)attrs;
	mbox_close(s);
	if (folder[0] == '\0') {
		struct stat st;

		return stat(m->root, &st) == 0 ? 0 : fs_mkdirs(m->root, 0700, e);
	}
	rc = mbox_folder_path(m, folder, &path, e);
	if (rc == 0) {
		strbuf_clear(&path);
		rc = mbox_folder_make_room(m, folder, &path, e);
		if (rc == 0) {
			fd = open(path.s, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, 0600);
			if (fd < 0 && errno != EEXIST)
				rc = err_errno(e, "can't make %s", path.s);
		}
		if (fd >= 0)
			close(fd);
	}
	/* also what a run made that died before it synced it */
	if (rc >= 0)
		rc = sync_above(path.s, e);
	strbuf_release(&path);
	return rc < 0 ? mbox_of_box(e) : 0;
}

/* Directories that hold nothing any more, from the one of a file's folders and the one that it was in, up to the root. */
static void tidy(const struct mbox *m, char *path)
{
	char sbd[PATH_MAX + 8];
	size_t root = strlen(m->root);
	char *slash;

	snprintf(sbd, sizeof(sbd), "%s.sbd", path);
	rmdir(sbd);
	while ((slash = strrchr(path, '/')) && (size_t)(slash - path) > root) {
		*slash = '\0';
		if (rmdir(path) < 0)
			break;
	}
}

/* The locked file is removed, with Thunderbird's index of it. */
static int remove_locked(struct mbox *m, const char *folder, uint64_t expected, struct err *e)
{
	char msf[PATH_MAX + 8];

	if (mbox_index_locked(m, e) < 0)
		return -1;
	if (m->index.live > expected)
		return err_set_span(e, ERR_REFUSED, SPAN_BOX, "folder '%s' is not removed: it holds %llu messages, of which %llu are known to be elsewhere", folder,
				    (unsigned long long)m->index.live, (unsigned long long)expected);
	if (unlink(m->path) < 0)
		return err_errno(e, "can't remove %s", m->path);
	snprintf(msf, sizeof(msf), "%s.msf", m->path);
	unlink(msf);
	return sync_above(m->path, e);
}

static bool is_inbox(const char *folder)
{
	return strcmp(folder, "INBOX") == 0;
}

int mbox_folder_remove(struct store *s, const char *folder, uint64_t expected, struct err *e)
{
	struct mbox *m = mbox_of(s);
	struct strbuf path = STRBUF_INIT(PATH_MAX);
	int rc;

	if (folder[0] == '\0' || is_inbox(folder))
		return err_set_span(e, ERR_REFUSED, SPAN_BOX, "the inbox can't be removed");
	mbox_close(s);
	rc = mbox_folder_path(m, folder, &path, e);
	if (rc > 0)
		rc = mbox_set_path(m, path.s, e) < 0 ? -1 : mbox_lock_file(m, false, e);
	if (rc > 0)
		rc = remove_locked(m, folder, expected, e);
	mbox_let_go(m);
	if (rc == 0 && path.len > 0)
		tidy(m, path.s);
	strbuf_release(&path);
	return rc < 0 ? mbox_of_box(e) : 0;
}

/* What is below goes with it, if there is nothing by the new name. */
static void rename_below(const char *from, const char *to)
{
	char old[PATH_MAX + 8], new[PATH_MAX + 8];
	struct stat st;

	snprintf(old, sizeof(old), "%s.sbd", from);
	snprintf(new, sizeof(new), "%s.sbd", to);
	if (lstat(new, &st) < 0 && errno == ENOENT && mbox_path_is_dir(old) && rename(old, new) == 0)
		sync_above(new, NULL);
}

/* Give the locked file its new name, which nothing has. */
static int rename_locked(const char *from, const char *to, struct err *e)
{
	struct stat st;

	if (lstat(to, &st) == 0 || errno != ENOENT)
		return err_set_span(e, ERR_REFUSED, SPAN_BOX, "%s is there already", to);
	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) < 0 && ((errno != EINVAL && errno != ENOSYS) || rename(from, to) < 0))
		return err_errno(e, "can't rename %s to %s", from, to);
	return sync_above(to, e) < 0 ? -1 : sync_above(from, e);
}

int mbox_folder_rename(struct store *s, const char *from, const char *to, struct err *e)
{
	struct mbox *m = mbox_of(s);
	struct strbuf old = STRBUF_INIT(PATH_MAX), new = STRBUF_INIT(PATH_MAX);
	int rc;

	if (from[0] == '\0' || to[0] == '\0' || is_inbox(from) || is_inbox(to))
		return err_set_span(e, ERR_REFUSED, SPAN_BOX, "the inbox keeps its name");
	mbox_close(s);
	rc = mbox_folder_path(m, from, &old, e);
	if (rc == 0)
		rc = err_set(e, ERR_LOCAL, "there is no folder '%s' in %s", from, m->root);
	if (rc > 0)
		rc = mbox_folder_path(m, to, &new, e);
	if (rc > 0)
		rc = err_set(e, ERR_REFUSED, "folder '%s' is there already", to);
	if (rc == 0) {
		strbuf_clear(&new);
		rc = mbox_folder_make_room(m, to, &new, e);
	}
	if (rc == 0) { /* which may have given the directory that it is in another name */
		strbuf_clear(&old);
		rc = mbox_folder_path(m, from, &old, e) > 0 ? mbox_set_path(m, old.s, e) : -1;
	}
	if (rc == 0) {
		rc = mbox_lock_file(m, false, e);
		if (rc == 0)
			rc = err_set(e, ERR_LOCAL, "there is no folder '%s' in %s any more", from, m->root);
	}
	if (rc > 0)
		rc = rename_locked(old.s, new.s, e);
	mbox_let_go(m);
	if (rc == 0) {
		rename_below(old.s, new.s);
		tidy(m, old.s);
	}
	strbuf_release(&old);
	strbuf_release(&new);
	return rc < 0 ? mbox_of_box(e) : 0;
}
