#include "../../lib/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake.h"

static int setup(void **state)
{
	(void)state;
	fake_begin();
	clock_cancel_clear();
	return clock_cancel_init(NULL);
}

static int teardown(void **state)
{
	(void)state;
	clock_cancel_clear();
	fake_end();
	return 0;
}

/* Read until the end of its records. */
static int drain(struct worker *w, const struct wire_sink *sinks, struct err *e)
{
	msec_t deadline = clock_in(20000);

	for (;;) {
		int rc = worker_read(w, sinks, e);

		if (rc <= 0)
			return rc;
		assert_true(wait_fd(w->fd, WAIT_READ, deadline, NULL) > 0);
	}
}

/* A worker from its start to its end. Returns the exit code. */
static int whole(struct worker_wants wants)
{
	struct wire_sink sinks = fake_sinks();
	struct worker w;
	int code;

	assert_int_equal(worker_start(&w, &fake_params[0], &wants, NULL), 0);
	assert_true(w.pid > 0 && w.pid != getpid());
	assert_int_equal(w.exit_code, -1);
	assert_int_equal(drain(&w, &sinks, NULL), 0);
	assert_int_equal(w.fd, -1);
	assert_int_equal(worker_read(&w, &sinks, NULL), 0);
	code = worker_finish(&w, &sinks);
	assert_null(w.in.s);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nobody is left */
	return code;
}

static void ends(void **state)
{
	static const struct { struct fake fake; int code; const char *said; } rows[] = {
		{ { .kind = FAKE_OK }, 0, "a: start\na: end 0\n" },
		{ { .kind = FAKE_FAILED_ITEMS }, 1, "a: start\na: end 1\n" },
		{ { .kind = FAKE_NO_END }, 70, "a: start\na: error bug: the worker ended with status 0 before its job did\na: end 70\n" },
		{ { .kind = FAKE_EXIT, .code = 3 }, 70, "a: start\na: error bug: the worker ended with status 3 before its job did\na: end 70\n" },
		{ { .kind = FAKE_EXIT, .code = 100 }, 100, "a: start\na: error bug: the worker ended with status 100 before its job did\na: end 100\n" },
		{ { .kind = FAKE_SEGV }, 70,
		  "a: start\na: error bug: the worker was killed by signal 11 (Segmentation fault) (what was done is safe; the next run goes on from there)\n"
		  "a: end 70\n" },
		{ { .kind = FAKE_KILLED }, 70,
		  "a: start\na: error bug: the worker was killed by signal 9 (Killed) (what was done is safe; the next run goes on from there)\na: end 70\n" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		fakes[0] = rows[i].fake;
		strbuf_clear(&fake_said);
		assert_int_equal(whole((struct worker_wants){ .log = LOG_WARN }), rows[i].code);
		assert_string_equal(strbuf_str(&fake_said), rows[i].said);
	}
}

static void wants(void **state)
{
	(void)state;
	fakes[0].kind = FAKE_CHATTER;
	whole((struct worker_wants){ .log = LOG_INFO });
	assert_string_equal(strbuf_str(&fake_said), "a: start\nlog 2 hello\na: end 0\n");
	strbuf_clear(&fake_said);
	whole((struct worker_wants){ .log = LOG_DEBUG, .messages = true });
	assert_string_equal(strbuf_str(&fake_said), "a: start\nlog 2 hello\nlog 3 unwanted\na: 20000 messages\na: end 0\n");
}

/* What goes wrong in one job does not take the machine along. */
static void limits(void **state)
{
	(void)state;
	fakes[0].kind = FAKE_LIMITS;
	whole((struct worker_wants){ .log = LOG_WARN });
	assert_string_equal(fake_said.s, "a: start\na: pulled 1\n");
}

/* START is seen while the job still runs. */
static void seen_early(void **state)
{
	struct wire_sink sinks = fake_sinks();
	struct worker_wants none = { .log = LOG_ERROR };
	struct worker w;

	(void)state;
	fakes[0].kind = FAKE_UNTIL_GO;
	assert_int_equal(worker_start(&w, &fake_params[0], &none, NULL), 0);
	assert_true(wait_fd(w.fd, WAIT_READ, clock_in(20000), NULL) > 0);
	assert_int_equal(worker_read(&w, &sinks, NULL), 1);
	assert_string_equal(strbuf_str(&fake_said), "a: start\n");
	assert_int_equal(worker_read(&w, &sinks, NULL), 1); /* nothing yet: no wait */
	assert_false(worker_ended(&w));
	board->go = 1;
	assert_int_equal(drain(&w, &sinks, NULL), 0);
	assert_int_equal(worker_finish(&w, &sinks), 0);
	assert_true(worker_ended(&w));
}

static void stopped_by(int sig, bool before_its_handlers)
{
	struct wire_sink sinks = fake_sinks();
	struct worker_wants none = { .log = LOG_ERROR };
	char want[64];
	struct worker w;

	fakes[0].kind = FAKE_UNTIL_SIGNAL;
	board->starts = 0;
	strbuf_clear(&fake_said);
	assert_int_equal(worker_start(&w, &fake_params[0], &none, NULL), 0);
	if (!before_its_handlers)
		assert_true(fake_wait(&board->starts, 0));
	kill(w.pid, sig);
	assert_int_equal(drain(&w, &sinks, NULL), 0);
	assert_int_equal(worker_finish(&w, &sinks), 128 + sig);
	assert_int_equal(board->signal[0], sig);
	snprintf(want, sizeof(want), "a: start\na: end %d\n", 128 + sig);
	assert_string_equal(strbuf_str(&fake_said), want);
}

/* The job comes to its own end; its parent is not concerned. */
static void stopped(void **state)
{
	(void)state;
	stopped_by(SIGTERM, false);
	stopped_by(SIGINT, false);
	for (int i = 0; i < 10; i++)
		stopped_by(SIGTERM, true);
	assert_false(clock_cancelled());
}

/* A signal that the parent got before the fork cancels the child, too. */
static void cancelled_already(void **state)
{
	(void)state;
	fakes[0].kind = FAKE_UNTIL_SIGNAL;
	raise(SIGTERM);
	assert_true(clock_cancelled());
	{
		struct wire_sink sinks = fake_sinks();
		struct worker_wants none = { .log = LOG_ERROR };
		struct worker w;

		assert_int_equal(worker_start(&w, &fake_params[0], &none, NULL), 0);
		clock_cancel_clear();
		assert_int_equal(drain(&w, &sinks, NULL), 0);
		assert_int_equal(worker_finish(&w, &sinks), 128 + SIGTERM);
	}
}

/* Records that are none, from whatever has become of the worker. */
static void nonsense(void **state)
{
	struct wire_sink sinks = fake_sinks();
	struct worker_wants none = { .log = LOG_ERROR };
	struct err e = ERR_INIT;
	struct worker w;

	(void)state;
	fakes[0].kind = FAKE_GARBAGE;
	assert_int_equal(worker_start(&w, &fake_params[0], &none, NULL), 0);
	assert_int_equal(drain(&w, &sinks, &e), -1);
	assert_int_equal(e.kind, ERR_BUG);
	assert_int_equal(w.fd, -1);
	board->go = 1; /* it goes on without a parent that listens, and comes to its end */
	assert_int_equal(worker_finish(&w, &sinks), 70);
	assert_int_equal(board->ends, 1);
	assert_string_equal(strbuf_str(&fake_said), "a: start\na: error bug: a worker's record says that it is 4294967295 bytes long\na: end 70\n");
}

/* A parent that stops listening does not stop the job. */
static void nobody_listens(void **state)
{
	struct wire_sink sinks = fake_sinks();
	struct worker_wants all = { .log = LOG_WIRE, .messages = true };
	struct worker w;

	(void)state;
	fakes[0].kind = FAKE_CHATTER;
	assert_int_equal(worker_start(&w, &fake_params[0], &all, NULL), 0);
	close(w.fd);
	w.fd = -1;
	assert_true(fake_wait(&board->ends, 0));
	worker_finish(&w, &sinks);
	assert_int_equal(board->ended[0], 1);
}

/* What a helper holds open is not waited for, nor what came before lost. */
static void helper_left(void **state)
{
	struct wire_sink sinks = fake_sinks();
	struct worker_wants none = { .log = LOG_ERROR };
	msec_t until = clock_in(20000);
	struct worker w;

	(void)state;
	fakes[0].kind = FAKE_HELPER;
	assert_int_equal(worker_start(&w, &fake_params[0], &none, NULL), 0);
	while (!worker_ended(&w) && clock_now() < until)
		usleep(1000);
	assert_int_equal(worker_finish(&w, &sinks), 70);
	assert_true(clock_now() < until);
	assert_non_null(strstr(strbuf_str(&fake_said), "a: start\na: error bug: the worker was killed by signal 9"));
	board->go = 1;
}

/* A parent that is killed takes its workers with it, each to its safe end. */
static void parent_killed(void **state)
{
	pid_t parent = fork();

	(void)state;
	if (parent == 0) {
		struct worker_wants none = { .log = LOG_ERROR };
		struct worker w;

		fakes[0].kind = FAKE_UNTIL_SIGNAL;
		worker_start(&w, &fake_params[0], &none, NULL);
		pause();
		_exit(0);
	}
	assert_true(parent > 0);
	assert_true(fake_wait(&board->starts, 0));
	kill(parent, SIGKILL);
	assert_int_equal(waitpid(parent, NULL, 0), parent);
	assert_true(fake_wait(&board->ends, 0));
	assert_int_equal(board->signal[0], SIGTERM);
}

/* Dispositions and what others left: SIGCHLD ignored by whoever started us. */
static void odd_surroundings(void **state)
{
	(void)state;
	signal(SIGCHLD, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	fakes[0].kind = FAKE_KILLED;
	assert_int_equal(whole((struct worker_wants){ .log = LOG_ERROR }), 70);
	assert_non_null(strstr(strbuf_str(&fake_said), "signal 9"));
	stopped_by(SIGINT, false);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(ends),
		TEST(wants),
		TEST(limits),
		TEST(seen_early),
		TEST(stopped),
		TEST(cancelled_already),
		TEST(nonsense),
		TEST(nobody_listens),
		TEST(helper_left),
		TEST(parent_killed),
		TEST(odd_surroundings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
