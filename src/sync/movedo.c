/* Doing what movefind.c has found. */
#include "sync/moves.h"

#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "base/log.h"
#include "sync/proof.h"

static int by_route(const void *a, const void *b)
{
	const struct move *x = a, *y = b;

	if (x->side != y->side)
		return x->side - y->side;
	if (x->from.box != y->from.box)
		return x->from.box < y->from.box ? -1 : 1;
	if (x->to.box != y->to.box)
		return x->to.box < y->to.box ? -1 : 1;
	return (x->num > y->num) - (x->num < y->num);
}

/* Nothing is done about it in this run, and the next is to see it again. */
static void leave(struct move *m)
{
	for (int s = LEFT; s <= RIGHT; s++)
		m->home.box->kept[s] = m->from.box->kept[s] = m->to.box->kept[s] = true;
}

/*
 * It can't be moved: it is copied. Where it was it is deleted by the next run, as any other message that is gone on one side: when the copy is there, and no guard
 * objects. Were both sides to have moved it, there would be two of it then. A migration deletes nothing there, and leaves it where it is.
 */
static bool only_one_moved(const struct move *m)
{
	return m->from.box == m->home.box && m->from.row == m->home.row;
}

static void give_up(const struct twoway *g, struct move *m)
{
	leave(m);
	if (only_one_moved(m) && !g->p->one_way)
		place_row(m->to)->moving = false;
}

/* It was moved: its row is one of the new folder now. */
static int arrived(struct move *m, struct err *e)
{
	struct joined *home = place_row(m->home), *from = place_row(m->from), *to = place_row(m->to);
	struct slice key = arena_slice(&m->to.box->join.arena, m->key);

	if (!key.p)
		return twoway_no_memory(e);
	to->pair = home->pair;
	to->m.known = true;
	to->m.flags = m->flags;
	if (m->side == LEFT) {
		to->m.left = from->m.left;
		to->m.left.flags = m->shown;
		to->left = key;
	} else {
		to->m.right = from->m.right;
		to->m.right.flags = m->shown;
		to->right = key;
	}
	to->moving = false;
	*from = *home = (struct joined){ .pair = 0 };
	return 0;
}

/* Each folder has its own bits for keywords. What could not be set in the new one is not agreed on, nor what may have got lost on the way of the side that moved it. */
static int carry_flags(struct move *m, struct err *e)
{
	const struct joined *home = place_row(m->home), *from = place_row(m->from), *to = place_row(m->to);
	struct box *box = m->to.box;
	const uint64_t refused = m->from.box == box ? 0 : box->view[m->side].refused;

	if (words_carry(m->home.box, box, home->m.flags, &m->flags, e) < 0 ||
	    words_carry(m->from.box, box, (m->side == LEFT ? &from->m.left : &from->m.right)->flags, &m->shown, e) < 0)
		return -1;
	m->shown &= ~refused;
	m->flags &= ~refused & ~words_astray(m->home.box, box, !m->side, home->m.flags, (m->side == LEFT ? &to->m.right : &to->m.left)->flags);
	return 0;
}

/* When the message arrived where the left has it now: where we have moved it to, the next look tells. */
static int64_t arrival(const struct move *m)
{
	int64_t date = place_row(m->to)->told.date;

	if (m->side == LEFT)
		return m->from.box == m->to.box ? -1 : 0;
	return date != 0 ? date : -1;
}

static int note_moves(struct twoway *g, struct move *m, size_t n, struct err *e)
{
	if (db_begin(g->db, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		const struct joined *to = place_row(m[i].to);
		int64_t folder = m[i].to.box->f->base.id;

		if (movehalf_ended(g, &m[i], e) < 0) {
			db_rollback(g->db);
			return -1;
		}
		if (m[i].end != MOVE_DONE)
			continue;
		if (carry_flags(&m[i], e) < 0 || words_note(g, m[i].to.box, e) < 0 || pairs_flags(g->db, place_row(m[i].home)->pair, m[i].flags, e) < 0 ||
		    pairs_move(g->db, place_row(m[i].home)->pair, folder, m[i].side == LEFT ? m[i].key : to->left, m[i].side == LEFT ? to->right : m[i].key,
			       arrival(&m[i]), e) < 0 ||
		    failures_clear(g->db, folder, m[i].side == LEFT, joined_key(to, !m[i].side), e) < 0) {
			db_rollback(g->db);
			return -1;
		}
	}
	return db_commit(g->db, e);
}

void moves_tell_one(struct twoway *g, const struct move *m, bool dry)
{
	char uid[ERR_TEXT_MAX];
	struct slice key = joined_key(place_row(m->from), m->side);
	struct event ev = { .type = EVENT_MESSAGE, .action = ACTION_MOVE, .folder = m->from.box->f->left, .to = m->to.box->f->left, .right = m->from.box->f->right,
			    .right_to = m->to.box->f->right, .at = m->side == LEFT ? AT_LEFT : AT_RIGHT, .dry = dry };

	if (m->from.box == m->to.box)
		return;
	ev.uid = err_printable(uid, sizeof(uid), key.p, key.n);
	g->totals->moved++;
	twoway_put(g, &ev);
}

/* Moves from one folder to another, of which a store tells. */
struct route {
	struct twoway *g;
	struct move *m;
	size_t n;
	struct box *from, *to;
	struct box *fault; /* whose an error is */
	bool failed;       /* memory is out */
};

/* What is copied instead needs no word. */
static void tell_refusal(struct twoway *g, const struct move *m, const struct err *why)
{
	struct err e = *why;

	if (g->p->one_way) {
		err_in(&e, "a message that was moved from '%s' to '%s' at the source stays where it is at the target", m->from.box->f->left, m->to.box->f->left);
		twoway_warn(g, e.text);
		return;
	}
	if (only_one_moved(m)) {
		log_debug("a message is not moved: %s", why->text);
		return;
	}
	err_in(&e, "a message was moved to '%s' on one side and to '%s' on the other, and stays so", m->to.box->f->left, m->from.box->f->left);
	twoway_warn(g, e.text);
}

/* store_ops.move's done */
static void told(void *arg, uint64_t num, struct slice key, const struct err *why)
{
	struct route *r = arg;

	for (size_t from = 0, to = r->n; from < to;) {
		size_t mid = from + (to - from) / 2;
		struct move *m = &r->m[mid];

		if (m->num < num) {
			from = mid + 1;
		} else if (m->num > num) {
			to = mid;
		} else {
			m->end = why ? MOVE_REFUSED : key.n > 0 ? MOVE_DONE : MOVE_UNKNOWN;
			m->key = arena_slice(&m->to.box->join.arena, key);
			r->failed |= key.n > 0 && !m->key.p;
			if (why)
				tell_refusal(r->g, m, why);
			return;
		}
	}
}

/* What is known of a message that was moved: the Message-ID that it has on the other side; where that proves nothing, what the base says as well. */
static int know(struct twoway *g, const struct move *m, struct proof *p, struct err *e)
{
	struct pair pair;
	int rc = pairs_by_id(g->db, place_row(m->home)->pair, &pair, e);

	if (rc == 1 && (pair.back || !m->id.has_mid))
		p->told = pair.told;
	p->ours = rc == 1 && pair.back;
	p->told.has_mid = m->id.has_mid;
	memcpy(p->told.mid, m->id.mid, sizeof(p->told.mid));
	return rc < 0 ? -1 : 0;
}

/* Servers lie: what is said to be the message must be there, and be no other. Else whatever became of that one would be done to this. */
static int verify(struct route *r, struct err *e)
{
	struct move *m = r->m;
	struct store *s = r->g->side[m->side];
	struct proofs ps = { 0 };
	struct box_info info;
	int rc = box_open(r->g, r->to, m->side, BOX_WRITE, &info, e);

	for (size_t i = 0; rc >= 0 && i < r->n; i++) {
		struct proof p = { .tag = i };
		struct store_msg x = { .num = 0 };

		if (m[i].end != MOVE_DONE)
			continue;
		m[i].end = MOVE_UNKNOWN;
		rc = know(r->g, &m[i], &p, e);
		if (rc == 0)
			rc = s->ops->find(s, m[i].key, 0, &x, e);
		p.num = x.num;
		if (rc == 1 && vec_push(&ps.a, p) < 0)
			rc = twoway_no_memory(e);
	}
	if (rc >= 0)
		rc = proofs_ask(s, &ps, e);
	for (size_t i = 0; rc >= 0 && i < ps.a.n; i++)
		if (ps.a.a[i].end == PROOF_SAME)
			m[ps.a.a[i].tag].end = MOVE_DONE;
	vec_release(&ps.a);
	return rc < 0 ? -1 : 0;
}

/* Look up, in the box that is open, those that are to travel; they come first, in the order of their numbers. How many, -1. */
static ssize_t find_travellers(struct route *r, struct err *e)
{
	struct move *m = r->m;
	struct store *s = r->g->side[m->side];
	size_t n = 0;

	for (size_t i = 0; i < r->n; i++) {
		struct joined *row = place_row(m[i].from);
		struct store_msg x = { .num = 0 };
		struct move found;
		int rc = m[i].end != MOVE_UNKNOWN ? 0 : s->ops->find(s, joined_key(row, m->side), joined_side(row, m->side)->flags, &x, e);

		if (rc < 0)
			return -1;
		if (rc == 0)
			continue; /* somebody was faster: who knows where it is */
		found = m[i];
		found.num = x.num;
		m[i] = m[n];
		m[n++] = found;
	}
	if (n > 0)
		qsort(m, n, sizeof(*m), by_route);
	return (ssize_t)n;
}

static void refuse_all(struct route *r)
{
	for (size_t i = 0; i < r->n; i++)
		r->m[i].end = MOVE_REFUSED;
}

/* Have the store move what it still has. */
static int travel(struct route *r, struct err *e)
{
	struct twoway *g = r->g;
	int side = r->m->side;
	struct store *s = g->side[side];
	VEC(uint64_t) nums = { 0 };
	struct box_info info;
	ssize_t n = 0;
	int rc;

	r->fault = r->to;
	if (act_note_keys(g, r->to, side, e) < 0)
		return -1;
	r->fault = r->from;
	if (box_open(g, r->from, side, BOX_WRITE, &info, e) < 0)
		return -1;
	if (info.read_only)
		refuse_all(r);
	else
		n = find_travellers(r, e);
	rc = n < 0 ? -1 : 0;
	for (ssize_t i = 0; rc == 0 && i < n; i++)
		rc = vec_push(&nums, r->m[i].num) < 0 ? twoway_no_memory(e) : 0;
	if (rc == 0 && n > 0) {
		r->n = (size_t)n;
		rc = s->ops->move(s, nums.a, nums.n, box_name(r->to, side), &r->to->view[side], told, r, e);
		if (rc == 0 && r->failed)
			rc = twoway_no_memory(e);
	}
	if (rc == 0 && n > 0 && s->ops->idents) {
		r->fault = r->to;
		rc = verify(r, e);
	}
	s->ops->close_box(s);
	vec_release(&nums);
	return rc;
}

/* What the base is to know of renumbered folders comes first. */
static int note_reborn(struct twoway *g, const struct move *m, struct err *e)
{
	struct box *boxes[] = { m->home.box, m->from.box, m->to.box };

	for (size_t i = 0; i < sizeof(boxes) / sizeof(boxes[0]); i++)
		if (!boxes[i]->failed && adopt_note(g, boxes[i], e) < 0)
			return -1;
	return 0;
}

/* Does it need the store at all? One that only has another key in its folder is moved already; where a folder failed nothing is done. */
static bool has_to_travel(struct move *m)
{
	m->end = MOVE_UNKNOWN;
	if (m->home.box->failed || m->from.box->failed || m->to.box->failed || m->to.box->f->base.id == 0)
		m->end = MOVE_REFUSED;
	else if (m->from.box == m->to.box)
		m->end = MOVE_DONE;
	m->key = m->end == MOVE_DONE ? joined_key(place_row(m->from), m->side) : (struct slice){ 0 };
	return m->end == MOVE_UNKNOWN;
}

/* All that go from one folder to another. */
static int move_route(struct twoway *g, struct move *m, size_t n, struct err *e)
{
	struct route r = { .g = g, .m = m, .n = n, .from = m->from.box, .to = m->to.box, .fault = m->from.box };
	struct err why = ERR_INIT;
	bool far = false;
	int rc = 0;

	for (size_t i = 0; i < n; i++) {
		if (note_reborn(g, &m[i], e) < 0)
			return -1;
		far |= has_to_travel(&m[i]);
	}
	if (far && movehalf_note(g, m, n, e) < 0)
		return -1;
	if (far) {
		exec_step(&g->x[m->side], "move");
		rc = travel(&r, &why);
		exec_step(&g->x[m->side], "note moves");
	}
	if (rc < 0 && box_error(g, r.fault, &why, e) < 0)
		return -1;
	if (note_moves(g, m, n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (m[i].end == MOVE_DONE) {
			moves_tell_one(g, &m[i], false);
			if (arrived(&m[i], e) < 0)
				return -1;
		} else if (m[i].end == MOVE_REFUSED) {
			give_up(g, &m[i]);
		} else {
			leave(&m[i]);
		}
	}
	return 0;
}

int moves_do(struct twoway *g, struct err *e)
{
	struct move *m = g->moves.a;

	if (movehalf_end(g, e) < 0)
		return -1;
	if (g->moves.n > 0)
		qsort(m, g->moves.n, sizeof(*m), by_route);
	for (size_t i = 0, n; i < g->moves.n; i += n) {
		for (n = 1; i + n < g->moves.n && m[i + n].side == m[i].side && m[i + n].from.box == m[i].from.box && m[i + n].to.box == m[i].to.box;)
			n++;
		if (move_route(g, &m[i], n, e) < 0)
			return -1;
	}
	return 0;
}

void moves_tell(struct twoway *g)
{
	movehalf_tell(g);
	for (size_t i = 0; i < g->moves.n; i++)
		moves_tell_one(g, &g->moves.a[i], true);
}
