/*
 * A POP3 connection (RFC 1939): commands out without waiting, replies in order. One status line at most POP3_LINE_MAX, one multi-line reply at most its limit;
 * every wait has a deadline.
 */
#ifndef POP3_CONN_H
#define POP3_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "auth/blank.h"
#include "base/slice.h"
#include "base/strbuf.h"
#include "net/bufin.h"
#include "net/dial.h"
#include "net/pace.h"

#define POP3_LINE_MAX 8192               /* RFC 2449 says 512; servers don't */
#define POP3_OVERLONG_MAX (16 << 20)     /* one line of a listing that is read over for the sake of the others */

/* One capability table: what each is used for and what is done without it stands in conn.c (for `info`). */
enum pop3_cap {
	POP3_CAP_TOP = 1 << 0,
	POP3_CAP_USER = 1 << 1,
	POP3_CAP_SASL = 1 << 2,
	POP3_CAP_RESP_CODES = 1 << 3,
	POP3_CAP_AUTH_RESP_CODE = 1 << 4, /* RFC 3206 */
	POP3_CAP_LOGIN_DELAY = 1 << 5,
	POP3_CAP_PIPELINING = 1 << 6,
	POP3_CAP_EXPIRE = 1 << 7,
	POP3_CAP_UIDL = 1 << 8,
	POP3_CAP_STLS = 1 << 9,
	POP3_CAP_UTF8 = 1 << 10,
	POP3_CAP_LANG = 1 << 11,
	POP3_CAP_IMPLEMENTATION = 1 << 12,
};

struct pop3_caps {
	bool known;              /* CAPA was answered */
	unsigned have;           /* enum pop3_cap, what the person disabled taken out */
	char sasl[512];          /* mechanisms, blank-separated */
	char implementation[256];
	int login_delay;         /* seconds; 0 none */
	int expire;              /* days; -1 never or unknown; 0: gone after being read (warn!) */
};

struct pop3_capinfo {
	enum pop3_cap bit;
	const char *name, *used_for, *without;
};
const struct pop3_capinfo *pop3_capinfo(size_t *n);

struct pop3_conn {
	struct stream *s;
	struct bufin in;
	struct strbuf out;       /* commands not yet sent */
	struct pop3_caps caps;
	char greeting[512];      /* printable */
	char apop[256];          /* the <timestamp> of the greeting, or "" */
	bool lf_only;            /* the last status line ended in a bare LF */
	bool dead;               /* the link is lost: nothing more can be said */
	bool stat_plain;         /* it was seen to answer STAT with two numbers: then it always does. Set by who asked */
	size_t flying;           /* lines sent whose answer has not been read */
	bool piled;              /* some of them went out before the one in front of them was answered */
	bool in_body;            /* a body stream stands open: nothing else may be read */
	int timeout;             /* ms for each wait */
	unsigned disabled;       /* enum pop3_cap that the person doesn't want: never in caps.have */
	const char *what;        /* "isp": for error texts. Borrowed */
	char cut[64];            /* the beginning of a line that was too long (pop3_multi) */
	const struct blank *blank; /* while logging in: not to be shown, if the server says it. Borrowed; NULL: nothing */
	struct strbuf blanked;   /* the last status line without it */
	struct pace pace;        /* of the running reply: who trickles is given up */
};

/* Queue a command (no CRLF). Verb and argument hold no CR, LF or NUL: ERR_PROTO otherwise. */
int pop3_send(struct pop3_conn *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int pop3_flush(struct pop3_conn *c, struct err *e);

/* From here on (or no more) what is queued and what is answered is a secret for the trace. Puts out, unflushed, what was queued before. */
int pop3_secret(struct pop3_conn *c, bool on, struct err *e);

/*
 * Read a status line (flushes first). 1: +OK, 0: -ERR (*e is filled by kind: RFC 2449/3206 codes [IN-USE] -> ERR_BUSY, [LOGIN-DELAY] -> ERR_TEMP with
 * retry_after, [SYS/TEMP] -> ERR_TEMP, [SYS/PERM] -> ERR_UNAVAIL, [AUTH] -> ERR_AUTH, otherwise ERR_REFUSED), -1: the link or the protocol is broken.
 * *text (may be NULL) is valid until the next read.
 */
int pop3_status(struct pop3_conn *c, struct slice *text, struct err *e);

/* A status line of "+ challenge" too (AUTH, RFC 5034): returns 2 for it. */
int pop3_challenge(struct pop3_conn *c, struct slice *text, struct err *e);

/*
 * The next line of a multi-line reply, dot-unstuffed: 1, 0 at the terminator, -1. max: limit of one line; *budget counts down the bytes of the whole reply,
 * ERR_PROTO when it runs out. 2: the line was longer than max; it has been read over, and *line is its first bytes (ERR_PROTO past POP3_OVERLONG_MAX).
 */
int pop3_multi(struct pop3_conn *c, size_t max, uint64_t *budget, struct slice *line, struct err *e);

/* More bytes at hand, however they come: reads at least once (net/pace.h). 1, 0 at the end of the stream, -1. For the readers of bodies. */
int pop3_fill(struct pop3_conn *c, uint64_t min_rate, struct slice *have, struct err *e);

/* Take over a connected stream (freed on failure); nothing is read or sent. c is all zero. For pop3_open and tests. */
int pop3_attach(struct pop3_conn *c, struct stream *s, int timeout, unsigned disabled_caps, const char *what, struct err *e);
int pop3_greeting(struct pop3_conn *c, struct err *e);

/* Ask for the capabilities: c->caps is what was answered; caps.known is false when the server knows no CAPA. -1 only when the link is lost. */
int pop3_capa(struct pop3_conn *c, struct err *e);
/* The answer to a CAPA that was queued by the caller. After login (keep): a refusal leaves c->caps as they were. */
int pop3_capa_read(struct pop3_conn *c, bool keep, struct err *e);

/*
 * Dial, read the greeting, CAPA, and STLS where security says so (refused, missing, or bytes behind the OK: ERR_CERT, and the link is closed). Then CAPA anew:
 * whatever was said before TLS is forgotten, the greeting too. remembered (may be NULL): what the same server said under TLS before; then, if TLS is up, CAPA is not asked.
 */
int pop3_open(struct pop3_conn *c, const struct dial_params *d, unsigned disabled_caps, const char *what, const struct pop3_caps *remembered,
	      struct net_stats *stats, struct err *e);
void pop3_close(struct pop3_conn *c); /* no QUIT; safe on a zeroed struct */

#endif
