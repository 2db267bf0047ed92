/* The command line: options, commands as rows, and what commands share. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "config/load.h"
#include "job/job.h"
#include "job/sched.h"
#include "ui/report.h"

struct options {
	const char *config;
	const char *state_dir; /* as given */
	bool quiet, dry_run, json, due, connect, same_source, restore, allow_deletions, full;
	int verbose;
	unsigned jobs;
	const char *keep, *max_size, *folder; /* fetch A B, migrate A B */
};

/* Everything a command gets. */
struct cli {
	struct options o;
	int argc;       /* arguments behind the command's name */
	char **argv;
	char *state_dir;
	struct report *report;
	struct config config;
	bool loaded;
	bool undo;        /* cli_run_jobs: put back what a run deleted, first; undo_run: 0 the last */
	int64_t undo_run;
	bool verify;      /* cli_run_jobs: compare both sides, and do nothing else */
	bool told; /* what is wrong has been shown already */
};

/* Which options a command takes beside the common ones. */
enum cli_takes {
	TAKES_DUE = 1, TAKES_CONNECT = 2, TAKES_JOBS = 4, TAKES_SAME = 8, TAKES_POLICY = 16, TAKES_DRY = 32, TAKES_SYNC = 64, TAKES_PLACE = 128,
	TAKES_FULL = 256,
};

struct cmd {
	const char *name;
	int (*run)(struct cli *c, struct err *e); /* an exit code, or -1 with *e */
	const char *args;
	int min, max;    /* arguments; max -1: any number */
	unsigned takes;
	const char *help; /* NULL: no person types it, and it is not listed */
};

const struct cmd *cli_commands(size_t *n);
const struct cmd *cli_command(const char *name);

/* Options may stand anywhere. Fills *o; *argc, *argv become the words that are left. ERR_USAGE. */
int options_parse(int argc, char **argv, struct options *o, int *words, struct err *e);
/* Does the command take what was given? */
int options_fit(const struct options *o, const struct cmd *cmd, struct err *e);
/* One line for each option that fits `takes` (all common ones too). */
void options_help(struct report *r, unsigned takes);
/* The same for a caller: "--name" of each. */
void options_each(unsigned takes, void (*cb)(void *arg, const char *option, const char *help), void *arg);
/* The long name of an option that takes a value, by that or by its letter (n is 1); NULL: there is none. */
const char *options_valued(const char *name, size_t n);

/* Load the configuration once; its problems are shown, each once (c->told). */
int cli_load(struct cli *c, struct err *e);
/* As cli_load, but a missing file is fine (commands that take URLs). */
int cli_load_if_any(struct cli *c, struct err *e);
/* An account before its use, in this process or a worker: -vv shows its protocol; a password that must be asked for is asked for. */
int cli_ready(struct cli *c, struct config_end *end, struct err *e);
int cli_prompt(void *arg, const char *what, struct strbuf *out, struct err *e); /* a secret_prompt, on /dev/tty */

/* Run jobs in workers and report. Returns the exit code, or -1. */
int cli_run_jobs(struct cli *c, const struct config_job **jobs, size_t n, bool named, struct err *e);

/* Of scheduled jobs, what was told is not told again: nobody is there who wants to see it all. */
bool cli_hushed(const struct cli *c);

/* The job of that name; NULL with ERR_USAGE, and what was perhaps meant. */
const struct config_job *cli_job(struct cli *c, const char *name, struct err *e);

/* A result as one line of JSON: begun with event, job ("" none) and time, members as they come, shown and given back by the last. */
void cli_json_start(struct strbuf *b, const char *event, const char *job);
void cli_json_number(struct strbuf *b, const char *name, int64_t n);
void cli_json_text(struct strbuf *b, const char *name, const char *text);
void cli_json_time(struct strbuf *b, const char *name, int64_t t); /* 0: null */
void cli_json_end(struct cli *c, struct strbuf *b);

/* What of the sandbox works on this machine: a member of a line of JSON, and a text, which the caller releases. */
void cli_json_sandbox(struct strbuf *b);
void cli_sandbox_text(struct strbuf *out);

/* An ad hoc job whose state bears the name that it would have had by an earlier version goes on with it. */
int cli_find_state(struct cli *c, struct config_job *job, struct err *e);

/* What is wrong with an account or store that the command line names is the command line's fault: ERR_CONF becomes ERR_USAGE. Returns -1. */
int cli_blame_words(struct err *e);

/* A time as people write it, local: "2026-03-01 14:05". out: 32 bytes. */
void cli_when(int64_t t, char out[32]);

int cmd_run(struct cli *c, struct err *e);
int cmd_fetch(struct cli *c, struct err *e);
int cmd_sync(struct cli *c, struct err *e);
int cmd_migrate(struct cli *c, struct err *e);
int cmd_check(struct cli *c, struct err *e);
int cmd_info(struct cli *c, struct err *e);
int cmd_list(struct cli *c, struct err *e);
int cmd_status(struct cli *c, struct err *e);
int cmd_undo(struct cli *c, struct err *e);
int cmd_watch(struct cli *c, struct err *e);
int cmd_verify(struct cli *c, struct err *e);
int cmd_help(struct cli *c, struct err *e);
int cmd_complete(struct cli *c, struct err *e);

#endif
