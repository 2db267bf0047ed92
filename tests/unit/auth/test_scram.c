/* SCRAM's client against the vectors of the RFCs and broken messages. */
#include "../../lib/unit.h"

#include "auth/scram.h"
#include "base/clock.h"

/* RFC 5802 section 5 and RFC 7677 section 3. */
static const struct {
	const char *digest, *nonce, *first, *server_first, *reply, *server_final;
} vectors[] = {
	{ "SHA1", "fyko+d2lbbFgONRv9qkxdawL", "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
	  "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
	  "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
	  "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=" },
	{ "SHA256", "rOprNGfwEbeRWgbNEkqO", "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
	  "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
	  "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
	  "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=" },
};

/* A conversation of user "user", password "pencil", nonce "ours". */
static struct scram *start(const char *digest, const char *nonce)
{
	struct strbuf password = STRBUF_SECRET(64);
	struct scram_params p = { .digest = digest, .user = "user", .password = &password, .flag = 'n', .nonce = nonce };
	struct err e = ERR_INIT;
	struct scram *s;

	strbuf_puts(&password, "pencil");
	s = scram_new(&p, &e);
	strbuf_release(&password);
	assert_non_null(s);
	return s;
}

static void test_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(vectors); i++) {
		struct scram *s = start(vectors[i].digest, vectors[i].nonce);
		struct strbuf out = STRBUF_SECRET(4096);
		struct err e = ERR_INIT;

		/* no proof is accepted before there is something to prove */
		assert_int_equal(scram_verify(s, slice_str(vectors[i].server_final), &e), -1);
		assert_int_equal(scram_first(s, &out, &e), 0);
		assert_string_equal(strbuf_str(&out), vectors[i].first);
		strbuf_clear(&out);
		assert_int_equal(scram_reply(s, slice_str(vectors[i].server_first), &out, &e), 0);
		assert_string_equal(strbuf_str(&out), vectors[i].reply);
		assert_int_equal(scram_verify(s, slice_str(vectors[i].server_final), &e), 0);
		strbuf_release(&out);
		scram_free(s);
	}
}

/* The server's first message to our nonce "ours"; want NULL: it is good. */
static const struct {
	const char *msg, *want;
	enum err_kind kind;
} firsts[] = {
	{ "r=oursX,s=QSXC,i=4096", NULL, ERR_NONE },
	{ "r=oursX,s=QSXC,i=4096,x=future,y", NULL, ERR_NONE },
	{ "r=oursX,s=QSXC,i=04096", NULL, ERR_NONE },
	{ "", "nonce", ERR_PROTO },
	{ ",", "nonce", ERR_PROTO },
	{ "r=ours,s=QSXC,i=4096", "nonce", ERR_PROTO },
	{ "r=our,s=QSXC,i=4096", "nonce", ERR_PROTO },
	{ "r=Xours,s=QSXC,i=4096", "nonce", ERR_PROTO },
	{ "r=theirs,s=QSXC,i=4096", "nonce", ERR_PROTO },
	{ "r=ours X,s=QSXC,i=4096", "nonce", ERR_PROTO },
	{ "r=ours\x80,s=QSXC,i=4096", "nonce", ERR_PROTO },
	{ "s=QSXC,r=oursX,i=4096", "nonce", ERR_PROTO },
	{ "r=,s=QSXC,i=4096", "nonce", ERR_PROTO },
	{ "m=must,r=oursX,s=QSXC,i=4096", "extension", ERR_PROTO },
	{ "r=oursX", "salt", ERR_PROTO },
	{ "r=oursX,s=,i=4096", "salt", ERR_PROTO },
	{ "r=oursX,s=QSX,i=4096", "salt", ERR_PROTO },
	{ "r=oursX,i=4096,s=QSXC", "salt", ERR_PROTO },
	{ "r=oursX,s=QSXC", "iteration", ERR_PROTO },
	{ "r=oursX,s=QSXC,i=", "iteration", ERR_PROTO },
	{ "r=oursX,s=QSXC,i=-4096", "iteration", ERR_PROTO },
	{ "r=oursX,s=QSXC,i=4096x", "iteration", ERR_PROTO },
	{ "r=oursX,s=QSXC,i=99999999999999999999999", "iteration", ERR_PROTO },
	{ "r=oursX,s=QSXC,i=0", "0 iterations", ERR_PROTO },
	{ "r=oursX,s=QSXC,i=1", "1 iterations", ERR_PROTO },
	{ "r=oursX,s=QSXC,i=4095", "4095 iterations", ERR_PROTO },
	{ "r=oursX,s=QSXC,i=10000001", "10000001 iterations", ERR_PROTO },
	{ "r=oursX,s=QSXC,i=4000000000", "4000000000 iterations", ERR_PROTO },
	{ "r=oursX,s=QSXC,i=4294971392", "4294971392 iterations", ERR_PROTO }, /* 4096 in 32 bits */
	{ "e=unknown-user", "unknown-user", ERR_AUTH },
	{ "e=server-does-support-channel-binding", "-PLUS", ERR_AUTH },
	{ "e=\033[2J", "\\x1b[2J", ERR_AUTH },
};

static void test_firsts(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(firsts); i++) {
		struct scram *s = start("SHA1", "ours");
		struct strbuf out = STRBUF_SECRET(4096);
		struct err e = ERR_INIT;
		int rc = scram_reply(s, slice_str(firsts[i].msg), &out, &e);

		if (rc != (firsts[i].want ? -1 : 0) || e.kind != firsts[i].kind ||
		    (firsts[i].want && !strstr(e.text, firsts[i].want)))
			fail_msg("row %zu: %d '%s'", i, rc, e.text);
		/* nothing that guessing could start from goes to a server that is refused */
		assert_int_equal(out.len > 0, rc == 0);
		strbuf_release(&out);
		scram_free(s);
	}
}

static void test_long_first(void **state)
{
	struct scram *s = start("SHA1", "ours");
	struct strbuf out = STRBUF_SECRET(65536), msg = STRBUF_INIT(65536);
	struct err e = ERR_INIT;

	(void)state;
	strbuf_puts(&msg, "r=ours");
	for (int i = 0; i < 5000; i++)
		strbuf_putc(&msg, 'x');
	strbuf_puts(&msg, ",s=QSXC,i=4096");
	assert_int_equal(scram_reply(s, strbuf_slice(&msg), &out, &e), -1);
	assert_non_null(strstr(e.text, "too long"));
	strbuf_release(&out);
	strbuf_release(&msg);
	scram_free(s);
}

/* The server's last message, where the first vector's is due; want NULL: it is good. */
static const struct {
	const char *msg, *want;
} finals[] = {
	{ "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=", NULL },
	{ "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=,x=future", NULL },
	{ "v=rmF9pqV8S7suAoZWja4dJRkFsKU=", "proof is wrong" },
	{ "v=rmF9pqV8S7suAoZWja4dJRkFsA==", "proof is wrong" },
	{ "v=rmF9pqV8S7suAoZWja4dJRkFsKQA", "proof is wrong" },
	{ "v=", "proof is wrong" },
	{ "v=====", "proof is wrong" },
	{ "V=rmF9pqV8S7suAoZWja4dJRkFsKQ=", "no proof" },
	{ "x=y,v=rmF9pqV8S7suAoZWja4dJRkFsKQ=", "no proof" },
	{ "", "no proof" },
	{ "v", "no proof" },
	{ "e=invalid-proof", "invalid-proof" },
	{ "e=channel-bindings-dont-match", "between you and the server" },
};

static void test_finals(void **state)
{
	struct scram *s = start(vectors[0].digest, vectors[0].nonce);
	struct strbuf out = STRBUF_SECRET(4096);
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(scram_first(s, &out, &e), 0);
	assert_int_equal(scram_reply(s, slice_str(vectors[0].server_first), &out, &e), 0);
	for (size_t i = 0; i < COUNT(finals); i++) {
		int rc;

		err_clear(&e);
		rc = scram_verify(s, slice_str(finals[i].msg), &e);
		if (rc != (finals[i].want ? -1 : 0) || (finals[i].want && !strstr(e.text, finals[i].want)))
			fail_msg("row %zu: %d '%s'", i, rc, e.text);
	}
	strbuf_release(&out);
	scram_free(s);
}

/* Names are escaped, the header carries flag and authorization, nonces differ. */
static void test_header(void **state)
{
	struct strbuf password = STRBUF_SECRET(64), out = STRBUF_INIT(4096), again = STRBUF_INIT(4096);
	struct scram_params p = { .digest = "SHA256", .user = "a,b=c", .authzid = "=,", .password = &password,
				  .flag = 'p', .bind_type = "tls-exporter", .bind_data = SLICE_LIT("\x01\x02\x03") };
	struct err e = ERR_INIT;
	struct scram *s;

	(void)state;
	strbuf_puts(&password, "x");
	for (int i = 0; i < 2; i++) {
		s = scram_new(&p, &e);
		assert_non_null(s);
		assert_int_equal(scram_first(s, i ? &again : &out, &e), 0);
		scram_free(s);
	}
	assert_true(slice_starts(strbuf_slice(&out), "p=tls-exporter,a==3D=2C,n=a=2Cb=3Dc,r="));
	assert_int_equal(out.len, again.len);
	assert_string_not_equal(strbuf_str(&out), strbuf_str(&again));
	assert_int_equal(strlen(strrchr(strbuf_str(&out), '=') + 1), 24);
	/* c= holds header and binding data: "p=tls-exporter,a==3D=2C," 01 02 03 */
	p.nonce = "ours";
	s = scram_new(&p, &e);
	assert_non_null(s);
	strbuf_clear(&out);
	assert_int_equal(scram_reply(s, SLICE_LIT("r=oursX,s=QSXC,i=4096"), &out, &e), 0);
	assert_true(slice_starts(strbuf_slice(&out), "c=cD10bHMtZXhwb3J0ZXIsYT09M0Q9MkMsAQID,r=oursX,p="));
	scram_free(s);
	strbuf_release(&out);
	strbuf_release(&again);
	strbuf_release(&password);
}

/* Two ways to write the same password give the same proof, where it can be prepared (RFC 4013). */
static void test_prepared(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} rows[] = {
		{ "p\xc3\xa4ss", "pa\xcc\x88ss", true },   /* composed or not */
		{ "I\xc2\xadX", "IX", true },               /* soft hyphen */
		{ "\xe2\x85\xa8", "IX", true },             /* roman nine */
		{ "p\xe4ss", "p\xe5ss", false },            /* Latin-1 is taken as it is */
		{ "\xc2\xad", "\xc2\xad\xc2\xad", false },  /* prepared to nothing: as it is */
		{ "a b", "a  b", false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct strbuf out[2] = { STRBUF_SECRET(4096), STRBUF_SECRET(4096) };

		for (int k = 0; k < 2; k++) {
			struct strbuf password = STRBUF_SECRET(64);
			struct scram_params p = { .digest = "SHA1", .user = "user", .password = &password,
						  .flag = 'n', .nonce = "ours" };
			struct err e = ERR_INIT;
			struct scram *s;

			strbuf_puts(&password, k ? rows[i].b : rows[i].a);
			s = scram_new(&p, &e);
			assert_non_null(s);
			assert_int_equal(scram_reply(s, SLICE_LIT("r=oursX,s=QSXC,i=4096"), &out[k], &e), 0);
			scram_free(s);
			strbuf_release(&password);
		}
#ifdef HAVE_GSASL
		if (slice_eq(strbuf_slice(&out[0]), strbuf_slice(&out[1])) != rows[i].same)
			fail_msg("row %zu", i);
#else
		assert_string_not_equal(strbuf_str(&out[0]), strbuf_str(&out[1]));
#endif
		strbuf_release(&out[0]);
		strbuf_release(&out[1]);
	}
}

/* A signal ends even a long computation. Last: the process stays cancelled. */
static void test_cancel(void **state)
{
	struct scram *s = start("SHA256", "ours");
	struct strbuf out = STRBUF_SECRET(4096);
	struct err e = ERR_INIT;
	msec_t before = clock_now();

	(void)state;
	assert_int_equal(clock_cancel_init(&e), 0);
	clock_cancel_now(15);
	assert_int_equal(scram_reply(s, SLICE_LIT("r=oursX,s=QSXC,i=10000000"), &out, &e), -1);
	assert_int_equal(e.kind, ERR_CANCEL);
	assert_true(clock_now() - before < 1000);
	assert_int_equal(out.len, 0);
	strbuf_release(&out);
	scram_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_firsts),
		cmocka_unit_test(test_long_first),
		cmocka_unit_test(test_finals),
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_prepared),
		cmocka_unit_test(test_cancel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
