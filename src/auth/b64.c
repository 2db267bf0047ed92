/* Strict base64: see b64.h. OpenSSL's EVP_Decode* tolerates white space, so it does not serve here. */
#include "auth/b64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The six bits of a letter; -1 for what is none. */
static int value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Append the base64 of in. */
int b64_encode(struct slice in, struct strbuf *out)
{
	const unsigned char *p = (const unsigned char *)in.p;
	size_t len = out->len;

	for (size_t i = 0; i < in.n; i += 3) {
		size_t left = in.n - i;
		unsigned v = (unsigned)p[i] << 16;
		char four[4];

		if (left > 1)
			v |= (unsigned)p[i + 1] << 8;
		if (left > 2)
			v |= p[i + 2];
		four[0] = alphabet[v >> 18];
		four[1] = alphabet[v >> 12 & 63];
		four[2] = '=';
		four[3] = '=';
		if (left > 1)
			four[2] = alphabet[v >> 6 & 63];
		if (left > 2)
			four[3] = alphabet[v & 63];
		if (strbuf_put(out, four, sizeof(four)) < 0) {
			strbuf_cut(out, len);
			return -1;
		}
	}
	return 0;
}

/* The one to three bytes of a group of four, of which `letters` are no padding; 0 when it is not base64. */
static size_t group(const char *p, size_t letters, char bytes[3])
{
	unsigned v = 0;

	for (size_t i = 0; i < 4; i++) {
		int six = i < letters ? value(p[i]) : 0;

		if (six < 0)
			return 0;
		v = v << 6 | (unsigned)six;
	}
	/* bits that no byte takes must be zero (RFC 4648 section 3.5) */
	if ((letters == 3 && v & 0xff) || (letters == 2 && v & 0xffff))
		return 0;
	bytes[0] = (char)(v >> 16 & 0xff);
	bytes[1] = (char)(v >> 8 & 0xff);
	bytes[2] = (char)(v & 0xff);
	return letters - 1;
}

/* Append what in encodes. */
int b64_decode(struct slice in, struct strbuf *out)
{
	size_t len = out->len;

	if (in.n % 4 != 0)
		return -1;
	for (size_t i = 0; i < in.n; i += 4) {
		size_t letters = 4, n;
		char bytes[3];

		if (i + 4 == in.n && in.p[i + 3] == '=')
			letters = in.p[i + 2] == '=' ? 2 : 3;
		n = group(in.p + i, letters, bytes);
		if (n == 0 || strbuf_put(out, bytes, n) < 0) {
			strbuf_cut(out, len);
			return -1;
		}
	}
	return 0;
}
