/*
 * Deliveries to an IMAP mailbox by APPEND. A group waits in a spool; what recover needs is noted
 * before anything is sent: UIDVALIDITY, the lowest UID that the message can get, its size and a
 * hash of its Message-ID. The server tells the new UIDs (APPENDUID, RFC 4315); where it does not,
 * and after a cut, they are found again above that lowest UID, by content.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "mail/imapdate.h"
#include "store/imapput_p.h"

#define MULTI_BYTES (4u << 20) /* of one APPEND with several messages */
#define MULTI_MAX 100          /* its messages */

/* A message that the server has taken, and did not say as what. */
struct unkeyed {
	size_t i;      /* of the staged ones */
	uint32_t said; /* or as one that can be no new one; 0: not at all */
};

/* A group on its way. */
struct imapput_sending {
	struct imapput_group *g;
	struct staged *st;
	size_t n;
	uint32_t lowest;     /* no UID of its messages is below */
	VEC(size_t) todo;    /* of st, in the order of sending */
	VEC(size_t) again;   /* to be sent again one by one */
	VEC(struct unkeyed) unkeyed;
	struct uidset given; /* by APPENDUID */
	size_t flying; /* of what flies, its own */
	bool lost;     /* with the link */
	size_t sent; /* of todo: up to there they were sent, or begun to be */
	bool single;
	bool stop; /* nothing more is sent: */
	struct err why;
};

static struct imapput_item *item(const struct imapput_sending *p, size_t i)
{
	return &p->g->items.a[p->g->order.a[i]];
}

/* The server refuses one message. */
static int refuse(struct staged *st, const struct err *why, struct err *e)
{
	st->refused = malloc(sizeof(*st->refused));
	if (!st->refused)
		return err_set(e, ERR_LOCAL, "out of memory");
	*st->refused = *why;
	st->refused->span = SPAN_MSG;
	return 0;
}

/* May it be for its keywords that a message is refused? Then once more, without. */
static bool without_keywords(const struct imapput_sending *p, size_t i, const struct err *why)
{
	struct imapput_item *it = item(p, i);

	if (it->plain || !(it->flags & FLAGS_KEYWORDS) || why->kind != ERR_REFUSED)
		return false;
	it->plain = true;
	return true;
}

/* Is it for its date that a message is refused? Then once more, to arrive now. */
static bool without_date(const struct imapput_sending *p, size_t i, const struct err *why)
{
	static const char *const words[] = { "internaldate", "internal date", "invalid date", "bad date", "date-time", "date format" };
	struct imapput_item *it = item(p, i);
	bool said = false;

	for (size_t k = 0; k < sizeof(words) / sizeof(words[0]); k++)
		said |= strcasestr(why->text, words[k]) != NULL;
	if (!said || it->undated || it->date == INT64_MIN || why->kind != ERR_REFUSED)
		return false;
	return it->undated = true;
}

/* Is something heard of the messages of a command? */
static void note_sent(struct imapput_sending *p, const struct imapput_command *c, bool unanswered)
{
	for (size_t i = c->from; i < c->to; i++)
		p->st[p->todo.a[i]].unanswered = unanswered;
}

/* An APPEND is refused. */
static int take_refusal(struct imapput_sending *p, const struct imapput_command *c,
	const struct err *why, struct err *e)
{
	/* "try again" may be said each time of one message */
	note_sent(p, c, why->span == SPAN_ACCT && err_link_lost(why));
	if (why->span != SPAN_MSG) {
		if (!p->stop)
			p->why = *why;
		p->stop = true;
		return 0;
	}
	if (c->to - c->from == 1 &&
		(without_date(p, p->todo.a[c->from], why) || without_keywords(p, p->todo.a[c->from], why)))
		return vec_push(&p->again, p->todo.a[c->from]) < 0
			? err_set(e, ERR_LOCAL, "out of memory")
			: 0;
	if (c->to - c->from == 1) {
		struct err its = *why;

		err_in(&its, "it can't be added");
		return refuse(&p->st[p->todo.a[c->from]], &its, e);
	}
	for (size_t i = c->from; i < c->to; i++)
		if (vec_push(&p->again, p->todo.a[i]) < 0)
			return err_set(e, ERR_LOCAL, "out of memory");
	return 0;
}

/* An APPEND is done: its messages get their keys. */
static int take_uids(struct imapstore *t, struct imapput_sending *p, const struct imapput_command *c,
	const struct imap_resp *r, struct err *e)
{
	struct imapput *u = t->put;
	struct uidseq seq;
	uint32_t uid = 0, top = 0;
	const struct imapput_item *first = item(p, p->todo.a[c->from]);
	bool told = r->code.kind == IMAP_CODE_APPENDUID && r->code.num == t->sel.validity &&
		uidseq_init(&seq, r->code.dst, MULTI_MAX, NULL) == 0 &&
		seq.count == c->to - c->from;
	bool good = told;

	note_sent(p, c, false);
	if (first->undated) {
		char date[IMAPDATE_TEXT];

		imapdate_print(first->date, date);
		log_warn("%s: '%s': the server would not take a message's time of arrival, %s: there it arrives now", t->login.what, t->box->name, date);
	}
	if (first->plain) /* alone: it was its keywords */
		t->sel.keywords->refused |= first->flags & FLAGS_KEYWORDS;
	/*
	 * in ascending order, of new ones, each once: else they are taken for others that are there,
	 * or UIDNEXT was far beyond what the server gives, or it is no answer to this
	 */
	for (struct uidseq look = good ? seq : (struct uidseq){ 0 };
		good && uidseq_next(&look, &uid); top = uid)
		good = uid > top && uid >= p->lowest && !uidset_has(&u->given, uid);
	for (size_t i = c->from; i < c->to; i++) {
		struct staged *st = &p->st[p->todo.a[i]];
		struct unkeyed x = { .i = p->todo.a[i] };

		if (told && uidseq_next(&seq, &uid))
			x.said = uid;
		if (good) {
			snprintf(st->key, sizeof(st->key), "%" PRIu32, uid);
			if (uidset_add(&p->given, uid, e) < 0 || uidset_add(&u->given, uid, e) < 0)
				return -1;
		} else if (vec_push(&p->unkeyed, x) < 0) {
			return err_set(e, ERR_LOCAL, "out of memory");
		}
	}
	return 0;
}

/*
 * The server complains of a line that is no command (RFC 9051 section 7.1.3). We sent none: it takes a
 * message for commands, whatever it has said before.
 */
static int misread(struct imapstore *t, struct err *e)
{
	t->conn.dead = true;
	err_set(e, ERR_PROTO, "the server takes lines of a message for commands");
	return imapstore_broken(t, e);
}

/* Read one answer, to whichever group. */
static int read_end(struct imapstore *t, struct err *e)
{
	struct imapput *u = t->put;
	const struct imap_resp *r = NULL;
	struct err why = ERR_INIT;
	enum imap_event ev;
	struct imapput_command c;
	uint32_t tag;
	size_t i = 0;

	ev = imap_next(&t->conn, &tag, &r, &why);
	if (ev == IMAP_LOST) {
		imapstore_give(e, &why);
		return imapstore_broken(t, e);
	}
	if (ev == IMAP_DATA)
		return r->kind == IMAP_UNTAGGED && r->cond == IMAP_BAD ? misread(t, e) : 0;
	while (i < u->flying && u->fly[i].tag != tag)
		i++;
	if (i == u->flying)
		return 0;
	c = u->fly[i];
	u->flying--;
	memmove(&u->fly[i], &u->fly[i + 1], (u->flying - i) * sizeof(c));
	c.of->flying--;
	if (c.from == c.to)
		return 0;
	return ev == IMAP_DONE ? take_uids(t, c.of, &c, r, e) : take_refusal(c.of, &c, &why, e);
}

/* A command flies. */
static void flies(struct imapput *u, const struct imapput_command *c)
{
	u->fly[u->flying++] = *c;
	c->of->flying++;
}

/* Make room for one more; waits: nothing else may fly then. */
static int make_room(struct imapstore *t, bool waits, struct err *e)
{
	const struct imapput *u = t->put;

	while (u->flying > 0 && (waits || u->flying == IMAPPUT_FLYING_MAX || !imap_may_send(&t->conn)))
		if (read_end(t, e) < 0)
			return -1;
	return 0;
}

static const struct imapput_item *nth(const struct imapput_sending *p, size_t i)
{
	return item(p, p->todo.a[i]);
}

/* What a message is given. Keywords that were refused are not tried again. */
static uint64_t to_send(const struct imapstore *t, const struct imapput_item *it)
{
	const struct keyword_view *v = t->sel.keywords;

	return it->flags & (it->plain ? FLAGS_ALL : FLAGS_EVERY) & ~(v ? v->refused : 0);
}

/* Compress what goes from todo[from] on, where that is of use; what flies is read to its end before. */
static int compress(struct imapstore *t, const struct imapput_sending *p, size_t from, struct err *e)
{
	uint64_t ahead = 0;
	int rc;

	for (size_t i = from; i < p->todo.n; i++)
		ahead += nth(p, i)->size;
	while ((rc = imapstore_compress(t, t->put->sent, t->put->took, ahead, e)) == 1)
		if (read_end(t, e) < 0)
			return -1;
	return rc < 0 ? imapstore_broken(t, e) : 0;
}

/* Send one APPEND, of as many messages as it may have, from todo[from] on. *to: behind them. */
static int send_append(
	struct imapstore *t, struct imapput_sending *p, size_t from, size_t *to, struct err *e)
{
	struct imapput *u = t->put;
	struct imapput_command c = { .of = p, .from = from, .to = from + 1 };
	bool waits = imap_literal_waits(&t->conn, nth(p, from)->size),
	     utf8 = t->conn.enabled & IMAP_CAP_UTF8_ACCEPT;
	uint64_t bytes = nth(p, from)->size;
	struct err why = ERR_INIT;

	while (!p->single && t->conn.caps.have & IMAP_CAP_MULTIAPPEND && c.to < p->todo.n &&
		c.to - from < MULTI_MAX && bytes + nth(p, c.to)->size <= MULTI_BYTES) {
		waits |= imap_literal_waits(&t->conn, nth(p, c.to)->size);
		bytes += nth(p, c.to++)->size;
	}
	*to = c.to;
	if (compress(t, p, from, e) < 0 || make_room(t, waits, e) < 0)
		return -1;
	if (p->stop) {
		*to = from;
		return 0;
	}
	if (imap_append_start(&t->conn, slice_str(t->box->wire), e) < 0)
		return imapstore_broken(t, e);
	note_sent(p, &c, true);
	p->sent = c.to;
	for (size_t i = from; i < c.to; i++) {
		const struct imapput_item *it = nth(p, i);
		struct strbuf flags = STRBUF_INIT(IMAP_COMMAND_MAX);
		struct imap_append a = {
			.date = it->undated ? INT64_MIN : it->date, .size = it->size, .utf8 = utf8 && it->utf8, .binary = it->nul
		};
		msec_t begun = clock_now();
		int rc = keywords_to_imap(imapselect_names(t), to_send(t, it), &flags) < 0
			? err_set(&why, ERR_LOCAL, "out of memory")
			: 1;

		if (rc > 0) {
			/* without the parentheses */
			strbuf_cut(&flags, flags.len - 1);
			a.flags = strbuf_str(&flags) + 1;
			rc = imap_append_message(&t->conn, &a, imapput_body(u, p->g, it), &why);
		}
		if (rc > 0 && !waits) { /* the rest was the way there and back */
			u->sent += it->size;
			u->took += clock_now() - begun;
		}
		strbuf_release(&flags);
		if (rc == 0)
			return take_refusal(p, &c, &why, e);
		if (rc < 0) {
			imapstore_give(e, &why);
			return imapstore_broken(t, e);
		}
	}
	if (imap_append_end(&t->conn, &c.tag, e) < 0)
		return imapstore_broken(t, e);
	flies(u, &c);
	return 0;
}

/*
 * Ask for something that must be answered behind all messages. A server that said OK to one too early,
 * and then took its lines for commands, has answered those by then, and there is no sense in it:
 * else its OK would be believed.
 */
static int send_last(struct imapstore *t, struct imapput_sending *p, struct err *e)
{
	struct imapput_command c = { .of = p };

	if (make_room(t, false, e) < 0)
		return -1;
	if (imap_send(&t->conn, &c.tag, e, "NOOP") < 0)
		return imapstore_broken(t, e);
	flies(t->put, &c);
	return 0;
}

/* Send all that is to do. */
static int send_all(struct imapstore *t, struct imapput_sending *p, struct err *e)
{
	p->sent = 0;
	for (size_t at = 0, to; at < p->todo.n && !p->stop; at = to)
		if (send_append(t, p, at, &to, e) < 0)
			return -1;
	if (p->sent > 0 && !p->stop && send_last(t, p, e) < 0)
		return -1;
	return imap_flush(&t->conn, e) < 0 ? imapstore_broken(t, e) : 0;
}

/* Read all answers to them. */
static int read_all(struct imapstore *t, const struct imapput_sending *p, struct err *e)
{
	while (p->flying > 0)
		if (read_end(t, e) < 0)
			return -1;
	return 0;
}

/* One that the server did not name, of all that are looked for; NULL: it did. */
static const struct unkeyed *unkeyed(const struct imapput_sending *p, size_t i)
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
	return refuse(st, &why, e);
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
		const struct imapput_item *it = p->g->order.a[i] == SIZE_MAX ? NULL : item(p, i);
		struct imapsought x = { .from = p->lowest, .digest = p->st[i].digest };
		const struct unkeyed *k = unkeyed(p, i);

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
		rc = refuse(st, &why, e);
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
		if (send_all(t, p, e) < 0 || read_all(t, p, e) < 0)
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

void imapput_lost(struct imapstore *t)
{
	struct imapput *u = t->put;

	if (!u)
		return;
	u->flying = 0;
	for (int k = 0; k < 2; k++)
		if (u->group[k].sending) {
			u->group[k].sending->lost = true;
			u->group[k].sending->flying = 0;
		}
}

int imapput_settle(struct imapstore *t, struct err *e)
{
	while (t->put && t->put->flying > 0)
		if (read_end(t, e) < 0)
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
	if (!p || send_all(t, p, e) < 0)
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
