#include "job/limits.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#define MEMORY_LEAST (UINT64_C(512) << 20)
#define MEMORY_MOST (UINT64_C(4) << 30)
#define FILES_MOST 4096

/* Bytes of data that are mapped already; a sanitizer's shadow is as large as the address space. */
static uint64_t mapped(void)
{
	unsigned long long data = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (f && fscanf(f, "%*u %*u %*u %*u %*u %llu", &data) != 1)
		data = 0;
	if (f)
		fclose(f);
	return (uint64_t)data * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Lower both, the soft one and that up to which it can be raised; never raise. */
static struct rlimit *lowered(struct rlimit *rl, rlim_t most)
{
	if (rl->rlim_max > most)
		rl->rlim_max = most;
	if (rl->rlim_cur > most)
		rl->rlim_cur = most;
	return rl;
}

void limits_set(void)
{
	uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) / 2;
	struct rlimit rl;

	memory = memory < MEMORY_LEAST ? MEMORY_LEAST : memory > MEMORY_MOST ? MEMORY_MOST : memory;
	/* not RLIMIT_AS: what is mapped from files, and only reserved, costs nothing */
	if (mapped() < memory && getrlimit(RLIMIT_DATA, &rl) == 0)
		setrlimit(RLIMIT_DATA, lowered(&rl, (rlim_t)memory));
	if (getrlimit(RLIMIT_NOFILE, &rl) == 0)
		setrlimit(RLIMIT_NOFILE, lowered(&rl, FILES_MOST));
}
