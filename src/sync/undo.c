/*
 * Undo: what a run deleted at the right, and the quarantine kept, is put back there, and is new mail for the next run; what it moved to the trash at the left comes back in
 * undotrash.c. See engine.h.
 *
 * Where the folder is gone as well, the base may still speak of it, if a run was interrupted: what it says is forgotten first, or the next run would finish the removal.
 */
#include <string.h>

#include "state/pairs.h"
#include "state/runs.h"
#include "state/trashed.h"
#include "store/maildir.h"
#include "sync/undo_p.h"

int undo_no_memory(struct err *e)
{
	return err_set(e, ERR_LOCAL, "out of memory");
}

void undo_tell(struct undoing *u, enum event_at at, struct slice key, uint64_t size)
{
	char uid[ERR_TEXT_MAX];
	struct event ev = { .type = EVENT_MESSAGE, .job = u->p->job, .action = ACTION_RESTORE, .at = at, .folder = u->folder, .size = size, .dry = u->p->dry_run };

	u->totals->restored++;
	ev.uid = err_printable(uid, sizeof(uid), key.p, key.n);
	event_put(u->sink, &ev);
}

void undo_tell_failure(struct undoing *u, struct slice key, const struct err *why)
{
	char uid[ERR_TEXT_MAX];
	struct event ev = { .type = EVENT_ERROR, .job = u->p->job, .folder = u->folder, .kind = why->kind, .span = why->span, .text = why->text };

	u->totals->failed++;
	ev.uid = err_printable(uid, sizeof(uid), key.p, key.n);
	event_put(u->sink, &ev);
}

int undo_box_error(struct undoing *u, struct err *why, struct err *e)
{
	if (err_ends_all(why)) {
		*e = *why;
		return -1;
	}
	why->span = SPAN_BOX;
	undo_tell_failure(u, (struct slice){ 0 }, why);
	return 0;
}

/* store_ops.restore's done */
static void told(void *arg, struct slice key, uint64_t size, const struct err *why)
{
	if (why)
		undo_tell_failure(arg, key, why);
	else
		undo_tell(arg, AT_RIGHT, key, size);
}

/* ---- the base ---- */

static int note_row(void *arg, int64_t id, const char *left, const char *right, struct err *e)
{
	struct undo_rows *r = arg;

	return strcmp(r->left ? left : right, r->left ? r->left : r->right) == 0 && vec_push(&r->ids, id) < 0 ? undo_no_memory(e) : 0;
}

int undo_find_rows(struct undoing *u, struct undo_rows *r, struct err *e)
{
	return folders_each(u->db, note_row, r, e);
}

/* Does the base speak of one of these messages? */
struct knowing {
	struct db *db;
	const struct undo_rows *rows;
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

int undo_forget(struct undoing *u, const struct undo_rows *rows, struct err *e)
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
	struct undo_rows rows = { .right = u->folder };
	struct knowing k = { .db = u->db, .rows = &rows };
	int rc = 0;

	if (!is_there(u) || whole)
		rc = undo_find_rows(u, &rows, e);
	if (rc == 0 && rows.ids.n > 0 && is_there(u))
		rc = quarantine_messages(b, know, &k, e);
	if (rc == 0 && rows.ids.n > 0 && (k.known || !is_there(u)))
		rc = undo_forget(u, &rows, e);
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
	undo_tell(arg, AT_RIGHT, unique, 0);
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
	return undo_box_error(u, &why, e);
}

/* ---- the run ---- */

static int take_first(void *arg, const struct quarantine_run *r, struct err *e)
{
	(void)e;
	*(int64_t *)arg = r->run;
	return 1;
}

static int take_later(void *arg, const struct trashed_run *r, struct err *e)
{
	int64_t *run = arg;

	(void)e;
	if (r->run > *run)
		*run = r->run;
	return 1;
}

static int find_run(struct undoing *u, struct err *e)
{
	int64_t next;

	u->run = u->p->run;
	if (u->run == 0 && (quarantine_runs(u->p->quarantine, take_first, &u->run, e) < 0 || trashed_runs(u->db, take_later, &u->run, e) < 0))
		return -1;
	if (runs_next(u->db, &next, e) < 0)
		return -1;
	if (u->run <= next)
		return 0;
	err_set(e, ERR_USAGE, "there was no run %lld yet", (long long)u->run);
	return err_hint(e, "`mailhaul status` shows those of which something is kept");
}

static int nothing_kept(const struct undoing *u, struct err *e)
{
	struct err ignored = ERR_INIT;
	struct run_row r;

	if (u->run == 0)
		err_set(e, ERR_USAGE, "nothing is kept of what was deleted");
	else
		err_set(e, ERR_USAGE, "nothing is kept of what run %lld deleted", (long long)u->run);
	if (u->p->run != 0 && !u->p->trash && runs_get(u->db, u->run, &r, &ignored) == 1 && r.deleted_left > 0)
		return err_hint(e, "what it deleted at the server is gone for good: there was no `trash`");
	return err_hint(e, "what was put back is kept no more, nor what was deleted longer ago than `quarantine` says; `mailhaul status` shows what there is");
}

static int note_folder(void *arg, const struct folder_info *f, struct err *e)
{
	struct undoing *u = arg;
	const char *name = arena_str(&u->names, slice_str(f->name));

	return !name || vec_push(&u->there, name) < 0 ? undo_no_memory(e) : 0;
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

/* All is back: nothing need be known of it. */
static int forget_trashed(struct undoing *u, struct err *e)
{
	if (u->trashed == 0)
		return 0;
	exec_step(&u->x, "forget what was in the trash");
	if (db_begin(u->db, e) < 0)
		return -1;
	if (trashed_forget(u->db, u->run, e) < 0) {
		db_rollback(u->db);
		return -1;
	}
	return db_commit(u->db, e);
}

/* Both sides: what is here first, for which no server is needed. */
static int put_all_back(struct undoing *u, struct err *e)
{
	int rc = quarantine_boxes(u->p->quarantine, u->run, undo_box, u, e);

	if (rc == 0)
		rc = undo_trash(u, e);
	if (rc < 0 && u->totals->restored > 0 && !u->p->dry_run)
		err_hint(e, "what was put back is there; the same again does the rest");
	return rc;
}

int engine_undo(const struct undo_params *p, struct store *left, struct store *right, struct db *db, const struct event_sink *sink, struct event_totals *totals,
		struct undone *out, struct err *e)
{
	struct undoing u = { .p = p, .left = left, .right = right, .db = db, .sink = sink, .totals = totals, .names = ARENA_INIT(64 << 20) };
	int rc;

	u.x = (struct exec){ .stop_at = p->stop_at };
	memset(totals, 0, sizeof(*totals));
	rc = find_run(&u, e);
	if (rc == 0 && u.run > 0 && !p->dry_run)
		rc = look_around(&u, e);
	if (rc == 0 && u.run > 0)
		rc = put_all_back(&u, e);
	if (rc == 0 && u.found == 0)
		rc = nothing_kept(&u, e);
	if (rc == 0 && !p->dry_run && totals->failed == 0) {
		exec_step(&u.x, "empty the quarantine");
		rc = quarantine_drop(p->quarantine, u.run, e);
		if (rc == 0)
			rc = forget_trashed(&u, e);
	}
	*out = (struct undone){ .run = u.run, .trashed = u.trashed, .steps = u.x.step };
	left->ops->close_box(left);
	right->ops->close_box(right);
	vec_release(&u.there);
	arena_release(&u.names);
	return rc;
}
