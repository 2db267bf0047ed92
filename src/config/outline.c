/* The outline of a configuration's text: see outline.h. outlinefile.c has the files. */
#include "config/outline.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "config/lexer.h"

#define CLEAN_MAX (16 * OUTLINE_FILE_MAX)

/* One file while it is outlined. */
struct outliner {
	struct outline *o;
	struct lexer l;
	const struct source *file;
	int depth;
	bool lost; /* something was unexpected: silent until something fits again */
};

/* An empty outline. */
void outline_init(struct outline *o, struct arena *a, struct problems *p)
{
	*o = (struct outline){ .arena = a, .problems = p, .clean = STRBUF_SECRET(CLEAN_MAX) };
}

/* Give it back. */
void outline_release(struct outline *o)
{
	strbuf_release(&o->clean);
	vec_release(&o->entries);
	vec_release(&o->sections);
	vec_release(&o->lines);
}

/* The place of a line of this file. */
static struct place at(const struct outliner *r, int line)
{
	return (struct place){ r->file, line };
}

/* Say that a token has no business here; once for a run of them. */
static void unexpected(struct outliner *r, const struct tok *t, const char *wanted)
{
	char show[64];

	if (!r->lost && !t->bad)
		problem_add(r->o->problems, at(r, t->line), ERR_CONF, "unexpected %s; %s", tok_show(t, show), wanted);
	r->lost = true;
}

/* Whether so much is wrong that nobody would read more. */
static bool hopeless(const struct outliner *r)
{
	return r->o->problems->n >= PROBLEMS_MAX;
}

/* Whether the section name is one that we know, and that stands outside of others. */
static bool is_section(const struct tok *t)
{
	if (t->kind == TOK_WORD) {
		size_t n;
		const struct section *s = schema_sections(&n);

		for (size_t i = 0; i < n; i++)
			if (!s[i].inside && !s[i].none && slice_eqs(t->text, s[i].name))
				return true;
	}
	return false;
}

/* A name as a C string of the arena. */
static const char *name_of(struct outliner *r, const struct tok *t)
{
	const char *s = arena_str(r->o->arena, t->text);

	if (!s)
		r->o->oom = true;
	return s ? s : "";
}

/* The text as a C string of the arena, and the buffer is given back. */
static const char *kept(struct outliner *r, struct strbuf *b)
{
	const char *s = arena_str(r->o->arena, strbuf_slice(b));

	strbuf_release(b);
	return s ? s : "";
}

/* The keys of a section, "a|b|c". */
static const char *key_names(struct outliner *r, const struct section *def)
{
	struct strbuf b = STRBUF_INIT(8192);
	size_t n;
	const struct key *k = schema_keys(&n);

	for (size_t i = 0; i < n; i++)
		if (strcmp(k[i].section, def->name) == 0)
			strbuf_printf(&b, "%s%s", b.len > 0 ? "|" : "", k[i].name);
	return kept(r, &b);
}

/* The sections that a section holds, or those that stand outside of all, "a|b|c". */
static const char *section_names(struct outliner *r, const char *inside)
{
	struct strbuf b = STRBUF_INIT(8192);
	size_t n;
	const struct section *s = schema_sections(&n);

	for (size_t i = 0; i < n; i++)
		if (inside ? schema_inside(&s[i], inside) : !s[i].inside && !s[i].none)
			strbuf_printf(&b, "%s%s", b.len > 0 ? "|" : "", s[i].name);
	return kept(r, &b);
}

/* Say that a section is not known, what was meant, or what there is. */
static void unknown_section(struct outliner *r, const struct tok *t)
{
	struct problems *p = r->o->problems;
	const char *name = name_of(r, t), *all = section_names(r, NULL), *near = problem_near(p, name, all);
	const struct section *nested = schema_section(name);

	if (nested && nested->inside)
		problem_add(p, at(r, t->line), ERR_CONF, "%s sections stand inside of a %s section", name, problem_words(p, nested->inside));
	else if (*near)
		problem_add(p, at(r, t->line), ERR_CONF, "unknown section '%s'%s", name, near);
	else
		problem_add(p, at(r, t->line), ERR_CONF, "unknown section '%s'; there are %s", name, problem_words(p, all));
}

/* Say that a key is not known; the one that was perhaps meant, or NULL. */
static const struct key *unknown_key(struct outliner *r, const struct tok *t, const struct section *def)
{
	struct problems *p = r->o->problems;
	const char *name = name_of(r, t), *all = key_names(r, def), *near = problem_nearest(p, name, all);

	if (near) {
		problem_add(p, at(r, t->line), ERR_CONF, "unknown key '%s' in %s; did you mean '%s'?", name, def->name, near);
		return schema_key(def->name, near);
	}
	problem_add(p, at(r, t->line), ERR_CONF, "unknown key '%s'; %s knows %s", name, def->name, problem_words(p, all));
	return NULL;
}

/* Pass over "{ ... }" with all that it holds. */
static void skip_block(struct outliner *r)
{
	struct tok open = lexer_take(&r->l), t;
	int depth = 1;

	while (depth > 0) {
		t = lexer_take(&r->l);
		if (t.kind == TOK_OPEN)
			depth++;
		else if (t.kind == TOK_CLOSE)
			depth--;
		else if (t.kind == TOK_END) {
			problem_add(r->o->problems, at(r, open.line), ERR_CONF, "this '{' has no '}'");
			return;
		}
	}
}

/* Write a value so that libconfuse reads it as it was meant. */
static void put_value(struct outline *o, const struct tok *t)
{
	char quote = t->kind == TOK_DOUBLE || t->env ? '"' : '\'';

	strbuf_putc(&o->clean, quote);
	if (t->kind != TOK_WORD)
		strbuf_putsl(&o->clean, t->text);
	for (size_t i = 0; t->kind == TOK_WORD && i < t->text.n; i++) {
		if (t->text.p[i] == '\\')
			strbuf_putc(&o->clean, '\\');
		strbuf_putc(&o->clean, t->text.p[i]);
	}
	strbuf_putc(&o->clean, quote);
}

/* Whether the token ahead is a value of the key before, and not the next key. */
static bool value_ahead(struct outliner *r)
{
	const struct tok *t = lexer_peek(&r->l, 0);
	enum tok_kind next;

	if (!tok_text(t))
		return false;
	if (t->kind != TOK_WORD)
		return true;
	next = lexer_peek(&r->l, 1)->kind;
	return next != TOK_EQ && next != TOK_ADD;
}

/* Take one value; what is wrong with it makes the entry bad. */
static void take_value(struct outliner *r, struct outline_entry *e)
{
	struct tok t = lexer_take(&r->l);

	if (e->key && e->key->type == KEY_SECRET && t.env) {
		problem_add(r->o->problems, at(r, t.line), ERR_CONF,
			    "%s holds '${', which would be replaced by a variable; put it in single quotes: '...'", e->key->name);
		e->bad = true;
	}
	e->bad = e->bad || t.bad;
	if (e->n >= OUTLINE_VALUES_MAX) {
		if (e->n++ == OUTLINE_VALUES_MAX)
			problem_add(r->o->problems, at(r, t.line), ERR_CONF, "more than %d values in one list", OUTLINE_VALUES_MAX);
		e->bad = true;
		return;
	}
	if (e->n++ > 0)
		strbuf_putc(&r->o->clean, ',');
	put_value(r->o, &t);
	if (vec_push(&r->o->lines, t.line) < 0)
		r->o->oom = true;
}

/* "{ a, b }" */
static void take_list(struct outliner *r, struct outline_entry *e)
{
	struct tok open = lexer_take(&r->l);
	bool comma = true;

	for (;;) {
		const struct tok *t = lexer_peek(&r->l, 0);

		if (t->kind == TOK_CLOSE) {
			lexer_take(&r->l);
			return;
		}
		if (t->kind == TOK_COMMA && !comma) {
			lexer_take(&r->l);
			comma = true;
			continue;
		}
		if (!value_ahead(r)) {
			if (t->kind == TOK_COMMA) {
				unexpected(r, t, "a value stands before each ','");
				lexer_take(&r->l);
			} else {
				problem_add(r->o->problems, at(r, open.line), ERR_CONF, "this list has no '}'");
				e->bad = true;
				return;
			}
			e->bad = true;
			continue;
		}
		if (!comma && !e->bad) {
			problem_add(r->o->problems, at(r, t->line), ERR_CONF, "a ',' is missing before this value");
			e->bad = true;
		}
		take_value(r, e);
		comma = false;
	}
}

/* Words behind a value on its line: a command without quotes, most likely. */
static void skip_rest(struct outliner *r, struct outline_entry *e, const char *name, int line)
{
	bool said = e->bad;

	for (;;) {
		const struct tok *t = lexer_peek(&r->l, 0);
		enum tok_kind next;

		if (!tok_text(t) || t->line != line)
			return;
		next = lexer_peek(&r->l, 1)->kind;
		if (t->kind == TOK_WORD && (next == TOK_EQ || next == TOK_ADD || next == TOK_OPEN || next == TOK_LPAR))
			return;
		if (is_section(t) || (t->kind == TOK_WORD && tok_text(lexer_peek(&r->l, 1)) && lexer_peek(&r->l, 2)->kind == TOK_OPEN))
			return;
		if (!said)
			problem_add(r->o->problems, at(r, line), ERR_CONF, "more than one word follows '%s ='; put the whole value in quotes", name);
		said = true;
		e->bad = true;
		lexer_take(&r->l);
	}
}

/* Whether the section had this key before; where. */
static const struct outline_entry *before(struct outliner *r, size_t first, const struct key *k)
{
	for (size_t i = first; i < r->o->entries.n; i++)
		if (r->o->entries.a[i].key == k && !r->o->entries.a[i].misnamed)
			return &r->o->entries.a[i];
	return NULL;
}

/* What may be said against a key before its value is seen. */
static void check_key(struct outliner *r, struct outline_entry *e, const struct section *def, const struct tok *name, bool add, size_t first)
{
	const struct outline_entry *old;
	struct problems *p = r->o->problems;

	e->bad = true;
	if (!e->key) {
		e->key = unknown_key(r, name, def);
		e->misnamed = true;
		return;
	}
	old = before(r, first, e->key);
	if (add && e->key->type != KEY_LIST)
		problem_add(p, e->at, ERR_CONF, "'+=' is for lists; %s takes one value, with '='", e->key->name);
	else if (old && !add)
		problem_add(p, e->at, ERR_CONF, "%s is given twice%s, first in line %d", e->key->name, def->none ? "" : " in this section", old->at.line);
	else
		e->bad = false;
}

/* "key = value", "key = {a, b}", "key += {a, b}". The key and the '=' are ahead. */
static void entry(struct outliner *r, const struct section *def, size_t first)
{
	struct outline *o = r->o;
	struct tok name = lexer_take(&r->l), op = lexer_take(&r->l);
	struct outline_entry e = { .at = at(r, name.line), .first = o->lines.n };
	size_t clean = o->clean.len;
	const char *text = name_of(r, &name);
	int line;

	r->lost = false;
	e.key = schema_key(def->name, text);
	check_key(r, &e, def, &name, op.kind == TOK_ADD, first);
	r->l.secret = e.key && e.key->type == KEY_SECRET;
	line = lexer_peek(&r->l, 0)->line;
	strbuf_printf(&o->clean, "%s %s {", text, op.kind == TOK_ADD ? "+=" : "=");
	if (lexer_peek(&r->l, 0)->kind == TOK_OPEN) {
		if (!e.bad && e.key && e.key->type != KEY_LIST) {
			problem_add(o->problems, e.at, ERR_CONF, "%s takes one value, not a list", text);
			e.bad = true;
		}
		take_list(r, &e);
	} else if (value_ahead(r)) {
		take_value(r, &e);
		r->l.secret = false;
		skip_rest(r, &e, text, line);
	} else if (!e.bad) {
		problem_add(o->problems, e.at, ERR_CONF, "%s has no value; an empty one is \"\"", text);
		e.bad = true;
	} else {
		e.bad = true;
	}
	r->l.secret = false;
	strbuf_puts(&o->clean, "}\n");
	if (e.bad) {
		strbuf_cut(&o->clean, clean);
		e.n = 0;
	}
	if (e.key && vec_push(&o->entries, e) < 0)
		o->oom = true;
}

/* Pass over "( ... )". */
static void skip_call(struct outliner *r)
{
	struct tok t = lexer_take(&r->l);

	while (t.kind != TOK_RPAR && t.kind != TOK_END) {
		if (lexer_peek(&r->l, 0)->kind == TOK_CLOSE || lexer_peek(&r->l, 0)->kind == TOK_OPEN)
			return;
		t = lexer_take(&r->l);
	}
}

static void known(struct outliner *r, const struct section *def, const struct tok *name, const struct tok *title, size_t parent);

/* A section inside of another. Its name and perhaps title are ahead. */
static void inner_section(struct outliner *r, const struct section *outer, size_t parent, bool titled)
{
	struct tok name = lexer_take(&r->l), title = { .kind = TOK_END };
	const struct section *def = schema_section(name_of(r, &name));
	const char *holds = section_names(r, outer->name);
	char show[64];

	r->lost = false;
	if (titled)
		title = lexer_take(&r->l);
	if (def && schema_inside(def, outer->name)) {
		known(r, def, &name, titled ? &title : NULL, parent);
		return;
	}
	problem_add(r->o->problems, at(r, name.line), ERR_CONF, "unknown section %s inside of %s; %s holds %s", tok_show(&name, show), outer->name, outer->name,
		    *holds ? problem_words(r->o->problems, holds) : "none");
	skip_block(r);
}

/* Something in a section that isn't a key. Whether the section ends here, without its '}'. */
static bool not_a_key(struct outliner *r, const struct section *def, int opened, size_t self)
{
	const struct tok *t = lexer_peek(&r->l, 0);
	enum tok_kind next = lexer_peek(&r->l, 1)->kind, third = lexer_peek(&r->l, 2)->kind;
	bool titled = tok_text(lexer_peek(&r->l, 1)) && third == TOK_OPEN;
	char show[64];

	if (t->kind == TOK_WORD && (next == TOK_OPEN || titled)) {
		if (is_section(t)) {
			problem_add(r->o->problems, at(r, t->line), ERR_CONF, "%s begins inside of the %s section of line %d; a '}' is missing before it",
				    tok_show(t, show), def->name, opened);
			return true;
		}
		inner_section(r, def, self, titled);
		return false;
	}
	if (t->kind == TOK_WORD && next == TOK_LPAR) {
		problem_add(r->o->problems, at(r, t->line), ERR_CONF, "%s(...) can't stand inside of a section; include(\"FILE\") stands outside of all",
			    tok_show(t, show));
		lexer_take(&r->l);
		skip_call(r);
		return false;
	}
	unexpected(r, t, "'key = value' or '}' is wanted here");
	lexer_take(&r->l);
	return false;
}

/* What stands between the braces. */
static void body(struct outliner *r, const struct section *def, struct place opened, size_t first, size_t self)
{
	for (;;) {
		const struct tok *t = lexer_peek(&r->l, 0);
		enum tok_kind next;

		if (hopeless(r))
			return;
		if (t->kind == TOK_CLOSE) {
			lexer_take(&r->l);
			return;
		}
		if (t->kind == TOK_END) {
			problem_add(r->o->problems, opened, ERR_CONF, "this %s section has no '}'", def->name);
			return;
		}
		next = lexer_peek(&r->l, 1)->kind;
		if (t->kind == TOK_WORD && (next == TOK_EQ || next == TOK_ADD))
			entry(r, def, first);
		else if (not_a_key(r, def, opened.line, self))
			return;
	}
}

/* A section that we know: its name and perhaps title are taken, '{' is ahead. parent: the section that holds it, or SIZE_MAX. */
static void known(struct outliner *r, const struct section *def, const struct tok *name, const struct tok *title, size_t parent)
{
	struct outline *o = r->o;
	struct outline_section s = { .def = def, .at = at(r, name->line), .titled = title && !title->bad, .parent = parent, .first = o->entries.n };
	size_t self = o->sections.n;

	if (o->sections.n >= OUTLINE_SECTIONS_MAX) {
		if (o->sections.n == OUTLINE_SECTIONS_MAX && !o->too_many)
			problem_add(o->problems, s.at, ERR_CONF, "more than %d sections", OUTLINE_SECTIONS_MAX);
		o->too_many = true;
		skip_block(r);
		return;
	}
	if (vec_push(&o->sections, s) < 0) { /* now, so that it stands before those that it holds */
		o->oom = true;
		skip_block(r);
		return;
	}
	if (!title)
		problem_add(o->problems, s.at, ERR_CONF, "this %s has no name: %s NAME { ... }", def->name, def->name);
	strbuf_printf(&o->clean, "%s%s '%zu' {\n", def->inside ? OUTLINE_INNER : "", def->name, self);
	if (s.titled) {
		strbuf_puts(&o->clean, "title = {");
		put_value(o, title);
		strbuf_puts(&o->clean, "}\n");
	}
	lexer_take(&r->l);
	body(r, def, s.at, s.first, self);
	strbuf_puts(&o->clean, "}\n");
	o->sections.a[self].n = o->entries.n - s.first;
}

/* NAME [TITLE] { ... }: the tokens are ahead. */
static void section(struct outliner *r, bool titled)
{
	struct tok name = lexer_take(&r->l), title = { .kind = TOK_END };
	const struct section *def = schema_section(name_of(r, &name));

	r->lost = false;
	if (titled)
		title = lexer_take(&r->l);
	if (def && !def->inside && !def->none) {
		known(r, def, &name, titled ? &title : NULL, SIZE_MAX);
		return;
	}
	unknown_section(r, &name);
	skip_block(r);
}

/* include("FILE"): the name and '(' are ahead. */
static void include(struct outliner *r)
{
	struct tok name = lexer_take(&r->l), arg;
	struct place here = at(r, name.line);
	struct strbuf path = STRBUF_INIT(4096);
	struct problems *p = r->o->problems;
	const char *slash = strrchr(r->file->name, '/');
	struct err e = ERR_INIT;
	char *full;

	r->lost = false;
	if (!slice_eqs(name.text, "include") || !tok_text(lexer_peek(&r->l, 1)) || lexer_peek(&r->l, 2)->kind != TOK_RPAR) {
		problem_add(p, here, ERR_CONF, "the only call there is has one argument: include(\"FILE\")");
		skip_call(r);
		return;
	}
	lexer_take(&r->l);
	arg = lexer_take(&r->l);
	lexer_take(&r->l);
	if (arg.bad)
		return;
	if (arg.env || memchr(arg.text.p, '\\', arg.text.n) || arg.text.n == 0) {
		problem_add(p, here, ERR_CONF, "include takes a plain file name, without '${' and '\\'; ~ and $HOME may begin it");
		return;
	}
	if (arg.text.p[0] != '/' && arg.text.p[0] != '~' && !slice_starts(arg.text, "$HOME") && slash)
		strbuf_put(&path, r->file->name, (size_t)(slash - r->file->name) + 1);
	strbuf_putsl(&path, arg.text);
	full = path.failed ? NULL : fs_expand(strbuf_str(&path), &e);
	if (path.failed)
		problem_add(p, here, ERR_CONF, "the file name is too long");
	else if (!full)
		problem_err(p, here, &e);
	else
		outline_file(r->o, full, &here, r->depth + 1);
	free(full);
	strbuf_release(&path);
}

/* "key = value" outside of all sections: to libconfuse it is a section of its own. The key and the '=' are ahead. */
static void bare_entry(struct outliner *r)
{
	struct outline *o = r->o;
	struct outline_section s = { .def = schema_section(SECTION_NONE), .at = at(r, lexer_peek(&r->l, 0)->line), .parent = SIZE_MAX, .first = o->entries.n };
	size_t clean = o->clean.len;

	strbuf_printf(&o->clean, "%s '%zu' {\n", s.def->name, o->sections.n);
	entry(r, s.def, 0);
	strbuf_puts(&o->clean, "}\n");
	s.n = o->entries.n - s.first;
	if (o->sections.n >= OUTLINE_SECTIONS_MAX)
		strbuf_cut(&o->clean, clean); /* it was said, or will be with what follows */
	else if (vec_push(&o->sections, s) < 0)
		o->oom = true;
}

/* Is the word one of them? */
static bool is_bare(struct outliner *r, const struct tok *t)
{
	return t->kind == TOK_WORD && schema_key(SECTION_NONE, name_of(r, t));
}

/* One thing of the top level. */
static void section_or_call(struct outliner *r)
{
	const struct tok *t = lexer_peek(&r->l, 0);
	enum tok_kind next = lexer_peek(&r->l, 1)->kind, third = lexer_peek(&r->l, 2)->kind;
	char show[64];

	if (t->kind == TOK_WORD && next == TOK_LPAR) {
		include(r);
	} else if (t->kind == TOK_WORD && next == TOK_OPEN) {
		section(r, false);
	} else if (t->kind == TOK_WORD && third == TOK_OPEN && tok_text(lexer_peek(&r->l, 1))) {
		section(r, true);
	} else if (is_bare(r, t) && (next == TOK_EQ || next == TOK_ADD)) {
		bare_entry(r);
	} else if (t->kind == TOK_WORD && (next == TOK_EQ || next == TOK_ADD)) {
		struct outline_entry none = { .bad = true };
		size_t clean = r->o->clean.len;
		int line = t->line;

		problem_add(r->o->problems, at(r, line), ERR_CONF, "%s stands outside of all sections; keys stand in %s; only %s outside of them", tok_show(t, show),
			    problem_words(r->o->problems, section_names(r, NULL)), problem_words(r->o->problems, key_names(r, schema_section(SECTION_NONE))));
		r->lost = false;
		lexer_take(&r->l);
		lexer_take(&r->l);
		if (lexer_peek(&r->l, 0)->kind == TOK_OPEN)
			take_list(r, &none);
		else if (value_ahead(r)) {
			take_value(r, &none);
			skip_rest(r, &none, "", line);
		}
		strbuf_cut(&r->o->clean, clean);
	} else {
		unexpected(r, t, "SECTION NAME { ... } is wanted here");
		lexer_take(&r->l);
	}
}

/* Outline a text. */
void outline_source(struct outline *o, const struct source *file, struct slice text, int depth)
{
	struct outliner r = { .o = o, .file = file, .depth = depth };
	const char *nul = text.n > 0 ? memchr(text.p, '\0', text.n) : NULL;
	int line = 1;

	if (nul) {
		for (const char *p = text.p; p < nul; p++)
			line += *p == '\n';
		problem_add(o->problems, (struct place){ file, line }, ERR_CONF, "a NUL byte: this is no text file");
		return;
	}
	lexer_init(&r.l, file, text, o->problems);
	while (!hopeless(&r) && lexer_peek(&r.l, 0)->kind != TOK_END)
		section_or_call(&r);
}
