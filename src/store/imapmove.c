/*
 * Moves of messages from the open IMAP mailbox to another: MOVE (RFC 6851), else COPY and removal;
 * and copies.
 * What their UIDs are there is what COPYUID says (RFC 4315); where it says nothing, nobody knows.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/imapbatch_p.h"

struct moving {
	void (*done)(void *arg, uint64_t num, struct slice key, const struct err *why);
	void *arg;
	struct uidset there; /* they are in the other folder */
	struct uidset left;  /* and about to leave this one */
};

/* imapbatch.tell where no key is known, nor asked for. */
static void tell_keyless(void *arg, uint64_t num, const struct err *why)
{
	struct moving *w = arg;

	w->done(w->arg, num, (struct slice){ 0 }, why);
}

/* imapbatch.tell of a MOVE: what went well is told when all is over. */
static void tell_move(void *arg, uint64_t num, const struct err *why)
{
	if (why)
		tell_keyless(arg, num, why);
}

/* imapbatch.tell of the removal behind a COPY. */
static void tell_mark(void *arg, uint64_t num, const struct err *why)
{
	struct moving *w = arg;

	if (why && !uidset_has(&w->there, (uint32_t)num))
		tell_keyless(arg, num, why);
	else if (why || uidset_add(&w->left, (uint32_t)num, NULL) < 0)
		w->done(w->arg, num, (struct slice){ 0 }, NULL);
}

static int by_from(const void *a, const void *b)
{
	const struct imapbatch_copy *x = a, *y = b;

	return (x->from > y->from) - (x->from < y->from);
}

static int by_to(const void *a, const void *b)
{
	const struct imapbatch_copy *x = a, *y = b;

	return (x->to > y->to) - (x->to < y->to);
}

/* Among those that are the same by an order, one that says otherwise makes all of them doubtful. */
static void doubt(struct imapbatch *j, int (*by)(const void *, const void *))
{
	struct imapbatch_copy *c = j->copies.a;

	if (j->copies.n > 0)
		qsort(c, j->copies.n, sizeof(*c), by);
	for (size_t i = 0, k; i < j->copies.n;) {
		bool sure = true;

		for (k = i; k < j->copies.n && by(&c[k], &c[i]) == 0; k++)
			sure = sure && c[k].from == c[i].from && c[k].to == c[i].to && !c[k].doubtful;
		for (; i < k; i++)
			c[i].doubtful = !sure;
	}
}

/* Tell of those that were moved: no two by one name, nor one by two. */
static void tell_moved(struct moving *w, struct imapbatch *j, const struct uidset *moved)
{
	struct uidset_iter it = { .set = moved };
	uint32_t uid;

	doubt(j, by_to);
	doubt(j, by_from);
	while (uidset_next(&it, &uid)) {
		struct imapbatch_copy key = { .from = uid }, *c = NULL;
		char text[16] = "";

		if (j->copies.n > 0)
			c = bsearch(&key, j->copies.a, j->copies.n, sizeof(key), by_from);
		if (c && !c->doubtful)
			snprintf(text, sizeof(text), "%" PRIu32, c->to);
		w->done(w->arg, uid, slice_str(text), NULL);
	}
}

/* COPY, mark, expunge. */
static int move_by_copy(struct imapstore *t, struct moving *w, struct imapbatch *cp, struct err *e)
{
	struct imapbatch j = { .failing = "can't be removed after it was copied",
		.c = cp->c,
		.n = cp->n,
		.tell = tell_mark,
		.arg = w };

	if (imapmark_mark(t, &j, cp, e) < 0)
		return -1;
	return imapmark_expunge(t, e);
}

/* A batch over nums for another folder: the changes it is made of, to be freed; NULL: closed. */
static struct flag_change *batch_to(struct imapstore *t, struct imapbatch *j, const uint64_t *nums, const char *folder,
	uint32_t add, struct imapfolder **f, struct err *e)
{
	struct flag_change *c;

	if (imaptree_find(t, folder, f, e) < 0) {
		imapstore_fail(t, e);
		return NULL;
	}
	c = calloc(j->n ? j->n : 1, sizeof(*c));
	if (!c) {
		err_set(e, ERR_LOCAL, "out of memory");
		imapstore_fail(t, e);
		return NULL;
	}
	for (size_t i = 0; i < j->n; i++)
		c[i] = (struct flag_change){ .num = nums[i], .add = add };
	j->c = c;
	j->wire = (*f)->wire;
	return c;
}

/* store_ops.move */
int imapmove(struct store *s, const uint64_t *nums, size_t n, const char *folder,
	struct keyword_view *there, void (*done)(void *arg, uint64_t num, struct slice key, const struct err *why),
	void *arg, struct err *e)
{
	struct imapstore *t = imapstore_of(s);
	struct moving w = { .done = done, .arg = arg, .there = UIDSET_INIT, .left = UIDSET_INIT };
	struct imapbatch j = { .verb = "MOVE",
		.failing = "can't be moved",
		.n = n,
		.done = imapbatch_tell,
		.tell = tell_move,
		.arg = &w,
		.ok = &w.there };
	struct flag_change *c;
	struct imapfolder *f;
	bool moves = t->conn.caps.have & IMAP_CAP_MOVE;
	int rc;

	(void)there; /* they go along by their names */
	if (imapstore_need_box(t, true, e) < 0)
		return -1;
	c = batch_to(t, &j, nums, folder, FLAG_DELETED, &f, e);
	if (!c)
		return -1;
	j.validity = f->looked ? f->looked : f->stamp.validity;
	t->sel.stale |= n > 0;
	rc = moves ? imapbatch_run(t, &j, NULL, e) : move_by_copy(t, &w, &j, e);
	if (rc == 0)
		tell_moved(&w, &j, moves ? &w.there : &w.left);
	t->box = NULL;
	free(c);
	vec_release(&j.copies);
	uidset_release(&w.there);
	uidset_release(&w.left);
	return rc < 0 ? imapstore_fail(t, e) : 0;
}

/* store_ops.copy */
int imapmove_copy(struct store *s, const uint64_t *nums, size_t n, const char *folder,
	struct keyword_view *there, void (*done)(void *arg, uint64_t num, struct slice key, const struct err *why),
	void *arg, struct err *e)
{
	struct imapstore *t = imapstore_of(s);
	struct moving w = { .done = done, .arg = arg };
	struct imapbatch j = { .verb = "COPY",
		.failing = "can't be copied",
		.n = n,
		.done = imapbatch_tell,
		.tell = tell_keyless,
		.arg = &w };
	struct flag_change *c;
	struct imapfolder *f;
	int rc;

	(void)there; /* they go along by their names */
	if (imapstore_need_box(t, false, e) < 0)
		return -1;
	c = batch_to(t, &j, nums, folder, 0, &f, e);
	if (!c)
		return -1;
	rc = imapbatch_run(t, &j, NULL, e);
	t->box = NULL;
	free(c);
	return rc < 0 ? imapstore_fail(t, e) : 0;
}
