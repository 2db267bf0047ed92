/*
 * An IMAP connection (RFC 3501, RFC 9051): commands out without waiting, answers read one by one in
 * the order in which the server gives them. Every wait has a deadline, every answer a limit, and
 * what a server says without ever answering has one too.
 *
 *   imap_open, imap_login (login.h)    or imap_attach in tests
 *   imap_start, imap_put, imap_astring, ..., imap_end(&tag)    a command; or imap_send in one call
 *   imap_next                          data, or the end of a command; or imap_finish to read on to
 *                                      the end of one
 *   imap_bye
 *
 * Many commands may fly: send while imap_may_send() says so, then read. Commands that must not
 * overlap (RFC 3501 section 5.5: what depends on sequence numbers, or changes the mailbox) are the
 * caller's care; SELECT and EXAMINE may be followed by their FETCH at once.
 */
#ifndef IMAP_CONN_H
#define IMAP_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "auth/blank.h"
#include "base/slice.h"
#include "base/strbuf.h"
#include "imap/capa.h"
#include "imap/resp.h"
#include "net/bufin.h"
#include "net/dial.h"
#include "net/pace.h"

/*
 * bytes of commands that any server's socket takes while we don't read; of APPENDs, which it has to
 * read as they come, there may be any number of bytes: what it says meanwhile is kept (net/fdio.h)
 */
#define IMAP_FLIGHT_MAX 65536
/* bytes of one command that flies with others, literals of streams not counted */
#define IMAP_COMMAND_MAX 32768
/* a line should not be longer (RFC 7162 section 4; Exchange refuses 10 kB): cut UID sets */
#define IMAP_LINE_ADVICE 8000
#define IMAP_FLYING_MAX 512      /* commands in flight */
/* bytes that a server may say between two ends of commands, bodies that are read not counted */
#define IMAP_UNASKED_MAX ((uint64_t)512 << 20)
/* waiting time between two of these: a line that brings less is none */
#define IMAP_PATIENCE_MS (2 * 3600 * 1000)
/* bytes of commands queued at once; OAuth responses are the longest */
#define IMAP_OUT_MAX (256 << 10)
/* the longest literal that LITERAL- lets go without asking (RFC 7888 section 5) */
#define IMAP_LITERAL_MINUS 4096

/* One namespace (RFC 2342), to keep. */
struct imap_space {
	enum imap_ns kind;
	char prefix[256]; /* as on the wire */
	char sep;         /* '\0': no hierarchy */
};
#define IMAP_SPACES_MAX 16

/*
 * Does a server carry out what stands behind a login before it has answered that? Some drop it. NO
 * also while it is being tried.
 */
enum imap_flies { IMAP_FLIES_UNKNOWN, IMAP_FLIES_NO, IMAP_FLIES_YES };

/* A command in flight; command.c's own. */
struct imap_flight {
	uint32_t tag;
	/*
	 * where it stands among all bytes that were ever queued; end is UINT64_MAX while it is
	 * being built
	 */
	uint64_t begin, end;
	bool append;         /* read as it comes: it weighs nothing */
	bool own;            /* this layer's: nobody waits for its end */
	bool over;
};

/* Not to be moved while it is open: its parts know where it is. */
struct imap_conn {
	struct stream *s;
	struct bufin in;
	struct strbuf out;        /* commands not yet sent */
	struct imap_caps caps;
	char greeting[512];       /* printable */
	char server[256];         /* what the server's ID says it is, printable, or "" */
	bool logged_in;
	bool flew;                /* see imap_login */
	/*
	 * names of mailboxes are UTF-8, not modified UTF-7 (UTF8=ACCEPT is on, or the server speaks
	 * only IMAP4rev2)
	 */
	bool utf8;
	bool compressed;
	bool dead;                /* the link is lost: nothing more can be said */
	unsigned enabled;         /* enum imap_cap: what the server's ENABLED said */
	bool spaces_known;        /* NAMESPACE was answered */
	struct imap_space spaces[IMAP_SPACES_MAX];
	size_t nspaces;
	int timeout;              /* ms for each wait */
	int64_t patience;         /* ms; see IMAP_PATIENCE_MS */
	/* enum imap_cap that the person doesn't want: never in caps.have */
	unsigned disabled;
	const char *what;         /* "work": for error texts. Borrowed */
	/*
	 * What the server wants a person to read ([ALERT], RFC 3501 section 7.1), printable; NULL:
	 * logged at debug. Never called for what came before TLS.
	 */
	void (*alert)(void *arg, const char *text);
	/*
	 * Data that comes while a call below waits for something of its own (imap_append_message,
	 * imap_settle, ...); as from imap_next. NULL: passed over.
	 */
	void (*stray)(void *arg, const struct imap_resp *r);
	void *arg;                /* of both */

	/* The layer's own. */
	struct imap_reader rd;
	struct imap_resp resp;
	/* while logging in: not to be shown, if the server says it. Borrowed; NULL: nothing */
	const struct blank *blank;
	struct strbuf blanked;    /* resp.text without it */
	struct pace pace;
	struct imap_flight *fly;  /* a ring of IMAP_FLYING_MAX */
	size_t fly_first, fly_n, fly_over, fly_own;
	uint64_t fly_bytes;
	VEC(uint64_t) stops;      /* where sending stops for a "+" */
	/*
	 * bytes handed to the stream, or dropped: where out begins among all that were ever queued
	 */
	uint64_t put;
	uint64_t began;           /* the command that is being built */
	uint32_t last_tag;
	bool building, spoilt, full;
	unsigned messages;        /* of the APPEND that is being built */
	bool greeted;
	bool preauth;
	bool ahead;               /* the greeting is still to come, and is not waited for */
	struct imap_caps greeted_with; /* what it then said of what the server can */
	bool clear;               /* TLS is still to come: nothing that is said is believed */
	/* the server has said what it can since this was last set to false */
	bool caps_fresh;
	bool glancing;            /* what has not begun to come is not waited for */
	bool reading;             /* a response is being read: what is taken is not for a caller */
	bool strayed;             /* data came that no caller has seen */
	uint32_t probe;           /* a NOOP behind the login; 0: none flies */
	enum imap_flies *flies;   /* what comes of it. Borrowed; NULL: nobody wants to know */
	/* bytes read from the stream, and how many before the response that is being read */
	uint64_t taken, mark;
	uint64_t unasked;         /* bytes that were said without an end of a command */
};

/* ---- commands ---- */

/*
 * Build a command piece by piece; a piece that can't be sent (too long, out of memory, CR, LF or
 * NUL in text) makes imap_end fail, after which nothing of it is sent. Tags are 1, 2, ... here and
 * "A1", "A2", ... on the wire.
 */
void imap_start(struct imap_conn *c);
void imap_put(struct imap_conn *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/*
 * A string: quoted where that can be, else a literal; without waiting where LITERAL+ or LITERAL-
 * allows. Otherwise what follows is kept back until imap_next has read the server's "+", and is
 * dropped when the server refuses the command instead. Names of mailboxes are given as on the wire
 * (as LIST told them): this layer encodes nothing; c->utf8 says which encoding is due.
 */
void imap_astring(struct imap_conn *c, struct slice s);
int imap_end(struct imap_conn *c, uint32_t *tag, struct err *e);

/* All in one: the text holds no strings that need quoting. */
int imap_send(struct imap_conn *c, uint32_t *tag, struct err *e, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/*
 * Whether a command of up to IMAP_COMMAND_MAX bytes may go now without an answer being read first.
 * Sending all the same is ERR_BUG. True when nothing flies.
 */
bool imap_may_send(struct imap_conn *c);
/* commands whose end has not been read; the ones of imap_login not counted */
size_t imap_flying(const struct imap_conn *c);
int imap_flush(struct imap_conn *c, struct err *e);

/*
 * From here on (or no more) what is sent and what is answered is a secret for the trace. Puts out,
 * unflushed, what was queued before.
 */
int imap_secret(struct imap_conn *c, bool on, struct err *e);

/* A command of this layer's own, whose answer imap_next takes and nobody waits for. */
int imap_send_own(struct imap_conn *c, struct err *e, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- answers ---- */

enum imap_event {
	/*
	 * the link or the protocol is broken, or the server said BYE: *e; the connection is dead
	 * (but for one time-out, below)
	 */
	IMAP_LOST = -1,
	IMAP_REFUSED,    /* a command ended in NO or BAD: *tag, *e */
	IMAP_DATA,       /* *r: an untagged response */
	/* a command ended in OK: *tag, *r (its code: [APPENDUID], [COPYUID], [READ-WRITE] ...) */
	IMAP_DONE,
};

/*
 * The next answer (flushes first). *r (may be NULL) is valid until the next call, and so is a body
 * in it (IMAP_FETCH_BODY), which is read over where the caller leaves it unread.
 *
 * Anything may come at any time (RFC 3501 section 5.2): EXISTS, EXPUNGE, FETCH of flags; FETCH of
 * what was never asked for (leave its body unread: it counts against IMAP_UNASKED_MAX then). What
 * this layer knows what to do with does not come here: CAPABILITY, ENABLED, ID, NAMESPACE, and ends
 * of commands of its own. Ends may come in another order than the commands were sent.
 *
 * With nothing in flight it waits for unasked data; ERR_TIMEOUT then leaves the connection alive.
 *
 * A refusal's kind and span follow from its code (RFC 5530), else from known words in its text,
 * else ERR_REFUSED and SPAN_MSG; retry_after is what the server asked for ("Suggested Backoff Time:
 * N milliseconds" too) or what the code suggests.
 */
enum imap_event imap_next(struct imap_conn *c, uint32_t *tag, const struct imap_resp **r,
	struct err *e);

/*
 * The same (*ev) of what is at hand already, or has begun to come; false: there is nothing, and the
 * descriptor (stream_fd) tells when there is more.
 */
bool imap_next_now(struct imap_conn *c, enum imap_event *ev, uint32_t *tag,
	const struct imap_resp **r, struct err *e);

/*
 * Read on to the end of a command, and hand what comes before it to on (NULL: to c->stray), whose
 * -1 (with *e) is returned once the command has ended. 1 OK, 0 refused, -1. *r (may be NULL): the
 * end, valid until the next call. No other command of the caller's may be in flight.
 */
typedef int imap_on(void *arg, const struct imap_resp *r, struct err *e);
int imap_finish(struct imap_conn *c, uint32_t tag, imap_on *on, void *arg,
	const struct imap_resp **r, struct err *e);

/*
 * Read the answers to the commands that imap_login left in flight (ID, ENABLE, NAMESPACE), so that
 * c->enabled, c->spaces ... can be looked at. With none of the caller's in flight.
 */
int imap_settle(struct imap_conn *c, struct err *e);

/* Read all that flies to its end, whatever it brings: nobody has use for it any more. */
int imap_drain(struct imap_conn *c, struct err *e);

/*
 * For AUTHENTICATE: a line of our own (no CR, LF), flushed; and the answer: 2 "+ text", 1 OK, 0
 * refused (*e), -1.
 */
int imap_say(struct imap_conn *c, const char *line, struct err *e);
int imap_challenge(struct imap_conn *c, uint32_t tag, struct slice *text, struct err *e);

/* ---- messages to the server ---- */

struct imap_append {
	const char *flags;    /* "\\Seen \\Flagged", or "" */
	/* INTERNALDATE, seconds since 1970, given in UTC; INT64_MIN: the server's now */
	int64_t date;
	uint64_t size;        /* bytes of the body, exactly */
	/* its headers hold UTF-8: sent as RFC 6855 section 4 says. Only while UTF8=ACCEPT is on */
	bool utf8;
	/* it holds NUL bytes: sent as a literal8 (RFC 3516 section 4.4). Only where BINARY is offered; utf8 is one anyway */
	bool binary;
};

/*
 * APPEND (RFC 3501 section 6.3.11); several messages in one where MULTIAPPEND is offered (RFC
 * 3502):
 *    imap_append_start, imap_append_message (1..n), imap_append_end(&tag), then imap_next as for
 *    any command.
 * The body is copied from a stream that gives exactly size bytes, CRLF. Where neither LITERAL+ nor
 * LITERAL- lets it go at once, the call waits for the server's "+"; data that comes meanwhile goes
 * to c->stray. Then (imap_literal_waits), nothing of the caller's may be in flight before
 * imap_append_start; otherwise other APPENDs may (imap_may_send), but nothing whose answer is long:
 * we write without reading.
 *
 * imap_append_message: 1; 0: it can't be sent, or the server refused
 * instead (*e; the command has ended, and there is no imap_append_end); -1: the link is lost: when
 * the body was shorter or longer than announced, or could not be read, too (ERR_LOCAL), since the
 * server can't be told.
 */
bool imap_literal_waits(const struct imap_conn *c, uint64_t size);
int imap_append_start(struct imap_conn *c, struct slice mailbox, struct err *e);
int imap_append_message(struct imap_conn *c, const struct imap_append *m, struct stream *body,
	struct err *e);
int imap_append_end(struct imap_conn *c, uint32_t *tag, struct err *e);

/* ---- the link ---- */

/*
 * Take over a connected stream (freed on failure); nothing is read or sent. c is all zero but for
 * alert, stray and arg. For imap_open and tests.
 */
int imap_attach(struct imap_conn *c, struct stream *s, int timeout, unsigned disabled_caps,
	const char *what, struct err *e);
int imap_greeting(struct imap_conn *c, struct err *e); /* c->preauth tells its kind; BYE is -1 */

/*
 * Dial, read the greeting, and STARTTLS where security says so (refused, not offered, bytes behind
 * the OK, or PREAUTH, after which it can't be asked: ERR_CERT, and the link is closed; nothing else
 * is ever sent in clear then). What was said before TLS is forgotten, the greeting too. Then the
 * capabilities, from the greeting where it names them, or asked for. remembered (may be NULL): what
 * the same server said under TLS before login; then they are not asked for.
 *
 * PREAUTH over TLS from the first byte, or through a tunnel, is login: c->logged_in is set.
 * Elsewhere it is ERR_AUTH. c is as for imap_attach; closed on failure.
 *
 * ahead (may be NULL): what the same server could before login the last time that a session of TLS
 * was made with it. Where TLS from the first byte takes up that session, the server is who it was,
 * and the greeting is not waited for (c->ahead): the commands that come first are sent as if it had
 * told so. It is read before the first answer. PREAUTH is an error then.
 */
int imap_open(struct imap_conn *c, const struct dial_params *d, unsigned disabled_caps,
	const char *what, const struct imap_caps *remembered, const struct imap_caps *ahead,
	struct net_stats *stats, struct err *e);

/*
 * The capabilities, asked for; a server that won't tell is one without extensions. With nothing of
 * the caller's in flight.
 */
int imap_capability(struct imap_conn *c, struct err *e);

/*
 * COMPRESS=DEFLATE (RFC 4978), for when much will flow: 1 it is on, 0 not offered or refused, -1.
 * With nothing of the caller's in flight.
 */
int imap_compress(struct imap_conn *c, const struct dial_params *d, struct err *e);

/*
 * LOGOUT and close, without waiting for the answer: all that matters was answered before. Safe on a
 * zeroed struct.
 */
void imap_bye(struct imap_conn *c);
void imap_close(struct imap_conn *c); /* no LOGOUT; safe on a zeroed struct */

/* ---- for the other files of this layer ---- */

/* What imap_read saw. */
enum imap_got { IMAP_GOT_DATA = 1, IMAP_GOT_OURS, IMAP_GOT_PLUS, IMAP_GOT_END };

/*
 * Read one response into c->resp, and do with it what this layer does: -1, or what it was. DATA:
 * not this layer's; OURS: it was, and is done with. PLUS: a "+" that lets held back bytes go (they
 * may be put out now), or that nothing waits for: text in c->resp. END: of the command *tag, 0 for
 * one of the layer's own; c->resp.cond tells how.
 */
int imap_read(struct imap_conn *c, uint32_t *tag, struct err *e);
/*
 * The same of what is at hand already, or has begun to come; 0: there is nothing, and nothing is held
 * back by any layer: the descriptor (stream_fd) tells when there is more.
 */
int imap_glance(struct imap_conn *c, uint32_t *tag, struct err *e);
/* the same as imap_read, after what is queued was sent; data is handed to c->stray */
int imap_turn(struct imap_conn *c, uint32_t *tag, struct err *e);
/* to the stream, which may hold it back until its flush */
int imap_put_out(struct imap_conn *c, struct err *e);
/* let the command that is being built fly already: its end may come before it is complete */
int imap_enter(struct imap_conn *c, struct err *e);
void imap_undo(struct imap_conn *c);                  /* forget it, as far as it was not put out */
int imap_dead(struct imap_conn *c);                   /* the link is lost. -1 */
int imap_unsent(struct imap_conn *c, struct err *e);  /* something could not be sent: likewise, with a text for a time-out */
/* bytes that were ever queued */
uint64_t imap_queued(const struct imap_conn *c);
/* the command in flight that has a tag of the wire; NULL: none */
struct imap_flight *imap_flight_of(const struct imap_conn *c, struct slice tag);
void imap_land(struct imap_conn *c, struct imap_flight *f); /* its end has come */
void imap_drop_stops(struct imap_conn *c, uint64_t to);     /* sending stops no more before `to` */
/* imap_lexer.fill */
int imap_fill(void *c, struct bufin *in, bool body, struct slice *have, struct err *e);

#endif
