/*
 * exec_copy: messages are read into the group, and told from those that were delivered before once they are whole. What makes a group durable is in exec.c.
 */
#include <assert.h>
#include <string.h>

#include "base/log.h"
#include "mail/status.h"
#include "state/pairs.h"
#include "state/runs.h"
#include "sync/exec_p.h"

#define PROGRESS_MS 100

static void tell_progress(struct exec *x)
{
	msec_t now = clock_now();
	struct event ev = { .type = EVENT_PROGRESS, .job = x->job, .folder = x->folder_name, .done = x->done, .done_bytes = x->done_bytes, .total = x->total };

	if (now - x->told < PROGRESS_MS)
		return;
	x->told = now;
	event_put(x->sink, &ev);
}

/*
 * A pair of the base that holds this very content and stands for no other message of this listing: 1, 0 none, -1. Of those that are gone, the ones of this run
 * don't count: a message that is as one that was just removed may be its twin, which the listing did not come to before.
 */
static int unclaimed(struct exec *x, const unsigned char digest[32], bool gone, struct pair *out, struct err *e)
{
	int64_t after = 0;
	int rc;

	while ((rc = pairs_by_digest(x->db, x->folder, digest, gone, after, out, e)) == 1) {
		if (!out->pending && !claims_has(x->claims, out->id) && !(gone && out->id > x->earlier))
			return 1;
		after = out->id;
	}
	return rc;
}

/* Is that the content of this pair? Status lines that came, or changed, since make no difference. */
static bool is_content(const struct pair *p, const unsigned char digest[32], const struct exec_item *it)
{
	if (memcmp(p->digest, digest, 32) == 0)
		return true;
	if (!it->has_plain)
		return false;
	return memcmp(p->digest, it->plain, 32) == 0 || (p->told.has_mid && memcmp(p->told.mid, it->plain, sizeof(p->told.mid)) == 0);
}

/* The pair that says that this message was delivered before: 1, 0 none, -1. */
static int find_double(struct exec *x, const struct exec_item *it, const unsigned char digest[32], struct pair *out, struct err *e)
{
	const struct work *w = it->w;
	int rc;

	if (w->known) {
		rc = pairs_by_left(x->db, x->folder, w->key, out, e);
		if (rc < 0 || (rc == 1 && is_content(out, digest, it)))
			return rc;
	}
	if (x->claims->max == 0)
		return 0;
	rc = unclaimed(x, digest, false, out, e);
	if (rc == 0 && it->told.has_mid)
		rc = unclaimed(x, it->plain, false, out, e);
	/* Without a name, what the source gives back after it removed it would be new mail in each run. What is new differs, if only in its Received lines. */
	if (rc == 0 && w->key.n == 0)
		rc = unclaimed(x, digest, true, out, e);
	return rc;
}

/* The message is one that was delivered before: note how the source calls it now, and ask the planner again. */
static int known_after_all(struct exec *x, struct work *w, const struct pair *found, struct err *e)
{
	struct pair p = *found;
	struct plan_msg m = { .base = { .exists = true, .sure = true, .made = p.made }, .left = { .present = true, .size = w->size } };
	bool same_key = slice_eq(p.left, w->key);

	log_debug("message %llu was delivered before", (unsigned long long)w->num);
	w->pair = p.id;
	w->again = p.gone != 0 || p.asked;
	w->acts = plan_message(&x->policy, &m) & PLAN_REMOVE_LEFT;
	x->given_back += p.gone != 0 && w->acts != 0;
	x->nameless_back += p.gone != 0 && w->acts != 0 && w->key.n == 0;
	claims_set(x->claims, p.id);
	if (same_key && p.gone == 0 && !p.asked && w->tries == 0)
		return 0;
	if (exec_begin_note(x, e) < 0)
		return -1;
	if ((!same_key && exec_take_key(x, w, e) < 0) || pairs_rekey(x->db, p.id, w->key, e) < 0 ||
	    (w->tries > 0 && failures_clear(x->db, x->folder, x->back, w->key, e) < 0)) {
		db_rollback(x->db);
		return -1;
	}
	return exec_end_note(x, e);
}

/* What the base is to say of a message that was just read: of what it is at the left, that has told it, or will with the next look. */
static struct told told_of(struct exec *x, const struct work *w)
{
	struct told t = { 0 };
	struct ident id;

	ident_tapped(x->reader, &id);
	if (!x->back)
		t = w->told;
	if (t.size <= id.mark)
		t.size = id.size;
	t.size -= id.mark;
	if (!x->back && t.date == 0 && w->date == 0)
		t.date = id.date; /* the source knows none: so the copy has got it, and a source that has to tell its messages apart tells the same */
	t.has_mid = id.has_mid;
	memcpy(t.mid, id.mid, sizeof(t.mid));
	return t;
}

/* What was staged last is one of the group. */
static struct exec_item *join_group(struct exec *x, struct work *w, const struct told *told)
{
	struct staged *st = &x->staged[x->n];

	if (x->n == 0)
		x->begun = clock_now();
	x->items[x->n] = (struct exec_item){ .w = w };
	if (told)
		x->items[x->n].told = *told;
	x->n++;
	x->done++;
	x->done_bytes += st->size;
	x->bytes += st->size;
	return &x->items[x->n - 1];
}

/* Who reads along, beside the target. NULL: out of memory. */
static struct stream *tap(struct exec *x, const struct work *w, struct stream *body, struct err *e)
{
	if (x->two_way)
		return ident_tap(x->reader, body);
	if (!w->unsure)
		return body;
	if (!x->status)
		x->status = status_reader_new(e);
	return x->status ? status_tap(x->status, body) : NULL;
}

/* The content without Status lines. What had some is noted in the base by that, too: they may be others the next time. */
static int take_plain(struct exec *x, struct exec_item *it, struct err *e)
{
	if (status_tapped(x->status, it->plain, &it->told.has_mid, e) < 0)
		return -1;
	it->has_plain = true;
	if (it->told.has_mid)
		memcpy(it->told.mid, it->plain, sizeof(it->told.mid));
	return 0;
}

/* Nothing came. Is that what there is? 1; 0 another session is to ask how large it is; -1 it is not. */
static int is_empty(const struct exec *x, const struct work *w, struct err *e)
{
	static const char *const what = "message %llu: the server sends nothing, where there should be something";

	if (w->size == 0 && (x->two_way || x->sized || w->key.n == 0))
		return 1;
	if (x->read_is_gone) /* no good end of this session, then */
		return err_set(e, ERR_PROTO, what, (unsigned long long)w->num);
	return w->size > 0 ? err_set_span(e, ERR_REFUSED, SPAN_MSG, what, (unsigned long long)w->num) : 0;
}

/* The message that was staged last is not to be taken. */
static void unstage(struct exec *x, struct staged *st)
{
	x->dst->ops->unstage(x->dst, st);
	if (x->n == 0)
		x->dst->ops->abandon(x->dst); /* what the target still holds of these would pile up: nothing is published while all is known */
}

/* Take the message that was staged last out of the group. */
static void unstage_last(struct exec *x)
{
	struct staged *st = &x->staged[--x->n];

	x->bytes -= st->size;
	unstage(x, st);
}

/* Read one message into the target's staging place. 1; 0 it is noted, and waits; -1. */
static int stage_one(struct exec *x, struct work *w, struct stream *body, struct err *e)
{
	struct store_meta meta = { .received = x->policy.now, .flags = x->two_way ? w->flags : x->flags, .size_hint = w->size, .only = w->acts & PLAN_REMOVE_LEFT, .date = w->date };
	struct staged *st = &x->staged[x->n];
	struct exec_item *it;
	struct told told;
	int rc;

	memset(st, 0, sizeof(*st));
	exec_step(x, "stage");
	body = tap(x, w, body, e);
	if (!body || (x->two_way && meta.date == 0 && ident_peek(x->reader, &meta.date, e) < 0) || x->dst->ops->stage(x->dst, body, &meta, st, e) < 0)
		return -1;
	rc = st->size > 0 ? 1 : is_empty(x, w, e);
	if (rc != 1) {
		unstage(x, st);
		return rc;
	}
	if (x->two_way)
		told = told_of(x, w);
	it = join_group(x, w, x->two_way ? &told : NULL);
	if (!x->two_way && w->unsure && take_plain(x, it, e) < 0) {
		unstage_last(x);
		return -1;
	}
	return 1;
}

/* A message that the target holds in another folder already. 1; 0 it must be read, after all; -1. */
static int stage_again(struct exec *x, struct work *w, struct err *e)
{
	struct store_meta meta = { .received = x->policy.now, .flags = w->flags, .size_hint = w->size, .date = w->date };
	struct told told = w->told;
	int rc;

	exec_step(x, "stage again");
	memset(&x->staged[x->n], 0, sizeof(x->staged[x->n]));
	rc = x->dst->ops->stage_again(x->dst, w->elsewhere->folder, w->elsewhere->key, &w->elsewhere->as, &meta, &x->staged[x->n], e);
	if (rc != 1)
		return rc;
	told.has_mid = w->elsewhere->told.has_mid;
	memcpy(told.mid, w->elsewhere->told.mid, sizeof(told.mid));
	join_group(x, w, &told);
	return 1;
}

/* The message that was staged last is whole: is it one that was delivered before? */
static int look_up_last(struct exec *x, struct err *e)
{
	struct work *w = x->items[x->n - 1].w;
	struct pair p;
	int rc;

	if (x->two_way) {
		rc = x->twin ? x->twin(x->twin_arg, w, &x->staged[x->n - 1], &x->items[x->n - 1].told, e) : 0;
		if (rc != 0)
			unstage_last(x);
		return rc < 0 ? -1 : 0;
	}
	rc = find_double(x, &x->items[x->n - 1], x->staged[x->n - 1].digest, &p, e);
	if (rc == 0)
		return 0;
	/* Also when nobody knows whether it is a double: what is complete may be published on the way out, and this must not be. */
	unstage_last(x);
	return rc < 0 ? -1 : known_after_all(x, w, &p, e);
}

/* Keys are those of a folder. */
static uint64_t left_out_hash(const struct exec *x, struct slice key)
{
	return slice_hash(key) ^ (uint64_t)x->folder * 0x9e3779b97f4a7c15u;
}

int exec_suspect(struct exec *x, const struct work *w, const struct err *broken, struct err *e)
{
	struct failure f = { .folder = x->folder, .back = x->back, .key = w->key, .kind = broken->kind, .reason = slice_str(broken->text), .size = w->size, .tries = 1,
			     .since = x->policy.now, .next = x->policy.now };
	struct work again = *w;

	if (w->key.n == 0)
		return 0;
	x->suspects++;
	if (w->tries > 0) {
		if (vec_push(&x->left_out, left_out_hash(x, w->key)) < 0)
			return err_set(e, ERR_LOCAL, "out of memory");
		if (w->tries == 1)
			return exec_item_failed_for(x, w, broken, 0, e);
		if (x->totals->pulled + x->totals->pushed == 0)
			again.tries = 2;
		return exec_item_failed_for(x, &again, broken, exec_pause(again.tries - 2), e);
	}
	return exec_note_failure(x, &f, e);
}

bool exec_leaves_out(const struct exec *x, struct slice key)
{
	const uint64_t hash = left_out_hash(x, key);

	for (size_t i = 0; i < x->left_out.n; i++)
		if (x->left_out.a[i] == hash)
			return true;
	return false;
}

bool exec_goes_alone(const struct exec *x, const struct work *w)
{
	return x->two_way && w->tries > 0 && x->dst->ops->caps & STORE_LATE_KEYS;
}

/* Is it the source that broke off? What a remote target says while a message is staged can't be told from it, and does no harm: it is another's turn then. */
static bool is_breaking(const struct err *why)
{
	return err_link_lost(why) || why->kind == ERR_PROTO;
}

/*
 * What came behind the message that was staged last makes no sense: it may be cut short, and the rest of it be what came. It is not delivered, and the next
 * session leaves it out, so that the others can be had. *broken: why the session is over.
 */
static int suspect_last(struct exec *x, const struct err *broken, struct err *e)
{
	struct work *w = x->items[x->n - 1].w;
	struct err why = ERR_INIT;

	unstage_last(x);
	if (x->two_way && !x->src->unsized)
		err_set_span(&why, ERR_PROTO, SPAN_MSG, "message %llu may not be as long as the server announced: then %s", (unsigned long long)w->num, broken->text);
	else
		err_set_span(&why, ERR_PROTO, SPAN_MSG, "message %llu ends too early, perhaps at a line with a dot that the server should have stuffed: then %s",
			     (unsigned long long)w->num, broken->text);
	return x->two_way || w->key.n == 0 ? exec_item_failed(x, w, &why, e) : exec_suspect(x, w, &why, e);
}

/* Is the group large or old enough to be made durable? */
static bool group_full(const struct exec *x)
{
	const uint64_t bytes = x->dst->ops->launch ? EXEC_GROUP_BYTES / 2 : EXEC_GROUP_BYTES; /* two may be on their way */

	return x->n >= x->most || (x->n > 0 && exec_goes_alone(x, x->items[x->n - 1].w)) || x->bytes >= bytes || (x->n > 0 && clock_now() - x->begun >= EXEC_GROUP_MS);
}

/*
 * Stop copying for *e, but keep what is complete: it need not be read again. A signal is obeyed at once. And where a source without lengths makes no sense, which body
 * belongs to which message is not certain either: an answer may have been a line of a message that ended too early.
 */
static int copy_broken(struct exec *x, struct err *e)
{
	struct err second = ERR_INIT;

	if (e && (e->kind == ERR_CANCEL || (e->kind == ERR_PROTO && (!x->two_way || x->src->unsized)))) {
		x->dst->ops->abandon(x->dst);
		x->n = 0;
		x->bytes = 0;
	}
	if (exec_flush_group(x, &second) < 0)
		log_debug("and the group could not be published: %s", second.text);
	return -1;
}

/* What need not be read comes first; it asks for nothing any more then. */
static int copy_elsewhere(struct exec *x, struct work *w, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		int rc;

		if (!(w[i].acts & (x->back ? PLAN_COPY_BACK : PLAN_COPY)) || !w[i].elsewhere)
			continue;
		if (clock_check(e) < 0)
			return -1;
		rc = stage_again(x, &w[i], e);
		if (rc < 0)
			return -1;
		if (rc == 0) {
			w[i].elsewhere = NULL;
			continue;
		}
		tell_progress(x);
		if (look_up_last(x, e) < 0 || (group_full(x) && exec_send_group(x, e) < 0))
			return -1;
	}
	return 0;
}

/* However it ended, what was noted stays noted. */
static int keep_notes(struct exec *x, int rc, struct err *e)
{
	return db_in_transaction(x->db) && db_commit(x->db, rc < 0 ? NULL : e) < 0 ? -1 : rc;
}

/* Copy what is to be copied, as exec_send. */
static int copy_all(struct exec *x, struct work *w, size_t n, struct err *e)
{
	VEC(uint64_t) nums = { 0 };
	VEC(struct work *) todo = { 0 };
	size_t told = 0;
	bool unsure = false; /* what comes behind the message staged last tells whether it was whole; a refusal tells nothing, as it may be a line of its rest */
	int rc = -1;

	if (exec_make_room(x, n, e) < 0)
		goto out;
	x->most = x->dst->ops->launch ? EXEC_GROUP_FIRST : EXEC_GROUP_MESSAGES;
	if (copy_elsewhere(x, w, n, e) < 0) {
		rc = copy_broken(x, e);
		goto out;
	}
	for (int turn = 0; turn < 2; turn++) {
		for (size_t i = 0; i < n; i++) {
			if (!(w[i].acts & (x->back ? PLAN_COPY_BACK : PLAN_COPY)) || w[i].elsewhere || turn != (x->two_way && w[i].tries > 0))
				continue;
			if (vec_push(&nums, w[i].num) < 0 || vec_push(&todo, &w[i]) < 0) {
				err_set(e, ERR_LOCAL, "out of memory");
				goto out;
			}
		}
	}
	if (nums.n == 0) {
		rc = exec_send_last(x, e);
		goto out;
	}
	if (x->src->ops->want(x->src, nums.a, nums.n, e) < 0)
		goto broken;
	vec_release(&nums);
	for (;;) {
		struct err why = ERR_INIT;
		struct stream *body = NULL;
		size_t i = todo.n;
		int got, rc_last = 0, staged = 0;
		bool lost;

		if (clock_check(e) < 0)
			goto broken;
		got = x->src->ops->next(x->src, &i, &body, &why);
		lost = got < 0 && why.span != SPAN_MSG;
		if (unsure && (got >= 0 || lost)) {
			unsure = false;
			rc_last = lost && why.kind == ERR_PROTO && (x->src->torn || x->src->unsized || !x->two_way) ? suspect_last(x, &why, e) : look_up_last(x, e);
		}
		if (lost && rc_last == 0 && i < todo.n && is_breaking(&why))
			rc_last = exec_suspect(x, todo.a[i], &why, e);
		if (lost && rc_last == 0)
			*e = why;
		if (rc_last < 0 || lost || (!unsure && group_full(x) && exec_send_group(x, e) < 0)) {
			stream_free(body);
			goto broken;
		}
		if (got == 0)
			break;
		told++;
		assert(i < todo.n);
		/* nobody knew how large those before would be; this one is not begun, but for what comes of it anyway */
		if (body && todo.a[i]->size == 0 && x->n > 0 && x->budget && budget_check(x->budget, e) < 0) {
			stream_free(body);
			goto broken;
		}
		if (got > 0 && !body) { /* it was deleted meanwhile, or so it seems */
			todo.a[i]->acts = PLAN_NOTHING;
			x->missed++;
			continue;
		}
		if (got > 0 && x->n > 0 && exec_goes_alone(x, todo.a[i]) && exec_flush_group(x, e) < 0) {
			stream_free(body);
			goto broken;
		}
		if (got > 0)
			staged = stage_one(x, todo.a[i], body, &why);
		if (staged < 0) {
			got = -1;
			if (why.kind == ERR_LOCAL && x->read_is_gone)
				why.span = SPAN_ACCT; /* and no good end */
		}
		stream_free(body);
		tell_progress(x);
		if (got > 0 && staged == 0) {
			err_set_span(&why, ERR_PROTO, SPAN_MSG, "message %llu is empty", (unsigned long long)todo.a[i]->num);
			todo.a[i]->acts = PLAN_NOTHING;
			if (exec_suspect(x, todo.a[i], &why, e) < 0)
				goto broken;
			continue;
		}
		if (got > 0) {
			unsure = true;
			continue;
		}
		if (why.span != SPAN_MSG) {
			if (!is_breaking(&why) || exec_suspect(x, todo.a[i], &why, e) == 0)
				*e = why;
			goto broken;
		}
		todo.a[i]->acts = PLAN_NOTHING;
		if (exec_item_failed(x, todo.a[i], &why, e) < 0)
			goto broken;
	}
	x->missed += todo.n - told; /* of these the source has said nothing */
	rc = exec_send_last(x, e);
	goto out;
broken:
	if (unsure)
		unstage_last(x);
	rc = copy_broken(x, e);
out:
	rc = keep_notes(x, rc, e);
	vec_release(&nums);
	vec_release(&todo);
	return rc;
}

static bool is_copy(const struct exec *x, const struct work *w)
{
	return (w->acts & (x->back ? PLAN_COPY_BACK : PLAN_COPY)) != 0;
}

/* So much of the work that what is to be copied fits into the budget, as far as its size is known; one message always does. */
static size_t affordable(struct exec *x, const struct work *w, size_t n)
{
	const uint64_t left = budget_left(x->budget);
	uint64_t sum = 0;
	size_t i, copies = 0;

	for (i = 0; i < n; i++) {
		if (!is_copy(x, &w[i]) || w[i].elsewhere)
			continue;
		if (copies > 0 && (sum >= left || w[i].size > left - sum))
			break;
		sum = w[i].size < left - sum ? sum + w[i].size : left;
		copies++;
	}
	return i;
}

static bool has_copies(const struct exec *x, const struct work *w, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (is_copy(x, &w[i]))
			return true;
	return false;
}

int exec_send(struct exec *x, struct work *w, size_t n, struct err *e)
{
	while (x->budget && has_copies(x, w, n)) {
		size_t some;

		if (budget_check(x->budget, e) < 0)
			return -1;
		some = affordable(x, w, n);
		if (some == n)
			break;
		if (copy_all(x, w, some, e) < 0)
			return -1;
		w += some;
		n -= some;
	}
	return copy_all(x, w, n, e);
}

int exec_land(struct exec *x, struct err *e)
{
	return x->sent.n == 0 ? 0 : keep_notes(x, exec_land_group(x, e), e);
}

int exec_copy(struct exec *x, struct work *w, size_t n, struct err *e)
{
	return exec_send(x, w, n, e) < 0 ? -1 : exec_land(x, e);
}
