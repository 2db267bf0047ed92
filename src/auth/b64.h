/*
 * Strict base64 (RFC 4648): no white space, right padding, no stray bits, so that one text has one meaning.
 * Both append to out; on -1 out is as long as before.
 */
#ifndef AUTH_B64_H
#define AUTH_B64_H

#include "base/slice.h"
#include "base/strbuf.h"

int b64_encode(struct slice in, struct strbuf *out); /* -1: out is full */
int b64_decode(struct slice in, struct strbuf *out); /* -1: not base64, or out is full */

#endif
