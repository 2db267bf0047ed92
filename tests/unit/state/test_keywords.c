/* Names of keywords in the base. */
#include "base.h"

#include "state/keywords.h"
#include "state/pairs.h"
#include "state/runs.h"

static int collect(void *arg, const struct keyword_row *r, struct err *err)
{
	char *text = arg;
	size_t n = strlen(text);

	(void)err;
	snprintf(text + n, 1000 - n, "%u=%.*s:%c%c%d%d%d%d ", r->place, (int)r->name.n, r->name.p, r->letter[0] ? r->letter[0] : '-', r->letter[1] ? r->letter[1] : '-',
		 r->refused[0], r->refused[1], r->told[0], r->told[1]);
	return 0;
}

static const char *all_of(int64_t folder)
{
	static char text[1000];

	text[0] = '\0';
	assert_int_equal(keyword_rows_each(db, folder, collect, text, &e), 0);
	return text;
}

static void put(int64_t folder, struct keyword_row r)
{
	if (keyword_rows_put(db, folder, &r, &e) < 0)
		fail_msg("%s", e.text);
}

static void rows(void **state)
{
	struct folder_row f;

	(void)state;
	assert_int_equal(folders_get(db, "a", "b", &f, &e), 0);
	assert_string_equal(all_of(f.id), "");
	put(f.id, (struct keyword_row){ .place = 1, .name = SLICE_LIT("$Two"), .letter = { 0, 'z' }, .refused = { true, false }, .told = { false, true } });
	put(f.id, (struct keyword_row){ .place = 0, .name = SLICE_LIT("One"), .letter = { 'a', 0 }, .refused = { false, true }, .told = { true, false } });
	put(f.id + 1, (struct keyword_row){ .place = 0, .name = SLICE_LIT("other") });
	assert_string_equal(all_of(f.id), "0=One:a-0110 1=$Two:-z1001 ");
	put(f.id, (struct keyword_row){ .place = 0, .name = SLICE_LIT("One"), .letter = { 'a', 'c' } });
	assert_string_equal(all_of(f.id), "0=One:ac0000 1=$Two:-z1001 ");
	assert_int_equal(folders_drop(db, f.id, &e), 0);
	assert_string_equal(all_of(f.id), "");
	assert_string_equal(all_of(f.id + 1), "0=other:--0000 ");
}

/* All bits come back. */
static void bits(void **state)
{
	struct pair p = { .folder = 1, .left = SLICE_LIT("l"), .right = SLICE_LIT("r"), .two_way = true, .flags = UINT64_C(0x7fffffffffffff3f) }, got;

	(void)state;
	assert_int_equal(pairs_add(db, &p, &e), 0);
	assert_int_equal(pairs_by_id(db, p.id, &got, &e), 1);
	assert_true(got.flags == p.flags);
	assert_int_equal(pairs_flags(db, p.id, UINT64_C(1) << 62, &e), 0);
	assert_int_equal(pairs_by_id(db, p.id, &got, &e), 1);
	assert_true(got.flags == UINT64_C(1) << 62);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(rows, base_setup_begun, base_teardown),
		cmocka_unit_test_setup_teardown(bits, base_setup_begun, base_teardown),
	};

	return cmocka_run_group_tests_name("state/keywords", tests, NULL, NULL);
}
