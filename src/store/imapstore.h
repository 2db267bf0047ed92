/*
 * An IMAP account as a store: a tree of folders, source and target, over one connection that is
 * dialled when it is first needed, and anew after it was lost by the next open_box, folders or
 * look. Bodies may come over further ones (connections), which are not seen.
 *
 * Keys and nums are UIDs; a stamp is "UIDVALIDITY UIDNEXT MESSAGES HIGHESTMODSEQ" (the last 0: the
 * server can't tell, and the stamp proves nothing but the first).
 *
 * Names: of the server's namespaces the personal one alone is shown, without its prefix; what
 * stands between levels is '/', whatever it is on the server. Where it is another character there,
 * a '/' in a level's name is shown as "%2F" (and "%2F" as "%252F", "%252F" as "%25252F" ...: one to
 * one). What is left out, each with a warning: names that are no valid modified UTF-7 (or UTF-8,
 * where that was agreed upon), with control characters, empty levels, levels "." and "..", and the
 * second of two that would be called the same.
 *
 * want: the server gives bodies in an order of its own, and several connections in another; so
 * does `next`.
 */
#ifndef STORE_IMAPSTORE_H
#define STORE_IMAPSTORE_H

#include "imap/login.h"
#include "store/store.h"

struct imapstore_params {
	/* enable, remembered, alert may be 0: what the store uses, its own, a warning in the log */
	struct imap_params imap;
	/* what stands before the names of our folders on the wire; NULL: as NAMESPACE says */
	const char *prefix;
	unsigned connections; /* that may stand at once, while many messages are read; 0 means 1 */
	/* ms of waiting for the server after which it is known how fast it is (tests); 0: as it should be */
	unsigned measure;
	bool compress; /* COMPRESS=DEFLATE while many messages go over a slow link, either way */
};

/* Borrowed params must outlive the store. Nothing is connected yet. Warnings go to the log. */
struct store *imapstore_new(const struct imapstore_params *p, struct err *e);

#endif
