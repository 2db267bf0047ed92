/* Keywords: see keywords.h. */
#include "mail/keywords.h"

#include <stdlib.h>
#include <string.h>

bool keyword_valid(struct slice name)
{
	if (name.n == 0 || name.n > KEYWORD_NAME_MAX || flag_of_imap(name) != 0)
		return false;
	for (size_t i = 0; i < name.n; i++) {
		const unsigned char c = (unsigned char)name.p[i];

		/* atom-specials of RFC 3501 section 9 */
		if (c <= ' ' || c >= 0x7f || strchr("(){%*\"\\]", c))
			return false;
	}
	return true;
}

uint64_t keywords_find(const struct keywords *k, struct slice name)
{
	for (size_t i = 0; i < k->n; i++)
		if (slice_ieqs(name, k->name[i]))
			return keyword_flag(i);
	return 0;
}

int keywords_intern(struct keywords *k, struct slice name, uint64_t *flag, struct err *e)
{
	char **place;

	*flag = keywords_find(k, name);
	if (*flag != 0 || !keyword_valid(name))
		return 0;
	place = k->n < KEYWORDS_MAX ? &k->name[k->n] : &k->spilled;
	if (*place)
		return 0;
	*place = slice_dup(name);
	if (!*place)
		return err_set(e, ERR_LOCAL, "out of memory");
	if (place != &k->spilled)
		*flag = keyword_flag(k->n++);
	return 0;
}

int keywords_to_imap(const struct keywords *k, uint64_t flags, struct strbuf *out)
{
	size_t start = out->len;

	if (flags_to_imap(flags, out) < 0)
		return -1;
	strbuf_cut(out, out->len - 1);
	for (size_t i = 0; k && i < k->n; i++) {
		if (!(flags & keyword_flag(i)))
			continue;
		if (out->len > start + 1)
			strbuf_putc(out, ' ');
		strbuf_puts(out, k->name[i]);
	}
	if (strbuf_putc(out, ')') == 0)
		return 0;
	strbuf_cut(out, start);
	return -1;
}

void keywords_release(struct keywords *k)
{
	for (size_t i = 0; i < k->n; i++)
		free(k->name[i]);
	free(k->spilled);
	*k = (struct keywords){ 0 };
}
