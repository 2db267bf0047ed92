/*
 * What a run moved to the trash at the left is moved back to its folders there: for the next run it is new, or moved from the trash if that is synced, too. What the base
 * noted of each message tells which one in the trash it is; that it is about to be moved back is noted before, and then that it was. See engine.h.
 *
 * An undo that was interrupted in between leaves open what became of those it was about to move. What is not in the trash any more was moved. What is there may have been
 * copied, by a server without MOVE: if the folder has such a message, and had it not when the run was, that is the copy, and what is in the trash stays there.
 *
 * Where a server shows a message in several folders, a run may have taken it from one of them, and not to the trash. The folder that shows all has it still: from there it is
 * copied. That comes last, as it may be what came out of the trash just before.
 *
 * A run that was interrupted may have noted what it did not come to. As long as such a message is in its folder nothing was deleted, whatever a server without MOVE has copied.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "mail/flags.h"
#include "sync/proof.h"
#include "sync/undoseek_p.h"

static bool is_elsewhere(const struct binned *r)
{
	return strcmp(r->trash, TRASHED_ELSEWHERE) == 0;
}

/* ---- the base ---- */

/* These are in another state from now on. */
static int note(struct bin *b, const binned_list *rows, enum trashed_state state, struct err *e)
{
	struct undoing *u = b->u;

	if (rows->n == 0)
		return 0;
	exec_step(&u->x, "note what is in the trash");
	if (db_begin(u->db, e) < 0)
		return -1;
	for (size_t i = 0; i < rows->n; i++) {
		struct binned *r = rows->a[i];

		if (trashed_mark(u->db, u->run, r->folder, r->key, state, e) < 0) {
			db_rollback(u->db);
			return -1;
		}
	}
	if (db_commit(u->db, e) < 0)
		return -1;
	for (size_t i = 0; i < rows->n; i++)
		rows->a[i]->state = state;
	return 0;
}

/* ---- one folder ---- */

static int by_row_num(const void *a, const void *b)
{
	const struct binned *x = *(struct binned *const *)a, *y = *(struct binned *const *)b;

	return (x->num > y->num) - (x->num < y->num);
}

struct moving {
	struct bin *b;
	binned_list *rows; /* by num */
};

/* store_ops.move's done */
static void moved(void *arg, uint64_t num, struct slice key, const struct err *why)
{
	struct moving *m = arg;
	struct binned one = { .num = num }, *key_row = &one, **found = bsearch(&key_row, m->rows->a, m->rows->n, sizeof(*m->rows->a), by_row_num);

	(void)key;
	if (!found)
		return;
	(*found)->end = why ? END_REFUSED : END_MOVED;
	if (why)
		undo_tell_failure(m->b->u, (*found)->now, why);
}

/* Those that ended so. */
static int ended(binned_list *out, const binned_list *rows, int end, struct err *e)
{
	vec_clear(out);
	for (size_t i = 0; i < rows->n; i++)
		if ((int)rows->a[i]->end == end && vec_push(out, rows->a[i]) < 0)
			return undo_no_memory(e);
	return 0;
}

/* So many of these are neither where they went nor where they were. */
static void count_missing(struct bin *b, const binned_list *rows, size_t n)
{
	if (rows->n > 0)
		*(is_elsewhere(rows->a[0]) ? &b->missing_elsewhere : &b->missing) += n;
}

/* What became of those that were to be moved. */
static int note_ends(struct bin *b, const binned_list *rows, struct err *e)
{
	binned_list some = { 0 };
	int rc = ended(&some, rows, END_MOVED, e);

	if (rc == 0)
		rc = note(b, &some, TRASHED_DONE, e);
	for (size_t i = 0; rc == 0 && i < some.n; i++)
		undo_tell(b->u, AT_LEFT, some.a[i]->now, some.a[i]->told.size);
	if (rc == 0)
		rc = ended(&some, rows, END_GONE, e);
	count_missing(b, rows, some.n);
	if (rc == 0)
		rc = note(b, &some, TRASHED_DONE, e);
	if (rc == 0)
		rc = ended(&some, rows, END_REFUSED, e);
	if (rc == 0)
		rc = note(b, &some, TRASHED_KEPT, e);
	vec_release(&some);
	return rc;
}

/* store_ops.set_flags' done: what can't be taken off goes along */
static void unmarked(void *arg, uint64_t num, const struct err *why)
{
	(void)arg;
	if (why)
		log_debug("message %llu stays marked as deleted: %s", (unsigned long long)num, why->text);
}

/* In a trash messages may be marked as deleted: so they would be gone again where they go. */
static int unmark(struct bin *b, const binned_list *rows, struct err *e)
{
	VEC(struct flag_change) changes = { 0 };
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < rows->n; i++) {
		struct flag_change c = { .num = rows->a[i]->num, .del = FLAG_DELETED };

		if (rows->a[i]->end != END_GONE && !is_elsewhere(rows->a[i]) && rows->a[i]->flags & FLAG_DELETED && vec_push(&changes, c) < 0)
			rc = undo_no_memory(e);
	}
	if (rc == 0 && changes.n > 0)
		rc = b->s->ops->set_flags(b->s, changes.a, changes.n, unmarked, NULL, e);
	vec_release(&changes);
	return rc;
}

/* Move them, or copy what is elsewhere. It is noted that this is about to happen. */
static int move(struct bin *b, const char *trash, const char *folder, binned_list *rows, struct err *e)
{
	const struct store_ops *ops = b->s->ops;
	struct moving m = { b, rows };
	VEC(uint64_t) nums = { 0 };
	struct box_info info;
	int rc = b->s->ops->open_box(b->s, trash, BOX_WRITE, &info, e);

	for (size_t i = 0; rc >= 0 && i < rows->n; i++) {
		struct binned *r = rows->a[i];
		struct store_msg x = { .num = 0 };

		rc = b->s->ops->find(b->s, r->now, r->flags, &x, e);
		r->num = x.num;
		if (rc == 0)
			r->end = END_GONE;
		else if (rc == 1 && vec_push(&nums, x.num) < 0)
			rc = undo_no_memory(e);
	}
	if (rc >= 0)
		qsort(rows->a, rows->n, sizeof(*rows->a), by_row_num);
	if (rc >= 0)
		rc = unmark(b, rows, e);
	exec_step(&b->u->x, "move back");
	if (rc >= 0)
		rc = nums.n == 0 ? 0 : (is_elsewhere(rows->a[0]) ? ops->copy : ops->move)(b->s, nums.a, nums.n, folder, NULL, moved, &m, e);
	exec_step(&b->u->x, "was moved back");
	b->s->ops->close_box(b->s);
	vec_release(&nums);
	/* also when the link broke: what was done is done */
	if (note_ends(b, rows, rc == 0 ? e : NULL) < 0)
		rc = -1;
	return rc;
}

static const struct folder_info *find_folder(const struct bin *b, const char *name)
{
	for (size_t i = 0; i < b->there.n; i++)
		if (strcmp(b->there.a[i].name, name) == 0)
			return &b->there.a[i];
	return NULL;
}

/* The base may still speak of a folder that was removed at the left: the next run would remove it here as well. */
static int make_folder(struct bin *b, const char *folder, struct err *e)
{
	struct undo_rows rows = { .left = folder };
	int rc = undo_find_rows(b->u, &rows, e);

	if (rc == 0 && rows.ids.n > 0)
		rc = undo_forget(b->u, &rows, e);
	vec_release(&rows.ids);
	if (rc < 0)
		return -1;
	exec_step(&b->u->x, "make the folder");
	return b->s->ops->folder_create(b->s, folder, 0, e);
}

/* Of those that an undo before this one was about to move: what the folder has got since was moved then. */
static int settle_asked(struct bin *b, const char *folder, binned_list *rows, struct err *e)
{
	struct undo_rows known = { .left = folder };
	struct search s = { .folder = folder, .but = &known };
	binned_list asked = { 0 }, there = { 0 };
	size_t kept = 0;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < rows->n; i++) {
		if (rows->a[i]->state != TRASHED_ASKED)
			continue;
		rc = vec_push(&asked, rows->a[i]) < 0 ? undo_no_memory(e) : 0;
		s.since = rows->a[i]->noted > s.since ? rows->a[i]->noted : s.since;
	}
	if (rc == 0 && asked.n > 0)
		rc = undo_find_rows(b->u, &known, e);
	if (rc == 0 && asked.n > 0)
		rc = undoseek(b, &s, &asked, e);
	for (size_t i = 0; rc == 0 && i < asked.n; i++)
		if (asked.a[i]->hit.n > 0 && vec_push(&there, asked.a[i]) < 0)
			rc = undo_no_memory(e);
	if (rc == 0)
		rc = note(b, &there, TRASHED_DONE, e);
	for (size_t i = 0; rc == 0 && i < rows->n; i++)
		if (rows->a[i]->state != TRASHED_DONE)
			rows->a[kept++] = rows->a[i];
	if (rc == 0)
		rows->n = kept;
	vec_release(&asked);
	vec_release(&there);
	vec_release(&known.ids);
	return rc;
}

/* Those of one folder that are in the trash. */
static int to_folder(struct bin *b, const char *trash, binned_list *rows, struct err *e)
{
	const char *folder = rows->a[0]->folder;
	const struct folder_info *f = find_folder(b, folder);
	bool there = f && !(f->attrs & FOLDER_NO_SELECT);

	b->u->folder = folder;
	if (there ? settle_asked(b, folder, rows, e) < 0 : make_folder(b, folder, e) < 0)
		return -1;
	if (rows->n == 0)
		return 0;
	if (note(b, rows, TRASHED_ASKED, e) < 0)
		return -1;
	return move(b, trash, folder, rows, e);
}

/* ---- what an interrupted run did not come to ---- */

/* Does the base still have the pair? A folder that was made anew may give the key to another message. 1, 0, -1. */
static int is_known(struct bin *b, const struct undo_rows *known, const struct binned *r, struct err *e)
{
	struct pair p;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < known->ids.n; i++) {
		rc = pairs_by_left(b->u->db, known->ids.a[i], r->key, &p, e);
		if (rc == 1 && (p.made > r->noted || proof_is_other(&r->told, &p.told)))
			rc = 0;
	}
	return rc;
}

/* They are not in the trash, as far as the base is concerned. */
static int drop(struct bin *b, const binned_list *rows, struct err *e)
{
	exec_step(&b->u->x, "drop what is not in the trash");
	if (db_begin(b->u->db, e) < 0)
		return -1;
	for (size_t i = 0; i < rows->n; i++) {
		if (trashed_drop(b->u->db, b->u->run, rows->a[i]->folder, rows->a[i]->key, e) < 0) {
			db_rollback(b->u->db);
			return -1;
		}
		rows->a[i]->end = END_STAYS;
	}
	return db_commit(b->u->db, e);
}

/* Of one folder. */
static int settle_unfinished(struct bin *b, struct binned *rows, size_t n, struct err *e)
{
	const struct folder_info *f = find_folder(b, rows[0].folder);
	struct undo_rows known = { .left = rows[0].folder };
	struct search s = { .folder = rows[0].folder, .by_key = true };
	binned_list some = { 0 };
	size_t stay = 0;
	int rc = f && !(f->attrs & FOLDER_NO_SELECT) ? undo_find_rows(b->u, &known, e) : 0;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		rc = is_known(b, &known, &rows[i], e);
		if (rc == 1)
			rc = vec_push(&some, &rows[i]) < 0 ? undo_no_memory(e) : 0;
	}
	if (rc == 0 && some.n > 0)
		rc = undoseek(b, &s, &some, e);
	for (size_t i = 0; rc == 0 && i < some.n; i++)
		if (some.a[i]->hit.n > 0)
			some.a[stay++] = some.a[i];
	some.n = stay;
	if (rc == 0 && stay > 0)
		rc = drop(b, &some, e);
	vec_release(&some);
	vec_release(&known.ids);
	return rc;
}

/* ---- one trash ---- */

static const char *find_role(const struct bin *b, unsigned role)
{
	for (size_t i = 0; i < b->there.n; i++)
		if (b->there.a[i].attrs & role && !(b->there.a[i].attrs & FOLDER_NO_SELECT))
			return b->there.a[i].name;
	return NULL;
}

/* The folder that shows all. NULL: there is none. */
static const char *find_all(const struct bin *b, size_t n, struct err *e)
{
	const char *all = b->s->ops->copy ? find_role(b, FOLDER_ALL) : NULL;

	if (all)
		return all;
	err_set_span(e, ERR_CONF, SPAN_BOX, "%zu message%s that run %lld took from a folder at the server %s in others there still, and can't be copied back: the server shows no folder of "
		     "all messages", n, n == 1 ? "" : "s", (long long)b->u->run, n == 1 ? "is" : "are");
	err_hint(e, "in the settings of Gmail, let All Mail be shown in IMAP, and do the same again");
	return NULL;
}

/* The trash that they went to, or, if it is not there any more, the one that the job has now. NULL: neither is there. */
static const char *find_trash(const struct bin *b, const char *then, size_t n, struct err *e)
{
	const char *now = b->u->p->trash;
	unsigned role = now && now[0] == '@' ? folder_role(slice_str(now + 1)) : 0;
	const struct folder_info *f = find_folder(b, then);
	const char *name;

	if (!f && now && role == 0)
		f = find_folder(b, now);
	name = f ? f->name : find_role(b, role);
	if (name)
		return name;
	err_set_span(e, ERR_CONF, SPAN_BOX, "the trash '%s' is not there any more: %zu message%s that run %lld moved to it can't be moved back", then, n, n == 1 ? "" : "s",
		     (long long)b->u->run);
	err_hint(e, "if it has another name now, say so by `trash`, and do the same again");
	return NULL;
}

/* What was looked for and is not there: an undo that was interrupted has moved it back, or somebody else has, or the trash was emptied. */
static int settle_missing(struct bin *b, const binned_list *rows, struct err *e)
{
	binned_list gone = { 0 };
	size_t missing = 0;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < rows->n; i++) {
		struct binned *r = rows->a[i];

		r->now = r->hit;
		missing += r->now.n == 0 && r->state != TRASHED_ASKED;
		rc = r->now.n == 0 && vec_push(&gone, r) < 0 ? undo_no_memory(e) : 0;
	}
	if (rc == 0)
		rc = note(b, &gone, TRASHED_DONE, e);
	if (rc == 0)
		count_missing(b, rows, missing);
	vec_release(&gone);
	return rc;
}

/* All that went to one trash, or is elsewhere. */
static int from_trash(struct bin *b, binned_list *rows, struct err *e)
{
	struct search look = { .folder = NULL };
	binned_list some = { 0 };
	const char *trash;
	int rc = 0;

	b->u->folder = is_elsewhere(rows->a[0]) ? rows->a[0]->folder : rows->a[0]->trash;
	trash = is_elsewhere(rows->a[0]) ? find_all(b, rows->n, e) : find_trash(b, rows->a[0]->trash, rows->n, e);
	if (!trash)
		return -1;
	exec_step(&b->u->x, "look into the trash");
	look.folder = trash;
	if (undoseek(b, &look, rows, e) < 0 || settle_missing(b, rows, e) < 0)
		return -1;
	for (size_t i = 0; rc == 0 && i < rows->n;) {
		const char *folder = rows->a[i]->folder;
		struct err why = ERR_INIT;

		vec_clear(&some);
		for (; rc == 0 && i < rows->n && strcmp(rows->a[i]->folder, folder) == 0; i++)
			if (rows->a[i]->now.n > 0 && vec_push(&some, rows->a[i]) < 0)
				rc = undo_no_memory(e);
		if (rc == 0 && some.n > 0 && to_folder(b, trash, &some, &why) < 0)
			rc = undo_box_error(b->u, &why, e);
	}
	vec_release(&some);
	return rc;
}

/* ---- the run ---- */

static int note_row(void *arg, const struct trashed *t, struct err *e)
{
	struct bin *b = arg;
	struct binned r = { .told = t->told, .state = t->state, .noted = t->noted };

	b->u->trashed++;
	if (t->state == TRASHED_DONE)
		return 0;
	r.folder = arena_str(&b->arena, slice_str(t->folder));
	r.trash = arena_str(&b->arena, slice_str(t->trash));
	r.key = arena_slice(&b->arena, t->key);
	return !r.folder || !r.trash || !r.key.p || vec_push(&b->rows, r) < 0 ? undo_no_memory(e) : 0;
}

static int note_folder(void *arg, const struct folder_info *f, struct err *e)
{
	struct bin *b = arg;
	struct folder_info copy = *f;

	copy.name = arena_str(&b->arena, slice_str(f->name));
	return !copy.name || vec_push(&b->there, copy) < 0 ? undo_no_memory(e) : 0;
}

static int by_place(const void *a, const void *b)
{
	const struct binned *x = a, *y = b;
	int rc = is_elsewhere(x) - is_elsewhere(y);

	if (rc == 0)
		rc = strcmp(x->trash, y->trash);
	if (rc == 0)
		rc = strcmp(x->folder, y->folder);
	return rc != 0 ? rc : slice_cmp(x->key, y->key);
}

static void tell_missing(const struct bin *b, size_t missing, const char *what)
{
	char text[ERR_TEXT_MAX];
	struct event ev = { .type = EVENT_WARNING, .job = b->u->p->job, .text = text };

	if (missing == 0)
		return;
	snprintf(text, sizeof(text), "%zu message%s that run %lld %s at the server %s not there any more: deleted for good since, or moved by hand", missing, missing == 1 ? "" : "s", (long long)b->u->run, what,
		 missing == 1 ? "is" : "are");
	event_put(b->u->sink, &ev);
}

/* Those that are in their folders are none. */
static int settle_all_unfinished(struct bin *b, struct err *e)
{
	size_t kept = 0;
	int rc = 0;

	for (size_t i = 0, n; rc == 0 && i < b->rows.n; i += n) {
		struct err why = ERR_INIT;

		for (n = 1; i + n < b->rows.n && strcmp(b->rows.a[i + n].folder, b->rows.a[i].folder) == 0;)
			n++;
		b->u->folder = b->rows.a[i].folder;
		if (settle_unfinished(b, &b->rows.a[i], n, &why) < 0)
			rc = undo_box_error(b->u, &why, e);
	}
	for (size_t i = 0; i < b->rows.n; i++)
		if (b->rows.a[i].end != END_STAYS)
			b->rows.a[kept++] = b->rows.a[i];
	b->u->trashed -= b->rows.n - kept;
	b->rows.n = kept;
	return rc;
}

static int bring_back(struct bin *b, struct err *e)
{
	binned_list some = { 0 };
	int rc = b->s->ops->folders(b->s, note_folder, b, e);

	qsort(b->rows.a, b->rows.n, sizeof(*b->rows.a), by_place);
	if (rc == 0)
		rc = settle_all_unfinished(b, e);
	b->u->found += b->rows.n;
	for (size_t i = 0; rc == 0 && i < b->rows.n;) {
		const char *trash = b->rows.a[i].trash;
		struct err why = ERR_INIT;

		vec_clear(&some);
		for (; rc == 0 && i < b->rows.n && strcmp(b->rows.a[i].trash, trash) == 0; i++)
			rc = vec_push(&some, &b->rows.a[i]) < 0 ? undo_no_memory(e) : 0;
		if (rc == 0 && from_trash(b, &some, &why) < 0)
			rc = undo_box_error(b->u, &why, e);
	}
	tell_missing(b, b->missing, "moved to the trash");
	tell_missing(b, b->missing_elsewhere, "took from one folder of several");
	vec_release(&some);
	return rc;
}

int undo_trash(struct undoing *u, struct err *e)
{
	struct bin b = { .u = u, .s = u->left, .arena = ARENA_INIT((size_t)1 << 32) };
	int rc = trashed_each(u->db, u->run, note_row, &b, e);

	if (u->p->dry_run)
		u->found += b.rows.n;
	else if (rc == 0 && b.rows.n > 0)
		rc = bring_back(&b, e);
	for (size_t i = 0; rc == 0 && u->p->dry_run && i < b.rows.n; i++) {
		u->folder = b.rows.a[i].folder;
		undo_tell(u, AT_LEFT, b.rows.a[i].key, b.rows.a[i].told.size);
	}
	vec_release(&b.rows);
	vec_release(&b.there);
	arena_release(&b.arena);
	return rc;
}
