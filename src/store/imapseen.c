/* What is known of the folders of a server that is listened to, and which hints come of what it says. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "store/imaplisten_p.h"

#define STAMP_PARTS (IMAP_HAS_MESSAGES | IMAP_HAS_UIDNEXT | IMAP_HAS_UIDVALIDITY | IMAP_HAS_HIGHESTMODSEQ)

bool imapseen_whole(const struct imapseen *p)
{
	return p->f && (p->known & STAMP_PARTS) == STAMP_PARTS && p->st.validity && p->st.uidnext && p->st.modseq;
}

bool imapseen_polled(const struct imapseen *p)
{
	return p->f && !p->told && !(p->line && imapline_waits(p->line));
}

void imapseen_release(struct imaplisten *l)
{
	free(l->seen);
	free(l->by_wire);
	l->seen = NULL;
	l->by_wire = NULL;
	l->n_wire = 0;
}

static int by_wire(const void *a, const void *b, void *arg)
{
	const struct imaplisten *l = arg;

	return strcmp(l->seen[*(const size_t *)a].f->wire, l->seen[*(const size_t *)b].f->wire);
}

/* What the list said of a folder. */
static void take_listed(struct imapseen *p, const struct imapfolder *f)
{
	p->f = f->listed && !(f->attrs & FOLDER_NO_SELECT) ? f : NULL;
	if (!p->f || f->stamp.validity == 0)
		return;
	p->st = f->stamp;
	p->known |= STAMP_PARTS;
	p->at = clock_now();
}

static bool same_stamp(const struct imapstamp *a, const struct imapstamp *b)
{
	return !imapstamp_other(a, b) && a->uidnext == b->uidnext && a->messages == b->messages && a->modseq == b->modseq;
}

/* What stays: has it changed meanwhile? */
static void carry_on(struct imaplisten *l, const struct imapseen *was, size_t i)
{
	struct imapseen *p = &l->seen[i];

	p->stale = was->stale;
	p->unseen = was->unseen;
	p->known |= was->known & IMAP_HAS_UNSEEN;
	p->told = was->told;
	if (!p->f != !was->f || (imapseen_whole(p) && imapseen_whole(was) && !same_stamp(&p->st, &was->st)))
		listen_hint(&l->folders, i);
	if (!imapseen_whole(p)) {
		p->st = was->st;
		p->known = was->known;
	}
}

int imapseen_fill(struct imaplisten *l, const struct listen_folders *before, struct err *e)
{
	const struct imapstore *t = l->line[0].t;
	size_t n = l->folders.n, at;
	struct imapseen *old = l->seen;

	free(l->by_wire);
	l->n_wire = 0;
	l->seen = calloc(n ? n : 1, sizeof(*l->seen));
	l->by_wire = calloc(n ? n : 1, sizeof(*l->by_wire));
	if (!l->seen || !l->by_wire) {
		free(old);
		return err_set(e, ERR_LOCAL, "out of memory");
	}
	for (size_t i = 0; i < n; i++) {
		bool there;

		at = imaptree_place(t, l->folders.names[i], &there);
		if (there)
			take_listed(&l->seen[i], t->folders.a[at]);
		if (old && before && listen_folders_find(before, l->folders.names[i], &at))
			carry_on(l, &old[at], i);
		else
			l->seen[i].told = l->notify && !l->partial;
		if (l->seen[i].f)
			l->by_wire[l->n_wire++] = i;
	}
	free(old);
	qsort_r(l->by_wire, l->n_wire, sizeof(*l->by_wire), by_wire, l);
	for (size_t k = 0; k < l->n_lines; k++) {
		struct imapline *line = &l->line[k];

		if (!listen_folders_find(&l->folders, line->folder, &line->seen))
			line->seen = SIZE_MAX;
		else if (line->is_selected)
			l->seen[line->seen].line = line;
	}
	return 0;
}

/* The place of a folder, by its name on the wire. */
static struct imapseen *of_wire(const struct imaplisten *l, struct slice wire, size_t *at)
{
	size_t low = 0, high = l->n_wire;

	if (slice_ieqs(wire, "INBOX"))
		return listen_folders_find(&l->folders, "INBOX", at) ? &l->seen[*at] : NULL;
	while (low < high) {
		size_t mid = low + (high - low) / 2, i = l->by_wire[mid];
		struct slice name = slice_str(l->seen[i].f->wire);
		size_t n = name.n < wire.n ? name.n : wire.n;
		int c = n ? memcmp(name.p, wire.p, n) : 0;

		if (c == 0)
			c = name.n < wire.n ? -1 : name.n > wire.n;
		if (c == 0) {
			*at = i;
			return &l->seen[i];
		}
		if (c < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

/* One number of a STATUS: is it news? */
static bool is_news(struct imapseen *p, unsigned has, unsigned bit, uint64_t was, uint64_t is)
{
	bool news = has & bit && (!(p->known & bit) || was != is);

	p->known |= has & bit;
	return news;
}

/* STATUS, asked for or told. */
static void take_status(struct imaplisten *l, const struct imap_status *s, bool asked)
{
	bool news = false, first;
	struct imapseen *p;
	unsigned has = s->has;
	size_t at;

	p = of_wire(l, s->name, &at);
	if (!p)
		return;
	if (s->highestmodseq == 0)
		has &= ~(unsigned)IMAP_HAS_HIGHESTMODSEQ;
	first = p->known == 0;
	if (is_news(p, has, IMAP_HAS_UIDVALIDITY, p->st.validity, s->uidvalidity)) {
		news = true;
		p->st.id = 0;
	}
	news |= is_news(p, has, IMAP_HAS_MESSAGES, p->st.messages, s->messages);
	news |= is_news(p, has, IMAP_HAS_UIDNEXT, p->st.uidnext, s->uidnext);
	news |= is_news(p, has, IMAP_HAS_HIGHESTMODSEQ, p->st.modseq, s->highestmodseq);
	/* others' flags change the modification sequence anyway */
	news |= is_news(p, has, IMAP_HAS_UNSEEN, p->unseen, s->unseen) && !(p->known & IMAP_HAS_HIGHESTMODSEQ);
	if (has & IMAP_HAS_UIDVALIDITY)
		p->st.validity = s->uidvalidity;
	if (has & IMAP_HAS_MESSAGES)
		p->st.messages = s->messages;
	if (has & IMAP_HAS_UIDNEXT)
		p->st.uidnext = s->uidnext;
	if (has & IMAP_HAS_HIGHESTMODSEQ)
		p->st.modseq = s->highestmodseq;
	if (has & IMAP_HAS_UNSEEN)
		p->unseen = s->unseen;
	if (has & IMAP_HAS_MAILBOXID)
		p->st.id = imapstamp_id(s->mailboxid);
	if (asked)
		p->at = clock_now();
	/* the first answer is what others are compared with; what is told without being asked for is told for a reason, be it one that these numbers don't show */
	if (asked ? news && !first : news || !(p->known & IMAP_HAS_HIGHESTMODSEQ))
		listen_hint(&l->folders, at);
}

/* Something has happened in the selected folder. */
static void touch(struct imapline *n)
{
	if (n->seen == SIZE_MAX)
		return;
	n->l->seen[n->seen].stale = true;
	listen_hint(&n->l->folders, n->seen);
}

/* An untagged OK, NO. */
static void take_word(struct imapline *n, const struct imap_resp *r)
{
	struct imaplisten *l = n->l;

	if (r->code.kind == IMAP_CODE_NOTIFICATIONOVERFLOW) {
		/* it tells nothing more from now on (RFC 5465 section 5.8) */
		l->notify = false;
		l->of->listen.no_notify = clock_in(IMAPLISTEN_GRUDGE_MS);
		for (size_t i = 0; i < l->folders.n; i++)
			l->seen[i].told = false;
		listen_hint_all(&l->folders);
		l->look_at = clock_now();
	} else if (r->cond == IMAP_NO && l->notify) {
		listen_hint_all(&l->folders); /* "some events may have got lost" */
	} else if (r->code.kind == IMAP_CODE_HIGHESTMODSEQ && n->is_selected && r->code.num > n->modseq) {
		n->modseq = r->code.num;
		touch(n);
	}
}

static void take_vanished(struct imapline *n, const struct imap_resp *r)
{
	uint64_t gone = uidset_count(r->search.all);

	n->exists -= gone < n->exists ? (uint32_t)gone : n->exists;
	touch(n);
}

/* Data, asked for or not. */
static void take(struct imapline *n, const struct imap_resp *r, bool asked)
{
	switch (r->kind) {
	case IMAP_STATUS:
		take_status(n->l, &r->status, asked);
		break;
	case IMAP_LIST:
		if (!asked)
			listen_hint_all(&n->l->folders);
		break;
	case IMAP_EXISTS:
		/* some servers say it again and again, to show that they are alive */
		if (r->num != n->exists)
			touch(n);
		n->exists = r->num;
		break;
	case IMAP_EXPUNGE:
		n->exists -= n->exists > 0;
		touch(n);
		break;
	case IMAP_VANISHED:
		take_vanished(n, r);
		break;
	case IMAP_FETCH:
		if (r->fetch.has & IMAP_HAS_MODSEQ && r->fetch.modseq > n->modseq)
			n->modseq = r->fetch.modseq;
		touch(n);
		break;
	case IMAP_UNTAGGED:
		take_word(n, r);
		break;
	default:
		break; /* RECENT has no meaning for us; FLAGS comes before a FETCH that uses them */
	}
}

/* imap_on */
int imapseen_data(void *arg, const struct imap_resp *r, struct err *e)
{
	(void)e;
	take(arg, r, false);
	return 0;
}

int imapseen_answer(void *arg, const struct imap_resp *r, struct err *e)
{
	(void)e;
	take(arg, r, true);
	return 0;
}

/* imap_on of NOTIFY */
int imapseen_begun(void *arg, const struct imap_resp *r, struct err *e)
{
	struct imapline *n = arg;
	struct imapseen *p;
	size_t at;

	p = r->kind == IMAP_STATUS ? of_wire(n->l, r->status.name, &at) : NULL;
	if (p)
		p->told = true;
	return imapseen_answer(arg, r, e);
}
