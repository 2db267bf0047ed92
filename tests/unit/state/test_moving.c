/* Moves that are under way. */
#include "base.h"

#include "base/strbuf.h"
#include "state/moving.h"
#include "state/runs.h"

static int put_one(void *arg, const struct moving *m, struct err *err)
{
	(void)err;
	return strbuf_printf(arg, "%lld/%.*s>%lld ", (long long)m->from, (int)m->right.n, m->right.p, (long long)m->to);
}

static void holds(const char *want)
{
	struct strbuf b = STRBUF_INIT(4096);

	db_close(db); /* what is asked comes from the disk */
	base_open();
	assert_int_equal(moving_each(db, put_one, &b, &e), 0);
	assert_string_equal(strbuf_str(&b), want);
	strbuf_release(&b);
}

static void notes(void **state)
{
	static const struct moving m[] = { { 1, 2, SLICE_LIT("11") }, { 1, 2, SLICE_LIT("12") }, { 2, 3, SLICE_LIT("11") }, { 1, 4, SLICE_LIT("12") } };

	(void)state;
	holds("");
	assert_int_equal(db_begin(db, &e), 0);
	for (size_t i = 0; i < COUNT(m); i++)
		assert_int_equal(moving_put(db, &m[i], &e), 0);
	assert_int_equal(db_commit(db, &e), 0);
	holds("1/11>2 1/12>4 2/11>3 ");
	assert_int_equal(db_begin(db, &e), 0);
	assert_int_equal(moving_drop(db, 1, SLICE_LIT("11"), &e), 0);
	assert_int_equal(moving_drop(db, 1, SLICE_LIT("77"), &e), 0);
	assert_int_equal(db_commit(db, &e), 0);
	holds("1/12>4 2/11>3 ");
}

/* A folder's number may be another's later. */
static void folders(void **state)
{
	struct folder_row row;
	struct moving m[3];

	(void)state;
	assert_int_equal(db_begin(db, &e), 0);
	for (size_t i = 0; i < COUNT(m); i++) {
		char name[] = { (char)('a' + i), '\0' };

		assert_int_equal(folders_get(db, name, name, &row, &e), 0);
		m[i] = (struct moving){ .from = row.id, .right = SLICE_LIT("1") };
	}
	for (size_t i = 0; i < COUNT(m); i++) {
		m[i].to = m[(i + 1) % COUNT(m)].from;
		assert_int_equal(moving_put(db, &m[i], &e), 0);
	}
	assert_int_equal(folders_drop(db, m[0].from, &e), 0);
	assert_int_equal(db_commit(db, &e), 0);
	holds("2/1>3 ");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, base_setup, base_teardown)
	const struct CMUnitTest tests[] = { T(notes), T(folders) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
