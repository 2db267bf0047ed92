#include "job/sched.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define AT_ONCE 4
#define GRACE_MS 10000
#define TICK_MS 32      /* at most between looks at a worker that has closed its pipe: it is about to be gone */
#define LOOK_MS 500     /* between looks at workers whose pipe a helper of theirs may hold open */
#define SOURCE_MAX 4096

enum job_turn { TURN_WAITS, TURN_RUNS, TURN_OVER };

/* A run of the whole set. */
struct sched {
	const struct sched_params *p;
	const struct job_params *jobs;
	const struct wire_sink *sinks;
	size_t n, n_workers, n_waiting, at_once;
	int *codes;
	char **accounts;        /* of each job; NULL: it uses none that only one may use */
	enum job_turn *turns;
	struct worker *workers; /* those that run, at most at_once */
	size_t *of;             /* whose job is whose */
	msec_t tick;            /* from 1 to TICK_MS */
	msec_t kill_at;         /* 0: no signal yet */
	int signal;             /* the first that came */
};

/* The maildrop that a job needs for itself. */
static int account_of(const struct job_params *p, char **out, struct err *e)
{
	struct strbuf b = STRBUF_INIT(SOURCE_MAX);

	*out = NULL;
	if (p->job->left->kind != CONFIG_POP3)
		return 0;
	if (job_source(p->job->left, &b) == 0)
		*out = strbuf_detach(&b);
	strbuf_release(&b);
	return *out ? 0 : err_set(e, ERR_LOCAL, "job '%s': out of memory, or its user and host are too long", p->job->name);
}

static bool account_in_use(const struct sched *s, size_t i)
{
	for (size_t k = 0; s->accounts[i] && k < s->n_workers; k++) {
		const char *other = s->accounts[s->of[k]];

		if (other && strcmp(other, s->accounts[i]) == 0)
			return true;
	}
	return false;
}

/* Start what may run now. A job that can't be started is reported and over. */
static void start_jobs(struct sched *s)
{
	for (size_t i = 0; i < s->n && s->n_waiting > 0 && s->n_workers < s->at_once; i++) {
		struct worker_wants wants = s->p->wants;
		struct err why = ERR_INIT;

		if (s->turns[i] != TURN_WAITS || account_in_use(s, i))
			continue;
		wants.others = s->workers;
		wants.n_others = s->n_workers;
		s->n_waiting--;
		if (worker_start(&s->workers[s->n_workers], &s->jobs[i], &wants, &why) < 0) {
			s->turns[i] = TURN_OVER;
			s->codes[i] = worker_mourn(s->jobs[i].job, s->sinks, &why, err_exit_code(why.kind));
			continue;
		}
		s->turns[i] = TURN_RUNS;
		s->of[s->n_workers++] = i;
	}
}

/* A worker is gone: its code, its place. */
static void end_worker(struct sched *s, size_t k)
{
	size_t i = s->of[k];

	s->codes[i] = worker_finish(&s->workers[k], s->sinks);
	s->turns[i] = TURN_OVER;
	s->n_workers--;
	if (k < s->n_workers) {
		s->workers[k] = s->workers[s->n_workers];
		s->of[k] = s->of[s->n_workers];
	}
}

/* Our workers only: each pid is a child of ours that has not been reaped. */
static void signal_workers(struct sched *s, int sig)
{
	for (size_t k = 0; k < s->n_workers; k++)
		kill(s->workers[k].pid, sig);
}

/* A signal came: pass it on, start nothing any more. It is forgotten meanwhile, so that waiting for the workers is possible. */
static void begin_cancel(struct sched *s, struct err *e)
{
	int sig = clock_cancel_signal();

	if (s->signal == 0) {
		clock_check(e);
		s->signal = sig;
		s->kill_at = clock_in(s->p->grace > 0 ? s->p->grace : GRACE_MS);
	}
	signal_workers(s, sig);
	clock_cancel_clear();
}

/* The records of one worker. One that sends nonsense is out of its mind: it is not asked to stop but stopped, which is safe at any moment. */
static void read_worker(struct sched *s, struct worker *w)
{
	int rc = worker_read(w, s->sinks, NULL);

	if (rc < 0)
		kill(w->pid, SIGKILL);
	if (rc <= 0)
		s->tick = 1;
}

/* One turn: wait for records, a signal, the end of a worker. -1: nothing can be waited for any more. */
static int turn(struct sched *s, struct err *e)
{
	struct wait_item w[WAIT_MAX];
	size_t of[WAIT_MAX], n = 0;
	struct err why = ERR_INIT;
	msec_t deadline = clock_in(LOOK_MS);
	bool closed = false;

	for (size_t k = 0; k < s->n_workers; k++) {
		if (s->workers[k].fd >= 0) {
			w[n] = (struct wait_item){ .fd = s->workers[k].fd, .events = WAIT_READ };
			of[n++] = k;
		} else {
			closed = true;
		}
	}
	if (closed) {
		deadline = clock_in(s->tick);
		s->tick = s->tick < TICK_MS ? s->tick * 2 : TICK_MS;
	}
	if (s->kill_at != 0 && s->kill_at < deadline)
		deadline = s->kill_at;
	if (wait_fds(w, n, deadline, &why) < 0) {
		if (why.kind == ERR_CANCEL) {
			begin_cancel(s, e);
			return 0;
		}
		if (why.kind != ERR_TIMEOUT) {
			if (e)
				*e = why;
			return -1;
		}
	}
	for (size_t i = 0; i < n; i++) {
		if (w[i].ready)
			read_worker(s, &s->workers[of[i]]);
	}
	return 0;
}

/* Those that have ended. Backwards, because the last one takes the place of one that goes. */
static void reap(struct sched *s)
{
	for (size_t k = s->n_workers; k-- > 0;) {
		if (worker_ended(&s->workers[k]))
			end_worker(s, k);
	}
}

/* After a signal the workers have had their time. */
static void enforce(struct sched *s)
{
	if (s->kill_at != 0 && clock_now() >= s->kill_at) {
		signal_workers(s, SIGKILL);
		s->kill_at = clock_in(GRACE_MS);
	}
}

static int run(struct sched *s, struct err *e)
{
	int rc = 0;

	while (s->n_workers > 0 || (s->n_waiting > 0 && s->signal == 0)) {
		if (clock_cancelled())
			begin_cancel(s, e);
		if (s->signal == 0)
			start_jobs(s);
		if (s->n_workers == 0)
			continue;
		rc = turn(s, e);
		if (rc < 0)
			break;
		reap(s);
		enforce(s);
	}
	/* only when nothing can be waited for: no worker is left alone */
	signal_workers(s, SIGKILL);
	while (s->n_workers > 0)
		end_worker(s, s->n_workers - 1);
	for (size_t i = 0; i < s->n; i++) {
		if (s->turns[i] == TURN_WAITS)
			s->codes[i] = s->signal ? 128 + s->signal : err_exit_code(ERR_BUG);
	}
	if (s->signal == 0)
		return rc;
	clock_cancel_now(s->signal); /* the caller is to know it, too */
	return -1;
}

int sched_run(const struct sched_params *p, const struct job_params *jobs, size_t n, const struct wire_sink *sinks, int *codes, struct err *e)
{
	struct sched s = { .p = p, .jobs = jobs, .sinks = sinks, .n = n, .n_waiting = n, .codes = codes, .tick = 1,
			   .at_once = p->at_once == 0 ? AT_ONCE : p->at_once < WAIT_MAX ? p->at_once : WAIT_MAX };
	int rc = -1;

	s.accounts = calloc(n + 1, sizeof(*s.accounts));
	s.turns = calloc(n + 1, sizeof(*s.turns));
	s.workers = calloc(s.at_once, sizeof(*s.workers));
	s.of = calloc(s.at_once, sizeof(*s.of));
	if (!s.accounts || !s.turns || !s.workers || !s.of) {
		err_set(e, ERR_LOCAL, "out of memory");
		goto out;
	}
	for (size_t i = 0; i < n; i++) {
		if (account_of(&jobs[i], &s.accounts[i], e) < 0)
			goto out;
	}
	rc = run(&s, e);
out:
	for (size_t i = 0; s.accounts && i < n; i++)
		free(s.accounts[i]);
	free(s.accounts);
	free(s.turns);
	free(s.workers);
	free(s.of);
	return rc;
}

int sched_exit_code(const int *codes, size_t n)
{
	int code = 0;
	bool differ = false;

	for (size_t i = 0; i < n; i++) {
		if (codes[i] > 128)
			return codes[i];
		if (codes[i] == 0)
			continue;
		differ = differ || (code != 0 && code != codes[i]);
		code = codes[i];
	}
	return differ ? 1 : code;
}
