/*
 * Bodies of an IMAP mailbox: UID FETCH in batches, several in flight, each body handed on as it
 * comes. A message is known by its UID, which every server gives before the body when it is asked
 * in that order; where it comes behind, the body waits in a spool until it does.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "store/imaptake_p.h"

#define SPOOL_MEMORY 262144
#define STRAYS_MAX 1000 /* bodies with an UID that came behind them and was not wanted */
#define CHUNK 65536

/* What is known of a message that is waited for. */
enum {
	BARE = 1,  /* the server spoke of it, without a body */
	ALONE = 2, /* it is asked for alone */
	OVER = 4,  /* handed out, or told */
};

struct wanted {
	uint32_t uid;
	uint32_t i; /* as announced */
};

/* A stream over the spool. */
struct spooled {
	struct stream s;
	struct spool *spool;
};

/* A stream over a body that comes over the link. */
struct body {
	struct stream s;
	struct imapstore *t;
	struct stream *link;
	const char *box;
	uint32_t uid;
};

struct imaptake {
	struct body body;
	struct imapask ask;
	bool begun;             /* it came with the SELECT, and `want` has not been called yet */
	struct wanted *want;    /* by uid */
	uint32_t *order;        /* places in want[], in the order of the announcement */
	unsigned char *state;   /* of want[] */
	size_t n;               /* of order[] */
	/* Of this link: what came, and how long it was waited for, but for the first of each folder. */
	uint64_t bytes, bodies;
	msec_t waited;
	bool flows;             /* the first has come */
	VEC(size_t) alone; /* places in want[] that are asked for one by one: `from` of their batches */
	size_t alone_at;
	/* A batch that has ended: what became of those that did not come. */
	struct imapask_batch ended;
	bool telling, refused;
	struct err why;
	/* A body that is not to be handed out before its response is complete. */
	struct spool spool;
	bool held, nil;
	bool open; /* a body was handed out, and the end of its response has not come yet */
	uint64_t held_size;
	unsigned strays;
};

/* ---- a spool as a stream ---- */

static ssize_t spooled_read(struct stream *s, void *buf, size_t n, struct err *e)
{
	return spool_read(((struct spooled *)s)->spool, buf, n, e);
}

static void spooled_free(struct stream *s)
{
	free(s);
}

static const struct stream_ops spooled_ops = {
	.name = "spool",
	.read = spooled_read,
	STREAM_READ_ONLY,
	.free = spooled_free,
};

/* A stream over the whole spool; freeing it leaves the spool alone. */
static struct stream *spooled_new(struct spool *spool, struct err *e)
{
	struct spooled *s = calloc(1, sizeof(*s));

	if (!s) {
		err_set(e, ERR_LOCAL, "out of memory");
		return NULL;
	}
	s->s.ops = &spooled_ops;
	s->spool = spool;
	spool_rewind(spool);
	return &s->s;
}

/* ---- a body on its way ---- */

/* The server has been waited for since then. What it needs to begin, and for the way, tells nothing of the link. */
static void stood(struct imaptake *k, msec_t begun)
{
	if (k->flows)
		k->waited += clock_now() - begun;
}

/* The link's stream; what goes wrong in it is wrong with the link. */
static ssize_t body_read(struct stream *s, void *buf, size_t n, struct err *e)
{
	struct body *b = (struct body *)s;
	struct imapstore *t = b->t;
	msec_t begun = clock_now();
	ssize_t got = t->conn.dead ? err_set(e, ERR_TEMP, "the connection is lost")
				   : stream_read(b->link, buf, n, e);

	stood(t->take, begun);
	if (got < 0) {
		imapstore_broken(t, e);
		err_in(e, "'%s': message %" PRIu32, b->box, b->uid);
		imapstore_fail(t, e);
	}
	return got;
}

static void body_free(struct stream *s)
{
	(void)s; /* the next answer reads over what is left */
}

static const struct stream_ops body_ops = {
	.name = "body",
	.read = body_read,
	STREAM_READ_ONLY,
	.free = body_free,
};

/* ---- what is wanted ---- */

/* Nothing is wanted any more. */
static void clear(struct imaptake *k)
{
	imapask_release(&k->ask);
	k->begun = false;
	free(k->want);
	free(k->order);
	free(k->state);
	k->want = NULL;
	k->order = NULL;
	k->state = NULL;
	k->n = 0;
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
	if (t->take) {
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
		imapask_pace(a, t->take->bytes, t->take->waited);
}

static int by_uid(const void *a, const void *b)
{
	const struct wanted *x = a, *y = b;

	if (x->uid != y->uid)
		return x->uid < y->uid ? -1 : 1;
	return (x->i > y->i) - (x->i < y->i);
}

/* The place of a message that is still waited for; NULL: nobody waits. */
static struct wanted *find(struct imaptake *k, uint32_t uid)
{
	size_t lo = 0, hi = k->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (k->want[mid].uid < uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < k->n && k->want[lo].uid == uid && !(k->state[lo] & OVER) ? &k->want[lo] : NULL;
}

/* Wait for what k->ask is about. */
static int announce(struct imaptake *k, struct err *e)
{
	size_t n = k->ask.n;

	k->begun = false;
	k->want = calloc(n, sizeof(*k->want));
	k->order = calloc(n, sizeof(*k->order));
	k->state = calloc(n, 1);
	if (!k->want || !k->order || !k->state)
		return err_set(e, ERR_LOCAL, "out of memory");
	for (size_t i = 0; i < n; i++)
		k->want[i] = (struct wanted){ .uid = k->ask.uids[i], .i = (uint32_t)i };
	qsort(k->want, n, sizeof(*k->want), by_uid);
	for (size_t i = 0; i < n; i++)
		k->order[k->want[i].i] = (uint32_t)i;
	k->n = n;
	k->flows = false;
	return 0;
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
	t->take->spool = (struct spool)SPOOL_INIT(SPOOL_MEMORY);
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

	if (t->take && t->take->n > 0 && t->take->bodies > 0)
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
	if (imapask_send_alone(t, &k->ask, k->want[at].uid, at, e) < 0)
		return -1;
	k->alone_at++;
	return 1;
}

/* Send as many batches as may fly; when all are, what is to be had of the folders behind this one. */
static int pump(struct imapstore *t, struct err *e)
{
	struct imaptake *k = t->take;
	int rc = imapstore_compress(t, k->bytes, k->waited, (k->ask.n - k->ask.sent) * k->ask.mean, e);

	if (rc != 0)
		return rc < 0 ? -1 : 0;
	while (imap_may_send(&t->conn)) {
		const bool batch = k->ask.sent < k->ask.n;

		if (!batch && k->alone_at == k->alone.n)
			return imapsoon_pump(t, e);
		if (!imapask_room(&k->ask))
			return 0;
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
	k->state[at] |= OVER;
	*i = k->want[at].i;
	return err_set_span(e, kind, SPAN_MSG, "message %" PRIu32 ": %s", k->want[at].uid, why);
}

/* Keep a body until its response is complete. */
static int hold(struct imaptake *k, const struct imap_resp *r, struct err *e)
{
	char *buf;
	ssize_t n = 0;

	spool_clear(&k->spool);
	k->held = true;
	k->nil = r->body.nil;
	k->held_size = r->body.size;
	if (r->body.nil || r->body.size == 0)
		return 0;
	buf = malloc(CHUNK);
	if (!buf)
		return err_set(e, ERR_LOCAL, "out of memory");
	while ((n = stream_read(r->body.s, buf, CHUNK, e)) > 0)
		if (spool_write(&k->spool, buf, (size_t)n, e) < 0) {
			n = -1;
			break;
		}
	free(buf);
	return n < 0 ? -1 : 0;
}

/* One has come: how long they are. */
static void count(struct imaptake *k, uint32_t i, uint64_t size)
{
	imapask_came(&k->ask, i);
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
	struct wanted *w = known ? find(k, r->fetch.uid) : NULL;

	k->held = false;
	if (r->body.section.n > 0 || r->body.partial || r->body.binary || (known && !w))
		return 0; /* nobody asked for it: the next answer reads over it */
	if (!known || r->body.nil || r->body.size == 0) {
		if (!known && ++k->strays > STRAYS_MAX + k->bodies)
			return err_set(
				e, ERR_PROTO, "the server sends messages that nobody asked for");
		return hold(k, r, e);
	}
	count(k, w->i, r->body.size);
	k->state[w - k->want] |= OVER;
	*i = w->i;
	k->open = true;
	k->body = (struct body){ .s = { .ops = &body_ops },
		.t = t,
		.link = r->body.s,
		.box = t->box->name,
		.uid = w->uid };
	*body = &k->body.s;
	return 1;
}

/* Ask for a message once more, in a command of its own. */
static int ask_alone(struct imaptake *k, size_t at, struct err *e)
{
	if (vec_push(&k->alone, at) < 0)
		return err_set(e, ERR_LOCAL, "out of memory");
	k->state[at] = ALONE;
	return 0;
}

/* A response that is complete. 1: a body that waited for it is for the caller. */
static int take_fetch(struct imapstore *t, const struct imap_resp *r, size_t *i,
	struct stream **body, struct err *e)
{
	struct imaptake *k = t->take;
	struct wanted *w = r->fetch.has & IMAP_HAS_UID ? find(k, r->fetch.uid) : NULL;
	bool held = k->held, sized = r->fetch.has & IMAP_HAS_RFC822_SIZE;
	size_t at;

	k->held = false;
	if (!w)
		return 0;
	at = (size_t)(w - k->want);
	if (!held) {
		k->state[at] |= BARE;
		return 0;
	}
	if (k->nil)
		return fail_one(k, at, i, e, ERR_REFUSED, "the server has no content for it");
	/*
	 * An empty message is rare, an error of the server is not: ask how long it says that it is.
	 *
	 */
	if (k->held_size == 0 && !sized && !(k->state[at] & ALONE))
		return ask_alone(k, at, e);
	if (k->held_size == 0 && (!sized || r->fetch.size > 0))
		return fail_one(k, at, i, e, ERR_REFUSED,
			"the server sends nothing, where there should be something");
	*body = spooled_new(&k->spool, e);
	if (!*body)
		return -1;
	k->strays -= k->strays > 0;
	count(k, w->i, k->held_size);
	k->state[at] |= OVER;
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
		size_t at = b->alone ? b->from : k->order[b->from];

		b->from++;
		if (k->state[at] & OVER || (!b->alone && k->state[at] & ALONE))
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
		if (k->refused || k->state[at] & BARE)
			return fail_one(k, at, i, e, k->refused ? k->why.kind : ERR_REFUSED,
				k->refused ? k->why.text : "the server has no content for it");
		k->state[at] |= OVER;
		*i = k->want[at].i;
		*body = NULL;
		return 1;
	}
	k->telling = false;
	return 0;
}

/* Read answers until there is something to hand out: 1, 0 all is told, -1. */
static int next(struct imapstore *t, size_t *i, struct stream **body, struct err *e)
{
	struct imaptake *k = t->take;
	int rc = 0;

	while (rc == 0) {
		const struct imap_resp *r = NULL;
		struct err why = ERR_INIT;
		enum imap_event ev;
		uint32_t tag;
		msec_t begun;

		if (k->telling) {
			rc = tell_missing(t, i, body, e);
			continue;
		}
		if (pump(t, e) < 0)
			return imapstore_broken(t, e);
		if (k->ask.flying == 0)
			return 0;
		begun = clock_now();
		ev = imap_next(&t->conn, &tag, &r, &why);
		stood(k, begun);
		if (ev == IMAP_LOST) {
			t->s.torn = k->open && why.kind == ERR_PROTO;
			imapstore_give(e, &why);
			return imapstore_broken(t, e);
		}
		k->open = false;
		if (ev == IMAP_REFUSED)
			rc = take_end(t, tag, &why, e);
		else if (ev == IMAP_DONE)
			rc = take_end(t, tag, NULL, e);
		else if (r->kind == IMAP_FETCH_BODY)
			rc = take_body(t, r, i, body, e);
		else if (r->kind == IMAP_FETCH)
			rc = take_fetch(t, r, i, body, e);
	}
	return rc;
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
	rc = next(t, i, body, e);
	return rc < 0 ? imapstore_fail(t, e) : rc;
}

int imaptake_leave(struct imapstore *t, struct err *e)
{
	struct imaptake *k = t->take;

	if (!k)
		return 0;
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
