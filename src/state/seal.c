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
#define SECOND INT64_C(1000000000) /* in nanoseconds */
#define CLOCK_TICK (SECOND / 50)   /* no kernel's clock is coarser */
#define FS_TICK (2 * SECOND)       /* no file system's, where it has no parts of seconds */

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

static int64_t nanoseconds(struct timespec t)
{
	return t.tv_sec * SECOND + t.tv_nsec;
}

/*
 * Would whoever writes to it now leave another time in it? Times are as coarse as the kernel's clock, or the file system's: a file that was just written gets a time before
 * that, which no write gives it again.
 */
static bool would_show(const char *path)
{
	struct timespec coarse, fine, times[2] = { { .tv_nsec = UTIME_OMIT } };
	struct stat st;
	int64_t tick, back;

	if (lstat(path, &st) < 0 || clock_gettime(CLOCK_REALTIME_COARSE, &coarse) < 0 || clock_gettime(CLOCK_REALTIME, &fine) < 0)
		return false;
	tick = st.st_mtim.tv_nsec == 0 ? FS_TICK : CLOCK_TICK;
	if (nanoseconds(coarse) - nanoseconds(st.st_mtim) > tick)
		return true;
	if (nanoseconds(st.st_mtim) > nanoseconds(fine)) /* the clock will come to it */
		return false;
	back = nanoseconds(coarse) - 2 * tick;
	times[1] = (struct timespec){ .tv_sec = back / SECOND, .tv_nsec = back % SECOND };
	return utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW) == 0;
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
