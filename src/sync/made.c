/*
 * Folders that a migration has made at its target: does that show them, and as what? Some servers, and some file systems, take two names for one, of letters that differ in case or
 * in how an accent is written, and say that all went well. See twoway.h.
 */
#include "sync/twoway.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/saslprep.h"

/* A folder that the target shows. */
struct shown {
	const char *name;
	uint64_t messages; /* UINT64_MAX: not known */
};

struct listing {
	struct arena arena;
	VEC(struct shown) a;
};

static int keep(void *arg, const struct folder_info *f, struct err *e)
{
	struct listing *l = arg;
	struct shown s = { .messages = f->messages };

	if (f->attrs & FOLDER_NO_SELECT)
		return 0;
	s.name = arena_str(&l->arena, slice_str(f->name));
	return !s.name || vec_push(&l->a, s) < 0 ? twoway_no_memory(e) : 0;
}

/* A name without what some don't count: case, how accents are written, blanks around a level. */
static void fold(const char *name, struct strbuf *out)
{
	struct strbuf s = STRBUF_INIT(4 * BOXNAME_MAX);

	if (saslprep(slice_str(name), &s) < 0) { /* too long for it */
		strbuf_release(&s);
		strbuf_puts(out, name);
		return;
	}
	for (size_t i = 0; i < s.len; i++) {
		char c = s.s[i];

		if (c == ' ' && (out->len == 0 || out->s[out->len - 1] == '/' || out->s[out->len - 1] == ' '))
			continue;
		while (c == '/' && out->len > 0 && out->s[out->len - 1] == ' ')
			strbuf_cut(out, out->len - 1);
		strbuf_putc(out, c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c);
	}
	while (out->len > 0 && out->s[out->len - 1] == ' ')
		strbuf_cut(out, out->len - 1);
	strbuf_release(&s);
}

static bool same_to_some(const char *a, const char *b)
{
	struct strbuf x = STRBUF_INIT(8 * BOXNAME_MAX), y = STRBUF_INIT(8 * BOXNAME_MAX);
	bool same;

	fold(a, &x);
	fold(b, &y);
	same = !x.failed && !y.failed && slice_eq(strbuf_slice(&x), strbuf_slice(&y));
	strbuf_release(&x);
	strbuf_release(&y);
	return same;
}

/* Whose is this name at the target already? NULL: nobody's. */
static const struct box *owner(const struct twoway *g, const char *right)
{
	for (size_t i = 0; i < g->boxes.n; i++) {
		const struct box *b = &g->boxes.a[i];

		if ((b->f->on_left || b->f->base.id != 0) && strcmp(b->f->right, right) == 0)
			return b;
	}
	return NULL;
}

void made_hint(const struct box *b, struct err *why)
{
	char name[120];

	err_hint(why, "folder \"%s\" { to = \"...\" } gives it another name there", err_printable(name, sizeof(name), b->f->left, strlen(b->f->left)));
}

static int refuse(struct twoway *g, struct box *b, struct err *why)
{
	made_hint(b, why);
	box_failed(g, b, why);
	return 0;
}

/* The target calls it so. That is noted at once: it is found under this name from now on. */
static int call(struct twoway *g, struct box *b, const struct shown *s, struct err *e)
{
	char text[ERR_TEXT_MAX], left[120], right[120];
	struct err why = ERR_INIT;

	b->f->right = arena_str(&g->folders.arena, slice_str(s->name));
	if (!b->f->right)
		return twoway_no_memory(e);
	err_printable(left, sizeof(left), b->f->left, strlen(b->f->left));
	err_printable(right, sizeof(right), s->name, strlen(s->name));
	if (s->messages == 0) {
		snprintf(text, sizeof(text), "folder '%s' is called '%s' at the target", left, right);
		twoway_warn(g, text);
		return 0; /* it gets its row as all that are made */
	}
	if (!db_in_transaction(g->db) && db_begin(g->db, e) < 0)
		return -1;
	if (folders_get(g->db, b->f->left, b->f->right, &b->f->base, e) < 0) {
		db_rollback(g->db);
		return -1;
	}
	err_set_span(&why, ERR_REFUSED, SPAN_BOX, "it is called '%s' at the target, and holds mail there: the next run finds out which, and goes on with it", right);
	box_failed(g, b, &why);
	return 0;
}

static int check(struct twoway *g, struct box *b, const struct listing *l, struct err *e)
{
	const struct shown *like = NULL;
	const struct box *other = NULL;
	struct err why = ERR_INIT;
	char name[120];

	for (size_t i = 0; i < l->a.n; i++) {
		if (strcmp(l->a.a[i].name, b->f->right) == 0)
			return 0;
		if (same_to_some(l->a.a[i].name, b->f->right))
			like = &l->a.a[i];
	}
	if (like)
		other = owner(g, like->name);
	if (like && !other)
		return call(g, b, like, e);
	if (other) {
		err_set_span(&why, ERR_REFUSED, SPAN_BOX, "at the target it is the same folder as '%s', and that is where another folder is copied to",
			err_printable(name, sizeof(name), like->name, strlen(like->name)));
		return refuse(g, b, &why);
	}
	err_set_span(&why, ERR_REFUSED, SPAN_BOX, "the target took the name '%s', and does not show a folder that is called so",
		err_printable(name, sizeof(name), b->f->right, strlen(b->f->right)));
	return refuse(g, b, &why);
}

int made_check(struct twoway *g, struct err *e)
{
	struct listing l = { .arena = ARENA_INIT(64 << 20) };
	struct store *target = g->side[RIGHT];
	bool any = false;
	int rc = 0;

	for (size_t i = 0; i < g->boxes.n; i++)
		any |= g->boxes.a[i].create[RIGHT] && !g->boxes.a[i].failed;
	if (any)
		rc = target->ops->folders(target, keep, &l, e);
	for (size_t i = 0; rc == 0 && any && i < g->boxes.n; i++) {
		struct box *b = &g->boxes.a[i];

		if (!b->create[RIGHT] || b->failed)
			continue;
		rc = check(g, b, &l, e);
		if (rc == 0 && !b->failed)
			twoway_tell_tree(g, b, RIGHT, ACTION_CREATE);
	}
	vec_release(&l.a);
	arena_release(&l.arena);
	return rc;
}
