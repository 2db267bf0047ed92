/* Messages of one folder are brought to another: they are delivered there as any message is, with the From_ line and the notes that they have here. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "store/mbox_p.h"

#define FROM_LINE_MAX 1000
#define TRIES 4

/* A From_ line's text; NULL: it is too long to be of any use. */
static const char *from_of(struct mbox *m, const struct mboxread_msg *at, char buf[FROM_LINE_MAX], struct err *e)
{
	size_t n = (size_t)(at->head - at->start);

	if (n < 6 || n >= FROM_LINE_MAX)
		return "MAILER-DAEMON Thu Jan  1 00:00:01 1970";
	if (fs_pread_all(m->fd, buf, n, at->start, m->path, e) < 0)
		return NULL;
	while (n > 5 && (buf[n - 1] == '\n' || buf[n - 1] == '\r'))
		n--;
	buf[n] = '\0';
	return buf + 5;
}

/* Stage one message there; m->fd is the file here. */
static int bring(struct mbox *m, struct mbox *to, size_t i, uint64_t lose, struct staged *st, struct err *e)
{
	const struct mboxread_msg *at = &m->index.a.a[i].at;
	struct strbuf text = STRBUF_INIT(MBOXNOTES_MAX), kept = STRBUF_INIT(MBOXNOTES_MAX);
	struct store_meta meta = { .received = at->date, .date = at->date };
	struct mbox_as as = { .from = NULL };
	char buf[FROM_LINE_MAX];
	struct stream *body = NULL;
	int rc = mbox_notes_of(m, at, as.note, &text, e);

	as.from = rc == 0 ? from_of(m, at, buf, e) : NULL;
	rc = as.from ? 0 : -1;
	if (rc == 0 && lose) {
		rc = mboxnotes_change(NOTE_XSTATUS, as.note[NOTE_XSTATUS], 0, lose, NULL, &kept) < 0 ? err_set(e, ERR_LOCAL, "out of memory") : 0;
		as.note[NOTE_XSTATUS] = strbuf_slice(&kept);
	}
	if (rc == 0)
		body = mbox_body_new(m, i, e);
	if (body) {
		to->as = &as;
		rc = mbox_stage(&to->store, body, &meta, st, e);
		to->as = NULL;
	}
	stream_free(body);
	strbuf_release(&text);
	strbuf_release(&kept);
	return body ? rc : -1;
}

/* Whether the file is what the index says. */
static bool is_as_known(struct mbox *m)
{
	struct stat st;

	return stat(m->path, &st) == 0 && mbox_index_is(m, &st);
}

/* Stage all; how many were there. -1; -2 the file was changed meanwhile. */
static ssize_t bring_all(struct mbox *m, struct mbox *to, const uint64_t *nums, size_t n, uint64_t lose, struct staged *st, struct mbox_arrival *out, struct err *e)
{
	struct err why = ERR_INIT;
	size_t k = 0;
	int rc = mbox_index_now(m, e);

	if (rc < 0)
		return -1;
	m->fd = mbox_open_named(m->path, O_RDONLY);
	if (m->fd < 0)
		return err_errno(e, "can't open %s", m->path);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		out[i] = (struct mbox_arrival){ .num = nums[i], .staged = SIZE_MAX };
		if (m->index.a.a[nums[i] - 1].gone)
			continue;
		out[i].staged = k;
		rc = bring(m, to, (size_t)nums[i] - 1, lose, &st[k++], &why);
	}
	mbox_let_go(m);
	if (is_as_known(m)) {
		if (rc < 0 && e)
			*e = why;
		return rc < 0 ? -1 : (ssize_t)k;
	}
	return why.kind == ERR_CANCEL ? err_set(e, ERR_CANCEL, "%s", why.text) : -2;
}

/* The other folder's own object, whose box is opened. */
static struct mbox *open_other(struct mbox *m, const char *folder, bool create, struct err *e)
{
	const struct mbox_params p = { .path = m->root, .variant = m->variant, .lock = m->lock_params };
	struct box_info info;
	struct store *s = m->other ? &m->other->store : mbox_new(&p, e);

	if (!s)
		return NULL;
	m->other = mbox_of(s);
	return s->ops->open_box(s, folder, BOX_WRITE | (create ? BOX_CREATE : 0), &info, e) < 0 ? NULL : m->other;
}

int mbox_copy_to(struct mbox *m, const uint64_t *nums, size_t n, const char *folder, bool create, uint64_t lose, struct mbox_arrival *out, struct err *e)
{
	struct mbox *to = open_other(m, folder, create, e);
	struct staged *st = calloc(n > 0 ? n : 1, sizeof(*st));
	ssize_t k = -2;
	size_t at;
	int rc = to ? 0 : -1;

	if (rc == 0 && !st)
		rc = err_set(e, ERR_LOCAL, "out of memory");
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = mbox_entry_of(m, nums[i], &at, e);
	for (int i = 0; rc == 0 && n > 0 && k == -2 && i < TRIES; i++) {
		mbox_abandon(&to->store);
		k = bring_all(m, to, nums, n, lose, st, out, e);
	}
	if (rc == 0 && k < 0 && n > 0)
		rc = k == -1 ? -1 : err_set(e, ERR_TEMP, "%s is changed again and again while messages are moved", m->path);
	if (rc == 0 && k > 0 && (mbox_harden(&to->store, st, (size_t)k, e) < 0 || mbox_publish(&to->store, st, (size_t)k, e) < 0))
		rc = -1;
	for (size_t i = 0; rc == 0 && i < n; i++)
		if (out[i].staged != SIZE_MAX)
			memcpy(out[i].key, st[out[i].staged].key, sizeof(out[i].key));
	if (to)
		mbox_close(&to->store);
	free(st);
	return rc;
}

/* store_ops.restore: what was kept was another side's, which was a Maildir then. */
int mbox_restore(struct store *s, const struct quarantine_box *from, int64_t run,
		 void (*done)(void *arg, struct slice key, uint64_t size, const struct err *why), void *arg, struct err *e)
{
	(void)from;
	(void)run;
	(void)done;
	(void)arg;
	return err_set_span(e, ERR_CONF, SPAN_BOX, "%s is an mbox: what was kept of a Maildir can't be put back into it", mbox_of(s)->root);
}
