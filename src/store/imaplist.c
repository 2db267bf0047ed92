/* The list of an IMAP account's folders: LIST, and what else tells of all of them at once. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "mail/boxname.h"
#include "store/imapstore_p.h"

#define ROWS_MAX 200000 /* of a listing; and so many of each other kind of answer to it */
#define WARNINGS_MAX 20


/* A folder of a listing. */
struct row {
	char *wire;
	char sep;
	uint32_t attrs; /* IMAP_LIST_* */
	bool status;    /* st.messages is known */
	struct imapstamp st;
	uint64_t bytes;
	char *name; /* the engine's; NULL: it is left out */
	bool inbox;
};

/* What STATUS said of a folder. */
struct told {
	char *wire;
	bool messages;
	struct imapstamp st; /* validity 0: not all that a stamp needs */
	uint64_t bytes;
};

struct listing {
	VEC(struct row) rows;
	VEC(struct told) told;
	VEC(char *) subscribed;
	VEC(size_t) ask; /* rows that a STATUS of their own is asked of */
	unsigned warned;
};

static void listing_release(struct listing *l)
{
	for (size_t i = 0; i < l->rows.n; i++) {
		free(l->rows.a[i].wire);
		free(l->rows.a[i].name);
	}
	for (size_t i = 0; i < l->told.n; i++)
		free(l->told.a[i].wire);
	for (size_t i = 0; i < l->subscribed.n; i++)
		free(l->subscribed.a[i]);
	vec_release(&l->rows);
	vec_release(&l->told);
	vec_release(&l->subscribed);
	vec_release(&l->ask);
}

/* A folder that is not shown: say so, but not a thousand times, nor with each listing. */
static void leave_out(struct imapstore *t, struct listing *l, struct slice wire, const char *why)
{
	char name[ERR_TEXT_MAX / 2];

	if (l->warned++ < WARNINGS_MAX && !t->listed)
		log_warn("%s: the folder '%s' is left out: %s", t->login.what,
			err_printable(name, sizeof(name), wire.p, wire.n), why);
}

/* What STATUS says, as far as it makes a stamp. */
static struct imapstamp stamp_of(const struct imapstore *t, const struct imap_status *s)
{
	const unsigned need = IMAP_HAS_MESSAGES | IMAP_HAS_UIDNEXT | IMAP_HAS_UIDVALIDITY |
		IMAP_HAS_HIGHESTMODSEQ;

	if ((s->has & need) != need || s->highestmodseq == 0 || s->uidvalidity == 0 ||
		s->uidnext == 0 || !(t->conn.caps.have & IMAP_CAP_CONDSTORE))
		return (struct imapstamp){ .messages = s->messages };
	return (struct imapstamp){ .validity = s->uidvalidity,
		.uidnext = s->uidnext,
		.messages = s->messages,
		.modseq = s->highestmodseq,
		.id = s->has & IMAP_HAS_MAILBOXID ? imapstamp_id(s->mailboxid) : 0 };
}

struct collecting {
	struct imapstore *t;
	struct listing *l;
	bool status; /* stamps are wanted */
};

/* Is it what a SELECT or FETCH tells? No mailbox is selected while there are folders to list. */
static bool is_of_look(const struct imap_resp *r)
{
	switch (r->kind) {
	case IMAP_FLAGS:
	case IMAP_EXISTS:
	case IMAP_RECENT:
	case IMAP_FETCH:
	case IMAP_FETCH_BODY:
	case IMAP_VANISHED:
	case IMAP_EXPUNGE:
		return true;
	case IMAP_UNTAGGED:
		return r->code.kind == IMAP_CODE_PERMANENTFLAGS || r->code.kind == IMAP_CODE_UIDVALIDITY ||
			r->code.kind == IMAP_CODE_UIDNEXT || r->code.kind == IMAP_CODE_HIGHESTMODSEQ ||
			r->code.kind == IMAP_CODE_NOMODSEQ || r->code.kind == IMAP_CODE_MAILBOXID;
	default:
		return false;
	}
}

/* imap_on of all commands of a listing. */
static int collect(void *arg, const struct imap_resp *r, struct err *e)
{
	struct collecting *c = arg;
	struct listing *l = c->l;
	char *wire;
	int rc = 0;

	if (r->kind != IMAP_LIST && r->kind != IMAP_LSUB && r->kind != IMAP_STATUS)
		return imaplook_is_early(c->t) && is_of_look(r) ? imapstore_disorder(c->t, e) : 0;
	if (l->rows.n >= ROWS_MAX || l->told.n >= ROWS_MAX || l->subscribed.n >= ROWS_MAX) {
		c->t->conn.dead = true; /* or it would be heard to the end, if there is one */
		return err_set(e, ERR_PROTO, "the server lists more than %d folders", ROWS_MAX);
	}
	if (r->kind == IMAP_STATUS) {
		struct told told = { .messages = r->status.has & IMAP_HAS_MESSAGES,
			.st = stamp_of(c->t, &r->status),
			.bytes = r->status.has & IMAP_HAS_SIZE ? r->status.size : 0 };

		told.wire = wire = slice_dup(r->status.name);
		if (wire)
			rc = vec_push(&l->told, told);
	} else {
		struct row row = { .sep = r->list.sep, .attrs = r->list.attrs };

		if (r->list.name.n == 0)
			return 0;
		row.wire = wire =
			r->list.name.n > IMAPNAME_WIRE_MAX ? NULL : slice_dup(r->list.name);
		if (!wire)
			leave_out(c->t, l, r->list.name,
				r->list.name.n > IMAPNAME_WIRE_MAX ? "its name is too long"
								   : "its name holds a NUL byte");
		else
			rc = r->kind == IMAP_LIST ? vec_push(&l->rows, row)
						  : vec_push(&l->subscribed, wire);
	}
	if (rc < 0) {
		free(wire);
		return err_set(e, ERR_LOCAL, "out of memory");
	}
	return 0;
}

/* INBOX may be spelled in any case, by each command in another. */
static int wire_cmp(const char *a, const char *b)
{
	bool ia = strcasecmp(a, "INBOX") == 0, ib = strcasecmp(b, "INBOX") == 0;

	if (ia || ib)
		return (int)ib - (int)ia;
	return strcmp(a, b);
}

static int by_wire(const void *a, const void *b)
{
	return wire_cmp(((const struct row *)a)->wire, ((const struct row *)b)->wire);
}

static int told_by_wire(const void *a, const void *b)
{
	return wire_cmp(((const struct told *)a)->wire, ((const struct told *)b)->wire);
}

static int strings(const void *a, const void *b)
{
	return wire_cmp(*(char *const *)a, *(char *const *)b);
}

/* One row for each wire name, in their order. */
static void unite_rows(struct listing *l)
{
	size_t n = 0;

	if (l->rows.n > 0)
		qsort(l->rows.a, l->rows.n, sizeof(l->rows.a[0]), by_wire);
	for (size_t i = 0; i < l->rows.n; i++) {
		struct row *r = &l->rows.a[i];

		if (n > 0 && wire_cmp(l->rows.a[n - 1].wire, r->wire) == 0) {
			l->rows.a[n - 1].attrs |= r->attrs;
			free(r->wire);
			continue;
		}
		l->rows.a[n++] = *r;
	}
	l->rows.n = n;
}

/* Lay what LSUB and STATUS said to the rows. */
static void join_rows(struct listing *l)
{
	size_t s = 0, k = 0;

	if (l->told.n > 0)
		qsort(l->told.a, l->told.n, sizeof(l->told.a[0]), told_by_wire);
	if (l->subscribed.n > 0)
		qsort(l->subscribed.a, l->subscribed.n, sizeof(l->subscribed.a[0]), strings);
	for (size_t i = 0; i < l->rows.n; i++) {
		struct row *r = &l->rows.a[i];

		while (s < l->subscribed.n && wire_cmp(l->subscribed.a[s], r->wire) < 0)
			s++;
		if (s < l->subscribed.n && wire_cmp(l->subscribed.a[s], r->wire) == 0)
			r->attrs |= IMAP_LIST_SUBSCRIBED;
		while (k < l->told.n && wire_cmp(l->told.a[k].wire, r->wire) < 0)
			k++;
		for (; k < l->told.n && wire_cmp(l->told.a[k].wire, r->wire) == 0;
			k++) { /* the last word counts */
			r->st = l->told.a[k].st;
			r->status = l->told.a[k].messages;
			r->bytes = l->told.a[k].bytes;
		}
	}
}

/* Two rows of one name are neighbours then, the inbox first. Those that are left out come last. */
static int by_name(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	int c;

	if (!x->name || !y->name)
		return (x->name ? 0 : 1) - (y->name ? 0 : 1);
	c = strcmp(x->name, y->name);
	if (c == 0)
		c = (int)y->inbox - (int)x->inbox;
	return c ? c : strcmp(x->wire, y->wire);
}

/* Give each row its name, or leave it out. */
static int name_rows(struct imapstore *t, struct listing *l, struct err *e)
{
	const char *last = NULL;

	for (size_t i = 0; i < l->rows.n; i++) {
		struct row *r = &l->rows.a[i];
		struct strbuf name = STRBUF_INIT(2 * BOXNAME_MAX);
		struct err why = ERR_INIT;

		r->inbox = strcasecmp(r->wire, "INBOX") == 0;
		if (!imapname_ours(t, r->wire)) {
			log_debug("%s: '%s' is in another namespace", t->login.what, r->wire);
			continue;
		}
		if (r->inbox)
			strbuf_puts(&name, "INBOX");
		else if (imapname_show(t, slice_str(r->wire + strlen(t->prefix)), r->sep, &name,
				 &why) < 0)
			leave_out(t, l, slice_str(r->wire), why.text);
		if (why.kind == ERR_NONE)
			r->name = strbuf_detach(&name);
		strbuf_release(&name);
		if (why.kind == ERR_NONE && !r->name)
			return err_set(e, ERR_LOCAL, "out of memory");
	}
	if (l->rows.n > 0)
		qsort(l->rows.a, l->rows.n, sizeof(l->rows.a[0]), by_name);
	for (size_t i = 0; i < l->rows.n && l->rows.a[i].name; i++) {
		struct row *r = &l->rows.a[i];

		if (last && strcmp(last, r->name) == 0) {
			leave_out(t, l, slice_str(r->wire),
				"another one would have the same name here");
			free(r->name);
			r->name = NULL;
			/*
			 * by_name does not hold any more, but rows without a name are passed over
			 * from here on
			 */
			continue;
		}
		last = r->name;
	}
	if (l->warned > WARNINGS_MAX && !t->listed)
		log_warn("%s: and %u more folders are left out", t->login.what,
			l->warned - WARNINGS_MAX);
	return 0;
}

/* enum folder_attr of IMAP_LIST_* */
static unsigned attrs_of(const struct row *r)
{
	static const struct {
		uint32_t list;
		unsigned folder;
	} map[] = {
		{ IMAP_LIST_NOSELECT | IMAP_LIST_NONEXISTENT, FOLDER_NO_SELECT },
		{ IMAP_LIST_SUBSCRIBED, FOLDER_SUBSCRIBED },
		{ IMAP_LIST_ALL, FOLDER_ALL },
		{ IMAP_LIST_ARCHIVE, FOLDER_ARCHIVE },
		{ IMAP_LIST_DRAFTS, FOLDER_DRAFTS },
		{ IMAP_LIST_FLAGGED, FOLDER_FLAGGED },
		{ IMAP_LIST_JUNK, FOLDER_JUNK },
		{ IMAP_LIST_SENT, FOLDER_SENT },
		{ IMAP_LIST_TRASH, FOLDER_TRASH },
		{ IMAP_LIST_IMPORTANT, FOLDER_IMPORTANT },
	};
	unsigned attrs = 0;

	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
		if (r->attrs & map[i].list)
			attrs |= map[i].folder;
	return attrs;
}

/* Know what was listed. */
static int keep_rows(struct imapstore *t, struct listing *l, struct err *e)
{
	for (size_t i = 0; i < t->folders.n; i++) {
		t->folders.a[i]->listed = t->folders.a[i]->status = false;
		t->folders.a[i]->stamp = (struct imapstamp){ 0 };
		t->folders.a[i]->bytes = 0;
	}
	for (size_t i = 0; i < l->rows.n; i++) {
		struct row *r = &l->rows.a[i];
		struct imapfolder *f;
		bool there;
		size_t at;

		if (!r->name)
			continue;
		at = imaptree_place(t, r->name, &there);
		if (there) {
			f = t->folders.a[at];
			free(f->wire);
			f->wire = r->wire;
		} else {
			f = imaptree_add(t, at, r->name, r->wire, e);
			r->name = NULL;
		}
		r->wire = NULL;
		if (!f)
			return -1;
		f->listed = true;
		f->attrs = attrs_of(r);
		if (f->attrs & FOLDER_NO_SELECT)
			continue;
		f->status = r->status;
		f->stamp = r->st;
		f->bytes = r->bytes;
	}
	return 0;
}

/* What STATUS is asked for: what makes a stamp, and what a person wants to see. */
static void put_status_items(struct imapstore *t)
{
	const unsigned have = t->conn.caps.have;

	imap_put(&t->conn, "(MESSAGES%s%s%s)",
		have & IMAP_CAP_CONDSTORE ? " UIDNEXT UIDVALIDITY HIGHESTMODSEQ" : "",
		have & IMAP_CAP_CONDSTORE && have & IMAP_CAP_OBJECTID ? " MAILBOXID" : "",
		t->s.counts && have & IMAP_CAP_STATUS_SIZE ? " SIZE" : "");
}

/* Is there anything that STATUS is asked for? */
static bool wants_status(const struct imapstore *t)
{
	return t->s.counts || t->conn.caps.have & IMAP_CAP_CONDSTORE;
}

/* imapstore_flight.send: one folder's STATUS. */
static int send_status(struct imapstore *t, void *arg, size_t i, uint32_t *tag, struct err *e)
{
	const struct listing *l = ((struct collecting *)arg)->l;

	imap_start(&t->conn);
	imap_put(&t->conn, "STATUS ");
	imap_astring(&t->conn, slice_str(l->rows.a[l->ask.a[i]].wire));
	imap_put(&t->conn, " ");
	put_status_items(t);
	return imap_end(&t->conn, tag, e);
}

/*
 * A folder whose STATUS is refused is looked at without. But one that is not there, though it was
 * listed, is a level of the tree only: with its list index Dovecot (2.3) goes on to list a folder
 * that was removed while others are below it, and says so by no attribute and no code.
 */
static int end_status(struct imapstore *t, void *arg, size_t i, const struct imap_resp *r,
	const struct err *why, struct err *e)
{
	struct listing *l = ((struct collecting *)arg)->l;

	(void)t;
	if (!r && why->span == SPAN_ACCT) {
		*e = *why;
		return -1;
	}
	if (!r && (strcasestr(why->text, "doesn't exist") || strcasestr(why->text, "does not exist") ||
			strcasestr(why->text, "nonexistent")))
		l->rows.a[l->ask.a[i]].attrs |= IMAP_LIST_NONEXISTENT | IMAP_LIST_NOSELECT;
	return 0;
}

static int data_status(struct imapstore *t, void *arg, const struct imap_resp *r, struct err *e)
{
	(void)t;
	return r->kind == IMAP_STATUS ? collect(arg, r, e) : 0;
}

/* A STATUS for each, where LIST did not bring it. */
static int ask_status(struct imapstore *t, struct collecting *c, struct err *e)
{
	struct imapstore_flight f = {
		.send = send_status, .end = end_status, .data = data_status, .arg = c
	};
	struct listing *l = c->l;

	for (size_t i = 0; i < l->rows.n; i++) {
		const struct row *r = &l->rows.a[i];

		if (!(r->attrs & (IMAP_LIST_NOSELECT | IMAP_LIST_NONEXISTENT)) && !r->status &&
			imapname_ours(t, r->wire) && vec_push(&l->ask, i) < 0)
			return err_set(e, ERR_LOCAL, "out of memory");
	}
	f.n = l->ask.n;
	if (f.n > 0 && imaplook_settle(t, e) < 0) /* it stands in the way, and is asked again */
		return -1;
	return imapstore_fly(t, &f, e);
}

/* Is STATUS asked along with LIST (RFC 5819)? */
static bool status_in_list(const struct imapstore *t)
{
	const unsigned need = IMAP_CAP_LIST_EXTENDED | IMAP_CAP_LIST_STATUS;

	return wants_status(t) && (t->conn.caps.have & need) == need;
}

/* imapstore_flight.send: LIST; and LSUB, where LIST does not tell what is subscribed */
static int send_list(struct imapstore *t, void *arg, size_t i, uint32_t *tag, struct err *e)
{
	const unsigned have = t->conn.caps.have;

	imap_start(&t->conn);
	imap_put(&t->conn, "%s \"\" \"*\"", i == 0 ? "LIST" : "LSUB");
	if (have & IMAP_CAP_LIST_EXTENDED) {
		imap_put(&t->conn, " RETURN (SUBSCRIBED%s",
			have & IMAP_CAP_SPECIAL_USE ? " SPECIAL-USE" : "");
		if (((struct collecting *)arg)->status && status_in_list(t)) {
			imap_put(&t->conn, " STATUS ");
			put_status_items(t);
		}
		imap_put(&t->conn, ")");
	}
	return imap_end(&t->conn, tag, e);
}

/* Without subscriptions there is still a list; without a list there is nothing. */
static int end_list(struct imapstore *t, void *arg, size_t i, const struct imap_resp *r,
	const struct err *why, struct err *e)
{
	(void)t;
	(void)arg;
	if (r || i > 0)
		return 0;
	*e = *why;
	e->span = SPAN_ACCT;
	return -1;
}

static int data_list(struct imapstore *t, void *arg, const struct imap_resp *r, struct err *e)
{
	(void)t;
	return collect(arg, r, e);
}

/* How many commands a listing is. */
static size_t commands(const struct imapstore *t)
{
	return t->conn.caps.have & IMAP_CAP_LIST_EXTENDED ? 1 : 2;
}

/* Queue them; and the look that is foreseen, if LIST tells all that is asked of the folders. */
static int queue(struct imapstore *t, bool status, struct err *e)
{
	struct collecting c = { .t = t, .status = status };
	const bool sent = t->ahead.n > 0;
	uint32_t tag;

	for (size_t n = commands(t); t->ahead.n < n; t->ahead.n++) {
		if (send_list(t, &c, t->ahead.n, &tag, e) < 0)
			return -1;
		if (t->ahead.n == 0)
			t->ahead.first = tag;
	}
	return status && !t->ahead.look && (status_in_list(t) || !wants_status(t)) ? imaplook_ask_early(t, sent, e) : 0;
}

/* Behind the login, if that is what the link is dialled for. */
int imaplist_first(void *arg, struct imap_conn *conn, struct err *e)
{
	struct imapstore *t = arg;

	(void)conn; /* it is the store's */
	return t->ahead.wanted ? queue(t, true, e) : 0;
}

/* Send the commands of a listing, if they aren't on their way, and read their answers. */
static int list_rows(struct imapstore *t, struct collecting *c, struct err *e)
{
	struct imapstore_flight f = { .send = send_list, .end = end_list, .data = data_list, .arg = c };
	char sep = '\0';

	if (queue(t, c->status, e) < 0)
		return imapstore_broken(t, e);
	f.n = f.sent = t->ahead.n;
	f.first = t->ahead.first;
	t->ahead.n = 0;
	if (imapstore_fly(t, &f, e) < 0)
		return -1;
	if (imaplook_is_early(t) && t->conn.fly_own > 0)
		return imapstore_disorder(t, e);
	if (!imaplook_is_early(t) && imap_settle(&t->conn, e) < 0)
		return imapstore_broken(t, e);
	unite_rows(c->l);
	for (size_t i = 0; i < c->l->rows.n; i++)
		c->l->rows.a[i].inbox = strcasecmp(c->l->rows.a[i].wire, "INBOX") == 0;
	for (size_t i = 0; sep == '\0' && i < c->l->rows.n; i++)
		sep = c->l->rows.a[i].sep;
	imapname_learn(t, c->l->rows.n ? sep : '/');
	join_rows(c->l); /* where LIST brings STATUS, only what it leaves out is asked for */
	return c->status && wants_status(t) ? ask_status(t, c, e) : 0;
}

/* List, and know what is there. */
int imaplist(struct imapstore *t, bool status, struct err *e)
{
	struct listing l = { 0 };
	struct collecting c = { .t = t, .l = &l, .status = status };
	int rc = list_rows(t, &c, e);

	if (rc == 0) {
		join_rows(&l);
		rc = name_rows(t, &l, e);
	}
	if (rc == 0)
		rc = keep_rows(t, &l, e);
	t->listed |= rc == 0;
	listing_release(&l);
	return rc < 0 ? err_in(e, "the list of folders") : 0;
}
