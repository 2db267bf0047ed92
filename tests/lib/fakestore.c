#include "fakestore.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define KEY_LEN 80
#define BODY_HEAD 64
#define SESSIONS_MAX 1000
#define STEP 37 /* bytes that a body gives at a time */

/* One store object, of either kind. */
struct fake {
	struct store s;
	struct fake_world *w;
	bool open, dead;
	/* source */
	size_t *list; /* indices into w->src */
	size_t n_list, at;
	size_t *wanted, n_wanted, next_wanted;
	char key[KEY_LEN]; /* overwritten by the next call, as store.h allows */
	bool body_open;
	/* target */
	struct fake_staged {
		uint32_t content, name;
		unsigned char digest[DIGEST_SIZE];
		uint64_t size;
	} staged[FAKE_STAGED];
	size_t n_staged;
	bool hardened;
};

struct fake_body {
	struct stream s;
	struct fake *f;
	char *data;
	size_t n, at;
};

static struct fake *of(struct store *s)
{
	return (struct fake *)s;
}

/* Note a breach of the contract. */
static void misuse(struct fake_world *w, const char *why)
{
	if (w->misuse++ == 0)
		snprintf(w->why, sizeof(w->why), "%s", why);
}

/* One moment at which the process may die. */
static void moment(struct fake_world *w)
{
	if (++w->steps == w->crash_at)
		_exit(FAKE_CRASH);
}

struct fake_world *fake_world_new(void)
{
	struct fake_world *w = mmap(NULL, sizeof(*w), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (w == MAP_FAILED)
		abort();
	w->stamps = true;
	return w;
}

void fake_world_free(struct fake_world *w)
{
	munmap(w, sizeof(*w));
}

void fake_world_clear(struct fake_world *w)
{
	memset(w->src, 0, w->n_src * sizeof(*w->src));
	memset(w->dst, 0, w->n_dst * sizeof(*w->dst));
	w->n_src = w->n_dst = 0;
	w->keys = FAKE_LONG;
	w->stamps = true;
	w->sizes_unknown = w->no_remove = w->fat = false;
	w->batch = 0;
	w->commit = FAKE_COMMIT_OK;
	w->reject = w->names = 0;
	w->dropped = w->dropped_most = 0;
	w->session = w->lost = w->misuse = w->lists = w->reads = w->commits = w->src_opens = w->dst_opens = w->removes = 0;
	w->why[0] = '\0';
	fake_calm(w);
}

void fake_calm(struct fake_world *w)
{
	w->cut_after_bytes = w->cut_bytes_left = 0;
	w->cut_after_steps = w->cut_steps_left = 0;
	w->cut_again = false;
	w->fail_op = FAKE_OP_NONE;
	w->fail_at = w->fail_calls = w->publish_first = 0;
	w->crash_at = w->steps = 0;
	if (w->commit == FAKE_COMMIT_LOST_AFTER || w->commit == FAKE_COMMIT_LOST_BEFORE)
		w->commit = FAKE_COMMIT_OK;
}

void fake_cut_start(struct fake_world *w)
{
	w->cut_bytes_left = w->cut_after_bytes;
	w->cut_steps_left = w->cut_after_steps;
}

size_t fake_add(struct fake_world *w, uint32_t content, uint32_t size)
{
	if (w->n_src == FAKE_MESSAGES)
		abort();
	w->src[w->n_src] = (struct fake_msg){ .content = content, .size = size };
	return w->n_src++;
}

static bool is_there(const struct fake_msg *m)
{
	return !m->removed && !m->taken;
}

size_t fake_present(const struct fake_world *w)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n_src; i++)
		n += is_there(&w->src[i]);
	return n;
}

size_t fake_copies(const struct fake_world *w, uint32_t content)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n_dst; i++)
		n += w->dst[i].content == content;
	return n;
}

void fake_power_cut(struct fake_world *w)
{
	size_t kept = 0;

	for (size_t i = 0; i < w->n_dst; i++)
		if (w->dst[i].durable)
			w->dst[kept++] = w->dst[i];
	w->n_dst = kept;
}

/* A message's bytes: its content's number and a filling. malloc'd. */
static char *make_body(const struct fake_msg *m, size_t *n)
{
	char *p = malloc(BODY_HEAD + m->size);
	int head;

	if (!p)
		abort();
	head = snprintf(p, BODY_HEAD, "Subject: %u\r\n\r\n", m->content);
	for (uint32_t i = 0; i < m->size; i++)
		p[(size_t)head + i] = i % 64 == 62 && i + 1 < m->size ? '\r' : i % 64 == 63 ? '\n' : (char)('a' + (m->content + i) % 26);
	*n = (size_t)head + m->size;
	return p;
}

/* Two of three messages share a name. */
static size_t twin(size_t i)
{
	return i % 3 == 1 ? i - 1 : i;
}

/* The name that the server gives a message, before it is known whether it is the only one with it. */
static void wire_key(const struct fake_world *w, size_t i, size_t pos, char out[KEY_LEN])
{
	switch (w->keys) {
	case FAKE_LONG:
		snprintf(out, KEY_LEN, "uid-of-message-%08zu", i);
		break;
	case FAKE_SHORT:
		snprintf(out, KEY_LEN, "%zu", i + 1);
		break;
	case FAKE_NUMBER:
		snprintf(out, KEY_LEN, "%zu", pos + 1);
		break;
	case FAKE_CHANGING:
		snprintf(out, KEY_LEN, "session-%u-message-%zu", w->session, i);
		break;
	case FAKE_DOUBLE:
		snprintf(out, KEY_LEN, "uid-of-message-%08zu", twin(i));
		break;
	case FAKE_NONE:
	case FAKE_KEYS:
		out[0] = '\0';
		break;
	}
}

/* The link is used for one answer; -1 when it breaks there. */
static int answer(struct fake *f, struct err *e)
{
	struct fake_world *w = f->w;

	moment(w);
	if (!f->dead && w->cut_steps_left > 0 && --w->cut_steps_left == 0) {
		f->dead = true;
		if (w->cut_again)
			w->cut_steps_left = w->cut_after_steps;
	}
	return f->dead ? err_set(e, ERR_TEMP, "fake: the link is lost") : 0;
}

static void close_source(struct store *s)
{
	struct fake *f = of(s);

	for (size_t i = 0; i < f->n_list; i++)
		f->w->src[f->list[i]].marked = f->w->src[f->list[i]].read = false;
	if (f->body_open)
		misuse(f->w, "close_box while a body is open");
	free(f->list);
	free(f->wanted);
	f->list = f->wanted = NULL;
	f->n_list = f->at = f->n_wanted = f->next_wanted = 0;
	f->open = false;
}

static int open_source(struct store *s, const char *folder, unsigned how, struct box_info *out, struct err *e)
{
	struct fake *f = of(s);
	struct fake_world *w = f->w;
	uint64_t hash = 1469598103934665603u;
	char key[KEY_LEN];

	(void)folder;
	(void)how;
	if (f->open)
		close_source(s);
	f->dead = false;
	w->src_opens++;
	w->session++;
	if (w->src_opens > SESSIONS_MAX)
		return err_set(e, ERR_BUG, "fake: session after session, without end");
	if (answer(f, e) < 0)
		return -1;
	f->open = true;
	f->list = calloc(w->n_src + 1, sizeof(*f->list));
	if (!f->list)
		abort();
	memset(out, 0, sizeof(*out));
	for (size_t i = 0; i < w->n_src; i++)
		w->src[i].marked = w->src[i].read = false; /* of a process that died */
	for (size_t i = 0; i < w->n_src && (w->batch == 0 || f->n_list < w->batch); i++) {
		if (!is_there(&w->src[i]) || (w->batch > 0 && w->src[i].popped))
			continue;
		wire_key(w, i, f->n_list, key);
		for (const char *p = key[0] ? key : "-"; *p; p++)
			hash = (hash ^ (unsigned char)*p) * 1099511628211u;
		out->bytes += w->src[i].size;
		f->list[f->n_list++] = i;
	}
	out->messages = f->n_list;
	out->partial = w->batch > 0;
	out->no_remove = w->no_remove;
	out->keyless = w->keys == FAKE_NONE;
	if (w->stamps && w->keys != FAKE_NONE)
		snprintf(out->stamp, sizeof(out->stamp), "fake:%zu:%016llx", f->n_list, (unsigned long long)hash);
	return 0;
}

static int list_start(struct store *s, struct err *e)
{
	struct fake *f = of(s);

	f->w->lists++;
	if (!f->open)
		misuse(f->w, "list_start without a box");
	f->at = 0;
	(void)e;
	return 0;
}

static int list_next(struct store *s, struct store_msg *m, struct err *e)
{
	struct fake *f = of(s);
	struct fake_world *w = f->w;
	size_t i, n;

	(void)e;
	memset(f->key, '#', sizeof(f->key));
	memset(m, 0, sizeof(*m));
	if (f->at >= f->n_list)
		return 0;
	i = f->list[f->at];
	wire_key(w, i, f->at, f->key);
	for (size_t k = 0; w->keys == FAKE_DOUBLE && k < f->n_list; k++) {
		if (k != f->at && twin(f->list[k]) == twin(i)) {
			f->key[0] = '\0';
			break;
		}
	}
	m->num = f->at + 1;
	m->key = slice_str(f->key);
	n = (size_t)snprintf(NULL, 0, "Subject: %u\r\n\r\n", w->src[i].content) + w->src[i].size;
	m->size = w->sizes_unknown ? 0 : w->src[i].says ? w->src[i].says : n;
	f->at++;
	return 1;
}

static int want(struct store *s, const uint64_t *nums, size_t n, struct err *e)
{
	struct fake *f = of(s);

	free(f->wanted);
	f->wanted = calloc(n + 1, sizeof(*f->wanted));
	if (!f->wanted)
		abort();
	for (size_t i = 0; i < n; i++) {
		if (nums[i] == 0 || nums[i] > f->n_list)
			misuse(f->w, "want of a message that was not listed");
		else
			f->wanted[i] = nums[i] - 1;
	}
	f->n_wanted = n;
	f->next_wanted = 0;
	return answer(f, e);
}

static ssize_t body_read(struct stream *s, void *buf, size_t n, struct err *e)
{
	struct fake_body *b = (struct fake_body *)s;
	struct fake_world *w = b->f->w;
	size_t take = b->n - b->at;

	if (take > n)
		take = n;
	if (take > STEP)
		take = STEP;
	if (!b->f->dead && w->cut_bytes_left > 0) {
		if (w->cut_bytes_left <= take) {
			w->cut_bytes_left = w->cut_again ? w->cut_after_bytes : 0;
			b->f->dead = true;
		} else {
			w->cut_bytes_left -= take;
		}
	}
	if (b->f->dead)
		return err_set(e, ERR_TEMP, "fake: the link is lost");
	if (take > 0)
		memcpy(buf, b->data + b->at, take);
	b->at += take;
	return (ssize_t)take;
}

static void body_free(struct stream *s)
{
	struct fake_body *b = (struct fake_body *)s;

	b->f->body_open = false;
	free(b->data);
	free(b);
}

static const struct stream_ops body_ops = { .name = "fake", .read = body_read, .free = body_free };

static int next(struct store *s, size_t *i, struct stream **body, struct err *e)
{
	struct fake *f = of(s);
	struct fake_msg *m;
	struct fake_body *b;

	if (f->next_wanted < f->n_wanted)
		*i = f->next_wanted;
	if (answer(f, e) < 0)
		return -1;
	if (f->body_open)
		misuse(f->w, "next while a body is open");
	if (f->w->garbage_behind > 0 && f->next_wanted == f->w->garbage_behind)
		return err_set(e, ERR_PROTO, "fake: what is this?");
	if (f->next_wanted >= f->n_wanted)
		return 0;
	*i = f->next_wanted++;
	m = &f->w->src[f->list[f->wanted[*i]]];
	if (m->refuse > 0) {
		m->refuse--;
		return err_set_span(e, ERR_REFUSED, SPAN_MSG, "fake: this message can't be had");
	}
	b = calloc(1, sizeof(*b));
	if (!b)
		abort();
	b->s.ops = &body_ops;
	b->f = f;
	b->data = make_body(m, &b->n);
	f->body_open = true;
	f->w->reads++;
	m->read = true;
	*body = &b->s;
	return 1;
}

static int remove_marked(struct store *s, const uint64_t *nums, size_t n, void (*done)(void *arg, uint64_t num, const struct err *why), void *arg,
			 struct err *e)
{
	struct fake *f = of(s);

	if (f->w->no_remove)
		misuse(f->w, "remove where no_remove was said");
	for (size_t i = 0; i < n; i++) {
		struct err why = ERR_INIT;
		struct fake_msg *m;

		if (answer(f, e) < 0)
			return -1;
		if (nums[i] == 0 || nums[i] > f->n_list) {
			misuse(f->w, "remove of a message that was not listed");
			continue;
		}
		m = &f->w->src[f->list[nums[i] - 1]];
		f->w->removes++;
		if (m->refuse_remove > 0) {
			m->refuse_remove--;
			err_set_span(&why, ERR_REFUSED, SPAN_MSG, "fake: not this one");
			done(arg, nums[i], &why);
			continue;
		}
		if (m->marked)
			misuse(f->w, "removed twice in one session");
		m->marked = true;
		done(arg, nums[i], NULL);
	}
	return 0;
}

/* Of each content no more may be gone from the source than the target holds durably. */
static void audit(struct fake_world *w, uint32_t content)
{
	size_t removed = 0, held = 0;

	for (size_t i = 0; i < w->n_src; i++)
		removed += w->src[i].removed && w->src[i].content == content;
	for (size_t i = 0; i < w->n_dst; i++)
		held += w->dst[i].durable && w->dst[i].content == content;
	if (removed > held)
		w->lost++;
}

static void apply_removals(struct fake *f)
{
	for (size_t i = 0; i < f->n_list; i++) {
		struct fake_msg *m = &f->w->src[f->list[i]];

		if (m->read)
			m->popped = true;
		if (m->marked && f->w->commit != FAKE_COMMIT_IGNORED) {
			m->removed = true;
			audit(f->w, m->content);
		}
	}
}

static int commit(struct store *s, struct err *e)
{
	struct fake *f = of(s);
	struct fake_world *w = f->w;
	int rc = -1;

	w->commits++;
	if (!f->open)
		misuse(w, "commit without a box");
	if (answer(f, e) < 0)
		goto out;
	if (w->commit == FAKE_COMMIT_LOST_BEFORE) {
		w->commit = FAKE_COMMIT_OK;
		err_set(e, ERR_TEMP, "fake: the link is lost");
		goto out;
	}
	apply_removals(f);
	moment(w);
	if (w->commit == FAKE_COMMIT_LOST_AFTER) {
		w->commit = FAKE_COMMIT_OK;
		err_set(e, ERR_TEMP, "fake: the link is lost");
		goto out;
	}
	rc = 0;
out:
	close_source(s);
	return rc;
}

/* The target fails here, if it was told to. */
static int fails(struct fake_world *w, enum fake_op op, struct err *e)
{
	moment(w);
	if (w->fail_op != op || ++w->fail_calls != w->fail_at)
		return 0;
	return err_set(e, ERR_LOCAL, "fake: No space left on device");
}

static void abandon(struct store *s)
{
	struct fake *f = of(s);

	f->n_staged = 0;
	f->w->dropped = 0;
	f->hardened = false;
}

static void close_target(struct store *s)
{
	abandon(s);
	of(s)->open = false;
}

static int open_target(struct store *s, const char *folder, unsigned how, struct box_info *out, struct err *e)
{
	(void)folder;
	(void)how;
	of(s)->w->dst_opens++;
	memset(out, 0, sizeof(*out));
	if (fails(of(s)->w, FAKE_OP_OPEN, e) < 0)
		return -1;
	of(s)->open = true;
	return 0;
}

/* Read a body to its end, as LF; *content is what it says it is. 0 or -1. */
static int take_body(struct fake_world *w, struct stream *body, struct fake_staged *st, struct err *e)
{
	struct digest *d = digest_new(e);
	size_t room = 1 << 16, n = 0, expect;
	char *all = malloc(room), *again;
	unsigned content = 0;
	struct fake_msg m;
	ssize_t got;

	if (!d || !all)
		abort();
	while ((got = stream_read(body, all + n, room - n, e)) > 0) {
		n += (size_t)got;
		if (n == room && !(all = realloc(all, room *= 2)))
			abort();
	}
	if (got < 0)
		goto out;
	all[n] = '\0';
	if (sscanf(all, "Subject: %u", &content) != 1)
		misuse(w, "a body that is none of ours");
	/* the very bytes? */
	m = (struct fake_msg){ .content = content };
	free(make_body(&m, &expect));
	m.size = (uint32_t)(n - expect);
	again = make_body(&m, &expect);
	if (expect != n || memcmp(all, again, n) != 0)
		misuse(w, "a body was torn");
	free(again);
	for (size_t from = 0, i = 0; i < n; i++) { /* all but the CR of each CRLF */
		const bool cr = all[i] == '\r' && i + 1 < n && all[i + 1] == '\n';

		if (!cr && i + 1 < n)
			continue;
		if (digest_put(d, all + from, i + !cr - from) < 0)
			abort();
		st->size += (uint32_t)(i + !cr - from);
		from = i + 1;
	}
	st->content = content;
	if (digest_end(d, st->digest) < 0)
		abort();
out:
	free(all);
	digest_free(d);
	return got < 0 ? -1 : 0;
}

static int stage(struct store *s, struct stream *body, const struct store_meta *meta, struct staged *out, struct err *e)
{
	struct fake *f = of(s);
	struct fake_staged *st = &f->staged[f->n_staged];

	(void)meta;
	if (!f->open)
		misuse(f->w, "stage without a box");
	if (f->hardened)
		misuse(f->w, "stage between harden and publish");
	if (f->n_staged == FAKE_STAGED)
		abort();
	memset(st, 0, sizeof(*st));
	memset(out, 0, sizeof(*out));
	if (fails(f->w, FAKE_OP_STAGE, e) < 0 || take_body(f->w, body, st, e) < 0)
		return -1;
	if (st->content == f->w->reject && f->w->reject != 0)
		return err_set_span(e, ERR_REFUSED, SPAN_MSG, "fake: not this message");
	st->name = ++f->w->names;
	memcpy(out->digest, st->digest, sizeof(out->digest));
	out->size = f->w->fat ? 6 << 20 : st->size;
	snprintf(out->key, sizeof(out->key), "early-%u", st->name); /* final after harden only */
	f->n_staged++;
	return 0;
}

static void unstage(struct store *s, struct staged *out)
{
	struct fake *f = of(s);
	unsigned name = 0;
	size_t i = 0;

	out->dropped = true;
	if (sscanf(out->key, "early-%u", &name) != 1)
		name = 0;
	while (i < f->n_staged && f->staged[i].name != name)
		i++;
	if (i == f->n_staged) {
		misuse(f->w, "unstage of what is not staged");
		return;
	}
	if (++f->w->dropped > f->w->dropped_most)
		f->w->dropped_most = f->w->dropped;
	f->n_staged--;
	memmove(&f->staged[i], &f->staged[i + 1], (f->n_staged - i) * sizeof(*f->staged));
}

/* Compare what the executor holds with what was staged, and give the final names when `final`. */
static void same_group(struct fake *f, struct staged *st, size_t n, bool final)
{
	char key[40];

	if (n != f->n_staged) {
		misuse(f->w, "the group is not what was staged");
		return;
	}
	for (size_t i = 0; i < n; i++) {
		snprintf(key, sizeof(key), "%s-%u", final ? "early" : "fake", f->staged[i].name);
		if (st[i].dropped || strcmp(st[i].key, key) != 0) {
			misuse(f->w, "the group is not what was staged");
			return;
		}
		if (final) {
			snprintf(st[i].key, sizeof(st[i].key), "fake-%u", f->staged[i].name);
			snprintf(st[i].hint, sizeof(st[i].hint), "hint-%u", f->staged[i].name);
		}
	}
}

static int harden(struct store *s, struct staged *st, size_t n, struct err *e)
{
	struct fake *f = of(s);

	if (f->hardened)
		misuse(f->w, "hardened twice");
	if (fails(f->w, FAKE_OP_HARDEN, e) < 0)
		return -1;
	same_group(f, st, n, true);
	f->hardened = true;
	return 0;
}

static int publish(struct store *s, struct staged *st, size_t n, struct err *e)
{
	struct fake *f = of(s);
	struct fake_world *w = f->w;
	size_t from = w->n_dst, shown = 0;
	bool bad = fails(w, FAKE_OP_PUBLISH, e) < 0;

	if (!f->hardened)
		misuse(w, "publish before harden");
	same_group(f, st, n, false);
	for (size_t i = 0; i < f->n_staged; i++) {
		if (bad && shown++ == w->publish_first)
			return -1;
		moment(w);
		if (w->n_dst == FAKE_COPIES)
			abort();
		w->dst[w->n_dst++] = (struct fake_copy){ .content = f->staged[i].content, .name = f->staged[i].name };
	}
	if (bad)
		return -1;
	moment(w);
	for (size_t i = from; i < w->n_dst; i++)
		w->dst[i].durable = true;
	f->n_staged = 0;
	w->dropped = 0;
	f->hardened = false;
	return 0;
}

static int recover(struct store *s, struct recovery *r, size_t n, struct err *e)
{
	struct fake *f = of(s);
	struct fake_world *w = f->w;

	if (!f->open || f->n_staged > 0)
		misuse(w, "recover without a box, or with something staged");
	if (fails(w, FAKE_OP_RECOVER, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		unsigned key = 0, hint = 0;

		if (sscanf(r[i].key, "fake-%u", &key) != 1 || sscanf(r[i].hint, "hint-%u", &hint) != 1 || key != hint)
			misuse(w, "recover with another key or hint than harden gave");
		for (size_t k = 0; k < w->n_dst; k++) {
			if (w->dst[k].name == key) {
				r[i].found = true;
				w->dst[k].durable = true; /* recover makes sure of it */
			}
		}
	}
	return 0;
}

static void free_fake(struct store *s)
{
	struct fake *f = of(s);

	if (s->ops->caps & STORE_SOURCE)
		close_source(s);
	free(f);
}

static const struct store_ops source_ops = {
	.name = "fake source",
	.caps = STORE_SOURCE | STORE_REMOTE,
	.open_box = open_source,
	.close_box = close_source,
	.list_start = list_start,
	.list_next = list_next,
	.want = want,
	.next = next,
	.remove = remove_marked,
	.commit = commit,
	.stage = store_cannot_stage,
	.unstage = store_cannot_unstage,
	.harden = store_cannot_harden,
	.publish = store_cannot_publish,
	.abandon = store_cannot_abandon,
	.recover = store_cannot_recover,
	STORE_NO_TREE,
	.free = free_fake,
};

static const struct store_ops target_ops = {
	.name = "fake target",
	.caps = STORE_TARGET,
	.open_box = open_target,
	.close_box = close_target,
	.list_start = store_cannot_list_start,
	.list_next = store_cannot_list_next,
	.want = store_cannot_want,
	.next = store_cannot_next,
	.remove = store_cannot_remove,
	.commit = store_cannot_commit,
	.stage = stage,
	.unstage = unstage,
	.harden = harden,
	.publish = publish,
	.abandon = abandon,
	.recover = recover,
	STORE_NO_TREE,
	.free = free_fake,
};

static struct store *make(struct fake_world *w, const struct store_ops *ops)
{
	struct fake *f = calloc(1, sizeof(*f));

	if (!f)
		abort();
	f->s.ops = ops;
	f->w = w;
	return &f->s;
}

struct store *fake_source(struct fake_world *w)
{
	return make(w, &source_ops);
}

struct store *fake_target(struct fake_world *w)
{
	return make(w, &target_ops);
}
