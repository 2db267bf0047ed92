#include <stdlib.h>
#include <unistd.h>

#include "cli/cli.h"

/* Has it a state? -1: no memory. */
static int has_state(const struct cli *c, const struct config_job *job, struct err *e)
{
	char *path = job_state_path(c->state_dir, job->name, e);
	int rc = !path ? -1 : access(path, F_OK) == 0;

	free(path);
	return rc;
}

/* The line that was given to `sync`, `migrate` or `fetch`: the one that has left a state, else the first that it can have been. */
static int adhoc(struct cli *c, struct config_job *out, struct err *e)
{
	static const enum config_mode modes[] = { CONFIG_SYNC, CONFIG_MIGRATE, CONFIG_FETCH };
	struct err first = ERR_INIT;
	bool any = false;

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		struct config_job job;
		struct err why = ERR_INIT;
		int has;

		if (config_adhoc(&c->config, modes[i], c->argv[0], c->argv[1], NULL, &job, &why) < 0) {
			if (first.kind == ERR_NONE)
				first = why;
			continue;
		}
		if (cli_find_state(c, &job, e) < 0 || (has = has_state(c, &job, e)) < 0)
			return -1;
		if (!any || has)
			*out = job;
		any = true;
		if (has)
			return 0;
	}
	if (any)
		return 0;
	*e = first;
	return cli_blame_words(e);
}

int cmd_verify(struct cli *c, struct err *e)
{
	const struct config_job *jobs[1];
	struct config_job job;

	c->verify = true;
	if (c->argc == 2) {
		if (cli_load_if_any(c, e) < 0 || adhoc(c, &job, e) < 0)
			return -1;
		jobs[0] = &job;
	} else {
		if (cli_load(c, e) < 0)
			return -1;
		jobs[0] = cli_job(c, c->argv[0], e);
		if (!jobs[0])
			return -1;
	}
	return cli_run_jobs(c, jobs, 1, true, e);
}
