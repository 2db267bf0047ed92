/* Typed sections: see parse.h. libconfuse evaluates what the outline left: strings with their escapes and variables, lists, sections. */
#include "config/parse.h"

#include <confuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/outline.h"
#include "config/value.h"

#define TITLE "title" /* the list that holds a section's name in the outline's text */
#define NAME_MAX_LEN 64

/* What a section is called in the outline's text. NULL: out of memory. */
static const char *clean_name(struct arena *a, const struct section *def)
{
	struct strbuf b = STRBUF_INIT(256);
	const char *name;

	strbuf_printf(&b, "%s%s", def->inside ? OUTLINE_INNER : "", def->name);
	name = arena_str(a, strbuf_slice(&b));
	strbuf_release(&b);
	return name;
}

/* The options of one kind of section, and the sections that it holds, for libconfuse. NULL: out of memory. */
static cfg_opt_t *options(struct arena *a, const struct section *def)
{
	size_t n, n_sections, m = 0;
	const struct key *k = schema_keys(&n);
	const struct section *s = schema_sections(&n_sections);
	cfg_opt_t *opts = arena_new(a, cfg_opt_t, n + n_sections + 2);

	if (!opts)
		return NULL;
	for (size_t i = 0; i < n_sections; i++)
		if (schema_inside(&s[i], def->name)) {
			opts[m] = (cfg_opt_t){ .name = clean_name(a, &s[i]), .type = CFGT_SEC, .flags = CFGF_MULTI | CFGF_TITLE, .subopts = options(a, &s[i]) };
			if (!opts[m].name || !opts[m].subopts)
				return NULL;
			m++;
		}
	opts[m++] = (cfg_opt_t){ .name = TITLE, .type = CFGT_STR, .flags = CFGF_LIST };
	for (size_t i = 0; i < n; i++)
		if (strcmp(k[i].section, def->name) == 0)
			opts[m++] = (cfg_opt_t){ .name = k[i].name, .type = CFGT_STR, .flags = CFGF_LIST };
	return opts; /* zeroed behind: the end */
}

/* The whole schema for libconfuse. */
static cfg_opt_t *root_options(struct arena *a)
{
	size_t n, m = 0;
	const struct section *s = schema_sections(&n);
	cfg_opt_t *opts = arena_new(a, cfg_opt_t, n + 1);

	for (size_t i = 0; opts && i < n; i++) {
		if (s[i].inside)
			continue;
		opts[m] = (cfg_opt_t){ .name = s[i].name, .type = CFGT_SEC, .flags = CFGF_MULTI | CFGF_TITLE, .subopts = options(a, &s[i]) };
		if (!opts[m++].subopts)
			return NULL;
	}
	return opts;
}

/* Keep libconfuse from printing: the first text stays with its section, where nothing else uses the comment. */
static void on_error(cfg_t *cfg, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
static void on_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	if (!cfg->comment && vasprintf(&cfg->comment, fmt, ap) < 0)
		cfg->comment = NULL;
}

/* Let libconfuse read the outline's text. NULL: its refusal is a broken invariant, for the outline leaves nothing to refuse. */
static cfg_t *evaluate(struct outline *o, struct err *e)
{
	cfg_opt_t *opts = root_options(o->arena);
	cfg_t *cfg = opts ? cfg_init(opts, CFGF_NONE) : NULL;

	if (!cfg || o->clean.failed) {
		if (cfg)
			cfg_free(cfg);
		err_set(e, ERR_LOCAL, "out of memory for the configuration");
		return NULL;
	}
	cfg_set_error_function(cfg, on_error);
	if (cfg_parse_buf(cfg, strbuf_str(&o->clean)) != CFG_SUCCESS) {
		err_set(e, ERR_BUG, "libconfuse refuses the outlined configuration: %s", cfg->comment ? cfg->comment : "in a section");
		cfg_free(cfg);
		return NULL;
	}
	return cfg;
}

/* Wipe what libconfuse holds of secrets before it frees them. */
static void wipe(cfg_t *cfg)
{
	size_t n;
	const struct key *k = schema_keys(&n);

	for (size_t i = 0; i < n; i++)
		for (unsigned s = 0; k[i].type == KEY_SECRET && s < cfg_size(cfg, k[i].section); s++) {
			char *text = cfg_getstr(cfg_getnsec(cfg, k[i].section, s), k[i].name);

			if (text)
				explicit_bzero(text, strlen(text));
		}
}

/* The name of a section: it stands in file names, messages and store specs, so it is kept plain. */
static const char *check_name(const struct outline_section *s, const char *text, struct arena *a, struct problems *p)
{
	size_t n = strlen(text);
	bool ok = n > 0 && n <= NAME_MAX_LEN && text[0] != '-' && text[0] != '.';

	for (size_t i = 0; i < n; i++) {
		char c = text[i];

		ok = ok && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("._-@+", c));
	}
	if (!ok) {
		problem_add(p, s->at, ERR_CONF, "'%s' can't be a name; allowed are letters, digits, and . _ - @ + behind the first, at most %d", text,
			    NAME_MAX_LEN);
		return NULL;
	}
	return arena_str(a, slice_str(text));
}

/* One key of a section, which may have been given in parts ("+="). The values come from libconfuse, the lines from the outline. */
static int take_key(const struct outline *o, const struct outline_section *os, size_t i, cfg_t *sec, struct parsed *out, struct problems *p,
		    struct err *e)
{
	const struct outline_entry *first = &o->entries.a[os->first + i];
	struct given g = { .key = first->key, .at = first->at };
	cfg_opt_t *opt = cfg_getopt(sec, first->key->name);
	const char **v;
	int *lines;

	for (size_t j = 0; j < i; j++)
		if (o->entries.a[os->first + j].key == first->key)
			return 0; /* taken with the first */
	for (size_t j = i; j < os->n; j++) {
		const struct outline_entry *en = &o->entries.a[os->first + j];

		if (en->key == g.key) {
			g.n += en->n;
			g.bad = g.bad || en->bad;
		}
	}
	v = arena_new(o->arena, const char *, g.n + 1);
	lines = arena_new(o->arena, int, g.n + 1);
	if (!v || !lines)
		return err_set(e, ERR_LOCAL, "out of memory for the configuration");
	if (!opt || cfg_opt_size(opt) != g.n)
		return err_set(e, ERR_BUG, "libconfuse counts %u values of %s where the outline has %zu", opt ? cfg_opt_size(opt) : 0, g.key->name, g.n);
	for (size_t j = i, n = 0; j < os->n; j++)
		if (o->entries.a[os->first + j].key == g.key)
			for (size_t m = 0; m < o->entries.a[os->first + j].n; m++, n++) {
				v[n] = cfg_opt_getnstr(opt, (unsigned)n);
				lines[n] = o->lines.a[o->entries.a[os->first + j].first + m];
			}
	g.lines = lines;
	if (!g.bad && value_set(g.key, out->keys, v, lines, g.n, g.at, p) < 0)
		g.bad = true;
	out->given[out->n_given++] = g;
	return 0;
}

/* One section: defaults, then what it says, then what it should have said. */
static int take_section(const struct outline *o, const struct outline_section *os, cfg_t *sec, struct parsed *out, struct problems *p,
			struct err *e)
{
	size_t n;
	const struct key *k = schema_keys(&n);
	char *keys = arena_alloc(o->arena, 1, os->def->size);

	out->def = os->def;
	out->at = os->at;
	out->keys = keys;
	out->given = arena_new(o->arena, struct given, os->n + 1);
	if (!out->keys || !out->given)
		return err_set(e, ERR_LOCAL, "out of memory for the configuration");
	for (size_t i = 0; i < n; i++)
		if (strcmp(k[i].section, os->def->name) == 0 && value_default(&k[i], out->keys, p) < 0)
			return err_set(e, ERR_BUG, "the default of %s can't be taken", k[i].name);
	if (os->titled && os->def->inside) {
		out->name = arena_str(o->arena, slice_str(cfg_getnstr(sec, TITLE, 0)));
		if (!out->name)
			return err_set(e, ERR_LOCAL, "out of memory for the configuration");
	} else if (os->titled) {
		out->name = check_name(os, cfg_getnstr(sec, TITLE, 0), o->arena, p);
	}
	for (size_t i = 0; i < os->n; i++)
		if (strcmp(o->entries.a[os->first + i].key->section, os->def->name) == 0 && take_key(o, os, i, sec, out, p, e) < 0)
			return -1;
	for (size_t i = 0; i < n; i++)
		if (k[i].required && strcmp(k[i].section, os->def->name) == 0 && !parsed_given(out, keys + k[i].off))
			problem_add(p, os->at, ERR_CONF, "%s %s needs '%s = %s'", os->def->name, out->name ? out->name : "", k[i].name, k[i].arg);
	return 0;
}

/* Remember where secrets are. */
static int note_secrets(struct parsed_list *out, const struct parsed *s)
{
	for (size_t i = 0; i < s->n_given; i++) {
		char *text;

		if (s->given[i].bad || s->given[i].key->type != KEY_SECRET)
			continue;
		memcpy(&text, (char *)s->keys + s->given[i].key->off, sizeof(text));
		if (vec_push(&out->secrets, text) < 0)
			return -1;
	}
	return 0;
}

/* All sections, in the order of the files; what a section holds stands behind it. */
static int take_all(const struct outline *o, cfg_t *cfg, struct parsed_list *out, struct problems *p, struct err *e)
{
	cfg_t **secs = arena_new(o->arena, cfg_t *, o->sections.n + 1);

	out->a = arena_new(o->arena, struct parsed, o->sections.n + 1);
	if (!out->a || !secs)
		return err_set(e, ERR_LOCAL, "out of memory for the configuration");
	for (size_t i = 0; i < o->sections.n; i++) {
		const struct outline_section *os = &o->sections.a[i];
		const char *name = clean_name(o->arena, os->def);
		bool nested = os->parent != SIZE_MAX;
		unsigned before = 0;

		for (size_t j = nested ? os->parent + 1 : 0; j < i; j++)
			before += o->sections.a[j].def == os->def;
		if (!name)
			return err_set(e, ERR_LOCAL, "out of memory for the configuration");
		secs[i] = cfg_getnsec(nested ? secs[os->parent] : cfg, name, before);
		if (!secs[i])
			return err_set(e, ERR_BUG, "libconfuse lost a section");
		if (nested)
			out->a[i].parent = &out->a[os->parent];
		if (take_section(o, os, secs[i], &out->a[i], p, e) < 0)
			return -1;
		if (note_secrets(out, &out->a[out->n++]) < 0)
			return err_set(e, ERR_LOCAL, "out of memory for the configuration");
	}
	return 0;
}

/* Evaluate an outline. */
static int parse_outline(struct outline *o, struct parsed_list *out, struct err *e)
{
	cfg_t *cfg;
	int rc;

	if (o->oom)
		return err_set(e, ERR_LOCAL, "out of memory for the configuration");
	cfg = evaluate(o, e);
	if (!cfg)
		return -1;
	rc = take_all(o, cfg, out, o->problems, e);
	wipe(cfg);
	cfg_free(cfg);
	return rc;
}

/* Parse a file. */
int parse_file(const char *path, struct arena *a, struct problems *p, struct parsed_list *out, struct err *e)
{
	struct outline o;
	int rc;

	outline_init(&o, a, p);
	outline_file(&o, path, NULL, 0);
	rc = parse_outline(&o, out, e);
	outline_release(&o);
	return rc;
}

/* Parse a text. */
int parse_text(const char *name, struct slice text, struct arena *a, struct problems *p, struct parsed_list *out, struct err *e)
{
	struct outline o;
	int rc;

	outline_init(&o, a, p);
	outline_text(&o, name, text);
	rc = parse_outline(&o, out, e);
	outline_release(&o);
	return rc;
}

/* Find a key by the field that it fills. */
const struct given *parsed_given(const struct parsed *s, const void *field)
{
	for (size_t i = 0; i < s->n_given; i++)
		if ((const char *)s->keys + s->given[i].key->off == (const char *)field)
			return &s->given[i];
	return NULL;
}

/* The place of a key. */
struct place parsed_place(const struct parsed *s, const void *field)
{
	const struct given *g = parsed_given(s, field);

	return g ? g->at : s->at;
}

/* The place of a value. */
struct place parsed_value_place(const struct parsed *s, const void *field, size_t i)
{
	const struct given *g = parsed_given(s, field);
	struct place at = parsed_place(s, field);

	if (g && g->lines && i < g->n)
		at.line = g->lines[i];
	return at;
}
