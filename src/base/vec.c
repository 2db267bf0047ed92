/* Growing arrays: see vec.h. */
#include "base/vec.h"

#include <stdint.h>

/* Twice the room. */
void *vec_grow(void *a, size_t *cap, size_t size)
{
	size_t want = *cap < 8 ? 16 : *cap * 2;
	void *m;

	if (*cap > SIZE_MAX / 4 || want > SIZE_MAX / size)
		return NULL;
	m = realloc(a, want * size);
	if (m)
		*cap = want;
	return m;
}
