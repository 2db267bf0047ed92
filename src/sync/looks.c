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

bool look_agreed_stamp(const struct twoway *g, struct box *b, int side, char out[STORE_STAMP_MAX])
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

	return look_agreed_stamp(g, b, side, own) && shown[0] != '\0' && strcmp(own, shown) == 0;
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

/* Folders to look at on one side. */
struct looks {
	VEC(struct look) l;
	VEC(size_t) which;    /* of the boxes, as many */
	VEC(char *) stamps;
	bool early;           /* the other side was looked at since they were announced */
};

static void looks_release(struct looks *ls)
{
	for (size_t i = 0; i < ls->stamps.n; i++)
		free(ls->stamps.a[i]);
	vec_release(&ls->stamps);
	vec_release(&ls->l);
	vec_release(&ls->which);
}

static int add_look(struct looks *ls, const struct look *l, size_t box, struct err *e)
{
	return vec_push(&ls->l, *l) < 0 || vec_push(&ls->which, box) < 0 ? twoway_no_memory(e) : 0;
}

static int announce(struct twoway *g, int side, const struct looks *ls, struct err *e)
{
	struct store *s = g->side[side];

	return ls->l.n == 0 ? 0 : s->ops->look(s, ls->l.a, ls->l.n, twoway_how(g, side), e);
}

/* Read what looks tell that were announced. */
static int read_looks(struct twoway *g, int side, const struct looks *ls, struct err *e)
{
	struct store *s = g->side[side];
	const size_t n = ls->l.n;
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
		b = &g->boxes.a[ls->which.a[i]];
		if (ls->early && (b->failed || b->forgotten)) { /* what was asked means nothing any more */
			rc = rc < 0 && err_ends_all(&why) ? box_error(g, b, &why, e) : 0;
			continue;
		}
		b->info[side] = info;
		if (rc == 1)
			rc = take_look(g, b, side, &why);
		if (rc < 0 && (ls->l.a[i].idents || (side == LEFT && b->reborn)) && !b->plain[side] && !err_ends_all(&why)) {
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
	struct looks looks = { .early = false };
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < g->boxes.n; i++) {
		struct box *b = &g->boxes.a[i];
		struct look l = { .folder = box_name(b, LEFT), .stamp = "", .keywords = &b->view[LEFT], .all = true, .sizes = true, .idents = !b->plain[LEFT] };

		if (b->reborn && !b->looked[LEFT] && !b->failed)
			rc = add_look(&looks, &l, i, e);
	}
	if (rc == 0)
		rc = announce(g, LEFT, &looks, e);
	if (rc == 0)
		rc = read_looks(g, LEFT, &looks, e);
	looks_release(&looks);
	return rc;
}

/* May the side have changed? */
static bool is_due(const struct twoway *g, struct box *b, int side)
{
	return !unchanged(g, b, side) || b->force[side];
}

/* May what is new at the left be on the right already? early: it was not looked at yet. */
static bool may_be_known(struct twoway *g, struct box *b, bool early)
{
	if (early && b->f->base.id == 0)
		return lookahead_has(g, b);
	return b->join.fresh[RIGHT] > 0 || (early && box_there(b, RIGHT) && is_due(g, b, RIGHT));
}

/*
 * All folders of a side that may have changed; plain: those that are to be asked once more. Early: of the left those that are asked for changes alone, and those of a first contact that
 * look_beside has seen mail of here, and INBOX, of which it has said so.
 */
static int gather_looks(struct twoway *g, int side, bool plain, struct looks *out, struct err *e)
{
	for (size_t i = 0; i < g->boxes.n; i++) {
		struct box *b = &g->boxes.a[i];
		struct look l = { .folder = box_name(b, side), .known = side == LEFT ? known_left : known_right, .arg = g, .keywords = &b->view[side],
				  .sizes = side == LEFT ? has_limits(g, b) : b->f->base.id == 0 && twoway_tells(g, RIGHT) };
		char own[STORE_STAMP_MAX];
		char *copy;

		if (b->plain[side] != plain || b->looked[side] || (side == LEFT && b->reborn) || b->failed || !box_there(b, side) || (!box_there(b, !side) && !b->create[!side] && !b->remove[side]))
			continue;
		l.all = !look_agreed_stamp(g, b, side, own) || b->force[side] || b->remove[side];
		if (out->early && l.all && !lookahead_has(g, b) && !lookahead_is_foreseen(g, b))
			continue;
		memcpy(b->stamp[side], side == LEFT ? b->f->left_stamp : b->f->right_stamp, sizeof(b->stamp[side]));
		if (!is_due(g, b, side) && !(out->early && look_is_foreseen(g, b)))
			continue;
		if (words_read(g, b, e) < 0)
			return -1;
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
		l.idents = !plain && (side == LEFT ? may_be_known(g, b, out->early) : b->f->base.id == 0 && b->f->on_left && twoway_tells(g, RIGHT));
		copy = strdup(own);
		if (!copy || vec_push(&out->stamps, copy) < 0) {
			free(copy);
			return twoway_no_memory(e);
		}
		l.stamp = copy;
		if (add_look(out, &l, i, e) < 0)
			return -1;
	}
	return 0;
}

/* Look at them. */
static int look_changed(struct twoway *g, int side, bool plain, struct err *e)
{
	struct looks looks = { .early = false };
	int rc = gather_looks(g, side, plain, &looks, e);

	if (rc == 0)
		rc = announce(g, side, &looks, e);
	if (rc == 0)
		rc = read_looks(g, side, &looks, e);
	looks_release(&looks);
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
	if (look_changed(g, RIGHT, false, e) < 0 || (g->again && look_changed(g, RIGHT, true, e) < 0))
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

/* First the right: where it has something new, what is new at the left may be the same, and is asked at once what tells it apart. A server is asked for its changes before, and answers meanwhile. */
int look_messages(struct twoway *g, struct err *e)
{
	struct looks early = { .early = true };
	int rc = look_leftovers(g, e);

	look_take_beside(g);
	if (rc == 0 && twoway_far(g, LEFT) && g->side[LEFT]->ops->caps & STORE_TARGET) /* by POP3 all is listed in any case, and Message-IDs are dear */
		rc = gather_looks(g, LEFT, false, &early, e) < 0 ? -1 : announce(g, LEFT, &early, e);
	g->again = false;
	if (rc == 0)
		rc = look_changed(g, RIGHT, false, e);
	if (rc == 0 && g->again)
		rc = look_changed(g, RIGHT, false, e) < 0 ? -1 : look_changed(g, RIGHT, true, e);
	if (rc == 0 && early.l.n > 0)
		rc = look_ahead(g, e);
	if (rc == 0)
		rc = read_looks(g, LEFT, &early, e);
	looks_release(&early);
	if (rc < 0 || look_changed(g, LEFT, false, e) < 0 || look_changed(g, LEFT, true, e) < 0 || look_for_known(g, e) < 0)
		return -1;
	return look_reborn(g, e) < 0 || look_reborn(g, e) < 0 ? -1 : 0; /* the second time for those that are to be asked once more */
}
