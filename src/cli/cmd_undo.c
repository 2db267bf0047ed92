#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

/* Is a word the number of a run? */
static bool is_run(const char *word, int64_t *run)
{
	uint64_t n;

	if (!slice_u64(slice_str(word), INT64_MAX, &n) || n == 0)
		return false;
	*run = (int64_t)n;
	return true;
}

static int first(void *arg, const struct job_kept_run *r, struct err *e)
{
	(void)e;
	*(struct job_kept_run *)arg = *r;
	return 1;
}

/* Several jobs: say what to type for each of which something is kept. */
static int which(struct cli *c, struct err *e)
{
	struct strbuf b = STRBUF_INIT(ERR_TEXT_MAX);

	for (size_t i = 0; i < c->config.n_jobs; i++) {
		struct job_params p = { .job = &c->config.jobs[i], .state_dir = c->state_dir };
		struct job_kept_run r = { .run = 0 };
		struct err why = ERR_INIT;

		if (p.job->mode == CONFIG_SYNC && job_kept(&p, first, &r, &why) == 0 && r.run != 0)
			strbuf_printf(&b, "%s`mailhaul undo %s` for %llu message%s of run %lld", b.len > 0 ? ", " : "", p.job->name,
				      (unsigned long long)(r.messages + r.trashed), r.messages + r.trashed == 1 ? "" : "s", (long long)r.run);
	}
	err_set(e, ERR_USAGE, b.len > 0 ? "of which job? %s" : "of which job? Of none anything is kept that was deleted%s", strbuf_str(&b));
	strbuf_release(&b);
	return -1;
}

/* The only sync job; NULL with an error. */
static const struct config_job *only_job(struct cli *c, struct err *e)
{
	const struct config_job *job = NULL;

	for (size_t i = 0; i < c->config.n_jobs; i++) {
		if (c->config.jobs[i].mode != CONFIG_SYNC)
			continue;
		if (job) {
			which(c, e);
			return NULL;
		}
		job = &c->config.jobs[i];
	}
	if (!job)
		err_set(e, ERR_USAGE, "%s has no sync job: of what others delete nothing is kept", c->config.path);
	return job;
}

/* [JOB] [RUN] */
static const struct config_job *configured(struct cli *c, struct err *e)
{
	const struct config_job *job;
	bool run = c->argc > 0 && is_run(c->argv[c->argc - 1], &c->undo_run);

	if (cli_load(c, e) < 0)
		return NULL;
	if (c->argc == 1 && run && config_job(&c->config, c->argv[0])) {
		c->undo_run = 0; /* a job that is called so */
		run = false;
	}
	if (c->argc - run == 0)
		return only_job(c, e);
	job = cli_job(c, c->argv[0], e);
	if (job && job->mode != CONFIG_SYNC) {
		err_set(e, ERR_USAGE, "'%s' is no sync job: nothing is kept of what it deletes", job->name);
		return NULL;
	}
	return job;
}

int cmd_undo(struct cli *c, struct err *e)
{
	const struct config_job *jobs[1];
	struct config_job adhoc;
	int64_t run;

	c->undo = true;
	if (c->argc == 3 && !is_run(c->argv[2], &c->undo_run))
		return err_set(e, ERR_USAGE, "'%s' is not the number of a run; `mailhaul status` shows them", c->argv[2]);
	if (c->argc == 3 || (c->argc == 2 && !is_run(c->argv[1], &run))) {
		/* the line that was given to `mailhaul sync` */
		if (cli_load_if_any(c, e) < 0)
			return -1;
		if (c->loaded && config_job(&c->config, c->argv[0]))
			return err_set(e, ERR_USAGE, "'%s' is not the number of a run; `mailhaul status %s` shows them", c->argv[1], c->argv[0]);
		if (config_adhoc(&c->config, CONFIG_SYNC, c->argv[0], c->argv[1], NULL, &adhoc, e) < 0)
			return cli_blame_words(e);
		if (cli_find_state(c, &adhoc, e) < 0)
			return -1;
		jobs[0] = &adhoc;
	} else {
		jobs[0] = configured(c, e);
		if (!jobs[0])
			return -1;
	}
	return cli_run_jobs(c, jobs, 1, true, e);
}
