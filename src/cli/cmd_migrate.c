#include "cli/cli.h"

int cmd_migrate(struct cli *c, struct err *e)
{
	struct config_adhoc_opts opts = { .max_size = c->o.max_size, .folder = c->o.folder };
	struct config_job job;
	const struct config_job *jobs[1] = { &job };

	if (cli_load_if_any(c, e) < 0)
		return -1;
	if (config_adhoc(&c->config, CONFIG_MIGRATE, c->argv[0], c->argv[1], &opts, &job, e) < 0)
		return cli_blame_words(e);
	if (cli_find_state(c, &job, e) < 0)
		return -1;
	return cli_run_jobs(c, jobs, 1, true, e);
}
