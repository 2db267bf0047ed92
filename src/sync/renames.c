/*
 * Folders that have another name on one side: the other side's folder gets it, too, with what is in it, below it, and subscribed; no message is touched.
 *
 * A name that is gone and one that is new are the same folder if that can be shown (samebox.c). Where it can't, messages are moved one by one (moves.h).
 */
#include "sync/twoway.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define TRIES 200 /* pairs of folders that are compared in vain, in a run */

/* A folder that was renamed, as the left calls it. */
struct renamed {
	const char *from, *to;
	int side;                /* on which it was done here; -1 none */
};

/* A name, and what is called so now. */
struct named {
	const char *name;
	struct sync_folder *f;
};

struct names {
	VEC(struct named) a;
};

struct following {
	struct twoway *g;
	struct arena arena;
	struct names by[2];      /* all folders, by what the sides call them */
	struct names fresh;      /* those that the base has not, by the last parts of their names at the left */
	VEC(struct renamed) done;
	VEC(int64_t) stuck;      /* folders of the base that a side would not rename */
	unsigned tries;
	bool changed;            /* the trees are not what they were */
};

static bool is_inbox(const struct sync_folder *f)
{
	return strcmp(f->left, "INBOX") == 0 || strcmp(f->right, "INBOX") == 0;
}

/* Where a name is gone and the other one is new, and nowhere else; a folder that is new on both sides is one of both. */
static bool may_be_renamed(const struct twoway *g, const struct sync_folder *gone, const struct sync_folder *fresh)
{
	if (fresh->base.id != 0 || is_inbox(gone) || is_inbox(fresh))
		return false;
	if (fresh->on_left == gone->on_left || fresh->on_right == gone->on_right)
		return false;
	if (!gone->on_left && samebox_stamps(g, LEFT, gone, fresh) == STORE_OTHER)
		return false;
	return gone->on_right || samebox_stamps(g, RIGHT, gone, fresh) != STORE_OTHER;
}

static const char *name_on(const struct sync_folder *f, int side)
{
	return side == LEFT ? f->left : f->right;
}

static bool is_on(const struct sync_folder *f, int side)
{
	return side == LEFT ? f->on_left : f->on_right;
}

static bool is_below(const char *name, const char *above)
{
	size_t n = strlen(above);

	return strncmp(name, above, n) == 0 && name[n] == '/';
}

static bool is_gone(const struct sync_folder *f)
{
	return f->base.id != 0 && !(f->on_left && f->on_right);
}

static const char *last_part(const char *name)
{
	const char *slash = strrchr(name, '/');

	return slash ? slash + 1 : name;
}

/* Those of the same name as in the table. */
static int by_name(const void *a, const void *b)
{
	const struct named *x = a, *y = b;
	int c = strcmp(x->name, y->name);

	return c != 0 ? c : (x->f > y->f) - (x->f < y->f);
}

static void sort(struct names *n)
{
	if (n->a.n > 0)
		qsort(n->a.a, n->a.n, sizeof(*n->a.a), by_name);
}

/* Where the first stands that is not before these n bytes and another, which may be '\0'. */
static size_t place(const struct names *names, const char *p, size_t n, char then)
{
	size_t lo = 0, hi = names->a.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const char *name = names->a.a[mid].name;
		int c = strncmp(name, p, n);

		if (c < 0 || (c == 0 && (unsigned char)name[n] < (unsigned char)then))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* For one pass, while the table stays where it is. */
static int sort_names(struct following *w, struct err *e)
{
	struct folders *fs = &w->g->folders;
	struct names *all[] = { &w->by[LEFT], &w->by[RIGHT], &w->fresh };

	for (size_t i = 0; i < 3; i++)
		vec_clear(&all[i]->a);
	for (size_t i = 0; i < fs->f.n; i++) {
		struct sync_folder *f = &fs->f.a[i];

		if (vec_push(&w->by[LEFT].a, ((struct named){ f->left, f })) < 0 || vec_push(&w->by[RIGHT].a, ((struct named){ f->right, f })) < 0 ||
		    (f->base.id == 0 && vec_push(&w->fresh.a, ((struct named){ last_part(f->left), f })) < 0))
			return twoway_no_memory(e);
	}
	for (size_t i = 0; i < 3; i++)
		sort(all[i]);
	return 0;
}

static struct named *entry_of(struct following *w, int side, const struct sync_folder *f)
{
	const struct names *names = &w->by[side];
	const char *name = name_on(f, side);
	size_t i = place(names, name, strlen(name), '\0');

	while (i < names->a.n && names->a.a[i].f != f)
		i++;
	assert(i < names->a.n);
	return &names->a.a[i];
}

/* A rename takes along what is below: not to be done here while some of that is still under the old name there. */
static bool left_children(const struct following *w, const struct sync_folder *gone, int there)
{
	const struct names *names = &w->by[there];
	const char *above = name_on(gone, there);

	for (size_t i = place(names, above, strlen(above), '/'); i < names->a.n && is_below(names->a.a[i].name, above); i++)
		if (is_on(names->a.a[i].f, there))
			return true;
	return false;
}

/* The rename of a folder above it by which it was, or will be, renamed; NULL: none. */
static const struct renamed *comes_along(const struct following *w, const struct sync_folder *gone, const struct sync_folder *fresh)
{
	for (size_t i = 0; i < w->done.n; i++) {
		const struct renamed *r = &w->done.a[i];

		if (is_below(gone->left, r->from) && is_below(fresh->left, r->to) && strcmp(gone->left + strlen(r->from), fresh->left + strlen(r->to)) == 0)
			return r;
	}
	return NULL;
}

static void tell_rename(struct twoway *g, const struct sync_folder *gone, const struct sync_folder *fresh, int side)
{
	struct event ev = { .type = EVENT_TREE, .action = ACTION_RENAME, .folder = name_on(gone, side), .to = name_on(fresh, side),
			    .at = side == LEFT ? AT_LEFT : AT_RIGHT, .dry = g->p->dry_run };

	g->totals->renamed++;
	twoway_put(g, &ev);
}

static int note_rename(struct twoway *g, const struct sync_folder *gone, const struct sync_folder *fresh, struct err *e)
{
	if (db_begin(g->db, e) < 0)
		return -1;
	if (folders_rename(g->db, gone->base.id, fresh->left, fresh->right, e) < 0) {
		db_rollback(g->db);
		return -1;
	}
	return db_commit(g->db, e);
}

/* From now on they are one folder. In a dry run it is called on one side what it will be called, and on the other, if it has still to follow, what it is called. */
static void merge(struct following *w, struct sync_folder *gone, struct sync_folder *fresh)
{
	for (int side = LEFT; side <= RIGHT; side++) {
		if (is_on(gone, side)) {
			struct named *old = entry_of(w, side, gone), *new = entry_of(w, side, fresh);

			old->f = fresh; /* as below */
			new->f = gone;
		}
	}
	fresh->base = gone->base;
	if (gone->on_left) {
		fresh->left = gone->left;
		memcpy(fresh->left_stamp, gone->left_stamp, sizeof(fresh->left_stamp));
	}
	if (gone->on_right) {
		fresh->right = gone->right;
		memcpy(fresh->right_stamp, gone->right_stamp, sizeof(fresh->right_stamp));
	}
	fresh->on_left = fresh->on_right = true;
	gone->base = (struct folder_row){ .id = 0 };
	gone->on_left = gone->on_right = false;
}

/* 1; 0 the side won't, -1. */
static int rename_at(struct following *w, int side, const struct sync_folder *gone, const struct sync_folder *fresh, struct err *e)
{
	struct twoway *g = w->g;
	struct store *s = g->side[side];
	struct err why = ERR_INIT;
	int rc;

	exec_step(&g->x[side], "rename a folder");
	rc = s->ops->folder_rename(s, name_on(gone, side), name_on(fresh, side), &why);
	exec_step(&g->x[side], "note a renamed folder");
	if (rc == 0) {
		w->changed = true;
		return 1;
	}
	if (err_ends_all(&why)) {
		*e = why;
		return -1;
	}
	err_in(&why, "its messages are moved instead");
	twoway_warn(g, why.text);
	return vec_push(&w->stuck, gone->base.id) < 0 ? twoway_no_memory(e) : 0;
}

/* Have the other side follow, unless an interrupted run, or a person, has renamed the folder on both. */
static int follow(struct following *w, struct sync_folder *gone, struct sync_folder *fresh, struct err *e)
{
	struct twoway *g = w->g;
	int side = gone->on_left ? LEFT : RIGHT;
	bool both = !gone->on_left && !gone->on_right;
	struct renamed r = { arena_str(&w->arena, slice_str(gone->left)), arena_str(&w->arena, slice_str(fresh->left)), both || g->p->dry_run ? -1 : side };
	int rc = 1;

	if (!r.from || !r.to)
		return twoway_no_memory(e);
	if (!both && (!twoway_may(g->p->create, side) || (g->p->one_way && side == LEFT) || left_children(w, gone, !side)))
		return 0;
	if (!both && !g->p->dry_run)
		rc = rename_at(w, side, gone, fresh, e);
	if (rc <= 0)
		return rc;
	if (!g->p->dry_run && note_rename(g, gone, fresh, e) < 0)
		return -1;
	if (!both && !comes_along(w, gone, fresh))
		tell_rename(g, gone, fresh, side);
	merge(w, gone, fresh);
	return vec_push(&w->done, r) < 0 ? twoway_no_memory(e) : 0;
}

static bool is_stuck(const struct following *w, const struct sync_folder *gone)
{
	for (size_t i = 0; i < w->stuck.n; i++)
		if (w->stuck.a[i] == gone->base.id)
			return true;
	return false;
}

/* Is it this one? Then *out is. 1; 0: it is, and *out was another; -1. */
static int compare(struct following *w, const struct sync_folder *gone, struct sync_folder *fresh, const struct renamed *along, struct sync_folder **out, struct err *e)
{
	int rc;

	if (w->tries >= TRIES || !may_be_renamed(w->g, gone, fresh))
		return 1;
	rc = samebox_content(w->g, gone, fresh, along && along->side == LEFT, e);
	w->tries += rc == 0;
	if (rc < 0)
		return -1;
	if (rc == 1 && *out)
		return 0;
	if (rc == 1)
		*out = fresh;
	return 1;
}

/* Where it would be if it came along, or in another place under its own name, is where it most likely is. */
enum likely { ALONG, ELSEWHERE, ANYWHERE };

/* The one folder that this one may be now; NULL when there is none, or more than one: then somebody has copied it. */
static int find_new_name(struct following *w, const struct sync_folder *gone, struct sync_folder **out, struct err *e)
{
	const struct names *fresh = &w->fresh;
	const char *last = last_part(gone->left);
	size_t from = place(fresh, last, strlen(last), '\0');

	*out = NULL;
	for (enum likely where = ALONG; where <= ANYWHERE && !*out; where++) {
		for (size_t i = where == ANYWHERE ? 0 : from; i < fresh->a.n; i++) {
			bool alike = strcmp(fresh->a.a[i].name, last) == 0;
			const struct renamed *along = NULL;
			int rc;

			if (!alike && where != ANYWHERE)
				break;
			if (alike && where == ANYWHERE)
				continue;
			if (alike)
				along = comes_along(w, gone, fresh->a.a[i].f);
			if (alike && (along != NULL) != (where == ALONG))
				continue;
			rc = compare(w, gone, fresh->a.a[i].f, along, out, e);
			if (rc <= 0) {
				*out = NULL;
				return rc;
			}
		}
	}
	return 0;
}

/* Is another whose name is gone above it, which may take it along? */
static bool waits(const struct following *w, const struct sync_folder *f)
{
	const struct names *names = &w->by[LEFT];

	for (size_t i = 0; i < w->done.n && w->changed; i++)
		if (is_below(f->left, w->done.a[i].from))
			return true;
	for (const char *slash = strchr(f->left, '/'); slash; slash = strchr(slash + 1, '/')) {
		size_t n = (size_t)(slash - f->left);

		for (size_t i = place(names, f->left, n, '\0'); i < names->a.n && strncmp(names->a.a[i].name, f->left, n) == 0 && names->a.a[i].name[n] == '\0'; i++)
			if (is_gone(names->a.a[i].f) && !is_stuck(w, names->a.a[i].f))
				return true;
	}
	return false;
}

/* Once over all that are gone, those above before those below. */
static int pass(struct following *w, bool top, struct err *e)
{
	struct folders *fs = &w->g->folders;
	bool sorted = false;

	for (size_t i = 0; i < fs->f.n; i++) {
		struct sync_folder *gone = &fs->f.a[i], *fresh;

		if (!is_gone(gone) || is_stuck(w, gone))
			continue;
		if (!sorted && sort_names(w, e) < 0)
			return -1;
		sorted = true;
		if (top && waits(w, gone))
			continue;
		if (find_new_name(w, gone, &fresh, e) < 0 || (fresh && follow(w, gone, fresh, e) < 0))
			return -1;
	}
	return 0;
}

/* Names of which nothing is left. */
static void drop_names(struct folders *fs)
{
	size_t n = 0;

	for (size_t i = 0; i < fs->f.n; i++)
		if (fs->f.a[i].base.id != 0 || fs->f.a[i].on_left || fs->f.a[i].on_right)
			fs->f.a[n++] = fs->f.a[i];
	fs->f.n = n;
}

int renames_follow(struct twoway *g, struct err *e)
{
	struct following w = { .g = g, .arena = ARENA_INIT(64 << 20) };
	size_t before;
	int rc = 0;

	do {
		before = w.done.n;
		w.changed = false;
		rc = pass(&w, true, e);
		if (rc == 0 && w.done.n == before)
			rc = pass(&w, false, e);
		if (rc == 0 && w.changed)
			rc = look_trees(g, e);
	} while (rc == 0 && w.done.n > before);
	drop_names(&g->folders);
	vec_release(&w.done);
	vec_release(&w.stuck);
	vec_release(&w.by[LEFT].a);
	vec_release(&w.by[RIGHT].a);
	vec_release(&w.fresh.a);
	arena_release(&w.arena);
	return rc;
}
