/*
 * Pairs: a message that both sides hold, or held. `left` is its key at the source, `right` its key at the target. A pair is pending from before its copy
 * becomes visible at the target until that is known to have happened; `gone` is when the source was seen (or said) to hold it no more: such pairs are kept for a while,
 * because there are servers that give back what they were told to delete. In a two-way job a pair has the flags that both sides agreed on, is dropped as soon as
 * neither side holds it, and may be `back`: its copy goes (pending) from right to left.
 */
#ifndef STATE_PAIRS_H
#define STATE_PAIRS_H

#include "base/slice.h"
#include "state/db.h"

/* What the left says of a message without its body being read: by that it is known again. As it said it, true or not. */
struct told {
	uint64_t size;       /* in wire form, without marks of other programs; 0 not known */
	int64_t date;        /* when it arrived there, seconds since 1970; 0: nothing was told, or not since we put it there: the next look tells */
	bool has_mid, has_object;
	unsigned char mid[8];    /* hash of its Message-ID */
	unsigned char object[8]; /* hash of the id that it keeps in all folders (EMAILID, X-GM-MSGID) */
};

struct pair {
	int64_t id;
	int64_t folder;
	struct slice left;   /* "" when the source can't name it */
	struct slice right;
	struct slice hint;   /* of a pending one: what the target's recover needs */
	bool pending;
	bool asked;          /* fetch: its removal was asked for, and it was not confirmed: what stands under its key may be another message */
	bool raw;            /* stored without CRLF -> LF */
	uint64_t size;       /* as stored at the target */
	unsigned char digest[32];
	int64_t made;        /* seconds since 1970 */
	int64_t gone;        /* 0: the source holds it as far as we know */
	bool back;           /* copied from right to left */
	bool two_way;
	uint64_t flags;      /* two-way: mail/flags.h */
	struct told told;    /* two-way; of a fetch, mid: of one that had Status lines, the beginning of its digest without them */
};

enum pair_side { PAIR_LEFT, PAIR_RIGHT };

/* Slices in a pair that a function hands out are valid until the next call on the same db. */

/* Fills in p->id, which no other pair has had since the base was opened. In a transaction it may be the next call on the db, or db_commit, that fails where this can't be added. */
int pairs_add(struct db *db, struct pair *p, struct err *e);
int pairs_by_left(struct db *db, int64_t folder, struct slice left, struct pair *out, struct err *e); /* 1, 0, -1; left not empty */
int pairs_by_right(struct db *db, int64_t folder, struct slice right, struct pair *out, struct err *e); /* the same; two-way pairs only */
int pairs_by_id(struct db *db, int64_t id, struct pair *out, struct err *e); /* 1, 0, -1 */
/* Pairs of that content whose source still held it when last seen, or those that are gone, one by one: id above `after`. 1, 0, -1. */
int pairs_by_digest(struct db *db, int64_t folder, const unsigned char digest[32], bool gone, int64_t after, struct pair *out, struct err *e);
/* A settled one of any folder whose message the left calls by this id: id above `after`. 1, 0, -1. */
int pairs_by_object(struct db *db, const unsigned char object[8], int64_t after, struct pair *out, struct err *e);
int pairs_settle(struct db *db, int64_t id, struct err *e);      /* pending -> settled; the hint is dropped */
int pairs_settle_all(struct db *db, int64_t folder, int64_t first, int64_t last, struct err *e); /* all pending ones of these ids */
int pairs_arrive(struct db *db, int64_t id, enum pair_side side, struct slice key, struct err *e); /* settle one whose copy got this key there */
int pairs_flags(struct db *db, int64_t id, uint64_t flags, struct err *e); /* both sides agree on these now */
int pairs_rekey(struct db *db, int64_t id, struct slice left, struct err *e); /* the source calls it by another name now; also clears gone, and asked */
/* Both sides have it in that folder, by these keys; what the base had by one of them is dropped. date: as in told; -1: as it was. */
int pairs_move(struct db *db, int64_t id, int64_t folder, struct slice left, struct slice right, int64_t date, struct err *e);
int pairs_tell(struct db *db, int64_t id, const struct told *told, struct err *e); /* the left says this of it; what is not known now is kept */
int pairs_rename(struct db *db, int64_t id, struct slice left, const struct told *told, struct err *e); /* the left calls it by another name now, and says this of it */
int pairs_ask(struct db *db, int64_t first, int64_t last, bool asked, struct err *e); /* the removal of those that are settled, of these ids, is about to be asked for, or was refused */
int pairs_unkey(struct db *db, int64_t id, struct err *e);       /* the source uses its name for another message now */
int pairs_unkey_all(struct db *db, int64_t folder, struct err *e); /* the same for all two-way pairs of a folder: the left names its messages anew */
int pairs_gone(struct db *db, int64_t first, int64_t last, int64_t when, struct err *e); /* those from first to last, which are settled; when 0: they are there again. Clears asked */
int pairs_drop(struct db *db, int64_t id, struct err *e);
int pairs_purge_gone(struct db *db, int64_t before, struct err *e); /* drops pairs gone before then; the count or -1 */

/* What a look at a side is compared with: little of a pair, as all of a folder are walked for it. */
struct pair_key {
	int64_t id;
	struct slice key;    /* that side's */
	uint64_t flags;
	bool dated;          /* the left has told its date; always false of the right */
};

/* Walks: cb returns 0 to go on, -1 with *e to stop. It may not change pairs. */
typedef int pairs_cb(void *arg, const struct pair *p, struct err *e);
typedef int pair_keys_cb(void *arg, const struct pair_key *k, struct err *e);
int pairs_pending(struct db *db, int64_t folder, bool back, pairs_cb *cb, void *arg, struct err *e);  /* in the order they were added */
int pairs_by_key(struct db *db, int64_t folder, enum pair_side side, pair_keys_cb *cb, void *arg, struct err *e); /* settled two-way pairs, ordered by that side's key as slice_cmp does */
int pairs_present(struct db *db, int64_t folder, pairs_cb *cb, void *arg, struct err *e);  /* settled and not gone */

/* What can be known at a cost that doesn't grow with the mailbox. */
struct pairs_summary {
	bool pending;   /* there are pending pairs */
	int64_t max_id;
};
int pairs_summary(struct db *db, int64_t folder, struct pairs_summary *out, struct err *e);
int pairs_oldest(struct db *db, int64_t folder, int64_t *made, struct err *e); /* `made` of the oldest that is settled and not gone, 0 none: looks at all */
int pairs_total(struct db *db, uint64_t *out, struct err *e); /* settled and not gone, in all folders: counts, by indexes */
int pairs_present_count(struct db *db, int64_t folder, uint64_t *out, struct err *e); /* the same of one */

#endif
