#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

/* One command in full. */
static void help_one(struct cli *c, const struct cmd *cmd)
{
	report_line(c->report, "mailhaul %s [OPTION...] %s", cmd->name, cmd->args);
	report_line(c->report, "    %s", cmd->help ? cmd->help : "for the shells, to complete a line");
	report_line(c->report, "%s", "");
	options_help(c->report, cmd->takes);
}

int cmd_help(struct cli *c, struct err *e)
{
	const struct cmd *all;
	size_t n;

	if (c->argc > 0) {
		const struct cmd *cmd = cli_command(c->argv[0]);

		if (!cmd)
			return err_set(e, ERR_USAGE, "no command '%s'; `mailhaul help` lists them", c->argv[0]);
		help_one(c, cmd);
		return 0;
	}
	report_line(c->report, "mailhaul hauls mail: POP3 into Maildir or mbox, each message exactly once; IMAP and Maildirs, both ways.");
	report_line(c->report, "%s", "");
	all = cli_commands(&n);
	for (size_t i = 0; i < n; i++) {
		char left[64];

		if (!all[i].help)
			continue;
		snprintf(left, sizeof(left), "mailhaul %s %s", all[i].name, all[i].args);
		report_line(c->report, "  %-30s %s", left, all[i].help);
	}
	report_line(c->report, "%s", "");
	options_help(c->report, 0);
	report_line(c->report, "%s", "");
	report_line(c->report, "`mailhaul help COMMAND` shows a command's options. Manuals: mailhaul(1), mailhaul.conf(5).");
	return 0;
}
