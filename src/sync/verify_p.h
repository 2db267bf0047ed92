/* A verify's own: see engine.h. One side of a folder is listed and read by verifyside.c, both are compared by verifymatch.c. */
#ifndef SYNC_VERIFY_P_H
#define SYNC_VERIFY_P_H

#include "sync/twoway.h"

#define VERIFY_DIGEST 16 /* bytes of a SHA-256 that are kept: there may be many messages */

/* A message of one side. */
struct verify_msg {
	uint64_t num;             /* while the box is open; else only an order to read them in */
	uint64_t size;            /* in wire form, without marks, once that is known; else as listed */
	uint64_t flags;
	const char *key;
	unsigned char mid[IDENT_MID];
	unsigned char digest[VERIFY_DIGEST];
	bool has_mid;
	bool known;               /* size and Message-ID are */
	bool read;                /* the digest is, too */
	bool failed;              /* it can't be read, and that was told */
	bool over;                /* the limits of the job leave it out */
	bool matched;             /* by one of the other side */
	bool pick;                /* of interest to what is done at the moment */
};

/* One difference, to be told. */
struct verify_drift {
	enum event_drift drift;
	enum event_at at;
	int side;                 /* of the message */
	const char *key, *text;
	const char *message_id;   /* NULL: not known */
	uint64_t size, flags[2];
};

/* A folder on its way. */
struct verify_box {
	struct sync_folder *f;
	struct keywords keywords;
	struct keyword_view view[2];
	struct box_info info[2];
	uint64_t unheld[2];       /* keywords that a side is known not to take */
	struct arena arena;
	VEC(struct verify_msg) m[2];
	bool listed[2], failed, compared;
	bool doubtful[2];         /* the listing could not tell Message-IDs */
	struct event_compared found;
	VEC(struct verify_drift) drifts;
};

/* What runs before noted of a message that they left where it was. */
struct verify_note {
	int64_t folder;
	bool back;
	struct slice key;
	const char *reason;
	bool limit;               /* it is no failure */
};

struct verify {
	const struct verify_params *p;
	struct store *side[2];
	struct db *db;
	const struct event_sink *sink;
	struct event_totals *totals;
	struct event_compared *out;
	bool one_way;
	struct folders folders;
	VEC(struct verify_box) boxes; /* that are at hand */
	VEC(struct verify_note) notes;
	struct arena texts;       /* of notes */
	struct ident_reader *reader;
	uint64_t done, bytes;     /* messages that were listed or read */
	uint64_t done_then;       /* when the link broke the last time */
	unsigned breaks;
	msec_t told;              /* progress */
};

static inline bool verify_there(const struct verify_box *b, int side)
{
	return side == LEFT ? b->f->on_left : b->f->on_right;
}

static inline const char *verify_name(const struct verify_box *b, int side)
{
	return side == LEFT ? b->f->left : b->f->right;
}

void verify_put(struct verify *v, struct event *ev);
void verify_progress(struct verify *v);
/* An item can't be compared: of the box, or of one message of it (key). */
void verify_failed(struct verify *v, const struct verify_box *b, const char *key, const struct err *why);

/* What runs before noted of it; NULL: nothing. */
const struct verify_note *verify_note_of(const struct verify *v, const struct verify_box *b, int side, const struct verify_msg *m);

/* ---- verifyside.c ---- */

/* Does a look tell what the messages of the box are? */
bool verify_tells(const struct verify *v, const struct verify_box *b, int side);
/* List a side of all boxes that are at hand, of a job with folders. -1: some may be listed. */
int verify_look(struct verify *v, int side, struct err *e);
/* List a side of the box that a fetch has. */
int verify_list(struct verify *v, struct verify_box *b, int side, struct err *e);
/* Learn what those are that are picked, and not known yet; digest: by their bodies, with their digests. -1: of some it may be known. */
int verify_read(struct verify *v, struct verify_box *b, int side, bool digest, struct err *e);
/* Tell the store what is read next. */
void verify_soon(struct verify *v, int side);

/* Learn the Message-IDs of the first that are told, for a person to find them by. What can't be had is left. */
int verify_name_drifts(struct verify *v, struct verify_box *b, struct err *e);

/* ---- verifymatch.c ---- */

/* Bring together what is the same. */
int verify_match(struct verify *v, struct verify_box *b, struct err *e);
/* Pick those that are alone so far, but may be the same if they are read. Are there any? */
bool verify_doubts(struct verify_box *b);
/* What is alone now: count it, and note what is to be told. */
int verify_rest(struct verify *v, struct verify_box *b, struct err *e);

#endif
