/* Further connections for bodies: when one is called, and what becomes of it. See imapaide_p.h. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/fiber.h"
#include "base/log.h"
#include "store/imapaide_p.h"

#define MEASURE_MS 3000 /* of waiting, before which nobody knows the pace */
#define WORTH 5 / 3     /* of that: so long it must take without another one */
#define WORTH_AGAIN 2 / 3 /* or without one that is there, and has to open another folder */
#define DOUBTS_MAX 3

const struct err imapaide_no_room = { .kind = ERR_LOCAL, .text = "there is no room for it" };

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

static void dismiss(struct imapstore *t, struct imapaide *x)
{
	struct imapaides *g = t->aides;
	size_t at = 0;

	fiber_cancel(x->fiber);
	x->fiber = NULL;
	imapshare_end(t, x);
	while (g->a[at] != x)
		at++;
	g->n--;
	memmove(&g->a[at], &g->a[at + 1], (g->n - at) * sizeof(struct imapaide *));
	aide_free(x);
}

void imapaide_give_up(struct imapstore *t, struct imapaide *x, const struct err *why)
{
	log_debug("%s: no further connection: %s", t->login.what, why->text);
	t->aides->over = true;
	dismiss(t, x);
}

void imapaide_leave(struct imapstore *t)
{
	struct imapaides *g = t->aides;

	for (size_t i = g ? g->n : 0; i > 0; i--) {
		if (!g->a[i - 1]->busy)
			continue;
		g->over = g->over || g->a[i - 1]->mute;
		dismiss(t, g->a[i - 1]);
	}
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

void imapaide_arrived(struct imapstore *t, struct imapaide *x)
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
	return (msec_t)(imapshare_unsent(t) * t->take->ask.mean * 1000 / (rate + 1));
}

bool imapaide_is_here(const struct imapstore *t, const struct imapaide *x)
{
	return x->open && strcmp(x->name, t->box->name) == 0 && x->validity == t->box->looked;
}

/* There is somebody who could open this folder, and it is worth it. NULL: nobody. */
static struct imapaide *idler(struct imapstore *t, uint64_t rate)
{
	const struct imapaides *g = t->aides;

	for (size_t i = 0; i < g->n; i++)
		if (!g->a[i]->busy && !imapaide_is_here(t, g->a[i]))
			return ahead_ms(t, rate) >= measure(t) * WORTH_AGAIN ? g->a[i] : NULL;
	return NULL;
}

/* Is it the server that all wait for, and did the last one who came help? */
static bool pays(struct imapstore *t, uint64_t rate)
{
	struct imapaides *g = t->aides;
	const struct imaptake *k = t->take;

	if (g->over || g->doubts == DOUBTS_MAX || g->n + 1 >= t->p->connections || g->n == IMAPAIDES_MAX)
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

	if (is_opening(g) || k->spent <= g->mark_spent || imapshare_unsent(t) < IMAPSHARE_HALVED_FROM)
		return;
	rate = (k->bytes + g->bytes - g->mark_bytes) * 1000 / (uint64_t)(k->spent - g->mark_spent);
	x = idler(t, rate);
	if (!x && pays(t, rate)) {
		x = hire(t);
		log_debug("%s: %" PRIu64 " bytes in a second: one more connection", t->login.what, rate);
	}
	if (x && send_there(t, x) < 0)
		imapaide_give_up(t, x, &imapaide_no_room);
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
