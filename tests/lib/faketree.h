/*
 * A two-way store in memory, rigged to misbehave on order: the left as an IMAP server (UIDs that are given on arrival, changes by a counter), the right as a Maildir
 * (names that it makes itself, everything listed). What it holds lives in shared memory and outlives the process that a test lets die.
 */
#ifndef TESTS_FAKETREE_H
#define TESTS_FAKETREE_H

#include "store/store.h"

#define TREE_FOLDERS 8
#define TREE_MESSAGES 400
#define TREE_CRASH 101

enum tree_looks { TREE_CHANGES, TREE_ALL, TREE_LOOKS };

struct tree_msg {
	uint32_t content; /* equal: the same bytes; 0: this place is free */
	uint32_t key;     /* "12" at the left, "name-12" at the right */
	uint32_t flags;
	uint64_t changed; /* when, by the side's counter */
};

struct tree_folder {
	char name[64];    /* "": this place is free */
	uint32_t validity, next;
	uint64_t changed;
	struct tree_msg m[TREE_MESSAGES];
	struct { uint32_t key; uint64_t when; } gone[TREE_MESSAGES];
	size_t n_gone;
};

struct tree_side {
	struct tree_folder f[TREE_FOLDERS];
	uint64_t clock;
	bool remote;         /* late keys */
	bool stamps;         /* of folders, without a look */
	bool tells_twice;    /* a look tells of each message once more when all were told */
	bool stirring;       /* a look that tells something gives no stamp */
	unsigned how;        /* the last box was opened so */
	enum tree_looks looks;
	uint32_t can_hold;
	bool missing;        /* the root is not there */
	unsigned thinks;     /* ms before it tells its folders */
	unsigned read_by_then, looked_by_then; /* bodies that the other side had given by then, and its folders that were looked at */
	uint32_t swapped[2]; /* then somebody puts the second of these contents in the place of the first, in the other side's INBOX; 0: nobody does */
	uint32_t refuse;     /* this content is refused as a copy; 0 none */
	bool refuse_flags, refuse_copies;
	bool objects;        /* it calls the same content the same in all folders */
	bool one_object;     /* and others, too: all of them */
	bool merges;         /* a second copy of a message in a folder is taken for the first (Gmail) */
	bool dates;          /* it tells when messages arrived: both tell the same of the same content */
	bool no_moves;       /* a move is refused */
	bool no_renames;     /* a folder keeps its name */
	bool mute_moves;     /* it is done, and the key of what was moved not told */
	bool read_only;
	uint32_t hide;       /* this content is said not to be there when it is read; 0 none */
	unsigned foretold, misled; /* folders that were opened and read as a hint had said (store_ops.soon); hints that turned out wrong */
	unsigned announced, told_from; /* the last looks: when they were announced, and when the first of them was read, by tree_world.looks */
	unsigned looked, opened, read, moved, staged, again, asked, marks, named; /* counts; asked: idents; marks: those that ask for them; named: Message-IDs told by looks */
};

struct tree_world {
	struct tree_side side[2];
	unsigned ops;        /* calls that do something, so far */
	unsigned looks;      /* looks that were announced, or read, so far */
	unsigned crash_at;   /* the process dies before the n-th of them; 0 never */
	unsigned cut_at;     /* the n-th breaks the link of the left; 0 never */
	bool dead;           /* until it is opened again */
	bool words;          /* what a test calls FLAG_FLAGGED and FLAG_ANSWERED are keywords, to the engine */
	bool nameless;       /* no message has a Message-ID */
	unsigned misuse;
	char why[200];
};

struct tree_world *tree_world_new(void);
void tree_world_free(struct tree_world *w);
void tree_world_clear(struct tree_world *w);

struct store *tree_store(struct tree_world *w, int side);

/* What a mail reader does. */
struct tree_folder *tree_folder(struct tree_world *w, int side, const char *name, bool make); /* NULL: there is none */
void tree_remove_folder(struct tree_world *w, int side, const char *name);
struct tree_msg *tree_add(struct tree_world *w, int side, const char *folder, uint32_t content, uint32_t flags);
void tree_delete(struct tree_world *w, int side, struct tree_folder *f, struct tree_msg *m);
void tree_flag(struct tree_world *w, int side, struct tree_folder *f, struct tree_msg *m, uint32_t flags);
struct tree_msg *tree_find(struct tree_folder *f, uint32_t content);
size_t tree_count(const struct tree_folder *f);

#endif
