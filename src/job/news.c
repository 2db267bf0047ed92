#include "job/news.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/log.h"
#include "job/due.h"

static int64_t every_of(const struct news *n)
{
	return n->p->job->every;
}

static void save(struct news *n)
{
	struct err why = ERR_INIT;

	if (!n->path || attempts_put(n->path, &n->a, &why) == 0)
		return;
	/* the first run of all */
	if (fs_mkdirs(n->p->state_dir, 0700, NULL) < 0 || attempts_put(n->path, &n->a, &why) < 0)
		log_debug("%s: %s", n->p->job->name, why.text);
}

void news_begin(struct news *n, const struct job_params *p, const struct wire_sink *to, bool hush)
{
	int64_t now = clock_wall();

	*n = (struct news){ .p = p, .to = to, .hush = hush };
	if (p->dry_run || p->verify || p->undo)
		return;
	n->path = job_state_path(p->state_dir, p->job->name, NULL);
	if (!n->path)
		return;
	attempts_get(n->path, &n->a);
	n->before = n->a.started;
	n->a.started = now;
	if (n->a.n_told > 0 && (n->a.telling > now || now - n->a.telling >= DUE_TELL))
		n->a.n_told = 0; /* once a day, all that still lasts */
	save(n);
}

/* Failures that come and go for one another are one: the server can't be reached today by its name, tomorrow in time. */
static enum err_kind class_of(enum err_kind kind)
{
	return kind == ERR_NOHOST || kind == ERR_TIMEOUT || kind == ERR_TEMP || kind == ERR_BUSY ? ERR_UNAVAIL : kind;
}

/* What is wrong on this machine is told in our own words, which are the same for the same but for numbers. */
static void own_words(char *out, size_t size, const struct event *ev)
{
	const bool ours = ev->kind == ERR_LOCAL || ev->kind == ERR_PERM || ev->kind == ERR_CONF || ev->kind == ERR_CERT;
	size_t n = 0;

	for (const char *p = ours && ev->text ? ev->text : ""; *p && n + 1 < size; p++)
		if (*p < '0' || *p > '9')
			out[n++] = *p;
	out[n] = '\0';
}

/* The same for the same trouble, however the words of a server vary. */
static uint64_t hash_of(const struct event *ev)
{
	char text[1024], words[ERR_TEXT_MAX];

	own_words(words, sizeof(words), ev);
	if (ev->type == EVENT_WARNING)
		snprintf(text, sizeof(text), "warning %s %s", ev->folder ? ev->folder : "", ev->text ? ev->text : "");
	else if (ev->span == SPAN_ACCT)
		snprintf(text, sizeof(text), "job %d %s", (int)class_of(ev->kind), words);
	else
		snprintf(text, sizeof(text), "item %d %s %s", (int)class_of(ev->kind), ev->folder ? ev->folder : "", ev->uid ? ev->uid : "");
	return slice_hash(slice_str(text));
}

/* How long, as a person would say it. */
static const char *span_of(int64_t seconds, char out[32])
{
	if (seconds < 90)
		snprintf(out, 32, "%lld s", (long long)(seconds > 0 ? seconds : 1));
	else if (seconds < 90 * 60)
		snprintf(out, 32, "%lld min", (long long)(seconds + 30) / 60);
	else if (seconds < 48 * 3600)
		snprintf(out, 32, "%lld h", (long long)(seconds + 1800) / 3600);
	else
		snprintf(out, 32, "%lld days", (long long)(seconds + 43200) / 86400);
	return out;
}

static void pass(struct news *n, const struct event *ev)
{
	event_put(&n->to->events, ev);
}

/* It ended the job: what that means for the record is for news_end. True when nothing is to be said of it. */
static bool is_no_attempt(struct news *n, const struct event *ev)
{
	if (ev->type != EVENT_ERROR || ev->span != SPAN_ACCT)
		return false;
	n->excluded = ev->kind == ERR_BUSY && n->path && db_holder(n->path) != 0;
	n->untried = ev->untried;
	return n->p->scheduled && (n->excluded || (n->untried && n->hush));
}

static void tell_trouble(struct news *n, const struct event *ev)
{
	uint64_t hash = hash_of(ev);
	bool old = n->path && attempts_was_told(&n->a, hash);
	struct event own = *ev;
	struct err longer = ERR_INIT;
	char span[32];

	if (is_no_attempt(n, ev) || (old && n->hush))
		return;
	if (n->path)
		attempts_tell(&n->a, hash, clock_wall());
	if (n->hush && ev->type == EVENT_ERROR && ev->span == SPAN_ACCT && n->a.since > 0 && n->a.since < clock_wall() && ev->text) {
		err_set(&longer, ev->kind, "%s", ev->text);
		err_hint(&longer, "for %s now", span_of(clock_wall() - n->a.since, span));
		own.text = longer.text;
	}
	pass(n, &own);
}

/* Does anything still wait for another try? Asked only when messages had failed. */
static bool all_is_well(const struct news *n)
{
	struct err ignored = ERR_INIT;
	struct job_status st;

	return n->a.code != 1 || job_status(n->p, &st, &ignored) < 0 || st.failed == 0;
}

/* It works; and if it did not before, that is told to whom it was told that it did not. */
static void tell_over(struct news *n)
{
	int64_t since = n->a.since;
	char text[160], span[32];
	struct event ev = { .type = EVENT_WARNING, .job = n->p->job->name, .text = text, .trouble = true, .good = true };

	if (since == 0 || !all_is_well(n))
		return;
	if (n->p->scheduled && n->a.n_told > 0) {
		snprintf(text, sizeof(text), "works again after %s", span_of(clock_wall() - since, span));
		pass(n, &ev);
	}
	due_worked(&n->a);
	save(n);
}

/* A scheduled run that did not even try, because it is too early or another one goes on, is no failure. */
static bool is_nothing(const struct news *n)
{
	return n->p->scheduled && (n->excluded || n->untried);
}

void news_event(void *arg, const struct event *ev)
{
	struct news *n = arg;

	if (ev->type == EVENT_END && ev->exit_code == 0 && n->path)
		tell_over(n);
	if (ev->type == EVENT_ERROR || (ev->type == EVENT_WARNING && ev->trouble))
		tell_trouble(n, ev);
	else if (ev->type == EVENT_END && is_nothing(n))
		pass(n, &(struct event){ .type = EVENT_END, .job = ev->job, .time = ev->time, .two_way = ev->two_way, .one_way = ev->one_way, .totals = ev->totals });
	else
		pass(n, ev);
}

int news_end(struct news *n, int exit_code, const struct err *why)
{
	struct attempts fresh;

	if (!n->path)
		return exit_code;
	if (n->excluded || n->untried) {
		exit_code = is_nothing(n) ? 0 : exit_code;
	} else if (exit_code > 0 && exit_code < 128) {
		/* the worker has noted what was refused (refused.h) */
		attempts_get(n->path, &fresh);
		memcpy(n->a.salt, fresh.salt, sizeof(n->a.salt));
		memcpy(n->a.digest, fresh.digest, sizeof(n->a.digest));
		due_failed(&n->a, n->p->job->name, every_of(n), exit_code, why, clock_wall());
		save(n);
	} else if (exit_code > 128) {
		/* it was stopped, perhaps before it had begun: what was due is due still */
		n->a.started = n->before > 0 ? n->before : 1; /* 0 would be: when the base was last written */
		save(n);
	}
	free(n->path);
	n->path = NULL;
	return exit_code;
}
