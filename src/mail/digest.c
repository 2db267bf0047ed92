/* What a message is: see digest.h. */
#include "mail/digest.h"

#include <openssl/evp.h>
#include <stdlib.h>

struct digest {
	EVP_MD_CTX *ctx;
	EVP_MD *sha256; /* fetched once: looking it up for every message costs more than hashing a small one */
};

/* A running hash. */
struct digest *digest_new(struct err *e)
{
	struct digest *d = calloc(1, sizeof(*d));

	if (!d)
		goto fail;
	d->ctx = EVP_MD_CTX_new();
	d->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (!d->ctx || !d->sha256 || EVP_DigestInit_ex(d->ctx, d->sha256, NULL) != 1)
		goto fail;
	return d;
fail:
	digest_free(d);
	err_set(e, ERR_LOCAL, "can't set up SHA-256");
	return NULL;
}

/* Give it back; NULL is fine. */
void digest_free(struct digest *d)
{
	if (!d)
		return;
	EVP_MD_CTX_free(d->ctx);
	EVP_MD_free(d->sha256);
	free(d);
}

/* Take bytes. */
int digest_put(struct digest *d, const void *p, size_t n)
{
	return n == 0 || EVP_DigestUpdate(d->ctx, p, n) == 1 ? 0 : -1;
}

/* Go on from where another is. */
int digest_copy(struct digest *to, const struct digest *from)
{
	return EVP_MD_CTX_copy_ex(to->ctx, from->ctx) == 1 ? 0 : -1;
}

/* The hash of what was put since the last end. */
int digest_end(struct digest *d, unsigned char out[DIGEST_SIZE])
{
	bool ok = EVP_DigestFinal_ex(d->ctx, out, NULL) == 1;

	return EVP_DigestInit_ex(d->ctx, d->sha256, NULL) == 1 && ok ? 0 : -1;
}

/* As lower-case hex digits. */
void digest_hex(const unsigned char d[DIGEST_SIZE], char out[DIGEST_HEX])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < DIGEST_SIZE; i++) {
		out[2 * i] = digits[d[i] >> 4];
		out[2 * i + 1] = digits[d[i] & 15];
	}
	out[DIGEST_HEX - 1] = '\0';
}

/* The value of a lower-case hex digit; -1 when it is none. One digest has one text. */
static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* From lower-case hex digits; false, and out is undefined, when it isn't exactly that. */
bool digest_unhex(const char *hex, size_t n, unsigned char out[DIGEST_SIZE])
{
	if (n != DIGEST_HEX - 1)
		return false;
	for (size_t i = 0; i < DIGEST_SIZE; i++) {
		int high = hex_value(hex[2 * i]), low = hex_value(hex[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		out[i] = (unsigned char)(high << 4 | low);
	}
	return true;
}
