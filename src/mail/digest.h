/* What a message is: SHA-256 over its bytes with every CRLF as LF, so that it is the same on the wire and in every store. */
#ifndef MAIL_DIGEST_H
#define MAIL_DIGEST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define DIGEST_SIZE 32
#define DIGEST_HEX (2 * DIGEST_SIZE + 1)

struct digest; /* one running hash */

struct digest *digest_new(struct err *e);
void digest_free(struct digest *d); /* NULL is fine */
int digest_put(struct digest *d, const void *p, size_t n); /* bytes that are already LF */
int digest_copy(struct digest *to, const struct digest *from); /* to goes on from where that one is */
int digest_end(struct digest *d, unsigned char out[DIGEST_SIZE]); /* and ready for the next message */

void digest_hex(const unsigned char d[DIGEST_SIZE], char out[DIGEST_HEX]);
bool digest_unhex(const char *hex, size_t n, unsigned char out[DIGEST_SIZE]);

#endif
