#include "job/limits.h"

#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "base/proc.h"

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

void limits_set(void)
{
	uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) / 2;

	memory = memory < MEMORY_LEAST ? MEMORY_LEAST : memory > MEMORY_MOST ? MEMORY_MOST : memory;
	/* data, not address space: what is mapped from files, and only reserved, costs nothing */
	proc_limits(mapped() < memory ? memory : 0, FILES_MOST);
}
