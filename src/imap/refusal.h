/* What a server's NO, BAD or BYE means for us. */
#ifndef IMAP_REFUSAL_H
#define IMAP_REFUSAL_H

#include "imap/resp.h"

/*
 * An error out of a response with NO, BAD or BYE: kind and span by its code (RFC 5530 and others),
 * else by known words in its text, else `otherwise` and SPAN_MSG. retry_after is what the text asks
 * for, or what the code suggests. Its text ends in what the server said; what stands before ("the
 * server says").
 */
void imap_refusal(const struct imap_resp *r, enum err_kind otherwise, const char *before,
	struct err *e);

/*
 * Seconds out of "Suggested Backoff Time: 299961 milliseconds" (Exchange, Microsoft 365), rounded
 * up; 0: nothing of that kind stands there.
 */
int imap_backoff(struct slice text);

#endif
