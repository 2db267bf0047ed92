#include "job/due.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "state/runs.h"

#define EARLY 30            /* seconds, at most, and at most a tenth of `every` */
#define SPREAD_MS 30000
#define FIRST_PAUSE_MAX 900 /* seconds; a job that is due once a day need not wait a day after its first failure */
#define FIRST_PAUSE 300     /* without `every` */

static bool waits(const struct attempts *a)
{
	return a->since != 0 && a->next != 0 && a->kind != ERR_AUTH; /* whether a login is refused for ever is found out by who knows the secret */
}

int64_t due_at(const struct attempts *a, int64_t every, int64_t now)
{
	int64_t next = runs_future(a->next, now, PAUSE_MAX);

	if (a->started <= 0 || a->started > now) /* it never ran, or the clock was ahead then */
		return 1;
	return waits(a) && next != 0 ? next : a->started + every;
}

bool due_now(const struct attempts *a, int64_t every, int64_t now)
{
	int64_t early = every / 10 < EARLY ? every / 10 : EARLY;

	return due_at(a, every, now) <= now + (waits(a) ? 0 : early);
}

/* What tells this machine from others. */
static uint64_t machine(void)
{
	char id[256] = "";
	int fd = open("/etc/machine-id", O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		ssize_t n = fs_read(fd, id, sizeof(id) - 1, "machine-id", NULL);

		id[n > 0 ? n : 0] = '\0';
		close(fd);
	}
	if (id[0] == '\0' && gethostname(id, sizeof(id) - 1) < 0)
		id[0] = '\0';
	return slice_hash(slice_trim(slice_str(id)));
}

/* A number below n that is always the same for this machine, job and turn; FNV's low bits alone are no good for neighbours. */
static uint64_t share(const char *job, int64_t turn, uint64_t n)
{
	char text[512];
	uint64_t h;

	snprintf(text, sizeof(text), "%llx %lld %s", (unsigned long long)machine(), (long long)turn, job);
	h = slice_hash(slice_str(text));
	h ^= h >> 33;
	h *= UINT64_C(0xff51afd7ed558ccd);
	h ^= h >> 33;
	return n > 0 ? h % n : 0;
}

msec_t due_spread(const char *job, int64_t every)
{
	int64_t most = every * 100 < SPREAD_MS ? every * 100 : SPREAD_MS;

	return (msec_t)share(job, 0, (uint64_t)most);
}

/* Doubles with each failure in a row, up to `most`; a tenth more at random, so that what failed together is not tried together. */
static int64_t pause_after(const char *job, int64_t every, int64_t tries, int64_t most)
{
	int64_t pause = every <= 0 ? FIRST_PAUSE : every < FIRST_PAUSE_MAX ? every : FIRST_PAUSE_MAX;

	for (int64_t i = 1; i < tries && pause < most; i++)
		pause *= 2;
	if (pause > most)
		pause = most;
	return pause + (int64_t)share(job, tries, (uint64_t)(pause / 10 + 1));
}

void due_failed(struct attempts *a, const char *job, int64_t every, int code, const struct err *why, int64_t now)
{
	bool again = a->since > 0 && a->since <= now;

	a->since = again ? a->since : now;
	a->tries = again ? a->tries + 1 : 1;
	a->last = now;
	a->code = code;
	a->kind = why->kind;
	snprintf(a->text, sizeof(a->text), "%s", why->text);
	a->next = 0;
	if (code == 1)
		return; /* single messages have pauses of their own */
	/* without a network no name is found; trying costs no server anything, and the network may be back at any moment */
	a->next = now + (why->kind == ERR_AUTH ? DUE_REFUSED : pause_after(job, every, a->tries, why->kind == ERR_NOHOST ? FIRST_PAUSE_MAX : DUE_PAUSE_MAX));
	if (why->retry_after > 0 && a->next < now + why->retry_after)
		a->next = now + why->retry_after;
}

int64_t due_worked(struct attempts *a)
{
	int64_t since = a->since;

	*a = (struct attempts){ .started = a->started };
	return since;
}
