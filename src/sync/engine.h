/*
 * One job, run once: two stores, one base, one planner. The engine observes both sides against the base (src/state), has the pure planner (plan.h) decide
 * and the executor (exec.h) act.
 */
#ifndef SYNC_ENGINE_H
#define SYNC_ENGINE_H

#include "state/db.h"
#include "store/store.h"
#include "sync/event.h"
#include "sync/plan.h"

#define ENGINE_FAILURE_PAUSE 3600 /* seconds before a refused message is tried again; doubles up to a week */

struct engine_params {
	const char *job;          /* name, for events */
	struct plan_policy policy;
	const char *folder;       /* the target's folder, "" for its own box */
	uint32_t flags;           /* fetch: flags the delivered messages get */
	unsigned purge_after;     /* make removals final after so many; 0: once at the end */
	bool dry_run;
	int stop_at;              /* tests: leave the process before step N (MAILHAUL_STOP_AT); 0 never */
};

/*
 * Run it. db is open for this job and locked. Events: FOLDER, MESSAGE, PROGRESS, WARNING, ERROR (items); the caller emits START and END.
 * *totals is filled in any case. 0: all done, totals->failed may be above 0. -1: *e says why the job stopped; what was done stays done and the next run goes on.
 */
int engine_fetch(const struct engine_params *p, struct store *src, struct store *dst, struct db *db, const struct event_sink *sink, struct event_totals *totals,
		 struct err *e);

#endif
