/* Is a folder otherwise than the base says? After runs of a job that settles, nothing is; after what readers do, that one is. */
#include "treerig.h"

#include "sync/peek.h"


static void begin(struct fixture *f)
{
	fresh(f);
	f->w->side[L].stamps = f->w->side[R].stamps = true;
	f->p.settle = true;
	for (uint32_t i = 1; i <= 5; i++) {
		tree_add(f->w, L, "INBOX", i, 0);
		tree_add(f->w, L, "Lists", 10 + i, 0);
	}
	run_clean(f);
}

/* What folders tells of one: its stamp. */
struct wanted {
	const char *name;
	char stamp[STORE_STAMP_MAX];
};

static int take(void *arg, const struct folder_info *i, struct err *e)
{
	struct wanted *w = arg;

	(void)e;
	if (strcmp(i->name, w->name) == 0)
		memcpy(w->stamp, i->stamp, sizeof(w->stamp));
	return 0;
}

/* By its stamp, and at the right by a look. 1, 0 */
static int differs(struct fixture *f, int side, const char *folder)
{
	struct store *s = tree_store(f->w, side);
	struct wanted w = { .name = folder };
	struct db *db = NULL;
	int rc;

	assert_int_equal(db_open(f->db, DB_LOOK, NULL, &db, &f->e), 0);
	assert_int_equal(s->ops->folders(s, take, &w, &f->e), 0);
	rc = side == R ? peek_look(db, s, folder, &f->e) : peek_stamp(db, PAIR_LEFT, folder, w.stamp, &f->e);
	store_free(s);
	db_close(db);
	return rc;
}

static int anything(struct fixture *f)
{
	struct store *s = tree_store(f->w, R);
	struct db *db = NULL;
	int rc;

	assert_int_equal(db_open(f->db, DB_LOOK, NULL, &db, &f->e), 0);
	rc = peek_all(db, s, &f->e);
	store_free(s);
	db_close(db);
	return rc;
}

static void as_it_was_left(struct fixture *f)
{
	assert_int_equal(differs(f, L, "INBOX"), 0);
	assert_int_equal(differs(f, L, "Lists"), 0);
	assert_int_equal(differs(f, R, "INBOX"), 0);
	assert_int_equal(differs(f, R, "Lists"), 0);
	assert_int_equal(anything(f), 0);
}

static void flag(struct fixture *f, int side, const char *folder, uint32_t content)
{
	struct tree_folder *t = tree_folder(f->w, side, folder, false);

	tree_flag(f->w, side, t, tree_find(t, content), FLAG_FLAGGED);
}

static void delete(struct fixture *f, int side, const char *folder, uint32_t content)
{
	struct tree_folder *t = tree_folder(f->w, side, folder, false);

	tree_delete(f->w, side, t, tree_find(t, content));
}

/* What each side does, and what the job makes of it at the other. */
static void changes(void **state)
{
	struct fixture *f = *state;

	begin(f);
	as_it_was_left(f);
	for (int side = L; side <= R; side++) {
		const uint32_t base = side == L ? 100 : 200;

		for (int what = 0; what < 3; what++) {
			snprintf(where, sizeof(where), "side %d, change %d", side, what);
			if (what == 0)
				tree_add(f->w, side, "INBOX", base, 0);
			else if (what == 1)
				flag(f, side, "INBOX", base);
			else
				delete(f, side, "INBOX", base);
			assert_int_equal(differs(f, side, "INBOX"), 1);
			assert_int_equal(differs(f, side, "Lists"), 0);
			assert_int_equal(differs(f, !side, "INBOX"), 0);
			assert_int_equal(anything(f), side == R);
			run_clean(f);
			assert_int_equal(f->messages, 1);
			as_it_was_left(f);
		}
	}
}

/* Without settling the left's stamp is of before the run's own changes; that is what it is for. */
static void unsettled(void **state)
{
	struct fixture *f = *state;

	begin(f);
	f->p.settle = false;
	flag(f, R, "INBOX", 1);
	run_clean(f);
	assert_int_equal(differs(f, L, "INBOX"), 1);
	assert_int_equal(differs(f, R, "INBOX"), 0);
}

/* Folders that come and go. */
static void trees(void **state)
{
	struct fixture *f = *state;

	begin(f);
	tree_folder(f->w, R, "New", true);
	assert_int_equal(differs(f, R, "New"), 1);
	assert_int_equal(anything(f), 1);
	run_clean(f);
	as_it_was_left(f);
	assert_int_equal(differs(f, R, "New"), 0);
	tree_remove_folder(f->w, R, "New");
	assert_int_equal(anything(f), 1);
	run_clean(f);
	as_it_was_left(f);
}

/* A job that never ran knows nothing. */
static void no_base(void **state)
{
	struct fixture *f = *state;

	fresh(f);
	tree_add(f->w, R, "INBOX", 1, 0);
	assert_int_equal(differs(f, R, "INBOX"), 1);
	assert_int_equal(anything(f), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = { T(changes), T(unsettled), T(trees), T(no_base) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
