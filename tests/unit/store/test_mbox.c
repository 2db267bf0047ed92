/* What is mbox's own: the bytes in the file, appends that fail, and appends that a crash has torn, beside other programs' mail. */
#include "../../lib/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "box.h"
#include "store/mbox.h"
#include "store/mboxheal.h"

#define NOW 1700000000
#define FROM_JANE "From jane@example.org Tue Nov 14 22:13:20 2023\n"
#define FROM_DAEMON "From MAILER-DAEMON Tue Nov 14 22:13:20 2023\n"

/* The disk is not what is tested; calls fail on demand: let so many pass, then fail once with `err`; -1 never. */
static struct {
	int fail_write, fail_sync, fail_truncate, err;
	size_t most; /* bytes that one pwrite takes; 0: all */
	int syncs;
	const char *meddle; /* with the first fsync another program appends to this file */
} sys;

static const char meddled[] = "From bob@example.net Wed Nov 15 01:02:03 2023\nSubject: theirs\n\nprecious\n\n";

static bool due(int *count)
{
	if (*count < 0 || (*count)-- > 0)
		return false;
	errno = sys.err;
	return true;
}

int __wrap_fsync(int fd);
int __real_ftruncate(int fd, off_t n);
int __wrap_ftruncate(int fd, off_t n);
ssize_t __real_pwrite(int fd, const void *p, size_t n, off_t at);
ssize_t __wrap_pwrite(int fd, const void *p, size_t n, off_t at);

int __wrap_fsync(int fd)
{
	(void)fd;
	sys.syncs++;
	if (sys.meddle) {
		FILE *f = fopen(sys.meddle, "a");

		assert_non_null(f);
		fputs(meddled, f);
		fclose(f);
		sys.meddle = NULL;
	}
	return due(&sys.fail_sync) ? -1 : 0;
}

int __wrap_ftruncate(int fd, off_t n)
{
	return due(&sys.fail_truncate) ? -1 : __real_ftruncate(fd, n);
}

ssize_t __wrap_pwrite(int fd, const void *p, size_t n, off_t at)
{
	if (due(&sys.fail_write))
		return -1;
	return __real_pwrite(fd, p, sys.most && n > sys.most ? sys.most : n, at);
}

struct rig {
	char *dir, path[BOX_PATH + 16];
	struct mbox_params params;
	struct store *s;
	struct box_info info;
	struct err e;
};

static void rig_start(struct rig *r, enum mbox_variant v)
{
	*r = (struct rig){ 0 };
	memset(&sys, 0, sizeof(sys));
	sys.fail_write = sys.fail_sync = sys.fail_truncate = -1;
	r->dir = scratch_make();
	snprintf(r->path, sizeof(r->path), "%s/inbox", r->dir);
	r->params = (struct mbox_params){ .path = r->path, .variant = v, .lock = { .timeout = 300 } };
	r->s = mbox_new(&r->params, &r->e);
	assert_non_null(r->s);
}

static void rig_open(struct rig *r)
{
	if (r->s->ops->open_box(r->s, "", BOX_WRITE | BOX_CREATE, &r->info, &r->e) < 0)
		fail_msg("open: %s", r->e.text);
}

static void rig_stop(struct rig *r)
{
	store_free(r->s);
	scratch_remove(r->dir);
}

static void stage(struct rig *r, const struct sample *m, struct staged *out)
{
	const struct store_meta meta = { .received = NOW };
	struct stream *body = memstream_new(m->p, m->n, 100, NULL);

	if (r->s->ops->stage(r->s, body, &meta, out, &r->e) < 0)
		fail_msg("stage %s: %s", m->name, r->e.text);
	stream_free(body);
}

static void harden(struct rig *r, struct staged *st, size_t n)
{
	if (r->s->ops->harden(r->s, st, n, &r->e) < 0)
		fail_msg("harden: %s", r->e.text);
}

static void publish(struct rig *r, struct staged *st, size_t n)
{
	if (r->s->ops->publish(r->s, st, n, &r->e) < 0)
		fail_msg("publish: %s", r->e.text);
}

/* All in one group. */
static void deliver(struct rig *r, const struct sample *m, size_t n)
{
	struct staged st[16];

	for (size_t i = 0; i < n; i++)
		stage(r, &m[i], &st[i]);
	harden(r, st, n);
	publish(r, st, n);
}

static void expect_file(struct rig *r, const char *text, size_t n)
{
	struct strbuf b = STRBUF_INIT(BOX_BYTES);

	file_read(r->path, &b);
	if (b.len != n || memcmp(strbuf_str(&b), text, n) != 0)
		fail_msg("got (%zu)\n%s\nwant (%zu)\n%s", b.len, strbuf_str(&b), n, text);
	strbuf_release(&b);
}

#define S(text) { "", text, sizeof(text) - 1 }

static void bytes_in_the_file(void **state)
{
	static const struct {
		enum mbox_variant v;
		struct sample m;
		const char *before, *file; /* NULL: none */
	} rows[] = {
		{ MBOX_RD, S("Return-Path: <jane@example.org>\r\n\r\nFrom x\r\n>From y\r\n"), NULL,
		  FROM_JANE "Return-Path: <jane@example.org>\n\n>From x\n>>From y\n\n" },
		{ MBOX_O, S("Return-Path: <jane@example.org>\r\n\r\nFrom x\r\n>From y\r\n"), "",
		  FROM_JANE "Return-Path: <jane@example.org>\n\n>From x\n>From y\n\n" },
		{ MBOX_CL2, S("Return-Path: <jane@example.org>\r\n\r\nFrom x\r\n>From y\r\n"), "",
		  FROM_JANE "Content-Length: 15\nReturn-Path: <jane@example.org>\n\nFrom x\n>From y\n\n" },
		{ MBOX_RD, S("x"), "", FROM_DAEMON "x\n\n" },
		{ MBOX_RD, S(""), "", FROM_DAEMON "\n" },
		{ MBOX_CL2, S(""), "", FROM_DAEMON "Content-Length: 0\n\n" },
		{ MBOX_CL2, S("A: b\r\nContent-Length: 77\r\n\r\nx"), "", FROM_DAEMON "Content-Length: 2\nA: b\n\nx\n\n" },
		{ MBOX_CL2, S("A: b"), "", FROM_DAEMON "Content-Length: 0\nA: b\n\n" },
		{ MBOX_CL2, S("A: b\r\n\r\n"), "", FROM_DAEMON "Content-Length: 0\nA: b\n\n\n" },
		{ MBOX_CL2, S("no header\r\n"), "", FROM_DAEMON "Content-Length: 10\n\nno header\n\n" },
		{ MBOX_CL2, S("a: b\n\nc\r\nFrom d\n"), "", FROM_DAEMON "Content-Length: 10\na: b\n\nc\r\nFrom d\n\n" },
		{ MBOX_RD, S("Content-Length: 9\r\n\r\nx\r\n"), "", FROM_DAEMON "Content-Length: 9\n\nx\n\n" },
		{ MBOX_RD, S("A: b\r\nReturn-Path: <jane@example.org>\r\n\r\nx\r\n"), "From a\nx\n\n",
		  "From a\nx\n\n" FROM_JANE "A: b\nReturn-Path: <jane@example.org>\n\nx\n\n" },
		{ MBOX_RD, S("x\r\n"), "From a\nx\n", "From a\nx\n\n" FROM_DAEMON "x\n\n" },
		{ MBOX_RD, S("x\r\n"), "From a\nx", "From a\nx\n\n" FROM_DAEMON "x\n\n" },
		{ MBOX_RD, S("x\r\n"), "From a\nx\n\n\n", "From a\nx\n\n\n" FROM_DAEMON "x\n\n" },
		{ MBOX_RD, S("x\r\n"), "\n", "\n" FROM_DAEMON "x\n\n" },
		{ MBOX_RD, S("x\r\n"), "From ", "From \n\n" FROM_DAEMON "x\n\n" },
		{ MBOX_RD, S("a\r\nFrom b\nc\r\n"), "", FROM_DAEMON "a\r\n>From b\nc\r\n\n" },
		{ MBOX_RD, S("Return-Path: <\"a b\"@c>\r\n\r\n"), "", "From \"a_b\"@c Tue Nov 14 22:13:20 2023\nReturn-Path: <\"a b\"@c>\n\n\n" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct rig r;

		rig_start(&r, rows[i].v);
		if (rows[i].before)
			file_write(r.path, rows[i].before, strlen(rows[i].before));
		rig_open(&r);
		deliver(&r, &rows[i].m, 1);
		expect_file(&r, rows[i].file, strlen(rows[i].file));
		rig_stop(&r);
	}
}

/* Keys are what mboxscan tells, hints are read back as written. */
static void keys_and_hints(void **state)
{
	static const struct sample m[] = { S("A: b\r\n\r\nx\r\n"), S("no newline"), S("Status: R\r\n\r\n") };
	struct staged st[3];
	struct mboxhint h;
	struct rig r;
	int64_t at = 12;

	(void)state;
	rig_start(&r, MBOX_RD);
	file_write(r.path, "From a\nx\n\n\n\n", 12);
	rig_open(&r);
	for (size_t i = 0; i < 3; i++)
		stage(&r, &m[i], &st[i]);
	harden(&r, st, 3);
	for (size_t i = 0; i < 3; i++) {
		char hex[DIGEST_HEX], again[STORE_HINT_MAX + 1];

		assert_true(mboxhint_parse(st[i].hint, &h));
		assert_int_equal(h.base, 12);
		assert_int_equal(h.offset, at);
		assert_int_equal(h.first_n, h.length);
		assert_memory_equal(h.first, FROM_DAEMON, sizeof(FROM_DAEMON) - 1);
		mboxhint_print(&h, again);
		assert_string_equal(again, st[i].hint);
		at += h.length;
		digest_hex(st[i].digest, hex);
		assert_int_equal(strcmp(hex, st[i].key) == 0, i == 0); /* the others gain or lose something in an mbox */
	}
	publish(&r, st, 3);
	assert_int_equal(file_size(r.path), at);
	rig_stop(&r);
}

static const char *const bad_hints[] = {
	"", "1", "1 2 3", "1 2 3 4", "1 2 3 4 -", "1 2 3 4 - 0", "1 2 3 4 - 0 4", "1 2 3 4 - 0 4G", "1 2 3 4 - 0 4A", "1 2 1 4 - 0 46", "1 2 3 0 - 0 46",
	"1 2 3 1 - 0 4646", "-1 2 3 4 - 0 46", "1 -2 3 4 - 0 46", "1 2 3 4x - 0 46", "1 2 3 99999999999999999999 - 0 46",
	"1 2 3 4 - 46", "1 2 3 4 - 1 46", "1 2 3 4 - x 46", "1 2 3 4 - 5 1 2 3 4 5 46", "1 2 3 4 0123456789012345678901234567890123 0 46",
};

static void hints_are_checked(void **state)
{
	char many[STORE_HINT_MAX + 1] = "1 2 3 999 - 0 ";
	struct mboxhint h;

	(void)state;
	assert_true(mboxhint_parse("1 2 3 4 - 0 46", &h));
	for (size_t i = 0; i < COUNT(bad_hints); i++)
		if (mboxhint_parse(bad_hints[i], &h))
			fail_msg("%s", bad_hints[i]);
	for (size_t i = 14; i < 14 + 2 * MBOXHINT_FIRST + 2; i++)
		many[i] = '6';
	assert_false(mboxhint_parse(many, &h));
	many[14 + 2 * MBOXHINT_FIRST] = '\0';
	assert_true(mboxhint_parse(many, &h));
}

/* A group, what was in the file before, and what the file is with the group. */
struct torn {
	struct rig r;
	const struct sample *m;
	size_t n;
	struct staged st[8];
	struct strbuf before, full;
	struct bag old, ours; /* messages */
};

/* What each of m is when it is read back alone. */
static void read_alone(const struct sample *m, size_t n, enum mbox_variant v, struct bag *out)
{
	for (size_t i = 0; i < n; i++) {
		struct rig r;

		rig_start(&r, v);
		rig_open(&r);
		deliver(&r, &m[i], 1);
		mbox_read(r.path, (int)v, out);
		rig_stop(&r);
	}
	assert_int_equal(out->n, n);
}

static void torn_start(struct torn *t, const struct sample *m, size_t n, enum mbox_variant v, const char *before)
{
	*t = (struct torn){ .m = m, .n = n, .before = STRBUF_INIT(BOX_BYTES), .full = STRBUF_INIT(BOX_BYTES) };
	read_alone(m, n, v, &t->ours);
	rig_start(&t->r, v);
	strbuf_puts(&t->before, before);
	file_write(t->r.path, before, strlen(before));
	rig_open(&t->r);
	for (size_t i = 0; i < n; i++)
		stage(&t->r, &m[i], &t->st[i]);
	harden(&t->r, t->st, n);
	publish(&t->r, t->st, n);
	assert_true(file_read(t->r.path, &t->full));
	assert_true(t->full.len > t->before.len);
	assert_memory_equal(t->full.s, before, t->before.len);
	mbox_read(t->r.path, (int)v, &t->old);
	assert_int_equal(t->old.n, n + (t->before.len > 0));
	for (size_t i = t->before.len > 0; i < t->old.n; i++) /* the foreign message, if any, comes first */
		strbuf_release(&t->old.a[i]);
	t->old.n = t->before.len > 0;
}

static void torn_stop(struct torn *t)
{
	strbuf_release(&t->before);
	strbuf_release(&t->full);
	bag_release(&t->old);
	bag_release(&t->ours);
	rig_stop(&t->r);
}

/* The next run. Returns how many were found. */
static size_t next_run(struct torn *t, bool *found)
{
	struct recovery rec[8] = { { 0 } };
	struct staged st[8];
	size_t k = 0;

	for (size_t i = 0; i < t->n; i++)
		rec[i] = (struct recovery){ .key = t->st[i].key, .hint = t->st[i].hint, .digest = t->st[i].digest };
	if (t->r.s->ops->recover(t->r.s, rec, t->n, &t->r.e) < 0)
		fail_msg("recover: %s", t->r.e.text);
	for (size_t i = 0; i < t->n; i++) {
		if (found)
			found[i] = rec[i].found;
		if (!rec[i].found)
			stage(&t->r, &t->m[i], &st[k++]);
	}
	harden(&t->r, st, k);
	publish(&t->r, st, k);
	return t->n - k;
}

/* The file holds what was there before and the group, once. */
static void expect_exactly(struct torn *t)
{
	struct bag got = { 0 }, want = { 0 };

	mbox_read(t->r.path, (int)t->r.params.variant, &got);
	for (size_t i = 0; i < t->old.n; i++)
		bag_add(&want, strbuf_str(&t->old.a[i]), t->old.a[i].len);
	for (size_t i = 0; i < t->ours.n; i++)
		bag_add(&want, strbuf_str(&t->ours.a[i]), t->ours.a[i].len);
	bag_same(&got, &want);
	bag_release(&got);
	bag_release(&want);
}

static const struct sample group[] = {
	S("Return-Path: <jane@example.org>\r\nSubject: one\r\n\r\nFrom here\r\n\r\nFrom x Tue Nov 14 22:13:20 2023\r\n\r\n>From there\r\n"),
	S("x"),
	S("Subject: twin\r\n\r\ntwin\r\n"),
	S("Subject: twin\r\n\r\ntwin\r\n"),
	S(""),
	S("Subject: long\r\n\r\n0123456789012345678901234567890123456789012345678901234567890123456789\r\n"
	  "0123456789012345678901234567890123456789012345678901234567890123456789\r\n"
	  "0123456789012345678901234567890123456789012345678901234567890123456789\r\n"
	  "0123456789012345678901234567890123456789012345678901234567890123456789\r\n\r\n\r\n\r\n"),
	S("Subject: raw\r\n\r\na\nb\r\n\r\n"),
};

#define GROUP COUNT(group)

static const char *const befores[] = { "", "From a\nx\n\n", "From a\nx\n", "From a\nx", "From a\ntwin\n\n\n\n" };

#define BEFORES COUNT(befores)

/* Cut at every byte. */
static void torn_anywhere(void **state)
{
	(void)state;
	for (enum mbox_variant v = MBOX_RD; v <= MBOX_CL2; v++) {
		for (size_t b = 0; b < BEFORES; b++) {
			size_t last_found = 0;
			struct torn t;

			torn_start(&t, group, GROUP, v, befores[b]);
			for (size_t len = t.before.len; len <= t.full.len; len++) {
				bool found[GROUP];
				size_t n;

				file_write(t.r.path, t.full.s, len);
				n = next_run(&t, found);
				expect_exactly(&t);
				for (size_t i = 0; i < n; i++)
					assert_true(found[i]); /* the first ones */
				if (n < last_found)
					fail_msg("variant %d, before %zu, cut at %zu of %zu: %zu found, %zu before", v, b, len, t.full.len, n, last_found);
				last_found = n;
			}
			assert_int_equal(last_found, t.n);
			torn_stop(&t);
		}
	}
}

/* A message that quotes many From_ lines, as a series of patches does, is torn as any other. */
static void torn_with_from_lines(void **state)
{
	struct strbuf text = STRBUF_INIT(BOX_BYTES);
	struct sample m[2] = { S("x"), { 0 } };

	(void)state;
	strbuf_puts(&text, "Subject: patches\r\n\r\n");
	for (int i = 0; i < 24; i++)
		strbuf_printf(&text, "diff %d\r\n\r\nFrom 0123abcd Mon Sep 17 00:00:0%d 2001\r\n", i, i % 10);
	m[1] = (struct sample){ .name = "", .p = text.s, .n = text.len };
	for (enum mbox_variant v = MBOX_RD; v <= MBOX_CL2; v++) {
		struct torn t;

		torn_start(&t, m, 2, v, befores[1]);
		for (size_t len = t.before.len; len <= t.full.len; len += 5) {
			file_write(t.r.path, t.full.s, len);
			next_run(&t, NULL);
			expect_exactly(&t);
		}
		torn_stop(&t);
	}
	strbuf_release(&text);
}

/* The file's length was on disk before its bytes were: NULs. */
static void torn_with_nuls(void **state)
{
	struct strbuf file = STRBUF_INIT(BOX_BYTES);
	struct torn t;

	(void)state;
	torn_start(&t, group, GROUP, MBOX_RD, befores[1]);
	for (size_t len = t.before.len; len <= t.full.len; len += 3) {
		for (size_t size = len; size <= t.full.len; size += 41) {
			char *nuls = calloc(1, size + 1);

			assert_non_null(nuls);
			memcpy(nuls, t.full.s, len);
			file_write(t.r.path, nuls, size);
			free(nuls);
			next_run(&t, NULL);
			expect_exactly(&t);
		}
	}
	/* behind where the group was to end they aren't ours to cut */
	strbuf_put(&t.full, "\0\0\0\0", 4);
	file_write(t.r.path, t.full.s, t.full.len);
	next_run(&t, NULL);
	assert_true(file_read(t.r.path, &file));
	assert_true(file.len >= t.full.len);
	assert_memory_equal(file.s, t.full.s, t.full.len);
	strbuf_release(&file);
	torn_stop(&t);
}

/*
 * Another program has appended behind what was torn, with care (an empty line before) or without. Its mail stays, byte for byte, and ours is all there;
 * a broken piece of ours may be too.
 */
static void others_behind(void **state)
{
	static const char foreign[] = "From bob@example.net Wed Nov 15 01:02:03 2023\nSubject: theirs\n\nFrom-ward\nprecious\n\n";

	(void)state;
	for (enum mbox_variant v = MBOX_RD; v <= MBOX_CL2; v++) {
		for (int careful = 0; careful < 2; careful++) {
			struct torn t;

			torn_start(&t, group, GROUP, v, befores[1]);
			for (size_t len = t.before.len; len <= t.full.len; len++) {
				struct strbuf file = STRBUF_INIT(BOX_BYTES);
				struct bag got = { 0 };

				strbuf_put(&file, t.full.s, len);
				if (careful && file.s[len - 1] != '\n')
					strbuf_puts(&file, "\n\n");
				else if (careful && file.s[len - 2] != '\n')
					strbuf_puts(&file, "\n");
				strbuf_put(&file, foreign, sizeof(foreign) - 1);
				file_write(t.r.path, file.s, file.len);
				next_run(&t, NULL);
				strbuf_clear(&file);
				assert_true(file_read(t.r.path, &file));
				if (!memmem(file.s, file.len, foreign, sizeof(foreign) - 1))
					fail_msg("variant %d, careful %d, cut at %zu: another's mail is gone", v, careful, len);
				assert_memory_equal(file.s, t.before.s, t.before.len);
				if (v != MBOX_CL2) { /* a torn Content-Length leads this strict reader astray */
					mbox_read(t.r.path, (int)v, &got);
					for (size_t i = 0; i < t.ours.n; i++)
						if (!bag_has(&got, strbuf_str(&t.ours.a[i]), t.ours.a[i].len))
							fail_msg("variant %d, careful %d, cut at %zu: message %zu of ours is missing:\n%s", v, careful, len, i, file.s);
					assert_true(got.n <= t.n + 3);
					if (careful)
						assert_true(bag_has(&got, strchr(foreign, '\n') + 1, strlen(strchr(foreign, '\n')) - 2));
				}
				strbuf_release(&file);
				bag_release(&got);
			}
			torn_stop(&t);
		}
	}
}

/* Another's mail in place of ours, cut off anywhere: it is never touched. */
static void others_instead(void **state)
{
	static const char *const theirs[] = {
		"From jane@example.org Tue Nov 14 22:13:20 2023\nReturn-Path: <jane@example.org>\nSubject: two\n\nprecious\n\n",
		"From bob@example.net Wed Nov 15 01:02:03 2023\nSubject: theirs\n\nprecious\n\n",
		"no mbox at all, but precious\n",
	};
	struct torn t;

	(void)state;
	torn_start(&t, group, GROUP, MBOX_RD, befores[1]);
	for (size_t i = 0; i < 3; i++) {
		const char *p = theirs[i];
		size_t agree = 0;

		while (p[agree] == t.full.s[t.before.len + agree])
			agree++;
		for (size_t n = agree + 1; n <= strlen(p); n++) {
			struct strbuf file = STRBUF_INIT(BOX_BYTES);

			strbuf_put(&file, t.before.s, t.before.len);
			strbuf_put(&file, p, n);
			file_write(t.r.path, file.s, file.len);
			assert_int_equal(next_run(&t, NULL), 0);
			n = file.len - t.before.len;
			strbuf_clear(&file);
			assert_true(file_read(t.r.path, &file));
			assert_memory_equal(file.s + t.before.len, p, n);
			strbuf_release(&file);
		}
	}
	torn_stop(&t);
}

/* A mail reader has rewritten the file: ours are known by what they are, also with its notes in them. */
static void rewritten(void **state)
{
	static const struct sample m[] = { S("Subject: one\r\n\r\nbody one\r\n"), S("Subject: two\r\n\r\nbody two\r\n") };
	static const struct {
		const char *file;
		bool found[2];
	} rows[] = {
		{ "", { false, false } },
		{ "From a\nx\n\n", { false, false } },
		{ FROM_DAEMON "Subject: one\n\nbody one\n\n" FROM_DAEMON "Subject: two\n\nbody two\n\n", { true, true } }, /* the one before is gone */
		{ "From a\nx\n\n" FROM_DAEMON "Subject: two\n\nbody two\n\n", { false, true } },
		{ "From a\nStatus: RO\nx\n\n" FROM_DAEMON "Status: RO\nSubject: one\nX-UID: 7\n\nbody one\n\n", { true, false } },
		{ FROM_DAEMON "Subject: two\nStatus: O\nContent-Length: 9\nLines: 1\n\nbody two\n\n" FROM_DAEMON "Subject: one\n\nbody one\n\nFrom b\nnew\n\n",
		  { true, true } },
		{ "From a\nx\n\n" FROM_DAEMON "Subject: one\n\nbody one\n\n" FROM_DAEMON "Subject: two\n\nbody two\n", { true, true } }, /* last line gone */
		{ "From a\nx\n\nFrom bob\nSubject: one\n\nbody one\n\nFrom bob\nSubject: two\n\nbody two\n\n", { false, false } }, /* another's delivery of the same */
		{ "From a\nx\n\n" FROM_DAEMON "Subject: one\n\nbody one EDITED\n\n", { false, false } },
		{ "From a\nxx\n\nFrom MAILER-DAEMON Tue Nov 14 22:13:20 2023\nSubject: one\n\nbody", { false, false } }, /* not where we put it */
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct strbuf b = STRBUF_INIT(BOX_BYTES);
		struct recovery rec[2];
		struct torn t;

		torn_start(&t, m, 2, MBOX_RD, befores[1]);
		for (size_t k = 0; k < 2; k++)
			rec[k] = (struct recovery){ .key = t.st[k].key, .hint = t.st[k].hint, .digest = t.st[k].digest };
		file_write(t.r.path, rows[i].file, strlen(rows[i].file));
		assert_int_equal(t.r.s->ops->recover(t.r.s, rec, 2, &t.r.e), 0);
		if (rec[0].found != rows[i].found[0] || rec[1].found != rows[i].found[1])
			fail_msg("row %zu: %d %d", i, rec[0].found, rec[1].found);
		file_read(t.r.path, &b);
		assert_string_equal(strbuf_str(&b), rows[i].file);
		strbuf_release(&b);
		torn_stop(&t);
	}
}

/* Our last message was complete, and somebody has taken its empty line away, or marked it read: it isn't torn. */
static void complete_is_not_torn(void **state)
{
	struct torn t;

	(void)state;
	torn_start(&t, group, 3, MBOX_RD, befores[1]);
	file_write(t.r.path, t.full.s, t.full.len - 1);
	assert_int_equal(next_run(&t, NULL), 3);
	assert_int_equal(file_size(t.r.path), t.full.len - 1);
	torn_stop(&t);
}

/* All of ours is there, and another program has put its mail behind it, with more empty lines than it takes: our last message is still the same. */
static void complete_with_others_behind(void **state)
{
	static const char *const behind[] = { "\n", "\n\n\n", "\nFrom b\nx\n\n", "\n\n\r\n\nFrom b\nx\n\n", "From b\nx\n" };

	(void)state;
	for (enum mbox_variant v = MBOX_RD; v <= MBOX_CL2; v++) {
		for (size_t n = 1; n <= GROUP; n++) {
			for (size_t i = 0; i < COUNT(behind); i++) {
				struct torn t;

				torn_start(&t, group, n, v, befores[1]);
				strbuf_puts(&t.full, behind[i]);
				file_write(t.r.path, t.full.s, t.full.len);
				assert_int_equal(next_run(&t, NULL), n);
				expect_file(&t.r, t.full.s, t.full.len);
				torn_stop(&t);
			}
		}
	}
}

/* The file is gone, or is no mbox any more. */
static void gone(void **state)
{
	struct recovery rec;
	struct torn t;

	(void)state;
	torn_start(&t, group, GROUP, MBOX_RD, befores[1]);
	rec = (struct recovery){ .key = t.st[0].key, .hint = t.st[0].hint, .found = true };
	assert_int_equal(unlink(t.r.path), 0);
	assert_int_equal(t.r.s->ops->recover(t.r.s, &rec, 1, &t.r.e), 0);
	assert_false(rec.found);
	assert_int_equal(file_size(t.r.path), -1);
	file_write(t.r.path, "{ \"json\": true }\n", 17);
	assert_int_equal(t.r.s->ops->recover(t.r.s, &rec, 1, &t.r.e), -1);
	assert_int_equal(t.r.e.kind, ERR_LOCAL);
	assert_non_null(strstr(t.r.e.text, t.r.path));
	assert_int_equal(t.r.s->ops->open_box(t.r.s, "", BOX_WRITE | BOX_CREATE, &t.r.info, &t.r.e), -1);
	expect_file(&t.r, "{ \"json\": true }\n", 17);
	torn_stop(&t);
}

/* A file in which nothing of ours came to be, with an older message that is just the same: it isn't taken for ours. */
static void twin_before(void **state)
{
	static const struct sample m = S("Subject: twin\r\n\r\ntwin\r\n");
	struct torn t;

	(void)state;
	torn_start(&t, &m, 1, MBOX_RD, "From a\nSubject: twin\n\ntwin\n\n");
	file_write(t.r.path, t.before.s, t.before.len);
	assert_int_equal(next_run(&t, NULL), 0);
	expect_exactly(&t);
	torn_stop(&t);
}

/* A write fails at any place: the file is as it was, and the next try delivers all. */
static void append_fails(void **state)
{
	struct staged st[8];
	struct stat before, after;

	(void)state;
	for (size_t b = 0; b < BEFORES; b++) {
		for (int at = 0; at < 40; at += 3) {
			const struct timespec t[2] = { { .tv_sec = NOW }, { .tv_sec = NOW + 60 } };
			struct bag got = { 0 };
			struct rig r;

			rig_start(&r, MBOX_RD);
			file_write(r.path, befores[b], strlen(befores[b]));
			assert_int_equal(utimensat(AT_FDCWD, r.path, t, 0), 0);
			assert_int_equal(stat(r.path, &before), 0);
			rig_open(&r);
			for (size_t i = 0; i < GROUP; i++)
				stage(&r, &group[i], &st[i]);
			harden(&r, st, GROUP);
			sys.err = ENOSPC;
			sys.fail_write = at;
			sys.most = 7;
			assert_int_equal(r.s->ops->publish(r.s, st, GROUP, &r.e), -1);
			assert_int_equal(r.e.kind, ERR_LOCAL);
			assert_non_null(strstr(r.e.text, strerror(ENOSPC)));
			assert_non_null(strstr(r.e.text, r.path));
			assert_int_equal(stat(r.path, &after), 0);
			expect_file(&r, befores[b], strlen(befores[b]));
			assert_int_equal(after.st_mtime, before.st_mtime);
			assert_int_equal(after.st_atime, before.st_atime);
			harden(&r, st, GROUP); /* once more: the lock was given back */
			publish(&r, st, GROUP);
			mbox_read(r.path, READ_RD, &got);
			assert_int_equal(got.n, GROUP + (befores[b][0] != '\0'));
			bag_release(&got);
			rig_stop(&r);
		}
	}
}

static void sync_fails(void **state)
{
	struct recovery rec = { 0 };
	struct staged st;
	struct rig r;

	(void)state;
	for (int at = 0; at < 2; at++) { /* the file; its directory */
		rig_start(&r, MBOX_RD);
		rig_open(&r);
		stage(&r, &group[0], &st);
		harden(&r, &st, 1);
		sys.err = EIO;
		sys.fail_sync = at;
		assert_int_equal(r.s->ops->publish(r.s, &st, 1, &r.e), -1);
		assert_int_equal(r.e.kind, ERR_LOCAL);
		expect_file(&r, "", 0);
		rig_stop(&r);
	}
	rig_start(&r, MBOX_RD); /* and it can't be cut back either: then the next run does */
	file_write(r.path, befores[1], strlen(befores[1]));
	rig_open(&r);
	stage(&r, &group[0], &st);
	harden(&r, &st, 1);
	sys.err = EIO;
	sys.most = 7;
	sys.fail_write = 3;
	sys.fail_truncate = 0;
	assert_int_equal(r.s->ops->publish(r.s, &st, 1, &r.e), -1);
	assert_int_equal(file_size(r.path), strlen(befores[1]) + 21);
	r.s->ops->abandon(r.s);
	rec = (struct recovery){ .key = st.key, .hint = st.hint };
	assert_int_equal(r.s->ops->recover(r.s, &rec, 1, &r.e), 0);
	assert_false(rec.found);
	expect_file(&r, befores[1], strlen(befores[1]));
	rig_stop(&r);
}

/* A program that heeds no locks has appended between harden and publish: nothing of its mail is overwritten or cut. */
static void others_between(void **state)
{
	static const char both[] = "From a\nx\n\nFrom b\ny\n\n";
	struct staged st;
	struct rig r;

	(void)state;
	rig_start(&r, MBOX_RD);
	file_write(r.path, both, 10);
	rig_open(&r);
	stage(&r, &group[0], &st);
	harden(&r, &st, 1);
	file_write(r.path, both, sizeof(both) - 1);
	assert_int_equal(r.s->ops->publish(r.s, &st, 1, &r.e), -1);
	assert_int_equal(r.e.kind, ERR_LOCAL);
	expect_file(&r, both, sizeof(both) - 1);
	rig_stop(&r);
}

/* A program that heeds no locks has appended behind what we wrote, and then our sync fails: ours can't be taken back without cutting off its mail. */
static void others_behind_a_failure(void **state)
{
	struct strbuf b = STRBUF_INIT(BOX_BYTES);
	struct staged st;
	struct rig r;

	(void)state;
	rig_start(&r, MBOX_RD);
	file_write(r.path, befores[1], strlen(befores[1]));
	rig_open(&r);
	stage(&r, &group[0], &st);
	harden(&r, &st, 1);
	sys.err = EIO;
	sys.fail_sync = 0;
	sys.meddle = r.path;
	assert_int_equal(r.s->ops->publish(r.s, &st, 1, &r.e), -1);
	file_read(r.path, &b);
	assert_true(b.len > sizeof(meddled) - 1);
	assert_string_equal(strbuf_str(&b) + b.len - (sizeof(meddled) - 1), meddled);
	strbuf_release(&b);
	rig_stop(&r);
}

/* What a run that was interrupted had appended may not be on disk yet, nor the name of a file that it made: before it is told to be there, it is. */
static void durable_when_found(void **state)
{
	struct recovery rec = { 0 };
	struct staged st;
	struct rig r;

	(void)state;
	rig_start(&r, MBOX_RD);
	rig_open(&r);
	stage(&r, &group[0], &st);
	harden(&r, &st, 1);
	publish(&r, &st, 1);
	for (int at = -1; at < 2; at++) {
		rec = (struct recovery){ .key = st.key, .hint = st.hint };
		sys.syncs = 0;
		sys.err = EIO;
		sys.fail_sync = at;
		assert_int_equal(r.s->ops->recover(r.s, &rec, 1, &r.e), at < 0 ? 0 : -1);
		assert_int_equal(sys.syncs, at < 0 ? 2 : at + 1);
		if (at < 0)
			assert_true(rec.found);
	}
	sys.fail_sync = -1;
	rig_stop(&r);
	rig_start(&r, MBOX_RD); /* an empty file may be one that such a run made */
	file_write(r.path, "", 0);
	rig_open(&r);
	deliver(&r, group, 1);
	assert_int_equal(sys.syncs, 2);
	rig_stop(&r);
}

/* Readers tell new mail by the times; modes; durable directory. */
static void times_and_modes(void **state)
{
	const struct timespec t[2] = { { .tv_sec = NOW + 60 }, { .tv_sec = NOW } };
	struct recovery rec = { .key = "k", .hint = "" };
	struct stat sb;
	struct rig r;
	mode_t mask = umask(0);

	(void)state;
	rig_start(&r, MBOX_RD);
	rig_open(&r);
	assert_int_equal(file_size(r.path), -1); /* made when something comes */
	deliver(&r, group, 1);
	assert_int_equal(sys.syncs, 2);
	assert_int_equal(stat(r.path, &sb), 0);
	assert_int_equal(sb.st_mode & 07777, 0600);
	assert_true(sb.st_atim.tv_sec < sb.st_mtim.tv_sec || sb.st_atim.tv_nsec < sb.st_mtim.tv_nsec);
	assert_int_equal(utimensat(AT_FDCWD, r.path, t, 0), 0);
	assert_int_equal(r.s->ops->recover(r.s, &rec, 1, &r.e), 0); /* reads it all */
	assert_int_equal(stat(r.path, &sb), 0);
	assert_int_equal(sb.st_atime, NOW + 60);
	assert_int_equal(sb.st_mtime, NOW);
	sys.syncs = 0;
	deliver(&r, group, 1);
	assert_int_equal(sys.syncs, 1);
	assert_int_equal(stat(r.path, &sb), 0);
	assert_true(sb.st_atime < sb.st_mtime);
	umask(mask);
	rig_stop(&r);
}

static void what_is_no_mbox(void **state)
{
	char other[BOX_PATH + 32];
	struct staged st;
	struct rig r;

	(void)state;
	rig_start(&r, MBOX_RD);
	file_write(r.path, "", 0);
	assert_int_equal(r.s->ops->open_box(r.s, "Work", BOX_WRITE | BOX_CREATE, &r.info, &r.e), -1);
	assert_int_equal(r.e.kind, ERR_REFUSED);
	assert_int_equal(unlink(r.path), 0);
	assert_int_equal(mkdir(r.path, 0700), 0);
	assert_int_equal(r.s->ops->open_box(r.s, "", BOX_WRITE | BOX_CREATE, &r.info, &r.e), -1);
	assert_int_equal(r.e.kind, ERR_LOCAL);
	assert_non_null(strstr(r.e.text, "maildir:"));
	assert_int_equal(rmdir(r.path), 0);
	assert_int_equal(mkfifo(r.path, 0600), 0);
	assert_int_equal(r.s->ops->open_box(r.s, "", BOX_WRITE | BOX_CREATE, &r.info, &r.e), -1); /* and doesn't hang */
	assert_int_equal(unlink(r.path), 0);
	assert_int_equal(symlink("/dev/null", r.path), 0);
	assert_int_equal(r.s->ops->open_box(r.s, "", BOX_WRITE | BOX_CREATE, &r.info, &r.e), -1);
	assert_int_equal(unlink(r.path), 0);
	file_write(r.path, "Hello\n", 6);
	assert_int_equal(r.s->ops->open_box(r.s, "", BOX_WRITE | BOX_CREATE, &r.info, &r.e), -1);
	assert_non_null(strstr(r.e.text, "no mbox"));
	assert_int_equal(unlink(r.path), 0);
	rig_open(&r);
	stage(&r, &group[0], &st);
	file_write(r.path, "Hello\n", 6); /* comes to be while we fetch */
	assert_int_equal(r.s->ops->harden(r.s, &st, 1, &r.e), -1);
	assert_non_null(strstr(r.e.text, "no mbox"));
	expect_file(&r, "Hello\n", 6);
	snprintf(other, sizeof(other), "%s.lock", r.path);
	assert_int_equal(file_size(other), -1);
	assert_int_equal(unlink(r.path), 0);
	snprintf(other, sizeof(other), "%s/real", r.dir); /* the person's own link */
	assert_int_equal(symlink("real", r.path), 0);
	file_write(other, "", 0);
	harden(&r, &st, 1);
	publish(&r, &st, 1);
	assert_true(file_size(other) > 0);
	if (geteuid() == 0) { /* somebody else's */
		assert_int_equal(lchown(r.path, 12345, 12345), 0);
		assert_int_equal(r.s->ops->open_box(r.s, "", BOX_WRITE | BOX_CREATE, &r.info, &r.e), -1);
		assert_int_equal(r.e.kind, ERR_LOCAL);
	}
	rig_stop(&r);
}

/* The box vanishes while we fetch: only who may make it does. */
static void vanishes(void **state)
{
	struct staged st;
	struct rig r;

	(void)state;
	for (int create = 0; create < 2; create++) {
		rig_start(&r, MBOX_RD);
		file_write(r.path, "", 0);
		assert_int_equal(r.s->ops->open_box(r.s, "", BOX_WRITE | (create ? BOX_CREATE : 0u), &r.info, &r.e), 0);
		stage(&r, &group[0], &st);
		assert_int_equal(unlink(r.path), 0);
		assert_int_equal(r.s->ops->harden(r.s, &st, 1, &r.e), create - 1);
		if (create)
			publish(&r, &st, 1);
		assert_int_equal(file_size(r.path) > 0, create);
		rig_stop(&r);
	}
}

/* The name is a symbolic link: the dotlock is heeded, and made, where the file is. */
static void linked_elsewhere(void **state)
{
	char text[64], spool[BOX_PATH + 32], real[BOX_PATH + 64], dot[BOX_PATH + 96], beside[BOX_PATH + 32];
	struct staged st;
	struct rig r;

	(void)state;
	rig_start(&r, MBOX_RD);
	snprintf(spool, sizeof(spool), "%s/spool", r.dir);
	snprintf(real, sizeof(real), "%s/jane", spool);
	snprintf(dot, sizeof(dot), "%s.lock", real);
	snprintf(beside, sizeof(beside), "%s.lock", r.path);
	assert_int_equal(mkdir(spool, 0700), 0);
	file_write(real, "", 0);
	assert_int_equal(symlink("spool/jane", r.path), 0);
	snprintf(text, sizeof(text), "%ld", (long)getpid());
	file_write(dot, text, strlen(text));
	rig_open(&r);
	stage(&r, &group[0], &st);
	assert_int_equal(r.s->ops->harden(r.s, &st, 1, &r.e), -1);
	assert_int_equal(r.e.kind, ERR_TEMP);
	assert_non_null(strstr(r.e.text, dot));
	assert_int_equal(file_size(real), 0);
	assert_int_equal(unlink(dot), 0);
	file_write(beside, text, strlen(text)); /* a lock on the link's name locks nothing */
	harden(&r, &st, 1);
	publish(&r, &st, 1);
	assert_true(file_size(real) > 0);
	assert_int_equal(file_size(dot), -1);
	rig_stop(&r);
}

/* A child that holds the mbox's fcntl lock; it says so and ends when told, by what the pipes carry. */
static pid_t hold_lock(const char *path, int *tell)
{
	int ready[2], end[2];
	char c;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(end), 0);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		struct flock lk = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
		int fd = open(path, O_RDWR);

		close(end[1]);
		if (fd < 0 || fcntl(fd, F_SETLK, &lk) < 0 || write(ready[1], "x", 1) != 1)
			_exit(1);
		if (read(end[0], &c, 1) == 1) { /* replace the file, then let go */
			char other[BOX_PATH + 32];

			snprintf(other, sizeof(other), "%s.new", path);
			file_write(other, "From new\nnew\n\n", 14);
			usleep(150000);
			if (rename(other, path) < 0)
				_exit(2);
		}
		_exit(0);
	}
	close(ready[1]);
	close(end[0]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	*tell = end[1];
	return pid;
}

static void reap(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* Somebody holds the lock: later. What is staged stays so. */
static void locked(void **state)
{
	struct recovery rec = { .key = "k", .hint = "" };
	char number[32];
	struct staged st;
	struct rig r;
	pid_t pid;
	int tell;

	(void)state;
	rig_start(&r, MBOX_RD);
	file_write(r.path, befores[1], strlen(befores[1]));
	rig_open(&r);
	stage(&r, &group[0], &st);
	pid = hold_lock(r.path, &tell);
	assert_int_equal(r.s->ops->harden(r.s, &st, 1, &r.e), -1);
	assert_int_equal(r.e.kind, ERR_TEMP);
	snprintf(number, sizeof(number), "process %ld", (long)pid);
	assert_non_null(strstr(r.e.text, number));
	assert_int_equal(r.s->ops->recover(r.s, &rec, 1, &r.e), -1);
	assert_int_equal(r.e.kind, ERR_TEMP);
	expect_file(&r, befores[1], strlen(befores[1]));
	close(tell);
	reap(pid);
	harden(&r, &st, 1);
	publish(&r, &st, 1);
	assert_true(file_size(r.path) > (long)strlen(befores[1]));
	rig_stop(&r);
}

/* The file that we waited for has been replaced: the new one is locked and appended to. */
static void replaced_while_waiting(void **state)
{
	struct bag got = { 0 };
	struct staged st;
	struct rig r;
	pid_t pid;
	int tell;

	(void)state;
	rig_start(&r, MBOX_RD);
	r.params.lock.timeout = 20000;
	store_free(r.s);
	r.s = mbox_new(&r.params, &r.e);
	file_write(r.path, befores[1], strlen(befores[1]));
	rig_open(&r);
	stage(&r, &group[0], &st);
	pid = hold_lock(r.path, &tell);
	assert_int_equal(write(tell, "x", 1), 1);
	harden(&r, &st, 1);
	publish(&r, &st, 1);
	close(tell);
	reap(pid);
	mbox_read(r.path, READ_RD, &got);
	assert_int_equal(got.n, 2);
	assert_string_equal(strbuf_str(&got.a[0]), "new\n");
	bag_release(&got);
	rig_stop(&r);
}

/* Try to lock path with the dotlock alone: NULL, or a lock to give back. */
static struct mboxlock *try_dotlock(int fd, const char *path, struct err *e)
{
	const struct mboxlock_params p = { .order = { MBOXLOCK_DOTLOCK }, .timeout = 100 };

	return mboxlock_take(&p, fd, path, e);
}

/* Whose dotlock is taken away, and whose is not. */
static void dotlocks(void **state)
{
	char dot[BOX_PATH + 32], text[400], host[256] = "";
	const struct timespec old[2] = { { .tv_sec = time(NULL) - 400 }, { .tv_sec = time(NULL) - 400 } };
	struct mboxlock *l;
	struct rig r;
	pid_t dead;
	int fd;

	(void)state;
	rig_start(&r, MBOX_RD);
	snprintf(dot, sizeof(dot), "%s.lock", r.path);
	file_write(r.path, "", 0);
	fd = open(r.path, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(gethostname(host, sizeof(host) - 1), 0);
	fflush(NULL);
	dead = fork();
	if (dead == 0)
		_exit(0);
	reap(dead);
	for (int i = 0; i < 6; i++) {
		static const struct {
			bool alive, here, old, had;
		} rows[] = { { true, true, false, false }, { true, true, true, true }, { false, true, false, true }, { false, false, false, false },
			     { false, false, true, true }, { true, false, false, false } };

		snprintf(text, sizeof(text), "%ld:%s\n", rows[i].alive ? (long)getppid() : (long)dead, rows[i].here ? host : "elsewhere.invalid");
		file_write(dot, text, strlen(text));
		if (rows[i].old)
			assert_int_equal(utimensat(AT_FDCWD, dot, old, 0), 0);
		l = try_dotlock(fd, r.path, &r.e);
		if ((l != NULL) != rows[i].had)
			fail_msg("row %d: %s: %s", i, text, l ? "taken" : r.e.text);
		if (!l)
			assert_int_equal(r.e.kind, ERR_TEMP);
		mboxlock_give(l);
		assert_int_equal(file_size(dot), l ? -1 : (long)strlen(text));
		unlink(dot);
	}
	/* somebody took ours for stale: what is there now isn't ours to remove */
	l = try_dotlock(fd, r.path, &r.e);
	assert_non_null(l);
	assert_int_equal(unlink(dot), 0);
	file_write(dot, "theirs", 6);
	mboxlock_give(l);
	assert_int_equal(file_size(dot), 6);
	assert_int_equal(unlink(dot), 0);
	close(fd);
	rig_stop(&r);
}

/* No lock is held while another is waited for, nor left behind. */
static void no_lock_while_waiting(void **state)
{
	const struct mboxlock_params p = { .order = { MBOXLOCK_DOTLOCK, MBOXLOCK_FCNTL }, .timeout = 100 };
	char dot[BOX_PATH + 32];
	struct rig r;
	int fd, tell;
	pid_t pid;

	(void)state;
	rig_start(&r, MBOX_RD);
	snprintf(dot, sizeof(dot), "%s.lock", r.path);
	file_write(r.path, "", 0);
	pid = hold_lock(r.path, &tell);
	fd = open(r.path, O_RDWR);
	assert_true(fd >= 0);
	assert_null(mboxlock_take(&p, fd, r.path, &r.e));
	assert_int_equal(file_size(dot), -1);
	close(fd);
	close(tell);
	reap(pid);
	rig_stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_in_the_file),
		cmocka_unit_test(keys_and_hints),
		cmocka_unit_test(hints_are_checked),
		cmocka_unit_test(torn_anywhere),
		cmocka_unit_test(torn_with_from_lines),
		cmocka_unit_test(torn_with_nuls),
		cmocka_unit_test(others_behind),
		cmocka_unit_test(others_instead),
		cmocka_unit_test(rewritten),
		cmocka_unit_test(complete_is_not_torn),
		cmocka_unit_test(complete_with_others_behind),
		cmocka_unit_test(gone),
		cmocka_unit_test(twin_before),
		cmocka_unit_test(append_fails),
		cmocka_unit_test(sync_fails),
		cmocka_unit_test(others_between),
		cmocka_unit_test(others_behind_a_failure),
		cmocka_unit_test(durable_when_found),
		cmocka_unit_test(times_and_modes),
		cmocka_unit_test(what_is_no_mbox),
		cmocka_unit_test(vanishes),
		cmocka_unit_test(linked_elsewhere),
		cmocka_unit_test(locked),
		cmocka_unit_test(dotlocks),
		cmocka_unit_test(no_lock_while_waiting),
		cmocka_unit_test(replaced_while_waiting),
	};

	return cmocka_run_group_tests_name("store/mbox", tests, NULL, NULL);
}
