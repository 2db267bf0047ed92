/*
 * Locks on an mbox, taken in a configurable order, given back in reverse: fcntl(2) on the file, and PATH.lock ("dotlock"), which is made by link(2) from a unique
 * file, holds our pid and host ("123:host"), and is stale when its pid is dead on this host or it hasn't been touched for STALE seconds.
 */
#ifndef STORE_MBOXLOCK_H
#define STORE_MBOXLOCK_H

#include <stdbool.h>

#include "base/clock.h"
#include "base/err.h"

enum mboxlock_kind { MBOXLOCK_NONE, MBOXLOCK_FCNTL, MBOXLOCK_DOTLOCK };

struct mboxlock_params {
	enum mboxlock_kind order[2]; /* MBOXLOCK_NONE ends; both NONE: the default, fcntl then dotlock */
	int timeout;                 /* ms; 0 means 60000. ERR_TEMP naming who holds it, when that long has passed */
	int stale;                   /* seconds; 0 means 300 */
	bool read;                   /* nothing is changed under it: a file that is open to be read alone will do, and so will a directory where no dotlock can be made */
};

struct mboxlock;

/*
 * Lock fd (open for writing, unless to read) at path. The fcntl lock goes with any descriptor of the file that this process closes: there must be no other one.
 * All locks are tried together, and none is held while waiting.
 */
struct mboxlock *mboxlock_take(const struct mboxlock_params *p, int fd, const char *path, struct err *e);
void mboxlock_renew(struct mboxlock *l); /* touch the dotlock, at most every 10 s: for those who hold it long */
void mboxlock_give(struct mboxlock *l);  /* NULL is fine */

#endif
