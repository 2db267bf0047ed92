/*
 * The keywords of a folder's messages (RFC 3501 section 2.3.2): each name has a bit beside those of mail/flags.h, in this folder and for as long as its table lives.
 * Names are compared without regard to ASCII case ("NonJunk" is "nonjunk") and spelled as they were seen first.
 */
#ifndef MAIL_KEYWORDS_H
#define MAIL_KEYWORDS_H

#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"
#include "base/strbuf.h"
#include "mail/flags.h"

#define KEYWORDS_MAX 55      /* of a folder: FLAGS_KEYWORDS */
#define KEYWORD_BIT 8        /* of the first */
#define KEYWORD_NAME_MAX 128 /* bytes; longer ones are no keywords of ours */

struct keywords {
	char *name[KEYWORDS_MAX]; /* owned */
	size_t n;
	char *spilled;            /* the first for which there was no bit left; owned. NULL: there was none */
};

/* The flag of the i-th. */
static inline uint64_t keyword_flag(size_t i)
{
	return UINT64_C(1) << (KEYWORD_BIT + i);
}

/* Can it be sent as a keyword: an atom of that length, and none of mail/flags.h? */
bool keyword_valid(struct slice name);

/* Its flag; 0: it is not in the table. */
uint64_t keywords_find(const struct keywords *k, struct slice name);
/* The same, put into the table if need be. *flag 0: it is not valid, or the table is full. -1: memory is out. */
int keywords_intern(struct keywords *k, struct slice name, uint64_t *flag, struct err *e);
/* Append "(\Seen Junk $Label1)": as flags_to_imap, and keywords; k may be NULL. -1 when out is full: nothing added then. */
int keywords_to_imap(const struct keywords *k, uint64_t flags, struct strbuf *out);

void keywords_release(struct keywords *k);

#endif
