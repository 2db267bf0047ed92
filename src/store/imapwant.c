/* Messages of an IMAP mailbox that are waited for. See imaptake_p.h. */
#include <stdlib.h>

#include "store/imaptake_p.h"

static int by_uid(const void *a, const void *b)
{
	const struct imapwanted *x = a, *y = b;

	if (x->uid != y->uid)
		return x->uid < y->uid ? -1 : 1;
	return (x->i > y->i) - (x->i < y->i);
}

int imapwant_start(struct imapwant *w, const uint32_t *uids, size_t n, struct err *e)
{
	w->a = calloc(n, sizeof(*w->a));
	w->order = calloc(n, sizeof(*w->order));
	w->state = calloc(n, 1);
	if (!w->a || !w->order || !w->state)
		return err_set(e, ERR_LOCAL, "out of memory");
	for (size_t i = 0; i < n; i++)
		w->a[i] = (struct imapwanted){ .uid = uids[i], .i = (uint32_t)i, .at = (uint32_t)i };
	qsort(w->a, n, sizeof(*w->a), by_uid);
	for (size_t i = 0; i < n; i++)
		w->order[w->a[i].i] = (uint32_t)i;
	w->n = n;
	return 0;
}

void imapwant_release(struct imapwant *w)
{
	free(w->a);
	free(w->order);
	free(w->state);
	*w = (struct imapwant){ 0 };
}

struct imapwanted *imapwant_find(const struct imapwant *w, uint32_t uid)
{
	size_t lo = 0, hi = w->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (w->a[mid].uid < uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < w->n && w->a[lo].uid == uid && !(w->state[lo] & IMAPWANT_OVER) ? &w->a[lo] : NULL;
}

void imapwant_end(struct imapwant *w, size_t at)
{
	if (w->state[at] & IMAPWANT_OVER)
		return;
	if (w->state[at] & IMAPWANT_LENT)
		w->lent--;
	w->state[at] |= IMAPWANT_OVER;
}

void imapwant_lend(struct imapwant *w, size_t at, bool lent)
{
	if (lent == !!(w->state[at] & IMAPWANT_LENT))
		return;
	w->state[at] ^= IMAPWANT_LENT;
	w->lent += lent ? 1 : (size_t)-1;
}
