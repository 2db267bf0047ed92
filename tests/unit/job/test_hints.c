/* Names of folders, and hints of them: each once, bounded, all at last. */
#include "../../lib/unit.h"

#include "job/hints.h"

static void names(void **state)
{
	struct names a = { 0 }, b = { 0 };

	(void)state;
	assert_true(names_equal(&a, &b));
	assert_int_equal(names_add(&a, "x"), 0);
	assert_int_equal(names_add(&a, "INBOX"), 0);
	assert_int_equal(names_add(&b, "INBOX"), 0);
	assert_false(names_equal(&a, &b));
	assert_int_equal(names_add(&b, "x"), 0);
	names_sort(&a);
	names_sort(&b);
	assert_true(names_equal(&a, &b));
	assert_string_equal(a.a[0], "INBOX");
	names_release(&a);
	names_release(&b);
	assert_int_equal(a.n, 0);
}

static void hints(void **state)
{
	struct hints h = { 0 };
	char name[16];

	(void)state;
	hints_add(&h, "a");
	hints_add(&h, "b");
	hints_add(&h, "a");
	assert_int_equal(h.names.n, 2);
	assert_false(h.all);
	hints_add(&h, NULL);
	assert_true(h.all);
	hints_add(&h, "c");
	assert_int_equal(h.names.n, 0);
	hints_clear(&h);
	assert_false(h.all);
	for (int i = 0; i < HINTS_MAX + 1; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		assert_false(h.all);
		hints_add(&h, name);
	}
	assert_true(h.all);
	hints_release(&h);
	assert_false(h.all);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(names), cmocka_unit_test(hints) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
