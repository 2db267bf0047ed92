/*
 * Bodies of IMAP folders from inside: what is waited for (imapwant.c) and asked for (imapask.c),
 * what of that ahead of time (imapsoon.c) or over further connections (imapaide.c, imapshare.c), and what comes
 * (imaptake.c, imapbody.c).
 */
#ifndef STORE_IMAPTAKE_P_H
#define STORE_IMAPTAKE_P_H

#include "store/imapstore_p.h"

#define IMAPASK_BATCHES 16         /* of a folder, in flight */
#define IMAPASK_WINDOW 4           /* so many should bring what is on its way; as many may fly in any case */
#define IMAPASK_BYTES (2u << 20)   /* what a batch should bring at least */
#define IMAPASK_MOST (8u << 20)    /* and at most; between them, what comes in this time: */
#define IMAPASK_MS 100
#define IMAPASK_FIRST (512u << 10) /* before so much has come nobody knows how fast the link is: then so much */
#define IMAPASK_SHARED (64u << 10) /* where several connections share the work: at least; up to IMAPASK_BYTES what comes in */
#define IMAPASK_SHARED_MS 500
#define IMAPASK_GUESS 16384        /* bytes of a message of which nothing is known */

/* A UID FETCH that is in flight. */
struct imapask_batch {
	uint32_t tag;
	uint32_t from, to; /* of uids[] */
	uint32_t left;     /* that have not come */
	bool alone;        /* one message, whose size is asked too; from is imaptake.c's */
	bool several;
};

/* The bodies of a folder that are asked for. Begins as zeros. */
struct imapask {
	uint32_t *uids;  /* in the order in which they are wanted */
	size_t n, sent;
	size_t size;     /* messages of the next batch */
	uint64_t mean;   /* bytes of a message */
	bool known;      /* it is: by the listing, not by those that have come */
	uint64_t bytes;  /* that the next batch should bring */
	bool shared;     /* others are to find something left, and all to end at one time */
	struct imapask_batch batch[IMAPASK_BATCHES];
	size_t flying;
};

/* uids is taken over; mean 0: not known. */
void imapask_start(struct imapask *a, uint32_t *uids, size_t n, uint64_t mean);
void imapask_release(struct imapask *a);
/* So many bytes came in so long a time, and were waited for so long of it: how much the next batch should bring. */
void imapask_pace(struct imapask *a, uint64_t came, msec_t waited, msec_t spent);
/* May another batch fly, as far as this folder is concerned? */
bool imapask_room(const struct imapask *a);
/* Send the next batch; there is one, and room for it. */
int imapask_send(struct imapstore *t, struct imapask *a, struct err *e);
/* Send for one message alone. */
int imapask_send_alone(
	struct imapstore *t, struct imapask *a, uint32_t uid, size_t from, struct err *e);
/* uids[i] has come. */
void imapask_came(struct imapask *a, uint32_t i);
/* The end of a command: which batch it was, that flies no more. False: none. */
bool imapask_end(struct imapask *a, uint32_t tag, struct imapask_batch *out);
/* What is to come of those in flight. */
uint64_t imapask_coming(const struct imapask *a);
/* What has not been asked for. */
uint64_t imapask_ahead(const struct imapask *a);

/* ---- imapwant.c ---- */

/* What is known of a message that is waited for. */
enum {
	IMAPWANT_BARE = 1,  /* the server spoke of it, without a body */
	IMAPWANT_ALONE = 2, /* it is asked for alone */
	IMAPWANT_OVER = 4,  /* handed out, or told */
	IMAPWANT_LENT = 8,  /* it is an aide's to ask for */
};

struct imapwanted {
	uint32_t uid;
	uint32_t i;  /* as announced */
	uint32_t at; /* in what is asked for: order[at] is its place */
};

struct imapwant {
	struct imapwanted *a; /* by uid */
	uint32_t *order;      /* places in a[], in the order of asking: at first as announced */
	unsigned char *state; /* of a[] */
	size_t n;
	size_t lent;          /* so many are, and not over */
};

/* On failure, too, it is to be released. */
int imapwant_start(struct imapwant *w, const uint32_t *uids, size_t n, struct err *e);
void imapwant_release(struct imapwant *w);
/* A message that is still waited for; NULL: nobody waits. */
struct imapwanted *imapwant_find(const struct imapwant *w, uint32_t uid);
/* The message at this place is not waited for any more. It may be over already. */
void imapwant_end(struct imapwant *w, size_t at);
/* It is lent, or has come back: it is not over. */
void imapwant_lend(struct imapwant *w, size_t at, bool lent);

/* ---- imapbody.c ---- */

#define IMAPBODY_MEMORY 262144 /* of a body that is kept, beyond which it lies in a file */

/* A body that comes over the link. */
struct imapbody {
	struct stream s;
	struct imapstore *t;
	struct stream *link;
	const char *box;
	uint32_t uid;
};

/* The one that comes now; t->take->body. */
struct stream *imapbody_link(struct imapstore *t, struct stream *link, uint32_t uid);
/* Write all that comes into a spool. */
int imapbody_keep(struct spool *spool, struct stream *body, struct err *e);
/* A stream over the whole spool; freeing it leaves the spool alone. */
struct stream *imapbody_spooled(struct spool *spool, struct err *e);

/* ---- imaptake.c ---- */

struct imaptake {
	struct imapbody body;
	struct imapask ask;
	bool begun;             /* it came with the SELECT, and `want` has not been called yet */
	struct imapwant want;
	/* Of this link: what came, and how long it was waited for, but for the first of each folder. */
	uint64_t bytes, bodies;
	msec_t waited;
	bool flows;             /* the first has come */
	msec_t spent, seen;     /* so long it took with all that the caller did meanwhile; when that was counted */
	VEC(size_t) alone; /* places in want.a[] that are asked for one by one: `from` of their batches */
	size_t alone_at;
	/* A batch that has ended: what became of those that did not come. */
	struct imapask_batch ended;
	bool telling, refused;
	struct err why;
	/* A body that is not to be handed out before its response is complete. */
	struct spool spool;
	bool held, nil;
	bool open; /* a body was handed out, and the end of its response has not come yet */
	uint64_t held_size;
	unsigned strays;
};

/* The server has been waited for since then. */
void imaptake_stood(struct imaptake *k, msec_t begun);
/*
 * store_ops.next over this connection alone; now: of what is at hand, and IMAPTAKE_LATER when that is
 * nothing. Errors are without the account's name.
 */
#define IMAPTAKE_LATER 2
int imaptake_turn(struct imapstore *t, bool now, size_t *i, struct stream **body, struct err *e);
/*
 * Was the body whole that was handed out last, and has been read? 0; as imaptake_turn, where the answer
 * to that is another message, or none.
 */
int imaptake_seal(struct imapstore *t, size_t *i, struct stream **body, struct err *e);
/* So many that were not asked for, from the end, are somebody else's: their UIDs, and how many they are. */
size_t imaptake_lend(struct imapstore *t, size_t n, uint32_t *uids);
/* One of them is to be asked for here, after all, unless it has come; first: before all others, so that it is not lent again. */
void imaptake_return(struct imapstore *t, uint32_t uid, bool first);
/* One of them was brought: what it is, as announced. False: it has come already. */
bool imaptake_brought(struct imapstore *t, uint32_t uid, size_t *i);
/*
 * The folder whose SELECT has ended just now was asked for these bodies with it: `want` takes them
 * up, or they are passed over. What is in *a goes over.
 */
int imaptake_begin(struct imapstore *t, struct imapask *a, struct err *e);
/* How much its next batch should bring, by what has come over this link so far. */
void imaptake_pace(const struct imapstore *t, struct imapask *a);
uint64_t imaptake_coming(const struct imapstore *t);

/* ---- imapshelf.c ---- */

#define IMAPSHELF_MOST 512 /* messages */
#define IMAPSHELF_LONGEST ((uint64_t)64 << 20) /* bytes of one message: a longer one is not for there */

struct imapshelf_item {
	uint32_t uid;
	bool none;         /* there is no body: it is not to be had here */
	uint64_t at, size; /* in the file */
};

/* Messages one behind the other in a file; the first can be read while others come. Begins as zeros, and is not to be moved. */
struct imapshelf {
	struct stream s;   /* over the first */
	uint64_t pos;
	int fd;
	bool has_file;
	struct imapshelf_item item[IMAPSHELF_MOST]; /* a ring */
	size_t first, n;
	uint64_t bytes, end;
};

/* Is there room for one more? */
bool imapshelf_room(const struct imapshelf *h);
/* Write one, for which there is room: it is there once it is put. */
int imapshelf_write(struct imapshelf *h, uint32_t uid, struct stream *body, struct err *e);
void imapshelf_put(struct imapshelf *h);
void imapshelf_put_none(struct imapshelf *h, uint32_t uid);
/* The first; NULL: there is none. Its body, until it is shifted away. */
const struct imapshelf_item *imapshelf_first(const struct imapshelf *h);
struct stream *imapshelf_body(struct imapshelf *h);
void imapshelf_shift(struct imapshelf *h);
void imapshelf_release(struct imapshelf *h);

/* ---- imapaide.c ---- */

/*
 * Further connections of the account, where bodies come so slowly that it pays, and it is the server
 * or the line that is waited for. What they do is not seen but in the order of what `next` gives.
 */
/* Look after them, and call one more if that pays. */
void imapaide_tend(struct imapstore *t);
/* Are there any? */
bool imapaide_there(const struct imapstore *t);
/* Were any lent something that they have not brought? */
bool imapaide_busy(const struct imapstore *t);
/* The open box is left: those that are busy are given up. */
void imapaide_leave(struct imapstore *t);
/* All are; the main connection is lost. */
void imapaide_drop(struct imapstore *t);
void imapaide_free(struct imapstore *t);

/* ---- imapshare.c ---- */

/* As imaptake_turn, with all that they bring; t->aides is there. */
int imapshare_next(struct imapstore *t, size_t *i, struct stream **body, struct err *e);

#endif
