/* The folders of an IMAP account: which are known, making and removing them. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "store/imapstore_p.h"

static void free_folder(struct imapfolder *f)
{
	if (f) {
		free(f->name);
		free(f->wire);
	}
	free(f);
}

void imaptree_release(struct imapstore *t)
{
	for (size_t i = 0; i < t->folders.n; i++)
		free_folder(t->folders.a[i]);
	vec_release(&t->folders);
}

/* Where a name stands, or would. */
size_t imaptree_place(const struct imapstore *t, const char *name, bool *there)
{
	size_t lo = 0, hi = t->folders.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(t->folders.a[mid]->name, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*there = lo < t->folders.n && strcmp(t->folders.a[lo]->name, name) == 0;
	return lo;
}

/* Know a folder; takes both strings in any case. */
struct imapfolder *imaptree_add(
	struct imapstore *t, size_t at, char *name, char *wire, struct err *e)
{
	struct imapfolder *f = calloc(1, sizeof(*f));

	if (!f || !name || !wire || vec_push(&t->folders, f) < 0) {
		free(f);
		free(name);
		free(wire);
		err_set(e, ERR_LOCAL, "out of memory");
		return NULL;
	}
	f->name = name;
	f->wire = wire;
	memmove(&t->folders.a[at + 1], &t->folders.a[at], (t->folders.n - 1 - at) * sizeof(f));
	t->folders.a[at] = f;
	return f;
}

int imaptree_find(struct imapstore *t, const char *name, struct imapfolder **out, struct err *e)
{
	bool there;
	size_t at = imaptree_place(t, name, &there);
	char *wire;

	if (!there && !t->listed && strcmp(name, "INBOX") != 0) {
		if (imaplist(t, false, e) < 0)
			return -1;
		at = imaptree_place(t, name, &there);
	}
	if (!there) {
		wire = imapname_wire(t, name, e);
		*out = wire ? imaptree_add(t, at, strdup(name), wire, e) : NULL;
		return *out ? 0 : -1;
	}
	*out = t->folders.a[at];
	return 0;
}

/* List with stamps. The link is dialled for it, if need be: the commands leave with the login where they can. */
static int list(struct imapstore *t, struct err *e)
{
	struct err why = ERR_INIT;
	bool flew, look;
	int rc;

	t->ahead.wanted = true;
	rc = imapstore_ready(t, e);
	t->ahead.wanted = false;
	if (rc < 0)
		return -1;
	flew = t->ahead.n > 0;
	rc = imaplist(t, true, &why);
	look = t->ahead.look;
	if (rc < 0 && (flew || (look && why.kind != ERR_TIMEOUT)) && why.kind != ERR_CANCEL && why.kind != ERR_LOCAL) {
		/* the server has taken the login, and stumbled over what stood behind it, or behind LIST, or refused it: perhaps what came before LIST as well */
		t->conn.dead = true;
		log_debug("%s: %s: once more, waiting for each answer", t->login.what, why.text);
		if (t->s.foreseen)
			t->s.foreseen->asked = false;
		t->s.foreseen = NULL;
		if (flew)
			t->login.remembered->flies = IMAP_FLIES_NO;
		if (imapstore_ready(t, e) < 0)
			return -1;
		err_clear(&why);
		rc = imaplist(t, true, &why);
	}
	if (rc == 0)
		return 0;
	imapstore_give(e, &why);
	return imapstore_fail(t, e);
}

/* store_ops.folders */
int imaptree_folders(struct store *s,
	int (*cb)(void *arg, const struct folder_info *f, struct err *e), void *arg, struct err *e)
{
	struct imapstore *t = imapstore_of(s);

	if (list(t, e) < 0)
		return -1;
	for (size_t i = 0; i < t->folders.n; i++) {
		const struct imapfolder *f = t->folders.a[i];
		struct folder_info info = { .name = f->name,
			.attrs = f->attrs,
			.messages = f->status ? f->stamp.messages : UINT64_MAX,
			.bytes = f->bytes };

		if (!f->listed)
			continue;
		if (f->stamp.validity != 0)
			imapstamp_print(&f->stamp, info.stamp);
		if (cb(arg, &info, e) < 0)
			return -1;
	}
	return 0;
}

/* ---- making, removing and renaming ---- */

/* Send a command about a mailbox, or two (to: else NULL). 1; 0 refused (*why; *none: because it is not there); -1. */
static int tell_two(struct imapstore *t, const char *verb, const char *wire, const char *to, const char *rest,
	imap_on *on, void *arg, bool *none, struct err *why, struct err *e)
{
	const struct imap_resp *r;
	uint32_t tag;
	int rc;

	imap_start(&t->conn);
	imap_put(&t->conn, "%s ", verb);
	imap_astring(&t->conn, slice_str(wire));
	if (to) {
		imap_put(&t->conn, " ");
		imap_astring(&t->conn, slice_str(to));
	}
	imap_put(&t->conn, "%s", rest);
	if (imap_end(&t->conn, &tag, e) < 0)
		return imapstore_broken(t, e);
	rc = imapstore_finish(t, tag, on, arg, &r, why, e);
	if (none)
		*none = rc == 0 && r->code.kind == IMAP_CODE_NONEXISTENT;
	return rc;
}

static int tell(struct imapstore *t, const char *verb, const char *wire, const char *rest,
	imap_on *on, void *arg, bool *none, struct err *why, struct err *e)
{
	return tell_two(t, verb, wire, NULL, rest, on, arg, none, why, e);
}

/* What CREATE is told of a role (RFC 6154 section 3). */
static const char *use_of(const struct imapstore *t, unsigned attrs)
{
	static const struct {
		unsigned attr;
		const char *use;
	} roles[] = {
		{ FOLDER_ALL, " (USE (\\All))" },
		{ FOLDER_ARCHIVE, " (USE (\\Archive))" },
		{ FOLDER_DRAFTS, " (USE (\\Drafts))" },
		{ FOLDER_FLAGGED, " (USE (\\Flagged))" },
		{ FOLDER_JUNK, " (USE (\\Junk))" },
		{ FOLDER_SENT, " (USE (\\Sent))" },
		{ FOLDER_TRASH, " (USE (\\Trash))" },
	};

	if (t->conn.caps.have & IMAP_CAP_CREATE_SPECIAL)
		for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
			if (attrs & roles[i].attr)
				return roles[i].use;
	return "";
}

/* The levels above it, as far as the server lets them be made. */
static int create_above(struct imapstore *t, const char *wire, struct err *e)
{
	char *above = strdup(wire);
	size_t first = strlen(t->prefix);
	int rc = 0;

	if (!above)
		return err_set(e, ERR_LOCAL, "out of memory");
	for (size_t i = first + 1; rc >= 0 && t->sep != '\0' && wire[i]; i++) {
		struct err why = ERR_INIT;

		if (wire[i] != t->sep)
			continue;
		above[i] = '\0';
		rc = tell(t, "CREATE", above, "", NULL, NULL, NULL, &why, e);
		above[i] = t->sep;
	}
	free(above);
	return rc < 0 ? -1 : 0;
}

/* imap_on of a STATUS that asks for MESSAGES */
static int on_count(void *arg, const struct imap_resp *r, struct err *e)
{
	uint64_t *count = arg;

	(void)e;
	if (r->kind == IMAP_STATUS && r->status.has & IMAP_HAS_MESSAGES)
		*count = r->status.messages;
	return 0;
}

/* It is there, though the list did not show it, and may hold (count: UINT64_MAX if nobody says) what was not looked at: that may be what is about to be put there. */
static int is_filled(const struct imapfolder *f, uint64_t count, struct err *e)
{
	if (count == UINT64_MAX)
		err_set_span(e, ERR_TEMP, SPAN_BOX, "'%s' is there already, though the list of folders did not show it, and STATUS does not say what it holds: nothing is put there", f->name);
	else
		err_set_span(e, ERR_TEMP, SPAN_BOX, "'%s' is there already, with %" PRIu64 " messages, though the list of folders did not show it: nothing is put there", f->name, count);
	return err_hint(e, "the next run looks at it, if the server lists it then");
}

/* Make it, and subscribe. */
int imaptree_create(struct imapstore *t, struct imapfolder *f, unsigned attrs, struct err *e)
{
	uint64_t count = UINT64_MAX;
	const char *use = use_of(t, attrs);
	struct err why = ERR_INIT, other = ERR_INIT;
	int there = 0, rc = tell(t, "CREATE", f->wire, use, NULL, NULL, NULL, &why, e);

	if (rc == 0 && why.span != SPAN_ACCT && *use)
		rc = tell(t, "CREATE", f->wire, "", NULL, NULL, NULL, &why, e);
	if (rc == 0 && why.span != SPAN_ACCT) /* is it there already? */
		rc = there = tell(t, "STATUS", f->wire, " (UIDVALIDITY MESSAGES)", on_count, &count, NULL, &other, e);
	if (there > 0 && count > 0 && attrs & FOLDER_NEW)
		return is_filled(f, count, e);
	if (rc == 0 && why.span != SPAN_ACCT) {
		if (create_above(t, f->wire, e) < 0)
			return -1;
		rc = tell(t, "CREATE", f->wire, "", NULL, NULL, NULL, &why, e);
	}
	if (rc == 0) {
		if (why.span == SPAN_MSG)
			why.span = SPAN_BOX;
		imapstore_give(e, &why);
		return err_in(e, "'%s' can't be made", f->name);
	}
	if (rc < 0)
		return -1;
	f->listed = true;
	f->attrs = (attrs & FOLDER_ROLES) | FOLDER_SUBSCRIBED;
	return tell(t, "SUBSCRIBE", f->wire, "", NULL, NULL, NULL, &other, e) < 0 ? -1 : 0;
}

/* store_ops.folder_create */
int imaptree_folder_create(struct store *s, const char *folder, unsigned attrs, struct err *e)
{
	struct imapstore *t = imapstore_of(s);
	struct imapfolder *f;

	if (imapstore_ready(t, e) < 0)
		return -1;
	if (imaptree_find(t, folder, &f, e) < 0)
		return imapstore_fail(t, e);
	if (f->listed && !(f->attrs & FOLDER_NO_SELECT))
		return 0;
	return imaptree_create(t, f, attrs, e) < 0 ? imapstore_fail(t, e) : 0;
}

/* Have it not be selected any more, and what others marked in it not removed by that. */
static int let_go(struct imapstore *t, struct imapfolder *f, struct err *e)
{
	struct err why = ERR_INIT;
	uint32_t tag;
	int rc = 1;

	if (t->sel.f != f)
		return 0;
	t->box = NULL;
	if (!(t->conn.caps.have & IMAP_CAP_UNSELECT)) {
		rc = imapselect(t, f, false, e); /* CLOSE after EXAMINE removes nothing */
		if (rc <= 0)
			return rc;
	}
	t->sel.f = NULL;
	if (imap_send(&t->conn, &tag, e, "%s",
		    t->conn.caps.have & IMAP_CAP_UNSELECT ? "UNSELECT" : "CLOSE") < 0)
		return imapstore_broken(t, e);
	rc = imapstore_finish(t, tag, NULL, NULL, NULL, &why, e);
	return rc < 0 ? -1 : 0;
}

/* It stays, and why. */
static int not_removed(const struct imapfolder *f, struct err *why, struct err *e)
{
	if (why->span == SPAN_MSG)
		why->span = SPAN_BOX;
	imapstore_give(e, why);
	return err_in(e, "'%s' is not removed", f->name);
}

/* Remove it, if it holds no more than is expected. */
static int remove_folder(
	struct imapstore *t, struct imapfolder *f, uint64_t expected, struct err *e)
{
	struct err why = ERR_INIT, other = ERR_INIT;
	uint64_t count = UINT64_MAX;
	bool none = false;
	int rc;

	if (strcmp(f->name, "INBOX") == 0)
		return err_set_span(e, ERR_REFUSED, SPAN_BOX, "INBOX is never removed");
	if (let_go(t, f, e) < 0)
		return -1;
	if (!(f->attrs & FOLDER_NO_SELECT)) {
		rc = tell(t, "STATUS", f->wire, " (MESSAGES)", on_count, &count, &none, &why, e);
		if (rc < 0)
			return -1;
		if (rc > 0 && count == UINT64_MAX)
			err_set_span(&why, ERR_PROTO, SPAN_BOX, "STATUS does not say what it holds");
		else if (rc > 0 && count > expected)
			err_set_span(&why, ERR_REFUSED, SPAN_BOX, "it holds %" PRIu64
				" messages where %" PRIu64 " were expected", count, expected);
		if (why.kind != ERR_NONE && !none)
			return not_removed(f, &why, e);
	}
	if (tell(t, "UNSUBSCRIBE", f->wire, "", NULL, NULL, NULL, &other, e) < 0)
		return -1;
	rc = tell(t, "DELETE", f->wire, "", NULL, NULL, &none, &why, e);
	/* A server may remove a level by itself, once what was below it is gone. */
	if (rc == 0 && !none)
		return not_removed(f, &why, e);
	if (rc < 0)
		return -1;
	f->listed = false;
	f->looked = 0;
	return 0;
}

/* store_ops.folder_remove */
int imaptree_folder_remove(struct store *s, const char *folder, uint64_t expected, struct err *e)
{
	struct imapstore *t = imapstore_of(s);
	struct imapfolder *f;

	if (imapstore_ready(t, e) < 0)
		return -1;
	if (imaptree_find(t, folder, &f, e) < 0)
		return imapstore_fail(t, e);
	if (t->listed && !f->listed)
		return 0;
	return remove_folder(t, f, expected, e) < 0 ? imapstore_fail(t, e) : 0;
}

/* Subscribe to a folder by its new name, if it was by the old one. */
static int resubscribe(struct imapstore *t, const struct imapfolder *f, const char *wire, struct err *e)
{
	struct err why = ERR_INIT;

	if (!(f->attrs & FOLDER_SUBSCRIBED))
		return 0;
	if (tell(t, "UNSUBSCRIBE", f->wire, "", NULL, NULL, NULL, &why, e) < 0)
		return -1;
	return tell(t, "SUBSCRIBE", wire, "", NULL, NULL, NULL, &why, e) < 0 ? -1 : 0;
}

/* What is below it has another name now, too (RFC 3501 section 6.3.5), which no subscription knows. */
static int rename_below(struct imapstore *t, const struct imapfolder *f, const char *wire, struct err *e)
{
	const size_t n = strlen(f->wire);
	int rc = 0;

	for (size_t i = 0; rc == 0 && t->sep != '\0' && i < t->folders.n; i++) {
		struct imapfolder *x = t->folders.a[i];
		struct strbuf name = STRBUF_INIT(IMAPNAME_WIRE_MAX);

		if (!x->listed || strncmp(x->wire, f->wire, n) != 0 || x->wire[n] != t->sep)
			continue;
		x->listed = false;
		x->looked = 0;
		if (strbuf_puts(&name, wire) == 0 && strbuf_puts(&name, x->wire + n) == 0)
			rc = resubscribe(t, x, name.s, e);
		strbuf_release(&name);
	}
	return rc;
}

/* Rename it, with what is below it, and what is subscribed. */
static int rename_folder(struct imapstore *t, struct imapfolder *f, struct imapfolder *to, struct err *e)
{
	struct err why = ERR_INIT;
	int rc;

	if (let_go(t, f, e) < 0)
		return -1;
	rc = tell_two(t, "RENAME", f->wire, to->wire, "", NULL, NULL, NULL, &why, e);
	if (rc == 0 && why.span != SPAN_ACCT) {
		if (create_above(t, to->wire, e) < 0)
			return -1;
		rc = tell_two(t, "RENAME", f->wire, to->wire, "", NULL, NULL, NULL, &why, e);
	}
	if (rc == 0) {
		if (why.span == SPAN_MSG)
			why.span = SPAN_BOX;
		imapstore_give(e, &why);
		return err_in(e, "'%s' is not renamed to '%s'", f->name, to->name);
	}
	if (rc < 0 || resubscribe(t, f, to->wire, e) < 0)
		return -1;
	to->attrs = f->attrs;
	to->listed = true;
	to->looked = f->looked = 0;
	f->listed = false;
	return rename_below(t, f, to->wire, e);
}

/* store_ops.folder_rename */
int imaptree_folder_rename(struct store *s, const char *from, const char *to, struct err *e)
{
	struct imapstore *t = imapstore_of(s);
	struct imapfolder *f, *dest;

	if (strcmp(from, "INBOX") == 0 || strcmp(to, "INBOX") == 0)
		return err_set_span(e, ERR_REFUSED, SPAN_BOX, "INBOX keeps its name");
	if (imapstore_ready(t, e) < 0)
		return -1;
	if (imaptree_find(t, from, &f, e) < 0 || imaptree_find(t, to, &dest, e) < 0 || rename_folder(t, f, dest, e) < 0)
		return imapstore_fail(t, e);
	return 0;
}
