/*
 * The border of an mbox: how a message's bytes become those of a record, and what a reader makes of them again. All streams, in any split.
 */
#ifndef STORE_MBOXFORM_H
#define STORE_MBOXFORM_H

#include <stdint.h>

#include "base/slice.h"
#include "mail/digest.h"
#include "mail/eol.h"
#include "store/mbox.h"

/* "From " at the start of lines, quoted or unquoted by the variant. */
struct mboxlines {
	enum mbox_variant variant;
	bool unquote;
	bool mid;         /* within a line that has shown what it is */
	uint64_t marks;   /* '>' at the start of this line */
	unsigned matched; /* bytes of "From " behind them, held back */
};

void mboxlines_init(struct mboxlines *l, enum mbox_variant v, bool unquote);
size_t mboxlines_put(struct mboxlines *l, const char *in, size_t n, char *out); /* room for 2 * n + 8; returns the bytes put */
size_t mboxlines_end(struct mboxlines *l, char *out);                           /* room for 8 */

/* Leaves out header fields by name. */
#define MBOXHEAD_HOLD 32

struct mboxhead {
	const char *const *drop; /* names, NULL ends */
	bool body;        /* the header is over */
	bool pass, skip;  /* within a line whose name is known: it is kept, or dropped */
	bool last_skip;   /* the line before was dropped, so its continuation is too */
	char hold[MBOXHEAD_HOLD];
	size_t n;
	uint64_t out, body_at; /* bytes put so far; of these, in the header with its empty line */
};

void mboxhead_init(struct mboxhead *h, const char *const *drop);
size_t mboxhead_put(struct mboxhead *h, const char *in, size_t n, char *out); /* room for n + MBOXHEAD_HOLD */
size_t mboxhead_end(struct mboxhead *h, char *out);                           /* room for MBOXHEAD_HOLD */

/*
 * The identity of a message in an mbox: SHA-256 over its record without the From_ line and the empty line at its end, unquoted, without the fields in which
 * mail readers keep their notes (Status, X-UID, Content-Length, ...), with every CRLF as LF.
 */
struct mboxkey {
	struct mboxlines lines;
	struct mboxhead head;
	struct eol eol;
	struct digest *digest; /* borrowed */
	uint64_t bytes;        /* that were hashed; final after mboxkey_end */
};

/* Fields that belong to mail readers, not to the message. */
#define MBOXFORM_NOTES "Status", "X-Status", "X-Keywords", "X-UID", "X-IMAP", "X-IMAPbase", "Content-Length", "Lines", "X-Mozilla-Status", "X-Mozilla-Status2", "X-Mozilla-Keys"

/* Is a header field one of those? Its name, in any case. */
bool mboxform_is_note(struct slice name);

void mboxkey_init(struct mboxkey *k, enum mbox_variant v, struct digest *d);
int mboxkey_put(struct mboxkey *k, const char *p, size_t n, struct err *e);
int mboxkey_end(struct mboxkey *k, unsigned char out[DIGEST_SIZE], struct err *e);

/* "From ADDRESS Tue Nov 14 22:13:20 2023\n", time in UTC; an empty address is MAILER-DAEMON. Returns its length. */
#define MBOX_FROM_MAX 400
size_t mbox_from_line(const char *address, int64_t received, char out[MBOX_FROM_MAX]);

#endif
