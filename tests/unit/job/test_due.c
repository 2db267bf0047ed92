/* When jobs are due: with a clock that stands, over long rows of ticks. */
#include "../../lib/unit.h"

#include "job/due.h"

#define NOW 1772373900 /* a full minute */
#define HOUR 3600

static void by_every(void **state)
{
	static const struct { int64_t started, every, now, at; bool due; } rows[] = {
		{ 0, 300, NOW, 1, true },                        /* it never ran */
		{ NOW + 5, 300, NOW, 1, true },                  /* the clock was ahead */
		{ NOW - 300, 300, NOW, NOW, true },
		{ NOW - 271, 300, NOW, NOW + 29, true },         /* cron is not that exact */
		{ NOW - 269, 300, NOW, NOW + 31, false },
		{ NOW - 86400 + 30, 86400, NOW, NOW + 30, true },
		{ NOW - 86400 + 31, 86400, NOW, NOW + 31, false },
		{ NOW - 1, 1, NOW, NOW, true },
		{ NOW, 1, NOW, NOW + 1, false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct attempts a = { .started = rows[i].started };

		assert_int_equal(due_at(&a, rows[i].every, rows[i].now), rows[i].at);
		assert_int_equal(due_now(&a, rows[i].every, rows[i].now), rows[i].due);
	}
}

/* Starts of a job over a day of ticks that come `tick` seconds apart, some late; the least and the most between two starts. */
static void walk(int64_t every, int64_t tick, int64_t late, int64_t *least, int64_t *most)
{
	struct attempts a = { .started = NOW };

	*least = INT64_MAX;
	*most = 0;
	for (int64_t t = NOW + tick, n = 1; t < NOW + 86400; t += tick, n++) {
		int64_t now = t + (late > 0 ? n * 7 % (late + 1) : 0);

		if (!due_now(&a, every, now))
			continue;
		*least = now - a.started < *least ? now - a.started : *least;
		*most = now - a.started > *most ? now - a.started : *most;
		a.started = now;
	}
}

/* A line that comes every minute, or as often as the job is due, runs it as often as it says: no slot is left out, none comes early by much. */
static void no_drift(void **state)
{
	static const struct { int64_t every, tick, late; } rows[] = {
		{ 300, 60, 0 }, { 300, 60, 5 }, { 300, 300, 0 }, { 300, 300, 15 }, { 60, 60, 0 }, { 60, 60, 5 }, { 600, 60, 20 }, { 600, 300, 20 }, { HOUR, 60, 5 }, { HOUR, HOUR, 25 },
		{ 86400 / 4, 60, 5 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		int64_t least, most;

		walk(rows[i].every, rows[i].tick, rows[i].late, &least, &most);
		assert_in_range(least, rows[i].every - rows[i].every / 10, rows[i].every + rows[i].late);
		assert_in_range(most, rows[i].every - rows[i].late, rows[i].every + rows[i].late);
	}
}

/* Each job of each machine has its own moment, always the same. */
static void spread(void **state)
{
	msec_t least = INT64_MAX, most = 0;

	(void)state;
	for (int i = 0; i < 200; i++) {
		char name[16];
		msec_t ms;

		snprintf(name, sizeof(name), "job%d", i);
		ms = due_spread(name, 300);
		assert_int_equal(ms, due_spread(name, 300));
		assert_in_range(ms, 0, 29999);
		assert_in_range(due_spread(name, 10), 0, 999);
		assert_in_range(due_spread(name, 86400), 0, 29999);
		least = ms < least ? ms : least;
		most = ms > most ? ms : most;
	}
	assert_true(least < 3000 && most > 27000);
	assert_int_equal(due_spread("x", 0), 0);
}

/* Pauses double, up to an hour, and are never the same twice. */
static void pauses(void **state)
{
	static const struct { int64_t every; int64_t pauses[8]; } rows[] = {
		{ 30, { 30, 60, 120, 240, 480, 960, 1920, 3600 } },
		{ 300, { 300, 600, 1200, 2400, 3600, 3600, 3600, 3600 } },
		{ 86400, { 900, 1800, 3600, 3600, 3600, 3600, 3600, 3600 } },
		{ 0, { 300, 600, 1200, 2400, 3600, 3600, 3600, 3600 } },
	};
	const struct err why = { .kind = ERR_TEMP, .text = "not now" };

	(void)state;
	for (size_t r = 0; r < COUNT(rows); r++) {
		struct attempts a = { .started = NOW };

		for (size_t i = 0; i < 8; i++) {
			int64_t pause = rows[r].pauses[i];

			due_failed(&a, "x", rows[r].every, 75, &why, NOW);
			assert_int_equal(a.tries, i + 1);
			assert_int_equal(a.since, NOW);
			assert_in_range(a.next - NOW, pause, pause + pause / 10);
			assert_int_equal(due_at(&a, rows[r].every, NOW), a.next);
			assert_false(due_now(&a, rows[r].every, a.next - 1));
			assert_true(due_now(&a, rows[r].every, a.next));
		}
		assert_int_equal(due_worked(&a), NOW);
		assert_int_equal(due_at(&a, 300, NOW), NOW + 300);
		assert_int_equal(due_worked(&a), 0);
	}
}

/* Without a network, no server is spared by waiting long. */
static void no_network(void **state)
{
	const struct err why = { .kind = ERR_NOHOST };
	struct attempts a = { .started = NOW };

	(void)state;
	for (int i = 0; i < 10; i++)
		due_failed(&a, "x", 300, 68, &why, NOW);
	assert_in_range(a.next - NOW, 900, 990);
}

/* A server's word counts where it is longer, however long; and a clock that was ahead is noticed. */
static void asked_for(void **state)
{
	struct err why = { .kind = ERR_TEMP, .retry_after = 2 * 86400 };
	struct attempts a = { .started = NOW };

	(void)state;
	due_failed(&a, "x", 300, 75, &why, NOW);
	assert_int_equal(a.next, NOW + 2 * 86400);
	why.retry_after = 60;
	due_failed(&a, "x", 300, 75, &why, NOW);
	assert_true(a.next >= NOW + 600);
	a.next = NOW + 365 * 86400;
	assert_int_equal(due_at(&a, 300, NOW), NOW + 300);
}

/* A refused login is due by `every`: who runs it finds out whether anything has changed. Messages that failed change nothing. */
static void others(void **state)
{
	struct err why = { .kind = ERR_AUTH, .text = "wrong" }, none = ERR_INIT;
	struct attempts a = { .started = NOW };

	(void)state;
	due_failed(&a, "x", 300, 77, &why, NOW + 1);
	assert_int_equal(a.next, NOW + 1 + 86400);
	assert_int_equal(due_at(&a, 300, NOW + 2), NOW + 300);
	due_failed(&a, "x", 300, 1, &none, NOW + 1);
	assert_int_equal(a.next, 0);
	assert_int_equal(due_at(&a, 300, NOW + 2), NOW + 300);
	assert_int_equal(a.tries, 2);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_every), cmocka_unit_test(no_drift), cmocka_unit_test(spread), cmocka_unit_test(pauses), cmocka_unit_test(no_network), cmocka_unit_test(asked_for), cmocka_unit_test(others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
