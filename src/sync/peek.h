/*
 * Is a folder of one side otherwise than the base says? For who waits for changes and was told of some: it may have been the job itself. Cheap, and changes nothing; what can't be
 * told counts as changed. The base is there to be looked at; nobody runs the job meanwhile.
 */
#ifndef SYNC_PEEK_H
#define SYNC_PEEK_H

#include "state/db.h"
#include "store/store.h"

/* The left's folder, by the stamp that it has now (as store_ops.folders gives it). 1 changed, 0 not, -1. */
int peek_left(struct db *db, const char *folder, const char *stamp, struct err *e);

/* The right's, by a look at it. 1, 0, -1. The box is closed then. */
int peek_right(struct db *db, struct store *right, const char *folder, struct err *e);

#endif
