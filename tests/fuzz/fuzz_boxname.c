/*
 * Names of folders. Byte 0 picks the characters that a layout escapes too (value modulo 4), whether the name is a directory's whole one (value / 4 modulo 2), the
 * separator (value / 8 modulo 4); the rest is a component, a name on disk, a name to be split, and (up to its first newline) a pattern for what follows. What is
 * taken is taken back; what comes out for the disk never leads elsewhere; a pattern means what its plain definition says.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "mail/boxname.h"

#define MAX 2048

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* Stop here, so that the fuzzer keeps the input. */
static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fuzz_boxname: %s\n", what);
	abort();
}

/* A refusal says why and leaves nothing. */
static void must_be_refused(const struct strbuf *out, const struct err *e, enum err_kind kind)
{
	must(slice_eqs(strbuf_slice(out), "kept"), "a refused name has left something");
	must(e->kind == kind && e->span == SPAN_BOX && e->text[0], "a refusal without a reason");
}

/* A name that may be a directory's. */
static void must_be_safe(struct slice name, const char *also, bool entry)
{
	must(name.n > 0 && name.n <= BOXNAME_ENTRY, "a name that no directory can have");
	must(name.p[0] != '.', "a name that leads elsewhere, or is hidden");
	must(utf8_valid(name), "a name that is no text");
	for (size_t i = 0; i < name.n; i++) {
		unsigned char c = (unsigned char)name.p[i];

		must(c >= ' ' && c != 0x7f && c != '/', "a byte that no name has");
		must(c == '%' || !strchr(also, name.p[i]), "a byte of the layout's");
		must(c != 0xc2 || (unsigned char)name.p[i + 1] >= 0xa0, "a control character");
	}
	must(!entry || (!slice_eqs(name, "cur") && !slice_eqs(name, "new") && !slice_eqs(name, "tmp")), "a name that a Maildir holds itself");
}

/* A component. */
static void as_component(struct slice component, const char *also, bool entry)
{
	struct strbuf out = STRBUF_INIT(2 * MAX), again = STRBUF_INIT(2 * MAX);
	struct err e = ERR_INIT;

	strbuf_puts(&out, "kept");
	if (boxname_escape(component, also, entry, &out, &e) < 0) {
		must_be_refused(&out, &e, ERR_CONF);
		must(!utf8_valid(component) || component.n == 0 || component.n > BOXNAME_ENTRY / 3 ||
		     memchr(component.p, '\0', component.n), "a good component is refused");
	} else {
		struct slice name = slice_of(out.s + 4, out.len - 4);

		must_be_safe(name, also, entry);
		must(boxname_unescape(name, also, entry, &again, &e) == 0, e.text);
		must(slice_eq(strbuf_slice(&again), component), "two components are one name");
	}
	strbuf_release(&out);
	strbuf_release(&again);
}

/* A name on disk. */
static void as_name(struct slice name, const char *also, bool entry)
{
	struct strbuf out = STRBUF_INIT(2 * MAX), again = STRBUF_INIT(2 * MAX);
	struct err e = ERR_INIT;

	strbuf_puts(&out, "kept");
	if (boxname_unescape(name, also, entry, &out, &e) < 0) {
		must_be_refused(&out, &e, ERR_LOCAL);
	} else {
		struct slice component = slice_of(out.s + 4, out.len - 4);

		must(boxname_escape(component, also, entry, &again, &e) == 0, e.text);
		must(slice_eq(strbuf_slice(&again), name), "two names are one component");
		must_be_safe(name, also, entry);
	}
	strbuf_release(&out);
	strbuf_release(&again);
}

/* A name on the wire. */
static void as_path(struct slice name, char separator)
{
	struct strbuf out = STRBUF_INIT(2 * MAX), again = STRBUF_INIT(2 * MAX);
	struct err e = ERR_INIT;
	struct boxname b, c;

	if (boxname_split(name, separator, &b, &e) < 0) {
		must(e.kind == ERR_CONF && e.span == SPAN_BOX && e.text[0], "a refusal without a reason");
		return;
	}
	must(boxname_join(&b, separator, &out, &e) == 0, e.text);
	must(out.len == name.n, "another length");
	must(slice_eq(strbuf_slice(&out), name) || slice_istarts(name, "inbox"), "another name");
	must(boxname_split(strbuf_slice(&out), separator, &c, &e) == 0 && c.n == b.n, "other components");
	for (size_t i = 0; i < b.n; i++)
		must(slice_eq(b.part[i], c.part[i]) && b.part[i].n > 0, "another component");
	/* on a server with another separator it is the same folder, or none */
	if (boxname_join(&b, separator == '.' ? '/' : '.', &again, &e) == 0) {
		must(boxname_split(strbuf_slice(&again), separator == '.' ? '/' : '.', &c, &e) == 0 && c.n == b.n, "another folder elsewhere");
		for (size_t i = 0; i < b.n; i++)
			must(slice_eq(b.part[i], c.part[i]), "another component elsewhere");
	}
	strbuf_release(&out);
	strbuf_release(&again);
}

/* What a pattern means: reach[i] tells whether what was seen of it matches the first i bytes of the name. */
static bool plainly(struct slice pattern, struct slice name, char separator, size_t inbox)
{
	bool reach[MAX + 1] = { true };

	for (size_t p = 0; p < pattern.n; p++) {
		char c = pattern.p[p];

		if (c == '*' || c == '%') {
			for (size_t i = 1; i <= name.n; i++)
				reach[i] = reach[i] || (reach[i - 1] && !(c == '%' && separator && name.p[i - 1] == separator));
			continue;
		}
		for (size_t i = name.n; i > 0; i--)
			reach[i] = reach[i - 1] && (c == name.p[i - 1] || (i <= inbox && ((c ^ name.p[i - 1]) == 0x20)));
		reach[0] = false;
	}
	return reach[name.n];
}

/* A pattern and a name. */
static void as_pattern(struct slice text, char separator)
{
	const char *end = memchr(text.p, '\n', text.n);
	struct slice pattern, name, first;
	struct boxrule r;
	size_t inbox = 0;

	if (!end)
		return;
	pattern = slice_of(text.p, (size_t)(end - text.p));
	name = slice_of(end + 1, text.n - pattern.n - 1);
	end = separator ? memchr(name.p, separator, name.n) : NULL;
	first = end ? slice_of(name.p, (size_t)(end - name.p)) : name;
	if (slice_ieqs(first, "INBOX"))
		inbox = 5;
	must(boxname_match(pattern, name, separator) == plainly(pattern, name, separator, inbox), "the pattern means something else");
	if (boxrule_parse(pattern, &r, NULL) == 0 && r.kind == BOXRULE_PATTERN)
		must(boxrule_takes(&r, 1, name, separator) == (plainly(r.text, name, separator, inbox) != r.leave), "the rule means something else");
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const char *const also[] = { "", ".", "%", "._~%" };
	static const char separators[] = { '/', '.', '\0', '\\' };
	struct slice rest;

	if (n < 1 || n > MAX)
		return 0;
	rest = slice_of(p + 1, n - 1);
	as_component(rest, also[p[0] % 4], p[0] / 4 % 2);
	as_name(rest, also[p[0] % 4], p[0] / 4 % 2);
	as_path(rest, separators[p[0] / 8 % 4]);
	as_pattern(rest, separators[p[0] / 8 % 4]);
	return 0;
}
