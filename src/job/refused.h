/*
 * A login that was refused is not tried again on a schedule until something about it has changed, or a day has passed: servers lock accounts. What was tried is remembered as a salted
 * digest of the accounts' settings and secrets; of a secret nothing else is ever written.
 */
#ifndef JOB_REFUSED_H
#define JOB_REFUSED_H

#include "job/job.h"

/* It was refused now: remember with what. A secret that can't be had any more is none. */
void refused_note(const struct job_params *p);
/* Was it refused within a day, with what would be tried now? Then -1 with ERR_AUTH, and retry_after. Runs the password command, to compare; dials nothing. */
int refused_check(const struct job_params *p, struct err *e);

#endif
