/* One side of a job in the process that works with it: its store, which knows of its server what earlier runs learnt. */
#ifndef JOB_SIDE_H
#define JOB_SIDE_H

#include "job/job.h"
#include "job/remember.h"

struct job_side {
	struct config_end end;    /* the job's, with what the job says of it */
	struct remember remember;
	struct store *store;
};

/* Nothing is connected or opened yet. It is not to be moved from here on, and closed in any case. */
int job_side_open(const struct job_params *p, const struct config_end *end, struct job_side *s, struct err *e);
/* What was learnt is kept for the next run, unless nothing is to be changed (dry_run). */
void job_side_close(const struct job_params *p, struct job_side *s);

#endif
