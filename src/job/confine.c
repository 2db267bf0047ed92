#include "job/confine.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/broker.h"
#include "base/fs.h"
#include "net/tls.h"
#include "net/tunnel.h"

#define TEXT_MAX (4 << 20)   /* bytes of paths and commands */
#define COMMAND_MAX 4096
#define DEPTH_MAX 40         /* of directories, and how many entries, in which links are looked for */
#define LOOKED_MAX 100000

/*
 * What the C library (names of hosts, by whatever module; time zones) and OpenSSL read, on all distributions; what is not there is passed over. Not /proc: it shows what other
 * processes of the same person have in their environment. Not all of /run, and nothing of a home.
 */
static const char *const system_paths[] = {
	"/etc", "/usr", "/lib", "/lib32", "/lib64", "/nix/store", "/gnu/store", "/opt", "/run/systemd", "/run/resolvconf", "/run/NetworkManager", "/run/nscd", "/run/current-system",
	"/var/lib/ca-certificates", "/var/lib/sss", "/var/cache/nscd", "/var/db/nscd", "/dev/null", "/dev/urandom", "/dev/random",
	"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/localtime", /* often links to elsewhere */
};

/* Variables that name files or directories of these libraries, several with colons between. */
static const char *const system_variables[] = {
	"SSL_CERT_FILE", "SSL_CERT_DIR", "OPENSSL_CONF", "OPENSSL_MODULES", "OPENSSL_ENGINES", "LD_LIBRARY_PATH", "HOSTALIASES", "LOCPATH", "TZDIR",
};

static const char *keep(struct confine *c, struct slice text)
{
	const char *s = arena_str(&c->arena, text);

	c->failed |= s == NULL;
	return s;
}

static void add_slice(struct confine *c, struct slice path, enum sandbox_right right)
{
	struct sandbox_path p = { keep(c, path), right };

	if (p.path && p.path[0] == '/' && vec_push(&c->paths, p) < 0)
		c->failed = true;
}

static void add(struct confine *c, const char *path, enum sandbox_right right)
{
	if (path && path[0])
		add_slice(c, slice_str(path), right);
}

static void add_command(struct confine *c, const char *command)
{
	if (command && vec_push(&c->commands, command) < 0)
		c->failed = true;
}

/* A path that may begin with ~. */
static void add_expanded(struct confine *c, const char *path)
{
	char *full = path ? fs_expand(path, NULL) : NULL;

	add(c, full, SANDBOX_READ);
	free(full);
}

/* The directory that something is in. */
static void add_directory_of(struct confine *c, const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash)
		add_slice(c, slash == path ? slice_str("/") : slice_of(path, (size_t)(slash - path)), SANDBOX_WRITE);
}

static void add_variable(struct confine *c, const char *name)
{
	const char *at = secure_getenv(name);

	while (at && *at) {
		size_t n = strcspn(at, ":");

		add_slice(c, slice_of(at, n), SANDBOX_READ);
		at += n + (at[n] == ':');
	}
}

static void add_system(struct confine *c)
{
	const char *openssl[TLS_FILES];

	tls_files(openssl);
	for (size_t i = 0; i < sizeof(system_paths) / sizeof(system_paths[0]); i++)
		add(c, system_paths[i], SANDBOX_READ);
	for (size_t i = 0; i < sizeof(system_variables) / sizeof(system_variables[0]); i++)
		add_variable(c, system_variables[i]);
	for (size_t i = 0; i < TLS_FILES; i++)
		add(c, openssl[i], SANDBOX_READ);
}

/* Where fs_tmpfile and SQLite have temporary files. */
static void add_scratch(struct confine *c)
{
	const char *tmp = secure_getenv("TMPDIR");

	add(c, secure_getenv("SQLITE_TMPDIR"), SANDBOX_SCRATCH);
	if (tmp && tmp[0] == '/') {
		add(c, tmp, SANDBOX_SCRATCH);
		return;
	}
	add(c, "/tmp", SANDBOX_SCRATCH);
	add(c, "/var/tmp", SANDBOX_SCRATCH);
}

/* A link, as mbox files may be: what it leads to, and what is made beside that. */
static void add_link(struct confine *c, const char *path)
{
	char *real = realpath(path, NULL);
	struct stat st;

	if (real && stat(real, &st) == 0 && S_ISDIR(st.st_mode))
		add(c, real, SANDBOX_WRITE);
	else if (real)
		add_directory_of(c, real);
	free(real);
}

/* The links in a tree of mbox files. */
static void add_links(struct confine *c, const char *path, int depth)
{
	DIR *d = depth < DEPTH_MAX ? opendir(path) : NULL;
	struct dirent *entry;
	struct strbuf below = STRBUF_INIT(8192);

	while (d && c->looked < LOOKED_MAX && (entry = readdir(d))) {
		struct stat st;

		c->looked++;
		strbuf_clear(&below);
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 || strbuf_printf(&below, "%s/%s", path, entry->d_name) < 0)
			continue;
		if (entry->d_type != DT_UNKNOWN && entry->d_type != DT_LNK && entry->d_type != DT_DIR)
			continue;
		if (lstat(below.s, &st) == 0 && S_ISLNK(st.st_mode))
			add_link(c, below.s);
		else if (S_ISDIR(st.st_mode))
			add_links(c, below.s, depth + 1);
	}
	strbuf_release(&below);
	if (d)
		closedir(d);
}

static void add_mbox(struct confine *c, const char *path)
{
	struct stat st;

	if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode))
		add_link(c, path);
	if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode)) {
		add_directory_of(c, path); /* locks, and what replaces it */
		return;
	}
	add(c, path, SANDBOX_WRITE);
	add_links(c, path, 0);
}

/* Its command line as it will be run; one that can't be made is told when it is dialled. */
static void add_tunnel(struct confine *c, const struct dial_params *dial)
{
	struct strbuf line = STRBUF_INIT(COMMAND_MAX);

	if (dial->tunnel && tunnel_command(dial->tunnel, dial->host, dial->port, &line, NULL) == 0)
		add_command(c, keep(c, strbuf_slice(&line)));
	strbuf_release(&line);
}

static void add_account(struct confine *c, const struct config_end *end)
{
	const bool imap = end->kind == CONFIG_IMAP;
	const struct dial_params *dial = imap ? &end->imap.imap.dial : &end->pop3.pop3.dial;
	const struct secret_params *secret = imap ? &end->imap.imap.secret : &end->pop3.pop3.secret;

	add(c, dial->tls.ca_file, SANDBOX_READ);
	add(c, dial->tls.client_cert, SANDBOX_READ);
	add(c, dial->tls.client_key, SANDBOX_READ);
	add_expanded(c, secret->file);
	if (secret->netrc)
		add_expanded(c, secret_netrc_path(secret));
	add_command(c, secret->command);
	add_command(c, imap ? end->imap.imap.token_command : end->pop3.pop3.token_command);
	add_tunnel(c, dial);
}

static void add_end(struct confine *c, const struct config_end *end)
{
	if (end->is_account)
		add_account(c, end);
	else if (end->kind == CONFIG_MBOX)
		add_mbox(c, end->mbox.path);
	else
		add(c, end->maildir.path, SANDBOX_WRITE);
}

/* Where mbsync has its state: a path with a * for the folder; the directory before that. */
static void add_take_over(struct confine *c, const char *path)
{
	size_t n = path ? strcspn(path, "*") : 0;

	while (n > 0 && path[n - 1] != '/')
		n--;
	if (n > 1)
		add_slice(c, slice_of(path, n), SANDBOX_READ);
}

static int gather(struct confine *c, const struct job_params *p, struct err *e)
{
	const bool changes = !p->dry_run && !p->verify;

	if (changes && fs_mkdirs(p->state_dir, 0700, e) < 0)
		return err_hint(e, "it is to hold the job's state; --state-dir names another");
	add_system(c);
	add_scratch(c);
	add(c, p->state_dir, changes || access(p->state_dir, F_OK) == 0 ? SANDBOX_WRITE : SANDBOX_READ);
	add_end(c, p->job->left);
	add_end(c, p->job->right);
	if (config_two_way(p->job))
		add_take_over(c, p->job->sync.take_over);
	if (changes) {
		add_command(c, p->job->on_new);
		add_command(c, p->job->on_change);
	}
	return c->failed ? err_set(e, ERR_LOCAL, "out of memory") : 0;
}

int confine_enter(struct confine *c, const struct job_params *p, struct err *e)
{
	struct sandbox_kernel k;

	*c = (struct confine){ .arena = ARENA_INIT(TEXT_MAX) };
	if (p->job->unconfined)
		return 0;
	if (gather(c, p, e) < 0)
		return -1;
	if (broker_start(c->commands.a, c->commands.n, e) < 0 || sandbox_enter(c->paths.a, c->paths.n, e) < 0) {
		err_in(e, "sandbox");
		return err_hint(e, "sandbox = no does without");
	}
	sandbox_look(&k);
	c->files = k.landlock >= SANDBOX_LANDLOCK_MIN;
	return 0;
}

void confine_leave(struct confine *c)
{
	if (broker_stands())
		broker_end();
	vec_release(&c->paths);
	vec_release(&c->commands);
	arena_release(&c->arena);
}
