/* FETCH: what it says of a message, and its bodies, which are handed out as they come. See resp.h. */
#include "imap/resp_p.h"

/* Add a word of a section to its text. */
static int section_add(struct strbuf *b, const struct imap_tok *t)
{
	bool first = b->len == 0 || b->s[b->len - 1] == '(';

	if (!first && t->kind != IMAP_TOK_CLOSE && strbuf_putc(b, ' ') < 0)
		return -1;
	if (t->kind == IMAP_TOK_OPEN)
		return strbuf_putc(b, '(');
	if (t->kind == IMAP_TOK_CLOSE)
		return strbuf_putc(b, ')');
	return strbuf_putsl(b, t->text);
}

/* What stands in brackets, the opening one of which comes next. */
static int section(struct imap_reader *rd, struct slice *out, struct err *e)
{
	struct strbuf b = STRBUF_INIT(rd->x.limits.string);
	struct imap_tok t;
	int rc = -1;

	if (imap_tok_next(&rd->x, true, &t, e) < 0)
		goto out;
	for (;;) {
		if (imap_tok_next(&rd->x, true, &t, e) < 0)
			goto out;
		if (t.kind == IMAP_TOK_UNBRACKET)
			break;
		if (t.kind == IMAP_TOK_LITERAL && resp_string(rd, &t, "", &t.text, e) < 0)
			goto out;
		if (t.kind == IMAP_TOK_EOL || t.kind == IMAP_TOK_BRACKET) {
			resp_bad(rd, e, "FETCH's section");
			goto out;
		}
		if (section_add(&b, &t) < 0) {
			resp_no_room(rd, e);
			goto out;
		}
	}
	*out = arena_slice(&rd->a, strbuf_slice(&b));
	rc = out->p ? 0 : resp_no_room(rd, e);
out:
	strbuf_release(&b);
	return rc;
}

/* The <origin> of a partial body, if t is one: then t becomes the token behind it. */
static int origin(struct imap_reader *rd, struct imap_part *p, struct imap_tok *t, struct err *e)
{
	if (t->kind != IMAP_TOK_ATOM || t->text.p[0] != '<')
		return 0;
	if (t->text.n < 3 || t->text.p[t->text.n - 1] != '>' || !slice_u64(slice_of(t->text.p + 1, t->text.n - 2), MODSEQ_MAX, &p->origin))
		return resp_bad(rd, e, "FETCH's origin");
	p->partial = true;
	return resp_next(rd, t, e);
}

/* The bytes of a body are to come: hand them out as a stream. */
static int part(struct imap_reader *rd, struct imap_part *p, struct err *e)
{
	struct imap_tok t;

	if (resp_next(rd, &t, e) < 0 || origin(rd, p, &t, e) < 0 || imap_tok_body(&rd->x, &t, &p->s, e) < 0)
		return -1;
	p->nil = t.kind == IMAP_TOK_NIL;
	p->size = t.size;
	return 1;
}

/* BODY, BINARY and the like, with a section or without (a structure then). 1: a body; 0; -1. */
static int body_item(struct imap_reader *rd, struct imap_part *p, bool binary, bool is_size, struct err *e)
{
	struct imap_tok t;
	int c = imap_tok_peek(&rd->x, e);

	if (c < 0)
		return -1;
	if (c == '[') {
		*p = (struct imap_part){ .binary = binary };
		if (section(rd, &p->section, e) < 0)
			return -1;
		if (!is_size)
			return part(rd, p, e);
	}
	return resp_next(rd, &t, e) < 0 ? -1 : imap_tok_skip(&rd->x, &t, e);
}

/* A UID: it decides what is done to which message, so there is no doubt about it. */
static int fetch_uid(struct imap_reader *rd, struct imap_fetch *f, struct err *e)
{
	struct imap_tok t;
	uint64_t v;

	if (resp_next(rd, &t, e) < 0)
		return -1;
	if (!resp_number(&t, UINT32_MAX, &v) || v == 0)
		return resp_bad(rd, e, "FETCH's UID");
	if ((f->has & IMAP_HAS_UID) && f->uid != v)
		return resp_bad(rd, e, "FETCH with two UIDs");
	f->uid = (uint32_t)v;
	f->has |= IMAP_HAS_UID;
	return 0;
}

/* MODSEQ (n), without the parentheses too. */
static int fetch_modseq(struct imap_reader *rd, struct imap_fetch *f, struct err *e)
{
	struct imap_tok t;
	bool wrapped;

	if (resp_next(rd, &t, e) < 0)
		return -1;
	wrapped = t.kind == IMAP_TOK_OPEN;
	if (wrapped && resp_next(rd, &t, e) < 0)
		return -1;
	if (!resp_number(&t, MODSEQ_MAX, &f->modseq))
		return resp_bad(rd, e, "FETCH's MODSEQ");
	f->has |= IMAP_HAS_MODSEQ;
	return wrapped ? resp_expect(rd, IMAP_TOK_CLOSE, "FETCH's MODSEQ", e) : 0;
}

/* FLAGS (...) */
static int fetch_flags(struct imap_reader *rd, struct imap_fetch *f, struct err *e)
{
	f->has |= IMAP_HAS_FLAGS;
	return resp_expect(rd, IMAP_TOK_OPEN, "FETCH's FLAGS", e) < 0 ? -1 : resp_flags(rd, &f->flags, e);
}

/* INTERNALDATE "..." */
static int fetch_date(struct imap_reader *rd, struct imap_fetch *f, struct err *e)
{
	struct imap_tok t;

	if (resp_next(rd, &t, e) < 0)
		return -1;
	if (t.kind == IMAP_TOK_NIL)
		return 0;
	f->has |= IMAP_HAS_DATE;
	return resp_string(rd, &t, "INTERNALDATE", &f->date, e);
}

/* RFC822.SIZE n */
static int fetch_size(struct imap_reader *rd, struct imap_fetch *f, struct err *e)
{
	bool ok;

	if (resp_number_or_skip(rd, MODSEQ_MAX, &f->size, &ok, e) < 0)
		return -1;
	f->has &= ~(unsigned)IMAP_HAS_RFC822_SIZE;
	if (ok)
		f->has |= IMAP_HAS_RFC822_SIZE;
	return 0;
}

/* Whether a token can be a string. */
static bool is_string(const struct imap_tok *t)
{
	return resp_is_word(t) || t->kind == IMAP_TOK_LITERAL;
}

/* X-GM-LABELS (...): strings; NIL: none. */
static int fetch_labels(struct imap_reader *rd, struct imap_fetch *f, struct err *e)
{
	struct imap_tok t;
	struct slice w;

	if (resp_next(rd, &t, e) < 0)
		return -1;
	f->has |= IMAP_HAS_GM_LABELS;
	f->gm_labels = (struct imap_words){ 0 };
	if (t.kind != IMAP_TOK_OPEN)
		return t.kind == IMAP_TOK_NIL ? 0 : resp_bad(rd, e, "FETCH's X-GM-LABELS");
	vec_clear(&rd->words);
	for (;;) {
		if (resp_next(rd, &t, e) < 0)
			return -1;
		if (t.kind == IMAP_TOK_CLOSE)
			break;
		if (!is_string(&t))
			return resp_bad(rd, e, "FETCH's X-GM-LABELS");
		if (resp_string(rd, &t, "a label", &w, e) < 0 || resp_add_word(rd, w, e) < 0)
			return -1;
	}
	return resp_words_done(rd, &f->gm_labels, e);
}

/* A bit that is set when a value was there. */
static int fetch_id(struct imap_reader *rd, struct imap_fetch *f, struct slice *id, unsigned bit, struct err *e)
{
	bool ok;

	if (resp_object_id(rd, id, &ok, e) < 0)
		return -1;
	if (ok)
		f->has |= bit;
	return 0;
}

/* The same for Gmail's numbers. */
static int fetch_gm(struct imap_reader *rd, struct imap_fetch *f, uint64_t *to, unsigned bit, struct err *e)
{
	bool ok;

	if (resp_number_or_skip(rd, UINT64_MAX, to, &ok, e) < 0)
		return -1;
	if (ok)
		f->has |= bit;
	return 0;
}

enum fetch_item {
	ITEM_BINARY, ITEM_BINARY_SIZE, ITEM_BODY, ITEM_DATE, ITEM_EMAILID, ITEM_FLAGS, ITEM_GM_LABELS, ITEM_GM_MSGID, ITEM_GM_THRID, ITEM_MODSEQ,
	ITEM_RFC822, ITEM_RFC822_HEADER, ITEM_RFC822_TEXT, ITEM_SIZE, ITEM_THREADID, ITEM_UID, ITEM_UNKNOWN,
};

/* Which item a name is. */
static enum fetch_item item_of(struct slice name)
{
	static const struct {
		const char *name;
		enum fetch_item item;
	} items[] = {
		{ "UID", ITEM_UID },
		{ "FLAGS", ITEM_FLAGS },
		{ "MODSEQ", ITEM_MODSEQ },
		{ "BODY", ITEM_BODY },
		{ "INTERNALDATE", ITEM_DATE },
		{ "RFC822.SIZE", ITEM_SIZE },
		{ "EMAILID", ITEM_EMAILID },
		{ "THREADID", ITEM_THREADID },
		{ "X-GM-MSGID", ITEM_GM_MSGID },
		{ "X-GM-THRID", ITEM_GM_THRID },
		{ "X-GM-LABELS", ITEM_GM_LABELS },
		{ "BODY.PEEK", ITEM_BODY },
		{ "BINARY", ITEM_BINARY },
		{ "BINARY.PEEK", ITEM_BINARY },
		{ "BINARY.SIZE", ITEM_BINARY_SIZE },
		{ "RFC822", ITEM_RFC822 },
		{ "RFC822.HEADER", ITEM_RFC822_HEADER },
		{ "RFC822.TEXT", ITEM_RFC822_TEXT },
	};

	for (size_t i = 0; i < LENGTH(items); i++)
		if (slice_ieqs(name, items[i].name))
			return items[i].item;
	return ITEM_UNKNOWN;
}

/* A part that is named without brackets. */
static int named_part(struct imap_reader *rd, struct imap_part *p, const char *name, struct err *e)
{
	*p = (struct imap_part){ .section = slice_str(name) };
	return part(rd, p, e);
}

/* The value of one item. 1: it is a body, whose bytes come next; 0; -1. */
static int fetch_item(struct imap_reader *rd, struct imap_resp *r, enum fetch_item item, struct err *e)
{
	struct imap_fetch *f = &r->fetch;

	switch (item) {
	case ITEM_UID:
		return fetch_uid(rd, f, e);
	case ITEM_FLAGS:
		return fetch_flags(rd, f, e);
	case ITEM_MODSEQ:
		return fetch_modseq(rd, f, e);
	case ITEM_DATE:
		return fetch_date(rd, f, e);
	case ITEM_SIZE:
		return fetch_size(rd, f, e);
	case ITEM_EMAILID:
		return fetch_id(rd, f, &f->emailid, IMAP_HAS_EMAILID, e);
	case ITEM_THREADID:
		return fetch_id(rd, f, &f->threadid, IMAP_HAS_THREADID, e);
	case ITEM_GM_MSGID:
		return fetch_gm(rd, f, &f->gm_msgid, IMAP_HAS_GM_MSGID, e);
	case ITEM_GM_THRID:
		return fetch_gm(rd, f, &f->gm_thrid, IMAP_HAS_GM_THRID, e);
	case ITEM_GM_LABELS:
		return fetch_labels(rd, f, e);
	case ITEM_RFC822:
		return named_part(rd, &r->body, "", e);
	case ITEM_RFC822_HEADER:
		return named_part(rd, &r->body, "HEADER", e);
	case ITEM_RFC822_TEXT:
		return named_part(rd, &r->body, "TEXT", e);
	case ITEM_BINARY:
		return body_item(rd, &r->body, true, false, e);
	case ITEM_BODY:
		return body_item(rd, &r->body, false, false, e);
	case ITEM_BINARY_SIZE:
	case ITEM_UNKNOWN: {
		struct imap_part unasked;

		return body_item(rd, &unasked, false, true, e);
	}
	}
	return 0;
}

/* Go on in a FETCH: up to its next body, or its end. */
int resp_fetch_on(struct imap_reader *rd, struct imap_resp *r, struct err *e)
{
	struct imap_resp *f = &rd->fetching;
	struct imap_tok t;
	int c;

	f->body.s = NULL;
	rd->in_fetch = false;
	for (;;) {
		if (imap_tok_next(&rd->x, true, &t, e) < 0)
			return -1;
		if (t.kind == IMAP_TOK_CLOSE)
			break;
		if (!resp_is_atom(&t))
			return resp_bad(rd, e, "FETCH");
		c = fetch_item(rd, f, item_of(t.text), e);
		if (c < 0)
			return -1;
		if (c == 0)
			continue;
		f->kind = IMAP_FETCH_BODY;
		f->fetch.has |= IMAP_HAS_BODY;
		rd->in_fetch = true;
		*r = *f;
		return 0;
	}
	f->kind = IMAP_FETCH;
	*r = *f;
	return resp_end(rd, e);
}

/* n FETCH (...) */
int resp_read_fetch(struct imap_reader *rd, struct imap_resp *r, struct err *e)
{
	if (r->num == 0)
		return resp_bad(rd, e, "FETCH of message 0");
	if (resp_expect(rd, IMAP_TOK_OPEN, "FETCH without values", e) < 0)
		return -1;
	rd->fetching = *r;
	rd->fetching.fetch.seq = r->num;
	return resp_fetch_on(rd, r, e);
}
