#include <stdlib.h>

#include "cli/cli.h"
#include "ui/progress.h"

/* Reach, certificate, login, capabilities, listing of one account. */
static int try_account(struct cli *c, struct config_end *end, struct err *e)
{
	struct store *s = NULL;
	struct box_info info;
	char bytes[32];
	int rc = -1;

	if (cli_ask_secret(end, e) < 0)
		return -1;
	s = job_store(end, e);
	if (!s)
		return -1;
	if (s->ops->open_box(s, "", BOX_READ, &info, e) == 0) {
		progress_bytes(info.bytes, bytes, sizeof(bytes));
		report_line(c->report, "%s: %s: login works, %llu messages, %s, %llu round trips%s", end->name, end->url, (unsigned long long)info.messages, bytes,
			    (unsigned long long)s->stats.turns, info.keyless ? "; the server has no UIDL" : "");
		s->ops->close_box(s);
		rc = 0;
	}
	store_free(s);
	return rc;
}

int cmd_check(struct cli *c, struct err *e)
{
	int code = 0;

	if (cli_load(c, e) < 0)
		return -1;
	report_line(c->report, "%s: %zu accounts and stores, %zu jobs: no problem found", c->config.path, c->config.n_ends, c->config.n_jobs);
	for (size_t i = 0; c->o.connect && i < c->config.n_ends; i++) {
		struct err why = ERR_INIT;

		if (!c->config.ends[i].is_account)
			continue;
		if (try_account(c, &c->config.ends[i], &why) == 0)
			continue;
		if (why.kind == ERR_CANCEL) {
			*e = why;
			return -1;
		}
		err_in(&why, "%s", c->config.ends[i].name);
		report_error(c->report, &why);
		code = code == 0 || code == err_exit_code(why.kind) ? err_exit_code(why.kind) : 1;
	}
	return code;
}
