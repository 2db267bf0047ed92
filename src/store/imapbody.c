/* Bodies of an IMAP mailbox as streams: over the link, and over a spool. See imaptake_p.h. */
#include <inttypes.h>
#include <stdlib.h>

#include "store/imaptake_p.h"

#define CHUNK 65536

/* ---- kept in a spool ---- */

struct spooled {
	struct stream s;
	struct spool *spool;
};

static ssize_t spooled_read(struct stream *s, void *buf, size_t n, struct err *e)
{
	return spool_read(((struct spooled *)s)->spool, buf, n, e);
}

static void spooled_free(struct stream *s)
{
	free(s);
}

static const struct stream_ops spooled_ops = {
	.name = "spool",
	.read = spooled_read,
	STREAM_READ_ONLY,
	.free = spooled_free,
};

struct stream *imapbody_spooled(struct spool *spool, struct err *e)
{
	struct spooled *s = calloc(1, sizeof(*s));

	if (!s) {
		err_set(e, ERR_LOCAL, "out of memory");
		return NULL;
	}
	s->s.ops = &spooled_ops;
	s->spool = spool;
	spool_rewind(spool);
	return &s->s;
}

int imapbody_keep(struct spool *spool, struct stream *body, struct err *e)
{
	char *buf = malloc(CHUNK);
	ssize_t n = 0;

	if (!buf)
		return err_set(e, ERR_LOCAL, "out of memory");
	while ((n = stream_read(body, buf, CHUNK, e)) > 0)
		if (spool_write(spool, buf, (size_t)n, e) < 0) {
			n = -1;
			break;
		}
	free(buf);
	return n < 0 ? -1 : 0;
}

/* ---- on its way ---- */

/* What goes wrong in the link's stream is wrong with the link. */
static ssize_t body_read(struct stream *s, void *buf, size_t n, struct err *e)
{
	struct imapbody *b = (struct imapbody *)s;
	struct imapstore *t = b->t;
	msec_t begun = clock_now();
	ssize_t got = t->conn.dead ? err_set(e, ERR_TEMP, "the connection is lost")
				   : stream_read(b->link, buf, n, e);

	imaptake_stood(t->take, begun);
	if (got < 0) {
		imapstore_broken(t, e);
		err_in(e, "'%s': message %" PRIu32, b->box, b->uid);
		imapstore_fail(t, e);
	}
	return got;
}

static void body_free(struct stream *s)
{
	(void)s; /* the next answer reads over what is left */
}

static const struct stream_ops body_ops = {
	.name = "body",
	.read = body_read,
	STREAM_READ_ONLY,
	.free = body_free,
};

struct stream *imapbody_link(struct imapstore *t, struct stream *link, uint32_t uid)
{
	struct imapbody *b = &t->take->body;

	*b = (struct imapbody){ .s = { .ops = &body_ops }, .t = t, .link = link, .box = t->box->name, .uid = uid };
	return &b->s;
}
