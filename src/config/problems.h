/* What is wrong with a configuration: collected, put in order, and shown to a person in one go. */
#ifndef CONFIG_PROBLEMS_H
#define CONFIG_PROBLEMS_H

#include "base/arena.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "base/vec.h"

#define PROBLEMS_MAX 500 /* more are counted, not kept; the outline gives up then */

/* A file of the configuration. */
struct source {
	const char *name; /* as shown */
	int number;       /* in the order of reading */
	unsigned mode;    /* permission bits */
};

struct place {
	const struct source *file; /* NULL: the command line */
	int line;
};

struct problem {
	struct place at;
	size_t seq;
	enum err_kind kind;
	const char *text;
};

struct problems {
	struct arena *arena;
	VEC(struct problem) v;
	size_t n; /* all that were found */
};

/* Note one: what is wrong; what is allowed. */
void problem_add(struct problems *p, struct place at, enum err_kind kind, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* *e's kind and text become a problem. */
void problem_err(struct problems *p, struct place at, const struct err *e);

/*
 * Put them in order into out, "FILE:LINE: text" each, and the first into *e with their number. -1 when there are any. The kind is ERR_PERM
 * when all are about modes, else ERR_CONF; a single problem keeps its own kind.
 */
int problems_end(struct problems *p, struct strbuf *out, struct err *e);

/* The word of "a|b|c" that was perhaps meant, or NULL. Valid until the arena goes. */
const char *problem_nearest(struct problems *p, const char *word, const char *words);

/* "; did you mean 'X'?" for the nearest of the words ("a|b|c"), or "" when none is near. Valid until the arena goes. */
const char *problem_near(struct problems *p, const char *word, const char *words);

/* "a|b|c" as "a, b or c". */
const char *problem_words(struct problems *p, const char *words);

#endif
