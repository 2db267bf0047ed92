/* What tells one message from others: its content, or, where reading that is dear, its size, its Message-ID and when it arrived; or what the server calls it wherever it is. */
#ifndef MAIL_IDENT_H
#define MAIL_IDENT_H

#include <stdint.h>

#include "mail/digest.h"
#include "net/stream.h"

#define IDENT_MID 8 /* bytes of the hash of a Message-ID */
#define IDENT_OBJECT 8 /* of that of an id which a server gives to a message, and to its copies, in whatever folder (EMAILID, RFC 8474; X-GM-MSGID) */

struct ident {
	uint64_t size;    /* in wire form; 0 not known */
	uint64_t mark;    /* so many bytes of it are the mark of another program (mail/mark.h), and no part of the message */
	int64_t date;     /* when it arrived, seconds since 1970; 0 not known */
	bool has_mid, has_object, has_digest;
	unsigned char mid[IDENT_MID];
	unsigned char object[IDENT_OBJECT];
	unsigned char digest[DIGEST_SIZE]; /* mail/digest.h */
	unsigned char plain[DIGEST_SIZE];  /* the same without the mark */
};

/* The hash of a Message-ID; false: there is none (""), or SHA-256 failed. */
bool ident_mid(struct digest *d, const char *message_id, unsigned char out[IDENT_MID]);

struct ident_reader; /* its buffers */

struct ident_reader *ident_reader_new(struct err *e);
void ident_reader_free(struct ident_reader *r); /* NULL is fine */

/* Read a body in wire form to its end: fills in all but the date and the object's id. */
int ident_read(struct ident_reader *r, struct stream *body, struct ident *out, struct err *e);

/*
 * A body that somebody else reads through this: when it was read to its end, ident_tapped tells what ident_read would, without the digests, which cost time, and with the date that
 * the header tells (header_when). One at a time; it is the reader's, nobody frees it, and freeing or ending it does nothing to the body.
 */
struct stream *ident_tap(struct ident_reader *r, struct stream *body);
void ident_tapped(struct ident_reader *r, struct ident *out);
/* Before anything was read through it: read ahead, and tell the date that the header tells (header_when); 0: none, or the header is larger than 64 kB. -1: the body can't be read. */
int ident_peek(struct ident_reader *r, int64_t *date, struct err *e);

#endif
