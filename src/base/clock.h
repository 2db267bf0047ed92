/*
 * Time, deadlines and cancellation: the one place where this program waits.
 * A deadline is a moment on the monotonic clock in milliseconds; 0 means "none" and is for tests only.
 * clock_cancel_init() makes SIGTERM and SIGINT end every wait at once (ERR_CANCEL).
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/err.h"

typedef int64_t msec_t; /* the one typedef of the house: milliseconds */

msec_t clock_now(void);            /* monotonic */
msec_t clock_boot(void);           /* as clock_now, but it goes on while the machine is suspended */
int64_t clock_wall(void);          /* seconds since 1970, UTC */
int64_t clock_wall_usec(void);     /* microseconds since 1970 */
msec_t clock_in(msec_t ms);        /* deadline: now + ms */
void clock_test_set(int64_t wall); /* tests: freeze the wall clock; -1 thaws */

/*
 * Install handlers for SIGTERM, SIGINT (and SIGHUP when no handler ignores it) that write to a self-pipe. Ignores SIGPIPE and SIGXFSZ: the call that fails says so.
 * Call once in each process (again after fork: the pipe is made anew).
 */
int clock_cancel_init(struct err *e);
void clock_cancel_forget(void); /* in a child: its copy of the pipe is not to be closed by the next init, as it was closed already with all others */
bool clock_cancelled(void);
int clock_cancel_signal(void); /* the signal that came; 0 if none */
int clock_cancel_fd(void);     /* readable once cancelled; -1 before init. For poll sets of one's own */
void clock_cancel_now(int sig); /* as if the signal had come (tests, parent's wish) */
void clock_cancel_clear(void);  /* forget the signal that came, so that waits wait again */

/* -1 with ERR_CANCEL when a signal came; for loops that do not wait. */
int clock_check(struct err *e);

enum { WAIT_READ = 1, WAIT_WRITE = 2 };

/*
 * Wait until fd is ready for `events` (or has an error, which the next read/write will show), the deadline passes
 * (ERR_TIMEOUT) or a signal comes (ERR_CANCEL). Returns the ready events (> 0) or -1. fd -1: only the deadline and the signal.
 * A signal wins over a ready fd, a ready fd over a passed deadline: who drains a peer that never stops must look at the clock too.
 */
int wait_fd(int fd, int events, msec_t deadline, struct err *e);

/* The same for any number of descriptors. Returns how many are ready, with `ready` of each set, or -1. */

struct wait_item {
	int fd;
	int events, ready;
};

int wait_fds(struct wait_item *w, size_t n, msec_t deadline, struct err *e);

/* Once, beside what a fiber (fiber.h) waits for: 0 when there is something for that alone. */
int wait_beside(struct wait_item *w, size_t n, msec_t deadline, struct err *e);

/* Sleep until the deadline or a signal (ERR_CANCEL, -1). */
int wait_until(msec_t deadline, struct err *e);

#endif
