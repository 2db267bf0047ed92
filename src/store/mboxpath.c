/*
 * Where the folders of an mbox tree are: "a/b" is the file ROOT/a/b, or ROOT/a.sbd/b where "a" holds messages, too. A level is escaped as mail/boxname.h says, and so that none is called
 * as what other programs keep there.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/fs.h"
#include "mail/boxname.h"
#include "store/mbox_p.h"

/* Ends of names that are no folders': of locks, and of what Thunderbird keeps beside an mbox. */
static const char *const suffixes[] = { ".lock", ".msf", ".sbd", ".dat", ".mozmsgs" };

#define SUFFIXES (sizeof(suffixes) / sizeof(suffixes[0]))

static bool ends_in(struct slice name, const char *end)
{
	size_t n = strlen(end);

	return name.n > n && slice_ieqs(slice_of(name.p + name.n - n, n), end);
}

/* The dot of such an end: where it stands in a name, 0 there is none. */
static size_t reserved_dot(struct slice name)
{
	for (size_t i = 0; i < SUFFIXES; i++)
		if (ends_in(name, suffixes[i]))
			return name.n - strlen(suffixes[i]);
	return 0;
}

/* Files of a moment, in which programs make a lock or write an mbox anew: "NAME.lock.ANY" (ours, Python's), "NAME.HOST.PID" (mutt's, Python's). */
static bool is_momentary(const char *name)
{
	const char *lock = strstr(name, ".lock."), *dot = strrchr(name, '.');
	char host[256] = "";
	size_t n;

	if (lock && lock > name && lock[strlen(".lock.")] >= '0' && lock[strlen(".lock.")] <= '9')
		return true;
	if (!dot || dot[1] == '\0' || dot[1 + strspn(dot + 1, "0123456789")] != '\0' || gethostname(host, sizeof(host) - 1) < 0)
		return false;
	n = strlen(host);
	return n > 0 && (size_t)(dot - name) > n + 1 && dot[-1 - (ptrdiff_t)n] == '.' && memcmp(dot - n, host, n) == 0;
}

/* A level as it is called on disk. */
static int put_level(struct slice level, struct strbuf *out, struct err *e)
{
	size_t start = out->len, dot;
	char end[16];

	if (boxname_escape(level, NULL, false, out, e) < 0)
		return -1;
	dot = reserved_dot(slice_of(out->s + start, out->len - start));
	if (dot > 0) {
		snprintf(end, sizeof(end), "%s", out->s + start + dot + 1);
		strbuf_cut(out, start + dot);
		strbuf_printf(out, "%%2E%s", end);
	}
	if (!out->failed && is_momentary(out->s + start))
		return err_set_span(e, ERR_CONF, SPAN_BOX, "programs that lock or write an mbox make files of such names");
	if (out->failed || out->len - start + strlen(".sbd") > NAME_MAX) /* room for what stands beside it */
		return err_set_span(e, ERR_CONF, SPAN_BOX, "the name of a folder is too long for a file");
	return 0;
}

bool mbox_entry_level(const char *name, bool is_dir, struct strbuf *out, bool *unnamable)
{
	struct strbuf plain = STRBUF_INIT(NAME_MAX + 8), again = STRBUF_INIT(NAME_MAX * 3);
	struct slice entry = slice_str(name);
	size_t start = out->len, dot;
	bool good = false;

	*unnamable = false;
	if (entry.n == 0 || entry.p[0] == '.' || (!is_dir && is_momentary(name)))
		return false;
	if (is_dir && ends_in(entry, ".sbd"))
		entry.n -= strlen(".sbd");
	else if (reserved_dot(entry) > 0)
		return false;
	strbuf_putsl(&plain, entry);
	for (size_t i = 0; i < SUFFIXES; i++) {
		char end[16];

		snprintf(end, sizeof(end), "%%2E%s", suffixes[i] + 1);
		if (!ends_in(strbuf_slice(&plain), end))
			continue;
		dot = plain.len - strlen(end);
		snprintf(end, sizeof(end), ".%s", strbuf_str(&plain) + dot + 3);
		strbuf_cut(&plain, dot);
		strbuf_puts(&plain, end);
		break;
	}
	if (!plain.failed && boxname_unescape(strbuf_slice(&plain), NULL, false, out, NULL) == 0)
		good = put_level(slice_of(out->s + start, out->len - start), &again, NULL) == 0 && slice_eq(strbuf_slice(&again), entry);
	if (!good) {
		strbuf_cut(out, start);
		*unnamable = true;
	}
	strbuf_release(&plain);
	strbuf_release(&again);
	return good;
}

/* What a path names, unless it is a link that is not ours: 0, or -1 with errno. */
static int look(const char *path, struct stat *st)
{
	if (lstat(path, st) < 0)
		return -1;
	if (!S_ISLNK(st->st_mode))
		return 0;
	if (st->st_uid != geteuid() && st->st_uid != 0) {
		errno = ELOOP;
		return -1;
	}
	return stat(path, st);
}

bool mbox_path_is_dir(const char *path)
{
	struct stat st;

	return look(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Is there something by that name that can be a folder's file? What can't be looked at is one that can't be opened. */
static bool is_file(const char *path)
{
	struct stat st;

	if (look(path, &st) == 0)
		return !S_ISDIR(st.st_mode);
	return errno != ENOENT && errno != ENOTDIR;
}

/* The inbox as others have written it, as a file or as what holds the folders below it; its own name where there is none. */
static void inbox_name(const struct mbox *m, char out[16])
{
	DIR *d = opendir(m->root);
	struct dirent *entry;

	snprintf(out, 16, "INBOX");
	while (d && (entry = readdir(d))) {
		size_t n = strlen(entry->d_name);

		if (strncasecmp(entry->d_name, "INBOX", 5) != 0 || (n != 5 && (n != 9 || strcasecmp(entry->d_name + 5, ".sbd") != 0)))
			continue;
		if (memcmp(entry->d_name, "INBOX", 5) == 0) {
			snprintf(out, 16, "INBOX");
			break;
		}
		snprintf(out, 16, "%.5s", entry->d_name);
	}
	if (d)
		closedir(d);
}

/* A folder's levels, as they are called on disk. */
struct levels {
	struct strbuf names; /* each NUL-terminated */
	size_t at[BOXNAME_LEVELS];
	size_t n;
};

static int split(struct mbox *m, const char *folder, struct levels *l, struct err *e)
{
	struct boxname b;
	char inbox[16];

	l->names = (struct strbuf)STRBUF_INIT(65536);
	if (boxname_split(slice_str(folder), '/', &b, e) < 0)
		return -1;
	for (l->n = 0; l->n < b.n; l->n++) {
		struct slice part = b.part[l->n];

		l->at[l->n] = l->names.len;
		if (l->n == 0 && slice_eqs(part, "INBOX")) {
			inbox_name(m, inbox);
			strbuf_puts(&l->names, inbox);
		} else if (put_level(part, &l->names, e) < 0) {
			return err_in(e, "folder '%s'", folder);
		}
		if (strbuf_putc(&l->names, '\0') < 0)
			return err_set(e, ERR_LOCAL, "out of memory");
	}
	return 0;
}

/* Look for the file beneath a directory, whose path is in `at`; in both places where a level's folders may be. */
static bool seek(const struct levels *l, size_t i, struct strbuf *at)
{
	static const char *const ends[] = { ".sbd", "" };
	size_t start = at->len;

	strbuf_printf(at, "/%s", l->names.s + l->at[i]);
	if (i + 1 == l->n) {
		if (!at->failed && is_file(at->s))
			return true;
		strbuf_cut(at, start);
		return false;
	}
	for (int k = 0; k < 2; k++) {
		strbuf_cut(at, start);
		strbuf_printf(at, "/%s%s", l->names.s + l->at[i], ends[k]);
		if (!at->failed && mbox_path_is_dir(at->s) && seek(l, i + 1, at))
			return true;
	}
	strbuf_cut(at, start);
	return false;
}

/* What the root is: a file that is the inbox alone, a directory; or an error. */
static int root_kind(struct mbox *m, const char *folder, bool *file, struct err *e)
{
	struct stat st;

	if (stat(m->root, &st) < 0) {
		if (errno != ENOENT)
			return err_errno(e, "can't look at %s", m->root);
		err_set(e, ERR_LOCAL, "there is no mbox, nor a directory of them, at %s", m->root);
		return err_hint(e, "is its disk not mounted?");
	}
	*file = !S_ISDIR(st.st_mode);
	if (!*file || strcmp(folder, "INBOX") == 0)
		return 0;
	err_set_span(e, ERR_REFUSED, SPAN_BOX, "%s is one file, which holds the inbox and no other folder", m->root);
	return err_hint(e, "name a directory, or let folders = { INBOX }");
}

int mbox_folder_path(struct mbox *m, const char *folder, struct strbuf *out, struct err *e)
{
	struct levels l = { .n = 0 };
	bool file, found = true;
	int rc = root_kind(m, folder, &file, e);

	if (rc == 0)
		rc = split(m, folder, &l, e);
	if (rc == 0)
		rc = strbuf_puts(out, m->root);
	if (rc == 0 && !file)
		found = seek(&l, 0, out);
	if (rc == 0 && out->failed)
		rc = err_set_span(e, ERR_CONF, SPAN_BOX, "folder '%s': the path of its file is too long", folder);
	strbuf_release(&l.names);
	return rc < 0 ? -1 : found;
}

static int make_dir(struct strbuf *at, size_t start, struct err *e)
{
	int rc;

	if (at->failed)
		return err_set_span(e, ERR_CONF, SPAN_BOX, "the path of a folder is too long");
	if (mkdir(at->s, 0700) < 0 && errno != EEXIST)
		return err_errno(e, "can't make %s", at->s);
	at->s[start] = '\0';
	rc = fs_sync_dir(AT_FDCWD, at->s, e);
	at->s[start] = '/';
	return rc;
}

/* A level that is to hold folders: below its own directory, unless a file has that name. */
static int make_level(const char *name, struct strbuf *at, struct err *e)
{
	size_t start = at->len;
	bool inbox = strcasecmp(name, "INBOX") == 0;

	strbuf_printf(at, "/%s.sbd", name);
	if (at->failed || mbox_path_is_dir(at->s))
		return at->failed ? err_set_span(e, ERR_CONF, SPAN_BOX, "the path of a folder is too long") : 0;
	strbuf_cut(at, start);
	strbuf_printf(at, "/%s", name);
	if (!inbox && mbox_path_is_dir(at->s))
		return 0;
	if (inbox || is_file(at->s))
		strbuf_puts(at, ".sbd");
	return make_dir(at, start, e);
}

/* The place of a file must be free of a directory, which holds the folders below it, and is called otherwise from now on. */
static int clear_place(struct strbuf *at, size_t start, struct err *e)
{
	struct strbuf aside = STRBUF_INIT(PATH_MAX);
	struct stat st;
	int rc = 0;

	if (!mbox_path_is_dir(at->s))
		return 0;
	if (strbuf_printf(&aside, "%s.sbd", at->s) < 0)
		rc = err_set_span(e, ERR_CONF, SPAN_BOX, "the path of a folder is too long");
	else if (lstat(aside.s, &st) == 0)
		rc = err_set_span(e, ERR_REFUSED, SPAN_BOX, "%s can't be made an mbox: it is a directory, and so is %s, where the folders in it would be", at->s, aside.s);
	else if (rename(at->s, aside.s) < 0)
		rc = err_errno(e, "can't rename %s to %s", at->s, aside.s);
	if (rc == 0) {
		at->s[start] = '\0';
		rc = fs_sync_dir(AT_FDCWD, at->s, e);
		at->s[start] = '/';
	}
	strbuf_release(&aside);
	return rc;
}

int mbox_folder_make_room(struct mbox *m, const char *folder, struct strbuf *out, struct err *e)
{
	struct levels l = { .n = 0 };
	bool file;
	size_t start = 0;
	int rc = root_kind(m, folder, &file, e);

	if (rc == 0)
		rc = split(m, folder, &l, e);
	if (rc == 0)
		strbuf_puts(out, m->root);
	for (size_t i = 0; rc == 0 && !file && i < l.n; i++) {
		start = out->len;
		if (i + 1 < l.n) {
			rc = make_level(l.names.s + l.at[i], out, e);
			continue;
		}
		strbuf_printf(out, "/%s", l.names.s + l.at[i]);
		rc = out->failed ? err_set_span(e, ERR_CONF, SPAN_BOX, "folder '%s': the path of its file is too long", folder) : clear_place(out, start, e);
	}
	strbuf_release(&l.names);
	return rc;
}
