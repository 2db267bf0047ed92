/* A POP3 maildrop as a store: see pop3store.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "store/pop3store_p.h"

#define LISTING_BUDGET ((uint64_t)512 << 20)
#define ROW_MAX 8192
#define GOODBYE_MS 2000     /* to say a QUIT whose answer nobody needs */
#define DELAY_WAIT_MAX 30   /* seconds of LOGIN-DELAY that are waited out; more is for the scheduler */

/* The session is over, whatever it was. */
void pop3store_drop(struct pop3store *t)
{
	pop3_retr_end(&t->pipe);
	if (t->open)
		pop3_close(&t->conn);
	t->open = t->marked = t->read = false;
	pop3tree_forget(t);
}

/* Put the account's name in front of what costs the account. */
int pop3store_fail(struct pop3store *t, struct err *e)
{
	return e && e->span != SPAN_MSG ? err_in(e, "%s", t->login.what) : -1;
}

/* No session: a bug of the caller, or its box was lost before. */
int pop3store_need_open(struct pop3store *t, struct err *e)
{
	if (!t->open || (t->tree && !t->in_box))
		return err_set(e, ERR_BUG, "%s: no box is open", t->login.what);
	if (t->conn.dead) {
		err_set(e, ERR_TEMP, "the connection is lost");
		return pop3store_fail(t, e);
	}
	return 0;
}

/* Keep the pause between logins (RFC 2449 section 6.4). */
static int wait_for_turn(struct pop3store *t, struct err *e)
{
	msec_t next = t->last_login + (msec_t)t->login_delay * 1000, now = clock_now();

	if (t->last_login == 0 || t->login_delay == 0 || now >= next)
		return 0;
	if (next - now > DELAY_WAIT_MAX * 1000) {
		int seconds = (int)((next - now + 999) / 1000);

		err_set(e, ERR_TEMP, "%s: the server allows a login only every %d seconds; the next one in %d", t->login.what,
		        t->login_delay, seconds);
		if (e)
			e->retry_after = seconds;
		return -1;
	}
	log_debug("%s: waiting %d ms until the server allows the next login", t->login.what, (int)(next - now));
	return wait_until(next, e) < 0 ? pop3store_fail(t, e) : 0;
}

/* Dial and log in. */
static int connect_in(struct pop3store *t, struct err *e)
{
	if (wait_for_turn(t, e) < 0)
		return -1;
	t->last_login = clock_in(0);
	if (pop3_login(&t->conn, &t->login, t->user, &t->s.stats, e) < 0)
		return -1;
	t->open = true;
	t->marked = t->read = false;
	return 0;
}

/* The rows of a listing whose +OK was read. */
static int read_rows(struct pop3store *t, int (*put)(struct pop3list *l, struct slice line, bool cut, struct err *e), struct err *e)
{
	uint64_t budget = LISTING_BUDGET;
	struct slice line;
	int r;

	while ((r = pop3_multi(&t->conn, ROW_MAX, &budget, &line, e)) > 0)
		if (put(&t->list, line, r == 2, e) < 0) {
			t->conn.dead = true; /* the rest of the listing is in the way */
			return -1;
		}
	return r;
}

/* The answer to STAT: count and bytes. A refusal leaves both unknown. */
static int read_stat(struct pop3store *t, struct box_info *out, struct err *e)
{
	struct err why = ERR_INIT;
	struct slice text;
	uint64_t n;
	int r = pop3_status(&t->conn, &text, &why);

	if (r < 0 && e)
		*e = why;
	if (r <= 0)
		return r;
	if (slice_u64(slice_word(&text), UINT32_MAX, &n)) {
		out->messages = n;
		if (slice_u64(slice_word(&text), INT64_MAX, &n)) {
			out->bytes = n;
			t->conn.stat_plain = true;
		}
	}
	return 1;
}

/*
 * The answer to UIDL. 1: read; 0: the server has no UIDL; -1. A server that says "not now" is not one without UIDL: all mail would be read again only to
 * find that it is known.
 */
static int read_uidl(struct pop3store *t, struct err *e)
{
	struct err why = ERR_INIT;
	int r = pop3_status(&t->conn, NULL, &why);

	if (r > 0) {
		t->list.uidl.given = true;
		return read_rows(t, pop3list_uidl, e) < 0 ? -1 : 1;
	}
	if (r == 0 && why.kind == ERR_REFUSED)
		return 0;
	if (e)
		*e = why;
	return -1;
}

/* The answer to LIST. 1: read; 0 with why: refused; -1 with why. */
static int read_list(struct pop3store *t, struct err *why)
{
	int r = pop3_status(&t->conn, NULL, why);

	if (r <= 0)
		return r;
	t->list.sizes.given = true;
	return read_rows(t, pop3list_size, why) < 0 ? -1 : 1;
}

/* Ask for everything that tells what the box holds, in one flight where that may be, else one by one. */
static int list_box(struct pop3store *t, unsigned how, struct box_info *out, struct err *e)
{
	struct pop3_conn *c = &t->conn;
	bool flight = c->caps.have & POP3_CAP_PIPELINING, sizes = how & BOX_SIZES, no_uidl = c->disabled & POP3_CAP_UIDL;
	const char *const commands[] = { "STAT", no_uidl ? NULL : "UIDL", sizes ? "LIST" : NULL };
	struct err why = ERR_INIT;
	int stat, uidl = 0, list = 0;

	if (flight) {
		/* The capabilities too: they may be others after login (RFC 2449 section 5). */
		pop3_send(c, "CAPA");
		for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
			if (commands[i])
				pop3_send(c, "%s", commands[i]);
		if (pop3_capa_read(c, true, e) < 0)
			return -1;
	}
	if (!flight)
		pop3_send(c, "STAT");
	stat = read_stat(t, out, e);
	if (stat < 0)
		return err_in(e, "STAT");
	if (!flight && !no_uidl)
		pop3_send(c, "UIDL");
	uidl = no_uidl ? 0 : read_uidl(t, e);
	if (uidl < 0)
		return err_in(e, "UIDL");
	/* Messages that UIDL leaves out are there all the same: LIST names them. An empty box has no names to give. */
	if (!sizes)
		sizes = uidl == 0 ? stat == 0 || out->messages > 0 : stat > 0 && out->messages > t->list.uidl.n;
	if (sizes) {
		if (!flight || !commands[2])
			pop3_send(c, "LIST");
		list = read_list(t, &why);
	}
	if (list < 0 || (sizes && list == 0 && uidl == 0 && (stat == 0 || out->messages > 0))) {
		if (e)
			*e = why;
		return err_in(e, list < 0 ? "LIST" : "the server lists its messages neither by UIDL nor by LIST");
	}
	out->keyless = uidl == 0;
	return 0;
}

/* What the listing says of the box. */
static int describe(struct pop3store *t, struct box_info *out, struct err *e)
{
	struct pop3list *l = &t->list;
	uint64_t rows = l->uidl.n > l->sizes.n ? l->uidl.n : l->sizes.n;

	if (out->messages < rows)
		out->messages = rows;
	out->no_remove = t->p->gmail_recent;
	/* Gmail lists a few hundred at a time; what was read, or removed, is left out of the next session. */
	out->partial = !t->p->gmail_recent && strstr(t->conn.greeting, "Gpop") != NULL;
	out->read_is_gone = out->partial || t->conn.caps.expire == 0;
	if (l->bad > 0 && !t->warned_rows) {
		log_warn("%s: %llu lines of the server's listing make no sense and are left out", t->login.what, (unsigned long long)l->bad);
		t->warned_rows = true;
	}
	if (t->conn.caps.expire == 0 && !t->warned_expire) {
		log_warn("%s: the server says that it deletes messages once they are read (EXPIRE 0)", t->login.what);
		t->warned_expire = true;
	}
	return pop3list_stamp(l, out->messages, out->stamp, e);
}

/* The sizes, of a listing that came without. */
int pop3store_sizes(struct pop3store *t, struct err *e)
{
	struct err why = ERR_INIT;

	if (t->list.sizes.given)
		return 0;
	pop3_send(&t->conn, "LIST");
	if (read_list(t, &why) >= 0)
		return 0;
	if (e)
		*e = why;
	err_in(e, "LIST");
	return pop3store_fail(t, e);
}

/* Connect, log in, and ask what there is. */
int pop3store_session(struct pop3store *t, unsigned how, struct box_info *out, struct err *e)
{
	pop3list_clear(&t->list);
	*out = (struct box_info){ 0 };
	if (connect_in(t, e) < 0)
		return -1;
	if (list_box(t, how, out, e) < 0 || describe(t, out, e) < 0) {
		pop3store_fail(t, e);
		pop3store_drop(t);
		return -1;
	}
	t->login_delay = t->conn.caps.login_delay;
	return 0;
}

static void end_session(struct pop3store *t);

/* store_ops.open_box. "" is the maildrop as a fetch has it, "INBOX" the one folder of the tree. */
static int pop3store_open_box(struct store *s, const char *folder, unsigned how, struct box_info *out, struct err *e)
{
	struct pop3store *t = pop3store_of(s);

	if (*folder && strcmp(folder, "INBOX") != 0)
		return err_set_span(e, ERR_CONF, SPAN_BOX, "%s: POP3 has no folder '%s'", t->login.what, folder);
	if (*folder)
		return pop3tree_open(t, out, e);
	end_session(t);
	t->tree = false;
	return pop3store_session(t, how, out, e);
}

/*
 * Nothing depends on the answer to this QUIT, so that it is not waited for. A QUIT would make final what was marked, and at Gmail, or where messages expire by being read, what was only read: there the link is
 * just dropped, which RFC 1939 section 6 says changes nothing.
 */
static void end_session(struct pop3store *t)
{
	bool reading_counts, flying;

	if (!t->open)
		return;
	reading_counts = strstr(t->conn.greeting, "Gpop") || t->conn.caps.expire == 0;
	flying = pop3_retr_flying(&t->pipe);
	if (!t->marked && !flying && !t->conn.dead && !t->conn.in_body && !(t->read && reading_counts)) {
		if (t->conn.timeout > GOODBYE_MS)
			t->conn.timeout = GOODBYE_MS;
		pop3_bye(&t->conn);
	}
	pop3store_drop(t);
}

/* store_ops.close_box. Of a tree the session stays: the next box is the same, and servers don't like to be logged in to again and again. */
static void pop3store_close_box(struct store *s)
{
	struct pop3store *t = pop3store_of(s);

	if (!t->tree || !pop3tree_keep(t))
		end_session(t);
}

/* store_ops.list_start */
static int pop3store_list_start(struct store *s, struct err *e)
{
	struct pop3store *t = pop3store_of(s);

	if (t->tree)
		return pop3tree_list_start(t, e);
	return pop3list_start(&t->list, e) < 0 ? pop3store_fail(t, e) : 0;
}

/* store_ops.list_next */
static int pop3store_list_next(struct store *s, struct store_msg *m, struct err *e)
{
	struct pop3store *t = pop3store_of(s);
	int r = t->tree ? pop3tree_list_next(t, m, e) : pop3list_next(&t->list, m, e);

	return r < 0 ? pop3store_fail(t, e) : r;
}

/* store_ops.want */
static int pop3store_want(struct store *s, const uint64_t *nums, size_t n, struct err *e)
{
	struct pop3store *t = pop3store_of(s);

	if (pop3_retr_flying(&t->pipe))
		pop3_retr_end(&t->pipe); /* the link is dead now, and need_open says so */
	if (pop3store_need_open(t, e) < 0)
		return -1;
	pop3_retr_end(&t->pipe);
	t->read |= n > 0;
	return pop3_retr_start(&t->pipe, &t->conn, nums, n, e);
}

/* store_ops.next */
static int pop3store_next(struct store *s, size_t *i, struct stream **body, struct err *e)
{
	struct pop3store *t = pop3store_of(s);
	int r = pop3store_need_open(t, e);

	if (r == 0)
		r = pop3_retr_next(&t->pipe, i, body, e);
	else
		return -1;
	if (r > 0 && t->tree)
		*body = pop3head_tap(t, t->pipe.nums[*i], *body);
	return r < 0 ? pop3store_fail(t, e) : r;
}

/* store_ops.remove */
static int pop3store_remove(struct store *s, const uint64_t *nums, size_t n,
			    void (*done)(void *arg, uint64_t num, const struct err *why), void *arg, struct err *e)
{
	struct pop3store *t = pop3store_of(s);

	if (t->p->gmail_recent)
		return err_set(e, ERR_BUG, "%s: nothing is removed in Gmail's recent mode", t->login.what);
	if (pop3_retr_flying(&t->pipe))
		pop3_retr_end(&t->pipe);
	if (pop3store_need_open(t, e) < 0)
		return -1;
	t->marked |= n > 0;
	return pop3_dele(&t->conn, nums, n, done, arg, e) < 0 ? pop3store_fail(t, e) : 0;
}

/* store_ops.commit: QUIT enters the UPDATE state, where the server removes what was marked. */
static int pop3store_commit(struct store *s, struct err *e)
{
	struct pop3store *t = pop3store_of(s);
	int r;

	if (pop3_retr_flying(&t->pipe))
		pop3_retr_end(&t->pipe);
	r = pop3store_need_open(t, e);
	if (r == 0 && pop3_quit(&t->conn, e) < 0) {
		if (e && e->kind == ERR_REFUSED)
			e->kind = ERR_TEMP;
		r = pop3store_fail(t, e);
	}
	pop3store_drop(t);
	return r;
}

/* store_ops.free */
static void pop3store_free(struct store *s)
{
	struct pop3store *t = pop3store_of(s);

	end_session(t);
	pop3list_release(&t->list);
	pop3keys_release(&t->keys);
	vec_release(&t->heads);
	ident_reader_free(t->ident);
	status_reader_free(t->status);
	free(t->user);
	free(t);
}

static const struct store_ops ops = {
	.name = "pop3",
	.caps = STORE_SOURCE | STORE_REMOTE | STORE_TREE,
	.open_box = pop3store_open_box,
	.close_box = pop3store_close_box,
	.list_start = pop3store_list_start,
	.list_next = pop3store_list_next,
	.want = pop3store_want,
	.next = pop3store_next,
	.remove = pop3store_remove,
	.commit = pop3store_commit,
	.stage = store_cannot_stage,
	.unstage = store_cannot_unstage,
	.harden = store_cannot_harden,
	.publish = store_cannot_publish,
	.abandon = store_cannot_abandon,
	.recover = store_cannot_recover,
	.folders = pop3tree_folders,
	.folder_create = pop3tree_create,
	.folder_remove = pop3tree_remove,
	.folder_rename = pop3tree_rename,
	.same_box = store_cannot_same_box,
	.look = pop3tree_look,
	.look_box = pop3tree_look_box,
	.look_next = pop3tree_look_next,
	.find = pop3tree_find,
	.idents = pop3tree_idents,
	.move = store_cannot_move,
	.set_flags = store_cannot_set_flags,
	.restore = store_cannot_restore,
	.free = pop3store_free,
};

/* Make the store. */
struct store *pop3store_new(const struct pop3store_params *p, struct err *e)
{
	struct pop3store *t = calloc(1, sizeof(*t));

	if (!t || pop3list_init(&t->list, e) < 0)
		goto fail;
	if (p->gmail_recent && asprintf(&t->user, "recent:%s", p->pop3.user) < 0) {
		t->user = NULL;
		goto fail;
	}
	t->s.ops = &ops;
	t->s.unsized = true;
	t->keys = (struct pop3keys)POP3KEYS_INIT;
	t->p = p;
	t->login = p->pop3;
	if (!t->login.what)
		t->login.what = "pop3";
	if (!t->login.remembered)
		t->login.remembered = &t->caps;
	return &t->s;
fail:
	if (t)
		pop3list_release(&t->list);
	free(t);
	err_set(e, ERR_LOCAL, "out of memory");
	return NULL;
}
