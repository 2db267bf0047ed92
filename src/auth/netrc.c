/* The netrc file: see netrc.h. Words stay slices of it, so that no password is copied but the one asked for. */
#include "auth/netrc.h"

#include <string.h>

struct word {
	struct slice text; /* inside the quotes, escapes untouched */
	bool quoted;
	unsigned line;
};

struct scan {
	struct slice rest;
	unsigned line;
};

/* One machine or default; words with a NULL text were not given. */
struct entry {
	struct word machine, login, password, port;
	bool is_default;
};

/* A complaint about a line; words of the file could be secrets that stand in the wrong place. */
static int bad(struct err *e, unsigned line, const char *what)
{
	return err_set(e, ERR_CONF, "line %u: %s", line, what);
}

/* What parts words. */
static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Go on by n bytes, counting lines. */
static void advance(struct scan *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (s->rest.p[i] == '\n')
			s->line++;
	s->rest.p += n;
	s->rest.n -= n;
}

/* The length of the rest of this line, its end not counted. */
static size_t line_len(const struct scan *s)
{
	const char *end = s->rest.n > 0 ? memchr(s->rest.p, '\n', s->rest.n) : NULL;

	return end ? (size_t)(end - s->rest.p) : s->rest.n;
}

/* Pass over blanks, and comments where they may stand. */
static void skip(struct scan *s, bool comments)
{
	while (s->rest.n > 0) {
		if (is_blank(s->rest.p[0]))
			advance(s, 1);
		else if (comments && s->rest.p[0] == '#')
			advance(s, line_len(s));
		else
			return;
	}
}

/* A word in quotes. */
static int quoted(struct scan *s, struct word *w, struct err *e)
{
	size_t i = 1;

	while (i < s->rest.n && s->rest.p[i] != '"' && s->rest.p[i] != '\n')
		i += s->rest.p[i] == '\\' && i + 1 < s->rest.n && s->rest.p[i + 1] != '\n' ? 2 : 1;
	if (i >= s->rest.n || s->rest.p[i] != '"')
		return bad(e, s->line, "the quotes are not closed");
	w->text = slice_of(s->rest.p + 1, i - 1);
	w->quoted = true;
	advance(s, i + 1);
	if (s->rest.n > 0 && !is_blank(s->rest.p[0]))
		return bad(e, s->line, "something stands right behind the closing quotes");
	return 1;
}

/* The next word: 1, 0 at the end, -1. */
static int next(struct scan *s, bool comments, struct word *w, struct err *e)
{
	size_t n = 0;

	skip(s, comments);
	*w = (struct word){ .line = s->line };
	if (s->rest.n == 0)
		return 0;
	if (s->rest.p[0] == '"')
		return quoted(s, w, e);
	while (n < s->rest.n && !is_blank(s->rest.p[n]))
		n++;
	w->text = slice_of(s->rest.p, n);
	advance(s, n);
	return 1;
}

/* The byte of a word at *i, which goes on past it: escapes are taken by their word. */
static char byte_at(const struct word *w, size_t *i)
{
	char c = w->text.p[(*i)++];

	if (w->quoted && c == '\\' && *i < w->text.n) {
		c = w->text.p[(*i)++];
		c = (char)(c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c);
	}
	return c;
}

/* Whether a word says the same as a string. */
static bool same(const struct word *w, const char *s, bool any_case)
{
	size_t i = 0;

	while (i < w->text.n) {
		char c = byte_at(w, &i);

		if (any_case ? !slice_ieqs(slice_of(&c, 1), (const char[]){ *s, '\0' }) : c != *s)
			return false;
		if (*s == '\0')
			return false;
		s++;
	}
	return *s == '\0';
}

/* Whether a word is a keyword; quotes make it a value. */
static bool is_key(const struct word *w, const char *key)
{
	return !w->quoted && slice_eqs(w->text, key);
}

/* Whether an entry's port is the one we dial. */
static bool port_fits(const struct word *w, const char *port)
{
	static const struct {
		const char *name, *number;
	} known[] = { { "pop3", "110" }, { "imap", "143" }, { "imaps", "993" }, { "pop3s", "995" } };

	if (!port)
		return false;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (same(w, known[i].name, true) && strcmp(port, known[i].number) == 0)
			return true;
	return same(w, port, true);
}

/* Whether an entry is the one that is looked for; "default" fits every host. */
static bool fits(const struct entry *en, const char *host, const char *port, const char *user)
{
	return en->password.text.p && (en->is_default || same(&en->machine, host, true)) &&
	       (!en->login.text.p || same(&en->login, user, false)) &&
	       (!en->port.text.p || port_fits(&en->port, port));
}

/* A macro: its name, then lines up to an empty one. */
static int macro(struct scan *s, unsigned line, struct err *e)
{
	struct word name;
	int rc = next(s, false, &name, e);

	if (rc <= 0)
		return rc < 0 ? rc : bad(e, line, "a macdef without a name");
	advance(s, line_len(s));
	while (s->rest.n > 0) {
		size_t n;

		advance(s, 1); /* the end of the line before */
		n = line_len(s);
		if (n == 0 || (n == 1 && s->rest.p[0] == '\r'))
			break;
		advance(s, n);
	}
	return 0;
}

/* Where the value of a keyword goes in an entry; NULL for what is no keyword. */
static struct word *place(struct entry *en, const struct word *key, struct word *unused)
{
	return is_key(key, "login") || is_key(key, "user") ? &en->login :
	       is_key(key, "password") || is_key(key, "passwd") ? &en->password :
	       is_key(key, "port") ? &en->port :
	       is_key(key, "account") ? unused : NULL;
}

/* Read the entry that *key begins. *key becomes the keyword that begins the next one: 1; 0 at the end. */
static int read_entry(struct scan *s, struct word *key, struct entry *en, struct err *e)
{
	struct word unused;
	int rc = 1;

	*en = (struct entry){ .is_default = is_key(key, "default") };
	if (!en->is_default && (rc = next(s, false, &en->machine, e)) <= 0)
		return rc < 0 ? rc : bad(e, key->line, "a machine without a name");
	while ((rc = next(s, true, key, e)) > 0 && !is_key(key, "machine") && !is_key(key, "default")) {
		struct word *to = place(en, key, &unused);

		if (is_key(key, "macdef")) {
			if (macro(s, key->line, e) < 0)
				return -1;
			continue;
		}
		if (!to)
			return bad(e, key->line,
				   "login, password, account, port, macdef, machine or default must stand here (a value "
				   "with blanks needs quotes)");
		rc = next(s, false, to, e);
		if (rc <= 0)
			return rc < 0 ? rc : bad(e, key->line, "the last keyword has no value");
	}
	return rc;
}

/* Hand the password over. */
static int give(const struct word *w, struct strbuf *password, struct err *e)
{
	size_t i = 0;

	while (i < w->text.n)
		if (strbuf_putc(password, byte_at(w, &i)) < 0)
			return bad(e, w->line, "the password is too long");
	return 1;
}

/* Pass over macros and comments before the first entry: 1 and its keyword, 0 at the end. */
static int first_entry(struct scan *s, struct word *key, struct err *e)
{
	int rc;

	while ((rc = next(s, true, key, e)) > 0 && !is_key(key, "machine") && !is_key(key, "default")) {
		if (!is_key(key, "macdef"))
			return bad(e, key->line, "machine, default or macdef must stand here");
		if (macro(s, key->line, e) < 0)
			return -1;
	}
	return rc;
}

/* The whole file is read even when the first line fits, so that its errors don't depend on who asks. */
int netrc_find(struct slice text, const char *host, const char *port, const char *user, struct strbuf *password,
	       struct err *e)
{
	struct scan s = { text, 1 };
	struct entry found = { .is_default = true }, en;
	struct word key;
	int more = first_entry(&s, &key, e);

	while (more > 0) {
		more = read_entry(&s, &key, &en, e);
		/* a machine beats a default before it; else the first stays */
		if (more >= 0 && fits(&en, host, port, user) &&
		    (!found.password.text.p || (found.is_default && !en.is_default)))
			found = en;
	}
	if (more < 0)
		return -1;
	return found.password.text.p ? give(&found.password, password, e) : 0;
}
