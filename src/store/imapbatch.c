/* One command for many messages of an IMAP mailbox: see imapbatch_p.h. */
#include "store/imapbatch_p.h"

#include <stdlib.h>

#define UNIT_MAX 600     /* messages in a command: 11 bytes each keep the line short enough */
#define SINGLES_MAX 1000 /* messages that are tried one by one */
#define COPIES_MAX 1000000

static int by_change(const void *a, const void *b)
{
	const struct flag_change *x = a, *y = b;

	if (x->add != y->add)
		return x->add < y->add ? -1 : 1;
	if (x->del != y->del)
		return x->del < y->del ? -1 : 1;
	return (x->num > y->num) - (x->num < y->num);
}

/* The UIDs of a unit as text. */
static int print_unit(const struct imapbatch *j, const struct imapbatch_unit *u, struct strbuf *out, struct err *e)
{
	struct uidset set = UIDSET_INIT;
	size_t at = 0;
	int rc = 0;

	for (size_t i = u->from; rc == 0 && i < u->to; i++)
		rc = uidset_add(&set, (uint32_t)j->c[i].num, e);
	if (rc == 0 && (uidset_print(&set, &at, IMAP_LINE_ADVICE, out) < 0 || at < set.n))
		rc = err_set(e, ERR_BUG, "too many messages for a line");
	uidset_release(&set);
	return rc;
}

/* imapstore_flight.send */
static int send_piece(struct imapstore *t, void *arg, size_t i, uint32_t *tag, struct err *e)
{
	struct imapbatch *j = arg;
	const struct imapbatch_piece *p = &j->pieces.a[i];
	const struct imapbatch_unit *u = &j->units.a[p->unit];
	struct strbuf set = STRBUF_INIT(IMAP_COMMAND_MAX), flags = STRBUF_INIT(IMAP_COMMAND_MAX);
	struct imap_conn *conn = &t->conn;
	int rc = print_unit(j, u, &set, e);

	if (rc == 0 && p->expunge) {
		rc = imap_send(conn, tag, e, "UID EXPUNGE %s", strbuf_str(&set));
		strbuf_release(&set);
		return rc;
	}
	if (rc == 0 && !j->verb && keywords_to_imap(imapselect_names(t), p->flags, &flags) < 0)
		rc = err_set(e, ERR_LOCAL, "out of memory");
	if (rc == 0) {
		imap_start(conn);
		imap_put(conn, "UID %s %s ", j->verb ? j->verb : "STORE", strbuf_str(&set));
		if (j->verb)
			imap_astring(conn, slice_str(j->wire));
		else
			imap_put(
				conn, "%cFLAGS.SILENT %s", p->take ? '-' : '+', strbuf_str(&flags));
		rc = imap_end(conn, tag, e);
	}
	strbuf_release(&set);
	strbuf_release(&flags);
	return rc;
}

/* What became of the messages of a command, where a response says so; nonsense says nothing. */
static int note_copies(struct imapbatch *j, const struct imap_resp *r, struct err *e)
{
	struct uidseq from, to;
	struct imapbatch_copy c = { .doubtful = false };

	if (j->validity == 0 || r->code.kind != IMAP_CODE_COPYUID || r->code.num != j->validity)
		return 0;
	if (uidseq_init(&from, r->code.src, COPIES_MAX, NULL) < 0 ||
		uidseq_init(&to, r->code.dst, COPIES_MAX, NULL) < 0 || from.count != to.count ||
		j->copies.n + from.count > COPIES_MAX)
		return 0;
	while (uidseq_next(&from, &c.from) && uidseq_next(&to, &c.to))
		if (vec_push(&j->copies, c) < 0)
			return err_set(e, ERR_LOCAL, "out of memory");
	return 0;
}

/* imapstore_flight.data: a MOVE tells before its end (RFC 6851 section 4.3) */
static int data(struct imapstore *t, void *arg, const struct imap_resp *r, struct err *e)
{
	struct imapbatch *j = arg;

	(void)t;
	if (j->gone && r->kind == IMAP_VANISHED && !r->earlier)
		return uidset_unite(j->gone, r->search.all, e);
	return r->kind == IMAP_UNTAGGED ? note_copies(arg, r, e) : 0;
}

/*
 * Keywords are refused: unless it is for now, the mailbox does not take them, or one of them. Flags
 * are given all the same. Until it is known which it is, none was set.
 */
static int refuse_words(struct imapstore *t, struct imapbatch *j, const struct imapbatch_piece *p,
	struct err *e)
{
	const struct imapbatch_unit *u = &j->units.a[p->unit];
	const bool several = (p->flags & (p->flags - 1)) != 0;

	t->sel.keywords->refused |= p->flags;
	j->lone |= several ? 0 : p->flags;
	for (size_t k = u->from; several && k < u->to; k++) {
		struct flag_change x = { .num = j->c[k].num };

		*(p->take ? &x.del : &x.add) = p->flags;
		if (vec_push(&j->worded, x) < 0)
			return err_set(e, ERR_LOCAL, "out of memory");
	}
	return 0;
}

/* imapstore_flight.end */
static int end_piece(struct imapstore *t, void *arg, size_t i, const struct imap_resp *r,
	const struct err *why, struct err *e)
{
	struct imapbatch *j = arg;
	const struct imapbatch_piece *p = &j->pieces.a[i];
	struct imapbatch_unit *u = &j->units.a[p->unit];

	if (p->expunge) { /* why it is refused is told when it is asked for once more */
		j->kept |= !r;
		if (r || why->span != SPAN_ACCT)
			return 0;
		*e = *why;
		return -1;
	}
	u->pending--;
	if (r && note_copies(j, r, e) < 0)
		return -1;
	if (!r && p->flags & FLAGS_KEYWORDS && why->span != SPAN_ACCT &&
		(j->single || why->kind == ERR_REFUSED)) {
		if (refuse_words(t, j, p, e) < 0)
			return -1;
	} else if (!r) {
		u->refused = true;
		j->why = *why;
		j->span = why->span;
		if (why->span == SPAN_ACCT) {
			*e = *why;
			return err_in(e, "'%s': messages %s", t->box->name, j->failing);
		}
		j->why.span = SPAN_MSG;
		err_in(&j->why, "it %s", j->failing);
	}
	if (u->pending > 0 || j->single)
		return 0;
	for (size_t k = u->from; k < u->to; k++) {
		if (u->refused && !j->last) {
			if (vec_push(&j->failed, j->c[k]) < 0)
				return err_set(e, ERR_LOCAL, "out of memory");
			continue;
		}
		if (!u->refused && j->ok && uidset_add(j->ok, (uint32_t)j->c[k].num, e) < 0)
			return -1;
		if (j->done(t, j, j->c[k].num, u->refused ? &j->why : NULL, e) < 0)
			return -1;
	}
	return 0;
}

/* The commands of a unit. */
static int add_pieces(struct imapbatch *j, struct imapbatch_unit *u, const struct flag_change *c,
	struct err *e)
{
	const uint64_t flags[] = { c->add & FLAGS_ALL, c->add & FLAGS_KEYWORDS,
		c->del & FLAGS_ALL, c->del & FLAGS_KEYWORDS };

	for (size_t i = 0; i < (j->verb ? 1 : 4); i++) {
		const struct imapbatch_piece p = {
			.unit = j->units.n, .take = i >= 2, .flags = j->verb ? 0 : flags[i]
		};

		if (!j->verb && flags[i] == 0)
			continue;
		u->pending++;
		if (vec_push(&j->pieces, p) < 0)
			return err_set(e, ERR_LOCAL, "out of memory");
	}
	if (j->gone && vec_push(&j->pieces, ((struct imapbatch_piece){ .unit = j->units.n, .expunge = true })) < 0)
		return err_set(e, ERR_LOCAL, "out of memory");
	return 0;
}

/* Cut the messages into units and send them off. */
static int fly_units(struct imapstore *t, struct imapbatch *j, size_t most, struct err *e)
{
	struct imapstore_flight f = { .send = send_piece, .end = end_piece, .data = data, .arg = j };

	vec_clear(&j->units);
	vec_clear(&j->pieces);
	for (size_t from = 0, to; from < j->n; from = to) {
		const struct flag_change *c = &j->c[from];
		struct imapbatch_unit u = { .from = from };

		to = from + 1;
		while (to < j->n && to - from < most && j->c[to].add == c->add &&
			j->c[to].del == c->del)
			to++;
		u.to = to;
		if (add_pieces(j, &u, c, e) < 0 || vec_push(&j->units, u) < 0)
			return err_set(e, ERR_LOCAL, "out of memory");
	}
	f.n = j->pieces.n;
	f.along = j->along;
	j->along = NULL;
	return imapstore_fly(t, &f, e);
}

/* Try again what was refused, so many in a command. */
static int retry(struct imapstore *t, struct imapbatch *j, size_t most, struct err *e)
{
	struct flag_change *c = j->failed.a;
	int rc;

	j->c = c;
	j->n = j->failed.n;
	j->failed.a = NULL;
	vec_release(&j->failed);
	rc = fly_units(t, j, most, e);
	free(c);
	return rc;
}

/* Several keywords were refused at once: which of them? */
static int try_words(struct imapstore *t, struct imapbatch *j, struct err *e)
{
	VEC(struct flag_change) alone = { 0 };
	uint64_t doubtful = 0, *refused = &t->sel.keywords->refused;
	int rc = 0;

	for (size_t i = 0; i < j->worded.n; i++)
		doubtful |= j->worded.a[i].add | j->worded.a[i].del;
	for (size_t i = 0; rc == 0 && i < j->worded.n; i++) {
		for (size_t k = 0; rc == 0 && k < KEYWORDS_MAX; k++) {
			const struct flag_change *c = &j->worded.a[i];
			const struct flag_change x = { .num = c->num,
				.add = c->add & keyword_flag(k),
				.del = c->del & keyword_flag(k) };

			if ((x.add || x.del) && vec_push(&alone, x) < 0)
				rc = err_set(e, ERR_LOCAL, "out of memory");
		}
	}
	if (rc == 0) {
		*refused &= ~doubtful | j->lone;
		j->single = true;
		j->c = alone.a;
		j->n = alone.n;
		qsort(j->c, j->n, sizeof(*j->c), by_change);
		rc = fly_units(t, j, UNIT_MAX, e);
		if (rc < 0) /* nobody knows what was set */
			*refused |= doubtful;
	}
	vec_release(&alone);
	return rc;
}

/* Do it. */
int imapbatch_run(struct imapstore *t, struct imapbatch *j,
	int (*mend)(struct imapstore *t, struct imapbatch *j, struct err *e), struct err *e)
{
	int rc;

	if (j->n > 0)
		qsort(j->c, j->n, sizeof(*j->c), by_change);
	rc = fly_units(t, j, UNIT_MAX, e);
	if (rc == 0 && j->failed.n > 0 && mend) {
		rc = mend(t, j, e);
		if (rc == 0)
			rc = retry(t, j, UNIT_MAX, e);
	}
	if (rc == 0 && j->failed.n > 0 && j->span == SPAN_MSG && j->failed.n <= SINGLES_MAX) {
		j->last = true;
		rc = retry(t, j, 1, e);
	}
	for (size_t i = 0; rc == 0 && i < j->failed.n; i++)
		rc = j->done(t, j, j->failed.a[i].num, &j->why, e);
	if (rc == 0 && j->worded.n > 0)
		rc = try_words(t, j, e);
	vec_release(&j->units);
	vec_release(&j->pieces);
	vec_release(&j->failed);
	vec_release(&j->worded);
	return rc;
}

/* The caller alone needs to hear. */
int imapbatch_tell(
	struct imapstore *t, struct imapbatch *j, uint64_t num, const struct err *why, struct err *e)
{
	(void)t;
	(void)e;
	j->tell(j->arg, num, why);
	return 0;
}

