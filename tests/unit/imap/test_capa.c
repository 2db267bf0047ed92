/* What is made of a server's list of capabilities. */
#include "../../lib/unit.h"

#include "imap/capa.h"

/* Each capability stands once in the table and has its texts; what it needs stands there too. */
static void test_table(void **state)
{
	size_t n;
	const struct imap_capinfo *t = imap_capinfo(&n);
	unsigned seen = 0;

	(void)state;
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(seen & t[i].bit, 0);
		seen |= t[i].bit;
		assert_true(*t[i].name && *t[i].used_for && *t[i].without && t[i].rfc);
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(t[i].name, t[k].name);
	}
	assert_int_equal(seen, (1u << 31) - 1);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(t[i].needs & ~seen, 0);
}

#define REV1 IMAP_CAP_REV1
#define REV2_ALL \
	(IMAP_CAP_REV2 | IMAP_CAP_ENABLE | IMAP_CAP_LITERAL_MINUS | IMAP_CAP_UIDPLUS | \
	 IMAP_CAP_ESEARCH | IMAP_CAP_LIST_EXTENDED | IMAP_CAP_LIST_STATUS | IMAP_CAP_STATUS_SIZE | \
	 IMAP_CAP_SPECIAL_USE | IMAP_CAP_NAMESPACE | IMAP_CAP_MOVE | IMAP_CAP_UNSELECT | IMAP_CAP_IDLE)

static const struct {
	const char *says;
	unsigned disabled, have;
	const char *auth;
	uint64_t limit;
} rows[] = {
	{ "", 0, 0, "", 0 },
	{ "IMAP4rev1", 0, REV1, "", 0 },
	{ "imap4REV1 id X-UNKNOWN move", 0, REV1 | IMAP_CAP_ID | IMAP_CAP_MOVE, "", 0 },
	{ "IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS", 0, REV1 | IMAP_CAP_AUTH |
	  IMAP_CAP_SASL_IR | IMAP_CAP_UIDPLUS, "PLAIN XOAUTH2", 0 },
	{ "IMAP4rev1 AUTH=PLAIN SASL-IR", IMAP_CAP_AUTH, REV1, "", 0 },
	{ "IMAP4rev1 AUTH= AUTH=B\x01" "D AUTH=L\xc3\xa4NG", 0, REV1, "", 0 },
	{ "IMAP4rev1 SASL-IR", 0, REV1, "", 0 },
	{ "IMAP4rev1 ENABLE QRESYNC", 0, REV1 | IMAP_CAP_ENABLE | IMAP_CAP_QRESYNC |
	  IMAP_CAP_CONDSTORE, "", 0 },
	{ "IMAP4rev1 ENABLE CONDSTORE QRESYNC", IMAP_CAP_CONDSTORE, REV1 | IMAP_CAP_ENABLE, "", 0 },
	{ "IMAP4rev1 ENABLE CONDSTORE QRESYNC", IMAP_CAP_QRESYNC, REV1 | IMAP_CAP_ENABLE |
	  IMAP_CAP_CONDSTORE, "", 0 },
	{ "IMAP4rev1 ENABLE CONDSTORE QRESYNC UTF8=ACCEPT", IMAP_CAP_ENABLE, REV1 |
	  IMAP_CAP_CONDSTORE, "", 0 },
	{ "IMAP4rev1 CONDSTORE QRESYNC", 0, REV1 | IMAP_CAP_CONDSTORE, "", 0 },
	{ "IMAP4rev1 LIST-STATUS", 0, REV1, "", 0 },
	{ "IMAP4rev1 LIST-EXTENDED LIST-STATUS STATUS=SIZE", 0, REV1 | IMAP_CAP_LIST_EXTENDED |
	  IMAP_CAP_LIST_STATUS | IMAP_CAP_STATUS_SIZE, "", 0 },
	{ "IMAP4rev1 CREATE-SPECIAL-USE SPECIAL-USE", IMAP_CAP_SPECIAL_USE, REV1, "", 0 },
	{ "IMAP4rev1 APPENDLIMIT=35651584", 0, REV1 | IMAP_CAP_APPENDLIMIT, "", 35651584 },
	{ "IMAP4rev1 APPENDLIMIT", 0, REV1 | IMAP_CAP_APPENDLIMIT, "", 0 },
	{ "IMAP4rev1 APPENDLIMIT=-1", 0, REV1 | IMAP_CAP_APPENDLIMIT, "", 0 },
	{ "IMAP4rev1 APPENDLIMIT=99999999999999999999999", 0, REV1 | IMAP_CAP_APPENDLIMIT, "", 0 },
	{ "IMAP4rev1 APPENDLIMIT=100", IMAP_CAP_APPENDLIMIT, REV1, "", 0 },
	{ "IMAP4rev1 LITERAL+ MULTIAPPEND COMPRESS=DEFLATE COMPRESS=LZ4 OBJECTID X-GM-EXT-1 IDLE NOTIFY BINARY", IMAP_CAP_COMPRESS,
	  REV1 | IMAP_CAP_BINARY | IMAP_CAP_LITERAL_PLUS | IMAP_CAP_MULTIAPPEND | IMAP_CAP_OBJECTID | IMAP_CAP_GMAIL |
	  IMAP_CAP_IDLE | IMAP_CAP_NOTIFY, "", 0 },
	{ "IMAP4rev1 STARTTLS LOGINDISABLED", IMAP_CAP_LOGINDISABLED | IMAP_CAP_REV1, REV1 |
	  IMAP_CAP_STARTTLS | IMAP_CAP_LOGINDISABLED, "", 0 },
	{ "IMAP4rev1 STARTTLS LOGINDISABLED", IMAP_CAP_STARTTLS, REV1 | IMAP_CAP_LOGINDISABLED, "",
	  0 },
	{ "IMAP4rev1 IMAP4rev2", 0, REV1 | IMAP_CAP_REV2 | IMAP_CAP_ENABLE, "", 0 },
	{ "IMAP4rev2", 0, REV2_ALL, "", 0 },
	{ "IMAP4rev2 AUTH=PLAIN", 0, REV2_ALL | IMAP_CAP_AUTH | IMAP_CAP_SASL_IR, "PLAIN", 0 },
	{ "IMAP4rev2", IMAP_CAP_LIST_EXTENDED | IMAP_CAP_MOVE,
	  REV2_ALL & ~(unsigned)(IMAP_CAP_LIST_EXTENDED | IMAP_CAP_LIST_STATUS | IMAP_CAP_MOVE), "",
	  0 },
};

static void test_lists(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct imap_caps caps;
		struct slice rest = slice_str(rows[i].says), word;

		imap_caps_begin(&caps);
		while ((word = slice_word(&rest)).n > 0)
			imap_caps_word(&caps, word);
		imap_caps_end(&caps, rows[i].disabled);
		assert_true(caps.known);
		if (caps.have != rows[i].have || strcmp(caps.auth, rows[i].auth) != 0 ||
			caps.append_limit != rows[i].limit)
			fail_msg("%s: %x instead of %x; %s", rows[i].says, caps.have, rows[i].have,
				caps.auth);
	}
}

/* What was printed is read as what it was. */
static void test_printed(void **state)
{
	static const char *const says[] = { "IMAP4rev1", "IMAP4rev2 AUTH=PLAIN AUTH=SCRAM-SHA-256",
		"IMAP4rev1 SASL-IR AUTH=XOAUTH2 ENABLE CONDSTORE QRESYNC X-NEW UTF8=ONLY APPENDLIMIT=35651584",
		"IMAP4rev1 IMAP4rev2 APPENDLIMIT UTF8=ACCEPT ENABLE" };
	static const unsigned without[] = { 0, IMAP_CAP_QRESYNC | IMAP_CAP_MOVE, IMAP_CAP_AUTH };

	(void)state;
	for (size_t i = 0; i < COUNT(says) * COUNT(without); i++) {
		unsigned disabled = without[i % COUNT(without)];
		struct slice rest = slice_str(says[i / COUNT(without)]), word;
		struct strbuf text = STRBUF_INIT(4096);
		struct imap_caps once = { 0 }, twice = { 0 };

		while ((word = slice_word(&rest)).n > 0)
			imap_caps_word(&once, word);
		imap_caps_end(&once, disabled);
		assert_int_equal(imap_caps_print(&once, &text), 0);
		rest = strbuf_slice(&text);
		while ((word = slice_word(&rest)).n > 0)
			imap_caps_word(&twice, word);
		imap_caps_end(&twice, disabled);
		assert_int_equal(once.have, twice.have);
		assert_string_equal(once.auth, twice.auth);
		assert_int_equal(once.append_limit, twice.append_limit);
		assert_int_equal(once.utf8_only, twice.utf8_only);
		strbuf_release(&text);
	}
}

/* UTF8=ONLY is more than UTF8=ACCEPT; more mechanisms than fit are left out. */
static void test_odd(void **state)
{
	struct imap_caps caps;

	(void)state;
	imap_caps_begin(&caps);
	imap_caps_word(&caps, SLICE_LIT("ENABLE"));
	imap_caps_word(&caps, SLICE_LIT("UTF8=ONLY"));
	for (int i = 0; i < 1000; i++)
		imap_caps_word(&caps, SLICE_LIT("AUTH=SCRAM-SHA-256-PLUS"));
	imap_caps_end(&caps, 0);
	assert_true(caps.utf8_only && (caps.have & IMAP_CAP_UTF8_ACCEPT));
	assert_true(strlen(caps.auth) < sizeof(caps.auth));
	assert_int_equal((strlen(caps.auth) + 1) % 19, 0);
	imap_caps_end(&caps, IMAP_CAP_UTF8_ACCEPT);
	assert_false(caps.utf8_only);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_printed),
		cmocka_unit_test(test_odd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
