/* What the tests of whole jobs between rigged stores share. */
#ifndef TEST_SYNC_RIG_H
#define TEST_SYNC_RIG_H

#include "../../lib/unit.h"

#include <unistd.h>

static uint64_t rng;
static char where[200]; /* what is being tried, for a failure's message */
static unsigned syncs;  /* what a disk would have waited for */
static unsigned die_at; /* the process ends at that one, as one that is stopped at a step: what is committed is, and nothing more; 0: it does not */

/*
 * What dies here is a process, never the machine, and the rigged stores play the power cut themselves: SQLite need not wait for the disk. It takes these from
 * the program, which comes before the C library.
 */
int fsync(int fd)
{
	(void)fd;
	if (++syncs == die_at)
		_exit(100);
	return 0;
}

int fdatasync(int fd)
{
	return fsync(fd);
}

/* splitmix64 */
static inline uint64_t draw(void)
{
	uint64_t z = rng += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static inline unsigned below(unsigned n)
{
	return (unsigned)(draw() % n);
}

/* The base's file, and those beside it. */
static inline void lose_base(const char *db)
{
	static const char *const suffixes[] = { "", "-wal", "-shm", ".lock", ".new" };

	for (size_t i = 0; i < COUNT(suffixes); i++) {
		char name[5000];

		snprintf(name, sizeof(name), "%s%s", db, suffixes[i]);
		unlink(name);
	}
}

#endif
