/*
 * How much a job may exchange with each of its servers within 24 hours, for servers that count. What goes over the wire counts, both ways together, whatever it is: the counters of
 * the stores (net_stats). The 24 hours begin with the first run of the job, and anew with the first after they are over.
 *
 * The count is noted in the state with each group of messages, so that a process that is killed loses the count of no more than one; and it is looked at between messages: a
 * message that is begun is brought to its end. So no more than that is exchanged beyond the budget, and what asking and answering takes.
 */
#ifndef SYNC_BUDGET_H
#define SYNC_BUDGET_H

#include "state/db.h"
#include "store/store.h"

#define BUDGET_SECONDS 86400

struct budget {
	struct db *db;
	uint64_t limit;
	char shown[32];    /* "2G" */
	struct budget_side {
		const struct net_stats *stats; /* NULL: no server */
		uint64_t counted;              /* of stats */
		int64_t since;
		uint64_t used;                 /* since then */
	} side[2];
};

/* Begin to count, with what earlier runs noted. db and the stores live as long as the budget. */
int budget_init(struct budget *b, struct db *db, uint64_t limit, const char *shown, const struct store *left, const struct store *right, struct err *e);

/* Bytes that may still be exchanged, with both servers. */
uint64_t budget_left(struct budget *b);

/* -1 when it is used up: ERR_TEMP, with retry_after; the text says when it goes on. */
int budget_check(struct budget *b, struct err *e);

/* Note the count: in the transaction that is open, or in one of its own. */
int budget_note(struct budget *b, struct err *e);

/* Is a pause of the state's one of ours? Then until when the budget is used up by what was noted counts alone, 0 if it is not. */
bool budget_says(const char *reason);
int budget_spent(struct db *db, uint64_t limit, int64_t *until, struct err *e);

#endif
