/*
 * A POP3 server for tests, with a maildrop in shared memory that the test fills, looks at, and rigs to misbehave. A session sees what there was at its login; what it marks is removed by its QUIT.
 */
#ifndef TESTS_MAILDROP_H
#define TESTS_MAILDROP_H

#include "../unit/net/peer.h"
#include "pop3/login.h"

#define MAILDROP_MESSAGES 64
#define MAILDROP_TEXT 2048

struct maildrop_msg {
	char uidl[96];               /* "": the server's list has the number alone */
	char text[MAILDROP_TEXT];    /* in wire form */
	bool there;                  /* removed, or this place is free, if not */
	bool no_top, no_retr;        /* refused */
	bool unstuffed;              /* dots are sent as they are */
	bool breaks;                 /* the link is cut in its middle, whenever it is read */
};

struct maildrop_world {
	struct maildrop_msg m[MAILDROP_MESSAGES];
	bool no_uidl, no_top, no_list; /* the server knows it not */
	bool one_by_one;             /* no PIPELINING */
	bool bare_sizes;             /* LIST counts a line end as one byte */
	unsigned cut_at;             /* the n-th RETR, of all sessions, is cut off in its middle; 0 none */
	unsigned hang_up_at;         /* so is the link at the n-th command; 0 none */
	int login_delay;
	/* what came */
	unsigned logins, uidls, lists, tops, retrs, deles, quits, noops, commands;
};

struct maildrop {
	struct peer peer;
	struct maildrop_world *w;
};

void maildrop_start(struct maildrop *d);
void maildrop_stop(struct maildrop *d);
struct pop3_params maildrop_params(const struct maildrop *d);

/* A message at the end; its place. */
size_t maildrop_add(struct maildrop *d, const char *uidl, const char *text);
/* One with a header: From, Subject and Message-ID by n, Received on the n-th day of 2001. */
size_t maildrop_mail(struct maildrop *d, unsigned n);
size_t maildrop_count(const struct maildrop *d);
void maildrop_forget(struct maildrop *d); /* what came so far */

#endif
