/* Waiting for changes in a Maildir: cur/ and new/ of each folder that is synced, and the directories in which folders come and go. See listen.h. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "store/locallisten.h"
#include "store/maildir_p.h"

#define LEVELS_MAX 200000

enum kind { LEVEL, MAIL };

struct walk {
	struct locallisten *l;
	struct dirwatch *w;
	struct maildir *m;
	struct strbuf paths;  /* of directories, each NUL-terminated */
	VEC(size_t) dirs;     /* those that are still to be read stand behind those that were */
};

/* The folder that a directory is. False: it is none's, and nothing beneath it is. */
static bool folder_of(const struct maildir *m, const char *path, struct strbuf *out)
{
	strbuf_clear(out);
	if (m->layout == MAILDIR_PLUSPLUS && strcmp(path, ".") == 0)
		return strbuf_puts(out, "INBOX") == 0;
	return strcmp(path, ".") != 0 && !(m->layout == MAILDIR_PLUSPLUS && strcmp(path, ".INBOX") == 0) && maildir_path_folder(m->layout, slice_str(path), out) == 0;
}

static bool is_part(const char *name)
{
	return strcmp(name, "cur") == 0 || strcmp(name, "new") == 0 || strcmp(name, "tmp") == 0;
}

/* The path of an entry of a directory. */
static int join(const char *dir, const char *name, struct strbuf *out)
{
	strbuf_clear(out);
	return strcmp(dir, ".") == 0 ? strbuf_puts(out, name) : strbuf_printf(out, "%s/%s", dir, name);
}

/* Do folders stand in this directory? */
static bool holds_folders(const struct maildir *m, const char *path)
{
	return m->layout == MAILDIR_NESTED || strcmp(path, ".") == 0;
}

/* Can an entry of this name in a directory that holds folders be one, or hold some? */
static bool may_be_folder(const struct maildir *m, const char *dir, const char *name, struct strbuf *path, struct strbuf *folder)
{
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || is_part(name))
		return false;
	return join(dir, name, path) == 0 && folder_of(m, path->s, folder);
}

static int add_level(struct walk *k, const char *path, struct err *e)
{
	size_t at = k->paths.len;

	if (k->dirs.n >= LEVELS_MAX || strbuf_put(&k->paths, path, strlen(path) + 1) < 0 || vec_push(&k->dirs, at) < 0)
		return err_set(e, ERR_LOCAL, "%s: too many directories", k->m->path);
	return 0;
}

/* Note what stands in a directory of folders. */
static int read_entries(struct walk *k, const char *path, DIR *d, struct strbuf *entry_path, struct strbuf *folder, struct err *e)
{
	struct dirent *entry;
	int rc = 0;

	while (rc == 0) {
		struct stat st;

		errno = 0;
		entry = readdir(d);
		if (!entry) {
			if (errno)
				dirwatch_unread(k->w);
			break;
		}
		if ((entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN) || !may_be_folder(k->m, path, entry->d_name, entry_path, folder))
			continue;
		if (entry->d_type == DT_UNKNOWN && (fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode)))
			continue;
		rc = add_level(k, entry_path->s, e);
	}
	return rc;
}

/* cur/ and new/ of a folder that is synced. */
static int add_mail(struct walk *k, const char *path, size_t tag, struct strbuf *scratch, struct err *e)
{
	if (join(path, "cur", scratch) < 0 || dirwatch_add(k->w, scratch->s, DIRWATCH_NAMES | IN_DONT_FOLLOW, MAIL, tag, e) < 0 || join(path, "new", scratch) < 0)
		return -1;
	return dirwatch_add(k->w, scratch->s, DIRWATCH_NAMES | IN_DONT_FOLLOW, MAIL, tag, e) < 0 ? -1 : 0;
}

/* One directory: itself, its mail, what is in it. */
static int visit(struct walk *k, const char *path, struct strbuf *entry_path, struct strbuf *folder, struct err *e)
{
	/* links beneath the root, which may be one itself, are not followed */
	int rc = dirwatch_add(k->w, path, DIRWATCH_NAMES | (strcmp(path, ".") == 0 ? 0 : IN_DONT_FOLLOW), LEVEL, 0, e), fd;
	size_t tag;
	DIR *d;

	if (rc <= 0)
		return rc;
	if (folder_of(k->m, path, folder) && listen_folders_find(&k->l->folders, folder->s, &tag) && add_mail(k, path, tag, entry_path, e) < 0)
		return -1;
	if (!holds_folders(k->m, path))
		return 0;
	if (strcmp(path, ".") != 0)
		join(k->m->path, path, entry_path);
	fd = open(strcmp(path, ".") == 0 ? k->m->path : entry_path->s, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (strcmp(path, ".") == 0 ? 0 : O_NOFOLLOW));
	d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		if (errno != ENOENT)
			dirwatch_unread(k->w);
		maildir_close_fd(&fd);
		return 0;
	}
	rc = read_entries(k, path, d, entry_path, folder, e);
	closedir(d);
	return rc;
}

/* locallisten_kind.walk */
static int walk(void *arg, struct dirwatch *w, struct err *e)
{
	struct locallisten *l = arg;
	struct walk k = { .l = l, .w = w, .m = maildir_of(l->store), .paths = STRBUF_INIT((size_t)256 << 20) };
	struct strbuf path = STRBUF_INIT(PATH_MAX), entry = STRBUF_INIT(PATH_MAX), folder = STRBUF_INIT(8192);
	int rc = add_level(&k, ".", e);

	for (size_t i = 0; rc == 0 && i < k.dirs.n; i++) {
		strbuf_clear(&path);
		strbuf_puts(&path, k.paths.s + k.dirs.a[i]);
		rc = clock_check(e) < 0 ? -1 : path.failed ? 0 : visit(&k, path.s, &entry, &folder, e);
	}
	strbuf_release(&path);
	strbuf_release(&entry);
	strbuf_release(&folder);
	strbuf_release(&k.paths);
	vec_release(&k.dirs);
	return rc;
}

/* locallisten_kind.event. Dot files and directories are no messages; files beside cur/ and new/ are what servers and readers keep there. */
static void event(struct locallisten *l, const struct dirwatch_item *item, uint32_t mask, const char *name)
{
	struct strbuf path = STRBUF_INIT(PATH_MAX), folder = STRBUF_INIT(8192);
	const struct maildir *m = maildir_of(l->store);
	const char *dir = dirwatch_path(&l->w, item);

	if (item->kind == MAIL) {
		if (name[0] != '.' && !(mask & IN_ISDIR))
			listen_hint(&l->folders, item->tag);
	} else if (mask & IN_ISDIR && (strcmp(name, "cur") == 0 || strcmp(name, "new") == 0 || (holds_folders(m, dir) && may_be_folder(m, dir, name, &path, &folder)))) {
		locallisten_rescan(l);
	}
	strbuf_release(&path);
	strbuf_release(&folder);
}

/* locallisten_kind.changed */
static void changed(struct locallisten *l, const struct dirwatch_item *item)
{
	if (item->kind == MAIL)
		listen_hint(&l->folders, item->tag);
	else
		locallisten_rescan(l);
}

/* locallisten_kind.stamp */
static int stamp(struct locallisten *l, const char *folder, char out[STORE_STAMP_MAX], struct err *e)
{
	struct maildir *m = maildir_of(l->store);
	struct strbuf box = STRBUF_INIT(16384), at = STRBUF_INIT(PATH_MAX);
	int64_t now = maildir_now();
	struct maildir_stamp s;
	int rc = maildir_box_path(m, folder, &box, e);

	out[0] = '\0';
	if (rc < 0) {
		strbuf_release(&box);
		return 0;
	}
	rc = strbuf_printf(&at, "%s/%s/cur", m->path, box.s) == 0 && maildir_times(AT_FDCWD, at.s, &s.cur) == 0;
	strbuf_clear(&at);
	rc = rc && strbuf_printf(&at, "%s/%s/new", m->path, box.s) == 0 && (maildir_times(AT_FDCWD, at.s, &s.fresh) == 0 || errno == ENOENT);
	if (rc)
		maildir_stamp_print(&s, now, out);
	strbuf_release(&box);
	strbuf_release(&at);
	return out[0] != '\0';
}

static const struct locallisten_kind kind = { .name = "maildir", .walk = walk, .event = event, .changed = changed, .stamp = stamp };

/* store_ops.listen */
struct listener *maildir_listen(struct store *s, const struct listen_params *p, struct err *e)
{
	return locallisten_new(s, maildir_of(s)->path, &kind, p, e);
}
