/* Keywords of a folder, between the base and the stores: see twoway.h. */
#include "sync/twoway.h"

#include <stdio.h>
#include <string.h>

#include "state/keywords.h"

#define NAMES_SHOWN 5
#define SPILLED KEYWORDS_MAX /* the place of the first name for which there is no bit */

static int take_row(void *arg, const struct keyword_row *r, struct err *e)
{
	struct box *b = arg;
	struct box_words *w = &b->words;
	uint64_t flag = 0;

	if (r->place == SPILLED)
		w->spilled = true;
	if (r->place >= SPILLED)
		return 0;
	/* each has the place that the pairs know it by, or none of them means anything */
	if (keywords_intern(&b->keywords, r->name, &flag, e) < 0)
		return -1;
	if (flag != keyword_flag(r->place))
		return err_set(e, ERR_LOCAL, "the state file is damaged: it names the keywords of '%s' in disorder", b->f->left);
	w->n = b->keywords.n;
	for (int s = LEFT; s <= RIGHT; s++) {
		w->letter[s][r->place] = r->letter[s];
		w->refused[s] |= r->refused[s] ? flag : 0;
		w->told[s] |= r->told[s] ? flag : 0;
	}
	return 0;
}

int words_read(struct twoway *g, struct box *b, struct err *e)
{
	if (b->words_read)
		return 0;
	if (b->f->base.id != 0 && keyword_rows_each(g->db, b->f->base.id, take_row, b, e) < 0)
		return -1;
	for (int s = LEFT; s <= RIGHT; s++) {
		b->view[s].refused = b->words.refused[s];
		b->told[s] = b->words.told[s];
	}
	b->words_read = true;
	return 0;
}

/* Write one down as the base is to know it. */
static int put(struct twoway *g, struct box *b, size_t place, struct err *e)
{
	const struct box_words *w = &b->words;
	struct keyword_row r = { .place = (unsigned)place, .name = slice_str(place == SPILLED ? b->keywords.spilled : b->keywords.name[place]) };

	for (int s = LEFT; s <= RIGHT && place < SPILLED; s++) {
		r.letter[s] = w->letter[s][place];
		r.refused[s] = w->refused[s] & keyword_flag(place);
		r.told[s] = w->told[s] & keyword_flag(place);
	}
	if (!db_in_transaction(g->db) && db_begin(g->db, e) < 0)
		return -1;
	return keyword_rows_put(g->db, b->f->base.id, &r, e);
}

int words_note(struct twoway *g, struct box *b, struct err *e)
{
	for (size_t i = 0; i < b->keywords.n; i++) {
		bool fresh = i >= b->words.n;

		for (int s = LEFT; s <= RIGHT; s++) {
			if (b->words.letter[s][i] != 0 || b->view[s].letter[i] == 0)
				continue;
			b->words.letter[s][i] = b->view[s].letter[i];
			fresh = true;
		}
		if (fresh && put(g, b, i, e) < 0)
			return -1;
	}
	b->words.n = b->keywords.n;
	return 0;
}

/*
 * By which letter the pairs know it from now on. Where the side's messages were not all looked at, what bears the old letter may not have got the new one: then the next
 * look at all of them must see that it is another. One that has lost its letter is known by it still.
 */
static char letter_from_now(const struct box *b, int s, size_t i)
{
	const char now = b->view[s].letter[i], was = b->words.letter[s][i];

	return now != 0 && b->whole[s] && !b->info[s].read_only ? now : was;
}

int words_settle(struct twoway *g, struct box *b, struct err *e)
{
	struct box_words *w = &b->words, old;

	if (words_note(g, b, e) < 0)
		return -1;
	old = *w;
	for (int s = LEFT; s <= RIGHT; s++) {
		for (size_t i = 0; i < b->keywords.n; i++)
			w->letter[s][i] = letter_from_now(b, s, i);
		w->refused[s] = b->view[s].refused;
		/* what can be set again is told again when it can't */
		w->told[s] = b->looked[s] ? b->told[s] & (~b->info[s].can_take | b->view[s].refused) : b->told[s];
	}
	if (b->keywords.spilled && !w->spilled) {
		if (put(g, b, SPILLED, e) < 0)
			return -1;
		w->spilled = true;
	}
	for (size_t i = 0; i < b->keywords.n; i++) {
		bool same = true;

		for (int s = LEFT; s <= RIGHT; s++)
			same = same && w->letter[s][i] == old.letter[s][i] &&
			       !(((w->refused[s] ^ old.refused[s]) | (w->told[s] ^ old.told[s])) & keyword_flag(i));
		if (!same && put(g, b, i, e) < 0)
			return -1;
	}
	return 0;
}

uint64_t words_anew(const struct box *b)
{
	uint64_t anew = 0;

	for (int s = LEFT; s <= RIGHT; s++)
		for (size_t i = 0; b->looked[s] && i < b->keywords.n; i++)
			if (b->words.letter[s][i] != 0 && b->view[s].letter[i] != b->words.letter[s][i])
				anew |= keyword_flag(i);
	return anew;
}

uint64_t words_may_take(const struct box *b, int side)
{
	return b->looked[side] ? b->info[side].can_take : FLAGS_EVERY & ~b->view[side].refused & ~b->told[side];
}

void words_watch(struct box *b, const struct plan_sync_policy *policy, const struct plan_sync_msg *m)
{
	const struct plan_sync_side *sides[2] = { &m->left, &m->right };
	const struct plan_side_policy *may[2] = { &policy->left, &policy->right };

	for (int s = LEFT; s <= RIGHT; s++)
		if (b->looked[s] && may[s]->may_add && sides[!s]->present)
			b->unheld[s] |= sides[!s]->flags & FLAGS_KEYWORDS & ~may[s]->may_flag & ~sides[s]->flags;
}

/* Some of these names, and how many there are more. */
static void list_names(const struct box *b, uint64_t flags, char *out, size_t size)
{
	size_t n = 0, shown = 0, more = 0;

	for (size_t i = 0; i < b->keywords.n; i++) {
		if (!(flags & keyword_flag(i)))
			continue;
		if (shown == NAMES_SHOWN || n + KEYWORD_NAME_MAX + 32 > size) {
			more++;
			continue;
		}
		n += (size_t)snprintf(out + n, size - n, "%s%s", shown++ > 0 ? ", " : "", b->keywords.name[i]);
	}
	if (more > 0)
		snprintf(out + n, size - n, " and %zu more", more);
}

void words_tell(struct twoway *g, struct box *b)
{
	char text[ERR_TEXT_MAX], name[160], names[240];

	err_printable(name, sizeof(name), b->f->left, strlen(b->f->left));
	for (int s = LEFT; s <= RIGHT; s++) {
		uint64_t fresh = (b->unheld[s] | b->view[s].refused) & ~b->told[s];

		if (fresh == 0)
			continue;
		list_names(b, fresh, names, sizeof(names));
		snprintf(text, sizeof(text), "'%s': keywords that can't be kept %s stay %s alone: %s", name, twoway_at(g, s), twoway_at(g, !s), names);
		twoway_warn(g, text);
		b->told[s] |= fresh;
	}
	if (b->keywords.spilled && !b->words.spilled && !b->told_spilled) {
		snprintf(text, sizeof(text), "'%s' has more than %d keywords: '%s' is left alone on both sides, as are all that come after it", name, KEYWORDS_MAX,
			 b->keywords.spilled);
		twoway_warn(g, text);
		b->told_spilled = true;
	}
}

int words_carry(struct box *from, struct box *to, uint64_t flags, uint64_t *out, struct err *e)
{
	*out = flags & FLAGS_ALL;
	for (size_t i = 0; i < from->keywords.n; i++) {
		uint64_t flag = 0;

		if (flags & keyword_flag(i) && keywords_intern(&to->keywords, slice_str(from->keywords.name[i]), &flag, e) < 0)
			return -1;
		*out |= flag;
	}
	return 0;
}

/*
 * A mail reader that knows nothing of letters takes them along to where they mean something else, or nothing. It was one unless a letter that has a name there is gone, or
 * another one has come.
 */
uint64_t words_astray(const struct box *from, const struct box *to, int side, uint64_t had, uint64_t shown)
{
	const struct keyword_view *here = &from->view[side], *there = &to->view[side];
	uint64_t astray = 0;
	char old[KEYWORDS_MAX + 1] = "";
	size_t n = 0;

	for (size_t i = 0; from != to && i < from->keywords.n; i++) {
		if (!(had & keyword_flag(i)) || here->letter[i] == 0)
			continue;
		old[n++] = here->letter[i];
		astray |= keywords_find(&to->keywords, slice_str(from->keywords.name[i])) & ~shown;
	}
	for (size_t k = 0; k < to->keywords.n; k++) {
		const char letter = there->letter[k];

		if (letter != 0 && !(shown & keyword_flag(k)) != !strchr(old, letter))
			return 0;
	}
	return astray;
}
