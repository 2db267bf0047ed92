/* Messages that came over a further connection, until it is their turn. See imaptake_p.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "store/imaptake_p.h"

#define CHUNK 65536
#define FULL_BYTES (16u << 20)  /* that lie there: nothing is begun any more */
#define FILE_BYTES (64u << 20)  /* of the file: nothing is begun before all are gone, and it can begin anew */

static const char what[] = "a temporary file";

bool imapshelf_room(const struct imapshelf *h)
{
	return h->n < IMAPSHELF_MOST && h->bytes < FULL_BYTES && (h->n == 0 || h->end < FILE_BYTES);
}

static int write_at(struct imapshelf *h, uint64_t at, const char *p, size_t n, struct err *e)
{
	while (n > 0) {
		ssize_t r = pwrite(h->fd, p, n, (off_t)at);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return err_errno(e, "can't write to %s in %.200s", what, fs_tmpdir(NULL));
		p += r;
		at += (uint64_t)r;
		n -= (size_t)r;
	}
	return 0;
}

/* Behind those that are there; *size: so much. */
static int copy(struct imapshelf *h, uint64_t at, struct stream *body, uint64_t *size, struct err *e)
{
	char *buf = malloc(CHUNK);
	ssize_t n = 0;

	*size = 0;
	if (!buf)
		return err_set(e, ERR_LOCAL, "out of memory");
	while ((n = stream_read(body, buf, CHUNK, e)) > 0) {
		if (*size + (uint64_t)n > IMAPSHELF_LONGEST)
			n = err_set(e, ERR_LOCAL, "a message is too long");
		else if (write_at(h, at + *size, buf, (size_t)n, e) < 0)
			n = -1;
		if (n < 0)
			break;
		*size += (uint64_t)n;
	}
	free(buf);
	return n < 0 ? -1 : 0;
}

int imapshelf_write(struct imapshelf *h, uint32_t uid, struct stream *body, struct err *e)
{
	struct imapshelf_item *m = &h->item[(h->first + h->n) % IMAPSHELF_MOST];

	if (!h->has_file) {
		h->fd = fs_tmpfile(NULL, e);
		if (h->fd < 0)
			return -1;
		h->has_file = true;
	}
	if (h->n == 0)
		h->end = 0;
	*m = (struct imapshelf_item){ .uid = uid, .at = h->end };
	return copy(h, m->at, body, &m->size, e);
}

void imapshelf_put(struct imapshelf *h)
{
	const struct imapshelf_item *m = &h->item[(h->first + h->n++) % IMAPSHELF_MOST];

	h->end = m->at + m->size;
	h->bytes += m->size;
}

void imapshelf_put_none(struct imapshelf *h, uint32_t uid)
{
	h->item[(h->first + h->n++) % IMAPSHELF_MOST] = (struct imapshelf_item){ .uid = uid, .none = true, .at = h->end };
}

const struct imapshelf_item *imapshelf_first(const struct imapshelf *h)
{
	return h->n > 0 ? &h->item[h->first] : NULL;
}

void imapshelf_shift(struct imapshelf *h)
{
	h->bytes -= h->item[h->first].size;
	h->first = (h->first + 1) % IMAPSHELF_MOST;
	h->n--;
}

/* stream_ops.read */
static ssize_t shelf_read(struct stream *s, void *buf, size_t n, struct err *e)
{
	struct imapshelf *h = (struct imapshelf *)s;
	const struct imapshelf_item *m = &h->item[h->first];
	uint64_t left = m->size - h->pos;
	ssize_t r;

	if (left == 0)
		return 0;
	do
		r = pread(h->fd, buf, n < left ? n : (size_t)left, (off_t)(m->at + h->pos));
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return err_errno(e, "can't read %s", what);
	if (r == 0)
		return err_set(e, ERR_LOCAL, "%s has become shorter", what);
	h->pos += (uint64_t)r;
	return r;
}

static const struct stream_ops shelf_ops = {
	.name = "shelf",
	.read = shelf_read,
	STREAM_READ_ONLY,
	.free = stream_no_shut,
};

struct stream *imapshelf_body(struct imapshelf *h)
{
	h->s = (struct stream){ .ops = &shelf_ops };
	h->pos = 0;
	return &h->s;
}

void imapshelf_release(struct imapshelf *h)
{
	if (h->has_file)
		close(h->fd);
	*h = (struct imapshelf){ .n = 0 };
}
