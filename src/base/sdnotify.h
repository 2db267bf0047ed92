/*
 * What a service says to the manager that started it (sd_notify(3)): one datagram of text to the socket that $NOTIFY_SOCKET names. Nothing at all where there is none.
 */
#ifndef BASE_SDNOTIFY_H
#define BASE_SDNOTIFY_H

#include "base/clock.h"

struct sdnotify {
	int fd;          /* -1: nobody listens */
	msec_t watchdog; /* it wants to hear WATCHDOG=1 at least this often (half of what it said); 0: it does not */
};

/* Reads the environment, and takes it out of there: helpers are not the service. A name that can't be used counts as none. */
void sdnotify_init(struct sdnotify *n);
/* "READY=1", "STATUS=...", several with line ends between; does not wait, and what nobody takes is lost. */
void sdnotify_say(const struct sdnotify *n, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void sdnotify_end(struct sdnotify *n);

#endif
