/* Words of a configuration text: see lexer.h. */
#include "config/lexer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where a token is. */
static struct place here(const struct lexer *l, int line)
{
	return (struct place){ l->file, line };
}

/* Start at the beginning of a text, behind a byte order mark. */
void lexer_init(struct lexer *l, const struct source *file, struct slice text, struct problems *p)
{
	*l = (struct lexer){ .problems = p, .file = file, .p = text.p, .end = text.p + text.n, .line = 1 };
	if (slice_starts(text, "\xef\xbb\xbf"))
		l->p += 3;
}

/* Pass over one line of comment; the line end stays. */
static void skip_line(struct lexer *l)
{
	while (l->p < l->end && *l->p != '\n')
		l->p++;
}

/* Pass over a C comment. */
static void skip_comment(struct lexer *l)
{
	int line = l->line;

	for (l->p += 2; l->p < l->end; l->p++) {
		if (*l->p == '\n')
			l->line++;
		if (l->end - l->p >= 2 && l->p[0] == '*' && l->p[1] == '/') {
			l->p += 2;
			return;
		}
	}
	problem_add(l->problems, here(l, line), ERR_CONF, "this comment has no end: '*/' is missing");
}

/* Pass over blanks and comments. */
static void skip_blanks(struct lexer *l)
{
	while (l->p < l->end) {
		char c = *l->p, next = l->end - l->p >= 2 ? l->p[1] : '\0';

		if (c == '\n') {
			l->line++;
			l->p++;
		} else if (c == ' ' || c == '\t' || c == '\r') {
			l->p++;
		} else if (c == '#' || (c == '/' && next == '/')) {
			skip_line(l);
		} else if (c == '/' && next == '*') {
			skip_comment(l);
		} else {
			return;
		}
	}
}

/* At "${": check it and pass over it. An unset variable would silently be nothing. */
static void take_env(struct lexer *l, struct tok *t)
{
	const char *start = l->p + 2, *p = start;
	struct slice name;
	const char *colon;
	bool closed;
	char *var;

	t->env = true;
	while (p < l->end && !strchr("}\"'\n", *p))
		p++;
	closed = p < l->end && *p == '}';
	l->p = closed ? p + 1 : p;
	if (l->secret)
		return;
	if (!closed) {
		problem_add(l->problems, here(l, l->line), ERR_CONF, "'${' has no '}'; single quotes keep a '${' as it is");
		t->bad = true;
		return;
	}
	name = slice_of(start, (size_t)(p - start));
	colon = memchr(name.p, ':', name.n);
	if (colon && colon[1] == '-')
		return; /* it has a default */
	var = slice_dup(name);
	if (!var || !getenv(var)) {
		problem_add(l->problems, here(l, l->line), ERR_CONF,
			    "${%.*s} is not set in the environment; ${NAME:-default} has a default, single quotes keep a '${' as it is",
			    (int)(name.n < 64 ? name.n : 64), name.p);
		t->bad = true;
	}
	free(var);
}

/* At a backslash and digits in double quotes: what libconfuse takes is one byte, as one to three octal digits. */
static void check_octal(struct lexer *l, struct tok *t)
{
	unsigned value = 0;
	size_t n = 0;
	bool octal = true;

	for (const char *p = l->p + 1; p < l->end && *p >= '0' && *p <= '9'; p++, n++) {
		octal = octal && *p <= '7' && n < 3;
		if (octal)
			value = value * 8 + (unsigned)(*p - '0');
	}
	if (!octal || value > 255 || value == 0) {
		problem_add(l->problems, here(l, l->line), ERR_CONF, "a bad escape in double quotes: '\\' and up to three octal digits, \\001 to \\377");
		t->bad = true;
	}
}

/* At "\x" in double quotes: a NUL would end the string without a word. */
static void check_hex(struct lexer *l, struct tok *t)
{
	const char *p = l->p + 2;
	size_t digits = 0, zeros = 0;

	while (digits < 2 && p < l->end && strchr("0123456789abcdefABCDEF", *p)) {
		zeros += *p == '0';
		digits++;
		p++;
	}
	if (digits > 0 && zeros == digits) {
		problem_add(l->problems, here(l, l->line), ERR_CONF, "a NUL byte can't stand in a string");
		t->bad = true;
	}
}

/* A quoted string. */
static void take_string(struct lexer *l, struct tok *t, char quote)
{
	int line = l->line;

	t->kind = quote == '"' ? TOK_DOUBLE : TOK_SINGLE;
	l->p++;
	t->text.p = l->p;
	while (l->p < l->end && *l->p != quote) {
		char next = l->end - l->p >= 2 ? l->p[1] : '\0';

		if (*l->p == '\n')
			l->line++;
		if (quote == '"' && *l->p == '$' && next == '{') {
			take_env(l, t);
			continue;
		}
		if (*l->p == '\\' && next != '\0') {
			if (quote == '"' && next >= '0' && next <= '9')
				check_octal(l, t);
			else if (quote == '"' && next == 'x')
				check_hex(l, t);
			l->line += next == '\n';
			l->p++;
		}
		l->p++;
	}
	t->text.n = (size_t)(l->p - t->text.p);
	if (l->p == l->end) {
		problem_add(l->problems, here(l, line), ERR_CONF, "this string has no end: a closing %c is missing", quote);
		t->bad = true;
		return;
	}
	l->p++;
}

/* A bare word. */
static void take_word(struct lexer *l, struct tok *t)
{
	t->kind = TOK_WORD;
	t->text.p = l->p;
	while (l->p < l->end && !strchr(" \t\r\n#\"'{}()=,", *l->p)) {
		char next = l->end - l->p >= 2 ? l->p[1] : '\0';

		if (*l->p == '+' && next == '=')
			break;
		if (*l->p == '$' && next == '{') {
			take_env(l, t);
			continue;
		}
		if ((unsigned char)*l->p < 0x20 || *l->p == 0x7f) {
			problem_add(l->problems, here(l, l->line), ERR_CONF, "a control character (0x%02x) outside of quotes", (unsigned char)*l->p);
			t->bad = true;
		}
		l->p++;
	}
	t->text.n = (size_t)(l->p - t->text.p);
	if (l->p < l->end && *l->p == '#') {
		problem_add(l->problems, here(l, l->line), ERR_CONF, "a '#' directly behind a word: put a blank before a comment, or the value in quotes");
		t->bad = true;
	}
}

/* The next token. */
static struct tok next_tok(struct lexer *l)
{
	static const struct {
		char c;
		enum tok_kind kind;
	} marks[] = { { '{', TOK_OPEN }, { '}', TOK_CLOSE }, { '(', TOK_LPAR }, { ')', TOK_RPAR }, { '=', TOK_EQ }, { ',', TOK_COMMA } };
	struct tok t = { .kind = TOK_END };

	skip_blanks(l);
	t.line = l->line;
	t.text = slice_of(l->p, l->p < l->end);
	if (l->p == l->end)
		return t;
	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
		if (*l->p == marks[i].c) {
			t.kind = marks[i].kind;
			l->p++;
			return t;
		}
	if (*l->p == '+' && l->end - l->p >= 2 && l->p[1] == '=') {
		t.kind = TOK_ADD;
		t.text.n = 2;
		l->p += 2;
	} else if (*l->p == '"' || *l->p == '\'') {
		take_string(l, &t, *l->p);
	} else {
		take_word(l, &t);
	}
	return t;
}

/* Look ahead. */
const struct tok *lexer_peek(struct lexer *l, int k)
{
	while (l->n_ahead <= k)
		l->ahead[l->n_ahead++] = next_tok(l);
	return &l->ahead[k];
}

/* Take the next token. */
struct tok lexer_take(struct lexer *l)
{
	struct tok t = *lexer_peek(l, 0);

	l->n_ahead--;
	for (int i = 0; i < l->n_ahead; i++)
		l->ahead[i] = l->ahead[i + 1];
	return t;
}

/* Can it be a value or a name? */
bool tok_text(const struct tok *t)
{
	return t->kind == TOK_WORD || t->kind == TOK_SINGLE || t->kind == TOK_DOUBLE;
}

/* For a sentence. */
const char *tok_show(const struct tok *t, char out[64])
{
	if (t->kind == TOK_END)
		snprintf(out, 64, "the end of the file");
	else if (t->kind == TOK_SINGLE || t->kind == TOK_DOUBLE)
		snprintf(out, 64, "a string");
	else
		snprintf(out, 64, "'%.*s%s'", (int)(t->text.n < 40 ? t->text.n : 40), t->text.p, t->text.n > 40 ? "..." : "");
	return out;
}
