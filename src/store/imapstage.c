/*
 * Deliveries to an IMAP mailbox wait in a spool until a group is sent (imapput.c); what recover
 * needs is noted before.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "mail/eol.h"
#include "store/imapput_p.h"

#define SPOOL_MEMORY (1u << 20)
#define HEAD_MAX 65536 /* bytes of a header that are looked at for UTF-8 */

/* ---- the spool as a stream ---- */

static ssize_t part_read(struct stream *s, void *buf, size_t n, struct err *e)
{
	struct imapput_part *p = (struct imapput_part *)s;
	ssize_t got;

	if (n > p->left)
		n = (size_t)p->left;
	got = n == 0 ? 0 : spool_read(p->spool, buf, n, e);
	if (got > 0)
		p->left -= (uint64_t)got;
	return got;
}

static const struct stream_ops part_ops = {
	.name = "spool",
	.read = part_read,
	STREAM_READ_ONLY,
	.free = stream_no_shut,
};

struct stream *imapput_body(
	struct imapput *u, struct imapput_group *g, const struct imapput_item *it)
{
	g->spool.pos = it->at;
	u->part = (struct imapput_part){
		.s = { .ops = &part_ops }, .spool = &g->spool, .left = it->size
	};
	return &u->part.s;
}

/* ---- staging ---- */

void imapput_free(struct imapput *u)
{
	if (!u)
		return;
	imapput_unlaunch(u);
	for (int i = 0; i < 2; i++) {
		spool_release(&u->group[i].spool);
		vec_release(&u->group[i].items);
		vec_release(&u->group[i].order);
	}
	uidset_release(&u->given);
	vec_release(&u->keys);
	digest_free(u->digest);
	free(u);
}

struct imapput *imapput_of(struct imapstore *t, struct err *e)
{
	struct imapput *u = t->put;

	if (u)
		return u;
	u = calloc(1, sizeof(*u));
	if (!u) {
		err_set(e, ERR_LOCAL, "out of memory");
		return NULL;
	}
	for (int i = 0; i < 2; i++)
		u->group[i].spool = (struct spool)SPOOL_INIT(SPOOL_MEMORY);
	u->now = &u->group[0];
	u->digest = digest_new(e);
	if (!u->digest) {
		free(u);
		return NULL;
	}
	return t->put = u;
}

int imapput_beside(struct imapstore *t, bool write, struct err *e)
{
	bool flies = t->put && t->put->flying > 0 && t->up && !t->conn.dead && t->box && t->sel.f == t->box;

	return flies ? 0 : imapstore_need_box(t, write, e);
}

/* The beginning of a header, kept to be looked at. */
static void keep_head(struct strbuf *head, const char *p, size_t n)
{
	if (n > head->max - head->len)
		n = head->max - head->len;
	if (n > 0)
		strbuf_put(head, p, n);
}

/* Does the header hold UTF-8 that is no ASCII (RFC 6855 section 4)? */
static bool head_is_utf8(const struct strbuf *head)
{
	struct slice s = strbuf_slice(head);
	const char *end = s.n ? memmem(s.p, s.n, "\r\n\r\n", 4) : NULL;
	bool high = false;

	if (end)
		s.n = (size_t)(end - s.p);
	for (size_t i = 0; i < s.n; i++)
		high |= (unsigned char)s.p[i] >= 0x80;
	return high && utf8_valid(s);
}

/* Copy the body to the spool, and learn of it what is needed. */
static int take_body(struct imapput *u, struct stream *body, struct imapput_item *it,
	struct strbuf *head, struct staged *out, struct err *e)
{
	struct eol eol = { 0 };
	char last;
	ssize_t n;

	header_init(&u->head);
	while ((n = stream_read(body, u->in, IMAPPUT_CHUNK, e)) > 0) {
		size_t k = eol_to_lf(&eol, u->in, (size_t)n, u->lf);

		header_put(&u->head, u->in, (size_t)n);
		keep_head(head, u->in, (size_t)n);
		it->nul |= memchr(u->in, '\0', (size_t)n) != NULL;
		if (digest_put(u->digest, u->lf, k) < 0)
			return err_set(e, ERR_LOCAL, "SHA-256 failed");
		if (spool_write(&u->now->spool, u->in, (size_t)n, e) < 0)
			return -1;
		it->size += (uint64_t)n;
	}
	if (n < 0)
		return -1;
	header_end(&u->head);
	if ((eol_end(&eol, &last) > 0 && digest_put(u->digest, &last, 1) < 0) ||
		digest_end(u->digest, out->digest) < 0)
		return err_set(e, ERR_LOCAL, "SHA-256 failed");
	if (it->date == 0)
		it->date = header_when(&u->head, clock_wall());
	if (it->date == 0)
		it->date = INT64_MIN;
	it->utf8 = head_is_utf8(head);
	it->has_mid = ident_mid(u->digest, u->head.message_id, it->mid);
	return 0;
}

/* imap_on of STATUS (APPENDLIMIT) */
static int on_limit(void *arg, const struct imap_resp *r, struct err *e)
{
	uint64_t *limit = arg;

	(void)e;
	if (r->kind == IMAP_STATUS && r->status.has & IMAP_HAS_APPENDLIMIT &&
		r->status.appendlimit != IMAP_APPENDLIMIT_NONE)
		*limit = r->status.appendlimit;
	return 0;
}

/* How long a message the open box takes: some servers say it of each mailbox (RFC 7889). */
static int learn_limit(struct imapstore *t, struct err *e)
{
	struct imapput *u = t->put;
	struct imap_conn *c = &t->conn;
	struct err why = ERR_INIT;
	uint32_t tag;

	if (u->limited == t->box)
		return 0;
	u->limit = c->caps.append_limit;
	if (u->limit == 0 && c->caps.have & IMAP_CAP_APPENDLIMIT) {
		if (imapput_settle(t, e) < 0)
			return -1;
		imap_start(c);
		imap_put(c, "STATUS ");
		imap_astring(c, slice_str(t->box->wire));
		imap_put(c, " (APPENDLIMIT)");
		if (imap_end(c, &tag, e) < 0)
			return imapstore_broken(t, e);
		/* a refusal says nothing: so does the server when a message is too long */
		if (imapstore_finish(t, tag, on_limit, &u->limit, NULL, &why, e) < 0)
			return -1;
	}
	u->limited = t->box;
	return 0;
}

/* store_ops.stage */
int imapput_stage(struct store *s, struct stream *body, const struct store_meta *m,
	struct staged *out, struct err *e)
{
	struct imapstore *t = imapstore_of(s);
	struct strbuf head = STRBUF_INIT(HEAD_MAX);
	struct imapput *u;
	struct imapput_item it = { .date = m->date };
	int rc = -1;

	memset(out, 0, sizeof(*out));
	if (imapput_beside(t, true, e) < 0)
		return -1;
	u = imapput_of(t, e);
	if (!u)
		return imapstore_fail(t, e);
	if (u->now->sending)
		return err_set(e, ERR_BUG, "%s: two groups are on their way", t->login.what);
	if (learn_limit(t, e) < 0)
		return imapstore_fail(t, e);
	if (u->now->items.n == 0)
		spool_clear(&u->now->spool);
	it.at = u->now->spool.size;
	it.flags = m->flags & imapselect_holds(t);
	if (take_body(u, body, &it, &head, out, e) < 0)
		goto out;
	if (u->limit > 0 && it.size > u->limit) {
		err_set_span(e, ERR_REFUSED, SPAN_MSG,
			"%s takes no message of more than %" PRIu64 " bytes: this one has %" PRIu64,
			t->login.what, u->limit, it.size);
		goto out;
	}
	/* RFC 3501 section 4.3: no literal holds one; and some servers that have literals which do make another byte of it (Dovecot: 0x80) */
	if (it.nul && (m->only || !(t->conn.caps.have & IMAP_CAP_BINARY))) {
		err_set_span(e, ERR_REFUSED, SPAN_MSG, m->only ?
			"it holds NUL bytes, which %s may change: then there would be no other copy" :
			"it holds NUL bytes, which %s can't be sent (it does not offer BINARY)", t->login.what);
		goto out;
	}
	snprintf(out->hint, sizeof(out->hint), "%zu", u->now->items.n);
	out->size = it.size;
	rc = vec_push(&u->now->items, it) < 0 ? err_set(e, ERR_LOCAL, "out of memory") : 0;
out:
	strbuf_release(&head);
	if (rc < 0) {
		unsigned char none[DIGEST_SIZE];

		digest_end(u->digest, none); /* ready for the next */
	}
	return rc;
}

/* The item of one that is staged and not hardened. */
static struct imapput_item *item_of(struct imapput *u, const struct staged *st)
{
	uint64_t i;

	if (!u || !slice_u64(slice_str(st->hint), SIZE_MAX, &i) || i >= u->now->items.n)
		return NULL;
	return &u->now->items.a[i];
}

/* store_ops.unstage */
void imapput_unstage(struct store *s, struct staged *out)
{
	struct imapput_item *it = item_of(imapstore_of(s)->put, out);

	out->dropped = true;
	if (it)
		it->dropped = true;
}

void imapput_clear(struct imapput_group *g)
{
	if (g->sending)
		return;
	vec_clear(&g->items);
	vec_clear(&g->order);
	spool_clear(&g->spool);
}

/* store_ops.abandon */
void imapput_abandon(struct store *s)
{
	struct imapput *u = imapstore_of(s)->put;

	if (u)
		imapput_clear(u->now);
}

/* imap_on of a FETCH of the last message's UID */
static int on_last(void *arg, const struct imap_resp *r, struct err *e)
{
	uint32_t *last = arg;

	(void)e;
	if (r->kind == IMAP_FETCH && r->fetch.has & IMAP_HAS_UID && r->fetch.uid > *last)
		*last = r->fetch.uid;
	return 0;
}

/*
 * Know the lowest UID that a new message can get. Not every server says UIDNEXT, and some say one
 * that is far beyond what they give: where the server won't tell the UIDs, their messages could not
 * be found behind it.
 */
static int learn_lowest(struct imapstore *t, struct err *e)
{
	struct imapput *u = t->put;
	struct err why = ERR_INIT;
	uint32_t tag, last = 0;

	if (u->folder == t->box && u->validity == t->sel.validity && u->lowest >= t->sel.uidnext &&
		u->lowest > 0)
		return 0;
	u->folder = t->box;
	u->validity = t->sel.validity;
	u->lowest = t->sel.uidnext;
	if (u->lowest > 0 && t->conn.caps.have & IMAP_CAP_UIDPLUS)
		return 0;
	if (t->sel.exists == 0) {
		u->lowest = 1;
		return 0;
	}
	if (imapput_settle(t, e) < 0)
		return -1;
	if (imap_send(&t->conn, &tag, e, "UID FETCH * (UID)") < 0)
		return imapstore_broken(t, e);
	if (imapstore_finish(t, tag, on_last, &last, NULL, &why, e) < 0)
		return -1;
	if (last > 0 || u->lowest == 0)
		u->lowest = last < UINT32_MAX ? last + 1 : last;
	return 0;
}

/* store_ops.harden: nothing can be lost yet but what is staged; the hints are what counts. */
int imapput_harden(struct store *s, struct staged *st, size_t n, struct err *e)
{
	struct imapstore *t = imapstore_of(s);
	struct imapput *u = t->put;

	if (imapput_beside(t, true, e) < 0)
		return -1;
	if (!u)
		return n == 0 ? 0 : err_set(e, ERR_BUG, "%s: nothing is staged", t->login.what);
	if (learn_lowest(t, e) < 0)
		return imapstore_fail(t, e);
	vec_clear(&u->now->order);
	for (size_t i = 0; i < n; i++) {
		struct imapput_item *it = item_of(u, &st[i]);
		size_t at = it && !st[i].dropped ? (size_t)(it - u->now->items.a) : SIZE_MAX;
		int k;

		if (!it)
			return err_set(e, ERR_BUG, "%s: this was never staged", t->login.what);
		if (vec_push(&u->now->order, at) < 0) {
			err_set(e, ERR_LOCAL, "out of memory");
			return imapstore_fail(t, e);
		}
		k = snprintf(st[i].hint, sizeof(st[i].hint), "%" PRIu32 " %" PRIu32 " %" PRIu64 " ",
			t->sel.validity, u->lowest, it->size);
		if (!it->has_mid)
			snprintf(st[i].hint + k, sizeof(st[i].hint) - (size_t)k, "-");
		for (size_t b = 0; it->has_mid && b < IDENT_MID; b++)
			snprintf(st[i].hint + k + 2 * b, 3, "%02x", it->mid[b]);
	}
	return 0;
}
