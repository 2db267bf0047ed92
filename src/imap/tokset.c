/* Sets of numbers: see tok.h. */
#include "imap/tok_p.h"

#include <stdlib.h>

#include "base/vec.h"

/* Add a range: to the one before it where it touches it, as in a list of all that there is. 0; -1 when there are too many, or memory is out. */
static int add_range(struct uidset *v, size_t max, uint32_t a, uint32_t b)
{
	struct uidrange g = { a < b ? a : b, a < b ? b : a }, *last = v->n > 0 ? &v->a[v->n - 1] : NULL;

	if (last && last->last == g.first - 1)
		last->last = g.last;
	else if (last && g.last == last->first - 1)
		last->first = g.first;
	else
		return v->n >= max ? -1 : vec_push(v, g);
	return 0;
}

/* By their beginnings. */
static int range_cmp(const void *a, const void *b)
{
	const struct uidrange *x = a, *y = b;

	return (x->first > y->first) - (x->first < y->first);
}

/* Put a set in order: as uidset.h wants it. */
static void set_in_order(struct uidset *v)
{
	size_t i = 1, n = 0;

	while (i < v->n && v->a[i].first > v->a[i - 1].last && v->a[i].first - v->a[i - 1].last > 1)
		i++;
	if (i >= v->n)
		return;
	qsort(v->a, v->n, sizeof(*v->a), range_cmp);
	for (i = 1; i < v->n; i++) {
		if (v->a[i].first <= v->a[n].last || v->a[i].first - v->a[n].last == 1) {
			if (v->a[i].last > v->a[n].last)
				v->a[n].last = v->a[i].last;
		} else {
			v->a[++n] = v->a[i];
		}
	}
	v->n = n + 1;
}

/* Take n bytes of a set. */
static int take_set(struct imap_lexer *x, size_t n, struct err *e)
{
	bufin_take(x->in, n);
	x->set_used += n;
	if (x->set_used <= x->limits.set)
		return 0;
	err_set(e, ERR_PROTO, "the server sends sets of numbers of more than %zu bytes", x->limits.set);
	return imap_tok_dead(x);
}

/* A number of a set; *after is the byte behind it, which is not taken. */
static int set_number(struct imap_lexer *x, uint32_t *out, char *after, struct err *e)
{
	uint64_t v = 0;
	size_t i;

	for (;;) {
		struct slice have;

		if (imap_tok_need(x, 1, &have, e) < 0)
			return -1;
		for (i = 0; i < have.n && have.p[i] >= '0' && have.p[i] <= '9' && v <= UINT32_MAX; i++)
			v = 10 * v + (uint64_t)(have.p[i] - '0');
		*after = i < have.n ? have.p[i] : '\0';
		if (take_set(x, i, e) < 0)
			return -1;
		if (i < have.n)
			break;
	}
	if (v < 1 || v > UINT32_MAX) {
		err_set(e, ERR_PROTO, "the server sends a message number or UID that is none");
		return imap_tok_dead(x);
	}
	*out = (uint32_t)v;
	return 0;
}

/* A set, or several. */
int imap_tok_set(struct imap_lexer *x, struct uidset *v, struct err *e)
{
	struct slice have;
	bool blanks;

	if (imap_tok_no_open_literal(x, e) < 0 || imap_tok_past_blanks(x, &blanks, &have, e) < 0)
		return -1;
	for (;;) {
		uint32_t a, b;
		char after;

		if (set_number(x, &a, &after, e) < 0)
			return -1;
		b = a;
		if (after == ':' && (take_set(x, 1, e) < 0 || set_number(x, &b, &after, e) < 0))
			return -1;
		if (add_range(v, x->limits.ranges, a, b) != 0)
			return imap_tok_no_room(x, e);
		while (after == ' ' || after == '\t') {
			if (take_set(x, 1, e) < 0 || imap_tok_need(x, 1, &have, e) < 0)
				return -1;
			after = have.p[0];
			if (after >= '0' && after <= '9')
				break;
		}
		if (after == ',' && take_set(x, 1, e) < 0)
			return -1;
		if (after != ',' && (after < '0' || after > '9'))
			break;
	}
	set_in_order(v);
	return 0;
}
