/*
 * Looks at the folders of an IMAP account, the cheapest way that each allows. The commands of all
 * folders are in flight while the answers of the first are read:
 *
 *   MODE_MODSEQ  what has changed since a HIGHESTMODSEQ (RFC 7162), what is new, and what is
 *                gone: by VANISHED with QRESYNC, else by a SEARCH for what is left, which is sent
 *                only when the numbers don't prove that nothing can be gone
 *   MODE_FLAGS   the flags of all that were there, and what is new
 *   MODE_FULL    all of all
 *
 * A look tells the state as of its SELECT. What happens later may be told or not; the stamp is that
 * of the SELECT, so that the next look tells it. Whether the way was the right one is seen at the
 * SELECT's end, before anything is told; if not, the folder is asked again, another way, behind all
 * others.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "mail/imapdate.h"
#include "store/imaplook_p.h"

#define RANGES_MAX (4u << 20)  /* of a set that a server fills */
#define EFFORT_MAX (64u << 20) /* ranges looked at to fill it */
#define DISORDER_MAX 4096      /* messages that are not listed in ascending order */
#define FLOOD_MAX 100000       /* messages beyond twice what EXISTS said */

void imaplook_free(struct imaplook *k)
{
	if (!k)
		return;
	vec_release(&k->items);
	uidset_release(&k->seen);
	uidset_release(&k->vanished);
	uidset_release(&k->found);
	uidset_release(&k->gone);
	ident_reader_free(k->part.reader);
	free(k);
}

void imaplook_drop(struct imapstore *t)
{
	if (t->look)
		t->look->active = t->look->told = t->look->early = false;
}

/* ---- what is answered ---- */

/* Are all commands of an item that were sent, or will be, over? */
static bool over(const struct imaplook *k, const struct imaplook_item *it)
{
	return (it->sent == it->n || k->stop) && it->ended == (1u << it->sent) - 1;
}

/* Begin to read the current item. */
static void enter(struct imapstore *t)
{
	struct imaplook *k = t->look;

	uidset_clear(&k->seen);
	uidset_clear(&k->vanished);
	uidset_clear(&k->found);
	uidset_clear(&k->gone);
	k->finished = k->told = false;
	k->effort = 0;
	k->rows = k->listed = k->fresh = k->expunged = 0;
	k->disorder = 0;
	k->part.id = (struct ident){ 0 };
	k->entered = true;
	/* whoever wants no more of it may have given up the tables */
	imapselect_begin(t, k->stop ? NULL : imaplook_current(k)->keywords);
}

/* This can't be; the folder is given up. */
int imaplook_nonsense(const struct imaplook_item *it, struct err *e, const char *what)
{
	return err_set_span(e, ERR_PROTO, SPAN_BOX, "'%s': the server %s", it->f->name, what);
}

/* And it does not end: nothing more is heard of it. */
static int endless(struct imapstore *t, struct err *e, const char *what)
{
	const struct imaplook_item *it = imaplook_current(t->look);

	t->conn.dead = true;
	imaplook_nonsense(it, e, what);
	return imapstore_broken(t, e);
}

/* Add UIDs that the server names to a set of ours. */
static int gather(struct imapstore *t, struct uidset *s, const struct uidset *more, struct err *e)
{
	struct imaplook *k = t->look;

	k->effort += s->n + more->n;
	if (k->effort > EFFORT_MAX || s->n + more->n > RANGES_MAX)
		return endless(t, e, "names messages without end");
	return uidset_unite(s, more, e);
}

/* Make a message of a row: 1, 0 it is of no interest, -1. */
static int take_row(
	struct imapstore *t, const struct imap_fetch *f, struct store_msg *m, struct err *e)
{
	struct imaplook *k = t->look;
	const struct imaplook_item *it = imaplook_current(k);
	const bool full = f->has & (IMAP_HAS_DATE | IMAP_HAS_RFC822_SIZE),
		   fresh = f->uid >= imaplook_new_from(it);
	struct ident id;
	uint64_t flags;

	imapident_take(t, &k->part, f, &id);
	if (!(f->has & IMAP_HAS_UID) || !(f->has & IMAP_HAS_FLAGS))
		return 0;
	/*
	 * News of a new one before its row, and the last one, which "n:*" always brings (RFC 3501
	 * section 9, seq-range).
	 */
	if (fresh || it->sizes ? !full : full && it->mode == MODE_MODSEQ)
		return 0;
	if (uidset_has(&k->seen, f->uid))
		return 0;
	if (f->uid < uidset_max(&k->seen) && ++k->disorder > DISORDER_MAX)
		return imaplook_nonsense(it, e, "lists its messages in disorder");
	if (uidset_add(&k->seen, f->uid, e) < 0)
		return -1;
	if (++k->rows > 2 * (uint64_t)t->sel.exists + FLOOD_MAX || k->seen.n > RANGES_MAX)
		return endless(t, e, "lists messages without end");
	if (t->sel.uidnext == 0 || f->uid < t->sel.uidnext) {
		k->listed++;
		k->fresh += fresh;
	}
	if (imapselect_flags(it->keywords, &f->flags, &flags, e) < 0)
		return -1;
	snprintf(k->key, sizeof(k->key), "%" PRIu32, f->uid);
	*m = (struct store_msg){ .num = f->uid,
		.key = slice_str(k->key),
		.flags = flags,
		.size = id.size,
		.date = id.date > 0 ? id.date : 0,
		.has_object = id.has_object,
		.has_mid = id.has_mid };
	memcpy(m->object, id.object, sizeof(m->object));
	memcpy(m->mid, id.mid, sizeof(m->mid));
	return 1;
}

/* Data of a folder that is selected. 1 with a message. */
static int take_data(
	struct imapstore *t, const struct imap_resp *r, struct store_msg *m, struct err *e)
{
	struct imaplook *k = t->look;

	switch (r->kind) {
	case IMAP_FETCH_BODY:
		return k->part.reader ? imapident_hear(&k->part, r, e) : 0;
	case IMAP_FETCH:
		return take_row(t, &r->fetch, m, e);
	case IMAP_VANISHED:
		if (r->earlier)
			return gather(t, &k->vanished, r->search.all, e);
		k->expunged += uidset_count(r->search.all);
		return 0;
	case IMAP_EXPUNGE:
		k->expunged++;
		return 0;
	case IMAP_SEARCH:
	case IMAP_ESEARCH:
		return imaplook_current(k)->search ? gather(t, &k->found, r->search.all, e) : 0;
	default:
		return 0;
	}
}

/* Is a command one of a folder that is to be read later? */
static bool is_later(const struct imaplook *k, uint32_t tag)
{
	for (size_t i = k->reading + 1; i < k->items.n; i++)
		for (unsigned c = 0; c < k->items.a[i].sent; c++)
			if (k->items.a[i].tags[c] == tag)
				return true;
	return false;
}

/* The end of a command: ok, or why not. */
static int take_end(struct imapstore *t, uint32_t tag, const struct imap_resp *r, struct err *why,
	struct err *e)
{
	struct imaplook *k = t->look;
	struct imaplook_item *it = imaplook_current(k);
	unsigned c = 0;
	int rc = 0;

	while (c < it->sent && it->tags[c] != tag)
		c++;
	if (c == it->sent) {
		/*
		 * a listing may have left one behind; what is of a later folder must not come yet,
		 * for all before it could be of either
		 */
		return is_later(k, tag) ? imapstore_disorder(t, e) : 0;
	}
	if (c > 0 && !(it->ended & 1))
		return imapstore_disorder(t, e);
	it->ended |= 1u << c;
	if (it->cmds[c] == CMD_SELECT) {
		t->sel.f = NULL;
		if (r)
			rc = imapselect_end(t, it->f, k->how & BOX_WRITE, r, e);
	}
	/* An empty mailbox may have it that there is nothing to fetch. */
	if (!r && !it->skip && (it->cmds[c] == CMD_SELECT || t->sel.exists > 0)) {
		if (why->span == SPAN_MSG)
			why->span = SPAN_BOX;
		err_in(why, "'%s'", it->f->name);
		imapstore_give(e, why);
		rc = -1;
	}
	if (rc < 0)
		it->skip = true;
	return rc;
}

/* Send what may be sent and read one answer to the current item. 1 with a message, 0, -1. */
static int step(struct imapstore *t, struct store_msg *m, struct err *e)
{
	struct imaplook *k = t->look;
	const struct imap_resp *r = NULL;
	struct err why = ERR_INIT;
	struct imaplook_item *it;
	uint32_t tag;
	int rc;

	if (imaplook_pump(t, e) < 0)
		return -1;
	it = imaplook_current(k);
	switch (imap_next(&t->conn, &tag, &r, &why)) {
	case IMAP_LOST:
		t->conn.dead = true;
		imapstore_give(e, &why);
		return imapstore_broken(t, e);
	case IMAP_REFUSED:
		return take_end(t, tag, NULL, &why, e);
	case IMAP_DONE:
		return take_end(t, tag, r, &why, e);
	case IMAP_DATA:
		break;
	}
	if (!(it->ended & 1))
		return imapselect_data(t, r, e);
	if (it->skip)
		return 0;
	rc = take_data(t, r, m, e);
	if (rc < 0)
		it->skip = true;
	return rc;
}

/* Read over what is left of the current item, and leave it. */
static int leave(struct imapstore *t, struct err *e)
{
	struct imaplook *k = t->look;
	struct store_msg m;

	imaplook_current(k)->skip = true;
	while (!over(k, imaplook_current(k)))
		if (step(t, &m, e) < 0 && !k->active)
			return -1;
	k->reading++;
	k->entered = k->told = false;
	return 0;
}

int imaplook_settle(struct imapstore *t, struct err *e)
{
	struct imaplook *k = t->look;

	if (!k || !k->active)
		return 0;
	k->stop = true;
	k->early = false;
	t->sel.keywords = NULL;
	while (k->active && k->reading < k->items.n && imaplook_current(k)->sent > 0) {
		if (!k->entered)
			enter(t);
		if (leave(t, e) < 0)
			return -1;
	}
	k->active = k->told = false;
	return 0;
}

/* ---- the interface ---- */

struct imaplook *imaplook_fresh(struct imapstore *t, struct err *e)
{
	struct imaplook *k = t->look;

	if (!k)
		k = t->look = calloc(1, sizeof(*k));
	if (!k) {
		err_set(e, ERR_LOCAL, "out of memory");
		return NULL;
	}
	vec_clear(&k->items);
	k->sending = k->reading = 0;
	k->entered = k->told = k->active = k->stop = k->early = false;
	return k;
}

/* The look that was asked early is the one of l[i]; it comes first. */
static struct imaplook *adopt_early(struct imapstore *t, const struct look *l, size_t i)
{
	struct imaplook *k = t->look;

	k->early = false;
	k->items.a[0].i = i;
	k->items.a[0].sizes = l[i].sizes;
	k->items.a[0].keywords = l[i].keywords;
	return k;
}

/* Announce folders; the link stands. early: the place of the one that is on its way already; or n. */
static int begin(struct imapstore *t, const struct look *l, size_t n, unsigned how, size_t early, struct err *e)
{
	struct imaplook *k = early < n ? adopt_early(t, l, early) : imaplook_fresh(t, e);

	if (!k)
		return -1;
	/* what is enabled decides how to ask */
	if (early == n && imap_settle(&t->conn, e) < 0)
		return imapstore_broken(t, e);
	k->l = l;
	k->how = how;
	for (size_t i = 0; i < n; i++) {
		struct imaplook_item it = { .i = i };

		if (i == early)
			continue;
		if (imaptree_find(t, l[i].folder, &it.f, e) < 0)
			return -1;
		imaplook_plan(t, &it, &l[i]);
		if (it.idents && !k->part.reader && !(k->part.reader = ident_reader_new(e)))
			return -1;
		if (vec_push(&k->items, it) < 0)
			return err_set(e, ERR_LOCAL, "out of memory");
	}
	k->active = true;
	if (imaplook_pump(t, e) < 0)
		return -1;
	/* it is on its way while the caller does other things */
	return imap_flush(&t->conn, e) < 0 ? imapstore_broken(t, e) : 0;
}

/* store_ops.look */
int imaplook_look(struct store *s, const struct look *l, size_t n, unsigned how, struct err *e)
{
	struct imapstore *t = imapstore_of(s);
	size_t early = n;

	if (!imaplook_early_fits(t, l, n, how, &early) && imapstore_ready(t, e) < 0)
		return -1;
	t->box = NULL;
	uidset_clear(&t->marked);
	return begin(t, l, n, how, early, e) < 0 ? imapstore_fail(t, e) : 0;
}

/* The same folder again, behind all others, another way. */
static int again(struct imapstore *t, enum imaplook_mode mode, bool search, struct err *e)
{
	struct imaplook *k = t->look;
	const struct imaplook_item *it = imaplook_current(k);
	struct imaplook_item other = {
		.i = it->i, .f = it->f, .base = it->base, .mode = mode, .search = search,
		.sizes = it->sizes, .idents = it->idents, .keywords = it->keywords
	};

	log_debug("%s: '%s' is to be asked once more", t->login.what, it->f->name);
	if (it->anew) { /* STATUS spoke of another UIDVALIDITY than SELECT */
		it->f->stamp = (struct imapstamp){ 0 };
		imaplook_plan(t, &other, &k->l[it->i]);
	} else {
		other.vanished = imaplook_vanished(t);
		imaplook_plan_commands(&other);
	}
	return vec_push(&k->items, other) < 0 ? err_set(e, ERR_LOCAL, "out of memory") : 0;
}

/* The SELECT is answered: how much will be told? 1 it is to be told, 0 not now, -1. */
static int judge(struct imapstore *t, struct box_info *out, struct err *e)
{
	struct imaplook *k = t->look;
	struct imaplook_item *it = imaplook_current(k);
	const struct imapselected *sel = &t->sel;
	const struct imapstamp *base = &it->base;
	struct imapstamp now = { 0 };
	enum imaplook_mode mode = it->mode;
	bool search = it->search;

	imapselect_info(t, out);
	it->f->looked = sel->validity;
	out->extent = mode == MODE_MODSEQ ? LOOK_CHANGES : LOOK_ALL;
	now.validity = sel->validity;
	now.id = sel->id;
	if (base->validity != 0 &&
		(imapstamp_other(base, &now) ||
			(sel->uidnext != 0 && sel->uidnext < base->uidnext))) {
		/* An UIDNEXT that went back: UIDs may have been given again */
		out->reborn = true;
		out->extent = it->anew ? LOOK_ALL : LOOK_CHANGES;
		it->skip = !it->anew;
		return 1;
	}
	if (mode == MODE_MODSEQ && (sel->modseq == 0 || sel->modseq < base->modseq))
		mode = MODE_FLAGS;
	else if (mode == MODE_MODSEQ && !imaplook_vanished(t) && !search)
		search = sel->uidnext == 0 || !imaplook_nothing_gone(base, sel->exists, sel->uidnext);
	if (mode != it->mode || search != it->search || it->anew || (mode == MODE_MODSEQ && it->vanished != imaplook_vanished(t))) {
		it->skip = true;
		return again(t, mode, search, e);
	}
	if (mode == MODE_MODSEQ && sel->modseq == base->modseq && sel->uidnext == base->uidnext &&
		sel->exists == base->messages) {
		out->extent = LOOK_SAME;
		it->skip = true;
	}
	return 1;
}

/* store_ops.look_box */
int imaplook_box(struct store *s, size_t *i, struct box_info *out, struct err *e)
{
	struct imapstore *t = imapstore_of(s);
	struct imaplook *k = t->look;
	struct store_msg m;
	int rc = 0;

	if (!k || !k->active) {
		if (t->up && t->conn.dead) {
			err_set(e, ERR_TEMP, "the connection is lost");
			return imapstore_fail(t, e);
		}
		return 0;
	}
	while (rc == 0) {
		if (k->entered && leave(t, e) < 0)
			return imapstore_fail(t, e);
		if (k->reading >= k->items.n) {
			k->active = false;
			return 0;
		}
		enter(t);
		*i = imaplook_current(k)->i;
		while (rc == 0 && !(imaplook_current(k)->ended & 1))
			rc = step(t, &m, e);
		if (rc == 0 && t->sel.f)
			rc = judge(t, out, e);
	}
	if (rc < 0)
		return imapstore_fail(t, e);
	k->told = true;
	return 1;
}

/* The next message of the folder that was told. */
static int next(struct imapstore *t, struct store_msg *m, struct err *e)
{
	struct imaplook *k = t->look;
	uint32_t uid;
	int rc;

	if (!k || !k->told) {
		if (t->up && t->conn.dead)
			return err_set(e, ERR_TEMP, "the connection is lost");
		return err_set(e, ERR_BUG, "no folder is looked at");
	}
	if (imaplook_current(k)->skip && !k->finished)
		return 0;
	while (!k->finished && !over(k, imaplook_current(k))) {
		rc = step(t, m, e);
		if (rc != 0)
			return rc;
	}
	if (!k->finished && imapgone_find(t, e) < 0) {
		imaplook_current(k)->skip = true;
		return -1;
	}
	if (!uidset_next(&k->going, &uid))
		return 0;
	snprintf(k->key, sizeof(k->key), "%" PRIu32, uid);
	*m = (struct store_msg){ .num = uid, .key = slice_str(k->key), .gone = true };
	return 1;
}

/* store_ops.look_next */
int imaplook_next(struct store *s, struct store_msg *m, struct err *e)
{
	struct imapstore *t = imapstore_of(s);
	int rc = next(t, m, e);

	return rc < 0 ? imapstore_fail(t, e) : rc;
}

/* store_ops.list_start: a look at the open box. It is selected anew, in the same flight, so that
 * the listing can be held against EXISTS. */
int imaplook_list_start(struct store *s, struct err *e)
{
	struct imapstore *t = imapstore_of(s);
	struct imapfolder *box = t->box;
	struct box_info info;
	uint32_t validity;
	size_t i;
	int rc;

	if (imapstore_need_box(t, false, e) < 0)
		return -1;
	validity = t->sel.validity;
	if (!imaplook_fresh(t, e))
		return -1;
	t->look->own = (struct look){ .folder = box->name, .stamp = "" };
	rc = begin(t, &t->look->own, 1, t->sel.write ? BOX_WRITE : BOX_READ, 1, e);
	if (rc < 0)
		return imapstore_fail(t, e);
	rc = imaplook_box(s, &i, &info, e);
	if (rc <= 0) {
		t->box = NULL;
		return -1;
	}
	if (t->sel.validity != validity) {
		t->box = NULL;
		err_set_span(e, ERR_TEMP, SPAN_BOX,
			"'%s' was made anew (UIDVALIDITY) since it was opened", box->name);
		return imapstore_fail(t, e);
	}
	return 0;
}

/* store_ops.list_next */
int imaplook_list_next(struct store *s, struct store_msg *m, struct err *e)
{
	return imaplook_next(s, m, e);
}
