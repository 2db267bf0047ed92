/*
 * Waiting for changes on a server, from inside. imaplisten.c is the listener, imapline.c one of its connections, imappoll.c asks where nobody tells, imapseen.c is what is known of folders.
 */
#ifndef STORE_IMAPLISTEN_P_H
#define STORE_IMAPLISTEN_P_H

#include "imap/idle.h"
#include "imap/notify.h"
#include "store/imapstore_p.h"
#include "store/listen.h"

struct imaplisten;

/* A folder that is synced: what was last said of it. In the order of listen_folders. */
struct imapseen {
	const struct imapfolder *f; /* NULL: the server has none of that name */
	struct imapstamp st;
	uint32_t unseen;
	unsigned known;  /* IMAP_HAS_*: what of them was said */
	msec_t at;       /* when it was asked for, last */
	bool told;       /* by NOTIFY */
	bool stale;      /* it was selected, and more has happened there than st tells */
	struct imapline *line; /* on which it is selected */
};

/* A connection, and the folder that is selected there. */
struct imapline {
	struct imaplisten *l;
	struct imapstore *t;  /* NULL: there is no such connection, now */
	const char *folder;
	size_t seen;          /* its place among l->seen; SIZE_MAX: none */
	struct imap_idle idle;
	bool no_idle;         /* refused, or ended at once */
	bool is_selected;
	bool is_tunnel;
	uint32_t exists;
	uint64_t modseq;
	msec_t retry_at, pause; /* of one that is not there */
};

struct imaplisten {
	struct listener base;
	struct imapstore *of;   /* the store that is listened to: borrowed, and not used but for what it knows of the server */
	struct listen_folders folders;
	struct imapseen *seen;  /* folders.n */
	size_t *by_wire;        /* places of those that are there, by their names on the wire */
	size_t n_wire;
	char *idle[LISTEN_FDS_MAX]; /* names, one for each line */
	struct imapline line[LISTEN_FDS_MAX];
	size_t n_lines, beyond; /* beyond: so many more were named */
	bool notify;            /* on, by the first line */
	bool partial;           /* of some folders it tells nothing */
	msec_t interval, period, look_at;
	bool tree_known;
	uint64_t tree;          /* a sum over the list of folders */
	char why[ERR_TEXT_MAX]; /* the last reason why a line could not be had */
};

/* ---- imapseen.c ---- */

/* Find the folders among those of the first line's list; before: those that were synced until now, whose stamps are compared. NULL: none. -1 */
int imapseen_fill(struct imaplisten *l, const struct listen_folders *before, struct err *e);
void imapseen_release(struct imaplisten *l);
/* Data of a line, whoever asked: hints. imap_on; arg: the line. */
int imapseen_data(void *arg, const struct imap_resp *r, struct err *e);
/* The same, where a STATUS is the answer to a question. */
int imapseen_answer(void *arg, const struct imap_resp *r, struct err *e);
/* The same, where it shows that NOTIFY tells of a folder. */
int imapseen_begun(void *arg, const struct imap_resp *r, struct err *e);
/* Is the stamp known, all of it? */
bool imapseen_whole(const struct imapseen *p);
/* Does nobody tell of it by himself? */
bool imapseen_polled(const struct imapseen *p);

/* ---- imappoll.c ---- */

/* Ask for the list, and the STATUS of those of which nobody tells; all: of every one. The first line is not waiting. -1 */
int imappoll_look(struct imaplisten *l, bool all, struct err *e);
/* Ask for the STATUS of one, or of all where that is no more. The first line waits again afterwards. -1 */
int imappoll_ask(struct imaplisten *l, struct imapseen *p, struct err *e);
/* Must anything be asked for at intervals? And of how many folders; from one look to the next. */
bool imappoll_due(const struct imaplisten *l);
size_t imappoll_count(const struct imaplisten *l);
msec_t imappoll_interval(const struct imaplisten *l);

/* ---- imapline.c ---- */

/* Dial, log in, and select. The first one lists, and asks for NOTIFY. -1 */
int imapline_open(struct imapline *n, struct err *e);
void imapline_close(struct imapline *n); /* without a connection it is fine, too */
/* Wait, if the server can. -1 */
int imapline_wait(struct imapline *n, struct err *e);
/* Stop waiting, for another command. -1 */
int imapline_stop(struct imapline *n, struct err *e);
/* Select its folder (again): its stamp is known then. 1, 0 refused, -1; it is not waiting. */
int imapline_select(struct imapline *n, struct err *e);
/* What came. -1 */
int imapline_take(struct imapline *n, struct err *e);
bool imapline_waits(const struct imapline *n);
/* When it must be called, though nothing came. */
msec_t imapline_when(const struct imapline *n);

#endif
