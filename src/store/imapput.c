/*
 * Deliveries to an IMAP mailbox by APPEND. A group waits in a spool; what recover needs is noted
 * before anything is sent: UIDVALIDITY, the lowest UID that the message can get, its size and a
 * hash of its Message-ID. The server tells the new UIDs (APPENDUID, RFC 4315); where it does not,
 * and after a cut, they are found again above that lowest UID, by content (imapland.c).
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

int imapput_refuse(struct staged *st, const struct err *why, struct err *e)
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
	struct imapput_item *it = imapput_item(p, i);

	if (it->plain || !(it->flags & FLAGS_KEYWORDS) || why->kind != ERR_REFUSED)
		return false;
	it->plain = true;
	return true;
}

/* Is it for its date that a message is refused? Then once more, to arrive now. */
static bool without_date(const struct imapput_sending *p, size_t i, const struct err *why)
{
	static const char *const words[] = { "internaldate", "internal date", "invalid date", "bad date", "date-time", "date format" };
	struct imapput_item *it = imapput_item(p, i);
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
		return imapput_refuse(&p->st[p->todo.a[c->from]], &its, e);
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
	const struct imapput_item *first = imapput_item(p, p->todo.a[c->from]);
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
		struct imapput_unkeyed x = { .i = p->todo.a[i] };

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

/* What came of an APPEND is not known: nor is it of its group. */
static int lose_answer(struct imapput_sending *p, const struct err *why, struct err *e)
{
	if (!p->stop)
		p->why = *why;
	p->stop = true;
	imapstore_give(e, why);
	return -1;
}

int imapput_hear(struct imapstore *t, enum imap_event ev, uint32_t tag, const struct imap_resp *r,
	const struct err *why, struct err *e)
{
	struct imapput *u = t->put;
	struct err wrong = ERR_INIT;
	struct imapput_command c;
	size_t i = 0;
	int rc = 0;

	if (!u || u->flying == 0)
		return 0;
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
	if (c.from < c.to)
		rc = ev == IMAP_DONE ? take_uids(t, c.of, &c, r, &wrong) : take_refusal(c.of, &c, why, &wrong);
	return rc < 0 ? lose_answer(c.of, &wrong, e) : 1;
}

int imapput_read_end(struct imapstore *t, struct err *e)
{
	const struct imap_resp *r = NULL;
	struct err why = ERR_INIT;
	enum imap_event ev;
	uint32_t tag = 0;

	ev = imap_next(&t->conn, &tag, &r, &why);
	if (ev == IMAP_LOST) {
		imapstore_give(e, &why);
		return imapstore_broken(t, e);
	}
	return imapput_hear(t, ev, tag, r, &why, e) < 0 ? -1 : 0;
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
		if (imapput_read_end(t, e) < 0)
			return -1;
	return 0;
}

static const struct imapput_item *nth(const struct imapput_sending *p, size_t i)
{
	return imapput_item(p, p->todo.a[i]);
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
		if (imapput_read_end(t, e) < 0)
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

int imapput_send_all(struct imapstore *t, struct imapput_sending *p, struct err *e)
{
	p->sent = 0;
	for (size_t at = 0, to; at < p->todo.n && !p->stop; at = to)
		if (send_append(t, p, at, &to, e) < 0)
			return -1;
	if (p->sent > 0 && !p->stop && send_last(t, p, e) < 0)
		return -1;
	return imap_flush(&t->conn, e) < 0 ? imapstore_broken(t, e) : 0;
}
