/* ~/.netrc: machine/default, login, password, account, macdef; quoted words with backslash escapes; comments. */
#ifndef AUTH_NETRC_H
#define AUTH_NETRC_H

#include <stdbool.h>

#include "base/slice.h"
#include "base/strbuf.h"

/*
 * Find the password for host and user (an entry without login fits any user; the first fit wins; "default" last). port may be NULL; an entry with "port" must fit.
 * Returns 1 found, 0 none, -1 ERR_CONF with the line number. text is the whole file.
 */
int netrc_find(struct slice text, const char *host, const char *port, const char *user, struct strbuf *password, struct err *e);

#endif
