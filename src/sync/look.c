/* The trees of both sides, and what is to become of each folder: see twoway.h. What has changed in them: looks.c. */
#include "sync/twoway.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int by_earlier(const void *a, const void *b)
{
	const struct earlier *x = a, *y = b;

	if (x->folder != y->folder)
		return x->folder < y->folder ? -1 : 1;
	if (x->back != y->back)
		return x->back ? 1 : -1;
	return slice_cmp(x->key, y->key);
}

static int load_failure(void *arg, const struct failure *f, struct err *e)
{
	struct twoway *g = arg;
	struct earlier x = { .folder = f->folder, .back = f->back, .next = runs_future(f->next, g->p->now, FAILURE_PAUSE_MAX), .tries = f->tries ? f->tries : 1 };

	x.key = arena_slice(&g->keys, f->key);
	return !x.key.p || vec_push(&g->earlier, x) < 0 ? twoway_no_memory(e) : 0;
}

struct earlier *look_earlier(struct twoway *g, int64_t folder, bool back, struct slice key)
{
	struct earlier want = { .folder = folder, .back = back, .key = key };

	return g->earlier.n == 0 ? NULL : bsearch(&want, g->earlier.a, g->earlier.n, sizeof(want), by_earlier);
}

/* What failed before, and which folders must be listed whole because it is time to try again. */
int look_failures(struct twoway *g, struct err *e)
{
	arena_reset(&g->keys);
	vec_clear(&g->earlier);
	if (failures_each(g->db, load_failure, g, e) < 0)
		return -1;
	if (g->earlier.n > 0)
		qsort(g->earlier.a, g->earlier.n, sizeof(*g->earlier.a), by_earlier);
	for (size_t i = 0; i < g->earlier.n; i++) {
		if (g->earlier.a[i].next > g->p->now)
			continue;
		for (size_t k = 0; k < g->boxes.n; k++)
			if (g->boxes.a[k].f->base.id == g->earlier.a[i].folder)
				g->boxes.a[k].force[g->earlier.a[i].back ? RIGHT : LEFT] = true;
	}
	return 0;
}

/* Let the base forget a folder: whatever either side has is new to it. */
int look_forget(struct twoway *g, struct box *b, struct err *e)
{
	if (!g->p->dry_run) {
		if (db_begin(g->db, e) < 0)
			return -1;
		if (folders_drop(g->db, b->f->base.id, e) < 0) {
			db_rollback(g->db);
			return -1;
		}
		if (db_commit(g->db, e) < 0)
			return -1;
	}
	b->f->base = (struct folder_row){ .id = 0 };
	b->words = (struct box_words){ .n = 0 };
	return 0;
}

/* The inbox is never removed, and never made anew where it was lost. */
static void inbox_gone(struct twoway *g, struct box *b)
{
	struct err why = ERR_INIT;

	err_set_span(&why, b->f->on_left ? ERR_LOCAL : ERR_UNAVAIL, SPAN_BOX, "the inbox is gone %s: it was left alone", twoway_at(g, b->f->on_left ? RIGHT : LEFT));
	err_hint(&why, "put it back, or run the job by name with --restore to have it filled again");
	box_failed(g, b, &why);
}

/* Where is the folder, where should it be? */
static int decide(struct twoway *g, struct box *b, struct err *e)
{
	int gone;

	if (b->f->base.id != 0 && b->f->on_left != b->f->on_right && g->p->restore && look_forget(g, b, e) < 0)
		return -1;
	if (b->f->base.id == 0) {
		b->create[LEFT] = !b->f->on_left && twoway_may(g->p->create, LEFT);
		b->create[RIGHT] = !b->f->on_right && twoway_may(g->p->create, RIGHT);
		return 0;
	}
	if (b->f->on_left == b->f->on_right)
		return 0;
	gone = b->f->on_left ? RIGHT : LEFT;
	if (strcmp(b->f->left, "INBOX") == 0)
		inbox_gone(g, b);
	else
		b->remove[!gone] = true;
	return 0;
}

/* A side that has lost its folders altogether is not one that was emptied. */
static int guard_trees(struct twoway *g, struct err *e)
{
	g->known = false;
	for (size_t i = 0; i < g->boxes.n; i++)
		g->known |= g->boxes.a[i].f->base.id != 0;
	if (g->folders.n_left == 0) {
		err_set(e, twoway_far(g, LEFT) ? ERR_UNAVAIL : ERR_LOCAL, "%s shows no folders at all, not even an inbox: nothing was changed", twoway_left(g));
		return err_hint(e, twoway_far(g, LEFT) ? "try again later; if it stays so, ask whoever runs the server" : "is it the right directory, in the right layout, and its disk mounted?");
	}
	if (g->known && g->folders.n_right == 0 && !g->p->restore) {
		err_set(e, ERR_LOCAL, "%s holds no folders any more: nothing was changed", g->p->right_name);
		return err_hint(e, "%s; or run the job by name with --restore to have everything copied again", twoway_far(g, RIGHT) ? "try again later" : "is its disk mounted? Put it back");
	}
	return 0;
}

static int pass_over(void *arg, const struct folder_info *f, struct err *e)
{
	(void)arg;
	(void)f;
	(void)e;
	return 0;
}

/* The right's root need not be there before the first run, or when it is to be filled again. */
static int make_right(void *arg, struct err *e)
{
	struct twoway *g = arg;
	struct store *right = g->side[RIGHT];
	struct err why = ERR_INIT;
	uint64_t held;

	if (e->kind != ERR_LOCAL || right->ops->folders(right, pass_over, NULL, &why) == 0 || why.kind != ERR_LOCAL)
		return -1;
	if (pairs_total(g->db, &held, &why) < 0) {
		*e = why;
		return -1;
	}
	if (held > 0 && !g->p->restore)
		return err_hint(e, "put it back; or run the job by name with --restore to have everything copied again");
	err_clear(e);
	if (g->p->dry_run)
		return 0;
	return right->ops->folder_create(right, "", 0, e) < 0 ? -1 : 1;
}

/* Both trees. */
static int read_trees(struct twoway *g, struct err *e)
{
	struct folders_params params = g->p->folders;

	params.one_way = g->p->one_way;
	params.beside = look_beside;
	params.known = g->p->one_way ? NULL : look_known_beside;
	params.foresee = look_foresee;
	g->foreseen = (struct look_hint){ .asked = false };
	g->folders = (struct folders)FOLDERS_INIT;
	return folders_read(&g->folders, &params, g->side[LEFT], g->side[RIGHT], g->db, make_right, twoway_warn, g, e);
}

int look_trees(struct twoway *g, struct err *e)
{
	folders_release(&g->folders);
	return read_trees(g, e);
}

/* Folders of the source that have no place at the target. */
static void tell_refused(struct twoway *g)
{
	for (size_t i = 0; i < g->folders.refused.n; i++) {
		const struct folder_refused *f = &g->folders.refused.a[i];
		struct event ev = { .type = EVENT_ERROR, .folder = f->left, .kind = f->why.kind, .span = SPAN_BOX, .text = f->why.text };

		g->totals->failed++;
		twoway_put(g, &ev);
	}
}

int look_folders(struct twoway *g, struct err *e)
{
	if (read_trees(g, e) < 0 || renames_follow(g, e) < 0)
		return -1;
	tell_refused(g);
	for (size_t i = 0; i < g->folders.f.n; i++) {
		/* what is to come back may be gone since long: then both stamps are of after that */
		struct box b = { .f = &g->folders.f.a[i], .join = JOIN_INIT, .force = { g->p->restore, g->p->restore } };

		if (vec_push(&g->boxes, b) < 0)
			return twoway_no_memory(e);
	}
	for (size_t i = 0; i < g->boxes.n; i++)
		g->boxes.a[i].view[LEFT].table = g->boxes.a[i].view[RIGHT].table = &g->boxes.a[i].keywords;
	if (guard_trees(g, e) < 0)
		return -1;
	if (g->boxes.n == 0)
		twoway_warn(g, "`folders` leaves no folder to work on: look at `mailhaul list` for their names");
	for (size_t i = 0; i < g->boxes.n; i++)
		if (decide(g, &g->boxes.a[i], e) < 0)
			return -1;
	return 0;
}

/* What an interrupted run left: look it up before the folder is looked at. */
static int recover_box(struct twoway *g, struct box *b, struct err *e)
{
	struct pairs_summary sum;
	struct err why = ERR_INIT;

	if (b->f->base.id == 0 || g->p->dry_run)
		return 0;
	if (pairs_summary(g->db, b->f->base.id, &sum, e) < 0)
		return -1;
	if (!sum.pending)
		return 0;
	if (words_read(g, b, e) < 0)
		return -1;
	act_on(g, b);
	b->force[LEFT] = b->force[RIGHT] = true;
	for (int s = LEFT; s <= RIGHT; s++) {
		struct box_info info;
		int rc = 0;

		/* what was on its way to a folder that is gone is new mail again: it must neither be passed over nor go with the other side's folder */
		if (box_there(b, s))
			rc = box_open(g, b, s, twoway_how(g, s), &info, &why);
		if (rc == 0 && box_there(b, s))
			rc = exec_recover(&g->x[s], &why);
		else if (rc == 0 && b->remove[!s])
			rc = exec_recover_none(&g->x[s], &why);
		g->side[s]->ops->close_box(g->side[s]);
		if (rc < 0)
			return box_error(g, b, &why, e);
	}
	return 0;
}

int look_recover(struct twoway *g, struct err *e)
{
	for (size_t i = 0; i < g->boxes.n; i++)
		if (recover_box(g, &g->boxes.a[i], e) < 0)
			return -1;
	return 0;
}
