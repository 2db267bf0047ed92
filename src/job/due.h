/*
 * When a scheduled job runs: a pure function of what is known of its attempts (state/attempts.h), its configuration and the time.
 *
 * The time counts from the start of the last run. cron and timers don't come to the second: a job may run a little before its `every` has passed, or one that is run every five minutes by a
 * line that comes every five minutes would run every ten.
 */
#ifndef JOB_DUE_H
#define JOB_DUE_H

#include "base/clock.h"
#include "config/load.h"
#include "state/attempts.h"

#define DUE_REFUSED 86400  /* seconds until a refused login is tried again, if nothing about it changes */
#define DUE_PAUSE_MAX 3600 /* the longest pause after failures, if the server asks for none longer */
#define DUE_TELL 86400     /* seconds until what lasts is told again */

/* When it is due, seconds since 1970; 1: now, it never ran. every: of the job, or what is meant where it has none. */
int64_t due_at(const struct attempts *a, int64_t every, int64_t now);
/* Is it, for who comes only now and then? */
bool due_now(const struct attempts *a, int64_t every, int64_t now);

/* How much later than it could each job of this machine begins, so that not all machines and jobs knock at one moment: always the same, at most a tenth of `every`, at most 30 s. */
msec_t due_spread(const char *job, int64_t every);

/* A run failed, with a code and a reason: when is the next try? */
void due_failed(struct attempts *a, const char *job, int64_t every, int code, const struct err *why, int64_t now);
/* A run did what it should. Returns since when it had failed; 0: it had not. */
int64_t due_worked(struct attempts *a);

#endif
