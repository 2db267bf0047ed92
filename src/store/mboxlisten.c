/*
 * Waiting for changes in mbox files: their directories are watched, since a file that is written anew takes another's place. See listen.h.
 *
 * Writing is told, and opening is not: whoever locks an mbox opens it as if to write.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "mail/boxname.h"
#include "store/locallisten.h"
#include "store/mbox_p.h"

#define LEVELS_MAX 100000
#define EVENTS (DIRWATCH_NAMES | IN_MODIFY)

/* A directory of the tree; the file of a folder that is synced (its events are its directory's); the directory of what a folder's link leads to. */
enum kind { LEVEL, FOLDER, ELSEWHERE };

struct level {
	size_t path;   /* offset in walk.paths */
	size_t parent; /* SIZE_MAX: it is the root */
	uint64_t dev, ino;
};

struct walk {
	struct locallisten *l;
	struct dirwatch *w;
	struct mbox *m;
	struct strbuf paths;
	VEC(struct level) dirs; /* those that are still to be read stand behind those that were */
};

/* Links may lead in circles. */
static bool is_above(const struct walk *k, size_t parent, const struct stat *st)
{
	size_t depth = 0;

	for (; parent != SIZE_MAX; parent = k->dirs.a[parent].parent, depth++)
		if (depth >= BOXNAME_LEVELS || (k->dirs.a[parent].dev == st->st_dev && k->dirs.a[parent].ino == st->st_ino))
			return true;
	return false;
}

static int add_level(struct walk *k, const char *path, size_t parent, struct err *e)
{
	struct level d = { .path = k->paths.len, .parent = parent };
	struct stat st;

	if (stat(path, &st) < 0 || is_above(k, parent, &st))
		return 0;
	d.dev = st.st_dev;
	d.ino = st.st_ino;
	if (k->dirs.n >= LEVELS_MAX || strbuf_put(&k->paths, path, strlen(path) + 1) < 0 || vec_push(&k->dirs, d) < 0)
		return err_set(e, ERR_LOCAL, "%s: too many directories", k->m->root);
	return 0;
}

static bool is_level(const char *name, bool is_dir)
{
	struct strbuf level = STRBUF_INIT(4096);
	bool unnamable, is = mbox_entry_level(name, is_dir, &level, &unnamable);

	strbuf_release(&level);
	return is;
}

/* A Maildir's directories hold no mbox files. */
static bool is_maildir(const char *path)
{
	struct strbuf part = STRBUF_INIT(PATH_MAX);
	bool is = strbuf_printf(&part, "%s/cur", path) == 0 && mbox_path_is_dir(part.s);

	strbuf_clear(&part);
	is = is && strbuf_printf(&part, "%s/new", path) == 0 && mbox_path_is_dir(part.s);
	strbuf_release(&part);
	return is;
}

/* Watch a directory of the tree, then see what is in it. */
static int visit(struct walk *k, size_t i, struct err *e)
{
	struct strbuf dir = STRBUF_INIT(PATH_MAX), path = STRBUF_INIT(PATH_MAX);
	struct dirent *entry;
	DIR *d = NULL;
	int rc;

	strbuf_puts(&dir, k->paths.s + k->dirs.a[i].path);
	rc = dir.failed ? 0 : dirwatch_add(k->w, dir.s, EVENTS, LEVEL, 0, e);
	if (rc > 0) {
		rc = 0;
		d = opendir(dir.s);
		if (!d && errno != ENOENT)
			dirwatch_unread(k->w);
	}
	while (d && rc == 0 && (errno = 0, entry = readdir(d))) {
		strbuf_clear(&path);
		if (entry->d_name[0] == '.' || entry->d_type == DT_REG || strbuf_printf(&path, "%s/%s", dir.s, entry->d_name) < 0)
			continue;
		if (mbox_path_is_dir(path.s) && is_level(entry->d_name, true) && !is_maildir(path.s))
			rc = add_level(k, path.s, i, e);
	}
	if (d && rc == 0 && errno)
		dirwatch_unread(k->w);
	if (d)
		closedir(d);
	strbuf_release(&dir);
	strbuf_release(&path);
	return rc;
}

/* The directory of a path, and the name there. */
static const char *split(const char *path, struct strbuf *dir)
{
	const char *slash = strrchr(path, '/');

	strbuf_clear(dir);
	strbuf_put(dir, path, slash && slash > path ? (size_t)(slash - path) : 1);
	return slash ? slash + 1 : path;
}

/* A folder that is synced: its file, and what that is a link to. */
static int add_folder(struct walk *k, size_t tag, struct err *e)
{
	struct strbuf path = STRBUF_INIT(PATH_MAX), dir = STRBUF_INIT(PATH_MAX);
	struct err why = ERR_INIT;
	char *real = NULL;
	struct stat st;
	int rc = mbox_folder_path(k->m, k->l->folders.names[tag], &path, &why) <= 0 || path.failed ? 0 : dirwatch_add(k->w, path.s, 0, FOLDER, tag, e);

	if (rc > 0 && lstat(path.s, &st) == 0 && S_ISLNK(st.st_mode) && (real = realpath(path.s, NULL))) {
		split(real, &dir);
		rc = dirwatch_add(k->w, dir.s, EVENTS, ELSEWHERE, tag, e);
	}
	free(real);
	strbuf_release(&path);
	strbuf_release(&dir);
	return rc < 0 ? -1 : 0;
}

/* locallisten_kind.walk. Directories first: what comes to be in them afterwards shows. */
static int walk(void *arg, struct dirwatch *w, struct err *e)
{
	struct locallisten *l = arg;
	struct walk k = { .l = l, .w = w, .m = mbox_of(l->store), .paths = STRBUF_INIT((size_t)256 << 20) };
	struct strbuf dir = STRBUF_INIT(PATH_MAX);
	int rc = 0;

	if (mbox_path_is_dir(k.m->root)) {
		rc = add_level(&k, k.m->root, SIZE_MAX, e);
	} else {
		split(k.m->root, &dir);
		rc = dirwatch_add(w, dir.s, EVENTS, LEVEL, 0, e) < 0 ? -1 : 0;
	}
	for (size_t i = 0; rc == 0 && i < k.dirs.n; i++)
		rc = clock_check(e) < 0 ? -1 : visit(&k, i, e);
	for (size_t i = 0; rc == 0 && i < l->folders.n; i++)
		rc = add_folder(&k, i, e);
	strbuf_release(&dir);
	strbuf_release(&k.paths);
	vec_release(&k.dirs);
	return rc;
}

/* Locks and the like of a folder that is synced: "NAME.lck" and "NAME.lock" are no folders of their own. */
static bool is_beside(const struct locallisten *l, const char *path)
{
	const char *dot = strrchr(path, '.');
	struct strbuf of = STRBUF_INIT(PATH_MAX);
	bool is = dot && (strcmp(dot, ".lck") == 0 || strcmp(dot, ".lock") == 0) && strbuf_put(&of, path, (size_t)(dot - path)) == 0 && dirwatch_find(&l->w, of.s);

	strbuf_release(&of);
	return is;
}

/* An event in a directory of the tree, or in the one that holds the only file. */
static void in_level(struct locallisten *l, const char *path, uint32_t mask, const char *name)
{
	const struct mbox *m = mbox_of(l->store);
	const struct dirwatch_item *file = dirwatch_find(&l->w, path), *root = dirwatch_find(&l->w, m->root);
	bool tree = root && root->kind == LEVEL;

	if (file && file->kind == FOLDER && !(mask & IN_ISDIR)) {
		listen_hint(&l->folders, file->tag);
		/* it may be another folder's now, or stand in another place */
		if (mask & (IN_CREATE | IN_DELETE | IN_MOVED_FROM))
			locallisten_rescan(l);
	} else if (mask & IN_MODIFY || is_beside(l, path)) {
		return;
	} else if (tree ? is_level(name, mask & IN_ISDIR) : strcmp(path, m->root) == 0) {
		locallisten_rescan(l);
	}
}

/* locallisten_kind.event */
static void event(struct locallisten *l, const struct dirwatch_item *item, uint32_t mask, const char *name)
{
	struct strbuf path = STRBUF_INIT(PATH_MAX);
	const struct dirwatch_item *link;
	char *real = NULL;

	if (strbuf_printf(&path, "%s/%s", dirwatch_path(&l->w, item), name) < 0) {
		locallisten_rescan(l);
	} else if (item->kind == LEVEL) {
		in_level(l, path.s, mask, name);
	} else if (!(mask & IN_ISDIR)) {
		/* of what the link leads to; or it leads nowhere now, and the tree is looked at */
		for (size_t i = 0; i < l->w.now.a.n; i++) {
			link = &l->w.now.a.a[i];
			if (link->kind != FOLDER || link->tag != item->tag)
				continue;
			real = realpath(dirwatch_path(&l->w, link), NULL);
			if (!real)
				locallisten_rescan(l);
			else if (strcmp(real, path.s) == 0)
				listen_hint(&l->folders, item->tag);
			free(real);
		}
	}
	strbuf_release(&path);
}

/* locallisten_kind.changed */
static void changed(struct locallisten *l, const struct dirwatch_item *item)
{
	if (item->kind == FOLDER)
		listen_hint(&l->folders, item->tag);
	else if (item->kind == LEVEL)
		locallisten_rescan(l);
}

/* locallisten_kind.stamp */
static int stamp(struct locallisten *l, const char *folder, char out[STORE_STAMP_MAX], struct err *e)
{
	struct mbox *m = mbox_of(l->store);
	struct strbuf path = STRBUF_INIT(PATH_MAX);
	struct err why = ERR_INIT;
	struct stat st;

	(void)e;
	out[0] = '\0';
	if (mbox_folder_path(m, folder, &path, &why) > 0 && !path.failed && stat(path.s, &st) == 0)
		mbox_stamp(m, &st, out);
	strbuf_release(&path);
	return out[0] != '\0';
}

static const struct locallisten_kind kind = { .name = "mbox", .walk = walk, .event = event, .changed = changed, .stamp = stamp };

/* store_ops.listen. A file that is the inbox may come and go: what must be there is its directory. */
struct listener *mbox_listen(struct store *s, const struct listen_params *p, struct err *e)
{
	struct mbox *m = mbox_of(s);
	struct strbuf root = STRBUF_INIT(PATH_MAX);
	struct listener *l = NULL;

	if (mbox_path_is_dir(m->root))
		strbuf_puts(&root, m->root);
	else
		split(m->root, &root);
	if (root.failed)
		err_set(e, ERR_LOCAL, "%s: the path is too long", m->root);
	else
		l = locallisten_new(s, root.s, &kind, p, e);
	strbuf_release(&root);
	return l;
}
