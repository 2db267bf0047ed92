/*
 * What durability costs on this disk: writes small files into one directory in several ways.
 *
 *	fsynccost DIR [COUNT [BYTES]]
 *
 * Every way but "none" ends with each file durable, renamed from tmp/ to new/, and new/ durable:
 *
 *	none       no sync at all
 *	each       fsync each file, rename, fsync the directory for each
 *	each/group fsync each file at once, rename and fsync the directory once a group
 *	group      start write-back when a file is written (sync_file_range), fsync the files and
 *	           rename at the group's end, one fsync of the directory
 *	late       as group, without the early write-back
 *	syncfs     one syncfs for the group, rename, one fsync of the directory
 *	helpers    as group, but eight processes share the fsyncs of a group
 *
 * The second figure of "group" ways is the size of the group.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GROUP_MAX 1024
#define HELPERS_MAX 8

enum way { NONE, EACH, EACH_GROUP, GROUPED, LATE, SYNCFS, HELPERS };

struct run {
	const char *name;
	enum way way;
	unsigned group;
};

static const struct run runs[] = {
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
	{ "helpers", HELPERS, 64 },
	{ "helpers", HELPERS, 256 },
	{ "helpers", HELPERS, 1024 },
	{ "none", NONE, 1 },
};

#define RUNS (sizeof(runs) / sizeof(*runs))

static unsigned count = 10000;
static size_t bytes = 2800;
static char *data;
static int top = -1, tmp = -1, new = -1;
static int held[GROUP_MAX];

/* A process that brings files to the disk: it reads their numbers and answers each with a byte. */
static struct helper {
	pid_t pid;
	int sock;
} helpers[HELPERS_MAX];

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

/* What a helper does until its socket is closed. */
_Noreturn static void helper_main(int sock)
{
	unsigned n;

	while (read(sock, &n, sizeof(n)) == (ssize_t)sizeof(n)) {
		int fd = openat(tmp, name_of(n), O_RDONLY | O_CLOEXEC);
		char ok = fd >= 0 && fsync(fd) == 0;

		if (fd >= 0)
			close(fd);
		if (write(sock, &ok, 1) != 1)
			break;
	}
	_exit(0);
}

/* Starts the helpers, which see the directory that is tmp now. */
static void helpers_start(void)
{
	for (size_t i = 0; i < HELPERS_MAX; i++) {
		int pair[2];

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
			fail("socketpair");
		helpers[i].pid = fork();
		if (helpers[i].pid < 0)
			fail("fork");
		if (helpers[i].pid == 0) {
			for (size_t k = 0; k < i; k++)
				close(helpers[k].sock);
			close(pair[0]);
			helper_main(pair[1]);
		}
		close(pair[1]);
		helpers[i].sock = pair[0];
	}
}

/* Lets the helpers end. */
static void helpers_stop(void)
{
	for (size_t i = 0; i < HELPERS_MAX; i++) {
		close(helpers[i].sock);
		waitpid(helpers[i].pid, NULL, 0);
	}
}

/* Shares a group out among the helpers and waits for all. */
static void helpers_sync(unsigned first, unsigned len)
{
	for (unsigned i = 0; i < len; i++) {
		unsigned n = first + i;

		if (write(helpers[i % HELPERS_MAX].sock, &n, sizeof(n)) != (ssize_t)sizeof(n))
			fail("helper");
	}
	for (unsigned i = 0; i < len; i++) {
		char ok = 0;

		if (read(helpers[i % HELPERS_MAX].sock, &ok, 1) != 1 || !ok)
			fail("helper");
	}
}

/* Ends a group of files: first .. first + len - 1. */
static void group_end(const struct run *r, unsigned first, unsigned len)
{
	if (r->way == SYNCFS && syncfs(top) < 0)
		fail("syncfs");
	if (r->way == HELPERS)
		helpers_sync(first, len);
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
			if ((r->way == GROUPED || r->way == HELPERS) &&
			    sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE) < 0)
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

/* Removes what a way has left. ext4 passes over inodes freed in the last minutes one by one when it
 * looks for a free one: so this waits until all ways have been measured. */
static void clean(const char *where)
{
	int dir = openat(top, where, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	new = sub_open(dir, "new");
	for (unsigned n = 0; n < count; n++)
		unlinkat(new, name_of(n), 0);
	close(new);
	unlinkat(dir, "tmp", AT_REMOVEDIR);
	unlinkat(dir, "new", AT_REMOVEDIR);
	close(dir);
	unlinkat(top, where, AT_REMOVEDIR);
}

int main(int argc, char **argv)
{
	static char where[RUNS][16];

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
	for (size_t i = 0; i < RUNS; i++) {
		double t;
		int dir;

		snprintf(where[i], sizeof(where[i]), "way%zu", i);
		dir = sub_open(top, where[i]);
		tmp = sub_open(dir, "tmp");
		new = sub_open(dir, "new");
		syncfs(top);
		if (runs[i].way == HELPERS)
			helpers_start();
		t = now();
		run_way(&runs[i]);
		t = now() - t;
		if (runs[i].way == HELPERS)
			helpers_stop();
		printf("%-12s %6u %9.3f %11.1f\n", runs[i].name, runs[i].group, t, t * 1e6 / count);
		fflush(stdout);
		close(tmp);
		close(new);
		close(dir);
	}
	for (size_t i = 0; i < RUNS; i++)
		clean(where[i]);
	return 0;
}
