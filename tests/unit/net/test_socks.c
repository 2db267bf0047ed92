/* SOCKS5 against scripted proxies, in every size of pieces. */
#include "../../lib/unit.h"

#include "base/strbuf.h"
#include "net/socks.h"

#define B(s) { s, sizeof(s) - 1 }
#define REPLY4 "\x05\x00\x00\x01\x7f\x00\x00\x01\x12\x34"

/*
 * What the proxy says, what we must have said, and the outcome; `rest` is what must be left for the
 * connection behind.
 */
static const struct {
	const char *user, *password, *host, *port;
	struct slice says, heard;
	int rc;
	enum err_kind kind;
	const char *text, *rest;
} rows[] = {
	{ NULL, NULL, "mail.example.org", "995", B("\x05\x00" REPLY4 "+OK\r\n"),
		B("\x05\x01\x00"
		  "\x05\x01\x00\x03\x10mail.example.org\x03\xe3"),
		0, ERR_NONE, NULL, "+OK\r\n" },
	{ NULL, NULL, "192.0.2.1", "110",
		B("\x05\x00"
		  "\x05\x00\x00\x03\x04host\x12\x34"
		  "+"),
		B("\x05\x01\x00"
		  "\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x6e"),
		0, ERR_NONE, NULL, "+" },
	{ NULL, NULL, "[::1]", "110",
		B("\x05\x00"
		  "\x05\x00\x00\x04"
		  "0123456789abcdef"
		  "\x12\x34"),
		B("\x05\x01\x00"
		  "\x05\x01\x00\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x6e"),
		0, ERR_NONE, NULL, "" },
	{ "me", "secret", "h", "1",
		B("\x05\x02"
		  "\x01\x00" REPLY4),
		B("\x05\x02\x00\x02"
		  "\x01\x02me\x06secret"
		  "\x05\x01\x00\x03\x01h\x00\x01"),
		0, ERR_NONE, NULL, "" },
	{ "me", "secret", "h", "1", B("\x05\x00" REPLY4),
		B("\x05\x02\x00\x02"
		  "\x05\x01\x00\x03\x01h\x00\x01"),
		0, ERR_NONE, NULL, "" },
	{ "me", "wrong", "h", "1",
		B("\x05\x02"
		  "\x01\x01"),
		B("\x05\x02\x00\x02"
		  "\x01\x02me\x05wrong"),
		-1, ERR_AUTH, "refused user", "" },
	{ "me", "", "h", "1", B("\x05\x02"), B("\x05\x02\x00\x02"), -1, ERR_CONF, "1 to 255", "" },
	{ NULL, NULL, "h", "1", B("\x05\xff"), B("\x05\x01\x00"), -1, ERR_AUTH, "wants user", "" },
	{ "me", "hunter2", "h", "1", B("\x05\xff"), B("\x05\x02\x00\x02"), -1, ERR_AUTH,
		"no way to log in", "" },
	{ NULL, NULL, "h", "1", B("\x05\x02"), B("\x05\x01\x00"), -1, ERR_PROTO, "not offered: 2",
		"" },
	{ NULL, NULL, "h", "1", B("HTTP/1.1 400\r\n"), B("\x05\x01\x00"), -1, ERR_PROTO,
		"doesn't speak SOCKS5", NULL },
	{ NULL, NULL, "h", "1", B("\x05"), B("\x05\x01\x00"), -1, ERR_TEMP, "closed the connection",
		"" },
	{ NULL, NULL, "h", "1", B("\x05\x00\x05\x00\x00\x01\x7f"),
		B("\x05\x01\x00"
		  "\x05\x01\x00\x03\x01h\x00\x01"),
		-1, ERR_TEMP, "closed", "" },
	{ NULL, NULL, "h", "1", B("\x05\x00\x05\x00\x00\x02"),
		B("\x05\x01\x00"
		  "\x05\x01\x00\x03\x01h\x00\x01"),
		-1, ERR_PROTO, "unknown type 2", "" },
	{ NULL, NULL, "h", "1", B("\x05\x00\x04\x00\x00\x01"),
		B("\x05\x01\x00"
		  "\x05\x01\x00\x03\x01h\x00\x01"),
		-1, ERR_PROTO, "not SOCKS5", "" },
	{ NULL, NULL, "h", "0", B("\x05\x00"), B("\x05\x01\x00"), -1, ERR_CONF, "no port number",
		"" },
	{ NULL, NULL, "", "1", B("\x05\x00"), B("\x05\x01\x00"), -1, ERR_CONF, "1 to 255", "" },
};

static void test_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		for (size_t step = 1; step <= rows[i].says.n; step++) {
			struct socks_params p = { .host = "proxy",
				.port = "1080",
				.user = rows[i].user,
				.password = rows[i].password };
			struct strbuf heard = STRBUF_INIT(1024);
			struct stream *s =
				memstream_new(rows[i].says.p, rows[i].says.n, step, &heard);
			struct err e = ERR_INIT;
			char rest[64] = "";
			size_t n = 0;
			ssize_t r;

			assert_non_null(s);
			assert_int_equal(
				socks_connect(s, &p, rows[i].host, rows[i].port, &e), rows[i].rc);
			assert_int_equal(e.kind, rows[i].kind);
			if (rows[i].text) {
				assert_non_null(strstr(e.text, rows[i].text));
				assert_non_null(strstr(e.text, "proxy 'proxy'"));
			}
			if (rows[i].password && rows[i].password[0])
				assert_null(strstr(e.text, rows[i].password));
			assert_int_equal(heard.len, rows[i].heard.n);
			assert_memory_equal(heard.s, rows[i].heard.p, heard.len);
			while ((r = stream_read(s, rest + n, sizeof(rest) - 1 - n, &e)) > 0)
				n += (size_t)r;
			rest[n] = '\0';
			if (rows[i].rest)
				assert_string_equal(rest, rows[i].rest);
			stream_free(s);
			strbuf_release(&heard);
		}
	}
}

static void test_codes(void **state)
{
	static const char *const texts[] = {
		[1] = "general failure",
		[2] = "rules forbid",
		[3] = "network unreachable",
		[4] = "host unreachable",
		[5] = "connection refused",
		[6] = "TTL",
		[7] = "command not supported",
		[8] = "type of address",
		[9] = "error 9",
		[255] = "error 255",
	};

	(void)state;
	for (int code = 1; code < 256; code++) {
		char says[] = "\x05\x00\x05?\x00\x01\x7f\x00\x00\x01\x12\x34";
		struct socks_params p = { .host = "proxy", .port = "1080" };
		struct err e = ERR_INIT;
		struct stream *s;

		says[3] = (char)code;
		s = memstream_new(says, sizeof(says) - 1, 0, NULL);
		assert_non_null(s);
		assert_int_equal(socks_connect(s, &p, "h", "1", &e), -1);
		assert_int_equal(e.kind, ERR_UNAVAIL);
		if (texts[code])
			assert_non_null(strstr(e.text, texts[code]));
		stream_free(s);
	}
}

/* 255 bytes is the longest name, user and password that fit the wire. */
static void test_long(void **state)
{
	char at[256], over[257];

	(void)state;
	memset(at, 'n', 255);
	memset(over, 'n', 256);
	at[255] = over[256] = '\0';
	for (int i = 0; i < 4; i++) {
		static const char says[] = "\x05\x02" "\x01\x00" REPLY4;
		struct socks_params p = { .host = "proxy",
			.port = "1080",
			.user = i == 1 ? over : at,
			.password = i == 2 ? over : at };
		struct strbuf heard = STRBUF_INIT(1024);
		struct stream *s = memstream_new(says, sizeof(says) - 1, 0, &heard);
		struct err e = ERR_INIT;

		assert_non_null(s);
		assert_int_equal(
			socks_connect(s, &p, i == 3 ? over : at, "1", &e), i == 0 ? 0 : -1);
		assert_int_equal(e.kind, i == 0 ? ERR_NONE : ERR_CONF);
		if (i == 0)
			assert_int_equal(heard.len, 4 + 3 + 2 * 255 + 4 + 1 + 255 + 2);
		stream_free(s);
		strbuf_release(&heard);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_codes),
		cmocka_unit_test(test_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
