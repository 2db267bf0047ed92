/* What an undo looks for in folders of the left: what undoseek.c has for undotrash.c. */
#ifndef SYNC_UNDOSEEK_P_H
#define SYNC_UNDOSEEK_P_H

#include "base/numset.h"
#include "state/trashed.h"
#include "sync/undo_p.h"

/* One of the run's messages. */
struct binned {
	const char *folder, *trash; /* as in struct trashed */
	struct slice key;         /* then, in that folder */
	int64_t noted;
	struct told told;
	enum trashed_state state; /* as the base has it */
	struct slice hit;         /* its key where it was looked for last; empty: it is not there */
	struct slice now;         /* in the trash, or the folder that shows all */
	uint64_t flags, num;      /* likewise */
	enum { END_UNKNOWN, END_MOVED, END_GONE, END_REFUSED, END_STAYS } end;
};

struct bin {
	struct undoing *u;
	struct store *s;
	struct arena arena;
	VEC(struct binned) rows;  /* that are not done; in the end by trash, folder and key */
	VEC(struct folder_info) there; /* folders of the left */
	size_t missing, missing_elsewhere;
};

typedef VEC(struct binned *) binned_list;

/* A look for messages in a folder. */
struct search {
	const char *folder;
	bool by_key;             /* they are looked for where they were, and nothing but the key counts */
	const struct undo_rows *but; /* not those which the base has in these since a run that began then, or longer; NULL: all */
	int64_t since;
	struct numset sizes;
};

/* Look for messages in a folder: ->hit of each, which is of none of the others. */
int undoseek(struct bin *b, struct search *s, binned_list *rows, struct err *e);

#endif
