/*
 * The words of IMAP as they come over the wire (RFC 3501 section 9, RFC 9051 section 9; literal8 of RFC 3516): read from
 * a bufin one at a time. A literal is given by its size, and its bytes are a stream. Reads block; there is no "need
 * more", no look back, and no recursion.
 *
 * What is tolerated: lines that end in a bare LF; any number of blanks (or tabs) where one is due, or before the end of
 * a line; bytes above 127 in atoms and quoted strings; a backslash before any character of a quoted string; literals
 * written {n+}, which only a client may send and which mean the same.
 * What is not: NUL and other control characters in atoms; NUL, CR and LF in quoted strings; a CR that is not before LF;
 * a `{` that does not begin a literal.
 *
 * Every -1 but one is the end of the link (`dead` is set, and whatever is read next is -1 again): ERR_PROTO for broken
 * grammar and passed limits, ERR_TEMP when the connection ended in the middle, else the stream's own error. The
 * exception: a read that fails by ERR_TIMEOUT or ERR_CANCEL before any byte of a response was there leaves all as it was.
 */
#ifndef IMAP_TOK_H
#define IMAP_TOK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/slice.h"
#include "base/strbuf.h"
#include "mail/uidset.h"
#include "net/bufin.h"

struct imap_limits {
	size_t atom;    /* bytes of one atom: 4 kB */
	size_t string;  /* of a quoted string, or of a literal read as a string: 64 kB */
	size_t line;    /* of a response without its bodies, its sets and what is skipped in literals: 1 MB */
	size_t set;     /* of the sets of numbers in a response: 64 MB */
	size_t ranges;  /* in one set: 4 M (of 8 bytes) */
	uint64_t body;  /* size of a literal that is read as a stream: 4 GB - 1, the most that RFC 3501 can say */
	uint64_t skip;  /* bytes of literals in a response that nobody asked for: 64 MB */
	unsigned depth; /* of parentheses: 16 */
};

#define IMAP_LIMITS_DEFAULT { \
	.atom = 4096, .string = 65536, .line = 1 << 20, .set = 64 << 20, .ranges = 4 << 20, .body = UINT32_MAX, .skip = 64 << 20, .depth = 16 \
}

enum imap_tok_kind {
	IMAP_TOK_ATOM,      /* text; numbers, flags with their backslash, `*`, `+` and tags too */
	IMAP_TOK_NIL,       /* an atom spelled NIL in any case; text is its spelling, since a mailbox or keyword may be called so */
	IMAP_TOK_QUOTED,    /* text, unescaped */
	IMAP_TOK_LITERAL,   /* size; its bytes come next: imap_tok_string, imap_tok_body or imap_tok_skip must take them */
	IMAP_TOK_OPEN,      /* ( */
	IMAP_TOK_CLOSE,     /* ) */
	IMAP_TOK_BRACKET,   /* [ and ]: only where they are asked for, elsewhere they are part of atoms ("[Gmail]/Trash", "$Has]Bracket") */
	IMAP_TOK_UNBRACKET,
	IMAP_TOK_EOL,       /* CRLF or LF */
};

struct imap_tok {
	enum imap_tok_kind kind;
	bool spaced;        /* there were blanks before it */
	bool binary;        /* IMAP_TOK_LITERAL: written ~{n}, may hold NUL */
	struct slice text;  /* valid until the next token is read: imap_tok_string copies */
	uint64_t size;      /* IMAP_TOK_LITERAL: at most limits.body */
};

struct imap_body {
	struct stream s;
	struct imap_lexer *x;
	struct slice text;  /* a body that came as a quoted string: its bytes */
	uint64_t left;
};

struct imap_lexer {
	struct bufin *in;        /* borrowed; its stream may be changed between two lines, while bufin_pending() is 0 */
	struct arena *a;         /* borrowed: where imap_tok_string copies to */
	struct imap_limits limits;
	/*
	 * Read more behind what is at hand: 1, 0 at the end, -1. NULL: bufin_more. For the owner of the link, who arms
	 * the deadline and measures the rate here: all that may wait goes through it. body: the bytes are for a stream
	 * that a caller reads.
	 */
	int (*fill)(void *arg, struct bufin *in, bool body, struct slice *have, struct err *e);
	void *fill_arg;
	bool dead;
	bool mid;                /* something of a response was taken, and its end not yet */
	/* The rest is the lexer's own. */
	bool open_literal;       /* size was given, bytes not yet taken */
	uint64_t literal;        /* bytes of it that are left */
	uint64_t line_used, set_used, skip_used;
	struct strbuf scratch;
	struct imap_body body;
};

/* Over in, copying to a; limits are the defaults. Nothing is read. */
void imap_lexer_init(struct imap_lexer *x, struct bufin *in, struct arena *a);
void imap_lexer_release(struct imap_lexer *x);

/*
 * Begin a response: the counts of the limits start anew. Waits for its first byte. 1; 0 when the server closed the
 * connection instead; -1, after which it may be called again unless `dead` is set.
 */
int imap_tok_begin(struct imap_lexer *x, struct err *e);

/* The next token. brackets: [ and ] are tokens of their own, not part of an atom. 0, -1. */
int imap_tok_next(struct imap_lexer *x, bool brackets, struct imap_tok *t, struct err *e);

/* The next byte after blanks, which are taken; it is not. 0..255, -1. */
int imap_tok_peek(struct imap_lexer *x, struct err *e);

/*
 * The bytes of an atom, NIL (its spelling), quoted string or literal, copied to the arena; never .p == NULL. A literal
 * of more than limits.string is ERR_PROTO. What a literal brings is handed out as it is, NUL, CR and LF too. Another
 * token: ERR_PROTO "WHAT is missing". 0, -1.
 */
int imap_tok_string(struct imap_lexer *x, const struct imap_tok *t, const char *what, struct slice *out, struct err *e);

/*
 * The bytes of a literal, quoted string or NIL (none) as a stream that belongs to the lexer: it ends (0) after exactly
 * t->size bytes (which is set here for a string); -1 when the connection ends before. Freeing it does nothing. Before
 * the next token is read, imap_tok_drain must have taken what its reader left.
 */
int imap_tok_body(struct imap_lexer *x, struct imap_tok *t, struct stream **s, struct err *e);
int imap_tok_drain(struct imap_lexer *x, struct err *e);

/* Read over the value that begins with t: a word, a literal (limits.skip), or a parenthesis up to its end (limits.depth). 0, -1. */
int imap_tok_skip(struct imap_lexer *x, const struct imap_tok *t, struct err *e);

/* Read over all that is left of a response, literals and parentheses too, its line end included. A `{n}` at the end of a line counts as a literal. 0, -1. */
int imap_tok_skip_line(struct imap_lexer *x, struct err *e);

/* The rest of the line as it is (no literals: resp-text), its leading blanks and its end taken and left out; in the arena. NUL is ERR_PROTO. 0, -1. */
int imap_tok_text(struct imap_lexer *x, struct slice *out, struct err *e);

/*
 * Numbers with commas, colons and blanks between them ("1,3:5", "1 2 7": what SEARCH, ESEARCH and VANISHED bring), at
 * least one, in any order, added on the fly to v, which is sorted at the end: O(n log n) whatever the order. Zero and
 * `*` are ERR_PROTO. 0, -1.
 */
int imap_tok_set(struct imap_lexer *x, struct uidset *v, struct err *e);

#endif
