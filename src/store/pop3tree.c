/*
 * A maildrop as a tree of one folder, of which all is told by one listing: UIDL for the names, LIST for the sizes where something is to be done. That some other session changes
 * it meanwhile can't be seen, and does not matter: a POP3 session sees what there was when it began.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/numset.h"
#include "store/pop3store_p.h"

#define INBOX "INBOX"
#define IDLE_MS 20000 /* after that long without a word it is asked whether the session still stands */

void pop3tree_forget(struct pop3store *t)
{
	t->in_box = t->keyed = t->incomplete = false;
	pop3keys_clear(&t->keys);
	vec_clear(&t->heads);
	t->sorted = 0;
}

/* May one go on with what was learnt in this session? */
static bool is_usable(const struct pop3store *t)
{
	return t->open && !t->marked && !t->conn.dead && !t->conn.in_body && !pop3_retr_flying(&t->pipe);
}

/* Servers close a session that is silent for long; the other side may have had much to do. */
static bool still_stands(struct pop3store *t)
{
	struct err why = ERR_INIT;

	if (clock_now() - t->used < IDLE_MS)
		return true;
	pop3_send(&t->conn, "NOOP");
	if (pop3_status(&t->conn, NULL, &why) >= 0)
		return true;
	log_debug("%s: the session is over: %s", t->login.what, why.text);
	return false;
}

/* The session, if it still stands, or another one. */
static int session(struct pop3store *t, struct err *e)
{
	bool same = t->tree && is_usable(t) && still_stands(t);

	if (!same) {
		t->tree = true;
		pop3store_drop(t);
		if (pop3store_session(t, BOX_READ | (t->s.afresh ? BOX_SIZES : 0), &t->info, e) < 0)
			return -1;
		if (t->list.numbered > 0)
			t->info.stamp[0] = '\0'; /* an equal listing may be of other mail: stamp_names */
	}
	t->used = clock_now();
	return 0;
}

bool pop3tree_keep(struct pop3store *t)
{
	t->in_box = false;
	if (!is_usable(t))
		return false;
	pop3_retr_end(&t->pipe);
	t->used = clock_now();
	return true;
}

/* ---- names ---- */

/* The listing as a table. */
static int take_listing(struct pop3store *t, struct err *e)
{
	struct pop3list *l = &t->list;
	struct store_msg m;
	int rc;

	pop3keys_clear(&t->keys);
	l->as_given = true;
	rc = pop3list_start(l, e);
	l->as_given = false;
	if (rc < 0)
		return -1;
	while ((rc = pop3list_next(l, &m, e)) > 0)
		if (pop3keys_add(&t->keys, (uint32_t)m.num, m.key, m.size, e) < 0)
			return -1;
	if (rc < 0)
		return -1;
	pop3keys_sort(&t->keys);
	return 0;
}

/* Those that have no name yet. */
static int gather_vague(struct pop3store *t, bool unknown, uint64_t *nums, size_t *n)
{
	*n = 0;
	for (size_t i = 0; i < t->keys.by_num.n; i++) {
		const struct pop3key *k = &t->keys.by_num.a[i];

		if (k->vague && !(unknown && pop3head_known(t, k->num)))
			nums[(*n)++] = k->num;
	}
	return *n > 0;
}

/* A server without UIDL: without TOP all mail would have to be read in each run, only to know what is new. */
static int no_names(const struct pop3store *t, struct err *e)
{
	err_set_span(e, ERR_UNAVAIL, SPAN_BOX, "the server tells neither names of its messages (UIDL) nor their headers alone (TOP): no later run could know which were copied");
	return err_hint(e, t->conn.disabled & (POP3_CAP_UIDL | POP3_CAP_TOP) ? "take UIDL and TOP out of disable-extensions" :
									     "take the mail to a Maildir or mbox by a job of mode fetch, and go on from there");
}

/* The headers of those that need them for a name. */
static int learn_vague(struct pop3store *t, struct err *e)
{
	uint64_t *nums = malloc(t->keys.vague * sizeof(*nums));
	bool any = t->list.uidl.given;
	size_t n;
	int rc = 0;

	if (!nums)
		return err_set(e, ERR_LOCAL, "out of memory");
	gather_vague(t, false, nums, &n);
	if (pop3head_has_top(t))
		rc = pop3head_learn(t, nums, n, false, e);
	for (size_t i = 0; rc == 0 && !any && i < n; i++)
		any = pop3head_known(t, nums[i]) != NULL;
	if (rc == 0 && !any)
		rc = no_names(t, e);
	if (rc == 0 && gather_vague(t, true, nums, &n))
		rc = pop3head_learn(t, nums, n, true, e);
	free(nums);
	for (size_t i = 0; rc == 0 && i < t->heads.n; i++)
		pop3keys_head(&t->keys, t->heads.a[i].num, t->heads.a[i].digest);
	return rc;
}

/* Without UIDL the names that were found instead tell whether anything has changed. */
static int stamp_names(struct pop3store *t, struct err *e)
{
	unsigned char sum[DIGEST_SIZE];
	char hex[DIGEST_HEX];
	struct digest *d;
	int rc = 0;

	if (t->info.stamp[0] != '\0' || t->incomplete)
		return 0;
	d = digest_new(e);
	if (!d)
		return -1;
	for (size_t i = 0; rc == 0 && i < t->keys.by_key.n; i++)
		rc = digest_put(d, t->keys.by_key.a[i]->key.p, t->keys.by_key.a[i]->key.n) < 0 || digest_put(d, "\n", 1) < 0 ? -1 : 0;
	if (rc < 0 || digest_end(d, sum) < 0)
		rc = err_set(e, ERR_LOCAL, "SHA-256 failed");
	digest_free(d);
	if (rc < 0)
		return -1;
	digest_hex(sum, hex);
	snprintf(t->info.stamp, sizeof(t->info.stamp), "head:%s", hex);
	return 0;
}

static int name_all(struct pop3store *t, struct err *e)
{
	if (take_listing(t, e) < 0 || (t->keys.vague > 0 && learn_vague(t, e) < 0) || pop3keys_seal(&t->keys, e) < 0)
		return -1;
	t->incomplete = t->list.bad > 0 || t->keys.vague > 0 || t->keys.by_num.n < t->info.messages;
	if (t->keys.vague > 0 && !t->warned_unnamed)
		log_warn("%s: %zu messages have no name (UIDL) of their own, and the server refuses to show their headers: they are left out", t->login.what, t->keys.vague);
	t->warned_unnamed |= t->keys.vague > 0;
	if (t->incomplete)
		t->info.stamp[0] = '\0';
	return stamp_names(t, e);
}

/* All messages of the session with their names and sizes. */
static int know_names(struct pop3store *t, struct err *e)
{
	if (t->keyed)
		return 0;
	if (pop3store_sizes(t, e) < 0)
		return -1;
	t->in_box = true;
	if (name_all(t, e) < 0)
		return pop3store_fail(t, e);
	t->keyed = true;
	return 0;
}

/* ---- the box ---- */

/* What the engine is to know of it. Flags are none, so that their absence says nothing. */
static void describe(const struct pop3store *t, enum look_extent extent, struct box_info *out)
{
	*out = t->info;
	out->keyless = false;
	out->extent = extent;
	out->in_order = true;
	out->read_only = out->no_remove;
}

int pop3tree_open(struct pop3store *t, struct box_info *out, struct err *e)
{
	*out = (struct box_info){ 0 };
	if (session(t, e) < 0 || know_names(t, e) < 0)
		return -1;
	t->in_box = true;
	describe(t, LOOK_ALL, out);
	return 0;
}

int pop3tree_list_start(struct pop3store *t, struct err *e)
{
	t->at_row = 0;
	return pop3store_need_open(t, e);
}

/* What is known of a message. */
static void tell_message(struct pop3store *t, const struct pop3key *k, struct store_msg *m)
{
	const struct pop3head *h = pop3head_known(t, k->num);

	*m = (struct store_msg){ .num = k->num, .key = k->key, .size = k->size };
	if (!h)
		return;
	if (pop3head_size(t, h) > 0)
		m->size = pop3head_size(t, h);
	m->date = h->date;
	m->has_mid = h->has_mid;
	memcpy(m->mid, h->mid, IDENT_MID);
}

/* The next that has a name. */
static const struct pop3key *next_row(struct pop3store *t)
{
	while (t->at_row < t->keys.by_num.n) {
		const struct pop3key *k = &t->keys.by_num.a[t->at_row++];

		if (!k->vague || k->headed)
			return k;
	}
	return NULL;
}

int pop3tree_list_next(struct pop3store *t, struct store_msg *m, struct err *e)
{
	const struct pop3key *k = next_row(t);

	(void)e;
	if (k)
		tell_message(t, k, m);
	return k != NULL;
}

int pop3tree_find(struct store *s, struct slice key, uint64_t flags, struct store_msg *m, struct err *e)
{
	struct pop3store *t = pop3store_of(s);
	const struct pop3key *k;

	if (pop3store_need_open(t, e) < 0)
		return -1;
	k = pop3keys_find(&t->keys, key);
	if (!k)
		return 0;
	tell_message(t, k, m);
	m->flags = flags;
	m->key = slice_of(NULL, 0);
	return 1;
}

int pop3tree_idents(struct store *s, const uint64_t *nums, size_t n, bool marks, void (*tell)(void *arg, uint64_t num, const struct ident *id), void *arg, struct err *e)
{
	struct pop3store *t = pop3store_of(s);

	(void)marks; /* they stand in the header */
	if (pop3store_need_open(t, e) < 0 || pop3head_idents(t, nums, n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		const struct pop3head *h = pop3head_known(t, nums[i]);
		struct ident id = { 0 };

		if (!h)
			continue;
		id.size = pop3head_size(t, h);
		id.mark = h->mark;
		id.date = h->date;
		id.has_mid = h->has_mid;
		memcpy(id.mid, h->mid, IDENT_MID);
		if (id.size > 0)
			tell(arg, nums[i], &id);
	}
	return 0;
}

/* ---- the tree ---- */

int pop3tree_folders(struct store *s, int (*cb)(void *arg, const struct folder_info *f, struct err *e), void *arg, struct err *e)
{
	struct pop3store *t = pop3store_of(s);
	struct folder_info f = { .name = INBOX };

	if (session(t, e) < 0)
		return -1;
	f.messages = t->info.messages;
	f.bytes = t->info.bytes;
	memcpy(f.stamp, t->info.stamp, sizeof(f.stamp));
	return cb(arg, &f, e);
}

/* A maildrop has no folders that anybody could make, remove or rename. */
static int no_folders(const struct pop3store *t, const char *what, const char *folder, struct err *e)
{
	char name[160];

	err_printable(name, sizeof(name), folder, strlen(folder));
	return err_set_span(e, ERR_REFUSED, SPAN_BOX, "%s: folder '%s' can't be %s: POP3 knows the inbox alone", t->login.what, name, what);
}

int pop3tree_create(struct store *s, const char *folder, unsigned attrs, struct err *e)
{
	(void)attrs;
	return *folder == '\0' || strcmp(folder, INBOX) == 0 ? 0 : no_folders(pop3store_of(s), "made", folder, e);
}

int pop3tree_remove(struct store *s, const char *folder, uint64_t expected, struct err *e)
{
	(void)expected;
	return no_folders(pop3store_of(s), "removed", folder, e);
}

int pop3tree_rename(struct store *s, const char *from, const char *to, struct err *e)
{
	(void)to;
	return no_folders(pop3store_of(s), "renamed", from, e);
}

/* ---- looks ---- */

int pop3tree_look(struct store *s, const struct look *l, size_t n, unsigned how, struct err *e)
{
	struct pop3store *t = pop3store_of(s);

	(void)how;
	(void)e;
	t->looks = l;
	t->n_looks = n;
	t->at_look = 0;
	t->at_row = SIZE_MAX;
	return 0;
}

static int add_known(void *to, struct slice key, struct err *e)
{
	return numset_add(to, slice_hash(key)) < 0 ? err_set(e, ERR_LOCAL, "out of memory") : 0;
}

/* What the headers tell of the messages that the base has not. That a new one has the hash of a known one only means that it is not asked about. */
static int learn_new(struct pop3store *t, const struct look *l, struct err *e)
{
	struct numset known = { 0 };
	VEC(uint64_t) nums = { 0 };
	int rc = l->known ? l->known(l->arg, l->folder, add_known, &known, e) : 0;

	numset_seal(&known);
	for (size_t i = 0; rc == 0 && i < t->keys.by_num.n; i++) {
		const struct pop3key *k = &t->keys.by_num.a[i];

		if (k->key.n > 0 && !numset_has(&known, slice_hash(k->key)) && vec_push(&nums, k->num) < 0)
			rc = err_set(e, ERR_LOCAL, "out of memory");
	}
	if (rc == 0 && l->idents)
		rc = pop3head_idents(t, nums.a, nums.n, e);
	else if (rc == 0 && pop3head_has_top(t)) /* a limit of age */
		rc = pop3head_learn(t, nums.a, nums.n, false, e);
	numset_release(&known);
	vec_release(&nums);
	return rc;
}

/* Gmail shows the next when these were removed, or taken for read in its own ways. */
static void warn_partial(struct pop3store *t)
{
	if (t->info.partial && !t->warned_partial)
		log_warn("%s: by POP3 the server shows only a part of its mail at a time: use IMAP to be sure to have all of it", t->login.what);
	t->warned_partial |= t->info.partial;
}

static int look_at(struct pop3store *t, const struct look *l, struct box_info *out, struct err *e)
{
	bool same = t->info.stamp[0] != '\0' && strcmp(l->stamp, t->info.stamp) == 0;

	if (!same || l->all) {
		if (know_names(t, e) < 0)
			return -1;
		same = t->info.stamp[0] != '\0' && strcmp(l->stamp, t->info.stamp) == 0;
	}
	t->at_row = SIZE_MAX;
	if (same && !l->all) {
		describe(t, LOOK_SAME, out);
		return 1;
	}
	t->in_box = true;
	if ((l->idents || l->sizes) && learn_new(t, l, e) < 0)
		return -1;
	warn_partial(t);
	/* what is not shown is not gone */
	describe(t, t->incomplete || t->info.partial || t->p->gmail_recent ? LOOK_CHANGES : LOOK_ALL, out);
	t->at_row = 0;
	return 1;
}

int pop3tree_look_box(struct store *s, size_t *i, struct box_info *out, struct err *e)
{
	struct pop3store *t = pop3store_of(s);
	const struct look *l;

	*out = (struct box_info){ 0 };
	if (t->at_look == t->n_looks) {
		t->in_box = false;
		return 0;
	}
	*i = t->at_look++;
	l = &t->looks[*i];
	if (strcmp(l->folder, INBOX) != 0)
		return no_folders(t, "looked at", l->folder, e);
	return session(t, e) < 0 ? -1 : look_at(t, l, out, e);
}

int pop3tree_look_next(struct store *s, struct store_msg *m, struct err *e)
{
	struct pop3store *t = pop3store_of(s);
	const struct pop3key *k = next_row(t);
	const struct pop3head *h = k ? pop3head_known(t, k->num) : NULL;

	(void)e;
	if (!k)
		return 0;
	tell_message(t, k, m);
	m->num = 0;
	m->size = h ? pop3head_size(t, h) : 0; /* the server's own may be no size that anybody else would tell */
	return 1;
}
