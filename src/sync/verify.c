/*
 * Verify: do both sides hold the same? See engine.h.
 *
 * Folders are taken in groups, so that a server is asked for many of them at once and no more of them than of the largest is in memory: each side is listed, with what tells its
 * messages apart, both are compared, and what then is in doubt is read. Where the link breaks it goes on with what was not listed or read yet.
 */
#include "sync/verify_p.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state/keywords.h"

#define BREAKS_MAX 20       /* of the links, in a run */
#define GROUP_BOXES 256
#define GROUP_MESSAGES 20000
#define GUESS 1000          /* messages of a folder of which nothing is known */
#define PROGRESS_MS 100

void verify_put(struct verify *v, struct event *ev)
{
	ev->job = v->p->job;
	ev->sides = v->one_way ? SIDES_ONE_WAY : v->side[RIGHT]->ops->caps & STORE_REMOTE ? SIDES_REMOTE : SIDES_HERE;
	event_put(v->sink, ev);
}

void verify_progress(struct verify *v)
{
	struct event ev = { .type = EVENT_PROGRESS, .done = v->done, .done_bytes = v->bytes };
	msec_t now = clock_now();

	if (now - v->told < PROGRESS_MS)
		return;
	v->told = now;
	verify_put(v, &ev);
}

void verify_failed(struct verify *v, const struct verify_box *b, const char *key, const struct err *why)
{
	char uid[ERR_TEXT_MAX];
	struct event ev = { .type = EVENT_ERROR, .folder = b->f->left, .kind = why->kind, .span = key ? SPAN_MSG : SPAN_BOX, .text = why->text };

	if (key)
		ev.uid = err_printable(uid, sizeof(uid), key, strlen(key));
	v->totals->failed++;
	verify_put(v, &ev);
}

static void warn(void *arg, const char *text)
{
	struct event ev = { .type = EVENT_WARNING, .text = text };

	verify_put(arg, &ev);
}

/* Both ways: a folder that a run would leave out, too, though nobody wanted that: it is not compared. */
static void fail_folder(void *arg, const char *text)
{
	struct verify *v = arg;
	struct event ev = { .type = EVENT_ERROR, .kind = ERR_CONF, .span = SPAN_BOX, .text = text };

	v->totals->failed++;
	verify_put(v, &ev);
}

/* After a call that failed: 1 it is worth another try; 0 this folder is given up, and that was told; -1 (*e). */
static int after(struct verify *v, struct verify_box *b, struct err *why, struct err *e)
{
	if (b && v->p->sync && !err_ends_all(why)) {
		verify_failed(v, b, NULL, why);
		b->failed = true;
		return 0;
	}
	if (!err_link_lost(why) || !err_ends_all(why) || v->done == v->done_then || v->breaks == BREAKS_MAX) {
		*e = *why;
		return -1;
	}
	v->breaks++;
	v->done_then = v->done;
	err_in(why, "going on after");
	warn(v, why->text);
	for (int s = LEFT; s <= RIGHT; s++)
		v->side[s]->ops->close_box(v->side[s]);
	return 1;
}

/* ---- what is known before ---- */

static int by_note(const void *a, const void *b)
{
	const struct verify_note *x = a, *y = b;

	if (x->folder != y->folder)
		return x->folder < y->folder ? -1 : 1;
	if (x->back != y->back)
		return x->back ? 1 : -1;
	return slice_cmp(x->key, y->key);
}

const struct verify_note *verify_note_of(const struct verify *v, const struct verify_box *b, int side, const struct verify_msg *m)
{
	struct verify_note want = { .folder = b->f->base.id, .back = side == RIGHT, .key = slice_str(m->key) };

	return v->notes.n > 0 && m->key[0] != '\0' ? bsearch(&want, v->notes.a, v->notes.n, sizeof(want), by_note) : NULL;
}

static int take_failure(void *arg, const struct failure *f, struct err *e)
{
	struct verify *v = arg;
	struct verify_note n = { .folder = f->folder, .back = f->back, .key = arena_slice(&v->texts, f->key), .reason = arena_str(&v->texts, f->reason),
				 .limit = f->kind == ERR_NONE };

	return !n.key.p || !n.reason || vec_push(&v->notes, n) < 0 ? twoway_no_memory(e) : 0;
}

static int read_notes(struct verify *v, struct err *e)
{
	if (failures_each(v->db, take_failure, v, e) < 0)
		return -1;
	if (v->notes.n > 0)
		qsort(v->notes.a, v->notes.n, sizeof(*v->notes.a), by_note);
	return 0;
}

static int take_word(void *arg, const struct keyword_row *r, struct err *e)
{
	struct verify_box *b = arg;
	uint64_t flag = 0;

	if (r->place >= KEYWORDS_MAX)
		return 0;
	if (keywords_intern(&b->keywords, r->name, &flag, e) < 0)
		return -1;
	for (int s = LEFT; s <= RIGHT; s++)
		if (r->refused[s] || r->told[s])
			b->unheld[s] |= flag;
	return 0;
}

/* ---- one folder ---- */

/* Flags that one side alone can have make no difference. */
static void mask_flags(const struct verify *v, struct verify_box *b)
{
	uint64_t able = v->p->sync ? FLAGS_EVERY : 0;

	for (int s = LEFT; s <= RIGHT; s++)
		able &= (b->info[s].can_hold | b->info[s].can_take) & ~b->unheld[s] & ~b->view[s].refused;
	for (int s = LEFT; s <= RIGHT; s++)
		for (size_t i = 0; i < b->m[s].n; i++)
			b->m[s].a[i].flags &= able;
}

static int list_side(struct verify *v, struct verify_box *b, int side, struct err *e)
{
	int rc = 1;

	while (rc == 1 && !b->listed[side]) {
		struct err why = ERR_INIT;

		if (verify_list(v, b, side, &why) < 0)
			rc = after(v, b, &why, e);
	}
	return rc < 0 ? -1 : 0;
}

/* What is read of a folder. */
enum reading {
	READ_IDENTS,  /* what tells its messages apart */
	READ_ALL,
	READ_DOUBTS,  /* those that the comparison has left in doubt */
};

static int read_side(struct verify *v, struct verify_box *b, int side, enum reading what, struct err *e)
{
	int rc = 1;

	while (rc == 1) {
		struct err why = ERR_INIT;

		if (what == READ_DOUBTS)
			verify_doubts(b);
		for (size_t i = 0; what != READ_DOUBTS && i < b->m[side].n; i++)
			b->m[side].a[i].pick = true;
		if (verify_read(v, b, side, what != READ_IDENTS, &why) == 0)
			return 0;
		rc = after(v, b, &why, e);
	}
	return rc;
}

/* What both sides hold of it is known as far as is wanted. */
static int compare_both(struct verify *v, struct verify_box *b, struct err *e)
{
	mask_flags(v, b);
	if (verify_match(v, b, e) < 0)
		return -1;
	if (!verify_doubts(b))
		return 0;
	for (int s = LEFT; s <= RIGHT && !b->failed; s++)
		if (read_side(v, b, s, READ_DOUBTS, e) < 0)
			return -1;
	return b->failed ? 0 : verify_match(v, b, e);
}

/* As IMAP spells them. */
static const char *flags_text(const struct verify_box *b, uint64_t flags, struct strbuf *out)
{
	strbuf_clear(out);
	if (keywords_to_imap(&b->keywords, flags, out) < 0)
		strbuf_clear(out);
	return strbuf_str(out);
}

static void tell_box(struct verify *v, const struct verify_box *b)
{
	struct event compared = { .type = EVENT_COMPARED, .folder = b->f->left, .compared = b->found };
	struct strbuf text[2] = { STRBUF_INIT(8192), STRBUF_INIT(8192) };
	char uid[ERR_TEXT_MAX];

	verify_put(v, &compared);
	for (size_t i = 0; i < b->drifts.n; i++) {
		const struct verify_drift *d = &b->drifts.a[i];
		struct event ev = { .type = EVENT_DRIFT, .drift = d->drift, .at = d->at, .folder = b->f->left, .size = d->size, .text = d->text };

		ev.uid = err_printable(uid, sizeof(uid), d->key, strlen(d->key));
		if (d->drift == DRIFT_FLAGS) {
			ev.text = flags_text(b, d->flags[LEFT], &text[LEFT]);
			ev.to = flags_text(b, d->flags[RIGHT], &text[RIGHT]);
		} else {
			ev.to = d->message_id;
		}
		verify_put(v, &ev);
	}
	strbuf_release(&text[LEFT]);
	strbuf_release(&text[RIGHT]);
}

static int compare_box(struct verify *v, struct verify_box *b, struct err *e)
{
	const bool both = b->f->on_left && b->f->on_right;

	for (int s = LEFT; s <= RIGHT && !v->p->sync; s++)
		if (list_side(v, b, s, e) < 0)
			return -1;
	for (int s = LEFT; s <= RIGHT && both && !b->failed; s++)
		if (read_side(v, b, s, v->p->full ? READ_ALL : READ_IDENTS, e) < 0)
			return -1;
	if (both && !b->failed && compare_both(v, b, e) < 0)
		return -1;
	if (b->failed)
		return 0;
	b->found.folders = b->f->on_left || !v->one_way;
	if (verify_rest(v, b, e) < 0)
		return -1;
	event_compared_add(v->out, &b->found);
	b->compared = b->found.folders > 0;
	return 0;
}

static void box_release(struct verify_box *b)
{
	keywords_release(&b->keywords);
	arena_release(&b->arena);
	vec_release(&b->m[LEFT]);
	vec_release(&b->m[RIGHT]);
	vec_release(&b->drifts);
}

/* ---- all folders ---- */

/* How many messages a folder may bring. */
static uint64_t weight(const struct sync_folder *f)
{
	uint64_t l = !f->on_left ? 0 : f->left_messages == UINT64_MAX ? GUESS : f->left_messages;
	uint64_t r = !f->on_right ? 0 : f->right_messages == UINT64_MAX ? GUESS : f->right_messages;

	return l > r ? l : r;
}

/* What the right alone has of a job that goes one way need not be listed to be counted; or the base alone has it. */
static void count_extra(struct verify *v, const struct sync_folder *f)
{
	const uint64_t n = f->on_right ? f->right_messages : 0;

	v->out->right += n;
	v->out->extra += n;
}

/* The next folders, of which there is at least one: how far. */
static int gather(struct verify *v, size_t from, size_t *to, struct err *e)
{
	uint64_t messages = 0;

	for (*to = from; *to < v->folders.f.n && v->boxes.n < GROUP_BOXES; ++*to) {
		struct verify_box b = { .f = &v->folders.f.a[*to], .arena = ARENA_INIT((size_t)1 << 32) };

		if (!b.f->on_left && (!b.f->on_right || (v->one_way && b.f->right_messages != UINT64_MAX))) {
			count_extra(v, b.f);
			continue;
		}
		messages += weight(b.f) < GROUP_MESSAGES ? weight(b.f) : GROUP_MESSAGES;
		if (v->boxes.n > 0 && messages > GROUP_MESSAGES)
			break;
		if (vec_push(&v->boxes, b) < 0)
			return twoway_no_memory(e);
	}
	for (size_t i = 0; i < v->boxes.n; i++) {
		struct verify_box *b = &v->boxes.a[i];

		b->view[LEFT].table = b->view[RIGHT].table = &b->keywords;
		if (b->f->base.id != 0 && v->p->sync && keyword_rows_each(v->db, b->f->base.id, take_word, b, e) < 0)
			return -1;
	}
	return 0;
}

static int list_group(struct verify *v, struct err *e)
{
	for (int s = LEFT; s <= RIGHT && v->p->sync; s++) {
		int rc = 1;

		while (rc == 1) {
			struct err why = ERR_INIT;

			if (verify_look(v, s, &why) == 0)
				break;
			rc = after(v, NULL, &why, e);
		}
		if (rc < 0)
			return -1;
	}
	return 0;
}

/* They are told at the end: to learn what a person wants to know of the differences would disturb what was asked for ahead of time. */
static int compare_group(struct verify *v, struct err *e)
{
	int rc = list_group(v, e);

	for (int s = LEFT; s <= RIGHT && v->p->full && rc == 0; s++)
		verify_soon(v, s);
	for (size_t i = 0; i < v->boxes.n && rc == 0; i++)
		if (!v->boxes.a[i].failed)
			rc = compare_box(v, &v->boxes.a[i], e);
	for (size_t i = 0; i < v->boxes.n; i++) {
		if (!v->boxes.a[i].compared)
			continue;
		if (rc == 0)
			rc = verify_name_drifts(v, &v->boxes.a[i], e);
		tell_box(v, &v->boxes.a[i]);
	}
	return rc;
}

static void forget_group(struct verify *v)
{
	v->side[LEFT]->keywords = v->side[RIGHT]->keywords = NULL;
	for (int s = LEFT; s <= RIGHT; s++)
		v->side[s]->ops->close_box(v->side[s]);
	for (size_t i = 0; i < v->boxes.n; i++)
		box_release(&v->boxes.a[i]);
	vec_clear(&v->boxes);
}

/* A right side that can't be read is no empty one. */
static int no_right(void *arg, struct err *e)
{
	(void)arg;
	(void)e;
	return -1;
}

/* A fetch's: one box on each side. */
static int read_single(struct verify *v, struct err *e)
{
	struct sync_folder f = { .left = "", .right = v->p->folder, .on_left = true, .on_right = true, .left_messages = UINT64_MAX, .right_messages = UINT64_MAX };

	v->folders = (struct folders)FOLDERS_INIT;
	if (folders_get(v->db, f.left, f.right, &f.base, e) < 0)
		return -1;
	if (v->p->listed)
		f.right = v->p->listed;
	return vec_push(&v->folders.f, f) < 0 ? twoway_no_memory(e) : 0;
}

/* Folders of a migration that can't be copied as things are, and are not compared. */
static void fail_refused(struct verify *v)
{
	for (size_t i = 0; i < v->folders.refused.n; i++) {
		const struct folder_refused *f = &v->folders.refused.a[i];
		struct event ev = { .type = EVENT_ERROR, .folder = f->left, .kind = f->why.kind, .span = SPAN_BOX, .text = f->why.text };

		v->totals->failed++;
		verify_put(v, &ev);
	}
}

/* As before a run: a side without any folder has vanished. */
static int read_trees(struct verify *v, struct err *e)
{
	struct folders_params params = v->p->sync->folders;
	bool known = false;

	params.one_way = v->one_way;
	v->folders = (struct folders)FOLDERS_INIT;
	for (int s = LEFT; s <= RIGHT; s++)
		v->side[s]->counts = v->side[s]->ops->caps & STORE_REMOTE || (s == RIGHT && v->one_way);
	if (folders_read(&v->folders, &params, v->side[LEFT], v->side[RIGHT], v->db, no_right, v->one_way ? warn : fail_folder, v, e) < 0)
		return -1;
	fail_refused(v);
	for (size_t i = 0; i < v->folders.f.n; i++)
		known |= v->folders.f.a[i].base.id != 0;
	if (v->folders.n_left == 0)
		return err_set(e, ERR_UNAVAIL, "%s", v->one_way ? "the source holds no folders at all" : "the server shows no folders at all, not even an inbox");
	if (known && v->folders.n_right == 0) {
		err_set(e, ERR_LOCAL, "%s holds no folders any more", v->p->sync->right_name ? v->p->sync->right_name : "the other side");
		return err_hint(e, "is its disk mounted?");
	}
	if (v->folders.f.n == 0)
		warn(v, "`folders` leaves no folder to be compared: look at `mailhaul list` for their names");
	return 0;
}

/* Can both sides be read as this needs it? */
static int check_stores(const struct verify *v, struct err *e)
{
	const unsigned need = STORE_SOURCE | (v->p->sync ? STORE_TREE : 0);

	for (int s = LEFT; s <= RIGHT; s++)
		if ((v->side[s]->ops->caps & need) != need)
			return err_set(e, ERR_CONF, "what is in the %s of this job can't be listed, so that it can't be compared", v->side[s]->ops->name);
	return 0;
}

static int run(struct verify *v, struct err *e)
{
	if (check_stores(v, e) < 0 || read_notes(v, e) < 0)
		return -1;
	v->reader = ident_reader_new(e);
	if (!v->reader || (v->p->sync ? read_trees(v, e) : read_single(v, e)) < 0)
		return -1;
	for (size_t at = 0; at < v->folders.f.n;) {
		int rc = gather(v, at, &at, e);

		if (rc == 0)
			rc = compare_group(v, e);
		forget_group(v);
		if (rc < 0)
			return -1;
	}
	return 0;
}

int engine_verify(const struct verify_params *p, struct store *left, struct store *right, struct db *db, const struct event_sink *sink, struct event_totals *totals,
		  struct event_compared *out, struct err *e)
{
	struct verify v = { .p = p, .side = { left, right }, .db = db, .sink = sink, .totals = totals, .out = out, .one_way = !p->sync || p->sync->one_way,
			    .texts = ARENA_INIT(64 << 20) };
	msec_t begun = clock_now();
	int rc;

	memset(totals, 0, sizeof(*totals));
	memset(out, 0, sizeof(*out));
	rc = run(&v, e);
	left->ops->close_box(left);
	right->ops->close_box(right);
	vec_release(&v.boxes);
	vec_release(&v.notes);
	arena_release(&v.texts);
	folders_release(&v.folders);
	ident_reader_free(v.reader);
	totals->bytes_in = left->stats.in + right->stats.in;
	totals->bytes_out = left->stats.out + right->stats.out;
	totals->round_trips = left->stats.turns + right->stats.turns;
	totals->seconds = (double)(clock_now() - begun) / 1000.0;
	return rc;
}
