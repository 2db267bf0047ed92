/*
 * Bodies of IMAP folders from inside: what is asked for (imapask.c), what of that ahead of time
 * (imapsoon.c), and what comes (imaptake.c).
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

/* ---- imaptake.c ---- */

/*
 * The folder whose SELECT has ended just now was asked for these bodies with it: `want` takes them
 * up, or they are passed over. What is in *a goes over.
 */
int imaptake_begin(struct imapstore *t, struct imapask *a, struct err *e);
/* How much its next batch should bring, by what has come over this link so far. */
void imaptake_pace(const struct imapstore *t, struct imapask *a);
uint64_t imaptake_coming(const struct imapstore *t);

#endif
