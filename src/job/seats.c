#include "job/seats.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "job/job.h"

#define WHAT_MAX 4096

static int add(struct seats *c, struct strbuf *b, unsigned limit)
{
	char *what = b->failed ? NULL : strbuf_detach(b);

	strbuf_release(b);
	if (!what)
		return -1;
	c->a[c->n++] = (struct seat){ .what = what, .limit = limit };
	return 0;
}

/* An account and its server. What is on this machine is held by locks of its own. */
static int add_end(struct seats *c, const struct config_end *end, unsigned per_host)
{
	const char *host = config_dial((struct config_end *)(uintptr_t)end) ? config_dial((struct config_end *)(uintptr_t)end)->host : NULL;
	struct strbuf b = STRBUF_INIT(WHAT_MAX);

	if (job_source(end, &b) < 0 || add(c, &b, end->connections > 0 ? end->connections : 1) < 0)
		return -1;
	if (!host)
		return 0;
	b = (struct strbuf)STRBUF_INIT(WHAT_MAX);
	for (; *host; host++)
		strbuf_putc(&b, (char)tolower((unsigned char)*host));
	return add(c, &b, per_host);
}

int seats_of(struct seats *out, const struct config_job *job, unsigned per_host, struct err *e)
{
	const struct config_end *ends[] = { job->left, job->right };

	*out = (struct seats){ .n = 0 };
	for (size_t i = 0; i < 2; i++) {
		if (!ends[i]->is_account || add_end(out, ends[i], per_host) == 0)
			continue;
		seats_release(out);
		return err_set(e, ERR_LOCAL, "job '%s': out of memory, or its user and host are too long", job->name);
	}
	return 0;
}

static const struct config_end *end_of(const struct config_job *job, size_t side)
{
	return side == 0 ? job->left : job->right;
}

/* How many ends use the account of this one. */
static unsigned uses(char *const *whats, size_t n, const char *what)
{
	unsigned count = 0;

	for (size_t i = 0; i < n; i++)
		count += whats[i] && strcmp(whats[i], what) == 0;
	return count;
}

int seats_share(struct job_params *jobs, size_t n, struct err *e)
{
	char **whats = calloc(2 * n + 1, sizeof(*whats));
	int rc = whats ? 0 : -1;

	for (size_t i = 0; rc == 0 && i < 2 * n; i++) {
		const struct config_end *end = end_of(jobs[i / 2].job, i % 2);
		struct strbuf b = STRBUF_INIT(WHAT_MAX);

		if (!end->is_account || end->connections < 2)
			continue;
		if (job_source(end, &b) == 0)
			whats[i] = strbuf_detach(&b);
		strbuf_release(&b);
		rc = whats[i] ? 0 : -1;
	}
	for (size_t i = 0; rc == 0 && i < 2 * n; i++) {
		const unsigned share = whats[i] ? end_of(jobs[i / 2].job, i % 2)->connections / uses(whats, 2 * n, whats[i]) : 1;

		jobs[i / 2].links[i % 2] = share > 0 ? share : 1;
	}
	for (size_t i = 0; whats && i < 2 * n; i++)
		free(whats[i]);
	free(whats);
	return rc < 0 ? err_set(e, ERR_LOCAL, "out of memory, or an account's user and host are too long") : 0;
}

void seats_release(struct seats *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->a[i].what);
	c->n = 0;
}

unsigned seats_count(const struct seats *c, const char *what)
{
	unsigned n = 0;

	for (size_t i = 0; i < c->n; i++)
		n += strcmp(c->a[i].what, what) == 0;
	return n;
}
