/*
 * Where a password or token comes from. It lives in a strbuf marked secret (wiped when freed or moved) and nowhere else:
 * not in argv, environment, log, trace, error texts or core dumps (secret_harden).
 */
#ifndef AUTH_SECRET_H
#define AUTH_SECRET_H

#include <stdbool.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/strbuf.h"

#define SECRET_MAX 65536 /* bytes; OAuth tokens are long */

/* Ask a person; the cli gives it. -1 with ERR_CONF when there is no terminal. */
typedef int secret_prompt(void *arg, const char *what, struct strbuf *out, struct err *e);

struct secret_params {
	const char *command;  /* first line of its output */
	const char *file;     /* first line; must not be readable by others */
	const char *literal;  /* from a configuration file that others can't read (the config layer checks) */
	bool netrc;           /* ~/.netrc or $NETRC, entry of host and user; plain file, not readable by others */
	const char *netrc_file; /* NULL: $NETRC, else ~/.netrc */
	const char *host, *user, *port;
	secret_prompt *prompt; /* used when none of the above is set; may be NULL */
	void *prompt_arg;
};

/*
 * Exactly one source applies, in the order above. out is emptied, marked secret, and takes the first line without its CR LF.
 * An empty password, and one with a NUL byte, is an error that says which source gave it (ERR_CONF); out is empty after any error.
 * The prompt is given "password for USER@HOST".
 */
int secret_get(const struct secret_params *p, struct strbuf *out, msec_t deadline, struct err *e);

/* The netrc file that is read. It may begin with ~. */
const char *secret_netrc_path(const struct secret_params *p);

/*
 * Once at the start of each process: RLIMIT_CORE 0 (children inherit it), and PR_SET_DUMPABLE off, for kernels that pipe core dumps to a program do not
 * ask the limit; other processes of the same user can't read our memory then. Not while a tracer is attached already (strace, gdb), which it would blind.
 */
void secret_harden(void);

#endif
