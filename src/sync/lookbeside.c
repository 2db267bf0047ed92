/*
 * Folders that the base has, and that are here, are looked at while the server at the left is dialled and asked, if their stamps have changed: a large Maildir takes as long as that, and it is
 * looked at whatever the server says. What comes of it counts if nothing speaks against it then; else the folder is looked at once more (looks.c).
 */
#include "sync/twoway.h"

#include <stdlib.h>
#include <string.h>

/* A folder that was looked at. */
struct beside {
	struct twoway *g;
	struct sync_folder f;          /* its names are in the join's arena */
	struct box b;                  /* with what the look has told: join, info, keywords */
};

struct known {
	int (*each)(void *to, struct slice key, struct err *e);
	void *to;
};

static int one_known(void *arg, const struct pair_key *p, struct err *e)
{
	struct known *k = arg;

	return k->each(k->to, p->key, e);
}

/* look.known */
static int known(void *arg, const char *folder, int (*each)(void *to, struct slice key, struct err *e), void *to, struct err *e)
{
	const struct beside *a = arg;
	struct known k = { .each = each, .to = to };

	(void)folder;
	return pairs_by_key(a->g->db, a->f.base.id, PAIR_RIGHT, one_known, &k, e);
}

/* 1 it has changed, and how; 0 it has not; -1. own: the stamp that the base has of it. */
static int look(struct beside *a, const char *own, struct err *e)
{
	struct twoway *g = a->g;
	struct store *s = g->side[RIGHT];
	struct box *b = &a->b;
	const struct look l = { .folder = a->f.right, .stamp = own, .keywords = &b->view[RIGHT], .known = known, .arg = a };
	size_t i;
	int rc = s->ops->look(s, &l, 1, twoway_how(g, RIGHT), e) < 0 ? -1 : s->ops->look_box(s, &i, &b->info[RIGHT], e);

	if (rc < 1 || b->info[RIGHT].extent == LOOK_SAME || b->info[RIGHT].reborn)
		return rc < 0 ? -1 : 0;
	return join_side(&b->join, PAIR_RIGHT, s, &b->info[RIGHT], g->db, a->f.base.id, e) < 0 ? -1 : 1;
}

static void release(struct beside *a)
{
	if (a)
		twoway_box_release(&a->b);
	free(a);
}

static struct beside *begin(struct twoway *g, const struct sync_folder *f)
{
	struct beside *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->g = g;
	a->f = *f;
	a->b = (struct box){ .f = &a->f, .join = JOIN_INIT };
	a->b.view[LEFT].table = a->b.view[RIGHT].table = &a->b.keywords;
	a->f.left = arena_str(&a->b.join.arena, slice_str(f->left));
	a->f.right = arena_str(&a->b.join.arena, slice_str(f->right));
	if (a->f.left && a->f.right)
		return a;
	release(a);
	return NULL;
}

/* Has it changed here since both sides agreed? */
static bool has_changed(struct beside *a, char own[STORE_STAMP_MAX])
{
	return look_agreed_stamp(a->g, &a->b, RIGHT, own) && strcmp(own, a->f.right_stamp) != 0;
}

/* Is it to be looked at at all, whatever the left says, and for its changes alone? */
static bool is_due(struct beside *a, char own[STORE_STAMP_MAX], struct err *e)
{
	struct pairs_summary sum;

	return has_changed(a, own) && pairs_summary(a->g->db, a->f.base.id, &sum, e) == 0 && !sum.pending;
}

void look_known_beside(void *arg, const struct sync_folder *f)
{
	struct twoway *g = arg;
	struct store *s = g->side[RIGHT];
	struct beside *a;
	struct err why = ERR_INIT; /* whatever goes wrong, looks.c meets it again */
	char own[STORE_STAMP_MAX];

	if (g->p->restore || !s->ops->look_take) /* a store that tells all by keys takes turns */
		return;
	a = begin(g, f);
	if (a && is_due(a, own, &why) && words_read(g, &a->b, &why) == 0 && look(a, own, &why) == 1 && vec_push(&g->beside, a) == 0)
		a = NULL;
	release(a);
	s->ops->close_box(s);
}

void look_foresee(void *arg, const struct sync_folder *f)
{
	struct twoway *g = arg;
	struct look_hint *hint = &g->foreseen;
	struct beside *a = g->p->restore || g->p->delete_source ? NULL : begin(g, f);
	char own[STORE_STAMP_MAX];

	*hint = (struct look_hint){ .idents = true, .how = twoway_how(g, LEFT) };
	if (a && has_changed(a, own) && look_agreed_stamp(g, &a->b, LEFT, hint->stamp))
		g->side[LEFT]->foreseen = hint;
	release(a);
}

bool look_is_foreseen(const struct twoway *g, const struct box *b)
{
	return g->foreseen.asked && strcmp(box_name(b, LEFT), "INBOX") == 0;
}

/* The box is to be looked at, as it was, and nothing else is known by now. */
static bool counts(struct twoway *g, struct box *b, const struct beside *a)
{
	return b->f->base.id == a->f.base.id && strcmp(b->f->left, a->f.left) == 0 && strcmp(b->f->right, a->f.right) == 0 && !b->failed && !b->force[RIGHT] && !b->words_read && !b->looked[RIGHT] &&
	       box_there(b, LEFT) && box_there(b, RIGHT) && strcmp(b->f->right_stamp, a->f.right_stamp) == 0 && strcmp(box_remembered(b, RIGHT), a->f.base.right_stamp) == 0 && !g->p->restore;
}

static void take(struct box *b, struct beside *a)
{
	struct sync_folder *f = b->f;
	struct box *from = &a->b;

	join_release(&b->join);
	b->join = from->join;
	b->keywords = from->keywords;
	b->words = from->words;
	b->words_read = true;
	for (int s = LEFT; s <= RIGHT; s++) {
		b->view[s] = from->view[s];
		b->view[s].table = &b->keywords;
		b->told[s] = from->told[s];
	}
	b->info[RIGHT] = from->info[RIGHT];
	b->looked[RIGHT] = true;
	b->whole[RIGHT] = b->info[RIGHT].extent == LOOK_ALL;
	memcpy(b->stamp[RIGHT], b->info[RIGHT].stamp, sizeof(b->stamp[RIGHT]));
	*from = (struct box){ .f = f, .join = JOIN_INIT }; /* nothing is its own any more */
}

void look_take_beside(struct twoway *g)
{
	for (size_t i = 0; i < g->beside.n; i++)
		for (size_t k = 0; k < g->boxes.n; k++)
			if (counts(g, &g->boxes.a[k], g->beside.a[i])) {
				take(&g->boxes.a[k], g->beside.a[i]);
				break;
			}
	look_forget_beside(g);
}

void look_forget_beside(struct twoway *g)
{
	for (size_t i = 0; i < g->beside.n; i++)
		release(g->beside.a[i]);
	vec_release(&g->beside);
}
