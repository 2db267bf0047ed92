/*
 * Typed growing arrays:  VEC(struct pair) v = {0};  if (vec_push(&v, x) < 0) ...;  v.a[i], v.n;  vec_release(&v).
 */
#ifndef BASE_VEC_H
#define BASE_VEC_H

#include <stddef.h>
#include <stdlib.h>

#define VEC(type) struct { type *a; size_t n, cap; }

/* Room for twice *cap (at least 16) things of a size; NULL when out of memory, a stays valid then. */
void *vec_grow(void *a, size_t *cap, size_t size);

/* Add x at the end; -1 when out of memory, v unchanged then. */
#define vec_push(v, x) __extension__({ \
	int vec_rc_ = 0; \
	if ((v)->n == (v)->cap) { \
		void *vec_m_ = vec_grow((v)->a, &(v)->cap, sizeof(*(v)->a)); \
		if (vec_m_) \
			(v)->a = vec_m_; \
		else \
			vec_rc_ = -1; \
	} \
	if (vec_rc_ == 0) \
		(v)->a[(v)->n++] = (x); \
	vec_rc_; })

#define vec_clear(v) ((v)->n = 0)
#define vec_release(v) (free((v)->a), (v)->a = NULL, (v)->n = (v)->cap = 0)

#endif
