/* Configuration text to typed sections, by the schema: what each section says, with the defaults filled in and the place of every key. */
#ifndef CONFIG_PARSE_H
#define CONFIG_PARSE_H

#include "config/problems.h"
#include "config/schema.h"

/* A key that was given. */
struct given {
	const struct key *key;
	struct place at;
	const int *lines; /* of the values; NULL for the command line */
	size_t n;         /* values; 0: an empty list, or bad */
	bool bad;         /* said to be wrong already; the field holds the default */
};

struct parsed {
	const struct section *def;
	const struct parsed *parent; /* the section that holds it, which stands before it; NULL none */
	struct place at;       /* where it opens */
	const char *name;      /* NULL: it has none, and that was said. Of a section inside of another it can be any text */
	void *keys;            /* struct account_keys, ... */
	struct given *given;
	size_t n_given;
};

struct parsed_list {
	struct parsed *a;
	size_t n;
	VEC(char *) secrets;   /* strings to be wiped before the arena goes */
};

/* All memory is the arena's, but the vec's. -1: out of memory, or a broken invariant; what the person did wrong goes to the problems. */
int parse_file(const char *path, struct arena *a, struct problems *p, struct parsed_list *out, struct err *e);
int parse_text(const char *name, struct slice text, struct arena *a, struct problems *p, struct parsed_list *out, struct err *e);

/* The key behind a field of s->keys; NULL when it was not given. */
const struct given *parsed_given(const struct parsed *s, const void *field);

/* Its place; the section's when it was not given. */
struct place parsed_place(const struct parsed *s, const void *field);

/* The place of value i of a list. */
struct place parsed_value_place(const struct parsed *s, const void *field, size_t i);

#endif
