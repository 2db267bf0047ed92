/*
 * A configuration file, as hostile as can be. Beside not crashing: what the outline lets through libconfuse takes without a word (ERR_BUG otherwise),
 * a refusal says why, and what is loaded can be walked. The first byte chooses between a file and the arguments of an ad hoc job.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/load.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* Stop here: a property does not hold. */
static void must(bool ok, const char *what, const char *text)
{
	if (ok)
		return;
	fprintf(stderr, "fuzz_config: %s: %s\n", what, text);
	abort();
}

/* A loaded configuration keeps its promises. */
static void walk(const struct config *c)
{
	size_t sum = 0;

	for (size_t i = 0; i < c->n_ends; i++) {
		const struct config_end *e = &c->ends[i];

		sum += strlen(e->name) + strlen(e->url) + strlen(e->file);
		if (e->is_account) {
			const struct dial_params *dial = e->kind == CONFIG_IMAP ? &e->imap.imap.dial : &e->pop3.pop3.dial;
			const char *user = e->kind == CONFIG_IMAP ? e->imap.imap.user : e->pop3.pop3.user;

			must(dial->host && dial->port && user && user[0], "an account is incomplete", e->name);
			must(e->kind == CONFIG_IMAP ? e->imap.imap.secure : e->pop3.pop3.secure, "a password could be shown to the network", e->name);
			must(dial->timeout >= 1000, "a wait without end", e->name);
		} else {
			const char *path = e->kind == CONFIG_MAILDIR ? e->maildir.path : e->mbox.path;

			must(path && path[0] == '/', "a path is not absolute", e->name);
		}
	}
	for (size_t i = 0; i < c->n_jobs; i++) {
		const struct config_job *j = &c->jobs[i];

		must(j->left && j->right, "a job is incomplete", j->name);
		must(j->right->kind != CONFIG_POP3 && (config_two_way(j) || (j->left->kind == CONFIG_POP3 && !j->right->is_account)), "a job that nothing can do", j->name);
		must(j->mode != CONFIG_SYNC || j->left->kind != CONFIG_POP3, "a maildrop is no side of a sync", j->name);
		must(config_job(c, j->name) == j, "two jobs have one name", j->name);
		sum += strlen(j->folder);
		for (size_t k = 0; k < j->sync.folders.n_rules; k++)
			sum += strlen(j->sync.folders.rules[k].name);
	}
	must(sum < SIZE_MAX, "", "");
}

/* Load it as a file. */
static void as_file(struct slice text)
{
	struct strbuf problems = STRBUF_INIT(CONFIG_PROBLEMS_MAX);
	struct config c;
	struct err e = ERR_INIT;

	if (config_load_text("fuzz", text, &c, &problems, &e) == 0) {
		must(problems.len == 0, "problems of a good file", strbuf_str(&problems));
		walk(&c);
	} else {
		must(problems.len > 0, "a refusal without a reason", e.text);
		must(e.kind != ERR_BUG && e.kind != ERR_NONE, "a broken invariant", e.text);
	}
	config_release(&c);
	strbuf_release(&problems);
}

/* Take the first two lines as A and B. */
static void as_arguments(struct slice text)
{
	const char *nl = text.n > 0 ? memchr(text.p, '\n', text.n) : NULL;
	char *a = slice_dup(slice_of(text.p, nl ? (size_t)(nl - text.p) : text.n));
	char *b = nl ? slice_dup(slice_of(nl + 1, text.n - (size_t)(nl + 1 - text.p))) : strdup("mbox:/x");
	struct config c = { 0 };
	struct config_job job;
	struct err e = ERR_INIT;

	if (a && b) {
		if (config_adhoc(&c, CONFIG_FETCH, a, b, NULL, &job, &e) == 0)
			must(job.name && job.left->pop3.pop3.dial.host && job.right->url, "an ad hoc job is incomplete", a);
		else
			must(e.kind != ERR_NONE && e.kind != ERR_BUG, "a refusal without a reason", e.text);
		err_clear(&e);
		if (config_adhoc(&c, CONFIG_SYNC, a, b, NULL, &job, &e) == 0)
			must(job.name && job.left->url && job.right->kind == CONFIG_MAILDIR, "an ad hoc job is incomplete", a);
		else
			must(e.kind != ERR_NONE && e.kind != ERR_BUG, "a refusal without a reason", e.text);
	}
	config_release(&c);
	free(a);
	free(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	if (n == 0)
		return 0;
	setenv("HOME", "/nonexistent", 1);
	if (p[0] == '@')
		as_arguments(slice_of(p + 1, n - 1));
	else
		as_file(slice_of(p, n));
	return 0;
}
