/*
 * A job in a process, and a process group, of its own. It is forked before any OpenSSL or SQLite handle exists in the parent, has its own cancel pipe, sends events and log
 * records through a pipe (message events only when the parent wants them, progress always), and ends with _exit. It gets SIGTERM when its parent dies.
 */
#ifndef JOB_WORKER_H
#define JOB_WORKER_H

#include <sys/types.h>

#include "job/job.h"
#include "job/wire.h"

struct worker {
	pid_t pid;
	int fd;               /* its records; -1 once at the end */
	struct strbuf in;
	int exit_code;        /* of the END event; -1 none came yet */
	const struct config_job *job;
	struct err why;       /* worker_read: its records made no sense */
	bool crashed;         /* after worker_finish: it died before its job came to an end, and may have left helpers behind */
	struct err doom;      /* worker_doom: why it is stopped; ERR_NONE: it is not */
	struct err failure;   /* after worker_finish: what ended its job, by its own words or by how it died; ERR_NONE: it came to its end */
};

struct worker_wants {
	int (*run)(const struct job_params *p, const struct event_sink *sink); /* what it does, and its exit code; NULL: job_run */
	bool messages;        /* MESSAGE events are of interest */
	enum log_level log;   /* records up to this level */
	const struct worker *others; /* workers that run already: the new one does not keep their pipes */
	size_t n_others;
};

/* Start it; 0, or -1 (ERR_TEMP when there are too many processes). */
int worker_start(struct worker *w, const struct job_params *p, const struct worker_wants *wants, struct err *e);
/* Read what is there and pass it on; does not wait. 1, 0 at the end of its records, -1 when they make no sense: the pipe is closed then. */
int worker_read(struct worker *w, const struct wire_sink *sinks, struct err *e);
/* Its time is over: it gets SIGTERM, and this is why its job ended, unless it came to its end all the same. */
void worker_doom(struct worker *w, const struct err *why);
/* A signal to it; SIGKILL, to what it has forked as well. */
void worker_signal(const struct worker *w, int sig);
/* How much processor time it has used until now, in some unit; 0 unknown. */
uint64_t worker_cpu(const struct worker *w);
/* Whether the process has ended (it is not reaped yet): worker_finish will not wait. */
bool worker_ended(const struct worker *w);
/*
 * Once its records ended, worker_ended says so, or it was killed: wait until it is gone, pass on what is left, release it. A worker that died without END (crash, SIGKILL) gets an ERROR and END event here, exit code 70
 * (128+signal for TERM, INT and HUP; 100, the crash tests' planned death, stays 100). Returns the job's exit code.
 */
int worker_finish(struct worker *w, const struct wire_sink *sinks);

/* ERROR and END for a job that has no worker to say so (any more). Returns exit_code. */
int worker_mourn(const struct config_job *job, const struct wire_sink *sinks, const struct err *why, int exit_code);

#endif
