/*
 * Write-back started early. A process of its own calls syncfs(2) while we go on, so that little is left to write when we come to wait for the same. What it does
 * promises nothing: only what the caller syncs itself is on disk, and the caller is told of errors in write-back all the same, since the process has opened the
 * directory for itself, and each open file tells its own.
 */
#ifndef BASE_SYNCER_H
#define BASE_SYNCER_H

#include <stdbool.h>
#include <sys/types.h>

struct syncer {
	pid_t pid;  /* 0: not started */
	int fd;     /* to it */
	bool never; /* it could not be started, or has died */
};

/*
 * Have the file system of dirfd written, soon. The first call starts the process, which keeps to the file system of that call. Never waits, and never fails: while
 * one write-back goes on, others are asked for in vain.
 */
void syncer_kick(struct syncer *s, int dirfd);

/* Let it end; it isn't waited for where the disk holds it up. Safe on a zeroed struct. */
void syncer_release(struct syncer *s);

#endif
