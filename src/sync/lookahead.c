/*
 * What a first contact will want to know of the messages that lie here (adopt.c) is read while the server at the left is dialled, and while it makes its answer: both take long, and
 * it is the same whatever that says. What is not read here, for whatever reason, is read there. A server doesn't wait for ever either that what it has said is heard: so not for long.
 */
#include "sync/twoway.h"

#include <stdlib.h>
#include <string.h>

#include "base/fiber.h"
#include "base/log.h"

#define AT_ONCE 64      /* messages between two looks at the clock, and at the server; */
#define BYTES_AT_ONCE (2u << 20)
#define BYTES_MAX (8u << 20) /* of one */
#define AHEAD_FOR 1000  /* ms */
#define AHEAD_MAX 50000 /* messages */

/* One that was read before anybody knew whether the left has something like it. */
struct lookahead_msg {
	const char *folder;
	struct slice key;
	const struct content *content;
};

/* Some messages, while they are read. */
struct group {
	struct arena *arena;
	uint64_t nums[AT_ONCE];
	struct store_msg m[AT_ONCE]; /* as they were found */
	const struct content *content[AT_ONCE]; /* NULL: not read */
	size_t tags[AT_ONCE];        /* the caller's */
	size_t n, next;
	uint64_t bytes;
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
	*c = (struct content){ .id = *id, .size = w->m[w->next].size };
	c->id.date = w->m[w->next].date;
	w->content[w->next] = c;
}

static void start(struct group *w)
{
	w->n = w->next = 0;
	w->bytes = 0;
}

static bool has_room(const struct group *w)
{
	return w->n < AT_ONCE && w->bytes < BYTES_AT_ONCE;
}

/* One more, if it is there. */
static int add(struct group *w, struct store *s, struct slice key, uint64_t flags, size_t tag, struct err *e)
{
	struct store_msg *m = &w->m[w->n];
	int rc;

	*m = (struct store_msg){ .num = 0 };
	rc = s->ops->find(s, key, flags, m, e);
	if (rc < 1 || m->size > BYTES_MAX)
		return rc < 0 ? -1 : 0;
	w->bytes += m->size;
	w->nums[w->n] = m->num;
	w->content[w->n] = NULL;
	w->tags[w->n++] = tag;
	return 0;
}

static int read_group(struct group *w, struct store *s, struct err *e)
{
	return w->n > 0 ? store_read_idents(s, w->nums, w->n, note, w, e) : 0;
}

/* ---- while the left is dialled ---- */

struct named {
	struct slice key;
	uint64_t flags;
};

typedef VEC(struct named) names;

static int list(struct twoway *g, const char *folder, names *out, struct err *e)
{
	struct store *s = g->side[RIGHT];
	const struct look l = { .folder = folder, .stamp = "", .all = true };
	struct box_info info;
	struct store_msg m;
	size_t i;
	int rc = s->ops->look(s, &l, 1, BOX_READ, e) < 0 ? -1 : s->ops->look_box(s, &i, &info, e);

	while (rc == 1 && out->n < AHEAD_MAX && (rc = s->ops->look_next(s, &m, e)) == 1) {
		struct named x = { arena_slice(&g->ahead.arena, m.key), m.flags };

		if (!x.key.p || vec_push(out, x) < 0)
			rc = twoway_no_memory(e);
	}
	return rc < 0 ? -1 : 0;
}

static int keep(struct lookahead *a, const char *folder, const names *l, const struct group *w, struct err *e)
{
	for (size_t i = 0; i < w->n; i++) {
		struct lookahead_msg m = { folder, l->a[w->tags[i]].key, w->content[i] };

		if (m.content && vec_push(&a->msgs, m) < 0)
			return twoway_no_memory(e);
	}
	return 0;
}

static int read_listed(struct twoway *g, const char *folder, const names *l, struct err *e)
{
	struct store *s = g->side[RIGHT];
	struct group w = { .arena = &g->ahead.arena };
	msec_t until = clock_in(AHEAD_FOR);
	size_t at = 0;
	int rc = 0;

	while (rc == 0 && at < l->n && g->ahead.msgs.n < AHEAD_MAX && !w.full && clock_now() < until && fiber_turn()) {
		start(&w);
		for (; rc == 0 && at < l->n && has_room(&w); at++)
			rc = add(&w, s, l->a[at].key, l->a[at].flags, at, e);
		if (rc == 0)
			rc = read_group(&w, s, e);
		if (rc == 0)
			rc = keep(&g->ahead, folder, l, &w, e);
	}
	return rc;
}

void look_beside(void *arg, const char *folder)
{
	struct twoway *g = arg;
	struct store *s = g->side[RIGHT];
	struct box_info info;
	struct err why = ERR_INIT;
	names l = { 0 };
	char *name;

	if (!fiber_turn())
		return;
	name = arena_str(&g->ahead.arena, slice_str(folder));
	s->keywords = NULL;
	if (name && list(g, name, &l, &why) == 0 && l.n > 0 && s->ops->open_box(s, name, BOX_READ, &info, &why) == 0)
		(void)read_listed(g, name, &l, &why); /* whatever it is, adopt.c meets it again */
	s->ops->close_box(s);
	vec_release(&l);
}

/* ---- while it makes its answer ---- */

static int by_place(const void *a, const void *b)
{
	const struct lookahead_msg *x = a, *y = b;
	int rc = strcmp(x->folder, y->folder);

	return rc != 0 ? rc : slice_cmp(x->key, y->key);
}

/* The first one of a folder from this key on. */
static const struct lookahead_msg *find(struct lookahead *a, const char *folder, struct slice key)
{
	struct lookahead_msg want = { folder, key, NULL };
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
	return from < a->msgs.n && strcmp(a->msgs.a[from].folder, folder) == 0 ? &a->msgs.a[from] : NULL;
}

/* Was it read already? */
static const struct content *recall(struct lookahead *a, const char *folder, struct slice key)
{
	const struct lookahead_msg *m = find(a, folder, key);

	return m && slice_eq(m->key, key) ? m->content : NULL;
}

bool lookahead_has(struct twoway *g, const struct box *b)
{
	return b->f->base.id == 0 && find(&g->ahead, box_name(b, RIGHT), (struct slice){ 0 });
}

/* Of one folder, which is open: until there are no more, or it is enough. */
static int read_box(struct twoway *g, struct box *b, msec_t until, struct err *e)
{
	struct join *j = &b->join;
	struct group w = { .arena = &g->ahead.arena };
	struct join_key k;
	size_t at = 0;
	bool more = true;
	int rc = 0;

	while (rc == 0 && more && !w.full && clock_now() < until) {
		start(&w);
		while (rc == 0 && has_room(&w) && (more = join_next_fresh(j, PAIR_RIGHT, &at, &k))) {
			const struct content *c = recall(&g->ahead, box_name(b, RIGHT), k.key);

			if (c)
				join_learned(j, PAIR_RIGHT, at - 1, c);
			else
				rc = add(&w, g->side[RIGHT], k.key, k.flags, at - 1, e);
		}
		if (rc == 0)
			rc = read_group(&w, g->side[RIGHT], e);
		for (size_t i = 0; rc == 0 && i < w.n; i++)
			join_learned(j, PAIR_RIGHT, w.tags[i], w.content[i]);
	}
	return rc;
}

/* Will adopt.c want to know of all that is new at the right, and are there bodies at hand? */
static bool is_first_contact(const struct twoway *g, const struct box *b)
{
	return b->f->base.id == 0 && !b->failed && b->f->on_left && b->f->on_right && b->f->left_messages > 0 && b->join.fresh[RIGHT] > 0 && !twoway_tells(g, RIGHT);
}

int look_ahead(struct twoway *g, struct err *e)
{
	struct store *right = g->side[RIGHT];
	msec_t until = clock_in(AHEAD_FOR);

	for (size_t i = 0; i < g->boxes.n && clock_now() < until; i++) {
		struct box *b = &g->boxes.a[i];
		struct err why = ERR_INIT;
		struct box_info info;

		if (!is_first_contact(g, b))
			continue;
		if (box_open(g, b, RIGHT, twoway_how(g, RIGHT), &info, &why) == 0)
			(void)read_box(g, b, until, &why);
		right->ops->close_box(right);
		if (why.kind == ERR_CANCEL) {
			*e = why;
			return -1;
		}
	}
	return 0;
}

void lookahead_release(struct lookahead *a)
{
	vec_release(&a->msgs);
	arena_release(&a->arena);
	*a = (struct lookahead)LOOKAHEAD_INIT;
}
