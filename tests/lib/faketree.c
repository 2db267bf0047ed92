#include "faketree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/vec.h"
#include "mail/eol.h"
#include "mail/flags.h"

#define BODY "Subject: %u\r\nMessage-ID: <%u@x>\r\n\r\nbody of %u\r\n"
#define NAMELESS "Subject: %u\r\nX-Number: <%u@x>\r\n\r\nbody of %u\r\n"
#define STAGED 1100

struct tree {
	struct store s;
	struct tree_world *w;
	int n;                   /* which side */
	struct tree_folder *open;
	/* a look */
	const struct look *look;
	size_t n_look, look_at, msg_at, gone_at;
	bool again;
	struct tree_folder *looking;
	uint64_t since;
	uint32_t fresh;          /* from this key on messages are new, and told with their sizes */
	bool all, names;         /* names: Message-IDs of new messages */
	bool taken[TREE_MESSAGES];
	char key[STORE_KEY_MAX];
	/* bodies */
	struct { char folder[64]; unsigned how; uint32_t nums[TREE_MESSAGES]; size_t n; } soon[TREE_FOLDERS];
	size_t n_soon, soon_at;
	bool hinted;             /* the open box is soon[soon_at - 1], and its messages are to be wanted */
	VEC(uint64_t) want;
	size_t want_at;
	struct digest *digest;
	/* copies */
	struct { uint32_t content, flags, key; unsigned char digest[DIGEST_SIZE]; } staged[STAGED];
	size_t n_staged;
	bool hardened;
	VEC(uint32_t) marked;
};

static struct tree *of(struct store *s)
{
	return (struct tree *)s;
}

static struct tree_side *side(struct tree *t)
{
	return &t->w->side[t->n];
}

#define WORDS (FLAG_FLAGGED | FLAG_ANSWERED)

static const struct {
	const char *name;
	uint32_t flag;
} words[] = { { "$Flagged", FLAG_FLAGGED }, { "answered", FLAG_ANSWERED } };

/* A message's flags as the engine is told them. */
static uint64_t shown(struct tree *t, struct keyword_view *v, uint32_t flags)
{
	uint64_t out = flags, one;

	if (!t->w->words)
		return flags;
	out &= ~(uint64_t)WORDS;
	for (size_t i = 0; v && i < 2; i++) {
		if (!(flags & words[i].flag))
			continue;
		if (keywords_intern(v->table, slice_str(words[i].name), &one, NULL) < 0)
			abort();
		out |= one;
	}
	return out;
}

/* And back. */
static uint32_t meant(struct tree *t, const struct keyword_view *v, uint64_t flags)
{
	uint32_t out = (uint32_t)(flags & FLAGS_ALL);

	for (size_t i = 0; v && t->w->words && i < 2; i++)
		if (flags & keywords_find(v->table, slice_str(words[i].name)))
			out |= words[i].flag;
	return out;
}

static void misuse(struct tree_world *w, const char *why)
{
	if (w->misuse++ == 0)
		snprintf(w->why, sizeof(w->why), "%s", why);
}

/* One moment at which the process may die, or the link break: -1. */
static int moment(struct tree *t, struct err *e)
{
	struct tree_world *w = t->w;

	w->ops++;
	if (w->ops == w->crash_at)
		_exit(TREE_CRASH);
	if (side(t)->remote && w->ops == w->cut_at)
		w->dead = true;
	if (side(t)->remote && w->dead)
		return err_set(e, ERR_TEMP, "the link broke");
	return 0;
}

struct tree_world *tree_world_new(void)
{
	struct tree_world *w = mmap(NULL, sizeof(*w), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (w == MAP_FAILED)
		abort();
	tree_world_clear(w);
	return w;
}

void tree_world_free(struct tree_world *w)
{
	munmap(w, sizeof(*w));
}

void tree_world_clear(struct tree_world *w)
{
	memset(w, 0, sizeof(*w));
	w->side[0].remote = true;
	w->side[0].stamps = w->side[1].stamps = true;
	w->side[1].looks = TREE_ALL;
	w->side[0].can_hold = w->side[1].can_hold = 63;
	tree_folder(w, 0, "INBOX", true);
	tree_folder(w, 1, "INBOX", true);
}

struct tree_folder *tree_folder(struct tree_world *w, int n, const char *name, bool make)
{
	struct tree_folder *f = w->side[n].f;

	for (size_t i = 0; i < TREE_FOLDERS; i++)
		if (strcmp(f[i].name, name) == 0)
			return &f[i];
	for (size_t i = 0; make && i < TREE_FOLDERS; i++) {
		if (f[i].name[0] == '\0') {
			snprintf(f[i].name, sizeof(f[i].name), "%s", name);
			f[i].validity = (uint32_t)++w->side[n].clock;
			f[i].next = w->side[n].remote ? 1 : 1 + 1000 * (uint32_t)w->side[n].clock; /* names of files are never given again */
			f[i].changed = ++w->side[n].clock;
			return &f[i];
		}
	}
	if (make)
		abort();
	return NULL;
}

void tree_remove_folder(struct tree_world *w, int n, const char *name)
{
	struct tree_folder *f = tree_folder(w, n, name, false);

	if (f)
		memset(f, 0, sizeof(*f));
	w->side[n].clock++;
}

struct tree_msg *tree_add(struct tree_world *w, int n, const char *folder, uint32_t content, uint32_t flags)
{
	struct tree_folder *f = tree_folder(w, n, folder, true);

	for (size_t i = 0; i < TREE_MESSAGES; i++) {
		if (f->m[i].content == 0) {
			f->changed = ++w->side[n].clock;
			f->m[i] = (struct tree_msg){ .content = content, .key = f->next++, .flags = flags, .changed = f->changed };
			return &f->m[i];
		}
	}
	abort();
}

void tree_delete(struct tree_world *w, int n, struct tree_folder *f, struct tree_msg *m)
{
	f->changed = ++w->side[n].clock;
	f->gone[f->n_gone % TREE_MESSAGES].key = m->key;
	f->gone[f->n_gone++ % TREE_MESSAGES].when = f->changed;
	memset(m, 0, sizeof(*m));
}

void tree_flag(struct tree_world *w, int n, struct tree_folder *f, struct tree_msg *m, uint32_t flags)
{
	f->changed = m->changed = ++w->side[n].clock;
	m->flags = flags;
}

struct tree_msg *tree_find(struct tree_folder *f, uint32_t content)
{
	for (size_t i = 0; f && i < TREE_MESSAGES; i++)
		if (f->m[i].content == content)
			return &f->m[i];
	return NULL;
}

size_t tree_count(const struct tree_folder *f)
{
	size_t n = 0;

	for (size_t i = 0; f && i < TREE_MESSAGES; i++)
		n += f->m[i].content != 0;
	return n;
}

static void stamp(const struct tree_folder *f, char out[STORE_STAMP_MAX])
{
	snprintf(out, STORE_STAMP_MAX, "%u %u %llu", f->validity, f->next, (unsigned long long)f->changed);
}

static struct slice key_text(struct tree *t, uint32_t key)
{
	snprintf(t->key, sizeof(t->key), side(t)->remote ? "%u" : "name-%u", key);
	return slice_str(t->key);
}

static uint32_t key_number(struct tree *t, struct slice key)
{
	char text[64];

	snprintf(text, sizeof(text), "%.*s", (int)key.n, key.p);
	return (uint32_t)strtoul(side(t)->remote ? text : text + 5, NULL, 10);
}

static struct tree_msg *by_number(struct tree_folder *f, uint64_t n)
{
	for (size_t i = 0; i < TREE_MESSAGES; i++)
		if (f->m[i].content != 0 && f->m[i].key == n)
			return &f->m[i];
	return NULL;
}

static int info_of(struct tree *t, const struct tree_folder *f, struct box_info *out)
{
	memset(out, 0, sizeof(*out));
	stamp(f, out->stamp);
	out->messages = tree_count(f);
	out->validity = side(t)->remote ? f->validity : 0;
	out->can_hold = side(t)->can_hold;
	if (t->w->words)
		out->can_hold = (out->can_hold & ~(uint64_t)WORDS) | FLAGS_KEYWORDS;
	out->can_take = out->can_hold;
	out->read_only = side(t)->read_only;
	return 0;
}

/* Something else is done than a hint had said. */
static void mislead(struct tree *t)
{
	side(t)->misled += t->hinted || t->soon_at < t->n_soon;
	t->hinted = false;
	t->n_soon = t->soon_at = 0;
}

static void soon(struct store *s, const struct soon *x, size_t n)
{
	struct tree *t = of(s);

	mislead(t);
	if (t->open)
		misuse(t->w, "a hint while a box is open");
	for (size_t i = 0; i < n; i++) {
		if (x[i].n == 0 || x[i].n > TREE_MESSAGES || i >= TREE_FOLDERS)
			abort();
		snprintf(t->soon[i].folder, sizeof(t->soon[i].folder), "%s", x[i].folder);
		t->soon[i].how = x[i].how;
		t->soon[i].n = x[i].n;
		for (size_t k = 0; k < x[i].n; k++)
			t->soon[i].nums[k] = key_number(t, x[i].keys[k]);
	}
	t->n_soon = n;
}

static void close_box(struct store *s)
{
	struct tree *t = of(s);

	t->open = NULL;
	vec_clear(&t->marked);
	t->n_staged = 0;
	t->hardened = false;
	t->look = NULL;
}

static int open_box(struct store *s, const char *folder, unsigned how, struct box_info *out, struct err *e)
{
	struct tree *t = of(s);

	close_box(s);
	if (side(t)->remote && t->w->dead)
		t->w->dead = false; /* dialled anew */
	if (moment(t, e) < 0)
		return -1;
	side(t)->opened++;
	side(t)->how = how;
	if (t->hinted || (t->soon_at < t->n_soon && (strcmp(t->soon[t->soon_at].folder, folder) != 0 || t->soon[t->soon_at].how != (how & ~(unsigned)BOX_UNCHANGED))))
		mislead(t);
	t->hinted = t->soon_at < t->n_soon;
	t->soon_at += t->hinted;
	t->open = tree_folder(t->w, t->n, folder, how & BOX_CREATE);
	if (!t->open)
		return err_set_span(e, ERR_REFUSED, SPAN_BOX, "no folder %s", folder);
	return info_of(t, t->open, out);
}

/* A file that was replaced by another of its name. */
static void swap_there(struct tree *t)
{
	struct tree_folder *f = tree_folder(t->w, side(t) == &t->w->side[0], "INBOX", false);
	struct tree_msg *x = f && side(t)->swapped[0] ? tree_find(f, side(t)->swapped[0]) : NULL;

	if (!x)
		return;
	x->content = side(t)->swapped[1];
	f->changed++;
}

static int folders(struct store *s, int (*cb)(void *arg, const struct folder_info *f, struct err *e), void *arg, struct err *e)
{
	struct tree *t = of(s);

	close_box(s);
	if (side(t)->remote && t->w->dead)
		t->w->dead = false;
	if (moment(t, e) < 0)
		return -1;
	if (side(t)->missing)
		return err_set(e, ERR_LOCAL, "no root");
	if (side(t)->thinks > 0 && wait_until(clock_in(side(t)->thinks), e) < 0)
		return -1;
	side(t)->read_by_then = t->w->side[side(t) == &t->w->side[0]].read;
	swap_there(t);
	side(t)->looked_by_then = t->w->side[side(t) == &t->w->side[0]].looked;
	for (size_t i = 0; i < TREE_FOLDERS; i++) {
		struct tree_folder *f = &side(t)->f[i];
		struct folder_info info = { .name = f->name, .messages = UINT64_MAX };

		if (f->name[0] == '\0')
			continue;
		if (side(t)->stamps)
			stamp(f, info.stamp);
		if (cb(arg, &info, e) < 0)
			return -1;
	}
	return 0;
}

static int folder_create(struct store *s, const char *folder, unsigned attrs, struct err *e)
{
	struct tree *t = of(s);

	(void)attrs;
	if (moment(t, e) < 0)
		return -1;
	if (side(t)->missing && folder[0] != '\0')
		return err_set(e, ERR_LOCAL, "no root");
	side(t)->missing = false;
	if (folder[0] != '\0')
		tree_folder(t->w, t->n, folder, true);
	return 0;
}

static int folder_remove(struct store *s, const char *folder, uint64_t expected, struct err *e)
{
	struct tree *t = of(s);
	struct tree_folder *f = tree_folder(t->w, t->n, folder, false);

	mislead(t);
	if (moment(t, e) < 0)
		return -1;
	if (f && tree_count(f) > expected)
		return err_set_span(e, ERR_REFUSED, SPAN_BOX, "there is more in it");
	tree_remove_folder(t->w, t->n, folder);
	return 0;
}

static int folder_rename(struct store *s, const char *from, const char *to, struct err *e)
{
	struct tree *t = of(s);
	struct tree_folder *f = tree_folder(t->w, t->n, from, false);

	mislead(t);
	if (moment(t, e) < 0)
		return -1;
	if (!f || tree_folder(t->w, t->n, to, false))
		return err_set_span(e, ERR_REFUSED, SPAN_BOX, "there is none, or there is one");
	if (side(t)->no_renames)
		return err_set_span(e, ERR_REFUSED, SPAN_BOX, "it keeps its name");
	snprintf(f->name, sizeof(f->name), "%s", to);
	side(t)->clock++;
	return 0;
}

static int body_of(const struct tree *t, const struct tree_msg *x, char *text, size_t size)
{
	return snprintf(text, size, t->w->nameless ? NAMELESS : BODY, x->content, x->content, x->content);
}

static int64_t date_of(struct tree *t, const struct tree_msg *x)
{
	return side(t)->dates ? 1000000000 + x->content : 0;
}

static int look(struct store *s, const struct look *l, size_t n, unsigned how, struct err *e)
{
	struct tree *t = of(s);

	(void)how;
	close_box(s);
	if (side(t)->remote && t->w->dead)
		t->w->dead = false; /* dialled anew */
	if (moment(t, e) < 0)
		return -1;
	t->look = l;
	t->n_look = n;
	t->look_at = 0;
	t->looking = NULL;
	side(t)->announced = ++t->w->looks;
	return 0;
}

static int look_box(struct store *s, size_t *i, struct box_info *out, struct err *e)
{
	struct tree *t = of(s);
	const struct look *l;
	unsigned validity = 0, next = 0;
	unsigned long long changed = 0;

	if (!t->look)
		misuse(t->w, "look_box without look");
	if (t->look_at == t->n_look)
		return 0;
	if (moment(t, e) < 0)
		return -1;
	*i = t->look_at;
	l = &t->look[t->look_at++];
	side(t)->looked++;
	if (t->look_at == 1)
		side(t)->told_from = ++t->w->looks;
	t->looking = tree_folder(t->w, t->n, l->folder, false);
	if (!t->looking)
		return err_set_span(e, ERR_REFUSED, SPAN_BOX, "no folder %s", l->folder);
	info_of(t, t->looking, out);
	if (l->stamp[0] && sscanf(l->stamp, "%u %u %llu", &validity, &next, &changed) != 3)
		misuse(t->w, "a stamp that was never given");
	out->reborn = l->stamp[0] && validity != t->looking->validity && side(t)->remote;
	t->since = changed;
	t->fresh = l->all ? 0 : next;
	t->msg_at = t->gone_at = 0;
	t->again = side(t)->tells_twice;
	memset(t->taken, 0, sizeof(t->taken));
	t->all = l->all || l->stamp[0] == '\0' || side(t)->looks == TREE_ALL;
	t->names = l->idents || (out->reborn && t->all);
	out->extent = t->all ? LOOK_ALL : LOOK_CHANGES;
	if (!l->all && l->stamp[0] && strcmp(l->stamp, out->stamp) == 0)
		out->extent = LOOK_SAME;
	else if (side(t)->stirring)
		out->stamp[0] = '\0';
	return 1;
}

static bool object_of(struct tree *t, const struct tree_msg *x, unsigned char out[IDENT_OBJECT])
{
	memset(out, 0, IDENT_OBJECT);
	if (!side(t)->one_object)
		memcpy(out, &x->content, sizeof(x->content));
	return side(t)->objects;
}

/* What a server says of a message without its body. */
static int ident_of(struct tree *t, struct ident_reader *r, const struct tree_msg *x, struct ident *id, struct err *e)
{
	char text[200];
	struct stream *body = memstream_new(text, (size_t)body_of(t, x, text, sizeof(text)), 0, NULL);
	int rc = ident_read(r, body, id, e);

	stream_free(body);
	id->has_digest = false;
	id->date = date_of(t, x);
	id->has_object = object_of(t, x, id->object);
	return rc;
}

/* Its Message-ID, for a look that asks for it. */
static int name_in_look(struct tree *t, const struct tree_msg *x, struct store_msg *m, struct err *e)
{
	struct ident_reader *r = ident_reader_new(e);
	struct ident id = { 0 };
	int rc = r ? ident_of(t, r, x, &id, e) : -1;

	m->has_mid = id.has_mid;
	memcpy(m->mid, id.mid, sizeof(m->mid));
	side(t)->named += id.has_mid;
	ident_reader_free(r);
	return rc;
}

static int look_next(struct store *s, struct store_msg *m, struct err *e)
{
	struct tree *t = of(s);
	struct tree_folder *f = t->looking;

	memset(m, 0, sizeof(*m));
	if (moment(t, e) < 0)
		return -1;
	for (; t->msg_at < TREE_MESSAGES || t->again; t->msg_at++) {
		struct tree_msg *x;

		if (t->msg_at == TREE_MESSAGES) {
			t->again = false;
			t->msg_at = 0;
		}
		x = &f->m[t->msg_at];
		if (x->content == 0 || t->taken[t->msg_at] || (!t->all && x->changed <= t->since))
			continue;
		t->msg_at++;
		m->key = key_text(t, x->key);
		m->flags = shown(t, t->look[t->look_at - 1].keywords, x->flags);
		if (side(t)->remote && (t->look[t->look_at - 1].sizes || x->key >= t->fresh)) {
			m->size = (uint64_t)body_of(t, x, NULL, 0);
			m->date = date_of(t, x);
			m->has_object = object_of(t, x, m->object);
		}
		if (side(t)->remote && t->names && x->key >= t->fresh && name_in_look(t, x, m, e) < 0)
			return -1;
		return 1;
	}
	for (; !t->all && t->gone_at < f->n_gone && t->gone_at < TREE_MESSAGES; t->gone_at++) {
		if (f->gone[t->gone_at].when <= t->since)
			continue;
		m->key = key_text(t, f->gone[t->gone_at++].key);
		m->gone = true;
		return 1;
	}
	return 0;
}

static bool look_take(struct store *s, struct slice key, struct store_msg *m)
{
	struct tree *t = of(s);

	if (!t->all || t->msg_at > 0)
		misuse(t->w, "look_take of a look that does not tell all, or was read");
	memset(m, 0, sizeof(*m));
	for (size_t i = 0; i < TREE_MESSAGES; i++) {
		struct tree_msg *x = &t->looking->m[i];

		if (x->content == 0 || !slice_eq(key_text(t, x->key), key))
			continue;
		t->taken[i] = true;
		m->key = key_text(t, x->key);
		m->flags = shown(t, t->look[t->look_at - 1].keywords, x->flags);
		return true;
	}
	return false;
}

static int find(struct store *s, struct slice key, uint64_t flags, struct store_msg *m, struct err *e)
{
	struct tree *t = of(s);
	struct tree_msg *x;

	(void)flags;
	if (!t->open)
		return err_set(e, ERR_BUG, "find without a box");
	m->num = key_number(t, key);
	x = by_number(t->open, m->num);
	if (x && !side(t)->remote) {
		m->size = (uint64_t)body_of(t, x, NULL, 0) - 4; /* its lines end in LF */
		m->date = date_of(t, x);
	}
	return side(t)->remote || x ? 1 : 0;
}

static int idents(struct store *s, const uint64_t *nums, size_t n, bool marks, void (*tell)(void *arg, uint64_t num, const struct ident *id), void *arg, struct err *e)
{
	struct tree *t = of(s);
	struct ident_reader *r = ident_reader_new(e);
	int rc = r ? 0 : -1;

	mislead(t);
	side(t)->asked++;
	side(t)->marks += marks;
	if (!t->open)
		misuse(t->w, "idents without a box");
	for (size_t i = 0; rc == 0 && t->open && i < n; i++) {
		struct tree_msg *x = by_number(t->open, nums[i]);
		struct ident id;

		rc = moment(t, e);
		if (rc < 0 || !x)
			continue;
		rc = ident_of(t, r, x, &id, e);
		tell(arg, nums[i], &id);
	}
	ident_reader_free(r);
	return rc;
}

static int want(struct store *s, const uint64_t *nums, size_t n, struct err *e)
{
	struct tree *t = of(s);

	if (t->hinted) {
		bool right = n == t->soon[t->soon_at - 1].n;

		for (size_t i = 0; right && i < n; i++)
			right = nums[i] == t->soon[t->soon_at - 1].nums[i];
		if (right)
			side(t)->foretold++;
		else
			mislead(t);
		t->hinted = false;
	}
	vec_clear(&t->want);
	t->want_at = 0;
	for (size_t i = 0; i < n; i++)
		if (vec_push(&t->want, nums[i]) < 0)
			return err_set(e, ERR_LOCAL, "out of memory");
	return 0;
}

static int next(struct store *s, size_t *i, struct stream **body, struct err *e)
{
	struct tree *t = of(s);
	struct tree_msg *x;
	static char text[200];
	int n;

	if (t->want_at == t->want.n)
		return 0;
	if (moment(t, e) < 0)
		return -1;
	*i = t->want_at++;
	*body = NULL;
	if (!t->open) {
		misuse(t->w, "next without a box");
		return err_set(e, ERR_BUG, "next without a box");
	}
	x = by_number(t->open, t->want.a[*i]);
	if (!x || x->content == side(t)->hide)
		return 1;
	side(t)->read++;
	n = body_of(t, x, text, sizeof(text));
	if (!side(t)->remote) { /* as find */
		s->given.size = (uint64_t)n - 4;
		s->given.date = date_of(t, x);
	}
	*body = memstream_new(text, (size_t)n, 7, NULL);
	return 1;
}

static int remove_msgs(struct store *s, const uint64_t *nums, size_t n, void (*done)(void *arg, uint64_t num, const struct err *why), void *arg, struct err *e)
{
	struct tree *t = of(s);

	mislead(t);
	if (side(t)->read_only)
		misuse(t->w, "something is written that can only be read");
	if (moment(t, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (vec_push(&t->marked, (uint32_t)nums[i]) < 0)
			abort();
		done(arg, nums[i], NULL);
	}
	return 0;
}

static int commit(struct store *s, struct err *e)
{
	struct tree *t = of(s);

	if (t->marked.n == 0)
		misuse(t->w, "a commit of nothing");
	for (size_t i = 0; i < t->marked.n; i++) {
		struct tree_msg *x;

		if (moment(t, e) < 0)
			return -1;
		x = by_number(t->open, t->marked.a[i]);
		if (x)
			tree_delete(t->w, t->n, t->open, x);
	}
	if (moment(t, e) < 0) /* all is done, and nobody says so */
		return -1;
	close_box(s);
	return 0;
}

static int move(struct store *s, const uint64_t *nums, size_t n, const char *folder, struct keyword_view *there,
		void (*done)(void *arg, uint64_t num, struct slice key, const struct err *why), void *arg, struct err *e)
{
	struct tree *t = of(s);
	struct tree_folder *to = tree_folder(t->w, t->n, folder, false);

	mislead(t);
	(void)there;
	if (side(t)->read_only)
		misuse(t->w, "something is written that can only be read");
	if (!t->open || !to || to == t->open) {
		misuse(t->w, "a move from or to nowhere");
		return err_set(e, ERR_BUG, "move");
	}
	for (size_t i = 0; i < n; i++) {
		struct tree_msg *x, *y;
		struct err why = ERR_INIT;
		char key[32] = "";

		if (moment(t, e) < 0)
			return -1;
		x = by_number(t->open, nums[i]);
		if (x && side(t)->no_moves) {
			err_set_span(&why, ERR_REFUSED, SPAN_MSG, "no moves today");
			done(arg, nums[i], (struct slice){ 0 }, &why);
			continue;
		}
		if (x) {
			y = tree_add(t->w, t->n, folder, x->content, x->flags);
			tree_delete(t->w, t->n, t->open, x);
			side(t)->moved++;
			if (!side(t)->mute_moves)
				snprintf(key, sizeof(key), side(t)->remote ? "%u" : "name-%u", y->key);
		}
		done(arg, nums[i], slice_str(key), NULL);
	}
	if (moment(t, e) < 0)
		return -1;
	close_box(s);
	return 0;
}

static int set_flags(struct store *s, const struct flag_change *c, size_t n, void (*done)(void *arg, uint64_t num, const struct err *why), void *arg, struct err *e)
{
	struct tree *t = of(s);

	mislead(t);
	if (side(t)->read_only)
		misuse(t->w, "something is written that can only be read");
	for (size_t i = 0; i < n; i++) {
		struct tree_msg *x;
		struct err why = ERR_INIT;

		if (moment(t, e) < 0)
			return -1;
		if (side(t)->refuse_flags) {
			err_set_span(&why, ERR_REFUSED, SPAN_MSG, "no flags today");
			done(arg, c[i].num, &why);
			continue;
		}
		x = by_number(t->open, c[i].num);
		if (x)
			tree_flag(t->w, t->n, t->open, x, (x->flags | (meant(t, s->keywords, c[i].add) & side(t)->can_hold)) & ~meant(t, s->keywords, c[i].del));
		done(arg, c[i].num, NULL);
	}
	return 0;
}

static int stage(struct store *s, struct stream *body, const struct store_meta *meta, struct staged *out, struct err *e)
{
	struct tree *t = of(s);
	char text[300], lf[300];
	struct eol eol = { 0 };
	size_t n = 0;
	ssize_t got;
	unsigned content;

	mislead(t);
	if (side(t)->read_only)
		misuse(t->w, "something is written that can only be read");
	memset(out, 0, sizeof(*out));
	side(t)->staged++;
	if (moment(t, e) < 0)
		return -1;
	if (!t->open)
		return err_set(e, ERR_BUG, "stage without a box");
	while ((got = stream_read(body, text + n, sizeof(text) - 1 - n, e)) > 0)
		n += (size_t)got;
	if (got < 0)
		return -1;
	text[n] = '\0';
	if (sscanf(text, "Subject: %u", &content) != 1) {
		misuse(t->w, "a body that nobody has");
		return err_set(e, ERR_BUG, "body");
	}
	if ((!side(t)->remote && content == side(t)->refuse) || side(t)->refuse_copies)
		return err_set_span(e, ERR_REFUSED, SPAN_MSG, "not this one");
	out->size = n;
	n = eol_to_lf(&eol, text, n, lf);
	if (digest_put(t->digest, lf, n) < 0 || digest_end(t->digest, out->digest) < 0)
		abort();
	if (!side(t)->remote)
		out->size = n;
	t->staged[t->n_staged].content = content;
	t->staged[t->n_staged].flags = meant(t, s->keywords, meta->flags) & side(t)->can_hold;
	memcpy(t->staged[t->n_staged].digest, out->digest, DIGEST_SIZE);
	if (!side(t)->remote) {
		t->staged[t->n_staged].key = t->open->next++;
		snprintf(out->key, sizeof(out->key), "name-%u", t->staged[t->n_staged].key);
	}
	t->n_staged++;
	return 0;
}

static int stage_again(struct store *s, const char *folder, struct slice key, const struct staged *as, const struct store_meta *meta, struct staged *out, struct err *e)
{
	struct tree *t = of(s);
	struct tree_folder *f = tree_folder(t->w, t->n, folder, false);
	struct tree_msg *x;
	char text[300];
	struct stream *body;
	int rc;

	if (moment(t, e) < 0)
		return -1;
	if (!t->open || f == t->open) {
		misuse(t->w, "stage_again without a box, or from its own");
		return err_set(e, ERR_BUG, "stage_again");
	}
	x = f ? by_number(f, key_number(t, key)) : NULL;
	if (!x)
		return 0;
	body = memstream_new(text, (size_t)body_of(t, x, text, sizeof(text)), 0, NULL);
	rc = stage(s, body, meta, out, e);
	stream_free(body);
	if (rc < 0)
		return -1;
	if ((as->size != 0 && out->size != as->size) || memcmp(out->digest, as->digest, DIGEST_SIZE) != 0)
		misuse(t->w, "stage_again of something else");
	side(t)->again++;
	return 1;
}

static void unstage(struct store *s, struct staged *out)
{
	struct tree *t = of(s);

	out->dropped = true;
	if (t->n_staged == 0 || memcmp(t->staged[t->n_staged - 1].digest, out->digest, DIGEST_SIZE) != 0)
		misuse(t->w, "unstage of another than the last");
	else
		t->n_staged--;
}

static int harden(struct store *s, struct staged *st, size_t n, struct err *e)
{
	struct tree *t = of(s);

	if (moment(t, e) < 0)
		return -1;
	if (n != t->n_staged)
		misuse(t->w, "harden of another number than was staged");
	for (size_t i = 0; i < n; i++)
		snprintf(st[i].hint, sizeof(st[i].hint), "%u %u", t->open->validity, t->open->next);
	t->hardened = true;
	return 0;
}

static int publish(struct store *s, struct staged *st, size_t n, struct err *e)
{
	struct tree *t = of(s);

	if (!t->hardened)
		misuse(t->w, "publish before harden");
	for (size_t i = 0; i < n; i++) {
		struct tree_msg *x;

		if (moment(t, e) < 0)
			return -1;
		if (side(t)->remote && t->staged[i].content == side(t)->refuse) {
			st[i].refused = malloc(sizeof(*st[i].refused));
			*st[i].refused = (struct err)ERR_INIT;
			err_set_span(st[i].refused, ERR_REFUSED, SPAN_MSG, "not this one");
			continue;
		}
		x = side(t)->merges ? tree_find(t->open, t->staged[i].content) : NULL;
		if (!x)
			x = tree_add(t->w, t->n, t->open->name, t->staged[i].content, t->staged[i].flags);
		if (side(t)->remote)
			snprintf(st[i].key, sizeof(st[i].key), "%u", x->key);
		else
			x->key = t->staged[i].key;
	}
	t->n_staged = 0;
	t->hardened = false;
	return 0;
}

static void abandon(struct store *s)
{
	of(s)->n_staged = 0;
	of(s)->hardened = false;
}

/* Late keys are found by content above the next UID of before; names by themselves. */
static int recover(struct store *s, struct recovery *r, size_t n, struct err *e)
{
	struct tree *t = of(s);
	static char keys[STAGED][16];
	bool claimed[TREE_MESSAGES] = { false };

	if (moment(t, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		unsigned validity = 0, from = 0;

		r[i].found = false;
		if (!side(t)->remote) {
			r[i].found = by_number(t->open, key_number(t, slice_str(r[i].key))) != NULL;
			continue;
		}
		if (sscanf(r[i].hint, "%u %u", &validity, &from) != 2)
			misuse(t->w, "a hint that was never given");
		for (size_t k = 0; k < TREE_MESSAGES && !r[i].found; k++) {
			struct tree_msg *x = &t->open->m[k];
			unsigned char d[DIGEST_SIZE];
			char text[300], lf[300];
			struct eol eol = { 0 };
			int len;

			if (x->content == 0 || x->key < from || claimed[k] || validity != t->open->validity)
				continue;
			len = body_of(t, x, text, sizeof(text));
			if (digest_put(t->digest, lf, eol_to_lf(&eol, text, (size_t)len, lf)) < 0 || digest_end(t->digest, d) < 0)
				abort();
			if (memcmp(d, r[i].digest, DIGEST_SIZE) != 0)
				continue;
			claimed[k] = r[i].found = true;
			snprintf(keys[i], sizeof(keys[i]), "%u", x->key);
			r[i].now = slice_str(keys[i]);
		}
	}
	return 0;
}

static void free_store(struct store *s)
{
	struct tree *t = of(s);

	vec_release(&t->want);
	vec_release(&t->marked);
	digest_free(t->digest);
	free(t);
}

#define OPS(store_name, more, how, hint, copy, take) { \
	.name = store_name, .idents = how, .caps = STORE_SOURCE | STORE_TARGET | STORE_TREE | (more), \
	.open_box = open_box, .close_box = close_box, .list_start = store_cannot_list_start, .list_next = store_cannot_list_next, \
	.want = want, .soon = hint, .next = next, .remove = remove_msgs, .commit = commit, \
	.stage = stage, .stage_again = copy, .unstage = unstage, .harden = harden, .publish = publish, .abandon = abandon, .recover = recover, \
	.folders = folders, .folder_create = folder_create, .folder_remove = folder_remove, .folder_rename = folder_rename, \
	.same_box = store_cannot_same_box, \
	.look = look, .look_box = look_box, .look_next = look_next, .look_take = take, .find = find, .move = move, .set_flags = set_flags, .restore = store_cannot_restore, .free = free_store, \
}

struct store *tree_store(struct tree_world *w, int n)
{
	static const struct store_ops local = OPS("fake", 0, NULL, NULL, stage_again, look_take), remote = OPS("fake", STORE_REMOTE | STORE_LATE_KEYS, idents, soon, NULL, NULL);
	struct tree *t = calloc(1, sizeof(*t));

	if (!t)
		abort();
	t->s.ops = w->side[n].remote ? &remote : &local;
	t->w = w;
	t->n = n;
	t->digest = digest_new(NULL);
	return &t->s;
}
