/*
 * Maildir (https://cr.yp.to/proto/maildir.html), with the trees that are in use for folders:
 *   nested     PATH/Work/2026/{new,cur,tmp}
 *   maildir++  PATH/{new,cur,tmp} is INBOX, PATH/.Work.2026 the folders
 *   flat       PATH/Work.2026
 * The box "" is PATH itself in every layout. Unique names: seconds.M<usec>P<pid>Q<counter>.host (no flags for new/, ":2,FLAGS" for cur/).
 */
#ifndef STORE_MAILDIR_H
#define STORE_MAILDIR_H

#include "store/store.h"

enum maildir_layout { MAILDIR_NESTED, MAILDIR_PLUSPLUS, MAILDIR_FLAT };

struct maildir_params {
	const char *path; /* absolute */
	enum maildir_layout layout;
	int tmp_hours;    /* files in tmp/ older than this are removed when a box is opened for writing; 0 means 36 */
};

struct store *maildir_new(const struct maildir_params *p, struct err *e);

/* "1700000000.M1P2Q3.host:2,FS" -> unique part and flags; false when it isn't a name that a Maildir may hold. Never reads beyond n. */
bool maildir_name(struct slice name, struct slice *unique, uint32_t *flags);

/* Folder name (UTF-8, '/' between levels) to a path beneath the root by the layout, with the escape of what a file system can't hold. -1 ERR_CONF. */
int maildir_folder_path(enum maildir_layout layout, const char *folder, struct strbuf *out, struct err *e);

/* And back; appended to out. -1 for a path that maildir_folder_path makes of no folder. */
int maildir_path_folder(enum maildir_layout layout, struct slice path, struct strbuf *out);

#endif
