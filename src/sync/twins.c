#include "sync/twins.h"

#include <stdlib.h>
#include <string.h>

static int by_digest(const void *a, const void *b)
{
	const struct twin *x = a, *y = b;
	int rc = memcmp(x->digest, y->digest, DIGEST_SIZE);

	return rc != 0 ? rc : (x->row > y->row) - (x->row < y->row);
}

int twins_add(struct twins *t, const unsigned char digest[DIGEST_SIZE], size_t row, struct err *e)
{
	struct twin x = { .row = row };

	memcpy(x.digest, digest, DIGEST_SIZE);
	return vec_push(&t->a, x) < 0 ? err_set(e, ERR_LOCAL, "out of memory") : 0;
}

void twins_sort(struct twins *t)
{
	if (t->a.n > 0)
		qsort(t->a.a, t->a.n, sizeof(*t->a.a), by_digest);
}

struct twin *twins_take(struct twins *t, const unsigned char digest[DIGEST_SIZE])
{
	size_t low = 0, high = t->a.n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (memcmp(t->a.a[mid].digest, digest, DIGEST_SIZE) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	for (; low < t->a.n && memcmp(t->a.a[low].digest, digest, DIGEST_SIZE) == 0; low++) {
		if (!t->a.a[low].taken) {
			t->a.a[low].taken = true;
			return &t->a.a[low];
		}
	}
	return NULL;
}

void twins_release(struct twins *t)
{
	vec_release(&t->a);
}
