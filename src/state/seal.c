#include "state/seal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TEXT_MAX 160
#define TICK_MAX 20000000 /* nanoseconds; kernels have 1 to 10 million */
#define WAITS 4

/* What the file is like; false: it can't be told, or something of an interrupted run stands beside it. */
static bool describe(const char *path, int64_t read_through, char text[TEXT_MAX])
{
	struct stat st;
	char *wal = NULL;
	bool left = asprintf(&wal, "%s-wal", path) < 0 || (stat(wal, &st) == 0 && st.st_size > 0);

	free(wal);
	if (left || lstat(path, &st) < 0)
		return false;
	snprintf(text, TEXT_MAX, "%ju %jd %jd.%09ld %jd.%09ld %" PRId64 "\n", (uintmax_t)st.st_ino, (intmax_t)st.st_size,
		 (intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, (intmax_t)st.st_ctim.tv_sec, st.st_ctim.tv_nsec, read_through);
	return true;
}

static bool read_seal(int lock, char text[TEXT_MAX])
{
	ssize_t n = pread(lock, text, TEXT_MAX - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return n > 0;
}

/*
 * Would whoever writes to it now leave another time in it? Times are as coarse as the kernel's clock: of a file that was just written, the next tick (some milliseconds) is
 * waited for.
 */
static bool would_show(const char *path)
{
	struct timespec now, step;
	struct stat st;

	if (lstat(path, &st) < 0 || clock_getres(CLOCK_REALTIME_COARSE, &step) < 0 || step.tv_sec > 0 || step.tv_nsec > TICK_MAX)
		return false;
	for (int waited = 0; clock_gettime(CLOCK_REALTIME_COARSE, &now) == 0; waited++) {
		int64_t past = (now.tv_sec - st.st_mtim.tv_sec) * INT64_C(1000000000) + now.tv_nsec - st.st_mtim.tv_nsec;

		if (past > step.tv_nsec)
			return true;
		if (past < -step.tv_nsec || waited == WAITS) /* a time can be finer than the clock, and before its tick */
			return false;
		nanosleep(&step, NULL);
	}
	return false;
}

bool seal_holds(int lock, const char *path, int64_t now, int64_t *read_through)
{
	char seal[TEXT_MAX], text[TEXT_MAX];
	const char *last;
	int64_t when;

	*read_through = 0;
	if (!read_seal(lock, seal) || !(last = strrchr(seal, ' ')))
		return false;
	when = strtoll(last, NULL, 10);
	if (when > now || now - when >= SEAL_SECONDS || !describe(path, when, text) || strcmp(text, seal) != 0)
		return false;
	*read_through = when;
	return true;
}

/* The lock file says this, and its mtime, which is when the last run ended, what it said. */
static void write_lock(int lock, const char *text)
{
	char old[TEXT_MAX];
	size_t n = strlen(text);
	struct stat st;
	struct timespec times[2];

	if (fstat(lock, &st) < 0 || (read_seal(lock, old) && strcmp(old, text) == 0))
		return;
	if (pwrite(lock, text, n, 0) != (ssize_t)n || ftruncate(lock, (off_t)n) < 0)
		return; /* what stands there now describes no file */
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	futimens(lock, times);
}

void seal_put(int lock, const char *path, int64_t read_through)
{
	char text[TEXT_MAX];

	if (would_show(path) && describe(path, read_through, text))
		write_lock(lock, text);
	else
		seal_break(lock);
}

void seal_break(int lock)
{
	write_lock(lock, "-\n");
}

bool seal_was_there(int lock)
{
	char text[TEXT_MAX];

	return read_seal(lock, text);
}
