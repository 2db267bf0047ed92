/* Reading an mbox: see mboxread.h. */
#include "store/mboxread.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/mboxform.h"

#define BUFFER 262144
#define LINE_MAX_SEEN 65536 /* a line is looked at when it is whole, or that long */
#define LENGTH_MAX (INT64_MAX / 4)

struct reader {
	int fd;
	enum mbox_variant variant;
	struct keyword_view *view;
	int (*cb)(void *arg, const struct mboxread_msg *m, struct err *e);
	void *arg;
	char *buf;
	int64_t base;        /* place in the file of buf's first byte */
	size_t n;            /* bytes in buf */
	size_t at;           /* of them are dealt with */
	size_t put;          /* of them the digest has; what stands between is the message's, or an empty line that may be none of its own */
	bool eof;
	struct mboxkey key;
	struct mboxread_msg m;
	bool in_record, header, blank, mid; /* blank: the line before was empty; mid: within a long line */
	int last_note;       /* of the header line before, for its continuation; -1 */
	bool any_note, any_field;
	char last;           /* byte of the message */
	bool marked;         /* as the internal data of a mail server */
	int64_t length;      /* Content-Length; -1 none */
	int64_t seen;        /* records so far */
	bool first;          /* the first is that of the file */
	bool undated;        /* and has no date */
};

/* Fill the buffer behind what must stay. 1, 0 at the end, -1. */
static int fill(struct reader *r, struct err *e)
{
	ssize_t got;

	if (r->put > 0) {
		memmove(r->buf, r->buf + r->put, r->n - r->put);
		r->base += (int64_t)r->put;
		r->n -= r->put;
		r->at -= r->put;
		r->put = 0;
	}
	if (clock_check(e) < 0)
		return -1;
	do {
		got = pread(r->fd, r->buf + r->n, BUFFER - r->n, r->base + (int64_t)r->n);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return err_errno(e, "can't read the mbox");
	r->n += (size_t)got;
	r->eof = got == 0;
	return got > 0;
}

/* The message has all bytes up to this place of the buffer. */
static int put_to(struct reader *r, size_t to, struct err *e)
{
	size_t from = r->put;

	r->put = to;
	if (to > from)
		r->last = r->buf[to - 1];
	return to == from ? 0 : mboxkey_put(&r->key, r->buf + from, to - from, e);
}

/* The line at `at`, without its end; *whole: it has one. -1; else how many bytes it takes. */
static ssize_t take_line(struct reader *r, struct slice *line, bool *whole, struct err *e)
{
	for (;;) {
		const char *p = r->buf + r->at, *lf = r->n > r->at ? memchr(p, '\n', r->n - r->at) : NULL;
		size_t have = r->n - r->at, n = lf ? (size_t)(lf + 1 - p) : have;
		int rc;

		*whole = lf != NULL;
		if (lf || have >= LINE_MAX_SEEN || r->eof) {
			*line = slice_of(p, n - (lf != NULL));
			if (lf && line->n > 0 && line->p[line->n - 1] == '\r')
				line->n--;
			return (ssize_t)n;
		}
		rc = fill(r, e);
		if (rc < 0)
			return -1;
	}
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The place of one of the names in a list of three letters each, at p; -1. */
static int name_at(const char *p, const char *list)
{
	for (int i = 0; list[3 * i]; i++)
		if (memcmp(p, list + (ptrdiff_t)3 * i, 3) == 0)
			return i;
	return -1;
}

static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

/* "Tue Nov 14 22:13:20 2023", seconds or not, an offset before the year or behind it; other names of zones are taken for UTC. */
static bool parse_date(struct slice rest, int64_t *out)
{
	struct slice word = slice_word(&rest), month = slice_word(&rest), day = slice_word(&rest), time = slice_word(&rest);
	uint64_t mday, hour, min, sec = 0, year = 0, zone = 0;
	int mon, sign = 0;
	struct tm tm = { 0 };

	if (word.n != 3 || name_at(word.p, days) < 0 || month.n != 3 || (mon = name_at(month.p, months)) < 0 || !slice_u64(day, 31, &mday) || mday == 0)
		return false;
	if (time.n < 5 || time.p[2] != ':' || !slice_u64(slice_of(time.p, 2), 23, &hour) || !slice_u64(slice_of(time.p + 3, 2), 59, &min))
		return false;
	if (time.n == 8 && (time.p[5] != ':' || !slice_u64(slice_of(time.p + 6, 2), 60, &sec)))
		return false;
	while ((word = slice_word(&rest)).n > 0) {
		if (word.n == 4 && year == 0)
			slice_u64(word, 9999, &year);
		else if (word.n == 5 && (word.p[0] == '+' || word.p[0] == '-') && slice_u64(slice_of(word.p + 1, 4), 1400, &zone))
			sign = word.p[0] == '+' ? 1 : -1;
	}
	if (year < 1970)
		return false;
	tm = (struct tm){ .tm_year = (int)year - 1900, .tm_mon = mon, .tm_mday = (int)mday, .tm_hour = (int)hour, .tm_min = (int)min, .tm_sec = (int)sec };
	*out = timegm(&tm) - sign * (int64_t)((zone / 100 * 60 + zone % 100) * 60);
	return *out > 0;
}

/* The address may hold blanks, and weekdays: the date is the last thing of the line that looks like one. */
bool mboxread_date(struct slice line, int64_t *out)
{
	bool found = false;

	for (size_t i = 5; i + 16 < line.n; i++)
		if (line.p[i - 1] == ' ' && line.p[i + 3] == ' ' && name_at(line.p + i, days) >= 0)
			found = parse_date(slice_of(line.p + i, line.n - i), out) || found;
	return found;
}

/* Has the line a weekday and, behind it, a time of day? */
static bool looks_dated(struct slice line)
{
	bool day = false;

	for (size_t i = 5; i + 2 < line.n; i++) {
		day = day || (line.p[i - 1] == ' ' && name_at(line.p + i, days) >= 0);
		if (day && is_digit(line.p[i - 1]) && line.p[i] == ':' && is_digit(line.p[i + 1]))
			return true;
	}
	return false;
}

/*
 * Does a record begin? Behind an empty line an address may be all that stands in the line, and whatever else in a file whose first record has no date either; more words without one are the
 * text of somebody who has quoted nothing.
 */
static bool is_from(const struct reader *r, struct slice line)
{
	struct slice rest = line;

	if (r->mid || line.n < 5 || memcmp(line.p, "From ", 5) != 0)
		return false;
	if (r->seen == 0 || looks_dated(line))
		return true;
	if (!r->blank)
		return false;
	slice_word(&rest);
	slice_word(&rest);
	return r->undated || slice_word(&rest).n == 0;
}

static int begin_record(struct reader *r, struct slice line, size_t n, bool whole)
{
	struct digest *d = r->key.digest;

	r->m = (struct mboxread_msg){ .start = r->base + (int64_t)r->at, .crlf = whole && n == line.n + 2 };
	r->m.head = r->m.start + (int64_t)n;
	if (!mboxread_date(line, &r->m.date))
		r->m.date = 0;
	r->in_record = r->header = true;
	r->mid = !whole;
	r->blank = r->any_note = r->any_field = r->marked = false;
	r->last_note = -1;
	r->length = -1;
	r->undated |= r->seen == 0 && !looks_dated(line);
	r->seen++;
	mboxkey_init(&r->key, r->variant, d);
	r->at += n;
	r->put = r->at;
	return 0;
}

/* The record ends before `stop`; what is held of an empty line is none of it. */
static int end_record(struct reader *r, int64_t stop, struct err *e)
{
	struct mboxread_msg *m = &r->m;

	if (!r->in_record)
		return 0;
	r->in_record = false;
	m->stop = stop;
	m->end = r->base + (int64_t)r->put;
	if (m->end > m->head && r->last != '\n' && mboxkey_put(&r->key, "\n", 1, e) < 0)
		return -1;
	if (mboxkey_end(&r->key, m->digest, e) < 0)
		return -1;
	if (r->header) /* it has no end */
		m->body = m->end + 1;
	m->only_notes = r->any_note && !r->any_field && !r->header;
	m->size = r->key.bytes - (m->only_notes && m->end >= m->body ? 1 : 0);
	m->no_header |= !r->any_note && !r->any_field;
	m->internal = r->seen == 1 && r->first && r->marked;
	return r->cb(r->arg, m, e);
}

/* A line of the header. */
static int header_line(struct reader *r, struct slice line, struct err *e)
{
	static const char internal[] = "DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA";
	bool more = line.n > 0 && (line.p[0] == ' ' || line.p[0] == '\t');
	const char *colon = line.n > 0 ? memchr(line.p, ':', line.n) : NULL;
	struct slice name = slice_trim(slice_of(line.p, colon ? (size_t)(colon - line.p) : 0)), value;
	size_t at = 0;
	int which = more ? r->last_note : mboxnotes_which(line, &at);
	uint64_t length;

	if (r->base + (int64_t)r->at == r->m.head)
		r->m.no_header = more || name.n == 0 || memchr(name.p, ' ', name.n);
	if (!more)
		r->last_note = which;
	value = slice_of(line.p + at, line.n - at);
	if (which >= 0) {
		int64_t place = r->base + (int64_t)(r->at + at) - r->m.start;

		r->m.notes.irregular |= more || r->m.notes.field[which].there || place > UINT32_MAX / 2;
		r->m.notes.field[which].there = true;
		r->m.notes.field[which].at = (uint32_t)place;
		r->m.notes.field[which].room = (uint32_t)value.n;
		r->any_note = true;
		return mboxnotes_flags(which, value, r->view, &r->m.flags, e);
	}
	if (more)
		return 0;
	if (colon && slice_ieqs(name, "Content-Length"))
		r->length = slice_u64(slice_trim(slice_of(colon + 1, line.n - (size_t)(colon + 1 - line.p))), LENGTH_MAX, &length) ? (int64_t)length : -1;
	if (colon && (slice_ieqs(name, "X-IMAP") || (slice_ieqs(name, "Subject") && slice_eqs(slice_trim(slice_of(colon + 1, line.n - (size_t)(colon + 1 - line.p))), internal))))
		r->marked = true;
	if (colon && r->first && r->seen == 1 && r->m.base_at == 0 && (slice_ieqs(name, "X-IMAPbase") || slice_ieqs(name, "X-IMAP"))) {
		r->m.base_at = r->base + (int64_t)r->at + (colon + 1 - line.p);
		r->m.base_room = (uint32_t)(line.n - (size_t)(colon + 1 - line.p));
	}
	if (colon && mboxform_is_note(name))
		r->any_note = true;
	else
		r->any_field = true;
	return 0;
}

/* Whether a record ends at a place of the file: 1, 0, -1. */
static int ends_at(const struct reader *r, int64_t at, struct err *e)
{
	char b[8];
	ssize_t n;

	do {
		n = at > 0 ? pread(r->fd, b, sizeof(b), at - 1) : 0;
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_errno(e, "can't read the mbox");
	if (n == 0 || b[0] != '\n')
		return n == 1; /* the file ends there, in whatever */
	if (n == 1 || (n > 5 && memcmp(b + 1, "From ", 5) == 0))
		return 1;
	for (ssize_t i = 1; i < 3 && i < n; i++) {
		if (b[i] == '\r' && i == 1)
			continue;
		if (b[i] != '\n')
			return 0;
		return i + 1 == n || (n - i > 5 && memcmp(b + i + 1, "From ", 5) == 0);
	}
	return 0;
}

/* The header is over, and says how long the body is: pass over it, if that can be. 1: so it was. */
static int skip_counted(struct reader *r, struct err *e)
{
	int64_t to = r->m.body + r->length;
	int rc;

	if (r->length <= 0)
		return 0;
	rc = ends_at(r, to, e);
	if (rc <= 0)
		return rc;
	while (r->base + (int64_t)r->n < to) {
		r->at = r->n;
		if (put_to(r, r->n, e) < 0)
			return -1;
		rc = fill(r, e);
		if (rc <= 0)
			return rc < 0 ? -1 : 1; /* it was made shorter meanwhile */
	}
	r->at = (size_t)(to - r->base);
	return put_to(r, r->at, e) < 0 ? -1 : 1;
}

/* A line of a record. */
static int record_line(struct reader *r, struct slice line, size_t n, bool whole, struct err *e)
{
	bool first_part = !r->mid, empty = whole && line.n == 0 && first_part;

	if (r->header && first_part && !empty && header_line(r, line, e) < 0)
		return -1;
	r->mid = !whole;
	if (!empty) {
		r->at += n;
		r->blank = false;
		return put_to(r, r->at, e);
	}
	/* it is held back until what follows tells whose it is */
	if (put_to(r, r->at, e) < 0)
		return -1;
	r->at += n;
	r->blank = true;
	if (r->header) {
		int rc;

		r->header = false;
		r->m.body = r->base + (int64_t)r->at;
		rc = skip_counted(r, e);
		if (rc < 0)
			return -1;
		if (rc > 0)
			r->blank = false;
	}
	return 0;
}

static int no_mbox(struct err *e)
{
	err_set(e, ERR_LOCAL, "this is no mbox: it doesn't start with \"From \"");
	return err_hint(e, "move it away, or name another file");
}

static int walk(struct reader *r, struct err *e)
{
	for (;;) {
		struct slice line;
		bool whole;
		ssize_t n = take_line(r, &line, &whole, e);

		if (n < 0)
			return -1;
		if (n == 0)
			return end_record(r, r->base + (int64_t)r->n, e);
		if (is_from(r, line)) {
			if (end_record(r, r->base + (int64_t)r->at, e) < 0 || begin_record(r, line, (size_t)n, whole) < 0)
				return -1;
		} else if (!r->in_record) {
			if (line.n > 0)
				return no_mbox(e);
			r->put = r->at += (size_t)n;
		} else if (record_line(r, line, (size_t)n, whole, e) < 0) {
			return -1;
		}
	}
}

int mboxread(int fd, enum mbox_variant v, struct keyword_view *view, int64_t from, int (*cb)(void *arg, const struct mboxread_msg *m, struct err *e), void *arg, struct err *e)
{
	struct reader r = { .fd = fd, .variant = v, .view = view, .cb = cb, .arg = arg, .base = from, .first = from == 0, .last_note = -1 };
	int rc = -1;

	r.buf = malloc(BUFFER);
	r.key.digest = digest_new(e);
	if (!r.buf)
		err_set(e, ERR_LOCAL, "out of memory");
	else if (r.key.digest)
		rc = walk(&r, e);
	digest_free(r.key.digest);
	free(r.buf);
	return rc;
}
