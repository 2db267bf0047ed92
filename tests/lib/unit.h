/* What the unit tests share: cmocka with what it needs, and scratch directories. */
#ifndef TESTS_UNIT_H
#define TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* A new directory under $TMPDIR or /tmp; scratch_remove() removes it and frees its name. */
static inline char *scratch_make(void)
{
	const char *top = getenv("TMPDIR");
	char *path = NULL;

	if (asprintf(&path, "%s/unit-XXXXXX", top && top[0] == '/' ? top : "/tmp") < 0)
		abort();
	if (!mkdtemp(path))
		abort();
	return path;
}

/* nftw's callback of scratch_remove. */
static inline int
scratch_remove_one(const char *path, const struct stat *st, int type, struct FTW *w)
{
	(void)st;
	(void)type;
	(void)w;
	return remove(path);
}

/* Remove a scratch directory and all in it; symbolic links are not followed. */
static inline void scratch_remove(char *path)
{
	nftw(path, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(path);
}

/* "DIR/NAME" in a static buffer, four of which take turns. */
static inline const char *scratch_path(const char *dir, const char *name)
{
	static char buf[4][4096];
	static unsigned turn;
	char *p = buf[turn++ % 4];

	snprintf(p, sizeof(buf[0]), "%s/%s", dir, name);
	return p;
}

#endif
