/* Pairs, for the files of this layer. What the left says of a message stands in four columns: its size, its date, the hashes of its Message-ID and of its object's id. */
#ifndef STATE_PAIRS_P_H
#define STATE_PAIRS_P_H

#include "state/pairs.h"

/* No id is given again while somebody may still have it in hand: called before the first is given, or any is dropped. */
int pairs_know_ids(struct db *db, struct err *e);

/* Put those that were added, and wait, into the table. */
int pairs_put(struct db *db, struct err *e);
/* The transaction has ended: those that still wait are forgotten. */
void pairs_end(struct db *db);

void told_bind(struct sqlite3_stmt *s, int at, const struct told *t); /* as the parameters from `at` on */
void told_columns(struct sqlite3_stmt *s, int at, struct told *out);

#endif
