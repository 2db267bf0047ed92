/*
 * INTERNALDATE (RFC 3501 section 9, date-time), without its quotes: "17-Jul-1996 02:44:25 -0700",
 * to and from seconds since 1970-01-01 00:00:00 UTC. The Gregorian calendar throughout, no leap
 * seconds, no locale, no TZ.
 */
#ifndef MAIL_IMAPDATE_H
#define MAIL_IMAPDATE_H

#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

#define IMAPDATE_MIN (-62135596800) /* 0001-01-01 00:00:00 UTC */
#define IMAPDATE_MAX 253402300799   /* 9999-12-31 23:59:59 UTC */

/*
 * -1 with ERR_PROTO, span SPAN_MSG, when it is no date. The years 0001 to 9999 are taken; where the
 * zone would lead out of them, the result is IMAPDATE_MIN or IMAPDATE_MAX. A day must exist in its
 * month. What a file system can't hold is its caller's to clamp.
 *
 * Taken beyond the grammar, because servers say it and it can't be misread: a day of one digit
 * without the blank before it; blanks at both ends, several between the parts; any case of the
 * month; no zone, "UT", "UTC", "GMT" or "Z" (all +0000); a 60th second (the next minute's first).
 */
int imapdate_parse(struct slice text, int64_t *out, struct err *e);

/*
 * In UTC, always of the same length: "17-Jul-1996 09:44:25 +0000", "01-Jan-1970 00:00:00 +0000".
 * What is outside IMAPDATE_MIN and IMAPDATE_MAX is clamped to them.
 */
#define IMAPDATE_TEXT 27
void imapdate_print(int64_t t, char out[IMAPDATE_TEXT]);

#endif
