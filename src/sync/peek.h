/*
 * Is a folder of one side otherwise than the base says? For who waits for changes and was told of some: it may have been the job itself. Cheap, and changes nothing; what can't be
 * told counts as changed. The base is there to be looked at; nobody runs the job meanwhile.
 */
#ifndef SYNC_PEEK_H
#define SYNC_PEEK_H

#include "state/pairs.h"
#include "store/store.h"

/* A folder by the stamp that it has now on a side (as store_ops.folders gives it). 1 changed, 0 not, -1. */
int peek_stamp(struct db *db, enum pair_side side, const char *folder, const char *stamp, struct err *e);

/* The right's, by a look at it. 1, 0, -1. The box is closed then. */
int peek_look(struct db *db, struct store *right, const char *folder, struct err *e);

/* The whole of the right: does it have the folders of the base, and no others, and are they as that says? 1, 0, -1. Folders that the job leaves out count as others. */
int peek_all(struct db *db, struct store *right, struct err *e);

#endif
