/*
 * An owned, bounded, growing byte buffer, always NUL-terminated once non-empty.
 * Every buffer has a maximum; going past it, or running out of memory, fails (-1) and sets `failed`, so that a series
 * of puts can be checked once at its end. A failed buffer keeps what it had and takes nothing more until it is cleared.
 */
#ifndef BASE_STRBUF_H
#define BASE_STRBUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct strbuf {
	char *s; /* NULL until the first put */
	size_t len, cap, max;
	bool failed;
	bool secret; /* wiped before memory is given back or moved; set while the buffer is empty */
};

#define STRBUF_INIT(limit) { .max = (limit) }
#define STRBUF_SECRET(limit) { .max = (limit), .secret = true }

int strbuf_put(struct strbuf *b, const void *p, size_t n);
int strbuf_puts(struct strbuf *b, const char *s);
int strbuf_putc(struct strbuf *b, char c);
int strbuf_putsl(struct strbuf *b, struct slice a);
int strbuf_printf(struct strbuf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int strbuf_vprintf(struct strbuf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

/* Room for n more bytes at b->s + b->len; the caller then adds to b->len through strbuf_added(). NULL on failure. */
void *strbuf_room(struct strbuf *b, size_t n);
void strbuf_added(struct strbuf *b, size_t n);

const char *strbuf_str(const struct strbuf *b); /* "" when empty, never NULL */
struct slice strbuf_slice(const struct strbuf *b);
void strbuf_clear(struct strbuf *b);                    /* keeps the memory (wiped if secret) and clears `failed` */
void strbuf_cut(struct strbuf *b, size_t len);          /* shorten to len */
void strbuf_shift(struct strbuf *b, size_t n);          /* drop the first n bytes */
void strbuf_release(struct strbuf *b);                  /* frees; the struct may be used again */
char *strbuf_detach(struct strbuf *b);                  /* the caller frees; never NULL unless out of memory */

#endif
