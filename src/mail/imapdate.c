/* INTERNALDATE: see imapdate.h. */
#include "mail/imapdate.h"

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>

#define DAY 86400

static const char *const months[] = {
	"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
};

/* Days of a year before a month (0 to 11). */
static const int before[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334 };

/* Whether a year has a 29th of February. */
static bool is_leap(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Days of a year before a month (0 to 12). */
static int days_before(int year, int month)
{
	assert(month >= 0 && month <= 12);
	return month == 12 ? 365 + is_leap(year) : before[month] + (month > 1 && is_leap(year));
}

/* Days from 1970-01-01 to a year's first day. */
static int64_t days_to(int year)
{
	int64_t y = year - 1;

	return y * 365 + y / 4 - y / 100 + y / 400 - 719162;
}

/* Cut blanks off; whether there was one. */
static bool take_blanks(struct slice *s)
{
	bool some = false;

	for (; s->n > 0 && s->p[0] == ' '; some = true)
		*s = slice_of(s->p + 1, s->n - 1);
	return some;
}

/* Cut a byte off. */
static bool take_byte(struct slice *s, char c)
{
	if (s->n == 0 || s->p[0] != c)
		return false;
	*s = slice_of(s->p + 1, s->n - 1);
	return true;
}

/* Cut a number of min to max digits off, with a value of low to high. */
static bool take_number(struct slice *s, size_t min, size_t max, int low, int high, int *out)
{
	size_t digits = 0;
	uint64_t value;

	while (digits < max && digits < s->n && s->p[digits] >= '0' && s->p[digits] <= '9')
		digits++;
	if (digits < min || !slice_u64(slice_of(s->p, digits), (uint64_t)high, &value))
		return false;
	*out = (int)value;
	*s = slice_of(s->p + digits, s->n - digits);
	return *out >= low;
}

/* Cut "Jul" off, in any case. */
static bool take_month(struct slice *s, int *out)
{
	for (int month = 0; month < 12; month++) {
		if (slice_istarts(*s, months[month])) {
			*out = month;
			*s = slice_of(s->p + 3, s->n - 3);
			return true;
		}
	}
	return false;
}

/* The zone, which is all that is left, in minutes east of Greenwich. */
static bool take_zone(struct slice s, int *out)
{
	int sign, hours, minutes;

	*out = 0;
	if (s.n == 0 || slice_ieqs(s, "UTC") || slice_ieqs(s, "GMT") || slice_ieqs(s, "UT") ||
	    slice_ieqs(s, "Z"))
		return true;
	sign = s.p[0] == '-' ? -1 : 1;
	if (!take_byte(&s, '+') && !take_byte(&s, '-'))
		return false;
	if (!take_number(&s, 2, 2, 0, 23, &hours) || !take_number(&s, 2, 2, 0, 59, &minutes))
		return false;
	if (s.n > 0)
		return false;
	*out = sign * (hours * 60 + minutes);
	return true;
}

/* Blanks at both ends off; the lexer has taken care of line ends. */
static struct slice trim(struct slice s)
{
	take_blanks(&s);
	while (s.n > 0 && s.p[s.n - 1] == ' ')
		s.n--;
	return s;
}

/* Within the range that has four digits for the year. */
static int64_t clamp(int64_t t)
{
	return t < IMAPDATE_MIN ? IMAPDATE_MIN : t > IMAPDATE_MAX ? IMAPDATE_MAX : t;
}

/* date-time, or what comes near. */
static bool parse(struct slice s, int64_t *out)
{
	int day, month, year, hour, minute, second, zone;
	int64_t days;

	s = trim(s);
	if (!take_number(&s, 1, 2, 1, 31, &day) || !take_byte(&s, '-') || !take_month(&s, &month) ||
	    !take_byte(&s, '-') || !take_number(&s, 4, 4, 1, 9999, &year))
		return false;
	if (day > days_before(year, month + 1) - days_before(year, month))
		return false;
	if (!take_blanks(&s) || !take_number(&s, 2, 2, 0, 23, &hour) || !take_byte(&s, ':') ||
	    !take_number(&s, 2, 2, 0, 59, &minute) || !take_byte(&s, ':') ||
	    !take_number(&s, 2, 2, 0, 60, &second))
		return false;
	if (s.n > 0 && !take_blanks(&s))
		return false;
	if (!take_zone(s, &zone))
		return false;
	days = days_to(year) + days_before(year, month) + day - 1;
	second += hour * 3600 + (minute - zone) * 60;
	*out = clamp(days * DAY + second);
	return true;
}

/* A date's seconds. */
int imapdate_parse(struct slice text, int64_t *out, struct err *e)
{
	char shown[64];

	if (parse(text, out))
		return 0;
	err_printable(shown, sizeof(shown), text.p, text.n);
	return err_set_span(e, ERR_PROTO, SPAN_MSG, "'%s' is no date of a message", shown);
}

/* Two digits. */
static char *put_two(char *p, int value)
{
	*p++ = (char)('0' + value / 10);
	*p++ = (char)('0' + value % 10);
	return p;
}

/* A date's text. */
void imapdate_print(int64_t t, char out[IMAPDATE_TEXT])
{
	static const char zone[] = " +0000";
	int64_t days = (clamp(t) - IMAPDATE_MIN) / DAY; /* since 0001-01-01: never negative */
	int second = (int)((clamp(t) - IMAPDATE_MIN) % DAY), month = 0, day, year;
	char *p = out;

	/* a year too high at most, for no year has fewer than 365 days */
	year = (int)(days / 365) + 1;
	while (days_to(year) - days_to(1) > days)
		year--;
	day = (int)(days - (days_to(year) - days_to(1)));
	while (day >= days_before(year, month + 1))
		month++;
	p = put_two(p, day - days_before(year, month) + 1);
	*p++ = '-';
	for (int i = 0; i < 3; i++)
		*p++ = months[month][i];
	*p++ = '-';
	p = put_two(put_two(p, year / 100), year % 100);
	*p++ = ' ';
	p = put_two(p, second / 3600);
	*p++ = ':';
	p = put_two(p, second / 60 % 60);
	*p++ = ':';
	p = put_two(p, second % 60);
	for (size_t i = 0; i < sizeof(zone); i++)
		*p++ = zone[i];
}
