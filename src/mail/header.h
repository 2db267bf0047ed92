/*
 * Facts from a message's header, collected while it streams by; nothing of the body is kept. Limits: HEADER_MAX bytes are looked at, values are cut at
 * their limits. Lines may end in CRLF or LF.
 */
#ifndef MAIL_HEADER_H
#define MAIL_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HEADER_MAX 262144

struct header {
	char return_path[320]; /* bare address without <>; "" when <> or none. RFC 5321 limits: 64+1+255 */
	char message_id[512];  /* with <>; "" when none */
	char received[256];    /* the date part of the topmost Received, "" when none */
	char date[256];        /* Date's value */
	bool has_return_path;
	bool done;             /* the empty line (or a line that is no header) was met */
	/* private */
	size_t seen;
	char line[1024];
	size_t len;
	bool received_seen;
};

void header_init(struct header *h);
void header_put(struct header *h, const char *p, size_t n); /* any split; cheap once done */
void header_end(struct header *h);

/*
 * RFC 5322 date (obsolete forms too: two-digit years, zone names, missing seconds, comments) to seconds since 1970; false when it isn't one.
 * Results are clamped to 1970-01-01 .. 2100.
 */
bool header_date(const char *value, int64_t *out);

/*
 * When the message arrived, as its header says, after header_end: the date of its topmost Received, which the last server wrote; else its Date; seconds since 1970, 0 when neither
 * tells, or what tells it lies more than a day ahead of now, as of mail that wants to stand on top for ever.
 */
int64_t header_when(const struct header *h, int64_t now);

#endif
