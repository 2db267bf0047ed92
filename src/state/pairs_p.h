/* What the left says of a message, for the files of this layer: in four columns, its size, its date, the hashes of its Message-ID and of its object's id. */
#ifndef STATE_PAIRS_P_H
#define STATE_PAIRS_P_H

#include "state/pairs.h"

void told_bind(struct sqlite3_stmt *s, int at, const struct told *t); /* as the parameters from `at` on */
void told_columns(struct sqlite3_stmt *s, int at, struct told *out);

#endif
