#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

enum { OPT_STATE = 256, OPT_DRY, OPT_JSON, OPT_DUE, OPT_CONNECT, OPT_SAME, OPT_RESTORE, OPT_ALLOW, OPT_KEEP, OPT_MAX, OPT_FOLDER, OPT_FULL, OPT_VERSION };

/* One row is an option's whole story. */
static const struct row {
	const char *name;
	int key;          /* its letter, or one of the above */
	const char *arg;  /* NULL: none */
	unsigned takes;   /* 0: every command */
	const char *help;
} rows[] = {
	{ "config", 'c', "FILE", 0, "read this configuration" },
	{ "state-dir", OPT_STATE, "DIR", 0, "keep the state there" },
	{ "quiet", 'q', NULL, 0, "errors only" },
	{ "verbose", 'v', NULL, 0, "each action; twice: each protocol line, secrets blanked" },
	{ "json", OPT_JSON, NULL, 0, "events or results as JSON Lines on stdout" },
	{ "help", 'h', NULL, 0, "this help" },
	{ "version", OPT_VERSION, NULL, 0, "the version" },
	{ "dry-run", OPT_DRY, NULL, TAKES_DRY, "show what would be done, change nothing" },
	{ "due", OPT_DUE, NULL, TAKES_DUE, "only jobs whose `every` has passed" },
	{ "jobs", 'j', "N", TAKES_JOBS, "run at most so many jobs at once (default: `parallel`, or 4)" },
	{ "same-source", OPT_SAME, NULL, TAKES_SAME, "the job's account has a new name but is the same mailbox" },
	{ "restore", OPT_RESTORE, NULL, TAKES_SYNC, "what was deleted on one side comes back there, instead of being deleted on the other" },
	{ "allow-deletions", OPT_ALLOW, NULL, TAKES_SYNC, "this once, delete however much was deleted on the other side" },
	{ "keep", OPT_KEEP, "no|yes|DURATION", TAKES_POLICY, "what stays on the server (default no)" },
	{ "max-size", OPT_MAX, "SIZE", TAKES_POLICY | TAKES_PLACE, "leave larger messages" },
	{ "folder", OPT_FOLDER, "NAME", TAKES_POLICY | TAKES_PLACE, "deliver into this folder of B" },
	{ "full", OPT_FULL, NULL, TAKES_FULL, "compare every body, not sizes and Message-IDs alone" },
	{ "connect", OPT_CONNECT, NULL, TAKES_CONNECT, "try every account: reach, certificate, login, capabilities" },
};
#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

/* getopt_long's tables, from the rows. */
static void tables(struct option *longs, char *shorts)
{
	char *p = shorts;

	for (size_t i = 0; i < N_ROWS; i++) {
		longs[i] = (struct option){ rows[i].name, rows[i].arg ? required_argument : no_argument, NULL, rows[i].key };
		if (rows[i].key < 256) {
			*p++ = (char)rows[i].key;
			if (rows[i].arg)
				*p++ = ':';
		}
	}
	longs[N_ROWS] = (struct option){ 0 };
	*p = '\0';
}

/* One option into the struct. */
static int take(struct options *o, int key, const char *arg, struct err *e)
{
	uint64_t n;

	switch (key) {
	case 'c': o->config = arg; break;
	case OPT_STATE: o->state_dir = arg; break;
	case 'q': o->quiet = true; break;
	case 'v': o->verbose++; break;
	case OPT_JSON: o->json = true; break;
	case OPT_DRY: o->dry_run = true; break;
	case OPT_DUE: o->due = true; break;
	case OPT_CONNECT: o->connect = true; break;
	case OPT_SAME: o->same_source = true; break;
	case OPT_RESTORE: o->restore = true; break;
	case OPT_ALLOW: o->allow_deletions = true; break;
	case OPT_FULL: o->full = true; break;
	case OPT_KEEP: o->keep = arg; break;
	case OPT_MAX: o->max_size = arg; break;
	case OPT_FOLDER: o->folder = arg; break;
	case 'j':
		if (!slice_u64(slice_str(arg), 256, &n) || n == 0)
			return err_set(e, ERR_USAGE, "--jobs %s: a number from 1 to 256 is wanted", arg);
		o->jobs = (unsigned)n;
		break;
	default:
		break;
	}
	return 0;
}

int options_parse(int argc, char **argv, struct options *o, int *words, struct err *e)
{
	struct option longs[N_ROWS + 1];
	char shorts[2 * N_ROWS + 2];
	int key;

	memset(o, 0, sizeof(*o));
	shorts[0] = ':';
	tables(longs, shorts + 1);
	opterr = 0;
	optind = 0;
	while ((key = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		const char *word = argv[optind - 1];

		if (key == 'h' || key == OPT_VERSION) {
			*words = key == 'h' ? -1 : -2;
			return 0;
		}
		if (key == ':')
			return err_set(e, ERR_USAGE, "%s needs a value", word);
		if (key == '?' && optopt > 0 && optopt < 256 && word[1] != '-')
			return err_set(e, ERR_USAGE, "unknown option -%c; `mailhaul help` lists them", optopt);
		if (key == '?')
			return err_set(e, ERR_USAGE, "unknown or ambiguous option %s; `mailhaul help` lists them", word);
		if (take(o, key, optarg, e) < 0)
			return -1;
	}
	*words = optind;
	return 0;
}

/* Was this row's option given? Only rows with `takes` matter. */
static bool given(const struct options *o, const struct row *r)
{
	switch (r->key) {
	case OPT_DRY: return o->dry_run;
	case OPT_DUE: return o->due;
	case 'j': return o->jobs > 0;
	case OPT_SAME: return o->same_source;
	case OPT_RESTORE: return o->restore;
	case OPT_ALLOW: return o->allow_deletions;
	case OPT_FULL: return o->full;
	case OPT_KEEP: return o->keep != NULL;
	case OPT_MAX: return o->max_size != NULL;
	case OPT_FOLDER: return o->folder != NULL;
	case OPT_CONNECT: return o->connect;
	default: return false;
	}
}

int options_fit(const struct options *o, const struct cmd *cmd, struct err *e)
{
	for (size_t i = 0; i < N_ROWS; i++) {
		if (rows[i].takes && given(o, &rows[i]) && !(cmd->takes & rows[i].takes))
			return err_set(e, ERR_USAGE, "`%s` does not take --%s", cmd->name, rows[i].name);
	}
	if (o->quiet && o->verbose)
		return err_set(e, ERR_USAGE, "-q and -v contradict each other");
	if (o->restore && o->allow_deletions)
		return err_set(e, ERR_USAGE, "--restore and --allow-deletions contradict each other: is what is gone to come back, or to go on both sides?");
	return 0;
}

void options_help(struct report *r, unsigned takes)
{
	for (size_t i = 0; i < N_ROWS; i++) {
		char left[64];

		if (rows[i].takes && !(rows[i].takes & takes))
			continue;
		if (rows[i].key < 256)
			snprintf(left, sizeof(left), "-%c, --%s%s%s", rows[i].key, rows[i].name, rows[i].arg ? " " : "", rows[i].arg ? rows[i].arg : "");
		else
			snprintf(left, sizeof(left), "    --%s%s%s", rows[i].name, rows[i].arg ? " " : "", rows[i].arg ? rows[i].arg : "");
		report_line(r, "  %-30s %s", left, rows[i].help);
	}
}

void options_each(unsigned takes, void (*cb)(void *arg, const char *option, const char *help), void *arg)
{
	for (size_t i = 0; i < N_ROWS; i++) {
		char name[64];

		if (rows[i].takes && !(rows[i].takes & takes))
			continue;
		snprintf(name, sizeof(name), "--%s", rows[i].name);
		cb(arg, name, rows[i].help);
	}
}

const char *options_valued(const char *name, size_t n)
{
	for (size_t i = 0; i < N_ROWS; i++) {
		if (rows[i].arg && ((n == 1 && rows[i].key == name[0]) || (strlen(rows[i].name) == n && strncmp(rows[i].name, name, n) == 0)))
			return rows[i].name;
	}
	return NULL;
}
