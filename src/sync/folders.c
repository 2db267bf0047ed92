#include "sync/folders_p.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fiber.h"
#include "base/log.h"

static const struct {
	const char *name;
	unsigned attr;
} roles[] = {
	{ "all", FOLDER_ALL },     { "archive", FOLDER_ARCHIVE }, { "drafts", FOLDER_DRAFTS }, { "flagged", FOLDER_FLAGGED },
	{ "junk", FOLDER_JUNK },   { "sent", FOLDER_SENT },       { "trash", FOLDER_TRASH },   { "important", FOLDER_IMPORTANT },
};

unsigned folder_role(struct slice name)
{
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
		if (slice_eqs(name, roles[i].name))
			return roles[i].attr;
	return 0;
}

const char *folder_role_name(unsigned attrs, size_t *at)
{
	while (*at < sizeof(roles) / sizeof(roles[0])) {
		size_t i = (*at)++;

		if (attrs & roles[i].attr)
			return roles[i].name;
	}
	return NULL;
}

static int out_of_memory(struct err *e)
{
	return err_set(e, ERR_LOCAL, "out of memory");
}

/* Copy a tree's folder. */
static int keep(struct reading *r, const struct folder_info *in, bool left, struct err *e)
{
	struct sync_folder f = { .on_left = left, .on_right = !left, .attrs = in->attrs, .left_messages = UINT64_MAX, .right_messages = UINT64_MAX };
	const char *name = arena_str(&r->fs->arena, slice_str(in->name));

	if (!name)
		return out_of_memory(e);
	if (in->attrs & FOLDER_NO_SELECT)
		return 0;
	if (left) {
		f.left = name;
		f.left_messages = in->messages;
		f.left_bytes = in->bytes;
		memcpy(f.left_stamp, in->stamp, sizeof(f.left_stamp));
	} else {
		f.right = name;
		f.right_messages = in->messages;
		f.right_bytes = in->bytes;
		memcpy(f.right_stamp, in->stamp, sizeof(f.right_stamp));
	}
	if ((left ? vec_push(&r->fs->tree, f) : vec_push(&r->right, f)) < 0)
		return out_of_memory(e);
	return 0;
}

static int keep_left(void *arg, const struct folder_info *f, struct err *e)
{
	struct reading *r = arg;

	r->fs->n_left++;
	return keep(r, f, true, e);
}

static int keep_right(void *arg, const struct folder_info *f, struct err *e)
{
	struct reading *r = arg;

	r->fs->n_right++;
	return keep(r, f, false, e);
}

const char *folders_with_role(const struct reading *r, unsigned role)
{
	for (size_t i = 0; role != 0 && i < r->fs->tree.n; i++)
		if (r->fs->tree.a[i].attrs & role)
			return r->fs->tree.a[i].left;
	return NULL;
}

/* Is it a pattern that takes whatever fits it? */
static bool is_sweeping(const struct boxrule *rule)
{
	return !rule->leave && rule->kind == BOXRULE_PATTERN && (memchr(rule->text.p, '*', rule->text.n) || memchr(rule->text.p, '%', rule->text.n));
}

/* The patterns with roles made names; a role that no folder has matches nothing. */
static int resolve_roles(struct reading *r, struct err *e)
{
	static const struct boxrule none = { .kind = BOXRULE_PATTERN, .leave = true, .text = SLICE_LIT("*") };

	if (vec_push(&r->take_views, none) < 0)
		return out_of_memory(e);
	for (size_t i = 0; i < r->p->n_take; i++) {
		struct boxrule rule = r->p->take[i];
		const char *name;

		if (rule.kind == BOXRULE_ROLE) {
			name = folders_with_role(r, folder_role(rule.text));
			if (name)
				rule = (struct boxrule){ .kind = BOXRULE_NAME, .leave = rule.leave, .text = slice_str(name) };
		}
		if (vec_push(&r->take, rule) < 0 || (!is_sweeping(&rule) && vec_push(&r->take_views, rule) < 0))
			return out_of_memory(e);
	}
	return 0;
}

const struct folder_rule *folders_rule_for(const struct reading *r, const char *left)
{
	for (size_t i = 0; i < r->p->n_rules; i++) {
		const char *name = r->p->rules[i].name;

		if (name[0] == '@')
			name = folders_with_role(r, folder_role(slice_str(name + 1)));
		if (name && strcmp(name, left) == 0)
			return &r->p->rules[i];
	}
	return NULL;
}

bool folders_takes(const struct reading *r, const char *left, unsigned attrs)
{
	bool view = attrs & FOLDER_VIEWS && !folders_rule_for(r, left);

	if (r->take.n == 0)
		return !view;
	return view ? boxrule_takes(r->take_views.a, r->take_views.n, slice_str(left), '/') : boxrule_takes(r->take.a, r->take.n, slice_str(left), '/');
}

/* The rule that gives the right's folder its name, or NULL. */
static const struct folder_rule *rule_naming(const struct reading *r, const char *right)
{
	for (size_t i = 0; i < r->p->n_rules; i++)
		if (r->p->rules[i].local && strcmp(r->p->rules[i].local, right) == 0)
			return &r->p->rules[i];
	return NULL;
}

/* What the left calls, or would call, the folder that the right calls so; NULL: that name belongs to another, or to a role that no folder has. */
static const char *left_name(const struct reading *r, const char *right)
{
	const struct folder_rule *rule = rule_naming(r, right);
	const char *known = r->p->one_way ? foldermap_left(r, right) : NULL;

	if (known)
		return known;
	if (rule)
		return rule->name[0] == '@' ? folders_with_role(r, folder_role(slice_str(rule->name + 1))) : rule->name;
	for (size_t i = 0; i < r->fs->tree.n; i++)
		if (strcmp(r->fs->tree.a[i].left, right) == 0 && r->fs->tree.a[i].right && strcmp(r->fs->tree.a[i].right, right) != 0)
			return NULL;
	return right;
}

static int by_right(const void *a, const void *b)
{
	const struct sync_folder *x = a, *y = b;

	return strcmp(x->right, y->right);
}

struct sync_folder *folders_on_right(struct reading *r, const char *name)
{
	struct sync_folder want = { .right = name };

	return r->right.n == 0 ? NULL : bsearch(&want, r->right.a, r->right.n, sizeof(want), by_right);
}

/* Two folders of the left would be one at the right. */
static void tell_clash(const struct reading *r, const char *left, const char *right)
{
	char text[ERR_TEXT_MAX], a[160], b[160];

	err_printable(a, sizeof(a), left, strlen(left));
	err_printable(b, sizeof(b), right, strlen(right));
	snprintf(text, sizeof(text), "folder '%s' is left out: another is called '%s' here already (give one of them a name of its own with `local`)", a, b);
	r->warn(r->arg, text);
}

/* What the right's folder is at the left can't be told. */
static void tell_no_role(const struct reading *r, const char *right, const char *role)
{
	char text[ERR_TEXT_MAX], name[160];

	err_printable(name, sizeof(name), right, strlen(right));
	snprintf(text, sizeof(text), "folder '%s' is left out: it is to be the server's %s, and no folder there says that it is that (name the folder)", name, role);
	r->warn(r->arg, text);
}

int folders_join(struct reading *r, struct sync_folder *f, struct sync_folder *other, struct err *e)
{
	if (other) {
		other->left = f->left; /* it is taken */
		f->on_right = true;
		f->right_messages = other->right_messages;
		f->right_bytes = other->right_bytes;
		memcpy(f->right_stamp, other->right_stamp, sizeof(f->right_stamp));
	}
	return vec_push(&r->fs->f, *f) < 0 ? out_of_memory(e) : 0;
}

/* Lay the left's folders beside the right's. */
static int match_left(struct reading *r, struct err *e)
{
	for (size_t i = 0; i < r->fs->tree.n; i++) {
		struct sync_folder *f = &r->fs->tree.a[i], *other;

		if (!folders_takes(r, f->left, f->attrs))
			continue;
		f->rule = folders_rule_for(r, f->left);
		f->right = f->rule && f->rule->local ? f->rule->local : f->left;
		other = folders_on_right(r, f->right);
		if (other && other->left) {
			tell_clash(r, f->left, f->right);
			continue;
		}
		if (!other) {
			bool clash = false;

			for (size_t k = 0; k < r->fs->f.n && !clash; k++)
				clash = r->fs->f.a[k].rule && f->rule != r->fs->f.a[k].rule && strcmp(r->fs->f.a[k].right, f->right) == 0;
			for (size_t k = 0; f->rule && k < r->fs->f.n && !clash; k++)
				clash = strcmp(r->fs->f.a[k].right, f->right) == 0;
			if (clash) {
				tell_clash(r, f->left, f->right);
				continue;
			}
		}
		if (folders_join(r, f, other, e) < 0)
			return -1;
	}
	return 0;
}

/* What the right alone has. */
static int match_right(struct reading *r, struct err *e)
{
	for (size_t i = 0; i < r->right.n; i++) {
		struct sync_folder *f = &r->right.a[i];
		const char *left;
		bool there = false;

		if (f->left)
			continue;
		left = left_name(r, f->right);
		if (!left && rule_naming(r, f->right) && !r->p->one_way)
			tell_no_role(r, f->right, rule_naming(r, f->right)->name);
		/* a folder that the patterns leave out at the left is left out here, too */
		for (size_t k = 0; left && k < r->fs->tree.n && !there; k++)
			there = strcmp(r->fs->tree.a[k].left, left) == 0;
		if (!left || there || !folders_takes(r, left, 0))
			continue;
		f->left = left;
		f->rule = folders_rule_for(r, left);
		if (vec_push(&r->fs->f, *f) < 0)
			return out_of_memory(e);
	}
	return 0;
}

struct known {
	struct reading *r;
	struct db *db;
};

/* Do both sides hold them, if not as a pair? */
static bool both_there(struct reading *r, const char *left, const char *right)
{
	bool there = false;

	for (size_t i = 0; i < r->fs->tree.n && !there; i++)
		there = strcmp(r->fs->tree.a[i].left, left) == 0;
	return there && folders_on_right(r, right);
}

/* A folder of the base: find it in the table, or note that both sides have lost it. One that is left out, as another has its name today, is none of both. */
static int match_known(void *arg, int64_t id, const char *left, const char *right, struct err *e)
{
	struct known *k = arg;
	struct folders *fs = k->r->fs;
	struct sync_folder f = { .base = { .id = id } };

	for (size_t i = 0; i < fs->f.n; i++) {
		if (strcmp(fs->f.a[i].left, left) == 0 && strcmp(fs->f.a[i].right, right) == 0) {
			fs->f.a[i].base.id = id;
			return 0;
		}
	}
	if (!folders_takes(k->r, left, 0) || both_there(k->r, left, right))
		return 0;
	f.left = arena_str(&fs->arena, slice_str(left));
	f.right = arena_str(&fs->arena, slice_str(right));
	if (!f.left || !f.right || vec_push(&fs->f, f) < 0)
		return out_of_memory(e);
	return 0;
}

/* The stamps of the folders that the base has. */
static int read_rows(struct folders *fs, struct db *db, struct err *e)
{
	for (size_t i = 0; i < fs->f.n; i++) {
		struct sync_folder *f = &fs->f.a[i];

		if (f->base.id != 0 && folders_get(db, f->left, f->right, &f->base, e) < 0)
			return -1;
	}
	return 0;
}

static int keep_known(void *arg, int64_t id, const char *left, const char *right, struct err *e)
{
	struct reading *r = arg;
	struct folders_known k = { .id = id, .left = arena_str(&r->fs->arena, slice_str(left)), .right = arena_str(&r->fs->arena, slice_str(right)) };

	return !k.left || !k.right || vec_push(&r->known, k) < 0 ? out_of_memory(e) : 0;
}

/* What is decided last holds: of equal ones it stands first. */
static int by_known(const void *a, const void *b)
{
	const struct folders_known *x = a, *y = b;
	int c = strcmp(x->left, y->left);

	return c != 0 ? c : (x->id < y->id) - (x->id > y->id);
}

static int match(struct reading *r, struct db *db, struct err *e)
{
	if (!r->p->one_way)
		return match_left(r, e);
	if (folders_each(db, keep_known, r, e) < 0)
		return -1;
	if (r->known.n > 0)
		qsort(r->known.a, r->known.n, sizeof(*r->known.a), by_known);
	return foldermap_match(r, e);
}

static int is_known(void *arg, int64_t id, const char *left, const char *right, struct err *e)
{
	bool *any = arg;

	(void)id;
	(void)left;
	(void)right;
	(void)e;
	*any = true;
	return 0;
}

static int read_left(void *arg, struct err *e)
{
	struct reading *r = arg;

	return r->source->ops->folders(r->source, keep_left, r, e);
}

static int read_right(void *arg, struct err *e)
{
	struct reading *r = arg;

	return r->target->ops->folders(r->target, keep_right, r, e);
}

/* May the job take what the right calls so? What has a role at the left is not known yet. */
static bool may_take(const struct reading *r, const char *right)
{
	for (size_t i = 0; i < r->p->n_take; i++)
		if (r->p->take[i].kind == BOXRULE_ROLE)
			return true;
	return r->p->n_take == 0 || r->p->n_rules > 0 || r->p->one_way || boxrule_takes(r->p->take, r->p->n_take, slice_str(right), '/');
}

/* Is INBOX the same folder on both sides, and one of the job's, whatever the left tells? */
static bool is_inbox_certain(const struct reading *r)
{
	for (size_t i = 0; i < r->p->n_take; i++)
		if (r->p->take[i].kind == BOXRULE_ROLE)
			return false;
	return r->p->n_rules == 0 && !r->p->one_way && may_take(r, "INBOX");
}

/* About INBOX, before all others: true if that was done. */
static bool begin_beside(struct reading *r)
{
	const char *inbox = NULL;

	if (!is_inbox_certain(r))
		return false;
	for (size_t i = 0; i < r->right.n; i++)
		if (strcmp(r->right.a[i].right, "INBOX") == 0)
			inbox = r->right.a[i].right;
	r->p->beside(r->arg, inbox);
	return true;
}

/* A folder of the base, if the right has it. */
static void tell_known(struct reading *r, struct db *db, const struct folders_known *k, void (*tell)(void *arg, const struct sync_folder *f))
{
	const struct sync_folder *right = folders_on_right(r, k->right);
	struct sync_folder f;

	if (!right)
		return;
	f = *right;
	f.left = k->left;
	if (folders_get(db, f.left, f.right, &f.base, NULL) == 0)
		tell(r->arg, &f);
}

/* About those of the base that the right has, one after the other, until the left has answered. */
static void known_beside(struct reading *r, struct db *db)
{
	if (folders_each(db, keep_known, r, NULL) < 0 || r->right.n == 0)
		return;
	qsort(r->right.a, r->right.n, sizeof(*r->right.a), by_right);
	for (size_t i = 0; i < r->known.n; i++)
		if (strcmp(r->known.a[i].left, "INBOX") == 0)
			tell_known(r, db, &r->known.a[i], r->p->foresee);
	for (size_t i = 0; i < r->known.n && fiber_turn(); i++)
		tell_known(r, db, &r->known.a[i], r->p->known);
	vec_clear(&r->known); /* match reads them anew */
}

/* The right is here: what is there to be done with it is, while the left is dialled and asked. */
static int read_beside(struct reading *r, struct db *db, int *right_rc, struct err *why, struct err *e)
{
	struct fiber *f = fiber_start(read_left, r);
	bool begun;

	if (!f && read_left(r, e) < 0)
		return -1;
	*right_rc = read_right(r, why);
	if (f && !r->source->afresh) {
		if (*right_rc == 0)
			known_beside(r, db);
		return fiber_join(f, e);
	}
	begun = f && begin_beside(r);
	for (size_t i = 0; f && *right_rc == 0 && i < r->right.n; i++)
		if (may_take(r, r->right.a[i].right) && !(begun && strcmp(r->right.a[i].right, "INBOX") == 0))
			r->p->beside(r->arg, r->right.a[i].right);
	return f ? fiber_join(f, e) : 0;
}

/* Both trees. Of two servers, the second is dialled and asked while the first is. */
static int read_both(struct reading *r, struct db *db, int *right_rc, struct err *why, struct err *e)
{
	const bool far = r->source->ops->caps & STORE_REMOTE, both = far && r->target->ops->caps & STORE_REMOTE;
	struct fiber *f;

	/* a POP3 left is not asked before the right is looked at (looks.c): what was read here would be read once more */
	if (far && !both && r->source->ops->caps & STORE_TARGET && (r->source->afresh ? r->p->beside != NULL : r->p->known != NULL))
		return read_beside(r, db, right_rc, why, e);
	f = both ? fiber_start(read_right, r) : NULL;
	if (read_left(r, e) < 0) {
		fiber_cancel(f);
		return -1;
	}
	*right_rc = f ? fiber_join(f, why) : read_right(r, why);
	return 0;
}

int folders_read(struct folders *fs, const struct folders_params *p, struct store *left, struct store *right, struct db *db, int (*no_right)(void *arg, struct err *e),
		 void (*warn)(void *arg, const char *text), void *arg, struct err *e)
{
	struct reading r = { .fs = fs, .p = p, .source = left, .target = right, .warn = warn, .arg = arg };
	struct known k = { .r = &r, .db = db };
	struct err why = ERR_INIT;
	int rc = -1, again, right_rc = 0;
	bool any = false;

	if (folders_each(db, is_known, &any, e) < 0)
		goto out;
	left->afresh = right->afresh = !any;
	left->foreseen = right->foreseen = NULL;
	rc = read_both(&r, db, &right_rc, &why, e);
	left->foreseen = NULL; /* it was for that tree */
	if (rc < 0)
		goto out;
	rc = -1;
	if (right_rc < 0) {
		if (e)
			*e = why;
		vec_clear(&r.right);
		fs->n_right = 0;
		again = no_right(arg, e);
		if (again < 0 || (again > 0 && right->ops->folders(right, keep_right, &r, e) < 0))
			goto out;
	}
	if (r.right.n > 0)
		qsort(r.right.a, r.right.n, sizeof(*r.right.a), by_right);
	if (resolve_roles(&r, e) < 0 || match(&r, db, e) < 0 || match_right(&r, e) < 0)
		goto out;
	if (folders_each(db, match_known, &k, e) < 0 || read_rows(fs, db, e) < 0)
		goto out;
	rc = 0;
out:
	vec_release(&r.take);
	vec_release(&r.take_views);
	vec_release(&r.right);
	vec_release(&r.known);
	return rc;
}

const char *folders_find(const struct folders *fs, const char *name)
{
	unsigned role = name[0] == '@' ? folder_role(slice_str(name + 1)) : 0;

	for (size_t i = 0; i < fs->tree.n; i++)
		if (role != 0 ? (fs->tree.a[i].attrs & role) != 0 : strcmp(fs->tree.a[i].left, name) == 0)
			return fs->tree.a[i].left;
	return NULL;
}

void folders_release(struct folders *fs)
{
	vec_release(&fs->f);
	vec_release(&fs->tree);
	vec_release(&fs->refused);
	arena_release(&fs->arena);
}
