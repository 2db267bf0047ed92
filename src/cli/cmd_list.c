#include <string.h>

#include "cli/cli.h"
#include "ui/progress.h"

/* Count what an open source lists. */
static int count(struct store *s, uint64_t *n, uint64_t *bytes, uint64_t *largest, struct err *e)
{
	struct store_msg m;
	int rc;

	*n = *bytes = *largest = 0;
	if (s->ops->list_start(s, e) < 0)
		return -1;
	while ((rc = s->ops->list_next(s, &m, e)) == 1) {
		(*n)++;
		*bytes += m.size;
		if (m.size > *largest)
			*largest = m.size;
	}
	return rc;
}

/* What the account holds. */
static int list_account(struct cli *c, struct config_end *end, struct err *e)
{
	struct store *s;
	struct box_info info;
	uint64_t n, bytes, largest;
	char all[32], one[32];
	int rc = -1;

	if (cli_ask_secret(end, e) < 0)
		return -1;
	s = job_store(end, e);
	if (!s)
		return -1;
	if (s->ops->open_box(s, "", BOX_READ | BOX_SIZES, &info, e) == 0 && count(s, &n, &bytes, &largest, e) == 0) {
		progress_bytes(bytes, all, sizeof(all));
		progress_bytes(largest, one, sizeof(one));
		report_line(c->report, "%s: INBOX: %llu messages, %s, the largest %s", end->url, (unsigned long long)n, all, one);
		rc = 0;
	}
	s->ops->close_box(s);
	store_free(s);
	return rc;
}

int cmd_list(struct cli *c, struct err *e)
{
	const struct config_job *job;
	const struct config_end *end;

	if (cli_load_if_any(c, e) < 0)
		return -1;
	job = c->loaded ? config_job(&c->config, c->argv[0]) : NULL;
	end = job ? job->left : config_account(&c->config, c->argv[0], e);
	if (!end)
		return -1;
	/* The configuration is this process's own; only the secret in it is filled in. */
	if (list_account(c, (struct config_end *)(uintptr_t)end, e) < 0)
		return -1;
	if (job)
		report_line(c->report, "    -> %s%s%s, keep = %s", job->right->name, job->folder && job->folder[0] ? ", folder " : "",
			    job->folder ? job->folder : "", job->policy.keep == KEEP_NO ? "no" : job->policy.keep == KEEP_YES ? "yes" : "for a time");
	return 0;
}
