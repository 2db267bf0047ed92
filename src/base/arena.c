/* Memory for one unit of work: see arena.h. */
#include "base/arena.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_BLOCK 8192              /* bytes of a normal block */
#define ARENA_BIG (ARENA_BLOCK / 4)   /* more gets a block of its own, behind the head */
#define ARENA_MAX ((size_t)256 << 20) /* bytes handed out when the owner gave no limit */

struct arena_block {
	struct arena_block *next;
	size_t used, size;
	alignas(max_align_t) unsigned char mem[];
};

/* A fresh block; NULL when memory is out. */
static struct arena_block *block_new(size_t size)
{
	struct arena_block *b = malloc(sizeof(*b) + size);

	if (!b)
		return NULL;
	b->next = NULL;
	b->used = 0;
	b->size = size;
	return b;
}

/* A block with room for n bytes: the head, a new head, or a block of its own for a big thing. */
static struct arena_block *block_for(struct arena *a, size_t n)
{
	struct arena_block *b = a->head;

	if (b && b->size - b->used >= n)
		return b;
	b = block_new(n > ARENA_BIG ? n : ARENA_BLOCK);
	if (!b)
		return NULL;
	if (n > ARENA_BIG && a->head) {
		/* the head keeps its room for the next small things */
		b->next = a->head->next;
		a->head->next = b;
	} else {
		b->next = a->head;
		a->head = b;
	}
	return b;
}

/* Zeroed memory, aligned for anything. */
void *arena_alloc(struct arena *a, size_t n, size_t size)
{
	const size_t align = alignof(max_align_t);
	size_t max = a->max ? a->max : ARENA_MAX, bytes;
	struct arena_block *b;
	void *p;

	if (size != 0 && n > max / size)
		return NULL;
	bytes = n * size;
	if (bytes == 0)
		bytes = 1; /* a pointer of its own, never NULL */
	if (bytes > max || bytes > SIZE_MAX - sizeof(*b) - align)
		return NULL;
	bytes = (bytes + align - 1) & ~(align - 1);
	if (bytes > max || a->used > max - bytes)
		return NULL;
	b = block_for(a, bytes);
	if (!b)
		return NULL;
	p = b->mem + b->used;
	b->used += bytes;
	a->used += bytes;
	return memset(p, 0, bytes);
}

/* A copy as a C string (a NUL inside ends it for C's functions). */
char *arena_str(struct arena *a, struct slice s)
{
	char *p;

	if (s.n == SIZE_MAX)
		return NULL;
	p = arena_alloc(a, s.n + 1, 1);
	if (p && s.n > 0)
		memcpy(p, s.p, s.n);
	return p;
}

/* A copy as a slice. */
struct slice arena_slice(struct arena *a, struct slice s)
{
	char *p = arena_str(a, s);

	return slice_of(p, p ? s.n : 0);
}

/* Forget everything; one normal block stays for the next unit of work. */
void arena_reset(struct arena *a)
{
	struct arena_block *keep = NULL;

	for (struct arena_block *b = a->head, *next; b; b = next) {
		next = b->next;
		if (!keep && b->size == ARENA_BLOCK)
			keep = b;
		else
			free(b);
	}
	if (keep) {
		keep->next = NULL;
		keep->used = 0;
	}
	a->head = keep;
	a->used = 0;
}

/* Give everything back. */
void arena_release(struct arena *a)
{
	arena_reset(a);
	free(a->head);
	a->head = NULL;
}
