/*
 * Facts from a message's header: see header.h. A field is gathered as one logical line, folds removed; its LF stays at the end of `line` as a mark
 * until the next byte tells whether the field goes on (a blank or tab) or is over.
 */
#include "mail/header.h"

#include <string.h>
#include <strings.h>

#include "base/slice.h"

#define RECEIVED_NAME 9 /* "Received:" */
#define AHEAD_MAX 86400 /* seconds that a clock elsewhere may be ahead of ours */

/* Start a message. */
void header_init(struct header *h)
{
	memset(h, 0, sizeof(*h));
}

/* Whether byte c may stand in a field's name (RFC 5322 section 3.6.8). */
static bool name_byte(char c)
{
	return c > ' ' && c < 0x7f && c != ':';
}

/* Cut a field into name and value; false when it isn't one. */
static bool split_field(const char *line, size_t len, struct slice *name, struct slice *value)
{
	size_t n = 0, colon;

	while (n < len && name_byte(line[n]))
		n++;
	colon = n;
	while (colon < len && (line[colon] == ' ' || line[colon] == '\t')) /* obsolete, but met */
		colon++;
	if (n == 0 || colon >= len || line[colon] != ':')
		return false;
	*name = slice_of(line, n);
	*value = slice_trim(slice_of(line + colon + 1, len - colon - 1));
	return true;
}

/* Copy a value as text: control bytes become blanks or '?'. Cut to size - 1. */
static void copy_text(char *out, size_t size, struct slice v)
{
	size_t n = v.n < size - 1 ? v.n : size - 1;

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)v.p[i];

		out[i] = c == '\t' ? ' ' : c < ' ' || c == 0x7f ? '?' : v.p[i];
	}
	out[n] = '\0';
}

/* The address between < and >; quoted local parts may hold either. Empty when there is none, or when the brackets aren't closed. */
static struct slice angle(struct slice v, bool keep)
{
	const char *open = v.n ? memchr(v.p, '<', v.n) : NULL;
	bool quoted = false;

	if (!open)
		return slice_of(NULL, 0);
	for (const char *p = open + 1; p < v.p + v.n; p++) {
		if (quoted && *p == '\\' && p + 1 < v.p + v.n)
			p++;
		else if (*p == '"')
			quoted = !quoted;
		else if (*p == '>' && !quoted)
			return keep ? slice_of(open, (size_t)(p + 1 - open)) :
			              slice_trim(slice_of(open + 1, (size_t)(p - open - 1)));
	}
	return slice_of(NULL, 0);
}

/* Return-Path: the bare address. A source route before it (RFC 5321 section 4.1.1.3) is dropped, an address beyond the limit is none. */
static void take_return_path(struct header *h, struct slice v)
{
	struct slice a = v.n && memchr(v.p, '<', v.n) ? angle(v, false) : slice_word(&v);
	const char *colon;

	h->has_return_path = true;
	if (a.n && a.p[0] == '@' && (colon = memchr(a.p, ':', a.n)))
		a = slice_of(colon + 1, a.n - (size_t)(colon + 1 - a.p));
	if (a.n < sizeof(h->return_path))
		copy_text(h->return_path, sizeof(h->return_path), a);
}

/* A field is complete: see what it tells. The first of a kind counts. */
static void take_field(struct header *h)
{
	struct slice name, value;
	size_t len = h->len;

	h->len = 0;
	if (!split_field(h->line, len, &name, &value)) {
		h->done = true;
		return;
	}
	if (slice_ieqs(name, "Return-Path") && !h->has_return_path) {
		take_return_path(h, value);
	} else if (slice_ieqs(name, "Message-ID") && !h->message_id[0]) {
		value = angle(value, true);
		if (value.n < sizeof(h->message_id))
			copy_text(h->message_id, sizeof(h->message_id), value);
	} else if (slice_ieqs(name, "Received") && !h->received_seen) {
		const char *semi = value.n ? memrchr(value.p, ';', value.n) : NULL;

		h->received_seen = true;
		if (semi)
			copy_text(h->received, sizeof(h->received),
			          slice_trim(slice_of(semi + 1, value.n - (size_t)(semi + 1 - value.p))));
	} else if (slice_ieqs(name, "Date") && !h->date[0]) {
		copy_text(h->date, sizeof(h->date), value);
	}
}

/* Add a byte to the field. Of one that is too long the rest is dropped, but of Received the end matters: there is its date. */
static void add_byte(struct header *h, char c)
{
	const size_t max = sizeof(h->line) - 1; /* the last place is for the mark */

	if (h->len == max) {
		const size_t half = max / 2;

		if (strncasecmp(h->line, "Received:", RECEIVED_NAME) != 0)
			return;
		memmove(h->line + RECEIVED_NAME, h->line + half, max - half);
		h->len = RECEIVED_NAME + max - half;
	}
	h->line[h->len++] = c;
}

/* Add what follows a byte in its line, as far as there is room: so many bytes. */
static size_t add_run(struct header *h, const char *p, size_t n)
{
	const size_t room = sizeof(h->line) - 1 - h->len, left = HEADER_MAX - h->seen;
	const char *end;

	if (n > room)
		n = room;
	if (n > left)
		n = left;
	end = n > 0 ? memchr(p, '\n', n) : NULL;
	if (end)
		n = (size_t)(end - p);
	memcpy(h->line + h->len, p, n);
	h->len += n;
	h->seen += n;
	return n;
}

/* A line ends. Without anything in it, so does the header. */
static void end_line(struct header *h)
{
	if (h->len > 0 && h->line[h->len - 1] == '\r')
		h->len--;
	if (h->len == 0)
		h->done = true;
	else
		h->line[h->len++] = '\n';
}

/* Take a piece of the message. */
void header_put(struct header *h, const char *p, size_t n)
{
	for (size_t i = 0; i < n && !h->done; i++) {
		if (++h->seen > HEADER_MAX) {
			h->done = true;
			return;
		}
		if (h->len > 0 && h->line[h->len - 1] == '\n') {
			h->len--;
			if (p[i] != ' ' && p[i] != '\t') {
				take_field(h);
				if (h->done)
					return;
			}
		}
		if (p[i] == '\n') {
			end_line(h);
			continue;
		}
		add_byte(h, p[i]);
		i += add_run(h, p + i + 1, n - i - 1);
	}
}

/* The message is over. */
void header_end(struct header *h)
{
	if (!h->done && h->len > 0)
		take_field(h);
	h->done = true;
}

/* Skip blanks, tabs, line ends and comments, which nest (RFC 5322 section 3.2.2); false when a comment has no end. */
static bool skip_cfws(struct slice *s)
{
	size_t depth = 0, i;

	for (i = 0; i < s->n; i++) {
		char c = s->p[i];

		if (c == '(')
			depth++;
		else if (depth > 0 && c == ')')
			depth--;
		else if (depth > 0 && c == '\\')
			i++;
		else if (depth == 0 && c != ' ' && c != '\t' && c != '\r' && c != '\n')
			break;
	}
	if (i > s->n)
		i = s->n;
	*s = slice_of(s->p + i, s->n - i);
	return depth == 0;
}

/* Cut off a number of min to max digits, then comments and blanks. */
static bool take_number(struct slice *s, size_t min, size_t max, int *out)
{
	size_t n = 0;
	uint64_t value;

	while (n < s->n && n < max && s->p[n] >= '0' && s->p[n] <= '9')
		n++;
	if (n < min || (n < s->n && s->p[n] >= '0' && s->p[n] <= '9') || !slice_u64(slice_of(s->p, n), 99999, &value))
		return false;
	*out = (int)value;
	*s = slice_of(s->p + n, s->n - n);
	return skip_cfws(s);
}

/* Cut off a word of letters, then comments and blanks. */
static struct slice take_alpha(struct slice *s)
{
	struct slice word;
	size_t n = 0;

	while (n < s->n && ((s->p[n] >= 'a' && s->p[n] <= 'z') || (s->p[n] >= 'A' && s->p[n] <= 'Z')))
		n++;
	word = slice_of(s->p, n);
	*s = slice_of(s->p + n, s->n - n);
	if (!skip_cfws(s))
		word.n = 0;
	return word;
}

/* Cut off one byte, then comments and blanks. */
static bool take_byte(struct slice *s, char c)
{
	if (s->n == 0 || s->p[0] != c)
		return false;
	*s = slice_of(s->p + 1, s->n - 1);
	return skip_cfws(s);
}

/* The place of a word in a table; -1 when it isn't in it. */
static int word_index(struct slice word, const char *const *table, int n)
{
	for (int i = 0; i < n; i++)
		if (slice_ieqs(word, table[i]))
			return i;
	return -1;
}

/* Minutes east of UTC. Names that nobody knows, and military letters, are UTC (RFC 5322 section 4.3); no zone at all is taken for UTC too. */
static bool take_zone(struct slice *s, int *minutes)
{
	static const struct {
		const char *name;
		int hours;
	} zones[] = { { "EDT", -4 }, { "EST", -5 }, { "CDT", -5 }, { "CST", -6 }, { "MDT", -6 }, { "MST", -7 }, { "PDT", -7 }, { "PST", -8 } };
	int sign = s->n && s->p[0] == '-' ? -1 : 1, hhmm;
	struct slice name;

	*minutes = 0;
	if (s->n == 0)
		return true;
	if (s->p[0] == '+' || s->p[0] == '-') {
		*s = slice_of(s->p + 1, s->n - 1);
		if (!take_number(s, 4, 4, &hhmm) || hhmm % 100 > 59)
			return false;
		*minutes = sign * (hhmm / 100 * 60 + hhmm % 100);
		return true;
	}
	name = take_alpha(s);
	for (size_t i = 0; i < sizeof(zones) / sizeof(zones[0]); i++)
		if (slice_ieqs(name, zones[i].name))
			*minutes = zones[i].hours * 60;
	return name.n > 0;
}

/* Days from 1970-01-01 to a day of the Gregorian calendar (month 1 to 12). */
static int64_t days_of(int year, int month, int day)
{
	static const int before[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	int64_t y = year - 1;

	return y * 365 + y / 4 - y / 100 + y / 400 - 719162 + before[month - 1] + (leap && month > 2) + day - 1;
}

/* Day, month and year. */
static bool take_day(struct slice *s, int64_t *days)
{
	static const char *const weekdays[] = { "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun" };
	static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	static const int lengths[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	struct slice word = take_alpha(s);
	size_t digits = 0;
	int day, month, year;

	if (word.n > 0 && word_index(word, weekdays, 7) < 0)
		return false;
	if (word.n > 0)
		take_byte(s, ','); /* left out by some */
	if (!take_number(s, 1, 2, &day))
		return false;
	month = word_index(take_alpha(s), months, 12);
	while (digits < s->n && s->p[digits] >= '0' && s->p[digits] <= '9')
		digits++;
	if (month < 0 || !take_number(s, 2, 4, &year))
		return false;
	if (digits < 4)
		year += digits == 2 && year < 50 ? 2000 : 1900;
	if (year < 1 || day < 1 || day > lengths[month])
		return false;
	if (month == 1 && day == 29 && days_of(year, 3, 1) - days_of(year, 2, 1) == 28)
		return false;
	*days = days_of(year, month + 1, day);
	return true;
}

/* A date of RFC 5322 section 3.3 or 4.3. */
bool header_date(const char *value, int64_t *out)
{
	const int64_t latest = 4102444800; /* 2100-01-01 */
	struct slice s = slice_str(value);
	int hour, minute, second = 0, zone;
	int64_t days, t;

	if (!skip_cfws(&s) || !take_day(&s, &days))
		return false;
	if (!take_number(&s, 1, 2, &hour) || !take_byte(&s, ':') || !take_number(&s, 2, 2, &minute))
		return false;
	if (take_byte(&s, ':') && !take_number(&s, 2, 2, &second))
		return false;
	if (hour > 23 || minute > 59 || second > 60 || !take_zone(&s, &zone) || s.n > 0)
		return false;
	t = days * 86400 + hour * 3600 + minute * 60 + second - zone * 60;
	*out = t < 0 ? 0 : t > latest ? latest : t;
	return true;
}

/* A message's date, of the two fields that may tell it. */
int64_t header_when(const struct header *h, int64_t now)
{
	int64_t t;

	if ((!header_date(h->received, &t) || t == 0) && !header_date(h->date, &t))
		return 0;
	return t <= now + AHEAD_MAX ? t : 0;
}
