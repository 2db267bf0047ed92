/*
 * The listing of a maildrop, kept aside: rows of UIDL and rows of LIST come in from the wire, messages go out, merged by number. Memory is bounded: what is
 * large goes into unlinked files.
 */
#ifndef STORE_POP3LIST_H
#define STORE_POP3LIST_H

#include "base/spool.h"
#include "mail/digest.h"
#include "store/store.h"

#define POP3LIST_ROWS_MAX 10000000

/* One of the two listings: records in a spool, and a reading position. */
struct pop3rows {
	struct spool spool;
	uint64_t n, last;
	bool given;       /* the server answered this listing */
	bool ascending;   /* numbers only rise */
	bool have;        /* a row is read and not yet used */
	uint32_t num;
	uint64_t size;
	size_t key_len;
	char key[STORE_KEY_MAX + 1];
};

struct pop3list {
	struct pop3rows uidl, sizes;
	struct digest *stamp, *long_key;
	uint64_t bad;          /* lines that are no rows */
	uint64_t keyless;      /* rows of messages without a usable key */
	uint64_t numbered;     /* keys that are mere numbers (pop3list_is_number) */
	bool as_given;         /* set it before pop3list_start: keys given twice are given out as well. pop3list_clear leaves it */
	uint64_t *numbers;     /* of the rows of UIDL, sorted, where the two can't be merged in their order; else NULL */
	uint64_t *doubles;     /* hashes of keys given more than once, sorted */
	size_t n_doubles;
	char out_key[STORE_KEY_MAX + 1]; /* of the message given out last */
};

int pop3list_init(struct pop3list *l, struct err *e);
void pop3list_release(struct pop3list *l); /* safe on a zeroed struct */
void pop3list_clear(struct pop3list *l);   /* for the next session */

/* A line of the answer to UIDL or LIST. cut: the line was too long and this is its beginning. Lines that are no rows are counted in ->bad. */
int pop3list_uidl(struct pop3list *l, struct slice line, bool cut, struct err *e);
int pop3list_size(struct pop3list *l, struct slice line, bool cut, struct err *e);

/* Is a UIDL a mere number, and a short one ("1", "2")? Some servers count so, from one in each session, and what is called 2 today was 3 yesterday. */
bool pop3list_is_number(struct slice uidl);

/* "uidl:" and the digest of all UIDL rows and the count; "" when a message has no key, for then equal listings may hold different mail. Once, after the last row. */
int pop3list_stamp(struct pop3list *l, uint64_t messages, char out[128], struct err *e);

/* Start giving out: finds keys given twice (their messages have no key), and numbers given twice (ERR_PROTO). */
int pop3list_start(struct pop3list *l, struct err *e);
/* As store_ops.list_next. */
int pop3list_next(struct pop3list *l, struct store_msg *m, struct err *e);

#endif
