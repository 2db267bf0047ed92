/* What a job's section says of folders: see build.h. */
#include <string.h>

#include "config/build.h"

#define ROLES "all|archive|drafts|flagged|junk|sent|trash|important"

/* The job in the making. */
struct maker {
	const struct parsed *s;
	const struct parsed_list *list;
	struct config_job *job;
	struct problems *p;
	const char *key; /* by which a folder section says what the folder is called on the right */
};

/* A folder section of the job. */
struct rule {
	const struct parsed *s;
	struct folder_rule *out;
};

/* Out of memory is a problem like any other. */
static void no_memory(struct maker *m)
{
	problem_add(m->p, m->s->at, ERR_LOCAL, "out of memory");
}

/* Whether a role of that name is known; else it is said. text is without its '@'. */
static bool check_role(struct problems *p, const char *key, struct slice text, struct place at)
{
	const char *role = arena_str(p->arena, text), *near;

	if (folder_role(text) != 0)
		return true;
	near = role ? problem_nearest(p, role, ROLES) : NULL;
	if (near)
		problem_add(p, at, ERR_CONF, "%s: no folder has the role '@%s'; did you mean '@%s'?", key, role, near);
	else
		problem_add(p, at, ERR_CONF, "%s: no folder has the role '@%s'; there are %s", key, role ? role : "", problem_words(p, ROLES));
	return false;
}

/* A folder's name, INBOX in its one spelling; NULL: a problem was noted. */
const char *build_folder_name(struct problems *p, const char *key, const char *text, struct place at)
{
	struct strbuf b = STRBUF_INIT(BOXNAME_MAX);
	struct boxname name;
	struct err e = ERR_INIT;
	const char *out = NULL;

	for (const char *c = text; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f) {
			problem_add(p, at, ERR_CONF, "%s: the name holds a control character", key);
			return NULL;
		}
	if (boxname_split(slice_str(text), '/', &name, &e) < 0 || boxname_join(&name, '/', &b, &e) < 0) {
		err_in(&e, "%s", key);
		problem_err(p, at, &e);
	} else if (!(out = arena_str(p->arena, strbuf_slice(&b)))) {
		problem_add(p, at, ERR_LOCAL, "out of memory");
	}
	strbuf_release(&b);
	return out;
}

/* A folder's name or its role; NULL: a problem was noted. */
const char *build_name_or_role(struct problems *p, const char *key, const char *text, struct place at)
{
	if (text[0] == '@')
		return check_role(p, key, slice_str(text + 1), at) ? text : NULL;
	return build_folder_name(p, key, text, at);
}

/* The patterns of `folders`. */
static void make_patterns(struct maker *m, const struct key_list *folders)
{
	const struct given *g = parsed_given(m->s, folders);
	struct boxrule *rules = arena_new(m->p->arena, struct boxrule, folders->n + 1);

	if (!rules) {
		no_memory(m);
		return;
	}
	if (g && !g->bad && folders->n == 0)
		problem_add(m->p, g->at, ERR_CONF, "folders is empty: no folder would be %s; leave it out to %s all", m->job->mode == CONFIG_SYNC ? "synced" : "copied",
			    m->job->mode == CONFIG_SYNC ? "sync" : "copy");
	for (size_t i = 0; i < folders->n; i++) {
		struct place at = parsed_value_place(m->s, folders, i);
		struct err e = ERR_INIT;

		if (boxrule_parse(slice_str(folders->v[i]), &rules[i], &e) < 0) {
			err_in(&e, "folders");
			problem_err(m->p, at, &e);
		} else if (rules[i].kind == BOXRULE_ROLE) {
			check_role(m->p, "folders", rules[i].text, at);
		}
	}
	m->job->sync.folders.take = rules;
	m->job->sync.folders.n_take = folders->n;
}

/* What a folder section says of the name on the right: the field of the key that jobs of this mode have. */
static const char *const *right_field(const struct maker *m, const struct folder_keys *k)
{
	return m->job->mode == CONFIG_SYNC ? &k->local : &k->to;
}

/* Whether the right can have a folder of that name, as far as that can be seen from here. */
static void check_right(const struct maker *m, const char *name, struct place at)
{
	if (m->job->right && m->job->right->kind == CONFIG_MAILDIR)
		build_check_folder(m->job->right, name, at, m->p);
}

/* One folder section. */
static bool make_rule(struct maker *m, const struct parsed *s, struct folder_rule *out)
{
	const struct folder_keys *k = s->keys;
	const char *const *field = right_field(m, k), *const *other = field == &k->local ? &k->to : &k->local;
	const struct given *name = parsed_given(s, field), *wrong = parsed_given(s, other), *size = parsed_given(s, &k->max_size), *age = parsed_given(s, &k->max_age);
	bool good = true;

	if (!s->name)
		return false; /* which was said */
	out->name = build_name_or_role(m->p, "folder", s->name, s->at);
	if (wrong)
		problem_add(m->p, wrong->at, ERR_CONF, "%s has no meaning in a %s section; '%s' says what the folder is called %s", wrong->key->name, m->s->def->name, m->key,
			    m->job->mode == CONFIG_SYNC ? "here" : "at the target");
	if (name && !name->bad) {
		out->local = build_folder_name(m->p, m->key, *field, name->at);
		good = out->local != NULL;
		if (good)
			check_right(m, out->local, name->at);
	}
	out->has_max_size = size && !size->bad;
	out->max_size = (uint64_t)k->max_size;
	out->has_max_age = age && !age->bad;
	out->max_age = k->max_age;
	if (s->n_given == 0)
		problem_add(m->p, s->at, ERR_CONF, "folder '%s' says nothing; it knows %s, max-size and max-age", s->name, m->key);
	return out->name && good;
}

/* What a folder is called on the right; NULL: nobody knows before the source is asked. */
static const char *right_name(const struct folder_rule *r)
{
	return r->local ? r->local : r->name[0] == '@' ? NULL : r->name;
}

/* No two folders may have one name. */
static void check_names(struct maker *m, const struct rule *rules, size_t n)
{
	const struct folder_rule *inbox = NULL;

	for (size_t i = 0; i < n; i++)
		if (strcmp(rules[i].out->name, "INBOX") == 0)
			inbox = rules[i].out;
	for (size_t i = 0; i < n; i++) {
		const struct folder_rule *r = rules[i].out;
		const char *name = right_name(r);
		struct place at = parsed_place(rules[i].s, right_field(m, rules[i].s->keys));

		if (r != inbox && name && strcmp(name, "INBOX") == 0 && !inbox)
			problem_add(m->p, at, ERR_CONF, "%s: INBOX is the inbox already; each folder needs a name of its own", m->key);
		for (size_t j = 0; j < i; j++) {
			const struct folder_rule *o = rules[j].out;
			const char *other = right_name(o);

			if (strcmp(r->name, o->name) == 0)
				problem_add(m->p, rules[i].s->at, ERR_CONF, "folder '%s' has a section already, in line %d", r->name, rules[j].s->at.line);
			else if (name && other && strcmp(name, other) == 0)
				problem_add(m->p, at, ERR_CONF, "%s: folder '%s' (line %d) would be called '%s', too; each folder needs a name of its own", m->key, o->name,
					    rules[j].s->at.line, name);
		}
	}
}

/* The folder sections. */
static void make_rules(struct maker *m)
{
	struct folder_rule *out = arena_new(m->p->arena, struct folder_rule, m->list->n + 1);
	struct rule *rules = arena_new(m->p->arena, struct rule, m->list->n + 1);
	size_t n = 0;

	if (!out || !rules) {
		no_memory(m);
		return;
	}
	for (size_t i = 0; i < m->list->n; i++)
		if (m->list->a[i].parent == m->s && make_rule(m, &m->list->a[i], &out[n])) {
			rules[n] = (struct rule){ &m->list->a[i], &out[n] };
			n++;
		}
	check_names(m, rules, n);
	m->job->sync.folders.rules = out;
	m->job->sync.folders.n_rules = n;
}

/* Patterns and folder sections. */
void build_folders(const struct parsed *s, const struct key_list *folders, const struct parsed_list *list, struct config_job *out, struct problems *p)
{
	struct maker m = { .s = s, .list = list, .job = out, .p = p, .key = out->mode == CONFIG_SYNC ? "local" : "to" };

	make_patterns(&m, folders);
	make_rules(&m);
}

/* The source's one folder under another name. */
void build_only_folder(struct config *c, const char *name, struct config_job *out, struct problems *p, struct place at)
{
	struct folder_rule *rule = arena_new(&c->arena, struct folder_rule, 1);
	const char *right = build_folder_name(p, "folder", name, at);

	if (!rule)
		problem_add(p, at, ERR_LOCAL, "out of memory");
	if (!rule || !right)
		return;
	if (out->right && out->right->kind == CONFIG_MAILDIR)
		build_check_folder(out->right, right, at, p);
	*rule = (struct folder_rule){ .name = "INBOX", .local = right };
	out->sync.folders.rules = rule;
	out->sync.folders.n_rules = 1;
}
