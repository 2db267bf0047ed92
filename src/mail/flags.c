/* System flags of a message: see flags.h. */
#include "mail/flags.h"

#include <stddef.h>

/* In ASCII order of the letters. */
static const struct {
	char letter;
	uint32_t flag;
} letters[] = {
	{ 'D', FLAG_DRAFT },
	{ 'F', FLAG_FLAGGED },
	{ 'P', FLAG_FORWARDED },
	{ 'R', FLAG_ANSWERED },
	{ 'S', FLAG_SEEN },
	{ 'T', FLAG_DELETED },
};

#define LETTERS (sizeof(letters) / sizeof(letters[0]))

/* In the order of RFC 3501. */
static const struct {
	const char *name;
	uint32_t flag;
} names[] = {
	{ "\\Seen", FLAG_SEEN },
	{ "\\Answered", FLAG_ANSWERED },
	{ "\\Flagged", FLAG_FLAGGED },
	{ "\\Deleted", FLAG_DELETED },
	{ "\\Draft", FLAG_DRAFT },
	{ "$Forwarded", FLAG_FORWARDED },
};

#define NAMES (sizeof(names) / sizeof(names[0]))

/* Letters to bits. */
int flags_of_letters(struct slice text, uint32_t *out)
{
	uint32_t flags = 0;

	for (size_t i = 0; i < text.n; i++) {
		size_t k = 0;

		while (k < LETTERS && letters[k].letter != text.p[i])
			k++;
		if (k == LETTERS)
			return -1;
		flags |= letters[k].flag;
	}
	*out = flags;
	return 0;
}

/* Bits to letters. */
void flags_to_letters(uint64_t flags, char out[8])
{
	size_t n = 0;

	for (size_t k = 0; k < LETTERS; k++)
		if (flags & letters[k].flag)
			out[n++] = letters[k].letter;
	out[n] = '\0';
}

/* IMAP name to bit. */
uint32_t flag_of_imap(struct slice name)
{
	for (size_t k = 0; k < NAMES; k++)
		if (slice_ieqs(name, names[k].name))
			return names[k].flag;
	return 0;
}

/* Bits to an IMAP list. */
int flags_to_imap(uint64_t flags, struct strbuf *out)
{
	size_t start = out->len;

	strbuf_putc(out, '(');
	for (size_t k = 0; k < NAMES; k++) {
		if (!(flags & names[k].flag))
			continue;
		if (out->len > start + 1)
			strbuf_putc(out, ' ');
		strbuf_puts(out, names[k].name);
	}
	if (strbuf_putc(out, ')') == 0)
		return 0;
	strbuf_cut(out, start);
	return -1;
}
