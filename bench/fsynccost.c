/*
 * What durability costs on this disk: writes small files into one directory in several ways.
 *
 *	fsynccost DIR [COUNT [BYTES]]
 *
 * Every way but the first ends with each file durable, renamed from tmp/ to new/, and new/ durable:
 *
 *	none       no sync at all
 *	each       fsync each file, rename, fsync the directory for each
 *	each/group fsync each file at once, rename and fsync the directory once a group
 *	group      start write-back when a file is written (sync_file_range), fsync the files and
 *	           rename at the group's end, one fsync of the directory
 *	late       as group, without the early write-back
 *	syncfs     one syncfs for the group, rename, one fsync of the directory
 *
 * The second figure of "group" ways is the size of the group.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define GROUP_MAX 1024

enum way { NONE, EACH, EACH_GROUP, GROUPED, LATE, SYNCFS };

struct run {
	const char *name;
	enum way way;
	unsigned group;
};

static const struct run runs[] = {
	{ "none", NONE, 1 },
	{ "each", EACH, 1 },
	{ "each/group", EACH_GROUP, 256 },
	{ "late", LATE, 64 },
	{ "late", LATE, 256 },
	{ "late", LATE, 1024 },
	{ "group", GROUPED, 16 },
	{ "group", GROUPED, 64 },
	{ "group", GROUPED, 256 },
	{ "group", GROUPED, 1024 },
	{ "syncfs", SYNCFS, 64 },
	{ "syncfs", SYNCFS, 256 },
	{ "syncfs", SYNCFS, 1024 },
};

static unsigned count = 10000;
static size_t bytes = 2800;
static char *data;
static int top = -1, tmp = -1, new = -1;
static int held[GROUP_MAX];

/* Ends the program with a message. */
static void fail(const char *what)
{
	fprintf(stderr, "fsynccost: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Seconds of a clock that only moves on. */
static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The file's name. */
static const char *name_of(unsigned n)
{
	static char name[64];

	snprintf(name, sizeof(name), "1700000000.M%06uP1234.bench", n);
	return name;
}

/* Writes one file into tmp and returns it open. */
static int file_write(unsigned n)
{
	int fd = openat(tmp, name_of(n), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, data, bytes) != (ssize_t)bytes)
		fail("write");
	return fd;
}

/* Moves one file to new. */
static void file_publish(unsigned n)
{
	if (renameat(tmp, name_of(n), new, name_of(n)) < 0)
		fail("rename");
}

/* Ends a group of files: first .. first + len - 1. */
static void group_end(const struct run *r, unsigned first, unsigned len)
{
	if (r->way == SYNCFS && syncfs(top) < 0)
		fail("syncfs");
	for (unsigned i = 0; i < len; i++) {
		if ((r->way == GROUPED || r->way == LATE) && fsync(held[i]) < 0)
			fail("fsync");
		if (held[i] >= 0)
			close(held[i]);
	}
	for (unsigned i = 0; i < len; i++)
		file_publish(first + i);
	if (r->way != NONE && fsync(new) < 0)
		fail("fsync");
}

/* Does the whole work in one way. */
static void run_way(const struct run *r)
{
	for (unsigned n = 0; n < count;) {
		unsigned first = n;

		for (; n < count && n - first < r->group; n++) {
			int fd = file_write(n);

			if ((r->way == EACH || r->way == EACH_GROUP) && fsync(fd) < 0)
				fail("fsync");
			if (r->way == GROUPED && sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE) < 0)
				fail("sync_file_range");
			held[n - first] = fd;
		}
		group_end(r, first, n - first);
	}
}

/* Opens a directory below dir, made if it is not there. */
static int sub_open(int dir, const char *name)
{
	int fd;

	if (mkdirat(dir, name, 0700) < 0 && errno != EEXIST)
		fail(name);
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		fail(name);
	return fd;
}

/* Removes what a way has left. */
static void clean(void)
{
	for (unsigned n = 0; n < count; n++)
		unlinkat(new, name_of(n), 0);
	close(tmp);
	close(new);
	unlinkat(top, "tmp", AT_REMOVEDIR);
	unlinkat(top, "new", AT_REMOVEDIR);
	syncfs(top);
}

int main(int argc, char **argv)
{
	if (argc < 2 || argc > 4) {
		fputs("usage: fsynccost DIR [COUNT [BYTES]]\n", stderr);
		return 2;
	}
	if (argc > 2)
		count = (unsigned)strtoul(argv[2], NULL, 10);
	if (argc > 3)
		bytes = strtoul(argv[3], NULL, 10);
	data = malloc(bytes ? bytes : 1);
	if (!data)
		fail("memory");
	memset(data, 'x', bytes);
	top = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (top < 0)
		fail(argv[1]);
	printf("%u files of %zu bytes\n%-12s %6s %9s %11s\n", count, bytes, "way", "group", "seconds",
	       "us/file");
	for (size_t i = 0; i < sizeof(runs) / sizeof(*runs); i++) {
		double t;

		tmp = sub_open(top, "tmp");
		new = sub_open(top, "new");
		syncfs(top);
		t = now();
		run_way(&runs[i]);
		t = now() - t;
		printf("%-12s %6u %9.3f %11.1f\n", runs[i].name, runs[i].group, t, t * 1e6 / count);
		fflush(stdout);
		clean();
	}
	return 0;
}
