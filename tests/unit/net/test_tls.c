/* TLS against a server of OpenSSL's in a child process. */
#include "../../lib/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "net/bufin.h"
#include "net/tls.h"
#include "tlspeer.h"

#define HOUR 3600L
#define BUSY_MS 500 /* what a busy machine may add to a wait that a signal ends */

static struct pki pki;
static char ca_file[4096];

static const struct cert_spec certs[] = {
	{ "good", "DNS:localhost,DNS:*.example.org,IP:127.0.0.1,IP:::1", -HOUR, HOUR, BY_CA },
	{ "expired", "DNS:localhost", -2 * HOUR, -HOUR, BY_CA },
	{ "future", "DNS:localhost", HOUR, 2 * HOUR, BY_CA },
	{ "wrong", "DNS:elsewhere.example,DNS:other.example,IP:192.0.2.1", -HOUR, HOUR, BY_CA },
	{ "localhost", NULL, -HOUR, HOUR, BY_CA }, /* the common name alone */
	{ "self", "DNS:localhost", -HOUR, HOUR, BY_SELF },
	{ "stranger", "DNS:localhost", -HOUR, HOUR, BY_STRANGER },
	{ "partial", "DNS:local*", -HOUR, HOUR, BY_CA },
	{ "client", NULL, -HOUR, HOUR, BY_CA },
};

static int setup(void **state)
{
	(void)state;
	pki_make(&pki);
	for (size_t i = 0; i < COUNT(certs); i++)
		pki_issue(&pki, &certs[i]);
	snprintf(ca_file, sizeof(ca_file), "%s", pki_path(&pki, "ca", ".crt"));
	return clock_cancel_init(NULL);
}

static int teardown(void **state)
{
	(void)state;
	pki_remove(&pki);
	return 0;
}

/* TLS to a peer. */
static struct stream *try_tls(const struct peer *p, const struct tls_params *t, struct err *e)
{
	return tls_over(peer_dial(p), t, e);
}

static struct stream *must_tls(const struct peer *p, const struct tls_params *t)
{
	struct err e = ERR_INIT;
	struct stream *s = try_tls(p, t, &e);

	if (!s)
		fail_msg("%s", e.text);
	return s;
}

/* The next line must be this. */
static void expect(struct bufin *in, const char *text)
{
	struct err e = ERR_INIT;
	struct slice line = { 0 };
	int r = bufin_line(in, 4096, &line, NULL, &e);

	if (r != 1)
		fail_msg("%d instead of '%s': %s", r, text, e.text);
	if (!slice_eqs(line, text))
		fail_msg("'%.*s' instead of '%s'", (int)line.n, line.p, text);
}

/* The greeting: full or resumed, and the server's idea of the bindings, compared with ours. */
static void greeting(struct bufin *in, const char *how, bool unique)
{
	static const char *const types[] = { "tls-exporter", "tls-unique" };
	unsigned char buf[64];

	expect(in, how);
	for (size_t i = 0; i < COUNT(types); i++) {
		size_t n = tls_binding(in->s, types[i], buf, sizeof(buf));
		char line[256];
		int at = snprintf(line, sizeof(line), "%s ", i == 0 ? "exporter" : "unique");

		for (size_t k = 0; k < n; k++)
			at += snprintf(line + at, sizeof(line) - (size_t)at, "%02x", buf[k]);
		if (i == 0 || unique) {
			expect(in, line);
		} else {
			struct slice any;

			assert_int_equal(n, 0);
			assert_int_equal(bufin_line(in, 4096, &any, NULL, NULL), 1);
		}
	}
}

static void put(struct stream *s, const char *text)
{
	struct err e = ERR_INIT;

	assert_int_equal(stream_write(s, text, strlen(text), &e), 0);
	assert_int_equal(stream_flush(s, &e), 0);
}

static void open_in(struct bufin *in, struct stream *s)
{
	assert_int_equal(bufin_init(in, s, NULL), 0);
}

static void close_in(struct bufin *in)
{
	stream_free(in->s);
	bufin_release(in);
}

/* Every version, every size of pieces. */
static void test_talk(void **state)
{
	static const size_t steps[] = { 1, 2, 3, 5, 7, 16, 100, 1000, 100000 };
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

	(void)state;
	for (size_t v = 0; v < COUNT(versions); v++) {
		struct tls_peer t = { .pki = &pki, .cert = "good", .version = versions[v] };
		struct tls_params p = { .host = "localhost", .ca_file = ca_file };
		struct peer peer;

		peer_start(&peer, tls_peer_serve, &t);
		for (size_t i = 0; i < COUNT(steps); i++) {
			struct err e = ERR_INIT;
			struct stream *s = tls_over(step_over(peer_dial(&peer), steps[i]), &p, &e);
			struct bufin in;
			char c;

			if (!s)
				fail_msg("%s", e.text);
			open_in(&in, s);
			greeting(&in, "full", true);
			put(s, "one\ntwo\n");
			expect(&in, "one");
			expect(&in, "two");
			put(s, "quit\n");
			assert_int_equal(stream_read(s, &c, 1, &e), 0);
			assert_int_equal(stream_read(s, &c, 1, &e), 0);
			stream_shut(s);
			close_in(&in);
		}
		peer_stop(&peer);
	}
}

static void test_info(void **state)
{
	struct tls_peer t = { .pki = &pki, .cert = "good", .version = TLS1_3_VERSION };
	struct tls_params p = { .host = "localhost.", .ca_file = ca_file };
	struct peer peer;
	struct stream *s, *m = memstream_new("", 0, 0, NULL);
	struct tls_info info;
	unsigned char end_point[64];
	char print[65], hex[65];

	(void)state;
	peer_start(&peer, tls_peer_serve, &t);
	s = must_tls(&peer, &p);
	assert_int_equal(tls_info(s, &info), 0);
	assert_string_equal(info.version, "TLSv1.3");
	assert_non_null(strstr(info.cipher, "TLS_"));
	assert_string_equal(info.subject, "CN=good");
	assert_string_equal(info.issuer, "CN=ca");
	assert_string_equal(info.names, "localhost, *.example.org, 127.0.0.1, ::1");
	assert_int_equal(strlen(info.not_before), 20);
	assert_true(info.not_before[10] == 'T' && info.not_before[19] == 'Z');
	assert_true(strcmp(info.not_before, info.not_after) < 0);
	assert_false(info.resumed);
	assert_false(info.pinned);
	pki_fingerprint(&pki, "good", print);
	assert_string_equal(info.fingerprint, print);
	/* signed with SHA-256: the same as the fingerprint */
	assert_int_equal(tls_binding(s, "tls-server-end-point", end_point, sizeof(end_point)), 32);
	for (size_t i = 0; i < 32; i++)
		snprintf(hex + 2 * i, 3, "%02x", end_point[i]);
	assert_string_equal(hex, print);
	assert_int_equal(tls_binding(s, "tls-server-end-point", end_point, 31), 0);
	assert_int_equal(tls_binding(s, "tls-exporter", end_point, 31), 0);
	assert_int_equal(tls_binding(s, "other", end_point, sizeof(end_point)), 0);
	assert_int_equal(tls_info(m, &info), -1);
	assert_int_equal(tls_binding(m, "tls-exporter", end_point, sizeof(end_point)), 0);
	stream_free(s);
	stream_free(m);
	peer_stop(&peer);
}

/* Which certificates do for which hosts, and what is said of those that don't. */
static const struct {
	const char *cert, *host;
	bool ca;
	const char *text; /* NULL: accepted */
} verdicts[] = {
	{ "good", "localhost", true, NULL },
	{ "good", "LocalHost", true, NULL },
	{ "good", "127.0.0.1", true, NULL },
	{ "good", "::1", true, NULL },
	{ "good", "[::1]", true, NULL },
	{ "good", "imap.example.org", true, NULL },
	{ "good", "a.b.example.org", true,
		"not for 'a.b.example.org' but for localhost, *.example.org, 127.0.0.1, ::1" },
	{ "good", "example.org", true, "not for 'example.org'" },
	{ "good", "127.0.0.2", true, "not for '127.0.0.2'" },
	{ "good", "good", true, "not for 'good'" }, /* its common name */
	{ "good", "localhost", false, "from an authority unknown to this machine: CN=ca" },
	{ "wrong", "localhost", true,
		"not for 'localhost' but for elsewhere.example, other.example, 192.0.2.1" },
	{ "localhost", "localhost", true,
		"it names no host or address (its subject, CN=localhost, doesn't count)" },
	{ "partial", "localhost", true, "not for 'localhost' but for local*" },
	{ "expired", "localhost", true, "certificate of 'localhost' expired on 2" },
	{ "future", "localhost", true, "is not valid before 2" },
	{ "self", "localhost", true, "certificate of 'localhost' is self-signed" },
	{ "stranger", "localhost", true, "from an authority unknown to ca-file: CN=Some Stranger" },
};

static void test_verdicts(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(verdicts); i++) {
		struct tls_peer t = { .pki = &pki, .cert = verdicts[i].cert };
		struct tls_params p = { .host = verdicts[i].host,
			.ca_file = verdicts[i].ca ? ca_file : NULL };
		struct err e = ERR_INIT;
		struct peer peer;
		struct stream *s;
		char print[65];

		peer_start(&peer, tls_peer_serve, &t);
		s = try_tls(&peer, &p, &e);
		peer_stop(&peer);
		if (!verdicts[i].text) {
			if (!s)
				fail_msg("%s for %s: %s", verdicts[i].cert, verdicts[i].host,
					e.text);
			stream_free(s);
			continue;
		}
		assert_null(s);
		assert_int_equal(e.kind, ERR_CERT);
		if (!strstr(e.text, verdicts[i].text))
			fail_msg("'%s' is not in '%s'", verdicts[i].text, e.text);
		pki_fingerprint(&pki, verdicts[i].cert, print);
		assert_non_null(strstr(e.text, print));
		assert_non_null(strstr(e.text, "fingerprint = \""));
	}
}

/* The server itself, or an authority below the root, may stand in ca-file. */
static void test_own_authority(void **state)
{
	static const char *const names[] = { "self", "good" };

	(void)state;
	for (size_t i = 0; i < COUNT(names); i++) {
		struct tls_peer t = { .pki = &pki, .cert = names[i] };
		struct tls_params p = { .host = "localhost",
			.ca_file = pki_path(&pki, names[i], ".crt") };
		struct peer peer;

		peer_start(&peer, tls_peer_serve, &t);
		stream_free(must_tls(&peer, &p));
		peer_stop(&peer);
	}
}

/* A pin replaces the authority, in both directions. */
static void test_pins(void **state)
{
	char self[65], good[65], colons[96] = "";
	struct tls_peer t = { .pki = &pki, .cert = "self" },
			chain = { .pki = &pki, .cert = "good" };
	struct tls_params p = { .host = "some.where.else" };
	struct tls_info info;
	struct err e = ERR_INIT;
	struct peer peer;
	struct stream *s;

	(void)state;
	pki_fingerprint(&pki, "self", self);
	pki_fingerprint(&pki, "good", good);
	for (int i = 0; i < 32; i++)
		snprintf(colons + 3 * i, 4, i < 31 ? "%c%c:" : "%c%c",
			self[2 * i] >= 'a' ? self[2 * i] - 32 : self[2 * i], self[2 * i + 1]);
	peer_start(&peer, tls_peer_serve, &t);
	p.pins[0] = good;
	p.pins[1] = colons;
	s = must_tls(&peer, &p);
	assert_int_equal(tls_info(s, &info), 0);
	assert_true(info.pinned);
	stream_free(s);
	p.pins[1] = NULL;
	assert_null(try_tls(&peer, &p, &e));
	assert_int_equal(e.kind, ERR_CERT);
	assert_non_null(strstr(e.text, "not the pinned one"));
	assert_non_null(strstr(e.text, self));
	peer_stop(&peer);

	/* a chain in order does not help against a pin */
	peer_start(&peer, tls_peer_serve, &chain);
	p = (struct tls_params){ .host = "localhost", .ca_file = ca_file, .pins = { self } };
	assert_null(try_tls(&peer, &p, &e));
	assert_int_equal(e.kind, ERR_CERT);
	peer_stop(&peer);
}

static void test_bad_params(void **state)
{
	static const struct {
		struct tls_params p;
		const char *text;
	} rows[] = {
		{ { .host = "localhost", .pins = { "12" } }, "is not sha256" },
		{ { .host = "localhost",
			  .pins = { "zz0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f" } },
			"is not sha256" },
		{ { .host = "localhost",
			  .pins = { "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20" } },
			"is not sha256" },
		{ { .host = "localhost",
			  .pins = { "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1" } },
			"is not sha256" },
		{ { .host = "localhost", .pins = { "" } }, "is not sha256" },
		{ { .host = "localhost", .ca_file = "/nonexistent/ca.pem" },
			"ca-file '/nonexistent/ca.pem'" },
		{ { .host = "localhost", .client_cert = "/nonexistent/c.pem" },
			"client-cert '/nonexistent/c.pem'" },
		{ { .host = "" }, "needs the name" },
		{ { .host = NULL }, "needs the name" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct err e = ERR_INIT;

		assert_null(tls_over(memstream_new("", 0, 0, NULL), &rows[i].p, &e));
		assert_int_equal(e.kind, ERR_CONF);
		assert_non_null(strstr(e.text, rows[i].text));
	}
}

/* Connect, hear how, and leave with or without ceremony. */
static void visit(const struct peer *peer, const struct tls_params *p, const char *how, bool polite)
{
	struct bufin in;
	struct tls_info info;

	open_in(&in, must_tls(peer, p));
	greeting(&in, how, true);
	assert_int_equal(tls_info(in.s, &info), 0);
	assert_int_equal(info.resumed, strcmp(how, "resumed") == 0);
	put(in.s, "quit\n");
	if (polite)
		stream_shut(in.s);
	close_in(&in);
}

/* A session is taken up again, also after an abrupt end, but only under the same conditions. */
static void test_resume(void **state)
{
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
	char print[65];

	(void)state;
	pki_fingerprint(&pki, "good", print);
	for (size_t v = 0; v < COUNT(versions); v++) {
		struct tls_peer t = { .pki = &pki, .cert = "good", .version = versions[v] };
		struct tls_memory *m = tls_memory_new();
		struct tls_params p = { .host = "localhost", .ca_file = ca_file, .memory = m };
		struct peer peer;

		assert_non_null(m);
		peer_start(&peer, tls_peer_serve, &t);
		visit(&peer, &p, "full", true);
		visit(&peer, &p, "resumed", true);
		visit(&peer, &p, "resumed", false);
		visit(&peer, &p, "resumed", true);
		p.host = "127.0.0.1";
		visit(&peer, &p, "full", true);
		visit(&peer, &p, "resumed", true);
		p.pins[0] = print;
		visit(&peer, &p, "full", true);
		visit(&peer, &p, "resumed", true);
		p.ca_file = NULL;
		visit(&peer, &p, "full", true);
		p.min_version = 12;
		visit(&peer, &p, "full", true);
		p.memory = NULL;
		visit(&peer, &p, "full", true);
		peer_stop(&peer);
		tls_memory_free(m);
	}
}

/* What another process is given: a session of TLS 1.3, as long as the server takes it up. */
static void test_resume_kept(void **state)
{
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

	(void)state;
	for (size_t v = 0; v < COUNT(versions); v++) {
		struct tls_peer t = { .pki = &pki, .cert = "good", .version = versions[v] };
		struct strbuf kept = STRBUF_SECRET(65536), again = STRBUF_SECRET(65536);
		struct tls_memory *m = tls_memory_new();
		struct tls_params p = { .host = "localhost", .ca_file = ca_file, .memory = m };
		struct peer peer;

		peer_start(&peer, tls_peer_serve, &t);
		assert_int_equal(tls_memory_save(m, &kept), 0);
		assert_int_equal(kept.len, 0);
		visit(&peer, &p, "full", true);
		assert_int_equal(tls_memory_save(m, &kept), 0);
		tls_memory_free(m);
		assert_int_equal(kept.len > 0, versions[v] == TLS1_3_VERSION);
		for (int i = 0; kept.len > 0 && i < 3; i++) {
			p.memory = m = tls_memory_new();
			assert_int_equal(tls_memory_load(m, &p, kept.s, kept.len), 0);
			p.host = i == 1 ? "127.0.0.1" : "localhost";
			visit(&peer, &p, i == 1 ? "full" : "resumed", true);
			assert_false(tls_memory_refused(m));
			strbuf_clear(&again);
			assert_int_equal(tls_memory_save(m, &again), 0);
			assert_true(slice_eq(strbuf_slice(&kept), strbuf_slice(&again)));
			p.host = "localhost";
			tls_memory_free(m);
		}
		peer_stop(&peer);
		/* another process of the server has another key */
		peer_start(&peer, tls_peer_serve, &t);
		p.memory = m = tls_memory_new();
		for (size_t n = 0; n < kept.len; n += 97)
			assert_int_equal(tls_memory_load(m, &p, kept.s, n), -1);
		if (kept.len > 0)
			assert_int_equal(tls_memory_load(m, &p, kept.s, kept.len), 0);
		visit(&peer, &p, "full", true);
		assert_int_equal(tls_memory_refused(m), kept.len > 0);
		tls_memory_free(m);
		peer_stop(&peer);
		strbuf_release(&kept);
		strbuf_release(&again);
	}
}

/* What one way of trust accepted is no way around another. */
static void test_resume_trust(void **state)
{
	struct tls_peer t = { .pki = &pki, .cert = "self" };
	struct tls_memory *m = tls_memory_new();
	struct tls_params p = { .host = "localhost", .memory = m };
	struct err e = ERR_INIT;
	struct peer peer;
	char print[65];

	(void)state;
	pki_fingerprint(&pki, "self", print);
	peer_start(&peer, tls_peer_serve, &t);
	p.pins[0] = print;
	visit(&peer, &p, "full", true);
	p.pins[0] = NULL;
	assert_null(try_tls(&peer, &p, &e));
	assert_int_equal(e.kind, ERR_CERT);
	/* and a failure forgets */
	p.pins[0] = print;
	visit(&peer, &p, "full", true);
	peer_stop(&peer);
	tls_memory_free(m);
	tls_memory_free(NULL);
}

/* A session whose certificate has expired since: it is to be looked at anew. One that is pinned is believed in spite of that, and shows it. */
static void test_resume_expired(void **state)
{
	struct tls_peer t = { .pki = &pki, .cert = "expired" };
	struct strbuf kept = STRBUF_SECRET(65536);
	struct tls_memory *m = tls_memory_new();
	struct tls_params p = { .host = "localhost", .memory = m };
	struct peer peer;
	char print[65];

	(void)state;
	pki_fingerprint(&pki, "expired", print);
	p.pins[0] = print;
	peer_start(&peer, tls_peer_serve, &t);
	visit(&peer, &p, "full", true);
	peer_stop(&peer);
	assert_int_equal(tls_memory_save(m, &kept), 0);
	assert_true(kept.len > 0);
	assert_int_equal(tls_memory_load(m, &p, kept.s, kept.len), -1);
	strbuf_release(&kept);
	tls_memory_free(m);
}

static void test_client_cert(void **state)
{
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
	char cert[4096], key[4096];

	(void)state;
	snprintf(cert, sizeof(cert), "%s", pki_path(&pki, "client", ".crt"));
	snprintf(key, sizeof(key), "%s", pki_path(&pki, "client", ".key"));
	for (size_t v = 0; v < COUNT(versions); v++) {
		struct tls_peer t = {
			.pki = &pki, .cert = "good", .version = versions[v], .want_client = true
		};
		struct tls_params p = { .host = "localhost",
			.ca_file = ca_file,
			.client_cert = cert,
			.client_key = key };
		struct err e = ERR_INIT;
		struct peer peer;
		struct stream *s;
		char c;

		peer_start(&peer, tls_peer_serve, &t);
		visit(&peer, &p, "full", true);

		/* none: with TLS 1.3 the refusal comes with the first read */
		p.client_cert = p.client_key = NULL;
		s = try_tls(&peer, &p, &e);
		if (s) {
			assert_int_equal(versions[v], TLS1_3_VERSION);
			assert_int_equal(stream_read(s, &c, 1, &e), -1);
			stream_free(s);
		}
		if (e.kind != ERR_CERT || !strstr(e.text, "client-cert and client-key"))
			fail_msg("%s", e.text);

		/* one of no authority that the server knows */
		p.client_cert = pki_path(&pki, "self", ".crt");
		p.client_key = pki_path(&pki, "self", ".key");
		err_clear(&e);
		s = try_tls(&peer, &p, &e);
		if (s) {
			assert_int_equal(stream_read(s, &c, 1, &e), -1);
			stream_free(s);
		}
		if (e.kind != ERR_CERT || !strstr(e.text, "refused our client certificate"))
			fail_msg("%s", e.text);

		/* a key for all to read */
		assert_int_equal(chmod(key, 0644), 0);
		p.client_cert = cert;
		p.client_key = key;
		assert_null(try_tls(&peer, &p, &e));
		assert_int_equal(e.kind, ERR_PERM);
		assert_int_equal(chmod(key, 0600), 0);
		peer_stop(&peer);
	}
}

static void test_versions(void **state)
{
	struct tls_peer t = { .pki = &pki, .cert = "good", .version = TLS1_2_VERSION };
	struct tls_params p = { .host = "localhost", .ca_file = ca_file, .min_version = 13 };
	struct err e = ERR_INIT;
	struct peer peer;

	(void)state;
	peer_start(&peer, tls_peer_serve, &t);
	assert_null(try_tls(&peer, &p, &e));
	assert_int_equal(e.kind, ERR_CERT);
	assert_non_null(strstr(e.text, "tls-min"));
	peer_stop(&peer);
}

/* Without the extended master secret tls-unique binds nothing, and is not offered. */
static void test_no_ems(void **state)
{
	struct tls_peer t = {
		.pki = &pki, .cert = "good", .version = TLS1_2_VERSION, .no_ems = true
	};
	struct tls_params p = { .host = "localhost", .ca_file = ca_file };
	struct peer peer;
	struct bufin in;

	(void)state;
	peer_start(&peer, tls_peer_serve, &t);
	open_in(&in, must_tls(&peer, &p));
	greeting(&in, "full", false);
	close_in(&in);
	peer_stop(&peer);
}

/* A read that timed out may be tried again. */
static void test_timeout_read(void **state)
{
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

	(void)state;
	for (size_t v = 0; v < COUNT(versions); v++) {
		struct tls_peer t = {
			.pki = &pki, .cert = "good", .version = versions[v], .greet_late = true
		};
		struct tls_params p = { .host = "localhost", .ca_file = ca_file };
		struct err e = ERR_INIT;
		struct peer peer;
		struct bufin in;
		struct stream *s;
		char c;

		peer_start(&peer, tls_peer_serve, &t);
		s = must_tls(&peer, &p);
		stream_set_deadline(s, clock_in(50));
		assert_int_equal(stream_read(s, &c, 1, &e), -1);
		assert_int_equal(e.kind, ERR_TIMEOUT);
		stream_set_deadline(s, clock_in(5000));
		open_in(&in, s);
		greeting(&in, "full", true);
		put(s, "still here\n");
		expect(&in, "still here");
		close_in(&in);
		peer_stop(&peer);
	}
}

static void mute(int fd, int nth, void *arg)
{
	char c;

	(void)nth;
	(void)arg;
	while (read(fd, &c, 1) > 0)
		;
}

static void test_stall(void **state)
{
	struct tls_params p = { .host = "localhost", .ca_file = ca_file };
	struct err e = ERR_INIT;
	struct peer peer;
	struct stream *s;
	msec_t t;

	(void)state;
	peer_start(&peer, mute, NULL);
	s = peer_dial(&peer);
	t = clock_now();
	stream_set_deadline(s, clock_in(100));
	assert_null(tls_over(s, &p, &e));
	assert_int_equal(e.kind, ERR_TIMEOUT);
	assert_string_equal(e.text, "TLS handshake with 'localhost': timed out");
	assert_in_range(clock_now() - t, 95, 1000);
	peer_stop(&peer);
}

static void test_cancel(void **state)
{
	struct tls_params p = { .host = "localhost", .ca_file = ca_file };
	struct err e = ERR_INIT;
	struct peer peer;
	struct stream *s;
	msec_t t;
	pid_t me = getpid(), pid;

	(void)state;
	peer_start(&peer, mute, NULL);
	s = peer_dial(&peer);
	t = clock_now();
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		usleep(100000);
		kill(me, SIGTERM);
		_exit(0);
	}
	assert_null(tls_over(s, &p, &e));
	assert_int_equal(e.kind, ERR_CANCEL);
	assert_in_range(clock_now() - t, 95, 100 + BUSY_MS);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	clock_cancel_clear();
	peer_stop(&peer);
}

/* The end of a connection is an end only when the server says so. */
static void test_truncation(void **state)
{
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

	(void)state;
	for (size_t i = 0; i < 2 * COUNT(versions); i++) {
		bool abrupt = i & 1;
		struct tls_peer t = {
			.pki = &pki, .cert = "good", .version = versions[i / 2], .abrupt = abrupt
		};
		struct tls_params p = { .host = "localhost", .ca_file = ca_file };
		struct err e = ERR_INIT;
		struct peer peer;
		struct bufin in;
		char c;

		peer_start(&peer, tls_peer_serve, &t);
		open_in(&in, must_tls(&peer, &p));
		greeting(&in, "full", true);
		put(in.s, "quit\n");
		for (int again = 0; again < 2; again++) {
			assert_int_equal(stream_read(in.s, &c, 1, &e), abrupt ? -1 : 0);
			if (abrupt) {
				assert_int_equal(e.kind, ERR_TEMP);
				assert_string_equal(e.text, "connection closed without TLS close");
			}
		}
		close_in(&in);
		peer_stop(&peer);
	}
}

static void say_text(int fd, int nth, void *arg)
{
	const char *text = arg;
	char buf[4096];

	(void)nth;
	peer_send(fd, text, strlen(text));
	while (text[0] && read(fd, buf, sizeof(buf)) > 0)
		;
}

/* Peers that speak something else, or nothing. */
static void test_no_tls(void **state)
{
	static const struct {
		const char *says;
		enum err_kind kind;
		const char *text;
	} rows[] = {
		{ "+OK POP3 ready\r\n", ERR_PROTO, "'localhost' doesn't speak TLS on this port" },
		{ "* OK IMAP4rev1 ready\r\n", ERR_PROTO, "doesn't speak TLS" },
		{ "HTTP/1.1 400 Bad Request\r\n\r\n", ERR_PROTO, "doesn't speak TLS" },
		{ "", ERR_TEMP, "TLS handshake with 'localhost': connection" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct tls_params p = { .host = "localhost", .ca_file = ca_file };
		struct err e = ERR_INIT;
		struct peer peer;
		char text[64];

		snprintf(text, sizeof(text), "%s", rows[i].says);
		peer_start(&peer, say_text, text);
		assert_null(try_tls(&peer, &p, &e));
		assert_int_equal(e.kind, rows[i].kind);
		if (!strstr(e.text, rows[i].text))
			fail_msg("'%s' is not in '%s'", rows[i].text, e.text);
		peer_stop(&peer);
	}
}

/* Much data both ways, in sizes around those of records. */
static void test_bulk(void **state)
{
	static const size_t sizes[] = { 1, 100, 16383, 16384, 16385, 40000 };
	struct tls_peer t = { .pki = &pki, .cert = "good" };
	struct tls_params p = { .host = "localhost", .ca_file = ca_file };
	struct err e = ERR_INIT;
	struct peer peer;
	struct bufin in;
	char *data = malloc(40000), *back = malloc(40001);

	(void)state;
	assert_non_null(data);
	assert_non_null(back);
	for (size_t i = 0; i < 40000; i++)
		data[i] = (char)('a' + i % 23);
	peer_start(&peer, tls_peer_serve, &t);
	open_in(&in, must_tls(&peer, &p));
	greeting(&in, "full", true);
	for (size_t a = 0; a < COUNT(sizes); a++) {
		for (size_t b = 0; b < COUNT(sizes); b++) {
			size_t want[2] = { sizes[a], sizes[b] };

			assert_int_equal(stream_write(in.s, data, want[0], &e), 0);
			assert_int_equal(stream_write(in.s, data, want[1], &e), 0);
			assert_int_equal(stream_flush(in.s, &e), 0);
			for (int k = 0; k < 2; k++) {
				size_t n = 0;

				while (n < want[k]) {
					ssize_t r = stream_read(in.s, back + n, want[k] - n, &e);

					if (r <= 0)
						fail_msg("%zu of %zu: %s", n, want[k], e.text);
					n += (size_t)r;
				}
				assert_memory_equal(back, data, want[k]);
			}
		}
	}
	close_in(&in);
	peer_stop(&peer);
	free(data);
	free(back);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_talk),
		cmocka_unit_test(test_info),
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_own_authority),
		cmocka_unit_test(test_pins),
		cmocka_unit_test(test_bad_params),
		cmocka_unit_test(test_resume),
		cmocka_unit_test(test_resume_trust), cmocka_unit_test(test_resume_expired),
		cmocka_unit_test(test_resume_kept),
		cmocka_unit_test(test_client_cert),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_no_ems),
		cmocka_unit_test(test_timeout_read),
		cmocka_unit_test(test_stall),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_truncation),
		cmocka_unit_test(test_no_tls),
		cmocka_unit_test(test_bulk),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
