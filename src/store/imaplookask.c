/* What looks at the folders of an IMAP account ask: see imaplook.c. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "store/imaplook_p.h"

bool imaplook_nothing_gone(const struct imapstamp *base, uint32_t messages, uint32_t uidnext)
{
	return uidnext >= base->uidnext && messages >= base->messages &&
		messages - base->messages == uidnext - base->uidnext;
}

void imaplook_plan_commands(struct imaplook_item *it)
{
	it->cmds[it->n++] = CMD_SELECT;
	if (it->mode != MODE_FULL && it->base.uidnext > 1)
		it->cmds[it->n++] = CMD_OLD;
	if (it->mode == MODE_MODSEQ && it->search && !it->vanished && it->base.uidnext > 1)
		it->cmds[it->n++] = CMD_SEARCH;
	it->cmds[it->n++] = CMD_NEW;
}

/* Is QRESYNC on, or asked to be, before anything is answered? */
static bool will_vanish(const struct imapstore *t)
{
	const unsigned need = IMAP_CAP_QRESYNC | IMAP_CAP_ENABLE;

	return imaplook_vanished(t) || (t->conn.enabled == 0 && (t->conn.caps.have & need) == need);
}

void imaplook_plan(const struct imapstore *t, struct imaplook_item *it, const struct look *l)
{
	const struct imapstamp *now = &it->f->stamp; /* by STATUS */

	if (!imapstamp_parse(l->stamp, &it->base))
		it->base = (struct imapstamp){ 0 };
	it->anew = it->base.validity != 0 && now->validity != 0 &&
		(imapstamp_other(now, &it->base) || (now->uidnext != 0 && now->uidnext < it->base.uidnext));
	if (l->all || it->anew || it->base.validity == 0 || it->base.uidnext == 0)
		it->mode = MODE_FULL;
	else if (it->base.modseq == 0 || !(t->conn.caps.have & IMAP_CAP_CONDSTORE))
		it->mode = MODE_FLAGS;
	else
		it->mode = MODE_MODSEQ;
	it->sizes = l->sizes;
	it->idents = l->idents || it->anew;
	it->keywords = l->keywords;
	it->vanished = imaplook_vanished(t) || (t->look->early && will_vanish(t));
	it->search = now->validity == 0 || !imaplook_nothing_gone(&it->base, now->messages, now->uidnext);
	imaplook_plan_commands(it);
}

/* Send one command. */
static int send_one(struct imapstore *t, struct imaplook_item *it, unsigned c, struct err *e)
{
	struct imap_conn *conn = &t->conn;
	uint32_t *tag = &it->tags[c], last = it->base.uidnext - 1;
	const char *object = imapident_object_item(t);
	char old[64];

	if (it->sizes)
		snprintf(old, sizeof(old), "(UID FLAGS INTERNALDATE RFC822.SIZE%s)", object);
	else
		snprintf(old, sizeof(old), "(UID FLAGS)");

	switch (it->cmds[c]) {
	case CMD_SELECT:
		return imapselect_send(t, it->f, t->look->how & BOX_WRITE, tag, e);
	case CMD_OLD:
		if (it->mode == MODE_FLAGS)
			return imap_send(conn, tag, e, "UID FETCH 1:%" PRIu32 " %s", last, old);
		return imap_send(conn, tag, e,
			"UID FETCH 1:%" PRIu32 " %s (CHANGEDSINCE %" PRIu64 "%s)", last, old,
			it->base.modseq, it->vanished ? " VANISHED" : "");
	case CMD_SEARCH:
		return imap_send(conn, tag, e, "UID SEARCH %sUID 1:%" PRIu32,
			conn->caps.have & IMAP_CAP_ESEARCH ? "RETURN (ALL) " : "", last);
	case CMD_NEW:
		break;
	}
	return imap_send(conn, tag, e,
		"UID FETCH %" PRIu32 ":* (UID FLAGS INTERNALDATE RFC822.SIZE%s%s)", imaplook_new_from(it), object,
		it->idents ? " " IMAPIDENT_HEAD("") : "");
}

int imaplook_pump(struct imapstore *t, struct err *e)
{
	struct imaplook *k = t->look;

	while (!k->stop && k->sending < k->items.n && imap_may_send(&t->conn)) {
		struct imaplook_item *it = &k->items.a[k->sending];

		if (send_one(t, it, it->sent, e) < 0) {
			t->conn.dead = true; /* what flies could not be told apart any more */
			return imapstore_broken(t, e);
		}
		it->sent++;
		if (it->sent == it->n)
			k->sending++;
	}
	return 0;
}

/* ---- before it is announced ---- */

/*
 * Of a folder that has changed here it is not known whether it has there: it is asked for its
 * changes, which is needless if it has none, but it will be selected. That is of use while the
 * answer to LIST is waited for; and it is left alone where it may take more than that: QRESYNC tells
 * in a few words what is gone, and what stands behind a login the server was seen to bear (one that
 * then stumbles over this is not known as such any more: imaptree.c).
 */
static bool may_ask_changes(const struct imapstore *t, bool sent)
{
	return !sent && will_vanish(t) && t->login.remembered && t->login.remembered->flies == IMAP_FLIES_YES;
}

/*
 * In a first contact INBOX will be looked at whole, whatever the listing says: so that is asked in
 * the listing's flight. Its answers stand behind those to LIST (a server that mixes them is heard
 * no further: imaplist.c). Whoever wants something else before they are read has them read over.
 */
int imaplook_ask_early(struct imapstore *t, bool sent, struct err *e)
{
	struct look_hint *hint = t->s.foreseen;
	struct imaplook_item it = { .i = 0 };
	struct imaplook *k;

	if (!hint)
		return 0;
	hint->asked = *hint->stamp && may_ask_changes(t, sent);
	if (*hint->stamp && !hint->asked)
		return 0;
	k = imaplook_fresh(t, e);
	if (!k || imaptree_find(t, "INBOX", &it.f, e) < 0)
		return -1;
	memcpy(k->own_stamp, hint->stamp, sizeof(k->own_stamp));
	k->own = (struct look){ .folder = "INBOX", .stamp = k->own_stamp, .all = !*k->own_stamp, .idents = hint->idents };
	k->l = &k->own;
	k->how = hint->how;
	k->early = true;
	imaplook_plan(t, &it, &k->own);
	if (it.idents && !k->part.reader && !(k->part.reader = ident_reader_new(e)))
		return -1;
	if (vec_push(&k->items, it) < 0)
		return err_set(e, ERR_LOCAL, "out of memory");
	k->active = k->early = t->ahead.look = true;
	return imaplook_pump(t, e);
}

bool imaplook_is_early(const struct imapstore *t)
{
	return t->look && t->look->early;
}

bool imaplook_early_fits(const struct imapstore *t, const struct look *l, size_t n, unsigned how, size_t *i)
{
	const struct imaplook *k = t->look;
	size_t at = 0;

	if (!imaplook_is_early(t) || !t->up || t->conn.dead || k->how != how)
		return false;
	while (at < n && strcmp(l[at].folder, "INBOX") != 0)
		at++;
	if (at == n || strcmp(l[at].stamp, k->own.stamp) != 0 || l[at].idents != k->own.idents || (*k->own.stamp && (l[at].all || l[at].sizes)))
		return false;
	*i = at;
	return true;
}
