/*
 * Bodies of an IMAP mailbox: UID FETCH in batches, several in flight, each body handed on as it
 * comes. A message is known by its UID, which every server gives before the body when it is asked
 * in that order; where it comes behind, the body waits in a spool until it does.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "store/imaptake_p.h"

#define STRAYS_MAX 1000 /* bodies with an UID that came behind them and was not wanted */

/* ---- what is wanted ---- */

/* Nothing is wanted any more. */
static void clear(struct imaptake *k)
{
	imapask_release(&k->ask);
	k->begun = false;
	imapwant_release(&k->want);
	vec_clear(&k->alone);
	k->alone_at = 0;
	k->telling = k->held = k->open = false;
	k->strays = 0;
	spool_clear(&k->spool);
}

void imaptake_free(struct imaptake *k)
{
	if (!k)
		return;
	clear(k);
	vec_release(&k->alone);
	spool_release(&k->spool);
	free(k);
}

void imaptake_drop(struct imapstore *t)
{
	imapaide_drop(t);
	if (t->take) {
		t->take->spent = 0;
		clear(t->take);
		t->take->bytes = t->take->bodies = 0;
		t->take->waited = 0;
	}
}

uint64_t imaptake_coming(const struct imapstore *t)
{
	return t->take ? imapask_coming(&t->take->ask) : 0;
}

void imaptake_pace(const struct imapstore *t, struct imapask *a)
{
	if (t->take)
		imapask_pace(a, t->take->bytes, t->take->waited, t->take->spent);
}

/* What it needs to begin, and for the way, tells nothing of the link. */
void imaptake_stood(struct imaptake *k, msec_t begun)
{
	if (k->flows)
		k->waited += clock_now() - begun;
}

/* Wait for what k->ask is about. */
static int announce(struct imaptake *k, struct err *e)
{
	k->begun = false;
	k->flows = false;
	k->seen = 0;
	return imapwant_start(&k->want, k->ask.uids, k->ask.n, e);
}

/* Are these what was asked for with the SELECT of the open box? */
static bool is_begun(const struct imapstore *t, const uint64_t *nums, size_t n)
{
	const struct imaptake *k = t->take;

	if (!k || !k->begun || !t->box || t->conn.dead || k->ask.n != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (nums[i] != k->ask.uids[i])
			return false;
	return true;
}

/* Ask for these, of which nothing is on its way. was: what came last from the open box. */
static int ask(struct imaptake *k, const uint64_t *nums, size_t n, const struct imapask *was,
	struct err *e)
{
	uint32_t *uids;

	clear(k);
	if (n == 0)
		return 0;
	if (n > UINT32_MAX)
		return err_set(e, ERR_BUG, "so many messages are in no mailbox");
	uids = malloc(n * sizeof(*uids));
	if (!uids)
		return err_set(e, ERR_LOCAL, "out of memory");
	imapask_start(&k->ask, uids, n, was->mean);
	if (was->mean > 0)
		k->ask.size = was->size;
	for (size_t i = 0; i < n; i++) {
		if (nums[i] == 0 || nums[i] > UINT32_MAX)
			return err_set(e, ERR_BUG, "%" PRIu64 " is no UID", nums[i]);
		uids[i] = (uint32_t)nums[i];
	}
	return announce(k, e);
}

/* There is something to take with. */
static int make(struct imapstore *t, struct err *e)
{
	if (t->take)
		return 0;
	t->take = calloc(1, sizeof(*t->take));
	if (!t->take)
		return err_set(e, ERR_LOCAL, "out of memory");
	t->take->spool = (struct spool)SPOOL_INIT(IMAPBODY_MEMORY);
	return 0;
}

int imaptake_begin(struct imapstore *t, struct imapask *a, struct err *e)
{
	if (make(t, e) < 0)
		return -1;
	clear(t->take);
	t->take->ask = *a;
	t->take->begun = true;
	*a = (struct imapask){ 0 };
	return 0;
}

/* store_ops.want */
int imaptake_want(struct store *s, const uint64_t *nums, size_t n, struct err *e)
{
	struct imapstore *t = imapstore_of(s);
	struct imapask was = { 0 };
	int rc;

	if (t->take && t->take->want.n > 0 && t->take->bodies > 0)
		was = (struct imapask){ .mean = t->take->ask.mean, .size = t->take->ask.size };
	if (is_begun(t, nums, n)) {
		rc = announce(t->take, e);
	} else {
		if (imapstore_need_box(t, false, e) < 0)
			return -1;
		rc = make(t, e);
		if (rc == 0)
			rc = ask(t->take, nums, n, &was, e);
		if (rc < 0 && t->take)
			clear(t->take);
	}
	return rc < 0 ? imapstore_fail(t, e) : 0;
}

/* ---- asking ---- */

/*
 * Ask for one alone. Behind the SELECT of another folder that can't be: what was sent ahead is read
 * to its end, once all of this folder has come. 1; 0 not yet; -1.
 */
static int send_alone(struct imapstore *t, struct err *e)
{
	struct imaptake *k = t->take;
	size_t at = k->alone.a[k->alone_at];

	if (imapsoon_flies(t)) {
		if (k->ask.flying > 0)
			return 0;
		if (imapsoon_settle(t, e) < 0 || imapstore_select_again(t, e) < 0)
			return -1;
	}
	if (imapask_send_alone(t, &k->ask, k->want.a[at].uid, at, e) < 0)
		return -1;
	k->alone_at++;
	return 1;
}

/* Send as many batches as may fly; when all are, what is to be had of the folders behind this one. */
static int pump(struct imapstore *t, struct err *e)
{
	struct imaptake *k = t->take;
	int rc = imapstore_compress(t, k->bytes, k->waited, imapask_ahead(&k->ask), e);

	if (rc != 0)
		return rc < 0 ? -1 : 0;
	/* what was sent ahead may fill the window: behind it one alone could not leave, and it is read to its end for that */
	while (imap_may_send(&t->conn) || (k->ask.flying == 0 && imapsoon_flies(t))) {
		const bool batch = k->ask.sent < k->ask.n;

		if (!batch && k->alone_at == k->alone.n) /* what is lent may come back */
			return k->want.lent > 0 ? 0 : imapsoon_pump(t, e);
		if (!imapask_room(&k->ask) ||
			imapstore_enough(t, k->bytes, k->waited, imapask_coming(&k->ask), imapask_ahead(&k->ask)))
			return 0;
		k->ask.shared = t->aide || imapaide_busy(t);
		imaptake_pace(t, &k->ask);
		rc = batch ? imapask_send(t, &k->ask, e) : send_alone(t, e);
		if (rc < 0 || (!batch && rc == 0))
			return rc;
	}
	return 0;
}

/* ---- what comes ---- */

/* This message can't be had. */
static int fail_one(struct imaptake *k, size_t at, size_t *i, struct err *e, enum err_kind kind,
	const char *why)
{
	imapwant_end(&k->want, at);
	*i = k->want.a[at].i;
	return err_set_span(e, kind, SPAN_MSG, "message %" PRIu32 ": %s", k->want.a[at].uid, why);
}

/* Keep a body until its response is complete. */
static int hold(struct imaptake *k, const struct imap_resp *r, struct err *e)
{
	spool_clear(&k->spool);
	k->held = true;
	k->nil = r->body.nil;
	k->held_size = r->body.size;
	return r->body.nil || r->body.size == 0 ? 0 : imapbody_keep(&k->spool, r->body.s, e);
}

/* One has come: how long they are. */
static void count(struct imaptake *k, const struct imapwanted *w, uint64_t size)
{
	imapask_came(&k->ask, w->at);
	k->flows = true;
	k->bodies++;
	k->bytes += size;
	if (!k->ask.known)
		k->ask.mean = k->bytes / k->bodies + 1;
}

/* A body. 1: it is for the caller. */
static int take_body(struct imapstore *t, const struct imap_resp *r, size_t *i,
	struct stream **body, struct err *e)
{
	struct imaptake *k = t->take;
	bool known = r->fetch.has & IMAP_HAS_UID;
	struct imapwanted *w = known ? imapwant_find(&k->want, r->fetch.uid) : NULL;

	k->held = false;
	if (r->body.section.n > 0 || r->body.partial || r->body.binary || (known && !w))
		return 0; /* nobody asked for it: the next answer reads over it */
	if (t->aide && r->body.size > IMAPSHELF_LONGEST)
		return err_set(e, ERR_LOCAL, "a message is too long for a shelf");
	if (!known || r->body.nil || r->body.size == 0) {
		if (!known && ++k->strays > STRAYS_MAX + k->bodies)
			return err_set(
				e, ERR_PROTO, "the server sends messages that nobody asked for");
		return hold(k, r, e);
	}
	count(k, w, r->body.size);
	imapwant_end(&k->want, (size_t)(w - k->want.a));
	*i = w->i;
	k->open = true;
	*body = imapbody_link(t, r->body.s, w->uid);
	return 1;
}

/* Ask for a message once more, in a command of its own. */
static int ask_alone(struct imaptake *k, size_t at, struct err *e)
{
	if (vec_push(&k->alone, at) < 0)
		return err_set(e, ERR_LOCAL, "out of memory");
	imapwant_lend(&k->want, at, false);
	k->want.state[at] = IMAPWANT_ALONE;
	return 0;
}

/* A response that is complete. 1: a body that waited for it is for the caller. */
static int take_fetch(struct imapstore *t, const struct imap_resp *r, size_t *i,
	struct stream **body, struct err *e)
{
	struct imaptake *k = t->take;
	struct imapwanted *w = r->fetch.has & IMAP_HAS_UID ? imapwant_find(&k->want, r->fetch.uid) : NULL;
	bool held = k->held, sized = r->fetch.has & IMAP_HAS_RFC822_SIZE;
	size_t at;

	k->held = false;
	if (!w)
		return 0;
	at = (size_t)(w - k->want.a);
	if (!held) {
		k->want.state[at] |= IMAPWANT_BARE;
		return 0;
	}
	if (k->nil)
		return fail_one(k, at, i, e, ERR_REFUSED, "the server has no content for it");
	/*
	 * An empty message is rare, an error of the server is not: ask how long it says that it is.
	 *
	 */
	if (k->held_size == 0 && !sized && !(k->want.state[at] & IMAPWANT_ALONE))
		return ask_alone(k, at, e);
	if (k->held_size == 0 && (!sized || r->fetch.size > 0))
		return fail_one(k, at, i, e, ERR_REFUSED,
			"the server sends nothing, where there should be something");
	*body = imapbody_spooled(&k->spool, e);
	if (!*body)
		return -1;
	k->strays -= k->strays > 0;
	count(k, w, k->held_size);
	imapwant_end(&k->want, at);
	*i = w->i;
	return 1;
}

/* A command has ended. */
static int take_end(struct imapstore *t, uint32_t tag, const struct err *why, struct err *e)
{
	struct imaptake *k = t->take;

	if (!imapask_end(&k->ask, tag, &k->ended))
		return imapsoon_flies(t) ? imapstore_disorder(t, e) : 0;
	k->telling = true;
	k->refused = why != NULL;
	if (why)
		k->why = *why;
	return 0;
}

/* Tell what did not come of the batch that has ended: 1 and -1 as next does, 0 when all is told. */
static int tell_missing(struct imapstore *t, size_t *i, struct stream **body, struct err *e)
{
	struct imaptake *k = t->take;
	struct imapask_batch *b = &k->ended;

	if (k->refused && k->why.span == SPAN_ACCT) {
		imapstore_give(e, &k->why);
		return -1;
	}
	while (b->from < b->to) {
		size_t at = b->alone ? b->from : k->want.order[b->from];

		b->from++;
		if (k->want.state[at] & IMAPWANT_OVER || (!b->alone && k->want.state[at] & IMAPWANT_ALONE))
			continue;
		if (k->refused && b->several) {
			/*
			 * one of them may be what it won't give: each alone, so that the others
			 * come
			 */
			if (ask_alone(k, at, e) < 0)
				return -1;
			continue;
		}
		if (k->refused || k->want.state[at] & IMAPWANT_BARE)
			return fail_one(k, at, i, e, k->refused ? k->why.kind : ERR_REFUSED,
				k->refused ? k->why.text : "the server has no content for it");
		imapwant_end(&k->want, at);
		*i = k->want.a[at].i;
		*body = NULL;
		return 1;
	}
	k->telling = false;
	return 0;
}

/* The next answer; now: only if it is at hand, but the end of one whose body was handed out is waited for. False: it isn't. */
static bool hear(struct imapstore *t, bool now, enum imap_event *ev, uint32_t *tag, const struct imap_resp **r, struct err *why)
{
	const msec_t begun = clock_now();

	if (now && !t->take->open)
		return imap_next_now(&t->conn, ev, tag, r, why);
	*ev = imap_next(&t->conn, tag, r, why);
	imaptake_stood(t->take, begun);
	return true;
}

/* Nothing more comes. */
static int lost(struct imapstore *t, const struct err *why, struct err *e)
{
	t->s.torn = t->take->open && why->kind == ERR_PROTO;
	imapstore_give(e, why);
	return imapstore_broken(t, e);
}

/* An answer. 1: there is something to hand out; 0; -1. */
static int take_answer(struct imapstore *t, enum imap_event ev, uint32_t tag, const struct imap_resp *r, const struct err *why,
	size_t *i, struct stream **body, struct err *e)
{
	if (ev == IMAP_LOST)
		return lost(t, why, e);
	t->take->open = false;
	if (ev == IMAP_REFUSED)
		return take_end(t, tag, why, e);
	if (ev == IMAP_DONE)
		return take_end(t, tag, NULL, e);
	if (r->kind == IMAP_FETCH_BODY)
		return take_body(t, r, i, body, e);
	return r->kind == IMAP_FETCH ? take_fetch(t, r, i, body, e) : 0;
}

/* Count the time that all of it takes, our work included. */
static void spend(struct imaptake *k)
{
	const msec_t now = clock_now();

	if (k->flows && k->seen != 0)
		k->spent += now - k->seen;
	k->seen = now;
}

int imaptake_turn(struct imapstore *t, bool now, size_t *i, struct stream **body, struct err *e)
{
	struct imaptake *k = t->take;
	int rc = 0;

	spend(k);
	while (rc == 0) {
		const struct imap_resp *r = NULL;
		struct err why = ERR_INIT;
		enum imap_event ev;
		uint32_t tag;

		if (k->telling) {
			rc = tell_missing(t, i, body, e);
			continue;
		}
		if (pump(t, e) < 0)
			return imapstore_broken(t, e);
		if (k->ask.flying == 0)
			return 0;
		if (!hear(t, now, &ev, &tag, &r, &why))
			return IMAPTAKE_LATER;
		rc = take_answer(t, ev, tag, r, &why, i, body, e);
	}
	return rc;
}

int imaptake_seal(struct imapstore *t, size_t *i, struct stream **body, struct err *e)
{
	const struct imap_resp *r = NULL;
	struct err why = ERR_INIT;
	enum imap_event ev;
	uint32_t tag;

	if (!t->take->open)
		return 0;
	hear(t, false, &ev, &tag, &r, &why);
	return take_answer(t, ev, tag, r, &why, i, body, e);
}

/* store_ops.next */
int imaptake_next(struct store *s, size_t *i, struct stream **body, struct err *e)
{
	struct imapstore *t = imapstore_of(s);
	int rc;

	if (t->up && t->conn.dead) {
		err_set(e, ERR_TEMP, "the connection is lost");
		return imapstore_fail(t, e);
	}
	if (!t->take || !t->box)
		return err_set(e, ERR_BUG, "%s: nothing is wanted", t->login.what);
	imapaide_tend(t);
	rc = t->aides ? imapshare_next(t, i, body, e) : imaptake_turn(t, false, i, body, e);
	return rc < 0 ? imapstore_fail(t, e) : rc;
}

/* ---- what others bring ---- */

size_t imaptake_lend(struct imapstore *t, size_t n, uint32_t *uids)
{
	struct imaptake *k = t->take;
	size_t lent = 0;

	k->ask.n -= n;
	for (size_t at = k->ask.n; at < k->ask.n + n; at++) {
		const size_t place = k->want.order[at];

		if (k->want.state[place] & IMAPWANT_OVER)
			continue; /* it has come unasked */
		imapwant_lend(&k->want, place, true);
		uids[lent++] = k->want.a[place].uid;
	}
	return lent;
}

/* It is the at-th to be asked for. */
static void put_at(struct imaptake *k, size_t at, uint32_t place)
{
	k->want.a[place].at = (uint32_t)at;
	k->want.order[at] = place;
	k->ask.uids[at] = k->want.a[place].uid;
}

void imaptake_return(struct imapstore *t, uint32_t uid, bool first)
{
	struct imaptake *k = t->take;
	struct imapwanted *w = imapwant_find(&k->want, uid);
	size_t place, at;

	if (!w)
		return;
	place = (size_t)(w - k->want.a);
	if (!(k->want.state[place] & IMAPWANT_LENT))
		return;
	imapwant_lend(&k->want, place, false);
	assert(k->ask.n < k->want.n);
	at = k->ask.n++;
	if (first && k->ask.sent < at) {
		put_at(k, at, k->want.order[k->ask.sent]);
		at = k->ask.sent;
	}
	put_at(k, at, (uint32_t)place);
}

bool imaptake_brought(struct imapstore *t, uint32_t uid, size_t *i)
{
	struct imaptake *k = t->take;
	const struct imapwanted *w = imapwant_find(&k->want, uid);

	if (!w)
		return false;
	imapwant_end(&k->want, (size_t)(w - k->want.a));
	*i = w->i;
	return true;
}

int imaptake_leave(struct imapstore *t, struct err *e)
{
	struct imaptake *k = t->take;

	if (!k)
		return 0;
	imapaide_leave(t);
	while (k->ask.flying > 0) {
		struct err why = ERR_INIT;
		enum imap_event ev;
		uint32_t tag;

		ev = imap_next(&t->conn, &tag, NULL, &why);
		if (ev == IMAP_LOST) {
			imapstore_give(e, &why);
			return imapstore_broken(t, e);
		}
		if (ev != IMAP_DATA && take_end(t, tag, NULL, e) < 0)
			return -1;
	}
	clear(k);
	return 0;
}

int imaptake_settle(struct imapstore *t, struct err *e)
{
	return imaptake_leave(t, e) < 0 ? -1 : imapsoon_settle(t, e);
}
