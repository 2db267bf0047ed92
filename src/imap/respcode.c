/* Status responses: their conditions, codes and texts. See resp.h. */
#include "imap/resp_p.h"

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
			return resp_words_done(rd, &f->kw, e) < 0 ? -1 : 1;
		if (resp_add_flag(rd, f, w, true, e) < 0)
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
			return resp_words_done(rd, out, e) < 0 ? -1 : 1;
		if (resp_add_word(rd, w, e) < 0)
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
bool resp_cond_of(struct slice word, bool tagged, enum imap_cond *out)
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
int resp_cond(struct imap_reader *rd, struct imap_resp *r, struct err *e)
{
	return imap_tok_text(&rd->x, &r->text, e) < 0 ? -1 : code(rd, r, e);
}
