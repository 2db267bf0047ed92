/*
 * Errors as values.  A function that can fail takes a `struct err *e` last, returns -1 (or NULL) and
 * fills *e; on success *e is untouched.  Callers add where they were with err_in() on the way up.
 * The executor reads `span` (how much must be given up), the scheduler reads `kind` (retry? exit code?).
 * The text is complete and printable: control bytes are escaped when it is set.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>

enum err_kind {
	ERR_NONE,
	ERR_USAGE,   /* wrong command line */
	ERR_NOHOST,  /* host name does not resolve */
	ERR_UNAVAIL, /* server can't be reached or refuses service for good */
	ERR_TEMP,    /* server or resource says: later */
	ERR_TIMEOUT, /* a deadline passed */
	ERR_AUTH,    /* login refused */
	ERR_CERT,    /* TLS: certificate, pin or policy refused */
	ERR_PERM,    /* unsafe modes or owners of a file */
	ERR_PROTO,   /* the peer broke the protocol, or a limit of ours */
	ERR_REFUSED, /* the peer refused one item (message, folder) */
	ERR_LOCAL,   /* local I/O: disk full, permission, damaged state */
	ERR_CONF,    /* configuration */
	ERR_BUSY,    /* another run holds the job or mailbox */
	ERR_CANCEL,  /* SIGTERM, SIGINT */
	ERR_BUG,     /* our own broken invariant, met at run time */
	ERR_KINDS
};

enum err_span { SPAN_MSG, SPAN_BOX, SPAN_ACCT };

#define ERR_TEXT_MAX 480

struct err {
	enum err_kind kind;
	enum err_span span;
	int retry_after; /* seconds the peer asked us to wait; 0 when it did not say */
	char text[ERR_TEXT_MAX];
};

#define ERR_INIT { .kind = ERR_NONE }

/* Set *e (span SPAN_ACCT). Returns -1. e may be NULL. */
int err_set(struct err *e, enum err_kind kind, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Set *e with a span. Returns -1. */
int err_set_span(struct err *e, enum err_kind kind, enum err_span span, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* Set *e to kind ERR_LOCAL, text "WHAT: strerror(errno)". EINTR-free; errno is read first. Returns -1. */
int err_errno(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Put "WHERE: " in front of the text. Returns -1, so that `return err_in(e, ...)` reads well. */
int err_in(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Put " (WHAT TO DO)" behind the text, if it fits. Returns -1. */
int err_hint(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void err_clear(struct err *e);

/* The name of a kind as events and status show it ("auth", "temp", ...). */
const char *err_kind_name(enum err_kind kind);

/* The sysexits(3) code of a kind, as doc/mailhaul.1 lists them. ERR_CANCEL gives 130 (the cli knows the signal). */
int err_exit_code(enum err_kind kind);

/* May the same work be tried again later without a person doing something first? */
bool err_retryable(enum err_kind kind);

/* Did the link break, rather than the peer refuse or ask for patience? Another connection may then be worth while at once. */
bool err_link_lost(const struct err *e);

/* Does it end the whole job, or only what it is of (a message, a folder), so that the others can go on? */
bool err_ends_all(const struct err *e);

/*
 * Copy n bytes of foreign text to out (size bytes, always terminated) with everything that is not
 * printable ASCII or valid printable UTF-8 written as \xNN; C1 controls and bidi controls count as unprintable.
 * Returns out. For texts of servers, names from the wire, file names.
 */
char *err_printable(char *out, unsigned long size, const char *p, unsigned long n);

#endif
