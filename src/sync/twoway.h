/*
 * Two-way, the private side: one job on its way through looking (look.c, looks.c), recognizing (adopt.c, movefind.c), planning (decide.c) and doing (movedo.c, act.c). See engine.h for the job itself.
 *
 * Both sides are looked at, folder by folder, everything is planned, and only then, when no guard objects, something is done.
 */
#ifndef SYNC_TWOWAY_H
#define SYNC_TWOWAY_H

#include "mail/flags.h"
#include "mail/keywords.h"
#include "state/pairs.h"
#include "state/runs.h"
#include "sync/engine.h"
#include "sync/exec.h"
#include "sync/join.h"

enum { LEFT = PAIR_LEFT, RIGHT = PAIR_RIGHT };

/* A failure of an earlier run. */
struct earlier {
	int64_t folder;
	bool back;
	struct slice key;
	int64_t next;
	unsigned tries;
	bool seen;
};

/* What the base knows of the keywords of a folder. */
struct box_words {
	size_t n;                     /* names */
	bool spilled;                 /* and that there are more, and the person knows */
	char letter[2][KEYWORDS_MAX]; /* as its pairs know them: keyword_view.letter */
	uint64_t refused[2], told[2];
};

/* One folder on its way. */
struct box {
	struct sync_folder *f;
	struct keywords keywords;
	struct keyword_view view[2];  /* of the keywords; nothing but the box points there */
	struct box_words words;
	bool words_read;
	uint64_t unheld[2];           /* keywords that the other side has, and can't be set there */
	uint64_t told[2];             /* and the person knows it */
	bool told_spilled;
	struct box_info info[2];      /* of the looks */
	bool looked[2], force[2];
	bool whole[2];                /* the look told every message */
	char stamp[2][STORE_STAMP_MAX]; /* what the base is to remember when all is done */
	bool create[2];               /* it is to be made there */
	bool remove[2];               /* it is gone on the other side: to be removed here */
	bool kept[2];                 /* something there could not be taken over to the other side: the next look is to tell it again */
	bool reborn;                  /* the left's keys mean nothing any more: all that it holds is matched anew (adopt.c) */
	bool forgotten;               /* the right's did: the base has let go of the folder, which is looked at once more as in a first run */
	bool distrusted[2];           /* a server gave the keys of that side to other messages */
	VEC(int64_t) orphans;         /* pairs that are to be forgotten then */
	bool stays;                   /* it is gone on one side, and not removed on the other, or on both: nothing is done in it but moves, and nothing remembered */
	bool plain[2];                /* the side is not asked for Message-IDs by a look: it has refused that */
	bool failed;                  /* nothing more is done with it, and nothing remembered */
	bool unseen;                  /* so it was before moves were looked for: nobody knows what has left it */
	struct join join;
	uint64_t deletions[2], copies;
	bool work;
};

/* Where a side has a message: a row of a box; box NULL: nowhere that is known. */
struct place {
	struct box *box;
	size_t row;
};

static inline struct joined *place_row(struct place p)
{
	return &p.box->join.rows.a[p.row];
}

/* A message that one side has elsewhere: see moves.h. */
struct move {
	int side;                     /* that is to follow */
	struct place home, from, to;  /* the base has its pair in home; the side has it in from, the other side in to */
	uint64_t num;                 /* in from's box while that is open */
	struct ident id;              /* of what the other side has in to, if it was read */
	struct slice key;             /* that the side gives it in to */
	uint64_t flags, shown;        /* the base's and the side's, in the bits of to */
	enum { MOVE_UNKNOWN, MOVE_DONE, MOVE_REFUSED } end;
};

/* A move at a migration's target that an earlier run did not end: see movehalf.c. */
struct half {
	struct place from;            /* its pair, which the left has no more; row SIZE_MAX: the right has it there no more */
	struct box *to;
	struct slice key;             /* of the right in from */
	uint64_t num;                 /* while from's box is open */
	bool there;                   /* it is in both */
	bool removed;
};

struct lookahead_msg;

/* What was read of the right before it was asked for: see lookahead.c. */
struct lookahead {
	struct arena arena;
	VEC(struct lookahead_msg) msgs;
	bool sorted, foreseen;        /* foreseen: the left may have been asked for INBOX already */
	msec_t until;                 /* so long is read while the left is dialled; 0: not begun */
};

#define LOOKAHEAD_INIT { .arena = ARENA_INIT(64 << 20) }

struct beside;

struct twoway {
	const struct sync_params *p;
	struct store *side[2];
	struct db *db;
	const struct event_sink *sink;
	struct event_totals *totals;
	struct folders folders;
	struct lookahead ahead;
	VEC(struct beside *) beside;
	struct look_hint foreseen;    /* of the left */
	VEC(struct box) boxes;
	VEC(struct move) moves;
	VEC(struct half) halves;
	VEC(struct earlier) earlier;
	struct arena keys;            /* of earlier */
	struct exec x[2];             /* by their target's side */
	struct claims claims;
	struct box *acting;           /* the executors work on it */
	int steps;
	unsigned barren;              /* sessions in a row that broke before anything was done */
	bool known;                   /* the base has folders: this is not the first run */
	bool again;                   /* some folders of the right are to be looked at once more */
};

void twoway_warn(void *arg, const char *text); /* arg: struct twoway */
void twoway_put(struct twoway *g, struct event *ev);
void twoway_tell_tree(struct twoway *g, const struct box *b, int side, enum event_action action); /* a folder was made or removed there, or would be */
int twoway_no_memory(struct err *e);           /* -1 */
enum event_sides twoway_sides(const struct twoway *g);
const char *twoway_at(const struct twoway *g, int side); /* "at the server", "here" */
const char *twoway_left(const struct twoway *g);         /* "the server", "the remote side", "the source" */
bool twoway_far(const struct twoway *g, int side); /* it is a server */
bool twoway_tells(const struct twoway *g, int side); /* its store can tell messages apart without their bodies, which are not at hand */
const char *box_name(const struct box *b, int side);
bool box_there(const struct box *b, int side);
char *box_remembered(struct box *b, int side); /* the stamp as the base has it: sizeof(folder_row.left_stamp) */
bool twoway_may(enum sync_where where, int side);
unsigned twoway_how(const struct twoway *g, int side); /* how its boxes are opened: a source that is to stay as it is is not even told that somebody has seen its mail (IMAP's \Recent) */

/* Open it; how: enum box_how. */
int box_open(struct twoway *g, struct box *b, int side, unsigned how, struct box_info *info, struct err *e);

void twoway_box_release(struct box *b); /* what it holds */

/* The folder is left as it is in this run; the others go on. */
void box_failed(struct twoway *g, struct box *b, const struct err *why);
/* Does an error end the job (-1, *e), or only this folder (0, told)? */
int box_error(struct twoway *g, struct box *b, struct err *why, struct err *e);

/* renames.c: folders that have another name on one side get it on the other, too, before anything is concluded from the trees. */
int renames_follow(struct twoway *g, struct err *e);

/*
 * samebox.c: is a folder whose name is new what the one was whose name is gone? By the stamps of a side; by what they hold on the sides that have lost the name: 1, 0 it can't
 * be shown, -1. ours: the left, where it was our own doing, need not be asked.
 */
enum store_same samebox_stamps(const struct twoway *g, int side, const struct sync_folder *gone, const struct sync_folder *fresh);
int samebox_content(struct twoway *g, const struct sync_folder *gone, const struct sync_folder *fresh, bool ours, struct err *e);

/* look.c: the trees, and what is to become of each folder. */
int look_folders(struct twoway *g, struct err *e);
int look_trees(struct twoway *g, struct err *e); /* g->folders anew */
int look_failures(struct twoway *g, struct err *e);
int look_recover(struct twoway *g, struct err *e); /* what an interrupted run left is looked up before anything else */
int look_forget(struct twoway *g, struct box *b, struct err *e); /* the base forgets the folder: whatever either side has is new to it */

/* looks.c: what has changed in the folders. */
int look_messages(struct twoway *g, struct err *e);

/* lookahead.c: what a first contact will want to know of the right's messages, while the left is dialled, and while it makes its answer. */
void look_beside(void *arg, const char *folder); /* arg: struct twoway */
bool lookahead_has(struct twoway *g, const struct box *b); /* some of its messages */
bool lookahead_is_foreseen(const struct twoway *g, const struct box *b); /* the left is asked for it at once, whether there are any or not */
int look_ahead(struct twoway *g, struct err *e);
/* What was read of the folder is held against it, once the left has told what it has. Nothing counts before. */
int lookahead_confirm(struct twoway *g, struct box *b, struct err *e);
const struct content *lookahead_content(struct twoway *g, const struct box *b, struct slice key); /* NULL: it was not read */
void lookahead_release(struct lookahead *a);

/* lookbeside.c: folders that the base has, and that are here, are looked at while the left is dialled. */
void look_known_beside(void *arg, const struct sync_folder *f); /* arg: struct twoway */
/* INBOX has changed here: the left is told how it will be asked for it. */
void look_foresee(void *arg, const struct sync_folder *f);
bool look_is_foreseen(const struct twoway *g, const struct box *b); /* and so it has been */
void look_take_beside(struct twoway *g); /* before anything is asked: what counts of these looks is as if it were done now */
void look_forget_beside(struct twoway *g);
struct earlier *look_earlier(struct twoway *g, int64_t folder, bool back, struct slice key); /* NULL: no failure */
#define LOOK_NO_AGREEMENT " - - -" /* behind a remembered stamp: it tells what keys mean, and no more */
void look_policy_text(const struct twoway *g, const struct box *b, char *out, size_t size);
void look_keys_only(char *text, size_t size, const char *stamp); /* what is remembered of a store's stamp before there is an agreement: what keys mean */
bool look_agreed_stamp(const struct twoway *g, struct box *b, int side, char out[STORE_STAMP_MAX]); /* the same, and whether there was an agreement under the limits of today */
void look_own_stamp(const char *remembered, char out[STORE_STAMP_MAX]); /* the store's part of it */
void look_distrust(char *text, size_t size); /* a remembered stamp: the next look takes the folder for reborn, whatever it shows */
void look_weaken(char *text, size_t size); /* a remembered stamp: from now on it shows what keys mean, but proves no agreement */

/*
 * words.c: keywords, of which the base keeps the names. words_note: those that pairs may have from now on, with their letters; words_settle, when all is done in the
 * folder: what the sides refuse, and letters that have changed. Both begin a transaction if something has to be written, and leave the commit to the caller.
 */
int words_read(struct twoway *g, struct box *b, struct err *e);
int words_note(struct twoway *g, struct box *b, struct err *e);
int words_settle(struct twoway *g, struct box *b, struct err *e);
uint64_t words_anew(const struct box *b);                     /* see plan_sync_policy.anew: a Maildir spells them in another way than it did */
uint64_t words_may_take(const struct box *b, int side);       /* flags that can be set there, were it not read-only; not more than what is known to fail, if it was not looked at */
void words_watch(struct box *b, const struct plan_sync_policy *policy, const struct plan_sync_msg *m); /* does it have keywords that can't go over? */
void words_tell(struct twoway *g, struct box *b);             /* once for each: it can't */
int words_carry(struct box *from, struct box *to, uint64_t flags, uint64_t *out, struct err *e); /* flags of a message that is moved, in the other folder's bits */
/* Which keywords that a message had in one folder may it have in the other, where that side has moved it to, though it does not show them? In the other's bits. */
uint64_t words_astray(const struct box *from, const struct box *to, int side, uint64_t had, uint64_t shown);

/*
 * adopt.c: what both sides hold and the base does not know becomes one row each; between join_rows and the plan. Of a folder that is reborn the same for what the
 * base does know, by keys that mean nothing any more; adopt_note tells the base, before anything is done in the folder.
 */
int adopt_box(struct twoway *g, struct box *b, struct err *e);
int adopt_reborn(struct twoway *g, struct box *b, struct err *e);
int adopt_missing(struct twoway *g, struct box *b, struct err *e); /* after moves_find: may it go on with what was not found? */
int adopt_note(struct twoway *g, struct box *b, struct err *e);

/* decide.c: the plan of every folder, and the guards. */
void decide_policy(const struct twoway *g, const struct box *b, struct plan_sync_policy *out);
struct plan_sync decide_row(struct twoway *g, const struct box *b, const struct plan_sync_policy *policy, struct joined *row);
void decide_kept(const struct twoway *g, struct box *b, const struct plan_sync_policy *policy, const struct plan_sync_msg *m, const struct plan_sync *plan);
int decide_all(struct twoway *g, struct err *e);
void decide_tell(struct twoway *g, struct box *b); /* what a dry run says instead of doing it */

/* act.c */
void act_on(struct twoway *g, struct box *b); /* the executors work on this folder now */
int act_folders(struct twoway *g, struct err *e); /* those that are missing on a side are made; new ones get their rows in the base */
/* made.c: one way: does the target show those that were made, and as what? They are told; what it does not show is left out. */
int made_check(struct twoway *g, struct err *e);
void made_hint(const struct box *b, struct err *why); /* how a folder gets a name that the target takes */
int act_note_keys(struct twoway *g, struct box *b, int side, struct err *e); /* before any pair of a folder that was made just now is noted: what shows what keys mean */
int act_box(struct twoway *g, struct box *b, struct err *e);
int act_put_back(struct twoway *g, struct err *e); /* acttry.c: one way: what an interrupted run kept aside, if it is not where it belongs. After the looks: what the left was asked to delete is deleted then */
size_t act_soon(struct twoway *g, size_t from); /* actsoon.c: before that box is acted on. Again before the one that this returns */

#endif
