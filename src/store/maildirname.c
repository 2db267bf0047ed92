/*
 * Names in a Maildir, of messages and of folders: see maildir.h. Folder names are escaped as %XX, so that a folder and its path belong to each other
 * one to one: '%' itself, control bytes, the byte that separates levels, a dot at the start of a level, and the levels "cur", "new" and "tmp".
 */
#include "store/maildir.h"

#include <limits.h>
#include <string.h>

#include "mail/flags.h"

#define FOLDER_MAX 1024 /* bytes of a folder's name */
#define LEVELS_MAX 64

/* A message's file name. */
bool maildir_name(struct slice name, struct slice *unique, uint32_t *flags)
{
	const char *colon;
	struct slice info = { NULL, 0 };

	if (name.n == 0 || name.n > NAME_MAX || name.p[0] == '.' || name.p[0] == ':')
		return false;
	if (memchr(name.p, '/', name.n) || memchr(name.p, '\0', name.n))
		return false;
	colon = memchr(name.p, ':', name.n);
	if (colon)
		info = slice_of(colon + 1, name.n - (size_t)(colon + 1 - name.p));
	*unique = slice_of(name.p, colon ? (size_t)(colon - name.p) : name.n);
	*flags = 0;
	if (!slice_starts(info, "2,"))
		return true;
	/* letters that we don't know (keywords of other programs) are no reason not to see the message; behind a comma are other things */
	for (size_t i = 2; i < info.n && info.p[i] != ','; i++) {
		uint32_t one;

		if (flags_of_letters(slice_of(info.p + i, 1), &one) == 0)
			*flags |= one;
	}
	return true;
}

/* The byte between levels in a layout's paths. */
static char separator(enum maildir_layout layout)
{
	return layout == MAILDIR_NESTED ? '/' : '.';
}

/* Whether byte i of a level can't stand for itself in a path. */
static bool needs_escape(enum maildir_layout layout, struct slice level, size_t i, bool only)
{
	unsigned char c = (unsigned char)level.p[i];

	if (c == '%' || c < ' ' || c == 0x7f)
		return true;
	if (c == 0xc2 && i + 1 < level.n && ((unsigned char)level.p[i + 1] & 0xe0) == 0x80)
		return true; /* C1 controls: U+0080 to U+009F */
	if (c == '.')
		return layout != MAILDIR_NESTED || i == 0;
	/* what a Maildir holds itself */
	return i == 0 && layout != MAILDIR_PLUSPLUS && (layout == MAILDIR_NESTED || only) &&
	       (slice_eqs(level, "cur") || slice_eqs(level, "new") || slice_eqs(level, "tmp"));
}

/* One level of a folder's name. */
static int put_level(enum maildir_layout layout, struct slice level, bool only, struct strbuf *out)
{
	size_t start = out->len;

	for (size_t i = 0; i < level.n; i++) {
		int rc = needs_escape(layout, level, i, only) ? strbuf_printf(out, "%%%02X", (unsigned char)level.p[i]) :
		                                                strbuf_putc(out, level.p[i]);

		if (rc < 0)
			return -1;
	}
	return out->len - start > NAME_MAX ? -1 : 0;
}

/* Folder name to path. */
int maildir_folder_path(enum maildir_layout layout, const char *folder, struct strbuf *out, struct err *e)
{
	struct slice rest = slice_str(folder);
	char shown[128];
	size_t start = out->len, levels = 0;

	err_printable(shown, sizeof(shown), rest.p, rest.n);
	if (rest.n == 0)
		return strbuf_putc(out, '.') < 0 ? err_set(e, ERR_LOCAL, "out of memory") : 0;
	if (rest.n > FOLDER_MAX)
		return err_set_span(e, ERR_CONF, SPAN_BOX, "folder '%s...': the name is longer than %d bytes", shown, FOLDER_MAX);
	if (layout == MAILDIR_PLUSPLUS && strbuf_putc(out, '.') < 0)
		goto full;
	for (;;) {
		const char *slash = memchr(rest.p, '/', rest.n);
		struct slice level = slice_of(rest.p, slash ? (size_t)(slash - rest.p) : rest.n);

		if (level.n == 0 || ++levels > LEVELS_MAX) {
			strbuf_cut(out, start);
			return err_set_span(e, ERR_CONF, SPAN_BOX, level.n == 0 ? "folder '%s': a level of the name is empty" :
			                    "folder '%s': too many levels", shown);
		}
		if (put_level(layout, level, !slash && levels == 1, out) < 0)
			goto full;
		if (!slash)
			break;
		if (strbuf_putc(out, separator(layout)) < 0)
			goto full;
		rest = slice_of(slash + 1, rest.n - (size_t)(slash + 1 - rest.p));
	}
	if (layout == MAILDIR_NESTED || out->len - start <= NAME_MAX)
		return 0;
full:
	strbuf_cut(out, start);
	return err_set_span(e, ERR_CONF, SPAN_BOX, "folder '%s': the name is too long for a directory", shown);
}

/* The value of an upper-case hex digit, or -1. */
static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Path to folder name, as maildir_folder_path would have been asked. */
static int unescape(enum maildir_layout layout, struct slice path, struct strbuf *out)
{
	for (size_t i = 0; i < path.n; i++) {
		char c = path.p[i];

		if (c == '%') {
			int high = i + 2 < path.n ? hex_value(path.p[i + 1]) : -1, low = i + 2 < path.n ? hex_value(path.p[i + 2]) : -1;

			if (high < 0 || low < 0 || (high == 0 && low == 0))
				return -1;
			c = (char)(high << 4 | low);
			if (c == '/')
				return -1;
			i += 2;
		} else if (c == separator(layout)) {
			c = '/';
		}
		if (strbuf_putc(out, c) < 0)
			return -1;
	}
	return 0;
}

/* Path to folder name; -1 for one that no folder has. */
int maildir_path_folder(enum maildir_layout layout, struct slice path, struct strbuf *out)
{
	struct strbuf again = STRBUF_INIT(3 * FOLDER_MAX + 8);
	size_t start = out->len;
	int rc = 0;

	if (slice_eqs(path, "."))
		return 0;
	if (layout == MAILDIR_PLUSPLUS) {
		if (path.n < 2 || path.p[0] != '.')
			return -1;
		path = slice_of(path.p + 1, path.n - 1);
	}
	/* the names that we would make, and no others: two directories must never be one folder */
	if (path.n == 0 || unescape(layout, path, out) < 0 ||
	    maildir_folder_path(layout, strbuf_str(out) + start, &again, NULL) < 0 ||
	    !slice_eq(path, slice_of(strbuf_str(&again) + (layout == MAILDIR_PLUSPLUS), again.len - (layout == MAILDIR_PLUSPLUS)))) {
		strbuf_cut(out, start);
		rc = -1;
	}
	strbuf_release(&again);
	return rc;
}
