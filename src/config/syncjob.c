/* Two-way jobs of a configuration: see build.h. */
#include <string.h>
#include <strings.h>

#include "config/build.h"
#include "config/url.h"

/* A sync section in the making. */
struct maker {
	struct config *c;
	const struct parsed *s;
	struct config_job *job;
	struct problems *p;
};

/* Whether a sync can have that end on that side. */
int build_check_side(const struct config_end *end, bool remote, const char *name, struct place at, struct problems *p)
{
	if (end->kind != CONFIG_POP3)
		return 0;
	if (remote)
		problem_add(p, at, ERR_CONF, "remote: '%s' is a POP3 account, which can't be synced; fetch takes mail from it", name);
	else
		problem_add(p, at, ERR_CONF, "local: '%s' is a POP3 account, which can't be synced; allowed: maildir:PATH, mbox:PATH, the name of a maildir or mbox section, or of an IMAP account", name);
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

const char *build_path(const struct config_end *end)
{
	if (!end)
		return NULL;
	return end->kind == CONFIG_MAILDIR ? end->maildir.path : end->kind == CONFIG_MBOX ? end->mbox.path : NULL;
}

/* Whether a path is the other, or lies below it. */
bool build_within(const char *path, const char *other)
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
	const char *a = build_path(job->left), *b = build_path(job->right);

	if (a && b && (build_within(a, b) || build_within(b, a)))
		problem_add(p, at, ERR_CONF, "local: %s and %s lie one within the other", a, b);
	if (job->left && job->right && same_mailbox(job->left, job->right))
		problem_add(p, at, ERR_CONF, "local: '%s' is the mailbox that '%s' is", job->right->name, job->left->name);
}

/* Two jobs with one tree would carry the mail of each account into the other. */
static void check_alone(const struct config *c, const struct config_job *job, struct place at, struct problems *p)
{
	for (size_t i = 0; i < c->n_jobs; i++) {
		const struct config_job *o = &c->jobs[i];
		const char *a = build_path(job->right), *b = o->mode == CONFIG_SYNC ? build_path(o->right) : NULL;

		if (a && b && (build_within(a, b) || build_within(b, a)))
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
	build_times(out, k->every, k->deadline, k->stall);
	out->gather = k->gather;
	out->idle = k->idle.v;
	out->n_idle = k->idle.n;
	build_limits(out, k->rate, k->budget);
	out->on_new = k->on_new && k->on_new[0] ? k->on_new : NULL;
	out->on_change = k->on_change && k->on_change[0] ? k->on_change : NULL;
	out->on_timeout = k->on_timeout;
	out->unconfined = !k->sandbox;
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
	out->sync.quarantine = out->right && out->right->kind == CONFIG_MBOX ? 0 : k->quarantine; /* what an mbox has lost is not kept */
	out->sync.right_name = out->right ? out->right->url : NULL;
}

/* Where deleted messages go. */
static void make_trash(struct maker *m)
{
	const struct sync_keys *k = m->s->keys;
	struct place at = parsed_place(m->s, &k->trash);

	if (!k->trash || !k->trash[0])
		return;
	m->job->sync.trash = build_name_or_role(m->p, "trash", k->trash, at);
	if (m->job->sync.del != SYNC_BOTH && m->job->sync.del != SYNC_LEFT)
		problem_add(m->p, at, ERR_CONF, "trash has no effect: nothing is deleted at the remote side (delete = local or none)");
}

/* Whether what is deleted here can be kept. */
static void check_quarantine(struct maker *m)
{
	const struct sync_keys *k = m->s->keys;
	const struct given *given = parsed_given(m->s, &k->quarantine);

	if (given && !given->bad && k->quarantine > 0 && m->job->right && m->job->right->kind == CONFIG_MBOX)
		problem_add(m->p, given->at, ERR_CONF, "quarantine: what is deleted from an mbox can't be kept; leave it out, or say quarantine = 0");
}

/* Folders to be told of at once are named as they are: nobody looks at the tree for them. */
static void check_idle(struct maker *m)
{
	const struct sync_keys *k = m->s->keys;
	const struct given *given = parsed_given(m->s, &k->idle);

	for (size_t i = 0; given && i < k->idle.n; i++)
		if (k->idle.v[i][0] == '@' || k->idle.v[i][0] == '!' || strpbrk(k->idle.v[i], "*%"))
			problem_add(m->p, given->at, ERR_CONF, "idle = \"%s\" is no folder's name; allowed: names of folders, such as INBOX", k->idle.v[i]);
	if (given && k->idle.n > 0 && m->job->left && m->job->left->kind != CONFIG_IMAP)
		problem_add(m->p, given->at, ERR_CONF, "idle has no effect: '%s' is no IMAP account, and changes of files are seen at once", m->job->left->name);
}

/* A sync section. */
void build_sync(struct config *c, const struct parsed *s, const struct parsed_list *list, struct config_job *out, struct problems *p)
{
	struct maker m = { .c = c, .s = s, .job = out, .p = p };
	const struct sync_keys *k = s->keys;

	*out = (struct config_job){ .name = s->name, .mode = CONFIG_SYNC, .file = s->at.file->name, .line = s->at.line };
	out->left = make_side(&m, &k->remote, true);
	out->right = make_side(&m, &k->local, false);
	build_check_sides(out, parsed_place(s, &k->local), p);
	check_alone(c, out, parsed_place(s, &k->local), p);
	build_sync_policy(out, k);
	build_folders(s, &k->folders, list, out, p);
	make_trash(&m);
	check_idle(&m);
	build_check_limits(s, &k->rate, &k->budget, out, p);
	check_quarantine(&m);
}
