/* One value, as a person writes it, to the type of its row. */
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H

#include "config/problems.h"
#include "config/schema.h"

/*
 * Set k's field in keys from v[0..n). lines (may be NULL) are the lines of the values in at.file. -1: a problem was noted and the field
 * is untouched. Strings go to the arena of p.
 */
int value_set(const struct key *k, void *keys, const char *const *v, const int *lines, size_t n, struct place at, struct problems *p);

/* The default of the row. -1: the row is wrong (a problem is noted). */
int value_default(const struct key *k, void *keys, struct problems *p);

/* "30s", "10m", "2h", "1d", "3w", "1y" in seconds. */
int value_duration(const char *text, int64_t *out);

/* "5000", "10k", "5M", "2G" in bytes; k is 1024. */
int value_size(const char *text, int64_t *out);

/* Seconds, or bytes, as a person would write them. out: 32 bytes. */
const char *value_show_duration(int64_t s, char out[32]);
const char *value_show_size(int64_t n, char out[32]);

#endif
