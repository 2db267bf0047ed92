#include "job/job.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/log.h"
#include "config/value.h"
#include "job/confine.h"
#include "job/hooks.h"
#include "job/refused.h"
#include "job/side.h"
#include "net/tls.h"
#include "state/pairs.h"
#include "state/trashed.h"
#include "sync/engine.h"

/* DIR/NAME and a suffix. */
char *job_path(const char *dir, const char *job, const char *suffix, struct err *e)
{
	struct strbuf b = STRBUF_INIT(4096);

	strbuf_puts(&b, dir);
	strbuf_putc(&b, '/');
	for (const char *p = job; *p; p++) {
		unsigned char c = (unsigned char)*p;

		/* A name is one file: what could leave the directory, hide or confuse is escaped, reversibly. */
		if (isalnum(c) || c == '-' || c == '_' || c == '@' || (c == '.' && p != job) || c >= 0x80)
			strbuf_putc(&b, (char)c);
		else
			strbuf_printf(&b, "%%%02X", c);
	}
	strbuf_puts(&b, suffix);
	if (b.failed) {
		strbuf_release(&b);
		err_set(e, ERR_CONF, "'%s': the name is too long", job);
		return NULL;
	}
	return strbuf_detach(&b);
}

char *job_state_path(const char *state_dir, const char *job, struct err *e)
{
	return job_path(state_dir, job, ".db", e);
}

struct store *job_store(const struct config_end *end, struct err *e)
{
	switch (end->kind) {
	case CONFIG_POP3:
		return pop3store_new(&end->pop3, e);
	case CONFIG_IMAP:
		return imapstore_new(&end->imap, e);
	case CONFIG_MAILDIR:
		return maildir_new(&end->maildir, e);
	case CONFIG_MBOX:
		return mbox_new(&end->mbox, e);
	}
	err_set(e, ERR_BUG, "no store of kind %d", (int)end->kind);
	return NULL;
}

/* "pop3:jane@pop.example.org" */
static void put_source(struct strbuf *out, const char *protocol, const char *user, const char *host)
{
	strbuf_printf(out, "%s:%s@", protocol, user ? user : "");
	for (; host && *host; host++)
		strbuf_putc(out, (char)tolower((unsigned char)*host));
}

int job_source(const struct config_end *end, struct strbuf *out)
{
	switch (end->kind) {
	case CONFIG_POP3:
		put_source(out, "pop3", end->pop3.pop3.user, end->pop3.pop3.dial.host);
		break;
	case CONFIG_IMAP:
		put_source(out, "imap", end->imap.imap.user, end->imap.imap.dial.host);
		break;
	case CONFIG_MAILDIR:
		strbuf_printf(out, "maildir:%s", end->maildir.path);
		break;
	case CONFIG_MBOX:
		strbuf_printf(out, "mbox:%s", end->mbox.path);
		break;
	}
	return out->failed ? -1 : 0;
}

/* What the job's state is of: the left; of a migration to a server that, too, as with another nothing is copied yet. */
static int state_source(const struct config_job *job, struct strbuf *out)
{
	if (job_source(job->left, out) < 0)
		return -1;
	if (job->mode != CONFIG_MIGRATE || !job->right->is_account)
		return 0;
	strbuf_puts(out, " -> ");
	return job_source(job->right, out);
}

/* Open the job's base as this run needs it. */
static int open_state(const struct job_params *p, struct db **db, struct err *e)
{
	struct strbuf source = STRBUF_INIT(1024);
	char *path = job_state_path(p->state_dir, p->job->name, e);
	bool sync = config_two_way(p->job);
	enum db_how how = p->dry_run ? (sync ? DB_LOOK : DB_DRY_RUN) : p->same_source ? DB_RUN_ADOPT : sync ? DB_RUN_ANEW : DB_RUN;
	int rc = -1;

	if (!path)
		return -1;
	if (state_source(p->job, &source) < 0)
		err_set(e, ERR_CONF, "user and host are too long");
	else if (!p->dry_run && fs_mkdirs(p->state_dir, 0700, e) < 0)
		err_hint(e, "it is to hold the job's state; --state-dir names another");
	else
		rc = db_open(path, how, strbuf_str(&source), db, e);
	strbuf_release(&source);
	free(path);
	return rc;
}

/* The server asked us to stay away: until when? */
static int heed_pause(const struct job_params *p, struct db *db, struct err *e)
{
	int64_t until;
	char reason[256];

	if (pause_get(db, &until, reason, sizeof(reason), e) < 0)
		return -1;
	if (budget_says(reason)) /* which was looked at before: there may be more of it now */
		return 0;
	until = runs_future(until, clock_wall(), PAUSE_MAX);
	if (until <= clock_wall() || p->ignore_pause)
		return 0;
	err_set(e, ERR_TEMP, "the server asked for a pause of another %lld s: %s", (long long)(until - clock_wall()), reason);
	return err_hint(e, "name the job to try all the same");
}

#define NOT_NOTED (-1)

/* Note the run in the base, by its number (0: the next). A run in which nothing happened leaves only its time, unless it ends a row of failures. */
static void note_run(struct db *db, int64_t number, int64_t started, const struct event_totals *t, const struct err *why)
{
	struct err ignored = ERR_INIT;
	struct run_row last, r = { .id = number, .started = started, .ended = clock_wall(), .kind = why->kind, .pulled = t->pulled, .pushed = t->pushed, .flagged = t->flagged,
				   .deleted = t->deleted, .deleted_left = t->deleted_left, .failed = t->failed, .skipped = t->skipped, .bytes_in = t->bytes_in, .seconds = t->seconds };
	bool happened = why->kind != ERR_NONE || t->pulled || t->pushed || t->flagged || t->moved || t->deleted || t->failed || t->made || t->removed || t->renamed;

	snprintf(r.text, sizeof(r.text), "%s", why->text);
	if (!happened && runs_last(db, &last, &ignored) == 1 && last.kind != ERR_NONE)
		happened = true;
	if (happened && runs_add(db, &r, &ignored) < 0)
		log_debug("the run could not be noted: %s", ignored.text);
	if (why->kind != ERR_NONE && why->retry_after > 0 && pause_set(db, r.ended + why->retry_after, why->text, &ignored) < 0)
		log_debug("the pause could not be noted: %s", ignored.text);
	db_touch(db);
}

/* Fetch: from the left to the right. */
static int run_fetch(const struct job_params *p, struct store *src, struct store *dst, struct db *db, struct budget *budget, int64_t now, const struct event_sink *sink,
		     struct event_totals *totals, struct err *e)
{
	const struct config_job *job = p->job;
	struct engine_params ep = { .job = job->name, .policy = job->policy, .folder = job->folder ? job->folder : "", .target = job->file ? job->right->url : NULL, .flags = job->flags,
				    .purge_after = job->purge_after, .budget = budget, .dry_run = p->dry_run, .stop_at = p->stop_at };

	ep.policy.now = now;
	return engine_fetch(&ep, src, dst, db, sink, totals, e);
}

static void tell_warning(const struct job_params *p, const struct event_sink *sink, const char *text)
{
	struct event ev = { .type = EVENT_WARNING, .job = p->job->name, .text = text };

	event_put(sink, &ev);
}

/* Does a directory lie in another? Links are followed; what isn't there yet is as it is written. */
static bool lies_within(const char *dir, const char *top)
{
	char *a = realpath(dir, NULL), *b = realpath(top, NULL);
	const char *x = a ? a : dir, *y = b ? b : top;
	size_t n = strlen(y);
	bool within = strncmp(x, y, n) == 0 && (x[n] == '\0' || x[n] == '/');

	free(a);
	free(b);
	return within;
}

/* What is kept would be folders of a side that the state is in. */
static int check_quarantine(const struct job_params *p, struct err *e)
{
	const struct config_end *ends[] = { p->job->left, p->job->right };

	for (size_t i = 0; i < 2 && p->job->sync.quarantine > 0; i++) {
		const char *path = ends[i]->kind == CONFIG_MAILDIR ? ends[i]->maildir.path : ends[i]->kind == CONFIG_MBOX ? ends[i]->mbox.path : NULL;

		if (!path || !lies_within(p->state_dir, path))
			continue;
		err_set(e, ERR_CONF, "the state directory %s lies in %s: what is kept there would be taken for its folders", p->state_dir, path);
		return err_hint(e, "name another with --state-dir, or say quarantine = 0");
	}
	return 0;
}

/*
 * Where a two-way job keeps what it deletes here, and the number of this run; q->name is malloc'd. A base without runs is a new one, and what is kept may be of an older: its
 * numbers are not given again.
 */
static int find_quarantine(const struct job_params *p, struct db *db, struct quarantine *q, struct err *e)
{
	*q = (struct quarantine){ .state_dir = p->state_dir, .name = job_path("quarantine", p->job->name, "", e) };
	if (!q->name || runs_next(db, &q->run, e) < 0)
		return -1;
	if (q->run == 1) {
		if (quarantine_last(q, &q->run, e) < 0)
			return -1;
		q->run++;
	}
	return 0;
}

/* What was kept long enough goes, and what is known of the trash. */
static void expire(const struct job_params *p, struct db *db, const struct quarantine *q, const struct event_sink *sink)
{
	int64_t before = clock_wall() - p->job->sync.quarantine;
	struct err why = ERR_INIT;

	if (p->dry_run)
		return;
	if (quarantine_expire(q, before, &why) < 0)
		tell_warning(p, sink, why.text);
	err_clear(&why);
	if (trashed_expire(db, before, &why) < 0)
		tell_warning(p, sink, why.text);
}

/* What undo can't bring back of what was deleted at the other side: its content was gone here already. */
static void tell_lost(const struct job_params *p, struct db *db, const struct undone *done, const struct event_sink *sink)
{
	struct err ignored = ERR_INIT;
	struct run_row r;
	uint64_t lost;
	char text[ERR_TEXT_MAX];

	if (runs_get(db, done->run, &r, &ignored) != 1 || r.deleted_left <= done->trashed)
		return;
	lost = r.deleted_left - done->trashed;
	if (p->job->sync.trash)
		snprintf(text, sizeof(text), "of %llu message%s that run %lld deleted at the server nothing was noted: have a mail reader move back what is in the trash there, and wanted",
			 (unsigned long long)lost, lost == 1 ? "" : "s", (long long)done->run);
	else
		snprintf(text, sizeof(text), "%llu message%s that run %lld deleted at the server %s gone for good: there was no `trash`",
			 (unsigned long long)lost, lost == 1 ? "" : "s", (long long)done->run, lost == 1 ? "is" : "are");
	tell_warning(p, sink, text);
}

/* Put back what a run deleted; the run of the job that follows brings it to the other side. *steps: of the tests */
static int run_undo(const struct job_params *p, struct store *left, struct store *right, struct db *db, const struct quarantine *q, const struct event_sink *sink,
		    struct event_totals *totals, int *steps, struct err *e)
{
	struct undo_params up = { .job = p->job->name, .quarantine = q, .run = p->undo_run, .right_name = p->job->sync.right_name, .trash = p->job->sync.trash,
				  .dry_run = p->dry_run, .stop_at = p->stop_at };
	struct undone done;
	int rc = engine_undo(&up, left, right, db, sink, totals, &done, e);

	*steps = done.steps;
	if (rc == 0)
		tell_lost(p, db, &done, sink);
	return rc;
}

/* Sync: both ways. */
static int run_sync(const struct job_params *p, struct store *left, struct store *right, struct db *db, struct budget *budget, int64_t now, int stop_at, const struct event_sink *sink,
		    struct event_totals *totals, int64_t number, struct err *e)
{
	struct sync_params sp = p->job->sync;

	sp.now = now;
	sp.run = number;
	sp.restore = p->restore;
	sp.allow_deletions = p->allow_deletions;
	sp.budget = budget;
	sp.settle = p->settle;
	sp.dry_run = p->dry_run;
	sp.stop_at = stop_at;
	return engine_sync(&sp, left, right, db, sink, totals, e);
}

/* A two-way job with its quarantine. *number: by which the state is to say what it did, or NOT_NOTED. */
static int run_two_way(const struct job_params *p, struct store *left, struct store *right, struct db *db, struct budget *budget, int64_t now, const struct event_sink *sink,
		       struct event_totals *totals, int64_t *number, struct err *e)
{
	struct event_totals undone = { 0 };
	struct quarantine q;
	const bool keeps = p->job->sync.quarantine > 0 && !p->dry_run && right->ops->restore != store_cannot_restore;
	int rc = find_quarantine(p, db, &q, e), steps = 0;

	*number = p->undo || rc < 0 ? NOT_NOTED : q.run;
	if (rc == 0)
		rc = check_quarantine(p, e);
	if (rc == 0 && p->undo)
		rc = run_undo(p, left, right, db, &q, sink, &undone, &steps, e);
	else if (rc == 0)
		expire(p, db, &q, sink); /* there may be no room for more */
	*totals = undone;
	if (rc == 0 && !(p->undo && p->dry_run)) {
		*number = q.run;
		if (keeps)
			right->quarantine = &q;
		rc = run_sync(p, left, right, db, budget, now, p->stop_at > steps ? p->stop_at - steps : 0, sink, totals, keeps ? q.run : 0, e);
		if (rc < 0 && undone.restored > 0)
			err_hint(e, "what was put back is here, and the next run brings it to the server");
		totals->restored = undone.restored;
		totals->failed += undone.failed;
		totals->quarantined = q.kept;
		totals->run = q.kept > 0 || totals->trashed > 0 ? (uint64_t)q.run : 0;
	}
	if (rc == 0 && p->undo)
		expire(p, db, &q, sink);
	right->quarantine = NULL;
	free((char *)(uintptr_t)q.name);
	return rc;
}

/* The job's budget, if it has one and this run counts; -1 also when it is used up. */
static int open_budget(const struct job_params *p, struct db *db, const struct job_side *sides, struct budget *b, struct budget **out, struct err *e)
{
	char shown[32];

	*out = NULL;
	if (p->job->budget == 0 || p->dry_run)
		return 0;
	if (budget_init(b, db, p->job->budget, value_show_size((int64_t)p->job->budget, shown), sides[0].store, sides[1].store, e) < 0 || budget_check(b, e) < 0)
		return -1;
	*out = b;
	return 0;
}

/* Compare the sides; nothing is changed, here or there. */
static int run_verify(const struct job_params *p, const struct event_sink *sink, struct event_totals *totals, struct event_compared *found, struct err *e)
{
	const struct config_job *job = p->job;
	struct verify_params vp = { .job = job->name, .sync = job->mode == CONFIG_FETCH ? NULL : &job->sync, .folder = job->folder ? job->folder : "",
				    .listed = job->mode == CONFIG_FETCH && job->right->kind == CONFIG_MBOX ? "INBOX" : NULL, .max_size = job->policy.max_size, .full = p->verify_full, .all = p->verify_all, .now = clock_wall() };
	struct job_params only_look = *p;
	struct job_side sides[2] = { { .store = NULL }, { .store = NULL } };
	struct db *db = NULL;
	char *path = NULL;
	int rc = job_look(p, &db, &path, e);

	only_look.dry_run = true;
	if (rc == 0 && db_holder(path) != 0)
		tell_warning(p, sink, "a run of this job is going on: what it has not done yet shows as a difference");
	if (rc == 0)
		rc = heed_pause(p, db, e);
	if (rc == 0 && (job_side_open(p, job->left, &sides[0], e) < 0 || job_side_open(p, job->right, &sides[1], e) < 0))
		rc = -1;
	if (rc == 0)
		rc = engine_verify(&vp, sides[0].store, sides[1].store, db, sink, totals, found, e);
	job_side_close(&only_look, &sides[0]);
	job_side_close(&only_look, &sides[1]);
	db_close(db);
	free(path);
	return rc;
}

/* Is it too early to try? -1 with the reason. */
static int check_patience(const struct job_params *p, struct db *db, const struct job_side *sides, struct budget *counting, struct budget **budget, struct err *e)
{
	if (open_budget(p, db, sides, counting, budget, e) < 0 || heed_pause(p, db, e) < 0)
		return -1;
	return p->scheduled ? refused_check(p, e) : 0;
}

/* The work itself: stores, state, engine. *untried: it is too early. */
static int run_engine(const struct job_params *p, const struct event_sink *sink, struct event_totals *totals, bool *untried, struct err *e)
{
	struct job_side sides[2] = { { .store = NULL }, { .store = NULL } };
	struct budget counting, *budget = NULL;
	struct err ignored = ERR_INIT;
	struct db *db = NULL;
	int64_t started = clock_wall();
	int64_t number = 0;
	int rc = -1;

	if (open_state(p, &db, e) < 0)
		return -1;
	if (job_side_open(p, p->job->left, &sides[0], e) < 0 || job_side_open(p, p->job->right, &sides[1], e) < 0)
		goto out;
	*untried = check_patience(p, db, sides, &counting, &budget, e) < 0;
	if (*untried)
		goto out;
	if (config_two_way(p->job))
		rc = run_two_way(p, sides[0].store, sides[1].store, db, budget, started, sink, totals, &number, e);
	else
		rc = run_fetch(p, sides[0].store, sides[1].store, db, budget, started, sink, totals, e);
	if (budget && budget_note(budget, &ignored) < 0)
		log_debug("what was exchanged could not be noted: %s", ignored.text);
	if (!p->dry_run && number != NOT_NOTED)
		note_run(db, number, started, totals, e);
out:
	job_side_close(p, &sides[0]);
	job_side_close(p, &sides[1]);
	db_close(db);
	return rc;
}

static enum event_sides sides_of(const struct config_job *job)
{
	if (job->mode == CONFIG_FETCH || job->sync.one_way)
		return SIDES_ONE_WAY;
	return job->right->is_account ? SIDES_REMOTE : SIDES_HERE;
}

int job_run(const struct job_params *p, const struct event_sink *sink)
{
	struct err e = ERR_INIT;
	struct event start = { .type = EVENT_START, .job = p->job->name, .two_way = config_two_way(p->job), .one_way = p->job->mode == CONFIG_MIGRATE,
			       .verify = p->verify };
	struct event end = { .type = EVENT_END, .job = p->job->name, .two_way = start.two_way, .one_way = start.one_way, .verify = p->verify, .sides = sides_of(p->job) };
	struct event stop = { .type = EVENT_ERROR, .job = p->job->name };
	struct confine confine;
	struct hooks hooks;
	const struct event_sink own = hooks_listen(&hooks, p->job, sink);
	int rc;

	log_push("%s", p->job->name);
	event_put(sink, &start);
	rc = confine_enter(&confine, p, &e);
	if (rc == 0)
		rc = p->verify ? run_verify(p, &own, &end.totals, &end.compared, &e) : run_engine(p, &own, &end.totals, &stop.untried, &e);
	if (rc < 0) {
		if (e.kind == ERR_AUTH && !stop.untried && !p->verify)
			refused_note(p);
		if (e.kind == ERR_LOCAL && confine.files && strstr(e.text, strerror(EACCES)))
			err_hint(&e, "if not by the file's mode, then by the sandbox: see mailhaul.conf(5)");
		if (err_link_lost(&e) && !p->verify)
			err_hint(&e, "what was done is safe; the next run goes on from there");
		stop.kind = e.kind;
		stop.span = SPAN_ACCT;
		stop.text = e.text;
		stop.retry_after = e.retry_after;
		event_put(sink, &stop);
		end.exit_code = e.kind == ERR_CANCEL && clock_cancel_signal() ? 128 + clock_cancel_signal() : err_exit_code(e.kind);
	} else if (end.totals.failed > 0 || event_compared_drift(&end.compared) > 0) {
		end.exit_code = 1;
	}
	if (!p->dry_run && !p->verify)
		hooks_run(&hooks, &end);
	hooks_release(&hooks);
	confine_leave(&confine);
	if (end.exit_code <= 1 && clock_cancelled())
		end.exit_code = 128 + clock_cancel_signal();
	event_put(sink, &end);
	log_pop();
	return end.exit_code;
}
