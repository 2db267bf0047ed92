#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/secret.h"
#include "base/fs.h"
#include "cli/cli.h"

static const struct cmd cmds[] = {
	{ "run", cmd_run, "[JOB...]", 0, -1, TAKES_DUE | TAKES_JOBS | TAKES_SAME | TAKES_DRY | TAKES_SYNC, "run jobs once, now: all when none is named" },
	{ "watch", cmd_watch, "[JOB...]", 0, -1, TAKES_JOBS, "stay: run jobs by their `every`, and at once when something has changed on either side" },
	{ "fetch", cmd_fetch, "A B", 2, 2, TAKES_POLICY | TAKES_SAME | TAKES_DRY, "fetch account or URL A into store B, without a configuration file" },
	{ "sync", cmd_sync, "A B", 2, 2, TAKES_SAME | TAKES_DRY | TAKES_SYNC, "keep account or URL A and Maildir B the same, without a configuration file" },
	{ "migrate", cmd_migrate, "A B", 2, 2, TAKES_PLACE | TAKES_SAME | TAKES_DRY, "copy all of account, URL or store A into B, without a configuration file" },
	{ "check", cmd_check, "", 0, 0, TAKES_CONNECT, "check the configuration, and with --connect every account" },
	{ "info", cmd_info, "ACCOUNT", 1, 1, 0, "server, TLS, certificate, capabilities and what is made of them" },
	{ "list", cmd_list, "ACCOUNT|JOB", 1, 1, 0, "folders and messages at an account, and where a job takes them" },
	{ "status", cmd_status, "[JOB...]", 0, -1, 0, "last run, next due, messages held, failures with reasons" },
	{ "undo", cmd_undo, "[JOB] [RUN]", 0, 3, TAKES_DRY, "put back, on both sides, what a run of a sync job has deleted" },
	{ "verify", cmd_verify, "JOB | A B", 1, 2, TAKES_FULL, "compare both sides of a job, message by message; changes nothing" },
	{ "help", cmd_help, "[COMMAND]", 0, 1, 0, "this help, or a command's" },
	{ "complete", cmd_complete, "-- WORD...", 0, -1, 0, NULL },
};

const struct cmd *cli_commands(size_t *n)
{
	*n = sizeof(cmds) / sizeof(cmds[0]);
	return cmds;
}

const struct cmd *cli_command(const char *name)
{
	for (size_t i = 0; i < sizeof(cmds) / sizeof(cmds[0]); i++) {
		if (strcmp(cmds[i].name, name) == 0)
			return &cmds[i];
	}
	return NULL;
}

/* Descriptors 0, 1 and 2 must be open, or the first socket becomes stdout. */
static void open_standard_fds(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= 2);
	if (fd > 2)
		close(fd);
}

/* --state-dir, else $XDG_STATE_HOME/mailhaul, else ~/.local/state/mailhaul. */
static int find_state_dir(struct cli *c, struct err *e)
{
	const char *xdg = getenv("XDG_STATE_HOME");
	struct strbuf b = STRBUF_INIT(4096);
	char cwd[4096];

	if (c->o.state_dir && c->o.state_dir[0] == '/') {
		strbuf_puts(&b, c->o.state_dir);
	} else if (c->o.state_dir) {
		if (!getcwd(cwd, sizeof(cwd)))
			return err_errno(e, "the current directory");
		strbuf_printf(&b, "%s/%s", cwd, c->o.state_dir);
	} else if (xdg && xdg[0] == '/') {
		strbuf_printf(&b, "%s/mailhaul", xdg);
	} else {
		c->state_dir = fs_expand("~/.local/state/mailhaul", e);
		return c->state_dir ? 0 : -1;
	}
	c->state_dir = strbuf_detach(&b);
	return c->state_dir ? 0 : err_set(e, ERR_USAGE, "--state-dir: the path is too long");
}

/* The command, with everything it needs made and given back. */
static int run_command(struct cli *c, const struct cmd *cmd, struct err *e)
{
	struct report_params rp = { .out = 1, .err = 2, .tty = isatty(2), .quiet = c->o.quiet, .verbose = c->o.verbose, .json = c->o.json,
				    .asked = cmd->run == cmd_undo || cmd->run == cmd_verify, .status = cmd->run == cmd_run || cmd->run == cmd_undo, .watch = cmd->run == cmd_watch, .dry_run = c->o.dry_run };
	struct err lost = ERR_INIT;
	int rc = -1;

	c->report = report_new(&rp, e);
	if (!c->report)
		return -1;
	log_set_sink(report_log, c->report);
	log_set_level(c->o.verbose >= 2 ? LOG_WIRE : c->o.verbose == 1 ? LOG_INFO : LOG_WARN);
	if (find_state_dir(c, e) == 0)
		rc = cmd->run(c, e);
	if (rc < 0) {
		if (!c->told)
			report_error(c->report, e);
		rc = e->kind == ERR_CANCEL && clock_cancel_signal() ? 128 + clock_cancel_signal() : err_exit_code(e->kind);
	}
	log_set_sink(NULL, NULL);
	if (report_flush(c->report, &lost) < 0) {
		report_error(c->report, &lost);
		if (rc <= 1)
			rc = err_exit_code(lost.kind);
	}
	report_free(c->report);
	config_release(&c->config);
	free(c->state_dir);
	return rc;
}

/* What is said before there is a report. */
static int usage(const struct err *e)
{
	dprintf(2, "mailhaul: %s\n", e->text);
	return err_exit_code(e->kind);
}

int main(int argc, char **argv)
{
	static struct cmd help = { "help", cmd_help, "", 0, 1, 0, "" };
	struct cli c = { 0 };
	struct err e = ERR_INIT;
	const struct cmd *cmd;
	int words;

	open_standard_fds();
	secret_harden();
	if (clock_cancel_init(&e) < 0 || options_parse(argc, argv, &c.o, &words, &e) < 0)
		return usage(&e);
	if (words == -2) {
		printf("mailhaul %s\n", MAILHAUL_VERSION);
		if (fflush(stdout) == 0)
			return 0;
		err_errno(&e, "standard output");
		return usage(&e);
	}
	if (words == -1 || words >= argc) {
		/* "mailhaul run --help" and plain "mailhaul --help" */
		for (int i = 1; i < argc; i++) {
			if (cli_command(argv[i])) {
				c.argv = &argv[i];
				c.argc = 1;
				break;
			}
		}
		if (words == -1)
			return run_command(&c, &help, &e);
		err_set(&e, ERR_USAGE, "what is to be done? `mailhaul help` lists the commands");
		return usage(&e);
	}
	cmd = cli_command(argv[words]);
	c.argc = argc - words - 1;
	c.argv = argv + words + 1;
	if (!cmd)
		err_set(&e, ERR_USAGE, "no command '%s'; `mailhaul help` lists them", argv[words]);
	else if (c.argc < cmd->min || (cmd->max >= 0 && c.argc > cmd->max))
		err_set(&e, ERR_USAGE, "use: mailhaul %s %s", cmd->name, cmd->args);
	else if (options_fit(&c.o, cmd, &e) == 0)
		return run_command(&c, cmd, &e);
	return usage(&e);
}
