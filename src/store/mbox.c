/* mbox: the file is opened, locked, looked at and let go; and what a crash left. See mbox.h. */
#include "store/mbox_p.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "mail/flags.h"
#include "store/mboxform.h"
#include "store/mboxheal.h"

#define SPOOL_MEMORY 1048576
#define REOPENS 10        /* times that the file may be replaced under us */

/* Open the file the person named. A symbolic link in its place must be theirs (or root's); a FIFO can't hold us. */
int mbox_open_named(const char *path, int flags)
{
	struct stat st;
	int fd, follow = O_NOFOLLOW, noatime = O_NOATIME;

	for (;;) {
		fd = open(path, flags | O_NONBLOCK | O_CLOEXEC | O_NOCTTY | noatime | follow, 0600);
		if (fd >= 0)
			return fd;
		if (errno == EPERM && noatime) {
			noatime = 0; /* somebody else's file */
		} else if (errno == ELOOP && follow && lstat(path, &st) == 0 && S_ISLNK(st.st_mode) &&
		           (st.st_uid == geteuid() || st.st_uid == 0)) {
			follow = 0;
		} else if (errno != EINTR) {
			return -1;
		}
	}
}

/* Whether the file in hand is still the one the path names, and a file at all: 1, 0, -1. */
static int still_named(struct mbox *m, struct err *e)
{
	struct stat named;

	if (fstat(m->fd, &m->before) < 0)
		return err_errno(e, "can't look at %s", m->path);
	if (!S_ISREG(m->before.st_mode))
		return err_set(e, ERR_LOCAL, "%s is no regular file, so no mbox", m->path);
	if (stat(m->path, &named) < 0)
		return errno == ENOENT ? 0 : err_errno(e, "can't look at %s", m->path);
	return named.st_dev == m->before.st_dev && named.st_ino == m->before.st_ino;
}

/* Unlock and close. The lock goes first: a descriptor that is closed takes the fcntl lock along. */
void mbox_let_go(struct mbox *m)
{
	mboxlock_give(m->lock);
	m->lock = NULL;
	if (m->fd >= 0)
		close(m->fd);
	m->fd = -1;
	free(m->real);
	m->real = NULL;
	m->created = false;
}

/*
 * Where the name is a symbolic link, find the file itself: who else locks it makes the dotlock beside the file, by whatever name they know it. What is in
 * the way is told by still_named, which is asked once more when the lock is held.
 */
static int resolve(struct mbox *m, struct err *e)
{
	struct stat st;

	if (lstat(m->path, &st) < 0 || !S_ISLNK(st.st_mode))
		return 0;
	m->real = realpath(m->path, NULL);
	return m->real || errno == ENOENT ? 0 : err_errno(e, "can't follow %s", m->path);
}

/* The path of the file itself. */
const char *mbox_real_path(const struct mbox *m)
{
	return m->real ? m->real : m->path;
}

/* Is the name a symbolic link? Asked when there is nothing to open, and yet the name is taken. */
static bool is_dangling(const struct mbox *m)
{
	struct stat st;

	return lstat(m->path, &st) == 0 && S_ISLNK(st.st_mode);
}

/* Open and lock the file: 1, 0 when there is none (and none is made), -1. What was opened may have been replaced before it was locked: then again. */
static int lock_file(struct mbox *m, int flags, bool create, const struct mboxlock_params *p, struct err *e)
{
	for (int i = 0; i < REOPENS; i++) {
		int rc;

		m->fd = mbox_open_named(m->path, flags);
		if (m->fd < 0 && errno == ENOENT) {
			if (!create)
				return 0;
			m->fd = mbox_open_named(m->path, O_RDWR | O_CREAT | O_EXCL);
			if (m->fd < 0 && errno == EEXIST) {
				if (!is_dangling(m))
					continue;
				err_set(e, ERR_LOCAL, "%s is a symbolic link to nothing", m->path);
				return err_hint(e, "make the file that it names, or remove the link");
			}
			m->created = m->fd >= 0;
		}
		if (m->fd < 0) {
			int why = errno;

			err_errno(e, "can't open %s", m->path);
			return why == ELOOP ? err_hint(e, "it is a symbolic link that belongs to another user") : -1;
		}
		rc = resolve(m, e) < 0 ? -1 : still_named(m, e);
		if (rc > 0) {
			m->lock = mboxlock_take(p, m->fd, mbox_real_path(m), e);
			rc = m->lock ? still_named(m, e) : -1;
		}
		if (rc > 0)
			return 1;
		mbox_let_go(m);
		if (rc < 0)
			return -1;
	}
	return err_set(e, ERR_TEMP, "%s is replaced again and again while we open it", m->path);
}

int mbox_lock_file(struct mbox *m, bool create, struct err *e)
{
	return lock_file(m, O_RDWR, create, &m->lock_params, e);
}

int mbox_lock_to_read(struct mbox *m, struct err *e)
{
	struct mboxlock_params p = m->lock_params;
	bool writable = faccessat(AT_FDCWD, m->path, W_OK, AT_EACCESS) == 0;

	p.read = true;
	return lock_file(m, writable ? O_RDWR : O_RDONLY, false, &p, e);
}

/* The file must be empty or an mbox; see how it ends. */
int mbox_look_at_file(struct mbox *m, struct err *e)
{
	char b[64];
	size_t n, skip = 0;

	m->base = m->before.st_size;
	m->pad = 0;
	if (m->base == 0)
		return 0;
	n = m->base < (int64_t)sizeof(b) ? (size_t)m->base : sizeof(b);
	if (fs_pread_all(m->fd, b, n, 0, m->path, e) < 0)
		return -1;
	while (skip < n && (b[skip] == '\n' || b[skip] == '\r'))
		skip++;
	if (skip < n && (n - skip < 5 || memcmp(b + skip, "From ", 5) != 0)) {
		err_set(e, ERR_LOCAL, "%s is no mbox: it doesn't start with \"From \"", m->path);
		return err_hint(e, "move it away, or name another file");
	}
	n = m->base < 2 ? 1 : 2;
	if (fs_pread_all(m->fd, b, n, m->base - (int64_t)n, m->path, e) < 0)
		return -1;
	if (b[n - 1] != '\n')
		m->pad = 2;
	else if (n == 2 && b[0] != '\n')
		m->pad = 1;
	/* in a folder, whose messages are known by their bytes, none must get another line end */
	if (m->tree && m->pad == 1 && m->base >= 3) {
		if (fs_pread_all(m->fd, b, 3, m->base - 3, m->path, e) < 0)
			return -1;
		if (memcmp(b, "\n\r\n", 3) == 0)
			m->pad = 0;
	}
	return 0;
}

void mbox_later(int fd, const struct stat *before)
{
	struct timespec t[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = before->st_mtim.tv_sec + 1 } };
	struct stat st;

	if (fstat(fd, &st) == 0 && st.st_mtim.tv_sec == before->st_mtim.tv_sec)
		futimens(fd, t);
}

/* fsync the directory that holds the file. */
int mbox_sync_parent(struct mbox *m, struct err *e)
{
	const char *path = mbox_real_path(m), *slash = strrchr(path, '/');
	char *dir = !slash ? strdup(".") : slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
	int rc;

	if (!dir)
		return err_set(e, ERR_LOCAL, "out of memory");
	rc = fs_sync_dir(AT_FDCWD, dir, e);
	free(dir);
	return rc;
}

/*
 * In a folder equal messages are counted: the healing knows them without their numbers. One that is not the first counts as there when as many are, so that none is taken for its twin.
 */
static int heal_folder(struct mbox *m, struct recovery *r, size_t n, struct err *e)
{
	struct recovery *bare = calloc(n, sizeof(*bare));
	char (*keys)[DIGEST_HEX] = calloc(n, sizeof(*keys));
	unsigned char digest[DIGEST_SIZE];
	uint32_t nth;
	int rc = -1;

	if (!bare || !keys) {
		err_set(e, ERR_LOCAL, "out of memory");
		goto out;
	}
	for (size_t i = 0; i < n; i++) {
		memcpy(keys[i], r[i].key, strnlen(r[i].key, DIGEST_HEX - 1));
		bare[i] = (struct recovery){ .key = keys[i], .hint = r[i].hint, .digest = r[i].digest };
	}
	rc = mbox_heal(m->fd, m->variant, bare, n, e);
	if (rc == 0)
		rc = mbox_index_locked(m, e);
	for (size_t i = 0; rc == 0 && i < n; i++)
		r[i].found = bare[i].found && mbox_key_parse(slice_str(r[i].key), digest, &nth) && mbox_index_count(&m->index, digest) >= nth;
out:
	free(bare);
	free(keys);
	return rc;
}

/* After a crash. */
static int mbox_recover(struct store *s, struct recovery *r, size_t n, struct err *e)
{
	struct mbox *m = mbox_of(s);
	int rc;

	if (!m->is_open || m->lock)
		return err_set(e, ERR_BUG, "mbox: can't recover now");
	for (size_t i = 0; i < n; i++)
		r[i].found = false;
	if (n == 0)
		return 0;
	rc = mbox_lock_file(m, false, e);
	if (rc <= 0)
		return rc;
	rc = m->tree ? heal_folder(m, r, n, e) : mbox_heal(m->fd, m->variant, r, n, e);
	/* What was found may have been appended just before the interruption: what is told to be there must survive a power cut. */
	if (rc == 0 && (fs_sync(m->fd, "fsync", e) < 0 || mbox_sync_parent(m, e) < 0))
		rc = -1;
	if (rc < 0)
		err_in(e, "%s", m->path);
	mbox_let_go(m);
	return rc;
}

/* Give the box up. */
void mbox_close(struct store *s)
{
	struct mbox *m = mbox_of(s);

	mbox_abandon(s);
	for (size_t i = 0; m->doomed && i < m->index.a.n; i++)
		m->index.a.a[i].doomed = false;
	vec_clear(&m->wanted);
	m->want_at = m->list_at = 0;
	m->is_open = m->listing = m->doomed = m->looking = m->tree = false;
	m->looks = NULL;
	m->view = NULL;
}

int mbox_set_path(struct mbox *m, const char *path, struct err *e)
{
	char *copy = strdup(path);

	if (!copy)
		return err_set(e, ERR_LOCAL, "out of memory");
	free(m->path);
	m->path = copy;
	return 0;
}

int mbox_of_box(struct err *e)
{
	if (e && e->kind != ERR_CANCEL && e->kind != ERR_BUG)
		e->span = SPAN_BOX;
	return -1;
}

/* Make the directory that the file will be in. */
static int make_parent(struct mbox *m, struct err *e)
{
	char *slash = strrchr(m->path, '/'), *dir;
	int rc;

	if (!slash || slash == m->path)
		return 0;
	dir = strndup(m->path, (size_t)(slash - m->path));
	if (!dir)
		return err_set(e, ERR_LOCAL, "out of memory");
	rc = fs_mkdirs(dir, 0700, e);
	free(dir);
	return rc;
}

/* There is a file: can it be an mbox? Better known before anything is fetched. */
static int check_file(struct mbox *m, bool write, struct err *e)
{
	int rc;

	m->fd = mbox_open_named(m->path, write ? O_RDWR : O_RDONLY);
	if (m->fd < 0 && errno == EISDIR) {
		err_set(e, ERR_LOCAL, "%s is a directory, no mbox", m->path);
		return err_hint(e, "a Maildir is written as maildir:%s", m->path);
	}
	if (m->fd < 0)
		return err_errno(e, "can't open %s", m->path);
	rc = still_named(m, e);
	if (rc >= 0)
		rc = mbox_look_at_file(m, e);
	mbox_let_go(m);
	return rc;
}

/* Can the file be changed, and replaced? */
static bool is_read_only(const char *path)
{
	char *real = realpath(path, NULL), *slash = real ? strrchr(real, '/') : NULL;
	bool writable = slash && faccessat(AT_FDCWD, real, W_OK, AT_EACCESS) == 0;

	if (writable) {
		slash[slash == real] = '\0';
		writable = faccessat(AT_FDCWD, real, W_OK | X_OK, AT_EACCESS) == 0;
	}
	free(real);
	return !writable;
}

void mbox_tell_box(struct mbox *m, const struct stat *st, struct box_info *out)
{
	mbox_stamp(m, st, out->stamp);
	out->bytes = (uint64_t)st->st_size;
	out->read_only = is_read_only(m->path);
	out->can_hold = out->can_take = MBOX_FLAGS | (m->view ? FLAGS_KEYWORDS : 0);
	if (m->view)
		m->view->refused = 0; /* it takes all names */
}

/* Open a folder by its name. */
static int open_folder(struct mbox *m, const char *folder, unsigned how, struct box_info *out, struct err *e)
{
	struct strbuf path = STRBUF_INIT(PATH_MAX);
	struct stat st;
	int rc;

	if ((how & BOX_CREATE) && mbox_folder_create(&m->store, folder, 0, e) < 0)
		return -1;
	m->tree = true;
	m->create = false;
	m->view = m->store.keywords;
	free(m->folder);
	m->folder = strdup(folder);
	rc = m->folder ? mbox_folder_path(m, folder, &path, e) : err_set(e, ERR_LOCAL, "out of memory");
	if (rc == 0)
		rc = err_set(e, ERR_LOCAL, "there is no folder '%s' in %s", folder, m->root);
	if (rc > 0)
		rc = mbox_set_path(m, path.s, e);
	if (rc == 0 && stat(m->path, &st) < 0)
		rc = err_errno(e, "can't look at %s", m->path);
	if (rc == 0)
		mbox_tell_box(m, &st, out);
	if (rc == 0)
		rc = check_file(m, (how & BOX_WRITE) && !out->read_only, e);
	m->is_open = rc == 0;
	if (rc == 0 && m->index.path && strcmp(m->index.path, m->path) != 0)
		mbox_index_clear(&m->index);
	if (rc == 0 && (how & BOX_SIZES)) {
		rc = mbox_index_now(m, e);
		out->messages = m->index.live;
	}
	strbuf_release(&path);
	if (rc == 0)
		return 0;
	mbox_close(&m->store);
	return mbox_of_box(e);
}

/* Open the box: the file that the path names. */
static int mbox_open(struct store *s, const char *folder, unsigned how, struct box_info *out, struct err *e)
{
	struct mbox *m = mbox_of(s);
	struct stat st;

	memset(out, 0, sizeof(*out));
	mbox_close(s);
	if (folder[0])
		return open_folder(m, folder, how, out, e);
	if (mbox_set_path(m, m->root, e) < 0)
		return -1;
	m->create = how & BOX_CREATE;
	if (stat(m->path, &st) == 0) {
		if (check_file(m, how & BOX_WRITE, e) < 0)
			return -1;
		out->bytes = (uint64_t)st.st_size;
	} else if (errno != ENOENT) {
		return err_errno(e, "can't look at %s", m->path);
	} else if (!m->create) {
		return err_set(e, ERR_LOCAL, "there is no mbox %s", m->path);
	} else if (make_parent(m, e) < 0) {
		return -1;
	}
	m->is_open = true;
	return 0;
}

/* Free everything. */
static void mbox_free(struct store *s)
{
	struct mbox *m = mbox_of(s);

	mbox_close(s);
	spool_release(&m->spool);
	vec_release(&m->recs);
	digest_free(m->content);
	digest_free(m->identity);
	free(m->in);
	free(m->lf);
	free(m->kept);
	free(m->quoted);
	mbox_index_release(&m->index);
	vec_release(&m->wanted);
	strbuf_release(&m->words);
	if (m->other)
		mbox_free(&m->other->store);
	free(m->folder);
	free(m->root);
	free(m->path);
	free(m);
}

static const struct store_ops mbox_ops = {
	.name = "mbox",
	.caps = STORE_SOURCE | STORE_TARGET | STORE_TREE | STORE_MAY_VANISH,
	.open_box = mbox_open,
	.close_box = mbox_close,
	.list_start = mbox_list_start,
	.list_next = mbox_list_msg,
	.want = mbox_want,
	.next = mbox_next,
	.remove = mbox_remove,
	.commit = mbox_commit,
	.stage = mbox_stage,
	.unstage = mbox_unstage,
	.harden = mbox_harden,
	.publish = mbox_publish,
	.abandon = mbox_abandon,
	.recover = mbox_recover,
	.folders = mbox_folders,
	.folder_create = mbox_folder_create,
	.folder_remove = mbox_folder_remove,
	.folder_rename = mbox_folder_rename,
	.same_box = store_cannot_same_box,
	.look = mbox_look,
	.look_box = mbox_look_box,
	.look_next = mbox_look_next,
	.find = mbox_find,
	.move = mbox_move,
	.set_flags = mbox_set_flags,
	.restore = mbox_restore,
	.listen = mbox_listen,
	.free = mbox_free,
};

/* An mbox; nothing is opened yet. */
struct store *mbox_new(const struct mbox_params *p, struct err *e)
{
	struct mbox *m = calloc(1, sizeof(*m));

	if (!m)
		goto fail;
	m->store.ops = &mbox_ops;
	m->fd = -1;
	m->words.max = 1 << 20;
	m->spool = (struct spool)SPOOL_INIT(SPOOL_MEMORY);
	m->variant = p->variant;
	m->lock_params = p->lock;
	m->root = strdup(p->path);
	m->path = strdup(p->path);
	m->in = malloc(MBOX_CHUNK);
	m->lf = malloc(MBOX_CHUNK + 1);
	m->kept = malloc(MBOX_CHUNK + 1 + MBOXHEAD_HOLD);
	m->quoted = malloc((size_t)2 * (MBOX_CHUNK + 1 + MBOXHEAD_HOLD) + 8);
	if (!m->root || !m->path || !m->in || !m->lf || !m->kept || !m->quoted)
		goto fail;
	m->content = digest_new(e);
	m->identity = m->content ? digest_new(e) : NULL;
	if (!m->identity) {
		mbox_free(&m->store);
		return NULL;
	}
	return &m->store;
fail:
	if (m)
		mbox_free(&m->store);
	err_set(e, ERR_LOCAL, "out of memory");
	return NULL;
}
