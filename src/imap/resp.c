/* Typed responses: see resp.h. */
#include "imap/resp.h"

#include <stdlib.h>
#include <string.h>

#define MODSEQ_MAX ((uint64_t)INT64_MAX)
#define SHOWN 120      /* bytes of the server's words in an error */
#define ROWS_MAX 1024  /* namespaces, or pairs of an ID */

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

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
static int bad(struct imap_reader *rd, struct err *e, const char *what)
{
	rd->x.dead = true;
	return err_set(e, ERR_PROTO, "the server sends a response that can't be understood: %s", what);
}

/* Memory for words is out, or their limit passed. */
static int no_room(struct imap_reader *rd, struct err *e)
{
	rd->x.dead = true;
	return err_set(e, ERR_PROTO, "the server sends a response that takes too much memory");
}

/* The next token. */
static int next(struct imap_reader *rd, struct imap_tok *t, struct err *e)
{
	return imap_tok_next(&rd->x, false, t, e);
}

/* The next token, which must be of a kind. */
static int expect(struct imap_reader *rd, enum imap_tok_kind kind, const char *what, struct err *e)
{
	struct imap_tok t;

	if (next(rd, &t, e) < 0)
		return -1;
	return t.kind == kind ? 0 : bad(rd, e, what);
}

/* The end of the response. */
static int end(struct imap_reader *rd, struct err *e)
{
	return expect(rd, IMAP_TOK_EOL, "there is more in the line than there should be", e);
}

/* Whether a token is an atom, NIL being one too. */
static bool is_atom(const struct imap_tok *t)
{
	return t->kind == IMAP_TOK_ATOM || t->kind == IMAP_TOK_NIL;
}

/* Whether a token is a word that stands for itself: an atom or a quoted string. */
static bool is_word(const struct imap_tok *t)
{
	return is_atom(t) || t->kind == IMAP_TOK_QUOTED;
}

/* Whether a token can be a string. */
static bool is_string(const struct imap_tok *t)
{
	return is_word(t) || t->kind == IMAP_TOK_LITERAL;
}

/* A number out of an atom. */
static bool tok_number(const struct imap_tok *t, uint64_t max, uint64_t *out)
{
	return t->kind == IMAP_TOK_ATOM && slice_u64(t->text, max, out);
}

/* A string's bytes. */
static int string(struct imap_reader *rd, const struct imap_tok *t, const char *what, struct slice *out, struct err *e)
{
	return imap_tok_string(&rd->x, t, what, out, e);
}

/* The next token as a string. */
static int next_string(struct imap_reader *rd, const char *what, struct slice *out, struct err *e)
{
	struct imap_tok t;

	return next(rd, &t, e) < 0 ? -1 : string(rd, &t, what, out, e);
}

/* Add a word to the list that grows. */
static int add_word(struct imap_reader *rd, struct slice w, struct err *e)
{
	return vec_push(&rd->words, w) < 0 ? no_room(rd, e) : 0;
}

/* The list as it has grown; another may begin. */
static int words_done(struct imap_reader *rd, struct imap_words *out, struct err *e)
{
	size_t n = rd->words.n;
	struct slice *a = arena_new(&rd->a, struct slice, n);

	if (!a)
		return no_room(rd, e);
	if (n > 0)
		memcpy(a, rd->words.a, n * sizeof(*a));
	vec_clear(&rd->words);
	*out = (struct imap_words){ a, n };
	return 0;
}

/* One flag. copied: the name lives as long as the response. */
static int add_flag(struct imap_reader *rd, struct imap_flags *f, struct slice name, bool copied, struct err *e)
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
			return no_room(rd, e);
		return add_word(rd, name, e);
	}
	return 0;
}

/* The flags behind an opening parenthesis. */
static int flags_list(struct imap_reader *rd, struct imap_flags *f, struct err *e)
{
	struct imap_tok t;

	*f = (struct imap_flags){ 0 };
	vec_clear(&rd->words);
	for (;;) {
		if (next(rd, &t, e) < 0)
			return -1;
		if (t.kind == IMAP_TOK_CLOSE)
			return words_done(rd, &f->kw, e);
		if (!is_word(&t))
			return bad(rd, e, "its flags");
		if (add_flag(rd, f, t.text, false, e) < 0)
			return -1;
	}
}

/* ---- status responses and their codes ---- */

/* What a code's arguments are. */
enum code_args { ARGS_NONE, ARGS_NUM32, ARGS_NUM63, ARGS_WORDS, ARGS_FLAGS, ARGS_SET, ARGS_APPENDUID, ARGS_COPYUID, ARGS_ID };

static const struct {
	const char *name;
	enum imap_code_kind kind;
	enum code_args args;
} codes[] = {
	{ "ALERT", IMAP_CODE_ALERT, ARGS_NONE },
	{ "ALREADYEXISTS", IMAP_CODE_ALREADYEXISTS, ARGS_NONE },
	{ "APPENDUID", IMAP_CODE_APPENDUID, ARGS_APPENDUID },
	{ "AUTHENTICATIONFAILED", IMAP_CODE_AUTHENTICATIONFAILED, ARGS_NONE },
	{ "AUTHORIZATIONFAILED", IMAP_CODE_AUTHORIZATIONFAILED, ARGS_NONE },
	{ "CANNOT", IMAP_CODE_CANNOT, ARGS_NONE },
	{ "CAPABILITY", IMAP_CODE_CAPABILITY, ARGS_WORDS },
	{ "CLIENTBUG", IMAP_CODE_CLIENTBUG, ARGS_NONE },
	{ "CLOSED", IMAP_CODE_CLOSED, ARGS_NONE },
	{ "COMPRESSIONACTIVE", IMAP_CODE_COMPRESSIONACTIVE, ARGS_NONE },
	{ "CONTACTADMIN", IMAP_CODE_CONTACTADMIN, ARGS_NONE },
	{ "COPYUID", IMAP_CODE_COPYUID, ARGS_COPYUID },
	{ "CORRUPTION", IMAP_CODE_CORRUPTION, ARGS_NONE },
	{ "EXPIRED", IMAP_CODE_EXPIRED, ARGS_NONE },
	{ "EXPUNGEISSUED", IMAP_CODE_EXPUNGEISSUED, ARGS_NONE },
	{ "HIGHESTMODSEQ", IMAP_CODE_HIGHESTMODSEQ, ARGS_NUM63 },
	{ "INUSE", IMAP_CODE_INUSE, ARGS_NONE },
	{ "LIMIT", IMAP_CODE_LIMIT, ARGS_NONE },
	{ "MAILBOXID", IMAP_CODE_MAILBOXID, ARGS_ID },
	{ "MODIFIED", IMAP_CODE_MODIFIED, ARGS_SET },
	{ "NOMODSEQ", IMAP_CODE_NOMODSEQ, ARGS_NONE },
	{ "NONEXISTENT", IMAP_CODE_NONEXISTENT, ARGS_NONE },
	{ "NOPERM", IMAP_CODE_NOPERM, ARGS_NONE },
	{ "NOTIFICATIONOVERFLOW", IMAP_CODE_NOTIFICATIONOVERFLOW, ARGS_NONE },
	{ "OVERQUOTA", IMAP_CODE_OVERQUOTA, ARGS_NONE },
	{ "PARSE", IMAP_CODE_PARSE, ARGS_NONE },
	{ "PERMANENTFLAGS", IMAP_CODE_PERMANENTFLAGS, ARGS_FLAGS },
	{ "PRIVACYREQUIRED", IMAP_CODE_PRIVACYREQUIRED, ARGS_NONE },
	{ "READ-ONLY", IMAP_CODE_READ_ONLY, ARGS_NONE },
	{ "READ-WRITE", IMAP_CODE_READ_WRITE, ARGS_NONE },
	{ "SERVERBUG", IMAP_CODE_SERVERBUG, ARGS_NONE },
	{ "THROTTLED", IMAP_CODE_THROTTLED, ARGS_NONE },
	{ "TOOBIG", IMAP_CODE_TOOBIG, ARGS_NONE },
	{ "TRYCREATE", IMAP_CODE_TRYCREATE, ARGS_NONE },
	{ "UIDNEXT", IMAP_CODE_UIDNEXT, ARGS_NUM32 },
	{ "UIDNOTSTICKY", IMAP_CODE_UIDNOTSTICKY, ARGS_NONE },
	{ "UIDVALIDITY", IMAP_CODE_UIDVALIDITY, ARGS_NUM32 },
	{ "UNAVAILABLE", IMAP_CODE_UNAVAILABLE, ARGS_NONE },
	{ "UNSEEN", IMAP_CODE_UNSEEN, ARGS_NUM32 },
};

/*
 * Where the bracket that closes a code stands: not in parentheses (a keyword may hold one) nor in quotes; if that finds none, simply the first. 0: nowhere.
 * text begins with the opening one.
 */
static size_t code_end(struct slice text)
{
	size_t depth = 0, first = 0;
	bool in_quotes = false;

	for (size_t i = 1; i < text.n; i++) {
		char c = text.p[i];

		if (c == ']' && first == 0)
			first = i;
		if (in_quotes && c == '\\')
			i++;
		else if (c == '"')
			in_quotes = !in_quotes;
		else if (in_quotes)
			continue;
		else if (c == '(')
			depth++;
		else if (c == ')' && depth > 0)
			depth--;
		else if (c == ']' && depth == 0)
			return i;
	}
	return first;
}

/* Take a pair of parentheses off. */
static bool unwrap(struct slice *text)
{
	*text = slice_trim(*text);
	if (text->n < 2 || text->p[0] != '(' || text->p[text->n - 1] != ')')
		return false;
	*text = slice_trim(slice_of(text->p + 1, text->n - 2));
	return true;
}

/* The flags of PERMANENTFLAGS. 1; 0 when they are none; -1. */
static int code_flags(struct imap_reader *rd, struct imap_flags *f, struct slice args, struct err *e)
{
	if (!unwrap(&args))
		return 0;
	vec_clear(&rd->words);
	for (;;) {
		struct slice w = slice_word(&args);

		if (w.n == 0)
			return words_done(rd, &f->kw, e) < 0 ? -1 : 1;
		if (add_flag(rd, f, w, true, e) < 0)
			return -1;
	}
}

/* The words of CAPABILITY. */
static int code_words(struct imap_reader *rd, struct imap_words *out, struct slice args, struct err *e)
{
	vec_clear(&rd->words);
	for (;;) {
		struct slice w = slice_word(&args);

		if (w.n == 0)
			return words_done(rd, out, e) < 0 ? -1 : 1;
		if (add_word(rd, w, e) < 0)
			return -1;
	}
}

/* The next word of a code's arguments, which must be a uid-set. */
static bool code_set(struct slice *args, struct slice *out)
{
	struct uidseq q;

	*out = slice_word(args);
	return uidseq_init(&q, *out, UINT64_MAX, NULL) == 0;
}

/* The numbers and sets of UIDPLUS: UIDVALIDITY, then one set or two. */
static int code_uids(struct imap_code *c, struct slice args, bool two)
{
	return slice_u64(slice_word(&args), UINT32_MAX, &c->num) && (!two || code_set(&args, &c->src)) && code_set(&args, &c->dst) &&
	       slice_word(&args).n == 0;
}

/* A code's arguments. 1; 0 when they are not as they should be; -1. */
static int code_args(struct imap_reader *rd, struct imap_code *c, enum code_args kind, struct slice args, struct err *e)
{
	struct slice text = slice_trim(args);

	switch (kind) {
	case ARGS_NONE:
		return 1;
	case ARGS_NUM32:
		return slice_u64(text, UINT32_MAX, &c->num);
	case ARGS_NUM63:
		return slice_u64(text, MODSEQ_MAX, &c->num);
	case ARGS_WORDS:
		return code_words(rd, &c->words, args, e);
	case ARGS_FLAGS:
		return code_flags(rd, &c->flags, args, e);
	case ARGS_SET:
		return code_set(&text, &c->dst) && text.n == 0;
	case ARGS_APPENDUID:
		return code_uids(c, args, false);
	case ARGS_COPYUID:
		return code_uids(c, args, true);
	case ARGS_ID:
		if (!unwrap(&text) || text.n == 0)
			return 0;
		c->id = text;
		return 1;
	}
	return 0;
}

/* A code in brackets at the front of a text, which is cut off it. */
static int code(struct imap_reader *rd, struct imap_resp *r, struct err *e)
{
	struct imap_code *c = &r->code;
	struct slice args, name;
	size_t close = r->text.n > 0 && r->text.p[0] == '[' ? code_end(r->text) : 0, i = 0;
	int ok;

	if (close == 0)
		return 0;
	c->text = args = slice_of(r->text.p + 1, close - 1);
	r->text = slice_trim(slice_of(r->text.p + close + 1, r->text.n - close - 1));
	c->kind = IMAP_CODE_OTHER;
	name = slice_word(&args);
	while (i < LENGTH(codes) && !slice_ieqs(name, codes[i].name))
		i++;
	if (i == LENGTH(codes))
		return 0;
	ok = code_args(rd, c, codes[i].args, args, e);
	if (ok < 0)
		return -1;
	if (ok > 0)
		c->kind = codes[i].kind;
	else
		*c = (struct imap_code){ .kind = IMAP_CODE_OTHER, .text = c->text };
	return 0;
}

/* Whether a word is a condition. */
static bool cond_of(struct slice word, bool tagged, enum imap_cond *out)
{
	static const char *const names[] = { "OK", "NO", "BAD", "BYE", "PREAUTH" };

	for (size_t i = 0; i < (tagged ? 3 : LENGTH(names)); i++) {
		if (slice_ieqs(word, names[i])) {
			*out = (enum imap_cond)i;
			return true;
		}
	}
	return false;
}

/* What stands behind a condition. */
static int cond(struct imap_reader *rd, struct imap_resp *r, struct err *e)
{
	return imap_tok_text(&rd->x, &r->text, e) < 0 ? -1 : code(rd, r, e);
}

/* ---- untagged data ---- */

/* The atoms up to the end of the line. */
static int read_words(struct imap_reader *rd, struct imap_resp *r, struct err *e)
{
	vec_clear(&rd->words);
	for (;;) {
		struct imap_tok t;
		struct slice w;

		if (next(rd, &t, e) < 0)
			return -1;
		if (t.kind == IMAP_TOK_EOL)
			return words_done(rd, &r->words, e);
		if (!is_atom(&t))
			return bad(rd, e, "a list of words");
		if (string(rd, &t, "a word", &w, e) < 0 || add_word(rd, w, e) < 0)
			return -1;
	}
}

/* FLAGS (...) */
static int read_flags(struct imap_reader *rd, struct imap_resp *r, struct err *e)
{
	if (expect(rd, IMAP_TOK_OPEN, "FLAGS without flags", e) < 0 || flags_list(rd, &r->flags, e) < 0)
		return -1;
	return end(rd, e);
}

/* The bits of a folder's attribute, 0 for unknown ones. */
static uint32_t list_attr(struct slice name)
{
	static const struct {
		const char *name;
		uint32_t bits;
	} attrs[] = {
		{ "\\Noselect", IMAP_LIST_NOSELECT },
		{ "\\NonExistent", IMAP_LIST_NONEXISTENT | IMAP_LIST_NOSELECT },
		{ "\\Noinferiors", IMAP_LIST_NOINFERIORS },
		{ "\\HasChildren", IMAP_LIST_HASCHILDREN },
		{ "\\HasNoChildren", IMAP_LIST_HASNOCHILDREN },
		{ "\\Marked", IMAP_LIST_MARKED },
		{ "\\Unmarked", IMAP_LIST_UNMARKED },
		{ "\\Subscribed", IMAP_LIST_SUBSCRIBED },
		{ "\\Remote", IMAP_LIST_REMOTE },
		{ "\\All", IMAP_LIST_ALL },
		{ "\\Archive", IMAP_LIST_ARCHIVE },
		{ "\\Drafts", IMAP_LIST_DRAFTS },
		{ "\\Flagged", IMAP_LIST_FLAGGED },
		{ "\\Junk", IMAP_LIST_JUNK },
		{ "\\Sent", IMAP_LIST_SENT },
		{ "\\Trash", IMAP_LIST_TRASH },
		{ "\\Important", IMAP_LIST_IMPORTANT },
	};

	for (size_t i = 0; i < LENGTH(attrs); i++)
		if (slice_ieqs(name, attrs[i].name))
			return attrs[i].bits;
	return 0;
}

/* A hierarchy separator: one character, or NIL. "" has been seen, too. */
static int separator(struct imap_reader *rd, char *sep, struct err *e)
{
	struct imap_tok t;

	if (next(rd, &t, e) < 0)
		return -1;
	*sep = '\0';
	if (t.kind == IMAP_TOK_NIL || (t.kind == IMAP_TOK_QUOTED && t.text.n == 0))
		return 0;
	if (!is_word(&t) || t.text.n != 1)
		return bad(rd, e, "a hierarchy separator");
	*sep = t.text.p[0];
	return 0;
}

/* LIST and LSUB. Behind the name LIST-EXTENDED may put a parenthesis. */
static int read_list(struct imap_reader *rd, struct imap_resp *r, struct err *e)
{
	struct imap_tok t;

	if (expect(rd, IMAP_TOK_OPEN, "LIST without attributes", e) < 0)
		return -1;
	for (;;) {
		if (next(rd, &t, e) < 0)
			return -1;
		if (t.kind == IMAP_TOK_CLOSE)
			break;
		if (!is_word(&t))
			return bad(rd, e, "LIST's attributes");
		r->list.attrs |= list_attr(t.text);
	}
	if (separator(rd, &r->list.sep, e) < 0 || next_string(rd, "a folder's name", &r->list.name, e) < 0)
		return -1;
	if (next(rd, &t, e) < 0)
		return -1;
	if (t.kind == IMAP_TOK_OPEN)
		return imap_tok_skip(&rd->x, &t, e) < 0 ? -1 : end(rd, e);
	return t.kind == IMAP_TOK_EOL ? 0 : bad(rd, e, "a folder's name has something behind it");
}

/* A value that is a number: false leaves *out. Others are read over. */
static int number_or_skip(struct imap_reader *rd, uint64_t max, uint64_t *out, bool *ok, struct err *e)
{
	struct imap_tok t;

	*ok = false;
	if (next(rd, &t, e) < 0)
		return -1;
	if (t.kind != IMAP_TOK_ATOM)
		return imap_tok_skip(&rd->x, &t, e);
	*ok = tok_number(&t, max, out);
	return 0;
}

/* An object identifier in parentheses (RFC 8474), or NIL. */
static int object_id(struct imap_reader *rd, struct slice *id, bool *ok, struct err *e)
{
	struct imap_tok t;

	*ok = false;
	if (next(rd, &t, e) < 0)
		return -1;
	if (t.kind == IMAP_TOK_NIL)
		return 0;
	if (t.kind != IMAP_TOK_OPEN)
		return bad(rd, e, "an object identifier");
	if (next_string(rd, "an object identifier", id, e) < 0)
		return -1;
	*ok = id->n > 0;
	return expect(rd, IMAP_TOK_CLOSE, "an object identifier", e);
}

/* One item of STATUS, whose name is given. */
static int status_item(struct imap_reader *rd, struct imap_status *s, struct slice name, struct err *e)
{
	const struct {
		const char *name;
		unsigned bit;
		uint32_t *small;
		uint64_t *large;
	} items[] = {
		{ "MESSAGES", IMAP_HAS_MESSAGES, &s->messages, NULL },
		{ "UIDNEXT", IMAP_HAS_UIDNEXT, &s->uidnext, NULL },
		{ "UIDVALIDITY", IMAP_HAS_UIDVALIDITY, &s->uidvalidity, NULL },
		{ "UNSEEN", IMAP_HAS_UNSEEN, &s->unseen, NULL },
		{ "RECENT", IMAP_HAS_RECENT, &s->recent, NULL },
		{ "DELETED", IMAP_HAS_DELETED, &s->deleted, NULL },
		{ "HIGHESTMODSEQ", IMAP_HAS_HIGHESTMODSEQ, NULL, &s->highestmodseq },
		{ "SIZE", IMAP_HAS_SIZE, NULL, &s->size },
	};
	struct imap_tok t;
	uint64_t v;
	bool ok;

	for (size_t i = 0; i < LENGTH(items); i++) {
		if (!slice_ieqs(name, items[i].name))
			continue;
		if (number_or_skip(rd, items[i].small ? UINT32_MAX : MODSEQ_MAX, &v, &ok, e) < 0)
			return -1;
		if (!ok)
			return 0;
		if (items[i].small)
			*items[i].small = (uint32_t)v;
		else
			*items[i].large = v;
		s->has |= items[i].bit;
		return 0;
	}
	if (slice_ieqs(name, "MAILBOXID")) {
		if (object_id(rd, &s->mailboxid, &ok, e) < 0)
			return -1;
		if (ok)
			s->has |= IMAP_HAS_MAILBOXID;
		return 0;
	}
	if (!slice_ieqs(name, "APPENDLIMIT"))
		return next(rd, &t, e) < 0 ? -1 : imap_tok_skip(&rd->x, &t, e);
	if (next(rd, &t, e) < 0)
		return -1;
	if (t.kind == IMAP_TOK_NIL)
		s->appendlimit = IMAP_APPENDLIMIT_NONE;
	else if (!tok_number(&t, MODSEQ_MAX, &s->appendlimit))
		return imap_tok_skip(&rd->x, &t, e);
	s->has |= IMAP_HAS_APPENDLIMIT;
	return 0;
}

/* STATUS name (...) */
static int read_status(struct imap_reader *rd, struct imap_resp *r, struct err *e)
{
	struct imap_tok t;

	if (next_string(rd, "a folder's name", &r->status.name, e) < 0)
		return -1;
	if (expect(rd, IMAP_TOK_OPEN, "STATUS without values", e) < 0)
		return -1;
	for (;;) {
		char name[32];
		size_t n;

		if (next(rd, &t, e) < 0)
			return -1;
		if (t.kind == IMAP_TOK_CLOSE)
			return end(rd, e);
		if (!is_atom(&t))
			return bad(rd, e, "STATUS");
		n = t.text.n < sizeof(name) ? t.text.n : 0; /* so long a name is unknown */
		memcpy(name, t.text.p, n);
		if (status_item(rd, &r->status, slice_of(name, n), e) < 0)
			return -1;
	}
}

/* Whether the next byte is a digit: 1, 0, -1. */
static int at_digit(struct imap_reader *rd, struct err *e)
{
	int c = imap_tok_peek(&rd->x, e);

	return c < 0 ? -1 : c >= '0' && c <= '9';
}

/* (MODSEQ n), whose parenthesis is taken. */
static int search_modseq(struct imap_reader *rd, struct imap_search *s, struct err *e)
{
	struct imap_tok t;

	if (next(rd, &t, e) < 0)
		return -1;
	if (!is_atom(&t) || !slice_ieqs(t.text, "MODSEQ"))
		return bad(rd, e, "SEARCH");
	if (next(rd, &t, e) < 0)
		return -1;
	if (!tok_number(&t, MODSEQ_MAX, &s->modseq))
		return bad(rd, e, "SEARCH's MODSEQ");
	s->has |= IMAP_HAS_SEARCH_MODSEQ;
	return expect(rd, IMAP_TOK_CLOSE, "SEARCH's MODSEQ", e);
}

/* SEARCH 1 2 3 (MODSEQ n) */
static int read_search(struct imap_reader *rd, struct imap_resp *r, struct err *e)
{
	struct imap_tok t;
	int digit = at_digit(rd, e);

	if (digit < 0 || (digit > 0 && imap_tok_set(&rd->x, &rd->set, e) < 0) || next(rd, &t, e) < 0)
		return -1;
	r->search.all = &rd->set;
	r->search.has |= IMAP_HAS_ALL;
	if (t.kind == IMAP_TOK_EOL)
		return 0;
	if (t.kind != IMAP_TOK_OPEN)
		return bad(rd, e, "SEARCH");
	return search_modseq(rd, &r->search, e) < 0 ? -1 : end(rd, e);
}

/* What stands in the parentheses of ESEARCH: TAG "x", and with RFC 7377 more. */
static int search_correlator(struct imap_reader *rd, struct imap_search *s, struct err *e)
{
	struct imap_tok t;

	for (;;) {
		bool tag;

		if (next(rd, &t, e) < 0)
			return -1;
		if (t.kind == IMAP_TOK_CLOSE)
			return 0;
		if (!is_atom(&t))
			return bad(rd, e, "ESEARCH");
		tag = slice_ieqs(t.text, "TAG");
		if (next(rd, &t, e) < 0)
			return -1;
		if (tag ? string(rd, &t, "a tag", &s->tag, e) < 0 : imap_tok_skip(&rd->x, &t, e) < 0)
			return -1;
	}
}

/* One value of ESEARCH, whose name is t. */
static int search_item(struct imap_reader *rd, struct imap_search *s, const struct imap_tok *name, struct err *e)
{
	const struct {
		const char *name;
		unsigned bit;
		uint32_t *to;
	} items[] = {
		{ "MIN", IMAP_HAS_MIN, &s->min },
		{ "MAX", IMAP_HAS_MAX, &s->max },
		{ "COUNT", IMAP_HAS_COUNT, &s->count },
	};
	bool all = slice_ieqs(name->text, "ALL"), modseq = slice_ieqs(name->text, "MODSEQ");
	struct imap_tok t;
	uint64_t v;
	size_t i = 0;

	while (i < LENGTH(items) && !slice_ieqs(name->text, items[i].name))
		i++;
	if (all) {
		uidset_clear(&rd->set);
		s->has |= IMAP_HAS_ALL;
		return imap_tok_set(&rd->x, &rd->set, e);
	}
	if (next(rd, &t, e) < 0)
		return -1;
	if (!modseq && i == LENGTH(items))
		return imap_tok_skip(&rd->x, &t, e);
	if (!tok_number(&t, modseq ? MODSEQ_MAX : UINT32_MAX, &v))
		return bad(rd, e, "a number of ESEARCH");
	if (modseq) {
		s->modseq = v;
		s->has |= IMAP_HAS_SEARCH_MODSEQ;
	} else {
		*items[i].to = (uint32_t)v;
		s->has |= items[i].bit;
	}
	return 0;
}

/* ESEARCH (TAG "x") UID COUNT 3 ALL 1:3 */
static int read_esearch(struct imap_reader *rd, struct imap_resp *r, struct err *e)
{
	struct imap_search *s = &r->search;
	struct imap_tok t;

	for (bool first = true;; first = false) {
		if (next(rd, &t, e) < 0)
			return -1;
		if (t.kind == IMAP_TOK_EOL)
			break;
		if (t.kind == IMAP_TOK_OPEN && first) {
			if (search_correlator(rd, s, e) < 0)
				return -1;
		} else if (!is_atom(&t)) {
			return bad(rd, e, "ESEARCH");
		} else if (slice_ieqs(t.text, "UID")) {
			s->uid = true;
		} else if (search_item(rd, s, &t, e) < 0) {
			return -1;
		}
	}
	s->all = &rd->set;
	return 0;
}

/* VANISHED (EARLIER) 1:3,5 */
static int read_vanished(struct imap_reader *rd, struct imap_resp *r, struct err *e)
{
	struct imap_tok t;
	int c = imap_tok_peek(&rd->x, e);

	if (c < 0)
		return -1;
	if (c == '(') {
		if (next(rd, &t, e) < 0 || next(rd, &t, e) < 0)
			return -1;
		if (!is_atom(&t) || !slice_ieqs(t.text, "EARLIER"))
			return bad(rd, e, "VANISHED");
		if (expect(rd, IMAP_TOK_CLOSE, "VANISHED", e) < 0)
			return -1;
		r->earlier = true;
		c = imap_tok_peek(&rd->x, e);
	}
	if (c < 0 || (c != '\r' && c != '\n' && imap_tok_set(&rd->x, &rd->set, e) < 0))
		return -1;
	r->search.all = &rd->set;
	r->search.uid = true;
	r->search.has = IMAP_HAS_ALL;
	return end(rd, e);
}

/* One namespace, whose parenthesis is taken. */
static int namespace_row(struct imap_reader *rd, enum imap_ns kind, struct err *e)
{
	struct imap_namespace ns = { .kind = kind };
	struct imap_tok t;

	if (next_string(rd, "a namespace's prefix", &ns.prefix, e) < 0 || separator(rd, &ns.sep, e) < 0)
		return -1;
	if (rd->namespaces.n >= ROWS_MAX || vec_push(&rd->namespaces, ns) < 0)
		return no_room(rd, e);
	for (;;) {
		if (next(rd, &t, e) < 0)
			return -1;
		if (t.kind == IMAP_TOK_CLOSE)
			return 0;
		if (imap_tok_skip(&rd->x, &t, e) < 0)
			return -1;
	}
}

/* NAMESPACE (("" "/")) NIL NIL */
static int read_namespace(struct imap_reader *rd, struct imap_resp *r, struct err *e)
{
	struct imap_tok t;

	for (unsigned kind = IMAP_NS_PERSONAL; kind <= IMAP_NS_SHARED; kind++) {
		if (next(rd, &t, e) < 0)
			return -1;
		if (t.kind == IMAP_TOK_NIL)
			continue;
		if (t.kind != IMAP_TOK_OPEN)
			return bad(rd, e, "NAMESPACE");
		for (;;) {
			if (next(rd, &t, e) < 0)
				return -1;
			if (t.kind == IMAP_TOK_CLOSE)
				break;
			if (t.kind != IMAP_TOK_OPEN)
				return bad(rd, e, "NAMESPACE");
			if (namespace_row(rd, (enum imap_ns)kind, e) < 0)
				return -1;
		}
	}
	r->namespaces = rd->namespaces.a;
	r->n = rd->namespaces.n;
	return end(rd, e);
}

/* ID ("name" "Dovecot") or NIL. */
static int read_id(struct imap_reader *rd, struct imap_resp *r, struct err *e)
{
	struct imap_tok t;

	if (next(rd, &t, e) < 0)
		return -1;
	if (t.kind == IMAP_TOK_EOL)
		return 0;
	if (t.kind == IMAP_TOK_NIL)
		return end(rd, e);
	if (t.kind != IMAP_TOK_OPEN)
		return bad(rd, e, "ID");
	for (;;) {
		struct imap_pair p = { { "", 0 }, { "", 0 } };

		if (next(rd, &t, e) < 0)
			return -1;
		if (t.kind == IMAP_TOK_CLOSE)
			break;
		if (string(rd, &t, "ID's key", &p.key, e) < 0 || next(rd, &t, e) < 0)
			return -1;
		if (t.kind != IMAP_TOK_NIL && string(rd, &t, "ID's value", &p.value, e) < 0)
			return -1;
		if (rd->pairs.n >= ROWS_MAX || vec_push(&rd->pairs, p) < 0)
			return no_room(rd, e);
	}
	r->pairs = rd->pairs.a;
	r->n = rd->pairs.n;
	return end(rd, e);
}

/* EXISTS, RECENT, EXPUNGE: the number came before. */
static int read_num(struct imap_reader *rd, struct imap_resp *r, struct err *e)
{
	if (r->kind == IMAP_EXPUNGE && r->num == 0)
		return bad(rd, e, "EXPUNGE of message 0");
	return end(rd, e);
}

/* ---- FETCH ---- */

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
		if (t.kind == IMAP_TOK_LITERAL && string(rd, &t, "", &t.text, e) < 0)
			goto out;
		if (t.kind == IMAP_TOK_EOL || t.kind == IMAP_TOK_BRACKET) {
			bad(rd, e, "FETCH's section");
			goto out;
		}
		if (section_add(&b, &t) < 0) {
			no_room(rd, e);
			goto out;
		}
	}
	*out = arena_slice(&rd->a, strbuf_slice(&b));
	rc = out->p ? 0 : no_room(rd, e);
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
		return bad(rd, e, "FETCH's origin");
	p->partial = true;
	return next(rd, t, e);
}

/* The bytes of a body are to come: hand them out as a stream. */
static int part(struct imap_reader *rd, struct imap_part *p, struct err *e)
{
	struct imap_tok t;

	if (next(rd, &t, e) < 0 || origin(rd, p, &t, e) < 0 || imap_tok_body(&rd->x, &t, &p->s, e) < 0)
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
	return next(rd, &t, e) < 0 ? -1 : imap_tok_skip(&rd->x, &t, e);
}

/* A UID: it decides what is done to which message, so there is no doubt about it. */
static int fetch_uid(struct imap_reader *rd, struct imap_fetch *f, struct err *e)
{
	struct imap_tok t;
	uint64_t v;

	if (next(rd, &t, e) < 0)
		return -1;
	if (!tok_number(&t, UINT32_MAX, &v) || v == 0)
		return bad(rd, e, "FETCH's UID");
	if ((f->has & IMAP_HAS_UID) && f->uid != v)
		return bad(rd, e, "FETCH with two UIDs");
	f->uid = (uint32_t)v;
	f->has |= IMAP_HAS_UID;
	return 0;
}

/* MODSEQ (n), without the parentheses too. */
static int fetch_modseq(struct imap_reader *rd, struct imap_fetch *f, struct err *e)
{
	struct imap_tok t;
	bool wrapped;

	if (next(rd, &t, e) < 0)
		return -1;
	wrapped = t.kind == IMAP_TOK_OPEN;
	if (wrapped && next(rd, &t, e) < 0)
		return -1;
	if (!tok_number(&t, MODSEQ_MAX, &f->modseq))
		return bad(rd, e, "FETCH's MODSEQ");
	f->has |= IMAP_HAS_MODSEQ;
	return wrapped ? expect(rd, IMAP_TOK_CLOSE, "FETCH's MODSEQ", e) : 0;
}

/* FLAGS (...) */
static int fetch_flags(struct imap_reader *rd, struct imap_fetch *f, struct err *e)
{
	f->has |= IMAP_HAS_FLAGS;
	return expect(rd, IMAP_TOK_OPEN, "FETCH's FLAGS", e) < 0 ? -1 : flags_list(rd, &f->flags, e);
}

/* INTERNALDATE "..." */
static int fetch_date(struct imap_reader *rd, struct imap_fetch *f, struct err *e)
{
	struct imap_tok t;

	if (next(rd, &t, e) < 0)
		return -1;
	if (t.kind == IMAP_TOK_NIL)
		return 0;
	f->has |= IMAP_HAS_DATE;
	return string(rd, &t, "INTERNALDATE", &f->date, e);
}

/* RFC822.SIZE n */
static int fetch_size(struct imap_reader *rd, struct imap_fetch *f, struct err *e)
{
	bool ok;

	if (number_or_skip(rd, MODSEQ_MAX, &f->size, &ok, e) < 0)
		return -1;
	f->has &= ~(unsigned)IMAP_HAS_RFC822_SIZE;
	if (ok)
		f->has |= IMAP_HAS_RFC822_SIZE;
	return 0;
}

/* X-GM-LABELS (...): strings. */
static int fetch_labels(struct imap_reader *rd, struct imap_fetch *f, struct err *e)
{
	struct imap_tok t;
	struct slice w;

	if (next(rd, &t, e) < 0)
		return -1;
	if (t.kind != IMAP_TOK_OPEN)
		return t.kind == IMAP_TOK_NIL ? 0 : bad(rd, e, "FETCH's X-GM-LABELS");
	vec_clear(&rd->words);
	for (;;) {
		if (next(rd, &t, e) < 0)
			return -1;
		if (t.kind == IMAP_TOK_CLOSE)
			break;
		if (!is_string(&t))
			return bad(rd, e, "FETCH's X-GM-LABELS");
		if (string(rd, &t, "a label", &w, e) < 0 || add_word(rd, w, e) < 0)
			return -1;
	}
	f->has |= IMAP_HAS_GM_LABELS;
	return words_done(rd, &f->gm_labels, e);
}

/* A bit that is set when a value was there. */
static int fetch_id(struct imap_reader *rd, struct imap_fetch *f, struct slice *id, unsigned bit, struct err *e)
{
	bool ok;

	if (object_id(rd, id, &ok, e) < 0)
		return -1;
	if (ok)
		f->has |= bit;
	return 0;
}

/* The same for Gmail's numbers. */
static int fetch_gm(struct imap_reader *rd, struct imap_fetch *f, uint64_t *to, unsigned bit, struct err *e)
{
	bool ok;

	if (number_or_skip(rd, UINT64_MAX, to, &ok, e) < 0)
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
static int fetch_on(struct imap_reader *rd, struct imap_resp *r, struct err *e)
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
		if (!is_atom(&t))
			return bad(rd, e, "FETCH");
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
	return end(rd, e);
}

/* n FETCH (...) */
static int read_fetch(struct imap_reader *rd, struct imap_resp *r, struct err *e)
{
	if (r->num == 0)
		return bad(rd, e, "FETCH of message 0");
	if (expect(rd, IMAP_TOK_OPEN, "FETCH without values", e) < 0)
		return -1;
	rd->fetching = *r;
	rd->fetching.fetch.seq = r->num;
	return fetch_on(rd, r, e);
}

/* ---- one response ---- */

/* Read over what has this name. */
static int read_other(struct imap_reader *rd, struct imap_resp *r, struct slice name, struct err *e)
{
	r->kind = IMAP_OTHER;
	name = arena_slice(&rd->a, name);
	vec_clear(&rd->words);
	if (!name.p)
		return no_room(rd, e);
	if (add_word(rd, name, e) < 0 || words_done(rd, &r->words, e) < 0)
		return -1;
	return imap_tok_skip_line(&rd->x, e);
}

static const struct {
	const char *name;
	bool numbered; /* a number stands before it */
	enum imap_kind kind;
	int (*read)(struct imap_reader *rd, struct imap_resp *r, struct err *e);
} untagged[] = {
	{ "FETCH", true, IMAP_FETCH, read_fetch },
	{ "LIST", false, IMAP_LIST, read_list },
	{ "STATUS", false, IMAP_STATUS, read_status },
	{ "FLAGS", false, IMAP_FLAGS, read_flags },
	{ "EXISTS", true, IMAP_EXISTS, read_num },
	{ "RECENT", true, IMAP_RECENT, read_num },
	{ "EXPUNGE", true, IMAP_EXPUNGE, read_num },
	{ "VANISHED", false, IMAP_VANISHED, read_vanished },
	{ "SEARCH", false, IMAP_SEARCH, read_search },
	{ "ESEARCH", false, IMAP_ESEARCH, read_esearch },
	{ "LSUB", false, IMAP_LSUB, read_list },
	{ "CAPABILITY", false, IMAP_CAPABILITY, read_words },
	{ "ENABLED", false, IMAP_ENABLED, read_words },
	{ "NAMESPACE", false, IMAP_NAMESPACE, read_namespace },
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
		if (!tok_number(&t, UINT32_MAX, &v))
			return bad(rd, e, "a number that is none, or too large");
		r->num = (uint32_t)v;
		numbered = true;
		if (imap_tok_next(&rd->x, true, &t, e) < 0)
			return -1;
	}
	if (!is_atom(&t))
		return bad(rd, e, "an untagged response without a name");
	if (!numbered && cond_of(t.text, false, &r->cond)) {
		r->kind = IMAP_UNTAGGED;
		return cond(rd, r, e);
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
	if (!is_atom(&t) || !cond_of(t.text, true, &r->cond))
		return no_imap(rd, r->tag, is_atom(&t) ? t.text : slice_str(""), e);
	r->kind = IMAP_TAGGED;
	return cond(rd, r, e);
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

	if (next(rd, &t, e) < 0)
		return -1;
	if (t.kind != IMAP_TOK_ATOM)
		return bad(rd, e, "it has no tag");
	if (slice_eqs(t.text, "*"))
		return read_untagged(rd, r, e);
	if (slice_eqs(t.text, "+")) {
		r->kind = IMAP_CONTINUE;
		return imap_tok_text(&rd->x, &r->text, e);
	}
	return string(rd, &t, "a tag", &r->tag, e) < 0 ? -1 : read_tagged(rd, r, e);
}

/* The next response. */
int imap_resp_next(struct imap_reader *rd, struct imap_resp *r, struct err *e)
{
	int rc;

	*r = (struct imap_resp){ 0 };
	if (rd->in_fetch)
		return imap_tok_drain(&rd->x, e) < 0 || fetch_on(rd, r, e) < 0 ? -1 : 1;
	forget(rd);
	rc = imap_tok_begin(&rd->x, e);
	if (rc <= 0)
		return rc;
	return read_response(rd, r, e) < 0 ? -1 : 1;
}
