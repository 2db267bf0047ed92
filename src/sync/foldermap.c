/* What a migration's target calls the folders of the source: see folders.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sync/folders_p.h"

/* Roles that are carried over, and the names that they have where nobody says them. */
static const struct {
	unsigned attr;
	const char *name;
} known_names[] = {
	{ FOLDER_SENT, "Sent" },           { FOLDER_SENT, "Sent Items" },       { FOLDER_SENT, "Sent Messages" },
	{ FOLDER_DRAFTS, "Drafts" },       { FOLDER_TRASH, "Trash" },           { FOLDER_TRASH, "Deleted Items" },
	{ FOLDER_TRASH, "Deleted Messages" }, { FOLDER_JUNK, "Junk" },          { FOLDER_JUNK, "Junk Email" },
	{ FOLDER_JUNK, "Junk E-mail" },    { FOLDER_JUNK, "Spam" },             { FOLDER_ARCHIVE, "Archive" },
};

static const unsigned carried[] = { FOLDER_ARCHIVE, FOLDER_DRAFTS, FOLDER_JUNK, FOLDER_SENT, FOLDER_TRASH };

#define ROLES (sizeof(carried) / sizeof(carried[0]))

/* Gmail makes no folder below its own. */
static const char *const closed[] = { "[Gmail]/", "[Google Mail]/" };

/* Whose claim to a name is the better one. */
enum claim_kind { BY_RULE, BY_BASE, BY_INBOX, BY_ROLE, BY_NAME, FITTED };

struct claim {
	const char *right;
	enum claim_kind kind;
	size_t folder;            /* of the left's tree */
};

struct mapping {
	struct reading *r;
	const char *from[ROLES], *to[ROLES]; /* the folders of a role, NULL where one side has none */
	VEC(struct claim) claims;
};

static int no_memory(struct err *e)
{
	return err_set(e, ERR_LOCAL, "out of memory");
}

/* ---- roles ---- */

/* Does the source say of any folder what it is? */
static bool says_roles(const struct reading *r)
{
	for (size_t i = 0; i < r->fs->tree.n; i++)
		if (r->fs->tree.a[i].attrs & FOLDER_ROLES)
			return true;
	return false;
}

/* The place of a well-known name of this role in the list, from 1 on; 0: it is none. */
static size_t well_known(const char *name, unsigned role)
{
	for (size_t i = 0; i < sizeof(known_names) / sizeof(known_names[0]); i++)
		if (known_names[i].attr == role && strcasecmp(known_names[i].name, name) == 0)
			return i + 1;
	return 0;
}

/* The source's folder of a role: the one that is called as the target's, else the first. */
static const char *source_of(const struct reading *r, unsigned role, const char *target, bool said)
{
	const char *found = NULL;
	size_t best = SIZE_MAX;

	for (size_t i = 0; i < r->fs->tree.n; i++) {
		const struct sync_folder *f = &r->fs->tree.a[i];
		size_t rank = said ? (f->attrs & role && !(f->attrs & FOLDER_VIEWS) ? i + 1 : 0) : well_known(f->left, role);

		if (rank == 0 || strcmp(f->left, "INBOX") == 0)
			continue;
		if (strcmp(f->left, target) == 0)
			return f->left;
		if (rank < best) {
			best = rank;
			found = f->left;
		}
	}
	return found;
}

static void learn_roles(struct mapping *m)
{
	const struct reading *r = m->r;
	bool said = says_roles(r);

	for (size_t i = 0; i < ROLES; i++) {
		for (size_t k = 0; k < r->right.n && !m->to[i]; k++)
			if (r->right.a[k].attrs & carried[i] && !(r->right.a[k].attrs & FOLDER_VIEWS) && strcmp(r->right.a[k].right, "INBOX") != 0)
				m->to[i] = r->right.a[k].right;
		if (m->to[i])
			m->from[i] = source_of(r, carried[i], m->to[i], said);
	}
}

static const char *by_role(const struct mapping *m, const char *left)
{
	for (size_t i = 0; i < ROLES; i++)
		if (m->from[i] && strcmp(m->from[i], left) == 0)
			return m->to[i];
	return NULL;
}

/* ---- names ---- */

static int cmp_known(const void *key, const void *row)
{
	return strcmp(key, ((const struct folders_known *)row)->left);
}

/* What the base calls it; the last decision, if there are several. */
static const char *by_base(const struct reading *r, const char *left)
{
	const struct folders_known *k = r->known.n == 0 ? NULL : bsearch(left, r->known.a, r->known.n, sizeof(*r->known.a), cmp_known);

	while (k && k > r->known.a && strcmp(k[-1].left, left) == 0)
		k--;
	return k ? k->right : NULL;
}

const char *foldermap_left(const struct reading *r, const char *right)
{
	for (size_t i = 0; i < r->known.n; i++)
		if (strcmp(r->known.a[i].right, right) == 0 && by_base(r, r->known.a[i].left) == r->known.a[i].right)
			return r->known.a[i].left;
	return NULL;
}

static bool is_closed(const char *right)
{
	for (size_t i = 0; i < sizeof(closed) / sizeof(closed[0]); i++)
		if (strncmp(right, closed[i], strlen(closed[i])) == 0)
			return true;
	return false;
}

/* As the target can hold it. */
static const char *fit(struct mapping *m, const char *name, enum claim_kind *kind, struct err *e)
{
	struct store *t = m->r->target;
	struct strbuf out = STRBUF_INIT(2 * BOXNAME_MAX);
	const char *fitted = name;
	int rc = t->ops->fit ? t->ops->fit(t, name, &out, e) : 0;

	if (rc > 0) {
		*kind = FITTED;
		fitted = arena_str(&m->r->fs->arena, strbuf_slice(&out));
		if (!fitted)
			no_memory(e);
	}
	strbuf_release(&out);
	return rc < 0 ? NULL : fitted;
}

/* What the target calls, or is to call, the folder that the source calls so; NULL on failure. */
static const char *right_of(struct mapping *m, const char *left, enum claim_kind *kind, struct err *e)
{
	const struct folder_rule *rule = folders_rule_for(m->r, left);
	const char *slash = strrchr(left, '/'), *name, *above, *right;
	enum claim_kind kind_above;
	struct strbuf path = STRBUF_INIT(2 * BOXNAME_MAX);

	*kind = BY_RULE;
	if (rule && rule->local)
		return rule->local;
	*kind = BY_BASE;
	if ((name = by_base(m->r, left)) != NULL)
		return name;
	*kind = BY_INBOX;
	if (strcmp(left, "INBOX") == 0)
		return left;
	*kind = BY_ROLE;
	if ((name = by_role(m, left)) != NULL)
		return name;
	*kind = BY_NAME;
	if (!slash)
		return fit(m, left, kind, e);
	name = arena_str(&m->r->fs->arena, slice_of(left, (size_t)(slash - left)));
	if (!name) {
		no_memory(e);
		return NULL;
	}
	above = right_of(m, name, &kind_above, e);
	if (!above)
		return NULL;
	if (is_closed(above) && !is_closed(left))
		above = name;
	strbuf_puts(&path, above);
	if (strbuf_puts(&path, slash) < 0) { /* longer than any name may be: then the target is asked for this one, and says so */
		strbuf_release(&path);
		return left;
	}
	name = arena_str(&m->r->fs->arena, strbuf_slice(&path));
	strbuf_release(&path);
	if (!name) {
		no_memory(e);
		return NULL;
	}
	right = fit(m, name, kind, e);
	return right;
}

/* ---- who has which ---- */

static int by_claim(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;
	int c = strcmp(x->right, y->right);

	if (c == 0)
		c = (x->kind > y->kind) - (x->kind < y->kind);
	return c != 0 ? c : (x->folder > y->folder) - (x->folder < y->folder);
}

static int by_folder(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;

	return (x->folder > y->folder) - (x->folder < y->folder);
}

static int refuse(struct reading *r, const char *left, const struct err *why, struct err *e)
{
	struct folder_refused f = { .left = left, .why = *why };

	return vec_push(&r->fs->refused, f) < 0 ? no_memory(e) : 0;
}

/* Two folders of the source would be one. */
static int refuse_second(struct reading *r, const struct claim *loser, const struct claim *winner, struct err *e)
{
	const char *left = r->fs->tree.a[loser->folder].left, *first = r->fs->tree.a[winner->folder].left;
	struct err why = ERR_INIT;
	char a[120], b[120], c[120];

	err_printable(a, sizeof(a), left, strlen(left));
	err_printable(b, sizeof(b), first, strlen(first));
	err_printable(c, sizeof(c), loser->right, strlen(loser->right));
	err_set_span(&why, ERR_CONF, SPAN_BOX, "it is left out: at the target it would be '%s', and that is where '%s' is copied to; each folder needs one of its own", c, b);
	err_hint(&why, "folder \"%s\" { to = \"...\" }", a);
	return refuse(r, left, &why, e);
}

static int refuse_view(struct reading *r, const struct claim *c, struct err *e)
{
	const char *left = r->fs->tree.a[c->folder].left;
	struct err why = ERR_INIT;
	char a[120], b[120];

	err_printable(a, sizeof(a), left, strlen(left));
	err_printable(b, sizeof(b), c->right, strlen(c->right));
	err_set_span(&why, ERR_CONF, SPAN_BOX, "it is left out: '%s' at the target only shows what is in other folders", b);
	err_hint(&why, "if it is meant all the same, say so, or give it another name: folder \"%s\" { to = \"...\" }", a);
	return refuse(r, left, &why, e);
}

/* A name that the target can't hold, the first time. */
static void tell_fitted(const struct reading *r, const char *left, const char *right)
{
	char text[ERR_TEXT_MAX], a[120], b[120];

	err_printable(a, sizeof(a), left, strlen(left));
	err_printable(b, sizeof(b), right, strlen(right));
	snprintf(text, sizeof(text), "folder '%s' becomes '%s' at the target, which can't have a folder of that name (another is given by: folder \"%s\" { to = \"...\" })", a, b, a);
	r->warn(r->arg, text);
}

/* Into the table with those that have their name to themselves. */
static int take(struct mapping *m, const struct claim *c, struct err *e)
{
	struct reading *r = m->r;
	struct sync_folder *f = &r->fs->tree.a[c->folder], *other = folders_on_right(r, c->right);

	if (other && other->attrs & FOLDER_VIEWS && c->kind > BY_BASE)
		return refuse_view(r, c, e);
	f->rule = folders_rule_for(r, f->left);
	f->right = c->right;
	if (c->kind == FITTED)
		tell_fitted(r, f->left, f->right);
	return folders_join(r, f, other, e);
}

/* Of equal names the best claim alone stays. */
static int decide(struct mapping *m, struct err *e)
{
	struct claim *a = m->claims.a;
	size_t n = 0;

	if (m->claims.n == 0)
		return 0;
	qsort(a, m->claims.n, sizeof(*a), by_claim);
	for (size_t i = 0; i < m->claims.n; i++) {
		if (n > 0 && strcmp(a[n - 1].right, a[i].right) == 0) {
			if (refuse_second(m->r, &a[i], &a[n - 1], e) < 0)
				return -1;
			continue;
		}
		a[n++] = a[i];
	}
	m->claims.n = n;
	qsort(a, n, sizeof(*a), by_folder);
	for (size_t i = 0; i < n; i++)
		if (take(m, &a[i], e) < 0)
			return -1;
	return 0;
}

int foldermap_match(struct reading *r, struct err *e)
{
	struct mapping m = { .r = r };
	int rc = 0;

	learn_roles(&m);
	for (size_t i = 0; rc == 0 && i < r->fs->tree.n; i++) {
		const struct sync_folder *f = &r->fs->tree.a[i];
		struct claim c = { .folder = i };

		if (!folders_takes(r, f->left, f->attrs))
			continue;
		c.right = right_of(&m, f->left, &c.kind, e);
		rc = !c.right ? -1 : vec_push(&m.claims, c) < 0 ? no_memory(e) : 0;
	}
	if (rc == 0)
		rc = decide(&m, e);
	vec_release(&m.claims);
	return rc;
}
