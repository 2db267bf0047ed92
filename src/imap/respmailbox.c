/* What there is to say of mailboxes: LIST, LSUB, STATUS, NAMESPACE. See resp.h. */
#include "imap/resp_p.h"

#include <string.h>

/* The bits of a folder's attribute, 0 for unknown ones. */
static uint32_t list_attr(struct slice name)
{
	static const struct {
		const char *name;
		uint32_t bits;
	} attrs[] = {
		{ "\\Noselect", IMAP_LIST_NOSELECT },
		{ "\\NonExistent", IMAP_LIST_NONEXISTENT | IMAP_LIST_NOSELECT },
		{ "\\Noinferiors", IMAP_LIST_NOINFERIORS },
		{ "\\HasChildren", IMAP_LIST_HASCHILDREN },
		{ "\\HasNoChildren", IMAP_LIST_HASNOCHILDREN },
		{ "\\Marked", IMAP_LIST_MARKED },
		{ "\\Unmarked", IMAP_LIST_UNMARKED },
		{ "\\Subscribed", IMAP_LIST_SUBSCRIBED },
		{ "\\Remote", IMAP_LIST_REMOTE },
		{ "\\All", IMAP_LIST_ALL },
		{ "\\Archive", IMAP_LIST_ARCHIVE },
		{ "\\Drafts", IMAP_LIST_DRAFTS },
		{ "\\Flagged", IMAP_LIST_FLAGGED },
		{ "\\Junk", IMAP_LIST_JUNK },
		{ "\\Sent", IMAP_LIST_SENT },
		{ "\\Trash", IMAP_LIST_TRASH },
		{ "\\Important", IMAP_LIST_IMPORTANT },
	};

	for (size_t i = 0; i < LENGTH(attrs); i++)
		if (slice_ieqs(name, attrs[i].name))
			return attrs[i].bits;
	return 0;
}

/* A hierarchy separator: one character, or NIL. "" has been seen, too. */
static int separator(struct imap_reader *rd, char *sep, struct err *e)
{
	struct imap_tok t;

	if (resp_next(rd, &t, e) < 0)
		return -1;
	*sep = '\0';
	if (t.kind == IMAP_TOK_NIL || (t.kind == IMAP_TOK_QUOTED && t.text.n == 0))
		return 0;
	if (!resp_is_word(&t) || t.text.n != 1)
		return resp_bad(rd, e, "a hierarchy separator");
	*sep = t.text.p[0];
	return 0;
}

/* LIST and LSUB. Behind the name LIST-EXTENDED may put a parenthesis. */
int resp_read_list(struct imap_reader *rd, struct imap_resp *r, struct err *e)
{
	struct imap_tok t;

	if (resp_expect(rd, IMAP_TOK_OPEN, "LIST without attributes", e) < 0)
		return -1;
	for (;;) {
		if (resp_next(rd, &t, e) < 0)
			return -1;
		if (t.kind == IMAP_TOK_CLOSE)
			break;
		if (!resp_is_word(&t))
			return resp_bad(rd, e, "LIST's attributes");
		r->list.attrs |= list_attr(t.text);
	}
	if (separator(rd, &r->list.sep, e) < 0 || resp_next_string(rd, "a folder's name", &r->list.name, e) < 0)
		return -1;
	if (resp_next(rd, &t, e) < 0)
		return -1;
	if (t.kind == IMAP_TOK_OPEN)
		return imap_tok_skip(&rd->x, &t, e) < 0 ? -1 : resp_end(rd, e);
	return t.kind == IMAP_TOK_EOL ? 0 : resp_bad(rd, e, "a folder's name has something behind it");
}

/* One item of STATUS, whose name is given. */
static int status_item(struct imap_reader *rd, struct imap_status *s, struct slice name, struct err *e)
{
	const struct {
		const char *name;
		unsigned bit;
		uint32_t *small;
		uint64_t *large;
	} items[] = {
		{ "MESSAGES", IMAP_HAS_MESSAGES, &s->messages, NULL },
		{ "UIDNEXT", IMAP_HAS_UIDNEXT, &s->uidnext, NULL },
		{ "UIDVALIDITY", IMAP_HAS_UIDVALIDITY, &s->uidvalidity, NULL },
		{ "UNSEEN", IMAP_HAS_UNSEEN, &s->unseen, NULL },
		{ "RECENT", IMAP_HAS_RECENT, &s->recent, NULL },
		{ "DELETED", IMAP_HAS_DELETED, &s->deleted, NULL },
		{ "HIGHESTMODSEQ", IMAP_HAS_HIGHESTMODSEQ, NULL, &s->highestmodseq },
		{ "SIZE", IMAP_HAS_SIZE, NULL, &s->size },
	};
	struct imap_tok t;
	uint64_t v;
	bool ok;

	for (size_t i = 0; i < LENGTH(items); i++) {
		if (!slice_ieqs(name, items[i].name))
			continue;
		if (resp_number_or_skip(rd, items[i].small ? UINT32_MAX : MODSEQ_MAX, &v, &ok, e) < 0)
			return -1;
		if (!ok)
			return 0;
		if (items[i].small)
			*items[i].small = (uint32_t)v;
		else
			*items[i].large = v;
		s->has |= items[i].bit;
		return 0;
	}
	if (slice_ieqs(name, "MAILBOXID")) {
		if (resp_object_id(rd, &s->mailboxid, &ok, e) < 0)
			return -1;
		if (ok)
			s->has |= IMAP_HAS_MAILBOXID;
		return 0;
	}
	if (!slice_ieqs(name, "APPENDLIMIT"))
		return resp_next(rd, &t, e) < 0 ? -1 : imap_tok_skip(&rd->x, &t, e);
	if (resp_next(rd, &t, e) < 0)
		return -1;
	if (t.kind == IMAP_TOK_NIL)
		s->appendlimit = IMAP_APPENDLIMIT_NONE;
	else if (!resp_number(&t, MODSEQ_MAX, &s->appendlimit))
		return imap_tok_skip(&rd->x, &t, e);
	s->has |= IMAP_HAS_APPENDLIMIT;
	return 0;
}

/* STATUS name (...) */
int resp_read_status(struct imap_reader *rd, struct imap_resp *r, struct err *e)
{
	struct imap_tok t;

	if (resp_next_string(rd, "a folder's name", &r->status.name, e) < 0)
		return -1;
	if (resp_expect(rd, IMAP_TOK_OPEN, "STATUS without values", e) < 0)
		return -1;
	for (;;) {
		char name[32];
		size_t n;

		if (resp_next(rd, &t, e) < 0)
			return -1;
		if (t.kind == IMAP_TOK_CLOSE)
			return resp_end(rd, e);
		if (!resp_is_atom(&t))
			return resp_bad(rd, e, "STATUS");
		n = t.text.n < sizeof(name) ? t.text.n : 0; /* so long a name is unknown */
		memcpy(name, t.text.p, n);
		if (status_item(rd, &r->status, slice_of(name, n), e) < 0)
			return -1;
	}
}

/* One namespace, whose parenthesis is taken. */
static int namespace_row(struct imap_reader *rd, enum imap_ns kind, struct err *e)
{
	struct imap_namespace ns = { .kind = kind };
	struct imap_tok t;

	if (resp_next_string(rd, "a namespace's prefix", &ns.prefix, e) < 0 || separator(rd, &ns.sep, e) < 0)
		return -1;
	if (rd->namespaces.n >= ROWS_MAX || vec_push(&rd->namespaces, ns) < 0)
		return resp_no_room(rd, e);
	for (;;) {
		if (resp_next(rd, &t, e) < 0)
			return -1;
		if (t.kind == IMAP_TOK_CLOSE)
			return 0;
		if (imap_tok_skip(&rd->x, &t, e) < 0)
			return -1;
	}
}

/* NAMESPACE (("" "/")) NIL NIL */
int resp_read_namespace(struct imap_reader *rd, struct imap_resp *r, struct err *e)
{
	struct imap_tok t;

	for (unsigned kind = IMAP_NS_PERSONAL; kind <= IMAP_NS_SHARED; kind++) {
		if (resp_next(rd, &t, e) < 0)
			return -1;
		if (t.kind == IMAP_TOK_NIL)
			continue;
		if (t.kind != IMAP_TOK_OPEN)
			return resp_bad(rd, e, "NAMESPACE");
		for (;;) {
			if (resp_next(rd, &t, e) < 0)
				return -1;
			if (t.kind == IMAP_TOK_CLOSE)
				break;
			if (t.kind != IMAP_TOK_OPEN)
				return resp_bad(rd, e, "NAMESPACE");
			if (namespace_row(rd, (enum imap_ns)kind, e) < 0)
				return -1;
		}
	}
	r->namespaces = rd->namespaces.a;
	r->n = rd->namespaces.n;
	return resp_end(rd, e);
}
