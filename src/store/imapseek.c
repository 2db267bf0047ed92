/*
 * Finding what was appended to an IMAP mailbox: above the lowest UID that it can have, by content;
 * or where the server says that it is. Only what has the size that is sought, or the Message-ID, is
 * read.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/imapput_p.h"

#define CANDIDATES_MAX 1000000
#define CANDIDATE "(UID RFC822.SIZE BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])"

struct candidate {
	uint32_t uid;
	bool has_size, has_mid, has_digest;
	bool refused; /* its content can't be read, though it is there */
	bool taken;
	uint64_t size;
	unsigned char mid[IDENT_MID];
	unsigned char digest[DIGEST_SIZE];
};

struct seeking {
	struct ident_reader *reader;
	uint32_t from;
	VEC(struct candidate) found;
	VEC(size_t) read;         /* candidates whose content is read */
	struct ident id;          /* what stands in the response that is being read */
};

static int by_uid(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	return (x->uid > y->uid) - (x->uid < y->uid);
}

/* imap_on of the FETCH of candidates */
static int on_candidate(void *arg, const struct imap_resp *r, struct err *e)
{
	struct seeking *w = arg;
	struct candidate c = { .uid = r->fetch.uid };

	if (r->kind == IMAP_FETCH_BODY)
		return ident_read(w->reader, r->body.s, &w->id, e);
	if (r->kind != IMAP_FETCH)
		return 0;
	c.has_mid = w->id.has_mid;
	memcpy(c.mid, w->id.mid, IDENT_MID);
	w->id = (struct ident){ 0 };
	if (!(r->fetch.has & IMAP_HAS_UID) || r->fetch.uid < w->from ||
		!(r->fetch.has & (IMAP_HAS_RFC822_SIZE | IMAP_HAS_BODY)))
		return 0;
	c.has_size = r->fetch.has & IMAP_HAS_RFC822_SIZE;
	c.size = c.has_size ? r->fetch.size : 0;
	if (w->found.n >= CANDIDATES_MAX)
		return err_set_span(
			e, ERR_PROTO, SPAN_BOX, "the server lists messages without end");
	return vec_push(&w->found, c) < 0 ? err_set(e, ERR_LOCAL, "out of memory") : 0;
}

/* imapstore_flight.send: the content of a candidate */
static int send_read(struct imapstore *t, void *arg, size_t i, uint32_t *tag, struct err *e)
{
	struct seeking *w = arg;

	return imap_send(&t->conn, tag, e, "UID FETCH %" PRIu32 " (UID BODY.PEEK[])",
		w->found.a[w->read.a[i]].uid);
}

static int end_read(struct imapstore *t, void *arg, size_t i, const struct imap_resp *r,
	const struct err *why, struct err *e)
{
	struct seeking *w = arg;

	(void)t;
	if (!r && why->span == SPAN_ACCT) {
		*e = *why;
		return -1;
	}
	w->found.a[w->read.a[i]].refused = !r;
	return 0;
}

/* imapstore_flight.data */
static int data_read(struct imapstore *t, void *arg, const struct imap_resp *r, struct err *e)
{
	struct seeking *w = arg;
	struct candidate key = { .uid = r->fetch.uid }, *c;

	(void)t;
	if (r->kind == IMAP_FETCH_BODY && r->body.section.n == 0 && !r->body.nil)
		return ident_read(w->reader, r->body.s, &w->id, e);
	if (r->kind != IMAP_FETCH || !w->id.has_digest)
		return 0;
	c = r->fetch.has & IMAP_HAS_UID && w->found.n > 0
		? bsearch(&key, w->found.a, w->found.n, sizeof(key), by_uid)
		: NULL;
	if (c) {
		memcpy(c->digest, w->id.digest, DIGEST_SIZE);
		c->has_digest = true;
	}
	w->id = (struct ident){ 0 };
	return 0;
}

static bool like(const struct imapsought *s, const struct candidate *c)
{
	return c->uid >= s->from &&
		((c->has_size && c->size == s->size) ||
			(c->has_mid && s->has_mid && memcmp(c->mid, s->mid, IDENT_MID) == 0));
}

/* Each candidate once, by UID; the content of those is read that look like one that is sought. */
static int read_alike(struct imapstore *t, struct seeking *w, const struct imapsought *s, size_t n,
	bool (*alike)(const struct imapsought *s, const struct candidate *c), struct err *e)
{
	struct imapstore_flight f = {
		.send = send_read, .end = end_read, .data = data_read, .arg = w
	};
	size_t k = 0;

	if (w->found.n == 0)
		return 0;
	qsort(w->found.a, w->found.n, sizeof(w->found.a[0]), by_uid);
	for (size_t i = 0; i < w->found.n; i++) {
		bool one = false;

		if (k > 0 && w->found.a[k - 1].uid == w->found.a[i].uid)
			continue;
		w->found.a[k++] = w->found.a[i];
		for (size_t j = 0; !one && j < n; j++)
			one = s[j].uid == 0 && !s[j].merged && alike(&s[j], &w->found.a[k - 1]);
		if (one && vec_push(&w->read, k - 1) < 0)
			return err_set(e, ERR_LOCAL, "out of memory");
	}
	w->found.n = k;
	f.n = w->read.n;
	return f.n > 0 ? imapstore_fly(t, &f, e) : 0;
}

/* List what came since, and read what looks like one of those that are sought. */
static int list_candidates(struct imapstore *t, struct seeking *w, const struct imapsought *s,
	size_t n, bool sure, struct err *e)
{
	struct err why = ERR_INIT;
	uint32_t tag;
	int rc;

	w->from = UINT32_MAX;
	for (size_t i = 0; i < n; i++)
		if (s[i].uid == 0 && !s[i].merged && s[i].from < w->from)
			w->from = s[i].from;
	if (imap_send(&t->conn, &tag, e, "UID FETCH %" PRIu32 ":* " CANDIDATE, w->from) < 0)
		return imapstore_broken(t, e);
	rc = imapstore_finish(t, tag, on_candidate, w, NULL, &why, e);
	if (rc < 0)
		return -1;
	/*
	 * An empty mailbox may have it that there is nothing to fetch. Else nobody knows what is
	 * there, and what is taken for missing would be sent once more.
	 */
	if (rc == 0 && (why.span == SPAN_ACCT || sure || t->sel.exists > 0)) {
		if (why.span == SPAN_MSG)
			why.span = SPAN_BOX;
		imapstore_give(e, &why);
		return err_in(e, "'%s'", t->box->name);
	}
	return read_alike(t, w, s, n, like, e);
}

/* Is it one that is sought, by its content? One that can't be read: by all else that is known of it. */
static bool is(const struct candidate *c, const struct imapsought *s)
{
	if (c->has_digest)
		return memcmp(c->digest, s->digest, DIGEST_SIZE) == 0;
	return c->refused && c->has_size && c->size == s->size && c->has_mid && s->has_mid &&
		memcmp(c->mid, s->mid, IDENT_MID) == 0;
}

/* Does this server store other bytes than it is given? Then the content proves nothing. */
static bool rewrites(const struct imapstore *t)
{
	static const char *const names[] = { "Microsoft Exchange", "Proton", "gluon" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strstr(t->conn.greeting, names[i]) || strstr(t->conn.server, names[i]))
			return true;
	return false;
}

/* Take for each the first candidate that is still free: by content, or by Message-ID. */
static void claim(struct seeking *w, struct imapsought *s, size_t n, bool by_mid)
{
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; s[i].uid == 0 && !s[i].merged && k < w->found.n; k++) {
			struct candidate *c = &w->found.a[k];
			bool same = by_mid
				? c->has_mid && s[i].has_mid &&
					memcmp(c->mid, s[i].mid, IDENT_MID) == 0
				: is(c, &s[i]);

			if (c->taken || c->uid < s[i].from || !same)
				continue;
			c->taken = true;
			s[i].uid = c->uid;
		}
	}
}

/* Those that are sure to be there, but whose bytes were changed: the server adds them in the order
 * in which they were given. */
static void claim_rest(struct seeking *w, struct imapsought *s, size_t n)
{
	size_t free_ones = 0, left = 0, k = 0;

	for (size_t i = 0; i < w->found.n; i++)
		free_ones += !w->found.a[i].taken;
	for (size_t i = 0; i < n; i++)
		left += s[i].uid == 0 && !s[i].merged;
	if (left == 0 || left != free_ones)
		return;
	for (size_t i = 0; i < n; i++) {
		if (s[i].uid != 0 || s[i].merged)
			continue;
		while (w->found.a[k].taken)
			k++;
		s[i].uid = w->found.a[k].uid;
		w->found.a[k].taken = true;
	}
}

/* Find them. sure: they are there. */
int imapseek(struct imapstore *t, struct imapsought *s, size_t n, bool sure, struct err *e)
{
	struct seeking w = { .reader = ident_reader_new(e) };
	int rc = w.reader ? list_candidates(t, &w, s, n, sure, e) : -1;

	if (rc == 0) {
		/* what is known of some is nobody else's */
		for (size_t i = 0; i < n; i++)
			for (size_t k = 0; s[i].uid != 0 && k < w.found.n; k++)
				w.found.a[k].taken |= w.found.a[k].uid == s[i].uid;
		claim(&w, s, n, false);
		if (sure || rewrites(t))
			claim(&w, s, n, true);
		if (sure && !(t->conn.caps.have & IMAP_CAP_GMAIL)) /* there nothing need be new */
			claim_rest(&w, s, n);
	}
	ident_reader_free(w.reader);
	vec_release(&w.found);
	vec_release(&w.read);
	return rc;
}

/* ---- what the server names ---- */

/* imap_on */
static int on_there(void *arg, const struct imap_resp *r, struct err *e)
{
	struct uidset *missing = arg;

	if (r->kind != IMAP_FETCH || !(r->fetch.has & IMAP_HAS_UID))
		return 0;
	return uidset_remove(missing, r->fetch.uid, e);
}

int imapseek_missing(
	struct imapstore *t, const struct uidset *uids, struct uidset *missing, struct err *e)
{
	struct imapuids ask = {
		.uids = uids, .items = "(UID)", .noop = true, .on = on_there, .arg = missing
	};

	if (uidset_unite(missing, uids, e) < 0 || imapuids_ask(t, &ask, e) < 0)
		return -1;
	if (ask.refused)
		uidset_clear(missing);
	return 0;
}

/* May it be the one that it is said to be? */
static bool like_said(const struct imapsought *s, const struct candidate *c)
{
	return c->uid == s->said &&
		((c->has_size && c->size == s->size) ||
			(c->has_mid && s->has_mid && memcmp(c->mid, s->mid, IDENT_MID) == 0));
}

/* It is the one that is sought, or another of its Message-ID, or that was no answer. */
static void take_said(const struct imapstore *t, const struct seeking *w, struct imapsought *s)
{
	struct candidate key = { .uid = s->said }, *c = NULL;
	bool mid;

	if (w->found.n > 0)
		c = bsearch(&key, w->found.a, w->found.n, sizeof(key), by_uid);
	if (!c)
		return;
	mid = c->has_mid && s->has_mid && memcmp(c->mid, s->mid, IDENT_MID) == 0;
	if (is(c, s) || (mid && rewrites(t)))
		s->uid = s->said;
	else
		s->merged = mid && c->has_digest;
}

int imapseek_said(struct imapstore *t, struct imapsought *s, size_t n, struct err *e)
{
	struct seeking w = { .from = 1 };
	struct uidset said = UIDSET_INIT;
	struct imapuids ask = {
		.uids = &said, .items = CANDIDATE, .noop = true, .on = on_candidate, .arg = &w
	};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++)
		if (s[i].uid == 0 && s[i].said != 0)
			rc = uidset_add(&said, s[i].said, e);
	if (rc < 0 || said.n == 0)
		goto out;
	w.reader = ident_reader_new(e);
	rc = w.reader ? imapuids_ask(t, &ask, e) : -1;
	if (rc == 0)
		rc = read_alike(t, &w, s, n, like_said, e);
	for (size_t i = 0; rc == 0 && i < n; i++)
		if (s[i].uid == 0 && s[i].said != 0)
			take_said(t, &w, &s[i]);
out:
	ident_reader_free(w.reader);
	uidset_release(&said);
	vec_release(&w.found);
	vec_release(&w.read);
	return rc;
}

/* ---- after a cut ---- */

/* "VALIDITY UIDNEXT SIZE IDENT_MID" */
static bool read_hint(const char *hint, uint32_t validity, struct imapsought *out)
{
	struct slice rest = slice_str(hint), mid;
	uint64_t v, next;

	if (!slice_u64(slice_word(&rest), UINT32_MAX, &v) ||
		!slice_u64(slice_word(&rest), UINT32_MAX, &next) ||
		!slice_u64(slice_word(&rest), INT64_MAX, &out->size) || v != validity)
		return false;
	out->from = (uint32_t)next;
	mid = slice_word(&rest);
	out->has_mid = mid.n == 2 * IDENT_MID;
	for (size_t i = 0; out->has_mid && i < IDENT_MID; i++) {
		char hex[3] = { mid.p[2 * i], mid.p[2 * i + 1], '\0' };

		out->mid[i] = (unsigned char)strtoul(hex, NULL, 16);
	}
	return true;
}

/* store_ops.recover */
int imapput_recover(struct store *s, struct recovery *r, size_t n, struct err *e)
{
	struct imapstore *t = imapstore_of(s);
	VEC(struct imapsought) sought = { 0 };
	VEC(size_t) whose = { 0 };
	struct imapput *u;
	int rc = 0;

	if (imapstore_need_box(t, false, e) < 0)
		return -1;
	u = imapput_of(t, e); /* which keeps the keys */
	if (!u)
		return imapstore_fail(t, e);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct imapsought x = { .digest = r[i].digest };

		r[i].found = false;
		r[i].now = (struct slice){ 0 };
		if (read_hint(r[i].hint, t->sel.validity, &x) &&
			(vec_push(&sought, x) < 0 || vec_push(&whose, i) < 0))
			rc = err_set(e, ERR_LOCAL, "out of memory");
	}
	if (rc == 0 && sought.n > 0)
		rc = imapseek(t, sought.a, sought.n, false, e);
	vec_clear(&u->keys);
	for (size_t i = 0; rc == 0 && i < 16 * sought.n; i++)
		if (vec_push(&u->keys, '\0') < 0)
			rc = err_set(e, ERR_LOCAL, "out of memory");
	for (size_t i = 0; rc == 0 && i < sought.n; i++) {
		char *key = &u->keys.a[16 * i];

		if (sought.a[i].uid == 0)
			continue;
		snprintf(key, 16, "%" PRIu32, sought.a[i].uid);
		r[whose.a[i]].found = true;
		r[whose.a[i]].now = slice_str(key);
	}
	vec_release(&sought);
	vec_release(&whose);
	return rc < 0 ? imapstore_fail(t, e) : 0;
}
