/*
 * Names of folders: a path of components in UTF-8. On the wire a server's separator stands between
 * them (RFC 3501 section 5.1), on disk each is escaped where a file system or a layout of folders
 * can't hold it. This is what keeps a server's name within the root that it belongs to.
 */
#ifndef MAIL_BOXNAME_H
#define MAIL_BOXNAME_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/slice.h"
#include "base/strbuf.h"

#define BOXNAME_LEVELS 64
#define BOXNAME_MAX 1000  /* bytes of a whole name in UTF-8, separators counted */
#define BOXNAME_ENTRY 255 /* bytes of an escaped component: NAME_MAX of Linux */

struct boxname {
	struct slice part[BOXNAME_LEVELS]; /* borrowed from the text that was split */
	size_t n;                          /* parts that are valid */
};

/*
 * Split a name at a hierarchy separator; '\0' (NIL) when there is none, the name is one component
 * then. A first component "inbox" in any case becomes "INBOX" (RFC 3501 section 5.1); deeper ones
 * and "inboxes" are what they are. -1 with ERR_CONF, span SPAN_BOX: an empty name or component (so
 * a separator at an end), too many levels, too long, no UTF-8, or a NUL byte. Any other character
 * may be in a component, the separators of others too.
 */
int boxname_split(struct slice name, char separator, struct boxname *out, struct err *e);

/*
 * Append the components with a separator between them; '\0' when there is none. -1 with ERR_CONF,
 * span SPAN_BOX, nothing added: a component is none or contains the separator, there is more than
 * one and no separator, or the result is longer than BOXNAME_MAX or than out takes: the other side
 * can't have such a folder. What is joined splits again into the same components ("INBOX" in its
 * one spelling).
 */
int boxname_join(const struct boxname *b, char separator, struct strbuf *out, struct err *e);

/*
 * The name of a component on disk, appended to out, and back. A character that can't stand for
 * itself becomes %XX, one for each of its bytes, with capital hex digits:
 *   - control characters: U+0001 to U+001F, U+007F, U+0080 to U+009F
 *   - '/', and the ASCII characters of `also` (what separates levels in the layout: "." for
 *     Maildir++ and flat; NULL or "" for none; with "%" in it every '%')
 *   - '.' at the start: hidden, ".", ".." or a Maildir++ folder
 *   - with `entry` (the component is a directory's whole name, not a part of one): the first letter
 *     of "cur", "new" and "tmp", which a Maildir holds itself. In this spelling only: "New" is
 *     another directory wherever case counts, and people have such folders
 *   - '%' before two hex digits of any case, for it would be read as an escape ("100%" stands for
 *     itself, "%41" becomes "%2541")
 * The two are a bijection: unescape takes only what escape makes, so that two directories are never
 * one folder, and gives back what it was made of; a name made by hand that needs no escape is its
 * own. What comes out is never empty, never "." or "..", has no '/', no control character, and at
 * most BOXNAME_ENTRY bytes.
 *
 * -1, out cut back to what it held: escape with ERR_CONF, unescape with ERR_LOCAL, both span
 * SPAN_BOX: empty, no UTF-8, a NUL byte (which a file name can't hold and a C string can't say: not
 * even as %00), too long, or a name that escape makes of nothing; the text says how it would be
 * named.
 */
int boxname_escape(struct slice component, const char *also, bool entry, struct strbuf *out,
                   struct err *e);
int boxname_unescape(struct slice name, const char *also, bool entry, struct strbuf *out,
                     struct err *e);

/*
 * Which folders a job takes: a list of patterns, each the next word on the matter:
 *   "Work*"   takes:  '*' is any run of characters, '%' any run without the separator, everything
 *            else itself; case counts but in a name's first component INBOX. There is no quoting:
 *            '%' finds a '%' or a '*' too
 *   "!Junk"   leaves out what it matches
 *   "@sent"   the folder that has a role (RFC 6154) whatever it is called; "!@junk" leaves it out
 * A folder is taken if the last pattern that matches it takes it. No pattern matches: it is not
 * taken, unless the list begins with a "!": such a list begins with every folder.
 */
enum boxrule_kind {
	BOXRULE_PATTERN,
	BOXRULE_ROLE, /* text is the role without '@'; matches nothing until it is made a name */
	BOXRULE_NAME, /* text is a folder's whole name; no character in it is special */
};

struct boxrule {
	enum boxrule_kind kind;
	bool leave;        /* "!": matching folders are left out */
	struct slice text; /* borrowed */
};

/* One word of a list. -1 with ERR_CONF: "", "!", "@", "!@", no UTF-8, longer than BOXNAME_MAX. */
int boxrule_parse(struct slice text, struct boxrule *out, struct err *e);

/* Whether a list takes a name, whose levels stand between separators ('\0': it has one level). */
bool boxrule_takes(const struct boxrule *rules, size_t n, struct slice name, char separator);

/* One pattern, without '!' and '@', against a whole name. At most O(pattern * name). */
bool boxname_match(struct slice pattern, struct slice name, char separator);

#endif
