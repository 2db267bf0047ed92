/* Replies, listings, capabilities, greetings: whatever the split. */
#include "../../lib/wire.h"

#include "pop3/conn.h"

static struct strbuf written = STRBUF_INIT(1 << 20);

/* A connection that reads these bytes, step at a time. */
static void attach(struct pop3_conn *c, const void *wire, size_t n, size_t step)
{
	struct err e = ERR_INIT;

	strbuf_clear(&written);
	assert_int_equal(pop3_attach(c, memstream_new(wire, n, step, &written), 1000, 0, "isp", &e), 0);
}

static void attach_str(struct pop3_conn *c, const char *wire, size_t step)
{
	attach(c, wire, strlen(wire), step);
}

static const struct {
	const char *wire;
	int rc;
	enum err_kind kind;
	const char *text; /* of +OK the slice, else a part of the error */
} replies[] = {
	{ "+OK\r\n", 1, ERR_NONE, "" },
	{ "+OK 3 messages \r\n", 1, ERR_NONE, "3 messages" },
	{ "+ok, fine\r\n", 1, ERR_NONE, ", fine" },
	{ "+OK bare\n", 1, ERR_NONE, "bare" },
	{ "-ERR\r\n", 0, ERR_REFUSED, "gives no reason" },
	{ "-ERR no such message\r\n", 0, ERR_REFUSED, "\"no such message\"" },
	{ "-ERR [IN-USE] wait\r\n", 0, ERR_BUSY, "[IN-USE] wait" },
	{ "-ERR [in-use] wait\r\n", 0, ERR_BUSY, "wait" },
	{ "-ERR [LOGIN-DELAY] wait\r\n", 0, ERR_TEMP, "wait" },
	{ "-ERR [SYS/TEMP] disk\r\n", 0, ERR_TEMP, "disk" },
	{ "-ERR [SYS/TEMP/IO] disk\r\n", 0, ERR_TEMP, "disk" },
	{ "-ERR [SYS/PERM] gone\r\n", 0, ERR_UNAVAIL, "gone" },
	{ "-ERR [AUTH] wrong\r\n", 0, ERR_AUTH, "wrong" },
	{ "-ERR [AUTHOR] wrong\r\n", 0, ERR_REFUSED, "wrong" },
	{ "-ERR [UTF8] no\r\n", 0, ERR_REFUSED, "no" },
	{ "-ERR [\r\n", 0, ERR_REFUSED, "[" },
	{ "-ERR \x1b[31m\x07 red\x9b!\r\n", 0, ERR_REFUSED, "\\x1b[31m\\x07 red\\x9b!" },
	{ "+OKAY\r\n", -1, ERR_PROTO, "+OKAY" },
	{ "-ERROR\r\n", -1, ERR_PROTO, "-ERROR" },
	{ "+ challenge\r\n", -1, ERR_PROTO, "+ challenge" },
	{ "* OK IMAP4rev1\r\n", -1, ERR_PROTO, "IMAP server" },
	{ "220 mail ESMTP\r\n", -1, ERR_PROTO, "SMTP" },
	{ "\r\n", -1, ERR_PROTO, "\"\"" },
	{ "garbage \x1b]0;x\x07\r\n", -1, ERR_PROTO, "garbage \\x1b]0;x\\x07" },
	{ "", -1, ERR_TEMP, "closed" },
	{ "+OK half", -1, ERR_TEMP, "middle of a line" },
};

static void test_replies(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(replies); i++) {
		for (size_t step = 1; step <= strlen(replies[i].wire) + 1; step++) {
			struct pop3_conn c;
			struct err e = ERR_INIT;
			struct slice text = { 0 };

			attach_str(&c, replies[i].wire, step);
			assert_int_equal(pop3_status(&c, &text, &e), replies[i].rc);
			assert_int_equal(e.kind, replies[i].kind);
			assert_int_equal(c.dead, replies[i].rc < 0);
			if (replies[i].rc == 1)
				assert_true(slice_eqs(text, replies[i].text));
			else if (!strstr(e.text, replies[i].text))
				fail_msg("\"%s\" lacks \"%s\"", e.text, replies[i].text);
			assert_printable(e.text);
			pop3_close(&c);
		}
	}
}

/* A dead link says so and sends nothing. */
static void test_dead(void **state)
{
	struct pop3_conn c;
	struct err e = ERR_INIT;

	(void)state;
	attach_str(&c, "junk\r\n+OK\r\n", 0);
	assert_int_equal(pop3_status(&c, NULL, &e), -1);
	assert_int_equal(pop3_send(&c, "NOOP"), 0);
	assert_int_equal(pop3_status(&c, NULL, &e), -1);
	assert_int_equal(e.kind, ERR_TEMP);
	assert_int_equal(written.len, 0);
	pop3_close(&c);
	pop3_close(&c);
}

/* What the server had said before is the reason, where it is one. */
static void test_last_words(void **state)
{
	static const struct {
		const char *wire, *text;
	} rows[] = {
		{ "-ERR Disconnected for inactivity.\r\n", "closed the connection and says \"Disconnected for inactivity.\"" },
		{ "", "Broken pipe" },
		{ "-ERR", "Broken pipe" },
		{ "+OK\r\n-ERR in a message\r\n", "Broken pipe" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct pop3_conn c;
		struct err e = ERR_INIT;
		struct stream_ops closed;

		attach_str(&c, rows[i].wire, 3);
		wire_close(c.s, &closed);
		assert_int_equal(pop3_send(&c, "NOOP"), 0);
		assert_int_equal(pop3_status(&c, NULL, &e), -1);
		assert_true(c.dead);
		assert_int_equal(e.kind, ERR_TEMP);
		assert_non_null(strstr(e.text, rows[i].text));
		pop3_close(&c);
	}
}

static void test_login_delay(void **state)
{
	struct pop3_conn c;
	struct err e = ERR_INIT;

	(void)state;
	attach_str(&c, "-ERR [LOGIN-DELAY] wait\r\n-ERR [LOGIN-DELAY] wait\r\n", 0);
	assert_int_equal(pop3_status(&c, NULL, &e), 0);
	assert_int_equal(e.retry_after, 60);
	c.caps.login_delay = 900;
	assert_int_equal(pop3_status(&c, NULL, &e), 0);
	assert_int_equal(e.retry_after, 900);
	pop3_close(&c);
}

static void test_challenge(void **state)
{
	static const struct {
		const char *wire, *text;
		int rc;
	} rows[] = {
		{ "+ Zm9v\r\n", "Zm9v", 2 },
		{ "+\r\n", "", 2 },
		{ "+ \r\n", "", 2 },
		{ "+OK in\r\n", "in", 1 },
		{ "-ERR out\r\n", "out", 0 },
		{ "+x\r\n", "", -1 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct pop3_conn c;
		struct slice text = { 0 };

		attach_str(&c, rows[i].wire, 1);
		assert_int_equal(pop3_challenge(&c, &text, NULL), rows[i].rc);
		if (rows[i].rc >= 0)
			assert_true(slice_eqs(text, rows[i].text));
		pop3_close(&c);
	}
}

static void test_send(void **state)
{
	struct pop3_conn c;
	struct err e = ERR_INIT;

	(void)state;
	attach_str(&c, "", 0);
	assert_int_equal(pop3_send(&c, "USER %s", "jane"), 0);
	assert_int_equal(pop3_send(&c, "USER %s", "jane\r\nDELE 1"), -1);
	assert_int_equal(pop3_send(&c, "USER %s", "jane\rDELE 1"), -1);
	assert_int_equal(pop3_send(&c, "USER %s", "jane\nDELE 1"), -1);
	assert_int_equal(pop3_send(&c, "USER %c", 0), -1);
	assert_int_equal(pop3_send(&c, "NOOP"), 0);
	assert_int_equal(written.len, 0);
	assert_int_equal(pop3_flush(&c, &e), 0);
	assert_string_equal(strbuf_str(&written), "USER jane\r\nNOOP\r\n");
	pop3_close(&c);
}

static const struct {
	const char *wire, *lines; /* each line, then "|"; "!" where it was cut */
	int rc;
	enum err_kind kind;
} listings[] = {
	{ ".\r\n", "", 0, ERR_NONE },
	{ "1 a\r\n2 b\r\n.\r\n", "1 a|2 b|", 0, ERR_NONE },
	{ "1 a\n2 b\n.\n", "1 a|2 b|", 0, ERR_NONE },
	{ "..\r\n.x\r\n...\r\n.\r\n", ".|x|..|", 0, ERR_NONE },
	{ "\r\n.\r\n", "|", 0, ERR_NONE },
	{ "1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n2 b\r\n.\r\n", "1 aaaaaaaaaaaaaaaaaa!|2 b|", 0, ERR_NONE },
	{ ".....................................\r\n.\r\n", "....................!|", 0, ERR_NONE },
	{ "1 a\r\n2", "1 a|", -1, ERR_TEMP },
	{ "1 a\r\n2 bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "1 a|", -1, ERR_TEMP },
	{ "", "", -1, ERR_TEMP },
	{ "1 aa\r\n2 aa\r\n3 aa\r\n4 aa\r\n5 aa\r\n6 aa\r\n7 aa\r\n8 aa\r\n9 aa\r\n10 aa\r\n11 aa\r\n12 aa\r\n.\r\n",
	  "1 aa|2 aa|3 aa|4 aa|5 aa|6 aa|7 aa|8 aa|9 aa|10 aa|11 aa|", -1, ERR_PROTO },
};

static void test_listings(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(listings); i++) {
		for (size_t step = 1; step <= strlen(listings[i].wire) + 1; step++) {
			struct pop3_conn c;
			struct err e = ERR_INIT;
			struct strbuf got = STRBUF_INIT(4096);
			struct slice line;
			uint64_t budget = 70;
			int r;

			attach_str(&c, listings[i].wire, step);
			while ((r = pop3_multi(&c, 30, &budget, &line, &e)) > 0) {
				if (r == 2) {
					assert_true(line.n >= 20);
					line.n = 20; /* what is kept of it depends on the split */
				}
				strbuf_putsl(&got, line);
				strbuf_puts(&got, r == 2 ? "!|" : "|");
			}
			assert_int_equal(r, listings[i].rc);
			assert_int_equal(e.kind, listings[i].kind);
			assert_string_equal(strbuf_str(&got), listings[i].lines);
			strbuf_release(&got);
			pop3_close(&c);
		}
	}
}

/* A line of a megabyte costs one message its name, not the listing its place; one of 20 MB is no listing. */
static void test_overlong(void **state)
{
	static const size_t sizes[] = { 8192, 65535, 65536, 65537, 1 << 20, 20 << 20 };

	(void)state;
	for (size_t i = 0; i < COUNT(sizes); i++) {
		size_t n = sizes[i];
		char *wire = malloc(n + 64);
		struct pop3_conn c;
		struct err e = ERR_INIT;
		struct slice line = { 0 };
		uint64_t budget = 512 << 20;

		assert_non_null(wire);
		memset(wire, 'x', n);
		memcpy(wire, "17 ", 3);
		memcpy(wire + n, "\r\n18 b\r\n.\r\n+OK in step\r\n", 25);
		attach(&c, wire, n + 24, 0);
		if (n > POP3_OVERLONG_MAX) {
			assert_int_equal(pop3_multi(&c, 8192, &budget, &line, &e), -1);
			assert_int_equal(e.kind, ERR_PROTO);
			assert_true(c.dead);
		} else {
			assert_int_equal(pop3_multi(&c, 8192, &budget, &line, &e), 2);
			assert_true(slice_starts(line, "17 xxx"));
			assert_int_equal(pop3_multi(&c, 8192, &budget, &line, &e), 1);
			assert_true(slice_eqs(line, "18 b"));
			assert_int_equal(pop3_multi(&c, 8192, &budget, &line, &e), 0);
			assert_int_equal(pop3_status(&c, &line, &e), 1);
			assert_true(slice_eqs(line, "in step"));
		}
		pop3_close(&c);
		free(wire);
	}
}

/* A status line without end is given up at its limit. */
static void test_unending_line(void **state)
{
	char wire[POP3_LINE_MAX + 100];
	struct pop3_conn c;
	struct err e = ERR_INIT;

	(void)state;
	memset(wire, 'A', sizeof(wire));
	attach(&c, wire, sizeof(wire), 100);
	assert_int_equal(pop3_status(&c, NULL, &e), -1);
	assert_int_equal(e.kind, ERR_PROTO);
	pop3_close(&c);
}

/* Who trickles is given up. */
static void test_slow(void **state)
{
	struct pop3_conn c;
	struct err e = ERR_INIT;
	struct slice line;
	uint64_t budget = 1000;

	(void)state;
	attach_str(&c, "+OK\r\n1 a\r\n.\r\n", 5);
	assert_int_equal(pop3_status(&c, NULL, &e), 1);
	c.pace.waited = PACE_MS;
	assert_int_equal(pop3_multi(&c, 100, &budget, &line, &e), -1);
	assert_int_equal(e.kind, ERR_TIMEOUT);
	assert_true(c.dead);
	pop3_close(&c);
}

static void test_capa(void **state)
{
	static const char wire[] = "+OK list\r\nTOP\r\nuser\r\nSASL PLAIN SCRAM-SHA-256 B\x01" "D L\xc3\xa4NG\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\n"
	                           "LOGIN-DELAY 900 USER\r\nPIPELINING\r\nEXPIRE 60\r\nUIDL\r\nSTLS\r\nUTF8 USER\r\nLANG\r\n"
	                           "IMPLEMENTATION Shlemazle \x1b[1m-v302\r\nX-OTHER\r\n\r\n.\r\n";

	(void)state;
	for (size_t step = 1; step <= sizeof(wire); step++) {
		struct pop3_conn c;
		struct err e = ERR_INIT;

		attach_str(&c, wire, step);
		c.disabled = POP3_CAP_TOP;
		assert_int_equal(pop3_capa(&c, &e), 0);
		assert_string_equal(strbuf_str(&written), "CAPA\r\n");
		assert_true(c.caps.known);
		assert_int_equal(c.caps.have, ((1 << 13) - 1) & ~POP3_CAP_TOP);
		assert_string_equal(c.caps.sasl, "PLAIN SCRAM-SHA-256");
		assert_string_equal(c.caps.implementation, "Shlemazle \\x1b[1m-v302");
		assert_int_equal(c.caps.login_delay, 900);
		assert_int_equal(c.caps.expire, 60);
		pop3_close(&c);
	}
}

static void test_capa_less(void **state)
{
	struct pop3_conn c;
	struct err e = ERR_INIT;

	(void)state;
	attach_str(&c, "+OK\r\nSASL PLAIN\r\nEXPIRE NEVER\r\nLOGIN-DELAY soon\r\n.\r\n-ERR what?\r\n-ERR what?\r\n", 0);
	c.disabled = POP3_CAP_SASL;
	assert_int_equal(pop3_capa(&c, &e), 0);
	assert_string_equal(c.caps.sasl, "");
	assert_int_equal(c.caps.expire, -1);
	assert_int_equal(c.caps.login_delay, 0);
	c.caps.login_delay = 5;
	assert_int_equal(pop3_send(&c, "CAPA"), 0);
	assert_int_equal(pop3_capa_read(&c, true, &e), 0);
	assert_int_equal(c.caps.login_delay, 5); /* kept */
	assert_int_equal(pop3_capa(&c, &e), 0);
	assert_false(c.caps.known);
	assert_int_equal(c.caps.have, 0);
	pop3_close(&c);
}

/* Cut anywhere, CAPA fails as a lost connection and the capabilities stay what they were. */
static void test_capa_cut(void **state)
{
	static const char wire[] = "+OK list\r\nTOP\r\nSASL PLAIN\r\n.\r\n";

	(void)state;
	for (size_t n = 0; n < sizeof(wire) - 1; n++) {
		struct pop3_conn c;
		struct err e = ERR_INIT;

		attach(&c, wire, n, 3);
		assert_int_equal(pop3_capa(&c, &e), -1);
		assert_int_equal(e.kind, ERR_TEMP);
		assert_true(c.dead);
		assert_int_equal(c.caps.have, 0);
		pop3_close(&c);
	}
}

static void test_capa_unending(void **state)
{
	struct strbuf wire = STRBUF_INIT(1 << 20);
	struct pop3_conn c;
	struct err e = ERR_INIT;

	(void)state;
	strbuf_puts(&wire, "+OK\r\n");
	for (int i = 0; i < 20000; i++)
		strbuf_puts(&wire, "SASL AAAA BBBB\r\n");
	attach(&c, wire.s, wire.len, 0);
	assert_int_equal(pop3_capa(&c, &e), -1);
	assert_int_equal(e.kind, ERR_PROTO);
	pop3_close(&c);
	strbuf_release(&wire);
}

static const struct {
	const char *wire;
	int rc;
	enum err_kind kind;
	const char *text; /* apop, or a part of the error */
} greetings[] = {
	{ "+OK ready\r\n", 0, ERR_NONE, "" },
	{ "+OK <1896.697170952@dbc.mtview.ca.us> hello\r\n", 0, ERR_NONE, "<1896.697170952@dbc.mtview.ca.us>" },
	{ "+OK Dovecot <1e.2.5f+Q==@[127.0.0.1]>\r\n", 0, ERR_NONE, "<1e.2.5f+Q==@[127.0.0.1]>" },
	{ "+OK <a@>\r\n", 0, ERR_NONE, "" },
	{ "+OK <@b>\r\n", 0, ERR_NONE, "" },
	{ "+OK <ab>\r\n", 0, ERR_NONE, "" },
	{ "+OK <a@b@c>\r\n", 0, ERR_NONE, "" },
	{ "+OK <a\x01@b>\r\n", 0, ERR_NONE, "" },
	{ "+OK <a\xff@b>\r\n", 0, ERR_NONE, "" },
	{ "+OK <a b@c>\r\n", 0, ERR_NONE, "" },
	{ "+OK <a[x@c>\r\n", 0, ERR_NONE, "" },
	{ "+OK <a@b\r\n", 0, ERR_NONE, "" },
	{ "+OK <a<c@b>\r\n", 0, ERR_NONE, "" },
	{ "-ERR no\r\n", -1, ERR_UNAVAIL, "greeting" },
	{ "-ERR [SYS/TEMP] too many connections\r\n", -1, ERR_TEMP, "too many" },
	{ "HTTP/1.1 400 Bad Request\r\n", -1, ERR_PROTO, "HTTP" },
	{ "+OK one\r\n+OK two\r\n", -1, ERR_PROTO, "more than one line" },
	{ "", -1, ERR_TEMP, "closed" },
};

static void test_greetings(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(greetings); i++) {
		struct pop3_conn c;
		struct err e = ERR_INIT;

		attach_str(&c, greetings[i].wire, 0);
		assert_int_equal(pop3_greeting(&c, &e), greetings[i].rc);
		assert_int_equal(e.kind, greetings[i].kind);
		if (greetings[i].rc == 0)
			assert_string_equal(c.apop, greetings[i].text);
		else
			assert_non_null(strstr(e.text, greetings[i].text));
		assert_printable(c.greeting);
		pop3_close(&c);
	}
}

/* Each capability stands once in the table and has its texts. */
static void test_table(void **state)
{
	size_t n;
	const struct pop3_capinfo *t = pop3_capinfo(&n);
	unsigned seen = 0;

	(void)state;
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(seen & t[i].bit, 0);
		seen |= t[i].bit;
		assert_true(*t[i].name && *t[i].used_for && *t[i].without);
	}
	assert_int_equal(seen, (1 << 13) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_replies),     cmocka_unit_test(test_dead),
		cmocka_unit_test(test_last_words),       cmocka_unit_test(test_login_delay),
		cmocka_unit_test(test_challenge),   cmocka_unit_test(test_send),       cmocka_unit_test(test_listings),
		cmocka_unit_test(test_overlong),    cmocka_unit_test(test_unending_line), cmocka_unit_test(test_slow),
		cmocka_unit_test(test_capa),        cmocka_unit_test(test_capa_less),  cmocka_unit_test(test_capa_cut),
		cmocka_unit_test(test_capa_unending), cmocka_unit_test(test_greetings), cmocka_unit_test(test_table),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	strbuf_release(&written);
	return failed;
}
