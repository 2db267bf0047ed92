/*
 * Names in a Maildir, of messages and of folders: see maildir.h. The levels of a folder's name are escaped (mail/boxname.h), so that a folder and its path belong
 * to each other one to one.
 */
#include "store/maildir.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "mail/boxname.h"
#include "mail/flags.h"

/* Letters that we don't know (keywords of other programs) are no reason not to see the message; behind a comma are other things. */
uint32_t maildir_info_flags(struct slice info)
{
	uint32_t flags = 0, one;

	if (!slice_starts(info, ":2,"))
		return 0;
	for (size_t i = 3; i < info.n && info.p[i] != ','; i++)
		if (flags_of_letters(slice_of(info.p + i, 1), &one) == 0)
			flags |= one;
	return flags;
}

/* A message's file name. */
bool maildir_name(struct slice name, struct slice *unique, uint32_t *flags)
{
	const char *colon;

	if (name.n == 0 || name.n > NAME_MAX || name.p[0] == '.' || name.p[0] == ':')
		return false;
	if (memchr(name.p, '/', name.n) || memchr(name.p, '\0', name.n))
		return false;
	colon = memchr(name.p, ':', name.n);
	*unique = slice_of(name.p, colon ? (size_t)(colon - name.p) : name.n);
	*flags = maildir_info_flags(slice_of(name.p + unique->n, name.n - unique->n));
	return true;
}

/* The place of a part of a unique name, which may stand there once; NULL: it does not. */
static const char *part_of(struct slice unique, const char *part)
{
	const char *at = memmem(unique.p, unique.n, part, strlen(part));
	size_t behind;

	if (!at)
		return NULL;
	behind = unique.n - (size_t)(at + 1 - unique.p);
	return memmem(at + 1, behind, part, strlen(part)) ? NULL : at;
}

/* What a part that begins there is, up to the next. */
static struct slice part_at(struct slice unique, const char *at)
{
	size_t n = unique.n - (size_t)(at - unique.p);
	const char *comma = memchr(at + 1, ',', n - 1);

	return slice_of(at, comma ? (size_t)(comma - at) : n);
}

/* The UID in a name. */
enum maildir_uid maildir_uid(struct slice unique, uint32_t *uid)
{
	const char *at = part_of(unique, ",U=");
	struct slice part;
	uint64_t n;

	if (!at)
		return MAILDIR_UID_NONE;
	part = part_at(unique, at);
	if (!slice_u64(slice_of(part.p + 3, part.n - 3), UINT32_MAX, &n) || n == 0)
		return MAILDIR_UID_NONE;
	*uid = (uint32_t)n;
	return part_of(unique, ",FMD5=") ? MAILDIR_UID_SERVER : MAILDIR_UID_OWN;
}

/* A name without it. */
bool maildir_without_uid(const char *name, size_t *unique_n, char *out, size_t size)
{
	static const char *const parts[] = { ",U=", ",FMD5=" };
	struct slice rest = slice_of(name, *unique_n);
	uint32_t uid;
	size_t n = 0;

	if (maildir_uid(rest, &uid) == MAILDIR_UID_NONE || strlen(name) >= size)
		return false;
	while (rest.n > 0) {
		struct slice part = part_at(rest, rest.p);
		bool drop = false;

		for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
			drop |= slice_starts(part, parts[i]);
		if (!drop)
			memcpy(out + n, part.p, part.n);
		n += drop ? 0 : part.n;
		rest = slice_of(part.p + part.n, rest.n - part.n);
	}
	snprintf(out + n, size - n, "%s", name + *unique_n);
	*unique_n = n;
	return n > 0;
}

/* The byte between levels in a layout's paths. */
static char separator(enum maildir_layout layout)
{
	return layout == MAILDIR_NESTED ? '/' : '.';
}

/* What can't stand for itself in a level, beside what no file name may hold. */
static const char *also(enum maildir_layout layout)
{
	return layout == MAILDIR_NESTED ? NULL : ".";
}

/* Is a level a directory's whole name, and so one of those that a Maildir holds itself? */
static bool is_entry(enum maildir_layout layout, bool only)
{
	return layout == MAILDIR_NESTED || (layout == MAILDIR_FLAT && only);
}

/* The level that s begins with; what stands behind it is left in s, more tells whether there is another. */
static struct slice take_level(struct slice *s, char sep, bool *more)
{
	const char *end = s->n > 0 ? memchr(s->p, sep, s->n) : NULL;
	struct slice level = slice_of(s->p, end ? (size_t)(end - s->p) : s->n);

	*more = end != NULL;
	*s = end ? slice_of(end + 1, s->n - level.n - 1) : slice_of(s->p + s->n, 0);
	return level;
}

/* Folder name to path. */
int maildir_folder_path(enum maildir_layout layout, const char *folder, struct strbuf *out, struct err *e)
{
	struct slice rest = slice_str(folder);
	size_t start = out->len, levels = 0;
	char shown[128];
	bool more = true;

	err_printable(shown, sizeof(shown), rest.p, rest.n);
	if (rest.n == 0)
		return strbuf_putc(out, '.') < 0 ? err_set(e, ERR_LOCAL, "out of memory") : 0;
	if (rest.n > BOXNAME_MAX)
		return err_set_span(e, ERR_CONF, SPAN_BOX, "folder '%s...': the name is longer than %d bytes", shown, BOXNAME_MAX);
	if (layout == MAILDIR_PLUSPLUS && strbuf_putc(out, '.') < 0)
		goto full;
	while (more) {
		struct slice level = take_level(&rest, '/', &more);

		if (level.n == 0 || ++levels > BOXNAME_LEVELS) {
			strbuf_cut(out, start);
			return err_set_span(e, ERR_CONF, SPAN_BOX, level.n == 0 ? "folder '%s': a level of the name is empty" : "folder '%s': too many levels", shown);
		}
		if (boxname_escape(level, also(layout), is_entry(layout, !more && levels == 1), out, e) < 0) {
			strbuf_cut(out, start);
			return err_in(e, "folder '%s'", shown);
		}
		if (more && strbuf_putc(out, separator(layout)) < 0)
			goto full;
	}
	if (layout == MAILDIR_NESTED || out->len - start <= NAME_MAX)
		return 0;
full:
	strbuf_cut(out, start);
	return err_set_span(e, ERR_CONF, SPAN_BOX, "folder '%s': the name is too long for a directory", shown);
}

/* Path to folder name; -1 for one that no folder has. */
int maildir_path_folder(enum maildir_layout layout, struct slice path, struct strbuf *out)
{
	struct strbuf again = STRBUF_INIT(3 * BOXNAME_MAX + 8);
	struct slice rest = path;
	size_t start = out->len, levels = 0;
	bool more = true;
	int rc = 0;

	if (slice_eqs(path, "."))
		return 0;
	if (layout == MAILDIR_PLUSPLUS) {
		if (path.n < 2 || path.p[0] != '.')
			return -1;
		rest = slice_of(path.p + 1, path.n - 1);
	}
	while (rc == 0 && more) {
		struct slice level = take_level(&rest, separator(layout), &more);

		rc = ++levels > BOXNAME_LEVELS ? -1 : boxname_unescape(level, also(layout), is_entry(layout, !more && levels == 1), out, NULL);
		if (rc == 0 && more)
			rc = strbuf_putc(out, '/');
	}
	/* the names that we would make, and no others: two directories must never be one folder */
	if (rc < 0 || maildir_folder_path(layout, strbuf_str(out) + start, &again, NULL) < 0 || !slice_eq(path, strbuf_slice(&again))) {
		strbuf_cut(out, start);
		rc = -1;
	}
	strbuf_release(&again);
	return rc;
}
