/* A function that goes on while the process waits: turns only in waits, results, deadlines, signals, giving up. */
#include "../../lib/unit.h"

#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fiber.h"

static char order[64];

static void note(char c)
{
	size_t n = strlen(order);

	assert_true(n + 1 < sizeof(order));
	order[n] = c;
	order[n + 1] = '\0';
}

struct task {
	int in, out;       /* it reads here and writes there, or -1 */
	int times;
	msec_t timeout;
	bool told_cancel;
};

/* Reads so many bytes, and answers each. */
static int echo(void *arg, struct err *e)
{
	struct task *t = arg;

	note('a');
	for (int i = 0; i < t->times; i++) {
		char c;

		if (wait_fd(t->in, WAIT_READ, t->timeout ? clock_in(t->timeout) : 0, e) < 0) {
			t->told_cancel = e->kind == ERR_CANCEL;
			return -1;
		}
		assert_int_equal(read(t->in, &c, 1), 1);
		note(c);
		assert_int_equal(write(t->out, &c, 1), 1);
	}
	note('z');
	return t->times;
}

struct pipes {
	int to[2], from[2];
};

static int setup(void **state)
{
	static struct pipes p;
	struct err e = ERR_INIT;

	order[0] = '\0';
	assert_int_equal(pipe(p.to), 0);
	assert_int_equal(pipe(p.from), 0);
	assert_int_equal(clock_cancel_init(&e), 0);
	*state = &p;
	return 0;
}

static int teardown(void **state)
{
	struct pipes *p = *state;

	for (int i = 0; i < 2; i++) {
		close(p->to[i]);
		close(p->from[i]);
	}
	clock_cancel_clear();
	return 0;
}

/* While the process waits for the fiber's answers, the fiber works; it does not run otherwise. */
static void turns(void **state)
{
	struct pipes *p = *state;
	struct task t = { .in = p->to[0], .out = p->from[1], .times = 2 };
	struct err e = ERR_INIT;
	struct fiber *f = fiber_start(echo, &t);
	char c;

	assert_non_null(f);
	assert_string_equal(order, "a");
	assert_int_equal(write(p->to[1], "1", 1), 1);
	assert_string_equal(order, "a");
	assert_int_equal(wait_fd(p->from[0], WAIT_READ, clock_in(5000), &e), WAIT_READ);
	assert_int_equal(read(p->from[0], &c, 1), 1);
	assert_int_equal(c, '1');
	assert_int_equal(write(p->to[1], "2", 1), 1);
	assert_int_equal(fiber_join(f, &e), 2);
	assert_string_equal(order, "a12z");
	f = fiber_start(echo, &(struct task){ .times = 0 }); /* that never waits */
	assert_non_null(f);
	assert_int_equal(fiber_join(f, &e), 0);
}

/* Long work gives it its turns, and does not wait for it. */
static void turns_by_hand(void **state)
{
	struct pipes *p = *state;
	struct task t = { .in = p->to[0], .out = p->from[1], .times = 1 };
	struct err e = ERR_INIT;
	struct fiber *f;

	assert_false(fiber_turn());
	f = fiber_start(echo, &t);
	assert_true(fiber_turn());
	assert_string_equal(order, "a");
	assert_int_equal(write(p->to[1], "1", 1), 1);
	assert_true(fiber_turn());
	assert_string_equal(order, "a1z");
	assert_false(fiber_turn());
	assert_int_equal(fiber_join(f, &e), 1);
	assert_false(fiber_turn());
	t.timeout = 20;
	f = fiber_start(echo, &t);
	while (fiber_turn())
		;
	assert_int_equal(fiber_join(f, &e), -1);
	assert_int_equal(e.kind, ERR_TIMEOUT);
	err_clear(&e);
	t.timeout = 0;
	f = fiber_start(echo, &t);
	clock_cancel_now(SIGTERM);
	assert_false(fiber_turn());
	fiber_cancel(f);
}

/* What it waited for was there in time, but the work between two turns was long: the deadline is later by that, and comes all the same. */
static void kept_from_turns(void **state)
{
	struct pipes *p = *state;
	struct task t = { .in = p->to[0], .out = p->from[1], .times = 3, .timeout = 400 };
	const struct timespec long_work = { .tv_nsec = 600000000 };
	struct err e = ERR_INIT;
	struct fiber *f = fiber_start(echo, &t);
	msec_t begun = clock_now();

	assert_non_null(f);
	nanosleep(&long_work, NULL);
	assert_true(fiber_turn());
	assert_string_equal(order, "a");
	assert_int_equal(write(p->to[1], "1", 1), 1);
	assert_true(fiber_turn());
	assert_string_equal(order, "a1");
	assert_int_equal(fiber_join(f, &e), -1);
	assert_int_equal(e.kind, ERR_TIMEOUT);
	assert_true(clock_now() - begun < 3000);
}

/* Each has its own deadline; that of the fiber ends no wait of ours, nor ours one of its. */
static void deadlines(void **state)
{
	struct pipes *p = *state;
	struct task t = { .in = p->to[0], .out = p->from[1], .times = 1, .timeout = 30 };
	struct err e = ERR_INIT;
	struct fiber *f = fiber_start(echo, &t);
	msec_t began = clock_now();

	assert_int_equal(wait_until(clock_in(80), &e), 0);
	assert_true(clock_now() - began >= 80);
	assert_int_equal(fiber_join(f, &e), -1);
	assert_int_equal(e.kind, ERR_TIMEOUT);
	err_clear(&e);
	t.timeout = 5000;
	f = fiber_start(echo, &t);
	assert_int_equal(wait_fd(p->from[0], WAIT_READ, clock_in(20), &e), -1);
	assert_int_equal(e.kind, ERR_TIMEOUT);
	err_clear(&e);
	assert_int_equal(write(p->to[1], "x", 1), 1);
	assert_int_equal(fiber_join(f, &e), 1);
	assert_string_equal(order, "aaxz");
}

/* Given up: whatever it waits for fails, now and later. */
static void given_up(void **state)
{
	struct pipes *p = *state;
	struct task t = { .in = p->to[0], .out = p->from[1], .times = 1 };

	fiber_cancel(fiber_start(echo, &t));
	assert_true(t.told_cancel);
	assert_string_equal(order, "a");
	fiber_cancel(NULL);
}

struct canceller {
	struct fiber *other;
	int in;
	bool is_inside;
};

static int cancel_other(void *arg, struct err *e)
{
	struct canceller *c = arg;
	int rc;

	fiber_cancel(c->other);
	c->is_inside = fiber_inside();
	rc = wait_fd(c->in, WAIT_READ, clock_in(5000), e);
	return rc < 0 ? -1 : 7;
}

/* By another one, which goes on as a fiber. */
static void given_up_by_another(void **state)
{
	struct pipes *p = *state;
	struct task t = { .in = p->to[0], .out = p->from[1], .times = 1 };
	struct canceller c = { .in = p->to[0], .other = fiber_start(echo, &t) };
	struct fiber *f = fiber_start(cancel_other, &c);
	struct err e = ERR_INIT;

	assert_true(f && t.told_cancel && c.is_inside && !fiber_inside());
	assert_int_equal(write(p->to[1], "x", 1), 1);
	assert_int_equal(fiber_join(f, &e), 7);
}

/* A signal ends its wait, as it ends ours. */
static void stopped(void **state)
{
	struct pipes *p = *state;
	struct task t = { .in = p->to[0], .out = p->from[1], .times = 1 };
	struct err e = ERR_INIT;
	struct fiber *f = fiber_start(echo, &t);

	assert_int_equal(raise(SIGTERM), 0);
	assert_int_equal(wait_fd(p->from[0], WAIT_READ, 0, &e), -1);
	assert_int_equal(e.kind, ERR_CANCEL);
	assert_false(t.told_cancel);
	err_clear(&e);
	assert_int_equal(fiber_join(f, &e), -1);
	assert_int_equal(e.kind, ERR_CANCEL);
	assert_non_null(strstr(e.text, "signal 15"));
	assert_true(t.told_cancel);
}

/* More descriptors than have room without an allocation, on both sides. */
static int wait_for_many(void *arg, struct err *e)
{
	struct wait_item w[40];

	for (size_t i = 0; i < 40; i++)
		w[i] = (struct wait_item){ .fd = *(int *)arg, .events = WAIT_READ };
	return wait_fds(w, 40, clock_in(5000), e);
}

static void many(void **state)
{
	struct pipes *p = *state;
	struct err e = ERR_INIT;
	struct fiber *f = fiber_start(wait_for_many, &p->to[0]);
	struct wait_item w[40];

	for (size_t i = 0; i < 40; i++)
		w[i] = (struct wait_item){ .fd = p->from[0], .events = WAIT_READ };
	assert_int_equal(wait_fds(w, 40, clock_in(20), &e), -1);
	assert_int_equal(write(p->from[1], "x", 1), 1);
	assert_int_equal(wait_fds(w, 40, clock_in(5000), &e), 40);
	assert_int_equal(write(p->to[1], "x", 1), 1);
	assert_int_equal(fiber_join(f, &e), 40);
}

/* Starts another one. */
static int start_one(void *arg, struct err *e)
{
	(void)e;
	return fiber_start(echo, arg) == NULL;
}

/* Several at once, each with what it waits for, and a deadline of its own. */
static void several(void **state)
{
	struct pipes *p = *state, q;
	struct task t[3] = { { .in = p->to[0], .out = p->from[1], .times = 2 }, { .times = 1 }, { .times = 1, .timeout = 30 } };
	struct err e = ERR_INIT;
	struct fiber *f[3];
	char c;

	assert_int_equal(pipe(q.to), 0);
	assert_int_equal(pipe(q.from), 0);
	t[1].in = t[2].in = q.to[0];
	t[1].out = t[2].out = q.from[1];
	for (int i = 0; i < 2; i++)
		assert_non_null(f[i] = fiber_start(echo, &t[i]));
	assert_int_equal(write(p->to[1], "1", 1), 1);
	assert_int_equal(wait_fd(p->from[0], WAIT_READ, clock_in(5000), &e), WAIT_READ);
	assert_string_equal(order, "aa1");
	assert_int_equal(write(q.to[1], "2", 1), 1);
	assert_int_equal(fiber_join(f[1], &e), 1);
	assert_string_equal(order, "aa12z");
	assert_int_equal(read(q.from[0], &c, 1), 1);
	assert_non_null(f[2] = fiber_start(echo, &t[2]));
	assert_int_equal(fiber_join(f[2], &e), -1);
	assert_int_equal(e.kind, ERR_TIMEOUT);
	assert_int_equal(write(p->to[1], "3", 1), 1);
	assert_int_equal(fiber_join(f[0], &e), 2);
	assert_string_equal(order, "aa12za3z");
	assert_non_null(f[0] = fiber_start(start_one, &t[0]));
	assert_int_equal(fiber_join(f[0], &e), 1);
	for (int i = 0; i < 2; i++) {
		close(q.to[i]);
		close(q.from[i]);
	}
}

struct killer {
	int in;
	struct fiber **victim;
};

/* Gives up another one, when it is told to. */
static int cancel_when_told(void *arg, struct err *e)
{
	struct killer *c = arg;
	int rc = wait_fd(c->in, WAIT_READ, clock_in(5000), e);

	note('x');
	fiber_cancel(*c->victim);
	return rc;
}

/* Waits for one thing, and reads nothing. */
static int wait_once(void *arg, struct err *e)
{
	int rc = wait_fd(*(int *)arg, WAIT_READ, clock_in(5000), e);

	note(rc < 0 ? 'c' : 'r');
	return rc;
}

/* One gives up another in the turn in which all are told what is ready: the third is told what is ready for it, and nothing else. */
static void given_up_in_a_turn(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	for (int third = 0; third < 2; third++) {
		int go[2], second[2], last[2];
		struct fiber *f[3];
		struct killer c = { .victim = &f[1] };

		order[0] = '\0';
		assert_int_equal(pipe(go) | pipe(second) | pipe(last), 0);
		c.in = go[0];
		f[0] = fiber_start(cancel_when_told, &c);
		f[1] = fiber_start(wait_once, &second[0]);
		f[2] = fiber_start(wait_once, &last[0]);
		assert_true(f[0] && f[1] && f[2]);
		assert_int_equal(write(go[1], "x", 1), 1);
		assert_int_equal(write(third ? last[1] : second[1], "x", 1), 1);
		fiber_turn();
		assert_string_equal(order, third ? "xcr" : "xc");
		if (!third)
			assert_int_equal(write(last[1], "x", 1), 1);
		assert_int_equal(fiber_join(f[2], &e), WAIT_READ);
		assert_int_equal(fiber_join(f[0], &e), WAIT_READ);
		for (int i = 0; i < 2; i++) {
			close(go[i]);
			close(second[i]);
			close(last[i]);
		}
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { T(turns), T(turns_by_hand), T(kept_from_turns), T(deadlines), T(given_up), T(given_up_by_another), T(given_up_in_a_turn), T(stopped), T(many), T(several) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
