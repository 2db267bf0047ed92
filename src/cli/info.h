/* What the ways to look at a server share: `info` by protocol, `list` of a tree. */
#ifndef CLI_INFO_H
#define CLI_INFO_H

#include "auth/sasl.h"
#include "cli/cli.h"

/* The TLS layer of a stream and the server's certificate: lines for a person, or a member "tls", null when there is none. */
void info_show_tls(struct cli *c, struct stream *s);
void info_json_tls(struct strbuf *b, struct stream *s);

/* A line: what a job of this account would run in. */
void info_show_sandbox(struct cli *c);

/* Which mechanism would be taken of those offered, as far as it can be said without the secret; NULL: none fits. auth: SASL_ALLOW_MAX names. */
const char *info_mechanism(const struct config_end *end, const char *service, const char *offered, struct stream *s);

/* `info` of an IMAP account. An exit code, or -1. */
int info_imap(struct cli *c, struct config_end *end, struct err *e);

/* `list` of an account with folders, and of a two-way job. */
int list_account(struct cli *c, struct config_end *end, struct err *e);
int list_sync(struct cli *c, const struct config_job *job, struct err *e);

#endif
