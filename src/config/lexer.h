/* The words of a configuration text, with their lines: see outline.h for the language. */
#ifndef CONFIG_LEXER_H
#define CONFIG_LEXER_H

#include "config/problems.h"

enum tok_kind { TOK_END, TOK_WORD, TOK_SINGLE, TOK_DOUBLE, TOK_OPEN, TOK_CLOSE, TOK_LPAR, TOK_RPAR, TOK_EQ, TOK_ADD, TOK_COMMA };

struct tok {
	enum tok_kind kind;
	int line;
	struct slice text; /* of strings: what stands between the quotes, as written */
	bool env;          /* holds ${...} that would be replaced */
	bool bad;          /* said to be wrong already */
};

struct lexer {
	struct problems *problems;
	const struct source *file;
	const char *p, *end;
	int line;
	bool secret;       /* "${...}" is not looked up: who takes the token refuses it */
	struct tok ahead[3];
	int n_ahead;
};

void lexer_init(struct lexer *l, const struct source *file, struct slice text, struct problems *p);
const struct tok *lexer_peek(struct lexer *l, int k); /* k 0 to 2; valid until the next take */
struct tok lexer_take(struct lexer *l);

/* Word or string: something that can be a value or a name. */
bool tok_text(const struct tok *t);

/* A token as it can be shown in a sentence; never the inside of a string, which may be a secret. out: 64 bytes. */
const char *tok_show(const struct tok *t, char out[64]);

#endif
