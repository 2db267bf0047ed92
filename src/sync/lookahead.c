/*
 * What a first contact will want to know of the messages that lie here (adopt.c) is read while the server at the left is dialled, and while it makes its answer: both take long, and
 * it is the same whatever that says. What is not read here, or does not lie there any more as it was read, is read there. A server doesn't wait for ever either that what it has said is heard: so not for long.
 */
#include "sync/twoway.h"

#include <stdlib.h>
#include <string.h>

#include "base/fiber.h"
#include "base/log.h"

#define AT_ONCE 64      /* messages between two looks at the clock, and at the server; */
#define BYTES_MAX (512u << 10) /* of one: what is larger is better read when it is asked for */
#define AHEAD_FOR 1000  /* ms */
#define AHEAD_MAX 50000 /* messages */

/* One that the right holds. */
struct lookahead_msg {
	const char *folder, *stamp; /* the folder's when it was listed; "": it has none */
	struct slice key;
	uint64_t flags;
	const struct content *content; /* NULL: not read yet */
	bool seen;                     /* it lies there as it was read, since the left has told what it has */
};

/* Some messages, while they are read. */
struct group {
	struct store *s;
	struct arena *arena;
	struct lookahead_msg *of[AT_ONCE];
	uint64_t nums[AT_ONCE];
	size_t n, next;
	bool full;                   /* the memory */
};

static void note(void *arg, uint64_t num, const struct ident *id)
{
	struct group *w = arg;
	struct content *c;
	size_t tries = 0;

	/* they come in the order in which they were asked for, nearly always */
	for (; tries < w->n && w->nums[w->next] != num; tries++)
		w->next = (w->next + 1) % w->n;
	if (tries == w->n)
		return;
	c = arena_new(w->arena, struct content, 1);
	if (!c) {
		w->full = true;
		return;
	}
	*c = (struct content){ .id = *id, .size = w->s->given.size };
	c->id.date = w->s->given.date;
	w->of[w->next]->content = c;
}

/* One more, if it is there, as far as is known. */
static int add(struct group *w, struct lookahead_msg *x, struct err *e)
{
	struct store_msg m = { .num = 0 };
	int rc;

	w->s->will_read = true;
	rc = w->s->ops->find(w->s, x->key, x->flags, &m, e);
	w->s->will_read = false;
	if (rc < 1)
		return rc;
	w->nums[w->n] = m.num;
	w->of[w->n++] = x;
	return 0;
}

/* Does it lie there as it was read, in the open folder? Whoever puts another file under its name has another message there. */
static bool is_as_read(struct store *s, const struct lookahead_msg *x)
{
	struct store_msg m = { .num = 0 };

	return s->ops->find(s, x->key, x->flags, &m, NULL) == 1 && m.size == x->content->size && m.date == x->content->id.date;
}

/* Read those of the open folder that stand from *at on, as many as there are at once: 1 there may be more, 0, -1. */
static int read_some(struct twoway *g, size_t *at, size_t to, struct err *e)
{
	struct store *s = g->side[RIGHT];
	struct group w = { .s = s, .arena = &g->ahead.arena };
	int rc = 0;

	for (; rc == 0 && *at < to && w.n < AT_ONCE; ++*at) {
		struct lookahead_msg *x = &g->ahead.msgs.a[*at];

		if (!x->content)
			rc = add(&w, x, e);
	}
	if (rc == 0 && w.n > 0)
		rc = store_read_idents(s, w.nums, w.n, BYTES_MAX, note, &w, e);
	return rc < 0 ? -1 : *at < to && !w.full;
}

/* ---- while the left is dialled ---- */

static int list(struct twoway *g, const char *folder, struct err *e)
{
	struct store *s = g->side[RIGHT];
	const struct look l = { .folder = folder, .stamp = "", .all = true };
	struct box_info info = { .stamp = "" };
	struct store_msg m;
	size_t i;
	int rc = s->ops->look(s, &l, 1, BOX_READ, e) < 0 ? -1 : s->ops->look_box(s, &i, &info, e);
	const char *stamp = arena_str(&g->ahead.arena, slice_str(info.stamp));

	if (!stamp)
		return twoway_no_memory(e);
	while (rc == 1 && g->ahead.msgs.n < AHEAD_MAX && (rc = s->ops->look_next(s, &m, e)) == 1) {
		struct lookahead_msg x = { .folder = folder, .stamp = stamp, .key = arena_slice(&g->ahead.arena, m.key), .flags = m.flags };

		if (!x.key.p || vec_push(&g->ahead.msgs, x) < 0)
			rc = twoway_no_memory(e);
	}
	return rc < 0 ? -1 : 0;
}

static bool is_inbox(const char *folder)
{
	return strcmp(folder, "INBOX") == 0;
}

/* How the left's INBOX will be looked at: for what tells messages apart, if there are some here. The first thing that is done, or it comes too late. */
static void foresee(struct twoway *g)
{
	g->foreseen = (struct look_hint){ .idents = g->ahead.msgs.n > 0, .how = twoway_how(g, LEFT) };
	g->side[LEFT]->foreseen = &g->foreseen;
	g->ahead.foreseen = true;
}

void look_beside(void *arg, const char *folder)
{
	struct twoway *g = arg;
	struct store *s = g->side[RIGHT];
	struct box_info info;
	struct err why = ERR_INIT;
	size_t at = g->ahead.msgs.n;
	char *name;

	if (g->ahead.until == 0)
		g->ahead.until = clock_in(AHEAD_FOR);
	if (!folder) {
		foresee(g);
		return;
	}
	if (clock_now() >= g->ahead.until || (!is_inbox(folder) && !fiber_turn())) /* the left is asked of INBOX in the next turn, perhaps */
		return;
	name = arena_str(&g->ahead.arena, slice_str(folder));
	s->keywords = NULL;
	/* whatever goes wrong, adopt.c meets it again */
	if (name && list(g, name, &why) < 0)
		name = NULL;
	if (name && is_inbox(name))
		foresee(g);
	if (name && at < g->ahead.msgs.n && s->ops->open_box(s, name, BOX_READ, &info, &why) == 0)
		while (clock_now() < g->ahead.until && fiber_turn() && read_some(g, &at, g->ahead.msgs.n, &why) == 1)
			;
	s->ops->close_box(s);
	fiber_turn(); /* a large folder may have taken long */
}

/* ---- while it makes its answer ---- */

static int by_place(const void *a, const void *b)
{
	const struct lookahead_msg *x = a, *y = b;
	int rc = strcmp(x->folder, y->folder);

	return rc != 0 ? rc : slice_cmp(x->key, y->key);
}

/* Where a message stands, or would. */
static size_t place(struct lookahead *a, const char *folder, struct slice key)
{
	struct lookahead_msg want = { .folder = folder, .key = key };
	size_t from = 0, to = a->msgs.n;

	if (!a->sorted && to > 0)
		qsort(a->msgs.a, to, sizeof(*a->msgs.a), by_place);
	a->sorted = true;
	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (by_place(&a->msgs.a[mid], &want) < 0)
			from = mid + 1;
		else
			to = mid;
	}
	return from;
}

static bool is_of(const struct lookahead *a, size_t at, const char *folder)
{
	return at < a->msgs.n && strcmp(a->msgs.a[at].folder, folder) == 0;
}

bool lookahead_is_foreseen(const struct twoway *g, const struct box *b)
{
	return g->ahead.foreseen && b->f->base.id == 0 && is_inbox(box_name(b, LEFT));
}

bool lookahead_has(struct twoway *g, const struct box *b)
{
	const char *name = box_name(b, RIGHT);

	return b->f->base.id == 0 && is_of(&g->ahead, place(&g->ahead, name, (struct slice){ 0 }), name);
}

const struct content *lookahead_content(struct twoway *g, const struct box *b, struct slice key)
{
	const char *name = box_name(b, RIGHT);
	size_t at = g->ahead.msgs.n == 0 ? 0 : place(&g->ahead, name, key);

	return is_of(&g->ahead, at, name) && slice_eq(g->ahead.msgs.a[at].key, key) && g->ahead.msgs.a[at].seen ? g->ahead.msgs.a[at].content : NULL;
}

/* Will adopt.c want to know of all that is new at the right, and are there bodies at hand? */
static bool is_first_contact(struct twoway *g, const struct box *b)
{
	return lookahead_has(g, b) && !b->failed && b->f->on_left && b->f->on_right && b->f->left_messages > 0 && b->join.fresh[RIGHT] > 0 && !twoway_tells(g, RIGHT);
}

int look_ahead(struct twoway *g, struct err *e)
{
	struct store *right = g->side[RIGHT];
	const msec_t until = clock_in(AHEAD_FOR);

	for (size_t i = 0; i < g->boxes.n && clock_now() < until; i++) {
		struct box *b = &g->boxes.a[i];
		struct err why = ERR_INIT;
		struct box_info info;
		size_t at, to;

		if (!is_first_contact(g, b))
			continue;
		at = to = place(&g->ahead, box_name(b, RIGHT), (struct slice){ 0 });
		while (is_of(&g->ahead, to, box_name(b, RIGHT)))
			to++;
		if (box_open(g, b, RIGHT, twoway_how(g, RIGHT), &info, &why) == 0)
			while (clock_now() < until && read_some(g, &at, to, &why) == 1)
				;
		right->ops->close_box(right);
		if (why.kind == ERR_CANCEL) {
			*e = why;
			return -1;
		}
	}
	return 0;
}

int lookahead_confirm(struct twoway *g, struct box *b, struct err *e)
{
	struct store *s = g->side[RIGHT];
	const char *name = box_name(b, RIGHT);
	struct box_info info;
	struct err why = ERR_INIT;
	size_t at = place(&g->ahead, name, (struct slice){ 0 });
	int rc = 0;

	if (!is_of(&g->ahead, at, name))
		return 0;
	if (box_open(g, b, RIGHT, BOX_READ, &info, &why) < 0)
		rc = why.kind == ERR_CANCEL ? -1 : 0; /* what was read counts for nothing then */
	else
		for (; is_of(&g->ahead, at, name); at++) {
			struct lookahead_msg *x = &g->ahead.msgs.a[at];

			x->seen = x->content && ((*info.stamp && strcmp(x->stamp, info.stamp) == 0) || is_as_read(s, x));
		}
	s->ops->close_box(s);
	if (rc < 0)
		*e = why;
	return rc;
}

void lookahead_release(struct lookahead *a)
{
	vec_release(&a->msgs);
	arena_release(&a->arena);
	*a = (struct lookahead)LOOKAHEAD_INIT;
}
