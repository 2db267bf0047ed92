/* One side of the folders that are compared: listed, told apart, read. See verify_p.h. */
#include "sync/verify_p.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "mail/header.h"

#define CHECK_EVERY 4096 /* messages between two looks for a signal */
#define CHUNK 65536
#define NAMES_MAX 200    /* Message-IDs of a folder that are learned to be told */
#define NAMES_SIZE 262144 /* of messages no larger than this */

bool verify_tells(const struct verify *v, const struct verify_box *b, int side)
{
	const struct store_ops *ops = v->side[side]->ops;

	return v->p->sync && ops->caps & STORE_REMOTE && ops->idents && !b->doubtful[side];
}

/*
 * Can the box be opened again, and a message of it found? Else it is read once and for all. The source of a fetch names its messages in another way than a tree does, and may show
 * others in another session.
 */
static bool can_reopen(const struct verify *v, int side)
{
	return v->side[side]->ops->caps & STORE_TREE && (v->p->sync || side == RIGHT);
}

/* ---- listing ---- */

/* Do the job's limits leave it out? By what the listing says, as when it is decided whether to copy it. */
static bool is_over(const struct verify *v, const struct verify_box *b, const struct store_msg *m)
{
	const struct sync_params *sp = v->p->sync;
	const struct folder_rule *r = b->f->rule;
	uint64_t max_size = r && r->has_max_size ? r->max_size : sp ? sp->max_size : v->p->max_size;
	int64_t max_age = r && r->has_max_age ? r->max_age : sp ? sp->max_age : 0;

	return (max_size > 0 && m->size > max_size) || (max_age > 0 && m->date > 0 && m->date < v->p->now - max_age);
}

static int add(struct verify *v, struct verify_box *b, int side, const struct store_msg *m, struct err *e)
{
	struct verify_msg x = { .num = m->num, .size = m->size, .flags = m->flags, .key = arena_str(&b->arena, m->key), .has_mid = m->has_mid, .known = verify_tells(v, b, side),
				.over = side == LEFT && is_over(v, b, m) };

	memcpy(x.mid, m->mid, sizeof(x.mid));
	if (!x.key || vec_push(&b->m[side], x) < 0)
		return twoway_no_memory(e);
	if (++v->done % CHECK_EVERY == 0 && clock_check(e) < 0)
		return -1;
	return 0;
}

/* Numbers in their order. */
static int by_key(const void *a, const void *b)
{
	const struct verify_msg *x = a, *y = b;
	size_t m = strlen(x->key), n = strlen(y->key);

	return m != n ? (m > n) - (m < n) : strcmp(x->key, y->key);
}

static int by_num(const void *a, const void *b)
{
	const struct verify_msg *x = a, *y = b;

	return (x->num > y->num) - (x->num < y->num);
}

/* A listing may give a message twice. */
static void without_doubles(struct verify_box *b, int side)
{
	size_t kept = 0;

	if (b->m[side].n > 0)
		qsort(b->m[side].a, b->m[side].n, sizeof(*b->m[side].a), by_key);
	for (size_t i = 0; i < b->m[side].n; i++) {
		const struct verify_msg *m = &b->m[side].a[i];

		if (kept == 0 || m->key[0] == '\0' || strcmp(b->m[side].a[kept - 1].key, m->key) != 0)
			b->m[side].a[kept++] = *m;
	}
	b->m[side].n = kept;
	b->listed[side] = true;
}

/* Read the look that stands at a box. */
static int take_look(struct verify *v, struct verify_box *b, int side, struct err *e)
{
	struct store *s = v->side[side];
	struct store_msg m;
	int rc;

	vec_clear(&b->m[side]);
	while ((rc = s->ops->look_next(s, &m, e)) == 1)
		if (!m.gone && add(v, b, side, &m, e) < 0)
			return -1;
	if (rc < 0)
		return -1;
	without_doubles(b, side);
	verify_progress(v);
	return 0;
}

/* A folder could not be looked at. One message that can't be read is enough for that: it is looked at again, and asked no Message-IDs. */
static int look_failed(struct verify *v, struct verify_box *b, int side, struct err *why, struct err *e)
{
	if (err_ends_all(why)) {
		*e = *why;
		return -1;
	}
	if (verify_tells(v, b, side)) {
		log_debug("'%s' is asked for once more: %s", verify_name(b, side), why->text);
		b->doubtful[side] = true;
		return 0;
	}
	verify_failed(v, b, NULL, why);
	b->failed = true;
	return 0;
}

static int read_looks(struct verify *v, int side, const struct look *l, const size_t *which, size_t n, struct err *e)
{
	struct store *s = v->side[side];
	int rc = s->ops->look(s, l, n, BOX_READ, e);

	while (rc == 0) {
		struct box_info info = { 0 };
		struct err why = ERR_INIT;
		struct verify_box *b;
		size_t i = n;

		rc = clock_check(e);
		if (rc < 0)
			break;
		rc = s->ops->look_box(s, &i, &info, &why);
		if (rc == 0)
			break;
		if (rc < 0 && i >= n) {
			*e = why;
			break;
		}
		b = &v->boxes.a[which[i]];
		b->info[side] = info;
		if (rc == 1)
			rc = take_look(v, b, side, &why);
		if (rc < 0)
			rc = look_failed(v, b, side, &why, e);
	}
	return rc;
}

/* Those that were not listed; again: those that are looked at a second time. *any: there were some. */
static int look_some(struct verify *v, int side, bool again, struct err *e)
{
	VEC(struct look) looks = { 0 };
	VEC(size_t) which = { 0 };
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < v->boxes.n; i++) {
		struct verify_box *b = &v->boxes.a[i];
		struct look l = { .folder = verify_name(b, side), .stamp = "", .all = true, .keywords = &b->view[side], .sizes = true, .idents = !again };

		if (b->listed[side] || b->failed || b->doubtful[side] != again || !verify_there(b, side))
			continue;
		if (vec_push(&looks, l) < 0 || vec_push(&which, i) < 0)
			rc = twoway_no_memory(e);
	}
	if (rc == 0 && looks.n > 0)
		rc = read_looks(v, side, looks.a, which.a, looks.n, e);
	vec_release(&looks);
	vec_release(&which);
	return rc;
}

int verify_look(struct verify *v, int side, struct err *e)
{
	return look_some(v, side, false, e) < 0 || look_some(v, side, true, e) < 0 ? -1 : 0;
}

/* ---- reading ---- */

/* What was learned of a message. */
static void take_ident(struct verify_msg *m, const struct ident *id, bool digest)
{
	m->size = id->size > id->mark ? id->size - id->mark : id->size;
	m->has_mid = id->has_mid;
	memcpy(m->mid, id->mid, sizeof(m->mid));
	m->known = true;
	m->read = digest;
	if (digest)
		memcpy(m->digest, id->plain, sizeof(m->digest));
}

/* Read a body to its end; without its digest that costs less. */
static int read_body(struct verify *v, struct stream *body, bool digest, struct ident *id, struct err *e)
{
	char chunk[CHUNK];
	struct stream *tap;
	ssize_t n;

	if (digest)
		return ident_read(v->reader, body, id, e);
	tap = ident_tap(v->reader, body);
	while ((n = stream_read(tap, chunk, sizeof(chunk), e)) > 0)
		;
	if (n == 0)
		ident_tapped(v->reader, id);
	return n < 0 ? -1 : 0;
}

/* A message that was listed is not there: whoever took it away may have put it elsewhere, and nothing is proved of it. */
static void gone(struct verify *v, struct verify_box *b, struct verify_msg *m)
{
	struct err why = ERR_INIT;

	err_set_span(&why, ERR_TEMP, SPAN_MSG, "it was there when the folder was listed, and is not any more: compare once more");
	verify_failed(v, b, m->key, &why);
	m->failed = true;
}

/* The stream of bodies has ended in disorder: what came before it is not certain. */
static void forget_torn(struct verify_box *b, int side, const size_t *at, size_t n, bool all)
{
	for (size_t i = n; i > 0; i--) {
		struct verify_msg *m = &b->m[side].a[at[i - 1]];

		if (m->read || m->known)
			m->read = m->known = false;
		else
			continue;
		if (!all)
			break;
	}
}

/* The answers to `want`: at[i] is the place of the i-th. */
static int take_bodies(struct verify *v, struct verify_box *b, int side, const size_t *at, size_t n, bool digest, struct err *e)
{
	struct store *s = v->side[side];
	size_t came = 0; /* those before it, in the order of at */
	int rc = 1;

	while (rc == 1) {
		struct stream *body = NULL;
		struct err why = ERR_INIT;
		struct ident id = { 0 };
		size_t i = n;

		if (clock_check(e) < 0)
			return -1;
		rc = s->ops->next(s, &i, &body, &why);
		if (rc == 1 && !body) {
			gone(v, b, &b->m[side].a[at[i]]);
		} else if (rc == 1) {
			rc = read_body(v, body, digest, &id, &why) < 0 ? -1 : 1;
			if (rc == 1) {
				take_ident(&b->m[side].a[at[i]], &id, digest);
				came = i + 1;
				v->done++;
				v->bytes += id.size;
			}
		}
		stream_free(body);
		if (rc < 0 && why.span == SPAN_MSG && i < n) {
			b->m[side].a[at[i]].failed = true;
			verify_failed(v, b, b->m[side].a[at[i]].key, &why);
			rc = 1;
		} else if (rc < 0) {
			if (s->torn)
				forget_torn(b, side, at, came, s->unsized);
			*e = why;
		}
		verify_progress(v);
	}
	return rc;
}

/* Bodies of the picked ones, in the order of their numbers, of the open box. Those without a number are gone. Afterwards none is picked. */
static int read_picked(struct verify *v, struct verify_box *b, int side, bool digest, struct err *e)
{
	struct store *s = v->side[side];
	VEC(uint64_t) nums = { 0 };
	VEC(size_t) at = { 0 };
	int rc = 0;

	if (b->m[side].n > 0)
		qsort(b->m[side].a, b->m[side].n, sizeof(*b->m[side].a), by_num);
	for (size_t i = 0; rc == 0 && i < b->m[side].n; i++) {
		struct verify_msg *m = &b->m[side].a[i];

		if (!m->pick)
			continue;
		m->pick = false;
		if (m->num == 0)
			gone(v, b, m);
		else if (vec_push(&nums, m->num) < 0 || vec_push(&at, i) < 0)
			rc = twoway_no_memory(e);
	}
	if (rc == 0 && nums.n > 0)
		rc = s->ops->want(s, nums.a, nums.n, e);
	if (rc == 0 && nums.n > 0)
		rc = take_bodies(v, b, side, at.a, at.n, digest, e);
	vec_release(&nums);
	vec_release(&at);
	return rc;
}

/* store_ops.idents' tell */
struct telling {
	struct verify_box *b;
	int side;
};

static void told(void *arg, uint64_t num, const struct ident *id)
{
	struct telling *t = arg;
	struct verify_msg want = { .num = num }, *m;

	m = t->b->m[t->side].n > 0 ? bsearch(&want, t->b->m[t->side].a, t->b->m[t->side].n, sizeof(want), by_num) : NULL;
	if (m && m->pick) {
		take_ident(m, id, false);
		m->pick = false;
	}
}

/* What tells the picked ones of the open box apart, without their bodies. Those of which nothing was told stay picked. */
static int ask_idents(struct verify *v, struct verify_box *b, int side, struct err *e)
{
	struct store *s = v->side[side];
	struct telling t = { b, side };
	VEC(uint64_t) nums = { 0 };
	int rc = 0;

	if (b->m[side].n > 0)
		qsort(b->m[side].a, b->m[side].n, sizeof(*b->m[side].a), by_num);
	for (size_t i = 0; rc == 0 && i < b->m[side].n; i++) {
		const struct verify_msg *m = &b->m[side].a[i];

		if (m->pick && m->num != 0 && vec_push(&nums, m->num) < 0)
			rc = twoway_no_memory(e);
	}
	if (rc == 0 && nums.n > 0)
		rc = s->ops->idents(s, nums.a, nums.n, true, told, &t, e);
	vec_release(&nums);
	return rc;
}

/* ---- a box ---- */

static int open_box(struct verify *v, struct verify_box *b, int side, unsigned how, struct err *e)
{
	struct store *s = v->side[side];
	struct box_info info = { 0 };

	s->keywords = v->p->sync ? &b->view[side] : NULL;
	if (s->ops->open_box(s, verify_name(b, side), how, &info, e) < 0)
		return -1;
	if (b->listed[side] && b->info[side].validity != info.validity)
		return err_set_span(e, ERR_TEMP, SPAN_BOX, "it was made anew (UIDVALIDITY) since it was listed");
	if (info.read_is_gone)
		return err_set(e, ERR_CONF, "the server shows a message once only: what is read to be compared would be lost to the next run");
	if (!b->listed[side])
		b->info[side] = info;
	return 0;
}

/* The open box's. One without a tree can't be opened again to find them: they are read once and for all. */
static int list_open(struct verify *v, struct verify_box *b, int side, struct err *e)
{
	struct store *s = v->side[side];
	struct store_msg m;
	int rc = s->ops->list_start(s, e) < 0 ? -1 : 1;

	while (rc == 1) {
		rc = s->ops->list_next(s, &m, e);
		if (rc == 1 && add(v, b, side, &m, e) < 0)
			rc = -1;
	}
	if (rc < 0)
		return -1;
	without_doubles(b, side);
	for (size_t i = 0; i < b->m[side].n; i++)
		b->m[side].a[i].pick = true;
	return can_reopen(v, side) ? 0 : read_picked(v, b, side, true, e);
}

int verify_list(struct verify *v, struct verify_box *b, int side, struct err *e)
{
	int rc;

	vec_clear(&b->m[side]);
	b->listed[side] = false;
	rc = open_box(v, b, side, BOX_READ | BOX_SIZES, e);
	if (rc == 0)
		rc = list_open(v, b, side, e);
	if (rc < 0)
		b->listed[side] = false;
	v->side[side]->ops->close_box(v->side[side]);
	return rc;
}

/* Where the picked ones are in the open box, and what the listing did not say of them. */
static int find_picked(struct verify *v, struct verify_box *b, int side, struct err *e)
{
	struct store *s = v->side[side];

	for (size_t i = 0; i < b->m[side].n; i++) {
		struct verify_msg *m = &b->m[side].a[i];
		struct store_msg found = { .num = 0 };
		int rc;

		m->num = 0;
		if (!m->pick)
			continue;
		rc = s->ops->find(s, slice_str(m->key), m->flags, &found, e);
		if (rc < 0)
			return -1;
		m->num = rc > 0 ? found.num : 0;
		m->over = m->over || (side == LEFT && is_over(v, b, &found));
	}
	return 0;
}

int verify_read(struct verify *v, struct verify_box *b, int side, bool digest, struct err *e)
{
	struct store *s = v->side[side];
	struct err why = ERR_INIT;
	bool any = false;
	int rc;

	for (size_t i = 0; i < b->m[side].n; i++) {
		struct verify_msg *m = &b->m[side].a[i];

		m->pick = m->pick && !(digest ? m->read : m->known) && !m->failed;
		any |= m->pick;
	}
	if (!any || !can_reopen(v, side))
		return 0;
	rc = open_box(v, b, side, BOX_READ, e);
	if (rc == 0)
		rc = find_picked(v, b, side, e);
	if (rc == 0 && !digest && s->ops->idents && ask_idents(v, b, side, &why) < 0 && err_ends_all(&why)) {
		*e = why;
		rc = -1;
	}
	if (rc == 0)
		rc = read_picked(v, b, side, digest, e);
	s->ops->close_box(s);
	return rc;
}

/* ---- names ---- */

/* The Message-ID of a body that is read to its end for it; NULL: there is none. */
static const char *read_name(struct verify_box *b, struct stream *body, struct err *e)
{
	struct header h;
	char chunk[CHUNK];
	ssize_t n;

	header_init(&h);
	while ((n = stream_read(body, chunk, sizeof(chunk), e)) > 0)
		header_put(&h, chunk, (size_t)n);
	header_end(&h);
	return n == 0 && h.message_id[0] != '\0' ? arena_str(&b->arena, slice_str(h.message_id)) : NULL;
}

/* Those of one side, whose box is open. */
static int name_side(struct verify *v, struct verify_box *b, int side, struct err *e)
{
	struct store *s = v->side[side];
	struct verify_drift *d[NAMES_MAX];
	uint64_t nums[NAMES_MAX];
	size_t n = 0;
	int rc = 0;

	for (size_t i = 0; rc >= 0 && n < NAMES_MAX && i < b->drifts.n; i++) {
		struct store_msg m = { .num = 0 };

		d[n] = &b->drifts.a[i];
		if (d[n]->side != side || d[n]->drift == DRIFT_FOLDER || d[n]->drift == DRIFT_FLAGS || d[n]->size > NAMES_SIZE)
			continue;
		rc = s->ops->find(s, slice_str(d[n]->key), 0, &m, e);
		nums[n] = m.num;
		n += rc > 0;
	}
	if (rc >= 0)
		rc = n == 0 || s->ops->want(s, nums, n, e) == 0 ? 1 : -1;
	while (n > 0 && rc == 1) {
		struct stream *body = NULL;
		struct err why = ERR_INIT;
		size_t i = n;

		rc = s->ops->next(s, &i, &body, &why);
		if (rc == 1 && body)
			d[i]->message_id = read_name(b, body, &why);
		stream_free(body);
		if (rc < 0 && why.span == SPAN_MSG)
			rc = 1;
		else if (rc < 0)
			*e = why;
	}
	return rc < 0 ? -1 : 0;
}

int verify_name_drifts(struct verify *v, struct verify_box *b, struct err *e)
{
	for (int s = LEFT; s <= RIGHT; s++) {
		struct err why = ERR_INIT;
		bool any = false;
		int rc;

		for (size_t i = 0; i < b->drifts.n && !any; i++)
			any = b->drifts.a[i].side == s && b->drifts.a[i].drift != DRIFT_FOLDER && b->drifts.a[i].drift != DRIFT_FLAGS;
		if (!any || !can_reopen(v, s))
			continue;
		rc = open_box(v, b, s, BOX_READ, &why);
		if (rc == 0)
			rc = name_side(v, b, s, &why);
		v->side[s]->ops->close_box(v->side[s]);
		if (rc < 0 && why.kind == ERR_CANCEL) {
			*e = why;
			return -1;
		}
		if (rc < 0)
			log_debug("'%s': Message-IDs stay unknown: %s", verify_name(b, s), why.text);
	}
	return 0;
}

void verify_soon(struct verify *v, int side)
{
	struct store *s = v->side[side];
	VEC(struct soon) soon = { 0 };
	VEC(struct slice) keys = { 0 };
	const struct slice *at;
	bool ok = s->ops->soon && v->p->sync;

	for (size_t i = 0; ok && i < v->boxes.n; i++) {
		struct verify_box *b = &v->boxes.a[i];
		struct soon x = { .folder = verify_name(b, side), .how = BOX_READ, .keywords = &b->view[side], .n = b->m[side].n };

		if (b->failed || !verify_there(b, !side) || !b->listed[side] || x.n == 0)
			continue;
		for (size_t k = 0; ok && k < x.n; k++) {
			x.bytes += b->m[side].a[k].size;
			ok = vec_push(&keys, slice_str(b->m[side].a[k].key)) == 0;
		}
		ok = ok && vec_push(&soon, x) == 0;
	}
	at = keys.a;
	for (size_t i = 0; ok && i < soon.n; i++) {
		soon.a[i].keys = at;
		at += soon.a[i].n;
	}
	if (ok && soon.n > 0)
		s->ops->soon(s, soon.a, soon.n);
	vec_release(&soon);
	vec_release(&keys);
}
