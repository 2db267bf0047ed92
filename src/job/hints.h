/* Names of folders, and those of which it was hinted that something has happened there. */
#ifndef JOB_HINTS_H
#define JOB_HINTS_H

#include <stdbool.h>
#include <stddef.h>

struct names {
	char **a;
	size_t n, cap;
};

int names_add(struct names *n, const char *name); /* -1: out of memory */
void names_sort(struct names *n);
bool names_equal(const struct names *a, const struct names *b); /* both sorted */
void names_release(struct names *n);

#define HINTS_MAX 64 /* folders; with more, or where memory is short, all of them are meant */

struct hints {
	bool all;
	struct names names; /* each once */
};

void hints_add(struct hints *h, const char *folder); /* NULL: all */
void hints_clear(struct hints *h);
void hints_release(struct hints *h);

#endif
