/*
 * A job's process is confined before it talks to anybody (base/sandbox.h): it can write beneath the job's local stores, the state directory and where temporary files go, and read what the
 * system's libraries and the accounts need (authorities, certificates, files of passwords); the job's commands (passwords, tokens, tunnels, on-new) are run by a broker (base/broker.h).
 */
#ifndef JOB_CONFINE_H
#define JOB_CONFINE_H

#include "base/arena.h"
#include "base/sandbox.h"
#include "base/vec.h"
#include "job/job.h"

struct confine {
	struct arena arena;
	VEC(struct sandbox_path) paths;
	VEC(const char *) commands;
	size_t looked;       /* entries of directories, for links */
	bool files;          /* files are confined, too: the kernel has Landlock */
	bool failed;         /* no memory */
};

/* For good, in this process and what it forks; unless the job has sandbox = no: then nothing is done. Before anything of the job is opened. */
int confine_enter(struct confine *c, const struct job_params *p, struct err *e);

/* At the job's end: the broker is gone then. *c zeroed, or entered. */
void confine_leave(struct confine *c);

#endif
