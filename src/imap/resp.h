/*
 * What an IMAP server says (RFC 3501 section 7, RFC 9051 section 7 and the extensions named below), one response at a
 * time and typed. No state of a session is kept, and nothing is believed: which command a response belongs to, whether
 * it was due, and whether its numbers make sense is for the caller to judge.
 *
 * Slices and lists are in the reader's memory, valid until the next imap_resp_next() (those of IMAP_FETCH_BODY until the
 * one after its IMAP_FETCH). They are the server's bytes: not printable, perhaps with NUL in them where a literal
 * brought them; err_printable() or err_set() before a person sees them.
 *
 * Memory is bounded by imap_limits (tok.h): 32 MB of words and 32 MB of sets (reached only by a server that tries);
 * bodies are streamed. A passed limit is ERR_PROTO.
 */
#ifndef IMAP_RESP_H
#define IMAP_RESP_H

#include "base/vec.h"
#include "imap/tok.h"
#include "mail/flags.h"
#include "mail/uidset.h"

#define IMAP_WORDS_MAX (16 << 20) /* bytes of one response's words, flags and names */

enum imap_kind {
	IMAP_TAGGED,     /* tag, cond, code, text */
	IMAP_CONTINUE,   /* "+": text (may be empty), no code */
	IMAP_UNTAGGED,   /* cond (BYE and PREAUTH too), code, text */
	IMAP_CAPABILITY, /* words, doubles as they came */
	IMAP_ENABLED,    /* RFC 5161: words */
	IMAP_FLAGS,      /* flags: what the mailbox knows */
	IMAP_LIST,       /* list (RFC 3501, 5258, 6154) */
	IMAP_LSUB,       /* list */
	IMAP_STATUS,     /* status (RFC 3501, 7162, 8438, 8474, 7889) */
	IMAP_SEARCH,     /* search.all, search.modseq (RFC 7162) */
	IMAP_ESEARCH,    /* search (RFC 4731, 9051) */
	IMAP_EXISTS,     /* num */
	IMAP_RECENT,     /* num */
	IMAP_EXPUNGE,    /* num */
	IMAP_VANISHED,   /* search.all: UIDs; earlier (RFC 7162) */
	IMAP_FETCH_BODY, /* body, and fetch as far as it came before the body */
	IMAP_FETCH,      /* fetch, complete; body is the last one with body.s NULL */
	IMAP_NAMESPACE,  /* RFC 2342: namespaces */
	IMAP_ID,         /* RFC 2971: pairs */
	IMAP_OTHER,      /* words.a[0]: its name, in num the number before it if there was one; the rest was skipped */
};

enum imap_cond { IMAP_OK, IMAP_NO, IMAP_BAD, IMAP_BYE, IMAP_PREAUTH };

/*
 * Response codes (RFC 3501 section 7.1; 4315, 4469, 4978, 5465, 5530, 6154, 7162, 7889, 8474). A code whose arguments
 * are not as its RFC says is IMAP_CODE_OTHER.
 */
enum imap_code_kind {
	IMAP_CODE_NONE,
	IMAP_CODE_OTHER,          /* unknown, or damaged */
	IMAP_CODE_ALERT,
	IMAP_CODE_CAPABILITY,     /* words */
	IMAP_CODE_PARSE,
	IMAP_CODE_PERMANENTFLAGS, /* flags, flags.star */
	IMAP_CODE_READ_ONLY,
	IMAP_CODE_READ_WRITE,
	IMAP_CODE_TRYCREATE,
	IMAP_CODE_UIDNEXT,        /* num: 32 bits, may be 0 though it must not */
	IMAP_CODE_UIDVALIDITY,    /* num: likewise */
	IMAP_CODE_UNSEEN,         /* num: likewise */
	IMAP_CODE_APPENDUID,      /* num: UIDVALIDITY; dst: the UIDs */
	IMAP_CODE_COPYUID,        /* num: UIDVALIDITY; src, dst: UIDs in corresponding order (the caller compares their counts) */
	IMAP_CODE_UIDNOTSTICKY,
	IMAP_CODE_HIGHESTMODSEQ,  /* num: 63 bits */
	IMAP_CODE_NOMODSEQ,
	IMAP_CODE_MODIFIED,       /* dst: UIDs or sequence numbers, as the command was */
	IMAP_CODE_CLOSED,
	IMAP_CODE_MAILBOXID,      /* id */
	IMAP_CODE_UNAVAILABLE,
	IMAP_CODE_AUTHENTICATIONFAILED,
	IMAP_CODE_AUTHORIZATIONFAILED,
	IMAP_CODE_EXPIRED,
	IMAP_CODE_PRIVACYREQUIRED,
	IMAP_CODE_CONTACTADMIN,
	IMAP_CODE_NOPERM,
	IMAP_CODE_INUSE,
	IMAP_CODE_EXPUNGEISSUED,
	IMAP_CODE_CORRUPTION,
	IMAP_CODE_SERVERBUG,
	IMAP_CODE_CLIENTBUG,
	IMAP_CODE_CANNOT,
	IMAP_CODE_LIMIT,
	IMAP_CODE_OVERQUOTA,
	IMAP_CODE_ALREADYEXISTS,
	IMAP_CODE_NONEXISTENT,
	IMAP_CODE_TOOBIG,
	IMAP_CODE_NOTIFICATIONOVERFLOW,
	IMAP_CODE_COMPRESSIONACTIVE,
	IMAP_CODE_THROTTLED,
};

struct imap_words {
	const struct slice *a;
	size_t n;
};

struct imap_flags {
	uint32_t bits;         /* mail/flags.h */
	bool star;             /* \*: keywords may be created */
	bool recent;           /* \Recent */
	struct imap_words kw;  /* keywords as spelled; \System flags that we don't know are left out */
};

struct imap_code {
	enum imap_code_kind kind;
	struct slice text;     /* what stood in the brackets */
	uint64_t num;
	struct imap_flags flags;
	struct imap_words words;
	struct slice src, dst; /* uid-sets in their order on the wire, for uidseq_init(); checked */
	struct slice id;
};

enum {
	IMAP_LIST_NOSELECT = 1 << 0,      /* given for \NonExistent too, which implies it */
	IMAP_LIST_NONEXISTENT = 1 << 1,
	IMAP_LIST_NOINFERIORS = 1 << 2,
	IMAP_LIST_HASCHILDREN = 1 << 3,
	IMAP_LIST_HASNOCHILDREN = 1 << 4,
	IMAP_LIST_MARKED = 1 << 5,
	IMAP_LIST_UNMARKED = 1 << 6,
	IMAP_LIST_SUBSCRIBED = 1 << 7,
	IMAP_LIST_REMOTE = 1 << 8,
	IMAP_LIST_ALL = 1 << 9,           /* roles (RFC 6154, 8457) */
	IMAP_LIST_ARCHIVE = 1 << 10,
	IMAP_LIST_DRAFTS = 1 << 11,
	IMAP_LIST_FLAGGED = 1 << 12,
	IMAP_LIST_JUNK = 1 << 13,
	IMAP_LIST_SENT = 1 << 14,
	IMAP_LIST_TRASH = 1 << 15,
	IMAP_LIST_IMPORTANT = 1 << 16,
	IMAP_LIST_ROLES = 0xff << 9,
};

struct imap_list {
	uint32_t attrs;
	char sep;              /* '\0' for NIL: no hierarchy */
	struct slice name;     /* in the server's encoding; may be empty; NUL, CR and LF are possible */
};

/* One bit for each value that was there and in range: a number that is negative or too large leaves its item out. */
enum {
	IMAP_HAS_MESSAGES = 1 << 0,
	IMAP_HAS_UIDNEXT = 1 << 1,
	IMAP_HAS_UIDVALIDITY = 1 << 2,
	IMAP_HAS_UNSEEN = 1 << 3,
	IMAP_HAS_RECENT = 1 << 4,
	IMAP_HAS_DELETED = 1 << 5,
	IMAP_HAS_HIGHESTMODSEQ = 1 << 6,
	IMAP_HAS_SIZE = 1 << 7,
	IMAP_HAS_APPENDLIMIT = 1 << 8,
	IMAP_HAS_MAILBOXID = 1 << 9,
};

#define IMAP_APPENDLIMIT_NONE UINT64_MAX /* APPENDLIMIT NIL */

struct imap_status {
	struct slice name;
	unsigned has;
	uint32_t messages, uidnext, uidvalidity, unseen, recent, deleted;
	uint64_t highestmodseq, size, appendlimit;
	struct slice mailboxid;
};

enum {
	IMAP_HAS_MIN = 1 << 0,
	IMAP_HAS_MAX = 1 << 1,
	IMAP_HAS_COUNT = 1 << 2,
	IMAP_HAS_ALL = 1 << 3,
	IMAP_HAS_SEARCH_MODSEQ = 1 << 4,
};

struct imap_search {
	struct slice tag;      /* ESEARCH (TAG "x"); empty without */
	bool uid;              /* ESEARCH UID. SEARCH does not say */
	unsigned has;          /* IMAP_SEARCH: IMAP_HAS_ALL always. IMAP_ESEARCH: no ALL when nothing was found */
	uint32_t min, max, count;
	uint64_t modseq;
	const struct uidset *all; /* never NULL in IMAP_SEARCH, IMAP_ESEARCH, IMAP_VANISHED; the reader's own */
};

enum {
	IMAP_HAS_UID = 1 << 0,
	IMAP_HAS_FLAGS = 1 << 1,
	IMAP_HAS_DATE = 1 << 2,
	IMAP_HAS_RFC822_SIZE = 1 << 3,
	IMAP_HAS_MODSEQ = 1 << 4,
	IMAP_HAS_EMAILID = 1 << 5,
	IMAP_HAS_THREADID = 1 << 6,     /* and not NIL */
	IMAP_HAS_GM_MSGID = 1 << 7,
	IMAP_HAS_GM_THRID = 1 << 8,
	IMAP_HAS_GM_LABELS = 1 << 9,
	IMAP_HAS_BODY = 1 << 10,        /* at least one body was handed out */
};

/*
 * An attribute that came twice has its last value; but a UID that differs from one before in the same response is
 * ERR_PROTO, and so is a UID of 0 or beyond 32 bits, or a MODSEQ beyond 63. A size that is no number in range is left
 * out: it is a hint.
 */
struct imap_fetch {
	uint32_t seq;
	unsigned has;
	uint32_t uid;
	struct imap_flags flags;
	struct slice date;              /* INTERNALDATE as text */
	uint64_t size;                  /* RFC822.SIZE, up to 63 bits */
	uint64_t modseq;
	struct slice emailid, threadid;
	uint64_t gm_msgid, gm_thrid;
	struct imap_words gm_labels;
};

/* The value of BODY[...], BINARY[...], RFC822, RFC822.HEADER or RFC822.TEXT. */
struct imap_part {
	struct slice section;  /* what stood in the brackets, blanks single, names unquoted: "", "HEADER.FIELDS (DATE FROM)"; "HEADER", "TEXT" for RFC822.* */
	bool binary;
	bool partial;          /* BODY[]<origin> */
	bool nil;              /* NIL: s is there and empty */
	uint64_t origin;
	uint64_t size;         /* of what s will bring */
	struct stream *s;      /* the reader's own: valid until the next call, which reads over what is left; freeing it does nothing */
};

enum imap_ns { IMAP_NS_PERSONAL, IMAP_NS_USERS, IMAP_NS_SHARED };

struct imap_namespace {
	enum imap_ns kind;
	struct slice prefix;
	char sep;              /* '\0' for NIL */
};

struct imap_pair {
	struct slice key, value; /* NIL: an empty value */
};

struct imap_resp {
	enum imap_kind kind;
	struct slice tag;
	enum imap_cond cond;
	struct imap_code code;
	struct slice text;     /* for a person; raw, possibly empty */
	uint32_t num;
	bool earlier;
	struct imap_words words;
	struct imap_flags flags;
	struct imap_list list;
	struct imap_status status;
	struct imap_search search;
	struct imap_fetch fetch;
	struct imap_part body;
	const struct imap_namespace *namespaces;
	const struct imap_pair *pairs;
	size_t n;              /* of namespaces or pairs */
};

struct imap_reader {
	struct imap_lexer x;   /* limits, fill, dead and mid are for the owner: see tok.h */
	struct arena a;
	bool in_fetch;         /* IMAP_FETCH_BODY was given out, its IMAP_FETCH not yet */
	/* The rest is the reader's own. */
	struct imap_resp fetching;
	VEC(struct slice) words;
	VEC(struct imap_namespace) namespaces;
	VEC(struct imap_pair) pairs;
	struct uidset set;
};

/* Over in, which is borrowed. Nothing is read. The struct must stay where it is. */
void imap_reader_init(struct imap_reader *rd, struct bufin *in);
void imap_reader_release(struct imap_reader *rd); /* safe on a zeroed struct */

/*
 * Read exactly one response and nothing behind it. 1; 0 when the server closed the connection between two responses; -1
 * as in tok.h: after a time-out with rd->x.dead still false nothing was taken, and it may be called again (IDLE).
 *
 * A body comes first: IMAP_FETCH_BODY as soon as its size is known, with those attributes that the server put before it
 * (r->fetch.has tells; the UID may well come behind). r->body.s may be read or left. The next call goes on in the same
 * response: to another IMAP_FETCH_BODY, or to IMAP_FETCH with all attributes. Only then the message's UID is certain.
 */
int imap_resp_next(struct imap_reader *rd, struct imap_resp *r, struct err *e);

#endif
