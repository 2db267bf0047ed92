/*
 * Changes of an mbox that is locked. Notes whose new values fit where the old ones stand are written there. Else the file is written anew beside itself, without what is removed, and takes
 * its own place when it is on disk, so that at any moment there is a whole one: a link to it stays a link, its owner and mode stay what they are, or nothing is done.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "mail/keywords.h"
#include "store/mbox_p.h"
#include "store/mboxform.h"

static const char *const own_notes[] = { "Status", "X-Status", "X-Keywords", NULL };

/* What a message's notes are to be. */
struct fresh {
	struct strbuf text;          /* all values, one behind the other */
	size_t at[NOTES + 1];
	bool differs[NOTES];
};

struct rewrite {
	struct mbox *m;
	int out;
	char *buf;
	size_t n;                    /* bytes of buf to be written */
	struct strbuf carried;       /* the X-IMAPbase of a first message that is removed, for the next */
	struct strbuf temp;
};

int mbox_notes_of(struct mbox *m, const struct mboxread_msg *at, struct slice out[NOTES], struct strbuf *buf, struct err *e)
{
	size_t from[NOTES];

	for (int i = 0; i < NOTES; i++) {
		size_t room = at->notes.field[i].there ? at->notes.field[i].room : 0;
		char *p = strbuf_room(buf, room + 1);

		if (!p)
			return err_set_span(e, ERR_LOCAL, SPAN_BOX, "%s: a message has notes that are too long", m->path);
		if (room > 0 && fs_pread_all(m->fd, p, room, at->start + at->notes.field[i].at, m->path, e) < 0)
			return -1;
		from[i] = buf->len;
		strbuf_added(buf, room);
	}
	for (int i = 0; i < NOTES; i++)
		out[i] = slice_trim(slice_of(buf->s + from[i], (i + 1 < NOTES ? from[i + 1] : buf->len) - from[i]));
	return 0;
}

/* What the notes are to be; whether any is to differ: 1, 0, -1. */
static int make_fresh(struct mbox *m, const struct mbox_change *c, struct fresh *f, struct err *e)
{
	struct strbuf old = STRBUF_INIT(MBOXNOTES_MAX);
	struct slice value[NOTES];
	int rc = mbox_notes_of(m, &m->index.a.a[c->i].at, value, &old, e), any = 0;

	f->text = (struct strbuf)STRBUF_INIT(2 * MBOXNOTES_MAX);
	for (int i = 0; rc == 0 && i < NOTES; i++) {
		f->at[i] = f->text.len;
		if (mboxnotes_change(i, value[i], c->add, c->del, m->view, &f->text) < 0)
			rc = err_set_span(e, ERR_LOCAL, SPAN_BOX, "%s: the keywords of a message are too many", m->path);
		f->at[i + 1] = f->text.len;
		f->differs[i] = rc == 0 && !slice_eq(value[i], slice_of(strbuf_str(&f->text) + f->at[i], f->at[i + 1] - f->at[i]));
		any |= f->differs[i];
	}
	strbuf_release(&old);
	return rc < 0 ? -1 : any;
}

/* Do the new values fit into the place of the old ones? */
static bool fits(const struct mboxread_msg *at, const struct fresh *f)
{
	for (int i = 0; i < NOTES; i++) {
		size_t n = f->at[i + 1] - f->at[i];

		if (f->differs[i] && (at->notes.irregular || !at->notes.field[i].there || (n > 0 && n + 1 > at->notes.field[i].room)))
			return false;
	}
	return true;
}

static int pwrite_all(struct mbox *m, const char *p, size_t n, int64_t at, struct err *e)
{
	while (n > 0) {
		ssize_t done = pwrite(m->fd, p, n, at);

		if (done < 0 && errno == EINTR)
			continue;
		if (done == 0)
			errno = ENOSPC;
		if (done <= 0)
			return err_errno(e, "can't write to %s", m->path);
		p += done;
		at += done;
		n -= (size_t)done;
	}
	return 0;
}

/* A blank, the value, and blanks to the end of the line. */
static int write_in_place(struct mbox *m, const struct mboxread_msg *at, const struct fresh *f, struct err *e)
{
	int rc = 0;

	for (int i = 0; rc == 0 && i < NOTES; i++) {
		size_t room = at->notes.field[i].room, n = f->at[i + 1] - f->at[i];
		char *p = f->differs[i] ? malloc(room + 1) : NULL;

		if (!f->differs[i])
			continue;
		if (!p)
			return err_set(e, ERR_LOCAL, "out of memory");
		memset(p, ' ', room);
		memcpy(p + (n > 0), strbuf_str(&f->text) + f->at[i], n);
		rc = pwrite_all(m, p, room, at->start + at->notes.field[i].at, e);
		free(p);
	}
	return rc;
}

/* ---- the file anew ---- */

static int flush(struct rewrite *w, struct err *e)
{
	size_t n = w->n;

	w->n = 0;
	mboxlock_renew(w->m->lock);
	return fs_write_all(w->out, w->buf, n, w->temp.s, e);
}

static int put_bytes(struct rewrite *w, const char *p, size_t n, struct err *e)
{
	while (n > 0) {
		size_t some = MBOX_CHUNK - w->n < n ? MBOX_CHUNK - w->n : n;

		memcpy(w->buf + w->n, p, some);
		w->n += some;
		p += some;
		n -= some;
		if (w->n == MBOX_CHUNK && flush(w, e) < 0)
			return -1;
	}
	return 0;
}

/* As it stands in the file. */
static int copy(struct rewrite *w, int64_t from, int64_t to, struct err *e)
{
	char *p = w->m->in;

	while (from < to) {
		size_t some = to - from < MBOX_CHUNK ? (size_t)(to - from) : MBOX_CHUNK;

		if (clock_check(e) < 0 || fs_pread_all(w->m->fd, p, some, from, w->m->path, e) < 0 || put_bytes(w, p, some, e) < 0)
			return -1;
		from += (int64_t)some;
	}
	return 0;
}

static int put_carried(struct rewrite *w, struct err *e)
{
	int rc = put_bytes(w, strbuf_str(&w->carried), w->carried.len, e);

	strbuf_clear(&w->carried);
	return rc;
}

/* Records that stay as they are; the first of them may get what a removed one has left. */
static int copy_records(struct rewrite *w, int64_t from, int64_t to, struct err *e)
{
	char first[4096];
	size_t n = to - from < (int64_t)sizeof(first) ? (size_t)(to - from) : sizeof(first);
	const char *lf;

	if (w->carried.len == 0 || n == 0)
		return copy(w, from, to, e);
	if (fs_pread_all(w->m->fd, first, n, from, w->m->path, e) < 0)
		return -1;
	lf = n > 5 && memcmp(first, "From ", 5) == 0 ? memchr(first, '\n', n) : NULL;
	if (!lf)
		return copy(w, from, to, e);
	n = (size_t)(lf + 1 - first);
	return put_bytes(w, first, n, e) < 0 || put_carried(w, e) < 0 ? -1 : copy(w, from + (int64_t)n, to, e);
}

/* The header without the notes that are written anew. */
static int copy_header(struct rewrite *w, int64_t from, int64_t to, struct err *e)
{
	struct mboxhead h;
	struct mbox *m = w->m;

	mboxhead_init(&h, own_notes);
	while (from < to) {
		size_t some = to - from < MBOX_CHUNK ? (size_t)(to - from) : MBOX_CHUNK;

		if (fs_pread_all(m->fd, m->in, some, from, m->path, e) < 0 || put_bytes(w, m->kept, mboxhead_put(&h, m->in, some, m->kept), e) < 0)
			return -1;
		from += (int64_t)some;
	}
	return put_bytes(w, m->kept, mboxhead_end(&h, m->kept), e);
}

/* The empty line behind the notes of a message without a header; a first line that would begin another record behind it is quoted. */
static int end_notes(struct rewrite *w, const struct mboxread_msg *at, struct strbuf *lines, struct err *e)
{
	char first[5] = "";

	if (at->end - at->head >= 5 && fs_pread_all(w->m->fd, first, sizeof(first), at->head, w->m->path, e) < 0)
		return -1;
	strbuf_puts(lines, at->crlf ? "\r\n" : "\n");
	if (w->m->variant != MBOX_CL2 && memcmp(first, "From ", sizeof(first)) == 0)
		strbuf_putc(lines, '>');
	return lines->failed ? err_set(e, ERR_LOCAL, "out of memory") : 0;
}

/* A message with other notes. */
static int put_changed(struct rewrite *w, const struct mboxread_msg *at, const struct fresh *f, struct err *e)
{
	struct strbuf lines = STRBUF_INIT(3 * MBOXNOTES_MAX);
	struct slice value[NOTES];
	int64_t header = at->body <= at->end ? at->body : at->end;
	int rc;

	for (int i = 0; i < NOTES; i++)
		value[i] = slice_of(strbuf_str(&f->text) + f->at[i], f->at[i + 1] - f->at[i]);
	rc = mboxnotes_lines(value, at->crlf, &lines) < 0 ? err_set(e, ERR_LOCAL, "out of memory") : 0;
	if (rc == 0 && at->no_header)
		rc = end_notes(w, at, &lines, e);
	if (rc == 0)
		rc = copy(w, at->start, at->head, e);
	if (rc == 0)
		rc = put_carried(w, e);
	if (rc == 0)
		rc = put_bytes(w, lines.s, lines.len, e);
	if (rc == 0)
		rc = at->no_header ? copy(w, at->head, header, e) : copy_header(w, at->head, header, e);
	strbuf_release(&lines);
	return rc < 0 ? -1 : copy(w, header, at->stop, e);
}

/* What Dovecot keeps of the whole folder in its first message. */
static int carry(struct rewrite *w, const struct mboxread_msg *at, struct err *e)
{
	static const char name[] = "X-IMAPbase:";
	int64_t end = at->body <= at->end ? at->body : at->end;
	char buf[8192];
	size_t n = end - at->head < (int64_t)sizeof(buf) ? (size_t)(end - at->head) : sizeof(buf);

	if (fs_pread_all(w->m->fd, buf, n, at->head, w->m->path, e) < 0)
		return -1;
	for (size_t i = 0; i < n;) {
		const char *lf = memchr(buf + i, '\n', n - i);
		size_t line = lf ? (size_t)(lf + 1 - (buf + i)) : n - i;

		if (lf && slice_istarts(slice_of(buf + i, line), name) && strbuf_put(&w->carried, buf + i, line) < 0)
			return err_set(e, ERR_LOCAL, "out of memory");
		i += line;
	}
	return 0;
}

/* What becomes of some of the messages. */
struct changes {
	const struct mbox_change *c;
	const struct fresh *f;
	size_t n;
};

/* All records. */
static int put_all(struct rewrite *w, const void *arg, struct err *e)
{
	const struct changes *all = arg;
	const struct mbox_change *c = all->c;
	int64_t pos = 0;

	for (size_t i = 0; i < all->n; i++) {
		const struct mboxread_msg *at = &w->m->index.a.a[c[i].i].at;

		if (copy_records(w, pos, at->start, e) < 0)
			return -1;
		if (c[i].remove ? carry(w, at, e) < 0 : put_changed(w, at, &all->f[i], e) < 0)
			return -1;
		pos = at->stop;
	}
	return copy_records(w, pos, w->m->before.st_size, e);
}

/* ".mailhaul-INODE" beside the file. While that is locked there is one at most, and one that is there already was left by a run that died. */
static int temp_name(struct mbox *m, struct strbuf *out, struct err *e)
{
	const char *real = mbox_real_path(m), *slash = strrchr(real, '/');

	strbuf_put(out, real, slash ? (size_t)(slash + 1 - real) : 0);
	strbuf_printf(out, ".mailhaul-%llx", (unsigned long long)m->before.st_ino);
	return out->failed ? err_set(e, ERR_LOCAL, "%s: the path is too long", real) : 0;
}

/* Whoever could read it can, and nobody else; and it looks newer. */
static int give_owner(struct rewrite *w, struct err *e)
{
	const struct stat *was = &w->m->before;
	struct stat st;

	if (fstat(w->out, &st) < 0)
		return err_errno(e, "can't look at %s", w->temp.s);
	if ((st.st_uid != was->st_uid || st.st_gid != was->st_gid) && fchown(w->out, was->st_uid, was->st_gid) < 0) {
		err_errno(e, "%s can't be written anew: it belongs to another user or group (%u:%u), and what takes its place must, too", w->m->path,
			  (unsigned)was->st_uid, (unsigned)was->st_gid);
		return err_hint(e, "run as that user, or change the owner of the file");
	}
	if (fchmod(w->out, was->st_mode & 07777) < 0)
		return err_errno(e, "can't set the mode of %s", w->temp.s);
	mbox_later(w->out, was);
	return 0;
}

/* Is it as it was when it was locked? A program that heeds no lock may be at it. */
static int check_unchanged(struct mbox *m, struct err *e)
{
	struct stat now, named;

	if (fstat(m->fd, &now) < 0 || stat(m->path, &named) < 0)
		return err_errno(e, "can't look at %s", m->path);
	if (now.st_size == m->before.st_size && now.st_mtim.tv_sec == m->before.st_mtim.tv_sec && now.st_mtim.tv_nsec == m->before.st_mtim.tv_nsec &&
	    named.st_dev == now.st_dev && named.st_ino == now.st_ino)
		return 0;
	return err_set(e, ERR_TEMP, "%s was changed by a program that doesn't heed our locks", m->path);
}

/* put: writes all that the new file is to hold. */
static int rewrite(struct mbox *m, int (*put)(struct rewrite *w, const void *arg, struct err *e), const void *arg, struct err *e)
{
	struct rewrite w = { .m = m, .out = -1, .buf = m->quoted, .carried = STRBUF_INIT(65536), .temp = STRBUF_INIT(PATH_MAX) };
	int rc = temp_name(m, &w.temp, e);

	if (rc == 0) {
		unlink(w.temp.s);
		w.out = open(w.temp.s, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (w.out < 0) {
			rc = err_errno(e, "%s can't be written anew: can't make %s", m->path, w.temp.s);
			err_hint(e, "the directory must be writable");
		}
	}
	if (rc == 0)
		rc = put(&w, arg, e) < 0 || flush(&w, e) < 0 || give_owner(&w, e) < 0 || fs_sync(w.out, w.temp.s, e) < 0 || check_unchanged(m, e) < 0 ? -1 : 0;
	if (rc == 0 && rename(w.temp.s, mbox_real_path(m)) < 0)
		rc = err_errno(e, "can't put %s into the place of %s", w.temp.s, mbox_real_path(m));
	if (rc < 0 && w.out >= 0)
		unlink(w.temp.s);
	if (rc == 0)
		rc = mbox_sync_parent(m, e);
	if (w.out >= 0)
		close(w.out);
	strbuf_release(&w.carried);
	strbuf_release(&w.temp);
	return rc;
}

/* Mail readers take an mbox that was changed after it was last read for one with new mail: ours is none. */
static void keep_read(const struct mbox *m)
{
	struct timespec t[2] = { { .tv_nsec = UTIME_NOW }, { .tv_nsec = UTIME_OMIT } };

	if (m->before.st_atim.tv_sec >= m->before.st_mtim.tv_sec)
		futimens(m->fd, t);
}

static const struct mbox_index *sorting; /* what qsort compares by, which takes no argument of ours */

static int by_place(const void *a, const void *b)
{
	const struct mbox_change *x = a, *y = b;
	int64_t p = sorting->a.a[x->i].at.start, q = sorting->a.a[y->i].at.start;

	return (p > q) - (p < q);
}

/* The flags that messages have now, and the file as it is. */
static void note_changed(struct mbox *m, const struct mbox_change *c, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct mboxread_msg *at = &m->index.a.a[c[i].i].at;

		at->flags = (at->flags & ~c[i].del) | c[i].add;
	}
	if (fstat(m->fd, &m->index.st) < 0)
		mbox_index_clear(&m->index);
}

/* Changes in place. */
static int change_in_place(struct mbox *m, const struct mbox_change *c, const struct fresh *f, size_t n, struct err *e)
{
	int rc = check_unchanged(m, e);

	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = write_in_place(m, &m->index.a.a[c[i].i].at, &f[i], e);
	if (rc < 0)
		return -1;
	mbox_later(m->fd, &m->before);
	keep_read(m);
	if (fs_sync(m->fd, m->path, e) < 0)
		return -1;
	note_changed(m, c, n);
	return 0;
}

int mbox_change(struct mbox *m, struct mbox_change *c, size_t n, struct err *e)
{
	struct fresh *f = calloc(n, sizeof(*f));
	bool anew = false, any = false;
	int rc = f ? 0 : err_set(e, ERR_LOCAL, "out of memory");

	sorting = &m->index;
	qsort(c, n, sizeof(*c), by_place);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		int differs = c[i].remove ? 1 : make_fresh(m, &c[i], &f[i], e);

		rc = differs < 0 ? -1 : 0;
		any |= differs > 0;
		anew |= c[i].remove || (differs > 0 && !fits(&m->index.a.a[c[i].i].at, &f[i]));
	}
	if (rc == 0 && any)
		rc = anew ? rewrite(m, put_all, &(struct changes){ c, f, n }, e) : change_in_place(m, c, f, n, e);
	for (size_t i = 0; f && i < n; i++)
		strbuf_release(&f[i].text);
	free(f);
	return rc;
}

/* ---- the list of keywords ---- */

/* The value of X-IMAPbase, with those that it lacks; whether it lacks any: 1, 0, -1. */
static int lacking(struct mbox *m, struct slice words, struct strbuf *out, struct err *e)
{
	const struct mboxread_msg *first = &m->index.first;
	char *old = strbuf_room(out, first->base_room + 1);
	struct slice word, rest;
	int any = 0;

	if (!old || (first->base_room > 0 && fs_pread_all(m->fd, old, first->base_room, first->base_at, m->path, e) < 0))
		return old ? -1 : err_set(e, ERR_LOCAL, "out of memory");
	strbuf_added(out, slice_trim(slice_of(old, first->base_room)).n + (size_t)(slice_trim(slice_of(old, first->base_room)).p - old));
	if (first->base_at == 0)
		strbuf_printf(out, " %llu %010u", (unsigned long long)clock_wall(), 0u);
	while ((word = slice_word(&words)).n > 0) {
		bool named = false;
		char text[KEYWORD_NAME_MAX + 1];

		rest = strbuf_slice(out);
		snprintf(text, sizeof(text), "%.*s", (int)word.n, word.p);
		for (struct slice w; !named && (w = slice_word(&rest)).n > 0;)
			named = slice_ieqs(w, text);
		if (!named && strbuf_printf(out, " %s", text) == 0)
			any = 1;
	}
	return out->failed ? err_set(e, ERR_LOCAL, "out of memory") : any;
}

static int put_base(struct rewrite *w, const void *arg, struct err *e)
{
	const struct mboxread_msg *first = &w->m->index.first;
	const struct slice *value = arg;
	const char *end = first->crlf ? "\r\n" : "\n";
	int64_t at = first->base_at > 0 ? first->base_at : first->head;
	int rc = copy(w, 0, at, e);

	if (rc == 0 && first->base_at == 0)
		rc = put_bytes(w, "X-IMAPbase:", strlen("X-IMAPbase:"), e);
	if (rc == 0)
		rc = put_bytes(w, value->p, value->n, e);
	if (rc == 0 && first->base_at == 0)
		rc = put_bytes(w, end, strlen(end), e);
	return rc < 0 ? -1 : copy(w, at + first->base_room, w->m->before.st_size, e);
}

int mbox_name_words(struct mbox *m, struct slice words, struct err *e)
{
	struct strbuf value = STRBUF_INIT(65536);
	struct slice text;
	int rc;

	if (words.n == 0 || !m->tree)
		return 0;
	rc = mbox_lock_file(m, false, e);
	if (rc > 0)
		rc = mbox_index_locked(m, e);
	if (rc == 0 && m->lock && m->index.first.head > 0 && !m->index.first.no_header) {
		rc = lacking(m, words, &value, e);
		text = strbuf_slice(&value);
		if (rc > 0)
			rc = rewrite(m, put_base, &text, e);
	}
	mbox_let_go(m);
	strbuf_release(&value);
	return rc < 0 ? -1 : 0;
}
