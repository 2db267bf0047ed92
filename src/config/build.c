/* Jobs and local stores of a configuration: see build.h. Accounts are in account.c. */
#include "config/build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "config/url.h"
#include "config/value.h"
#include "mail/flags.h"

_Static_assert(MAILDIR_NESTED == 0 && MAILDIR_PLUSPLUS == 1 && MAILDIR_FLAT == 2, "the schema's words of layout");
_Static_assert(MBOX_RD == 0 && MBOX_O == 1 && MBOX_CL2 == 2, "the schema's words of variant");

/* "maildir:/path" for texts and for the names of ad hoc jobs. */
const char *build_local_url(struct config *c, enum config_store kind, const char *path)
{
	struct strbuf b = STRBUF_INIT(8192);
	const char *s;

	strbuf_printf(&b, "%s:%s", kind == CONFIG_MAILDIR ? "maildir" : "mbox", path ? path : "");
	s = arena_str(&c->arena, strbuf_slice(&b));
	strbuf_release(&b);
	return s ? s : "";
}

/* A maildir section. */
static void build_maildir(struct config *c, const struct parsed *s, struct config_end *out)
{
	const struct maildir_keys *k = s->keys;

	out->kind = CONFIG_MAILDIR;
	out->maildir = (struct maildir_params){ .path = k->path, .layout = (enum maildir_layout)k->layout };
	out->url = build_local_url(c, out->kind, k->path);
}

/* An mbox section. */
static void build_mbox(struct config *c, const struct parsed *s, struct config_end *out, struct problems *p)
{
	static const struct {
		const char *name;
		enum mboxlock_kind kind;
	} locks[] = { { "fcntl", MBOXLOCK_FCNTL }, { "dotlock", MBOXLOCK_DOTLOCK } };
	const struct mbox_keys *k = s->keys;
	struct mboxlock_params *lock = &out->mbox.lock;

	out->kind = CONFIG_MBOX;
	out->mbox.path = k->path;
	out->mbox.variant = (enum mbox_variant)k->variant;
	lock->timeout = (int)(k->lock_timeout * 1000);
	if (k->lock.n == 0)
		problem_add(p, parsed_place(s, &k->lock), ERR_CONF, "lock is empty; name fcntl, dotlock, or both in their order");
	for (size_t i = 0, n = 0; i < k->lock.n; i++)
		for (size_t j = 0; j < 2; j++) {
			if (!slice_ieqs(slice_str(k->lock.v[i]), locks[j].name))
				continue;
			if (n == 2 || (n == 1 && lock->order[0] == locks[j].kind))
				problem_add(p, parsed_value_place(s, &k->lock, i), ERR_CONF, "lock names %s twice", locks[j].name);
			else
				lock->order[n++] = locks[j].kind;
		}
	out->url = build_local_url(c, out->kind, k->path);
}

/* The store of a spec. */
int build_spec(struct config *c, const char *spec, const char *cwd, const char *key, struct place at, struct config_end *out, struct problems *p)
{
	struct err e = ERR_INIT;
	struct strbuf full = STRBUF_INIT(8192);
	char *path = NULL;
	const char *kept = NULL;
	struct url u;
	int rc = -1;

	*out = (struct config_end){ .name = arena_str(&c->arena, slice_str(spec)) };
	if (url_parse(spec, &c->arena, &u, &e) < 0) {
		err_in(&e, "%s", key);
	} else if (!u.path) {
		err_set(&e, ERR_CONF, "%s: a local store is wanted here, not a server; allowed: maildir:PATH, mbox:PATH, or the name of a maildir or mbox section", key);
	} else if (!(path = fs_expand(u.path, &e))) {
		err_in(&e, "%s", key);
	} else if (path[0] != '/' && !cwd) {
		err_set(&e, ERR_CONF, "%s: the path %s would depend on where mailhaul is started; begin it with / or ~/", key, u.path);
	} else {
		if (path[0] != '/')
			strbuf_printf(&full, "%s/", strcmp(cwd, "/") == 0 ? "" : cwd);
		strbuf_puts(&full, path[0] == '.' && path[1] == '/' ? path + 2 : path);
		kept = full.failed ? NULL : arena_str(&c->arena, strbuf_slice(&full));
		if (!kept || !out->name)
			err_set(&e, ERR_LOCAL, "%s: the path is too long", key);
		else
			rc = 0;
	}
	if (rc < 0)
		problem_err(p, at, &e);
	else if (strcmp(u.scheme, "maildir") == 0)
		out->kind = CONFIG_MAILDIR;
	else
		out->kind = CONFIG_MBOX;
	out->maildir.path = out->mbox.path = kept;
	if (rc == 0)
		out->url = build_local_url(c, out->kind, kept);
	strbuf_release(&full);
	free(path);
	return rc;
}

/* All names of ends, "a|b". */
static const char *end_names(struct config *c)
{
	struct strbuf b = STRBUF_INIT(CONFIG_PROBLEMS_MAX);
	const char *s;

	for (size_t i = 0; i < c->n_ends; i++)
		strbuf_printf(&b, "%s%s", b.len > 0 ? "|" : "", c->ends[i].name);
	s = arena_str(&c->arena, strbuf_slice(&b));
	strbuf_release(&b);
	return s ? s : "";
}

/* An account or named store. */
const struct config_end *build_find(struct config *c, const char *name, const char *key, struct place at, struct problems *p)
{
	const char *all, *near;

	for (size_t i = 0; i < c->n_ends; i++)
		if (strcmp(c->ends[i].name, name) == 0)
			return &c->ends[i];
	all = end_names(c);
	near = problem_near(p, name, all);
	if (c->n_ends == 0)
		problem_add(p, at, ERR_CONF, "%s: there is no account or store '%s'; none is defined", key, name);
	else if (*near || c->n_ends > 10)
		problem_add(p, at, ERR_CONF, "%s: there is no account or store '%s'%s", key, name, near);
	else
		problem_add(p, at, ERR_CONF, "%s: there is no account or store '%s'; defined: %s", key, name, problem_words(p, all));
	return NULL;
}

/* Whether a fetch can take mail from there. */
int build_check_source(const struct config_end *from, const char *name, struct place at, struct problems *p)
{
	if (from->kind == CONFIG_POP3)
		return 0;
	if (from->is_account)
		problem_add(p, at, ERR_CONF, "from: '%s' is an IMAP account, which fetch can't take mail from in this version; sync can", name);
	else
		problem_add(p, at, ERR_CONF, "from: '%s' is a local store; fetch takes mail from an account", name);
	return -1;
}

/* The account of `from`. */
static const struct config_end *build_from(struct config *c, const struct parsed *s, struct problems *p)
{
	const struct fetch_keys *k = s->keys;
	struct place at = parsed_place(s, &k->from);
	const struct config_end *end;

	if (url_like(k->from)) {
		problem_add(p, at, ERR_CONF, "from takes the name of an account; define one: account NAME { url = \"pop3s://user@host\" }");
		return NULL;
	}
	end = build_find(c, k->from, "from", at, p);
	return end && build_check_source(end, k->from, at, p) == 0 ? end : NULL;
}

/* The store of `to`. */
static const struct config_end *build_to(struct config *c, const struct parsed *s, struct problems *p)
{
	const struct fetch_keys *k = s->keys;
	struct place at = parsed_place(s, &k->to);
	const struct config_end *end;
	struct config_end *spec;

	if (url_like(k->to)) {
		spec = arena_new(&c->arena, struct config_end, 1);
		return spec && build_spec(c, k->to, NULL, "to", at, spec, p) == 0 ? spec : NULL;
	}
	end = build_find(c, k->to, "to", at, p);
	if (end && end->is_account) {
		problem_add(p, at, ERR_CONF, "to: '%s' is %s account, which can't be delivered to; allowed: maildir:PATH, mbox:PATH, or a maildir or mbox section",
			    k->to, end->kind == CONFIG_IMAP ? "an IMAP" : "a POP3");
		return NULL;
	}
	return end;
}

/* Where in the target. */
void build_check_folder(const struct config_end *to, const char *folder, struct place at, struct problems *p)
{
	struct strbuf path = STRBUF_INIT(8192);
	struct err e = ERR_INIT;

	if (folder[0] == '\0')
		return;
	if (to->kind == CONFIG_MBOX)
		problem_add(p, at, ERR_CONF, "folder: an mbox has no folders; name another file");
	else if (maildir_folder_path(to->maildir.layout, folder, &path, &e) < 0)
		problem_err(p, at, &e);
	strbuf_release(&path);
}

/* What keep and its companions mean together. */
static void check_keep(const struct parsed *s, const struct config_end *from, struct problems *p)
{
	const struct fetch_keys *k = s->keys;
	const struct given *keep = parsed_given(s, &k->keep), *purge = parsed_given(s, &k->purge_after);

	if (from && from->pop3.gmail_recent && keep && k->keep.what != KEEP_YES)
		problem_add(p, keep->at, ERR_CONF, "keep: nothing is ever deleted through account %s, which has gmail-recent; allowed: keep = yes", from->name);
	else if (purge && k->purge_after > 0 && (k->keep.what == KEEP_YES || (from && from->pop3.gmail_recent)))
		problem_add(p, purge->at, ERR_CONF, "purge-after has no effect when nothing is deleted (keep = yes, gmail-recent)");
}

/* Limits on what goes over the wire. */
void build_limits(struct config_job *out, int64_t rate, int64_t budget)
{
	out->rate = (uint64_t)rate;
	out->budget = (uint64_t)budget;
}

/* Limits on the time that a run takes. */
void build_times(struct config_job *out, int64_t every, int64_t deadline, int64_t stall)
{
	out->every = every;
	out->deadline = deadline;
	out->stall = stall;
}

/* Where there is no wire, they mean nothing. */
void build_check_limits(const struct parsed *s, const int64_t *rate, const int64_t *budget, const struct config_job *job, struct problems *p)
{
	const struct given *g[] = { parsed_given(s, rate), parsed_given(s, budget) };

	if (!job->left || !job->right || job->left->is_account || job->right->is_account)
		return;
	for (size_t i = 0; i < 2; i++)
		if (g[i])
			problem_add(p, g[i]->at, ERR_CONF, "%s has no effect: both sides are on this machine", g[i]->key->name);
}

/* What the engine is told. */
void build_policy(struct config_job *out, const struct fetch_keys *k)
{
	build_times(out, k->every, k->deadline, k->stall);
	build_limits(out, k->rate, k->budget);
	out->policy = (struct plan_policy){ .mode = PLAN_FETCH, .keep = k->keep.what, .keep_seconds = k->keep.seconds, .max_size = (uint64_t)k->max_size };
	if (out->left)
		out->policy.no_remove = out->left->pop3.gmail_recent;
	out->folder = k->folder ? k->folder : "";
	out->purge_after = (unsigned)k->purge_after;
	out->on_new = k->on_new && k->on_new[0] ? k->on_new : NULL;
	out->on_change = k->on_change && k->on_change[0] ? k->on_change : NULL;
	out->on_timeout = k->on_timeout;
	out->unconfined = !k->sandbox;
}

/* A fetch section. */
static void build_fetch(struct config *c, const struct parsed *s, struct config_job *out, struct problems *p)
{
	const struct fetch_keys *k = s->keys;

	*out = (struct config_job){ .name = s->name, .mode = CONFIG_FETCH, .file = s->at.file->name, .line = s->at.line };
	out->left = k->from ? build_from(c, s, p) : NULL;
	out->right = k->to ? build_to(c, s, p) : NULL;
	build_policy(out, k);
	check_keep(s, out->left, p);
	if (out->right)
		build_check_folder(out->right, out->folder, parsed_place(s, &k->folder), p);
	if (k->flags && flags_of_letters(slice_str(k->flags), &out->flags) < 0)
		problem_add(p, parsed_place(s, &k->flags), ERR_CONF, "flags = %s: allowed are the Maildir letters D F P R S T", k->flags);
}

/* Say that a name is taken, and where; file and line of the first. */
static void doubled(struct problems *p, const struct parsed *s, const char *what, const char *file, int line)
{
	if (strcmp(file, s->at.file->name) == 0)
		problem_add(p, s->at, ERR_CONF, "%s name '%s' is taken already, in line %d", what, s->name, line);
	else
		problem_add(p, s->at, ERR_CONF, "%s name '%s' is taken already, in %s:%d", what, s->name, file, line);
}

/* An account or named store. */
static void build_end(struct config *c, const struct parsed *s, const struct parsed_list *list, struct problems *p)
{
	struct config_end *out = &c->ends[c->n_ends];

	*out = (struct config_end){ .name = s->name ? s->name : s->def->name, .file = s->at.file->name, .line = s->at.line };
	if (strcmp(s->def->name, "account") == 0)
		build_account(c, s, out, p);
	else if (strcmp(s->def->name, "maildir") == 0)
		build_maildir(c, s, out);
	else
		build_mbox(c, s, out, p);
	out->mark = build_mark(s, list);
	if (!s->name)
		return; /* its contents are checked, but nothing can name it */
	for (size_t i = 0; i < c->n_ends; i++)
		if (strcmp(c->ends[i].name, s->name) == 0) {
			doubled(p, s, "the", c->ends[i].file, c->ends[i].line);
			return;
		}
	c->n_ends++;
}

/* Whether the section is a job's. */
static bool is_job(const struct parsed *s)
{
	return strcmp(s->def->name, "fetch") == 0 || strcmp(s->def->name, "sync") == 0 || strcmp(s->def->name, "migrate") == 0;
}

/* Does the section say anything by this key? */
static bool says(const struct parsed *s, const char *key)
{
	for (size_t i = 0; i < s->n_given; i++)
		if (strcmp(s->given[i].key->name, key) == 0)
			return true;
	return false;
}

/* A job. */
static void build_job(struct config *c, const struct parsed *s, const struct parsed_list *list, struct problems *p)
{
	struct config_job *out = &c->jobs[c->n_jobs];

	if (strcmp(s->def->name, "sync") == 0)
		build_sync(c, s, list, out, p);
	else if (strcmp(s->def->name, "migrate") == 0)
		build_migrate(c, s, list, out, p);
	else
		build_fetch(c, s, out, p);
	if (!says(s, "sandbox"))
		out->unconfined = c->unconfined;
	out->mark = build_mark(s, list) + out->unconfined; /* which may come from outside of the section */
	if (!s->name)
		return;
	for (size_t i = 0; i < c->n_jobs; i++)
		if (strcmp(c->jobs[i].name, s->name) == 0) {
			doubled(p, s, "the job", c->jobs[i].file, c->jobs[i].line);
			return;
		}
	c->n_jobs++;
}

/* What stands outside of all sections: each key that was given is in one of its own. */
static void build_top(struct config *c, const struct parsed_list *list, struct problems *p)
{
	struct top_keys all = { 0 };
	size_t n;
	const struct key *k = schema_keys(&n);

	for (size_t i = 0; i < n; i++)
		if (strcmp(k[i].section, SECTION_NONE) == 0)
			(void)value_default(&k[i], &all, p);
	for (size_t i = 0; i < list->n; i++)
		for (size_t j = 0; list->a[i].def->none && j < list->a[i].n_given; j++) {
			const struct key *key = list->a[i].given[j].key;

			memcpy((char *)&all + key->off, (char *)list->a[i].keys + key->off, key->type == KEY_BOOL ? sizeof(bool) : sizeof(int64_t));
		}
	c->parallel = (unsigned)all.parallel;
	c->parallel_per_host = (unsigned)all.parallel_per_host;
	c->unconfined = !all.sandbox;
}

/* Ends first, for jobs name them. */
int build_all(struct config *c, const struct parsed_list *list, struct problems *p, struct err *e)
{
	c->ends = arena_new(&c->arena, struct config_end, list->n + 1);
	c->jobs = arena_new(&c->arena, struct config_job, list->n + 1);
	if (!c->ends || !c->jobs)
		return err_set(e, ERR_LOCAL, "out of memory for the configuration");
	for (size_t i = 0; i < list->n; i++)
		if (!is_job(&list->a[i]) && !list->a[i].parent && !list->a[i].def->none)
			build_end(c, &list->a[i], list, p);
	build_top(c, list, p);
	for (size_t i = 0; i < list->n; i++)
		if (is_job(&list->a[i]))
			build_job(c, &list->a[i], list, p);
	return 0;
}
