/* Capabilities: one table, from the wire to `info` and `disable-extensions`. */
#ifndef IMAP_CAPA_H
#define IMAP_CAPA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/strbuf.h"

enum imap_cap {
	IMAP_CAP_REV1 = 1 << 0,
	IMAP_CAP_REV2 = 1 << 1,            /* RFC 9051 */
	IMAP_CAP_STARTTLS = 1 << 2,
	IMAP_CAP_LOGINDISABLED = 1 << 3,
	IMAP_CAP_AUTH = 1 << 4,            /* any AUTH=NAME; the names are in imap_caps.auth */
	IMAP_CAP_SASL_IR = 1 << 5,         /* RFC 4959 */
	IMAP_CAP_ID = 1 << 6,              /* RFC 2971 */
	IMAP_CAP_ENABLE = 1 << 7,          /* RFC 5161 */
	IMAP_CAP_LITERAL_PLUS = 1 << 8,    /* RFC 7888 */
	IMAP_CAP_LITERAL_MINUS = 1 << 9,   /* RFC 7888 */
	IMAP_CAP_UIDPLUS = 1 << 10,        /* RFC 4315 */
	IMAP_CAP_CONDSTORE = 1 << 11,      /* RFC 7162 */
	IMAP_CAP_QRESYNC = 1 << 12,        /* RFC 7162 */
	IMAP_CAP_ESEARCH = 1 << 13,        /* RFC 4731 */
	IMAP_CAP_LIST_EXTENDED = 1 << 14,  /* RFC 5258 */
	IMAP_CAP_LIST_STATUS = 1 << 15,    /* RFC 5819 */
	IMAP_CAP_STATUS_SIZE = 1 << 16,    /* RFC 8438 */
	IMAP_CAP_SPECIAL_USE = 1 << 17,    /* RFC 6154 */
	IMAP_CAP_CREATE_SPECIAL = 1 << 18, /* RFC 6154 */
	IMAP_CAP_NAMESPACE = 1 << 19,      /* RFC 2342 */
	IMAP_CAP_MOVE = 1 << 20,           /* RFC 6851 */
	IMAP_CAP_MULTIAPPEND = 1 << 21,    /* RFC 3502 */
	IMAP_CAP_COMPRESS = 1 << 22,       /* RFC 4978 */
	IMAP_CAP_APPENDLIMIT = 1 << 23,    /* RFC 7889 */
	IMAP_CAP_OBJECTID = 1 << 24,       /* RFC 8474 */
	IMAP_CAP_UNSELECT = 1 << 25,       /* RFC 3691 */
	IMAP_CAP_UTF8_ACCEPT = 1 << 26,    /* RFC 6855 */
	IMAP_CAP_GMAIL = 1 << 27,          /* X-GM-EXT-1 */
	IMAP_CAP_IDLE = 1 << 28,           /* RFC 2177 */
	IMAP_CAP_NOTIFY = 1 << 29,         /* RFC 5465 */
	IMAP_CAP_BINARY = 1 << 30,         /* RFC 3516 */
};

struct imap_caps {
	bool known;              /* the server has said what it can */
	/* enum imap_cap, what the person disabled and what lacks what it needs taken out */
	unsigned have;
	char auth[512];          /* SASL mechanisms, blank-separated */
	uint64_t append_limit;   /* APPENDLIMIT=n: the longest message it takes; 0: not said */
	/* UTF8=ONLY (RFC 6855 section 6): nothing goes before UTF8=ACCEPT is enabled */
	bool utf8_only;
};

struct imap_capinfo {
	enum imap_cap bit;
	/*
	 * on the wire, in `info` and `disable-extensions`. AUTH stands for all AUTH=NAME,
	 * APPENDLIMIT for APPENDLIMIT=n too
	 */
	const char *name;
	const char *rfc;         /* "7162"; "" for one that has none */
	const char *used_for, *without;
	unsigned needs;          /* without these it is of no use, and counts as not there */
	bool rev2;               /* IMAP4rev2 folds it in (RFC 9051 appendix E) */
	bool fixed;              /* can't be disabled */
};
const struct imap_capinfo *imap_capinfo(size_t *n);

/*
 * Read the words of a CAPABILITY response or code (behind the word CAPABILITY itself), any number
 * of calls between begin and end. What is no capability is passed over.
 *
 * A server that speaks
 * IMAP4rev2 alone has what that folds in; one that speaks both must be told by ENABLE first, and
 * only ENABLE itself is taken for granted.
 */
void imap_caps_begin(struct imap_caps *caps);
void imap_caps_word(struct imap_caps *caps, struct slice word);
void imap_caps_end(struct imap_caps *caps, unsigned disabled);

/* The words, as the same functions read them. -1: out is full. */
int imap_caps_print(const struct imap_caps *caps, struct strbuf *out);

#endif
