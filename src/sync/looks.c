/* What has changed in the folders of both sides: see twoway.h. */
#include "sync/twoway.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a stamp stands for: with other limits the same folder may hold work. */
void look_policy_text(const struct twoway *g, const struct box *b, char *out, size_t size)
{
	const struct folder_rule *r = b->f->rule;

	snprintf(out, size, " %llu %lld %d", (unsigned long long)(r && r->has_max_size ? r->max_size : g->p->max_size),
		 (long long)(r && r->has_max_age ? r->max_age : g->p->max_age), (int)g->p->del);
}

/* Is it a question of size or date whether a message is pulled? One that was left out before is met again, and no longer as a new one. */
static bool has_limits(const struct twoway *g, const struct box *b)
{
	const struct folder_rule *r = b->f->rule;

	return (r && r->has_max_size ? r->max_size : g->p->max_size) > 0 || (r && r->has_max_age ? r->max_age : g->p->max_age) > 0;
}

/* How much of a remembered stamp is the store's: what stands before the three words of the policy. */
static size_t own_length(const char *remembered)
{
	size_t n = strlen(remembered);

	for (int words = 0; n > 0; n--)
		if (remembered[n - 1] == ' ' && ++words == 3)
			return n - 1;
	return 0;
}

void look_own_stamp(const char *remembered, char out[STORE_STAMP_MAX])
{
	size_t n = own_length(remembered);

	if (n >= STORE_STAMP_MAX)
		n = 0;
	memcpy(out, remembered, n);
	out[n] = '\0';
}

/* The store's part of what is remembered, and whether there was an agreement under the limits of today. */
static bool own_stamp(const struct twoway *g, struct box *b, int side, char out[STORE_STAMP_MAX])
{
	const char *remembered = box_remembered(b, side);
	char policy[64];

	look_policy_text(g, b, policy, sizeof(policy));
	look_own_stamp(remembered, out);
	return out[0] != '\0' && strcmp(remembered + strlen(out), policy) == 0;
}

void look_keys_only(char *text, size_t size, const char *stamp)
{
	snprintf(text, size, "%s" LOOK_NO_AGREEMENT, stamp);
}

/* What no store's stamp is. */
#define DISTRUST "?"

void look_distrust(char *text, size_t size)
{
	look_keys_only(text, size, DISTRUST);
}

void look_weaken(char *text, size_t size)
{
	size_t n = own_length(text);

	snprintf(text + n, size - n, "%s", n > 0 ? LOOK_NO_AGREEMENT : "");
}

/* Has the side surely not changed since the base was made? */
static bool unchanged(const struct twoway *g, struct box *b, int side)
{
	char own[STORE_STAMP_MAX];
	const char *shown = side == LEFT ? b->f->left_stamp : b->f->right_stamp;

	return own_stamp(g, b, side, own) && shown[0] != '\0' && strcmp(own, shown) == 0;
}

/*
 * The right's keys mean nothing any more. What was deleted on one side since the last run can't be told from what is new then, and comes back; nothing is lost, and what both
 * sides hold is known again as in a first run.
 */
static int forget_reborn(struct twoway *g, struct box *b, struct err *e)
{
	char text[ERR_TEXT_MAX], name[160];

	b->forgotten = true;
	err_printable(name, sizeof(name), b->f->right, strlen(b->f->right));
	snprintf(text, sizeof(text), "'%s' %s is not the one of the last run, or has other numbers now (UIDVALIDITY): its messages are matched anew", name, twoway_at(g, RIGHT));
	twoway_warn(g, text);
	return look_forget(g, b, e);
}

struct known_walk {
	int (*each)(void *to, struct slice key, struct err *e);
	void *to;
};

static int one_known(void *arg, const struct pair_key *p, struct err *e)
{
	struct known_walk *k = arg;

	return k->each(k->to, p->key, e);
}

/* The keys that the base knows of a folder, for a store that asks. */
static int known(struct twoway *g, int side, const char *folder, int (*each)(void *to, struct slice key, struct err *e), void *to, struct err *e)
{
	struct known_walk k = { .each = each, .to = to };

	for (size_t i = 0; i < g->boxes.n; i++)
		if (strcmp(box_name(&g->boxes.a[i], side), folder) == 0)
			return pairs_by_key(g->db, g->boxes.a[i].f->base.id, side == LEFT ? PAIR_LEFT : PAIR_RIGHT, one_known, &k, e);
	return err_set(e, ERR_BUG, "a folder that nobody looks at");
}

static int known_left(void *arg, const char *folder, int (*each)(void *to, struct slice key, struct err *e), void *to, struct err *e)
{
	return known(arg, LEFT, folder, each, to, e);
}

static int known_right(void *arg, const char *folder, int (*each)(void *to, struct slice key, struct err *e), void *to, struct err *e)
{
	return known(arg, RIGHT, folder, each, to, e);
}

/* Deal with the look that stands at a box: join it to the base. */
static int take_look(struct twoway *g, struct box *b, int side, struct err *e)
{
	const struct box_info *info = &b->info[side];

	if (info->reborn && side == LEFT && !b->reborn) {
		b->reborn = true;
		if (info->extent != LOOK_ALL)
			return 0; /* nothing can be concluded from this look: another one asks for everything */
	}
	if (info->reborn && side == RIGHT && !b->forgotten) {
		if (forget_reborn(g, b, e) < 0)
			return -1;
		g->again |= info->extent != LOOK_ALL;
		if (info->extent != LOOK_ALL)
			return 0;
	}
	b->looked[side] = true;
	b->whole[side] = info->extent == LOOK_ALL;
	memcpy(b->stamp[side], info->stamp, sizeof(b->stamp[side]));
	/* to keys that mean nothing any more every message is new */
	return join_side(&b->join, side == LEFT ? PAIR_LEFT : PAIR_RIGHT, g->side[side], info, g->db, b->reborn && side == LEFT ? 0 : b->f->base.id, e);
}

/* Looks at some folders of a side, on their way. */
struct looking {
	VEC(struct look) looks;
	VEC(size_t) which; /* boxes */
	VEC(char *) stamps;
};

static void looking_release(struct looking *k)
{
	for (size_t i = 0; i < k->stamps.n; i++)
		free(k->stamps.a[i]);
	vec_release(&k->stamps);
	vec_release(&k->looks);
	vec_release(&k->which);
}

/* stamp: its own, or NULL. */
static int plan_look(struct looking *k, size_t box, struct look l, const char *stamp, struct err *e)
{
	char *copy = strdup(stamp ? stamp : "");

	if (!copy || vec_push(&k->stamps, copy) < 0) {
		free(copy);
		return twoway_no_memory(e);
	}
	l.stamp = copy;
	return vec_push(&k->looks, l) < 0 || vec_push(&k->which, box) < 0 ? twoway_no_memory(e) : 0;
}

static int send_looks(struct twoway *g, int side, const struct looking *k, struct err *e)
{
	struct store *s = g->side[side];

	return k->looks.n == 0 ? 0 : s->ops->look(s, k->looks.a, k->looks.n, twoway_how(g, side), e);
}

/* Read what they tell. */
static int read_looks(struct twoway *g, int side, const struct looking *k, struct err *e)
{
	struct store *s = g->side[side];
	const size_t n = k->looks.n;
	int rc = 0;

	while (n > 0 && rc == 0) {
		struct err why = ERR_INIT;
		struct box_info info;
		struct box *b;
		size_t i = n;

		rc = clock_check(e);
		if (rc < 0)
			break;
		memset(&info, 0, sizeof(info));
		rc = s->ops->look_box(s, &i, &info, &why);
		if (rc == 0)
			break;
		if (rc < 0 && i >= n) {
			*e = why;
			break;
		}
		b = &g->boxes.a[k->which.a[i]];
		b->info[side] = info;
		if (rc == 1)
			rc = take_look(g, b, side, &why);
		if (rc < 0 && (k->looks.a[i].idents || (side == LEFT && b->reborn)) && !b->plain[side] && !err_ends_all(&why)) {
			g->again |= side == RIGHT;
			b->plain[side] = true; /* one message that can't be read is enough; the others can be listed */
			b->looked[side] = false;
			rc = 0;
		}
		if (rc < 0)
			rc = box_error(g, b, &why, e);
	}
	return rc;
}

/* Once more at those folders whose keys mean nothing any more, for all that they hold. */
static int look_reborn(struct twoway *g, struct err *e)
{
	struct looking k = { 0 };
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < g->boxes.n; i++) {
		struct box *b = &g->boxes.a[i];
		struct look l = { .folder = box_name(b, LEFT), .keywords = &b->view[LEFT], .all = true, .sizes = true, .idents = !b->plain[LEFT] };

		if (b->reborn && !b->looked[LEFT] && !b->failed)
			rc = plan_look(&k, i, l, NULL, e);
	}
	if (rc == 0)
		rc = send_looks(g, LEFT, &k, e);
	if (rc == 0)
		rc = read_looks(g, LEFT, &k, e);
	looking_release(&k);
	return rc;
}

enum which {
	ALL_CHANGED,
	ONCE_MORE, /* what is to be asked without idents */
	READ_HERE, /* what look_beside has read some of */
};

/* What of a side may have changed is to be looked at. */
static int plan_changed(struct twoway *g, int side, enum which which, struct looking *k, struct err *e)
{
	const bool plain = which == ONCE_MORE;

	for (size_t i = 0; i < g->boxes.n; i++) {
		struct box *b = &g->boxes.a[i];
		struct look l = { .folder = box_name(b, side), .known = side == LEFT ? known_left : known_right, .arg = g, .keywords = &b->view[side],
				  .sizes = side == LEFT ? has_limits(g, b) : b->f->base.id == 0 && twoway_tells(g, RIGHT) };
		char own[STORE_STAMP_MAX];

		if (which == READ_HERE && !lookahead_has(g, b))
			continue;
		if (b->plain[side] != plain || b->looked[side] || (plain && b->reborn) || b->failed || !box_there(b, side) || (!box_there(b, !side) && !b->create[!side] && !b->remove[side]))
			continue;
		memcpy(b->stamp[side], side == LEFT ? b->f->left_stamp : b->f->right_stamp, sizeof(b->stamp[side]));
		if (unchanged(g, b, side) && !b->force[side])
			continue;
		if (words_read(g, b, e) < 0)
			return -1;
		look_own_stamp(box_remembered(b, side), own);
		if (strcmp(own, DISTRUST) == 0 && side == LEFT) {
			b->reborn = b->distrusted[LEFT] = true; /* look_reborn looks at it */
			continue;
		}
		if (strcmp(own, DISTRUST) == 0) {
			if (forget_reborn(g, b, e) < 0)
				return -1;
			own[0] = '\0';
		}
		/* asked at once for what tells messages apart, where the other side may have the same */
		l.idents = !plain && (side == LEFT ? which == READ_HERE || b->join.fresh[RIGHT] > 0 : b->f->base.id == 0 && b->f->on_left && twoway_tells(g, RIGHT));
		l.all = !own_stamp(g, b, side, own) || b->force[side] || b->remove[side];
		if (plan_look(k, i, l, own, e) < 0)
			return -1;
	}
	return 0;
}

static int look_changed(struct twoway *g, int side, enum which which, struct err *e)
{
	struct looking k = { 0 };
	int rc = plan_changed(g, side, which, &k, e);

	if (rc == 0)
		rc = send_looks(g, side, &k, e);
	if (rc == 0)
		rc = read_looks(g, side, &k, e);
	looking_release(&k);
	return rc;
}

/*
 * Nothing is in the base, and the right, which is here, holds mail: what is asked of the left does not depend on what a look at the right shows. So it is asked first, and while it
 * makes its answer the right is looked at, and read.
 */
static int look_first(struct twoway *g, struct err *e)
{
	struct looking k = { 0 };
	int rc = plan_changed(g, LEFT, READ_HERE, &k, e);

	if (rc == 0)
		rc = send_looks(g, LEFT, &k, e);
	if (rc == 0)
		rc = look_changed(g, RIGHT, ALL_CHANGED, e);
	if (rc == 0)
		rc = look_ahead(g, e);
	if (rc == 0)
		rc = read_looks(g, LEFT, &k, e);
	looking_release(&k);
	return rc;
}

/* What is on both sides, and not to stay at the left, is looked at whole: that it is still on the right must be seen, not concluded. */
static int look_leftovers(struct twoway *g, struct err *e)
{
	for (size_t i = 0; g->p->delete_source && i < g->boxes.n; i++) {
		struct box *b = &g->boxes.a[i];
		uint64_t n = 0;

		if (b->f->base.id != 0 && pairs_present_count(g->db, b->f->base.id, &n, e) < 0)
			return -1;
		if (n > 0)
			b->force[LEFT] = b->force[RIGHT] = true;
	}
	return 0;
}

/*
 * What a migration's target has, and the source not, is nowhere in the base, and shows in no look at what has changed. The source may show the same later: one that shows its mail bit by
 * bit, or lets it be copied from elsewhere. So where it has something new the target is looked at whole.
 */
static int look_for_known(struct twoway *g, struct err *e)
{
	bool any = false;

	for (size_t i = 0; g->p->one_way && i < g->boxes.n; i++) {
		struct box *b = &g->boxes.a[i];

		if (b->failed || b->f->base.id == 0 || !box_there(b, LEFT) || !box_there(b, RIGHT) || b->whole[RIGHT] || b->forgotten || (b->join.fresh[LEFT] == 0 && !b->reborn))
			continue;
		join_forget(&b->join, PAIR_RIGHT);
		b->looked[RIGHT] = false;
		b->force[RIGHT] = any = true;
	}
	if (!any)
		return 0;
	g->again = false;
	if (look_changed(g, RIGHT, ALL_CHANGED, e) < 0 || (g->again && look_changed(g, RIGHT, ONCE_MORE, e) < 0))
		return -1;
	for (size_t i = 0; g->again && i < g->boxes.n; i++) {
		struct box *b = &g->boxes.a[i];
		struct err why = ERR_INIT;

		if (b->failed || !b->forgotten || b->f->base.id != 0 || !b->force[RIGHT])
			continue;
		err_set_span(&why, ERR_TEMP, SPAN_BOX, "it was made anew at the target just now");
		box_failed(g, b, &why);
	}
	return 0;
}

/* First the right: where it has something new, what is new at the left may be the same, and is asked at once what tells it apart. */
int look_messages(struct twoway *g, struct err *e)
{
	if (look_leftovers(g, e) < 0)
		return -1;
	g->again = false;
	if (!g->known && g->ahead.msgs.n > 0 && look_first(g, e) < 0)
		return -1;
	if (look_changed(g, RIGHT, ALL_CHANGED, e) < 0 || (g->again && (look_changed(g, RIGHT, ALL_CHANGED, e) < 0 || look_changed(g, RIGHT, ONCE_MORE, e) < 0)))
		return -1;
	if (look_changed(g, LEFT, ALL_CHANGED, e) < 0 || look_changed(g, LEFT, ONCE_MORE, e) < 0 || look_for_known(g, e) < 0)
		return -1;
	return look_reborn(g, e) < 0 || look_reborn(g, e) < 0 ? -1 : 0; /* the second time for those that are to be asked once more */
}
