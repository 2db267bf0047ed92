/* What tells one message from others: its content, or, where reading that is dear, its size, its Message-ID and when it arrived. */
#ifndef MAIL_IDENT_H
#define MAIL_IDENT_H

#include <stdint.h>

#include "mail/digest.h"
#include "net/stream.h"

#define IDENT_MID 8 /* bytes of the hash of a Message-ID */

struct ident {
	uint64_t size;    /* in wire form; 0 not known */
	uint64_t mark;    /* so many bytes of it are the mark of another program (mail/mark.h), and no part of the message */
	int64_t date;     /* seconds since 1970; 0 not known */
	bool has_mid, has_digest;
	unsigned char mid[IDENT_MID];
	unsigned char digest[DIGEST_SIZE]; /* mail/digest.h */
	unsigned char plain[DIGEST_SIZE];  /* the same without the mark */
};

/* The hash of a Message-ID; false: there is none (""), or SHA-256 failed. */
bool ident_mid(struct digest *d, const char *message_id, unsigned char out[IDENT_MID]);

struct ident_reader; /* its buffers */

struct ident_reader *ident_reader_new(struct err *e);
void ident_reader_free(struct ident_reader *r); /* NULL is fine */

/* Read a body in wire form to its end: fills in all but the date. */
int ident_read(struct ident_reader *r, struct stream *body, struct ident *out, struct err *e);

#endif
