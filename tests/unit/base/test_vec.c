#include "../../lib/unit.h"

#include "base/vec.h"

struct pair {
	int a;
	char b[20];
};

static void pushing(void **state)
{
	VEC(struct pair) v = { 0 };

	(void)state;
	for (int i = 0; i < 10000; i++)
		assert_int_equal(vec_push(&v, ((struct pair){ .a = i, .b = "x" })), 0);
	assert_int_equal(v.n, 10000);
	assert_true(v.cap >= v.n && v.cap < 4 * v.n);
	for (int i = 0; i < 10000; i++) {
		assert_int_equal(v.a[i].a, i);
		assert_string_equal(v.a[i].b, "x");
	}
	vec_clear(&v);
	assert_int_equal(v.n, 0);
	assert_int_equal(vec_push(&v, ((struct pair){ .a = 1 })), 0);
	assert_int_equal(v.n, 1);
	vec_release(&v);
	assert_null(v.a);
	assert_int_equal(v.cap, 0);
	vec_release(&v);
}

static void least_room(void **state)
{
	VEC(char) v = { 0 };

	(void)state;
	assert_int_equal(vec_push(&v, 'x'), 0);
	assert_int_equal(v.cap, 16);
	vec_release(&v);
}

static void pushing_a_part_of_itself(void **state)
{
	VEC(int) v = { 0 };

	(void)state;
	assert_int_equal(vec_push(&v, 7), 0);
	for (int i = 0; i < 100; i++) /* the array moves in between */
		assert_int_equal(vec_push(&v, v.a[0]), 0);
	for (size_t i = 0; i < v.n; i++)
		assert_int_equal(v.a[i], 7);
	vec_release(&v);
}

static void too_large(void **state)
{
	size_t cap = SIZE_MAX / 8;
	int x = 5;

	(void)state;
	assert_null(vec_grow(NULL, &cap, 16)); /* the product overflows */
	assert_true(cap == SIZE_MAX / 8);
	cap = SIZE_MAX / 2;
	assert_null(vec_grow(&x, &cap, 1));
	assert_true(cap == SIZE_MAX / 2);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(pushing),
		cmocka_unit_test(least_room),
		cmocka_unit_test(pushing_a_part_of_itself),
		cmocka_unit_test(too_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
