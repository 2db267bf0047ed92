#include "../../lib/unit.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake.h"
#include "job/seats.h"

static int codes[FAKE_JOBS];

static int setup(void **state)
{
	(void)state;
	fake_begin();
	memset(codes, 0xff, sizeof(codes));
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

static int run(struct sched_params p, size_t n, struct err *e)
{
	struct wire_sink sinks = fake_sinks();
	int rc = sched_run(&p, fake_params, n, &sinks, codes, e);

	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nobody is left */
	return rc;
}

/* What a caller that stays is told, and does. */
struct told {
	struct sched *s;
	int codes[FAKE_JOBS], n, again;
	char why[480];
};

static void told_done(void *arg, void *tag, int exit_code, const struct err *why)
{
	struct told *t = arg;
	long i = (long)(intptr_t)tag;

	t->codes[i] = exit_code;
	t->n++;
	if (why->kind != ERR_NONE)
		snprintf(t->why, sizeof(t->why), "%s", why->text);
	if (t->again > 0) {
		t->again--;
		assert_int_equal(sched_submit(t->s, &fake_params[i], tag, NULL), 0);
	}
}

static struct sched *stay(struct told *t, struct sched_params p)
{
	struct wire_sink sinks = fake_sinks();

	memset(t, 0, sizeof(*t));
	p.done = told_done;
	p.arg = t;
	t->s = sched_new(&p, &sinks, NULL);
	assert_non_null(t->s);
	return t->s;
}

static void submit(struct sched *s, int i)
{
	assert_int_equal(sched_submit(s, &fake_params[i], (void *)(intptr_t)i, NULL), 0);
}

static void none(void **state)
{
	(void)state;
	assert_int_equal(run((struct sched_params){ .at_once = 2 }, 0, NULL), 0);
}

static void one(void **state)
{
	(void)state;
	assert_int_equal(run((struct sched_params){ .at_once = 0 }, 1, NULL), 0);
	assert_int_equal(codes[0], 0);
	assert_true(board->pid[0] > 0 && board->pid[0] != getpid());
	assert_string_equal(strbuf_str(&fake_said), "a: start\na: end 0\n");
}

/* As many as allowed run, and no more. */
static void at_once(void **state)
{
	for (unsigned limit = 1; limit <= 4; limit++) {
		for (int i = 0; i < 6; i++)
			fakes[i].kind = FAKE_TOGETHER;
		board->go = (int)limit;
		assert_int_equal(run((struct sched_params){ .at_once = limit }, 6, NULL), 0);
		assert_int_equal(board->most, limit);
		assert_int_equal(board->ends, 6);
		for (int i = 0; i < 6; i++)
			assert_int_equal(codes[i], 0);
		teardown(state);
		setup(state);
	}
}

/* Never two on one account; the others don't wait for that. */
static void accounts(void **state)
{
	(void)state;
	for (int i = 0; i < 6; i++)
		fakes[i] = (struct fake){ .kind = FAKE_TOGETHER, .account = i < 4 ? 1 : 2 };
	board->go = 2;
	assert_int_equal(run((struct sched_params){ .at_once = 6 }, 6, NULL), 0);
	assert_int_equal(board->collisions, 0);
	assert_int_equal(board->most, 2);
	assert_int_equal(board->ends, 6);
	assert_true(board->started[4] <= 2); /* it overtakes b, c and d */
	assert_true(board->started[0] < board->started[1] && board->started[1] < board->started[2] && board->started[2] < board->started[3]);
}

static void local_sources(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		fakes[i] = (struct fake){ .kind = FAKE_TOGETHER, .account = 1 };
		((struct config_end *)(uintptr_t)fake_params[i].job->left)->kind = CONFIG_MAILDIR;
		((struct config_end *)(uintptr_t)fake_params[i].job->left)->is_account = false;
	}
	board->go = 3;
	assert_int_equal(run((struct sched_params){ .at_once = 3 }, 3, NULL), 0);
	assert_int_equal(board->most, 3);
}

/* As many on an account as its `connections`, as many with a host as may be, and others are not held up. */
static void claims(void **state)
{
	static const struct { int account, host; unsigned connections, per_host; int most; } rows[] = {
		{ 1, 0, 3, 8, 3 }, { 0, 1, 1, 4, 4 }, { 1, 1, 5, 2, 2 }, { 1, 1, 2, 5, 2 }, { 0, 0, 1, 1, 6 },
	};

	for (size_t r = 0; r < COUNT(rows); r++) {
		for (int i = 0; i < 6; i++)
			fakes[i] = (struct fake){ .kind = FAKE_TOGETHER, .account = rows[r].account, .host = rows[r].host, .connections = rows[r].connections };
		fake_claims();
		board->go = rows[r].most;
		assert_int_equal(run((struct sched_params){ .at_once = 6, .per_host = rows[r].per_host }, 6, NULL), 0);
		assert_int_equal(board->most, rows[r].most);
		assert_int_equal(board->ends, 6);
		teardown(state);
		setup(state);
	}
	/* both sides at one server, which may have one job: it may run alone */
	fakes[0] = (struct fake){ .kind = FAKE_OK, .host = 1, .connections = 1 };
	fake_claims();
	fake_job(0)->right = fake_job(0)->left;
	assert_int_equal(run((struct sched_params){ .at_once = 6, .per_host = 1 }, 1, NULL), 0);
	assert_int_equal(codes[0], 0);
}

/* What an account allows is divided among all that use it. */
static void shares(void **state)
{
	static const struct { int jobs, account; unsigned connections, want; } rows[] = {
		{ 1, 1, 5, 5 }, { 2, 1, 5, 2 }, { 6, 1, 4, 1 }, { 3, 0, 4, 4 }, { 2, 1, 1, 1 }, { 1, 1, 0, 1 },
	};

	for (size_t r = 0; r < COUNT(rows); r++) {
		const size_t n = (size_t)rows[r].jobs;

		for (int i = 0; i < FAKE_JOBS; i++)
			fakes[i] = (struct fake){ .account = rows[r].account, .connections = rows[r].connections };
		fake_claims();
		assert_int_equal(seats_share(fake_params, n, NULL), 0);
		for (size_t i = 0; i < n; i++) {
			assert_int_equal(fake_params[i].links[0], rows[r].want);
			assert_int_equal(fake_params[i].links[1], 1); /* it is no account */
		}
		teardown(state);
		setup(state);
	}
	/* both sides are the same account */
	fakes[0] = (struct fake){ .account = 1, .connections = 5 };
	fake_claims();
	fake_job(0)->right = fake_job(0)->left;
	assert_int_equal(seats_share(fake_params, 1, NULL), 0);
	assert_int_equal(fake_params[0].links[0], 2);
	assert_int_equal(fake_params[0].links[1], 2);
}

/* A run that is longer than its deadline is stopped, with the reason; who does not come to an end then, is killed. */
static void deadline(void **state)
{
	msec_t before = clock_now();

	(void)state;
	fakes[0].kind = FAKE_UNTIL_SIGNAL;
	fakes[1].kind = FAKE_STUBBORN;
	fakes[2].kind = FAKE_OK;
	for (int i = 0; i < 3; i++)
		fake_job(i)->deadline = 1;
	assert_int_equal(run((struct sched_params){ .at_once = 3, .grace = 300 }, 3, NULL), 0);
	assert_true(clock_now() - before >= 1000);
	assert_int_equal(codes[0], 75);
	assert_int_equal(codes[1], 75);
	assert_int_equal(codes[2], 0);
	assert_int_equal(board->signal[0], SIGTERM);
	assert_int_equal(board->signal[1], SIGTERM);
	assert_non_null(strstr(strbuf_str(&fake_said), "b: error timeout: the run took longer than its deadline of 1s and was stopped"));
	assert_non_null(strstr(strbuf_str(&fake_said), "b: end 75"));
	assert_non_null(strstr(strbuf_str(&fake_said), "a: error timeout: the run took longer than its deadline of 1s and was stopped"));
	assert_non_null(strstr(strbuf_str(&fake_said), "a: end 75"));
}

/* One that does nothing at all is stopped; one that is silent, but works, is not. */
static void stall(void **state)
{
	struct told t;
	struct sched *s = stay(&t, (struct sched_params){ .at_once = 2, .grace = 300 });
	msec_t until;

	(void)state;
	fakes[0].kind = FAKE_UNTIL_SIGNAL;
	fakes[1].kind = FAKE_SPINS;
	for (int i = 0; i < 2; i++) {
		fake_job(i)->stall = 1;
		submit(s, i);
	}
	while (t.n == 0)
		assert_true(sched_turn(s, NULL, 0, clock_in(20000), NULL) >= 0);
	assert_int_equal(t.codes[0], 75);
	assert_non_null(strstr(t.why, "the run did nothing for 1s (stall) and was stopped"));
	until = clock_in(1200);
	while (clock_now() < until)
		assert_int_equal(sched_turn(s, NULL, 0, until, NULL), 0);
	assert_int_equal(t.n, 1);
	board->go = 1;
	while (sched_busy(s) > 0)
		assert_int_equal(sched_turn(s, NULL, 0, clock_in(20000), NULL), 1);
	assert_int_equal(t.codes[1], 0);
	sched_free(s);
}

static bool is_gone(pid_t pid)
{
	msec_t until = clock_in(10000);

	while (kill(pid, 0) == 0 && clock_now() < until)
		wait_until(clock_in(5), NULL);
	return kill(pid, 0) < 0;
}

/* What a worker leaves that was killed is ended, but for what has detached itself. */
static void orphans(void **state)
{
	struct told t;
	struct sched *s = stay(&t, (struct sched_params){ .at_once = 2 });

	(void)state;
	fakes[0].kind = FAKE_HELPERS;
	submit(s, 0);
	while (sched_busy(s) > 0)
		assert_true(sched_turn(s, NULL, 0, clock_in(20000), NULL) >= 0);
	assert_int_equal(t.codes[0], 70);
	while (kill(board->helper, 0) == 0)
		assert_int_equal(sched_turn(s, NULL, 0, clock_in(20), NULL), 0);
	assert_int_equal(kill(board->daemon, 0), 0);
	sched_free(s);
	assert_int_equal(kill(board->daemon, 0), 0);
	board->go = 1;
	assert_int_equal(waitpid(board->daemon, NULL, 0), board->daemon);
}

/* What one job has in the background is not another's, who crashes, nor is it ended with its own. */
static void background(void **state)
{
	struct told t;
	struct sched *s = stay(&t, (struct sched_params){ .at_once = 2 });

	(void)state;
	fakes[0].kind = FAKE_BACKGROUND;
	fakes[1].kind = FAKE_HELPERS;
	submit(s, 0);
	while (!board->background)
		assert_int_equal(sched_turn(s, NULL, 0, clock_in(5), NULL), 0);
	submit(s, 1);
	while (t.n < 1)
		assert_true(sched_turn(s, NULL, 0, clock_in(20000), NULL) >= 0);
	while (kill(board->helper, 0) == 0)
		assert_int_equal(sched_turn(s, NULL, 0, clock_in(20), NULL), 0);
	assert_int_equal(kill(board->background, 0), 0);
	board->go = 1;
	while (sched_busy(s) > 0)
		assert_true(sched_turn(s, NULL, 0, clock_in(20000), NULL) >= 0);
	assert_int_equal(t.codes[0], 0);
	assert_int_equal(kill(board->background, 0), 0);
	board->stop = 1; /* and it is reaped, though nobody waits for it */
	while (kill(board->background, 0) == 0)
		assert_int_equal(sched_turn(s, NULL, 0, clock_in(5), NULL), 0);
	assert_int_equal(board->termed, 0);
	sched_free(s);
	waitpid(board->daemon, NULL, 0);
}

static pid_t my_own;

static bool is_mine(void *arg, pid_t pid)
{
	(void)arg;
	return pid == my_own;
}

/* Children of the caller's own are left alone: those in its group, and those that it names. */
static void not_orphans(void **state)
{
	struct told t;
	struct sched *s = stay(&t, (struct sched_params){ .at_once = 2, .mine = is_mine });
	pid_t own[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		own[i] = fork();
		if (own[i] == 0) {
			if (i == 0)
				setpgid(0, 0);
			fake_wait(&board->go, 0);
			_exit(7);
		}
	}
	setpgid(own[0], own[0]);
	my_own = own[0];
	fakes[0].kind = FAKE_HELPERS;
	submit(s, 0);
	while (sched_busy(s) > 0)
		assert_true(sched_turn(s, NULL, 0, clock_in(20000), NULL) >= 0);
	while (kill(board->helper, 0) == 0)
		assert_int_equal(sched_turn(s, NULL, 0, clock_in(20), NULL), 0);
	sched_free(s);
	board->go = 1;
	for (int i = 0; i < 2; i++) {
		int status;

		assert_int_equal(waitpid(own[i], &status, 0), own[i]);
		assert_int_equal(WEXITSTATUS(status), 7);
	}
	waitpid(board->daemon, NULL, 0);
}

/* At the end of a set, too. */
static void orphans_of_a_set(void **state)
{
	struct wire_sink sinks = fake_sinks();

	(void)state;
	fakes[0].kind = FAKE_HELPERS;
	assert_int_equal(sched_run(&(struct sched_params){ .at_once = 2 }, fake_params, 1, &sinks, codes, NULL), 0);
	assert_true(is_gone(board->helper));
	assert_int_equal(kill(board->daemon, 0), 0);
	board->go = 1;
	waitpid(board->daemon, NULL, 0);
}

static void crashes(void **state)
{
	(void)state;
	fakes[0].kind = FAKE_SEGV;
	fakes[1].kind = FAKE_OK;
	fakes[2].kind = FAKE_GARBAGE;
	fakes[3].kind = FAKE_KILLED;
	fakes[4].kind = FAKE_FAILED_ITEMS;
	fakes[5].kind = FAKE_EXIT;
	fakes[5].code = 100;
	assert_int_equal(run((struct sched_params){ .at_once = 2 }, 6, NULL), 0);
	assert_int_equal(codes[0], 70);
	assert_int_equal(codes[1], 0);
	assert_int_equal(codes[2], 70);
	assert_int_equal(codes[3], 70);
	assert_int_equal(codes[4], 1);
	assert_int_equal(codes[5], 100);
	assert_non_null(strstr(strbuf_str(&fake_said), "a: error bug: the worker was killed by signal 11"));
	assert_non_null(strstr(strbuf_str(&fake_said), "c: error bug: a worker's record"));
	assert_non_null(strstr(strbuf_str(&fake_said), "d: error bug: the worker was killed by signal 9"));
}

static void helper_left(void **state)
{
	msec_t before = clock_now();

	(void)state;
	fakes[0].kind = FAKE_HELPER;
	assert_int_equal(run((struct sched_params){ .at_once = 2 }, 1, NULL), 0);
	assert_true(clock_now() - before < 10000);
	assert_int_equal(codes[0], 70);
	board->go = 1;
}

static void much_to_tell(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++)
		fakes[i].kind = FAKE_CHATTER;
	assert_int_equal(run((struct sched_params){ .at_once = 1, .wants = { .messages = true, .log = LOG_WARN } }, 2, NULL), 0);
	assert_string_equal(strbuf_str(&fake_said), "a: start\na: 20000 messages\na: end 0\nb: start\nb: 20000 messages\nb: end 0\n");
}

/* A worker holds no other worker's pipe. */
static void pipes_closed(void **state)
{
	(void)state;
	fakes[0].kind = fakes[1].kind = FAKE_TOGETHER;
	fakes[2].kind = fakes[3].kind = FAKE_FDS;
	board->go = 2;
	assert_int_equal(run((struct sched_params){ .at_once = 4 }, 4, NULL), 0);
	assert_null(strstr(strbuf_str(&fake_said), "pulled"));
	assert_non_null(strstr(strbuf_str(&fake_said), "d: end 0"));
}

/* Sends us a signal once so many jobs have started. */
static pid_t signal_us(int sig, int started)
{
	pid_t us = getpid(), pid = fork();

	if (pid == 0) {
		fake_wait(&board->starts, started - 1);
		kill(us, sig);
		_exit(0);
	}
	return pid;
}

static int run_signalled(struct sched_params p, size_t n, int sig, int started, struct err *e)
{
	struct wire_sink sinks = fake_sinks();
	pid_t pid = signal_us(sig, started);
	int rc = sched_run(&p, fake_params, n, &sinks, codes, e);

	waitpid(pid, NULL, 0);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	return rc;
}

static void signalled(void **state)
{
	static const int sigs[] = { SIGTERM, SIGINT };

	for (size_t k = 0; k < COUNT(sigs); k++) {
		struct err e = ERR_INIT;
		msec_t before = clock_now();

		for (int i = 0; i < 4; i++)
			fakes[i].kind = FAKE_UNTIL_SIGNAL;
		assert_int_equal(run_signalled((struct sched_params){ .at_once = 2 }, 4, sigs[k], 2, &e), -1);
		assert_true(clock_now() - before < 9000);
		assert_int_equal(e.kind, ERR_CANCEL);
		assert_int_equal(clock_cancel_signal(), sigs[k]); /* the caller's waits end, too */
		for (int i = 0; i < 4; i++)
			assert_int_equal(codes[i], 128 + sigs[k]);
		assert_int_equal(board->starts, 2); /* no new ones */
		assert_int_equal(board->ends, 2);
		assert_int_equal(board->signal[0], sigs[k]);
		assert_int_equal(board->signal[1], sigs[k]);
		assert_int_equal(sched_exit_code(codes, 4), 128 + sigs[k]);
		teardown(state);
		setup(state);
	}
}

/* Who does not come to an end in time is killed; who was done stays done. */
static void stubborn(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	fakes[0].kind = FAKE_OK;
	fakes[1].kind = FAKE_STUBBORN;
	assert_int_equal(run_signalled((struct sched_params){ .at_once = 1, .grace = 200 }, 3, SIGTERM, 2, &e), -1);
	assert_int_equal(e.kind, ERR_CANCEL);
	assert_int_equal(codes[0], 0);
	assert_int_equal(codes[1], 70);
	assert_int_equal(codes[2], 128 + SIGTERM);
	assert_int_equal(board->signal[1], SIGTERM);
	assert_int_equal(board->ended[1], 0);
	assert_non_null(strstr(strbuf_str(&fake_said), "b: error bug: the worker was killed by signal 9"));
}

static void signalled_before(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	clock_cancel_now(SIGTERM);
	assert_int_equal(run((struct sched_params){ .at_once = 2 }, 2, &e), -1);
	assert_int_equal(e.kind, ERR_CANCEL);
	assert_int_equal(board->starts, 0);
	assert_int_equal(codes[0], 143);
	assert_int_equal(codes[1], 143);
}

/* No descriptor for another pipe: that job fails, loudly. */
static void no_descriptors(void **state)
{
	struct rlimit old, tight;
	struct wire_sink sinks = fake_sinks();
	struct sched_params p = { .at_once = 2 };
	int rc;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	tight = old;
	tight.rlim_cur = 3;
	setrlimit(RLIMIT_NOFILE, &tight);
	rc = sched_run(&p, fake_params, 2, &sinks, codes, NULL);
	setrlimit(RLIMIT_NOFILE, &old);
	assert_int_equal(rc, 0);
	assert_int_equal(codes[0], 74);
	assert_int_equal(codes[1], 74);
	assert_non_null(strstr(strbuf_str(&fake_said), "a: error local: can't make a pipe: "));
	assert_non_null(strstr(strbuf_str(&fake_said), "a: end 74\nb: error"));
}

/* The deadline comes back while a job runs, and while nothing does; its end comes back as soon as it is there; from within `done`, it can be submitted again. */
static void turns(void **state)
{
	struct told t;
	struct sched *s = stay(&t, (struct sched_params){ .at_once = 2 });

	(void)state;
	assert_int_equal(sched_turn(s, NULL, 0, clock_in(5), NULL), 0);
	fakes[3].kind = FAKE_UNTIL_GO;
	submit(s, 3);
	assert_true(sched_has(s, (void *)3));
	assert_false(sched_has(s, (void *)4));
	assert_int_equal(sched_turn(s, NULL, 0, clock_in(5), NULL), 0);
	assert_int_equal(sched_busy(s), 1);
	assert_true(sched_has(s, (void *)3));
	t.again = 2;
	board->go = 1;
	for (int n = 1; n <= 3; n++) {
		while (t.n < n)
			assert_int_equal(sched_turn(s, NULL, 0, clock_in(20000), NULL), 1);
	}
	assert_int_equal(sched_busy(s), 0);
	assert_false(sched_has(s, (void *)3));
	assert_int_equal(board->ends, 3);
	sched_free(s);
}

/* One that hangs gives its place to another after a while, and is as good as before when it goes on; but there are not ever more of them. */
static void quiet(void **state)
{
	struct told t;
	struct sched *s = stay(&t, (struct sched_params){ .at_once = 1, .quiet = 30 });

	(void)state;
	for (int i = 0; i < 6; i++) {
		fakes[i].kind = i == 1 ? FAKE_OK : FAKE_UNTIL_GO;
		submit(s, i);
	}
	assert_int_equal(sched_turn(s, NULL, 0, clock_in(20000), NULL), 1); /* 1 is over, 0 is not */
	assert_int_equal(board->started[0], 1);
	assert_int_equal(board->ended[1], 1);
	while (board->starts < 5)
		sched_turn(s, NULL, 0, clock_in(20), NULL);
	assert_int_equal(sched_turn(s, NULL, 0, clock_in(700), NULL), 0);
	assert_int_equal(board->starts, 5); /* four times as many as may run, and the one that is over */
	board->go = 1;
	while (sched_busy(s) > 0)
		assert_int_equal(sched_turn(s, NULL, 0, clock_in(20000), NULL), 1);
	assert_int_equal(board->ends, 6);
	sched_free(s);
}

/* Each begins when it may, and not before; there is no other reason to wake. */
static void not_before(void **state)
{
	struct told t;
	struct sched *s = stay(&t, (struct sched_params){ .at_once = 4 });
	msec_t begun = clock_now();

	(void)state;
	for (int i = 0; i < 12; i++) {
		fake_params[i].not_before = clock_in(3 + i / 2);
		submit(s, i);
	}
	fake_params[12].not_before = clock_in(120);
	submit(s, 12);
	while (sched_busy(s) > 0)
		assert_int_equal(sched_turn(s, NULL, 0, 0, NULL), 1);
	assert_true(clock_now() - begun >= 120);
	assert_int_equal(board->ends, 13);
	assert_int_equal(board->started[12], 13);
	sched_free(s);
}

/* More at once from now on, or fewer; what runs goes on. */
static void resized(void **state)
{
	struct told t;
	struct sched *s = stay(&t, (struct sched_params){ .at_once = 1 });

	(void)state;
	for (int i = 0; i < 8; i++) {
		fakes[i].kind = FAKE_UNTIL_GO;
		submit(s, i);
	}
	assert_int_equal(sched_turn(s, NULL, 0, clock_in(1), NULL), 0);
	assert_int_equal(sched_resize(s, 6, 0, NULL), 0);
	assert_int_equal(sched_turn(s, NULL, 0, clock_in(1), NULL), 0);
	assert_true(fake_wait(&board->starts, 5));
	assert_int_equal(sched_resize(s, 2, 0, NULL), 0);
	assert_int_equal(sched_turn(s, NULL, 0, clock_in(20), NULL), 0);
	assert_int_equal(board->starts, 6);
	board->go = 1;
	while (sched_busy(s) > 0)
		assert_int_equal(sched_turn(s, NULL, 0, clock_in(20000), NULL), 1);
	assert_int_equal(board->most, 6);
	assert_int_equal(t.n, 8);
	sched_free(s);
}

/* A descriptor of the caller's wakes it, however many workers there are beside. */
static void listens(void **state)
{
	struct told t;
	struct sched *s = stay(&t, (struct sched_params){ .at_once = 3 });
	struct wait_item w[100];
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	for (size_t i = 0; i < COUNT(w); i++)
		w[i] = (struct wait_item){ .fd = i == 70 ? fds[0] : -1, .events = WAIT_READ };
	for (int i = 0; i < 3; i++) {
		fakes[i].kind = FAKE_UNTIL_GO;
		submit(s, i);
	}
	assert_int_equal(sched_turn(s, w, COUNT(w), clock_in(10), NULL), 0);
	assert_int_equal(w[70].ready, 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_int_equal(sched_turn(s, w, COUNT(w), clock_in(20000), NULL), 1);
	assert_int_equal(w[70].ready, WAIT_READ);
	assert_int_equal(t.n, 0);
	clock_cancel_now(SIGTERM); /* what was ready then is not said again */
	assert_int_equal(sched_turn(s, w, COUNT(w), clock_in(20000), NULL), -1);
	assert_int_equal(w[70].ready, 0);
	clock_cancel_clear();
	sched_free(s); /* and nobody is left */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(t.n, 3);
	close(fds[0]);
	close(fds[1]);
}

/* Why a job ended, by its own words or by how its worker died. */
static void reasons(void **state)
{
	struct told t;
	struct sched *s = stay(&t, (struct sched_params){ .at_once = 1 });

	(void)state;
	fakes[0].kind = FAKE_REFUSED;
	fakes[1].kind = FAKE_KILLED;
	fakes[2].kind = FAKE_FAILED_ITEMS;
	submit(s, 0);
	while (t.n < 1)
		assert_int_equal(sched_turn(s, NULL, 0, 0, NULL), 1);
	assert_int_equal(t.codes[0], 77);
	assert_string_equal(t.why, "no such user");
	submit(s, 1);
	while (t.n < 2)
		assert_int_equal(sched_turn(s, NULL, 0, 0, NULL), 1);
	assert_int_equal(t.codes[1], 70);
	assert_non_null(strstr(t.why, "killed by signal 9"));
	t.why[0] = '\0';
	submit(s, 2);
	while (t.n < 3)
		assert_int_equal(sched_turn(s, NULL, 0, 0, NULL), 1);
	assert_int_equal(t.codes[2], 1);
	assert_string_equal(t.why, "");
	sched_free(s);
}

/* A signal is the caller's to pass on; then nothing is started any more, and what ran comes to its end. */
static void stopped(void **state)
{
	struct told t;
	struct sched *s = stay(&t, (struct sched_params){ .at_once = 1 });
	struct err e = ERR_INIT;

	(void)state;
	fakes[0].kind = FAKE_UNTIL_SIGNAL;
	submit(s, 0);
	submit(s, 1);
	assert_int_equal(sched_turn(s, NULL, 0, clock_in(1), NULL), 0);
	clock_cancel_now(SIGTERM);
	assert_int_equal(sched_turn(s, NULL, 0, clock_in(20000), &e), -1);
	assert_int_equal(e.kind, ERR_CANCEL);
	assert_int_equal(t.n, 0);
	sched_stop(s, SIGTERM);
	assert_int_equal(t.codes[1], 143);
	assert_int_equal(sched_submit(s, &fake_params[2], NULL, &e), -1);
	clock_cancel_clear();
	while (sched_busy(s) > 0)
		assert_true(sched_turn(s, NULL, 0, clock_in(20000), NULL) > 0);
	assert_int_equal(t.codes[0], 143);
	assert_int_equal(t.n, 2);
	sched_free(s);
}

static void exit_codes(void **state)
{
	static const struct { int codes[3], code; } rows[] = {
		{ { 0, 0, 0 }, 0 }, { { 0, 1, 0 }, 1 }, { { 75, 0, 75 }, 75 }, { { 75, 0, 0 }, 75 }, { { 75, 77, 0 }, 1 }, { { 1, 77, 0 }, 1 },
		{ { 75, 143, 0 }, 143 }, { { 130, 0, 0 }, 130 }, { { 100, 0, 0 }, 100 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_int_equal(sched_exit_code(rows[i].codes, 3), rows[i].code);
	assert_int_equal(sched_exit_code(NULL, 0), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(none),
		TEST(one),
		TEST(at_once),
		TEST(accounts),
		TEST(local_sources),
		TEST(crashes),
		TEST(helper_left),
		TEST(much_to_tell),
		TEST(pipes_closed),
		TEST(signalled),
		TEST(stubborn),
		TEST(signalled_before),
		TEST(no_descriptors),
		TEST(turns),
		TEST(quiet),
		TEST(not_before),
		TEST(resized),
		TEST(listens),
		TEST(reasons),
		TEST(stopped),
		TEST(claims),
		TEST(shares),
		TEST(deadline),
		TEST(stall),
		TEST(orphans),
		TEST(background),
		TEST(not_orphans),
		TEST(orphans_of_a_set),
		TEST(exit_codes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
