/*
 * A POP3 maildrop as a source of messages: for a fetch its box is "", of which each opening is a session of its own; as a tree (STORE_TREE, without STORE_TARGET) it has one folder, "INBOX", and
 * one session for all that is done, until the store is freed or messages were removed. There keys are never empty and each its own (store/pop3keys.h), flags are none, and no change of
 * flags or folders is possible.
 *
 * Of a server that shows a part of its mail only (Gmail) a look never says that messages are gone.
 */
#ifndef STORE_POP3STORE_H
#define STORE_POP3STORE_H

#include "pop3/login.h"
#include "store/store.h"

struct pop3store_params {
	struct pop3_params pop3;
	bool gmail_recent; /* log in as recent:USER: the last 30 days, whoever has fetched them; nothing is ever removed there */
};

/* Borrowed params must outlive the store. Nothing is connected before open_box. */
struct store *pop3store_new(const struct pop3store_params *p, struct err *e);

#endif
