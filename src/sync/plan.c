#include "sync/plan.h"

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
	if (p->max_size > 0 && m->left.size > p->max_size)
		return PLAN_SKIP;
	return PLAN_COPY | (p->keep == KEEP_NO && !p->no_remove ? PLAN_REMOVE_LEFT : 0);
}
