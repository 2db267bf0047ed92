/* Rolls give back what was put into them, in the order that is asked for. */
#include "../../lib/unit.h"

#include "sync/roll.h"

#define MANY 5000

static uint64_t rng;

static uint64_t draw(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng;
}

/* A number of any length. */
static uint64_t number(void)
{
	return draw() >> (draw() % 65 == 0 ? 0 : draw() % 64);
}

/* The n-th message. */
static struct listed message(unsigned n, char key[600])
{
	struct listed m = { .flags = 0 };

	rng = 0x9e3779b97f4a7c15u * (n + 1);
	m.key.n = n % 100 == 0 ? 512 : 1 + draw() % 40;
	for (size_t i = 0; i < m.key.n; i++)
		key[i] = (char)draw();
	m.key.p = key;
	m.flags = number();
	m.gone = draw() % 3 == 0;
	m.told = (struct told){ .size = number(), .date = (int64_t)number(), .has_mid = draw() % 2, .has_object = draw() % 2 };
	for (size_t i = 0; m.told.has_mid && i < sizeof(m.told.mid); i++)
		m.told.mid[i] = (unsigned char)draw();
	for (size_t i = 0; m.told.has_object && i < sizeof(m.told.object); i++)
		m.told.object[i] = (unsigned char)draw();
	return m;
}

static void check_same(const struct listed *a, const struct listed *b)
{
	assert_true(slice_eq(a->key, b->key));
	assert_true(a->flags == b->flags && a->gone == b->gone && a->told.size == b->told.size && a->told.date == b->told.date);
	assert_true(a->told.has_mid == b->told.has_mid && a->told.has_object == b->told.has_object);
	assert_memory_equal(a->told.mid, b->told.mid, sizeof(a->told.mid));
	assert_memory_equal(a->told.object, b->told.object, sizeof(a->told.object));
}

static void as_it_was(void **state)
{
	struct roll r = { .used = 0 };
	struct err e = ERR_INIT;
	char key[600];

	(void)state;
	for (unsigned n = 0; n < MANY; n++) {
		struct listed m = message(n, key);

		assert_int_equal(roll_add(&r, &m, &e), 0);
	}
	for (unsigned n = 0; n < MANY; n++) {
		struct listed want = message(n, key), got;

		roll_get(&r, n, &got);
		check_same(&got, &want);
		assert_true(slice_eq(roll_key(&r, n), want.key));
	}
	roll_release(&r);
	assert_int_equal(r.at.n, 0);
	roll_release(&r);
}

static void numbers_of_all_lengths(void **state)
{
	struct roll r = { .used = 0 };
	struct err e = ERR_INIT;
	struct listed got;

	(void)state;
	for (unsigned bit = 0; bit < 64; bit++)
		for (int less = 0; less < 2; less++) {
			struct listed m = { .key = SLICE_LIT("k"), .flags = ((uint64_t)1 << bit) - (uint64_t)less };

			m.told.size = m.flags;
			m.told.date = (int64_t)m.flags;
			assert_int_equal(roll_add(&r, &m, &e), 0);
			roll_get(&r, r.at.n - 1, &got);
			check_same(&got, &m);
		}
	roll_release(&r);
}

static void sorted(void **state)
{
	static const char *const keys[] = { "7", "10", "9", "10", "1", "10" };
	static const uint64_t by_key[] = { 4, 1, 3, 5, 0, 2 };
	struct roll r = { .used = 0 };
	struct err e = ERR_INIT;
	struct listed m;

	(void)state;
	for (size_t i = 0; i < COUNT(keys); i++) {
		m = (struct listed){ .key = slice_str(keys[i]), .flags = i };
		assert_int_equal(roll_add(&r, &m, &e), 0);
	}
	for (int turn = 0; turn < 2; turn++) {
		roll_sort(&r, slice_cmp);
		for (size_t i = 0; i < COUNT(keys); i++) {
			roll_get(&r, i, &m);
			assert_int_equal(m.flags, by_key[i]);
		}
	}
	roll_sort(&r, NULL);
	for (size_t i = 0; i < COUNT(keys); i++) {
		roll_get(&r, i, &m);
		assert_int_equal(m.flags, i);
	}
	roll_release(&r);
}

/* What a first run has of each message is its key and some twenty bytes. */
static void small(void **state)
{
	struct roll r = { .used = 0 };
	struct err e = ERR_INIT;
	char key[16];

	(void)state;
	for (unsigned n = 1; n <= 100000; n++) {
		struct listed m = { .key = slice_of(key, (size_t)snprintf(key, sizeof(key), "%u", n)), .flags = 1, .told = { .size = 3000 + n, .date = 1700000000 + n } };

		assert_int_equal(roll_add(&r, &m, &e), 0);
	}
	assert_true(r.blocks.n * 8192 + r.at.n * sizeof(*r.at.a) < 100000 * 24);
	roll_release(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(as_it_was), cmocka_unit_test(numbers_of_all_lengths), cmocka_unit_test(sorted), cmocka_unit_test(small) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
