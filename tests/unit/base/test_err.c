#include "../../lib/unit.h"

#include <errno.h>

#include "base/err.h"

/* One code point as UTF-8; the test's own encoder, so that the decoder is not its own judge. */
static size_t encode(uint32_t c, char *p)
{
	if (c < 0x80) {
		p[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		p[0] = (char)(0xc0 | c >> 6);
		p[1] = (char)(0x80 | (c & 63));
		return 2;
	}
	if (c < 0x10000) {
		p[0] = (char)(0xe0 | c >> 12);
		p[1] = (char)(0x80 | (c >> 6 & 63));
		p[2] = (char)(0x80 | (c & 63));
		return 3;
	}
	p[0] = (char)(0xf0 | c >> 18);
	p[1] = (char)(0x80 | (c >> 12 & 63));
	p[2] = (char)(0x80 | (c >> 6 & 63));
	p[3] = (char)(0x80 | (c & 63));
	return 4;
}

/* What a terminal must never see. */
static bool is_forbidden(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x200e || c == 0x200f || c == 0x61c ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) ||
	       (c >= 0xd800 && c <= 0xdfff);
}

static void printable_table(void **state)
{
	static const struct {
		const char *in, *out;
		size_t n; /* 0: strlen */
	} rows[] = {
		{ "", "", 0 },
		{ "plain text ~", "plain text ~", 0 },
		{ "back\\slash", "back\\slash", 0 },
		{ "\033[31mred\a", "\\x1b[31mred\\x07", 0 },
		{ "a\r\nb\tc\x7f", "a\\x0d\\x0ab\\x09c\\x7f", 0 },
		{ "nul\0in", "nul\\x00in", 6 },
		{ "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f", 0 },
		{ "\xe2\x82\xac \xf0\x9f\x98\x80", "\xe2\x82\xac \xf0\x9f\x98\x80", 0 },
		{ "\xc2\x9b" "31m", "\\xc2\\x9b31m", 0 },           /* C1 CSI */
		{ "\x9b" "31m", "\\x9b31m", 0 },                    /* the same in Latin-1 */
		{ "a\xe2\x80\xae" "b", "a\\xe2\\x80\\xaeb", 0 },    /* right-to-left override */
		{ "\xe2\x81\xa6", "\\xe2\\x81\\xa6", 0 },           /* isolate */
		{ "\xe2\x80\xa8", "\\xe2\\x80\\xa8", 0 },           /* line separator */
		{ "\xc0\x80", "\\xc0\\x80", 0 },                    /* overlong NUL */
		{ "\xe0\x80\xaf", "\\xe0\\x80\\xaf", 0 },           /* overlong slash */
		{ "\xf0\x80\x80\xaf", "\\xf0\\x80\\x80\\xaf", 0 },
		{ "\xed\xa0\x80", "\\xed\\xa0\\x80", 0 },           /* surrogate */
		{ "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80", 0 },  /* above U+10FFFF */
		{ "\xf8\x88\x80\x80\x80", "\\xf8\\x88\\x80\\x80\\x80", 0 },
		{ "\xff\xfe", "\\xff\\xfe", 0 },
		{ "cut \xe2\x82", "cut \\xe2\\x82", 0 },
		{ "cut \xe2\x82X", "cut \\xe2\\x82X", 0 },
		{ "\x80", "\\x80", 0 },
	};
	char out[128];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		size_t n = rows[i].n ? rows[i].n : strlen(rows[i].in);

		err_printable(out, sizeof(out), rows[i].in, n);
		assert_string_equal(out, rows[i].out);
	}
}

static void printable_every_character(void **state)
{
	unsigned kept = 0;

	(void)state;
	for (uint32_t c = 0; c <= 0x10ffff; c++) {
		char in[4], out[32];
		size_t n = encode(c, in);

		err_printable(out, sizeof(out), in, n);
		if (strlen(out) == n && memcmp(out, in, n) == 0) {
			assert_false(is_forbidden(c));
			kept++;
		} else {
			/* all of it is escaped, byte by byte */
			assert_int_equal(strlen(out), 4 * n);
			assert_true(c < 0x20 || c >= 0x7f);
		}
	}
	/* nearly everything is printable */
	assert_true(kept > 0x110000 - 0x800 - 400);
}

static void printable_cuts_between_characters(void **state)
{
	static const char in[] = "ab\xc3\xa4\xe2\x82\xac\x01\xf0\x9f\x98\x80z\xff!";
	char full[128];

	(void)state;
	err_printable(full, sizeof(full), in, sizeof(in) - 1);
	for (size_t size = 0; size <= strlen(full) + 2; size++) {
		char *out = malloc(size ? size : 1), again[128];
		size_t len;

		assert_ptr_equal(err_printable(out, size, in, sizeof(in) - 1), out);
		if (size == 0) {
			free(out);
			continue;
		}
		len = strlen(out);
		assert_true(len < size);
		if (size > strlen(full)) {
			assert_string_equal(out, full);
		} else if (size >= 4) {
			assert_true(len >= 3);
			assert_string_equal(out + len - 3, "...");
			assert_memory_equal(out, full, len - 3);
			assert_true(len + 6 >= size); /* nothing is wasted but a part of a unit */
		}
		/* a character that was cut in two would be escaped now */
		err_printable(again, sizeof(again), out, len);
		assert_string_equal(again, out);
		free(out);
	}
}

static void printable_random_bytes(void **state)
{
	uint32_t seed = 12345;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		char in[24], out[128], again[128];
		size_t n = (size_t)(round % 25);

		for (size_t i = 0; i < n; i++) {
			seed = seed * 1664525 + 1013904223;
			in[i] = (char)(seed >> 24);
		}
		err_printable(out, sizeof(out), in, n);
		err_printable(again, sizeof(again), out, strlen(out));
		assert_string_equal(again, out);
		for (const char *p = out; *p; p++)
			assert_true((unsigned char)*p >= 0x20 && *p != 0x7f);
	}
}

static void set_fills_all(void **state)
{
	struct err e = { .kind = ERR_AUTH, .span = SPAN_MSG, .retry_after = 7, .text = "old" };

	(void)state;
	assert_int_equal(err_set(&e, ERR_PROTO, "bad line '%s' (%d)", "\033]0;x\a", 5), -1);
	assert_int_equal(e.kind, ERR_PROTO);
	assert_int_equal(e.span, SPAN_ACCT);
	assert_int_equal(e.retry_after, 0);
	assert_string_equal(e.text, "bad line '\\x1b]0;x\\x07' (5)");
	assert_int_equal(err_set_span(&e, ERR_REFUSED, SPAN_BOX, "no"), -1);
	assert_int_equal(e.kind, ERR_REFUSED);
	assert_int_equal(e.span, SPAN_BOX);
	assert_string_equal(e.text, "no");
	/* the old text may be an argument of the new one */
	err_set(&e, ERR_TEMP, "was: %s", e.text);
	assert_string_equal(e.text, "was: no");
	err_clear(&e);
	assert_int_equal(e.kind, ERR_NONE);
	assert_string_equal(e.text, "");
}

static void null_is_fine(void **state)
{
	(void)state;
	assert_int_equal(err_set(NULL, ERR_BUG, "x"), -1);
	assert_int_equal(err_set_span(NULL, ERR_BUG, SPAN_MSG, "x"), -1);
	assert_int_equal(err_errno(NULL, "x"), -1);
	assert_int_equal(err_in(NULL, "x"), -1);
	assert_int_equal(err_hint(NULL, "x"), -1);
	err_clear(NULL);
}

static void errno_is_told_and_kept(void **state)
{
	struct err e = ERR_INIT;
	char longname[ERR_TEXT_MAX + 100];

	(void)state;
	errno = ENOSPC;
	assert_int_equal(err_errno(&e, "can't write %s", "a\nb"), -1);
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(e.kind, ERR_LOCAL);
	assert_string_equal(e.text, "can't write a\\x0ab: No space left on device (make room there)");
	memset(longname, 'n', sizeof(longname));
	longname[sizeof(longname) - 1] = '\0';
	errno = EACCES;
	err_errno(&e, "can't open %s", longname);
	assert_non_null(strstr(e.text, "nnn...: Permission denied"));
	assert_true(strlen(e.text) < sizeof(e.text));
}

static void context_and_hint(void **state)
{
	struct err e = ERR_INIT;
	char where[600], text[ERR_TEXT_MAX];

	(void)state;
	err_set_span(&e, ERR_AUTH, SPAN_BOX, "login refused");
	assert_int_equal(err_in(&e, "account %s", "isp\x01"), -1);
	assert_int_equal(err_hint(&e, "look at %s", "the password"), -1);
	assert_string_equal(e.text, "account isp\\x01: login refused (look at the password)");
	assert_int_equal(e.kind, ERR_AUTH);
	assert_int_equal(e.span, SPAN_BOX);
	/* a long place leaves room for the reason */
	memset(where, 'w', sizeof(where));
	where[sizeof(where) - 1] = '\0';
	err_in(&e, "%s", where);
	assert_non_null(strstr(e.text, "www...: account isp"));
	assert_non_null(strstr(e.text, "(look at the password)"));
	/* a hint that does not fit is left out whole */
	memcpy(text, e.text, sizeof(text));
	err_hint(&e, "%s", where);
	assert_string_equal(e.text, text);
	/* what does not fit is cut with dots */
	err_set(&e, ERR_TEMP, "%s%s", where, where);
	assert_int_equal(strlen(e.text), ERR_TEXT_MAX - 1);
	assert_string_equal(e.text + ERR_TEXT_MAX - 4, "...");
	err_in(&e, "place");
	assert_int_equal(strncmp(e.text, "place: www", 10), 0);
	assert_string_equal(e.text + ERR_TEXT_MAX - 4, "...");
}

static void very_long_text_is_cut(void **state)
{
	struct err e = ERR_INIT;
	size_t n = 100000;
	char *big = malloc(n + 1);

	(void)state;
	/* two-byte characters at both parities: no end of a buffer splits one */
	for (size_t odd = 0; odd < 2; odd++) {
		for (size_t i = 0; i < n; i++)
			big[i] = (i + odd) % 2 ? '\xa4' : '\xc3';
		big[n] = '\0';
		err_set(&e, ERR_TEMP, "%s", big + odd);
		assert_null(strchr(e.text, '\\'));
		assert_string_equal(e.text + strlen(e.text) - 3, "...");
	}
	free(big);
}

static void kinds(void **state)
{
	static const struct {
		enum err_kind kind;
		const char *name;
		int code;
		bool retry;
	} rows[] = {
		{ ERR_NONE, "none", 0, false },     { ERR_USAGE, "usage", 64, false },
		{ ERR_NOHOST, "nohost", 68, true }, { ERR_UNAVAIL, "unavail", 69, true },
		{ ERR_TEMP, "temp", 75, true },     { ERR_TIMEOUT, "timeout", 75, true },
		{ ERR_AUTH, "auth", 77, false },    { ERR_CERT, "cert", 77, false },
		{ ERR_PERM, "perm", 77, false },    { ERR_PROTO, "proto", 76, false },
		{ ERR_REFUSED, "refused", 1, false }, { ERR_LOCAL, "local", 74, false },
		{ ERR_CONF, "conf", 78, false },    { ERR_BUSY, "busy", 75, true },
		{ ERR_CANCEL, "cancel", 130, false }, { ERR_BUG, "bug", 70, false },
	};

	(void)state;
	assert_int_equal(COUNT(rows), ERR_KINDS);
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_string_equal(err_kind_name(rows[i].kind), rows[i].name);
		assert_int_equal(err_exit_code(rows[i].kind), rows[i].code);
		assert_int_equal(err_retryable(rows[i].kind), rows[i].retry);
	}
	assert_string_equal(err_kind_name(ERR_KINDS), "bug");
	assert_int_equal(err_exit_code(ERR_KINDS), 70);
	assert_false(err_retryable(ERR_KINDS));
}

static void ends_all(void **state)
{
	(void)state;
	for (int kind = ERR_NONE + 1; kind < ERR_KINDS; kind++) {
		for (int span = SPAN_MSG; span <= SPAN_ACCT; span++) {
			const struct err e = { .kind = (enum err_kind)kind, .span = (enum err_span)span };

			assert_int_equal(err_ends_all(&e), span == SPAN_ACCT || kind == ERR_CANCEL);
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(printable_table),
		cmocka_unit_test(printable_every_character),
		cmocka_unit_test(printable_cuts_between_characters),
		cmocka_unit_test(printable_random_bytes),
		cmocka_unit_test(set_fills_all),
		cmocka_unit_test(null_is_fine),
		cmocka_unit_test(errno_is_told_and_kept),
		cmocka_unit_test(context_and_hint),
		cmocka_unit_test(very_long_text_is_cut),
		cmocka_unit_test(kinds),
		cmocka_unit_test(ends_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
