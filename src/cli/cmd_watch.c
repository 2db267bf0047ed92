#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/vec.h"
#include "cli/cli.h"
#include "job/watch.h"

/* A configuration, and the jobs of it that are watched. */
struct reading {
	struct config config;
};

struct watching {
	struct cli *c;
	bool tty;
};

static void release(void *arg, struct watch_set *set)
{
	struct reading *r = set->config;

	(void)arg;
	free(set->jobs);
	if (r) {
		config_release(&r->config);
		free(r);
	}
	*set = (struct watch_set){ 0 };
}

/* Those that are named, or all; each once. The configuration of c becomes the set's. */
static int choose(struct cli *c, struct watch_set *out, struct err *e)
{
	struct reading *r = calloc(1, sizeof(*r));
	size_t n = c->argc == 0 ? c->config.n_jobs : (size_t)c->argc;

	*out = (struct watch_set){ .jobs = calloc(n + 1, sizeof(*out->jobs)), .config = r, .at_once = c->o.jobs > 0 ? c->o.jobs : c->config.parallel,
				   .per_host = c->config.parallel_per_host };
	if (!r || !out->jobs) {
		release(NULL, out);
		return err_set(e, ERR_LOCAL, "out of memory");
	}
	for (size_t i = 0; i < n; i++) {
		const struct config_job *job = c->argc == 0 ? &c->config.jobs[i] : cli_job(c, c->argv[i], e);
		bool twice = false;

		if (!job || cli_ready(c, (struct config_end *)(uintptr_t)job->left, e) < 0 || cli_ready(c, (struct config_end *)(uintptr_t)job->right, e) < 0) {
			release(NULL, out);
			return -1;
		}
		for (size_t k = 0; k < out->n; k++)
			twice = twice || out->jobs[k].job == job;
		if (!twice)
			out->jobs[out->n++] = (struct job_params){ .job = job, .state_dir = c->state_dir };
	}
	r->config = c->config; /* what points into it points to the arena's blocks, which stay where they are */
	c->config = (struct config){ 0 };
	c->loaded = false;
	return 0;
}

static int load(struct cli *c, struct watch_set *out, struct err *e)
{
	if (cli_load(c, e) < 0)
		return -1;
	if (c->config.n_jobs == 0)
		return err_set(e, ERR_CONF, "%s defines no job: add one such as  sync work { remote = work  local = \"maildir:~/Mail/work\" }", c->config.path);
	return choose(c, out, e);
}

/* SIGHUP. It also comes when the terminal goes: then nobody watches any more. */
static int reload(void *arg, struct watch_set *out, struct err *e)
{
	struct watching *w = arg;
	int rc;

	if (w->tty && !isatty(2)) {
		clock_cancel_now(SIGHUP);
		return err_set(e, ERR_CANCEL, "the terminal is gone");
	}
	rc = load(w->c, out, e);
	if (rc < 0) {
		config_release(&w->c->config);
		w->c->loaded = w->c->told = false;
	}
	return rc;
}

int cmd_watch(struct cli *c, struct err *e)
{
	struct watching w = { .c = c, .tty = isatty(2) };
	struct watch_params p = { .sched = { .hush = cli_hushed(c), .wants = { .messages = c->o.verbose > 0 || c->o.json } }, .reload = reload, .release = release, .arg = &w };
	struct wire_sink sinks = { .events = report_sink(c->report), .log = report_log, .log_arg = c->report };
	struct watch_set set;

	p.sched.wants.log = c->o.verbose >= 2 ? LOG_WIRE : c->o.verbose == 1 ? LOG_INFO : LOG_WARN;
	if (load(c, &set, e) < 0)
		return -1;
	return watch_run(&p, &set, &sinks, e);
}
