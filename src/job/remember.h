/*
 * What was learnt of an account's server, kept from run to run in DIR/server/ACCOUNT (mode 0600): what it can, whether it takes
 * commands behind a login, and the last session of TLS, which is a secret. It saves waits and proves nothing: a file that is damaged, of other settings of the account
 * (or other files of authorities), or not ours alone, is as none, and is replaced.
 */
#ifndef JOB_REMEMBER_H
#define JOB_REMEMBER_H

#include "base/strbuf.h"
#include "config/load.h"

struct remember {
	struct imapstore_params params; /* the end's, pointing to what is here */
	const struct config_end *end;
	struct imap_remembered imap;
	struct tls_memory *tls;         /* NULL: none */
	int64_t refused;                /* when the server last did not take up a session */
	char *path;                     /* NULL: nothing is kept */
	struct strbuf text;             /* of the file */
};

/*
 * For an IMAP account over TLS: the parameters for its store, valid as long as r, which is not to be moved. NULL: of this end nothing is kept. r is zeroed before.
 * Writes nothing.
 */
const struct imapstore_params *remember_load(struct remember *r, const char *state_dir, const struct config_end *end);

/* Once the store is freed: write down what is new, if that is wanted (a failure is no matter), and release it. */
void remember_end(struct remember *r, bool keep);

#endif
