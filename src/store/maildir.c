/*
 * Maildir as a store: see maildir.h and store.h. All work is done beneath directories that are held open and were reached through no symbolic link but
 * those in the path the person wrote.
 */
#include "store/maildir_p.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "mail/flags.h"

#define TMP_HOURS 36 /* as the Maildir rules say */

/* Close a descriptor that is open. */
void maildir_close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* The host's name as it stands in file names: '/' and ':' as the Maildir rules want them, other unusual bytes as '_'. */
static void take_host(struct maildir *m)
{
	char name[MAILDIR_HOST_MAX + 1] = "";
	size_t n = 0;

	if (gethostname(name, MAILDIR_HOST_MAX) < 0 || !name[0])
		snprintf(name, sizeof(name), "localhost");
	for (const char *p = name; *p; p++) {
		bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || *p == '-' ||
		             (*p == '.' && p > name);

		if ((*p == '/' || *p == ':') && n + 4 < sizeof(m->host))
			n += (size_t)snprintf(m->host + n, sizeof(m->host) - n, "\\%03o", (unsigned char)*p);
		else if (n + 1 < sizeof(m->host))
			m->host[n++] = plain ? *p : '_';
	}
	m->host[n] = '\0';
}

/* A directory stream over a held directory, which stays open; NULL on error. */
DIR *maildir_list(struct maildir *m, int dirfd, struct err *e)
{
	int fd = fs_open_beneath(dirfd, ".", O_RDONLY | O_DIRECTORY, 0, e);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d) {
		if (fd < 0)
			err_in(e, "%s", m->at.s);
		else
			err_errno(e, "can't list %s", m->at.s);
		maildir_close_fd(&fd);
	}
	return d;
}

/* The next entry that is no dot file: 1, 0 at the end, -1. */
int maildir_list_next(struct maildir *m, DIR *d, struct dirent **out, struct err *e)
{
	do {
		errno = 0;
		*out = readdir(d);
	} while (*out && (*out)->d_name[0] == '.');
	if (*out)
		return 1;
	return errno ? err_errno(e, "can't list %s", m->at.s) : 0;
}

/* The path of a folder's box. */
int maildir_box_path(struct maildir *m, const char *folder, struct strbuf *out, struct err *e)
{
	return maildir_folder_path(m->layout, m->layout == MAILDIR_PLUSPLUS && strcmp(folder, "INBOX") == 0 ? "" : folder, out, e);
}

/* Which box errors are about. */
int maildir_set_at(struct maildir *m, const char *box, struct err *e)
{
	strbuf_clear(&m->at);
	strbuf_clear(&m->what);
	strbuf_clear(&m->box);
	if (strbuf_puts(&m->box, box) < 0 || strbuf_printf(&m->at, "%s%s%s", m->path, strcmp(box, ".") == 0 ? "" : "/", strcmp(box, ".") == 0 ? "" : box) < 0 ||
	    strbuf_printf(&m->what, "a message in %s", m->at.s) < 0)
		return err_set(e, ERR_LOCAL, "out of memory");
	return 0;
}

/* Give up no more than the box. */
int maildir_of_box(struct err *e)
{
	if (e && e->kind != ERR_CANCEL && e->kind != ERR_BUG)
		e->span = SPAN_BOX;
	return -1;
}

/* Whether files can't be made and renamed in a directory. */
bool maildir_read_only(int dirfd)
{
	return faccessat(dirfd, ".", W_OK | X_OK, AT_EACCESS) < 0;
}

/* Open the directory that the person named, making it if wanted. */
int maildir_open_root(struct maildir *m, bool create, struct err *e)
{
	struct stat st;

	if (stat(m->path, &st) == 0) {
		if (!S_ISDIR(st.st_mode)) {
			err_set(e, ERR_LOCAL, "%s is a file, not a Maildir", m->path);
			return err_hint(e, "an mbox is written as mbox:%s", m->path);
		}
	} else if (errno == ENOENT && create) {
		if (fs_mkdirs(m->path, 0700, e) < 0)
			return -1;
	} else if (errno == ENOENT) {
		err_set(e, ERR_LOCAL, "there is no Maildir %s", m->path);
		return err_hint(e, "is its disk not mounted?");
	}
	return fs_open_dir(m->path, e);
}

/* A directory that need not be there. */
int maildir_open_dir(struct maildir *m, int dirfd, const char *name, struct err *e)
{
	struct err why = ERR_INIT;
	int fd = fs_open_beneath(dirfd, name, O_RDONLY | O_DIRECTORY, 0, &why);

	if (fd >= 0)
		return fd;
	if (errno == ENOENT)
		return MAILDIR_ABSENT;
	if (e)
		*e = why;
	return err_in(e, "%s", m->path);
}

/* Open one of the three directories of a box, making it if wanted. */
int maildir_open_part(struct maildir *m, int root, const char *box, const char *part, bool create, struct err *e)
{
	struct strbuf name = STRBUF_INIT(16384);
	int fd = -1;

	if (strbuf_printf(&name, "%s/%s", box, part) < 0) {
		err_set(e, ERR_LOCAL, "out of memory");
		goto out;
	}
	if (create && fs_mkdirs_beneath(root, name.s, 0700, e) < 0) {
		err_in(e, "%s", m->path);
		goto out;
	}
	fd = fs_open_beneath(root, name.s, O_RDONLY | O_DIRECTORY, 0, e);
	if (fd < 0)
		err_in(e, "%s is no Maildir", m->at.s);
out:
	strbuf_release(&name);
	return fd;
}

/* Maildir++ marks its folders with an empty file. */
static int mark_folder(struct maildir *m, int root, const char *box, struct err *e)
{
	int dir = fs_open_beneath(root, box, O_RDONLY | O_DIRECTORY, 0, e), fd, rc = 0;

	if (dir < 0)
		return err_in(e, "%s", m->path);
	fd = openat(dir, "maildirfolder", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0)
		rc = fs_sync(dir, box, e);
	else if (errno != EEXIST)
		rc = err_errno(e, "can't make %s/%s/maildirfolder", m->path, box);
	maildir_close_fd(&fd);
	maildir_close_fd(&dir);
	return rc;
}

int maildir_make_parts(int root, const char *path, struct err *e)
{
	struct strbuf tmp = STRBUF_INIT(16384), fresh = STRBUF_INIT(16384), cur = STRBUF_INIT(16384);
	int rc = 0;

	if (strbuf_printf(&tmp, "%s/tmp", path) < 0 || strbuf_printf(&fresh, "%s/new", path) < 0 || strbuf_printf(&cur, "%s/cur", path) < 0)
		rc = err_set(e, ERR_LOCAL, "out of memory");
	else
		rc = fs_mkdirs_beneath_all(root, (const char *[]){ tmp.s, fresh.s, cur.s }, 3, 0700, e);
	strbuf_release(&tmp);
	strbuf_release(&fresh);
	strbuf_release(&cur);
	return rc;
}

/* Make the directories of a box. */
int maildir_make_box(struct maildir *m, int root, const char *box, struct err *e)
{
	if (maildir_make_parts(root, box, e) < 0)
		return err_in(e, "%s", m->path);
	return m->layout == MAILDIR_PLUSPLUS && strcmp(box, ".") != 0 ? mark_folder(m, root, box, e) : 0;
}

/* Open the three directories of a box. One that has a cur/ is a Maildir, and gets what it lacks if it is to be written. */
static int open_parts(struct maildir *m, const char *box, unsigned how, struct err *e)
{
	bool make = how & (BOX_CREATE | BOX_WRITE);

	if ((how & BOX_CREATE) && maildir_make_box(m, m->root, box, e) < 0)
		return -1;
	m->cur = maildir_open_part(m, m->root, box, "cur", false, e);
	if (m->cur >= 0)
		m->tmp = maildir_open_part(m, m->root, box, "tmp", make, e);
	if (m->tmp >= 0)
		m->fresh = maildir_open_part(m, m->root, box, "new", make, e);
	if (m->fresh >= 0 && m->store.keywords) {
		m->words.view = m->store.keywords;
		m->words.dir = fs_open_beneath(m->root, box, O_RDONLY | O_DIRECTORY, 0, e);
		if (m->words.dir < 0)
			return err_in(e, "%s", m->path);
	}
	return m->fresh < 0 ? -1 : 0;
}

/* Give the box up. */
void maildir_close(struct store *s)
{
	struct maildir *m = maildir_of(s);

	maildir_abandon(s);
	maildir_keep_close(m);
	maildir_again_close(m);
	maildir_close_fd(&m->trash);
	maildir_close_fd(&m->words.dir);
	m->words = (struct maildir_words){ .dir = -1 };
	maildir_close_fd(&m->tmp);
	maildir_close_fd(&m->fresh);
	maildir_close_fd(&m->cur);
	maildir_close_fd(&m->root);
	vec_clear(&m->wanted);
	m->want_at = m->file_at = 0;
	m->changed_cur = m->changed_fresh = m->trash_asked = false;
	m->looks = NULL;
	m->looking = m->listing = false;
}

/* What there is to know of a box without reading it; its messages when they will be listed. */
static int tell(struct maildir *m, unsigned how, struct box_info *out, struct err *e)
{
	const struct maildir_dirs d = { m->fresh, m->cur };
	int64_t now = maildir_now();
	struct maildir_stamp stamp;
	bool known;

	if (maildir_stamp(&d, &stamp) < 0)
		return err_errno(e, "can't look at %s", m->at.s);
	maildir_stamp_print(&stamp, now, out->stamp);
	known = maildir_files_resume(&m->files, &stamp);
	m->words.at = m->at.s;
	if (maildir_words_read(&m->words, e) < 0)
		return -1;
	maildir_words_tell(&m->words, 0, false, out);
	out->read_only = maildir_read_only(m->cur) || maildir_read_only(m->fresh) || maildir_read_only(m->tmp);
	if (!(how & BOX_SIZES))
		return 0;
	m->sizes = true;
	if (!known && maildir_files_read(m, &d, &m->files, NULL, NULL, e) < 0)
		return -1;
	out->messages = m->files.live;
	return 0;
}

/* Open a box. */
static int maildir_open(struct store *s, const char *folder, unsigned how, struct box_info *out, struct err *e)
{
	struct maildir *m = maildir_of(s);
	struct strbuf box = STRBUF_INIT(8192);
	int rc;

	memset(out, 0, sizeof(*out));
	maildir_close(s);
	m->sizes = false;
	m->unchanged = how & BOX_UNCHANGED;
	strbuf_clear(&m->folder);
	rc = strbuf_puts(&m->folder, folder) < 0 ? err_set(e, ERR_LOCAL, "out of memory") : maildir_box_path(m, folder, &box, e);
	if (rc == 0)
		rc = maildir_set_at(m, box.s, e);
	if (rc == 0) {
		m->root = maildir_open_root(m, how & BOX_CREATE, e);
		rc = m->root < 0 ? -1 : 0;
	}
	if (rc == 0)
		rc = open_parts(m, box.s, how, e);
	if (rc == 0 && (how & BOX_WRITE)) {
		m->max_open = maildir_put_room();
		m->pid = getpid();
		m->asked_nameless = false;
		rc = maildir_heal_clean(m, e);
	}
	if (rc == 0)
		rc = tell(m, how, out, e);
	if (rc < 0)
		maildir_close(s);
	strbuf_release(&box);
	return rc;
}

/* Free everything. */
static void maildir_free(struct store *s)
{
	struct maildir *m = maildir_of(s);

	maildir_close(s);
	syncer_release(&m->syncer);
	maildir_files_release(&m->files);
	vec_release(&m->wanted);
	vec_release(&m->recs);
	digest_free(m->digest);
	strbuf_release(&m->at);
	strbuf_release(&m->what);
	strbuf_release(&m->box);
	strbuf_release(&m->folder);
	free(m->in);
	free(m->out);
	free(m->path);
	free(m);
}

static const struct store_ops maildir_ops = {
	.name = "maildir",
	.caps = STORE_SOURCE | STORE_TARGET | STORE_TREE,
	.open_box = maildir_open,
	.close_box = maildir_close,
	.list_start = maildir_list_start,
	.list_next = maildir_list_msg,
	.want = maildir_want,
	.next = maildir_next,
	.remove = maildir_remove,
	.commit = maildir_commit,
	.stage = maildir_stage,
	.stage_again = maildir_stage_again,
	.unstage = maildir_unstage,
	.harden = maildir_harden,
	.publish = maildir_publish,
	.abandon = maildir_abandon,
	.recover = maildir_recover,
	.folders = maildir_folders,
	.folder_create = maildir_folder_create,
	.folder_remove = maildir_folder_remove,
	.folder_rename = maildir_folder_rename,
	.same_box = maildir_same_box,
	.look = maildir_look,
	.look_box = maildir_look_box,
	.look_next = maildir_look_next,
	.look_take = maildir_look_take,
	.find = maildir_find,
	.folder_dir = maildir_folder_dir,
	.move = maildir_move,
	.restore = maildir_restore,
	.set_flags = maildir_set_flags,
	.listen = maildir_listen,
	.free = maildir_free,
};

/* A Maildir; nothing is opened yet. */
struct store *maildir_new(const struct maildir_params *p, struct err *e)
{
	struct maildir *m = calloc(1, sizeof(*m));

	if (!m)
		goto fail;
	m->store.ops = &maildir_ops;
	m->root = m->tmp = m->fresh = m->cur = m->trash = m->words.dir = m->again.dirs.cur = m->again.dirs.fresh = -1;
	m->at.max = m->what.max = m->box.max = m->folder.max = 65536;
	m->keep.to = (struct quarantine_box)QUARANTINE_BOX_INIT;
	m->layout = p->layout;
	m->tmp_hours = p->tmp_hours > 0 ? p->tmp_hours : TMP_HOURS;
	m->max_open = 1;
	take_host(m);
	if (getrandom(&m->counter, sizeof(m->counter), GRND_NONBLOCK) < 0)
		m->counter = (uint32_t)clock_wall_usec();
	m->counter &= 0x3fffffff; /* room to count without starting over */
	m->path = strdup(p->path);
	m->in = malloc(MAILDIR_CHUNK);
	m->out = malloc(2 * MAILDIR_CHUNK + 2);
	if (!m->path || !m->in || !m->out || maildir_set_at(m, ".", e) < 0)
		goto fail;
	m->digest = digest_new(e);
	if (!m->digest) {
		maildir_free(&m->store);
		return NULL;
	}
	return &m->store;
fail:
	if (m)
		maildir_free(&m->store);
	err_set(e, ERR_LOCAL, "out of memory");
	return NULL;
}
