/* Sets of UIDs: see uidset.h. */
#include "mail/uidset.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"

#define SHOWN 64 /* bytes of a text that an error shows, and a NUL */

/* Give the memory back. */
void uidset_release(struct uidset *s)
{
	vec_release(s);
}

/* Empty, the memory kept. */
void uidset_clear(struct uidset *s)
{
	vec_clear(s);
}

/* The error of all that needs memory. */
static int no_memory(struct err *e)
{
	return err_set(e, ERR_LOCAL, "out of memory for a set of UIDs");
}

/* The first range that ends at uid or behind it; s->n if there is none. */
static size_t find(const struct uidset *s, uint32_t uid)
{
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (s->a[middle].last < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Put n ranges in the place of those from `from` up to and without `to`. */
static int splice(struct uidset *s, size_t from, size_t to, const struct uidrange *r, size_t n,
                  struct err *e)
{
	while (s->n - (to - from) + n > s->cap) {
		struct uidrange *a = vec_grow(s->a, &s->cap, sizeof(*a));

		if (!a)
			return no_memory(e);
		s->a = a;
	}
	if (to < s->n && n != to - from)
		memmove(s->a + from + n, s->a + to, (s->n - to) * sizeof(*r));
	for (size_t i = 0; i < n; i++)
		s->a[from + i] = r[i];
	s->n = s->n - (to - from) + n;
	return 0;
}

/* Add one UID. */
int uidset_add(struct uidset *s, uint32_t uid, struct err *e)
{
	return uidset_add_range(s, uid, uid, e);
}

/* Add a range; it takes in those that it meets or touches. */
int uidset_add_range(struct uidset *s, uint32_t first, uint32_t last, struct err *e)
{
	struct uidrange r = { first, last };
	size_t from, to;

	assert(first > 0 && first <= last);
	if (s->n > 0 && first >= s->a[s->n - 1].first) /* ascending input needs no search */
		from = s->a[s->n - 1].last < first - 1 ? s->n : s->n - 1;
	else
		from = find(s, first - 1);
	for (to = from; to < s->n && s->a[to].first - 1 <= last; to++)
		;
	if (from < to) {
		if (s->a[from].first < r.first)
			r.first = s->a[from].first;
		if (s->a[to - 1].last > r.last)
			r.last = s->a[to - 1].last;
	}
	return splice(s, from, to, &r, 1, e);
}

/* Remove one UID. */
int uidset_remove(struct uidset *s, uint32_t uid, struct err *e)
{
	return uidset_remove_range(s, uid, uid, e);
}

/* Remove a range; of the ranges at its ends a rest may stay. */
int uidset_remove_range(struct uidset *s, uint32_t first, uint32_t last, struct err *e)
{
	struct uidrange rest[2];
	size_t from, to, n = 0;

	assert(first > 0 && first <= last);
	from = find(s, first);
	for (to = from; to < s->n && s->a[to].first <= last; to++)
		;
	if (from == to)
		return 0;
	if (s->a[from].first < first)
		rest[n++] = (struct uidrange){ s->a[from].first, first - 1 };
	if (s->a[to - 1].last > last)
		rest[n++] = (struct uidrange){ last + 1, s->a[to - 1].last };
	return splice(s, from, to, rest, n, e);
}

/* Let a set hold what was made from it, or say that memory was out. */
static int replace(struct uidset *s, struct uidset *made, bool ok, struct err *e)
{
	if (!ok) {
		uidset_release(made);
		return no_memory(e);
	}
	uidset_release(s);
	*s = *made;
	return 0;
}

/* Add a range that begins at or behind the beginning of the last one. */
static int append(struct uidset *s, struct uidrange r)
{
	struct uidrange *end = s->n > 0 ? &s->a[s->n - 1] : NULL;

	if (!end || end->last < r.first - 1)
		return vec_push(s, r);
	if (end->last < r.last)
		end->last = r.last;
	return 0;
}

/* Add all of another set. */
int uidset_unite(struct uidset *s, const struct uidset *other, struct err *e)
{
	struct uidset made = UIDSET_INIT;
	size_t i = 0, k = 0;
	bool ok = true;

	if (other->n == 1) /* as VANISHED mostly is */
		return uidset_add_range(s, other->a[0].first, other->a[0].last, e);
	while (ok && (i < s->n || k < other->n)) {
		bool ours = k == other->n || (i < s->n && s->a[i].first <= other->a[k].first);

		ok = append(&made, ours ? s->a[i++] : other->a[k++]) == 0;
	}
	return replace(s, &made, ok, e);
}

/* Remove all of another set. */
int uidset_subtract(struct uidset *s, const struct uidset *other, struct err *e)
{
	struct uidset made = UIDSET_INIT;
	bool ok = true;
	size_t k = 0;

	for (size_t i = 0; ok && i < s->n; i++) {
		uint64_t next = s->a[i].first, last = s->a[i].last;

		while (k < other->n && other->a[k].last < next)
			k++;
		/* what reaches beyond this range is looked at again by the next one */
		for (; ok && k < other->n && other->a[k].first <= last; k++) {
			struct uidrange gap = { (uint32_t)next, other->a[k].first - 1 };

			if (other->a[k].first > next)
				ok = append(&made, gap) == 0;
			next = (uint64_t)other->a[k].last + 1;
			if (next > last)
				break;
		}
		if (ok && next <= last)
			ok = append(&made, (struct uidrange){ (uint32_t)next, s->a[i].last }) == 0;
	}
	return replace(s, &made, ok, e);
}

/* Keep what another set has too. */
int uidset_intersect(struct uidset *s, const struct uidset *other, struct err *e)
{
	struct uidset made = UIDSET_INIT;
	size_t i = 0, k = 0;
	bool ok = true;

	while (ok && i < s->n && k < other->n) {
		struct uidrange a = s->a[i], b = other->a[k];
		uint32_t first = a.first > b.first ? a.first : b.first;
		uint32_t last = a.last < b.last ? a.last : b.last;

		if (first <= last)
			ok = append(&made, (struct uidrange){ first, last }) == 0;
		if (a.last <= b.last)
			i++;
		else
			k++;
	}
	return replace(s, &made, ok, e);
}

/* Whether a UID is in the set. */
bool uidset_has(const struct uidset *s, uint32_t uid)
{
	size_t i = find(s, uid);

	return i < s->n && s->a[i].first <= uid;
}

/* How many UIDs there are. */
uint64_t uidset_count(const struct uidset *s)
{
	uint64_t count = 0;

	for (size_t i = 0; i < s->n; i++)
		count += (uint64_t)s->a[i].last - s->a[i].first + 1;
	return count;
}

/* The highest UID. */
uint32_t uidset_max(const struct uidset *s)
{
	return s->n > 0 ? s->a[s->n - 1].last : 0;
}

/* The same UIDs. */
bool uidset_equal(const struct uidset *a, const struct uidset *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (a->a[i].first != b->a[i].first || a->a[i].last != b->a[i].last)
			return false;
	return true;
}

/* The next UID. */
bool uidset_next(struct uidset_iter *it, uint32_t *uid)
{
	while (it->range < it->set->n) {
		struct uidrange r = it->set->a[it->range];

		if (it->given <= r.last - r.first) {
			*uid = r.first + it->given++;
			return true;
		}
		it->range++;
		it->given = 0;
	}
	return false;
}

/* Cut a UID off a text. */
static bool take_uid(struct slice *rest, uint32_t *out)
{
	size_t digits = 0;
	uint64_t value;

	while (digits < rest->n && rest->p[digits] >= '0' && rest->p[digits] <= '9')
		digits++;
	if (digits == 0 || rest->p[0] == '0')
		return false;
	if (!slice_u64(slice_of(rest->p, digits), UINT32_MAX, &value))
		return false;
	rest->p += digits;
	rest->n -= digits;
	*out = (uint32_t)value;
	return true;
}

/* Cut an element off a text, and the comma behind it, which another must follow. */
static bool take_range(struct slice *rest, struct uidrange *out)
{
	uint32_t a, b;

	if (!take_uid(rest, &a))
		return false;
	b = a;
	if (rest->n > 0 && rest->p[0] == ':') {
		*rest = slice_of(rest->p + 1, rest->n - 1);
		if (!take_uid(rest, &b))
			return false;
	}
	if (rest->n > 0) {
		if (rest->p[0] != ',' || rest->n == 1)
			return false;
		*rest = slice_of(rest->p + 1, rest->n - 1);
	}
	*out = a < b ? (struct uidrange){ a, b } : (struct uidrange){ b, a };
	return true;
}

/* The error of a text that is no set. */
static int malformed(struct slice text, struct err *e)
{
	char shown[SHOWN];

	err_printable(shown, sizeof(shown), text.p, text.n);
	return err_set(e, ERR_PROTO, "'%s' is no set of UIDs", shown);
}

/* For qsort: by the first UID. */
static int by_first(const void *a, const void *b)
{
	const struct uidrange *x = a, *y = b;

	return (x->first > y->first) - (x->first < y->first);
}

/* The ranges of a text as they come; *sorted tells whether they ascend. */
static int take_all(struct slice text, struct uidset *out, bool *sorted, struct err *e)
{
	struct slice rest = text;
	struct uidrange r;

	*sorted = true;
	do {
		if (!take_range(&rest, &r))
			return malformed(text, e);
		if (out->n > 0 && r.first < out->a[out->n - 1].first)
			*sorted = false;
		if (*sorted ? append(out, r) < 0 : vec_push(out, r) < 0)
			return no_memory(e);
	} while (rest.n > 0);
	return 0;
}

/* A text's UIDs. Sorted as a whole: ranges put before others one by one would cost their square. */
int uidset_parse(struct slice text, size_t max_ranges, struct uidset *s, struct err *e)
{
	struct uidset raw = UIDSET_INIT, made = UIDSET_INIT;
	size_t elements = 1;
	bool sorted;
	int rc = -1;

	for (size_t i = 0; i < text.n; i++)
		elements += text.p[i] == ',';
	if (elements > max_ranges)
		return err_set(e, ERR_PROTO, "a set of UIDs with %zu ranges: at most %zu are taken",
		               elements, max_ranges);
	if (take_all(text, &raw, &sorted, e) < 0)
		goto out;
	if (!sorted) {
		qsort(raw.a, raw.n, sizeof(*raw.a), by_first);
		for (size_t i = 0; i < raw.n; i++) {
			if (append(&made, raw.a[i]) < 0) {
				no_memory(e);
				goto out;
			}
		}
	}
	rc = uidset_unite(s, sorted ? &raw : &made, e);
out:
	uidset_release(&raw);
	uidset_release(&made);
	return rc;
}

/* The next piece of a set's text. */
int uidset_print(const struct uidset *s, size_t *at, size_t max, struct strbuf *out)
{
	size_t start = out->len, i;

	assert(max >= UIDSET_RANGE_TEXT);
	for (i = *at; i < s->n; i++) {
		const struct uidrange *r = &s->a[i];
		char text[UIDSET_RANGE_TEXT + 2];
		const char *comma = out->len > start ? "," : "";
		int n = r->first == r->last ?
		        snprintf(text, sizeof(text), "%s%u", comma, r->first) :
		        snprintf(text, sizeof(text), "%s%u:%u", comma, r->first, r->last);

		if (out->len - start + (size_t)n > max)
			break;
		if (strbuf_put(out, text, (size_t)n) < 0) {
			strbuf_cut(out, start);
			return -1;
		}
	}
	*at = i;
	return 0;
}

/* Check a text and count its UIDs. */
int uidseq_init(struct uidseq *q, struct slice text, uint64_t max, struct err *e)
{
	struct slice rest = text;
	uint64_t count = 0;
	struct uidrange r;

	do {
		if (!take_range(&rest, &r))
			return malformed(text, e);
		count += (uint64_t)r.last - r.first + 1;
	} while (rest.n > 0);
	if (count > max)
		return err_set(e, ERR_PROTO, "a list of %llu UIDs: at most %llu are expected",
		               (unsigned long long)count, (unsigned long long)max);
	*q = (struct uidseq){ .count = count, .rest = text, .next = 1, .last = 0 };
	return 0;
}

/* The next UID of the text. */
bool uidseq_next(struct uidseq *q, uint32_t *uid)
{
	if (q->next > q->last) {
		struct uidrange r;

		if (q->rest.n == 0 || !take_range(&q->rest, &r))
			return false;
		q->next = r.first;
		q->last = r.last;
	}
	*uid = (uint32_t)q->next++;
	return true;
}
