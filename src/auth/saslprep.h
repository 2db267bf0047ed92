/* Names and passwords in their canonical form (SASLprep, RFC 4013). */
#ifndef AUTH_SASLPREP_H
#define AUTH_SASLPREP_H

#include "base/strbuf.h"

/*
 * Append the prepared form of in (no NUL inside) to out; -1 when out is full. Text without a canonical form (no UTF-8, forbidden characters), and any text
 * beyond ASCII in a build without GNU SASL, is taken as it is: servers that don't prepare (Dovecot) hashed it just so, and others will refuse.
 */
int saslprep(struct slice in, struct strbuf *out);

#endif
