/*
 * The header fields of an mbox in which mail readers keep what they know of a message: Status ("RO": R read, O seen by a program before), X-Status (A answered, F flagged,
 * D deleted, T draft), X-Keywords (names with blanks between). What stands there beside is kept. Values may end in blanks, which are room for changes in place.
 * What keywords there are is said in X-IMAPbase, in the first message: Dovecot takes others away (mbox_name_words).
 */
#ifndef STORE_MBOXNOTES_H
#define STORE_MBOXNOTES_H

#include "base/err.h"
#include "base/slice.h"
#include "base/strbuf.h"
#include "store/store.h"

enum { NOTE_STATUS, NOTE_XSTATUS, NOTE_KEYWORDS, NOTES };

#define MBOXNOTES_MAX 16384 /* bytes of all three */

/* Where a message's record has them, counted from its first byte. room: bytes of the value up to the line's end, with blanks before and behind. */
struct mboxnotes {
	struct {
		uint32_t at, room;
		bool there;
	} field[NOTES];
	bool irregular; /* one stands there twice, or in more than one line, or too far away: not to be changed in place */
};

/* Which of them a header line is (without its end), and where its value begins; -1: another. */
int mboxnotes_which(struct slice line, size_t *value);

/* The flags that a value stands for; keywords are put into the view's table, NULL: they don't count. */
int mboxnotes_flags(int which, struct slice value, struct keyword_view *view, uint64_t *flags, struct err *e);

/* The value with some flags more and some less. -1 when out is full. */
int mboxnotes_change(int which, struct slice value, uint64_t add, uint64_t del, const struct keyword_view *view, struct strbuf *out);

/* The lines that hold these values, with room for more. crlf: how they end. -1 when out is full. */
int mboxnotes_lines(const struct slice value[NOTES], bool crlf, struct strbuf *out);

#endif
