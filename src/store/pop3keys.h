/*
 * The messages of a maildrop by names that last from session to session, each its own: as a tree they must have one (store_ops.find). That is the UIDL. Where a server gives one
 * twice, the message with the lowest number has it; the others, and those without any, or with a mere number that may be another's in the next session, are named by their headers, which the caller reads: "head " and a digest. A blank can't be
 * part of a UIDL, so that no server can pose as one of these. Equal headers are told apart by a number behind that, in the order of the maildrop.
 */
#ifndef STORE_POP3KEYS_H
#define STORE_POP3KEYS_H

#include "base/arena.h"
#include "base/vec.h"
#include "mail/digest.h"

struct pop3key {
	struct slice key;  /* valid until pop3keys_clear */
	uint64_t size;     /* as LIST says; 0 unknown */
	uint32_t num;
	bool vague;        /* its UIDL is none, or another's, or a mere number */
	bool headed;       /* its header is known */
	unsigned char head[DIGEST_SIZE];
};

struct pop3keys {
	struct arena arena;
	VEC(struct pop3key) by_num;
	VEC(const struct pop3key *) by_key; /* sealed */
	size_t vague;      /* so many need a header; sealed: so many have no name, and are left out of by_key */
};

#define POP3KEYS_INIT { .arena = ARENA_INIT((size_t)1 << 32) }

void pop3keys_clear(struct pop3keys *k);
void pop3keys_release(struct pop3keys *k);

/* A message; uidl may be empty. In any order. */
int pop3keys_add(struct pop3keys *k, uint32_t num, struct slice uidl, uint64_t size, struct err *e);
/* All are added: find out which are vague. */
void pop3keys_sort(struct pop3keys *k);
/* The digest of a vague one's header. */
void pop3keys_head(struct pop3keys *k, uint32_t num, const unsigned char head[DIGEST_SIZE]);
/* Names for all. */
int pop3keys_seal(struct pop3keys *k, struct err *e);

const struct pop3key *pop3keys_find(const struct pop3keys *k, struct slice key); /* sealed; NULL: none */
const struct pop3key *pop3keys_num(const struct pop3keys *k, uint64_t num);      /* sorted */

#endif
