/* A folder gets another name: its directory does, and what is in that, folders below it in the nested layout among it, goes with it. */
#include "store/maildir_p.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"

/* A directory's parent, which is held, and its name there. */
struct entry {
	struct strbuf parent;
	const char *name; /* in path */
	int dir;
};

static int open_parent(struct maildir *m, int root, const char *path, bool create, struct entry *out, struct err *e)
{
	const char *slash = strrchr(path, '/');

	out->name = slash ? slash + 1 : path;
	if (strbuf_put(&out->parent, slash ? path : ".", slash ? (size_t)(slash - path) : 1) < 0)
		return err_set(e, ERR_LOCAL, "out of memory");
	if (create && slash && fs_mkdirs_beneath(root, out->parent.s, 0700, e) < 0)
		return err_in(e, "%s", m->path);
	out->dir = fs_open_beneath(root, out->parent.s, O_RDONLY | O_DIRECTORY, 0, e);
	return out->dir < 0 ? err_in(e, "%s", m->path) : 0;
}

static void close_entry(struct entry *en)
{
	maildir_close_fd(&en->dir);
	strbuf_release(&en->parent);
}

/* Rename the directory; what others put there under the new name stays. */
static int rename_dir(struct maildir *m, int root, const char *from, const char *to, struct err *e)
{
	struct entry old = { .parent = STRBUF_INIT(16384), .dir = -1 }, new = { .parent = STRBUF_INIT(16384), .dir = -1 };
	int rc = open_parent(m, root, from, false, &old, e);

	if (rc == 0)
		rc = open_parent(m, root, to, true, &new, e);
	if (rc == 0 && maildir_rename_new(old.dir, old.name, new.dir, new.name) < 0)
		rc = err_errno(e, "can't rename %s/%s to %s/%s", m->path, from, m->path, to);
	/* there before it is gone here */
	if (rc == 0 && (fs_sync(new.dir, new.parent.s, e) < 0 || fs_sync(old.dir, old.parent.s, e) < 0))
		rc = err_in(e, "%s", m->path);
	close_entry(&old);
	close_entry(&new);
	return rc;
}

int maildir_folder_rename(struct store *s, const char *from, const char *to, struct err *e)
{
	struct maildir *m = maildir_of(s);
	struct strbuf old = STRBUF_INIT(16384), new = STRBUF_INIT(16384);
	int rc, root = -1;

	if (from[0] == '\0' || to[0] == '\0' || strcmp(from, "INBOX") == 0 || strcmp(to, "INBOX") == 0)
		return err_set_span(e, ERR_REFUSED, SPAN_BOX, "the inbox keeps its name");
	maildir_close(s);
	rc = maildir_box_path(m, from, &old, e);
	if (rc == 0)
		rc = maildir_box_path(m, to, &new, e);
	if (rc == 0)
		rc = root = maildir_open_root(m, false, e);
	if (rc >= 0) {
		rc = rename_dir(m, root, old.s, new.s, e);
		if (rc < 0)
			maildir_of_box(e);
	}
	maildir_close_fd(&root);
	strbuf_release(&old);
	strbuf_release(&new);
	return rc < 0 ? -1 : 0;
}

/* The file system and the file that a stamp begins with: cur/. */
static bool identity(const char *stamp, size_t *n)
{
	const char *dot = strchr(stamp, '.');

	dot = dot ? strchr(dot + 1, '.') : NULL;
	*n = dot ? (size_t)(dot - stamp) : 0;
	return dot != NULL;
}

/* store_ops.same_box: a rename lets cur/ be what it was; but its number may be given anew when it is gone. */
enum store_same maildir_same_box(const char *then, const char *now)
{
	size_t a, b;

	if (!identity(then, &a) || !identity(now, &b))
		return STORE_MAYBE;
	return a == b && strncmp(then, now, a) == 0 ? STORE_MAYBE : STORE_OTHER;
}
