#include "base/numset.h"

#include <stdlib.h>

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

int numset_add(struct numset *s, uint64_t n)
{
	return vec_push(&s->v, n);
}

void numset_seal(struct numset *s)
{
	if (s->v.n > 0)
		qsort(s->v.a, s->v.n, sizeof(*s->v.a), by_value);
}

bool numset_from(const struct numset *s, uint64_t n, uint64_t *out)
{
	size_t from = 0, to = s->v.n;

	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (s->v.a[mid] < n)
			from = mid + 1;
		else
			to = mid;
	}
	if (from == s->v.n)
		return false;
	*out = s->v.a[from];
	return true;
}

bool numset_has(const struct numset *s, uint64_t n)
{
	uint64_t found;

	return numset_from(s, n, &found) && found == n;
}

void numset_release(struct numset *s)
{
	vec_release(&s->v);
}
