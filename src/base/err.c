/* Errors as values: see err.h. */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

/* The whole story of a kind, one row each. */
static const struct {
	const char *name;
	int code; /* sysexits(3) */
	bool retry;
} kinds[ERR_KINDS] = {
	[ERR_NONE] = { "none", 0, false },
	[ERR_USAGE] = { "usage", 64, false },
	[ERR_NOHOST] = { "nohost", 68, true },
	[ERR_UNAVAIL] = { "unavail", 69, true },
	[ERR_TEMP] = { "temp", 75, true },
	[ERR_TIMEOUT] = { "timeout", 75, true },
	[ERR_AUTH] = { "auth", 77, false },
	[ERR_CERT] = { "cert", 77, false },
	[ERR_PERM] = { "perm", 77, false },
	[ERR_PROTO] = { "proto", 76, false },
	[ERR_REFUSED] = { "refused", 1, false },
	[ERR_LOCAL] = { "local", 74, false },
	[ERR_CONF] = { "conf", 78, false },
	[ERR_BUSY] = { "busy", 75, true },
	[ERR_CANCEL] = { "cancel", 130, false },
	[ERR_BUG] = { "bug", 70, false },
};

/*
 * Valid characters that must not reach a terminal: C1 controls, and what turns the direction of
 * text, breaks lines or is invisible by design, so that a name can't pose as another.
 */
static const struct {
	uint32_t from, to;
} unprintable[] = {
	{ 0x80, 0x9f },
	{ 0xad, 0xad },     /* soft hyphen */
	{ 0x61c, 0x61c },   /* Arabic letter mark: a bidi control */
	{ 0x200b, 0x200f }, /* zero-width characters, LRM, RLM */
	{ 0x2028, 0x202e }, /* line and paragraph separator, bidi embeddings and overrides */
	{ 0x2060, 0x206f }, /* invisible operators, bidi isolates */
	{ 0xfeff, 0xfeff },
	{ 0xfff9, 0xfffb },
	{ 0xe0000, 0xe007f }, /* tags */
};

/* Whether a character may stand in a text as it is. */
static bool is_printable(uint32_t c)
{
	if (c < 0x80)
		return c >= 0x20 && c != 0x7f;
	for (size_t i = 0; i < sizeof(unprintable) / sizeof(unprintable[0]); i++)
		if (c >= unprintable[i].from && c <= unprintable[i].to)
			return false;
	return true;
}

/* One character, or one byte escaped, from p to unit. Returns the bytes used, *len those made. */
static size_t one_printable(char unit[5], size_t *len, const char *p, size_t n)
{
	static const char hex[] = "0123456789abcdef";
	uint32_t c = 0;
	size_t used = utf8_take(p, n, &c);

	if (used > 0 && is_printable(c)) {
		memcpy(unit, p, used);
		*len = used;
		return used;
	}
	unit[0] = '\\';
	unit[1] = 'x';
	unit[2] = hex[(unsigned char)p[0] >> 4];
	unit[3] = hex[p[0] & 15];
	*len = 4;
	return 1;
}

/* Foreign text made printable; a cut falls between characters and is shown as "...". */
char *err_printable(char *out, unsigned long size, const char *p, unsigned long n)
{
	size_t at = 0, keep = 0; /* keep: the last place where "..." still fits behind */

	if (size == 0)
		return out;
	while (n > 0) {
		char unit[5];
		size_t len, used = one_printable(unit, &len, p, n);

		if (at + len > size - 1) {
			static const char dots[] = "...";
			size_t room = size - 1 - keep;

			len = room < 3 ? room : 3;
			memcpy(out + keep, dots, len);
			at = keep + len;
			break;
		}
		memcpy(out + at, unit, len);
		at += len;
		if (at + 3 <= size - 1)
			keep = at;
		p += used;
		n -= used;
	}
	out[at] = '\0';
	return out;
}

/* Format to printable text; more than a buffer of our own is cut. */
static void __attribute__((format(printf, 3, 0)))
text_format(char *out, size_t size, const char *fmt, va_list ap)
{
	char raw[4 * ERR_TEXT_MAX]; /* more than a text holds: what is cut here is cut again */
	int n = vsnprintf(raw, sizeof(raw), fmt, ap);

	if (n < 0)
		n = snprintf(raw, sizeof(raw), "(a message that can't be formatted)");
	err_printable(out, size, raw, (size_t)n < sizeof(raw) ? (size_t)n : sizeof(raw) - 1);
}

/* The common part of the setters. */
static void __attribute__((format(printf, 4, 0)))
err_vset(struct err *e, enum err_kind kind, enum err_span span, const char *fmt, va_list ap)
{
	struct err fresh = { .kind = kind, .span = span };

	text_format(fresh.text, sizeof(fresh.text), fmt, ap);
	*e = fresh;
}

/* Set an error that costs the account. */
int err_set(struct err *e, enum err_kind kind, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return -1;
	va_start(ap, fmt);
	err_vset(e, kind, SPAN_ACCT, fmt, ap);
	va_end(ap);
	return -1;
}

/* Set an error that costs what span says. */
int err_set_span(struct err *e, enum err_kind kind, enum err_span span, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return -1;
	va_start(ap, fmt);
	err_vset(e, kind, span, fmt, ap);
	va_end(ap);
	return -1;
}

/* Put text behind what stands in e; when it does not fit, the cut is shown. */
static void text_append(struct err *e, const char *text)
{
	char all[2 * ERR_TEXT_MAX + 8];
	int n = snprintf(all, sizeof(all), "%s%s", e->text, text);

	err_printable(e->text, sizeof(e->text), all, n > 0 ? (size_t)n : 0);
}

/* Set an error of the operating system. */
int err_errno(struct err *e, const char *fmt, ...)
{
	int saved = errno;
	char buf[128], why[160];
	va_list ap;

	if (!e)
		return -1;
	va_start(ap, fmt);
	err_vset(e, ERR_LOCAL, SPAN_ACCT, fmt, ap);
	va_end(ap);
	/* The reason matters more than the end of a long name. */
	snprintf(why, sizeof(why), ": %s", strerror_r(saved, buf, sizeof(buf)));
	if (strlen(e->text) + strlen(why) >= sizeof(e->text)) {
		char what[ERR_TEXT_MAX];

		memcpy(what, e->text, sizeof(what));
		err_printable(e->text, sizeof(e->text) - strlen(why), what, strlen(what));
	}
	text_append(e, why);
	if (saved == ENOSPC || saved == EDQUOT)
		err_hint(e, "make room there");
	errno = saved;
	return -1;
}

/* Put the place in front of the text. At most half the room, or the reason would be lost. */
int err_in(struct err *e, const char *fmt, ...)
{
	char where[ERR_TEXT_MAX / 2], text[ERR_TEXT_MAX];
	va_list ap;

	if (!e)
		return -1;
	va_start(ap, fmt);
	text_format(where, sizeof(where), fmt, ap);
	va_end(ap);
	memcpy(text, e->text, sizeof(text));
	snprintf(e->text, sizeof(e->text), "%s: ", where);
	text_append(e, text);
	return -1;
}

/* Put advice behind the text, whole or not at all. */
int err_hint(struct err *e, const char *fmt, ...)
{
	char what[ERR_TEXT_MAX];
	size_t len, n;
	va_list ap;

	if (!e)
		return -1;
	va_start(ap, fmt);
	text_format(what, sizeof(what), fmt, ap);
	va_end(ap);
	len = strlen(e->text);
	n = strlen(what);
	if (len + n + 3 < sizeof(e->text)) {
		memcpy(e->text + len, " (", 2);
		memcpy(e->text + len + 2, what, n);
		memcpy(e->text + len + 2 + n, ")", 2);
	}
	return -1;
}

/* No error any more. */
void err_clear(struct err *e)
{
	if (e)
		*e = (struct err)ERR_INIT;
}

/* The name of a kind. */
const char *err_kind_name(enum err_kind kind)
{
	return (unsigned)kind < ERR_KINDS ? kinds[kind].name : "bug";
}

/* The exit code of a kind. */
int err_exit_code(enum err_kind kind)
{
	return (unsigned)kind < ERR_KINDS ? kinds[kind].code : kinds[ERR_BUG].code;
}

/* Whether time alone may heal it. */
bool err_retryable(enum err_kind kind)
{
	return (unsigned)kind < ERR_KINDS && kinds[kind].retry;
}

bool err_link_lost(const struct err *e)
{
	return (e->kind == ERR_TEMP || e->kind == ERR_TIMEOUT) && e->retry_after == 0;
}

/* A signal is never of one folder alone, whatever was being done when it came. */
bool err_ends_all(const struct err *e)
{
	return e->span == SPAN_ACCT || e->kind == ERR_CANCEL;
}
