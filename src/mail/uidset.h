/*
 * Sets of IMAP UIDs (RFC 3501 section 2.3.1.1: 1 to 2^32-1), as the protocol speaks of them:
 * ranges. What a set costs goes by its ranges, never by its UIDs: "1:4294967295" is one. Texts are
 * uid-sets of RFC 4315 section 4 (RFC 3501's sequence-set without "*"): "3,5:7", in any order and
 * overlapping; "7:5" means 5:7; no zero, no sign, no leading zero, no blank.
 */
#ifndef MAIL_UIDSET_H
#define MAIL_UIDSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"
#include "base/strbuf.h"

struct uidrange {
	uint32_t first, last; /* both belong to it; 1 <= first <= last */
};

/*
 * Sorted; between two ranges at least one UID is missing. Everyone may read it:
 *	for (size_t i = 0; i < s->n; i++) s->a[i].first ...
 */
struct uidset {
	struct uidrange *a;
	size_t n, cap;
};

#define UIDSET_INIT { .n = 0 }

void uidset_release(struct uidset *s); /* may be used again */
void uidset_clear(struct uidset *s);   /* keeps the memory */

/*
 * What changes a set fails (-1) only when memory is out, and the set is as before then. UIDs that
 * are given must be valid: 0 < first <= last. Adding at the end costs nothing, elsewhere O(ranges
 * behind); what joins two sets costs O(both).
 */
int uidset_add(struct uidset *s, uint32_t uid, struct err *e);
int uidset_add_range(struct uidset *s, uint32_t first, uint32_t last, struct err *e);
int uidset_remove(struct uidset *s, uint32_t uid, struct err *e);
int uidset_remove_range(struct uidset *s, uint32_t first, uint32_t last, struct err *e);
int uidset_unite(struct uidset *s, const struct uidset *other, struct err *e);
int uidset_subtract(struct uidset *s, const struct uidset *other, struct err *e);
int uidset_intersect(struct uidset *s, const struct uidset *other, struct err *e);

bool uidset_has(const struct uidset *s, uint32_t uid); /* O(log ranges) */
uint64_t uidset_count(const struct uidset *s);         /* UIDs, O(ranges) */
uint32_t uidset_max(const struct uidset *s);           /* 0 when empty */
bool uidset_equal(const struct uidset *a, const struct uidset *b);

/*
 * Every UID, ascending; the set must not change meanwhile:
 *	for (struct uidset_iter it = { .set = s }; uidset_next(&it, &uid);) ...
 */
struct uidset_iter {
	const struct uidset *set;
	size_t range;   /* private */
	uint32_t given; /* private: UIDs of the range that were given */
};

bool uidset_next(struct uidset_iter *it, uint32_t *uid);

/*
 * Add a text's UIDs to a set. -1, and nothing added, when it is malformed or empty or has more than
 * max_ranges elements (ERR_PROTO), or memory is out (ERR_LOCAL).
 */
int uidset_parse(struct slice text, size_t max_ranges, struct uidset *s, struct err *e);

/*
 * A set as text, in pieces: a command line must stay below what a server takes (RFC 7162 section 4
 * advises 8192 octets). Append ranges from *at on, as long as max bytes are enough, and set *at to
 * the first that is left; done when *at == s->n. A range takes at most UIDSET_RANGE_TEXT bytes: max
 * must be that at least. -1 when out is full: nothing added and *at as it was then. *at = 0 to
 * begin.
 */
#define UIDSET_RANGE_TEXT 21
int uidset_print(const struct uidset *s, size_t *at, size_t max, struct strbuf *out);

/*
 * A text's UIDs in the order of the text, each range ascending (RFC 4315 section 3: the n-th UID of
 * COPYUID's first set became the n-th of the second; so for APPENDUID after MULTIAPPEND). The text
 * is checked as a whole by uidseq_init, which fails (ERR_PROTO) when it is malformed or empty or
 * has more than max UIDs; it costs O(text). `count` is for comparing two sets before they are
 * joined. A UID may come twice if the text has it twice. The text must stay while UIDs are taken.
 */
struct uidseq {
	uint64_t count;      /* UIDs in all */
	struct slice rest;   /* private */
	uint64_t next, last; /* private: the range being given; none when next > last */
};

int uidseq_init(struct uidseq *q, struct slice text, uint64_t max, struct err *e);
bool uidseq_next(struct uidseq *q, uint32_t *uid); /* false at the end */

#endif
