/* Modified UTF-7: what it is, what only looks like it, and every character there and back. */
#include "../../lib/unit.h"

#include "base/utf8.h"
#include "mail/utf7.h"

/* Names and their encodings: one to one. */
static void both_ways(void **state)
{
	static const struct {
		const char *utf8, *utf7;
	} rows[] = {
		{ "", "" },
		{ "INBOX", "INBOX" },
		{ "a b~!\"#$%'()*+,./:;<=>?@[\\]^_`{|}", "a b~!\"#$%'()*+,./:;<=>?@[\\]^_`{|}" },
		{ "-", "-" },
		{ "&", "&-" },
		{ "&&", "&-&-" },
		{ "&-", "&--" },
		{ "Bread & Butter", "Bread &- Butter" },
		{ "~peter/mail/\u53f0\u5317/\u65e5\u672c\u8a9e", "~peter/mail/&U,BTFw-/&ZeVnLIqe-" }, /* RFC 3501 */
		{ "Hi Mom -\u263a-!", "Hi Mom -&Jjo--!" },
		{ "\u00e4", "&AOQ-" },
		{ "\u00e4\u00f6", "&AOQA9g-" },
		{ "\u00e4\u00f6\u00fc", "&AOQA9gD8-" },
		{ "\u00e4a\u00f6", "&AOQ-a&APY-" },
		{ "\u00e4&\u00f6", "&AOQ-&-&APY-" },
		{ "&\u00e4", "&-&AOQ-" },
		{ "\u00e4-", "&AOQ--" },
		{ "Entw\u00fcrfe", "Entw&APw-rfe" },
		{ "\u041a\u043e\u0440\u0437\u0438\u043d\u0430", "&BBoEPgRABDcEOAQ9BDA-" },
		{ "\U0001f600", "&2D3eAA-" },
		{ "\U00010000", "&2ADcAA-" },
		{ "\U0010ffff", "&2,,f,w-" },
		{ "x\U0001f600\U0001f601y", "x&2D3eANg93gE-y" },
		{ "\u00e4\U0001f600", "&AOTYPd4A-" },
		{ "\x01", "&AAE-" },
		{ "a\r\nb", "a&AA0ACg-b" },
		{ "\x7f", "&AH8-" },
		{ "\xc2\x80", "&AIA-" },
		{ "\ufffe\uffff", "&,,7,,w-" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct strbuf out = STRBUF_INIT(200);

		strbuf_puts(&out, "<");
		assert_int_equal(utf7_encode(slice_str(rows[i].utf8), &out, NULL), 0);
		assert_string_equal(strbuf_str(&out) + 1, rows[i].utf7);
		strbuf_cut(&out, 1);
		assert_int_equal(utf7_decode(slice_str(rows[i].utf7), &out, NULL), 0);
		assert_string_equal(strbuf_str(&out) + 1, rows[i].utf8);
		strbuf_release(&out);
	}
}

static void refused_names(void **state)
{
	static const struct {
		const char *name, *why;
	} rows[] = {
		{ "&", "without its" },
		{ "a&", "without its" },
		{ "&AOQ", "without its" },
		{ "&-&", "without its" },
		{ "&AGE-", "stands for itself" },     /* a */
		{ "&ACA-", "stands for itself" },     /* a blank */
		{ "&AH4-", "stands for itself" },     /* ~ */
		{ "&ACY-", "stands for itself" },     /* & */
		{ "&AOQAYQ-", "stands for itself" },  /* an a behind */
		{ "&AGEA5A-", "stands for itself" },  /* an a before */
		{ "&AOQAJgD2-", "stands for itself" },
		{ "&AAA-", "NUL" },
		{ "&AOQAAA-", "NUL" },
		{ "&AOQ-&APY-", "two shifts" },
		{ "x&AOQ-&APY-y", "two shifts" },
		{ "&2D0-&3gA-", "half" },
		{ "&A-", "incomplete" },
		{ "&AA-", "incomplete" },
		{ "&AOQA-", "incomplete" },
		{ "&AOQAA-", "incomplete" },
		{ "&AOQA9gA-", "incomplete" },
		{ "&AOR-", "padding" },
		{ "&AOT-", "padding" },
		{ "&AOQA9h-", "padding" },
		{ "&2AA-", "half" },
		{ "&2D0-", "half" },
		{ "&3gA-", "half" },
		{ "&2D0A5A-", "half" },
		{ "&2D3YPQ-", "half" },
		{ "&3gDYPQ-", "half" },
		{ "&AOQ=-", "base64" },
		{ "&AO/-", "base64" },
		{ "&A Q-", "base64" },
		{ "&AOQ&-", "base64" },
		{ "&&-", "base64" },
		{ "&\u00e4-", "base64" },
		{ "\u00e4", "ASCII" },
		{ "a\xff", "ASCII" },
		{ "a\tb", "ASCII" },
		{ "a\r\nb", "ASCII" },
		{ "\x7f", "ASCII" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct strbuf out = STRBUF_INIT(200);
		struct err e = ERR_INIT;

		strbuf_puts(&out, "kept");
		assert_int_equal(utf7_decode(slice_str(rows[i].name), &out, &e), -1);
		if (!strstr(e.text, rows[i].why))
			fail_msg("%s: %s", rows[i].name, e.text);
		assert_int_equal(e.kind, ERR_PROTO);
		assert_int_equal(e.span, SPAN_BOX);
		assert_string_equal(strbuf_str(&out), "kept");
		strbuf_release(&out);
	}
	assert_int_equal(utf7_decode(slice_of("a\0", 2), &(struct strbuf)STRBUF_INIT(0), NULL), -1);
}

static void refused_texts(void **state)
{
	static const char *const rows[] = {
		"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\xbd\xed\xb8\x80", "\xed\xbf\xbf",
		"\xf4\x90\x80\x80", "\xff", "abc\xc3", "\xc3\xa4\xe2\x82",
	};

	(void)state;
	for (size_t i = 0; i <= COUNT(rows); i++) {
		struct strbuf out = STRBUF_INIT(200);
		struct err e = ERR_INIT;

		strbuf_puts(&out, "kept");
		assert_int_equal(utf7_encode(i < COUNT(rows) ? slice_str(rows[i]) : slice_of("a\0b", 3), &out, &e), -1);
		assert_int_equal(e.kind, ERR_CONF);
		assert_int_equal(e.span, SPAN_BOX);
		assert_string_equal(strbuf_str(&out), "kept");
		strbuf_release(&out);
	}
}

/* A full buffer is an error, wherever it comes to be full. */
static void limits(void **state)
{
	static const char utf8[] = "a\u00e4&\U0001f600z";
	static const char utf7[] = "a&AOQ-&-&2D3eAA-z";

	(void)state;
	for (size_t max = 0; max <= sizeof(utf7); max++) {
		struct strbuf out = STRBUF_INIT(max);
		int rc = utf7_encode(slice_str(utf8), &out, NULL);

		assert_int_equal(rc, max < sizeof(utf7) - 1 ? -1 : 0);
		assert_string_equal(strbuf_str(&out), rc < 0 ? "" : utf7);
		strbuf_release(&out);
		out = (struct strbuf)STRBUF_INIT(max);
		rc = utf7_decode(slice_str(utf7), &out, NULL);
		assert_int_equal(rc, max < sizeof(utf8) - 1 ? -1 : 0);
		assert_string_equal(strbuf_str(&out), rc < 0 ? "" : utf8);
		strbuf_release(&out);
	}
}

/* Every character, alone and between others, comes back. */
static void every_character(void **state)
{
	static const char *const around[] = { "%s", "a%s", "\u00e4%s", "%s\u00e4", "\u00e4\u00e4%sz" };
	struct strbuf utf7 = STRBUF_INIT(200), again = STRBUF_INIT(200);

	(void)state;
	for (uint32_t c = 1; c <= 0x10ffff; c += c < 0x3000 || (c > 0xd000 && c < 0x11000) ? 1 : 251) {
		char utf8[5] = "";

		if (c >= 0xd800 && c <= 0xdfff)
			continue;
		utf8[utf8_give(c, utf8)] = '\0';
		for (size_t i = 0; i < COUNT(around); i++) {
			const char *place = strstr(around[i], "%s");
			char text[32];

			snprintf(text, sizeof(text), "%.*s%s%s", (int)(place - around[i]), around[i], utf8, place + 2);
			strbuf_clear(&utf7);
			strbuf_clear(&again);
			if (utf7_encode(slice_str(text), &utf7, NULL) < 0 ||
			    utf7_decode(strbuf_slice(&utf7), &again, NULL) < 0 || strcmp(again.s, text) != 0)
				fail_msg("U+%X in place %zu: %s", c, i, strbuf_str(&utf7));
		}
	}
	strbuf_release(&utf7);
	strbuf_release(&again);
}

/* All short texts over the bytes that matter: those that are taken are what their meaning is encoded as. */
static void every_short_name(void **state)
{
	static const char bytes[] = "&-A,Qa2D";
	struct strbuf utf8 = STRBUF_INIT(200), again = STRBUF_INIT(200);
	size_t taken = 0;

	(void)state;
	for (uint32_t number = 0; number < 8 * 8 * 8 * 8 * 8 * 8; number++) {
		char name[7];

		for (unsigned i = 0; i < 6; i++)
			name[i] = bytes[number >> (3 * i) & 7];
		name[6] = '\0';
		strbuf_clear(&utf8);
		strbuf_clear(&again);
		if (utf7_decode(slice_str(name), &utf8, NULL) < 0)
			continue;
		taken++;
		if (utf7_encode(strbuf_slice(&utf8), &again, NULL) < 0 || strcmp(again.s, name) != 0)
			fail_msg("%s is %s again", name, strbuf_str(&again));
	}
	assert_true(taken > 100000);
	strbuf_release(&utf8);
	strbuf_release(&again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_ways),
		cmocka_unit_test(refused_names),
		cmocka_unit_test(refused_texts),
		cmocka_unit_test(limits),
		cmocka_unit_test(every_character),
		cmocka_unit_test(every_short_name),
	};

	return cmocka_run_group_tests_name("mail/utf7", tests, NULL, NULL);
}
