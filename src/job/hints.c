#include "job/hints.h"

#include <stdlib.h>
#include <string.h>

#include "base/vec.h"

int names_add(struct names *n, const char *name)
{
	char *copy = strdup(name);

	if (copy && vec_push(n, copy) == 0)
		return 0;
	free(copy);
	return -1;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void names_sort(struct names *n)
{
	if (n->n > 0)
		qsort(n->a, n->n, sizeof(*n->a), by_name);
}

bool names_equal(const struct names *a, const struct names *b)
{
	bool equal = a->n == b->n;

	for (size_t i = 0; equal && i < a->n; i++)
		equal = strcmp(a->a[i], b->a[i]) == 0;
	return equal;
}

static void names_clear(struct names *n)
{
	for (size_t i = 0; i < n->n; i++)
		free(n->a[i]);
	n->n = 0;
}

void names_release(struct names *n)
{
	names_clear(n);
	vec_release(n);
}

void hints_add(struct hints *h, const char *folder)
{
	bool there = h->all;

	for (size_t i = 0; folder && !there && i < h->names.n; i++)
		there = strcmp(h->names.a[i], folder) == 0;
	if (there)
		return;
	if (folder && h->names.n < HINTS_MAX && names_add(&h->names, folder) == 0)
		return;
	names_clear(&h->names);
	h->all = true;
}

void hints_clear(struct hints *h)
{
	names_clear(&h->names);
	h->all = false;
}

void hints_release(struct hints *h)
{
	names_release(&h->names);
	h->all = false;
}
