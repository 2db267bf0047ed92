/*
 * Candidates: messages of which those of one side may be those of the other, and what tells: size, Message-ID and time of arrival; or the content, where it is at
 * hand or where they leave a doubt. Marks of other programs (mail/mark.h) make no difference.
 */
#ifndef SYNC_CANDIDATES_H
#define SYNC_CANDIDATES_H

#include "mail/ident.h"
#include "sync/twoway.h"

struct candidate {
	struct box *box;
	size_t row;      /* of the box's join */
	uint64_t num;    /* in the box that was open when it was learned */
	uint64_t stored; /* its size as the store has it */
	bool told, united;
	bool marked;     /* and marks of other programs as well */
	bool recalled;   /* what is known of it the base has said; its content with such marks as it may have */
	size_t tag;      /* the caller's */
	struct ident id; /* told: what is known */
};

struct candidates {
	VEC(struct candidate) c;
};

int candidates_add(struct candidates *cs, struct box *b, size_t row, struct err *e);
void candidates_release(struct candidates *cs);

/* What the base says of a message of the right is known of this one: what the left said when it had it, and its content. */
void candidate_recall(struct candidate *c, const struct pair *p);

/* It has been read already. */
void candidate_read(struct candidate *c, const struct content *content);

/* How much. */
enum candidates_how {
	LEARN_IDENTS,   /* a mark counts as a part of the message */
	LEARN_MARKS,    /* marks as well */
	LEARN_CONTENTS, /* by their bodies, wherever they are */
};

/*
 * Learn what tells these apart, which all are of one box and side: from the store, or by their bodies where those are at hand. Nothing is asked about those that are united, or of which as much is known. Those that are not there any more are dropped, and those of which fits (may be NULL) says so, before they are read; of one that can't be read nothing is told. The
 * side's box is opened for it and closed.
 */
typedef bool candidates_fits(void *arg, const struct store_msg *m);
int candidates_learn(struct twoway *g, int side, enum candidates_how how, candidates_fits *fits, void *arg, struct candidates *cs, struct err *e);

/* The same of several boxes. Those of a box that can't be read, which fails alone, are dropped. */
int candidates_learn_each(struct twoway *g, int side, enum candidates_how how, candidates_fits *fits, void *arg, struct candidates *cs, struct err *e);

/* The one with this num, after candidates_learn; NULL: none. */
struct candidate *candidates_find(const struct candidates *cs, uint64_t num);

/* What the left says of it, for the base. */
struct told candidate_told(const struct candidate *c);

/* Its size without the mark of another program. */
uint64_t candidate_size(const struct candidate *c);

/* Those of `side` that are of a size with one of the others, of which enough is known, come first, and are all from now on: the rest stands behind the end. */
int candidates_narrow(struct candidates *cs, int side, const struct candidates *others, struct err *e);

/* Those that are not united are all from now on. */
void candidates_drop_united(struct candidates *cs);

/* Likewise those that may be one of the others, by size and time as far as these are known; the others are sorted by them. */
void candidates_narrow_alike(struct candidates *cs, struct candidates *others);

/* Servers err, and call all messages the same, or those of several accounts: one of another length than it had, or that arrived at another time, is another message. */
bool candidates_alike(const struct told *a, const struct told *b);

/* Bring together what the left calls the same, and was called so by what the base says; of the same of them those that come first. How many. */
size_t candidates_match_objects(struct candidates *left, struct candidates *right, void (*unite)(void *arg, struct candidate *l, struct candidate *r), void *arg);

/*
 * Bring together what is as many times, and the same, on both sides by size, Message-ID and time. Where several could be meant, the contents of the
 * right must be known and equal. How many.
 */
size_t candidates_match(struct candidates *left, struct candidates *right, void (*unite)(void *arg, struct candidate *l, struct candidate *r), void *arg);

/* Bring together what is known to have the same content; of the same of them those that come first. */
int candidates_match_contents(struct candidates *left, struct candidates *right, void (*unite)(void *arg, struct candidate *l, struct candidate *r), void *arg, struct err *e);

#endif
