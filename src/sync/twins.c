#include "sync/twins.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "mail/ident.h"

static int by_digest(const void *a, const void *b)
{
	const struct twin *x = a, *y = b;
	int rc = memcmp(x->digest, y->digest, DIGEST_SIZE);

	return rc != 0 ? rc : (x->row > y->row) - (x->row < y->row);
}

int twins_read(struct twins *t, struct store *s, const uint64_t *num, const size_t *row, size_t n, struct err *e)
{
	struct ident_reader *r = ident_reader_new(e);
	int rc = -1;

	if (!r)
		return -1;
	if (n > 0 && s->ops->want(s, num, n, e) < 0)
		goto out;
	for (rc = 1; n > 0 && rc == 1;) {
		struct stream *body = NULL;
		struct err why = ERR_INIT;
		struct twin x = { .taken = false };
		struct ident id;
		size_t i = 0;

		if (clock_check(e) < 0) {
			rc = -1;
			break;
		}
		rc = s->ops->next(s, &i, &body, &why);
		if (rc == 1 && body && ident_read(r, body, &id, &why) < 0)
			rc = -1;
		else if (rc == 1 && body) {
			x.row = row[i];
			memcpy(x.digest, id.digest, DIGEST_SIZE);
			if (vec_push(&t->a, x) < 0)
				rc = err_set(&why, ERR_LOCAL, "out of memory");
		}
		stream_free(body);
		if (rc < 0 && why.span == SPAN_MSG)
			rc = 1;
		else if (rc < 0 && e)
			*e = why;
	}
	if (t->a.n > 0)
		qsort(t->a.a, t->a.n, sizeof(*t->a.a), by_digest);
out:
	ident_reader_free(r);
	return rc < 0 ? -1 : 0;
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
