/* Looks at IMAP folders from inside: see imaplook.c, imaplookask.c and imapgone.c. */
#ifndef STORE_IMAPLOOK_P_H
#define STORE_IMAPLOOK_P_H

#include "store/imapstore_p.h"

enum imaplook_mode { MODE_FULL, MODE_FLAGS, MODE_MODSEQ };

enum imaplook_command { CMD_SELECT, CMD_OLD, CMD_SEARCH, CMD_NEW };
#define IMAPLOOK_COMMANDS 4

/* A folder to look at. */
struct imaplook_item {
	size_t i; /* as announced */
	struct imapfolder *f;
	struct imapstamp base; /* validity 0: none */
	enum imaplook_mode mode;
	bool vanished; /* asked as QRESYNC has it */
	bool search; /* MODE_MODSEQ without QRESYNC */
	bool anew;   /* STATUS speaks of another UIDVALIDITY, or a lower UIDNEXT: everything is asked for at once, and SELECT tells whether it is true */
	bool sizes;  /* size and date are wanted of old ones, too */
	bool idents; /* and the Message-ID of new ones */
	struct keyword_view *keywords; /* NULL: they don't count */
	enum imaplook_command cmds[IMAPLOOK_COMMANDS];
	uint32_t tags[IMAPLOOK_COMMANDS];
	unsigned n, sent; /* commands */
	unsigned ended;   /* a bit for each */
	bool skip;        /* what is still to come of it is of no interest */
};

struct imaplook {
	const struct look *l;
	unsigned how;
	VEC(struct imaplook_item) items;
	size_t sending;    /* items before it are sent */
	size_t reading;    /* the item whose answers are due */
	bool entered;      /* its state below is its own */
	bool told;         /* look_box told it, and look_next reads it */
	bool active, stop; /* stop: nothing more is sent */
	bool early;        /* nobody has announced it yet (imaplookask.c) */
	struct look own;   /* of a listing; or what is asked early, */
	char own_stamp[STORE_STAMP_MAX]; /* by this */
	/* The item that is read. */
	struct uidset seen; /* listed */
	struct uidset vanished, found;
	struct uidset gone; /* to be told */
	struct uidset_iter going;
	bool finished;
	size_t effort;
	uint64_t rows, listed; /* messages; those that were there at the SELECT */
	uint64_t fresh;        /* of these, new since the base */
	uint64_t expunged;     /* since the SELECT */
	unsigned disorder;
	struct imapident_part part; /* of the message that is read */
	char key[16];
};

/* The item that is read; its place may change when one is added. */
static inline struct imaplook_item *imaplook_current(struct imaplook *k)
{
	return &k->items.a[k->reading];
}

/* Is what is gone told by VANISHED? */
static inline bool imaplook_vanished(const struct imapstore *t)
{
	return t->conn.enabled & IMAP_CAP_QRESYNC;
}

/* From which UID on a message is new. */
static inline uint32_t imaplook_new_from(const struct imaplook_item *it)
{
	return it->mode == MODE_FULL ? 1 : it->base.uidnext;
}

/* ---- imaplookask.c ---- */

/* Do the numbers prove that none of those that the base knows is gone? As many came as there can be new ones. */
bool imaplook_nothing_gone(const struct imapstamp *base, uint32_t messages, uint32_t uidnext);
/* The way for a folder, it->f; and the commands of a way. */
void imaplook_plan(const struct imapstore *t, struct imaplook_item *it, const struct look *l);
void imaplook_plan_commands(struct imaplook_item *it);
/* Send as much as may fly. */
int imaplook_pump(struct imapstore *t, struct err *e);
/* The one that was asked early answers the i-th of these as well, which are announced now. False: none, or it does not. */
bool imaplook_early_fits(const struct imapstore *t, const struct look *l, size_t n, unsigned how, size_t *i);

/* ---- imaplook.c, imapgone.c ---- */

/* A look object, empty. NULL: no memory. */
struct imaplook *imaplook_fresh(struct imapstore *t, struct err *e);
/* This can't be; the folder is given up. -1. */
int imaplook_nonsense(const struct imaplook_item *it, struct err *e, const char *what);

/* All answers to the current item are there: is the listing whole, and what is gone (k->gone)? */
int imapgone_find(struct imapstore *t, struct err *e);

#endif
