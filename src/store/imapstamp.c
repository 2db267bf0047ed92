/* Stamps of an IMAP mailbox: "UIDVALIDITY UIDNEXT MESSAGES HIGHESTMODSEQ", and a hash of its MAILBOXID where it has one. */
#include <inttypes.h>
#include <stdio.h>

#include "store/imapstore_p.h"

uint64_t imapstamp_id(struct slice mailboxid)
{
	uint64_t h = slice_hash(mailboxid);

	return mailboxid.n == 0 ? 0 : h != 0 ? h : 1;
}

bool imapstamp_other(const struct imapstamp *a, const struct imapstamp *b)
{
	return a->validity != b->validity || (a->id != 0 && b->id != 0 && a->id != b->id);
}

/* The numbers of a stamp; false when it is none of ours. */
bool imapstamp_parse(const char *text, struct imapstamp *out)
{
	static const uint64_t max[5] = { UINT32_MAX, UINT32_MAX, UINT32_MAX, INT64_MAX, UINT64_MAX };
	struct slice rest = slice_str(text);
	uint64_t n[5] = { 0 };

	for (size_t i = 0; i < 4 || (i < 5 && rest.n > 0); i++)
		if (!slice_u64(slice_word(&rest), max[i], &n[i]))
			return false;
	if (rest.n > 0 || n[0] == 0)
		return false;
	*out = (struct imapstamp){ .validity = (uint32_t)n[0],
		.uidnext = (uint32_t)n[1],
		.messages = (uint32_t)n[2],
		.modseq = n[3],
		.id = n[4] };
	return true;
}

/* A stamp as text. */
void imapstamp_print(const struct imapstamp *s, char out[STORE_STAMP_MAX])
{
	int n = snprintf(out, STORE_STAMP_MAX, "%" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu64,
		s->validity, s->uidnext, s->messages, s->modseq);

	if (s->id != 0)
		snprintf(out + n, STORE_STAMP_MAX - (size_t)n, " %" PRIu64, s->id);
}

/* store_ops.same_box: a rename keeps MAILBOXID, and UIDVALIDITY; but many servers give the same of that to many folders. */
enum store_same imapstamp_same_box(const char *then, const char *now)
{
	struct imapstamp a, b;

	if (!imapstamp_parse(then, &a) || !imapstamp_parse(now, &b))
		return STORE_MAYBE;
	if (imapstamp_other(&a, &b))
		return STORE_OTHER;
	return a.id != 0 && b.id != 0 ? STORE_SAME : STORE_MAYBE;
}
