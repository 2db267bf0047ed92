/*
 * What a run has to tell, between its worker and who shows it. Notes how it ended (state/attempts.h), and keeps back what was told before: a failure that lasts is told when it begins, once a day
 * while it lasts, and when it is over.
 */
#ifndef JOB_NEWS_H
#define JOB_NEWS_H

#include "job/job.h"
#include "job/wire.h"
#include "state/attempts.h"

struct news {
	const struct job_params *p; /* of the run */
	const struct wire_sink *to;
	char *path;                 /* of the base; NULL: nothing is noted of this run */
	struct attempts a;
	int64_t before;             /* when the run before this one began */
	bool hush;                  /* keep back what was told */
	bool excluded;              /* another run has the job: nothing was tried */
	bool untried;               /* it was too early */
};

/* A run is to begin, at once or later; it counts as begun from now on, unless a signal ends it. p and to live as long as *n. A dry run, a verify and an undo leave no trace. Where nothing can be noted, everything is told. */
void news_begin(struct news *n, const struct job_params *p, const struct wire_sink *to, bool hush);
/* Its events go here. */
void news_event(void *arg, const struct event *ev);
/* It is over. Returns its exit code: 0 of a scheduled run that tried nothing, as it was too early or another one goes on. */
int news_end(struct news *n, int exit_code, const struct err *why);

#endif
