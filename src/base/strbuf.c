/* An owned, bounded buffer: see strbuf.h. */
#include "base/strbuf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STRBUF_LEAST 64 /* bytes of the first allocation */

/* Give memory back; a secret is wiped over its capacity: room past len may have been written. */
static void drop(struct strbuf *b)
{
	if (b->secret && b->s)
		explicit_bzero(b->s, b->cap);
	free(b->s);
	b->s = NULL;
	b->cap = 0;
}

/* Room for n more bytes and a NUL. Once failed it stays failed: no holes in a series of puts. */
static int grow(struct strbuf *b, size_t n)
{
	size_t need, cap;
	char *s;

	if (b->failed)
		return -1;
	if (n > b->max || b->len > b->max - n || b->max == SIZE_MAX) {
		b->failed = true;
		return -1;
	}
	need = b->len + n + 1;
	if (need <= b->cap)
		return 0;
	cap = b->cap > SIZE_MAX / 2 ? SIZE_MAX : b->cap * 2;
	if (cap < STRBUF_LEAST)
		cap = STRBUF_LEAST;
	if (cap > b->max + 1)
		cap = b->max + 1;
	if (cap < need)
		cap = need;
	/* realloc would leave a copy of a secret behind in freed memory */
	s = b->secret ? malloc(cap) : realloc(b->s, cap);
	if (!s) {
		b->failed = true;
		return -1;
	}
	if (b->secret) {
		if (b->len > 0)
			memcpy(s, b->s, b->len);
		drop(b);
	}
	b->s = s;
	b->cap = cap;
	b->s[b->len] = '\0';
	return 0;
}

/* Add n bytes. */
int strbuf_put(struct strbuf *b, const void *p, size_t n)
{
	if (grow(b, n) < 0)
		return -1;
	if (n > 0)
		memcpy(b->s + b->len, p, n);
	b->len += n;
	b->s[b->len] = '\0';
	return 0;
}

/* Add a C string. */
int strbuf_puts(struct strbuf *b, const char *s)
{
	return strbuf_put(b, s, strlen(s));
}

/* Add one byte. */
int strbuf_putc(struct strbuf *b, char c)
{
	return strbuf_put(b, &c, 1);
}

/* Add a slice. */
int strbuf_putsl(struct strbuf *b, struct slice a)
{
	return strbuf_put(b, a.p, a.n);
}

/* Add formatted text. */
int strbuf_printf(struct strbuf *b, const char *fmt, ...)
{
	va_list ap;
	int rc;

	va_start(ap, fmt);
	rc = strbuf_vprintf(b, fmt, ap);
	va_end(ap);
	return rc;
}

/* Add formatted text: measured first, so that what does not fit changes nothing. */
int strbuf_vprintf(struct strbuf *b, const char *fmt, va_list ap)
{
	va_list again;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n < 0) {
		b->failed = true;
		return -1;
	}
	if (grow(b, (size_t)n) < 0)
		return -1;
	vsnprintf(b->s + b->len, (size_t)n + 1, fmt, ap);
	b->len += (size_t)n;
	return 0;
}

/* Room behind the content. */
void *strbuf_room(struct strbuf *b, size_t n)
{
	return grow(b, n) < 0 ? NULL : b->s + b->len;
}

/* n bytes were written to the room. */
void strbuf_added(struct strbuf *b, size_t n)
{
	if (n == 0)
		return;
	b->len += n;
	b->s[b->len] = '\0';
}

/* The content as a C string. */
const char *strbuf_str(const struct strbuf *b)
{
	return b->s ? b->s : "";
}

/* The content as a slice, valid until the next change. */
struct slice strbuf_slice(const struct strbuf *b)
{
	return slice_of(strbuf_str(b), b->len);
}

/* Empty, the memory kept. */
void strbuf_clear(struct strbuf *b)
{
	strbuf_cut(b, 0);
	if (b->secret && b->s)
		explicit_bzero(b->s, b->cap);
	b->failed = false;
}

/* Shorten. */
void strbuf_cut(struct strbuf *b, size_t len)
{
	if (len >= b->len)
		return;
	if (b->secret)
		explicit_bzero(b->s + len, b->len - len);
	b->len = len;
	b->s[len] = '\0';
}

/* Drop bytes from the front. */
void strbuf_shift(struct strbuf *b, size_t n)
{
	if (n == 0 || b->len == 0)
		return;
	if (n > b->len)
		n = b->len;
	memmove(b->s, b->s + n, b->len - n);
	strbuf_cut(b, b->len - n);
}

/* Free the memory. */
void strbuf_release(struct strbuf *b)
{
	drop(b);
	b->len = 0;
	b->failed = false;
}

/* Hand the memory over as a C string. */
char *strbuf_detach(struct strbuf *b)
{
	char *s;

	s = b->s ? b->s : calloc(1, 1);
	if (!s)
		return NULL;
	b->s = NULL;
	b->len = b->cap = 0;
	b->failed = false;
	return s;
}
