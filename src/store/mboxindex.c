/*
 * What messages an mbox file holds, as it was read last. A message keeps its number while the box is open, wherever it stands after a change: it is known by its content, and equal ones by
 * their order. While inode, size and times of the file are what they were, it is not read again.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "store/mbox_p.h"

#define NS INT64_C(1000000000)
#define TICK_FINE (100 * 1000 * 1000)   /* ns that the times of files may lag behind */
#define TICK_COARSE (2 * NS)
#define STAMP_VERSION 1
#define TWINS_MAX 9999999

static int64_t ns_of(const struct timespec *t)
{
	return t->tv_sec * NS + t->tv_nsec;
}

/* Whether a change from now on would show in the times. Those of the future are as good as old ones. */
static bool is_settled(const struct stat *st)
{
	int64_t now = clock_wall_usec() * 1000, m = ns_of(&st->st_mtim), c = ns_of(&st->st_ctim);
	int64_t tick = m % NS == 0 && c % NS == 0 ? TICK_COARSE : TICK_FINE;

	return (m <= now - tick || m >= now + tick) && (c <= now - tick || c >= now + tick);
}

void mbox_stamp(const struct mbox *m, const struct stat *st, char out[STORE_STAMP_MAX])
{
	out[0] = '\0';
	if (is_settled(st))
		snprintf(out, STORE_STAMP_MAX, "%d%c.%" PRIx64 ".%" PRId64 ".%" PRIx64 ".%" PRIx64, STAMP_VERSION, (char)('a' + (int)m->variant), (uint64_t)st->st_ino,
			 (int64_t)st->st_size, (uint64_t)ns_of(&st->st_mtim), (uint64_t)ns_of(&st->st_ctim));
}

static bool same_stat(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size && ns_of(&a->st_mtim) == ns_of(&b->st_mtim) &&
	       ns_of(&a->st_ctim) == ns_of(&b->st_ctim);
}

void mbox_key(const unsigned char digest[DIGEST_SIZE], uint32_t nth, char out[STORE_NAME_MAX + 1])
{
	digest_hex(digest, out);
	if (nth > 1)
		snprintf(out + DIGEST_HEX - 1, STORE_NAME_MAX + 1 - (DIGEST_HEX - 1), "#%u", (unsigned)nth);
}

bool mbox_key_parse(struct slice key, unsigned char digest[DIGEST_SIZE], uint32_t *nth)
{
	uint64_t n = 1;

	if (key.n < DIGEST_HEX - 1 || !digest_unhex(key.p, DIGEST_HEX - 1, digest))
		return false;
	if (key.n > DIGEST_HEX - 1 && (key.p[DIGEST_HEX - 1] != '#' || !slice_u64(slice_of(key.p + DIGEST_HEX, key.n - DIGEST_HEX), TWINS_MAX, &n) || n < 2))
		return false;
	*nth = (uint32_t)n;
	return true;
}

void mbox_index_clear(struct mbox_index *x)
{
	vec_clear(&x->a);
	if (x->slots)
		memset(x->slots, 0, x->n_slots * sizeof(*x->slots));
	x->live = 0;
	x->pass = 0;
	free(x->path);
	x->path = NULL;
}

void mbox_index_release(struct mbox_index *x)
{
	mbox_index_clear(x);
	vec_release(&x->a);
	free(x->slots);
	x->slots = NULL;
	x->n_slots = 0;
}

/* Digests are as good as random. */
static size_t slot_of(const struct mbox_index *x, const unsigned char digest[DIGEST_SIZE], uint32_t nth)
{
	uint64_t h;

	memcpy(&h, digest, sizeof(h));
	return (size_t)((h + nth * UINT64_C(0x9e3779b97f4a7c15)) & (x->n_slots - 1));
}

bool mbox_index_find(const struct mbox_index *x, const unsigned char digest[DIGEST_SIZE], uint32_t nth, size_t *i)
{
	if (x->n_slots == 0)
		return false;
	for (size_t s = slot_of(x, digest, nth); x->slots[s]; s = (s + 1) & (x->n_slots - 1)) {
		const struct mbox_entry *en = &x->a.a[x->slots[s] - 1];

		if (en->nth == nth && memcmp(en->at.digest, digest, DIGEST_SIZE) == 0) {
			*i = x->slots[s] - 1;
			return true;
		}
	}
	return false;
}

uint32_t mbox_index_count(const struct mbox_index *x, const unsigned char digest[DIGEST_SIZE])
{
	size_t i;

	return mbox_index_find(x, digest, 1, &i) && !x->a.a[i].gone ? x->a.a[i].count : 0;
}

static void put_slot(struct mbox_index *x, size_t i)
{
	size_t s = slot_of(x, x->a.a[i].at.digest, x->a.a[i].nth);

	while (x->slots[s])
		s = (s + 1) & (x->n_slots - 1);
	x->slots[s] = (uint32_t)i + 1;
}

/* Room for one more, at most half full. */
static int grow(struct mbox_index *x, struct err *e)
{
	size_t n = x->n_slots ? 2 * x->n_slots : 1024;
	uint32_t *slots;

	if (2 * (x->a.n + 1) <= x->n_slots)
		return 0;
	if (x->a.n >= UINT32_MAX / 4)
		return err_set(e, ERR_LOCAL, "too many messages");
	slots = calloc(n, sizeof(*slots));
	if (!slots)
		return err_set(e, ERR_LOCAL, "out of memory");
	free(x->slots);
	x->slots = slots;
	x->n_slots = n;
	for (size_t i = 0; i < x->a.n; i++)
		put_slot(x, i);
	return 0;
}

/* mboxread's callback. */
static int take(void *arg, const struct mboxread_msg *at, struct err *e)
{
	struct mbox_index *x = arg;
	struct mbox_entry fresh = { .at = *at, .nth = 1, .pass = x->pass };
	size_t i;

	if (x->first.head == 0)
		x->first = *at;
	if (at->internal)
		return 0;
	x->stop = at->stop;
	if (mbox_index_find(x, at->digest, 1, &i)) {
		struct mbox_entry *first = &x->a.a[i];

		fresh.nth = first->pass == x->pass && !first->gone ? ++first->count : 1;
	}
	if (fresh.nth > TWINS_MAX)
		return err_set(e, ERR_LOCAL, "too many messages are equal");
	if (mbox_index_find(x, at->digest, fresh.nth, &i)) {
		fresh.doomed = x->a.a[i].doomed;
		fresh.count = fresh.nth == 1;
		x->live += x->a.a[i].gone;
		x->a.a[i] = fresh;
		return 0;
	}
	if (grow(x, e) < 0)
		return -1;
	fresh.count = fresh.nth == 1;
	if (vec_push(&x->a, fresh) < 0)
		return err_set(e, ERR_LOCAL, "out of memory");
	put_slot(x, x->a.n - 1);
	x->live++;
	return 0;
}

bool mbox_index_is(const struct mbox *m, const struct stat *st)
{
	const struct mbox_index *x = &m->index;

	return x->path && strcmp(x->path, m->path) == 0 && x->view == m->view && same_stat(&x->st, st);
}

/* Read the file that is open, once. */
static int read_all(struct mbox *m, struct err *e)
{
	struct mbox_index *x = &m->index;

	if (x->path && strcmp(x->path, m->path) != 0)
		mbox_index_clear(x);
	free(x->path);
	x->path = NULL;
	x->pass++;
	x->stop = 0;
	x->first.head = 0;
	if (mboxread(m->fd, m->variant, m->view, 0, take, x, e) < 0)
		return -1;
	for (size_t i = 0; i < x->a.n; i++) {
		if (x->a.a[i].pass == x->pass || x->a.a[i].gone)
			continue;
		x->a.a[i].gone = true;
		x->live--;
	}
	return 0;
}

/* From now on the index is that of the file as it is. */
static int note_known(struct mbox *m, const struct stat *st, struct err *e)
{
	char *path = strdup(m->path);

	if (!path)
		return err_set(e, ERR_LOCAL, "out of memory");
	free(m->index.path);
	m->index.path = path;
	m->index.st = *st;
	m->index.view = m->view;
	return 0;
}

int mbox_index_locked(struct mbox *m, struct err *e)
{
	struct stat after;

	if (fstat(m->fd, &m->before) < 0)
		return err_errno(e, "can't look at %s", m->path);
	if (mbox_index_is(m, &m->before))
		return 0;
	for (int i = 0; i < MBOX_READINGS; i++) {
		if (read_all(m, e) < 0)
			return err_in(e, "%s", m->path);
		if (fstat(m->fd, &after) < 0)
			return err_errno(e, "can't look at %s", m->path);
		if (same_stat(&m->before, &after))
			return note_known(m, &after, e);
		m->before = after;
	}
	return err_set(e, ERR_TEMP, "%s is changed again and again while it is read, by a program that doesn't heed locks", m->path);
}

int mbox_index_now(struct mbox *m, struct err *e)
{
	struct stat st;
	int rc;

	if (m->lock)
		return mbox_index_locked(m, e);
	if (stat(m->path, &st) < 0)
		return err_errno(e, "can't look at %s", m->path);
	if (mbox_index_is(m, &st))
		return 0;
	rc = mbox_lock_to_read(m, e);
	if (rc > 0)
		rc = mbox_index_locked(m, e);
	else if (rc == 0)
		rc = err_set(e, ERR_LOCAL, "there is no mbox %s any more", m->path);
	mbox_let_go(m);
	return rc < 0 ? -1 : 0;
}

int mbox_index_grown(struct mbox *m, struct err *e)
{
	struct mbox_index *x = &m->index;
	struct stat st;

	if (!mbox_index_is(m, &m->before))
		return 0;
	free(x->path); /* until it is whole again */
	x->path = NULL;
	if (mboxread(m->fd, m->variant, m->view, m->base + m->pad, take, x, e) < 0)
		return -1;
	return fstat(m->fd, &st) < 0 ? err_errno(e, "can't look at %s", m->path) : note_known(m, &st, e);
}

int mbox_entry_of(struct mbox *m, uint64_t num, size_t *i, struct err *e)
{
	if (!m->tree || !m->is_open || num == 0 || num > m->index.a.n)
		return err_set(e, ERR_BUG, "mbox: no message has the number %llu", (unsigned long long)num);
	*i = (size_t)num - 1;
	return 0;
}
