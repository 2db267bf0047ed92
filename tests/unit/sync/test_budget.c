/* What may be exchanged within a day: counted, noted, used up, and there again. */
#include "../../lib/unit.h"

#include <stdlib.h>
#include <unistd.h>

#include "state/runs.h"
#include "sync/budget.h"

#define NOON INT64_C(1772366400)
#define KB 1024

static const struct store_ops remote_ops = { .caps = STORE_SOURCE | STORE_REMOTE }, local_ops = { .caps = STORE_TARGET };

struct fixture {
	char dir[64], path[128];
	struct db *db;
	struct store left, right, here;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const char *tmp = getenv("TMPDIR");
	struct err e = ERR_INIT;

	snprintf(f->dir, sizeof(f->dir), "%.40s/unit-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(f->dir))
		return -1;
	snprintf(f->path, sizeof(f->path), "%s/j.db", f->dir);
	f->left = f->right = (struct store){ .ops = &remote_ops };
	f->here = (struct store){ .ops = &local_ops };
	clock_test_set(NOON);
	*state = f;
	return db_open(f->path, DB_RUN, "pop3:a@b", &f->db, &e);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	db_close(f->db);
	clock_test_set(-1);
	free(f);
	return 0;
}

static void begin(struct fixture *f, struct budget *b, const struct store *left, const struct store *right)
{
	struct err e = ERR_INIT;

	if (budget_init(b, f->db, 10 * KB, "10k", left, right, &e) < 0)
		fail_msg("%s", e.text);
}

static int64_t spent_until(struct fixture *f, uint64_t limit)
{
	struct err e = ERR_INIT;
	int64_t until = -1;

	assert_int_equal(budget_spent(f->db, limit, &until, &e), 0);
	return until;
}

/* Both directions of each server, but of each alone. */
static void both_ways_count(void **state)
{
	struct fixture *f = *state;
	struct budget b;
	struct err e = ERR_INIT;

	begin(f, &b, &f->left, &f->right);
	assert_int_equal(budget_left(&b), 10 * KB);
	f->left.stats.in = 3 * KB;
	f->left.stats.out = 1 * KB;
	assert_int_equal(budget_left(&b), 6 * KB);
	f->right.stats.out = 5 * KB;
	assert_int_equal(budget_left(&b), 5 * KB);
	assert_int_equal(budget_check(&b, &e), 0);
	f->right.stats.in = 5 * KB;
	assert_int_equal(budget_left(&b), 0);
	f->left.stats.in = 30 * KB;
	assert_int_equal(budget_left(&b), 0);
}

/* A side that is no server has none. */
static void files_do_not_count(void **state)
{
	struct fixture *f = *state;
	struct budget b;
	struct err e = ERR_INIT;

	begin(f, &b, &f->here, &f->left);
	f->here.stats.in = 100 * KB;
	f->left.stats.in = 1 * KB;
	assert_int_equal(budget_left(&b), 9 * KB);
	assert_int_equal(budget_note(&b, &e), 0);
	begin(f, &b, &f->here, &f->left);
	assert_int_equal(budget_left(&b), 8 * KB); /* stats are of one run: here they were not begun anew */
}

static void used_up_until_the_day_is_over(void **state)
{
	struct fixture *f = *state;
	struct budget b;
	struct err e = ERR_INIT;

	begin(f, &b, &f->left, &f->here);
	assert_int_equal(budget_left(&b), 10 * KB);
	clock_test_set(NOON + 3600);
	f->left.stats.in = 10 * KB;
	assert_int_equal(budget_check(&b, &e), -1);
	assert_int_equal(e.kind, ERR_TEMP);
	assert_int_equal(e.span, SPAN_ACCT);
	assert_int_equal(e.retry_after, BUDGET_SECONDS - 3600);
	assert_false(err_link_lost(&e)); /* else it would be tried again at once */
	assert_non_null(strstr(e.text, "the budget of 10k a day is used up: it goes on at "));
	assert_true(budget_says(e.text));
	assert_false(budget_says("[OVERQUOTA] Account exceeded command or bandwidth limits"));
	assert_int_equal(budget_note(&b, &e), 0);
	f->left.stats = (struct net_stats){ 0 };

	begin(f, &b, &f->left, &f->here); /* the next run */
	assert_int_equal(budget_check(&b, &e), -1);
	assert_int_equal(spent_until(f, 10 * KB), NOON + BUDGET_SECONDS);
	assert_int_equal(spent_until(f, 11 * KB), 0);
	assert_int_equal(spent_until(f, 0), 0);
	clock_test_set(NOON + BUDGET_SECONDS - 1);
	assert_int_equal(budget_check(&b, &e), -1);
	assert_int_equal(e.retry_after, 1);
	clock_test_set(NOON + BUDGET_SECONDS);
	assert_int_equal(spent_until(f, 10 * KB), 0);
	assert_int_equal(budget_check(&b, &e), 0);
	assert_int_equal(budget_left(&b), 10 * KB);
}

/* A run that goes on beyond the end of the day has a new one. */
static void midnight_in_a_run(void **state)
{
	struct fixture *f = *state;
	struct budget b;

	begin(f, &b, &f->left, &f->here);
	f->left.stats.in = 4 * KB;
	assert_int_equal(budget_left(&b), 6 * KB);
	clock_test_set(NOON + BUDGET_SECONDS);
	f->left.stats.in = 5 * KB;
	assert_int_equal(budget_left(&b), 9 * KB);
}

/* A clock that was ahead when it was noted keeps nobody waiting. */
static void clock_was_ahead(void **state)
{
	struct fixture *f = *state;
	struct budget b;
	struct err e = ERR_INIT;

	assert_int_equal(traffic_put(f->db, 0, NOON + 1000000, 20 * KB, &e), 0);
	begin(f, &b, &f->left, &f->here);
	assert_int_equal(spent_until(f, 10 * KB), 0);
	assert_int_equal(budget_left(&b), 10 * KB);
}

/* Noted with a group, in its transaction, or not at all. */
static void noted_with_the_group(void **state)
{
	struct fixture *f = *state;
	struct budget b;
	struct err e = ERR_INIT;
	int64_t since;
	uint64_t bytes;

	begin(f, &b, &f->left, &f->here);
	f->left.stats.in = 3;
	assert_int_equal(db_begin(f->db, &e), 0);
	assert_int_equal(budget_note(&b, &e), 0);
	assert_true(db_in_transaction(f->db));
	db_rollback(f->db);
	assert_int_equal(traffic_get(f->db, 0, &since, &bytes, &e), 0);
	assert_int_equal(bytes, 0);
	f->left.stats.out = 4;
	assert_int_equal(budget_note(&b, &e), 0);
	assert_false(db_in_transaction(f->db));
	assert_int_equal(traffic_get(f->db, 0, &since, &bytes, &e), 0);
	assert_int_equal(since, NOON);
	assert_int_equal(bytes, 7);
	assert_int_equal(traffic_get(f->db, 1, &since, &bytes, &e), 0);
	assert_int_equal(bytes, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(both_ways_count), TEST(files_do_not_count), TEST(used_up_until_the_day_is_over), TEST(midnight_in_a_run), TEST(clock_was_ahead), TEST(noted_with_the_group),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
