/* A POP3 maildrop as a source of messages. Its only box is "". */
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
