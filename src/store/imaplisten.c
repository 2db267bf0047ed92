/*
 * Waiting for changes on a server: by NOTIFY, which tells of all folders on one connection; else by IDLE, on a connection for each folder that it is wanted of; and by asking, at intervals, for the STATUS of
 * those of which nobody tells. The inbox is selected and waited for with NOTIFY as well: servers see what others deliver there past them, but not always in a folder that isn't selected.
 * Whenever a wait is begun anew, the whole list is looked at, should something have been lost.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "store/imaplisten_p.h"

#define PAUSE_MS 60000 /* before one of the further connections is tried again; doubled each time */
#define PAUSE_MAX_MS 1800000
#define FRESH_MS 1000 /* what was asked for no longer ago than that is what it is now */

static struct imaplisten *listen_of(struct listener *l)
{
	return (struct imaplisten *)l;
}

/* ---- lines ---- */

/* The account's name in front, where it isn't there yet. */
static int fail(struct imaplisten *l, struct err *e)
{
	const struct imapstore *t = l->line[0].t;

	return t && e && !strncmp(e->text, t->login.what, strlen(t->login.what)) ? -1 : t ? err_in(e, "%s", t->login.what) : -1;
}

/* Why a line could not be had, without the account's name: how() is about this account. */
static void keep_why(struct imaplisten *l, const struct err *why)
{
	const char *what = l->line[0].t->login.what;
	size_t n = strlen(what);

	snprintf(l->why, sizeof(l->why), "%s", why->text + (strncmp(why->text, what, n) == 0 && strncmp(why->text + n, ": ", 2) == 0 ? n + 2 : 0));
	log_debug("%s", why->text);
}

/* One of the further ones: what it would have told is unknown, and it is tried again later. */
static void give_up(struct imapline *n, const struct err *why)
{
	struct imaplisten *l = n->l;

	keep_why(l, why);
	if (n->seen != SIZE_MAX)
		listen_hint(&l->folders, n->seen);
	l->look_at = clock_now(); /* from now on it is asked for */
	imapline_close(n);
	n->retry_at = clock_in(n->pause ? n->pause : PAUSE_MS);
}

static void open_further(struct imapline *n)
{
	struct err why = ERR_INIT;
	struct imaplisten *l = n->l;

	if (imapline_open(n, &why) == 0 && imapline_wait(n, &why) == 0) {
		n->pause = 0;
		l->why[0] = '\0';
		return;
	}
	n->pause = n->pause == 0 ? PAUSE_MS : 2 * n->pause < PAUSE_MAX_MS ? 2 * n->pause : PAUSE_MAX_MS;
	give_up(n, &why);
}

/* A wait is begun anew, and with the first line all is looked at. */
static int renew(struct imapline *n, struct err *e)
{
	struct imaplisten *l = n->l;

	if (imapline_stop(n, e) < 0 || (n == &l->line[0] && imappoll_look(l, true, e) < 0))
		return -1;
	return imapline_wait(n, e);
}

/* What is due on a line that stands. */
static int serve(struct imapline *n, struct err *e)
{
	if (imapline_take(n, e) < 0)
		return -1;
	return n->idle.state != IMAP_IDLE_ASKED && clock_now() >= imapline_when(n) ? renew(n, e) : 0;
}

static int serve_all(struct imaplisten *l, struct err *e)
{
	for (size_t i = 0; i < l->n_lines; i++) {
		struct imapline *n = &l->line[i];
		struct err why = ERR_INIT;

		if (!n->t && clock_now() >= n->retry_at)
			open_further(n);
		if (!n->t || serve(n, &why) == 0)
			continue;
		if (i == 0 || why.kind == ERR_CANCEL) {
			imapstore_give(e, &why);
			return -1;
		}
		give_up(n, &why);
	}
	return 0;
}

/* ---- the listener ---- */

static size_t imap_fds(struct listener *base, struct wait_item w[LISTEN_FDS_MAX])
{
	struct imaplisten *l = listen_of(base);
	size_t n = 0;

	for (size_t i = 0; i < l->n_lines; i++)
		if (l->line[i].t && !l->line[i].t->conn.dead)
			w[n++] = (struct wait_item){ .fd = stream_fd(l->line[i].t->conn.s), .events = WAIT_READ };
	return n;
}

static bool imap_pending(struct listener *base)
{
	struct imaplisten *l = listen_of(base);
	bool pending = l->folders.any;

	for (size_t i = 0; i < l->n_lines; i++)
		pending |= l->line[i].t && (l->line[i].idle.more || l->line[i].t->conn.dead);
	return pending;
}

static msec_t imap_when(struct listener *base)
{
	struct imaplisten *l = listen_of(base);
	msec_t at = imappoll_due(l) ? l->look_at : INT64_MAX;

	for (size_t i = 0; i < l->n_lines; i++)
		if (imapline_when(&l->line[i]) < at)
			at = imapline_when(&l->line[i]);
	return at;
}

static int imap_take(struct listener *base, void (*hint)(void *arg, const char *folder), void *arg, struct err *e)
{
	struct imaplisten *l = listen_of(base);
	struct imapline *first = &l->line[0];
	int rc = serve_all(l, e);

	if (rc == 0 && imappoll_due(l) && clock_now() >= l->look_at)
		rc = imapline_stop(first, e) < 0 || imappoll_look(l, false, e) < 0 || imapline_wait(first, e) < 0 ? -1 : 0;
	listen_tell(&l->folders, hint, arg);
	return rc < 0 ? fail(l, e) : 0;
}

/* An answer is wanted, of each. */
static int imap_probe(struct listener *base, struct err *e)
{
	struct imaplisten *l = listen_of(base);

	for (size_t i = 0; i < l->n_lines; i++) {
		struct imapline *n = &l->line[i];
		struct err why = ERR_INIT;
		bool waited = imapline_waits(n);
		uint32_t tag;
		int rc;

		if (!n->t)
			continue;
		rc = imapline_stop(n, &why);
		if (rc == 0 && !waited) {
			struct imap_conn *c = &n->t->conn;

			rc = imap_send(c, &tag, &why, "NOOP") < 0 || imap_finish(c, tag, imapseen_data, n, NULL, &why) < 0 ? imapstore_broken(n->t, &why) : 0;
		}
		if (rc == 0)
			rc = imapline_wait(n, &why);
		if (rc == 0)
			continue;
		if (i > 0 && why.kind != ERR_CANCEL) {
			give_up(n, &why);
			continue;
		}
		imapstore_give(e, &why);
		return fail(l, e);
	}
	return 0;
}

/* Select the folder of a line again. */
static int refresh(struct imapline *n, struct err *e)
{
	struct err why = ERR_INIT;

	if (imapline_stop(n, e) < 0)
		return -1;
	if (imapline_select(n, &why) < 0) {
		imapstore_give(e, &why);
		return -1;
	}
	return imapline_wait(n, e);
}

static int imap_stamp(struct listener *base, const char *folder, char out[STORE_STAMP_MAX], struct err *e)
{
	struct imaplisten *l = listen_of(base);
	struct err why = ERR_INIT;
	struct imapseen *p;
	size_t at;
	int rc = 0;

	out[0] = '\0';
	if (!listen_folders_find(&l->folders, folder, &at) || !l->seen[at].f || !(l->line[0].t->conn.caps.have & IMAP_CAP_CONDSTORE))
		return 0;
	p = &l->seen[at];
	if (p->line && (p->stale || !imapseen_whole(p))) {
		struct imapline *n = p->line;

		rc = refresh(n, &why);
		if (rc < 0 && n != &l->line[0] && why.kind != ERR_CANCEL) {
			give_up(n, &why);
			rc = imappoll_ask(l, p, &why);
		}
	} else if (!p->line && !(imapseen_whole(p) && (p->told || clock_now() < p->at + FRESH_MS))) {
		rc = imappoll_ask(l, p, &why);
	}
	if (rc < 0) {
		imapstore_give(e, &why);
		return fail(l, e);
	}
	if (!imapseen_whole(p))
		return 0;
	imapstamp_print(&p->st, out);
	return 1;
}

static int imap_folders(struct listener *base, const char *const *folders, size_t n, struct err *e)
{
	struct imaplisten *l = listen_of(base);
	struct imapline *first = &l->line[0];
	struct listen_folders before = { 0 };
	int rc = listen_folders_set(&before, (const char *const *)l->folders.names, l->folders.n, e);

	if (rc == 0)
		rc = imapline_stop(first, e);
	if (rc == 0)
		rc = imaplist(first->t, true, e);
	if (rc == 0)
		rc = listen_folders_set(&l->folders, folders, n, e);
	if (rc == 0)
		rc = imapseen_fill(l, &before, e);
	if (rc == 0 && first->is_selected && first->seen != SIZE_MAX) {
		l->seen[first->seen].stale = true; /* what came beside the list was passed over */
		listen_hint(&l->folders, first->seen);
	}
	if (rc == 0)
		rc = imapline_wait(first, e);
	listen_folders_release(&before);
	return rc < 0 ? fail(l, e) : 0;
}

static void put_names(const struct imaplisten *l, struct strbuf *out)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n_lines; i++)
		if (imapline_waits(&l->line[i]) && l->line[i].is_selected)
			strbuf_printf(out, "%s%s", n++ ? ", " : "IDLE on ", l->line[i].folder);
}

static void imap_how(struct listener *base, struct strbuf *out)
{
	struct imaplisten *l = listen_of(base);
	size_t n = imappoll_count(l), start = out->len;

	if (l->notify)
		strbuf_puts(out, "NOTIFY");
	else
		put_names(l, out);
	if (n > 0) {
		strbuf_printf(out, "%sSTATUS of %zu folder%s every ", out->len > start ? ", " : "", n, n == 1 ? "" : "s");
		listen_put_interval(out, imappoll_interval(l));
	} else if (!l->notify) {
		strbuf_printf(out, "%sLIST every ", out->len > start ? ", " : "");
		listen_put_interval(out, imappoll_interval(l));
	}
	if (l->why[0])
		strbuf_printf(out, " (no further connection: %s)", l->why);
	else if (l->beyond && !l->notify)
		strbuf_printf(out, " (IDLE on no more than %d)", LISTEN_FDS_MAX);
}

static void imap_free(struct listener *base)
{
	struct imaplisten *l = listen_of(base);

	for (size_t i = 0; i < l->n_lines; i++)
		imapline_close(&l->line[i]);
	for (size_t i = 0; i < LISTEN_FDS_MAX; i++)
		free(l->idle[i]);
	imapseen_release(l);
	listen_folders_release(&l->folders);
	free(l);
}

static const struct listener_ops ops = {
	.name = "imap",
	.fds = imap_fds,
	.pending = imap_pending,
	.when = imap_when,
	.take = imap_take,
	.probe = imap_probe,
	.stamp = imap_stamp,
	.folders = imap_folders,
	.how = imap_how,
	.free = imap_free,
};

static int add_line(struct imaplisten *l, const char *folder, struct err *e)
{
	for (size_t i = 0; folder && i < l->n_lines; i++)
		if (strcmp(l->idle[i], folder) == 0)
			return 0;
	if (l->n_lines >= LISTEN_FDS_MAX) {
		l->beyond++;
		return 0;
	}
	l->idle[l->n_lines] = folder ? strdup(folder) : NULL;
	if (folder && !l->idle[l->n_lines])
		return err_set(e, ERR_LOCAL, "out of memory");
	l->line[l->n_lines] = (struct imapline){ .l = l, .folder = l->idle[l->n_lines], .seen = SIZE_MAX };
	l->n_lines++;
	return 0;
}

/* Which folders are waited for: those that were named and are synced; else the inbox, or what there is. */
static int choose_lines(struct imaplisten *l, const struct listen_params *p, struct err *e)
{
	size_t at;

	for (size_t i = 0; i < p->n_idle; i++)
		if (listen_folders_find(&l->folders, p->idle[i], &at) && add_line(l, p->idle[i], e) < 0)
			return -1;
	if (l->n_lines > 0)
		return 0;
	return add_line(l, listen_folders_find(&l->folders, "INBOX", &at) ? "INBOX" : p->n ? p->folders[0] : NULL, e);
}

/* All connections. Where NOTIFY tells of everything, one will do. */
static int open_lines(struct imaplisten *l, struct err *e)
{
	struct imapline *first = &l->line[0];

	/* what is compared with later: without NOTIFY all of it, else only when a wait is begun anew */
	if (imapline_open(first, e) < 0 || (!l->notify && imappoll_look(l, true, e) < 0) || imapline_wait(first, e) < 0)
		return fail(l, e);
	if (l->notify)
		l->n_lines = 1;
	for (size_t i = 1; i < l->n_lines; i++)
		open_further(&l->line[i]);
	return clock_check(e);
}

/* store_ops.listen */
struct listener *imaplisten(struct store *s, const struct listen_params *p, struct err *e)
{
	struct imaplisten *l = calloc(1, sizeof(*l));

	if (!l) {
		err_set(e, ERR_LOCAL, "out of memory");
		return NULL;
	}
	l->base.ops = &ops;
	l->of = imapstore_of(s);
	l->interval = p->interval > 0 ? p->interval : LISTEN_INTERVAL_MS;
	l->period = p->period > 0 ? p->period : LISTEN_PERIOD_MS;
	if (listen_folders_set(&l->folders, p->folders, p->n, e) < 0 || choose_lines(l, p, e) < 0 || open_lines(l, e) < 0) {
		imap_free(&l->base);
		return NULL;
	}
	for (size_t i = 0; i < l->folders.n; i++)
		l->folders.hinted[i] = false; /* what there is now is where it begins */
	l->folders.all = l->folders.any = false;
	l->look_at = clock_in(imappoll_interval(l));
	return &l->base;
}
