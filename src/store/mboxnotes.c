/* Status, X-Status, X-Keywords: see mboxnotes.h. */
#include "store/mboxnotes.h"

#include <string.h>

#include "mail/flags.h"

#define WIDTH_STATUS 2    /* all that its letters ever need */
#define WIDTH_XSTATUS 4
#define WIDTH_KEYWORDS 40 /* behind those that are there */

static const char *const names[NOTES] = { "Status", "X-Status", "X-Keywords" };

static const char forwarded[] = "$Forwarded";

/* Each letter where programs look for it. */
static const struct {
	int which;
	char letter;
	uint64_t flag;
} letters[] = {
	{ NOTE_STATUS, 'R', FLAG_SEEN }, { NOTE_XSTATUS, 'A', FLAG_ANSWERED }, { NOTE_XSTATUS, 'F', FLAG_FLAGGED },
	{ NOTE_XSTATUS, 'T', FLAG_DRAFT }, { NOTE_XSTATUS, 'D', FLAG_DELETED },
};

#define LETTERS (sizeof(letters) / sizeof(letters[0]))

int mboxnotes_which(struct slice line, size_t *value)
{
	const char *colon = line.n > 0 ? memchr(line.p, ':', line.n) : NULL;
	struct slice name;

	if (!colon)
		return -1;
	name = slice_trim(slice_of(line.p, (size_t)(colon - line.p)));
	*value = (size_t)(colon + 1 - line.p);
	for (int i = 0; i < NOTES; i++)
		if (slice_ieqs(name, names[i]))
			return i;
	return -1;
}

/* The flag of a word of X-Keywords; 0: none that counts. */
static uint64_t flag_of_word(struct slice word, const struct keyword_view *view)
{
	return slice_ieqs(word, forwarded) ? FLAG_FORWARDED : view ? keywords_find(view->table, word) : 0;
}

int mboxnotes_flags(int which, struct slice value, struct keyword_view *view, uint64_t *flags, struct err *e)
{
	struct slice rest = slice_trim(value), word;

	for (size_t k = 0; which != NOTE_KEYWORDS && k < LETTERS; k++)
		if (letters[k].which == which && rest.n > 0 && memchr(rest.p, letters[k].letter, rest.n))
			*flags |= letters[k].flag;
	if (which != NOTE_KEYWORDS)
		return 0;
	while ((word = slice_word(&rest)).n > 0) {
		uint64_t flag = 0;

		if (view && keywords_intern(view->table, word, &flag, e) < 0)
			return -1;
		*flags |= flag | flag_of_word(word, view);
	}
	return 0;
}

static int change_letters(int which, struct slice value, uint64_t add, uint64_t del, struct strbuf *out)
{
	for (size_t k = 0; k < LETTERS; k++) {
		bool had = value.n > 0 && memchr(value.p, letters[k].letter, value.n);

		if (letters[k].which == which && ((add & letters[k].flag) || (had && !(del & letters[k].flag))))
			strbuf_putc(out, letters[k].letter);
	}
	for (size_t i = 0; i < value.n; i++) {
		bool ours = value.p[i] == ' ' || value.p[i] == '\t';

		for (size_t k = 0; k < LETTERS; k++)
			ours = ours || (letters[k].which == which && letters[k].letter == value.p[i]);
		if (!ours)
			strbuf_putc(out, value.p[i]);
	}
	return out->failed ? -1 : 0;
}

static void put_word(struct strbuf *out, size_t start, struct slice word)
{
	if (out->len > start)
		strbuf_putc(out, ' ');
	strbuf_putsl(out, word);
}

static int change_words(struct slice value, uint64_t add, uint64_t del, const struct keyword_view *view, struct strbuf *out)
{
	struct slice word;
	size_t start = out->len;
	uint64_t had = 0;

	while ((word = slice_word(&value)).n > 0) {
		uint64_t flag = flag_of_word(word, view);

		had |= flag;
		if (!(flag & del))
			put_word(out, start, word);
	}
	add &= ~had;
	if (add & FLAG_FORWARDED)
		put_word(out, start, slice_str(forwarded));
	for (size_t i = 0; view && i < view->table->n; i++)
		if (add & keyword_flag(i))
			put_word(out, start, slice_str(view->table->name[i]));
	return out->failed ? -1 : 0;
}

int mboxnotes_change(int which, struct slice value, uint64_t add, uint64_t del, const struct keyword_view *view, struct strbuf *out)
{
	value = slice_trim(value);
	return which == NOTE_KEYWORDS ? change_words(value, add, del & ~add, view, out) : change_letters(which, value, add, del & ~add, out);
}

int mboxnotes_lines(const struct slice value[NOTES], bool crlf, struct strbuf *out)
{
	static const size_t width[NOTES] = { WIDTH_STATUS, WIDTH_XSTATUS, 0 };

	for (int i = 0; i < NOTES; i++) {
		struct slice v = slice_trim(value[i]);
		size_t pad = i == NOTE_KEYWORDS ? WIDTH_KEYWORDS : v.n < width[i] ? width[i] - v.n : 0;

		strbuf_printf(out, "%s: ", names[i]);
		strbuf_putsl(out, v);
		while (pad-- > 0)
			strbuf_putc(out, ' ');
		strbuf_puts(out, crlf ? "\r\n" : "\n");
	}
	return out->failed ? -1 : 0;
}
