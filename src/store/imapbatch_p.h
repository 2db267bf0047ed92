/*
 * One UID command for many messages of the open IMAP mailbox: STORE, COPY, MOVE. The messages are
 * cut into commands, which are pipelined. What is refused is tried again for each message alone, so
 * that what is wrong with one is said of that one.
 */
#ifndef STORE_IMAPBATCH_P_H
#define STORE_IMAPBATCH_P_H

#include "store/imapstore_p.h"

typedef void imapbatch_done(void *arg, uint64_t num, const struct err *why);

/*
 * Messages that share commands: some that add flags, some that take them, and keywords, of which a
 * server may want to know nothing, by commands of their own.
 */
struct imapbatch_unit {
	size_t from, to;  /* of imapbatch.c */
	unsigned pending; /* commands that have not ended */
	bool refused;
};

struct imapbatch_piece {
	size_t unit;
	bool take;
	bool expunge;   /* what the commands before it have marked */
	uint64_t flags; /* of a STORE */
};

/* COPYUID (RFC 4315): what became of a UID. */
struct imapbatch_copy {
	uint32_t from, to;
	bool doubtful; /* imapmove.c */
};

/* What is done to a number of messages. */
struct imapbatch {
	const char *verb;      /* "MOVE", "COPY"; NULL: STORE what the changes say */
	const char *failing;   /* what is told of a message of which it is refused */
	const char *wire;      /* of the folder that verb is about */
	struct flag_change *c; /* those with equal changes together */
	size_t n;
	int (*done)(struct imapstore *t, struct imapbatch *j, uint64_t num, const struct err *why,
		struct err *e);
	imapbatch_done *tell; /* the caller's */
	void *arg;
	struct uidset *ok; /* collects what went well; may be NULL */
	const struct imapstore_flight *along; /* goes with the first try; may be NULL */
	struct uidset *gone; /* NULL; or each STORE is followed by a UID EXPUNGE of the same, and here are those that the server said it has removed */
	uint32_t validity; /* of the other folder, for copies to be collected; 0 unknown: none are */
	VEC(struct imapbatch_copy) copies; /* in any order; the caller releases them */
	/* Private. */
	VEC(struct imapbatch_unit) units;
	VEC(struct imapbatch_piece) pieces;
	VEC(struct flag_change) failed;
	VEC(struct flag_change) worded; /* keywords were refused, several at once: to be tried one by one */
	bool single;   /* so they are */
	uint64_t lone; /* keywords that were refused by themselves */
	struct err why; /* of the last that was refused */
	enum err_span span; /* as the server meant it */
	bool last;      /* there is no further try */
	bool kept;      /* a UID EXPUNGE was refused */
};

/*
 * Do it; then what was refused, one by one, if what is wrong may be wrong with single messages.
 * mend (may be NULL) may mend something before.
 */
int imapbatch_run(struct imapstore *t, struct imapbatch *j,
	int (*mend)(struct imapstore *t, struct imapbatch *j, struct err *e), struct err *e);

/* imapbatch.done of what only the caller needs to hear. */
int imapbatch_tell(
	struct imapstore *t, struct imapbatch *j, uint64_t num, const struct err *why, struct err *e);

/*
 * imapmark.c: mark as deleted what j holds, for commit. cp: after a COPY; says where to (wire; NULL:
 * the trash) and how a failure is told, and has `ok` set. NULL: no copy.
 */
int imapmark_mark(struct imapstore *t, struct imapbatch *j, struct imapbatch *cp, struct err *e);
/* And remove what is marked so. */
int imapmark_expunge(struct imapstore *t, struct err *e);

#endif
