/*
 * The folders of a Maildir: see maildir.h for where they are.
 *
 * A folder that isn't listed would be taken as removed, and directories are renamed while others read them: so the times of all directories that were read are
 * looked at again afterwards, and the tree is read anew when one has changed.
 */
#include "store/maildir_p.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"

#define DIRS_MAX 200000
#define PATHS_MAX (256u << 20)
#define READINGS 6
#define WARNINGS_MAX 10

/* A directory that may hold folders, or be one. */
struct dir {
	size_t path;  /* offset in tree.paths; relative to the root */
	struct maildir_times before;
	bool link;    /* it is none, but leads to a Maildir elsewhere */
	bool unnamable; /* it is a Maildir, but its name can't be a folder's */
	bool read;    /* its entries are part of the tree */
	bool box;     /* it has a cur/ */
	char stamp[STORE_STAMP_MAX];
};

struct tree {
	struct maildir *m;
	int root;
	struct strbuf paths;
	VEC(struct dir) dirs; /* those that are still to be read stand behind those that were */
};

/* A directory's path; moves when one is added. */
static const char *path_of(const struct tree *t, size_t i)
{
	return t->paths.s + t->dirs.a[i].path;
}

/* Note a directory. */
static int add_dir(struct tree *t, const char *parent, const char *name, struct err *e)
{
	struct dir d = { .path = t->paths.len };
	int rc;

	/* parent may point into what grows */
	if (strcmp(parent, ".") == 0) {
		rc = strbuf_puts(&t->paths, name);
	} else {
		size_t at = (size_t)(parent - t->paths.s), n = strlen(parent);

		rc = strbuf_room(&t->paths, n + strlen(name) + 2) ? 0 : -1;
		if (rc == 0) {
			strbuf_put(&t->paths, t->paths.s + at, n);
			strbuf_putc(&t->paths, '/');
			rc = strbuf_puts(&t->paths, name);
		}
	}
	if (rc < 0 || strbuf_putc(&t->paths, '\0') < 0 || t->dirs.n >= DIRS_MAX || vec_push(&t->dirs, d) < 0)
		return err_set(e, ERR_LOCAL, "%s: too many directories", t->m->path);
	return 0;
}

/* A directory's folder name; false when it is none's: then it is no folder, and nothing beneath it is. */
static bool folder_of(const struct maildir *m, const char *path, struct strbuf *out)
{
	strbuf_clear(out);
	if (m->layout == MAILDIR_PLUSPLUS && strcmp(path, ".") == 0)
		return strbuf_puts(out, "INBOX") == 0;
	if (m->layout == MAILDIR_PLUSPLUS && strcmp(path, ".INBOX") == 0)
		return false; /* the root is */
	return strcmp(path, ".") != 0 && maildir_path_folder(m->layout, slice_str(path), out) == 0;
}

/* Whether a link leads to a Maildir. */
static bool leads_to_box(int fd, const char *name)
{
	char cur[NAME_MAX + 8];
	struct stat st;

	snprintf(cur, sizeof(cur), "%s/cur", name);
	return fstatat(fd, cur, &st, 0) == 0 && S_ISDIR(st.st_mode);
}

/*
 * Whether an entry can be a folder's directory. Links aren't followed: they may lead to anything, and in circles. One that leads to a Maildir is listed
 * nevertheless: opening it fails and says why, while a folder that was moved away and linked would else be taken for removed.
 */
static bool may_be_folder(const struct tree *t, int fd, const struct dirent *entry, bool *link)
{
	const char *name = entry->d_name;
	struct stat st = { 0 };

	if (entry->d_type == DT_DIR)
		st.st_mode = S_IFDIR;
	else if (entry->d_type == DT_LNK)
		st.st_mode = S_IFLNK;
	else if (entry->d_type != DT_UNKNOWN || fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	*link = S_ISLNK(st.st_mode);
	if (!*link && !S_ISDIR(st.st_mode))
		return false;
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, "cur") == 0 || strcmp(name, "new") == 0 || strcmp(name, "tmp") == 0)
		return false;
	if (t->m->layout == MAILDIR_PLUSPLUS && name[0] != '.')
		return false;
	return !*link || leads_to_box(fd, name);
}

/* Note what a directory holds. */
static int read_entries(struct tree *t, size_t i, int fd, struct err *e)
{
	struct strbuf folder = STRBUF_INIT(8192);
	DIR *d = maildir_list(t->m, fd, e);
	struct dirent *entry;
	int rc = d ? 0 : -1;

	while (rc == 0) {
		struct dir *made;
		bool link;

		errno = 0;
		entry = readdir(d);
		if (!entry) {
			if (errno)
				rc = err_errno(e, "can't list %s/%s", t->m->path, path_of(t, i));
			break;
		}
		if (!may_be_folder(t, fd, entry, &link))
			continue;
		rc = add_dir(t, path_of(t, i), entry->d_name, e);
		if (rc < 0)
			break;
		made = &t->dirs.a[t->dirs.n - 1];
		made->link = made->box = link;
		if (folder_of(t->m, path_of(t, t->dirs.n - 1), &folder))
			continue;
		made->box = false;
		made->unnamable = link || leads_to_box(fd, entry->d_name);
		if (!made->unnamable)
			t->dirs.n--;
	}
	if (d)
		closedir(d);
	strbuf_release(&folder);
	return rc;
}

/* Whether a directory is a Maildir, and its stamp. fd: itself. */
static int look_at_box(struct tree *t, struct dir *d, int fd, struct err *e)
{
	int64_t now = maildir_now();
	struct maildir_stamp stamp;

	if (maildir_times(fd, "cur", &stamp.cur) < 0) {
		if (errno == ENOENT)
			return 0;
		if (errno != ENOTDIR)
			return err_errno(e, "can't look at %s/%s/cur", t->m->path, t->paths.s + d->path);
		d->box = true; /* a link, say: whoever looks is told so, and doesn't take the folder for removed */
		return 0;
	}
	d->box = true;
	if (maildir_times(fd, "new", &stamp.fresh) < 0 && errno != ENOENT)
		return 0;
	maildir_stamp_print(&stamp, now, d->stamp);
	return 0;
}

/* Visit one directory. What can't be read can't be left out: its folders would seem to be gone. */
static int visit(struct tree *t, size_t i, struct err *e)
{
	bool root = strcmp(path_of(t, i), ".") == 0;
	int fd = maildir_open_dir(t->m, t->root, path_of(t, i), e), rc = 0;

	if (fd == MAILDIR_ABSENT && !root)
		return 0; /* that its parent has changed will be seen */
	if (fd < 0)
		return -1;
	if (root || t->m->layout == MAILDIR_NESTED) {
		if (maildir_times(fd, "", &t->dirs.a[i].before) < 0)
			rc = err_errno(e, "can't look at %s/%s", t->m->path, path_of(t, i));
		t->dirs.a[i].read = true;
		if (rc == 0)
			rc = read_entries(t, i, fd, e);
	}
	if (rc == 0 && (!root || t->m->layout == MAILDIR_PLUSPLUS))
		rc = look_at_box(t, &t->dirs.a[i], fd, e);
	close(fd);
	return rc;
}

/* Whether the tree is as it was when the reading began: 1, or 0 and how long to wait before the next one. */
static int is_exact(const struct tree *t, int64_t began, msec_t *wait)
{
	int exact = 1;

	*wait = 0;
	for (size_t i = 0; i < t->dirs.n; i++) {
		const struct dir *d = &t->dirs.a[i];
		struct maildir_times now;

		if (!d->read)
			continue;
		if (maildir_times(t->root, path_of(t, i), &now) == 0 && maildir_times_eq(&now, &d->before) &&
		    maildir_times_settled(&d->before, began))
			continue;
		exact = 0;
		if (maildir_times_wait(&d->before) > *wait)
			*wait = maildir_times_wait(&d->before);
	}
	return exact;
}

/* Read the tree once. */
static int read_tree(struct tree *t, struct err *e)
{
	strbuf_clear(&t->paths);
	vec_clear(&t->dirs);
	if (add_dir(t, ".", ".", e) < 0)
		return -1;
	for (size_t i = 0; i < t->dirs.n; i++)
		if (clock_check(e) < 0 || (!t->dirs.a[i].link && !t->dirs.a[i].unnamable && visit(t, i, e) < 0))
			return -1;
	return 0;
}

/* Read the tree until it is certain. */
static int read_exactly(struct tree *t, struct err *e)
{
	for (int i = 0; i < READINGS; i++) {
		int64_t began = maildir_now();
		msec_t wait;

		if (read_tree(t, e) < 0)
			return -1;
		if (is_exact(t, began, &wait))
			return 0;
		if (i + 1 < READINGS && wait_until(clock_in(wait), e) < 0)
			return -1;
	}
	return err_set(e, ERR_TEMP, "the folders of %s are changed again and again while they are read", t->m->path);
}

/* Count the messages of one of a box's directories that is there. */
static int count_part(struct maildir *m, int root, const char *box, const char *part, struct folder_info *f, struct err *e)
{
	int fd = maildir_open_part(m, root, box, part, false, e), rc = -1;
	struct dirent *entry;
	DIR *d;

	if (fd < 0)
		return -1;
	d = maildir_list(m, fd, e);
	while (d && (rc = maildir_list_next(m, d, &entry, e)) == 1) {
		struct slice unique;
		struct stat st;
		uint32_t flags;

		if (!maildir_name(slice_str(entry->d_name), &unique, &flags) || fstatat(fd, entry->d_name, &st, 0) < 0 || !S_ISREG(st.st_mode))
			continue;
		f->messages++;
		f->bytes += (uint64_t)st.st_size;
	}
	if (d)
		closedir(d);
	close(fd);
	return d && rc == 0 ? 0 : -1;
}

/* Mail that is in no folder: say so, but not a thousand times, nor with each listing. */
static void tell_unnamable(struct tree *t)
{
	unsigned n = 0;

	if (t->m->told_unnamable)
		return;
	for (size_t i = 0; i < t->dirs.n; i++) {
		char name[ERR_TEXT_MAX / 2];

		if (!t->dirs.a[i].unnamable || n++ >= WARNINGS_MAX)
			continue;
		log_warn("%s: the Maildir '%s' is left out: its name can't be a folder's%s", t->m->path,
			 err_printable(name, sizeof(name), path_of(t, i), strlen(path_of(t, i))),
			 t->m->layout != MAILDIR_PLUSPLUS && path_of(t, i)[0] == '.' ? ", unless the layout is maildir++" : "");
	}
	if (n > WARNINGS_MAX)
		log_warn("%s: and %u more Maildirs are left out", t->m->path, n - WARNINGS_MAX);
	t->m->told_unnamable = true;
}

/* All folders. */
int maildir_folders(struct store *s, int (*cb)(void *arg, const struct folder_info *f, struct err *e), void *arg, struct err *e)
{
	struct maildir *m = maildir_of(s);
	struct tree t = { .m = m, .paths = STRBUF_INIT(PATHS_MAX) };
	struct strbuf folder = STRBUF_INIT(8192);
	int rc;

	t.root = maildir_open_root(m, false, e);
	if (t.root < 0)
		return -1;
	rc = read_exactly(&t, e);
	if (rc == 0)
		tell_unnamable(&t);
	for (size_t i = 0; rc == 0 && i < t.dirs.n; i++) {
		struct folder_info f = { .messages = UINT64_MAX };

		if (!t.dirs.a[i].box || !folder_of(m, path_of(&t, i), &folder))
			continue;
		f.name = folder.s;
		memcpy(f.stamp, t.dirs.a[i].stamp, sizeof(f.stamp));
		if (s->counts) {
			struct err unknown = ERR_INIT; /* it is shown without, then */

			f.messages = 0;
			if (count_part(m, t.root, path_of(&t, i), "cur", &f, &unknown) < 0 || count_part(m, t.root, path_of(&t, i), "new", &f, &unknown) < 0)
				f = (struct folder_info){ .name = folder.s, .messages = UINT64_MAX };
		}
		rc = cb(arg, &f, e);
	}
	strbuf_release(&folder);
	strbuf_release(&t.paths);
	vec_release(&t.dirs);
	close(t.root);
	return rc;
}

/* Sync all directories down to the one at path: others than ours may have been made by a run that died before it synced them. */
static int sync_levels(struct maildir *m, int root, const char *path, struct err *e)
{
	char copy[16384];
	size_t n = strlen(path);

	if (n >= sizeof(copy))
		return err_set(e, ERR_BUG, "maildir: the path of a folder is too long");
	if (fs_sync_dir(root, ".", e) < 0)
		return err_in(e, "%s", m->path);
	for (size_t i = 1; i <= n; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		memcpy(copy, path, i);
		copy[i] = '\0';
		if (fs_sync_dir(root, copy, e) < 0)
			return err_in(e, "%s", m->path);
	}
	return 0;
}

/* Make a folder; "" makes the root that the folders will be in. */
int maildir_folder_create(struct store *s, const char *folder, unsigned attrs, struct err *e)
{
	struct maildir *m = maildir_of(s);
	struct strbuf box = STRBUF_INIT(16384);
	int rc = maildir_box_path(m, folder, &box, e), root = -1;

	(void)attrs;
	if (rc == 0)
		rc = root = maildir_open_root(m, folder[0] == '\0', e);
	if (rc >= 0 && folder[0] != '\0') {
		rc = maildir_make_box(m, root, box.s, e);
		if (rc == 0)
			rc = sync_levels(m, root, box.s, e);
		if (rc < 0)
			maildir_of_box(e);
	}
	maildir_close_fd(&root);
	strbuf_release(&box);
	return rc < 0 ? -1 : 0;
}
