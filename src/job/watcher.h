/*
 * Waits for changes at the sides of one job, in a process of its own, beside the workers that run it. It is a worker (worker.h) of another kind: what it has to tell are CHANGED
 * events, one when there is something for the job to do, and WAITING events, when it waits in another way than before. It knows what the job itself has done from what others have.
 *
 *     WATCHER_BEGINS   the job runs now
 *     WATCHER_ENDS     it has run; after a CHANGED nothing more is told until then
 *     WATCHER_DOUBTS   a suspend is over, or the network has changed: are the links still alive?
 *
 * The last one also ends the pause after which a lost link is made anew.
 */
#ifndef JOB_WATCHER_H
#define JOB_WATCHER_H

#include "job/job.h"

enum { WATCHER_BEGINS = 'B', WATCHER_ENDS = 'E', WATCHER_DOUBTS = 'D' };

/* Will another try do no good before somebody has done something about it? Logins that are refused are counted by servers. */
bool watcher_hopeless(const struct err *why);

/* Is there anything about this job that could be waited for? */
bool watcher_useful(const struct config_job *job);

/*
 * Until the other end of p->control, from which these are read, is closed (0), or a signal comes. A login that is refused, or something else that waiting won't mend,
 * ends it: ERROR and END are told, and its exit code is returned.
 */
int watcher_run(const struct job_params *p, const struct event_sink *sink);

#endif
