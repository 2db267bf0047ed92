/*
 * Gmail's labels, which are its folders (X-GM-EXT-1). A message is one under all of them: a move to
 * the trash takes it from each. So what is to be removed from one folder, and is in others, only
 * loses that label.
 */
#include <string.h>

#include "base/log.h"
#include "mail/utf7.h"
#include "store/imapstore_p.h"

struct asking {
	const struct imapstore *t;
	struct uidset wanted;
	struct uidset alone, elsewhere; /* what was told of them */
};

/* Does a system label stand for the open folder, or for one that only shows what has a flag? */
static bool is_no_place(const struct imapstore *t, struct slice label)
{
	static const char *const views[] = { "\\Starred", "\\Flagged", "\\Important", "\\Muted" };
	static const struct {
		const char *label;
		unsigned role;
	} places[] = {
		{ "\\Sent", FOLDER_SENT },
		{ "\\Draft", FOLDER_DRAFTS },
		{ "\\Drafts", FOLDER_DRAFTS },
	};

	for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++)
		if (slice_ieqs(label, views[i]))
			return true;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (slice_ieqs(label, places[i].label))
			return t->box->attrs & places[i].role;
	return slice_ieqs(label, "\\Inbox") && strcmp(t->box->name, "INBOX") == 0;
}

/*
 * Is it the label of another folder? Gmail leaves out that of the open one; others may not, and may
 * spell it as in a LIST before UTF8=ACCEPT. One that nobody knows counts: its message is then only
 * removed from the open folder.
 */
static bool is_other(const struct imapstore *t, struct slice label)
{
	struct strbuf name = STRBUF_INIT(2 * IMAPNAME_WIRE_MAX);
	struct err why = ERR_INIT;
	bool other;

	if (label.n == 0)
		return false;
	if (label.p[0] == '\\')
		return !is_no_place(t, label);
	other = !slice_eqs(label, t->box->wire) && !slice_eqs(label, t->box->name);
	if (other && utf7_decode(label, &name, &why) == 0)
		other = !slice_eqs(strbuf_slice(&name), t->box->name);
	strbuf_release(&name);
	return other;
}

/* imap_on */
static int on_labels(void *arg, const struct imap_resp *r, struct err *e)
{
	struct asking *w = arg;
	const struct imap_fetch *f = &r->fetch;
	bool alone = true;

	if (r->kind != IMAP_FETCH || !(f->has & IMAP_HAS_UID) || !(f->has & IMAP_HAS_GM_LABELS) ||
		!uidset_has(&w->wanted, f->uid))
		return 0;
	for (size_t i = 0; alone && i < f->gm_labels.n; i++)
		alone = !is_other(w->t, f->gm_labels.a[i]);
	return uidset_add(alone ? &w->alone : &w->elsewhere, f->uid, e);
}

/* Those that are in other folders come first, with those of which nobody knows. */
int imaplabels_sort(
	struct imapstore *t, struct flag_change *c, size_t n, size_t *elsewhere, struct err *e)
{
	struct asking w = { .t = t,
		.wanted = UIDSET_INIT,
		.alone = UIDSET_INIT,
		.elsewhere = UIDSET_INIT };
	struct imapuids ask = {
		.uids = &w.wanted, .items = "(UID X-GM-LABELS)", .on = on_labels, .arg = &w
	};
	int rc = 0;

	*elsewhere = 0;
	if (!(t->conn.caps.have & IMAP_CAP_GMAIL) || t->box->attrs & (FOLDER_TRASH | FOLDER_JUNK))
		return 0;
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = uidset_add(&w.wanted, (uint32_t)c[i].num, e);
	if (rc == 0)
		rc = imapuids_ask(t, &ask, e);
	if (rc == 0)
		rc = uidset_subtract(&w.alone, &w.elsewhere, e);
	if (ask.refused)
		log_debug("%s: the labels in '%s' are not told", t->login.what, t->box->name);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct flag_change x = c[i];

		if (uidset_has(&w.alone, (uint32_t)x.num))
			continue;
		c[i] = c[*elsewhere];
		c[(*elsewhere)++] = x;
	}
	uidset_release(&w.wanted);
	uidset_release(&w.alone);
	uidset_release(&w.elsewhere);
	return rc;
}
