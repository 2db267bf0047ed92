/* The listing of a maildrop: see pop3list.h. */
#include "store/pop3list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPOOL_MEM (4 << 20)
#define NUM_MAX ((uint64_t)1 << 31)
#define HASHED "sha256:"
#define NUMBER_MAX 10 /* digits; longer ones are times, or such */

/* A row in the spool: this, and the key's bytes. */
struct record {
	uint64_t size;
	uint32_t num;
	uint32_t key_len;
};

/* Empty rows. */
static void rows_clear(struct pop3rows *r)
{
	spool_clear(&r->spool);
	r->n = r->last = 0;
	r->given = r->have = false;
	r->ascending = true;
}

/* Start. */
int pop3list_init(struct pop3list *l, struct err *e)
{
	*l = (struct pop3list){
		.uidl = { .spool = SPOOL_INIT(SPOOL_MEM), .ascending = true },
		.sizes = { .spool = SPOOL_INIT(SPOOL_MEM), .ascending = true },
		.stamp = digest_new(e),
		.long_key = digest_new(e),
	};
	if (!l->stamp || !l->long_key) {
		pop3list_release(l);
		return err_set(e, ERR_LOCAL, "out of memory");
	}
	return 0;
}

/* Forget the doubles. */
static void drop_doubles(struct pop3list *l)
{
	free(l->doubles);
	free(l->numbers);
	l->doubles = l->numbers = NULL;
	l->n_doubles = 0;
}

/* Empty it. */
void pop3list_clear(struct pop3list *l)
{
	unsigned char unused[DIGEST_SIZE];

	rows_clear(&l->uidl);
	rows_clear(&l->sizes);
	digest_end(l->stamp, unused);
	drop_doubles(l);
	l->bad = l->keyless = l->numbered = 0;
}

/* Free it. */
void pop3list_release(struct pop3list *l)
{
	if (l->uidl.spool.mem.max > 0) { /* a zeroed spool would close descriptor 0 */
		spool_release(&l->uidl.spool);
		spool_release(&l->sizes.spool);
	}
	digest_free(l->stamp);
	digest_free(l->long_key);
	drop_doubles(l);
	memset(l, 0, sizeof(*l));
}

/* Put a row aside. */
static int put_row(struct pop3rows *r, uint32_t num, uint64_t size, const char *key, size_t key_len, struct err *e)
{
	struct record rec = { .size = size, .num = num, .key_len = (uint32_t)key_len };

	if (r->n == POP3LIST_ROWS_MAX)
		return err_set(e, ERR_PROTO, "the server lists more than %d messages", POP3LIST_ROWS_MAX);
	if (num <= r->last)
		r->ascending = false;
	r->last = num;
	r->n++;
	if (spool_write(&r->spool, &rec, sizeof(rec), e) < 0)
		return -1;
	return key_len > 0 ? spool_write(&r->spool, key, key_len, e) : 0;
}

/* The number that a row begins with; 0 when there is none that we take. */
static uint32_t row_number(struct slice *line)
{
	struct slice word = slice_word(line);
	uint64_t num;

	return slice_u64(word, NUM_MAX, &num) ? (uint32_t)num : 0;
}

/*
 * A UIDL as a key. RFC 1939 allows 1 to 70 characters from 0x21 to 0x7E; whatever else servers send is a key by its digest, so that keys are always short
 * and printable. Returns its length; 0: no key.
 */
static size_t make_key(struct pop3list *l, struct slice uid, char out[STORE_KEY_MAX + 1])
{
	unsigned char sum[DIGEST_SIZE];
	bool plain = uid.n <= STORE_KEY_MAX && !slice_starts(uid, HASHED);

	if (uid.n == 0 || memchr(uid.p, '\0', uid.n) || memchr(uid.p, '\r', uid.n))
		return 0;
	for (size_t i = 0; plain && i < uid.n; i++)
		plain = uid.p[i] >= 0x21 && uid.p[i] <= 0x7e;
	if (plain) {
		memcpy(out, uid.p, uid.n);
		return uid.n;
	}
	if (digest_put(l->long_key, uid.p, uid.n) < 0 || digest_end(l->long_key, sum) < 0)
		return 0;
	memcpy(out, HASHED, sizeof(HASHED) - 1);
	digest_hex(sum, out + sizeof(HASHED) - 1);
	return sizeof(HASHED) - 1 + DIGEST_HEX - 1;
}

bool pop3list_is_number(struct slice uidl)
{
	for (size_t i = 0; i < uidl.n; i++)
		if (uidl.p[i] < '0' || uidl.p[i] > '9')
			return false;
	return uidl.n > 0 && uidl.n < NUMBER_MAX;
}

/* A row of UIDL. */
int pop3list_uidl(struct pop3list *l, struct slice line, bool cut, struct err *e)
{
	char key[STORE_KEY_MAX + 1];
	uint32_t num = row_number(&line);
	size_t n;

	l->uidl.given = true;
	if (num == 0) {
		l->bad++;
		return 0;
	}
	n = cut ? 0 : make_key(l, slice_trim(line), key);
	if (n == 0)
		l->keyless++;
	l->numbered += pop3list_is_number(slice_of(key, n));
	if (digest_put(l->stamp, &num, sizeof(num)) < 0 || digest_put(l->stamp, key, n) < 0 || digest_put(l->stamp, "\n", 1) < 0)
		return err_set(e, ERR_LOCAL, "can't compute a digest");
	return put_row(&l->uidl, num, 0, key, n, e);
}

/* A row of LIST. A size that is none is unknown: the message is there all the same. */
int pop3list_size(struct pop3list *l, struct slice line, bool cut, struct err *e)
{
	uint32_t num = row_number(&line);
	uint64_t size = 0;

	l->sizes.given = true;
	if (num == 0) {
		l->bad++;
		return 0;
	}
	if (!cut)
		slice_u64(slice_word(&line), INT64_MAX, &size);
	return put_row(&l->sizes, num, size, NULL, 0, e);
}

/* What tells whether anything has changed. */
int pop3list_stamp(struct pop3list *l, uint64_t messages, char out[128], struct err *e)
{
	unsigned char sum[DIGEST_SIZE];
	char hex[DIGEST_HEX];

	out[0] = '\0';
	if (digest_put(l->stamp, &messages, sizeof(messages)) < 0 || digest_put(l->stamp, &l->bad, sizeof(l->bad)) < 0 ||
	    digest_end(l->stamp, sum) < 0)
		return err_set(e, ERR_LOCAL, "can't compute a digest");
	digest_hex(sum, hex);
	if (l->uidl.given && l->keyless == 0 && l->bad == 0 && l->uidl.n >= messages)
		snprintf(out, 128, "uidl:%s", hex);
	return 0;
}

/* Make the next row the one at hand. 1, 0 when none is left, -1. */
static int rows_next(struct pop3rows *r, struct err *e)
{
	struct record rec;
	int rc;

	if (r->have)
		return 1;
	rc = spool_take(&r->spool, &rec, sizeof(rec), e);
	if (rc <= 0)
		return rc;
	if (rec.key_len > STORE_KEY_MAX || (rec.key_len > 0 && spool_take(&r->spool, r->key, rec.key_len, e) != 1))
		return err_set(e, ERR_LOCAL, "the listing kept aside is damaged");
	r->num = rec.num;
	r->size = rec.size;
	r->key_len = rec.key_len;
	r->have = true;
	return 1;
}

/* To the first row. */
static void rows_rewind(struct pop3rows *r)
{
	spool_rewind(&r->spool);
	r->have = false;
}

/* For qsort and bsearch. */
static int cmp_u64(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/*
 * Collect a number for each row, keys' hashes or message numbers, sort them, and leave those that stand there more than once, each once, at the front.
 * Returns how many, or -1.
 */
static ssize_t find_doubles(struct pop3rows *r, bool by_key, uint64_t **out, struct err *e)
{
	uint64_t *a = malloc((size_t)(r->n ? r->n : 1) * sizeof(*a));
	size_t n = 0, kept = 0;
	int rc;

	*out = a;
	if (!a)
		return err_set(e, ERR_LOCAL, "out of memory");
	rows_rewind(r);
	while ((rc = rows_next(r, e)) > 0 && n < r->n) {
		if (!by_key || r->key_len > 0)
			a[n++] = by_key ? slice_hash(slice_of(r->key, r->key_len)) : r->num;
		r->have = false;
	}
	if (rc < 0)
		return -1;
	qsort(a, n, sizeof(*a), cmp_u64);
	for (size_t i = 1; i < n; i++)
		if (a[i] == a[i - 1] && (kept == 0 || a[kept - 1] != a[i]))
			a[kept++] = a[i];
	return (ssize_t)kept;
}

/* The same message twice in a listing leaves no way to know which row is true. */
static int check_numbers(struct pop3rows *r, const char *what, struct err *e)
{
	uint64_t *a = NULL;
	ssize_t n;

	if (r->ascending)
		return 0;
	n = find_doubles(r, false, &a, e);
	if (n > 0)
		err_set(e, ERR_PROTO, "the server lists message %llu more than once in its answer to %s", (unsigned long long)a[0], what);
	free(a);
	return n == 0 ? 0 : -1;
}

/* Do both come in the order of their numbers? */
static bool in_order(const struct pop3list *l)
{
	return l->uidl.ascending && l->sizes.ascending;
}

/* The numbers that UIDL has named, sorted. */
static int collect_numbers(struct pop3list *l, struct err *e)
{
	struct pop3rows *r = &l->uidl;
	uint64_t n = 0;
	int rc;

	l->numbers = malloc((size_t)(r->n ? r->n : 1) * sizeof(*l->numbers));
	if (!l->numbers)
		return err_set(e, ERR_LOCAL, "out of memory");
	rows_rewind(r);
	while ((rc = rows_next(r, e)) > 0 && n < r->n) {
		l->numbers[n++] = r->num;
		r->have = false;
	}
	if (rc < 0)
		return -1;
	qsort(l->numbers, (size_t)n, sizeof(*l->numbers), cmp_u64);
	return 0;
}

/* Start giving out. */
int pop3list_start(struct pop3list *l, struct err *e)
{
	ssize_t n;

	drop_doubles(l);
	if (check_numbers(&l->uidl, "UIDL", e) < 0 || check_numbers(&l->sizes, "LIST", e) < 0)
		return -1;
	n = l->as_given ? 0 : find_doubles(&l->uidl, true, &l->doubles, e);
	if (n < 0)
		return -1;
	l->n_doubles = (size_t)n;
	if (n == 0)
		drop_doubles(l);
	if (!in_order(l) && l->sizes.n > 0 && collect_numbers(l, e) < 0)
		return -1;
	rows_rewind(&l->uidl);
	rows_rewind(&l->sizes);
	return 0;
}

/* Whether the key stands for one message only. */
static bool is_single(const struct pop3list *l, const char *key, size_t n)
{
	uint64_t h = slice_hash(slice_of(key, n)); /* a server that wants two keys to collide only makes its own messages keyless */

	return l->n_doubles == 0 || !bsearch(&h, l->doubles, l->n_doubles, sizeof(h), cmp_u64);
}

/* The next row of LIST that UIDL does not have. As rows_next. */
static int next_unnamed(struct pop3list *l, struct err *e)
{
	int rc;

	while ((rc = rows_next(&l->sizes, e)) > 0) {
		uint64_t num = l->sizes.num;

		if (!bsearch(&num, l->numbers, (size_t)l->uidl.n, sizeof(num), cmp_u64))
			break;
		l->sizes.have = false;
	}
	return rc;
}

/* The next message: of UIDL and LIST whichever is lower, both when they agree. Of rows out of order UIDL's come first, without sizes, then what LIST has besides. */
int pop3list_next(struct pop3list *l, struct store_msg *m, struct err *e)
{
	struct pop3rows *u = &l->uidl, *z = &l->sizes;
	int ru = rows_next(u, e), rz = 0;

	if (ru >= 0 && in_order(l))
		rz = rows_next(z, e);
	else if (ru == 0 && z->n > 0)
		rz = next_unnamed(l, e);
	if (ru < 0 || rz < 0)
		return -1;
	if (ru == 0 && rz == 0)
		return 0;
	*m = (struct store_msg){ .key = slice_of("", 0) };
	if (ru > 0 && (rz == 0 || u->num <= z->num)) {
		m->num = u->num;
		if (u->key_len > 0 && is_single(l, u->key, u->key_len)) {
			memcpy(l->out_key, u->key, u->key_len);
			m->key = slice_of(l->out_key, u->key_len);
		}
		u->have = false;
	}
	if (rz > 0 && (m->num == 0 || m->num == z->num)) {
		m->num = z->num;
		m->size = z->size;
		z->have = false;
	}
	return 1;
}
