/*
 * mbox as a target: see mbox.h. Messages are staged in a spool in the form they will have in the file: for each the message, quoted, with the empty line
 * behind it, then what stands before it (the From_ line needs the Return-Path, mboxcl2's Content-Length the length, both known only at the end).
 * harden locks the file and fixes where each record will go; publish appends, or leaves the file as long as it was.
 */
#include "store/mbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/spool.h"
#include "base/vec.h"
#include "mail/eol.h"
#include "mail/header.h"
#include "store/mboxform.h"
#include "store/mboxheal.h"

#define CHUNK 32768       /* bytes of a body at a time */
#define SPOOL_MEMORY 1048576
#define REOPENS 10        /* times that the file may be replaced under us */

/* One message that is staged: places in the spool. */
struct rec {
	uint64_t serial;
	uint64_t head_at, head_n; /* From_ line, Content-Length */
	uint64_t body_at, body_n; /* the message and the empty line */
	int64_t own[MBOXHINT_OWN]; /* see struct mboxhint; from body_at */
	size_t own_n;
	bool dropped;
};

struct mbox {
	struct store store;
	char *path;
	enum mbox_variant variant;
	struct mboxlock_params lock_params;
	bool is_open, create;
	struct spool spool;
	VEC(struct rec) recs;
	uint64_t serial;
	struct digest *content, *identity;
	char *in, *lf, *kept, *quoted; /* a chunk on its way */
	/* while locked */
	int fd;
	struct mboxlock *lock;
	bool created;             /* by us: its directory is to be synced */
	int64_t base;             /* its length before */
	int pad;                  /* line feeds before the first record */
	struct stat before;
};

/* Whether a message for mboxcl2 begins with a header. */
enum first { FIRST_NAME, FIRST_GAP, FIRST_HEADER, FIRST_NONE };

/* A body on its way into the spool. */
struct writer {
	struct rec rec;
	struct eol eol;
	struct header facts;
	struct mboxhead head;     /* mboxcl2: leaves other Content-Length fields out */
	struct mboxlines lines;
	struct mboxkey key;
	struct mboxwatch watch;
	uint64_t watched;         /* bytes */
	enum first first;
	size_t first_n;
	bool raw;
	char last;                /* byte that was put */
};

static const char *const lengths[] = { "Content-Length", NULL };

/* The driver of a store. */
static struct mbox *of(struct store *s)
{
	return (struct mbox *)s;
}

/* Read from a place in the spool. */
static int spool_get(struct mbox *m, uint64_t at, char *p, size_t n, struct err *e)
{
	m->spool.pos = at;
	while (n > 0) {
		ssize_t got = spool_read(&m->spool, p, n, e);

		if (got <= 0)
			return got < 0 ? -1 : err_set(e, ERR_BUG, "mbox: the spool is too short");
		p += got;
		n -= (size_t)got;
	}
	return 0;
}

/* Note where the message looks as if another began in it. */
static void watch(struct writer *w, const char *p, size_t n)
{
	while (n > 0 && w->rec.own_n < MBOXHINT_OWN) {
		bool hit;
		size_t k = mboxwatch_find(&w->watch, p, n, &hit);

		p += k;
		n -= k;
		w->watched += k;
		if (hit)
			w->rec.own[w->rec.own_n++] = (int64_t)w->watched;
	}
}

/* Bytes of the record's message, as they will be in the file. */
static int put_final(struct mbox *m, struct writer *w, const char *p, size_t n, struct err *e)
{
	if (n == 0)
		return 0;
	w->last = p[n - 1];
	watch(w, p, n);
	if (mboxkey_put(&w->key, p, n, e) < 0)
		return -1;
	return spool_write(&m->spool, p, n, e);
}

/* Look at the first line: is it a header field, or the empty line of a header that is empty? */
static void look_at_first(struct writer *w, const char *p, size_t n)
{
	for (size_t i = 0; i < n && w->first < FIRST_HEADER; i++) {
		bool name = p[i] > ' ' && p[i] < 0x7f && p[i] != ':', gap = p[i] == ' ' || p[i] == '\t';

		if (p[i] == ':' && w->first_n > 0)
			w->first = FIRST_HEADER;
		else if (p[i] == '\n' && w->first_n == 0)
			w->first = FIRST_HEADER;
		else if (gap && w->first_n > 0)
			w->first = FIRST_GAP;
		else if (name && w->first == FIRST_NAME)
			w->first_n++;
		else if (p[i] != '\r' || w->first_n > 0)
			w->first = FIRST_NONE;
	}
}

/* Bytes of the message with their final line ends: to what the variant makes of them. */
static int put_bytes(struct mbox *m, struct writer *w, const char *p, size_t n, struct err *e)
{
	if (m->variant == MBOX_CL2) {
		look_at_first(w, p, n);
		n = mboxhead_put(&w->head, p, n, m->kept);
		p = m->kept;
	}
	return put_final(m, w, m->quoted, mboxlines_put(&w->lines, p, n, m->quoted), e);
}

/* Copy n bytes of the spool to its end, LF as CRLF; anew: w->head is to look at them again. */
static int copy_crlf(struct mbox *m, struct writer *w, uint64_t at, uint64_t n, bool anew, struct err *e)
{
	while (n > 0) {
		size_t some = n < CHUNK / 2 ? (size_t)n : CHUNK / 2, k;
		const char *p = m->lf;

		if (spool_get(m, at, m->kept, some, e) < 0)
			return -1;
		k = eol_to_crlf(m->kept, some, m->lf);
		if (anew) {
			k = mboxhead_put(&w->head, m->lf, k, m->quoted);
			p = m->quoted;
		}
		if (put_final(m, w, p, k, e) < 0)
			return -1;
		at += some;
		n -= some;
	}
	return 0;
}

/*
 * A bare LF has come: what is in the spool is put there again as it came. What the quoting holds back is part of a line, so it has no line end. Where the header
 * ended must be found anew: CR CR LF was CR LF, an empty line, and is none any more.
 */
static int restore(struct mbox *m, struct writer *w, struct err *e)
{
	uint64_t from = w->rec.body_at, n = m->spool.size - from;
	bool anew = m->variant == MBOX_CL2 && w->head.body;

	w->rec.body_at = m->spool.size;
	w->rec.own_n = 0;
	w->watch = (struct mboxwatch)MBOXWATCH_INIT;
	w->watched = 0;
	mboxkey_init(&w->key, m->variant, m->identity);
	if (anew)
		mboxhead_init(&w->head, lengths);
	if (copy_crlf(m, w, from, n, anew, e) < 0)
		return -1;
	if (!anew)
		w->head.out = m->spool.size - w->rec.body_at;
	return 0;
}

/* Take a chunk of the body. The digest is of the LF form, whatever is stored. */
static int take_chunk(struct mbox *m, struct writer *w, size_t n, struct err *e)
{
	bool cr = w->eol.cr;
	size_t k = eol_to_lf(&w->eol, m->in, n, m->lf);

	header_put(&w->facts, m->in, n);
	if (digest_put(m->content, m->lf, k) < 0)
		return err_set(e, ERR_LOCAL, "SHA-256 failed");
	if (!w->raw && !w->eol.bare_lf)
		return put_bytes(m, w, m->lf, k, e);
	if (!w->raw) {
		w->raw = true;
		if (restore(m, w, e) < 0 || (cr && put_bytes(m, w, "\r", 1, e) < 0))
			return -1;
	}
	return put_bytes(m, w, m->in, n, e);
}

/* The body is over: what was held back, the final line end. */
static int end_body(struct mbox *m, struct writer *w, struct err *e)
{
	char rest[MBOXHEAD_HOLD], out[2 * MBOXHEAD_HOLD + 8], last;

	header_end(&w->facts);
	if (eol_end(&w->eol, &last) > 0) {
		if (digest_put(m->content, &last, 1) < 0)
			return err_set(e, ERR_LOCAL, "SHA-256 failed");
		if (!w->raw && put_bytes(m, w, &last, 1, e) < 0)
			return -1;
	}
	if (m->variant == MBOX_CL2 &&
	    put_final(m, w, out, mboxlines_put(&w->lines, rest, mboxhead_end(&w->head, rest), out), e) < 0)
		return -1;
	if (put_final(m, w, out, mboxlines_end(&w->lines, out), e) < 0)
		return -1;
	if (m->spool.size > w->rec.body_at && w->last != '\n')
		return put_final(m, w, "\n", 1, e);
	return 0;
}

/* mboxcl2, no header: the identity is that of the message behind an empty header. */
static int rekey(struct mbox *m, struct writer *w, uint64_t n, struct err *e)
{
	mboxkey_init(&w->key, m->variant, m->identity);
	if (mboxkey_put(&w->key, "\n", 1, e) < 0)
		return -1;
	for (uint64_t at = w->rec.body_at, end = at + n; at < end;) {
		size_t some = end - at < CHUNK ? (size_t)(end - at) : CHUNK;

		if (spool_get(m, at, m->kept, some, e) < 0 || mboxkey_put(&w->key, m->kept, some, e) < 0)
			return -1;
		at += some;
	}
	return 0;
}

/* What stands before the message. */
static int put_head(struct mbox *m, struct writer *w, int64_t received, uint64_t n, struct err *e)
{
	bool bare = w->first != FIRST_HEADER && n > 0;
	char line[MBOX_FROM_MAX], length[64];

	w->rec.head_at = m->spool.size;
	if (spool_write(&m->spool, line, mbox_from_line(w->facts.return_path, received, line), e) < 0)
		return -1;
	if (m->variant == MBOX_CL2) {
		/* a header without an end has no body, though a final line end may have been put behind it */
		uint64_t body = bare ? n : w->head.body ? n - w->head.body_at : 0;

		snprintf(length, sizeof(length), "Content-Length: %llu\n%s", (unsigned long long)body, bare ? "\n" : "");
		if (spool_write(&m->spool, length, strlen(length), e) < 0 || (bare && rekey(m, w, n, e) < 0))
			return -1;
	}
	w->rec.head_n = m->spool.size - w->rec.head_at;
	return 0;
}

/* Stream the body into the spool. */
static int take_body(struct mbox *m, struct writer *w, struct stream *body, const struct store_meta *meta, struct staged *out, struct err *e)
{
	unsigned char key[DIGEST_SIZE];
	uint64_t size;
	ssize_t n;

	while ((n = stream_read(body, m->in, CHUNK, e)) > 0)
		if (take_chunk(m, w, (size_t)n, e) < 0)
			return -1;
	if (n < 0 || end_body(m, w, e) < 0)
		return -1;
	size = m->spool.size - w->rec.body_at;
	if (spool_write(&m->spool, "\n", 1, e) < 0)
		return -1;
	w->rec.body_n = size + 1;
	if (put_head(m, w, meta->received, size, e) < 0 || mboxkey_end(&w->key, key, e) < 0)
		return -1;
	if (digest_end(m->content, out->digest) < 0)
		return err_set(e, ERR_LOCAL, "SHA-256 failed");
	digest_hex(key, out->key);
	out->size = size;
	out->raw = w->raw;
	return 0;
}

/* Write the body to the spool. */
static int mbox_stage(struct store *s, struct stream *body, const struct store_meta *meta, struct staged *out, struct err *e)
{
	struct mbox *m = of(s);
	struct writer w = { .rec = { .serial = m->serial, .body_at = m->spool.size }, .watch = MBOXWATCH_INIT };
	unsigned char nothing[DIGEST_SIZE];

	memset(out, 0, sizeof(*out));
	if (!m->is_open || m->lock)
		return err_set(e, ERR_BUG, "mbox: can't stage now");
	header_init(&w.facts);
	mboxhead_init(&w.head, lengths);
	mboxlines_init(&w.lines, m->variant, false);
	mboxkey_init(&w.key, m->variant, m->identity);
	digest_end(m->content, nothing); /* whatever a message that failed has left */
	if (take_body(m, &w, body, meta, out, e) < 0) {
		if (m->recs.n == 0)
			spool_clear(&m->spool);
		return -1;
	}
	if (vec_push(&m->recs, w.rec) < 0)
		return err_set(e, ERR_LOCAL, "out of memory");
	snprintf(out->hint, sizeof(out->hint), "%llu", (unsigned long long)m->serial++);
	return 0;
}

/* Drop one that is staged; its place in the spool stays used until the group is done. */
static void mbox_unstage(struct store *s, struct staged *out)
{
	struct mbox *m = of(s);
	struct slice rest = slice_str(out->hint);
	uint64_t serial;

	out->dropped = true;
	if (!slice_u64(slice_word(&rest), UINT64_MAX / 2, &serial))
		return;
	for (size_t i = m->recs.n; i-- > 0;)
		if (m->recs.a[i].serial == serial)
			m->recs.a[i].dropped = true;
}

/* Open the file the person named. A symbolic link in its place must be theirs (or root's); a FIFO can't hold us. */
static int open_named(const char *path, int flags)
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
static void let_go(struct mbox *m)
{
	mboxlock_give(m->lock);
	m->lock = NULL;
	if (m->fd >= 0)
		close(m->fd);
	m->fd = -1;
	m->created = false;
}

/* Is the name a symbolic link? Asked when there is nothing to open, and yet the name is taken. */
static bool is_dangling(const struct mbox *m)
{
	struct stat st;

	return lstat(m->path, &st) == 0 && S_ISLNK(st.st_mode);
}

/* Open and lock the file: 1, 0 when there is none (and none is made), -1. What was opened may have been replaced before it was locked: then again. */
static int lock_file(struct mbox *m, bool create, struct err *e)
{
	for (int i = 0; i < REOPENS; i++) {
		int rc;

		m->fd = open_named(m->path, O_RDWR);
		if (m->fd < 0 && errno == ENOENT) {
			if (!create)
				return 0;
			m->fd = open_named(m->path, O_RDWR | O_CREAT | O_EXCL);
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
		rc = still_named(m, e);
		if (rc > 0) {
			m->lock = mboxlock_take(&m->lock_params, m->fd, m->path, e);
			rc = m->lock ? still_named(m, e) : -1;
		}
		if (rc > 0)
			return 1;
		let_go(m);
		if (rc < 0)
			return -1;
	}
	return err_set(e, ERR_TEMP, "%s is replaced again and again while we open it", m->path);
}

/* The file must be empty or an mbox; see how it ends. */
static int look_at_file(struct mbox *m, struct err *e)
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
	return 0;
}

/* The next record that is to be appended; false at the end. */
static bool next_live(const struct mbox *m, size_t *i)
{
	while (*i < m->recs.n && m->recs.a[*i].dropped)
		++*i;
	return *i < m->recs.n;
}

/* Fix where each record goes. */
static int make_hints(struct mbox *m, struct staged *st, size_t n, struct err *e)
{
	struct mboxhint h = { .base = m->base, .offset = m->base + m->pad };
	size_t k = 0;

	if (mboxhint_anchor(m->fd, m->base, h.anchor, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		struct rec *r;

		if (st[i].dropped)
			continue;
		if (!next_live(m, &k))
			return err_set(e, ERR_BUG, "mbox: more to harden than was staged");
		r = &m->recs.a[k++];
		h.serial = r->serial;
		h.length = (int64_t)(r->head_n + r->body_n);
		h.own_n = r->own_n;
		for (size_t j = 0; j < h.own_n; j++)
			h.own[j] = r->own[j] + (int64_t)r->head_n;
		h.first_n = h.length < MBOXHINT_FIRST ? (size_t)h.length : MBOXHINT_FIRST;
		if (h.first_n <= r->head_n) {
			if (spool_get(m, r->head_at, (char *)h.first, h.first_n, e) < 0)
				return -1;
		} else if (spool_get(m, r->head_at, (char *)h.first, (size_t)r->head_n, e) < 0 ||
		           spool_get(m, r->body_at, (char *)h.first + r->head_n, h.first_n - (size_t)r->head_n, e) < 0) {
			return -1;
		}
		mboxhint_print(&h, st[i].hint);
		h.offset += h.length;
	}
	return next_live(m, &k) ? err_set(e, ERR_BUG, "mbox: less to harden than was staged") : 0;
}

/* Lock the file; from here on it is known where everything will be. */
static int mbox_harden(struct store *s, struct staged *st, size_t n, struct err *e)
{
	struct mbox *m = of(s);
	size_t k = 0;
	int rc;

	if (m->lock)
		return err_set(e, ERR_BUG, "mbox: hardened twice");
	if (!next_live(m, &k))
		return 0;
	rc = lock_file(m, m->create, e);
	if (rc == 0) {
		err_set(e, ERR_LOCAL, "there is no mbox %s any more", m->path);
		return -1;
	}
	if (rc < 0)
		return -1;
	if (look_at_file(m, e) < 0 || make_hints(m, st, n, e) < 0) {
		let_go(m);
		return -1;
	}
	return 0;
}

/* What is on its way to the file. */
struct appender {
	struct mbox *m;
	int64_t at;
	size_t n;     /* bytes in m->quoted */
	size_t room;
};

/* Write it. */
static int append_flush(struct appender *a, struct err *e)
{
	const char *p = a->m->quoted;

	mboxlock_renew(a->m->lock);
	while (a->n > 0) {
		ssize_t done = pwrite(a->m->fd, p, a->n, a->at);

		if (done < 0 && errno == EINTR)
			continue;
		if (done == 0)
			errno = ENOSPC; /* no endless loop */
		if (done <= 0)
			return err_errno(e, "can't append to %s", a->m->path);
		p += done;
		a->at += done;
		a->n -= (size_t)done;
	}
	return 0;
}

/* Append a part of the spool. */
static int append_spooled(struct appender *a, uint64_t at, uint64_t n, struct err *e)
{
	while (n > 0) {
		size_t some = a->room - a->n;

		if (some == 0) {
			if (append_flush(a, e) < 0)
				return -1;
			continue;
		}
		if (n < some)
			some = (size_t)n;
		if (spool_get(a->m, at, a->m->quoted + a->n, some, e) < 0)
			return -1;
		a->n += some;
		at += some;
		n -= some;
	}
	return 0;
}

/* Mail readers take an mbox that was changed after it was last read for one with new mail. */
static void look_new(struct mbox *m)
{
	struct stat st;
	struct timespec t[2];

	if (fstat(m->fd, &st) < 0 || st.st_atim.tv_sec < st.st_mtim.tv_sec ||
	    (st.st_atim.tv_sec == st.st_mtim.tv_sec && st.st_atim.tv_nsec < st.st_mtim.tv_nsec))
		return;
	t[0] = t[1] = st.st_mtim;
	t[0].tv_sec--;
	futimens(m->fd, t);
}

/* fsync the directory that holds the file. */
static int sync_parent(struct mbox *m, struct err *e)
{
	char *slash = strrchr(m->path, '/'), *dir;
	int rc;

	dir = !slash ? strdup(".") : slash == m->path ? strdup("/") : strndup(m->path, (size_t)(slash - m->path));
	if (!dir)
		return err_set(e, ERR_LOCAL, "out of memory");
	rc = fs_sync_dir(AT_FDCWD, dir, e);
	free(dir);
	return rc;
}

/* Append all records and make them durable. */
static int append_all(struct appender *a, struct err *e)
{
	struct mbox *m = a->m;

	memset(m->quoted, '\n', a->n);
	for (size_t i = 0; next_live(m, &i); i++) {
		const struct rec *r = &m->recs.a[i];

		if (append_spooled(a, r->head_at, r->head_n, e) < 0 || append_spooled(a, r->body_at, r->body_n, e) < 0)
			return -1;
	}
	if (append_flush(a, e) < 0)
		return -1;
	look_new(m);
	if (fs_sync(m->fd, m->path, e) < 0)
		return -1;
	/* an empty file may be one that a run made that didn't come this far */
	return m->created || m->base == 0 ? sync_parent(m, e) : 0;
}

/* Make the file as it was before the append, unless somebody who doesn't heed locks has put mail behind ours: then recover sorts it out. */
static void take_back(const struct appender *a)
{
	const struct mbox *m = a->m;
	struct timespec t[2] = { m->before.st_atim, m->before.st_mtim };
	struct stat st;

	if (fstat(m->fd, &st) < 0 || st.st_size <= m->base || st.st_size > a->at)
		return;
	if (ftruncate(m->fd, m->base) == 0) {
		futimens(m->fd, t);
		fs_sync(m->fd, m->path, NULL);
	}
}

/* Drop all that is staged. */
static void mbox_abandon(struct store *s)
{
	struct mbox *m = of(s);

	let_go(m);
	vec_clear(&m->recs);
	spool_clear(&m->spool);
}

/* Append what is staged: all of it, or nothing. */
static int mbox_publish(struct store *s, struct staged *st, size_t n, struct err *e)
{
	struct mbox *m = of(s);
	struct appender a = { .m = m, .at = m->base, .n = (size_t)m->pad, .room = (size_t)2 * CHUNK };
	struct stat now;
	size_t k = 0;
	int rc = 0;

	(void)st;
	(void)n;
	if (next_live(m, &k)) {
		if (!m->lock)
			return err_set(e, ERR_BUG, "mbox: publish before harden");
		if (fstat(m->fd, &now) < 0) {
			rc = err_errno(e, "can't look at %s", m->path);
		} else if (now.st_size != m->base) {
			rc = err_set(e, ERR_LOCAL, "%s was changed by a program that doesn't heed our locks", m->path);
		} else {
			rc = append_all(&a, e);
			if (rc < 0)
				take_back(&a);
		}
	}
	if (rc == 0)
		mbox_abandon(s);
	else
		let_go(m);
	return rc;
}

/* After a crash. */
static int mbox_recover(struct store *s, struct recovery *r, size_t n, struct err *e)
{
	struct mbox *m = of(s);
	int rc;

	if (!m->is_open || m->lock)
		return err_set(e, ERR_BUG, "mbox: can't recover now");
	for (size_t i = 0; i < n; i++)
		r[i].found = false;
	if (n == 0)
		return 0;
	rc = lock_file(m, false, e);
	if (rc <= 0)
		return rc;
	rc = mbox_heal(m->fd, m->variant, r, n, e);
	/* What was found may have been appended just before the interruption: what is told to be there must survive a power cut. */
	if (rc == 0 && (fs_sync(m->fd, "fsync", e) < 0 || sync_parent(m, e) < 0))
		rc = -1;
	if (rc < 0)
		err_in(e, "%s", m->path);
	let_go(m);
	return rc;
}

/* Give the box up. */
static void mbox_close(struct store *s)
{
	mbox_abandon(s);
	of(s)->is_open = false;
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

	m->fd = open_named(m->path, write ? O_RDWR : O_RDONLY);
	if (m->fd < 0 && errno == EISDIR) {
		err_set(e, ERR_LOCAL, "%s is a directory, no mbox", m->path);
		return err_hint(e, "a Maildir is written as maildir:%s", m->path);
	}
	if (m->fd < 0)
		return err_errno(e, "can't open %s", m->path);
	rc = still_named(m, e);
	if (rc >= 0)
		rc = look_at_file(m, e);
	let_go(m);
	return rc;
}

/* Open the box: the file that the path names. */
static int mbox_open(struct store *s, const char *folder, unsigned how, struct box_info *out, struct err *e)
{
	struct mbox *m = of(s);
	struct stat st;

	memset(out, 0, sizeof(*out));
	mbox_close(s);
	if (folder[0])
		return err_set_span(e, ERR_CONF, SPAN_BOX, "%s is an mbox: it holds one folder only", m->path);
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
	struct mbox *m = of(s);

	mbox_close(s);
	spool_release(&m->spool);
	vec_release(&m->recs);
	digest_free(m->content);
	digest_free(m->identity);
	free(m->in);
	free(m->lf);
	free(m->kept);
	free(m->quoted);
	free(m->path);
	free(m);
}

static const struct store_ops mbox_ops = {
	.name = "mbox",
	.caps = STORE_TARGET | STORE_MAY_VANISH,
	.open_box = mbox_open,
	.close_box = mbox_close,
	.list_start = store_cannot_list_start,
	.list_next = store_cannot_list_next,
	.want = store_cannot_want,
	.next = store_cannot_next,
	.remove = store_cannot_remove,
	.commit = store_cannot_commit,
	.stage = mbox_stage,
	.unstage = mbox_unstage,
	.harden = mbox_harden,
	.publish = mbox_publish,
	.abandon = mbox_abandon,
	.recover = mbox_recover,
	STORE_NO_TREE,
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
	m->spool = (struct spool)SPOOL_INIT(SPOOL_MEMORY);
	m->variant = p->variant;
	m->lock_params = p->lock;
	m->path = strdup(p->path);
	m->in = malloc(CHUNK);
	m->lf = malloc(CHUNK + 1);
	m->kept = malloc(CHUNK + 1 + MBOXHEAD_HOLD);
	m->quoted = malloc((size_t)2 * (CHUNK + 1 + MBOXHEAD_HOLD) + 8);
	if (!m->path || !m->in || !m->lf || !m->kept || !m->quoted)
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
