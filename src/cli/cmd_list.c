#include <string.h>

#include "cli/info.h"
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

/* What was found at an account. */
struct found {
	uint64_t n, bytes, largest;
};

/* Look into the account. */
static int look(struct cli *c, struct config_end *end, struct found *f, struct err *e)
{
	struct store *s;
	struct box_info info;
	int rc = -1;

	if (cli_ready(c, end, e) < 0)
		return -1;
	s = job_store(end, e);
	if (!s)
		return -1;
	if (s->ops->open_box(s, "", BOX_READ | BOX_SIZES, &info, e) == 0)
		rc = count(s, &f->n, &f->bytes, &f->largest, e);
	s->ops->close_box(s);
	store_free(s);
	return rc;
}

static const char *keep_word(const struct config_job *job)
{
	return job->policy.keep == KEEP_NO ? "no" : job->policy.keep == KEEP_YES ? "yes" : "for a time";
}

static void show_text(struct cli *c, const struct config_end *end, const struct config_job *job, const struct found *f)
{
	char all[32], one[32];

	progress_bytes(f->bytes, all, sizeof(all));
	progress_bytes(f->largest, one, sizeof(one));
	report_line(c->report, "%s: INBOX: %llu messages, %s, the largest %s", end->url, (unsigned long long)f->n, all, one);
	if (job)
		report_line(c->report, "    -> %s%s%s, keep = %s", job->right->name, job->folder && job->folder[0] ? ", folder " : "",
			    job->folder ? job->folder : "", keep_word(job));
}

static void show_json(struct cli *c, const struct config_end *end, const struct config_job *job, const struct found *f)
{
	struct strbuf b = STRBUF_INIT(65536);

	cli_json_start(&b, "list", job ? job->name : "");
	cli_json_text(&b, "account", end->name);
	cli_json_text(&b, "url", end->url);
	cli_json_text(&b, "folder", "INBOX");
	cli_json_number(&b, "messages", (int64_t)f->n);
	cli_json_number(&b, "bytes", (int64_t)f->bytes);
	cli_json_number(&b, "largest", (int64_t)f->largest);
	if (job) {
		cli_json_text(&b, "to", job->right->url);
		cli_json_text(&b, "to_folder", job->folder ? job->folder : "");
	}
	cli_json_end(c, &b);
}

int cmd_list(struct cli *c, struct err *e)
{
	const struct config_job *job;
	const struct config_end *end;
	struct found f = { 0 };

	if (cli_load_if_any(c, e) < 0)
		return -1;
	job = c->loaded ? config_job(&c->config, c->argv[0]) : NULL;
	end = job ? job->left : config_account(&c->config, c->argv[0], e);
	if (!end)
		return cli_blame_words(e);
	if (job && config_two_way(job))
		return list_sync(c, job, e);
	/* The configuration is this process's own; only what this run adds is filled in. */
	if (end->kind == CONFIG_IMAP)
		return list_account(c, (struct config_end *)(uintptr_t)end, e);
	if (look(c, (struct config_end *)(uintptr_t)end, &f, e) < 0)
		return -1;
	if (c->o.json)
		show_json(c, end, job, &f);
	else
		show_text(c, end, job, &f);
	return 0;
}
