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
			err_in(e, "%s", m->path);
		else
			err_errno(e, "can't list %s", m->path);
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
	return errno ? err_errno(e, "can't list %s", m->path) : 0;
}

/* Open the directory that the person named, making it if wanted. */
static int open_root(struct maildir *m, bool create, struct err *e)
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
		return err_set(e, ERR_LOCAL, "there is no Maildir %s", m->path);
	}
	m->root = fs_open_dir(m->path, e);
	return m->root < 0 ? -1 : 0;
}

/* Open one of the three directories of a box, making it if wanted. */
static int open_part(struct maildir *m, const char *box, const char *part, bool create, int *fd, struct err *e)
{
	struct strbuf name = STRBUF_INIT(16384);
	int rc = -1;

	if (strbuf_printf(&name, "%s/%s", box, part) < 0) {
		err_set(e, ERR_LOCAL, "out of memory");
		goto out;
	}
	if (create && fs_mkdirs_beneath(m->root, name.s, 0700, e) < 0) {
		err_in(e, "%s", m->path);
		goto out;
	}
	*fd = fs_open_beneath(m->root, name.s, O_RDONLY | O_DIRECTORY, 0, e);
	if (*fd < 0) {
		err_in(e, "%s is no Maildir", m->path);
		goto out;
	}
	rc = 0;
out:
	strbuf_release(&name);
	return rc;
}

/* Maildir++ marks its folders with an empty file. */
static int mark_folder(struct maildir *m, const char *box, struct err *e)
{
	int dir = fs_open_beneath(m->root, box, O_RDONLY | O_DIRECTORY, 0, e), fd, rc = 0;

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

/* Open the three directories of a box. cur/ comes last: it is what others look for to tell a Maildir. */
static int open_parts(struct maildir *m, const char *box, bool create, struct err *e)
{
	if (open_part(m, box, "tmp", create, &m->tmp, e) < 0 || open_part(m, box, "new", create, &m->fresh, e) < 0 ||
	    open_part(m, box, "cur", create, &m->cur, e) < 0)
		return -1;
	return create && m->layout == MAILDIR_PLUSPLUS && strcmp(box, ".") != 0 ? mark_folder(m, box, e) : 0;
}

/* Give the box up. */
static void maildir_close(struct store *s)
{
	struct maildir *m = maildir_of(s);

	maildir_abandon(s);
	maildir_close_fd(&m->tmp);
	maildir_close_fd(&m->fresh);
	maildir_close_fd(&m->cur);
	maildir_close_fd(&m->root);
}

/* Open a box. */
static int maildir_open(struct store *s, const char *folder, unsigned how, struct box_info *out, struct err *e)
{
	struct maildir *m = maildir_of(s);
	struct strbuf box = STRBUF_INIT(8192);
	bool create = how & BOX_CREATE;
	int rc;

	memset(out, 0, sizeof(*out));
	maildir_close(s);
	rc = maildir_folder_path(m->layout, folder, &box, e);
	if (rc == 0)
		rc = open_root(m, create, e);
	if (rc == 0)
		rc = open_parts(m, box.s, create, e);
	if (rc == 0 && (how & BOX_WRITE)) {
		m->max_open = maildir_put_room();
		m->pid = getpid();
		rc = maildir_put_clean(m, e);
	}
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
	vec_release(&m->recs);
	digest_free(m->digest);
	free(m->in);
	free(m->out);
	free(m->path);
	free(m->what);
	free(m);
}

static const struct store_ops maildir_ops = {
	.name = "maildir",
	.caps = STORE_TARGET,
	.open_box = maildir_open,
	.close_box = maildir_close,
	.list_start = store_cannot_list_start,
	.list_next = store_cannot_list_next,
	.want = store_cannot_want,
	.next = store_cannot_next,
	.remove = store_cannot_remove,
	.commit = store_cannot_commit,
	.stage = maildir_stage,
	.unstage = maildir_unstage,
	.harden = maildir_harden,
	.publish = maildir_publish,
	.abandon = maildir_abandon,
	.recover = maildir_recover,
	STORE_NO_TREE,
	.free = maildir_free,
};

/* A Maildir; nothing is opened yet. */
struct store *maildir_new(const struct maildir_params *p, struct err *e)
{
	struct maildir *m = calloc(1, sizeof(*m));

	if (!m)
		goto fail;
	m->store.ops = &maildir_ops;
	m->root = m->tmp = m->fresh = m->cur = -1;
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
	if (!m->path || !m->in || !m->out || asprintf(&m->what, "a message in %s", m->path) < 0)
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
