/*
 * Bodies over further connections from inside: who is called (imapaide.c), and who asks for what
 * (imapshare.c). From outside: imaptake_p.h.
 *
 * An aide is a store of its own, with the same parameters and one folder, which it opens on a fiber.
 * It is lent messages of the open box from the end of those that have not been asked for; who has
 * nothing left to ask for takes half of what another has. What an aide gives is kept until its
 * answer is whole, and only then handed out: so whatever goes wrong there, what it was lent and has
 * not brought goes back, and is asked for over the main connection.
 */
#ifndef STORE_IMAPAIDE_P_H
#define STORE_IMAPAIDE_P_H

#include "store/imaptake_p.h"

#define IMAPAIDES_MAX 15
#define IMAPSHARE_HALVED_FROM 4 /* messages: fewer are left to whom they are with */

struct imapaide {
	struct imapstore_params params;
	struct imapstore *t;  /* its store */
	char *name;           /* of the folder that it opens, or has opened; NULL: none yet */
	uint32_t validity;    /* which must be this one */
	bool compress;        /* the main connection is compressed */
	bool open;
	bool busy;            /* it was lent something, and not all of that has come to an end here */
	struct fiber *fiber;  /* on which it opens or reads; NULL: none */
	bool opening;
	bool ended;           /* the fiber's: it is over */
	bool told;            /* likewise: there is nothing more to come of what it was lent */
	struct imapshelf shelf; /* what came */
	bool reading;         /* the first of it is handed out */
	uint32_t *uids;       /* what it was lent, in the order in which it is wanted there */
	size_t n;             /* without what was taken back from the end of it */
	bool mute;            /* nothing has come of it for so long that it was all taken back; what still comes counts */
	size_t given, refused; /* the fiber's: so many of that came to the shelf, or are not given there */
	size_t brought, lacked; /* so many came from there, or are not to be had there */
};

struct imapaides {
	struct imapaide *a[IMAPAIDES_MAX];
	size_t n;
	bool over;            /* something went wrong: no more of them */
	unsigned doubts;      /* so often the last one was seen to bring nothing */
	size_t turn;          /* who is looked at first */
	bool theirs;          /* it is their turn, before the main connection's */
	uint64_t bytes;       /* that they brought */
	/* when one came: what had come until then, in what time, and how fast (bytes in a second) */
	uint64_t mark_bytes, mark_rate;
	msec_t mark_spent;
};

/* ---- imapaide.c ---- */

extern const struct err imapaide_no_room;

/* It is of no use; the run goes on as if there had been none. */
void imapaide_give_up(struct imapstore *t, struct imapaide *x, const struct err *why);
/* It has opened the folder. */
void imapaide_arrived(struct imapstore *t, struct imapaide *x);
/* Is the box that is open here open there? */
bool imapaide_is_here(const struct imapstore *t, const struct imapaide *x);

/* ---- imapshare.c ---- */

/* So many messages have not been asked for. */
size_t imapshare_unsent(const struct imapstore *t);
/* What it was lent and has not brought goes back. */
void imapshare_end(struct imapstore *t, struct imapaide *x);

#endif
