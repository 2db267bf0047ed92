/* Two-way jobs of a configuration: see build.h. */
#include <string.h>
#include <strings.h>

#include "config/build.h"
#include "config/url.h"

#define ROLES "all|archive|drafts|flagged|junk|sent|trash|important"

/* A sync section in the making. */
struct maker {
	struct config *c;
	const struct parsed *s;
	const struct parsed_list *list;
	struct config_job *job;
	struct problems *p;
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
static const char *folder_name(struct problems *p, const char *key, const char *text, struct place at)
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
static const char *name_or_role(struct problems *p, const char *key, const char *text, struct place at)
{
	if (text[0] == '@')
		return check_role(p, key, slice_str(text + 1), at) ? text : NULL;
	return folder_name(p, key, text, at);
}

/* The patterns of `folders`. */
static void make_patterns(struct maker *m)
{
	const struct sync_keys *k = m->s->keys;
	const struct given *g = parsed_given(m->s, &k->folders);
	struct boxrule *rules = arena_new(m->p->arena, struct boxrule, k->folders.n + 1);

	if (!rules) {
		no_memory(m);
		return;
	}
	if (g && !g->bad && k->folders.n == 0)
		problem_add(m->p, g->at, ERR_CONF, "folders is empty: no folder would be synced; leave it out to sync all");
	for (size_t i = 0; i < k->folders.n; i++) {
		struct place at = parsed_value_place(m->s, &k->folders, i);
		struct err e = ERR_INIT;

		if (boxrule_parse(slice_str(k->folders.v[i]), &rules[i], &e) < 0) {
			err_in(&e, "folders");
			problem_err(m->p, at, &e);
		} else if (rules[i].kind == BOXRULE_ROLE) {
			check_role(m->p, "folders", rules[i].text, at);
		}
	}
	m->job->sync.folders.take = rules;
	m->job->sync.folders.n_take = k->folders.n;
}

/* One folder section. */
static bool make_rule(struct maker *m, const struct parsed *s, struct folder_rule *out)
{
	const struct folder_keys *k = s->keys;
	const struct given *local = parsed_given(s, &k->local), *size = parsed_given(s, &k->max_size), *age = parsed_given(s, &k->max_age);
	bool good = true;

	if (!s->name)
		return false; /* which was said */
	out->name = name_or_role(m->p, "folder", s->name, s->at);
	if (local && !local->bad) {
		out->local = folder_name(m->p, "local", k->local, local->at);
		good = out->local != NULL;
		if (good && m->job->right)
			build_check_folder(m->job->right, out->local, local->at, m->p);
	}
	out->has_max_size = size && !size->bad;
	out->max_size = (uint64_t)k->max_size;
	out->has_max_age = age && !age->bad;
	out->max_age = k->max_age;
	if (s->n_given == 0)
		problem_add(m->p, s->at, ERR_CONF, "folder '%s' says nothing; it knows local, max-size and max-age", s->name);
	return out->name && good;
}

/* What a folder is called locally; NULL: nobody knows before the server is asked. */
static const char *local_name(const struct folder_rule *r)
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
		const char *local = local_name(r);
		struct place at = parsed_place(rules[i].s, &((const struct folder_keys *)rules[i].s->keys)->local);

		if (r != inbox && local && strcmp(local, "INBOX") == 0 && !inbox)
			problem_add(m->p, at, ERR_CONF, "local: INBOX is the inbox already; each folder needs a name of its own");
		for (size_t j = 0; j < i; j++) {
			const struct folder_rule *o = rules[j].out;
			const char *other = local_name(o);

			if (strcmp(r->name, o->name) == 0)
				problem_add(m->p, rules[i].s->at, ERR_CONF, "folder '%s' has a section already, in line %d", r->name, rules[j].s->at.line);
			else if (local && other && strcmp(local, other) == 0)
				problem_add(m->p, at, ERR_CONF, "local: folder '%s' (line %d) would be called '%s', too; each folder needs a name of its own", o->name,
					    rules[j].s->at.line, local);
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

/* Whether a sync can have that end on that side. */
int build_check_side(const struct config_end *end, bool remote, const char *name, struct place at, struct problems *p)
{
	const char *key = remote ? "remote" : "local";

	if (end->kind == CONFIG_MAILDIR || end->kind == CONFIG_IMAP)
		return 0;
	if (end->kind == CONFIG_MBOX)
		problem_add(p, at, ERR_CONF, "%s: '%s' is an mbox, which can't be synced yet; a Maildir can", key, name);
	else if (remote)
		problem_add(p, at, ERR_CONF, "remote: '%s' is a POP3 account, which can't be synced; fetch takes mail from it", name);
	else
		problem_add(p, at, ERR_CONF, "local: '%s' is a POP3 account, which can't be synced; allowed: maildir:PATH, the name of a maildir section, or of an IMAP account", name);
	return -1;
}

/* A side by its key; NULL: a problem was noted. */
static const struct config_end *make_side(struct maker *m, const char *const *field, bool remote)
{
	struct place at = parsed_place(m->s, field);
	const char *name = *field, *key = remote ? "remote" : "local";
	const struct config_end *end = NULL;
	struct config_end *spec;

	if (!name)
		return NULL;
	if (url_like(name) && remote && strncmp(name, "maildir:", 8) != 0 && strncmp(name, "mbox:", 5) != 0) {
		problem_add(m->p, at, ERR_CONF, "remote takes the name of an account; define one: account NAME { url = \"imaps://user@host\" }");
	} else if (url_like(name)) {
		spec = arena_new(&m->c->arena, struct config_end, 1);
		if (spec && build_spec(m->c, name, NULL, key, at, spec, m->p) == 0)
			end = spec;
	} else {
		end = build_find(m->c, name, key, at, m->p);
	}
	return end && build_check_side(end, remote, name, at, m->p) == 0 ? end : NULL;
}

/* Whether a path is the other, or lies below it. */
static bool within(const char *path, const char *other)
{
	size_t n = strlen(other);

	while (n > 0 && other[n - 1] == '/')
		n--;
	return strncmp(path, other, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

/* Are both accounts one mailbox? */
static bool same_mailbox(const struct config_end *a, const struct config_end *b)
{
	const struct imap_params *x = &a->imap.imap, *y = &b->imap.imap;

	return a->kind == CONFIG_IMAP && b->kind == CONFIG_IMAP && x->user && y->user && strcmp(x->user, y->user) == 0 && x->dial.host && y->dial.host &&
	       strcasecmp(x->dial.host, y->dial.host) == 0 && x->dial.port && y->dial.port && strcmp(x->dial.port, y->dial.port) == 0;
}

/* Both sides together. */
void build_check_sides(const struct config_job *job, struct place at, struct problems *p)
{
	const char *a = job->left ? job->left->maildir.path : NULL, *b = job->right ? job->right->maildir.path : NULL;

	if (a && b && (within(a, b) || within(b, a)))
		problem_add(p, at, ERR_CONF, "local: %s and %s lie one within the other", a, b);
	if (job->left && job->right && same_mailbox(job->left, job->right))
		problem_add(p, at, ERR_CONF, "local: '%s' is the mailbox that '%s' is", job->right->name, job->left->name);
}

/* Two jobs with one tree would carry the mail of each account into the other. */
static void check_alone(const struct config *c, const struct config_job *job, struct place at, struct problems *p)
{
	for (size_t i = 0; i < c->n_jobs; i++) {
		const struct config_job *o = &c->jobs[i];
		const char *a = job->right ? job->right->maildir.path : NULL, *b = o->mode == CONFIG_SYNC && o->right ? o->right->maildir.path : NULL;

		if (a && b && (within(a, b) || within(b, a)))
			problem_add(p, at, ERR_CONF, "local: the job '%s' (line %d) syncs %s: each job needs a tree of its own", o->name, o->line, b);
	}
}

/* One of the four words. */
static enum sync_where where_of(int word)
{
	static const enum sync_where of[] = {
		[WHERE_BOTH] = SYNC_BOTH, [WHERE_LOCAL] = SYNC_RIGHT, [WHERE_REMOTE] = SYNC_LEFT, [WHERE_NONE] = SYNC_NONE,
	};

	return word < 0 ? SYNC_BOTH : of[word];
}

/* What the engine is told. */
void build_sync_policy(struct config_job *out, const struct sync_keys *k)
{
	out->every = k->every;
	out->on_new = k->on_new && k->on_new[0] ? k->on_new : NULL;
	out->folder = "";
	out->sync.job = out->name;
	out->sync.del = where_of(k->del);
	out->sync.create = where_of(k->create);
	out->sync.remove_folders = k->remove_folders >= 0;
	out->sync.remove_where = where_of(k->remove_folders);
	out->sync.max_size = (uint64_t)k->max_size;
	out->sync.max_age = k->max_age;
	out->sync.max_delete = k->max_delete;
	out->sync.take_over = k->take_over && k->take_over[0] ? k->take_over : NULL;
	out->sync.quarantine = k->quarantine;
	out->sync.right_name = out->right ? out->right->url : NULL;
}

/* Where deleted messages go. */
static void make_trash(struct maker *m)
{
	const struct sync_keys *k = m->s->keys;
	struct place at = parsed_place(m->s, &k->trash);

	if (!k->trash || !k->trash[0])
		return;
	m->job->sync.trash = name_or_role(m->p, "trash", k->trash, at);
	if (m->job->sync.del != SYNC_BOTH && m->job->sync.del != SYNC_LEFT)
		problem_add(m->p, at, ERR_CONF, "trash has no effect: nothing is deleted at the remote side (delete = local or none)");
}

/* A sync section. */
void build_sync(struct config *c, const struct parsed *s, const struct parsed_list *list, struct config_job *out, struct problems *p)
{
	struct maker m = { .c = c, .s = s, .list = list, .job = out, .p = p };
	const struct sync_keys *k = s->keys;

	*out = (struct config_job){ .name = s->name, .mode = CONFIG_SYNC, .file = s->at.file->name, .line = s->at.line };
	out->left = make_side(&m, &k->remote, true);
	out->right = make_side(&m, &k->local, false);
	build_check_sides(out, parsed_place(s, &k->local), p);
	check_alone(c, out, parsed_place(s, &k->local), p);
	build_sync_policy(out, k);
	make_patterns(&m);
	make_rules(&m);
	make_trash(&m);
}
