/* A connection that waits. See imaplisten_p.h. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "net/sock.h"
#include "store/imaplisten_p.h"

#define TUNNEL_MS 300000    /* nobody tells that the far end of a tunnel is gone, so it is asked more often */
#define AT_ONCE_MS 1000     /* a server that ends IDLE sooner than this doesn't mean it */

static bool can(const struct imapline *n, unsigned cap)
{
	return n->t->conn.caps.have & cap;
}

bool imapline_waits(const struct imapline *n)
{
	return n->t && n->idle.state != IMAP_IDLE_OFF;
}

void imapline_close(struct imapline *n)
{
	if (n->t && n->idle.state != IMAP_IDLE_OFF)
		n->t->conn.dead = true; /* no LOGOUT in the middle of IDLE */
	if (n->t)
		store_free(&n->t->s);
	n->t = NULL;
	n->idle = (struct imap_idle){ 0 };
	if (n->seen != SIZE_MAX && n->l->seen && n->l->seen[n->seen].line == n)
		n->l->seen[n->seen].line = NULL;
	n->is_selected = false;
}

/* imap_on of a SELECT: what is of other folders is told meanwhile, too. */
static int on_select(void *arg, const struct imap_resp *r, struct err *e)
{
	struct imapline *n = arg;

	return r->kind == IMAP_STATUS || r->kind == IMAP_LIST ? imapseen_data(n, r, e) : imapselect_data(n->t, r, e);
}

int imapline_select(struct imapline *n, struct err *e)
{
	struct imapstore *t = n->t;
	const struct imap_resp *r;
	struct err why = ERR_INIT;
	struct imapfolder *f;
	struct imapseen *p;
	uint32_t tag;
	int rc;

	n->is_selected = false;
	if (imaptree_find(t, n->folder, &f, e) < 0)
		return t->conn.dead ? -1 : 0;
	imapselect_begin(t, NULL);
	if (imapselect_send(t, f, false, &tag, e) < 0)
		return imapstore_broken(t, e);
	rc = imapstore_finish(t, tag, on_select, n, &r, &why, e);
	if (rc == 0)
		imapstore_give(e, &why);
	if (rc <= 0)
		return rc;
	if (imapselect_end(t, f, false, r, e) < 0)
		return 0;
	n->is_selected = true;
	n->exists = t->sel.exists;
	n->modseq = t->sel.modseq;
	if (n->seen == SIZE_MAX)
		return 1;
	p = &n->l->seen[n->seen];
	p->st = (struct imapstamp){ .validity = t->sel.validity, .uidnext = t->sel.uidnext, .messages = t->sel.exists, .modseq = t->sel.modseq,
		.id = can(n, IMAP_CAP_OBJECTID) ? (t->sel.id ? t->sel.id : p->st.id) : 0 };
	p->known = IMAP_HAS_MESSAGES | IMAP_HAS_UIDNEXT | IMAP_HAS_UIDVALIDITY | IMAP_HAS_HIGHESTMODSEQ;
	p->stale = false;
	p->line = n;
	return 1;
}

int imapline_wait(struct imapline *n, struct err *e)
{
	n->idle.more = true;
	if (n->idle.state != IMAP_IDLE_OFF || n->no_idle || !can(n, IMAP_CAP_IDLE)) {
		if (n->idle.state == IMAP_IDLE_OFF)
			n->idle.since = clock_now();
		return 0;
	}
	return imap_idle_begin(&n->t->conn, &n->idle, e) < 0 ? imapstore_broken(n->t, e) : 0;
}

/* A server that says no to it is not asked again, on this connection. */
static void refused(struct imapline *n, const struct err *why)
{
	log_debug("%s: IDLE: %s", n->t->login.what, why->text);
	n->no_idle = true;
}

int imapline_stop(struct imapline *n, struct err *e)
{
	struct err why = ERR_INIT;
	int rc = imap_idle_end(&n->t->conn, &n->idle, imapseen_data, n, &why);

	if (rc == 0)
		refused(n, &why);
	if (rc >= 0)
		return 0;
	imapstore_give(e, &why);
	return imapstore_broken(n->t, e);
}

/* Ask to be told of everything. */
static int ask_notify(struct imapline *n, struct err *e)
{
	struct imaplisten *l = n->l;
	struct err why = ERR_INIT;
	int rc;

	if (!can(n, IMAP_CAP_NOTIFY) || clock_now() < l->of->listen.no_notify)
		return 0;
	rc = imap_notify(&n->t->conn, n->is_selected, imapseen_begun, n, &why);
	if (rc < 0) {
		imapstore_give(e, &why);
		return imapstore_broken(n->t, e);
	}
	l->notify = rc > 0;
	if (rc == 0)
		log_debug("%s: NOTIFY: %s", n->t->login.what, why.text);
	if (l->notify && n->is_selected && n->seen != SIZE_MAX)
		l->seen[n->seen].told = true;
	l->partial = false;
	for (size_t i = 0; i < l->folders.n; i++) {
		l->seen[i].told &= l->notify;
		l->partial |= l->seen[i].f && !l->seen[i].told;
	}
	return 0;
}

static int none(void *arg, const struct folder_info *f, struct err *e)
{
	(void)arg;
	(void)f;
	(void)e;
	return 0;
}

/* Everything but waiting. */
static int open_steps(struct imapline *n, struct err *e)
{
	struct imaplisten *l = n->l;
	bool first = n == &l->line[0];
	struct err why = ERR_INIT;
	int rc;

	if (first && (imaptree_folders(&n->t->s, none, NULL, e) < 0 || imapseen_fill(l, NULL, e) < 0))
		return -1;
	if (!first && imapstore_ready(n->t, e) < 0)
		return -1;
	if (imap_settle(&n->t->conn, e) < 0) /* CONDSTORE is on, or isn't */
		return imapstore_broken(n->t, e);
	n->is_tunnel = !sock_stay(stream_fd(n->t->conn.s));
	rc = n->folder && can(n, IMAP_CAP_IDLE | IMAP_CAP_NOTIFY) ? imapline_select(n, &why) : 0;
	if (rc < 0 || (rc == 0 && !first)) {
		imapstore_give(e, &why);
		return -1;
	}
	if (rc == 0 && n->folder)
		log_debug("%s: %s", n->t->login.what, why.text);
	return first ? ask_notify(n, e) : 0;
}

int imapline_open(struct imapline *n, struct err *e)
{
	struct store *s = imapstore_new(n->l->of->p, e);

	if (!s)
		return -1;
	n->t = imapstore_of(s);
	n->no_idle = false;
	return open_steps(n, e);
}

/* How long one wait may last. */
static msec_t period(const struct imapline *n)
{
	const struct imaplisten *l = n->l;
	msec_t most = n->is_tunnel && l->period > TUNNEL_MS ? TUNNEL_MS : l->period;

	return l->of->listen.period && l->of->listen.period < most ? l->of->listen.period : most;
}

/* The link is lost. Was it an end to waiting, after which a shorter wait is advisable? One that was cut down once is not cut below a share of what is usual. */
static int lost(struct imapline *n, const struct err *why, struct err *e)
{
	struct imaplisten_learnt *learnt = &n->l->of->listen;
	msec_t age = clock_now() - n->idle.since, least = n->l->period / 14;

	if (imapline_waits(n) && why->kind == ERR_TEMP && age >= least && age < n->l->period) {
		learnt->period = age * 3 / 4 > least ? age * 3 / 4 : least;
		log_debug("%s: a wait has ended after %lld s: the next are shorter", n->t->login.what, (long long)(age / 1000));
	}
	imapstore_give(e, why);
	return imapstore_broken(n->t, e);
}

int imapline_take(struct imapline *n, struct err *e)
{
	struct err why = ERR_INIT;
	int rc = imap_idle_take(&n->t->conn, &n->idle, imapseen_data, n, &why);

	if (rc < 0)
		return lost(n, &why, e);
	if (rc > 0)
		return 0;
	if (why.kind != ERR_NONE || clock_now() < n->idle.since + AT_ONCE_MS)
		refused(n, &why);
	return imapline_wait(n, e);
}

msec_t imapline_when(const struct imapline *n)
{
	if (!n->t)
		return n->retry_at;
	if (n->idle.state == IMAP_IDLE_ASKED)
		return n->idle.since + n->t->conn.timeout;
	return n->idle.since + period(n);
}
