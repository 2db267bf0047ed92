/*
 * mbox's own: what its parts share. mbox.c has the file, mboxstage.c spools messages, mboxappend.c puts them into it. For whoever reads, too: mboxindex.c knows the messages of a file,
 * mboxtake.c tells and reads them, mboxlook.c looks, mboxmark.c flags and removes them, mboxrewrite.c writes a file anew, mboxmove.c brings messages to another; mboxpath.c knows where
 * folders are, mboxtree.c lists, makes, renames and removes them, mboxlisten.c waits for changes.
 */
#ifndef STORE_MBOX_P_H
#define STORE_MBOX_P_H

#include <sys/stat.h>

#include "base/spool.h"
#include "base/vec.h"
#include "mail/digest.h"
#include "store/mboxheal.h"
#include "store/mboxread.h"

#define MBOX_CHUNK 32768 /* bytes of a body at a time */
#define MBOX_FLAGS (FLAG_SEEN | FLAG_ANSWERED | FLAG_FLAGGED | FLAG_DELETED | FLAG_DRAFT | FLAG_FORWARDED)
#define MBOX_READINGS 6  /* times that somebody may change a file while we read it */

/* One message that is staged: places in the spool. */
struct mbox_rec {
	uint64_t serial;
	uint64_t head_at, head_n; /* From_ line, Content-Length, notes */
	uint64_t body_at, body_n; /* the message and the empty line */
	int64_t own[MBOXHINT_OWN]; /* see struct mboxhint; from body_at */
	size_t own_n;
	bool dropped;
};

/* What is kept of a message that comes from another folder, beside its bytes. */
struct mbox_as {
	const char *from;           /* its From_ line's text, behind "From " */
	struct slice note[NOTES];
};

/* A message of the file; never removed, its place is the message's num - 1. */
struct mbox_entry {
	struct mboxread_msg at;
	uint32_t nth;               /* among the equal ones, from 1 */
	uint32_t count, pass;       /* of equal ones, where nth is 1; the last reading that showed it */
	bool gone, doomed;          /* doomed: to be removed by commit */
};

struct mbox_index {
	VEC(struct mbox_entry) a;
	uint32_t *slots;            /* hash table of places + 1 */
	size_t n_slots, live;
	uint32_t pass;
	char *path;                 /* of the file that it is of; NULL none */
	struct stat st;
	const struct keyword_view *view;
	int64_t stop;               /* where the last record ends */
	struct mboxread_msg first;  /* of the file, be it a message or not; head 0: there is none */
};

struct mbox {
	struct store store;
	char *root;               /* as the person named it */
	char *path;               /* of the open box, or of the folder that is looked at */
	enum mbox_variant variant;
	struct mboxlock_params lock_params;
	bool is_open, create;
	bool tree;                /* the box was opened as a folder, by its name */
	struct spool spool;
	VEC(struct mbox_rec) recs;
	uint64_t serial;
	struct digest *content, *identity;
	char *in, *lf, *kept, *quoted; /* a chunk on its way */
	/* while locked */
	int fd;
	char *real;               /* the file itself, where path is a symbolic link; else NULL */
	struct mboxlock *lock;
	bool created;             /* by us: its directory is to be synced */
	int64_t base;             /* its length before */
	int pad;                  /* line feeds before the first record */
	struct stat before;

	/* Of a folder. */
	struct mbox_index index;
	struct keyword_view *view;
	char *folder;             /* its name */
	VEC(uint64_t) wanted;
	size_t want_at, list_at;
	char key[STORE_NAME_MAX + 1]; /* of the message that was told last */
	bool listing, doomed;     /* list_next may be called; something is to be removed */
	const struct mbox_as *as; /* of what is staged next; NULL: the file's own */
	struct strbuf words;      /* keywords of what is staged, each with a blank behind it */
	struct mbox *other;       /* another folder, to which messages are brought */
	bool told_unnamable;
	const struct look *looks;
	size_t n_looks, look_at;
	bool looking;
};

/* The driver of a store. */
static inline struct mbox *mbox_of(struct store *s)
{
	return (struct mbox *)s;
}

/* mbox.c. Open and lock the file: 1, 0 when there is none (and none is made), -1. */
int mbox_lock_file(struct mbox *m, bool create, struct err *e);
/* The same to read it: where it, or its directory, can't be written, as well as that can be. */
int mbox_lock_to_read(struct mbox *m, struct err *e);
/* The file must be empty or an mbox; see how it ends: base, pad. */
int mbox_look_at_file(struct mbox *m, struct err *e);
void mbox_let_go(struct mbox *m); /* unlock and close */
/* The path of the file itself, while it is open. */
const char *mbox_real_path(const struct mbox *m);
/* fsync the directory that holds the file. */
int mbox_sync_parent(struct mbox *m, struct err *e);
/* Have a file that was changed show it to those who look at the seconds of its time, as Dovecot does: `before` is what it, or the one that it replaces, was. */
void mbox_later(int fd, const struct stat *before);
/* Open the file that is named so, as it is. -1 with errno */
int mbox_open_named(const char *path, int flags);
void mbox_close(struct store *s);
int mbox_set_path(struct mbox *m, const char *path, struct err *e);
/* Put the box's info together, of a folder's file. */
void mbox_tell_box(struct mbox *m, const struct stat *st, struct box_info *out);
/* The error concerns one folder only, unless we were told to stop. Returns -1. */
int mbox_of_box(struct err *e);

/* mboxstage.c. Read n bytes from a place in the spool. */
int mbox_spool_get(struct mbox *m, uint64_t at, char *p, size_t n, struct err *e);

/* mboxindex.c. As box_info.stamp; "" when the file was changed so shortly before that a later change might not show. */
void mbox_stamp(const struct mbox *m, const struct stat *st, char out[STORE_STAMP_MAX]);
void mbox_index_clear(struct mbox_index *x);   /* nothing is known; the numbers given mean nothing any more */
void mbox_index_release(struct mbox_index *x);
/* Have the messages of the file that is locked known as they are now. */
int mbox_index_locked(struct mbox *m, struct err *e);
/* The same of the file at m->path, which is locked for it, if it has changed. A file that is not there is an error. */
int mbox_index_now(struct mbox *m, struct err *e);
bool mbox_index_find(const struct mbox_index *x, const unsigned char digest[DIGEST_SIZE], uint32_t nth, size_t *i);
uint32_t mbox_index_count(const struct mbox_index *x, const unsigned char digest[DIGEST_SIZE]); /* how many are equal to it */
bool mbox_index_is(const struct mbox *m, const struct stat *st); /* is it of the file as that was then? */
/* The file was changed by us, under lock: what is known of it is so still, and what stands behind it is read. */
int mbox_index_grown(struct mbox *m, struct err *e);
void mbox_key(const unsigned char digest[DIGEST_SIZE], uint32_t nth, char out[STORE_NAME_MAX + 1]);
bool mbox_key_parse(struct slice key, unsigned char digest[DIGEST_SIZE], uint32_t *nth);
/* The place of the message with this handle. */
int mbox_entry_of(struct mbox *m, uint64_t num, size_t *i, struct err *e);

/* mboxrewrite.c. What becomes of a message: it is left out, or its notes are others. */
struct mbox_change {
	size_t i;              /* in the index */
	bool remove;
	uint64_t add, del;
};

/* Change messages of the locked file, whose index is exact, in the order of their places: in place where that can be, else all in one go to a file that takes its place. Durable. */
int mbox_change(struct mbox *m, struct mbox_change *c, size_t n, struct err *e);
/* The values of a message's notes, as they stand in the file that is open; of one with several lines of a kind the first. They live in buf. */
int mbox_notes_of(struct mbox *m, const struct mboxread_msg *at, struct slice out[NOTES], struct strbuf *buf, struct err *e);

/*
 * Dovecot takes away a keyword that its list of the folder (X-IMAPbase, in the first message) does not name: have these named, before they are used. A file
 * without a message that has a header has no place for them. The file is locked for it.
 */
int mbox_name_words(struct mbox *m, struct slice words, struct err *e);

/* mboxmove.c. Copy messages of the open box to another folder, made if wanted, durably, with the flags that they have but for those to lose. */
struct mbox_arrival {
	uint64_t num;
	char key[STORE_NAME_MAX + 1]; /* "": it was gone */
	size_t staged;
};
int mbox_copy_to(struct mbox *m, const uint64_t *nums, size_t n, const char *folder, bool create, uint64_t lose, struct mbox_arrival *out, struct err *e);

/* mboxpath.c. Where a folder's file is: 1, 0 where it would be if it were, -1. */
int mbox_folder_path(struct mbox *m, const char *folder, struct strbuf *out, struct err *e);
/* Make what stands above it, and nothing of that name that is no file. */
int mbox_folder_make_room(struct mbox *m, const char *folder, struct strbuf *out, struct err *e);
/* The level that a directory entry stands for, appended; is_dir: as one that holds levels. False: it is none, *why then tells whether it would be if it had a better name. */
bool mbox_entry_level(const char *name, bool is_dir, struct strbuf *out, bool *unnamable);
bool mbox_path_is_dir(const char *path); /* or a link to one that belongs to us */

/* As in store_ops. */
int mbox_stage(struct store *s, struct stream *body, const struct store_meta *meta, struct staged *out, struct err *e);
void mbox_unstage(struct store *s, struct staged *out);
int mbox_harden(struct store *s, struct staged *st, size_t n, struct err *e);
int mbox_publish(struct store *s, struct staged *st, size_t n, struct err *e);
void mbox_abandon(struct store *s);
int mbox_list_start(struct store *s, struct err *e);
int mbox_list_msg(struct store *s, struct store_msg *out, struct err *e);
int mbox_want(struct store *s, const uint64_t *nums, size_t n, struct err *e);
int mbox_next(struct store *s, size_t *i, struct stream **body, struct err *e);
int mbox_find(struct store *s, struct slice key, uint64_t flags, struct store_msg *out, struct err *e);
int mbox_remove(struct store *s, const uint64_t *nums, size_t n, void (*done)(void *arg, uint64_t num, const struct err *why), void *arg, struct err *e);
int mbox_commit(struct store *s, struct err *e);
int mbox_set_flags(struct store *s, const struct flag_change *c, size_t n, void (*done)(void *arg, uint64_t num, const struct err *why), void *arg, struct err *e);
int mbox_move(struct store *s, const uint64_t *nums, size_t n, const char *folder, struct keyword_view *there,
	      void (*done)(void *arg, uint64_t num, struct slice key, const struct err *why), void *arg, struct err *e);
int mbox_restore(struct store *s, const struct quarantine_box *from, int64_t run,
		 void (*done)(void *arg, struct slice key, uint64_t size, const struct err *why), void *arg, struct err *e);
int mbox_folders(struct store *s, int (*cb)(void *arg, const struct folder_info *f, struct err *e), void *arg, struct err *e);
int mbox_folder_create(struct store *s, const char *folder, unsigned attrs, struct err *e);
int mbox_folder_remove(struct store *s, const char *folder, uint64_t expected, struct err *e);
int mbox_folder_rename(struct store *s, const char *from, const char *to, struct err *e);
int mbox_look(struct store *s, const struct look *l, size_t n, unsigned how, struct err *e);
int mbox_look_box(struct store *s, size_t *i, struct box_info *out, struct err *e);
int mbox_look_next(struct store *s, struct store_msg *out, struct err *e);
struct listener *mbox_listen(struct store *s, const struct listen_params *p, struct err *e);

/* mboxtake.c. What there is to tell of a message. */
void mbox_tell_msg(const struct mbox *m, size_t i, struct store_msg *out);
/* A message's body, in wire form; NULL on error. */
struct stream *mbox_body_new(struct mbox *m, size_t i, struct err *e);

#endif
