/* Names of folders: see boxname.h. */
#include "mail/boxname.h"

#include <string.h>

#include "base/utf8.h"

#define INBOX "INBOX"
#define INBOX_LEN (sizeof(INBOX) - 1)

/* Why a name is refused, with the name. */
static int refuse(enum err_kind kind, struct slice name, const char *why, struct err *e)
{
	char shown[160];

	err_printable(shown, sizeof(shown), name.p, name.n);
	return err_set_span(e, kind, SPAN_BOX, "folder name '%s': %s", shown, why);
}

/* What is wrong with the bytes of a name or a component, or NULL. */
static const char *bad_text(struct slice text)
{
	if (text.n == 0)
		return "empty";
	if (memchr(text.p, '\0', text.n))
		return "a NUL byte";
	return utf8_valid(text) ? NULL : "not UTF-8";
}

/* Name to components. */
int boxname_split(struct slice name, char separator, struct boxname *out, struct err *e)
{
	const char *why = bad_text(name);
	struct slice rest = name;

	if (name.n > BOXNAME_MAX)
		why = "too long";
	if (why)
		return refuse(ERR_CONF, name, why, e);
	for (out->n = 0;;) {
		const char *end = separator ? memchr(rest.p, separator, rest.n) : NULL;
		struct slice part = slice_of(rest.p, end ? (size_t)(end - rest.p) : rest.n);

		if (part.n == 0)
			return refuse(ERR_CONF, name, "a level is empty", e);
		if (out->n == BOXNAME_LEVELS)
			return refuse(ERR_CONF, name, "too many levels", e);
		if (out->n == 0 && slice_ieqs(part, INBOX))
			part = SLICE_LIT(INBOX);
		out->part[out->n++] = part;
		if (!end)
			return 0;
		rest = slice_of(end + 1, rest.n - part.n - 1);
	}
}

/* What keeps a component out of a name with such separators, or NULL. */
static const char *bad_part(const struct boxname *b, size_t i, char separator)
{
	struct slice part = b->part[i];
	const char *why = bad_text(part);

	if (why)
		return why;
	if (separator && memchr(part.p, separator, part.n))
		return "it contains the other side's separator";
	return i > 0 && !separator ? "the other side has no levels" : NULL;
}

/* Components to name. */
int boxname_join(const struct boxname *b, char separator, struct strbuf *out, struct err *e)
{
	size_t start = out->len;
	const char *why = b->n == 0 ? "empty" : NULL;
	struct slice part = SLICE_LIT("");

	for (size_t i = 0; i < b->n && !why; i++) {
		part = b->part[i];
		why = bad_part(b, i, separator);
		if (i > 0)
			strbuf_putc(out, separator);
		strbuf_putsl(out, part);
	}
	if (!why && (out->failed || out->len - start > BOXNAME_MAX))
		why = "too long";
	if (!why)
		return 0;
	strbuf_cut(out, start);
	return refuse(ERR_CONF, part, why, e);
}

/* Whether a byte is a hex digit. */
static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f');
}

/* Whether byte i begins what reads as an escape: '%' and two hex digits. */
static bool is_escape(struct slice s, size_t i)
{
	return s.p[i] == '%' && i + 2 < s.n && is_hex(s.p[i + 1]) && is_hex(s.p[i + 2]);
}

/* Whether a Maildir holds such a directory itself. */
static bool is_reserved(struct slice s)
{
	return slice_eqs(s, "cur") || slice_eqs(s, "new") || slice_eqs(s, "tmp");
}

/* Whether the character c, at byte i of a component, can't stand for itself. */
static bool needs_escape(struct slice component, size_t i, uint32_t c, const char *also,
                         bool entry)
{
	if (c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == '/' || (c == '.' && i == 0))
		return true;
	if (c < 0x80 && also && strchr(also, (int)c))
		return true;
	if (c == '%')
		return is_escape(component, i);
	return entry && i == 0 && is_reserved(component);
}

/* Put a character as it is, or its bytes as %XX. */
static void put_char(struct slice c, bool escaped, struct strbuf *out)
{
	if (!escaped) {
		strbuf_putsl(out, c);
		return;
	}
	for (size_t i = 0; i < c.n; i++)
		strbuf_printf(out, "%%%02X", (unsigned char)c.p[i]);
}

/* Escape a component; what is wrong with it, or NULL. */
static const char *escape(struct slice component, const char *also, bool entry, struct strbuf *out)
{
	const char *why = bad_text(component);
	size_t start = out->len, used;

	if (why)
		return why;
	for (size_t i = 0; i < component.n; i += used) {
		uint32_t c = 0;

		used = utf8_take(component.p + i, component.n - i, &c);
		put_char(slice_of(component.p + i, used),
		         needs_escape(component, i, c, also, entry), out);
		if (out->failed || out->len - start > BOXNAME_ENTRY)
			return "too long for a directory";
	}
	return NULL;
}

/* Component to a name on disk. */
int boxname_escape(struct slice component, const char *also, bool entry, struct strbuf *out,
                   struct err *e)
{
	size_t start = out->len;
	const char *why = escape(component, also, entry, out);

	if (!why)
		return 0;
	strbuf_cut(out, start);
	return refuse(ERR_CONF, component, why, e);
}

/* The value of a hex digit. */
static int hex_value(char c)
{
	return c <= '9' ? c - '0' : (c & ~0x20) - 'A' + 10;
}

/* Take every %XX for its byte, in whatever spelling; boxname_unescape sees whether it was ours. */
static void put_unescaped(struct slice name, struct strbuf *out)
{
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];

		if (is_escape(name, i)) {
			c = (char)(hex_value(name.p[i + 1]) << 4 | hex_value(name.p[i + 2]));
			i += 2;
		}
		strbuf_putc(out, c);
	}
}

/* Name on disk to component: the one that escapes to this name, or none. */
int boxname_unescape(struct slice name, const char *also, bool entry, struct strbuf *out,
                     struct err *e)
{
	struct strbuf again = STRBUF_INIT(BOXNAME_MAX);
	size_t start = out->len;
	const char *why = NULL;
	struct slice made;
	int rc = 0;

	if (name.n > BOXNAME_ENTRY)
		return refuse(ERR_LOCAL, name, "too long for a directory", e);
	put_unescaped(name, out);
	made = slice_of(strbuf_str(out) + start, out->len - start);
	why = out->failed ? "too long" : escape(made, also, entry, &again);
	if (why) {
		rc = refuse(ERR_LOCAL, name, why, e);
	} else if (!slice_eq(strbuf_slice(&again), name)) {
		char shown[160];

		err_printable(shown, sizeof(shown), again.s, again.len);
		rc = refuse(ERR_LOCAL, name, "another spelling is meant for this folder", e);
		err_hint(e, "rename it to '%s'", shown);
	}
	if (rc < 0)
		strbuf_cut(out, start);
	strbuf_release(&again);
	return rc;
}

/* One pattern of a list. */
int boxrule_parse(struct slice text, struct boxrule *out, struct err *e)
{
	struct boxrule r = { .kind = BOXRULE_PATTERN, .text = text };
	const char *why;

	if (slice_starts(r.text, "!")) {
		r.leave = true;
		r.text = slice_of(r.text.p + 1, r.text.n - 1);
	}
	if (slice_starts(r.text, "@")) {
		r.kind = BOXRULE_ROLE;
		r.text = slice_of(r.text.p + 1, r.text.n - 1);
	}
	why = r.text.n > BOXNAME_MAX ? "too long" : bad_text(r.text);
	if (why) {
		char shown[160];

		err_printable(shown, sizeof(shown), text.p, text.n);
		return err_set(e, ERR_CONF, "folder pattern '%s': %s", shown, why);
	}
	*out = r;
	return 0;
}

/* How many bytes of a name are INBOX as its first level: they match in any case. */
static size_t inbox_len(struct slice name, char separator)
{
	if (!slice_istarts(name, INBOX))
		return 0;
	if (name.n > INBOX_LEN && (!separator || name.p[INBOX_LEN] != separator))
		return 0;
	return INBOX_LEN;
}

/* Whether a byte of the pattern stands for byte i of the name. */
static bool same(char p, struct slice name, size_t i, size_t inbox)
{
	if (i < inbox)
		return slice_ieqs(slice_of(&p, 1), (char[]){ name.p[i], '\0' });
	return p == name.p[i];
}

/* A place to go back to: the wildcard takes one byte more. */
struct mark {
	bool set;
	size_t pattern, name; /* behind the wildcard, and behind what it took */
};

/*
 * Pattern against name. Only the last '*' and the last '%' behind it need to be tried again: the
 * leftmost match of what stands before a '*' leaves it the most, and so for '%', which can't give
 * more to the one before it without crossing the separator that this one would have crossed.
 */
bool boxname_match(struct slice pattern, struct slice name, char separator)
{
	size_t inbox = inbox_len(name, separator), p = 0, i = 0;
	struct mark star = { 0 }, percent = { 0 };

	for (;;) {
		if (p < pattern.n && pattern.p[p] == '*') {
			star = (struct mark){ true, ++p, i };
			percent.set = false;
		} else if (p < pattern.n && pattern.p[p] == '%') {
			percent = (struct mark){ true, ++p, i };
		} else if (p == pattern.n && i == name.n) {
			return true;
		} else if (p < pattern.n && i < name.n && same(pattern.p[p], name, i, inbox)) {
			p++;
			i++;
		} else if (percent.set && percent.name < name.n &&
		           !(separator && name.p[percent.name] == separator)) {
			i = ++percent.name;
			p = percent.pattern;
		} else if (star.set && star.name < name.n) {
			i = ++star.name;
			p = star.pattern;
			percent.set = false;
		} else {
			return false;
		}
	}
}

/* Whether a rule speaks of a name. */
static bool applies(const struct boxrule *r, struct slice name, char separator)
{
	if (r->kind == BOXRULE_NAME)
		return slice_eq(r->text, name);
	return r->kind == BOXRULE_PATTERN && boxname_match(r->text, name, separator);
}

/* The last word on a name. */
bool boxrule_takes(const struct boxrule *rules, size_t n, struct slice name, char separator)
{
	for (size_t i = n; i > 0; i--)
		if (applies(&rules[i - 1], name, separator))
			return !rules[i - 1].leave;
	return n > 0 && rules[0].leave;
}
