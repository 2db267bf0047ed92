#include "sync/twins.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "mail/eol.h"

#define CHUNK 65536

/* The digest of a body's LF form, as targets make it. */
static int read_one(struct digest *d, struct stream *body, char *in, char *lf, unsigned char out[DIGEST_SIZE], struct err *e)
{
	struct eol eol = { 0 };
	char last;
	ssize_t n;

	while ((n = stream_read(body, in, CHUNK, e)) > 0)
		if (digest_put(d, lf, eol_to_lf(&eol, in, (size_t)n, lf)) < 0)
			return err_set(e, ERR_LOCAL, "SHA-256 failed");
	if (n == 0 && eol_end(&eol, &last) > 0 && digest_put(d, &last, 1) < 0)
		return err_set(e, ERR_LOCAL, "SHA-256 failed");
	if (digest_end(d, out) < 0)
		return err_set(e, ERR_LOCAL, "SHA-256 failed");
	return n < 0 ? -1 : 0;
}

static int by_digest(const void *a, const void *b)
{
	const struct twin *x = a, *y = b;
	int rc = memcmp(x->digest, y->digest, DIGEST_SIZE);

	return rc != 0 ? rc : (x->row > y->row) - (x->row < y->row);
}

int twins_read(struct twins *t, struct store *s, const uint64_t *num, const size_t *row, size_t n, struct err *e)
{
	char *in = malloc(CHUNK), *lf = malloc(CHUNK + 1);
	struct digest *d = digest_new(e);
	int rc = -1;

	if (!in || !lf || !d) {
		if (d)
			err_set(e, ERR_LOCAL, "out of memory");
		goto out;
	}
	if (n > 0 && s->ops->want(s, num, n, e) < 0)
		goto out;
	for (rc = 1; n > 0 && rc == 1;) {
		struct stream *body = NULL;
		struct err why = ERR_INIT;
		struct twin x = { .taken = false };
		size_t i = 0;

		if (clock_check(e) < 0) {
			rc = -1;
			break;
		}
		rc = s->ops->next(s, &i, &body, &why);
		if (rc == 1 && body && read_one(d, body, in, lf, x.digest, &why) < 0)
			rc = -1;
		else if (rc == 1 && body) {
			x.row = row[i];
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
	free(in);
	free(lf);
	digest_free(d);
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
