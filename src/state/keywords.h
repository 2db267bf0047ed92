/*
 * What the bits of keywords in a folder's pairs mean (mail/keywords.h), and how its sides deal with them. A pair must not have such a bit before its name is here: put it
 * in the same transaction at the latest.
 */
#ifndef STATE_KEYWORDS_H
#define STATE_KEYWORDS_H

#include "base/slice.h"
#include "state/db.h"

struct keyword_row {
	unsigned place;     /* from 0 on */
	struct slice name;
	char letter[2];     /* by which the left, the right spells it (a Maildir) since the base says what its messages have; 0 none */
	bool refused[2];    /* they were asked to set it, and would not */
	bool told[2];       /* and the person knows that they don't */
};

int keyword_rows_each(struct db *db, int64_t folder, int (*cb)(void *arg, const struct keyword_row *r, struct err *e), void *arg, struct err *e); /* in the order of places */
int keyword_rows_put(struct db *db, int64_t folder, const struct keyword_row *r, struct err *e); /* in the place of what was there */

#endif
