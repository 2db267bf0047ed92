/* What a job's state says, without running it: see job.h. */
#include "job/job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "config/value.h"
#include "job/due.h"
#include "state/pairs.h"
#include "state/trashed.h"
#include "sync/engine.h"

int job_look(const struct job_params *p, struct db **db, char **path, struct err *e)
{
	*path = job_state_path(p->state_dir, p->job->name, e);
	if (!*path)
		return -1;
	return db_open(*path, DB_LOOK, NULL, db, e);
}

static int count_folder(void *arg, int64_t id, const char *left, const char *right, struct err *e)
{
	uint64_t *n = arg;

	(void)id;
	(void)left;
	(void)right;
	(void)e;
	(*n)++;
	return 0;
}

/* How many messages, and folders, the base knows. */
static int count_held(const struct job_params *p, struct db *db, struct job_status *out, struct err *e)
{
	struct folder_row folder;

	if (config_two_way(p->job))
		return pairs_total(db, &out->held, e) < 0 ? -1 : folders_each(db, count_folder, &out->folders, e);
	if (folders_get(db, "", p->job->folder ? p->job->folder : "", &folder, e) < 0)
		return -1;
	return pairs_present_count(db, folder.id, &out->held, e);
}

/* The record of its attempts; of a job that an earlier version ran, what is known of that. */
static void read_attempts(const char *path, struct attempts *a)
{
	attempts_get(path, a);
	if (a->started == 0)
		a->started = db_last_end(path);
	if (budget_says(a->text))
		a->next = 0; /* there may be more of it now: what was exchanged says it */
}

/* When it is due, and how it fails. */
static void see_attempts(const struct job_params *p, const char *path, struct job_status *out)
{
	const int64_t now = clock_wall();
	struct attempts a;

	read_attempts(path, &a);
	out->last_start = a.started > 1 ? a.started : 0; /* 1: one was begun, but stopped */
	out->failing = a.since;
	out->tries = (unsigned)a.tries;
	out->refused = a.since != 0 && a.kind == ERR_AUTH;
	out->retry = a.since != 0 && a.next > now ? runs_future(a.next, now, PAUSE_MAX) : 0;
	snprintf(out->failure, sizeof(out->failure), "%s", a.text);
	if (p->job->every > 0)
		out->due = due_at(&a, p->job->every, now);
	if (out->due > 0 && out->due < out->paused_until)
		out->due = out->paused_until;
}

int64_t job_due_in(const struct job_params *p, int64_t every)
{
	char *path = job_state_path(p->state_dir, p->job->name, NULL);
	int64_t now = clock_wall(), at = 0;
	struct err ignored = ERR_INIT;
	struct attempts a;
	struct job_status st;

	if (path) {
		read_attempts(path, &a);
		at = due_at(&a, p->job->every > 0 ? p->job->every : every, now);
	}
	if (p->job->budget > 0 && job_status(p, &st, &ignored) == 0 && at < st.paused_until)
		at = st.paused_until;
	free(path);
	return at > now ? at - now + 1 : 0; /* whole seconds were noted: not early */
}

int job_is_due(const struct job_params *p, struct err *e)
{
	char *path = job_state_path(p->state_dir, p->job->name, e);
	struct attempts a;
	struct job_status st;
	int rc;

	if (!path)
		return -1;
	read_attempts(path, &a);
	rc = p->job->every > 0 && due_now(&a, p->job->every, clock_wall()) && db_holder(path) == 0;
	free(path);
	if (rc == 0 || p->job->budget == 0)
		return rc;
	if (job_status(p, &st, e) < 0)
		return -1;
	return st.paused_until == 0;
}

int job_status(const struct job_params *p, struct job_status *out, struct err *e)
{
	struct db *db = NULL;
	char *path = NULL;
	int64_t next;
	int rc = -1, has;

	memset(out, 0, sizeof(*out));
	if (job_look(p, &db, &path, e) < 0)
		goto out;
	has = runs_last(db, &out->last, e);
	if (has < 0 || pause_get(db, &out->paused_until, out->pause_reason, sizeof(out->pause_reason), e) < 0 ||
	    failures_count(db, &out->failed, &out->skipped, &next, e) < 0 || count_held(p, db, out, e) < 0)
		goto out;
	if (budget_says(out->pause_reason) && budget_spent(db, p->job->budget, &out->paused_until, e) < 0)
		goto out;
	out->has_run = has == 1;
	out->last_end = db_last_end(path);
	out->running = db_holder(path);
	out->paused_until = runs_future(out->paused_until, clock_wall(), PAUSE_MAX);
	if (out->paused_until <= clock_wall())
		out->paused_until = 0;
	see_attempts(p, path, out);
	rc = 0;
out:
	db_close(db);
	free(path);
	return rc;
}

/* Runs of which something can be put back. */
struct keeping {
	VEC(struct job_kept_run) r;
};

/* A run's place among them; NULL: out of memory. */
static struct job_kept_run *kept_run(struct keeping *k, int64_t run, int64_t when)
{
	struct job_kept_run r = { .run = run };
	struct job_kept_run *out = NULL;

	for (size_t i = 0; i < k->r.n && !out; i++)
		if (k->r.a[i].run == run)
			out = &k->r.a[i];
	if (!out && vec_push(&k->r, r) == 0)
		out = &k->r.a[k->r.n - 1];
	if (out && out->when < when)
		out->when = when;
	return out;
}

static int kept_here(void *arg, const struct quarantine_run *q, struct err *e)
{
	struct job_kept_run *r = kept_run(arg, q->run, q->when);

	if (!r)
		return err_set(e, ERR_LOCAL, "out of memory");
	r->messages = q->messages;
	return 0;
}

static int kept_there(void *arg, const struct trashed_run *t, struct err *e)
{
	struct job_kept_run *r = kept_run(arg, t->run, t->noted);

	if (!r)
		return err_set(e, ERR_LOCAL, "out of memory");
	r->trashed = t->messages;
	return 0;
}

static int latest_first(const void *a, const void *b)
{
	const struct job_kept_run *x = a, *y = b;

	return (x->run < y->run) - (x->run > y->run);
}

int job_kept(const struct job_params *p, int (*cb)(void *arg, const struct job_kept_run *r, struct err *e), void *arg, struct err *e)
{
	struct quarantine q = { .state_dir = p->state_dir, .name = job_path("quarantine", p->job->name, "", e) };
	struct keeping k = { 0 };
	struct db *db = NULL;
	char *path = NULL;
	int rc = q.name && job_look(p, &db, &path, e) == 0 ? 0 : -1;

	if (rc == 0)
		rc = quarantine_runs(&q, kept_here, &k, e);
	if (rc == 0)
		rc = trashed_runs(db, kept_there, &k, e);
	if (rc == 0 && k.r.n > 0)
		qsort(k.r.a, k.r.n, sizeof(*k.r.a), latest_first);
	for (size_t i = 0; rc == 0 && i < k.r.n; i++)
		rc = cb(arg, &k.r.a[i], e);
	db_close(db);
	free(path);
	vec_release(&k.r);
	free((char *)(uintptr_t)q.name);
	return rc < 0 ? -1 : 0;
}

/* Failures on their way out, with the names of their folders. */
struct failing {
	int (*cb)(void *arg, const char *folder, const struct failure *f, struct err *e);
	void *arg;
	struct arena arena;
	VEC(struct folder_name {
		int64_t id;
		const char *name;
	}) names;
};

static int name_folder(void *arg, int64_t id, const char *left, const char *right, struct err *e)
{
	struct failing *f = arg;
	struct folder_name n = { id, arena_str(&f->arena, slice_str(left)) };

	(void)right;
	return !n.name || vec_push(&f->names, n) < 0 ? err_set(e, ERR_LOCAL, "out of memory") : 0;
}

static int pass_failure(void *arg, const struct failure *one, struct err *e)
{
	struct failing *f = arg;

	for (size_t i = 0; i < f->names.n; i++)
		if (f->names.a[i].id == one->folder)
			return f->cb(f->arg, f->names.a[i].name, one, e);
	return f->cb(f->arg, "", one, e);
}

int job_failures(const struct job_params *p, int (*cb)(void *arg, const char *folder, const struct failure *f, struct err *e), void *arg, struct err *e)
{
	struct failing f = { .cb = cb, .arg = arg, .arena = ARENA_INIT(64 << 20) };
	struct db *db = NULL;
	char *path = NULL;
	int rc = job_look(p, &db, &path, e);

	if (rc == 0)
		rc = folders_each(db, name_folder, &f, e);
	if (rc == 0)
		rc = failures_each(db, pass_failure, &f, e);
	db_close(db);
	free(path);
	vec_release(&f.names);
	arena_release(&f.arena);
	return rc;
}

/* As in the first run: there may be no local side yet. */
static int no_right(void *arg, struct err *e)
{
	(void)arg;
	if (e->kind != ERR_LOCAL)
		return -1;
	err_clear(e);
	return 0;
}

/* Folders of a migration's source that can't be copied as things are. */
static void tell_refused(const struct folders *fs, void (*warn)(void *arg, const char *text), void *arg)
{
	for (size_t i = 0; i < fs->refused.n; i++) {
		const struct folder_refused *f = &fs->refused.a[i];
		struct err why = f->why;
		char name[160];

		err_in(&why, "folder '%s'", err_printable(name, sizeof(name), f->left, strlen(f->left)));
		warn(arg, why.text);
	}
}

int job_folders(const struct job_params *p, struct folders *out, void (*warn)(void *arg, const char *text), void *arg, struct err *e)
{
	struct store *left = job_store(p->job->left, e), *right = left ? job_store(p->job->right, e) : NULL;
	struct folders_params params = p->job->sync.folders;
	struct db *db = NULL;
	char *path = NULL;
	int rc = right ? job_look(p, &db, &path, e) : -1;

	*out = (struct folders)FOLDERS_INIT;
	if (rc == 0) {
		left->counts = right->counts = true;
		params.one_way = p->job->sync.one_way;
		rc = folders_read(out, &params, left, right, db, no_right, warn, arg, e);
	}
	if (rc == 0)
		tell_refused(out, warn, arg);
	store_free(left);
	store_free(right);
	db_close(db);
	free(path);
	return rc;
}
