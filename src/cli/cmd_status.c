#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "ui/jsonl.h"
#include "ui/progress.h"

struct showing {
	struct cli *c;
	struct strbuf *json; /* NULL: for a person */
	const struct config_job *job;
	bool two_way, any;
};

/* One failure or left-out message. */
static int show_failure(void *arg, const char *folder, const struct failure *f, struct err *e)
{
	struct showing *s = arg;
	char key[ERR_TEXT_MAX], reason[ERR_TEXT_MAX], box[ERR_TEXT_MAX], since[32], next[32];

	(void)e;
	err_printable(box, sizeof(box), folder, strlen(folder));
	err_printable(key, sizeof(key), f->key.p, f->key.n);
	err_printable(reason, sizeof(reason), f->reason.p, f->reason.n);
	if (s->json) {
		strbuf_puts(s->json, s->any ? ",{\"uid\":" : "{\"uid\":");
		jsonl_string(s->json, key);
		if (folder[0])
			cli_json_text(s->json, "folder", folder);
		if (s->two_way)
			cli_json_text(s->json, "from", f->back ? "local" : "remote");
		cli_json_text(s->json, "kind", f->kind == ERR_NONE ? "skipped" : err_kind_name(f->kind));
		cli_json_text(s->json, "reason", reason);
		cli_json_number(s->json, "size", (int64_t)f->size);
		cli_json_number(s->json, "tries", f->tries);
		cli_json_time(s->json, "since", f->since);
		cli_json_time(s->json, "next", f->next);
		strbuf_putc(s->json, '}');
	} else if (f->kind == ERR_NONE) {
		char size[32];

		progress_bytes(f->size, size, sizeof(size));
		report_line(s->c->report, "    left %s: %s (%s): %s", s->job->mode == CONFIG_MIGRATE ? "at the source" : "on the server", key, size, reason);
	} else {
		cli_when(f->since, since);
		cli_when(f->next, next);
		report_line(s->c->report, "    failed since %s, next try %s: %s%s%s%s: %s", since, next, box, box[0] ? ": " : "", key,
			    s->job->mode != CONFIG_SYNC ? "" : f->back ? " (to the server)" : " (from the server)", reason);
	}
	s->any = true;
	return 0;
}

/* A run of which something can be put back. */
static int show_kept(void *arg, const struct job_kept_run *r, struct err *e)
{
	struct showing *s = arg;
	uint64_t first = r->messages > 0 ? r->messages : r->trashed;
	char when[32], more[64] = "";

	(void)e;
	if (s->json) {
		strbuf_printf(s->json, "%s{\"run\":%lld", s->any ? "," : "", (long long)r->run);
		cli_json_time(s->json, "time", r->when);
		cli_json_number(s->json, "messages", (int64_t)r->messages);
		cli_json_number(s->json, "trashed", (int64_t)r->trashed);
		strbuf_putc(s->json, '}');
	} else {
		cli_when(r->when, when);
		if (r->messages > 0 && r->trashed > 0)
			snprintf(more, sizeof(more), ", %llu at the server", (unsigned long long)r->trashed);
		report_line(s->c->report, "    run %lld, %s: %llu message%s deleted %s%s; `mailhaul undo %s %lld` brings %s back", (long long)r->run, when,
			    (unsigned long long)first, first == 1 ? "" : "s", r->messages > 0 ? "here" : "at the server", more, s->job->name, (long long)r->run,
			    r->messages + r->trashed == 1 ? "it" : "them");
	}
	s->any = true;
	return 0;
}

static const char *mode_name(const struct config_job *job)
{
	static const char *const names[] = { [CONFIG_FETCH] = "fetch", [CONFIG_SYNC] = "sync", [CONFIG_MIGRATE] = "migrate" };

	return names[job->mode];
}

static int show_json(struct cli *c, const struct job_params *p, const struct job_status *st, struct err *e)
{
	struct strbuf b = STRBUF_INIT(64u << 20);
	struct showing s = { .c = c, .json = &b, .job = p->job, .two_way = config_two_way(p->job) };

	cli_json_start(&b, "status", p->job->name);
	cli_json_text(&b, "mode", mode_name(p->job));
	cli_json_time(&b, "last_start", st->last_start);
	cli_json_time(&b, "last_end", st->last_end);
	/* One that never ran is due since nobody knows when: now. */
	cli_json_time(&b, "due", st->due > 0 && st->last_end == 0 && st->due < clock_wall() ? clock_wall() : st->due);
	cli_json_time(&b, "paused_until", st->paused_until);
	if (st->paused_until)
		cli_json_text(&b, "pause_reason", st->pause_reason);
	if (st->failing > 0) {
		cli_json_time(&b, "failing_since", st->failing);
		cli_json_number(&b, "tries", st->tries);
		cli_json_time(&b, "retry", st->retry);
		cli_json_text(&b, "failure", st->failure);
	}
	cli_json_number(&b, "running", st->running);
	cli_json_number(&b, "held", (int64_t)st->held);
	if (s.two_way)
		cli_json_number(&b, "folders", (int64_t)st->folders);
	cli_json_number(&b, "failed", (int64_t)st->failed);
	cli_json_number(&b, "skipped", (int64_t)st->skipped);
	if (st->has_run) {
		strbuf_puts(&b, ",\"last_run\":{\"kind\":");
		jsonl_string(&b, st->last.kind == ERR_NONE ? "ok" : err_kind_name(st->last.kind));
		cli_json_text(&b, "text", st->last.text);
		cli_json_time(&b, "started", st->last.started);
		cli_json_time(&b, "ended", st->last.ended);
		cli_json_number(&b, "pulled", (int64_t)st->last.pulled);
		cli_json_number(&b, "pushed", (int64_t)st->last.pushed);
		cli_json_number(&b, "flagged", (int64_t)st->last.flagged);
		cli_json_number(&b, "deleted", (int64_t)st->last.deleted);
		cli_json_number(&b, "failed", (int64_t)st->last.failed);
		strbuf_putc(&b, '}');
	}
	strbuf_puts(&b, ",\"failures\":[");
	if (job_failures(p, show_failure, &s, e) < 0) {
		strbuf_release(&b);
		return -1;
	}
	strbuf_putc(&b, ']');
	if (p->job->mode == CONFIG_SYNC) {
		s.any = false;
		strbuf_puts(&b, ",\"kept\":[");
		if (job_kept(p, show_kept, &s, e) < 0) {
			strbuf_release(&b);
			return -1;
		}
		strbuf_putc(&b, ']');
	}
	cli_json_end(c, &b);
	return 0;
}

/* What the last run that did something did. */
static void show_last(struct cli *c, const struct run_row *r, enum config_mode mode)
{
	char when[32];

	cli_when(r->ended, when);
	if (r->kind != ERR_NONE)
		report_line(c->report, "    stopped at %s: %s", when, r->text);
	else if (mode == CONFIG_MIGRATE)
		report_line(c->report, "    last change %s: %llu copied, %llu with changed flags, %llu deleted at the source, %llu failed", when,
			    (unsigned long long)r->pulled, (unsigned long long)r->flagged, (unsigned long long)r->deleted, (unsigned long long)r->failed);
	else if (mode == CONFIG_SYNC)
		report_line(c->report, "    last change %s: %llu fetched, %llu sent, %llu deleted, %llu with changed flags, %llu failed", when,
			    (unsigned long long)r->pulled, (unsigned long long)r->pushed, (unsigned long long)r->deleted, (unsigned long long)r->flagged,
			    (unsigned long long)r->failed);
	else
		report_line(c->report, "    last mail %s: %llu fetched, %llu deleted on the server, %llu failed", when, (unsigned long long)r->pulled,
			    (unsigned long long)r->deleted, (unsigned long long)r->failed);
}

/* Since when it fails, and when and why not before it is tried again. */
static void show_failing(struct cli *c, const struct job_status *st)
{
	char since[32], retry[32], text[ERR_TEXT_MAX];

	if (st->failing == 0)
		return;
	cli_when(st->failing, since);
	report_line(c->report, "    failing since %s, %u time%s: %s", since, st->tries, st->tries == 1 ? "" : "s",
		    st->failure[0] ? err_printable(text, sizeof(text), st->failure, strlen(st->failure)) : "some messages failed");
	if (st->retry == 0)
		return;
	cli_when(st->retry, retry);
	if (st->refused)
		report_line(c->report, "    not before %s by schedule, lest the account be locked; sooner when its settings or its secret change, or the job is named", retry);
	else
		report_line(c->report, "    next try by schedule %s: pauses grow while it fails; sooner when the job is named", retry);
}

static int show_text(struct cli *c, const struct job_params *p, const struct job_status *st, struct err *e)
{
	struct showing s = { .c = c, .job = p->job, .two_way = config_two_way(p->job) };
	char when[32];

	if (st->last_end > 0)
		cli_when(st->last_end, when);
	report_line(c->report, "%s: %s %s %s", p->job->name, p->job->left->url ? p->job->left->url : p->job->left->name, p->job->mode == CONFIG_SYNC ? "<->" : "->",
		    p->job->right->name);
	report_line(c->report, "    last run: %s", st->last_end > 0 ? when : "never");
	if (st->running)
		report_line(c->report, "    running now, process %ld", (long)st->running);
	if (st->has_run)
		show_last(c, &st->last, p->job->mode);
	if (st->paused_until) {
		cli_when(st->paused_until, when);
		report_line(c->report, "    paused until %s: %s", when, st->pause_reason);
	}
	show_failing(c, st);
	if (p->job->every > 0) {
		cli_when(st->due, when);
		report_line(c->report, "    next due: %s", st->due <= clock_wall() ? "now" : when);
	}
	if (s.two_way && st->last_end > 0)
		report_line(c->report, "    %s: messages: %llu, folders: %llu", p->job->mode == CONFIG_MIGRATE ? "known at the target" : "on both sides",
			    (unsigned long long)st->held, (unsigned long long)st->folders);
	else if (st->held > 0)
		report_line(c->report, "    messages delivered and still on the server: %llu", (unsigned long long)st->held);
	if (p->job->mode == CONFIG_SYNC && job_kept(p, show_kept, &s, e) < 0)
		return -1;
	return job_failures(p, show_failure, &s, e);
}

int cmd_status(struct cli *c, struct err *e)
{
	size_t n;
	int code = 0;

	if (cli_load(c, e) < 0)
		return -1;
	n = c->argc == 0 ? c->config.n_jobs : (size_t)c->argc;
	for (size_t i = 0; i < n; i++) {
		const struct config_job *job = c->argc == 0 ? &c->config.jobs[i] : cli_job(c, c->argv[i], e);
		struct job_params p = { .job = job, .state_dir = c->state_dir };
		struct err why = ERR_INIT;
		struct job_status st;

		if (!job)
			return -1;
		if (job_status(&p, &st, &why) < 0 || (c->o.json ? show_json(c, &p, &st, &why) : show_text(c, &p, &st, &why)) < 0) {
			err_in(&why, "%s", job->name);
			report_error(c->report, &why);
			code = err_exit_code(why.kind);
		}
	}
	return code;
}
