/* The selected mailbox: SELECT and EXAMINE, and what a server says of one (RFC 3501 6.3.1, 7162 3.1.2). */
#include "store/imapstore_p.h"

/* Queue a SELECT or EXAMINE. */
int imapselect_send(
	struct imapstore *t, const struct imapfolder *f, bool write, uint32_t *tag, struct err *e)
{
	struct imap_conn *c = &t->conn;

	imap_start(c);
	imap_put(c, write ? "SELECT " : "EXAMINE ");
	imap_astring(c, slice_str(f->wire));
	if (c->caps.have & IMAP_CAP_CONDSTORE &&
		!(c->enabled & (IMAP_CAP_CONDSTORE | IMAP_CAP_QRESYNC)))
		imap_put(c, " (CONDSTORE)");
	return imap_end(c, tag, e);
}

/* What is known of the one before is gone. */
void imapselect_begin(struct imapstore *t, struct keyword_view *keywords)
{
	t->sel = (struct imapselected){ .keywords = keywords };
}

/* All flags. */
int imapselect_flags(
	struct keyword_view *v, const struct imap_flags *f, uint64_t *out, struct err *e)
{
	*out = f->bits;
	for (size_t i = 0; v && i < f->kw.n; i++) {
		uint64_t flag;

		if (keywords_intern(v->table, f->kw.a[i], &flag, e) < 0)
			return -1;
		*out |= flag;
	}
	return 0;
}

/*
 * PERMANENTFLAGS. Where keywords can be made, those that are named there need not be in the table;
 * but what was refused once need not be so any more.
 */
static int take_permanent(struct imapselected *sel, const struct imap_flags *f, struct err *e)
{
	struct keyword_view *v = sel->keywords;

	sel->has_permanent = true;
	sel->star = f->star;
	sel->permanent = f->bits | (f->star ? FLAG_FORWARDED : 0);
	if (!f->star && imapselect_flags(v, f, &sel->permanent, e) < 0)
		return -1;
	for (size_t i = 0; v && i < f->kw.n; i++)
		v->refused &= ~keywords_find(v->table, f->kw.a[i]);
	return 0;
}

/* The codes of an untagged OK. */
static int take_code(struct imapselected *sel, const struct imap_code *code, struct err *e)
{
	switch (code->kind) {
	case IMAP_CODE_UIDVALIDITY:
		sel->validity = (uint32_t)code->num;
		break;
	case IMAP_CODE_UIDNEXT:
		sel->uidnext = (uint32_t)code->num;
		break;
	case IMAP_CODE_HIGHESTMODSEQ:
		sel->modseq = code->num;
		break;
	case IMAP_CODE_NOMODSEQ:
		sel->modseq = 0;
		break;
	case IMAP_CODE_MAILBOXID:
		sel->id = imapstamp_id(code->id);
		break;
	case IMAP_CODE_PERMANENTFLAGS:
		return take_permanent(sel, &code->flags, e);
	case IMAP_CODE_CLOSED:
		/* what came before it was of the other mailbox (RFC 7162 section 3.2.11) */
		*sel = (struct imapselected){ .keywords = sel->keywords };
		break;
	default:
		break;
	}
	return 0;
}

/* What comes before the end of SELECT. */
int imapselect_data(struct imapstore *t, const struct imap_resp *r, struct err *e)
{
	struct imapselected *sel = &t->sel;

	if (r->kind == IMAP_EXISTS) {
		sel->exists = r->num;
		sel->has_exists = true;
	} else if (r->kind == IMAP_FLAGS) {
		sel->known = r->flags.bits;
	} else if (r->kind == IMAP_UNTAGGED && r->cond == IMAP_OK) {
		return take_code(sel, &r->code, e);
	}
	return 0;
}

/* The OK of a SELECT. */
int imapselect_end(struct imapstore *t, struct imapfolder *f, bool write, const struct imap_resp *r,
	struct err *e)
{
	struct imapselected *sel = &t->sel;

	if (!sel->has_exists || sel->validity == 0) {
		const char *what =
			sel->has_exists ? "its UIDVALIDITY" : "how many messages it holds";

		sel->f = NULL;
		return err_set_span(e, ERR_PROTO, SPAN_BOX, "the server does not say of '%s' %s",
			f->name, what);
	}
	sel->f = f;
	sel->write = write;
	sel->read_only = r->code.kind == IMAP_CODE_READ_ONLY;
	if (!(t->conn.caps.have & IMAP_CAP_CONDSTORE))
		sel->modseq = 0;
	return 0;
}

/*
 * Flags that the mailbox can keep. EXAMINE, or one that can only be read, says that none can be
 * changed, whatever it holds.
 */
uint64_t imapselect_holds(const struct imapstore *t)
{
	const struct imapselected *sel = &t->sel;
	uint64_t holds = FLAGS_ALL;

	if (!sel->write || sel->read_only)
		holds = sel->known ? sel->known | FLAG_FORWARDED : FLAGS_ALL;
	else if (sel->has_permanent && !sel->star)
		return sel->permanent;
	else if (sel->has_permanent)
		holds = sel->permanent;
	return sel->keywords ? holds | (FLAGS_KEYWORDS & ~sel->keywords->refused) : holds;
}

/* What the box is like. */
void imapselect_info(const struct imapstore *t, struct box_info *out)
{
	const struct imapselected *sel = &t->sel;
	struct imapstamp stamp = { .validity = sel->validity,
		.uidnext = sel->uidnext,
		.messages = sel->exists,
		.modseq = sel->modseq,
		.id = t->conn.caps.have & IMAP_CAP_OBJECTID ? sel->id : 0 };

	*out = (struct box_info){ .messages = sel->exists };
	imapstamp_print(&stamp, out->stamp);
	out->validity = sel->validity;
	out->can_hold = out->can_take = imapselect_holds(t);
	out->read_only = sel->write && sel->read_only;
}

/* imap_on of a SELECT */
static int on_select(void *arg, const struct imap_resp *r, struct err *e)
{
	return imapselect_data(arg, r, e);
}

/* Send it and read its end. As imapstore_finish. */
static int ask_select(struct imapstore *t, const struct imapfolder *f, bool write,
	const struct imap_resp **r, struct err *why, struct err *e)
{
	uint32_t tag;

	if (imapsoon_flies(t))
		return err_set(e, ERR_BUG, "%s: another folder is selected", t->login.what);
	imapselect_begin(t, t->s.keywords);
	if (imapselect_send(t, f, write, &tag, e) < 0)
		return imapstore_broken(t, e);
	return imapstore_finish(t, tag, on_select, t, r, why, e);
}

/* Select; soon: by what imapsoon.c has sent, or will. 1; 0 refused (*e, SPAN_BOX); -1. */
int imapselect_soon(
	struct imapstore *t, struct imapfolder *f, bool write, bool soon, struct err *e)
{
	const struct imap_resp *r;
	struct err why = ERR_INIT;
	int rc = soon ? imapsoon_select(t, &r, &why, e) : ask_select(t, f, write, &r, &why, e);

	if (rc <= 0) {
		t->sel.f = NULL;
		if (rc == 0) {
			if (why.span == SPAN_MSG)
				why.span = SPAN_BOX;
			err_in(&why, "'%s'", f->name);
			imapstore_give(e, &why);
		}
		return rc;
	}
	return imapselect_end(t, f, write, r, e) < 0 ? -1 : 1;
}

int imapselect(struct imapstore *t, struct imapfolder *f, bool write, struct err *e)
{
	return imapselect_soon(t, f, write, false, e);
}
