#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "cli/cli.h"

/* Is the job due by its `every`? 1, 0, -1. */
static int is_due(struct cli *c, const struct config_job *job, struct err *e)
{
	struct job_params p = { .job = job, .state_dir = c->state_dir };
	int due = job_is_due(&p, e);

	return due < 0 ? 1 : due; /* let the run itself say what is wrong */
}

/* The jobs that the words name, or all; each once. */
static int choose(struct cli *c, const struct config_job ***out, size_t *n, struct err *e)
{
	VEC(const struct config_job *) v = { 0 };
	size_t all = c->argc == 0 ? c->config.n_jobs : (size_t)c->argc;

	for (size_t i = 0; i < all; i++) {
		const struct config_job *job = c->argc == 0 ? &c->config.jobs[i] : cli_job(c, c->argv[i], e);
		bool twice = false;

		if (!job)
			goto fail;
		if (c->o.due) {
			int due = is_due(c, job, e);

			if (due < 0)
				goto fail;
			if (due == 0)
				continue;
		}
		for (size_t k = 0; k < v.n; k++)
			twice = twice || v.a[k] == job;
		if (!twice && vec_push(&v, job) < 0) {
			err_set(e, ERR_LOCAL, "out of memory");
			goto fail;
		}
	}
	*out = v.a;
	*n = v.n;
	return 0;
fail:
	vec_release(&v);
	return -1;
}

/* What is said of one run of a sync, or to a migration of what was deleted at its target, must be said of that job: a guard that stopped one is no reason to open the others. */
static int check_named(struct cli *c, const struct config_job *const *jobs, size_t n, struct err *e)
{
	const char *option = c->o.restore ? "--restore" : "--allow-deletions";

	if (!c->o.restore && !c->o.allow_deletions)
		return 0;
	if (c->argc == 0)
		return err_set(e, ERR_USAGE, "%s is for jobs that are named: mailhaul run %s JOB", option, option);
	for (size_t i = 0; i < n; i++)
		if (jobs[i]->mode != CONFIG_SYNC && !(c->o.restore && config_two_way(jobs[i])))
			return err_set(e, ERR_USAGE, "%s is for sync jobs; '%s' is none", option, jobs[i]->name);
	return 0;
}

int cmd_run(struct cli *c, struct err *e)
{
	const struct config_job **jobs = NULL;
	size_t n = 0;
	int rc;

	if (cli_load(c, e) < 0)
		return -1;
	if (c->config.n_jobs == 0)
		return err_set(e, ERR_CONF, "%s defines no job: add one such as  fetch isp { from = isp  to = \"maildir:~/Mail/in\" }", c->config.path);
	if (choose(c, &jobs, &n, e) < 0)
		return -1;
	rc = check_named(c, jobs, n, e);
	if (rc == 0 && n > 0)
		rc = cli_run_jobs(c, jobs, n, c->argc > 0, e);
	free(jobs);
	return rc;
}
