/*
 * Runs jobs in workers: several at a time, but not more on one account or host than may be (seats.h). One that runs longer than its job's `deadline`, or does nothing at all for its `stall`,
 * is stopped: SIGTERM, then SIGKILL, and what helpers it leaves behind are ended as well (orphans.h). The parent is a poll over the workers' pipes, what its caller waits for beside them, and the cancel fd. Who runs a set once (`run`) and who stays (`watch`) stand on the same:
 *
 *     submit, submit, ...; turn until nothing is busy; free
 */
#ifndef JOB_SCHED_H
#define JOB_SCHED_H

#include "job/worker.h"

struct sched_params {
	unsigned at_once;            /* 0: 4 */
	unsigned per_host;           /* with one server; 0: 8 */
	struct worker_wants wants;   /* without `others` */
	bool hush;                   /* what was told about a scheduled job is not told again for a day (news.h) */
	msec_t quiet;                /* a worker of which nothing was heard for so long, ms, gives its place to another; 0: 20 s */
	msec_t grace;                /* between SIGTERM and SIGKILL, ms; 0: 10 s */
	/*
	 * A job that was submitted is over: tag is its submitter's, why (kind ERR_NONE: nothing) what ended it. Called within sched_turn, sched_stop and sched_free,
	 * each job once, after its last event; may submit. NULL: nobody wants to know.
	 */
	void (*done)(void *arg, void *tag, int exit_code, const struct err *why);
	/* Is it a child of the caller's own, and not what a worker has left? It need not be asked of those that stay in the caller's process group. NULL: there is none. */
	bool (*mine)(void *arg, pid_t pid);
	void *arg;
};

struct sched;

/* p and sinks are copied, but for what they point to. */
struct sched *sched_new(const struct sched_params *p, const struct wire_sink *sinks, struct err *e);

/* Queue a run, which counts as begun (news.h). *job is copied, but for what it points to, which lives until it is done. Jobs start in their order, but one that must wait lets others go first. */
int sched_submit(struct sched *s, const struct job_params *job, void *tag, struct err *e);

/*
 * Start what may run now, and wait until something happens: 1 when a job is over (done was called), or a descriptor of `more` (n_more 0: none) is ready (`ready` is set); 0 at the
 * deadline (0: none). -1 with ERR_CANCEL when a signal has come, of which the jobs know nothing yet: sched_stop, and clock_cancel_clear before the next turn. -1 with another
 * kind: nothing can be waited for any more. Within a turn, records of workers go to the sinks as they come.
 */
int sched_turn(struct sched *s, struct wait_item *more, size_t n_more, msec_t deadline, struct err *e);

/* From now on so many at once, and with one server (0: as in sched_params); what runs or is queued already goes on as it was. */
int sched_resize(struct sched *s, unsigned at_once, unsigned per_host, struct err *e);

size_t sched_busy(const struct sched *s);                  /* how many are queued or running */
bool sched_has(const struct sched *s, const void *tag);    /* is one of this tag queued or running? */

/*
 * What is queued is over (128 + sig). What runs gets the signal, and SIGKILL after the grace; turns go on until nothing is busy. Nothing can be submitted from now on
 * (ERR_CANCEL).
 */
void sched_stop(struct sched *s, int sig);
void sched_free(struct sched *s); /* NULL is fine; what still runs is killed, which is safe at any moment */

/*
 * A whole set, once: jobs[i] -> codes[i] (exit codes). Returns 0, or -1 with ERR_CANCEL after a signal, which is passed on to the workers and stays noted for the
 * caller (codes of jobs that never started: 128+signal). p->done is not used.
 */
int sched_run(const struct sched_params *p, const struct job_params *jobs, size_t n, const struct wire_sink *sinks, int *codes, struct err *e);

/* One exit code of many: 0 when all are; a signal's (129..) when one was stopped by it; the one code when all that failed agree; else 1. */
int sched_exit_code(const int *codes, size_t n);

#endif
