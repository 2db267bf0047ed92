/* One response, and what is small in it: see resp.h. The larger kinds have files of their own: see resp_p.h. */
#include "imap/resp_p.h"

#include <stdlib.h>
#include <string.h>

#define SHOWN 120 /* bytes of the server's words in an error */

/* Over a bufin. */
void imap_reader_init(struct imap_reader *rd, struct bufin *in)
{
	*rd = (struct imap_reader){ .a = ARENA_INIT(IMAP_WORDS_MAX) };
	imap_lexer_init(&rd->x, in, &rd->a);
}

/* Free all. */
void imap_reader_release(struct imap_reader *rd)
{
	imap_lexer_release(&rd->x);
	arena_release(&rd->a);
	vec_release(&rd->words);
	vec_release(&rd->namespaces);
	vec_release(&rd->pairs);
	uidset_release(&rd->set);
}

/* A response that is not as it should be. */
int resp_bad(struct imap_reader *rd, struct err *e, const char *what)
{
	rd->x.dead = true;
	return err_set(e, ERR_PROTO, "the server sends a response that can't be understood: %s", what);
}

/* Memory for words is out, or their limit passed. */
int resp_no_room(struct imap_reader *rd, struct err *e)
{
	rd->x.dead = true;
	return err_set(e, ERR_PROTO, "the server sends a response that takes too much memory");
}

/* The next token, which must be of a kind. */
int resp_expect(struct imap_reader *rd, enum imap_tok_kind kind, const char *what, struct err *e)
{
	struct imap_tok t;

	if (resp_next(rd, &t, e) < 0)
		return -1;
	return t.kind == kind ? 0 : resp_bad(rd, e, what);
}

/* The end of the response. */
int resp_end(struct imap_reader *rd, struct err *e)
{
	return resp_expect(rd, IMAP_TOK_EOL, "there is more in the line than there should be", e);
}

/* The next token as a string. */
int resp_next_string(struct imap_reader *rd, const char *what, struct slice *out, struct err *e)
{
	struct imap_tok t;

	return resp_next(rd, &t, e) < 0 ? -1 : resp_string(rd, &t, what, out, e);
}

/* A value that is a number: false leaves *out. Others are read over. */
int resp_number_or_skip(struct imap_reader *rd, uint64_t max, uint64_t *out, bool *ok, struct err *e)
{
	struct imap_tok t;

	*ok = false;
	if (resp_next(rd, &t, e) < 0)
		return -1;
	if (t.kind != IMAP_TOK_ATOM)
		return imap_tok_skip(&rd->x, &t, e);
	*ok = resp_number(&t, max, out);
	return 0;
}

/* An object identifier in parentheses (RFC 8474), or NIL. */
int resp_object_id(struct imap_reader *rd, struct slice *id, bool *ok, struct err *e)
{
	struct imap_tok t;

	*ok = false;
	if (resp_next(rd, &t, e) < 0)
		return -1;
	if (t.kind == IMAP_TOK_NIL)
		return 0;
	if (t.kind != IMAP_TOK_OPEN)
		return resp_bad(rd, e, "an object identifier");
	if (resp_next_string(rd, "an object identifier", id, e) < 0)
		return -1;
	*ok = id->n > 0;
	return resp_expect(rd, IMAP_TOK_CLOSE, "an object identifier", e);
}

/* Add a word to the list that grows. */
int resp_add_word(struct imap_reader *rd, struct slice w, struct err *e)
{
	return vec_push(&rd->words, w) < 0 ? resp_no_room(rd, e) : 0;
}

/* The list as it has grown; another may begin. */
int resp_words_done(struct imap_reader *rd, struct imap_words *out, struct err *e)
{
	size_t n = rd->words.n;
	struct slice *a = arena_new(&rd->a, struct slice, n);

	if (!a)
		return resp_no_room(rd, e);
	if (n > 0)
		memcpy(a, rd->words.a, n * sizeof(*a));
	vec_clear(&rd->words);
	*out = (struct imap_words){ a, n };
	return 0;
}

/* One flag. copied: the name lives as long as the response. */
int resp_add_flag(struct imap_reader *rd, struct imap_flags *f, struct slice name, bool copied, struct err *e)
{
	uint32_t bit = flag_of_imap(name);

	if (bit != 0)
		f->bits |= bit;
	else if (slice_eqs(name, "\\*"))
		f->star = true;
	else if (slice_ieqs(name, "\\Recent"))
		f->recent = true;
	else if (name.n > 0 && name.p[0] != '\\') {
		if (!copied)
			name = arena_slice(&rd->a, name);
		if (!name.p)
			return resp_no_room(rd, e);
		return resp_add_word(rd, name, e);
	}
	return 0;
}

/* The flags behind an opening parenthesis. */
int resp_flags(struct imap_reader *rd, struct imap_flags *f, struct err *e)
{
	struct imap_tok t;

	*f = (struct imap_flags){ 0 };
	vec_clear(&rd->words);
	for (;;) {
		if (resp_next(rd, &t, e) < 0)
			return -1;
		if (t.kind == IMAP_TOK_CLOSE)
			return resp_words_done(rd, &f->kw, e);
		if (!resp_is_word(&t))
			return resp_bad(rd, e, "its flags");
		if (resp_add_flag(rd, f, t.text, false, e) < 0)
			return -1;
	}
}

/* ---- untagged data ---- */

/* The atoms up to the end of the line. */
static int read_words(struct imap_reader *rd, struct imap_resp *r, struct err *e)
{
	vec_clear(&rd->words);
	for (;;) {
		struct imap_tok t;
		struct slice w;

		if (resp_next(rd, &t, e) < 0)
			return -1;
		if (t.kind == IMAP_TOK_EOL)
			return resp_words_done(rd, &r->words, e);
		if (!resp_is_atom(&t))
			return resp_bad(rd, e, "a list of words");
		if (resp_string(rd, &t, "a word", &w, e) < 0 || resp_add_word(rd, w, e) < 0)
			return -1;
	}
}

/* FLAGS (...) */
static int read_flags(struct imap_reader *rd, struct imap_resp *r, struct err *e)
{
	if (resp_expect(rd, IMAP_TOK_OPEN, "FLAGS without flags", e) < 0 || resp_flags(rd, &r->flags, e) < 0)
		return -1;
	return resp_end(rd, e);
}

/* ID ("name" "Dovecot") or NIL. */
static int read_id(struct imap_reader *rd, struct imap_resp *r, struct err *e)
{
	struct imap_tok t;

	if (resp_next(rd, &t, e) < 0)
		return -1;
	if (t.kind == IMAP_TOK_EOL)
		return 0;
	if (t.kind == IMAP_TOK_NIL)
		return resp_end(rd, e);
	if (t.kind != IMAP_TOK_OPEN)
		return resp_bad(rd, e, "ID");
	for (;;) {
		struct imap_pair p = { { "", 0 }, { "", 0 } };

		if (resp_next(rd, &t, e) < 0)
			return -1;
		if (t.kind == IMAP_TOK_CLOSE)
			break;
		if (resp_string(rd, &t, "ID's key", &p.key, e) < 0 || resp_next(rd, &t, e) < 0)
			return -1;
		if (t.kind != IMAP_TOK_NIL && resp_string(rd, &t, "ID's value", &p.value, e) < 0)
			return -1;
		if (rd->pairs.n >= ROWS_MAX || vec_push(&rd->pairs, p) < 0)
			return resp_no_room(rd, e);
	}
	r->pairs = rd->pairs.a;
	r->n = rd->pairs.n;
	return resp_end(rd, e);
}

/* EXISTS, RECENT, EXPUNGE: the number came before. */
static int read_num(struct imap_reader *rd, struct imap_resp *r, struct err *e)
{
	if (r->kind == IMAP_EXPUNGE && r->num == 0)
		return resp_bad(rd, e, "EXPUNGE of message 0");
	return resp_end(rd, e);
}

/* ---- one response ---- */

/* Read over what has this name. */
static int read_other(struct imap_reader *rd, struct imap_resp *r, struct slice name, struct err *e)
{
	r->kind = IMAP_OTHER;
	name = arena_slice(&rd->a, name);
	vec_clear(&rd->words);
	if (!name.p)
		return resp_no_room(rd, e);
	if (resp_add_word(rd, name, e) < 0 || resp_words_done(rd, &r->words, e) < 0)
		return -1;
	return imap_tok_skip_line(&rd->x, e);
}

static const struct {
	const char *name;
	bool numbered; /* a number stands before it */
	enum imap_kind kind;
	int (*read)(struct imap_reader *rd, struct imap_resp *r, struct err *e);
} untagged[] = {
	{ "FETCH", true, IMAP_FETCH, resp_read_fetch },
	{ "LIST", false, IMAP_LIST, resp_read_list },
	{ "STATUS", false, IMAP_STATUS, resp_read_status },
	{ "FLAGS", false, IMAP_FLAGS, read_flags },
	{ "EXISTS", true, IMAP_EXISTS, read_num },
	{ "RECENT", true, IMAP_RECENT, read_num },
	{ "EXPUNGE", true, IMAP_EXPUNGE, read_num },
	{ "VANISHED", false, IMAP_VANISHED, resp_read_vanished },
	{ "SEARCH", false, IMAP_SEARCH, resp_read_search },
	{ "ESEARCH", false, IMAP_ESEARCH, resp_read_esearch },
	{ "LSUB", false, IMAP_LSUB, resp_read_list },
	{ "CAPABILITY", false, IMAP_CAPABILITY, read_words },
	{ "ENABLED", false, IMAP_ENABLED, read_words },
	{ "NAMESPACE", false, IMAP_NAMESPACE, resp_read_namespace },
	{ "ID", false, IMAP_ID, read_id },
};

/* What stands behind "*". */
static int read_untagged(struct imap_reader *rd, struct imap_resp *r, struct err *e)
{
	struct imap_tok t;
	bool numbered = false;
	uint64_t v;

	if (imap_tok_next(&rd->x, true, &t, e) < 0)
		return -1;
	if (t.kind == IMAP_TOK_ATOM && t.text.p[0] >= '0' && t.text.p[0] <= '9') {
		if (!resp_number(&t, UINT32_MAX, &v))
			return resp_bad(rd, e, "a number that is none, or too large");
		r->num = (uint32_t)v;
		numbered = true;
		if (imap_tok_next(&rd->x, true, &t, e) < 0)
			return -1;
	}
	if (!resp_is_atom(&t))
		return resp_bad(rd, e, "an untagged response without a name");
	if (!numbered && resp_cond_of(t.text, false, &r->cond)) {
		r->kind = IMAP_UNTAGGED;
		return resp_cond(rd, r, e);
	}
	for (size_t i = 0; i < LENGTH(untagged); i++) {
		if (untagged[i].numbered != numbered || !slice_ieqs(t.text, untagged[i].name))
			continue;
		r->kind = untagged[i].kind;
		return untagged[i].read(rd, r, e);
	}
	return read_other(rd, r, t.text, e);
}

/* A line that is no IMAP: say what it looks like. */
static int no_imap(struct imap_reader *rd, struct slice tag, struct slice word, struct err *e)
{
	char a[SHOWN + 1], b[SHOWN + 1];

	rd->x.dead = true;
	err_set(e, ERR_PROTO, "the server doesn't speak IMAP: it says \"%s %s\"", err_printable(a, sizeof(a), tag.p, tag.n),
		err_printable(b, sizeof(b), word.p, word.n));
	if (slice_eqs(tag, "+OK") || slice_eqs(tag, "-ERR"))
		err_hint(e, "that is a POP3 server: check port and scheme");
	else if (slice_starts(tag, "220"))
		err_hint(e, "that is an SMTP or FTP server: check port and scheme");
	return -1;
}

/* What stands behind a tag. */
static int read_tagged(struct imap_reader *rd, struct imap_resp *r, struct err *e)
{
	struct imap_tok t;

	if (imap_tok_next(&rd->x, true, &t, e) < 0)
		return -1;
	if (!resp_is_atom(&t) || !resp_cond_of(t.text, true, &r->cond))
		return no_imap(rd, r->tag, resp_is_atom(&t) ? t.text : slice_str(""), e);
	r->kind = IMAP_TAGGED;
	return resp_cond(rd, r, e);
}

/* Forget the response before. */
static void forget(struct imap_reader *rd)
{
	arena_reset(&rd->a);
	vec_clear(&rd->words);
	vec_clear(&rd->namespaces);
	vec_clear(&rd->pairs);
	uidset_clear(&rd->set);
	if (rd->set.cap > 65536)
		uidset_release(&rd->set);
	if (rd->words.cap > 65536)
		vec_release(&rd->words);
}

/* One response whose first byte is there. */
static int read_response(struct imap_reader *rd, struct imap_resp *r, struct err *e)
{
	struct imap_tok t;

	if (resp_next(rd, &t, e) < 0)
		return -1;
	if (t.kind != IMAP_TOK_ATOM)
		return resp_bad(rd, e, "it has no tag");
	if (slice_eqs(t.text, "*"))
		return read_untagged(rd, r, e);
	if (slice_eqs(t.text, "+")) {
		r->kind = IMAP_CONTINUE;
		return imap_tok_text(&rd->x, &r->text, e);
	}
	return resp_string(rd, &t, "a tag", &r->tag, e) < 0 ? -1 : read_tagged(rd, r, e);
}

/* The next response. */
int imap_resp_next(struct imap_reader *rd, struct imap_resp *r, struct err *e)
{
	int rc;

	*r = (struct imap_resp){ 0 };
	if (rd->in_fetch)
		return imap_tok_drain(&rd->x, e) < 0 || resp_fetch_on(rd, r, e) < 0 ? -1 : 1;
	forget(rd);
	rc = imap_tok_begin(&rd->x, e);
	if (rc <= 0)
		return rc;
	return read_response(rd, r, e) < 0 ? -1 : 1;
}
