/* Mbox files as other programs leave them, as folders of a tree: what is read of them, and what is changed, and how. What every store with folders must do is in conformtree.c. */
#include "../../lib/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "box.h"
#include "mail/flags.h"
#include "mail/keywords.h"
#include "store/mbox.h"
#include "store/mboxread.h"

#define FROM "From jane@example.org Tue Nov 14 22:13:20 2023\n"
#define FROM2 "From bob@example.net Wed Nov 15 01:02:03 2023\n"
#define DATE 1700000000

struct rig {
	char *dir, *root;
	struct store *s;
	struct box_info info;
	struct keywords words;
	struct keyword_view view;
	struct err e;
};

static void rig_start(struct rig *r, enum mbox_variant v)
{
	*r = (struct rig){ .dir = scratch_make() };
	r->root = strdup(path_in(r->dir, "tree"));
	assert_non_null(r->root);
	assert_int_equal(mkdir(r->root, 0700), 0);
	r->view.table = &r->words;
	r->s = mbox_new(&(struct mbox_params){ .path = r->root, .variant = v, .lock = { .timeout = 300 } }, &r->e);
	assert_non_null(r->s);
	r->s->keywords = &r->view;
}

static void rig_stop(struct rig *r)
{
	store_free(r->s);
	keywords_release(&r->words);
	free(r->root);
	scratch_remove(r->dir);
	clock_test_set(-1);
}

static void must(struct rig *r, int rc)
{
	if (rc < 0)
		fail_msg("%s", r->e.text);
}

static void put(struct rig *r, const char *name, const char *text)
{
	file_write(path_in(r->root, name), text, strlen(text));
}

static void holds(struct rig *r, const char *name, const char *text)
{
	struct strbuf got = STRBUF_INIT(BOX_BYTES);

	assert_true(file_read(path_in(r->root, name), &got));
	assert_string_equal(strbuf_str(&got), text);
	strbuf_release(&got);
}

static void open_box(struct rig *r, const char *folder)
{
	must(r, r->s->ops->open_box(r->s, folder, BOX_WRITE, &r->info, &r->e));
}

/* A message as it is told, and its text with LF. */
struct told {
	uint64_t num, flags;
	int64_t date;
	char key[STORE_NAME_MAX + 1];
	char text[4096];
};

static void read_body(struct rig *r, struct told *t)
{
	struct stream *body;
	size_t i, n = 0;
	char c;
	ssize_t got;

	must(r, r->s->ops->want(r->s, &t->num, 1, &r->e));
	assert_int_equal(r->s->ops->next(r->s, &i, &body, &r->e), 1);
	assert_non_null(body);
	while ((got = stream_read(body, &c, 1, &r->e)) > 0) {
		assert_true(n + 1 < sizeof(t->text));
		if (c != '\r')
			t->text[n++] = c;
	}
	must(r, (int)got);
	t->text[n] = '\0';
	stream_free(body);
}

/* All messages of a folder. */
static size_t all(struct rig *r, const char *folder, struct told *t, size_t max)
{
	struct store_msg m;
	size_t n = 0;
	int rc;

	open_box(r, folder);
	must(r, r->s->ops->list_start(r->s, &r->e));
	while ((rc = r->s->ops->list_next(r->s, &m, &r->e)) > 0) {
		assert_true(n < max);
		t[n] = (struct told){ .num = m.num, .flags = m.flags, .date = m.date };
		memcpy(t[n++].key, m.key.p, m.key.n);
	}
	must(r, rc);
	for (size_t i = 0; i < n; i++) {
		read_body(r, &t[i]);
		must(r, r->s->ops->find(r->s, slice_str(t[i].key), 0, &m, &r->e));
		assert_int_equal(m.size, strlen(t[i].text));
	}
	return n;
}

/* What programs write, and what is read of it. */
static void dialects(void **state)
{
	static const struct {
		const char *name;
		enum mbox_variant v;
		const char *file;
		size_t n;
		const char *text[3];
		uint64_t flags[3];
	} rows[] = {
		{ "empty", MBOX_RD, "", 0, { 0 }, { 0 } },
		{ "mutt", MBOX_O, FROM "Subject: a\nStatus: RO\nContent-Length: 5\nLines: 1\n\nbody\n\n" FROM2 "Subject: b\nStatus: O\nX-Status: AF\nContent-Length: 12\nLines: 1\n\n>From mutt,\n\n", 2,
		  { "Subject: a\n\nbody\n", "Subject: b\n\nFrom mutt,\n" }, { FLAG_SEEN, FLAG_ANSWERED | FLAG_FLAGGED } },
		{ "Dovecot", MBOX_RD, "From MAILER-DAEMON Tue Nov 14 22:13:20 2023\nDate: Tue, 14 Nov 2023 22:13:20 +0000\nFrom: Mail System Internal Data <MAILER-DAEMON@host>\n"
		  "Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\nMessage-ID: <1@host>\nX-IMAP: 1700000000 0000000003 Junk\nStatus: RO\n\nThis text is part of the internal\n\n"
		  FROM "Subject: a\nX-UID: 1\nStatus: RO\nX-Keywords: Junk                       \nContent-Length: 17\n\nFrom here\n\nFrom\n\n\n"
		  FROM2 "Subject: b\nX-UID: 2\nStatus: \nX-Status: TD\nX-Keywords:                           \nContent-Length: 5\n\nbody\n\n", 2,
		  { "Subject: a\n\nFrom here\n\nFrom\n\n", "Subject: b\n\nbody\n" }, { FLAG_SEEN | UINT64_C(1) << KEYWORD_BIT, FLAG_DRAFT | FLAG_DELETED } },
		{ "Dovecot, first message", MBOX_RD, FROM "Subject: a\nX-IMAPbase: 1700000000 0000000003\nX-UID: 1\nStatus: R\nX-Keywords: $Forwarded\n\nx\n\n", 1, { "Subject: a\n\nx\n" },
		  { FLAG_SEEN | FLAG_FORWARDED } },
		{ "Python", MBOX_O, FROM "Subject: a\nStatus: R\nX-Status: F\n\n>From us\n\n" FROM2 "Subject: b\n\nx\n", 2, { "Subject: a\n\nFrom us\n", "Subject: b\n\nx\n" },
		  { FLAG_SEEN | FLAG_FLAGGED, 0 } },
		{ "procmail", MBOX_O, FROM "Subject: a\n\n>From me\n>>From you\nx\n\n" FROM2 "Subject: b\n\ny\n\n", 2, { "Subject: a\n\nFrom me\n>>From you\nx\n", "Subject: b\n\ny\n" }, { 0 } },
		{ "mboxrd", MBOX_RD, FROM "Subject: a\n\n>From me\n>>From you\n>>> From\n\n", 1, { "Subject: a\n\nFrom me\n>From you\n>>> From\n" }, { 0 } },
		{ "no line end", MBOX_RD, FROM "Subject: a\n\nx", 1, { "Subject: a\n\nx\n" }, { 0 } },
		{ "no empty line between", MBOX_RD, FROM "Subject: a\n\nx\n" FROM2 "Subject: b\n\nFrom here to there\ny\n", 2, { "Subject: a\n\nx\n", "Subject: b\n\nFrom here to there\ny\n" }, { 0 } },
		{ "no dates", MBOX_RD, "From jane\nSubject: a\n\nx\n\nFrom bob on some day\nSubject: b\n\ny\n\nFrom eve\nSubject: c\n\nz\n", 3,
		  { "Subject: a\n\nx\n", "Subject: b\n\ny\n", "Subject: c\n\nz\n" }, { 0 } },
		{ "many empty lines", MBOX_RD, "\n\n" FROM "Subject: a\n\nx\n\n\n\n" FROM2 "Subject: b\n\n\n\n\n", 2, { "Subject: a\n\nx\n\n\n", "Subject: b\n\n\n\n" }, { 0 } },
		{ "CRLF", MBOX_RD, "From a@b Tue Nov 14 22:13:20 2023\r\nSubject: a\r\nStatus: RO\r\nX-Status: A\r\n\r\nx\r\n\r\nFrom a@b Tue Nov 14 22:13:20 2023\r\nSubject: b\r\n\r\n>From y\r\n\r\n", 2,
		  { "Subject: a\n\nx\n", "Subject: b\n\nFrom y\n" }, { FLAG_SEEN | FLAG_ANSWERED, 0 } },
		{ "length beyond the next", MBOX_CL2, FROM "Subject: a\nContent-Length: 30\n\nx\n\n" FROM2 "Subject: b\n\ny\n\n", 2, { "Subject: a\n\nx\n", "Subject: b\n\ny\n" }, { 0 } },
		{ "length beyond the end", MBOX_RD, FROM "Subject: a\nContent-Length: 3000\n\nx\n\n" FROM2 "Subject: b\n\ny\n\n", 2, { "Subject: a\n\nx\n", "Subject: b\n\ny\n" }, { 0 } },
		{ "length too short", MBOX_RD, FROM "Subject: a\nContent-Length: 1\n\nx\ny\n\n" FROM2 "Subject: b\n\ny\n\n", 2, { "Subject: a\n\nx\ny\n", "Subject: b\n\ny\n" }, { 0 } },
		{ "length that is none", MBOX_CL2, FROM "Subject: a\nContent-Length: -7\n\nx\n\n" FROM2 "Subject: b\nContent-Length: 99999999999999999999\n\ny\n\n", 2,
		  { "Subject: a\n\nx\n", "Subject: b\n\ny\n" }, { 0 } },
		{ "length and no empty line", MBOX_CL2, FROM "Subject: a\nContent-Length: 7\n\nFrom x\n" FROM2 "Subject: b\n\ny\n\n", 2, { "Subject: a\n\nFrom x\n", "Subject: b\n\ny\n" }, { 0 } },
		{ "header alone", MBOX_RD, FROM "Subject: a\n\n" FROM2 "Subject: b\nStatus: R\n", 2, { "Subject: a\n", "Subject: b\n" }, { 0, FLAG_SEEN } },
		{ "no header", MBOX_RD, FROM "hello: no, hello\n\nyou\n\n" FROM2 "just text\n\n", 2, { "hello: no, hello\n\nyou\n", "just text\n" }, { 0 } },
		{ "notes alone", MBOX_RD, FROM "Status: RO\nX-UID: 7\n\n\nempty header\n\n", 1, { "\nempty header\n" }, { FLAG_SEEN } },
		{ "folded notes", MBOX_RD, FROM "X-Keywords: Junk\n  Funk\nSubject: a\n\nx\n\n", 1, { "Subject: a\n\nx\n" }, { UINT64_C(3) << KEYWORD_BIT } },
		{ "notes in the body", MBOX_RD, FROM "Subject: a\n\nStatus: RO\n\n", 1, { "Subject: a\n\nStatus: RO\n" }, { 0 } },
		{ "unknown notes", MBOX_RD, FROM "Status: xR?\nX-Status: ZA\nX-Keywords: (no) Junk \"x\"\nSubject: a\n\nx\n\n", 1, { "Subject: a\n\nx\n" },
		  { FLAG_SEEN | FLAG_ANSWERED | UINT64_C(1) << KEYWORD_BIT } },
	};
	struct told t[8];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct rig r;

		rig_start(&r, rows[i].v);
		put(&r, "INBOX", rows[i].file);
		if (all(&r, "INBOX", t, 8) != rows[i].n)
			fail_msg("%s: not so many messages", rows[i].name);
		for (size_t k = 0; k < rows[i].n; k++) {
			if (strcmp(t[k].text, rows[i].text[k]) != 0)
				fail_msg("%s, %zu: read is '%s', not '%s'", rows[i].name, k, t[k].text, rows[i].text[k]);
			if (t[k].flags != rows[i].flags[k])
				fail_msg("%s, %zu: flags %llx, not %llx", rows[i].name, k, (unsigned long long)t[k].flags, (unsigned long long)rows[i].flags[k]);
		}
		holds(&r, "INBOX", rows[i].file);
		rig_stop(&r);
	}
}

static void dates(void **state)
{
	static const struct {
		const char *line;
		int64_t date;
	} rows[] = {
		{ "From a@b Tue Nov 14 22:13:20 2023", DATE },
		{ "From a@b Tue Nov 14 22:13 2023", DATE - 20 },
		{ "From a@b  Tue Nov 14 23:13:20 +0100 2023", DATE },
		{ "From a@b Tue Nov 14 23:13:20 2023 +0100", DATE },
		{ "From \"a Mon b\"@c Tue Nov 14 22:13:20 GMT 2023", DATE },
		{ "From - Tue Nov 14 22:13:20 2023", DATE },
		{ "From a Tue Nov 14 22:13:20 2023 remote from host", DATE },
		{ "From a@b", 0 },
		{ "From a@b Tue Nov 32 22:13:20 2023", 0 },
		{ "From a@b Tue Nov 14 25:13:20 2023", 0 },
		{ "From a@b Tue Nov 14 22:13:20 1066", 0 },
		{ "From ", 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		int64_t got = 0;

		if (mboxread_date(slice_str(rows[i].line), &got) != (rows[i].date != 0) || (rows[i].date != 0 && got != rows[i].date))
			fail_msg("'%s' is %lld", rows[i].line, (long long)got);
	}
}

static void note(void *arg, uint64_t num, const struct err *why)
{
	(void)num;
	assert_null(why);
	++*(size_t *)arg;
}

static void flag(struct rig *r, uint64_t num, uint64_t add, uint64_t del)
{
	size_t said = 0;

	must(r, r->s->ops->set_flags(r->s, &(struct flag_change){ num, add, del }, 1, note, &said, &r->e));
	assert_int_equal(said, 1);
}

static ino_t inode(struct rig *r, const char *name)
{
	struct stat st;

	assert_int_equal(stat(path_in(r->root, name), &st), 0);
	return st.st_ino;
}

/* Where there is room the file is the same one. */
static void flags_in_place(void **state)
{
	struct told t[2];
	uint64_t junk;
	struct rig r;
	ino_t ino;

	(void)state;
	rig_start(&r, MBOX_RD);
	put(&r, "INBOX", FROM "X-IMAPbase: 1 2 x-y Junk $Forwarded\nSubject: a\nStatus: RO\nX-Status: A   \nX-Keywords: x-y Junk          \n\nx\n\n" FROM2 "Status:   \nSubject: b\n\ny\n");
	ino = inode(&r, "INBOX");
	assert_int_equal(all(&r, "INBOX", t, 2), 2);
	junk = keywords_find(&r.words, slice_str("junk"));
	assert_true(junk != 0);
	flag(&r, t[0].num, FLAG_FLAGGED | FLAG_DRAFT | FLAG_FORWARDED, FLAG_SEEN | junk);
	holds(&r, "INBOX", FROM "X-IMAPbase: 1 2 x-y Junk $Forwarded\nSubject: a\nStatus: O \nX-Status: AFT \nX-Keywords: x-y $Forwarded    \n\nx\n\n" FROM2 "Status:   \nSubject: b\n\ny\n");
	flag(&r, t[1].num, FLAG_SEEN, 0);
	flag(&r, t[0].num, 0, FLAG_ANSWERED | FLAG_FLAGGED | FLAG_DRAFT);
	flag(&r, t[0].num, 0, FLAG_ANSWERED);
	holds(&r, "INBOX", FROM "X-IMAPbase: 1 2 x-y Junk $Forwarded\nSubject: a\nStatus: O \nX-Status:     \nX-Keywords: x-y $Forwarded    \n\nx\n\n" FROM2 "Status: R \nSubject: b\n\ny\n");
	assert_int_equal(inode(&r, "INBOX"), ino);
	assert_int_equal(all(&r, "INBOX", t, 2), 2);
	assert_int_equal(t[0].flags, FLAG_FORWARDED | keywords_find(&r.words, slice_str("x-y")));
	assert_int_equal(t[1].flags, FLAG_SEEN);
	rig_stop(&r);
}

#define PAD "                                        "

/* Where there is none it is written anew, and then there is some. All that is not asked for stays. */
static void flags_anew(void **state)
{
	struct told t[4];
	struct rig r;
	ino_t ino;

	(void)state;
	rig_start(&r, MBOX_RD);
	put(&r, "INBOX", FROM "Subject: a\nX-UID: 3\n\nx\n\n" FROM2 "Subject: b\nX-Status: F\nStatus: O\nX-Status: A\n\n>From y\n\nFrom b@c Tue Nov 14 22:13:20 2023\r\nSubject: c\r\n\r\nz\r\n\r\n"
	    FROM "no header\n\nx");
	assert_int_equal(all(&r, "INBOX", t, 4), 4);
	flag(&r, t[0].num, FLAG_SEEN, 0);
	holds(&r, "INBOX", FROM "Status: R \nX-Status:     \nX-Keywords: " PAD "\nSubject: a\nX-UID: 3\n\nx\n\n" FROM2
	      "Subject: b\nX-Status: F\nStatus: O\nX-Status: A\n\n>From y\n\nFrom b@c Tue Nov 14 22:13:20 2023\r\nSubject: c\r\n\r\nz\r\n\r\n" FROM "no header\n\nx");
	ino = inode(&r, "INBOX");
	flag(&r, t[0].num, FLAG_FLAGGED, FLAG_SEEN);
	assert_int_equal(inode(&r, "INBOX"), ino);
	flag(&r, t[1].num, FLAG_SEEN, 0);
	flag(&r, t[2].num, FLAG_DELETED, 0);
	flag(&r, t[3].num, FLAG_ANSWERED, 0);
	holds(&r, "INBOX", FROM "Status:   \nX-Status: F   \nX-Keywords: " PAD "\nSubject: a\nX-UID: 3\n\nx\n\n" FROM2
	      "Status: RO\nX-Status: A   \nX-Keywords: " PAD "\nSubject: b\n\n>From y\n\nFrom b@c Tue Nov 14 22:13:20 2023\r\n"
	      "Status:   \r\nX-Status: D   \r\nX-Keywords: " PAD "\r\nSubject: c\r\n\r\nz\r\n\r\n" FROM
	      "Status:   \nX-Status: A   \nX-Keywords: " PAD "\n\nno header\n\nx");
	assert_int_equal(dir_count(r.root), 1);
	assert_int_equal(all(&r, "INBOX", t, 4), 4);
	assert_string_equal(t[3].text, "no header\n\nx\n");
	rig_stop(&r);
}

/* Notes must not make two messages of one that has no header. */
static void flags_without_a_header(void **state)
{
	struct told t[2];
	struct rig r;

	(void)state;
	rig_start(&r, MBOX_RD);
	put(&r, "INBOX", "From jane\nFrom here to there\nx\n");
	assert_int_equal(all(&r, "INBOX", t, 2), 1);
	flag(&r, t[0].num, FLAG_SEEN, 0);
	assert_int_equal(all(&r, "INBOX", t, 2), 1);
	assert_string_equal(t[0].text, "From here to there\nx\n");
	assert_int_equal(t[0].flags, FLAG_SEEN);
	rig_stop(&r);
}

static void remove_these(struct rig *r, const uint64_t *nums, size_t n)
{
	size_t said = 0;

	must(r, r->s->ops->remove(r->s, nums, n, note, &said, &r->e));
	assert_int_equal(said, n);
	must(r, r->s->ops->commit(r->s, &r->e));
}

/* What goes is gone, and nothing else: not what stands between, nor what Dovecot keeps in the first message. */
static void removals(void **state)
{
	struct told t[3];
	struct rig r;

	(void)state;
	rig_start(&r, MBOX_RD);
	put(&r, "INBOX", FROM "Subject: a\nX-IMAPbase: 1700000000 0000000009 Junk\nX-UID: 1\n\nx\n\n" FROM2 "Subject: b\nX-UID: 2\n\ny\n\n" FROM "Subject: c\nX-UID: 3\n\nz");
	assert_int_equal(all(&r, "INBOX", t, 3), 3);
	remove_these(&r, (uint64_t[]){ t[0].num, t[2].num }, 2);
	holds(&r, "INBOX", FROM2 "X-IMAPbase: 1700000000 0000000009 Junk\nSubject: b\nX-UID: 2\n\ny\n\n");
	assert_int_equal(all(&r, "INBOX", t, 3), 1);
	remove_these(&r, &t[0].num, 1);
	holds(&r, "INBOX", "");
	rig_stop(&r);
}

/* The same bytes twice are two messages; which of them goes makes no difference, but in their notes. */
static void twins(void **state)
{
	struct told t[3];
	struct rig r;

	(void)state;
	rig_start(&r, MBOX_RD);
	put(&r, "INBOX", FROM "Subject: a\nStatus: R\n\nx\n\n" FROM2 "Subject: a\n\nx\n\n" FROM "X-UID: 9\nSubject: a\n\nx\n\n");
	assert_int_equal(all(&r, "INBOX", t, 3), 3);
	assert_string_equal(t[1].key + strlen(t[0].key), "#2");
	assert_string_equal(t[2].key + strlen(t[0].key), "#3");
	assert_memory_equal(t[1].key, t[0].key, strlen(t[0].key));
	remove_these(&r, &t[0].num, 1);
	holds(&r, "INBOX", FROM2 "Subject: a\n\nx\n\n" FROM "X-UID: 9\nSubject: a\n\nx\n\n");
	assert_int_equal(all(&r, "INBOX", t, 3), 2);
	rig_stop(&r);
}

/* What others did since it was read counts, under the lock. */
static void changed_meanwhile(void **state)
{
	struct told t[3];
	struct rig r;

	(void)state;
	rig_start(&r, MBOX_RD);
	put(&r, "INBOX", FROM "Subject: a\n\nx\n\n" FROM2 "Subject: b\nStatus:    \n\ny\n\n");
	assert_int_equal(all(&r, "INBOX", t, 3), 2);
	put(&r, "INBOX", FROM "Subject: new\n\nmail\n\n" FROM2 "Subject: b\nStatus:    \n\ny\n\n" FROM2 "Subject: a\n\nx\n\n" FROM2 "Subject: more\n\nmail\n\n");
	flag(&r, t[1].num, FLAG_SEEN, 0);
	holds(&r, "INBOX", FROM "Subject: new\n\nmail\n\n" FROM2 "Subject: b\nStatus: R  \n\ny\n\n" FROM2 "Subject: a\n\nx\n\n" FROM2 "Subject: more\n\nmail\n\n");
	remove_these(&r, &t[0].num, 1);
	holds(&r, "INBOX", FROM "Subject: new\n\nmail\n\n" FROM2 "Subject: b\nStatus: R  \n\ny\n\n" FROM2 "Subject: more\n\nmail\n\n");
	rig_stop(&r);
}

/* A body that is not what it was is no body. */
static void changed_while_read(void **state)
{
	struct strbuf text = STRBUF_INIT(BOX_BYTES);
	struct stream *body;
	struct store_msg m;
	char buf[1000];
	struct rig r;
	size_t i;
	ssize_t n;
	int fd;

	(void)state;
	rig_start(&r, MBOX_RD);
	strbuf_puts(&text, FROM "Subject: a\n\n");
	for (i = 0; i < 20000; i++)
		strbuf_puts(&text, "a line of it\n");
	put(&r, "INBOX", text.s);
	open_box(&r, "INBOX");
	must(&r, r.s->ops->list_start(r.s, &r.e));
	assert_int_equal(r.s->ops->list_next(r.s, &m, &r.e), 1);
	must(&r, r.s->ops->want(r.s, &m.num, 1, &r.e));
	assert_int_equal(r.s->ops->next(r.s, &i, &body, &r.e), 1);
	assert_int_equal(stream_read(body, buf, sizeof(buf), &r.e), sizeof(buf));
	fd = open(path_in(r.root, "INBOX"), O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "B", 1, 200000), 1);
	close(fd);
	while ((n = stream_read(body, buf, sizeof(buf), &r.e)) > 0)
		;
	assert_int_equal(n, -1);
	assert_int_equal(r.e.span, SPAN_MSG);
	stream_free(body);
	strbuf_release(&text);
	rig_stop(&r);
}

static int name_it(void *arg, const struct folder_info *f, struct err *e)
{
	struct strbuf *out = arg;

	(void)e;
	strbuf_printf(out, "%s\n", f->name);
	return 0;
}

static void folders_are(struct rig *r, const char *want)
{
	struct strbuf got = STRBUF_INIT(65536);

	must(r, r->s->ops->folders(r->s, name_it, &got, &r->e));
	assert_string_equal(strbuf_str(&got), want);
	strbuf_release(&got);
}

/* As people and other programs have laid them out. */
static void layouts(void **state)
{
	struct told t[2];
	struct rig r;

	(void)state;
	rig_start(&r, MBOX_RD);
	put(&r, "inbox", FROM "Subject: a\n\nx\n\n");
	put(&r, "Work", "");
	put(&r, "Work.msf", "junk");
	put(&r, "popstate.dat", "junk");
	put(&r, "Work.lock.123-abc", "123:host");
	put(&r, ".hidden", "junk");
	put(&r, ".mailhaul-1f", FROM "Subject: old\n\n");
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(mkdir(path_in(r.root, ((const char *[]){ "Work.sbd", "Lists", "Lists/deep.sbd", "Maildir", "inbox.sbd" })[i]), 0700), 0);
	assert_int_equal(mkdir(path_in(r.root, "Maildir/cur"), 0700) | mkdir(path_in(r.root, "Maildir/new"), 0700), 0);
	put(&r, "Maildir/cur/1", "From: x\n\n");
	put(&r, "Work.sbd/2026", "");
	put(&r, "Lists/a", "");
	put(&r, "Lists/deep", "");
	put(&r, "Lists/deep.sbd/er", "");
	put(&r, "inbox.sbd/sub", "");
	put(&r, "100%", "");
	put(&r, "x%2Elock", "");
	assert_int_equal(symlink("Lists", path_in(r.root, "Link")), 0);
	assert_int_equal(symlink(".", path_in(r.root, "Lists/circle")), 0);
	folders_are(&r, "100%\nINBOX\nINBOX/sub\nLink/a\nLink/deep\nLink/deep/er\nLists/a\nLists/deep\nLists/deep/er\nWork\nWork/2026\nx.lock\n");
	assert_int_equal(all(&r, "INBOX", t, 2), 1);
	/* made where there is a place for it */
	must(&r, r.s->ops->folder_create(r.s, "Lists", 0, &r.e));
	must(&r, r.s->ops->folder_create(r.s, "Work/2026/May", 0, &r.e));
	must(&r, r.s->ops->folder_create(r.s, "a.lock/b.msf", 0, &r.e));
	must(&r, r.s->ops->folder_create(r.s, "../../etc/x", 0, &r.e));
	holds(&r, "Lists", "");
	holds(&r, "Lists.sbd/deep.sbd/er", "");
	holds(&r, "Work.sbd/2026.sbd/May", "");
	holds(&r, "a%2Elock/b%2Emsf", "");
	holds(&r, "%2E./%2E./etc/x", "");
	assert_int_equal(unlink(path_in(r.root, "Link")), 0);
	folders_are(&r, "../../etc/x\n100%\nINBOX\nINBOX/sub\nLists\nLists/a\nLists/deep\nLists/deep/er\nWork\nWork/2026\nWork/2026/May\na.lock/b.msf\nx.lock\n");
	rig_stop(&r);
}

/* One file is the inbox. */
static void single_file(void **state)
{
	struct rig r;
	struct told t[2];
	struct store *s;

	(void)state;
	rig_start(&r, MBOX_RD);
	put(&r, "one", FROM "Subject: a\n\nx\n\n");
	s = mbox_new(&(struct mbox_params){ .path = path_in(r.root, "one") }, &r.e);
	assert_non_null(s);
	store_free(r.s);
	r.s = s;
	folders_are(&r, "INBOX\n");
	assert_int_equal(all(&r, "INBOX", t, 2), 1);
	must(&r, s->ops->folder_create(s, "INBOX", 0, &r.e));
	assert_int_equal(s->ops->folder_create(s, "Work", 0, &r.e), -1);
	assert_int_equal(r.e.kind, ERR_REFUSED);
	assert_int_equal(r.e.span, SPAN_BOX);
	rig_stop(&r);
}

/* A file that is no mbox is refused, and stays what it is. */
static void no_mbox(void **state)
{
	struct look l = { .folder = "notes", .stamp = "" };
	struct box_info info;
	struct rig r;
	size_t i;

	(void)state;
	rig_start(&r, MBOX_RD);
	put(&r, "notes", "buy milk\n\n" FROM "Subject: a\n\n");
	must(&r, r.s->ops->look(r.s, &l, 1, BOX_READ, &r.e));
	assert_int_equal(r.s->ops->look_box(r.s, &i, &info, &r.e), -1);
	assert_int_equal(r.e.span, SPAN_BOX);
	assert_non_null(strstr(r.e.text, "no mbox"));
	assert_int_equal(r.s->ops->open_box(r.s, "notes", BOX_WRITE, &info, &r.e), -1);
	assert_int_equal(r.s->ops->folder_remove(r.s, "notes", 99, &r.e), -1);
	holds(&r, "notes", "buy milk\n\n" FROM "Subject: a\n\n");
	rig_stop(&r);
}

/* A link's target is written anew, with its mode, and stays what the link leads to; while it is locked nothing is done. */
static void links_modes_and_locks(void **state)
{
	struct flag_change c;
	struct told t[1];
	struct stat st;
	size_t said = 0;
	struct rig r;

	(void)state;
	rig_start(&r, MBOX_RD);
	file_write(path_in(r.dir, "real"), FROM "Subject: a\n\nx\n", strlen(FROM "Subject: a\n\nx\n"));
	assert_int_equal(chmod(path_in(r.dir, "real"), 0640), 0);
	assert_int_equal(symlink("../real", path_in(r.root, "Box")), 0);
	assert_int_equal(all(&r, "Box", t, 1), 1);
	c = (struct flag_change){ t[0].num, FLAG_SEEN, 0 };
	file_write(path_in(r.dir, "real.lock"), "", 0);
	assert_int_equal(r.s->ops->set_flags(r.s, &c, 1, note, &said, &r.e), -1);
	assert_int_equal(r.e.kind, ERR_TEMP);
	assert_int_equal(said, 0);
	holds(&r, "Box", FROM "Subject: a\n\nx\n");
	assert_int_equal(unlink(path_in(r.dir, "real.lock")), 0);
	flag(&r, t[0].num, FLAG_SEEN, 0);
	assert_int_equal(lstat(path_in(r.root, "Box"), &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(stat(path_in(r.dir, "real"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	holds(&r, "Box", FROM "Status: R \nX-Status:     \nX-Keywords: " PAD "\nSubject: a\n\nx\n");
	assert_int_equal(dir_count(r.root), 1);
	rig_stop(&r);
}

/* What was left by a run that died while it wrote a file anew is taken away by the next that does. */
static void leftovers(void **state)
{
	char name[64];
	struct told t[1];
	struct rig r;

	(void)state;
	rig_start(&r, MBOX_RD);
	put(&r, "INBOX", FROM "Subject: a\n\nx\n");
	snprintf(name, sizeof(name), ".mailhaul-%llx", (unsigned long long)inode(&r, "INBOX"));
	put(&r, name, FROM "Subject: half of");
	assert_int_equal(all(&r, "INBOX", t, 1), 1);
	flag(&r, t[0].num, FLAG_SEEN, 0);
	assert_int_equal(dir_count(r.root), 1);
	rig_stop(&r);
}

/* Larger than 2 GB, most of it a hole in the first message. */
static void large_file(void **state)
{
	static const char head[] = FROM "Subject: huge\n\n", tail[] = "\n\n" FROM2 "Subject: b\nStatus:   \n\ny\n";
	const off_t at = ((off_t)1 << 31) + 4096;
	struct store_msg m;
	char buf[sizeof(tail)];
	const char *preload = getenv("LD_PRELOAD");
	struct rig r;
	int fd;

	(void)state;
	if (preload && strstr(preload, "vgpreload"))
		skip(); /* two gigabytes take valgrind minutes */
	rig_start(&r, MBOX_RD);
	put(&r, "INBOX", head);
	fd = open(path_in(r.root, "INBOX"), O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, tail, sizeof(tail) - 1, at), sizeof(tail) - 1);
	open_box(&r, "INBOX");
	must(&r, r.s->ops->list_start(r.s, &r.e));
	assert_int_equal(r.s->ops->list_next(r.s, &m, &r.e), 1);
	assert_true(m.size > (uint64_t)1 << 31);
	assert_int_equal(r.s->ops->list_next(r.s, &m, &r.e), 1);
	assert_int_equal(m.size, strlen("Subject: b\n\ny\n"));
	assert_int_equal(r.s->ops->list_next(r.s, &m, &r.e), 0);
	flag(&r, m.num, FLAG_SEEN, 0);
	assert_int_equal(pread(fd, buf, sizeof(buf), at), sizeof(tail) - 1);
	assert_memory_equal(buf, "\n\n" FROM2 "Subject: b\nStatus: R \n\ny\n", sizeof(tail) - 1);
	close(fd);
	rig_stop(&r);
}

static void stage(struct rig *r, const char *text, uint64_t flags, struct staged *st)
{
	const struct store_meta meta = { .received = DATE + 99, .flags = flags, .date = DATE };
	struct stream *body = memstream_new(text, strlen(text), 65536, NULL);

	must(r, r->s->ops->stage(r->s, body, &meta, st, &r->e));
	stream_free(body);
}

/* What is delivered has its flags, and its own notes not; the file before it stays, whatever its line ends. */
static void deliveries(void **state)
{
	struct staged st[3];
	struct told t[4];
	struct rig r;
	uint64_t junk;

	(void)state;
	rig_start(&r, MBOX_RD);
	put(&r, "INBOX", "From a@b Tue Nov 14 22:13:20 2023\r\nSubject: a\r\nX-IMAPbase: 1 2 JUNK\r\n\r\nx\r\n\r\n");
	assert_int_equal(all(&r, "INBOX", t, 4), 1);
	must(&r, keywords_intern(&r.words, slice_str("Junk"), &junk, &r.e));
	stage(&r, "Return-Path: <c@d>\r\nStatus: RO\r\nX-UID: 7\r\nLines: 3\r\n\r\nhello\r\n", FLAG_FLAGGED | junk, &st[0]);
	stage(&r, "no header\r\n", FLAG_SEEN, &st[1]);
	stage(&r, "Subject: a\r\n\r\nx\r\n", 0, &st[2]);
	must(&r, r.s->ops->harden(r.s, st, 3, &r.e));
	must(&r, r.s->ops->publish(r.s, st, 3, &r.e));
	holds(&r, "INBOX", "From a@b Tue Nov 14 22:13:20 2023\r\nSubject: a\r\nX-IMAPbase: 1 2 JUNK\r\n\r\nx\r\n\r\n"
	      "From c@d Tue Nov 14 22:13:20 2023\nStatus:   \nX-Status: F   \nX-Keywords: Junk" PAD "\nReturn-Path: <c@d>\nLines: 3\n\nhello\n\n"
	      "From MAILER-DAEMON Tue Nov 14 22:13:20 2023\nStatus: R \nX-Status:     \nX-Keywords: " PAD "\n\nno header\n\n"
	      "From MAILER-DAEMON Tue Nov 14 22:13:20 2023\nStatus:   \nX-Status:     \nX-Keywords: " PAD "\nSubject: a\n\nx\n\n");
	assert_string_equal(st[2].key + 64, "#2");
	r.s->ops->close_box(r.s);
	assert_int_equal(all(&r, "INBOX", t, 4), 4);
	assert_string_equal(t[1].text, "Return-Path: <c@d>\n\nhello\n");
	assert_int_equal(t[1].flags, FLAG_FLAGGED | junk);
	assert_int_equal(t[1].date, DATE);
	assert_string_equal(t[2].text, "no header\n");
	for (size_t i = 0; i < 3; i++)
		assert_string_equal(t[i + 1].key, st[i].key);
	rig_stop(&r);
}

/* Dovecot takes away keywords that its list does not name: they are named before they are used, and where there is no list yet, one is begun. */
static void keywords_are_named(void **state)
{
	struct staged st;
	struct told t[2];
	struct rig r;
	uint64_t junk, funk;

	(void)state;
	rig_start(&r, MBOX_RD);
	clock_test_set(DATE);
	put(&r, "INBOX", FROM "X-IMAP: 7 0000000008 Junk \nSubject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\n\nx\n\n" FROM2 "Subject: b\nX-Keywords:          \n\ny\n");
	assert_int_equal(all(&r, "INBOX", t, 2), 1);
	must(&r, keywords_intern(&r.words, slice_str("Junk"), &junk, &r.e));
	must(&r, keywords_intern(&r.words, slice_str("Funk"), &funk, &r.e));
	flag(&r, t[0].num, junk | funk, 0);
	holds(&r, "INBOX", FROM "X-IMAP: 7 0000000008 Junk Funk\nSubject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\n\nx\n\n" FROM2 "Subject: b\nX-Keywords: Junk Funk\n\ny\n");
	put(&r, "Old", FROM2 "Subject: b\n\ny\n\n");
	put(&r, "New", "");
	for (int i = 0; i < 2; i++) {
		open_box(&r, i ? "New" : "Old");
		stage(&r, "Subject: c\r\n\r\nz\r\n", funk | FLAG_FORWARDED, &st);
		must(&r, r.s->ops->harden(r.s, &st, 1, &r.e));
		must(&r, r.s->ops->publish(r.s, &st, 1, &r.e));
		r.s->ops->close_box(r.s);
	}
	holds(&r, "Old", FROM2 "X-IMAPbase: 1700000000 0000000000 $Forwarded Funk\nSubject: b\n\ny\n\n"
	      "From MAILER-DAEMON Tue Nov 14 22:13:20 2023\nStatus:   \nX-Status:     \nX-Keywords: $Forwarded Funk" PAD "\nSubject: c\n\nz\n\n");
	holds(&r, "New", "From MAILER-DAEMON Tue Nov 14 22:13:20 2023\nX-IMAPbase: 1700000000 0000000000 $Forwarded Funk\n"
	      "Status:   \nX-Status:     \nX-Keywords: $Forwarded Funk" PAD "\nSubject: c\n\nz\n\n");
	rig_stop(&r);
}

/* After a crash a message that never came is not taken for its twin, and one that did is found, though somebody has written the file anew since. */
static void recovers_twins(void **state)
{
	for (int came = 0; came < 2; came++) {
		struct recovery rec = { .found = false };
		struct staged st;
		struct told t[2];
		struct rig r;

		(void)state;
		rig_start(&r, MBOX_RD);
		put(&r, "INBOX", "From MAILER-DAEMON Tue Nov 14 22:13:20 2023\nSubject: a\n\nx\n\n");
		open_box(&r, "INBOX");
		stage(&r, "Subject: a\r\n\r\nx\r\n", 0, &st);
		must(&r, r.s->ops->harden(r.s, &st, 1, &r.e));
		assert_string_equal(st.key + 64, "#2");
		if (came)
			must(&r, r.s->ops->publish(r.s, &st, 1, &r.e));
		r.s->ops->close_box(r.s);
		assert_int_equal(all(&r, "INBOX", t, 2), came ? 2 : 1);
		flag(&r, t[0].num, FLAG_SEEN, 0); /* anew */
		open_box(&r, "INBOX");
		rec.key = st.key;
		rec.hint = st.hint;
		rec.digest = st.digest;
		must(&r, r.s->ops->recover(r.s, &rec, 1, &r.e));
		assert_int_equal(rec.found, came);
		rig_stop(&r);
	}
}

/* Removing, renaming: what is below stays somewhere, and what is empty goes. */
static void tidies(void **state)
{
	struct rig r;

	(void)state;
	rig_start(&r, MBOX_RD);
	put(&r, "INBOX", "");
	must(&r, r.s->ops->folder_create(r.s, "a/b/c", 0, &r.e));
	must(&r, r.s->ops->folder_create(r.s, "a/b", 0, &r.e));
	put(&r, "a/b.msf", "index");
	must(&r, r.s->ops->folder_rename(r.s, "a/b", "x/y", &r.e));
	folders_are(&r, "INBOX\nx/y\nx/y/c\n");
	must(&r, r.s->ops->folder_rename(r.s, "x/y", "x", &r.e));
	folders_are(&r, "INBOX\nx\nx/y/c\n");
	must(&r, r.s->ops->folder_remove(r.s, "x", 0, &r.e));
	folders_are(&r, "INBOX\nx/y/c\n");
	must(&r, r.s->ops->folder_remove(r.s, "x/y/c", 0, &r.e));
	must(&r, r.s->ops->folder_remove(r.s, "x/y/c", 0, &r.e));
	folders_are(&r, "INBOX\n");
	rig_stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dialects), cmocka_unit_test(dates), cmocka_unit_test(flags_in_place), cmocka_unit_test(flags_anew), cmocka_unit_test(flags_without_a_header), cmocka_unit_test(removals), cmocka_unit_test(twins),
		cmocka_unit_test(changed_meanwhile), cmocka_unit_test(changed_while_read), cmocka_unit_test(layouts), cmocka_unit_test(single_file), cmocka_unit_test(no_mbox),
		cmocka_unit_test(links_modes_and_locks), cmocka_unit_test(leftovers), cmocka_unit_test(large_file), cmocka_unit_test(deliveries), cmocka_unit_test(keywords_are_named), cmocka_unit_test(recovers_twins),
		cmocka_unit_test(tidies),
	};

	return cmocka_run_group_tests_name("store/mbox tree", tests, NULL, NULL);
}
