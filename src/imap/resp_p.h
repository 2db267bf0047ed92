/*
 * What the files that read responses share: resp.c reads one response and what is small in it, respcode.c what stands
 * behind OK, NO and the like, respmailbox.c and respsearch.c and respfetch.c the larger kinds of untagged data.
 */
#ifndef IMAP_RESP_P_H
#define IMAP_RESP_P_H

#include "imap/resp.h"

#define MODSEQ_MAX ((uint64_t)INT64_MAX)
#define ROWS_MAX 1024  /* namespaces, or pairs of an ID */

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

/* ---- resp.c ---- */

/* A response that is not as it should be; memory for words is out, or their limit passed. -1 */
int resp_bad(struct imap_reader *rd, struct err *e, const char *what);
int resp_no_room(struct imap_reader *rd, struct err *e);

/* The next token. */
static inline int resp_next(struct imap_reader *rd, struct imap_tok *t, struct err *e)
{
	return imap_tok_next(&rd->x, false, t, e);
}

/* The next token, which must be of a kind; the end of the response. */
int resp_expect(struct imap_reader *rd, enum imap_tok_kind kind, const char *what, struct err *e);
int resp_end(struct imap_reader *rd, struct err *e);

/* Whether a token is an atom, NIL being one too. */
static inline bool resp_is_atom(const struct imap_tok *t)
{
	return t->kind == IMAP_TOK_ATOM || t->kind == IMAP_TOK_NIL;
}

/* Whether a token is a word that stands for itself: an atom or a quoted string. */
static inline bool resp_is_word(const struct imap_tok *t)
{
	return resp_is_atom(t) || t->kind == IMAP_TOK_QUOTED;
}

/* A number out of an atom. */
static inline bool resp_number(const struct imap_tok *t, uint64_t max, uint64_t *out)
{
	return t->kind == IMAP_TOK_ATOM && slice_u64(t->text, max, out);
}

/* The next value, where it is a number: !*ok leaves *out. Others are read over. */
int resp_number_or_skip(struct imap_reader *rd, uint64_t max, uint64_t *out, bool *ok, struct err *e);
/* An object identifier in parentheses (RFC 8474), or NIL. */
int resp_object_id(struct imap_reader *rd, struct slice *id, bool *ok, struct err *e);

/* A string's bytes. */
static inline int resp_string(struct imap_reader *rd, const struct imap_tok *t, const char *what, struct slice *out, struct err *e)
{
	return imap_tok_string(&rd->x, t, what, out, e);
}

/* The next token as a string. */
int resp_next_string(struct imap_reader *rd, const char *what, struct slice *out, struct err *e);

/* Add a word to the list that grows, rd->words; the list as it has grown, after which another may begin. */
int resp_add_word(struct imap_reader *rd, struct slice w, struct err *e);
int resp_words_done(struct imap_reader *rd, struct imap_words *out, struct err *e);

/* One flag, keywords to rd->words. copied: the name lives as long as the response. */
int resp_add_flag(struct imap_reader *rd, struct imap_flags *f, struct slice name, bool copied, struct err *e);
/* The flags behind an opening parenthesis. */
int resp_flags(struct imap_reader *rd, struct imap_flags *f, struct err *e);

/* ---- respcode.c ---- */

/* Whether a word is a condition; what stands behind it: its code and text. */
bool resp_cond_of(struct slice word, bool tagged, enum imap_cond *out);
int resp_cond(struct imap_reader *rd, struct imap_resp *r, struct err *e);

/* ---- respmailbox.c, respsearch.c, respfetch.c: what stands behind the name ---- */

int resp_read_list(struct imap_reader *rd, struct imap_resp *r, struct err *e);
int resp_read_status(struct imap_reader *rd, struct imap_resp *r, struct err *e);
int resp_read_namespace(struct imap_reader *rd, struct imap_resp *r, struct err *e);
int resp_read_search(struct imap_reader *rd, struct imap_resp *r, struct err *e);
int resp_read_esearch(struct imap_reader *rd, struct imap_resp *r, struct err *e);
int resp_read_vanished(struct imap_reader *rd, struct imap_resp *r, struct err *e);
int resp_read_fetch(struct imap_reader *rd, struct imap_resp *r, struct err *e);
/* Go on in a FETCH: up to its next body, or its end. */
int resp_fetch_on(struct imap_reader *rd, struct imap_resp *r, struct err *e);

#endif
