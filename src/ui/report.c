#include "ui/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/vec.h"
#include "ui/jsonl.h"
#include "ui/lines.h"
#include "ui/progress.h"
#include "ui/summary.h"

#define LINE_BYTES 16384  /* the longest of ours */
#define TEXT_BYTES 1024   /* of one foreign text */
#define NAME_BYTES 128    /* of a job's name in a progress line */
#define FAILED_SHOWN 10   /* so many of a job's failed messages are shown */

/* A job between START and END. */
struct active {
	char *job;
	uint64_t done, total, bytes, total_bytes;
	uint64_t planned_bytes; /* dry run: to be fetched */
	uint64_t failed; /* messages whose failure was told */
	uint64_t untold; /* verify: differences of the folder at hand that were counted, and not named yet */
	bool counted;    /* total is the job's own count, not the sum of the folders so far */
};

struct report {
	struct report_params p;
	struct lines l;
	bool progress_on;
	struct progress progress;
	VEC(struct active) jobs;
	size_t ended, stopped;
	struct event_totals sum;
	bool sum_two_way;       /* some of it is of two-way jobs */
	bool sum_one_way;       /* all of it is of migrations */
};

/* Foreign text made printable. */
static const char *clean(char out[TEXT_BYTES], const char *s)
{
	return err_printable(out, TEXT_BYTES, s ? s : "", s ? strlen(s) : 0);
}

static void json_event(struct report *r, const struct event *ev)
{
	if (r->p.quiet && ev->type != EVENT_ERROR)
		return;
	if (jsonl_event(&r->l.held, ev) < 0)
		r->l.held.failed = false;
	if (ev->type == EVENT_ERROR || ev->type == EVENT_END || (r->p.watch && ev->type != EVENT_MESSAGE)) /* it may be long until the next */
		lines_flush(&r->l);
	else
		lines_flush_if_due(&r->l);
}

/* Where a job stands; NULL when out of memory, which costs the progress line only. */
static struct active *active_job(struct report *r, const char *job)
{
	struct active a = { 0 };

	for (size_t i = 0; i < r->jobs.n; i++) {
		if (strcmp(r->jobs.a[i].job, job) == 0)
			return &r->jobs.a[i];
	}
	a.job = strdup(job);
	if (!a.job || vec_push(&r->jobs, a) < 0) {
		free(a.job);
		return NULL;
	}
	return &r->jobs.a[r->jobs.n - 1];
}

static void forget_job(struct report *r, const char *job)
{
	for (size_t i = 0; i < r->jobs.n; i++) {
		if (strcmp(r->jobs.a[i].job, job) == 0) {
			free(r->jobs.a[i].job);
			r->jobs.a[i] = r->jobs.a[--r->jobs.n];
			return;
		}
	}
}

/* The progress line: of the one job that runs, or of all together. */
static void draw_progress(struct report *r)
{
	struct active all = { 0 };
	bool sized = true;
	char name[NAME_BYTES];

	if (!r->progress_on || r->jobs.n == 0)
		return;
	for (size_t i = 0; i < r->jobs.n; i++) {
		const struct active *a = &r->jobs.a[i];

		all.done += a->done;
		all.total += a->total;
		all.bytes += a->bytes;
		all.total_bytes += a->total_bytes;
		sized = sized && (a->total_bytes > 0 || a->total == 0);
	}
	if (r->jobs.n == 1)
		err_printable(name, sizeof(name), r->jobs.a[0].job, strlen(r->jobs.a[0].job));
	else
		snprintf(name, sizeof(name), "%zu jobs", r->jobs.n);
	progress_show(&r->progress, name, all.done, all.total, all.bytes, sized ? all.total_bytes : 0);
}

/* "FOLDER: message UID: ", as much of it as is known and concerned. */
static void put_place(struct strbuf *b, const struct event *ev)
{
	char text[TEXT_BYTES];

	if (ev->folder && ev->folder[0] && (ev->type == EVENT_WARNING || ev->span != SPAN_ACCT))
		strbuf_printf(b, "%s: ", clean(text, ev->folder));
	if (ev->type == EVENT_ERROR && ev->span == SPAN_MSG && ev->uid && ev->uid[0])
		strbuf_printf(b, "message %s: ", clean(text, ev->uid));
}

/* The text without "JOB: " in front: an account is often called as its job is, and once is enough. */
static const char *without_job(const char *text, const char *job)
{
	size_t n = strlen(job);

	return text && n > 0 && strncmp(text, job, n) == 0 && text[n] == ':' && text[n + 1] == ' ' ? text + n + 2 : text;
}

static void show_error(struct report *r, const struct event *ev)
{
	struct strbuf place = STRBUF_INIT(LINE_BYTES);
	char job[TEXT_BYTES], text[TEXT_BYTES];
	const char *what = ev->type == EVENT_WARNING && !ev->good ? "warning: " : "";

	put_place(&place, ev);
	lines_complain(&r->l, "mailhaul: %s%s%s%s%s", clean(job, ev->job), ev->job[0] ? ": " : "", what, strbuf_str(&place), clean(text, without_job(ev->text, ev->job)));
	strbuf_release(&place);
}

/* Is it one more message that failed, where many did already? */
static bool one_too_many(struct report *r, const struct event *ev)
{
	struct active *a = ev->span == SPAN_MSG && r->p.verbose == 0 ? active_job(r, ev->job) : NULL;

	return a && ++a->failed > FAILED_SHOWN;
}

/* How many failures were not shown, and where they are. */
static void tell_rest(struct report *r, const struct event *ev)
{
	struct active *a = active_job(r, ev->job);
	char job[TEXT_BYTES], n[32], status[TEXT_BYTES + 128] = "";

	if (!a || a->failed <= FAILED_SHOWN)
		return;
	clean(job, ev->job);
	progress_count(a->failed - FAILED_SHOWN, n, sizeof(n));
	if (r->p.status)
		snprintf(status, sizeof(status), "`mailhaul status %s` lists those that wait for another try, with reasons; ", job);
	lines_complain(&r->l, "mailhaul: %s: and %s more message%s failed; %s-v shows all", job, n, a->failed - FAILED_SHOWN == 1 ? "" : "s", status);
	a->failed = FAILED_SHOWN;
}

static bool warnings_shown(const struct report *r)
{
	return !r->p.quiet && (r->p.tty || r->p.verbose > 0 || r->p.asked);
}

static bool summaries_shown(const struct report *r)
{
	return !r->p.quiet && !r->p.json && (r->p.tty || r->p.verbose > 0 || r->p.dry_run || r->p.asked);
}

/* -v, and a dry run's plan: what is (to be) done with one message or folder. A copy's direction is in its verb. */
static void show_action(struct report *r, const struct event *ev)
{
	static const char *const would[] = { [ACTION_PULL] = "fetch", [ACTION_PUSH] = "send", [ACTION_DELETE] = "delete", [ACTION_FLAGS] = "set the flags of",
					     [ACTION_MOVE] = "move", [ACTION_SKIP] = "leave", [ACTION_RESTORE] = "put back", [ACTION_FORGET] = "forget", [ACTION_CREATE] = "make",
					     [ACTION_REMOVE] = "remove", [ACTION_RENAME] = "rename" };
	static const char *const why[] = { [ACTION_SKIP] = ": larger than max-size", [ACTION_FORGET] = ": gone from the source" };
	const char *because = ev->action == ACTION_SKIP || ev->action == ACTION_FORGET ? why[ev->action] : "";
	const char *where = ev->at == AT_UNSAID || ev->action == ACTION_PULL || ev->action == ACTION_PUSH ? "" : event_place(ev->sides, ev->at == AT_RIGHT);
	const char *what = ev->sides == SIDES_ONE_WAY && ev->action == ACTION_PULL ? "copy" : ev->dry ? would[ev->action] : event_action_name(ev->action);
	const char *in = ev->type == EVENT_TREE ? " " : ev->to && ev->to[0] ? " from " : " in ";
	char job[TEXT_BYTES], uid[TEXT_BYTES], folder[TEXT_BYTES], to[TEXT_BYTES], bytes[32], size[40] = "";
	struct active *a;

	if (ev->dry && ev->action == ACTION_PULL && (a = active_job(r, ev->job)))
		a->planned_bytes += ev->size;
	if (r->p.quiet || (!ev->dry && r->p.verbose == 0))
		return;
	if (ev->size > 0) {
		progress_bytes(ev->size, bytes, sizeof(bytes));
		snprintf(size, sizeof(size), " (%s)", bytes);
	}
	clean(uid, ev->uid);
	clean(folder, ev->folder);
	clean(to, ev->to);
	lines_say(&r->l, "%s: %s%s %s%s%s%s%s%s%s%s%s", clean(job, ev->job), ev->dry ? "would " : "", what, ev->type == EVENT_TREE ? "folder" : uid[0] ? uid : "a message",
	    folder[0] ? in : "", folder, to[0] ? " to " : "", to, where[0] ? " " : "", where, size, because);
}

/* "; `mailhaul undo both 12` brings 500 back" */
static void put_undo(struct report *r, struct strbuf *b, const struct event *ev, const char *job)
{
	char n[32];

	if (ev->totals.quarantined + ev->totals.trashed == 0 || r->p.dry_run)
		return;
	progress_count(ev->totals.quarantined + ev->totals.trashed, n, sizeof(n));
	strbuf_printf(b, "; `mailhaul undo %s %llu` brings %s back", r->p.status ? job : "A B", (unsigned long long)ev->totals.run, n);
}

/* Whether a job came to no proper end (its error said why). */
static bool is_stopped(const struct event *ev)
{
	return ev->exit_code != 0 && ev->exit_code != 1;
}

/* verify: how many differences of a folder were not named. */
static void tell_unnamed(struct report *r, const struct event *ev)
{
	struct active *a = active_job(r, ev->job);
	char job[TEXT_BYTES], n[32];

	if (!a || a->untold == 0)
		return;
	progress_count(a->untold, n, sizeof(n));
	if (!r->p.quiet)
		lines_say(&r->l, "%s:     and %s more; -v names all", clean(job, ev->job), n);
	a->untold = 0;
}

/* verify: a folder. */
static void show_compared(struct report *r, const struct event *ev)
{
	struct strbuf b = STRBUF_INIT(LINE_BYTES);
	const uint64_t drift = event_compared_drift(&ev->compared);
	char job[TEXT_BYTES], folder[TEXT_BYTES], n[32];
	struct active *a;

	tell_unnamed(r, ev);
	a = active_job(r, ev->job);
	if (a)
		a->untold = drift;
	if (r->p.quiet || (drift == 0 && r->p.verbose == 0))
		return;
	clean(folder, ev->folder);
	if (drift > 0) {
		summary_drift(&b, &ev->compared, ev->sides);
	} else {
		progress_count(ev->compared.same, n, sizeof(n));
		strbuf_printf(&b, "%s message%s, the same", n, ev->compared.same == 1 ? "" : "s");
	}
	lines_say(&r->l, "%s: %s%s%s", clean(job, ev->job), folder, folder[0] ? ": " : "", strbuf_str(&b));
	strbuf_release(&b);
}

/* verify: one difference. */
static void show_drift(struct report *r, const struct event *ev)
{
	struct strbuf b = STRBUF_INIT(LINE_BYTES);
	struct active *a = active_job(r, ev->job);
	const char *where = ev->at == AT_UNSAID ? "" : event_place(ev->sides, ev->at == AT_RIGHT);
	char job[TEXT_BYTES], text[2][TEXT_BYTES], bytes[32];

	if (a && a->untold > 0)
		a->untold--;
	if (r->p.quiet)
		return;
	clean(text[0], ev->uid);
	if (ev->drift == DRIFT_FOLDER)
		strbuf_puts(&b, "the folder");
	else
		strbuf_printf(&b, "message %s", text[0][0] ? text[0] : "without a name");
	if (ev->size > 0) {
		progress_bytes(ev->size, bytes, sizeof(bytes));
		strbuf_printf(&b, " (%s)", bytes);
	}
	clean(text[0], ev->text);
	clean(text[1], ev->to);
	if (ev->drift != DRIFT_FLAGS && text[1][0])
		strbuf_printf(&b, ", %s", text[1]);
	switch (ev->drift) {
	case DRIFT_MISSING:
	case DRIFT_FOLDER:
		strbuf_printf(&b, ": missing %s", where);
		break;
	case DRIFT_REFUSED:
		strbuf_printf(&b, ": missing %s: %s", where, text[0]);
		break;
	case DRIFT_CONTENT:
		strbuf_puts(&b, ": another content under the same Message-ID");
		break;
	case DRIFT_FLAGS:
		strbuf_printf(&b, ": flags %s %s, %s %s", text[0], event_place(ev->sides, false), text[1], event_place(ev->sides, true));
		break;
	}
	lines_say(&r->l, "%s:     %s", clean(job, ev->job), strbuf_str(&b));
	strbuf_release(&b);
}

/* The same of a verify, whose line has begun. */
static void show_verified(struct report *r, const struct event *ev, struct strbuf *b)
{
	if (is_stopped(ev))
		strbuf_puts(b, "not all was compared");
	else
		summary_verify(b, &ev->compared, ev->totals.failed, ev->sides);
	if (r->p.verbose > 0)
		summary_cost(b, &ev->totals, true);
	lines_say(&r->l, "%s", strbuf_str(b));
	strbuf_release(b);
}

/* One line about a job that is over. */
static void show_summary(struct report *r, const struct event *ev)
{
	struct strbuf b = STRBUF_INIT(LINE_BYTES);
	const struct active *a = r->p.dry_run ? active_job(r, ev->job) : NULL;
	bool stopped = is_stopped(ev), any;
	char job[TEXT_BYTES];

	strbuf_printf(&b, "%s: %s", clean(job, ev->job), stopped ? "stopped: " : "");
	if (ev->verify) {
		show_verified(r, ev, &b);
		return;
	}
	any = summary_totals(&b, &ev->totals, ev->two_way, ev->one_way, r->p.dry_run, a ? a->planned_bytes : 0);
	if (!any)
		strbuf_puts(&b, stopped ? "nothing was done" : r->p.dry_run ? "nothing to do" : "nothing new");
	put_undo(r, &b, ev, job);
	if (r->p.dry_run)
		strbuf_puts(&b, "; nothing was changed");
	else if (any || r->p.verbose > 0)
		summary_cost(&b, &ev->totals, ev->two_way);
	lines_say(&r->l, "%s", strbuf_str(&b));
	strbuf_release(&b);
}

static bool has_news(const struct event *ev)
{
	const struct event_totals *t = &ev->totals;

	return ev->exit_code != 0 || t->pulled + t->pushed + t->deleted + t->flagged + t->moved + t->made + t->removed + t->renamed > 0;
}

/* A job is over: its line, and no more progress of it. */
static void end_job(struct report *r, const struct event *ev)
{
	progress_clear(&r->progress);
	tell_rest(r, ev);
	if (ev->verify)
		tell_unnamed(r, ev);
	if (summaries_shown(r) && (!r->p.watch || r->p.verbose > 0 || has_news(ev)))
		show_summary(r, ev);
	summary_add(&r->sum, &ev->totals);
	r->sum_two_way |= ev->two_way;
	r->sum_one_way = ev->one_way && (r->ended == 0 || r->sum_one_way);
	r->ended++;
	r->stopped += is_stopped(ev);
	forget_job(r, ev->job);
	if (r->jobs.n == 0)
		r->progress.begun = 0;
	lines_flush(&r->l);
}

/* The folder's work is known. */
static void begin_folder(struct report *r, const struct event *ev)
{
	struct active *a = active_job(r, ev->job);
	char job[TEXT_BYTES], folder[TEXT_BYTES], n[32];

	if (a) {
		a->total += a->counted ? 0 : ev->total;
		a->total_bytes += a->counted ? 0 : ev->total_bytes;
	}
	if (r->p.verbose == 0 || r->p.quiet)
		return;
	clean(folder, ev->folder);
	progress_count(ev->total, n, sizeof(n));
	lines_say(&r->l, "%s: %s%s%s message%s to copy", clean(job, ev->job), folder, folder[0] ? ": " : "", n, ev->total == 1 ? "" : "s");
}

static void note_progress(struct report *r, const struct event *ev)
{
	struct active *a = active_job(r, ev->job);

	if (a) {
		a->done = ev->done;
		a->bytes = ev->done_bytes;
		if (ev->total > 0) {
			a->total = ev->total;
			a->counted = true;
		}
		if (ev->total_bytes > 0)
			a->total_bytes = ev->total_bytes;
	}
	draw_progress(r);
}

/* What a watcher does between runs, for who wants to see that. */
static void show_watch(struct report *r, const struct event *ev)
{
	char job[TEXT_BYTES], text[TEXT_BYTES];
	const char *side = ev->at == AT_LEFT ? "remote" : "local", *folder = ev->folder && ev->folder[0] ? ev->folder : "some folder";

	if (r->p.verbose == 0 || r->p.quiet)
		return;
	if (ev->type == EVENT_WAITING)
		lines_say(&r->l, "%s: %s side: %s", clean(job, ev->job), side, clean(text, ev->text));
	else
		lines_say(&r->l, "%s: %s side: %s has changed", clean(job, ev->job), side, clean(text, folder));
	lines_flush(&r->l);
}

/* For a person. */
static void show_event(struct report *r, const struct event *ev)
{
	char job[TEXT_BYTES];

	switch (ev->type) {
	case EVENT_START:
		active_job(r, ev->job);
		if (r->progress.begun == 0)
			r->progress.begun = clock_now();
		if (r->p.verbose > 0 && !r->p.quiet)
			lines_say(&r->l, "%s: started", clean(job, ev->job));
		break;
	case EVENT_FOLDER:
		begin_folder(r, ev);
		break;
	case EVENT_MESSAGE:
	case EVENT_TREE:
		show_action(r, ev);
		break;
	case EVENT_PROGRESS:
		note_progress(r, ev);
		break;
	case EVENT_WARNING:
		if (warnings_shown(r) || (ev->trouble && !r->p.quiet))
			show_error(r, ev);
		break;
	case EVENT_ERROR:
		if (ev->span == SPAN_ACCT && ev->job[0])
			tell_rest(r, ev); /* before what ended the job */
		if (!one_too_many(r, ev))
			show_error(r, ev);
		break;
	case EVENT_COMPARED:
		show_compared(r, ev);
		break;
	case EVENT_DRIFT:
		show_drift(r, ev);
		break;
	case EVENT_WAITING:
	case EVENT_CHANGED:
		show_watch(r, ev);
		break;
	case EVENT_END:
		end_job(r, ev);
		break;
	}
	lines_flush_if_due(&r->l);
}

static void on_event(void *arg, const struct event *ev)
{
	struct report *r = arg;
	struct event own = *ev;

	if (!own.job)
		own.job = "";
	if (r->p.json)
		json_event(r, &own);
	else
		show_event(r, &own);
}

struct event_sink report_sink(struct report *r)
{
	return (struct event_sink){ .put = on_event, .arg = r };
}

void report_log(void *arg, enum log_level level, const char *context, const char *text)
{
	struct report *r = arg;
	char where[TEXT_BYTES], what[2 * TEXT_BYTES + 512];
	const char *sep = context && context[0] ? ": " : "";

	if (r->p.json && level <= LOG_WARN) {
		struct event ev = { .type = EVENT_WARNING, .job = context, .text = text, .time = clock_wall() };

		on_event(r, &ev);
		return;
	}
	if (level == LOG_WARN ? !warnings_shown(r) : level == LOG_INFO ? r->p.verbose < 1 || r->p.quiet : level > LOG_INFO && r->p.verbose < 2)
		return;
	clean(where, context);
	err_printable(what, sizeof(what), text, strlen(text));
	if (level <= LOG_WARN)
		lines_complain(&r->l, "mailhaul: %s%s%s%s", where, sep, level == LOG_WARN ? "warning: " : "", what);
	else
		lines_complain(&r->l, "%s%s%s", where, sep, what);
}

void report_error(struct report *r, const struct err *e)
{
	struct event ev = { .type = EVENT_ERROR, .job = "", .kind = e->kind, .span = e->span, .text = e->text, .retry_after = e->retry_after,
			    .time = clock_wall() };
	char text[TEXT_BYTES];

	lines_complain(&r->l, "mailhaul: %s", clean(text, e->text));
	if (r->p.json)
		json_event(r, &ev);
}

void report_json(struct report *r, const struct strbuf *line)
{
	if (!line->failed)
		lines_put(&r->l, strbuf_slice(line));
}

void report_line(struct report *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	lines_vsay(&r->l, fmt, ap);
	va_end(ap);
}

int report_flush(struct report *r, struct err *e)
{
	lines_flush(&r->l);
	return lines_check(&r->l, e);
}

struct report *report_new(const struct report_params *p, struct err *e)
{
	struct report *r = calloc(1, sizeof(*r));
	const char *term = getenv("TERM");

	if (!r) {
		err_set(e, ERR_LOCAL, "out of memory");
		return NULL;
	}
	r->p = *p;
	lines_init(&r->l, p->out, p->err, &r->progress);
	r->progress.fd = p->err;
	r->progress_on = p->tty && !p->quiet && !p->json && !(term && strcmp(term, "dumb") == 0);
	return r;
}

void report_free(struct report *r)
{
	struct strbuf b = STRBUF_INIT(LINE_BYTES);

	if (!r)
		return;
	progress_clear(&r->progress);
	if (r->ended > 1 && summaries_shown(r) && !r->p.watch) {
		bool any = summary_totals(&b, &r->sum, r->sum_two_way, r->sum_one_way, r->p.dry_run, 0);

		if (r->stopped > 0)
			strbuf_printf(&b, "%s%zu of them stopped", any ? "; " : "", r->stopped);
		else if (!any)
			strbuf_puts(&b, r->p.dry_run ? "nothing to do" : "nothing new");
		lines_say(&r->l, "%zu jobs: %s", r->ended, strbuf_str(&b));
	}
	strbuf_release(&b);
	lines_flush(&r->l);
	lines_release(&r->l);
	for (size_t i = 0; i < r->jobs.n; i++)
		free(r->jobs.a[i].job);
	vec_release(&r->jobs);
	free(r);
}
