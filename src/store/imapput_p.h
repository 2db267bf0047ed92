/* Deliveries to an IMAP mailbox from inside: see imapput.c, imapstage.c, imapland.c and imapseek.c. */
#ifndef STORE_IMAPPUT_P_H
#define STORE_IMAPPUT_P_H

#include "mail/header.h"
#include "mail/ident.h"
#include "store/imapstore_p.h"

#define IMAPPUT_CHUNK 65536

/* A message in the spool. */
struct imapput_item {
	uint64_t at, size;
	uint64_t flags;
	int64_t date;
	bool utf8; /* its header holds UTF-8 */
	bool nul;  /* it holds NUL bytes */
	bool undated; /* it was refused for its date, and is sent without */
	bool plain; /* it was refused with its keywords, and is sent without */
	bool has_mid;
	unsigned char mid[IDENT_MID];
	bool dropped;
};

/* A stream over a part of the spool. */
struct imapput_part {
	struct stream s;
	struct spool *spool;
	uint64_t left;
};

struct imapput_sending;

/* What is published as one. */
struct imapput_group {
	struct spool spool;
	VEC(struct imapput_item) items;
	VEC(size_t) order; /* items of the staged ones that harden saw; SIZE_MAX: dropped */
	struct imapput_sending *sending; /* launched, and not landed; NULL: not */
};

/* An APPEND in flight: of these of those to send. Or what is asked behind them all: of none. */
struct imapput_command {
	uint32_t tag;
	struct imapput_sending *of;
	size_t from, to;
};
#define IMAPPUT_FLYING_MAX 64

struct imapput {
	/* while one group is staged, the other may be sent */
	struct imapput_group group[2], *now;
	struct imapput_command fly[IMAPPUT_FLYING_MAX];
	size_t flying;
	struct uidset given; /* by APPENDUID, since nothing was on its way */
	uint32_t lowest;   /* what is delivered from now on gets no UID below */
	uint32_t validity; /* that lowest is of; with the folder */
	const struct imapfolder *folder;
	const struct imapfolder *limited; /* the folder that limit is of; NULL: not asked */
	uint64_t limit; /* bytes of a message; 0 none */
	uint64_t sent;  /* bytes, and how long the server took to take them */
	msec_t took;
	struct digest *digest;
	struct header head;
	struct imapput_part part;
	VEC(char) keys; /* of what recover found */
	char in[IMAPPUT_CHUNK], lf[IMAPPUT_CHUNK + 1];
};

/* A message that the server has taken, and did not say as what. */
struct imapput_unkeyed {
	size_t i;      /* of the staged ones */
	uint32_t said; /* or as one that can be no new one; 0: not at all */
};

/* A group on its way. */
struct imapput_sending {
	struct imapput_group *g;
	struct staged *st;
	size_t n;
	uint32_t lowest;     /* no UID of its messages is below */
	VEC(size_t) todo;    /* of st, in the order of sending */
	VEC(size_t) again;   /* to be sent again one by one */
	VEC(struct imapput_unkeyed) unkeyed;
	struct uidset given; /* by APPENDUID */
	size_t flying; /* of what flies, its own */
	bool lost;     /* with the link */
	size_t sent; /* of todo: up to there they were sent, or begun to be */
	bool single;
	bool stop; /* nothing more is sent: */
	struct err why;
};

/* One of those that were staged, and not dropped. */
static inline struct imapput_item *imapput_item(const struct imapput_sending *p, size_t i)
{
	return &p->g->items.a[p->g->order.a[i]];
}

/* What is looked for. */
struct imapsought {
	uint32_t from; /* UIDs below are older */
	uint64_t size;
	bool has_mid;
	unsigned char mid[IDENT_MID];
	const unsigned char *digest;
	uint32_t said; /* the server says that it is this one, which is no new one; 0 it does not */
	uint32_t uid;  /* found; 0 not */
	bool merged;   /* what it said has the Message-ID, and other content */
};

/* ---- imapstage.c ---- */

/* The store's; made when it is first needed. NULL on failure. */
struct imapput *imapput_of(struct imapstore *t, struct err *e);
/* The body of an item; the put's own, until the next. */
struct stream *imapput_body(
	struct imapput *u, struct imapput_group *g, const struct imapput_item *it);
/* It holds nothing any more. */
void imapput_clear(struct imapput_group *g);

/* ---- imapput.c ---- */

/* The server refuses one message. */
int imapput_refuse(struct staged *st, const struct err *why, struct err *e);
/* Send all that is to do. */
int imapput_send_all(struct imapstore *t, struct imapput_sending *p, struct err *e);
/* Read one answer, to whichever group. */
int imapput_read_end(struct imapstore *t, struct err *e);

/* ---- imapland.c ---- */

/* Give up what was launched and not landed. */
void imapput_unlaunch(struct imapput *u);

/* ---- imapseek.c ---- */

/* Find those that have no UID yet in the open box. sure: the server has taken them. */
int imapseek(struct imapstore *t, struct imapsought *s, size_t n, bool sure, struct err *e);

/*
 * Look at the messages that the server says they are: some servers keep one copy of a message, and
 * take another for the first. What is the same content is found; two may be one.
 */
int imapseek_said(struct imapstore *t, struct imapsought *s, size_t n, struct err *e);

/* Which of these UIDs are not there? None, where the server does not tell. */
int imapseek_missing(
	struct imapstore *t, const struct uidset *uids, struct uidset *missing, struct err *e);

#endif
