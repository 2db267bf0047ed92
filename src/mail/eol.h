/*
 * Line ends at the local border. On the wire a message has CRLF; locally LF. The change is made only where it can be undone: a message that
 * holds a bare LF on the wire is kept as it came.
 */
#ifndef MAIL_EOL_H
#define MAIL_EOL_H

#include <stdbool.h>
#include <stddef.h>

/* CRLF -> LF, chunk by chunk. */
struct eol {
	bool cr;      /* the last chunk ended in a CR that is not yet out */
	bool bare_lf; /* an LF without a CR before it was seen */
};

/*
 * Convert n bytes of in to out (room for n + 1); returns the bytes put. A bare LF sets ->bare_lf and is copied as it is; the caller who sees it starts over
 * without conversion: what was put by the calls before this one holds no bare LF, so eol_to_crlf gives back how it came; then follow the CR that ->cr held back
 * before this call, if it did, and the bytes of this call unchanged.
 */
size_t eol_to_lf(struct eol *c, const char *in, size_t n, char *out);
size_t eol_end(struct eol *c, char *out); /* a last CR, if one is held back */

/* Every LF -> CRLF, whatever stands before it (CR CR LF was stored as CR LF); room for 2 * n. Returns the bytes put. */
size_t eol_to_crlf(const char *in, size_t n, char *out);

/*
 * What other programs wrote may have ends of both kinds: only an LF without a CR before it -> CRLF; room for 2 * n. Returns the bytes put.
 * *cr: whether the chunk before this one ended in a CR; false at first.
 */
size_t eol_to_wire(bool *cr, const char *in, size_t n, char *out);

#endif
