/* Messages of an mbox are told and read: see store.h. What is read is compared with what it should be, since the file may be changed meanwhile by programs that lock it, and by those that don't. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "store/mbox_p.h"
#include "store/mboxform.h"

static int need_box(const struct mbox *m, struct err *e)
{
	return m->is_open && m->tree ? 0 : err_set(e, ERR_BUG, "mbox: no folder is open");
}

void mbox_tell_msg(const struct mbox *m, size_t i, struct store_msg *out)
{
	const struct mboxread_msg *at = &m->index.a.a[i].at;

	*out = (struct store_msg){ .num = i + 1, .flags = at->flags, .size = at->size, .date = at->date };
}

int mbox_find(struct store *s, struct slice key, uint64_t flags, struct store_msg *out, struct err *e)
{
	struct mbox *m = mbox_of(s);
	unsigned char digest[DIGEST_SIZE];
	uint32_t nth;
	size_t i;

	(void)flags;
	if (need_box(m, e) < 0)
		return -1;
	if (!mbox_key_parse(key, digest, &nth))
		return 0;
	if (mbox_index_now(m, e) < 0)
		return mbox_of_box(e);
	if (!mbox_index_find(&m->index, digest, nth, &i) || m->index.a.a[i].gone)
		return 0;
	mbox_tell_msg(m, i, out);
	return 1;
}

int mbox_list_start(struct store *s, struct err *e)
{
	struct mbox *m = mbox_of(s);

	if (need_box(m, e) < 0)
		return -1;
	m->list_at = 0;
	m->listing = true;
	return mbox_index_now(m, e) < 0 ? mbox_of_box(e) : 0;
}

int mbox_list_msg(struct store *s, struct store_msg *out, struct err *e)
{
	struct mbox *m = mbox_of(s);

	if (!m->listing)
		return err_set(e, ERR_BUG, "mbox: no listing was started");
	while (m->list_at < m->index.a.n) {
		size_t i = m->list_at++;

		if (m->index.a.a[i].gone)
			continue;
		mbox_tell_msg(m, i, out);
		mbox_key(m->index.a.a[i].at.digest, m->index.a.a[i].nth, m->key);
		out->key = slice_str(m->key);
		return 1;
	}
	return 0;
}

int mbox_want(struct store *s, const uint64_t *nums, size_t n, struct err *e)
{
	struct mbox *m = mbox_of(s);
	size_t at;

	vec_clear(&m->wanted);
	m->want_at = 0;
	for (size_t i = 0; i < n; i++) {
		if (mbox_entry_of(m, nums[i], &at, e) < 0)
			return -1;
		if (vec_push(&m->wanted, nums[i]) < 0)
			return err_set(e, ERR_LOCAL, "out of memory");
	}
	return 0;
}

/* A message on its way out. */
struct body {
	struct stream s;
	int fd;
	struct mboxread_msg at;
	int64_t pos, end;     /* of what is still to be read */
	struct mboxkey key;   /* of all that was read */
	struct mboxlines lines;
	struct mboxhead head;
	bool verbatim;        /* no header is in it */
	bool cr, over;
	char last;
	size_t out_at, out_n;
	char *what;
	char in[MBOX_CHUNK], plain[2 * MBOX_CHUNK + 8], kept[2 * MBOX_CHUNK + 8 + MBOXHEAD_HOLD], out[2 * (2 * MBOX_CHUNK + 8 + MBOXHEAD_HOLD)];
};

static const char *const notes[] = { MBOXFORM_NOTES, NULL };

/* Bytes of the file: to what is given out. */
static void convert(struct body *b, const char *p, size_t n)
{
	size_t k = mboxlines_put(&b->lines, p, n, b->plain);

	p = b->plain;
	if (!b->verbatim) {
		k = mboxhead_put(&b->head, b->plain, k, b->kept);
		p = b->kept;
	}
	b->out_n = eol_to_wire(&b->cr, p, k, b->out);
	b->out_at = 0;
}

/* The end: what was held back, a line end that was forgotten, and whether it was the message. */
static int finish(struct body *b, struct err *e)
{
	unsigned char digest[DIGEST_SIZE];
	size_t n, k;

	b->over = true;
	if (b->at.end > b->at.head && b->last != '\n') {
		if (mboxkey_put(&b->key, "\n", 1, e) < 0)
			return -1;
		convert(b, "\n", 1);
	}
	n = mboxlines_end(&b->lines, b->plain);
	k = b->verbatim ? 0 : mboxhead_put(&b->head, b->plain, n, b->kept);
	if (!b->verbatim)
		k += mboxhead_end(&b->head, b->kept + k);
	b->out_n += eol_to_wire(&b->cr, b->verbatim ? b->plain : b->kept, b->verbatim ? n : k, b->out + b->out_n);
	if (mboxkey_end(&b->key, digest, e) < 0)
		return -1;
	if (memcmp(digest, b->at.digest, DIGEST_SIZE) == 0)
		return 0;
	return err_set_span(e, ERR_TEMP, SPAN_MSG, "%s was changed while a message was read", b->what);
}

static ssize_t body_read(struct stream *s, void *buf, size_t n, struct err *e)
{
	struct body *b = (struct body *)s;

	while (b->out_at == b->out_n && !b->over) {
		size_t some = b->end - b->pos < MBOX_CHUNK ? (size_t)(b->end - b->pos) : MBOX_CHUNK;

		b->out_at = b->out_n = 0;
		if (some == 0) {
			if (finish(b, e) < 0)
				return -1;
			break;
		}
		if (fs_pread_all(b->fd, b->in, some, b->pos, b->what, e) < 0) {
			if (e)
				e->span = SPAN_MSG;
			return -1;
		}
		if (mboxkey_put(&b->key, b->in, some, e) < 0)
			return -1;
		b->last = b->in[some - 1];
		b->pos += (int64_t)some;
		convert(b, b->in, some);
	}
	if (n > b->out_n - b->out_at)
		n = b->out_n - b->out_at;
	memcpy(buf, b->out + b->out_at, n);
	b->out_at += n;
	return (ssize_t)n;
}

static void body_free(struct stream *s)
{
	struct body *b = (struct body *)s;

	close(b->fd);
	digest_free(b->key.digest);
	free(b->what);
	free(b);
}

static const struct stream_ops body_ops = {
	.name = "mbox body",
	.read = body_read,
	STREAM_READ_ONLY,
	.free = body_free,
};

/* The header of notes is passed over, but counts in what it is compared by. */
static int pass_header(struct body *b, struct err *e)
{
	int64_t to = b->at.body < b->at.end ? b->at.body : b->at.end;

	while (b->pos < to) {
		size_t some = to - b->pos < MBOX_CHUNK ? (size_t)(to - b->pos) : MBOX_CHUNK;

		if (fs_pread_all(b->fd, b->in, some, b->pos, b->what, e) < 0 || mboxkey_put(&b->key, b->in, some, e) < 0)
			return -1;
		b->last = b->in[some - 1];
		b->pos += (int64_t)some;
	}
	return 0;
}

struct stream *mbox_body_new(struct mbox *m, size_t i, struct err *e)
{
	struct body *b = malloc(sizeof(*b));
	struct digest *d = digest_new(e);
	const struct mboxread_msg *at = &m->index.a.a[i].at;

	if (!b || !d) {
		if (d)
			err_set(e, ERR_LOCAL, "out of memory");
		free(b);
		digest_free(d);
		return NULL;
	}
	b->s = (struct stream){ .ops = &body_ops };
	b->at = *at;
	b->pos = at->head;
	b->end = at->end;
	b->verbatim = at->only_notes;
	b->cr = b->over = false;
	b->last = '\n';
	b->out_at = b->out_n = 0;
	mboxlines_init(&b->lines, m->variant, true);
	mboxhead_init(&b->head, notes);
	mboxkey_init(&b->key, m->variant, d);
	b->what = strdup(m->path);
	b->fd = mbox_open_named(m->path, O_RDONLY);
	if (b->fd < 0 || !b->what) {
		if (b->what)
			err_errno(e, "can't open %s", m->path);
		else
			err_set(e, ERR_LOCAL, "out of memory");
		if (b->fd < 0) {
			digest_free(d);
			free(b->what);
			free(b);
			return NULL;
		}
	} else if (!b->verbatim || pass_header(b, e) == 0) {
		return &b->s;
	}
	body_free(&b->s);
	return NULL;
}

int mbox_next(struct store *s, size_t *i, struct stream **body, struct err *e)
{
	struct mbox *m = mbox_of(s);
	struct store_msg is;
	size_t at = 0;

	*body = NULL;
	if (m->want_at >= m->wanted.n)
		return 0;
	*i = m->want_at++;
	if (mbox_entry_of(m, m->wanted.a[*i], &at, e) < 0)
		return -1;
	if (mbox_index_now(m, e) < 0)
		return mbox_of_box(e);
	if (m->index.a.a[at].gone)
		return 1;
	mbox_tell_msg(m, at, &is);
	s->given.size = is.size;
	s->given.date = is.date;
	*body = mbox_body_new(m, at, e);
	if (*body)
		return 1;
	return mbox_of_box(e);
}
