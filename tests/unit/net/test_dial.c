/*
 * The layers put together: direct, through a proxy, through a tunnel; TLS at once and later;
 * compression.
 */
#include "../../lib/unit.h"

#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/strbuf.h"
#include "net/bufin.h"
#include "net/dial.h"
#include "net/trace.h"
#include "tlspeer.h"

static struct pki pki;
static char ca_file[4096];
static struct strbuf seen = STRBUF_INIT(1 << 16);

static void sink(void *arg, enum log_level level, const char *context, const char *text)
{
	(void)arg;
	(void)level;
	(void)context;
	strbuf_puts(&seen, text);
	strbuf_putc(&seen, '\n');
}

static int setup(void **state)
{
	static const struct cert_spec good = { "good", "DNS:mail.example.org,IP:127.0.0.1", -3600,
		3600, BY_CA };

	(void)state;
	pki_make(&pki);
	pki_issue(&pki, &good);
	snprintf(ca_file, sizeof(ca_file), "%s", pki_path(&pki, "ca", ".crt"));
	log_set_sink(sink, NULL);
	log_set_level(LOG_WIRE);
	return clock_cancel_init(NULL);
}

static int teardown(void **state)
{
	(void)state;
	pki_remove(&pki);
	log_set_sink(NULL, NULL);
	strbuf_release(&seen);
	return 0;
}

static void expect(struct bufin *in, const char *text)
{
	struct err e = ERR_INIT;
	struct slice line = { 0 };
	int r = bufin_line(in, 4096, &line, NULL, &e);

	if (r != 1 || !slice_eqs(line, text))
		fail_msg("%d '%.*s' instead of '%s': %s", r, (int)line.n, line.p, text, e.text);
}

static void put(struct stream *s, const char *text)
{
	struct err e = ERR_INIT;

	assert_int_equal(stream_write(s, text, strlen(text), &e), 0);
	assert_int_equal(stream_flush(s, &e), 0);
}

/* The dialogue of tlspeer, over a stream that has TLS. */
static void talk(struct stream *s)
{
	struct bufin in;
	struct slice line;
	struct tls_info info;

	assert_int_equal(tls_info(s, &info), 0);
	assert_int_equal(bufin_init(&in, s, NULL), 0);
	expect(&in, "full");
	assert_int_equal(bufin_line(&in, 4096, &line, NULL, NULL), 1);
	assert_int_equal(bufin_line(&in, 4096, &line, NULL, NULL), 1);
	put(s, "hello\n");
	expect(&in, "hello");
	bufin_release(&in);
	stream_shut(s);
	stream_free(s);
}

static struct stream *must_dial(const struct dial_params *p, struct net_stats *st)
{
	struct err e = ERR_INIT;
	struct stream *s = dial(p, st, &e);

	if (!s)
		fail_msg("%s", e.text);
	return s;
}

static void test_tls(void **state)
{
	struct tls_peer t = { .pki = &pki, .cert = "good" };
	struct peer peer;
	struct net_stats st = { 0 };
	struct dial_params p = { .host = "127.0.0.1",
		.port = peer.port,
		.tls = { .ca_file = ca_file },
		.timeout = 5000,
		.trace = true };

	(void)state;
	peer_start(&peer, tls_peer_serve, &t);
	strbuf_clear(&seen);
	talk(must_dial(&p, &st));
	assert_non_null(strstr(strbuf_str(&seen), "> hello\n"));
	assert_non_null(strstr(strbuf_str(&seen), "< hello\n"));
	assert_true(st.in > 500 && st.out > 200);
	assert_in_range(st.turns, 0, 4);
	peer_stop(&peer);
}

struct front {
	const char *greeting, *wants, *answer;
	struct tls_peer tls;
};

/* Says something in clear, waits for the agreed words, answers, and goes on with TLS. */
static void serve_front(int fd, int nth, void *arg)
{
	struct front *f = arg;
	char buf[256];

	peer_send(fd, f->greeting, strlen(f->greeting));
	peer_recv(fd, buf, strlen(f->wants));
	if (memcmp(buf, f->wants, strlen(f->wants)) != 0)
		_exit(9);
	peer_send(fd, f->answer, strlen(f->answer));
	tls_peer_serve(fd, nth, &f->tls);
}

static void test_start_tls(void **state)
{
	struct front f = { "+OK ready\r\n", "STLS\r\n", "+OK go\r\n",
		{ .pki = &pki, .cert = "good" } };
	struct peer peer;
	struct dial_params p = { .host = "127.0.0.1",
		.port = peer.port,
		.security = DIAL_STARTTLS,
		.tls = { .ca_file = ca_file },
		.timeout = 5000 };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct err e = ERR_INIT;
		struct tls_info info;
		struct stream *s;
		struct bufin in;

		p.trace = i;
		strbuf_clear(&seen);
		peer_start(&peer, serve_front, &f);
		s = must_dial(&p, NULL);
		assert_int_equal(tls_info(s, &info), -1);
		assert_int_equal(bufin_init(&in, s, &e), 0);
		expect(&in, "+OK ready");
		put(s, "STLS\r\n");
		expect(&in, "+OK go");
		assert_int_equal(bufin_pending(&in), 0);
		bufin_release(&in);
		s = dial_start_tls(s, &p, &e);
		if (!s)
			fail_msg("%s", e.text);
		talk(s);
		if (i)
			assert_non_null(strstr(
				strbuf_str(&seen), "< +OK ready\n> STLS\n< +OK go\n< full\n"));
		else
			assert_int_equal(seen.len, 0);
		peer_stop(&peer);
	}
}

/* A proxy that says yes and is then the server itself. */
static void serve_proxy(int fd, int nth, void *arg)
{
	static const char request[] = "\x05\x01\x00\x03\x10mail.example.org\x03\xe3";
	char buf[64];

	peer_recv(fd, buf, 3);
	peer_send(fd, "\x05\x00", 2);
	peer_recv(fd, buf, sizeof(request) - 1);
	if (memcmp(buf, request, sizeof(request) - 1) != 0)
		_exit(9);
	peer_send(fd, "\x05\x00\x00\x01\x7f\x00\x00\x01\x12\x34", 10);
	tls_peer_serve(fd, nth, arg);
}

static void test_proxy(void **state)
{
	struct tls_peer t = { .pki = &pki, .cert = "good" };
	struct peer peer;
	struct dial_params p = { .host = "mail.example.org",
		.port = "995",
		.tls = { .ca_file = ca_file },
		.proxy = { .host = "127.0.0.1", .port = peer.port },
		.timeout = 5000 };

	(void)state;
	peer_start(&peer, serve_proxy, &t);
	talk(must_dial(&p, NULL));
	peer_stop(&peer);
}

static void test_no_proxy(void **state)
{
	char port[8];
	struct dial_params p = { .host = "mail.example.org",
		.port = "995",
		.proxy = { .host = "127.0.0.1", .port = port },
		.timeout = 5000 };
	struct err e = ERR_INIT;

	(void)state;
	close(listen_local(1, port));
	assert_null(dial(&p, NULL, &e));
	assert_int_equal(e.kind, ERR_UNAVAIL);
	assert_int_equal(strncmp(e.text, "proxy: can't connect to '127.0.0.1' port", 39), 0);
}

static void test_tunnel(void **state)
{
	struct err e = ERR_INIT;
	struct dial_params p = { .host = "mail.example.org",
		.port = "110",
		.security = DIAL_PLAIN,
		.tunnel = "echo %h:%p; cat",
		.timeout = 5000 };
	struct bufin in;

	(void)state;
	assert_int_equal(bufin_init(&in, must_dial(&p, NULL), &e), 0);
	expect(&in, "mail.example.org:110");
	put(in.s, "hello\n");
	expect(&in, "hello");
	stream_free(in.s);
	bufin_release(&in);

	/* its end in the middle of a handshake is told in its words */
	p.security = DIAL_TLS;
	p.tunnel = "exit 255";
	assert_null(dial(&p, NULL, &e));
	assert_int_equal(e.kind, ERR_TEMP);
	assert_non_null(strstr(e.text, "tunnel command ended with exit status 255"));
}

static void mute(int fd, int nth, void *arg)
{
	char c;

	(void)nth;
	(void)arg;
	while (read(fd, &c, 1) > 0)
		;
}

static void test_timeout(void **state)
{
	struct peer peer;
	struct dial_params p = { .host = "127.0.0.1", .port = peer.port, .timeout = 100 };
	struct err e = ERR_INIT;
	msec_t t = clock_now();

	(void)state;
	peer_start(&peer, mute, NULL);
	assert_null(dial(&p, NULL, &e));
	assert_int_equal(e.kind, ERR_TIMEOUT);
	assert_in_range(clock_now() - t, 95, 1500);
	peer_stop(&peer);
}

/* Echoes bytes: what was compressed comes back compressed. */
static void serve_echo(int fd, int nth, void *arg)
{
	char buf[4096];
	ssize_t n;

	(void)nth;
	(void)arg;
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		peer_send(fd, buf, (size_t)n);
}

static void test_deflate(void **state)
{
	struct peer peer;
	struct net_stats st = { 0 };
	struct dial_params p = { .host = "127.0.0.1",
		.port = peer.port,
		.security = DIAL_PLAIN,
		.timeout = 5000,
		.trace = true };
	struct err e = ERR_INIT;
	struct bufin in;
	struct stream *s;

	(void)state;
	peer_start(&peer, serve_echo, NULL);
	strbuf_clear(&seen);
	s = dial_start_deflate(must_dial(&p, &st), &p, NULL, &e);
	assert_non_null(s);
	assert_ptr_equal(s->ops, &trace_ops);
	assert_non_null(stream_find(s, &deflate_ops));
	assert_int_equal(bufin_init(&in, s, &e), 0);
	put(s, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n");
	expect(&in, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
	assert_in_range(st.out, 5, 40);
	assert_int_equal(st.in, st.out);
	assert_non_null(strstr(strbuf_str(&seen), "> aaaaaaaa"));
	assert_non_null(strstr(strbuf_str(&seen), "< aaaaaaaa"));
	stream_free(s);
	bufin_release(&in);
	peer_stop(&peer);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tls),
		cmocka_unit_test(test_start_tls),
		cmocka_unit_test(test_proxy),
		cmocka_unit_test(test_no_proxy),
		cmocka_unit_test(test_tunnel),
		cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_deflate),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
