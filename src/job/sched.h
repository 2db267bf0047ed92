/*
 * Runs a set of jobs once: several at a time, but never two on one account (a POP3 maildrop is locked by its session). The parent is a poll over the
 * workers' pipes and the cancel fd: a signal is passed on to the workers, who get 10 s to come to a safe end, then SIGKILL.
 */
#ifndef JOB_SCHED_H
#define JOB_SCHED_H

#include "job/worker.h"

struct sched_params {
	unsigned at_once;            /* 0: 4; at most WAIT_MAX */
	struct worker_wants wants;   /* without `others` */
	msec_t grace;                /* after a signal, ms; 0: 10 s */
};

/*
 * jobs[i] -> codes[i] (exit codes). Returns 0, or -1 with ERR_CANCEL after a signal (codes of jobs that never started: 128+signal). Jobs start in their
 * order, but one whose account is in use lets others go first.
 */
int sched_run(const struct sched_params *p, const struct job_params *jobs, size_t n, const struct wire_sink *sinks, int *codes, struct err *e);

/* One exit code of many: 0 when all are; a signal's (129..) when one was stopped by it; the one code when all that failed agree; else 1. */
int sched_exit_code(const int *codes, size_t n);

#endif
