/* A maildrop as a tree of one folder: names, looks, headers, removals, and servers that lie or break off. */
#include "../../lib/unit.h"

#include "../../lib/maildrop.h"
#include "base/log.h"
#include "store/pop3store_p.h"

#define DAY(n) (978307200 + ((n) - 1) * 86400 + 43200) /* maildrop_mail's */

struct rig {
	struct maildrop d;
	struct pop3store_params params;
	struct store *s;
	struct box_info info;
	struct err e;
	char told[8192];
};

static void rig_start(struct rig *r)
{
	*r = (struct rig){ 0 };
	maildrop_start(&r->d);
	r->params.pop3 = maildrop_params(&r->d);
	r->s = pop3store_new(&r->params, &r->e);
	assert_non_null(r->s);
}

/* As a process that ends, and another that begins. */
static void anew(struct rig *r)
{
	store_free(r->s);
	r->s = pop3store_new(&r->params, &r->e);
	assert_non_null(r->s);
	maildrop_forget(&r->d);
}

static void rig_stop(struct rig *r)
{
	store_free(r->s);
	maildrop_stop(&r->d);
}

static void must(struct rig *r, int rc)
{
	if (rc < 0)
		fail_msg("%s", r->e.text);
}

static int note_folder(void *arg, const struct folder_info *f, struct err *e)
{
	struct rig *r = arg;

	(void)e;
	snprintf(r->told, sizeof(r->told), "%s %d %d", f->name, (int)f->messages, (int)f->bytes);
	memcpy(r->info.stamp, f->stamp, sizeof(f->stamp));
	return 0;
}

/* Keys that the base knows: separated by blanks. */
static int tell_known(void *arg, const char *folder, int (*each)(void *to, struct slice key, struct err *e), void *to, struct err *e)
{
	struct slice rest = slice_str(arg), key;

	assert_string_equal(folder, "INBOX");
	while ((key = slice_word(&rest)).n > 0)
		if (each(to, key, e) < 0)
			return -1;
	return 0;
}

/* Look, and tell it as "key size date mid|". */
static int look(struct rig *r, struct look l)
{
	struct store_msg m;
	struct box_info none;
	size_t i = 99;
	int rc;

	l.folder = "INBOX";
	if (!l.stamp)
		l.stamp = "";
	r->told[0] = '\0';
	must(r, r->s->ops->look(r->s, &l, 1, BOX_READ, &r->e));
	if (r->s->ops->look_box(r->s, &i, &r->info, &r->e) < 0)
		return -1;
	assert_int_equal(i, 0);
	while ((rc = r->s->ops->look_next(r->s, &m, &r->e)) > 0) {
		size_t n = strlen(r->told);

		assert_int_equal(m.num, 0);
		assert_int_equal(m.flags, 0);
		snprintf(r->told + n, sizeof(r->told) - n, "%.*s %d %d%s|", (int)m.key.n, m.key.p, (int)m.size, (int)m.date, m.has_mid ? " mid" : "");
	}
	must(r, rc);
	assert_int_equal(r->s->ops->look_box(r->s, &i, &none, &r->e), 0);
	return 0;
}

static void open_box(struct rig *r)
{
	must(r, r->s->ops->open_box(r->s, "INBOX", BOX_WRITE, &r->info, &r->e));
}

static uint64_t find(struct rig *r, const char *key)
{
	struct store_msg m;
	int rc = r->s->ops->find(r->s, slice_str(key), 0, &m, &r->e);

	must(r, rc);
	return rc ? m.num : 0;
}

static void note_ident(void *arg, uint64_t num, const struct ident *id)
{
	struct rig *r = arg;
	size_t n = strlen(r->told);

	snprintf(r->told + n, sizeof(r->told) - n, "%d %d %d%s|", (int)num, (int)id->size, (int)id->date, id->has_mid ? " mid" : "");
}

static int idents(struct rig *r, const uint64_t *nums, size_t n)
{
	r->told[0] = '\0';
	return r->s->ops->idents(r->s, nums, n, false, note_ident, r, &r->e);
}

static void expect_idents(struct rig *r, const size_t *at, size_t n)
{
	char want[8192] = "";

	for (size_t i = 0; i < n; i++)
		snprintf(want + strlen(want), sizeof(want) - strlen(want), "%d %d %d mid|", (int)at[i] + 1, (int)strlen(r->d.w->m[at[i]].text), (int)DAY(at[i] + 1));
	assert_string_equal(r->told, want);
}

/* ---- keys by themselves ---- */

static void add(struct pop3keys *k, uint32_t num, const char *uidl)
{
	assert_int_equal(pop3keys_add(k, num, slice_str(uidl), num, NULL), 0);
}

static uint32_t num_of(const struct pop3keys *k, const char *key)
{
	const struct pop3key *x = pop3keys_find(k, slice_str(key));

	return x ? x->num : 0;
}

static void test_keys(void **state)
{
	static const unsigned char one[DIGEST_SIZE] = { 1 }, two[DIGEST_SIZE] = { 2 };
	static const char zeros[] = "000000000000000000000000000000000000000000000000000000000000";
	struct pop3keys k = POP3KEYS_INIT;
	char key[100];

	(void)state;
	for (int round = 0; round < 2; round++) {
		pop3keys_clear(&k);
		add(&k, 9, "b");
		add(&k, 1, "b");
		add(&k, 2, "a");
		add(&k, 3, "");
		add(&k, 4, "");
		add(&k, 5, "b");
		add(&k, 6, "");
		pop3keys_sort(&k);
		assert_int_equal(k.vague, 5);
		pop3keys_head(&k, 9, one);
		pop3keys_head(&k, 5, two);
		pop3keys_head(&k, 4, two);
		pop3keys_head(&k, 3, two);
		pop3keys_head(&k, 2, two); /* has a name */
		pop3keys_head(&k, 77, two);
		assert_int_equal(pop3keys_seal(&k, NULL), 0);
		assert_int_equal(k.vague, 1);
		assert_int_equal(k.by_key.n, 6);
		assert_int_equal(num_of(&k, "a"), 2);
		assert_int_equal(num_of(&k, "b"), 1);
		assert_int_equal(num_of(&k, ""), 0);
		snprintf(key, sizeof(key), "head 01%s00", zeros);
		assert_int_equal(num_of(&k, key), 9);
		snprintf(key, sizeof(key), "head 02%s00", zeros);
		assert_int_equal(num_of(&k, key), 3);
		snprintf(key, sizeof(key), "head 02%s00 2", zeros);
		assert_int_equal(num_of(&k, key), 4);
		snprintf(key, sizeof(key), "head 02%s00 3", zeros);
		assert_int_equal(num_of(&k, key), 5);
		assert_int_equal(pop3keys_num(&k, 9)->size, 9);
		assert_null(pop3keys_num(&k, 8));
		assert_null(pop3keys_num(&k, (uint64_t)9 | (uint64_t)1 << 32));
	}
	pop3keys_release(&k);
	pop3keys_sort(&k);
	assert_int_equal(pop3keys_seal(&k, NULL), 0);
	assert_null(pop3keys_find(&k, slice_str("a")));
}

/* ---- one session ---- */

/* A run with nothing new is one login and one listing; with news, it is the same login. */
static void test_one_session(void **state)
{
	struct rig r;
	struct look l = { .sizes = false };
	char stamp[STORE_STAMP_MAX];
	uint64_t num;
	size_t i;
	struct stream *body;

	(void)state;
	rig_start(&r);
	maildrop_mail(&r.d, 1);
	maildrop_mail(&r.d, 2);
	must(&r, r.s->ops->folders(r.s, note_folder, &r, &r.e));
	assert_true(strncmp(r.told, "INBOX 2 ", 8) == 0 && strlen(r.told) > 9);
	memcpy(stamp, r.info.stamp, sizeof(stamp));
	assert_true(stamp[0] != '\0');
	assert_int_equal(look(&r, l), 0);
	assert_int_equal(r.info.extent, LOOK_ALL);
	assert_string_equal(r.told, "u1 0 0|u2 0 0|");
	assert_string_equal(r.info.stamp, stamp);
	assert_true(r.info.can_hold == 0 && r.info.can_take == 0 && !r.info.read_only && !r.info.reborn && r.info.validity == 0);
	r.s->ops->close_box(r.s);
	open_box(&r);
	num = find(&r, "u2");
	assert_int_equal(num, 2);
	assert_int_equal(find(&r, "u3"), 0);
	must(&r, r.s->ops->want(r.s, &num, 1, &r.e));
	assert_int_equal(r.s->ops->next(r.s, &i, &body, &r.e), 1);
	stream_free(body);
	assert_int_equal(r.s->ops->next(r.s, &i, &body, &r.e), 0);
	r.s->ops->close_box(r.s);
	assert_int_equal(r.s->ops->want(r.s, &num, 1, &r.e), -1);
	assert_int_equal(r.e.kind, ERR_BUG);
	r.s->ops->close_box(r.s);
	assert_int_equal(r.d.w->logins, 1);
	assert_int_equal(r.d.w->uidls, 1);
	assert_int_equal(r.d.w->lists, 1);
	assert_int_equal(r.d.w->tops, 0);

	anew(&r);
	l.stamp = stamp;
	must(&r, r.s->ops->folders(r.s, note_folder, &r, &r.e));
	assert_string_equal(r.info.stamp, stamp);
	assert_int_equal(look(&r, l), 0);
	assert_int_equal(r.info.extent, LOOK_SAME);
	assert_string_equal(r.told, "");
	assert_int_equal(r.d.w->logins, 1);
	assert_int_equal(r.d.w->uidls, 1);
	assert_int_equal(r.d.w->lists, 0);
	l.all = true;
	assert_int_equal(look(&r, l), 0);
	assert_int_equal(r.info.extent, LOOK_ALL);
	assert_string_equal(r.told, "u1 0 0|u2 0 0|");

	anew(&r);
	l.all = false;
	maildrop_mail(&r.d, 3);
	assert_int_equal(look(&r, l), 0);
	assert_int_equal(r.info.extent, LOOK_ALL);
	assert_string_equal(r.told, "u1 0 0|u2 0 0|u3 0 0|");
	rig_stop(&r);
}

/* A session that was long silent is asked whether it stands; one that does not is replaced, and numbers are looked up anew. */
static void test_idle(void **state)
{
	struct rig r;

	(void)state;
	rig_start(&r);
	maildrop_mail(&r.d, 1);
	maildrop_mail(&r.d, 2);
	open_box(&r);
	assert_int_equal(find(&r, "u2"), 2);
	r.s->ops->close_box(r.s);
	pop3store_of(r.s)->used -= 60000;
	open_box(&r);
	assert_int_equal(r.d.w->noops, 1);
	assert_int_equal(r.d.w->logins, 1);
	r.s->ops->close_box(r.s);
	r.d.w->m[0].there = false;
	r.d.w->hang_up_at = r.d.w->commands + 1;
	pop3store_of(r.s)->used -= 60000;
	open_box(&r);
	assert_int_equal(r.d.w->logins, 2);
	assert_int_equal(find(&r, "u2"), 1);
	assert_int_equal(find(&r, "u1"), 0);
	rig_stop(&r);
}

struct done {
	char text[200];
};

static void on_done(void *arg, uint64_t num, const struct err *why)
{
	struct done *d = arg;
	size_t n = strlen(d->text);

	snprintf(d->text + n, sizeof(d->text) - n, "%d%s|", (int)num, why ? " no" : "");
}

/* What is marked is removed by commit, and not by anything else; afterwards the numbers are others. */
static void test_remove(void **state)
{
	struct rig r;
	struct done d = { "" };
	uint64_t num;

	(void)state;
	rig_start(&r);
	for (unsigned i = 1; i <= 3; i++)
		maildrop_mail(&r.d, i);
	open_box(&r);
	num = find(&r, "u1");
	must(&r, r.s->ops->remove(r.s, &num, 1, on_done, &d, &r.e));
	r.s->ops->close_box(r.s);
	open_box(&r);
	assert_int_equal(r.d.w->logins, 2);
	assert_int_equal(find(&r, "u1"), 1);
	assert_int_equal(maildrop_count(&r.d), 3);
	num = find(&r, "u2");
	must(&r, r.s->ops->remove(r.s, &num, 1, on_done, &d, &r.e));
	must(&r, r.s->ops->commit(r.s, &r.e));
	assert_string_equal(d.text, "1|2|");
	assert_int_equal(maildrop_count(&r.d), 2);
	assert_int_equal(r.s->ops->find(r.s, slice_str("u3"), 0, &(struct store_msg){ 0 }, &r.e), -1);
	r.s->ops->close_box(r.s);
	open_box(&r);
	assert_int_equal(find(&r, "u2"), 0);
	assert_int_equal(find(&r, "u3"), 2);
	rig_stop(&r);
}

/* The pause that the server asks for is kept between the sessions of a tree, too. */
static void test_login_delay(void **state)
{
	struct rig r;
	struct done d = { "" };
	uint64_t num = 1;

	(void)state;
	rig_start(&r);
	maildrop_mail(&r.d, 1);
	r.d.w->login_delay = 900;
	open_box(&r);
	r.s->ops->close_box(r.s);
	open_box(&r);
	must(&r, r.s->ops->remove(r.s, &num, 1, on_done, &d, &r.e));
	must(&r, r.s->ops->commit(r.s, &r.e));
	assert_int_equal(r.s->ops->open_box(r.s, "INBOX", BOX_READ, &r.info, &r.e), -1);
	assert_int_equal(r.e.kind, ERR_TEMP);
	assert_true(r.e.retry_after > 890);
	assert_int_equal(r.d.w->logins, 1);
	rig_stop(&r);
}

/* A fetch has a session for each opening, as ever, whatever was done before. */
static void test_fetch_beside(void **state)
{
	struct rig r;
	struct store_msg m;

	(void)state;
	rig_start(&r);
	maildrop_mail(&r.d, 1);
	maildrop_add(&r.d, "u1", "Subject: other\r\n\r\n");
	open_box(&r);
	r.s->ops->close_box(r.s);
	must(&r, r.s->ops->open_box(r.s, "", BOX_READ, &r.info, &r.e));
	assert_int_equal(r.d.w->logins, 2);
	must(&r, r.s->ops->list_start(r.s, &r.e));
	assert_int_equal(r.s->ops->list_next(r.s, &m, &r.e), 1);
	assert_int_equal(m.key.n, 0); /* given twice */
	r.s->ops->close_box(r.s);
	must(&r, r.s->ops->open_box(r.s, "", BOX_READ, &r.info, &r.e));
	assert_int_equal(r.d.w->logins, 3);
	r.s->ops->close_box(r.s);
	open_box(&r);
	must(&r, r.s->ops->list_start(r.s, &r.e));
	assert_int_equal(r.s->ops->list_next(r.s, &m, &r.e), 1);
	assert_true(slice_eqs(m.key, "u1"));
	assert_int_equal(m.num, 1);
	assert_int_equal(m.size, strlen(r.d.w->m[0].text));
	assert_int_equal(r.s->ops->list_next(r.s, &m, &r.e), 1);
	assert_true(slice_starts(m.key, "head "));
	assert_int_equal(r.s->ops->list_next(r.s, &m, &r.e), 0);
	rig_stop(&r);
}

/* ---- names ---- */

/* The keys of a look. */
static void keys_of(const char *told, char key[4][100], size_t *n)
{
	*n = 0;
	for (const char *p = told, *end; (end = strchr(p, '|')); p = end + 1) {
		/* behind it: size and date */
		const char *cut = end;

		for (int blanks = 0; blanks < 2 && cut > p; cut--)
			blanks += cut[-1] == ' ';
		assert_true(*n < 4);
		snprintf(key[(*n)++], 100, "%.*s", (int)(cut - p), p);
	}
}

/* A UIDL that is given twice, or not at all: names by the header, the same in each session, wherever it stands. */
static void test_doubles(void **state)
{
	struct rig r;
	struct look l = { .sizes = false };
	char key[4][100], again[4][100], stamp[STORE_STAMP_MAX];
	size_t n;

	(void)state;
	rig_start(&r);
	for (int no_top = 0; no_top < 2; no_top++) {
		memset(r.d.w, 0, sizeof(*r.d.w));
		anew(&r);
		r.d.w->no_top = no_top;
		maildrop_add(&r.d, "same", "Subject: 1\r\n\r\none\r\n");
		maildrop_add(&r.d, "same", "Subject: 2\r\n\r\ntwo\r\n");
		maildrop_add(&r.d, "", "Subject: 3\r\n\r\nthree\r\n");
		maildrop_add(&r.d, "same", "Subject: 2\r\n\r\ntwo\r\n");
		must(&r, look(&r, l));
		keys_of(r.told, key, &n);
		assert_int_equal(n, 4);
		assert_string_equal(key[0], "same");
		assert_true(strncmp(key[1], "head ", 5) == 0 && strlen(key[1]) == 69);
		assert_true(strncmp(key[2], "head ", 5) == 0 && strlen(key[2]) == 69);
		assert_true(strncmp(key[3], key[1], 69) == 0 && strcmp(key[3] + 69, " 2") == 0);
		assert_int_equal(r.info.extent, LOOK_ALL);
		memcpy(stamp, r.info.stamp, sizeof(stamp));
		assert_true(stamp[0] != '\0');

		/* the server has read it, and notes so */
		snprintf(r.d.w->m[2].text, MAILDROP_TEXT, "Subject: 3\r\nStatus: RO\r\nX-Status: \r\n\r\nthree\r\n");
		r.d.w->m[1].there = false;
		anew(&r);
		r.d.w->no_top = no_top;
		must(&r, look(&r, l));
		keys_of(r.told, again, &n);
		assert_int_equal(n, 3);
		assert_string_equal(again[0], key[0]);
		assert_string_equal(again[1], key[2]);
		assert_string_equal(again[2], key[1]);
		assert_string_not_equal(r.info.stamp, stamp);
	}
	rig_stop(&r);
}

/* Without UIDL: names by the headers, in one flight; without TOP as well nobody can tell. */
static void test_no_uidl(void **state)
{
	struct rig r;
	struct look l = { .sizes = false };
	char stamp[STORE_STAMP_MAX];

	(void)state;
	rig_start(&r);
	r.d.w->no_uidl = true;
	maildrop_mail(&r.d, 1);
	maildrop_mail(&r.d, 2);
	must(&r, look(&r, l));
	assert_int_equal(r.info.extent, LOOK_ALL);
	assert_int_equal(r.d.w->tops, 2);
	assert_int_equal(r.d.w->retrs, 0);
	assert_true(strncmp(r.info.stamp, "head:", 5) == 0 && !strchr(r.info.stamp, ' '));
	memcpy(stamp, r.info.stamp, sizeof(stamp));
	anew(&r);
	l.stamp = stamp;
	must(&r, look(&r, l));
	assert_int_equal(r.info.extent, LOOK_SAME);
	anew(&r);
	r.d.w->m[0].no_top = true; /* one that is refused is read instead */
	must(&r, look(&r, l));
	assert_int_equal(r.info.extent, LOOK_SAME);
	assert_int_equal(r.d.w->retrs, 1);
	/* that can't be read at all: the look shows what there is, and says of nothing that it is gone */
	anew(&r);
	r.d.w->m[0].no_retr = true;
	must(&r, look(&r, l));
	assert_int_equal(r.info.extent, LOOK_CHANGES);
	assert_string_equal(r.info.stamp, "");
	assert_true(strchr(r.told, '|') == strrchr(r.told, '|'));
	anew(&r);
	r.d.w->no_top = true;
	assert_int_equal(look(&r, l), -1);
	assert_int_equal(r.e.span, SPAN_BOX);
	assert_non_null(strstr(r.e.text, "UIDL"));
	assert_true(strncmp(r.e.text, "isp: ", 5) == 0 && !strstr(r.e.text, "isp: isp"));
	assert_int_equal(r.d.w->retrs, 0);
	rig_stop(&r);
}

/* Lines that are none, or missing: what is not shown is not gone. */
static void test_incomplete(void **state)
{
	struct rig r;
	struct look l = { .sizes = false };

	(void)state;
	rig_start(&r);
	maildrop_mail(&r.d, 1);
	snprintf(r.d.w->m[maildrop_mail(&r.d, 2)].uidl, 20, "x\r\nwhat is this");
	must(&r, look(&r, l));
	assert_int_equal(r.info.extent, LOOK_CHANGES);
	assert_string_equal(r.info.stamp, "");
	assert_string_equal(r.told, "u1 0 0|x 0 0|");
	rig_stop(&r);
}

/* ---- headers ---- */

/* New messages are told with what tells them apart; known ones are not asked about. */
static void test_look_idents(void **state)
{
	struct rig r;
	char known[] = "u1 other";
	struct look l = { .idents = true, .known = tell_known, .arg = known };
	char want[200];

	(void)state;
	rig_start(&r);
	for (unsigned i = 1; i <= 3; i++)
		maildrop_mail(&r.d, i);
	must(&r, look(&r, l));
	snprintf(want, sizeof(want), "u1 0 0|u2 %d %d mid|u3 %d %d mid|", (int)strlen(r.d.w->m[1].text), (int)DAY(2), (int)strlen(r.d.w->m[2].text), (int)DAY(3));
	assert_string_equal(r.told, want);
	assert_int_equal(r.d.w->tops, 2);
	assert_int_equal(r.d.w->retrs, 1); /* are the sizes true? */
	/* limits need the dates alone; sizes are asked of find */
	anew(&r);
	l.idents = false;
	l.sizes = true;
	must(&r, look(&r, l));
	snprintf(want, sizeof(want), "u1 0 0|u2 0 %d mid|u3 0 %d mid|", (int)DAY(2), (int)DAY(3));
	assert_string_equal(r.told, want);
	assert_int_equal(r.d.w->tops, 2);
	assert_int_equal(r.d.w->retrs, 0);
	rig_stop(&r);
}

static void test_idents(void **state)
{
	static const uint64_t nums[] = { 1, 2, 3 };
	static const size_t all[] = { 0, 1, 2 };
	struct rig r;
	unsigned asked;

	(void)state;
	rig_start(&r);
	for (unsigned i = 1; i <= 3; i++)
		maildrop_mail(&r.d, i);
	for (int way = 0; way < 7; way++) {
		anew(&r);
		for (size_t i = 0; i < 3; i++)
			r.d.w->m[i].no_top = false;
		r.d.w->one_by_one = way == 1;
		r.d.w->no_top = way == 2;
		r.d.w->bare_sizes = way == 3;
		r.d.w->no_list = way == 4;
		r.d.w->m[1].no_top = way == 5;
		r.d.w->m[0].no_retr = way == 6; /* the one by which sizes are tried */
		open_box(&r);
		must(&r, idents(&r, nums, 3));
		if (way == 6)
			expect_idents(&r, all + 1, 2);
		else
			expect_idents(&r, all, 3);
		assert_int_equal(r.d.w->tops, way == 2 ? 0 : 3);
		assert_int_equal(r.d.w->retrs, way == 2 || way == 3 || way == 4 ? 3 : way == 5 ? 1 : way == 6 ? 4 : 1);
		/* once is enough */
		asked = r.d.w->commands;
		if (way != 6) {
			must(&r, idents(&r, nums, 3));
			expect_idents(&r, all, 3);
			assert_int_equal(r.d.w->commands, asked);
		}
		r.d.w->m[0].no_retr = false;
	}
	rig_stop(&r);
}

/* What was read is known; and with it, whether the sizes of all can be trusted. */
static void test_idents_read(void **state)
{
	static const uint64_t nums[] = { 1, 2, 3 }, order[] = { 3, 1, 2 };
	static const size_t all[] = { 0, 1, 2 };
	struct rig r;
	struct stream *body;
	char buf[64];
	size_t i;

	(void)state;
	rig_start(&r);
	for (unsigned k = 1; k <= 3; k++)
		maildrop_mail(&r.d, k);
	for (int lies = 0; lies < 2; lies++) {
		for (size_t n = 1; n <= 3; n += 2) {
			anew(&r);
			r.d.w->bare_sizes = lies;
			open_box(&r);
			must(&r, r.s->ops->want(r.s, order, n, &r.e));
			while (r.s->ops->next(r.s, &i, &body, &r.e) > 0) {
				while (stream_read(body, buf, sizeof(buf), &r.e) > 0)
					;
				assert_int_equal(stream_read(body, buf, sizeof(buf), &r.e), 0);
				stream_free(body);
			}
			must(&r, idents(&r, nums, 3));
			expect_idents(&r, all, 3);
			assert_int_equal(r.d.w->tops, 3 - n);
			assert_int_equal(r.d.w->retrs, lies ? 3 : n);
		}
	}
	/* one that was not read to its end is not known */
	anew(&r);
	r.d.w->bare_sizes = false;
	open_box(&r);
	must(&r, r.s->ops->want(r.s, order, 1, &r.e));
	assert_int_equal(r.s->ops->next(r.s, &i, &body, &r.e), 1);
	assert_int_equal(stream_read(body, buf, 10, &r.e), 10);
	stream_free(body);
	assert_int_equal(r.s->ops->next(r.s, &i, &body, &r.e), 0);
	must(&r, idents(&r, nums, 3));
	expect_idents(&r, all, 3);
	assert_int_equal(r.d.w->tops, 3);
	rig_stop(&r);
}

/* A message without a Message-ID or a date; a mark of another program; and a message of which nothing is told. */
static void test_idents_odd(void **state)
{
	static const uint64_t nums[] = { 1, 2, 3 };
	struct rig r;

	(void)state;
	rig_start(&r);
	maildrop_add(&r.d, "a", "Subject: x\r\n\r\n.\r\n");
	maildrop_add(&r.d, "b", "no header at all\r\n");
	maildrop_add(&r.d, "c", "Date: soon\r\n\r\n");
	r.d.w->m[2].no_top = r.d.w->m[2].no_retr = true;
	open_box(&r);
	must(&r, idents(&r, nums, 3));
	assert_string_equal(r.told, "1 17 0|2 18 0|");
	rig_stop(&r);
}

/* The link breaks while headers are read: the account is given up for now, and the next session goes on. */
static void test_cut(void **state)
{
	struct rig r;
	char none[] = "";
	struct look l = { .idents = true, .known = tell_known, .arg = none };

	(void)state;
	rig_start(&r);
	for (unsigned i = 1; i <= 3; i++)
		maildrop_mail(&r.d, i);
	must(&r, r.s->ops->folders(r.s, note_folder, &r, &r.e));
	r.d.w->hang_up_at = r.d.w->commands + 3; /* LIST, TOP, TOP */
	assert_int_equal(look(&r, l), -1);
	assert_true(err_link_lost(&r.e));
	assert_non_null(strstr(r.e.text, "isp: "));
	r.s->ops->close_box(r.s);
	must(&r, look(&r, l));
	assert_int_equal(r.info.extent, LOOK_ALL);
	assert_int_equal(r.d.w->logins, 2);
	rig_stop(&r);
}

/* A body that ends at a dot which the server should have stuffed: that is seen behind it. */
static void test_unstuffed(void **state)
{
	struct rig r;
	uint64_t nums[] = { 1, 2 };
	struct stream *body;
	size_t i;

	(void)state;
	rig_start(&r);
	r.d.w->m[maildrop_add(&r.d, "a", "Subject: x\r\n\r\n.\r\nmore\r\n")].unstuffed = true;
	maildrop_mail(&r.d, 2);
	open_box(&r);
	assert_true(r.s->unsized);
	must(&r, r.s->ops->want(r.s, nums, 2, &r.e));
	assert_int_equal(r.s->ops->next(r.s, &i, &body, &r.e), 1);
	stream_free(body);
	assert_int_equal(r.s->ops->next(r.s, &i, &body, &r.e), -1);
	assert_int_equal(r.e.kind, ERR_PROTO);
	r.s->ops->close_box(r.s);
	open_box(&r);
	assert_int_equal(r.d.w->logins, 2);
	rig_stop(&r);
}

/* ---- the rest of the tree ---- */

static void test_folders(void **state)
{
	static const struct look other = { .folder = "Sent", .stamp = "" };
	struct rig r;
	size_t i;

	(void)state;
	rig_start(&r);
	assert_int_equal(r.s->ops->folder_create(r.s, "INBOX", 0, &r.e), 0);
	assert_int_equal(r.s->ops->folder_create(r.s, "", 0, &r.e), 0);
	assert_int_equal(r.s->ops->folder_create(r.s, "Sent", 0, &r.e), -1);
	assert_int_equal(r.e.kind, ERR_REFUSED);
	assert_int_equal(r.e.span, SPAN_BOX);
	assert_non_null(strstr(r.e.text, "'Sent'"));
	assert_int_equal(r.s->ops->folder_remove(r.s, "INBOX", 0, &r.e), -1);
	assert_int_equal(r.e.kind, ERR_REFUSED);
	assert_int_equal(r.s->ops->folder_rename(r.s, "INBOX", "Old", &r.e), -1);
	assert_int_equal(r.e.kind, ERR_REFUSED);
	assert_int_equal(r.s->ops->same_box("a", "b"), STORE_MAYBE);
	must(&r, r.s->ops->look(r.s, &other, 1, BOX_READ, &r.e));
	assert_int_equal(r.s->ops->look_box(r.s, &i, &r.info, &r.e), -1);
	assert_int_equal(r.e.span, SPAN_BOX);
	assert_int_equal(r.s->ops->look_box(r.s, &i, &r.info, &r.e), 0);
	assert_int_equal(r.s->ops->open_box(r.s, "Sent", BOX_READ, &r.info, &r.e), -1);
	rig_stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_one_session),
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_remove),
		cmocka_unit_test(test_login_delay),
		cmocka_unit_test(test_fetch_beside),
		cmocka_unit_test(test_doubles),
		cmocka_unit_test(test_no_uidl),
		cmocka_unit_test(test_incomplete),
		cmocka_unit_test(test_look_idents),
		cmocka_unit_test(test_idents),
		cmocka_unit_test(test_idents_read),
		cmocka_unit_test(test_idents_odd),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_unstuffed),
		cmocka_unit_test(test_folders),
	};

	return cmocka_run_group_tests_name("store/pop3tree", tests, NULL, NULL);
}
