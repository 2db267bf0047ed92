/*
 * A job in a process of its own. It is forked before any OpenSSL or SQLite handle exists in the parent, has its own cancel pipe, sends events and log
 * records through a pipe (message events only when the parent wants them, progress always), and ends with _exit.
 */
#ifndef JOB_WORKER_H
#define JOB_WORKER_H

#include "job/job.h"
#include "job/wire.h"

struct worker {
	pid_t pid;
	int fd;               /* its records; -1 once at the end */
	struct strbuf in;
	int exit_code;        /* of the END event; -1 none came yet */
	const struct config_job *job;
};

struct worker_wants {
	bool messages;        /* MESSAGE events are of interest */
	enum log_level log;   /* records up to this level */
};

int worker_start(struct worker *w, const struct job_params *p, const struct worker_wants *wants, struct err *e);
/* Read what is there and pass it on. 1, 0 at the end of its records, -1. */
int worker_read(struct worker *w, const struct wire_sink *sinks, struct err *e);
/*
 * Reap it after its records ended. A worker that died without END (crash, SIGKILL) gets an ERROR and END event here, exit code 70 (or 128+signal for TERM/INT).
 */
int worker_finish(struct worker *w, const struct wire_sink *sinks);

#endif
