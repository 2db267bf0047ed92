#include "../../lib/unit.h"

#include "ui/jsonl.h"

static void strings(void **state)
{
	static const struct { const char *in, *out; } rows[] = {
		{ "", "\"\"" },
		{ "plain", "\"plain\"" },
		{ "a\"b\\c/", "\"a\\\"b\\\\c/\"" },
		{ "\n\r\t", "\"\\n\\r\\t\"" },
		{ "\x01\x1b[2J\x7f", "\"\\u0001\\u001b[2J\\u007f\"" },
		{ "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x93\xa7", "\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x93\xa7\"" },
		{ "\xc2\x9b" "31m", "\"\\u009b31m\"" },                  /* C1 CSI */
		{ "\xe2\x80\xae" "txt", "\"\\u202etxt\"" },              /* right-to-left override */
		{ "\xf3\xa0\x81\x81", "\"\\udb40\\udc41\"" },            /* a tag */
		{ "\xef\xbb\xbf", "\"\\ufeff\"" },
		{ "\xff", "\"\xef\xbf\xbd\"" },
		{ "a\x80z", "\"a\xef\xbf\xbdz\"" },
		{ "\xc3", "\"\xef\xbf\xbd\"" },                          /* cut off */
		{ "\xe2\x82", "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\xc0\xaf", "\"\xef\xbf\xbd\xef\xbf\xbd\"" },          /* overlong */
		{ "\xe0\x80\xaf", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" }, /* a surrogate */
		{ "\xf4\x90\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\xc3\"", "\"\xef\xbf\xbd\\\"\"" },                    /* a lead byte does not eat the quote */
		{ "\xef\xbf\xbd", "\"\xef\xbf\xbd\"" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct strbuf b = STRBUF_INIT(1000);

		assert_int_equal(jsonl_string(&b, rows[i].in), 0);
		assert_string_equal(strbuf_str(&b), rows[i].out);
		strbuf_release(&b);
	}
}

/* No byte reaches the output that could end the string, the line, or drive a terminal. */
static void any_bytes(void **state)
{
	unsigned seed = 7;

	(void)state;
	for (int round = 0; round < 3000; round++) {
		struct strbuf b = STRBUF_INIT(10000);
		char in[65];
		size_t n = (size_t)(rand_r(&seed) % 64);

		for (size_t i = 0; i < n; i++)
			in[i] = (char)(rand_r(&seed) % 3 ? 0x80 + rand_r(&seed) % 128 : 1 + rand_r(&seed) % 255);
		in[n] = '\0';
		assert_int_equal(jsonl_string(&b, in), 0);
		assert_true(b.len >= 2 && b.s[0] == '"' && b.s[b.len - 1] == '"');
		for (size_t i = 1; i < b.len - 1; i++) {
			assert_true((unsigned char)b.s[i] >= 0x20 && b.s[i] != 0x7f && b.s[i] != '"');
			assert_false((unsigned char)b.s[i] == 0xc2 && (unsigned char)b.s[i + 1] < 0xa0);
			if (b.s[i] == '\\')
				i++;
		}
		strbuf_release(&b);
	}
}

static void times(void **state)
{
	static const struct { int64_t t; const char *out; } rows[] = {
		{ 0, "\"1970-01-01T00:00:00Z\"" },
		{ 951782400, "\"2000-02-29T00:00:00Z\"" },
		{ 1772373907, "\"2026-03-01T14:05:07Z\"" },
		{ 253402300799, "\"9999-12-31T23:59:59Z\"" },
		{ INT64_MAX, "\"1970-01-01T00:00:00Z\"" },
		{ 253402300800, "\"1970-01-01T00:00:00Z\"" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct strbuf b = STRBUF_INIT(100);

		assert_int_equal(jsonl_time(&b, rows[i].t), 0);
		assert_string_equal(strbuf_str(&b), rows[i].out);
		strbuf_release(&b);
	}
}

#define HEAD(type) "{\"event\":\"" type "\",\"job\":\"isp\",\"time\":\"2026-03-01T14:05:07Z\""
#define AT .job = "isp", .time = 1772373907

static void events(void **state)
{
	static const struct { struct event ev; const char *out; } rows[] = {
		{ { .type = EVENT_START, AT }, HEAD("start") ",\"mode\":\"fetch\"}\n" },
		{ { .type = EVENT_START, AT, .two_way = true }, HEAD("start") ",\"mode\":\"sync\"}\n" },
		{ { .type = EVENT_START, AT, .two_way = true, .one_way = true }, HEAD("start") ",\"mode\":\"migrate\"}\n" },
		{ { .type = EVENT_PROGRESS, AT }, "" },
		{ { .type = EVENT_FOLDER, AT, .folder = "Lists/C", .total = 3 }, HEAD("folder") ",\"folder\":\"Lists/C\",\"total\":3}\n" },
		{ { .type = EVENT_FOLDER, AT, .total = 3, .total_bytes = 70 }, HEAD("folder") ",\"folder\":\"\",\"total\":3,\"bytes\":70}\n" },
		{ { .type = EVENT_MESSAGE, AT, .action = ACTION_PULL, .folder = "", .uid = "a\"1", .size = UINT64_MAX },
		  HEAD("message") ",\"action\":\"pull\",\"folder\":\"\",\"uid\":\"a\\\"1\",\"size\":18446744073709551615}\n" },
		{ { .type = EVENT_MESSAGE, AT, .action = ACTION_DELETE, .uid = "2", .dry = true },
		  HEAD("message") ",\"action\":\"delete\",\"folder\":\"\",\"uid\":\"2\",\"size\":0,\"dry_run\":true}\n" },
		{ { .type = EVENT_MESSAGE, AT, .action = ACTION_FORGET, .uid = "2" },
		  HEAD("message") ",\"action\":\"forget\",\"folder\":\"\",\"uid\":\"2\",\"size\":0}\n" },
		{ { .type = EVENT_MESSAGE, AT, .action = ACTION_FLAGS, .at = AT_LEFT, .folder = "F", .uid = "2" },
		  HEAD("message") ",\"action\":\"flags\",\"folder\":\"F\",\"uid\":\"2\",\"size\":0,\"where\":\"remote\"}\n" },
		{ { .type = EVENT_MESSAGE, AT, .action = ACTION_MOVE, .at = AT_RIGHT, .folder = "INBOX", .to = "Lists/b", .uid = "7", .dry = true },
		  HEAD("message") ",\"action\":\"move\",\"folder\":\"INBOX\",\"to\":\"Lists/b\",\"uid\":\"7\",\"size\":0,\"where\":\"local\",\"dry_run\":true}\n" },
		{ { .type = EVENT_MESSAGE, AT, .action = ACTION_MOVE, .at = AT_LEFT, .folder = "F", .to = "a\"b\\\n\x1b[2J\xff", .uid = "7" },
		  HEAD("message") ",\"action\":\"move\",\"folder\":\"F\",\"to\":\"a\\\"b\\\\\\n\\u001b[2J\xef\xbf\xbd\",\"uid\":\"7\",\"size\":0,\"where\":\"remote\"}\n" },
		{ { .type = EVENT_TREE, AT, .action = ACTION_CREATE, .at = AT_RIGHT, .folder = "F", .dry = true },
		  HEAD("folder") ",\"action\":\"create\",\"folder\":\"F\",\"where\":\"local\",\"dry_run\":true}\n" },
		{ { .type = EVENT_TREE, AT, .action = ACTION_REMOVE, .at = AT_LEFT, .folder = "F" },
		  HEAD("folder") ",\"action\":\"remove\",\"folder\":\"F\",\"where\":\"remote\"}\n" },
		{ { .type = EVENT_TREE, AT, .action = ACTION_RENAME, .at = AT_LEFT, .folder = "F", .to = "G" },
		  HEAD("folder") ",\"action\":\"rename\",\"folder\":\"F\",\"to\":\"G\",\"where\":\"remote\"}\n" },
		{ { .type = EVENT_WARNING, AT, .text = "odd" }, HEAD("warning") ",\"text\":\"odd\"}\n" },
		{ { .type = EVENT_WARNING, AT, .text = "odd", .folder = "F" }, HEAD("warning") ",\"folder\":\"F\",\"text\":\"odd\"}\n" },
		{ { .type = EVENT_ERROR, AT, .kind = ERR_AUTH, .span = SPAN_ACCT, .text = "no" },
		  HEAD("error") ",\"kind\":\"auth\",\"scope\":\"account\",\"text\":\"no\"}\n" },
		{ { .type = EVENT_ERROR, AT, .kind = ERR_TEMP, .span = SPAN_BOX, .text = "no", .folder = "F", .retry_after = 60 },
		  HEAD("error") ",\"kind\":\"temp\",\"scope\":\"folder\",\"folder\":\"F\",\"text\":\"no\",\"retry_after\":60}\n" },
		{ { .type = EVENT_ERROR, AT, .kind = ERR_REFUSED, .span = SPAN_MSG, .text = "no", .uid = "u" },
		  HEAD("error") ",\"kind\":\"refused\",\"scope\":\"message\",\"uid\":\"u\",\"text\":\"no\"}\n" },
		{ { .type = EVENT_COMPARED, AT, .folder = "F" }, "" },
		{ { .type = EVENT_DRIFT, AT, .drift = DRIFT_MISSING, .at = AT_RIGHT, .folder = "F", .uid = "7", .size = 12 },
		  HEAD("drift") ",\"kind\":\"missing\",\"folder\":\"F\",\"where\":\"local\",\"uid\":\"7\",\"size\":12}\n" },
		{ { .type = EVENT_DRIFT, AT, .drift = DRIFT_REFUSED, .at = AT_LEFT, .folder = "F", .uid = "7", .to = "<a@b>", .size = 12, .text = "too\nlarge" },
		  HEAD("drift") ",\"kind\":\"refused\",\"folder\":\"F\",\"where\":\"remote\",\"uid\":\"7\",\"size\":12,\"message_id\":\"<a@b>\",\"text\":\"too\\nlarge\"}\n" },
		{ { .type = EVENT_DRIFT, AT, .drift = DRIFT_CONTENT, .folder = "F", .uid = "7" }, HEAD("drift") ",\"kind\":\"content\",\"folder\":\"F\",\"uid\":\"7\",\"size\":0}\n" },
		{ { .type = EVENT_DRIFT, AT, .drift = DRIFT_FLAGS, .folder = "F", .uid = "7", .text = "()", .to = "(\\Seen)" },
		  HEAD("drift") ",\"kind\":\"flags\",\"folder\":\"F\",\"uid\":\"7\",\"size\":0,\"flags_remote\":\"()\",\"flags_local\":\"(\\\\Seen)\"}\n" },
		{ { .type = EVENT_DRIFT, AT, .drift = DRIFT_FOLDER, .at = AT_RIGHT, .folder = "F" }, HEAD("drift") ",\"kind\":\"folder\",\"folder\":\"F\",\"where\":\"local\"}\n" },
		{ { .type = EVENT_END, AT, .verify = true, .two_way = true, .exit_code = 1, .totals = { .failed = 1, .bytes_in = 2, .bytes_out = 3, .round_trips = 4, .seconds = 0.5 },
		    .compared = { .folders = 5, .left = 6, .right = 7, .same = 8, .missing = { 9, 10 }, .content = 11, .flags = 12, .refused = 13, .missing_folders = { 14, 15 }, .extra = 16,
				  .left_out = 17 } },
		  HEAD("end") ",\"agree\":false,\"folders\":5,\"messages_remote\":6,\"messages_local\":7,\"same\":8,\"missing_remote\":9,\"missing_local\":10,\"content\":11,\"flags\":12,"
			      "\"refused\":13,\"folders_missing_remote\":14,\"folders_missing_local\":15,\"extra\":16,\"left_out\":17,\"failed\":1,\"bytes_in\":2,\"bytes_out\":3,"
			      "\"round_trips\":4,\"seconds\":0.500,\"exit\":1}\n" },
		{ { .type = EVENT_END, AT, .exit_code = 75,
		    .totals = { .pulled = 1, .pushed = 2, .deleted = 3, .flagged = 4, .moved = 5, .skipped = 6, .failed = 7, .bytes_in = 8, .bytes_out = 9,
				.round_trips = 10, .kept = 11, .made = 12, .removed = 13, .renamed = 14, .seconds = 1.2346 } },
		  HEAD("end") ",\"pulled\":1,\"pushed\":2,\"deleted\":3,\"flagged\":4,\"moved\":5,\"folders_made\":12,\"folders_removed\":13,\"folders_renamed\":14,\"skipped\":6,\"kept\":11,\"failed\":7,\"bytes_in\":8,"
			      "\"bytes_out\":9,\"round_trips\":10,\"seconds\":1.235,\"exit\":75}\n" },
		{ { .type = EVENT_END, AT, .two_way = true, .totals = { .deleted = 3, .quarantined = 2, .trashed = 4, .run = 12, .restored = 1 } },
		  HEAD("end") ",\"pulled\":0,\"pushed\":0,\"deleted\":3,\"flagged\":0,\"moved\":0,\"folders_made\":0,\"folders_removed\":0,\"folders_renamed\":0,\"skipped\":0,\"kept\":0,\"failed\":0,\"bytes_in\":0,"
			      "\"bytes_out\":0,\"round_trips\":0,\"seconds\":0.000,\"quarantined\":2,\"trashed\":4,\"run\":12,\"restored\":1,\"exit\":0}\n" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct strbuf b = STRBUF_INIT(1000);

		strbuf_puts(&b, "x");
		assert_int_equal(jsonl_event(&b, &rows[i].ev), 0);
		assert_string_equal(strbuf_str(&b) + 1, rows[i].out);
		strbuf_release(&b);
	}
}

static void no_half_line(void **state)
{
	struct event ev = { .type = EVENT_WARNING, AT, .text = "0123456789" };
	struct strbuf whole = STRBUF_INIT(1000);

	(void)state;
	assert_int_equal(jsonl_event(&whole, &ev), 0);
	for (size_t max = 4; max < whole.len + 4; max++) {
		struct strbuf b = STRBUF_INIT(max);

		strbuf_puts(&b, "old\n");
		assert_int_equal(jsonl_event(&b, &ev), -1);
		assert_string_equal(strbuf_str(&b), "old\n");
		strbuf_release(&b);
	}
	strbuf_release(&whole);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(strings),
		cmocka_unit_test(any_bytes),
		cmocka_unit_test(times),
		cmocka_unit_test(events),
		cmocka_unit_test(no_half_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
