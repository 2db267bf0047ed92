/* Facts from headers, in every split, and dates. */
#include "../../lib/unit.h"

#include "mail/header.h"

struct row {
	const char *text, *return_path, *message_id, *received, *date;
	bool has_return_path;
};

static const struct row rows[] = {
	{ "", "", "", "", "", false },
	{ "\r\n", "", "", "", "", false },
	{ "Return-Path: <jane@example.org>\r\nMessage-ID: <1@x>\r\n\r\nDate: no\r\n", "jane@example.org", "<1@x>", "", "", true },
	{ "Return-Path: <jane@example.org>\nMessage-ID: <1@x>\n\nDate: no\n", "jane@example.org", "<1@x>", "", "", true },
	{ "RETURN-path:<a@b>\nmessage-id:<2@x>\ndATE:now", "a@b", "<2@x>", "", "now", true },
	{ "Return-Path: <>\n\n", "", "", "", "", true },
	{ "Return-Path:\n\n", "", "", "", "", true },
	{ "Return-Path: < jane@example.org >\n\n", "jane@example.org", "", "", "", true },
	{ "Return-Path: jane@example.org\n\n", "jane@example.org", "", "", "", true },
	{ "Return-Path: jane@example.org (Jane)\n\n", "jane@example.org", "", "", "", true },
	{ "Return-Path: (Jane) <jane@example.org>\n\n", "jane@example.org", "", "", "", true },
	{ "Return-Path: <@a,@b:jane@example.org>\n\n", "jane@example.org", "", "", "", true },
	{ "Return-Path: <\"a > b\"@c>\n\n", "\"a > b\"@c", "", "", "", true },
	{ "Return-Path: <\"a\\\"> b\"@c>\n\n", "\"a\\\"> b\"@c", "", "", "", true },
	{ "Return-Path: <never closed\n\n", "", "", "", "", true },
	{ "Return-Path: <first@x>\nReturn-Path: <second@x>\n\n", "first@x", "", "", "", true },
	{ "Return-Path: <>\nReturn-Path: <second@x>\n\n", "", "", "", "", true },
	{ "Return-Path : <a@b>\n\n", "a@b", "", "", "", true },
	{ "Message-ID:\r\n <folded@x>\r\n\r\n", "", "<folded@x>", "", "", false },
	{ "Message-ID: <fol\r\n ded@x>\r\n\r\n", "", "<fol ded@x>", "", "", false },
	{ "Message-ID: no brackets\n\n", "", "", "", "", false },
	{ "Message-ID: junk <a@b> junk\n\n", "", "<a@b>", "", "", false },
	{ "Message-ID: <a@b>\nMessage-ID: <c@d>\n\n", "", "<a@b>", "", "", false },
	{ "Received: from a\n\tby b; Tue, 14 Nov 2023 22:13:20 +0000\nReceived: from c; Mon, 1 Jan 2001 00:00:00 +0000\n\n", "", "",
	  "Tue, 14 Nov 2023 22:13:20 +0000", "", false },
	{ "Received: from a (x; y); Tue,\n 14 Nov 2023\n\n", "", "", "Tue, 14 Nov 2023", "", false },
	{ "Received: no date\nReceived: from c; Mon\n\n", "", "", "", "", false },
	{ "X: y\n \n  \nDate: after blanks\n\n", "", "", "", "after blanks", false },
	{ "Date: one\n\ttwo\n three\n\n", "", "", "", "one\ttwo three", false },
	{ "Date: first\nDate: second\n\n", "", "", "", "first", false },
	{ "this is no header\nDate: x\n\n", "", "", "", "", false },
	{ "Date: x\nno header\nMessage-ID: <a@b>\n\n", "", "", "", "x", false },
	{ "From jane Tue Nov 14 22:13:20 2023\nDate: x\n\n", "", "", "", "", false },
	{ " Date: starts with a blank\n\n", "", "", "", "", false },
	{ ": no name\nDate: x\n\n", "", "", "", "", false },
	{ "D\xe4te: x\nDate: y\n\n", "", "", "", "", false },
	{ "Date: cr\rinside\n\n", "", "", "", "cr?inside", false },
	{ "Date: x\033[2J\x7f\n\n", "", "", "", "x?[2J?", false },
	{ "Date: gr\xc3\xbc\xc3\x9f\n\n", "", "", "", "gr\xc3\xbc\xc3\x9f", false },
	{ "Date: no line end", "", "", "", "no line end", false },
	{ "Date: only cr\r", "", "", "", "only cr", false },
	{ "Date: x\n\rMessage-ID: <a@b>\n\n", "", "", "", "x", false },
	{ "\nDate: in the body\n", "", "", "", "", false },
};

/* Check a header that has been read. The date's tab has become a blank. */
static void check(const struct header *h, const struct row *row)
{
	char date[256];
	size_t i = 0;

	for (; row->date[i]; i++)
		date[i] = row->date[i] == '\t' ? ' ' : row->date[i];
	date[i] = '\0';
	assert_string_equal(h->return_path, row->return_path);
	assert_string_equal(h->message_id, row->message_id);
	assert_string_equal(h->received, row->received);
	assert_string_equal(h->date, date);
	assert_int_equal(h->has_return_path, row->has_return_path);
	assert_true(h->done);
}

static void every_split(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		size_t n = strlen(rows[i].text);

		for (size_t step = 1; step <= n + 1; step++) {
			struct header h;

			header_init(&h);
			for (size_t at = 0; at < n; at += step)
				header_put(&h, rows[i].text + at, n - at < step ? n - at : step);
			header_end(&h);
			check(&h, &rows[i]);
		}
	}
}

/* A header of parts, each of which may be long. */
static char *long_header(const char *before, size_t n, const char *after)
{
	size_t a = strlen(before), b = strlen(after);
	char *s = test_malloc(a + n + b + 1);

	memcpy(s, before, a);
	memset(s + a, 'x', n);
	memcpy(s + a + n, after, b + 1);
	return s;
}

/* Read a long header in pieces. */
static struct header read_long(const char *before, size_t n, const char *after)
{
	struct header h;
	char *s = long_header(before, n, after);
	size_t len = strlen(s);

	header_init(&h);
	for (size_t at = 0; at < len; at += 997)
		header_put(&h, s + at, len - at < 997 ? len - at : 997);
	header_end(&h);
	test_free(s);
	return h;
}

static void limits(void **state)
{
	struct header h;

	(void)state;
	for (size_t n = 200; n < 2100; n += n < 900 || n > 1100 ? 37 : 1) {
		h = read_long("Subject: ", n, "\nDate: behind\n\n");
		assert_string_equal(h.date, "behind");
		h = read_long("Received: from ", n, "; Tue, 14 Nov 2023 22:13:20 +0000\nDate: d\n\n");
		assert_string_equal(h.received, "Tue, 14 Nov 2023 22:13:20 +0000");
		assert_string_equal(h.date, "d");
		h = read_long("Date: ", n, "\n\n");
		assert_int_equal(strlen(h.date), n < 255 ? n : 255);
		h = read_long("Return-Path: <", n, "@example.org>\n\n");
		assert_true(h.has_return_path);
		assert_int_equal(strlen(h.return_path), n + 12 < sizeof(h.return_path) ? n + 12 : 0);
		h = read_long("Message-ID: <", n, "@x>\n\n");
		assert_int_equal(strlen(h.message_id), n + 4 < sizeof(h.message_id) ? n + 4 : 0);
	}
	h = read_long("Subject: ", HEADER_MAX, "\nDate: too late\n\n");
	assert_string_equal(h.date, "");
	h = read_long("Subject: ", HEADER_MAX - 100, "\nDate: in time\n\n");
	assert_string_equal(h.date, "in time");
	h = read_long("", 2000000, "");
	assert_true(h.done);
}

static void nothing_of_the_body(void **state)
{
	struct header h;

	(void)state;
	header_init(&h);
	header_put(&h, "Date: a\r\n\r", 10);
	assert_false(h.done);
	header_put(&h, "\n", 1);
	assert_true(h.done);
	header_put(&h, "Message-ID: <a@b>\r\n", 19);
	header_end(&h);
	assert_string_equal(h.message_id, "");
	header_init(&h);
	header_put(&h, "X: \0y\nDate: a\0b\n\n", 17);
	header_end(&h);
	assert_string_equal(h.date, "a?b");
}

static void dates(void **state)
{
	static const struct {
		const char *text;
		int64_t t; /* -1: no date */
	} date[] = {
		{ "Tue, 14 Nov 2023 22:13:20 +0000", 1700000000 },
		{ "14 Nov 2023 22:13:20 +0000", 1700000000 },
		{ "Tue 14 Nov 2023 22:13:20 +0000", 1700000000 },
		{ "  Tue,14 Nov 2023 22:13:20 +0000  ", 1700000000 },
		{ "Tue, 14 Nov 2023 23:13:20 +0100", 1700000000 },
		{ "Tue, 14 Nov 2023 16:43:20 -0530", 1700000000 },
		{ "Tue, 14 Nov 2023 22:13:20 GMT", 1700000000 },
		{ "Tue, 14 Nov 2023 22:13:20 ut", 1700000000 },
		{ "Tue, 14 Nov 2023 17:13:20 EST", 1700000000 },
		{ "Tue, 14 Nov 2023 14:13:20 PST", 1700000000 },
		{ "Tue, 14 Nov 2023 15:13:20 PDT", 1700000000 },
		{ "Tue, 14 Nov 2023 22:13:20 Z", 1700000000 },
		{ "Tue, 14 Nov 2023 22:13:20 CET", 1700000000 },
		{ "Tue, 14 Nov 2023 22:13:20", 1700000000 },
		{ "Tue, 14 Nov 2023 22:13:20 +0000 (UTC)", 1700000000 },
		{ "Tue (tue), 14 (14 (nested \\) )) Nov(Nov)2023 22 : 13 : 20 (x)+0000", 1700000000 },
		{ "tue, 14 NOV 23 22:13:20 +0000", 1700000000 },
		{ "Tue, 14 Nov 123 22:13:20 +0000", 1700000000 },
		{ "Tue, 14 Nov 2023 22:13 +0000", 1699999980 },
		{ "Sat, 1 Jan 00 0:00:00 +0000", 946684800 },
		{ "Thu, 1 Jan 1970 00:00:00 +0000", 0 },
		{ "Thu, 01 Jan 1970 00:00:01 +0000", 1 },
		{ "Thu, 1 Jan 70 00:00:00 +0000", 0 },
		{ "Wed, 31 Dec 1969 23:59:59 +0000", 0 },
		{ "Thu, 1 Jan 1970 00:00:00 +0100", 0 },
		{ "1 Jan 1900 00:00:00 +0000", 0 },
		{ "Thu, 29 Feb 2024 00:00:00 +0000", 1709164800 },
		{ "Tue, 29 Feb 2000 00:00:00 +0000", 951782400 },
		{ "Fri, 31 Dec 2099 23:59:59 +0000", 4102444799 },
		{ "Fri, 1 Jan 2100 00:00:01 +0000", 4102444800 },
		{ "1 Jan 9999 00:00:00 +0000", 4102444800 },
		{ "Sat, 31 Dec 2016 23:59:60 +0000", 1483228800 },
		{ "Tue,\r\n 14 Nov 2023\r\n 22:13:20 +0000", 1700000000 },
		{ "", -1 },
		{ "   ", -1 },
		{ "now", -1 },
		{ "Tue", -1 },
		{ "Foo, 14 Nov 2023 22:13:20 +0000", -1 },
		{ "Tue, 14 Foo 2023 22:13:20 +0000", -1 },
		{ "Tue, 14 November 2023 22:13:20 +0000", -1 },
		{ "Tue Nov 14 22:13:20 2023", -1 },
		{ "2023-11-14T22:13:20Z", -1 },
		{ "Tue, 0 Nov 2023 22:13:20 +0000", -1 },
		{ "Tue, 31 Nov 2023 22:13:20 +0000", -1 },
		{ "Wed, 29 Feb 2023 00:00:00 +0000", -1 },
		{ "29 Feb 1900 00:00:00 +0000", -1 },
		{ "Tue, 14 Nov 2023 24:00:00 +0000", -1 },
		{ "Tue, 14 Nov 2023 22:60:00 +0000", -1 },
		{ "Tue, 14 Nov 2023 22:13:61 +0000", -1 },
		{ "Tue, 14 Nov 2023 22:1:20 +0000", -1 },
		{ "Tue, 14 Nov 2023 221320 +0000", -1 },
		{ "Tue, 14 Nov 2023 22:13:20 +00", -1 },
		{ "Tue, 14 Nov 2023 22:13:20 +0060", -1 },
		{ "Tue, 14 Nov 2023 22:13:20 +00000", -1 },
		{ "Tue, 14 Nov 2023 22:13:20 +0000 junk", -1 },
		{ "Tue, 14 Nov 2023 22:13:20 (open", -1 },
		{ "Tue, 114 Nov 2023 22:13:20 +0000", -1 },
		{ "Tue, 14 Nov 20233 22:13:20 +0000", -1 },
		{ "Tue, 14 Nov 2 22:13:20 +0000", -1 },
		{ "Tue, -14 Nov 2023 22:13:20 +0000", -1 },
		{ "(((((((((((((", -1 },
		{ "\\", -1 },
		{ "(\\", -1 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(date); i++) {
		int64_t t = -2;
		bool ok = header_date(date[i].text, &t);

		if (ok != (date[i].t >= 0) || (ok && t != date[i].t))
			fail_msg("'%s': %s %lld", date[i].text, ok ? "true" : "false", (long long)t);
	}
}

/* When a message arrived: by its topmost Received, else by its Date. */
static void arrival(void **state)
{
	static const struct {
		const char *text;
		int64_t t;
	} came[] = {
		{ "Received: from a by b; Tue, 14 Nov 2023 22:13:20 +0000\r\nReceived: c; 1 Jan 2001 00:00:00 Z\r\nDate: 1 Jan 2002 00:00:00 Z\r\n\r\n", 1700000000 },
		{ "Date: 1 Jan 2002 00:00:00 Z\r\nReceived: by b\r\n\t(x; y);\r\n\tTue, 14 Nov 2023 22:13:20 +0000 (UTC)\r\n\r\n", 1700000000 },
		{ "Date: Tue, 14 Nov 2023 22:13:20 +0000\n\n", 1700000000 },
		{ "Date: Tue, 14 Nov 23 17:13:20 EST", 1700000000 },
		/* the topmost is of no use: one below it is of another server, which may be days off */
		{ "Received: by b\r\nReceived: by c; 1 Jan 2001 00:00:00 Z\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\n\r\n", 1700000000 },
		{ "Received: by b; yesterday\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\n\r\n", 1700000000 },
		{ "Received: by b; 1 Jan 1970 00:00:00 Z\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\n\r\n", 1700000000 },
		{ "Received: by b; 15 Nov 2023 22:13:20 Z\r\n\r\n", 1700086400 },
		{ "Received: by b; 15 Nov 2023 22:13:21 Z\r\n\r\n", 0 },
		{ "Date: 1 Jan 2099 00:00:00 Z\r\n\r\n", 0 },
		{ "Date: soon\r\n\r\n", 0 },
		{ "Date: 31 Dec 1969 00:00:00 Z\r\n\r\n", 0 },
		{ "Subject: x\r\n\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\n", 0 },
		{ "", 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(came); i++) {
		struct header h;

		header_init(&h);
		header_put(&h, came[i].text, strlen(came[i].text));
		header_end(&h);
		if (header_when(&h, 1700000000) != came[i].t)
			fail_msg("'%s': %lld", came[i].text, (long long)header_when(&h, 1700000000));
	}
}

/* Every day of 131 years is the day after the one before. */
static void calendar(void **state)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	int64_t last = -86400, t;

	(void)state;
	for (int year = 1970; year < 2100; year++) {
		for (int month = 0; month < 12; month++) {
			for (int day = 1; day <= 31; day++) {
				char text[64];

				snprintf(text, sizeof(text), "%d %.3s %d 00:00 Z", day, months + (size_t)3 * (size_t)month, year);
				if (header_date(text, &t)) {
					assert_int_equal(t, last + 86400);
					last = t;
				} else {
					assert_true(day > 28);
				}
			}
		}
	}
	assert_int_equal(last, 4102444800 - 86400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_split),
		cmocka_unit_test(limits),
		cmocka_unit_test(nothing_of_the_body),
		cmocka_unit_test(dates),
		cmocka_unit_test(arrival),
		cmocka_unit_test(calendar),
	};

	return cmocka_run_group_tests_name("mail/header", tests, NULL, NULL);
}
