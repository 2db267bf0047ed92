/*
 * Buffered reading from a stream: lines with a limit, and runs of bytes without copying.
 * Memory is fixed: one buffer of BUFIN_SIZE; a longer line needs the caller's strbuf.
 */
#ifndef NET_BUFIN_H
#define NET_BUFIN_H

#include <stdbool.h>

#include "base/slice.h"
#include "base/strbuf.h"
#include "net/stream.h"

#define BUFIN_SIZE 65536

struct bufin {
	struct stream *s; /* borrowed; may be changed when the stack grows, but only while bufin_pending() is 0 */
	char *buf;
	size_t pos, end;
	bool eof;
};

int bufin_init(struct bufin *in, struct stream *s, struct err *e);
void bufin_release(struct bufin *in); /* frees the buffer, not the stream */

size_t bufin_pending(const struct bufin *in); /* bytes read but not yet taken: must be 0 before TLS or DEFLATE is put on top */

/*
 * The bytes at hand; reads once when there are none. Valid until the next call. Returns 1, 0 at the end of the stream, -1.
 * Take them by bufin_take(n).
 */
int bufin_avail(struct bufin *in, struct slice *out, struct err *e);
void bufin_take(struct bufin *in, size_t n);

/* Read more behind what is at hand (for a caller that needs a longer run than it got); 1, 0 at end, -1; ERR_PROTO when the buffer is full. */
int bufin_more(struct bufin *in, struct slice *out, struct err *e);

/*
 * The next line up to and including LF, at most max bytes (<= BUFIN_SIZE). *line is without its CRLF or LF; *crlf (may be NULL) tells whether it ended in CRLF.
 * Valid until the next call. Returns 1; 0 at the end of the stream with nothing read; -1 (ERR_PROTO "line longer than N bytes" /
 * "connection closed in the middle of a line" as ERR_TEMP).
 */
int bufin_line(struct bufin *in, size_t max, struct slice *line, bool *crlf, struct err *e);

#endif
