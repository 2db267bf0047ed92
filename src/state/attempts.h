/*
 * When a job last began, and how it has failed since: what its schedule goes by. A small file beside the base, FILE.attempts, of one size and written in place: it can be read without opening
 * the base, and written where the disk is full. It is a record of the past, not a promise: one that is lost or torn means that the job is due.
 */
#ifndef STATE_ATTEMPTS_H
#define STATE_ATTEMPTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define ATTEMPTS_TOLD 48        /* things that are remembered to have been told */
#define ATTEMPTS_DIGEST 65      /* a SHA-256 in hex */

/* Times are seconds since 1970; 0: never. */
struct attempts {
	int64_t started;
	int64_t since;          /* the first failure in a row; 0: it works */
	int64_t last;           /* the last failure */
	int64_t next;           /* not to be tried before; 0: that is for `every` to say */
	int64_t tries;          /* failures in a row */
	int64_t code;           /* exit code of the last */
	enum err_kind kind;     /* and what it was; ERR_NONE with code 1: some messages failed */
	char text[ERR_TEXT_MAX];
	char salt[33], digest[ATTEMPTS_DIGEST]; /* of what was refused; "" nothing was */
	int64_t telling;        /* when the first of these was told */
	size_t n_told;
	uint64_t told[ATTEMPTS_TOLD]; /* hashes */
};

/* path: of the base. What can't be read is all zero. */
void attempts_get(const char *path, struct attempts *out);
int attempts_put(const char *path, const struct attempts *a, struct err *e);

/* Was it told already? */
bool attempts_was_told(const struct attempts *a, uint64_t hash);
/* It is told now. Where there is no room for more, what follows counts as told. */
void attempts_tell(struct attempts *a, uint64_t hash, int64_t now);

#endif
