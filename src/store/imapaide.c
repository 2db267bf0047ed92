/*
 * Bodies over further connections: see imaptake_p.h.
 *
 * An aide is a store of its own, with the same parameters and one folder, which it opens on a fiber.
 * It is lent messages of the open box from the end of those that have not been asked for; who has
 * nothing left to ask for takes half of what another has. What an aide gives is kept until its
 * answer is whole, and only then handed out: so whatever goes wrong there, what it was lent and has
 * not brought goes back, and is asked for over the main connection.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/fiber.h"
#include "base/log.h"
#include "store/imaptake_p.h"

#define MEASURE_MS 3000 /* of waiting, before which nobody knows the pace */
#define WORTH 5 / 3     /* of that: so long it must take without another one */
#define WORTH_AGAIN 2 / 3 /* or without one that is there, and has to open another folder */
#define DOUBTS_MAX 3
#define HALVED_FROM 4   /* messages: fewer are left to whom they are with */
#define SILENT_MS 10000 /* so long nothing comes of an aide, while the main connection has nothing left to do */
#define AIDES_MAX 15

struct imapaide {
	struct imapstore_params params;
	struct imapstore *t;  /* its store */
	char *name;           /* of the folder that it opens, or has opened; NULL: none yet */
	uint32_t validity;    /* which must be this one */
	bool compress;        /* the main connection is compressed */
	bool open;
	bool busy;            /* it was lent something, and not all of that has come to an end here */
	struct fiber *fiber;  /* on which it opens or reads; NULL: none */
	bool opening;
	bool ended;           /* the fiber's: it is over */
	bool told;            /* likewise: there is nothing more to come of what it was lent */
	struct imapshelf shelf; /* what came */
	bool reading;         /* the first of it is handed out */
	uint32_t *uids;       /* what it was lent, in the order in which it is wanted there */
	size_t n;             /* without what was taken back from the end of it */
	size_t brought, lacked; /* so many of that came, or are not to be had there */
};

struct imapaides {
	struct imapaide *a[AIDES_MAX];
	size_t n;
	bool over;            /* something went wrong: no more of them */
	unsigned doubts;      /* so often the last one was seen to bring nothing */
	size_t turn;          /* who is looked at first */
	bool theirs;          /* it is their turn, before the main connection's */
	uint64_t bytes;       /* that they brought */
	/* when one came: what had come until then, in what time, and how fast (bytes in a second) */
	uint64_t mark_bytes, mark_rate;
	msec_t mark_spent;
};

static const struct err no_room = { .kind = ERR_LOCAL, .text = "there is no room for it" };
static const struct err lacks = { .kind = ERR_PROTO, .text = "it lacks most of what was asked for" };

bool imapaide_there(const struct imapstore *t)
{
	return t->aides && t->aides->n > 0;
}

bool imapaide_busy(const struct imapstore *t)
{
	for (size_t i = 0; t->aides && i < t->aides->n; i++)
		if (t->aides->a[i]->busy)
			return true;
	return false;
}

/* ---- what is lent ---- */

static size_t unsent(const struct imapstore *t)
{
	return t->take ? t->take->ask.n - t->take->ask.sent : 0;
}

/* Messages that the aide was lent, and has not brought, are asked for over the main connection again. */
static void take_back(struct imapstore *t, struct imapaide *x, size_t from)
{
	for (size_t i = from; i < x->n; i++)
		imaptake_return(t, x->uids[i]);
	x->n = from;
}

static void no_more(struct imapstore *t, struct imapaide *x)
{
	take_back(t, x, 0);
	free(x->uids);
	x->uids = NULL;
	x->busy = x->told = false;
	while (imapshelf_first(&x->shelf))
		imapshelf_shift(&x->shelf);
}

/* ---- coming and going ---- */

/* The server has said it to the main connection. */
static void hear_alert(void *arg, const char *text)
{
	(void)arg;
	log_debug("the server says: \"%s\"", text);
}

static void aide_free(struct imapaide *x)
{
	if (x->t)
		store_free(&x->t->s);
	imapshelf_release(&x->shelf);
	free(x->name);
	free(x->uids);
	free(x);
}

/* Its fiber has come to its end. */
static int join(struct imapaide *x, struct err *e)
{
	struct fiber *f = x->fiber;

	x->fiber = NULL;
	return fiber_join(f, e);
}

static void dismiss(struct imapstore *t, struct imapaide *x)
{
	struct imapaides *g = t->aides;
	size_t at = 0;

	fiber_cancel(x->fiber);
	x->fiber = NULL;
	no_more(t, x);
	while (g->a[at] != x)
		at++;
	g->n--;
	memmove(&g->a[at], &g->a[at + 1], (g->n - at) * sizeof(struct imapaide *));
	aide_free(x);
}

/* It is of no use; the run goes on as if there had been none. */
static void give_up(struct imapstore *t, struct imapaide *x, const struct err *why)
{
	log_debug("%s: no further connection: %s", t->login.what, why->text);
	t->aides->over = true;
	dismiss(t, x);
}

void imapaide_leave(struct imapstore *t)
{
	for (size_t i = t->aides ? t->aides->n : 0; i > 0; i--)
		if (t->aides->a[i - 1]->busy)
			dismiss(t, t->aides->a[i - 1]);
}

void imapaide_drop(struct imapstore *t)
{
	struct imapaides *g = t->aides;

	if (!g)
		return;
	while (g->n > 0)
		dismiss(t, g->a[g->n - 1]);
	g->mark_bytes = g->mark_rate = g->bytes = 0;
	g->mark_spent = 0;
}

void imapaide_free(struct imapstore *t)
{
	if (!t->aides)
		return;
	imapaide_drop(t);
	free(t->aides);
	t->aides = NULL;
}

static struct imapaide *hire(struct imapstore *t)
{
	struct imapaide *x = calloc(1, sizeof(*x));

	if (!x)
		return NULL;
	x->params = *t->p;
	x->params.connections = 1;
	x->params.imap.remembered = NULL;
	x->params.imap.alert = hear_alert;
	x->t = (struct imapstore *)imapstore_new(&x->params, NULL);
	if (!x->t) {
		free(x);
		return NULL;
	}
	x->t->remembered = *t->login.remembered;
	x->t->stats = t->stats;
	x->t->aide = true;
	t->aides->a[t->aides->n++] = x;
	return x;
}

/* On the fiber: it opens the folder, having dialled if it must. */
static int open_there(void *arg, struct err *e)
{
	struct imapaide *x = arg;
	struct box_info info;
	int rc = x->t->s.ops->open_box(&x->t->s, x->name, BOX_READ, &info, e);

	if (rc == 0 && info.validity != x->validity)
		rc = err_set(e, ERR_TEMP, "'%s' is another one there (UIDVALIDITY)", x->name);
	if (rc == 0 && x->compress)
		rc = imap_compress(&x->t->conn, &x->t->login.dial, e) < 0 ? -1 : 0;
	x->ended = true;
	return rc;
}

/* It is to open the folder that is open here. -1: it can't. */
static int send_there(struct imapstore *t, struct imapaide *x)
{
	bool there;
	size_t at = imaptree_place(x->t, t->box->name, &there);

	free(x->name);
	x->name = strdup(t->box->name);
	x->validity = t->box->looked;
	x->compress = t->conn.compressed;
	x->open = x->ended = false;
	if (!x->name || (!there && !imaptree_add(x->t, at, strdup(t->box->name), strdup(t->box->wire), NULL)))
		return -1;
	x->fiber = fiber_start(open_there, x);
	x->opening = x->fiber != NULL;
	return x->fiber ? 0 : -1;
}

/* Measure from here on. */
static void mark(struct imapstore *t)
{
	t->aides->mark_bytes = t->take->bytes + t->aides->bytes;
	t->aides->mark_spent = t->take->spent;
}

/* It has opened the folder. */
static void arrived(struct imapstore *t, struct imapaide *x)
{
	x->open = true;
	mark(t);
}

/* ---- does it pay? ---- */

static msec_t measure(const struct imapstore *t)
{
	return t->p->measure > 0 ? t->p->measure : MEASURE_MS;
}

/* So long it will take to get what has not been asked for, at this pace (bytes in a second). */
static msec_t ahead_ms(const struct imapstore *t, uint64_t rate)
{
	return (msec_t)(unsent(t) * t->take->ask.mean * 1000 / (rate + 1));
}

static bool is_here(const struct imapstore *t, const struct imapaide *x)
{
	return x->open && strcmp(x->name, t->box->name) == 0 && x->validity == t->box->looked;
}

/* There is somebody who could open this folder, and it is worth it. NULL: nobody. */
static struct imapaide *idler(struct imapstore *t, uint64_t rate)
{
	const struct imapaides *g = t->aides;

	for (size_t i = 0; i < g->n; i++)
		if (!g->a[i]->busy && !is_here(t, g->a[i]))
			return ahead_ms(t, rate) >= measure(t) * WORTH_AGAIN ? g->a[i] : NULL;
	return NULL;
}

/* Is it the server that all wait for, and did the last one who came help? */
static bool pays(struct imapstore *t, uint64_t rate)
{
	struct imapaides *g = t->aides;
	const struct imaptake *k = t->take;

	if (g->over || g->doubts == DOUBTS_MAX || g->n + 1 >= t->p->connections || g->n == AIDES_MAX)
		return false;
	if (k->waited < measure(t) || k->waited * 2 < k->spent || k->spent - g->mark_spent < measure(t))
		return false;
	if (ahead_ms(t, rate) < measure(t) * WORTH)
		return false;
	if (g->n > 0 && rate < g->mark_rate + g->mark_rate / 4) {
		g->doubts++;
		mark(t);
		return false;
	}
	g->doubts = 0;
	g->mark_rate = rate;
	return true;
}

static bool is_opening(const struct imapaides *g)
{
	for (size_t i = 0; i < g->n; i++)
		if (g->a[i]->opening)
			return true;
	return false;
}

/* Call another one, if that pays. */
static void engage(struct imapstore *t)
{
	struct imapaides *g = t->aides;
	const struct imaptake *k = t->take;
	struct imapaide *x;
	uint64_t rate;

	if (is_opening(g) || k->spent <= g->mark_spent || unsent(t) < HALVED_FROM)
		return;
	rate = (k->bytes + g->bytes - g->mark_bytes) * 1000 / (uint64_t)(k->spent - g->mark_spent);
	x = idler(t, rate);
	if (!x && pays(t, rate)) {
		x = hire(t);
		log_debug("%s: %" PRIu64 " bytes in a second: one more connection", t->login.what, rate);
	}
	if (x && send_there(t, x) < 0)
		give_up(t, x, &no_room);
}

/* ---- sharing ---- */

/* The aide that has most to ask for; NULL: none has enough to be halved. */
static struct imapaide *richest(const struct imapaides *g)
{
	struct imapaide *best = NULL;

	for (size_t i = 0; i < g->n; i++)
		if (g->a[i]->busy && unsent(g->a[i]->t) >= HALVED_FROM &&
			(!best || unsent(g->a[i]->t) > unsent(best->t)))
			best = g->a[i];
	return best;
}

/* Half of what an aide has not asked for goes back. */
static void halve(struct imapstore *t, struct imapaide *x)
{
	size_t n = unsent(x->t) / 2;

	x->t->take->ask.n -= n;
	take_back(t, x, x->n - n);
}

/* How long messages are is known better here; and how much is to be asked for at once, at first. */
static void advise(struct imapstore *t, struct imapstore *aide)
{
	struct imapask *a = &t->take->ask, *its = &aide->take->ask;

	a->shared = true;
	imaptake_pace(t, a);
	its->mean = a->mean;
	its->known = true;
	its->bytes = a->bytes;
}

/* Lend it half of what has not been asked for. */
static void lend(struct imapstore *t, struct imapaide *x)
{
	size_t n = unsent(t) / 2;
	uint64_t *nums = malloc(n * sizeof(*nums));
	struct err why = ERR_INIT;

	x->uids = malloc(n * sizeof(*x->uids));
	if (!nums || !x->uids) {
		free(nums);
		free(x->uids);
		x->uids = NULL;
		return;
	}
	x->n = imaptake_lend(t, n, x->uids);
	x->brought = x->lacked = 0;
	x->busy = true;
	for (size_t i = 0; i < x->n; i++)
		nums[i] = x->uids[i];
	if (imaptake_want(&x->t->s, nums, x->n, &why) < 0)
		give_up(t, x, &why);
	else
		advise(t, x->t);
	free(nums);
}

/* Whoever has nothing to ask for gets something. */
static void share(struct imapstore *t)
{
	struct imapaides *g = t->aides;

	for (size_t i = 0; i < g->n; i++) {
		struct imapaide *x = g->a[i], *rich;

		if (x->busy || x->opening || !is_here(t, x))
			continue;
		rich = richest(g);
		if (rich && unsent(rich->t) > unsent(t))
			halve(t, rich);
		if (unsent(t) < HALVED_FROM)
			return;
		lend(t, x);
		if (g->n <= i || g->a[i] != x)
			return; /* it is gone */
	}
	if (unsent(t) == 0 && richest(g))
		halve(t, richest(g));
}

/* ---- what they bring ---- */

/* One that has come there, whole, to its shelf. */
static int shelve(struct imapaide *x, uint32_t uid, struct stream *body, struct err *e)
{
	struct stream *other = NULL;
	size_t at;
	int rc = imapshelf_write(&x->shelf, uid, body, e);

	stream_free(body);
	if (rc == 0)
		rc = imaptake_seal(x->t, &at, &other, e);
	stream_free(other);
	if (rc > 0)
		return err_set(e, ERR_PROTO, "there are two messages in one answer");
	if (rc == 0)
		imapshelf_put(&x->shelf);
	return rc;
}

/* On the fiber: it reads, while there is room on its shelf. */
static int bring(void *arg, struct err *e)
{
	struct imapaide *x = arg;
	int rc = 1;

	while (rc == 1 && imapshelf_room(&x->shelf)) {
		struct stream *body = NULL;
		size_t at = 0;

		rc = imaptake_turn(x->t, false, &at, &body, e);
		if (rc == 1 && !body)
			imapshelf_put_none(&x->shelf, x->uids[at]);
		else if (rc == 1 && shelve(x, x->uids[at], body, e) < 0)
			rc = -1;
	}
	x->told = rc == 0;
	x->ended = true;
	return rc;
}

/* All that may read on do so. A fiber may come to its end at once. */
static void go_on(struct imapstore *t)
{
	struct imapaides *g = t->aides;

	for (size_t i = g->n; i > 0; i--) {
		struct imapaide *x = g->a[i - 1];

		if (!x->busy || x->told || x->fiber || !imapshelf_room(&x->shelf))
			continue;
		x->ended = false;
		x->fiber = fiber_start(bring, x);
		if (!x->fiber)
			give_up(t, x, &no_room);
	}
}

/* The fibers that have come to their ends. */
static void meet(struct imapstore *t)
{
	struct imapaides *g = t->aides;

	for (size_t i = g->n; i > 0; i--) {
		struct imapaide *x = g->a[i - 1];
		struct err why = ERR_INIT;
		const bool opened = x->opening;

		if (!x->fiber || !x->ended)
			continue;
		x->opening = false;
		if (join(x, &why) < 0)
			give_up(t, x, &why);
		else if (opened)
			arrived(t, x);
	}
}

/* What lies on a shelf. 1; 0 nothing. What is not to be had there is asked for here. */
static int take(struct imapstore *t, struct imapaide *x, size_t *i, struct stream **body)
{
	const struct imapshelf_item *m;

	while (x->busy && (m = imapshelf_first(&x->shelf))) {
		if (!m->none && imaptake_brought(t, m->uid, i)) {
			*body = imapshelf_body(&x->shelf);
			x->reading = true;
			x->brought++;
			t->aides->bytes += m->size;
			return 1;
		}
		x->lacked += m->none;
		if (m->none)
			imaptake_return(t, m->uid);
		imapshelf_shift(&x->shelf);
	}
	/* what it lacks would be lent to it again, and again */
	if (x->busy && x->told && x->lacked > x->brought)
		give_up(t, x, &lacks);
	else if (x->busy && x->told)
		no_more(t, x);
	return 0;
}

/* The messages that were handed out have been read. */
static void clear_away(struct imapaides *g)
{
	for (size_t i = 0; i < g->n; i++) {
		if (g->a[i]->reading)
			imapshelf_shift(&g->a[i]->shelf);
		g->a[i]->reading = false;
	}
}

/* What lies on any shelf. */
static int take_any(struct imapstore *t, size_t *i, struct stream **body)
{
	struct imapaides *g = t->aides;

	for (size_t k = 0; k < g->n; k++) {
		struct imapaide *x = g->a[(g->turn + k) % g->n];

		if (take(t, x, i, body) == 1) {
			g->turn += k + 1;
			g->theirs = false;
			return 1;
		}
	}
	return 0;
}

/* Wait until somebody has something to say; main: the main connection, too. It need not stand idle for as long as a connection may be silent at all. */
static int wait_all(struct imapstore *t, bool main, struct err *e)
{
	struct wait_item w = { .fd = stream_fd(t->conn.s), .events = WAIT_READ };
	const msec_t begun = clock_now();
	struct err why = ERR_INIT;
	int rc = wait_beside(&w, main ? 1 : 0, clock_in(main || t->conn.timeout < SILENT_MS ? t->conn.timeout : SILENT_MS), &why);

	if (main)
		imaptake_stood(t->take, begun);
	if (rc >= 0)
		return 0;
	if (why.kind != ERR_TIMEOUT) {
		imapstore_give(e, &why);
		return -1;
	}
	log_debug("%s: nothing comes over any connection", t->login.what);
	t->aides->over = true;
	imapaide_leave(t);
	return 0;
}

/* Does something lie on a shelf, or has a fiber come to its end? */
static bool something(const struct imapaides *g)
{
	for (size_t i = 0; i < g->n; i++)
		if (imapshelf_first(&g->a[i]->shelf) || (g->a[i]->fiber && g->a[i]->ended) ||
			(g->a[i]->busy && !g->a[i]->fiber))
			return true;
	return false;
}

int imapaide_next(struct imapstore *t, size_t *i, struct stream **body, struct err *e)
{
	struct imapaides *g = t->aides;
	bool theirs = g->theirs;
	int rc;

	clear_away(g);
	rc = imaptake_seal(t, i, body, e); /* before another message is handed out */
	while (rc == 0) {
		bool main = true;

		meet(t);
		if (theirs && take_any(t, i, body) == 1)
			return 1;
		theirs = true;
		share(t);
		go_on(t);
		if (!imapaide_busy(t))
			return imaptake_turn(t, false, i, body, e);
		rc = imaptake_turn(t, true, i, body, e);
		g->theirs = rc == 1;
		if (rc < 0 || rc == 1)
			return rc;
		main = rc == IMAPTAKE_LATER;
		rc = 0;
		if (!something(g) && wait_all(t, main, e) < 0)
			return -1;
	}
	return rc;
}

void imapaide_tend(struct imapstore *t)
{
	if (t->p->connections < 2 || t->login.dial.rate > 0 || !t->box || t->conn.dead)
		return;
	if (!t->aides) {
		t->aides = calloc(1, sizeof(*t->aides));
		if (!t->aides)
			return;
	}
	engage(t);
}
