/* Refusals: see refusal.h. */
#include "imap/refusal.h"

#include <stdio.h>
#include <string.h>

#define TEXT_SHOWN 200    /* bytes of a server's text in an error */
#define BACKOFF_MAX 86400 /* seconds that a server may ask for */

/*
 * Seconds in the last column are for codes that say "later" without saying when. LIMIT is a limit
 * that waiting doesn't lift (of keywords in a folder, say), unless the words below tell otherwise;
 * OVERQUOTA is Google's sign for a day's traffic that is used up as well as a full mailbox, which
 * somebody may empty.
 */
static const struct {
	enum imap_code_kind code;
	enum err_kind kind;
	enum err_span span;
	int retry_after;
} codes[] = {
	{ IMAP_CODE_UNAVAILABLE, ERR_TEMP, SPAN_ACCT, 60 },
	{ IMAP_CODE_THROTTLED, ERR_TEMP, SPAN_ACCT, 60 },
	{ IMAP_CODE_OVERQUOTA, ERR_TEMP, SPAN_ACCT, 3600 },
	{ IMAP_CODE_SERVERBUG, ERR_TEMP, SPAN_MSG, 0 },
	{ IMAP_CODE_INUSE, ERR_BUSY, SPAN_BOX, 0 },
	{ IMAP_CODE_AUTHENTICATIONFAILED, ERR_AUTH, SPAN_ACCT, 0 },
	{ IMAP_CODE_AUTHORIZATIONFAILED, ERR_AUTH, SPAN_ACCT, 0 },
	{ IMAP_CODE_EXPIRED, ERR_AUTH, SPAN_ACCT, 0 },
	{ IMAP_CODE_PRIVACYREQUIRED, ERR_CERT, SPAN_ACCT, 0 },
	{ IMAP_CODE_CONTACTADMIN, ERR_UNAVAIL, SPAN_ACCT, 0 },
	{ IMAP_CODE_NOPERM, ERR_REFUSED, SPAN_BOX, 0 },
	{ IMAP_CODE_CORRUPTION, ERR_REFUSED, SPAN_BOX, 0 },
	{ IMAP_CODE_ALREADYEXISTS, ERR_REFUSED, SPAN_BOX, 0 },
	{ IMAP_CODE_NONEXISTENT, ERR_REFUSED, SPAN_BOX, 0 },
	{ IMAP_CODE_TRYCREATE, ERR_REFUSED, SPAN_BOX, 0 },
	{ IMAP_CODE_READ_ONLY, ERR_REFUSED, SPAN_BOX, 0 },
	{ IMAP_CODE_EXPUNGEISSUED, ERR_TEMP, SPAN_MSG, 0 },
	{ IMAP_CODE_LIMIT, ERR_REFUSED, SPAN_MSG, 0 },
	{ IMAP_CODE_CLIENTBUG, ERR_REFUSED, SPAN_MSG, 0 },
	{ IMAP_CODE_CANNOT, ERR_REFUSED, SPAN_MSG, 0 },
	{ IMAP_CODE_TOOBIG, ERR_REFUSED, SPAN_MSG, 0 },
};

/* Words of servers that give no code, or one that says less. The first that fits counts. */
static const struct {
	const char *word;
	enum err_kind kind;
	enum err_span span;
	int retry_after;
} words[] = {
	{ "backoff time", ERR_TEMP, SPAN_ACCT, 60 },
	{ "throttled", ERR_TEMP, SPAN_ACCT, 60 },
	{ "rate limit", ERR_TEMP, SPAN_ACCT, 60 },
	{ "bandwidth", ERR_TEMP, SPAN_ACCT, 3600 }, /* Google: "... command or bandwidth limits" */
	{ "quota exceeded", ERR_TEMP, SPAN_ACCT, 3600 },
	{ "over quota", ERR_TEMP, SPAN_ACCT, 3600 },
	{ "mailbox full", ERR_TEMP, SPAN_ACCT, 3600 },
	{ "mailbox is full", ERR_TEMP, SPAN_ACCT, 3600 },
	{ "too many connections", ERR_TEMP, SPAN_ACCT, 60 },
	{ "too many simultaneous", ERR_TEMP, SPAN_ACCT, 60 },
	{ "maximum number of connections", ERR_TEMP, SPAN_ACCT, 60 }, /* Dovecot */
	{ "server unavailable", ERR_TEMP, SPAN_ACCT, 60 },            /* Exchange */
	{ "server busy", ERR_TEMP, SPAN_ACCT, 60 },
	{ "try again", ERR_TEMP, SPAN_ACCT, 0 },
	{ "temporar", ERR_TEMP, SPAN_ACCT, 0 },
	{ "authenticated but not connected", ERR_AUTH, SPAN_ACCT, 0 }, /* Exchange */
};

/* Find the number behind a known phrase. */
int imap_backoff(struct slice text)
{
	static const char phrase[] = "backoff time";
	char buf[512];
	size_t n = text.n < sizeof(buf) - 1 ? text.n : sizeof(buf) - 1;
	const char *at;
	struct slice rest, unit;
	uint64_t v;

	if (n > 0)
		memcpy(buf, text.p, n);
	buf[n] = '\0'; /* a NUL inside only hides what stands behind it */
	at = strcasestr(buf, phrase);
	if (!at)
		return 0;
	at += sizeof(phrase) - 1;
	at += strspn(at, ": \t");
	n = strspn(at, "0123456789");
	if (!slice_u64(slice_of(at, n), UINT64_MAX, &v))
		return n > 0 ? BACKOFF_MAX : 0;
	rest = slice_str(at + n);
	unit = slice_word(&rest);
	if (!slice_istarts(unit, "s"))
		/* no unit means milliseconds, too: nobody says anything else */
		v = v / 1000 + (v % 1000 > 0);
	return v > BACKOFF_MAX ? BACKOFF_MAX : v > 0 ? (int)v : 1;
}

/* Is there no room, rather than too much traffic for today? */
static bool is_full(enum imap_code_kind code, const char *text)
{
	static const char *const words_of_it[] = { "quota exceeded", "over quota", "mailbox full", "mailbox is full" };

	if (code == IMAP_CODE_OVERQUOTA)
		return !strcasestr(text, "bandwidth");
	for (size_t i = 0; i < sizeof(words_of_it) / sizeof(words_of_it[0]); i++)
		if (strcasestr(text, words_of_it[i]))
			return true;
	return false;
}

/* The error. */
void imap_refusal(const struct imap_resp *r, enum err_kind otherwise, const char *before,
	struct err *e)
{
	enum err_kind kind = otherwise;
	enum err_span span = SPAN_MSG;
	int retry_after = 0, asked = imap_backoff(r->text);
	char text[TEXT_SHOWN + 1], code[64 + 3] = "";
	bool known = false;

	if (!e)
		return;
	err_printable(text, sizeof(text), r->text.p ? r->text.p : "", r->text.n);
	if (r->code.kind != IMAP_CODE_NONE) {
		char inner[64];

		err_printable(inner, sizeof(inner), r->code.text.p ? r->code.text.p : "",
			r->code.text.n);
		snprintf(code, sizeof(code), "[%s]%s", inner, *text ? " " : "");
	}
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]) && !known; i++)
		if (codes[i].code == r->code.kind) {
			known = codes[i].kind != ERR_REFUSED;
			kind = codes[i].kind;
			span = codes[i].span;
			retry_after = codes[i].retry_after;
		}
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]) && !known; i++)
		if (strcasestr(text, words[i].word)) {
			known = true;
			kind = words[i].kind;
			span = words[i].span;
			retry_after = words[i].retry_after;
		}
	if (*text || *code)
		err_set_span(e, kind, span, "%s \"%s%s\"", before, code, text);
	else
		err_set_span(e, kind, span, "%s nothing more", before);
	if (kind == ERR_TEMP && span == SPAN_ACCT && is_full(r->code.kind, text))
		err_hint(e, "make room there, or have more given; what is left goes over in a later run");
	e->retry_after = asked > 0 ? asked : retry_after;
}
