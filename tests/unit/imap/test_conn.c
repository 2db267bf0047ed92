/*
 * Commands and answers on one connection: what is put out, in what order, and what comes of what
 * the server says, whatever the split.
 */
#include "../../lib/wire.h"

#include "imap/conn.h"
#include "imap/refusal.h"

static struct strbuf written = STRBUF_INIT(4 << 20);

/* A connection past its greeting that reads these bytes, step at a time. */
static void attach(struct imap_conn *c, const void *wire, size_t n, size_t step)
{
	struct err e = ERR_INIT;

	strbuf_clear(&written);
	*c = (struct imap_conn){ 0 };
	assert_int_equal(imap_attach(c, memstream_new(wire, n, step, &written), 1000, 0, "work",
		&e), 0);
	c->greeted = true;
}

static void attach_str(struct imap_conn *c, const char *wire, size_t step)
{
	attach(c, wire, strlen(wire), step);
}

/* Its name. */
static const char *kind_of(const struct imap_resp *r)
{
	switch (r->kind) {
	case IMAP_EXISTS:
		return "exists ";
	case IMAP_EXPUNGE:
		return "expunge ";
	case IMAP_FETCH:
		return "fetch ";
	case IMAP_FETCH_BODY:
		return "body ";
	case IMAP_STATUS:
		return "status ";
	case IMAP_UNTAGGED:
		return "untagged ";
	default:
		return "other ";
	}
}

/* Read on to the end or to a failure, and write down what came. */
static void transcribe(struct imap_conn *c, struct strbuf *out, struct err *e)
{
	const struct imap_resp *r;
	uint32_t tag;

	while (imap_flying(c) > 0) {
		struct err why = ERR_INIT;

		switch (imap_next(c, &tag, &r, &why)) {
		case IMAP_LOST:
			strbuf_printf(out, "lost:%s", err_kind_name(why.kind));
			*e = why;
			return;
		case IMAP_REFUSED:
			strbuf_printf(out, "no%u:%s ", tag, err_kind_name(why.kind));
			*e = why;
			break;
		case IMAP_DONE:
			strbuf_printf(out, "ok%u ", tag);
			break;
		case IMAP_DATA:
			strbuf_puts(out, kind_of(r));
			break;
		}
		assert_printable(why.text);
	}
}

static const struct {
	const char *wire, *seen; /* three commands are in flight */
	const char *text;        /* a part of the last error */
} talks[] = {
	{ "A1 OK done\r\nA2 OK done\r\nA3 OK done\r\n", "ok1 ok2 ok3 ", "" },
	{ "A1 OK\nA2 OK \nA3 OK [READ-WRITE] x\n", "ok1 ok2 ok3 ", "" },
	{ "* 3 EXISTS\r\n* STATUS a (MESSAGES 1)\r\nA1 OK x\r\n* 1 FETCH (FLAGS ())\r\nA2 OK x\r\n* 1 EXPUNGE\r\nA3 OK x\r\n",
	  "exists status ok1 fetch ok2 expunge ok3 ", "" },
	{ "A2 OK x\r\nA3 NO x\r\nA1 OK x\r\n", "ok2 no3:refused ok1 ", "\"x\"" },
	{ "A1 NO [UNAVAILABLE] later\r\nA2 BAD what?\r\nA3 OK x\r\n", "no1:temp no2:refused ok3 ",
	  "\"what?\"" },
	{ "+ ready\r\nA1 OK x\r\n+ idling\r\nA2 OK x\r\nA3 OK x\r\n", "ok1 ok2 ok3 ", "" },
	{ "* CAPABILITY IMAP4rev1 MOVE\r\nA1 OK x\r\n* ENABLED CONDSTORE\r\nA2 OK x\r\n* ID NIL\r\nA3 OK x\r\n", "ok1 ok2 ok3 ", "" },
	{ "* OK still here\r\n* NO disk is full\r\nA1 OK x\r\nA2 OK x\r\nA3 OK x\r\n",
	  "untagged untagged ok1 ok2 ok3 ", "" },
	{ "* 1 FETCH (UID 7 BODY[] {5}\r\nhello FLAGS ())\r\nA1 OK x\r\nA2 OK x\r\nA3 OK x\r\n",
	  "body fetch ok1 ok2 ok3 ", "" },
	{ "A1 OK x\r\n* BYE Session expired\r\n", "ok1 lost:temp",
	  "the server ends the connection and says \"Session expired\"" },
	{ "* BYE [UNAVAILABLE] shutting down\r\nA1 OK x\r\n", "lost:temp", "shutting down" },
	{ "A1 BAD Request is throttled. Suggested Backoff Time: 89117 milliseconds\r\n* BYE Connection closed. 14\r\n", "no1:temp lost:temp", "Connection closed" },
	{ "A1 OK x\r\n", "ok1 lost:temp", "closed the connection" },
	{ "A1 OK x\r\nA2 O", "ok1 lost:temp", "closed" },
	{ "A1 OK x\r\nA1 OK x\r\n", "ok1 lost:proto", "was not given" },
	{ "A9 OK x\r\n", "lost:proto", "\"A9\"" },
	{ "B1 OK x\r\n", "lost:proto", "\"B1\"" },
	{ "A01 OK\r\nA2 OK\r\nA3 OK\r\n", "ok1 ok2 ok3 ", "" },
	{ "A99999999999999999999 OK x\r\n", "lost:proto", "was not given" },
	{ "A OK x\r\n", "lost:proto", "was not given" },
	{ "\x1b[2J OK x\r\n", "lost:proto", "" },
	{ "junk\r\n", "lost:proto", "" },
};

static void test_talks(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(talks); i++) {
		for (size_t step = 1; step <= strlen(talks[i].wire) + 1; step++) {
			struct imap_conn c;
			struct err e = ERR_INIT;
			struct strbuf seen = STRBUF_INIT(4096);
			uint32_t tag;

			attach_str(&c, talks[i].wire, step);
			for (uint32_t n = 1; n <= 3; n++) {
				assert_int_equal(imap_send(&c, &tag, &e, "NOOP"), 0);
				assert_int_equal(tag, n);
			}
			assert_int_equal(imap_flying(&c), 3);
			transcribe(&c, &seen, &e);
			if (strcmp(strbuf_str(&seen), talks[i].seen) != 0 ||
				!strstr(e.text, talks[i].text))
				fail_msg("%zu: %s (%s)", i, strbuf_str(&seen), e.text);
			assert_int_equal(c.dead, strstr(talks[i].seen, "lost") != NULL);
			assert_string_equal(strbuf_str(&written),
				"A1 NOOP\r\nA2 NOOP\r\nA3 NOOP\r\n");
			assert_int_equal(c.fly_bytes == 0, imap_flying(&c) == 0);
			strbuf_release(&seen);
			imap_close(&c);
		}
	}
}

/* A dead link says so and sends nothing. */
static void test_dead(void **state)
{
	struct imap_conn c;
	struct err e = ERR_INIT;
	uint32_t tag;

	(void)state;
	attach_str(&c, "* BYE out\r\nA2 OK\r\n", 0);
	assert_int_equal(imap_send(&c, &tag, &e, "NOOP"), 0);
	assert_int_equal(imap_next(&c, NULL, NULL, &e), IMAP_LOST);
	strbuf_clear(&written);
	assert_int_equal(imap_send(&c, &tag, &e, "NOOP"), 0);
	assert_int_equal(imap_next(&c, NULL, NULL, &e), IMAP_LOST);
	assert_int_equal(e.kind, ERR_TEMP);
	assert_int_equal(written.len, 0);
	imap_bye(&c);
	assert_int_equal(written.len, 0);
	imap_bye(&c);
	imap_close(&c);
}

/* What it had said before is read for the reason, and for nothing else. */
static void test_last_words(void **state)
{
	static const struct {
		const char *wire, *text;
	} rows[] = {
		{ "* BYE Idle for too long\r\n", "says \"Idle for too long\"" },
		{ "* 1 EXISTS\r\n* 1 FETCH (UID 7 BODY[] {5}\r\nhello FLAGS ())\r\nA1 OK x\r\n* BYE [UNAVAILABLE] over\r\n", "over" },
		{ "", "Broken pipe" },
		{ "* BYE", "Broken pipe" },
		{ "A1 OK x\r\n* 2 EXISTS\r\n", "Broken pipe" },
		{ "junk\r\n", "Broken pipe" },
	};
	struct stream_ops closed;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		for (int later = 0; later < 2; later++) {
			struct imap_conn c;
			struct err e = ERR_INIT;

			attach_str(&c, rows[i].wire, 3);
			assert_int_equal(imap_send(&c, NULL, &e, "NOOP"), 0);
			if (later) {
				assert_int_equal(imap_flush(&c, &e), 0);
				assert_int_equal(imap_send(&c, NULL, &e, "NOOP"), 0);
			}
			wire_close(c.s, &closed);
			assert_int_equal(imap_next(&c, NULL, NULL, &e), IMAP_LOST);
			assert_true(c.dead);
			assert_int_equal(e.kind, ERR_TEMP);
			if (!strstr(e.text, rows[i].text))
				fail_msg("%zu, %d: %s", i, later, e.text);
			imap_close(&c);
		}
}

static const struct {
	const char *says; /* behind the tag */
	enum err_kind kind;
	enum err_span span;
	int retry_after;
	const char *text;
} refusals[] = {
	{ "NO", ERR_REFUSED, SPAN_MSG, 0, "nothing more" },
	{ "NO no such thing", ERR_REFUSED, SPAN_MSG, 0, "the server says \"no such thing\"" },
	{ "BAD Command Argument Error. 11", ERR_REFUSED, SPAN_MSG, 0, "Argument Error" },
	{ "NO \x1b[31m\x07 red\x9b!", ERR_REFUSED, SPAN_MSG, 0, "\\x1b[31m\\x07 red\\x9b!" },
	{ "NO [UNAVAILABLE] UID FETCH Server error", ERR_TEMP, SPAN_ACCT, 60,
	  "[UNAVAILABLE] UID FETCH" },
	{ "NO [THROTTLED] slow down", ERR_TEMP, SPAN_ACCT, 60, "" },
	{ "NO [OVERQUOTA] Account exceeded command or bandwidth limits", ERR_TEMP, SPAN_ACCT, 3600,
	  "[OVERQUOTA]" },
	{ "NO Account exceeded command or bandwidth limits. (Failure)", ERR_TEMP, SPAN_ACCT, 3600,
	  "" },
	{ "NO [INUSE] locked", ERR_BUSY, SPAN_BOX, 0, "" },
	{ "NO [LIMIT] too many keywords", ERR_REFUSED, SPAN_MSG, 0, "[LIMIT]" },
	{ "NO [LIMIT] UID FETCH Rate limit hit", ERR_TEMP, SPAN_ACCT, 60, "" },
	{ "NO [SERVERBUG] SELECT Server error - Please try again later", ERR_TEMP, SPAN_MSG, 0,
	  "" },
	{ "NO [AUTHENTICATIONFAILED] wrong", ERR_AUTH, SPAN_ACCT, 0, "" },
	{ "NO [authenticationfailed] wrong", ERR_AUTH, SPAN_ACCT, 0, "" },
	{ "NO [EXPIRED] password", ERR_AUTH, SPAN_ACCT, 0, "" },
	{ "NO [CONTACTADMIN] you", ERR_UNAVAIL, SPAN_ACCT, 0, "" },
	{ "NO [NONEXISTENT] gone", ERR_REFUSED, SPAN_BOX, 0, "" },
	{ "NO [TRYCREATE] Mailbox doesn't exist", ERR_REFUSED, SPAN_BOX, 0, "" },
	{ "NO [NOPERM] yours it isn't", ERR_REFUSED, SPAN_BOX, 0, "" },
	{ "NO [TOOBIG] fat", ERR_REFUSED, SPAN_MSG, 0, "" },
	{ "NO [X-OWN a b] c", ERR_REFUSED, SPAN_MSG, 0, "[X-OWN a b] c" },
	{ "NO Server Unavailable. 15", ERR_TEMP, SPAN_ACCT, 60, "" },
	{ "BAD User is authenticated but not connected.", ERR_AUTH, SPAN_ACCT, 0, "" },
	{ "NO Request is throttled. Suggested Backoff Time: 299961 milliseconds", ERR_TEMP,
	  SPAN_ACCT, 300, "" },
	{ "BAD Request is throttled. Suggested Backoff Time: 299 milliseconds", ERR_TEMP, SPAN_ACCT,
	  1, "" },
};

static void test_refusals(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(refusals); i++) {
		struct imap_conn c;
		struct err e = ERR_INIT;
		char wire[256];
		uint32_t tag = 0;

		snprintf(wire, sizeof(wire), "A1 %s\r\n", refusals[i].says);
		attach_str(&c, wire, 3);
		assert_int_equal(imap_send(&c, NULL, &e, "NOOP"), 0);
		assert_int_equal(imap_next(&c, &tag, NULL, &e), IMAP_REFUSED);
		assert_int_equal(tag, 1);
		if (e.kind != refusals[i].kind || e.span != refusals[i].span ||
			e.retry_after != refusals[i].retry_after ||
			!strstr(e.text, refusals[i].text))
			fail_msg("%s: %s, %d, %d: %s", refusals[i].says, err_kind_name(e.kind),
				(int)e.span, e.retry_after, e.text);
		assert_printable(e.text);
		imap_close(&c);
	}
}

static void test_backoff(void **state)
{
	static const struct {
		const char *text;
		int seconds;
	} rows[] = {
		{ "", 0 },
		{ "Backoff", 0 },
		{ "Suggested Backoff Time:", 0 },
		{ "Suggested Backoff Time: soon", 0 },
		{ "Suggested Backoff Time: 0 milliseconds", 1 },
		{ "Suggested Backoff Time: 1 milliseconds", 1 },
		{ "Suggested Backoff Time: 1000 milliseconds", 1 },
		{ "Suggested Backoff Time: 1001 milliseconds", 2 },
		{ "suggested backoff time: 299961", 300 },
		{ "Suggested Backoff Time: 299 seconds", 299 },
		{ "Suggested Backoff Time: 99999999999999999999999 milliseconds", 86400 },
		{ "Suggested Backoff Time: 18446744073709551615 milliseconds", 86400 },
		{ "Suggested Backoff Time: 100000 s", 86400 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_int_equal(imap_backoff(slice_str(rows[i].text)), rows[i].seconds);
}

static struct {
	char text[4][64];
	int n;
} alerts;

static void on_alert(void *arg, const char *text)
{
	assert_ptr_equal(arg, &alerts);
	snprintf(alerts.text[alerts.n++ % 4], sizeof(alerts.text[0]), "%s", text);
}

/* What a person must read, wherever it stands; nothing of it before TLS. */
static void test_alerts(void **state)
{
	static const char wire[] =
		"* OK [ALERT] one\x07\r\n* NO [ALERT] two\r\nA1 NO [ALERT] three\r\n"
		"* OK [ALERT] four\r\nA2 OK\r\n";

	(void)state;
	for (int clear = 0; clear < 2; clear++) {
		struct imap_conn c;
		struct err e = ERR_INIT;
		struct strbuf seen = STRBUF_INIT(4096);

		attach_str(&c, wire, 0);
		alerts.n = 0;
		c.alert = on_alert;
		c.arg = &alerts;
		imap_send(&c, NULL, &e, "NOOP");
		imap_send(&c, NULL, &e, "NOOP");
		c.clear = clear;
		transcribe(&c, &seen, &e);
		assert_string_equal(strbuf_str(&seen),
			"untagged untagged no1:refused untagged ok2 ");
		assert_int_equal(alerts.n, clear ? 0 : 4);
		if (!clear) {
			assert_string_equal(alerts.text[0], "one\\x07");
			assert_string_equal(alerts.text[2], "three");
		}
		strbuf_release(&seen);
		imap_close(&c);
	}
}

/* ---- strings ---- */

static const struct {
	const char *in;
	size_t n;
	unsigned caps;
	bool utf8;
	const char *out; /* NULL: can't be sent */
} strings[] = {
	{ "", 0, 0, false, "\"\"" },
	{ "INBOX", 5, 0, false, "\"INBOX\"" },
	{ "a \"b\" \\c", 8, 0, false, "\"a \\\"b\\\" \\\\c\"" },
	{ "Entw&APw-rfe", 12, 0, false, "\"Entw&APw-rfe\"" },
	{ "\xc3\xa4", 2, IMAP_CAP_LITERAL_PLUS, false, "{2+}\r\n\xc3\xa4" },
	{ "\xc3\xa4", 2, IMAP_CAP_LITERAL_MINUS, false, "{2+}\r\n\xc3\xa4" },
	{ "\xc3\xa4", 2, 0, true, "\"\xc3\xa4\"" },
	{ "a\r\nb", 4, IMAP_CAP_LITERAL_PLUS, true, "{4+}\r\na\r\nb" },
	{ "a\x01", 2, IMAP_CAP_LITERAL_PLUS, true, "{2+}\r\na\x01" },
	{ "a\0b", 3, IMAP_CAP_LITERAL_PLUS, true, NULL },
};

static void test_strings(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(strings); i++) {
		struct imap_conn c;
		struct err e = ERR_INIT;
		char want[64] = "";

		attach_str(&c, "", 0);
		c.caps.have = strings[i].caps;
		c.utf8 = strings[i].utf8;
		imap_start(&c);
		imap_put(&c, "X ");
		imap_astring(&c, slice_of(strings[i].in, strings[i].n));
		imap_put(&c, " y");
		assert_int_equal(imap_end(&c, NULL, &e), strings[i].out ? 0 : -1);
		if (strings[i].out)
			snprintf(want, sizeof(want), "A1 X %s y\r\n", strings[i].out);
		assert_int_equal(imap_flush(&c, &e), 0);
		assert_string_equal(strbuf_str(&written), want);
		assert_int_equal(imap_flying(&c), strings[i].out ? 1 : 0);
		imap_close(&c);
	}
}

/* Text with a line end is no command, and leaves nothing behind. */
static void test_injection(void **state)
{
	struct imap_conn c;
	struct err e = ERR_INIT;
	uint32_t tag;

	(void)state;
	attach_str(&c, "", 0);
	assert_int_equal(imap_send(&c, &tag, &e, "UID FETCH %s FLAGS", "1\r\nA9 LOGOUT"), -1);
	assert_int_equal(e.kind, ERR_CONF);
	assert_int_equal(imap_send(&c, &tag, &e, "X%c", 0), -1);
	assert_int_equal(imap_send(&c, &tag, &e, "X%c", '\n'), -1);
	assert_int_equal(imap_send(&c, &tag, &e, "X%c", '\r'), -1);
	imap_start(&c);
	imap_put(&c, "RENAME ");
	imap_astring(&c, SLICE_LIT("a\tb")); /* waits, and is taken back */
	imap_astring(&c, SLICE_LIT("\0"));
	assert_int_equal(imap_end(&c, &tag, &e), -1);
	assert_int_equal(c.stops.n, 0);
	imap_start(&c);
	imap_start(&c);
	assert_int_equal(imap_end(&c, &tag, &e), -1);
	assert_int_equal(imap_end(&c, &tag, &e), -1);
	assert_int_equal(e.kind, ERR_BUG);
	assert_int_equal(imap_send(&c, &tag, &e, "NOOP"), 0);
	assert_int_equal(imap_flush(&c, &e), 0);
	assert_string_equal(strchr(strbuf_str(&written), ' '), " NOOP\r\n");
	assert_int_equal(imap_flying(&c), 1);
	imap_close(&c);
}

/*
 * Literals that need a "+": what stands behind them waits, commands too. One that is refused
 * instead takes its rest with it, and the next command is what it was.
 */
static const struct {
	const char *wire, *seen, *put;
} waits[] = {
	{ "+ go\r\nA1 OK\r\nA2 OK\r\n", "ok1 ok2 ",
	  "A1 CREATE {2}\r\n|\xc3\xa4 (x)\r\nA2 NOOP\r\n" },
	{ "* 1 EXISTS\r\n+\r\n* 2 EXISTS\r\nA1 NO\r\nA2 OK\r\n", "exists exists no1:refused ok2 ",
	  "A1 CREATE {2}\r\n|\xc3\xa4 (x)\r\nA2 NOOP\r\n" },
	{ "A1 NO [CANNOT] no\r\nA2 OK\r\n", "no1:refused ok2 ", "A1 CREATE {2}\r\n|A2 NOOP\r\n" },
	{ "A1 BAD no\r\nA2 OK\r\n", "no1:refused ok2 ", "A1 CREATE {2}\r\n|A2 NOOP\r\n" },
	{ "A1 OK what?\r\nA2 OK\r\n", "lost:proto", "A1 CREATE {2}\r\n|" },
	{ "A2 OK\r\n", "lost:proto", "A1 CREATE {2}\r\n|" },
	{ "* BYE no\r\n", "lost:temp", "A1 CREATE {2}\r\n|" },
};

static void test_waits(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(waits); i++) {
		for (size_t step = 1; step <= strlen(waits[i].wire) + 1; step++) {
			const char *bar = strchr(waits[i].put, '|');
			struct imap_conn c;
			struct err e = ERR_INIT;
			struct strbuf seen = STRBUF_INIT(4096), put = STRBUF_INIT(4096);

			attach_str(&c, waits[i].wire, step);
			imap_start(&c);
			imap_put(&c, "CREATE ");
			imap_astring(&c, SLICE_LIT("\xc3\xa4"));
			imap_put(&c, " (x)");
			assert_int_equal(imap_end(&c, NULL, &e), 0);
			assert_int_equal(imap_send(&c, NULL, &e, "NOOP"), 0);
			assert_int_equal(imap_flush(&c, &e), 0);
			assert_memory_equal(written.s, waits[i].put, (size_t)(bar - waits[i].put));
			assert_int_equal(written.len, bar - waits[i].put);
			transcribe(&c, &seen, &e);
			assert_string_equal(strbuf_str(&seen), waits[i].seen);
			strbuf_put(&put, waits[i].put, (size_t)(bar - waits[i].put));
			strbuf_puts(&put, bar + 1);
			assert_string_equal(strbuf_str(&written), strbuf_str(&put));
			strbuf_release(&seen);
			strbuf_release(&put);
			imap_close(&c);
		}
	}
}

/* Two literals in one command, each with its own "+"; refused at the second. */
static void test_two_literals(void **state)
{
	(void)state;
	for (int refused = 0; refused < 2; refused++) {
		struct imap_conn c;
		struct err e = ERR_INIT;
		struct strbuf seen = STRBUF_INIT(4096);

		attach_str(&c, refused ? "+\r\nA1 NO\r\nA2 OK\r\n" : "+\r\n+\r\nA1 OK\r\nA2 OK\r\n",
			1);
		imap_start(&c);
		imap_put(&c, "RENAME ");
		imap_astring(&c, SLICE_LIT("\xc3\xa4"));
		imap_put(&c, " ");
		imap_astring(&c, SLICE_LIT("\xc3\xb6"));
		assert_int_equal(imap_end(&c, NULL, &e), 0);
		imap_send(&c, NULL, &e, "NOOP");
		transcribe(&c, &seen, &e);
		assert_string_equal(strbuf_str(&seen), refused ? "no1:refused ok2 " : "ok1 ok2 ");
		assert_string_equal(strbuf_str(&written), refused ?
			"A1 RENAME {2}\r\n\xc3\xa4 {2}\r\nA2 NOOP\r\n" :
							   "A1 RENAME {2}\r\n\xc3\xa4 {2}\r\n\xc3\xb6\r\nA2 NOOP\r\n");
		strbuf_release(&seen);
		imap_close(&c);
	}
}

/* ---- the window ---- */

static void test_window(void **state)
{
	struct strbuf wire = STRBUF_INIT(1 << 20), seen = STRBUF_INIT(1 << 20);
	struct imap_conn c;
	struct err e = ERR_INIT;
	char arg[1000];
	int sent = 0;

	(void)state;
	for (int i = 1; i <= 2000; i++)
		strbuf_printf(&wire, "A%d OK\r\n", i);
	attach(&c, wire.s, wire.len, 100);
	while (imap_may_send(&c)) {
		assert_int_equal(imap_send(&c, NULL, &e, "NOOP"), 0);
		sent++;
	}
	assert_int_equal(sent, IMAP_FLYING_MAX);
	assert_int_equal(imap_send(&c, NULL, &e, "NOOP"), -1);
	assert_int_equal(e.kind, ERR_BUG);
	assert_int_equal(imap_next(&c, NULL, NULL, &e), IMAP_DONE);
	assert_false(imap_may_send(&c)); /* not before a handful has landed */
	transcribe(&c, &seen, &e);
	assert_true(imap_may_send(&c));
	imap_close(&c);

	attach_str(&c, "", 0);
	memset(arg, 'x', sizeof(arg));
	arg[sizeof(arg) - 1] = '\0';
	for (sent = 0; imap_may_send(&c); sent++)
		assert_int_equal(imap_send(&c, NULL, &e, "%s", arg), 0);
	assert_in_range(sent, 30, 40);
	assert_true(c.fly_bytes <= IMAP_FLIGHT_MAX);
	while (imap_send(&c, NULL, &e, "%s", arg) == 0)
		sent++;
	assert_int_equal(e.kind, ERR_BUG);
	assert_in_range(sent, 60, 66);
	imap_close(&c);
	strbuf_release(&wire);
	strbuf_release(&seen);
}

/* A long one goes alone. */
static void test_long_command(void **state)
{
	struct imap_conn c;
	struct err e = ERR_INIT;
	char *arg = malloc(200001);

	(void)state;
	assert_non_null(arg);
	memset(arg, 'x', 200000);
	arg[200000] = '\0';
	attach_str(&c, "", 0);
	assert_int_equal(imap_send(&c, NULL, &e, "%s", arg), 0);
	assert_false(imap_may_send(&c));
	imap_close(&c);
	attach_str(&c, "", 0);
	assert_int_equal(imap_send(&c, NULL, &e, "NOOP"), 0);
	assert_int_equal(imap_send(&c, NULL, &e, "%s", arg), -1);
	assert_int_equal(e.kind, ERR_BUG);
	imap_close(&c);
	free(arg);
}

/* ---- limits ---- */

/* A server that talks and talks. */
static void test_endless(void **state)
{
	struct strbuf wire = STRBUF_INIT(4 << 20);
	struct imap_conn c;
	struct err e = ERR_INIT;
	enum imap_event ev;

	(void)state;
	for (int i = 0; i < 100000; i++)
		strbuf_puts(&wire, "* 1 EXISTS\r\n");
	attach(&c, wire.s, wire.len, 0);
	c.unasked = IMAP_UNASKED_MAX - 100000;
	imap_send(&c, NULL, &e, "NOOP");
	while ((ev = imap_next(&c, NULL, NULL, &e)) == IMAP_DATA)
		;
	assert_int_equal(ev, IMAP_LOST);
	assert_int_equal(e.kind, ERR_PROTO);
	assert_non_null(strstr(e.text, "without answering"));
	imap_close(&c);

	/* an answer makes it good */
	strbuf_clear(&wire);
	for (int i = 0; i < 8000; i++)
		strbuf_puts(&wire, "* 1 EXISTS\r\n");
	strbuf_puts(&wire, "A1 OK\r\n");
	for (int i = 0; i < 8000; i++)
		strbuf_puts(&wire, "* 1 EXISTS\r\n");
	strbuf_puts(&wire, "A2 OK\r\n");
	attach(&c, wire.s, wire.len, 0);
	c.unasked = IMAP_UNASKED_MAX - 100000;
	imap_send(&c, NULL, &e, "NOOP");
	imap_send(&c, NULL, &e, "NOOP");
	for (int done = 0; done < 2; done += ev == IMAP_DONE) {
		ev = imap_next(&c, NULL, NULL, &e);
		assert_int_not_equal(ev, IMAP_LOST);
	}
	imap_close(&c);
	strbuf_release(&wire);
}

/* Bodies that nobody reads count, those that are read don't. */
static void test_endless_bodies(void **state)
{
	struct strbuf wire = STRBUF_INIT(4 << 20);
	char buf[4096];

	(void)state;
	for (int i = 0; i < 20; i++) {
		strbuf_puts(&wire, "* 1 FETCH (UID 1 BODY[] {100000}\r\n");
		for (int k = 0; k < 10000; k++)
			strbuf_puts(&wire, "012345678\n");
		strbuf_puts(&wire, ")\r\n");
	}
	strbuf_puts(&wire, "A1 OK\r\n");
	for (int read = 0; read < 2; read++) {
		struct imap_conn c;
		const struct imap_resp *r;
		struct err e = ERR_INIT;
		enum imap_event ev;

		attach(&c, wire.s, wire.len, 10000);
		c.unasked = IMAP_UNASKED_MAX - 500000;
		imap_send(&c, NULL, &e, "UID FETCH 1 BODY.PEEK[]");
		while ((ev = imap_next(&c, NULL, &r, &e)) == IMAP_DATA)
			while (read && r->kind == IMAP_FETCH_BODY &&
				stream_read(r->body.s, buf, sizeof(buf), &e) > 0)
				;
		assert_int_equal(ev, read ? IMAP_DONE : IMAP_LOST);
		assert_int_equal(e.kind, read ? ERR_NONE : ERR_PROTO);
		imap_close(&c);
	}
	strbuf_release(&wire);
}

/* Hours of waiting for something that does not come. */
static void test_patience(void **state)
{
	struct imap_conn c;
	struct err e = ERR_INIT;

	(void)state;
	attach_str(&c, "* 1 EXISTS\r\n* 2 EXISTS\r\nA1 OK\r\n", 12);
	imap_send(&c, NULL, &e, "NOOP");
	assert_int_equal(imap_next(&c, NULL, NULL, &e), IMAP_DATA);
	c.pace.total = c.patience;
	assert_int_equal(imap_next(&c, NULL, NULL, &e), IMAP_LOST);
	assert_int_equal(e.kind, ERR_TIMEOUT);
	assert_non_null(strstr(e.text, "120 minutes"));
	assert_true(c.dead);
	imap_close(&c);
}

/* ---- the layer's own commands ---- */

static void test_own(void **state)
{
	static const char wire[] =
		"* ID (\"name\" \"Dove\x1b\" \"version\" \"2.3\" \"os\" NIL)\r\nA1 OK\r\n"
		"* ENABLED QRESYNC X-MORE\r\nA2 OK\r\n"
				   "* NAMESPACE ((\"INBOX.\" \".\")) ((\"~\" \"/\")) NIL\r\nA3 OK\r\n* LIST () \".\" INBOX\r\nA4 OK\r\nA5 NO\r\nA6 OK\r\n";

	(void)state;
	for (size_t step = 1; step < sizeof(wire); step++) {
		struct imap_conn c;
		const struct imap_resp *r;
		struct err e = ERR_INIT;
		uint32_t tag = 0;

		attach_str(&c, wire, step);
		assert_int_equal(imap_send_own(&c, &e, "ID NIL"), 0);
		assert_int_equal(imap_send_own(&c, &e, "ENABLE QRESYNC"), 0);
		assert_int_equal(imap_send_own(&c, &e, "NAMESPACE"), 0);
		assert_int_equal(imap_flying(&c), 0);
		assert_int_equal(imap_send(&c, NULL, &e, "LIST \"\" *"), 0);
		assert_int_equal(imap_flying(&c), 1);
		assert_int_equal(imap_settle(&c, &e), -1);
		assert_int_equal(e.kind, ERR_BUG);
		assert_int_equal(imap_next(&c, &tag, &r, &e), IMAP_DATA);
		assert_int_equal(r->kind, IMAP_LIST);
		assert_string_equal(c.server, "Dove\\x1b 2.3");
		assert_int_equal(c.enabled, IMAP_CAP_QRESYNC | IMAP_CAP_CONDSTORE);
		assert_false(c.utf8);
		assert_true(c.spaces_known);
		assert_int_equal(c.nspaces, 2);
		assert_string_equal(c.spaces[0].prefix, "INBOX.");
		assert_int_equal(c.spaces[0].sep, '.');
		assert_int_equal(c.spaces[1].kind, IMAP_NS_USERS);
		assert_int_equal(imap_next(&c, &tag, &r, &e), IMAP_DONE);
		assert_int_equal(tag, 4);
		assert_int_equal(imap_send_own(&c, &e, "ENABLE UTF8=ACCEPT"), 0);
		assert_int_equal(imap_send_own(&c, &e, "NOOP"), 0);
		assert_int_equal(imap_settle(&c, &e), 0);
		assert_int_equal(c.fly_own, 0);
		assert_int_equal(c.fly_n, 0);
		imap_close(&c);
	}
}

static int count_exists(void *arg, const struct imap_resp *r, struct err *e)
{
	int *n = arg;

	if (r->kind == IMAP_EXISTS)
		++*n;
	return *n >= 3 ? err_set(e, ERR_LOCAL, "three is enough") : 0;
}

static void count_stray(void *arg, const struct imap_resp *r)
{
	(void)r;
	++*(int *)arg;
}

static void test_finish(void **state)
{
	static const char wire[] =
		"* 1 EXISTS\r\n* 2 EXISTS\r\nA1 OK [READ-WRITE] x\r\n* 3 EXISTS\r\n"
		"* 4 EXISTS\r\nA2 OK\r\nA3 NO no\r\n* 1 EXISTS\r\nA4 OK\r\nA6 OK\r\n";
	struct imap_conn c;
	const struct imap_resp *r;
	struct err e = ERR_INIT;
	uint32_t tag;
	int n = 0, strays = 0;

	(void)state;
	attach_str(&c, wire, 7);
	c.stray = count_stray;
	c.arg = &strays;
	imap_send(&c, &tag, &e, "SELECT a");
	assert_int_equal(imap_finish(&c, tag, count_exists, &n, &r, &e), 1);
	assert_int_equal(r->code.kind, IMAP_CODE_READ_WRITE);
	assert_int_equal(n, 2);
	imap_send(&c, &tag, &e, "NOOP");
	assert_int_equal(imap_finish(&c, tag, count_exists, &n, NULL, &e), -1);
	assert_string_equal(e.text, "three is enough");
	assert_int_equal(n, 3);
	assert_false(c.dead);
	imap_send(&c, &tag, &e, "NOOP");
	assert_int_equal(imap_finish(&c, tag, NULL, NULL, NULL, &e), 0);
	assert_int_equal(e.kind, ERR_REFUSED);
	imap_send(&c, &tag, &e, "NOOP");
	assert_int_equal(imap_finish(&c, tag, NULL, NULL, NULL, &e), 1);
	assert_int_equal(strays, 2);
	imap_send(&c, &tag, &e, "NOOP");
	imap_send(&c, NULL, &e, "NOOP");
	assert_int_equal(imap_finish(&c, tag, NULL, NULL, NULL, &e), -1);
	assert_int_equal(e.kind, ERR_BUG);
	imap_close(&c);
}

/* ---- greetings ---- */

static const struct {
	const char *wire;
	int rc;
	enum err_kind kind;
	const char *text; /* the greeting, or a part of the error */
	bool preauth;
} greetings[] = {
	{ "* OK ready\r\n", 0, ERR_NONE, "ready", false },
	{ "* OK\r\n", 0, ERR_NONE, "", false },
	{ "* ok [CAPABILITY IMAP4rev1 ID] \x1b[1mready\n", 0, ERR_NONE, "\\x1b[1mready", false },
	{ "* PREAUTH hello jane\r\n", 0, ERR_NONE, "hello jane", true },
	{ "* BYE go away\r\n", -1, ERR_UNAVAIL, "go away", false },
	{ "* BYE Too many connections from your address\r\n", -1, ERR_TEMP, "greeting: ", false },
	{ "* BYE [UNAVAILABLE] overloaded\r\n", -1, ERR_TEMP, "overloaded", false },
	{ "* NO hm\r\n", -1, ERR_PROTO, "neither OK", false },
	{ "* CAPABILITY IMAP4rev1\r\n", -1, ERR_PROTO, "neither OK", false },
	{ "+OK POP3 ready\r\n", -1, ERR_PROTO, "POP3", false },
	{ "220 mail ESMTP\r\n", -1, ERR_PROTO, "SMTP", false },
	{ "HTTP/1.1 400 Bad Request\r\n\r\n", -1, ERR_PROTO, "web server", false },
	{ "A1 OK hi\r\n", -1, ERR_PROTO, "doesn't speak IMAP", false },
	{ "", -1, ERR_TEMP, "closed", false },
	{ "* O", -1, ERR_TEMP, "closed", false },
};

static void test_greetings(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(greetings); i++) {
		struct imap_conn c;
		struct err e = ERR_INIT;

		attach_str(&c, greetings[i].wire, 0);
		c.greeted = false;
		if (imap_greeting(&c, &e) != greetings[i].rc || e.kind != greetings[i].kind)
			fail_msg("%s: %s: %s", greetings[i].wire, err_kind_name(e.kind), e.text);
		if (greetings[i].rc == 0)
			assert_string_equal(c.greeting, greetings[i].text);
		else
			assert_non_null(strstr(e.text, greetings[i].text));
		assert_int_equal(c.preauth, greetings[i].preauth);
		assert_printable(e.text);
		imap_close(&c);
	}
}

/* ---- APPEND ---- */

#define MUTE INT64_MIN

static const struct {
	const char *name;
	unsigned caps, enabled;
	const char *wire;
	struct imap_append m[2];
	const char *body[2];
	int rc[2];            /* of each message */
	enum err_kind kind;
	const char *put, *seen;
	const char *mailbox;
} appends[] = {
	{ "LITERAL+", IMAP_CAP_LITERAL_PLUS, 0, "A1 OK [APPENDUID 1 2] x\r\n",
	  { { "\\Seen $x", 837596665, 5, false, false } }, { "hello" }, { 1 }, ERR_NONE,
	  "A1 APPEND \"a\" (\\Seen $x) \"17-Jul-1996 09:44:25 +0000\" {5+}\r\nhello\r\n", "ok1 ",
	  "a" },
	{ "LITERAL-", IMAP_CAP_LITERAL_MINUS, 0, "A1 OK\r\n", { { "", MUTE, 5, false, false } },
	  { "hello" }, { 1 }, ERR_NONE, "A1 APPEND \"a\" {5+}\r\nhello\r\n", "ok1 ", "a" },
	{ "neither", 0, 0, "* 1 EXISTS\r\n+ go\r\nA1 OK\r\n", { { NULL, MUTE, 5, false, false } },
	  { "hello" }, { 1 }, ERR_NONE, "A1 APPEND \"a\" {5}\r\nhello\r\n", "ok1 ", "a" },
	{ "empty", IMAP_CAP_LITERAL_PLUS, 0, "A1 OK\r\n", { { "", MUTE, 0, false, false } }, { "" }, { 1 },
	  ERR_NONE, "A1 APPEND \"a\" {0+}\r\n\r\n", "ok1 ", "a" },
	{ "refused in the end", IMAP_CAP_LITERAL_PLUS, 0, "A1 NO [TRYCREATE] x\r\n",
	  { { "", MUTE, 5, false, false } }, { "hello" }, { 1 }, ERR_REFUSED,
	  "A1 APPEND \"a\" {5+}\r\nhello\r\n", "no1:refused ", "a" },
	{ "refused at once", 0, 0, "A1 NO [TOOBIG] x\r\nA2 OK\r\n", { { "", MUTE, 5, false, false } },
	  { "hello" }, { 0 }, ERR_REFUSED, "A1 APPEND \"a\" {5}\r\nA2 NOOP\r\n", "ok2 ", "a" },
	{ "folder as a literal", 0, 0, "+\r\n+\r\nA1 OK\r\n", { { "", MUTE, 5, false, false } },
	  { "hello" }, { 1 }, ERR_NONE,
	  "A1 APPEND {2}\r\n\xc3\xa4 {5}\r\nhello\r\n", "ok1 ", "\xc3\xa4" },
	{ "folder refused", 0, 0, "A1 NO\r\nA2 OK\r\n", { { "", MUTE, 5, false, false } }, { "hello" },
	  { 0 }, ERR_REFUSED, "A1 APPEND {2}\r\nA2 NOOP\r\n", "ok2 ", "\xc3\xa4" },
	{ "two", IMAP_CAP_LITERAL_PLUS | IMAP_CAP_MULTIAPPEND, 0, "A1 OK\r\n",
	  { { "\\Seen", MUTE, 5, false, false }, { "", 0, 3, false, false } }, { "hello", "you" }, { 1, 1 },
	  ERR_NONE,
	  "A1 APPEND \"a\" (\\Seen) {5+}\r\nhello \"01-Jan-1970 00:00:00 +0000\" {3+}\r\nyou\r\n",
	  "ok1 ", "a" },
	{ "two, the second refused", IMAP_CAP_MULTIAPPEND, 0, "+\r\nA1 NO\r\nA2 OK\r\n",
	  { { "", MUTE, 5, false, false }, { "", MUTE, 3, false, false } }, { "hello", "you" }, { 1, 0 },
	  ERR_REFUSED,
	  "A1 APPEND \"a\" {5}\r\nhello {3}\r\nA2 NOOP\r\n", "ok2 ", "a" },
	{ "two without MULTIAPPEND", IMAP_CAP_LITERAL_PLUS, 0, "",
	  { { "", MUTE, 5, false, false }, { "", MUTE, 3, false, false } }, { "hello", "you" }, { 1, -1 },
	  ERR_BUG,
	  "A1 APPEND \"a\" {5+}\r\nhello", "", "a" },
	{ "too short", IMAP_CAP_LITERAL_PLUS, 0, "", { { "", MUTE, 6, false, false } }, { "hello" },
	  { -1 }, ERR_LOCAL, "A1 APPEND \"a\" {6+}\r\nhello", "", "a" },
	{ "too long", IMAP_CAP_LITERAL_PLUS, 0, "", { { "", MUTE, 4, false, false } }, { "hello" }, { -1 },
	  ERR_LOCAL, "A1 APPEND \"a\" {4+}\r\nhell", "", "a" },
	{ "UTF8", IMAP_CAP_LITERAL_PLUS, IMAP_CAP_UTF8_ACCEPT, "A1 OK\r\n",
	  { { "", MUTE, 5, true, false } }, { "hello" }, { 1 }, ERR_NONE,
	  "A1 APPEND \"a\" UTF8 (~{5+}\r\nhello)\r\n", "ok1 ", "a" },
	{ "UTF8 that is not on", IMAP_CAP_LITERAL_PLUS, 0, "", { { "", MUTE, 5, true, false } },
	  { "hello" }, { -1 }, ERR_BUG, "", "", "a" },
	{ "flags with a line end", IMAP_CAP_LITERAL_PLUS, 0, "A2 OK\r\n",
	  { { "x\r\ny", MUTE, 5, false, false } }, { "hello" }, { 0 }, ERR_CONF, "A2 NOOP\r\n", "ok2 ",
	  "a" },
	{ "OK too early", 0, 0, "A1 OK\r\n", { { "", MUTE, 5, false, false } }, { "hello" }, { -1 },
	  ERR_PROTO, "A1 APPEND \"a\" {5}\r\n", "", "a" },
	{ "BYE instead", 0, 0, "* BYE x\r\n", { { "", MUTE, 5, false, false } }, { "hello" }, { -1 },
	  ERR_TEMP, "A1 APPEND \"a\" {5}\r\n", "", "a" },
};

static void test_appends(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(appends); i++) {
		struct imap_conn c;
		struct err e = ERR_INIT, last = ERR_INIT;
		struct strbuf seen = STRBUF_INIT(4096);
		int rc = 1, strays = 0;

		attach_str(&c, appends[i].wire, 2);
		c.caps.have = appends[i].caps;
		c.enabled = appends[i].enabled;
		c.stray = count_stray;
		c.arg = &strays;
		assert_int_equal(imap_append_start(&c, slice_str(appends[i].mailbox), &e), 0);
		for (int k = 0; k < 2 && appends[i].body[k] && rc > 0; k++) {
			struct stream *body = memstream_new(appends[i].body[k],
				strlen(appends[i].body[k]), 3, NULL);

			rc = imap_append_message(&c, &appends[i].m[k], body, &e);
			if (rc != appends[i].rc[k])
				fail_msg("%s: %d: %s", appends[i].name, rc, e.text);
			stream_free(body);
		}
		if (rc > 0)
			assert_int_equal(imap_append_end(&c, NULL, &e), 0);
		assert_int_equal(c.dead, rc < 0);
		if (rc == 0)
			assert_int_equal(imap_send(&c, NULL, &last, "NOOP"), 0);
		if (rc >= 0)
			transcribe(&c, &seen, rc > 0 ? &e : &last);
		if (strcmp(strbuf_str(&seen), appends[i].seen) != 0 ||
			strcmp(strbuf_str(&written), appends[i].put) != 0 ||
			e.kind != appends[i].kind)
			fail_msg("%s: %s: %s: %s", appends[i].name, strbuf_str(&seen),
				strbuf_str(&written), e.text);
		assert_int_equal(strays, strstr(appends[i].wire, "EXISTS") != NULL);
		strbuf_release(&seen);
		imap_close(&c);
	}
}

/* Long ones, and many in flight. */
static void test_append_many(void **state)
{
	struct strbuf wire = STRBUF_INIT(1 << 20), seen = STRBUF_INIT(1 << 20), body =
		STRBUF_INIT(1 << 20);
	struct imap_conn c;
	struct err e = ERR_INIT;

	(void)state;
	for (int i = 1; i <= 10; i++)
		strbuf_printf(&wire, "A%d OK\r\n", i);
	for (int i = 0; i < 10000; i++)
		strbuf_puts(&body, "0123456789\r\n");
	attach(&c, wire.s, wire.len, 0);
	c.caps.have = IMAP_CAP_LITERAL_PLUS;
	for (int i = 0; i < 10; i++) {
		struct imap_append m = { .date = INT64_MIN, .size = body.len };
		struct stream *s = memstream_new(body.s, body.len, 0, NULL);

		assert_true(imap_may_send(&c));
		assert_int_equal(imap_append_start(&c, SLICE_LIT("a"), &e), 0);
		assert_int_equal(imap_append_message(&c, &m, s, &e), 1);
		assert_int_equal(imap_append_end(&c, NULL, &e), 0);
		stream_free(s);
	}
	transcribe(&c, &seen, &e);
	assert_int_equal(imap_flying(&c), 0);
	assert_true(written.len > 10 * body.len);
	imap_close(&c);

	/* of many messages each: what stands before them fills no window, but commands beside them do */
	attach(&c, wire.s, wire.len, 0);
	c.caps.have = IMAP_CAP_LITERAL_PLUS | IMAP_CAP_MULTIAPPEND;
	for (int i = 0; i < 9; i++) {
		assert_true(imap_may_send(&c));
		assert_int_equal(imap_append_start(&c, SLICE_LIT("a"), &e), 0);
		for (int k = 0; k < 500; k++) {
			struct imap_append m = { .date = 1, .flags = "\\Seen", .size = 12 };
			struct stream *s = memstream_new(body.s, 12, 0, NULL);

			assert_int_equal(imap_append_message(&c, &m, s, &e), 1);
			stream_free(s);
		}
		assert_int_equal(imap_append_end(&c, NULL, &e), 0);
	}
	assert_true(imap_may_send(&c));
	while (imap_may_send(&c))
		assert_int_equal(imap_send(&c, NULL, &e, "UID FETCH %01000d (FLAGS)", 1), 0);
	assert_true(imap_flying(&c) > 9 + 20 && imap_flying(&c) < 9 + 70);
	imap_close(&c);

	/* waiting for a "+" while others fly would read their answers */
	attach_str(&c, "", 0);
	c.caps.have = IMAP_CAP_LITERAL_MINUS;
	assert_true(imap_literal_waits(&c, 4097) && !imap_literal_waits(&c, 4096));
	imap_send(&c, NULL, &e, "NOOP");
	assert_int_equal(imap_append_start(&c, SLICE_LIT("a"), &e), 0);
	{
		struct imap_append m = { .date = INT64_MIN, .size = body.len };
		struct stream *s = memstream_new(body.s, body.len, 0, NULL);

		assert_int_equal(imap_append_message(&c, &m, s, &e), -1);
		assert_int_equal(e.kind, ERR_BUG);
		stream_free(s);
	}
	imap_close(&c);
	attach_str(&c, "", 0);
	assert_int_equal(imap_append_start(&c, SLICE_LIT("a"), &e), 0);
	assert_int_equal(imap_append_end(&c, NULL, &e), -1);
	assert_int_equal(imap_append_start(&c, SLICE_LIT("\0"), &e), -1);
	assert_int_equal(e.kind, ERR_CONF);
	assert_int_equal(imap_flying(&c), 0);
	imap_close(&c);
	strbuf_release(&wire);
	strbuf_release(&seen);
	strbuf_release(&body);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_talks),     cmocka_unit_test(test_dead),
		cmocka_unit_test(test_last_words),
		cmocka_unit_test(test_last_words),
			cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_backoff),   cmocka_unit_test(test_alerts),
			cmocka_unit_test(test_strings),
		cmocka_unit_test(test_injection), cmocka_unit_test(test_waits),
			cmocka_unit_test(test_two_literals),
		cmocka_unit_test(test_window),    cmocka_unit_test(test_long_command),
			cmocka_unit_test(test_endless),
		cmocka_unit_test(test_endless_bodies), cmocka_unit_test(test_patience),
			cmocka_unit_test(test_own),
		cmocka_unit_test(test_finish),    cmocka_unit_test(test_greetings),
			cmocka_unit_test(test_appends),
		cmocka_unit_test(test_append_many),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	strbuf_release(&written);
	return failed;
}
