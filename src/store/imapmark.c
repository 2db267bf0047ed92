/*
 * Flags of messages in an IMAP mailbox, and removals: by the very UIDs, many in a command, the
 * commands pipelined. A command that is refused is tried again for each of its messages, so that
 * what is wrong with one is said of that one.
 *
 * Removal is a MOVE to the trash where there is one, else \Deleted and, at the end, UID EXPUNGE of
 * what we marked (RFC 4315). A server without UIDPLUS can remove only all that is marked: that is
 * asked of it when nothing but ours is.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "store/imapstore_p.h"

#define UNIT_MAX 600     /* messages in a command: 11 bytes each keep the line short enough */
#define SINGLES_MAX 1000 /* messages that are tried one by one */

typedef void done_fn(void *arg, uint64_t num, const struct err *why);

/* Messages that share a command, or two: one that adds flags, one that takes them. */
struct unit {
	size_t from, to;  /* of job.c */
	unsigned pending; /* commands that have not ended */
	bool refused;
};

struct piece {
	size_t unit;
	bool take;
};

/* What is done to a number of messages. */
struct job {
	const char *verb;      /* "MOVE", "COPY"; NULL: STORE what the changes say */
	const char *failing;   /* what is told of a message of which it is refused */
	const char *wire;      /* of the folder that verb is about */
	struct flag_change *c; /* those with equal changes together */
	size_t n;
	int (*done)(struct imapstore *t, struct job *j, uint64_t num, const struct err *why,
		struct err *e);
	done_fn *tell; /* the caller's */
	void *arg;
	struct uidset *ok; /* collects what went well; may be NULL */
	/* Private. */
	VEC(struct unit) units;
	VEC(struct piece) pieces;
	VEC(struct flag_change) failed;
	struct err why; /* of the last that was refused */
	enum err_span span; /* as the server meant it */
	bool last;      /* there is no further try */
};

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
static int print_unit(const struct job *j, const struct unit *u, struct strbuf *out, struct err *e)
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
	struct job *j = arg;
	const struct piece *p = &j->pieces.a[i];
	const struct unit *u = &j->units.a[p->unit];
	const struct flag_change *c = &j->c[u->from];
	struct strbuf set = STRBUF_INIT(IMAP_COMMAND_MAX), flags = STRBUF_INIT(256);
	struct imap_conn *conn = &t->conn;
	int rc = print_unit(j, u, &set, e);

	if (rc == 0 && !j->verb && flags_to_imap(p->take ? c->del : c->add, &flags) < 0)
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

/* imapstore_flight.end */
static int end_piece(struct imapstore *t, void *arg, size_t i, const struct imap_resp *r,
	const struct err *why, struct err *e)
{
	struct job *j = arg;
	struct unit *u = &j->units.a[j->pieces.a[i].unit];

	u->pending--;
	if (!r) {
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
	if (u->pending > 0)
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

/* Cut the messages into units and send them off. */
static int fly_units(struct imapstore *t, struct job *j, size_t most, struct err *e)
{
	struct imapstore_flight f = { .send = send_piece, .end = end_piece, .arg = j };

	vec_clear(&j->units);
	vec_clear(&j->pieces);
	for (size_t from = 0, to; from < j->n; from = to) {
		const struct flag_change *c = &j->c[from];
		struct unit u = { .from = from };
		struct piece p = { .unit = j->units.n };

		to = from + 1;
		while (to < j->n && to - from < most && j->c[to].add == c->add &&
			j->c[to].del == c->del)
			to++;
		u.to = to;
		u.pending = !j->verb && c->add && c->del ? 2 : 1;
		if (vec_push(&j->units, u) < 0 ||
			((j->verb || c->add) && vec_push(&j->pieces, p) < 0))
			return err_set(e, ERR_LOCAL, "out of memory");
		p.take = true;
		if (!j->verb && c->del && vec_push(&j->pieces, p) < 0)
			return err_set(e, ERR_LOCAL, "out of memory");
	}
	f.n = j->pieces.n;
	return imapstore_fly(t, &f, e);
}

/* Try again what was refused, so many in a command. */
static int retry(struct imapstore *t, struct job *j, size_t most, struct err *e)
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

/*
 * Do it; then what was refused, one by one, if what is wrong may be wrong with single messages.
 * mend (may be NULL) may mend something before.
 */
static int run(struct imapstore *t, struct job *j,
	int (*mend)(struct imapstore *t, struct job *j, struct err *e), struct err *e)
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
	vec_release(&j->units);
	vec_release(&j->pieces);
	vec_release(&j->failed);
	return rc;
}

/* job.done of what only the caller needs to hear */
static int tell_done(
	struct imapstore *t, struct job *j, uint64_t num, const struct err *why, struct err *e)
{
	(void)t;
	(void)e;
	j->tell(j->arg, num, why);
	return 0;
}

/* job.done of what goes on when it went well */
static int tell_refused(
	struct imapstore *t, struct job *j, uint64_t num, const struct err *why, struct err *e)
{
	(void)t;
	(void)e;
	if (why)
		j->tell(j->arg, num, why);
	return 0;
}

/* store_ops.set_flags */
int imapmark_set_flags(struct store *s, const struct flag_change *c, size_t n, done_fn *done,
	void *arg, struct err *e)
{
	struct imapstore *t = imapstore_of(s);
	struct job j = { .failing = "can't be given its flags",
		.done = tell_done,
		.tell = done,
		.arg = arg };
	struct flag_change *mine;
	uint32_t holds;
	int rc;

	if (imapstore_need_box(t, true, e) < 0)
		return -1;
	mine = calloc(n ? n : 1, sizeof(*mine));
	if (!mine) {
		err_set(e, ERR_LOCAL, "out of memory");
		return imapstore_fail(t, e);
	}
	holds = imapselect_holds(t);
	for (size_t i = 0; i < n; i++) {
		struct flag_change x = {
			.num = c[i].num, .add = c[i].add & holds, .del = c[i].del & holds
		};

		if (x.add || x.del)
			mine[j.n++] = x;
		else
			done(arg, x.num, NULL);
	}
	j.c = mine;
	t->sel.stale |= j.n > 0;
	rc = run(t, &j, NULL, e);
	free(mine);
	return rc < 0 ? imapstore_fail(t, e) : 0;
}

/* ---- removals ---- */

struct searching {
	struct uidset *out;
};

/* imap_on of UID SEARCH DELETED */
static int on_search(void *arg, const struct imap_resp *r, struct err *e)
{
	struct searching *w = arg;

	if (r->kind != IMAP_SEARCH && r->kind != IMAP_ESEARCH)
		return 0;
	return uidset_unite(w->out, r->search.all, e);
}

/* What is marked as deleted in the open box. */
static int search_deleted(struct imapstore *t, struct uidset *out, struct err *e)
{
	struct searching w = { .out = out };
	struct err why = ERR_INIT;
	uint32_t tag;
	int rc;

	if (imap_send(&t->conn, &tag, e, "UID SEARCH %sDELETED",
		    t->conn.caps.have & IMAP_CAP_ESEARCH ? "RETURN (ALL) " : "") < 0)
		return imapstore_broken(t, e);
	rc = imapstore_finish(t, tag, on_search, &w, NULL, &why, e);
	if (rc == 0) {
		if (why.span == SPAN_MSG)
			why.span = SPAN_BOX;
		imapstore_give(e, &why);
		err_in(e, "'%s'", t->box->name);
	}
	return rc > 0 ? 0 : -1;
}

/* Does the box hold marked messages that are not among these? 1, 0, -1. */
static int others_marked(struct imapstore *t, const struct flag_change *c, size_t n, struct err *e)
{
	struct uidset marked = UIDSET_INIT;
	int rc = search_deleted(t, &marked, e);

	if (rc == 0)
		rc = uidset_subtract(&marked, &t->marked, e);
	for (size_t i = 0; rc == 0 && marked.n > 0 && i < n; i++)
		rc = uidset_remove(&marked, (uint32_t)c[i].num, e);
	if (rc == 0)
		rc = marked.n > 0;
	uidset_release(&marked);
	return rc;
}

/* What is refused may be so because the trash is not there. */
static int make_trash(struct imapstore *t, struct job *j, struct err *e)
{
	struct imapfolder *f;

	(void)j;
	if (imaptree_find(t, t->s.trash, &f, e) < 0)
		return -1;
	return imaptree_create(t, f, FOLDER_TRASH, e);
}

/* MOVE or COPY to the trash. */
static int to_trash(struct imapstore *t, struct job *j, struct err *e)
{
	struct imapfolder *f;

	if (imaptree_find(t, t->s.trash, &f, e) < 0)
		return -1;
	if (t->listed && !f->listed && imaptree_create(t, f, FOLDER_TRASH, e) < 0)
		return -1;
	j->wire = f->wire;
	return run(t, j, make_trash, e);
}

/* job.done of a mark that can't be followed by its removal */
static int tell_stuck(
	struct imapstore *t, struct job *j, uint64_t num, const struct err *why, struct err *e)
{
	struct err stuck = ERR_INIT;

	(void)t;
	(void)e;
	err_set_span(&stuck, ERR_REFUSED, SPAN_MSG,
		"message %" PRIu64 " is marked as deleted but not removed: others there are "
		"marked, too, and the server can't remove single ones (no UIDPLUS)",
		num);
	j->tell(j->arg, num, why ? why : &stuck);
	return 0;
}

/* Can't anything be marked as deleted here? What was copied to the trash for it would be so in each run. */
static bool keeps_all(const struct imapstore *t)
{
	return t->sel.has_permanent && !(t->sel.permanent & FLAG_DELETED);
}

/* Remove, without a MOVE. copy: to the trash first. */
static int mark(struct imapstore *t, struct job *j, bool copy, struct err *e)
{
	struct uidset copied = UIDSET_INIT, marked = UIDSET_INIT;
	struct flag_change *c = j->c;
	int stuck = 0, rc = 0;

	if (copy && keeps_all(t)) {
		struct err why = ERR_INIT;

		err_set_span(&why, ERR_REFUSED, SPAN_MSG, "nothing in '%s' may be removed", t->box->name);
		for (size_t i = 0; i < j->n; i++)
			j->tell(j->arg, c[i].num, &why);
		return 0;
	}
	if (!(t->conn.caps.have & IMAP_CAP_UIDPLUS))
		stuck = others_marked(t, c, j->n, e);
	if (stuck < 0)
		return -1;
	if (copy && !stuck) { /* stuck: or each run would copy them again */
		struct job cp = { .verb = "COPY",
			.failing = "can't be copied to the trash",
			.c = c,
			.n = j->n,
			.done = tell_refused,
			.tell = j->tell,
			.arg = j->arg,
			.ok = &copied };
		size_t n = 0;

		rc = to_trash(t, &cp, e);
		for (size_t i = 0; i < j->n; i++)
			if (uidset_has(&copied, (uint32_t)c[i].num))
				c[n++] = c[i];
		j->n = n;
	}
	if (rc == 0) {
		j->done = stuck ? tell_stuck : tell_done;
		j->ok = stuck ? NULL : &marked;
		rc = run(t, j, NULL, e);
	}
	if (uidset_unite(&t->marked, &marked, rc == 0 ? e : NULL) < 0)
		rc = -1;
	uidset_release(&copied);
	uidset_release(&marked);
	return rc;
}

/* store_ops.remove */
int imapmark_remove(
	struct store *s, const uint64_t *nums, size_t n, done_fn *done, void *arg, struct err *e)
{
	struct imapstore *t = imapstore_of(s);
	struct job j = { .failing = "can't be removed",
		.tell = done,
		.arg = arg,
		.n = n,
		.done = tell_done };
	struct flag_change *c;
	bool trash;
	int rc;

	if (imapstore_need_box(t, true, e) < 0)
		return -1;
	j.c = calloc(n ? n : 1, sizeof(*j.c));
	if (!j.c) {
		err_set(e, ERR_LOCAL, "out of memory");
		return imapstore_fail(t, e);
	}
	for (size_t i = 0; i < n; i++)
		j.c[i] = (struct flag_change){ .num = nums[i], .add = FLAG_DELETED };
	c = j.c;
	trash = s->trash && strcmp(s->trash, t->box->name) != 0;
	t->sel.stale |= n > 0;
	if (trash && t->conn.caps.have & IMAP_CAP_MOVE) {
		j.verb = "MOVE";
		rc = to_trash(t, &j, e);
	} else {
		rc = mark(t, &j, trash, e);
	}
	free(c);
	return rc < 0 ? imapstore_fail(t, e) : 0;
}

/* imapstore_flight.send of UID EXPUNGE: the i-th so many ranges */
static int send_expunge(struct imapstore *t, void *arg, size_t i, uint32_t *tag, struct err *e)
{
	struct strbuf text = STRBUF_INIT(IMAP_COMMAND_MAX);
	const size_t *at = arg;
	size_t from = at[i];
	int rc;

	if (uidset_print(&t->marked, &from, IMAPSTORE_SET_MAX, &text) < 0)
		rc = err_set(e, ERR_LOCAL, "out of memory");
	else
		rc = imap_send(&t->conn, tag, e, "UID EXPUNGE %s", strbuf_str(&text));
	strbuf_release(&text);
	return rc;
}

/* A refusal ends it: nobody knows what was removed. */
static int end_expunge(struct imapstore *t, void *arg, size_t i, const struct imap_resp *r,
	const struct err *why, struct err *e)
{
	(void)t;
	(void)arg;
	(void)i;
	if (r)
		return 0;
	*e = *why;
	if (e->span == SPAN_MSG)
		e->span = SPAN_BOX;
	return -1;
}

/* Remove exactly what we marked. */
static int expunge_ours(struct imapstore *t, struct err *e)
{
	struct imapstore_flight f = { .send = send_expunge, .end = end_expunge };
	struct strbuf text = STRBUF_INIT(IMAP_COMMAND_MAX);
	VEC(size_t) at = { 0 };
	int rc = 0;

	for (size_t from = 0; rc == 0 && from < t->marked.n;) {
		rc = vec_push(&at, from);
		strbuf_clear(&text);
		if (rc == 0)
			rc = uidset_print(&t->marked, &from, IMAPSTORE_SET_MAX, &text);
	}
	if (rc < 0) {
		err_set(e, ERR_LOCAL, "out of memory");
	} else {
		f.n = at.n;
		f.arg = at.a;
		rc = imapstore_fly(t, &f, e);
	}
	vec_release(&at);
	strbuf_release(&text);
	return rc;
}

/* Without UIDPLUS: remove all that is marked, if that is what we marked. */
static int expunge_all(struct imapstore *t, struct err *e)
{
	int others = others_marked(t, NULL, 0, e), rc;
	struct err why = ERR_INIT;
	uint32_t tag;

	if (others < 0)
		return -1;
	if (others)
		return err_set_span(e, ERR_REFUSED, SPAN_BOX,
			"'%s': nothing is removed: somebody else marked messages as deleted, and "
			"the server can't remove single ones (no UIDPLUS)",
			t->box->name);
	if (imap_send(&t->conn, &tag, e, "EXPUNGE") < 0)
		return imapstore_broken(t, e);
	rc = imapstore_finish(t, tag, NULL, NULL, NULL, &why, e);
	return rc == 0 ? end_expunge(t, NULL, 0, NULL, &why, e) : rc < 0 ? -1 : 0;
}

/* store_ops.commit */
int imapmark_commit(struct store *s, struct err *e)
{
	struct imapstore *t = imapstore_of(s);
	int rc = imapstore_need_box(t, false, e);

	if (rc == 0 && t->marked.n > 0) {
		rc = t->conn.caps.have & IMAP_CAP_UIDPLUS ? expunge_ours(t, e) : expunge_all(t, e);
		if (rc < 0)
			imapstore_fail(t, e);
		t->sel.stale = true;
	}
	uidset_clear(&t->marked);
	t->box = NULL;
	return rc;
}
