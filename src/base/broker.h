/*
 * A process beside this one that runs commands for it. It is forked before this one gives up the right to run programs (base/sandbox.h), and runs those of its table and no others: what
 * is asked of it is a number. So a password can be fetched again when a link is dialled anew, and on-new be run at the end, while what talks to the network can start nothing.
 *
 * proc_run, proc_output, proc_start, proc_stop of this process go through it from then on. It ends when this process closes its end of their socket, or dies, and with it ends what it runs.
 */
#ifndef BASE_BROKER_H
#define BASE_BROKER_H

#include "base/proc.h"

#define BROKER_COMMANDS_MAX 16
#define BROKER_OUTPUT_MAX 65536 /* bytes that a command may print, at most */

/* The table, copied by the fork; NULLs in it stand for nothing. 0, also when it is empty: then no process is started, and no command is run any more. -1. */
int broker_start(const char *const *commands, size_t n, struct err *e);

/* Close it, and wait for its end: at most a second. */
void broker_end(void);

/* ---- for proc.c ---- */

bool broker_stands(void);
int broker_run(const struct proc_call *c, msec_t deadline, struct err *e);
int broker_start_command(struct proc *p, const char *command, bool keep_stderr, struct err *e);
int broker_stop_command(pid_t pid, msec_t grace);
bool broker_command_ended(pid_t pid, int *status);

#endif
