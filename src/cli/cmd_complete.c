/*
 * What could stand next on a command line, for the shells: `mailhaul complete -- WORD...` gets the words behind "mailhaul" up to the one at the cursor, which may be empty, and prints a
 * candidate for that on each line, perhaps with a tab and what it means. ":files" and ":dirs" say that paths fit, behind any "=" or ":" of the word. All comes from the tables of commands and
 * options, and from the configuration as the program reads it; of one that is wrong, nothing does.
 */
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "cli/cli.h"

/* The line so far. */
struct typed {
	const struct cmd *cmd; /* NULL: none yet */
	const char *config;    /* as it was typed; NULL: none */
	const char *value_of;  /* the option whose value is at the cursor; NULL: it is a word or an option */
	int words;             /* behind the command, before the cursor */
	const char *at;        /* what of the word at the cursor is to be completed */
	const char *head;      /* what stands before that in it */
	int head_len;
};

static void put(struct cli *c, const struct typed *t, const char *what, const char *help)
{
	if (strncmp(what, t->at, strlen(t->at)) == 0)
		report_line(c->report, help ? "%.*s%s\t%s" : "%.*s%s", t->head_len, t->head, what, help ? help : "");
}

/* Does a word end with an option that takes the next as its value? *value: the rest of the word is the value. */
static const char *option_of(const char *word, const char **value)
{
	const char *eq, *name = NULL;

	*value = NULL;
	if (strncmp(word, "--", 2) == 0) {
		eq = strchr(word, '=');
		name = options_valued(word + 2, eq ? (size_t)(eq - word - 2) : strlen(word + 2));
		if (name && eq)
			*value = eq + 1;
		return name;
	}
	for (const char *p = word[0] == '-' ? word + 1 : ""; *p && !name; p++) {
		name = options_valued(p, 1);
		if (name && p[1])
			*value = p + 1;
	}
	return name;
}

/* Make sense of the words, the last of which is at the cursor. */
static void read_words(struct cli *c, struct typed *t)
{
	const char *pending = NULL, *value;

	*t = (struct typed){ .at = "", .head = "" };
	for (int i = 0; i < c->argc; i++) {
		const char *word = c->argv[i], *name = NULL;
		bool last = i == c->argc - 1;

		value = pending ? word : NULL;
		name = pending ? pending : option_of(word, &value);
		if (last) {
			t->at = value ? value : word;
			t->head = word;
			t->head_len = (int)(t->at - word);
			t->value_of = value ? name : NULL;
			return;
		}
		pending = NULL;
		if (name && !value)
			pending = name;
		else if (name && strcmp(name, "config") == 0)
			t->config = value;
		else if (!name && word[0] != '-' && t->cmd)
			t->words++;
		else if (!name && word[0] != '-')
			t->cmd = cli_command(word);
	}
}

/* What can be behind an option. */
static void put_values(struct cli *c, const struct typed *t)
{
	static const char *const keeps[] = { "no", "yes", "7d", "30d" };

	if (strcmp(t->value_of, "config") == 0)
		report_line(c->report, ":files");
	else if (strcmp(t->value_of, "state-dir") == 0)
		report_line(c->report, ":dirs");
	for (size_t i = 0; strcmp(t->value_of, "keep") == 0 && i < sizeof(keeps) / sizeof(keeps[0]); i++)
		put(c, t, keeps[i], NULL);
}

static void put_commands(struct cli *c, const struct typed *t)
{
	size_t n;
	const struct cmd *all = cli_commands(&n);

	for (size_t i = 0; i < n; i++) {
		if (all[i].help)
			put(c, t, all[i].name, all[i].help);
	}
}

/* Where an option goes. */
struct candidates {
	struct cli *c;
	const struct typed *t;
};

static void put_option(void *arg, const char *option, const char *help)
{
	struct candidates *to = arg;

	put(to->c, to->t, option, help);
}

static void put_options(struct cli *c, const struct typed *t)
{
	struct candidates to = { c, t };

	options_each(t->cmd ? t->cmd->takes : ~0U, put_option, &to);
}

/* The configuration that the line names, or the usual one; nobody is told what is wrong with it. */
static void load(struct cli *c, const struct typed *t)
{
	struct err ignored = ERR_INIT;
	char *path = t->config ? fs_expand(t->config, &ignored) : NULL;

	if (!t->config || path)
		(void)!config_load(path, &c->config, NULL, &ignored);
	free(path);
}

static void put_jobs(struct cli *c, const struct typed *t, bool syncs)
{
	for (size_t i = 0; i < c->config.n_jobs; i++) {
		const struct config_job *job = &c->config.jobs[i];

		if (!syncs || job->mode == CONFIG_SYNC)
			put(c, t, job->name, job->mode == CONFIG_FETCH ? "fetch" : job->mode == CONFIG_SYNC ? "sync" : "migrate");
	}
}

static void put_ends(struct cli *c, const struct typed *t, bool stores)
{
	for (size_t i = 0; i < c->config.n_ends; i++) {
		const struct config_end *end = &c->config.ends[i];

		if (end->is_account || stores)
			put(c, t, end->name, end->url);
	}
}

/* A and B: names, and how URLs and paths begin. */
static void put_places(struct cli *c, const struct typed *t)
{
	static const char *const heads[] = { "imaps://", "imap://", "pop3s://", "pop3://", "maildir:", "mbox:" };

	if (strncmp(t->at, "maildir:", 8) == 0 || strncmp(t->at, "mbox:", 5) == 0) {
		report_line(c->report, strncmp(t->at, "maildir:", 8) == 0 ? ":dirs" : ":files");
		return;
	}
	put_ends(c, t, true);
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
		put(c, t, heads[i], NULL);
}

/* A word behind a command, by what its row says of them. */
static void put_words(struct cli *c, const struct typed *t)
{
	const char *args = t->cmd->args;

	if (t->cmd->max >= 0 && t->words >= t->cmd->max)
		return;
	if (strstr(args, "COMMAND"))
		put_commands(c, t);
	if (strstr(args, "ACCOUNT") || strstr(args, "JOB") || strstr(args, "A B"))
		load(c, t);
	if (strstr(args, "JOB"))
		put_jobs(c, t, t->cmd->run == cmd_undo);
	if (strstr(args, "ACCOUNT"))
		put_ends(c, t, false);
	if (strstr(args, "A B"))
		put_places(c, t);
}

int cmd_complete(struct cli *c, struct err *e)
{
	struct typed t;

	(void)e;
	read_words(c, &t);
	if (t.value_of)
		put_values(c, &t);
	else if (t.at[0] == '-')
		put_options(c, &t);
	else if (!t.cmd)
		put_commands(c, &t);
	else
		put_words(c, &t);
	return 0;
}
