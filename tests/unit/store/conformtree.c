/* What every store with folders must do: see conformtree.h. */
#include "conformtree.h"

#include "../../lib/unit.h"

#include "base/clock.h"
#include "mail/flags.h"

#define DATE 1500000000
#define MAX 64

/* A message as the test knows it, and as the base of a job would. */
struct known {
	char key[STORE_KEY_MAX + 1];
	uint32_t flags;
	bool there;
	unsigned char digest[DIGEST_SIZE]; /* if they delivered it */
};

/* What one program knows of a folder. */
struct view {
	const char *folder;
	char stamp[STORE_STAMP_MAX];
	struct known a[MAX];
	size_t n;
};

struct rig {
	const struct conform_tree *c;
	char *dir;
	struct store *s, *other; /* the one that is tested, and the other program */
	struct box_info info;
	unsigned delivered;
	struct err e;
};

static void rig_start(struct rig *r, void **state)
{
	*r = (struct rig){ .c = *state };
	r->dir = scratch_make();
	r->s = r->c->make(r->dir, &r->e);
	r->other = r->c->make(r->dir, &r->e);
	assert_non_null(r->s);
	assert_non_null(r->other);
}

static void rig_stop(struct rig *r)
{
	store_free(r->s);
	store_free(r->other);
	scratch_remove(r->dir);
	clock_test_set(-1);
}

static void must(struct rig *r, int rc, const char *what)
{
	if (rc < 0)
		fail_msg("%s: %s", what, r->e.text);
}

static void open_box(struct rig *r, struct store *s, const char *folder)
{
	must(r, s->ops->open_box(s, folder, BOX_WRITE, &r->info, &r->e), "open");
}

static void create(struct rig *r, const char *folder)
{
	must(r, r->s->ops->folder_create(r->s, folder, 0, &r->e), "create");
}

static void settle(struct rig *r)
{
	if (r->c->settle)
		r->c->settle(r->dir);
}

static void stage(struct rig *r, struct store *s, const struct sample *m, uint32_t flags, int64_t date, struct staged *st)
{
	const struct store_meta meta = { .received = DATE - 5, .flags = flags, .date = date };
	struct stream *body = memstream_new(m->p, m->n, 65536, NULL);

	must(r, s->ops->stage(s, body, &meta, st, &r->e), "stage");
	stream_free(body);
}

static void publish(struct rig *r, struct store *s, struct staged *st, size_t n)
{
	must(r, s->ops->harden(s, st, n, &r->e), "harden");
	must(r, s->ops->publish(s, st, n, &r->e), "publish");
	for (size_t i = 0; i < n; i++) {
		assert_null(st[i].refused);
		assert_true(st[i].key[0] != '\0');
	}
}

static const struct sample hello = { "hello", "Subject: x\r\n\r\nhello\r\n", 21 };

/* Another program delivers: always the same, or something that differs by a letter. */
static void they_deliver(struct rig *r, const char *folder, uint32_t flags, struct known *k)
{
	char text[64];
	struct sample s = hello;
	struct staged st;

	memcpy(text, hello.p, hello.n);
	if (r->c->counted)
		text[9] = (char)('a' + (int)(r->delivered++ % 26));
	s.p = text;
	sample_digest(&s, k->digest);
	open_box(r, r->other, folder);
	stage(r, r->other, &s, flags, 0, &st);
	publish(r, r->other, &st, 1);
	r->other->ops->close_box(r->other);
	memcpy(k->key, st.key, sizeof(k->key));
	k->flags = flags;
	k->there = true;
}

static struct known *known_of(struct view *v, struct slice key)
{
	for (size_t i = 0; i < v->n; i++)
		if (slice_eqs(key, v->a[i].key))
			return &v->a[i];
	return NULL;
}

/* look.known */
static int tell_known(void *arg, const char *folder, int (*each)(void *to, struct slice key, struct err *e), void *to, struct err *e)
{
	struct view *v = arg;

	assert_string_equal(folder, v->folder);
	for (size_t i = 0; i < v->n; i++)
		if (v->a[i].there && each(to, slice_str(v->a[i].key), e) < 0)
			return -1;
	return 0;
}

static struct look look_for(struct view *v)
{
	return (struct look){ .folder = v->folder, .stamp = v->stamp, .known = tell_known, .arg = v };
}

/* Read a look to its end into the view. */
static void take_in(struct rig *r, struct view *v)
{
	bool seen[MAX] = { false };
	struct store_msg m;
	int rc;

	assert_false(r->info.reborn);
	while ((rc = r->s->ops->look_next(r->s, &m, &r->e)) > 0) {
		struct known *k = known_of(v, m.key);

		assert_true(r->info.extent != LOOK_SAME);
		assert_true(m.key.n > 0);
		if (m.gone) {
			assert_int_equal(r->info.extent, LOOK_CHANGES);
			if (k)
				k->there = false;
			continue;
		}
		if (!k) {
			assert_true(v->n < MAX && m.key.n <= STORE_KEY_MAX);
			k = &v->a[v->n++];
			memcpy(k->key, m.key.p, m.key.n);
			k->key[m.key.n] = '\0';
		}
		assert_false(seen[k - v->a]);
		seen[k - v->a] = true;
		assert_int_equal(m.flags & FLAGS_KEYWORDS, 0);
		k->flags = (uint32_t)m.flags;
		k->there = true;
	}
	must(r, rc, "look_next");
	for (size_t i = 0; r->info.extent == LOOK_ALL && i < v->n; i++)
		v->a[i].there = v->a[i].there && seen[i];
	memcpy(v->stamp, r->info.stamp, sizeof(v->stamp));
}

/* Look at one folder. */
static void look(struct rig *r, struct view *v)
{
	struct look l = look_for(v);
	struct box_info none;
	size_t i = 99;

	must(r, r->s->ops->look(r->s, &l, 1, BOX_READ, &r->e), "look");
	must(r, r->s->ops->look_box(r->s, &i, &r->info, &r->e), "look_box");
	assert_int_equal(i, 0);
	take_in(r, v);
	assert_int_equal(r->s->ops->look_box(r->s, &i, &none, &r->e), 0);
}

/* The view shows just what is there. */
static void check(struct view *v, const struct known *k, size_t n)
{
	size_t there = 0;

	for (size_t i = 0; i < n; i++) {
		const struct known *got = known_of(v, slice_str(k[i].key));

		assert_true(got != NULL || !k[i].there);
		if (!got)
			continue;
		assert_int_equal(got->there, k[i].there);
		if (got->there)
			assert_int_equal(got->flags, k[i].flags);
		there += got->there;
	}
	for (size_t i = 0; i < v->n; i++)
		there -= v->a[i].there;
	assert_int_equal(there, 0);
}

struct names {
	char a[MAX][256];
	size_t n;
};

static int note_folder(void *arg, const struct folder_info *f, struct err *e)
{
	struct names *all = arg;

	(void)e;
	assert_true(all->n < MAX && strlen(f->name) < sizeof(all->a[0]));
	for (size_t i = 0; i < all->n; i++)
		assert_string_not_equal(all->a[i], f->name);
	snprintf(all->a[all->n++], sizeof(all->a[0]), "%s", f->name);
	return 0;
}

static bool has_folder(struct rig *r, const char *folder)
{
	struct names all = { .n = 0 };
	bool has = false;

	must(r, r->s->ops->folders(r->s, note_folder, &all, &r->e), "folders");
	for (size_t i = 0; i < all.n; i++)
		has = has || strcmp(all.a[i], folder) == 0;
	return has;
}

static int stop_at_once(void *arg, const struct folder_info *f, struct err *e)
{
	(void)f;
	++*(int *)arg;
	return err_set(e, ERR_CANCEL, "enough");
}

static void folders_come_and_go(void **state)
{
	static const char *const folders[] = { "Work", "Work/2026/May", "a.b", "50% ~x", "Gr\xc3\xbcn", "Deep/er/and/deeper", "new", "a.b/cur" };
	const size_t n = COUNT(folders);
	struct rig r;
	int calls = 0;

	rig_start(&r, state);
	assert_int_equal(r.s->ops->caps & (STORE_SOURCE | STORE_TARGET | STORE_TREE), STORE_SOURCE | STORE_TARGET | STORE_TREE);
	assert_true(has_folder(&r, "INBOX"));
	for (int again = 0; again < 2; again++)
		for (size_t i = 0; i < n; i++)
			create(&r, folders[i]);
	for (size_t i = 0; i < n; i++)
		assert_true(has_folder(&r, folders[i]));
	create(&r, "Work/2026");
	assert_int_equal(r.s->ops->folders(r.s, stop_at_once, &calls, &r.e), -1);
	assert_int_equal(r.e.kind, ERR_CANCEL);
	assert_int_equal(calls, 1);
	/* what is below stays */
	must(&r, r.s->ops->folder_remove(r.s, "Work/2026", 0, &r.e), "remove");
	assert_false(has_folder(&r, "Work/2026"));
	assert_true(has_folder(&r, "Work"));
	assert_true(has_folder(&r, "Work/2026/May"));
	for (size_t i = 0; i < n; i++)
		must(&r, r.s->ops->folder_remove(r.s, folders[i], 0, &r.e), folders[i]);
	for (size_t i = 0; i < n; i++)
		assert_false(has_folder(&r, folders[i]));
	assert_int_equal(r.s->ops->folder_remove(r.s, "INBOX", 100, &r.e), -1);
	assert_int_equal(r.e.kind, ERR_REFUSED);
	assert_true(has_folder(&r, "INBOX"));
	rig_stop(&r);
}

/* A folder gets another name, and its messages keep their keys. */
static void rename_folder(void **state)
{
	struct view v = { .folder = "Places/New" };
	struct known k[2];
	struct rig r;

	rig_start(&r, state);
	create(&r, "Old");
	they_deliver(&r, "Old", 0, &k[0]);
	they_deliver(&r, "Old", FLAG_SEEN, &k[1]);
	must(&r, r.s->ops->folder_rename(r.s, "Old", "Places/New", &r.e), "rename");
	assert_false(has_folder(&r, "Old"));
	assert_true(has_folder(&r, "Places/New"));
	look(&r, &v);
	assert_int_equal(v.n, 2);
	for (size_t i = 0; i < 2; i++)
		assert_non_null(known_of(&v, slice_str(k[i].key)));
	rig_stop(&r);
}

/* Nothing is put over anything, and the inbox is called as it is. */
static void rename_folder_in_vain(void **state)
{
	static const char *const names[][2] = { { "Old", "Taken" }, { "Old", "INBOX" }, { "INBOX", "New" }, { "None", "New" }, { "", "New" }, { "Old", "" } };
	struct view v = { .folder = "Taken" };
	struct known k;
	struct rig r;

	rig_start(&r, state);
	create(&r, "Old");
	create(&r, "Taken");
	they_deliver(&r, "Taken", 0, &k);
	for (size_t i = 0; i < COUNT(names); i++) {
		assert_int_equal(r.s->ops->folder_rename(r.s, names[i][0], names[i][1], &r.e), -1);
		assert_int_equal(r.e.span, SPAN_BOX);
		err_clear(&r.e);
	}
	for (size_t i = 0; i < 2; i++)
		assert_true(has_folder(&r, i ? "Taken" : "Old"));
	assert_false(has_folder(&r, "New"));
	look(&r, &v);
	assert_int_equal(v.n, 1);
	rig_stop(&r);
}

/* A folder is removed with the messages that are expected in it, and no more. */
static void remove_full_folder(void **state)
{
	struct known k;
	struct rig r;

	rig_start(&r, state);
	create(&r, "Old");
	they_deliver(&r, "Old", 0, &k);
	they_deliver(&r, "Old", FLAG_SEEN, &k);
	for (uint64_t expected = 0; expected < 2; expected++) {
		assert_int_equal(r.s->ops->folder_remove(r.s, "Old", expected, &r.e), -1);
		assert_int_equal(r.e.kind, ERR_REFUSED);
		assert_int_equal(r.e.span, SPAN_BOX);
		assert_non_null(strstr(r.e.text, "Old"));
	}
	{
		struct view v = { .folder = "Old" };

		look(&r, &v);
		assert_int_equal(v.n, 2);
	}
	must(&r, r.s->ops->folder_remove(r.s, "Old", 2, &r.e), "remove");
	assert_false(has_folder(&r, "Old"));
	create(&r, "Old");
	{
		struct view v = { .folder = "Old" };

		look(&r, &v);
		assert_int_equal(v.n, 0);
	}
	rig_stop(&r);
}

/* What remove and set_flags said. */
struct said {
	size_t ok, failed;
	uint64_t num[MAX];
	struct err why;
};

static void say(void *arg, uint64_t num, const struct err *why)
{
	struct said *said = arg;

	assert_true(said->ok + said->failed < MAX);
	for (size_t i = 0; i < said->ok + said->failed; i++)
		assert_int_not_equal(said->num[i], num);
	said->num[said->ok + said->failed] = num;
	if (why) {
		assert_int_equal(why->span, SPAN_MSG);
		said->why = *why;
		said->failed++;
	} else {
		said->ok++;
	}
}

static uint64_t find(struct rig *r, struct store *s, const struct known *k)
{
	struct store_msg m;

	assert_int_equal(s->ops->find(s, slice_str(k->key), k->flags, &m, &r->e), 1);
	return m.num;
}

/* Flags in the open box. */
static void flag(struct rig *r, struct store *s, struct known *k, uint32_t add, uint32_t del)
{
	struct flag_change c = { find(r, s, k), add, del };
	struct said said = { .ok = 0 };

	must(r, s->ops->set_flags(s, &c, 1, say, &said, &r->e), "set_flags");
	assert_int_equal(said.ok, 1);
	k->flags = (k->flags & ~del) | add;
}

/* Remove some from a folder. */
static void take_out(struct rig *r, struct store *s, const char *folder, struct known *k, size_t n)
{
	struct said said = { .ok = 0 };
	uint64_t nums[MAX];

	open_box(r, s, folder);
	for (size_t i = 0; i < n; i++) {
		nums[i] = find(r, s, &k[i]);
		k[i].there = false;
	}
	must(r, s->ops->remove(s, nums, n, say, &said, &r->e), "remove");
	must(r, s->ops->commit(s, &r->e), "commit");
	assert_int_equal(said.ok, n);
}

/* Nothing, new ones, other flags, gone ones: each look tells what the others did since the one before. With stamps that are fresh, and with old ones. */
static void looks_tell_changes(void **state)
{
	struct rig r;

	for (int old = 0; old < 2; old++) {
		struct view v = { .folder = "INBOX" };
		struct known k[8] = { { .key = "" } };

		rig_start(&r, state);
		look(&r, &v);
		check(&v, k, 0);
		assert_false(r.info.read_only);
		assert_int_equal(r.info.can_hold & (FLAG_SEEN | FLAG_FLAGGED | FLAG_DELETED), FLAG_SEEN | FLAG_FLAGGED | FLAG_DELETED);
		for (size_t i = 0; i < 8; i++)
			they_deliver(&r, "INBOX", (uint32_t)i & (FLAG_SEEN | FLAG_ANSWERED | FLAG_FLAGGED), &k[i]);
		for (int what = 0; what < 6; what++) {
			if (what > 1)
				open_box(&r, r.other, "INBOX");
			if (what == 2)
				flag(&r, r.other, &k[1], FLAG_FLAGGED, FLAG_SEEN);
			if (what == 3)
				flag(&r, r.other, &k[0], FLAG_SEEN, 0);
			if (what == 4)
				flag(&r, r.other, &k[7], 0, FLAG_SEEN | FLAG_ANSWERED | FLAG_FLAGGED);
			if (what == 5)
				take_out(&r, r.other, "INBOX", k + 2, 2);
			r.other->ops->close_box(r.other);
			if (old)
				settle(&r);
			look(&r, &v);
			check(&v, k, 8);
			for (int quiet = 0; quiet < 2; quiet++) {
				look(&r, &v);
				if (v.stamp[0])
					assert_true(r.info.extent != LOOK_ALL);
				check(&v, k, 8);
			}
			if (old)
				assert_true(v.stamp[0] != '\0');
		}
		rig_stop(&r);
	}
}

/* Many folders in one go; one that isn't there stops nothing, nor does one that is not read to its end. */
static void looks_at_many(void **state)
{
	struct view v[5] = { { .folder = "A" }, { .folder = "B" }, { .folder = "no such folder" }, { .folder = "C" }, { .folder = "INBOX" } };
	struct look l[5];
	struct known k[4];
	struct store_msg m;
	struct rig r;
	size_t i;

	rig_start(&r, state);
	create(&r, "A");
	create(&r, "B");
	create(&r, "C");
	they_deliver(&r, "A", 0, &k[0]);
	they_deliver(&r, "A", 0, &k[1]);
	they_deliver(&r, "B", FLAG_SEEN, &k[2]);
	they_deliver(&r, "INBOX", 0, &k[3]);
	for (i = 0; i < 5; i++)
		l[i] = look_for(&v[i]);
	must(&r, r.s->ops->look(r.s, l, 5, BOX_WRITE, &r.e), "look");
	assert_int_equal(r.s->ops->look_box(r.s, &i, &r.info, &r.e), 1);
	assert_int_equal(i, 0);
	assert_int_equal(r.s->ops->look_next(r.s, &m, &r.e), 1);
	assert_int_equal(r.s->ops->look_box(r.s, &i, &r.info, &r.e), 1);
	assert_int_equal(i, 1);
	take_in(&r, &v[1]);
	check(&v[1], k + 2, 1);
	assert_int_equal(r.s->ops->look_box(r.s, &i, &r.info, &r.e), -1);
	assert_int_equal(i, 2);
	assert_int_equal(r.e.span, SPAN_BOX);
	for (size_t want = 3; want < 5; want++) {
		assert_int_equal(r.s->ops->look_box(r.s, &i, &r.info, &r.e), 1);
		assert_int_equal(i, want);
		take_in(&r, &v[want]);
	}
	check(&v[3], NULL, 0);
	check(&v[4], k + 3, 1);
	assert_int_equal(r.s->ops->look_box(r.s, &i, &r.info, &r.e), 0);
	must(&r, r.s->ops->look(r.s, l, 0, BOX_READ, &r.e), "look at nothing");
	assert_int_equal(r.s->ops->look_box(r.s, &i, &r.info, &r.e), 0);
	rig_stop(&r);
}

/* What is asked for by its key is not told once more; another key, also one that begins alike, is there no more than in the folder. */
static void gives_by_key(void **state)
{
	struct view v = { .folder = "A" };
	struct look l = look_for(&v);
	struct known k[4];
	struct store_msg m;
	struct rig r;
	size_t i;

	rig_start(&r, state);
	create(&r, "A");
	create(&r, "B");
	for (i = 0; i < 3; i++)
		they_deliver(&r, "A", i == 1 ? FLAG_SEEN | FLAG_FLAGGED : 0, &k[i]);
	they_deliver(&r, "B", 0, &k[3]);
	must(&r, r.s->ops->look(r.s, &l, 1, BOX_WRITE, &r.e), "look");
	assert_int_equal(r.s->ops->look_box(r.s, &i, &r.info, &r.e), 1);
	if (r.s->ops->look_take) {
		assert_int_equal(r.info.extent, LOOK_ALL);
		assert_false(r.s->ops->look_take(r.s, SLICE_LIT("no such key"), &m));
		assert_false(r.s->ops->look_take(r.s, slice_of(k[1].key, strlen(k[1].key) - 1), &m));
		assert_true(strcmp(k[3].key, k[0].key) == 0 || !r.s->ops->look_take(r.s, slice_str(k[3].key), &m));
		assert_true(r.s->ops->look_take(r.s, slice_str(k[1].key), &m));
		assert_true(slice_eqs(m.key, k[1].key));
		assert_int_equal(m.flags, k[1].flags);
		k[1] = k[2];
		take_in(&r, &v);
		check(&v, k, 2);
	}
	assert_int_equal(r.s->ops->look_box(r.s, &i, &r.info, &r.e), 0);
	rig_stop(&r);
}

/* The digest of a body, read in pieces of step bytes. */
static void body_digest(struct rig *r, struct stream *body, size_t step, unsigned char out[DIGEST_SIZE])
{
	struct strbuf all = STRBUF_INIT(BOX_BYTES);
	struct sample got = { "got", NULL, 0 };
	char buf[70000];
	ssize_t n;

	while ((n = stream_read(body, buf, step, &r->e)) > 0)
		assert_int_equal(strbuf_put(&all, buf, (size_t)n), 0);
	must(r, (int)n, "body");
	got.p = strbuf_str(&all);
	got.n = all.len;
	for (size_t i = 0; i < all.len; i++)
		assert_true(all.s[i] != '\n' || (i > 0 && all.s[i - 1] == '\r'));
	sample_digest(&got, out);
	strbuf_release(&all);
}

/* Whether it comes back as it went in: a CR before a line's end can't be told from the line's end. */
static bool comes_back(const struct sample *m)
{
	for (size_t i = 0; i + 2 < m->n; i++)
		if (m->p[i] == '\r' && m->p[i + 1] == '\r' && m->p[i + 2] == '\n')
			return false;
	return m->n > 0;
}

static void expect_digest(struct rig *r, const struct sample *m, unsigned char out[DIGEST_SIZE])
{
	struct strbuf text = STRBUF_INIT(BOX_BYTES);
	struct sample s = *m;

	if (r->c->expect) {
		r->c->expect(m, &text);
		s.p = strbuf_str(&text);
		s.n = text.len;
	}
	sample_digest(&s, out);
	strbuf_release(&text);
}

static void gives_messages(void **state)
{
	static const size_t steps[] = { 1, 3, 4096, 32768, 65536, 70000 };
	struct known *k = calloc(samples_n, sizeof(*k));
	uint64_t *nums = calloc(samples_n, sizeof(*nums));
	struct staged *st = calloc(samples_n, sizeof(*st));
	struct stream *body;
	struct rig r;
	size_t i;

	assert_non_null(k);
	assert_non_null(nums);
	assert_non_null(st);
	rig_start(&r, state);
	open_box(&r, r.other, "INBOX");
	for (i = 0; i < samples_n; i++) {
		k[i].flags = i % 3 ? 0 : FLAG_SEEN;
		stage(&r, r.other, &samples[i], k[i].flags, DATE + (int64_t)i, &st[i]);
	}
	publish(&r, r.other, st, samples_n);
	for (i = 0; i < samples_n; i++)
		memcpy(k[i].key, st[i].key, sizeof(k[i].key));
	r.other->ops->close_box(r.other);
	open_box(&r, r.s, "INBOX");
	for (i = 0; i < samples_n; i++) {
		struct store_msg m;

		assert_int_equal(r.s->ops->find(r.s, slice_str(k[i].key), k[i].flags, &m, &r.e), 1);
		assert_int_equal(m.flags, k[i].flags);
		assert_true(m.date == 0 || m.date == DATE + (int64_t)i);
		nums[samples_n - 1 - i] = m.num; /* the last one first */
	}
	for (size_t step = 0; step < COUNT(steps); step++) {
		must(&r, r.s->ops->want(r.s, nums, samples_n, &r.e), "want");
		for (size_t at = 0; at < samples_n; at++) {
			const struct sample *m = &samples[samples_n - 1 - at];
			unsigned char got[DIGEST_SIZE], sent[DIGEST_SIZE];

			assert_int_equal(r.s->ops->next(r.s, &i, &body, &r.e), 1);
			assert_int_equal(i, at);
			assert_non_null(body);
			if (steps[step] > 100 || m->n < 10000) {
				body_digest(&r, body, steps[step], got);
				expect_digest(&r, m, sent);
				if (comes_back(m) && memcmp(got, sent, DIGEST_SIZE) != 0)
					fail_msg("'%s' does not come back", m->name);
				if (r.c->expect && memcmp(got, st[samples_n - 1 - at].digest, DIGEST_SIZE) != 0)
					fail_msg("'%s' is not what was said to be stored", m->name);
			}
			stream_free(body);
		}
		assert_int_equal(r.s->ops->next(r.s, &i, &body, &r.e), 0);
	}
	rig_stop(&r);
	free(k);
	free(nums);
	free(st);
}

/* What the others do between find and the work: renamed is found, gone is gone, and nothing of it is an error. */
static void while_others_work(void **state)
{
	struct known k[6] = { { .key = "" } }, none = { .key = "1.nobody.has.this" };
	struct flag_change c[6];
	struct said said = { .ok = 0 };
	uint64_t nums[6];
	struct stream *body;
	struct store_msg m;
	struct rig r;
	size_t i;

	rig_start(&r, state);
	create(&r, "Work");
	for (i = 0; i < 6; i++)
		they_deliver(&r, "Work", 0, &k[i]);
	open_box(&r, r.s, "Work");
	for (i = 0; i < 6; i++)
		nums[i] = find(&r, r.s, &k[i]);
	open_box(&r, r.other, "Work");
	flag(&r, r.other, &k[0], FLAG_SEEN, 0);
	flag(&r, r.other, &k[1], FLAG_SEEN | FLAG_FLAGGED, 0);
	flag(&r, r.other, &k[2], FLAG_ANSWERED, 0);
	r.other->ops->close_box(r.other);
	take_out(&r, r.other, "Work", k + 3, 2);
	must(&r, r.s->ops->want(r.s, nums, 6, &r.e), "want");
	for (size_t at = 0; at < 6; at++) {
		assert_int_equal(r.s->ops->next(r.s, &i, &body, &r.e), 1);
		assert_int_equal(i, at);
		if (at == 3 || at == 4) {
			assert_null(body);
		} else {
			unsigned char got[DIGEST_SIZE];

			body_digest(&r, body, 100, got);
			assert_memory_equal(got, k[at].digest, DIGEST_SIZE);
		}
		stream_free(body);
	}
	assert_int_equal(r.s->ops->next(r.s, &i, &body, &r.e), 0);
	for (i = 0; i < 6; i++)
		c[i] = (struct flag_change){ nums[i], FLAG_DELETED, FLAG_FLAGGED };
	open_box(&r, r.other, "Work"); /* once more */
	flag(&r, r.other, &k[1], 0, FLAG_SEEN);
	r.other->ops->close_box(r.other);
	must(&r, r.s->ops->set_flags(r.s, c, 6, say, &said, &r.e), "set_flags");
	assert_int_equal(said.ok, 6);
	for (i = 0; i < 6; i++)
		k[i].flags = (k[i].flags | FLAG_DELETED) & ~(uint32_t)FLAG_FLAGGED;
	said = (struct said){ .ok = 0 };
	must(&r, r.s->ops->set_flags(r.s, c, 0, say, &said, &r.e), "no flags");
	assert_true(r.s->ops->find(r.s, slice_str(none.key), 0, &m, &r.e) >= 0);
	assert_int_equal(r.s->ops->find(r.s, slice_str("../cur/x"), 0, &m, &r.e), 0);
	assert_int_equal(r.s->ops->find(r.s, slice_str(""), 0, &m, &r.e), 0);
	{
		struct view v = { .folder = "Work" };

		look(&r, &v);
		check(&v, k, 6);
		/* and removal of what moved and of what is gone */
		open_box(&r, r.s, "Work");
		for (i = 0; i < 6; i++)
			nums[i] = i == 3 || i == 4 ? 0 : find(&r, r.s, &k[i]);
		open_box(&r, r.other, "Work");
		flag(&r, r.other, &k[0], FLAG_FLAGGED, FLAG_SEEN | FLAG_DELETED);
		r.other->ops->close_box(r.other);
		take_out(&r, r.other, "Work", k + 2, 1);
		must(&r, r.s->ops->remove(r.s, nums, 3, say, &said, &r.e), "remove");
		must(&r, r.s->ops->remove(r.s, nums, 0, say, &said, &r.e), "remove nothing");
		must(&r, r.s->ops->commit(r.s, &r.e), "commit");
		assert_int_equal(said.ok, 3);
		k[0].there = k[1].there = false;
		look(&r, &v);
		check(&v, k, 6);
	}
	rig_stop(&r);
}

/* With a trash, what is removed is there; what is removed from there is gone. */
static void moves_to_trash(void **state)
{
	struct view work = { .folder = "Work" }, trash = { .folder = "Bin" };
	unsigned char got[DIGEST_SIZE];
	struct stream *body;
	struct known k[3], gone = { .key = "" };
	struct rig r;
	uint64_t num;
	size_t i;

	rig_start(&r, state);
	create(&r, "Work");
	for (i = 0; i < 3; i++)
		they_deliver(&r, "Work", i ? FLAG_SEEN | FLAG_DELETED : 0, &k[i]);
	r.s->trash = "Bin";
	take_out(&r, r.s, "Work", k, 2);
	look(&r, &work);
	check(&work, k, 3);
	look(&r, &trash);
	assert_int_equal(trash.n, 2);
	for (i = 0; i < 2; i++)
		assert_true(trash.a[i].flags == 0 || trash.a[i].flags == FLAG_SEEN);
	gone = trash.a[1];
	open_box(&r, r.s, "Bin");
	num = find(&r, r.s, &gone);
	must(&r, r.s->ops->want(r.s, &num, 1, &r.e), "want");
	assert_int_equal(r.s->ops->next(r.s, &i, &body, &r.e), 1);
	body_digest(&r, body, 4096, got);
	stream_free(body);
	assert_true(memcmp(got, k[0].digest, DIGEST_SIZE) == 0 || memcmp(got, k[1].digest, DIGEST_SIZE) == 0);
	take_out(&r, r.s, "Bin", &gone, 1);
	look(&r, &trash);
	check(&trash, &trash.a[0], 1);
	rig_stop(&r);
}

/* What move said; the keys there. */
struct landed {
	size_t n;
	uint64_t num[MAX];
	char key[MAX][STORE_KEY_MAX + 1];
};

static void land(void *arg, uint64_t num, struct slice key, const struct err *why)
{
	struct landed *l = arg;

	assert_null(why);
	assert_true(l->n < MAX && key.n <= STORE_KEY_MAX);
	for (size_t i = 0; i < l->n; i++)
		assert_int_not_equal(l->num[i], num);
	l->num[l->n] = num;
	snprintf(l->key[l->n++], sizeof(l->key[0]), "%.*s", (int)key.n, key.n ? key.p : "");
}

/* What is moved is in the other folder, with its flags as they are now, by the key that was told; trash or not. What is gone has none. */
static void moves_to_folders(void **state)
{
	struct view work = { .folder = "Work" }, lists = { .folder = "Lists/a" };
	struct known k[5], there[5];
	struct landed l = { .n = 0 };
	uint64_t nums[5];
	struct rig r;

	rig_start(&r, state);
	create(&r, "Work");
	create(&r, "Lists/a");
	for (size_t i = 0; i < 5; i++)
		they_deliver(&r, "Work", i % 2 ? FLAG_SEEN : 0, &k[i]);
	they_deliver(&r, "Lists/a", FLAG_ANSWERED, &there[4]);
	r.s->trash = "Bin";
	open_box(&r, r.s, "Work");
	for (size_t i = 0; i < 5; i++)
		nums[i] = find(&r, r.s, &k[i]);
	open_box(&r, r.other, "Work");
	flag(&r, r.other, &k[2], FLAG_SEEN | FLAG_FLAGGED, 0);
	r.other->ops->close_box(r.other);
	take_out(&r, r.other, "Work", k + 3, 1);
	must(&r, r.s->ops->move(r.s, nums, 4, "Lists/a", NULL, land, &l, &r.e), "move");
	assert_int_equal(l.n, 4);
	for (size_t i = 0; i < 4; i++) {
		there[i] = (struct known){ .there = false };
		for (size_t at = 0; at < 4; at++) {
			if (l.num[at] != nums[i])
				continue;
			assert_int_equal(l.key[at][0] == '\0', i == 3);
			there[i] = (struct known){ .flags = k[i].flags, .there = i != 3 };
			memcpy(there[i].key, l.key[at], sizeof(there[i].key));
		}
		k[i].there = false;
	}
	there[3] = there[4];
	look(&r, &work);
	check(&work, k, 5);
	look(&r, &lists);
	check(&lists, there, 4);
	assert_false(has_folder(&r, "Bin"));
	/* and back */
	l.n = 0;
	open_box(&r, r.s, "Lists/a");
	for (size_t i = 0; i < 4; i++)
		nums[i] = find(&r, r.s, &there[i]);
	must(&r, r.s->ops->move(r.s, nums, 4, "Work", NULL, land, &l, &r.e), "move back");
	open_box(&r, r.s, "Work");
	must(&r, r.s->ops->move(r.s, nums, 0, "Lists/a", NULL, land, &l, &r.e), "move nothing");
	assert_int_equal(l.n, 4);
	look(&r, &work);
	assert_int_equal(r.info.messages, 5);
	look(&r, &lists);
	assert_int_equal(r.info.messages, 0);
	open_box(&r, r.s, "Work");
	assert_int_equal(r.s->ops->move(r.s, nums, 1, "no such folder", NULL, land, &l, &r.e), -1);
	assert_int_equal(r.e.span, SPAN_BOX);
	rig_stop(&r);
}

static void listing(void **state)
{
	struct store_msg m;
	struct known k[3];
	struct rig r;
	size_t n = 0;
	int rc;

	rig_start(&r, state);
	for (size_t i = 0; i < 3; i++)
		they_deliver(&r, "INBOX", (uint32_t)i, &k[i]);
	for (unsigned how = BOX_READ; how <= BOX_SIZES; how += BOX_SIZES) {
		must(&r, r.s->ops->open_box(r.s, "INBOX", how, &r.info, &r.e), "open");
		for (int again = 0; again < 2; again++) {
			must(&r, r.s->ops->list_start(r.s, &r.e), "list");
			for (n = 0; (rc = r.s->ops->list_next(r.s, &m, &r.e)) > 0; n++) {
				bool found = false;

				for (size_t i = 0; i < 3; i++) {
					if (slice_eqs(m.key, k[i].key)) {
						found = true;
						assert_int_equal(m.flags, k[i].flags);
						assert_int_equal(m.num, find(&r, r.s, &k[i]));
					}
				}
				assert_true(found);
				if (how & BOX_SIZES)
					assert_true(m.size >= hello.n - 3 && m.size <= hello.n);
			}
			must(&r, rc, "list_next");
			assert_int_equal(n, 3);
		}
	}
	rig_stop(&r);
}

/* Calls that nothing is open for, and handles that are none. */
static void wrong_calls(void **state)
{
	struct said said = { .ok = 0 };
	struct stream *body;
	struct store_msg m;
	uint64_t num = 7;
	struct rig r;
	size_t i;

	rig_start(&r, state);
	for (int open = 0; open < 2; open++) {
		if (open)
			open_box(&r, r.s, "INBOX");
		assert_int_equal(r.s->ops->list_next(r.s, &m, &r.e), -1);
		assert_int_equal(r.e.kind, ERR_BUG);
		assert_int_equal(r.s->ops->look_box(r.s, &i, &r.info, &r.e), -1);
		assert_int_equal(r.e.kind, ERR_BUG);
		assert_int_equal(r.s->ops->next(r.s, &i, &body, &r.e), 0);
	}
	r.s->ops->close_box(r.s);
	assert_int_equal(r.s->ops->find(r.s, slice_str("1.x"), 0, &m, &r.e), -1);
	assert_int_equal(r.e.kind, ERR_BUG);
	assert_int_equal(r.s->ops->list_start(r.s, &r.e), -1);
	assert_int_equal(r.s->ops->remove(r.s, &num, 1, say, &said, &r.e), -1);
	assert_int_equal(r.s->ops->set_flags(r.s, &(struct flag_change){ 7, 1, 0 }, 1, say, &said, &r.e), -1);
	assert_int_equal(r.e.kind, ERR_BUG);
	assert_int_equal(r.s->ops->commit(r.s, &r.e), -1);
	rig_stop(&r);
}

int conform_tree_run(const struct conform_tree *c)
{
	void *state = (void *)(uintptr_t)c;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(folders_come_and_go, state),
		cmocka_unit_test_prestate(rename_folder, state),
		cmocka_unit_test_prestate(rename_folder_in_vain, state),
		cmocka_unit_test_prestate(remove_full_folder, state),
		cmocka_unit_test_prestate(looks_tell_changes, state),
		cmocka_unit_test_prestate(looks_at_many, state),
		cmocka_unit_test_prestate(gives_by_key, state),
		cmocka_unit_test_prestate(gives_messages, state),
		cmocka_unit_test_prestate(while_others_work, state),
		cmocka_unit_test_prestate(moves_to_trash, state),
		cmocka_unit_test_prestate(moves_to_folders, state),
		cmocka_unit_test_prestate(listing, state),
		cmocka_unit_test_prestate(wrong_calls, state),
	};

	return _cmocka_run_group_tests(c->name, tests, COUNT(tests), samples_make, samples_free);
}
