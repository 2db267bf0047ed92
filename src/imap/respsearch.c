/* Sets of messages: SEARCH, ESEARCH, VANISHED. See resp.h. */
#include "imap/resp_p.h"

/* Whether the next byte is a digit: 1, 0, -1. */
static int at_digit(struct imap_reader *rd, struct err *e)
{
	int c = imap_tok_peek(&rd->x, e);

	return c < 0 ? -1 : c >= '0' && c <= '9';
}

/* (MODSEQ n), whose parenthesis is taken. */
static int search_modseq(struct imap_reader *rd, struct imap_search *s, struct err *e)
{
	struct imap_tok t;

	if (resp_next(rd, &t, e) < 0)
		return -1;
	if (!resp_is_atom(&t) || !slice_ieqs(t.text, "MODSEQ"))
		return resp_bad(rd, e, "SEARCH");
	if (resp_next(rd, &t, e) < 0)
		return -1;
	if (!resp_number(&t, MODSEQ_MAX, &s->modseq))
		return resp_bad(rd, e, "SEARCH's MODSEQ");
	s->has |= IMAP_HAS_SEARCH_MODSEQ;
	return resp_expect(rd, IMAP_TOK_CLOSE, "SEARCH's MODSEQ", e);
}

/* SEARCH 1 2 3 (MODSEQ n) */
int resp_read_search(struct imap_reader *rd, struct imap_resp *r, struct err *e)
{
	struct imap_tok t;
	int digit = at_digit(rd, e);

	if (digit < 0 || (digit > 0 && imap_tok_set(&rd->x, &rd->set, e) < 0) || resp_next(rd, &t, e) < 0)
		return -1;
	r->search.all = &rd->set;
	r->search.has |= IMAP_HAS_ALL;
	if (t.kind == IMAP_TOK_EOL)
		return 0;
	if (t.kind != IMAP_TOK_OPEN)
		return resp_bad(rd, e, "SEARCH");
	return search_modseq(rd, &r->search, e) < 0 ? -1 : resp_end(rd, e);
}

/* What stands in the parentheses of ESEARCH: TAG "x", and with RFC 7377 more. */
static int search_correlator(struct imap_reader *rd, struct imap_search *s, struct err *e)
{
	struct imap_tok t;

	for (;;) {
		bool tag;

		if (resp_next(rd, &t, e) < 0)
			return -1;
		if (t.kind == IMAP_TOK_CLOSE)
			return 0;
		if (!resp_is_atom(&t))
			return resp_bad(rd, e, "ESEARCH");
		tag = slice_ieqs(t.text, "TAG");
		if (resp_next(rd, &t, e) < 0)
			return -1;
		if (tag ? resp_string(rd, &t, "a tag", &s->tag, e) < 0 : imap_tok_skip(&rd->x, &t, e) < 0)
			return -1;
	}
}

/* One value of ESEARCH, whose name is t. */
static int search_item(struct imap_reader *rd, struct imap_search *s, const struct imap_tok *name, struct err *e)
{
	const struct {
		const char *name;
		unsigned bit;
		uint32_t *to;
	} items[] = {
		{ "MIN", IMAP_HAS_MIN, &s->min },
		{ "MAX", IMAP_HAS_MAX, &s->max },
		{ "COUNT", IMAP_HAS_COUNT, &s->count },
	};
	bool all = slice_ieqs(name->text, "ALL"), modseq = slice_ieqs(name->text, "MODSEQ");
	struct imap_tok t;
	uint64_t v;
	size_t i = 0;

	while (i < LENGTH(items) && !slice_ieqs(name->text, items[i].name))
		i++;
	if (all) {
		uidset_clear(&rd->set);
		s->has |= IMAP_HAS_ALL;
		return imap_tok_set(&rd->x, &rd->set, e);
	}
	if (resp_next(rd, &t, e) < 0)
		return -1;
	if (!modseq && i == LENGTH(items))
		return imap_tok_skip(&rd->x, &t, e);
	if (!resp_number(&t, modseq ? MODSEQ_MAX : UINT32_MAX, &v))
		return resp_bad(rd, e, "a number of ESEARCH");
	if (modseq) {
		s->modseq = v;
		s->has |= IMAP_HAS_SEARCH_MODSEQ;
	} else {
		*items[i].to = (uint32_t)v;
		s->has |= items[i].bit;
	}
	return 0;
}

/* ESEARCH (TAG "x") UID COUNT 3 ALL 1:3 */
int resp_read_esearch(struct imap_reader *rd, struct imap_resp *r, struct err *e)
{
	struct imap_search *s = &r->search;
	struct imap_tok t;

	for (bool first = true;; first = false) {
		if (resp_next(rd, &t, e) < 0)
			return -1;
		if (t.kind == IMAP_TOK_EOL)
			break;
		if (t.kind == IMAP_TOK_OPEN && first) {
			if (search_correlator(rd, s, e) < 0)
				return -1;
		} else if (!resp_is_atom(&t)) {
			return resp_bad(rd, e, "ESEARCH");
		} else if (slice_ieqs(t.text, "UID")) {
			s->uid = true;
		} else if (search_item(rd, s, &t, e) < 0) {
			return -1;
		}
	}
	s->all = &rd->set;
	return 0;
}

/* VANISHED (EARLIER) 1:3,5 */
int resp_read_vanished(struct imap_reader *rd, struct imap_resp *r, struct err *e)
{
	struct imap_tok t;
	int c = imap_tok_peek(&rd->x, e);

	if (c < 0)
		return -1;
	if (c == '(') {
		if (resp_next(rd, &t, e) < 0 || resp_next(rd, &t, e) < 0)
			return -1;
		if (!resp_is_atom(&t) || !slice_ieqs(t.text, "EARLIER"))
			return resp_bad(rd, e, "VANISHED");
		if (resp_expect(rd, IMAP_TOK_CLOSE, "VANISHED", e) < 0)
			return -1;
		r->earlier = true;
		c = imap_tok_peek(&rd->x, e);
	}
	if (c < 0 || (c != '\r' && c != '\n' && imap_tok_set(&rd->x, &rd->set, e) < 0))
		return -1;
	r->search.all = &rd->set;
	r->search.uid = true;
	r->search.has = IMAP_HAS_ALL;
	return resp_end(rd, e);
}
