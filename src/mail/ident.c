#include "mail/ident.h"

#include <stdlib.h>
#include <string.h>

#include "mail/eol.h"
#include "mail/header.h"
#include "mail/mark.h"

#define CHUNK 65536

struct ident_reader {
	struct digest *digest, *plain;
	struct header head;
	struct marks marks;
	bool split; /* a mark was met: plain goes its own way */
	char in[CHUNK], lf[CHUNK + 1];
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
static bool put_piece(struct ident_reader *r, struct slice piece, bool is_mark, struct ident *out)
{
	bool ok = true;

	if (is_mark && !r->split)
		ok = r->split = digest_copy(r->plain, r->digest) == 0;
	if (is_mark)
		out->mark += piece.n + 1; /* CRLF there */
	else if (r->split)
		ok = digest_put(r->plain, piece.p, piece.n) == 0;
	return digest_put(r->digest, piece.p, piece.n) == 0 && ok;
}

static bool put_text(struct ident_reader *r, struct slice text, struct ident *out)
{
	struct slice piece;
	bool is_mark, ok = true;

	while (marks_next(&r->marks, &text, &piece, &is_mark))
		ok &= put_piece(r, piece, is_mark, out);
	return ok;
}

/* Both hashes; also after an error, so that the reader is ready for the next message. */
static bool end_digests(struct ident_reader *r, struct ident *out)
{
	bool ok = digest_end(r->digest, out->digest) == 0;

	if (r->split)
		return digest_end(r->plain, out->plain) == 0 && ok;
	memcpy(out->plain, out->digest, DIGEST_SIZE);
	return ok;
}

int ident_read(struct ident_reader *r, struct stream *body, struct ident *out, struct err *e)
{
	struct eol eol = { 0 };
	char last;
	ssize_t n;
	bool ok = true;

	*out = (struct ident){ 0 };
	header_init(&r->head);
	r->marks = (struct marks){ .held = 0 };
	r->split = false;
	while ((n = stream_read(body, r->in, CHUNK, e)) > 0) {
		header_put(&r->head, r->in, (size_t)n);
		ok &= put_text(r, slice_of(r->lf, eol_to_lf(&eol, r->in, (size_t)n, r->lf)), out);
		out->size += (uint64_t)n;
	}
	header_end(&r->head);
	if (eol_end(&eol, &last) > 0)
		ok &= put_text(r, slice_of(&last, 1), out);
	ok &= put_piece(r, marks_end(&r->marks), false, out);
	ok &= end_digests(r, out);
	if (n < 0)
		return -1;
	if (!ok)
		return err_set(e, ERR_LOCAL, "SHA-256 failed");
	out->has_digest = true;
	out->has_mid = ident_mid(r->digest, r->head.message_id, out->mid);
	return 0;
}
