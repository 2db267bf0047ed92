/* What is staged goes to an mbox: harden locks the file and fixes where each record will go; publish appends, or leaves the file as long as it was. */
#include "store/mbox_p.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"

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
		struct mbox_rec *r;

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
			if (mbox_spool_get(m, r->head_at, (char *)h.first, h.first_n, e) < 0)
				return -1;
		} else if (mbox_spool_get(m, r->head_at, (char *)h.first, (size_t)r->head_n, e) < 0 ||
		           mbox_spool_get(m, r->body_at, (char *)h.first + r->head_n, h.first_n - (size_t)r->head_n, e) < 0) {
			return -1;
		}
		mboxhint_print(&h, st[i].hint);
		h.offset += h.length;
	}
	return next_live(m, &k) ? err_set(e, ERR_BUG, "mbox: less to harden than was staged") : 0;
}

/* In a folder equal messages are told apart by their number. */
static int number_keys(struct mbox *m, struct staged *st, size_t n, struct err *e)
{
	if (mbox_index_locked(m, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		unsigned char digest[DIGEST_SIZE];
		uint32_t nth;

		if (st[i].dropped)
			continue;
		if (!mbox_key_parse(slice_str(st[i].key), digest, &nth))
			return err_set(e, ERR_BUG, "mbox: a message without a key");
		nth = mbox_index_count(&m->index, digest) + 1;
		for (size_t k = 0; k < i; k++)
			nth += !st[k].dropped && strncmp(st[k].key, st[i].key, DIGEST_HEX - 1) == 0;
		mbox_key(digest, nth, st[i].key);
	}
	return 0;
}

/* Lock the file; from here on it is known where everything will be. */
int mbox_harden(struct store *s, struct staged *st, size_t n, struct err *e)
{
	struct mbox *m = mbox_of(s);
	size_t k = 0;
	int rc;

	if (m->lock)
		return err_set(e, ERR_BUG, "mbox: hardened twice");
	if (!next_live(m, &k))
		return 0;
	if (mbox_name_words(m, strbuf_slice(&m->words), e) < 0)
		return -1;
	rc = mbox_lock_file(m, m->create, e);
	if (rc == 0) {
		err_set(e, ERR_LOCAL, "there is no mbox %s any more", m->path);
		return -1;
	}
	if (rc < 0)
		return -1;
	if (mbox_look_at_file(m, e) < 0 || (m->tree && number_keys(m, st, n, e) < 0) || make_hints(m, st, n, e) < 0) {
		mbox_let_go(m);
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
		if (mbox_spool_get(a->m, at, a->m->quoted + a->n, some, e) < 0)
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

/* Append all records and make them durable. */
static int append_all(struct appender *a, struct err *e)
{
	struct mbox *m = a->m;

	memset(m->quoted, '\n', a->n);
	for (size_t i = 0; next_live(m, &i); i++) {
		const struct mbox_rec *r = &m->recs.a[i];

		if (append_spooled(a, r->head_at, r->head_n, e) < 0 || append_spooled(a, r->body_at, r->body_n, e) < 0)
			return -1;
	}
	if (append_flush(a, e) < 0)
		return -1;
	look_new(m);
	if (m->tree)
		mbox_later(m->fd, &m->before);
	if (fs_sync(m->fd, m->path, e) < 0)
		return -1;
	/* an empty file may be one that a run made that didn't come this far */
	return m->created || m->base == 0 ? mbox_sync_parent(m, e) : 0;
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
void mbox_abandon(struct store *s)
{
	struct mbox *m = mbox_of(s);

	mbox_let_go(m);
	vec_clear(&m->recs);
	spool_clear(&m->spool);
	strbuf_clear(&m->words);
}

/* Append what is staged: all of it, or nothing. */
int mbox_publish(struct store *s, struct staged *st, size_t n, struct err *e)
{
	struct mbox *m = mbox_of(s);
	struct appender a = { .m = m, .at = m->base, .n = (size_t)m->pad, .room = (size_t)2 * MBOX_CHUNK };
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
			else if (m->tree)
				mbox_index_grown(m, NULL); /* else it is read again when it is needed */
		}
	}
	mbox_let_go(m);
	if (rc < 0)
		return -1;
	if (m->base == 0)
		mbox_name_words(m, strbuf_slice(&m->words), NULL); /* there was no place for them before */
	mbox_abandon(s);
	return 0;
}
