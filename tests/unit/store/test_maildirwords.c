/* Keywords in a Maildir: letters, and the file dovecot-keywords that says what they mean; others who write it, and what may stand in its place. */
#include "../../lib/unit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "box.h"
#include "mail/flags.h"
#include "store/maildir.h"

struct rig {
	char *dir;
	struct store *s;
	struct keywords keywords, others;
	struct keyword_view view, there;
	struct box_info info;
	struct err e;
	char warned[512];
};

static void to_rig(void *arg, enum log_level level, const char *context, const char *text)
{
	struct rig *r = arg;

	(void)context;
	if (level == LOG_WARN)
		snprintf(r->warned, sizeof(r->warned), "%s", text);
}

static const char *at(struct rig *r, const char *name)
{
	return path_in(path_in(r->dir, "tree"), name);
}

static void put(struct rig *r, const char *name, const char *text)
{
	file_write(at(r, name), text, strlen(text));
}

static bool there(struct rig *r, const char *name)
{
	return access(at(r, name), F_OK) == 0;
}

/* "Box", with three messages, and "To". */
static void start(struct rig *r, const char *words)
{
	static const char *const dirs[] = { "", "Box", "Box/cur", "Box/new", "Box/tmp", "To", "To/cur", "To/new", "To/tmp" };
	struct maildir_params p = { .layout = MAILDIR_NESTED };

	*r = (struct rig){ .dir = scratch_make() };
	for (size_t i = 0; i < COUNT(dirs); i++)
		assert_int_equal(mkdir(at(r, dirs[i]), 0700), 0);
	put(r, "Box/new/1.a", "a\n");
	put(r, "Box/cur/2.b:2,Sa", "b\n");
	put(r, "Box/cur/3.c:2,FSbz", "c\n");
	if (words)
		put(r, "Box/dovecot-keywords", words);
	p.path = at(r, "");
	r->s = maildir_new(&p, &r->e);
	assert_non_null(r->s);
	r->view.table = &r->keywords;
	r->there.table = &r->others;
	r->s->keywords = &r->view;
	log_set_sink(to_rig, r);
}

static void stop(struct rig *r)
{
	log_set_sink(NULL, NULL);
	store_free(r->s);
	keywords_release(&r->keywords);
	keywords_release(&r->others);
	scratch_remove(r->dir);
}

static uint64_t flag(struct keywords *k, const char *name)
{
	uint64_t flag;

	assert_int_equal(keywords_intern(k, slice_str(name), &flag, NULL), 0);
	return flag;
}

/* "2.b S Junk $x|3.c ..." in the order of keys */
static const char *look(struct rig *r, const char *folder)
{
	const struct look l = { .folder = folder, .stamp = "", .keywords = &r->view };
	static char text[2000];
	char rows[8][500];
	struct store_msg m;
	size_t i, n = 0, len = 0;

	assert_int_equal(r->s->ops->look(r->s, &l, 1, BOX_WRITE, &r->e), 0);
	if (r->s->ops->look_box(r->s, &i, &r->info, &r->e) < 0)
		fail_msg("%s", r->e.text);
	while (r->s->ops->look_next(r->s, &m, &r->e) == 1) {
		char letters[8];
		int k;

		flags_to_letters(m.flags, letters);
		k = snprintf(rows[n], sizeof(rows[n]), "%.*s %s", (int)m.key.n, m.key.p, letters);
		for (size_t w = 0; w < r->keywords.n; w++)
			if (m.flags & keyword_flag(w))
				k += snprintf(rows[n] + k, sizeof(rows[n]) - (size_t)k, " %s", r->keywords.name[w]);
		n++;
	}
	qsort(rows, n, sizeof(rows[0]), (int (*)(const void *, const void *))strcmp);
	text[0] = '\0';
	for (size_t w = 0; w < n; w++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s|", rows[w]);
	return text;
}

static void open_box(struct rig *r)
{
	if (r->s->ops->open_box(r->s, "Box", BOX_WRITE, &r->info, &r->e) < 0)
		fail_msg("%s", r->e.text);
}

static void told(void *arg, uint64_t num, const struct err *why)
{
	(void)num;
	if (why)
		fail_msg("%s", why->text);
	++*(unsigned *)arg;
}

/* Change the flags of one. */
static int change(struct rig *r, const char *key, uint64_t seen, uint64_t add, uint64_t del)
{
	struct flag_change c = { .add = add, .del = del };
	unsigned n = 0;
	struct store_msg m;
	int rc;

	assert_int_equal(r->s->ops->find(r->s, slice_str(key), seen, &m, &r->e), 1);
	c.num = m.num;
	rc = r->s->ops->set_flags(r->s, &c, 1, told, &n, &r->e);
	assert_int_equal(n, rc == 0 ? 1 : 0);
	return rc;
}

static bool says(struct rig *r, const char *name, const char *want)
{
	struct strbuf b = STRBUF_INIT(100000);
	bool same = file_read(at(r, name), &b) && strcmp(strbuf_str(&b), want) == 0;

	if (!same)
		print_error("%s says %s\n", name, strbuf_str(&b));
	strbuf_release(&b);
	return same;
}

static void reads(void **state)
{
	struct rig r;

	(void)state;
	start(&r, "0 Junk\n1 $Label1\n25 \n2 nobody's\n");
	assert_string_equal(look(&r, "Box"), "1.a |2.b S Junk|3.c FS $Label1|");
	assert_true(r.info.can_hold == (FLAGS_ALL | keyword_flag(0) | keyword_flag(1) | keyword_flag(2)));
	assert_true(r.info.can_take == FLAGS_EVERY);
	assert_memory_equal(r.view.letter, "abc", 4);
	/* who wants no keywords gets none */
	r.s->keywords = NULL;
	open_box(&r);
	assert_true(r.info.can_hold == FLAGS_ALL && r.info.can_take == FLAGS_ALL);
	stop(&r);
	/* in an order of our own, in any case, and $Forwarded as Dovecot spells it */
	start(&r, "0 JUNK\r\n1 $forwarded\n");
	flag(&r.keywords, "other");
	put(&r, "Box/dovecot-keywords", "25 junk\n0 OTHER\n1 $forwarded\n");
	assert_string_equal(look(&r, "Box"), "1.a |2.b S other|3.c FPS junk|");
	stop(&r);
	start(&r, NULL);
	assert_string_equal(look(&r, "Box"), "1.a |2.b S|3.c FS|");
	assert_true(r.info.can_hold == FLAGS_ALL && r.info.can_take == FLAGS_EVERY);
	assert_string_equal(r.warned, "");
	stop(&r);
}

/* Lines that make no sense are passed over, and what is no file is left alone, with all letters. */
static void odd_files(void **state)
{
	static const char *const nonsense = "x\n-1 a\n26 b\n999999999999999999999 c\n 3 d\n1  lead\n0 bad(name\n\n\n2 \\Seen\n1 good";
	struct rig r;

	(void)state;
	start(&r, nonsense);
	assert_string_equal(look(&r, "Box"), "1.a |2.b S|3.c FS good|");
	assert_int_equal(r.keywords.n, 1);
	open_box(&r);
	assert_int_equal(change(&r, "1.a", 0, flag(&r.keywords, "new"), 0), 0);
	/* neither the letters of what we can't use, nor z, which a name holds */
	assert_true(says(&r, "Box/dovecot-keywords", "x\n-1 a\n26 b\n999999999999999999999 c\n 3 d\n1  lead\n0 bad(name\n\n\n2 \\Seen\n1 good\n3 new\n"));
	assert_true(there(&r, "Box/cur/1.a:2,d"));
	stop(&r);
	for (int i = 0; i < 4; i++) {
		start(&r, NULL);
		put(&r, "target", "0 Junk\n");
		if (i == 0)
			assert_int_equal(symlink("../target", at(&r, "Box/dovecot-keywords")), 0);
		else if (i == 1)
			assert_int_equal(mkdir(at(&r, "Box/dovecot-keywords"), 0700), 0);
		else if (i == 2)
			assert_int_equal(mkfifo(at(&r, "Box/dovecot-keywords"), 0600), 0);
		else {
			char *big = malloc(70000);

			memset(big, 'x', 69999);
			big[69999] = '\0';
			put(&r, "Box/dovecot-keywords", big);
			free(big);
		}
		assert_string_equal(look(&r, "Box"), "1.a |2.b S|3.c FS|");
		assert_non_null(strstr(r.warned, "dovecot-keywords"));
		assert_true(r.info.can_hold == FLAGS_ALL && r.info.can_take == FLAGS_ALL);
		open_box(&r);
		assert_int_equal(change(&r, "1.a", 0, FLAG_SEEN | flag(&r.keywords, "new"), 0), 0);
		assert_true(there(&r, "Box/cur/1.a:2,S"));
		assert_true(r.view.refused == flag(&r.keywords, "new"));
		assert_true(says(&r, "target", "0 Junk\n"));
		stop(&r);
	}
}

static void writes(void **state)
{
	uint64_t junk, x, y;
	struct stat st;
	struct rig r;

	(void)state;
	start(&r, "0 Junk\n");
	assert_int_equal(chmod(at(&r, "Box/dovecot-keywords"), 0640), 0);
	assert_int_equal(stat(at(&r, "Box/dovecot-keywords"), &st), 0);
	put(&r, "Box/dovecot-keywords.lock", "left behind");
	junk = flag(&r.keywords, "Junk");
	x = flag(&r.keywords, "$x");
	y = flag(&r.keywords, "yy");
	open_box(&r);
	assert_true(r.info.can_hold == (FLAGS_ALL | junk));
	/* a new one gets the first letter that is neither named nor used; others' stay */
	assert_int_equal(change(&r, "3.c", FLAG_SEEN | FLAG_FLAGGED, junk | x, FLAG_FLAGGED), 0);
	assert_true(says(&r, "Box/dovecot-keywords", "0 Junk\n2 $x\n"));
	assert_true(there(&r, "Box/cur/3.c:2,Sabcz"));
	assert_memory_equal(r.view.letter, "ac", 3);
	{
		struct stat now;

		assert_int_equal(stat(at(&r, "Box/dovecot-keywords"), &now), 0);
		assert_int_equal(now.st_mode & 0777, 0640);
		assert_true(now.st_mtime > st.st_mtime); /* Dovecot looks at the second */
	}
	assert_false(there(&r, "Box/dovecot-keywords.lock") || there(&r, "Box/dovecot-uidlist.lock"));
	/* another program is faster: what it says is kept, and its letter taken */
	put(&r, "Box/dovecot-keywords", "0 Junk\n2 $x\n3 theirs\n4 YY\n");
	assert_int_equal(change(&r, "1.a", 0, y, 0), 0);
	assert_true(there(&r, "Box/cur/1.a:2,e"));
	assert_true(says(&r, "Box/dovecot-keywords", "0 Junk\n2 $x\n3 theirs\n4 YY\n"));
	assert_int_equal(change(&r, "1.a", y, 0, y), 0);
	assert_true(there(&r, "Box/cur/1.a:2,"));
	/* all letters that mean it are taken off, one is put */
	put(&r, "Box/dovecot-keywords", "0 Junk\n1 JUNK\n2 $x\n");
	open_box(&r);
	assert_int_equal(change(&r, "3.c", 0, 0, junk), 0);
	assert_true(there(&r, "Box/cur/3.c:2,Scz"));
	assert_int_equal(change(&r, "3.c", 0, junk, 0), 0);
	assert_true(there(&r, "Box/cur/3.c:2,Sacz"));
	assert_int_equal(r.view.refused, 0);
	stop(&r);
	/* the first of all; readable for whom the folder is */
	start(&r, NULL);
	assert_int_equal(chmod(at(&r, "Box"), 0770), 0);
	open_box(&r);
	assert_int_equal(change(&r, "1.a", 0, flag(&r.keywords, "Junk"), 0), 0);
	assert_true(says(&r, "Box/dovecot-keywords", "2 Junk\n"));
	assert_int_equal(stat(at(&r, "Box/dovecot-keywords"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	/* set already: nothing to do, and the file stays */
	assert_int_equal(change(&r, "1.a", flag(&r.keywords, "Junk"), flag(&r.keywords, "Junk"), 0), 0);
	assert_true(there(&r, "Box/cur/1.a:2,c"));
	stop(&r);
}

/* $Forwarded is P, and Dovecot's letter, too, where it has one. */
static void forwarded(void **state)
{
	struct rig r;

	(void)state;
	start(&r, "0 $Forwarded\n");
	assert_string_equal(look(&r, "Box"), "1.a |2.b PS|3.c FS|");
	open_box(&r);
	assert_int_equal(change(&r, "1.a", 0, FLAG_FORWARDED, 0), 0);
	assert_true(there(&r, "Box/cur/1.a:2,Pa"));
	assert_int_equal(change(&r, "2.b", 0, FLAG_FORWARDED, 0), 0); /* as it is */
	assert_true(there(&r, "Box/cur/2.b:2,Sa"));
	assert_int_equal(change(&r, "2.b", 0, 0, FLAG_FORWARDED), 0);
	assert_int_equal(change(&r, "1.a", 0, 0, FLAG_FORWARDED), 0);
	assert_true(there(&r, "Box/cur/2.b:2,S") && there(&r, "Box/cur/1.a:2,"));
	stop(&r);
}

/* There are 26 letters; what comes behind is refused, until one is free again. */
static void too_many(void **state)
{
	struct strbuf b = STRBUF_INIT(4096);
	uint64_t all = 0, last = 0, beyond;
	struct rig r;
	char name[16];

	(void)state;
	start(&r, NULL);
	for (unsigned i = 0; i < 26; i++) {
		if (i == 1 || i == 25) /* in use, and nobody knows what for */
			continue;
		snprintf(name, sizeof(name), "k%u", i);
		all |= last = flag(&r.keywords, name);
		strbuf_printf(&b, "%u %s\n", i, name);
	}
	beyond = flag(&r.keywords, "beyond");
	assert_string_equal(look(&r, "Box"), "1.a |2.b S|3.c FS|"); /* 'a' is in use as well: no room for all */
	open_box(&r);
	assert_true(r.info.can_take == FLAGS_EVERY);
	assert_int_equal(change(&r, "1.a", 0, all | beyond, 0), 0);
	assert_true(there(&r, "Box/cur/1.a:2,cdefghijklmnopqrstuvwxy"));
	assert_true(r.view.refused == (last | beyond));
	open_box(&r);
	assert_true(r.info.can_take == (FLAGS_EVERY & ~(last | beyond)));
	assert_true(r.info.can_hold == (FLAGS_ALL | (all & ~last)));
	/* a look sees all names, and so whether there is room */
	look(&r, "Box");
	assert_true(r.view.refused == (last | beyond));
	assert_int_equal(unlink(at(&r, "Box/cur/1.a:2,cdefghijklmnopqrstuvwxy")), 0);
	put(&r, "Box/dovecot-keywords", "2 k0\n");
	look(&r, "Box");
	assert_int_equal(r.view.refused, 0);
	assert_true(r.info.can_take == FLAGS_EVERY);
	stop(&r);
	strbuf_release(&b);
}

/* A delivery has its letters from the first moment; they are on disk before it is. */
static void deliveries(void **state)
{
	struct rig r;
	struct store_meta meta = { .received = 1 };
	struct staged st;
	struct stream *body;
	char path[600];

	(void)state;
	start(&r, "0 Junk\n");
	meta.flags = FLAG_SEEN | flag(&r.keywords, "$x") | flag(&r.keywords, "junk");
	open_box(&r);
	body = memstream_new("x\r\n", 3, 100, NULL);
	assert_int_equal(r.s->ops->stage(r.s, body, &meta, &st, &r.e), 0);
	stream_free(body);
	assert_true(says(&r, "Box/dovecot-keywords", "0 Junk\n"));
	assert_int_equal(r.s->ops->harden(r.s, &st, 1, &r.e), 0);
	assert_true(says(&r, "Box/dovecot-keywords", "0 Junk\n2 $x\n"));
	assert_int_equal(r.s->ops->publish(r.s, &st, 1, &r.e), 0);
	snprintf(path, sizeof(path), "Box/cur/%s:2,Sac", st.key);
	assert_true(there(&r, path));
	/* a keyword alone makes it one of cur/ */
	meta.flags = flag(&r.keywords, "junk");
	body = memstream_new("y\r\n", 3, 100, NULL);
	assert_int_equal(r.s->ops->stage(r.s, body, &meta, &st, &r.e), 0);
	stream_free(body);
	assert_int_equal(r.s->ops->harden(r.s, &st, 1, &r.e), 0);
	assert_int_equal(r.s->ops->publish(r.s, &st, 1, &r.e), 0);
	snprintf(path, sizeof(path), "Box/cur/%s:2,a", st.key);
	assert_true(there(&r, path));
	stop(&r);
}

static void moved(void *arg, uint64_t num, struct slice key, const struct err *why)
{
	(void)arg;
	(void)num;
	(void)key;
	if (why)
		fail_msg("%s", why->text);
}

/* Letters mean something else in another folder: names are what counts. */
static void moves(void **state)
{
	static const char *const keys[] = { "2.b", "3.c" };
	uint64_t nums[2];
	struct store_msg m;
	struct rig r;

	(void)state;
	start(&r, "0 Junk\n1 $x\n3 never\n");
	put(&r, "To/dovecot-keywords", "0 mine\n25 yours\n4 JUNK\n");
	open_box(&r);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(r.s->ops->find(r.s, slice_str(keys[i]), FLAG_SEEN, &m, &r.e), 1);
		nums[i] = m.num;
	}
	assert_int_equal(r.s->ops->move(r.s, nums, 2, "To", &r.there, moved, NULL, &r.e), 0);
	/* z had no name here, and would get one there; $x gets one */
	assert_true(there(&r, "To/cur/2.b:2,Se"));
	assert_true(there(&r, "To/cur/3.c:2,FSc"));
	assert_true(says(&r, "To/dovecot-keywords", "0 mine\n25 yours\n4 JUNK\n2 $x\n"));
	assert_true(says(&r, "Box/dovecot-keywords", "0 Junk\n1 $x\n3 never\n"));
	assert_true(keywords_find(&r.others, SLICE_LIT("$X")) != 0);
	assert_int_equal(keywords_find(&r.others, SLICE_LIT("never")), 0);
	stop(&r);
	/* to the trash: without those that mean something here */
	start(&r, "0 Junk\n1 $x\n");
	r.s->trash = "To";
	open_box(&r);
	for (size_t i = 0; i < 2; i++) {
		unsigned n = 0;

		assert_int_equal(r.s->ops->find(r.s, slice_str(keys[i]), FLAG_SEEN, &m, &r.e), 1);
		assert_int_equal(r.s->ops->remove(r.s, &m.num, 1, told, &n, &r.e), 0);
	}
	assert_true(there(&r, "To/cur/2.b:2,S") && there(&r, "To/cur/3.c:2,FSz"));
	stop(&r);
}

/* Others hold the lock: it is waited for, and one that was left behind is taken. */
static void locked(void **state)
{
	struct timespec old[2] = { { .tv_sec = 1000000000 }, { .tv_sec = 1000000000 } };
	struct rig r;

	(void)state;
	start(&r, NULL);
	put(&r, "Box/dovecot-uidlist.lock", "");
	assert_int_equal(utimensat(AT_FDCWD, at(&r, "Box/dovecot-uidlist.lock"), old, 0), 0);
	open_box(&r);
	assert_int_equal(change(&r, "1.a", 0, flag(&r.keywords, "Junk"), 0), 0);
	assert_true(there(&r, "Box/cur/1.a:2,c") && !there(&r, "Box/dovecot-uidlist.lock"));
	/* while it is held, the letter of a name that is still to be written makes no lasting stamp */
	put(&r, "Box/dovecot-uidlist.lock", "");
	look(&r, "Box");
	assert_string_equal(r.info.stamp, "");
	stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads),
		cmocka_unit_test(odd_files),
		cmocka_unit_test(writes),
		cmocka_unit_test(forwarded),
		cmocka_unit_test(too_many),
		cmocka_unit_test(deliveries),
		cmocka_unit_test(moves),
		cmocka_unit_test(locked),
	};

	return cmocka_run_group_tests_name("store/maildirwords", tests, NULL, NULL);
}
