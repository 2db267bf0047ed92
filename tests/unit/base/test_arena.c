#include "../../lib/unit.h"

#include <stdalign.h>

#include "base/arena.h"

static void memory_is_zeroed_and_aligned(void **state)
{
	struct arena a = ARENA_INIT(0);

	(void)state;
	for (int round = 0; round < 3; round++) {
		for (size_t n = 0; n < 300; n++) {
			unsigned char *p = arena_new(&a, unsigned char, n);

			assert_non_null(p);
			assert_int_equal((uintptr_t)p % alignof(max_align_t), 0);
			for (size_t i = 0; i < n; i++)
				assert_int_equal(p[i], 0);
			memset(p, 0xff, n); /* a reset block is dirty */
		}
		arena_reset(&a);
		assert_int_equal(a.used, 0);
	}
	arena_release(&a);
	assert_null(a.head);
}

static void things_stay_apart(void **state)
{
	struct arena a = ARENA_INIT(1 << 20);
	struct {
		unsigned char *p;
		size_t n;
	} got[200];

	(void)state;
	for (size_t i = 0; i < COUNT(got); i++) {
		got[i].n = i % 7 == 0 ? 3000 + i * 20 : i; /* big ones in between */
		got[i].p = arena_new(&a, unsigned char, got[i].n);
		assert_non_null(got[i].p);
		memset(got[i].p, (int)i, got[i].n);
	}
	for (size_t i = 0; i < COUNT(got); i++)
		for (size_t k = 0; k < got[i].n; k++)
			assert_int_equal(got[i].p[k], i);
	arena_release(&a);
}

static void maximum(void **state)
{
	struct arena a = ARENA_INIT(1024);

	(void)state;
	assert_null(arena_alloc(&a, 1025, 1));
	assert_null(arena_alloc(&a, SIZE_MAX / 2 + 1, 2)); /* the product overflows */
	assert_null(arena_alloc(&a, SIZE_MAX, 1));
	assert_non_null(arena_alloc(&a, 64, 8));
	assert_non_null(arena_alloc(&a, 512, 1));
	assert_null(arena_alloc(&a, 1, 1));
	assert_int_equal(a.used, 1024);
	arena_reset(&a);
	assert_non_null(arena_alloc(&a, 1024, 1));
	arena_release(&a);
	/* the limit of one without a limit */
	a = (struct arena)ARENA_INIT(0);
	assert_null(arena_alloc(&a, ((size_t)256 << 20) + 1, 1));
	assert_non_null(arena_alloc(&a, 0, SIZE_MAX)); /* nothing, but no NULL */
	arena_release(&a);
}

static void reset_keeps_a_block(void **state)
{
	struct arena a = ARENA_INIT(0);
	char *first;

	(void)state;
	assert_non_null(arena_alloc(&a, 10, 1));
	for (int i = 0; i < 5; i++)
		assert_non_null(arena_alloc(&a, 5000, 1));
	for (int i = 0; i < 5000; i++)
		assert_non_null(arena_alloc(&a, 10, 1));
	arena_reset(&a);
	assert_non_null(a.head);
	first = arena_new(&a, char, 10);
	assert_non_null(first);
	arena_reset(&a);
	assert_ptr_equal(arena_new(&a, char, 10), first);
	arena_release(&a);
	arena_release(&a);
}

static void copies(void **state)
{
	struct arena a = ARENA_INIT(100);
	struct slice s = arena_slice(&a, slice_of("a\0b", 3)), big = { "x", 1000 };

	(void)state;
	assert_true(slice_eq(s, slice_of("a\0b", 3)));
	assert_string_equal(arena_str(&a, SLICE_LIT("text")), "text");
	assert_string_equal(arena_str(&a, (struct slice){ NULL, 0 }), "");
	assert_null(arena_str(&a, big));
	big.n = SIZE_MAX;
	s = arena_slice(&a, big);
	assert_null(s.p);
	assert_int_equal(s.n, 0);
	arena_release(&a);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_zeroed_and_aligned),
		cmocka_unit_test(things_stay_apart),
		cmocka_unit_test(maximum),
		cmocka_unit_test(reset_keeps_a_block),
		cmocka_unit_test(copies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
