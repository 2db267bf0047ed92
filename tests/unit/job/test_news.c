/* What is told of a job that fails for long, over days of a clock that stands. */
#include "../../lib/unit.h"

#include <unistd.h>

#include "job/due.h"
#include "job/news.h"
#include "state/runs.h"

#define NOW 1772373900
#define HOUR 3600
#define DAY 86400

static char *dir;
static char path[4096];
static struct strbuf said = STRBUF_INIT(1 << 16);
static struct config_end end = { .kind = CONFIG_MAILDIR };
static struct config_job job = { .name = "x", .every = 300, .left = &end, .right = &end };
static struct job_params params;
static int64_t now;

static void hear(void *arg, const struct event *ev)
{
	(void)arg;
	if (ev->type == EVENT_ERROR || ev->type == EVENT_WARNING)
		strbuf_printf(&said, "%s;", ev->text);
	else if (ev->type == EVENT_END)
		strbuf_printf(&said, "end %d;", ev->exit_code);
}

static const struct wire_sink sinks = { .events = { .put = hear } };

static int setup(void **state)
{
	(void)state;
	dir = scratch_make();
	snprintf(path, sizeof(path), "%s/x.db", dir);
	params = (struct job_params){ .job = &job, .state_dir = dir, .scheduled = true };
	now = NOW;
	clock_test_set(now);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	clock_test_set(-1);
	strbuf_release(&said);
	scratch_remove(dir);
	return 0;
}

static void later(int64_t seconds)
{
	now += seconds;
	clock_test_set(now);
}

/* One run: these events, then its end. What it says. The code that the scheduler passes on is in *code. */
static const char *run(bool hush, const struct event *ev, size_t n, int exit_code, int *code)
{
	struct err why = ERR_INIT;
	struct news news;

	strbuf_clear(&said);
	news_begin(&news, &params, &sinks, hush);
	for (size_t i = 0; i < n; i++) {
		news_event(&news, &ev[i]);
		if (ev[i].type == EVENT_ERROR && ev[i].span == SPAN_ACCT) {
			why = (struct err){ .kind = ev[i].kind, .retry_after = ev[i].retry_after };
			snprintf(why.text, sizeof(why.text), "%s", ev[i].text);
		}
	}
	news_event(&news, &(struct event){ .type = EVENT_END, .job = "x", .exit_code = exit_code });
	exit_code = news_end(&news, exit_code, &why);
	if (code)
		*code = exit_code;
	return strbuf_str(&said);
}

static const char *fails(bool hush, enum err_kind kind, const char *text)
{
	return run(hush, &(struct event){ .type = EVENT_ERROR, .job = "x", .kind = kind, .span = SPAN_ACCT, .text = text }, 1, err_exit_code(kind), NULL);
}

static const char *works(bool hush)
{
	return run(hush, NULL, 0, 0, NULL);
}

/* Once when it begins, once a day, once when it is over. */
static void a_long_failure(void **state)
{
	int told = 0;

	(void)state;
	assert_string_equal(works(true), "end 0;");
	assert_string_equal(fails(true, ERR_TEMP, "away"), "away;end 75;");
	for (int i = 1; i < 24 * 12; i++) {
		later(300);
		assert_string_equal(fails(true, i % 2 ? ERR_TIMEOUT : ERR_NOHOST, "away"), i % 2 ? "end 75;" : "end 68;");
	}
	later(300);
	assert_string_equal(fails(true, ERR_TEMP, "away"), "away (for 24 h now);end 75;");
	for (int i = 0; i < 3 * 24; i++) {
		later(HOUR);
		told += strcmp(fails(true, ERR_TEMP, "away"), "end 75;") != 0;
	}
	assert_int_equal(told, 3);
	assert_string_equal(works(true), "works again after 4 days;end 0;") ;
	assert_string_equal(works(true), "end 0;");
	later(60);
	assert_string_equal(fails(true, ERR_TEMP, "away"), "away;end 75;");
	later(3 * HOUR);
	works(true);
	assert_string_equal(works(true), "end 0;");
}

/* Another kind of trouble is news. */
static void another(void **state)
{
	(void)state;
	fails(true, ERR_TEMP, "away");
	later(300);
	assert_string_equal(fails(true, ERR_CERT, "a forged certificate"), "a forged certificate (for 5 min now);end 77;");
	assert_string_equal(fails(true, ERR_CERT, "a forged certificate"), "end 77;");
	assert_string_equal(fails(true, ERR_UNAVAIL, "away, in other words"), "end 69;");
	/* of this machine, words are enough */
	assert_string_equal(fails(true, ERR_LOCAL, "/tmp/1: full"), "/tmp/1: full (for 5 min now);end 74;");
	assert_string_equal(fails(true, ERR_LOCAL, "/tmp/23: full"), "end 74;");
	assert_string_equal(fails(true, ERR_LOCAL, "/tmp/1: not mounted"), "/tmp/1: not mounted (for 5 min now);end 74;");
}

/* Who looks sees it all, and need not be told again later. */
static void a_person(void **state)
{
	(void)state;
	params.scheduled = false;
	for (int i = 0; i < 3; i++)
		assert_string_equal(fails(false, ERR_TEMP, "away"), "away;end 75;");
	params.scheduled = true;
	assert_string_equal(fails(true, ERR_TEMP, "away"), "end 75;");
	params.scheduled = false;
	assert_string_equal(works(false), "end 0;");
	params.scheduled = true;
	assert_string_equal(works(true), "end 0;");
}

/* Messages likewise, each by itself. */
static void messages(void **state)
{
	const struct event items[] = {
		{ .type = EVENT_ERROR, .job = "x", .kind = ERR_REFUSED, .span = SPAN_MSG, .folder = "A", .uid = "1", .text = "one" },
		{ .type = EVENT_ERROR, .job = "x", .kind = ERR_REFUSED, .span = SPAN_MSG, .folder = "A", .uid = "2", .text = "two" },
		{ .type = EVENT_WARNING, .job = "x", .trouble = true, .text = "on-new" },
		{ .type = EVENT_WARNING, .job = "x", .text = "for a terminal" },
	};

	(void)state;
	assert_string_equal(run(true, items, 1, 1, NULL), "one;end 1;");
	assert_string_equal(run(true, items, 1, 1, NULL), "end 1;");
	assert_string_equal(run(true, items, 4, 1, NULL), "two;on-new;for a terminal;end 1;");
	assert_string_equal(run(true, items, 4, 1, NULL), "for a terminal;end 1;");
	later(DAY);
	assert_string_equal(run(true, items, 2, 1, NULL), "one;two;end 1;");
	later(HOUR);
	assert_string_equal(works(true), "works again after 25 h;end 0;");
}

/* One that is not tried because it waits is no failure, and not well either. */
static void messages_that_wait(void **state)
{
	const struct event item = { .type = EVENT_ERROR, .job = "x", .kind = ERR_REFUSED, .span = SPAN_MSG, .folder = "A", .uid = "1", .text = "one" };
	struct failure f = { .folder = 1, .key = SLICE_LIT("1"), .kind = ERR_REFUSED, .reason = SLICE_LIT("one"), .tries = 1, .since = NOW, .next = NOW + HOUR };
	struct db *db;

	(void)state;
	assert_int_equal(db_open(path, DB_RUN, "maildir:(null)", &db, NULL), 0);
	assert_int_equal(db_begin(db, NULL), 0);
	assert_int_equal(failures_put(db, &f, NULL), 0);
	assert_int_equal(db_commit(db, NULL), 0);
	run(true, &item, 1, 1, NULL);
	assert_string_equal(works(true), "end 0;");
	assert_string_equal(run(true, &item, 1, 1, NULL), "end 1;");
	assert_int_equal(db_begin(db, NULL), 0);
	assert_int_equal(failures_clear(db, 1, false, SLICE_LIT("1"), NULL), 0);
	assert_int_equal(db_commit(db, NULL), 0);
	db_close(db);
	later(120);
	assert_string_equal(works(true), "works again after 2 min;end 0;");
}

/* Too early is nothing; another run is none of its business; a signal changes nothing. */
static void nothing(void **state)
{
	const struct event early = { .type = EVENT_ERROR, .job = "x", .kind = ERR_AUTH, .span = SPAN_ACCT, .untried = true, .retry_after = 5, .text = "not tried" };
	const struct event busy = { .type = EVENT_ERROR, .job = "x", .kind = ERR_BUSY, .span = SPAN_ACCT, .text = "another run" };
	struct attempts before, after;
	int code;

	(void)state;
	fails(true, ERR_AUTH, "wrong");
	attempts_get(path, &before);
	later(300);
	assert_string_equal(run(true, &early, 1, 77, &code), "end 0;");
	assert_int_equal(code, 0);
	assert_string_equal(run(false, &early, 1, 77, &code), "not tried;end 0;");
	assert_int_equal(code, 0);
	assert_string_equal(run(true, NULL, 0, 143, &code), "end 143;");
	assert_int_equal(code, 143);
	attempts_get(path, &after);
	assert_int_equal(after.tries, 1);
	assert_int_equal(after.last, before.last);
	assert_int_equal(after.next, before.next);
	assert_int_equal(after.started, before.started + 300);
	/* without a run that holds the lock it is a failure like others */
	assert_string_equal(run(true, &busy, 1, 75, &code), "another run (for 5 min now);end 75;");
	params.scheduled = false;
	assert_string_equal(run(false, &early, 1, 77, &code), "not tried;end 77;");
	assert_int_equal(code, 77);
}

/* A dry run and the like leave no trace; nor does one whose state has no place. */
static void no_trace(void **state)
{
	struct attempts a;

	(void)state;
	params.dry_run = true;
	assert_string_equal(fails(true, ERR_TEMP, "away"), "away;end 75;");
	attempts_get(path, &a);
	assert_int_equal(a.started, 0);
	params.dry_run = false;
	params.state_dir = "/dev/null/nowhere";
	for (int i = 0; i < 2; i++)
		assert_string_equal(fails(true, ERR_TEMP, "away"), "away;end 75;");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(a_long_failure), TEST(another), TEST(a_person), TEST(messages), TEST(messages_that_wait), TEST(nothing), TEST(no_trace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
