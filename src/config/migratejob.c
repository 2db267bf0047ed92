/* Migrations of a configuration: see build.h. */
#include <string.h>
#include <strings.h>

#include "config/build.h"
#include "config/url.h"

/* Whether a migration can have that end on that side. */
int build_check_migrant(const struct config_end *end, bool source, const char *name, struct place at, struct problems *p)
{
	if (source || end->kind != CONFIG_POP3)
		return 0;
	problem_add(p, at, ERR_CONF, "to: '%s' is a POP3 account, and POP3 can only give mail, not take it; an IMAP account, a Maildir or an mbox can", name);
	return -1;
}

/* Two IMAP accounts that are one. A POP3 account of the same user shows the same inbox perhaps, and perhaps not: that is for the person to know. */
static bool same_account(const struct config_end *a, const struct config_end *b)
{
	const struct imap_params *x = &a->imap.imap, *y = &b->imap.imap;

	return a->kind == CONFIG_IMAP && b->kind == CONFIG_IMAP && x->dial.host && y->dial.host && strcasecmp(x->dial.host, y->dial.host) == 0 &&
	       x->user && y->user && strcmp(x->user, y->user) == 0;
}

/* Both sides together. */
void build_check_migrants(const struct config_job *job, struct place at, struct problems *p)
{
	const char *a, *b;

	if (!job->left || !job->right)
		return;
	a = build_path(job->left);
	b = build_path(job->right);
	if (a && b && (build_within(a, b) || build_within(b, a)))
		problem_add(p, at, ERR_CONF, "to: %s and %s lie one within the other", a, b);
	else if (same_account(job->left, job->right))
		problem_add(p, at, ERR_CONF, "to: '%s' is the same mailbox as '%s', on %s: there is nothing to copy", job->right->name, job->left->name,
			    job->right->imap.imap.dial.host);
}

/* `folder` */
void build_migrate_folder(struct config *c, struct config_job *out, const char *folder, struct place at, struct problems *p)
{
	if (!folder || !folder[0])
		return;
	if (out->left && out->left->kind != CONFIG_POP3 && out->left->kind != CONFIG_MBOX)
		problem_add(p, at, ERR_CONF, "folder: '%s' has folders of its own; folder NAME { to = \"...\" } says what one of them is called at the target", out->left->name);
	else
		build_only_folder(c, folder, out, p, at);
}

/* What the engine is told. A migration deletes nothing that was deleted elsewhere, and removes no folder. */
void build_migrate_policy(struct config_job *out, const struct migrate_keys *k)
{
	build_times(out, k->every, k->deadline, k->stall);
	out->gather = CONFIG_GATHER_MS;
	build_limits(out, k->rate, k->budget);
	out->on_new = k->on_new && k->on_new[0] ? k->on_new : NULL;
	out->on_change = k->on_change && k->on_change[0] ? k->on_change : NULL;
	out->on_timeout = k->on_timeout;
	out->unconfined = !k->sandbox;
	out->folder = "";
	out->sync.job = out->name;
	out->sync.one_way = true;
	out->sync.delete_source = k->delete_source;
	out->sync.del = SYNC_NONE;
	out->sync.create = SYNC_RIGHT;
	out->sync.remove_where = SYNC_NONE;
	out->sync.max_size = (uint64_t)k->max_size;
	out->sync.max_age = k->max_age;
	out->sync.max_delete = (struct plan_max_delete){ .none = true };
	out->sync.right_name = out->right ? out->right->url : NULL;
}

/* A side by its key; NULL: a problem was noted. */
static const struct config_end *make_end(struct config *c, const struct parsed *s, const char *const *field, bool source, struct problems *p)
{
	struct place at = parsed_place(s, field);
	const char *name = *field, *key = source ? "from" : "to";
	const struct config_end *end = NULL;
	struct config_end *spec;

	if (!name)
		return NULL;
	if (url_like(name) && strncmp(name, "maildir:", 8) != 0 && strncmp(name, "mbox:", 5) != 0) {
		problem_add(p, at, ERR_CONF, "%s takes the name of an account; define one: account NAME { url = \"imaps://user@host\" }", key);
	} else if (url_like(name)) {
		spec = arena_new(&c->arena, struct config_end, 1);
		if (spec && build_spec(c, name, NULL, key, at, spec, p) == 0)
			end = spec;
	} else {
		end = build_find(c, name, key, at, p);
	}
	return end && build_check_migrant(end, source, name, at, p) == 0 ? end : NULL;
}

/* What can be said of folders only where the source has some. */
static void check_folders(const struct parsed *s, const struct config_job *job, const struct parsed_list *list, struct problems *p)
{
	const struct migrate_keys *k = s->keys;
	const struct given *folders = parsed_given(s, &k->folders), *folder = parsed_given(s, &k->folder);

	if (folders && job->left && job->left->kind == CONFIG_POP3)
		problem_add(p, folders->at, ERR_CONF, "folders has no effect: a POP3 account has but one, which is always copied");
	for (size_t i = 0; folder && i < list->n; i++)
		if (list->a[i].parent == s)
			problem_add(p, list->a[i].at, ERR_CONF, "folder sections and the key folder (line %d) exclude each other: in a section it is 'to' that says what the folder is called",
				    folder->at.line);
}

/* A migrate section. */
void build_migrate(struct config *c, const struct parsed *s, const struct parsed_list *list, struct config_job *out, struct problems *p)
{
	const struct migrate_keys *k = s->keys;

	*out = (struct config_job){ .name = s->name, .mode = CONFIG_MIGRATE, .file = s->at.file->name, .line = s->at.line };
	out->left = make_end(c, s, &k->from, true, p);
	out->right = make_end(c, s, &k->to, false, p);
	build_check_migrants(out, parsed_place(s, &k->to), p);
	build_migrate_policy(out, k);
	check_folders(s, out, list, p);
	build_folders(s, &k->folders, list, out, p);
	build_migrate_folder(c, out, k->folder, parsed_place(s, &k->folder), p);
	build_check_limits(s, &k->rate, &k->budget, out, p);
}
