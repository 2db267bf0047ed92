/*
 * Stays, and runs jobs when there is something for them to do: when their `every` has passed, or when their watcher (watcher.h) says that something has changed. A poll over the
 * scheduler's workers, the watchers, signals, and what tells of suspends and of the network; here nothing is opened and nobody is waited for.
 *
 *     SIGHUP    the configuration is read again; jobs that are as they were notice nothing
 *     SIGUSR1   every job runs now, whatever it waits for
 *     SIGTERM   and SIGINT: the end, within WATCH_GRACE_MS
 */
#ifndef JOB_WATCH_H
#define JOB_WATCH_H

#include "job/sched.h"

#define WATCH_EVERY 600    /* seconds; of jobs without `every` */
#define WATCH_GRACE_MS 700 /* that workers have to come to a safe end; they are safe at any moment */

/* Jobs that belong together: a configuration, as it was read once. */
struct watch_set {
	struct job_params *jobs;
	size_t n;
	unsigned at_once, per_host; /* as in sched_params */
	void *config; /* for release */
};

struct watch_params {
	struct sched_params sched; /* without done, mine, arg, grace, and what a set says */
	/* The configuration anew; -1: it stays as it is. NULL: it can't be read again. */
	int (*reload)(void *arg, struct watch_set *out, struct err *e);
	/* Nothing of a set is used any more, its array of jobs neither. */
	void (*release)(void *arg, struct watch_set *set);
	void *arg;
};

/*
 * 0: it was asked to end (ERR_CANCEL is not told). -1: *e. *set is released in any case. What goes wrong with a job is told to the sinks, and the others go on.
 */
int watch_run(const struct watch_params *p, struct watch_set *set, const struct wire_sink *sinks, struct err *e);

#endif
