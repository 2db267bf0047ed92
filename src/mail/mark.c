/* Lines of other programs in a header: see mark.h. */
#include "mail/mark.h"

#include <string.h>
#include <strings.h>

/* A kind of mark: what stands before its value, of which bytes that is made, and how many. */
static const struct kind {
	const char *name;
	const char *bytes;
	size_t least, most;
} kinds[] = {
	{ "X-TUID: ", "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", 12, 12 },
	{ "X-OfflineIMAP: ", "0123456789-", 3, 32 },
};

/* Does a line begin as a mark of this kind does? Complete: it is one. */
static bool fits(const struct kind *k, const char *line, size_t n, bool complete)
{
	size_t name = strlen(k->name), value;

	if (n <= name)
		return !complete && strncasecmp(line, k->name, n) == 0;
	if (strncasecmp(line, k->name, name) != 0)
		return false;
	value = n - name;
	for (size_t i = 0; i < value; i++)
		if (line[name + i] == '\0' || !strchr(k->bytes, line[name + i]))
			return false;
	return value <= k->most && (!complete || value >= k->least);
}

static bool fits_any(const char *line, size_t n, bool complete)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (fits(&kinds[i], line, n, complete))
			return true;
	return false;
}

/* What is held is the next piece. */
static bool give_held(struct marks *m, struct slice *piece)
{
	*piece = slice_of(m->line, m->held);
	m->held = 0;
	return true;
}

/* The rest of a line that is no mark. */
static bool give_rest(struct marks *m, struct slice *in, struct slice *piece)
{
	const char *lf = memchr(in->p, '\n', in->n);

	*piece = slice_of(in->p, lf ? (size_t)(lf + 1 - in->p) : in->n);
	*in = slice_of(in->p + piece->n, in->n - piece->n);
	m->inside = !lf;
	return true;
}

/* Whole lines of which the first byte tells that they are no marks, and don't end the header either: all marks are called X-something. */
static bool give_others(struct marks *m, struct slice *in, struct slice *piece)
{
	const char *end = in->p + in->n, *at = in->p;

	while (at < end && *at != 'X' && *at != 'x' && *at != '\n' && !m->inside) {
		const char *lf = memchr(at, '\n', (size_t)(end - at));

		m->inside = !lf;
		at = lf ? lf + 1 : end;
	}
	*piece = slice_of(in->p, (size_t)(at - in->p));
	*in = slice_of(at, (size_t)(end - at));
	return piece->n > 0;
}

bool marks_next(struct marks *m, struct slice *in, struct slice *piece, bool *is_mark)
{
	*is_mark = false;
	if (in->n == 0)
		return false;
	if (m->over) {
		*piece = *in;
		in->n = 0;
		return true;
	}
	if (m->inside)
		return give_rest(m, in, piece);
	if (m->held == 0 && give_others(m, in, piece))
		return true;
	while (in->n > 0) {
		char c = in->p[0];

		*in = slice_of(in->p + 1, in->n - 1);
		m->line[m->held++] = c;
		if (c == '\n') {
			m->over = m->held == 1;
			*is_mark = fits_any(m->line, m->held - 1, true);
			return give_held(m, piece);
		}
		if (m->held == MARK_MAX || !fits_any(m->line, m->held, false)) {
			m->inside = true;
			return give_held(m, piece);
		}
	}
	return false;
}

struct slice marks_end(struct marks *m)
{
	struct slice rest;

	give_held(m, &rest);
	return rest;
}
