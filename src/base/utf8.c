/* Characters in UTF-8: see utf8.h. */
#include "base/utf8.h"

/* The bytes that a sequence should have by its first one; 0 when none begins so. */
static size_t claim(unsigned char first)
{
	if (first < 0x80)
		return 1;
	if (first < 0xc0 || first > 0xf7)
		return 0;
	return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* The well-formed sequence at p. */
size_t utf8_take(const char *p, size_t n, uint32_t *out)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len = claim((unsigned char)p[0]);
	uint32_t c;

	if (len == 0 || len > n)
		return 0;
	c = (unsigned char)p[0];
	if (len > 1)
		c &= 0xffU >> (len + 1);
	for (size_t i = 1; i < len; i++) {
		unsigned char next = (unsigned char)p[i];

		if ((next & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (next & 0x3fU);
	}
	if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*out = c;
	return len;
}

/* A character as bytes: the first says how many there are. */
size_t utf8_give(uint32_t c, char out[4])
{
	size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	static const uint32_t first[] = { 0, 0, 0xc0, 0xe0, 0xf0 };

	for (size_t i = len; i-- > 1; c >>= 6)
		out[i] = (char)(unsigned char)(0x80 | (c & 0x3f));
	out[0] = (char)(unsigned char)(first[len] | c);
	return len;
}

/* Well-formed to the end. */
bool utf8_valid(struct slice text)
{
	size_t used;

	for (size_t at = 0; at < text.n; at += used) {
		uint32_t c;

		used = utf8_take(text.p + at, text.n - at, &c);
		if (used == 0)
			return false;
	}
	return true;
}
