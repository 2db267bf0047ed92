/* The border of an mbox: see mboxform.h. */
#include "store/mboxform.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/slice.h"

#define CHUNK 8192

static const char from[] = "From ";

static const char *const notes[] = { MBOXFORM_NOTES, NULL };

bool mboxform_is_note(struct slice name)
{
	for (const char *const *d = notes; *d; d++)
		if (slice_ieqs(name, *d))
			return true;
	return false;
}

/* Start a message. */
void mboxlines_init(struct mboxlines *l, enum mbox_variant v, bool unquote)
{
	*l = (struct mboxlines){ .variant = v, .unquote = unquote };
}

/* The start of the line is known: it is a From line (all of "From " has come) or not. Put what was held back. */
static size_t settle(struct mboxlines *l, bool is_from, char *out)
{
	size_t n = 0;
	bool mark;

	if (l->unquote) /* one mark was held back */
		mark = l->marks > 0 && !(is_from && (l->variant == MBOX_RD || l->marks == 1));
	else            /* all marks are out; one more? */
		mark = is_from && (l->variant == MBOX_RD || l->marks == 0);
	if (mark)
		out[n++] = '>';
	memcpy(out + n, from, l->matched);
	n += l->matched;
	l->mid = true;
	l->marks = 0;
	l->matched = 0;
	return n;
}

/* Quote or unquote. */
size_t mboxlines_put(struct mboxlines *l, const char *in, size_t n, char *out)
{
	const char *end = in + n;
	char *o = out;

	if (l->variant == MBOX_CL2) {
		memcpy(out, in, n);
		return n;
	}
	while (in < end) {
		if (l->mid) {
			const char *lf = memchr(in, '\n', (size_t)(end - in));
			size_t run = (size_t)((lf ? lf + 1 : end) - in);

			memcpy(o, in, run);
			o += run;
			in += run;
			l->mid = !lf;
		} else if (*in == '>' && l->matched == 0) {
			if (++l->marks > 1 || !l->unquote)
				*o++ = '>';
			in++;
		} else if (*in == from[l->matched]) {
			in++;
			if (++l->matched == sizeof(from) - 1)
				o += settle(l, true, o);
		} else {
			o += settle(l, false, o);
		}
	}
	return (size_t)(o - out);
}

/* The message ends. */
size_t mboxlines_end(struct mboxlines *l, char *out)
{
	return l->variant == MBOX_CL2 || l->mid ? 0 : settle(l, false, out);
}

/* Start a message. */
void mboxhead_init(struct mboxhead *h, const char *const *drop)
{
	*h = (struct mboxhead){ .drop = drop };
}

/* Whether the held name, without what may stand before its colon, is one to drop. */
static bool is_dropped(const struct mboxhead *h)
{
	struct slice name = slice_trim(slice_of(h->hold, h->n - 1));

	for (const char *const *d = h->drop; *d; d++)
		if (slice_ieqs(name, *d))
			return true;
	return false;
}

/* Take one byte at the start of a header line, until the line has shown what it is. */
static size_t head_byte(struct mboxhead *h, char c, char *out)
{
	size_t n;

	h->hold[h->n++] = c;
	if (h->n == 1 && (c == ' ' || c == '\t')) {
		h->skip = h->last_skip;
		h->pass = !h->skip;
	} else if (c == ':') {
		h->skip = is_dropped(h);
		h->pass = !h->skip;
	} else if (c == '\n') {
		h->body = h->n == 1 || (h->n == 2 && h->hold[0] == '\r');
		h->last_skip = false;
	} else if (h->n == MBOXHEAD_HOLD) {
		h->pass = true;
	} else {
		return 0;
	}
	n = h->skip ? 0 : h->n;
	memcpy(out, h->hold, n);
	h->n = 0;
	h->out += n;
	if (h->body)
		h->body_at = h->out;
	return n;
}

/* Leave fields out. */
size_t mboxhead_put(struct mboxhead *h, const char *in, size_t n, char *out)
{
	const char *end = in + n;
	char *o = out;

	while (in < end && !h->body) {
		const char *lf;
		size_t run;

		if (!h->pass && !h->skip) {
			o += head_byte(h, *in++, o);
			continue;
		}
		lf = memchr(in, '\n', (size_t)(end - in));
		run = (size_t)((lf ? lf + 1 : end) - in);
		if (h->pass) {
			memcpy(o, in, run);
			o += run;
			h->out += run;
		}
		in += run;
		if (lf) {
			h->last_skip = h->skip;
			h->pass = h->skip = false;
		}
	}
	memcpy(o, in, (size_t)(end - in));
	h->out += (size_t)(end - in);
	return (size_t)(o - out) + (size_t)(end - in);
}

/* The message ends. */
size_t mboxhead_end(struct mboxhead *h, char *out)
{
	size_t n = h->n;

	memcpy(out, h->hold, n);
	h->n = 0;
	h->out += n;
	if (!h->body)
		h->body_at = h->out;
	return n;
}

/* Start a message. */
void mboxkey_init(struct mboxkey *k, enum mbox_variant v, struct digest *d)
{
	unsigned char nothing[DIGEST_SIZE];

	mboxlines_init(&k->lines, v, true);
	mboxhead_init(&k->head, notes);
	k->eol = (struct eol){ 0 };
	k->bytes = 0;
	k->digest = d;
	digest_end(d, nothing); /* whatever an unfinished message has left */
}

/* Unquoted bytes: leave the notes out, turn the line ends, hash. */
static int key_unquoted(struct mboxkey *k, const char *p, size_t n)
{
	char kept[2 * CHUNK + 8 + MBOXHEAD_HOLD], lf[sizeof(kept) + 1];
	size_t len = eol_to_lf(&k->eol, kept, mboxhead_put(&k->head, p, n, kept), lf);

	k->bytes += len;
	return digest_put(k->digest, lf, len);
}

/* Take bytes of the record. */
int mboxkey_put(struct mboxkey *k, const char *p, size_t n, struct err *e)
{
	char plain[2 * CHUNK + 8];

	while (n > 0) {
		size_t some = n < CHUNK ? n : CHUNK;

		if (key_unquoted(k, plain, mboxlines_put(&k->lines, p, some, plain)) < 0)
			return err_set(e, ERR_LOCAL, "SHA-256 failed");
		p += some;
		n -= some;
	}
	return 0;
}

/* The record ends. */
int mboxkey_end(struct mboxkey *k, unsigned char out[DIGEST_SIZE], struct err *e)
{
	char rest[8 + MBOXHEAD_HOLD], lf[sizeof(rest) + 2];
	size_t n;
	int rc = key_unquoted(k, rest, mboxlines_end(&k->lines, rest));

	n = eol_to_lf(&k->eol, rest, mboxhead_end(&k->head, rest), lf);
	n += eol_end(&k->eol, lf + n);
	k->bytes += n;
	if (rc < 0 || digest_put(k->digest, lf, n) < 0 || digest_end(k->digest, out) < 0)
		return err_set(e, ERR_LOCAL, "SHA-256 failed");
	return 0;
}

/* The From_ line (RFC 4155). Readers take blanks for the end of the address, and some can't read beyond ASCII. */
size_t mbox_from_line(const char *address, int64_t received, char out[MBOX_FROM_MAX])
{
	static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	const int64_t latest = 253402300799; /* the year 9999 */
	time_t t = (time_t)(received < 0 ? 0 : received > latest ? latest : received);
	struct tm tm;
	char who[MBOX_FROM_MAX - 40];
	size_t n = 0;

	for (const char *p = address; *p && n < sizeof(who) - 1; p++)
		who[n++] = *p > ' ' && *p < 0x7f ? *p : '_';
	who[n] = '\0';
	gmtime_r(&t, &tm);
	n = (size_t)snprintf(out, MBOX_FROM_MAX, "From %s %.3s %.3s %2d %02d:%02d:%02d %04d\n", n > 0 ? who : "MAILER-DAEMON",
	                     days + (size_t)3 * (size_t)tm.tm_wday, months + (size_t)3 * (size_t)tm.tm_mon, tm.tm_mday, tm.tm_hour, tm.tm_min,
	                     tm.tm_sec, tm.tm_year + 1900);
	return n < MBOX_FROM_MAX ? n : MBOX_FROM_MAX - 1;
}
