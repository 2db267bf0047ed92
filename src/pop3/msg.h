/* Message bodies: the dot stream (RFC 1939 section 3) and a pipelined run of RETRs, or of TOPs. */
#ifndef POP3_MSG_H
#define POP3_MSG_H

#include "pop3/conn.h"

/*
 * The body behind a +OK of RETR or TOP, as a stream in wire form: dots unstuffed, ends at CRLF "." CRLF only (or LF "." LF when the status line itself
 * ended in a bare LF). num is for error texts. Freeing it early reads on to the terminator; the link is dead if that takes more than 64 MB, or longer than c->timeout. At least 1 kB must come within c->timeout, and a body
 * that trickles slower than 100 bytes a second over 5 minutes is a time-out.
 */
struct stream *pop3_body(struct pop3_conn *c, uint64_t num, struct err *e);

/* Up to `window` RETRs in flight; 1 without PIPELINING. What is in flight must fit the socket buffers whatever the server does, so that our write never waits for it. */
#define POP3_WINDOW 3500
#define POP3_HANDFUL 256

struct pop3_pipe {
	struct pop3_conn *c;
	uint64_t *nums; /* owned copy */
	size_t n, sent, got;
	size_t window;
	bool top;       /* their headers alone: TOP n 0 */
	bool fence_sent, fence_got; /* the STAT behind the last */
};

int pop3_retr_start(struct pop3_pipe *p, struct pop3_conn *c, const uint64_t *nums, size_t n, struct err *e);
int pop3_top_start(struct pop3_pipe *p, struct pop3_conn *c, const uint64_t *nums, size_t n, struct err *e); /* the same for headers */
/* As store_ops.next. What comes behind a body must be a status line: if it isn't, the body ended too early, at a dot that the server did not stuff. */
int pop3_retr_next(struct pop3_pipe *p, size_t *i, struct stream **body, struct err *e);
bool pop3_retr_flying(const struct pop3_pipe *p); /* answers are still to come */
/* Frees. With answers still in flight the link is dead: what comes next on it is not for us to guess. */
void pop3_retr_end(struct pop3_pipe *p);

/*
 * DELE of many, up to POP3_DELE_WINDOW in flight: done is called for each, with NULL or why not (SPAN_MSG). -1: the link is lost.
 */
#define POP3_DELE_WINDOW 3500
int pop3_dele(struct pop3_conn *c, const uint64_t *nums, size_t n, void (*done)(void *arg, uint64_t num, const struct err *why), void *arg, struct err *e);

#endif
