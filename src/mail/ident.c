#include "mail/ident.h"

#include <stdlib.h>
#include <string.h>

#include "mail/eol.h"
#include "mail/header.h"

#define CHUNK 65536

struct ident_reader {
	struct digest *digest;
	struct header head;
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
	if (!r->digest) {
		free(r);
		return NULL;
	}
	return r;
}

void ident_reader_free(struct ident_reader *r)
{
	if (!r)
		return;
	digest_free(r->digest);
	free(r);
}

int ident_read(struct ident_reader *r, struct stream *body, struct ident *out, struct err *e)
{
	struct eol eol = { 0 };
	char last;
	ssize_t n;
	bool ok = true;

	*out = (struct ident){ 0 };
	header_init(&r->head);
	while ((n = stream_read(body, r->in, CHUNK, e)) > 0) {
		header_put(&r->head, r->in, (size_t)n);
		ok &= digest_put(r->digest, r->lf, eol_to_lf(&eol, r->in, (size_t)n, r->lf)) == 0;
		out->size += (uint64_t)n;
	}
	header_end(&r->head);
	if (eol_end(&eol, &last) > 0)
		ok &= digest_put(r->digest, &last, 1) == 0;
	ok &= digest_end(r->digest, out->digest) == 0; /* also after an error: ready for the next */
	if (n < 0)
		return -1;
	if (!ok)
		return err_set(e, ERR_LOCAL, "SHA-256 failed");
	out->has_digest = true;
	out->has_mid = ident_mid(r->digest, r->head.message_id, out->mid);
	return 0;
}
