/* Is the message that has a number now the one that is meant? What speaks for it outweighs what speaks against it: a deletion must not be refused for ever. */
#include "../../lib/unit.h"

#include "sync/proof.h"

enum { NONE, ONE, TWO };

static struct told told(int size, int date, int mid, int object)
{
	struct told t = { .size = (uint64_t)size, .date = date, .has_mid = mid != NONE, .has_object = object != NONE };

	memset(t.mid, mid, sizeof(t.mid));
	memset(t.object, object, sizeof(t.object));
	return t;
}

static void other(void **state)
{
	static const struct { int then[4], now[4]; bool other; } rows[] = {
		{ { 5, 7, ONE, NONE }, { 5, 7, ONE, NONE }, false },
		{ { 5, 7, ONE, NONE }, { 6, 8, TWO, NONE }, true },
		{ { 5, 7, ONE, NONE }, { 6, 8, ONE, NONE }, false }, /* a server may lie about sizes, and have moved it */
		{ { 5, 7, ONE, NONE }, { 5, 7, TWO, NONE }, true },  /* many come in the same second, and are as long */
		{ { 5, 7, ONE, NONE }, { 5, 8, TWO, NONE }, true },
		{ { 5, 7, ONE, NONE }, { 6, 7, TWO, NONE }, true },
		{ { 5, 0, ONE, NONE }, { 5, 7, TWO, NONE }, true },
		{ { 0, 0, ONE, NONE }, { 5, 7, TWO, NONE }, true },
		{ { 5, 7, NONE, NONE }, { 6, 8, NONE, NONE }, true },
		{ { 5, 7, NONE, NONE }, { 6, 7, NONE, NONE }, false },
		{ { 5, 7, NONE, NONE }, { 5, 8, NONE, NONE }, false },
		{ { 5, 0, NONE, NONE }, { 6, 8, NONE, NONE }, false },
		{ { 0, 7, NONE, NONE }, { 6, 8, NONE, NONE }, false },
		{ { 5, 7, ONE, NONE }, { 6, 8, NONE, NONE }, true },
		{ { 5, 7, ONE, NONE }, { 6, 7, NONE, NONE }, false }, /* it can't tell the Message-ID */
		{ { 5, 7, ONE, ONE }, { 6, 8, TWO, ONE }, false },
		{ { 5, 7, ONE, ONE }, { 6, 8, ONE, TWO }, false },
		{ { 5, 7, NONE, ONE }, { 6, 8, NONE, TWO }, true },
		{ { 5, 7, NONE, ONE }, { 5, 7, NONE, TWO }, false }, /* it calls all by other names now */
		{ { 5, 7, NONE, ONE }, { 6, 8, NONE, NONE }, true },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const int *a = rows[i].then, *b = rows[i].now;
		struct told then = told(a[0], a[1], a[2], a[3]), now = told(b[0], b[1], b[2], b[3]);

		if (proof_is_other(&then, &now) != rows[i].other)
			fail_msg("row %zu", i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(other) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
