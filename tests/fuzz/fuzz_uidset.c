/*
 * Sets of UIDs. Byte 0 picks what the rest is: 0: a text; otherwise changes to two sets, four bytes each, held against plain arrays. A text that is taken prints
 * as one that is taken, in pieces of any size, and says the same in order; what two sets have and haven't in common adds up.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mail/uidset.h"

#define BITS 257
#define MAX_RANGES 1000
#define MAX_UIDS 5000

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* Stop here, so that the fuzzer keeps the input. */
static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fuzz_uidset: %s\n", what);
	abort();
}

/* The ranges are in order, and nothing touches. */
static void must_be_sound(const struct uidset *s)
{
	must(s->n <= s->cap, "more than there is room for");
	for (size_t i = 0; i < s->n; i++) {
		must(s->a[i].first > 0 && s->a[i].first <= s->a[i].last, "a range that is none");
		must(i == 0 || (uint64_t)s->a[i - 1].last + 1 < s->a[i].first, "ranges out of order, or that touch");
	}
}

/* Print in pieces of max bytes; the pieces are the set again. */
static void print_again(const struct uidset *s, size_t max)
{
	struct uidset again = UIDSET_INIT;
	size_t at = 0;

	while (at < s->n) {
		struct strbuf out = STRBUF_INIT(max);
		size_t before = at;

		must(uidset_print(s, &at, max, &out) == 0 && at > before && out.len <= max, "no piece");
		must(uidset_parse(strbuf_slice(&out), at - before, &again, NULL) == 0, "a piece that is no set");
		strbuf_release(&out);
	}
	must(uidset_equal(s, &again), "the pieces are another set");
	uidset_release(&again);
}

/* The same text in order. */
static void in_order(struct slice text, const struct uidset *s)
{
	struct uidset again = UIDSET_INIT;
	uint64_t count = 0;
	struct uidseq q;
	uint32_t uid;

	if (uidseq_init(&q, text, MAX_UIDS, NULL) < 0) {
		must(uidseq_init(&q, text, UINT64_MAX, NULL) == 0 && q.count > MAX_UIDS, "a set that can't be given in order");
		return;
	}
	for (; uidseq_next(&q, &uid); count++)
		must(count < MAX_UIDS && uidset_add(&again, uid, NULL) == 0, "no end");
	must(count == q.count && count >= uidset_count(s), "another count");
	must(uidset_equal(s, &again), "the UIDs in order are others");
	uidset_release(&again);
}

/* A text; max is the size of pieces. */
static void as_text(struct slice text, size_t max)
{
	struct uidset s = UIDSET_INIT, all = UIDSET_INIT, rest = UIDSET_INIT;
	struct uidseq q;

	if (uidset_parse(text, MAX_RANGES, &s, NULL) < 0) {
		must(s.n == 0, "a refused text has left something");
		must(memchr(text.p, ',', text.n) || uidseq_init(&q, text, UINT64_MAX, NULL) < 0, "refused, but not in order");
		return;
	}
	must_be_sound(&s);
	must(s.n > 0 && uidset_has(&s, uidset_max(&s)), "an empty set");
	print_again(&s, max);
	in_order(text, &s);
	/* what is missing is what is left of all UIDs */
	uidset_add_range(&all, 1, UINT32_MAX, NULL);
	uidset_add_range(&rest, 1, UINT32_MAX, NULL);
	uidset_subtract(&rest, &s, NULL);
	must_be_sound(&rest);
	must(uidset_count(&rest) + uidset_count(&s) == UINT32_MAX, "they do not add up");
	uidset_intersect(&all, &s, NULL);
	must(uidset_equal(&all, &s), "all and a set are not the set");
	uidset_intersect(&all, &rest, NULL);
	must(all.n == 0, "a UID is in the set and is not");
	uidset_unite(&rest, &s, NULL);
	must(rest.n == 1 && rest.a[0].first == 1 && rest.a[0].last == UINT32_MAX, "a UID is missing");
	uidset_release(&s);
	uidset_release(&all);
	uidset_release(&rest);
}

/* One change, to the set and to its model. */
static void change(const uint8_t op[4], struct uidset *s, const struct uidset *other, bool *m, const bool *om)
{
	uint32_t first = op[1] ? op[1] : 256, last = first + (op[2] > op[3] ? op[2] : 0);

	if (last >= BITS)
		last = BITS - 1;
	switch (op[0] / 2 % 5) {
	case 0:
		must(uidset_add_range(s, first, last, NULL) == 0, "not added");
		break;
	case 1:
		must(uidset_remove_range(s, first, last, NULL) == 0, "not removed");
		break;
	case 2:
		must(uidset_unite(s, other, NULL) == 0, "not united");
		break;
	case 3:
		must(uidset_subtract(s, other, NULL) == 0, "not subtracted");
		break;
	default:
		must(uidset_intersect(s, other, NULL) == 0, "not intersected");
		break;
	}
	for (uint32_t u = 1; u < BITS; u++) {
		bool in = u >= first && u <= last;

		switch (op[0] / 2 % 5) {
		case 0:
			m[u] = m[u] || in;
			break;
		case 1:
			m[u] = m[u] && !in;
			break;
		case 2:
			m[u] = m[u] || om[u];
			break;
		case 3:
			m[u] = m[u] && !om[u];
			break;
		default:
			m[u] = m[u] && om[u];
			break;
		}
	}
}

/* Changes to two sets. */
static void as_changes(const uint8_t *p, size_t n)
{
	struct uidset s[2] = { UIDSET_INIT, UIDSET_INIT };
	bool model[2][BITS] = { { false } };

	for (size_t i = 0; i + 4 <= n; i += 4) {
		int which = p[i] % 2;
		struct uidset_iter it = { .set = &s[which] };
		uint32_t uid;

		change(p + i, &s[which], &s[!which], model[which], model[!which]);
		must_be_sound(&s[which]);
		for (uint32_t u = 1; u < BITS; u++) {
			must(uidset_has(&s[which], u) == model[which][u], "the set is not its model");
			must(!model[which][u] || (uidset_next(&it, &uid) && uid == u), "a UID is left out");
		}
		must(!uidset_next(&it, &uid), "a UID too many");
	}
	uidset_release(&s[0]);
	uidset_release(&s[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	if (n < 2 || n > 4096)
		return 0;
	if (p[0] == 0)
		as_text(slice_of(p + 2, n - 2), UIDSET_RANGE_TEXT + p[1]);
	else
		as_changes(p + 1, n - 1);
	return 0;
}
