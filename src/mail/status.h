/*
 * A message without its Status: and X-Status: lines. Some servers add them, or change them, when a message is read: where the content is all that tells whether it is the
 * same one, they are no part of it.
 */
#ifndef MAIL_STATUS_H
#define MAIL_STATUS_H

#include "mail/digest.h"
#include "net/stream.h"

struct status_reader; /* its buffers */

struct status_reader *status_reader_new(struct err *e);
void status_reader_free(struct status_reader *r); /* NULL is fine */

/*
 * A body in wire form that somebody else reads through this: when it was read to its end, status_tapped tells its digest without these lines (mail/digest.h), and whether it
 * had any. One at a time; it is the reader's, nobody frees it, and freeing or ending it does nothing to the body.
 */
struct stream *status_tap(struct status_reader *r, struct stream *body);
int status_tapped(struct status_reader *r, unsigned char out[DIGEST_SIZE], bool *had, struct err *e);

#endif
