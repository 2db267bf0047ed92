/*
 * Memory for one unit of work: many small allocations, one reset. Whoever returns memory from an arena says until when it is valid.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct arena_block;

struct arena {
	struct arena_block *head;
	size_t used, max; /* bytes handed out; 0 as max means 256 MiB */
};

#define ARENA_INIT(limit) { .max = (limit) }

/* Zeroed memory for n things of a type; NULL when the maximum is passed or memory is out. */
#define arena_new(a, type, n) ((type *)arena_alloc((a), (n), sizeof(type)))

void *arena_alloc(struct arena *a, size_t n, size_t size);
char *arena_str(struct arena *a, struct slice s);         /* copy, NUL-terminated */
struct slice arena_slice(struct arena *a, struct slice s);/* copy; .p is NULL on failure */
void arena_reset(struct arena *a);                        /* keeps the first block */
void arena_release(struct arena *a);

#endif
