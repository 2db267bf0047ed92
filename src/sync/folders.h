/*
 * The folders of a two-way job: which of them it takes, how they are called on each side, and which pairs of them belong together. Knows no messages.
 *
 * Left is the remote side, whose names the patterns speak of; the right one calls a folder the same unless a rule says otherwise.
 */
#ifndef SYNC_FOLDERS_H
#define SYNC_FOLDERS_H

#include "base/arena.h"
#include "base/vec.h"
#include "mail/boxname.h"
#include "state/runs.h"
#include "store/store.h"

/* What a person says of one folder (`folder "Sent Items" { ... }`). */
struct folder_rule {
	const char *name;     /* at the left; "@sent": whichever has that role */
	const char *local;    /* what the right calls it; NULL: the same */
	uint64_t max_size;    /* of messages that are pulled; 0 none */
	int64_t max_age;      /* seconds; 0 none */
	bool has_max_size, has_max_age; /* else those of the job count */
};

struct folders_params {
	const struct boxrule *take;     /* which folders; none: all. One of FOLDER_VIEWS only if a pattern without wildcards names it, a role, or a rule */
	size_t n_take;
	const struct folder_rule *rules;
	size_t n_rules;
};

/* A folder of one side or both. */
struct sync_folder {
	const char *left, *right;       /* what it is called, or is to be called, there */
	bool on_left, on_right;
	unsigned attrs;                 /* enum folder_attr, as the left says; of the right when it is there alone */
	char left_stamp[STORE_STAMP_MAX], right_stamp[STORE_STAMP_MAX]; /* as the trees show them */
	uint64_t left_messages, right_messages; /* UINT64_MAX: not known */
	uint64_t left_bytes, right_bytes;       /* 0 not known */
	struct folder_row base;         /* id 0: the base has it not */
	const struct folder_rule *rule; /* NULL: none */
};

struct folders {
	struct arena arena;
	VEC(struct sync_folder) f;      /* in the left's order, then what the right alone has, then what the base alone has */
	VEC(struct sync_folder) tree;   /* all that the left shows */
	uint64_t n_left, n_right;       /* folders that the trees show, taken or not */
};

#define FOLDERS_INIT { .arena = ARENA_INIT(64 << 20) }

/*
 * Read both trees and the base. What is wrong with a single folder (two that would be called the same on the right) is told by warn, and the folder left out.
 * no_right is called when the right's tree can't be read, with *e saying why: 1 by now it can, 0 it is empty (a dry run before the first), -1 (*e).
 */
int folders_read(struct folders *fs, const struct folders_params *p, struct store *left, struct store *right, struct db *db, int (*no_right)(void *arg, struct err *e),
		 void (*warn)(void *arg, const char *text), void *arg, struct err *e);

/* The left's folder of a role or a name ("@trash", "Deleted Items"); NULL: there is none. Valid while fs is. */
const char *folders_find(const struct folders *fs, const char *name);

/* The attribute of a role's name ("sent"); 0 for none. */
unsigned folder_role(struct slice name);
/* The names of the roles among these attributes, one with each call: *at 0 at first; NULL at the end. */
const char *folder_role_name(unsigned attrs, size_t *at);

void folders_release(struct folders *fs);

#endif
