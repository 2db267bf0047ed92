/* Borrowed bytes: see slice.h. */
#include "base/slice.h"

#include <stdlib.h>
#include <string.h>

/* An ASCII letter as a small one, without the locale (Turkish has two i's). */
static int lower(char c)
{
	unsigned char u = (unsigned char)c;

	return u >= 'A' && u <= 'Z' ? u + ('a' - 'A') : u;
}

/* Same bytes; memcmp must not see a NULL. */
static bool same(const char *a, const char *b, size_t n)
{
	return n == 0 || memcmp(a, b, n) == 0;
}

/* Same bytes, ASCII case ignored. */
static bool isame(const char *a, const char *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (lower(a[i]) != lower(b[i]))
			return false;
	return true;
}

/* Equal but for the case of ASCII letters. */
bool slice_ieq(struct slice a, struct slice b)
{
	return a.n == b.n && isame(a.p, b.p, a.n);
}

/* Begins with prefix. */
bool slice_starts(struct slice a, const char *prefix)
{
	struct slice b = slice_str(prefix);

	return a.n >= b.n && same(a.p, b.p, b.n);
}

/* Begins with prefix, ASCII case ignored. */
bool slice_istarts(struct slice a, const char *prefix)
{
	struct slice b = slice_str(prefix);

	return a.n >= b.n && isame(a.p, b.p, b.n);
}

/* Order by bytes; of two that begin alike the shorter is first. */
int slice_cmp(struct slice a, struct slice b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int c = n == 0 ? 0 : memcmp(a.p, b.p, n);

	return c != 0 ? c : (a.n > b.n) - (a.n < b.n);
}

uint64_t slice_hash(struct slice a)
{
	uint64_t h = 0xcbf29ce484222325U;

	for (size_t i = 0; i < a.n; i++)
		h = (h ^ (unsigned char)a.p[i]) * 0x100000001b3U;
	return h;
}

/* Blank, tab, CR or LF. */
static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Without white space at both ends. */
struct slice slice_trim(struct slice a)
{
	while (a.n > 0 && is_space(a.p[0])) {
		a.p++;
		a.n--;
	}
	while (a.n > 0 && is_space(a.p[a.n - 1]))
		a.n--;
	return a;
}

/* Cut the next word off. */
struct slice slice_word(struct slice *rest)
{
	struct slice word;

	while (rest->n > 0 && (rest->p[0] == ' ' || rest->p[0] == '\t')) {
		rest->p++;
		rest->n--;
	}
	word = slice_of(rest->p, 0);
	while (word.n < rest->n && rest->p[word.n] != ' ' && rest->p[word.n] != '\t')
		word.n++;
	if (word.n > 0) {
		rest->p += word.n;
		rest->n -= word.n;
	}
	return word;
}

/* A checked decimal number. */
bool slice_u64(struct slice a, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;

	if (a.n == 0)
		return false;
	for (size_t i = 0; i < a.n; i++) {
		unsigned digit = (unsigned)(unsigned char)a.p[i] - '0';

		if (digit > 9 || v > max / 10)
			return false;
		v *= 10;
		if (digit > max - v)
			return false;
		v += digit;
	}
	*out = v;
	return true;
}

/* A copy as a C string. */
char *slice_dup(struct slice a)
{
	char *s;

	if ((a.n > 0 && memchr(a.p, '\0', a.n)) || a.n == SIZE_MAX)
		return NULL;
	s = malloc(a.n + 1);
	if (!s)
		return NULL;
	if (a.n > 0)
		memcpy(s, a.p, a.n);
	s[a.n] = '\0';
	return s;
}
