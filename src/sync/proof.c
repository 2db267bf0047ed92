#include "sync/proof.h"

#include <stdlib.h>
#include <string.h>

static int by_num(const void *a, const void *b)
{
	const struct proof *x = a, *y = b;

	return (x->num > y->num) - (x->num < y->num);
}

struct told proof_told(const struct ident *id)
{
	struct told t = { .size = id->size > id->mark ? id->size - id->mark : id->size, .date = id->date, .has_mid = id->has_mid, .has_object = id->has_object };

	memcpy(t.mid, id->mid, sizeof(t.mid));
	memcpy(t.object, id->object, sizeof(t.object));
	return t;
}

void proof_keep(struct told *later, const struct told *earlier)
{
	if (later->size == 0)
		later->size = earlier->size;
	if (later->date == 0)
		later->date = earlier->date;
	if (!later->has_mid) {
		later->has_mid = earlier->has_mid;
		memcpy(later->mid, earlier->mid, sizeof(later->mid));
	}
	if (!later->has_object) {
		later->has_object = earlier->has_object;
		memcpy(later->object, earlier->object, sizeof(later->object));
	}
}

/* Of the same size and time, as far as is known. */
static bool is_alike(const struct told *t, const struct told *now)
{
	return t->size != 0 && t->size == now->size && t->date != 0 && t->date == now->date;
}

/*
 * A Message-ID that is the same is enough, and one that is another; so is a name that the server gives, but after a change of the server it may be another, and counts only with
 * another size or time. Without any both the size and the time must be other ones.
 */
bool proof_is_other(const struct told *t, const struct told *now)
{
	const bool mids = t->has_mid && now->has_mid, objects = t->has_object && now->has_object;
	const bool sizes = t->size != 0 && now->size != 0, dates = t->date != 0 && now->date != 0;

	if ((mids && memcmp(t->mid, now->mid, IDENT_MID) == 0) || (objects && memcmp(t->object, now->object, IDENT_OBJECT) == 0))
		return false;
	if (mids || objects)
		return mids || !is_alike(t, now);
	return sizes && dates && t->size != now->size && t->date != now->date;
}

static void tell(void *arg, uint64_t num, const struct ident *id)
{
	struct proofs *ps = arg;
	struct proof key = { .num = num }, *p = bsearch(&key, ps->a.a, ps->a.n, sizeof(key), by_num);

	if (!p)
		return;
	p->now = proof_told(id);
	p->end = proof_is_other(&p->told, &p->now) && !(p->ours && is_alike(&p->told, &p->now)) ? PROOF_OTHER : PROOF_SAME;
}

int proofs_ask(struct store *s, struct proofs *ps, struct err *e)
{
	VEC(uint64_t) nums = { 0 };
	int rc = 0;

	if (ps->a.n == 0)
		return 0;
	qsort(ps->a.a, ps->a.n, sizeof(*ps->a.a), by_num);
	for (size_t i = 0; rc == 0 && i < ps->a.n; i++)
		rc = vec_push(&nums, ps->a.a[i].num) < 0 ? err_set(e, ERR_LOCAL, "out of memory") : 0;
	if (rc == 0)
		rc = s->ops->idents(s, nums.a, nums.n, false, tell, ps, e);
	vec_release(&nums);
	return rc;
}
