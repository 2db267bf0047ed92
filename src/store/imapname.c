/*
 * Names of folders on an IMAP server and for the engine: see imapstore.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/utf8.h"
#include "mail/boxname.h"
#include "mail/utf7.h"
#include "store/imapstore_p.h"

/*
 * How many characters at p are "%(25)*2F", the way a slash is written, or what would be read as
 * one. 0: none.
 */
static size_t slash_like(const char *p, size_t n)
{
	size_t k = 1;

	if (n < 3 || p[0] != '%')
		return 0;
	while (k + 1 < n && p[k] == '2' && p[k + 1] == '5')
		k += 2;
	return k + 1 < n && p[k] == '2' && p[k + 1] == 'F' ? k + 2 : 0;
}

/* A level's name as the engine sees it, where '/' does not stand between the server's levels. */
static void put_level(struct strbuf *out, struct slice part)
{
	for (size_t i = 0; i < part.n; i++) {
		if (part.p[i] == '/') {
			strbuf_puts(out, "%2F");
			continue;
		}
		strbuf_putc(out, part.p[i]);
		if (slash_like(part.p + i, part.n - i) > 0)
			strbuf_puts(out, "25");
	}
}

/* And back. */
static void take_level(struct strbuf *out, struct slice part)
{
	for (size_t i = 0; i < part.n; i++) {
		size_t k = slash_like(part.p + i, part.n - i);

		if (k == 3) {
			strbuf_putc(out, '/');
			i += 2;
			continue;
		}
		strbuf_putc(out, part.p[i]);
		if (k > 3)
			i += 2; /* one "25" less */
	}
}

/* Why a level is not shown; NULL when it is. */
static const char *bad_level(struct slice part)
{
	uint32_t c;
	size_t k;

	if (slice_eqs(part, ".") || slice_eqs(part, ".."))
		return "a level of it is '.' or '..'";
	for (size_t i = 0; i < part.n; i += k) {
		k = utf8_take(part.p + i, part.n - i, &c);
		if (k == 0)
			return "it is no UTF-8";
		if (c < 0x20 || (c >= 0x7f && c < 0xa0))
			return "it holds control characters";
	}
	return NULL;
}

/* From the wire, without what stands before all our names. -1 with why it can't be shown. */
int imapname_show(
	struct imapstore *t, struct slice wire, char sep, struct strbuf *out, struct err *e)
{
	struct strbuf text = STRBUF_INIT(2 * IMAPNAME_WIRE_MAX);
	struct boxname b;
	int rc = -1;

	if (t->conn.utf8 ? strbuf_putsl(&text, wire) < 0 : utf7_decode(wire, &text, e) < 0) {
		if (t->conn.utf8)
			err_set(e, ERR_PROTO, "it is too long");
		goto out;
	}
	if (boxname_split(strbuf_slice(&text), sep, &b, e) < 0)
		goto out;
	for (size_t i = 0; i < b.n; i++) {
		const char *why = bad_level(b.part[i]);

		if (why) {
			err_set(e, ERR_PROTO, "%s", why);
			goto out;
		}
		if (i > 0)
			strbuf_putc(out, '/');
		if (sep == '/')
			strbuf_putsl(out, b.part[i]);
		else
			put_level(out, b.part[i]);
	}
	rc = out->failed || out->len > BOXNAME_MAX ? err_set(e, ERR_PROTO, "it is too long") : 0;
out:
	strbuf_release(&text);
	return rc;
}

/* From the engine to the wire; malloc'ed, NULL on failure. */
char *imapname_wire(struct imapstore *t, const char *name, struct err *e)
{
	struct strbuf path = STRBUF_INIT(2 * IMAPNAME_WIRE_MAX),
		      levels = STRBUF_INIT(2 * IMAPNAME_WIRE_MAX),
		      out = STRBUF_INIT(2 * IMAPNAME_WIRE_MAX);
	char *wire = NULL;
	struct boxname b;
	int rc;

	if (boxname_split(slice_str(name), '/', &b, e) < 0)
		goto out;
	if (slice_eqs(b.part[0], "INBOX") && !slice_starts(slice_str(name), "INBOX")) {
		char shown[160];

		/* RFC 3501 section 5.1: two of ours would be one there */
		err_set_span(e, ERR_CONF, SPAN_BOX,
			"folder name '%s': at a server INBOX in any case is the inbox: rename it",
			err_printable(shown, sizeof(shown), name, strlen(name)));
		goto out;
	}
	if (b.n == 1 && slice_eqs(b.part[0], "INBOX")) {
		wire = strdup("INBOX");
		goto memory;
	}
	if (t->sep != '/') {
		size_t at[BOXNAME_LEVELS + 1] = { 0 };

		for (size_t i = 0; i < b.n; i++) {
			take_level(&levels, b.part[i]);
			at[i + 1] = levels.len;
		}
		if (levels.failed)
			goto memory;
		for (size_t i = 0; i < b.n; i++)
			b.part[i] = slice_of(levels.s + at[i], at[i + 1] - at[i]);
	}
	if (boxname_join(&b, t->sep, &path, e) < 0)
		goto out;
	strbuf_puts(&out, t->prefix);
	rc = t->conn.utf8 ? strbuf_putsl(&out, strbuf_slice(&path))
			  : utf7_encode(strbuf_slice(&path), &out, e);
	if (rc < 0)
		goto out;
	wire = strbuf_detach(&out);
memory:
	if (!wire)
		err_set(e, ERR_LOCAL, "out of memory");
out:
	strbuf_release(&path);
	strbuf_release(&levels);
	strbuf_release(&out);
	return wire;
}

/* A level of a name as the server can hold it; what can't be in it becomes '_'. */
static void fit_level(const struct imapstore *t, struct slice part, struct strbuf *out)
{
	const bool gmail = t->conn.caps.have & IMAP_CAP_GMAIL, dots = slice_eqs(part, ".") || slice_eqs(part, "..");
	size_t start = out->len, k;
	uint32_t c = 0;

	for (size_t i = 0; i < part.n; i += k) {
		k = utf8_take(part.p + i, part.n - i, &c);
		if (k == 0 || c < 0x20 || (c >= 0x7f && c < 0xa0) || dots || (t->sep && c == (unsigned char)t->sep)) {
			strbuf_putc(out, '_');
			k = k ? k : 1;
		} else if (!(gmail && c == ' ' && (out->len == start || out->s[out->len - 1] == ' '))) {
			strbuf_put(out, part.p + i, k);
		}
	}
	while (gmail && out->len > start && out->s[out->len - 1] == ' ') /* "[CANNOT] Folder contains excess whitespace" */
		strbuf_cut(out, out->len - 1);
	if (out->len == start)
		strbuf_putc(out, '_');
}

/* store_ops.fit */
int imapname_fit(struct store *s, const char *folder, struct strbuf *out, struct err *e)
{
	const struct imapstore *t = imapstore_of(s);
	const size_t start = out->len;
	struct slice rest = slice_str(folder);

	for (;;) {
		const char *slash = memchr(rest.p, '/', rest.n);
		struct slice part = slice_of(rest.p, slash ? (size_t)(slash - rest.p) : rest.n);

		fit_level(t, part, out);
		if (!slash)
			break;
		strbuf_putc(out, t->sep ? '/' : '_'); /* no separator: it has no levels */
		rest = slice_of(slash + 1, rest.n - part.n - 1);
	}
	if (out->failed)
		return err_set(e, ERR_LOCAL, "out of memory");
	if (!slice_eq(slice_of(out->s + start, out->len - start), slice_str(folder)))
		return 1;
	strbuf_cut(out, start);
	return 0;
}

/* Does a name begin with a namespace's prefix? "INBOX" in any case. Its root counts too: "user" of
 * "user.". */
static bool below(const char *wire, const char *prefix)
{
	size_t n = strlen(prefix), inbox = strncasecmp(prefix, "INBOX", 5) == 0 ? 5 : 0;

	if (n > 0 && strlen(wire) == n - 1)
		n--;
	return strncasecmp(wire, prefix, inbox) == 0 &&
		strncmp(wire + inbox, prefix + inbox, n > inbox ? n - inbox : 0) == 0;
}

/* What stands before our folders' names, and between their levels. */
void imapname_learn(struct imapstore *t, char sep)
{
	const struct imap_space *own = NULL;
	size_t n;

	for (size_t i = 0; !own && i < t->conn.nspaces; i++)
		if (t->conn.spaces[i].kind == IMAP_NS_PERSONAL)
			own = &t->conn.spaces[i];
	snprintf(t->prefix, sizeof(t->prefix), "%s",
		t->p->prefix ? t->p->prefix : own ? own->prefix : "");
	t->sep = own && own->sep ? own->sep : '\0';
	if (t->sep == '\0')
		t->sep = sep;
	n = strlen(t->prefix);
	if (n > 0 && n + 1 < sizeof(t->prefix) && t->sep && t->prefix[n - 1] != t->sep) {
		t->prefix[n] = t->sep; /* "INBOX" for "INBOX." */
		t->prefix[n + 1] = '\0';
	}
}

/* Is it one of ours? */
bool imapname_ours(const struct imapstore *t, const char *wire)
{
	const struct imap_space *best = NULL;

	if (strcasecmp(wire, "INBOX") == 0)
		return true;
	if (strncmp(wire, t->prefix, strlen(t->prefix)) != 0 &&
		!(strncasecmp(t->prefix, "INBOX", 5) == 0 && strlen(wire) > strlen(t->prefix) &&
			below(wire, t->prefix)))
		return false;
	if (t->p->prefix)
		return true;
	for (size_t i = 0; i < t->conn.nspaces; i++) {
		const struct imap_space *s = &t->conn.spaces[i];

		if (below(wire, s->prefix) && (!best || strlen(s->prefix) > strlen(best->prefix)))
			best = s;
	}
	return !best || strcmp(best->prefix, t->prefix) == 0;
}
