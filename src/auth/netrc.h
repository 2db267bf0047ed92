/*
 * ~/.netrc: machine/default, login, password, account, port, macdef; words may be quoted ("...") with backslash escapes; "#" where a
 * keyword could stand begins a comment that ends with the line. A password may begin with "#".
 */
#ifndef AUTH_NETRC_H
#define AUTH_NETRC_H

#include <stdbool.h>

#include "base/err.h"
#include "base/slice.h"
#include "base/strbuf.h"

/*
 * Find the password for host and user (an entry without login fits any user; the first fit wins; "default" last). port may be NULL; an entry with
 * "port" (a number, or imap, imaps, pop3, pop3s) must fit, and fits no unknown port. An entry without password is no fit.
 * text is the whole file. Returns 1 found (appended to password), 0 none, -1 ERR_CONF with the line number; nothing of the file is ever in the error.
 */
int netrc_find(struct slice text, const char *host, const char *port, const char *user, struct strbuf *password,
	       struct err *e);

#endif
