#include "job/sched.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "config/value.h"
#include "job/news.h"
#include "job/orphans.h"
#include "job/seats.h"

#define AT_ONCE 4
#define QUIET_MS 20000  /* without a word */
#define QUIET_TIMES 4   /* so many times at_once run at most, with those */
#define GRACE_MS 10000
#define TICK_MS 32      /* at most between looks at a worker that has closed its pipe: it is about to be gone */
#define LOOK_MS 500     /* between looks at workers whose pipe a helper of theirs may hold open */
#define PER_HOST 8
#define STALL_LOOKS 8   /* how often signs of life are looked for within the time that a worker may have none */

/* A job from its submission to its end. */
struct task {
	struct job_params job;
	void *tag;
	struct seats seats;
	struct news news;       /* what it has to tell goes through here */
	msec_t started, alive;  /* alive: when it last showed a sign of life */
	msec_t look_at;         /* when to look for one; 0: it may be dead for ever */
	msec_t kill_at;         /* 0: it has had no signal */
	uint64_t cpu;
};

struct sched {
	struct sched_params p;
	struct wire_sink sinks;
	VEC(struct task *) queue;
	struct worker *workers; /* those that run, n of them */
	struct task **tasks;    /* theirs */
	size_t n, room, at_once;
	VEC(struct wait_item) wait;
	msec_t tick;            /* from 1 to TICK_MS */
	msec_t looked;          /* when it was last looked which jobs may start */
	struct orphans orphans;
	int signal;             /* the first that came */
	bool over;              /* in this turn, a job was */
};

/* Would it be too many on an account or a host? One that takes two at once (both sides at one server) may have it when nobody else has. */
static bool must_wait(const struct sched *s, const struct seats *c)
{
	for (size_t i = 0; i < c->n; i++) {
		unsigned held = 0;

		for (size_t k = 0; k < s->n; k++)
			held += seats_count(&s->tasks[k]->seats, c->a[i].what);
		if (held > 0 && held + seats_count(c, c->a[i].what) > c->a[i].limit)
			return true;
	}
	return false;
}

/* Its submitter learns what became of it. */
static void end_task(struct sched *s, struct task *t, int exit_code, const struct err *why)
{
	void *tag = t->tag;

	exit_code = news_end(&t->news, exit_code, why);
	seats_release(&t->seats);
	free(t);
	s->over = true;
	if (s->p.done)
		s->p.done(s->p.arg, tag, exit_code, why);
}

static struct task *dequeue(struct sched *s, size_t i)
{
	struct task *t = s->queue.a[i];

	s->queue.n--;
	memmove(&s->queue.a[i], &s->queue.a[i + 1], (s->queue.n - i) * sizeof(s->queue.a[0]));
	return t;
}

static struct wire_sink sinks_of(const struct sched *s, struct task *t)
{
	return (struct wire_sink){ .events = { .put = news_event, .arg = &t->news }, .log = s->sinks.log, .log_arg = s->sinks.log_arg };
}

static void start_task(struct sched *s, struct task *t)
{
	struct wire_sink sinks = sinks_of(s, t);
	struct worker_wants wants = s->p.wants;
	struct err why = ERR_INIT;

	wants.others = s->workers;
	wants.n_others = s->n;
	t->started = t->alive = clock_now();
	if (t->job.job->stall > 0)
		t->look_at = t->alive + t->job.job->stall * 1000 / STALL_LOOKS;
	if (worker_start(&s->workers[s->n], &t->job, &wants, &why) == 0)
		s->tasks[s->n++] = t;
	else
		end_task(s, t, worker_mourn(t->job.job, &sinks, &why, err_exit_code(why.kind)), &why);
}

/* Is there a place for one more? Those of whom nothing was heard for long, whose servers hang perhaps, give theirs up: nobody is to wait for them. */
static bool has_place(const struct sched *s, msec_t now)
{
	size_t counted = 0;

	for (size_t k = 0; k < s->n; k++)
		counted += now - s->tasks[k]->alive < (s->p.quiet > 0 ? s->p.quiet : QUIET_MS);
	return counted < s->at_once && s->n < s->room;
}

/* Start what may run now. A job that can't be started is reported and over. */
static void start_tasks(struct sched *s)
{
	size_t i = 0;

	s->looked = clock_now();
	while (i < s->queue.n && has_place(s, s->looked)) {
		const struct task *t = s->queue.a[i];

		if (t->job.not_before > s->looked || must_wait(s, &t->seats))
			i++;
		else
			start_task(s, dequeue(s, i));
	}
}

static bool is_known(const void *arg, pid_t pid)
{
	const struct sched *s = arg;

	for (size_t k = 0; k < s->n; k++)
		if (s->workers[k].pid == pid)
			return true;
	return s->p.mine && s->p.mine(s->p.arg, pid);
}

/* A worker is gone: its code, its place. */
static void end_worker(struct sched *s, size_t k)
{
	struct task *t = s->tasks[k];
	struct wire_sink sinks = sinks_of(s, t);
	int code = worker_finish(&s->workers[k], &sinks);
	struct err why = s->workers[k].failure;
	bool crashed = s->workers[k].crashed;

	s->n--;
	if (k < s->n) {
		s->workers[k] = s->workers[s->n];
		s->tasks[k] = s->tasks[s->n];
	}
	orphans_take(&s->orphans, crashed, is_known, s);
	end_task(s, t, code, &why);
}

/* Our workers only: each pid is a child of ours that has not been reaped. */
static void signal_workers(struct sched *s, int sig)
{
	for (size_t k = 0; k < s->n; k++)
		worker_signal(&s->workers[k], sig);
}

/* The records of one worker. One that sends nonsense is out of its mind: it is not asked to stop but stopped, which is safe at any moment. */
static void read_worker(struct sched *s, size_t k)
{
	struct wire_sink sinks = sinks_of(s, s->tasks[k]);
	int rc = worker_read(&s->workers[k], &sinks, NULL);

	if (rc < 0)
		worker_signal(&s->workers[k], SIGKILL);
	if (rc <= 0)
		s->tick = 1;
	s->tasks[k]->alive = clock_now();
}

/*
 * Those that have ended, and first those that came to an end of their own: what they have left is not to be taken for what a crash left. Backwards, because the last
 * one takes the place of one that goes.
 */
static void reap(struct sched *s)
{
	for (int crashed = 0; crashed < 2; crashed++)
		for (size_t k = s->n; k-- > 0;)
			if ((crashed || s->workers[k].exit_code >= 0) && worker_ended(&s->workers[k]))
				end_worker(s, k);
}

static msec_t grace_of(const struct sched *s)
{
	return s->p.grace > 0 ? s->p.grace : GRACE_MS;
}

/* Does it show signs of life? What it tells is seen at once; whether it uses the processor is looked at now and then. */
static bool seems_alive(struct sched *s, size_t k, msec_t now)
{
	struct task *t = s->tasks[k];
	const msec_t stall = t->job.job->stall * 1000;
	uint64_t cpu;

	if (t->look_at == 0 || now < t->look_at)
		return true;
	t->look_at = now + stall / STALL_LOOKS;
	cpu = worker_cpu(&s->workers[k]);
	if (cpu != t->cpu)
		t->alive = now;
	t->cpu = cpu;
	return now - t->alive < stall;
}

/* Has its time run out? */
static bool is_overdue(struct sched *s, size_t k, msec_t now, struct err *why)
{
	const struct config_job *job = s->tasks[k]->job.job;
	char show[32];

	if (job->deadline > 0 && now - s->tasks[k]->started >= job->deadline * 1000)
		err_set(why, ERR_TIMEOUT, "the run took longer than its deadline of %s and was stopped", value_show_duration(job->deadline, show));
	else if (!seems_alive(s, k, now))
		err_set(why, ERR_TIMEOUT, "the run did nothing for %s (stall) and was stopped", value_show_duration(job->stall, show));
	else
		return false;
	err_hint(why, "what was done is safe; the next run goes on from there");
	return true;
}

/* Those whose time is over are asked to end, and killed when they have had time for that. */
static void enforce(struct sched *s)
{
	msec_t now = clock_now();

	for (size_t k = 0; k < s->n; k++) {
		struct task *t = s->tasks[k];
		struct err why = ERR_INIT;

		if (t->kill_at != 0 && now >= t->kill_at) {
			worker_signal(&s->workers[k], SIGKILL);
			t->kill_at = clock_in(grace_of(s));
		} else if (t->kill_at == 0 && is_overdue(s, k, now, &why)) {
			worker_doom(&s->workers[k], &why);
			t->kill_at = clock_in(grace_of(s));
		}
	}
}

static msec_t sooner(msec_t a, msec_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

/* What is waited for: the caller's, and behind it each worker's pipe, in the workers' order. Returns until when, or -1. */
static msec_t prepare(struct sched *s, const struct wait_item *more, size_t n_more, msec_t deadline, struct err *e)
{
	bool closed = false;

	vec_clear(&s->wait);
	for (size_t i = 0; i < n_more + s->n; i++) {
		struct wait_item w = { .fd = i < n_more ? more[i].fd : s->workers[i - n_more].fd, .events = i < n_more ? more[i].events : WAIT_READ };

		closed = closed || (i >= n_more && w.fd < 0);
		if (vec_push(&s->wait, w) < 0)
			return err_set(e, ERR_LOCAL, "out of memory");
	}
	if (s->n > 0)
		deadline = sooner(deadline, clock_in(LOOK_MS));
	if (closed) {
		deadline = sooner(deadline, clock_in(s->tick));
		s->tick = s->tick < TICK_MS ? s->tick * 2 : TICK_MS;
	}
	for (size_t k = 0; k < s->n; k++)
		deadline = sooner(deadline, s->tasks[k]->kill_at);
	for (size_t i = 0; has_place(s, s->looked) && i < s->queue.n; i++)
		if (s->queue.a[i]->job.not_before > s->looked)
			deadline = sooner(deadline, s->queue.a[i]->job.not_before);
	return sooner(deadline, orphans_tend(&s->orphans));
}

/* Wait once. Returns how many of `more` are ready, or -1. */
static int wait_once(struct sched *s, struct wait_item *more, size_t n_more, msec_t deadline, struct err *e)
{
	msec_t until = prepare(s, more, n_more, deadline, e);
	struct err why = ERR_INIT;
	int ready = 0;

	if (until < 0)
		return -1;
	if (wait_fds(s->wait.a, s->wait.n, until, &why) < 0 && why.kind != ERR_TIMEOUT) {
		if (e)
			*e = why;
		return -1;
	}
	for (size_t i = 0; i < n_more; i++) {
		more[i].ready = s->wait.a[i].ready;
		ready += more[i].ready != 0;
	}
	for (size_t k = 0; k < s->n; k++)
		if (s->wait.a[n_more + k].ready)
			read_worker(s, k);
	return ready;
}

int sched_turn(struct sched *s, struct wait_item *more, size_t n_more, msec_t deadline, struct err *e)
{
	for (size_t i = 0; i < n_more; i++)
		more[i].ready = 0;
	for (;;) {
		int ready;

		if (clock_check(e) < 0)
			return -1;
		start_tasks(s);
		if (s->over) {
			s->over = false;
			return 1;
		}
		ready = wait_once(s, more, n_more, deadline, e);
		if (ready < 0)
			return -1;
		reap(s);
		enforce(s);
		if (s->over || ready > 0) {
			s->over = false;
			return 1;
		}
		if (deadline != 0 && clock_now() >= deadline)
			return 0;
	}
}

size_t sched_busy(const struct sched *s)
{
	return s->queue.n + s->n;
}

bool sched_has(const struct sched *s, const void *tag)
{
	for (size_t i = 0; i < s->queue.n; i++)
		if (s->queue.a[i]->tag == tag)
			return true;
	for (size_t k = 0; k < s->n; k++)
		if (s->tasks[k]->tag == tag)
			return true;
	return false;
}

int sched_resize(struct sched *s, unsigned at_once, unsigned per_host, struct err *e)
{
	size_t most = at_once == 0 ? AT_ONCE : at_once, want = most * QUIET_TIMES;

	if (want > s->room) {
		struct worker *workers = realloc(s->workers, want * sizeof(*workers));
		struct task **tasks = realloc(s->tasks, want * sizeof(struct task *));

		s->workers = workers ? workers : s->workers;
		s->tasks = tasks ? tasks : s->tasks;
		if (!workers || !tasks)
			return err_set(e, ERR_LOCAL, "out of memory");
		s->room = want;
	}
	s->at_once = most;
	s->p.per_host = per_host == 0 ? PER_HOST : per_host;
	return 0;
}

struct sched *sched_new(const struct sched_params *p, const struct wire_sink *sinks, struct err *e)
{
	struct sched *s = calloc(1, sizeof(*s));

	if (!s) {
		err_set(e, ERR_LOCAL, "out of memory");
		return NULL;
	}
	*s = (struct sched){ .p = *p, .sinks = *sinks, .tick = 1 };
	orphans_adopt();
	if (sched_resize(s, p->at_once, p->per_host, e) == 0)
		return s;
	sched_free(s);
	return NULL;
}

int sched_submit(struct sched *s, const struct job_params *job, void *tag, struct err *e)
{
	struct task *t;

	if (s->signal != 0)
		return err_set(e, ERR_CANCEL, "job '%s': no more is started", job->job->name);
	t = calloc(1, sizeof(*t));
	if (!t)
		return err_set(e, ERR_LOCAL, "out of memory");
	t->job = *job;
	t->tag = tag;
	if (seats_of(&t->seats, job->job, s->p.per_host, e) < 0)
		goto fail;
	if (vec_push(&s->queue, t) < 0) {
		err_set(e, ERR_LOCAL, "out of memory");
		goto fail;
	}
	news_begin(&t->news, &t->job, &s->sinks, s->p.hush && job->scheduled);
	return 0;
fail:
	seats_release(&t->seats);
	free(t);
	return -1;
}

void sched_stop(struct sched *s, int sig)
{
	if (s->signal == 0)
		s->signal = sig;
	signal_workers(s, sig);
	for (size_t k = 0; k < s->n; k++)
		if (s->tasks[k]->kill_at == 0)
			s->tasks[k]->kill_at = clock_in(grace_of(s));
	while (s->queue.n > 0) {
		struct task *t = dequeue(s, 0);

		end_task(s, t, 128 + s->signal, &(struct err){ .kind = ERR_CANCEL });
	}
}

void sched_free(struct sched *s)
{
	if (!s)
		return;
	sched_stop(s, SIGKILL);
	while (s->n > 0)
		end_worker(s, s->n - 1);
	orphans_end(&s->orphans);
	vec_release(&s->queue);
	vec_release(&s->wait);
	free(s->workers);
	free(s->tasks);
	free(s);
}
