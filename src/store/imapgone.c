/*
 * What is gone from an IMAP folder since the base was made. Nothing counts as gone by an answer
 * that contradicts how many messages the server says there are.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "store/imaplook_p.h"

#define FEW 1000 /* so many UIDs that are gone are told without asking which of them are known */

struct knowing {
	VEC(uint32_t) uids;
	uint32_t from, to;
};

/* A key that the base knows. */
static int know(void *to, struct slice key, struct err *e)
{
	struct knowing *w = to;
	uint32_t uid;

	if (!imapstore_uid(key, &uid) || uid < w->from || uid > w->to)
		return 0;
	return vec_push(&w->uids, uid) < 0 ? err_set(e, ERR_LOCAL, "out of memory") : 0;
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* What the base knows of the folder, in a range. */
static int ask_known(
	struct imapstore *t, uint32_t from, uint32_t to, struct uidset *out, struct err *e)
{
	struct imaplook_item *it = imaplook_current(t->look);
	const struct look *l = &t->look->l[it->i];
	struct knowing w = { .from = from, .to = to };
	int rc = l->known ? l->known(l->arg, l->folder, know, &w, e) : 0;

	if (rc == 0 && w.uids.n > 0)
		qsort(w.uids.a, w.uids.n, sizeof(w.uids.a[0]), by_number);
	for (size_t i = 0; rc == 0 && i < w.uids.n; i++)
		rc = uidset_add(out, w.uids.a[i], e);
	vec_release(&w.uids);
	return rc;
}

/* A listing by which some would count as gone that the server says are there. */
static int too_few(struct imapstore *t, uint64_t listed, struct err *e)
{
	const struct imaplook *k = t->look;

	return err_set_span(e, k->expunged ? ERR_TEMP : ERR_PROTO, SPAN_BOX,
		"'%s': the server says that there are %" PRIu32 " messages but lists %" PRIu64 "%s",
		imaplook_current(t->look)->f->name, t->sel.exists, listed,
		k->expunged ? "; some were removed meanwhile" : "");
}

/* By VANISHED. */
static int gone_by_vanished(struct imapstore *t, struct err *e)
{
	struct imaplook *k = t->look;
	const struct imapstamp *base = &imaplook_current(k)->base;
	/* So many can have gone at most, or more would be there than EXISTS says. */
	const int64_t most = (int64_t)base->messages + (int64_t)k->fresh + (int64_t)k->expunged -
		(int64_t)t->sel.exists;
	int64_t left;

	if (base->uidnext < UINT32_MAX &&
		uidset_remove_range(&k->vanished, base->uidnext, UINT32_MAX, e) < 0)
		return -1;
	if (uidset_subtract(&k->vanished, &k->seen, e) < 0)
		return -1;
	if (uidset_count(&k->vanished) <= FEW && (int64_t)uidset_count(&k->vanished) <= most)
		return uidset_unite(&k->gone, &k->vanished, e);
	if (ask_known(t, 1, base->uidnext - 1, &k->gone, e) < 0 ||
		uidset_intersect(&k->gone, &k->vanished, e) < 0)
		return -1;
	left = (int64_t)base->messages - (int64_t)uidset_count(&k->gone);
	if ((int64_t)uidset_count(&k->gone) <= most)
		return 0;
	too_few(t, (uint64_t)(left > 0 ? left : 0) + k->fresh, e);
	return err_hint(
		e, "if it stays so, disable-extensions = { QRESYNC } has it asked another way");
}

/* By a search for what is left. */
static int gone_by_search(struct imapstore *t, struct err *e)
{
	struct imaplook *k = t->look;
	const struct imapstamp *base = &imaplook_current(k)->base;

	if (base->uidnext < UINT32_MAX &&
		uidset_remove_range(&k->found, base->uidnext, UINT32_MAX, e) < 0)
		return -1;
	if (uidset_count(&k->found) + k->fresh + k->expunged < t->sel.exists)
		return too_few(t, uidset_count(&k->found) + k->fresh, e);
	if (ask_known(t, 1, base->uidnext - 1, &k->gone, e) < 0 ||
		uidset_subtract(&k->gone, &k->found, e) < 0)
		return -1;
	return uidset_subtract(&k->gone, &k->seen, e);
}

/*
 * Is what is new listed whole? So many must have come as EXISTS has grown, and as many more as went
 * of those that were there. (What went that the base did not know is missed here.)
 */
static int check_new(struct imapstore *t, struct err *e)
{
	struct imaplook *k = t->look;
	const struct imapstamp *base = &imaplook_current(k)->base;
	struct uidset went = UIDSET_INIT;
	int rc = k->gone.n > 0 ? ask_known(t, 1, base->uidnext - 1, &went, e) : 0;

	if (rc == 0)
		rc = uidset_intersect(&went, &k->gone, e);
	if (rc == 0) {
		int64_t left = (int64_t)base->messages - (int64_t)uidset_count(&went);

		if (left + (int64_t)(k->fresh + k->expunged) < (int64_t)t->sel.exists)
			rc = too_few(t, (uint64_t)(left > 0 ? left : 0) + k->fresh, e);
	}
	uidset_release(&went);
	return rc;
}

/*
 * Of those that the base got after its stamp (we brought them there): what is new is listed whole,
 * so what is not listed of these is gone. Where as many are listed as UIDs were given, none can be.
 * A search was held against EXISTS already.
 */
static int gone_of_new(struct imapstore *t, struct err *e)
{
	struct imaplook *k = t->look;
	const struct imapstamp *base = &imaplook_current(k)->base;
	struct uidset known = UIDSET_INIT;
	int rc;

	if (t->sel.uidnext != 0 && k->fresh >= t->sel.uidnext - base->uidnext)
		return 0;
	rc = imaplook_vanished(t) || !imaplook_current(k)->search ? check_new(t, e) : 0;
	if (rc == 0)
		rc = ask_known(t, base->uidnext, UINT32_MAX, &known, e);
	if (rc == 0)
		rc = uidset_subtract(&known, &k->seen, e);
	if (rc == 0)
		rc = uidset_unite(&k->gone, &known, e);
	uidset_release(&known);
	return rc;
}

/* All answers are there: is the listing whole, and what is gone? */
int imapgone_find(struct imapstore *t, struct err *e)
{
	struct imaplook *k = t->look;
	const struct imaplook_item *it = imaplook_current(k);
	int rc = 0;

	if (it->mode != MODE_MODSEQ)
		rc = k->listed < t->sel.exists ? too_few(t, k->listed, e) : 0;
	else if (imaplook_vanished(t))
		rc = gone_by_vanished(t, e);
	else if (it->search && it->base.uidnext > 1)
		rc = gone_by_search(t, e);
	if (rc == 0 && it->mode == MODE_MODSEQ)
		rc = gone_of_new(t, e);
	k->going = (struct uidset_iter){ .set = &k->gone };
	k->finished = rc == 0;
	return rc;
}
