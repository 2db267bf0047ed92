/*
 * Folders that will be opened soon: their SELECTs and UID FETCHes are sent while an earlier one is
 * read, so that many small folders cost no wait each. The answers come in the order of the
 * commands: the folder that is opened next is the first of the queue, or the queue is of no use.
 *
 * While it flies, another mailbox will be selected by the time that a command is carried out than
 * the one whose answers are read. Nothing else may be sent then. Every other command goes through
 * imapstore_ready or imapstore_need_box, which read the queue to its end first and forget what is
 * selected; what needs the open box has it selected again.
 */
#include <stdlib.h>
#include <string.h>

#include "store/imaptake_p.h"


struct soon_box {
	struct imapfolder *f;
	const struct keyword_view *keywords; /* compared only */
	bool write;
	bool sent; /* its SELECT */
	uint32_t tag;
	struct imapask ask;
};

struct imapsoon {
	VEC(struct soon_box) boxes;
	size_t first;    /* those before it have been opened */
	size_t sending;  /* those before it are sent whole */
	uint64_t coming; /* bytes, of those that were not opened yet */
	bool full;
};

static void clear(struct imapsoon *q)
{
	for (size_t i = q->first; i < q->boxes.n; i++)
		imapask_release(&q->boxes.a[i].ask);
	vec_release(&q->boxes);
	q->first = q->sending = 0;
	q->coming = 0;
	q->full = false;
}

void imapsoon_free(struct imapsoon *q)
{
	if (!q)
		return;
	clear(q);
	free(q);
}

/* The next one; NULL: there is none. */
static struct soon_box *head(const struct imapstore *t)
{
	const struct imapsoon *q = t->soon;

	return q && q->first < q->boxes.n ? &q->boxes.a[q->first] : NULL;
}

bool imapsoon_flies(const struct imapstore *t)
{
	const struct soon_box *b = head(t);

	return b && b->sent;
}

void imapsoon_drop(struct imapstore *t)
{
	if (imapsoon_flies(t))
		t->sel.f = NULL; /* it is another one by now */
	if (t->soon)
		clear(t->soon);
}

int imapsoon_settle(struct imapstore *t, struct err *e)
{
	if (!imapsoon_flies(t))
		return 0;
	imapsoon_drop(t);
	return imap_drain(&t->conn, e) < 0 ? imapstore_broken(t, e) : 0;
}

/* ---- asking ---- */

/* Bytes that should be on their way at once. Where there are further connections, they are to find something left. */
static uint64_t coming_max(const struct imapstore *t)
{
	struct imapask a = { .bytes = IMAPASK_BYTES, .shared = imapaide_there(t) };

	if (a.shared)
		imaptake_pace(t, &a);
	return IMAPASK_WINDOW * (uint64_t)a.bytes;
}

/*
 * May more of it leave? Once there is enough, a good deal must have come first: each time that
 * something is sent may be a wait.
 */
static bool may_send(struct imapstore *t)
{
	struct imapsoon *q = t->soon;
	const uint64_t coming = q->coming + imaptake_coming(t), enough = coming_max(t);

	if (coming >= enough)
		q->full = true;
	else if (coming <= enough / 2)
		q->full = false;
	return !q->full && imap_may_send(&t->conn);
}

/* Is it enough to see by whether this link is slow? */
static bool enough(const struct imapstore *t, const struct soon_box *b)
{
	const struct imaptake *k = t->take;

	return imapstore_enough(t, k ? k->bytes : 0, k ? k->waited : 0,
		t->soon->coming + imaptake_coming(t), imapask_ahead(&b->ask));
}

int imapsoon_pump(struct imapstore *t, struct err *e)
{
	struct imapsoon *q = t->soon;

	while (q && q->sending < q->boxes.n && may_send(t)) {
		struct soon_box *b = &q->boxes.a[q->sending];
		uint64_t before = imapask_coming(&b->ask);

		if (!b->sent) {
			if (imapselect_send(t, b->f, b->write, &b->tag, e) < 0)
				return -1;
			b->sent = true;
			continue;
		}
		if (!imapask_room(&b->ask) || enough(t, b))
			break; /* the rest of it when it is open, and only then the one behind it */
		b->ask.shared = imapaide_there(t);
		imaptake_pace(t, &b->ask);
		if (imapask_send(t, &b->ask, e) < 0)
			return -1;
		q->coming += imapask_coming(&b->ask) - before;
		if (b->ask.sent == b->ask.n)
			q->sending++;
	}
	return 0;
}

/* ---- opening ---- */

bool imapsoon_is_next(const struct imapstore *t, const char *folder, unsigned how)
{
	const struct soon_box *b = head(t);

	return b && t->up && !t->conn.dead && strcmp(b->f->name, folder) == 0 &&
		!(how & BOX_CREATE) && b->write == !!(how & BOX_WRITE) &&
		b->keywords == t->s.keywords;
}

/* The next one is open: it leaves the queue, and what it is asked for goes to imaptake.c. */
static int shift(struct imapstore *t, struct err *e)
{
	struct imapsoon *q = t->soon;
	struct soon_box *b = &q->boxes.a[q->first++];

	if (q->sending < q->first)
		q->sending = q->first;
	q->coming -= imapask_coming(&b->ask);
	return imaptake_begin(t, &b->ask, e);
}

int imapsoon_skip(struct imapstore *t, struct err *e)
{
	return shift(t, e);
}

int imapsoon_select(struct imapstore *t, const struct imap_resp **r, struct err *why, struct err *e)
{
	const struct soon_box *b = head(t);
	struct err first = ERR_INIT;
	enum imap_event ev;
	uint32_t tag;

	if (!b->sent && imapsoon_pump(t, e) < 0)
		return imapstore_broken(t, e);
	if (!b->sent) /* nothing else flew */
		return err_set(e, ERR_BUG, "%s: a folder could not be asked for", t->login.what);
	imapselect_begin(t, t->s.keywords);
	while ((ev = imap_next(&t->conn, &tag, r, why)) == IMAP_DATA)
		if (first.kind == ERR_NONE)
			imapselect_data(t, *r, &first);
	if (ev == IMAP_LOST) {
		imapstore_give(e, why);
		return imapstore_broken(t, e);
	}
	if (tag != b->tag)
		return imapstore_disorder(t, e);
	if (shift(t, e) < 0)
		return -1;
	if (first.kind != ERR_NONE) {
		imapstore_give(e, &first);
		return -1;
	}
	return ev == IMAP_DONE;
}

/* ---- the interface ---- */

/* One folder of the hint. 1; 0 it is none to go by; -1 out of memory. */
static int announce(struct imapstore *t, const struct soon *x)
{
	struct soon_box b = { .keywords = x->keywords, .write = x->how & BOX_WRITE };
	uint32_t *uids;
	bool there;
	size_t at = imaptree_place(t, *x->folder ? x->folder : "INBOX", &there);

	if (!there || x->n == 0)
		return 0;
	uids = malloc(x->n * sizeof(*uids));
	if (!uids)
		return -1;
	imapask_start(&b.ask, uids, x->n, x->bytes / x->n);
	b.f = t->folders.a[at];
	for (size_t i = 0; i < x->n; i++) {
		if (!imapstore_uid(x->keys[i], &uids[i])) {
			imapask_release(&b.ask);
			return 0;
		}
	}
	if (vec_push(&t->soon->boxes, b) < 0) {
		imapask_release(&b.ask);
		return -1;
	}
	return 1;
}

/* store_ops.soon. Nothing is sent before the first of them is opened. */
void imapsoon(struct store *s, const struct soon *x, size_t n)
{
	struct imapstore *t = imapstore_of(s);
	struct err why = ERR_INIT;

	if (!t->soon && !(t->soon = calloc(1, sizeof(*t->soon))))
		return;
	if (imapsoon_flies(t) && imaptake_settle(t, &why) < 0)
		return; /* who opens the first of them will hear of it */
	imapsoon_drop(t);
	for (size_t i = 0; i < n && announce(t, &x[i]) > 0; i++)
		;
}
