/*
 * Reading an mbox as programs of all kinds leave it, in one stream: what each message is, and where it stands. Of a message no more is held than struct mboxread_msg.
 *
 * A record begins with a line "From " that is the first of the file, or has a weekday and a time of day in it, whether the empty line before it was forgotten or not; or follows an empty line,
 * and has no more than an address in it, or anything if the first of the file has no date.
 * A Content-Length is believed where the end of the file, or an empty line and then another record, stands at the place it names; else it means nothing. Lines end in LF or CRLF.
 *
 * What a message is: its bytes without the From_ line, the empty line behind it, and the fields in which programs keep notes (mboxkey, mboxform.h). If a header holds nothing
 * but such notes, then the message had none: the empty line behind it was put there to end it.
 */
#ifndef STORE_MBOXREAD_H
#define STORE_MBOXREAD_H

#include <stdint.h>

#include "mail/digest.h"
#include "store/mboxnotes.h"
#include "store/mbox.h"

struct mboxread_msg {
	int64_t start, stop;   /* of the record: From_ line, up to the next record */
	int64_t head, body, end; /* where the header begins, what stands behind its empty line, and the message ends; body is above end when that line is not the message's own */
	unsigned char digest[DIGEST_SIZE];
	uint64_t size;         /* of the message, with every CRLF as LF */
	uint64_t flags;
	int64_t date;          /* of the From_ line, which is in UTC; 0: none that makes sense */
	struct mboxnotes notes;
	int64_t base_at;       /* of the first record of the file: the place in the file of the value of X-IMAPbase, or X-IMAP; 0: it has none */
	uint32_t base_room;    /* bytes of it, up to the line's end */
	bool only_notes;       /* the header holds nothing else */
	bool no_header;        /* the first line is no header field, or empty: notes need an empty line behind them */
	bool crlf;             /* as the From_ line ends */
	bool internal;         /* "FOLDER INTERNAL DATA": no message, but what a mail server notes of the folder */
};

/* Walk the file from 0, or from where a record begins, after empty lines; cb returns 0 or -1. ERR_LOCAL: it is no mbox. */
int mboxread(int fd, enum mbox_variant v, struct keyword_view *view, int64_t from, int (*cb)(void *arg, const struct mboxread_msg *m, struct err *e), void *arg, struct err *e);

/* The date of a From_ line (without its end); false: there is none that makes sense. */
bool mboxread_date(struct slice line, int64_t *out);

#endif
