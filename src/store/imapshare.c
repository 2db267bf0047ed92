/* Bodies that the connections of an account share. See imapaide_p.h. */
#include <stdlib.h>

#include "base/fiber.h"
#include "base/log.h"
#include "store/imapaide_p.h"

#define REFUSED_MAX 8   /* messages, and as many as it gave: an aide that is refused more is of no use */
#define SILENT_MS 2000  /* so long nothing comes of an aide, while the main connection has nothing left to do */

static const struct err lacks = { .kind = ERR_PROTO, .text = "it lacks most of what was asked for" };

/* ---- what is lent ---- */

size_t imapshare_unsent(const struct imapstore *t)
{
	return t->take ? t->take->ask.n - t->take->ask.sent : 0;
}

/* Messages that the aide was lent, and has not brought, are asked for over the main connection again. */
static void take_back(struct imapstore *t, struct imapaide *x, size_t from)
{
	for (size_t i = from; i < x->n; i++)
		imaptake_return(t, x->uids[i], false);
	x->n = from;
}

void imapshare_end(struct imapstore *t, struct imapaide *x)
{
	take_back(t, x, 0);
	free(x->uids);
	x->uids = NULL;
	x->busy = x->told = x->mute = false;
	while (imapshelf_first(&x->shelf))
		imapshelf_shift(&x->shelf);
}

/* ---- sharing ---- */

/* The aide that has most to ask for; NULL: none has enough to be halved. */
static struct imapaide *richest(const struct imapaides *g)
{
	struct imapaide *best = NULL;

	for (size_t i = 0; i < g->n; i++)
		if (g->a[i]->busy && imapshare_unsent(g->a[i]->t) >= IMAPSHARE_HALVED_FROM &&
			(!best || imapshare_unsent(g->a[i]->t) > imapshare_unsent(best->t)))
			best = g->a[i];
	return best;
}

/* Half of what an aide has not asked for goes back. */
static void halve(struct imapstore *t, struct imapaide *x)
{
	size_t n = imapshare_unsent(x->t) / 2;

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
	size_t n = imapshare_unsent(t) / 2;
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
	x->brought = x->lacked = x->given = x->refused = 0;
	x->busy = true;
	for (size_t i = 0; i < x->n; i++)
		nums[i] = x->uids[i];
	if (imaptake_want(&x->t->s, nums, x->n, &why) < 0)
		imapaide_give_up(t, x, &why);
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

		if (x->busy || x->opening || !imapaide_is_here(t, x))
			continue;
		rich = richest(g);
		if (rich && imapshare_unsent(rich->t) > imapshare_unsent(t))
			halve(t, rich);
		if (imapshare_unsent(t) < IMAPSHARE_HALVED_FROM)
			return;
		lend(t, x);
		if (g->n <= i || g->a[i] != x)
			return; /* it is gone */
	}
	if (imapshare_unsent(t) == 0 && richest(g))
		halve(t, richest(g));
}

/* ---- what they bring ---- */

/* Its fiber has come to its end. */
static int join(struct imapaide *x, struct err *e)
{
	struct fiber *f = x->fiber;

	x->fiber = NULL;
	return fiber_join(f, e);
}

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

/* It is refused this one, which is asked for over the main connection then; each costs a command. */
static bool is_refused(struct imapaide *x, const struct err *e)
{
	return e->span == SPAN_MSG && ++x->refused <= x->given + REFUSED_MAX;
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
		if (rc == 1 && body) {
			x->given++;
			rc = shelve(x, x->uids[at], body, e) < 0 ? -1 : 1;
		} else if (rc == 1 || (rc < 0 && is_refused(x, e))) {
			imapshelf_put_none(&x->shelf, x->uids[at]);
			rc = 1;
		}
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
			imapaide_give_up(t, x, &imapaide_no_room);
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
			imapaide_give_up(t, x, &why);
		else if (opened)
			imapaide_arrived(t, x);
	}
}

/* What lies on a shelf. 1; 0 nothing. What is not to be had there is asked for here. */
static int take(struct imapstore *t, struct imapaide *x, size_t *i, struct stream **body)
{
	const struct imapshelf_item *m;

	while (x->busy && (m = imapshelf_first(&x->shelf))) {
		x->mute = false;
		if (!m->none && imaptake_brought(t, m->uid, i)) {
			*body = imapshelf_body(&x->shelf);
			x->reading = true;
			x->brought++;
			t->aides->bytes += m->size;
			return 1;
		}
		x->lacked += m->none;
		if (m->none)
			imaptake_return(t, m->uid, true);
		imapshelf_shift(&x->shelf);
	}
	/* what it lacks would be lent to it again, and again */
	if (x->busy && x->told && x->lacked > x->brought)
		imapaide_give_up(t, x, &lacks);
	else if (x->busy && x->told)
		imapshare_end(t, x);
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

/* Nothing comes of them, and nothing else is left to do: what they were lent is asked for here as well. Whichever comes first counts. */
static void doubt(struct imapstore *t)
{
	struct imapaides *g = t->aides;

	for (size_t i = 0; i < g->n; i++) {
		struct imapaide *x = g->a[i];

		if (!x->busy || x->mute)
			continue;
		log_debug("%s: nothing comes over a further connection", t->login.what);
		x->mute = true;
		x->t->take->ask.n = x->t->take->ask.sent;
		take_back(t, x, 0);
	}
}

/* Is there one of whom something is expected? What it was lent was not all taken back, though it may have come back to life since. */
static bool is_awaited(const struct imapaides *g)
{
	for (size_t i = 0; i < g->n; i++)
		if (g->a[i]->busy && !g->a[i]->mute && g->a[i]->n > 0)
			return true;
	return false;
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
	if (main) {
		log_debug("%s: nothing comes over any connection", t->login.what);
		t->aides->over = true;
		imapaide_leave(t);
	} else {
		doubt(t);
	}
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

int imapshare_next(struct imapstore *t, size_t *i, struct stream **body, struct err *e)
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
		if (rc < 0 || rc == 1 || (rc == 0 && !is_awaited(g)))
			return rc;
		main = rc == IMAPTAKE_LATER;
		rc = 0;
		if (!something(g) && wait_all(t, main, e) < 0)
			return -1;
	}
	return rc;
}
