/*
 * Processes of our own, and helper commands with a deadline and a limit on their output. Nothing foreign is ever put into a shell's command line.
 * Where a broker stands (base/broker.h) it is that which starts them.
 */
#ifndef BASE_PROC_H
#define BASE_PROC_H

#include <stdbool.h>
#include <stdint.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/slice.h"
#include "base/strbuf.h"

/* fork(2); in the child every signal that had a handler does what it does by default, and none is blocked. -1 with errno. */
pid_t proc_fork(void);

/* Close all descriptors from this one on; in a child. */
void proc_close_from(int lowest);

/* This process, and what it forks, may have no more bytes of data and descriptors than that (0: as it is); commands that are run get back what was before. Once; never raises a limit. */
void proc_limits(uint64_t data, uint64_t files);

/* These bytes as a file in memory, at its beginning: close-on-exec, above stderr. -1. */
int proc_file_of(struct slice bytes, struct err *e);

struct proc {
	pid_t pid; /* its own process group */
	int in;    /* our writing end of its stdin, or -1 */
	int out;   /* our reading end of its stdout, or -1 */
	bool far;  /* it is a child of the broker (base/broker.h) */
};

/*
 * Start `/bin/sh -c command` in a process group of its own, stdin and stdout on pipes, stderr inherited when keep_stderr,
 * else /dev/null. The signal mask and SIGPIPE are reset, all other descriptors closed. Our ends are non-blocking: wait_fd().
 */
int proc_start(struct proc *p, const char *command, bool keep_stderr, struct err *e);

/* Close our ends and end it: TERM to the group, KILL after grace ms; reaped in any case. Returns its wait status. */
int proc_stop(struct proc *p, msec_t grace);

/* Has it ended? Its wait status then; it is still to be stopped. */
bool proc_ended(const struct proc *p, int *status);

/* A number for a command, in its environment. */
struct proc_var {
	const char *name;
	uint64_t value;
};

struct proc_call {
	const char *command;
	struct slice input;          /* its stdin; it need not read it. Empty: /dev/null */
	int input_fd;                /* or this is, if it is above 0 */
	int owner;                   /* above 0: once this is readable nobody waits for the command any more, and it is ended (ERR_CANCEL) */
	const struct proc_var *vars; /* beside our own environment, without what a service manager has told this process */
	size_t n_vars;
	struct strbuf *out;          /* its stdout is added, up to out->max bytes. NULL: /dev/null */
};

/*
 * Run `/bin/sh -c command` to its end. On deadline, too much output or cancellation the group is killed.
 * A non-zero exit is an error (ERR_LOCAL) that carries the status and the last line of its stderr, never the command, which may
 * hold a secret. The controlling terminal stays within reach (/dev/tty), but one that
 * reads it is stopped by the kernel, as every background job is: that is an error at once, not a wait.
 * After an error out is empty.
 */
int proc_run(const struct proc_call *c, msec_t deadline, struct err *e);
/* The same for its output alone. */
int proc_output(const char *command, struct strbuf *out, msec_t deadline, struct err *e);

#endif
