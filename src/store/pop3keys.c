/* Names of messages that last: see pop3keys.h. */
#include "store/pop3keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/pop3list.h"

#define HEAD "head "

void pop3keys_clear(struct pop3keys *k)
{
	arena_reset(&k->arena);
	vec_clear(&k->by_num);
	vec_clear(&k->by_key);
	k->vague = 0;
}

void pop3keys_release(struct pop3keys *k)
{
	arena_release(&k->arena);
	vec_release(&k->by_num);
	vec_release(&k->by_key);
}

static int no_memory(struct err *e)
{
	return err_set(e, ERR_LOCAL, "out of memory: the maildrop holds too many messages");
}

int pop3keys_add(struct pop3keys *k, uint32_t num, struct slice uidl, uint64_t size, struct err *e)
{
	struct pop3key x = { .num = num, .size = size, .vague = uidl.n == 0 };

	if (!x.vague) {
		x.key = arena_slice(&k->arena, uidl);
		if (!x.key.p)
			return no_memory(e);
	}
	return vec_push(&k->by_num, x) < 0 ? no_memory(e) : 0;
}

static int cmp_num(const void *a, const void *b)
{
	const struct pop3key *x = a, *y = b;

	return (x->num > y->num) - (x->num < y->num);
}

/* By UIDL, those without one last; of equal ones in the order of the maildrop. */
static int cmp_uidl(const void *a, const void *b)
{
	const struct pop3key *x = a, *y = b;
	int rc = (x->key.n == 0) - (y->key.n == 0);

	if (rc == 0)
		rc = slice_cmp(x->key, y->key);
	return rc != 0 ? rc : cmp_num(a, b);
}

/* The same for those that have a name. */
static int cmp_key(const void *a, const void *b)
{
	const struct pop3key *const *x = a, *const *y = b;

	return slice_cmp((*x)->key, (*y)->key);
}

static int cmp_head(const void *a, const void *b)
{
	const struct pop3key *x = *(const struct pop3key *const *)a, *y = *(const struct pop3key *const *)b;
	int rc = memcmp(x->head, y->head, DIGEST_SIZE);

	return rc != 0 ? rc : cmp_num(x, y);
}

void pop3keys_sort(struct pop3keys *k)
{
	k->vague = 0;
	if (k->by_num.n == 0)
		return;
	qsort(k->by_num.a, k->by_num.n, sizeof(*k->by_num.a), cmp_uidl);
	for (size_t i = 0; i < k->by_num.n; i++) {
		struct pop3key *x = &k->by_num.a[i];

		x->vague = x->key.n == 0 || pop3list_is_number(x->key) || (i > 0 && slice_eq(x->key, k->by_num.a[i - 1].key));
		k->vague += x->vague;
	}
	qsort(k->by_num.a, k->by_num.n, sizeof(*k->by_num.a), cmp_num);
}

const struct pop3key *pop3keys_num(const struct pop3keys *k, uint64_t num)
{
	const struct pop3key want = { .num = (uint32_t)num };

	return num > UINT32_MAX || k->by_num.n == 0 ? NULL : bsearch(&want, k->by_num.a, k->by_num.n, sizeof(want), cmp_num);
}

void pop3keys_head(struct pop3keys *k, uint32_t num, const unsigned char head[DIGEST_SIZE])
{
	const struct pop3key *at = pop3keys_num(k, num);
	struct pop3key *x = at ? &k->by_num.a[at - k->by_num.a] : NULL;

	if (!x || !x->vague)
		return;
	x->headed = true;
	memcpy(x->head, head, DIGEST_SIZE);
}

/* The name of one whose header is known; nth: of those with the same one. */
static int name_one(struct pop3keys *k, struct pop3key *x, unsigned nth, struct err *e)
{
	char hex[DIGEST_HEX], text[sizeof(HEAD) + DIGEST_HEX + 16];
	int n;

	digest_hex(x->head, hex);
	n = nth == 1 ? snprintf(text, sizeof(text), HEAD "%s", hex) : snprintf(text, sizeof(text), HEAD "%s %u", hex, nth);
	x->key = arena_slice(&k->arena, slice_of(text, (size_t)n));
	return x->key.p ? 0 : no_memory(e);
}

int pop3keys_seal(struct pop3keys *k, struct err *e)
{
	VEC(struct pop3key *) headed = { 0 };
	unsigned nth = 0;
	int rc = 0;

	vec_clear(&k->by_key);
	for (size_t i = 0; rc == 0 && i < k->by_num.n; i++) {
		struct pop3key *x = &k->by_num.a[i];

		if (x->vague && !x->headed)
			continue;
		k->vague -= x->vague;
		rc = (x->vague && vec_push(&headed, x) < 0) || vec_push(&k->by_key, x) < 0 ? no_memory(e) : 0;
	}
	if (headed.n > 0)
		qsort(headed.a, headed.n, sizeof(*headed.a), cmp_head);
	for (size_t i = 0; rc == 0 && i < headed.n; i++) {
		nth = i > 0 && memcmp(headed.a[i]->head, headed.a[i - 1]->head, DIGEST_SIZE) == 0 ? nth + 1 : 1;
		rc = name_one(k, headed.a[i], nth, e);
	}
	vec_release(&headed);
	if (rc == 0 && k->by_key.n > 0)
		qsort(k->by_key.a, k->by_key.n, sizeof(*k->by_key.a), cmp_key);
	return rc;
}

static int cmp_slice(const void *a, const void *b)
{
	const struct slice *x = a;
	const struct pop3key *const *y = b;

	return slice_cmp(*x, (*y)->key);
}

const struct pop3key *pop3keys_find(const struct pop3keys *k, struct slice key)
{
	const struct pop3key *const *at = k->by_key.n == 0 ? NULL : bsearch(&key, k->by_key.a, k->by_key.n, sizeof(*k->by_key.a), cmp_slice);

	return at ? *at : NULL;
}
