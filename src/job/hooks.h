/*
 * on-new and on-change: the person's commands that run after a run in which mail came, or anything changed. What a run did is gathered from its events, folder by folder, and goes to the
 * command's stdin as JSON Lines; nothing that a server says is ever part of a command line or of an environment.
 *
 * On stdin, each with "event", "job" and "time": a "folder" line for each folder that was made, removed or renamed, as --json shows it; a "changed" line for each folder in which messages
 * were ("folder" and "local", its name on both sides; "pulled", "pushed", "deleted", "flagged", "moved", "restored"); where there is more of these than is kept, "omitted" ("lines"); and "end", as --json
 * shows it. Environment: MAILHAUL_JOB, and as numbers MAILHAUL_NEW (messages pulled) and MAILHAUL_CHANGED (of everything).
 */
#ifndef JOB_HOOKS_H
#define JOB_HOOKS_H

#include "base/arena.h"
#include "base/vec.h"
#include "config/load.h"
#include "sync/event.h"

/* What was done in a folder. */
struct hooks_folder {
	const char *left, *right;
	uint64_t pulled, pushed, deleted, flagged, moved, restored;
};

struct hooks {
	const struct config_job *job;
	const struct event_sink *to;
	struct arena arena;
	VEC(struct hooks_folder) folders;
	size_t last;         /* the folder of the last event: most often that of the next, too */
	struct strbuf lines; /* of trees */
	uint64_t omitted;    /* lines */
};

/* Events that are put there reach *to and are counted; of a job without such commands they are not. h lives as long as that. Sets MAILHAUL_JOB. */
struct event_sink hooks_listen(struct hooks *h, const struct config_job *job, const struct event_sink *to);

/* Run what is to run, once the state is closed. end: the job's END. What goes wrong is told as a warning. */
void hooks_run(struct hooks *h, const struct event *end);

void hooks_release(struct hooks *h);

#endif
