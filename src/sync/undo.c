/*
 * Undo: what a run deleted at the right, and the quarantine kept, is put back there, and is new mail for the next run. See engine.h.
 *
 * Where the folder is gone as well, the base may still speak of it, if a run was interrupted: what it says is forgotten first, or the next run would finish the removal.
 */
#include <string.h>

#include "base/arena.h"
#include "base/vec.h"
#include "state/pairs.h"
#include "state/runs.h"
#include "store/maildir.h"
#include "sync/engine.h"
#include "sync/exec.h"

struct undoing {
	const struct undo_params *p;
	struct store *right;
	struct db *db;
	const struct event_sink *sink;
	struct event_totals *totals;
	struct exec x;             /* counts steps, and does nothing else */
	struct arena names;
	VEC(const char *) there;   /* folders of the right */
	int64_t run;
	uint64_t found;
	const char *folder;        /* at hand */
};

static int no_memory(struct err *e)
{
	return err_set(e, ERR_LOCAL, "out of memory");
}

static void tell(struct undoing *u, struct slice key, uint64_t size)
{
	char uid[ERR_TEXT_MAX];
	struct event ev = { .type = EVENT_MESSAGE, .job = u->p->job, .action = ACTION_RESTORE, .at = AT_RIGHT, .folder = u->folder, .size = size, .dry = u->p->dry_run };

	u->totals->restored++;
	ev.uid = err_printable(uid, sizeof(uid), key.p, key.n);
	event_put(u->sink, &ev);
}

static void tell_failure(struct undoing *u, struct slice key, const struct err *why)
{
	char uid[ERR_TEXT_MAX];
	struct event ev = { .type = EVENT_ERROR, .job = u->p->job, .folder = u->folder, .kind = why->kind, .span = why->span, .text = why->text };

	u->totals->failed++;
	ev.uid = err_printable(uid, sizeof(uid), key.p, key.n);
	event_put(u->sink, &ev);
}

/* store_ops.restore's done */
static void told(void *arg, struct slice key, uint64_t size, const struct err *why)
{
	if (why)
		tell_failure(arg, key, why);
	else
		tell(arg, key, size);
}

/* ---- the base ---- */

struct rows {
	const char *right;
	VEC(int64_t) ids;
};

static int note_row(void *arg, int64_t id, const char *left, const char *right, struct err *e)
{
	struct rows *r = arg;

	(void)left;
	return strcmp(right, r->right) == 0 && vec_push(&r->ids, id) < 0 ? no_memory(e) : 0;
}

/* Does the base speak of one of these messages? */
struct knowing {
	struct db *db;
	const struct rows *rows;
	bool known;
};

static int know(void *arg, const char *name, bool in_cur, struct err *e)
{
	struct knowing *k = arg;
	struct slice unique;
	uint32_t flags;
	struct pair p;

	(void)in_cur;
	if (!maildir_name(slice_str(name), &unique, &flags))
		return 0;
	for (size_t i = 0; !k->known && i < k->rows->ids.n; i++) {
		int rc = pairs_by_right(k->db, k->rows->ids.a[i], unique, &p, e);

		if (rc < 0)
			return -1;
		k->known = rc == 1;
	}
	return 0;
}

static bool is_there(const struct undoing *u)
{
	for (size_t i = 0; i < u->there.n; i++)
		if (strcmp(u->there.a[i], u->folder) == 0)
			return true;
	return false;
}

static int forget(struct undoing *u, const struct rows *rows, struct err *e)
{
	exec_step(&u->x, "forget a folder");
	if (db_begin(u->db, e) < 0)
		return -1;
	for (size_t i = 0; i < rows->ids.n; i++) {
		if (folders_drop(u->db, rows->ids.a[i], e) < 0) {
			db_rollback(u->db);
			return -1;
		}
	}
	return db_commit(u->db, e);
}

/* The base forgets a folder that is gone here, or whose removal was interrupted. */
static int forget_removed(struct undoing *u, bool whole, const struct quarantine_box *b, struct err *e)
{
	struct rows rows = { .right = u->folder };
	struct knowing k = { .db = u->db, .rows = &rows };
	int rc = 0;

	if (!is_there(u) || whole)
		rc = folders_each(u->db, note_row, &rows, e);
	if (rc == 0 && rows.ids.n > 0 && is_there(u))
		rc = quarantine_messages(b, know, &k, e);
	if (rc == 0 && rows.ids.n > 0 && (k.known || !is_there(u)))
		rc = forget(u, &rows, e);
	vec_release(&rows.ids);
	return rc;
}

/* ---- one folder ---- */

static int put_back(struct undoing *u, bool whole, const struct quarantine_box *b, struct err *e)
{
	struct store *s = u->right;
	struct box_info info;
	int rc = forget_removed(u, whole, b, e);

	if (rc == 0) {
		exec_step(&u->x, "make the folder");
		rc = s->ops->folder_create(s, u->folder, 0, e);
	}
	if (rc == 0)
		rc = s->ops->open_box(s, u->folder, BOX_WRITE, &info, e);
	if (rc == 0) {
		exec_step(&u->x, "put back");
		rc = s->ops->restore(s, b, u->run, told, u, e);
		exec_step(&u->x, "was put back");
	}
	s->ops->close_box(s);
	return rc;
}

static int count(void *arg, const char *name, bool in_cur, struct err *e)
{
	(void)name;
	(void)in_cur;
	(void)e;
	++*(uint64_t *)arg;
	return 0;
}

static int tell_planned(void *arg, const char *name, bool in_cur, struct err *e)
{
	struct slice unique = slice_str(name);
	uint32_t flags;

	(void)in_cur;
	(void)e;
	maildir_name(slice_str(name), &unique, &flags);
	tell(arg, unique, 0);
	return 0;
}

static int undo_box(void *arg, const char *folder, bool whole, const struct quarantine_box *b, struct err *e)
{
	struct undoing *u = arg;
	struct err why = ERR_INIT;
	uint64_t n = 0;

	u->folder = folder;
	if (quarantine_messages(b, count, &n, e) < 0)
		return -1;
	u->found += n;
	if (u->p->dry_run)
		return quarantine_messages(b, tell_planned, u, e);
	if (n == 0 || put_back(u, whole, b, &why) == 0)
		return 0;
	if (why.span == SPAN_ACCT || why.kind == ERR_CANCEL) {
		*e = why;
		return -1;
	}
	why.span = SPAN_BOX;
	tell_failure(u, (struct slice){ 0 }, &why);
	return 0;
}

/* ---- the run ---- */

static int take_first(void *arg, const struct quarantine_run *r, struct err *e)
{
	(void)e;
	*(int64_t *)arg = r->run;
	return 1;
}

static int find_run(struct undoing *u, struct err *e)
{
	int64_t next;

	u->run = u->p->run;
	if (u->run == 0 && quarantine_runs(u->p->quarantine, take_first, &u->run, e) < 0)
		return -1;
	if (runs_next(u->db, &next, e) < 0)
		return -1;
	if (u->run > next)
		return err_set(e, ERR_USAGE, "there was no run %lld yet", (long long)u->run);
	return 0;
}

static int nothing_kept(const struct undoing *u, struct err *e)
{
	if (u->run == 0)
		err_set(e, ERR_USAGE, "nothing is kept of what was deleted here");
	else
		err_set(e, ERR_USAGE, "nothing is kept of what run %lld deleted here", (long long)u->run);
	return err_hint(e, "what was put back is kept no more, nor what was deleted longer ago than `quarantine` says; `mailhaul status` shows what there is");
}

static int note_folder(void *arg, const struct folder_info *f, struct err *e)
{
	struct undoing *u = arg;
	const char *name = arena_str(&u->names, slice_str(f->name));

	return !name || vec_push(&u->there, name) < 0 ? no_memory(e) : 0;
}

static int any_row(void *arg, int64_t id, const char *left, const char *right, struct err *e)
{
	(void)id;
	(void)left;
	(void)right;
	(void)e;
	*(bool *)arg = true;
	return 0;
}

/* What the right has. One that has lost all its folders is not one that lacks some messages. */
static int look_around(struct undoing *u, struct err *e)
{
	bool known = false;

	if (u->right->ops->folders(u->right, note_folder, u, e) < 0 || folders_each(u->db, any_row, &known, e) < 0)
		return -1;
	if (u->there.n > 0 || !known)
		return 0;
	err_set(e, ERR_LOCAL, "%s holds no folders any more: nothing was changed", u->p->right_name);
	return err_hint(e, "is its disk mounted?");
}

int engine_undo(const struct undo_params *p, struct store *right, struct db *db, const struct event_sink *sink, struct event_totals *totals, int64_t *run, int *steps,
		struct err *e)
{
	struct undoing u = { .p = p, .right = right, .db = db, .sink = sink, .totals = totals, .names = ARENA_INIT(64 << 20) };
	int rc;

	u.x = (struct exec){ .stop_at = p->stop_at };
	memset(totals, 0, sizeof(*totals));
	rc = find_run(&u, e);
	if (rc == 0 && u.run > 0 && !p->dry_run)
		rc = look_around(&u, e);
	if (rc == 0 && u.run > 0)
		rc = quarantine_boxes(p->quarantine, u.run, undo_box, &u, e);
	if (rc == 0 && u.found == 0)
		rc = nothing_kept(&u, e);
	if (rc == 0 && !p->dry_run && totals->failed == 0) {
		exec_step(&u.x, "empty the quarantine");
		rc = quarantine_drop(p->quarantine, u.run, e);
	}
	*run = u.run;
	*steps = u.x.step;
	right->ops->close_box(right);
	vec_release(&u.there);
	arena_release(&u.names);
	return rc;
}
