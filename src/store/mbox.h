/*
 * mbox, RFC 4155 and its dialects:
 *   mboxrd   lines ">*From " get one more ">": reversible (default)
 *   mboxo    lines "From " get a ">"
 *   mboxcl2  nothing is quoted, Content-Length is put into the stored copy: the one header that this dialect needs
 * Appending: everything of a group is spooled in its mbox form, then appended in one go under lock and fsynced. The pending pairs' hints say where each record
 * was to go and how it begins, so that a torn append of a crash is known for ours and cut back, and nobody else's mail is (mboxheal.h). The key is the
 * message's identity as an mbox can tell it (mboxform.h), which isn't always its digest: an mbox gives every message a final line end.
 * A message that is kept as it came for a bare LF keeps its CRLFs too.
 */
#ifndef STORE_MBOX_H
#define STORE_MBOX_H

#include "store/mboxlock.h"
#include "store/store.h"

enum mbox_variant { MBOX_RD, MBOX_O, MBOX_CL2 };

struct mbox_params {
	const char *path; /* absolute */
	enum mbox_variant variant;
	struct mboxlock_params lock;
};

struct store *mbox_new(const struct mbox_params *p, struct err *e);

#endif
