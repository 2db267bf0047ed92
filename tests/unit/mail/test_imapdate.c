/* Dates of messages as IMAP has them; the C library's calendar is the witness. */
#include "../../lib/unit.h"

#include <time.h>

#include "mail/imapdate.h"

static void dates(void **state)
{
	static const struct {
		const char *text;
		int64_t t;
	} rows[] = {
		{ "01-Jan-1970 00:00:00 +0000", 0 },
		{ " 1-Jan-1970 00:00:00 +0000", 0 },
		{ "17-Jul-1996 02:44:25 -0700", 837596665 },
		{ "17-Jul-1996 09:44:25 +0000", 837596665 },
		{ "17-Jul-1996 15:14:25 +0530", 837596665 },
		{ "31-Dec-1969 23:59:59 +0000", -1 },
		{ "01-Jan-1970 00:00:00 +0100", -3600 },
		{ "01-Jan-1970 00:00:00 -0030", 1800 },
		{ "29-Feb-2000 12:00:00 +0000", 951825600 },
		{ "29-Feb-2024 23:59:59 -1200", 1709294399 },
		{ "19-Jan-2038 03:14:08 +0000", 2147483648 },
		{ "01-Jan-2100 00:00:00 +0000", 4102444800 },
		{ "01-Jan-0001 00:00:00 +0000", IMAPDATE_MIN },
		{ "31-Dec-9999 23:59:59 +0000", IMAPDATE_MAX },
		/* clamped */
		{ "01-Jan-0001 00:00:00 +0001", IMAPDATE_MIN },
		{ "01-Jan-0001 05:00:00 +1400", IMAPDATE_MIN },
		{ "31-Dec-9999 23:59:59 -0001", IMAPDATE_MAX },
		{ "31-Dec-9999 23:59:60 +0000", IMAPDATE_MAX },
		/* tolerated */
		{ "1-Jan-1970 00:00:00 +0000", 0 },
		{ "  1-Jan-1970  00:00:01   +0000  ", 1 },
		{ "01-jan-1970 00:00:00 +0000", 0 },
		{ "01-JAN-1970 00:00:00 -0000", 0 },
		{ "01-Jan-1970 00:00:05", 5 },
		{ "01-Jan-1970 00:00:05 ", 5 },
		{ "01-Jan-1970 00:00:05 GMT", 5 },
		{ "01-Jan-1970 00:00:05 UTC", 5 },
		{ "01-Jan-1970 00:00:05 ut", 5 },
		{ "01-Jan-1970 00:00:05 Z", 5 },
		{ "31-Dec-2016 23:59:60 +0000", 1483228800 },
		{ "01-Jan-1970 00:00:00 +2359", -86340 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		int64_t t = 99;

		if (imapdate_parse(slice_str(rows[i].text), &t, NULL) < 0 || t != rows[i].t)
			fail_msg("%s: %lld", rows[i].text, (long long)t);
	}
}

static void no_dates(void **state)
{
	static const char *const rows[] = {
		"", " ", "x", "17", "17-Jul", "17-Jul-1996", "17-Jul-1996 ", "17-Jul-1996 02:44", "17-Jul-1996 02:44 +0000",
		"00-Jan-1970 00:00:00 +0000", "0-Jan-1970 00:00:00 +0000", "32-Jan-1970 00:00:00 +0000", "31-Apr-1970 00:00:00 +0000",
		"29-Feb-1970 00:00:00 +0000", "29-Feb-1900 00:00:00 +0000", "29-Feb-2100 00:00:00 +0000", "30-Feb-2000 00:00:00 +0000",
		"001-Jan-1970 00:00:00 +0000", "01-Jan-0000 00:00:00 +0000", "01-Jan-70 00:00:00 +0000", "01-Jan-10000 00:00:00 +0000",
		"01-Jan-197 00:00:00 +0000", "01-Foo-1970 00:00:00 +0000", "01-January-1970 00:00:00 +0000", "01 Jan 1970 00:00:00 +0000",
		"01-01-1970 00:00:00 +0000", "1970-01-01 00:00:00 +0000", "01-Jan-1970 24:00:00 +0000", "01-Jan-1970 00:60:00 +0000",
		"01-Jan-1970 00:00:61 +0000", "01-Jan-1970 0:00:00 +0000", "01-Jan-1970 00:00:00+0000", "01-Jan-197000:00:00 +0000",
		"01-Jan-1970T00:00:00 +0000", "01-Jan-1970 00:00:00 0000", "01-Jan-1970 00:00:00 +000", "01-Jan-1970 00:00:00 +00000",
		"01-Jan-1970 00:00:00 +00:00", "01-Jan-1970 00:00:00 +2400", "01-Jan-1970 00:00:00 +0060", "01-Jan-1970 00:00:00 +-100",
		"01-Jan-1970 00:00:00 PST", "01-Jan-1970 00:00:00 +0000 (UTC)", "01-Jan-1970 00:00:00.5 +0000", "+1-Jan-1970 00:00:00 +0000",
		"\"01-Jan-1970 00:00:00 +0000\"", "\t1-Jan-1970 00:00:00 +0000", "NIL", "01-Jan-1970 00:00:00 +", "-1-Jan-1970 00:00:00 +0000",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct err e = ERR_INIT;
		int64_t t = 99;

		if (imapdate_parse(slice_str(rows[i]), &t, &e) == 0)
			fail_msg("%s: %lld", rows[i], (long long)t);
		assert_int_equal(e.kind, ERR_PROTO);
		assert_int_equal(e.span, SPAN_MSG);
		assert_true(t == 99);
	}
	assert_int_equal(imapdate_parse(slice_of("01-Jan-1970 00:00:00 +0000\0", 27), &(int64_t){ 0 }, NULL), -1);
}

/* A time's text is what the C library makes of it, and comes back. */
static void there_and_back(int64_t t)
{
	static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	char text[IMAPDATE_TEXT], want[80];
	time_t when = (time_t)t;
	struct tm tm;
	int64_t again;

	imapdate_print(t, text);
	assert_non_null(gmtime_r(&when, &tm));
	snprintf(want, sizeof(want), "%02d-%s-%04d %02d:%02d:%02d +0000", tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900,
	         tm.tm_hour, tm.tm_min, tm.tm_sec);
	assert_string_equal(text, want);
	assert_int_equal(strlen(text), IMAPDATE_TEXT - 1);
	assert_int_equal(imapdate_parse(slice_str(text), &again, NULL), 0);
	assert_true(again == t);
}

static void every_week(void **state)
{
	(void)state;
	for (int64_t t = IMAPDATE_MIN; t <= IMAPDATE_MAX; t += 7 * 86400 + 3661)
		there_and_back(t);
	there_and_back(IMAPDATE_MIN);
	there_and_back(IMAPDATE_MAX);
	there_and_back(0);
	there_and_back(-1);
	/* both ends of every year */
	for (int64_t year = 1; year < 9999; year++) {
		int64_t end = IMAPDATE_MIN + (year * 365 + year / 4 - year / 100 + year / 400) * 86400;

		there_and_back(end - 1);
		there_and_back(end);
	}
}

static void beyond(void **state)
{
	char text[IMAPDATE_TEXT];

	(void)state;
	imapdate_print(INT64_MIN, text);
	assert_string_equal(text, "01-Jan-0001 00:00:00 +0000");
	imapdate_print(IMAPDATE_MIN - 1, text);
	assert_string_equal(text, "01-Jan-0001 00:00:00 +0000");
	imapdate_print(IMAPDATE_MAX + 1, text);
	assert_string_equal(text, "31-Dec-9999 23:59:59 +0000");
	imapdate_print(INT64_MAX, text);
	assert_string_equal(text, "31-Dec-9999 23:59:59 +0000");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dates),
		cmocka_unit_test(no_dates),
		cmocka_unit_test(every_week),
		cmocka_unit_test(beyond),
	};

	return cmocka_run_group_tests_name("mail/imapdate", tests, NULL, NULL);
}
