/*
 * Names of a Maildir. Byte 0 picks the layout (value modulo 3) and what the rest is (value / 3 modulo 3): the file name of a message, a folder's name, or a
 * path beneath the root. A folder that has a path is the folder of that path, and the other way round; a path never leads out of the root.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mail/flags.h"
#include "store/maildir.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* Stop here, so that the fuzzer keeps the input. */
static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fuzz_maildirname: %s\n", what);
	abort();
}

/* A message's file name. */
static void as_message(struct slice name)
{
	struct slice unique, again_unique;
	uint32_t flags, again_flags;
	struct strbuf again = STRBUF_INIT(2 * NAME_MAX);
	char letters[8];

	if (!maildir_name(name, &unique, &flags))
		return;
	must(name.n <= NAME_MAX && !memchr(name.p, '/', name.n) && name.p[0] != '.', "a name that leads elsewhere");
	must(unique.p == name.p && unique.n > 0 && unique.n <= name.n, "the unique part is none of the name");
	must(!memchr(unique.p, ':', unique.n) && (unique.n == name.n || name.p[unique.n] == ':'), "the unique part ends elsewhere");
	flags_to_letters(flags, letters);
	for (const char *c = letters; *c; c++)
		must(memchr(name.p + unique.n, *c, name.n - unique.n) != NULL, "a flag that the name hasn't");
	/* the name that we would give it tells the same */
	strbuf_putsl(&again, unique);
	strbuf_printf(&again, ":2,%s", letters);
	if (again.len <= NAME_MAX)
		must(maildir_name(strbuf_slice(&again), &again_unique, &again_flags) && slice_eq(unique, again_unique) &&
		     flags == again_flags, "our own name is another");
	strbuf_release(&again);
}

/* A path that may be used beneath the root. */
static void must_be_safe(enum maildir_layout layout, struct slice path)
{
	struct slice rest = path;

	must(path.n > 0 && !memchr(path.p, '\0', path.n), "no path");
	for (size_t i = 0; i < path.n; i++)
		must((unsigned char)path.p[i] >= ' ' && path.p[i] != 0x7f, "a control byte in a path");
	for (;;) {
		const char *slash = memchr(rest.p, '/', rest.n);
		struct slice level = slice_of(rest.p, slash ? (size_t)(slash - rest.p) : rest.n);

		must(level.n > 0 && level.n <= NAME_MAX, "a level that no directory can have");
		must(!slice_eqs(level, ".") && !slice_eqs(level, ".."), "a level that leads elsewhere");
		must(!slice_eqs(level, "cur") && !slice_eqs(level, "new") && !slice_eqs(level, "tmp"), "a level that a Maildir holds itself");
		must(layout == MAILDIR_NESTED || !slash, "a directory within a directory");
		must((level.p[0] == '.') == (layout == MAILDIR_PLUSPLUS), "a dot in the wrong place");
		if (!slash)
			return;
		rest = slice_of(slash + 1, rest.n - (size_t)(slash + 1 - rest.p));
	}
}

/* A folder's name. */
static void as_folder(enum maildir_layout layout, struct slice text)
{
	struct strbuf path = STRBUF_INIT(65536), back = STRBUF_INIT(65536);
	char *folder = slice_dup(text);
	struct err e = ERR_INIT;

	if (!folder)
		return; /* a NUL byte */
	strbuf_puts(&path, "root/");
	if (maildir_folder_path(layout, folder, &path, &e) < 0) {
		must(slice_eqs(strbuf_slice(&path), "root/"), "a refused folder has left something");
		must(e.kind == ERR_CONF && e.text[0], "a refusal without a reason");
	} else {
		strbuf_shift(&path, 5);
		if (text.n > 0)
			must_be_safe(layout, strbuf_slice(&path));
		else
			must(slice_eqs(strbuf_slice(&path), "."), "the root has another path");
		must(maildir_path_folder(layout, strbuf_slice(&path), &back) == 0, "a folder's path is no folder's");
		must(slice_eq(strbuf_slice(&back), text), "a folder's path is another's");
	}
	strbuf_release(&path);
	strbuf_release(&back);
	free(folder);
}

/* A path. */
static void as_path(enum maildir_layout layout, struct slice path)
{
	struct strbuf folder = STRBUF_INIT(65536), back = STRBUF_INIT(65536);
	struct err e = ERR_INIT;

	strbuf_puts(&folder, "x");
	if (maildir_path_folder(layout, path, &folder) < 0) {
		must(slice_eqs(strbuf_slice(&folder), "x"), "a refused path has left something");
	} else {
		must(strlen(strbuf_str(&folder)) == folder.len, "a NUL byte in a folder's name");
		must(maildir_folder_path(layout, strbuf_str(&folder) + 1, &back, &e) == 0, e.text);
		must(slice_eq(strbuf_slice(&back), path), "two paths are one folder");
	}
	strbuf_release(&folder);
	strbuf_release(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const enum maildir_layout layouts[] = { MAILDIR_NESTED, MAILDIR_PLUSPLUS, MAILDIR_FLAT };
	struct slice rest;

	if (n < 1 || n > 8192)
		return 0;
	rest = slice_of(p + 1, n - 1);
	if (p[0] / 3 % 3 == 0)
		as_message(rest);
	else if (p[0] / 3 % 3 == 1)
		as_folder(layouts[p[0] % 3], rest);
	else
		as_path(layouts[p[0] % 3], rest);
	return 0;
}
