/* Asking for bodies: UID FETCH in batches. See imaptake_p.h. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "store/imaptake_p.h"

#define BATCH_FIRST 16 /* messages, while nobody knows how long they are; doubled with each */
#define BATCH_MAX 2048

void imapask_start(struct imapask *a, uint32_t *uids, size_t n, uint64_t mean)
{
	*a = (struct imapask){
		.uids = uids,
		.n = n,
		.size = mean ? BATCH_MAX : BATCH_FIRST,
		.mean = mean ? mean : IMAPASK_GUESS,
		.known = mean > 0,
		.bytes = IMAPASK_FIRST,
	};
}

void imapask_release(struct imapask *a)
{
	free(a->uids);
	*a = (struct imapask){ 0 };
}

/* How much where several share. A beginning is no measure: what comes first may have waited for us. */
static uint64_t shared(uint64_t came, msec_t spent)
{
	const uint64_t bytes = came * IMAPASK_SHARED_MS / ((uint64_t)spent + IMAPASK_SHARED_MS);

	return bytes > IMAPASK_BYTES ? IMAPASK_BYTES : bytes < IMAPASK_SHARED ? IMAPASK_SHARED : bytes;
}

/*
 * A fast link that is long holds more than a slow one: were no more asked for, it would be empty each
 * time before the next command has reached the server.
 */
void imapask_pace(struct imapask *a, uint64_t came, msec_t waited, msec_t spent)
{
	uint64_t bytes = came * IMAPASK_MS / ((uint64_t)waited + 1);

	if (came < IMAPASK_FIRST)
		return;
	if (bytes > IMAPASK_MOST)
		bytes = IMAPASK_MOST;
	if (bytes < IMAPASK_BYTES)
		bytes = IMAPASK_BYTES;
	a->bytes = a->shared ? shared(came, spent) : bytes;
}

/* Send one FETCH for the next n. 1; 0 too long for a line; -1. */
static int send_some(struct imapstore *t, struct imapask *a, size_t n, struct err *e)
{
	struct imapask_batch *b = &a->batch[a->flying];
	struct strbuf text = STRBUF_INIT(IMAP_COMMAND_MAX);
	struct uidset set = UIDSET_INIT;
	size_t at = 0;
	int rc = -1;

	for (size_t i = 0; i < n; i++)
		if (uidset_add(&set, a->uids[a->sent + i], e) < 0)
			goto out;
	rc = 0;
	if (uidset_print(&set, &at, IMAPSTORE_SET_MAX, &text) < 0 || at < set.n)
		goto out;
	rc = imap_send(&t->conn, &b->tag, e, "UID FETCH %s (UID BODY.PEEK[])", strbuf_str(&text));
	if (rc < 0)
		goto out;
	b->from = (uint32_t)a->sent;
	a->sent += n;
	b->to = (uint32_t)a->sent;
	b->left = (uint32_t)n;
	b->alone = false;
	b->several = n > 1;
	a->flying++;
	rc = 1;
out:
	strbuf_release(&text);
	uidset_release(&set);
	return rc;
}

/* How many messages the next batch has. */
static size_t batch_size(struct imapask *a)
{
	uint64_t most = a->bytes / a->mean;
	size_t n = a->size;

	if (most < 1)
		most = 1;
	if (a->size < BATCH_MAX)
		a->size *= 2;
	if (n > most)
		n = (size_t)most;
	if (a->shared && n > (a->n - a->sent) / IMAPASK_WINDOW)
		n = (a->n - a->sent) / IMAPASK_WINDOW + 1;
	return n < a->n - a->sent ? n : a->n - a->sent;
}

/* Messages in flight that have not come. */
static uint64_t left(const struct imapask *a)
{
	uint64_t left = 0;

	for (size_t i = 0; i < a->flying; i++)
		left += a->batch[i].left;
	return left;
}

/*
 * What counts is what has come, not which commands have ended: a server that is slow to send works at
 * several at once, and they end together.
 */
bool imapask_room(const struct imapask *a)
{
	/* towards the end, what is left unasked can still go to whoever is faster */
	if (a->shared && a->flying >= IMAPASK_WINDOW / 2 && left(a) > a->n - a->sent)
		return false;
	if (a->flying < IMAPASK_WINDOW)
		return true;
	return a->flying < IMAPASK_BATCHES &&
		imapask_coming(a) <= (IMAPASK_WINDOW - 1) * a->bytes;
}

int imapask_send(struct imapstore *t, struct imapask *a, struct err *e)
{
	size_t n = batch_size(a);
	int rc;

	while ((rc = send_some(t, a, n, e)) == 0)
		n /= 2;
	return rc < 0 ? -1 : 0;
}

int imapask_send_alone(
	struct imapstore *t, struct imapask *a, uint32_t uid, size_t from, struct err *e)
{
	struct imapask_batch *b = &a->batch[a->flying];

	if (imap_send(&t->conn, &b->tag, e,
		    "UID FETCH %" PRIu32 " (UID RFC822.SIZE BODY.PEEK[])", uid) < 0)
		return -1;
	b->from = (uint32_t)from;
	b->to = b->from + 1;
	b->left = 1;
	b->alone = true;
	b->several = false;
	a->flying++;
	return 0;
}

void imapask_came(struct imapask *a, uint32_t i)
{
	for (size_t b = 0; b < a->flying; b++) {
		struct imapask_batch *f = &a->batch[b];

		if (!f->alone && f->from <= i && i < f->to && f->left > 0)
			f->left--;
	}
}

bool imapask_end(struct imapask *a, uint32_t tag, struct imapask_batch *out)
{
	size_t b = 0;

	while (b < a->flying && a->batch[b].tag != tag)
		b++;
	if (b == a->flying)
		return false;
	*out = a->batch[b];
	a->flying--;
	memmove(&a->batch[b], &a->batch[b + 1], (a->flying - b) * sizeof(a->batch[0]));
	return true;
}

uint64_t imapask_coming(const struct imapask *a)
{
	return left(a) * a->mean;
}

uint64_t imapask_ahead(const struct imapask *a)
{
	return (a->n - a->sent) * a->mean;
}
