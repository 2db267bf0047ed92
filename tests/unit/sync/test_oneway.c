/* Migrations as a whole, against rigged trees: one way, whatever the target is. What is held to: the source is as it was, unless it is to be emptied; nothing is lost or doubled. */
#include "treerig.h"

#include "mail/flags.h"

static bool nameless;

static void set_params(struct fixture *f, bool delete_source)
{
	f->p.one_way = true;
	f->p.delete_source = delete_source;
	f->p.del = SYNC_NONE;
	f->p.create = SYNC_RIGHT;
}

static void begin(struct fixture *f, bool delete_source)
{
	fresh(f);
	set_params(f, delete_source);
	f->w->side[L].dates = f->w->side[R].dates = true;
	f->w->nameless = nameless;
	for (uint32_t i = 1; i <= 6; i++)
		tree_add(f->w, L, i <= 4 ? "INBOX" : "Work", i, i == 2 ? FLAG_SEEN : 0);
}

static struct tree_folder *box(struct fixture *f, int s, const char *name)
{
	return tree_folder(f->w, s, name, false);
}

/* The source moves a message. */
static void move_left(struct fixture *f, uint32_t content, const char *from, const char *to, uint32_t flags)
{
	tree_add(f->w, L, to, content, flags);
	tree_delete(f->w, L, box(f, L, from), tree_find(box(f, L, from), content));
}

static size_t count(struct fixture *f, int s, uint32_t content)
{
	size_t n = 0;

	for (size_t i = 0; i < TREE_FOLDERS; i++)
		for (size_t k = 0; f->w->side[s].f[i].name[0] && k < TREE_MESSAGES; k++)
			n += f->w->side[s].f[i].m[k].content == content;
	return n;
}

/* Runs as often as there is something to do. */
static void run_out(struct fixture *f)
{
	run_clean(f);
	run_clean(f);
	if (done(f) || f->t.moved)
		fail_msg("%s: a second run had something to do", where);
}

/* The left of before, to be compared. */
static struct tree_side *keep_left(const struct fixture *f)
{
	struct tree_side *s = malloc(sizeof(*s));

	assert_non_null(s);
	memcpy(s, &f->w->side[L], sizeof(*s));
	return s;
}

static void left_is_as(struct fixture *f, struct tree_side *then)
{
	if (memcmp(then->f, f->w->side[L].f, sizeof(then->f)) != 0)
		fail_msg("%s: the source was changed", where);
	free(then);
}

static void copies(void **state)
{
	struct fixture *f = *state;
	struct tree_side *left;

	begin(f, false);
	tree_add(f->w, R, "INBOX", 3, FLAG_FLAGGED); /* somebody has brought it there */
	tree_add(f->w, R, "INBOX", 50, 0);           /* what the target alone has */
	tree_add(f->w, R, "Own", 51, 0);
	left = keep_left(f);
	run_out(f);
	left_is_as(f, left);
	for (uint32_t c = 1; c <= 6; c++)
		assert_int_equal(count(f, R, c), 1);
	assert_non_null(tree_find(box(f, R, "Work"), 5));
	assert_int_equal(tree_find(box(f, R, "INBOX"), 2)->flags, FLAG_SEEN);
	assert_int_equal(tree_find(box(f, R, "INBOX"), 3)->flags, FLAG_FLAGGED);
	assert_int_equal(count(f, R, 50) + count(f, R, 51), 2);
	assert_null(box(f, L, "Own"));
}

/* What happens later at the source goes over, but for deletions; what happens at the target stays there. */
static void later(void **state)
{
	struct fixture *f = *state;
	struct tree_side *left;

	for (unsigned looks = 0; looks < TREE_LOOKS; looks++) {
		begin(f, false);
		f->w->side[L].looks = looks;
		run_out(f);
		tree_add(f->w, L, "INBOX", 7, 0);
		tree_delete(f->w, L, box(f, L, "INBOX"), tree_find(box(f, L, "INBOX"), 1));
		tree_flag(f->w, L, box(f, L, "INBOX"), tree_find(box(f, L, "INBOX"), 3), FLAG_ANSWERED);
		tree_flag(f->w, R, box(f, R, "INBOX"), tree_find(box(f, R, "INBOX"), 3), FLAG_SEEN);
		tree_flag(f->w, R, box(f, R, "INBOX"), tree_find(box(f, R, "INBOX"), 4), FLAG_SEEN);
		tree_delete(f->w, R, box(f, R, "INBOX"), tree_find(box(f, R, "INBOX"), 2));
		tree_add(f->w, R, "INBOX", 52, 0);
		left = keep_left(f);
		run_out(f);
		left_is_as(f, left);
		assert_int_equal(count(f, R, 1), 1);
		assert_int_equal(count(f, R, 2), 0);
		assert_int_equal(count(f, R, 7), 1);
		assert_int_equal(count(f, R, 52), 1);
		assert_int_equal(tree_find(box(f, R, "INBOX"), 3)->flags, FLAG_SEEN | FLAG_ANSWERED);
		assert_int_equal(tree_find(box(f, R, "INBOX"), 4)->flags, FLAG_SEEN);
	}
}

/* A message that the source moves is moved; one that the target moves stays where that put it. Folders likewise. */
static void moves(void **state)
{
	struct fixture *f = *state;
	struct tree_side *left;

	begin(f, false);
	run_out(f);
	f->w->side[L].read = 0;
	move_left(f, 1, "INBOX", "Work", 0);
	tree_add(f->w, R, "Else", 2, FLAG_SEEN);
	tree_delete(f->w, R, box(f, R, "INBOX"), tree_find(box(f, R, "INBOX"), 2));
	left = keep_left(f);
	run_clean(f);
	assert_int_equal(f->t.moved, 1);
	run_out(f);
	left_is_as(f, left);
	assert_int_equal(f->w->side[L].read, nameless);
	assert_true(count(f, R, 1) == 1 && tree_find(box(f, R, "Work"), 1));
	assert_true(count(f, R, 2) == 1 && tree_find(box(f, R, "Else"), 2));
	/* a folder that is gone at the source stays; one that is gone at the target is not made anew */
	tree_remove_folder(f->w, L, "Work");
	run_out(f);
	assert_non_null(tree_find(box(f, R, "Work"), 5));
	begin(f, false);
	run_out(f);
	tree_remove_folder(f->w, R, "Work");
	left = keep_left(f);
	run_clean(f);
	assert_true(f->warnings == 1 && strstr(f->text, "gone at the target"));
	left_is_as(f, left);
	assert_null(box(f, R, "Work"));
	f->p.restore = true;
	run_clean(f);
	assert_int_equal(tree_count(box(f, R, "Work")), 2);
}

/* The state is lost, or a server numbers a folder anew: nothing is copied twice. */
static void known_again(void **state)
{
	struct fixture *f = *state;

	for (int way = 0; way < 3; way++) {
		struct tree_side *left;

		begin(f, false);
		snprintf(where, sizeof(where), "way %d", way);
		tree_add(f->w, L, "INBOX", 4, 0); /* twice the same */
		run_out(f);
		assert_int_equal(count(f, R, 4), 2);
		f->w->side[L].read = f->w->side[R].staged = 0;
		if (way == 0)
			lose_base(f->db);
		else if (way == 1 || servers) {
			struct tree_folder *b = box(f, way == 1 ? L : R, "INBOX");

			b->validity += 1000;
			b->changed++;
		}
		if (way == 1)
			tree_delete(f->w, L, box(f, L, "INBOX"), tree_find(box(f, L, "INBOX"), 1));
		left = keep_left(f);
		run_clean(f);
		left_is_as(f, left);
		/* of two that are the same the content tells that they are two */
		assert_true(f->w->side[L].read <= 2);
		assert_true(f->t.pulled == 0 && f->w->side[R].staged <= 2);
		assert_int_equal(f->errors, 0);
		run_out(f);
		for (uint32_t c = 1; c <= 6; c++)
			assert_int_equal(count(f, R, c), c == 4 ? 2 : 1);
	}
}

/* What is at the target is deleted at the source: also what was there before, and what an earlier run left. */
static void emptied(void **state)
{
	struct fixture *f = *state;

	for (int way = 0; way < 3; way++) {
		begin(f, way != 1);
		snprintf(where, sizeof(where), "way %d", way);
		if (way == 2)
			tree_add(f->w, R, "INBOX", 3, 0);
		run_clean(f);
		if (way == 1) {
			tree_delete(f->w, R, box(f, R, "INBOX"), tree_find(box(f, R, "INBOX"), 1)); /* a person deletes it there: it stays at the source */
			run_clean(f);
			f->p.delete_source = true;
			run_clean(f);
		}
		run_out(f);
		for (uint32_t c = 1; c <= 6; c++) {
			const size_t stays = way == 1 && c == 1;

			if (count(f, L, c) != stays || count(f, R, c) != 1 - stays)
				fail_msg("%s: content %u: %zu and %zu", where, c, count(f, L, c), count(f, R, c));
		}
	}
}

/* A run that marks at the source what it is to delete there, and ends before it is deleted, leaves no mark at the target. */
static void marked(void **state)
{
	struct fixture *f = *state;

	begin(f, false);
	run_clean(f);
	f->p.delete_source = true;
	for (uint32_t c = 1; c <= 4; c++)
		tree_flag(f->w, L, box(f, L, "INBOX"), tree_find(box(f, L, "INBOX"), c), FLAG_DELETED | (c == 2 ? FLAG_SEEN : 0));
	run_out(f);
	for (uint32_t c = 1; c <= 4; c++)
		assert_int_equal(tree_find(box(f, R, "INBOX"), c)->flags, c == 2 ? FLAG_SEEN : 0);
	assert_int_equal(tree_count(box(f, L, "INBOX")), 0);
}

static void refused(void **state)
{
	struct fixture *f = *state;

	for (int empties = 0; empties < 2; empties++) {
		begin(f, empties);
		f->w->side[R].refuse = 3;
		assert_int_equal(run_here(f), 0);
		assert_int_equal(f->t.failed, 1);
		assert_int_equal(count(f, L, 3), 1); /* what is nowhere else is not deleted */
		assert_int_equal(count(f, R, 3), 0);
		assert_int_equal(count(f, L, 1), !empties);
		run_clean(f);
		assert_int_equal(done(f), 0);
		f->w->side[R].refuse = 0;
		f->p.now += 8 * 86400;
		run_out(f);
		assert_int_equal(count(f, L, 3), !empties);
		assert_int_equal(count(f, R, 3), 1);
	}
}

/* Stopped before each step, dead before each call of a store, cut off at each. */
static void interrupted(void **state)
{
	static struct prepared kept;
	static unsigned round;
	const unsigned step = every(3);
	struct fixture *f = *state;

	kept.db = (struct strbuf)STRBUF_INIT(1 << 20);
	for (int empties = 0; empties < 2; empties++) {
		begin(f, empties);
		run_clean(f);
		for (uint32_t i = 11; i <= 14; i++)
			tree_add(f->w, L, i % 2 ? "INBOX" : "New", i, i == 13 ? FLAG_SEEN : 0);
		tree_add(f->w, R, "INBOX", 11, 0);
		if (!empties) {
			move_left(f, 1, "INBOX", "Work", 0);
			move_left(f, 2, "INBOX", "New", FLAG_SEEN | FLAG_FLAGGED);
			move_left(f, 3, "INBOX", "INBOX", 0);
			move_left(f, 5, "Work", "INBOX", 0);
			move_left(f, 4, "INBOX", "Work", 0);
			tree_delete(f->w, L, box(f, L, "Work"), tree_find(box(f, L, "Work"), 4));
			tree_add(f->w, L, "INBOX", 4, 0);
		}
		snprintf(where, sizeof(where), "empties %d", empties);
		keep_prepared(f, &kept);
		for (enum disturbance kind = 0; kind < DISTURBANCES; kind++) {
			bool more = true;

			for (unsigned n = 1 + (round + kind) % step; more; n += step) {
				put_back(f, &kept);
				set_params(f, empties);
				more = disturb(f, kind, n);
				run_clean(f);
				run_out(f);
				for (uint32_t c = 1; c <= 14; c++) {
					const size_t want = c <= 6 || c >= 11, at_left = empties ? 0 : want;

					if (count(f, R, c) != want || count(f, L, c) != at_left)
						fail_msg("%s: content %u: %zu at the source, %zu at the target", where, c, count(f, L, c), count(f, R, c));
				}
				assert_int_equal(tree_find(box(f, R, "INBOX"), 13)->flags, FLAG_SEEN);
				if (!empties && (!tree_find(box(f, R, "Work"), 1) || !tree_find(box(f, R, "INBOX"), 5) || tree_find(box(f, R, "New"), 2)->flags != (FLAG_SEEN | FLAG_FLAGGED)))
					fail_msg("%s: what was moved at the source is not where it has it", where);
			}
		}
	}
	strbuf_release(&kept.db);
	round++;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(copies), T(later), T(moves), T(known_again), T(emptied), T(marked), T(refused), T(interrupted),
	};
	const struct CMUnitTest moving[] = { T(moves), T(interrupted) };
	const struct CMUnitTest sliced[] = { T(copies), T(later), T(moves), T(known_again), T(emptied), T(refused), T(interrupted) };
	int rc = cmocka_run_group_tests_name("files", tests, NULL, NULL);

	servers = true;
	rc += cmocka_run_group_tests_name("servers", tests, NULL, NULL);
	slice = 1;
	rc += cmocka_run_group_tests_name("slices", sliced, NULL, NULL);
	slice = 0;
	nameless = true;
	return rc + cmocka_run_group_tests_name("no Message-IDs", moving, NULL, NULL);
}
