/*
 * Two-way jobs as a whole, against rigged trees. What is held to: design.md's promises 1, 2 and 5. A run is a process of its own where it may die; both sides live on
 * in shared memory, the base in its file.
 */
#include "treerig.h"

#include <malloc.h>

#include "mail/flags.h"
#include "state/pairs.h"
#include "state/runs.h"

/* ---- the matrix: what happens to one message on each side, with every way of looking, stopped at every step ---- */

enum fate { NOTHING, FLAG_A, FLAG_B, UNFLAG, DELETE, FATES };

static void befall(struct fixture *f, int s, enum fate what)
{
	struct tree_folder *box = tree_folder(f->w, s, "INBOX", false);
	struct tree_msg *m = tree_find(box, 7);

	switch (what) {
	case FLAG_A:
		tree_flag(f->w, s, box, m, m->flags | FLAG_SEEN);
		break;
	case FLAG_B:
		tree_flag(f->w, s, box, m, m->flags | FLAG_FLAGGED);
		break;
	case UNFLAG:
		tree_flag(f->w, s, box, m, m->flags & ~(uint32_t)FLAG_ANSWERED);
		break;
	case DELETE:
		tree_delete(f->w, s, box, m);
		break;
	default:
		break;
	}
}

static uint32_t after(enum fate what, uint32_t flags)
{
	return what == FLAG_A ? flags | FLAG_SEEN : what == FLAG_B ? flags | FLAG_FLAGGED : what == UNFLAG ? flags & ~(uint32_t)FLAG_ANSWERED : flags;
}

static void check_matrix(struct fixture *f, enum fate l, enum fate r)
{
	struct tree_msg *m = tree_find(tree_folder(f->w, L, "INBOX", false), 7);

	check_equal(f);
	if (l == DELETE || r == DELETE) {
		if (m)
			fail_msg("%s: it came back", where);
		return;
	}
	if (!m)
		fail_msg("%s: it is lost", where);
	if (m->flags != after(r, after(l, FLAG_ANSWERED)))
		fail_msg("%s: flags %x", where, m->flags);
	/* new ones came across */
	for (int s = L; s <= R; s++)
		for (uint32_t c = 11; c <= 12; c++)
			if (!tree_find(tree_folder(f->w, s, "INBOX", false), c))
				fail_msg("%s: new message %u is lost", where, c);
}

static void prepare(struct fixture *f, enum fate l, enum fate r, unsigned looks, bool stamps)
{
	fresh(f);
	snprintf(where, sizeof(where), "left %d, right %d, looks %u, stamps %d", (int)l, (int)r, looks, stamps);
	f->w->side[L].looks = looks;
	f->w->side[L].stamps = stamps;
	f->w->side[L].thinks = (l + r) % 4 == 1; /* then the right is looked at meanwhile */
	tree_add(f->w, L, "INBOX", 7, FLAG_ANSWERED);
	tree_add(f->w, R, "INBOX", 8, 0);
	tree_add(f->w, L, "Work", 9, FLAG_SEEN);
	tree_delete(f->w, R, tree_folder(f->w, R, "INBOX", false), tree_find(tree_folder(f->w, R, "INBOX", false), 8));
	settle(f);
	befall(f, L, l);
	befall(f, R, r);
	tree_add(f->w, L, "INBOX", 11, FLAG_SEEN);
	tree_add(f->w, R, "INBOX", 12, FLAG_DRAFT);
}

static void matrix(void **state)
{
	struct fixture *f = *state;

	for (unsigned looks = 0; looks < TREE_LOOKS; looks++) {
		for (int stamps = 0; stamps < 2; stamps++) {
			for (enum fate l = 0; l < FATES; l++) {
				for (enum fate r = 0; r < FATES; r++) {
					prepare(f, l, r, looks, stamps);
					settle(f);
					check_matrix(f, l, r);
				}
			}
		}
	}
}

/* The same, stopped before every step of the executor, or dead before every call of a store that does something. */
static void matrix_interrupted(void **state)
{
	static struct prepared kept;
	struct fixture *f = *state;
	const unsigned step = every(words || servers ? 5 : 2); /* for keywords, and between servers, it is the same work once more */

	kept.db = (struct strbuf)STRBUF_INIT(1 << 20);
	for (enum fate l = 0; l < FATES; l++) {
		for (enum fate r = 0; r < FATES; r++) {
			prepare(f, l, r, (l + r) % TREE_LOOKS, true);
			keep_prepared(f, &kept);
			for (enum disturbance kind = 0; kind < DISTURBANCES; kind++) {
				bool more = true;

				for (unsigned n = 1 + (l + r + kind) % step; more; n += step) {
					put_back(f, &kept);
					more = disturb(f, kind, n);
					settle(f);
					check_matrix(f, l, r);
				}
			}
		}
	}
	strbuf_release(&kept.db);
}

/* ---- single matters ---- */

/* What was marked for removal in one session is none of the next one's business: not in this folder, nor in another. */
static void removals_cut_off(void **state)
{
	static const char *const folders[] = { "INBOX", "Work", "Last" };
	struct fixture *f = *state;
	unsigned begun, n = 1;

	do {
		fresh(f);
		for (uint32_t i = 1; i <= 12; i++)
			tree_add(f->w, L, folders[i % 3], i, 0);
		settle(f);
		snprintf(where, sizeof(where), "cut %u", n);
		for (uint32_t i = 1; i <= 6; i++) {
			struct tree_folder *x = tree_folder(f->w, R, folders[i % 3], false);

			tree_delete(f->w, R, x, tree_find(x, i));
		}
		begun = f->w->ops;
		f->w->cut_at = f->w->ops + n;
		f->p.allow_deletions = true;
		run_here(f);
		assert_int_not_equal(f->e.kind, ERR_BUG);
		begun = f->w->ops - begun;
		f->w->cut_at = 0;
		settle(f);
		for (uint32_t i = 1; i <= 12; i++)
			for (int s = L; s <= R; s++)
				assert_int_equal(tree_find(tree_folder(f->w, s, folders[i % 3], false), i) != NULL, i > 6);
	} while (n++ <= begun);
}

static void no_op(void **state)
{
	struct fixture *f = *state;

	fresh(f);
	for (uint32_t i = 1; i < 50; i++)
		tree_add(f->w, L, i % 2 ? "INBOX" : "Work", i, i % 64);
	settle(f);
	run_clean(f);
	f->w->side[L].looked = f->w->side[L].opened = f->w->side[R].looked = f->w->side[R].opened = 0;
	run_clean(f);
	assert_int_equal(f->w->side[L].looked + f->w->side[L].opened + f->w->side[R].looked + f->w->side[R].opened, 0);
}

static void first_contact(void **state)
{
	struct fixture *f = *state;

	fresh(f);
	tree_add(f->w, L, "INBOX", 1, 0);
	tree_add(f->w, R, "INBOX", 2, 0);
	for (int s = L; s <= R; s++)
		tree_add(f->w, s, "INBOX", 3, s == L ? FLAG_SEEN : FLAG_FLAGGED);
	settle(f);
	for (int s = L; s <= R; s++) {
		assert_int_equal(tree_count(tree_folder(f->w, s, "INBOX", false)), 3);
		assert_int_equal(tree_find(tree_folder(f->w, s, "INBOX", false), 3)->flags, FLAG_SEEN | FLAG_FLAGGED);
	}
}

/* What is here is read while the server is dialled, and not once more; the answer may come earlier than all is read, or never. */
static void read_ahead(void **state)
{
	struct fixture *f = *state;

	for (int thinks = 0; thinks <= 200; thinks += 50) {
		fresh(f);
		f->w->side[L].thinks = (unsigned)thinks;
		for (uint32_t i = 1; i <= 100; i++) {
			if (i != 7)
				tree_add(f->w, L, i % 2 ? "INBOX" : "Work", i, i % 4);
			if (i != 8)
				tree_add(f->w, R, i % 2 ? "INBOX" : "Work", i, i % 4);
		}
		run_clean(f);
		if (servers || thinks == 0)
			assert_int_equal(f->w->side[L].read_by_then, 0);
		else if (thinks == 200)
			assert_int_equal(f->w->side[L].read_by_then, 99);
		if (!servers)
			assert_int_equal(f->w->side[R].read, 99 + 1); /* 7 is pushed */
		check_equal(f);
		assert_int_equal(tree_count(tree_folder(f->w, L, "INBOX", false)) + tree_count(tree_folder(f->w, L, "Work", false)), 100);
		f->w->side[R].read = 0;
		run_clean(f);
		assert_int_equal(f->w->side[R].read, 0);
	}

	/* a file is replaced after it was read, and before the folder is looked at */
	for (int stamps = 0; stamps <= 1; stamps++) {
		fresh(f);
		f->w->side[L].thinks = 100;
		f->w->side[R].stamps = stamps;
		for (uint32_t i = 1; i <= 20; i++)
			for (int s = L; s <= R; s++)
				tree_add(f->w, s, "INBOX", i, 0);
		f->w->side[L].swapped[0] = 9;
		f->w->side[L].swapped[1] = 1000;
		run_clean(f);
		f->w->side[L].swapped[0] = 0;
		settle(f);
		for (int s = L; s <= R; s++) {
			assert_int_equal(tree_count(tree_folder(f->w, s, "INBOX", false)), 21);
			assert_true(tree_find(tree_folder(f->w, s, "INBOX", false), 9) && tree_find(tree_folder(f->w, s, "INBOX", false), 1000));
		}
	}
	f->w->side[R].stamps = true;

	/* the server fails in the end */
	fresh(f);
	f->w->side[L].thinks = 50;
	f->w->side[L].missing = true;
	tree_add(f->w, R, "INBOX", 1, 0);
	assert_int_equal(run_here(f), -1);
	assert_int_equal(tree_count(tree_folder(f->w, R, "INBOX", false)), 1);
	f->w->side[L].missing = false;
	settle(f);

	/* nothing is there that it could be held against: it is read once, to be pushed */
	fresh(f);
	f->w->side[L].thinks = 50;
	f->w->side[L].looks = TREE_CHANGES;
	tree_add(f->w, R, "Work", 1, 0);
	settle(f);
	assert_int_equal(tree_count(tree_folder(f->w, L, "Work", false)), 1);
}

static void fill(struct fixture *f, uint32_t n)
{
	fresh(f);
	for (uint32_t i = 1; i <= n; i++)
		tree_add(f->w, L, "INBOX", i, 0);
	tree_add(f->w, L, "Work", 1000, 0);
	settle(f);
}

/* What the base has is looked at here while the server is dialled, if it has changed, and not once more; unless there is something against it. */
static void looked_at_meanwhile(void **state)
{
	struct fixture *f = *state;
	struct tree_side *l = &f->w->side[L], *r = &f->w->side[R];
	struct tree_folder *box;

	for (int thinks = 0; thinks <= 50; thinks += 50) {
		fill(f, 6);
		l->thinks = (unsigned)thinks;
		r->looked = 0;
		run_clean(f);
		assert_int_equal(r->looked, 0);
		tree_add(f->w, L, "Work", 50, 0);
		tree_add(f->w, R, "INBOX", 51, FLAG_FLAGGED);
		box = tree_folder(f->w, R, "INBOX", false);
		tree_delete(f->w, R, box, tree_find(box, 1));
		tree_flag(f->w, R, box, tree_find(box, 2), FLAG_ANSWERED);
		run_clean(f);
		assert_int_equal(done(f), 4);
		assert_int_equal(r->looked, 1);
		assert_int_equal(l->looked_by_then, thinks && !servers ? 1 : 0);
		settle(f);
		/* gone at the server meanwhile: what is new in it stays, and nothing else comes of the look */
		tree_add(f->w, R, "Work", 52, 0);
		tree_remove_folder(f->w, L, "Work");
		run_clean(f);
		assert_non_null(tree_find(tree_folder(f->w, R, "Work", false), 52));
		/* the server fails in the end */
		tree_add(f->w, R, "INBOX", 53, 0);
		l->missing = true;
		assert_int_equal(run_here(f), -1);
		l->missing = false;
		run_clean(f);
		assert_non_null(tree_find(tree_folder(f->w, L, "INBOX", false), 53));
		/* an interrupted run has left something */
		tree_add(f->w, L, "INBOX", 54, 0);
		f->w->crash_at = f->w->ops + 12;
		run_apart(f);
		calm(f);
		tree_add(f->w, R, "INBOX", 55, 0);
		run_clean(f);
		for (uint32_t c = 53; c <= 55; c++)
			for (int s = L; s <= R; s++)
				assert_non_null(tree_find(tree_folder(f->w, s, "INBOX", false), c));
	}
}

static void empty_folder(struct fixture *f, int s, const char *name, unsigned keep)
{
	struct tree_folder *box = tree_folder(f->w, s, name, false);

	for (size_t i = 0; i < TREE_MESSAGES; i++)
		if (box->m[i].content != 0 && tree_count(box) > keep)
			tree_delete(f->w, s, box, &box->m[i]);
}

/* State lost, or from last week. */
static void states(void **state)
{
	struct fixture *f = *state;
	struct strbuf old = STRBUF_INIT(1 << 24);
	struct err e = ERR_INIT;

	fill(f, 20);
	lose_base(f->db);
	settle(f);
	assert_int_equal(tree_count(tree_folder(f->w, L, "INBOX", false)), 20);
	assert_int_equal(f->t.pulled + f->t.pushed, 0);

	fill(f, 20);
	assert_int_equal(fs_read_file(f->db, &old, &e), 0);
	for (uint32_t i = 30; i < 40; i++)
		tree_add(f->w, i % 2 ? L : R, "INBOX", i, i % 4);
	empty_folder(f, L, "INBOX", 20);
	settle(f);
	tree_flag(f->w, L, tree_folder(f->w, L, "INBOX", false), tree_find(tree_folder(f->w, L, "INBOX", false), 39), FLAG_FLAGGED);
	lose_base(f->db);
	put_base(f, &old);
	settle(f);
	assert_int_equal(tree_count(tree_folder(f->w, L, "INBOX", false)), 25);
	assert_int_equal(tree_find(tree_folder(f->w, R, "INBOX", false), 39)->flags & FLAG_FLAGGED, FLAG_FLAGGED);
	strbuf_release(&old);
}

/* A side that loses everything, or its folders, stops the job; the two ways on work. */
static void vanished(void **state)
{
	struct fixture *f = *state;

	for (int s = L; s <= R; s++) {
		for (int way = 0; way < 5; way++) {
			fill(f, 20);
			snprintf(where, sizeof(where), "side %d, way %d", s, way);
			if (way < 3) {
				empty_folder(f, s, "INBOX", 0);
				empty_folder(f, s, "Work", 0);
			} else {
				tree_remove_folder(f->w, s, "INBOX");
				tree_remove_folder(f->w, s, "Work");
			}
			assert_int_equal(run_here(f), -1);
			assert_non_null(strstr(f->e.text, "nothing was changed"));
			assert_int_equal(tree_count(tree_folder(f->w, !s, "INBOX", false)), 20);
			if (way == 1) {
				f->p.allow_deletions = true;
				settle(f);
				assert_int_equal(tree_count(tree_folder(f->w, L, "INBOX", false)), 0);
			} else if (way == 2 || (way == 4 && s == R)) {
				f->p.restore = true;
				run_clean(f);
				f->p.restore = false;
				settle(f);
				assert_int_equal(tree_count(tree_folder(f->w, s, "INBOX", false)), 20);
				assert_int_equal(tree_count(tree_folder(f->w, s, "Work", false)), 1);
			}
		}
	}
	/* the inbox alone is no folder like another: it is neither removed nor made anew */
	for (int s = L; s <= R; s++) {
		for (unsigned n = 0; n < 20; n += 19) {
			fill(f, n);
			f->p.remove_folders = true;
			tree_remove_folder(f->w, s, "INBOX");
			tree_add(f->w, s, "Work", 2000, 0);
			assert_int_equal(run_here(f), 0);
			assert_int_equal(f->t.failed, 1);
			assert_int_equal(tree_count(tree_folder(f->w, !s, "INBOX", false)), n);
			assert_non_null(tree_folder(f->w, !s, "INBOX", false));
			assert_non_null(tree_find(tree_folder(f->w, !s, "Work", false), 2000));
			f->p.restore = true;
			run_clean(f);
			f->p.restore = false;
			settle(f);
			assert_int_equal(tree_count(tree_folder(f->w, s, "INBOX", false)), n);
		}
	}
	/* the root itself, which the first run makes */
	fill(f, 20);
	f->w->side[R].missing = true;
	assert_int_equal(run_here(f), -1);
	assert_int_equal(tree_count(tree_folder(f->w, L, "INBOX", false)), 20);
	fresh(f);
	tree_add(f->w, L, "INBOX", 1, 0);
	tree_remove_folder(f->w, R, "INBOX");
	f->w->side[R].missing = true;
	f->p.dry_run = true;
	run_clean(f);
	assert_true(f->w->side[R].missing);
	assert_int_equal(f->t.pulled, 1);
	f->p.dry_run = false;
	settle(f);
	assert_int_equal(tree_count(tree_folder(f->w, R, "INBOX", false)), 1);
}

/* What comes back stays wished for when the run that was asked for it dies. */
static void restore_interrupted(void **state)
{
	struct fixture *f = *state;

	for (int s = L; s <= R; s++) {
		for (int n = 1;; n++) {
			int status;

			fill(f, 12);
			snprintf(where, sizeof(where), "side %d, stop %d", s, n);
			empty_folder(f, s, "INBOX", 4);
			f->p.restore = true;
			f->p.stop_at = n;
			status = run_apart(f);
			calm(f);
			f->p.restore = false;
			settle(f);
			assert_int_equal(tree_count(tree_folder(f->w, s, "INBOX", false)), 12);
			if (status == 0)
				break;
		}
	}
	/* an earlier run let it be, and both sides are as they were then */
	for (int s = L; s <= R; s++) {
		fill(f, 5);
		f->p.del = SYNC_NONE;
		empty_folder(f, s, "INBOX", 2);
		run_clean(f);
		run_clean(f);
		assert_int_equal(tree_count(tree_folder(f->w, s, "INBOX", false)), 2);
		f->p.restore = true;
		run_clean(f);
		assert_int_equal(tree_count(tree_folder(f->w, s, "INBOX", false)), 5);
	}
}

static void max_delete(void **state)
{
	struct fixture *f = *state;

	fill(f, 300);
	empty_folder(f, R, "INBOX", 200); /* 100 of 301: more than 25 %, more than 50 */
	assert_int_equal(run_here(f), -1);
	assert_non_null(strstr(f->e.text, "100 of 301"));
	assert_int_equal(tree_count(tree_folder(f->w, L, "INBOX", false)), 300);
	f->p.max_delete.none = true;
	settle(f);
	assert_int_equal(tree_count(tree_folder(f->w, L, "INBOX", false)), 200);
	fill(f, 300);
	empty_folder(f, L, "INBOX", 240); /* 20 % */
	settle(f);
	assert_int_equal(tree_count(tree_folder(f->w, R, "INBOX", false)), 240);
}

static void renumbered(void **state)
{
	struct fixture *f = *state;

	/* also where all is to be listed anew, for limits that are others now, or since a run came to no end */
	for (int way = 0; way < 3; way++) {
		fresh(f);
		for (uint32_t i = 1; i <= 5; i++)
			tree_add(f->w, L, "INBOX", i, 0);
		if (way == 2)
			f->p.stop_at = 9; /* what was pulled is settled, and nothing else done */
		assert_int_equal(run_apart(f), way == 2 ? 100 : 0);
		calm(f);
		assert_int_equal(tree_count(tree_folder(f->w, R, "INBOX", false)), 5);
		tree_folder(f->w, L, "INBOX", false)->validity += 1000;
		tree_folder(f->w, L, "INBOX", false)->changed++;
		tree_delete(f->w, L, tree_folder(f->w, L, "INBOX", false), tree_find(tree_folder(f->w, L, "INBOX", false), 5));
		tree_add(f->w, L, "Work", 77, 0);
		f->p.max_size = way == 1 ? 100000 : 0;
		assert_int_equal(run_here(f), 0);
		assert_int_equal(f->errors, 1);
		assert_int_equal(f->t.failed, 1);
		assert_non_null(strstr(f->text, "UIDVALIDITY"));
		assert_int_equal(tree_count(tree_folder(f->w, R, "INBOX", false)), 5);
		assert_non_null(tree_find(tree_folder(f->w, R, "Work", false), 77)); /* the others go on */
	}
}

static void where_deletions_go(void **state)
{
	static const struct {
		enum sync_where del;
		bool left_follows, right_follows;
	} rows[] = { { SYNC_BOTH, true, true }, { SYNC_LEFT, true, false }, { SYNC_RIGHT, false, true }, { SYNC_NONE, false, false } };
	struct fixture *f = *state;

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct tree_folder *l, *r;

		fill(f, 9);
		f->p.del = rows[i].del;
		l = tree_folder(f->w, L, "INBOX", false);
		r = tree_folder(f->w, R, "INBOX", false);
		tree_delete(f->w, L, l, tree_find(l, 1));
		tree_delete(f->w, R, r, tree_find(r, 2));
		run_clean(f);
		run_clean(f);
		assert_int_equal(tree_find(l, 2) == NULL, rows[i].left_follows);
		assert_int_equal(tree_find(r, 1) == NULL, rows[i].right_follows);
		/* what stays is no new message, and follows when the person changes their mind */
		assert_int_equal(tree_find(l, 1) == NULL, 1);
		assert_int_equal(tree_find(r, 2) == NULL, 1);
		f->p.del = SYNC_BOTH;
		settle(f);
		assert_int_equal(tree_count(l), 7);
	}
}

static void folders_come_and_go(void **state)
{
	struct fixture *f = *state;

	for (int s = L; s <= R; s++) {
		fill(f, 3);
		tree_add(f->w, s, "New/Deep", 50, 0);
		tree_folder(f->w, s, "Empty", true);
		settle(f);
		assert_non_null(tree_folder(f->w, !s, "Empty", false));
		/* an empty one goes on both sides; one that holds mail stays, unless that is wanted */
		tree_remove_folder(f->w, s, "Empty");
		tree_remove_folder(f->w, s, "New/Deep");
		run_clean(f);
		assert_null(tree_folder(f->w, !s, "Empty", false));
		assert_non_null(tree_folder(f->w, !s, "New/Deep", false));
		assert_int_equal(f->warnings, 1);
		f->p.remove_folders = true;
		f->p.remove_where = SYNC_BOTH;
		settle(f);
		assert_null(tree_folder(f->w, !s, "New/Deep", false));
		/* new mail in it saves it */
		tree_add(f->w, s, "Again", 51, 0);
		settle(f);
		tree_remove_folder(f->w, s, "Again");
		tree_add(f->w, !s, "Again", 52, 0);
		run_clean(f);
		assert_int_equal(tree_count(tree_folder(f->w, !s, "Again", false)), 2);
		/* both gone: forgotten */
		tree_remove_folder(f->w, !s, "Again");
		settle(f);
		/* not made where that is not wanted */
		f->p.create = s == L ? SYNC_LEFT : SYNC_RIGHT;
		tree_add(f->w, s, "Mine", 53, 0);
		run_clean(f);
		assert_null(tree_folder(f->w, !s, "Mine", false));
	}
}

/* A folder that a run was bringing messages to when it died, and that is removed before the next: what it had brought counts as never brought. */
static void folder_gone_after_a_crash(void **state)
{
	struct fixture *f = *state;

	for (int s = L; s <= R; s++) {
		for (int n = 1;; n++) {
			int status;

			fill(f, 3);
			snprintf(where, sizeof(where), "side %d, stop %d", s, n);
			f->p.remove_folders = true;
			f->p.max_delete.none = true;
			tree_add(f->w, !s, "Work", 50, FLAG_SEEN);
			tree_add(f->w, !s, "Work", 51, 0);
			f->p.stop_at = n;
			status = run_apart(f);
			tree_remove_folder(f->w, s, "Work");
			run_clean(f);
			if (tree_folder(f->w, !s, "Work", false)) {
				assert_int_equal(f->warnings, 1);
				assert_int_equal(tree_count(tree_folder(f->w, !s, "Work", false)), 3);
				f->p.restore = true;
				run_clean(f);
				f->p.restore = false;
			} else {
				assert_null(tree_folder(f->w, s, "Work", false));
			}
			settle(f);
			if (status == 0)
				break;
		}
	}
}

static void names_and_limits(void **state)
{
	static const struct folder_rule rules[] = { { .name = "Work", .local = "Arbeit", .max_size = 20, .has_max_size = true } };
	struct boxrule take[2];
	struct fixture *f = *state;
	struct err e = ERR_INIT;

	fresh(f);
	f->p.folders.rules = rules;
	f->p.folders.n_rules = 1;
	assert_int_equal(boxrule_parse(SLICE_LIT("*"), &take[0], &e), 0);
	assert_int_equal(boxrule_parse(SLICE_LIT("!Junk"), &take[1], &e), 0);
	f->p.folders.take = take;
	f->p.folders.n_take = 2;
	tree_add(f->w, L, "INBOX", 1, 0);
	tree_folder(f->w, L, "Work", true);
	run_clean(f);
	tree_add(f->w, L, "Work", 2, 0); /* says 100 bytes: larger than the folder's limit */
	tree_add(f->w, L, "Junk", 3, 0);
	tree_add(f->w, R, "Arbeit", 4, 0);
	tree_folder(f->w, R, "Junk", true);
	run_clean(f);
	assert_int_equal(f->t.skipped, 1);
	assert_null(tree_folder(f->w, R, "Work", false));
	assert_null(tree_folder(f->w, L, "Arbeit", false));
	assert_int_equal(tree_count(tree_folder(f->w, R, "Arbeit", false)), 1);
	assert_int_equal(tree_count(tree_folder(f->w, L, "Work", false)), 2);
	assert_int_equal(tree_count(tree_folder(f->w, R, "Junk", false)), 0);
	run_clean(f);
	run_clean(f);
	assert_int_equal(done(f), 0);
	assert_int_equal(tree_count(tree_folder(f->w, L, "Work", false)), 2); /* left out is not deleted */
	/* nor is it new when it is met again, in whatever way */
	for (unsigned looks = 0; looks < TREE_LOOKS; looks++) {
		f->w->side[L].looks = looks;
		tree_flag(f->w, L, tree_folder(f->w, L, "Work", false), tree_find(tree_folder(f->w, L, "Work", false), 2), looks);
		run_clean(f);
		assert_int_equal(done(f), 0);
		assert_int_equal(tree_count(tree_folder(f->w, R, "Arbeit", false)), 1);
	}
	/* the limit is raised: it comes */
	f->p.folders.n_rules = 0;
	f->p.folders.rules = (const struct folder_rule[]){ { .name = "Work", .local = "Arbeit" } };
	f->p.folders.n_rules = 1;
	run_clean(f);
	assert_int_equal(tree_count(tree_folder(f->w, R, "Arbeit", false)), 2);
}

/* What the base knows of a folder that is left out for a while is not forgotten: what was deleted meanwhile does not come back. */
static void left_out(void **state)
{
	static const struct folder_rule rules[] = { { .name = "Other", .local = "Work" } };
	struct boxrule take[2];
	struct fixture *f = *state;
	struct err e = ERR_INIT;

	for (int way = 0; way < 2; way++) {
		fresh(f);
		tree_folder(f->w, L, "Other", true); /* comes first */
		tree_add(f->w, L, "Work", 1000, 0);
		tree_add(f->w, L, "Work", 1001, 0);
		settle(f);
		tree_remove_folder(f->w, L, "Other");
		settle(f);
		if (way == 0) {
			assert_int_equal(boxrule_parse(SLICE_LIT("*"), &take[0], &e), 0);
			assert_int_equal(boxrule_parse(SLICE_LIT("!Work"), &take[1], &e), 0);
			f->p.folders.take = take;
			f->p.folders.n_take = 2;
		} else {
			tree_folder(f->w, L, "Other", true);
			f->p.folders.rules = rules;
			f->p.folders.n_rules = 1;
		}
		tree_delete(f->w, R, tree_folder(f->w, R, "Work", false), tree_find(tree_folder(f->w, R, "Work", false), 1001));
		assert_int_equal(run_here(f), 0);
		assert_non_null(tree_find(tree_folder(f->w, L, "Work", false), 1001));
		if (way == 1)
			tree_remove_folder(f->w, L, "Other");
		f->p.folders.n_take = f->p.folders.n_rules = 0;
		settle(f);
		assert_null(tree_find(tree_folder(f->w, L, "Work", false), 1001));
	}
}

/* One message that is refused does not stop the rest, and is tried again when its time has come. */
static void refused(void **state)
{
	struct fixture *f = *state;

	for (int s = L; s <= R; s++) {
		fresh(f);
		tree_add(f->w, R, "INBOX", 99, 0);
		tree_delete(f->w, R, tree_folder(f->w, R, "INBOX", false), tree_find(tree_folder(f->w, R, "INBOX", false), 99));
		for (uint32_t i = 1; i <= 5; i++)
			tree_add(f->w, !s, "INBOX", i, 0);
		f->w->side[s].refuse = 3;
		assert_int_equal(run_here(f), 0);
		assert_int_equal(f->t.failed, 1);
		assert_int_equal(tree_count(tree_folder(f->w, s, "INBOX", false)), 4);
		run_clean(f); /* not yet */
		assert_int_equal(done(f), 0);
		f->p.now += 7 * 86400;
		assert_int_equal(run_here(f), 0);
		assert_int_equal(f->t.failed, 1);
		f->w->side[s].refuse = 0;
		f->p.now += 14 * 86400;
		settle(f);
		assert_int_equal(tree_count(tree_folder(f->w, s, "INBOX", false)), 5);
	}
	/* of two that wait, one is due: the other goes on waiting, and is not forgotten */
	for (int s = L; s <= R; s++) {
		fresh(f);
		run_clean(f);
		tree_add(f->w, !s, "INBOX", 3, 0);
		f->w->side[s].refuse = 3;
		assert_int_equal(run_here(f), 0);
		f->p.now += 1800;
		tree_add(f->w, !s, "INBOX", 4, 0);
		f->w->side[s].refuse = 4;
		assert_int_equal(run_here(f), 0);
		f->w->side[s].refuse = 0;
		f->p.now += 1800;
		run_clean(f);
		run_clean(f);
		assert_non_null(tree_find(tree_folder(f->w, s, "INBOX", false), 3));
		assert_null(tree_find(tree_folder(f->w, s, "INBOX", false), 4));
		f->p.now += 1800;
		settle(f);
		assert_non_null(tree_find(tree_folder(f->w, s, "INBOX", false), 4));
	}
	/* flags that are refused are offered again in each run */
	fill(f, 3);
	tree_flag(f->w, R, tree_folder(f->w, R, "INBOX", false), tree_find(tree_folder(f->w, R, "INBOX", false), 2), FLAG_SEEN);
	f->w->side[L].refuse_flags = true;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(run_here(f), 0);
		assert_int_equal(f->t.failed, 1);
	}
	f->w->side[L].refuse_flags = false;
	settle(f);
}

/* A server that keeps one copy of a message in a folder: the second stays where it is, and gets the place of the first when that goes. */
static void second_copies(void **state)
{
	struct fixture *f = *state;

	for (int known = 0; known < 2; known++) {
		for (int which = servers; which < 2; which++) { /* a server's look does not tell again of the one that stayed behind: it goes when it is tried again */
			struct tree_folder *here, *there;
			struct tree_msg *x;

			fresh(f);
			f->w->side[L].merges = true;
			for (uint32_t i = 1; i <= 3; i++)
				tree_add(f->w, known ? L : R, "INBOX", i, 0);
			if (known)
				settle(f);
			tree_add(f->w, R, "INBOX", 2, 0);
			assert_int_equal(run_here(f), 0);
			assert_int_equal(f->t.failed, 1);
			assert_int_equal(f->t.pushed, known ? 0 : 3);
			assert_non_null(strstr(f->text, "keeps one copy"));
			here = tree_folder(f->w, R, "INBOX", false);
			there = tree_folder(f->w, L, "INBOX", false);
			assert_int_equal(tree_count(there), 3);
			assert_int_equal(tree_count(here), 4);
			f->w->side[L].staged = 0;
			run_clean(f);
			run_clean(f);
			assert_int_equal(f->w->side[L].staged, 0);
			assert_int_equal(done(f), 0);
			f->p.now += 7 * 86400;
			assert_int_equal(run_here(f), 0);
			assert_int_equal(f->t.failed, 1);
			/* the older one of both, or the other */
			x = tree_find(here, 2);
			if (which)
				for (size_t k = 0; k < TREE_MESSAGES; k++)
					if (here->m[k].content == 2 && &here->m[k] != x)
						x = &here->m[k];
			tree_delete(f->w, R, here, x);
			settle(f);
			assert_int_equal(tree_count(there), 3);
			assert_int_equal(tree_count(here), 3);
			tree_delete(f->w, R, here, tree_find(here, 2));
			settle(f);
			assert_null(tree_find(there, 2));
		}
	}
}

/* An interrupted delivery that is found there as a message which the base has for another one is none. */
static void found_as_another(void **state)
{
	struct fixture *f = *state;
	struct pair known, p;
	struct db *db = NULL;

	fresh(f);
	tree_add(f->w, R, "INBOX", 2, 0);
	settle(f);
	tree_add(f->w, R, "INBOX", 2, 0);
	f->w->side[L].merges = true;
	assert_int_equal(db_open(f->db, DB_RUN, "fake:job", &db, &f->e), 0);
	assert_int_equal(pairs_by_left(db, 1, SLICE_LIT("1"), &known, &f->e), 1);
	p = (struct pair){ .folder = 1, .right = SLICE_LIT("name-77"), .hint = SLICE_LIT("1 1"), .pending = true, .back = true, .two_way = true };
	memcpy(p.digest, known.digest, sizeof(p.digest));
	assert_int_equal(db_begin(db, &f->e), 0);
	assert_int_equal(pairs_add(db, &p, &f->e), 0);
	assert_int_equal(db_commit(db, &f->e), 0);
	db_close(db);
	assert_int_equal(run_here(f), 0);
	assert_int_equal(f->t.failed, 1);
	assert_non_null(strstr(f->text, "keeps one copy"));
	assert_int_equal(tree_count(tree_folder(f->w, L, "INBOX", false)), 1);
	assert_int_equal(tree_count(tree_folder(f->w, R, "INBOX", false)), 2);
	run_clean(f);
	assert_int_equal(done(f), 0);
}

/* What an interrupted run may have delivered is nothing new to a dry run, which looks nothing up. */
static void dry_run_of_pending(void **state)
{
	struct fixture *f = *state;
	struct tree_folder *r;
	char keys[2][40];
	struct db *db = NULL;

	for (int all = 0; all < 2; all++) {
		fresh(f);
		f->w->side[R].looks = all ? TREE_ALL : TREE_CHANGES;
		tree_add(f->w, R, "INBOX", 1, 0);
		settle(f);
		r = tree_folder(f->w, R, "INBOX", false);
		assert_int_equal(db_open(f->db, DB_RUN, "fake:job", &db, &f->e), 0);
		assert_int_equal(db_begin(db, &f->e), 0);
		for (int i = 0; i < 2; i++) {
			struct pair p = { .folder = 1, .left = slice_str(i ? "" : "77"), .hint = SLICE_LIT("1 1"), .pending = true, .back = i == 1, .two_way = true };

			tree_add(f->w, R, "INBOX", (uint32_t)i + 2, 0);
			snprintf(keys[i], sizeof(keys[i]), servers ? "%u" : "name-%u", tree_find(r, (uint32_t)i + 2)->key);
			p.right = slice_str(keys[i]);
			assert_int_equal(pairs_add(db, &p, &f->e), 0);
		}
		assert_int_equal(db_commit(db, &f->e), 0);
		db_close(db);
		f->p.dry_run = true;
		run_clean(f);
		assert_int_equal(f->messages, 0);
		f->p.dry_run = false;
	}
}

/* A flag that one side can't hold is neither lost nor taken away. */
static void flags_not_held(void **state)
{
	struct fixture *f = *state;
	struct tree_folder *l, *r;

	fresh(f);
	f->w->side[L].can_hold = 63 & ~(uint32_t)FLAG_FORWARDED;
	l = tree_folder(f->w, L, "INBOX", false);
	r = tree_folder(f->w, R, "INBOX", false);
	tree_add(f->w, L, "INBOX", 1, 0);
	run_clean(f);
	tree_flag(f->w, R, r, tree_find(r, 1), FLAG_FORWARDED | FLAG_SEEN);
	run_clean(f);
	run_clean(f);
	assert_int_equal(done(f), 0);
	assert_int_equal(tree_find(l, 1)->flags, FLAG_SEEN);
	assert_int_equal(tree_find(r, 1)->flags, FLAG_FORWARDED | FLAG_SEEN);
	tree_flag(f->w, L, l, tree_find(l, 1), FLAG_SEEN | FLAG_FLAGGED);
	run_clean(f);
	assert_int_equal(tree_find(r, 1)->flags, FLAG_FORWARDED | FLAG_SEEN | FLAG_FLAGGED);
	f->w->side[L].can_hold = 63;
	tree_add(f->w, L, "INBOX", 2, 0);
	tree_flag(f->w, L, l, tree_find(l, 1), FLAG_SEEN);
	run_clean(f);
	assert_int_equal(tree_find(r, 1)->flags & FLAG_FORWARDED, FLAG_FORWARDED);
}

/* A message of which a side tells twice is one: in the first look, and in those at changes. */
static void told_twice(void **state)
{
	struct fixture *f = *state;
	struct tree_folder *l, *r;

	for (int looks = 0; looks < 2; looks++) {
		fresh(f);
		f->w->side[L].tells_twice = f->w->side[R].tells_twice = true;
		f->w->side[L].looks = looks ? TREE_CHANGES : TREE_ALL;
		l = tree_folder(f->w, L, "INBOX", false);
		r = tree_folder(f->w, R, "INBOX", false);
		for (uint32_t c = 1; c <= 12; c++)
			tree_add(f->w, c % 3 == 0 ? R : L, "INBOX", c, 0);
		run_clean(f);
		assert_int_equal(tree_count(l), 12);
		assert_int_equal(tree_count(r), 12);
		tree_add(f->w, L, "INBOX", 13, 0);
		tree_flag(f->w, L, l, tree_find(l, 2), FLAG_SEEN);
		run_clean(f);
		assert_int_equal(tree_count(l), 13);
		assert_int_equal(tree_count(r), 13);
		assert_int_equal(tree_find(r, 2)->flags, FLAG_SEEN);
		lose_base(f->db);
		run_clean(f);
		assert_int_equal(tree_count(l), 13);
		assert_int_equal(tree_count(r), 13);
	}
}

/* What could not be taken over is not forgotten: a side that can only be read for a while, a message that is not given. */
/* ---- more new messages than are copied together ---- */

#define MANY 7

/* All of this is to be done in one run, whatever is copied first. */
static void prepare_many(struct fixture *f, int s, unsigned looks)
{
	struct tree_folder *box;

	fill(f, 6);
	snprintf(where, sizeof(where), "from side %d, looks %u", s, looks);
	f->w->side[L].looks = looks;
	for (uint32_t i = 0; i < MANY; i++)
		tree_add(f->w, s, "INBOX", 50 + i, i % 2 ? FLAG_SEEN : 0);
	box = tree_folder(f->w, s, "INBOX", false);
	tree_flag(f->w, s, box, tree_find(box, 1), FLAG_FLAGGED);
	box = tree_folder(f->w, !s, "INBOX", false);
	tree_flag(f->w, !s, box, tree_find(box, 2), FLAG_SEEN);
}

/* ordered: the oldest came first. Where a link broke those come last at which it did. */
static void check_many(struct fixture *f, int s, bool ordered)
{
	struct tree_folder *to = tree_folder(f->w, !s, "INBOX", false);

	assert_int_equal(tree_count(to), 6 + MANY);
	assert_int_equal(tree_find(to, 1)->flags, FLAG_FLAGGED);
	assert_int_equal(tree_find(to, 2)->flags, FLAG_SEEN);
	for (uint32_t i = 0; i < MANY; i++)
		assert_non_null(tree_find(to, 50 + i));
	for (uint32_t i = 1; ordered && i < MANY; i++)
		if (tree_find(to, 50 + i - 1)->key > tree_find(to, 50 + i)->key)
			fail_msg("%s: content %u came before the one that is older", where, 50 + i);
}

static void slices(void **state)
{
	struct fixture *f = *state;

	for (int s = L; s <= R; s++) {
		for (unsigned looks = 0; looks < TREE_LOOKS; looks++) {
			prepare_many(f, s, looks);
			settle(f);
			check_many(f, s, true);
		}
		/* also in a first run, and where something was deleted, which may have been moved */
		fresh(f);
		for (uint32_t i = 0; i < MANY; i++)
			tree_add(f->w, s, "INBOX", 1 + i, 0);
		settle(f);
		assert_int_equal(tree_count(tree_folder(f->w, !s, "INBOX", false)), MANY);
		for (uint32_t i = 0; i < MANY; i++)
			tree_add(f->w, s, "INBOX", 50 + i, 0);
		tree_delete(f->w, !s, tree_folder(f->w, !s, "INBOX", false), tree_find(tree_folder(f->w, !s, "INBOX", false), 3));
		settle(f);
		assert_int_equal(tree_count(tree_folder(f->w, !s, "INBOX", false)), 2 * MANY - 1);
	}
}

/* So many are there, and the others not yet, when it is stopped somewhere. */
static void slices_interrupted(void **state)
{
	struct fixture *f = *state;

	for (int s = L; s <= R; s++) {
		for (enum disturbance kind = 0; kind < DISTURBANCES; kind++) {
			bool more = true, met[6 + MANY + 1] = { false };

			for (unsigned n = 1; more; n++) {
				prepare_many(f, s, n % TREE_LOOKS);
				more = disturb(f, kind, n);
				met[tree_count(tree_folder(f->w, !s, "INBOX", false))] = true;
				settle(f);
				check_many(f, s, kind != CUT_OFF);
			}
			for (size_t i = 0; kind == STOPPED && i <= MANY; i += slice)
				assert_true(met[6 + i]);
		}
	}
}

static void put_off(void **state)
{
	struct fixture *f = *state;

	for (int s = L; s <= R; s++) {
		for (unsigned looks = 0; looks < TREE_LOOKS; looks++) {
			struct tree_folder *far;

			fill(f, 5);
			snprintf(where, sizeof(where), "side %d, looks %u", s, looks);
			f->w->side[L].looks = looks;
			far = tree_folder(f->w, !s, "INBOX", false);
			tree_add(f->w, !s, "INBOX", 50, FLAG_SEEN);
			tree_flag(f->w, !s, far, tree_find(far, 1), FLAG_FLAGGED);
			tree_delete(f->w, !s, far, tree_find(far, 2));
			f->w->side[s].read_only = true;
			for (int i = 0; i < 3; i++) {
				run_clean(f);
				assert_int_equal(done(f), 0);
			}
			f->w->side[s].read_only = false;
			settle(f);
			assert_int_equal(tree_count(far), 5);
			/* listed, but not given */
			tree_add(f->w, !s, "INBOX", 60, 0);
			f->w->side[!s].hide = 60;
			run_clean(f);
			run_clean(f);
			f->w->side[!s].hide = 0;
			settle(f);
			assert_int_equal(tree_count(far), 6);
		}
	}
}

/* How many messages of this content and these flags there are. */
static unsigned copies(struct tree_folder *box, uint32_t content, uint32_t flags)
{
	unsigned n = 0;

	for (size_t i = 0; i < TREE_MESSAGES; i++)
		n += box->m[i].content == content && box->m[i].flags == flags;
	return n;
}

/* Messages with the same bytes are as many afterwards as the side with more of them had, wherever the run is stopped. */
static void twins(void **state)
{
	struct fixture *f = *state;
	const unsigned step = every(3);

	for (unsigned l = 0; l <= 2; l++) {
		for (unsigned r = 0; r <= 2; r++) {
			unsigned n = 1 + (l + r) % step;

			for (int status = 100; status != 0; n += step) {
				struct tree_folder *box[2];
				unsigned most = l > r ? l : r;

				fill(f, 3);
				snprintf(where, sizeof(where), "%u at the left, %u at the right, stop %u", l, r, n);
				for (unsigned i = 0; i < l; i++)
					tree_add(f->w, L, "INBOX", 50, FLAG_SEEN);
				for (unsigned i = 0; i < r; i++)
					tree_add(f->w, R, "INBOX", 50, FLAG_SEEN | (i == 0 ? FLAG_FLAGGED : 0));
				tree_add(f->w, L, "INBOX", 51, 0); /* there is something to pull and to push in any case */
				tree_add(f->w, R, "INBOX", 52, 0);
				f->p.stop_at = (int)n;
				status = run_apart(f);
				run_clean(f);
				run_clean(f);
				assert_int_equal(done(f), 0);
				for (int s = L; s <= R; s++) {
					box[s] = tree_folder(f->w, s, "INBOX", false);
					if (copies(box[s], 50, FLAG_SEEN) != most - (r > 0) || copies(box[s], 50, FLAG_SEEN | FLAG_FLAGGED) != (r > 0) || tree_count(box[s]) != 5 + most)
						fail_msg("%s: %u and %u on side %d", where, copies(box[s], 50, FLAG_SEEN), copies(box[s], 50, FLAG_SEEN | FLAG_FLAGGED), s);
				}
				/* each of them is known by itself */
				if (r > 0) {
					for (size_t i = 0; i < TREE_MESSAGES; i++)
						if (box[L]->m[i].content == 50 && box[L]->m[i].flags & FLAG_FLAGGED)
							tree_delete(f->w, L, box[L], &box[L]->m[i]);
					run_clean(f);
					if (copies(box[R], 50, FLAG_SEEN) != most - 1 || tree_count(box[R]) != 4 + most)
						fail_msg("%s: the wrong one was deleted", where);
				}
			}
		}
	}
}

static void dry_run(void **state)
{
	struct fixture *f = *state;
	struct tree_world *before;

	fill(f, 5);
	empty_folder(f, L, "INBOX", 4);
	tree_add(f->w, R, "Other", 60, 0);
	tree_add(f->w, L, "INBOX", 61, 0);
	tree_flag(f->w, R, tree_folder(f->w, R, "INBOX", false), tree_find(tree_folder(f->w, R, "INBOX", false), 5), FLAG_SEEN);
	before = malloc(sizeof(*before));
	assert_non_null(before);
	f->p.dry_run = true;
	memcpy(before->side, f->w->side, sizeof(before->side));
	run_clean(f);
	for (int s = L; s <= R; s++)
		assert_memory_equal(before->side[s].f, f->w->side[s].f, sizeof(before->side[s].f));
	free(before);
	assert_int_equal(f->t.pulled, 1);
	assert_int_equal(f->t.pushed, 1);
	assert_int_equal(f->t.deleted, 1);
	assert_int_equal(f->t.flagged, 1);
	assert_int_equal(f->messages, 4);
	f->p.dry_run = false;
	settle(f);
}

/* ---- moves ---- */

/* Twelve messages in three folders, and dates by which the left's are known again. */
static void scatter(struct fixture *f)
{
	fresh(f);
	f->w->side[L].dates = f->w->side[R].dates = true;
	f->p.max_delete.none = true;
	for (uint32_t i = 1; i <= 12; i++)
		tree_add(f->w, L, i <= 8 ? "INBOX" : i <= 10 ? "Work" : "A/B", i, FLAG_SEEN);
	settle(f);
	for (int s = L; s <= R; s++)
		f->w->side[s].moved = f->w->side[s].read = f->w->side[s].staged = 0;
}

static void move_mail(struct fixture *f, int s, const char *from, uint32_t content, const char *to)
{
	struct tree_folder *box = tree_folder(f->w, s, from, false);
	struct tree_msg *x = tree_find(box, content);

	assert_non_null(x);
	tree_add(f->w, s, to, content, x->flags);
	tree_delete(f->w, s, box, x);
}

static bool is_in(struct fixture *f, const char *folder, uint32_t content)
{
	bool l = tree_find(tree_folder(f->w, L, folder, false), content) != NULL;

	assert_int_equal(l, tree_find(tree_folder(f->w, R, folder, false), content) != NULL);
	return l;
}

/* No body of the left is read, and none is added to it; whatever the way in which the move ends. */
static void moved(void **state)
{
	struct fixture *f = *state;
	enum { PLAIN, MUTE, ALWAYS, WAYS };

	for (unsigned looks = 0; looks < TREE_LOOKS; looks++)
		for (int way = 0; way < WAYS; way++)
			for (int s = L; s <= R; s++) {
				unsigned n = way == ALWAYS ? 0 : 5;

				scatter(f);
				snprintf(where, sizeof(where), "looks %u, way %d, side %d", looks, way, s);
				f->w->side[L].looks = looks;
				f->w->side[!s].mute_moves = way == MUTE;
				f->w->side[!s].no_moves = way == ALWAYS;
				for (uint32_t i = 1; i <= 4; i++)
					move_mail(f, s, "INBOX", i, "Work");
				move_mail(f, s, "Work", 9, "New");
				tree_flag(f->w, !s, tree_folder(f->w, !s, "INBOX", false), tree_find(tree_folder(f->w, !s, "INBOX", false), 1), FLAG_FLAGGED);
				run_clean(f);
				assert_int_equal(f->w->side[!s].moved, n);
				assert_int_equal(f->w->side[L].read, way == ALWAYS && s == L ? 5 : 0);
				if (s == L) /* what was lost there is known by what the base says of it */
					assert_int_equal(f->w->side[R].read, 0);
				assert_int_equal(f->w->side[!s].staged, way == ALWAYS ? 5 : 0);
				if (way == PLAIN)
					assert_int_equal(f->t.moved, 5);
				settle(f);
				assert_int_equal(f->w->side[L].read, way == ALWAYS && s == L ? 5 : 0);
				for (uint32_t i = 1; i <= 4; i++)
					assert_true(is_in(f, "Work", i) && !is_in(f, "INBOX", i));
				assert_true(is_in(f, "New", 9) && !is_in(f, "Work", 9));
				if (way == PLAIN)
					assert_int_equal(tree_find(tree_folder(f->w, s, "Work", false), 1)->flags, FLAG_FLAGGED);
			}
}

/* A server that calls a message the same everywhere: no time of arrival is needed to know it again, nor a Message-ID; and what it shows in one more folder is not read again. */
static void moved_and_copied_by_name(void **state)
{
	struct fixture *f = *state;

	for (unsigned looks = 0; looks < TREE_LOOKS; looks++) {
		scatter(f);
		snprintf(where, sizeof(where), "looks %u", looks);
		f->w->side[L].looks = looks;
		f->w->side[L].objects = true;
		for (uint32_t i = 21; i <= 24; i++)
			tree_add(f->w, i % 2 ? L : R, "INBOX", i, 0); /* of the others nothing is known */
		settle(f);
		f->w->side[L].dates = f->w->side[R].dates = false;
		f->w->side[L].read = f->w->side[R].read = f->w->side[R].staged = f->w->side[R].moved = 0;
		for (uint32_t i = 21; i <= 22; i++) {
			move_mail(f, L, "INBOX", i, "Work");
			tree_add(f->w, L, "A/B", i, FLAG_FLAGGED);
		}
		for (uint32_t i = 23; i <= 24; i++)
			tree_add(f->w, L, "Work", i, 0);
		run_clean(f);
		assert_int_equal(f->t.moved, 2);
		assert_int_equal(f->t.pulled, 4);
		settle(f);
		assert_int_equal(f->w->side[R].moved, 2);
		assert_int_equal(f->w->side[R].again, 4);
		assert_int_equal(f->w->side[L].read + f->w->side[R].read, 0);
		for (uint32_t i = 21; i <= 24; i++) {
			assert_true(is_in(f, "Work", i));
			assert_int_equal(is_in(f, "INBOX", i), i > 22);
			assert_int_equal(is_in(f, "A/B", i), i <= 22);
		}
	}
}

/* In the run that brings a message for the first time, too. */
static void copied_at_once(void **state)
{
	struct fixture *f = *state;

	fresh(f);
	f->w->side[L].objects = true;
	for (uint32_t i = 1; i <= 3; i++) {
		tree_add(f->w, L, "INBOX", i, FLAG_SEEN);
		tree_add(f->w, L, "A/B", i, 0);
		tree_add(f->w, L, "Work", i, FLAG_FLAGGED);
	}
	settle(f);
	assert_int_equal(f->w->side[L].read, 3);
	assert_int_equal(f->w->side[R].again, 6);
}

/* However the run ends, nothing is lost or doubled, and nothing read for it. */
static void copied_and_interrupted(void **state)
{
	struct fixture *f = *state;

	for (enum disturbance kind = STOPPED; kind < CUT_OFF; kind++) {
		bool more = true;

		for (unsigned n = 1; more; n++) {
			scatter(f);
			f->w->side[L].objects = true;
			for (uint32_t i = 21; i <= 23; i++)
				tree_add(f->w, L, "INBOX", i, 0);
			settle(f);
			f->w->side[L].read = f->w->side[R].again = 0;
			for (uint32_t i = 21; i <= 23; i++)
				tree_add(f->w, L, i == 23 ? "A/B" : "Work", i, 0);
			more = disturb(f, kind, n);
			settle(f);
			assert_int_equal(f->w->side[L].read, 0);
			assert_true(f->w->side[R].again >= 3);
			for (uint32_t i = 21; i <= 23; i++)
				assert_true(is_in(f, "INBOX", i) && is_in(f, i == 23 ? "A/B" : "Work", i));
		}
	}
}

/* What is to be staged again may be there no more: then it is read after all. And the same name for something of another length proves nothing. */
static void copied_but_gone(void **state)
{
	struct fixture *f = *state;

	scatter(f);
	f->w->side[L].objects = true;
	for (uint32_t i = 21; i <= 22; i++)
		tree_add(f->w, L, "INBOX", i, 0);
	settle(f);
	f->w->side[L].read = 0;
	tree_add(f->w, L, "Work", 21, 0);
	tree_add(f->w, L, "Work", 22, 0);
	f->p.del = SYNC_NONE; /* in this run nothing is concluded from it */
	tree_delete(f->w, R, tree_folder(f->w, R, "INBOX", false), tree_find(tree_folder(f->w, R, "INBOX", false), 21));
	run_clean(f);
	assert_int_equal(f->w->side[R].again, 1);
	assert_int_equal(f->w->side[L].read, 1);
	assert_true(is_in(f, "Work", 21) && is_in(f, "Work", 22));
}

/* A server that may have changed is asked for its changes before the other side is looked at, and answers meanwhile; but not where it is asked for all that it has. */
static void asked_meanwhile(void **state)
{
	struct fixture *f = *state;
	const struct tree_side *l = &f->w->side[L], *r = &f->w->side[R];

	for (unsigned looks = 0; looks < TREE_LOOKS; looks++) {
		fill(f, 6);
		f->w->side[L].looks = looks;
		f->w->side[L].stamps = true;
		settle(f);
		tree_add(f->w, L, "INBOX", 50, 0);
		tree_add(f->w, R, "INBOX", 51, 0);
		run_clean(f);
		assert_true(done(f) == 2 && l->announced < r->announced && r->told_from < l->told_from);
		/* what both have got meanwhile is no two messages */
		tree_add(f->w, L, "INBOX", 60, 0);
		tree_add(f->w, R, "INBOX", 60, 0);
		settle(f);
		assert_int_equal(tree_count(tree_folder(f->w, L, "INBOX", false)), 9);
		f->p.max_size = 100000; /* by other limits */
		tree_add(f->w, L, "INBOX", 52, 0);
		tree_add(f->w, R, "INBOX", 53, 0);
		run_clean(f);
		assert_true(done(f) == 2 && l->announced > r->told_from);
		settle(f);
	}
}

/* What is removed at the right need not be looked for anew where the look has given a stamp, or found the folder as it was when one did. */
static void opened_as_stamped(void **state)
{
	struct fixture *f = *state;
	struct tree_folder *box;

	for (int stirring = 0; stirring < 2; stirring++) {
		for (int changed = 0; changed < 2; changed++) {
			fill(f, 6);
			settle(f);
			f->w->side[R].stirring = stirring;
			box = tree_folder(f->w, L, "INBOX", false);
			tree_delete(f->w, L, box, tree_find(box, 1));
			if (changed)
				tree_add(f->w, R, "INBOX", 50, 0);
			run_clean(f);
			assert_int_equal(f->t.deleted, 1);
			assert_int_equal(f->w->side[R].how & BOX_UNCHANGED, changed && stirring ? 0 : BOX_UNCHANGED);
		}
	}
}

/* The left is told what will be pulled, one folder after the other, until there is something else to do there. */
static void foretold(struct fixture *f, unsigned n)
{
	f->w->side[L].foretold = 0;
	settle(f);
	assert_int_equal(f->w->side[L].foretold, n);
}

static void pulled_ahead(void **state)
{
	static const char *const five[] = { "A", "B", "C", "D", "E" };
	struct fixture *f = *state;

	for (int objects = 0; objects < 2; objects++) {
		fresh(f);
		f->w->side[L].objects = objects;
		for (uint32_t i = 0; i < COUNT(five); i++)
			for (uint32_t k = 0; k < 3; k++)
				tree_add(f->w, L, five[i], 10 * i + k + 1, 0);
		foretold(f, 5);
		/* something to push in C, nothing at the left in D */
		for (uint32_t i = 0; i < COUNT(five); i++)
			if (i != 3)
				tree_add(f->w, L, five[i], 100 + i, 0);
		tree_add(f->w, R, "C", 110, 0);
		tree_flag(f->w, L, tree_folder(f->w, L, "D", false), tree_find(tree_folder(f->w, L, "D", false), 31), FLAG_SEEN);
		foretold(f, 3);
		/* flags to be set in B, something to be deleted in D */
		for (uint32_t i = 0; i < COUNT(five); i++)
			tree_add(f->w, L, five[i], 120 + i, 0);
		tree_flag(f->w, R, tree_folder(f->w, R, "B", false), tree_find(tree_folder(f->w, R, "B", false), 11), FLAG_SEEN);
		tree_delete(f->w, R, tree_folder(f->w, R, "D", false), tree_find(tree_folder(f->w, R, "D", false), 31));
		foretold(f, 3);
		/* in C what A brings as well, in E what B has had since long: where they are known to be the same, they are not read */
		for (uint32_t i = 0; i < COUNT(five); i++)
			tree_add(f->w, L, five[i], 130 + i, 0);
		tree_add(f->w, L, "C", 130, 0);
		tree_add(f->w, L, "E", 101, 0);
		foretold(f, objects ? 3 : 5);
	}
}

/* A server that calls all its messages the same: what is of the same length is read all the same, and is not the other. */
static void copied_by_no_name(void **state)
{
	struct fixture *f = *state;

	for (int at_once = 0; at_once < 2; at_once++) {
		fresh(f);
		f->w->side[L].objects = f->w->side[L].one_object = true;
		tree_add(f->w, L, "INBOX", 21, 0);
		tree_add(f->w, L, "A/B", 9, 0);
		if (!at_once)
			settle(f);
		tree_add(f->w, L, "Work", 22, 0);
		tree_add(f->w, L, "Work", 21, 0);
		settle(f);
		assert_true(is_in(f, "INBOX", 21) && is_in(f, "Work", 22) && is_in(f, "Work", 21) && is_in(f, "A/B", 9));
		/* what has the Message-ID as well is */
		assert_int_equal(f->w->side[R].again, 1);
		assert_int_equal(f->w->side[L].read, 3);
	}
}

/* The run ends at one of its steps, or with one of its commits. */
static int number_given_and_stopped(struct fixture *f, bool at_commit, int stop)
{
	struct tree_folder *left, *right;
	int code;

	scatter(f);
	snprintf(where, sizeof(where), "stopped at %s %d", at_commit ? "commit" : "step", stop);
	left = tree_folder(f->w, L, "INBOX", false);
	right = tree_folder(f->w, R, "INBOX", false);
	tree_find(left, 1)->content = 91;
	for (uint32_t i = 1; i <= 2; i++)
		tree_delete(f->w, R, right, tree_find(right, i));
	syncs = 0;
	if (at_commit)
		die_at = (unsigned)stop;
	else
		f->p.stop_at = stop;
	code = run_apart(f);
	die_at = 0;
	assert_true(code == 100 || code == 0);
	run_clean(f);
	assert_non_null(tree_find(left, 91));
	run_clean(f);
	settle(f);
	if (!is_in(f, "INBOX", 91) || is_in(f, "INBOX", 1) || is_in(f, "INBOX", 2) || !is_in(f, "INBOX", 3))
		fail_msg("%s: not as it should be", where);
	return code;
}

/* A server that gives a number again: what has it now is not what was deleted here. It stays, and comes; however the run ends. */
static void number_given_again(void **state)
{
	for (int at_commit = 0; at_commit <= 1; at_commit++) {
		int stop = 1;

		while (number_given_and_stopped(*state, at_commit, stop) == 100)
			stop++;
		assert_true(stop > 4);
	}
}

/* And then no number of the folder is believed: what has one of the others, and was never asked for, comes too; what is missing a person has to decide. */
static void numbers_not_believed(void **state)
{
	struct fixture *f = *state;
	struct tree_folder *left, *right;

	scatter(f);
	left = tree_folder(f->w, L, "INBOX", false);
	right = tree_folder(f->w, R, "INBOX", false);
	tree_find(left, 1)->content = 91;
	tree_find(left, 2)->content = 92;
	tree_delete(f->w, R, right, tree_find(right, 1));
	run_clean(f);
	assert_true(f->warnings == 1 && strstr(f->text, servers ? "has given the numbers (UIDs) of 1 messages that were deleted on the local side to others" :
								  "has given the numbers (UIDs) of 1 messages that were deleted here to others"));
	assert_int_equal(f->t.deleted, 0);
	assert_int_equal(run_here(f), 0);
	assert_true(f->errors == 1 && strstr(f->text, "has given numbers (UIDs) of 'INBOX' to other messages, and 1 of 7 messages are not there any more: nothing was changed"));
	assert_non_null(tree_find(right, 2));
	f->p.allow_deletions = true;
	settle(f);
	assert_true(is_in(f, "INBOX", 91) && is_in(f, "INBOX", 92) && !is_in(f, "INBOX", 1) && !is_in(f, "INBOX", 2) && is_in(f, "INBOX", 8));
}

/*
 * What a renumbered folder holds is known by what the base says, after the state was lost by what is read here; and nobody asks a server for what no copy lacks. The look
 * that lists the messages asks what tells them apart, where there is something here that they may be.
 */
static void known_again(void **state)
{
	struct fixture *f = *state;
	unsigned asked;

	scatter(f);
	assert_int_equal(f->w->side[L].named, 0);
	asked = f->w->side[L].asked;
	tree_folder(f->w, L, "INBOX", false)->validity += 1000;
	tree_folder(f->w, L, "INBOX", false)->changed++;
	settle(f);
	assert_int_equal(f->w->side[L].read + f->w->side[R].read + f->w->side[L].marks, 0);
	lose_base(f->db);
	settle(f);
	assert_int_equal(f->w->side[R].read, servers ? 0 : 12);
	assert_int_equal(f->w->side[L].read + f->w->side[L].marks, 0);
	assert_int_equal(f->w->side[L].asked, asked);
	/* one there that is not here, and one here that is not there: they are not of one size, whatever mark they had */
	lose_base(f->db);
	tree_delete(f->w, L, tree_folder(f->w, L, "INBOX", false), tree_find(tree_folder(f->w, L, "INBOX", false), 1));
	tree_add(f->w, L, "INBOX", 101, 0);
	run_clean(f);
	assert_int_equal(f->w->side[L].marks, 0);
}

/* Both sides have moved it: the left's word counts. Both to the same place: there it is. */
static void moved_twice(void **state)
{
	struct fixture *f = *state;

	scatter(f);
	for (uint32_t i = 1; i <= 2; i++) {
		move_mail(f, L, "INBOX", i, "Work");
		move_mail(f, R, "INBOX", i, i == 1 ? "A/B" : "Work");
	}
	tree_flag(f->w, R, tree_folder(f->w, R, "A/B", false), tree_find(tree_folder(f->w, R, "A/B", false), 1), FLAG_SEEN | FLAG_FLAGGED);
	settle(f);
	assert_int_equal(f->w->side[L].read + f->w->side[L].staged, 0);
	assert_true(is_in(f, "Work", 1) && is_in(f, "Work", 2) && !is_in(f, "A/B", 1) && !is_in(f, "INBOX", 1) && !is_in(f, "INBOX", 2));
	assert_int_equal(tree_find(tree_folder(f->w, L, "Work", false), 1)->flags, FLAG_SEEN | FLAG_FLAGGED);
}

/* The same, and the right can't follow: it stays where each has it, and that is told; when the right can, it follows. */
static void moved_twice_and_refused(void **state)
{
	struct fixture *f = *state;

	scatter(f);
	move_mail(f, L, "INBOX", 1, "Work");
	move_mail(f, R, "INBOX", 1, "A/B");
	f->w->side[R].no_moves = true;
	for (int runs = 0; runs < 3; runs++) {
		run_clean(f);
		assert_int_equal(done(f), 0);
		assert_true(f->warnings > 0 && strstr(f->text, "'Work' on one side and to 'A/B' on the other"));
		for (int s = L; s <= R; s++) {
			assert_int_equal(tree_find(tree_folder(f->w, s, "Work", false), 1) != NULL, s == L);
			assert_int_equal(tree_find(tree_folder(f->w, s, "A/B", false), 1) != NULL, s == R);
		}
	}
	f->w->side[R].no_moves = false;
	settle(f);
	assert_true(is_in(f, "Work", 1) && !is_in(f, "A/B", 1) && !is_in(f, "INBOX", 1));
}

/* A refusal is no way past max-delete: what could not be moved is deleted when its copy is there, and when the guard agrees. */
static void refused_and_guarded(void **state)
{
	struct fixture *f = *state;

	for (int copies = 0; copies < 2; copies++) {
		scatter(f);
		f->p.max_delete = (struct plan_max_delete){ .percent = 10, .count = 1 };
		f->w->side[L].no_moves = true;
		f->w->side[L].refuse_copies = !copies;
		for (uint32_t i = 1; i <= 8; i++)
			move_mail(f, R, "INBOX", i, "Work");
		for (int runs = 0; runs < 3; runs++) {
			calm(f);
			run_here(f);
			assert_int_equal(f->t.deleted, 0);
			assert_int_equal(tree_count(tree_folder(f->w, L, "INBOX", false)), 8);
		}
		assert_int_equal(tree_count(tree_folder(f->w, L, "Work", false)), copies ? 10 : 2);
	}
}

/* ---- renames ---- */

static void rename_folder(struct fixture *f, int s, const char *from, const char *to)
{
	struct tree_folder *box = tree_folder(f->w, s, from, false);

	assert_non_null(box);
	assert_null(tree_folder(f->w, s, to, false));
	snprintf(box->name, sizeof(box->name), "%s", to);
	f->w->side[s].clock++;
}

/* Messages 9 and 10 are in a folder that one side calls otherwise; 9 has another flag on the other, where 10 is deleted. */
static void give_name(struct fixture *f, int s)
{
	struct tree_folder *box;

	scatter(f);
	rename_folder(f, s, "Work", "Old");
	box = tree_folder(f->w, !s, "Work", false);
	tree_flag(f->w, !s, box, tree_find(box, 9), FLAG_FLAGGED);
	tree_delete(f->w, !s, box, tree_find(box, 10));
}

/* The other side's folder gets the name, and no message is touched for it; where it will not, they are moved. */
static void renamed(void **state)
{
	struct fixture *f = *state;

	for (unsigned looks = 0; looks < TREE_LOOKS; looks++)
		for (int refused = 0; refused < 2; refused++)
			for (int s = L; s <= R; s++) {
				snprintf(where, sizeof(where), "looks %u, refused %d, side %d", looks, refused, s);
				give_name(f, s);
				f->w->side[L].looks = looks;
				f->w->side[!s].no_renames = refused;
				calm(f);
				run_here(f);
				assert_int_equal(f->t.renamed, !refused);
				assert_int_equal(f->t.moved, refused);
				assert_int_equal(f->warnings > 0, refused);
				settle(f);
				assert_int_equal(f->w->side[L].read + f->w->side[L].staged, refused);
				for (int k = L; k <= R; k++) {
					struct tree_folder *box = tree_folder(f->w, k, "Old", false);

					assert_null(tree_folder(f->w, k, "Work", false));
					assert_non_null(box);
					assert_int_equal(tree_find(box, 9)->flags, FLAG_FLAGGED);
					/* that it was deleted is known only of a folder that is the same still */
					assert_int_equal(tree_find(box, 10) != NULL, refused);
				}
			}
}

/* What it was called before matters to no run that comes after one that died. */
static void renamed_and_interrupted(void **state)
{
	struct fixture *f = *state;

	for (int s = L; s <= R; s++) {
		bool over = false;

		for (int step = 1; !over; step++) {
			snprintf(where, sizeof(where), "side %d, step %d", s, step);
			give_name(f, s);
			calm(f);
			f->p.stop_at = step;
			over = run_apart(f) == 0;
			assert_true(over || step < 30);
			calm(f);
			settle(f);
			assert_true(is_in(f, "Old", 9));
			assert_false(is_in(f, "Old", 10));
			assert_null(tree_folder(f->w, L, "Work", false));
			assert_null(tree_folder(f->w, R, "Work", false));
			assert_true(step > 2 || !over);
		}
	}
}

/* ---- the model: readers at both sides and runs that die, at random ---- */

enum fate_of { ALIVE, DEAD, EITHER };

struct model {
	enum fate_of fate[TREE_MESSAGES * 10];
	char folder[TREE_MESSAGES * 10][16];
	uint32_t n;
	unsigned moved[TREE_MESSAGES * 10]; /* by these sides since the last run that came to its end */
	enum { ONE, SOME } loose[TREE_MESSAGES * 10]; /* where it is shall be seen: ONE copy, or perhaps more */
	bool adrift[TREE_MESSAGES * 10];
	bool moves; /* readers move mail, and give folders other names, too */
	bool renamed; /* since the last run that came to its end: where what is new will be nobody can tell */
	bool dirty; /* a run has died since the last one that came to its end */
};

static const char *const names[] = { "INBOX", "Work", "A/B", "Old", "A" };

/* What is in it may be anywhere after the next run, but it is somewhere, and once unless a run has died. */
static void set_adrift(struct model *m, uint32_t c)
{
	m->loose[c] = m->dirty || m->loose[c] == SOME ? SOME : ONE;
	m->adrift[c] = true;
}

static bool is_anywhere(struct fixture *f, uint32_t content)
{
	for (int s = L; s <= R; s++)
		for (size_t i = 0; i < COUNT(names); i++) {
			struct tree_folder *box = tree_folder(f->w, s, names[i], false);

			if (box && tree_find(box, content))
				return true;
		}
	return false;
}

/* A reader gives a folder another name. */
static void read_name(struct fixture *f, struct model *m, int s)
{
	const char *from = names[1 + below(COUNT(names) - 1)], *to = names[1 + below(COUNT(names) - 1)];

	if (!tree_folder(f->w, s, from, false) || tree_folder(f->w, s, to, false))
		return;
	for (uint32_t c = 1; c <= m->n; c++) {
		if (!is_anywhere(f, c))
			continue;
		if (m->fate[c] == DEAD)
			m->fate[c] = EITHER;
		set_adrift(m, c);
	}
	m->renamed = true;
	rename_folder(f, s, from, to);
}

/* One thing that a reader does. */
static void read_mail(struct fixture *f, struct model *m)
{
	int s = (int)below(2);
	const char *name = names[below(COUNT(names))];
	struct tree_folder *box = tree_folder(f->w, s, name, false);
	struct tree_msg *x = NULL;

	if (below(3) == 0 || !box || tree_count(box) == 0) {
		if (m->n + 1 == COUNT(m->fate) || (box && tree_count(box) > 60))
			return;
		m->n++;
		snprintf(m->folder[m->n], sizeof(m->folder[0]), "%s", name);
		if (m->renamed)
			set_adrift(m, m->n);
		tree_add(f->w, s, name, m->n, below(64));
		return;
	}
	if (m->moves && below(12) == 0) {
		read_name(f, m, s);
		return;
	}
	for (unsigned tries = below(TREE_MESSAGES); !x; tries++)
		if (box->m[tries % TREE_MESSAGES].content)
			x = &box->m[tries % TREE_MESSAGES];
	if (m->moves && below(3) == 0) {
		const char *to = names[below(COUNT(names))];
		uint32_t c = x->content;

		/* what else happened to it, perhaps unseen: then it ends somewhere, and a copy of a dead run may be taken for another message */
		if (m->dirty || m->moved[c] & ~(1u << s) || m->adrift[c] || m->fate[c] != ALIVE) {
			m->fate[c] = m->fate[c] == ALIVE ? ALIVE : EITHER;
			set_adrift(m, c);
		}
		if (m->renamed)
			set_adrift(m, c);
		if (tree_find(tree_folder(f->w, s, to, true), c))
			return;
		m->moved[c] |= 1u << s;
		tree_add(f->w, s, to, c, x->flags);
		tree_delete(f->w, s, box, x);
		snprintf(m->folder[c], sizeof(m->folder[0]), "%s", to);
		return;
	}
	if (below(3) == 0) {
		if (m->moved[x->content] || m->adrift[x->content]) {
			m->adrift[x->content] = true;
			m->loose[x->content] = SOME;
			m->fate[x->content] = EITHER;
			tree_delete(f->w, s, box, x);
			return;
		}
		/* a copy that a dead run had just made may be taken for one that was never made: then it comes again, which loses nothing */
		m->fate[x->content] = m->dirty ? EITHER : DEAD;
		tree_delete(f->w, s, box, x);
	} else {
		tree_flag(f->w, s, box, x, x->flags ^ (1u << below(6)));
	}
}

/* After a run that came to its end: where is what nobody could foretell? */
static void find_adrift(struct fixture *f, struct model *m)
{
	for (uint32_t c = 1; c <= m->n; c++) {
		unsigned n = 0;

		m->moved[c] = 0;
		if (!m->adrift[c])
			continue;
		for (size_t i = 0; i < COUNT(names); i++) {
			struct tree_folder *box = tree_folder(f->w, L, names[i], false);

			if (!box || !tree_find(box, c))
				continue;
			n++;
			snprintf(m->folder[c], sizeof(m->folder[0]), "%s", names[i]);
		}
		if (n == 0 && m->fate[c] == ALIVE)
			fail_msg("%s: content %u is lost on its way", where, c);
		if (n > 1 && m->loose[c] == ONE)
			fail_msg("%s: content %u is in %u folders", where, c, n);
		if (n > 1)
			continue; /* two messages from now on: nothing more is said of them */
		m->adrift[c] = false;
		m->loose[c] = ONE;
	}
}

static void check_model(struct fixture *f, const struct model *m)
{
	check_equal(f);
	for (uint32_t c = 1; c <= m->n; c++) {
		struct tree_folder *box = tree_folder(f->w, L, m->folder[c], false);
		struct tree_msg *x = box ? tree_find(box, c) : NULL;

		if (m->adrift[c])
			continue;
		if (!x && m->fate[c] == ALIVE)
			fail_msg("%s: content %u is lost", where, c);
		if (x && m->fate[c] == DEAD)
			fail_msg("%s: content %u has come back", where, c);
		for (size_t i = 0; x && m->moves && i < COUNT(names); i++) {
			box = tree_folder(f->w, L, names[i], false);
			if (strcmp(names[i], m->folder[c]) != 0 && box && tree_find(box, c))
				fail_msg("%s: content %u is in %s, too", where, c, names[i]);
		}
	}
}

static void model(void **state)
{
	struct fixture *f = *state;
	const char *seeds = getenv("MAILHAUL_SEEDS"), *first = getenv("MAILHAUL_SEED");
	unsigned n = seeds ? (unsigned)strtoul(seeds, NULL, 10) : words || servers ? 15 : 30;
	uint64_t from = first ? strtoull(first, NULL, 0) : 1;
	static struct model m;

	for (uint64_t seed = from; seed < from + n; seed++) {
		rng = seed;
		fresh(f);
		memset(&m, 0, sizeof(m));
		f->p.max_delete.none = true;
		f->p.allow_deletions = true;
		f->w->side[L].looks = below(TREE_LOOKS);
		f->w->side[L].stamps = below(2);
		f->w->side[R].stamps = below(2);
		m.moves = f->w->side[L].dates = f->w->side[R].dates = seed % 2;
		f->w->side[L].objects = seed / 2 % 2;
		f->w->side[L].thinks = seed / 2 % 2;
		f->w->nameless = seed / 4 % 2;
		run_clean(f);
		for (int round = 0; round < 25; round++) {
			unsigned what = below(5);

			snprintf(where, sizeof(where), "seed %llu, round %d", (unsigned long long)seed, round);
			for (unsigned i = round == 0 ? 0 : below(12); i > 0; i--)
				read_mail(f, &m);
			calm(f);
			if (what == 0)
				f->p.stop_at = (int)(1 + below(30));
			else if (what == 1)
				f->w->crash_at = f->w->ops + 1 + below(150);
			else if (what == 2)
				f->w->cut_at = f->w->ops + 1 + below(150);
			if (what < 3) {
				m.dirty |= run_apart(f) != 0;
				/* what broke and went on in the same run may have left copies that nobody can tell either */
				continue;
			}
			run_clean(f);
			if (strstr(f->text, " and stays (")) {
				/* one side has no more of a folder, and the other new mail in it: that a person has to decide */
				for (uint32_t c = 1; c <= m.n; c++)
					if (m.fate[c] == ALIVE && !is_anywhere(f, c))
						fail_msg("%s: content %u is lost", where, c);
				break;
			}
			find_adrift(f, &m);
			for (uint32_t c = 1; c <= m.n; c++) {
				struct tree_folder *box = tree_folder(f->w, L, m.folder[c], false);

				if (m.fate[c] == EITHER && !m.adrift[c])
					m.fate[c] = box && tree_find(box, c) ? ALIVE : DEAD;
			}
			m.dirty = m.renamed = false;
			check_model(f, &m);
		}
		if (strstr(f->text, " and stays ("))
			continue;
		settle(f);
		find_adrift(f, &m);
		check_model(f, &m);
	}
}

/* The right has numbered a folder anew: nothing is copied, and what was deleted meanwhile comes back rather than that anything is concluded from keys that mean nothing. */
static void right_renumbered(void **state)
{
	struct fixture *f = *state;
	struct tree_folder *right;

	for (int all = 0; all < 2; all++) {
		scatter(f);
		right = tree_folder(f->w, R, "INBOX", false);
		right->validity += 1000;
		right->changed++;
		for (size_t i = 0; i < TREE_MESSAGES; i++)
			if (right->m[i].content != 0)
				right->m[i].key = 9 - right->m[i].key; /* each key names another message now */
		tree_delete(f->w, L, tree_folder(f->w, L, "INBOX", false), tree_find(tree_folder(f->w, L, "INBOX", false), 1));
		tree_flag(f->w, L, tree_folder(f->w, L, "INBOX", false), tree_find(tree_folder(f->w, L, "INBOX", false), 2), FLAG_SEEN | FLAG_FLAGGED);
		f->p.max_size = all ? 100000 : 0; /* with other limits all is listed */
		run_clean(f);
		assert_true(f->warnings == 1 && strstr(f->text, "UIDVALIDITY"));
		assert_int_equal(f->t.deleted, 0);
		assert_int_equal(f->t.pushed, 1);
		assert_int_equal(f->t.pulled, 0);
		settle(f);
		assert_int_equal(tree_count(right), 8);
		assert_int_equal(tree_find(right, 2)->flags, FLAG_SEEN | FLAG_FLAGGED);
		assert_true(is_in(f, "INBOX", 1));
	}
}

/* A number that the right has given to another message: that one is not deleted there. */
static void right_number_given_again(void **state)
{
	struct fixture *f = *state;
	struct tree_folder *left, *right;

	scatter(f);
	tree_add(f->w, R, "INBOX", 20, 0);
	settle(f);
	left = tree_folder(f->w, L, "INBOX", false);
	right = tree_folder(f->w, R, "INBOX", false);
	tree_find(right, 20)->content = 91;
	tree_delete(f->w, L, left, tree_find(left, 20));
	run_clean(f);
	assert_true(f->warnings == 1 && strstr(f->text, "has given the numbers (UIDs) of 1 messages that were deleted on the remote side to others"));
	assert_int_equal(f->t.deleted, 0);
	run_clean(f);
	settle(f);
	assert_true(is_in(f, "INBOX", 91) && !is_in(f, "INBOX", 20) && is_in(f, "INBOX", 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(matrix), T(matrix_interrupted), T(removals_cut_off), T(no_op), T(first_contact), T(read_ahead), T(states), T(vanished), T(restore_interrupted), T(max_delete),
		T(renumbered), T(where_deletions_go), T(folders_come_and_go), T(folder_gone_after_a_crash), T(names_and_limits), T(left_out), T(refused),
		T(flags_not_held), T(told_twice), T(put_off), T(twins), T(moved), T(moved_twice), T(moved_twice_and_refused), T(refused_and_guarded), T(renamed), T(renamed_and_interrupted),
		T(known_again), T(number_given_again), T(numbers_not_believed), T(dry_run), T(model),
		T(second_copies), T(found_as_another), T(dry_run_of_pending),
	};

	const struct CMUnitTest at_hand[] = { /* what the right holds need not be read from afar */
		T(moved_and_copied_by_name), T(copied_but_gone), T(copied_by_no_name), T(pulled_ahead), T(copied_at_once), T(copied_and_interrupted), T(asked_meanwhile), T(opened_as_stamped), T(looked_at_meanwhile),
	};
	const struct CMUnitTest sliced[] = { /* more is new than is copied together */
		T(slices), T(slices_interrupted), T(states), T(vanished), T(left_out), T(refused), T(put_off), T(twins), T(moved), T(renamed), T(copied_at_once), T(model),
	};
	const struct CMUnitTest numbers[] = { T(right_renumbered), T(right_number_given_again) };
	int rc;

	mallopt(M_TRIM_THRESHOLD, 256 << 20); /* each run gives back what the next one takes */
	rc = cmocka_run_group_tests_name("flags", tests, NULL, NULL) + cmocka_run_group_tests_name("flags", at_hand, NULL, NULL);
	words = true;
	rc += cmocka_run_group_tests_name("keywords", tests, NULL, NULL) + cmocka_run_group_tests_name("keywords", at_hand, NULL, NULL);
	words = false;
	slice = 2;
	rc += cmocka_run_group_tests_name("slices", sliced, NULL, NULL);
	slice = 0;
	servers = true;
	return rc + cmocka_run_group_tests_name("servers", tests, NULL, NULL) + cmocka_run_group_tests_name("servers", numbers, NULL, NULL);
}
