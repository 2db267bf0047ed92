#include "job/hooks.h"

#include <stdlib.h>
#include <string.h>

#include "base/proc.h"
#include "ui/jsonl.h"

#define FOLDERS_MAX 1000      /* that are told one by one */
#define TREES_MAX (1 << 18)   /* bytes of lines about folders made, removed, renamed */
#define INPUT_MAX (1 << 20)   /* bytes of all lines */
#define END_MAX 8192          /* of them, for the last two */
#define NAMES_MAX (4 << 20)   /* bytes of names that are kept */

static bool same_name(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

static const char *keep_name(struct hooks *h, const char *name)
{
	return arena_str(&h->arena, slice_str(name ? name : ""));
}

/* The row of a folder, made if it is new; NULL: there are too many. */
static struct hooks_folder *row_of(struct hooks *h, const char *left, const char *right)
{
	struct hooks_folder f = { 0 };

	if (h->last < h->folders.n && same_name(h->folders.a[h->last].left, left))
		return &h->folders.a[h->last];
	for (size_t i = 0; i < h->folders.n; i++) {
		if (same_name(h->folders.a[i].left, left)) {
			h->last = i;
			return &h->folders.a[i];
		}
	}
	if (h->folders.n >= FOLDERS_MAX || !(f.left = keep_name(h, left)) || !(f.right = keep_name(h, right)) || vec_push(&h->folders, f) < 0) {
		h->omitted++;
		return NULL;
	}
	h->last = h->folders.n - 1;
	return &h->folders.a[h->last];
}

static void count_message(struct hooks *h, const struct event *ev)
{
	struct hooks_folder *f;

	if (ev->action == ACTION_SKIP || ev->action == ACTION_FORGET || !(f = row_of(h, ev->folder, ev->right)))
		return;
	f->pulled += ev->action == ACTION_PULL;
	f->pushed += ev->action == ACTION_PUSH;
	f->restored += ev->action == ACTION_RESTORE;
	f->deleted += ev->action == ACTION_DELETE;
	f->flagged += ev->action == ACTION_FLAGS;
	f->moved += ev->action == ACTION_MOVE;
	if (ev->action == ACTION_MOVE && ev->to && (f = row_of(h, ev->to, ev->right_to)))
		f->moved++;
}

static void hear(void *arg, const struct event *ev)
{
	struct hooks *h = arg;

	event_put(h->to, ev);
	if (ev->dry)
		return;
	if (ev->type == EVENT_MESSAGE)
		count_message(h, ev);
	else if (ev->type == EVENT_TREE && jsonl_event(&h->lines, ev) < 0) {
		h->omitted++;
		h->lines.failed = false;
	}
}

struct event_sink hooks_listen(struct hooks *h, const struct config_job *job, const struct event_sink *to)
{
	*h = (struct hooks){ .job = job, .to = to, .arena = ARENA_INIT(NAMES_MAX), .lines = STRBUF_INIT(TREES_MAX) };
	setenv("MAILHAUL_JOB", job->name, 1);
	if (!job->on_new && !job->on_change)
		return *to;
	return (struct event_sink){ .put = hear, .arg = h };
}

/* The head that all lines have. */
static void put_head(struct strbuf *out, const struct hooks *h, const char *event, int64_t time)
{
	strbuf_printf(out, "{\"event\":\"%s\",\"job\":", event);
	jsonl_string(out, h->job->name);
	strbuf_puts(out, ",\"time\":");
	jsonl_time(out, time);
}

static void put_folder(struct strbuf *out, const struct hooks *h, const struct hooks_folder *f, int64_t time)
{
	put_head(out, h, "changed", time);
	strbuf_puts(out, ",\"folder\":");
	jsonl_string(out, f->left);
	strbuf_puts(out, ",\"local\":");
	jsonl_string(out, f->right);
	strbuf_printf(out, ",\"pulled\":%llu,\"pushed\":%llu,\"deleted\":%llu,\"flagged\":%llu,\"moved\":%llu,\"restored\":%llu}\n", (unsigned long long)f->pulled, (unsigned long long)f->pushed,
		      (unsigned long long)f->deleted, (unsigned long long)f->flagged, (unsigned long long)f->moved, (unsigned long long)f->restored);
}

/* All lines. */
static void put_lines(struct strbuf *out, const struct hooks *h, const struct event *end)
{
	int64_t time = end->time ? end->time : clock_wall();
	struct event stamped = *end;
	uint64_t omitted = h->omitted;

	stamped.time = time;
	strbuf_put(out, h->lines.s, h->lines.len);
	for (size_t i = 0; i < h->folders.n; i++) {
		size_t at = out->len;

		put_folder(out, h, &h->folders.a[i], time);
		if (out->failed || out->len > INPUT_MAX - END_MAX) {
			strbuf_cut(out, at);
			out->failed = false;
			omitted++;
		}
	}
	if (omitted > 0) {
		put_head(out, h, "omitted", time);
		strbuf_printf(out, ",\"lines\":%llu}\n", (unsigned long long)omitted);
	}
	jsonl_event(out, &stamped);
}

/* One of the commands. Its output is nobody's; what it says on stderr is told if it fails. */
static void run_command(struct hooks *h, const char *key, const char *command, struct slice input, const struct proc_var *vars, size_t n)
{
	struct proc_call call = { .command = command, .input = input, .vars = vars, .n_vars = n };
	struct err why = ERR_INIT;
	struct event ev = { .type = EVENT_WARNING, .job = h->job->name, .text = why.text, .trouble = true };

	if (proc_run(&call, clock_in(h->job->on_timeout * 1000), &why) == 0)
		return;
	err_in(&why, "%s", key);
	event_put(h->to, &ev);
}

void hooks_run(struct hooks *h, const struct event *end)
{
	const struct event_totals *t = &end->totals;
	const uint64_t changed = t->pulled + t->pushed + t->deleted + t->flagged + t->moved + t->made + t->removed + t->renamed + t->restored;
	const struct proc_var vars[] = { { "MAILHAUL_NEW", t->pulled }, { "MAILHAUL_CHANGED", changed } };
	const size_t n = sizeof(vars) / sizeof(vars[0]);
	struct strbuf input = STRBUF_INIT(INPUT_MAX);

	if (!(h->job->on_new && t->pulled > 0) && !(h->job->on_change && changed > 0))
		return;
	put_lines(&input, h, end);
	if (h->job->on_new && t->pulled > 0)
		run_command(h, "on-new", h->job->on_new, strbuf_slice(&input), vars, n);
	if (h->job->on_change && changed > 0)
		run_command(h, "on-change", h->job->on_change, strbuf_slice(&input), vars, n);
	strbuf_release(&input);
}

void hooks_release(struct hooks *h)
{
	strbuf_release(&h->lines);
	vec_release(&h->folders);
	arena_release(&h->arena);
}
