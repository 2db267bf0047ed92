#include "../../lib/unit.h"

#include "base/numset.h"

static void empty(void **state)
{
	struct numset s = { 0 };
	uint64_t n;

	(void)state;
	numset_seal(&s);
	assert_false(numset_has(&s, 0));
	assert_false(numset_from(&s, 0, &n));
	numset_release(&s);
}

static void asking(void **state)
{
	static const uint64_t in[] = { 40, UINT64_MAX, 7, 0, 40, 8 };
	struct numset s = { 0 };
	uint64_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(in) / sizeof(in[0]); i++)
		assert_int_equal(numset_add(&s, in[i]), 0);
	numset_seal(&s);
	for (size_t i = 0; i < sizeof(in) / sizeof(in[0]); i++)
		assert_true(numset_has(&s, in[i]));
	assert_false(numset_has(&s, 1));
	assert_false(numset_has(&s, 39));
	assert_false(numset_has(&s, UINT64_MAX - 1));
	assert_true(numset_from(&s, 1, &n));
	assert_int_equal(n, 7);
	assert_true(numset_from(&s, 8, &n));
	assert_int_equal(n, 8);
	assert_true(numset_from(&s, 41, &n));
	assert_true(n == UINT64_MAX);
	assert_int_equal(numset_add(&s, 39), 0);
	numset_seal(&s);
	assert_true(numset_has(&s, 39));
	numset_release(&s);
	assert_false(numset_has(&s, 40));
}

static void highest(void **state)
{
	struct numset s = { 0 };
	uint64_t n = 1;

	(void)state;
	assert_int_equal(numset_add(&s, 5), 0);
	numset_seal(&s);
	assert_false(numset_from(&s, 6, &n));
	assert_int_equal(n, 1);
	numset_release(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty),
		cmocka_unit_test(asking),
		cmocka_unit_test(highest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
