/* Whole jobs between two rigged trees. A run is a process of its own where it may die; both sides live on in shared memory, the base in its file. */
#ifndef TEST_SYNC_TREERIG_H
#define TEST_SYNC_TREERIG_H

#include "rig.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../lib/faketree.h"
#include "base/fs.h"
#include "sync/engine.h"

#define NOW 1700000000
enum { L, R };

struct fixture {
	struct tree_world *w;
	char *dir;
	char db[4096];
	struct sync_params p;
	struct event_totals t;
	struct err e;
	unsigned errors, warnings, messages;
	char text[1000];
};

/* Some flags are keywords, to the engine. */
static bool words;
/* The right is a server, too. */
static bool servers;
/* sync_params.slice */
static size_t slice;

static inline int setup(void **state)
{
	static struct fixture f;

	f = (struct fixture){ .w = tree_world_new(), .dir = scratch_make() };
	f.w->words = words;
	snprintf(f.db, sizeof(f.db), "%s/job.db", f.dir);
	*state = &f;
	return 0;
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;

	tree_world_free(f->w);
	scratch_remove(f->dir);
	return 0;
}

static inline void fresh(struct fixture *f)
{
	lose_base(f->db);
	tree_world_clear(f->w);
	f->w->words = words;
	if (servers) {
		f->w->side[R].remote = true;
		f->w->side[R].looks = TREE_CHANGES;
	}
	where[0] = '\0';
	f->p = (struct sync_params){ .job = "job", .now = NOW, .right_name = "maildir:/x", .max_delete = { .percent = 25, .count = 50 }, .slice = slice };
}

/* A base that was kept, where there is none. */
static inline void put_base(struct fixture *f, const struct strbuf *base)
{
	int fd = open(f->db, O_WRONLY | O_CREAT | O_EXCL, 0600);

	assert_true(fd >= 0);
	assert_int_equal(fs_write_all(fd, base->s, base->len, "state", &f->e), 0);
	close(fd);
}

static inline void listen_to(void *arg, const struct event *ev)
{
	struct fixture *f = arg;

	f->messages += ev->type == EVENT_MESSAGE;
	f->errors += ev->type == EVENT_ERROR;
	f->warnings += ev->type == EVENT_WARNING;
	if (ev->type == EVENT_ERROR || ev->type == EVENT_WARNING)
		snprintf(f->text, sizeof(f->text), "%s", ev->text);
}

static inline int run_here(struct fixture *f)
{
	struct event_sink sink = { listen_to, f };
	struct store *left = tree_store(f->w, L), *right = tree_store(f->w, R);
	struct db *db = NULL;
	int rc;

	f->errors = f->warnings = f->messages = 0;
	f->text[0] = '\0';
	f->e = (struct err)ERR_INIT;
	rc = db_open(f->db, f->p.dry_run ? DB_LOOK : DB_RUN, "fake:job", &db, &f->e);
	if (rc == 0)
		rc = engine_sync(&f->p, left, right, db, &sink, &f->t, &f->e);
	store_free(left);
	store_free(right);
	db_close(db);
	if (f->w->misuse)
		fail_msg("%s: contract broken: %s", where, f->w->why);
	return rc;
}

/* Run in a child that may die; its exit status. */
static inline int run_apart(struct fixture *f)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(run_here(f) < 0 ? 1 : 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (f->w->misuse)
		fail_msg("%s: contract broken: %s", where, f->w->why);
	return WEXITSTATUS(status);
}

enum disturbance { STOPPED, DEAD_AT, CUT_OFF, DISTURBANCES };

/* A run that is stopped before its n-th step, or dead before the n-th call of a store that does something, or cut off at it. False: it was over before that. */
static inline bool disturb(struct fixture *f, enum disturbance kind, unsigned n)
{
	static const char *const names[] = { "stop", "crash", "cut" };
	const unsigned begun = f->w->ops;
	const size_t at = strlen(where);
	int status;

	snprintf(where + at, sizeof(where) - at, ", %s %u", names[kind], n);
	if (kind == STOPPED)
		f->p.stop_at = (int)n;
	else if (kind == DEAD_AT)
		f->w->crash_at = begun + n;
	else
		f->w->cut_at = begun + n;
	status = run_apart(f);
	return kind == CUT_OFF ? n <= f->w->ops - begun : status != 0;
}

/* Where runs are disturbed at each place, every n-th must do: begin with another one in each round. MAILHAUL_LONG=1: all of them. */
static inline unsigned every(unsigned n)
{
	const char *on = getenv("MAILHAUL_LONG");

	return on && strcmp(on, "1") == 0 ? 1 : n;
}

static inline void calm(struct fixture *f)
{
	f->w->crash_at = f->w->cut_at = 0;
	f->w->dead = false;
	f->p.stop_at = 0;
}

static inline void run_clean(struct fixture *f)
{
	const unsigned misled = f->w->side[L].misled;

	calm(f);
	if (run_here(f) < 0)
		fail_msg("%s: an undisturbed run failed: %s", where, f->e.text);
	if (f->errors)
		fail_msg("%s: an undisturbed run told an error: %s", where, f->text);
	if (f->w->side[L].misled != misled)
		fail_msg("%s: the left was told to expect something else", where);
}

static inline uint64_t done(const struct fixture *f)
{
	return f->t.pulled + f->t.pushed + f->t.deleted + f->t.flagged;
}

/* Both sides hold the same; each content at most once in a folder. */
static inline void check_equal(struct fixture *f)
{
	for (int s = L; s <= R; s++) {
		for (size_t i = 0; i < TREE_FOLDERS; i++) {
			struct tree_folder *a = &f->w->side[s].f[i], *b;

			if (a->name[0] == '\0')
				continue;
			b = tree_folder(f->w, !s, a->name, false);
			if (!b)
				fail_msg("%s: folder %s is on side %d alone", where, a->name, s);
			for (size_t k = 0; k < TREE_MESSAGES; k++) {
				struct tree_msg *m = &a->m[k], *o;

				if (m->content == 0)
					continue;
				if (tree_find(a, m->content) != m)
					fail_msg("%s: content %u is twice in %s on side %d", where, m->content, a->name, s);
				o = tree_find(b, m->content);
				if (!o)
					fail_msg("%s: content %u of %s is on side %d alone", where, m->content, a->name, s);
				if (o->flags != m->flags)
					fail_msg("%s: content %u of %s has flags %x here, %x there", where, m->content, a->name, m->flags, o->flags);
			}
		}
	}
}

static inline void settle(struct fixture *f)
{
	run_clean(f);
	check_equal(f);
	run_clean(f);
	if (done(f))
		fail_msg("%s: a second run had something to do", where);
	check_equal(f);
}

/* A world and its base, to be put back as often as they are needed: that costs less than to make them again. */
struct prepared {
	struct tree_world w;
	struct strbuf db;
	char where[sizeof(where)];
};

static inline void keep_prepared(struct fixture *f, struct prepared *k)
{
	k->w = *f->w;
	strbuf_clear(&k->db);
	assert_int_equal(fs_read_file(f->db, &k->db, &f->e), 0);
	memcpy(k->where, where, sizeof(where));
}

static inline void put_back(struct fixture *f, const struct prepared *k)
{
	fresh(f);
	*f->w = k->w;
	put_base(f, &k->db);
	memcpy(where, k->where, sizeof(where));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
