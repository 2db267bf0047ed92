/* Numbers to look up: all are added, the set is sealed, and then it is asked. */
#ifndef BASE_NUMSET_H
#define BASE_NUMSET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/vec.h"

struct numset {
	VEC(uint64_t) v; /* sealed: in ascending order */
};

int numset_add(struct numset *s, uint64_t n); /* -1 when out of memory */
void numset_seal(struct numset *s);           /* anew when something was added behind it */
bool numset_has(const struct numset *s, uint64_t n);
bool numset_from(const struct numset *s, uint64_t n, uint64_t *out); /* the lowest that is n or above; false: none */
void numset_release(struct numset *s);        /* empty again, and as good as new */

#endif
