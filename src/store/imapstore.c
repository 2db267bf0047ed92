/* An IMAP account as a store: the link, flights of commands, the open box. See imapstore.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "store/imaptake_p.h"

#define COMPRESS_GLANCE (256u << 10) /* bytes by which a fast link shows: some may have waited for us */
#define COMPRESS_FROM (384u << 10)  /* and a slow one */
#define COMPRESS_WORTH (512u << 10) /* to follow: or it's not worth it */
#define COMPRESS_BELOW 10000        /* bytes in a millisecond: a faster link is not the bottleneck */

/* The store behind its interface. */
struct imapstore *imapstore_of(struct store *s)
{
	return (struct imapstore *)s;
}

/* The UID that a key is. */
bool imapstore_uid(struct slice key, uint32_t *uid)
{
	uint64_t n;

	if (!slice_u64(key, UINT32_MAX, &n) || n == 0)
		return false;
	*uid = (uint32_t)n;
	return true;
}

/* ---- the link ---- */

/* Put the account's name in front of what costs more than a message. */
int imapstore_fail(struct imapstore *t, struct err *e)
{
	return e && e->span != SPAN_MSG ? err_in(e, "%s", t->login.what) : -1;
}

/* Forget what hung on a link that is lost. */
static void forget(struct imapstore *t)
{
	imaplook_drop(t);
	imaptake_drop(t);
	imapsoon_drop(t);
	imapident_drop(t);
	imapput_lost(t);
	t->sel.f = NULL;
	t->box = NULL;
	t->compress_asked = false;
	uidset_clear(&t->marked);
}

/* After an error. */
int imapstore_broken(struct imapstore *t, struct err *e)
{
	if (t->conn.dead) {
		forget(t);
		if (e)
			e->span = SPAN_ACCT;
	}
	return -1;
}

static bool may_compress(const struct imapstore *t, uint64_t ahead)
{
	return t->p->compress && !t->compress_asked && !t->conn.compressed &&
		t->conn.caps.have & IMAP_CAP_COMPRESS && ahead >= COMPRESS_WORTH;
}

int imapstore_compress(
	struct imapstore *t, uint64_t bytes, msec_t took, uint64_t ahead, struct err *e)
{
	if (!may_compress(t, ahead) || bytes < COMPRESS_FROM || bytes > (uint64_t)took * COMPRESS_BELOW)
		return 0;
	if (imap_flying(&t->conn) > 0)
		return 1;
	t->compress_asked = true;
	return imap_compress(&t->conn, &t->login.dial, e) < 0 ? -1 : 0;
}

bool imapstore_enough(
	const struct imapstore *t, uint64_t bytes, msec_t took, uint64_t coming, uint64_t ahead)
{
	const bool fast = bytes >= COMPRESS_GLANCE && bytes > (uint64_t)took * COMPRESS_BELOW;

	return coming > 0 && !fast && bytes + coming >= COMPRESS_FROM && may_compress(t, ahead);
}

/* Close the link, with a word of farewell where it is of use. */
static void hang_up(struct imapstore *t)
{
	if (!t->up)
		return;
	if (!t->conn.dead && imap_flying(&t->conn) == 0)
		imap_bye(&t->conn);
	else
		imap_close(&t->conn);
	t->up = false;
	forget(t);
}

/* Dial and log in. */
static int dial_in(struct imapstore *t, struct err *e)
{
	hang_up(t);
	memset(&t->conn, 0, sizeof(t->conn));
	t->ahead = (struct imapahead){ .wanted = t->ahead.wanted };
	if (imap_login(&t->conn, &t->login, t->stats, e) < 0)
		return -1;
	t->up = true;
	if (!t->conn.flew) {
		imaplook_drop(t);
		t->ahead = (struct imapahead){ .wanted = t->ahead.wanted };
	}
	return 0;
}

/* Nothing but what login left is in flight. */
static int settle(struct imapstore *t, struct err *e)
{
	if (imapput_settle(t, e) < 0 || imaplook_settle(t, e) < 0 || imaptake_settle(t, e) < 0)
		return -1;
	return 0;
}

/* The link stands, and quiet has read what is in flight. */
static int ready(
	struct imapstore *t, int (*quiet)(struct imapstore *t, struct err *e), struct err *e)
{
	struct err why = ERR_INIT;

	if (t->up && !t->conn.dead && quiet(t, &why) == 0)
		return 0;
	if (why.kind != ERR_NONE && !t->conn.dead) {
		imapstore_give(e, &why);
		return imapstore_fail(t, e);
	}
	if (why.kind == ERR_CANCEL) {
		imapstore_give(e, &why);
		return -1;
	}
	return dial_in(t, e);
}

/* Nothing but what login left is in flight. */
int imapstore_ready(struct imapstore *t, struct err *e)
{
	return ready(t, settle, e);
}

/* The open box can be used. */
int imapstore_need_box(struct imapstore *t, bool write, struct err *e)
{
	if (t->up && t->conn.dead) {
		err_set(e, ERR_TEMP, "the connection is lost");
		return imapstore_fail(t, e);
	}
	if (!t->box)
		return err_set(e, ERR_BUG, "%s: no box is open", t->login.what);
	if (settle(t, e) < 0)
		return imapstore_fail(t, e);
	if (t->sel.f != t->box && imapstore_select_again(t, e) < 0)
		return imapstore_fail(t, e);
	if (write && (!t->sel.write || t->sel.read_only))
		return err_set_span(e, ERR_REFUSED, SPAN_BOX, "%s: '%s' can only be read",
			t->login.what, t->box->name);
	return 0;
}

/* Nobody knows any more which folder an answer is about. */
int imapstore_disorder(struct imapstore *t, struct err *e)
{
	t->conn.dead = true;
	err_set(e, ERR_PROTO, "the server answers in another order than it was asked");
	return imapstore_broken(t, e);
}

/* What the server wants a person to read. */
static void tell_alert(void *arg, const char *text)
{
	struct imapstore *t = arg;

	log_warn("%s: the server says: \"%s\"", t->login.what, text);
}

/* ---- commands ---- */

/* The end of a command in a flight. */
static int flight_end(struct imapstore *t, const struct imapstore_flight *f, uint32_t first,
	uint32_t tag, const struct imap_resp *r, const struct err *why, struct err *e)
{
	size_t i = tag - first;

	if (imaplook_is_early(t) && i >= f->n)
		return imapstore_disorder(t, e);
	if (i < f->n)
		return f->end(t, f->arg, i, r, why, e);
	i -= f->n;
	if (f->along && i < f->along->n)
		return f->along->end(t, f->along->arg, i, r, why, e);
	return 0; /* not of this flight */
}

static int flight_send(struct imapstore *t, const struct imapstore_flight *f, size_t i, uint32_t *tag, struct err *e)
{
	return i < f->n ? f->send(t, f->arg, i, tag, e) : f->along->send(t, f->along->arg, i - f->n, tag, e);
}

static int flight_data(struct imapstore *t, const struct imapstore_flight *f, const struct imap_resp *r, struct err *e)
{
	int rc = f->data ? f->data(t, f->arg, r, e) : 0;

	return rc == 0 && f->along ? f->along->data(t, f->along->arg, r, e) : rc;
}

/* Several commands, pipelined. */
int imapstore_fly(struct imapstore *t, const struct imapstore_flight *f, struct err *e)
{
	struct imap_conn *c = &t->conn;
	uint32_t first = f->first, tag;
	const size_t n = f->n + (f->along ? f->along->n : 0);
	size_t sent = f->sent, ended = 0;
	bool stop = false;

	if (imapsoon_flies(t))
		return err_set(e, ERR_BUG, "%s: another folder is selected", t->login.what);
	while (ended < sent || (sent < n && !stop)) {
		const struct imap_resp *r = NULL;
		struct err why = ERR_INIT, second = ERR_INIT;
		enum imap_event ev;
		int rc = 0;

		if (sent < n && !stop && imap_may_send(c)) {
			if (flight_send(t, f, sent, &tag, e) < 0) {
				if (c->dead)
					return imapstore_broken(t, e);
				stop = true;
				continue;
			}
			if (sent++ == 0)
				first = tag;
			continue;
		}
		ev = imap_next(c, &tag, &r, &why);
		if (ev == IMAP_LOST) {
			if (!stop)
				imapstore_give(e, &why);
			return imapstore_broken(t, stop ? NULL : e);
		}
		rc = imapput_hear(t, ev, tag, r, &why, &second);
		if (rc > 0) {
			rc = 0;
		} else if (rc == 0 && ev == IMAP_DATA) {
			rc = flight_data(t, f, r, &second);
		} else if (rc == 0) {
			ended++;
			rc = flight_end(t, f, first, tag, ev == IMAP_DONE ? r : NULL,
				ev == IMAP_DONE ? NULL : &why, &second);
		}
		if (rc < 0 && !stop) {
			stop = true;
			imapstore_give(e, &second);
			if (c->dead)
				return imapstore_broken(t, e);
		}
	}
	return stop ? -1 : 0;
}

/* One command, read to its end. */
int imapstore_finish(struct imapstore *t, uint32_t tag, imap_on *on, void *arg,
	const struct imap_resp **r, struct err *why, struct err *e)
{
	struct err scratch = ERR_INIT;
	int rc = imap_finish(&t->conn, tag, on, arg, r, &scratch);

	if (rc > 0)
		return rc;
	if (rc == 0) {
		*why = scratch;
		return 0;
	}
	imapstore_give(e, &scratch);
	return imapstore_broken(t, e);
}

/* The open box is not selected any more. */
int imapstore_select_again(struct imapstore *t, struct err *e)
{
	struct imapfolder *f = t->box;
	int rc = imapselect(t, f, t->write, e);

	if (rc > 0 && t->sel.validity == f->looked)
		return 0;
	t->box = NULL;
	return rc <= 0 ? -1
		       : err_set_span(e, ERR_TEMP, SPAN_BOX,
				 "'%s' was made anew (UIDVALIDITY) since it was opened", f->name);
}

/* Open, when the link stands and the folder is known. */
static int open_folder(struct imapstore *t, struct imapfolder *f, unsigned how, struct err *e)
{
	bool write = how & (BOX_WRITE | BOX_CREATE), soon = imapsoon_is_next(t, f->name, how);
	struct err why = ERR_INIT;
	int rc;

	if (soon && imapsoon_flies(t))
		return imapselect_soon(t, f, write, true, e) > 0 ? 0 : -1;
	if (t->sel.f == f && !t->sel.stale && t->sel.keywords == t->s.keywords && (t->sel.write || !write)) {
		return soon ? imapsoon_skip(t, e) : 0;
	}
	if (how & BOX_CREATE && t->listed && !f->listed && imaptree_create(t, f, 0, e) < 0)
		return -1;
	rc = imapselect_soon(t, f, write, soon, &why);
	if (rc == 0 && why.span == SPAN_BOX && how & BOX_CREATE && !(t->listed && !f->listed)) {
		if (imaptree_create(t, f, 0, e) < 0)
			return -1;
		rc = imapselect(t, f, write, &why);
	}
	if (rc > 0)
		return 0;
	imapstore_give(e, &why);
	return -1;
}

static void imapstore_close_box(struct store *s);

/* store_ops.open_box */
static int imapstore_open_box(
	struct store *s, const char *folder, unsigned how, struct box_info *out, struct err *e)
{
	struct imapstore *t = imapstore_of(s);
	struct err why = ERR_INIT;
	struct imapfolder *f;
	bool old = t->up && !t->conn.dead, flies;

	imapstore_close_box(s);
	*out = (struct box_info){ 0 };
	if (!*folder)
		folder = "INBOX";
	flies = imapsoon_flies(t) && imapsoon_is_next(t, folder, how);
	if (ready(t, flies ? imaptake_leave : settle, e) < 0)
		return -1;
	if (!imapsoon_is_next(t, folder, how))
		imapsoon_drop(t);
	while (imaptree_find(t, folder, &f, &why) < 0 ||
		open_folder(t, f, how, &why) < 0) {
		/* A server may have closed a link that was idle for long. */
		if (!old || !t->conn.dead || why.kind != ERR_TEMP) {
			imapstore_give(e, &why);
			return imapstore_fail(t, e);
		}
		old = false;
		if (imapstore_ready(t, e) < 0)
			return -1;
	}
	if (f->looked && f->looked != t->sel.validity) {
		err_set_span(e, ERR_TEMP, SPAN_BOX,
			"'%s' was made anew (UIDVALIDITY) since it was looked at", f->name);
		return imapstore_fail(t, e);
	}
	f->looked = t->sel.validity;
	t->box = f;
	t->write = t->sel.write;
	imapselect_info(t, out);
	return 0;
}

/*
 * store_ops.close_box: it stays selected, since the same may be opened again. CLOSE would remove
 * what others have marked.
 */
static void imapstore_close_box(struct store *s)
{
	struct imapstore *t = imapstore_of(s);

	t->box = NULL;
	uidset_clear(&t->marked);
	imapident_drop(t);
}

/* store_ops.find: the UID is all that is needed, and asking would cost a round trip for each. */
static int imapstore_find(
	struct store *s, struct slice key, uint64_t flags, struct store_msg *m, struct err *e)
{
	uint32_t uid;

	(void)s;
	(void)e;
	if (!imapstore_uid(key, &uid))
		return 0;
	*m = (struct store_msg){ .num = uid, .flags = flags };
	return 1;
}

/* store_ops.free */
static void imapstore_free(struct store *s)
{
	struct imapstore *t = imapstore_of(s);

	imapaide_free(t);
	hang_up(t);
	imaptree_release(t);
	imaplook_free(t->look);
	imaptake_free(t->take);
	imapsoon_free(t->soon);
	imapput_free(t->put);
	imapident_drop(t);
	uidset_release(&t->marked);
	digest_free(t->ids);
	free(t);
}

static const struct store_ops ops = {
	.name = "imap",
	.caps = STORE_SOURCE | STORE_TARGET | STORE_REMOTE | STORE_TREE | STORE_LATE_KEYS,
	.open_box = imapstore_open_box,
	.close_box = imapstore_close_box,
	.list_start = imaplook_list_start,
	.list_next = imaplook_list_next,
	.want = imaptake_want,
	.next = imaptake_next,
	.soon = imapsoon,
	.remove = imapmark_remove,
	.commit = imapmark_commit,
	.stage = imapput_stage,
	.unstage = imapput_unstage,
	.harden = imapput_harden,
	.publish = imapput_publish,
	.launch = imapput_launch,
	.land = imapput_land,
	.abandon = imapput_abandon,
	.recover = imapput_recover,
	.folders = imaptree_folders,
	.folder_create = imaptree_folder_create,
	.folder_remove = imaptree_folder_remove,
	.folder_rename = imaptree_folder_rename,
	.fit = imapname_fit,
	.same_box = imapstamp_same_box,
	.look = imaplook_look,
	.look_box = imaplook_box,
	.look_next = imaplook_next,
	.find = imapstore_find,
	.idents = imapident,
	.idents_soon = imapident_soon,
	.move = imapmove,
	.copy = imapmove_copy,
	.set_flags = imapmark_set_flags,
	.restore = store_cannot_restore,
	.listen = imaplisten,
	.free = imapstore_free,
};

/* Make the store. */
struct store *imapstore_new(const struct imapstore_params *p, struct err *e)
{
	struct imapstore *t = calloc(1, sizeof(*t));

	if (!t) {
		err_set(e, ERR_LOCAL, "out of memory");
		return NULL;
	}
	t->s.ops = &ops;
	t->p = p;
	t->stats = &t->s.stats;
	t->login = p->imap;
	if (!t->login.what)
		t->login.what = "imap";
	if (!t->login.remembered)
		t->login.remembered = &t->remembered;
	if (!t->login.alert) {
		t->login.alert = tell_alert;
		t->login.arg = t;
	}
	t->login.first = imaplist_first;
	t->login.first_arg = t;
	t->login.enable |= IMAP_CAP_QRESYNC | IMAP_CAP_CONDSTORE | IMAP_CAP_UTF8_ACCEPT;
	return &t->s;
}
