/* What the files that read words share: tok.c reads tokens and texts, tokbody.c bodies and what is read over, tokset.c sets of numbers. */
#ifndef IMAP_TOK_P_H
#define IMAP_TOK_P_H

#include "imap/tok.h"

#define LITERAL_HEAD_MAX 32 /* "{18446744073709551615+}" is 23 */

/* The link can't be used any more; *e says why. -1 */
static inline int imap_tok_dead(struct imap_lexer *x)
{
	x->dead = true;
	return -1;
}

/* It was lost before; it ended inside of something; memory for words is out, or their limit passed. -1 */
int imap_tok_still_dead(struct err *e);
int imap_tok_lost(struct imap_lexer *x, const char *where, struct err *e);
int imap_tok_no_room(struct imap_lexer *x, struct err *e);

/* Read more behind what is at hand. 1, 0, -1; nothing is decided. */
int imap_tok_fill(struct imap_lexer *x, bool body, struct slice *have, struct err *e);
/* More of a response, which must come. 0, -1. */
int imap_tok_more(struct imap_lexer *x, struct slice *have, struct err *e);

/* What is at hand, without reading. */
static inline struct slice imap_tok_at_hand(const struct imap_lexer *x)
{
	return slice_of(x->in->buf + x->in->pos, bufin_pending(x->in));
}

/* At least n bytes at hand; n is small. 0, -1. */
static inline int imap_tok_need(struct imap_lexer *x, size_t n, struct slice *have, struct err *e)
{
	*have = imap_tok_at_hand(x);
	while (have->n < n)
		if (imap_tok_more(x, have, e) < 0)
			return -1;
	return 0;
}

/* Take n bytes of the line. */
int imap_tok_take(struct imap_lexer *x, size_t n, struct err *e);
/* The next byte behind blanks, which are taken: *have begins with it. 0, -1. */
int imap_tok_past_blanks(struct imap_lexer *x, bool *blanks, struct slice *have, struct err *e);
/* Whether a literal still waits for its reader, which would be our mistake. */
int imap_tok_no_open_literal(struct imap_lexer *x, struct err *e);

#endif
