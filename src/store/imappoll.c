/* Asking a server for what nobody tells. See imaplisten_p.h. */
#include <stdlib.h>

#include "store/imaplisten_p.h"

#define STATUS_MS 1000 /* no more than one STATUS in so much time, on average: servers count commands */

struct looking {
	struct imaplisten *l;
	size_t *ask;  /* places */
	size_t n;
	bool noop;    /* before it: news of the selected folder are shown by this alone */
	bool with_status;
	uint64_t tree;
};

static void put_items(struct imapstore *t)
{
	const unsigned have = t->conn.caps.have;

	imap_put(&t->conn, "(MESSAGES UIDNEXT UIDVALIDITY UNSEEN%s%s)", have & IMAP_CAP_CONDSTORE ? " HIGHESTMODSEQ" : "",
		have & IMAP_CAP_CONDSTORE && have & IMAP_CAP_OBJECTID ? " MAILBOXID" : "");
}

static void put_status(struct imapstore *t, const char *wire)
{
	imap_start(&t->conn);
	imap_put(&t->conn, "STATUS ");
	imap_astring(&t->conn, slice_str(wire));
	imap_put(&t->conn, " ");
	put_items(t);
}

/* imapstore_flight.send: NOOP, the list, then folders */
static int send_look(struct imapstore *t, void *arg, size_t i, uint32_t *tag, struct err *e)
{
	struct looking *k = arg;

	if (k->noop && i == 0)
		return imap_send(&t->conn, tag, e, "NOOP");
	i -= k->noop;
	if (i > 0) {
		put_status(t, k->l->seen[k->ask[i - 1]].f->wire);
	} else {
		imap_start(&t->conn);
		imap_put(&t->conn, "LIST \"\" \"*\"");
		if (k->with_status) {
			imap_put(&t->conn, " RETURN (STATUS ");
			put_items(t);
			imap_put(&t->conn, ")");
		}
	}
	return imap_end(&t->conn, tag, e);
}

/* A folder that is gone is told by the list. */
static int end_look(struct imapstore *t, void *arg, size_t i, const struct imap_resp *r, const struct err *why, struct err *e)
{
	struct looking *k = arg;

	(void)t;
	if (r || (i != k->noop && why->span != SPAN_ACCT))
		return 0;
	*e = *why;
	return -1;
}

static int data_look(struct imapstore *t, void *arg, const struct imap_resp *r, struct err *e)
{
	struct looking *k = arg;

	(void)t;
	if (r->kind == IMAP_LIST) /* in whatever order */
		k->tree += slice_hash(r->list.name) * 31 + (r->list.attrs & IMAP_LIST_NOSELECT ? 1 : 0);
	return imapseen_answer(&k->l->line[0], r, e);
}

static bool list_has_status(const struct imaplisten *l)
{
	const unsigned need = IMAP_CAP_LIST_EXTENDED | IMAP_CAP_LIST_STATUS;

	return (l->line[0].t->conn.caps.have & need) == need;
}

size_t imappoll_count(const struct imaplisten *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->folders.n; i++)
		n += imapseen_polled(&l->seen[i]);
	return n;
}

/* From one look to the next. */
msec_t imappoll_interval(const struct imaplisten *l)
{
	msec_t least = list_has_status(l) ? 0 : (msec_t)imappoll_count(l) * STATUS_MS;

	return l->interval > least ? l->interval : least;
}

/* Ask for the list, and the STATUS of those of which nobody tells; all: of every one. The first line is not waiting. */
int imappoll_look(struct imaplisten *l, bool all, struct err *e)
{
	struct imapstore *t = l->line[0].t;
	struct looking k = { .l = l, .ask = calloc(l->folders.n ? l->folders.n : 1, sizeof(*k.ask)) };
	struct imapstore_flight f = { .send = send_look, .end = end_look, .data = data_look, .arg = &k };
	int rc;

	if (!k.ask)
		return err_set(e, ERR_LOCAL, "out of memory");
	k.with_status = list_has_status(l);
	for (size_t i = 0; !k.with_status && i < l->folders.n; i++)
		if (l->seen[i].f && !l->seen[i].line && (all || imapseen_polled(&l->seen[i])))
			k.ask[k.n++] = i;
	k.noop = l->line[0].is_selected;
	f.n = k.noop + 1 + k.n;
	rc = imapstore_fly(t, &f, e);
	free(k.ask);
	l->look_at = clock_in(imappoll_interval(l));
	if (rc < 0)
		return imapstore_broken(t, e);
	if (l->tree_known && k.tree != l->tree)
		listen_hint_all(&l->folders);
	l->tree = k.tree;
	l->tree_known = true;
	return 0;
}

/* Must anything be asked for at intervals? Without NOTIFY new folders, at least. */
bool imappoll_due(const struct imaplisten *l)
{
	return !l->notify || imappoll_count(l) > 0;
}

/* STATUS of one folder, or of all if that is no more. */
int imappoll_ask(struct imaplisten *l, struct imapseen *p, struct err *e)
{
	struct imapline *n = &l->line[0];
	struct imapstore *t = n->t;
	struct err why = ERR_INIT;
	uint32_t tag;
	int rc;

	if (imapline_stop(n, e) < 0)
		return -1;
	if (list_has_status(l)) {
		rc = imappoll_look(l, true, e);
	} else {
		put_status(t, p->f->wire);
		if (imap_end(&t->conn, &tag, e) < 0)
			return imapstore_broken(t, e);
		rc = imapstore_finish(t, tag, imapseen_answer, n, NULL, &why, e);
	}
	return rc < 0 ? -1 : imapline_wait(n, e);
}
