/*
 * Maildir's own: what its parts share. maildir.c opens and closes, maildirput.c delivers (maildiragain.c: what another folder holds), maildirheal.c deals with what deliveries left behind, maildirfiles.c
 * reads directories, maildirlook.c looks, maildirtree.c knows folders, maildirdrop.c removes them, maildirtake.c finds and reads messages, maildirmark.c removes and flags them,
 * maildirmove.c moves them to another folder, maildirkeep.c to the quarantine and back, maildirrename.c renames folders, maildirwords.c knows keywords, maildirlisten.c waits
 * for changes.
 */
#ifndef STORE_MAILDIR_P_H
#define STORE_MAILDIR_P_H

#include <dirent.h>
#include <limits.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/syncer.h"
#include "base/vec.h"
#include "mail/flags.h"
#include "store/maildir.h"
#include "store/quarantine.h"

#define MAILDIR_CHUNK 65536 /* bytes of a body at a time */
#define MAILDIR_HOST_MAX 63
#define MAILDIR_UNIQUE_MAX 255 /* bytes of a name */
#define MAILDIR_TRIES 20 /* times that somebody may rename a file under our hands */
#define MAILDIR_LETTERS 26 /* a to z: keywords */
#define MAILDIR_INFO_MAX 40 /* bytes of all letters that we know, with a NUL */
#define MAILDIR_FLAGS (FLAG_SEEN | FLAG_ANSWERED | FLAG_FLAGGED | FLAG_DELETED | FLAG_DRAFT | FLAG_FORWARDED)

/* One message that is staged. */
struct maildir_rec {
	char name[192];   /* leaves room for flags within NAME_MAX */
	int fd;           /* -1 once it is on disk, or has its place if it had no name before */
	uint64_t flags;
	bool named;       /* by this name in tmp/ */
	bool gone;        /* unstaged or published: nothing of ours is in tmp/ any more */
};

/* When a directory was changed, nanoseconds since 1970; all 0: it isn't there. */
struct maildir_times {
	uint64_t dev, ino;
	int64_t mtime, ctime;
};

struct maildir_stamp {
	struct maildir_times cur, fresh;
};

/* The directories of a box that hold messages. */
struct maildir_dirs {
	int fresh, cur; /* `fresh` is new/; -1 there is none */
};

/* A message's file, as it was called when it was seen last. */
struct maildir_file {
	uint64_t ino;
	uint32_t name;     /* offset in names */
	uint32_t pass;
	uint16_t unique_n;
	bool in_cur, gone;
	bool taken;        /* out of the look */
	bool twin, linked; /* the reading showed another file of this unique name; this one twice */
};

/* Where a hash stands: most names that are looked for in vain, or behind another, are told apart without a look at their files, which lie all over the memory. */
struct maildir_slot {
	uint32_t hash, at;          /* at: the place + 1; 0: free */
};

struct maildir_files {
	struct strbuf names;        /* each NUL-terminated */
	VEC(struct maildir_file) a; /* one for each unique name, never removed: the place is a message's num - 1 */
	struct maildir_slot *slots; /* a hash table */
	size_t n_slots, live;       /* live: how many are not gone */
	uint32_t pass;              /* of the last reading; 0 none yet */
	bool reading;
	bool doubled;               /* it showed a file twice, or two of one unique name */
	bool exact;                 /* the last reading shows what there was at the moment of `stamp` */
	struct maildir_stamp stamp; /* just before the last reading, at `began` */
	int64_t began;
};

/* What the letters of keywords mean in a folder. */
struct maildir_words {
	int dir;                    /* the folder's own directory, where dovecot-keywords is */
	const char *at;             /* its path */
	struct keyword_view *view;  /* NULL: they don't count, and mean nothing */
	uint64_t flag[MAILDIR_LETTERS]; /* 0: none that is in the table */
	uint32_t named;             /* 1 << place: it has a name in the file */
	bool usable;                /* the file is one, or missing */
};

/* Where the open box's messages are kept when they are removed. */
struct maildir_keep {
	bool open;
	bool copies;               /* it is on another file system */
	bool changed_cur, changed_fresh;
	struct quarantine_box to;
	struct maildir_files there; /* what was in it before */
};

/* Another folder that holds what is to be staged. */
struct maildir_again {
	char *folder;              /* NULL: none */
	struct maildir_dirs dirs;
	struct maildir_files files; /* as they were when it was opened */
};

struct maildir {
	struct store store;
	char *path;
	enum maildir_layout layout;
	int tmp_hours;
	int root, tmp, fresh, cur; /* directories; `fresh` is new/ */
	struct strbuf at, what;    /* for errors: the box's path; "a message in PATH" */

	/* Delivery. */
	VEC(struct maildir_rec) recs;
	bool slow_syncfs;     /* it took long: others write much to this file system */
	struct syncer syncer;
	bool nameless, asked_nameless; /* messages are written to files without a name; of the open box */
	size_t unwritten;     /* small messages staged since write-back was asked for */
	size_t first_open, open, max_open; /* recs before first_open are on disk */
	uint32_t counter;
	long pid;         /* of whoever opened it */
	char host[MAILDIR_HOST_MAX + 1];
	bool lost;        /* a sync or rename failed: nothing of this group counts as durable any more */
	struct digest *digest;
	char *in, *out;   /* a chunk as it came; up to two as they will be written */

	/* Of the open box, or of the folder that is looked at. */
	struct strbuf box;    /* its path beneath the root */
	struct maildir_words words;
	struct maildir_files files;
	size_t file_at;       /* what list_next or look_next comes to */
	bool unchanged;       /* each key names one file: so it was when its stamp was given */
	bool listing, sizes;  /* list_next may be called; it tells sizes */
	VEC(uint64_t) wanted;
	size_t want_at;
	bool changed_cur, changed_fresh; /* files were removed: commit syncs */
	bool trash_asked;
	int trash;            /* cur/ of the trash; -1 none */
	struct strbuf folder; /* its name */
	struct maildir_keep keep;
	struct maildir_again again;

	/* The tree. */
	bool told_unnamable;   /* those who can't be folders by their names */

	/* Looks. */
	const struct look *looks;
	size_t n_looks, look_at;
	bool looking;         /* look_next may be called */
};

/* The driver of a store. */
static inline struct maildir *maildir_of(struct store *s)
{
	return (struct maildir *)s;
}

/* maildir.c. Close a descriptor that is open. */
void maildir_close_fd(int *fd);
void maildir_close(struct store *s); /* the box, and what is looked at */

/* A directory stream over a held directory, which stays open; NULL on error. And its next entry that is no dot file: 1, 0 at the end, -1. */
DIR *maildir_list(struct maildir *m, int dirfd, struct err *e);
int maildir_list_next(struct maildir *m, DIR *d, struct dirent **out, struct err *e);

/* The path of a folder's box beneath the root: as maildir_folder_path, but INBOX of Maildir++ is the root. */
int maildir_box_path(struct maildir *m, const char *folder, struct strbuf *out, struct err *e);
/* The root that the person named; a missing one is an error unless it shall be made. -1 */
int maildir_open_root(struct maildir *m, bool create, struct err *e);
/* cur/, new/ or tmp/ of a box beneath the root, made if wanted. -1 */
int maildir_open_part(struct maildir *m, int root, const char *box, const char *part, bool create, struct err *e);
/* A directory beneath another. -1, or MAILDIR_ABSENT without an error. */
#define MAILDIR_ABSENT (-2)
int maildir_open_dir(struct maildir *m, int dirfd, const char *name, struct err *e);
/* The error concerns one folder only, unless we were told to stop. Returns -1. */
int maildir_of_box(struct err *e);
/* Make the directories of a box beneath the root, durably. */
int maildir_make_box(struct maildir *m, int root, const char *box, struct err *e);
/* From now on errors are about this box. */
int maildir_set_at(struct maildir *m, const char *box, struct err *e);
/* Whether files can't be made and renamed in a directory. */
bool maildir_read_only(int dirfd);

/* maildiragain.c */
void maildir_again_close(struct maildir *m);

/* maildirput.c. A new file for r, in tmp/ or without a name; and take one away again that was staged. */
int maildir_new_file(struct maildir *m, struct maildir_rec *r, struct err *e);
int maildir_put_one_more(struct maildir *m, struct err *e); /* before a record gets a descriptor from elsewhere; the caller counts it */
void maildir_drop_file(struct maildir *m, struct maildir_rec *r);
/* Give an open file a name, or another one. -1 with errno; EEXIST if it is taken. */
int maildir_give_name(int fd, int dir, const char *name);
/* Give a file that is open the message's own time of arrival, which is kept nowhere else; 0: none. */
void maildir_set_date(const struct maildir_rec *r, int64_t date);
/* Use more descriptors if we may; how many staged files can stay open. */
size_t maildir_put_room(void);
/* Have all names in new/ and cur/ on disk, whoever gave them. */
int maildir_put_sync(struct maildir *m, struct err *e);
/* A name that nobody else takes. */
void maildir_new_name(struct maildir *m, char *out, size_t size);
/* rename(2) that never overwrites, on file systems of all kinds; -1 with errno. */
int maildir_rename_new(int from, const char *name, int to, const char *dest);

/* maildirheal.c. Remove what deliveries left in tmp/ that never came to their end. */
int maildir_heal_clean(struct maildir *m, struct err *e);
/* Whether a file in tmp/ is such. */
bool maildir_heal_stale(const struct maildir *m, int tmp, const char *name);
/* Whether a file in tmp/ has a name as we make them, and the process that made it, on this host, is no more. */
bool maildir_heal_orphan(const struct maildir *m, const char *name);

/* maildirfiles.c. Times of a directory beneath another, or of dirfd itself (""); -1 with errno. */
int maildir_times(int dirfd, const char *name, struct maildir_times *out);
bool maildir_times_eq(const struct maildir_times *a, const struct maildir_times *b);
/* Whether a change at `now` would show in them, and how many milliseconds to wait until it would. */
bool maildir_times_settled(const struct maildir_times *t, int64_t now);
msec_t maildir_times_wait(const struct maildir_times *t);
int64_t maildir_now(void); /* nanoseconds since 1970 */

int maildir_stamp(const struct maildir_dirs *d, struct maildir_stamp *out); /* -1 with errno */
bool maildir_stamp_eq(const struct maildir_stamp *a, const struct maildir_stamp *b);
/* As box_info.stamp, taken at `now`; "" when the box was changed so shortly before that a later change might not show. */
void maildir_stamp_print(const struct maildir_stamp *s, int64_t now, char out[STORE_STAMP_MAX]);

bool maildir_files_resume(struct maildir_files *f, const struct maildir_stamp *now); /* of directories that are opened: do they show what was read last? */
void maildir_files_clear(struct maildir_files *f); /* safe on a zeroed struct, as release is */
void maildir_files_release(struct maildir_files *f);
/* name is NUL-terminated and one that maildir_name accepts. */
int maildir_files_put(struct maildir_files *f, struct slice name, size_t unique_n, bool in_cur, uint64_t ino, struct err *e);
void maildir_files_drop(struct maildir_files *f, size_t i);
bool maildir_files_find(const struct maildir_files *f, struct slice unique, size_t *i);
const char *maildir_file_name(const struct maildir_files *f, size_t i); /* until the next put or read */
struct slice maildir_file_unique(const struct maildir_files *f, size_t i);
/*
 * Read the directories; what was known stays, and what is not there any more is marked as gone if the reading is exact. doubt says (1, 0, -1) after one that
 * isn't whether something would be concluded from what it doesn't show: then they are read again, until it doesn't. NULL: one reading will do.
 */
int maildir_files_read(struct maildir *m, const struct maildir_dirs *d, struct maildir_files *f,
                       int (*doubt)(void *arg, struct err *e), void *arg, struct err *e);

/* maildirwords.c. Read what letters mean, and tell the view. What is wrong with the file is said, no error. */
int maildir_words_read(struct maildir_words *w, struct err *e);
/* Which flags the folder holds and takes. all: `used` are all letters that its files' names hold. */
void maildir_words_tell(struct maildir_words *w, uint32_t used, bool all, struct box_info *out);
/* Letters as 1 << place: of what is behind a name's unique part; of all files that were read; and the flags that they are. */
uint32_t maildir_letters_in(struct slice info);
uint32_t maildir_letters_used(const struct maildir_files *f);
uint64_t maildir_words_flags(const struct maildir_words *w, uint32_t letters);
/* The letters of flags, upper case and lower; all: every one that means them, to be taken away. */
void maildir_words_spell(const struct maildir_words *w, uint64_t flags, bool all, char out[MAILDIR_INFO_MAX]);
/* Which of these have no letter and may get one; and give them one, durably, that is none of those `used`: or it is refused (view). */
uint64_t maildir_words_lacking(const struct maildir_words *w, uint64_t flags);
int maildir_words_need(struct maildir_words *w, uint64_t flags, uint32_t used, struct err *e);
/* Is another program just changing the folder? */
bool maildir_words_locked(const struct maildir_words *w);
/* A name of one folder goes to another: the letters that it is to get, and to lose. */
int maildir_words_carry(const struct maildir_words *from, struct maildir_words *to, uint32_t used, struct slice name, struct slice unique, char add[MAILDIR_INFO_MAX],
                        char del[MAILDIR_INFO_MAX], struct err *e);

/* maildirtake.c. Give letters to keywords that have none, those of the open box. */
int maildir_need_letters(struct maildir *m, uint64_t flags, struct err *e);
/* The flags that a file's name shows. */
uint64_t maildir_flags(const struct maildir *m, size_t i);
/* The directories of the open box; the one that a message's file is in. */
struct maildir_dirs maildir_dirs_of(const struct maildir *m);
int maildir_dir_of(const struct maildir *m, size_t i);
/* The place of the message with this handle. */
int maildir_file_of(struct maildir *m, uint64_t num, size_t *i, struct err *e);
/* An error of the system (errno) with one file: 1 when the others can go on, -1. */
int maildir_fail_file(const struct maildir *m, size_t i, const char *what, struct err *e);
/* Find the file of a message that isn't where it was: 1, 0 it is gone, -1. */
int maildir_locate_again(struct maildir *m, size_t i, struct stat *st, struct err *e);

/* maildirmark.c. Is another file of the box called the same? 1, and an error that says neither was `done`; 0. */
int maildir_is_twin(const struct maildir *m, size_t i, const char *done, struct err *e);
/* Remove a message's other names, should a link(2) and unlink(2) of somebody have been cut between; `was`: the file. 0, 1 when it can't be done (e), -1. */
int maildir_remove_links(struct maildir *m, size_t i, const struct stat *was, struct err *e);
/* A message's name with other letters (upper and lower case); what is not named stays. False when that is too long for a name. */
bool maildir_new_info(struct slice name, struct slice unique, const char *add, const char *del, char out[NAME_MAX + 1]);
/* Move a file to another directory by a name that begins with its unique part, or if that is taken there by one of its own. 0 with the unique part that it has there; -1 with errno, and unique as it was. */
int maildir_give(struct maildir *m, size_t i, int to, const char *name, size_t unique_n, char unique[MAILDIR_UNIQUE_MAX + 1]);

/*
 * maildirkeep.c. Open the place for what is removed from this folder, if it is to be kept at all; whole: the folder goes, too. -1
 * maildir_keep: keep the message's file that has this name in an open directory. 0: it is not there any more; 1: it is, and is removed after maildir_keep_sync (copy: what its
 * copy is called, which maildir_keep_not takes away again; "" for one that was made before); -1 with errno.
 */
int maildir_keep_open(struct maildir *m, const char *folder, bool whole, struct err *e);
int maildir_keep(struct maildir *m, int dir, const char *name, size_t unique_n, bool in_cur, char copy[NAME_MAX + 1]);
int maildir_keep_sync(struct maildir *m, struct err *e);
void maildir_keep_not(struct maildir *m, const char *copy, bool in_cur);
void maildir_keep_close(struct maildir *m);

/* As in store_ops. */
int maildir_stage(struct store *s, struct stream *body, const struct store_meta *meta, struct staged *out, struct err *e);
int maildir_stage_again(struct store *s, const char *folder, struct slice key, const struct staged *as, const struct store_meta *meta, struct staged *out, struct err *e);
void maildir_unstage(struct store *s, struct staged *out);
int maildir_harden(struct store *s, struct staged *st, size_t n, struct err *e);
int maildir_publish(struct store *s, struct staged *st, size_t n, struct err *e);
void maildir_abandon(struct store *s);
int maildir_recover(struct store *s, struct recovery *r, size_t n, struct err *e);
int maildir_folders(struct store *s, int (*cb)(void *arg, const struct folder_info *f, struct err *e), void *arg, struct err *e);
int maildir_folder_dir(struct store *s, const char *folder, struct err *e);
int maildir_folder_create(struct store *s, const char *folder, unsigned attrs, struct err *e);
int maildir_folder_remove(struct store *s, const char *folder, uint64_t expected, struct err *e);
int maildir_folder_rename(struct store *s, const char *from, const char *to, struct err *e);
enum store_same maildir_same_box(const char *then, const char *now);
int maildir_look(struct store *s, const struct look *l, size_t n, unsigned how, struct err *e);
int maildir_look_box(struct store *s, size_t *i, struct box_info *out, struct err *e);
int maildir_look_next(struct store *s, struct store_msg *out, struct err *e);
bool maildir_look_take(struct store *s, struct slice key, struct store_msg *out);
int maildir_list_start(struct store *s, struct err *e);
int maildir_list_msg(struct store *s, struct store_msg *out, struct err *e);
int maildir_find(struct store *s, struct slice key, uint64_t flags, struct store_msg *out, struct err *e);
int maildir_want(struct store *s, const uint64_t *nums, size_t n, struct err *e);
int maildir_next(struct store *s, size_t *i, struct stream **body, struct err *e);
int maildir_remove(struct store *s, const uint64_t *nums, size_t n,
                   void (*done)(void *arg, uint64_t num, const struct err *why), void *arg, struct err *e);
int maildir_commit(struct store *s, struct err *e);
int maildir_move(struct store *s, const uint64_t *nums, size_t n, const char *folder, struct keyword_view *there,
                 void (*done)(void *arg, uint64_t num, struct slice key, const struct err *why), void *arg, struct err *e);
int maildir_restore(struct store *s, const struct quarantine_box *from, int64_t run,
                    void (*done)(void *arg, struct slice key, uint64_t size, const struct err *why), void *arg, struct err *e);
int maildir_set_flags(struct store *s, const struct flag_change *c, size_t n,
                      void (*done)(void *arg, uint64_t num, const struct err *why), void *arg, struct err *e);
struct listener *maildir_listen(struct store *s, const struct listen_params *p, struct err *e);

#endif
