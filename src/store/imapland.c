/*
 * Groups of deliveries on their way to an IMAP mailbox, one behind the other, and what came of them:
 * those whose UIDs the server did not tell are found by their content. See imapput.c for how they
 * are sent.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/imapput_p.h"

/* One that the server did not name, of all that are looked for; NULL: it did. */
static const struct imapput_unkeyed *unkeyed(const struct imapput_sending *p, size_t i)
{
	for (size_t k = 0; k < p->unkeyed.n; k++)
		if (p->unkeyed.a[k].i == i)
			return &p->unkeyed.a[k];
	return NULL;
}

/* What came of the search for one: its key, or why it has none. */
static int take_found(struct staged *st, const struct imapsought *s, struct err *e)
{
	struct err why = ERR_INIT;

	if (s->uid != 0) {
		snprintf(st->key, sizeof(st->key), "%" PRIu32, s->uid);
		return 0;
	}
	if (s->merged)
		err_set_span(&why, ERR_REFUSED, SPAN_MSG,
			"the server takes it for a message with the same Message-ID that is there, and keeps "
			"that one alone");
	else
		err_set_span(&why, ERR_PROTO, SPAN_MSG,
			"the server took the message, but it can't be found there");
	return imapput_refuse(st, &why, e);
}

/* What is looked for, and whose it is: of those of no group it is only known that they are another's. */
struct sought {
	VEC(struct imapsought) s;
	VEC(struct staged *) whose;
};

/* All of a group that the server has taken. */
static int seek_group(struct sought *l, struct imapput_sending *p, struct err *e)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct imapput_item *it = p->g->order.a[i] == SIZE_MAX ? NULL : imapput_item(p, i);
		struct imapsought x = { .from = p->lowest, .digest = p->st[i].digest };
		const struct imapput_unkeyed *k = unkeyed(p, i);

		if (!it || !(k || p->st[i].key[0]))
			continue;
		x.size = it->size;
		x.has_mid = it->has_mid;
		memcpy(x.mid, it->mid, IDENT_MID);
		if (k)
			x.said = k->said;
		else
			imapstore_uid(slice_str(p->st[i].key), &x.uid);
		if (vec_push(&l->s, x) < 0 || vec_push(&l->whose, &p->st[i]) < 0)
			return err_set(e, ERR_LOCAL, "out of memory");
	}
	vec_clear(&p->unkeyed);
	return 0;
}

/*
 * Look for those whose UIDs the server did not tell. The group behind this one is there by then, too:
 * both are looked for as if they were one, since any may be a twin of any.
 */
static int find_unkeyed(struct imapstore *t, struct imapput_sending *p, struct err *e)
{
	struct imapput *u = t->put;
	struct imapput_group *next = p->g == &u->group[0] ? &u->group[1] : &u->group[0];
	struct uidset_iter it = { .set = &u->given };
	struct sought l = { 0 };
	bool lost = false;
	uint32_t uid;
	int rc;

	if (p->unkeyed.n == 0)
		return 0;
	if (imapput_settle(t, e) < 0)
		return -1;
	rc = seek_group(&l, p, e);
	if (rc == 0 && next->sending)
		rc = seek_group(&l, next->sending, e);
	while (rc == 0 && uidset_next(&it, &uid))
		if (vec_push(&l.s, ((struct imapsought){ .uid = uid })) < 0)
			rc = err_set(e, ERR_LOCAL, "out of memory");
	if (rc == 0)
		rc = imapseek_said(t, l.s.a, l.s.n, e);
	for (size_t i = 0; i < l.s.n; i++)
		lost |= l.s.a[i].uid == 0 && !l.s.a[i].merged;
	if (rc == 0 && lost)
		rc = imapseek(t, l.s.a, l.s.n, true, e);
	for (size_t i = 0; rc == 0 && i < l.whose.n; i++) {
		rc = take_found(l.whose.a[i], &l.s.a[i], e);
		if (rc == 0 && l.s.a[i].uid != 0)
			rc = uidset_add(&u->given, l.s.a[i].uid, e);
	}
	vec_release(&l.s);
	vec_release(&l.whose);
	return rc;
}

/*
 * Gmail may say that it took a message which it has, and drop it: by a key that nobody has it would
 * look as if it had been deleted there.
 */
static int check_given(struct imapstore *t, struct imapput_sending *p, struct err *e)
{
	struct uidset missing = UIDSET_INIT;
	struct err why = ERR_INIT;
	uint32_t uid;
	int rc;

	if (!(t->conn.caps.have & IMAP_CAP_GMAIL) || p->given.n == 0)
		return 0;
	if (imapput_settle(t, e) < 0)
		return -1;
	err_set_span(&why, ERR_PROTO, SPAN_MSG,
		"the server said that it took the message, but it is not there: perhaps it has it in "
		"this folder already");
	rc = imapseek_missing(t, &p->given, &missing, e);
	for (size_t i = 0; rc == 0 && i < p->n; i++) {
		struct staged *st = &p->st[i];

		if (!imapstore_uid(slice_str(st->key), &uid) || !uidset_has(&missing, uid))
			continue;
		st->key[0] = '\0';
		rc = imapput_refuse(st, &why, e);
	}
	uidset_release(&missing);
	return rc;
}

/* What comes next gets UIDs above those that were given. */
static void raise_lowest(struct imapput *u, const struct imapput_sending *p)
{
	uint32_t uid;

	for (size_t i = 0; i < p->n; i++)
		if (p->g->order.a[i] != SIZE_MAX && imapstore_uid(slice_str(p->st[i].key), &uid) &&
			uid >= u->lowest && uid < UINT32_MAX)
			u->lowest = uid + 1;
}

/* Read all answers to them. */
static int read_all(struct imapstore *t, const struct imapput_sending *p, struct err *e)
{
	while (p->flying > 0)
		if (imapput_read_end(t, e) < 0)
			return -1;
	return 0;
}

/* What came of it; where one was refused, others with it may have to be sent again. */
static int end_sending(struct imapstore *t, struct imapput_sending *p, struct err *e)
{
	if (p->lost) {
		err_set(e, ERR_TEMP, "the connection is lost");
		return imapstore_broken(t, e);
	}
	if (read_all(t, p, e) < 0)
		return -1;
	while (!p->stop && p->again.n > 0) {
		p->single = true;
		vec_clear(&p->todo);
		for (size_t i = 0; i < p->again.n; i++)
			if (vec_push(&p->todo, p->again.a[i]) < 0)
				return err_set(e, ERR_LOCAL, "out of memory");
		vec_clear(&p->again);
		if (imapput_send_all(t, p, e) < 0 || read_all(t, p, e) < 0)
			return -1;
	}
	if (p->stop) {
		/* what is there is found by recover */
		imapstore_give(e, &p->why);
		return err_in(e, "'%s'", t->box->name);
	}
	if (check_given(t, p, e) < 0)
		return -1;
	return find_unkeyed(t, p, e);
}

/* ---- one group, and the next behind it ---- */

/* The group that was launched first; NULL: none is on its way. */
static struct imapput_group *first_launched(struct imapput *u)
{
	struct imapput_group *other = u->now == &u->group[0] ? &u->group[1] : &u->group[0];

	return u->now->sending ? u->now : other->sending ? other : NULL;
}

/* A group is on its way no more. */
static void end_group(struct imapput_group *g)
{
	struct imapput_sending *p = g->sending;

	if (!p)
		return;
	g->sending = NULL;
	vec_release(&p->todo);
	vec_release(&p->again);
	vec_release(&p->unkeyed);
	uidset_release(&p->given);
	free(p);
	imapput_clear(g);
}

void imapput_unlaunch(struct imapput *u)
{
	end_group(&u->group[0]);
	end_group(&u->group[1]);
	u->flying = 0;
}

/*
 * One group could not be sent, or not all of it was taken: nothing is known of the other either. What
 * the server said of the rest may make no sense, if one answer made none.
 */
static int fail(struct imapstore *t, bool nonsense, struct err *e)
{
	struct imapput *u = t->put;

	for (int k = 0; k < 2; k++) {
		const struct imapput_sending *p = u->group[k].sending;

		for (size_t i = 0; p && nonsense && i < p->sent; i++)
			p->st[p->todo.a[i]].unanswered = true;
	}
	if (!t->conn.dead)
		imapput_settle(t, NULL);
	imapput_unlaunch(u);
	return imapstore_fail(t, e);
}

/* Is all answered, and nothing left to do? Something else may have flown behind it, and the link have broken at that. */
static bool is_answered(const struct imapstore *t, const struct imapput_sending *p)
{
	return p->flying == 0 && !p->stop && p->again.n == 0 && p->unkeyed.n == 0 && !(t->conn.caps.have & IMAP_CAP_GMAIL);
}

void imapput_lost(struct imapstore *t)
{
	struct imapput *u = t->put;

	if (!u)
		return;
	u->flying = 0;
	for (int k = 0; k < 2; k++)
		if (u->group[k].sending) {
			u->group[k].sending->lost |= !is_answered(t, u->group[k].sending);
			u->group[k].sending->flying = 0;
		}
}

int imapput_settle(struct imapstore *t, struct err *e)
{
	while (t->put && t->put->flying > 0)
		if (imapput_read_end(t, e) < 0)
			return -1;
	return 0;
}

/* What is to be sent of it. */
static struct imapput_sending *begin_sending(
	struct imapput *u, struct staged *st, size_t n, struct err *e)
{
	struct imapput_sending *p = calloc(1, sizeof(*p));
	struct imapput_group *before = first_launched(u);

	if (!p) {
		err_set(e, ERR_LOCAL, "out of memory");
		return NULL;
	}
	if (!before)
		uidset_clear(&u->given);
	p->g = u->now;
	p->st = st;
	p->n = n;
	p->lowest = u->lowest;
	u->now->sending = p;
	for (size_t i = 0; i < n; i++)
		if (u->now->order.a[i] != SIZE_MAX && vec_push(&p->todo, i) < 0) {
			err_set(e, ERR_LOCAL, "out of memory");
			return NULL;
		}
	if (before && before->sending->stop) { /* where one had no room, the next has none */
		p->stop = true;
		p->why = before->sending->why;
	}
	return p;
}

/* store_ops.launch */
int imapput_launch(struct store *s, struct staged *st, size_t n, struct err *e)
{
	struct imapstore *t = imapstore_of(s);
	struct imapput *u = t->put;
	struct imapput_sending *p;

	if (!u || u->now->sending || u->now->order.n != n)
		return err_set(e, ERR_BUG, "%s: publish before harden", t->login.what);
	if (u->flying == 0 && imapstore_need_box(t, true, e) < 0) {
		imapput_unlaunch(u); /* the group before it has failed, too */
		return -1;
	}
	t->sel.stale |= n > 0;
	p = begin_sending(u, st, n, e);
	if (!p || imapput_send_all(t, p, e) < 0)
		return fail(t, e && e->kind == ERR_PROTO, e);
	u->now = u->now == &u->group[0] ? &u->group[1] : &u->group[0];
	return 0;
}

/* store_ops.land */
int imapput_land(struct store *s, struct err *e)
{
	struct imapstore *t = imapstore_of(s);
	struct imapput_group *g = t->put ? first_launched(t->put) : NULL;

	if (!g)
		return err_set(e, ERR_BUG, "%s: nothing is on its way", t->login.what);
	if (end_sending(t, g->sending, e) < 0)
		return fail(t, e && e->kind == ERR_PROTO, e);
	raise_lowest(t->put, g->sending);
	end_group(g);
	return 0;
}

/* store_ops.publish */
int imapput_publish(struct store *s, struct staged *st, size_t n, struct err *e)
{
	if (imapput_launch(s, st, n, e) < 0)
		return -1;
	return imapput_land(s, e);
}
