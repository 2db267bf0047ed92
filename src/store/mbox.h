/*
 * mbox, RFC 4155 and its dialects:
 *   mboxrd   lines ">*From " get one more ">": reversible (default)
 *   mboxo    lines "From " get a ">"
 *   mboxcl2  nothing is quoted, Content-Length is put into the stored copy: the one header that this dialect needs
 * Appending: everything of a group is spooled in its mbox form, then appended in one go under lock and fsynced. The pending pairs' hints say where each record
 * was to go and how it begins, so that a torn append of a crash is known for ours and cut back, and nobody else's mail is (mboxheal.h). The key is the
 * message's identity as an mbox can tell it (mboxform.h), which isn't always its digest: an mbox gives every message a final line end.
 * A message that is kept as it came for a bare LF keeps its CRLFs too.
 *
 * The box "" is the file that the path names, a target; all of the above is about it, too, when it is opened as a folder. As a tree the path is a directory of mbox files (mboxpath.c), or one
 * file, which is the inbox. What a folder's messages are, and which of their lines are but notes, is said in mboxread.h; their flags, in mboxnotes.h. That differs from the box "":
 *   - a message is delivered without notes of its own, since here they would be its flags, or would tell other programs lies about the file, and there is no way to write them that could be
 *     undone ("Lines" alone is kept, but not read again). Instead it gets Status, X-Status and X-Keywords with the flags that it comes with, and room for others; an empty line behind them, if
 *     it has no header or an empty one
 *   - what is said of its content and size when it is staged is what will be read again
 *   - the From_ line has its time of arrival (store_meta.date)
 *   - the key is the identity, with "#2", "#3" .. for those that equal one before them in the file: when one of them goes, it is the last key that is gone
 * Nothing is kept of what is removed: there is no quarantine (restore).
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
