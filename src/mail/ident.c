#include "mail/ident.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "mail/eol.h"
#include "mail/header.h"
#include "mail/mark.h"

#define CHUNK 65536

struct ident_reader {
	struct digest *digest, *plain;
	struct header head;
	struct marks marks;
	bool split; /* a mark was met: plain goes its own way */
	struct eol eol;
	struct ident id; /* of what is read: size and mark so far */
	char in[CHUNK], lf[CHUNK + 1];
	struct stream tap;
	struct stream *body; /* that the tap reads */
	size_t ahead, at;    /* bytes of in that were read ahead, and of these that the tap has given out */
};

bool ident_mid(struct digest *d, const char *message_id, unsigned char out[IDENT_MID])
{
	unsigned char whole[DIGEST_SIZE];

	if (!*message_id)
		return false;
	digest_put(d, message_id, strlen(message_id));
	if (digest_end(d, whole) < 0)
		return false;
	memcpy(out, whole, IDENT_MID);
	return true;
}

struct ident_reader *ident_reader_new(struct err *e)
{
	struct ident_reader *r = calloc(1, sizeof(*r));

	if (!r) {
		err_set(e, ERR_LOCAL, "out of memory");
		return NULL;
	}
	r->digest = digest_new(e);
	r->plain = r->digest ? digest_new(e) : NULL;
	if (!r->plain) {
		ident_reader_free(r);
		return NULL;
	}
	return r;
}

void ident_reader_free(struct ident_reader *r)
{
	if (!r)
		return;
	digest_free(r->digest);
	digest_free(r->plain);
	free(r);
}

/* Hash a piece of the text. */
static bool put_piece(struct ident_reader *r, struct slice piece, bool is_mark)
{
	bool ok = true;

	if (is_mark && !r->split)
		ok = r->split = digest_copy(r->plain, r->digest) == 0;
	if (is_mark)
		r->id.mark += piece.n + 1; /* CRLF there */
	else if (r->split)
		ok = digest_put(r->plain, piece.p, piece.n) == 0;
	return digest_put(r->digest, piece.p, piece.n) == 0 && ok;
}

static bool put_text(struct ident_reader *r, struct slice text)
{
	struct slice piece;
	bool is_mark, ok = true;

	while (marks_next(&r->marks, &text, &piece, &is_mark))
		ok &= put_piece(r, piece, is_mark);
	return ok;
}

/* Both hashes; also after an error, so that the reader is ready for the next message. */
static bool end_digests(struct ident_reader *r)
{
	bool ok = digest_end(r->digest, r->id.digest) == 0;

	if (r->split)
		return digest_end(r->plain, r->id.plain) == 0 && ok;
	memcpy(r->id.plain, r->id.digest, DIGEST_SIZE);
	return ok;
}

static void begin(struct ident_reader *r)
{
	r->id = (struct ident){ 0 };
	header_init(&r->head);
	r->marks = (struct marks){ .held = 0 };
	r->eol = (struct eol){ 0 };
	r->split = false;
	r->ahead = r->at = 0;
}

int ident_read(struct ident_reader *r, struct stream *body, struct ident *out, struct err *e)
{
	char last;
	ssize_t n;
	bool ok = true;

	begin(r);
	while ((n = stream_read(body, r->in, CHUNK, e)) > 0) {
		header_put(&r->head, r->in, (size_t)n);
		ok &= put_text(r, slice_of(r->lf, eol_to_lf(&r->eol, r->in, (size_t)n, r->lf)));
		r->id.size += (uint64_t)n;
	}
	header_end(&r->head);
	if (eol_end(&r->eol, &last) > 0)
		ok &= put_text(r, slice_of(&last, 1));
	ok &= put_piece(r, marks_end(&r->marks), false);
	ok &= end_digests(r);
	*out = r->id;
	if (n < 0)
		return -1;
	if (!ok)
		return err_set(e, ERR_LOCAL, "SHA-256 failed");
	out->has_digest = true;
	out->has_mid = ident_mid(r->digest, r->head.message_id, out->mid);
	return 0;
}

/* Marks stand in the header alone. */
static void tap_header(struct ident_reader *r, const char *p, size_t n)
{
	struct slice piece, text;
	bool is_mark;

	header_put(&r->head, p, n);
	for (size_t at = 0, k; at < n; at += k) {
		k = n - at < CHUNK ? n - at : CHUNK;
		text = slice_of(r->lf, eol_to_lf(&r->eol, p + at, k, r->lf));
		while (marks_next(&r->marks, &text, &piece, &is_mark))
			r->id.mark += is_mark ? piece.n + 1 : 0;
	}
}

/* What was read ahead. */
static ssize_t give_out(struct ident_reader *r, void *buf, size_t n)
{
	if (n > r->ahead - r->at)
		n = r->ahead - r->at;
	memcpy(buf, r->in + r->at, n);
	r->at += n;
	return (ssize_t)n;
}

static ssize_t tap_read(struct stream *s, void *buf, size_t n, struct err *e)
{
	struct ident_reader *r = (struct ident_reader *)((char *)s - offsetof(struct ident_reader, tap));
	ssize_t got = r->at < r->ahead ? give_out(r, buf, n) : stream_read(r->body, buf, n, e);

	if (got <= 0)
		return got;
	r->id.size += (uint64_t)got;
	if (!r->head.done || !r->marks.over)
		tap_header(r, buf, (size_t)got);
	return got;
}

static const struct stream_ops tap_ops = {
	.name = "ident",
	.read = tap_read,
	STREAM_READ_ONLY,
	.free = stream_no_shut,
};

struct stream *ident_tap(struct ident_reader *r, struct stream *body)
{
	begin(r);
	r->body = body;
	r->tap = (struct stream){ .ops = &tap_ops };
	return &r->tap;
}

void ident_tapped(struct ident_reader *r, struct ident *out)
{
	header_end(&r->head);
	r->id.has_mid = ident_mid(r->digest, r->head.message_id, r->id.mid);
	r->id.date = header_when(&r->head, clock_wall());
	*out = r->id;
}

int ident_peek(struct ident_reader *r, int64_t *date, struct err *e)
{
	struct header head;
	ssize_t n = 1;

	header_init(&head);
	while (!head.done && n > 0 && r->ahead < CHUNK) {
		n = stream_read(r->body, r->in + r->ahead, CHUNK - r->ahead, e);
		if (n < 0)
			return -1;
		header_put(&head, r->in + r->ahead, (size_t)n);
		r->ahead += (size_t)n;
	}
	if (n == 0)
		header_end(&head);
	*date = head.done ? header_when(&head, clock_wall()) : 0;
	return 0;
}
