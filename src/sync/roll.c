/*
 * Rolls: see roll.h. Each message is a record: the length of its key, the key, one byte of bits, then flags, size and date, and the hashes that it has. Numbers have as many
 * bytes as they need, seven bits in each.
 */
#include "sync/roll.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK 8192u  /* no record lies in two */
#define NUMBER_MAX 10 /* bytes */

enum { HAS_MID = 1, HAS_OBJECT = 2, IS_GONE = 4 };

static unsigned char *put_number(unsigned char *p, uint64_t n)
{
	for (; n >= 0x80; n >>= 7)
		*p++ = (unsigned char)(n | 0x80);
	*p++ = (unsigned char)n;
	return p;
}

static const unsigned char *get_number(const unsigned char *p, uint64_t *out)
{
	unsigned shift = 0;

	for (*out = 0; *p & 0x80; shift += 7)
		*out |= (uint64_t)(*p++ & 0x7f) << shift;
	*out |= (uint64_t)*p++ << shift;
	return p;
}

static unsigned char *put_bytes(unsigned char *p, const void *bytes, size_t n)
{
	if (n > 0)
		memcpy(p, bytes, n);
	return p + n;
}

/* Room for so many bytes. */
static unsigned char *make_room(struct roll *l, size_t n)
{
	unsigned char *block;

	if (n > BLOCK)
		return NULL;
	if (l->blocks.n > 0 && l->used + n <= BLOCK)
		return l->blocks.a[l->blocks.n - 1] + l->used;
	if (l->blocks.n > UINT32_MAX / BLOCK)
		return NULL;
	block = malloc(BLOCK);
	if (!block || vec_push(&l->blocks, block) < 0) {
		free(block);
		return NULL;
	}
	l->used = 0;
	return block;
}

int roll_add(struct roll *l, const struct listed *m, struct err *e)
{
	unsigned char *p = make_room(l, m->key.n + 1 + 4 * NUMBER_MAX + sizeof(m->told.mid) + sizeof(m->told.object));
	const unsigned char *begin = p;

	if (!p || vec_push(&l->at, (uint32_t)((l->blocks.n - 1) * BLOCK + l->used)) < 0)
		return err_set(e, ERR_LOCAL, "out of memory: too many messages have changed at once");
	p = put_number(p, m->key.n);
	p = put_bytes(p, m->key.p, m->key.n);
	*p++ = (unsigned char)((m->told.has_mid ? HAS_MID : 0) | (m->told.has_object ? HAS_OBJECT : 0) | (m->gone ? IS_GONE : 0));
	p = put_number(p, m->flags);
	p = put_number(p, m->told.size);
	p = put_number(p, (uint64_t)m->told.date);
	if (m->told.has_mid)
		p = put_bytes(p, m->told.mid, sizeof(m->told.mid));
	if (m->told.has_object)
		p = put_bytes(p, m->told.object, sizeof(m->told.object));
	l->used += (size_t)(p - begin);
	return 0;
}

static const unsigned char *record(const struct roll *l, uint32_t at)
{
	return l->blocks.a[at / BLOCK] + at % BLOCK;
}

static const unsigned char *get_key(const unsigned char *p, struct slice *out)
{
	uint64_t n;

	p = get_number(p, &n);
	*out = slice_of(p, (size_t)n);
	return p + n;
}

void roll_get(const struct roll *l, size_t i, struct listed *out)
{
	const unsigned char *p = get_key(record(l, l->at.a[i]), &out->key);
	unsigned bits = *p++;
	uint64_t date;

	out->told = (struct told){ .has_mid = bits & HAS_MID, .has_object = bits & HAS_OBJECT };
	out->gone = bits & IS_GONE;
	p = get_number(p, &out->flags);
	p = get_number(p, &out->told.size);
	p = get_number(p, &date);
	out->told.date = (int64_t)date;
	if (bits & HAS_MID) {
		memcpy(out->told.mid, p, sizeof(out->told.mid));
		p += sizeof(out->told.mid);
	}
	if (bits & HAS_OBJECT)
		memcpy(out->told.object, p, sizeof(out->told.object));
}

struct slice roll_key(const struct roll *l, size_t i)
{
	struct slice key;

	get_key(record(l, l->at.a[i]), &key);
	return key;
}

/* What a comparison needs to know. */
struct sorting {
	const struct roll *l;
	int (*cmp)(struct slice a, struct slice b);
};

static int compare(const void *a, const void *b, void *arg)
{
	const struct sorting *s = arg;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	struct slice k, l;
	int rc = 0;

	if (s->cmp) {
		get_key(record(s->l, x), &k);
		get_key(record(s->l, y), &l);
		rc = s->cmp(k, l);
	}
	return rc != 0 ? rc : (x > y) - (x < y);
}

void roll_sort(struct roll *l, int (*cmp)(struct slice a, struct slice b))
{
	struct sorting s = { .l = l, .cmp = cmp };
	size_t i = 1;

	/* most are told in that order */
	while (i < l->at.n && compare(&l->at.a[i - 1], &l->at.a[i], &s) < 0)
		i++;
	if (i < l->at.n)
		qsort_r(l->at.a, l->at.n, sizeof(*l->at.a), compare, &s);
}

void roll_release(struct roll *l)
{
	for (size_t i = 0; i < l->blocks.n; i++)
		free(l->blocks.a[i]);
	vec_release(&l->blocks);
	vec_release(&l->at);
	l->used = 0;
}
