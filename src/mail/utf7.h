/*
 * Modified UTF-7, the names of IMAP folders (RFC 3501 section 5.1.3), to and from UTF-8 (RFC 3629).
 * Both ways are strict, so that a name and its encoding belong to each other one to one:
 * decode(encode(x)) == x, and encode(decode(y)) == y for every y that is accepted. A server's name
 * that is refused could not be spoken of in commands: two of them might be one folder to us.
 *
 * Refused when decoding: bytes that are not printable ASCII; a shift that does not end; one that
 * encodes what stands for itself ("&AGE-") or "&" ("&ACY-"); two in a row where one does
 * ("&AOQ-&APY-"); incomplete characters and padding that is not zero; surrogates without their
 * other half. Refused both ways: U+0000 (names become C strings). Other control characters are
 * taken: the file system's names (mail/boxname.h) and error texts escape them.
 */
#ifndef MAIL_UTF7_H
#define MAIL_UTF7_H

#include "base/err.h"
#include "base/slice.h"
#include "base/strbuf.h"

/*
 * Append to out. -1 with ERR_PROTO (decode: a server's name) or ERR_CONF (encode), span SPAN_BOX,
 * when the name is refused or out would be longer than its maximum; out is cut back to what it held
 * then.
 */
int utf7_decode(struct slice name, struct strbuf *out, struct err *e);
int utf7_encode(struct slice name, struct strbuf *out, struct err *e);

#endif
