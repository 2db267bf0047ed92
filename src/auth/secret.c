/* Where secrets come from: see secret.h. */
#include "auth/secret.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "auth/netrc.h"
#include "base/fs.h"
#include "base/proc.h"

#define NETRC_MAX (1 << 20) /* bytes of a netrc file */

/* Move the first line of all to out. */
static int first_line(const struct strbuf *all, struct strbuf *out, struct err *e)
{
	const char *end = all->len > 0 ? memchr(all->s, '\n', all->len) : NULL;
	size_t n = end ? (size_t)(end - all->s) : all->len;

	if (n > 0 && all->s[n - 1] == '\r')
		n--;
	if (strbuf_put(out, all->s, n) < 0)
		return err_set(e, ERR_CONF, "the first line is too long for a password");
	return 0;
}

/* The first line of what a command prints. */
static int from_command(const struct secret_params *p, struct strbuf *out, msec_t deadline, struct err *e)
{
	struct strbuf all = STRBUF_SECRET(SECRET_MAX);
	int rc = proc_output(p->command, &all, deadline, e);

	if (rc < 0 && e && e->kind == ERR_LOCAL)
		err_hint(e, "run it in a shell to see why");
	if (rc == 0)
		rc = first_line(&all, out, e);
	strbuf_release(&all);
	return rc;
}

/* The content of a file that others can't read. */
static int read_file(const char *path, struct strbuf *all, struct err *e)
{
	char *full = fs_expand(path, e);
	int rc = full ? fs_read_secret(full, all, e) : -1;

	free(full);
	return rc;
}

/* The first line of a file. */
static int from_file(const struct secret_params *p, struct strbuf *out, struct err *e)
{
	struct strbuf all = STRBUF_SECRET(SECRET_MAX);
	int rc = read_file(p->file, &all, e);

	if (rc == 0)
		rc = first_line(&all, out, e);
	strbuf_release(&all);
	return rc;
}

/* The netrc file in force. */
const char *secret_netrc_path(const struct secret_params *p)
{
	const char *env = getenv("NETRC");

	return p->netrc_file ? p->netrc_file : env && *env ? env : "~/.netrc";
}

/* The password of a netrc entry. */
static int from_netrc(const struct secret_params *p, struct strbuf *out, struct err *e)
{
	struct strbuf all = STRBUF_SECRET(NETRC_MAX);
	const char *path = secret_netrc_path(p), *user = p->user ? p->user : "", *host = p->host ? p->host : "";
	int rc = read_file(path, &all, e);

	if (rc == 0) {
		rc = netrc_find(strbuf_slice(&all), host, p->port, user, out, e);
		if (rc == 0)
			rc = err_set(e, ERR_CONF, "%s: no entry for %s@%s", path, user, host);
		else if (rc < 0)
			err_in(e, "%s", path);
	}
	strbuf_release(&all);
	return rc < 0 ? -1 : 0;
}

/* Ask. */
static int from_prompt(const struct secret_params *p, struct strbuf *out, struct err *e)
{
	const char *user = p->user ? p->user : "", *host = p->host ? p->host : "";
	char what[320];

	if (!p->prompt) {
		err_set(e, ERR_CONF, "no password is set for %s@%s", user, host);
		return err_hint(e, "set password-command, password-file or netrc");
	}
	snprintf(what, sizeof(what), "password for %s@%s", user, host);
	return p->prompt(p->prompt_arg, what, out, e);
}

/* The source in force, and its name for errors. */
static int obtain(const struct secret_params *p, struct strbuf *out, msec_t deadline, const char **source,
		  struct err *e)
{
	if (p->command) {
		*source = "the password command"; /* its text may hold a secret, so it is not shown */
		return from_command(p, out, deadline, e);
	}
	if (p->file) {
		*source = "the password file";
		return from_file(p, out, e);
	}
	if (p->literal) {
		*source = "the password in the configuration";
		return strbuf_puts(out, p->literal) < 0 ? err_set(e, ERR_CONF, "too long for a password") : 0;
	}
	if (p->netrc) {
		*source = "netrc";
		return from_netrc(p, out, e);
	}
	*source = "the prompt";
	return from_prompt(p, out, e);
}

/* Get the secret. */
int secret_get(const struct secret_params *p, struct strbuf *out, msec_t deadline, struct err *e)
{
	const char *source = "";
	int rc;

	strbuf_clear(out);
	out->secret = true;
	rc = obtain(p, out, deadline, &source, e);
	if (rc < 0)
		err_in(e, "%s", source);
	else if (out->len == 0)
		rc = err_set(e, ERR_CONF, "%s gave an empty password", source);
	else if (memchr(out->s, '\0', out->len))
		rc = err_set(e, ERR_CONF, "%s gave a password with a NUL byte", source);
	if (rc < 0)
		strbuf_clear(out);
	return rc < 0 ? -1 : 0;
}

/* Whether somebody traces this process. */
static bool is_traced(void)
{
	static const char key[] = "\nTracerPid:\t";
	char status[4096];
	ssize_t n;
	const char *at;
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	n = read(fd, status, sizeof(status) - 1);
	close(fd);
	status[n > 0 ? n : 0] = '\0';
	at = strstr(status, key);
	return at && at[sizeof(key) - 1] != '0';
}

/* Close the ways by which memory gets out. */
void secret_harden(void)
{
	const struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
	if (!is_traced())
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}
