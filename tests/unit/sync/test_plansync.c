/* The two-way planner: a table of what is meant, then millions of random states under what must always hold. MAILHAUL_LONG=1: ten times as many. */
#include "../../lib/unit.h"

#include <stdlib.h>

#include "mail/flags.h"
#include "sync/plan.h"

#define NOW 1000000
#define S FLAG_SEEN
#define F FLAG_FLAGGED
#define ALL (63u | UINT64_C(1) << 8 | UINT64_C(1) << 40 | UINT64_C(1) << 62)

static const struct plan_side_policy all = { .may_add = true, .may_remove = true, .can_hold = ALL, .may_flag = ALL };

static uint64_t rng = 88172645463325252u;

static uint64_t any(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	return rng ^= rng << 17;
}

/* base, left, right: -1 not there, else its flags. What comes of it: acts, and the flags of left, right, base. */
static const struct row {
	int base, left, right;
	unsigned acts;
	uint32_t l, r, b;
} table[] = {
	{ -1, -1, -1, PLAN_NOTHING, 0, 0, 0 },
	{ -1, S, -1, PLAN_COPY, S, S, S },
	{ -1, -1, F, PLAN_COPY_BACK, F, F, F },
	{ -1, S, F, PLAN_PAIR | PLAN_FLAG_LEFT | PLAN_FLAG_RIGHT, S | F, S | F, S | F },
	{ -1, S, S, PLAN_PAIR, S, S, S },
	{ 0, -1, -1, PLAN_FORGET, 0, 0, 0 },
	{ 0, -1, 0, PLAN_REMOVE_RIGHT, 0, 0, 0 },
	{ 0, 0, -1, PLAN_REMOVE_LEFT, 0, 0, 0 },
	{ 0, -1, S, PLAN_REMOVE_RIGHT, 0, S, 0 }, /* a flag does not save what was deleted */
	{ S, S, S, PLAN_NOTHING, S, S, S },
	{ 0, S, 0, PLAN_FLAG_RIGHT, S, S, S },
	{ 0, 0, S, PLAN_FLAG_LEFT, S, S, S },
	{ 0, S, S, PLAN_NOTHING, S, S, S }, /* both did the same */
	{ S, 0, S, PLAN_FLAG_RIGHT, 0, 0, 0 },
	{ S, S, 0, PLAN_FLAG_LEFT, 0, 0, 0 },
	{ S, F, S, PLAN_FLAG_RIGHT, F, F, F },
	{ S, S | F, 0, PLAN_FLAG_LEFT | PLAN_FLAG_RIGHT, F, F, F },
};

static struct plan_sync_side side(int flags)
{
	return (struct plan_sync_side){ .present = flags >= 0, .flags = flags >= 0 ? (uint32_t)flags : 0, .size = 100, .date = NOW - 1000 };
}

static void what_is_meant(void **state)
{
	const struct plan_sync_policy p = { .left = all, .right = all, .now = NOW };

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		const struct row *t = &table[i];
		struct plan_sync_msg m = { .known = t->base >= 0, .flags = t->base >= 0 ? (uint32_t)t->base : 0, .left = side(t->left), .right = side(t->right) };
		struct plan_sync out = plan_sync(&p, &m);

		if (out.acts != t->acts || out.left != t->l || out.right != t->r || out.base != t->b)
			fail_msg("row %zu: acts %u, left %llx, right %llx, base %llx", i, out.acts, (unsigned long long)out.left, (unsigned long long)out.right,
				 (unsigned long long)out.base);
	}
}

/* What a policy forbids isn't done, and is no change on the other side either. */
static void policies(void **state)
{
	struct plan_sync_policy p = { .left = all, .right = all, .now = NOW };
	struct plan_sync_msg m = { .left = side(S) };

	(void)state;
	p.right.max_size = 99;
	assert_int_equal(plan_sync(&p, &m).acts, PLAN_SKIP);
	m.left.size = 99;
	assert_int_equal(plan_sync(&p, &m).acts, PLAN_COPY);
	p.right.oldest = NOW - 999;
	assert_int_equal(plan_sync(&p, &m).acts, PLAN_SKIP);
	m.left.date = 0; /* who knows? */
	assert_int_equal(plan_sync(&p, &m).acts, PLAN_COPY);
	m.retry_at = NOW + 1;
	assert_int_equal(plan_sync(&p, &m).acts, PLAN_WAIT);
	p.right.may_add = false;
	assert_int_equal(plan_sync(&p, &m).acts, PLAN_NOTHING);
	/* a mark that was perhaps left by a removal which came to no end does not go with the copy */
	m = (struct plan_sync_msg){ .left = side(S | FLAG_DELETED) };
	p = (struct plan_sync_policy){ .left = all, .right = all, .now = NOW };
	assert_int_equal(plan_sync(&p, &m).right, S | FLAG_DELETED);
	p.left.can_hold &= ~(uint64_t)FLAG_DELETED;
	assert_int_equal(plan_sync(&p, &m).right, S);
	/* limits are of what is copied, not of what is there */
	m = (struct plan_sync_msg){ .known = true, .left = side(0), .right = side(0) };
	p.right = all;
	p.right.max_size = 1;
	p.right.oldest = NOW;
	assert_int_equal(plan_sync(&p, &m).acts, PLAN_NOTHING);
	m.left.present = false;
	p.right.may_remove = false;
	assert_int_equal(plan_sync(&p, &m).acts, PLAN_NOTHING);
	/* a server that keeps no such flag does not clear it here; one that may not be written to is followed */
	m = (struct plan_sync_msg){ .known = true, .flags = F, .left = side(0), .right = side(F) };
	p.left.can_hold = p.left.may_flag = ALL & ~(uint64_t)F;
	assert_int_equal(plan_sync(&p, &m).acts, PLAN_NOTHING);
	m.flags = 0;
	assert_int_equal(plan_sync(&p, &m).acts, PLAN_NOTHING);
	assert_int_equal(plan_sync(&p, &m).base, 0);
	p.left = all;
	assert_int_equal(plan_sync(&p, &m).acts, PLAN_FLAG_LEFT);
	p.left.may_flag = 0;
	assert_int_equal(plan_sync(&p, &m).acts, PLAN_NOTHING);
	m.left.flags = S;
	assert_int_equal(plan_sync(&p, &m).acts, PLAN_FLAG_RIGHT);
	assert_int_equal(plan_sync(&p, &m).right, S | F);
	assert_int_equal(plan_sync(&p, &m).base, S);
}

/* A base that proves nothing of a flag: who shows it has it. */
static void anew(void **state)
{
	struct plan_sync_policy p = { .left = all, .right = all, .anew = F, .now = NOW };
	struct plan_sync_msg m = { .known = true, .flags = S | F, .left = side(S | F), .right = side(0) };

	(void)state;
	assert_int_equal(plan_sync(&p, &m).acts, PLAN_FLAG_LEFT | PLAN_FLAG_RIGHT);
	assert_int_equal(plan_sync(&p, &m).left, F);
	assert_int_equal(plan_sync(&p, &m).right, F);
	assert_int_equal(plan_sync(&p, &m).base, F);
	/* what a side does not show, because it has no word for it yet, it can be given all the same */
	p = (struct plan_sync_policy){ .left = all, .right = all, .now = NOW };
	p.right.can_hold = ALL & ~(uint64_t)F;
	m.right = side(S);
	assert_int_equal(plan_sync(&p, &m).acts, PLAN_FLAG_RIGHT);
	assert_int_equal(plan_sync(&p, &m).right, S | F);
}

static struct plan_side_policy any_side(void)
{
	uint64_t r = any();

	return (struct plan_side_policy){ .may_add = r & 7, .may_remove = r & 070, .can_hold = r & 0100 ? ALL : any() & ALL,
					  .may_flag = r & 0200 ? ALL : any() & ALL, .max_size = r >> 32 & 3, .oldest = r >> 34 & 3 };
}

static struct plan_sync_side any_message(const struct plan_side_policy *p)
{
	uint64_t r = any();

	return (struct plan_sync_side){ .present = r & 3, .flags = (r & 3) ? any() & p->can_hold : 0, .size = r >> 20 & 3, .date = r >> 22 & 3 };
}

/* Do what was planned, to the states themselves. */
static void apply(struct plan_sync_msg *m, const struct plan_sync *out)
{
	if (out->acts & (PLAN_COPY | PLAN_COPY_BACK)) {
		*(out->acts & PLAN_COPY ? &m->right : &m->left) = out->acts & PLAN_COPY ? m->left : m->right;
		m->known = true;
	}
	if (out->acts & PLAN_PAIR)
		m->known = true;
	if (out->acts & PLAN_REMOVE_LEFT)
		m->left = (struct plan_sync_side){ 0 };
	if (out->acts & PLAN_REMOVE_RIGHT)
		m->right = (struct plan_sync_side){ 0 };
	if (m->left.present)
		m->left.flags = out->left;
	if (m->right.present)
		m->right.flags = out->right;
	m->flags = out->base;
	if (out->acts & PLAN_FORGET || (!m->left.present && !m->right.present)) {
		m->known = false;
		m->flags = 0;
	}
}

static unsigned mirrored(unsigned acts)
{
	unsigned both = acts & ~(unsigned)(PLAN_COPY | PLAN_COPY_BACK | PLAN_REMOVE_LEFT | PLAN_REMOVE_RIGHT | PLAN_FLAG_LEFT | PLAN_FLAG_RIGHT);

	return both | (acts & PLAN_COPY ? PLAN_COPY_BACK : 0u) | (acts & PLAN_COPY_BACK ? PLAN_COPY : 0u) | (acts & PLAN_REMOVE_LEFT ? PLAN_REMOVE_RIGHT : 0u) |
	       (acts & PLAN_REMOVE_RIGHT ? PLAN_REMOVE_LEFT : 0u) | (acts & PLAN_FLAG_LEFT ? PLAN_FLAG_RIGHT : 0u) | (acts & PLAN_FLAG_RIGHT ? PLAN_FLAG_LEFT : 0u);
}

#define MUST(what) do { if (!(what)) fail_msg("state %llu: %s", (unsigned long long)start, #what); } while (0)

/* What must hold of any state whatever. */
static void check(uint64_t start, const struct plan_sync_policy *p, const struct plan_sync_msg *m)
{
	const struct plan_sync_policy swapped_p = { .left = p->right, .right = p->left, .anew = p->anew, .now = p->now };
	struct plan_sync_msg swapped = *m, after = *m;
	struct plan_sync out = plan_sync(p, m), other, again;
	const bool one = m->left.present != m->right.present;
	const unsigned removes = out.acts & (PLAN_REMOVE_LEFT | PLAN_REMOVE_RIGHT), copies = out.acts & (PLAN_COPY | PLAN_COPY_BACK);

	/* nothing is lost: a message is removed only where the other side held it once and holds it no more */
	if (removes)
		MUST(one && m->known && out.acts == removes && (removes == PLAN_REMOVE_LEFT ? m->left.present : m->right.present));
	/* nothing is doubled: copied is what one side alone holds and the base does not know */
	if (copies)
		MUST(one && !m->known && out.acts == copies && (copies == PLAN_COPY ? m->left.present : m->right.present));
	/* nothing new is passed over in silence */
	if (one && !m->known && (m->left.present ? &p->right : &p->left)->may_add)
		MUST(out.acts & (PLAN_COPY | PLAN_COPY_BACK | PLAN_SKIP | PLAN_WAIT));
	/* a flag is changed only where it may be */
	MUST(!((out.left ^ m->left.flags) & ~p->left.may_flag));
	MUST(!((out.right ^ m->right.flags) & ~p->right.may_flag));
	/* nobody's silence takes away what the base does not prove, nor what the side does not know */
	if (m->left.present && m->right.present) {
		const uint64_t lost = (m->left.flags & ~out.left) | (m->right.flags & ~out.right);

		MUST(!(lost & p->anew) && !(lost & ~m->flags) && !(m->right.flags & ~out.right & ~p->left.can_hold) && !(m->left.flags & ~out.left & ~p->right.can_hold));
	}
	/* exchange of the sides */
	swapped.left = m->right;
	swapped.right = m->left;
	other = plan_sync(&swapped_p, &swapped);
	MUST(other.acts == mirrored(out.acts) && other.left == out.right && other.right == out.left && other.base == out.base);
	/* the second run finds nothing */
	if (out.acts & (PLAN_SKIP | PLAN_WAIT))
		return;
	apply(&after, &out);
	again = plan_sync(p, &after);
	MUST(again.acts == PLAN_NOTHING || (again.acts == PLAN_SKIP && !copies));
	MUST(again.base == after.flags);
	/* and where all may be done, the sides are equal */
	if (p->left.may_add && p->right.may_add && p->left.may_remove && p->right.may_remove)
		MUST(after.left.present == after.right.present);
	if (after.left.present && after.right.present)
		MUST(!((after.left.flags ^ after.right.flags) & p->left.can_hold & p->right.can_hold & p->left.may_flag & p->right.may_flag));
}

static void what_always_holds(void **state)
{
	const unsigned long n = getenv("MAILHAUL_LONG") ? 100000000ul : 10000000ul;

	(void)state;
	for (unsigned long i = 0; i < n; i++) {
		const uint64_t start = rng;
		struct plan_sync_policy p = { .left = any_side(), .right = any_side(), .anew = any() & 1 ? any() & any() & ALL : 0, .now = 2 };
		struct plan_sync_msg m = { .left = any_message(&p.left), .right = any_message(&p.right) };
		uint64_t r = any();

		m.known = r & 1;
		m.flags = m.known ? any() & ALL : 0;
		m.retry_at = r >> 16 & 3;
		check(start, &p, &m);
	}
}

static void too_many(void **state)
{
	const struct plan_max_delete usual = { .percent = 25, .count = 50 }, never = { .none = true }, strict = { .percent = 0, .count = 0 };

	(void)state;
	assert_false(plan_deletes_too_many(&usual, 0, 0));
	assert_false(plan_deletes_too_many(&usual, 50, 50));
	assert_true(plan_deletes_too_many(&usual, 51, 51));
	assert_false(plan_deletes_too_many(&usual, 51, 204));
	assert_true(plan_deletes_too_many(&usual, 51, 203));
	assert_false(plan_deletes_too_many(&usual, 250, 1000));
	assert_true(plan_deletes_too_many(&usual, 251, 1000));
	assert_false(plan_deletes_too_many(&never, 1000, 1000));
	assert_true(plan_deletes_too_many(&strict, 1, 1000));
	assert_false(plan_deletes_too_many(&strict, 0, 1000));
}

/* What stays where it may not be removed asks for nothing in the next run either: its flags are nobody else's any more. */
static void what_stays_alone(void **state)
{
	struct plan_sync_policy p = { .left = all, .right = all, .now = NOW };

	(void)state;
	p.left.may_remove = p.right.may_remove = false;
	for (int s = 0; s < 2; s++) {
		struct plan_sync_msg m = { .known = true, .flags = S, .left = side(s ? -1 : F), .right = side(s ? F : -1) };
		struct plan_sync out = plan_sync(&p, &m);

		assert_int_equal(out.acts, PLAN_NOTHING);
		assert_int_equal(out.base, F);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_meant),
		cmocka_unit_test(what_stays_alone),
		cmocka_unit_test(policies),
		cmocka_unit_test(anew),
		cmocka_unit_test(what_always_holds),
		cmocka_unit_test(too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
