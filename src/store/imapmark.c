/*
 * Flags of messages in an IMAP mailbox, and removals: by the very UIDs (imapbatch_p.h).
 *
 * Removal is a MOVE to the trash where there is one, unless that takes more than is meant
 * (imaplabels.c), else \Deleted and, at the end, or at once if that is near, UID EXPUNGE of what we
 * marked (RFC 4315). A server without UIDPLUS can remove only all that is marked: that is asked of it when nothing but ours is.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "store/imapbatch_p.h"

/* imapbatch.done of what goes on when it went well */
static int tell_refused(
	struct imapstore *t, struct imapbatch *j, uint64_t num, const struct err *why, struct err *e)
{
	(void)t;
	(void)e;
	if (why)
		j->tell(j->arg, num, why);
	return 0;
}

/* store_ops.set_flags */
int imapmark_set_flags(struct store *s, const struct flag_change *c, size_t n, imapbatch_done *done,
	void *arg, struct err *e)
{
	struct imapstore *t = imapstore_of(s);
	struct imapbatch j = { .failing = "can't be given its flags",
		.done = imapbatch_tell,
		.tell = done,
		.arg = arg };
	struct flag_change *mine;
	uint64_t holds;
	int rc;

	if (imapput_beside(t, true, e) < 0)
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
	j.along = imapident_along(t);
	t->sel.stale |= j.n > 0;
	rc = imapbatch_run(t, &j, NULL, e);
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
static int make_trash(struct imapstore *t, struct imapbatch *j, struct err *e)
{
	struct imapfolder *f;

	(void)j;
	if (imaptree_find(t, t->s.trash, &f, e) < 0)
		return -1;
	return imaptree_create(t, f, FOLDER_TRASH, e);
}

/* MOVE or COPY to the trash. */
static int to_trash(struct imapstore *t, struct imapbatch *j, struct err *e)
{
	struct imapfolder *f;

	if (imaptree_find(t, t->s.trash, &f, e) < 0)
		return -1;
	if (t->listed && !f->listed && imaptree_create(t, f, FOLDER_TRASH, e) < 0)
		return -1;
	j->wire = f->wire;
	return imapbatch_run(t, j, make_trash, e);
}

/* imapbatch.done of a mark that can't be followed by its removal */
static int tell_stuck(
	struct imapstore *t, struct imapbatch *j, uint64_t num, const struct err *why, struct err *e)
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

/* None of them is touched. */
static int refuse_all(struct imapstore *t, struct imapbatch *j, const char *why)
{
	struct err e = ERR_INIT;

	err_set_span(&e, ERR_REFUSED, SPAN_MSG, "nothing in '%s' may be removed%s", t->box->name, why);
	for (size_t i = 0; i < j->n; i++)
		j->tell(j->arg, j->c[i].num, &e);
	return 0;
}

/*
 * May they be expunged together with the mark? Where the server then says which are gone (VANISHED,
 * RFC 7162): what it does not name it is asked for once more, by commit.
 */
static bool may_expunge(const struct imapstore *t)
{
	return t->s.ending && t->conn.caps.have & IMAP_CAP_UIDPLUS && t->conn.enabled & IMAP_CAP_QRESYNC;
}

/* Remove, without a MOVE. */
int imapmark_mark(struct imapstore *t, struct imapbatch *j, struct imapbatch *cp, struct err *e)
{
	struct uidset marked = UIDSET_INIT, gone = UIDSET_INIT;
	struct flag_change *c = j->c;
	int stuck = 0, rc = 0;

	if (cp && keeps_all(t))
		return refuse_all(t, j, "");
	if (!(t->conn.caps.have & IMAP_CAP_UIDPLUS))
		stuck = others_marked(t, c, j->n, e);
	if (stuck < 0)
		return -1;
	if (stuck && cp && cp->wire) /* it is not there, so nothing may say that it can go here */
		return refuse_all(t, j, " alone: others there are marked as deleted, and the server can't remove single ones (no UIDPLUS)");
	if (cp && !stuck) { /* stuck: or each run would copy them again */
		size_t n = 0;

		cp->verb = "COPY";
		cp->c = c;
		cp->n = j->n;
		cp->done = tell_refused;
		rc = cp->wire ? imapbatch_run(t, cp, NULL, e) : to_trash(t, cp, e);
		for (size_t i = 0; i < j->n; i++)
			if (uidset_has(cp->ok, (uint32_t)c[i].num))
				c[n++] = c[i];
		j->n = n;
	}
	if (rc == 0) {
		j->done = stuck ? tell_stuck : imapbatch_tell;
		j->ok = stuck ? NULL : &marked;
		j->gone = may_expunge(t) ? &gone : NULL;
		rc = imapbatch_run(t, j, NULL, e);
		j->gone = NULL;
	}
	if (!j->kept && uidset_subtract(&marked, &gone, rc == 0 ? e : NULL) < 0)
		rc = -1;
	if (uidset_unite(&t->marked, &marked, rc == 0 ? e : NULL) < 0)
		rc = -1;
	uidset_release(&marked);
	uidset_release(&gone);
	return rc;
}

/* store_ops.remove */
int imapmark_remove(
	struct store *s, const uint64_t *nums, size_t n, imapbatch_done *done, void *arg, struct err *e)
{
	struct imapstore *t = imapstore_of(s);
	struct imapbatch j = { .failing = "can't be removed",
		.tell = done,
		.arg = arg,
		.done = imapbatch_tell };
	struct uidset copied = UIDSET_INIT;
	struct imapbatch cp = { .failing = "can't be copied to the trash",
		.tell = done,
		.arg = arg,
		.ok = &copied };
	struct flag_change *c;
	size_t elsewhere = 0;
	bool trash;
	int rc = 0;

	if (imapstore_need_box(t, true, e) < 0)
		return -1;
	c = calloc(n ? n : 1, sizeof(*c));
	if (!c) {
		err_set(e, ERR_LOCAL, "out of memory");
		return imapstore_fail(t, e);
	}
	for (size_t i = 0; i < n; i++)
		c[i] = (struct flag_change){ .num = nums[i], .add = FLAG_DELETED };
	trash = s->trash && strcmp(s->trash, t->box->name) != 0;
	t->sel.stale |= n > 0;
	if (trash)
		rc = imaplabels_sort(t, c, n, &elsewhere, e);
	if (rc == 0 && elsewhere > 0) {
		struct imapbatch only = j;

		only.c = c;
		only.n = elsewhere;
		s->elsewhere = true;
		rc = imapmark_mark(t, &only, NULL, e);
		s->elsewhere = false;
	}
	j.c = c + elsewhere;
	j.n = n - elsewhere;
	if (rc == 0 && j.n > 0 && trash && t->conn.caps.have & IMAP_CAP_MOVE) {
		j.verb = "MOVE";
		rc = to_trash(t, &j, e);
	} else if (rc == 0 && j.n > 0) {
		rc = imapmark_mark(t, &j, trash ? &cp : NULL, e);
	}
	free(c);
	uidset_release(&copied);
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

/* Remove what is marked. */
int imapmark_expunge(struct imapstore *t, struct err *e)
{
	int rc = 0;

	if (t->marked.n > 0) {
		rc = t->conn.caps.have & IMAP_CAP_UIDPLUS ? expunge_ours(t, e) : expunge_all(t, e);
		t->sel.stale = true;
	}
	uidset_clear(&t->marked);
	return rc;
}

/* store_ops.commit */
int imapmark_commit(struct store *s, struct err *e)
{
	struct imapstore *t = imapstore_of(s);
	int rc = imapstore_need_box(t, false, e);

	if (rc == 0 && imapmark_expunge(t, e) < 0)
		rc = imapstore_fail(t, e);
	uidset_clear(&t->marked);
	t->box = NULL;
	return rc;
}
