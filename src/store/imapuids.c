/* A question about many messages of the open IMAP mailbox, by as many commands as it takes. */
#include "store/imapstore_p.h"

struct asking {
	struct imapuids *w;
	VEC(size_t) from; /* of the ranges of UIDs: where each command begins */
};

/* imapstore_flight.send */
static int send_part(struct imapstore *t, void *arg, size_t i, uint32_t *tag, struct err *e)
{
	const struct asking *a = arg;
	struct strbuf text = STRBUF_INIT(IMAP_COMMAND_MAX);
	size_t from;
	int rc;

	if (a->w->noop && i-- == 0)
		return imap_send(&t->conn, tag, e, "NOOP");
	from = a->from.a[i];
	rc = uidset_print(a->w->uids, &from, IMAPSTORE_SET_MAX, &text);
	if (rc < 0)
		err_set(e, ERR_LOCAL, "out of memory");
	else
		rc = imap_send(&t->conn, tag, e, "UID FETCH %s %s", strbuf_str(&text), a->w->items);
	strbuf_release(&text);
	return rc;
}

/* imapstore_flight.end */
static int end_part(struct imapstore *t, void *arg, size_t i, const struct imap_resp *r,
	const struct err *why, struct err *e)
{
	const struct asking *a = arg;

	(void)t;
	(void)i;
	a->w->refused |= !r;
	if (r || why->span != SPAN_ACCT)
		return 0;
	*e = *why;
	return -1;
}

/* imapstore_flight.data */
static int data(struct imapstore *t, void *arg, const struct imap_resp *r, struct err *e)
{
	const struct asking *a = arg;

	(void)t;
	return a->w->on(a->w->arg, r, e);
}

/* Ask. */
int imapuids_ask(struct imapstore *t, struct imapuids *w, struct err *e)
{
	struct asking a = { .w = w };
	struct imapstore_flight f = {
		.send = send_part, .end = end_part, .data = data, .arg = &a
	};
	struct strbuf text = STRBUF_INIT(IMAP_COMMAND_MAX);
	int rc = 0;

	for (size_t at = 0; rc == 0 && at < w->uids->n;) {
		if (vec_push(&a.from, at) < 0 ||
			uidset_print(w->uids, &at, IMAPSTORE_SET_MAX, &text) < 0)
			rc = err_set(e, ERR_LOCAL, "out of memory");
		strbuf_clear(&text);
	}
	strbuf_release(&text);
	f.n = a.from.n + w->noop;
	if (rc == 0)
		rc = imapstore_fly(t, &f, e);
	vec_release(&a.from);
	return rc;
}
