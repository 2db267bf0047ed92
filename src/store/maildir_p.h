/* Maildir's own: what its parts (maildir.c, maildirput.c) share. */
#ifndef STORE_MAILDIR_P_H
#define STORE_MAILDIR_P_H

#include <dirent.h>

#include "base/vec.h"
#include "store/maildir.h"

#define MAILDIR_CHUNK 65536 /* bytes of a body at a time */
#define MAILDIR_HOST_MAX 63

/* One message that is staged. */
struct maildir_rec {
	char name[192];   /* leaves room for flags within NAME_MAX */
	int fd;           /* -1 once it is on disk */
	uint32_t flags;
	bool gone;        /* unstaged or published: nothing of ours is in tmp/ any more */
};

struct maildir {
	struct store store;
	char *path;
	char *what;       /* "a message in PATH", for errors */
	enum maildir_layout layout;
	int tmp_hours;
	int root, box, tmp, fresh, cur; /* directories; `fresh` is new/ */
	VEC(struct maildir_rec) recs;
	bool slow_syncfs;     /* it took long: others write much to this file system */
	size_t first_open, open, max_open; /* recs before first_open are on disk */
	uint32_t counter;
	long pid;         /* of whoever opened it */
	char host[MAILDIR_HOST_MAX + 1];
	bool lost;        /* a sync or rename failed: nothing of this group counts as durable any more */
	struct digest *digest;
	char *in, *out;   /* a chunk as it came; up to two as they will be written */
};

/* The driver of a store. */
static inline struct maildir *maildir_of(struct store *s)
{
	return (struct maildir *)s;
}

/* Close a descriptor that is open. */
void maildir_close_fd(int *fd);

/* A directory stream over a held directory, which stays open; NULL on error. And its next entry that is no dot file: 1, 0 at the end, -1. */
DIR *maildir_list(struct maildir *m, int dirfd, struct err *e);
int maildir_list_next(struct maildir *m, DIR *d, struct dirent **out, struct err *e);

/* maildirput.c. Use more descriptors if we may; how many staged files can stay open. */
size_t maildir_put_room(void);
/* Remove what deliveries left in tmp/ that never came to their end. */
int maildir_put_clean(struct maildir *m, struct err *e);

/* As in store_ops. */
int maildir_stage(struct store *s, struct stream *body, const struct store_meta *meta, struct staged *out, struct err *e);
void maildir_unstage(struct store *s, struct staged *out);
int maildir_harden(struct store *s, struct staged *st, size_t n, struct err *e);
int maildir_publish(struct store *s, struct staged *st, size_t n, struct err *e);
void maildir_abandon(struct store *s);
int maildir_recover(struct store *s, struct recovery *r, size_t n, struct err *e);

#endif
