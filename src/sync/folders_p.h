/* Both trees on their way into one table: what folders.c has for foldermap.c. */
#ifndef SYNC_FOLDERS_P_H
#define SYNC_FOLDERS_P_H

#include "sync/folders.h"

/* A pair of the base. */
struct folders_known {
	int64_t id;
	const char *left, *right;
};

struct reading {
	struct folders *fs;
	const struct folders_params *p;
	struct store *source, *target; /* the left, the right */
	VEC(struct boxrule) take; /* the rules with roles made names */
	VEC(struct boxrule) take_views; /* of these, what counts for folders that show messages of others: they are meant only where they are named */
	VEC(struct sync_folder) right; /* by name */
	VEC(struct folders_known) known; /* one way: by what the left calls them */
	void (*warn)(void *arg, const char *text);
	void *arg;
};

/* The rule for what the left calls so, or NULL. */
const struct folder_rule *folders_rule_for(const struct reading *r, const char *left);
/* The left's first folder with this role, or NULL. */
const char *folders_with_role(const struct reading *r, unsigned role);
/* Does the job take the folder that the left calls so? */
bool folders_takes(const struct reading *r, const char *left, unsigned attrs);
/* The right's folder of a name, or NULL. */
struct sync_folder *folders_on_right(struct reading *r, const char *name);
/* Lay a folder of the left beside the right's of its name, which may be NULL, into the table. */
int folders_join(struct reading *r, struct sync_folder *f, struct sync_folder *other, struct err *e);

/* foldermap.c: lay the left's folders beside the right's, one way. */
int foldermap_match(struct reading *r, struct err *e);
/* What the base calls the right's folder at the left; NULL: it does not know it. */
const char *foldermap_left(const struct reading *r, const char *right);

#endif
