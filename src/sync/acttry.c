/* Are a migration's source and target two mailboxes? One message is deleted before all others, to see that: see act_p.h. */
#include <stdlib.h>
#include <string.h>

#include "state/aside.h"
#include "sync/act_p.h"
#include "sync/exec_p.h"

#define CHUNK 16384

/* ---- what is kept aside ---- */

/* Its text, as a body that is read once; nobody frees it. */
struct kept_body {
	struct stream s;
	struct db *db;
	uint64_t at;
};

static ssize_t read_kept(struct stream *s, void *buf, size_t n, struct err *e)
{
	struct kept_body *k = (struct kept_body *)s;
	ssize_t got = aside_read(k->db, k->at, buf, n, e);

	if (got > 0)
		k->at += (uint64_t)got;
	return got;
}

static const struct stream_ops kept_ops = { .name = "aside", .read = read_kept, STREAM_READ_ONLY, .free = stream_no_shut };

static int keep_text(struct db *db, struct stream *body, struct err *e)
{
	char buf[CHUNK];
	ssize_t n;

	while ((n = stream_read(body, buf, sizeof(buf), e)) > 0)
		if (aside_write(db, buf, (size_t)n, e) < 0)
			return -1;
	return n < 0 ? -1 : 0;
}

/* Read it, all of it, into the base. 1; 0 it can't be had; -1. */
static int take_text(struct twoway *g, const struct work *w, struct err *e)
{
	struct store *left = g->side[LEFT];
	int rc = left->ops->want(left, &w->num, 1, e) < 0 ? -1 : 1;
	bool kept = false, lost = false;

	while (rc == 1) {
		struct stream *body = NULL;
		struct err why = ERR_INIT;
		size_t i = 0;

		rc = left->ops->next(left, &i, &body, &why);
		if (rc == 1 && body && !kept && !lost) {
			rc = keep_text(g->db, body, &why) < 0 ? -1 : 1;
			kept = rc == 1;
		}
		stream_free(body);
		lost |= rc < 0;
		if (rc < 0 && why.span == SPAN_MSG)
			rc = 1;
		else if (rc < 0)
			*e = why;
	}
	return rc < 0 ? -1 : kept && !lost;
}

/* Keep a message of the left aside, durably, as one that may have to come to the right once more. 1; 0 it can't be had; -1. */
static int keep_aside(struct twoway *g, const struct box *b, const struct work *w, const struct pair *p, struct err *e)
{
	const struct aside a = { .folder = b->f->base.id, .right = p->right, .flags = p->flags, .date = w->date != 0 ? w->date : p->told.date };
	int rc;

	exec_step(&g->x[RIGHT], "keep one aside");
	if (db_begin(g->db, e) < 0)
		return -1;
	rc = aside_put(g->db, &a, e) < 0 ? -1 : take_text(g, w, e);
	if (rc == 1)
		return db_commit(g->db, e) < 0 ? -1 : 1;
	db_rollback(g->db);
	return rc;
}

/* It is where it belongs; apart: and so the sides are two. */
static int let_go(struct twoway *g, bool apart, struct err *e)
{
	exec_step(&g->x[RIGHT], "let go of what was kept aside");
	if (db_begin(g->db, e) < 0)
		return -1;
	if (aside_drop(g->db, e) < 0 || (apart && sides_apart_put(g->db, e) < 0)) {
		db_rollback(g->db);
		return -1;
	}
	return db_commit(g->db, e);
}

/* ---- putting it back ---- */

/* From now on it is known how to find it at the right. */
static int note_hint(struct twoway *g, const struct staged *st, struct err *e)
{
	exec_step(&g->x[RIGHT], "note what is put back");
	if (db_begin(g->db, e) < 0)
		return -1;
	if (aside_hint(g->db, slice_str(st->hint), st->digest, e) < 0) {
		db_rollback(g->db);
		return -1;
	}
	return db_commit(g->db, e);
}

/* Bring it to the right's folder, which is open. */
static int publish_kept(struct twoway *g, const struct aside *a, struct err *e)
{
	struct store *right = g->side[RIGHT];
	struct store_meta meta = { .received = g->p->now, .flags = a->flags, .size_hint = a->size, .date = a->date };
	struct kept_body body = { .s = { .ops = &kept_ops }, .db = g->db };
	struct staged st = { .size = 0 };
	int rc;

	exec_step(&g->x[RIGHT], "put back");
	if (right->ops->stage(right, &body.s, &meta, &st, e) < 0 || right->ops->harden(right, &st, 1, e) < 0 || note_hint(g, &st, e) < 0) {
		right->ops->abandon(right);
		return -1;
	}
	exec_step(&g->x[RIGHT], "publish what is put back");
	rc = right->ops->publish(right, &st, 1, e);
	if (rc == 0 && st.refused) {
		*e = *st.refused;
		rc = -1;
	}
	free(st.refused);
	return rc < 0 ? -1 : let_go(g, false, e);
}

/* It is gone at the right, too: what a person is told. -1. */
static int one_mailbox(const struct err *failed, struct err *e)
{
	err_set_span(e, ERR_CONF, SPAN_BOX, "a message that was deleted at the source is gone at the target, too: both seem to be one mailbox; %s, and nothing else was deleted",
		     failed ? "it is kept in the state, and was not put back yet" : "it was put back");
	return failed ? err_hint(e, "the next run tries it again: %s", failed->text) : err_hint(e, "take delete-source out of the job");
}

static int put_back(struct twoway *g, const struct aside *a, struct err *e)
{
	struct err why = ERR_INIT;
	int rc = publish_kept(g, a, &why);

	if (rc < 0 && err_ends_all(&why)) {
		*e = why; /* the next session, or run, does it */
		return err_in(e, "putting a message back that was deleted at the source, and is kept in the state");
	}
	return one_mailbox(rc < 0 ? &why : NULL, e);
}

static void note_content(void *arg, uint64_t num, const struct ident *id)
{
	(void)num;
	*(struct ident *)arg = *id;
}

/* Is it still where it was at the right, whose folder is open? By its content. 1, 0, -1. */
static int is_unharmed(struct twoway *g, struct slice key, uint64_t flags, struct err *e)
{
	struct store *right = g->side[RIGHT];
	struct kept_body body = { .s = { .ops = &kept_ops }, .db = g->db };
	struct ident_reader *r = ident_reader_new(e);
	struct ident kept, there = { .size = 0 };
	struct store_msg m = { .num = 0 };
	int rc = r ? ident_read(r, &body.s, &kept, e) : -1;

	ident_reader_free(r);
	if (rc == 0)
		rc = right->ops->find(right, key, flags, &m, e);
	if (rc == 1 && store_read_idents(right, &m.num, 1, 0, note_content, &there, e) < 0)
		rc = -1;
	if (rc == 1)
		rc = there.has_digest && memcmp(there.plain, kept.plain, DIGEST_SIZE) == 0;
	return rc;
}

/* Has the right got it once more, by a run that did not hear of it? 1, 0, -1. */
static int was_put_back(struct twoway *g, const struct aside *a, struct slice hint, struct err *e)
{
	struct store *right = g->side[RIGHT];
	char text[STORE_HINT_MAX + 1];
	struct recovery r = { .key = "", .hint = text, .digest = a->digest };

	if (hint.n == 0 || hint.n >= sizeof(text))
		return 0;
	memcpy(text, hint.p, hint.n);
	text[hint.n] = '\0';
	return right->ops->recover(right, &r, 1, e) < 0 ? -1 : r.found;
}

static struct box *box_of(struct twoway *g, int64_t folder)
{
	for (size_t i = 0; i < g->boxes.n; i++)
		if (g->boxes.a[i].f->base.id == folder)
			return &g->boxes.a[i];
	return NULL;
}

/* See to it that it is in that folder. */
static int see_to(struct twoway *g, struct box *b, struct aside *a, struct err *e)
{
	struct slice key = arena_slice(&b->join.arena, a->right), hint = arena_slice(&b->join.arena, a->hint);
	struct box_info info;
	int rc;

	if (!key.p || !hint.p)
		return twoway_no_memory(e);
	if (words_read(g, b, e) < 0 || box_open(g, b, RIGHT, BOX_WRITE, &info, e) < 0)
		return -1;
	rc = is_unharmed(g, key, a->flags, e);
	if (rc == 1)
		return let_go(g, false, e);
	if (rc == 0)
		rc = was_put_back(g, a, hint, e);
	if (rc == 1)
		return let_go(g, false, e) < 0 ? -1 : one_mailbox(NULL, e);
	return rc < 0 ? -1 : put_back(g, a, e);
}

int act_put_back(struct twoway *g, struct err *e)
{
	struct err why = ERR_INIT;
	struct aside a;
	struct box *b;
	int rc = g->p->one_way && !g->p->dry_run ? aside_get(g->db, &a, e) : 0;

	if (rc != 1)
		return rc;
	b = box_of(g, a.folder);
	if (b && b->failed)
		return 0;
	if (!b || !box_there(b, RIGHT)) {
		twoway_warn(g, "a message that was deleted at the source by a run that came to no end is kept in the state: it is seen to when its folder is there at the target, and in the job");
		return 0;
	}
	act_on(g, b);
	rc = see_to(g, b, &a, &why);
	g->side[RIGHT]->ops->close_box(g->side[RIGHT]);
	return rc < 0 ? box_error(g, b, &why, e) : 0;
}

/* ---- the trial ---- */

static void note_seen(void *arg, uint64_t num, const struct ident *id)
{
	(void)num;
	(void)id;
	*(bool *)arg = true;
}

/* Has the right, looked at anew, that message still? 1, 0, -1. */
static int is_there(struct twoway *g, struct box *b, struct slice key, uint64_t flags, struct err *e)
{
	struct store *right = g->side[RIGHT];
	struct store_msg m = { .num = 0 };
	struct box_info info;
	bool seen = true;
	int rc = box_open(g, b, RIGHT, BOX_WRITE, &info, e) < 0 ? -1 : right->ops->find(right, key, flags, &m, e);

	if (rc != 1 || !twoway_tells(g, RIGHT))
		return rc;
	/* a session goes on showing what others have removed until it has told that, behind the answer to a command: so it is the second answer that counts */
	for (int i = 0; rc >= 0 && i < 2; i++) {
		seen = false;
		rc = right->ops->idents(right, &m.num, 1, false, note_seen, &seen, e);
	}
	return rc < 0 ? -1 : seen;
}

/* The left once more, which its commit has closed. */
static int open_again(struct twoway *g, struct box *b, struct work *w, size_t n, struct err *e)
{
	struct store *left = g->side[LEFT];
	struct box_info info;

	if (box_open(g, b, LEFT, BOX_WRITE, &info, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		struct store_msg m = { .num = 0 };
		int rc;

		if (!(w[i].acts & PLAN_REMOVE_LEFT))
			continue;
		rc = left->ops->find(left, w[i].key, 0, &m, e);
		if (rc < 0)
			return -1;
		if (rc == 0)
			w[i].acts = PLAN_NOTHING;
		w[i].num = m.num;
	}
	return 0;
}

/* The smallest that is left. */
static struct work *smallest(struct work *w, size_t n)
{
	struct work *out = NULL;

	for (size_t i = 0; i < n; i++)
		if (w[i].acts & PLAN_REMOVE_LEFT && (!out || w[i].size < out->size))
			out = &w[i];
	return out;
}

/* Delete that one, and look for it at the right. 1 it was deleted, and is there; 0 it was not deleted; -1. */
static int try_one(struct twoway *g, struct box *b, struct work *one, struct err *e)
{
	uint64_t removed = 0;
	struct slice key;
	struct aside a;
	struct pair p;
	int rc = pairs_by_id(g->db, one->pair, &p, e);

	if (rc != 1)
		return rc;
	key = arena_slice(&b->join.arena, p.right);
	if (!key.p)
		return twoway_no_memory(e);
	p.right = key;
	rc = keep_aside(g, b, one, &p, e);
	if (rc != 1)
		return rc;
	if (exec_remove(&g->x[RIGHT], one, 1, e) < 0 || exec_commit(&g->x[RIGHT], false, 0, &removed, e) < 0)
		return -1;
	if (removed == 0)
		return let_go(g, false, e);
	rc = is_there(g, b, key, p.flags, e);
	if (rc == 1)
		return let_go(g, true, e) < 0 ? -1 : 1;
	if (rc == 0)
		rc = aside_get(g->db, &a, e);
	return rc == 1 ? put_back(g, &a, e) : -1;
}

int act_try_one(struct twoway *g, struct box *b, struct work *w, size_t n, size_t before, struct err *e)
{
	struct aside a;
	struct work *one;
	int rc;

	if (!twoway_far(g, RIGHT) || before == 0) /* a Maildir or mbox has no second door */
		return 0;
	rc = sides_apart(g->db, e);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	rc = aside_get(g->db, &a, e);
	if (rc == 1)
		err_set_span(e, ERR_TEMP, SPAN_BOX, "a message that was kept aside by an earlier run has to be seen to before anything is deleted here");
	if (rc != 0)
		return -1;
	while (rc == 0 && (one = smallest(w, before)) != NULL) {
		rc = try_one(g, b, one, e);
		one->acts = PLAN_NOTHING;
	}
	return rc == 1 ? open_again(g, b, w, n, e) : rc;
}
