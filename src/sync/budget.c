/* Counting bytes: see budget.h. */
#include "sync/budget.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "state/runs.h"

#define WORDS "the budget of "

/* A span that is over, or that a clock which was ahead began. */
static bool is_over(int64_t since, int64_t now)
{
	return since > now || now - since >= BUDGET_SECONDS;
}

/* Count what has gone over the wire meanwhile. */
static void count(struct budget *b)
{
	int64_t now = clock_wall();

	for (int i = 0; i < 2; i++) {
		struct budget_side *s = &b->side[i];
		uint64_t all;

		if (!s->stats)
			continue;
		all = s->stats->in + s->stats->out;
		if (is_over(s->since, now)) {
			s->since = now;
			s->used = 0;
		}
		s->used += all - s->counted;
		s->counted = all;
	}
}

int budget_init(struct budget *b, struct db *db, uint64_t limit, const char *shown, const struct store *left, const struct store *right, struct err *e)
{
	const struct store *stores[] = { left, right };

	*b = (struct budget){ .db = db, .limit = limit };
	snprintf(b->shown, sizeof(b->shown), "%s", shown);
	for (int i = 0; i < 2; i++) {
		if (!(stores[i]->ops->caps & STORE_REMOTE))
			continue;
		b->side[i].stats = &stores[i]->stats;
		if (traffic_get(db, i, &b->side[i].since, &b->side[i].used, e) < 0)
			return -1;
	}
	return 0;
}

uint64_t budget_left(struct budget *b)
{
	uint64_t left = b->limit;

	count(b);
	for (int i = 0; i < 2; i++) {
		uint64_t rest = b->side[i].used < b->limit ? b->limit - b->side[i].used : 0;

		if (b->side[i].stats && rest < left)
			left = rest;
	}
	return left;
}

/* "14:05", of this machine's clock. */
static void hour(int64_t t, int64_t now, char out[32])
{
	time_t tt = (time_t)t, tnow = (time_t)now;
	struct tm tm, today;

	if (!localtime_r(&tnow, &today) || !localtime_r(&tt, &tm) || strftime(out, 32, tm.tm_mday == today.tm_mday ? "%H:%M" : "%H:%M tomorrow", &tm) == 0)
		memcpy(out, "?", 2);
}

int budget_check(struct budget *b, struct err *e)
{
	int64_t until = 0, now = clock_wall();
	char when[32];

	if (budget_left(b) > 0)
		return 0;
	for (int i = 0; i < 2; i++)
		if (b->side[i].stats && b->side[i].used >= b->limit && b->side[i].since + BUDGET_SECONDS > until)
			until = b->side[i].since + BUDGET_SECONDS;
	hour(until, now, when);
	err_set(e, ERR_TEMP, WORDS "%s a day is used up: it goes on at %s", b->shown, when);
	if (e)
		e->retry_after = until > now ? (int)(until - now) : 1;
	return -1;
}

int budget_note(struct budget *b, struct err *e)
{
	count(b);
	for (int i = 0; i < 2; i++)
		if (b->side[i].stats && traffic_put(b->db, i, b->side[i].since, b->side[i].used, e) < 0)
			return -1;
	return 0;
}

bool budget_says(const char *reason)
{
	return strncmp(reason, WORDS, strlen(WORDS)) == 0;
}

int budget_spent(struct db *db, uint64_t limit, int64_t *until, struct err *e)
{
	int64_t now = clock_wall();

	*until = 0;
	for (int i = 0; i < 2; i++) {
		int64_t since;
		uint64_t used;

		if (traffic_get(db, i, &since, &used, e) < 0)
			return -1;
		if (limit > 0 && used >= limit && !is_over(since, now) && since + BUDGET_SECONDS > *until)
			*until = since + BUDGET_SECONDS;
	}
	return 0;
}
