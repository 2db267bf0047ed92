/* The planner: a table of what is meant, then every state there is under what must always hold. */
#include "../../lib/unit.h"

#include "sync/plan.h"

#define NOW 1000000
#define DAY 86400

enum { NONE, OLD, YOUNG }; /* is there a pair, and of when? */

#define REMOVE PLAN_REMOVE_LEFT
#define COPY PLAN_COPY

/* base: pair, sure, gone; left: present, size; retry_at; and what to do with keep = no, yes, 30 days. */
static const struct row {
	int pair;
	bool sure, gone, present;
	uint64_t size;
	int64_t retry;
	unsigned keep_no, keep_yes, keep_age;
} table[] = {
	/* never seen */
	{ NONE, false, false, true, 100, 0, COPY | REMOVE, COPY, COPY },
	{ NONE, false, false, true, 0, 0, COPY | REMOVE, COPY, COPY },
	{ NONE, false, false, true, 1000, 0, COPY | REMOVE, COPY, COPY },
	{ NONE, false, false, true, 1001, 0, PLAN_SKIP, PLAN_SKIP, PLAN_SKIP },
	{ NONE, false, false, true, 100, NOW + 1, PLAN_WAIT, PLAN_WAIT, PLAN_WAIT },
	{ NONE, false, false, true, 100, NOW, COPY | REMOVE, COPY, COPY },
	{ NONE, false, false, true, 1001, NOW + 1, PLAN_WAIT, PLAN_WAIT, PLAN_WAIT },
	{ NONE, false, false, false, 0, 0, 0, 0, 0 },
	/* delivered, and surely the same */
	{ OLD, true, false, true, 100, 0, REMOVE, 0, REMOVE },
	{ YOUNG, true, false, true, 100, 0, REMOVE, 0, 0 },
	{ OLD, true, false, true, 5000, NOW + 1, REMOVE, 0, REMOVE },
	{ OLD, true, false, false, 0, 0, PLAN_FORGET, PLAN_FORGET, PLAN_FORGET },
	{ OLD, true, true, false, 0, 0, 0, 0, 0 },
	/* delivered, if it is the same: it is read again before it is removed, and left alone while it stays */
	{ OLD, false, false, true, 100, 0, COPY | REMOVE, 0, COPY },
	{ YOUNG, false, false, true, 100, 0, COPY | REMOVE, 0, 0 },
	{ OLD, false, false, true, 1001, 0, COPY | REMOVE, 0, COPY }, /* the limit is for new mail */
	{ OLD, false, false, true, 100, NOW + 1, PLAN_WAIT, 0, PLAN_WAIT },
	{ OLD, false, false, false, 0, 0, PLAN_FORGET, PLAN_FORGET, PLAN_FORGET },
	/* back again: only the content tells */
	{ OLD, false, true, true, 100, 0, COPY | REMOVE, COPY, COPY },
	{ YOUNG, false, true, true, 100, 0, COPY | REMOVE, COPY, COPY },
	{ OLD, false, true, true, 1001, 0, PLAN_SKIP, PLAN_SKIP, PLAN_SKIP },
	{ OLD, false, true, false, 0, 0, 0, 0, 0 },
};

static struct plan_msg message(const struct row *r)
{
	struct plan_msg m = { .base = { .exists = r->pair != NONE, .sure = r->sure, .gone = r->gone }, .left = { .present = r->present, .size = r->size },
			      .retry_at = r->retry };

	if (r->pair != NONE)
		m.base.made = r->pair == OLD ? NOW - 30 * DAY : NOW - 30 * DAY + 1;
	return m;
}

static void what_is_meant(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		const unsigned want[] = { table[i].keep_no, table[i].keep_yes, table[i].keep_age };
		struct plan_msg m = message(&table[i]);

		for (unsigned keep = KEEP_NO; keep <= KEEP_AGE; keep++) {
			struct plan_policy p = { .mode = PLAN_FETCH, .keep = keep, .keep_seconds = 30 * DAY, .max_size = 1000, .now = NOW };

			if (plan_message(&p, &m) != want[keep])
				fail_msg("row %zu, keep %u: %u, not %u", i, keep, plan_message(&p, &m), want[keep]);
		}
	}
}

/* What must hold of any state whatever. */
static void check(const struct plan_policy *p, const struct plan_msg *m)
{
	unsigned a = plan_message(p, m);
	struct plan_msg after = *m;

	assert_int_equal(a, plan_message(p, m)); /* no memory */
	assert_int_equal(a & ~31u, 0);
	/* what is to be removed has a pair, or gets one first */
	if (a & PLAN_REMOVE_LEFT) {
		assert_true((a & PLAN_COPY) || (m->base.exists && m->base.sure));
		assert_true(m->left.present);
		assert_false(p->no_remove);
		assert_true(p->keep != KEEP_YES);
		if (p->keep == KEEP_AGE)
			assert_true(m->base.exists && m->base.made + p->keep_seconds <= p->now);
	}
	if (a & PLAN_COPY) {
		assert_true(m->left.present);
		assert_false(m->base.exists && m->base.sure);
		assert_true(m->retry_at <= p->now);
		assert_true(p->max_size == 0 || m->left.size <= p->max_size || (m->base.exists && !m->base.gone));
	}
	/* left alone, waiting or forgotten: and nothing else */
	if (a & (PLAN_SKIP | PLAN_WAIT | PLAN_FORGET))
		assert_int_equal(a & (a - 1), 0);
	if (a & PLAN_SKIP)
		assert_true(p->max_size > 0 && m->left.size > p->max_size);
	if (a & PLAN_WAIT)
		assert_true(m->retry_at > p->now);
	if (a & (PLAN_SKIP | PLAN_WAIT))
		assert_true(m->left.present && !(m->base.exists && m->base.sure));
	if (a & PLAN_FORGET)
		assert_true(!m->left.present && m->base.exists && !m->base.gone);
	/* nothing that is there and not in the base is passed over in silence */
	if (m->left.present && !m->base.exists)
		assert_true(a & (PLAN_COPY | PLAN_SKIP | PLAN_WAIT));
	/* after the acts there is nothing more to copy, and in the end nothing at all */
	if (a & PLAN_COPY)
		after.base = (struct plan_base){ .exists = true, .sure = true, .made = p->now };
	if (a & PLAN_REMOVE_LEFT)
		after.left.present = false;
	if (a & PLAN_FORGET)
		after.base.gone = true;
	if (!(a & (PLAN_SKIP | PLAN_WAIT))) {
		unsigned b = plan_message(p, &after);

		assert_int_equal(b & PLAN_COPY, 0);
		if (!after.left.present)
			assert_int_equal(b & ~(unsigned)PLAN_FORGET, 0);
		if (a == PLAN_NOTHING || a == PLAN_FORGET)
			assert_int_equal(b, PLAN_NOTHING);
	}
}

static void what_always_holds(void **state)
{
	static const int64_t times[] = { 0, NOW - 31 * DAY, NOW - 30 * DAY, NOW - 30 * DAY + 1, NOW - 1, NOW, NOW + 1, NOW + DAY };
	static const uint64_t sizes[] = { 0, 1, 999, 1000, 1001, UINT64_MAX };
	static const uint64_t limits[] = { 0, 1, 1000, UINT64_MAX };
	unsigned n = 0;

	(void)state;
	for (unsigned bits = 0; bits < 32; bits++)
		for (unsigned keep = KEEP_NO; keep <= KEEP_AGE; keep++)
			for (size_t t = 0; t < COUNT(times); t++)
				for (size_t r = 0; r < COUNT(times); r++)
					for (size_t s = 0; s < COUNT(sizes); s++)
						for (size_t l = 0; l < COUNT(limits); l++)
							for (int64_t seconds = 0; seconds <= 30 * DAY; seconds += 30 * DAY) {
								struct plan_policy p = { .keep = keep, .keep_seconds = seconds, .max_size = limits[l],
											 .no_remove = bits & 1, .now = NOW };
								struct plan_msg m = { .base = { bits & 2, bits & 4, bits & 8, times[t] },
										      .left = { bits & 16, sizes[s] }, .retry_at = times[r] };

								check(&p, &m);
								n++;
							}
	assert_int_equal(n, 32 * 3 * 8 * 8 * 6 * 4 * 2);
}

/* Another limit or another policy changes what it is meant to change. */
static void policies(void **state)
{
	struct plan_policy p = { .keep = KEEP_NO, .max_size = 10, .now = NOW };
	struct plan_msg m = { .left = { true, 11 } };

	(void)state;
	assert_int_equal(plan_message(&p, &m), PLAN_SKIP);
	p.max_size = 11;
	assert_int_equal(plan_message(&p, &m), COPY | REMOVE);
	p.max_size = 0;
	p.no_remove = true;
	assert_int_equal(plan_message(&p, &m), COPY);
	m.base = (struct plan_base){ .exists = true, .sure = true, .made = 1 };
	assert_int_equal(plan_message(&p, &m), PLAN_NOTHING);
	p.no_remove = false;
	assert_int_equal(plan_message(&p, &m), REMOVE);
	/* a clock that went back removes nothing by age */
	p.keep = KEEP_AGE;
	p.keep_seconds = DAY;
	m.base.made = NOW + 10 * DAY;
	assert_int_equal(plan_message(&p, &m), PLAN_NOTHING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_meant),
		cmocka_unit_test(what_always_holds),
		cmocka_unit_test(policies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
