/* What a job occupies while it runs, and how many may occupy it at once: its accounts, by user and host, and the hosts of both its ends. */
#ifndef JOB_SEATS_H
#define JOB_SEATS_H

#include <stdbool.h>
#include <stddef.h>

#include "config/load.h"

#define SEATS_MAX 4

struct seats {
	struct seat {
		char *what;
		unsigned limit;
	} a[SEATS_MAX];
	size_t n;
};

/* per_host: how many jobs may be with one server. */
int seats_of(struct seats *out, const struct config_job *job, unsigned per_host, struct err *e);
void seats_release(struct seats *c);

/*
 * Of each job of a set, how many connections it may have to its accounts (job_params.links): what an account's `connections` allows is divided among all ends of the set that use
 * it, as they may do so at once. One that none are left for has one: then not all run at once.
 */
struct job_params;
int seats_share(struct job_params *jobs, size_t n, struct err *e);

/* How many of them it has taken. */
unsigned seats_count(const struct seats *c, const char *what);

#endif
