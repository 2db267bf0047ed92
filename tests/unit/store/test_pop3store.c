/* A maildrop as a store, against a scripted server, and its listing by itself. */
#include "../../lib/unit.h"

#include "../pop3/script.h"
#include "base/log.h"
#include "store/pop3list.h"
#include "store/pop3store.h"

#define GREET { NULL, "+OK ready\r\n" }
#define LOGIN(caps) GREET, { "CAPA", "+OK\r\n" caps ".\r\n" }, { "USER jane", "+OK\r\n" }, { "PASS 5ecret", "+OK\r\n" }
#define LOGIN_HEARD "CAPA|USER jane|PASS 5ecret|"
#define CAPA(caps) { "CAPA", "+OK\r\n" caps ".\r\n" }
#define QUIT { "QUIT", "+OK bye\r\n" }
#define FLIGHT "CAPA|STAT|UIDL|"

static char logged[4096];

static void to_logged(void *arg, enum log_level level, const char *context, const char *text)
{
	(void)arg;
	(void)context;
	if (level <= LOG_WARN)
		snprintf(logged + strlen(logged), sizeof(logged) - strlen(logged), "%s\n", text);
}

struct rig {
	struct script script;
	struct pop3store_params params;
	struct store *s;
	struct box_info info;
	struct err e;
};

/* A server with these connections, and a store that knows it. */
static void rig_start(struct rig *r, const struct turn *const *turns)
{
	*r = (struct rig){ 0 };
	logged[0] = '\0';
	log_set_sink(to_logged, NULL);
	script_start(&r->script, turns);
	r->params.pop3 = script_params(&r->script);
	r->s = pop3store_new(&r->params, &r->e);
	assert_non_null(r->s);
}

static void rig_stop(struct rig *r)
{
	store_free(r->s);
	script_stop(&r->script);
	log_set_sink(NULL, NULL);
}

static void open_box(struct rig *r, unsigned how)
{
	if (r->s->ops->open_box(r->s, "", how, &r->info, &r->e) < 0)
		fail_msg("%s (heard %s)", r->e.text, r->script.heard);
}

/* The listing as "num key size|". */
static void list(struct rig *r, const char *want)
{
	struct strbuf b = STRBUF_INIT(1 << 16);
	struct store_msg m;
	int rc;

	assert_int_equal(r->s->ops->list_start(r->s, &r->e), 0);
	while ((rc = r->s->ops->list_next(r->s, &m, &r->e)) > 0) {
		strbuf_printf(&b, "%llu ", (unsigned long long)m.num);
		strbuf_putsl(&b, m.key);
		strbuf_printf(&b, " %d|", (int)m.size);
	}
	assert_int_equal(rc, 0);
	assert_string_equal(strbuf_str(&b), want);
	strbuf_release(&b);
}

/* A run with nothing new: one flight for everything, and a goodbye. */
static void test_noop(void **state)
{
	static const struct turn t[] = { LOGIN("PIPELINING\r\nUIDL\r\n"), CAPA("PIPELINING\r\nUIDL\r\n"), { "STAT", "+OK 2 300\r\n" },
		{ "UIDL", "+OK\r\n1 a\r\n2 b\r\n.\r\n" }, QUIT, { 0 } };
	static const struct turn other[] = { LOGIN("PIPELINING\r\n"), CAPA("PIPELINING\r\n"), { "STAT", "+OK 2 300\r\n" },
		{ "UIDL", "+OK\r\n1 a\r\n2 c\r\n.\r\n" }, QUIT, { 0 } };
	const struct turn *const turns[] = { t, t, other, NULL };
	struct rig r;
	char stamp[128];

	(void)state;
	rig_start(&r, turns);
	open_box(&r, BOX_READ);
	assert_int_equal(r.info.messages, 2);
	assert_int_equal(r.info.bytes, 300);
	assert_false(r.info.partial || r.info.no_remove || r.info.keyless);
	assert_true(strncmp(r.info.stamp, "uidl:", 5) == 0 && strlen(r.info.stamp) == 69);
	memcpy(stamp, r.info.stamp, sizeof(stamp));
	r.s->ops->close_box(r.s);
	r.s->ops->close_box(r.s);
	/* greeting, CAPA, USER/PASS, listing, QUIT; TLS adds one */
	assert_true(r.s->stats.turns <= 5);
	open_box(&r, BOX_READ);
	assert_string_equal(r.info.stamp, stamp);
	list(&r, "1 a 0|2 b 0|");
	list(&r, "1 a 0|2 b 0|");
	r.s->ops->close_box(r.s);
	open_box(&r, BOX_READ);
	assert_string_not_equal(r.info.stamp, stamp);
	r.s->ops->close_box(r.s);
	script_expect(&r.script, 3, LOGIN_HEARD FLIGHT "QUIT|#" LOGIN_HEARD FLIGHT "QUIT|#" LOGIN_HEARD FLIGHT "QUIT|#");
	rig_stop(&r);
}

/* One listing, as a server gives it, and what becomes of it. */
static void test_listings(void **state)
{
	static const struct {
		const char *name;
		struct turn turns[14];
		unsigned how;
		const char *list;
		bool keyless, stamp;
		int messages;
		const char *log;
	} rows[] = {
		{ "one by one", { LOGIN(""), { "STAT", "+OK 2 30\r\n" }, { "UIDL", "+OK\r\n1 a\r\n2 b\r\n.\r\n" }, { "LIST", "+OK\r\n1 10\r\n2 20\r\n.\r\n" }, QUIT },
		  BOX_SIZES, "1 a 10|2 b 20|", false, true, 2, "" },
		{ "sizes in the flight", { LOGIN("PIPELINING\r\n"), CAPA("PIPELINING\r\n"), { "STAT", "+OK 2 30\r\n" },
		  { "UIDL", "+OK\r\n1 a\r\n2 b\r\n.\r\n" }, { "LIST", "+OK\r\n1 10\r\n2 20\r\n.\r\n" }, QUIT }, BOX_SIZES, "1 a 10|2 b 20|", false, true, 2, "" },
		{ "empty", { LOGIN(""), { "STAT", "+OK 0 0\r\n" }, { "UIDL", "+OK\r\n.\r\n" }, QUIT }, 0, "", false, true, 0, "" },
		{ "empty, and nothing to list", { LOGIN(""), { "STAT", "+OK 0 0\r\n" }, { "UIDL", "-ERR no messages\r\n" }, QUIT }, 0, "", true, false, 0, "" },
		{ "no UIDL", { LOGIN(""), { "STAT", "+OK 2 30\r\n" }, { "UIDL", "-ERR what?\r\n" }, { "LIST", "+OK\r\n1 10\r\n2 20\r\n.\r\n" }, QUIT },
		  0, "1  10|2  20|", true, false, 2, "" },
		{ "UIDL leaves one out", { LOGIN("PIPELINING\r\n"), CAPA("PIPELINING\r\n"), { "STAT", "+OK 3 30\r\n" },
		  { "UIDL", "+OK\r\n1 a\r\n3 c\r\n.\r\n" }, { "LIST", "+OK\r\n1 10\r\n2 20\r\n3 30\r\n.\r\n" }, QUIT }, 0, "1 a 10|2  20|3 c 30|", false, false, 3, "" },
		{ "LIST leaves one out", { LOGIN(""), { "STAT", "+OK 3 30\r\n" }, { "UIDL", "+OK\r\n1 a\r\n2 b\r\n3 c\r\n.\r\n" },
		  { "LIST", "+OK\r\n2 20\r\n.\r\n" }, QUIT }, BOX_SIZES, "1 a 0|2 b 20|3 c 0|", false, true, 3, "" },
		{ "LIST refused", { LOGIN(""), { "STAT", "+OK 1 30\r\n" }, { "UIDL", "+OK\r\n1 a\r\n.\r\n" }, { "LIST", "-ERR no\r\n" }, QUIT },
		  BOX_SIZES, "1 a 0|", false, true, 1, "" },
		{ "STAT refused", { LOGIN(""), { "STAT", "-ERR no\r\n" }, { "UIDL", "+OK\r\n1 a\r\n2 b\r\n.\r\n" }, QUIT }, 0, "1 a 0|2 b 0|", false, true, 2, "" },
		{ "STAT lies", { LOGIN(""), { "STAT", "+OK 0 0\r\n" }, { "UIDL", "+OK\r\n1 a\r\n2 b\r\n.\r\n" }, QUIT }, 0, "1 a 0|2 b 0|", false, true, 2, "" },
		{ "STAT makes no sense", { LOGIN(""), { "STAT", "+OK many\r\n" }, { "UIDL", "+OK\r\n1 a\r\n.\r\n" }, QUIT }, 0, "1 a 0|", false, true, 1, "" },
		{ "the same twice", { LOGIN(""), { "STAT", "+OK 4 40\r\n" }, { "UIDL", "+OK\r\n1 a\r\n2 b\r\n3 a\r\n4 a\r\n.\r\n" }, QUIT },
		  0, "1  0|2 b 0|3  0|4  0|", false, true, 4, "" },
		{ "out of order", { LOGIN(""), { "STAT", "+OK 2 40\r\n" }, { "UIDL", "+OK\r\n2 b\r\n1 a\r\n.\r\n" }, { "LIST", "+OK\r\n1 1\r\n2 2\r\n.\r\n" }, QUIT },
		  BOX_SIZES, "2 b 0|1 a 0|", false, true, 2, "" },
		{ "senseless lines", { LOGIN(""), { "STAT", "+OK 1 40\r\n" },
		  { "UIDL", "+OK\r\n1 a\r\nx y\r\n\r\n-1 b\r\n0 c\r\n2147483649 d\r\n99999999999999999999 e\r\n.\r\n" }, QUIT },
		  0, "1 a 0|", false, false, 1, "isp: 6 lines of the server's listing make no sense and are left out\n" },
		{ "odd keys", { LOGIN(""), { "STAT", "+OK 5 40\r\n" },
		  { "UIDL", "+OK\r\n1 \r\n2\r\n3   c  \r\n4 d d\r\n2147483648 z\r\n.\r\n" }, QUIT },
		  0, "1  0|2  0|3 c 0|4 sha256:0ab9503c6af0792e9c534ad4f16837d4e0df32f600b445df751ed752a686d7ac 0|2147483648 z 0|",
		  false, false, 5, "" },
		{ "EXPIRE 0", { LOGIN("PIPELINING\r\n"), CAPA("PIPELINING\r\nEXPIRE 0\r\n"), { "STAT", "+OK 1 40\r\n" }, { "UIDL", "+OK\r\n1 a\r\n.\r\n" }, QUIT },
		  0, "1 a 0|", false, true, 1, "isp: the server says that it deletes messages once they are read (EXPIRE 0)\n" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct turn *const turns[] = { rows[i].turns, NULL };
		struct rig r;

		rig_start(&r, turns);
		open_box(&r, rows[i].how);
		list(&r, rows[i].list);
		assert_int_equal(r.info.keyless, rows[i].keyless);
		assert_int_equal(r.info.messages, rows[i].messages);
		assert_int_equal(*r.info.stamp != '\0', rows[i].stamp);
		assert_string_equal(logged, rows[i].log);
		r.s->ops->close_box(r.s);
		if (strstr(r.script.heard, "UNEXPECTED"))
			fail_msg("%s: %s", rows[i].name, r.script.heard);
		rig_stop(&r);
	}
}

/* Keys that aren't as RFC 1939 wants them become digests, and none can pose as the digest of another. */
static void test_keys(void **state)
{
	static const struct {
		const char *line;
		size_t n;
		const char *key;
	} rows[] = {
		{ "1 abc", 5, "abc" },
		{ "1   abc  ", 9, "abc" },
		{ "1\tabc", 5, "abc" },
		{ "1 ~!{}", 6, "~!{}" },
		{ "1", 1, "" },
		{ "1 ", 2, "" },
		{ "1 a\0b", 5, "" },
		{ "1 a\rb", 5, "" },
		/* sha256 of "a b", of 0xe4, and of the text "sha256:x" */
		{ "1 a b", 5, "sha256:c8687a08aa5d6ed2044328fa6a697ab8e96dc34291e8c2034ae8c38e6fcc6d65" },
		{ "1 \xe4", 3, "sha256:5e1effe9b7bab73dce628ccd9f0cbbb16c1e6efc6c4f311e59992a467bc119fd" },
		{ "1 sha256:x", 10, "sha256:fe8eb9ab9836bcf963c044b6f84eb71c089db399876f45e72a6c21b488da26c4" },
	};
	struct err e = ERR_INIT;
	char long_line[STORE_KEY_MAX + 16];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct pop3list l;
		struct store_msg m;
		char got[STORE_KEY_MAX + 1];

		assert_int_equal(pop3list_init(&l, &e), 0);
		assert_int_equal(pop3list_uidl(&l, slice_of(rows[i].line, rows[i].n), false, &e), 0);
		assert_int_equal(pop3list_start(&l, &e), 0);
		assert_int_equal(pop3list_next(&l, &m, &e), 1);
		assert_int_equal(m.num, 1);
		memcpy(got, m.key.p, m.key.n);
		got[m.key.n] = '\0';
		assert_string_equal(got, rows[i].key);
		assert_int_equal(pop3list_next(&l, &m, &e), 0);
		pop3list_release(&l);
	}
	for (size_t n = STORE_KEY_MAX - 1; n <= STORE_KEY_MAX + 1; n++) {
		struct pop3list l;
		struct store_msg m;

		memset(long_line, 'k', sizeof(long_line));
		memcpy(long_line, "1 ", 2);
		assert_int_equal(pop3list_init(&l, &e), 0);
		assert_int_equal(pop3list_uidl(&l, slice_of(long_line, n + 2), false, &e), 0);
		assert_int_equal(pop3list_start(&l, &e), 0);
		assert_int_equal(pop3list_next(&l, &m, &e), 1);
		assert_int_equal(m.key.n, n <= STORE_KEY_MAX ? n : 71);
		pop3list_release(&l);
	}
}

/* Half a million rows: beyond what stays in memory, doubles among them, in and out the same. */
static void test_large(void **state)
{
	enum { N = 300000 };
	struct pop3list l;
	struct err e = ERR_INIT;
	struct store_msg m;
	uint64_t n = 0;
	char stamp[128], again[128];

	(void)state;
	assert_int_equal(pop3list_init(&l, &e), 0);
	for (int round = 0; round < 2; round++) {
		pop3list_clear(&l);
		for (unsigned i = 1; i <= N; i++) {
			char line[64];
			int len = snprintf(line, sizeof(line), "%u %016x", i, i == 77777 ? 5 : i);

			assert_int_equal(pop3list_uidl(&l, slice_of(line, (size_t)len), false, &e), 0);
			len = snprintf(line, sizeof(line), "%u %u", i, i * 2);
			if (i % 3 == 0)
				assert_int_equal(pop3list_size(&l, slice_of(line, (size_t)len), false, &e), 0);
		}
		assert_int_equal(pop3list_stamp(&l, N, round ? again : stamp, &e), 0);
	}
	assert_true(l.uidl.spool.fd >= 0);
	assert_true(*stamp != '\0');
	assert_string_equal(stamp, again);
	assert_int_equal(pop3list_start(&l, &e), 0);
	assert_int_equal(l.n_doubles, 1);
	while (pop3list_next(&l, &m, &e) > 0) {
		char key[32];

		n++;
		assert_int_equal(m.num, n);
		assert_int_equal(m.size, n % 3 == 0 ? n * 2 : 0);
		snprintf(key, sizeof(key), "%016x", (unsigned)n);
		assert_true(n == 5 || n == 77777 ? m.key.n == 0 : slice_eqs(m.key, key));
	}
	assert_int_equal(n, N);
	pop3list_release(&l);
}

/* A number twice: no telling which row is true. */
static void test_number_twice(void **state)
{
	struct pop3list l;
	struct err e = ERR_INIT;

	(void)state;
	for (int which = 0; which < 2; which++) {
		int (*put)(struct pop3list *, struct slice, bool, struct err *) = which ? pop3list_size : pop3list_uidl;

		assert_int_equal(pop3list_init(&l, &e), 0);
		assert_int_equal(put(&l, slice_str("2 1"), false, &e), 0);
		assert_int_equal(put(&l, slice_str("1 2"), false, &e), 0);
		assert_int_equal(pop3list_start(&l, &e), 0);
		assert_int_equal(put(&l, slice_str("2 3"), false, &e), 0);
		assert_int_equal(pop3list_start(&l, &e), -1);
		assert_int_equal(e.kind, ERR_PROTO);
		assert_non_null(strstr(e.text, "message 2"));
		pop3list_release(&l);
	}
	memset(&l, 0, sizeof(l));
	pop3list_release(&l);
}

/* A line of a megabyte: its message has no key, the others have theirs. */
static void test_long_uidl(void **state)
{
	struct turn t[] = { LOGIN(""), { "STAT", "+OK 3 40\r\n" }, { "UIDL", NULL }, { "LIST", "+OK\r\n1 1\r\n2 2\r\n3 3\r\n.\r\n" }, QUIT, { 0 } };
	const struct turn *const turns[] = { t, NULL };
	size_t n = 1 << 20;
	char *say = malloc(n + 64);
	struct rig r;

	(void)state;
	assert_non_null(say);
	memset(say, 'u', n);
	memcpy(say, "+OK\r\n1 a\r\n2 ", 12);
	memcpy(say + n, "\r\n3 c\r\n.\r\n", sizeof("\r\n3 c\r\n.\r\n"));
	t[5].say = say;
	rig_start(&r, turns);
	open_box(&r, BOX_SIZES);
	list(&r, "1 a 1|2  2|3 c 3|");
	assert_string_equal(r.info.stamp, "");
	rig_stop(&r);
	free(say);
}

struct done {
	char text[512];
};

static void on_done(void *arg, uint64_t num, const struct err *why)
{
	struct done *d = arg;
	size_t n = strlen(d->text);

	snprintf(d->text + n, sizeof(d->text) - n, "%d %s|", (int)num, why ? err_kind_name(why->kind) : "ok");
}

/* Read, remove, commit, and connect again. */
static void test_session(void **state)
{
	static const struct turn t[] = { LOGIN("PIPELINING\r\n"), CAPA("PIPELINING\r\n"), { "STAT", "+OK 3 300\r\n" },
		{ "UIDL", "+OK\r\n1 a\r\n2 b\r\n3 c\r\n.\r\n" }, { "RETR 1", "" }, { "RETR 3", "+OK\r\none\r\n..\r\n.\r\n-ERR gone\r\n" },
		{ "STAT", "+OK 3 300\r\n" },
		{ "DELE 1", "" }, { "DELE 2", "+OK\r\n-ERR no\r\n" }, QUIT, { 0 } };
	static const struct turn next[] = { LOGIN("PIPELINING\r\n"), CAPA("PIPELINING\r\n"), { "STAT", "+OK 2 200\r\n" },
		{ "UIDL", "+OK\r\n1 b\r\n2 c\r\n.\r\n" }, QUIT, { 0 } };
	const struct turn *const turns[] = { t, next, NULL };
	static const uint64_t wanted[] = { 1, 3 }, removed[] = { 1, 2 };
	struct rig r;
	struct stream *b;
	struct done d = { "" };
	char buf[64];
	size_t i;

	(void)state;
	rig_start(&r, turns);
	open_box(&r, BOX_WRITE);
	assert_int_equal(r.s->ops->want(r.s, wanted, 2, &r.e), 0);
	assert_int_equal(r.s->ops->next(r.s, &i, &b, &r.e), 1);
	assert_int_equal(i, 0);
	assert_int_equal(stream_read(b, buf, sizeof(buf), &r.e), 5);
	assert_memory_equal(buf, "one\r\n", 5);
	assert_int_equal(stream_read(b, buf, sizeof(buf), &r.e), 3);
	assert_memory_equal(buf, ".\r\n", 3);
	assert_int_equal(stream_read(b, buf, sizeof(buf), &r.e), 0);
	stream_free(b);
	assert_int_equal(r.s->ops->next(r.s, &i, &b, &r.e), -1);
	assert_int_equal(i, 1);
	assert_int_equal(r.e.span, SPAN_MSG);
	assert_int_equal(r.s->ops->next(r.s, &i, &b, &r.e), 0);
	assert_int_equal(r.s->ops->remove(r.s, removed, 2, on_done, &d, &r.e), 0);
	assert_string_equal(d.text, "1 ok|2 refused|");
	assert_int_equal(r.s->ops->commit(r.s, &r.e), 0);
	r.s->ops->close_box(r.s);
	assert_int_equal(r.s->ops->want(r.s, wanted, 2, &r.e), -1);
	assert_int_equal(r.e.kind, ERR_BUG);
	open_box(&r, BOX_WRITE);
	list(&r, "1 b 0|2 c 0|");
	r.s->ops->close_box(r.s);
	script_expect(&r.script, 2, LOGIN_HEARD FLIGHT "RETR 1|RETR 3|STAT|DELE 1|DELE 2|QUIT|#" LOGIN_HEARD FLIGHT "QUIT|#");
	rig_stop(&r);
}

/* Marked and not committed: the link is dropped without QUIT, and the marks with it. */
static void test_no_quit(void **state)
{
	static const struct turn marked[] = { LOGIN(""), { "STAT", "+OK 1 300\r\n" }, { "UIDL", "+OK\r\n1 a\r\n.\r\n" }, { "DELE 1", "+OK\r\n" }, { 0 } };
	static const struct turn gmail[] = { { NULL, "+OK Gpop ready for requests\r\n" }, { "CAPA", "-ERR\r\n" }, { "USER jane", "+OK\r\n" },
		{ "PASS 5ecret", "+OK\r\n" }, { "STAT", "+OK 1 300\r\n" }, { "UIDL", "+OK\r\n1 a\r\n.\r\n" }, { "RETR 1", "+OK\r\n.\r\n" }, { 0 } };
	static const struct turn read_only[] = { LOGIN(""), { "STAT", "+OK 1 300\r\n" }, { "UIDL", "+OK\r\n1 a\r\n.\r\n" }, { "RETR 1", "+OK\r\n.\r\n" }, QUIT, { 0 } };
	static const struct turn flying[] = { LOGIN("PIPELINING\r\n"), CAPA("PIPELINING\r\n"), { "STAT", "+OK 2 300\r\n" },
		{ "UIDL", "+OK\r\n1 a\r\n2 b\r\n.\r\n" }, { "RETR 1", "+OK\r\n.\r\n" }, { "RETR 2", "+OK\r\n.\r\n" }, { 0 } };
	static const struct turn expires[] = { LOGIN("EXPIRE 0\r\n"), { "STAT", "+OK 1 300\r\n" }, { "UIDL", "+OK\r\n1 a\r\n.\r\n" },
		{ "RETR 1", "+OK\r\n.\r\n" }, { 0 } };
	const struct turn *const turns[] = { marked, gmail, read_only, flying, expires, NULL };
	static const uint64_t nums[] = { 1, 2 };
	struct rig r;
	struct stream *b;
	struct done d = { "" };
	size_t i;

	(void)state;
	rig_start(&r, turns);
	open_box(&r, BOX_WRITE);
	assert_int_equal(r.s->ops->remove(r.s, nums, 1, on_done, &d, &r.e), 0);
	r.s->ops->close_box(r.s);
	for (size_t n = 0; n < 4; n++) {
		open_box(&r, BOX_READ);
		assert_int_equal(r.info.partial, n == 0);
		assert_int_equal(r.s->ops->want(r.s, nums, n == 2 ? 2 : 1, &r.e), 0);
		assert_int_equal(r.s->ops->next(r.s, &i, &b, &r.e), 1);
		stream_free(b);
		r.s->ops->close_box(r.s);
	}
	script_expect(&r.script, 5, LOGIN_HEARD "STAT|UIDL|DELE 1|#" LOGIN_HEARD "STAT|UIDL|RETR 1|#" LOGIN_HEARD "STAT|UIDL|RETR 1|QUIT|#"
		      LOGIN_HEARD FLIGHT "RETR 1|RETR 2|STAT|#" LOGIN_HEARD "STAT|UIDL|RETR 1|#");
	rig_stop(&r);
}

static void test_gmail_recent(void **state)
{
	static const struct turn t[] = { { NULL, "+OK Gpop ready for requests\r\n" }, { "CAPA", "-ERR\r\n" }, { "USER recent:jane", "+OK\r\n" },
		{ "PASS 5ecret", "+OK\r\n" }, { "STAT", "+OK 1 300\r\n" }, { "UIDL", "+OK\r\n1 a\r\n.\r\n" }, QUIT, { 0 } };
	const struct turn *const turns[] = { t, NULL };
	static const uint64_t nums[] = { 1 };
	struct rig r;
	struct done d = { "" };

	(void)state;
	rig_start(&r, turns);
	store_free(r.s);
	r.params.gmail_recent = true;
	r.s = pop3store_new(&r.params, &r.e);
	assert_non_null(r.s);
	open_box(&r, BOX_WRITE);
	assert_true(r.info.no_remove);
	assert_false(r.info.partial);
	assert_int_equal(r.s->ops->remove(r.s, nums, 1, on_done, &d, &r.e), -1);
	assert_int_equal(r.e.kind, ERR_BUG);
	r.s->ops->close_box(r.s);
	script_expect(&r.script, 1, "CAPA|USER recent:jane|PASS 5ecret|STAT|UIDL|QUIT|#");
	rig_stop(&r);
}

/* A refused QUIT, or none answered: nobody knows, and the error says so. */
static void test_commit_fails(void **state)
{
	static const struct turn no[] = { LOGIN(""), { "STAT", "+OK 1 300\r\n" }, { "UIDL", "+OK\r\n1 a\r\n.\r\n" }, { "DELE 1", "+OK\r\n" },
		{ "QUIT", "-ERR some deleted messages not removed\r\n" }, { 0 } };
	static const struct turn cut[] = { LOGIN(""), { "STAT", "+OK 1 300\r\n" }, { "UIDL", "+OK\r\n1 a\r\n.\r\n" }, { "DELE 1", "+OK\r\n" }, { "QUIT", NULL }, { 0 } };
	const struct turn *const turns[] = { no, cut, NULL };
	static const uint64_t nums[] = { 1 };
	struct rig r;
	struct done d = { "" };

	(void)state;
	rig_start(&r, turns);
	for (int i = 0; i < 2; i++) {
		open_box(&r, BOX_WRITE);
		assert_int_equal(r.s->ops->remove(r.s, nums, 1, on_done, &d, &r.e), 0);
		assert_int_equal(r.s->ops->commit(r.s, &r.e), -1);
		assert_int_equal(r.e.kind, ERR_TEMP);
		assert_int_equal(r.e.span, SPAN_ACCT);
		assert_non_null(strstr(r.e.text, "isp: QUIT"));
	}
	rig_stop(&r);
}

/* Failures of opening: kind, and that nothing is left open. */
static void test_open_fails(void **state)
{
	static const struct {
		struct turn turns[12];
		enum err_kind kind;
		const char *text;
	} rows[] = {
		{ { LOGIN(""), { "STAT", "+OK 1 1\r\n" }, { "UIDL", "-ERR [SYS/TEMP] later\r\n" }, { 0 } }, ERR_TEMP, "isp: UIDL" },
		{ { LOGIN(""), { "STAT", "+OK 1 1\r\n" }, { "UIDL", "-ERR no\r\n" }, { "LIST", "-ERR no\r\n" }, { 0 } }, ERR_REFUSED, "neither" },
		{ { LOGIN(""), { "STAT", "+OK 1 1\r\n" }, { "UIDL", "+OK\r\n1 a\r\n" }, { NULL, NULL } }, ERR_TIMEOUT, "isp: UIDL" },
		{ { LOGIN(""), { "STAT", "nonsense\r\n" }, { 0 } }, ERR_PROTO, "isp: STAT" },
		{ { GREET, { "CAPA", "-ERR\r\n" }, { "USER jane", "+OK\r\n" }, { "PASS 5ecret", "-ERR [IN-USE]\r\n" }, { 0 } }, ERR_BUSY, "isp: login" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct turn *const turns[] = { rows[i].turns, NULL };
		struct rig r;
		uint64_t num = 1;

		rig_start(&r, turns);
		if (rows[i].kind == ERR_TIMEOUT) {
			store_free(r.s);
			r.params.pop3.dial.timeout = 300;
			r.s = pop3store_new(&r.params, &r.e);
		}
		assert_int_equal(r.s->ops->open_box(r.s, "", BOX_READ, &r.info, &r.e), -1);
		assert_int_equal(r.e.kind, rows[i].kind);
		assert_true(strncmp(r.e.text, "isp: ", 5) == 0 && !strstr(r.e.text, "isp: isp: "));
		assert_non_null(strstr(r.e.text, rows[i].text));
		assert_int_equal(r.s->ops->want(r.s, &num, 1, &r.e), -1);
		assert_int_equal(r.e.kind, ERR_BUG);
		rig_stop(&r);
	}
}

static void test_folders(void **state)
{
	const struct turn *const turns[] = { NULL };
	struct rig r;

	(void)state;
	rig_start(&r, turns);
	assert_int_equal(r.s->ops->open_box(r.s, "Sent", BOX_READ, &r.info, &r.e), -1);
	assert_int_equal(r.e.kind, ERR_CONF);
	assert_int_equal(r.e.span, SPAN_BOX);
	assert_int_equal(r.s->ops->caps, STORE_SOURCE | STORE_REMOTE | STORE_TREE);
	rig_stop(&r);
}

/* The pause that the server asks for is kept: waited out when short, an error with its length when long. */
static void test_login_delay(void **state)
{
	static const struct turn t[] = { LOGIN("LOGIN-DELAY 1\r\n"), { "STAT", "+OK 0 0\r\n" }, { "UIDL", "+OK\r\n.\r\n" }, QUIT, { 0 } };
	static const struct turn slow[] = { LOGIN("LOGIN-DELAY 900\r\n"), { "STAT", "+OK 0 0\r\n" }, { "UIDL", "+OK\r\n.\r\n" }, QUIT, { 0 } };
	const struct turn *const turns[] = { t, slow, NULL };
	struct rig r;
	msec_t start = clock_now();

	(void)state;
	rig_start(&r, turns);
	open_box(&r, BOX_READ);
	assert_true(clock_now() - start < 900);
	r.s->ops->close_box(r.s);
	open_box(&r, BOX_READ);
	assert_true(clock_now() - start >= 1000);
	assert_int_equal(r.s->ops->open_box(r.s, "", BOX_READ, &r.info, &r.e), -1);
	assert_int_equal(r.e.kind, ERR_TEMP);
	assert_true(r.e.retry_after > 890 && r.e.retry_after <= 900);
	rig_stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_noop),         cmocka_unit_test(test_listings),     cmocka_unit_test(test_keys),
		cmocka_unit_test(test_large),        cmocka_unit_test(test_number_twice), cmocka_unit_test(test_long_uidl),
		cmocka_unit_test(test_session),      cmocka_unit_test(test_no_quit),      cmocka_unit_test(test_gmail_recent),
		cmocka_unit_test(test_commit_fails), cmocka_unit_test(test_open_fails),   cmocka_unit_test(test_folders),
		cmocka_unit_test(test_login_delay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
