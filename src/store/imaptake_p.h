/*
 * Bodies of IMAP folders from inside: what is waited for (imapwant.c) and asked for (imapask.c),
 * what of that ahead of time (imapsoon.c), and what comes (imaptake.c, imapbody.c).
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
	struct imapask_batch batch[IMAPASK_BATCHES];
	size_t flying;
};

/* uids is taken over; mean 0: not known. */
void imapask_start(struct imapask *a, uint32_t *uids, size_t n, uint64_t mean);
void imapask_release(struct imapask *a);
/* So many bytes came while they were waited for so long: how much the next batch should bring. */
void imapask_pace(struct imapask *a, uint64_t came, msec_t waited);
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

/* ---- imapwant.c ---- */

/* What is known of a message that is waited for. */
enum {
	IMAPWANT_BARE = 1,  /* the server spoke of it, without a body */
	IMAPWANT_ALONE = 2, /* it is asked for alone */
	IMAPWANT_OVER = 4,  /* handed out, or told */
};

struct imapwanted {
	uint32_t uid;
	uint32_t i; /* as announced */
};

struct imapwant {
	struct imapwanted *a; /* by uid */
	uint32_t *order;      /* places in a[], in the order of the announcement */
	unsigned char *state; /* of a[] */
	size_t n;
};

/* On failure, too, it is to be released. */
int imapwant_start(struct imapwant *w, const uint32_t *uids, size_t n, struct err *e);
void imapwant_release(struct imapwant *w);
/* A message that is still waited for; NULL: nobody waits. */
struct imapwanted *imapwant_find(const struct imapwant *w, uint32_t uid);

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
 * The folder whose SELECT has ended just now was asked for these bodies with it: `want` takes them
 * up, or they are passed over. What is in *a goes over.
 */
int imaptake_begin(struct imapstore *t, struct imapask *a, struct err *e);
/* How much its next batch should bring, by what has come over this link so far. */
void imaptake_pace(const struct imapstore *t, struct imapask *a);
uint64_t imaptake_coming(const struct imapstore *t);

#endif
