/* Commands as connections. */
#include "../../lib/unit.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "net/tunnel.h"

/* A tunnel that must start. */
static struct stream *start(
	const char *command, const char *host, const char *port, struct net_stats *st)
{
	struct err e = ERR_INIT;
	struct stream *s = tunnel_new(command, host, port, st, &e);

	if (!s)
		fail_msg("%s", e.text);
	stream_set_deadline(s, clock_in(5000));
	return s;
}

/* All up to the end; its return value in *r. */
static void read_all(struct stream *s, struct strbuf *out, ssize_t *r, struct err *e)
{
	char buf[4096];

	while ((*r = stream_read(s, buf, sizeof(buf), e)) > 0)
		assert_int_equal(strbuf_put(out, buf, (size_t)*r), 0);
}

static void finish(struct stream *s)
{
	stream_free(s);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void test_cat(void **state)
{
	struct err e = ERR_INIT;
	struct net_stats st = { 0 };
	struct stream *s = start("cat", "h", "1", &st);
	struct strbuf out = STRBUF_INIT(1 << 20);
	char buf[8];
	ssize_t r;

	(void)state;
	assert_int_equal(stream_write(s, "ping", 4, &e), 0);
	assert_int_equal(stream_flush(s, &e), 0);
	assert_int_equal(stream_read(s, buf, 2, &e), 2);
	assert_int_equal(stream_read(s, buf + 2, 2, &e), 2);
	assert_memory_equal(buf, "ping", 4);
	assert_int_equal(st.in, 4);
	assert_int_equal(st.out, 4);
	assert_in_range(st.turns, 0, 1); /* cat may have been quicker than our read */
	assert_int_equal(stream_write(s, "last", 4, &e), 0);
	stream_shut(s);
	read_all(s, &out, &r, &e);
	assert_int_equal(r, 0);
	assert_string_equal(strbuf_str(&out), "last");
	strbuf_release(&out);
	finish(s);
}

static void test_expand(void **state)
{
	static const struct {
		const char *command, *host, *port, *says; /* NULL: refused */
	} rows[] = {
		{ "echo %h:%p 100%%", "mail.example.org", "995", "mail.example.org:995 100%\n" },
		{ "echo '%h' %%h", "[2001:db8::1]", "1", "2001:db8::1 %h\n" },
		{ "echo plain", "h", "1", "plain\n" },
		{ "echo %x", "h", "1", NULL },
		{ "echo %", "h", "1", NULL },
		{ "echo %h", "a;reboot", "1", NULL },
		{ "echo %h", "a b", "1", NULL },
		{ "echo %h", "$(x)", "1", NULL },
		{ "echo %h", "a'b", "1", NULL },
		{ "echo %h", "a\nb", "1", NULL },
		{ "echo %h", "-oProxyCommand=x", "1", NULL },
		{ "echo %h", "", "1", NULL },
		{ "echo %p", "h", "1`x`", NULL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct err e = ERR_INIT;
		struct strbuf out = STRBUF_INIT(1024);
		struct stream *s;
		ssize_t r;

		if (!rows[i].says) {
			assert_null(
				tunnel_new(rows[i].command, rows[i].host, rows[i].port, NULL, &e));
			assert_int_equal(e.kind, ERR_CONF);
			continue;
		}
		s = start(rows[i].command, rows[i].host, rows[i].port, NULL);
		read_all(s, &out, &r, &e);
		assert_int_equal(r, 0);
		assert_string_equal(strbuf_str(&out), rows[i].says);
		strbuf_release(&out);
		finish(s);
	}
}

/* How it ended is told. */
static void test_status(void **state)
{
	static const struct {
		const char *command, *text;
	} rows[] = {
		{ "echo hello; exit 3", "ended with exit status 3" },
		{ "echo hello; kill -9 $$", "killed by signal 9" },
		{ "echo hello; exec 1>&-; sleep 0.1; exit 5", "ended with exit status 5" },
		{ "echo hello; exec /nonexistent/command 2>/dev/null",
			"ended with exit status 127" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct err e = ERR_INIT;
		struct strbuf out = STRBUF_INIT(1024);
		struct stream *s = start(rows[i].command, "h", "1", NULL);
		ssize_t r;

		read_all(s, &out, &r, &e);
		assert_int_equal(r, -1);
		assert_int_equal(e.kind, ERR_TEMP);
		assert_non_null(strstr(e.text, rows[i].text));
		assert_string_equal(strbuf_str(&out), "hello\n");
		strbuf_release(&out);
		finish(s);
	}
}

/* A write to a command that is gone says why it went. */
static void test_gone(void **state)
{
	struct err e = ERR_INIT;
	struct stream *s = start("exit 7", "h", "1", NULL);
	char buf[8];

	(void)state;
	assert_int_equal(stream_read(s, buf, sizeof(buf), &e), -1);
	err_clear(&e);
	assert_int_equal(stream_write(s, "x", 1, &e), -1);
	assert_int_equal(e.kind, ERR_TEMP);
	assert_non_null(strstr(e.text, "exit status 7"));
	finish(s);
}

static void test_deadline(void **state)
{
	struct err e = ERR_INIT;
	struct stream *s = start("exec sleep 30", "h", "1", NULL);
	msec_t t = clock_now();
	char buf[8];

	(void)state;
	stream_set_deadline(s, clock_in(50));
	assert_int_equal(stream_read(s, buf, sizeof(buf), &e), -1);
	assert_int_equal(e.kind, ERR_TIMEOUT);
	assert_in_range(clock_now() - t, 45, 1000);
	t = clock_now();
	finish(s);
	assert_true(clock_now() - t < 1000);
}

/* One that will not listen is killed when its grace is over. */
static void test_stubborn(void **state)
{
	struct err e = ERR_INIT;
	struct stream *s =
		start("trap '' TERM; echo ready; while :; do sleep 1; done", "h", "1", NULL);
	msec_t t;
	char buf[8];

	(void)state;
	assert_int_equal(stream_read(s, buf, sizeof(buf), &e), 6);
	t = clock_now();
	finish(s);
	assert_in_range(clock_now() - t, 500, 4000);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cat),
		cmocka_unit_test(test_expand),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_gone),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_stubborn),
	};

	if (clock_cancel_init(NULL) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
