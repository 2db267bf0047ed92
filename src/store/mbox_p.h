/* mbox's own: what its parts share. mbox.c has the file, mboxstage.c spools messages, mboxappend.c puts them into it. */
#ifndef STORE_MBOX_P_H
#define STORE_MBOX_P_H

#include <sys/stat.h>

#include "base/spool.h"
#include "base/vec.h"
#include "mail/digest.h"
#include "store/mboxheal.h"

#define MBOX_CHUNK 32768 /* bytes of a body at a time */

/* One message that is staged: places in the spool. */
struct mbox_rec {
	uint64_t serial;
	uint64_t head_at, head_n; /* From_ line, Content-Length */
	uint64_t body_at, body_n; /* the message and the empty line */
	int64_t own[MBOXHINT_OWN]; /* see struct mboxhint; from body_at */
	size_t own_n;
	bool dropped;
};

struct mbox {
	struct store store;
	char *path;
	enum mbox_variant variant;
	struct mboxlock_params lock_params;
	bool is_open, create;
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
};

/* The driver of a store. */
static inline struct mbox *mbox_of(struct store *s)
{
	return (struct mbox *)s;
}

/* mbox.c. Open and lock the file: 1, 0 when there is none (and none is made), -1. */
int mbox_lock_file(struct mbox *m, bool create, struct err *e);
/* The file must be empty or an mbox; see how it ends: base, pad. */
int mbox_look_at_file(struct mbox *m, struct err *e);
void mbox_let_go(struct mbox *m); /* unlock and close */
/* fsync the directory that holds the file. */
int mbox_sync_parent(struct mbox *m, struct err *e);

/* mboxstage.c. Read n bytes from a place in the spool. */
int mbox_spool_get(struct mbox *m, uint64_t at, char *p, size_t n, struct err *e);

/* As in store_ops. */
int mbox_stage(struct store *s, struct stream *body, const struct store_meta *meta, struct staged *out, struct err *e);
void mbox_unstage(struct store *s, struct staged *out);
int mbox_harden(struct store *s, struct staged *st, size_t n, struct err *e);
int mbox_publish(struct store *s, struct staged *st, size_t n, struct err *e);
void mbox_abandon(struct store *s);

#endif
