/* A POP3 maildrop from inside: pop3store.c is the session and the source of a fetch; pop3tree.c the same as a tree of one folder; pop3head.c what headers tell. */
#ifndef STORE_POP3STORE_P_H
#define STORE_POP3STORE_P_H

#include "base/vec.h"
#include "mail/ident.h"
#include "mail/status.h"
#include "pop3/msg.h"
#include "store/pop3keys.h"
#include "store/pop3list.h"
#include "store/pop3store.h"

/* What the header of a message tells, or all of it where that had to be read. */
struct pop3head {
	uint32_t num;
	bool has_mid;
	unsigned char mid[IDENT_MID];
	unsigned char digest[DIGEST_SIZE]; /* of the header, without Status lines */
	uint64_t size;  /* of the message, as it came; 0: only its header was read */
	uint64_t mark;  /* as struct ident's */
	int64_t date;   /* header_when */
};

/* A body on its way to whoever wanted it. */
struct pop3tap {
	struct stream s;
	struct stream *body, *ident;
	struct pop3store *t;
	uint64_t num;
};

/* Are the sizes of LIST those of the messages in wire form? */
enum pop3_sizes { POP3_SIZES_UNKNOWN, POP3_SIZES_TRUE, POP3_SIZES_LIES };

struct pop3store {
	struct store s;
	const struct pop3store_params *p;
	struct pop3_params login;  /* as given, and what earlier connections learnt */
	struct pop3_caps caps;
	char *user;                /* "recent:USER", or NULL */
	struct pop3_conn conn;
	bool open;                 /* conn stands, logged in */
	bool marked, read;         /* DELE, RETR or TOP was sent in this session */
	bool warned_expire, warned_rows;
	msec_t last_login;         /* 0: none */
	int login_delay;           /* seconds, as the server said last */
	struct pop3list list;
	struct pop3_pipe pipe;
	/* As a tree. */
	bool tree;                 /* it is used as one: one session for all boxes and looks */
	bool in_box;
	msec_t used;               /* when the session was last known to stand */
	struct box_info info;      /* of its listing */
	bool keyed;                /* keys are those of this session */
	bool incomplete;           /* and not all that it lists is among them */
	bool warned_unnamed, warned_partial;
	struct pop3keys keys;
	VEC(struct pop3head) heads; /* of this session */
	size_t sorted;             /* so many of them are in order, each once */
	enum pop3_sizes sizes;
	struct ident_reader *ident;
	struct status_reader *status;
	struct pop3tap tap;
	const struct look *looks;
	size_t n_looks, at_look, at_row;
};

static inline struct pop3store *pop3store_of(struct store *s)
{
	return (struct pop3store *)s;
}

/* ---- pop3store.c ---- */

int pop3store_fail(struct pop3store *t, struct err *e);      /* the account's name in front; -1 */
int pop3store_need_open(struct pop3store *t, struct err *e); /* a session stands, or *e says why not */
int pop3store_session(struct pop3store *t, unsigned how, struct box_info *out, struct err *e); /* a new one, and its listing */
int pop3store_sizes(struct pop3store *t, struct err *e);     /* LIST, if it was not asked yet; refused: there are none */
void pop3store_drop(struct pop3store *t);                    /* the session is over, whatever it was */

/* ---- pop3head.c ---- */

bool pop3head_has_top(const struct pop3store *t); /* it is not known that the server has no TOP */
const struct pop3head *pop3head_known(struct pop3store *t, uint64_t num); /* NULL: not yet. Valid until the next call */

/*
 * Learn of these what their headers tell, by TOP in one flight; whole: by RETR, also of those of which the header alone is known. What is refused stays unknown.
 */
int pop3head_learn(struct pop3store *t, const uint64_t *nums, size_t n, bool whole, struct err *e);

/*
 * What tells these apart (store_ops.idents) is known then: headers by TOP, by RETR where that is refused; and whether the sizes of LIST can be trusted, for which one message is
 * read; all, if they can't. A size that is the server's alone would match nothing that stands elsewhere.
 */
int pop3head_idents(struct pop3store *t, const uint64_t *nums, size_t n, struct err *e);
/* A body that was wanted: once it was read to its end, it need not be asked for what tells it apart. */
struct stream *pop3head_tap(struct pop3store *t, uint64_t num, struct stream *body);
uint64_t pop3head_size(const struct pop3store *t, const struct pop3head *h); /* in wire form; 0 not known */

/* ---- pop3tree.c ---- */

int pop3tree_open(struct pop3store *t, struct box_info *out, struct err *e);
bool pop3tree_keep(struct pop3store *t); /* the box is closed: may the session stand for the next? */
void pop3tree_forget(struct pop3store *t); /* another session: nothing is known of it */
int pop3tree_list_start(struct pop3store *t, struct err *e);
int pop3tree_list_next(struct pop3store *t, struct store_msg *m, struct err *e);

int pop3tree_folders(struct store *s, int (*cb)(void *arg, const struct folder_info *f, struct err *e), void *arg, struct err *e);
int pop3tree_create(struct store *s, const char *folder, unsigned attrs, struct err *e);
int pop3tree_remove(struct store *s, const char *folder, uint64_t expected, struct err *e);
int pop3tree_rename(struct store *s, const char *from, const char *to, struct err *e);
int pop3tree_look(struct store *s, const struct look *l, size_t n, unsigned how, struct err *e);
int pop3tree_look_box(struct store *s, size_t *i, struct box_info *out, struct err *e);
int pop3tree_look_next(struct store *s, struct store_msg *m, struct err *e);
int pop3tree_find(struct store *s, struct slice key, uint64_t flags, struct store_msg *m, struct err *e);
int pop3tree_idents(struct store *s, const uint64_t *nums, size_t n, bool marks, void (*tell)(void *arg, uint64_t num, const struct ident *id), void *arg, struct err *e);

#endif
