#include "job/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sdnotify.h"
#include "base/vec.h"
#include "job/due.h"
#include "job/nudge.h"
#include "job/seats.h"
#include "job/watcher.h"

#define BUSY_MS 10000              /* somebody else runs the job: look again after that */
#define FAILED_MS 60000            /* after a job could not be started */
#define REVIVE_MAX_MS 300000
#define STEADY_MS 60000            /* one that lived so long begins with the shortest pause again */
#define REVIVE_MS 1000             /* before a watcher that died is started again; doubles */
#define DOUBT_MS 1000              /* after the network has begun to change, until it has done so */
#define DOUBT_AGAIN_MS 10000       /* between two such tries: router advertisements come all the time */
#define AGAIN_MS 30000             /* between two runs of a job that fails, whatever the network does */
#define GONE_MS 10                 /* between looks at a watcher that has closed its pipe: it is about to be gone */
#define FINISH_MS 200              /* beyond the grace, for what is left to be read */

/* A set of jobs that is still used: by jobs that are current, and by processes that were begun with it. */
struct holder {
	struct watch_set set;
	size_t uses;
};

/* A job that is watched. */
struct watched {
	struct watch *w;
	struct job_params *job;   /* in its holder */
	struct holder *of, *run_of, *watcher_of; /* run_of, watcher_of: NULL, it has no such process */
	struct worker watcher;
	int control;              /* to the watcher */
	msec_t revive;            /* clock_boot() when a watcher is to be started; 0: one runs, or none will */
	msec_t revive_pause;
	msec_t since;             /* clock_boot() of the watcher that runs */
	bool wanted;              /* it is to run as soon as it can */
	bool urgent;              /* and whatever it waits for: the person says so */
	bool left;                /* the configuration has it no more */
	msec_t due;               /* clock_boot() */
	msec_t begun;             /* clock_boot() of its last run */
	bool failing;             /* so did the last run: the next waits for its time */
	bool unreachable;         /* it was the network, perhaps */
	bool refused;             /* it was the login, or it is one that was refused before */
};

struct watch {
	const struct watch_params *p;
	const struct wire_sink *sinks;
	struct sched *sched;
	VEC(struct watched *) jobs;
	VEC(struct wait_item) items;
	struct nudger nudger;
	struct sdnotify notify;
	msec_t doubted;           /* when they were tried last */
	msec_t doubt;             /* clock_now() when all links are to be tried; 0: no */
	msec_t barked;            /* when the manager last heard that we live */
	size_t told_busy, told_n; /* what it last heard of */
	int signal;               /* the end has begun */
};

/* ---- sets ---- */

static void let_go(struct watch *w, struct holder **h)
{
	struct holder *old = *h;

	*h = NULL;
	if (!old || --old->uses > 0)
		return;
	w->p->release(w->p->arg, &old->set);
	free(old);
}

static struct holder *hold(struct holder *h)
{
	h->uses++;
	return h;
}

/* ---- what is told ---- */

static void warn(const struct watch *w, const char *job, const char *text)
{
	struct event ev = { .type = EVENT_WARNING, .job = job, .text = text, .trouble = true };

	event_put(&w->sinks->events, &ev);
}

static void tell_manager(struct watch *w)
{
	size_t busy = sched_busy(w->sched);
	msec_t now = clock_now();

	if (busy != w->told_busy || w->jobs.n != w->told_n)
		sdnotify_say(&w->notify, "STATUS=%zu job%s watched, %zu running", w->jobs.n, w->jobs.n == 1 ? "" : "s", busy);
	w->told_busy = busy;
	w->told_n = w->jobs.n;
	if (w->notify.watchdog == 0 || now - w->barked < w->notify.watchdog)
		return;
	sdnotify_say(&w->notify, "WATCHDOG=1");
	w->barked = now;
}

/* ---- watchers ---- */

/* To the watcher, if there is one. A pipe that takes no more has a reader that is stuck: it is told of its ends in time, and all else can wait. */
static void say(struct watched *j, char what)
{
	if (j->control >= 0)
		(void)!write(j->control, &what, 1);
}

static void watcher_event(void *arg, const struct event *ev)
{
	struct watched *j = arg;
	struct event own = *ev;

	switch (ev->type) {
	case EVENT_CHANGED:
		/* the server is there; what happens here makes a run that fails no better */
		if (ev->at == AT_LEFT || !j->failing)
			j->wanted = true;
		else if (!j->run_of)
			say(j, WATCHER_ENDS);
		break;
	case EVENT_WAITING:
	case EVENT_WARNING:
		break;
	case EVENT_ERROR:
		own.type = EVENT_WARNING; /* the job itself goes on, by its `every` */
		break;
	default:
		return;
	}
	event_put(&j->w->sinks->events, &own);
}

static struct wire_sink watcher_sink(struct watched *j)
{
	return (struct wire_sink){ .events = { .put = watcher_event, .arg = j }, .log = j->w->sinks->log, .log_arg = j->w->sinks->log_arg };
}

static int start_watcher(struct watched *j, struct err *e)
{
	struct worker_wants wants = j->w->p->sched.wants;
	struct job_params params = *j->job;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_errno(e, "can't make a pipe");
	params.control = fds[0];
	wants.run = watcher_run;
	if (worker_start(&j->watcher, &params, &wants, e) < 0) {
		close(fds[0]);
		close(fds[1]);
		return -1;
	}
	close(fds[0]);
	j->control = fds[1];
	j->watcher_of = hold(j->of);
	j->since = clock_boot();
	if (sched_has(j->w->sched, j))
		say(j, WATCHER_BEGINS);
	return 0;
}

static void revive_later(struct watched *j, msec_t pause)
{
	j->revive = clock_boot() + pause;
}

static void try_watcher(struct watched *j)
{
	struct err why = ERR_INIT;

	j->revive = 0;
	if (start_watcher(j, &why) == 0)
		return;
	warn(j->w, j->job->job->name, why.text);
	revive_later(j, REVIVE_MS);
}

/* It has ended, though nobody asked it to. What it was refused will be refused again. */
static void watcher_ended(struct watched *j)
{
	struct wire_sink sink = watcher_sink(j);
	int code = worker_finish(&j->watcher, &sink);

	close(j->control);
	j->control = -1;
	let_go(j->w, &j->watcher_of);
	if (j->left || j->w->signal != 0)
		return;
	if (code == err_exit_code(ERR_AUTH) || code == err_exit_code(ERR_CONF))
		return; /* until a run shows that it is none any more */
	if (clock_boot() - j->since >= STEADY_MS)
		j->revive_pause = 0;
	j->revive_pause = j->revive_pause == 0 ? REVIVE_MS : j->revive_pause < REVIVE_MAX_MS / 2 ? j->revive_pause * 2 : REVIVE_MAX_MS;
	revive_later(j, j->revive_pause);
}

static void stop_watcher(struct watched *j)
{
	if (j->control >= 0)
		kill(j->watcher.pid, SIGTERM);
	j->revive = 0;
}

/* ---- runs ---- */

/* When it is to run again, if nothing happens before. A run that could not be noted is due for ever, by what is noted: that is no reason to run again before its `every`. */
static void set_due(struct watched *j, int code, const struct err *why)
{
	const struct config_job *job = j->job->job;
	const int64_t every = job->every > 0 ? job->every : WATCH_EVERY, in = job_due_in(j->job, WATCH_EVERY);

	j->failing = code > 1 || why->kind != ERR_NONE;
	j->refused = why->kind == ERR_AUTH;
	j->unreachable = code > 1 && (err_link_lost(why) || why->kind == ERR_TEMP || why->kind == ERR_NOHOST || why->kind == ERR_UNAVAIL || why->kind == ERR_TIMEOUT);
	j->due = clock_boot();
	if (why->kind == ERR_BUSY)
		j->due += BUSY_MS;
	else if (in == 0 && j->due < j->begun + every * 1000)
		j->due = j->begun + every * 1000;
	else
		j->due += in * 1000 + due_spread(job->name, every);
}

/* What falls to the scheduler are not our watchers. */
static bool is_watcher(void *arg, pid_t pid)
{
	const struct watch *w = arg;

	for (size_t i = 0; i < w->jobs.n; i++)
		if (w->jobs.a[i]->watcher_of && w->jobs.a[i]->watcher.pid == pid)
			return true;
	return false;
}

static void run_done(void *arg, void *tag, int exit_code, const struct err *why)
{
	struct watched *j = tag;

	(void)arg;
	say(j, WATCHER_ENDS);
	let_go(j->w, &j->run_of);
	if (j->w->signal != 0 || j->left)
		return;
	set_due(j, exit_code, why);
	/* until a run has shown that the account does not refuse us nobody waits there: each refusal counts */
	if (j->control < 0 && j->revive == 0 && watcher_useful(j->job->job) && !watcher_hopeless(why))
		j->revive = clock_boot();
}

static int start_run(struct watched *j, struct err *e)
{
	struct job_params params = *j->job;

	params.settle = true;
	params.ignore_pause = j->urgent;
	params.scheduled = !j->urgent;
	j->wanted = j->urgent = false;
	j->begun = clock_boot();
	j->due = 0;
	if (sched_submit(j->w->sched, &params, j, e) < 0)
		return -1;
	j->run_of = hold(j->of);
	say(j, WATCHER_BEGINS);
	return 0;
}

/* ---- jobs come and go ---- */

static int add_job(struct watch *w, struct holder *h, struct job_params *job, struct err *e)
{
	struct watched *j = calloc(1, sizeof(*j));

	if (!j || vec_push(&w->jobs, j) < 0) {
		free(j);
		return err_set(e, ERR_LOCAL, "out of memory");
	}
	*j = (struct watched){ .w = w, .job = job, .of = hold(h), .control = -1, .wanted = true };
	return 0;
}

static struct watched *find_job(const struct watch *w, const char *name)
{
	for (size_t i = 0; i < w->jobs.n; i++)
		if (!w->jobs.a[i]->left && strcmp(w->jobs.a[i]->job->job->name, name) == 0)
			return w->jobs.a[i];
	return NULL;
}

/* What runs comes to its end under the configuration it was begun with. */
static void retire(struct watched *j)
{
	j->left = true;
	j->wanted = false;
	j->due = 0;
	stop_watcher(j);
}

/* Those that have left and have no process any more. */
static void bury(struct watch *w)
{
	size_t kept = 0;

	for (size_t i = 0; i < w->jobs.n; i++) {
		struct watched *j = w->jobs.a[i];

		if (!j->left || j->run_of || j->watcher_of) {
			w->jobs.a[kept++] = j;
			continue;
		}
		let_go(w, &j->of);
		free(j);
	}
	w->jobs.n = kept;
}

/* The jobs of a set, in place of those that are watched. A job that is as it was stays what it is, but for the set it belongs to. */
static int take_set(struct watch *w, struct watch_set *set, struct err *e)
{
	struct holder *h = calloc(1, sizeof(*h));
	int rc = 0;

	if (!h || seats_share(set->jobs, set->n, e) < 0 || sched_resize(w->sched, set->at_once, set->per_host, e) < 0) {
		free(h);
		w->p->release(w->p->arg, set);
		return err_set(e, ERR_LOCAL, "out of memory");
	}
	*h = (struct holder){ .set = *set, .uses = 1 };
	for (size_t i = 0; i < w->jobs.n; i++) {
		struct watched *j = w->jobs.a[i];
		bool stays = false;

		for (size_t k = 0; !j->left && !stays && k < set->n; k++) {
			stays = config_job_same(j->job->job, set->jobs[k].job);
			if (!stays)
				continue;
			let_go(w, &j->of);
			j->of = hold(h);
			j->job = &h->set.jobs[k];
			j->wanted |= j->refused; /* the secret may be another now: if not, it is not tried */
		}
		if (!j->left && !stays)
			retire(j);
	}
	for (size_t k = 0; rc == 0 && k < set->n; k++)
		if (!find_job(w, set->jobs[k].job->name))
			rc = add_job(w, h, &h->set.jobs[k], e);
	let_go(w, &h);
	bury(w);
	return rc;
}

static void reload(struct watch *w)
{
	struct watch_set set = { 0 };
	struct err why = ERR_INIT;

	if (!w->p->reload)
		return;
	sdnotify_say(&w->notify, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)clock_now() * 1000);
	if (w->p->reload(w->p->arg, &set, &why) < 0) {
		err_in(&why, "the configuration stays as it was");
		warn(w, "", why.text);
	} else if (take_set(w, &set, &why) < 0) {
		warn(w, "", why.text);
	}
	sdnotify_say(&w->notify, "READY=1");
}

/* A network that changes does so in many steps: the links are tried once, a moment later. */
static void heed(struct watch *w, unsigned nudge)
{
	if (nudge & NUDGE_RELOAD)
		reload(w);
	if ((nudge & NUDGE_DOUBT) && w->doubt == 0)
		w->doubt = w->doubted != 0 && clock_now() - w->doubted < DOUBT_AGAIN_MS ? w->doubted + DOUBT_AGAIN_MS + DOUBT_MS : clock_in(DOUBT_MS);
	for (size_t i = 0; (nudge & NUDGE_NOW) && i < w->jobs.n; i++) {
		struct watched *j = w->jobs.a[i];

		if (j->left)
			continue;
		j->wanted = j->urgent = true;
		say(j, WATCHER_DOUBTS);
	}
}

static void try_links(struct watch *w)
{
	msec_t now = clock_boot();

	if (w->doubt == 0 || w->doubt > clock_now())
		return;
	w->doubt = 0;
	w->doubted = clock_now();
	for (size_t i = 0; i < w->jobs.n; i++) {
		struct watched *j = w->jobs.a[i];

		if (j->left)
			continue;
		say(j, WATCHER_DOUBTS);
		j->wanted |= j->unreachable && now - j->begun >= AGAIN_MS;
	}
}

/* ---- the turn ---- */

static void start_due(struct watch *w)
{
	msec_t now = clock_boot();

	for (size_t i = 0; i < w->jobs.n; i++) {
		struct watched *j = w->jobs.a[i];
		struct err why = ERR_INIT;

		if (j->left)
			continue;
		if (j->revive != 0 && j->revive <= now)
			try_watcher(j);
		if (j->run_of || (!j->wanted && (j->due == 0 || j->due > now)))
			continue;
		if (start_run(j, &why) < 0) {
			warn(w, j->job->job->name, why.text);
			j->due = now + FAILED_MS;
		}
	}
}

/* In clock_now: the next moment at which something is to be done, whatever happens. */
static msec_t next_deadline(const struct watch *w)
{
	msec_t boot = clock_boot(), now = clock_now(), first = w->notify.watchdog > 0 ? w->barked + w->notify.watchdog : 0;

	if (w->doubt != 0 && (first == 0 || w->doubt < first))
		first = w->doubt;
	for (size_t i = 0; i < w->jobs.n; i++) {
		const struct watched *j = w->jobs.a[i];
		msec_t at[] = { j->revive, j->run_of ? 0 : j->due, j->control >= 0 && j->watcher.fd < 0 ? boot + GONE_MS : 0 };

		for (size_t k = 0; k < sizeof(at) / sizeof(at[0]); k++)
			if (at[k] != 0 && (first == 0 || at[k] - boot + now < first))
				first = at[k] - boot + now;
	}
	return first != 0 && first < now ? now : first;
}

static int add_item(struct watch *w, struct wait_item item, struct err *e)
{
	return vec_push(&w->items, item) < 0 ? err_set(e, ERR_LOCAL, "out of memory") : 0;
}

/* What the watchers have to say; those that have ended. */
static void read_watchers(struct watch *w)
{
	for (size_t i = 0; i < w->jobs.n; i++) {
		struct watched *j = w->jobs.a[i];
		struct wire_sink sink = watcher_sink(j);

		if (j->control < 0)
			continue;
		if (j->watcher.fd >= 0 && worker_read(&j->watcher, &sink, NULL) < 0)
			kill(j->watcher.pid, SIGKILL);
		if (worker_ended(&j->watcher))
			watcher_ended(j);
	}
}

/* Let the scheduler turn, beside all else that is waited for. -1 as sched_turn. */
static int turn(struct watch *w, msec_t deadline, struct err *e)
{
	struct wait_item nudges[NUDGE_FDS];
	int rc;

	vec_clear(&w->items);
	nudge_fds(&w->nudger, nudges);
	for (size_t i = 0; i < NUDGE_FDS; i++)
		if (add_item(w, nudges[i], e) < 0)
			return -1;
	for (size_t i = 0; i < w->jobs.n; i++)
		if (w->jobs.a[i]->control >= 0 && w->jobs.a[i]->watcher.fd >= 0 &&
		    add_item(w, (struct wait_item){ .fd = w->jobs.a[i]->watcher.fd, .events = WAIT_READ }, e) < 0)
			return -1;
	rc = sched_turn(w->sched, w->items.a, w->items.n, deadline, e);
	if (rc < 0)
		return -1;
	read_watchers(w);
	if (w->signal == 0)
		heed(w, nudge_take(&w->nudger, w->items.a));
	bury(w);
	return 0;
}

static size_t watchers(const struct watch *w)
{
	size_t n = 0;

	for (size_t i = 0; i < w->jobs.n; i++)
		n += w->jobs.a[i]->control >= 0;
	return n;
}

/* A signal came: the workers hear of it, and those that don't end in time are killed. */
static void finish(struct watch *w)
{
	msec_t end = clock_in(WATCH_GRACE_MS + FINISH_MS);
	struct err ignored = ERR_INIT;

	w->signal = clock_cancel_signal();
	sdnotify_say(&w->notify, "STOPPING=1");
	sched_stop(w->sched, w->signal);
	for (size_t i = 0; i < w->jobs.n; i++)
		stop_watcher(w->jobs.a[i]);
	do {
		clock_cancel_clear();
		if (turn(w, end, &ignored) < 0 && ignored.kind != ERR_CANCEL)
			break;
	} while (clock_now() < end && (sched_busy(w->sched) > 0 || watchers(w) > 0));
}

static int loop(struct watch *w, struct err *e)
{
	sdnotify_say(&w->notify, "READY=1");
	for (;;) {
		struct err why = ERR_INIT;

		try_links(w);
		start_due(w);
		tell_manager(w);
		if (turn(w, next_deadline(w), &why) == 0)
			continue;
		if (why.kind == ERR_CANCEL) {
			finish(w);
			return 0;
		}
		*e = why;
		return -1;
	}
}

/* No process is left alone, and no set unreleased. */
static void release(struct watch *w)
{
	struct watched *j;

	if (w->signal == 0)
		w->signal = SIGTERM;
	sched_free(w->sched);
	while (w->jobs.n > 0) {
		j = w->jobs.a[w->jobs.n - 1];
		if (j->control >= 0) {
			kill(j->watcher.pid, SIGKILL);
			watcher_ended(j);
		}
		let_go(w, &j->of);
		free(j);
		w->jobs.n--;
	}
	vec_release(&w->jobs);
	vec_release(&w->items);
	nudge_release(&w->nudger);
	sdnotify_end(&w->notify);
}

int watch_run(const struct watch_params *p, struct watch_set *set, const struct wire_sink *sinks, struct err *e)
{
	struct watch w = { .p = p, .sinks = sinks, .nudger = { -1, -1, -1, 0, 0 } };
	struct sched_params sp = p->sched;
	int rc;

	sp.done = run_done;
	sp.mine = is_watcher;
	sp.arg = &w;
	sp.grace = WATCH_GRACE_MS;
	sdnotify_init(&w.notify);
	w.sched = sched_new(&sp, sinks, e);
	if (!w.sched)
		p->release(p->arg, set);
	rc = w.sched ? take_set(&w, set, e) : -1;
	if (rc == 0)
		rc = nudge_init(&w.nudger, e);
	if (rc == 0)
		rc = loop(&w, e);
	release(&w);
	return rc;
}
