/*
 * The folders of a two-way job: which of them it takes, how they are called on each side, and which pairs of them belong together. Knows no messages.
 *
 * Left is the remote side, whose names the patterns speak of; the right one calls a folder the same unless a rule says otherwise.
 *
 * One way, left is the source and right the target, which may call a folder by a name of its own (foldermap.c). By the first of these that says it:
 *   1. a rule;
 *   2. the base: what was decided once holds, whatever either side says of roles later;
 *   3. INBOX is INBOX;
 *   4. its role (RFC 6154): the target's folder that has it. Of a source that says no roles at all, a folder of the first level with one of the well-known names (Sent, Sent Items,
 *      Sent Messages, Drafts, Trash, Deleted Items, Deleted Messages, Junk, Junk Email, Junk E-mail, Spam, Archive; in any case) counts as having it. One folder for each role: the
 *      one that has the target's name, else the first. Never a folder that shows messages of others (FOLDER_VIEWS);
 *   5. the folder above it: what is below it there is called as it is here;
 *   6. its own name, made to fit where the target can't hold it (store_ops.fit).
 * Each of the target's folders is of one folder of the source: of two that would be one, the first by this list, else by the source's order, has it; the other is left out.
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

struct sync_folder;

struct folders_params {
	const struct boxrule *take;     /* which folders; none: all. One of FOLDER_VIEWS only if a pattern without wildcards names it, a role, or a rule */
	size_t n_take;
	const struct folder_rule *rules;
	size_t n_rules;
	bool one_way;                   /* see above */
	/*
	 * NULL, or what can be done in a first run about a folder of the right, which is here, while the server at the left is dialled and asked: it may return whenever it likes, and
	 * takes turns (fiber_turn). First about INBOX, if the job takes it for certain; NULL: the right has none.
	 */
	void (*beside)(void *arg, const char *folder);
	/* The same in later runs, about a folder that the base has: f as it is at the right, with the base's row. Not one way. */
	void (*known)(void *arg, const struct sync_folder *f);
	/* before: INBOX, if it is one of those; the left may not have been asked for anything yet */
	void (*foresee)(void *arg, const struct sync_folder *f);
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

/* One way: a folder of the source that can't be copied as things are, and why. */
struct folder_refused {
	const char *left;
	struct err why;
};

struct folders {
	struct arena arena;
	VEC(struct sync_folder) f;      /* in the left's order, then what the right alone has, then what the base alone has */
	VEC(struct sync_folder) tree;   /* all that the left shows */
	VEC(struct folder_refused) refused;
	uint64_t n_left, n_right;       /* folders that the trees show, taken or not */
};

#define FOLDERS_INIT { .arena = ARENA_INIT(64 << 20) }

/*
 * Read both trees and the base. What is wrong with a single folder (two that would be called the same on the right) is told by warn, and the folder left out; one way, it is among
 * the `refused` instead.
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
