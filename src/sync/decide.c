/* What is to be done, and whether it may: see twoway.h. */
#include "sync/moves.h"

#include <stdio.h>
#include <string.h>

#define VANISHED_FROM 10 /* a side that loses all of so many messages has vanished, rather than been emptied */

void decide_policy(const struct twoway *g, const struct box *b, struct plan_sync_policy *out)
{
	const struct folder_rule *r = b->f->rule;
	struct plan_side_policy *sides[2] = { &out->left, &out->right };
	int64_t max_age = r && r->has_max_age ? r->max_age : g->p->max_age;

	*out = (struct plan_sync_policy){ .anew = words_anew(b), .now = g->p->now };
	for (int s = LEFT; s <= RIGHT; s++) {
		const struct box_info *info = &b->info[s];
		bool locked = b->looked[s] && info->read_only, source = g->p->one_way && s == LEFT;

		*sides[s] = (struct plan_side_policy){ .may_add = !locked && !source, .may_remove = !locked && !g->p->one_way && twoway_may(g->p->del, s),
						       .can_hold = b->looked[s] ? info->can_hold : FLAGS_EVERY, .may_flag = locked || source ? 0 : words_may_take(b, s) };
	}
	out->take_left = g->p->one_way && g->p->delete_source && !(b->looked[LEFT] && b->info[LEFT].read_only);
	if (out->take_left)
		out->left.can_hold &= ~(uint64_t)FLAG_DELETED; /* it may be the mark of a run that did not come to its end */
	out->right.max_size = r && r->has_max_size ? r->max_size : g->p->max_size;
	out->right.oldest = max_age > 0 ? g->p->now - max_age : 0;
}

/* What one message asks for. */
struct plan_sync decide_row(struct twoway *g, const struct box *b, const struct plan_sync_policy *policy, struct joined *row)
{
	if (row->moving)
		return (struct plan_sync){ .left = row->m.left.flags, .right = row->m.right.flags, .base = row->m.flags };
	if (row->pair == 0 && row->m.left.present != row->m.right.present) {
		bool back = row->m.right.present;
		struct earlier *f = look_earlier(g, b->f->base.id, back, back ? row->right : row->left);

		row->m.retry_at = f ? f->next : 0;
		if (f)
			f->seen = true;
	}
	return plan_sync(policy, &row->m);
}

/* What a side that can only be read does not follow today it may follow some day. */
void decide_kept(const struct twoway *g, struct box *b, const struct plan_sync_policy *policy, const struct plan_sync_msg *m, const struct plan_sync *plan)
{
	static const unsigned changes[2] = { PLAN_COPY_BACK | PLAN_FLAG_LEFT | PLAN_REMOVE_LEFT, PLAN_COPY | PLAN_FLAG_RIGHT | PLAN_REMOVE_RIGHT };
	struct plan_sync_policy open = *policy;
	struct plan_side_policy *sides[2] = { &open.left, &open.right };
	unsigned more;

	if (g->p->one_way ? policy->right.may_add : policy->left.may_add && policy->right.may_add)
		return;
	for (int s = g->p->one_way ? RIGHT : LEFT; s <= RIGHT; s++) {
		sides[s]->may_add = true;
		sides[s]->may_remove = !g->p->one_way && twoway_may(g->p->del, s);
		sides[s]->may_flag = words_may_take(b, s);
	}
	more = plan_sync(&open, m).acts & ~plan->acts;
	for (int s = LEFT; s <= RIGHT; s++)
		b->kept[!s] |= (more & changes[s]) != 0;
}

/* Begin to forget pairs: what is new then must be told again by the next look, if this run comes to no end. */
static int begin_forgetting(struct twoway *g, struct box *b, struct err *e)
{
	if (db_begin(g->db, e) < 0)
		return -1;
	for (int s = LEFT; s <= RIGHT; s++)
		look_weaken(box_remembered(b, s), sizeof(b->f->base.left_stamp));
	if (folders_stamp(g->db, b->f->base.id, b->f->base.left_stamp, b->f->base.right_stamp, e) == 0)
		return 0;
	db_rollback(g->db);
	return -1;
}

/* What was deleted on one side comes back there: it counts as new on the other. */
static int restore_rows(struct twoway *g, struct box *b, struct err *e)
{
	bool any = false;

	for (size_t i = 0; i < b->join.rows.n; i++) {
		struct joined *row = &b->join.rows.a[i];

		if (row->pair == 0 || row->m.left.present == row->m.right.present)
			continue;
		if (!g->p->dry_run) {
			if (!any && begin_forgetting(g, b, e) < 0)
				return -1;
			any = true;
			if (pairs_drop(g->db, row->pair, e) < 0) {
				db_rollback(g->db);
				return -1;
			}
		}
		row->pair = 0;
		row->m.known = false;
		b->join.fresh[row->m.left.present ? LEFT : RIGHT]++;
	}
	return any ? db_commit(g->db, e) : 0;
}

/* A folder that one side has lost: may it be removed on the other? */
static void plan_removal(struct twoway *g, struct box *b, int side)
{
	uint64_t there = 0;
	char text[ERR_TEXT_MAX], name[160];

	for (size_t i = 0; i < b->join.rows.n; i++) {
		const struct joined *row = &b->join.rows.a[i];

		there += !row->moving && joined_side(row, side)->present;
	}
	err_printable(name, sizeof(name), box_name(b, side), strlen(box_name(b, side)));
	b->remove[side] = false;
	if (g->p->one_way) {
		b->stays = true;
		if (side == RIGHT)
			return; /* what was migrated stays where it is */
		snprintf(text, sizeof(text), "folder '%s' is gone at the target: what is in it at the source is not copied again (--restore does that)", name);
		if (there > 0)
			twoway_warn(g, text);
		return;
	}
	if (there == 0 && (!g->p->remove_folders || twoway_may(g->p->remove_where, side))) {
		b->remove[side] = b->work = true;
		return;
	}
	if (there > 0 && g->p->remove_folders && twoway_may(g->p->remove_where, side) && b->join.fresh[side] == 0) {
		b->remove[side] = b->work = true;
		b->deletions[side] = there;
		return;
	}
	snprintf(text, sizeof(text), "folder '%s' is gone %s; %s it still holds %llu message%s and stays (remove-folders would remove it, --restore brings it back)", name,
		 twoway_at(g, !side), twoway_at(g, side), (unsigned long long)there, there == 1 ? "" : "s");
	if (there > 0)
		twoway_warn(g, text);
	b->stays = true;
}

/* Does a limit depend on what the look left to find? */
static bool is_vague(const struct plan_sync_policy *policy, const struct joined *row)
{
	const struct plan_sync_side *s = &row->m.left;

	return row->pair == 0 && s->present && !row->m.right.present && ((policy->right.max_size > 0 && s->size == 0) || (policy->right.oldest > 0 && s->date == 0));
}

/* Sizes and dates of new messages that a limit may leave out, where the store did not tell them (a Maildir). */
static int learn_sizes(struct twoway *g, struct box *b, const struct plan_sync_policy *policy, struct err *e)
{
	struct store *s = g->side[LEFT];
	struct joined fresh;
	struct box_info info;
	bool open = false;
	int rc = 0;

	for (size_t i = 0, n = join_count(&b->join) - b->join.rows.n; i < n; i++) {
		if (!is_vague(policy, join_at(&b->join, i, &fresh)))
			continue;
		if (join_spread(&b->join, e) < 0)
			return -1;
		break;
	}
	for (size_t i = 0; rc >= 0 && i < b->join.rows.n; i++) {
		struct joined *row = &b->join.rows.a[i];
		struct store_msg m = { .num = 0 };

		if (!is_vague(policy, row))
			continue;
		if (!open && box_open(g, b, LEFT, BOX_READ, &info, e) < 0)
			return -1;
		open = true;
		rc = s->ops->find(s, row->left, row->m.left.flags, &m, e);
		if (rc == 1) {
			row->m.left.size = m.size;
			row->m.left.date = m.date;
		}
	}
	if (open)
		s->ops->close_box(s);
	return rc < 0 ? -1 : 0;
}

/* Neither side has it any more: what was in it may be elsewhere. */
static int gone_altogether(struct twoway *g, struct box *b, struct err *e)
{
	b->stays = true;
	if (join_unfold(&b->join, PAIR_LEFT, g->db, b->f->base.id, e) < 0)
		return -1;
	for (size_t i = 0; i < b->join.rows.n; i++)
		b->join.rows.a[i].m.right.present = false;
	return 0;
}

/* Is it more than copies of what is new on one side? */
static bool needs_all(const struct twoway *g, const struct box *b)
{
	return b->reborn || b->remove[LEFT] || b->remove[RIGHT] || !(box_there(b, LEFT) || box_there(b, RIGHT)) || g->p->restore || g->p->delete_source ||
	       (b->join.fresh[LEFT] > 0 && b->join.fresh[RIGHT] > 0);
}

/* What both sides hold, against the base. */
static int recognize(struct twoway *g, struct box *b, struct err *e)
{
	if (join_rows(&b->join, e) < 0)
		return -1;
	if (needs_all(g, b) && join_spread(&b->join, e) < 0)
		return -1;
	if (b->reborn && adopt_reborn(g, b, e) < 0)
		return -1;
	if (!box_there(b, LEFT) && !box_there(b, RIGHT) && b->f->base.id != 0)
		return gone_altogether(g, b, e);
	for (int s = LEFT; s <= RIGHT; s++)
		if (b->remove[s])
			return join_unfold(&b->join, s == LEFT ? PAIR_RIGHT : PAIR_LEFT, g->db, b->f->base.id, e);
	if (g->p->restore && restore_rows(g, b, e) < 0)
		return -1;
	if (g->p->delete_source && join_whole(&b->join, g->db, b->f->base.id, e) < 0)
		return -1;
	return adopt_box(g, b, e);
}

static int plan_box(struct twoway *g, struct box *b, struct err *e)
{
	struct plan_sync_policy policy;

	for (int s = LEFT; s <= RIGHT; s++) {
		if (b->remove[s]) {
			plan_removal(g, b, s);
			return 0;
		}
	}
	if (b->reborn && adopt_missing(g, b, e) < 0)
		return -1;
	decide_policy(g, b, &policy);
	if (learn_sizes(g, b, &policy, e) < 0)
		return -1;
	for (size_t i = 0, n = join_count(&b->join); i < n; i++) {
		struct joined fresh, *row = join_at(&b->join, i, &fresh);
		struct plan_sync plan = decide_row(g, b, &policy, row);

		decide_kept(g, b, &policy, &row->m, &plan);
		words_watch(b, &policy, &row->m);
		b->deletions[LEFT] += !policy.take_left && (plan.acts & PLAN_REMOVE_LEFT) != 0;
		b->deletions[RIGHT] += (plan.acts & PLAN_REMOVE_RIGHT) != 0;
		b->copies += (plan.acts & (PLAN_COPY | PLAN_COPY_BACK)) != 0;
		b->work |= (plan.acts & ~(unsigned)(PLAN_SKIP | PLAN_WAIT)) != 0 || plan.base != row->m.flags;
		if (plan.acts & PLAN_SKIP && policy.right.max_size > 0 && row->m.left.size > policy.right.max_size)
			g->totals->skipped++;
	}
	b->work |= b->create[LEFT] || b->create[RIGHT];
	words_tell(g, b);
	return 0;
}

/* Would a run delete more than a person can have meant? */
static int guard_deletions(struct twoway *g, struct err *e)
{
	if (g->p->allow_deletions || g->p->restore)
		return 0;
	for (int s = LEFT; s <= RIGHT; s++) {
		uint64_t n = 0, held;
		bool all;

		for (size_t i = 0; i < g->boxes.n; i++)
			n += g->boxes.a[i].failed ? 0 : g->boxes.a[i].deletions[s];
		if (n == 0)
			continue;
		if (pairs_total(g->db, &held, e) < 0) /* counts rows: not in a run that deletes nothing */
			return -1;
		all = n >= VANISHED_FROM && n == held && !g->p->max_delete.none;
		if (!all && !plan_deletes_too_many(&g->p->max_delete, n, held))
			continue;
		err_set(e, s == LEFT ? ERR_LOCAL : ERR_UNAVAIL, "%llu of %llu messages are gone %s, and would be deleted %s: nothing was changed", (unsigned long long)n,
			(unsigned long long)held, twoway_at(g, !s), twoway_at(g, s));
		return err_hint(e, "to delete them all the same, run the job by name with --allow-deletions (max-delete is the limit); to have them back, with --restore");
	}
	return 0;
}

static int for_each_box(struct twoway *g, int (*what)(struct twoway *g, struct box *b, struct err *e), struct err *e)
{
	for (size_t i = 0; i < g->boxes.n; i++) {
		struct box *b = &g->boxes.a[i];
		struct err why = ERR_INIT;

		if (!b->failed && what(g, b, &why) < 0 && box_error(g, b, &why, e) < 0)
			return -1;
	}
	return 0;
}

int decide_all(struct twoway *g, struct err *e)
{
	if (for_each_box(g, recognize, e) < 0 || moves_find(g, e) < 0 || for_each_box(g, plan_box, e) < 0)
		return -1;
	return guard_deletions(g, e);
}

static void tell_planned(struct twoway *g, const struct box *b, enum event_action action, int side, struct slice key, uint64_t size)
{
	char uid[ERR_TEXT_MAX];
	struct event ev = { .type = EVENT_MESSAGE, .folder = b->f->left, .action = action, .at = side == LEFT ? AT_LEFT : AT_RIGHT, .size = size, .dry = true };

	ev.uid = err_printable(uid, sizeof(uid), key.p, key.n);
	twoway_put(g, &ev);
}

/* What a dry run says instead of doing it. */
void decide_tell(struct twoway *g, struct box *b)
{
	struct plan_sync_policy policy;

	for (int s = LEFT; s <= RIGHT; s++) {
		if (!b->create[s] && !b->remove[s])
			continue;
		twoway_tell_tree(g, b, s, b->create[s] ? ACTION_CREATE : ACTION_REMOVE);
		g->totals->deleted += b->remove[s] ? b->deletions[s] : 0;
	}
	if (b->remove[LEFT] || b->remove[RIGHT])
		return;
	decide_policy(g, b, &policy);
	for (size_t i = 0, n = join_count(&b->join); i < n; i++) {
		struct joined fresh, *row = join_at(&b->join, i, &fresh);
		struct plan_sync plan = decide_row(g, b, &policy, row);

		if (plan.acts & PLAN_COPY) {
			g->totals->pulled++;
			tell_planned(g, b, ACTION_PULL, RIGHT, row->left, row->m.left.size);
		}
		if (plan.acts & PLAN_COPY_BACK) {
			g->totals->pushed++;
			tell_planned(g, b, ACTION_PUSH, LEFT, row->right, row->m.right.size);
		}
		if (plan.acts & (PLAN_REMOVE_LEFT | PLAN_REMOVE_RIGHT)) {
			int side = plan.acts & PLAN_REMOVE_LEFT ? LEFT : RIGHT;

			g->totals->deleted++;
			tell_planned(g, b, ACTION_DELETE, side, joined_key(row, side), 0);
		}
		for (int s = LEFT; s <= RIGHT; s++) {
			if (!(plan.acts & (s == LEFT ? PLAN_FLAG_LEFT : PLAN_FLAG_RIGHT)))
				continue;
			g->totals->flagged++;
			tell_planned(g, b, ACTION_FLAGS, s, joined_key(row, s), 0);
		}
	}
}
