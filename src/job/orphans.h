/*
 * Helpers of a worker that has died before it could end them (a crash, SIGKILL): password commands, tunnels, on-new. They fall to us, who are their subreaper,
 * and are told apart from our own children by their process group: each was started in one of its own. What has made a session of its own, as a daemon does that a helper
 * started (an agent that keeps keys), is nobody's to end.
 */
#ifndef JOB_ORPHANS_H
#define JOB_ORPHANS_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/clock.h"
#include "base/vec.h"

struct orphan {
	pid_t pid;
	msec_t kill_at; /* 0: it may live */
};

struct orphans {
	VEC(struct orphan) v;
};

/* From now on they fall to us. */
void orphans_adopt(void);

/*
 * A worker is gone: take on what it has left behind. badly: it died without ending its helpers, so they get SIGTERM, and SIGKILL a little later; what else it left (something that a
 * helper put into the background) may live. is_known: workers that run, and other children of ours.
 */
void orphans_take(struct orphans *o, bool badly, bool (*is_known)(const void *arg, pid_t pid), const void *arg);

/* Reap those that have ended, and kill those whose time is over. Returns when to look again; 0: there is none to be killed. */
msec_t orphans_tend(struct orphans *o);

/* Kill at once those that are to be ended, and wait for them; forget the others. */
void orphans_end(struct orphans *o);

#endif
