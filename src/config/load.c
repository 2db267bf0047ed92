/* Loading a configuration: see load.h. */
#include "config/load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/netrc.h"
#include "base/fs.h"
#include "config/build.h"
#include "config/parse.h"
#include "config/url.h"
#include "config/value.h"
#include "mail/digest.h"

#define ARENA_LIMIT (64 << 20)
#define NETRC_LIMIT (1 << 20)
#define PATH_SIZE 4096
#define DEFAULT_FILE "/mailhaul/mailhaul.conf"
#define JOB_HEX 12 /* digits of the digest in the name of an ad hoc job */

static const struct place command_line = { NULL, 0 };

/* Give it back. */
void config_release(struct config *c)
{
	for (size_t i = 0; i < c->secrets.n; i++)
		explicit_bzero(c->secrets.a[i], strlen(c->secrets.a[i]));
	vec_release(&c->secrets);
	arena_release(&c->arena);
	*c = (struct config){ 0 };
}

/* One place where a configuration may be; whether it is there (or can't be looked at, which opening it will say). */
static bool exists(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

/* Write the default place below a directory, or below the home; whether there is such a file. */
static bool try_place(char out[PATH_SIZE], const char *dir, const char *rest)
{
	struct err ignored = ERR_INIT;
	char *full = fs_expand(dir, &ignored);
	int n = full ? snprintf(out, PATH_SIZE, "%s%s", full, rest) : 0;

	free(full);
	return n > 0 && n < PATH_SIZE && exists(out);
}

/* The file that is meant when none is named. */
const char *config_find(void)
{
	static char path[PATH_SIZE];
	const char *xdg = getenv("XDG_CONFIG_HOME");

	if (xdg && xdg[0] == '/' && try_place(path, xdg, DEFAULT_FILE)) /* XDG base directories: relative ones are ignored */
		return path;
	if (try_place(path, "~/.config", DEFAULT_FILE))
		return path;
	return try_place(path, "/etc", "/mailhaul.conf") ? path : NULL;
}

/* From problems and parsed sections to a configuration, or to none. */
static int finish(struct config *c, int rc, const struct parsed_list *list, struct problems *p, struct strbuf *out, struct err *e)
{
	if (rc == 0)
		rc = build_all(c, list, p, e);
	if (rc == 0)
		rc = problems_end(p, out, e);
	else if (out)
		strbuf_printf(out, "%s\n", e->text);
	vec_release(&p->v);
	if (rc < 0)
		config_release(c);
	return rc;
}

/* Load a text. */
int config_load_text(const char *name, struct slice text, struct config *out, struct strbuf *problems, struct err *e)
{
	struct problems p = { .arena = &out->arena };
	struct parsed_list list = { 0 };
	int rc;

	*out = (struct config){ .arena = ARENA_INIT(ARENA_LIMIT) };
	out->path = arena_str(&out->arena, slice_str(name));
	rc = parse_text(name, text, &out->arena, &p, &list, e);
	out->secrets.a = list.secrets.a; /* handed over, with the duty to wipe */
	out->secrets.n = list.secrets.n;
	out->secrets.cap = list.secrets.cap;
	return finish(out, rc, &list, &p, problems, e);
}

/* Load a file. */
int config_load(const char *path, struct config *out, struct strbuf *problems, struct err *e)
{
	struct problems p = { .arena = &out->arena };
	struct parsed_list list = { 0 };
	int rc;

	*out = (struct config){ .arena = ARENA_INIT(ARENA_LIMIT) };
	if (!path && !(path = config_find())) {
		err_set(e, ERR_CONF, "there is no configuration; write ~/.config" DEFAULT_FILE ", as mailhaul.conf(5) says, or name one with --config");
		if (problems)
			strbuf_printf(problems, "%s\n", e->text);
		return -1;
	}
	out->path = arena_str(&out->arena, slice_str(path));
	rc = parse_file(path, &out->arena, &p, &list, e);
	out->secrets.a = list.secrets.a;
	out->secrets.n = list.secrets.n;
	out->secrets.cap = list.secrets.cap;
	return finish(out, rc, &list, &p, problems, e);
}

/* Whether ~/.netrc has a password for the account: 1, 0, -1. */
static int in_netrc(const struct secret_params *s, struct err *e)
{
	const char *env = getenv("NETRC");
	struct strbuf text = STRBUF_SECRET(NETRC_LIMIT), password = STRBUF_SECRET(SECRET_MAX);
	struct err ignored = ERR_INIT;
	char *path = fs_expand(env && *env ? env : "~/.netrc", &ignored);
	int rc = 0;

	if (path && exists(path)) {
		rc = fs_read_secret(path, &text, e);
		if (rc == 0)
			rc = netrc_find(strbuf_slice(&text), s->host, s->port, s->user, &password, e);
		if (rc < 0)
			err_in(e, "%s", path);
	}
	free(path);
	strbuf_release(&text);
	strbuf_release(&password);
	return rc;
}

/* An account that is given as a URL, on the command line. */
static int adhoc_account(struct config *c, const char *url, struct config_end *out, struct problems *p)
{
	const struct section *def = schema_section("account");
	const struct key *key = schema_key("account", "url");
	struct account_keys *keys = arena_new(&c->arena, struct account_keys, 1);
	struct given *g = arena_new(&c->arena, struct given, 1);
	struct parsed s = { .def = def, .keys = keys, .given = g, .n_given = 1 };
	struct err e = ERR_INIT;
	size_t n, before = p->n;
	const struct key *k = schema_keys(&n);

	*out = (struct config_end){ .name = arena_str(&c->arena, slice_str(url)) };
	if (!keys || !g || !out->name) {
		problem_add(p, command_line, ERR_LOCAL, "out of memory");
		return -1;
	}
	for (size_t i = 0; i < n; i++)
		if (strcmp(k[i].section, def->name) == 0 && value_default(&k[i], keys, p) < 0)
			return -1;
	*g = (struct given){ .key = key, .n = 1 };
	if (value_set(key, keys, &url, NULL, 1, command_line, p) < 0)
		return -1;
	build_account(c, &s, out, p);
	if (p->n > before)
		return -1;
	out->pop3.pop3.what = out->imap.imap.what = out->url;
	switch (in_netrc(config_secret(out), &e)) {
	case 1:
		config_secret(out)->netrc = true;
		return 0;
	case 0:
		return 0;
	}
	problem_err(p, command_line, &e);
	return -1;
}

/* An account by name or URL; NULL: a problem was noted. */
static const struct config_end *account(struct config *c, const char *name, const char *what, struct problems *p)
{
	const struct config_end *end;
	struct config_end *fresh;

	if (!url_like(name)) {
		end = build_find(c, name, what, command_line, p);
		if (!end || end->is_account)
			return end;
		problem_add(p, command_line, ERR_USAGE, "%s: '%s' is a local store; an account is wanted: its name, or imaps://user@host", what, name);
		return NULL;
	}
	if (strncmp(name, "maildir:", 8) == 0 || strncmp(name, "mbox:", 5) == 0) {
		problem_add(p, command_line, ERR_USAGE, "%s: '%s' is a local store; an account is wanted: its name, or imaps://user@host", what, name);
		return NULL;
	}
	fresh = arena_new(&c->arena, struct config_end, 1);
	return fresh && adhoc_account(c, name, fresh, p) == 0 ? fresh : NULL;
}

/* An end by name, or a local store by its spec; NULL: a problem was noted. */
static const struct config_end *local(struct config *c, const char *name, const char *what, struct problems *p)
{
	struct config_end *fresh;
	char *cwd;
	int rc;

	if (!url_like(name))
		return build_find(c, name, what, command_line, p);
	cwd = getcwd(NULL, 0);
	fresh = arena_new(&c->arena, struct config_end, 1);
	rc = fresh ? build_spec(c, name, cwd, what, command_line, fresh, p) : -1;
	free(cwd);
	return rc == 0 ? fresh : NULL;
}

/* "fetch-0123456789ab", of two places. */
static const char *adhoc_name(struct config *c, const struct config_job *job, const char *left, const char *right, struct err *e)
{
	unsigned char md[DIGEST_SIZE];
	char hex[DIGEST_HEX], name[sizeof("migrate-") + JOB_HEX];
	const char *mode = job->mode == CONFIG_SYNC ? "sync" : job->mode == CONFIG_MIGRATE ? "migrate" : "fetch", *kept;
	struct digest *d = digest_new(e);
	int rc;

	if (!d)
		return NULL;
	rc = digest_put(d, left, strlen(left) + 1);
	if (rc == 0)
		rc = digest_put(d, right, strlen(right));
	if (rc == 0)
		rc = digest_end(d, md);
	digest_free(d);
	if (rc < 0) {
		err_set(e, ERR_BUG, "can't compute a digest");
		return NULL;
	}
	digest_hex(md, hex);
	snprintf(name, sizeof(name), "%s-%.*s", mode, JOB_HEX, hex);
	kept = arena_str(&c->arena, slice_str(name));
	if (!kept)
		err_set(e, ERR_LOCAL, "out of memory");
	return kept;
}

/* A place in the one writing that it has: a local path with its links followed. */
static const char *place_of(struct config *c, const struct config_end *end, struct err *e)
{
	const char *url;
	char *real;

	if (end->is_account || (end->kind != CONFIG_MAILDIR && end->kind != CONFIG_MBOX))
		return end->url;
	real = fs_real(end->kind == CONFIG_MAILDIR ? end->maildir.path : end->mbox.path, e);
	if (!real)
		return NULL;
	url = build_local_url(c, end->kind, real);
	free(real);
	return url;
}

/* A local remote side by its real path, since the state notes by it whose messages it knows. */
static int real_left(struct config *c, struct config_job *job, const char *url, struct err *e)
{
	struct config_end *end = arena_new(&c->arena, struct config_end, 1);

	if (!end)
		return err_set(e, ERR_LOCAL, "out of memory");
	*end = *job->left;
	end->url = url;
	*(end->kind == CONFIG_MAILDIR ? &end->maildir.path : &end->mbox.path) = strchr(url, ':') + 1;
	job->left = end;
	return 0;
}

/* The same name for the same places, however they were written. */
static int adhoc_names(struct config *c, struct config_job *job, struct err *e)
{
	const char *left = place_of(c, job->left, e), *right = left ? place_of(c, job->right, e) : NULL;

	if (!right)
		return -1;
	job->name = adhoc_name(c, job, left, right, e);
	if (!job->name)
		return -1;
	if (strcmp(left, job->left->url) == 0 && strcmp(right, job->right->url) == 0)
		return 0;
	job->former = adhoc_name(c, job, job->left->url, job->right->url, e);
	if (!job->former)
		return -1;
	return strcmp(left, job->left->url) == 0 ? 0 : real_left(c, job, left, e);
}

/* The defaults of a section. */
static void adhoc_defaults(const char *section, void *keys, struct problems *p)
{
	size_t n;
	const struct key *k = schema_keys(&n);

	for (size_t i = 0; i < n; i++)
		if (strcmp(k[i].section, section) == 0)
			(void)value_default(&k[i], keys, p);
}

/* One key of a section, from the command line. */
static void adhoc_key(const char *section, void *keys, const char *name, const char *value, struct problems *p)
{
	if (value)
		(void)value_set(schema_key(section, name), keys, &value, NULL, 1, command_line, p); /* what is wrong is in p */
}

/* What a fetch section would say: defaults, and the options of the command line. */
static void adhoc_keys(struct fetch_keys *keys, const struct config_adhoc_opts *opts, struct problems *p)
{
	adhoc_defaults("fetch", keys, p);
	if (!opts)
		return;
	adhoc_key("fetch", keys, "keep", opts->keep, p);
	adhoc_key("fetch", keys, "max-size", opts->max_size, p);
	adhoc_key("fetch", keys, "folder", opts->folder, p);
}

/* `fetch A B` */
static void adhoc_fetch(struct config *c, const char *a, const char *b, const struct config_adhoc_opts *opts, struct config_job *out, struct problems *p)
{
	struct fetch_keys keys = { 0 };

	out->left = account(c, a, "from", p);
	if (out->left && build_check_source(out->left, a, command_line, p) < 0)
		out->left = NULL;
	out->right = local(c, b, "to", p);
	if (out->right && out->right->is_account) {
		problem_add(p, command_line, ERR_USAGE, "to: '%s' is %s account, which can't be delivered to; maildir:PATH and mbox:PATH can", b,
			    out->right->kind == CONFIG_IMAP ? "an IMAP" : "a POP3");
		out->right = NULL;
	}
	adhoc_keys(&keys, opts, p);
	build_policy(out, &keys);
	if (out->right)
		build_check_folder(out->right, out->folder, command_line, p);
}

/* Whether a word is the spec of a local store. */
static bool is_local(const char *name)
{
	return strncmp(name, "maildir:", 8) == 0 || strncmp(name, "mbox:", 5) == 0;
}

/* `sync A B` */
static void adhoc_sync(struct config *c, const char *a, const char *b, struct config_job *out, struct problems *p)
{
	struct sync_keys keys = { 0 };

	out->left = url_like(a) && !is_local(a) ? account(c, a, "remote", p) : local(c, a, "remote", p);
	if (out->left && build_check_side(out->left, true, a, command_line, p) < 0)
		out->left = NULL;
	out->right = local(c, b, "local", p);
	if (out->right && build_check_side(out->right, false, b, command_line, p) < 0)
		out->right = NULL;
	build_check_sides(out, command_line, p);
	adhoc_defaults("sync", &keys, p);
	build_sync_policy(out, &keys);
}

/* `migrate A B` */
static void adhoc_migrate(struct config *c, const char *a, const char *b, const struct config_adhoc_opts *opts, struct config_job *out, struct problems *p)
{
	struct migrate_keys keys = { 0 };

	out->left = url_like(a) && !is_local(a) ? account(c, a, "from", p) : local(c, a, "from", p);
	out->right = url_like(b) && !is_local(b) ? account(c, b, "to", p) : local(c, b, "to", p);
	if (out->right && build_check_migrant(out->right, false, b, command_line, p) < 0)
		out->right = NULL;
	build_check_migrants(out, command_line, p);
	adhoc_defaults("migrate", &keys, p);
	if (opts) {
		adhoc_key("migrate", &keys, "max-size", opts->max_size, p);
		adhoc_key("migrate", &keys, "folder", opts->folder, p);
	}
	build_migrate_policy(out, &keys);
	build_migrate_folder(c, out, keys.folder, command_line, p);
}

/* A job without a configuration file. */
int config_adhoc(struct config *c, enum config_mode mode, const char *a, const char *b, const struct config_adhoc_opts *opts, struct config_job *out,
		 struct err *e)
{
	struct problems p = { .arena = &c->arena };
	int rc;

	*out = (struct config_job){ .mode = mode, .unconfined = c->unconfined };
	if (mode == CONFIG_SYNC)
		adhoc_sync(c, a, b, out, &p);
	else if (mode == CONFIG_MIGRATE)
		adhoc_migrate(c, a, b, opts, out, &p);
	else
		adhoc_fetch(c, a, b, opts, out, &p);
	if (p.n == 0 && (!out->left || !out->right))
		problem_add(&p, command_line, ERR_LOCAL, "out of memory");
	rc = problems_end(&p, NULL, e);
	vec_release(&p.v);
	if (rc < 0 || adhoc_names(c, out, e) < 0)
		return -1;
	out->sync.job = out->name;
	return 0;
}

/* An account by name or URL. */
const struct config_end *config_account(struct config *c, const char *name, struct err *e)
{
	struct problems p = { .arena = &c->arena };
	const struct config_end *end = account(c, name, "account", &p);

	if (p.n == 0 && !end)
		err_set(e, ERR_LOCAL, "out of memory");
	else if (problems_end(&p, NULL, e) < 0)
		end = NULL;
	vec_release(&p.v);
	return end;
}

/* A job by name. */
const struct config_job *config_job(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->n_jobs; i++)
		if (strcmp(c->jobs[i].name, name) == 0)
			return &c->jobs[i];
	return NULL;
}

/* Whether it joins two trees. */
bool config_two_way(const struct config_job *job)
{
	return job->mode == CONFIG_SYNC || job->mode == CONFIG_MIGRATE;
}

/* A job that was perhaps meant. */
const char *config_near_job(struct config *c, const char *name)
{
	struct problems p = { .arena = &c->arena };
	struct strbuf all = STRBUF_INIT(CONFIG_PROBLEMS_MAX);
	const char *near;

	for (size_t i = 0; i < c->n_jobs; i++)
		strbuf_printf(&all, "%s%s", i > 0 ? "|" : "", c->jobs[i].name);
	near = problem_near(&p, name, strbuf_str(&all));
	strbuf_release(&all);
	return near;
}
