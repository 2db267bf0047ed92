#include "sync/plan.h"

#include "mail/flags.h"

/* Does the policy want a message that was delivered at `made` off the source? */
static bool wants_removal(const struct plan_policy *p, int64_t made)
{
	if (p->no_remove)
		return false;
	switch (p->keep) {
	case KEEP_NO:
		return true;
	case KEEP_AGE:
		return p->now - made >= p->keep_seconds;
	case KEEP_YES:
		break;
	}
	return false;
}

unsigned plan_message(const struct plan_policy *p, const struct plan_msg *m)
{
	bool remove = m->base.exists && wants_removal(p, m->base.made);

	if (!m->left.present)
		return m->base.exists && !m->base.gone ? PLAN_FORGET : PLAN_NOTHING;
	if (m->base.exists && m->base.sure)
		return remove ? PLAN_REMOVE_LEFT : PLAN_NOTHING;
	if (m->base.exists && !m->base.gone && !remove)
		return PLAN_NOTHING;
	/* New, or not sure to be what the base knows: its content must be seen. */
	if (m->retry_at > p->now)
		return PLAN_WAIT;
	/* The limit is for new mail: what was delivered, by all that is known, is read once more only to be removed. */
	if (p->max_size > 0 && m->left.size > p->max_size && !(m->base.exists && !m->base.gone))
		return PLAN_SKIP;
	return PLAN_COPY | (p->keep == KEEP_NO && !p->no_remove ? PLAN_REMOVE_LEFT : 0);
}

/* May this message, which is on the other side alone, be copied to this one? PLAN_COPY stands for yes. */
static unsigned plan_new(const struct plan_side_policy *to, const struct plan_sync_side *from, int64_t retry_at, int64_t now)
{
	if (!to->may_add)
		return PLAN_NOTHING;
	if (retry_at > now)
		return PLAN_WAIT;
	if (to->max_size > 0 && from->size > to->max_size)
		return PLAN_SKIP;
	if (to->oldest > 0 && from->date > 0 && from->date < to->oldest)
		return PLAN_SKIP;
	return PLAN_COPY;
}

/* What a side says of the flags, as far as it can hold them. */
static uint64_t heard(uint64_t base, uint64_t side, const struct plan_side_policy *p)
{
	return (side & p->can_hold) | (base & ~p->can_hold);
}

/* The three-way merge, for a message that both sides hold. */
static void merge_flags(const struct plan_sync_policy *p, const struct plan_sync_msg *m, struct plan_sync *out)
{
	uint64_t base = m->known ? m->flags & ~p->anew : 0; /* of two that were never compared, each flag that one has was set there */
	uint64_t l = heard(base, m->left.flags, &p->left), r = heard(base, m->right.flags, &p->right);
	uint64_t changed = (l ^ base) | (r ^ base), want = (base & ~changed) | (l & ~base) | (r & ~base);
	uint64_t take_left = p->left.may_flag, take_right = p->right.may_flag, agreed;

	out->left = (m->left.flags & ~take_left) | (want & take_left);
	out->right = (m->right.flags & ~take_right) | (want & take_right);
	/* where a side could not follow, the base stays what it was: the other's change is still a change when the side can */
	agreed = ~(out->left ^ out->right);
	out->base = (out->left & agreed) | (base & ~agreed);
	if (out->left != m->left.flags)
		out->acts |= PLAN_FLAG_LEFT;
	if (out->right != m->right.flags)
		out->acts |= PLAN_FLAG_RIGHT;
}

struct plan_sync plan_sync(const struct plan_sync_policy *p, const struct plan_sync_msg *m)
{
	struct plan_sync out = { .left = m->left.flags, .right = m->right.flags, .base = m->flags };

	if (m->left.present && m->right.present) {
		if (!m->known)
			out.acts = PLAN_PAIR;
		merge_flags(p, m, &out);
		if (p->take_left)
			out.acts |= PLAN_REMOVE_LEFT;
	} else if (!m->left.present && !m->right.present) {
		out.acts = m->known ? PLAN_FORGET : PLAN_NOTHING;
	} else if (!m->known && m->left.present) {
		out.acts = plan_new(&p->right, &m->left, m->retry_at, p->now);
		if (out.acts == PLAN_COPY)
			out.right = out.base = m->left.flags & p->right.may_flag & (p->left.can_hold | ~(uint64_t)FLAG_DELETED); /* one that nobody believes */
		if (out.acts == PLAN_COPY && p->take_left)
			out.acts |= PLAN_REMOVE_LEFT;
	} else if (!m->known) {
		out.acts = plan_new(&p->left, &m->right, m->retry_at, p->now);
		if (out.acts == PLAN_COPY) {
			out.acts = PLAN_COPY_BACK;
			out.left = out.base = m->right.flags & p->left.may_flag;
		}
	} else {
		const struct plan_sync_side *stays = m->left.present ? &m->left : &m->right;
		const struct plan_side_policy *there = m->left.present ? &p->left : &p->right;

		if (p->take_left && m->right.present)
			out.acts = PLAN_FORGET;
		else if (there->may_remove)
			out.acts = m->left.present ? PLAN_REMOVE_LEFT : PLAN_REMOVE_RIGHT;
		else
			out.base = heard(m->flags, stays->flags, there); /* nobody is left to be told of them */
	}
	return out;
}

bool plan_deletes_too_many(const struct plan_max_delete *max, uint64_t deletions, uint64_t messages)
{
	return !max->none && deletions > max->count && deletions * 100 > messages * max->percent;
}
