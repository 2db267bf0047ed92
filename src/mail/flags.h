/*
 * System flags of a message: IMAP names (RFC 3501 section 2.3.2, RFC 5788 $Forwarded) and Maildir
 * letters.
 */
#ifndef MAIL_FLAGS_H
#define MAIL_FLAGS_H

#include <stdint.h>

#include "base/slice.h"
#include "base/strbuf.h"

enum {
	FLAG_SEEN = 1,
	FLAG_ANSWERED = 2,
	FLAG_FLAGGED = 4,
	FLAG_DELETED = 8,
	FLAG_DRAFT = 16,
	FLAG_FORWARDED = 32, /* Maildir P */
	FLAGS_ALL = 63,
};

/* Keywords have the bits from 8 on, each folder its own (mail/keywords.h). The highest stays free: the state's numbers have a sign. */
#define FLAGS_KEYWORDS (UINT64_MAX >> 1 & ~UINT64_C(0xff))
#define FLAGS_EVERY (FLAGS_KEYWORDS | FLAGS_ALL)

/* "S", "FRS" (Maildir letters D F P R S T) -> bits; -1 on another letter. */
int flags_of_letters(struct slice letters, uint32_t *out);
/* In ASCII order, as the Maildir rules want; NUL-terminated. Keywords are left out. */
void flags_to_letters(uint64_t flags, char out[8]);

/*
 * "\Seen", "$Forwarded", in any case -> the bit; 0 for every other name: a keyword, or a system
 * flag that is nobody's to keep ("\Recent") or that is not known. "Forwarded" without $ is a
 * keyword: a bit that came from it could not be taken away again under its registered name.
 */
uint32_t flag_of_imap(struct slice name);
/*
 * Append "(\Seen \Flagged $Forwarded)", "()" for none; bits that have no name, and
 * keywords, are left out. -1 when out is full: nothing added then.
 */
int flags_to_imap(uint64_t flags, struct strbuf *out);

#endif
