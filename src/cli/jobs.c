/* What commands share: the configuration, passwords from a person, jobs run in workers. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/sandbox.h"
#include "cli/cli.h"
#include "job/due.h"
#include "ui/jsonl.h"

#define PROMPT_MS 300000

/* Does a line begin with "FILE:LINE: "? */
static bool is_located(const char *line)
{
	for (const char *p = strchr(line, ':'); p; p = strchr(p + 1, ':')) {
		size_t digits = strspn(p + 1, "0123456789");

		if (digits > 0 && p[1 + digits] == ':')
			return true;
	}
	return false;
}

/* Every problem of the configuration on a line of its own, as compilers have it; with --json an event, too. */
static void show_problems(struct cli *c, const struct strbuf *problems, enum err_kind kind)
{
	struct event_sink sink = report_sink(c->report);
	struct slice rest = strbuf_slice(problems);

	while (rest.n > 0) {
		const char *nl = memchr(rest.p, '\n', rest.n);
		size_t n = nl ? (size_t)(nl - rest.p) : rest.n;
		char text[4096];
		struct event ev = { .type = EVENT_ERROR, .job = "", .kind = kind, .span = SPAN_ACCT, .text = text };

		snprintf(text, sizeof(text), "%.*s", (int)n, rest.p);
		dprintf(2, "%s%s\n", is_located(text) ? "" : "mailhaul: ", text);
		if (c->o.json)
			event_put(&sink, &ev);
		c->told = true;
		rest.p += n + (nl ? 1 : 0);
		rest.n -= n + (nl ? 1 : 0);
	}
}

int cli_load(struct cli *c, struct err *e)
{
	struct strbuf problems = STRBUF_INIT(65536);
	int rc;

	if (c->loaded)
		return 0;
	rc = config_load(c->o.config, &c->config, &problems, e);
	if (rc < 0)
		show_problems(c, &problems, e->kind);
	strbuf_release(&problems);
	c->loaded = rc == 0;
	return rc;
}

int cli_load_if_any(struct cli *c, struct err *e)
{
	if (!c->o.config && !config_find())
		return 0;
	return cli_load(c, e);
}

const struct config_job *cli_job(struct cli *c, const char *name, struct err *e)
{
	const struct config_job *job = config_job(&c->config, name);

	if (!job)
		err_set(e, ERR_USAGE, "%s has no job '%s'%s", c->config.path, name, config_near_job(&c->config, name));
	return job;
}

/* Ask, and read a line from the terminal without echo. */
static int read_hidden(int tty, const char *what, struct strbuf *out, struct err *e)
{
	struct termios old, quiet;
	msec_t deadline = clock_in(PROMPT_MS);
	int rc = -1;
	char ch;

	if (tcgetattr(tty, &old) < 0)
		return err_errno(e, "the terminal");
	quiet = old;
	quiet.c_lflag &= (tcflag_t)~(ECHO | ECHOE | ECHOK | ECHONL);
	if (tcsetattr(tty, TCSAFLUSH, &quiet) < 0)
		return err_errno(e, "the terminal");
	dprintf(tty, "Password for %s: ", what); /* not before the echo is off: somebody may be quick */
	for (;;) {
		ssize_t n;

		if (wait_fd(tty, WAIT_READ, deadline, e) < 0)
			break;
		n = read(tty, &ch, 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || ch == '\n') {
			rc = 0;
			break;
		}
		if (strbuf_putc(out, ch) < 0) {
			err_set(e, ERR_CONF, "the password is too long");
			break;
		}
	}
	tcsetattr(tty, TCSAFLUSH, &old);
	dprintf(tty, "\n");
	return rc;
}

int cli_prompt(void *arg, const char *what, struct strbuf *out, struct err *e)
{
	int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY), rc;

	(void)arg;
	if (tty < 0) {
		err_set(e, ERR_CONF, "no password for %s, and no terminal to ask at", what);
		return err_hint(e, "give the account a password-command, password-file or netrc");
	}
	rc = read_hidden(tty, what, out, e);
	close(tty);
	return rc;
}

int cli_ready(struct cli *c, struct config_end *end, struct err *e)
{
	struct secret_params *s = config_secret(end);
	struct strbuf answer = STRBUF_SECRET(1024);
	const char *token = end->kind == CONFIG_IMAP ? end->imap.imap.token_command : end->pop3.pop3.token_command;
	char *literal;
	int rc = -1;

	if (!end->is_account)
		return 0;
	config_dial(end)->trace = c->o.verbose >= 2;
	if (s->command || s->file || s->literal || s->netrc || token || config_dial(end)->tls.client_cert)
		return 0;
	if (cli_prompt(NULL, end->url, &answer, e) < 0)
		goto out;
	if (answer.len == 0) {
		err_set(e, ERR_AUTH, "no password was given for %s", end->url);
		goto out;
	}
	/* Lives as long as one from the configuration would, and is wiped with those. */
	literal = arena_str(&c->config.arena, strbuf_slice(&answer));
	if (!literal || vec_push(&c->config.secrets, literal) < 0) {
		if (literal)
			explicit_bzero(literal, strlen(literal));
		err_set(e, ERR_LOCAL, "out of memory");
		goto out;
	}
	s->literal = literal;
	rc = 0;
out:
	strbuf_release(&answer);
	return rc;
}

bool cli_hushed(const struct cli *c)
{
	return !isatty(2) && c->o.verbose == 0 && !c->o.json;
}

int cli_run_jobs(struct cli *c, const struct config_job **jobs, size_t n, bool named, struct err *e)
{
	struct job_params *params = calloc(n + 1, sizeof(*params));
	int *codes = calloc(n + 1, sizeof(*codes));
	struct sched_params sp = { .at_once = c->o.jobs > 0 ? c->o.jobs : c->config.parallel, .per_host = c->config.parallel_per_host, .wants = { .messages = c->o.verbose > 0 || c->o.json || c->o.dry_run } };
	struct wire_sink sinks = { .events = report_sink(c->report), .log = report_log, .log_arg = c->report };
	const char *stop = getenv("MAILHAUL_STOP_AT"), *spread = getenv("MAILHAUL_SPREAD"), *measured = getenv("MAILHAUL_MEASURE");
	uint64_t stop_at = 0, measure = 0;
	int rc = -1;

	if (!params || !codes) {
		err_set(e, ERR_LOCAL, "out of memory");
		goto out;
	}
	if (stop && !slice_u64(slice_str(stop), 1000000, &stop_at))
		stop_at = 0;
	if (measured && !slice_u64(slice_str(measured), 1000000, &measure))
		measure = 0;
	sp.wants.log = c->o.verbose >= 2 ? LOG_WIRE : c->o.verbose == 1 ? LOG_INFO : LOG_WARN;
	sp.hush = c->o.due && cli_hushed(c);
	for (size_t i = 0; i < n; i++) {
		params[i] = (struct job_params){ .job = jobs[i], .state_dir = c->state_dir, .dry_run = c->o.dry_run, .same_source = c->o.same_source,
						 .restore = c->o.restore, .allow_deletions = c->o.allow_deletions, .ignore_pause = named, .undo = c->undo,
						 .undo_run = c->undo_run, .verify = c->verify, .verify_full = c->o.full,
						 .verify_all = c->o.json || c->o.verbose > 0, .stop_at = (int)stop_at, .measure = (unsigned)measure, .scheduled = c->o.due };
		if (c->o.due && !isatty(2) && !(spread && strcmp(spread, "0") == 0))
			params[i].not_before = clock_in(due_spread(jobs[i]->name, jobs[i]->every));
		/* The configuration is this process's own; only what this run adds is filled in. */
		if (cli_ready(c, (struct config_end *)(uintptr_t)jobs[i]->left, e) < 0 || cli_ready(c, (struct config_end *)(uintptr_t)jobs[i]->right, e) < 0)
			goto out;
	}
	if (sched_run(&sp, params, n, &sinks, codes, e) < 0 && e->kind != ERR_CANCEL)
		goto out;
	rc = sched_exit_code(codes, n);
out:
	free(params);
	free(codes);
	return rc;
}

int cli_find_state(struct cli *c, struct config_job *job, struct err *e)
{
	char *now, *then = NULL;
	int rc = -1;

	if (!job->former)
		return 0;
	now = job_state_path(c->state_dir, job->name, e);
	if (now)
		then = job_state_path(c->state_dir, job->former, e);
	if (then) {
		rc = 0;
		if (access(now, F_OK) < 0 && access(then, F_OK) == 0)
			job->sync.job = job->name = job->former;
	}
	free(now);
	free(then);
	return rc;
}

int cli_blame_words(struct err *e)
{
	if (e->kind == ERR_CONF)
		e->kind = ERR_USAGE;
	return -1;
}

void cli_json_start(struct strbuf *b, const char *event, const char *job)
{
	strbuf_puts(b, "{\"event\":");
	jsonl_string(b, event);
	cli_json_text(b, "job", job);
	cli_json_time(b, "time", clock_wall());
}

void cli_json_number(struct strbuf *b, const char *name, int64_t n)
{
	strbuf_printf(b, ",\"%s\":%lld", name, (long long)n);
}

void cli_json_text(struct strbuf *b, const char *name, const char *text)
{
	strbuf_printf(b, ",\"%s\":", name);
	jsonl_string(b, text);
}

void cli_json_time(struct strbuf *b, const char *name, int64_t t)
{
	strbuf_printf(b, ",\"%s\":", name);
	if (t > 0)
		jsonl_time(b, t);
	else
		strbuf_puts(b, "null");
}

void cli_json_end(struct cli *c, struct strbuf *b)
{
	strbuf_putc(b, '}');
	report_json(c->report, b);
	strbuf_release(b);
}

void cli_json_sandbox(struct strbuf *b)
{
	struct sandbox_kernel k;

	sandbox_look(&k);
	strbuf_printf(b, ",\"sandbox\":{\"landlock\":%d,\"seccomp\":%s}", k.landlock >= SANDBOX_LANDLOCK_MIN ? k.landlock : 0, k.seccomp ? "true" : "false");
}

void cli_sandbox_text(struct strbuf *out)
{
	struct sandbox_kernel k;

	sandbox_look(&k);
	sandbox_say(&k, out);
}

void cli_when(int64_t t, char out[32])
{
	time_t tt = (time_t)t;
	struct tm tm;

	if (!localtime_r(&tt, &tm) || strftime(out, 32, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		memcpy(out, "?", 2);
}
