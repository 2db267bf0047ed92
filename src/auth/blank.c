/* Secrets in what a server says: see blank.h. */
#include "auth/blank.h"

#include <ctype.h>
#include <string.h>

#include "auth/b64.h"

#define FORM_MAX (256 << 10)
#define SHORT 4 /* bytes: less than that is found anywhere */

enum { RAW, QUOTED, BASE64 }; /* and two more: at other places in a group of three bytes */

/* The letters of the base64 of a text with the secret at a place of that remainder, that depend on nothing else. */
static int add_base64(struct strbuf *out, struct slice secret, size_t before)
{
	static const size_t mixed[3] = { 0, 2, 3 }; /* letters that hold bits of what stands before */
	struct strbuf all = STRBUF_SECRET(FORM_MAX), code = STRBUF_SECRET(FORM_MAX);
	size_t whole = (before + secret.n) * 8 / 6;
	int rc = -1;

	if (strbuf_put(&all, "\0\0", before) == 0 && strbuf_putsl(&all, secret) == 0 &&
	    b64_encode(strbuf_slice(&all), &code) == 0)
		rc = strbuf_put(out, code.s + mixed[before], whole - mixed[before]);
	strbuf_release(&all);
	strbuf_release(&code);
	return rc;
}

/* As a quoted string of IMAP. */
static int add_quoted(struct strbuf *out, struct slice secret)
{
	for (size_t i = 0; i < secret.n; i++)
		if (((secret.p[i] == '"' || secret.p[i] == '\\') && strbuf_putc(out, '\\') < 0) ||
		    strbuf_putc(out, secret.p[i]) < 0)
			return -1;
	return 0;
}

/* Look for this one. */
int blank_set(struct blank *b, struct slice secret)
{
	int rc = 0;

	blank_release(b);
	if (secret.n == 0)
		return 0;
	for (size_t i = 0; i < BLANK_FORMS; i++)
		b->form[i] = (struct strbuf)STRBUF_SECRET(FORM_MAX);
	b->n = secret.n < SHORT ? 1 : BLANK_FORMS;
	if (strbuf_putsl(&b->form[RAW], secret) < 0 || add_quoted(&b->form[QUOTED], secret) < 0)
		rc = -1;
	for (size_t i = BASE64; rc == 0 && i < b->n; i++)
		rc = add_base64(&b->form[i], secret, i - BASE64);
	if (rc < 0)
		blank_release(b);
	return rc;
}

/* Forget it. */
void blank_release(struct blank *b)
{
	for (size_t i = 0; i < BLANK_FORMS; i++)
		strbuf_release(&b->form[i]);
	b->n = 0;
}

/* A letter of base64. */
static bool is_base64(char c)
{
	return isalnum((unsigned char)c) || c == '+' || c == '/' || c == '=';
}

/* How many bytes at p, of n before the end, are the form, or as much of it as there is room for. 0: none. */
static size_t match(const struct strbuf *form, const char *p, size_t n)
{
	size_t len = form->len < n ? form->len : n;

	return (len == form->len || len >= SHORT) && memcmp(p, form->s, len) == 0 ? len : 0;
}

/* The secret's bytes in text at i; *form tells how it is written. */
static size_t find(const struct blank *b, struct slice text, size_t i, size_t *form)
{
	for (*form = 0; *form < b->n; ++*form) {
		size_t n = match(&b->form[*form], text.p + i, text.n - i);

		if (n == 0)
			continue;
		if (n >= SHORT || ((i == 0 || !isalnum((unsigned char)text.p[i - 1])) &&
				   (i + n == text.n || !isalnum((unsigned char)text.p[i + n]))))
			return n;
	}
	return 0;
}

/* A server's text without the secret. */
struct slice blank_text(const struct blank *b, struct slice text, struct strbuf *room)
{
	bool found = false;

	strbuf_clear(room);
	for (size_t i = 0; b && b->n > 0 && i < text.n;) {
		size_t form, n = find(b, text, i, &form);

		if (n == 0) {
			strbuf_putc(room, text.p[i++]);
			continue;
		}
		found = true;
		i += n;
		if (form >= BASE64) { /* letters at its ends hold bits of it, and others of who logs in */
			while (i < text.n && is_base64(text.p[i]))
				i++;
			while (room->len > 0 && is_base64(room->s[room->len - 1]))
				strbuf_cut(room, room->len - 1);
		}
		strbuf_puts(room, "***");
	}
	if (!found)
		return text;
	return room->failed ? slice_str("***") : strbuf_slice(room);
}
