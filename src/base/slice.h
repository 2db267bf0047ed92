/* A borrowed run of bytes. Never freed through this; not NUL-terminated. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
	const char *p;
	size_t n;
};

#define SLICE_LIT(s) ((struct slice){ (s), sizeof(s) - 1 })

/* s may be NULL: empty. What is inline here is so that the compiler knows the length of a literal. */
static inline struct slice slice_str(const char *s)
{
	return (struct slice){ s, s ? strlen(s) : 0 };
}

static inline struct slice slice_of(const void *p, size_t n)
{
	return (struct slice){ (const char *)p, n };
}

/* The same bytes; memcmp must not see a NULL. */
static inline bool slice_eq(struct slice a, struct slice b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool slice_eqs(struct slice a, const char *s)
{
	return slice_eq(a, slice_str(s));
}

bool slice_ieq(struct slice a, struct slice b);         /* ASCII case ignored, no locale */

static inline bool slice_ieqs(struct slice a, const char *s)
{
	struct slice b = slice_str(s);

	return a.n == b.n && slice_ieq(a, b);
}

bool slice_starts(struct slice a, const char *prefix);
bool slice_istarts(struct slice a, const char *prefix); /* ASCII case ignored */
int slice_cmp(struct slice a, struct slice b);          /* memcmp order, shorter first */
uint64_t slice_hash(struct slice a);                    /* FNV-1a: for where a collision that somebody made harms that one alone */
struct slice slice_trim(struct slice a);                /* blanks, tabs, CR, LF at both ends */

/* Cut the next word (separated by blanks or tabs) off *rest; empty when none is left. */
struct slice slice_word(struct slice *rest);

/*
 * Decimal digits only (no sign, no blank), at most max. The one function that reads numbers of the wire.
 * Returns false when empty, not all digits, or above max; *out untouched then.
 */
bool slice_u64(struct slice a, uint64_t max, uint64_t *out);

/* A malloc'd C string; NULL when out of memory or when a NUL byte is inside. */
char *slice_dup(struct slice a);

#endif
