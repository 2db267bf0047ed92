/*
 * What makes a waiting process look up beside its own work: signals that ask for something (SIGHUP, SIGUSR1), a machine that comes out of a suspend, a network that has changed. As
 * descriptors to poll.
 */
#ifndef JOB_NUDGE_H
#define JOB_NUDGE_H

#include <stdbool.h>

#include "base/clock.h"
#include "base/err.h"

enum nudge {
	NUDGE_RELOAD = 1, /* SIGHUP */
	NUDGE_NOW = 2,    /* SIGUSR1 */
	NUDGE_DOUBT = 4,  /* links may be dead, and what was out of reach may be back */
};

enum { NUDGE_FDS = 3 };

struct nudger {
	int signals, timer, routes; /* routes -1: the kernel does not say */
	msec_t offset;              /* of clock_boot to clock_now, when it was last looked at */
	msec_t looked;              /* clock_now of then */
};

/* SIGHUP, unless it is ignored, and SIGUSR1 are held back in this process from now on, and read here. */
int nudge_init(struct nudger *n, struct err *e);
void nudge_release(struct nudger *n);

void nudge_fds(const struct nudger *n, struct wait_item w[NUDGE_FDS]);
/* What has happened, or-ed; w as nudge_fds gave it, after a wait. */
unsigned nudge_take(struct nudger *n, const struct wait_item w[NUDGE_FDS]);

#endif
