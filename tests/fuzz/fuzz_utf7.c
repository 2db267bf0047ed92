/*
 * Modified UTF-7. The input is a server's name, and then a text to be one. What is taken is taken back; and where the C library knows the encoding
 * ("UTF-7-IMAP" of glibc, which takes more), it reads the same in it.
 */
#include <iconv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "mail/utf7.h"

#define MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* Stop here, so that the fuzzer keeps the input. */
static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fuzz_utf7: %s\n", what);
	abort();
}

/* The C library reads a name as a text too. */
static void must_agree(struct slice utf7, struct slice utf8)
{
	static iconv_t cd = (iconv_t)-1;
	char in[4 * MAX], out[4 * MAX], *from = in, *to = out;
	size_t left = utf7.n, room = sizeof(out);

	if (cd == (iconv_t)-1)
		cd = iconv_open("UTF-8", "UTF-7-IMAP");
	if (cd == (iconv_t)-1 || utf7.n == 0)
		return;
	must(utf7.n <= sizeof(in), "longer than it can be");
	memcpy(in, utf7.p, utf7.n);
	iconv(cd, NULL, NULL, NULL, NULL);
	must(iconv(cd, &from, &left, &to, &room) == 0 && left == 0, "the C library refuses it");
	iconv(cd, NULL, NULL, &to, &room);
	must(slice_eq(slice_of(out, sizeof(out) - room), utf8), "the C library reads it otherwise");
}

/* A refusal says why and leaves nothing. */
static void must_be_refused(const struct strbuf *out, const struct err *e, enum err_kind kind)
{
	must(slice_eqs(strbuf_slice(out), "kept"), "a refused name has left something");
	must(e->kind == kind && e->text[0], "a refusal without a reason");
}

/* A server's name. */
static void decode(struct slice name)
{
	struct strbuf out = STRBUF_INIT(4 * MAX), again = STRBUF_INIT(4 * MAX);
	struct err e = ERR_INIT;

	strbuf_puts(&out, "kept");
	if (utf7_decode(name, &out, &e) < 0) {
		must_be_refused(&out, &e, ERR_PROTO);
	} else {
		struct slice text = slice_of(out.s + 4, out.len - 4);

		must(utf8_valid(text) && !memchr(text.p, '\0', text.n), "no text");
		must(text.n <= 2 * name.n, "it has grown");
		must(utf7_encode(text, &again, &e) == 0, e.text);
		must(slice_eq(strbuf_slice(&again), name), "two names are one text");
		must_agree(name, text);
	}
	strbuf_release(&out);
	strbuf_release(&again);
}

/* A text. */
static void encode(struct slice text)
{
	struct strbuf out = STRBUF_INIT(4 * MAX), again = STRBUF_INIT(4 * MAX);
	struct err e = ERR_INIT;

	strbuf_puts(&out, "kept");
	if (utf7_encode(text, &out, &e) < 0) {
		must_be_refused(&out, &e, ERR_CONF);
		must(!utf8_valid(text) || memchr(text.p, '\0', text.n), "a good text is refused");
	} else {
		struct slice name = slice_of(out.s + 4, out.len - 4);

		for (size_t i = 0; i < name.n; i++)
			must(name.p[i] >= ' ' && name.p[i] <= '~', "a byte that is not printable ASCII");
		must(utf7_decode(name, &again, &e) == 0, e.text);
		must(slice_eq(strbuf_slice(&again), text), "two texts are one name");
		must_agree(name, text);
	}
	strbuf_release(&out);
	strbuf_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct slice input = slice_of(p, n);

	if (n < 1 || n > MAX / 2)
		return 0;
	decode(input);
	encode(input);
	return 0;
}
