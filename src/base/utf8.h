/* Characters in UTF-8 (RFC 3629): nothing overlong, no surrogates, nothing above U+10FFFF. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/*
 * The length (1 to 4) of the well-formed character at p (n > 0 bytes), which goes to *out; 0 if
 * there is none, *out untouched then.
 */
size_t utf8_take(const char *p, size_t n, uint32_t *out);

/* Put a character (no surrogate, at most U+10FFFF) to out; returns its length. */
size_t utf8_give(uint32_t c, char out[4]);

/* Whether a text is well-formed to its end. */
bool utf8_valid(struct slice text);

#endif
