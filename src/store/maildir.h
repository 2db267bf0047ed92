/*
 * Maildir (https://cr.yp.to/proto/maildir.html), with the trees that are in use for folders:
 *   nested     PATH/Work/2026/{new,cur,tmp}
 *   maildir++  PATH/{new,cur,tmp} is INBOX, PATH/.Work.2026 the folders
 *   flat       PATH/Work.2026
 * The box "" is PATH itself in every layout. Unique names: seconds.M<usec>P<pid>Q<counter>.host (no flags for new/, ":2,FLAGS" for cur/).
 *
 * The tree. A folder is a directory with a cur/ whose name is one that maildir_folder_path makes; others are passed over, and with them all beneath; if
 * such a one has a cur/, there is a warning. INBOX is the directory of just this name, and the root in Maildir++; in the other layouts messages in the root itself
 * are in no folder. "inbox" and the like are names as any other: whoever brings them to a store without case must tell them apart. Symbolic links beneath PATH
 * are not followed; one that leads to a Maildir is listed as a folder, and looking at it fails. A missing PATH is an error (ERR_LOCAL) and never an empty tree;
 * folder_create("") makes it.
 *
 * Looking. A stamp is made of device, inode and times of cur/ and new/, and tells of every file that was added, removed or renamed; there is none ("") for a box
 * that was changed in the last two seconds. A look is LOOK_SAME or LOOK_ALL; a message of the base is left out only when it is certain that it isn't just being
 * renamed: when others never cease to change the box, looking fails with ERR_TEMP (SPAN_BOX). A message's key is its file name up to the ':', whoever made it.
 * Dot files and directories are no messages; what else is in the place of one (a link, a FIFO) is listed, and can't be read (SPAN_MSG). Of two files with one
 * unique name only one is seen, always the same (that of the lower inode), and remove refuses it (SPAN_MSG), unless both are the same file.
 *
 * Keywords are letters a to z, to which the file dovecot-keywords in the folder gives names; it is read when a folder is looked at or opened, and written (with
 * Dovecot's lock, whole, durably) before a letter that is new in it is used. A letter without a name is left where it is, and given no meaning. What can't be had, as all
 * letters are in use or the file is none, is refused (keyword_view); a look that finds a free letter forgets that. A message that is moved keeps the names, and so gets other
 * letters. $Forwarded is P, and that letter, too, if the file names one.
 *
 * Removals become durable with commit, but can't be taken back by close_box. A message's date is its file's mtime. With a quarantine a removal is a move to there, or on
 * another file system a copy that is durable before the file goes; what can't be kept is refused (SPAN_MSG, or SPAN_BOX when nothing can) and stays.
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
/* The flags that are told by what is behind the unique part. */
uint32_t maildir_info_flags(struct slice info);

/*
 * The UID that another program has put into a file's name, by its unique part: mbsync's own ("...,U=12"), or the server's, as offlineimap does it ("...,U=12,FMD5=...").
 */
enum maildir_uid { MAILDIR_UID_NONE, MAILDIR_UID_OWN, MAILDIR_UID_SERVER };
enum maildir_uid maildir_uid(struct slice unique, uint32_t *uid);

/* A file's name without that, for another folder, where it would be another message's. unique_n: of name, and of what is written. False: it has none. */
bool maildir_without_uid(const char *name, size_t *unique_n, char *out, size_t size);

/* Folder name (UTF-8, '/' between levels) to a path beneath the root by the layout, with the escape of what a file system can't hold. -1 ERR_CONF. */
int maildir_folder_path(enum maildir_layout layout, const char *folder, struct strbuf *out, struct err *e);

/* tmp/, new/ and cur/ below a path beneath the root, with all above them, durable. cur/ comes last: it is what tells a Maildir. */
int maildir_make_parts(int root, const char *path, struct err *e);

/* And back; appended to out. -1 for a path that maildir_folder_path makes of no folder. */
int maildir_path_folder(enum maildir_layout layout, struct slice path, struct strbuf *out);

#endif
