/*
 * Servers lie, and some give a number (UID) a second time: is what stands under it the message that is meant? Asked where something is to be done that can't be undone, or
 * where the base is to note the number.
 */
#ifndef SYNC_PROOF_H
#define SYNC_PROOF_H

#include "base/vec.h"
#include "state/pairs.h"
#include "store/store.h"

enum proof_end {
	PROOF_NONE,  /* the store tells nothing: it is not there, or can't be asked about */
	PROOF_SAME,  /* nothing speaks against it */
	PROOF_OTHER, /* surely not */
};

struct proof {
	uint64_t num;      /* in the open box */
	size_t tag;        /* the caller's */
	struct told told;  /* of the message that is meant; what is not known speaks for nothing */
	bool ours;         /* we put it there, and the server may have given it another Message-ID: size and time are enough */
	enum proof_end end;
	struct told now;   /* what the store says of the one that is there, unless PROOF_NONE; its size with the mark of another program, if it has one */
};

struct proofs {
	VEC(struct proof) a;
};

/* What tells a message apart, in the base's terms. */
struct told proof_told(const struct ident *id);

/* Two accounts of the same message: what the later does not say is known from the earlier. */
void proof_keep(struct told *later, const struct told *earlier);

/* Is what is there surely another message than the one that is meant? */
bool proof_is_other(const struct told *t, const struct told *now);

/* Ask a store that has idents, in one flight; they are in another order then. */
int proofs_ask(struct store *s, struct proofs *ps, struct err *e);

#endif
