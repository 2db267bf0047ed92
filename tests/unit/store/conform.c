/* What every local store must do: see conform.h. */
#include "conform.h"

#include "../../lib/unit.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#define RECEIVED 1700000000
#define MANY 50

struct rig {
	const struct conform *c;
	char *dir;
	struct store *s;
	struct box_info info;
	struct err e;
	struct bag want;
};

static void rig_open(struct rig *r)
{
	r->s = r->c->make(r->dir, &r->e);
	assert_non_null(r->s);
	if (r->s->ops->open_box(r->s, "", BOX_WRITE | BOX_CREATE, &r->info, &r->e) < 0)
		fail_msg("open: %s", r->e.text);
}

static void rig_start(struct rig *r, void **state)
{
	*r = (struct rig){ .c = *state };
	r->dir = scratch_make();
	rig_open(r);
}

static void rig_stop(struct rig *r)
{
	store_free(r->s);
	bag_release(&r->want);
	scratch_remove(r->dir);
}

/* This message will be there. */
static void want(struct rig *r, const struct sample *s)
{
	struct strbuf b = STRBUF_INIT(BOX_BYTES);

	r->c->expect(s, &b);
	bag_add(&r->want, strbuf_str(&b), b.len);
	strbuf_release(&b);
}

/* What is there is what is wanted. */
static void check(struct rig *r)
{
	struct bag got = { 0 };

	r->c->read(r->dir, &got);
	bag_same(&got, &r->want);
	bag_release(&got);
}

/* Stage one, the body in pieces of step bytes. */
static int stage(struct store *s, const struct sample *m, size_t step, struct staged *out, struct err *e)
{
	const struct store_meta meta = { .received = RECEIVED };
	struct stream *body = memstream_new(m->p, m->n, step, NULL);
	int rc = body ? s->ops->stage(s, body, &meta, out, e) : -1;

	stream_free(body);
	return rc;
}

static void must_stage(struct rig *r, const struct sample *m, size_t step, struct staged *out)
{
	unsigned char sum[DIGEST_SIZE];

	if (stage(r->s, m, step, out, &r->e) < 0)
		fail_msg("stage %s: %s", m->name, r->e.text);
	sample_digest(m, sum);
	assert_memory_equal(out->digest, sum, DIGEST_SIZE);
	assert_false(out->dropped);
}

static void must_harden(struct rig *r, struct staged *st, size_t n)
{
	if (r->s->ops->harden(r->s, st, n, &r->e) < 0)
		fail_msg("harden: %s", r->e.text);
	for (size_t i = 0; i < n; i++) {
		assert_true(st[i].dropped || strlen(st[i].key) > 0);
		for (const char *p = st[i].hint; *p; p++)
			assert_true(*p >= ' ' && *p < 0x7f);
	}
}

static void must_publish(struct rig *r, struct staged *st, size_t n)
{
	if (r->s->ops->publish(r->s, st, n, &r->e) < 0)
		fail_msg("publish: %s", r->e.text);
}

static void must_recover(struct rig *r, struct recovery *rec, size_t n)
{
	if (r->s->ops->recover(r->s, rec, n, &r->e) < 0)
		fail_msg("recover: %s", r->e.text);
}

/* All samples, in one group. */
static void delivers_all(void **state)
{
	struct staged *st = calloc(samples_n, sizeof(*st));
	struct rig r;

	assert_non_null(st);
	rig_start(&r, state);
	for (size_t i = 0; i < samples_n; i++)
		must_stage(&r, &samples[i], samples[i].n + 1, &st[i]);
	check(&r); /* nothing yet */
	must_harden(&r, st, samples_n);
	check(&r);
	must_publish(&r, st, samples_n);
	for (size_t i = 0; i < samples_n; i++)
		want(&r, &samples[i]);
	check(&r);
	for (size_t i = 0; i < samples_n; i++)
		for (size_t k = 0; k < i; k++)
			if (r.c->keys_differ)
				assert_string_not_equal(st[i].key, st[k].key);
	rig_stop(&r);
	free(st);
}

/* The same in whatever pieces the body comes, each sample in a group of its own. */
static void in_any_pieces(void **state)
{
	static const size_t steps[] = { 1, 2, 3, 5, 7, 32767, 32768, 65535, 65536 };
	struct rig r;

	rig_start(&r, state);
	for (size_t i = 0; i < samples_n; i++) {
		for (size_t k = 0; k < COUNT(steps); k++) {
			struct staged st;

			if (samples[i].n / steps[k] > 100000 || (samples[i].n < 10000 && steps[k] > 10))
				continue;
			must_stage(&r, &samples[i], steps[k], &st);
			must_harden(&r, &st, 1);
			must_publish(&r, &st, 1);
			want(&r, &samples[i]);
		}
	}
	check(&r);
	rig_stop(&r);
}

/* Whether a message is kept as it came is told. */
static void tells_raw(void **state)
{
	static const struct sample raw = { "raw", "a\r\nb\nc", 6 }, plain = { "plain", "a\r\nb\r\nc\r", 8 };
	struct staged st[2];
	struct rig r;

	rig_start(&r, state);
	must_stage(&r, &raw, 1, &st[0]);
	must_stage(&r, &plain, 1, &st[1]);
	assert_true(st[0].raw);
	assert_false(st[1].raw);
	assert_true(st[0].size >= 6);
	assert_true(st[1].size >= 6);
	rig_stop(&r);
}

static void unstage_some(void **state)
{
	struct staged st[6];
	struct rig r;

	rig_start(&r, state);
	for (size_t round = 0; round < 64; round++) {
		for (size_t i = 0; i < 6; i++) {
			must_stage(&r, &samples[i], 4096, &st[i]);
			if (round % 3 == 0 && (round >> i & 1)) /* at once, as a double is dropped */
				r.s->ops->unstage(r.s, &st[i]);
		}
		for (size_t i = 0; i < 6; i++)
			if (round % 3 && (round >> i & 1))
				r.s->ops->unstage(r.s, &st[i]);
		must_harden(&r, st, 6);
		must_publish(&r, st, 6);
		for (size_t i = 0; i < 6; i++) {
			assert_int_equal(st[i].dropped, round >> i & 1);
			if (!(round >> i & 1))
				want(&r, &samples[i]);
		}
	}
	check(&r);
	rig_stop(&r);
}

static void abandon_and_go_on(void **state)
{
	struct staged st[3];
	struct rig r;

	rig_start(&r, state);
	for (int harden = 0; harden < 2; harden++) {
		for (size_t i = 0; i < 3; i++)
			must_stage(&r, &samples[i], 4096, &st[i]);
		if (harden)
			must_harden(&r, st, 3);
		r.s->ops->abandon(r.s);
		check(&r);
	}
	r.s->ops->abandon(r.s);
	must_stage(&r, &samples[0], 4096, &st[0]);
	must_harden(&r, st, 1);
	must_publish(&r, st, 1);
	want(&r, &samples[0]);
	check(&r);
	must_stage(&r, &samples[1], 4096, &st[0]);
	r.s->ops->close_box(r.s); /* gives up what is staged */
	assert_int_equal(r.s->ops->open_box(r.s, "", BOX_WRITE, &r.info, &r.e), 0);
	must_harden(&r, st, 0);
	must_publish(&r, st, 0);
	check(&r);
	rig_stop(&r);
}

static void nothing_to_do(void **state)
{
	struct staged st;
	struct rig r;

	rig_start(&r, state);
	must_harden(&r, NULL, 0);
	must_publish(&r, NULL, 0);
	must_recover(&r, NULL, 0);
	must_stage(&r, &samples[0], 4096, &st);
	r.s->ops->unstage(r.s, &st);
	must_harden(&r, &st, 1);
	must_publish(&r, &st, 1);
	check(&r);
	rig_stop(&r);
}

/* A body that is cut: its error comes through as it is, and the message leaves no trace. */
static void cut_bodies(void **state)
{
	const struct sample *big = &samples[samples_n - 1];
	const struct store_meta meta = { .received = RECEIVED };
	struct staged st[2];
	struct rig r;

	rig_start(&r, state);
	must_stage(&r, &samples[0], 4096, &st[0]);
	for (size_t i = 0; i < 5; i++) {
		const size_t at[] = { 0, 1, 100, 70000, big->n };
		struct stream *body = cut_stream(big->p, at[i]);

		assert_int_equal(r.s->ops->stage(r.s, body, &meta, &st[1], &r.e), -1);
		assert_int_equal(r.e.kind, ERR_TEMP);
		assert_int_equal(r.e.span, SPAN_MSG);
		assert_string_equal(r.e.text, "the line was cut");
		stream_free(body);
	}
	must_stage(&r, &samples[1], 4096, &st[1]);
	must_harden(&r, st, 2);
	must_publish(&r, st, 2);
	want(&r, &samples[0]);
	want(&r, &samples[1]);
	check(&r);
	rig_stop(&r);
}

/* Group after group. */
static void groups(void **state)
{
	struct staged *st = calloc(MANY, sizeof(*st));
	struct rig r;

	assert_non_null(st);
	rig_start(&r, state);
	for (size_t g = 0; g < 3; g++) {
		for (size_t i = 0; i < MANY; i++) {
			char text[64];
			struct sample s = { "numbered", text, 0 };

			s.n = (size_t)snprintf(text, sizeof(text), "Subject: %zu\r\n\r\n%zu\r\n", g, i);
			must_stage(&r, &s, 4096, &st[i]);
			want(&r, &s);
		}
		must_harden(&r, st, MANY);
		must_publish(&r, st, MANY);
		check(&r);
	}
	rig_stop(&r);
	free(st);
}

/* Calls in the wrong order are our own bugs, told as such and harmless. */
static void wrong_order(void **state)
{
	struct staged st;
	struct rig r;

	rig_start(&r, state);
	must_stage(&r, &samples[0], 4096, &st);
	assert_int_equal(r.s->ops->publish(r.s, &st, 1, &r.e), -1);
	assert_int_equal(r.e.kind, ERR_BUG);
	check(&r);
	r.s->ops->close_box(r.s);
	assert_int_equal(stage(r.s, &samples[0], 4096, &st, &r.e), -1);
	assert_int_equal(r.e.kind, ERR_BUG);
	assert_int_equal(r.s->ops->recover(r.s, &(struct recovery){ .key = "k", .hint = "h" }, 1, &r.e), -1);
	assert_int_equal(r.e.kind, ERR_BUG);
	rig_stop(&r);
}

static void no_source(void **state)
{
	struct rig r;

	rig_start(&r, state);
	assert_true(r.s->ops->caps & STORE_TARGET);
	if (r.s->ops->caps & STORE_SOURCE) {
		rig_stop(&r);
		return;
	}
	r.e = (struct err)ERR_INIT;
	assert_int_equal(r.s->ops->list_start(r.s, &r.e), -1);
	assert_int_equal(r.e.kind, ERR_BUG);
	assert_int_equal(r.s->ops->commit(r.s, &r.e), -1);
	assert_int_equal(r.s->ops->list_next(r.s, &(struct store_msg){ 0 }, &r.e), -1);
	assert_int_equal(r.s->ops->want(r.s, NULL, 0, &r.e), -1);
	assert_int_equal(r.s->ops->next(r.s, &(size_t){ 0 }, &(struct stream *){ NULL }, &r.e), -1);
	assert_int_equal(r.s->ops->remove(r.s, NULL, 0, NULL, NULL, &r.e), -1);
	rig_stop(&r);
}

static void missing_box(void **state)
{
	struct rig r = { .c = *state };

	r.dir = scratch_make();
	r.s = r.c->make(r.dir, &r.e);
	assert_non_null(r.s);
	assert_int_equal(r.s->ops->open_box(r.s, "", BOX_WRITE, &r.info, &r.e), -1);
	assert_int_equal(r.e.kind, ERR_LOCAL);
	assert_non_null(strstr(r.e.text, r.dir));
	assert_int_equal(r.s->ops->open_box(r.s, "", BOX_READ, &r.info, &r.e), -1);
	assert_int_equal(dir_count(r.dir), 0); /* nor made */
	rig_stop(&r);
}

/* What a run that dies has told the base by then: shared with its child. */
struct memory {
	size_t n;
	struct staged st[16];
};

enum stop { AT_STAGED, AT_HARDENED, AT_PUBLISHED, STOPS };

/* A run that dies. No assertions here: it is a child. */
static int doomed(const struct conform *c, const char *dir, size_t n, enum stop at, struct memory *mem)
{
	struct err e = ERR_INIT;
	struct store *s = c->make(dir, &e);
	struct box_info info;

	if (!s || s->ops->open_box(s, "", BOX_WRITE | BOX_CREATE, &info, &e) < 0)
		return 1;
	for (size_t i = 0; i < n; i++)
		if (stage(s, &samples[i], 100, &mem->st[i], &e) < 0)
			return 2;
	if (at == AT_STAGED)
		return 100;
	if (s->ops->harden(s, mem->st, n, &e) < 0)
		return 3;
	mem->n = n; /* committed */
	if (at == AT_HARDENED)
		return 100;
	return s->ops->publish(s, mem->st, n, &e) < 0 ? 4 : 100;
}

/* Let a run die at some point. */
static void let_die(struct rig *r, size_t n, enum stop at, struct memory *mem)
{
	pid_t pid;
	int status;

	mem->n = 0;
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(doomed(r->c, r->dir, n, at, mem));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 100);
}

/* The next run: ask what is there, deliver what isn't. Returns how many were found. */
static size_t next_run(struct rig *r, size_t n, const struct memory *mem)
{
	struct recovery rec[16] = { { 0 } };
	struct staged st[16];
	size_t found = 0, missing = 0;

	for (size_t i = 0; i < mem->n; i++)
		rec[i] = (struct recovery){ .key = mem->st[i].key, .hint = mem->st[i].hint, .digest = mem->st[i].digest, .found = true };
	for (int again = 0; again < 2; again++) {
		must_recover(r, rec, mem->n);
		for (size_t i = 0; again && i < mem->n; i++)
			found += rec[i].found;
	}
	for (size_t i = 0; i < n; i++)
		if (i >= mem->n || !rec[i].found)
			must_stage(r, &samples[i], 4096, &st[missing++]);
	must_harden(r, st, missing);
	must_publish(r, st, missing);
	return found;
}

static void crash_at_each_step(void **state)
{
	struct memory *mem = mmap(NULL, sizeof(*mem), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct rig r;

	assert_true(mem != MAP_FAILED);
	for (int before = 0; before < 2; before++) {
		for (enum stop at = AT_STAGED; at < STOPS; at++) {
			const size_t n = 10;
			struct staged st;

			rig_start(&r, state);
			if (before) { /* with the same messages there already: they aren't the pending ones */
				for (size_t i = 0; i < n; i++) {
					must_stage(&r, &samples[i], 4096, &st);
					must_harden(&r, &st, 1);
					must_publish(&r, &st, 1);
					want(&r, &samples[i]);
				}
			}
			store_free(r.s);
			let_die(&r, n, at, mem);
			rig_open(&r);
			assert_int_equal(next_run(&r, n, mem), at == AT_PUBLISHED ? n : 0);
			for (size_t i = 0; i < n; i++)
				want(&r, &samples[i]);
			check(&r);
			rig_stop(&r);
		}
	}
	munmap(mem, sizeof(*mem));
}

/* Whatever the base may hold: nothing is found, nothing is harmed. */
static void recover_nonsense(void **state)
{
	static char long_key[STORE_KEY_MAX + 1], long_hint[STORE_HINT_MAX + 1];
	struct recovery rec[] = {
		{ .key = "", .hint = "" },
		{ .key = "../../etc/passwd", .hint = "0 0 0 0 0 0" },
		{ .key = ".", .hint = "-1 0 0 10 - 0 46" },
		{ .key = "..", .hint = "0 0 0 99999999999999999999 - 0 46" },
		{ .key = "/", .hint = "0 0 9223372036854775807 9223372036854775807 - 0 46" },
		{ .key = "a:2,S", .hint = "0 5 3 10 - 0 46" },
		{ .key = "tmp", .hint = "0 0 0 1 - 0 4" },
		{ .key = "\n", .hint = "0 0 0 1 0123456789012345678901234567890123456789 0 46" },
		{ .key = long_key, .hint = long_hint },
	};
	const size_t n = COUNT(rec);
	struct staged st[3];
	struct rig r;

	memset(long_key, 'k', STORE_KEY_MAX);
	memset(long_hint, '1', STORE_HINT_MAX);
	rig_start(&r, state);
	must_recover(&r, rec, n); /* on an empty box */
	for (size_t i = 0; i < 3; i++) {
		must_stage(&r, &samples[i], 4096, &st[i]);
		want(&r, &samples[i]);
	}
	must_harden(&r, st, 3);
	must_publish(&r, st, 3);
	for (size_t i = 0; i < n; i++)
		rec[i].found = true;
	must_recover(&r, rec, n);
	for (size_t i = 0; i < n; i++)
		assert_false(rec[i].found);
	check(&r);
	rig_stop(&r);
}

int conform_run(const struct conform *c)
{
	void *state = (void *)(uintptr_t)c;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(delivers_all, state),
		cmocka_unit_test_prestate(in_any_pieces, state),
		cmocka_unit_test_prestate(tells_raw, state),
		cmocka_unit_test_prestate(unstage_some, state),
		cmocka_unit_test_prestate(abandon_and_go_on, state),
		cmocka_unit_test_prestate(nothing_to_do, state),
		cmocka_unit_test_prestate(cut_bodies, state),
		cmocka_unit_test_prestate(groups, state),
		cmocka_unit_test_prestate(wrong_order, state),
		cmocka_unit_test_prestate(no_source, state),
		cmocka_unit_test_prestate(missing_box, state),
		cmocka_unit_test_prestate(crash_at_each_step, state),
		cmocka_unit_test_prestate(recover_nonsense, state),
	};

	return _cmocka_run_group_tests(c->name, tests, COUNT(tests), samples_make, samples_free);
}
