/*
 * What tells the messages of an open IMAP mailbox apart without their bodies: size, time of arrival,
 * Message-ID, what the server calls them in any folder, and whether there is a mark of another
 * program, all in one flight.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "mail/ident.h"
#include "mail/imapdate.h"
#include "store/imapstore_p.h"

const char *imapident_object_item(const struct imapstore *t)
{
	if (t->conn.caps.have & IMAP_CAP_OBJECTID)
		return " EMAILID";
	return t->conn.caps.have & IMAP_CAP_GMAIL ? " X-GM-MSGID" : "";
}

bool imapident_object(
	struct imapstore *t, const struct imap_fetch *f, unsigned char out[IDENT_OBJECT])
{
	char text[STORE_KEY_MAX];

	if (f->has & IMAP_HAS_EMAILID && f->emailid.n < sizeof(text))
		snprintf(text, sizeof(text), "%.*s", (int)f->emailid.n, f->emailid.p);
	else if (f->has & IMAP_HAS_GM_MSGID)
		snprintf(text, sizeof(text), "%" PRIu64, f->gm_msgid);
	else
		return false;
	if (!t->ids)
		t->ids = digest_new(NULL);
	return t->ids && ident_mid(t->ids, text, out);
}

int imapident_hear(struct imapident_part *p, const struct imap_resp *r, struct err *e)
{
	return ident_read(p->reader, r->body.s, &p->id, e);
}

void imapident_take(struct imapstore *t, struct imapident_part *p, const struct imap_fetch *f, struct ident *out)
{
	*out = p->id;
	p->id = (struct ident){ 0 };
	out->has_digest = false; /* that is of the header's part alone */
	out->size = f->has & IMAP_HAS_RFC822_SIZE ? f->size : 0;
	out->has_object = imapident_object(t, f, out->object);
	if (f->has & IMAP_HAS_DATE && imapdate_parse(f->date, &out->date, NULL) < 0)
		out->date = 0;
}

struct asking {
	struct uidset wanted, told;
	VEC(size_t) from; /* of the ranges of wanted: where each command begins */
	bool marks;
	void (*tell)(void *arg, uint64_t num, const struct ident *id);
	void *arg;
	struct imapident_part part;
};

/* imapstore_flight.send */
static int send_part(struct imapstore *t, void *arg, size_t i, uint32_t *tag, struct err *e)
{
	struct asking *w = arg;
	struct strbuf text = STRBUF_INIT(IMAP_COMMAND_MAX);
	size_t from = w->from.a[i];
	int rc = uidset_print(&w->wanted, &from, IMAPSTORE_SET_MAX, &text);

	if (rc < 0)
		err_set(e, ERR_LOCAL, "out of memory");
	else
		rc = imap_send(&t->conn, tag, e,
			"UID FETCH %s (UID RFC822.SIZE INTERNALDATE%s %s)", strbuf_str(&text),
			imapident_object_item(t),
			w->marks ? IMAPIDENT_HEAD(" X-TUID X-OFFLINEIMAP") : IMAPIDENT_HEAD(""));
	strbuf_release(&text);
	return rc;
}

/* imapstore_flight.end: what is refused stays unknown */
static int end_part(struct imapstore *t, void *arg, size_t i, const struct imap_resp *r,
	const struct err *why, struct err *e)
{
	(void)t;
	(void)arg;
	(void)i;
	if (r || why->span != SPAN_ACCT)
		return 0;
	*e = *why;
	return -1;
}

/* imapstore_flight.data. Each message is told once, when all of it has come. */
static int data(struct imapstore *t, void *arg, const struct imap_resp *r, struct err *e)
{
	struct asking *w = arg;
	struct ident id;

	if (r->kind == IMAP_FETCH_BODY)
		return imapident_hear(&w->part, r, e);
	if (r->kind != IMAP_FETCH)
		return 0;
	imapident_take(t, &w->part, &r->fetch, &id);
	if (!(r->fetch.has & IMAP_HAS_UID) || !(r->fetch.has & IMAP_HAS_RFC822_SIZE) ||
		!uidset_has(&w->wanted, r->fetch.uid) || uidset_has(&w->told, r->fetch.uid))
		return 0;
	w->tell(w->arg, r->fetch.uid, &id);
	return uidset_add(&w->told, r->fetch.uid, e);
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* The set that is wanted, and where each command's part of it begins. */
static int prepare(struct asking *w, const uint64_t *nums, size_t n, struct err *e)
{
	uint64_t *sorted = malloc(n * sizeof(*sorted));
	struct strbuf text = STRBUF_INIT(IMAP_COMMAND_MAX);
	int rc = 0;

	if (!sorted)
		return err_set(e, ERR_LOCAL, "out of memory");
	for (size_t i = 0; i < n; i++)
		sorted[i] = nums[i];
	qsort(sorted, n, sizeof(*sorted), by_number);
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = sorted[i] == 0 || sorted[i] > UINT32_MAX
			? err_set(e, ERR_BUG, "%" PRIu64 " is no UID", sorted[i])
			: uidset_add(&w->wanted, (uint32_t)sorted[i], e);
	for (size_t at = 0; rc == 0 && at < w->wanted.n;) {
		if (vec_push(&w->from, at) < 0 ||
			uidset_print(&w->wanted, &at, IMAPSTORE_SET_MAX, &text) < 0)
			rc = err_set(e, ERR_LOCAL, "out of memory");
		strbuf_clear(&text);
	}
	strbuf_release(&text);
	free(sorted);
	return rc;
}

static void release(struct asking *w)
{
	ident_reader_free(w->part.reader);
	uidset_release(&w->wanted);
	uidset_release(&w->told);
	vec_release(&w->from);
}

/* ---- along with something else ---- */

#define AHEAD_MAX 2048 /* messages: what is told of them waits in memory */

struct told_ahead {
	uint64_t num;
	struct ident id;
};

/* What will be asked, and was told before it was. */
struct imapident_ahead {
	struct asking w;
	struct imapstore_flight f;
	size_t ended; /* commands */
	bool failed;
	VEC(struct told_ahead) told;
};

/* asking.tell */
static void keep(void *arg, uint64_t num, const struct ident *id)
{
	struct imapident_ahead *a = arg;

	a->failed |= vec_push(&a->told, ((struct told_ahead){ .num = num, .id = *id })) < 0;
}

/* imapstore_flight.send, data and end of it */
static int send_ahead(struct imapstore *t, void *arg, size_t i, uint32_t *tag, struct err *e)
{
	return send_part(t, &((struct imapident_ahead *)arg)->w, i, tag, e);
}

static int data_ahead(struct imapstore *t, void *arg, const struct imap_resp *r, struct err *e)
{
	return data(t, &((struct imapident_ahead *)arg)->w, r, e);
}

static int end_ahead(struct imapstore *t, void *arg, size_t i, const struct imap_resp *r,
	const struct err *why, struct err *e)
{
	struct imapident_ahead *a = arg;

	a->ended++;
	a->failed |= !r;
	return end_part(t, &a->w, i, r, why, e);
}

void imapident_drop(struct imapstore *t)
{
	if (!t->idents)
		return;
	release(&t->idents->w);
	vec_release(&t->idents->told);
	free(t->idents);
	t->idents = NULL;
}

/* store_ops.idents_soon */
void imapident_soon(struct store *s, const uint64_t *nums, size_t n)
{
	struct imapstore *t = imapstore_of(s);
	struct imapident_ahead *a;

	imapident_drop(t);
	if (!t->box || n == 0 || n > AHEAD_MAX)
		return;
	a = t->idents = calloc(1, sizeof(*a));
	if (!a)
		return;
	a->w = (struct asking){ .wanted = UIDSET_INIT, .told = UIDSET_INIT, .tell = keep, .arg = a };
	a->w.part.reader = ident_reader_new(NULL);
	if (!a->w.part.reader || prepare(&a->w, nums, n, NULL) < 0) {
		imapident_drop(t);
		return;
	}
	a->f = (struct imapstore_flight){ .n = a->w.from.n, .send = send_ahead, .end = end_ahead, .data = data_ahead, .arg = a };
}

const struct imapstore_flight *imapident_along(const struct imapstore *t)
{
	return t->idents && t->idents->ended == 0 ? &t->idents->f : NULL;
}

/* Were these asked about already, and all of it was answered? Then it is told. */
static bool tell_ahead(struct imapstore *t, const uint64_t *nums, size_t n,
	void (*tell)(void *arg, uint64_t num, const struct ident *id), void *arg)
{
	struct imapident_ahead *a = t->idents;
	bool same = a && a->ended == a->f.n && !a->failed && uidset_count(&a->w.wanted) == n;

	for (size_t i = 0; same && i < n; i++)
		same = nums[i] <= UINT32_MAX && uidset_has(&a->w.wanted, (uint32_t)nums[i]);
	for (size_t i = 0; same && i < a->told.n; i++)
		tell(arg, a->told.a[i].num, &a->told.a[i].id);
	imapident_drop(t);
	return same;
}

/* store_ops.idents */
int imapident(struct store *s, const uint64_t *nums, size_t n, bool marks,
	void (*tell)(void *arg, uint64_t num, const struct ident *id), void *arg, struct err *e)
{
	struct imapstore *t = imapstore_of(s);
	struct asking w = { .wanted = UIDSET_INIT, .told = UIDSET_INIT, .tell = tell, .arg = arg, .marks = marks };
	struct imapstore_flight f = {
		.send = send_part, .end = end_part, .data = data, .arg = &w
	};
	int rc = -1;

	if (n == 0)
		return 0;
	if (imapput_beside(t, false, e) < 0)
		return -1;
	if (!marks && tell_ahead(t, nums, n, tell, arg))
		return 0;
	w.part.reader = ident_reader_new(e);
	if (w.part.reader && prepare(&w, nums, n, e) == 0) {
		f.n = w.from.n;
		rc = imapstore_fly(t, &f, e);
	}
	release(&w);
	return rc < 0 ? imapstore_fail(t, e) : 0;
}
