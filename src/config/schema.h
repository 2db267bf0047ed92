/*
 * Every option of the configuration: one row is its whole story (name, section, type, default, range, where it goes, help). The parser, the defaults,
 * `check`'s output and the manual's list come from this table.
 */
#ifndef CONFIG_SCHEMA_H
#define CONFIG_SCHEMA_H

#include <stddef.h>

enum key_type {
	KEY_STR, KEY_PATH, KEY_INT, KEY_BOOL, KEY_DURATION, KEY_SIZE, KEY_WORD, KEY_LIST,
	KEY_KEEP, /* no, yes, or a duration */
};

struct key {
	const char *section;  /* "account", "maildir", "mbox", "fetch" */
	const char *name;
	enum key_type type;
	const char *def;      /* as a person would write it; "" none */
	long min, max;        /* INT, DURATION (seconds), SIZE (bytes): 0,0 no range */
	const char *words;    /* WORD, LIST: "a|b|c" allowed; NULL any */
	const char *arg;      /* the manual's placeholder */
	const char *help;     /* one sentence */
};

const struct key *schema_keys(size_t *n);

#endif
