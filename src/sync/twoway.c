/* Two-way as a whole: see twoway.h. */
#include "sync/moves.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define SESSIONS_MAX 20 /* that may break in a run */
#define SETTLING_MAX 3  /* sessions after which it is enough, whatever goes on there meanwhile */
#define BARREN_MAX 3    /* in a row, of those, in which nothing was done but that a message was found at which they break */

void twoway_put(struct twoway *g, struct event *ev)
{
	ev->job = g->p->job;
	ev->sides = twoway_sides(g);
	event_put(g->sink, ev);
}

void twoway_tell_tree(struct twoway *g, const struct box *b, int side, enum event_action action)
{
	struct event ev = { .type = EVENT_TREE, .action = action, .folder = box_name(b, side), .at = side == LEFT ? AT_LEFT : AT_RIGHT, .dry = g->p->dry_run };

	g->totals->made += action == ACTION_CREATE;
	g->totals->removed += action == ACTION_REMOVE;
	twoway_put(g, &ev);
}

void twoway_warn(void *arg, const char *text)
{
	struct event ev = { .type = EVENT_WARNING, .text = text };

	twoway_put(arg, &ev);
}

int twoway_no_memory(struct err *e)
{
	return err_set(e, ERR_LOCAL, "out of memory");
}

/* The store's word for a side, for a person. */
const char *twoway_at(const struct twoway *g, int side)
{
	return event_place(twoway_sides(g), side == RIGHT);
}

const char *twoway_left(const struct twoway *g)
{
	return g->p->one_way ? "the source" : twoway_far(g, LEFT) ? "the server" : "the remote side";
}

enum event_sides twoway_sides(const struct twoway *g)
{
	return g->p->one_way ? SIDES_ONE_WAY : twoway_far(g, RIGHT) ? SIDES_REMOTE : SIDES_HERE;
}

bool twoway_far(const struct twoway *g, int side)
{
	return g->side[side]->ops->caps & STORE_REMOTE;
}

bool twoway_tells(const struct twoway *g, int side)
{
	return g->side[side]->ops->idents != NULL;
}

unsigned twoway_how(const struct twoway *g, int side)
{
	return g->p->dry_run || (side == LEFT && g->p->one_way && !g->p->delete_source) ? BOX_READ : BOX_WRITE;
}

bool twoway_may(enum sync_where where, int side)
{
	return where == SYNC_BOTH || where == (side == LEFT ? SYNC_LEFT : SYNC_RIGHT);
}

bool box_there(const struct box *b, int side)
{
	return side == LEFT ? b->f->on_left : b->f->on_right;
}

const char *box_name(const struct box *b, int side)
{
	return side == LEFT ? b->f->left : b->f->right;
}

char *box_remembered(struct box *b, int side)
{
	return side == LEFT ? b->f->base.left_stamp : b->f->base.right_stamp;
}

int box_open(struct twoway *g, struct box *b, int side, unsigned how, struct box_info *info, struct err *e)
{
	struct store *s = g->side[side];

	s->keywords = &b->view[side];
	return s->ops->open_box(s, box_name(b, side), how, info, e);
}

/* The folder is left as it is in this run; the others go on. */
void box_failed(struct twoway *g, struct box *b, const struct err *why)
{
	struct event ev = { .type = EVENT_ERROR, .folder = b->f->left, .kind = why->kind, .span = SPAN_BOX, .text = why->text, .retry_after = why->retry_after };

	b->failed = true;
	g->totals->failed++;
	twoway_put(g, &ev);
}

/* Does an error end the job, or only this folder? 0 when the others can go on. */
int box_error(struct twoway *g, struct box *b, struct err *why, struct err *e)
{
	if (err_ends_all(why)) {
		*e = *why;
		return -1;
	}
	box_failed(g, b, why);
	return 0;
}

/* What the server says now of messages that were put there since the last look. */
static int note_told(struct twoway *g, const struct box *b, struct err *e)
{
	for (size_t i = 0; i < b->join.told.n; i++) {
		const struct join_told *t = &b->join.told.a[i];

		if (!db_in_transaction(g->db) && db_begin_light(g->db, e) < 0)
			return -1;
		if (pairs_tell(g->db, t->pair, &t->told, e) < 0)
			return -1;
	}
	return 0;
}

/* What the next run may take for unchanged. Both stamps are of before this run's own changes: those show as such once more, and are none. */
static int remember(struct twoway *g, struct box *b, struct err *e)
{
	char text[2][sizeof(b->f->base.left_stamp)], policy[64];
	const char *old[2] = { b->f->base.left_stamp, b->f->base.right_stamp };

	if (b->f->base.id != 0 && (words_settle(g, b, e) < 0 || note_told(g, b, e) < 0))
		return -1;
	look_policy_text(g, b, policy, sizeof(policy));
	for (int s = LEFT; s <= RIGHT; s++) {
		text[s][0] = '\0';
		if (b->stamp[s][0] != '\0') {
			snprintf(text[s], sizeof(text[s]), "%s%s", b->stamp[s], policy);
		} else if (twoway_far(g, s)) { /* made in this run: what its keys mean was noted with the first of them, and the next run must know it */
			snprintf(text[s], sizeof(text[s]), "%s", old[s]);
			look_weaken(text[s], sizeof(text[s]));
		}
		if (b->kept[s])
			look_weaken(text[s], sizeof(text[s]));
		if (b->distrusted[s])
			look_distrust(text[s], sizeof(text[s]));
	}
	if (b->f->base.id == 0 || (strcmp(text[LEFT], old[LEFT]) == 0 && strcmp(text[RIGHT], old[RIGHT]) == 0))
		return 0;
	if (!db_in_transaction(g->db) && db_begin_light(g->db, e) < 0)
		return -1;
	return folders_stamp(g->db, b->f->base.id, text[LEFT], text[RIGHT], e);
}

/* Failures of messages that are not there any more, in folders that were listed whole. */
static int drop_stale_failures(struct twoway *g, struct err *e)
{
	for (size_t i = 0; i < g->earlier.n; i++) {
		const struct earlier *f = &g->earlier.a[i];
		bool whole = false;

		for (size_t k = 0; k < g->boxes.n && !whole; k++) {
			const struct box *b = &g->boxes.a[k];
			int side = f->back ? RIGHT : LEFT;

			whole = b->f->base.id == f->folder && !b->failed && !b->stays && b->whole[side];
		}
		if (f->seen || !whole)
			continue;
		if (!db_in_transaction(g->db) && db_begin_light(g->db, e) < 0)
			return -1;
		if (failures_clear(g->db, f->folder, f->back, f->key, e) < 0)
			return -1;
	}
	return 0;
}

/* Folders that neither side has any more. */
static int forget_folders(struct twoway *g, struct err *e)
{
	for (size_t i = 0; i < g->boxes.n; i++) {
		struct box *b = &g->boxes.a[i];

		if (b->f->base.id == 0 || b->f->on_left || b->f->on_right)
			continue;
		if (!db_in_transaction(g->db) && db_begin_light(g->db, e) < 0)
			return -1;
		if (folders_drop(g->db, b->f->base.id, e) < 0)
			return -1;
		b->failed = true;
	}
	return 0;
}

static int finish(struct twoway *g, struct err *e)
{
	int rc = forget_folders(g, e);

	if (rc == 0)
		rc = drop_stale_failures(g, e);
	for (size_t i = 0; rc == 0 && i < g->boxes.n; i++)
		if (!g->boxes.a[i].failed && !g->boxes.a[i].stays)
			rc = remember(g, &g->boxes.a[i], e);
	if (rc == 0 && db_in_transaction(g->db))
		return db_commit(g->db, e);
	if (rc < 0)
		db_rollback(g->db);
	return rc;
}

void twoway_box_release(struct box *b)
{
	join_release(&b->join);
	vec_release(&b->orphans);
	keywords_release(&b->keywords);
}

static void forget_session(struct twoway *g)
{
	for (size_t i = 0; i < g->boxes.n; i++)
		twoway_box_release(&g->boxes.a[i]);
	g->side[LEFT]->keywords = g->side[RIGHT]->keywords = NULL;
	vec_release(&g->boxes);
	lookahead_release(&g->ahead);
	look_forget_beside(g);
	vec_release(&g->moves);
	vec_release(&g->halves);
	folders_release(&g->folders);
	/* removals that were marked and not committed: the next look tells what became of them */
	exec_forget_marks(&g->x[LEFT]);
	exec_forget_marks(&g->x[RIGHT]);
}

/* The trash is looked up in the tree: who names a role means the folder that has it. */
static int find_trash(struct twoway *g, struct err *e)
{
	const char *name;

	g->side[LEFT]->trash = NULL;
	if (!g->p->trash)
		return 0;
	name = folders_find(&g->folders, g->p->trash);
	if (!name && g->p->trash[0] == '@') {
		err_set(e, ERR_CONF, "trash = \"%s\": the server says of no folder that it is its %s", g->p->trash, g->p->trash + 1);
		return err_hint(e, "name the folder");
	}
	g->side[LEFT]->trash = name ? name : g->p->trash;
	return 0;
}

static uint64_t done_so_far(const struct event_totals *t)
{
	return t->pulled + t->pushed + t->deleted + t->flagged + t->moved;
}

/* What progress is of: all copies of this session, and what those before it did. */
static void count_copies(struct twoway *g)
{
	uint64_t total = g->x[LEFT].done;

	for (size_t i = 0; i < g->boxes.n; i++)
		if (!g->boxes.a[i].failed)
			total += g->boxes.a[i].copies;
	g->x[LEFT].total = g->x[RIGHT].total = total;
}

static int session(struct twoway *g, struct err *e)
{
	size_t told = 0;

	if (look_folders(g, e) < 0 || find_trash(g, e) < 0 || look_failures(g, e) < 0)
		return -1;
	if (look_recover(g, e) < 0 || look_messages(g, e) < 0 || act_put_back(g, e) < 0)
		return -1;
	if (decide_all(g, e) < 0 || (!g->p->dry_run && (act_folders(g, e) < 0 || moves_do(g, e) < 0)))
		return -1;
	if (g->p->dry_run)
		moves_tell(g);
	count_copies(g);
	for (size_t i = 0; i < g->boxes.n; i++) {
		struct box *b = &g->boxes.a[i];
		struct err why = ERR_INIT;

		if (b->failed || b->stays || !b->work)
			continue;
		if (g->p->dry_run) {
			decide_tell(g, b);
			continue;
		}
		if (i >= told)
			told = act_soon(g, i);
		if (act_box(g, b, &why) < 0 && box_error(g, b, &why, e) < 0)
			return -1;
	}
	return g->p->dry_run ? 0 : finish(g, e);
}

/* exec.before_note */
static int note_words(void *arg, struct err *e)
{
	struct twoway *g = arg;

	return words_note(g, g->acting, e);
}

/* Messages at which sessions break, and that are not tried again in this run. */
static size_t left_out(const struct twoway *g)
{
	return g->x[LEFT].left_out.n + g->x[RIGHT].left_out.n;
}

/* Is another session worth while, after one that broke? When something was done in it, or when it is known at which message it broke. */
static bool may_go_on(struct twoway *g, uint64_t done, size_t out_before, const struct err *e)
{
	bool found = left_out(g) > out_before;

	if (!err_link_lost(e) && !(e->kind == ERR_PROTO && found))
		return false;
	if (done_so_far(g->totals) > done) {
		g->barren = 0;
		return true;
	}
	return found && ++g->barren <= BARREN_MAX;
}

/* What was done that a server shows: its stamps are others now. What files get alone counts as little as what could not be done. */
static uint64_t done_at_servers(const struct twoway *g)
{
	const struct event_totals *t = g->totals;

	return done_so_far(t) - (twoway_far(g, RIGHT) ? 0 : t->pulled) + t->made + t->removed + t->renamed;
}

int engine_sync(const struct sync_params *p, struct store *left, struct store *right, struct db *db, const struct event_sink *sink, struct event_totals *totals,
		struct err *e)
{
	struct twoway g = { .p = p, .ahead = LOOKAHEAD_INIT, .side = { left, right }, .db = db, .sink = sink, .totals = totals };
	msec_t begun = clock_now();
	int rc = -1, settling = 0;

	assert(left->ops->caps & STORE_TREE && right->ops->caps & STORE_TREE);
	memset(totals, 0, sizeof(*totals));
	for (int s = LEFT; s <= RIGHT; s++)
		g.x[s] = (struct exec){ .src = g.side[!s], .dst = g.side[s], .db = db, .job = p->job, .policy = { .mode = PLAN_SYNC, .now = p->now },
					.two_way = true, .sides = twoway_sides(&g), .before_note = note_words, .before_note_arg = &g, .back = s == LEFT, .run = p->run, .steps = &g.steps, .stop_at = p->stop_at, .earlier = -1, .sink = sink,
					.totals = totals, .claims = &g.claims, .budget = p->dry_run ? NULL : p->budget };
	if (exec_init(&g.x[LEFT], e) < 0 || exec_init(&g.x[RIGHT], e) < 0)
		goto out;
	for (int sessions = 0;; sessions++) {
		uint64_t before = done_so_far(totals), shown = done_at_servers(&g);
		size_t out_before = left_out(&g);
		struct err why;

		rc = session(&g, e);
		forget_session(&g);
		if (rc == 0 && p->settle && done_at_servers(&g) > shown && settling++ < SETTLING_MAX)
			continue;
		if (rc == 0 || !e || sessions == SESSIONS_MAX || !may_go_on(&g, before, out_before, e))
			break;
		why = *e;
		err_in(&why, "going on after");
		twoway_warn(&g, why.text);
		err_clear(e);
		left->ops->close_box(left);
		right->ops->close_box(right);
	}
out:
	exec_release(&g.x[LEFT]);
	exec_release(&g.x[RIGHT]);
	vec_release(&g.earlier);
	arena_release(&g.keys);
	left->ops->close_box(left);
	right->ops->close_box(right);
	totals->bytes_in = left->stats.in + right->stats.in;
	totals->bytes_out = left->stats.out + right->stats.out;
	totals->round_trips = left->stats.turns + right->stats.turns;
	totals->seconds = (double)(clock_now() - begun) / 1000.0;
	return rc;
}
